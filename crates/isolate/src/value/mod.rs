//! JavaScript values to the outside: one walker, several sinks.
//!
//! The walker ([`walk`]) decides what a value *is* (function-environment 1.9, 2.7); a [`Sink`] decides how that is
//! written: BSON bytes, canonical or relaxed Extended JSON, the JSON column of http-surface 5.6, or a console line. The
//! walker keeps its own stack, so the depth of a value costs memory and never native stack.
//!
//! Walking may run user code (getters, proxies, `toBSON`, `toJSON`): bytes of buffers are copied out at once, every
//! array bound is read anew, and no V8 memory is held across a call. The console form alone never runs any.

pub(crate) mod bson;
pub(crate) mod ejson;

use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroI32;

use deno_core::v8;

use crate::ops::brand::{self, kind};
use crate::ops::{copy_bytes, text, throw_error, throw_range_error, throw_type_error};
use crate::realm;
use crate::state::{IsolateState, Run};
use crate::{ResultFormat, ReturnValue, RunError, RunErrorKind, failure};

/// Largest whole number that a double holds exactly.
const SAFE_INTEGER_MAX: f64 = 9_007_199_254_740_991.0;

/// Why a walk ended early.
pub(crate) enum Stop {
    /// With a pending exception, or a termination.
    Thrown,
    /// The output would exceed its bound.
    TooLarge,
    /// Promises inside the value have to settle first (function-environment 1.6).
    Unsettled(Vec<v8::Global<v8::Promise>>),
}

/// A value that has no members of its own kind to walk.
pub(crate) enum Leaf {
    Null,
    Undefined,
    Boolean(bool),
    Int32(i32),
    Int64(i64),
    Double(f64),
    String(String),
    /// Milliseconds since the epoch.
    Date(i64),
    ObjectId([u8; 12]),
    Decimal128(String),
    Binary {
        subtype: u8,
        bytes: Vec<u8>,
    },
    Regex {
        pattern: String,
        options: String,
    },
    Timestamp {
        time: u32,
        increment: u32,
    },
    MinKey,
    MaxKey,
    Symbol(String),
    /// JavaScript code without a scope.
    Code(String),
    /// Only for sinks whose [`Sink::PRINTS`] is set: text that stands for something not walked.
    Note(String),
}

/// Where a container stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Document,
    Array,
}

/// What a walk is written to.
pub(crate) trait Sink {
    /// Containers inside each other.
    const DEPTH_MAX: usize;
    /// True for the console: no user code is run and nothing is an error.
    const PRINTS: bool = false;
    /// Whether `toJSON` of class instances applies (results do, database arguments do not).
    const TO_JSON: bool;
    /// Whether an undefined field is left out.
    const DROPS_UNDEFINED: bool = false;
    /// Whether promises and cursors inside the value are waited for.
    const SETTLES: bool = false;
    /// Whether arguments of service calls are being written: an undefined field of the outermost object is left out.
    const DROPS_OUTER_UNDEFINED: bool = false;

    /// A field of the innermost document begins; arrays have no keys. `first` is true for the first member of a container.
    fn key(&mut self, key: &str, depth: usize) -> Result<(), Fault>;
    fn leaf(&mut self, scope: &mut v8::PinScope, leaf: Leaf) -> Result<(), Fault>;
    fn open(&mut self, shape: Shape) -> Result<(), Fault>;
    fn close(&mut self, shape: Shape) -> Result<(), Fault>;
}

/// A sink's refusal.
pub(crate) enum Fault {
    TooLarge,
    /// Becomes an `Error` with this text.
    Invalid(String),
}

/// What the walker found a value to be.
enum Item<'s> {
    Leaf(Leaf),
    Container(v8::Local<'s, v8::Object>, Shape),
    /// Fields written by the walker itself, such as those of a DBRef.
    Fields(Vec<(&'static str, v8::Local<'s, v8::Value>)>, v8::Local<'s, v8::Value>),
    /// Functions and symbols: dropped as a field, null in an array.
    Nothing,
}

struct Frame<'s> {
    shape: Shape,
    source: Source<'s>,
    index: u32,
    /// Noted number types of the container's members (function-environment 1.10).
    memory: Option<v8::Local<'s, v8::Object>>,
    /// The object, for the cycle check.
    object: Option<v8::Local<'s, v8::Object>>,
}

enum Source<'s> {
    Array(v8::Local<'s, v8::Object>),
    Object(v8::Local<'s, v8::Object>, v8::Local<'s, v8::Array>),
    Fields(Vec<(&'static str, v8::Local<'s, v8::Value>)>, v8::Local<'s, v8::Value>),
}

/// Writes a value to a sink. An outermost function or symbol counts as undefined.
pub(crate) fn walk<S: Sink>(
    scope: &mut v8::PinScope<'_, '_>,
    value: v8::Local<'_, v8::Value>,
    sink: &mut S,
) -> Result<(), Stop> {
    v8::scope!(let scope, scope);
    let value = v8::Local::new(scope, value);
    let mut walker = Walker {
        state: IsolateState::of(scope),
        plain_prototype: v8::Object::new(scope).get_prototype(scope),
        on_path: HashMap::new(),
        frames: Vec::new(),
        unsettled: RefCell::default(),
    };
    let item = walker.classify::<S>(scope, value, None)?;
    walker.begin(scope, item, sink)?;
    while !walker.frames.is_empty() {
        walker.step(scope, sink)?;
    }
    let unsettled = walker.unsettled.into_inner();
    if unsettled.is_empty() { Ok(()) } else { Err(Stop::Unsettled(unsettled)) }
}

struct Walker<'s> {
    state: std::rc::Rc<IsolateState>,
    /// `Object.prototype` of the realm: objects with it, or without any, are plain.
    plain_prototype: Option<v8::Local<'s, v8::Value>>,
    on_path: HashMap<NonZeroI32, Vec<v8::Local<'s, v8::Object>>>,
    frames: Vec<Frame<'s>>,
    /// Promises met that have no value yet; null stands for them, and the output is not used.
    unsettled: RefCell<Vec<v8::Global<v8::Promise>>>,
}

/// What is left to do after a look at the next member.
enum Stepped<'s> {
    /// Nothing: it was a leaf, or is left out.
    Written,
    Open(v8::Local<'s, v8::Object>, Shape),
    OpenFields(Vec<&'static str>, v8::Local<'s, v8::Array>),
    /// The members of another object follow in the same container.
    Continue(v8::Local<'s, v8::Object>, v8::Local<'s, v8::Array>),
    End,
}

impl<'s> Walker<'s> {
    /// Starts writing an item: leaves are written, containers opened and put on the stack.
    fn begin<S: Sink>(&mut self, scope: &mut v8::PinScope<'s, '_>, item: Item<'s>, sink: &mut S) -> Result<(), Stop> {
        let (shape, source, object) = match item {
            Item::Leaf(leaf) => {
                let written = sink.leaf(scope, leaf);
                return check(scope, written);
            }
            Item::Nothing => {
                let written = sink.leaf(scope, Leaf::Undefined);
                return check(scope, written);
            }
            Item::Fields(fields, more) => (Shape::Document, Source::Fields(fields, more), None),
            Item::Container(object, shape) => {
                if !self.enter(object) {
                    if S::PRINTS {
                        let written = sink.leaf(scope, Leaf::Note("[Circular]".to_owned()));
                        return check(scope, written);
                    }
                    throw_type_error(scope, "cannot convert a value that contains itself");
                    return Err(Stop::Thrown);
                }
                let source = match shape {
                    Shape::Array => Source::Array(object),
                    Shape::Document => Source::Object(object, own_keys(scope, object).ok_or(Stop::Thrown)?),
                };
                (shape, source, Some(object))
            }
        };
        if self.frames.len() >= S::DEPTH_MAX {
            if let Some(object) = object {
                self.leave(object);
            }
            if S::PRINTS {
                let written = sink.leaf(scope, Leaf::Note("[Object]".to_owned()));
                return check(scope, written);
            }
            throw_range_error(scope, &format!("a value is nested more than {} levels deep", S::DEPTH_MAX));
            return Err(Stop::Thrown);
        }
        let opened = sink.open(shape);
        check(scope, opened)?;
        let memory = object.and_then(|object| bson::type_memory(scope, &self.state, object));
        self.frames.push(Frame { shape, source, index: 0, memory, object });
        Ok(())
    }

    /// Writes the next member of the innermost container, or closes it.
    fn step<S: Sink>(&mut self, scope: &mut v8::PinScope<'s, '_>, sink: &mut S) -> Result<(), Stop> {
        match self.member::<S>(scope, sink)? {
            Stepped::Written => Ok(()),
            Stepped::Open(object, shape) => self.begin(scope, Item::Container(object, shape), sink),
            Stepped::OpenFields(names, values) => self.begin_fields(scope, &names, values, sink),
            Stepped::Continue(object, keys) => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.source = Source::Object(object, keys);
                    frame.index = 0;
                }
                Ok(())
            }
            Stepped::End => {
                let Some(frame) = self.frames.pop() else { return Ok(()) };
                if let Some(object) = frame.object {
                    self.leave(object);
                }
                let closed = sink.close(frame.shape);
                check(scope, closed)
            }
        }
    }

    /// Looks at the next member of the innermost container and writes it when it is a leaf.
    fn member<S: Sink>(&mut self, scope: &mut v8::PinScope<'s, '_>, sink: &mut S) -> Result<Stepped<'s>, Stop> {
        let depth = self.frames.len();
        let Some(frame) = self.frames.last_mut() else { return Ok(Stepped::End) };
        let index = frame.index;
        frame.index += 1;
        let frame = &*frame;
        let (shape, memory) = (frame.shape, frame.memory);
        // Handles made for one leaf die with it; only containers get out.
        v8::escapable_handle_scope!(let inner, scope);
        let mut key = String::new();
        let mut key_value: Option<v8::Local<v8::Value>> = None;
        let member = match &frame.source {
            Source::Array(array) => {
                let length = v8::Local::<v8::Array>::try_from(*array).map_or(0, |array| array.length());
                if index >= length {
                    return Ok(Stepped::End);
                }
                if S::PRINTS {
                    let name = text(inner, &index.to_string());
                    data_property(inner, *array, name.into()).unwrap_or_else(|| v8::undefined(inner).into())
                } else {
                    array.get_index(inner, index).ok_or(Stop::Thrown)?
                }
            }
            Source::Object(object, keys) => {
                if index >= keys.length() {
                    return Ok(Stepped::End);
                }
                let name = keys.get_index(inner, index).ok_or(Stop::Thrown)?;
                key = name.to_rust_string_lossy(inner);
                key_value = Some(name);
                if S::PRINTS {
                    // Accessors are left out: reading them would run user code.
                    let Some(value) = data_property(inner, *object, name) else { return Ok(Stepped::Written) };
                    value
                } else {
                    object.get(inner, name).ok_or(Stop::Thrown)?
                }
            }
            Source::Fields(fields, more) => match fields.get(index as usize) {
                Some((name, value)) => {
                    key = (*name).to_owned();
                    v8::Local::new(inner, *value)
                }
                None => {
                    // The remaining members of a DBRef follow its own fields.
                    let Ok(object) = v8::Local::<v8::Object>::try_from(*more) else { return Ok(Stepped::End) };
                    let keys = own_keys(inner, object).ok_or(Stop::Thrown)?;
                    let keys = inner.escape(keys);
                    return Ok(Stepped::Continue(object, keys));
                }
            },
        };
        let noted = match memory {
            Some(memory) if member.is_number() => {
                let key = match key_value {
                    Some(key) => key,
                    None => v8::Integer::new_from_unsigned(inner, index).into(),
                };
                memory.get(inner, key)
            }
            _ => None,
        };
        let item = self.classify::<S>(inner, member, noted)?;
        if shape == Shape::Document {
            match &item {
                Item::Nothing => return Ok(Stepped::Written),
                Item::Leaf(Leaf::Undefined) if S::DROPS_UNDEFINED || (S::DROPS_OUTER_UNDEFINED && depth == 1) => {
                    return Ok(Stepped::Written);
                }
                _ => {}
            }
            let written = sink.key(&key, depth);
            check(inner, written)?;
        }
        let leaf = match item {
            Item::Nothing => Leaf::Null,
            Item::Leaf(leaf) => leaf,
            Item::Container(object, shape) => return Ok(Stepped::Open(inner.escape(object), shape)),
            Item::Fields(fields, more) => {
                // Several handles have to get out, so they travel in an array.
                let mut values: Vec<v8::Local<v8::Value>> = fields.iter().map(|(_, value)| *value).collect();
                values.push(more);
                let array = v8::Array::new_with_elements(inner, &values);
                let names = fields.iter().map(|(name, _)| *name).collect();
                return Ok(Stepped::OpenFields(names, inner.escape(array)));
            }
        };
        let written = sink.leaf(inner, leaf);
        check(inner, written)?;
        Ok(Stepped::Written)
    }

    fn begin_fields<S: Sink>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        names: &[&'static str],
        values: v8::Local<'s, v8::Array>,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let mut fields = Vec::with_capacity(names.len());
        for (index, name) in (0..).zip(names) {
            fields.push((*name, values.get_index(scope, index).ok_or(Stop::Thrown)?));
        }
        let more = values.get_index(scope, values.length() - 1).ok_or(Stop::Thrown)?;
        self.begin(scope, Item::Fields(fields, more), sink)
    }

    /// Notes that the walk is inside an object. False when it already is.
    fn enter(&mut self, object: v8::Local<'s, v8::Object>) -> bool {
        let same_hash = self.on_path.entry(object.get_identity_hash()).or_default();
        if same_hash.contains(&object) {
            return false;
        }
        same_hash.push(object);
        true
    }

    fn leave(&mut self, object: v8::Local<'s, v8::Object>) {
        let hash = object.get_identity_hash();
        if let Some(same_hash) = self.on_path.get_mut(&hash) {
            same_hash.retain(|other| *other != object);
            if same_hash.is_empty() {
                self.on_path.remove(&hash);
            }
        }
    }

    /// What a value is. `noted` is what type memory holds for its place.
    fn classify<'a, S: Sink>(
        &self,
        scope: &mut v8::PinScope<'a, '_>,
        value: v8::Local<'a, v8::Value>,
        noted: Option<v8::Local<'a, v8::Value>>,
    ) -> Result<Item<'a>, Stop> {
        let mut value = value;
        // A promise gives its result, `toBSON` and `toJSON` their value; each at most a few times.
        let mut converted = false;
        for _ in 0..64 {
            if let Some(leaf) = primitive(scope, value, noted)? {
                return Ok(leaf);
            }
            let Ok(object) = v8::Local::<v8::Object>::try_from(value) else { return Ok(Item::Nothing) };
            let kind = brand::kind_of(scope, &self.state, value);
            if kind != 0 {
                match self.branded::<S>(scope, object, kind)? {
                    Branded::Item(item) => return Ok(item),
                    Branded::Value(inside) => {
                        value = inside;
                        continue;
                    }
                }
            }
            if value.is_function() {
                if S::PRINTS {
                    let name = v8::Local::<v8::Function>::try_from(value).map_or_else(
                        |_| String::new(),
                        |function| function.get_name(scope).to_rust_string_lossy(scope),
                    );
                    return Ok(Item::Leaf(Leaf::Note(format!("[Function: {name}]"))));
                }
                return Ok(Item::Nothing);
            }
            if let Ok(promise) = v8::Local::<v8::Promise>::try_from(value) {
                if promise.state() == v8::PromiseState::Fulfilled && !S::PRINTS {
                    value = promise.result(scope);
                    continue;
                }
                if S::SETTLES {
                    self.unsettled.borrow_mut().push(v8::Global::new(scope, promise));
                    return Ok(Item::Leaf(Leaf::Null));
                }
                return Ok(Item::Container(object, Shape::Document));
            }
            if value.is_array() {
                return Ok(Item::Container(object, Shape::Array));
            }
            if let Ok(date) = v8::Local::<v8::Date>::try_from(value) {
                let time = date.value_of();
                #[expect(clippy::cast_possible_truncation, reason = "a date is within 8.64e15 milliseconds")]
                let leaf = if time.is_finite() { Leaf::Date(time as i64) } else { Leaf::Null };
                return Ok(Item::Leaf(leaf));
            }
            if let Ok(expression) = v8::Local::<v8::RegExp>::try_from(value) {
                return self.regular_expression(scope, expression);
            }
            if let Some(bytes) = copy_bytes(value) {
                return Ok(Item::Leaf(Leaf::Binary { subtype: 0, bytes }));
            }
            if S::PRINTS {
                if value.is_proxy() {
                    return Ok(Item::Leaf(Leaf::Note("{}".to_owned())));
                }
                if value.is_native_error() {
                    let text =
                        value.to_detail_string(scope).map_or_else(String::new, |text| text.to_rust_string_lossy(scope));
                    return Ok(Item::Leaf(Leaf::String(text)));
                }
                return Ok(Item::Container(object, Shape::Document));
            }
            if value.is_number_object() {
                value = value.to_number(scope).ok_or(Stop::Thrown)?.into();
                continue;
            }
            if value.is_string_object() {
                value = value.to_string(scope).ok_or(Stop::Thrown)?.into();
                continue;
            }
            if value.is_boolean_object() {
                // Its `valueOf` tells; every object is true as a condition.
                let inside = value.to_number(scope).ok_or(Stop::Thrown)?.value() != 0.0;
                return Ok(Item::Leaf(Leaf::Boolean(inside)));
            }
            if !converted && let Some(inside) = self.conversion::<S>(scope, object)? {
                converted = true;
                value = inside;
                continue;
            }
            if S::PRINTS || !value.is_map() || S::TO_JSON {
                return Ok(Item::Container(object, Shape::Document));
            }
            // A Map with string keys is a document in arguments of database calls.
            let map = v8::Local::<v8::Map>::try_from(value).map_err(|_| Stop::Thrown)?;
            let entries = map.as_array(scope);
            let document = v8::Object::new(scope);
            for index in (0..entries.length()).step_by(2) {
                let (Some(key), Some(member)) = (entries.get_index(scope, index), entries.get_index(scope, index + 1))
                else {
                    return Err(Stop::Thrown);
                };
                if let Ok(key) = v8::Local::<v8::Name>::try_from(key)
                    && key.is_string()
                {
                    document.create_data_property(scope, key, member);
                }
            }
            return Ok(Item::Container(document, Shape::Document));
        }
        throw_type_error(scope, "a value never stops converting to other values");
        Err(Stop::Thrown)
    }

    /// What `toBSON`, or `toJSON` of a class, gives. The outer `None`: neither applies.
    fn conversion<'a, S: Sink>(
        &self,
        scope: &mut v8::PinScope<'a, '_>,
        object: v8::Local<'a, v8::Object>,
    ) -> Result<Option<v8::Local<'a, v8::Value>>, Stop> {
        let prototype = object.get_prototype(scope);
        let plain = match (prototype, self.plain_prototype) {
            (Some(prototype), Some(plain)) => prototype.is_null() || prototype == plain,
            _ => true,
        };
        let key = text(scope, "toBSON");
        let method = object.get(scope, key.into()).ok_or(Stop::Thrown)?;
        if let Ok(method) = v8::Local::<v8::Function>::try_from(method) {
            return method.call(scope, object.into(), &[]).map(Some).ok_or(Stop::Thrown);
        }
        if plain || !S::TO_JSON || object.is_native_error() {
            return Ok(None);
        }
        let key = text(scope, "toJSON");
        if object.has_own_property(scope, key.into()).ok_or(Stop::Thrown)? {
            return Ok(None);
        }
        let method = object.get(scope, key.into()).ok_or(Stop::Thrown)?;
        match v8::Local::<v8::Function>::try_from(method) {
            Ok(method) => {
                let empty = v8::String::empty(scope).into();
                method.call(scope, object.into(), &[empty]).map(Some).ok_or(Stop::Thrown)
            }
            Err(_) => Ok(None),
        }
    }

    fn regular_expression<'a>(
        &self,
        scope: &mut v8::PinScope<'a, '_>,
        expression: v8::Local<'a, v8::RegExp>,
    ) -> Result<Item<'a>, Stop> {
        let pattern = expression.get_source(scope).to_rust_string_lossy(scope);
        let mut options = String::new();
        if let Some(flags) = realm::entry(scope, "regExpOptions") {
            let receiver = v8::undefined(scope).into();
            options =
                flags.call(scope, receiver, &[expression.into()]).ok_or(Stop::Thrown)?.to_rust_string_lossy(scope);
        }
        Ok(Item::Leaf(Leaf::Regex { pattern, options }))
    }

    fn branded<'a, S: Sink>(
        &self,
        scope: &mut v8::PinScope<'a, '_>,
        object: v8::Local<'a, v8::Object>,
        kind: u32,
    ) -> Result<Branded<'a>, Stop> {
        let payload = brand::payload_of(scope, &self.state, object);
        let leaf = match kind {
            kind::OBJECT_ID => {
                let hex = payload.to_rust_string_lossy(scope);
                match hex.parse::<::bson::oid::ObjectId>() {
                    Ok(id) => Leaf::ObjectId(id.bytes()),
                    Err(_) => Leaf::Null,
                }
            }
            kind::INT32 => Leaf::Int32(payload.int32_value(scope).unwrap_or(0)),
            kind::LONG => {
                Leaf::Int64(v8::Local::<v8::BigInt>::try_from(payload).map_or(0, |value| value.i64_value().0))
            }
            kind::DOUBLE => Leaf::Double(payload.try_cast::<v8::Number>().map_or(f64::NAN, |value| value.value())),
            kind::DECIMAL128 => Leaf::Decimal128(payload.to_rust_string_lossy(scope)),
            kind::BINARY => {
                let bytes = element(scope, payload, 0).and_then(copy_bytes).unwrap_or_default();
                let subtype = element(scope, payload, 1).and_then(|subtype| subtype.uint32_value(scope)).unwrap_or(0);
                Leaf::Binary { subtype: u8::try_from(subtype).unwrap_or(0), bytes }
            }
            kind::REGULAR_EXPRESSION => {
                Leaf::Regex { pattern: element_text(scope, payload, 0), options: element_text(scope, payload, 1) }
            }
            kind::TIMESTAMP => Leaf::Timestamp {
                time: element(scope, payload, 0).and_then(|value| value.uint32_value(scope)).unwrap_or(0),
                increment: element(scope, payload, 1).and_then(|value| value.uint32_value(scope)).unwrap_or(0),
            },
            kind::MIN_KEY => Leaf::MinKey,
            kind::MAX_KEY => Leaf::MaxKey,
            kind::SYMBOL => Leaf::Symbol(payload.to_rust_string_lossy(scope)),
            kind::DB_REF => {
                let mut fields = Vec::new();
                for (name, index) in [("$ref", 0), ("$id", 1), ("$db", 2)] {
                    if let Some(value) = element(scope, payload, index).filter(|value| !value.is_undefined()) {
                        fields.push((name, value));
                    }
                }
                let more = element(scope, payload, 3).unwrap_or_else(|| v8::undefined(scope).into());
                return Ok(Branded::Item(Item::Fields(fields, more)));
            }
            kind::CODE => {
                match (element(scope, payload, 0), element(scope, payload, 1).filter(|inner| inner.is_object())) {
                    (Some(code), Some(inner)) => {
                        let more = v8::undefined(scope).into();
                        return Ok(Branded::Item(Item::Fields(vec![("$code", code), ("$scope", inner)], more)));
                    }
                    _ => Leaf::Code(element_text(scope, payload, 0)),
                }
            }
            kind::CURSOR if S::SETTLES => {
                let documents = crate::run::materialize(scope, object).ok_or(Stop::Thrown)?;
                return Ok(Branded::Value(documents.into()));
            }
            kind::RESPONSE => Leaf::Undefined,
            _ => return Ok(Branded::Item(Item::Container(object, Shape::Document))),
        };
        Ok(Branded::Item(Item::Leaf(leaf)))
    }
}

enum Branded<'s> {
    Item(Item<'s>),
    Value(v8::Local<'s, v8::Value>),
}

fn check(scope: &mut v8::PinScope, written: Result<(), Fault>) -> Result<(), Stop> {
    match written {
        Ok(()) => Ok(()),
        Err(Fault::TooLarge) => Err(Stop::TooLarge),
        Err(Fault::Invalid(message)) => {
            throw_error(scope, &message);
            Err(Stop::Thrown)
        }
    }
}

fn element<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    payload: v8::Local<'s, v8::Value>,
    index: u32,
) -> Option<v8::Local<'s, v8::Value>> {
    v8::Local::<v8::Object>::try_from(payload).ok()?.get_index(scope, index)
}

fn element_text<'s>(scope: &mut v8::PinScope<'s, '_>, payload: v8::Local<'s, v8::Value>, index: u32) -> String {
    element(scope, payload, index).map_or_else(String::new, |value| value.to_rust_string_lossy(scope))
}

/// The leaf a primitive is; `None` for objects, functions and symbols.
fn primitive<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    noted: Option<v8::Local<'s, v8::Value>>,
) -> Result<Option<Item<'s>>, Stop> {
    let leaf = if let Ok(value) = v8::Local::<v8::String>::try_from(value) {
        Leaf::String(value.to_rust_string_lossy(scope))
    } else if let Ok(number) = v8::Local::<v8::Number>::try_from(value) {
        number_leaf(number.value(), noted)
    } else if value.is_boolean() {
        Leaf::Boolean(value.is_true())
    } else if value.is_null() {
        Leaf::Null
    } else if value.is_undefined() {
        Leaf::Undefined
    } else if let Ok(big) = v8::Local::<v8::BigInt>::try_from(value) {
        match big.i64_value() {
            (value, true) => Leaf::Int64(value),
            (_, false) => {
                throw_range_error(scope, "a BigInt does not fit into 64 bits");
                return Err(Stop::Thrown);
            }
        }
    } else if value.is_symbol() {
        return Ok(Some(Item::Nothing));
    } else {
        return Ok(None);
    };
    Ok(Some(Item::Leaf(leaf)))
}

/// BSON type of a number: what type memory noted for the identical number, else by its value (function-environment
/// 1.9, 1.10).
fn number_leaf(number: f64, noted: Option<v8::Local<v8::Value>>) -> Leaf {
    if let Some(noted) = noted {
        if let Ok(double) = v8::Local::<v8::Number>::try_from(noted)
            && double.value() == number
        {
            return Leaf::Double(number);
        }
        #[expect(clippy::cast_precision_loss, reason = "only integers in the safe range are noted")]
        if let Ok(long) = v8::Local::<v8::BigInt>::try_from(noted)
            && let (long, true) = long.i64_value()
            && long as f64 == number
        {
            return Leaf::Int64(long);
        }
    }
    let negative_zero = number == 0.0 && number.is_sign_negative();
    if number.fract() != 0.0 || !number.is_finite() || number.abs() > SAFE_INTEGER_MAX || negative_zero {
        return Leaf::Double(number);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a whole number in the safe range")]
    let whole = number as i64;
    i32::try_from(whole).map_or(Leaf::Int64(whole), Leaf::Int32)
}

/// Own enumerable string keys, integer-like ones first as JavaScript orders them. Runs traps of proxies.
fn own_keys<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'s, v8::Object>,
) -> Option<v8::Local<'s, v8::Array>> {
    let arguments = v8::GetPropertyNamesArgsBuilder::new()
        .mode(v8::KeyCollectionMode::OwnOnly)
        .property_filter(v8::PropertyFilter::ONLY_ENUMERABLE | v8::PropertyFilter::SKIP_SYMBOLS)
        .index_filter(v8::IndexFilter::IncludeIndices)
        .key_conversion(v8::KeyConversionMode::ConvertToString)
        .build();
    object.get_own_property_names(scope, arguments)
}

/// Value of an own data property; `None` for accessors and what is not there. Runs no user code on ordinary objects.
fn data_property<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'s, v8::Object>,
    key: v8::Local<'s, v8::Value>,
) -> Option<v8::Local<'s, v8::Value>> {
    let name = v8::Local::<v8::Name>::try_from(key).ok()?;
    let descriptor = object.get_own_property_descriptor(scope, name)?;
    let descriptor = v8::Local::<v8::Object>::try_from(descriptor).ok()?;
    let key = text(scope, "value");
    // Own only: `Object.prototype.value` may be a getter of the user.
    if descriptor.has_own_property(scope, key.into())? { descriptor.get(scope, key.into()) } else { None }
}

/// Whether promises are looked for inside the object: arrays and ordinary objects, nothing with a meaning of its own.
pub(crate) fn is_plain_container(scope: &mut v8::PinScope, object: v8::Local<v8::Object>) -> bool {
    if object.is_array() {
        return true;
    }
    if object.is_proxy()
        || object.is_function()
        || object.is_promise()
        || object.is_date()
        || object.is_reg_exp()
        || object.is_native_error()
        || object.is_array_buffer()
        || object.is_array_buffer_view()
        || object.is_map()
        || object.is_set()
        || object.is_weak_map()
        || object.is_weak_set()
    {
        return false;
    }
    // Class instances that convert themselves are theirs to judge.
    let plain = v8::Object::new(scope).get_prototype(scope);
    match object.get_prototype(scope) {
        Some(prototype) if prototype.is_null() || Some(prototype) == plain => true,
        Some(_) => !["toBSON", "toJSON"].iter().any(|name| {
            let key = text(scope, name);
            object.has(scope, key.into()) == Some(true)
        }),
        None => false,
    }
}

/// Calls `each` with every own enumerable data member of a container. Getters are not run. `None` with a pending
/// exception.
pub(crate) fn members<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'s, v8::Object>,
    mut each: impl FnMut(v8::Local<'s, v8::Value>),
) -> Option<()> {
    let keys = own_keys(scope, object)?;
    for index in 0..keys.length() {
        let key = keys.get_index(scope, index)?;
        if let Some(value) = data_property(scope, object, key) {
            each(value);
        }
    }
    Some(())
}

/// A return value that is not ready.
pub(crate) enum NotReady {
    /// These have to settle first.
    Unsettled(Vec<v8::Global<v8::Promise>>),
    Failed(RunError),
}

/// The return value of a run in the asked format.
pub(crate) fn return_value(
    scope: &mut v8::PinScope,
    run: &Run,
    value: v8::Local<v8::Value>,
    format: ResultFormat,
) -> Result<ReturnValue, NotReady> {
    v8::tc_scope!(let scope, scope);
    let state = IsolateState::of(scope);
    if value.is_undefined() || value.is_symbol() || brand::kind_of(scope, &state, value) == kind::RESPONSE {
        return Ok(ReturnValue::Undefined);
    }
    if value.is_function() && brand::kind_of(scope, &state, value) == 0 {
        return Ok(ReturnValue::Undefined);
    }
    let bytes_max = run.limits().result_bytes_max;
    let written = match format {
        ResultFormat::CanonicalEjson => ejson::canonical_settled(scope, value, bytes_max),
        ResultFormat::Json => ejson::json_settled(scope, value, bytes_max),
    };
    match written {
        Ok(serialized) => match v8::Local::<v8::String>::try_from(value) {
            Ok(string) => {
                Ok(ReturnValue::String { text: string.to_rust_string_lossy(scope), serialized: serialized.into() })
            }
            Err(_) => Ok(ReturnValue::Other(serialized.into())),
        },
        Err(Stop::Unsettled(promises)) => Err(NotReady::Unsettled(promises)),
        Err(Stop::TooLarge) => Err(NotReady::Failed(failure::stopped(RunErrorKind::ResultTooLarge, run.limits()))),
        Err(Stop::Thrown) => {
            let exception = scope.exception().unwrap_or_else(|| v8::undefined(scope).into());
            if scope.has_terminated() {
                scope.terminate_execution();
                return Err(NotReady::Failed(failure::stopped(RunErrorKind::Crashed, run.limits())));
            }
            scope.reset();
            let error = failure::thrown(scope, run, exception);
            Err(NotReady::Failed(RunError { kind: RunErrorKind::NotSerializable, ..error }))
        }
    }
}

/// Text of a value that `setBody` is given and that is neither text nor bytes, or of a thrown object: as the run's
/// result format has it. `None` with a pending exception or a stopped run.
pub(crate) fn result_text(scope: &mut v8::PinScope, run: &Run, value: v8::Local<v8::Value>) -> Option<String> {
    use crate::ResultPolicy::{Always, Discard, UnlessBodySet, UnlessTouched};
    let bytes_max = run.limits().result_bytes_max;
    let written = match run.invocation.result {
        UnlessTouched(ResultFormat::Json) | UnlessBodySet(ResultFormat::Json) | Always(ResultFormat::Json) => {
            ejson::json(scope, value, bytes_max)
        }
        Discard | UnlessTouched(_) | UnlessBodySet(_) | Always(_) => ejson::canonical(scope, value, bytes_max),
    };
    match written {
        Ok(bytes) => String::from_utf8(bytes).ok(),
        Err(Stop::Thrown | Stop::Unsettled(_)) => None,
        Err(Stop::TooLarge) => {
            run.slot.stop(RunErrorKind::ResultTooLarge);
            None
        }
    }
}
