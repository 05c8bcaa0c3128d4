//! `find`, `findOne` and `count` (function-environment 7.3, 7.4).

use bson::raw::{RawBson, RawDocumentBuf};
use bson::{Bson, Document, cstr};
use mongodb::options::{CountOptions, FindOptions};

use rules::Permitted;

use super::connection::DataSource;
use super::cursor::{self, RawBatches, Sight};
use super::filter::filter;
use super::handles::OpenHandles;
use super::session;
use crate::ServiceError;
use crate::arguments::{Arguments, append_count};
use crate::error::Reply;

/// `find {db, collection, filter, options}` → `{cursor, documents}`.
pub(crate) async fn find(source: &DataSource, handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let collection = source.collection::<Document>(arguments.text("db")?, arguments.text("collection")?);
    let options = find_options(arguments.options()?)?;
    let query = collection.find(filter(arguments)?).with_options(options);
    match session::acquire(source, handles, arguments).await? {
        None => cursor::open(handles, query.batch().await?, Sight::System).await,
        Some(mut session) => {
            let found = query.session(session.session()).batch().await?;
            cursor::open_in_session(handles, found, session, Sight::System).await
        }
    }
}

/// `findOne {db, collection, filter, options}` → `{value: document | null}`.
pub(crate) async fn find_one(source: &DataSource, handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let collection = source.collection::<Document>(arguments.text("db")?, arguments.text("collection")?);
    let mut options = find_options(arguments.options()?)?;
    // A negative limit asks for one batch and no cursor.
    options.limit = Some(-1);
    options.batch_size = None;
    let query = collection.find(filter(arguments)?).with_options(options);
    let batches = match session::acquire(source, handles, arguments).await? {
        None => RawBatches::alone(query.batch().await?),
        Some(mut session) => {
            let found = query.session(session.session()).batch().await?;
            RawBatches::in_session(found, session)
        }
    };
    Ok(value_reply(cursor::first_document(batches, &mut Sight::System).await?))
}

/// `count {db, collection, filter, options}` → `{value}`.
///
/// Outside a session this is the count command, which knows `$where` and `$near`; transactions do not know it, so inside a
/// session it is an aggregation.
pub(crate) async fn count(source: &DataSource, handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let count = count_matching(source, handles, arguments, filter(arguments)?).await?;
    let mut reply = RawDocumentBuf::new();
    append_count(&mut reply, cstr!("value"), count);
    Ok(reply)
}

/// How many documents match a query, with the call's options and session.
pub(crate) async fn count_matching(
    source: &DataSource,
    handles: &OpenHandles,
    arguments: Arguments<'_>,
    query: Document,
) -> Result<u64, ServiceError> {
    let options = arguments.options()?;
    match session::acquire(source, handles, arguments).await? {
        None => count_command(source, arguments, query).await,
        Some(mut session) => {
            let collection = source.collection::<Document>(arguments.text("db")?, arguments.text("collection")?);
            let mut count_options = CountOptions::default();
            count_options.limit = options.natural("limit")?.filter(|limit| *limit > 0);
            count_options.skip = options.natural("skip")?;
            count_options.hint = options.hint()?;
            count_options.collation = options.collation()?;
            count_options.max_time = options.milliseconds("maxTimeMS")?;
            count_options.read_concern = options.read_concern()?;
            count_options.comment = options.optional_bson("comment")?;
            Ok(collection.count_documents(query).with_options(count_options).session(session.session()).await?)
        }
    }
}

async fn count_command(source: &DataSource, arguments: Arguments<'_>, query: Document) -> Result<u64, ServiceError> {
    let options = arguments.options()?;
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("count"), arguments.text("collection")?);
    command.append(cstr!("query"), RawDocumentBuf::try_from(query)?);
    if let Some(limit) = options.integer("limit")? {
        command.append(cstr!("limit"), limit);
    }
    if let Some(skip) = options.natural("skip")? {
        command.append(cstr!("skip"), i64::try_from(skip).map_err(|_| options.invalid("skip", "below 2^63"))?);
    }
    for (name, key) in [("hint", cstr!("hint")), ("collation", cstr!("collation")), ("comment", cstr!("comment"))] {
        if let Some(value) = options.value(name)? {
            command.append(key, value);
        }
    }
    if let Some(time) = options.milliseconds("maxTimeMS")? {
        command.append(cstr!("maxTimeMS"), i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    }
    if let Some(concern) = options.read_concern()? {
        command.append(cstr!("readConcern"), bson::serialize_to_raw_document_buf(&concern)?);
    }
    let database = source.client().database(arguments.text("db")?);
    let criteria = source.selection_criteria().or_else(|| source.client().selection_criteria().cloned());
    let mut is_retry = false;
    let reply = loop {
        let mut action = database.run_raw_command(command.clone());
        if let Some(criteria) = criteria.clone() {
            action = action.selection_criteria(criteria);
        }
        // The driver retries its own reads once, but not commands handed to it whole.
        match action.await.map_err(ServiceError::from) {
            Err(error) if !is_retry && error.is_retryable_read() => is_retry = true,
            reply => break reply?,
        }
    };
    Ok(match reply.get("n") {
        Some(Bson::Int32(count)) => u64::try_from(*count).unwrap_or(0),
        Some(Bson::Int64(count)) => u64::try_from(*count).unwrap_or(0),
        Some(Bson::Double(count)) => *count as u64,
        _ => 0,
    })
}

pub(crate) fn find_options(options: Arguments<'_>) -> Result<FindOptions, ServiceError> {
    let mut find_options = FindOptions::default();
    find_options.projection = options.optional_document("projection")?;
    find_options.sort = options.optional_document("sort")?;
    find_options.limit = options.integer("limit")?;
    find_options.skip = options.natural("skip")?;
    find_options.batch_size = options.batch_size()?;
    find_options.hint = options.hint()?;
    find_options.collation = options.collation()?;
    find_options.max_time = options.milliseconds("maxTimeMS")?;
    find_options.read_concern = options.read_concern()?;
    find_options.comment = options.optional_bson("comment")?;
    find_options.let_vars = options.optional_document("let")?;
    find_options.allow_disk_use = options.flag("allowDiskUse")?;
    find_options.min = options.optional_document("min")?;
    find_options.max = options.optional_document("max")?;
    find_options.return_key = options.flag("returnKey")?;
    find_options.show_record_id = options.flag("showRecordId")?;
    Ok(find_options)
}

/// `{value: document | null}`.
pub(crate) fn value_reply(document: Option<Permitted<RawDocumentBuf>>) -> RawDocumentBuf {
    let mut reply = RawDocumentBuf::new();
    match document {
        Some(document) => reply.append(cstr!("value"), document.into_inner()),
        None => reply.append(cstr!("value"), RawBson::Null),
    }
    reply
}
