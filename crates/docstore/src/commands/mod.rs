//! Commands: from the command document to the reply.
//!
//! `run` is the one way in. It finds the session, the transaction and the retryable write a command belongs to, hands the
//! command to its function, and makes the reply from what that returns.

mod access;
mod admin;
mod change_stream;
mod diagnostic;
mod explain;
mod fields;
mod indexes;
mod read;
mod retry;
mod tailable;
mod ttl;
mod write;

use std::sync::Arc;
use std::time::Duration;

use bson::raw::RawDocumentBuf;
use bson::{Bson, Document, doc};

use crate::catalog::{Catalog, Collection, Namespace};
use crate::error::{CommandError, CommandResult, RETRYABLE_WRITE_ERROR, TRANSIENT_TRANSACTION_ERROR, code};
use crate::query::{Collation, QueryContext, ValueRef};
use crate::server::Shared;
use crate::session::TransactionState;
use crate::store::{Transaction, View, Writes};
use crate::wire::Message;
use crate::{bytes, deadline};

pub use retry::forget as forget_retryable;
pub use ttl::expire_documents;

/// What one connection remembers between commands.
pub struct Connection {
    /// Its number.
    pub id: u64,
}

impl Connection {
    /// A connection just made.
    pub fn new(id: u64) -> Self {
        Self { id }
    }
}

/// The command being run.
pub struct Call<'a> {
    /// The server.
    pub shared: &'a Arc<Shared>,
    /// Number of the connection.
    pub connection: u64,
    /// The command document.
    pub body: &'a Document,
    /// Documents that came with it.
    pub message: &'a mut Message,
    /// `$db`.
    pub database: String,
    /// The multi-document transaction it belongs to.
    pub transaction: Option<&'a mut Transaction>,
    /// `lsid.id`.
    pub session: Option<Vec<u8>>,
    /// `txnNumber`.
    pub number: Option<i64>,
}

/// What a command answers.
pub enum Reply {
    /// `ok: 1` is added.
    Document(Document),
    /// Complete.
    Raw(RawDocumentBuf),
}

impl From<Document> for Reply {
    fn from(document: Document) -> Self {
        Self::Document(document)
    }
}

type Handler = fn(&mut Call<'_>) -> CommandResult<Reply>;

/// How a command goes with transactions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InTransaction {
    Allowed,
    Refused,
}

use InTransaction::{Allowed, Refused};

/// All commands: lower-case name, name, handler, whether a multi-document transaction may hold it.
const COMMANDS: &[(&str, Handler, InTransaction)] = &[
    ("hello", diagnostic::hello, Allowed),
    ("isMaster", diagnostic::is_master, Allowed),
    ("ismaster", diagnostic::is_master, Allowed),
    ("ping", diagnostic::ping, Refused),
    ("buildInfo", diagnostic::build_info, Refused),
    ("buildinfo", diagnostic::build_info, Refused),
    ("serverStatus", diagnostic::server_status, Refused),
    ("connectionStatus", diagnostic::connection_status, Refused),
    ("getParameter", diagnostic::get_parameter, Refused),
    ("getCmdLineOpts", diagnostic::get_command_line, Refused),
    ("getLog", diagnostic::get_log, Refused),
    ("hostInfo", diagnostic::host_info, Refused),
    ("whatsmyuri", diagnostic::whats_my_uri, Refused),
    ("listCommands", diagnostic::list_commands, Refused),
    ("features", diagnostic::features, Refused),
    ("replSetGetStatus", diagnostic::replica_set_status, Refused),
    ("getFreeMonitoringStatus", diagnostic::free_monitoring, Refused),
    ("currentOp", diagnostic::current_op, Refused),
    ("killOp", diagnostic::kill_op, Refused),
    ("startSession", diagnostic::start_session, Refused),
    ("endSessions", diagnostic::end_sessions, Refused),
    ("refreshSessions", diagnostic::refresh_sessions, Refused),
    ("killSessions", diagnostic::end_sessions_by_id, Refused),
    ("killAllSessions", diagnostic::kill_all_sessions, Refused),
    ("listDatabases", admin::list_databases, Refused),
    ("listCollections", admin::list_collections, Refused),
    ("create", admin::create, Allowed),
    ("collMod", admin::coll_mod, Refused),
    ("drop", admin::drop_collection, Refused),
    ("dropDatabase", admin::drop_database, Refused),
    ("renameCollection", admin::rename_collection, Refused),
    ("collStats", admin::coll_stats, Refused),
    ("collstats", admin::coll_stats, Refused),
    ("dbStats", admin::db_stats, Refused),
    ("dbstats", admin::db_stats, Refused),
    ("validate", admin::validate, Refused),
    ("fsync", admin::fsync, Refused),
    ("createIndexes", indexes::create_indexes, Allowed),
    ("listIndexes", indexes::list_indexes, Refused),
    ("dropIndexes", indexes::drop_indexes, Refused),
    ("deleteIndexes", indexes::drop_indexes, Refused),
    ("find", read::find, Allowed),
    ("getMore", read::get_more, Allowed),
    ("killCursors", read::kill_cursors, Allowed),
    ("count", read::count, Refused),
    ("distinct", read::distinct, Allowed),
    ("aggregate", read::aggregate, Allowed),
    ("explain", explain::explain, Refused),
    ("insert", write::insert, Allowed),
    ("update", write::update, Allowed),
    ("delete", write::delete, Allowed),
    ("findAndModify", write::find_and_modify, Allowed),
    ("findandmodify", write::find_and_modify, Allowed),
    ("bulkWrite", write::bulk_write, Allowed),
    ("commitTransaction", commit_outside, Allowed),
    ("abortTransaction", commit_outside, Allowed),
];

/// Names of all commands.
pub fn names() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|(name, _, _)| *name)
}

/// Runs one command. Never fails: errors become replies.
pub fn run(shared: &Arc<Shared>, connection: &mut Connection, message: &mut Message) -> RawDocumentBuf {
    let outcome = match std::mem::replace(&mut message.body, Ok(Document::new())) {
        Ok(body) => run_command(shared, connection, &body, message),
        Err(error) => Err(error),
    };
    deadline::set(None);
    let reply = outcome.unwrap_or_else(|error| {
        tracing::debug!(code = error.code, error = %error.message, "a command failed");
        Reply::Document(error.to_reply())
    });
    let raw = match reply {
        Reply::Raw(raw) => raw,
        Reply::Document(mut document) => {
            if !document.contains_key("ok") {
                document.insert("ok", 1.0);
            }
            match bytes::raw_from_document(&document) {
                Ok(raw) => raw,
                Err(error) => bytes::raw_from_document(&error.to_reply()).unwrap_or_default(),
            }
        }
    };
    crate::server::with_cluster_time(raw, shared.store.current_time())
}

fn run_command(
    shared: &Arc<Shared>,
    connection: &mut Connection,
    body: &Document,
    message: &mut Message,
) -> CommandResult<Reply> {
    let Some(name) = body.keys().next() else {
        return Err(CommandError::new(code::COMMAND_NOT_FOUND, "no such command: ''"));
    };
    let Some((_, handler, in_transaction)) = COMMANDS.iter().find(|(known, _, _)| known == name) else {
        return Err(CommandError::new(code::COMMAND_NOT_FOUND, format!("no such command: '{name}'")));
    };
    let database = match body.get("$db") {
        Some(Bson::String(database)) => database.clone(),
        Some(_) => return Err(CommandError::type_mismatch("'$db' must be a string")),
        None => {
            return Err(CommandError::new(40571, "OP_MSG requests require a $db argument"));
        }
    };
    crate::catalog::check_database_name(&database)?;
    let limit = body.get("maxTimeMS").map(time_limit).transpose()?.flatten();
    deadline::set(if *name == "getMore" { None } else { limit });
    check_api(body)?;
    let session_id = match body.get("lsid") {
        Some(Bson::Document(lsid)) => Some(session_key(lsid)?),
        Some(_) => {
            return Err(CommandError::type_mismatch("BSON field 'lsid' is the wrong type, expected type 'object'"));
        }
        None => None,
    };
    let number = match body.get("txnNumber") {
        None => None,
        Some(Bson::Int64(number)) if *number >= 0 => Some(*number),
        Some(_) => return Err(CommandError::new(code::INVALID_OPTIONS, "txnNumber must be a non-negative long")),
    };
    let mut call = Call {
        shared,
        connection: connection.id,
        body,
        message,
        database,
        transaction: None,
        session: session_id.clone(),
        number,
    };
    let Some(session_id) = session_id else {
        if number.is_some() {
            return Err(CommandError::new(
                code::INVALID_OPTIONS,
                "Transaction number requires a session ID to be specified",
            ));
        }
        return handler(&mut call);
    };
    let session = shared.sessions.get(&session_id)?;
    let is_transaction = body.get("autocommit").is_some();
    if !is_transaction {
        if body.get_bool("startTransaction").unwrap_or(false) {
            return Err(CommandError::new(
                code::INVALID_OPTIONS,
                "Specifying startTransaction=true requires autocommit=false",
            ));
        }
        if let Some(number) = number {
            let mut session = session.lock();
            if number < session.number {
                return Err(CommandError::new(
                    code::TRANSACTION_TOO_OLD,
                    format!(
                        "Retryable write with txnNumber {number} is prohibited on session because a newer retryable write with txnNumber {} has already started on this session.",
                        session.number
                    ),
                ));
            }
            if number > session.number {
                session.number = number;
                session.state = TransactionState::None;
            }
        }
        return handler(&mut call).map_err(|error| label_retryable(error, number));
    }
    let number = number.ok_or_else(|| {
        CommandError::new(
            code::INVALID_OPTIONS,
            "'autocommit' field requires a transaction number to also be specified",
        )
    })?;
    if body.get_bool("autocommit").unwrap_or(true) {
        return Err(CommandError::new(code::INVALID_OPTIONS, "Specifying autocommit=true is not allowed."));
    }
    let mut session = session.lock();
    match name.as_str() {
        "commitTransaction" => return commit(shared, &mut session, number, &session_id),
        "abortTransaction" => return abort(shared, &mut session, number, &session_id),
        _ => {}
    }
    let refuse = |error: CommandError| {
        // A refusal ends the transaction as any error does.
        error
    };
    if body.get_bool("startTransaction").unwrap_or(false) {
        check_transaction_concern(body)?;
        session.begin(&shared.store, number)?;
    }
    if number != session.number {
        return Err(session.no_such_transaction(number));
    }
    match &session.state {
        TransactionState::Open(..) => {}
        TransactionState::Committed => {
            return Err(CommandError::new(
                code::TRANSACTION_COMMITTED,
                format!("Transaction {number} has been committed."),
            ));
        }
        TransactionState::None | TransactionState::Aborted => return Err(session.no_such_transaction(number)),
    }
    let outcome = if *in_transaction == Refused {
        let advice = match name.as_str() {
            "count" => " Please see http://dochub.mongodb.org/core/transaction-count for a recommended alternative.",
            _ => "",
        };
        Err(refuse(CommandError::new(
            code::OPERATION_NOT_SUPPORTED_IN_TRANSACTION,
            format!("Cannot run '{name}' in a multi-document transaction.{advice}"),
        )))
    } else if let TransactionState::Open(transaction, _) = &mut session.state {
        call.transaction = Some(transaction);
        handler(&mut call)
    } else {
        Err(session.no_such_transaction(number))
    };
    let is_failed = match &outcome {
        Err(_) => true,
        Ok(Reply::Document(reply)) => {
            reply.contains_key("writeErrors") || reply.get("nErrors").is_some_and(|errors| *errors != Bson::Int32(0))
        }
        Ok(Reply::Raw(_)) => false,
    };
    if is_failed {
        session.state = TransactionState::Aborted;
        close_cursors(shared, &session_id, number);
    }
    outcome.map_err(|error| match error.code {
        code::WRITE_CONFLICT | code::NO_SUCH_TRANSACTION | code::INTERRUPTED_AT_SHUTDOWN => {
            error.with_label(TRANSIENT_TRANSACTION_ERROR)
        }
        _ => error,
    })
}

fn label_retryable(mut error: CommandError, number: Option<i64>) -> CommandError {
    // Outside a transaction the label means nothing to a driver.
    error.labels.retain(|label| *label != TRANSIENT_TRANSACTION_ERROR);
    match error.code {
        code::SHUTDOWN_IN_PROGRESS | code::INTERRUPTED_AT_SHUTDOWN if number.is_some() => {
            error.with_label(RETRYABLE_WRITE_ERROR)
        }
        _ => error,
    }
}

fn check_transaction_concern(body: &Document) -> CommandResult<()> {
    if body.contains_key("writeConcern") {
        return Err(CommandError::new(
            code::INVALID_OPTIONS,
            "writeConcern is not allowed within a multi-statement transaction except on its commit or abort",
        ));
    }
    let level = body.get_document("readConcern").ok().and_then(|concern| concern.get_str("level").ok());
    match level {
        None | Some("local" | "majority" | "snapshot") => Ok(()),
        Some(_) => Err(CommandError::new(
            code::INVALID_OPTIONS,
            "The readConcern level must be either 'local', 'majority' or 'snapshot' in order to run in a transaction",
        )),
    }
}

fn commit(
    shared: &Arc<Shared>,
    session: &mut crate::session::Session,
    number: i64,
    session_id: &[u8],
) -> CommandResult<Reply> {
    if number != session.number {
        return Err(session.no_such_transaction(number));
    }
    match std::mem::replace(&mut session.state, TransactionState::Aborted) {
        TransactionState::Open(mut transaction, _) => {
            transaction.set_origin(session_id, number);
            shared.store.commit(*transaction)?;
            shared.store.next_time();
            session.state = TransactionState::Committed;
            Ok(Document::new().into())
        }
        TransactionState::Committed => {
            session.state = TransactionState::Committed;
            Ok(Document::new().into())
        }
        state => {
            session.state = state;
            Err(session.no_such_transaction(number))
        }
    }
}

fn abort(
    shared: &Arc<Shared>,
    session: &mut crate::session::Session,
    number: i64,
    session_id: &[u8],
) -> CommandResult<Reply> {
    if number != session.number {
        return Err(session.no_such_transaction(number));
    }
    match &session.state {
        TransactionState::Open(..) => {
            session.state = TransactionState::Aborted;
            close_cursors(shared, session_id, number);
            Ok(Document::new().into())
        }
        TransactionState::Committed => {
            Err(CommandError::new(code::TRANSACTION_COMMITTED, format!("Transaction {number} has been committed.")))
        }
        TransactionState::None | TransactionState::Aborted => Err(session.no_such_transaction(number)),
    }
}

fn commit_outside(call: &mut Call<'_>) -> CommandResult<Reply> {
    let name = call.body.keys().next().map(String::as_str).unwrap_or_default();
    Err(CommandError::new(code::INVALID_OPTIONS, format!("{name} must be run within a transaction")))
}

fn close_cursors(shared: &Shared, session_id: &[u8], number: i64) {
    shared.cursors.kill_where(|cursor| cursor.owner.1 == Some(number) && cursor.owner.0.as_deref() == Some(session_id));
}

/// `apiVersion: "1"` is taken; other versions are not known.
fn check_api(body: &Document) -> CommandResult<()> {
    match body.get("apiVersion") {
        None => Ok(()),
        Some(Bson::String(version)) if version == "1" => Ok(()),
        Some(_) => Err(CommandError::new(code::API_VERSION_ERROR, "API version must be \"1\"")),
    }
}

fn time_limit(value: &Bson) -> CommandResult<Option<Duration>> {
    let number = ValueRef::from(value);
    if !number.is_number() {
        return Err(CommandError::bad_value("maxTimeMS must be a number"));
    }
    match number.as_exact_i64().or_else(|| number.as_f64().map(|number| number as i64)) {
        Some(0) => Ok(None),
        Some(millis) if (1..=i64::from(i32::MAX)).contains(&millis) => {
            Ok(Some(Duration::from_millis(millis.unsigned_abs())))
        }
        _ => Err(CommandError::bad_value(format!("{} value for maxTimeMS is out of range", value))),
    }
}

/// The bytes a session is known by: its UUID, and the user's digest if one is given.
pub fn session_key(lsid: &Document) -> CommandResult<Vec<u8>> {
    match lsid.get("id") {
        Some(Bson::Binary(id)) if id.bytes.len() == 16 => Ok(id.bytes.clone()),
        _ => Err(CommandError::new(code::INVALID_UUID, "lsid.id must be a UUID")),
    }
}

/// What a reading command sees.
pub struct ReadPoint {
    /// Documents.
    pub view: View,
    /// Collections.
    pub catalog: Arc<Catalog>,
    /// The sequence reads of counters go by: true inside a multi-document transaction.
    pub is_transaction: bool,
}

impl ReadPoint {
    /// The collection of this name.
    pub fn collection(&self, namespace: &Namespace) -> Option<Arc<Collection>> {
        self.catalog.get(namespace).map(Arc::clone)
    }
}

impl<'a> Call<'a> {
    /// The collection a command names by its first field.
    ///
    /// Errors: as of [`Namespace::new`]; `style` says how a wrong type is told.
    pub fn namespace(&self) -> CommandResult<Namespace> {
        let Some((name, value)) = self.body.iter().next() else {
            return Err(CommandError::bad_value("empty command"));
        };
        match value {
            Bson::String(collection) => Namespace::new(&self.database, collection),
            other => {
                let shown = fields::show(other);
                if name == "find" {
                    return Err(CommandError::failed_to_parse(format!(
                        "Failed to parse: {name}: {shown}. '{name}' field must be of BSON type string."
                    )));
                }
                Err(CommandError::new(
                    code::INVALID_NAMESPACE,
                    format!("collection name has invalid type {}", ValueRef::from(other).type_name()),
                ))
            }
        }
    }

    /// What the command sees: the transaction's state or the present one.
    pub fn read_point(&self) -> ReadPoint {
        match &self.transaction {
            Some(transaction) => ReadPoint {
                view: transaction.view().clone(),
                catalog: Arc::clone(transaction.catalog()),
                is_transaction: true,
            },
            None => {
                let now = self.shared.store.read();
                ReadPoint { view: now.view().clone(), catalog: Arc::clone(now.catalog()), is_transaction: false }
            }
        }
    }

    /// The command's writes.
    pub fn writes(&mut self) -> Writes<'_> {
        let mut writes = match &mut self.transaction {
            Some(transaction) => Writes::session(&self.shared.store, transaction),
            None => Writes::auto(&self.shared.store),
        };
        if let Some(deadline) = deadline::get() {
            writes.set_deadline(deadline);
        }
        writes
    }

    /// Does the client want its writes on disk before the reply? `j: true` is the default here.
    pub fn is_durable(&self) -> bool {
        match self.body.get_document("writeConcern") {
            Ok(concern) => match (concern.get("w"), concern.get("j")) {
                (_, Some(Bson::Boolean(journaled))) => *journaled,
                (Some(w), None) => ValueRef::from(w).as_f64() != Some(0.0),
                _ => true,
            },
            Err(_) => true,
        }
    }

    /// What the query language needs to know, with this command's `let` and the time now.
    pub fn context(&self, collation: Option<Arc<Collation>>) -> CommandResult<QueryContext> {
        let mut context = QueryContext {
            collation,
            now: bson::DateTime::now(),
            cluster_time: self.shared.store.current_time(),
            ..QueryContext::default()
        };
        if let Some(variables) = fields::document(self.body, "let")? {
            context.variables = evaluate_let(variables, &context)?;
        }
        Ok(context)
    }

    /// The collation of a command: its own, else the collection's.
    pub fn collation(
        &self,
        given: Option<&Document>,
        collection: Option<&Collection>,
    ) -> CommandResult<Option<Arc<Collation>>> {
        match given {
            Some(specification) if !specification.is_empty() => Ok(Collation::parse(specification)?.map(Arc::new)),
            _ => Ok(collection.and_then(|collection| collection.collation.clone())),
        }
    }
}

/// The values of a `let`: constant expressions.
pub fn evaluate_let(variables: &Document, context: &QueryContext) -> CommandResult<Document> {
    let mut values = Document::new();
    let empty = Document::new();
    for (name, value) in variables {
        let expression = crate::aggregate::Expression::parse(value, context)?;
        // A missing value is no variable's value; MongoDB leaves it missing, which reads as null here.
        values.insert(name, expression.evaluate(&empty)?.unwrap_or(Bson::Null));
    }
    Ok(values)
}

/// `{ n, ok }` and the like.
fn count_reply(count: i64) -> Bson {
    match i32::try_from(count) {
        Ok(count) => Bson::Int32(count),
        Err(_) => Bson::Int64(count),
    }
}

/// The reply of a command that lists things through a cursor that never needs a second batch here.
fn single_batch(namespace: &str, rows: Vec<Document>) -> Document {
    doc! {
        "cursor": { "id": 0_i64, "ns": namespace, "firstBatch": rows.into_iter().map(Bson::Document).collect::<Vec<_>>() },
    }
}
