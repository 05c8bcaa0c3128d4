//! From a thrown value to the text, code and stack of a failed run (function-environment 1.8).

use deno_core::v8;

use crate::ops::brand;
use crate::source::SyntaxProblem;
use crate::state::{IsolateState, Run};
use crate::{Limits, RunError, RunErrorKind, value};

const EXECUTION: &str = "FunctionExecutionError";

/// A failure without a stack.
pub(crate) fn plain(kind: RunErrorKind, error_code: &str, text: impl Into<String>) -> RunError {
    RunError { kind, error_code: error_code.to_owned(), text: text.into(), stack: None }
}

/// The failure of a run that was stopped from outside.
pub(crate) fn stopped(kind: RunErrorKind, limits: &Limits) -> RunError {
    match kind {
        RunErrorKind::WallTime | RunErrorKind::CpuTime => {
            plain(kind, "ExecutionTimeLimitExceeded", "execution time limit exceeded")
        }
        RunErrorKind::Heap => plain(kind, EXECUTION, "memory limit exceeded"),
        RunErrorKind::PendingOperations => {
            let limit = limits.pending_operations_max.min(limits.timers_max);
            plain(kind, EXECUTION, format!("exceeded max async work queue size of {limit}"))
        }
        RunErrorKind::ResultTooLarge => plain(kind, EXECUTION, "result too large"),
        RunErrorKind::Overloaded => plain(kind, EXECUTION, "too many requests"),
        RunErrorKind::Draining => plain(kind, EXECUTION, "the server is shutting down"),
        other => plain(other, "InternalServerError", "internal server error"),
    }
}

/// The failure of a function that does not exist.
pub(crate) fn not_found(name: &str) -> RunError {
    plain(RunErrorKind::NotFound, "FunctionNotFound", format!("function not found: '{name}'"))
}

/// The failure of a source that does not compile.
pub(crate) fn syntax(file: &str, problem: &SyntaxProblem) -> RunError {
    let SyntaxProblem { message, line, column } = problem;
    RunError {
        kind: RunErrorKind::Syntax,
        error_code: "FunctionSyntaxError".to_owned(),
        text: message.clone(),
        stack: Some(format!("{message}\n    at {file}:{line}:{column}")),
    }
}

/// The failure that a thrown value or rejection reason means. May run user code (`toString`, getters), so only inside a
/// slice; nothing it throws gets out.
pub(crate) fn thrown(scope: &mut v8::PinScope, run: &Run, value: v8::Local<v8::Value>) -> RunError {
    v8::tc_scope!(let scope, scope);
    let code = platform_code(scope, value);
    let text = text_of(scope, run, value, code.is_some());
    scope.reset();
    let stack = stack_of(scope, value);
    if scope.has_terminated() {
        scope.terminate_execution();
    }
    let kind = match code.as_deref() {
        Some("FunctionInvalid") => RunErrorKind::NotCallable,
        _ => RunErrorKind::Threw,
    };
    RunError { kind, error_code: code.unwrap_or_else(|| EXECUTION.to_owned()), text, stack }
}

/// The failure that a rejection means which nobody handled.
pub(crate) fn uncaught_rejection(scope: &mut v8::PinScope, run: &Run, reason: v8::Local<v8::Value>) -> RunError {
    let detail = thrown(scope, run, reason);
    RunError {
        kind: RunErrorKind::UncaughtRejection,
        error_code: "UncaughtPromiseRejection".to_owned(),
        text: format!("uncaught promise rejection: {}", detail.text),
        stack: detail.stack,
    }
}

fn platform_code(scope: &mut v8::PinScope, value: v8::Local<v8::Value>) -> Option<String> {
    let object = v8::Local::<v8::Object>::try_from(value).ok()?;
    let state = IsolateState::of(scope);
    let key = v8::Local::new(scope, &state.privates.error_code);
    let code = object.get_private(scope, key)?;
    code.is_string().then(|| code.to_rust_string_lossy(scope))
}

/// Text of the caller's answer. `marked`: an error of a service, whose message stands alone.
fn text_of(scope: &mut v8::PinScope, run: &Run, value: v8::Local<v8::Value>, marked: bool) -> String {
    let Ok(object) = v8::Local::<v8::Object>::try_from(value) else {
        return value.to_detail_string(scope).map_or_else(String::new, |text| text.to_rust_string_lossy(scope));
    };
    if marked && let Some(message) = own_text(scope, object, "message") {
        return message;
    }
    if value.is_native_error() {
        // Looks at data properties only: `NAME: MESSAGE`.
        return value
            .to_detail_string(scope)
            .map_or_else(|| "Error".to_owned(), |text| text.to_rust_string_lossy(scope));
    }
    let state = IsolateState::of(scope);
    if !value.is_proxy() && brand::kind_of(scope, &state, value) == 0 {
        let key = crate::ops::text(scope, "toString");
        if object.has_own_property(scope, key.into()) == Some(true)
            && let Some(method) = object.get(scope, key.into())
            && let Ok(method) = v8::Local::<v8::Function>::try_from(method)
            && let Some(text) = method.call(scope, value, &[])
            && text.is_string()
        {
            return text.to_rust_string_lossy(scope);
        }
        if error_like(scope, object)
            && let Some(text) = value.to_detail_string(scope)
        {
            return text.to_rust_string_lossy(scope);
        }
    }
    value::result_text(scope, run, value).unwrap_or_else(|| "[object Object]".to_owned())
}

/// An object whose prototype chain has `Error.prototype` of the realm, made without the constructor (old-style
/// subclasses). Only data properties are looked at.
fn error_like(scope: &mut v8::PinScope, object: v8::Local<v8::Object>) -> bool {
    let mut current = object.get_prototype(scope);
    for _ in 0..32 {
        let Some(prototype) = current.and_then(|value| v8::Local::<v8::Object>::try_from(value).ok()) else {
            return false;
        };
        if prototype.is_proxy() {
            return false;
        }
        let name = prototype.get_constructor_name();
        if name.to_rust_string_lossy(scope) == "Error" {
            return true;
        }
        current = prototype.get_prototype(scope);
    }
    false
}

fn own_text(scope: &mut v8::PinScope, object: v8::Local<v8::Object>, key: &str) -> Option<String> {
    let key = crate::ops::text(scope, key);
    let value = object.get(scope, key.into())?;
    value.is_string().then(|| value.to_rust_string_lossy(scope))
}

/// The stack for the log; V8 formats it at the first read (`crate::stack`).
fn stack_of(scope: &mut v8::PinScope, value: v8::Local<v8::Value>) -> Option<String> {
    let object = v8::Local::<v8::Object>::try_from(value).ok().filter(|object| object.is_native_error())?;
    own_text(scope, object, "stack")
}
