//! Reads a request body, bounded in bytes and time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use app::{BodyError, BodyFuture};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};

/// Bounds of one body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    pub bytes_max: usize,
    pub time_max: Duration,
}

/// How much of an oversize body is read and thrown away, so that a client that sends first and reads later gets its
/// answer instead of a broken connection: bytes and time.
const DISCARD_BYTES_MAX: usize = 64 << 20;
const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// A body that may be read once, or thrown away if nobody did.
#[derive(Clone)]
pub(crate) struct PendingBody {
    incoming: Arc<Mutex<Option<Incoming>>>,
    /// The client sends it only when told to go on.
    expects_continue: bool,
}

impl PendingBody {
    pub fn new(incoming: Incoming, expects_continue: bool) -> Self {
        Self { incoming: Arc::new(Mutex::new(Some(incoming))), expects_continue }
    }

    /// The body as a future; nothing is read before it is polled.
    pub fn read(&self, limits: BodyLimits) -> BodyFuture {
        let pending = self.clone();
        async move {
            match pending.take() {
                Some(body) => read(body, pending.expects_continue, limits).await,
                None => Ok(Bytes::new()),
            }
        }
        .boxed()
    }

    /// Reads and forgets, in the background and bounded, what a refused client is still sending: closing on it could
    /// cost it the answer.
    pub fn discard_unread(self) {
        if let Some(body) = self.take().filter(|body| !body.is_end_stream() && !self.expects_continue) {
            tokio::spawn(discard(body));
        }
    }

    fn take(&self) -> Option<Incoming> {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

async fn read(body: Incoming, expects_continue: bool, limits: BodyLimits) -> Result<Bytes, BodyError> {
    let announced = body.size_hint().lower();
    if announced > limits.bytes_max as u64 {
        // A client that waits for `100 Continue` has sent nothing.
        if !expects_continue {
            discard(body).await;
        }
        return Err(BodyError::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    collect(body, limits).await
}

async fn collect(mut body: Incoming, limits: BodyLimits) -> Result<Bytes, BodyError> {
    let deadline = Instant::now() + limits.time_max;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let frame = timeout_at(deadline, body.frame()).await.map_err(|_| BodyError::TimedOut)?;
        let Some(frame) = frame else { break };
        // Trailers are dropped.
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limits.bytes_max {
            discard(body).await;
            return Err(BodyError::TooLarge);
        }
        // Most bodies come in one piece and are not copied.
        match first.is_empty() && rest.is_empty() {
            true => first = data,
            false => {
                if rest.is_empty() {
                    rest.extend_from_slice(&std::mem::take(&mut first));
                }
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

async fn discard(mut body: Incoming) {
    let reading = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DISCARD_BYTES_MAX {
                break;
            }
        }
    };
    // Whether it ends in time or not, the answer is the same.
    let _ = tokio::time::timeout(DISCARD_TIME_MAX, reading).await;
}
