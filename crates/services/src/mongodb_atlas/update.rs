//! `updateOne`, `updateMany` and `replaceOne` (function-environment 7.4, 7.6).

use bson::raw::{RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use bson::{Bson, Document, cstr};
use mongodb::options::{ReplaceOptions, UpdateModifications, UpdateOptions};
use mongodb::results::UpdateResult;

use super::bulk_write::{self, Statement};
use super::connection::DataSource;
use super::filter::filter;
use super::handles::OpenHandles;
use super::session;
use crate::ServiceError;
use crate::arguments::{Arguments, append_count};
use crate::error::Reply;

/// How many matches an update changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    One,
    Many,
}

/// What an `update` argument asks for.
pub(crate) enum Change {
    /// Operators or a pipeline.
    Modify(UpdateModifications),
    /// A document without operators takes the place of the match.
    Replace(RawDocumentBuf),
}

impl Change {
    /// The argument `key` of an update: operators, a pipeline, or a whole document.
    pub fn parse(arguments: Arguments<'_>, key: &str) -> Result<Self, ServiceError> {
        match arguments.value(key)? {
            Some(RawBsonRef::Document(update)) => {
                let Some(first) = update.iter().next() else {
                    return Err(arguments.invalid(key, "an update that is not empty"));
                };
                if first?.0.as_str().starts_with('$') {
                    Ok(Self::Modify(UpdateModifications::Document(Document::try_from(update)?)))
                } else {
                    Ok(Self::Replace(update.to_owned()))
                }
            }
            Some(RawBsonRef::Array(_)) => {
                let pipeline = arguments.optional_documents(key)?.unwrap_or_default();
                if pipeline.is_empty() {
                    return Err(arguments.invalid(key, "an update that is not empty"));
                }
                Ok(Self::Modify(UpdateModifications::Pipeline(pipeline)))
            }
            _ => Err(arguments.invalid(key, "an object or an array of stages")),
        }
    }
}

/// The argument `key` of a replacement: a document without operators.
pub(crate) fn replacement<'a>(arguments: Arguments<'a>, key: &str) -> Result<&'a RawDocument, ServiceError> {
    let document = arguments.raw_document(key)?;
    for element in document {
        if element?.0.as_str().starts_with('$') {
            return Err(arguments.invalid(key, "a document without update operators"));
        }
    }
    Ok(document)
}

/// `updateOne`, `updateMany {db, collection, filter, update, options}` → `{matchedCount, modifiedCount, upsertedId?}`.
pub(crate) async fn update(
    source: &DataSource,
    handles: &OpenHandles,
    arguments: Arguments<'_>,
    extent: Extent,
) -> Reply {
    let query = filter(arguments)?;
    let modifications = match (Change::parse(arguments, "update")?, extent) {
        (Change::Modify(modifications), _) => modifications,
        (Change::Replace(document), Extent::One) => {
            return replace(source, handles, arguments, query, document).await;
        }
        (Change::Replace(document), Extent::Many) => {
            // The driver would refuse this in words of its own; the server's answer is what user code knows.
            let statement = Statement::replace_many(&query, &document)?;
            return bulk_write::one_statement(source, handles, arguments, statement).await;
        }
    };
    let options = arguments.options()?;
    let collection = source.collection::<Document>(arguments.text("db")?, arguments.text("collection")?);
    let mut update_options = UpdateOptions::default();
    update_options.upsert = options.flag("upsert")?;
    update_options.array_filters = options.optional_documents("arrayFilters")?;
    update_options.bypass_document_validation = options.flag("bypassDocumentValidation")?;
    update_options.collation = options.collation()?;
    update_options.hint = options.hint()?;
    update_options.write_concern = options.write_concern()?;
    update_options.let_vars = options.optional_document("let")?;
    update_options.comment = options.optional_bson("comment")?;
    let update = match extent {
        Extent::One => collection.update_one(query, modifications),
        Extent::Many => collection.update_many(query, modifications),
    };
    let update = update.with_options(update_options);
    let result = match session::acquire(source, handles, arguments).await? {
        None => update.await?,
        Some(mut session) => update.session(session.session()).await?,
    };
    update_reply(result)
}

/// `replaceOne {db, collection, filter, replacement, options}` → as an update.
pub(crate) async fn replace_one(source: &DataSource, handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let document = replacement(arguments, "replacement")?.to_owned();
    replace(source, handles, arguments, filter(arguments)?, document).await
}

async fn replace(
    source: &DataSource,
    handles: &OpenHandles,
    arguments: Arguments<'_>,
    query: Document,
    document: RawDocumentBuf,
) -> Reply {
    let options = arguments.options()?;
    let collection = source.collection::<RawDocumentBuf>(arguments.text("db")?, arguments.text("collection")?);
    let mut replace_options = ReplaceOptions::default();
    replace_options.upsert = options.flag("upsert")?;
    replace_options.bypass_document_validation = options.flag("bypassDocumentValidation")?;
    replace_options.collation = options.collation()?;
    replace_options.hint = options.hint()?;
    replace_options.write_concern = options.write_concern()?;
    replace_options.let_vars = options.optional_document("let")?;
    replace_options.comment = options.optional_bson("comment")?;
    let replace = collection.replace_one(query, &document).with_options(replace_options);
    let result = match session::acquire(source, handles, arguments).await? {
        None => replace.await?,
        Some(mut session) => replace.session(session.session()).await?,
    };
    update_reply(result)
}

fn update_reply(result: UpdateResult) -> Reply {
    counts_reply(result.matched_count, result.modified_count, result.upserted_id)
}

/// `{matchedCount, modifiedCount}`, and `upsertedId` only when a document was inserted (7.6).
pub(crate) fn counts_reply(matched: u64, modified: u64, upserted: Option<Bson>) -> Reply {
    let mut reply = RawDocumentBuf::new();
    append_count(&mut reply, cstr!("matchedCount"), matched);
    append_count(&mut reply, cstr!("modifiedCount"), modified);
    if let Some(id) = upserted {
        reply.append(cstr!("upsertedId"), RawBson::try_from(id)?);
    }
    Ok(reply)
}
