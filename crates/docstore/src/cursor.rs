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

/// A cursor between two commands.
pub struct Cursor {
    /// `database.collection`, as replies name it.
    pub namespace: String,
    results: Results,
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
        Self { namespace, results, waiting: None, no_timeout: false, owner: (None, None), last_used: Instant::now() }
    }

    /// The next results: at most so many, and about 16 MB. The flag: are there more?
    pub fn next_batch(&mut self, documents_max: usize) -> CommandResult<(RawArrayBuf, bool)> {
        let mut batch = RawArrayBuf::new();
        let mut bytes = 0;
        let mut count = 0;
        loop {
            let next = match self.waiting.take() {
                Some(document) => Some(document),
                None => self.results.next().transpose()?,
            };
            let Some(document) = next else { return Ok((batch, false)) };
            if count >= documents_max || (count > 0 && bytes + document.as_bytes().len() > BATCH_BYTES_MAX) {
                self.waiting = Some(document);
                return Ok((batch, true));
            }
            bytes += document.as_bytes().len();
            count += 1;
            batch.push(document);
        }
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

/// `{ cursor: { firstBatch: [...], id, ns }, ok: 1 }`, or `nextBatch`.
pub fn reply(is_first: bool, batch: &RawArrayBuf, id: i64, namespace: &str) -> RawDocumentBuf {
    let mut cursor = RawDocumentBuf::new();
    if is_first {
        cursor.append(cstr!("firstBatch"), batch.as_ref());
    } else {
        cursor.append(cstr!("nextBatch"), batch.as_ref());
    }
    cursor.append(cstr!("id"), id);
    cursor.append(cstr!("ns"), namespace);
    let mut reply = RawDocumentBuf::new();
    reply.append(cstr!("cursor"), cursor);
    reply.append(cstr!("ok"), 1.0);
    reply
}
