//! Conditions, sizes, chance.

use bson::{Bson, Document};

use super::{NULL, Node, Scope, Value, is_nullish, some, type_name};
use crate::error::{CommandError, CommandResult};

pub(super) fn cond(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    if nodes[0].is_true(scope)? { nodes[1].evaluate(scope) } else { nodes[2].evaluate(scope) }
}

/// The first argument that is not nullish, else the last.
pub(super) fn if_null(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let mut value = None;
    for node in nodes {
        value = node.evaluate(scope)?;
        if !is_nullish(&value) {
            break;
        }
    }
    Ok(value)
}

pub(super) fn switch(branches: &[(Node, Node)], default: Option<&Node>, scope: &Scope<'_>) -> CommandResult<Value> {
    for (case, then) in branches {
        if case.is_true(scope)? {
            return then.evaluate(scope);
        }
    }
    match default {
        Some(default) => default.evaluate(scope),
        None => Err(CommandError::new(
            40066,
            "$switch could not find a matching branch for an input, and no default was specified.",
        )),
    }
}

pub(super) fn binary_size(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    match &values[0] {
        Some(Bson::String(text)) => some(text.len() as i32),
        Some(Bson::Binary(binary)) => some(binary.bytes.len() as i32),
        value if is_nullish(value) => NULL,
        value => Err(CommandError::new(
            51276,
            format!("$binarySize requires a string or BinData argument, found: {}", type_name(value)),
        )),
    }
}

pub(super) fn bson_size(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    match &values[0] {
        Some(Bson::Document(document)) => some(document_bytes(document) as i32),
        value if is_nullish(value) => NULL,
        value => {
            Err(CommandError::new(31393, format!("$bsonSize requires a document input, found: {}", type_name(value))))
        }
    }
}

/// Bytes of the document as BSON.
pub(crate) fn document_bytes(document: &Document) -> usize {
    5 + document.iter().map(|(name, value)| 2 + name.len() + value_bytes(value)).sum::<usize>()
}

/// Bytes of the value as BSON, without its type and name.
pub(crate) fn value_bytes(value: &Bson) -> usize {
    match value {
        Bson::Double(_) | Bson::DateTime(_) | Bson::Timestamp(_) | Bson::Int64(_) => 8,
        Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text) => 5 + text.len(),
        Bson::Document(document) => document_bytes(document),
        Bson::Array(items) => {
            5 + items
                .iter()
                .enumerate()
                .map(|(index, item)| 2 + index.checked_ilog10().unwrap_or(0) as usize + 1 + value_bytes(item))
                .sum::<usize>()
        }
        Bson::Binary(binary) => {
            let old = matches!(binary.subtype, bson::spec::BinarySubtype::BinaryOld);
            5 + binary.bytes.len() + if old { 4 } else { 0 }
        }
        Bson::ObjectId(_) => 12,
        Bson::Boolean(_) => 1,
        Bson::Null | Bson::Undefined | Bson::MinKey | Bson::MaxKey => 0,
        Bson::RegularExpression(regex) => regex.pattern.as_str().len() + regex.options.as_str().len() + 2,
        Bson::DbPointer(_) => 16,
        Bson::JavaScriptCodeWithScope(code) => 9 + code.code.len() + document_bytes(&code.scope),
        Bson::Int32(_) => 4,
        Bson::Decimal128(_) => 16,
    }
}

/// A double in [0, 1).
pub(super) fn rand(_: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    some(crate::aggregate::random::unit_interval())
}
