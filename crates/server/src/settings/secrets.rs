//! The secrets file: texts of the Secrets that exports name but never hold (http-surface 9.6).

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use app::SecretKey;
use app_model::{App, LoadError, LoadOptions, SecretText};
use serde::Deserialize;

use super::resolved::SettingsError;

/// Texts of Secrets by name, for all apps and for single ones.
#[derive(Debug, Default)]
pub struct Secrets {
    shared: BTreeMap<String, SecretText>,
    by_app: BTreeMap<String, BTreeMap<String, SecretText>>,
    /// Set by `selvedge secrets set`; they win over the file's.
    stored: HashMap<String, BTreeMap<String, SecretText>>,
}

/// Variable that may hold the key of stored Secrets itself.
const KEY_VARIABLE: &str = "SELVEDGE_SECRETS_KEY";

/// The key of stored Secrets, from a file, else from the environment.
///
/// # Errors
/// A file that cannot be read, or what is no key.
pub(crate) fn read_secret_key(file: Option<&Path>) -> Result<Option<SecretKey>, SettingsError> {
    let refused =
        |source_name: &str, message: String| SettingsError::SecretKey { source_name: source_name.to_owned(), message };
    let (source_name, text) = match (file, std::env::var(KEY_VARIABLE)) {
        (Some(file), _) => {
            let source_name = format!("--secrets-key-file {}", file.display());
            let text = std::fs::read_to_string(file)
                .map_err(|error| refused(&source_name, format!("cannot be read: {error}")))?;
            (source_name, text)
        }
        (None, Ok(text)) if !text.is_empty() => (KEY_VARIABLE.to_owned(), text),
        (None, _) => return Ok(None),
    };
    let key = SecretKey::from_base64(&text)
        .map_err(|error| refused(&source_name, format!("{error}; make one with `selvedge secrets new-key FILE`")))?;
    Ok(Some(key))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    /// `"name": "text"`
    Text(String),
    /// `"app id": {"name": "text"}`
    App(BTreeMap<String, String>),
}

impl Secrets {
    /// Reads `{"name": "text", "app id": {"name": "text"}}`.
    ///
    /// # Errors
    /// A file that cannot be read, or holds something else.
    pub(crate) fn read(file: &Path) -> Result<Self, SettingsError> {
        let refused = |message: String| SettingsError::Secrets { file: file.to_owned(), message };
        let text = std::fs::read_to_string(file).map_err(|error| refused(format!("cannot be read: {error}")))?;
        // The parser's own message could quote a secret.
        let written: BTreeMap<String, Written> = serde_json::from_str(&text).map_err(|error| {
            refused(format!(
                "line {}: is not a JSON object such as {{\"name\": \"text\"}} or {{\"app id\": {{\"name\": \"text\"}}}}",
                error.line()
            ))
        })?;
        let mut secrets = Self::default();
        for (name, written) in written {
            match written {
                Written::Text(text) => {
                    secrets.shared.insert(name, SecretText::new(text));
                }
                Written::App(texts) => {
                    let texts = texts.into_iter().map(|(name, text)| (name, SecretText::new(text))).collect();
                    secrets.by_app.insert(name, texts);
                }
            }
        }
        Ok(secrets)
    }

    /// Loads an app directory with the texts meant for it; those for this very app win over the shared ones.
    ///
    /// # Errors
    /// A directory that cannot be served at all.
    pub(crate) fn load_app(&self, directory: &Path, app_id: Option<&str>) -> Result<App, LoadError> {
        let mut options =
            LoadOptions { secrets: self.shared.clone(), app_id: app_id.map(str::to_owned), ..LoadOptions::default() };
        let app = App::load(directory, &options)?;
        let own: Vec<_> = [self.by_app.get(&app.app_id), self.stored.get(&app.app_id)].into_iter().flatten().collect();
        if own.is_empty() {
            return Ok(app);
        }
        // The id is known only now, and secrets decide how much of an app can be used.
        for (name, text) in own.into_iter().flatten() {
            options.secrets.insert(name.clone(), text.clone());
        }
        App::load(directory, &options)
    }

    /// The same with the texts that are kept for an app in its database.
    pub(crate) fn with_stored(mut self, app_id: &str, texts: BTreeMap<String, SecretText>) -> Self {
        self.stored.insert(app_id.to_owned(), texts);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Secrets, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secrets.json");
        std::fs::write(&file, text).unwrap();
        Secrets::read(&file).map_err(|error| error.to_string())
    }

    #[test]
    fn shared_and_own_texts() {
        let secrets = read(r#"{"a": "b", "shop-abcde": {"a": "c"}}"#).unwrap();
        assert_eq!(secrets.shared["a"].expose(), "b");
        assert_eq!(secrets.by_app["shop-abcde"]["a"].expose(), "c");
    }

    #[test]
    fn texts_never_show_in_messages() {
        for text in [r#"{"a": hunter2}"#, r#"["hunter2"]"#, r#"{"a": {"b": {"c": "hunter2"}}}"#, "hunter2"] {
            let message = read(text).unwrap_err();
            assert!(!message.contains("hunter2") && !message.contains('\n'), "{message}");
        }
        assert!(!format!("{:?}", read(r#"{"a": "hunter2"}"#)).contains("hunter2"));
    }
}
