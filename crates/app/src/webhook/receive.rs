//! Reads the body. Its bound in bytes and time lies in the future the server made.

use bytes::Bytes;
use serde_json::Value as Json;

use super::lookup::{Found, Handler};
use crate::request::{Request, RequestNames};
use crate::{BodyError, CallError, LogRecord, RunningApp};

/// Everything known about a call once its body is here.
#[derive(Clone, Copy)]
pub(crate) struct CallParts<'a> {
    pub app: &'a RunningApp,
    pub handler: Handler<'a>,
    pub request: &'a Request,
    /// Empty when the request had none.
    pub body: &'a Bytes,
}

impl CallParts<'_> {
    /// What the request is for.
    pub fn names(&self) -> RequestNames<'_> {
        match self.handler {
            Handler::Webhook { service, webhook, .. } => RequestNames {
                webhook_url: Some(self.request.public_url(self.app.settings())),
                service: &service.name,
                action: &webhook.name,
            },
            Handler::Endpoint { endpoint, .. } => {
                RequestNames { webhook_url: Some(endpoint.route.clone()), service: "", action: &endpoint.function_name }
            }
        }
    }

    /// `context.request`
    pub fn request_context(&self) -> Json {
        self.request.to_context(&self.names())
    }
}

/// A call with its whole body.
pub(crate) struct Received<'a> {
    app: &'a RunningApp,
    handler: Handler<'a>,
    request: Request,
    body: Bytes,
}

impl<'a> Received<'a> {
    pub fn app(&self) -> &'a RunningApp {
        self.app
    }

    pub fn parts(&self) -> CallParts<'_> {
        CallParts { app: self.app, handler: self.handler, request: &self.request, body: &self.body }
    }
}

/// Waits for the body.
pub(crate) async fn receive_body<'a>(
    found: Found<'a>,
    record: &mut Option<LogRecord>,
) -> Result<Received<'a>, CallError> {
    let (app, handler, request, body) = found.into_parts();
    let body = body.await.map_err(|error| match error {
        BodyError::TooLarge => CallError::BodyTooLarge,
        BodyError::TimedOut => CallError::BodyTimedOut,
        BodyError::Broken => CallError::BodyBroken,
    })?;
    if let Some(record) = record {
        record.body_received(&body);
    }
    Ok(Received { app, handler, request, body })
}
