//! Reading a provider's configuration.

use app_model::{App, AuthProvider};
use serde_json::Value as Json;

use crate::AuthError;

/// A provider as it is configured.
pub(crate) enum Setup<T> {
    /// Not in the export, or disabled.
    Absent,
    /// Something is missing or wrong: nobody is let in.
    Broken(String),
    /// It may be used.
    Ready(T),
}

impl<T> Setup<T> {
    /// Reads a provider of the app; an error says what to mend.
    pub fn read(app: &App, kind: &str, read: impl FnOnce(&AuthProvider) -> Result<T, String>) -> Self {
        let Some(provider) = app.auth_provider(kind).filter(|provider| !provider.disabled) else {
            return Self::Absent;
        };
        match read(provider) {
            Ok(ready) => Self::Ready(ready),
            Err(reason) => {
                tracing::warn!(app = app.app_id, provider = kind, reason, "nobody can log in with this provider");
                Self::Broken(reason)
            }
        }
    }

    /// The provider, if it may be used.
    pub fn ready(&self, kind: &str) -> Result<&T, AuthError> {
        match self {
            Self::Ready(ready) => Ok(ready),
            Self::Absent => Err(AuthError::ProviderUnsupported(kind.to_owned())),
            Self::Broken(reason) => {
                Err(AuthError::ProviderUnavailable { provider: kind.to_owned(), reason: reason.clone() })
            }
        }
    }
}

/// A flag of `config`. Old exports write an empty text where a truth value belongs.
pub(super) fn flag(provider: &AuthProvider, name: &str) -> Result<bool, String> {
    match provider.config.get(name) {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Bool(value)) => Ok(*value),
        Some(Json::String(text)) if text.is_empty() => Ok(false),
        Some(_) => Err(format!("config.{name} is not true or false")),
    }
}

/// A text of `config`; an empty one counts as none.
pub(super) fn text(provider: &AuthProvider, name: &str) -> Result<Option<String>, String> {
    match provider.config.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if text.is_empty() => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("config.{name} is no text")),
    }
}

/// A text of `config` that has to be there.
pub(super) fn required_text(provider: &AuthProvider, name: &str) -> Result<String, String> {
    text(provider, name)?.ok_or_else(|| format!("config.{name} is missing"))
}
