//! Arithmetic and bitwise operators (MongoDB manual, "Arithmetic Expression Operators", "Bitwise Operators").

use bson::{Bson, DateTime, Decimal128};

use super::high_precision::all_digits;
use super::number::{
    ExactSum, Width, exact_decimal, int_or_long, to_decimal, to_exact_i32, to_f64, to_i64, widest, width,
};
use super::{NULL, Node, Scope, Value, is_nullish, some, type_name};
use crate::error::{CommandError, CommandResult, code};
use crate::query::decimal::{self, Rounding};

/// One numeric argument: null for nullish, an error for what is no number.
pub(super) fn one_number(
    name: &str,
    values: &[Value],
    function: impl FnOnce(&Bson) -> CommandResult<Value>,
) -> CommandResult<Value> {
    let value = &values[0];
    if is_nullish(value) {
        return NULL;
    }
    match value {
        Some(number) if width(number).is_some() => function(number),
        _ => Err(CommandError::new(28765, format!("{name} only supports numeric types, not {}", type_name(value)))),
    }
}

pub(super) fn abs(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    one_number("$abs", values, |number| match number {
        Bson::Double(number) => some(number.abs()),
        Bson::Decimal128(number) => some(decimal::absolute(*number)),
        Bson::Int64(number) => match number.checked_abs() {
            Some(number) => some(number),
            None => Err(CommandError::new(28680, "can't take $abs of long long min")),
        },
        other => some(int_or_long(to_i64(other).abs())),
    })
}

pub(super) fn add(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let mut exact = ExactSum::default();
    let mut decimals = decimal::from_i64(0);
    let mut total = Width::Int;
    let mut has_date = false;
    for node in nodes {
        let value = node.evaluate(scope)?;
        match &value {
            Some(Bson::Decimal128(number)) => {
                decimals = decimal::add(decimals, *number);
                total = Width::Decimal;
            }
            Some(Bson::Double(number)) => {
                exact.add_double(*number);
                total = total.max(Width::Double);
            }
            Some(Bson::Int64(number)) => {
                exact.add_long(*number);
                total = total.max(Width::Long);
            }
            Some(Bson::Int32(number)) => exact.add_double(f64::from(*number)),
            Some(Bson::DateTime(date)) => {
                if has_date {
                    return Err(CommandError::new(16612, "only one date allowed in an $add expression"));
                }
                has_date = true;
                exact.add_long(date.timestamp_millis());
            }
            value if is_nullish(value) => return NULL,
            value => {
                return Err(CommandError::new(
                    16554,
                    format!("$add only supports numeric or date types, not {}", type_name(value)),
                ));
            }
        }
    }
    if has_date {
        let millis = if total == Width::Decimal {
            let sum = decimal::quantize(decimal::add(decimals, exact.to_decimal()), 0, Rounding::HalfEven);
            decimal::truncate_to_i128(sum).and_then(|sum| i64::try_from(sum).ok())
        } else {
            exact.to_long()
        };
        return match millis {
            Some(millis) => some(DateTime::from_millis(millis)),
            None => Err(CommandError::new(code::OVERFLOW, "date overflow in $add")),
        };
    }
    match total {
        Width::Decimal => some(decimal::add(decimals, exact.to_decimal())),
        Width::Double => some(exact.to_double()),
        Width::Long => exact.to_long().map_or_else(|| some(exact.to_double()), some),
        Width::Int => exact.to_long().map_or_else(|| some(exact.to_double()), |sum| some(int_or_long(sum))),
    }
}

pub(super) fn subtract(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let (left, right) = (&values[0], &values[1]);
    if let (Some(left), Some(right)) = (left, right)
        && let Some(width) = widest(left, right)
    {
        return match width {
            Width::Decimal => some(decimal::subtract(to_decimal(left), to_decimal(right))),
            Width::Double => some(to_f64(left) - to_f64(right)),
            Width::Long => match to_i64(left).checked_sub(to_i64(right)) {
                Some(difference) => some(difference),
                None => some(to_f64(left) - to_f64(right)),
            },
            Width::Int => some(int_or_long(to_i64(left) - to_i64(right))),
        };
    }
    if is_nullish(left) || is_nullish(right) {
        return NULL;
    }
    if let Some(Bson::DateTime(left)) = left {
        let overflow = || CommandError::new(code::OVERFLOW, "date overflow in $subtract");
        let left = left.timestamp_millis();
        return match right {
            Some(Bson::DateTime(right)) => some(left.checked_sub(right.timestamp_millis()).ok_or_else(overflow)?),
            Some(number) if width(number).is_some() => {
                some(DateTime::from_millis(left.checked_sub(to_i64(number)).ok_or_else(overflow)?))
            }
            _ => Err(CommandError::new(16613, format!("can't $subtract {} from a Date", type_name(right)))),
        };
    }
    Err(CommandError::new(16556, format!("can't $subtract {} from {}", type_name(right), type_name(left))))
}

pub(super) fn multiply(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let mut double = 1.0;
    let mut long = 1_i64;
    let mut decimal_product = decimal::from_i64(1);
    let mut product = Width::Int;
    for node in nodes {
        let value = node.evaluate(scope)?;
        if is_nullish(&value) {
            return NULL;
        }
        let Some((number, width)) = value.as_ref().and_then(|number| Some((number, width(number)?))) else {
            return Err(CommandError::new(
                16555,
                format!("$multiply only supports numeric types, not {}", type_name(&value)),
            ));
        };
        let before = product;
        product = product.max(width);
        if product == Width::Decimal {
            if before != Width::Decimal {
                decimal_product = match before {
                    Width::Double => decimal::from_f64(double),
                    _ => decimal::from_i64(long),
                };
            }
            decimal_product = decimal::multiply(decimal_product, to_decimal(number));
        } else {
            double *= to_f64(number);
            if product != Width::Double {
                match long.checked_mul(to_i64(number)) {
                    Some(result) => long = result,
                    None => product = Width::Double,
                }
            }
        }
    }
    match product {
        Width::Decimal => some(decimal_product),
        Width::Double => some(double),
        Width::Long => some(long),
        Width::Int => some(int_or_long(long)),
    }
}

pub(super) fn divide(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let zero = || CommandError::new(16608, "can't $divide by zero");
    match (&values[0], &values[1]) {
        (Some(left), Some(right)) if widest(left, right).is_some() => {
            if widest(left, right) == Some(Width::Decimal) {
                let divisor = to_decimal(right);
                if decimal::is_zero(divisor) {
                    return Err(zero());
                }
                return some(decimal::divide(to_decimal(left), divisor));
            }
            let divisor = to_f64(right);
            if divisor == 0.0 {
                return Err(zero());
            }
            some(to_f64(left) / divisor)
        }
        (left, right) if is_nullish(left) || is_nullish(right) => NULL,
        (left, right) => Err(CommandError::new(
            16609,
            format!("$divide only supports numeric types, not {} and {}", type_name(left), type_name(right)),
        )),
    }
}

pub(super) fn modulo(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let zero = || CommandError::new(16610, "can't $mod by zero");
    match (&values[0], &values[1]) {
        (Some(left), Some(right)) if widest(left, right).is_some() => {
            if widest(left, right) == Some(Width::Decimal) {
                let divisor = to_decimal(right);
                if decimal::is_zero(divisor) {
                    return Err(zero());
                }
                return some(decimal::remainder(to_decimal(left), divisor));
            }
            let divisor = to_f64(right);
            if divisor == 0.0 {
                return Err(zero());
            }
            let left_width = width(left);
            if left_width == Some(Width::Double)
                || (width(right) == Some(Width::Double) && to_exact_i32(right).is_none())
            {
                return some(to_f64(left) % divisor);
            }
            if left_width == Some(Width::Long) || width(right) == Some(Width::Long) {
                return some(to_i64(left).wrapping_rem(to_i64(right)));
            }
            some(to_i64(left).wrapping_rem(to_i64(right)) as i32)
        }
        (left, right) if is_nullish(left) || is_nullish(right) => NULL,
        (left, right) => Err(CommandError::new(
            16611,
            format!("$mod only supports numeric types, not {} and {}", type_name(left), type_name(right)),
        )),
    }
}

pub(super) fn ceil(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    one_number("$ceil", values, |number| to_integral(number, f64::ceil, Rounding::Ceiling))
}

pub(super) fn floor(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    one_number("$floor", values, |number| to_integral(number, f64::floor, Rounding::Floor))
}

fn to_integral(number: &Bson, double: fn(f64) -> f64, rounding: Rounding) -> CommandResult<Value> {
    match number {
        Bson::Double(number) => some(double(*number)),
        Bson::Decimal128(number) if !decimal::is_infinite(*number) => some(quantize(*number, 0, rounding)),
        other => some(other.clone()),
    }
}

/// `decimal::quantize`, sparing the library what is integral already but too long for it.
fn quantize(number: Decimal128, exponent: i32, rounding: Rounding) -> Decimal128 {
    decimal::quantize(number, exponent, rounding)
}

pub(super) fn round(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    round_to_place("$round", values, Rounding::HalfEven)
}

pub(super) fn trunc(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    round_to_place("$trunc", values, Rounding::Down)
}

fn round_to_place(name: &str, values: &[Value], rounding: Rounding) -> CommandResult<Value> {
    let value = &values[0];
    if is_nullish(value) {
        return NULL;
    }
    let Some(number) = value.as_ref().filter(|number| width(number).is_some()) else {
        return Err(CommandError::new(51081, format!("{name} only supports numeric types, not {}", type_name(value))));
    };
    let mut place = 0;
    if let Some(precision) = values.get(1) {
        if is_nullish(precision) {
            return NULL;
        }
        let Some(precision) = precision.as_ref().and_then(to_exact_i32) else {
            return Err(CommandError::new(51082, format!("precision argument to {name} must be a integral value")));
        };
        if !(-20..=100).contains(&precision) {
            return Err(CommandError::new(
                51083,
                format!("cannot apply {name} with precision value {precision} value must be in [-20, 100]"),
            ));
        }
        place = precision;
    }
    match number {
        Bson::Decimal128(number) if decimal::is_infinite(*number) => some(*number),
        Bson::Decimal128(number) => some(quantize(*number, -place, rounding)),
        Bson::Double(number) if !number.is_finite() => some(*number),
        Bson::Double(number) => some(decimal::to_f64(quantize(exact_decimal(*number), -place, rounding))),
        integer if place >= 0 => some(integer.clone()),
        integer => {
            let rounded = quantize(decimal::from_i64(to_i64(integer)), -place, rounding);
            let Some(long) = decimal::truncate_to_i128(rounded).and_then(|long| i64::try_from(long).ok()) else {
                return Err(CommandError::new(
                    51080,
                    format!("invalid conversion from Decimal128 result in {name} of {integer}"),
                ));
            };
            match integer {
                Bson::Int64(_) => some(long),
                _ => some(int_or_long(long)),
            }
        }
    }
}

fn is_positive(number: Decimal128) -> bool {
    !decimal::is_nan(number) && !decimal::is_zero(number) && !decimal::is_negative(number)
}

pub(super) fn exp(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    one_number("$exp", values, |number| match number {
        Bson::Decimal128(number) => some(all_digits(decimal::exponential(*number))),
        other => some(to_f64(other).exp()),
    })
}

pub(super) fn sqrt(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let negative = || CommandError::new(28714, "$sqrt's argument must be greater than or equal to 0");
    one_number("$sqrt", values, |number| match number {
        Bson::Decimal128(number) => {
            if decimal::is_negative(*number) && !decimal::is_zero(*number) {
                return Err(negative());
            }
            some(decimal::square_root(*number))
        }
        other => {
            let number = to_f64(other);
            if number < 0.0 {
                return Err(negative());
            }
            some(number.sqrt())
        }
    })
}

pub(super) fn ln(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    logarithm_of("$ln", 28766, values, decimal::natural_logarithm, f64::ln)
}

pub(super) fn log10(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    logarithm_of("$log10", 28761, values, decimal::decimal_logarithm, f64::log10)
}

fn logarithm_of(
    name: &str,
    error: i32,
    values: &[Value],
    decimals: fn(Decimal128) -> Decimal128,
    doubles: fn(f64) -> f64,
) -> CommandResult<Value> {
    let refuse = |number: &Bson| {
        CommandError::new(error, format!("{name}'s argument must be a positive number, but is {number}"))
    };
    one_number(name, values, |number| match number {
        Bson::Decimal128(decimal) => {
            if !is_positive(*decimal) && !decimal::is_nan(*decimal) {
                return Err(refuse(number));
            }
            some(all_digits(decimals(*decimal)))
        }
        other => {
            let double = to_f64(other);
            if double <= 0.0 {
                return Err(refuse(number));
            }
            some(doubles(double))
        }
    })
}

pub(super) fn log(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let (argument, base) = (&values[0], &values[1]);
    if is_nullish(argument) || is_nullish(base) {
        return NULL;
    }
    let number = |value: &Value, code: i32, what: &str| match value {
        Some(number) if width(number).is_some() => Ok(number.clone()),
        other => Err(CommandError::new(code, format!("$log's {what} must be numeric, not {}", type_name(other)))),
    };
    let argument = number(argument, 28756, "argument")?;
    let base = number(base, 28757, "base")?;
    let wrong_argument =
        || CommandError::new(28758, format!("$log's argument must be a positive number, but is {argument}"));
    let wrong_base =
        || CommandError::new(28759, format!("$log's base must be a positive number not equal to 1, but is {base}"));
    if widest(&argument, &base) == Some(Width::Decimal) {
        let (number, base) = (to_decimal(&argument), to_decimal(&base));
        if !is_positive(number) && !decimal::is_nan(number) {
            return Err(wrong_argument());
        }
        let one = decimal::compare(base, decimal::from_i64(1)).is_eq();
        if (!is_positive(base) || one) && !decimal::is_nan(base) {
            return Err(wrong_base());
        }
        return some(all_digits(decimal::divide(decimal::natural_logarithm(number), decimal::natural_logarithm(base))));
    }
    let (number, base) = (to_f64(&argument), to_f64(&base));
    if number <= 0.0 {
        return Err(wrong_argument());
    }
    if base <= 0.0 || base == 1.0 {
        return Err(wrong_base());
    }
    some(number.ln() / base.ln())
}

pub(super) fn pow(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let (base, exponent) = (&values[0], &values[1]);
    if is_nullish(base) || is_nullish(exponent) {
        return NULL;
    }
    let Some(base) = base.as_ref().filter(|number| width(number).is_some()) else {
        return Err(CommandError::new(28762, format!("$pow's base must be numeric, not {}", type_name(base))));
    };
    let Some(exponent) = exponent.as_ref().filter(|number| width(number).is_some()) else {
        return Err(CommandError::new(28763, format!("$pow's exponent must be numeric, not {}", type_name(exponent))));
    };
    let zero = || CommandError::new(28764, "$pow cannot take a base of 0 and a negative exponent");
    let widest = widest(base, exponent);
    if widest == Some(Width::Decimal) {
        let (base, exponent) = (to_decimal(base), to_decimal(exponent));
        if decimal::is_zero(base) && decimal::is_negative(exponent) {
            return Err(zero());
        }
        return some(all_digits(decimal::power(base, exponent)));
    }
    let (double_base, double_exponent) = (to_f64(base), to_f64(exponent));
    if double_base == 0.0 && double_exponent < 0.0 {
        return Err(zero());
    }
    if widest == Some(Width::Double) {
        return some(double_base.powf(double_exponent));
    }
    let (long_base, long_exponent) = (to_i64(base), to_i64(exponent));
    let result = match (long_base, long_exponent) {
        (0, 0) => Some(1),
        (0, _) => Some(0),
        (1, _) => Some(1),
        (-1, exponent) => Some(if exponent % 2 == 0 { 1 } else { -1 }),
        (_, exponent) => u32::try_from(exponent).ok().and_then(|exponent| long_base.checked_pow(exponent)),
    };
    match result {
        None => some(double_base.powf(double_exponent)),
        Some(result) if widest == Some(Width::Long) => some(result),
        Some(result) => some(int_or_long(result)),
    }
}

/// `1 / (1 + e^-x)`.
pub(super) fn sigmoid(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    one_number("$sigmoid", values, |number| match number {
        Bson::Decimal128(number) => {
            let one = decimal::from_i64(1);
            let power = decimal::exponential(decimal::negate(*number));
            some(decimal::divide(one, decimal::add(one, power)))
        }
        other => some(1.0 / (1.0 + (-to_f64(other)).exp())),
    })
}

pub(super) fn bit_and(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    bitwise("$bitAnd", nodes, scope, -1, |left, right| left & right)
}

pub(super) fn bit_or(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    bitwise("$bitOr", nodes, scope, 0, |left, right| left | right)
}

pub(super) fn bit_xor(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    bitwise("$bitXor", nodes, scope, 0, |left, right| left ^ right)
}

fn wrong_bits(name: &str, value: &Value) -> CommandError {
    CommandError::type_mismatch(format!("{name} only supports int and long operands, not {}", type_name(value)))
}

fn bitwise(
    name: &str,
    nodes: &[Node],
    scope: &Scope<'_>,
    neutral: i64,
    combine: fn(i64, i64) -> i64,
) -> CommandResult<Value> {
    let mut result = neutral;
    let mut long = false;
    let mut null = false;
    for node in nodes {
        let value = node.evaluate(scope)?;
        match &value {
            Some(Bson::Int32(bits)) => result = combine(result, i64::from(*bits)),
            Some(Bson::Int64(bits)) => {
                long = true;
                result = combine(result, *bits);
            }
            value if is_nullish(value) => null = true,
            value => return Err(wrong_bits(name, value)),
        }
    }
    if null {
        return NULL;
    }
    if long { some(result) } else { some(result as i32) }
}

pub(super) fn bit_not(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    match &values[0] {
        Some(Bson::Int32(bits)) => some(!*bits),
        Some(Bson::Int64(bits)) => some(!*bits),
        value if is_nullish(value) => NULL,
        value => Err(wrong_bits("$bitNot", value)),
    }
}
