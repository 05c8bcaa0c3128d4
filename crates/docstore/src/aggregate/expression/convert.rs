//! `$convert` and its short forms, `$type`, `$isNumber` (MongoDB manual, "Type Expression Operators").

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Decimal128};

use super::date_text::{iso_text, parse_date};
use super::number::{to_decimal, to_f64, width};
use super::string::{decimal_text, double_text};
use super::{NULL, Node, Scope, Value, date, is_nullish, some, type_name};
use crate::error::{CommandError, CommandResult, code};
use crate::query::decimal;
use crate::query::value::ValueRef;

/// What may be converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Double,
    String,
    Binary {
        subtype: u8,
    },
    ObjectId,
    Boolean,
    Date,
    Int,
    Long,
    Decimal,
    /// A type that exists, and that nothing converts to.
    Other(&'static str),
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Double => "double",
            Self::String => "string",
            Self::Binary { .. } => "binData",
            Self::ObjectId => "objectId",
            Self::Boolean => "bool",
            Self::Date => "date",
            Self::Int => "int",
            Self::Long => "long",
            Self::Decimal => "decimal",
            Self::Other(name) => name,
        }
    }

    fn by_number(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::Double,
            2 => Self::String,
            3 => Self::Other("object"),
            4 => Self::Other("array"),
            5 => Self::Binary { subtype: 0 },
            6 => Self::Other("undefined"),
            7 => Self::ObjectId,
            8 => Self::Boolean,
            9 => Self::Date,
            10 => Self::Other("null"),
            11 => Self::Other("regex"),
            12 => Self::Other("dbPointer"),
            13 => Self::Other("javascript"),
            14 => Self::Other("symbol"),
            15 => Self::Other("javascriptWithScope"),
            16 => Self::Int,
            17 => Self::Other("timestamp"),
            18 => Self::Long,
            19 => Self::Decimal,
            -1 => Self::Other("minKey"),
            127 => Self::Other("maxKey"),
            _ => return None,
        })
    }

    /// From a type's name or number, or `{ type, subtype }`; `None` for null.
    fn parse(value: &Value) -> CommandResult<Option<Self>> {
        match value {
            value if is_nullish(value) => Ok(None),
            Some(Bson::String(name)) => (-1..=127)
                .filter_map(Self::by_number)
                .find(|target| target.name() == name)
                .map(Some)
                .ok_or_else(|| CommandError::bad_value(format!("Unknown type name: {name}"))),
            Some(Bson::Document(document)) => {
                let target = document.get("type").cloned();
                let subtype = match document.get("subtype") {
                    None => 0,
                    Some(subtype) => ValueRef::from(subtype)
                        .as_exact_i64()
                        .and_then(|subtype| u8::try_from(subtype).ok())
                        .ok_or_else(|| CommandError::bad_value("In $convert, 'subtype' is no BinData subtype"))?,
                };
                Ok(Self::parse(&target)?.map(|target| match target {
                    Self::Binary { .. } => Self::Binary { subtype },
                    other => other,
                }))
            }
            Some(number) if width(number).is_some() => {
                let integer = ValueRef::from(number).as_exact_i64().ok_or_else(|| {
                    CommandError::failed_to_parse("In $convert, numeric 'to' argument is not an integer")
                })?;
                Self::by_number(integer).map(Some).ok_or_else(|| {
                    CommandError::failed_to_parse(format!(
                        "In $convert, numeric value for 'to' does not correspond to a BSON type: {integer}"
                    ))
                })
            }
            value => Err(CommandError::failed_to_parse(format!(
                "$convert's 'to' argument must be a string or number, but is {}",
                type_name(value)
            ))),
        }
    }
}

/// How binary data is spelled in strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Auto,
    Base64,
    Base64Url,
    Hex,
    Utf8,
    Uuid,
}

/// `format` and `byteOrder` of `$convert`.
#[derive(Debug, Clone, Copy)]
struct Options {
    format: Option<Format>,
    big_endian: bool,
}

const PLAIN: Options = Options { format: None, big_endian: false };

pub(super) fn convert(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let input = nodes[0].evaluate(scope)?;
    let target = Target::parse(&nodes[1].evaluate(scope)?)?;
    if is_nullish(&input) {
        return match &nodes[3] {
            Node::Absent => NULL,
            on_null => on_null.evaluate(scope),
        };
    }
    let (Some(target), Some(value)) = (target, &input) else { return NULL };
    let format = match nodes[4].evaluate(scope)? {
        value if is_nullish(&value) => None,
        Some(Bson::String(format)) => Some(match format.as_str() {
            "auto" => Format::Auto,
            "base64" => Format::Base64,
            "base64url" => Format::Base64Url,
            "hex" => Format::Hex,
            "utf8" => Format::Utf8,
            "uuid" => Format::Uuid,
            _ => {
                return Err(CommandError::new(4_341_107, format!("Invalid 'format' argument for $convert: {format}")));
            }
        }),
        value => {
            return Err(CommandError::new(
                4_341_114,
                format!("$convert requires that 'format' be a string, found: {}", type_name(&value)),
            ));
        }
    };
    let big_endian = match nodes[5].evaluate(scope)? {
        value if is_nullish(&value) => false,
        Some(Bson::String(order)) if order == "little" => false,
        Some(Bson::String(order)) if order == "big" => true,
        value => {
            return Err(CommandError::new(
                9_130_002,
                format!("Invalid 'byteOrder' argument for $convert, of type {}", type_name(&value)),
            ));
        }
    };
    match (&nodes[2], convert_value(value, target, Options { format, big_endian })) {
        (Node::Absent, result) => result.map(Some),
        (on_error, Err(error)) if error.code == code::CONVERSION_FAILURE => on_error.evaluate(scope),
        (_, result) => result.map(Some),
    }
}

fn short(values: &[Value], target: Target) -> CommandResult<Value> {
    match &values[0] {
        value if is_nullish(value) => NULL,
        Some(value) => convert_value(value, target, PLAIN).map(Some),
        None => NULL,
    }
}

pub(super) fn to_bool(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    short(values, Target::Boolean)
}

pub(super) fn to_date(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    short(values, Target::Date)
}

pub(super) fn to_decimal_value(value: &Bson) -> CommandResult<Decimal128> {
    match convert_value(value, Target::Decimal, PLAIN)? {
        Bson::Decimal128(number) => Ok(number),
        other => Ok(to_decimal(&other)),
    }
}

pub(super) fn to_decimal_of(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    match &values[0] {
        value if is_nullish(value) => NULL,
        Some(value) => some(to_decimal_value(value)?),
        None => NULL,
    }
}

pub(super) fn to_double(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    short(values, Target::Double)
}

pub(super) fn to_int(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    short(values, Target::Int)
}

pub(super) fn to_long(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    short(values, Target::Long)
}

pub(super) fn to_object_id(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    short(values, Target::ObjectId)
}

pub(super) fn to_string(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    short(values, Target::String)
}

pub(super) fn to_uuid(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    match &values[0] {
        value if is_nullish(value) => NULL,
        Some(value) => {
            let options = Options { format: Some(Format::Uuid), ..PLAIN };
            convert_value(value, Target::Binary { subtype: 4 }, options).map(Some)
        }
        None => NULL,
    }
}

pub(super) fn is_number(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    some(values[0].as_ref().is_some_and(|value| width(value).is_some()))
}

pub(super) fn type_of(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    some(type_name(&values[0]))
}

fn failed(message: impl Into<String>) -> CommandError {
    CommandError::new(code::CONVERSION_FAILURE, message)
}

fn unsupported(value: &Bson, target: Target) -> CommandError {
    failed(format!(
        "Unsupported conversion from {} to {} in $convert with no onError value",
        ValueRef::from(value).type_name(),
        target.name()
    ))
}

fn overflow(value: &Bson) -> CommandError {
    failed(format!("Conversion would overflow target type in $convert with no onError value: {value}"))
}

fn convert_value(value: &Bson, target: Target, options: Options) -> CommandResult<Bson> {
    match target {
        Target::Boolean => Ok(Bson::Boolean(match value {
            Bson::Boolean(_) | Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => {
                ValueRef::from(value).is_truthy()
            }
            // Whatever else is there is true.
            _ => true,
        })),
        Target::Double => to_double_value(value, options),
        Target::Int => to_integer(value, target, options).and_then(|number| {
            i32::try_from(number).map(Bson::Int32).map_err(|_| overflow(value))
        }),
        Target::Long => to_integer(value, target, options)
            .and_then(|number| i64::try_from(number).map(Bson::Int64).map_err(|_| overflow(value))),
        Target::Decimal => match value {
            Bson::Boolean(flag) => Ok(Bson::Decimal128(decimal::from_i64(i64::from(*flag)))),
            Bson::DateTime(date) => Ok(Bson::Decimal128(decimal::from_i64(date.timestamp_millis()))),
            Bson::String(text) => parse_decimal(text).map(Bson::Decimal128),
            number if width(number).is_some() => Ok(Bson::Decimal128(to_decimal(number))),
            other => Err(unsupported(other, target)),
        },
        Target::Date => match value {
            Bson::DateTime(_) => Ok(value.clone()),
            Bson::ObjectId(_) | Bson::Timestamp(_) => date::coerce(&Some(value.clone()))
                .map(|millis| Bson::DateTime(DateTime::from_millis(millis))),
            Bson::Int64(millis) => Ok(Bson::DateTime(DateTime::from_millis(*millis))),
            Bson::Double(number) => {
                finite(*number)?;
                if number.abs() >= 9_223_372_036_854_775_808.0 {
                    return Err(overflow(value));
                }
                Ok(Bson::DateTime(date::from_number(value)))
            }
            Bson::Decimal128(number) => match decimal::truncate_to_i128(*number).map(i64::try_from) {
                Some(Ok(millis)) => Ok(Bson::DateTime(DateTime::from_millis(millis))),
                _ => Err(overflow(value)),
            },
            Bson::String(text) => parse_date(text).map(Bson::DateTime),
            other => Err(unsupported(other, target)),
        },
        Target::ObjectId => match value {
            Bson::ObjectId(_) => Ok(value.clone()),
            Bson::String(text) => ObjectId::parse_str(text).map(Bson::ObjectId).map_err(|_| {
                failed(format!(
                    "Failed to parse objectId '{text}' in $convert with no onError value: Invalid string length for parsing to OID, expected 24 hexadecimal digits"
                ))
            }),
            other => Err(unsupported(other, target)),
        },
        Target::String => Ok(Bson::String(match value {
            Bson::String(text) => text.clone(),
            Bson::Boolean(flag) => flag.to_string(),
            Bson::Int32(number) => number.to_string(),
            Bson::Int64(number) => number.to_string(),
            Bson::Double(number) => double_text(*number),
            Bson::Decimal128(number) => decimal_text(*number),
            Bson::ObjectId(id) => id.to_hex(),
            Bson::DateTime(date) => iso_text(date.timestamp_millis())?,
            Bson::Binary(binary) => binary_text(binary, options, value)?,
            other => return Err(unsupported(other, target)),
        })),
        Target::Binary { subtype } => to_binary(value, subtype, target, options),
        Target::Other(_) => Err(unsupported(value, target)),
    }
}

fn finite(number: f64) -> CommandResult<()> {
    if number.is_nan() {
        return Err(failed("Attempt to convert NaN value to integer type in $convert with no onError value"));
    }
    if number.is_infinite() {
        return Err(failed("Attempt to convert infinity value to integer type in $convert with no onError value"));
    }
    Ok(())
}

fn to_double_value(value: &Bson, options: Options) -> CommandResult<Bson> {
    Ok(Bson::Double(match value {
        Bson::Boolean(flag) => f64::from(u8::from(*flag)),
        Bson::DateTime(date) => date.timestamp_millis() as f64,
        Bson::String(text) => parse_double(text)?,
        Bson::Decimal128(number) => {
            let double = decimal::to_f64(*number);
            let lost = double.is_infinite() && !decimal::is_infinite(*number);
            if lost || (double == 0.0 && !decimal::is_zero(*number)) {
                return Err(overflow(value));
            }
            double
        }
        Bson::Binary(binary) => {
            let mut bytes = binary.bytes.clone();
            if options.big_endian {
                bytes.reverse();
            }
            match bytes.len() {
                4 => f64::from(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
                8 => {
                    let mut eight = [0; 8];
                    eight.copy_from_slice(&bytes);
                    f64::from_le_bytes(eight)
                }
                _ => return Err(failed("BinData of this length cannot be converted to double")),
            }
        }
        number if width(number).is_some() => to_f64(number),
        other => return Err(unsupported(other, Target::Double)),
    }))
}

fn to_integer(value: &Bson, target: Target, options: Options) -> CommandResult<i128> {
    Ok(match value {
        Bson::Boolean(flag) => i128::from(*flag),
        Bson::DateTime(date) if target == Target::Long => i128::from(date.timestamp_millis()),
        Bson::Int32(number) => i128::from(*number),
        Bson::Int64(number) => i128::from(*number),
        Bson::Double(number) => {
            finite(*number)?;
            *number as i128
        }
        Bson::Decimal128(number) => {
            if decimal::is_nan(*number) || decimal::is_infinite(*number) {
                finite(decimal::to_f64(*number))?;
            }
            decimal::truncate_to_i128(*number).unwrap_or(i128::MAX)
        }
        Bson::String(text) => parse_integer(text)?,
        Bson::Binary(binary) => {
            let mut bytes = binary.bytes.clone();
            if options.big_endian {
                bytes.reverse();
            }
            if !matches!(bytes.len(), 1 | 2 | 4 | 8) {
                return Err(failed(format!(
                    "Failed to convert '{value}' to number in $convert because of an invalid length: {}",
                    bytes.len()
                )));
            }
            let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
            let unsigned = bytes.iter().rev().fold(0_i128, |sum, byte| sum << 8 | i128::from(*byte));
            if negative { unsigned - (1 << (8 * bytes.len())) } else { unsigned }
        }
        other => return Err(unsupported(other, target)),
    })
}

fn not_a_number(text: &str, reason: &str) -> CommandError {
    failed(format!("Failed to parse number '{text}' in $convert with no onError value: {reason}"))
}

fn parse_integer(text: &str) -> CommandResult<i128> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() {
        return Err(not_a_number(text, "No digits"));
    }
    if digits.starts_with("0x") || digits.starts_with("0X") {
        return Err(failed(format!("Illegal hexadecimal input in $convert with no onError value: {text}")));
    }
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(not_a_number(text, "Did not consume whole string."));
    }
    let number = text.parse::<i128>().map_err(|_| not_a_number(text, "Overflow"))?;
    if i64::try_from(number).is_err() {
        return Err(not_a_number(text, "Overflow"));
    }
    Ok(number)
}

fn parse_double(text: &str) -> CommandResult<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.starts_with("0x") || unsigned.starts_with("0X") {
        return Err(failed(format!("Illegal hexadecimal input in $convert with no onError value: {text}")));
    }
    let number: f64 = text.parse().map_err(|_| not_a_number(text, "Did not consume whole string."))?;
    let named = unsigned.starts_with(['i', 'I', 'n', 'N']);
    if number.is_infinite() && !named {
        return Err(not_a_number(text, "Out of range"));
    }
    Ok(number)
}

fn parse_decimal(text: &str) -> CommandResult<Decimal128> {
    let wrong = || not_a_number(text, "Failed to parse string to decimal");
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let starts_as_number = unsigned.starts_with(|char: char| char.is_ascii_digit() || char == '.');
    let named = matches!(unsigned.to_ascii_lowercase().as_str(), "inf" | "infinity" | "nan");
    if !(starts_as_number || named) {
        return Err(wrong());
    }
    let mut context = decimal::context();
    let number = context.parse(text).map_err(|_| wrong())?;
    let value = decimal::from_number(&number);
    if decimal::is_infinite(value) && !named {
        return Err(not_a_number(text, "Conversion from string to decimal would overflow"));
    }
    Ok(value)
}

fn binary_text(binary: &Binary, options: Options, value: &Bson) -> CommandResult<String> {
    let uuid = u8::from(binary.subtype) == 4;
    let format = match options.format {
        None => return Err(unsupported(value, Target::String)),
        Some(Format::Auto) => {
            if uuid {
                Format::Uuid
            } else {
                Format::Base64
            }
        }
        Some(format) => format,
    };
    let wrong = |reason: &str| failed(format!("Cannot convert BinData to string: {reason}"));
    Ok(match format {
        Format::Base64 | Format::Auto => STANDARD.encode(&binary.bytes),
        Format::Base64Url => URL_SAFE_NO_PAD.encode(&binary.bytes),
        Format::Hex => hex::encode_upper(&binary.bytes),
        Format::Utf8 => String::from_utf8(binary.bytes.clone()).map_err(|_| wrong("it is not valid UTF-8"))?,
        Format::Uuid => {
            if !uuid || binary.bytes.len() != 16 {
                return Err(wrong("it is not a UUID"));
            }
            let digits = hex::encode(&binary.bytes);
            format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
        }
    })
}

fn to_binary(value: &Bson, subtype: u8, target: Target, options: Options) -> CommandResult<Bson> {
    let make = |bytes: Vec<u8>| Ok(Bson::Binary(Binary { subtype: BinarySubtype::from(subtype), bytes }));
    let ordered = |mut bytes: Vec<u8>| {
        if options.big_endian {
            bytes.reverse();
        }
        make(bytes)
    };
    match value {
        Bson::Binary(binary) if u8::from(binary.subtype) == subtype => Ok(value.clone()),
        Bson::Binary(binary) => Err(failed(format!(
            "Conversions between different binary subtypes are not supported: {:?}",
            binary.subtype
        ))),
        Bson::Int32(number) => ordered(number.to_le_bytes().to_vec()),
        Bson::Int64(number) => ordered(number.to_le_bytes().to_vec()),
        Bson::Double(number) => ordered(number.to_le_bytes().to_vec()),
        Bson::String(text) => {
            let wrong = || failed(format!("Failed to parse BinData '{text}' in $convert with no onError value"));
            match options.format {
                None | Some(Format::Auto) => Err(unsupported(value, target)),
                Some(Format::Base64) => STANDARD.decode(text).map_err(|_| wrong()).and_then(make),
                Some(Format::Base64Url) => {
                    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| wrong()).and_then(make)
                }
                Some(Format::Hex) => hex::decode(text).map_err(|_| wrong()).and_then(make),
                Some(Format::Utf8) => make(text.clone().into_bytes()),
                Some(Format::Uuid) => {
                    if subtype != 4 {
                        return Err(failed("The uuid format needs the subtype 4"));
                    }
                    let dashes = [8, 13, 18, 23].iter().all(|at| text.as_bytes().get(*at) == Some(&b'-'));
                    if text.len() != 36 || !dashes {
                        return Err(wrong());
                    }
                    hex::decode(text.replace('-', ""))
                        .ok()
                        .filter(|bytes| bytes.len() == 16)
                        .ok_or_else(wrong)
                        .and_then(make)
                }
            }
        }
        other => Err(unsupported(other, target)),
    }
}
