//! String operators (MongoDB manual, "String Expression Operators"). Case is that of ASCII, as MongoDB's.

use std::cmp::Ordering;

use bson::Bson;

use super::array::search_range;
use super::date_text::iso_text;
use super::number::{to_exact_i32, to_i64, width};
use super::{Budget, NULL, Node, Scope, Value, is_nullish, some, type_name};
use crate::error::{CommandError, CommandResult};
use crate::query::decimal;

/// The value as the older string operators take it: numbers and dates as text, nullish as "".
pub(super) fn coerce(value: &Value) -> CommandResult<String> {
    Ok(match value {
        None | Some(Bson::Null | Bson::Undefined) => String::new(),
        Some(Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text)) => text.clone(),
        Some(Bson::Int32(number)) => number.to_string(),
        Some(Bson::Int64(number)) => number.to_string(),
        Some(Bson::Double(number)) => double_text(*number),
        Some(Bson::Decimal128(number)) => decimal_text(*number),
        Some(Bson::DateTime(date)) => iso_text(date.timestamp_millis())?,
        Some(Bson::Timestamp(timestamp)) => timestamp_text(timestamp.time, timestamp.increment),
        other => {
            return Err(CommandError::new(
                16007,
                format!("can't convert from BSON type {} to String", type_name(other)),
            ));
        }
    })
}

/// `Jan  1 00:00:00:1`: the time in seconds and the increment, as MongoDB spells timestamps in strings.
fn timestamp_text(time: u32, increment: u32) -> String {
    let parts = super::date::Parts::from_millis(i64::from(time) * 1000);
    let month = super::date_text::MONTHS[(parts.month - 1) as usize].get(..3).unwrap_or("");
    format!("{month} {:2} {:02}:{:02}:{:02}:{increment:x}", parts.day, parts.hour, parts.minute, parts.second)
}

/// Significant digits of a double in a string. Few, but MongoDB's.
const DOUBLE_DIGITS: i32 = 6;

/// A double as `%g` prints it.
pub(super) fn double_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 {
        return if number.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let places = |count: i32| count.max(0) as usize;
    let scientific = format!("{number:.*e}", places(DOUBLE_DIGITS - 1));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
    };
    if (-4..DOUBLE_DIGITS).contains(&exponent) {
        trim(&format!("{number:.*}", places(DOUBLE_DIGITS - 1 - exponent)))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
    }
}

/// The decimal as MongoDB prints it.
pub(super) fn decimal_text(number: bson::Decimal128) -> String {
    match decimal::parts(number) {
        decimal::Parts::Nan => "NaN".to_owned(),
        decimal::Parts::Infinity { negative } => if negative { "-Infinity" } else { "Infinity" }.to_owned(),
        decimal::Parts::Finite { negative, coefficient, exponent } => {
            let digits = coefficient.to_string();
            let sign = if negative { "-" } else { "" };
            let adjusted = exponent + digits.len() as i32 - 1;
            // Scientific where the number would not be written out (decimal128 specification, "To String").
            if exponent > 0 || adjusted < -6 {
                let (head, tail) = digits.split_at(1);
                let point = if tail.is_empty() { "" } else { "." };
                let plus = if adjusted >= 0 { "+" } else { "" };
                return format!("{sign}{head}{point}{tail}E{plus}{adjusted}");
            }
            if exponent == 0 {
                return format!("{sign}{digits}");
            }
            let places = exponent.unsigned_abs() as usize;
            if digits.len() > places {
                let (whole, fraction) = digits.split_at(digits.len() - places);
                format!("{sign}{whole}.{fraction}")
            } else {
                format!("{sign}0.{}{digits}", "0".repeat(places - digits.len()))
            }
        }
    }
}

pub(super) fn concat(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let mut joined = String::new();
    let mut budget = Budget::default();
    for node in nodes {
        match node.evaluate(scope)? {
            Some(Bson::String(text)) => {
                budget.take_bytes(text.len())?;
                joined.push_str(&text);
            }
            value if is_nullish(&value) => return NULL,
            value => {
                return Err(CommandError::new(
                    16702,
                    format!("$concat only supports strings, not {}", type_name(&value)),
                ));
            }
        }
    }
    some(joined)
}

pub(super) fn to_lower(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    some(coerce(&values[0])?.to_ascii_lowercase())
}

pub(super) fn to_upper(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    some(coerce(&values[0])?.to_ascii_uppercase())
}

pub(super) fn compare_ignoring_case(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let left = coerce(&values[0])?.to_ascii_uppercase();
    let right = coerce(&values[1])?.to_ascii_uppercase();
    some(match left.cmp(&right) {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    })
}

pub(super) fn length_in_bytes(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    match &values[0] {
        Some(Bson::String(text)) => some(text.len() as i32),
        value => Err(CommandError::new(
            34473,
            format!("$strLenBytes requires a string argument, found: {}", type_name(value)),
        )),
    }
}

pub(super) fn length_in_code_points(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    match &values[0] {
        Some(Bson::String(text)) => some(text.chars().count() as i32),
        value => {
            Err(CommandError::new(34471, format!("$strLenCP requires a string argument, found: {}", type_name(value))))
        }
    }
}

pub(super) fn substring_bytes(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let text = coerce(&values[0])?;
    let number = |value: &Value, code: i32, what: &str| match value {
        Some(number) if width(number).is_some() => Ok(to_i64(number)),
        other => Err(CommandError::new(
            code,
            format!("$substrBytes: {what} must be a numeric type (is BSON type {})", type_name(other)),
        )),
    };
    let start = number(&values[1], 16034, "starting index")?;
    let length = number(&values[2], 16035, "length")?;
    let Ok(start) = usize::try_from(start) else {
        return Err(CommandError::new(
            50752,
            format!("$substrBytes: starting index must be non-negative (got: {start})"),
        ));
    };
    if start >= text.len() {
        return some("");
    }
    if !text.is_char_boundary(start) {
        return Err(CommandError::new(
            28656,
            "$substrBytes: Invalid range, starting index is a UTF-8 continuation byte.",
        ));
    }
    // A negative length is the rest.
    let end = usize::try_from(length).map_or(text.len(), |length| start.saturating_add(length).min(text.len()));
    match text.get(start..end) {
        Some(part) => some(part),
        None => Err(CommandError::new(
            28657,
            "$substrBytes: Invalid range, ending index is in the middle of a UTF-8 character.",
        )),
    }
}

pub(super) fn substring_code_points(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let text = coerce(&values[0])?;
    let number = |value: &Value, codes: [i32; 3], what: &str| {
        let number = match value {
            Some(number) if width(number).is_some() => number,
            other => {
                return Err(CommandError::new(
                    codes[0],
                    format!("$substrCP: {what} must be a numeric type (is BSON type {})", type_name(other)),
                ));
            }
        };
        let integer = to_exact_i32(number).ok_or_else(|| {
            CommandError::new(
                codes[1],
                format!("$substrCP: {what} cannot be represented as a 32-bit integral value: {number}"),
            )
        })?;
        usize::try_from(integer).map_err(|_| {
            CommandError::new(codes[2], format!("$substrCP: {what} must be a non-negative integer: {integer}"))
        })
    };
    let start = number(&values[1], [34450, 34451, 34455], "starting index")?;
    let length = number(&values[2], [34452, 34453, 34454], "length")?;
    some(text.chars().skip(start).take(length).collect::<String>())
}

pub(super) fn index_of_bytes(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let Some((text, searched)) = searched_strings("$indexOfBytes", values, 40091, 40092)? else {
        return NULL;
    };
    let (start, end) = search_range("$indexOfBytes", values)?;
    let end = end.unwrap_or(text.len()).min(text.len());
    if start > end || start > text.len() {
        return some(-1);
    }
    let part = &text.as_bytes()[start..end];
    some(find_bytes(part, searched.as_bytes()).map_or(-1, |at| (at + start) as i32))
}

fn find_bytes(text: &[u8], searched: &[u8]) -> Option<usize> {
    if searched.is_empty() {
        return Some(0);
    }
    text.windows(searched.len()).position(|window| window == searched)
}

pub(super) fn index_of_code_points(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let Some((text, searched)) = searched_strings("$indexOfCP", values, 40093, 40094)? else {
        return NULL;
    };
    let (start, end) = search_range("$indexOfCP", values)?;
    // Offsets of the code points, and of the end.
    let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let length = offsets.len() - 1;
    let end = end.unwrap_or(length).min(length);
    if start > length || start > end {
        return some(-1);
    }
    let part = &text.as_bytes()[offsets[start]..offsets[end]];
    let found = find_bytes(part, searched.as_bytes()).and_then(|at| offsets.binary_search(&(at + offsets[start])).ok());
    some(found.map_or(-1, |at| at as i32))
}

fn searched_strings<'a>(
    name: &str,
    values: &'a [Value],
    first: i32,
    second: i32,
) -> CommandResult<Option<(&'a str, &'a str)>> {
    if is_nullish(&values[0]) {
        return Ok(None);
    }
    let Some(Bson::String(text)) = &values[0] else {
        return Err(CommandError::new(
            first,
            format!("{name} requires a string as the first argument, found: {}", type_name(&values[0])),
        ));
    };
    let Some(Bson::String(searched)) = &values[1] else {
        return Err(CommandError::new(
            second,
            format!("{name} requires a string as the second argument, found: {}", type_name(&values[1])),
        ));
    };
    Ok(Some((text, searched)))
}

pub(super) fn split(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    if is_nullish(&values[0]) || is_nullish(&values[1]) {
        return NULL;
    }
    let Some(Bson::String(text)) = &values[0] else {
        return Err(CommandError::new(
            40085,
            format!(
                "$split requires an expression that evaluates to a string as a first argument, found: {}",
                type_name(&values[0])
            ),
        ));
    };
    let Some(Bson::String(separator)) = &values[1] else {
        return Err(CommandError::new(
            40086,
            format!(
                "$split requires an expression that evaluates to a string as a second argument, found: {}",
                type_name(&values[1])
            ),
        ));
    };
    if separator.is_empty() {
        return Err(CommandError::new(40087, "$split requires a non-empty separator"));
    }
    let mut parts = Vec::new();
    let mut budget = Budget::default();
    for part in text.split(separator.as_str()) {
        budget.take_bytes(part.len() + size_of::<Bson>())?;
        parts.push(Bson::from(part));
    }
    some(parts)
}

/// Input, what to find, what to put there; `None` when one of them is nullish.
fn replacement<'a>(name: &str, values: &'a [Value]) -> CommandResult<Option<[&'a str; 3]>> {
    let mut texts = [""; 3];
    let mut null = false;
    for (position, (code, what)) in [(51746, "input"), (51745, "find"), (51744, "replacement")].into_iter().enumerate()
    {
        match &values[position] {
            Some(Bson::String(text)) => texts[position] = text,
            value if is_nullish(value) => null = true,
            value => {
                return Err(CommandError::new(
                    code,
                    format!("{name} requires that '{what}' be a string, found: {}", type_name(value)),
                ));
            }
        }
    }
    Ok((!null).then_some(texts))
}

pub(super) fn replace_one(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    match replacement("$replaceOne", values)? {
        Some([input, find, with]) => some(input.replacen(find, with, 1)),
        None => NULL,
    }
}

pub(super) fn replace_all(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    match replacement("$replaceAll", values)? {
        Some([input, find, with]) => {
            let count = input.matches(find).count();
            Budget::default().take_bytes(count.saturating_mul(with.len()).saturating_add(input.len()))?;
            some(input.replace(find, with))
        }
        None => NULL,
    }
}

/// What is trimmed unless told (MongoDB manual, "$trim", "Whitespace Characters").
const WHITESPACE: [char; 20] = [
    '\0', ' ', '\t', '\n', '\u{b}', '\u{c}', '\r', '\u{a0}', '\u{1680}', '\u{2000}', '\u{2001}', '\u{2002}',
    '\u{2003}', '\u{2004}', '\u{2005}', '\u{2006}', '\u{2007}', '\u{2008}', '\u{2009}', '\u{200a}',
];

pub(super) fn trim(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    trimmed("$trim", values, |text, chars| text.trim_matches(chars))
}

pub(super) fn left_trim(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    trimmed("$ltrim", values, |text, chars| text.trim_start_matches(chars))
}

pub(super) fn right_trim(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    trimmed("$rtrim", values, |text, chars| text.trim_end_matches(chars))
}

fn trimmed(name: &str, values: &[Value], cut: for<'a> fn(&'a str, &[char]) -> &'a str) -> CommandResult<Value> {
    let input = &values[0];
    if is_nullish(input) {
        return NULL;
    }
    let Some(Bson::String(text)) = input else {
        return Err(CommandError::new(
            50699,
            format!("{name} requires its input to be a string, got {} instead.", type_name(input)),
        ));
    };
    match values.get(1) {
        None | Some(None) => some(cut(text, &WHITESPACE)),
        Some(Some(Bson::String(chars))) => some(cut(text, &chars.chars().collect::<Vec<_>>())),
        Some(chars) if is_nullish(chars) => NULL,
        Some(chars) => Err(CommandError::new(
            50700,
            format!("{name} requires 'chars' to be a string, got {} instead.", type_name(chars)),
        )),
    }
}
