//! The transport: connections, name resolution, size and time bounds.

use std::error::Error as StdError;
use std::future::Future;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;

use super::AddressPolicy;
use super::request::OutboundRequest;
use super::response::HttpAnswer;
use crate::ServiceError;

/// Bounds and permissions of outgoing HTTP.
#[derive(Debug, Clone, Copy)]
pub struct HttpSettings {
    /// How long one connect may take.
    pub connect_timeout: Duration,
    /// Bytes of a response body, after decompression.
    pub response_bytes_max: usize,
    /// Requests under way at once in the process; more wait.
    pub requests_max: usize,
    /// Where requests may go.
    pub addresses: AddressPolicy,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            response_bytes_max: 32 * 1024 * 1024,
            requests_max: 1_000,
            addresses: AddressPolicy::default(),
        }
    }
}

/// A pool of outgoing connections. Cheap to clone; one serves the whole process.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector<PolicedResolver>>, Full<Bytes>>,
    settings: HttpSettings,
    requests: Arc<Semaphore>,
}

impl HttpClient {
    /// A client with its own pool.
    ///
    /// # Errors
    /// The TLS provider offers no usable protocol version.
    pub fn new(settings: HttpSettings) -> Result<Self, ServiceError> {
        let mut connector = HttpConnector::new_with_resolver(PolicedResolver { policy: settings.addresses });
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(settings.connect_timeout));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| ServiceError::Configuration { text: format!("outgoing TLS: {error}"), source: None })?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(32)
            .http1_title_case_headers(true)
            .build(connector);
        Ok(Self { client, settings, requests: Arc::new(Semaphore::new(settings.requests_max)) })
    }

    /// Sends one request and reads the whole answer. Any status is an answer.
    pub(super) async fn send(&self, request: &OutboundRequest) -> Result<HttpAnswer, ServiceError> {
        let _permit = self.requests.acquire().await.map_err(|_| ServiceError::RunEnded)?;
        let failed = |cause: &str| ServiceError::Http { text: format!("{} {}: {cause}", request.method, request.url) };
        // The connector takes addresses as they stand, without asking the resolver.
        let literal = match request.url.host() {
            Some(url::Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(url::Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            _ => None,
        };
        if literal.is_some_and(|address| !self.settings.addresses.allows(address)) {
            return Err(restricted(request));
        }
        let mut outgoing = http::Request::builder()
            .method(request.method.clone())
            .uri(request.url.as_str())
            .body(Full::new(request.body.clone()))
            .map_err(|error| failed(&error.to_string()))?;
        *outgoing.headers_mut() = request.headers.clone();
        let headers = outgoing.headers_mut();
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static("selvedge"));
        // As with the platform's client, compression is its own affair unless the caller says otherwise.
        let is_transparent = !headers.contains_key(header::ACCEPT_ENCODING);
        if is_transparent {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let answer = self.client.request(outgoing).await.map_err(|error| {
            if chain(&error).any(|cause| cause.is::<RestrictedAddress>()) {
                restricted(request)
            } else {
                failed(&innermost(&error))
            }
        })?;
        let (mut parts, body) = answer.into_parts();
        let too_large = || failed(&format!("the answer is larger than {} bytes", self.settings.response_bytes_max));
        let body = Limited::new(body, self.settings.response_bytes_max).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { too_large() } else { failed(&innermost(error.as_ref())) }
        })?;
        let mut body = body.to_bytes();
        let mut content_length = parts
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .unwrap_or(-1);
        let is_gzip = parts
            .headers
            .get(header::CONTENT_ENCODING)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"gzip"));
        if is_transparent && is_gzip && !body.is_empty() {
            body = self
                .inflate(&body)
                .map_err(|error| error.map_or_else(too_large, |error| failed(&error.to_string())))?;
            parts.headers.remove(header::CONTENT_ENCODING);
            parts.headers.remove(header::CONTENT_LENGTH);
            content_length = -1;
        }
        Ok(HttpAnswer::new(parts, body, content_length))
    }

    /// `Err(None)` when the result would be too large.
    fn inflate(&self, body: &[u8]) -> Result<Bytes, Option<std::io::Error>> {
        let limit = self.settings.response_bytes_max;
        let mut plain = Vec::new();
        let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        flate2::read::MultiGzDecoder::new(body).take(bound).read_to_end(&mut plain).map_err(Some)?;
        if plain.len() > limit { Err(None) } else { Ok(plain.into()) }
    }
}

fn restricted(request: &OutboundRequest) -> ServiceError {
    ServiceError::RestrictedHost { host: request.url.host_str().unwrap_or_default().to_owned() }
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}

/// The cause below the layers that add nothing for user code.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

/// A name that leads only to addresses the policy forbids.
#[derive(Debug, thiserror::Error)]
#[error("the address is restricted")]
struct RestrictedAddress;

/// The system's resolver, with forbidden addresses left out: what is connected to is what was checked.
#[derive(Debug, Clone)]
struct PolicedResolver {
    policy: AddressPolicy,
}

impl tower_service::Service<Name> for PolicedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let policy = self.policy;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let was_empty = found.is_empty();
            let allowed: Vec<SocketAddr> = found.into_iter().filter(|address| policy.allows(address.ip())).collect();
            if allowed.is_empty() && !was_empty {
                return Err(RestrictedAddress.into());
            }
            Ok(allowed.into_iter())
        })
    }
}
