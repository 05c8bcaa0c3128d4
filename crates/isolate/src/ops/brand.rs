//! Brands: what an object is, noted where user code can neither see nor forge it.

use deno_core::v8;

use super::{Native, natives, throw_type_error};
use crate::realm;
use crate::state::IsolateState;

/// Kinds that Rust knows; js/README.md lists all with their payloads.
pub(crate) mod kind {
    pub(crate) const OBJECT_ID: u32 = 1;
    pub(crate) const INT32: u32 = 2;
    pub(crate) const LONG: u32 = 3;
    pub(crate) const DOUBLE: u32 = 4;
    pub(crate) const DECIMAL128: u32 = 5;
    pub(crate) const BINARY: u32 = 6;
    pub(crate) const REGULAR_EXPRESSION: u32 = 7;
    pub(crate) const TIMESTAMP: u32 = 8;
    pub(crate) const MIN_KEY: u32 = 9;
    pub(crate) const MAX_KEY: u32 = 10;
    pub(crate) const DB_REF: u32 = 11;
    pub(crate) const CODE: u32 = 12;
    pub(crate) const SYMBOL: u32 = 13;
    pub(crate) const CURSOR: u32 = 20;
    pub(crate) const RESPONSE: u32 = 21;
}

/// The functions of this area.
pub(crate) fn natives() -> Vec<Native> {
    natives! {
        "brand" => brand,
        "kindOf" => kind_of_native,
        "payloadOf" => payload_of_native,
        "registerBsonKind" => register_bson_kind,
        "registerEntry" => register_entry,
        "newObjectId" => new_object_id,
        "decimal128" => decimal128,
        "reserveResizable" => reserve_resizable,
    }
}

/// Kind of a value; 0 when it has none.
pub(crate) fn kind_of(scope: &mut v8::PinScope, state: &IsolateState, value: v8::Local<v8::Value>) -> u32 {
    let Ok(object) = v8::Local::<v8::Object>::try_from(value) else { return 0 };
    let key = v8::Local::new(scope, &state.privates.kind);
    object.get_private(scope, key).and_then(|kind| kind.try_cast::<v8::Uint32>().ok()).map_or(0, |kind| kind.value())
}

/// Payload of a branded object; `undefined` when it has none.
pub(crate) fn payload_of<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &IsolateState,
    object: v8::Local<'_, v8::Object>,
) -> v8::Local<'s, v8::Value> {
    let key = v8::Local::new(scope, &state.privates.payload);
    object.get_private(scope, key).unwrap_or_else(|| v8::undefined(scope).into())
}

/// Brands an object.
pub(crate) fn set_brand(
    scope: &mut v8::PinScope,
    state: &IsolateState,
    object: v8::Local<v8::Object>,
    kind: u32,
    payload: v8::Local<v8::Value>,
) {
    let key = v8::Local::new(scope, &state.privates.kind);
    let kind = v8::Integer::new_from_unsigned(scope, kind).into();
    object.set_private(scope, key, kind);
    let key = v8::Local::new(scope, &state.privates.payload);
    object.set_private(scope, key, payload);
}

/// A new branded instance of the current realm.
pub(crate) fn new_instance<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &IsolateState,
    kind: u32,
    payload: v8::Local<v8::Value>,
) -> v8::Local<'s, v8::Object> {
    let object = realm::instance(scope, kind);
    set_brand(scope, state, object, kind, payload);
    object
}

/// `brand(object, kind, payload)`: brands and returns the object.
fn brand(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let (Ok(object), Some(kind)) =
        (v8::Local::<v8::Object>::try_from(arguments.get(0)), arguments.get(1).uint32_value(scope))
    else {
        return throw_type_error(scope, "brand: an object and a kind");
    };
    let state = IsolateState::of(scope);
    set_brand(scope, &state, object, kind, arguments.get(2));
    result.set(object.into());
}

/// `kindOf(value)`: its kind, or 0.
fn kind_of_native(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let state = IsolateState::of(scope);
    result.set_uint32(kind_of(scope, &state, arguments.get(0)));
}

/// `payloadOf(value)`: its payload, or undefined.
fn payload_of_native(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    if let Ok(object) = v8::Local::<v8::Object>::try_from(arguments.get(0)) {
        let state = IsolateState::of(scope);
        let payload = payload_of(scope, &state, object);
        result.set(payload);
    }
}

/// `registerBsonKind(kind, constructor)`: lets Rust make instances of the kind.
fn register_bson_kind(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, _result: v8::ReturnValue) {
    let (Some(kind), Ok(constructor)) =
        (arguments.get(0).uint32_value(scope), v8::Local::<v8::Function>::try_from(arguments.get(1)))
    else {
        return throw_type_error(scope, "registerBsonKind: a kind and a constructor");
    };
    if realm::set_kind(scope, kind, constructor).is_none() {
        throw_type_error(scope, "registerBsonKind: failed");
    }
}

/// `registerEntry(name, function)`: keeps a function that Rust calls.
fn register_entry(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, _result: v8::ReturnValue) {
    let name = arguments.get(0).to_rust_string_lossy(scope);
    realm::set_entry(scope, &name, arguments.get(1));
}

/// `newObjectId()`: 24 hex digits.
fn new_object_id(scope: &mut v8::PinScope, _arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    super::return_string(scope, &mut result, &bson::oid::ObjectId::new().to_hex());
}

/// `decimal128(text)`: the canonical text; throws on malformed text.
fn decimal128(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Some(text) = super::string_argument(scope, &arguments, 0) else { return };
    match parse_decimal128(&text) {
        Some(value) => super::return_string(scope, &mut result, &value.to_string()),
        None => super::throw_error(scope, &format!("{text:?} is not a decimal number")),
    }
}

/// A decimal number from its text. The library takes texts without a single digit for zero; they are none.
pub(crate) fn parse_decimal128(text: &str) -> Option<bson::Decimal128> {
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = number.strip_prefix('.').unwrap_or(number);
    let is_named = ["nan", "inf", "infinity"].iter().any(|name| number.eq_ignore_ascii_case(name));
    if !is_named && !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// `reserveResizable(bytes)`: counts a resizable buffer's largest size against the run's ArrayBuffer limit for the rest
/// of the run; throws a RangeError when it does not fit. V8 takes such memory from the system, not from our allocator.
fn reserve_resizable(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, _result: v8::ReturnValue) {
    let Some(run) = super::current_run(scope) else { return };
    let bytes = arguments.get(0).number_value(scope).unwrap_or(f64::INFINITY);
    let limit = run.limits().array_buffer_bytes_max;
    #[expect(clippy::cast_precision_loss, reason = "a limit")]
    let left = limit.saturating_sub(run.resizable_bytes.get()) as f64;
    if bytes.is_nan() || bytes > left {
        return super::throw_range_error(scope, "Array buffer allocation failed");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the limit")]
    run.resizable_bytes.set(run.resizable_bytes.get() + bytes.max(0.0) as usize);
}
