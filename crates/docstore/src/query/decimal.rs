//! Decimal128: exact comparison, conversions and arithmetic.
//!
//! Arithmetic is libdecnumber's (through the `dec` crate): IEEE 754-2008 decimal arithmetic with 34 digits and rounding
//! half to even, which is what MongoDB's own library computes. BSON stores the binary-integer encoding, libdecnumber
//! uses its own; [`parts`] and [`from_parts`] are the bridge.

use std::cmp::Ordering;

use bson::Decimal128;
use dec::{Context, Decimal};

/// Digits of a coefficient.
const DIGITS_MAX: u32 = 34;
const EXPONENT_BIAS: i32 = 6176;
const EXPONENT_MIN: i32 = -6176;
const EXPONENT_MAX: i32 = 6111;
const COEFFICIENT_MAX: u128 = 9_999_999_999_999_999_999_999_999_999_999_999;

/// Twelve units of three digits hold 34 digits.
pub type Number = Decimal<12>;

/// A decimal taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Parts {
    Nan,
    Infinity {
        negative: bool,
    },
    /// `coefficient * 10^exponent`, sign apart so that -0 stays -0.
    Finite {
        negative: bool,
        coefficient: u128,
        exponent: i32,
    },
}

/// Sign, coefficient and exponent of a stored decimal. Coefficients beyond 34 digits, which the format can spell but
/// does not allow, count as zero (decimal128 specification of BSON).
pub fn parts(value: Decimal128) -> Parts {
    let bits = u128::from_le_bytes(value.bytes());
    let negative = bits >> 127 == 1;
    let combination = (bits >> 122) as u32 & 0x1F;
    if combination == 0x1F {
        return Parts::Nan;
    }
    if combination == 0x1E {
        return Parts::Infinity { negative };
    }
    let (exponent, coefficient) = if (bits >> 125) & 3 == 3 {
        // The second form of the encoding always holds a coefficient that is too large.
        (((bits >> 111) & 0x3FFF) as i32, 0)
    } else {
        (((bits >> 113) & 0x3FFF) as i32, bits & ((1 << 113) - 1))
    };
    let coefficient = if coefficient > COEFFICIENT_MAX { 0 } else { coefficient };
    Parts::Finite { negative, coefficient, exponent: exponent - EXPONENT_BIAS }
}

/// The stored form. Exponents out of range are brought in by padding or dropping zeros where possible; what is too
/// large becomes infinity and what is too small zero.
pub fn from_parts(parts: Parts) -> Decimal128 {
    let bits = match parts {
        Parts::Nan => 0x7C00_u128 << 112,
        Parts::Infinity { negative } => (u128::from(negative) << 127) | (0x7800_u128 << 112),
        Parts::Finite { negative, mut coefficient, mut exponent } => {
            while exponent > EXPONENT_MAX && coefficient != 0 && coefficient <= COEFFICIENT_MAX / 10 {
                coefficient *= 10;
                exponent -= 1;
            }
            while exponent < EXPONENT_MIN && coefficient != 0 {
                coefficient /= 10;
                exponent += 1;
            }
            if coefficient == 0 {
                exponent = exponent.clamp(EXPONENT_MIN, EXPONENT_MAX);
            }
            if exponent > EXPONENT_MAX {
                return from_parts(Parts::Infinity { negative });
            }
            let biased = u128::try_from(exponent + EXPONENT_BIAS).unwrap_or(0);
            (u128::from(negative) << 127) | (biased << 113) | coefficient
        }
    };
    Decimal128::from_bytes(bits.to_le_bytes())
}

/// A context with Decimal128's precision, range and rounding.
pub fn context() -> Context<Number> {
    let mut context = Context::<Number>::default();
    context.set_precision(DIGITS_MAX as usize).expect("34 digits fit the type");
    context.set_max_exponent(6144).expect("within the library's range");
    context.set_min_exponent(-6143).expect("within the library's range");
    context.set_clamp(true);
    context
}

const BIT_NEGATIVE: u8 = 0x80;
const BIT_INFINITY: u8 = 0x40;
const BIT_NAN: u8 = 0x20;

/// As the arithmetic library takes it.
pub fn to_number(value: Decimal128) -> Number {
    let mut units = [0_u16; 12];
    match parts(value) {
        Parts::Nan => Number::from_raw_parts(1, 0, BIT_NAN, units),
        Parts::Infinity { negative } => {
            Number::from_raw_parts(1, 0, BIT_INFINITY | if negative { BIT_NEGATIVE } else { 0 }, units)
        }
        Parts::Finite { negative, mut coefficient, exponent } => {
            let digits = digit_count(coefficient);
            for unit in &mut units {
                *unit = (coefficient % 1000) as u16;
                coefficient /= 1000;
            }
            Number::from_raw_parts(digits, exponent, if negative { BIT_NEGATIVE } else { 0 }, units)
        }
    }
}

/// As BSON stores it; rounds to 34 digits.
pub fn from_number(number: &Number) -> Decimal128 {
    let mut rounded = *number;
    context().plus_keeping_sign(&mut rounded);
    let (digits, exponent, bits, units) = rounded.to_raw_parts();
    let negative = bits & BIT_NEGATIVE != 0;
    if rounded.is_nan() {
        return from_parts(Parts::Nan);
    }
    if rounded.is_infinite() {
        return from_parts(Parts::Infinity { negative });
    }
    let unit_count = (digits as usize).div_ceil(3).min(units.len());
    let coefficient = units[..unit_count].iter().rev().fold(0_u128, |sum, unit| sum * 1000 + u128::from(*unit));
    from_parts(Parts::Finite { negative, coefficient, exponent })
}

/// Rounding that leaves negative zero negative, unlike the library's unary plus.
trait PlusKeepingSign {
    fn plus_keeping_sign(&mut self, number: &mut Number);
}

impl PlusKeepingSign for Context<Number> {
    fn plus_keeping_sign(&mut self, number: &mut Number) {
        let in_range = (EXPONENT_MIN..=EXPONENT_MAX).contains(&number.exponent());
        if number.is_special() || (number.digits() <= DIGITS_MAX && in_range) {
            return;
        }
        let negative_zero = number.is_zero() && number.is_negative();
        self.plus(number);
        if negative_zero {
            let (digits, exponent, bits, units) = number.to_raw_parts();
            *number = Number::from_raw_parts(digits, exponent, bits | BIT_NEGATIVE, units);
        }
    }
}

fn digit_count(coefficient: u128) -> u32 {
    coefficient.checked_ilog10().map_or(1, |log| log + 1)
}

/// True for either NaN.
pub fn is_nan(value: Decimal128) -> bool {
    parts(value) == Parts::Nan
}

/// True for zero of either sign and any exponent.
pub fn is_zero(value: Decimal128) -> bool {
    matches!(parts(value), Parts::Finite { coefficient: 0, .. })
}

/// True with the sign bit, -0 and -Infinity included.
pub fn is_negative(value: Decimal128) -> bool {
    match parts(value) {
        Parts::Nan => false,
        Parts::Infinity { negative } | Parts::Finite { negative, .. } => negative,
    }
}

/// True for an infinity of either sign.
pub fn is_infinite(value: Decimal128) -> bool {
    matches!(parts(value), Parts::Infinity { .. })
}

/// The integer, exactly, exponent 0.
pub fn from_i64(value: i64) -> Decimal128 {
    from_parts(Parts::Finite { negative: value < 0, coefficient: u128::from(value.unsigned_abs()), exponent: 0 })
}

/// The double rounded to 15 significant digits and written with all 15, as MongoDB converts doubles that meet decimals:
/// 1.0 becomes 1.00000000000000. Zero, infinities and NaN have no digits to fill.
pub fn from_f64(value: f64) -> Decimal128 {
    if value.is_nan() {
        return from_parts(Parts::Nan);
    }
    if value.is_infinite() {
        return from_parts(Parts::Infinity { negative: value < 0.0 });
    }
    if value == 0.0 {
        return from_parts(Parts::Finite { negative: value.is_sign_negative(), coefficient: 0, exponent: 0 });
    }
    // d.dddddddddddddde±x, rounded from the exact value.
    let text = format!("{:.14e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let coefficient =
        mantissa.bytes().filter(u8::is_ascii_digit).fold(0_u128, |sum, digit| sum * 10 + u128::from(digit - b'0'));
    let exponent = exponent.parse::<i32>().unwrap_or(0) - 14;
    from_parts(Parts::Finite { negative: value < 0.0, coefficient, exponent })
}

/// The nearest double.
pub fn to_f64(value: Decimal128) -> f64 {
    match parts(value) {
        Parts::Nan => f64::NAN,
        Parts::Infinity { negative: true } => f64::NEG_INFINITY,
        Parts::Infinity { negative: false } => f64::INFINITY,
        Parts::Finite { negative, coefficient, exponent } => {
            let magnitude = if exponent == 0 && coefficient < 1 << 53 {
                coefficient as f64
            } else {
                // Parsing rounds correctly, whatever the size.
                format!("{coefficient}e{exponent}").parse().unwrap_or(f64::NAN)
            };
            if negative { -magnitude } else { magnitude }
        }
    }
}

/// The value without its fraction, when finite and in the range of 128-bit integers.
pub fn truncate_to_i128(value: Decimal128) -> Option<i128> {
    let Parts::Finite { negative, coefficient, exponent } = parts(value) else {
        return None;
    };
    let magnitude = if coefficient == 0 {
        0
    } else if exponent >= 0 {
        coefficient.checked_mul(10_u128.checked_pow(exponent.unsigned_abs())?)?
    } else {
        10_u128.checked_pow(exponent.unsigned_abs()).map_or(0, |divisor| coefficient / divisor)
    };
    let magnitude = i128::try_from(magnitude).ok()?;
    Some(if negative { -magnitude } else { magnitude })
}

/// The value as a 64-bit integer when it is exactly one.
pub fn to_exact_i64(value: Decimal128) -> Option<i64> {
    if !is_integral(value) {
        return None;
    }
    truncate_to_i128(value).and_then(|number| i64::try_from(number).ok())
}

/// True for finite values without a fraction.
pub fn is_integral(value: Decimal128) -> bool {
    match parts(value) {
        Parts::Finite { coefficient: 0, .. } => true,
        Parts::Finite { coefficient, exponent, .. } => {
            exponent >= 0
                || 10_u128.checked_pow(exponent.unsigned_abs()).is_some_and(|divisor| coefficient % divisor == 0)
        }
        _ => false,
    }
}

/// Exact order; NaN is least and equals itself, -0 equals 0.
pub fn compare(left: Decimal128, right: Decimal128) -> Ordering {
    compare_parts(parts(left), parts(right))
}

/// [`compare`] against an integer.
pub fn compare_to_long(left: Decimal128, right: i64) -> Ordering {
    let right = Parts::Finite { negative: right < 0, coefficient: u128::from(right.unsigned_abs()), exponent: 0 };
    compare_parts(parts(left), right)
}

fn compare_parts(left: Parts, right: Parts) -> Ordering {
    use Parts as P;
    match (left, right) {
        (P::Nan, P::Nan) => Ordering::Equal,
        (P::Nan, _) => Ordering::Less,
        (_, P::Nan) => Ordering::Greater,
        (P::Infinity { negative: left }, P::Infinity { negative: right }) => right.cmp(&left),
        (P::Infinity { negative }, _) => {
            if negative {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
        (_, P::Infinity { negative }) => {
            if negative {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
        (
            P::Finite { negative: left_negative, coefficient: left, exponent: left_exponent },
            P::Finite { negative: right_negative, coefficient: right, exponent: right_exponent },
        ) => {
            match (left == 0, right == 0) {
                (true, true) => return Ordering::Equal,
                (true, false) => return if right_negative { Ordering::Greater } else { Ordering::Less },
                (false, true) => return if left_negative { Ordering::Less } else { Ordering::Greater },
                (false, false) => {}
            }
            if left_negative != right_negative {
                return if left_negative { Ordering::Less } else { Ordering::Greater };
            }
            let order = compare_magnitudes(left, left_exponent, right, right_exponent);
            if left_negative { order.reverse() } else { order }
        }
    }
}

fn compare_magnitudes(left: u128, left_exponent: i32, right: u128, right_exponent: i32) -> Ordering {
    let left_scale = left_exponent + digit_count(left) as i32;
    let right_scale = right_exponent + digit_count(right) as i32;
    left_scale.cmp(&right_scale).then_with(|| {
        // The same magnitude: bring both to 35 digits, which 128 bits hold.
        let pad = |coefficient: u128| coefficient * 10_u128.pow(35 - digit_count(coefficient));
        pad(left).cmp(&pad(right))
    })
}

/// Exact order of a decimal and a double.
pub fn compare_to_double(left: Decimal128, right: f64) -> Ordering {
    let left_parts = parts(left);
    if right.is_nan() {
        return if left_parts == Parts::Nan { Ordering::Equal } else { Ordering::Greater };
    }
    if right.is_infinite() {
        return compare_parts(left_parts, Parts::Infinity { negative: right < 0.0 });
    }
    let Parts::Finite { negative, coefficient, exponent } = left_parts else {
        return compare_parts(left_parts, Parts::Finite { negative: false, coefficient: 0, exponent: 0 });
    };
    if coefficient == 0 || right == 0.0 || negative != (right < 0.0) {
        let sign = |zero: bool, negative: bool| {
            if zero {
                0
            } else if negative {
                -1
            } else {
                1
            }
        };
        return sign(coefficient == 0, negative).cmp(&sign(right == 0.0, right < 0.0));
    }
    // The nearest double decides unless it is the very one compared with.
    let nearest = to_f64(left);
    if nearest != right {
        return if nearest < right { Ordering::Less } else { Ordering::Greater };
    }
    // Every double is a finite decimal of at most 767 digits, which `{:e}` with enough places spells exactly.
    let text = format!("{:.800e}", right.abs());
    let (mantissa, right_exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let right_digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let right_scale = right_exponent.parse::<i32>().unwrap_or(0) + 1;
    let left_digits = coefficient.to_string().into_bytes();
    let left_scale = exponent + left_digits.len() as i32;
    let order = left_scale.cmp(&right_scale).then_with(|| {
        let length = left_digits.len().max(right_digits.len());
        let digit = |digits: &[u8], index: usize| digits.get(index).copied().unwrap_or(b'0');
        (0..length)
            .map(|index| digit(&left_digits, index).cmp(&digit(&right_digits, index)))
            .find(|order| *order != Ordering::Equal)
            .unwrap_or(Ordering::Equal)
    });
    if negative { order.reverse() } else { order }
}

fn binary(
    left: Decimal128,
    right: Decimal128,
    operation: impl FnOnce(&mut Context<Number>, &mut Number, &Number),
) -> Decimal128 {
    let mut result = to_number(left);
    operation(&mut context(), &mut result, &to_number(right));
    from_number(&result)
}

fn unary(value: Decimal128, operation: impl FnOnce(&mut Context<Number>, &mut Number)) -> Decimal128 {
    let mut result = to_number(value);
    operation(&mut context(), &mut result);
    from_number(&result)
}

/// `left + right`.
pub fn add(left: Decimal128, right: Decimal128) -> Decimal128 {
    binary(left, right, |context, left, right| context.add(left, right))
}

/// `left - right`.
pub fn subtract(left: Decimal128, right: Decimal128) -> Decimal128 {
    binary(left, right, |context, left, right| context.sub(left, right))
}

/// `left * right`.
pub fn multiply(left: Decimal128, right: Decimal128) -> Decimal128 {
    binary(left, right, |context, left, right| context.mul(left, right))
}

/// `left / right`; a zero divisor gives an infinity or NaN.
pub fn divide(left: Decimal128, right: Decimal128) -> Decimal128 {
    binary(left, right, |context, left, right| context.div(left, right))
}

/// The remainder of truncated division; exact also where the quotient has more than 34 digits.
pub fn remainder(left: Decimal128, right: Decimal128) -> Decimal128 {
    let mut result = to_number(left);
    let divisor = to_number(right);
    let mut context = context();
    context.rem(&mut result, &divisor);
    if !result.is_nan() || is_nan(left) || is_nan(right) || is_infinite(left) || is_zero(right) {
        return from_number(&result);
    }
    remainder_of_long_quotient(parts(left), parts(right))
}

/// Long division digit by digit, keeping only the remainder.
fn remainder_of_long_quotient(left: Parts, right: Parts) -> Decimal128 {
    let (
        Parts::Finite { negative, coefficient: left, exponent: left_exponent },
        Parts::Finite { coefficient: right, exponent: right_exponent, .. },
    ) = (left, right)
    else {
        return from_parts(Parts::Nan);
    };
    // The quotient is long only where the dividend's exponent is far above the divisor's.
    let mut rest = left % right;
    for _ in 0..left_exponent.saturating_sub(right_exponent) {
        // `rest` is below 10^34, so ten times it fits 128 bits.
        rest = rest * 10 % right;
    }
    from_parts(Parts::Finite { negative, coefficient: rest, exponent: left_exponent.min(right_exponent) })
}

/// `base` to the power of `exponent`.
pub fn power(base: Decimal128, exponent: Decimal128) -> Decimal128 {
    binary(base, exponent, |context, left, right| context.pow(left, right))
}

/// Square root.
pub fn square_root(value: Decimal128) -> Decimal128 {
    unary(value, |context, number| context.sqrt(number))
}

/// e to the power of the value.
pub fn exponential(value: Decimal128) -> Decimal128 {
    unary(value, |context, number| context.exp(number))
}

/// Natural logarithm.
pub fn natural_logarithm(value: Decimal128) -> Decimal128 {
    unary(value, |context, number| context.ln(number))
}

/// Decimal logarithm.
pub fn decimal_logarithm(value: Decimal128) -> Decimal128 {
    unary(value, |context, number| context.log10(number))
}

/// The value with its sign turned, -0 included.
pub fn negate(value: Decimal128) -> Decimal128 {
    match parts(value) {
        Parts::Nan => value,
        Parts::Infinity { negative } => from_parts(Parts::Infinity { negative: !negative }),
        Parts::Finite { negative, coefficient, exponent } => {
            from_parts(Parts::Finite { negative: !negative, coefficient, exponent })
        }
    }
}

/// The value without its sign.
pub fn absolute(value: Decimal128) -> Decimal128 {
    if is_negative(value) { negate(value) } else { value }
}

/// How [`quantize`] rounds.
pub use dec::Rounding;

/// The value rounded to this exponent (-2: two places after the point; 0: an integer). Where that needs more than 34
/// digits the result is NaN, as the standard says.
pub fn quantize(value: Decimal128, exponent: i32, rounding: Rounding) -> Decimal128 {
    let pattern = to_number(from_parts(Parts::Finite { negative: false, coefficient: 1, exponent }));
    unary(value, |context, number| {
        context.set_rounding(rounding);
        context.quantize(number, &pattern);
    })
}

/// The value rounded to an integer; values that are integers, infinite or NaN stay as they are.
pub fn round_to_integer(value: Decimal128, rounding: Rounding) -> Decimal128 {
    match parts(value) {
        Parts::Finite { exponent, .. } if exponent < 0 => quantize(value, 0, rounding),
        _ => value,
    }
}
