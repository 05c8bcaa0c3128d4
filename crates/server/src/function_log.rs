//! The functions' log on standard output: one entry per request, as lines for people or as JSON.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use app::{LogEntry, LogSink};

use crate::settings::LogFormat;

/// Entries that may wait to be written. More are dropped and counted: a slow reader of our output must not slow calls.
const QUEUE_MAX: usize = 8192;

enum Order {
    Write(Arc<LogEntry>),
    /// Answers once everything before it is written.
    Flush(SyncSender<()>),
}

/// Writes entries on a thread of its own, which also formats and redacts them.
pub(crate) struct FunctionLog {
    orders: SyncSender<Order>,
    lost: Arc<AtomicU64>,
}

impl FunctionLog {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(format: LogFormat) -> io::Result<Self> {
        let (orders, receiver) = mpsc::sync_channel(QUEUE_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = lost.clone();
        std::thread::Builder::new()
            .name("function-log".into())
            .spawn(move || write_all(&receiver, format, &counter))?;
        Ok(Self { orders, lost })
    }

    /// Waits until everything appended so far is written, or `time_max` has passed. Blocks.
    pub fn flush(&self, time_max: Duration) {
        let (done, waiting) = mpsc::sync_channel(1);
        if self.orders.try_send(Order::Flush(done)).is_ok() {
            let _ = waiting.recv_timeout(time_max);
        }
    }
}

impl LogSink for FunctionLog {
    fn append(&self, entry: Arc<LogEntry>) {
        if self.orders.try_send(Order::Write(entry)).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

fn write_all(orders: &Receiver<Order>, format: LogFormat, lost: &AtomicU64) {
    let mut text = Vec::new();
    while let Ok(order) = orders.recv() {
        // Everything that waits goes out in one write; several workers share the output, so a write ends with a line.
        let mut flushes = Vec::new();
        let mut next = Some(order);
        while let Some(order) = next.take() {
            match order {
                Order::Write(entry) => {
                    let written = match format {
                        LogFormat::Json => writeln!(text, "{}", entry.to_json()),
                        LogFormat::Text => writeln!(text, "{entry}"),
                    };
                    written.expect("a vector takes every byte");
                }
                Order::Flush(done) => flushes.push(done),
            }
            if text.len() < 64 << 10 {
                next = orders.try_recv().ok();
            }
        }
        let count = lost.swap(0, Relaxed);
        if count > 0 {
            tracing::warn!(count, "function log entries dropped: standard output is read too slowly");
        }
        let mut output = io::stdout().lock();
        // A closed output must not end the server.
        let _ = output.write_all(&text).and_then(|()| output.flush());
        drop(output);
        text.clear();
        for done in flushes {
            let _ = done.send(());
        }
    }
}
