//! API keys of a user, by refresh token (rules-and-users 4.4).

use auth::ApiKey;
use http::StatusCode;
use serde_json::{Value as Json, json};

use super::{ClientCall, reply, text, token};
use crate::{CallError, CallResponse, LogRecord};

/// 201 `{_id, key, name, disabled}`: the only answer that has the key.
pub(super) async fn create(
    call: &mut ClientCall<'_>,
    record: &mut Option<LogRecord>,
) -> Result<CallResponse, CallError> {
    let session = token::refresh(call, record).await?;
    let name = text(&call.read_document().await?, "name")?;
    let created = call.auth().create_api_key(&session, &name).await?;
    let mut body = to_json(&created.record);
    body["key"] = created.key.into();
    Ok(reply::text(StatusCode::CREATED, body.to_string().into()))
}

/// All keys of the user.
pub(super) async fn list(call: &ClientCall<'_>, record: &mut Option<LogRecord>) -> Result<CallResponse, CallError> {
    let session = token::refresh(call, record).await?;
    let keys = call.auth().api_keys(&session).await?;
    Ok(reply::json(&keys.iter().map(to_json).collect()))
}

/// One key of the user.
pub(super) async fn get(
    call: &ClientCall<'_>,
    id: &str,
    record: &mut Option<LogRecord>,
) -> Result<CallResponse, CallError> {
    let session = token::refresh(call, record).await?;
    Ok(reply::json(&to_json(&call.auth().api_key(&session, id).await?)))
}

/// 204.
pub(super) async fn delete(
    call: &ClientCall<'_>,
    id: &str,
    record: &mut Option<LogRecord>,
) -> Result<CallResponse, CallError> {
    let session = token::refresh(call, record).await?;
    call.auth().delete_api_key(&session, id).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// 204.
pub(super) async fn switch(
    call: &ClientCall<'_>,
    id: &str,
    disabled: bool,
    record: &mut Option<LogRecord>,
) -> Result<CallResponse, CallError> {
    let session = token::refresh(call, record).await?;
    call.auth().set_api_key_disabled(&session, id, disabled).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

fn to_json(key: &ApiKey) -> Json {
    json!({ "_id": key.id, "name": key.name, "disabled": key.is_disabled })
}
