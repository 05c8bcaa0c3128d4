//! The pipeline of one call, in the order of http-surface 3.1. Endpoints share every stage with webhooks.

mod accept;
mod can_evaluate;
mod credentials;
mod lookup;
mod payload;
mod receive;
mod respond;
mod run;
mod run_as;
mod signature;
mod sniff;
mod validate;

pub(crate) use credentials::bearer;
pub(crate) use lookup::{Handler, Handlers, accepts_endpoint, accepts_webhook};

use crate::{CallError, CallResponse, HandlerKind, HttpCall, LogRecord, RunningApp, cors};

/// Whether the payload signature of these headers is right; for properties that hold for any header.
pub(crate) fn check_payload_signature(
    headers: &http::HeaderMap,
    kind: HandlerKind,
    secret: &[u8],
    body: &[u8],
) -> bool {
    signature::check_payload(headers, kind, secret, body).is_ok()
}

/// Answers one request. Each line is a stage; what it needs, only the line above can make.
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
    let found = lookup::find(admitted, record)?;
    let received = receive::receive_body(found, record).await?;
    let validated = validate::validate(received)?;
    let identified = run_as::identify(validated, record).await?;
    let authorized = can_evaluate::decide(identified).await?;
    let invocation = payload::build_invocation(authorized)?;
    let finished = run::run(invocation, record).await?;
    respond::build_response(finished)
}
