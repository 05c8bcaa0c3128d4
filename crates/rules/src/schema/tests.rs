//! Keywords of schemas, RU-67 to RU-71.

use std::sync::Arc;

use app_model::User;
use bson::{Bson, Document, bson, doc};
use serde_json::{Value as Json, json};

use super::Schema;
use crate::tests::{Functions, wait};
use crate::{Access, Surroundings};

fn violation(schema: &Json, before: Option<Document>, after: Option<Document>) -> Option<String> {
    let schema = Schema::parse(schema).unwrap_or_else(|errors| panic!("{errors:?}")).expect("a schema");
    let surroundings = Surroundings::new(Arc::default(), &User::of_id("u1"), &json!({}));
    let functions = Functions::default();
    let access = Access { surroundings: &surroundings, functions: &functions };
    let (before, after) = (before.map(Bson::Document), after.map(Bson::Document));
    let result = match (&before, &after) {
        (before, Some(after)) => wait(access.validate(&schema, before.as_ref(), after)),
        (Some(before), None) => wait(access.validate_delete(&schema, before)),
        (None, None) => panic!("a document before or after"),
    };
    result.err().map(|violation| format!("{} {}", violation.path, violation.keyword).trim().to_owned())
}

/// A schema for the field `a`, and values with the keyword that each violates, or "".
fn check(schema: Json, values: &[(Bson, &str)]) {
    let schema = json!({"bsonType": "object", "properties": {"a": schema}});
    for (value, expected) in values {
        let found = violation(&schema, None, Some(doc! { "_id": 1, "a": value.clone() }));
        let found = found.as_deref().map(|found| found.rsplit(' ').next().unwrap_or(found)).unwrap_or_default();
        assert_eq!(found, *expected, "{schema} {value}");
    }
}

#[test]
fn types() {
    let oid = Bson::ObjectId(bson::oid::ObjectId::new());
    check(json!({"bsonType": "string"}), &[(bson!("x"), ""), (bson!(1), "bsonType"), (Bson::Null, "bsonType")]);
    check(json!({"type": "string"}), &[(bson!("x"), ""), (bson!(1), "bsonType")]);
    check(json!({"bsonType": ["string", "null"]}), &[(bson!("x"), ""), (Bson::Null, ""), (bson!(1), "bsonType")]);
    check(json!({"bsonType": "objectId"}), &[(oid, ""), (bson!("5f6aae9a82989d521a606369"), "bsonType")]);
    check(
        json!({"bsonType": "int"}),
        &[(bson!(1), ""), (bson!(1.0), ""), (bson!(1_i64), ""), (bson!(1.5), "bsonType"), (bson!(3e9), "bsonType")],
    );
    check(json!({"bsonType": "long"}), &[(bson!(1), ""), (bson!(3e9), ""), (bson!(0.5), "bsonType")]);
    check(json!({"bsonType": "double"}), &[(bson!(1.5), ""), (bson!(1), ""), (bson!("1"), "bsonType")]);
    check(json!({"bsonType": "number"}), &[(bson!(1), ""), (bson!("1"), "bsonType")]);
    check(json!({"bsonType": "bool"}), &[(bson!(true), ""), (bson!(1), "bsonType")]);
    check(json!({"bsonType": "mixed"}), &[(bson!(true), ""), (Bson::Null, "")]);
    let binary = |subtype| Bson::Binary(bson::Binary { subtype, bytes: vec![0; 16] });
    check(
        json!({"bsonType": "uuid"}),
        &[(binary(bson::spec::BinarySubtype::Uuid), ""), (binary(bson::spec::BinarySubtype::Generic), "bsonType")],
    );
}

#[test]
fn values() {
    check(json!({"enum": ["x", 1]}), &[(bson!("x"), ""), (bson!(1.0), ""), (bson!("1"), "enum")]);
    check(
        json!({"minLength": 2, "maxLength": 3, "pattern": "^[a-zé]"}),
        &[
            (bson!("éa"), ""),
            (bson!("a"), "minLength"),
            (bson!("abcd"), "maxLength"),
            (bson!("1ab"), "pattern"),
            (bson!(5), ""),
        ],
    );
    check(
        json!({"minimum": 1, "maximum": 5, "exclusiveMaximum": true, "multipleOf": 0.5}),
        &[
            (bson!(1), ""),
            (bson!(0.5), "minimum"),
            (bson!(5), "maximum"),
            (bson!(4.5), ""),
            (bson!(4.3), "multipleOf"),
            (bson!("9"), ""),
        ],
    );
    check(
        json!({"items": {"bsonType": "int"}, "minItems": 1, "maxItems": 3, "uniqueItems": true}),
        &[
            (bson!([1, 2]), ""),
            (bson!([]), "minItems"),
            (bson!([1, 2, 3, 4]), "maxItems"),
            (bson!([1, 1.0]), "uniqueItems"),
            (bson!([1, "x"]), "bsonType"),
        ],
    );
    check(
        json!({"items": [{"bsonType": "int"}, {"bsonType": "string"}], "additionalItems": false}),
        &[(bson!([1, "a"]), ""), (bson!([1]), ""), (bson!(["a"]), "bsonType"), (bson!([1, "a", 2]), "additionalItems")],
    );
    check(
        json!({"bsonType": "object", "required": ["x"], "properties": {"x": {"bsonType": "int"}}, "patternProperties": {"^s_": {"bsonType": "string"}}, "additionalProperties": {"bsonType": "bool"}, "maxProperties": 3, "dependencies": {"x": ["y"]}}),
        &[
            (bson!({ "x": 1, "y": true }), ""),
            (bson!({ "y": true }), "required"),
            (bson!({ "x": 1 }), "dependencies"),
            (bson!({ "x": 1, "y": 2 }), "bsonType"),
            (bson!({ "x": 1, "y": true, "s_a": 1 }), "bsonType"),
            (bson!({ "x": 1, "y": true, "s_a": "t" }), ""),
            (bson!({ "x": 1, "y": true, "z": true, "s_a": "t" }), "maxProperties"),
        ],
    );
}

#[test]
fn documents() {
    let schema =
        json!({"required": ["name"], "properties": {"name": {"bsonType": "string"}}, "additionalProperties": false});
    let inserted = |document: Document| violation(&schema, None, Some(document));
    assert_eq!(inserted(doc! { "_id": 1, "name": "n" }), None);
    assert_eq!(inserted(doc! { "_id": 1 }), Some("name required".to_owned()));
    assert_eq!(inserted(doc! { "_id": 1, "name": null }), Some("name bsonType".to_owned()));
    assert_eq!(inserted(doc! { "_id": 1, "name": "n", "other": 1 }), Some("other additionalProperties".to_owned()));
    assert_eq!(inserted(doc! { "_id": 1, "name": "n", "_id__baas_transaction": 1 }), None);
}

#[test]
fn expressions() {
    let schema = json!({"properties": {"age": {"validate": {"%%this": {"%gte": "%%prev"}}}}, "validate": {"%or": [{"%%prevRoot": {"%exists": true}}, {"%%root.status": "new"}]}});
    let age = |age: i32| doc! { "_id": 1, "age": age };
    assert_eq!(violation(&schema, Some(age(3)), Some(age(4))), None);
    assert_eq!(violation(&schema, Some(age(3)), Some(age(2))), Some("age validate".to_owned()));
    assert_eq!(violation(&schema, Some(age(3)), Some(doc! { "_id": 1 })), Some("age validate".to_owned()));
    assert_eq!(violation(&schema, Some(doc! { "_id": 1 }), Some(doc! { "_id": 1 })), None);
    assert_eq!(violation(&schema, None, Some(doc! { "_id": 1, "status": "old" })), Some("validate".to_owned()));
    assert_eq!(violation(&schema, None, Some(doc! { "_id": 1, "status": "new" })), None);
    assert_eq!(violation(&schema, Some(doc! { "_id": 1 }), None), None);
    assert_eq!(violation(&schema, Some(age(3)), None), Some("age validate".to_owned()));
}

#[test]
fn mistakes_are_named() {
    let cases = [
        (json!([]), ""),
        (json!({"bsonType": "text"}), "bsonType"),
        (json!({"properties": {"a": {"minLength": "x"}}}), "properties.a.minLength"),
        (json!({"properties": {"a": {"pattern": "("}}}), "properties.a.pattern"),
        (json!({"items": [{"enum": 5}]}), "items.0.enum"),
        (json!({"required": "name"}), "required"),
        (json!({"validate": {"%nonsense": 1}}), "validate.%nonsense"),
    ];
    for (schema, path) in cases {
        let errors = Schema::parse(&schema).expect_err("a mistake");
        assert_eq!(errors[0].path(), path, "{schema}");
    }
    assert!(Schema::parse(&json!({})).expect("no schema").is_none());
    assert!(Schema::parse(&json!({"title": "T", "unknown": 5})).is_ok());
}
