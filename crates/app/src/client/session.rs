//! What somebody with a session asks about it and about itself.

use auth::AuthError;
use bson::Bson;
use http::StatusCode;
use serde_json::{Value as Json, json};

use super::{ClientCall, reply, token};
use crate::{CallError, CallResponse, LogRecord};

/// A new access token: 201 `{access_token}`.
pub(super) async fn refresh(call: &ClientCall<'_>, record: &mut Option<LogRecord>) -> Result<CallResponse, CallError> {
    let session = token::refresh(call, record).await?;
    let access_token = call.auth().refresh(token::refresh_text(call)?).await.map_err(token::told)?;
    tracing::trace!(session = session.session_id, "refreshed");
    let body = json!({ "access_token": access_token }).to_string();
    Ok(reply::text(StatusCode::CREATED, body.into()))
}

/// Ends the session: 204.
pub(super) async fn log_out(call: &ClientCall<'_>) -> Result<CallResponse, CallError> {
    match call.auth().log_out(token::refresh_text(call)?).await {
        Ok(()) => Ok(reply::empty(StatusCode::NO_CONTENT)),
        // SDKs look for these words, to take a session that has ended already for one that ends now.
        Err(AuthError::InvalidSession { .. } | AuthError::UserNotFound) => Err(CallError::RefreshTokenNotFound),
        Err(error) => Err(error.into()),
    }
}

/// `{user_id, domain_id, identities: [{id, provider_type, provider_id}], data, type}`.
pub(super) async fn profile(call: &ClientCall<'_>, record: &mut Option<LogRecord>) -> Result<CallResponse, CallError> {
    let user = token::access(call, record).await?.user;
    let accounts = call.auth().accounts();
    let identities: Vec<Json> = user
        .identities
        .iter()
        .map(|identity| {
            json!({
                "id": identity.id,
                "provider_type": identity.provider_type,
                "provider_id": accounts.provider_id(&identity.provider_type),
            })
        })
        .collect();
    Ok(reply::json(&json!({
        "user_id": user.id,
        "domain_id": accounts.domain_id(),
        "identities": identities,
        "data": Bson::Document(user.data).into_canonical_extjson(),
        "type": user.kind.as_str(),
    })))
}

/// Removes the user: 204.
pub(super) async fn delete_user(
    call: &ClientCall<'_>,
    record: &mut Option<LogRecord>,
) -> Result<CallResponse, CallError> {
    let session = token::access(call, record).await?;
    call.auth().delete_user(&session).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
