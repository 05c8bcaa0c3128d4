//! `$redact`: keeps, prunes or descends into documents.

use bson::{Bson, Document};

use crate::aggregate::Row;
use crate::aggregate::expression::Expression;
use crate::error::{CommandError, CommandResult};
use crate::query::QueryContext;
use crate::query::value::{ArrayRef, DocumentRef, ValueRef};

const KEEP: &str = "keep";
const PRUNE: &str = "prune";
const DESCEND: &str = "descend";

/// The expression, with `$$KEEP`, `$$PRUNE` and `$$DESCEND`.
pub(super) fn parse(argument: &Bson, context: &QueryContext) -> CommandResult<Expression> {
    let mut context = context.clone();
    for (name, value) in [("KEEP", KEEP), ("PRUNE", PRUNE), ("DESCEND", DESCEND)] {
        context.variables.insert(name, value);
    }
    Expression::parse(argument, &context)
}

/// What is left of the row.
pub(super) fn apply(expression: &Expression, row: Row) -> CommandResult<Option<Row>> {
    let root = row.as_ref();
    Ok(redact(expression, root, root)?.map(Row::Owned))
}

fn redact(expression: &Expression, root: DocumentRef<'_>, current: DocumentRef<'_>) -> CommandResult<Option<Document>> {
    match expression.evaluate_at(root, current)? {
        Some(Bson::String(decision)) if decision == KEEP => Ok(Some(current.to_document())),
        Some(Bson::String(decision)) if decision == PRUNE => Ok(None),
        Some(Bson::String(decision)) if decision == DESCEND => {
            let mut kept = Document::new();
            for (name, value) in current.iter() {
                if let Some(value) = redact_value(expression, root, value)? {
                    kept.insert(name, value);
                }
            }
            Ok(Some(kept))
        }
        _ => Err(CommandError::new(
            17053,
            "$redact's expression should not return anything aside from the variables $$KEEP, $$DESCEND, and $$PRUNE",
        )),
    }
}

fn redact_value(expression: &Expression, root: DocumentRef<'_>, value: ValueRef<'_>) -> CommandResult<Option<Bson>> {
    match value {
        ValueRef::Document(document) => Ok(redact(expression, root, document)?.map(Bson::Document)),
        ValueRef::Array(items) => redact_array(expression, root, items).map(Some),
        other => Ok(Some(other.to_bson())),
    }
}

fn redact_array(expression: &Expression, root: DocumentRef<'_>, items: ArrayRef<'_>) -> CommandResult<Bson> {
    let mut kept = Vec::new();
    for item in items.iter() {
        if let Some(item) = redact_value(expression, root, item)? {
            kept.push(item);
        }
    }
    Ok(Bson::Array(kept))
}
