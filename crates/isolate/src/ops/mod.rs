//! Native functions of the prelude (`prelude.native`).
//!
//! One module per area. Each has a `natives()` that lists its functions under the names JavaScript uses:
//!
//! ```ignore
//! pub(crate) fn natives() -> Vec<Native> {
//!     natives! { "hexEncode" => hex_encode, "hexDecode" => hex_decode }
//! }
//! fn hex_encode(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
//!     let Some(bytes) = bytes_argument(scope, &arguments, 0) else { return };   // a TypeError is already pending
//!     return_string(scope, &mut result, &hex::encode(bytes));
//! }
//! ```
//!
//! A native runs in the realm of its caller, never panics on any argument, calls no user code unless its comment says
//! so, and copies bytes out before it does. The list is used twice: to install the functions while the snapshot is
//! made, and as external references of every isolate; `ops::all` is the only list.

pub(crate) mod brand;
pub(crate) mod console;
pub(crate) mod crypto;
pub(crate) mod encoding;
pub(crate) mod functions;
pub(crate) mod later;
pub(crate) mod process;
pub(crate) mod response;
pub(crate) mod services;
pub(crate) mod timers;
pub(crate) mod url;

use std::rc::Rc;
use std::sync::OnceLock;

use deno_core::v8;

use crate::state::{IsolateState, Run};

/// A native function and the name by which prelude scripts call it.
pub(crate) struct Native {
    pub(crate) name: &'static str,
    pub(crate) callback: v8::FunctionCallback,
}

/// `natives! { "name" => function, … }` as a `Vec<Native>`.
macro_rules! natives {
    ($($name:literal => $function:expr),* $(,)?) => {
        vec![$($crate::ops::Native { name: $name, callback: deno_core::v8::MapFnTo::map_fn_to($function) }),*]
    };
}
pub(crate) use natives;

/// Every native function, in one fixed order. Evaluated once: the addresses must be the same for the snapshot and for
/// every isolate made from it.
pub(crate) fn all() -> &'static [Native] {
    static ALL: OnceLock<Vec<Native>> = OnceLock::new();
    ALL.get_or_init(|| {
        [
            brand::natives(),
            console::natives(),
            crate::value::ejson::natives(),
            crypto::natives(),
            encoding::natives(),
            functions::natives(),
            later::natives(),
            process::natives(),
            response::natives(),
            services::natives(),
            timers::natives(),
            url::natives(),
        ]
        .into_iter()
        .flatten()
        .collect()
    })
}

/// The external references V8 needs to serialise and restore the functions of [`all`].
pub(crate) fn external_references() -> Vec<v8::ExternalReference> {
    let functions = all().iter().map(|native| v8::ExternalReference { function: native.callback });
    functions.chain([later::external_reference()]).collect()
}

/// Makes the `native` object with every function of [`all`], in the current context.
pub(crate) fn native_object<'s>(scope: &mut v8::PinScope<'s, '_>) -> v8::Local<'s, v8::Object> {
    let null = v8::null(scope).into();
    let object = v8::Object::with_prototype_and_properties(scope, null, &[], &[]);
    for native in all() {
        let name = text(scope, native.name);
        let function = v8::Function::builder_raw(native.callback)
            .constructor_behavior(v8::ConstructorBehavior::Throw)
            .build(scope)
            .expect("no script runs here, so nothing can throw");
        function.set_name(name);
        object.create_data_property(scope, name.into(), function.into());
    }
    object
}

/// The run that has the isolate. Throws and gives `None` while the snapshot is made, when there is none.
pub(crate) fn current_run(scope: &mut v8::PinScope) -> Option<Rc<Run>> {
    let context = scope.get_current_context();
    let run = IsolateState::of(scope).run().filter(|run| run.context == context);
    if run.is_none() {
        throw_error(scope, "not available outside a run");
    }
    run
}

/// A V8 string. Empty when the text is longer than V8 allows (512 MB).
pub(crate) fn text<'s>(scope: &mut v8::PinScope<'s, '_>, value: &str) -> v8::Local<'s, v8::String> {
    v8::String::new(scope, value).unwrap_or_else(|| v8::String::empty(scope))
}

/// Throws a `TypeError` of the caller's realm.
pub(crate) fn throw_type_error(scope: &mut v8::PinScope, message: &str) {
    let message = text(scope, message);
    let error = v8::Exception::type_error(scope, message);
    scope.throw_exception(error);
}

/// Throws a `RangeError` of the caller's realm.
pub(crate) fn throw_range_error(scope: &mut v8::PinScope, message: &str) {
    let message = text(scope, message);
    let error = v8::Exception::range_error(scope, message);
    scope.throw_exception(error);
}

/// Throws an `Error` of the caller's realm.
pub(crate) fn throw_error(scope: &mut v8::PinScope, message: &str) {
    let message = text(scope, message);
    let error = v8::Exception::error(scope, message);
    scope.throw_exception(error);
}

/// Argument `index` as text, lone surrogates as U+FFFD; throws a `TypeError` and gives `None` unless it is a string
/// primitive.
pub(crate) fn string_argument(
    scope: &mut v8::PinScope,
    arguments: &v8::FunctionCallbackArguments,
    index: i32,
) -> Option<String> {
    match v8::Local::<v8::String>::try_from(arguments.get(index)) {
        Ok(value) => Some(value.to_rust_string_lossy(scope)),
        Err(_) => {
            throw_type_error(scope, &format!("argument {} must be a string", index + 1));
            None
        }
    }
}

/// A copy of the bytes of argument `index`, a typed array, DataView or ArrayBuffer; throws a `TypeError` otherwise.
pub(crate) fn bytes_argument(
    scope: &mut v8::PinScope,
    arguments: &v8::FunctionCallbackArguments,
    index: i32,
) -> Option<Vec<u8>> {
    let bytes = copy_bytes(arguments.get(index));
    if bytes.is_none() {
        throw_type_error(scope, &format!("argument {} must be bytes", index + 1));
    }
    bytes
}

/// A copy of the bytes of a typed array, DataView, ArrayBuffer or SharedArrayBuffer. A detached or shrunk buffer gives
/// what is left of it.
pub(crate) fn copy_bytes(value: v8::Local<v8::Value>) -> Option<Vec<u8>> {
    if let Ok(view) = v8::Local::<v8::ArrayBufferView>::try_from(value) {
        let mut bytes = vec![0; view.byte_length()];
        let copied = view.copy_contents(&mut bytes);
        bytes.truncate(copied);
        return Some(bytes);
    }
    if let Ok(buffer) = v8::Local::<v8::ArrayBuffer>::try_from(value) {
        let length = buffer.byte_length();
        let Some(data) = buffer.data() else { return Some(Vec::new()) };
        // SAFETY: the buffer's memory is `length` bytes long until JavaScript runs again, which it does not here.
        return Some(unsafe { std::slice::from_raw_parts(data.as_ptr().cast::<u8>(), length) }.to_vec());
    }
    None
}

/// Returns text to the caller.
pub(crate) fn return_string(scope: &mut v8::PinScope, result: &mut v8::ReturnValue, value: &str) {
    match v8::String::new(scope, value) {
        Some(value) => result.set(value.into()),
        None => throw_range_error(scope, "Invalid string length"),
    }
}

/// Returns bytes to the caller as a `Uint8Array` of the current realm, counted against the run's ArrayBuffer limit.
/// Throws a `RangeError` when they do not fit.
pub(crate) fn return_bytes(scope: &mut v8::PinScope, result: &mut v8::ReturnValue, bytes: &[u8]) {
    if let Some(array) = new_bytes(scope, bytes) {
        result.set(array.into());
    }
}

/// As [`return_bytes`], giving the array; `None` with a pending `RangeError`.
pub(crate) fn new_bytes<'s>(scope: &mut v8::PinScope<'s, '_>, bytes: &[u8]) -> Option<v8::Local<'s, v8::Uint8Array>> {
    // V8 ends the process when memory for a buffer that C++ asks for is refused, so it is asked for only when the
    // account has room; this thread is the only one that takes from it.
    let budget = IsolateState::of(scope).budget.clone();
    if !budget.has_room(bytes.len()) {
        scope.low_memory_notification();
        if !budget.has_room(bytes.len()) {
            throw_range_error(scope, "Array buffer allocation failed");
            return None;
        }
    }
    let buffer = v8::ArrayBuffer::new(scope, bytes.len());
    if let Some(data) = buffer.data() {
        // SAFETY: the buffer was just made with `bytes.len()` bytes and nobody else has seen it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), data.as_ptr().cast::<u8>(), bytes.len()) };
    }
    v8::Uint8Array::new(scope, buffer, 0, bytes.len())
}
