//! One HTTP exchange over a fresh connection, as data.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// 0 when the connection closed without an answer.
    pub status: u16,
    /// Lower-case names with their values in order.
    pub headers: Vec<(String, String)>,
    /// Body bytes.
    pub body: Bytes,
    /// From connecting to the last byte.
    pub elapsed: Duration,
}

/// Sends one request and reads the whole answer.
///
/// # Errors
/// Connection failures, and no answer within a minute.
pub async fn exchange(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: Option<Bytes>,
) -> Result<Answer> {
    let started = Instant::now();
    let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut request = hyper::Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", address);
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body.unwrap_or_default())).context("the case's request is malformed")?;
    let answer = tokio::time::timeout(ANSWER_MAX, async {
        let response = sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        anyhow::Ok((parts, body.collect().await?.to_bytes()))
    })
    .await;
    driver.abort();
    let Ok(answer) = answer else { bail!("{method} {path}: no answer within {ANSWER_MAX:?}") };
    let (parts, body) = answer.with_context(|| format!("{method} {path}"))?;
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Ok(Answer { status: parts.status.as_u16(), headers, body, elapsed: started.elapsed() })
}

/// Writes bytes to a fresh connection and reads until the server closes it or is silent for two seconds.
///
/// # Errors
/// Connection failures.
pub async fn exchange_raw(address: &str, bytes: &[u8]) -> Result<Answer> {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).await?;
    // The server may refuse before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(count)) = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut buffer)).await {
        if count == 0 {
            break;
        }
        received.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8_lossy(&received);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok()).unwrap_or(0);
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let body = Bytes::from(body.to_owned());
    Ok(Answer { status, headers, body, elapsed: started.elapsed() })
}
