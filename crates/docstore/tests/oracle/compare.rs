//! Equality of answers: types, order of fields, the sign of zero; relative tolerance where a step asks for it.

use bson::{Bson, Document};

/// Relative tolerance of `approximate` steps.
const TOLERANCE: f64 = 1e-12;

/// Equal to the last bit; doubles within the tolerance if `approximate`. `"$$any"` in `expected` fits anything.
pub fn same(expected: &Bson, found: &Bson, approximate: bool) -> bool {
    match (expected, found) {
        (Bson::String(any), _) if any == "$$any" => true,
        (Bson::Double(a), Bson::Double(b)) => {
            a.to_bits() == b.to_bits()
                || (a.is_nan() && b.is_nan())
                || (approximate && (a == b || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())))
        }
        (Bson::Document(a), Bson::Document(b)) => same_document(a, b, approximate),
        (Bson::Array(a), Bson::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, approximate))
        }
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

/// Same elements, in this order or any.
pub fn same_list(expected: &[Bson], found: &[Bson], unordered: bool, approximate: bool) -> bool {
    if expected.len() != found.len() {
        return false;
    }
    if !unordered {
        return expected.iter().zip(found).all(|(a, b)| same(a, b, approximate));
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
