//! The load generator: keep-alive HTTP/1.1 connections, each sending one request at a time.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// One request, sent again and again.
#[derive(Debug, Clone)]
pub struct Request {
    method: &'static str,
    path: String,
    body: Bytes,
}

impl Request {
    /// A request without a body.
    pub fn get(path: &str) -> Self {
        Self { method: "GET", path: path.to_owned(), body: Bytes::new() }
    }

    /// A request with a body.
    pub fn post(path: &str, body: Vec<u8>) -> Self {
        Self { method: "POST", path: path.to_owned(), body: body.into() }
    }
}

/// How fast to send.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// The next request as soon as the answer is there.
    Full,
    /// This many requests per second over all connections; latency counts from when a request was due, so a slow answer
    /// cannot hide the wait of the next request.
    PerSecond(f64),
}

/// What one measurement saw.
#[derive(Debug)]
pub struct Report {
    /// Sorted.
    pub latencies: Vec<Duration>,
    /// Length of the measurement.
    pub elapsed: Duration,
}

impl Report {
    /// The latency below which `percent` of the requests lie.
    pub fn percentile(&self, percent: f64) -> Duration {
        let index = (self.latencies.len() as f64 * percent / 100.0) as usize;
        self.latencies.get(index.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn send(sender: &mut SendRequest<Full<Bytes>>, address: &str, request: &Request) -> Result<()> {
    sender.ready().await?;
    let message = hyper::Request::builder()
        .method(request.method)
        .uri(&request.path)
        .header("host", address)
        .body(Full::new(request.body.clone()))?;
    let response = sender.send_request(message).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    ensure!(status.is_success(), "answered {status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}

/// Sends one request over a new connection.
pub async fn once(address: &str, request: &Request) -> Result<()> {
    let mut sender = connect(address).await?;
    send(&mut sender, address, request).await
}

/// Sends requests for a length of time.
pub async fn drive(
    address: &str,
    request: &Request,
    connections: usize,
    length: Duration,
    pace: Pace,
) -> Result<Report> {
    let started = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..connections {
        let (address, request) = (address.to_owned(), request.clone());
        tasks.push(tokio::spawn(async move {
            let mut sender = connect(&address).await?;
            let mut latencies = Vec::new();
            let interval = match pace {
                Pace::Full => None,
                Pace::PerSecond(rate) => Some(Duration::from_secs_f64(connections as f64 / rate)),
            };
            let mut due =
                started + interval.map_or(Duration::ZERO, |interval| interval * number as u32 / connections as u32);
            while started.elapsed() < length {
                if let Some(interval) = interval {
                    tokio::time::sleep_until(due.into()).await;
                    send(&mut sender, &address, &request).await?;
                    latencies.push(due.elapsed());
                    due += interval;
                } else {
                    let sent = Instant::now();
                    send(&mut sender, &address, &request).await?;
                    latencies.push(sent.elapsed());
                }
            }
            anyhow::Ok(latencies)
        }));
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    latencies.sort_unstable();
    Ok(Report { latencies, elapsed: started.elapsed() })
}

/// Sends a number of requests, spread over connections.
pub async fn count(address: &str, request: &Request, connections: usize, count: usize) -> Result<()> {
    let mut tasks = Vec::new();
    for number in 0..connections {
        let (address, request) = (address.to_owned(), request.clone());
        let share = count / connections + usize::from(number < count % connections);
        tasks.push(tokio::spawn(async move {
            let mut sender = connect(&address).await?;
            for _ in 0..share {
                send(&mut sender, &address, &request).await?;
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}
