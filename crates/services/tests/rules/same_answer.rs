//! What the database finds for a user is what the rules say about each document.

use std::sync::Arc;

use bson::raw::RawDocumentBuf;
use bson::{Bson, Document, bson, doc};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rules::{Access, AppValues, FilterSet, Guard, RuleSet, Surroundings};
use serde_json::{Value as Json, json};

use crate::fixture::{TestFunctions, fixtures, ids, user};

const FIELDS: [&str; 6] = ["owner", "a", "b", "p.x", "list", "list.x"];

fn value() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(json!("u1")),
        Just(json!("u2")),
        Just(json!("%%user.id")),
        Just(json!("%%user.custom_data.team")),
        Just(json!("%%user.custom_data.none")),
        Just(json!(1)),
        Just(json!(1.5)),
        Just(json!({"$numberLong": "2"})),
        Just(json!({"$numberDecimal": "1.5"})),
        Just(json!(true)),
        Just(json!(null)),
        Just(json!([])),
        Just(json!(["u1", 1])),
        Just(json!([1, 2])),
        Just(json!({"$oid": "5f6aae9a82989d521a606369"})),
        Just(json!({"$date": "2022-01-01T00:00:00Z"})),
        Just(json!({"x": 1})),
        Just(json!("%%root.owner")),
        Just(json!("%%root.list")),
        Just(json!("%%root.p.x")),
    ]
}

fn condition() -> impl Strategy<Value = Json> {
    let list = prop::collection::vec(value(), 0..3);
    let leaf = prop_oneof![
        4 => value(),
        2 => ("eq|ne|gt|gte|lt|lte", value()).prop_map(|(operator, value)| json!({format!("%{operator}"): value})),
        2 => ("in|nin", list).prop_map(|(operator, list)| json!({format!("%{operator}"): list})),
        1 => ("in|nin", value()).prop_map(|(operator, value)| json!({format!("%{operator}"): value})),
        1 => any::<bool>().prop_map(|exists| json!({"%exists": exists})),
        1 => Just(json!({"%size": 2})),
        1 => Just(json!({"%regex": "^u"})),
        1 => Just(json!({"%type": "string"})),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        let operators = inner.prop_filter("operators only", |condition| {
            condition.as_object().is_some_and(|members| members.keys().all(|key| key.starts_with('%')))
        });
        prop_oneof![
            operators.clone().prop_map(|one| json!({"%not": one})),
            ("and|or|nor", prop::collection::vec(operators, 1..3))
                .prop_map(|(name, all)| json!({format!("%{name}"): all})),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(FIELDS.to_vec()).prop_map(str::to_owned),
        1 => Just("%%user.id".to_owned()),
        1 => Just("%%true".to_owned()),
        1 => Just("%%user.custom_data.team".to_owned()),
    ]
}

fn expression() -> impl Strategy<Value = Json> {
    let function = prop::sample::select(vec!["yes", "no", "throws"])
        .prop_map(|name| json!({"%%true": {"%function": {"name": name, "arguments": ["%%user.id"]}}}));
    let leaf = prop_oneof![
        8 => (key(), condition()).prop_map(|(key, condition)| json!({key: condition})),
        2 => (key(), value(), key(), condition()).prop_map(|(one, value, other, condition)| json!({one: value, other: condition})),
        1 => any::<bool>().prop_map(|constant| json!(constant)),
        1 => function,
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            ("and|or|nor", prop::collection::vec(inner.clone(), 1..3))
                .prop_map(|(name, all)| json!({format!("%{name}"): all})),
            inner.clone().prop_map(|one| json!({"%not": one})),
            inner.prop_map(|one| json!({"%%false": one})),
        ]
    })
}

fn role() -> impl Strategy<Value = Json> {
    let maybe = || prop::option::weighted(0.4, expression());
    (expression(), maybe(), maybe(), prop::option::weighted(0.2, (maybe(), maybe())), any::<u8>()).prop_map(
        |(apply_when, read, write, gates, fields)| {
            let mut role = json!({"apply_when": apply_when});
            // Most roles of real apps show whole documents.
            role["read"] = read.unwrap_or(json!(fields % 3 != 0));
            if let Some(write) = write {
                role["write"] = write;
            }
            if let Some((read, write)) = gates {
                role["document_filters"] = json!({"read": read, "write": write});
            }
            if fields % 8 == 0 {
                role["fields"] = json!({"_id": {"read": true}, "a": {"read": true}});
            }
            role
        },
    )
}

fn documents() -> Vec<Document> {
    let oid = Bson::ObjectId("5f6aae9a82989d521a606369".parse().expect("an ObjectId"));
    let date = Bson::DateTime(bson::DateTime::from_millis(1_640_995_200_000));
    let decimal = |text: &str| Bson::Decimal128(text.parse().expect("a decimal"));
    let owners = [bson!("u1"), bson!("u2"), bson!(["u1", "red"]), Bson::Null, oid, bson!([["u1"]]), bson!({ "x": 1 })];
    let numbers = [
        bson!(1),
        bson!(1.0),
        bson!(2_i64),
        bson!(1.5),
        decimal("1.5"),
        decimal("1"),
        bson!(f64::NAN),
        bson!("1"),
        date,
    ];
    let lists = [
        bson!([]),
        bson!([1, 2]),
        bson!(["u1", 1]),
        bson!([{ "x": 1 }, { "x": "u1" }]),
        bson!([{ "y": 1 }, 5]),
        bson!([[1, 2]]),
        bson!({ "x": ["u1"] }),
        bson!("red"),
    ];
    let mut documents = Vec::new();
    for index in 0..72_usize {
        let mut document = doc! { "_id": index as i32 };
        if index % 9 != 8 {
            document.insert("owner", owners[index % owners.len()].clone());
        }
        if index % 5 != 4 {
            document.insert("a", numbers[index % numbers.len()].clone());
        }
        document.insert("b", index % 2 == 0);
        match index % 4 {
            0 => drop(document.insert("p", doc! { "x": owners[index / 4 % owners.len()].clone() })),
            1 => drop(document.insert("p", vec![doc! { "x": 1 }, doc! { "x": "u1" }, doc! {}])),
            2 => drop(document.insert("p", 5)),
            _ => {}
        }
        if index % 7 != 6 {
            document.insert("list", lists[index % lists.len()].clone());
        }
        documents.push(document);
    }
    documents
}

#[tokio::test]
async fn the_database_and_the_rules_agree() {
    const SETS: usize = 300;
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let mut collections = json!({});
    let mut sets = Vec::new();
    while sets.len() < SETS {
        let roles = prop::collection::vec(role(), 1..4).new_tree(&mut runner).expect("roles").current();
        let rules = json!({"roles": roles});
        // Some make no sense, such as an order of a list.
        if RuleSet::parse(&rules).is_ok() {
            collections[format!("c{}", sets.len())] = rules.clone();
            sets.push(rules);
        }
    }
    let surroundings = Surroundings::new(Arc::new(AppValues::default()), &user("u1"), &json!({}));
    let functions = TestFunctions::default();
    let access = Access { surroundings: &surroundings, functions: &functions };
    let (mut exact, mut narrowed, mut shown) = (0, 0, 0);
    for fixture in fixtures(collections, None).await {
        let caller = fixture.user("u1");
        let stored: Vec<RawDocumentBuf> =
            documents().iter().map(|document| RawDocumentBuf::try_from(document).expect("a document")).collect();
        for (index, written) in sets.iter().enumerate() {
            let collection = format!("c{index}");
            fixture.store(&collection, documents()).await;
            let rules = RuleSet::parse(written).expect("parsed before");
            let plan = access.plan_reads(&rules).await;
            exact += usize::from(plan.is_exact());
            narrowed += usize::from(plan.candidates() != rules::Candidates::Everything);
            let mut expected = Vec::new();
            for document in &stored {
                let view = access.view(&rules, &FilterSet::default(), &Guard::default(), document).await;
                if let Some(seen) = view.expect("a document") {
                    expected.push(Document::try_from(seen.get().as_ref()).expect("a document"));
                }
            }
            shown += expected.len();
            let found = caller.find_with(&collection, doc! {}, doc! { "sort": { "_id": 1 } }).await;
            let found = found.unwrap_or_else(|error| panic!("{written}: {error}"));
            let text = |documents: &[Document]| documents.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>();
            assert_eq!(text(&found), text(&expected), "{written}\n{:?}", plan.candidates());
            let count = caller.count(&collection, doc! {}).await;
            assert_eq!(count, Ok(i32::try_from(expected.len()).expect("a few")), "{written}");
            let grouped = caller
                .aggregate(&collection, vec![doc! { "$group": { "_id": "$_id" } }, doc! { "$sort": { "_id": 1 } }])
                .await;
            let grouped = grouped.unwrap_or_else(|error| panic!("{written}: {error}"));
            assert_eq!(ids(&grouped), ids(&expected), "{written}");
        }
    }
    eprintln!("{exact} exact, {narrowed} narrowed, {shown} documents shown");
    assert!(
        exact > SETS / 4 && narrowed > SETS / 4 && shown > SETS,
        "{exact} {narrowed} {shown}: the test tests little"
    );
}
