//! Properties of the query library under random values: the order is total and agrees with its keys, nothing panics,
//! bytes and decoded documents are treated alike, bounds hold what matches, updates keep what they must.

use std::cmp::Ordering;

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, RawDocumentBuf, Timestamp, doc};
use docstore::query::projection::ProjectionPolicy;
use docstore::query::value::{compare, identical_documents, order_key};
use docstore::query::{Collation, Filter, Predicate, Projection, QueryContext, SortSpec, Update, ValueRef, keys};
use proptest::prelude::*;

fn number() -> impl Strategy<Value = Bson> {
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

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse().expect("a decimal"))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["", "a", "A", "b", "ab", "é", "e", "10", "2", "a\0b", "ß", "日本"])
            .prop_map(str::to_owned),
        ".{0,6}",
    ]
}

fn scalar() -> impl Strategy<Value = Bson> {
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

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "0", "1"]).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Bson> {
    scalar().prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
            fields(inner).prop_map(Bson::Document),
        ]
    })
}

fn fields(inner: impl Strategy<Value = Bson>) -> impl Strategy<Value = Document> {
    prop::collection::vec((name(), inner), 0..4).prop_map(|fields| fields.into_iter().collect())
}

fn document() -> impl Strategy<Value = Document> {
    fields(value())
}

fn dotted() -> impl Strategy<Value = String> {
    prop::collection::vec(name(), 1..4).prop_map(|parts| parts.join("."))
}

fn condition() -> impl Strategy<Value = Bson> {
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

fn single(name: &str, value: Bson) -> Bson {
    let mut document = Document::new();
    document.insert(name, value);
    Bson::Document(document)
}

fn filter() -> impl Strategy<Value = Document> {
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

fn modification() -> impl Strategy<Value = Document> {
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

fn within(key: &Bson, predicate: &Predicate) -> bool {
    predicate.intervals.iter().any(|interval| {
        let start = compare(&interval.start, key, None);
        let end = compare(key, &interval.end, None);
        (start.is_lt() || start.is_eq() && interval.start_inclusive)
            && (end.is_lt() || end.is_eq() && interval.end_inclusive)
    })
}

fn within_all(document: &Document, predicates: &[Predicate]) -> bool {
    predicates.iter().all(|predicate| match keys::generate(document.into(), &[&predicate.path]) {
        Ok(keys) => keys.tuples.iter().any(|tuple| within(&tuple[0].to_bson(), predicate)),
        // A name that is both an offset and a field has no index keys.
        Err(_) => true,
    })
}

fn collations() -> Vec<Option<Collation>> {
    let specifications = [
        doc! {},
        doc! { "locale": "en", "strength": 1 },
        doc! { "locale": "en", "strength": 2, "numericOrdering": true },
        doc! { "locale": "de", "caseFirst": "upper" },
    ];
    specifications.iter().map(|specification| Collation::parse(specification).expect("a collation")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_order_is_total(a in value(), b in value(), c in value()) {
        let ab = compare(&a, &b, None);
        prop_assert_eq!(compare(&a, &a, None), Ordering::Equal);
        prop_assert_eq!(ab, compare(&b, &a, None).reverse());
        if ab.is_le() && compare(&b, &c, None).is_le() {
            prop_assert!(compare(&a, &c, None).is_le());
        }
        if ab.is_eq() {
            prop_assert_eq!(compare(&a, &c, None), compare(&b, &c, None));
        }
    }

    #[test]
    fn numbers_are_ordered_totally(a in number(), b in number(), c in number()) {
        let ab = compare(&a, &b, None);
        prop_assert_eq!(ab, compare(&b, &a, None).reverse());
        if ab.is_le() && compare(&b, &c, None).is_le() {
            prop_assert!(compare(&a, &c, None).is_le());
        }
        prop_assert_eq!(ab, order_key(ValueRef::from(&a), None).cmp(&order_key(ValueRef::from(&b), None)));
    }

    #[test]
    fn keys_are_in_the_order_of_values(a in value(), b in value()) {
        for collation in collations() {
            let collation = collation.as_ref();
            let (left, right) = (order_key(ValueRef::from(&a), collation), order_key(ValueRef::from(&b), collation));
            prop_assert_eq!(left.cmp(&right), compare(&a, &b, collation));
            prop_assert!(left == right || !right.starts_with(&left));
        }
    }

    #[test]
    fn bytes_compare_like_values(a in document(), b in document()) {
        let (raw_a, raw_b) = (
            RawDocumentBuf::try_from(&a).expect("encodable"),
            RawDocumentBuf::try_from(&b).expect("encodable"),
        );
        let decoded = docstore::query::value::compare_documents((&a).into(), (&b).into(), None);
        let raw = docstore::query::value::compare_documents((&*raw_a).into(), (&*raw_b).into(), None);
        let mixed = docstore::query::value::compare_documents((&a).into(), (&*raw_b).into(), None);
        prop_assert_eq!(decoded, raw);
        prop_assert_eq!(decoded, mixed);
    }

    #[test]
    fn filters_agree_on_bytes_and_stay_in_their_bounds(filter in filter(), documents in prop::collection::vec(document(), 1..4)) {
        let context = QueryContext::default();
        if let Ok(filter) = Filter::parse(&filter, &context) {
            let predicates = filter.predicates();
            let branches = filter.branches();
            for document in &documents {
                let raw = RawDocumentBuf::try_from(document).expect("encodable");
                let matched = filter.matches(document).expect("no expression");
                prop_assert_eq!(matched, filter.matches(&*raw).expect("no expression"));
                if matched {
                    prop_assert!(within_all(document, &predicates), "{:?}", predicates);
                    if let Some(branches) = &branches {
                        prop_assert!(branches.iter().any(|branch| within_all(document, branch)), "{:?}", branches);
                    }
                }
            }
        }
    }

    #[test]
    fn a_filter_that_implies_another_matches_less(left in filter(), right in filter(), documents in prop::collection::vec(document(), 1..6)) {
        let context = QueryContext::default();
        if let (Ok(left), Ok(right)) = (Filter::parse(&left, &context), Filter::parse(&right, &context))
            && left.implies(&right)
        {
            for document in &documents {
                if left.matches(document).expect("no expression") {
                    prop_assert!(right.matches(document).expect("no expression"));
                }
            }
        }
    }

    #[test]
    fn one_condition_implies_another_only_if_it_does(path in name(), left in condition(), right in condition(), documents in prop::collection::vec(document(), 1..8)) {
        let context = QueryContext::default();
        let filter = |condition: Bson| Filter::parse(single(&path, condition).as_document().expect("a document"), &context);
        if let (Ok(left), Ok(right)) = (filter(left), filter(right))
            && left.implies(&right)
        {
            for document in &documents {
                if left.matches(document).expect("no expression") {
                    prop_assert!(right.matches(document).expect("no expression"), "{document}");
                }
            }
        }
    }

    #[test]
    fn sort_keys_agree_with_their_bytes(
        parts in prop::collection::vec((dotted(), any::<bool>()), 1..3),
        left in document(),
        right in document(),
    ) {
        let order: Document =
            parts.into_iter().map(|(path, ascending)| (path, Bson::Int32(if ascending { 1 } else { -1 }))).collect();
        for collation in collations() {
            let context = QueryContext { collation: collation.map(Into::into), ..QueryContext::default() };
            let spec = SortSpec::parse(&order, &context).expect("a sort order");
            if let (Ok(left_key), Ok(right_key)) = (spec.key(&left), spec.key(&right)) {
                let left_bytes = spec.key_bytes(&left).expect("sortable");
                let right_bytes = spec.key_bytes(&right).expect("sortable");
                prop_assert_eq!(spec.compare(&left_key, &right_key), left_bytes.cmp(&right_bytes));
            }
        }
    }

    #[test]
    fn updates_keep_the_id_and_tell_whether_they_changed(document in document(), update in modification(), index in prop::option::of(0..3_usize)) {
        let context = QueryContext::default();
        let mut stored = doc! { "_id": 1 };
        stored.extend(document);
        let filters = [doc! { "e": { "$gt": 1 } }];
        for filters in [&[][..], &filters[..]] {
            let Ok(update) = Update::parse(&Bson::Document(update.clone()), filters, &context) else {
                continue;
            };
            let details = docstore::query::MatchDetails { array_index: index };
            if let Ok(updated) = update.apply(&stored, Some(details)) {
                prop_assert_eq!(updated.document.get("_id"), Some(&Bson::Int32(1)));
                if !updated.modified {
                    prop_assert!(identical_documents(&stored, &updated.document));
                }
            }
            let query = Filter::parse(&doc! { "a": 1 }, &context).expect("a filter");
            if let Ok(inserted) = update.upsert(&query) {
                prop_assert_eq!(inserted.keys().next().map(String::as_str), Some("_id"));
            }
        }
    }

    #[test]
    fn projections_agree_on_bytes(
        document in document(),
        parts in prop::collection::vec((dotted(), prop_oneof![
            3 => prop::sample::select(vec![Bson::Int32(1), Bson::Int32(0), Bson::Boolean(true)]),
            1 => (-2..3_i32).prop_map(|count| single("$slice", Bson::Int32(count))),
            1 => condition().prop_map(|condition| single("$elemMatch", condition)),
        ]), 0..3),
    ) {
        let context = QueryContext::default();
        let specification: Document = parts.into_iter().collect();
        if let Ok(projection) = Projection::parse(&specification, ProjectionPolicy::Find, &context) {
            let raw = RawDocumentBuf::try_from(&document).expect("encodable");
            let decoded = projection.apply(&document, None);
            match (decoded, projection.apply(&*raw, None)) {
                (Ok(left), Ok(right)) => prop_assert!(identical_documents(&left, &right)),
                (left, right) => prop_assert_eq!(left.is_err(), right.is_err()),
            }
        }
    }
}
