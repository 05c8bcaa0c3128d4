//! Evaluation never panics, whatever operators and values meet.

use bson::{Binary, Bson, DateTime, Decimal128, Document, Timestamp, doc, oid::ObjectId};
use proptest::prelude::*;

use super::{Expression, operator};
use crate::query::QueryContext;

/// Operators that are not in the table because they bind variables or keep something prepared.
const SPECIAL: [&str; 10] = [
    "$let",
    "$map",
    "$filter",
    "$reduce",
    "$switch",
    "$zip",
    "$sortArray",
    "$regexFind",
    "$regexFindAll",
    "$regexMatch",
];

fn scalar() -> impl Strategy<Value = Bson> {
    prop_oneof![
        any::<i32>().prop_map(Bson::Int32),
        (-3_i32..4).prop_map(Bson::Int32),
        any::<i64>().prop_map(Bson::Int64),
        any::<f64>().prop_map(Bson::Double),
        Just(Bson::Double(f64::NAN)),
        any::<[u8; 16]>().prop_map(|bytes| Bson::Decimal128(Decimal128::from_bytes(bytes))),
        prop::sample::select(vec!["0", "-0", "1.5", "9E+6144", "1E-6176", "Infinity", "NaN", "1E+40", "-7.25"])
            .prop_map(|text| Bson::Decimal128(text.parse().unwrap())),
        "\\PC{0,6}".prop_map(Bson::String),
        prop::sample::select(vec![
            "a",
            "$a",
            "$b.c",
            "$$ROOT",
            "$$this",
            "$$value",
            "%Y-%m-%d",
            "%",
            "year",
            "week",
            "month",
            "UTC",
            "+05:30",
            "Europe/London",
            "2020-01-02T03:04:05Z",
            "(b)(c)?",
            "int",
            "decimal",
            "date",
            "12",
            "mon",
        ])
        .prop_map(|text| Bson::String(text.to_owned())),
        any::<bool>().prop_map(Bson::Boolean),
        Just(Bson::Null),
        Just(Bson::Undefined),
        Just(Bson::MinKey),
        Just(Bson::MaxKey),
        any::<i64>().prop_map(|millis| Bson::DateTime(DateTime::from_millis(millis))),
        (0_i64..4_000_000_000_000).prop_map(|millis| Bson::DateTime(DateTime::from_millis(millis))),
        (any::<u32>(), any::<u32>()).prop_map(|(time, increment)| Bson::Timestamp(Timestamp { time, increment })),
        any::<[u8; 12]>().prop_map(|bytes| Bson::ObjectId(ObjectId::from_bytes(bytes))),
        prop::collection::vec(any::<u8>(), 0..10)
            .prop_map(|bytes| Bson::Binary(Binary { subtype: bson::spec::BinarySubtype::Generic, bytes })),
        Just(crate::query::value::regex_value("a.b", "i")),
    ]
}

fn plain() -> impl Strategy<Value = Bson> {
    scalar().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
            prop::collection::vec((prop::sample::select(vec!["a", "b", "c", "k", "v"]), inner), 0..4).prop_map(
                |fields| { Bson::Document(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()) }
            ),
        ]
    })
}

/// Argument names of every operator that has some, and the list for the others.
const NAMES: [&str; 40] = [
    "input",
    "date",
    "startDate",
    "endDate",
    "unit",
    "amount",
    "timezone",
    "startOfWeek",
    "binSize",
    "format",
    "onNull",
    "onError",
    "dateString",
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "millisecond",
    "isoWeekYear",
    "isoWeek",
    "isoDayOfWeek",
    "iso8601",
    "field",
    "value",
    "chars",
    "find",
    "replacement",
    "to",
    "n",
    "p",
    "method",
    "vars",
    "in",
    "as",
    "cond",
    "initialValue",
    "regex",
    "options",
];

fn arguments_of(name: &str) -> Vec<&'static str> {
    match name {
        "$let" => vec!["vars", "in"],
        "$map" => vec!["input", "in"],
        "$filter" => vec!["input", "cond"],
        "$reduce" => vec!["input", "initialValue", "in"],
        "$regexFind" | "$regexFindAll" | "$regexMatch" => vec!["input", "regex"],
        _ => match operator::find(name).map(|operator| operator.arguments) {
            Some(operator::Arguments::Named(names)) => names.iter().map(|(name, _)| *name).collect(),
            _ => NAMES.to_vec(),
        },
    }
}

fn expression() -> impl Strategy<Value = Bson> {
    let names: Vec<&'static str> = operator::names().chain(SPECIAL).collect();
    plain().prop_recursive(4, 24, 4, move |inner| {
        let names = names.clone();
        (prop::sample::select(names), prop::collection::vec(inner, 0..12), 0_u8..3).prop_map(|(name, values, shape)| {
            let argument = match (name, shape) {
                ("$switch", _) => {
                    let branches: Vec<Bson> = values
                        .chunks(2)
                        .filter(|pair| pair.len() == 2)
                        .map(|pair| Bson::Document(doc! { "case": pair[0].clone(), "then": pair[1].clone() }))
                        .collect();
                    Bson::Document(doc! { "branches": branches, "default": 1 })
                }
                ("$zip", _) => Bson::Document(doc! { "inputs": values, "useLongestLength": true }),
                ("$sortArray", _) => {
                    Bson::Document(doc! { "input": values.into_iter().next().unwrap_or(Bson::Null), "sortBy": 1 })
                }
                (_, 0) => values.into_iter().next().unwrap_or(Bson::Null),
                (_, 1) => Bson::Array(values.into_iter().take(3).collect()),
                _ => Bson::Document(
                    arguments_of(name).into_iter().zip(values).map(|(name, value)| (name.to_owned(), value)).collect(),
                ),
            };
            Bson::Document(doc! { name: argument })
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn evaluation_never_panics(expression in expression(), a in plain(), b in plain()) {
        let root = doc! { "_id": 1, "a": a, "b": b };
        if let Ok(parsed) = Expression::parse(&expression, &QueryContext::default()) {
            let first = parsed.evaluate(&root);
            // Chance aside, the same document gives the same value.
            if !expression.to_string().contains("$rand") {
                prop_assert_eq!(first.is_ok(), parsed.evaluate(&root).is_ok());
            }
        }
    }

    #[test]
    fn constant_parts_are_worth_what_they_are_at_run_time(expression in expression()) {
        // The same operator over a path to the constant must agree with the one folded.
        let context = QueryContext::default();
        let literal = Bson::Document(doc! { "$literal": expression.clone() });
        let wrapped = Bson::Document(doc! { "$type": literal });
        let folded = Expression::parse(&wrapped, &context).and_then(|parsed| parsed.evaluate(&Document::new()));
        let read = Expression::parse(&Bson::Document(doc! { "$type": "$x" }), &context)
            .and_then(|parsed| parsed.evaluate(&doc! { "x": expression }));
        prop_assert_eq!(folded.ok(), read.ok());
    }
}
