//! `custom-token`: tokens of an issuer that the app trusts (rules-and-users 4.5).

use std::sync::Arc;

use app_model::{App, AuthProvider};
use bson::Document;
use serde_json::{Map, Value as Json};

use super::config::{flag, required_text, text};
use super::metadata::{MetadataField, claim, map_claims, read_fields};
use crate::jwks::{KeySet, NoKey};
use crate::jwt::{self, Key, UnverifiedToken};
use crate::users::{IDENTITY_BYTES_MAX, ProvenIdentity};
use crate::{AuthError, AuthSettings, FetchHttp};

/// `custom-token`, ready for use.
pub(crate) struct CustomToken {
    keys: Keys,
    audience: Audience,
    fields: Vec<MetadataField>,
}

enum Keys {
    /// From secrets; any of them may have signed.
    Fixed(Vec<Key>),
    /// From an address.
    Set(KeySet),
}

/// Which audiences a token has to name.
#[derive(Debug, PartialEq, Eq)]
struct Audience {
    names: Vec<String>,
    /// One of them is enough.
    is_any_enough: bool,
}

/// Characters of a shared key.
const SHARED_KEY_CHARACTERS: std::ops::RangeInclusive<usize> = 32..=512;

impl CustomToken {
    pub fn read(
        app: &App,
        provider: &AuthProvider,
        fetch: &Arc<dyn FetchHttp>,
        settings: &AuthSettings,
    ) -> Result<Self, String> {
        let keys = if flag(provider, "useJWKURI")? {
            Keys::Set(KeySet::new(required_text(provider, "jwkURI")?, Arc::clone(fetch), settings)?)
        } else {
            Keys::Fixed(read_keys(app, provider)?)
        };
        Ok(Self { keys, audience: read_audience(app, provider)?, fields: read_fields(provider)? })
    }

    /// Whose token this is.
    pub async fn prove(&self, token: &str, settings: &AuthSettings) -> Result<ProvenIdentity, AuthError> {
        let refused = |reason: &str| AuthError::TokenRefused { reason: reason.to_owned() };
        let token = UnverifiedToken::parse(token).map_err(refused)?;
        let claims = match &self.keys {
            Keys::Fixed(keys) => token.verified_by(keys.iter()),
            Keys::Set(set) => {
                let key = key_of(set, &token, "custom-token").await?;
                token.verified_by([key].iter())
            }
        };
        let claims = claims.ok_or_else(|| refused("its signature is wrong"))?;
        self.audience.check(&claims).map_err(refused)?;
        let id = subject(&claims).map_err(refused)?;
        check_times(&claims, settings)?;
        let data = map_claims(&self.fields, &claims).map_err(|reason| refused(&reason))?;
        let required = ["aud", "sub", "exp"].into_iter();
        let claims: Document = required.filter_map(|name| Some((name.to_owned(), claim(&claims, name)?))).collect();
        Ok(ProvenIdentity { provider_type: "custom-token", id, data, claims, user_id: None })
    }
}

/// The key of a set that a token says it was signed with.
pub(super) async fn key_of(set: &KeySet, token: &UnverifiedToken<'_>, provider: &str) -> Result<Key, AuthError> {
    let refused = |reason: &str| AuthError::TokenRefused { reason: reason.to_owned() };
    if token.algorithm() != "RS256" {
        return Err(refused("its algorithm is not RS256"));
    }
    let id = token.key_id().ok_or_else(|| refused("it names no key"))?;
    set.key(id).await.map_err(|reason| match reason {
        NoKey::Unknown => refused("no key of the set has its key id"),
        NoKey::Unavailable(reason) => AuthError::ProviderUnavailable { provider: provider.to_owned(), reason },
    })
}

/// `sub`: the id that the issuer knows somebody by.
pub(super) fn subject(claims: &Map<String, Json>) -> Result<String, &'static str> {
    match claims.get("sub") {
        Some(Json::String(id)) if id.len() > IDENTITY_BYTES_MAX => Err("its subject is too long"),
        Some(Json::String(id)) if !id.is_empty() => Ok(id.clone()),
        _ => Err("it has no subject"),
    }
}

/// Expiry and begin of a token of another party.
pub(super) fn check_times(claims: &Map<String, Json>, settings: &AuthSettings) -> Result<(), AuthError> {
    let skew = i64::try_from(settings.clock_skew_max.as_secs()).unwrap_or(0);
    jwt::check_times(claims, settings.clock.seconds(), skew)
        .map_err(|reason| AuthError::TokenRefused { reason: reason.to_owned() })
}

/// The audiences of a token: one text, or a list of texts.
pub(super) fn audiences(claims: &Map<String, Json>) -> Vec<&str> {
    match claims.get("aud") {
        Some(Json::String(name)) => vec![name],
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

impl Audience {
    fn check(&self, claims: &Map<String, Json>) -> Result<(), &'static str> {
        let found = audiences(claims);
        let is_named = |name: &String| found.contains(&name.as_str());
        let holds = match self.is_any_enough {
            true => self.names.iter().any(is_named),
            false => !self.names.is_empty() && self.names.iter().all(is_named),
        };
        if holds { Ok(()) } else { Err("it is for another audience") }
    }
}

fn read_audience(app: &App, provider: &AuthProvider) -> Result<Audience, String> {
    let mut names = match provider.config.get("audience") {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::String(name)) if name.is_empty() => Vec::new(),
        Some(Json::String(name)) => vec![name.clone()],
        Some(Json::Array(names)) => {
            let texts = names.iter().map(|name| name.as_str().filter(|name| !name.is_empty()).map(str::to_owned));
            texts.collect::<Option<_>>().ok_or("config.audience holds something that is no text")?
        }
        Some(_) => return Err("config.audience is neither a text nor a list".to_owned()),
    };
    if names.is_empty() {
        names.push(app.app_id.clone());
    }
    Ok(Audience { names, is_any_enough: flag(provider, "requireAnyAudience")? })
}

/// A key that cannot be used is left out with a warning, as long as another one is left.
fn read_keys(app: &App, provider: &AuthProvider) -> Result<Vec<Key>, String> {
    let read: fn(&str) -> Result<Key, String> = match text(provider, "signingAlgorithm")?.as_deref() {
        None | Some("HS256") => read_shared_key,
        Some("RS256") => Key::from_rsa_pem,
        Some(_) => return Err("config.signingAlgorithm is neither HS256 nor RS256".to_owned()),
    };
    let mut keys = Vec::new();
    for secret in app.provider_secrets(provider, "signingKeys") {
        match read(secret.expose()) {
            Ok(key) => keys.push(key),
            Err(reason) => {
                tracing::warn!(app = app.app_id, provider = "custom-token", reason, "a signing key cannot be used");
            }
        }
    }
    match keys.is_empty() {
        true => Err("secret_config.signingKeys names no Secret with a usable key".to_owned()),
        false => Ok(keys),
    }
}

fn read_shared_key(text: &str) -> Result<Key, String> {
    match SHARED_KEY_CHARACTERS.contains(&text.chars().count()) {
        true => Ok(Key::Shared(text.as_bytes().to_vec())),
        false => Err("it is not 32 to 512 characters long".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn audience_rules() {
        let check = |names: &[&str], is_any_enough: bool, aud: Json| {
            let audience = Audience { names: names.iter().map(|name| (*name).to_owned()).collect(), is_any_enough };
            audience.check(json!({ "aud": aud }).as_object().unwrap()).is_ok()
        };
        assert!(check(&["a"], false, json!("a")));
        assert!(check(&["a"], false, json!(["b", "a"])));
        assert!(check(&["a", "b"], false, json!(["b", "a", "c"])));
        assert!(check(&["a", "b"], true, json!("b")));
        assert!(!check(&["a", "b"], false, json!("a")));
        assert!(!check(&["a", "b"], true, json!("c")));
        assert!(!check(&["a"], false, json!("ab")));
        for aud in [json!(null), json!([]), json!({ "$ne": 1 }), json!([["a"]]), json!(true)] {
            assert!(!check(&["a"], false, aud.clone()), "{aud}");
            assert!(!check(&["a"], true, aud.clone()), "{aud}");
        }
        assert!(!check(&[], false, json!("a")));
    }

    #[test]
    fn subjects() {
        let check = |sub: Json| subject(json!({ "sub": sub }).as_object().unwrap()).ok();
        assert_eq!(check(json!("u1")).as_deref(), Some("u1"));
        for sub in [json!(null), json!(""), json!(1), json!({ "$gt": "" }), json!("x".repeat(1025))] {
            assert_eq!(check(sub.clone()), None, "{sub}");
        }
    }
}
