//! State behind `HTTPResponse` objects (http-surface 5.1, 5.2). It lives in Rust, out of reach of user code.

use bytes::Bytes;
use deno_core::v8;

use super::brand::{self, kind};
use super::{Native, copy_bytes, current_run, natives, throw_range_error, throw_type_error};
use crate::state::{IsolateState, ResponseState, Run};
use crate::{ResponseBody, RunErrorKind};

/// The functions of this area.
pub(crate) fn natives() -> Vec<Native> {
    natives! {
        "newResponse" => new_response,
        "setResponseStatus" => set_status,
        "setResponseBody" => set_body,
        "setResponseHeader" => set_header,
        "addResponseHeader" => add_header,
    }
}

/// Headers a handler cannot set: the server decides them.
const IGNORED: [&str; 3] = ["content-length", "transfer-encoding", "connection"];

/// Response objects one run may make, so that a loop over the constructor stays a heap matter.
const RESPONSES_MAX: usize = 10_000;

/// `newResponse(object)`: makes the object a response and returns it.
fn new_response(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    let Ok(object) = v8::Local::<v8::Object>::try_from(arguments.get(0)) else {
        return throw_type_error(scope, "newResponse: an object");
    };
    let index = run.responses.borrow().len();
    if index >= RESPONSES_MAX {
        return throw_range_error(scope, "too many response objects");
    }
    run.responses.borrow_mut().push(ResponseState::default());
    let state = IsolateState::of(scope);
    let index = v8::Integer::new_from_unsigned(scope, u32::try_from(index).unwrap_or(u32::MAX)).into();
    brand::set_brand(scope, &state, object, kind::RESPONSE, index);
    result.set(object.into());
}

/// Index of the response that a method was called on. Marks it as touched; throws a TypeError for other receivers.
fn receiver(scope: &mut v8::PinScope, run: &Run, value: v8::Local<v8::Value>) -> Option<usize> {
    let state = IsolateState::of(scope);
    if brand::kind_of(scope, &state, value) == kind::RESPONSE
        && let Ok(object) = v8::Local::<v8::Object>::try_from(value)
    {
        let index = brand::payload_of(scope, &state, object).uint32_value(scope)? as usize;
        if let Some(response) = run.responses.borrow_mut().get_mut(index) {
            if !run.closed.get() {
                response.touched = true;
            }
            return Some(index);
        }
    }
    throw_type_error(scope, "the receiver is not a response object");
    None
}

fn update(run: &Run, index: usize, change: impl FnOnce(&mut ResponseState)) {
    // What is called after the response was built has no effect (http-surface 3.7).
    if !run.closed.get()
        && let Some(response) = run.responses.borrow_mut().get_mut(index)
    {
        change(response);
    }
}

/// `setResponseStatus(response, code)`
fn set_status(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, _result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    let Some(index) = receiver(scope, &run, arguments.get(0)) else { return };
    // Runs user code (`valueOf`) for objects, like any JavaScript conversion.
    let Some(code) = arguments.get(1).number_value(scope) else { return };
    if !(200.0..=599.0).contains(&code) || code.fract() != 0.0 {
        return throw_type_error(scope, "the status code must be an integer from 200 to 599");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    update(&run, index, |response| response.status = Some(code as u16));
}

/// `setResponseBody(response, body)`
fn set_body(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, _result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    let Some(index) = receiver(scope, &run, arguments.get(0)) else { return };
    let Some(body) = body(scope, &run, arguments.get(1)) else { return };
    if body.bytes.len() > run.limits().result_bytes_max {
        return run.slot.stop(RunErrorKind::ResultTooLarge);
    }
    update(&run, index, |response| response.body = Some(body));
}

fn body(scope: &mut v8::PinScope, run: &Run, value: v8::Local<v8::Value>) -> Option<ResponseBody> {
    if value.is_null_or_undefined() {
        return Some(ResponseBody { bytes: Bytes::new(), is_text: true });
    }
    if let Ok(value) = v8::Local::<v8::String>::try_from(value) {
        if value.length() > run.limits().result_bytes_max {
            run.slot.stop(RunErrorKind::ResultTooLarge);
            return None;
        }
        return Some(ResponseBody { bytes: value.to_rust_string_lossy(scope).into(), is_text: true });
    }
    let state = IsolateState::of(scope);
    if let Ok(object) = v8::Local::<v8::Object>::try_from(value)
        && brand::kind_of(scope, &state, value) == kind::BINARY
    {
        let payload = brand::payload_of(scope, &state, object);
        if let Ok(payload) = v8::Local::<v8::Object>::try_from(payload)
            && let Some(bytes) = payload.get_index(scope, 0)
            && let Some(bytes) = copy_bytes(bytes)
        {
            return Some(ResponseBody { bytes: bytes.into(), is_text: false });
        }
    }
    if let Some(bytes) = copy_bytes(value) {
        return Some(ResponseBody { bytes: bytes.into(), is_text: false });
    }
    let text = crate::value::result_text(scope, run, value)?;
    Some(ResponseBody { bytes: text.into(), is_text: true })
}

/// `setResponseHeader(response, name, value)`
fn set_header(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, _result: v8::ReturnValue) {
    header(scope, &arguments, true);
}

/// `addResponseHeader(response, name, value)`
fn add_header(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, _result: v8::ReturnValue) {
    header(scope, &arguments, false);
}

fn header(scope: &mut v8::PinScope, arguments: &v8::FunctionCallbackArguments, replace: bool) {
    let Some(run) = current_run(scope) else { return };
    let Some(index) = receiver(scope, &run, arguments.get(0)) else { return };
    let Some(name) = arguments.get(1).to_string(scope) else { return };
    let name = name.to_rust_string_lossy(scope);
    if name.is_empty() || !name.bytes().all(is_token) {
        return throw_type_error(scope, "the header name has characters that a header name cannot have");
    }
    let mut values = Vec::new();
    let value = arguments.get(2);
    match v8::Local::<v8::Array>::try_from(value) {
        Ok(array) => {
            for index in 0..array.length() {
                let Some(value) = array.get_index(scope, index).and_then(|value| value.to_string(scope)) else {
                    return;
                };
                values.push(value.to_rust_string_lossy(scope));
            }
        }
        Err(_) => {
            let Some(value) = value.to_string(scope) else { return };
            values.push(value.to_rust_string_lossy(scope));
        }
    }
    for value in &mut values {
        if value.bytes().any(|byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f) {
            return throw_type_error(scope, "the header value has characters that a header value cannot have");
        }
        *value = value.trim_matches([' ', '\t']).to_owned();
    }
    let total: usize = values.iter().map(|value| name.len() + value.len()).sum();
    let held: usize =
        run.responses.borrow().iter().flat_map(|response| &response.headers).map(|(a, b)| a.len() + b.len()).sum();
    if total + held > run.limits().result_bytes_max {
        return run.slot.stop(RunErrorKind::ResultTooLarge);
    }
    if IGNORED.iter().any(|ignored| name.eq_ignore_ascii_case(ignored)) {
        return;
    }
    update(&run, index, |response| {
        if replace {
            response.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        }
        response.headers.extend(values.into_iter().map(|value| (name.clone(), value)));
    });
}

/// Characters of a header name (RFC 9110, token).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
