//! What the recorded commands do not reach: geometry, `$jsonSchema`, refusals, and the pages of MongoDB's manual that
//! say how each case must come out.

use bson::{Bson, Document, bson, doc};

use super::decimal;
use super::geo::{self, Near};
use super::projection::ProjectionPolicy;
use super::regex::Regex;
use super::update::complete_insert;
use super::value::{compare, identical_documents};
use super::{Collation, Filter, MatchDetails, Projection, QueryContext, SortSpec, Update};

fn context() -> QueryContext {
    QueryContext::default()
}

fn check_filter(filter: Document, document: Document, expected: bool) {
    let parsed = Filter::parse(&filter, &context()).unwrap_or_else(|error| panic!("{filter}: {error}"));
    assert_eq!(parsed.matches(&document), Ok(expected), "{filter} on {document}");
}

fn check_filter_error(filter: Document, code: i32, message: &str) {
    let error = Filter::parse(&filter, &context()).expect_err("a refusal");
    assert_eq!(error.code, code, "{error}");
    assert!(error.message.contains(message), "{error}");
}

fn check_update(document: Document, update: Bson, index: Option<usize>, expected: Document) {
    let parsed = Update::parse(&update, &[], &context()).unwrap_or_else(|error| panic!("{update}: {error}"));
    let updated = parsed.apply(&document, Some(MatchDetails { array_index: index })).expect("an update");
    assert!(identical_documents(&updated.document, &expected), "{update}: {} for {expected}", updated.document);
}

fn check_update_error(document: Document, update: Bson, code: i32) {
    let outcome = Update::parse(&update, &[], &context()).and_then(|update| update.apply(&document, None));
    assert_eq!(outcome.expect_err("a refusal").code, code, "{update}");
}

#[test]
fn malformed_filters_are_named() {
    check_filter_error(doc! { "a": Bson::Undefined }, 2, "cannot compare to undefined");
    check_filter_error(doc! { "a": { "$gt": Bson::Undefined } }, 2, "cannot compare to undefined");
    check_filter_error(doc! { "a": { "$foo": 1 } }, 2, "unknown operator: $foo");
    check_filter_error(doc! { "$foo": 1 }, 2, "unknown top level operator: $foo");
    check_filter_error(doc! { "$where": "1" }, 115, "$where");
    check_filter_error(doc! { "$text": { "$search": "a" } }, 115, "MongoDB itself supports it");
    check_filter_error(doc! { "$and": [] }, 2, "nonempty array");
    check_filter_error(doc! { "a": { "$type": "nope" } }, 2, "Unknown type name alias: nope");
    check_filter_error(doc! { "a": { "$mod": [0, 1] } }, 2, "divisor cannot be 0");
    check_filter_error(doc! { "a": { "$regex": "(" } }, 51091, "Regular expression is invalid");
    check_filter_error(doc! { "a": { "$options": "i" } }, 2, "$options needs a $regex");
    check_filter_error(doc! { "a": { "$elemMatch": { "$expr": true } } }, 2, "top-level document");
    let mut deep = doc! { "a": 1 };
    for _ in 0..1000 {
        deep = doc! { "$and": [deep] };
    }
    check_filter_error(deep, 2, "depth");
}

#[test]
fn regular_expressions_are_those_of_pcre() {
    let check = |pattern: &str, options: &str, text: &str, expected: bool| {
        let regex = Regex::new(pattern, options).expect("a pattern");
        assert_eq!(regex.is_match(text), expected, "/{pattern}/{options} on {text:?}");
    };
    // Manual, "$regex": options i, m, s, x; look-around and back references are PCRE's.
    check("^abc", "", "xabc", false);
    check("^S", "m", "First\nSecond", true);
    check("m.*line", "si", "Many\nspaces before     line", true);
    check("abc #category code\n123 #item", "x", "abc123", true);
    check("(?i)a(?-i)cme", "", "Acme", true);
    check("(?i)a(?-i)cme", "", "ACME", false);
    check("(a)(?!b)", "", "ab", false);
    check(r"(\w)\1", "", "hello", true);
    check(r"^\w+$", "", "é", false);
    check("É", "i", "é", true);
    check("abc$", "", "abc\n", true);
    assert_eq!(Regex::new("^ab", "").expect("a pattern").literal_prefix(), Some(("ab".to_owned(), true)));
    assert_eq!(Regex::new("^ab*", "").expect("a pattern").literal_prefix(), Some(("a".to_owned(), false)));
    assert_eq!(Regex::new("^a|b", "").expect("a pattern").literal_prefix(), None);
    assert_eq!(Regex::new("^a(b|c)", "").expect("a pattern").literal_prefix(), None);
    assert_eq!(Regex::new("^ab", "i").expect("a pattern").literal_prefix(), None);
    assert_eq!(Regex::new(r"^a\.b", "").expect("a pattern").literal_prefix(), Some(("a.b".to_owned(), true)));
}

#[test]
fn json_schema() {
    // Manual, "$jsonSchema": keywords and their types.
    let students = doc! { "$jsonSchema": {
        "bsonType": "object",
        "title": "Student",
        "required": ["name", "year"],
        "properties": {
            "name": { "bsonType": "string", "minLength": 2, "maxLength": 10, "pattern": "^[A-Z]" },
            "year": { "bsonType": "int", "minimum": 2017, "maximum": 3017, "exclusiveMaximum": true },
            "major": { "enum": ["Math", "English", Bson::Null] },
            "gpa": { "bsonType": ["double", "decimal"] },
            "tags": { "type": "array", "items": { "type": "string" }, "uniqueItems": true, "minItems": 1, "maxItems": 3 },
            "address": { "type": "object", "properties": { "zip": { "type": "number", "multipleOf": 0.5 } },
                "additionalProperties": false },
        },
        "patternProperties": { "^x_": { "type": "boolean" } },
        "dependencies": { "card": ["billing"], "nick": { "required": ["real"] } },
        "not": { "required": ["forbidden"] },
    } };
    let base = doc! { "name": "Ann", "year": 2019 };
    let check = |extra: Document, expected: bool| {
        let mut document = base.clone();
        document.extend(extra);
        check_filter(students.clone(), document, expected);
    };
    check(doc! {}, true);
    check(doc! { "name": "A" }, false);
    check(doc! { "name": "ann" }, false);
    check(doc! { "name": "Annabellannabell" }, false);
    check(doc! { "name": 5 }, false);
    check(doc! { "year": 2019.0 }, false);
    check(doc! { "year": 2016 }, false);
    check(doc! { "year": 3017 }, false);
    check(doc! { "major": "Math" }, true);
    check(doc! { "major": Bson::Null }, true);
    check(doc! { "major": "History" }, false);
    check(doc! { "gpa": 3 }, false);
    check(doc! { "gpa": 3.0 }, true);
    check(doc! { "tags": ["a", "b"] }, true);
    check(doc! { "tags": ["a", "a"] }, false);
    check(doc! { "tags": ["a", 1] }, false);
    check(doc! { "tags": [] }, false);
    check(doc! { "tags": ["a", "b", "c", "d"] }, false);
    check(doc! { "address": { "zip": 1.5 } }, true);
    check(doc! { "address": { "zip": 1.25 } }, false);
    check(doc! { "address": { "zip": 1, "city": "x" } }, false);
    check(doc! { "x_flag": true }, true);
    check(doc! { "x_flag": 1 }, false);
    check(doc! { "card": 1 }, false);
    check(doc! { "card": 1, "billing": "here" }, true);
    check(doc! { "nick": "x" }, false);
    check(doc! { "nick": "x", "real": "y" }, true);
    check(doc! { "forbidden": 1 }, false);
    check_filter(students, doc! { "name": "Ann" }, false);

    let any = |schema: Bson, value: Bson, expected: bool| {
        check_filter(doc! { "$jsonSchema": { "properties": { "a": schema } } }, doc! { "a": value }, expected);
    };
    any(bson!({ "anyOf": [{ "type": "string" }, { "minimum": 5 }] }), bson!(7), true);
    any(bson!({ "anyOf": [{ "type": "string" }, { "minimum": 5 }] }), bson!(3), false);
    any(bson!({ "oneOf": [{ "multipleOf": 2 }, { "multipleOf": 3 }] }), bson!(6), false);
    any(bson!({ "oneOf": [{ "multipleOf": 2 }, { "multipleOf": 3 }] }), bson!(4), true);
    any(bson!({ "allOf": [{ "minimum": 1 }, { "maximum": 3 }] }), bson!(4), false);
    any(
        bson!({ "items": [{ "type": "string" }, { "type": "number" }], "additionalItems": false }),
        bson!(["a", 1]),
        true,
    );
    any(
        bson!({ "items": [{ "type": "string" }, { "type": "number" }], "additionalItems": false }),
        bson!(["a", 1, 2]),
        false,
    );
    any(bson!({ "minProperties": 1, "maxProperties": 2 }), bson!({}), false);
    any(bson!({ "minProperties": 1, "maxProperties": 2 }), bson!({ "x": 1 }), true);
    // A keyword about one type says nothing of values of others.
    any(bson!({ "minLength": 3 }), bson!(1), true);

    check_filter_error(doc! { "$jsonSchema": { "nope": 1 } }, 9, "Unknown $jsonSchema keyword: nope");
    check_filter_error(doc! { "$jsonSchema": { "$ref": "#" } }, 9, "not currently supported");
    check_filter_error(doc! { "$jsonSchema": { "type": "integer" } }, 9, "integer");
    check_filter_error(doc! { "$jsonSchema": { "type": "string", "bsonType": "int" } }, 9, "Cannot specify both");
    check_filter_error(doc! { "$jsonSchema": { "required": [] } }, 9, "empty array");
    check_filter_error(doc! { "$jsonSchema": { "minimum": "x" } }, 14, "must be a number");
    check_filter_error(doc! { "$jsonSchema": { "exclusiveMinimum": true } }, 9, "minimum");
}

#[test]
fn geometry_on_the_sphere() {
    let square = |from: f64, to: f64| bson!({ "type": "Polygon", "coordinates": [[[from, from], [to, from], [to, to], [from, to], [from, from]]] });
    let within = |value: Bson, region: Bson, expected: bool| {
        check_filter(doc! { "p": { "$geoWithin": { "$geometry": region } } }, doc! { "p": value }, expected);
    };
    let intersects = |value: Bson, region: Bson, expected: bool| {
        check_filter(
            doc! { "p": { "$geoIntersects": { "$geometry": region.clone() } } },
            doc! { "p": value.clone() },
            expected,
        );
        // What intersects is mutual.
        check_filter(doc! { "p": { "$geoIntersects": { "$geometry": value } } }, doc! { "p": region }, expected);
    };
    let point = |x: f64, y: f64| bson!({ "type": "Point", "coordinates": [x, y] });
    within(point(1.0, 1.0), square(0.0, 2.0), true);
    within(point(3.0, 1.0), square(0.0, 2.0), false);
    within(point(-179.0, -1.0), square(0.0, 2.0), false);
    within(bson!([1.0, 1.0]), square(0.0, 2.0), true);
    within(bson!({ "lng": 1.0, "lat": 1.0 }), square(0.0, 2.0), true);
    within(square(0.5, 1.5), square(0.0, 2.0), true);
    within(square(0.5, 2.5), square(0.0, 2.0), false);
    within(bson!({ "type": "LineString", "coordinates": [[0.5, 0.5], [1.5, 1.5]] }), square(0.0, 2.0), true);
    within(bson!({ "type": "LineString", "coordinates": [[0.5, 0.5], [2.5, 1.5]] }), square(0.0, 2.0), false);
    let holed = bson!({ "type": "Polygon", "coordinates": [
        [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]],
        [[4, 4], [6, 4], [6, 6], [4, 6], [4, 4]],
    ] });
    within(point(5.0, 5.0), holed.clone(), false);
    within(point(2.0, 2.0), holed.clone(), true);
    within(square(3.0, 7.0), holed.clone(), false);
    intersects(point(5.0, 5.0), holed.clone(), false);
    intersects(square(3.0, 7.0), holed.clone(), true);
    intersects(square(4.5, 5.5), holed, false);
    intersects(point(1.0, 1.0), square(0.0, 2.0), true);
    intersects(square(1.0, 3.0), square(0.0, 2.0), true);
    intersects(square(5.0, 6.0), square(0.0, 2.0), false);
    intersects(square(-5.0, 6.0), square(0.0, 2.0), true);
    intersects(bson!({ "type": "LineString", "coordinates": [[-1, 1], [3, 1]] }), square(0.0, 2.0), true);
    intersects(
        bson!({ "type": "LineString", "coordinates": [[-1, 0], [1, 0]] }),
        bson!({ "type": "LineString", "coordinates": [[0, -1], [0, 1]] }),
        true,
    );
    intersects(
        bson!({ "type": "MultiPoint", "coordinates": [[50, 50], [1, 1]] }),
        bson!({ "type": "GeometryCollection", "geometries": [square(0.0, 2.0)] }),
        true,
    );
    // An edge along a parallel is a great circle and bulges towards the pole.
    let wide = bson!({ "type": "Polygon", "coordinates": [[[-60, 0], [60, 0], [60, 50], [-60, 50], [-60, 0]]] });
    within(point(0.0, 60.0), wide.clone(), true);
    within(point(0.0, 75.0), wide, false);
    // Across the antimeridian.
    let pacific =
        bson!({ "type": "Polygon", "coordinates": [[[170, -10], [-170, -10], [-170, 10], [170, 10], [170, -10]]] });
    within(point(180.0, 0.0), pacific.clone(), true);
    within(point(0.0, 0.0), pacific, false);
    // Manual, "$geoWithin": with the strict winding order a clockwise ring is everything outside of it.
    let big = bson!({
        "type": "Polygon",
        "coordinates": [[[0, 0], [0, 2], [2, 2], [2, 0], [0, 0]]],
        "crs": { "type": "name", "properties": { "name": "urn:x-mongodb:crs:strictwinding:EPSG:4326" } },
    });
    within(point(50.0, 50.0), big.clone(), true);
    within(point(1.0, 1.0), big, false);
    check_filter(doc! { "p": { "$geoWithin": { "$centerSphere": [[1, 1], 0.02] } } }, doc! { "p": [2, 1] }, true);
    check_filter(doc! { "p": { "$geoWithin": { "$centerSphere": [[1, 1], 0.01] } } }, doc! { "p": [2, 1] }, false);

    check_filter_error(doc! { "p": { "$geoWithin": { "$geometry": { "type": "Nope" } } } }, 2, "unknown GeoJSON type");
    check_filter_error(doc! { "p": { "$geoWithin": { "$geometry": point(0.0, 0.0) } } }, 2, "not supported");
    check_filter_error(doc! { "p": { "$geoIntersects": { "$geometry": point(200.0, 0.0) } } }, 2, "out of bounds");
    check_filter_error(
        doc! { "p": { "$geoWithin": { "$geometry": { "type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1]]] } } } },
        2,
        "not closed",
    );
    check_filter_error(
        doc! { "p": { "$geoWithin": { "$geometry": { "type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]] } } } },
        2,
        "cross",
    );
}

#[test]
fn geometry_in_the_plane() {
    let check = |region: Document, point: Bson, expected: bool| {
        check_filter(doc! { "p": { "$geoWithin": region } }, doc! { "p": point }, expected);
    };
    check(doc! { "$box": [[4, 4], [6, 6]] }, bson!([5, 5]), true);
    check(doc! { "$box": [[4, 4], [6, 6]] }, bson!([4, 6]), true);
    check(doc! { "$box": [[4, 4], [6, 6]] }, bson!([3, 5]), false);
    check(doc! { "$center": [[0, 0], 5] }, bson!([3, 4]), true);
    check(doc! { "$center": [[0, 0], 4.9] }, bson!([3, 4]), false);
    check(doc! { "$polygon": [[0, 0], [3, 6], [6, 0]] }, bson!([3, 3]), true);
    check(doc! { "$polygon": [[0, 0], [3, 6], [6, 0]] }, bson!([0, 6]), false);
    check(doc! { "$polygon": [[0, 0], [3, 6], [6, 0]] }, bson!([3, 0]), true);
    check(doc! { "$box": [[4, 4], [6, 6]] }, bson!({ "type": "Point", "coordinates": [5, 5] }), true);
    // Elements of an array of points.
    check(doc! { "$box": [[4, 4], [6, 6]] }, bson!([[0, 0], [5, 5]]), true);
}

#[test]
fn distances() {
    let filter = doc! { "p": { "$near": {
        "$geometry": { "type": "Point", "coordinates": [0, 0] }, "$minDistance": 1000, "$maxDistance": 200_000,
    } } };
    let filter = Filter::parse(&filter, &context()).expect("a filter");
    assert_eq!(filter.near_path(), Some(("p", true)));
    let near = |x: f64, y: f64| filter.near_distance(&doc! { "p": { "type": "Point", "coordinates": [x, y] } });
    // One degree each way, on a sphere of 6378.1 km.
    let distance = near(1.0, 1.0).expect("in range");
    assert!((distance - 157_424.624).abs() < 0.001, "{distance}");
    assert_eq!(near(0.0, 0.0), None);
    assert_eq!(near(2.0, 2.0), None);
    assert_eq!(filter.matches(&doc! { "p": "no geometry" }), Ok(false));
    assert_eq!(filter.matches(&doc! { "p": [1.0, 1.0] }), Ok(true));

    let flat = Filter::parse(&doc! { "p": { "$near": [0, 0], "$maxDistance": 5 } }, &context()).expect("a filter");
    assert_eq!(flat.near_path(), Some(("p", false)));
    assert_eq!(flat.near_distance(&doc! { "p": [3, 4] }), Some(5.0));
    assert_eq!(flat.near_distance(&doc! { "p": [3, 5] }), None);
    assert_eq!(flat.near_distance(&doc! { "p": [[3, 4], [0, 1]] }), Some(1.0));

    let radians = Filter::parse(&doc! { "p": { "$nearSphere": [0, 0] } }, &context()).expect("a filter");
    let distance = radians.near_distance(&doc! { "p": [180, 0] }).expect("a point");
    assert!((distance - std::f64::consts::PI).abs() < 1e-12);

    let near = Near::new(&bson!({ "type": "Point", "coordinates": [0, 0] }), true).expect("a point");
    let square = doc! { "p": { "type": "Polygon", "coordinates": [[[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]] } };
    assert_eq!(geo::nearest((&square).into(), "p", &near).map(|(distance, _)| distance), Some(0.0));
    assert!(geo::check_indexable((&square).into(), "p").is_ok());
    let outside = doc! { "p": { "type": "Point", "coordinates": [200, 0] } };
    assert_eq!(geo::check_indexable((&outside).into(), "p").expect_err("a refusal").code, 16755);
    assert!(geo::check_indexable((&doc! {}).into(), "p").is_ok());
}

#[test]
fn collations() {
    let parse = |specification: Document| Collation::parse(&specification);
    let collation = parse(doc! { "locale": "en", "strength": 2 }).expect("a collation").expect("not simple");
    assert!(collation.compare("abc", "ABC").is_eq());
    assert!(collation.compare("abc", "ábc").is_ne());
    let base = parse(doc! { "locale": "en", "strength": 1 }).expect("a collation").expect("not simple");
    assert!(base.compare("abc", "ÁBC").is_eq());
    let numeric = parse(doc! { "locale": "en", "numericOrdering": true }).expect("a collation").expect("not simple");
    assert!(numeric.compare("item 2", "item 10").is_lt());
    let default = parse(doc! { "locale": "en" }).expect("a collation").expect("not simple");
    assert!(default.compare("a", "B").is_lt());
    assert!(default.compare("a", "A").is_lt());
    let upper = parse(doc! { "locale": "de", "caseFirst": "upper" }).expect("a collation").expect("not simple");
    assert!(upper.compare("a", "A").is_gt());
    let swedish = parse(doc! { "locale": "sv" }).expect("a collation").expect("not simple");
    assert!(swedish.compare("z", "ä").is_lt());
    assert!(default.compare("z", "ä").is_gt());
    let phone_book = parse(doc! { "locale": "de@collation=phonebook" }).expect("a collation").expect("not simple");
    assert!(phone_book.compare("äz", "ae").is_gt() && phone_book.compare("ä", "af").is_lt());
    assert_eq!(parse(doc! { "locale": "simple" }), Ok(None));
    assert_eq!(parse(doc! { "locale": "xx-nope" }).expect_err("a refusal").code, 2);
    assert_eq!(parse(doc! { "locale": "en", "strength": 9 }).expect_err("a refusal").code, 9);
    assert_eq!(parse(doc! { "strength": 1 }).expect_err("a refusal").code, 40414);
    for locale in super::collation::LANGUAGES {
        parse(doc! { "locale": locale }).unwrap_or_else(|error| panic!("{locale}: {error}"));
    }
}

#[test]
fn decimals() {
    let number = |text: &str| text.parse::<bson::Decimal128>().expect("a decimal");
    let check = |left: bson::Decimal128, right: &str| assert_eq!(left.to_string(), number(right).to_string());
    check(decimal::add(number("1.10"), number("2.2")), "3.30");
    check(decimal::multiply(number("1.5"), number("-2")), "-3.0");
    check(decimal::divide(number("1"), number("3")), "0.3333333333333333333333333333333333");
    check(decimal::divide(number("1"), number("0")), "Infinity");
    check(decimal::remainder(number("1E+40"), number("7")), "4");
    check(decimal::remainder(number("-7.5"), number("2")), "-1.5");
    check(decimal::from_f64(1.0), "1.00000000000000");
    check(decimal::from_f64(0.1), "0.100000000000000");
    check(decimal::from_f64(-0.0), "-0");
    check(decimal::from_f64(1e300), "1.00000000000000E+300");
    check(decimal::quantize(number("2.345"), -2, decimal::Rounding::HalfEven), "2.34");
    check(decimal::negate(number("0")), "-0");
    check(decimal::square_root(number("2")), "1.414213562373095048801688724209698");
    // 10^40 modulo 7 by hand: 10 = 3, 10^6 = 1, so 10^40 = 10^4 = 4.
    assert_eq!(decimal::to_f64(number("0.1")), 0.1);
    assert_eq!(decimal::to_exact_i64(number("12E+2")), Some(1200));
    assert_eq!(decimal::to_exact_i64(number("1.5")), None);
    let order = |left: Bson, right: Bson| compare(&left, &right, None);
    assert!(order(Bson::Double(0.1), Bson::Decimal128(number("0.1"))).is_gt());
    assert!(order(Bson::Double(0.5), Bson::Decimal128(number("0.50"))).is_eq());
    assert!(order(Bson::Int64(i64::MAX), Bson::Double(9_223_372_036_854_775_808.0)).is_lt());
    assert!(order(Bson::Int64(i64::MAX), Bson::Decimal128(number("9223372036854775807.0"))).is_eq());
}

#[test]
fn updates_of_the_manual() {
    // Manual, "$push": $each with $sort and $slice.
    check_update(
        doc! { "_id": 5, "q": [{ "w": 1, "s": 10 }, { "w": 2, "s": 8 }, { "w": 3, "s": 5 }, { "w": 4, "s": 6 }] },
        bson!({ "$push": { "q": {
            "$each": [{ "w": 5, "s": 8 }, { "w": 6, "s": 7 }, { "w": 7, "s": 6 }], "$sort": { "s": -1 }, "$slice": 3,
        } } }),
        None,
        doc! { "_id": 5, "q": [{ "w": 1, "s": 10 }, { "w": 2, "s": 8 }, { "w": 5, "s": 8 }] },
    );
    // Manual, "$[]" and "$".
    check_update(
        doc! { "_id": 1, "g": [85, 82] },
        bson!({ "$inc": { "g.$[]": 10 } }),
        None,
        doc! { "_id": 1, "g": [95, 92] },
    );
    check_update(
        doc! { "_id": 1, "g": [85, 82] },
        bson!({ "$set": { "g.$": 1 } }),
        Some(1),
        doc! { "_id": 1, "g": [85, 1] },
    );
    // Manual, "Update Operators Behavior": fields in the order of their names, numbers by value.
    check_update(
        doc! { "_id": 1 },
        bson!({ "$set": { "10": 1, "9": 1, "b": 1, "a": 1 } }),
        None,
        doc! { "_id": 1, "9": 1, "10": 1, "a": 1, "b": 1 },
    );
    // Manual, "$unset": an element of an array becomes null.
    check_update(
        doc! { "_id": 1, "a": [1, 2] },
        bson!({ "$unset": { "a.0": "" } }),
        None,
        doc! { "_id": 1, "a": [Bson::Null, 2] },
    );
    // Manual, "$pull": conditions on documents are as if of a top-level document.
    check_update(
        doc! { "_id": 1, "r": [{ "i": "A", "s": 5 }, { "i": "B", "s": 8 }] },
        bson!({ "$pull": { "r": { "s": 8, "i": "B" } } }),
        None,
        doc! { "_id": 1, "r": [{ "i": "A", "s": 5 }] },
    );
    check_update_error(doc! { "_id": 1 }, bson!({ "$set": { "_id": 2 } }), 66);
    check_update_error(doc! { "_id": 1 }, bson!({ "$unset": { "_id": 1 } }), 66);
    check_update_error(doc! { "_id": 1 }, bson!({ "_id": 2 }), 66);
    check_update_error(doc! { "_id": 1 }, bson!({ "$set": { "a": 1, "a.b": 1 } }), 40);
    check_update_error(doc! { "_id": 1, "a": 1 }, bson!({ "$set": { "a.b": 1 } }), 28);
    check_update_error(doc! { "_id": 1, "a": "x" }, bson!({ "$inc": { "a": 1 } }), 14);
    check_update_error(doc! { "_id": 1 }, bson!({ "$set": { "a..b": 1 } }), 56);
    check_update_error(doc! { "_id": 1 }, bson!({ "$nope": { "a": 1 } }), 9);
    check_update_error(doc! { "_id": 1 }, bson!({ "$set": { "a": { "$x": 1 } } }), 52);
    check_update_error(doc! { "_id": 1 }, bson!({ "a": { "$x": 1 } }), 52);
    check_update_error(doc! { "_id": 1 }, bson!({ "$set": { "a.$": 1 } }), 2);
    check_update_error(doc! { "_id": 1 }, bson!({ "$inc": { "a": "x" } }), 14);
    check_update_error(doc! { "_id": 1, "a": i64::MAX }, bson!({ "$inc": { "a": 1_i64 } }), 2);
    check_update_error(doc! { "_id": 1, "a": [] }, bson!({ "$set": { "a.2000000": 1 } }), 15891);

    let update = |update: Bson| Update::parse(&update, &[], &context()).expect("an update");
    let unchanged = update(bson!({ "$set": { "a": 1 } })).apply(&doc! { "_id": 1, "a": 1 }, None).expect("an update");
    assert!(!unchanged.modified);
    assert!(update(bson!({ "a": 1 })).is_replacement());
    assert!(update(bson!({ "$set": { "a.$.b": 1 } })).needs_match_details());
    // Manual, "db.collection.update": upsert with fields of the filter.
    let filter =
        Filter::parse(&doc! { "a": 1, "b.c": { "$eq": 2 }, "d": { "$gt": 3 }, "$and": [{ "e": 4 }] }, &context())
            .expect("a filter");
    let inserted = update(bson!({ "$setOnInsert": { "f": 5 } })).upsert(&filter).expect("an upsert");
    let mut fields = inserted.clone();
    fields.remove("_id");
    assert_eq!(fields, doc! { "a": 1, "b": { "c": 2 }, "e": 4, "f": 5 });
    assert!(matches!(inserted.get("_id"), Some(Bson::ObjectId(_))));
    let twice = Filter::parse(&doc! { "a": 1, "$and": [{ "a": 2 }] }, &context()).expect("a filter");
    assert_eq!(update(bson!({ "$set": { "b": 1 } })).upsert(&twice).expect_err("a refusal").code, 54);
}

#[test]
fn inserted_documents() {
    let complete = |document: Document| complete_insert(document, &context());
    assert_eq!(complete(doc! { "a": 1, "_id": 2 }).expect("a document").keys().next().map(String::as_str), Some("_id"));
    assert!(matches!(complete(doc! {}).expect("a document").get("_id"), Some(Bson::ObjectId(_))));
    assert_eq!(complete(doc! { "_id": [1] }).expect_err("a refusal").code, 2);
    assert_eq!(complete(doc! { "_id": { "$x": 1 } }).expect_err("a refusal").code, 52);
    assert_eq!(complete(doc! { "$a": 1 }).expect_err("a refusal").code, 2);
    let mut deep = doc! {};
    for _ in 0..200 {
        deep = doc! { "a": deep };
    }
    assert_eq!(complete(deep).expect_err("a refusal").code, 15);
}

#[test]
fn projections_of_the_manual() {
    let check = |specification: Document, document: Document, index: Option<usize>, expected: Document| {
        let projection = Projection::parse(&specification, ProjectionPolicy::Find, &context()).expect("a projection");
        let projected = projection.apply(&document, Some(MatchDetails { array_index: index })).expect("a document");
        assert!(identical_documents(&projected, &expected), "{specification}: {projected} for {expected}");
    };
    let document = doc! { "_id": 1, "a": { "b": 1, "c": 2 }, "d": [1, 2, 3], "e": [{ "f": 1, "g": 2 }, { "f": 3 }] };
    check(doc! { "a": { "c": 1 } }, document.clone(), None, doc! { "_id": 1, "a": { "c": 2 } });
    check(doc! { "e.f": 1, "_id": 0 }, document.clone(), None, doc! { "e": [{ "f": 1 }, { "f": 3 }] });
    check(doc! { "e": 0, "a.b": 0 }, document.clone(), None, doc! { "_id": 1, "a": { "c": 2 }, "d": [1, 2, 3] });
    check(doc! { "d": { "$slice": -2 }, "e": 0, "a": 0 }, document.clone(), None, doc! { "_id": 1, "d": [2, 3] });
    check(doc! { "d": { "$slice": [1, 1] }, "_id": 1 }, document.clone(), None, doc! { "_id": 1, "d": [2] });
    check(doc! { "d.$": 1 }, document.clone(), Some(1), doc! { "_id": 1, "d": [2] });
    check(
        doc! { "e": { "$elemMatch": { "f": 3 } }, "d": 1 },
        document.clone(),
        None,
        doc! { "_id": 1, "d": [1, 2, 3], "e": [{ "f": 3 }] },
    );
    check(doc! { "x": "$a.b", "d": 1 }, document, None, doc! { "_id": 1, "d": [1, 2, 3], "x": 1 });
    let refuse = |specification: Document, code: i32| {
        let error = Projection::parse(&specification, ProjectionPolicy::Find, &context()).expect_err("a refusal");
        assert_eq!(error.code, code, "{specification}");
    };
    refuse(doc! { "a": 1, "b": 0 }, 31254);
    refuse(doc! { "a": 0, "b": 1 }, 31253);
    refuse(doc! { "a": 1, "a.b": 1 }, 31249);
    refuse(doc! { "a.b": 1, "a": 1 }, 31250);
    refuse(doc! { "a.$": 1, "b.$": 1 }, 31276);
    refuse(doc! { "a": { "$meta": "textScore" } }, 115);
    refuse(doc! { "a": {} }, 51270);
}

#[test]
fn sort_orders() {
    let spec = SortSpec::parse(&doc! { "a": -1, "b.c": 1 }, &context()).expect("a sort order");
    let key = |document: Document| spec.key(&document).expect("a key").values;
    // Manual, "sort": the greatest element decides a descending order, the least an ascending one.
    assert_eq!(key(doc! { "a": [1, 5, 3], "b": { "c": 2 } }), [Bson::Int32(5), Bson::Int32(2)]);
    assert_eq!(key(doc! { "b": [{ "c": 4 }, { "c": 2 }] }), [Bson::Null, Bson::Int32(2)]);
    assert_eq!(key(doc! { "a": [], "b": 1 }), [Bson::Undefined, Bson::Null]);
    assert_eq!(spec.key(&doc! { "a": [1], "b": [{ "c": 1 }] }).expect_err("a refusal").code, 2);
    let refuse = |specification: Document, code: i32| {
        assert_eq!(SortSpec::parse(&specification, &context()).expect_err("a refusal").code, code);
    };
    refuse(doc! { "a": 2 }, 15975);
    refuse(doc! { "a": "x" }, 15974);
    refuse(doc! { "a": { "$meta": "textScore" } }, 115);
    refuse(doc! { "": 1 }, 40352);
}
