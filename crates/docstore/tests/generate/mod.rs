//! Random values, documents, filters and updates for the property tests.

#![allow(dead_code, reason = "each test takes what it needs")]

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, Timestamp, doc};
use proptest::prelude::*;

pub fn number() -> impl Strategy<Value = Bson> {
    prop_oneof![
        (-3..4_i32).prop_map(Bson::Int32),
        any::<i32>().prop_map(Bson::Int32),
        (-3..4_i64).prop_map(Bson::Int64),
        any::<i64>().prop_map(Bson::Int64),
        (i64::MAX - 3..=i64::MAX).prop_map(Bson::Int64),
        ((1_i64 << 53) - 3..(1_i64 << 53) + 3).prop_map(Bson::Int64),
        (-3..4_i32).prop_map(|number| Bson::Double(f64::from(number) / 2.0)),
        any::<f64>().prop_map(Bson::Double),
        prop_oneof![
            Just(f64::NAN),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(-0.0),
            Just(9_223_372_036_854_775_808.0),
            Just(9_007_199_254_740_992.0),
        ]
        .prop_map(Bson::Double),
        (any::<i64>(), -40..40_i32).prop_map(|(coefficient, exponent)| decimal(&format!("{coefficient}E{exponent}"))),
        (-30..31_i32, -2..3_i32).prop_map(|(coefficient, exponent)| decimal(&format!("{coefficient}E{exponent}"))),
        prop_oneof![
            Just("NaN"),
            Just("Infinity"),
            Just("-Infinity"),
            Just("-0"),
            Just("0.1"),
            Just("1E-6176"),
            Just("-9.999999999999999999999999999999999E+6144"),
            Just("9223372036854775807"),
            Just("9007199254740993"),
            Just("0.1000000000000000055511151231257827"),
        ]
        .prop_map(decimal),
        // Doubles written as the decimals next to them.
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(|number| decimal(&format!("{number:e}"))),
    ]
}

pub fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse().expect("a decimal"))
}

pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["", "a", "A", "b", "ab", "é", "e", "10", "2", "a\0b", "ß", "日本"])
            .prop_map(str::to_owned),
        ".{0,6}",
    ]
}

pub fn scalar() -> impl Strategy<Value = Bson> {
    prop_oneof![
        4 => number(),
        3 => text().prop_map(Bson::String),
        1 => text().prop_map(Bson::Symbol),
        1 => prop_oneof![Just(Bson::Null), Just(Bson::Undefined), Just(Bson::MinKey), Just(Bson::MaxKey)],
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => (0..3_u8).prop_map(|byte| Bson::ObjectId(ObjectId::from_bytes([byte; 12]))),
        1 => any::<i64>().prop_map(|millis| Bson::DateTime(DateTime::from_millis(millis))),
        1 => (0..3_u32, 0..3_u32).prop_map(|(time, increment)| Bson::Timestamp(Timestamp { time, increment })),
        1 => (prop::collection::vec(any::<u8>(), 0..4), prop::sample::select(vec![0_u8, 4, 5, 128])).prop_map(
            |(bytes, subtype)| Bson::Binary(Binary { subtype: BinarySubtype::from(subtype), bytes })
        ),
        1 => prop::sample::select(vec![("^a", ""), ("b", "i"), ("a|b", "m")]).prop_map(|(pattern, options)| {
            Bson::RegularExpression(bson::Regex {
                pattern: pattern.try_into().expect("no NUL"),
                options: options.try_into().expect("no NUL"),
            })
        }),
        1 => prop::sample::select(vec!["", "x"]).prop_map(|code| Bson::JavaScriptCode(code.to_owned())),
    ]
}

pub fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "0", "1"]).prop_map(str::to_owned)
}

pub fn value() -> impl Strategy<Value = Bson> {
    scalar().prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
            fields(inner).prop_map(Bson::Document),
        ]
    })
}

pub fn fields(inner: impl Strategy<Value = Bson>) -> impl Strategy<Value = Document> {
    prop::collection::vec((name(), inner), 0..4).prop_map(|fields| fields.into_iter().collect())
}

pub fn document() -> impl Strategy<Value = Document> {
    fields(value())
}

pub fn dotted() -> impl Strategy<Value = String> {
    prop::collection::vec(name(), 1..4).prop_map(|parts| parts.join("."))
}

pub fn condition() -> impl Strategy<Value = Bson> {
    let comparison = (prop::sample::select(vec!["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), value())
        .prop_map(|(operator, value)| single(operator, value));
    let membership = (prop::sample::select(vec!["$in", "$nin", "$all"]), prop::collection::vec(value(), 0..4))
        .prop_map(|(operator, values)| single(operator, Bson::Array(values)));
    let other = prop_oneof![
        any::<bool>().prop_map(|exists| single("$exists", Bson::Boolean(exists))),
        prop::sample::select(vec!["number", "string", "array", "object", "null", "int", "decimal"])
            .prop_map(|kind| single("$type", Bson::String(kind.to_owned()))),
        (0..4_i32).prop_map(|size| single("$size", Bson::Int32(size))),
        (-4..5_i32, -2..3_i32)
            .prop_map(|(divisor, rest)| single("$mod", Bson::Array(vec![Bson::Int32(divisor), Bson::Int32(rest)]))),
        prop::sample::select(vec!["^a", "b", "^$", "a|b", "(", "^ab?", "\\d"])
            .prop_map(|pattern| single("$regex", Bson::String(pattern.to_owned()))),
        (prop::sample::select(vec!["$bitsAllSet", "$bitsAnyClear"]), 0..9_i32)
            .prop_map(|(operator, mask)| single(operator, Bson::Int32(mask))),
        // Arguments of the wrong kind are errors, not panics.
        (
            prop::sample::select(vec!["$in", "$size", "$type", "$mod", "$regex", "$elemMatch", "$geoWithin", "$near"]),
            value()
        )
            .prop_map(|(operator, value)| single(operator, value)),
    ];
    let leaf = prop_oneof![2 => value(), 4 => comparison, 2 => membership, 3 => other];
    leaf.prop_recursive(2, 8, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| single("$not", inner)),
            inner.clone().prop_map(|inner| single("$elemMatch", inner)),
            (dotted(), inner).prop_map(|(path, inner)| single("$elemMatch", single(&path, inner))),
        ]
    })
}

pub fn single(name: &str, value: Bson) -> Bson {
    let mut document = Document::new();
    document.insert(name, value);
    Bson::Document(document)
}

pub fn filter() -> impl Strategy<Value = Document> {
    let leaf = prop::collection::vec((dotted(), condition()), 0..3)
        .prop_map(|fields| fields.into_iter().collect::<Document>());
    leaf.prop_recursive(2, 8, 3, |inner| {
        (prop::sample::select(vec!["$and", "$or", "$nor"]), prop::collection::vec(inner, 0..3)).prop_map(
            |(operator, branches)| {
                let mut document = Document::new();
                document.insert(operator, branches);
                document
            },
        )
    })
}

pub fn modification() -> impl Strategy<Value = Document> {
    let path = prop::collection::vec(
        prop_oneof![4 => name(), 1 => prop::sample::select(vec!["$", "$[]", "$[e]", "_id"]).prop_map(str::to_owned)],
        1..4,
    )
    .prop_map(|parts| parts.join("."));
    let argument = prop_oneof![
        3 => value(),
        1 => prop::collection::vec(value(), 0..3).prop_map(|values| single("$each", Bson::Array(values))),
        1 => (prop::collection::vec(value(), 0..3), -3..4_i32, -3..4_i32).prop_map(|(values, slice, position)| {
            Bson::Document(doc! { "$each": values, "$slice": slice, "$position": position, "$sort": 1 })
        }),
        1 => (0..8_i32).prop_map(|bits| single("or", Bson::Int32(bits))),
        1 => condition(),
        1 => dotted().prop_map(Bson::String),
    ];
    let operator = prop::sample::select(vec![
        "$set",
        "$unset",
        "$inc",
        "$mul",
        "$min",
        "$max",
        "$rename",
        "$setOnInsert",
        "$currentDate",
        "$bit",
        "$push",
        "$addToSet",
        "$pop",
        "$pull",
        "$pullAll",
        "$nope",
    ]);
    prop::collection::vec((operator, path, argument), 1..3).prop_map(|parts| {
        let mut update = Document::new();
        for (operator, path, argument) in parts {
            let mut fields = update.get_document(operator).cloned().unwrap_or_default();
            fields.insert(path, argument);
            update.insert(operator, fields);
        }
        update
    })
}

/// Without what is replaced by the time of the write.
pub fn timeless(document: &Document) -> Document {
    fn value(given: &Bson) -> Bson {
        match given {
            Bson::Timestamp(Timestamp { time: 0, increment: 0 }) => {
                Bson::Timestamp(Timestamp { time: 0, increment: 1 })
            }
            Bson::Document(document) => Bson::Document(timeless(document)),
            Bson::Array(items) => Bson::Array(items.iter().map(value).collect()),
            other => other.clone(),
        }
    }
    document.iter().map(|(name, given)| (name.clone(), value(given))).collect()
}
