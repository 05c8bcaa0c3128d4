//! Reading commands: find and its cursors, count, distinct, aggregate.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::raw::{RawDocumentBuf, cstr};
use bson::{Bson, Document, doc};

use super::access::Access;

use super::tailable::{self, Tailable};
use super::{Call, ReadPoint, Reply, count_reply, fields};
use crate::aggregate::{Pipeline, PipelineOptions};
use crate::catalog::{Collection, Namespace};
use crate::cursor::{self, Batch, Cursor, FIRST_BATCH_DOCUMENTS, Results};
use crate::error::{CommandError, CommandResult, RESUMABLE_CHANGE_STREAM_ERROR, code};
use crate::plan::{Hint, Match, Matches, Plan, Query, value_key};
use crate::query::projection::ProjectionPolicy;
use crate::query::{DocumentRef, Filter, Projection, QueryContext, SortKey, SortSpec, path};
use crate::{bytes, deadline};

/// Memory an in-memory sort may take.
const SORT_BYTES_MAX: usize = 100 * 1024 * 1024;
/// How long a `getMore` of a cursor that awaits data waits, by default and at most.
const AWAIT_DEFAULT: Duration = Duration::from_secs(1);
const AWAIT_MAX: Duration = Duration::from_secs(10);
const VIEW_DEPTH_MAX: usize = 20;
/// Where `aggregate: 1` runs.
const DATABASE_TARGET: &str = "$cmd.aggregate";

const FIND_FIELDS: &[&str] = &[
    "filter",
    "projection",
    "sort",
    "hint",
    "skip",
    "limit",
    "batchSize",
    "singleBatch",
    "max",
    "min",
    "returnKey",
    "showRecordId",
    "tailable",
    "oplogReplay",
    "noCursorTimeout",
    "awaitData",
    "allowPartialResults",
    "collation",
    "allowDiskUse",
    "let",
    "ntoreturn",
    "snapshot",
    "maxScan",
    "_use44SortKeys",
    "requestResumeToken",
    "resumeAfter",
    "readOnce",
    "term",
];

/// The order a client asked for.
pub struct Order {
    /// By paths.
    pub sort: Option<SortSpec>,
    /// By `$natural`.
    pub natural: Option<bool>,
}

/// Reads a sort document.
pub fn parse_order(specification: Option<&Document>, context: &QueryContext) -> CommandResult<Order> {
    let Some(specification) = specification.filter(|specification| !specification.is_empty()) else {
        return Ok(Order { sort: None, natural: None });
    };
    if let Some(direction) = specification.get("$natural") {
        let direction = crate::query::ValueRef::from(direction).as_f64().unwrap_or(1.0);
        return Ok(Order { sort: None, natural: Some(direction >= 0.0) });
    }
    Ok(Order { sort: Some(SortSpec::parse(specification, context)?), natural: None })
}

/// Reads a hint. The second value: natural order, and forward.
pub fn parse_hint(value: Option<&Bson>) -> CommandResult<(Option<Hint>, Option<bool>)> {
    match value {
        None | Some(Bson::Null) => Ok((None, None)),
        Some(Bson::String(name)) => Ok((Some(Hint::Name(name.clone())), None)),
        Some(Bson::Document(pattern)) if pattern.is_empty() => Ok((None, None)),
        Some(Bson::Document(pattern)) => match pattern.get("$natural") {
            Some(direction) => {
                let direction = crate::query::ValueRef::from(direction).as_f64().unwrap_or(1.0);
                Ok((None, Some(direction >= 0.0)))
            }
            None => Ok((Some(Hint::Pattern(pattern.clone())), None)),
        },
        Some(_) => Err(CommandError::failed_to_parse("Hint must be a string or an object")),
    }
}

/// A find, read and checked.
pub struct Find {
    /// The filter, as given.
    pub filter_document: Document,
    filter: Arc<Filter>,
    projection: Option<Projection>,
    order: Order,
    hint: Option<Hint>,
    hint_natural: Option<bool>,
    skip: usize,
    limit: Option<usize>,
    min: Option<Document>,
    max: Option<Document>,
    return_key: bool,
    show_record: bool,
    context: QueryContext,
}

impl Find {
    /// Reads the query part of a find command (or what looks like one).
    pub fn parse(call: &Call<'_>, body: &Document, collection: Option<&Collection>) -> CommandResult<Self> {
        let collation = call.collation(fields::document(body, "collation")?, collection)?;
        let mut context = call.context(collation)?;
        if let Some(variables) = fields::document(body, "let")? {
            context.variables = super::evaluate_let(variables, &context)?;
        }
        let filter_document = fields::document(body, "filter")?.cloned().unwrap_or_default();
        let filter = Arc::new(Filter::parse(&filter_document, &context)?);
        let projection = match fields::document(body, "projection")? {
            Some(projection) if !projection.is_empty() => {
                let projection = Projection::parse(projection, ProjectionPolicy::Find, &context)?;
                projection.check_positional(&filter)?;
                Some(projection).filter(|projection| !projection.is_identity())
            }
            _ => None,
        };
        let order = parse_order(fields::document(body, "sort")?, &context)?;
        let (hint, hint_natural) = parse_hint(body.get("hint"))?;
        let skip = fields::count(body, "skip", "Skip")?.unwrap_or(0);
        let limit = fields::count(body, "limit", "Limit")?.filter(|limit| *limit > 0);
        Ok(Self {
            filter_document,
            filter,
            projection,
            order,
            hint,
            hint_natural,
            skip,
            limit,
            min: fields::document(body, "min")?.cloned(),
            max: fields::document(body, "max")?.cloned(),
            return_key: fields::boolean(body, "returnKey")?.unwrap_or(false),
            show_record: fields::boolean(body, "showRecordId")?.unwrap_or(false),
            context,
        })
    }

    /// The plan for a collection.
    pub fn plan(&self, point: &ReadPoint, collection: &Arc<Collection>) -> CommandResult<Plan> {
        if self.filter.has_near()
            && !collection.indexes.iter().any(|index| index.kind == crate::catalog::IndexKind::Geo)
        {
            return Err(CommandError::new(
                code::NO_QUERY_EXECUTION_PLANS,
                format!("error processing query: ns={}: unable to find index for $geoNear query", collection.namespace),
            ));
        }
        let query = Query {
            filter: &self.filter,
            sort: self.order.sort.as_ref(),
            natural: self.order.natural.or(self.hint_natural),
            hint: self.hint.as_ref(),
            collation: self.context.collation(),
            min: self.min.as_ref(),
            max: self.max.as_ref(),
        };
        Plan::choose(&point.view, collection, &query)
    }

    /// The parsed filter.
    pub fn filter(&self) -> &Arc<Filter> {
        &self.filter
    }

    /// Matches to read at most, skip included.
    pub fn most(&self) -> Option<usize> {
        self.limit.map(|limit| limit.saturating_add(self.skip))
    }

    /// How many of so many matches are returned.
    pub fn shown(&self, matches: i64) -> i64 {
        let left = matches.saturating_sub(self.skip as i64).max(0);
        self.limit.map_or(left, |limit| left.min(limit as i64))
    }

    /// Must matches be sorted after the plan's rows?
    pub fn sorts(&self, plan: &Plan) -> bool {
        (self.order.sort.is_some() && !plan.is_sorted) || (self.order.sort.is_none() && self.filter.has_near())
    }

    /// The matches in the order asked for, skip and limit applied.
    pub fn matches(&self, point: &ReadPoint, collection: &Arc<Collection>, plan: &Plan) -> CommandResult<Ordered> {
        let matches = Matches::new(plan.rows(&point.view, collection)?, Arc::clone(&self.filter));
        if !self.sorts(plan) {
            return Ok(Ordered::Streaming(Box::new(matches), self.skip, self.limit));
        }
        let keep = self.limit.map(|limit| limit.saturating_add(self.skip));
        let mut sorted: Vec<Match> = if let Some(sort) = &self.order.sort {
            sort_matches(matches, sort, keep)?
        } else {
            let mut near = Vec::new();
            for found in matches {
                let found = found?;
                let distance = self.filter.near_distance(bytes::to_raw(&found.stored)?).unwrap_or(f64::INFINITY);
                near.push((distance, found));
            }
            near.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            near.into_iter().map(|(_, found)| found).collect()
        };
        if let Some(keep) = keep {
            sorted.truncate(keep);
        }
        sorted.drain(..self.skip.min(sorted.len()));
        Ok(Ordered::Sorted(sorted.into_iter()))
    }

    fn results(self, point: &ReadPoint, collection: &Arc<Collection>) -> CommandResult<Results> {
        let plan = self.plan(point, collection)?;
        let matches = self.matches(point, collection, &plan)?;
        let (projection, return_key, show_record) = (self.projection, self.return_key, self.show_record);
        let key_paths: Vec<String> = match (&self.hint, return_key) {
            (Some(_), true) => plan
                .index_names()
                .first()
                .and_then(|name| collection.index(name))
                .map(|index| index.parts.iter().map(|(path, _)| path.clone()).collect())
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        Ok(Box::new(matches.map(move |found| {
            let found = found?;
            if return_key {
                let document = bytes::to_document(&found.stored)?;
                let mut key = Document::new();
                for path in &key_paths {
                    if let Some(value) = path::distinct_values(DocumentRef::Owned(&document), path).first() {
                        key.insert(path, value.to_bson());
                    }
                }
                return bytes::raw_from_document(&key);
            }
            let mut raw = match &projection {
                Some(projection) => {
                    let document = bytes::to_raw(&found.stored)?;
                    bytes::raw_from_document(&projection.apply(document, Some(found.details))?)?
                }
                None => to_raw_buf(&found.stored)?,
            };
            if show_record {
                raw.append(cstr!("$recordId"), found.record as i64);
            }
            Ok(raw)
        })))
    }
}

/// Stored bytes as a document of their own.
pub fn to_raw_buf(stored: &[u8]) -> CommandResult<RawDocumentBuf> {
    RawDocumentBuf::from_bytes(stored.to_vec())
        .map_err(|error| CommandError::new(code::INVALID_BSON, error.to_string()))
}

/// Matches on their way to the client.
pub enum Ordered {
    /// As the plan reads them: what is left to skip, and to return.
    Streaming(Box<Matches>, usize, Option<usize>),
    /// Sorted, skipped and limited.
    Sorted(std::vec::IntoIter<Match>),
}

impl Iterator for Ordered {
    type Item = CommandResult<Match>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Sorted(sorted) => sorted.next().map(Ok),
            Self::Streaming(matches, skip, limit) => {
                while *skip > 0 {
                    *skip -= 1;
                    if let Err(error) = matches.next()? {
                        return Some(Err(error));
                    }
                }
                if let Some(left) = limit {
                    *left = left.checked_sub(1)?;
                }
                matches.next()
            }
        }
    }
}

/// Sorts in memory, stably. With `keep`, no more than that many are held for long.
pub fn sort_matches(
    matches: impl Iterator<Item = CommandResult<Match>>,
    sort: &SortSpec,
    keep: Option<usize>,
) -> CommandResult<Vec<Match>> {
    let mut held: Vec<(SortKey, Match)> = Vec::new();
    let mut bytes_held = 0;
    for found in matches {
        let found = found?;
        let key = sort.key(bytes::to_raw(&found.stored)?)?;
        bytes_held += found.stored.len() + 64;
        held.push((key, found));
        match keep {
            Some(keep) if held.len() >= keep.saturating_mul(2).max(1_024) || bytes_held > SORT_BYTES_MAX => {
                held.sort_by(|(a, _), (b, _)| sort.compare(a, b));
                held.truncate(keep);
                bytes_held = held.iter().map(|(_, found)| found.stored.len() + 64).sum();
            }
            _ => {}
        }
        if bytes_held > SORT_BYTES_MAX {
            return Err(CommandError::new(
                code::QUERY_EXCEEDED_MEMORY_LIMIT_NO_DISK_USE_ALLOWED,
                format!(
                    "Sort exceeded memory limit of {SORT_BYTES_MAX} bytes, but did not opt in to external sorting."
                ),
            ));
        }
    }
    held.sort_by(|(a, _), (b, _)| sort.compare(a, b));
    Ok(held.into_iter().map(|(_, found)| found).collect())
}

pub fn find(call: &mut Call<'_>) -> CommandResult<Reply> {
    let namespace = call.namespace()?;
    let body = call.body;
    fields::only("find", body, FIND_FIELDS)?;
    let point = call.read_point();
    let collection = point.collection(&namespace);
    if let Some(view) = collection.as_ref().filter(|collection| collection.view.is_some()) {
        return find_on_view(call, view);
    }
    let find = Find::parse(call, body, collection.as_deref())?;
    let batch_size = fields::count(body, "batchSize", "BatchSize")?;
    let single_batch = fields::boolean(body, "singleBatch")?.unwrap_or(false);
    let no_timeout = fields::boolean(body, "noCursorTimeout")?.unwrap_or(false);
    let tailable = fields::boolean(body, "tailable")?.unwrap_or(false);
    let awaits = fields::boolean(body, "awaitData")?.unwrap_or(false);
    if awaits && !tailable {
        return Err(CommandError::failed_to_parse("Cannot set 'awaitData' without also setting 'tailable'"));
    }
    if tailable && single_batch {
        return Err(CommandError::failed_to_parse("Cannot use tailable option with the 'singleBatch' option"));
    }
    if tailable && (find.order.sort.is_some() || find.order.natural == Some(false)) {
        return Err(CommandError::bad_value("cannot use tailable option with a sort other than {$natural: 1}"));
    }
    if let Some(collection) = collection.as_ref().filter(|_| tailable) {
        let query = tailable::Query {
            filter: find.filter,
            projection: find.projection,
            skip: find.skip,
            limit: find.limit,
            awaits,
        };
        let tailable = Tailable::new(&call.shared.store, collection, query)?;
        let mut cursor = Cursor::live(namespace.to_string(), Box::new(tailable));
        cursor.no_timeout = no_timeout;
        drop(point);
        return open(call, cursor, batch_size, false);
    }
    let results: Results = match &collection {
        Some(collection) => find.results(&point, collection)?,
        None => Box::new(std::iter::empty()),
    };
    drop(point);
    open_cursor(call, namespace.to_string(), results, batch_size, single_batch, no_timeout)
}

/// Replies with the first batch, and keeps the rest under a cursor.
pub fn open_cursor(
    call: &Call<'_>,
    namespace: String,
    results: Results,
    batch_size: Option<usize>,
    single_batch: bool,
    no_timeout: bool,
) -> CommandResult<Reply> {
    let mut cursor = Cursor::new(namespace, results);
    cursor.no_timeout = no_timeout;
    open(call, cursor, batch_size, single_batch)
}

/// [`open_cursor`] for a cursor that was made already.
pub fn open(
    call: &Call<'_>,
    mut cursor: Cursor,
    batch_size: Option<usize>,
    single_batch: bool,
) -> CommandResult<Reply> {
    let namespace = cursor.namespace.clone();
    let batch = cursor.next_batch(batch_size.unwrap_or(FIRST_BATCH_DOCUMENTS))?;
    let id = if batch.has_more && !single_batch {
        cursor.owner = (call.session.clone(), call.transaction.is_some().then_some(call.number).flatten());
        call.shared.cursors.add(cursor)?
    } else {
        0
    };
    Ok(Reply::Raw(cursor::reply(true, &batch, id, &namespace)))
}

pub fn get_more(call: &mut Call<'_>) -> CommandResult<Reply> {
    let body = call.body;
    fields::only("getMore", body, &["collection", "batchSize", "term", "lastKnownCommittedOpTime"])?;
    let Some(Bson::Int64(id)) = body.get("getMore") else {
        return Err(CommandError::type_mismatch("Field 'getMore' must be of type long"));
    };
    let id = *id;
    let Some(collection) = fields::text(body, "collection")? else {
        return Err(fields::missing("getMore", "collection"));
    };
    let batch_size = match fields::count(body, "batchSize", "Batch size for getMore must be positive;")? {
        Some(0) => return Err(CommandError::bad_value("Batch size for getMore must be positive, but received: 0")),
        other => other,
    };
    let mut cursor = call.shared.cursors.take(id)?;
    let namespace = cursor.namespace.clone();
    let refuse = |cursor: Cursor, error: CommandError| {
        call.shared.cursors.give_back(id, cursor);
        Err(error)
    };
    if namespace != format!("{}.{collection}", call.database) {
        return refuse(
            cursor,
            CommandError::new(
                code::UNAUTHORIZED,
                format!(
                    "Requested getMore on namespace '{}.{collection}', but cursor belongs to a different namespace {namespace}",
                    call.database
                ),
            ),
        );
    }
    let number = call.transaction.is_some().then_some(call.number).flatten();
    if cursor.owner.0.is_some() && (cursor.owner.0 != call.session || cursor.owner.1 != number) {
        return refuse(
            cursor,
            CommandError::new(
                50738,
                format!("Cannot run getMore on cursor {id}, which was created in another session or transaction"),
            ),
        );
    }
    match next_batch(call, id, &mut cursor, batch_size.unwrap_or(usize::MAX)) {
        Ok(batch) => {
            if batch.has_more {
                call.shared.cursors.give_back(id, cursor);
            } else {
                call.shared.cursors.finish(id);
            }
            Ok(Reply::Raw(cursor::reply(false, &batch, if batch.has_more { id } else { 0 }, &namespace)))
        }
        Err(error) => {
            call.shared.cursors.finish(id);
            Err(error)
        }
    }
}

/// A batch of a cursor in use; for one that awaits data, when there is some or the time is over.
fn next_batch(call: &Call<'_>, id: i64, cursor: &mut Cursor, documents_max: usize) -> CommandResult<Batch> {
    let awaits = cursor.awaits();
    let limit = match call.body.get("maxTimeMS") {
        Some(_) if !awaits => {
            return Err(CommandError::bad_value("cannot set maxTimeMS on getMore command for a non-awaitData cursor"));
        }
        Some(value) => super::time_limit(value)?,
        None => None,
    };
    // A client that is gone is noticed only when there is something to tell it; drivers ask again after an empty batch.
    let deadline = Instant::now() + limit.unwrap_or(AWAIT_DEFAULT).min(AWAIT_MAX);
    loop {
        let seen = call.shared.store.progress();
        let batch = cursor.next_batch(documents_max)?;
        if !awaits || batch.count > 0 || !batch.has_more || Instant::now() >= deadline {
            return Ok(batch);
        }
        if call.shared.is_stopping() {
            return Err(CommandError::new(code::INTERRUPTED_AT_SHUTDOWN, "interrupted at shutdown")
                .with_label(RESUMABLE_CHANGE_STREAM_ERROR));
        }
        if call.shared.cursors.is_killed(id) {
            return Err(CommandError::new(code::CURSOR_KILLED, format!("cursor id {id} was killed")));
        }
        call.shared.store.wait(seen, deadline);
    }
}

pub fn kill_cursors(call: &mut Call<'_>) -> CommandResult<Reply> {
    // Cursors of commands on a whole database are named by the command.
    if !matches!(call.body.get("killCursors"), Some(Bson::String(name)) if name.starts_with("$cmd.")) {
        call.namespace()?;
    }
    let Some(Bson::Array(ids)) = call.body.get("cursors") else {
        return Err(fields::missing("killCursors", "cursors"));
    };
    let (mut killed, mut unknown): (Vec<Bson>, Vec<Bson>) = (Vec::new(), Vec::new());
    for id in ids {
        let Bson::Int64(number) = id else {
            return Err(CommandError::type_mismatch("Field 'cursors' contains an element that is not of type long"));
        };
        if call.shared.cursors.kill(*number) {
            killed.push(id.clone());
        } else {
            unknown.push(id.clone());
        }
    }
    // One of them may be waiting.
    call.shared.store.wake();
    Ok(doc! { "cursorsKilled": killed, "cursorsNotFound": unknown, "cursorsAlive": [], "cursorsUnknown": [] }.into())
}

pub fn count(call: &mut Call<'_>) -> CommandResult<Reply> {
    let namespace = call.namespace()?;
    let body = call.body;
    fields::only("count", body, &["query", "limit", "skip", "hint", "collation", "fields", "let", "mode"])?;
    let query = match body.get("query") {
        None | Some(Bson::Null) => None,
        Some(Bson::Document(query)) => Some(query),
        Some(other) => return Err(fields::wrong_type("count", "query", other, "object")),
    };
    let limit = fields::integer(body, "limit")?.map_or(0, i64::unsigned_abs) as usize;
    let skip = fields::count(body, "skip", "Skip")?.unwrap_or(0);
    let point = call.read_point();
    let Some(collection) = point.collection(&namespace) else {
        return Ok(doc! { "n": 0 }.into());
    };
    let total = if collection.view.is_some() {
        let mut stages = Vec::new();
        if let Some(query) = query {
            stages.push(Bson::Document(doc! { "$match": query.clone() }));
        }
        let (rows, _) = run_pipeline(call, &point, &namespace, stages, &Document::new())?;
        let mut total = 0_usize;
        for row in rows {
            row?;
            total += 1;
        }
        total
    } else if query.is_none_or(Document::is_empty) && !point.is_transaction {
        usize::try_from(collection.counters.documents.load(std::sync::atomic::Ordering::Acquire)).unwrap_or(0)
    } else {
        let mut command = doc! { "find": "" };
        if let Some(query) = query {
            command.insert("filter", query.clone());
        }
        for name in ["hint", "collation"] {
            if let Some(value) = body.get(name) {
                command.insert(name, value.clone());
            }
        }
        let find = Find::parse(call, &command, Some(&collection))?;
        let plan = find.plan(&point, &collection)?;
        let most = if limit == 0 { usize::MAX } else { limit.saturating_add(skip) };
        let mut total = 0;
        for found in Matches::new(plan.rows(&point.view, &collection)?, Arc::clone(&find.filter)) {
            found?;
            total += 1;
            if total >= most {
                break;
            }
        }
        total
    };
    let mut total = total.saturating_sub(skip);
    if limit > 0 {
        total = total.min(limit);
    }
    Ok(doc! { "n": count_reply(total as i64) }.into())
}

pub fn distinct(call: &mut Call<'_>) -> CommandResult<Reply> {
    let namespace = call.namespace()?;
    let body = call.body;
    fields::only("distinct", body, &["key", "query", "collation", "hint"])?;
    let key = match body.get("key") {
        Some(Bson::String(key)) => key.clone(),
        Some(other) => return Err(fields::wrong_type("distinct", "key", other, "string")),
        None => return Err(fields::missing("distinct", "key")),
    };
    let point = call.read_point();
    let Some(collection) = point.collection(&namespace) else {
        return Ok(doc! { "values": [] }.into());
    };
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    let mut values = Vec::new();
    let mut bytes_held = 0;
    let collation = call.collation(fields::document(body, "collation")?, Some(&collection))?;
    let mut take = |document: DocumentRef<'_>| -> CommandResult<()> {
        for value in path::distinct_values(document, &key) {
            let value = value.to_bson();
            let value_key = value_key(&value, collation.as_deref());
            bytes_held += value_key.len();
            if bytes_held > bytes::DOCUMENT_BYTES_MAX {
                return Err(CommandError::new(17217, "distinct too big, 16mb cap"));
            }
            if seen.insert(value_key) {
                values.push(value);
            }
        }
        Ok(())
    };
    let query = fields::document(body, "query")?;
    if collection.view.is_some() {
        let stages = query.map(|query| Bson::Document(doc! { "$match": query.clone() })).into_iter().collect();
        let (rows, _) = run_pipeline(call, &point, &namespace, stages, body)?;
        for row in rows {
            take(row?.as_ref())?;
        }
    } else {
        let mut command = doc! { "find": "" };
        if let Some(query) = query {
            command.insert("filter", query.clone());
        }
        for name in ["collation", "hint"] {
            if let Some(value) = body.get(name) {
                command.insert(name, value.clone());
            }
        }
        let find = Find::parse(call, &command, Some(&collection))?;
        let plan = find.plan(&point, &collection)?;
        for found in Matches::new(plan.rows(&point.view, &collection)?, Arc::clone(&find.filter)) {
            take(bytes::to_raw(&found?.stored)?.into())?;
        }
    }
    Ok(doc! { "values": values }.into())
}

/// A find on a view is a pipeline on what the view shows.
fn find_on_view(call: &Call<'_>, view: &Arc<Collection>) -> CommandResult<Reply> {
    let body = call.body;
    for refused in ["min", "max", "returnKey", "showRecordId", "tailable"] {
        if body.contains_key(refused) {
            return Err(CommandError::new(
                code::INVALID_PIPELINE_OPERATOR,
                format!("Option {refused} not supported in aggregation."),
            ));
        }
    }
    let mut stages = Vec::new();
    if let Some(filter) = fields::document(body, "filter")?.filter(|filter| !filter.is_empty()) {
        stages.push(doc! { "$match": filter.clone() });
    }
    if let Some(sort) =
        fields::document(body, "sort")?.filter(|sort| !sort.is_empty() && !sort.contains_key("$natural"))
    {
        stages.push(doc! { "$sort": sort.clone() });
    }
    if let Some(skip) = fields::count(body, "skip", "Skip")?.filter(|skip| *skip > 0) {
        stages.push(doc! { "$skip": skip as i64 });
    }
    if let Some(limit) = fields::count(body, "limit", "Limit")?.filter(|limit| *limit > 0) {
        stages.push(doc! { "$limit": limit as i64 });
    }
    if let Some(projection) = fields::document(body, "projection")?.filter(|projection| !projection.is_empty()) {
        stages.push(doc! { "$project": projection.clone() });
    }
    let point = call.read_point();
    let stages = stages.into_iter().map(Bson::Document).collect();
    let (rows, _) = run_pipeline(call, &point, &view.namespace, stages, body)?;
    let batch_size = fields::count(body, "batchSize", "BatchSize")?;
    let single_batch = fields::boolean(body, "singleBatch")?.unwrap_or(false);
    open_cursor(call, view.namespace.to_string(), results(rows), batch_size, single_batch, false)
}

fn results(rows: crate::aggregate::Rows) -> Results {
    Box::new(rows.map(|row| row?.into_raw()))
}

/// The collection a name leads to, and the stages of the views on the way, outermost last.
pub fn resolve(
    point: &ReadPoint,
    namespace: &Namespace,
) -> CommandResult<(Namespace, Vec<Bson>, Option<Arc<Collection>>)> {
    let mut at = namespace.clone();
    let mut stages: Vec<Bson> = Vec::new();
    for _ in 0..=VIEW_DEPTH_MAX {
        let collection = point.collection(&at);
        match collection.as_ref().and_then(|collection| collection.view.as_ref()) {
            Some(view) => {
                let mut inner = view.pipeline.clone();
                inner.append(&mut stages);
                stages = inner;
                at = Namespace { database: at.database, collection: view.on.clone() };
            }
            None => return Ok((at, stages, collection)),
        }
    }
    Err(CommandError::new(
        code::VIEW_DEPTH_LIMIT_EXCEEDED,
        format!("View depth too deep or view cycle detected; maximum depth is {VIEW_DEPTH_MAX}"),
    ))
}

/// Is the pipeline one a view may have? Reads it and forgets it.
pub fn check_pipeline(call: &Call<'_>, stages: &[Bson]) -> CommandResult<()> {
    Pipeline::parse(stages, &PipelineOptions::new(&call.database, Some("view")), &call.context(None)?).map(drop)
}

/// Rows of a pipeline over a collection or view. The flag: does the pipeline write (`$out`, `$merge`)?
pub fn run_pipeline(
    call: &Call<'_>,
    point: &ReadPoint,
    namespace: &Namespace,
    stages: Vec<Bson>,
    body: &Document,
) -> CommandResult<(crate::aggregate::Rows, bool)> {
    let (target, mut all, collection) = resolve(point, namespace)?;
    let from_view = !all.is_empty();
    all.extend(stages);
    let given = fields::document(body, "collation")?;
    let view_collation = if from_view { point.collection(namespace) } else { None };
    let collation = call.collation(given, view_collation.as_deref().or(collection.as_deref()))?;
    let context = call.context(collation)?;
    let access = Arc::new(Access::new(call, point));
    let is_database = target.collection == DATABASE_TARGET;
    let disk = fields::boolean(body, "allowDiskUse")?.unwrap_or(true);
    access.run(&target, collection, &all, &context, body.get("hint"), is_database, disk)
}

pub fn aggregate(call: &mut Call<'_>) -> CommandResult<Reply> {
    let body = call.body;
    fields::only(
        "aggregate",
        body,
        &[
            "pipeline",
            "explain",
            "allowDiskUse",
            "cursor",
            "bypassDocumentValidation",
            "collation",
            "hint",
            "let",
            "fromMongos",
            "needsMerge",
            "exchange",
            "isMapReduceCommand",
            "runtimeConstants",
            "use44SortKeys",
        ],
    )?;
    let stages = match body.get("pipeline") {
        Some(Bson::Array(stages)) => stages.clone(),
        Some(_) => return Err(CommandError::type_mismatch("'pipeline' option must be specified as an array")),
        None => return Err(fields::missing("aggregate", "pipeline")),
    };
    let is_explain = fields::boolean(body, "explain")?.unwrap_or(false);
    let cursor = match body.get("cursor") {
        Some(Bson::Document(cursor)) => Some(cursor),
        Some(_) => return Err(CommandError::type_mismatch("cursor field must be missing or an object")),
        None => None,
    };
    if cursor.is_none() && !is_explain {
        return Err(CommandError::failed_to_parse(
            "The 'cursor' option is required, except for aggregate with the explain argument",
        ));
    }
    if is_explain {
        return super::explain::explain_aggregate(call, body, &stages, "queryPlanner");
    }
    let batch_size = match cursor {
        Some(cursor) => fields::count(cursor, "batchSize", "BatchSize")?,
        None => None,
    };
    // `aggregate: 1` runs on the database.
    let namespace = match body.get("aggregate") {
        Some(Bson::String(_)) => call.namespace()?,
        Some(number) if crate::query::ValueRef::from(number).as_f64() == Some(1.0) => {
            Namespace { database: call.database.clone(), collection: DATABASE_TARGET.to_owned() }
        }
        _ => {
            return Err(CommandError::failed_to_parse(
                "Invalid command format: the 'aggregate' field must specify a collection name or 1",
            ));
        }
    };
    if super::change_stream::is_change_stream(&stages) {
        let namespace = (namespace.collection != DATABASE_TARGET).then_some(namespace);
        return super::change_stream::open(call, namespace, &stages, batch_size);
    }
    let point = call.read_point();
    let (rows, writes) = run_pipeline(call, &point, &namespace, stages, body)?;
    drop(point);
    if writes {
        // $out and $merge do all their work now, and return nothing.
        for row in rows {
            deadline::check()?;
            row?;
        }
        if call.is_durable() {
            call.shared.store.sync_all()?;
        }
        let empty: Results = Box::new(std::iter::empty());
        return open_cursor(call, namespace.to_string(), empty, batch_size, true, false);
    }
    open_cursor(call, namespace.to_string(), results(rows), batch_size, false, false)
}
