//! What application users may use (rules-and-users 2.7, function-environment 7.9, 7.10). Lists are of what is allowed: an
//! operator of a later server is refused until somebody has looked at what it tells.

use bson::raw::{RawBsonRef, RawDocument};
use bson::{Bson, Document};

use crate::ServiceError;
use crate::arguments::Arguments;

const QUERY_OPERATORS: [&str; 19] = [
    "$eq",
    "$gt",
    "$gte",
    "$in",
    "$lt",
    "$lte",
    "$ne",
    "$nin",
    "$and",
    "$not",
    "$nor",
    "$or",
    "$all",
    "$elemMatch",
    "$size",
    "$exists",
    "$type",
    "$mod",
    "$comment",
];

/// Keys of references to documents: values, not operators.
const REFERENCE_KEYS: [&str; 3] = ["$ref", "$id", "$db"];

const UPDATE_OPERATORS: [&str; 15] = [
    "$currentDate",
    "$inc",
    "$min",
    "$max",
    "$mul",
    "$rename",
    "$set",
    "$setOnInsert",
    "$unset",
    "$addToSet",
    "$pop",
    "$pull",
    "$push",
    "$pullAll",
    "$bit",
];

const STAGES: [&str; 24] = [
    "$addFields",
    "$bucket",
    "$bucketAuto",
    "$count",
    "$densify",
    "$fill",
    "$group",
    "$limit",
    "$lookup",
    "$match",
    "$project",
    "$redact",
    "$replaceRoot",
    "$replaceWith",
    "$sample",
    "$search",
    "$set",
    "$setWindowFields",
    "$skip",
    "$sort",
    "$sortByCount",
    "$unionWith",
    "$unset",
    "$unwind",
];

const UPDATE_STAGES: [&str; 6] = ["$addFields", "$set", "$project", "$unset", "$replaceRoot", "$replaceWith"];

/// Operators that no expression of an aggregation may hold, and stages and predicates that hide in one.
const REFUSED_ANYWHERE: [&str; 20] = [
    "$function",
    "$accumulator",
    "$setIsSubset",
    "$where",
    "$expr",
    "$jsonSchema",
    "$regex",
    "$text",
    "$geoIntersects",
    "$geoWithin",
    "$near",
    "$nearSphere",
    "$bitsAllClear",
    "$bitsAllSet",
    "$bitsAnyClear",
    "$bitsAnySet",
    "$facet",
    "$graphLookup",
    "$merge",
    "$out",
];

/// Options that tell of documents past the rules, or belong to the operator.
const REFUSED_OPTIONS: [&str; 9] = [
    "collation",
    "readConcern",
    "writeConcern",
    "bypassDocumentValidation",
    "min",
    "max",
    "returnKey",
    "showRecordId",
    "allowDiskUse",
];

fn refused(what: &str, name: &str) -> ServiceError {
    ServiceError::bad_request(format!("the {what} '{name}' is not available to application users"))
}

/// Options of any action.
pub(super) fn check_options(options: Arguments<'_>) -> Result<(), ServiceError> {
    for name in REFUSED_OPTIONS {
        if options.value(name)?.is_some() {
            return Err(refused("option", name));
        }
    }
    Ok(())
}

/// A query, or a part of one.
pub(super) fn check_query(query: &Document) -> Result<(), ServiceError> {
    query.iter().try_for_each(|(key, value)| {
        if key.starts_with('$') && !QUERY_OPERATORS.contains(&key.as_str()) && !REFERENCE_KEYS.contains(&key.as_str()) {
            return Err(refused("query operator", key));
        }
        check_query_value(value)
    })
}

fn check_query_value(value: &Bson) -> Result<(), ServiceError> {
    match value {
        Bson::Document(document) => check_query(document),
        Bson::Array(elements) => elements.iter().try_for_each(check_query_value),
        // A pattern as a value is `$regex` in another spelling.
        Bson::RegularExpression(_) => Err(refused("query operator", "$regex")),
        Bson::JavaScriptCode(_) | Bson::JavaScriptCodeWithScope(_) => Err(refused("query operator", "$where")),
        _ => Ok(()),
    }
}

/// An update with operators.
pub(super) fn check_update(update: &Document) -> Result<(), ServiceError> {
    for (operator, fields) in update {
        if operator.starts_with('$') && !UPDATE_OPERATORS.contains(&operator.as_str()) {
            return Err(refused("update operator", operator));
        }
        if operator == "$pull" {
            check_query_value(fields)?;
        }
    }
    Ok(())
}

/// An update by stages.
pub(super) fn check_update_pipeline(pipeline: &[Document]) -> Result<(), ServiceError> {
    for stage in pipeline {
        for (name, argument) in stage {
            if !UPDATE_STAGES.contains(&name.as_str()) {
                return Err(refused("stage", name));
            }
            check_expression(argument)?;
        }
    }
    Ok(())
}

/// The stages of a pipeline, those inside of `$lookup` and `$unionWith` included.
pub(super) fn check_pipeline(pipeline: &[Document]) -> Result<(), ServiceError> {
    pipeline.iter().try_for_each(check_stage)
}

fn check_stage(stage: &Document) -> Result<(), ServiceError> {
    for (name, argument) in stage {
        if !STAGES.contains(&name.as_str()) {
            return Err(refused("stage", name));
        }
        match (name.as_str(), argument) {
            ("$match", Bson::Document(query)) => check_query(query)?,
            ("$lookup" | "$unionWith", Bson::Document(document)) => {
                for (key, value) in document {
                    match value {
                        Bson::Array(stages) if key == "pipeline" => {
                            for stage in stages {
                                let Bson::Document(stage) = stage else {
                                    return Err(ServiceError::invalid("aggregate: a stage must be an object"));
                                };
                                check_stage(stage)?;
                            }
                        }
                        other => check_expression(other)?,
                    }
                }
            }
            (_, argument) => check_expression(argument)?,
        }
    }
    Ok(())
}

/// An expression of an aggregation, or a projection.
pub(super) fn check_expression(value: &Bson) -> Result<(), ServiceError> {
    match value {
        Bson::Document(document) => document.iter().try_for_each(|(key, value)| {
            if REFUSED_ANYWHERE.contains(&key.as_str()) {
                return Err(refused("operator", key));
            }
            check_expression(value)
        }),
        Bson::Array(elements) => elements.iter().try_for_each(check_expression),
        _ => Ok(()),
    }
}

/// An order: fields and directions. Anything else computes something.
pub(super) fn check_sort(sort: &RawDocument) -> Result<(), ServiceError> {
    for element in sort {
        let (path, direction) = element?;
        if !matches!(direction, RawBsonRef::Int32(_) | RawBsonRef::Int64(_) | RawBsonRef::Double(_)) {
            return Err(ServiceError::bad_request(format!(
                "the order of '{}' is not available to application users: write 1 or -1",
                path.as_str()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn check(result: Result<(), ServiceError>, named: Option<&str>) {
        match (result, named) {
            (Ok(()), None) => {}
            (Err(error), Some(named)) => {
                assert_eq!(error.error_code(), "BadRequest");
                assert!(error.to_string().contains(&format!("'{named}'")), "{error} should name {named}");
            }
            (result, named) => panic!("{result:?}, expected {named:?}"),
        }
    }

    #[test]
    fn queries() {
        check(
            check_query(&doc! { "a": { "$gt": 1 }, "$or": [{ "b": { "$elemMatch": { "c": { "$in": [1] } } } }] }),
            None,
        );
        check(check_query(&doc! { "author": { "$ref": "users", "$id": 1 } }), None);
        let regex =
            Bson::RegularExpression(bson::Regex { pattern: bson::cstr!("x").into(), options: bson::cstr!("").into() });
        for (query, named) in [
            (doc! { "$expr": {} }, "$expr"),
            (doc! { "a": { "$regex": "x" } }, "$regex"),
            (doc! { "a": regex.clone() }, "$regex"),
            (doc! { "a": { "$in": [regex.clone()] } }, "$regex"),
            (doc! { "a": { "$not": regex } }, "$regex"),
            (doc! { "$and": [{ "$or": [{ "$where": "true" }] }] }, "$where"),
            (doc! { "a": { "$elemMatch": { "b": { "$near": [1, 2] } } } }, "$near"),
            (doc! { "$text": { "$search": "x" } }, "$text"),
            (doc! { "a": { "$bitsAllSet": 1 } }, "$bitsAllSet"),
            (doc! { "$sampleRate": 0.5 }, "$sampleRate"),
        ] {
            check(check_query(&query), Some(named));
        }
    }

    #[test]
    fn pipelines() {
        check(
            check_pipeline(&[doc! { "$match": { "a": 1 } }, doc! { "$group": { "_id": "$a", "n": { "$sum": 1 } } }]),
            None,
        );
        check(
            check_pipeline(&[doc! { "$lookup": { "from": "b", "localField": "a", "foreignField": "b", "as": "c" } }]),
            None,
        );
        for (stage, named) in [
            (doc! { "$out": "x" }, "$out"),
            (doc! { "$merge": "x" }, "$merge"),
            (doc! { "$facet": { "a": [] } }, "$facet"),
            (doc! { "$graphLookup": {} }, "$graphLookup"),
            (doc! { "$collStats": {} }, "$collStats"),
            (doc! { "$indexStats": {} }, "$indexStats"),
            (doc! { "$documents": [] }, "$documents"),
            (doc! { "$changeStream": {} }, "$changeStream"),
            (doc! { "$searchMeta": {} }, "$searchMeta"),
            (doc! { "$match": { "$expr": {} } }, "$expr"),
            (doc! { "$lookup": { "from": "b", "pipeline": [{ "$out": "x" }], "as": "c" } }, "$out"),
            (
                doc! { "$lookup": { "from": "b", "pipeline": [{ "$lookup": { "from": "b", "pipeline": [{ "$graphLookup": {} }], "as": "d" } }], "as": "c" } },
                "$graphLookup",
            ),
            (doc! { "$unionWith": { "coll": "b", "pipeline": [{ "$merge": "x" }] } }, "$merge"),
            (doc! { "$project": { "a": { "$function": {} } } }, "$function"),
            (doc! { "$group": { "_id": 1, "a": { "$accumulator": {} } } }, "$accumulator"),
        ] {
            check(check_pipeline(&[stage]), Some(named));
        }
    }

    #[test]
    fn updates() {
        check(
            check_update(
                &doc! { "$set": { "a": 1 }, "$pull": { "l": { "x": { "$gt": 1 } } }, "$bit": { "n": { "and": 1 } } },
            ),
            None,
        );
        check(check_update(&doc! { "$pull": { "l": { "$regex": "x" } } }), Some("$regex"));
        check(check_update(&doc! { "$future": { "a": 1 } }), Some("$future"));
        check(check_update_pipeline(&[doc! { "$set": { "a": "$b" } }]), None);
        check(check_update_pipeline(&[doc! { "$lookup": {} }]), Some("$lookup"));
        check(check_update_pipeline(&[doc! { "$set": { "a": { "$function": {} } } }]), Some("$function"));
    }
}
