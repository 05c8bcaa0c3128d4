//! `/healthz`: the process answers. `/readyz`: it can serve, its databases included.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use app::Outside;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;
use tokio::sync::Mutex;

use crate::handle::Calls;

/// Answers both paths.
pub(crate) struct Health {
    outside: Arc<Outside>,
    timeout: Duration,
    /// When the databases were last asked, and what they said: askers cannot make us ask more often.
    last: Mutex<Option<(Instant, Result<(), String>)>>,
}

/// How long an answer of the databases counts.
const FRESH: Duration = Duration::from_millis(500);

impl Health {
    pub fn new(outside: Arc<Outside>, timeout: Duration) -> Self {
        Self { outside, timeout, last: Mutex::new(None) }
    }

    /// `/healthz`
    pub fn liveness(&self, method: &Method) -> Response<Full<Bytes>> {
        answer(method, StatusCode::OK, &json!({"status": "ok"}))
    }

    /// `/readyz`
    pub async fn readiness(&self, method: &Method, calls: &Calls) -> Response<Full<Bytes>> {
        if calls.draining.load(Relaxed) {
            return answer(method, StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "stopping"}));
        }
        match self.database().await {
            Ok(()) => answer(method, StatusCode::OK, &json!({"status": "ready"})),
            Err(reason) => {
                let body = json!({"status": "unavailable", "database": reason});
                answer(method, StatusCode::SERVICE_UNAVAILABLE, &body)
            }
        }
    }

    async fn database(&self) -> Result<(), String> {
        let mut last = self.last.lock().await;
        if let Some((asked, said)) = &*last
            && asked.elapsed() < FRESH
        {
            return said.clone();
        }
        let said = self.outside.ping(self.timeout).await;
        *last = Some((Instant::now(), said.clone()));
        said
    }
}

fn answer(method: &Method, status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = Response::new(Full::new(Bytes::new()));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let mut response = Response::new(Full::new(body.to_string().into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
