//! Values and secrets.

use std::fmt;

use serde_json::Value as Json;

/// One named value (http-surface 1.11).
#[derive(Debug, Clone)]
pub struct Value {
    /// Name in `context.values.get`.
    pub name: String,
    /// Where its content comes from.
    pub content: ValueContent,
}

/// Content of a value.
#[derive(Debug, Clone)]
pub enum ValueContent {
    /// Any JSON.
    Plain(Json),
    /// Text of the Secret with this name, when it is known.
    FromSecret(String),
}

/// Text of a secret. `Debug` never shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; for comparing and signing only, never for messages.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(…)")
    }
}
