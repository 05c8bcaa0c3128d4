//! Filters as user code gives them.

use bson::Document;
use bson::raw::{RawArray, RawBsonRef, RawDocument};

use crate::ServiceError;
use crate::arguments::Arguments;

/// The `filter` argument: absent or null means everything. A comparison with undefined is refused here, because some server
/// versions let it pass and would match more than the author meant (function-environment 2.7, DB-20).
pub(crate) fn filter(arguments: Arguments<'_>) -> Result<Document, ServiceError> {
    match arguments.optional_raw_document("filter")? {
        None => Ok(Document::new()),
        Some(filter) => parse_filter(filter),
    }
}

/// The same for a filter found elsewhere, such as in a bulk write.
pub(crate) fn parse_filter(filter: &RawDocument) -> Result<Document, ServiceError> {
    refuse_undefined(filter)?;
    Ok(Document::try_from(filter)?)
}

fn refuse_undefined(filter: &RawDocument) -> Result<(), ServiceError> {
    for element in filter {
        let (key, value) = element?;
        match (key.as_str(), value) {
            ("$and" | "$or" | "$nor", RawBsonRef::Array(branches)) => {
                for branch in branches {
                    if let RawBsonRef::Document(branch) = branch? {
                        refuse_undefined(branch)?;
                    }
                }
            }
            // Expressions and schemas have their own rules for undefined; comments have none.
            (operator, _) if operator.starts_with('$') => {}
            (_, RawBsonRef::Undefined) => return Err(cannot_compare()),
            (_, RawBsonRef::Document(condition)) => refuse_undefined_operand(condition)?,
            _ => {}
        }
    }
    Ok(())
}

fn refuse_undefined_operand(condition: &RawDocument) -> Result<(), ServiceError> {
    for element in condition {
        let (operator, operand) = element?;
        match (operator.as_str(), operand) {
            ("$eq" | "$ne" | "$gt" | "$gte" | "$lt" | "$lte", RawBsonRef::Undefined) => return Err(cannot_compare()),
            ("$in" | "$nin" | "$all", RawBsonRef::Array(values)) => refuse_undefined_element(values)?,
            ("$not" | "$elemMatch", RawBsonRef::Document(nested)) => {
                refuse_undefined_operand(nested)?;
                refuse_undefined(nested)?;
            }
            // A plain document is a value to compare with as a whole.
            (key, _) if !key.starts_with('$') => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

fn refuse_undefined_element(values: &RawArray) -> Result<(), ServiceError> {
    for value in values {
        if matches!(value?, RawBsonRef::Undefined) {
            return Err(cannot_compare());
        }
    }
    Ok(())
}

fn cannot_compare() -> ServiceError {
    ServiceError::Command {
        code: 2,
        code_name: "BadValue".to_owned(),
        text: "cannot compare to undefined".to_owned(),
        labels: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use bson::raw::RawDocumentBuf;
    use bson::{Bson, Document, doc};

    use super::*;

    fn check(filter: Document, refused: bool) {
        let raw = RawDocumentBuf::try_from(&filter).expect("a small document encodes");
        match parse_filter(&raw) {
            Ok(parsed) => {
                assert!(!refused, "{filter} should be refused");
                assert_eq!(parsed, filter);
            }
            Err(error) => {
                assert!(refused, "{filter} should pass: {error}");
                assert_eq!(error.to_string(), "(BadValue) cannot compare to undefined");
            }
        }
    }

    #[test]
    fn comparisons_with_undefined_are_refused() {
        let undefined = || Bson::Undefined;
        check(doc! { "a": undefined() }, true);
        check(doc! { "a": { "$gt": undefined() } }, true);
        check(doc! { "a": { "$in": [1, undefined()] } }, true);
        check(doc! { "a": { "$not": { "$eq": undefined() } } }, true);
        check(doc! { "a": { "$elemMatch": { "b": undefined() } } }, true);
        check(doc! { "$and": [{ "b": 1 }, { "$or": [{ "a": undefined() }] }] }, true);
    }

    #[test]
    fn other_uses_of_undefined_are_left_to_the_server() {
        check(doc! {}, false);
        check(doc! { "a": null, "b": { "$exists": Bson::Undefined } }, false);
        check(doc! { "a": { "b": Bson::Undefined } }, false);
        check(doc! { "$expr": { "$eq": ["$a", Bson::Undefined] } }, false);
    }
}
