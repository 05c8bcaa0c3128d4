//! Authentication providers and custom user data, as configured.

use std::path::PathBuf;

use serde_json::{Map, Value as Json};

/// One authentication provider (http-surface 1.9).
#[derive(Debug, Clone)]
pub struct AuthProvider {
    /// `anon-user`, `local-userpass`, `api-key`, `custom-token`, `custom-function`, `oauth2-…`.
    pub kind: String,
    /// File relative to the app directory.
    pub file: PathBuf,
    /// A disabled provider authenticates nobody.
    pub disabled: bool,
    /// `config` as written.
    pub config: Map<String, Json>,
    /// `secret_config` as written: option name to Secret name or names.
    pub secret_config: Map<String, Json>,
    /// `metadata_fields` as written.
    pub metadata_fields: Vec<Json>,
    /// OAuth only.
    pub redirect_uris: Vec<String>,
    /// Google and Facebook only: domains of e-mail addresses that are let in; empty for all.
    pub domain_restrictions: Vec<String>,
}

/// Custom user data (http-surface 1.10).
#[derive(Debug, Clone)]
pub struct CustomUserData {
    /// Name of the data source.
    pub service: String,
    /// Database name.
    pub database: String,
    /// Collection name.
    pub collection: String,
    /// Field that holds the user's id.
    pub user_id_field: String,
    /// Function called before a user is stored (later exports; rules-and-users 3.6).
    pub on_user_creation_function_name: Option<String>,
}
