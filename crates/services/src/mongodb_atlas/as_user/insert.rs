//! `insertOne` and `insertMany` of application users: every document is checked before any is stored.

use bson::raw::{RawArrayBuf, RawDocumentBuf};
use bson::{Bson, Document, cstr};
use mongodb::ClientSession;

use super::super::insert::{self, id_of, insert_many_options, with_id};
use super::super::session;
use super::Call;
use crate::ServiceError;
use crate::error::Reply;

const ACTION: &str = "insert";

impl Call<'_> {
    /// `insertOne` → `{insertedId}`.
    pub(super) async fn insert_one(&self) -> Reply {
        let document = with_id(self.arguments.raw_document("document")?)?;
        let id = id_of(&document)?;
        self.insert_all(vec![document]).await?;
        let mut reply = RawDocumentBuf::new();
        reply.append(cstr!("insertedId"), id);
        Ok(reply)
    }

    /// `insertMany` → `{insertedIds}`.
    pub(super) async fn insert_many(&self) -> Reply {
        let documents = insert::documents(self.arguments)?;
        let mut ids = RawArrayBuf::new();
        for document in &documents {
            ids.push(id_of(document)?);
        }
        self.insert_all(documents).await?;
        let mut reply = RawDocumentBuf::new();
        reply.append(cstr!("insertedIds"), ids);
        Ok(reply)
    }

    async fn insert_all(&self, documents: Vec<RawDocumentBuf>) -> Result<(), ServiceError> {
        let mut checked = Vec::with_capacity(documents.len());
        for document in &documents {
            checked.push(self.check_insert(document).await?);
        }
        let collection = self.source.collection::<Document>(self.database, self.collection);
        let insert = collection.insert_many(checked).with_options(insert_many_options(self.arguments.options()?)?);
        match session::acquire(self.source, self.handles, self.arguments).await? {
            None => insert.await?,
            Some(mut session) => insert.session(session.session()).await?,
        };
        Ok(())
    }

    /// Inserts one document as part of a transaction.
    pub(super) async fn insert_in(
        &self,
        document: &RawDocumentBuf,
        session: &mut ClientSession,
    ) -> Result<(), ServiceError> {
        let checked = self.check_insert(document).await?;
        let collection = self.source.collection::<Document>(self.database, self.collection);
        collection.insert_one(checked).session(session).await?;
        Ok(())
    }

    /// The document as it is stored: what has been checked, so that no field stands in it twice.
    async fn check_insert(&self, document: &RawDocumentBuf) -> Result<Document, ServiceError> {
        let document = Bson::Document(Document::try_from(&**document)?);
        self.check_new(&document).await?;
        match document {
            Bson::Document(document) => Ok(document),
            _ => Err(ServiceError::NotPermitted { action: ACTION }),
        }
    }

    /// Whether a document, with its `_id`, may be new in the collection.
    pub(super) async fn check_new(&self, document: &Bson) -> Result<(), ServiceError> {
        let access = self.access();
        let permitted = match access.role_of_new(&self.rules.rules.roles, document).await {
            Some(role) => access.may_insert(role, document).await,
            None => false,
        };
        if !permitted {
            return Err(ServiceError::NotPermitted { action: ACTION });
        }
        match &self.rules.schema {
            None => Ok(()),
            Some(schema) => {
                let fits = access.validate(schema, None, document).await;
                fits.map_err(|violation| self.violated(ACTION, document, &violation))
            }
        }
    }

    /// The caller learns that a document does not fit; what about it, the log.
    pub(super) fn violated(&self, action: &'static str, document: &Bson, violation: &rules::Violation) -> ServiceError {
        let id = document.as_document().and_then(|document| document.get("_id"));
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        let namespace = format!("{}.{}", self.database, self.collection);
        tracing::info!(namespace, id, %violation, "{action} refused by the schema");
        ServiceError::SchemaViolation { action }
    }
}
