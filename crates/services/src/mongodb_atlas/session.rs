//! Sessions and transactions (function-environment 7.8).
//!
//! JavaScript numbers its sessions and, within each, its transactions. Every call that belongs to a transaction carries
//! `session: {id, options, transaction: {number, attempt, options}}`; whichever call comes first starts it. So a call that
//! never arrives, because its arguments do not encode, cannot leave the ones after it outside the transaction.

use std::sync::Arc;
use std::time::Duration;

use bson::raw::RawDocumentBuf;
use mongodb::ClientSession;
use mongodb::options::{SelectionCriteria, SessionOptions, TransactionOptions};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::connection::{DataSource, parse_read_preference};
use super::handles::OpenHandles;
use crate::ServiceError;
use crate::arguments::Arguments;
use crate::error::Reply;

/// Longest wait before a transaction is tried again.
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// One session of a run.
#[derive(Default)]
pub(crate) struct OpenSession {
    /// Made at first use: a session that is only created costs nothing.
    session: Option<ClientSession>,
    /// Number of the transaction started last.
    transaction: Option<i32>,
    /// Whether it is neither committed nor aborted.
    is_open: bool,
    /// Whether a denied write aborted it: nothing more may happen as if in it.
    is_denied: bool,
}

/// Exclusive use of a session for one operation.
pub(crate) struct SessionUse {
    /// To be kept by cursors, whose later batches need the session again.
    pub shared: Arc<AsyncMutex<OpenSession>>,
    guard: OwnedMutexGuard<OpenSession>,
    in_transaction: bool,
}

impl SessionUse {
    pub fn session(&mut self) -> &mut ClientSession {
        self.guard.client_session()
    }

    pub fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Gives the transaction up: a denied write leaves nothing of it.
    pub async fn deny(&mut self) {
        self.guard.is_denied = true;
        if std::mem::take(&mut self.guard.is_open)
            && let Err(error) = self.guard.client_session().abort_transaction().await
        {
            tracing::debug!(%error, "a transaction was left to its timeout");
        }
    }
}

impl OpenSession {
    /// The driver's session.
    pub fn client_session(&mut self) -> &mut ClientSession {
        self.session.as_mut().expect("acquire() makes the driver's session before it hands out the use of it")
    }
}

/// Takes the session an operation names, waiting for the operation before it. Starts the transaction if this is its first
/// operation.
pub(crate) async fn acquire(
    source: &DataSource,
    handles: &OpenHandles,
    arguments: Arguments<'_>,
) -> Result<Option<SessionUse>, ServiceError> {
    let Some(argument) = arguments.optional_raw_document("session")? else { return Ok(None) };
    let argument = arguments.nested(argument);
    let shared = handles.session(session_id(argument)?)?;
    let mut guard = Arc::clone(&shared).lock_owned().await;
    if guard.session.is_none() {
        let session = source.client().start_session().with_options(session_options(argument.options()?)?).await?;
        guard.session = Some(session);
    }
    let transaction = argument.optional_raw_document("transaction")?.map(|transaction| argument.nested(transaction));
    if let Some(transaction) = transaction {
        let number = transaction_number(transaction)?;
        if guard.transaction != Some(number) {
            start_transaction(&mut guard, transaction, number).await?;
        } else if guard.is_denied {
            return Err(no_such_transaction("the transaction was aborted: one of its writes was denied"));
        }
    }
    Ok(Some(SessionUse { shared, guard, in_transaction: transaction.is_some() }))
}

async fn start_transaction(open: &mut OpenSession, argument: Arguments<'_>, number: i32) -> Result<(), ServiceError> {
    let attempt = argument.natural("attempt")?.unwrap_or(0);
    if attempt > 0 {
        tokio::time::sleep(backoff(attempt)).await;
    }
    let options = transaction_options(argument.options()?)?;
    open.client_session().start_transaction().with_options(options).await?;
    open.transaction = Some(number);
    open.is_open = true;
    open.is_denied = false;
    Ok(())
}

/// `commitTransaction {session: {id, transaction: {number}}}` → `{}`. Committing again sends the commit again, which is how
/// an unknown outcome is settled.
pub(crate) async fn commit(handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let (shared, number) = named_transaction(handles, arguments)?;
    let mut open = shared.lock().await;
    if open.transaction != Some(number) {
        return Err(no_such_transaction("the transaction was never started: its first operation failed"));
    }
    if open.is_denied {
        return Err(no_such_transaction("the transaction was aborted: one of its writes was denied"));
    }
    // Whatever the answer, it can no longer be aborted.
    open.is_open = false;
    open.client_session().commit_transaction().await?;
    Ok(RawDocumentBuf::new())
}

/// `abortTransaction {session: {id, transaction: {number}}}` → `{}`. Quiet when there is nothing to abort.
pub(crate) async fn abort(handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let (shared, number) = named_transaction(handles, arguments)?;
    let mut open = shared.lock().await;
    if open.transaction == Some(number) && open.is_open {
        open.is_open = false;
        open.client_session().abort_transaction().await?;
    }
    Ok(RawDocumentBuf::new())
}

/// `endSession {session: {id}}` → `{}`. Aborts what is open; should the database not hear of it, it aborts by itself.
pub(crate) async fn end(handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let argument = arguments.nested(arguments.raw_document("session")?);
    if let Some(shared) = handles.forget_session(session_id(argument)?) {
        let mut open = shared.lock().await;
        if open.is_open {
            open.is_open = false;
            if let Err(error) = open.client_session().abort_transaction().await {
                tracing::debug!(%error, "a transaction was left to its timeout");
            }
        }
    }
    Ok(RawDocumentBuf::new())
}

fn no_such_transaction(text: &str) -> ServiceError {
    ServiceError::Command {
        code: 251,
        code_name: "NoSuchTransaction".to_owned(),
        text: text.to_owned(),
        labels: Vec::new(),
    }
}

fn named_transaction(
    handles: &OpenHandles,
    arguments: Arguments<'_>,
) -> Result<(Arc<AsyncMutex<OpenSession>>, i32), ServiceError> {
    let argument = arguments.nested(arguments.raw_document("session")?);
    let transaction = argument.nested(argument.raw_document("transaction")?);
    Ok((handles.session(session_id(argument)?)?, transaction_number(transaction)?))
}

fn session_id(argument: Arguments<'_>) -> Result<i32, ServiceError> {
    small_integer(argument, "id")
}

fn transaction_number(argument: Arguments<'_>) -> Result<i32, ServiceError> {
    small_integer(argument, "number")
}

fn small_integer(argument: Arguments<'_>, key: &str) -> Result<i32, ServiceError> {
    let value = argument.integer(key)?.and_then(|value| i32::try_from(value).ok());
    value.ok_or_else(|| argument.invalid(key, "an integer"))
}

fn session_options(options: Arguments<'_>) -> Result<SessionOptions, ServiceError> {
    let snapshot = options.flag("snapshot")?;
    let mut session_options = SessionOptions::default();
    session_options.snapshot = snapshot;
    session_options.causal_consistency = options.flag("causalConsistency")?;
    if snapshot == Some(true) && session_options.causal_consistency == Some(true) {
        return Err(ServiceError::invalid("startSession: 'snapshot' and 'causalConsistency' exclude each other"));
    }
    Ok(session_options)
}

fn transaction_options(options: Arguments<'_>) -> Result<TransactionOptions, ServiceError> {
    let read_preference = match options.optional_text("readPreference")? {
        Some(mode) => parse_read_preference(mode, None)
            .ok_or_else(|| options.invalid("readPreference", "a read preference mode"))?,
        // Transactions run on the primary, whatever the data source prefers for other reads.
        None => mongodb::options::ReadPreference::Primary,
    };
    let mut transaction_options = TransactionOptions::default();
    transaction_options.selection_criteria = Some(SelectionCriteria::ReadPreference(read_preference));
    transaction_options.read_concern = options.read_concern()?;
    transaction_options.write_concern = options.write_concern()?;
    transaction_options.max_commit_time = match options.milliseconds("maxCommitTimeMS")? {
        Some(time) => Some(time),
        None => options.milliseconds("maxTimeMS")?,
    };
    Ok(transaction_options)
}

/// Grows by half with each attempt, from 5 ms.
fn backoff(attempt: u64) -> Duration {
    let attempt = i32::try_from(attempt.min(32)).unwrap_or(32);
    Duration::from_secs_f64(0.005 * 1.5_f64.powi(attempt)).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_and_is_bounded() {
        assert!(backoff(1) < backoff(2));
        assert_eq!(backoff(1_000_000), BACKOFF_MAX);
    }
}
