//! What an operator decides for every app.

use isolate::Limits;

use crate::{AddressRanges, TrustedProxies};

/// Settings of a running app; the server fills them from its flags, environment and file.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// Bounds of one run.
    pub limits: Limits,
    /// `scheme://host[:port][/prefix]` under which callers reach this server, without a trailing slash.
    pub public_url: Option<String>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// Callers that are let in; everybody when empty (http-surface 3.3).
    pub access_list: AddressRanges,
    /// Requests of one app answered at once before 429 (http-surface 8).
    pub concurrent_requests_max: usize,
    /// Bytes of all response headers a handler may set.
    pub response_header_bytes_max: usize,
    /// Bytes of a request body that a log entry shows.
    pub log_body_bytes_max: usize,
    /// Request headers a browser may send (http-surface 3.3).
    pub cors_request_headers: Vec<String>,
    /// Choices where the platform's behaviour is not certain.
    pub compatibility: Compatibility,
}

/// Choices where the platform's behaviour is not certain (http-surface 11).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compatibility {
    /// Send a returned string as text instead of as JSON (Q2).
    pub raw_string_results: bool,
    /// Send `application/json` where an endpoint would send `application/ejson` (Q12).
    pub plain_json_content_type: bool,
    /// Check Twilio's request signature; needs `public_url` (Q25).
    pub twilio_signature: bool,
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            public_url: None,
            trusted_proxies: TrustedProxies::default(),
            access_list: AddressRanges::default(),
            concurrent_requests_max: 5_000,
            response_header_bytes_max: 64 << 10,
            log_body_bytes_max: 4 << 10,
            cors_request_headers: [
                "Content-Type",
                "Accept",
                "Authorization",
                "X-Requested-With",
                "X-Hook-Signature",
                "Endpoint-Signature",
            ]
            .map(str::to_owned)
            .to_vec(),
            compatibility: Compatibility::default(),
        }
    }
}
