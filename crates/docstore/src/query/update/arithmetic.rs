//! Numbers of `$inc`, `$mul` and `$bit`: the wider of the two types, 32-bit integers growing to 64 bits where needed.

use bson::Bson;

use crate::query::decimal;
use crate::query::value::ValueRef;

/// The sum; `None` beyond 64 bits or for values that are no numbers.
pub(super) fn add(left: &Bson, right: &Bson) -> Option<Bson> {
    combine(left, right, i64::checked_add, |left, right| left + right, decimal::add)
}

/// The product; `None` beyond 64 bits or for values that are no numbers.
pub(super) fn multiply(left: &Bson, right: &Bson) -> Option<Bson> {
    combine(left, right, i64::checked_mul, |left, right| left * right, decimal::multiply)
}

fn combine(
    left: &Bson,
    right: &Bson,
    integers: impl FnOnce(i64, i64) -> Option<i64>,
    doubles: impl FnOnce(f64, f64) -> f64,
    decimals: impl FnOnce(bson::Decimal128, bson::Decimal128) -> bson::Decimal128,
) -> Option<Bson> {
    match (left, right) {
        (Bson::Decimal128(_), _) | (_, Bson::Decimal128(_)) => {
            Some(Bson::Decimal128(decimals(to_decimal(left)?, to_decimal(right)?)))
        }
        (Bson::Double(_), _) | (_, Bson::Double(_)) => {
            Some(Bson::Double(doubles(ValueRef::from(left).as_f64()?, ValueRef::from(right).as_f64()?)))
        }
        (Bson::Int32(left), Bson::Int32(right)) => {
            let result = integers(i64::from(*left), i64::from(*right))?;
            Some(i32::try_from(result).map_or(Bson::Int64(result), Bson::Int32))
        }
        _ => Some(Bson::Int64(integers(to_integer(left)?, to_integer(right)?)?)),
    }
}

fn to_decimal(value: &Bson) -> Option<bson::Decimal128> {
    match value {
        Bson::Decimal128(number) => Some(*number),
        Bson::Double(number) => Some(decimal::from_f64(*number)),
        other => to_integer(other).map(decimal::from_i64),
    }
}

fn to_integer(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        _ => None,
    }
}

/// One step of `$bit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BitOperator {
    And,
    Or,
    Xor,
}

/// The result of a bit operation; `None` for values that are no integers.
pub(super) fn bit(operator: BitOperator, left: &Bson, right: &Bson) -> Option<Bson> {
    let (left_bits, right_bits) = (to_integer(left)?, to_integer(right)?);
    let bits = match operator {
        BitOperator::And => left_bits & right_bits,
        BitOperator::Or => left_bits | right_bits,
        BitOperator::Xor => left_bits ^ right_bits,
    };
    match (left, right) {
        // Two 32-bit operands, sign-extended, give a result of 32 bits.
        (Bson::Int32(_), Bson::Int32(_)) => Some(Bson::Int32(bits as i32)),
        _ => Some(Bson::Int64(bits)),
    }
}
