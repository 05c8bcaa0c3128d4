//! What the OAuth providers have in common in their configuration (rules-and-users 4.7).

use app_model::{App, AuthProvider};

/// Text of `clientSecret`.
pub(super) fn first_secret(app: &App, provider: &AuthProvider) -> Option<String> {
    app.provider_secrets(provider, "clientSecret").first().map(|text| text.expose().to_owned())
}

/// Names in `metadata_fields`.
pub(super) fn configured_fields(provider: &AuthProvider) -> Result<Vec<String>, String> {
    let name = |entry: &serde_json::Value| entry.get("name").and_then(|name| name.as_str()).map(str::to_owned);
    let names: Option<Vec<String>> = provider.metadata_fields.iter().map(name).collect();
    names.ok_or_else(|| "metadata_fields holds an entry without a name".to_owned())
}
