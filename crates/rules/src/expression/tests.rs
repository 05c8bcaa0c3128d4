//! The truth table of rules-and-users 1.10 as data, what it leaves out as tables, and properties.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use app_model::{CallFunction, FunctionCall, FunctionFailure, User};
use bson::{Bson, Document, bson, doc};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::literal::from_json;
use super::{Bindings, Expression, Fault, Place, Surroundings, Verdict};

const USER_ID: &str = "5f6aae9a82989d521a606369";

fn custom_data() -> Document {
    doc! { "team": "red", "manages": ["b@x.io", "c@x.io"], "admin": true, "level": 3 }
}

fn user(custom_data: Document) -> Document {
    doc! { "id": USER_ID, "type": "normal", "data": { "email": "a@x.io" }, "custom_data": custom_data, "identities": [{ "id": "1", "provider_type": "api-key", "providerType": "api-key" }] }
}

fn request() -> Document {
    doc! { "httpMethod": "POST", "remoteIPAddress": "10.0.0.1", "requestHeaders": { "X-Secret-Key": ["s3"] } }
}

fn surroundings() -> Surroundings {
    Surroundings::from_parts(
        user(custom_data()),
        request(),
        doc! { "admin_ids": [USER_ID], "allowedIPs": ["10.0.0.1"], "secretKey": "s3", "nothing": null, "list": ["x", null], "flags": [true], "pattern": "^a" },
        doc! { "tag": "production", "values": { "baseUrl": "https://p" } },
    )
}

/// What each function was told to return; the rest throws.
#[derive(Default)]
struct Functions {
    returns: BTreeMap<String, Bson>,
    calls: Mutex<Vec<FunctionCall>>,
}

impl CallFunction for Functions {
    fn call_function<'a>(
        &'a self,
        call: FunctionCall,
    ) -> Pin<Box<dyn Future<Output = Result<Bson, FunctionFailure>> + Send + 'a>> {
        let result =
            self.returns.get(&call.name).cloned().ok_or_else(|| FunctionFailure { message: "thrown".to_owned() });
        self.calls.lock().unwrap().push(call);
        Box::pin(async move { result })
    }
}

fn decide(expression: &Expression, bindings: &Bindings<'_>, functions: &Functions) -> Verdict {
    let mut future = pin!(expression.decide(bindings, functions));
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verdict) => verdict,
        Poll::Pending => panic!("nothing in these tests waits"),
    }
}

fn place(name: &str) -> Place {
    match name {
        "role" => Place::RoleApplyWhen,
        "permission" => Place::RolePermission,
        "field" => Place::FieldPermission,
        "validate" => Place::SchemaValidate,
        "can_evaluate" => Place::CanEvaluate,
        "service" => Place::ServiceRule,
        "search" => Place::RoleSearch,
        "filter" => Place::FilterApplyWhen,
        other => panic!("no place {other}"),
    }
}

#[test]
fn truth_table() {
    let rows: Vec<Json> = serde_json::from_str(include_str!("truth_table.json")).unwrap();
    let ids: BTreeSet<String> = rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    let wanted: BTreeSet<String> = (1..=82).map(|number| format!("T{number:02}")).collect();
    assert_eq!(ids, wanted);
    for row in rows {
        let id = row["id"].as_str().unwrap();
        let expected = row["expect"].as_bool().unwrap();
        let parsed = Expression::parse(&row["expression"], place(row["place"].as_str().unwrap()));
        if let Some(error) = row.get("load_error") {
            let found = parsed.expect_err(id).to_string();
            assert!(found.contains(error.as_str().unwrap()), "{id}: {found}");
            continue;
        }
        let expression = parsed.unwrap_or_else(|error| panic!("{id}: {error}"));
        let given = |key: &str| row["bindings"].get(key).map(from_json);
        let mut surroundings = surroundings();
        if let Some(Bson::Document(custom_data)) = given("custom_data") {
            surroundings = surroundings.with_user(user(custom_data));
        }
        if let Some(environment) = given("environment") {
            surroundings = surroundings.with_environment(environment);
        }
        if let Some(request) = given("request") {
            surroundings = surroundings.with_request(request);
        }
        let (root, prev_root, this, prev, args) =
            (given("root"), given("prev_root"), given("this"), given("prev"), given("args"));
        let bindings = Bindings {
            surroundings: &surroundings,
            root: root.as_ref(),
            prev_root: prev_root.as_ref(),
            this: this.as_ref(),
            prev: prev.as_ref(),
            args: args.as_ref(),
        };
        let mut functions = Functions::default();
        for (name, function) in row["functions"].as_object().into_iter().flatten() {
            if let Some(result) = function.get("returns") {
                functions.returns.insert(name.clone(), from_json(result));
            }
        }
        let verdict = decide(&expression, &bindings, &functions);
        assert_eq!(verdict.is_true(), expected, "{id}: {verdict:?}");
        let calls = functions.calls.into_inner().unwrap();
        for (name, function) in row["functions"].as_object().into_iter().flatten() {
            let call =
                calls.iter().find(|call| call.name == *name).unwrap_or_else(|| panic!("{id}: {name} was not called"));
            assert_eq!(Bson::Array(call.arguments.clone()), from_json(&function["arguments"]), "{id}");
        }
        if row.get("functions").is_none() {
            assert_eq!(expression.evaluate(&bindings), verdict, "{id}");
        }
    }
}

/// Evaluates in a role, with `root` as the document.
#[track_caller]
fn check(root: Bson, cases: &[(Json, Verdict)]) {
    let surroundings = surroundings();
    for (expression, expected) in cases {
        let parsed =
            Expression::parse(expression, Place::RoleApplyWhen).unwrap_or_else(|error| panic!("{expression}: {error}"));
        let bindings = Bindings { root: Some(&root), ..Bindings::new(&surroundings) };
        assert_eq!(parsed.evaluate(&bindings), *expected, "{expression} on {root}");
    }
}

const YES: Verdict = Verdict::True;
const NO: Verdict = Verdict::False;
const MISSING: Verdict = Verdict::Error(Fault::MissingOperand);

#[test]
fn errors_stay_errors() {
    check(
        bson!({ "a": 1 }),
        &[
            (json!({"a": "%%user.data.none"}), MISSING),
            (json!({"%not": {"a": "%%user.data.none"}}), MISSING),
            (json!({"%nor": [{"a": "%%user.data.none"}]}), MISSING),
            (json!({"a": {"%not": {"%eq": "%%user.data.none"}}}), MISSING),
            (json!({"a": {"%ne": "%%user.data.none"}}), MISSING),
            (json!({"a": {"%nin": ["%%user.data.none"]}}), MISSING),
            (json!({"%%false": {"a": "%%user.data.none"}}), MISSING),
            (json!({"%%false": "%%user.data.none"}), MISSING),
            (json!({"%or": [{"a": "%%user.data.none"}, {"a": 1}]}), YES),
            (json!({"%or": [{"a": "%%user.data.none"}, {"a": 2}]}), MISSING),
            (json!({"%and": [{"a": "%%user.data.none"}, {"a": 2}]}), NO),
            (json!({"%and": [{"a": "%%user.data.none"}, {"a": 1}]}), MISSING),
            (json!({"%nor": [{"a": "%%user.data.none"}, {"a": 1}]}), NO),
            (json!({"a": {"%ne": {"%stringToOid": 1.to_string()}}}), Verdict::Error(Fault::NotConvertible)),
            (json!({"a": {"%nin": "%%user.data"}}), Verdict::Error(Fault::NotAList)),
            (json!({"a": {"%nin": "%%values.nothing"}}), Verdict::Error(Fault::NotAList)),
            (json!({"a": {"%not": {"%in": {"%stringToOid": "%%user.id"}}}}), Verdict::Error(Fault::NotAList)),
            (json!({"a": {"%not": {"%size": "%%user.id"}}}), Verdict::Error(Fault::WrongOperand)),
            (json!({"%%true": {"%function": {"name": "f"}}}), Verdict::Error(Fault::FunctionNotCalled)),
        ],
    );
}

#[test]
fn equality() {
    check(
        bson!({ "a": null, "list": ["x", null], "deep": [["x"]], "doc": { "a": 1, "b": 2 }, "empty": {}, "n": 1.0, "t": true, "arr": [{ "b": [{ "c": 1 }, { "c": 2 }] }, 5] }),
        &[
            (json!({"a": null}), YES),
            (json!({"none": null}), YES),
            (json!({"none": {"%eq": null}}), YES),
            (json!({"none": {"%ne": null}}), NO),
            (json!({"none": "%%values.nothing"}), NO),
            (json!({"a": "%%values.nothing"}), YES),
            (json!({"list": null}), YES),
            (json!({"list": "%%values.nothing"}), NO),
            (json!({"none": {"%in": [null]}}), YES),
            (json!({"none": {"%in": "%%values.list"}}), NO),
            (json!({"a": {"%in": "%%values.list"}}), YES),
            (json!({"deep": ["x"]}), YES),
            (json!({"deep": "x"}), NO),
            (json!({"list": {"%in": [["x"]]}}), NO),
            (json!({"n": {"%in": [[1]]}}), NO),
            (json!({"n": [0, 1]}), YES),
            (json!({"doc": {"a": 1, "b": 2}}), YES),
            (json!({"doc": {"b": 2, "a": 1}}), NO),
            (json!({"doc": {"a": 1}}), NO),
            (json!({"doc": {"a": "%%user.custom_data.level", "b": 2}}), NO),
            (json!({"doc": {"a": "%%root.n", "b": 2}}), YES),
            (json!({"doc": {"a": "%%root.none", "b": 2}}), MISSING),
            (json!({"empty": {}}), YES),
            (json!({"doc": {}}), NO),
            (json!({"t": 1}), NO),
            (json!({"n": true}), NO),
            (json!({"n": "1"}), NO),
            (json!({"arr.b.c": 2}), YES),
            (json!({"arr.b.1.c": 2}), YES),
            (json!({"arr.0.b.c": 3}), NO),
            (json!({"arr.1": 5}), YES),
            (json!({"arr.1.b": {"%exists": false}}), YES),
            (json!({"%%user.identities.provider_type": "api-key"}), YES),
            (json!({"%%user.id": {"%eq": "%%user.id"}}), YES),
            (json!({"%%user": {"%exists": true}}), YES),
            (json!({"%%user.type": {"%nin": ["server", "system"]}}), YES),
            (json!({"list.0": "x"}), YES),
        ],
    );
}

#[test]
fn constants() {
    check(
        bson!({ "a": 1, "flag": true }),
        &[
            (json!("%%true"), YES),
            (json!("%%false"), NO),
            (json!({"%%true": "%%root.flag"}), YES),
            (json!({"%%false": "%%root.flag"}), NO),
            (json!({"%%true": "%%values.flags"}), NO),
            (json!({"%%true": 1}), NO),
            (json!({"%%true": {}}), YES),
            (json!({"%%false": {}}), NO),
            (json!({"%%true": {"a": 1}}), YES),
            (json!({"%%false": {"a": 1}}), NO),
            (json!({"%%false": {"a": 2}}), YES),
            (json!({"%%true": {"%or": [{"a": 2}, {"%%user.type": "normal"}]}}), YES),
            (json!({"%%true": {"%not": {"a": 1}}}), NO),
            (json!({"%%true": {"%eq": "%%root.flag"}}), YES),
            (json!({"%%true": {"%not": {"%eq": false}}}), YES),
            (json!({"%%true": {"%exists": true}}), YES),
            (json!({"%or": ["%%true", {"a": 2}]}), YES),
            (json!({"%and": [true, {"%not": false}]}), YES),
        ],
    );
}

#[test]
fn other_operators() {
    check(
        bson!({ "n": 7, "s": "Abc\nd", "list": [1, 5, "x"], "items": [{ "sku": "a", "q": 1 }, { "sku": "b", "q": 5 }], "none": null }),
        &[
            (json!({"list": {"%all": [1, "x"]}}), YES),
            (json!({"list": {"%all": [1, 2]}}), NO),
            (json!({"list": {"%all": []}}), NO),
            (json!({"n": {"%all": [7]}}), NO),
            (json!({"list": {"%all": "%%user.custom_data.none"}}), MISSING),
            (json!({"list": {"%size": 3}}), YES),
            (json!({"list": {"%size": 2}}), NO),
            (json!({"n": {"%size": 1}}), NO),
            (json!({"list": {"%elemMatch": {"%gt": 3, "%lt": 6}}}), YES),
            (json!({"list": {"%elemMatch": {"%gt": 5}}}), NO),
            (json!({"items": {"%elemMatch": {"sku": "a", "q": {"%gt": 3}}}}), NO),
            (json!({"items": {"%elemMatch": {"sku": "b", "q": {"%gt": 3}}}}), YES),
            (json!({"items.sku": "a", "items.q": {"%gt": 3}}), YES),
            (json!({"n": {"%type": "int"}}), YES),
            (json!({"n": {"%type": "number"}}), YES),
            (json!({"n": {"%type": ["string", 16]}}), YES),
            (json!({"list": {"%type": "array"}}), YES),
            (json!({"list": {"%type": "string"}}), YES),
            (json!({"gone": {"%type": "null"}}), NO),
            (json!({"none": {"%type": 10}}), YES),
            (json!({"s": {"%regex": "^abc$", "%options": "im"}}), YES),
            (json!({"s": {"$regex": "^abc"}}), NO),
            (json!({"list": {"%regex": "x"}}), YES),
            (json!({"n": {"%regex": "7"}}), NO),
            (json!({"%%user.data.email": {"%regex": "%%values.pattern"}}), YES),
            (json!({"n": {"%mod": [4, 3]}}), YES),
            (json!({"n": {"%mod": [4, 2]}}), NO),
            (json!({"s": {"%mod": [4, 3]}}), NO),
            (json!({"list": {"%gt": 4}}), YES),
            (json!({"list": {"%gt": 5}}), NO),
            (json!({"n": {"%gt": "%%user.custom_data.manages"}}), NO),
            (json!({"s": {"%gt": "Abb"}}), YES),
            (json!({"n": {"%gt": null}}), NO),
            (json!({"none": {"%exists": true}}), YES),
            (json!({"gone": {"%exists": "%%false"}}), YES),
            (json!({"n": {"%or": [{"%lt": 0}, {"%gt": 5}]}}), YES),
            (json!({"n": {"%nor": [{"%lt": 0}, {"%gt": 50}]}}), YES),
            (json!({"n": {"%in": 7}}), YES),
            (json!({"n": {"%in": [{"%stringToOid": "%%user.id"}, 7]}}), YES),
        ],
    );
}

#[test]
fn conversions() {
    let uuid = "3b241101-e2bb-4255-8caf-4136c566a962";
    let binary = from_json(&json!({"$uuid": uuid}));
    check(
        bson!({ "oid": bson::oid::ObjectId::parse_str(USER_ID).unwrap(), "twelve": bson::oid::ObjectId::from_bytes(*b"abcdefghijkl"), "uuid": binary, "text": uuid, "upper": USER_ID.to_uppercase() }),
        &[
            (json!({"oid": {"%stringToOid": USER_ID}}), YES),
            (json!({"oid": {"%stringToOid": "%%root.upper"}}), YES),
            (json!({"twelve": {"%stringToOid": "abcdefghijkl"}}), YES),
            (json!({"%%user.id": {"%oidToString": {"$oid": USER_ID}}}), YES),
            (json!({"%%user.id": {"%oidToString": "%%root.oid"}}), YES),
            (json!({"oid": {"%oidToString": "%%root.oid"}}), NO),
            (json!({"uuid": {"%stringToUuid": "%%root.text"}}), YES),
            (json!({"text": {"%uuidToString": "%%root.uuid"}}), YES),
            (json!({"text": {"%uuidToString": "%%root.text"}}), Verdict::Error(Fault::NotConvertible)),
            (json!({"uuid": {"%stringToUuid": uuid.replace('-', "")}}), Verdict::Error(Fault::NotConvertible)),
            (json!({"oid": {"%stringToOid": "%%root.gone"}}), MISSING),
            (json!({"oid": {"%in": [{"%stringToOid": "%%user.id"}]}}), YES),
        ],
    );
}

#[test]
fn extended_json_is_a_value() {
    check(
        bson!({ "l": 5_i64, "b": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2, 3] }, "min": Bson::MinKey }),
        &[
            (json!({"l": {"$numberLong": "5"}}), YES),
            (json!({"l": {"$numberDecimal": "5.0"}}), YES),
            (json!({"b": {"$binary": {"base64": "AQID", "subType": "00"}}}), YES),
            (json!({"b": {"$binary": "AQID", "$type": "00"}}), YES),
            (json!({"min": {"$minKey": 1}}), YES),
            (json!({"l": {"$gt": {"$numberInt": "4"}}}), YES),
        ],
    );
}

#[test]
fn headers() {
    let request = json!({
        "httpMethod": "GET", "rawQueryString": "",
        "requestHeaders": {"X-Team": ["red", "blue"], "A.b": ["dot"], "$oid": ["no ObjectId"]},
    });
    let surroundings = Surroundings::new(Arc::default(), &User::of_id("u1"), &request);
    for (expression, expected) in [
        (json!({"%%request.requestHeaders.x-team": "blue"}), true),
        (json!({"%%request.requestHeaders.X-TEAM": {"%in": ["red"]}}), true),
        (json!({"%%request.requestHeaders.x-team": {"%nin": ["red"]}}), false),
        (json!({"%%request.requestHeaders.x-team": ["red", "blue"]}), true),
        (json!({"%%request.requestHeaders.x-team.1": "blue"}), true),
        (json!({"%%request.requestHeaders.x-team": "green"}), false),
        (json!({"%%request.requestHeaders.a.B": "dot"}), true),
        (json!({"%%request.requestHeaders.$oid": "no ObjectId"}), true),
        (json!({"%%request.requestHeaders.x-none": {"%exists": false}}), true),
        (json!({"%%request.httpReferrer": {"%exists": false}}), true),
        (json!({"%%request.rawQueryString": ""}), true),
    ] {
        let parsed = Expression::parse(&expression, Place::CanEvaluate).unwrap();
        assert_eq!(parsed.evaluate(&Bindings::new(&surroundings)).is_true(), expected, "{expression}");
    }
}

#[test]
fn functions_are_called_only_when_they_matter() {
    let surroundings = surroundings();
    let call = |name: &str| json!({"%%true": {"%function": {"name": name, "arguments": ["%%user.none", {"deep": ["%%user.id"]}, {"%stringToOid": "%%user.id"}, {"$set": 1}]}}});
    let cases = [
        (json!({"%or": [call("yes"), call("other")]}), true, vec!["yes"]),
        (json!({"%or": [{"%%user.type": "normal"}, call("yes")]}), true, vec![]),
        (json!({"%or": [call("yes"), {"%%user.type": "normal"}]}), true, vec![]),
        (json!({"%and": [call("yes"), {"%%user.type": "server"}]}), false, vec![]),
        (json!({"%and": [call("yes"), call("no"), call("other")]}), false, vec!["yes", "no"]),
        (json!({"%or": [call("throws"), call("yes")]}), true, vec!["throws", "yes"]),
        (json!({"%not": call("throws")}), false, vec!["throws"]),
        (json!({"%%user.type": {"%in": {"%function": {"name": "list"}}}}), true, vec!["list"]),
        (json!({"%%true": {"%function": {"name": "truths"}}}), false, vec!["truths"]),
        (json!({"%%true": {"%ne": {"%function": {"name": "nothing"}}}}), false, vec!["nothing"]),
        (json!({"%%true": {"%function": {"name": "yes", "args": ["a"]}}}), true, vec!["yes"]),
    ];
    for (expression, expected, expected_calls) in cases {
        let returns = [
            ("yes", bson!(true)),
            ("no", bson!(false)),
            ("list", bson!(["normal"])),
            ("truths", bson!([true])),
            ("nothing", Bson::Undefined),
        ];
        let functions = Functions {
            returns: returns.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            ..Functions::default()
        };
        let parsed = Expression::parse(&expression, Place::CanEvaluate).unwrap();
        assert_eq!(decide(&parsed, &Bindings::new(&surroundings), &functions).is_true(), expected, "{expression}");
        let calls = functions.calls.into_inner().unwrap();
        let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, expected_calls, "{expression}");
        if let Some(call) = calls.iter().find(|call| call.arguments.len() == 4) {
            let oid = bson::oid::ObjectId::parse_str(USER_ID).unwrap();
            assert_eq!(
                call.arguments,
                [Bson::Undefined, bson!({ "deep": [USER_ID] }), Bson::ObjectId(oid), bson!({ "$set": 1 })]
            );
            assert_eq!(call.depth, 1);
        }
    }
    // RU-22: a rule whose function is guarded by the same rule ends.
    let parsed = Expression::parse(&call("yes"), Place::CanEvaluate).unwrap();
    let mut deep = surroundings.clone();
    deep.depth = 8;
    assert_eq!(decide(&parsed, &Bindings::new(&deep), &Functions::default()), Verdict::Error(Fault::TooDeep));
}

#[test]
fn what_is_refused_at_load() {
    for (name, expression, expected) in [
        ("role", json!(null), "null is no expression"),
        ("role", json!("yes"), "a string is no expression"),
        ("role", json!(1), "a number is no expression"),
        ("role", json!([]), "an array is no expression"),
        ("role", json!({"$oid": USER_ID}), "a value is no expression"),
        ("role", json!({"%and": []}), "%and: '%and' takes an array of at least one"),
        ("role", json!({"a": {"%or": []}}), "a.%or: '%or' takes an array of at least one"),
        ("role", json!({"%or": [{"a": 1}, {"%xor": []}]}), "%or.1.%xor: the operator '%xor' is not available"),
        ("role", json!({"%true": true}), "the operator '%true' is not available"),
        ("role", json!({"a": {"%true": true}}), "the operator '%true' is not available"),
        ("role", json!({"a": {"%gt": 1, "b": 2}}), "a: operators and other keys stand in one object"),
        ("role", json!({"a": {"%gt": 1, "%stringToOid": "x"}}), "operators and other keys stand in one object"),
        ("role", json!({"%gt": 1}), "the operator '%gt' is not available"),
        ("role", json!({"a": {"$where": "1"}}), "the operator '$where' is not available"),
        ("role", json!({"a": {"$text": {}}}), "the operator '$text' is not available"),
        ("role", json!({"a": {"$near": {}}}), "the operator '$near' is not available"),
        ("role", json!({"a": {"%pipeline": []}}), "the operator '%pipeline' is not available"),
        ("role", json!({"a": {"%exists": "yes"}}), "'%exists' takes true or false"),
        ("role", json!({"a": {"%in": {"x": 1}}}), "'%in' takes an array"),
        ("role", json!({"a": {"%in": null}}), "'%in' takes an array"),
        ("role", json!({"a": {"%size": -1}}), "'%size' takes a whole number"),
        ("role", json!({"a": {"%mod": [0, 1]}}), "'%mod' takes"),
        ("role", json!({"a": {"%mod": [4]}}), "'%mod' takes"),
        ("role", json!({"a": {"%type": "text"}}), "'%type' takes"),
        ("role", json!({"a": {"%regex": "("}}), "'%regex' takes a regular expression"),
        ("role", json!({"a": {"%regex": "(?=a)"}}), "'%regex' takes a regular expression"),
        ("role", json!({"a": {"%regex": "a", "%options": "g"}}), "'%regex' takes the options"),
        ("role", json!({"a": {"%options": "i"}}), "the operator '%options' is not available"),
        ("role", json!({"a": {"%not": 1}}), "'%not' takes an object of operators"),
        ("role", json!({"a": {"%not": {"b": 1}}}), "'%not' takes an object of operators"),
        (
            "role",
            json!({"a": {"%stringToOid": {"%oidToString": "%%root.b"}}}),
            "'%stringToOid' takes a literal or an expansion",
        ),
        ("role", json!({"a": {"%function": "f"}}), "'%function' takes"),
        ("role", json!({"a": {"%function": {"arguments": []}}}), "'%function' takes"),
        ("role", json!({"a": {"%function": {"name": "f", "arguments": {}}}}), "'%function' takes"),
        ("role", json!({"%function": {"name": "f"}}), "the operator '%function' is not available"),
        ("role", json!({"a": {"b": {"%gt": 1}}}), "a.b: the operator '%gt' is not available"),
        ("role", json!({"a": {"$oid": "short"}}), "this is no Extended JSON value"),
        ("role", json!({"%%user.id%%": "x"}), "do not know how to expand '%%user.id%%'"),
        ("role", json!({"%%user..id": "x"}), "do not know how to expand"),
        ("role", json!({"a..b": "x"}), "do not know how to expand"),
        ("role", json!({"": "x"}), "do not know how to expand"),
        ("role", json!({"%%": "x"}), "do not know how to expand '%%'"),
        ("role", json!({"a": "%%nobody.id"}), "a: do not know how to expand '%%nobody.id'"),
        ("role", json!({"a": "%%values"}), "do not know how to expand '%%values'"),
        ("role", json!({"a": "%%vars.x"}), "do not know how to expand '%%vars.x'"),
        ("role", json!({"%%true.x": 1}), "do not know how to expand '%%true.x'"),
        ("role", json!({"%%this": 1}), "do not know how to expand '%%this' (only field permissions"),
        ("role", json!({"%%args.a": 1}), "do not know how to expand '%%args.a' (only rules of services"),
        ("search", json!({"%%root.a": 1}), "do not know how to expand '%%root.a'"),
        ("search", json!({"a": 1}), "the key 'a' names a field"),
        ("filter", json!({"%%root.a": 1}), "do not know how to expand '%%root.a'"),
        ("filter", json!({"%%prevRoot": {"%exists": true}}), "do not know how to expand '%%prevRoot'"),
        ("can_evaluate", json!({"%%user.id": "%%root.owner"}), "do not know how to expand '%%root.owner'"),
        ("can_evaluate", json!({"%%true": {"owner": 1}}), "the key 'owner' names a field"),
        ("service", json!({"%%root": 1}), "do not know how to expand '%%root'"),
    ] {
        match Expression::parse(&expression, place(name)) {
            Ok(_) => panic!("{expression} was accepted"),
            Err(error) => assert!(error.to_string().contains(expected), "{expression}: {error}"),
        }
    }
    for (name, expression) in [
        ("permission", json!({"%%this.owner": "%%user.id", "%%prev": {"%exists": true}})),
        ("field", json!({"%%this": "%%prev", "%%root.a": "%%prevRoot.a", "b": 1})),
        ("validate", json!({"%%this": "%%prev", "%%root.a": "%%prevRoot.a", "b": 1})),
        ("service", json!({"%%args.a": 1, "b": 2})),
        ("search", json!({"%%user.id": "x", "%%request.service": "s", "%%values.v": 1, "%%environment.tag": "qa"})),
        ("filter", json!({"%%true": {"%function": {"name": "f"}}})),
        ("can_evaluate", json!({"%%true": {"%and": [{"%%user.id": "x"}]}, "%or": [{"%%user.type": "server"}]})),
    ] {
        if let Err(error) = Expression::parse(&expression, place(name)) {
            panic!("{expression} in {name}: {error}");
        }
    }
}

#[test]
fn expansions_as_keys_of_a_document_never_hold() {
    let role = |expression: Json| Expression::parse(&expression, Place::RoleApplyWhen).unwrap();
    let surroundings = surroundings();
    let root = bson!({ "apply_when": 1 });
    for expression in [
        json!({"apply_when": {"%%true": {"%function": {"name": "is_admin"}}}}),
        json!({"%not": {"apply_when": {"%%true": true}}}),
        json!({"apply_when": {"%ne": {"%%user.id": 1}}}),
    ] {
        let parsed = role(expression);
        assert_eq!(parsed.warnings().len(), 1);
        assert_eq!(
            parsed.evaluate(&Bindings { root: Some(&root), ..Bindings::new(&surroundings) }),
            Verdict::Error(Fault::WrongOperand)
        );
    }
    assert!(role(json!({"a": {"b": 1}})).warnings().is_empty());
}

#[test]
fn both_spellings_mean_the_same() {
    let rows: Vec<Json> = serde_json::from_str(include_str!("truth_table.json")).unwrap();
    let respell = |text: &str, from: &str, to: &str| {
        let mut text = text.to_owned();
        for name in [
            "and",
            "or",
            "nor",
            "not",
            "exists",
            "eq",
            "ne",
            "gt",
            "gte",
            "lt",
            "lte",
            "in",
            "nin",
            "function",
            "stringToOid",
            "oidToString",
            "stringToUuid",
        ] {
            text = text.replace(&format!("\"{from}{name}\""), &format!("\"{to}{name}\""));
        }
        serde_json::from_str::<Json>(&text).unwrap()
    };
    let surroundings = surroundings();
    for row in rows {
        let place = place(row["place"].as_str().unwrap());
        let text = row["expression"].to_string();
        let [percent, dollar] =
            [("$", "%"), ("%", "$")].map(|(from, to)| Expression::parse(&respell(&text, from, to), place));
        let root = from_json(&row["bindings"]["root"]);
        let bindings = Bindings { root: Some(&root), args: Some(&root), ..Bindings::new(&surroundings) };
        match (percent, dollar) {
            (Ok(percent), Ok(dollar)) => assert_eq!(percent.evaluate(&bindings), dollar.evaluate(&bindings), "{text}"),
            (Err(_), Err(_)) => {}
            _ => panic!("{text}"),
        }
    }
}

#[test]
fn what_an_expression_uses() {
    let parse = |expression: Json| Expression::parse(&expression, Place::RoleApplyWhen).unwrap();
    let expression = parse(
        json!({"%%user.id": {"%in": "%%values.a"}, "%%true": {"%function": {"name": "f", "arguments": ["%%values.b.c"]}}}),
    );
    assert_eq!(expression.values().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(expression.functions().collect::<Vec<_>>(), ["f"]);
    assert!(!expression.depends_on_document() && !expression.uses_custom_data());
    assert!(parse(json!({"a": 1})).depends_on_document());
    assert!(parse(json!({"%%user.id": "%%root.a"})).depends_on_document());
    assert!(parse(json!({"%%user.custom_data.x": 1})).uses_custom_data());
    assert!(Expression::always().evaluate(&Bindings::new(&surroundings())).is_true());
}

#[test]
fn work_is_bounded() {
    let mut nested = json!({"a": 1});
    for _ in 0..60 {
        nested = json!({ "%or": [nested] });
    }
    assert!(Expression::parse(&nested, Place::RoleApplyWhen).unwrap_err().to_string().contains("too large"));
    let wide = json!({ "a": { "%in": vec![1; 30_000] } });
    assert!(Expression::parse(&wide, Place::RoleApplyWhen).unwrap_err().to_string().contains("too large"));
    // 3000 times 3000 comparisons.
    let list = Bson::Array((0..3000).map(|number| bson!({ "x": number })).collect());
    let other = Bson::Array((10_000..13_000).map(|number| bson!({ "x": number })).collect());
    let root = bson!({ "a": list, "b": other });
    let surroundings = surroundings();
    for operator in ["%in", "%nin"] {
        let expression = Expression::parse(&json!({"a": {operator: "%%root.b"}}), Place::RoleApplyWhen).unwrap();
        let bindings = Bindings { root: Some(&root), ..Bindings::new(&surroundings) };
        assert_eq!(expression.evaluate(&bindings), Verdict::Error(Fault::TooMuchWork));
    }
}

/// Arbitrary JSON that is dense in what the language knows.
fn arbitrary_json() -> impl Strategy<Value = Json> {
    let word = prop::sample::select(vec![
        "a",
        "b.c",
        "items.0",
        "%%user.id",
        "%%user.custom_data.level",
        "%%root.a",
        "%%prevRoot",
        "%%this",
        "%%values.list",
        "%%values.none",
        "%%true",
        "%%false",
        "%%request.requestHeaders.x-secret-key",
        "%%",
        "%%x",
        "",
        "x",
        "^a",
        "i",
        "objectId",
    ]);
    let key = prop::sample::select(vec![
        "a",
        "b.c",
        "%%user.id",
        "%%root.a",
        "%%true",
        "%%false",
        "%and",
        "%or",
        "$nor",
        "%not",
        "%exists",
        "%eq",
        "%ne",
        "%gt",
        "%lte",
        "%in",
        "$nin",
        "%all",
        "%size",
        "%elemMatch",
        "%type",
        "%regex",
        "%options",
        "%mod",
        "%function",
        "%stringToOid",
        "%oidToString",
        "name",
        "arguments",
        "$oid",
        "$date",
        "$numberLong",
        "$binary",
        "$type",
    ]);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-3..8_i64).prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        word.prop_map(Json::from),
        Just(json!(USER_ID)),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::vec((key.clone(), inner), 0..4).prop_map(|members| Json::Object(
                members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

const PLACES: [&str; 8] = ["role", "permission", "field", "validate", "can_evaluate", "service", "search", "filter"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(expression in arbitrary_json(), document in arbitrary_json(), place_index in 0..PLACES.len()) {
        let surroundings = surroundings();
        let document = from_json(&document);
        let bindings = Bindings { surroundings: &surroundings, root: Some(&document), prev_root: None, this: Some(&document), prev: Some(&document), args: Some(&document) };
        let functions = Functions { returns: BTreeMap::from([("a".to_owned(), Bson::Boolean(true))]), ..Functions::default() };
        if let Ok(parsed) = Expression::parse(&expression, place(PLACES[place_index])) {
            let verdict = decide(&parsed, &bindings, &functions);
            // An undecided expression may become decided by calling functions, never the other way round.
            match parsed.evaluate(&bindings) {
                Verdict::Error(_) => {}
                decided => prop_assert_eq!(decided, verdict),
            }
        }
    }

    #[test]
    fn negation_never_turns_an_error_into_an_allow(expression in arbitrary_json(), document in arbitrary_json()) {
        let surroundings = surroundings();
        let document = from_json(&document);
        let bindings = Bindings { root: Some(&document), ..Bindings::new(&surroundings) };
        let parse = |json: Json| Expression::parse(&json, Place::RoleApplyWhen);
        if let (Ok(plain), Ok(negated), Ok(nor), Ok(below_false)) = (
            parse(expression.clone()),
            parse(json!({"%not": expression.clone()})),
            parse(json!({"%nor": [expression.clone()]})),
            parse(json!({"%%false": {"%and": [expression.clone()]}})),
        ) {
            let expected = match plain.evaluate(&bindings) {
                Verdict::True => Verdict::False,
                Verdict::False => Verdict::True,
                error => error,
            };
            prop_assert_eq!(negated.evaluate(&bindings), expected);
            prop_assert_eq!(nor.evaluate(&bindings), expected);
            // Below `%%false` a condition on the truth value itself may stand too.
            if !matches!(below_false.evaluate(&bindings), Verdict::Error(_)) && expression.is_object() && expression.as_object().is_some_and(|object| object.keys().all(|key| !key.starts_with(['%', '$']) || key.starts_with("%%"))) {
                prop_assert_eq!(below_false.evaluate(&bindings), expected);
            }
        }
    }
}
