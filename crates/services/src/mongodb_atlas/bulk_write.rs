//! `bulkWrite` and the bulk builders (function-environment 7.7).
//!
//! Arguments: `db`, `collection`, `operations`, `filter`, `options` (`ordered`, `bypassDocumentValidation`, `writeConcern`,
//! `let`, `comment`), `session`. Filters stand in an array of their own, because a filter may hold undefined and nothing
//! else may; an operation names its filter by index:
//!
//! | `kind` | Other fields |
//! | --- | --- |
//! | `insertOne` | `document` |
//! | `updateOne`, `updateMany` | `filter`, `update`, `upsert`, `arrayFilters`, `collation`, `hint` |
//! | `replaceOne` | `filter`, `replacement`, `upsert`, `collation`, `hint` |
//! | `deleteOne`, `deleteMany` | `filter`, `collation`, `hint` |
//!
//! Answer: `{insertedCount, matchedCount, modifiedCount, deletedCount, upsertedCount, insertedIds, upsertedIds}`; the ids
//! are objects from the operation's index to the id.
//!
//! Consecutive operations of one kind travel as one command, as every supported server understands it. Inserts are retried
//! by the driver when a connection breaks; updates and deletes are not, because the driver numbers only statements it
//! builds itself. Their error then carries the driver's labels.

use bson::raw::{CString, RawArray, RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use bson::{Bson, Document, cstr};

use super::connection::DataSource;
use super::filter::parse_filter;
use super::handles::OpenHandles;
use super::insert::{id_of, insert_many_options, with_id};
use super::session::{self, SessionUse};
use super::update::{Change, counts_reply, replacement};
use crate::ServiceError;
use crate::arguments::{Arguments, append_count};
use crate::error::{Reply, WriteFailure, write_failures};

/// Statements in one command; the servers' own bound.
const STATEMENTS_MAX: usize = 100_000;

/// Bytes of the statements in one command, some way below the bound on a message body.
const STATEMENT_BYTES_MAX: usize = 16_000_000;

/// One write, in the form its command takes.
pub(crate) struct Statement {
    kind: Kind,
    body: RawDocumentBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Insert,
    Update,
    Delete,
}

/// What has been done so far.
#[derive(Default)]
pub(crate) struct Tally {
    pub inserted: u64,
    pub matched: u64,
    pub modified: u64,
    pub deleted: u64,
    pub inserted_ids: Vec<(usize, RawBson)>,
    pub upserted_ids: Vec<(usize, Bson)>,
    errors: Vec<WriteFailure>,
    concern: Option<WriteFailure>,
    labels: Vec<String>,
}

/// `bulkWrite`.
pub(crate) async fn bulk_write(source: &DataSource, handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let statements = parse_operations(arguments)?;
    if statements.is_empty() {
        return Err(no_operations());
    }
    execute(source, handles, arguments, statements).await?.reply()
}

pub(crate) fn no_operations() -> ServiceError {
    ServiceError::invalid("Failed to execute bulk writes: no operations specified")
}

/// One statement that the driver's typed interface has no form for; answers as an update does.
pub(crate) async fn one_statement(
    source: &DataSource,
    handles: &OpenHandles,
    arguments: Arguments<'_>,
    statement: Statement,
) -> Reply {
    let tally = execute(source, handles, arguments, vec![statement]).await?;
    counts_reply(tally.matched, tally.modified, tally.upserted_ids.into_iter().next().map(|(_, id)| id))
}

impl Statement {
    /// An update of all matches by a whole document, which every server refuses.
    pub fn replace_many(filter: &Document, document: &RawDocument) -> Result<Self, ServiceError> {
        let mut body = RawDocumentBuf::new();
        body.append(cstr!("q"), RawDocumentBuf::try_from(filter)?);
        body.append(cstr!("u"), document);
        body.append(cstr!("multi"), true);
        Ok(Self { kind: Kind::Update, body })
    }
}

fn parse_operations(arguments: Arguments<'_>) -> Result<Vec<Statement>, ServiceError> {
    let filters = match arguments.optional_raw_array("filter")? {
        None => Vec::new(),
        Some(filters) => parse_filters(arguments, filters)?,
    };
    let mut statements = Vec::new();
    for operation in arguments.raw_array("operations")? {
        let RawBsonRef::Document(operation) = operation? else {
            return Err(arguments.invalid("operations", "an array of operations"));
        };
        statements.push(parse_operation(arguments.nested(operation), &filters)?);
    }
    Ok(statements)
}

fn parse_filters(arguments: Arguments<'_>, filters: &RawArray) -> Result<Vec<RawDocumentBuf>, ServiceError> {
    let mut parsed = Vec::new();
    for filter in filters {
        match filter? {
            RawBsonRef::Document(filter) => {
                parse_filter(filter)?;
                parsed.push(filter.to_owned());
            }
            _ => return Err(arguments.invalid("filter", "an object")),
        }
    }
    Ok(parsed)
}

fn parse_operation(operation: Arguments<'_>, filters: &[RawDocumentBuf]) -> Result<Statement, ServiceError> {
    let kind = operation.text("kind")?;
    let mut body = RawDocumentBuf::new();
    if kind != "insertOne" {
        let filter = operation.natural("filter")?.and_then(|index| filters.get(usize::try_from(index).ok()?));
        body.append(cstr!("q"), filter.ok_or_else(|| operation.invalid("filter", "an object"))?);
    }
    let kind = match kind {
        "insertOne" => {
            return Ok(Statement { kind: Kind::Insert, body: with_id(operation.raw_document("document")?)? });
        }
        "updateOne" | "updateMany" => {
            // Only the check: the value travels as it was written.
            Change::parse(operation, "update")?;
            let update = operation.value("update")?.ok_or_else(|| operation.invalid("update", "an object"))?;
            body.append(cstr!("u"), update);
            body.append(cstr!("multi"), kind == "updateMany");
            if let Some(upsert) = operation.flag("upsert")? {
                body.append(cstr!("upsert"), upsert);
            }
            if let Some(filters) = operation.optional_raw_array("arrayFilters")? {
                body.append(cstr!("arrayFilters"), filters);
            }
            Kind::Update
        }
        "replaceOne" => {
            body.append(cstr!("u"), replacement(operation, "replacement")?);
            body.append(cstr!("multi"), false);
            if let Some(upsert) = operation.flag("upsert")? {
                body.append(cstr!("upsert"), upsert);
            }
            Kind::Update
        }
        "deleteOne" | "deleteMany" => {
            body.append(cstr!("limit"), i32::from(kind == "deleteOne"));
            Kind::Delete
        }
        _ => return Err(operation.invalid("kind", "a kind of write")),
    };
    if let Some(collation) = operation.optional_raw_document("collation")? {
        body.append(cstr!("collation"), collation);
    }
    if let Some(hint) = operation.value("hint")? {
        body.append(cstr!("hint"), hint);
    }
    Ok(Statement { kind, body })
}

async fn execute(
    source: &DataSource,
    handles: &OpenHandles,
    arguments: Arguments<'_>,
    statements: Vec<Statement>,
) -> Result<Tally, ServiceError> {
    let ordered = arguments.options()?.flag("ordered")?.unwrap_or(true);
    let mut session = session::acquire(source, handles, arguments).await?;
    let mut tally = Tally::default();
    let mut start = 0;
    while let Some(first) = statements.get(start) {
        let rest = statements.get(start..).unwrap_or_default();
        let group = rest.get(..group_length(rest)).unwrap_or_default();
        match first.kind {
            Kind::Insert => insert(source, &mut session, arguments, group, start, &mut tally).await?,
            Kind::Update | Kind::Delete => {
                command(source, &mut session, arguments, first.kind, group, start, ordered, &mut tally).await?;
            }
        }
        if ordered && !tally.errors.is_empty() {
            break;
        }
        start += group.len();
    }
    if tally.errors.is_empty() && tally.concern.is_none() {
        return Ok(tally);
    }
    tally.errors.sort_by_key(|failure| failure.index);
    tally.labels.sort();
    tally.labels.dedup();
    Err(ServiceError::Write { errors: tally.errors, concern: tally.concern, labels: tally.labels })
}

/// How many statements from the first on travel together.
fn group_length(statements: &[Statement]) -> usize {
    let Some(first) = statements.first() else { return 0 };
    let mut bytes = 0;
    let mut length = 0;
    for statement in statements.iter().take(STATEMENTS_MAX) {
        bytes += statement.body.as_bytes().len() + 16;
        // The driver splits inserts by itself.
        let is_full = length > 0 && bytes > STATEMENT_BYTES_MAX && first.kind != Kind::Insert;
        if statement.kind != first.kind || is_full {
            break;
        }
        length += 1;
    }
    length
}

async fn insert(
    source: &DataSource,
    session: &mut Option<SessionUse>,
    arguments: Arguments<'_>,
    group: &[Statement],
    start: usize,
    tally: &mut Tally,
) -> Result<(), ServiceError> {
    let options = insert_many_options(arguments.options()?)?;
    let ordered = options.ordered.unwrap_or(true);
    let collection = source.collection::<RawDocumentBuf>(arguments.text("db")?, arguments.text("collection")?);
    let insert = collection.insert_many(group.iter().map(|statement| &statement.body)).with_options(options);
    let result = match session {
        None => insert.await,
        Some(session) => insert.session(session.session()).await,
    };
    let mut errors = Vec::new();
    if let Err(error) = result {
        match ServiceError::from(error) {
            ServiceError::Write { errors: failed, concern, labels } => {
                errors = failed;
                tally.concern = tally.concern.take().or(concern);
                tally.labels.extend(labels);
            }
            error => return Err(error),
        }
    }
    for (index, statement) in group.iter().enumerate() {
        let failed = errors.iter().any(|failure| failure.index == index || (ordered && failure.index < index));
        if !failed {
            tally.inserted += 1;
            tally.inserted_ids.push((start + index, id_of(&statement.body)?));
        }
    }
    tally.errors.extend(errors.into_iter().map(|failure| WriteFailure { index: start + failure.index, ..failure }));
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "one command, its place in the call, and where its outcome goes")]
async fn command(
    source: &DataSource,
    session: &mut Option<SessionUse>,
    arguments: Arguments<'_>,
    kind: Kind,
    group: &[Statement],
    start: usize,
    ordered: bool,
    tally: &mut Tally,
) -> Result<(), ServiceError> {
    let statements: RawArrayBuf = group.iter().map(|statement| &statement.body).collect();
    let options = arguments.options()?;
    let mut command = RawDocumentBuf::new();
    let collection = arguments.text("collection")?;
    if kind == Kind::Update {
        command.append(cstr!("update"), collection);
        command.append(cstr!("updates"), statements);
        if let Some(bypass) = options.flag("bypassDocumentValidation")? {
            command.append(cstr!("bypassDocumentValidation"), bypass);
        }
    } else {
        command.append(cstr!("delete"), collection);
        command.append(cstr!("deletes"), statements);
    }
    command.append(cstr!("ordered"), ordered);
    if let Some(variables) = options.optional_raw_document("let")? {
        command.append(cstr!("let"), variables);
    }
    if let Some(comment) = options.value("comment")? {
        command.append(cstr!("comment"), comment);
    }
    let in_transaction = session.as_ref().is_some_and(SessionUse::in_transaction);
    let concern = options.write_concern()?.or_else(|| source.client().write_concern().cloned());
    if let Some(concern) = concern.filter(|_| !in_transaction) {
        // A command handed to the driver whole does not inherit the client's write concern.
        command.append(cstr!("writeConcern"), bson::serialize_to_raw_document_buf(&concern)?);
    }

    let database = source.client().database(arguments.text("db")?);
    let action = database.run_raw_command(command);
    let reply = match session {
        None => action.await?,
        Some(session) => action.session(session.session()).await?,
    };
    let count = |key: &str| match reply.get(key) {
        Some(Bson::Int32(count)) => u64::try_from(*count).unwrap_or(0),
        Some(Bson::Int64(count)) => u64::try_from(*count).unwrap_or(0),
        Some(Bson::Double(count)) => *count as u64,
        _ => 0,
    };
    if kind == Kind::Update {
        let upserted = reply.get_array("upserted").map(Vec::as_slice).unwrap_or_default();
        tally.matched += count("n").saturating_sub(u64::try_from(upserted.len()).unwrap_or(0));
        tally.modified += count("nModified");
        for upsert in upserted.iter().filter_map(Bson::as_document) {
            let index = upsert.get("index").and_then(|index| match index {
                Bson::Int32(index) => usize::try_from(*index).ok(),
                Bson::Int64(index) => usize::try_from(*index).ok(),
                _ => None,
            });
            let id = upsert.get("_id").cloned().unwrap_or(Bson::Null);
            tally.upserted_ids.push((start + index.unwrap_or(0), id));
        }
    } else {
        tally.deleted += count("n");
    }
    let (errors, concern) = write_failures(&reply, start);
    if let Ok(labels) = reply.get_array("errorLabels") {
        tally.labels.extend(labels.iter().filter_map(Bson::as_str).map(str::to_owned));
    }
    tally.errors.extend(errors);
    tally.concern = tally.concern.take().or(concern);
    Ok(())
}

impl Tally {
    /// Counts and ids.
    pub fn reply(self) -> Reply {
        let mut reply = RawDocumentBuf::new();
        append_count(&mut reply, cstr!("insertedCount"), self.inserted);
        append_count(&mut reply, cstr!("matchedCount"), self.matched);
        append_count(&mut reply, cstr!("modifiedCount"), self.modified);
        append_count(&mut reply, cstr!("deletedCount"), self.deleted);
        append_count(&mut reply, cstr!("upsertedCount"), u64::try_from(self.upserted_ids.len()).unwrap_or(u64::MAX));
        let mut ids = RawDocumentBuf::new();
        for (index, id) in self.inserted_ids {
            ids.append(index_key(index)?, id);
        }
        reply.append(cstr!("insertedIds"), ids);
        let mut ids = RawDocumentBuf::new();
        for (index, id) in self.upserted_ids {
            ids.append(index_key(index)?, RawBson::try_from(id)?);
        }
        reply.append(cstr!("upsertedIds"), ids);
        Ok(reply)
    }
}

fn index_key(index: usize) -> Result<CString, ServiceError> {
    Ok(CString::try_from(index.to_string())?)
}
