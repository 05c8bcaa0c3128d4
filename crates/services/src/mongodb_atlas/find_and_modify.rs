//! `findOneAndUpdate`, `findOneAndReplace` and `findOneAndDelete` (function-environment 7.4). They answer the document
//! itself, never a wrapper of the driver's.

use bson::raw::RawDocumentBuf;
use mongodb::options::{
    FindOneAndDeleteOptions, FindOneAndReplaceOptions, FindOneAndUpdateOptions, ReturnDocument, UpdateModifications,
};

use rules::Permitted;

use super::connection::DataSource;
use super::filter::filter;
use super::find::value_reply;
use super::handles::OpenHandles;
use super::session;
use super::update::{Change, replacement};
use crate::ServiceError;
use crate::arguments::Arguments;
use crate::error::Reply;

/// `findOneAndUpdate {db, collection, filter, update, options}` → `{value: document | null}`.
pub(crate) async fn find_one_and_update(source: &DataSource, handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    match Change::parse(arguments, "update")? {
        Change::Modify(modifications) => modify(source, handles, arguments, modifications).await,
        // Running apps hand whole documents to findOneAndUpdate; the service replaced (7.4).
        Change::Replace(document) => replace(source, handles, arguments, document).await,
    }
}

/// `findOneAndReplace {db, collection, filter, replacement, options}` → `{value: document | null}`.
pub(crate) async fn find_one_and_replace(
    source: &DataSource,
    handles: &OpenHandles,
    arguments: Arguments<'_>,
) -> Reply {
    let document = replacement(arguments, "replacement")?.to_owned();
    replace(source, handles, arguments, document).await
}

/// `findOneAndDelete {db, collection, filter, options}` → `{value: document | null}`.
pub(crate) async fn find_one_and_delete(source: &DataSource, handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let options = arguments.options()?;
    let collection = source.collection::<RawDocumentBuf>(arguments.text("db")?, arguments.text("collection")?);
    let mut delete_options = FindOneAndDeleteOptions::default();
    delete_options.projection = options.optional_document("projection")?;
    delete_options.sort = options.optional_document("sort")?;
    delete_options.max_time = options.milliseconds("maxTimeMS")?;
    delete_options.collation = options.collation()?;
    delete_options.hint = options.hint()?;
    delete_options.write_concern = options.write_concern()?;
    delete_options.let_vars = options.optional_document("let")?;
    delete_options.comment = options.optional_bson("comment")?;
    let delete = collection.find_one_and_delete(filter(arguments)?).with_options(delete_options);
    let found = match session::acquire(source, handles, arguments).await? {
        None => delete.await?,
        Some(mut session) => delete.session(session.session()).await?,
    };
    Ok(value_reply(found.map(Permitted::granted_without_rules_to_the_system_user)))
}

async fn modify(
    source: &DataSource,
    handles: &OpenHandles,
    arguments: Arguments<'_>,
    modifications: UpdateModifications,
) -> Reply {
    let options = arguments.options()?;
    let collection = source.collection::<RawDocumentBuf>(arguments.text("db")?, arguments.text("collection")?);
    let mut update_options = FindOneAndUpdateOptions::default();
    update_options.array_filters = options.optional_documents("arrayFilters")?;
    update_options.bypass_document_validation = options.flag("bypassDocumentValidation")?;
    update_options.projection = options.optional_document("projection")?;
    update_options.return_document = Some(return_document(options)?);
    update_options.sort = options.optional_document("sort")?;
    update_options.upsert = options.flag("upsert")?;
    update_options.max_time = options.milliseconds("maxTimeMS")?;
    update_options.collation = options.collation()?;
    update_options.hint = options.hint()?;
    update_options.write_concern = options.write_concern()?;
    update_options.let_vars = options.optional_document("let")?;
    update_options.comment = options.optional_bson("comment")?;
    let update = collection.find_one_and_update(filter(arguments)?, modifications).with_options(update_options);
    let found = match session::acquire(source, handles, arguments).await? {
        None => update.await?,
        Some(mut session) => update.session(session.session()).await?,
    };
    Ok(value_reply(found.map(Permitted::granted_without_rules_to_the_system_user)))
}

async fn replace(
    source: &DataSource,
    handles: &OpenHandles,
    arguments: Arguments<'_>,
    document: RawDocumentBuf,
) -> Reply {
    let options = arguments.options()?;
    let collection = source.collection::<RawDocumentBuf>(arguments.text("db")?, arguments.text("collection")?);
    let mut replace_options = FindOneAndReplaceOptions::default();
    replace_options.bypass_document_validation = options.flag("bypassDocumentValidation")?;
    replace_options.projection = options.optional_document("projection")?;
    replace_options.return_document = Some(return_document(options)?);
    replace_options.sort = options.optional_document("sort")?;
    replace_options.upsert = options.flag("upsert")?;
    replace_options.max_time = options.milliseconds("maxTimeMS")?;
    replace_options.collation = options.collation()?;
    replace_options.hint = options.hint()?;
    replace_options.write_concern = options.write_concern()?;
    replace_options.let_vars = options.optional_document("let")?;
    replace_options.comment = options.optional_bson("comment")?;
    let replace = collection.find_one_and_replace(filter(arguments)?, &document).with_options(replace_options);
    let found = match session::acquire(source, handles, arguments).await? {
        None => replace.await?,
        Some(mut session) => replace.session(session.session()).await?,
    };
    Ok(value_reply(found.map(Permitted::granted_without_rules_to_the_system_user)))
}

fn return_document(options: Arguments<'_>) -> Result<ReturnDocument, ServiceError> {
    let is_new = options.flag("returnNewDocument")?.unwrap_or(false);
    Ok(if is_new { ReturnDocument::After } else { ReturnDocument::Before })
}
