//! Custom user data: one document of the app's own for each user (rules-and-users 3.5).

use app_model::CustomUserData;
use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use mongodb::{Client, Collection};

use crate::AuthError;

/// Where custom user data is, if anywhere.
pub(crate) struct CustomData {
    source: Option<(Collection<Document>, String)>,
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
        if let Some(document) = find(user_id.into()).await? {
            return Ok(document);
        }
        match ObjectId::parse_str(user_id) {
            Ok(id) => Ok(find(id.into()).await?.unwrap_or_default()),
            Err(_) => Ok(Document::new()),
        }
    }
}
