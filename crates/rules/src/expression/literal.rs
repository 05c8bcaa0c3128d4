//! JSON to BSON, and which objects are Extended JSON values rather than operators (rules-and-users 1.2).

use bson::spec::BinarySubtype;
use bson::{Binary, Bson};
use serde_json::{Map, Value as Json};

/// Sets of keys that make an object one value. The first key is always present.
const LITERAL_KEYS: [&[&str]; 16] = [
    &["$oid"],
    &["$date"],
    &["$numberInt"],
    &["$numberLong"],
    &["$numberDouble"],
    &["$numberDecimal"],
    &["$binary"],
    &["$binary", "$type"],
    &["$uuid"],
    &["$timestamp"],
    &["$regularExpression"],
    &["$minKey"],
    &["$maxKey"],
    &["$undefined"],
    &["$symbol"],
    &["$code"],
];

/// The value that an object with the keys of Extended JSON stands for; `None` for any other object.
pub(super) fn extended_json(object: &Map<String, Json>) -> Option<Result<Bson, String>> {
    let is_literal =
        LITERAL_KEYS.iter().any(|keys| object.len() == keys.len() && keys.iter().all(|key| object.contains_key(*key)))
            || object.len() == 2 && object.contains_key("$code") && object.contains_key("$scope");
    is_literal.then(|| decode(object))
}

fn decode(object: &Map<String, Json>) -> Result<Bson, String> {
    if let (Some(Json::String(text)), Some(subtype)) = (object.get("$binary"), object.get("$type")) {
        return legacy_binary(text, subtype);
    }
    let value = Bson::try_from(Json::Object(object.clone())).map_err(|error| error.to_string())?;
    // The decoder leaves what it does not recognise as a document.
    match value {
        Bson::Document(_) => Err("wrong content".to_owned()),
        value => Ok(value),
    }
}

fn legacy_binary(text: &str, subtype: &Json) -> Result<Bson, String> {
    let number = match subtype {
        Json::String(hex) => u8::from_str_radix(hex, 16).ok(),
        other => other.as_u64().and_then(|number| u8::try_from(number).ok()),
    };
    let subtype = number.map(BinarySubtype::from).ok_or("wrong $type")?;
    Binary::from_base64(text, subtype).map(Bson::Binary).map_err(|error| error.to_string())
}

/// A plain value of the app: Extended JSON where an object is some, anything else as it is.
pub(crate) fn from_json(json: &Json) -> Bson {
    match json {
        Json::Null => Bson::Null,
        Json::Bool(value) => Bson::Boolean(*value),
        Json::Number(_) => number(json),
        Json::String(text) => Bson::String(text.clone()),
        Json::Array(elements) => Bson::Array(elements.iter().map(from_json).collect()),
        Json::Object(object) => match extended_json(object) {
            Some(Ok(value)) => value,
            Some(Err(_)) | None => {
                Bson::Document(object.iter().map(|(key, value)| (key.clone(), from_json(value))).collect())
            }
        },
    }
}

/// Plain JSON of which no object is Extended JSON, such as headers, whose names a caller chooses.
pub(super) fn plain(json: &Json) -> Bson {
    match json {
        Json::Array(elements) => Bson::Array(elements.iter().map(plain).collect()),
        Json::Object(object) => Bson::Document(object.iter().map(|(key, value)| (key.clone(), plain(value))).collect()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => from_json(json),
    }
}

/// A JSON number in the narrowest BSON type that holds it.
pub(super) fn number(json: &Json) -> Bson {
    match json.as_i64() {
        Some(whole) => i32::try_from(whole).map_or(Bson::Int64(whole), Bson::Int32),
        None => Bson::Double(json.as_f64().unwrap_or(f64::NAN)),
    }
}
