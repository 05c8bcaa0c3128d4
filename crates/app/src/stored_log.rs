//! Log entries in the database: written off the path of requests, in batches, for as long as the operator wants them.
//!
//! Invariants: nothing here makes a request wait or fail. Entries wait in a queue with a bound on their number and their
//! bytes; what does not fit is dropped and counted, and the count is told to the operator.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bson::Document;
use services::state::LogStore;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::{LogEntry, LogSink};

/// Entries that may wait.
const QUEUE_MAX: usize = 8_192;
/// Bytes of entries that may wait, roughly.
const QUEUE_BYTES_MAX: usize = 32 << 20;
/// Entries in one write.
const BATCH_MAX: usize = 500;
/// Shortest time from one write to the next. With [`BATCH_MAX`] it bounds what logging may cost the database.
const BATCH_INTERVAL: Duration = Duration::from_millis(500);
/// Pauses after a failed write, doubled from the first to the second.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How often the operator is told of dropped entries, at most.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

enum Order {
    Keep(Arc<LogEntry>),
    /// Answers once everything before it was written, or could not be.
    Flush(oneshot::Sender<()>),
}

/// Keeps entries in the databases of their apps.
#[derive(Debug)]
pub struct StoredLog {
    orders: mpsc::Sender<Order>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    dropped: AtomicU64,
}

impl StoredLog {
    /// Starts the task that writes. Must be called inside of a tokio runtime. `stores` are by client app id.
    pub fn start(stores: HashMap<String, LogStore>, lifetime: Duration) -> Self {
        let (orders, inbox) = mpsc::channel(QUEUE_MAX);
        let counts = Arc::new(Counts::default());
        let writer = Writer { stores, lifetime, counts: Arc::clone(&counts), is_failing: false, last_report: None };
        tokio::spawn(writer.run(inbox));
        Self { orders, counts }
    }

    /// Waits until everything appended so far is written, or `time_max` has passed.
    pub async fn flush(&self, time_max: Duration) {
        let (done, waiting) = oneshot::channel();
        let flush = async {
            if self.orders.send(Order::Flush(done)).await.is_ok() {
                let _ = waiting.await;
            }
        };
        // What is still waiting then is lost; the writer has said why it could not write.
        let _ = tokio::time::timeout(time_max, flush).await;
    }

    /// Entries dropped since the operator was last told.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }
}

impl LogSink for StoredLog {
    fn append(&self, entry: Arc<LogEntry>) {
        let size = entry.size();
        let before = self.counts.waiting_bytes.fetch_add(size, Ordering::Relaxed);
        let fits = before.saturating_add(size) <= QUEUE_BYTES_MAX;
        if !fits || self.orders.try_send(Order::Keep(entry)).is_err() {
            self.counts.waiting_bytes.fetch_sub(size, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Writer {
    stores: HashMap<String, LogStore>,
    lifetime: Duration,
    counts: Arc<Counts>,
    is_failing: bool,
    last_report: Option<Instant>,
}

impl Writer {
    async fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        let mut flushes = Vec::new();
        while let Some(order) = inbox.recv().await {
            let mut batch: HashMap<String, Vec<Document>> = HashMap::new();
            let mut size = 0;
            let mut count = 0;
            let mut next = Some(order);
            // A moment for others to join the same write, unless somebody waits for it.
            let deadline = Instant::now() + BATCH_INTERVAL;
            while let Some(order) = next.take() {
                match order {
                    Order::Flush(done) => flushes.push(done),
                    Order::Keep(entry) => {
                        size += entry.size();
                        count += 1;
                        batch.entry(entry.client_app_id().to_owned()).or_default().push(entry.to_document());
                    }
                }
                if count >= BATCH_MAX {
                    break;
                }
                next = match flushes.is_empty() {
                    true => tokio::time::timeout_at(deadline, inbox.recv()).await.ok().flatten(),
                    false => inbox.try_recv().ok(),
                };
            }
            self.counts.waiting_bytes.fetch_sub(size, Ordering::Relaxed);
            self.write(batch, &inbox, !flushes.is_empty()).await;
            self.report_dropped();
            // Only those that waited before the queue was seen empty may go on.
            if inbox.is_empty() {
                for done in flushes.drain(..) {
                    // Whoever waited may have given up.
                    let _ = done.send(());
                }
            } else if flushes.is_empty() {
                tokio::time::sleep_until(deadline).await;
            }
        }
    }

    /// Writes until it has succeeded. Meanwhile the queue fills, and what no longer fits is dropped.
    async fn write(
        &mut self,
        mut batch: HashMap<String, Vec<Document>>,
        inbox: &mpsc::Receiver<Order>,
        is_waited_for: bool,
    ) {
        let mut pause = RETRY_MIN;
        loop {
            let mut failure = None;
            let mut left = HashMap::new();
            for (app_id, entries) in batch {
                let Some(store) = self.stores.get(&app_id) else { continue };
                if let Err(error) = store.append(entries.clone(), self.lifetime).await {
                    failure = Some(error);
                    left.insert(app_id, entries);
                }
            }
            let Some(error) = failure else { break };
            if !self.is_failing {
                self.is_failing = true;
                tracing::warn!(%error, "log entries cannot be stored; they are kept for a while and tried again");
            }
            self.report_dropped();
            // At the end of the process nobody waits for a database to come back.
            let is_ending = is_waited_for || inbox.is_closed();
            if is_ending {
                let count: usize = left.values().map(Vec::len).sum();
                tracing::warn!(count, "log entries lost: the database does not take them");
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
            batch = left;
        }
        if self.is_failing {
            self.is_failing = false;
            tracing::info!("log entries are stored again");
        }
    }

    fn report_dropped(&mut self) {
        if self.last_report.is_some_and(|last| last.elapsed() < REPORT_INTERVAL) {
            return;
        }
        let count = self.counts.dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            self.last_report = Some(Instant::now());
            tracing::warn!(count, "log entries dropped: they come faster than they can be stored");
        }
    }
}

/// Hands every entry to several sinks.
pub struct LogSinks(pub Vec<Arc<dyn LogSink>>);

impl LogSink for LogSinks {
    fn append(&self, entry: Arc<LogEntry>) {
        for sink in &self.0 {
            sink.append(Arc::clone(&entry));
        }
    }
}
