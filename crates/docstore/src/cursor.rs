//! Open cursors: results a client fetches in batches.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bson::RawArrayBuf;
use bson::raw::{RawDocumentBuf, cstr};
use parking_lot::Mutex;

use crate::error::{CommandError, CommandResult, code};

/// Documents of a first batch where the client asks for no number.
pub const FIRST_BATCH_DOCUMENTS: usize = 101;
/// Bytes after which a batch ends.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Cursors of one server.
const CURSORS_MAX: usize = 10_000;

/// Results, one after the other.
pub type Results = Box<dyn Iterator<Item = CommandResult<RawDocumentBuf>> + Send>;

/// Results that may grow: a change stream, a tailable cursor.
pub trait Live: Send {
    /// The next result; `None`: there is none for now.
    fn next(&mut self) -> CommandResult<Option<RawDocumentBuf>>;
    /// Does a `getMore` without results wait for some?
    fn awaits(&self) -> bool;
    /// Will there be none ever again?
    fn is_over(&self) -> bool;
    /// Called after each batch: lets go of what need not be held until the next.
    fn pause(&mut self);
    /// Where a stream that ended here goes on.
    fn resume_token(&self) -> Option<RawDocumentBuf>;
}

enum Source {
    Finite(Results),
    Live(Box<dyn Live>),
}

/// What one command takes from a cursor.
pub struct Batch {
    /// Results.
    pub documents: RawArrayBuf,
    /// Their number.
    pub count: usize,
    /// Must the cursor stay open?
    pub has_more: bool,
    /// For change streams: where to go on if the cursor is lost.
    pub resume_token: Option<RawDocumentBuf>,
}

/// A cursor between two commands.
pub struct Cursor {
    /// `database.collection`, as replies name it.
    pub namespace: String,
    source: Source,
    /// A result that did not fit the last batch.
    waiting: Option<RawDocumentBuf>,
    /// Never closed for idleness.
    pub no_timeout: bool,
    /// The session, and the transaction's number if it was opened in one.
    pub owner: (Option<Vec<u8>>, Option<i64>),
    last_used: Instant,
}

impl Cursor {
    /// A cursor over results.
    pub fn new(namespace: String, results: Results) -> Self {
        Self::over(namespace, Source::Finite(results))
    }

    /// A cursor over results that may grow.
    pub fn live(namespace: String, source: Box<dyn Live>) -> Self {
        Self::over(namespace, Source::Live(source))
    }

    fn over(namespace: String, source: Source) -> Self {
        Self { namespace, source, waiting: None, no_timeout: false, owner: (None, None), last_used: Instant::now() }
    }

    /// Does a `getMore` without results wait for some?
    pub fn awaits(&self) -> bool {
        matches!(&self.source, Source::Live(source) if source.awaits())
    }

    /// The next results: at most so many, and about 16 MB.
    pub fn next_batch(&mut self, documents_max: usize) -> CommandResult<Batch> {
        let is_live = matches!(self.source, Source::Live(_));
        let mut batch = Batch { documents: RawArrayBuf::new(), count: 0, has_more: is_live, resume_token: None };
        let mut bytes = 0;
        let mut last_id = None;
        loop {
            // A live cursor has more in any case, so it does not look ahead.
            if is_live && batch.count >= documents_max {
                break;
            }
            let next = match (self.waiting.take(), &mut self.source) {
                (Some(document), _) => Some(document),
                (None, Source::Finite(results)) => results.next().transpose()?,
                (None, Source::Live(source)) => source.next()?,
            };
            let Some(document) = next else {
                last_id = None;
                batch.has_more = matches!(&self.source, Source::Live(source) if !source.is_over());
                break;
            };
            let is_full = batch.count > 0 && bytes + document.as_bytes().len() > BATCH_BYTES_MAX;
            if batch.count >= documents_max || is_full {
                self.waiting = Some(document);
                batch.has_more = true;
                break;
            }
            bytes += document.as_bytes().len();
            batch.count += 1;
            if is_live {
                last_id = document.get_document("_id").ok().map(ToOwned::to_owned);
            }
            batch.documents.push(document);
        }
        if let Source::Live(source) = &mut self.source {
            source.pause();
            batch.resume_token = source.resume_token().map(|token| last_id.unwrap_or(token));
        }
        Ok(batch)
    }
}

/// The open cursors of a server.
pub struct Cursors {
    open: Mutex<HashMap<i64, Slot>>,
    timeout: Duration,
}

enum Slot {
    Idle(Cursor),
    /// A command is using it. Killed meanwhile if the flag is set.
    Busy {
        killed: bool,
    },
}

impl Cursors {
    /// None open; idle ones are closed after `timeout`.
    pub fn new(timeout: Duration) -> Self {
        Self { open: Mutex::new(HashMap::new()), timeout }
    }

    /// Keeps a cursor; returns its id.
    pub fn add(&self, mut cursor: Cursor) -> CommandResult<i64> {
        let mut open = self.open.lock();
        if open.len() >= CURSORS_MAX {
            return Err(CommandError::new(
                code::OPERATION_FAILED,
                format!("too many open cursors: {CURSORS_MAX}; close or exhaust some first"),
            ));
        }
        cursor.last_used = Instant::now();
        loop {
            let id = (crate::random_u64() >> 1) as i64;
            if id != 0 && !open.contains_key(&id) {
                open.insert(id, Slot::Idle(cursor));
                return Ok(id);
            }
        }
    }

    /// Takes a cursor for a command's use; give it back or call [`Cursors::finish`].
    ///
    /// Errors: `CursorNotFound` (43); `CursorInUse` (12051).
    pub fn take(&self, id: i64) -> CommandResult<Cursor> {
        let mut open = self.open.lock();
        match open.get_mut(&id) {
            None => Err(CommandError::new(code::CURSOR_NOT_FOUND, format!("cursor id {id} not found"))),
            Some(Slot::Busy { .. }) => Err(CommandError::new(12051, format!("cursor id {id} is already in use"))),
            Some(slot) => match std::mem::replace(slot, Slot::Busy { killed: false }) {
                Slot::Idle(cursor) => Ok(cursor),
                busy => {
                    *slot = busy;
                    Err(CommandError::new(12051, format!("cursor id {id} is already in use")))
                }
            },
        }
    }

    /// Returns a cursor that has more.
    pub fn give_back(&self, id: i64, mut cursor: Cursor) {
        cursor.last_used = Instant::now();
        let mut open = self.open.lock();
        match open.get(&id) {
            Some(Slot::Busy { killed: false }) => drop(open.insert(id, Slot::Idle(cursor))),
            _ => drop(open.remove(&id)),
        }
    }

    /// Was a cursor that a command is using closed meanwhile?
    pub fn is_killed(&self, id: i64) -> bool {
        !matches!(self.open.lock().get(&id), Some(Slot::Busy { killed: false }))
    }

    /// Forgets a cursor that was taken.
    pub fn finish(&self, id: i64) {
        self.open.lock().remove(&id);
    }

    /// Closes a cursor. False: there is none.
    pub fn kill(&self, id: i64) -> bool {
        let mut open = self.open.lock();
        match open.get_mut(&id) {
            None => false,
            Some(Slot::Busy { killed }) => {
                *killed = true;
                true
            }
            Some(Slot::Idle(_)) => open.remove(&id).is_some(),
        }
    }

    /// Closes what fits.
    pub fn kill_where(&self, fits: impl Fn(&Cursor) -> bool) {
        self.open.lock().retain(|_, slot| !matches!(slot, Slot::Idle(cursor) if fits(cursor)));
    }

    /// Closes what was not used for long.
    pub fn reap(&self) {
        let now = Instant::now();
        self.kill_where(|cursor| !cursor.no_timeout && now.duration_since(cursor.last_used) > self.timeout);
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }
}

/// `{ cursor: { firstBatch: [...], id, ns, postBatchResumeToken? }, ok: 1 }`, or `nextBatch`.
pub fn reply(is_first: bool, batch: &Batch, id: i64, namespace: &str) -> RawDocumentBuf {
    let mut cursor = RawDocumentBuf::new();
    if is_first {
        cursor.append(cstr!("firstBatch"), batch.documents.as_ref());
    } else {
        cursor.append(cstr!("nextBatch"), batch.documents.as_ref());
    }
    cursor.append(cstr!("id"), id);
    cursor.append(cstr!("ns"), namespace);
    if let Some(token) = &batch.resume_token {
        cursor.append(cstr!("postBatchResumeToken"), token.clone());
    }
    let mut reply = RawDocumentBuf::new();
    reply.append(cstr!("cursor"), cursor);
    reply.append(cstr!("ok"), 1.0);
    reply
}
