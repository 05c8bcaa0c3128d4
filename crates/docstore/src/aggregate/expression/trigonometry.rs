//! Trigonometry (MongoDB manual, "Trigonometry Expression Operators").

use std::cmp::Ordering;

use bson::{Bson, Decimal128};

use super::arithmetic::one_number;
use super::high_precision::{Input, Real, all_digits, from_real, to_real, unary};
use super::number::{Width, to_decimal, to_f64, widest};
use super::{NULL, Scope, Value, is_nullish, some, type_name};
use crate::error::{CommandError, CommandResult};
use crate::query::decimal;

/// Below ten to this power an odd function of this kind is its argument, to 34 digits.
const TINY_EXPONENT: i32 = -20;
/// Above ten to this power a periodic function has no digit left that means anything.
const HUGE_EXPONENT: i32 = 64;

/// The argument's order of magnitude: the exponent of its first digit.
fn magnitude(value: Decimal128) -> i32 {
    match decimal::parts(value) {
        decimal::Parts::Finite { coefficient, exponent, .. } => {
            exponent + coefficient.checked_ilog10().unwrap_or(0) as i32
        }
        _ => i32::MAX,
    }
}

fn within(number: &Bson, low: f64, high: f64) -> bool {
    match number {
        Bson::Decimal128(decimal) => {
            decimal::is_nan(*decimal)
                || (decimal::compare_to_double(*decimal, low) != Ordering::Less
                    && decimal::compare_to_double(*decimal, high) != Ordering::Greater)
        }
        other => {
            let double = to_f64(other);
            double.is_nan() || (low..=high).contains(&double)
        }
    }
}

fn bounded(name: &str, values: &[Value], low: f64, high: f64) -> CommandResult<()> {
    match &values[0] {
        Some(number) if super::number::width(number).is_some() && !within(number, low, high) => {
            let range = |bound: f64| if bound.is_infinite() { "inf".to_owned() } else { bound.to_string() };
            Err(CommandError::new(
                50989,
                format!("cannot apply {name} to {number}, value must be in [{},{}]", range(low), range(high)),
            ))
        }
        _ => Ok(()),
    }
}

fn apply(
    name: &str,
    values: &[Value],
    doubles: fn(f64) -> f64,
    decimals: impl FnOnce(Decimal128) -> Decimal128,
) -> CommandResult<Value> {
    one_number(name, values, |number| match number {
        Bson::Decimal128(number) => some(decimals(*number)),
        other => some(doubles(to_f64(other))),
    })
}

fn nan() -> Decimal128 {
    decimal::from_f64(f64::NAN)
}

/// Sine, cosine, tangent: finite arguments only, and none so large that reducing it would be all the work.
fn periodic(value: Decimal128, function: impl FnOnce(Real) -> Real) -> Decimal128 {
    if magnitude(value) > HUGE_EXPONENT {
        return nan();
    }
    unary(value, Input::Exact, function).unwrap_or_else(nan)
}

/// A function that is its own argument near zero.
fn odd(value: Decimal128, input: Input, function: impl FnOnce(Real) -> Real) -> Option<Decimal128> {
    if decimal::is_zero(value) || (magnitude(value) < TINY_EXPONENT && !decimal::is_nan(value)) {
        return Some(all_digits(value));
    }
    unary(value, input, function)
}

/// The limit of a function at an infinity; NaN at NaN.
fn at_infinity(value: Decimal128, positive: f64, negative: f64) -> Decimal128 {
    if decimal::is_nan(value) {
        nan()
    } else {
        decimal::from_f64(if decimal::is_negative(value) { negative } else { positive })
    }
}

/// π/2 with 34 digits, signed.
fn half_pi(negative: bool) -> Decimal128 {
    decimal::from_parts(decimal::Parts::Finite {
        negative,
        coefficient: 1_570_796_326_794_896_619_231_321_691_639_751,
        exponent: -33,
    })
}

pub(super) fn sin(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    bounded_finite("$sin", values)?;
    apply("$sin", values, f64::sin, |value| {
        if magnitude(value) < TINY_EXPONENT { all_digits(value) } else { periodic(value, |real| real.sin()) }
    })
}

pub(super) fn cos(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    bounded_finite("$cos", values)?;
    apply("$cos", values, f64::cos, |value| periodic(value, |real| real.cos()))
}

pub(super) fn tan(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    bounded_finite("$tan", values)?;
    apply("$tan", values, f64::tan, |value| {
        if magnitude(value) < TINY_EXPONENT { all_digits(value) } else { periodic(value, |real| real.tan()) }
    })
}

/// Sine, cosine and tangent refuse infinities.
fn bounded_finite(name: &str, values: &[Value]) -> CommandResult<()> {
    let infinite = match &values[0] {
        Some(Bson::Double(number)) => number.is_infinite(),
        Some(Bson::Decimal128(number)) => decimal::is_infinite(*number),
        _ => false,
    };
    if infinite {
        return Err(CommandError::new(
            50989,
            format!("cannot apply {name} to an infinity, value must be in (-inf,inf)"),
        ));
    }
    Ok(())
}

pub(super) fn asin(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    bounded("$asin", values, -1.0, 1.0)?;
    apply("$asin", values, f64::asin, |value| odd(value, Input::Exact, |real| real.asin()).unwrap_or_else(nan))
}

pub(super) fn acos(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    bounded("$acos", values, -1.0, 1.0)?;
    apply("$acos", values, f64::acos, |value| {
        if decimal::compare(value, decimal::from_i64(1)).is_eq() {
            return all_digits(decimal::from_i64(0));
        }
        unary(value, Input::Binary, |real| real.acos()).unwrap_or_else(nan)
    })
}

pub(super) fn atan(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    apply("$atan", values, f64::atan, arc_tangent)
}

fn arc_tangent(value: Decimal128) -> Decimal128 {
    if decimal::is_nan(value) {
        return nan();
    }
    if decimal::is_infinite(value) || magnitude(value) > HUGE_EXPONENT {
        return half_pi(decimal::is_negative(value));
    }
    odd(value, Input::Binary, |real| real.atan()).unwrap_or_else(nan)
}

pub(super) fn atan2(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let (y, x) = (&values[0], &values[1]);
    if is_nullish(y) || is_nullish(x) {
        return NULL;
    }
    let number = |value: &Value, code: i32| match value {
        Some(number) if super::number::width(number).is_some() => Ok(number.clone()),
        other => Err(CommandError::new(code, format!("$atan2 only supports numeric types, not {}", type_name(other)))),
    };
    let y = number(y, 51044)?;
    let x = number(x, 51045)?;
    if widest(&y, &x) != Some(Width::Decimal) {
        return some(to_f64(&y).atan2(to_f64(&x)));
    }
    some(arc_tangent_2(to_decimal(&y), to_decimal(&x)))
}

fn arc_tangent_2(y: Decimal128, x: Decimal128) -> Decimal128 {
    let far = |value: Decimal128| decimal::is_infinite(value) || decimal::is_zero(value);
    if far(y) || far(x) || decimal::is_nan(y) || decimal::is_nan(x) {
        // Angles of the axes and the diagonals; doubles know which, decimals have more digits.
        let angle = decimal::to_f64(y).atan2(decimal::to_f64(x));
        if angle.is_nan() {
            return nan();
        }
        if angle == 0.0 {
            return all_digits(decimal::from_f64(angle));
        }
        let eighths = (angle.abs() / std::f64::consts::FRAC_PI_4).round() as i64;
        let quarter = decimal::divide(half_pi(angle < 0.0), decimal::from_i64(2));
        return decimal::multiply(quarter, decimal::from_i64(eighths));
    }
    if (magnitude(y) - magnitude(x)).abs() > HUGE_EXPONENT {
        let quotient = decimal::divide(y, x);
        if magnitude(quotient) > 0 {
            return half_pi(decimal::is_negative(y));
        }
        if !decimal::is_negative(x) {
            return all_digits(quotient);
        }
        return decimal::multiply(half_pi(decimal::is_negative(y)), decimal::from_i64(2));
    }
    match (to_real(y, Input::Binary), to_real(x, Input::Binary)) {
        (Some(y), Some(x)) => from_real(y.atan2(&x)),
        _ => nan(),
    }
}

pub(super) fn sinh(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    apply("$sinh", values, f64::sinh, |value| {
        if magnitude(value) > 4 {
            return at_infinity(value, f64::INFINITY, f64::NEG_INFINITY);
        }
        odd(value, Input::Binary, |real| real.sinh())
            .unwrap_or_else(|| at_infinity(value, f64::INFINITY, f64::NEG_INFINITY))
    })
}

pub(super) fn cosh(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    apply("$cosh", values, f64::cosh, |value| {
        if magnitude(value) > 4 {
            return at_infinity(value, f64::INFINITY, f64::INFINITY);
        }
        unary(value, Input::Binary, |real| real.cosh())
            .unwrap_or_else(|| at_infinity(value, f64::INFINITY, f64::INFINITY))
    })
}

pub(super) fn tanh(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    apply("$tanh", values, f64::tanh, |value| {
        if magnitude(value) > 2 {
            return at_infinity(value, 1.0, -1.0);
        }
        odd(value, Input::Binary, |real| real.tanh()).unwrap_or_else(|| at_infinity(value, 1.0, -1.0))
    })
}

pub(super) fn asinh(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    apply("$asinh", values, f64::asinh, |value| {
        odd(value, Input::Binary, |real| real.asinh())
            .unwrap_or_else(|| at_infinity(value, f64::INFINITY, f64::NEG_INFINITY))
    })
}

pub(super) fn acosh(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    bounded("$acosh", values, 1.0, f64::INFINITY)?;
    apply("$acosh", values, f64::acosh, |value| {
        if decimal::compare(value, decimal::from_i64(1)).is_eq() {
            return all_digits(decimal::from_i64(0));
        }
        unary(value, Input::Binary, |real| real.acosh()).unwrap_or_else(|| at_infinity(value, f64::INFINITY, f64::NAN))
    })
}

pub(super) fn atanh(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    bounded("$atanh", values, -1.0, 1.0)?;
    apply("$atanh", values, f64::atanh, |value| {
        if decimal::compare(decimal::absolute(value), decimal::from_i64(1)).is_eq() {
            return at_infinity(value, f64::INFINITY, f64::NEG_INFINITY);
        }
        odd(value, Input::Binary, |real| real.atanh()).unwrap_or_else(nan)
    })
}

pub(super) fn degrees_to_radians(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let factor = decimal::from_parts(decimal::Parts::Finite {
        negative: false,
        coefficient: 1_745_329_251_994_329_576_923_690_768_488_613,
        exponent: -35,
    });
    apply(
        "$degreesToRadians",
        values,
        |degrees| degrees * (std::f64::consts::PI / 180.0),
        |degrees| decimal::multiply(degrees, factor),
    )
}

pub(super) fn radians_to_degrees(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let factor = decimal::from_parts(decimal::Parts::Finite {
        negative: false,
        coefficient: 5_729_577_951_308_232_087_679_815_481_410_517,
        exponent: -32,
    });
    apply(
        "$radiansToDegrees",
        values,
        |radians| radians * (180.0 / std::f64::consts::PI),
        |radians| decimal::multiply(radians, factor),
    )
}
