//! Cursors and sessions that one run holds open.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

use super::cursor::OpenCursor;
use super::session::OpenSession;
use crate::{ServiceError, ServiceLimits};

/// Cursors and sessions that one run holds open. Dropping it, or [`OpenHandles::end`], closes all of them: the driver kills
/// the cursors and aborts the transactions in the background.
pub(crate) struct OpenHandles {
    limits: ServiceLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ended: bool,
    last_cursor: i32,
    cursors: HashMap<i32, Arc<AsyncMutex<OpenCursor>>>,
    sessions: HashMap<i32, Arc<AsyncMutex<OpenSession>>>,
}

impl OpenHandles {
    pub fn new(limits: ServiceLimits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    pub fn limits(&self) -> &ServiceLimits {
        &self.limits
    }

    pub fn is_ended(&self) -> bool {
        self.state().ended
    }

    pub fn end(&self) {
        let (cursors, sessions) = {
            let mut state = self.state();
            state.ended = true;
            (std::mem::take(&mut state.cursors), std::mem::take(&mut state.sessions))
        };
        // Cursors of a session before the session: the kill belongs to its transaction.
        drop(cursors);
        drop(sessions);
    }

    /// Keeps a cursor for later batches and gives the number that names it in this run.
    pub fn keep_cursor(&self, cursor: OpenCursor) -> Result<i32, ServiceError> {
        let mut state = self.state();
        if state.ended {
            return Err(ServiceError::RunEnded);
        }
        if state.cursors.len() >= self.limits.open_cursors_max {
            return Err(ServiceError::LimitReached {
                text: format!(
                    "too many open cursors: a run may hold {}; read them to the end or close them",
                    self.limits.open_cursors_max
                ),
            });
        }
        state.last_cursor = state.last_cursor.checked_add(1).ok_or(ServiceError::RunEnded)?;
        let id = state.last_cursor;
        state.cursors.insert(id, Arc::new(AsyncMutex::new(cursor)));
        Ok(id)
    }

    pub fn cursor(&self, id: i32) -> Option<Arc<AsyncMutex<OpenCursor>>> {
        self.state().cursors.get(&id).cloned()
    }

    pub fn forget_cursor(&self, id: i32) -> Option<Arc<AsyncMutex<OpenCursor>>> {
        self.state().cursors.remove(&id)
    }

    /// The session with this number, made when it is first named.
    pub fn session(&self, id: i32) -> Result<Arc<AsyncMutex<OpenSession>>, ServiceError> {
        let mut state = self.state();
        if state.ended {
            return Err(ServiceError::RunEnded);
        }
        let open = state.sessions.len();
        if open >= self.limits.open_sessions_max && !state.sessions.contains_key(&id) {
            return Err(ServiceError::LimitReached {
                text: format!(
                    "too many open sessions: a run may hold {}; call endSession()",
                    self.limits.open_sessions_max
                ),
            });
        }
        Ok(Arc::clone(state.sessions.entry(id).or_default()))
    }

    pub fn forget_session(&self, id: i32) -> Option<Arc<AsyncMutex<OpenSession>>> {
        self.state().sessions.remove(&id)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The maps are whole between any two statements, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for OpenHandles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        formatter
            .debug_struct("OpenHandles")
            .field("ended", &state.ended)
            .field("cursors", &state.cursors.len())
            .field("sessions", &state.sessions.len())
            .finish_non_exhaustive()
    }
}
