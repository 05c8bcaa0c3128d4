//! Logical sessions: which transaction each has open.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::{CommandError, CommandResult, TRANSIENT_TRANSACTION_ERROR, code};
use crate::store::{Store, Transaction};

/// Sessions of one server.
const SESSIONS_MAX: usize = 100_000;

/// One session.
pub struct Session {
    last_used: Instant,
    /// Number of the latest transaction or retryable write.
    pub number: i64,
    /// What became of the transaction of that number.
    pub state: TransactionState,
}

/// Where a session's transaction stands.
pub enum TransactionState {
    /// The number is a retryable write's, or none was used yet.
    None,
    /// Open since.
    Open(Box<Transaction>, Instant),
    /// Done, durably.
    Committed,
    /// Gone.
    Aborted,
}

impl Session {
    /// The error for a command of a transaction that is not open.
    pub fn no_such_transaction(&self, number: i64) -> CommandError {
        let message = if number == self.number {
            format!("Transaction {number} has been aborted.")
        } else {
            format!(
                "Given transaction number {number} does not match any in-progress transactions. The active transaction number is {}",
                self.number
            )
        };
        CommandError::new(code::NO_SUCH_TRANSACTION, message).with_label(TRANSIENT_TRANSACTION_ERROR)
    }

    /// Begins a transaction of a new number.
    ///
    /// Errors: `TransactionTooOld` (225), `ConflictingOperationInProgress` (117).
    pub fn begin(&mut self, store: &Arc<Store>, number: i64) -> CommandResult<()> {
        if number < self.number {
            return Err(CommandError::new(
                code::TRANSACTION_TOO_OLD,
                format!(
                    "Cannot start transaction {number} because a newer transaction with txnNumber {} has already started on this session.",
                    self.number
                ),
            ));
        }
        if number == self.number && !matches!(self.state, TransactionState::None) {
            return Err(CommandError::new(
                117,
                format!("Cannot start transaction {number}: a transaction of that number has already started"),
            ));
        }
        self.number = number;
        // The old one, if still open, goes first: it may hold what the new one wants.
        self.state = TransactionState::Aborted;
        self.state = TransactionState::Open(Box::new(store.begin()), Instant::now());
        Ok(())
    }
}

/// The sessions of a server.
pub struct Sessions {
    known: Mutex<HashMap<Vec<u8>, Arc<Mutex<Session>>>>,
    idle_max: Duration,
    transaction_max: Duration,
}

impl Sessions {
    /// None yet. Sessions end after `idle_max` without use, transactions `transaction_max` after they began.
    pub fn new(idle_max: Duration, transaction_max: Duration) -> Self {
        Self { known: Mutex::new(HashMap::new()), idle_max, transaction_max }
    }

    /// The session of this id, new if unknown.
    ///
    /// Errors: `TooManyLogicalSessions` (261).
    pub fn get(&self, id: &[u8]) -> CommandResult<Arc<Mutex<Session>>> {
        let mut known = self.known.lock();
        if let Some(session) = known.get(id) {
            let session = Arc::clone(session);
            drop(known);
            if let Some(mut session) = session.try_lock() {
                session.last_used = Instant::now();
            }
            return Ok(session);
        }
        if known.len() >= SESSIONS_MAX {
            return Err(CommandError::new(
                code::TOO_MANY_LOGICAL_SESSIONS,
                format!("cannot add session: {SESSIONS_MAX} are open"),
            ));
        }
        let session = Session { last_used: Instant::now(), number: -1, state: TransactionState::None };
        let session = Arc::new(Mutex::new(session));
        known.insert(id.to_vec(), Arc::clone(&session));
        Ok(session)
    }

    /// Ends a session and aborts its transaction.
    pub fn end(&self, id: &[u8]) {
        let session = self.known.lock().remove(id);
        if let Some(session) = session {
            session.lock().state = TransactionState::Aborted;
        }
    }

    /// Ids of all sessions.
    pub fn ids(&self) -> Vec<Vec<u8>> {
        self.known.lock().keys().cloned().collect()
    }

    /// Aborts transactions that are open too long; forgets idle sessions. Returns the ids of forgotten ones.
    pub fn reap(&self) -> Vec<Vec<u8>> {
        let now = Instant::now();
        let all: Vec<(Vec<u8>, Arc<Mutex<Session>>)> =
            self.known.lock().iter().map(|(id, session)| (id.clone(), Arc::clone(session))).collect();
        let mut ended = Vec::new();
        for (id, session) in all {
            // A session in use is looked at next time; its command is bounded itself.
            let Some(mut session) = session.try_lock() else { continue };
            if let TransactionState::Open(_, since) = &session.state
                && now.duration_since(*since) > self.transaction_max
            {
                session.state = TransactionState::Aborted;
            }
            if now.duration_since(session.last_used) > self.idle_max {
                session.state = TransactionState::Aborted;
                ended.push(id);
            }
        }
        let mut known = self.known.lock();
        for id in &ended {
            known.remove(id);
        }
        ended
    }

    /// Aborts every open transaction.
    pub fn abort_all(&self) {
        let all: Vec<_> = self.known.lock().values().map(Arc::clone).collect();
        for session in all {
            session.lock().state = TransactionState::Aborted;
        }
    }
}
