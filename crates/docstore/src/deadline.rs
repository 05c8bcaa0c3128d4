//! The time limit of the command a thread runs: set once, checked wherever rows are read.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::error::{CommandError, CommandResult, code};

thread_local! {
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Limits the command this thread is about to run (`maxTimeMS`), or lifts the limit.
pub fn set(limit: Option<Duration>) {
    DEADLINE.set(limit.map(|limit| Instant::now() + limit));
}

/// Takes over the limit of the command another thread runs.
pub fn set_at(limit: Option<Instant>) {
    DEADLINE.set(limit);
}

/// The present limit.
pub fn get() -> Option<Instant> {
    DEADLINE.get()
}

/// Errors: `MaxTimeMSExpired` (50) once the limit has passed.
pub fn check() -> CommandResult<()> {
    match DEADLINE.get() {
        Some(deadline) if Instant::now() >= deadline => {
            Err(CommandError::new(code::MAX_TIME_MS_EXPIRED, "operation exceeded time limit"))
        }
        _ => Ok(()),
    }
}
