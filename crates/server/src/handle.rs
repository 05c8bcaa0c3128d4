//! From a request to a response. Always yields one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use app::{CallError, HttpCall, RequestId, Target, TrustedProxies};
use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::Notify;

use crate::body::{BodyLimits, PendingBody};
use crate::health::Health;
use crate::reply;
use crate::route::{self, Route};
use crate::served_apps::ServedApps;

/// What every connection shares.
pub(crate) struct Front {
    /// By client app id.
    pub apps: Arc<ServedApps>,
    pub body_limits: BodyLimits,
    pub trusted_proxies: TrustedProxies,
    pub health: Health,
    pub calls: Calls,
}

/// Counts running calls, whose clients may be gone.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    running: AtomicUsize,
    /// The server is stopping.
    pub draining: AtomicBool,
    ended: Notify,
}

impl Calls {
    fn begin(front: &Arc<Front>) -> RunningCall {
        front.calls.running.fetch_add(1, Relaxed);
        RunningCall(front.clone())
    }

    /// Calls that have begun and not ended.
    pub fn running(&self) -> usize {
        self.running.load(Relaxed)
    }

    /// Returns once no call runs.
    pub async fn wait_for_none(&self) {
        while self.running() > 0 {
            // Looks again now and then, since a call may end between the look and the wait.
            let _ = tokio::time::timeout(Duration::from_millis(50), self.ended.notified()).await;
        }
    }
}

struct RunningCall(Arc<Front>);

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.0.calls.running.fetch_sub(1, Relaxed);
        self.0.calls.ended.notify_one();
    }
}

/// Answers one request.
pub(crate) async fn respond(front: Arc<Front>, peer: SocketAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, incoming) = request.into_parts();
    let body = PendingBody::new(incoming, parts.headers.contains_key(header::EXPECT));
    let response = respond_to(front, peer, Request::from_parts(parts, body.clone())).await;
    body.discard_unread();
    response
}

async fn respond_to(front: Arc<Front>, peer: SocketAddr, request: Request<PendingBody>) -> Response<Full<Bytes>> {
    let received = SystemTime::now();
    let host = match host(&request) {
        Ok(host) => host,
        Err(reason) => return reply::refusal(StatusCode::BAD_REQUEST, reason, Some("BadRequest")),
    };
    let route = match route::parse(request.uri().path()) {
        Ok(route) => route,
        Err(route::Malformed) => {
            return reply::refusal(
                StatusCode::BAD_REQUEST,
                "malformed percent-encoding in the path",
                Some("BadRequest"),
            );
        }
    };
    let (app_id, target) = match route {
        Route::Health => return front.health.liveness(request.method()),
        Route::Readiness => return front.health.readiness(request.method(), &front.calls).await,
        Route::App { app_id, target } => (app_id, target),
        Route::Unserved { app_id } if !front.apps.contains_key(&app_id) => {
            return reply::failure(&CallError::AppNotFound(app_id));
        }
        Route::Account(operation) => match app_of_token(&front, request.headers()) {
            Ok(app_id) => (app_id, Target::Client(operation)),
            Err(error) => {
                // Pages of any served app may have to read why, and browsers ask before they send a token.
                let apps = front.apps.all();
                let allow_origin = apps.iter().find_map(|app| app.allow_origin(request.headers()));
                return match *request.method() {
                    http::Method::OPTIONS => reply::account_preflight(&operation, request.headers(), allow_origin),
                    _ => reply::failure_for(&error, allow_origin),
                };
            }
        },
        Route::Unserved { .. } | Route::Unknown => {
            return reply::refusal(StatusCode::NOT_FOUND, "nothing is served under this path", None);
        }
    };
    let Some(app) = front.apps.get(&app_id) else {
        return reply::failure(&CallError::AppNotFound(app_id));
    };
    let call = http_call(&front, peer, received, host, target, request);
    let id = call.id.clone();
    let running = Calls::begin(&front);
    // A task of its own: a handler finishes even when its client has given up (http-surface 3.8), and a panic ends one
    // call only.
    let task = tokio::spawn(async move {
        let answer = app.call(call).await;
        let response = reply::response(answer);
        drop(running);
        response
    });
    task.await.unwrap_or_else(|failure| {
        tracing::error!(request_id = %id, %failure, "a call panicked");
        reply::failure(&CallError::Internal("panic".into()))
    })
}

/// Operations on accounts name no app: the token does. It is that app which verifies it.
fn app_of_token(front: &Front, headers: &HeaderMap) -> Result<String, CallError> {
    let domain = app::claimed_domain(headers);
    let has_token = headers.contains_key(header::AUTHORIZATION);
    let apps = front.apps.all();
    let app = match (domain, &apps[..]) {
        // With one app there is nothing to tell apart, and it says what is wrong with the token.
        (_, [app]) => Some(app),
        (Some(domain), apps) => apps.iter().find(|app| app.domain_id() == domain),
        (None, _) => None,
    };
    match app {
        Some(app) => Ok(app.client_app_id().to_owned()),
        None if has_token => Err(CallError::InvalidBearer),
        None => Err(CallError::NoToken),
    }
}

fn http_call(
    front: &Front,
    peer: SocketAddr,
    received: SystemTime,
    host: String,
    target: Target,
    request: Request<PendingBody>,
) -> HttpCall {
    let (parts, body) = request.into_parts();
    HttpCall {
        id: RequestId::generate(),
        target,
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        base_url: format!("{}://{host}", scheme(front, peer, &parts.headers)),
        headers: parts.headers,
        peer: peer.ip(),
        received,
        body: body.read(front.body_limits),
    }
}

/// `https` when a trusted proxy says so.
fn scheme(front: &Front, peer: SocketAddr, headers: &HeaderMap) -> &'static str {
    let forwarded = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    match forwarded {
        Some(scheme) if front.trusted_proxies.trusts(peer.ip().to_canonical()) && scheme.trim() == "https" => "https",
        _ => "http",
    }
}

/// The one host a request names: the authority of its target, else its `Host` header.
fn host<B>(request: &Request<B>) -> Result<String, &'static str> {
    let mut values = request.headers().get_all(header::HOST).iter();
    let header = values.next();
    if values.next().is_some() {
        return Err("more than one Host header");
    }
    let text = match (request.uri().authority(), header) {
        (Some(authority), _) => authority.as_str(),
        (None, Some(header)) => header.to_str().map_err(|_| "malformed Host header")?,
        (None, None) if request.version() == http::Version::HTTP_10 => return Ok("localhost".into()),
        (None, None) => return Err("no Host header"),
    };
    let authority = text.parse::<Authority>().map_err(|_| "malformed Host header")?;
    match authority.as_str().contains('@') {
        true => Err("malformed Host header"),
        false => Ok(authority.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let check = |uri: &str, hosts: &[&str], expected: Result<&str, &str>| {
            let mut request = Request::builder().uri(uri).body(()).unwrap();
            for host in hosts {
                request.headers_mut().append("host", host.parse().unwrap());
            }
            assert_eq!(super::host(&request).as_deref().map_err(|reason| *reason), expected, "{uri} {hosts:?}");
        };
        check("/x", &["example.com:8080"], Ok("example.com:8080"));
        check("/x", &["[::1]:8080"], Ok("[::1]:8080"));
        check("http://other/x", &["example.com"], Ok("other"));
        check("/x", &[], Err("no Host header"));
        check("/x", &["a", "a"], Err("more than one Host header"));
        check("/x", &["a b"], Err("malformed Host header"));
        check("/x", &["user@a"], Err("malformed Host header"));
        check("/x", &["a/b"], Err("malformed Host header"));
        check("/x", &[""], Err("malformed Host header"));
    }
}
