//! Numbers of the four types: widening, sums that lose nothing, conversions.

use bson::{Bson, Decimal128};

use crate::query::decimal;

/// The types in the order in which one widens to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::aggregate) enum Width {
    Int,
    Long,
    Double,
    Decimal,
}

/// The number's type; `None` if it is no number.
pub(in crate::aggregate) fn width(value: &Bson) -> Option<Width> {
    match value {
        Bson::Int32(_) => Some(Width::Int),
        Bson::Int64(_) => Some(Width::Long),
        Bson::Double(_) => Some(Width::Double),
        Bson::Decimal128(_) => Some(Width::Decimal),
        _ => None,
    }
}

/// The wider type of two numbers; `None` if one is no number.
pub(in crate::aggregate) fn widest(left: &Bson, right: &Bson) -> Option<Width> {
    Some(width(left)?.max(width(right)?))
}

/// As a double; 0 for what is no number.
pub(in crate::aggregate) fn to_f64(value: &Bson) -> f64 {
    match value {
        Bson::Int32(number) => f64::from(*number),
        Bson::Int64(number) => *number as f64,
        Bson::Double(number) => *number,
        Bson::Decimal128(number) => decimal::to_f64(*number),
        _ => 0.0,
    }
}

/// As a decimal; doubles with 15 digits. 0 for what is no number.
pub(in crate::aggregate) fn to_decimal(value: &Bson) -> Decimal128 {
    match value {
        Bson::Int32(number) => decimal::from_i64(i64::from(*number)),
        Bson::Int64(number) => decimal::from_i64(*number),
        Bson::Double(number) => decimal::from_f64(*number),
        Bson::Decimal128(number) => *number,
        _ => decimal::from_i64(0),
    }
}

/// As a 64-bit integer: doubles lose their fraction, decimals are rounded half to even; what is out of range becomes
/// the nearest bound.
pub(in crate::aggregate) fn to_i64(value: &Bson) -> i64 {
    match value {
        Bson::Int32(number) => i64::from(*number),
        Bson::Int64(number) => *number,
        Bson::Double(number) => *number as i64,
        Bson::Decimal128(number) => {
            let rounded = decimal::quantize(*number, 0, decimal::Rounding::HalfEven);
            decimal::truncate_to_i128(rounded)
                .map_or(i64::MIN, |number| number.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
        }
        _ => 0,
    }
}

/// The number as a 32-bit integer when it is exactly one, whatever its type.
pub(in crate::aggregate) fn to_exact_i32(value: &Bson) -> Option<i32> {
    crate::query::value::ValueRef::from(value).as_exact_i64().and_then(|number| i32::try_from(number).ok())
}

/// Int where it fits, else long.
pub(in crate::aggregate) fn int_or_long(value: i64) -> Bson {
    i32::try_from(value).map_or(Bson::Int64(value), Bson::Int32)
}

/// The double's exact value, rounded to 34 digits where it has more.
pub(in crate::aggregate) fn exact_decimal(value: f64) -> Decimal128 {
    if value.is_nan() || value.is_infinite() || value == 0.0 {
        return decimal::from_f64(value);
    }
    if value.trunc() == value && value.abs() < 9_007_199_254_740_992.0 {
        return decimal::from_i64(value as i64);
    }
    // No double has more than 767 significant digits.
    let text = format!("{:.770e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let significant = digits.iter().rposition(|digit| *digit != b'0').map_or(1, |last| last + 1);
    let scale = exponent.parse::<i32>().unwrap_or(0);
    let number = |digits: &[u8]| digits.iter().fold(0_u128, |sum, digit| sum * 10 + u128::from(digit - b'0'));
    let (mut coefficient, mut places) = if significant <= 34 {
        (number(&digits[..significant]), significant)
    } else {
        let mut coefficient = number(&digits[..34]);
        let rest = &digits[34..significant];
        let half = rest[0] == b'5' && rest.len() == 1;
        if rest[0] > b'5' || (rest[0] == b'5' && !half) || (half && coefficient % 2 == 1) {
            coefficient += 1;
        }
        (coefficient, 34)
    };
    // Integers keep the exponent 0 where their digits allow it.
    while scale + 1 > places as i32 && places < 34 {
        coefficient *= 10;
        places += 1;
    }
    decimal::from_parts(decimal::Parts::Finite {
        negative: value < 0.0,
        coefficient,
        exponent: scale + 1 - places as i32,
    })
}

/// A sum of doubles and integers that keeps what rounding would lose: the unevaluated sum of two doubles.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::aggregate) struct ExactSum {
    sum: f64,
    rest: f64,
    /// The plain sum, for infinities and not-a-number, which the exact one turns into nonsense.
    plain: f64,
}

fn two_sum(left: f64, right: f64) -> (f64, f64) {
    let sum = left + right;
    let left_part = sum - right;
    let right_part = sum - left_part;
    (sum, (left - left_part) + (right - right_part))
}

impl ExactSum {
    pub fn add_double(&mut self, value: f64) {
        self.plain += value;
        let (value, rest) = two_sum(value, self.rest);
        let (sum, lost) = two_sum(self.sum, value);
        self.sum = sum;
        self.rest = rest + lost;
    }

    pub fn add_long(&mut self, value: i64) {
        // Two halves that doubles hold exactly.
        let high = value / (1 << 32) * (1 << 32);
        self.add_double((value - high) as f64);
        self.add_double(high as f64);
    }

    pub fn to_double(self) -> f64 {
        if self.sum.is_nan() { self.plain } else { self.sum }
    }

    /// The sum as an integer, rounded; `None` if 64 bits do not hold it.
    pub fn to_long(self) -> Option<i64> {
        if !self.sum.is_finite() || self.sum.abs() > 1e19 {
            return None;
        }
        let whole = self.sum.round();
        let total = whole as i128 + ((self.sum - whole) + self.rest).round() as i128;
        i64::try_from(total).ok()
    }

    pub fn to_decimal(self) -> Decimal128 {
        let value = self.to_double();
        let sum = exact_decimal(value);
        if value.is_finite() { decimal::add(sum, exact_decimal(self.rest)) } else { sum }
    }
}
