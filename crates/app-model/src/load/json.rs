//! JSON with positions: a syntax error has line and column, and a key written twice is noticed.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

/// A text that is no JSON.
#[derive(Debug)]
pub(super) struct SyntaxError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub message: String,
}

/// Parses one JSON text. Also returns the path of every key that one object has twice; the last one counts, as in
/// JavaScript.
pub(super) fn parse(text: &str) -> Result<(Json, Vec<String>), SyntaxError> {
    let repeated = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = Node { path: Path::Root, repeated: &repeated }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    match parsed {
        Ok(value) => Ok((value, repeated.into_inner())),
        Err(error) => {
            let line = error.line().max(1);
            let start = text.split('\n').nth(line - 1).unwrap_or("");
            let bytes = error.column().min(start.len());
            let before = start.as_bytes().get(..bytes).unwrap_or_default();
            let column = String::from_utf8_lossy(before).chars().count().max(1);
            let whole = error.to_string();
            let message = match whole.rfind(" at line ") {
                Some(end) => whole[..end].to_owned(),
                None => whole,
            };
            Err(SyntaxError { line, column, message })
        }
    }
}

/// Appends a member to the path of its object: `a.b`, `[2].c`.
pub(super) fn member(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Appends a position to the path of its array: `a[2]`.
pub(super) fn element(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// What a value is, for messages.
pub(super) fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Member(&'a Path<'a>, &'a str),
    Element(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn text(&self) -> String {
        match self {
            Path::Root => String::new(),
            Path::Member(parent, key) => member(&parent.text(), key),
            Path::Element(parent, index) => element(&parent.text(), *index),
        }
    }
}

struct Node<'a> {
    path: Path<'a>,
    repeated: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access
            .next_element_seed(Node { path: Path::Element(&self.path, elements.len()), repeated: self.repeated })?
        {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut members = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let path = Path::Member(&self.path, &key);
            let value = access.next_value_seed(Node { path, repeated: self.repeated })?;
            if members.contains_key(&key) {
                const REPEATED_MAX: usize = 100;
                let mut repeated = self.repeated.borrow_mut();
                if repeated.len() < REPEATED_MAX {
                    repeated.push(path.text());
                }
            }
            members.insert(key, value);
        }
        Ok(Json::Object(members))
    }
}
