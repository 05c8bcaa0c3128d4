//! Reading a command's fields, with MongoDB's errors for wrong types and unknown names.

use bson::{Bson, Document};

use crate::error::{CommandError, CommandResult};
use crate::query::ValueRef;

/// Fields any command may have.
const GENERIC: &[&str] = &[
    "$db",
    "lsid",
    "$clusterTime",
    "$readPreference",
    "txnNumber",
    "autocommit",
    "startTransaction",
    "stmtId",
    "stmtIds",
    "readConcern",
    "writeConcern",
    "maxTimeMS",
    "comment",
    "apiVersion",
    "apiStrict",
    "apiDeprecationErrors",
    "allowImplicitCollectionCreation",
    "$audit",
    "$client",
    "$configServerState",
    "$queryOptions",
    "maxTimeMSOpOnly",
    "shardVersion",
    "databaseVersion",
    "help",
    "$oplogQueryData",
    "$replData",
    "$topologyTime",
    "rawData",
];

/// May any command have this field?
pub fn is_generic(name: &str) -> bool {
    GENERIC.contains(&name)
}

/// Refuses fields that are neither in `known` nor allowed on every command.
pub fn only(command: &str, body: &Document, known: &[&str]) -> CommandResult<()> {
    for name in body.keys().skip(1) {
        if !known.contains(&name.as_str()) && !GENERIC.contains(&name.as_str()) {
            return Err(if command == "find" {
                CommandError::failed_to_parse(format!("Failed to parse: Unrecognized field '{name}'."))
            } else {
                CommandError::new(40415, format!("BSON field '{command}.{name}' is an unknown field."))
            });
        }
    }
    Ok(())
}

/// `TypeMismatch`, in the words of MongoDB's command parser.
pub fn wrong_type(command: &str, name: &str, value: &Bson, expected: &str) -> CommandError {
    let found = ValueRef::from(value).type_name();
    if command == "find" {
        let expected = match expected {
            "object" => "of BSON type object",
            "bool" => "a boolean",
            "number" => "numeric",
            other => other,
        };
        return CommandError::failed_to_parse(format!(
            "Failed to parse: {name}: {}. '{name}' field must be {expected}.",
            show(value)
        ));
    }
    CommandError::type_mismatch(format!(
        "BSON field '{command}.{name}' is the wrong type '{found}', expected type '{expected}'"
    ))
}

fn command_of(body: &Document) -> &str {
    body.keys().next().map_or("", String::as_str)
}

/// A document field; null counts as absent.
pub fn document<'a>(body: &'a Document, name: &str) -> CommandResult<Option<&'a Document>> {
    match body.get(name) {
        None | Some(Bson::Null) => Ok(None),
        Some(Bson::Document(document)) => Ok(Some(document)),
        Some(other) => Err(wrong_type(command_of(body), name, other, "object")),
    }
}

/// A document field that must be there.
pub fn required_document<'a>(path: &str, body: &'a Document, name: &str) -> CommandResult<&'a Document> {
    match body.get(name) {
        Some(Bson::Document(document)) => Ok(document),
        Some(other) => Err(wrong_type(path, name, other, "object")),
        None => Err(missing(path, name)),
    }
}

/// Code 40414: a field that must be there is not.
pub fn missing(path: &str, name: &str) -> CommandError {
    CommandError::new(40414, format!("BSON field '{path}.{name}' is missing but a required field"))
}

/// A boolean field; numbers count as MongoDB takes them.
pub fn boolean(body: &Document, name: &str) -> CommandResult<Option<bool>> {
    match body.get(name) {
        None | Some(Bson::Null) => Ok(None),
        Some(Bson::Boolean(flag)) => Ok(Some(*flag)),
        Some(other) if ValueRef::from(other).is_number() && command_of(body) != "find" => {
            Ok(Some(ValueRef::from(other).as_f64() != Some(0.0)))
        }
        Some(other) => Err(wrong_type(command_of(body), name, other, "bool")),
    }
}

/// A text field.
pub fn text<'a>(body: &'a Document, name: &str) -> CommandResult<Option<&'a str>> {
    match body.get(name) {
        None | Some(Bson::Null) => Ok(None),
        Some(Bson::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong_type(command_of(body), name, other, "string")),
    }
}

/// A whole number, of any numeric type; fractions are cut.
pub fn integer(body: &Document, name: &str) -> CommandResult<Option<i64>> {
    match body.get(name) {
        None | Some(Bson::Null) => Ok(None),
        Some(value) => {
            let number = ValueRef::from(value);
            if !number.is_number() {
                return Err(wrong_type(command_of(body), name, value, "number"));
            }
            Ok(Some(number.as_exact_i64().unwrap_or_else(|| number.as_f64().map_or(0, |number| number as i64))))
        }
    }
}

/// A whole number that is not negative. `label` begins the error's sentence, e.g. `Limit`.
pub fn count(body: &Document, name: &str, label: &str) -> CommandResult<Option<usize>> {
    match integer(body, name)? {
        None => Ok(None),
        Some(number) => usize::try_from(number).map(Some).map_err(|_| {
            CommandError::bad_value(format!("{label} value must be non-negative, but received: {number}"))
        }),
    }
}

/// A value as messages show it.
pub fn show(value: &Bson) -> String {
    value.to_string()
}
