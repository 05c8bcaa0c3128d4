//! Answers of the client API: JSON, or nothing.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value as Json;

use crate::CallResponse;

/// 200 with a JSON body.
pub(super) fn json(value: &Json) -> CallResponse {
    text(StatusCode::OK, value.to_string().into())
}

/// A body that is JSON text already.
pub(super) fn text(status: StatusCode, body: Bytes) -> CallResponse {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    CallResponse { status, headers, body }
}

/// No body.
pub(super) fn empty(status: StatusCode) -> CallResponse {
    CallResponse { status, headers: HeaderMap::new(), body: Bytes::new() }
}
