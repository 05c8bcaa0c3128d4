//! Properties of the query library under random values: the order is total and agrees with its keys, nothing panics,
//! bytes and decoded documents are treated alike, bounds hold what matches, updates keep what they must.

mod generate;

use std::cmp::Ordering;

use bson::{Bson, Document, RawDocumentBuf, doc};
use docstore::query::projection::ProjectionPolicy;
use docstore::query::value::{compare, identical_documents, order_key};
use docstore::query::{Collation, Filter, Predicate, Projection, QueryContext, SortSpec, Update, ValueRef, keys};
use generate::{condition, document, dotted, filter, modification, name, number, single, value};
use proptest::prelude::*;

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
