//! `metadata_fields`: which claims of a token become fields of `user.data` (rules-and-users 4.5).

use app_model::AuthProvider;
use bson::{Bson, Document};
use serde_json::{Map, Value as Json};

/// Characters of a field's name.
const FIELD_NAME_CHARACTERS_MAX: usize = 64;

/// One claim to take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MetadataField {
    is_required: bool,
    /// Segments of the path into the claims.
    path: Vec<String>,
    field_name: String,
}

/// Reads the configured fields. An entry that is none makes the provider unusable: it could be a required one.
pub(super) fn read_fields(provider: &AuthProvider) -> Result<Vec<MetadataField>, String> {
    provider
        .metadata_fields
        .iter()
        .enumerate()
        .map(|(number, entry)| read_field(entry).map_err(|reason| format!("metadata_fields[{number}] {reason}")))
        .collect()
}

fn read_field(entry: &Json) -> Result<MetadataField, &'static str> {
    let entry = entry.as_object().ok_or("is no object")?;
    let is_required = match entry.get("required") {
        None | Some(Json::Null) => false,
        Some(Json::Bool(is_required)) => *is_required,
        Some(_) => return Err("has a 'required' that is not true or false"),
    };
    let path = match entry.get("name") {
        Some(Json::String(name)) if !name.is_empty() => split(name),
        _ => return Err("has no 'name'"),
    };
    let field_name = match entry.get("field_name") {
        None | Some(Json::Null) => path.last().cloned().unwrap_or_default(),
        Some(Json::String(name)) if name.is_empty() => path.last().cloned().unwrap_or_default(),
        Some(Json::String(name)) => name.clone(),
        Some(_) => return Err("has a 'field_name' that is no text"),
    };
    if field_name.starts_with('$') {
        return Err("has a field name that begins with $");
    }
    if field_name.is_empty() || field_name.chars().count() > FIELD_NAME_CHARACTERS_MAX {
        return Err("has a field name of 0 or more than 64 characters");
    }
    Ok(MetadataField { is_required, path, field_name })
}

/// At the dots, but for those behind a backslash.
fn split(name: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, segments.last_mut()) {
            ('.', _) => segments.push(String::new()),
            ('\\', Some(segment)) if letters.peek() == Some(&'.') => {
                letters.next();
                segment.push('.');
            }
            (letter, Some(segment)) => segment.push(letter),
            (_, None) => {}
        }
    }
    segments
}

/// The fields with what the claims say.
///
/// # Errors
/// The name of a required claim that is not there.
pub(super) fn map_claims(fields: &[MetadataField], claims: &Map<String, Json>) -> Result<Document, String> {
    let mut data = Document::new();
    for field in fields {
        match find(claims, &field.path) {
            Some(value) => {
                data.insert(field.field_name.clone(), plain(value));
            }
            None if field.is_required => return Err(format!("it has no claim '{}'", field.path.join("."))),
            None => {}
        }
    }
    Ok(data)
}

fn find<'a>(claims: &'a Map<String, Json>, path: &[String]) -> Option<&'a Json> {
    let (first, rest) = path.split_first()?;
    let value = claims.get(first)?;
    match rest {
        [] if value.is_null() => None,
        [] => Some(value),
        _ => find(value.as_object()?, rest),
    }
}

/// Claims are plain JSON: what looks like Extended JSON is none, and fields that begin with `$` are left out.
fn plain(value: &Json) -> Bson {
    match value {
        Json::Null => Bson::Null,
        Json::Bool(value) => Bson::Boolean(*value),
        Json::Number(number) => match number.as_i64() {
            Some(number) => i32::try_from(number).map_or(Bson::Int64(number), Bson::Int32),
            None => Bson::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Bson::String(text.clone()),
        Json::Array(values) => Bson::Array(values.iter().map(plain).collect()),
        Json::Object(fields) => {
            // The database does not take such names everywhere.
            let fields = fields.iter().filter(|(name, _)| !name.starts_with('$'));
            Bson::Document(fields.map(|(name, value)| (name.clone(), plain(value))).collect())
        }
    }
}

/// A claim as a value of the database.
pub(super) fn claim(claims: &Map<String, Json>, name: &str) -> Option<Bson> {
    claims.get(name).map(plain)
}

#[cfg(test)]
mod tests {
    use bson::doc;
    use serde_json::json;

    use super::*;

    fn check(fields: Json, expected: Result<Document, &str>) {
        let claims = json!({
            "sub": "u1", "name": "Ann", "profile": { "email": "a@b.c", "deep": { "n": 5_000_000_000i64 } },
            "a.b": 1, "none": null, "list": ["x", { "$oid": "5f6aae9a82989d521a606369" }],
        });
        let fields = fields.as_array().unwrap().iter().map(read_field).collect::<Result<Vec<_>, _>>();
        let found = match &fields {
            Ok(fields) => map_claims(fields, claims.as_object().unwrap()),
            Err(reason) => Err((*reason).to_owned()),
        };
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn claims_become_fields() {
        check(json!([]), Ok(doc! {}));
        check(json!([{ "name": "name" }]), Ok(doc! { "name": "Ann" }));
        check(json!([{ "name": "profile.email", "required": true }]), Ok(doc! { "email": "a@b.c" }));
        check(json!([{ "name": "profile.email", "field_name": "mail" }]), Ok(doc! { "mail": "a@b.c" }));
        check(json!([{ "name": "profile.deep.n" }]), Ok(doc! { "n": 5_000_000_000i64 }));
        check(json!([{ "name": "a\\.b", "field_name": "ab" }]), Ok(doc! { "ab": 1 }));
        check(json!([{ "name": "a.b" }]), Ok(doc! {}));
        check(json!([{ "name": "nobody" }, { "name": "none" }, { "name": "name.first" }]), Ok(doc! {}));
        check(json!([{ "name": "none", "required": true }]), Err("it has no claim 'none'"));
        check(json!([{ "name": "profile.phone", "required": true }]), Err("it has no claim 'profile.phone'"));
        check(json!([{ "name": "list" }]), Ok(doc! { "list": ["x", {}] }));
        check(json!([{}]), Err("has no 'name'"));
        check(json!([{ "name": 1 }]), Err("has no 'name'"));
        check(json!([{ "name": "a", "required": "yes" }]), Err("has a 'required' that is not true or false"));
        check(json!([{ "name": "x".repeat(65) }]), Err("has a field name of 0 or more than 64 characters"));
        check(json!([{ "name": "a", "field_name": "$a" }]), Err("has a field name that begins with $"));
        check(json!(["name"]), Err("is no object"));
    }
}
