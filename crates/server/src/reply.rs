//! From an answer to bytes on the wire, and the end of its log record.

use app::{Answer, CallError, ClientOperation, Closing, Fault};
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONTENT_TYPE, VARY, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::error_table::{self, ErrorAnswer};

/// The response of a call; closes its log record.
pub(crate) fn response(answer: Answer) -> Response<Full<Bytes>> {
    let (mut response, closing) = match answer.result {
        Ok(success) => {
            let closing = Closing { status: success.status.as_u16(), error: None, error_code: None, stack: None };
            let mut response = Response::new(Full::new(success.body));
            *response.status_mut() = success.status;
            *response.headers_mut() = success.headers;
            (response, closing)
        }
        Err(error) => {
            log(&error);
            let row = error_table::answer_for(&error);
            let closing = Closing {
                status: row.status.as_u16(),
                error: Some(row.text.clone()),
                error_code: row.code.clone(),
                stack: error.stack().map(str::to_owned),
            };
            (error_response(&row, answer.link.as_deref()), closing)
        }
    };
    add_default_headers(response.headers_mut(), answer.allow_origin);
    if let Some(record) = answer.record {
        record.close(closing);
    }
    response
}

/// A failure outside of any app.
pub(crate) fn failure(error: &CallError) -> Response<Full<Bytes>> {
    failure_for(error, None)
}

/// The same, which pages of this origin may read.
pub(crate) fn failure_for(error: &CallError, allow_origin: Option<HeaderValue>) -> Response<Full<Bytes>> {
    log(error);
    let mut response = error_response(&error_table::answer_for(error), None);
    add_default_headers(response.headers_mut(), allow_origin);
    response
}

/// The answer to a preflight of an operation on accounts. It is sent without the token that would tell the app; the app
/// checks the origin of what follows.
pub(crate) fn account_preflight(
    operation: &ClientOperation,
    requested: &HeaderMap,
    allow_origin: Option<HeaderValue>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    if allow_origin.is_some() && requested.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_str(&operation.methods().join(", ")).expect("methods are plain words"),
        );
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("Content-Type, Accept, Authorization, X-Requested-With"),
        );
    }
    add_default_headers(headers, allow_origin);
    response
}

/// A request that reaches no app; in the shape of the platform's failures.
pub(crate) fn refusal(status: StatusCode, text: &str, code: Option<&str>) -> Response<Full<Bytes>> {
    let row = ErrorAnswer { status, text: text.into(), code: code.map(str::to_owned), link: false, allow: None };
    let mut response = error_response(&row, None);
    add_default_headers(response.headers_mut(), None);
    response
}

fn error_response(row: &ErrorAnswer, link: Option<&str>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(row.body(link).into()));
    *response.status_mut() = row.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(allow) = row.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
        headers.insert(ALLOW, allow);
    }
    response
}

/// What every answer carries, unless the handler said otherwise (http-surface 3.3, 5.5).
fn add_default_headers(headers: &mut HeaderMap, allow_origin: Option<HeaderValue>) {
    let varies = headers
        .get_all(VARY)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|name| name.trim() == "*" || name.trim().eq_ignore_ascii_case("origin")));
    if !varies {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    headers.entry(X_FRAME_OPTIONS).or_insert(HeaderValue::from_static("DENY"));
    if let Some(origin) = allow_origin {
        headers.entry(ACCESS_CONTROL_ALLOW_ORIGIN).or_insert(origin);
    }
}

/// An error is logged once, here, where it becomes a response. What callers and authors do wrong is in the function log.
fn log(error: &CallError) {
    match error.fault() {
        Fault::Us => tracing::error!(fault = error.fault().as_str(), error = %Chain(error), "call failed"),
        Fault::Operator => tracing::warn!(fault = error.fault().as_str(), error = %Chain(error), "call failed"),
        Fault::Caller | Fault::Author => {
            tracing::debug!(fault = error.fault().as_str(), error = %Chain(error), "call failed");
        }
    }
}

/// An error with its sources, in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(formatter, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_win_over_default_headers() {
        let mut headers = HeaderMap::new();
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        add_default_headers(&mut headers, Some(HeaderValue::from_static("https://a.example")));
        assert_eq!(headers[X_FRAME_OPTIONS], "SAMEORIGIN");
        let origins: Vec<_> = headers.get_all(ACCESS_CONTROL_ALLOW_ORIGIN).iter().collect();
        assert_eq!(origins, ["*"]);
        let vary: Vec<_> = headers.get_all(VARY).iter().collect();
        assert_eq!(vary, ["Accept", "Origin"]);
    }

    #[test]
    fn default_headers() {
        let mut headers = HeaderMap::new();
        add_default_headers(&mut headers, None);
        assert_eq!(headers[VARY], "Origin");
        assert_eq!(headers[X_FRAME_OPTIONS], "DENY");
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    }
}
