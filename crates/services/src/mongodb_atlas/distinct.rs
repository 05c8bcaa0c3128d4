//! `distinct` (function-environment 7.4).

use bson::raw::{RawArrayBuf, RawBson, RawDocumentBuf};
use bson::{Document, cstr};
use mongodb::options::DistinctOptions;
use rules::Permitted;

use super::connection::DataSource;
use super::filter::filter;
use super::handles::OpenHandles;
use super::session;
use crate::ServiceError;
use crate::arguments::Arguments;
use crate::error::Reply;

/// `distinct {db, collection, field, filter, options}` → `{value: […]}`; values keep their BSON types.
pub(crate) async fn distinct(source: &DataSource, handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let values = values(source, handles, arguments, filter(arguments)?).await?;
    Ok(reply(&Permitted::granted_without_rules_to_the_system_user(values)))
}

/// The values over all documents that match a query, with the call's options and session.
pub(crate) async fn values(
    source: &DataSource,
    handles: &OpenHandles,
    arguments: Arguments<'_>,
    query: Document,
) -> Result<RawArrayBuf, ServiceError> {
    let options = arguments.options()?;
    let collection = source.collection::<Document>(arguments.text("db")?, arguments.text("collection")?);
    let mut distinct_options = DistinctOptions::default();
    distinct_options.max_time = options.milliseconds("maxTimeMS")?;
    distinct_options.collation = options.collation()?;
    distinct_options.read_concern = options.read_concern()?;
    distinct_options.hint = options.hint()?;
    distinct_options.comment = options.optional_bson("comment")?;
    let distinct = collection.distinct(arguments.text("field")?, query).with_options(distinct_options);
    let found = match session::acquire(source, handles, arguments).await? {
        None => distinct.await?,
        Some(mut session) => distinct.session(session.session()).await?,
    };
    let mut values = RawArrayBuf::new();
    for value in found {
        values.push(RawBson::try_from(value)?);
    }
    Ok(values)
}

/// `{value: […]}`.
pub(crate) fn reply(values: &Permitted<RawArrayBuf>) -> RawDocumentBuf {
    let mut reply = RawDocumentBuf::new();
    reply.append(cstr!("value"), values.get());
    reply
}
