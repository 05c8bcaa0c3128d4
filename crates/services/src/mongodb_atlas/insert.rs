//! `insertOne` and `insertMany` (function-environment 7.4, 7.6).

use bson::cstr;
use bson::raw::{RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use mongodb::options::{InsertManyOptions, InsertOneOptions};

use super::connection::DataSource;
use super::handles::OpenHandles;
use super::session;
use crate::ServiceError;
use crate::arguments::Arguments;
use crate::error::Reply;

/// `insertOne {db, collection, document, options}` → `{insertedId}`. A missing `_id` is made here and stored first.
pub(crate) async fn insert_one(source: &DataSource, handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let document = with_id(arguments.raw_document("document")?)?;
    let options = arguments.options()?;
    let collection = source.collection::<RawDocumentBuf>(arguments.text("db")?, arguments.text("collection")?);
    let mut insert_options = InsertOneOptions::default();
    insert_options.bypass_document_validation = options.flag("bypassDocumentValidation")?;
    insert_options.write_concern = options.write_concern()?;
    insert_options.comment = options.optional_bson("comment")?;
    let insert = collection.insert_one(&document).with_options(insert_options);
    match session::acquire(source, handles, arguments).await? {
        None => insert.await?,
        Some(mut session) => insert.session(session.session()).await?,
    };
    let mut reply = RawDocumentBuf::new();
    reply.append(cstr!("insertedId"), id_of(&document)?);
    Ok(reply)
}

/// `insertMany {db, collection, documents, options}` → `{insertedIds}`, in the order of the documents.
pub(crate) async fn insert_many(source: &DataSource, handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let documents = documents(arguments)?;
    let mut ids = RawArrayBuf::new();
    for document in &documents {
        ids.push(id_of(document)?);
    }
    let options = arguments.options()?;
    let collection = source.collection::<RawDocumentBuf>(arguments.text("db")?, arguments.text("collection")?);
    let insert = collection.insert_many(documents).with_options(insert_many_options(options)?);
    match session::acquire(source, handles, arguments).await? {
        None => insert.await?,
        Some(mut session) => insert.session(session.session()).await?,
    };
    let mut reply = RawDocumentBuf::new();
    reply.append(cstr!("insertedIds"), ids);
    Ok(reply)
}

/// The documents of `insertMany`, each with its `_id`.
pub(crate) fn documents(arguments: Arguments<'_>) -> Result<Vec<RawDocumentBuf>, ServiceError> {
    let mut documents = Vec::new();
    for document in arguments.raw_array("documents")? {
        match document? {
            RawBsonRef::Document(document) => documents.push(with_id(document)?),
            _ => return Err(arguments.invalid("documents", "an array of objects")),
        }
    }
    if documents.is_empty() {
        return Err(ServiceError::invalid("insertMany: 'documents' must hold at least one document"));
    }
    Ok(documents)
}

pub(crate) fn insert_many_options(options: Arguments<'_>) -> Result<InsertManyOptions, ServiceError> {
    let mut insert_options = InsertManyOptions::default();
    insert_options.ordered = Some(options.flag("ordered")?.unwrap_or(true));
    insert_options.bypass_document_validation = options.flag("bypassDocumentValidation")?;
    insert_options.write_concern = options.write_concern()?;
    insert_options.comment = options.optional_bson("comment")?;
    Ok(insert_options)
}

/// A copy of the document with `_id` as its first field; a new ObjectId when it has none.
pub(crate) fn with_id(document: &RawDocument) -> Result<RawDocumentBuf, ServiceError> {
    let mut elements = document.iter();
    if let Some(first) = elements.next()
        && first?.0.as_str() == "_id"
    {
        return Ok(document.to_owned());
    }
    let mut stored = RawDocumentBuf::new();
    match document.get("_id")? {
        Some(id) => stored.append(cstr!("_id"), id),
        None => stored.append(cstr!("_id"), bson::oid::ObjectId::new()),
    }
    for element in document {
        let (key, value) = element?;
        if key.as_str() != "_id" {
            stored.append(key, value);
        }
    }
    Ok(stored)
}

/// The `_id` of a document that [`with_id`] made.
pub(crate) fn id_of(document: &RawDocument) -> Result<RawBson, ServiceError> {
    Ok(document.get("_id")?.map_or(RawBson::Null, RawBson::from))
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc, oid::ObjectId};

    use super::*;

    fn stored(document: Document) -> Document {
        let raw = RawDocumentBuf::try_from(&document).expect("a small document encodes");
        Document::try_from(&*with_id(&raw).expect("well-formed")).expect("well-formed")
    }

    #[test]
    fn id_comes_first_and_is_made_when_missing() {
        assert_eq!(stored(doc! { "_id": 1, "a": 2 }), doc! { "_id": 1, "a": 2 });
        assert_eq!(stored(doc! { "a": 2, "_id": "k", "b": 3 }), doc! { "_id": "k", "a": 2, "b": 3 });
        let made = stored(doc! { "z": 1, "a": 2 });
        assert_eq!(made.keys().collect::<Vec<_>>(), ["_id", "z", "a"]);
        let first: ObjectId = made.get_object_id("_id").expect("an ObjectId");
        let second = stored(doc! {}).get_object_id("_id").expect("an ObjectId");
        assert_ne!(first, second);
    }
}
