//! Accepts connections, bounds them, and lets them go at the end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::connection::{Activity, Patience, WatchedStream};
use crate::handle::{self, Front};

/// Bounds of connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListenLimits {
    pub connections_max: usize,
    pub request_header_bytes_max: usize,
    pub patience: Patience,
}

/// Headers a request may have; their bytes are bounded apart.
const REQUEST_HEADERS_MAX: usize = 400;

/// Requests one HTTP/2 connection may have open, and resets it may cause, before it is closed.
const STREAMS_MAX: u32 = 200;
const RESETS_MAX: usize = 200;

/// How long a connection that has not been used yet is kept when the process stops: whoever has just connected is about
/// to ask, and would otherwise see the connection close without an answer.
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);

/// Accepts until `stop` changes, then waits for the connections to finish. Dropping it closes them.
pub(crate) async fn accept_all(
    listeners: Vec<TcpListener>,
    front: Arc<Front>,
    limits: ListenLimits,
    stop: watch::Receiver<bool>,
) {
    let permits = Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)));
    let loops = listeners
        .into_iter()
        .map(|listener| accept_loop(listener, front.clone(), limits, permits.clone(), stop.clone()));
    futures::future::join_all(loops).await;
    // Every connection holds a permit: having them all means that none is left.
    let all = u32::try_from(limits.connections_max.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
    let _ = permits.acquire_many(all).await;
}

async fn accept_loop(
    listener: TcpListener,
    front: Arc<Front>,
    limits: ListenLimits,
    permits: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let permit = tokio::select! {
            permit = permits.clone().acquire_owned() => permit.expect("the semaphore is never closed"),
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                tokio::spawn(serve_connection(stream, peer, front.clone(), limits, permit, stop.clone()));
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                // Out of descriptors or memory: others will give some back. Without the pause this would spin.
                tracing::error!(%error, "cannot accept connections");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    front: Arc<Front>,
    limits: ListenLimits,
    permit: OwnedSemaphorePermit,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are written in one piece; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let activity = Activity::new();
    let multiplexed = Arc::new(AtomicBool::new(false));
    let service = {
        let (activity, multiplexed) = (activity.clone(), multiplexed.clone());
        service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            if request.version() == hyper::Version::HTTP_2 {
                multiplexed.store(true, Relaxed);
            }
            let in_flight = activity.begin_request();
            let front = front.clone();
            async move {
                let response = handle::respond(front, peer, request).await;
                drop(in_flight);
                Ok::<_, std::convert::Infallible>(response)
            }
        })
    };
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(limits.request_header_bytes_max)
        .max_headers(REQUEST_HEADERS_MAX)
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(limits.request_header_bytes_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .keep_alive_interval(limits.patience.idle)
        .keep_alive_timeout(limits.patience.headers);
    let connection = builder.serve_connection(TokioIo::new(WatchedStream::new(stream, activity.clone())), service);
    tokio::pin!(connection);
    let stopping = async {
        // An error means that the server is gone, which is a reason to stop as well.
        let _ = stop.wait_for(|stop| *stop).await;
        let _ = tokio::time::timeout(FIRST_REQUEST_GRACE, activity.first_request()).await;
    };
    tokio::select! {
        result = connection.as_mut() => log_end(peer, result),
        () = activity.expired(limits.patience, || multiplexed.load(Relaxed)) => {
            tracing::debug!(%peer, "connection closed: the client took too long");
        }
        () = stopping => {
            connection.as_mut().graceful_shutdown();
            // What has begun is finished, but no client is waited for longer than before.
            tokio::select! {
                result = connection.as_mut() => log_end(peer, result),
                () = activity.expired(limits.patience, || multiplexed.load(Relaxed)) => {}
            }
        }
    }
    drop(permit);
}

fn log_end(peer: SocketAddr, result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "connection ended early");
    }
}
