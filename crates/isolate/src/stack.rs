//! Callbacks that V8 calls on its own, and stack traces that name the user's files only.

use deno_core::v8;

use crate::prelude::RESOURCE_PREFIX;
use crate::state::IsolateState;

/// Replaces deno_core's callbacks, which expect its own context and would hand out its objects.
pub(crate) fn install_callbacks(isolate: &mut v8::Isolate) {
    isolate.set_promise_reject_callback(on_promise_reject);
    isolate.set_prepare_stack_trace_callback(prepare_stack_trace);
    isolate.set_host_import_module_dynamically_callback(refuse_import);
    isolate.set_host_import_module_with_phase_dynamically_callback(refuse_import_with_phase);
    isolate.set_allow_wasm_code_generation_callback(refuse_wasm);
    isolate.set_allow_atomics_wait(false);
}

unsafe extern "C" fn on_promise_reject(message: v8::PromiseRejectMessage) {
    v8::callback_scope!(unsafe scope, &message);
    let Some(run) = IsolateState::of(scope).run() else { return };
    let promise = message.get_promise();
    match message.get_event() {
        v8::PromiseRejectEvent::PromiseRejectWithNoHandler => {
            let value = message.get_value().unwrap_or_else(|| v8::undefined(scope).into());
            let value = v8::Global::new(scope, value);
            run.rejections.borrow_mut().add(promise.get_identity_hash(), v8::Global::new(scope, promise), value);
        }
        v8::PromiseRejectEvent::PromiseHandlerAddedAfterReject => {
            let hash = promise.get_identity_hash();
            let promise = v8::Global::new(scope, promise);
            run.rejections.borrow_mut().handled(hash, &promise);
        }
        v8::PromiseRejectEvent::PromiseRejectAfterResolved | v8::PromiseRejectEvent::PromiseResolveAfterResolved => {}
    }
}

extern "C" fn refuse_wasm(_context: v8::Local<v8::Context>, _source: v8::Local<v8::String>) -> bool {
    false
}

fn rejected_import<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    specifier: v8::Local<v8::String>,
) -> Option<v8::Local<'s, v8::Promise>> {
    let resolver = v8::PromiseResolver::new(scope)?;
    let text = format!("Cannot import '{}': import() is not supported", specifier.to_rust_string_lossy(scope));
    let text = v8::String::new(scope, &text)?;
    let error = v8::Exception::type_error(scope, text);
    resolver.reject(scope, error);
    Some(resolver.get_promise(scope))
}

fn refuse_import<'s, 'i>(
    scope: &mut v8::PinScope<'s, 'i>,
    _options: v8::Local<'s, v8::Data>,
    _resource: v8::Local<'s, v8::Value>,
    specifier: v8::Local<'s, v8::String>,
    _attributes: v8::Local<'s, v8::FixedArray>,
) -> Option<v8::Local<'s, v8::Promise>> {
    rejected_import(scope, specifier)
}

fn refuse_import_with_phase<'s, 'i>(
    scope: &mut v8::PinScope<'s, 'i>,
    _options: v8::Local<'s, v8::Data>,
    _resource: v8::Local<'s, v8::Value>,
    specifier: v8::Local<'s, v8::String>,
    _phase: v8::ModuleImportPhase,
    _attributes: v8::Local<'s, v8::FixedArray>,
) -> Option<v8::Local<'s, v8::Promise>> {
    rejected_import(scope, specifier)
}

/// Formats `error.stack` when it is first read: V8's own text without the frames of prelude scripts, or what the
/// run's `Error.prepareStackTrace` makes of the remaining frames.
fn prepare_stack_trace<'s, 'i>(
    scope: &mut v8::PinScope<'s, 'i>,
    error: v8::Local<'s, v8::Value>,
    sites: v8::Local<'s, v8::Array>,
) -> v8::Local<'s, v8::Value> {
    v8::tc_scope!(let scope, scope);
    let result = user_sites(scope, sites).and_then(|sites| match user_formatter(scope) {
        Some((constructor, formatter)) => {
            let array = v8::Array::new_with_elements(scope, &sites);
            formatter.call(scope, constructor, &[error, array.into()])
        }
        None => default_format(scope, error, &sites),
    });
    if scope.has_terminated() {
        // Swallowed by this TryCatch; asked for again so that the caller does not go on.
        scope.terminate_execution();
    }
    let result = result.unwrap_or_else(|| v8::undefined(scope).into());
    // SAFETY: the handle was made in a scope that outlives this TryCatch: a TryCatch opens no handle scope.
    unsafe { result.extend_lifetime_unchecked() }
}

fn call_method<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    receiver: v8::Local<'s, v8::Object>,
    name: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let key = v8::String::new(scope, name)?;
    let method = v8::Local::<v8::Function>::try_from(receiver.get(scope, key.into())?).ok()?;
    method.call(scope, receiver.into(), &[])
}

fn user_sites<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    sites: v8::Local<'s, v8::Array>,
) -> Option<Vec<v8::Local<'s, v8::Value>>> {
    let mut kept = Vec::new();
    for index in 0..sites.length() {
        let site = sites.get_index(scope, index)?;
        let object = v8::Local::<v8::Object>::try_from(site).ok()?;
        let file = call_method(scope, object, "getFileName")?;
        if file.is_string() && file.to_rust_string_lossy(scope).starts_with(RESOURCE_PREFIX) {
            continue;
        }
        kept.push(site);
    }
    Some(kept)
}

fn user_formatter<'s>(
    scope: &mut v8::PinScope<'s, '_>,
) -> Option<(v8::Local<'s, v8::Value>, v8::Local<'s, v8::Function>)> {
    let global = scope.get_current_context().global(scope);
    let key = v8::String::new(scope, "Error")?;
    let constructor = v8::Local::<v8::Object>::try_from(global.get(scope, key.into())?).ok()?;
    let key = v8::String::new(scope, "prepareStackTrace")?;
    let formatter = constructor.get(scope, key.into())?;
    Some((constructor.into(), formatter.try_into().ok()?))
}

fn default_format<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    error: v8::Local<'s, v8::Value>,
    sites: &[v8::Local<'s, v8::Value>],
) -> Option<v8::Local<'s, v8::Value>> {
    // Looks at data properties only, so it calls no user code.
    let mut text = error.to_detail_string(scope)?.to_rust_string_lossy(scope);
    for site in sites {
        let site = v8::Local::<v8::Object>::try_from(*site).ok()?;
        let frame = call_method(scope, site, "toString")?;
        text.push_str("\n    at ");
        text.push_str(&frame.to_rust_string_lossy(scope));
    }
    Some(v8::String::new(scope, &text)?.into())
}
