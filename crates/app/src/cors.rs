//! The app's gate for browsers: allowed origins and preflights (http-surface 3.3).

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::headers::header_text;
use crate::{CallError, CallResponse, HttpCall, RunningApp, Target, webhook};

/// `allowed_request_origins`, ready for comparing.
#[derive(Debug, Default)]
pub(crate) struct Origins(Vec<String>);

impl Origins {
    pub fn new(configured: &[String]) -> Self {
        Self(configured.iter().map(|origin| normalize(origin)).collect())
    }

    /// Whether a request with this `Origin` is served. Senders without one are servers, and pass.
    fn admits(&self, origin: Option<&HeaderValue>) -> bool {
        let Some(origin) = origin else { return true };
        self.0.is_empty() || origin.to_str().is_ok_and(|origin| self.0.contains(&normalize(origin)))
    }

    /// `Access-Control-Allow-Origin` for this request, on every answer it gets.
    pub fn allow_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        self.admits(Some(origin)).then(|| origin.clone())
    }
}

fn normalize(origin: &str) -> String {
    origin.trim().trim_end_matches('/').to_ascii_lowercase()
}

/// A call whose origin may use the app.
pub(crate) struct Admitted<'a> {
    app: &'a RunningApp,
    call: HttpCall,
}

impl<'a> Admitted<'a> {
    pub fn into_parts(self) -> (&'a RunningApp, HttpCall) {
        (self.app, self.call)
    }
}

/// Refuses requests of browsers on pages the app does not list.
pub(crate) fn admit(app: &RunningApp, call: HttpCall) -> Result<Admitted<'_>, CallError> {
    match app.origins().admits(call.headers.get(header::ORIGIN)) {
        true => Ok(Admitted { app, call }),
        false => Err(CallError::OriginNotAllowed),
    }
}

/// What became of a request that may be a preflight.
pub(crate) enum Preflight<'a> {
    /// It was one; the handler does not run.
    Answered(CallResponse),
    /// It was none.
    NotOne(Admitted<'a>),
}

fn accepts(app: &RunningApp, target: &Target, method: &str) -> Result<bool, CallError> {
    match target {
        Target::Webhook { service, webhook } => webhook::accepts_webhook(app, service, webhook, method),
        Target::Endpoint { route } => webhook::accepts_endpoint(app, route, method),
        Target::Client(operation) => Ok(operation.methods().contains(&method)),
    }
}

/// Answers `OPTIONS` with `Access-Control-Request-Method`.
pub(crate) fn preflight(admitted: Admitted<'_>) -> Result<Preflight<'_>, CallError> {
    let call = &admitted.call;
    let requested = match header_text(&call.headers, "access-control-request-method") {
        Some(requested) if call.method == Method::OPTIONS && call.headers.contains_key(header::ORIGIN) => requested,
        _ => return Ok(Preflight::NotOne(admitted)),
    };
    let mut headers = HeaderMap::new();
    if accepts(admitted.app, &call.target, requested)?
        && let Ok(value) = HeaderValue::from_str(requested)
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, value);
    }
    let wanted = header_text(&call.headers, "access-control-request-headers").unwrap_or("");
    let granted: Vec<&str> = wanted
        .split(',')
        .map(str::trim)
        .filter(|name| {
            let allowed = &admitted.app.settings().cors_request_headers;
            !name.is_empty() && allowed.iter().any(|header| header.eq_ignore_ascii_case(name))
        })
        .collect();
    if !granted.is_empty()
        && let Ok(value) = HeaderValue::from_str(&granted.join(", "))
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, value);
    }
    Ok(Preflight::Answered(CallResponse { status: StatusCode::NO_CONTENT, headers, body: Default::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let origins = Origins::new(&["https://A.example/".into(), "http://localhost:3000".into()]);
        let check = |origin: &str| origins.admits(Some(&origin.parse().unwrap()));
        assert!(check("https://a.example"));
        assert!(check("http://localhost:3000"));
        assert!(!check("http://a.example"));
        assert!(!check("https://a.example.evil"));
        assert!(!check("null"));
        assert!(origins.admits(None));
        assert!(Origins::default().admits(Some(&"https://b.example".parse().unwrap())));
    }
}
