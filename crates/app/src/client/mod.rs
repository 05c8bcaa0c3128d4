//! The API that the platform's SDKs speak (http-surface 2.3, rules-and-users 4.9).
//!
//! One file per group of operations: `location`, `login`, `email_password`, `session`, `api_keys`, and `call_function` with
//! `call_service`, which a client reaches through the same path. Whoever calls is proven by a token (`token`) before the body
//! is read, except where there is no token yet.

mod api_keys;
mod call_function;
mod call_service;
mod email_password;
mod location;
mod login;
mod operation;
mod reply;
mod service_action;
mod session;
mod token;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use auth::{Auth, Caller};
use bson::{Bson, Document};
use bytes::Bytes;
use serde_json::Value as Json;

pub use operation::{ClientOperation, EmailPasswordOperation};
pub use token::claimed_domain;

use crate::functions::RuleFunctions;
use crate::http_call::BodyFuture;
use crate::request::{Request, RequestNames};
use crate::{BodyError, CallError, CallResponse, HttpCall, LogRecord, RunningApp, Target, cors};

/// Answers one request of the client API.
pub(crate) async fn call(
    app: &RunningApp,
    call: HttpCall,
    record: &mut Option<LogRecord>,
) -> Result<CallResponse, CallError> {
    let _slot = app.take_slot()?;
    app.admit_address(&call)?;
    let admitted = cors::admit(app, call)?;
    let admitted = match cors::preflight(admitted)? {
        cors::Preflight::Answered(response) => {
            *record = None;
            return Ok(response);
        }
        cors::Preflight::NotOne(admitted) => admitted,
    };
    let (app, call) = admitted.into_parts();
    let (target, request, body) = Request::of_call(call, app.settings());
    let Target::Client(operation) = target else {
        return Err(CallError::Internal("a webhook or endpoint is no operation of the client API".into()));
    };
    if !operation.methods().contains(&request.method.as_str()) {
        return Err(CallError::OperationMethodNotAllowed { method: request.method, allow: operation.methods() });
    }
    let mut call = ClientCall { app, request, body: Mutex::new(Some(body)) };
    match operation {
        ClientOperation::Location => {
            // Asked by every client before anything else, and the same for all.
            *record = None;
            Ok(location::location(app, &call.request))
        }
        ClientOperation::Login { provider } => login::log_in(&mut call, &provider, record).await,
        ClientOperation::EmailPassword(operation) => email_password::answer(&mut call, operation).await,
        ClientOperation::CallFunction => call_function::call_function(&mut call, record).await,
        ClientOperation::Session if call.request.method == "DELETE" => session::log_out(&call).await,
        ClientOperation::Session => session::refresh(&call, record).await,
        ClientOperation::Profile => session::profile(&call, record).await,
        ClientOperation::DeleteUser => session::delete_user(&call, record).await,
        ClientOperation::ApiKeys if call.request.method == "POST" => api_keys::create(&mut call, record).await,
        ClientOperation::ApiKeys => api_keys::list(&call, record).await,
        ClientOperation::ApiKey { id } if call.request.method == "DELETE" => api_keys::delete(&call, &id, record).await,
        ClientOperation::ApiKey { id } => api_keys::get(&call, &id, record).await,
        ClientOperation::SwitchApiKey { id, disabled } => api_keys::switch(&call, &id, disabled, record).await,
    }
}

/// One request of the client API, its method checked.
struct ClientCall<'a> {
    app: &'a RunningApp,
    request: Request,
    /// Until it has been read. Never contended: the lock lets a call be looked at from several threads.
    body: Mutex<Option<BodyFuture>>,
}

impl ClientCall<'_> {
    fn auth(&self) -> &Auth {
        &self.app.functions().auth
    }

    fn address(&self) -> IpAddr {
        self.request.caller.address
    }

    /// The body, which is bounded in size and time.
    async fn read_body(&mut self) -> Result<Bytes, CallError> {
        let body = self.body.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(body) = body else { return Ok(Bytes::new()) };
        body.await.map_err(|error| match error {
            BodyError::TooLarge => CallError::BodyTooLarge,
            BodyError::TimedOut => CallError::BodyTimedOut,
            BodyError::Broken => CallError::BodyBroken,
        })
    }

    /// The body as a document: an object in Extended JSON; no body is an empty one.
    async fn read_document(&mut self) -> Result<Document, CallError> {
        let body = self.read_body().await?;
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Document::new());
        }
        let json: Json = serde_json::from_slice(&body)
            .map_err(|_| CallError::InvalidArgument("the request body must be a JSON object".into()))?;
        match Bson::try_from(json) {
            Ok(Bson::Document(document)) => Ok(document),
            Ok(_) => Err(CallError::InvalidArgument("the request body must be a JSON object".into())),
            Err(_) => Err(CallError::InvalidArgument("the request body is no Extended JSON".into())),
        }
    }

    /// The way in which authentication runs functions of the app on behalf of this call.
    fn functions(&self, action: &str) -> RuleFunctions {
        let request = self.request.to_context(&RequestNames { webhook_url: None, service: "", action });
        self.app.functions().for_authentication(Arc::new(request))
    }

    fn caller<'a>(&self, functions: &'a RuleFunctions) -> Caller<'a> {
        Caller { address: Some(self.address()), functions }
    }
}

/// A field of a body that has to be text: a document in its place would be an operator of the database.
fn text(body: &Document, name: &str) -> Result<String, CallError> {
    match body.get(name) {
        Some(Bson::String(text)) => Ok(text.clone()),
        None | Some(Bson::Null | Bson::Undefined) => Err(CallError::MissingParameter(name.to_owned())),
        Some(_) => Err(CallError::InvalidArgument(format!("'{name}' must be a string"))),
    }
}
