//! `functions/call`: a function of the app, or an action of a service, by whoever has an access token.

use std::sync::Arc;

use app_model::{Function, RunAs, UserKind};
use bytes::Bytes;
use http::StatusCode;
use isolate::{Arguments, Authority, Entry, FrameAuthority, FunctionSource, Invocation};
use isolate::{ResultFormat, ResultPolicy, ReturnValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ClientCall, call_service, reply, token};
use crate::functions::{Origin, authority_of, context_user};
use crate::request::RequestNames;
use crate::{CallError, CallResponse, LogRecord};

/// What a client asks for: `{name, arguments: [Extended JSON], service?}`.
#[derive(Debug, Deserialize)]
pub(super) struct ClientFunctionCall {
    pub name: String,
    #[serde(default)]
    pub arguments: Vec<Box<RawValue>>,
    #[serde(default)]
    pub service: Option<String>,
}

/// Answers 200 with the result in canonical Extended JSON.
pub(super) async fn call_function(
    call: &mut ClientCall<'_>,
    record: &mut Option<LogRecord>,
) -> Result<CallResponse, CallError> {
    if call.request.method == "GET" {
        return call_service::stream(call, record).await;
    }
    let session = token::access(call, record).await?;
    let body = call.read_body().await?;
    let asked: ClientFunctionCall = serde_json::from_slice(&body).map_err(|_| {
        CallError::InvalidArgument("the request body must be {name, arguments: [...], service?}".into())
    })?;
    let names =
        RequestNames { webhook_url: None, service: asked.service.as_deref().unwrap_or(""), action: &asked.name };
    let request = Arc::new(call.request.to_context(&names));
    let origin = Origin { user: Arc::new(session.user), request };
    match &asked.service {
        Some(service) if !service.is_empty() => {
            if let Some(record) = record {
                record.called(&asked.name, Some(service), Some(&asked.arguments));
            }
            call_service::call(call, service, &asked.name, &asked.arguments, origin).await
        }
        _ => run_function(call, asked, origin, record).await,
    }
}

async fn run_function(
    call: &ClientCall<'_>,
    asked: ClientFunctionCall,
    origin: Origin,
    record: &mut Option<LogRecord>,
) -> Result<CallResponse, CallError> {
    let functions = call.app.functions();
    let not_found = || CallError::FunctionNotFound(asked.name.clone());
    let function = functions.app.function(&asked.name).ok_or_else(not_found)?;
    if let Some(record) = record {
        let arguments = (!function.disable_arg_logs).then_some(&asked.arguments[..]);
        record.called(&asked.name, None, arguments);
    }
    if function.private {
        return Err(CallError::NotCallable(asked.name));
    }
    if !functions.allows(functions.guards.get(&asked.name), &origin, 0).await {
        return Err(CallError::RuleNotMatched(asked.name));
    }
    let arguments: Vec<String> = asked.arguments.iter().map(|argument| argument.get().to_owned()).collect();
    let (origin, authority) = run_as(call, function, &arguments, origin).await?;
    if let Some(record) = record {
        record.identified(Some(origin.user.id.as_str()).filter(|_| origin.user.kind != UserKind::System));
    }
    let invocation = Invocation {
        code: functions.code.clone(),
        entry: Entry::Function(asked.name),
        arguments: Arguments::Ejson(arguments),
        authority,
        user: context_user(&origin.user),
        request: (*origin.request).clone(),
        result: ResultPolicy::Always(ResultFormat::CanonicalEjson),
        limits: call.app.settings().limits.clone(),
    };
    let outcome = functions.run(invocation, &origin, 0).await;
    if let Some(record) = record {
        record.ran(&outcome);
    }
    let body = match outcome.result.map_err(CallError::Run)?.value {
        None | Some(ReturnValue::Undefined) => Bytes::from_static(br#"{"$undefined":true}"#),
        Some(ReturnValue::String { serialized, .. }) => serialized,
        Some(ReturnValue::Other(text)) => text,
    };
    Ok(reply::text(StatusCode::OK, body))
}

/// As whom the function runs. With `run_as_system` the user of the call stays what `context.user` shows (rules-and-users
/// 3.2).
async fn run_as(
    call: &ClientCall<'_>,
    function: &Function,
    arguments: &[String],
    origin: Origin,
) -> Result<(Origin, Authority), CallError> {
    let functions = call.app.functions();
    let chosen = match &function.run_as {
        RunAs::Caller => {
            let authority = authority_of(&origin.user);
            return Ok((origin, authority));
        }
        RunAs::System => return Ok((origin, Authority::System)),
        RunAs::UserId(id) => functions.run_as_user(id).await?,
        RunAs::Script(source) => {
            let script = FunctionSource {
                name: format!("{} run_as_user_id_script_source", function.name),
                file: format!("{} (run as)", function.file.to_string_lossy()),
                source: Some(source.clone()),
                run_as: FrameAuthority::System,
                can_evaluate: None,
            };
            functions.run_script(script, Arguments::Ejson(arguments.to_vec()), origin.request.clone()).await?
        }
    };
    match chosen.kind {
        UserKind::System => Ok((origin, Authority::System)),
        UserKind::Normal | UserKind::Server => {
            let authority = authority_of(&chosen);
            Ok((Origin { user: chosen, ..origin }, authority))
        }
    }
}
