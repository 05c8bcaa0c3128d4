//! `deleteOne` and `deleteMany` (function-environment 7.4, 7.6).

use bson::raw::RawDocumentBuf;
use bson::{Document, cstr};
use mongodb::options::DeleteOptions;

use super::connection::DataSource;
use super::filter::filter;
use super::handles::OpenHandles;
use super::session;
use crate::arguments::{Arguments, append_count};
use crate::error::Reply;

/// How many matches a delete removes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    One,
    Many,
}

/// `deleteOne`, `deleteMany {db, collection, filter, options}` → `{deletedCount}`.
pub(crate) async fn delete(
    source: &DataSource,
    handles: &OpenHandles,
    arguments: Arguments<'_>,
    extent: Extent,
) -> Reply {
    let query = filter(arguments)?;
    let options = arguments.options()?;
    let collection = source.collection::<Document>(arguments.text("db")?, arguments.text("collection")?);
    let mut delete_options = DeleteOptions::default();
    delete_options.collation = options.collation()?;
    delete_options.hint = options.hint()?;
    delete_options.write_concern = options.write_concern()?;
    delete_options.let_vars = options.optional_document("let")?;
    delete_options.comment = options.optional_bson("comment")?;
    let delete = match extent {
        Extent::One => collection.delete_one(query),
        Extent::Many => collection.delete_many(query),
    };
    let delete = delete.with_options(delete_options);
    let result = match session::acquire(source, handles, arguments).await? {
        None => delete.await?,
        Some(mut session) => delete.session(session.session()).await?,
    };
    let mut reply = RawDocumentBuf::new();
    append_count(&mut reply, cstr!("deletedCount"), result.deleted_count);
    Ok(reply)
}
