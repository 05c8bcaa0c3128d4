//! Object operators (MongoDB manual, "Object Expression Operators").

use bson::{Bson, Document};

use super::{NULL, Node, Scope, Value, is_nullish, some, type_name};
use crate::error::{CommandError, CommandResult};

pub(super) fn merge_objects(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let mut merged = Document::new();
    let mut take = |value: Value| match value {
        Some(Bson::Document(document)) => {
            merge_into(&mut merged, document);
            Ok(())
        }
        value if is_nullish(&value) => Ok(()),
        value => Err(not_an_object(&value)),
    };
    for node in nodes {
        match node.evaluate(scope)? {
            // The only argument may be the list of objects.
            Some(Bson::Array(items)) if nodes.len() == 1 => {
                items.into_iter().try_for_each(|item| take(Some(item)))?;
            }
            value => take(value)?,
        }
    }
    some(merged)
}

pub(in crate::aggregate) fn merge_into(merged: &mut Document, document: Document) {
    for (name, value) in document {
        merged.insert(name, value);
    }
}

pub(in crate::aggregate) fn not_an_object(value: &Value) -> CommandError {
    CommandError::new(40400, format!("$mergeObjects requires object inputs, but input is of type {}", type_name(value)))
}

/// The field's name, which may hold dots and dollar signs.
fn field_name<'a>(name: &str, value: &'a Value) -> CommandResult<&'a str> {
    match value {
        Some(Bson::String(field)) => Ok(field),
        other => Err(CommandError::new(
            3_041_704,
            format!("{name} requires 'field' to evaluate to type String, but got {}", type_name(other)),
        )),
    }
}

pub(super) fn get_field(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let field = field_name("$getField", &values[0])?;
    match &values[1] {
        Some(Bson::Document(document)) => Ok(document.get(field).cloned()),
        Some(Bson::Null | Bson::Undefined) => NULL,
        _ => Ok(None),
    }
}

pub(super) fn set_field(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let field = field_name("$setField", &values[0])?;
    with_field("$setField", &values[1], field, values[2].clone())
}

pub(super) fn unset_field(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let field = field_name("$unsetField", &values[0])?;
    with_field("$unsetField", &values[1], field, None)
}

fn with_field(name: &str, input: &Value, field: &str, value: Value) -> CommandResult<Value> {
    match input {
        Some(Bson::Document(document)) => {
            let mut document = document.clone();
            match value {
                Some(value) => {
                    document.insert(field, value);
                }
                None => {
                    document.remove(field);
                }
            }
            some(document)
        }
        input if is_nullish(input) => NULL,
        input => Err(CommandError::new(
            4_161_105,
            format!("{name} requires 'input' to evaluate to type Object, but got {}", type_name(input)),
        )),
    }
}
