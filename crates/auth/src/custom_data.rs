//! Custom user data: one document of the app's own for each user (rules-and-users 3.5).

use app_model::CustomUserData;
use bson::oid::ObjectId;
use bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::{Client, Collection};

use crate::AuthError;

/// Where custom user data is, if anywhere.
pub(crate) struct CustomData {
    /// Raw, because the driver takes `{"$oid": "x"}` in a document for a broken ObjectId when it decodes.
    source: Option<(Collection<RawDocumentBuf>, String)>,
}

impl CustomData {
    /// Without a configuration, or without the data source it names, nobody has any.
    pub fn new(config: Option<&CustomUserData>, client: Option<&Client>) -> Self {
        let source = config.zip(client).map(|(config, client)| {
            let collection = client.database(&config.database).collection(&config.collection);
            (collection, config.user_id_field.clone())
        });
        Self { source }
    }

    /// The document of a user, past all rules; empty when there is none. The id as text comes before the id as ObjectId, and
    /// of several documents the first inserted counts.
    pub async fn of(&self, user_id: &str) -> Result<Document, AuthError> {
        let Some((collection, field)) = &self.source else { return Ok(Document::new()) };
        let find = |id: Bson| collection.find_one(doc! { field: id }).sort(doc! { "_id": 1 });
        let mut found = find(user_id.into()).await?;
        if let (None, Ok(id)) = (&found, ObjectId::parse_str(user_id)) {
            found = find(id.into()).await?;
        }
        let Some(found) = found else { return Ok(Document::new()) };
        Document::try_from(&*found).map_err(|error| AuthError::Internal(format!("custom user data: {error}")))
    }
}
