//! The server that a case's app calls: a real HTTP server on a loopback port of its own, which answers as the case says
//! and keeps what it received. The format is `runtime-tests/README.md`.

use std::convert::Infallible;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use tokio::net::TcpListener;

use crate::matcher::compare;

/// One entry of `upstream.json`: the first whose request matches answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// Fields to compare; everything matches when absent.
    #[serde(default)]
    pub request: Map<String, Json>,
    /// Demands a correct answer to a digest challenge.
    pub digest: Option<DigestLogin>,
    /// What is sent back.
    #[serde(default)]
    pub answer: AnswerPlan,
}

/// What a digest answer has to prove (RFC 7616 with MD5 and `qop=auth`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestLogin {
    username: String,
    password: String,
    realm: String,
    nonce: String,
}

/// What is sent back.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnswerPlan {
    /// Status code.
    pub status: u16,
    /// Name to one text or several.
    pub headers: Map<String, Json>,
    /// Body as text.
    pub body: Option<String>,
    /// Body as JSON, sent compact.
    pub json: Option<Json>,
    /// Body as bytes.
    pub base64: Option<String>,
    /// Compresses the body and says so.
    pub gzip: bool,
    /// How many times the body is sent over; compressed as a whole.
    pub repeat: usize,
    /// Wait before the answer.
    pub delay_ms: u64,
    /// What goes wrong.
    pub fault: Option<UpstreamFault>,
}

/// How an answer goes wrong.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamFault {
    /// The connection is closed without an answer.
    Close,
    /// The body begins and never goes on.
    Stall,
    /// The body never ends.
    Endless,
}

impl Default for AnswerPlan {
    fn default() -> Self {
        Self {
            status: 200,
            headers: Map::new(),
            body: None,
            json: None,
            base64: None,
            gzip: false,
            repeat: 1,
            delay_ms: 0,
            fault: None,
        }
    }
}

/// A running upstream server; gone when dropped.
pub struct Upstream {
    /// `127.0.0.1:port`.
    pub address: String,
    received: Arc<Mutex<Vec<Json>>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct State {
    address: String,
    exchanges: Vec<Exchange>,
    received: Arc<Mutex<Vec<Json>>>,
}

impl Upstream {
    /// Listens on a free loopback port and answers. `{upstream}` in the answers stands for the address,
    /// `{upstream_port}` for its port.
    ///
    /// # Errors
    /// No port, or answers that do not parse.
    pub async fn start(exchanges: &Json) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let port = address.rsplit(':').next().unwrap_or_default();
        let text = exchanges.to_string().replace("{upstream}", &address).replace("{upstream_port}", port);
        let exchanges: Vec<Exchange> = serde_json::from_str(&text).context("upstream.json")?;
        let received = Arc::new(Mutex::new(Vec::new()));
        let state = Arc::new(State { address: address.clone(), exchanges, received: Arc::clone(&received) });
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&state), request));
                    // A client that went away, or a fault the case asked for.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { address, received, accepting })
    }

    /// Requests since the last time this was asked.
    pub fn take_received(&self) -> Vec<Json> {
        std::mem::take(&mut *self.received.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let mut headers = Map::new();
    for name in parts.headers.keys() {
        let mut values: Vec<Json> = parts
            .headers
            .get_all(name)
            .iter()
            .map(|value| {
                let text = String::from_utf8_lossy(value.as_bytes()).replace(&state.address, "{upstream}");
                Json::String(text)
            })
            .collect();
        let value = if values.len() == 1 { values.remove(0) } else { Json::Array(values) };
        headers.insert(name.as_str().to_owned(), value);
    }
    let mut record = json!({ "method": parts.method.as_str(), "target": target, "headers": headers });
    match std::str::from_utf8(&body) {
        Ok(text) => record["body"] = text.into(),
        Err(_) => record["base64"] = BASE64.encode(&body).into(),
    }
    if let Ok(value) = serde_json::from_slice::<Json>(&body) {
        record["json"] = value;
    }
    state.received.lock().unwrap_or_else(PoisonError::into_inner).push(record.clone());
    let found = state.exchanges.iter().find(|exchange| {
        let expected = json!({ "$$subset": exchange.request });
        compare("", &expected, Some(&record)).is_ok()
            && exchange.digest.as_ref().is_none_or(|login| login.is_proven_by(&record))
    });
    let plan = found.map_or_else(
        || AnswerPlan { status: 404, body: Some("not in upstream.json".to_owned()), ..AnswerPlan::default() },
        |exchange| exchange.answer.clone(),
    );
    plan.carry_out().await
}

impl AnswerPlan {
    async fn carry_out(self) -> Result<Response<Body>> {
        tokio::time::sleep(Duration::from_millis(self.delay_ms)).await;
        anyhow::ensure!(self.fault != Some(UpstreamFault::Close), "closed as the case asks");
        let mut body = match (&self.body, &self.json, &self.base64) {
            (Some(text), _, _) => text.clone().into_bytes(),
            (_, Some(json), _) => serde_json::to_vec(json)?,
            (_, _, Some(text)) => BASE64.decode(text)?,
            (None, None, None) => Vec::new(),
        }
        .repeat(self.repeat);
        let mut response = Response::builder().status(self.status);
        if self.gzip {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&body)?;
            body = encoder.finish()?;
            response = response.header("content-encoding", "gzip");
        }
        for (name, value) in &self.headers {
            let values = match value {
                Json::Array(values) => values.as_slice(),
                value => std::slice::from_ref(value),
            };
            for value in values {
                response = response.header(name, value.as_str().context("header values are strings")?);
            }
        }
        let length = body.len();
        let first = stream::iter([Ok(Frame::data(Bytes::from(body.clone())))]);
        let frames = match self.fault {
            None => {
                response = response.header("content-length", length);
                first.boxed()
            }
            Some(UpstreamFault::Endless) => {
                let more = stream::unfold(Bytes::from(body), |body| async move {
                    tokio::task::yield_now().await;
                    Some((Ok(Frame::data(body.clone())), body))
                });
                more.boxed()
            }
            Some(UpstreamFault::Stall | UpstreamFault::Close) => first.chain(stream::pending()).boxed(),
        };
        Ok(response.body(StreamBody::new(frames))?)
    }
}

impl DigestLogin {
    fn is_proven_by(&self, record: &Json) -> bool {
        let header = record["headers"]["authorization"].as_str().unwrap_or_default();
        let field = |name: &str| {
            let (_, after) = header.split_once(&format!("{name}="))?;
            let value = after.split(',').next()?.trim().trim_matches('"');
            Some(value.to_owned())
        };
        let hex = |text: String| format!("{:x}", HexBytes(&Md5::digest(text)));
        let (Some(count), Some(client_nonce), Some(response)) = (field("nc"), field("cnonce"), field("response"))
        else {
            return false;
        };
        let secret = hex(format!("{}:{}:{}", self.username, self.realm, self.password));
        let method = record["method"].as_str().unwrap_or_default();
        let target = record["target"].as_str().unwrap_or_default();
        let request = hex(format!("{method}:{target}"));
        response == hex(format!("{secret}:{}:{count}:{client_nonce}:auth:{request}", self.nonce))
    }
}

struct HexBytes<'a>(&'a [u8]);

impl std::fmt::LowerHex for HexBytes<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}
