//! Writing commands: insert, update, delete, findAndModify, bulkWrite.

use std::sync::Arc;

use bson::raw::RawDocumentBuf;
use bson::{Bson, Document, doc};

use super::admin::{ensure_collection, refuse_view};
use super::read::{parse_hint, parse_order, sort_matches};
use super::retry::Retry;
use super::{Call, Reply, count_reply, fields};
use crate::bytes;
use crate::catalog::{Collection, Namespace};
use crate::changes;
use crate::documents;
use crate::error::{CommandError, CommandResult, code};
use crate::plan::{Match, Matches, Plan, Query};
use crate::query::projection::ProjectionPolicy;
use crate::query::update::check_upsert;
use crate::query::{Filter, MatchDetails, Projection, QueryContext, Update};
use crate::store::Writer;

const WRITE_BATCH_MAX: usize = 100_000;

/// The outcome of a batch, as its reply tells it.
#[derive(Default)]
struct Batch {
    matched: i64,
    modified: i64,
    upserted: Vec<Bson>,
    errors: Vec<Bson>,
}

fn check_batch_size(count: usize) -> CommandResult<()> {
    if (1..=WRITE_BATCH_MAX).contains(&count) {
        return Ok(());
    }
    Err(CommandError::new(
        code::INVALID_LENGTH,
        format!("Write batch sizes must be between 1 and {WRITE_BATCH_MAX}. Got {count} operations."),
    ))
}

/// Errors that end a batch, and the transaction around it, instead of standing in `writeErrors`.
fn is_fatal(error: &CommandError, in_transaction: bool) -> bool {
    matches!(
        error.code,
        code::INTERNAL_ERROR | code::OUT_OF_DISK_SPACE | code::MAX_TIME_MS_EXPIRED | code::INTERRUPTED_AT_SHUTDOWN
    ) || (in_transaction && error.code == code::WRITE_CONFLICT)
}

fn bypasses_validation(body: &Document) -> CommandResult<bool> {
    Ok(fields::boolean(body, "bypassDocumentValidation")?.unwrap_or(false))
}

pub fn insert(call: &mut Call<'_>) -> CommandResult<Reply> {
    let namespace = call.namespace()?;
    let body = call.body;
    fields::only("insert", body, &["documents", "ordered", "bypassDocumentValidation"])?;
    let Some(documents) = call.message.take_documents(call.body, "documents") else {
        return Err(fields::missing("insert", "documents"));
    };
    let documents = documents?;
    check_batch_size(documents.len())?;
    let ordered = fields::boolean(body, "ordered")?.unwrap_or(true);
    let bypass = bypasses_validation(body)?;
    let mut retry = Retry::of(call)?;
    let now = call.shared.store.next_time();
    let durable = call.is_durable();
    let in_transaction = call.transaction.is_some();
    let mut batch = Batch::default();
    let mut writes = call.writes();
    for (index, document) in documents.iter().enumerate() {
        if retry.as_ref().is_some_and(|retry| retry.earlier(index).is_some()) {
            batch.matched += 1;
            continue;
        }
        let outcome = documents::prepare_insert(document, Some(now)).and_then(|stored| {
            let mut stored = Some(stored);
            writes.statement(|writer| {
                let collection = ensure_collection(writer, &namespace)?;
                // Kept for another try only if this one is interrupted.
                let attempt = match stored.take() {
                    Some(stored) => stored,
                    None => documents::prepare_insert(document, Some(now))?,
                };
                documents::insert(writer, &collection, attempt, bypass)
            })
        });
        match outcome {
            Ok(_) => {
                batch.matched += 1;
                if let Some(retry) = &mut retry {
                    retry.note(index, Document::new());
                }
            }
            Err(error) if is_fatal(&error, in_transaction) => return Err(error),
            Err(error) => {
                batch.errors.push(error.to_write_error(index).into());
                if ordered {
                    break;
                }
            }
        }
    }
    if let Some(retry) = &retry {
        retry.save(&mut writes)?;
    }
    writes.finish(durable)?;
    let mut reply = doc! { "n": count_reply(batch.matched) };
    if !batch.errors.is_empty() {
        reply.insert("writeErrors", batch.errors);
    }
    Ok(reply.into())
}

/// One update of a batch.
pub struct UpdateStatement {
    filter: Document,
    update: Bson,
    array_filters: Vec<Document>,
    multi: bool,
    upsert: bool,
    collation: Option<Document>,
    hint: Option<Bson>,
    variables: Option<Document>,
    sort: Option<Document>,
}

impl UpdateStatement {
    /// An update of at most one document, without options.
    pub fn one(filter: Document, update: Bson) -> Self {
        Self {
            filter,
            update,
            array_filters: Vec::new(),
            multi: false,
            upsert: false,
            collation: None,
            hint: None,
            variables: None,
            sort: None,
        }
    }
}

/// What one update did.
#[derive(Default)]
pub struct UpdateOutcome {
    /// Documents that matched.
    pub matched: i64,
    /// Documents that changed.
    pub modified: i64,
    /// `_id` of the document an upsert inserted.
    pub upserted: Option<Bson>,
    /// Why it ended early; what it changed before stays.
    pub error: Option<CommandError>,
    /// Before and after, when exactly one was asked for.
    documents: Option<(Option<Document>, Option<Document>)>,
}

impl UpdateOutcome {
    /// The outcome of an update that failed after it may have changed documents. A conflict takes everything back.
    fn failed(mut self, error: CommandError) -> CommandResult<Self> {
        if self.modified == 0 || error.code == code::WRITE_CONFLICT {
            return Err(error);
        }
        self.error = Some(error);
        Ok(self)
    }

    /// The error as such, for callers that have no use for a part.
    pub fn complete(self) -> CommandResult<Self> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

fn array_filters(statement: &Document) -> CommandResult<Vec<Document>> {
    match statement.get("arrayFilters") {
        None | Some(Bson::Null) => Ok(Vec::new()),
        Some(Bson::Array(items)) => items
            .iter()
            .map(|item| match item {
                Bson::Document(filter) => Ok(filter.clone()),
                other => Err(fields::wrong_type("update.updates", "arrayFilters", other, "object")),
            })
            .collect(),
        Some(other) => Err(fields::wrong_type("update.updates", "arrayFilters", other, "array")),
    }
}

fn context_for(
    call_context: &QueryContext,
    collection: Option<&Collection>,
    collation: Option<&Document>,
    variables: Option<&Document>,
) -> CommandResult<QueryContext> {
    let mut context = call_context.clone();
    context.collation = match collation {
        Some(specification) if !specification.is_empty() => {
            crate::query::Collation::parse(specification)?.map(Arc::new)
        }
        _ => collection.and_then(|collection| collection.collation.clone()),
    };
    if let Some(variables) = variables {
        for (name, value) in super::evaluate_let(variables, &context)? {
            context.variables.insert(name, value);
        }
    }
    Ok(context)
}

/// Documents that match, collected before any of them changes.
fn collect(
    writer: &Writer<'_>,
    collection: &Arc<Collection>,
    filter: &Arc<Filter>,
    hint: Option<&Bson>,
    sort: Option<&Document>,
    context: &QueryContext,
    first_only: bool,
) -> CommandResult<Collected> {
    let order = parse_order(sort, context)?;
    let (hint, hint_natural) = parse_hint(hint)?;
    let query = Query {
        filter,
        sort: order.sort.as_ref(),
        natural: order.natural.or(hint_natural),
        hint: hint.as_ref(),
        collation: context.collation(),
        min: None,
        max: None,
    };
    let plan = Plan::choose(writer.view(), collection, &query)?;
    let matches = Matches::new(plan.rows(writer.view(), collection)?, Arc::clone(filter));
    match &order.sort {
        Some(sort) if !plan.is_sorted => {
            let keep = first_only.then_some(1);
            let mut sorted = sort_matches(matches, sort, keep)?;
            if first_only {
                sorted.truncate(1);
            }
            Ok(Collected { matches: sorted, error: None })
        }
        _ => {
            let mut collected = Collected::default();
            for found in matches.take(if first_only { 1 } else { usize::MAX }) {
                match found {
                    Ok(found) => collected.matches.push(found),
                    Err(error) => {
                        collected.error = Some(error);
                        break;
                    }
                }
            }
            Ok(collected)
        }
    }
}

/// Matches, and why there are no more of them. Documents before an error are written all the same.
#[derive(Default)]
struct Collected {
    matches: Vec<Match>,
    error: Option<CommandError>,
}

/// Runs one update inside a statement.
pub fn run_update(
    writer: &mut Writer<'_>,
    namespace: &Namespace,
    statement: &UpdateStatement,
    call_context: &QueryContext,
    bypass: bool,
    wants_documents: bool,
) -> CommandResult<UpdateOutcome> {
    let collection = writer.transaction().collection(namespace);
    if let Some(collection) = &collection {
        refuse_view(collection)?;
    }
    let context =
        context_for(call_context, collection.as_deref(), statement.collation.as_ref(), statement.variables.as_ref())?;
    let update = Update::parse(&statement.update, &statement.array_filters, &context)?;
    if statement.multi && update.is_replacement() {
        return Err(CommandError::failed_to_parse("multi update is not supported for replacement-style update"));
    }
    let filter = Arc::new(Filter::parse(&statement.filter, &context)?);
    if statement.upsert {
        check_upsert(&filter)?;
    }
    let mut outcome = UpdateOutcome::default();
    if let Some(collection) = &collection {
        let collected = collect(
            writer,
            collection,
            &filter,
            statement.hint.as_ref(),
            statement.sort.as_ref(),
            &context,
            !statement.multi,
        )?;
        for found in collected.matches {
            let applied = writer.attempt(|writer| {
                let before = bytes::to_document(&found.stored)?;
                let updated = update.apply(&before, Some(found.details))?;
                if updated.modified {
                    let stored = bytes::from_document(&updated.document)?;
                    let description = if writer.transaction().store().logs_changes() {
                        changes::describe(&before, &updated.document, &updated.touched)?
                    } else {
                        None
                    };
                    let old = &found.stored;
                    documents::replace(writer, collection, found.record, old, stored, description, bypass)?;
                }
                Ok((before, updated))
            });
            let (before, updated) = match applied {
                Ok(applied) => applied,
                Err(error) => return outcome.failed(error),
            };
            outcome.matched += 1;
            outcome.modified += i64::from(updated.modified);
            if wants_documents {
                outcome.documents = Some((Some(before), Some(updated.document)));
            }
        }
        if let Some(error) = collected.error {
            return outcome.failed(error);
        }
    }
    if outcome.matched == 0 && statement.upsert {
        let document = update.upsert(&filter)?;
        let raw = bytes::raw_from_document(&document)?;
        let stored = documents::prepare_insert(&raw, None)?;
        let collection = ensure_collection(writer, namespace)?;
        let inserted = bytes::to_document(&stored)?;
        documents::insert(writer, &collection, stored, bypass)?;
        outcome.upserted = Some(inserted.get("_id").cloned().unwrap_or(Bson::Null));
        if wants_documents {
            outcome.documents = Some((None, Some(inserted)));
        }
    }
    Ok(outcome)
}

fn operations(call: &mut Call<'_>, command: &str, name: &str) -> CommandResult<Vec<Document>> {
    let Some(documents) = call.message.take_documents(call.body, name) else {
        return Err(fields::missing(command, name));
    };
    let documents = documents?;
    check_batch_size(documents.len())?;
    documents.iter().map(|raw| bytes::to_document(raw.as_bytes())).collect()
}

pub fn update(call: &mut Call<'_>) -> CommandResult<Reply> {
    let namespace = call.namespace()?;
    let body = call.body;
    fields::only("update", body, &["updates", "ordered", "bypassDocumentValidation", "let"])?;
    let operations = operations(call, "update", "updates")?;
    let mut statements = Vec::with_capacity(operations.len());
    for operation in &operations {
        const PATH: &str = "update.updates";
        let filter = fields::required_document(PATH, operation, "q")?.clone();
        let update = operation.get("u").cloned().ok_or_else(|| fields::missing(PATH, "u"))?;
        if !matches!(update, Bson::Document(_) | Bson::Array(_)) {
            return Err(CommandError::failed_to_parse("Update argument must be either an object or an array"));
        }
        for field in operation.keys() {
            if ![
                "q",
                "u",
                "c",
                "multi",
                "upsert",
                "collation",
                "arrayFilters",
                "hint",
                "upsertSupplied",
                "sort",
                "sampleId",
            ]
            .contains(&field.as_str())
            {
                return Err(CommandError::new(40415, format!("BSON field '{PATH}.{field}' is an unknown field.")));
            }
        }
        if operation.contains_key("sort") && fields::boolean(operation, "multi")?.unwrap_or(false) {
            return Err(CommandError::failed_to_parse("Cannot specify sort with multi=true"));
        }
        statements.push(UpdateStatement {
            filter,
            update,
            array_filters: array_filters(operation)?,
            multi: fields::boolean(operation, "multi")?.unwrap_or(false),
            upsert: fields::boolean(operation, "upsert")?.unwrap_or(false),
            collation: fields::document(operation, "collation")?.cloned(),
            hint: operation.get("hint").cloned(),
            variables: fields::document(operation, "c")?.cloned(),
            sort: fields::document(operation, "sort")?.cloned(),
        });
    }
    let ordered = fields::boolean(body, "ordered")?.unwrap_or(true);
    let bypass = bypasses_validation(body)?;
    let mut retry = Retry::of(call)?;
    let context = call.context(None)?;
    call.shared.store.next_time();
    let durable = call.is_durable();
    let in_transaction = call.transaction.is_some();
    let mut batch = Batch::default();
    let mut writes = call.writes();
    for (index, statement) in statements.iter().enumerate() {
        if let Some(did) = retry.as_ref().and_then(|retry| retry.earlier(index)) {
            add_update(&mut batch, index, did);
            continue;
        }
        let outcome = writes.statement(|writer| run_update(writer, &namespace, statement, &context, bypass, false));
        match outcome.and_then(UpdateOutcome::complete) {
            Ok(outcome) => {
                let did = update_record(&outcome);
                add_update(&mut batch, index, &did);
                if let Some(retry) = retry.as_mut().filter(|_| !statement.multi) {
                    retry.note(index, did);
                }
            }
            Err(error) if is_fatal(&error, in_transaction) => return Err(error),
            Err(error) => {
                batch.errors.push(error.to_write_error(index).into());
                if ordered {
                    break;
                }
            }
        }
    }
    if let Some(retry) = &retry {
        retry.save(&mut writes)?;
    }
    writes.finish(durable)?;
    let mut reply = doc! { "n": count_reply(batch.matched), "nModified": count_reply(batch.modified) };
    if !batch.upserted.is_empty() {
        reply.insert("upserted", batch.upserted);
    }
    if !batch.errors.is_empty() {
        reply.insert("writeErrors", batch.errors);
    }
    Ok(reply.into())
}

fn update_record(outcome: &UpdateOutcome) -> Document {
    let mut did = doc! { "n": outcome.matched, "m": outcome.modified };
    if let Some(id) = &outcome.upserted {
        did.insert("u", id.clone());
    }
    did
}

fn add_update(batch: &mut Batch, index: usize, did: &Document) {
    batch.matched += did.get_i64("n").unwrap_or(0);
    batch.modified += did.get_i64("m").unwrap_or(0);
    if let Some(id) = did.get("u") {
        batch.matched += 1;
        batch.upserted.push(doc! { "index": index as i32, "_id": id.clone() }.into());
    }
}

/// Removes what matches, inside a statement. Returns the number of documents, and the one removed if asked for.
#[allow(clippy::too_many_arguments)]
fn run_delete(
    writer: &mut Writer<'_>,
    namespace: &Namespace,
    filter: &Document,
    one: bool,
    collation: Option<&Document>,
    hint: Option<&Bson>,
    sort: Option<&Document>,
    call_context: &QueryContext,
    variables: Option<&Document>,
) -> CommandResult<Removed> {
    let collection = writer.transaction().collection(namespace);
    if let Some(collection) = &collection {
        refuse_view(collection)?;
    }
    let context = context_for(call_context, collection.as_deref(), collation, variables)?;
    let filter = Arc::new(Filter::parse(filter, &context)?);
    let Some(collection) = collection else { return Ok(Removed::default()) };
    if collection.capped.is_some() {
        return Err(CommandError::new(
            code::ILLEGAL_OPERATION,
            format!("cannot remove from a capped collection: {namespace}"),
        ));
    }
    let collected = collect(writer, &collection, &filter, hint, sort, &context, one)?;
    let mut removed = Removed { error: collected.error, ..Removed::default() };
    for found in collected.matches {
        documents::remove(writer, &collection, found.record, &found.stored)?;
        removed.count += 1;
        if one {
            removed.document = Some((bytes::to_document(&found.stored)?, found.details));
        }
    }
    if removed.count == 0
        && let Some(error) = removed.error
    {
        return Err(error);
    }
    Ok(removed)
}

/// What a removal did.
#[derive(Default)]
struct Removed {
    count: i64,
    /// Why it ended early; what is gone stays gone.
    error: Option<CommandError>,
    /// The document, when one was asked for.
    document: Option<(Document, MatchDetails)>,
}

impl Removed {
    fn complete(self) -> CommandResult<Self> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

pub fn delete(call: &mut Call<'_>) -> CommandResult<Reply> {
    let namespace = call.namespace()?;
    let body = call.body;
    fields::only("delete", body, &["deletes", "ordered", "let", "bypassDocumentValidation"])?;
    let operations = operations(call, "delete", "deletes")?;
    for operation in &operations {
        const PATH: &str = "delete.deletes";
        fields::required_document(PATH, operation, "q")?;
        match fields::integer(operation, "limit")? {
            None => return Err(fields::missing(PATH, "limit")),
            Some(0 | 1) => {}
            Some(other) => {
                return Err(CommandError::failed_to_parse(format!(
                    "The limit field in delete objects must be 0 or 1. Got {other}"
                )));
            }
        }
        for field in operation.keys() {
            if !["q", "limit", "collation", "hint", "sampleId"].contains(&field.as_str()) {
                return Err(CommandError::new(40415, format!("BSON field '{PATH}.{field}' is an unknown field.")));
            }
        }
    }
    let ordered = fields::boolean(body, "ordered")?.unwrap_or(true);
    let mut retry = Retry::of(call)?;
    let context = call.context(None)?;
    call.shared.store.next_time();
    let durable = call.is_durable();
    let in_transaction = call.transaction.is_some();
    let mut batch = Batch::default();
    let mut writes = call.writes();
    for (index, operation) in operations.iter().enumerate() {
        if let Some(did) = retry.as_ref().and_then(|retry| retry.earlier(index)) {
            batch.matched += did.get_i64("n").unwrap_or(0);
            continue;
        }
        let one = fields::integer(operation, "limit")? == Some(1);
        let filter = fields::required_document("delete.deletes", operation, "q")?;
        let collation = fields::document(operation, "collation")?;
        let outcome = writes.statement(|writer| {
            run_delete(writer, &namespace, filter, one, collation, operation.get("hint"), None, &context, None)
        });
        match outcome.and_then(Removed::complete) {
            Ok(removed) => {
                batch.matched += removed.count;
                if let Some(retry) = retry.as_mut().filter(|_| one) {
                    retry.note(index, doc! { "n": removed.count });
                }
            }
            Err(error) if is_fatal(&error, in_transaction) => return Err(error),
            Err(error) => {
                batch.errors.push(error.to_write_error(index).into());
                if ordered {
                    break;
                }
            }
        }
    }
    if let Some(retry) = &retry {
        retry.save(&mut writes)?;
    }
    writes.finish(durable)?;
    let mut reply = doc! { "n": count_reply(batch.matched) };
    if !batch.errors.is_empty() {
        reply.insert("writeErrors", batch.errors);
    }
    Ok(reply.into())
}

pub fn find_and_modify(call: &mut Call<'_>) -> CommandResult<Reply> {
    let namespace = call.namespace()?;
    let body = call.body;
    fields::only(
        "findAndModify",
        body,
        &[
            "query",
            "fields",
            "projection",
            "update",
            "sort",
            "new",
            "remove",
            "upsert",
            "collation",
            "arrayFilters",
            "hint",
            "bypassDocumentValidation",
            "let",
        ],
    )?;
    let remove = fields::boolean(body, "remove")?.unwrap_or(false);
    let new = fields::boolean(body, "new")?.unwrap_or(false);
    let upsert = fields::boolean(body, "upsert")?.unwrap_or(false);
    let update = body.get("update");
    match (remove, update) {
        (false, None) => {
            return Err(CommandError::failed_to_parse("Either an update or remove=true must be specified"));
        }
        (true, Some(_)) => return Err(CommandError::failed_to_parse("Cannot specify both an update and remove=true")),
        _ => {}
    }
    if remove && new {
        return Err(CommandError::failed_to_parse(
            "Cannot specify both new=true and remove=true; 'remove' always returns the deleted document",
        ));
    }
    if remove && upsert {
        return Err(CommandError::failed_to_parse("Cannot specify both upsert=true and remove=true "));
    }
    let query = fields::document(body, "query")?.cloned().unwrap_or_default();
    let sort = fields::document(body, "sort")?.cloned();
    let collation = fields::document(body, "collation")?.cloned();
    let projection_document = match fields::document(body, "fields")? {
        Some(projection) => Some(projection.clone()),
        None => fields::document(body, "projection")?.cloned(),
    }
    .filter(|projection| !projection.is_empty());
    let mut retry = Retry::of(call)?;
    if let Some(did) = retry.as_ref().and_then(|retry| retry.earlier(0)) {
        return Ok(did.clone().into());
    }
    let context = call.context(None)?;
    call.shared.store.next_time();
    let bypass = bypasses_validation(body)?;
    let durable = call.is_durable();
    let statement = match update {
        Some(update) => Some(UpdateStatement {
            filter: query.clone(),
            update: update.clone(),
            array_filters: array_filters(body)?,
            multi: false,
            upsert,
            collation: collation.clone(),
            hint: body.get("hint").cloned(),
            variables: None,
            sort: sort.clone(),
        }),
        None => None,
    };
    let mut writes = call.writes();
    let (mut reply, found, show) = writes.statement(|writer| {
        let collection = writer.transaction().collection(&namespace);
        let full_context = context_for(&context, collection.as_deref(), collation.as_ref(), None)?;
        // Of several mistakes, that of the update is told.
        if let Some(statement) = &statement {
            Update::parse(&statement.update, &statement.array_filters, &full_context)?;
        }
        let filter = Filter::parse(&query, &full_context)?;
        let projection = match &projection_document {
            Some(projection) => {
                let projection = Projection::parse(projection, ProjectionPolicy::Find, &full_context)?;
                projection.check_positional(&filter)?;
                Some(projection)
            }
            None => None,
        };
        let (reply, found) = match &statement {
            None => {
                let removed = run_delete(
                    writer,
                    &namespace,
                    &query,
                    true,
                    collation.as_ref(),
                    body.get("hint"),
                    sort.as_ref(),
                    &context,
                    None,
                )?
                .complete()?;
                let found = removed.document.map(|(document, details)| (document, Some(details)));
                (doc! { "lastErrorObject": { "n": count_reply(removed.count) } }, found)
            }
            Some(statement) => {
                let outcome = run_update(writer, &namespace, statement, &context, bypass, true)?.complete()?;
                let mut last = doc! {
                    "n": count_reply(outcome.matched + i64::from(outcome.upserted.is_some())),
                    "updatedExisting": outcome.matched > 0,
                };
                if let Some(id) = outcome.upserted {
                    last.insert("upserted", id);
                }
                let (before, after) = outcome.documents.unwrap_or((None, None));
                let found = if new { after } else { before }.map(|document| (document, None));
                (doc! { "lastErrorObject": last }, found)
            }
        };
        Ok((reply, found, (projection, filter)))
    })?;
    let shown = show_found(found, show);
    let value = match shown {
        Ok(value) => value,
        Err(error) => {
            // What cannot be shown was written nevertheless.
            writes.finish(durable)?;
            return Err(error);
        }
    };
    reply.insert("value", value);
    if let Some(retry) = &mut retry {
        retry.note(0, reply.clone());
        retry.save(&mut writes)?;
    }
    writes.finish(durable)?;
    Ok(reply.into())
}

/// The document a findAndModify answers with.
fn show_found(
    found: Option<(Document, Option<MatchDetails>)>,
    (projection, filter): (Option<Projection>, Filter),
) -> CommandResult<Bson> {
    match (found, projection) {
        (None, _) => Ok(Bson::Null),
        (Some((document, _)), None) => Ok(document.into()),
        (Some((document, details)), Some(projection)) => {
            let details = match details {
                Some(details) => Some(details),
                None => filter.match_details(&document)?,
            };
            Ok(projection.apply(&document, details)?.into())
        }
    }
}

/// `bulkWrite` on `admin`: operations on several collections, results through a cursor.
/// Source: MongoDB manual, "bulkWrite (database command)".
pub fn bulk_write(call: &mut Call<'_>) -> CommandResult<Reply> {
    let body = call.body;
    if call.database != "admin" {
        return Err(CommandError::new(code::UNAUTHORIZED, "bulkWrite may only be run against the admin database."));
    }
    fields::only(
        "bulkWrite",
        body,
        &["ops", "nsInfo", "ordered", "bypassDocumentValidation", "errorsOnly", "let", "cursor"],
    )?;
    let operations = operations(call, "bulkWrite", "ops")?;
    let Some(names) = call.message.take_documents(call.body, "nsInfo") else {
        return Err(fields::missing("bulkWrite", "nsInfo"));
    };
    let mut namespaces = Vec::new();
    for raw in names? {
        let info = bytes::to_document(raw.as_bytes())?;
        let full = fields::text(&info, "ns")?.ok_or_else(|| fields::missing("bulkWrite.nsInfo", "ns"))?.to_owned();
        namespaces.push(Namespace::parse(&full)?);
    }
    let ordered = fields::boolean(body, "ordered")?.unwrap_or(true);
    let errors_only = fields::boolean(body, "errorsOnly")?.unwrap_or(false);
    let bypass = bypasses_validation(body)?;
    let mut retry = Retry::of(call)?;
    let context = call.context(None)?;
    let now = call.shared.store.next_time();
    let durable = call.is_durable();
    let in_transaction = call.transaction.is_some();
    let (mut inserted, mut matched, mut modified, mut upserted, mut deleted, mut failed) = (0, 0, 0, 0, 0, 0);
    let mut results: Vec<RawDocumentBuf> = Vec::new();
    let mut writes = call.writes();
    for (index, operation) in operations.iter().enumerate() {
        let Some((kind, target)) = operation.iter().next() else {
            return Err(CommandError::failed_to_parse("an empty operation in bulkWrite.ops"));
        };
        let namespace = crate::query::ValueRef::from(target)
            .as_exact_i64()
            .and_then(|number| usize::try_from(number).ok())
            .and_then(|number| namespaces.get(number))
            .ok_or_else(|| CommandError::bad_value("BulkWrite ops entry has an invalid nsInfo index."))?
            .clone();
        let earlier = retry.as_ref().and_then(|retry| retry.earlier(index)).cloned();
        let mut is_retryable = true;
        let outcome = match earlier {
            Some(did) => Ok(did),
            None => match kind.as_str() {
                "insert" => {
                    let document = fields::required_document("bulkWrite.ops", operation, "document")?;
                    let raw = bytes::raw_from_document(document)?;
                    writes
                        .statement(|writer| {
                            let stored = documents::prepare_insert(&raw, Some(now))?;
                            let collection = ensure_collection(writer, &namespace)?;
                            documents::insert(writer, &collection, stored, bypass)
                        })
                        .map(|_| doc! { "k": "insert", "n": 1_i64 })
                }
                "update" => {
                    let statement = UpdateStatement {
                        filter: fields::required_document("bulkWrite.ops", operation, "filter")?.clone(),
                        update: operation
                            .get("updateMods")
                            .cloned()
                            .ok_or_else(|| fields::missing("bulkWrite.ops", "updateMods"))?,
                        array_filters: array_filters(operation)?,
                        multi: fields::boolean(operation, "multi")?.unwrap_or(false),
                        upsert: fields::boolean(operation, "upsert")?.unwrap_or(false),
                        collation: fields::document(operation, "collation")?.cloned(),
                        hint: operation.get("hint").cloned(),
                        variables: fields::document(operation, "constants")?.cloned(),
                        sort: fields::document(operation, "sort")?.cloned(),
                    };
                    is_retryable = !statement.multi;
                    writes
                        .statement(|writer| run_update(writer, &namespace, &statement, &context, bypass, false))
                        .and_then(UpdateOutcome::complete)
                        .map(|outcome| {
                            let mut did = update_record(&outcome);
                            did.insert("k", "update");
                            did
                        })
                }
                "delete" => {
                    let filter = fields::required_document("bulkWrite.ops", operation, "filter")?;
                    let one = !fields::boolean(operation, "multi")?.unwrap_or(false);
                    is_retryable = one;
                    let collation = fields::document(operation, "collation")?;
                    writes
                        .statement(|writer| {
                            let hint = operation.get("hint");
                            run_delete(writer, &namespace, filter, one, collation, hint, None, &context, None)
                        })
                        .and_then(Removed::complete)
                        .map(|removed| doc! { "k": "delete", "n": removed.count })
                }
                other => {
                    return Err(CommandError::failed_to_parse(format!("unknown bulkWrite operation '{other}'")));
                }
            },
        };
        let row = match outcome {
            Ok(did) => {
                if let Some(retry) = retry.as_mut().filter(|retry| is_retryable && retry.earlier(index).is_none()) {
                    retry.note(index, did.clone());
                }
                let n = did.get_i64("n").unwrap_or(0);
                let mut row = doc! { "ok": 1.0, "idx": index as i32 };
                match did.get_str("k").unwrap_or_default() {
                    "insert" => {
                        inserted += n;
                        row.insert("n", count_reply(n));
                    }
                    "update" => {
                        let m = did.get_i64("m").unwrap_or(0);
                        matched += n;
                        modified += m;
                        let id = did.get("u");
                        upserted += i64::from(id.is_some());
                        row.insert("n", count_reply(n + i64::from(id.is_some())));
                        row.insert("nModified", count_reply(m));
                        if let Some(id) = id {
                            row.insert("upserted", doc! { "_id": id.clone() });
                        }
                    }
                    _ => {
                        deleted += n;
                        row.insert("n", count_reply(n));
                    }
                }
                (!errors_only).then_some(row)
            }
            Err(error) if is_fatal(&error, in_transaction) => return Err(error),
            Err(error) => {
                failed += 1;
                let mut row = doc! { "ok": 0.0, "idx": index as i32, "n": 0, "code": error.code };
                for (name, value) in error.extra.iter() {
                    row.insert(name, value.clone());
                }
                row.insert("errmsg", &error.message);
                Some(row)
            }
        };
        if let Some(row) = row {
            results.push(bytes::raw_from_document(&row)?);
        }
        if failed > 0 && (ordered || in_transaction) {
            break;
        }
    }
    if let Some(retry) = &retry {
        retry.save(&mut writes)?;
    }
    writes.finish(durable)?;
    let batch_size = match fields::document(body, "cursor")? {
        Some(cursor) => fields::count(cursor, "batchSize", "BatchSize")?,
        None => None,
    };
    let batch_size = Some(batch_size.unwrap_or(usize::MAX));
    let rows = Box::new(results.into_iter().map(Ok));
    let reply = super::read::open_cursor(call, "admin.$cmd.bulkWrite".to_owned(), rows, batch_size, false, false)?;
    let Reply::Raw(raw) = reply else { return Ok(reply) };
    let mut reply = bytes::to_document(raw.as_bytes())?;
    for (name, count) in [
        ("nErrors", failed),
        ("nInserted", inserted),
        ("nMatched", matched),
        ("nModified", modified),
        ("nUpserted", upserted),
        ("nDeleted", deleted),
    ] {
        reply.insert(name, count_reply(count));
    }
    Ok(reply.into())
}
