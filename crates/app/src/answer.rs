//! What a call gives back to the server.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::{CallError, LogRecord};

/// The end of one call: a response of the handler's making or a failure, what the browser may read of it, and the log
/// record that the server closes once it knows the status it sends.
pub struct Answer {
    /// The response, or why there is none.
    pub result: Result<CallResponse, CallError>,
    /// `Access-Control-Allow-Origin`, when the request's origin may read the answer (http-surface 3.3).
    pub allow_origin: Option<HeaderValue>,
    /// Base of `link` in failure bodies, `None` where the answer carries no link.
    pub link: Option<String>,
    /// To be closed with the status that was sent; `None` for preflights, which are not logged.
    pub record: Option<LogRecord>,
}

/// A response made by a handler or by the client API, or a preflight answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallResponse {
    /// 200 to 599.
    pub status: StatusCode,
    /// Headers to send; never `Content-Length` or a hop-by-hop header.
    pub headers: HeaderMap,
    /// Bytes to send; empty for no body.
    pub body: Bytes,
}
