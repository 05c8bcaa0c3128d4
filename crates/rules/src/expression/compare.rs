//! Equality and order of BSON values (rules-and-users 1.7).

use std::cell::Cell;
use std::cmp::Ordering;

use bson::{Bson, Decimal128};

/// Counts steps down; exhausted once it is zero.
#[derive(Debug)]
pub(super) struct Budget(Cell<u32>);

impl Budget {
    pub fn new(steps: u32) -> Self {
        Self(Cell::new(steps))
    }

    /// False once nothing is left.
    pub fn spend(&self) -> bool {
        let left = self.0.get().saturating_sub(1);
        self.0.set(left);
        left > 0
    }

    pub fn is_exhausted(&self) -> bool {
        self.0.get() == 0
    }
}

/// [`equal`] outside of expressions, where documents bound the work.
pub(crate) fn equal_values(left: &Bson, right: &Bson) -> bool {
    equal(left, right, &Budget::new(u32::MAX))
}

/// [`order`] outside of expressions.
pub(crate) fn order_values(left: &Bson, right: &Bson) -> Option<Ordering> {
    order(left, right)
}

/// Equal by value: numbers of any width by their number, everything else with the same type only.
pub(super) fn equal(left: &Bson, right: &Bson, budget: &Budget) -> bool {
    if !budget.spend() {
        return false;
    }
    match (left, right) {
        (Bson::Array(left), Bson::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right, budget))
        }
        (Bson::Document(left), Bson::Document(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|((left_key, left), (right_key, right))| left_key == right_key && equal(left, right, budget))
        }
        _ if is_number(left) && is_number(right) => order(left, right) == Some(Ordering::Equal),
        _ => left == right,
    }
}

/// Order inside of one comparable class; `None` across classes and for values without order.
pub(super) fn order(left: &Bson, right: &Bson) -> Option<Ordering> {
    match (left, right) {
        (Bson::String(left), Bson::String(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        (Bson::ObjectId(left), Bson::ObjectId(right)) => Some(left.bytes().cmp(&right.bytes())),
        (Bson::DateTime(left), Bson::DateTime(right)) => Some(left.timestamp_millis().cmp(&right.timestamp_millis())),
        (Bson::Timestamp(left), Bson::Timestamp(right)) => {
            Some((left.time, left.increment).cmp(&(right.time, right.increment)))
        }
        (Bson::Boolean(left), Bson::Boolean(right)) => Some(left.cmp(right)),
        (Bson::Binary(left), Bson::Binary(right)) => {
            let key = |binary: &bson::Binary| (binary.bytes.len(), u8::from(binary.subtype));
            Some(key(left).cmp(&key(right)).then_with(|| left.bytes.cmp(&right.bytes)))
        }
        _ => order_numbers(Number::of(left)?, Number::of(right)?),
    }
}

pub(crate) fn is_number(value: &Bson) -> bool {
    matches!(value, Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_))
}

enum Number {
    Whole(i64),
    Double(f64),
    Decimal(Decimal128),
}

impl Number {
    fn of(value: &Bson) -> Option<Self> {
        match value {
            Bson::Int32(value) => Some(Number::Whole(i64::from(*value))),
            Bson::Int64(value) => Some(Number::Whole(*value)),
            Bson::Double(value) => Some(Number::Double(*value)),
            Bson::Decimal128(value) => Some(Number::Decimal(*value)),
            _ => None,
        }
    }

    fn digits(&self) -> Digits {
        match self {
            Number::Whole(value) => Digits::parse(&value.to_string()),
            // A double has at most 1074 binary and as many decimal places, so this text is exact.
            Number::Double(value) if value.is_finite() => Digits::parse(&format!("{value:.1074}")),
            Number::Double(value) => Digits::parse(&value.to_string()),
            Number::Decimal(value) => Digits::parse(&value.to_string()),
        }
    }
}

/// By numeric value; NaN equals NaN and has no order with anything else.
fn order_numbers(left: Number, right: Number) -> Option<Ordering> {
    match (&left, &right) {
        (Number::Whole(left), Number::Whole(right)) => Some(left.cmp(right)),
        (Number::Double(left), Number::Double(right)) => order_doubles(*left, *right),
        (Number::Whole(left), Number::Double(right)) => order_whole_and_double(*left, *right),
        (Number::Double(left), Number::Whole(right)) => order_whole_and_double(*right, *left).map(Ordering::reverse),
        _ => left.digits().order(&right.digits()),
    }
}

fn order_doubles(left: f64, right: f64) -> Option<Ordering> {
    if left.is_nan() && right.is_nan() { Some(Ordering::Equal) } else { left.partial_cmp(&right) }
}

/// Exact, also beyond 2^53.
fn order_whole_and_double(whole: i64, double: f64) -> Option<Ordering> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        return None;
    }
    if double >= LIMIT {
        return Some(Ordering::Less);
    }
    if double < -LIMIT {
        return Some(Ordering::Greater);
    }
    let truncated = double.trunc();
    Some(
        whole
            .cmp(&(truncated as i64))
            .then_with(|| 0.0_f64.partial_cmp(&(double - truncated)).unwrap_or(Ordering::Equal)),
    )
}

/// A number in exact decimal notation.
enum Digits {
    NotANumber,
    Infinite {
        negative: bool,
    },
    /// `0.digits * 10^exponent`, without zeros at either end; no digits at all is zero.
    Finite {
        negative: bool,
        digits: Vec<u8>,
        exponent: i64,
    },
}

impl Digits {
    /// Text such as `-12.50`, `1.05E+3`, `Infinity`, `NaN`.
    fn parse(text: &str) -> Self {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        match text.to_ascii_lowercase().as_str() {
            "nan" => return Digits::NotANumber,
            "inf" | "infinity" => return Digits::Infinite { negative },
            _ => {}
        }
        let (mantissa, power) = match text.split_once(['E', 'e']) {
            Some((mantissa, power)) => (mantissa, power.parse::<i64>().unwrap_or(0)),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).filter(u8::is_ascii_digit).collect();
        let leading = all.iter().take_while(|digit| **digit == b'0').count();
        let trailing = all.iter().rev().take_while(|digit| **digit == b'0').count();
        let digits = if leading == all.len() { Vec::new() } else { all[leading..all.len() - trailing].to_vec() };
        let exponent = power + whole.len() as i64 - leading as i64;
        Digits::Finite { negative, digits, exponent }
    }

    fn order(&self, other: &Self) -> Option<Ordering> {
        let rank = |number: &Self| -> Option<i8> {
            match number {
                Digits::NotANumber => None,
                Digits::Infinite { negative } => Some(if *negative { -2 } else { 2 }),
                Digits::Finite { digits, .. } if digits.is_empty() => Some(0),
                Digits::Finite { negative, .. } => Some(if *negative { -1 } else { 1 }),
            }
        };
        let (left, right) = match (rank(self), rank(other)) {
            (None, None) => return Some(Ordering::Equal),
            (Some(left), Some(right)) => (left, right),
            _ => return None,
        };
        if left != right || left == 0 || left.abs() == 2 {
            return Some(left.cmp(&right));
        }
        let (
            Digits::Finite { digits: left_digits, exponent: left_exponent, .. },
            Digits::Finite { digits: right_digits, exponent: right_exponent, .. },
        ) = (self, other)
        else {
            return None;
        };
        let size = left_exponent.cmp(right_exponent).then_with(|| left_digits.cmp(right_digits));
        Some(if left < 0 { size.reverse() } else { size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_value() {
        let decimal = |text: &str| Bson::Decimal128(text.parse().unwrap());
        let ascending = [
            Bson::Double(f64::NEG_INFINITY),
            decimal("-1E+100"),
            Bson::Int64(i64::MIN),
            Bson::Double(-1.5),
            decimal("-1.4"),
            Bson::Int32(0),
            decimal("0.1"),
            // The double is a little more than the decimal fraction.
            Bson::Double(0.1),
            Bson::Int32(1),
            Bson::Int64(9_007_199_254_740_992),
            Bson::Int64(9_007_199_254_740_993),
            Bson::Int64(i64::MAX),
            Bson::Double(9_223_372_036_854_775_808.0),
            decimal("1E+30"),
            Bson::Double(1e300),
            decimal("Infinity"),
        ];
        for (left_index, left) in ascending.iter().enumerate() {
            for (right_index, right) in ascending.iter().enumerate() {
                assert_eq!(order(left, right), Some(left_index.cmp(&right_index)), "{left} {right}");
            }
        }
        let budget = Budget::new(1000);
        let equal = |left: &Bson, right: &Bson| equal(left, right, &budget);
        assert!(equal(&Bson::Int32(42), &Bson::Int64(42)) && equal(&Bson::Int64(42), &Bson::Double(42.0)));
        assert!(equal(&decimal("4.20E+1"), &Bson::Int32(42)) && equal(&decimal("-0"), &Bson::Double(0.0)));
        assert!(equal(&Bson::Double(f64::NAN), &decimal("NaN")) && !equal(&Bson::Double(f64::NAN), &Bson::Int32(0)));
        assert_eq!(order(&Bson::Double(f64::NAN), &Bson::Int32(0)), None);
        assert!(equal(&Bson::Double(f64::INFINITY), &decimal("Infinity")));
        assert!(!equal(&Bson::String("1".into()), &Bson::Int32(1)));
    }
}
