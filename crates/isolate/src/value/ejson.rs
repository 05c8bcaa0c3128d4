//! Extended JSON: writing (canonical, relaxed, the JSON column of http-surface 5.6, console lines) and parsing.

use deno_core::v8;

use super::{Fault, Leaf, Shape, Sink, Stop, bson, walk};
use crate::ops::brand::{self, kind};
use crate::ops::encoding::reserve_text;
use crate::ops::{Native, natives, string_argument, text, throw_error, throw_range_error};
use crate::realm;
use crate::state::IsolateState;

/// Containers inside each other, in and out. Far above what honest code nests; a bound on memory, not on native stack.
const DEPTH_MAX: usize = 200_000;

/// Largest text a script may make at once, bytes.
const TEXT_BYTES_MAX: usize = 256 << 20;

/// The functions of this area.
pub(crate) fn natives() -> Vec<Native> {
    natives! {
        "ejsonStringify" => ejson_stringify,
        "ejsonParse" => ejson_parse,
        "formatForConsole" => format_for_console,
    }
}

/// Canonical Extended JSON v2.
pub(crate) fn canonical(
    scope: &mut v8::PinScope,
    value: v8::Local<v8::Value>,
    bytes_max: usize,
) -> Result<Vec<u8>, Stop> {
    let mut sink = Text::<Canonical>::new(bytes_max, "");
    walk(scope, value, &mut sink)?;
    Ok(sink.output)
}

/// As [`canonical`], for a result: promises inside are waited for.
pub(crate) fn canonical_settled(
    scope: &mut v8::PinScope,
    value: v8::Local<v8::Value>,
    bytes_max: usize,
) -> Result<Vec<u8>, Stop> {
    let mut sink = Text::<Settled<Canonical>>::new(bytes_max, "");
    walk(scope, value, &mut sink)?;
    Ok(sink.output)
}

/// As [`json`], for a result: promises inside are waited for.
pub(crate) fn json_settled(
    scope: &mut v8::PinScope,
    value: v8::Local<v8::Value>,
    bytes_max: usize,
) -> Result<Vec<u8>, Stop> {
    let mut sink = Text::<Settled<Json>>::new(bytes_max, "");
    walk(scope, value, &mut sink)?;
    Ok(sink.output)
}

/// The JSON column of http-surface 5.6.
pub(crate) fn json(scope: &mut v8::PinScope, value: v8::Local<v8::Value>, bytes_max: usize) -> Result<Vec<u8>, Stop> {
    let mut sink = Text::<Json>::new(bytes_max, "");
    walk(scope, value, &mut sink)?;
    Ok(sink.output)
}

/// `ejsonStringify(value, relaxed, space)`
fn ejson_stringify(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let value = arguments.get(0);
    let space = if arguments.get(2).is_string() { arguments.get(2).to_rust_string_lossy(scope) } else { String::new() };
    let written = if arguments.get(1).is_true() {
        let mut sink = Text::<Relaxed>::new(TEXT_BYTES_MAX, &space);
        walk(scope, value, &mut sink).map(|()| sink.output)
    } else {
        let mut sink = Text::<Canonical>::new(TEXT_BYTES_MAX, &space);
        walk(scope, value, &mut sink).map(|()| sink.output)
    };
    match written {
        // V8 ends the process over a text that its heap cannot hold.
        Ok(bytes) if !reserve_text(scope, bytes.len(), if bytes.is_ascii() { 1 } else { 2 }) => {}
        Ok(bytes) => match v8::String::new_from_utf8(scope, &bytes, v8::NewStringType::Normal) {
            Some(text) => result.set(text.into()),
            None => throw_range_error(scope, "Invalid string length"),
        },
        Err(Stop::TooLarge) => throw_range_error(scope, "Invalid string length"),
        Err(Stop::Thrown | Stop::Unsettled(_)) => {}
    }
}

/// `formatForConsole(value)`: one line; never throws, never runs user code.
fn format_for_console(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let value = arguments.get(0);
    let line = match v8::Local::<v8::String>::try_from(value) {
        Ok(value) => return result.set(value.into()),
        Err(_) if !value.is_object() || value.is_native_error() => {
            value.to_detail_string(scope).map_or_else(String::new, |text| text.to_rust_string_lossy(scope))
        }
        Err(_) => {
            // More than any line keeps is not formatted.
            let line_max = IsolateState::of(scope).run().map_or(0, |run| run.limits().console_line_bytes_max);
            let mut sink = Text::<Console>::new(line_max.max(16 << 10), "");
            v8::tc_scope!(let scope, scope);
            // An end at the bound leaves a line that the console cuts anyway.
            if let Err(Stop::Thrown) = walk(scope, value, &mut sink) {
                sink.output.extend_from_slice(b"[unprintable]");
            }
            if scope.has_terminated() {
                scope.terminate_execution();
            }
            String::from_utf8_lossy(&sink.output).into_owned()
        }
    };
    crate::ops::return_string(scope, &mut result, &line);
}

/// A form of text.
trait Form {
    const PRINTS: bool = false;
    const DROPS_UNDEFINED: bool = false;
    const SETTLES: bool = false;
    /// Writes a leaf other than null, boolean and string.
    fn leaf(output: &mut Vec<u8>, scope: &mut v8::PinScope, leaf: Leaf);
}

/// A form in which promises are waited for.
struct Settled<F>(std::marker::PhantomData<F>);

impl<F: Form> Form for Settled<F> {
    const DROPS_UNDEFINED: bool = F::DROPS_UNDEFINED;
    const SETTLES: bool = true;

    fn leaf(output: &mut Vec<u8>, scope: &mut v8::PinScope, leaf: Leaf) {
        F::leaf(output, scope, leaf);
    }
}

struct Canonical;
struct Relaxed;
struct Json;
struct Console;

/// Text sink.
struct Text<'t, F> {
    output: Vec<u8>,
    bytes_max: usize,
    /// Indentation of one level; empty for one line.
    space: &'t str,
    depth: usize,
    /// The innermost container has a member already.
    has_member: bool,
    /// A key has just been written.
    after_key: bool,
    /// Shapes of the open containers, innermost last, as bits would do; arrays need commas by value, documents by key.
    shapes: Vec<Shape>,
    form: std::marker::PhantomData<F>,
}

impl<'t, F> Text<'t, F> {
    fn new(bytes_max: usize, space: &'t str) -> Self {
        Self {
            output: Vec::new(),
            bytes_max,
            space,
            depth: 0,
            has_member: false,
            after_key: false,
            shapes: Vec::new(),
            form: std::marker::PhantomData,
        }
    }

    fn check(&self) -> Result<(), Fault> {
        if self.output.len() > self.bytes_max { Err(Fault::TooLarge) } else { Ok(()) }
    }

    fn line_break(&mut self) {
        if !self.space.is_empty() {
            self.output.push(b'\n');
            for _ in 0..self.depth {
                self.output.extend_from_slice(self.space.as_bytes());
            }
        }
    }

    fn before_value(&mut self) {
        if self.after_key {
            self.after_key = false;
        } else if self.shapes.last() == Some(&Shape::Array) {
            if self.has_member {
                self.output.push(b',');
            }
            self.line_break();
        }
        self.has_member = true;
    }
}

impl<F: Form> Sink for Text<'_, F> {
    const DEPTH_MAX: usize = DEPTH_MAX;
    const PRINTS: bool = F::PRINTS;
    const TO_JSON: bool = true;
    const DROPS_UNDEFINED: bool = F::DROPS_UNDEFINED;
    const SETTLES: bool = F::SETTLES;

    fn key(&mut self, key: &str, _depth: usize) -> Result<(), Fault> {
        if self.has_member {
            self.output.push(b',');
        }
        self.line_break();
        write_string(&mut self.output, key);
        self.output.push(b':');
        if !self.space.is_empty() {
            self.output.push(b' ');
        }
        self.has_member = true;
        self.after_key = true;
        self.check()
    }

    fn leaf(&mut self, scope: &mut v8::PinScope, leaf: Leaf) -> Result<(), Fault> {
        self.before_value();
        match leaf {
            Leaf::Null => self.output.extend_from_slice(b"null"),
            Leaf::Boolean(value) => self.output.extend_from_slice(if value { b"true" } else { b"false" }),
            Leaf::String(value) => {
                if value.len() > self.bytes_max {
                    return Err(Fault::TooLarge);
                }
                write_string(&mut self.output, &value);
            }
            Leaf::Binary { ref bytes, .. } if bytes.len() > self.bytes_max => return Err(Fault::TooLarge),
            other => F::leaf(&mut self.output, scope, other),
        }
        self.check()
    }

    fn open(&mut self, shape: Shape) -> Result<(), Fault> {
        self.before_value();
        self.output.push(if shape == Shape::Array { b'[' } else { b'{' });
        self.shapes.push(shape);
        self.depth += 1;
        self.has_member = false;
        self.check()
    }

    fn close(&mut self, shape: Shape) -> Result<(), Fault> {
        self.depth -= 1;
        self.shapes.pop();
        if self.has_member {
            self.line_break();
        }
        self.output.push(if shape == Shape::Array { b']' } else { b'}' });
        self.has_member = true;
        self.check()
    }
}

fn write_string(output: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(output, value).expect("writing a string to memory cannot fail");
}

fn write(output: &mut Vec<u8>, text: &str) {
    output.extend_from_slice(text.as_bytes());
}

/// The number as JavaScript prints it.
fn number_text(scope: &mut v8::PinScope, number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 10^15")]
        return (number as i64).to_string();
    }
    v8::scope!(let scope, scope);
    let number = v8::Number::new(scope, number);
    number.to_string(scope).map_or_else(String::new, |text| text.to_rust_string_lossy(scope))
}

/// `$numberDouble`'s text (Extended JSON v2): whole numbers with `.0`.
fn double_text(scope: &mut v8::PinScope, number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else if number == 0.0 && number.is_sign_negative() {
        "-0.0".to_owned()
    } else {
        let text = number_text(scope, number);
        if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') { text + ".0" } else { text }
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What canonical and relaxed have in common.
fn write_extended(output: &mut Vec<u8>, leaf: Leaf) {
    match leaf {
        Leaf::Undefined => write(output, r#"{"$undefined":true}"#),
        Leaf::ObjectId(bytes) => write(output, &format!(r#"{{"$oid":"{}"}}"#, hex::encode(bytes))),
        Leaf::Decimal128(text) => write(output, &format!(r#"{{"$numberDecimal":"{text}"}}"#)),
        Leaf::Binary { subtype, bytes } => {
            let base64 = base64(&bytes);
            write(output, &format!(r#"{{"$binary":{{"base64":"{base64}","subType":"{subtype:02x}"}}}}"#));
        }
        Leaf::Regex { pattern, options } => {
            write(output, r#"{"$regularExpression":{"pattern":"#);
            write_string(output, &pattern);
            write(output, r#","options":"#);
            write_string(output, &options);
            write(output, "}}");
        }
        Leaf::Timestamp { time, increment } => {
            write(output, &format!(r#"{{"$timestamp":{{"t":{time},"i":{increment}}}}}"#));
        }
        Leaf::MinKey => write(output, r#"{"$minKey":1}"#),
        Leaf::MaxKey => write(output, r#"{"$maxKey":1}"#),
        Leaf::Symbol(text) => {
            write(output, r#"{"$symbol":"#);
            write_string(output, &text);
            write(output, "}");
        }
        Leaf::Code(code) => {
            write(output, r#"{"$code":"#);
            write_string(output, &code);
            write(output, "}");
        }
        Leaf::Note(text) => write_string(output, &text),
        Leaf::Date(milliseconds) => write(output, &format!(r#"{{"$date":{{"$numberLong":"{milliseconds}"}}}}"#)),
        Leaf::Int32(value) => write(output, &format!(r#"{{"$numberInt":"{value}"}}"#)),
        Leaf::Int64(value) => write(output, &format!(r#"{{"$numberLong":"{value}"}}"#)),
        Leaf::Null => write(output, "null"),
        Leaf::Boolean(value) => write(output, if value { "true" } else { "false" }),
        Leaf::String(value) => write_string(output, &value),
        Leaf::Double(value) => write(output, &value.to_string()),
    }
}

/// ISO 8601 with milliseconds and `Z`, years as JavaScript prints them.
fn iso_date(milliseconds: i64) -> Option<String> {
    let time = ::bson::DateTime::from_millis(milliseconds);
    let text = time.try_to_rfc3339_string().ok()?;
    // `2020-01-01T00:00:00.5Z` in the library's form; JavaScript always prints three digits.
    let (seconds, rest) = text.strip_suffix('Z')?.split_at(text.find('.').unwrap_or(text.len() - 1));
    let digits = rest.strip_prefix('.').unwrap_or("");
    Some(format!("{seconds}.{digits:0<3}Z"))
}

impl Form for Canonical {
    fn leaf(output: &mut Vec<u8>, scope: &mut v8::PinScope, leaf: Leaf) {
        match leaf {
            Leaf::Double(value) => {
                let text = double_text(scope, value);
                write(output, &format!(r#"{{"$numberDouble":"{text}"}}"#));
            }
            other => write_extended(output, other),
        }
    }
}

impl Form for Relaxed {
    fn leaf(output: &mut Vec<u8>, scope: &mut v8::PinScope, leaf: Leaf) {
        match leaf {
            Leaf::Int32(value) => write(output, &value.to_string()),
            Leaf::Int64(value) => write(output, &value.to_string()),
            Leaf::Double(value) if value.is_finite() => {
                let text = if value == 0.0 && value.is_sign_negative() {
                    "-0.0".to_owned()
                } else {
                    number_text(scope, value)
                };
                write(output, &text);
            }
            Leaf::Double(value) => Canonical::leaf(output, scope, Leaf::Double(value)),
            Leaf::Date(milliseconds) => {
                // Relaxed form has texts for the years 1970 to 9999 only.
                match iso_date(milliseconds).filter(|_| (0..253_402_300_800_000).contains(&milliseconds)) {
                    Some(text) => {
                        let text = text.replace(".000Z", "Z");
                        write(output, &format!(r#"{{"$date":"{text}"}}"#));
                    }
                    None => write_extended(output, Leaf::Date(milliseconds)),
                }
            }
            other => write_extended(output, other),
        }
    }
}

impl Form for Json {
    const DROPS_UNDEFINED: bool = true;

    fn leaf(output: &mut Vec<u8>, scope: &mut v8::PinScope, leaf: Leaf) {
        match leaf {
            Leaf::Undefined => write(output, "null"),
            Leaf::Int32(value) => write(output, &value.to_string()),
            Leaf::Int64(value) => write(output, &value.to_string()),
            Leaf::Double(value) if value.is_finite() => {
                let text = number_text(scope, value);
                write(output, &text);
            }
            Leaf::Double(_) => write(output, "null"),
            Leaf::Decimal128(text) | Leaf::Symbol(text) | Leaf::Note(text) => write_string(output, &text),
            Leaf::ObjectId(bytes) => write(output, &format!(r#""{}""#, hex::encode(bytes))),
            Leaf::Date(milliseconds) => match date_text(scope, milliseconds) {
                Some(text) => write_string(output, &text),
                None => write(output, "null"),
            },
            Leaf::Binary { subtype, bytes } => {
                let base64 = base64(&bytes);
                write(output, &format!(r#"{{"Subtype":{subtype},"Data":"{base64}"}}"#));
            }
            Leaf::Regex { pattern, options } => {
                write(output, r#"{"Pattern":"#);
                write_string(output, &pattern);
                write(output, r#","Options":"#);
                write_string(output, &options);
                write(output, "}");
            }
            Leaf::Timestamp { time, increment } => write(output, &format!(r#"{{"T":{time},"I":{increment}}}"#)),
            Leaf::MinKey | Leaf::MaxKey => write(output, "{}"),
            other => write_extended(output, other),
        }
    }
}

/// As `Date.prototype.toISOString`, years outside 0 to 9999 with sign and six digits.
fn date_text(_scope: &mut v8::PinScope, milliseconds: i64) -> Option<String> {
    let days = milliseconds.div_euclid(86_400_000);
    let within = milliseconds.rem_euclid(86_400_000);
    // Civil date of a day number (proleptic Gregorian), counted in 400-year eras from 1 March of year 0.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let year = if (0..=9999).contains(&year) {
        format!("{year:04}")
    } else {
        format!("{}{:06}", if year < 0 { '-' } else { '+' }, year.unsigned_abs())
    };
    let (hours, minutes) = (within / 3_600_000, within / 60_000 % 60);
    let (seconds, fraction) = (within / 1_000 % 60, within % 1_000);
    Some(format!("{year}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{fraction:03}Z"))
}

impl Form for Console {
    const PRINTS: bool = true;

    fn leaf(output: &mut Vec<u8>, scope: &mut v8::PinScope, leaf: Leaf) {
        match leaf {
            Leaf::Int32(value) => write(output, &value.to_string()),
            Leaf::Int64(value) => write(output, &value.to_string()),
            Leaf::Double(value) => {
                let text = if value.is_finite() { number_text(scope, value) } else { double_text(scope, value) };
                write(output, &text);
            }
            Leaf::Undefined => write(output, "undefined"),
            Leaf::Note(text) => write(output, &text),
            other => write_extended(output, other),
        }
    }
}

/// `ejsonParse(text)`
fn ejson_parse(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Some(json) = string_argument(scope, &arguments, 0) else { return };
    let Ok(source) = v8::Local::<v8::String>::try_from(arguments.get(0)) else { return };
    if let Some(value) = parse_string(scope, source, &json) {
        result.set(value);
    }
}

/// Parses plain, relaxed, canonical and the common legacy forms of Extended JSON into values of the current realm.
/// `None` with a pending exception.
pub(crate) fn parse<'s>(scope: &mut v8::PinScope<'s, '_>, json: &str) -> Option<v8::Local<'s, v8::Value>> {
    let Some(source) = v8::String::new(scope, json) else {
        throw_range_error(scope, "Invalid string length");
        return None;
    };
    parse_string(scope, source, json)
}

fn parse_string<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    source: v8::Local<'_, v8::String>,
    json: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    // V8's parser knows no depth limit and gives JavaScript's own messages.
    let value = v8::json::parse(scope, source)?;
    // Without a key that begins with a dollar sign, written plainly or as an escape, it is plain JSON.
    if json.contains("\"$") || json.contains("\\u0024") { convert(scope, value) } else { Some(value) }
}

/// Where a converted value goes.
struct Place<'s> {
    container: v8::Local<'s, v8::Object>,
    key: v8::Local<'s, v8::Value>,
}

/// Replaces the `$` objects of a parsed tree, innermost first, with a stack of its own.
fn convert<'s>(scope: &mut v8::PinScope<'s, '_>, root: v8::Local<'s, v8::Value>) -> Option<v8::Local<'s, v8::Value>> {
    let state = IsolateState::of(scope);
    // Containers in the order they are found; every container comes after the one that holds it.
    let mut found: Vec<(v8::Local<v8::Object>, Option<Place>)> = Vec::new();
    let Ok(object) = v8::Local::<v8::Object>::try_from(root) else { return Some(root) };
    found.push((object, None));
    let mut index = 0;
    while let Some((object, _)) = found.get(index) {
        let object = *object;
        if let Ok(array) = v8::Local::<v8::Array>::try_from(object) {
            // By index: a list of numbers must not cost a text for each.
            for position in 0..array.length() {
                let member = object.get_index(scope, position)?;
                if let Ok(member) = v8::Local::<v8::Object>::try_from(member) {
                    let key = v8::Integer::new_from_unsigned(scope, position).into();
                    found.push((member, Some(Place { container: object, key })));
                }
            }
            index += 1;
            continue;
        }
        let keys = super::own_keys(scope, object)?;
        for position in 0..keys.length() {
            let key = keys.get_index(scope, position)?;
            // The tree is fresh from the parser: data properties only.
            let member = object.get(scope, key)?;
            if let Ok(member) = v8::Local::<v8::Object>::try_from(member) {
                found.push((member, Some(Place { container: object, key })));
            }
        }
        index += 1;
    }
    let mut result = root;
    for (object, place) in found.into_iter().rev() {
        if object.is_array() {
            continue;
        }
        let Some(converted) = extended(scope, &state, object)? else { continue };
        match place {
            None => result = converted.value,
            Some(Place { container, key }) => {
                match v8::Local::<v8::Name>::try_from(key) {
                    Ok(name) => container.create_data_property(scope, name, converted.value)?,
                    // An element that is there: no setter of a prototype can be met.
                    Err(_) => {
                        let index = key.uint32_value(scope)?;
                        container.set_index(scope, index, converted.value)?
                    }
                };
                if let Some(note) = converted.note {
                    bson::note_type(scope, &state, container, key, note);
                }
            }
        }
    }
    Some(result)
}

struct Converted<'s> {
    value: v8::Local<'s, v8::Value>,
    /// What type memory is to hold for the place.
    note: Option<v8::Local<'s, v8::Value>>,
}

impl<'s> From<v8::Local<'s, v8::Value>> for Converted<'s> {
    fn from(value: v8::Local<'s, v8::Value>) -> Self {
        Self { value, note: None }
    }
}

fn member<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'s, v8::Object>,
    key: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let key = text(scope, key);
    if object.has_own_property(scope, key.into())? { object.get(scope, key.into()) } else { None }
}

fn text_member<'s>(scope: &mut v8::PinScope<'s, '_>, object: v8::Local<'s, v8::Object>, key: &str) -> Option<String> {
    member(scope, object, key).filter(|value| value.is_string()).map(|value| value.to_rust_string_lossy(scope))
}

/// The value an object of the parser stands for. The outer `None`: an exception is pending; the inner: an ordinary
/// object, also when its shape is not quite that of a wrapper.
#[expect(clippy::option_option, reason = "outside: an exception is pending; inside: nothing to convert")]
fn extended<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &IsolateState,
    object: v8::Local<'s, v8::Object>,
) -> Option<Option<Converted<'s>>> {
    let keys = super::own_keys(scope, object)?;
    if keys.length() == 0 || keys.length() > 8 {
        return Some(None);
    }
    let mut names = Vec::new();
    for index in 0..keys.length() {
        names.push(keys.get_index(scope, index)?.to_rust_string_lossy(scope));
    }
    if !names[0].starts_with('$') && !names.iter().any(|name| name == "$ref") {
        return Some(None);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let branded = |scope: &mut v8::PinScope<'s, '_>, kind, payload| {
        let object = brand::new_instance(scope, state, kind, payload);
        Some(Some(Converted::from(v8::Local::<v8::Value>::from(object))))
    };
    let invalid = |scope: &mut v8::PinScope<'s, '_>, what: &str| {
        throw_error(scope, &format!("invalid Extended JSON: {what}"));
        None
    };
    match names[..] {
        ["$oid"] => {
            let Some(hex) = text_member(scope, object, "$oid") else { return Some(None) };
            match hex.parse::<::bson::oid::ObjectId>() {
                Ok(id) if hex.len() == 24 => {
                    let payload = text(scope, &id.to_hex()).into();
                    branded(scope, kind::OBJECT_ID, payload)
                }
                _ => invalid(scope, "$oid takes 24 hexadecimal digits"),
            }
        }
        ["$numberInt"] => {
            let Some(digits) = text_member(scope, object, "$numberInt") else { return Some(None) };
            match digits.parse::<i32>() {
                Ok(value) => Some(Some(Converted::from(v8::Local::<v8::Value>::from(v8::Integer::new(scope, value))))),
                Err(_) => invalid(scope, "$numberInt takes a 32-bit integer as text"),
            }
        }
        ["$numberLong"] => {
            let Some(digits) = text_member(scope, object, "$numberLong") else { return Some(None) };
            match digits.parse::<i64>() {
                Ok(value) => {
                    let (value, note) = bson::long(scope, state, value);
                    Some(Some(Converted { value, note }))
                }
                Err(_) => invalid(scope, "$numberLong takes a 64-bit integer as text"),
            }
        }
        ["$numberDouble"] => {
            let Some(digits) = text_member(scope, object, "$numberDouble") else { return Some(None) };
            let value = match digits.as_str() {
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                "NaN" => Ok(f64::NAN),
                other if other.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) => other.parse(),
                _ => return invalid(scope, "$numberDouble takes a number as text"),
            };
            match value {
                Ok(value) => {
                    let (value, note) = bson::double(scope, value);
                    Some(Some(Converted { value, note }))
                }
                Err(_) => invalid(scope, "$numberDouble takes a number as text"),
            }
        }
        ["$numberDecimal"] => {
            let Some(digits) = text_member(scope, object, "$numberDecimal") else { return Some(None) };
            match brand::parse_decimal128(&digits) {
                Some(value) => {
                    let payload = text(scope, &value.to_string()).into();
                    branded(scope, kind::DECIMAL128, payload)
                }
                None => invalid(scope, "$numberDecimal takes a number as text"),
            }
        }
        ["$date"] => {
            let Some(value) = member(scope, object, "$date") else { return Some(None) };
            let milliseconds = if let Ok(number) = v8::Local::<v8::Number>::try_from(value) {
                number.value()
            } else if value.is_string() {
                // As JavaScript reads dates: the texts of older tools leave out a colon, or the time.
                let parse = realm::entry(scope, "parseDate")?;
                let receiver = v8::undefined(scope).into();
                let milliseconds = parse.call(scope, receiver, &[value])?.number_value(scope)?;
                if milliseconds.is_nan() {
                    return invalid(scope, "$date takes an ISO 8601 date");
                }
                milliseconds
            } else if brand::kind_of(scope, state, value) == kind::LONG {
                // Outside the safe range, so outside the dates of JavaScript.
                f64::NAN
            } else {
                return Some(None);
            };
            let date = v8::Date::new(scope, milliseconds)?;
            Some(Some(Converted::from(v8::Local::<v8::Value>::from(date))))
        }
        ["$binary"] => {
            let Some(inner) = member(scope, object, "$binary") else { return Some(None) };
            let Ok(inner) = v8::Local::<v8::Object>::try_from(inner) else { return Some(None) };
            let (Some(base64), Some(subtype)) =
                (text_member(scope, inner, "base64"), text_member(scope, inner, "subType"))
            else {
                return Some(None);
            };
            binary(scope, &base64, &subtype).map_or_else(|| invalid(scope, "$binary takes base64 and a subType"), Some)
        }
        ["$binary", "$type"] | ["$type", "$binary"] => {
            let (Some(base64), Some(subtype)) =
                (text_member(scope, object, "$binary"), text_member(scope, object, "$type"))
            else {
                return Some(None);
            };
            binary(scope, &base64, &subtype).map_or_else(|| invalid(scope, "$binary takes base64 and a $type"), Some)
        }
        ["$uuid"] => {
            let Some(uuid) = text_member(scope, object, "$uuid") else { return Some(None) };
            match ::bson::Uuid::parse_str(&uuid) {
                Ok(uuid) => {
                    let value = bson::binary(scope, &uuid.bytes(), 4)?;
                    Some(Some(Converted::from(v8::Local::<v8::Value>::from(value))))
                }
                Err(_) => invalid(scope, "$uuid takes a UUID"),
            }
        }
        ["$regularExpression"] => {
            let Some(inner) = member(scope, object, "$regularExpression") else { return Some(None) };
            let Ok(inner) = v8::Local::<v8::Object>::try_from(inner) else { return Some(None) };
            let (Some(pattern), Some(options)) =
                (text_member(scope, inner, "pattern"), text_member(scope, inner, "options"))
            else {
                return Some(None);
            };
            let parts = [text(scope, &pattern).into(), text(scope, &options).into()];
            let payload = v8::Array::new_with_elements(scope, &parts).into();
            branded(scope, kind::REGULAR_EXPRESSION, payload)
        }
        ["$timestamp"] => {
            let Some(inner) = member(scope, object, "$timestamp") else { return Some(None) };
            let Ok(inner) = v8::Local::<v8::Object>::try_from(inner) else { return Some(None) };
            let (Some(time), Some(increment)) = (member(scope, inner, "t"), member(scope, inner, "i")) else {
                return Some(None);
            };
            if !time.is_uint32() || !increment.is_uint32() {
                return invalid(scope, "$timestamp takes two 32-bit integers, t and i");
            }
            let payload = v8::Array::new_with_elements(scope, &[time, increment]).into();
            branded(scope, kind::TIMESTAMP, payload)
        }
        ["$minKey"] => {
            let payload = v8::null(scope).into();
            branded(scope, kind::MIN_KEY, payload)
        }
        ["$maxKey"] => {
            let payload = v8::null(scope).into();
            branded(scope, kind::MAX_KEY, payload)
        }
        ["$undefined"] => Some(Some(Converted::from(v8::Local::<v8::Value>::from(v8::undefined(scope))))),
        ["$symbol"] => {
            let Some(symbol) = member(scope, object, "$symbol").filter(|symbol| symbol.is_string()) else {
                return Some(None);
            };
            Some(Some(Converted::from(symbol)))
        }
        ["$code"] | ["$code", "$scope"] => {
            let Some(code) = member(scope, object, "$code").filter(|code| code.is_string()) else { return Some(None) };
            let inner = member(scope, object, "$scope").unwrap_or_else(|| v8::undefined(scope).into());
            let payload = v8::Array::new_with_elements(scope, &[code, inner]).into();
            branded(scope, kind::CODE, payload)
        }
        _ if names.contains(&"$ref") && names.contains(&"$id") => {
            let (Some(collection), Some(id)) = (member(scope, object, "$ref"), member(scope, object, "$id")) else {
                return Some(None);
            };
            let database = member(scope, object, "$db").unwrap_or_else(|| v8::undefined(scope).into());
            let fields = v8::Object::new(scope);
            for name in names.iter().filter(|name| !matches!(**name, "$ref" | "$id" | "$db")) {
                let key = text(scope, name);
                let value = object.get(scope, key.into())?;
                fields.create_data_property(scope, key.into(), value);
            }
            let payload = v8::Array::new_with_elements(scope, &[collection, id, database, fields.into()]).into();
            branded(scope, kind::DB_REF, payload)
        }
        _ => Some(None),
    }
}

#[expect(clippy::option_option, reason = "as the function it serves")]
fn binary<'s>(scope: &mut v8::PinScope<'s, '_>, base64: &str, subtype: &str) -> Option<Option<Converted<'s>>> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).ok()?;
    let subtype = u8::from_str_radix(subtype, 16).ok()?;
    let value = bson::binary(scope, &bytes, subtype)?;
    Some(Some(Converted::from(v8::Local::<v8::Value>::from(value))))
}

#[cfg(test)]
mod tests {
    use super::iso_date;

    #[test]
    fn dates_are_printed_with_three_digits() {
        assert_eq!(iso_date(0).as_deref(), Some("1970-01-01T00:00:00.000Z"));
        assert_eq!(iso_date(1_500).as_deref(), Some("1970-01-01T00:00:01.500Z"));
    }
}
