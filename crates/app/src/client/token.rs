//! Whose token a request carries.

use auth::{ActiveSession, AuthError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::HeaderMap;
use serde_json::Value as Json;

use super::ClientCall;
use crate::webhook::bearer;
use crate::{CallError, LogRecord};

/// `domain_id` of the app that a token claims to be of: where several apps are served, operations on accounts do not name
/// theirs in the path. Nothing is verified; the app that it leads to does that.
pub fn claimed_domain(headers: &HeaderMap) -> Option<String> {
    /// More is no token of ours.
    const TOKEN_BYTES_MAX: usize = 64 << 10;
    let token = bearer(headers).filter(|token| token.len() <= TOKEN_BYTES_MAX)?;
    let claims: Json = serde_json::from_slice(&BASE64.decode(token.split('.').nth(1)?).ok()?).ok()?;
    let domain = claims.get("baas_domain_id").or_else(|| claims.get("stitch_domainId"))?;
    domain.as_str().map(str::to_owned)
}

/// The session of an access token.
pub(super) async fn access(call: &ClientCall<'_>, record: &mut Option<LogRecord>) -> Result<ActiveSession, CallError> {
    let token = bearer(&call.request.headers).ok_or(CallError::NoToken)?;
    access_of(call, token, record).await
}

/// The session of this access token.
pub(super) async fn access_of(
    call: &ClientCall<'_>,
    token: &str,
    record: &mut Option<LogRecord>,
) -> Result<ActiveSession, CallError> {
    let session = call.auth().verify_access_token(token).await.map_err(told)?;
    note(record, &session);
    Ok(session)
}

/// The refresh token itself, and its session.
pub(super) async fn refresh(call: &ClientCall<'_>, record: &mut Option<LogRecord>) -> Result<ActiveSession, CallError> {
    let session = call.auth().verify_refresh_token(refresh_text(call)?).await.map_err(told)?;
    note(record, &session);
    Ok(session)
}

/// The refresh token, not verified.
pub(super) fn refresh_text<'a>(call: &'a ClientCall<'_>) -> Result<&'a str, CallError> {
    bearer(&call.request.headers).ok_or(CallError::NoToken)
}

/// What was wrong with a token is for the log (http-surface 3.9).
pub(super) fn told(error: AuthError) -> CallError {
    if let AuthError::InvalidSession { reason } = &error {
        tracing::debug!(reason, "token refused");
    }
    error.into()
}

fn note(record: &mut Option<LogRecord>, session: &ActiveSession) {
    if let Some(record) = record {
        record.identified(Some(&session.user.id));
    }
}
