//! Reading ahead: what feeds a stage that needs all rows anyway runs in a thread of its own, beside the stage.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use super::{Row, Rows};
use crate::deadline;
use crate::error::{CommandError, CommandResult};

/// Rows read before a thread is worth its start.
const ALONE: usize = 1_000;
/// Rows handed over at a time.
const BATCH: usize = 256;
/// Batches that may wait.
const WAITING: usize = 4;
/// As much as a connection's: the stages before run there.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Threads of this kind; no more than there are processors.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// The same rows. Only for who reads them to the end without a pause.
pub(super) fn read_ahead(rows: Rows) -> Rows {
    Box::new(Ahead { source: Source::Here { rows, read: 0 } })
}

struct Ahead {
    source: Source,
}

enum Source {
    Here { rows: Rows, read: usize },
    There(Reader),
    Over,
}

struct Reader {
    batches: Receiver<Vec<CommandResult<Row>>>,
    batch: std::vec::IntoIter<CommandResult<Row>>,
    thread: JoinHandle<()>,
}

/// Counts a thread for as long as it lives.
struct Permit;

impl Permit {
    fn take() -> Option<Self> {
        let most = std::thread::available_parallelism().map_or(1, usize::from);
        let taken = THREADS.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < most).then_some(now + 1));
        taken.is_ok().then_some(Self)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::AcqRel);
    }
}

fn spawn(rows: Rows) -> Result<Reader, Rows> {
    let Some(permit) = Permit::take() else { return Err(rows) };
    let (sender, batches) = sync_channel(WAITING);
    let limit = deadline::get();
    // Handed over by the slot, so that it comes back when there is no thread to be had.
    let slot = std::sync::Arc::new(parking_lot::Mutex::new(Some(rows)));
    let given = std::sync::Arc::clone(&slot);
    let thread =
        std::thread::Builder::new().name("docstore-ahead".to_owned()).stack_size(STACK_BYTES).spawn(move || {
            let _permit = permit;
            deadline::set_at(limit);
            let Some(mut rows) = given.lock().take() else { return };
            loop {
                let batch: Vec<_> = rows.by_ref().take(BATCH).collect();
                let is_last = batch.len() < BATCH;
                // Nobody listens any more: whoever wanted the rows is done.
                if sender.send(batch).is_err() || is_last {
                    return;
                }
            }
        });
    match thread {
        Ok(thread) => Ok(Reader { batches, batch: Vec::new().into_iter(), thread }),
        Err(_) => Err(slot.lock().take().unwrap_or_else(|| Box::new(std::iter::empty()))),
    }
}

impl Iterator for Ahead {
    type Item = CommandResult<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match &mut self.source {
                Source::Here { rows, read } => {
                    *read += 1;
                    // Asked again now and then, while all threads are taken.
                    if *read % ALONE != 0 {
                        return rows.next();
                    }
                    let rows = std::mem::replace(rows, Box::new(std::iter::empty()));
                    self.source = match spawn(rows) {
                        Ok(reader) => Source::There(reader),
                        Err(rows) => Source::Here { rows, read: 0 },
                    };
                }
                Source::There(reader) => {
                    if let Some(row) = reader.batch.next() {
                        return Some(row);
                    }
                    match reader.batches.recv() {
                        Ok(batch) => reader.batch = batch.into_iter(),
                        Err(_) => {
                            let Source::There(reader) = std::mem::replace(&mut self.source, Source::Over) else {
                                return None;
                            };
                            if reader.thread.join().is_err() {
                                return Some(Err(CommandError::internal("a stage failed by a mistake of the store")));
                            }
                        }
                    }
                }
                Source::Over => return None,
            }
        }
    }
}
