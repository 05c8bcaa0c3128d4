//! The transport: a pool of connections, size and time bounds.

use std::error::Error as StdError;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderValue};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;

use super::AddressPolicy;
use super::connect::{PolicedConnector, Resolve, RestrictedAddress, SystemResolver};
use super::request::OutboundRequest;
use super::response::HttpAnswer;
use crate::{ServiceError, ServiceLimits};

/// Bounds and permissions of outgoing HTTP.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// How long resolving and connecting may take.
    pub connect_timeout: Duration,
    /// Bytes of a response body, after decompression.
    pub response_bytes_max: usize,
    /// Requests under way at once in the process; more wait.
    pub requests_max: usize,
    /// Where requests may go.
    pub addresses: AddressPolicy,
    /// Certificates of authorities that are believed besides those of the web, in DER.
    pub extra_authorities: Vec<CertificateDer<'static>>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            response_bytes_max: 32 * 1024 * 1024,
            requests_max: 1_000,
            addresses: AddressPolicy::default(),
            extra_authorities: Vec::new(),
        }
    }
}

/// A pool of outgoing connections. Cheap to clone; one serves the whole process.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client<HttpsConnector<PolicedConnector>, Full<Bytes>>,
    settings: Arc<HttpSettings>,
    requests: Arc<Semaphore>,
}

impl HttpClient {
    /// A client with its own pool.
    ///
    /// # Errors
    /// The TLS provider offers no usable protocol version; an authority's certificate that is none.
    pub fn new(settings: HttpSettings) -> Result<Self, ServiceError> {
        Self::with_resolver(settings, Arc::new(SystemResolver))
    }

    /// The same with a resolver of the caller's.
    ///
    /// # Errors
    /// As [`HttpClient::new`]; a certificate that is none.
    pub fn with_resolver(settings: HttpSettings, resolver: Arc<dyn Resolve>) -> Result<Self, ServiceError> {
        let connector = PolicedConnector {
            policy: Arc::new(settings.addresses.clone()),
            resolver,
            timeout: settings.connect_timeout,
        };
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(&settings.extra_authorities)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(32)
            .http1_title_case_headers(true)
            .build(connector);
        Ok(Self { client, requests: Arc::new(Semaphore::new(settings.requests_max)), settings: Arc::new(settings) })
    }

    /// Sends one request and reads the whole answer. Any status is an answer.
    pub(crate) async fn send(&self, request: &OutboundRequest, share: &RunShare) -> Result<HttpAnswer, ServiceError> {
        // The run's own place first: a run that floods waits for itself, not in front of others.
        let _own = share.requests.acquire().await.map_err(|_| ServiceError::RunEnded)?;
        let _common = self.requests.acquire().await.map_err(|_| ServiceError::RunEnded)?;
        let failed = |cause: &str| ServiceError::Http { text: format!("{} {}: {cause}", request.method, request.url) };
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
                ServiceError::RestrictedHost { host: request.url.host_str().unwrap_or_default().to_owned() }
            } else {
                failed(&innermost(&error))
            }
        })?;
        let (mut parts, body) = answer.into_parts();
        let mut reserved = share.reserve();
        let mut body = self.read(body, &mut reserved).await.map_err(|error| failed(&error))?;
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
            body = self.inflate(&body, &mut reserved).map_err(|error| failed(&error))?;
            parts.headers.remove(header::CONTENT_ENCODING);
            parts.headers.remove(header::CONTENT_LENGTH);
            content_length = -1;
        }
        Ok(HttpAnswer::new(parts, body, content_length))
    }

    /// Sends one request that no run asked for, such as for the keys of a token's issuer. Follows no redirects.
    ///
    /// # Errors
    /// No answer, a target that may not be reached, or an answer that is too large.
    pub async fn fetch(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, ServiceError> {
        let (parts, body) = request.into_parts();
        let url = url::Url::parse(&parts.uri.to_string())
            .map_err(|error| ServiceError::Http { text: format!("{}: {error}", parts.uri) })?;
        let mut outbound = OutboundRequest::get(url);
        outbound.method = parts.method;
        outbound.headers = parts.headers;
        outbound.body = body;
        let answer = self.send(&outbound, &RunShare::new(&ServiceLimits::default())).await?;
        let mut response = http::Response::new(answer.body().clone());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        Ok(response)
    }

    async fn read(&self, mut body: Incoming, reserved: &mut Reservation<'_>) -> Result<Bytes, String> {
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| innermost(&error))?;
            // Trailers are not part of an answer.
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len().saturating_add(data.len()) > self.settings.response_bytes_max {
                return Err(self.too_large());
            }
            reserved.add(data.len())?;
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.freeze())
    }

    fn inflate(&self, body: &[u8], reserved: &mut Reservation<'_>) -> Result<Bytes, String> {
        let limit = self.settings.response_bytes_max;
        let mut decoder = flate2::read::MultiGzDecoder::new(body);
        let mut plain = Vec::new();
        let mut chunk = vec![0; 64 << 10];
        loop {
            let count = decoder.read(&mut chunk).map_err(|error| error.to_string())?;
            let Some(data) = chunk.get(..count).filter(|data| !data.is_empty()) else { return Ok(plain.into()) };
            if plain.len() + data.len() > limit {
                return Err(self.too_large());
            }
            reserved.add(data.len())?;
            plain.extend_from_slice(data);
        }
    }

    fn too_large(&self) -> String {
        format!("the answer is larger than {} bytes", self.settings.response_bytes_max)
    }
}

/// Servers prove who they are, always.
fn tls_config(extra_authorities: &[CertificateDer<'static>]) -> Result<rustls::ClientConfig, ServiceError> {
    let failed =
        |error: rustls::Error| ServiceError::Configuration { text: format!("outgoing TLS: {error}"), source: None };
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in extra_authorities {
        roots.add(certificate.clone()).map_err(failed)?;
    }
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(failed)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What one run may have under way, so that it cannot take every place and all memory of the process.
#[derive(Debug)]
pub(crate) struct RunShare {
    requests: Semaphore,
    /// Bytes of answers being received.
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl RunShare {
    pub fn new(limits: &ServiceLimits) -> Self {
        Self {
            requests: Semaphore::new(limits.http_requests_max),
            bytes: AtomicUsize::new(0),
            bytes_max: limits.http_bytes_max,
        }
    }

    fn reserve(&self) -> Reservation<'_> {
        Reservation { share: self, bytes: 0 }
    }
}

/// Bytes of one answer; given back when it has been handed over.
struct Reservation<'a> {
    share: &'a RunShare,
    bytes: usize,
}

impl Reservation<'_> {
    fn add(&mut self, count: usize) -> Result<(), String> {
        self.bytes += count;
        let before = self.share.bytes.fetch_add(count, Ordering::Relaxed);
        match before.saturating_add(count) > self.share.bytes_max {
            true => Err(format!("the answers this run is receiving are larger than {} bytes", self.share.bytes_max)),
            false => Ok(()),
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.share.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}

/// The cause below the layers that add nothing for user code.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}
