//! `%(%%environment.values.NAME)` inside configuration files, replaced once at load (rules-and-users 5.4).

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::json::{element, member};
use super::problems::quoted;
use crate::{Environment, Value, ValueContent};

/// What an expansion may name.
#[derive(Default)]
pub(super) struct Templates {
    tag: String,
    environment: Map<String, Json>,
    /// `None` for a value made from a Secret. Empty while the values themselves are loaded.
    values: BTreeMap<String, Option<Json>>,
}

/// An expansion that could not be replaced. Its text is left as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// Dotted path of the string.
    pub field: String,
    pub message: String,
}

const OPEN: &str = "%(";

impl Templates {
    pub fn new(environment: &Environment) -> Self {
        Self { tag: environment.tag.clone(), environment: environment.values.clone(), values: BTreeMap::new() }
    }

    pub fn add_values(&mut self, values: &[Value]) {
        for value in values {
            let content = match &value.content {
                ValueContent::Plain(json) => Some(json.clone()),
                ValueContent::FromSecret(_) => None,
            };
            self.values.insert(value.name.clone(), content);
        }
    }

    /// Replaces every expansion in every string below `json`.
    pub fn expand(&self, json: &mut Json, path: &str, failures: &mut Vec<Failure>) {
        match json {
            Json::String(text) => {
                if !text.contains(OPEN) {
                    return;
                }
                match self.expand_text(text) {
                    Ok(expanded) => *json = expanded,
                    Err(message) => failures.push(Failure { field: path.to_owned(), message }),
                }
            }
            Json::Array(elements) => {
                for (index, value) in elements.iter_mut().enumerate() {
                    self.expand(value, &element(path, index), failures);
                }
            }
            Json::Object(members) => {
                for (key, value) in members.iter_mut() {
                    self.expand(value, &member(path, key), failures);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    fn expand_text(&self, text: &str) -> Result<Json, String> {
        let mut output = String::new();
        let mut rest = text;
        while let Some(start) = rest.find(OPEN) {
            let (before, from) = rest.split_at(start);
            let inside = &from[OPEN.len()..];
            let Some(end) = inside.find(')').filter(|_| inside.trim_start().starts_with("%%")) else {
                // Not an expansion: such as "50%(net)".
                output.push_str(before);
                output.push_str(OPEN);
                rest = inside;
                continue;
            };
            let value = self.look_up(inside[..end].trim())?;
            let after = &inside[end + 1..];
            if before.is_empty() && output.is_empty() && after.is_empty() {
                return Ok(value);
            }
            output.push_str(before);
            match value {
                Json::String(text) => output.push_str(&text),
                Json::Number(_) | Json::Bool(_) => output.push_str(&value.to_string()),
                Json::Null | Json::Array(_) | Json::Object(_) => {
                    return Err(format!(
                        "{} is no text, number or truth value and cannot stand inside a longer string: write it alone",
                        quoted(&inside[..end])
                    ));
                }
            }
            rest = after;
        }
        output.push_str(rest);
        Ok(Json::String(output))
    }

    fn look_up(&self, expansion: &str) -> Result<Json, String> {
        let path = &expansion["%%".len()..];
        if path == "environment.tag" {
            return Ok(Json::String(self.tag.clone()));
        }
        if let Some(name) = path.strip_prefix("environment.values.") {
            return find(name, |key| self.environment.get(key)).cloned().ok_or_else(|| {
                format!("the active environment has no value {}: add it to the environment's file", quoted(name))
            });
        }
        if let Some(name) = path.strip_prefix("values.") {
            if matches!(self.values.get(name), Some(None)) {
                return Err(format!(
                    "the value {} is made from a Secret and is not written into configuration: name a plain value",
                    quoted(name)
                ));
            }
            return find(name, |key| self.values.get(key).and_then(Option::as_ref))
                .cloned()
                .ok_or_else(|| format!("the app has no value {}: add it to values/", quoted(name)));
        }
        Err(format!("{} is not known at load: only %%environment and %%values are", quoted(expansion)))
    }
}

/// A name, or a dotted path into the object of that name.
fn find<'a>(name: &str, get: impl Fn(&str) -> Option<&'a Json>) -> Option<&'a Json> {
    if let Some(value) = get(name) {
        return Some(value);
    }
    name.char_indices().filter(|(_, character)| *character == '.').find_map(|(dot, _)| {
        let mut value = get(&name[..dot])?;
        for key in name[dot + 1..].split('.') {
            value = value.as_object()?.get(key)?;
        }
        Some(value)
    })
}
