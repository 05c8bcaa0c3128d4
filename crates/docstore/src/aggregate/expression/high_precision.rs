//! Transcendental functions of decimals.
//!
//! MongoDB computes them in 128-bit binary floating point and converts the result to 34 decimal digits; so do we, with
//! correct rounding at both steps. The last of the 34 digits may still differ from MongoDB's, whose library errs there.

use bson::Decimal128;
use dashu_float::FBig;
use dashu_float::round::mode::HalfEven;
use dashu_int::IBig;

use crate::query::decimal::{self, Parts};

/// Bits of the significand of the 128-bit binary format.
const BINARY_BITS: usize = 113;
/// Bits in which functions with a large internal error are computed.
const WIDE_BITS: usize = 320;
const DIGITS: usize = 34;

pub(super) type Real = FBig<HalfEven, 2>;

/// How the argument enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// As written.
    Exact,
    /// Rounded to 113 bits.
    Binary,
}

/// `None` for what is not finite.
pub(super) fn to_real(value: Decimal128, input: Input) -> Option<Real> {
    let Parts::Finite { negative, coefficient, exponent } = decimal::parts(value) else {
        return None;
    };
    let mut significand = IBig::from(coefficient);
    if negative {
        significand = -significand;
    }
    let exact = FBig::<HalfEven, 10>::from_parts(significand, exponent as isize);
    let wide = exact.with_precision(60).value();
    Some(match input {
        Input::Exact => wide.with_base_and_precision::<2>(WIDE_BITS).value(),
        Input::Binary => wide.with_base_and_precision::<2>(BINARY_BITS).value().with_precision(WIDE_BITS).value(),
    })
}

/// Rounded to 113 bits, then to 34 digits, all of which are written.
pub(super) fn from_real(value: Real) -> Decimal128 {
    let digits = value
        .with_precision(BINARY_BITS)
        .value()
        .with_precision(WIDE_BITS)
        .value()
        .with_base_and_precision::<10>(DIGITS)
        .value();
    let repr = digits.repr();
    let significand = repr.significand().clone();
    let negative = significand < IBig::ZERO;
    let magnitude = if negative { -significand } else { significand };
    let coefficient = u128::try_from(magnitude).unwrap_or(0);
    let exponent = i32::try_from(repr.exponent()).unwrap_or(0);
    all_digits(decimal::from_parts(Parts::Finite { negative, coefficient, exponent }))
}

/// The same number written with 34 digits; zero with the least exponent.
pub(super) fn all_digits(value: Decimal128) -> Decimal128 {
    match decimal::parts(value) {
        Parts::Finite { negative, coefficient: 0, .. } => {
            decimal::from_parts(Parts::Finite { negative, coefficient: 0, exponent: -6176 })
        }
        Parts::Finite { negative, mut coefficient, mut exponent } => {
            while coefficient < 10_u128.pow(DIGITS as u32 - 1) && exponent > -6176 {
                coefficient *= 10;
                exponent -= 1;
            }
            decimal::from_parts(Parts::Finite { negative, coefficient, exponent })
        }
        _ => value,
    }
}

/// A function of one real number. `None` where the argument is not finite.
pub(super) fn unary(value: Decimal128, input: Input, function: impl FnOnce(Real) -> Real) -> Option<Decimal128> {
    Some(from_real(function(to_real(value, input)?)))
}
