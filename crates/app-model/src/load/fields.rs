//! Typed reading of one configuration object; a field of the wrong type is reported with its path.

use serde_json::{Map, Value as Json};

use super::json::{member, type_name};
use super::problems::Problems;

/// One object of one file.
pub(super) struct Fields<'a> {
    pub file: &'a str,
    /// Path of the object inside the file: `""`, `[3]`, `options`.
    pub path: String,
    /// Who is meant, put in front of messages where the path alone says little: `function "x": `.
    pub subject: String,
    pub object: &'a Map<String, Json>,
}

/// The field has the wrong type, which is reported already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mistyped;

impl<'a> Fields<'a> {
    pub fn new(file: &'a str, object: &'a Map<String, Json>) -> Self {
        Self { file, path: String::new(), subject: String::new(), object }
    }

    pub fn field(&self, key: &str) -> String {
        member(&self.path, key)
    }

    pub fn error(&self, key: &str, message: impl AsRef<str>, problems: &mut Problems) {
        problems.error(self.file, &self.field(key), format!("{}{}", self.subject, message.as_ref()));
    }

    pub fn warning(&self, key: &str, message: impl AsRef<str>, problems: &mut Problems) {
        problems.warning(self.file, &self.field(key), format!("{}{}", self.subject, message.as_ref()));
    }

    /// The value, where `null` is as good as absent.
    pub fn get(&self, key: &str) -> Option<&'a Json> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    pub fn flag(&self, key: &str, problems: &mut Problems) -> Result<Option<bool>, Mistyped> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(self.mistyped(key, other, "write true or false without quotes", problems)),
        }
    }

    pub fn text(&self, key: &str, problems: &mut Problems) -> Result<Option<&'a str>, Mistyped> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::String(value)) => Ok(Some(value)),
            Some(other) => Err(self.mistyped(key, other, "write a string", problems)),
        }
    }

    /// As [`Self::text`], where the empty string is as good as absent.
    pub fn filled_text(&self, key: &str, problems: &mut Problems) -> Result<Option<&'a str>, Mistyped> {
        Ok(self.text(key, problems)?.filter(|text| !text.is_empty()))
    }

    pub fn object(&self, key: &str, problems: &mut Problems) -> Result<Option<&'a Map<String, Json>>, Mistyped> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Object(value)) => Ok(Some(value)),
            Some(other) => Err(self.mistyped(key, other, "write an object", problems)),
        }
    }

    pub fn array(&self, key: &str, problems: &mut Problems) -> Result<Option<&'a [Json]>, Mistyped> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Array(value)) => Ok(Some(value)),
            Some(other) => Err(self.mistyped(key, other, "write an array", problems)),
        }
    }

    /// An array of strings; an element of another type is reported and left out, and makes the whole `Mistyped` when
    /// nothing else is left.
    pub fn texts(&self, key: &str, problems: &mut Problems) -> Result<Vec<String>, Mistyped> {
        let elements = self.array(key, problems)?.unwrap_or_default();
        let mut texts = Vec::new();
        for (index, value) in elements.iter().enumerate() {
            match value {
                Json::String(text) => texts.push(text.clone()),
                other => {
                    self.mistyped(&format!("{key}[{index}]"), other, "write a string", problems);
                }
            }
        }
        if texts.is_empty() && !elements.is_empty() { Err(Mistyped) } else { Ok(texts) }
    }

    /// An expression: `None` for what allows everybody (absent, `null`, `true`, `{}`).
    pub fn expression(&self, key: &str, problems: &mut Problems) -> Result<Option<Json>, Mistyped> {
        match self.get(key) {
            None | Some(Json::Bool(true)) => Ok(None),
            Some(Json::Object(members)) if members.is_empty() => Ok(None),
            Some(value @ (Json::Bool(false) | Json::Object(_))) => Ok(Some(value.clone())),
            Some(other) => Err(self.mistyped(key, other, "write true, false or an expression object", problems)),
        }
    }

    fn mistyped(&self, key: &str, found: &Json, advice: &str, problems: &mut Problems) -> Mistyped {
        self.error(key, format!("is {} here, which has no meaning: {advice}", type_name(found)), problems);
        Mistyped
    }
}
