//! Service actions: from a call of user code to the host and back.

use std::panic::AssertUnwindSafe;

use deno_core::v8;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::functions::authority_argument;
use super::{Native, current_run, natives, string_argument, text};
use crate::state::{Completion, IsolateState, PendingCall, Run};
use crate::value::bson;
use crate::{HostError, RunErrorKind, ServiceCall};

/// The functions of this area.
pub(crate) fn natives() -> Vec<Native> {
    natives! {
        "callService" => call_service,
        "callServiceBlocking" => call_service_blocking,
        "serviceClient" => service_client,
    }
}

/// `serviceClient(name)`: client class of a service, or undefined.
fn service_client(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    let Ok(name) = v8::Local::<v8::String>::try_from(arguments.get(0)) else { return };
    let name = name.to_rust_string_lossy(scope);
    if let Some(service) = run.code().services.iter().find(|service| service.name == name) {
        super::return_string(scope, &mut result, &service.client);
    }
}

/// `(service, action, argumentsObject, authority)` as a call; `None` with a pending exception.
fn call_from(scope: &mut v8::PinScope, run: &Run, arguments: &v8::FunctionCallbackArguments) -> Option<ServiceCall> {
    let service = string_argument(scope, arguments, 0)?;
    let action = string_argument(scope, arguments, 1)?;
    let authority = authority_argument(scope, arguments.get(3))?;
    let arguments = bson::encode_arguments(scope, arguments.get(2))?;
    run.service_calls.set(run.service_calls.get().saturating_add(1));
    Some(ServiceCall { service, action, arguments, authority })
}

/// `callService(service, action, arguments, authority)`: a promise of the reply document. Counts as pending until it
/// settles; more than the run may have pending end the run.
fn call_service(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    let Some(call) = call_from(scope, &run, &arguments) else { return };
    if run.pending.borrow().len() >= run.limits().pending_operations_max {
        return run.slot.stop(RunErrorKind::PendingOperations);
    }
    let Some(resolver) = v8::PromiseResolver::new(scope) else { return };
    result.set(resolver.get_promise(scope).into());
    if run.closed.get() {
        // The run is being ended; nothing new starts and the promise never settles.
        return;
    }
    let id = run.last_call_id.get() + 1;
    run.last_call_id.set(id);
    let future = run.host.call_service(call);
    let completions = run.completions.clone();
    let task = run.front.spawn(async move {
        let result = answer(future).await;
        // The run may have ended; then nobody waits for it.
        let _ = completions.send(Completion { id, result });
    });
    let resolver = v8::Global::new(scope, resolver);
    run.pending.borrow_mut().insert(id, PendingCall { resolver, task: task.abort_handle() });
}

/// The host's answer; a host that panics has failed.
async fn answer(future: BoxFuture<'static, Result<Vec<u8>, HostError>>) -> Result<Vec<u8>, HostError> {
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(result) => result,
        Err(_) => Err(internal_error()),
    }
}

fn internal_error() -> HostError {
    HostError {
        name: "Error".to_owned(),
        message: "internal server error".to_owned(),
        error_code: "InternalServerError".to_owned(),
        ..HostError::default()
    }
}

/// `callServiceBlocking(…)`: the reply document itself. For the few calls that are synchronous by contract; the thread
/// waits, the run's CPU clock does not.
fn call_service_blocking(
    scope: &mut v8::PinScope,
    arguments: v8::FunctionCallbackArguments,
    mut result: v8::ReturnValue,
) {
    let Some(run) = current_run(scope) else { return };
    let Some(call) = call_from(scope, &run, &arguments) else { return };
    let future = run.host.call_service(call);
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let task = run.front.spawn(async move {
        let result = answer(future).await;
        let _ = sender.send(result);
    });
    let reply = loop {
        match receiver.recv_timeout(std::time::Duration::from_millis(20)) {
            Ok(reply) => break reply,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) if run.slot.verdict().is_none() => {}
            Err(_) => {
                // Stopped while it waited; the termination takes effect when this function returns.
                task.abort();
                return;
            }
        }
    };
    match reply {
        Ok(document) => {
            if let Some(value) = bson::decode(scope, &document) {
                result.set(value);
            }
        }
        Err(error) => {
            let error = error_value(scope, &error);
            scope.throw_exception(error);
        }
    }
}

fn define<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'s, v8::Object>,
    key: &str,
    value: v8::Local<'s, v8::Value>,
) {
    let key = text(scope, key);
    object.define_own_property(scope, key.into(), value, v8::PropertyAttribute::DONT_ENUM);
}

/// A host error as an `Error` of the current realm (function-environment 7.11).
pub(crate) fn error_value<'s>(scope: &mut v8::PinScope<'s, '_>, error: &HostError) -> v8::Local<'s, v8::Value> {
    let message = text(scope, &error.message);
    let value = match error.name.as_str() {
        "TypeError" => v8::Exception::type_error(scope, message),
        "RangeError" => v8::Exception::range_error(scope, message),
        _ => v8::Exception::error(scope, message),
    };
    let Ok(object) = v8::Local::<v8::Object>::try_from(value) else { return value };
    if !matches!(error.name.as_str(), "" | "Error" | "TypeError" | "RangeError") {
        let name = text(scope, &error.name).into();
        define(scope, object, "name", name);
    }
    if let Some(code) = error.code {
        let code = v8::Integer::new(scope, code).into();
        define(scope, object, "code", code);
    }
    if let Some(code_name) = &error.code_name {
        let code_name = text(scope, code_name).into();
        define(scope, object, "codeName", code_name);
    }
    if !error.error_labels.is_empty() {
        let labels: Vec<v8::Local<v8::Value>> =
            error.error_labels.iter().map(|label| text(scope, label).into()).collect();
        let labels = v8::Array::new_with_elements(scope, &labels).into();
        define(scope, object, "errorLabels", labels);
    }
    if !error.error_code.is_empty() {
        let code = text(scope, &error.error_code).into();
        define(scope, object, "error_code", code);
        let state = IsolateState::of(scope);
        let key = v8::Local::new(scope, &state.privates.error_code);
        object.set_private(scope, key, code);
    }
    value
}
