//! The first argument of each kind of handler, and the whole invocation (http-surface 4).

use app_model::{ReturnType, ServiceKind};
use bytes::Bytes;
use isolate::{Arguments, Entry, HttpPayload, Invocation, ResultFormat, ResultPolicy};

use super::accept;
use super::can_evaluate::Authorized;
use super::lookup::Handler;
use super::receive::CallParts;
use crate::functions::{Origin, authority_of, context_user};
use crate::headers::canonical_headers;
use crate::query;
use crate::{CallError, RunningApp};

/// A call ready to run.
pub(crate) struct PreparedCall<'a> {
    app: &'a RunningApp,
    invocation: Invocation,
    origin: Origin,
    style: ResponseStyle,
}

impl<'a> PreparedCall<'a> {
    pub fn into_parts(self) -> (&'a RunningApp, Invocation, Origin, ResponseStyle) {
        (self.app, self.invocation, self.origin, self.style)
    }
}

/// How the outcome of the run becomes a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseStyle {
    /// http-surface 5.3.
    Webhook {
        /// `respond_result`
        respond_result: bool,
        /// A string result is the text of a message (5.8).
        twilio: bool,
    },
    /// http-surface 5.4.
    Endpoint {
        /// `respond_result`
        respond_result: bool,
        /// Format of a returned value.
        format: ResultFormat,
    },
}

/// Builds the invocation.
pub(crate) fn build_invocation(authorized: Authorized<'_>) -> Result<PreparedCall<'_>, CallError> {
    let parts = authorized.parts();
    let style = response_style(&parts);
    let origin = authorized.origin().clone();
    let invocation = Invocation {
        code: parts.app.code().clone(),
        entry: match parts.handler {
            Handler::Webhook { source, .. } => Entry::Source(source.clone()),
            Handler::Endpoint { endpoint, .. } => Entry::Function(endpoint.function_name.clone()),
        },
        arguments: arguments(&parts)?,
        authority: authority_of(&origin.user),
        user: context_user(&origin.user),
        request: (*origin.request).clone(),
        result: match style {
            ResponseStyle::Webhook { respond_result: false, .. }
            | ResponseStyle::Endpoint { respond_result: false, .. } => ResultPolicy::Discard,
            ResponseStyle::Webhook { .. } => ResultPolicy::UnlessTouched(ResultFormat::CanonicalEjson),
            ResponseStyle::Endpoint { format, .. } => ResultPolicy::UnlessBodySet(format),
        },
        limits: parts.app.settings().limits.clone(),
    };
    Ok(PreparedCall { app: authorized.app(), invocation, origin, style })
}

fn response_style(parts: &CallParts<'_>) -> ResponseStyle {
    match parts.handler {
        Handler::Webhook { service, webhook, .. } => ResponseStyle::Webhook {
            respond_result: webhook.respond_result,
            twilio: service.kind == ServiceKind::Twilio,
        },
        Handler::Endpoint { endpoint, .. } => ResponseStyle::Endpoint {
            respond_result: endpoint.respond_result,
            format: accept::selected(&parts.request.headers).unwrap_or(match endpoint.return_type {
                ReturnType::Json => ResultFormat::Json,
                ReturnType::Ejson => ResultFormat::CanonicalEjson,
            }),
        },
    }
}

/// The first argument, by kind of handler (http-surface 4.1).
pub(crate) fn arguments(parts: &CallParts<'_>) -> Result<Arguments, CallError> {
    match parts.handler {
        Handler::Webhook { service, .. } if service.kind == ServiceKind::Github => github_event(parts),
        Handler::Webhook { service, .. } if service.kind == ServiceKind::Twilio => {
            let form = match query::is_form(parts.request.content_type()) {
                true => String::from_utf8_lossy(parts.body),
                false => "".into(),
            };
            Ok(Arguments::Form(query::fields(Some(&form), &parts.request.query, drops_secret(parts))))
        }
        Handler::Webhook { .. } | Handler::Endpoint { .. } => Ok(Arguments::Http(http_payload(parts))),
    }
}

fn http_payload(parts: &CallParts<'_>) -> HttpPayload {
    // Forms are read from the bodies of these methods only, as Go's server does (http-surface 4.3).
    let form = match parts.request.method.as_str() {
        "POST" | "PUT" | "PATCH" => query::form_body(parts.request.content_type(), parts.body),
        _ => None,
    };
    HttpPayload {
        query: query::fields(form.as_deref(), &parts.request.query, drops_secret(parts)),
        headers: canonical_headers(&parts.request.headers, &parts.request.caller),
        body: Some(parts.body.clone()).filter(|body| !body.is_empty()),
    }
}

/// The `secret` parameter is ours only where it validates the request; elsewhere the handler may check it itself (Q7).
fn drops_secret(parts: &CallParts<'_>) -> bool {
    let validation = match parts.handler {
        Handler::Webhook { webhook, .. } => &webhook.validation,
        Handler::Endpoint { endpoint, .. } => &endpoint.validation,
    };
    matches!(validation, app_model::Validation::SecretAsQueryParam(_))
}

/// The event itself, as JSON text; a form-encoded delivery has it in the field `payload`.
fn github_event(parts: &CallParts<'_>) -> Result<Arguments, CallError> {
    let event = match query::is_form(parts.request.content_type()) {
        true => {
            let form = String::from_utf8_lossy(parts.body);
            let payload = query::raw_pairs(&form).find(|pair| pair.name == "payload");
            Bytes::from(query::decode(payload.ok_or(CallError::PayloadInvalid("no payload field"))?.value))
        }
        false => parts.body.clone(),
    };
    let text = std::str::from_utf8(&event).map_err(|_| CallError::PayloadInvalid("the body is not UTF-8"))?;
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map_err(|_| CallError::PayloadInvalid("the body is not JSON"))?;
    Ok(Arguments::Json(event))
}
