//! Sources, frames and the data behind `context`.

use deno_core::v8;
use serde_json::Value as Json;

use super::{Native, current_run, natives, string_argument, text, throw_error, throw_type_error};
use crate::state::IsolateState;
use crate::{Authority, FrameAuthority};

/// The functions of this area.
pub(crate) fn natives() -> Vec<Native> {
    natives! {
        "loadFunction" => load_function,
        "loadRunAsScript" => load_run_as_script,
        "frameSettings" => frame_settings,
        "mayExecute" => may_execute,
        "appValue" => app_value,
        "environmentTag" => environment_tag,
        "environmentValues" => environment_values,
        "userData" => user_data,
        "requestData" => request_data,
        "appData" => app_data,
        "markError" => mark_error,
    }
}

/// Authority as prelude scripts pass it: null for system, the user's id otherwise.
pub(crate) fn authority_argument(scope: &mut v8::PinScope, value: v8::Local<v8::Value>) -> Option<Authority> {
    if value.is_null() {
        return Some(Authority::System);
    }
    match v8::Local::<v8::String>::try_from(value) {
        Ok(id) => Some(Authority::User(id.to_rust_string_lossy(scope))),
        Err(_) => {
            // Never read as system by accident.
            throw_type_error(scope, "a frame's authority must be null or a user id");
            None
        }
    }
}

/// Authority as a value for prelude scripts.
pub(crate) fn authority_value<'s>(scope: &mut v8::PinScope<'s, '_>, authority: &Authority) -> v8::Local<'s, v8::Value> {
    match authority {
        Authority::System => v8::null(scope).into(),
        Authority::User(id) => text(scope, id).into(),
    }
}

/// Throws the error of a source that does not compile, with its platform code.
pub(crate) fn throw_syntax_error(scope: &mut v8::PinScope, file: &str, problem: &crate::source::SyntaxProblem) {
    let message = problem.message.strip_prefix("SyntaxError: ").unwrap_or(&problem.message);
    let message = text(scope, message);
    let error = v8::Exception::syntax_error(scope, message);
    let code = text(scope, "FunctionSyntaxError");
    let state = IsolateState::of(scope);
    if let Ok(object) = v8::Local::<v8::Object>::try_from(error) {
        let key = v8::Local::new(scope, &state.privates.error_code);
        object.set_private(scope, key, code.into());
        let stack = format!("{}\n    at {file}:{}:{}", problem.message, problem.line, problem.column);
        let (key, stack) = (text(scope, "stack"), text(scope, &stack));
        object.define_own_property(scope, key.into(), stack.into(), v8::PropertyAttribute::DONT_ENUM);
    }
    scope.throw_exception(error);
}

/// `loadFunction(name)`: the wrapper `function (require, context)` of an app function, or undefined when there is
/// none; throws its SyntaxError.
fn load_function(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    let Some(name) = string_argument(scope, &arguments, 0) else { return };
    let Some((key, function)) = run.scripts.function(&name) else { return };
    let source = function.source.as_deref().unwrap_or("");
    match run.scripts.wrapper(scope, &key, &function.file, source) {
        Some(Ok(wrapper)) => result.set(wrapper.into()),
        Some(Err(problem)) => throw_syntax_error(scope, &function.file, &problem),
        None => {}
    }
}

/// `loadRunAsScript(name)`: the wrapper of the source that picks the user for frames of an app function.
fn load_run_as_script(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    let Some(name) = string_argument(scope, &arguments, 0) else { return };
    let Some((_, function)) = run.scripts.function(&name) else { return };
    let FrameAuthority::Script(source) = &function.run_as else { return };
    let file = format!("{} (run as)", function.file);
    let key = crate::source::ScriptKey::Source(file.clone(), source.clone());
    match run.scripts.wrapper(scope, &key, &file, source) {
        Some(Ok(wrapper)) => result.set(wrapper.into()),
        Some(Err(problem)) => throw_syntax_error(scope, &file, &problem),
        None => {}
    }
}

/// `frameSettings(name)`: `"inherit"`, `"system"`, `"script"`, `"user:ID"`, or undefined when there is no such function.
fn frame_settings(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    let Some(name) = string_argument(scope, &arguments, 0) else { return };
    let Some((_, function)) = run.scripts.function(&name) else { return };
    match &function.run_as {
        FrameAuthority::Inherit => super::return_string(scope, &mut result, "inherit"),
        FrameAuthority::System => super::return_string(scope, &mut result, "system"),
        FrameAuthority::Script(_) => super::return_string(scope, &mut result, "script"),
        FrameAuthority::UserId(id) => super::return_string(scope, &mut result, &format!("user:{id}")),
    }
}

/// `mayExecute(name, authority)`: asks the host for rules users; system frames may.
fn may_execute(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    let Some(name) = string_argument(scope, &arguments, 0) else { return };
    let Some(authority) = authority_argument(scope, arguments.get(1)) else { return };
    result.set_bool(authority == Authority::System || run.host.may_execute(&name, &authority));
}

/// `appValue(name)`: a fresh copy of a stored value, or undefined.
fn app_value(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    let Ok(name) = v8::Local::<v8::String>::try_from(arguments.get(0)) else { return };
    let name = name.to_rust_string_lossy(scope);
    if let Some(value) = run.code().values.get(&name) {
        let value = json_value(scope, value);
        result.set(value);
    }
}

fn environment_tag(scope: &mut v8::PinScope, _arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    super::return_string(scope, &mut result, &run.code().environment_tag);
}

fn environment_values(
    scope: &mut v8::PinScope,
    _arguments: v8::FunctionCallbackArguments,
    mut result: v8::ReturnValue,
) {
    let Some(run) = current_run(scope) else { return };
    let values = json_object(scope, &run.code().environment_values);
    result.set(values.into());
}

fn user_data(scope: &mut v8::PinScope, _arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    let value = json_value(scope, &run.invocation.user);
    result.set(value);
}

fn request_data(scope: &mut v8::PinScope, _arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    let value = json_value(scope, &run.invocation.request);
    result.set(value);
}

fn app_data(scope: &mut v8::PinScope, _arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    let value = json_value(scope, &run.code().app);
    result.set(value);
}

/// `markError(error, code)`: the platform code that applies when the error leaves the run uncaught.
fn mark_error(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Ok(error) = v8::Local::<v8::Object>::try_from(arguments.get(0)) else {
        return throw_error(scope, "markError: an error object");
    };
    let state = IsolateState::of(scope);
    let key = v8::Local::new(scope, &state.privates.error_code);
    error.set_private(scope, key, arguments.get(1));
    result.set(error.into());
}

/// Plain JSON of the configuration as a fresh value of the current realm. Its depth is bounded by the JSON parser.
pub(crate) fn json_value<'s>(scope: &mut v8::PinScope<'s, '_>, value: &Json) -> v8::Local<'s, v8::Value> {
    match value {
        Json::Null => v8::null(scope).into(),
        Json::Bool(value) => v8::Boolean::new(scope, *value).into(),
        Json::Number(value) => v8::Number::new(scope, value.as_f64().unwrap_or(f64::NAN)).into(),
        Json::String(value) => text(scope, value).into(),
        Json::Array(values) => {
            let values: Vec<_> = values.iter().map(|value| json_value(scope, value)).collect();
            v8::Array::new_with_elements(scope, &values).into()
        }
        Json::Object(members) => json_object(scope, members).into(),
    }
}

fn json_object<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    members: &serde_json::Map<String, Json>,
) -> v8::Local<'s, v8::Object> {
    let object = v8::Object::new(scope);
    for (name, value) in members {
        let (name, value) = (text(scope, name), json_value(scope, value));
        object.create_data_property(scope, name.into(), value);
    }
    object
}
