//! Watches one connection: a client that sends its head too slowly, sits idle, or stalls while it is answered, is let go.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From the first byte of a request to the end of its head; also from the connection's start to the first request.
    pub headers: Duration,
    /// Without a request, or without taking any byte of an answer.
    pub idle: Duration,
}

/// What the watcher knows of a connection. Times are milliseconds since it began, plus one; 0 is never.
#[derive(Debug)]
pub(crate) struct Activity {
    began: Instant,
    /// Requests being answered.
    in_flight: AtomicUsize,
    /// When the last answer was finished or a byte of it was taken.
    last_progress: AtomicU64,
    /// When the first byte arrived after the last answer.
    head_began: AtomicU64,
    /// Requests seen.
    requests: AtomicUsize,
    /// Holds a permit once the first request has begun.
    first_request: Notify,
}

impl Activity {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            in_flight: AtomicUsize::new(0),
            last_progress: AtomicU64::new(0),
            head_began: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
            first_request: Notify::new(),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    /// Marks a request as being answered until the guard is dropped.
    pub fn begin_request(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        if self.requests.fetch_add(1, Relaxed) == 0 {
            self.first_request.notify_one();
        }
        InFlight(self.clone())
    }

    /// Returns once the first request has begun. One task may wait.
    pub async fn first_request(&self) {
        if self.requests.load(Relaxed) == 0 {
            self.first_request.notified().await;
        }
    }

    /// How much longer the client may do nothing; zero when its time is up.
    fn remaining(&self, patience: Patience, multiplexed: bool) -> Duration {
        if self.in_flight.load(Relaxed) > 0 {
            // Answering takes as long as it takes; bodies have a timeout of their own.
            return patience.headers;
        }
        let head_began = self.head_began.load(Relaxed);
        let deadline = if self.requests.load(Relaxed) == 0 && !multiplexed {
            millis(patience.headers)
        } else if head_began > 0 && !multiplexed {
            head_began + millis(patience.headers)
        } else {
            self.last_progress.load(Relaxed) + millis(patience.idle)
        };
        Duration::from_millis(deadline.saturating_sub(self.now()))
    }

    /// Returns once the client's time is up.
    pub async fn expired(&self, patience: Patience, multiplexed: impl Fn() -> bool) {
        loop {
            let remaining = self.remaining(patience, multiplexed());
            if remaining.is_zero() {
                return;
            }
            // Looked at often enough that a head that begins meanwhile is not given much more than its time.
            tokio::time::sleep(remaining.min(patience.headers)).await;
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2).max(1)
}

/// A request being answered.
pub(crate) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.last_progress.store(self.0.now(), Relaxed);
        self.0.head_began.store(0, Relaxed);
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// A socket that notes its progress.
pub(crate) struct WatchedStream {
    stream: TcpStream,
    activity: Arc<Activity>,
}

impl WatchedStream {
    pub fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }

    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        if matches!(result, Poll::Ready(Ok(count)) if *count > 0) {
            self.activity.last_progress.store(self.activity.now(), Relaxed);
        }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        let activity = &self.activity;
        if buffer.filled().len() > before
            && activity.in_flight.load(Relaxed) == 0
            && activity.head_began.load(Relaxed) == 0
        {
            activity.head_began.store(activity.now(), Relaxed);
        }
        result
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { headers: Duration::from_secs(10), idle: Duration::from_secs(60) };

    #[test]
    fn time_left() {
        let activity = Activity::new();
        let left = |multiplexed| activity.remaining(PATIENCE, multiplexed).as_secs_f64().ceil();
        assert_eq!(left(false), 10.0, "the first request has to come soon");
        let request = activity.begin_request();
        assert_eq!(left(false), 10.0, "looked at again later");
        drop(request);
        assert_eq!(left(false), 60.0, "idle between requests");
        activity.head_began.store(activity.now(), Relaxed);
        assert_eq!(left(false), 10.0, "a head has begun");
        assert_eq!(left(true), 60.0, "HTTP/2 frames do not begin a head");
    }
}
