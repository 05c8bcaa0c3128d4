//! One request, as the server hands it to an app.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Method};

use crate::ClientOperation;

/// One request for one app. The path is parsed, nothing else is; the body has not been read.
pub struct HttpCall {
    /// Names the request in answers and logs.
    pub id: RequestId,
    /// What the path asks for.
    pub target: Target,
    /// Method as sent.
    pub method: Method,
    /// Path as sent, before percent-decoding.
    pub path: String,
    /// Query string as sent, without `?`.
    pub query: Option<String>,
    /// Headers as sent.
    pub headers: HeaderMap,
    /// `scheme://host[:port]` the caller used, for URLs when no public URL is configured.
    pub base_url: String,
    /// Address of the peer.
    pub peer: IpAddr,
    /// When the request's head had arrived.
    pub received: SystemTime,
    /// Reads the body, bounded in size and time. Never polled when an earlier stage refuses.
    pub body: BodyFuture,
}

/// Reads a whole body. Empty bytes when there is none.
pub type BodyFuture = BoxFuture<'static, Result<Bytes, BodyError>>;

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the limit.
    #[error("too large")]
    TooLarge,
    /// Too slow.
    #[error("timed out")]
    TimedOut,
    /// Ended early, or its encoding is broken.
    #[error("broken")]
    Broken,
}

/// What a path asks for; names are percent-decoded (http-surface 2.1, 2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `/api/client/v2.0/app/APP/service/SVC/incoming_webhook/HOOK`
    Webhook {
        /// Name of the service.
        service: String,
        /// Name of the webhook.
        webhook: String,
    },
    /// `/app/APP/endpoint` + route
    Endpoint {
        /// Route with its leading slash; empty when the path ends at `endpoint`.
        route: String,
    },
    /// Something of the API that the platform's SDKs speak
    Client(ClientOperation),
}

/// 24 hex digits, unique per request; `co_id` in logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// A new id: time, machine randomness and a counter, as in an ObjectId.
    pub fn generate() -> Self {
        Self(bson::oid::ObjectId::new().to_hex())
    }

    /// The 24 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
