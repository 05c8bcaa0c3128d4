//! `distinct` (function-environment 7.4).

use bson::raw::{RawArrayBuf, RawBson, RawDocumentBuf};
use bson::{Document, cstr};
use mongodb::options::DistinctOptions;

use super::connection::DataSource;
use super::filter::filter;
use super::handles::OpenHandles;
use super::session;
use crate::arguments::Arguments;
use crate::error::Reply;

/// `distinct {db, collection, field, filter, options}` → `{value: […]}`; values keep their BSON types.
pub(crate) async fn distinct(source: &DataSource, handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let options = arguments.options()?;
    let collection = source.collection::<Document>(arguments.text("db")?, arguments.text("collection")?);
    let mut distinct_options = DistinctOptions::default();
    distinct_options.max_time = options.milliseconds("maxTimeMS")?;
    distinct_options.collation = options.collation()?;
    distinct_options.read_concern = options.read_concern()?;
    distinct_options.hint = options.hint()?;
    distinct_options.comment = options.optional_bson("comment")?;
    let distinct = collection.distinct(arguments.text("field")?, filter(arguments)?).with_options(distinct_options);
    let found = match session::acquire(source, handles, arguments).await? {
        None => distinct.await?,
        Some(mut session) => distinct.session(session.session()).await?,
    };
    let mut values = RawArrayBuf::new();
    for value in found {
        values.push(RawBson::try_from(value)?);
    }
    let mut reply = RawDocumentBuf::new();
    reply.append(cstr!("value"), values);
    Ok(reply)
}
