//! Equality of answers: types, order of fields, the sign of zero; relative tolerance where a step asks for it.

use bson::{Bson, Document};
use docstore::query::decimal;

/// Relative tolerance of doubles in `approximate` steps.
const TOLERANCE: f64 = 1e-12;

/// Relative tolerance of decimals in `approximate` steps: the last two of 34 digits are those of the recorded server's
/// library, which computes in binary with an error of its own.
const DECIMAL_TOLERANCE: f64 = 1e-32;

fn near(left: bson::Decimal128, right: bson::Decimal128) -> bool {
    let difference = decimal::to_f64(decimal::subtract(left, right)).abs();
    difference <= DECIMAL_TOLERANCE * decimal::to_f64(left).abs()
}

/// Equal to the last bit; doubles within the tolerance if `approximate`. `"$$any"` in `expected` fits anything.
pub fn same(expected: &Bson, found: &Bson, approximate: bool) -> bool {
    match (expected, found) {
        (Bson::String(any), _) if any == "$$any" => true,
        (Bson::Double(a), Bson::Double(b)) => {
            a.to_bits() == b.to_bits()
                || (a.is_nan() && b.is_nan())
                || (approximate && (a == b || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())))
        }
        (Bson::Decimal128(a), Bson::Decimal128(b)) => a == b || (approximate && near(*a, *b)),
        (Bson::Document(a), Bson::Document(b)) => same_document(a, b, approximate),
        (Bson::Array(a), Bson::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, approximate)),
        (Bson::JavaScriptCodeWithScope(a), Bson::JavaScriptCodeWithScope(b)) => {
            a.code == b.code && same_document(&a.scope, &b.scope, approximate)
        }
        (a, b) => a == b,
    }
}

/// Same fields in the same order.
pub fn same_document(expected: &Document, found: &Document, approximate: bool) -> bool {
    expected.len() == found.len()
        && expected.iter().zip(found).all(|((a, x), (b, y))| a == b && same(x, y, approximate))
}

/// The value as the recorder, a JavaScript program, saw it: its objects put fields named by array indexes first, in
/// ascending order, wherever the server had them.
pub fn as_recorded(value: &Bson) -> Bson {
    match value {
        Bson::Document(document) => {
            let mut numbered: Vec<(u32, &str, &Bson)> = Vec::new();
            let mut others = Vec::new();
            for (name, value) in document {
                match name.parse::<u32>() {
                    Ok(number) if number < u32::MAX && number.to_string() == *name => {
                        numbered.push((number, name, value))
                    }
                    _ => others.push((name, value)),
                }
            }
            numbered.sort_by_key(|(number, _, _)| *number);
            let mut ordered = Document::new();
            for (_, name, value) in numbered {
                ordered.insert(name, as_recorded(value));
            }
            for (name, value) in others {
                ordered.insert(name, as_recorded(value));
            }
            Bson::Document(ordered)
        }
        Bson::Array(items) => Bson::Array(items.iter().map(as_recorded).collect()),
        other => other.clone(),
    }
}

/// Same elements, in this order or any.
pub fn same_list(expected: &[Bson], found: &[Bson], unordered: bool, approximate: bool) -> bool {
    let found: Vec<Bson> = found.iter().map(as_recorded).collect();
    if expected.len() != found.len() {
        return false;
    }
    if !unordered {
        return expected.iter().zip(&found).all(|(a, b)| same(a, b, approximate));
    }
    let mut left: Vec<&Bson> = found.iter().collect();
    expected.iter().all(|wanted| match left.iter().position(|found| same(wanted, found, approximate)) {
        Some(position) => {
            left.swap_remove(position);
            true
        }
        None => false,
    })
}
