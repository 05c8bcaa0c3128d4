//! From the outcome of a run to a response (http-surface 5.3 to 5.8).

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use isolate::{ResponseBody, ResponseParts, ResultFormat, ReturnValue};

use super::payload::ResponseStyle;
use super::run::Finished;
use super::sniff;
use crate::settings::Compatibility;
use crate::{AppSettings, CallError, CallResponse};

/// Headers a handler cannot set: they describe the connection, or a length that we know better.
const IGNORED: [&str; 8] =
    ["content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"];

/// Body and the content type it has when the handler set none.
type Body = (Bytes, Option<&'static str>);

const EMPTY: Body = (Bytes::new(), None);

/// Builds the response.
pub(crate) fn build_response(finished: Finished<'_>) -> Result<CallResponse, CallError> {
    let (settings, completed, style) = finished.into_parts();
    build(settings, style, completed.response, completed.value)
}

fn build(
    settings: &AppSettings,
    style: ResponseStyle,
    response: ResponseParts,
    value: Option<ReturnValue>,
) -> Result<CallResponse, CallError> {
    let choices = &settings.compatibility;
    let (default_status, (mut body, content_type)) = match (style, &response.body) {
        (_, Some(set)) => (StatusCode::OK, (set.bytes.clone(), content_type_of_set_body(set))),
        // Rows 1, 3, 4 and 5 of 5.3: a touched response of a webhook is all that is sent.
        (ResponseStyle::Webhook { respond_result: true, twilio }, None) if !response.touched => {
            (StatusCode::OK, serialized(value, choices, Some(ResultFormat::CanonicalEjson).filter(|_| !twilio), true))
        }
        (ResponseStyle::Webhook { .. }, None) => (StatusCode::OK, EMPTY),
        // Rows 1 and 2 of 5.4: an endpoint sends its value unless a body was set.
        (ResponseStyle::Endpoint { respond_result: true, format }, None) => {
            (StatusCode::OK, serialized(value, choices, Some(format), false))
        }
        (ResponseStyle::Endpoint { respond_result: false, .. }, None) if response.touched => (StatusCode::OK, EMPTY),
        (ResponseStyle::Endpoint { respond_result: false, .. }, None) => (StatusCode::NO_CONTENT, EMPTY),
    };
    let status = match response.status {
        None => default_status,
        Some(code) => StatusCode::from_u16(code)
            .ok()
            .filter(|status| (200..=599).contains(&status.as_u16()))
            .ok_or_else(|| CallError::Internal(format!("a run set the status {code}")))?,
    };
    let mut headers = handler_headers(&response.headers, settings.response_header_bytes_max)?;
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::RESET_CONTENT) {
        body = Bytes::new();
    }
    if let Some(content_type) = content_type.filter(|_| !body.is_empty())
        && !headers.contains_key(CONTENT_TYPE)
    {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    Ok(CallResponse { status, headers, body })
}

fn content_type_of_set_body(body: &ResponseBody) -> Option<&'static str> {
    let sniffed = if body.is_text { sniff::content_type_of_text } else { sniff::content_type };
    (!body.bytes.is_empty()).then(|| sniffed(&body.bytes))
}

/// A returned value as body. No format: a string is sent as it is, everything else as Extended JSON.
fn serialized(
    value: Option<ReturnValue>,
    choices: &Compatibility,
    format: Option<ResultFormat>,
    webhook: bool,
) -> Body {
    let plain_text = format.is_none() || choices.raw_string_results;
    let content_type = match format {
        Some(ResultFormat::CanonicalEjson) if !webhook && !choices.plain_json_content_type => "application/ejson",
        Some(ResultFormat::CanonicalEjson | ResultFormat::Json) | None => "application/json",
    };
    match value {
        None | Some(ReturnValue::Undefined) => EMPTY,
        Some(ReturnValue::String { text, .. }) if plain_text => (text.into(), Some("text/plain; charset=utf-8")),
        Some(ReturnValue::String { serialized, .. }) => (serialized, Some(content_type)),
        Some(ReturnValue::Other(bytes)) => (bytes, Some(content_type)),
    }
}

/// What the handler set, in its order. `setHeader` and `addHeader` have already been told apart in the run.
fn handler_headers(pairs: &[(String, String)], bytes_max: usize) -> Result<HeaderMap, CallError> {
    let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    if bytes > bytes_max {
        return Err(CallError::ResponseHeadersTooLarge);
    }
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        // Illegal names and values throw in the run; whatever still gets here must not reach the wire.
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes())) else {
            return Err(CallError::Internal("a run set an illegal header".into()));
        };
        if IGNORED.contains(&name.as_str()) {
            continue;
        }
        headers.try_append(name, value).map_err(|_| CallError::ResponseHeadersTooLarge)?;
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEBHOOK: ResponseStyle = ResponseStyle::Webhook { respond_result: true, twilio: false };
    const SILENT_WEBHOOK: ResponseStyle = ResponseStyle::Webhook { respond_result: false, twilio: false };
    const TWILIO: ResponseStyle = ResponseStyle::Webhook { respond_result: true, twilio: true };
    const ENDPOINT: ResponseStyle =
        ResponseStyle::Endpoint { respond_result: true, format: ResultFormat::CanonicalEjson };
    const JSON_ENDPOINT: ResponseStyle = ResponseStyle::Endpoint { respond_result: true, format: ResultFormat::Json };
    const SILENT_ENDPOINT: ResponseStyle =
        ResponseStyle::Endpoint { respond_result: false, format: ResultFormat::Json };

    fn untouched() -> ResponseParts {
        ResponseParts::default()
    }

    fn touched(status: Option<u16>, body: Option<&str>) -> ResponseParts {
        ResponseParts {
            touched: true,
            status,
            headers: Vec::new(),
            body: body.map(|text| ResponseBody { bytes: text.to_owned().into(), is_text: true }),
        }
    }

    fn object() -> Option<ReturnValue> {
        Some(ReturnValue::Other(Bytes::from_static(b"{\"a\":1}")))
    }

    fn string() -> Option<ReturnValue> {
        Some(ReturnValue::String { text: "x".into(), serialized: Bytes::from_static(b"\"x\"") })
    }

    /// Expected: status, body, content type.
    fn check(
        style: ResponseStyle,
        response: ResponseParts,
        value: Option<ReturnValue>,
        expected: (u16, &str, Option<&str>),
    ) {
        let context = format!("{style:?} {response:?} {value:?}");
        let built = build(&AppSettings::default(), style, response, value).unwrap();
        let content_type = built.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap());
        let body = std::str::from_utf8(&built.body).unwrap();
        assert_eq!((built.status.as_u16(), body, content_type), expected, "{context}");
    }

    /// Every row of http-surface 5.3.
    #[test]
    fn webhook_outcomes() {
        let text = Some("text/plain; charset=utf-8");
        check(WEBHOOK, untouched(), object(), (200, "{\"a\":1}", Some("application/json")));
        check(WEBHOOK, untouched(), string(), (200, "\"x\"", Some("application/json")));
        check(WEBHOOK, untouched(), Some(ReturnValue::Undefined), (200, "", None));
        check(WEBHOOK, touched(Some(201), Some("hi")), None, (201, "hi", text));
        check(WEBHOOK, touched(None, Some("hi")), None, (200, "hi", text));
        check(WEBHOOK, touched(None, Some("")), None, (200, "", None));
        check(WEBHOOK, touched(Some(201), None), None, (201, "", None));
        check(SILENT_WEBHOOK, touched(Some(404), Some("no")), None, (404, "no", text));
        check(SILENT_WEBHOOK, touched(Some(404), None), None, (404, "", None));
        check(SILENT_WEBHOOK, untouched(), None, (200, "", None));
        check(TWILIO, untouched(), string(), (200, "x", text));
        check(TWILIO, untouched(), object(), (200, "{\"a\":1}", Some("application/json")));
    }

    /// Every row of http-surface 5.4.
    #[test]
    fn endpoint_outcomes() {
        let text = Some("text/plain; charset=utf-8");
        let ejson = Some("application/ejson");
        check(ENDPOINT, untouched(), object(), (200, "{\"a\":1}", ejson));
        check(JSON_ENDPOINT, untouched(), object(), (200, "{\"a\":1}", Some("application/json")));
        check(ENDPOINT, touched(Some(201), None), object(), (201, "{\"a\":1}", ejson));
        check(ENDPOINT, touched(Some(201), Some("hi")), None, (201, "hi", text));
        check(ENDPOINT, untouched(), Some(ReturnValue::Undefined), (200, "", None));
        check(SILENT_ENDPOINT, untouched(), None, (204, "", None));
        check(SILENT_ENDPOINT, touched(Some(200), None), None, (200, "", None));
        check(SILENT_ENDPOINT, touched(None, None), None, (200, "", None));
        check(SILENT_ENDPOINT, touched(None, Some("hi")), None, (200, "hi", text));
    }

    #[test]
    fn statuses_without_a_body_have_none() {
        check(WEBHOOK, touched(Some(204), Some("hi")), None, (204, "", None));
        check(WEBHOOK, touched(Some(304), Some("hi")), None, (304, "", None));
    }

    #[test]
    fn compatibility_choices() {
        let mut settings = AppSettings::default();
        settings.compatibility.raw_string_results = true;
        settings.compatibility.plain_json_content_type = true;
        let built = build(&settings, ENDPOINT, untouched(), string()).unwrap();
        assert_eq!(built.body, "x");
        assert_eq!(built.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
        let built = build(&settings, ENDPOINT, untouched(), object()).unwrap();
        assert_eq!(built.headers[CONTENT_TYPE], "application/json");
    }

    #[test]
    fn headers_of_the_handler() {
        let mut response = touched(None, Some("hi"));
        response.headers = [
            ("Cache-Control", "a"),
            ("cache-control", "b"),
            ("Content-Type", "application/json"),
            ("Content-Length", "99"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "close"),
            ("X-Text", "é"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let built = build(&AppSettings::default(), WEBHOOK, response, None).unwrap();
        let values: Vec<_> = built.headers.get_all("cache-control").iter().collect();
        assert_eq!(values, ["a", "b"]);
        assert_eq!(built.headers[CONTENT_TYPE], "application/json");
        assert_eq!(built.headers["x-text"].as_bytes(), "é".as_bytes());
        assert_eq!(built.headers.len(), 4);
    }

    #[test]
    fn hostile_headers_are_refused() {
        let with = |pairs: Vec<(String, String)>| {
            let mut response = touched(None, None);
            response.headers = pairs;
            build(&AppSettings::default(), WEBHOOK, response, None)
        };
        assert!(matches!(with(vec![("X".into(), "a\r\nB: c".into())]), Err(CallError::Internal(_))));
        assert!(matches!(with(vec![("X\n".into(), "a".into())]), Err(CallError::Internal(_))));
        let many = (0..100_000).map(|index| (format!("X-{index}"), String::new())).collect();
        assert!(matches!(with(many), Err(CallError::ResponseHeadersTooLarge)));
    }
}
