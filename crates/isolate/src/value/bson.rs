//! BSON bytes and JavaScript values, directly into each other.

use bson::RawDocument;
use bson::raw::RawBsonRef;
use deno_core::v8;

use super::{Fault, Leaf, SAFE_INTEGER_MAX, Shape, Sink, Stop, walk};
use crate::ops::brand::{self, kind};
use crate::ops::{new_bytes, text, throw_error, throw_range_error};
use crate::state::IsolateState;

/// Levels a document may nest on its way to a database.
const ENCODE_DEPTH_MAX: usize = 100;
/// Levels accepted from a service; servers stop well below.
const DECODE_DEPTH_MAX: usize = 250;
/// Largest arguments of one service call, bytes: a full batch of inserts.
const ARGUMENT_BYTES_MAX: usize = 64 << 20;

/// Arguments of a service call whose undefined members keep their type: a comparison with undefined is an error that
/// the database reports (function-environment 2.7). Everywhere else undefined becomes null.
const KEEPS_UNDEFINED: [&str; 4] = ["filter", "query", "pipeline", "let"];

/// Encodes the arguments object of a service call. `None` with a pending exception.
pub(crate) fn encode_arguments(scope: &mut v8::PinScope, value: v8::Local<v8::Value>) -> Option<Vec<u8>> {
    if !value.is_object() {
        throw_error(scope, "arguments of a service call must be an object");
        return None;
    }
    let mut sink = Bytes { output: Vec::new(), open: Vec::new(), key: String::new(), keeps_undefined: false };
    match walk(scope, value, &mut sink) {
        Ok(()) => Some(sink.output),
        Err(Stop::Thrown | Stop::Unsettled(_)) => None,
        Err(Stop::TooLarge) => {
            throw_range_error(scope, "arguments of a service call are too large");
            None
        }
    }
}

/// Sink for BSON bytes.
struct Bytes {
    output: Vec<u8>,
    /// Open containers: where their length goes, and how many members an array has so far.
    open: Vec<(usize, Option<u32>)>,
    key: String,
    keeps_undefined: bool,
}

impl Bytes {
    /// Type byte and key of the next element.
    fn element(&mut self, element_type: u8) -> Result<(), Fault> {
        match self.open.last_mut() {
            // The outermost document has neither.
            None => return Ok(()),
            Some((_, Some(next))) => {
                self.key = next.to_string();
                *next += 1;
            }
            Some((_, None)) => {}
        }
        self.output.push(element_type);
        self.output.extend_from_slice(self.key.as_bytes());
        self.output.push(0);
        if self.output.len() > ARGUMENT_BYTES_MAX { Err(Fault::TooLarge) } else { Ok(()) }
    }

    fn string(&mut self, value: &str) -> Result<(), Fault> {
        let length = i32::try_from(value.len() + 1).map_err(|_| Fault::TooLarge)?;
        self.output.extend_from_slice(&length.to_le_bytes());
        self.output.extend_from_slice(value.as_bytes());
        self.output.push(0);
        Ok(())
    }

    fn c_string(&mut self, value: &str) -> Result<(), Fault> {
        if value.contains('\0') {
            return Err(Fault::Invalid("a regular expression must not contain a NUL character".to_owned()));
        }
        self.output.extend_from_slice(value.as_bytes());
        self.output.push(0);
        Ok(())
    }
}

impl Sink for Bytes {
    const DEPTH_MAX: usize = ENCODE_DEPTH_MAX + 2;
    const TO_JSON: bool = false;
    const DROPS_OUTER_UNDEFINED: bool = true;

    fn key(&mut self, key: &str, depth: usize) -> Result<(), Fault> {
        if key.contains('\0') {
            return Err(Fault::Invalid(format!("the field name {key:?} contains a NUL character")));
        }
        key.clone_into(&mut self.key);
        if depth == 1 {
            self.keeps_undefined = KEEPS_UNDEFINED.contains(&key);
        }
        Ok(())
    }

    fn leaf(&mut self, _scope: &mut v8::PinScope, leaf: Leaf) -> Result<(), Fault> {
        match leaf {
            Leaf::Null | Leaf::Note(_) => self.element(0x0a),
            Leaf::Undefined => self.element(if self.keeps_undefined { 0x06 } else { 0x0a }),
            Leaf::Boolean(value) => {
                self.element(0x08)?;
                self.output.push(u8::from(value));
                Ok(())
            }
            Leaf::Int32(value) => {
                self.element(0x10)?;
                self.output.extend_from_slice(&value.to_le_bytes());
                Ok(())
            }
            Leaf::Int64(value) => {
                self.element(0x12)?;
                self.output.extend_from_slice(&value.to_le_bytes());
                Ok(())
            }
            Leaf::Double(value) => {
                self.element(0x01)?;
                self.output.extend_from_slice(&value.to_le_bytes());
                Ok(())
            }
            Leaf::String(value) => {
                self.element(0x02)?;
                self.string(&value)
            }
            Leaf::Date(milliseconds) => {
                self.element(0x09)?;
                self.output.extend_from_slice(&milliseconds.to_le_bytes());
                Ok(())
            }
            Leaf::ObjectId(bytes) => {
                self.element(0x07)?;
                self.output.extend_from_slice(&bytes);
                Ok(())
            }
            Leaf::Decimal128(text) => {
                let value: bson::Decimal128 =
                    text.parse().map_err(|_| Fault::Invalid(format!("{text:?} is not a decimal number")))?;
                self.element(0x13)?;
                self.output.extend_from_slice(&value.bytes());
                Ok(())
            }
            Leaf::Binary { subtype, bytes } => {
                self.element(0x05)?;
                let length = i32::try_from(bytes.len()).map_err(|_| Fault::TooLarge)?;
                if subtype == 2 {
                    // The old binary subtype holds its length once more.
                    let outer = length.checked_add(4).ok_or(Fault::TooLarge)?;
                    self.output.extend_from_slice(&outer.to_le_bytes());
                    self.output.push(subtype);
                }
                self.output.extend_from_slice(&length.to_le_bytes());
                if subtype != 2 {
                    self.output.push(subtype);
                }
                self.output.extend_from_slice(&bytes);
                Ok(())
            }
            Leaf::Regex { pattern, options } => {
                self.element(0x0b)?;
                self.c_string(&pattern)?;
                // BSON wants them in alphabetical order.
                let mut options: Vec<char> = options.chars().collect();
                options.sort_unstable();
                options.dedup();
                self.c_string(&options.into_iter().collect::<String>())
            }
            Leaf::Timestamp { time, increment } => {
                self.element(0x11)?;
                self.output.extend_from_slice(&increment.to_le_bytes());
                self.output.extend_from_slice(&time.to_le_bytes());
                Ok(())
            }
            Leaf::MinKey => self.element(0xff),
            Leaf::MaxKey => self.element(0x7f),
            Leaf::Symbol(text) => {
                self.element(0x0e)?;
                self.string(&text)
            }
            Leaf::Code(code) => {
                self.element(0x0d)?;
                self.string(&code)
            }
        }
    }

    fn open(&mut self, shape: Shape) -> Result<(), Fault> {
        self.element(if shape == Shape::Array { 0x04 } else { 0x03 })?;
        self.open.push((self.output.len(), (shape == Shape::Array).then_some(0)));
        self.output.extend_from_slice(&[0; 4]);
        Ok(())
    }

    fn close(&mut self, _shape: Shape) -> Result<(), Fault> {
        self.output.push(0);
        if let Some((start, _)) = self.open.pop() {
            let length = i32::try_from(self.output.len() - start).map_err(|_| Fault::TooLarge)?;
            self.output[start..start + 4].copy_from_slice(&length.to_le_bytes());
        }
        Ok(())
    }
}

/// Decodes a document into a plain object of the current realm. `None` with a pending exception.
pub(crate) fn decode<'s>(scope: &mut v8::PinScope<'s, '_>, bytes: &[u8]) -> Option<v8::Local<'s, v8::Value>> {
    let document = match RawDocument::from_bytes(bytes) {
        Ok(document) => document,
        Err(error) => {
            throw_error(scope, &format!("malformed BSON: {error}"));
            return None;
        }
    };
    let state = IsolateState::of(scope);
    Some(decode_document(scope, &state, document, 0)?.into())
}

fn decode_document<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &IsolateState,
    document: &RawDocument,
    depth: usize,
) -> Option<v8::Local<'s, v8::Object>> {
    let object = v8::Object::new(scope);
    let mut fields = 0;
    let mut reference = false;
    for element in document {
        let (key, value) = checked(scope, element)?;
        let Some(name) = v8::String::new_from_utf8(scope, key.as_str().as_bytes(), v8::NewStringType::Internalized)
        else {
            throw_range_error(scope, "Invalid string length");
            return None;
        };
        let (value, note) = decode_value(scope, state, value, depth)?;
        object.create_data_property(scope, name.into(), value);
        if let Some(note) = note {
            note_type(scope, state, object, name.into(), note);
        }
        reference |= fields == 0 && key.as_str() == "$ref";
        fields += 1;
    }
    if reference && fields >= 2 {
        return db_ref(scope, state, object);
    }
    Some(object)
}

/// `{$ref, $id, …}` as a DBRef; the object itself when the shape is another.
fn db_ref<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &IsolateState,
    object: v8::Local<'s, v8::Object>,
) -> Option<v8::Local<'s, v8::Object>> {
    let mut parts = Vec::new();
    for key in ["$ref", "$id", "$db"] {
        let key = text(scope, key);
        let own = object.has_own_property(scope, key.into())?;
        parts.push(if own { object.get(scope, key.into())? } else { v8::undefined(scope).into() });
        object.delete(scope, key.into());
    }
    parts.push(object.into());
    let payload = v8::Array::new_with_elements(scope, &parts).into();
    Some(brand::new_instance(scope, state, kind::DB_REF, payload))
}

fn checked<T>(scope: &mut v8::PinScope, element: Result<T, impl std::fmt::Display>) -> Option<T> {
    match element {
        Ok(element) => Some(element),
        Err(error) => {
            throw_error(scope, &format!("malformed BSON: {error}"));
            None
        }
    }
}

type Decoded<'s> = (v8::Local<'s, v8::Value>, Option<v8::Local<'s, v8::Value>>);

/// A value and what type memory is to hold for its place.
fn decode_value<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &IsolateState,
    value: RawBsonRef<'_>,
    depth: usize,
) -> Option<Decoded<'s>> {
    if depth > DECODE_DEPTH_MAX {
        throw_range_error(scope, "a document is nested too deeply");
        return None;
    }
    let instance = |scope: &mut v8::PinScope<'s, '_>, kind, payload: v8::Local<'s, v8::Value>| {
        v8::Local::<v8::Value>::from(brand::new_instance(scope, state, kind, payload))
    };
    let plain: v8::Local<v8::Value> = match value {
        RawBsonRef::Double(value) => return Some(double(scope, value)),
        RawBsonRef::Int64(value) => return Some(long(scope, state, value)),
        RawBsonRef::Int32(value) => v8::Integer::new(scope, value).into(),
        RawBsonRef::String(value) | RawBsonRef::Symbol(value) => {
            match v8::String::new_from_utf8(scope, value.as_bytes(), v8::NewStringType::Normal) {
                Some(value) => value.into(),
                None => {
                    throw_range_error(scope, "Invalid string length");
                    return None;
                }
            }
        }
        RawBsonRef::Boolean(value) => v8::Boolean::new(scope, value).into(),
        RawBsonRef::Null => v8::null(scope).into(),
        RawBsonRef::Undefined => v8::undefined(scope).into(),
        RawBsonRef::Document(document) => decode_document(scope, state, document, depth + 1)?.into(),
        RawBsonRef::Array(array) => {
            let mut elements = Vec::new();
            let mut notes = Vec::new();
            for element in array {
                let element = checked(scope, element)?;
                let (element, note) = decode_value(scope, state, element, depth + 1)?;
                if let Some(note) = note {
                    notes.push((elements.len(), note));
                }
                elements.push(element);
            }
            let array = v8::Array::new_with_elements(scope, &elements);
            for (index, note) in notes {
                let index = v8::Integer::new_from_unsigned(scope, u32::try_from(index).ok()?);
                note_type(scope, state, array.into(), index.into(), note);
            }
            array.into()
        }
        #[expect(clippy::cast_precision_loss, reason = "what a double cannot hold is no date in JavaScript either")]
        RawBsonRef::DateTime(time) => v8::Date::new(scope, time.timestamp_millis() as f64)?.into(),
        RawBsonRef::ObjectId(id) => {
            let payload = text(scope, &id.to_hex()).into();
            instance(scope, kind::OBJECT_ID, payload)
        }
        RawBsonRef::Decimal128(value) => {
            let payload = text(scope, &value.to_string()).into();
            instance(scope, kind::DECIMAL128, payload)
        }
        RawBsonRef::Binary(value) => binary(scope, value.bytes, value.subtype.into())?.into(),
        RawBsonRef::RegularExpression(value) => {
            let parts = [text(scope, value.pattern.as_str()).into(), text(scope, value.options.as_str()).into()];
            let payload = v8::Array::new_with_elements(scope, &parts).into();
            instance(scope, kind::REGULAR_EXPRESSION, payload)
        }
        RawBsonRef::Timestamp(value) => {
            let parts = [
                v8::Integer::new_from_unsigned(scope, value.time).into(),
                v8::Integer::new_from_unsigned(scope, value.increment).into(),
            ];
            let payload = v8::Array::new_with_elements(scope, &parts).into();
            instance(scope, kind::TIMESTAMP, payload)
        }
        RawBsonRef::MinKey => {
            let payload = v8::null(scope).into();
            instance(scope, kind::MIN_KEY, payload)
        }
        RawBsonRef::MaxKey => {
            let payload = v8::null(scope).into();
            instance(scope, kind::MAX_KEY, payload)
        }
        RawBsonRef::JavaScriptCode(code) => {
            let parts = [text(scope, code).into(), v8::undefined(scope).into()];
            let payload = v8::Array::new_with_elements(scope, &parts).into();
            instance(scope, kind::CODE, payload)
        }
        RawBsonRef::JavaScriptCodeWithScope(code) => {
            let inner = decode_document(scope, state, code.scope, depth + 1)?;
            let parts = [text(scope, code.code).into(), inner.into()];
            let payload = v8::Array::new_with_elements(scope, &parts).into();
            instance(scope, kind::CODE, payload)
        }
        RawBsonRef::DbPointer(_) => v8::null(scope).into(),
    };
    Some((plain, None))
}

/// A 64-bit integer: a number with a note when it is safe, else a Long.
pub(crate) fn long<'s>(scope: &mut v8::PinScope<'s, '_>, state: &IsolateState, value: i64) -> Decoded<'s> {
    #[expect(clippy::cast_precision_loss, reason = "compared before it is used")]
    let number = value as f64;
    if number.abs() > SAFE_INTEGER_MAX {
        let payload = v8::BigInt::new_from_i64(scope, value).into();
        return (brand::new_instance(scope, state, kind::LONG, payload).into(), None);
    }
    // Larger ones are 64-bit by their value alone.
    let note = i32::try_from(value).is_ok().then(|| v8::BigInt::new_from_i64(scope, value).into());
    (v8::Number::new(scope, number).into(), note)
}

/// A double: a number, with a note when its value alone would make it an integer.
pub(crate) fn double<'s>(scope: &mut v8::PinScope<'s, '_>, value: f64) -> Decoded<'s> {
    let number: v8::Local<v8::Value> = v8::Number::new(scope, value).into();
    let whole = value.fract() == 0.0 && value.abs() <= SAFE_INTEGER_MAX;
    (number, whole.then_some(number))
}

/// A Binary of the current realm; `None` with a pending exception.
pub(crate) fn binary<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    bytes: &[u8],
    subtype: u8,
) -> Option<v8::Local<'s, v8::Object>> {
    let state = IsolateState::of(scope);
    let bytes = new_bytes(scope, bytes)?;
    let subtype = v8::Integer::new_from_unsigned(scope, u32::from(subtype));
    let payload = v8::Array::new_with_elements(scope, &[bytes.into(), subtype.into()]).into();
    Some(brand::new_instance(scope, &state, kind::BINARY, payload))
}

/// Notes the BSON type of the number at a place: a Number stands for a double, a BigInt for a 64-bit integer.
pub(crate) fn note_type<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &IsolateState,
    container: v8::Local<'s, v8::Object>,
    key: v8::Local<'s, v8::Value>,
    note: v8::Local<'s, v8::Value>,
) {
    let memory = match type_memory(scope, state, container) {
        Some(memory) => memory,
        None => {
            let null = v8::null(scope).into();
            let memory = v8::Object::with_prototype_and_properties(scope, null, &[], &[]);
            let private = v8::Local::new(scope, &state.privates.type_memory);
            container.set_private(scope, private, memory.into());
            memory
        }
    };
    memory.set(scope, key, note);
}

/// The notes of a container.
pub(crate) fn type_memory<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &IsolateState,
    container: v8::Local<'s, v8::Object>,
) -> Option<v8::Local<'s, v8::Object>> {
    let private = v8::Local::new(scope, &state.privates.type_memory);
    container.get_private(scope, private).and_then(|memory| memory.try_into().ok())
}
