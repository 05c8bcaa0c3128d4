//! Logging in, and linking one more identity to a user.

use auth::{Credentials, Device, SessionTokens};
use serde_json::json;

use super::{ClientCall, reply, token};
use crate::{CallError, CallResponse, LogRecord, query};

/// `{access_token, refresh_token, user_id, device_id}`. With `?link=true` and an access token the identity becomes that
/// user's.
pub(super) async fn log_in(
    call: &mut ClientCall<'_>,
    provider: &str,
    record: &mut Option<LogRecord>,
) -> Result<CallResponse, CallError> {
    let links = query::parameter(&call.request.query, "link").is_some_and(|value| value == "true");
    let linked = match links {
        true => Some(token::access(call, record).await?),
        false => None,
    };
    let body = call.read_document().await?;
    let credentials = Credentials::from_login(provider, &body)?;
    let device = Device::from_login(&body);
    let functions = call.functions(provider);
    let caller = call.caller(&functions);
    let logged_in = match &linked {
        Some(session) => call.auth().link(session, &credentials, &device, &caller).await?,
        None => call.auth().log_in(&credentials, &device, &caller).await?,
    };
    if let Some(record) = record {
        record.identified(Some(&logged_in.user.id));
    }
    let SessionTokens { access_token, refresh_token, user_id, device_id } = logged_in.tokens;
    Ok(reply::json(&json!({
        "access_token": access_token,
        "refresh_token": refresh_token,
        "user_id": user_id,
        "device_id": device_id,
    })))
}
