//! Log entries with a lifetime (http-surface 7.5, 7.6).

use std::time::{Duration, SystemTime};

use bson::{Bson, DateTime, Document, doc};
use futures::TryStreamExt;
use mongodb::options::{IndexOptions, WriteConcern};
use mongodb::{Collection, IndexModel};
use tokio::sync::OnceCell;

use crate::ServiceError;
use crate::mongodb_atlas::Connection;

/// Entries of one app, in the collection `logs` of its database.
///
/// An entry is a document in the shape of http-surface 7.1 with dates as dates; `expires_at` ends its life.
#[derive(Debug)]
pub struct LogStore {
    collection: Collection<Document>,
    is_ready: OnceCell<()>,
}

/// Which entries to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// `type`s, such as `WEBHOOK`; all when empty.
    pub types: Vec<String>,
    /// Status sent.
    pub status: Option<i32>,
    /// Entries with an error only.
    pub errors_only: bool,
    /// `user_id`
    pub user_id: Option<String>,
    /// `co_id`
    pub request_id: Option<String>,
    /// Started after this.
    pub after: Option<SystemTime>,
    /// Started at this or before.
    pub until: Option<SystemTime>,
    /// At most so many.
    pub limit: u32,
}

/// The code of a write that found its `_id` there already.
const DUPLICATE_KEY: i32 = 11_000;

impl LogStore {
    /// The entries kept in `database`. Nothing is read or written before the first call.
    pub fn new(connection: &Connection, database: &str) -> Self {
        let collection: Collection<Document> = connection.client().database(database).collection("logs");
        Self { collection, is_ready: OnceCell::new() }
    }

    /// Any number of processes may do this at once.
    async fn prepare(&self) -> Result<(), ServiceError> {
        let index = |keys: Document, lifetime: Option<Duration>| {
            let mut options = IndexOptions::default();
            options.expire_after = lifetime;
            IndexModel::builder().keys(keys).options(options).build()
        };
        let indexes = [
            index(doc! { "expires_at": 1 }, Some(Duration::ZERO)),
            index(doc! { "started": -1 }, None),
            index(doc! { "user_id": 1, "started": -1 }, None),
            index(doc! { "co_id": 1 }, None),
        ];
        self.collection.create_indexes(indexes).await?;
        Ok(())
    }

    /// Keeps entries for `lifetime` after they were completed. Entries that are there already, because an earlier attempt
    /// wrote some before it failed, count as kept.
    ///
    /// # Errors
    /// The database did not take them all.
    pub async fn append(&self, mut entries: Vec<Document>, lifetime: Duration) -> Result<(), ServiceError> {
        self.is_ready.get_or_try_init(|| self.prepare()).await?;
        for entry in &mut entries {
            let completed = entry.get_datetime("completed").copied().unwrap_or_else(|_| DateTime::now());
            let expires_at = completed.to_system_time().checked_add(lifetime).unwrap_or(SystemTime::now() + lifetime);
            entry.insert("expires_at", DateTime::from_system_time(expires_at));
        }
        // A lost entry is better than a database that waits for its other members.
        let written = self.collection.insert_many(entries).ordered(false).write_concern(WriteConcern::nodes(1)).await;
        match written.map_err(ServiceError::from) {
            Err(ServiceError::Write { errors, concern: None, .. })
                if errors.iter().all(|failure| failure.code == DUPLICATE_KEY) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }

    /// Entries, newest first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn list(&self, query: &LogQuery) -> Result<Vec<Document>, ServiceError> {
        let found = self
            .collection
            .find(query.filter())
            .sort(doc! { "started": -1, "_id": -1 })
            .limit(i64::from(query.limit.max(1)))
            .await?;
        Ok(found.try_collect().await?)
    }
}

impl LogQuery {
    fn filter(&self) -> Document {
        let mut filter = Document::new();
        if !self.types.is_empty() {
            filter.insert("type", doc! { "$in": &self.types });
        }
        if let Some(status) = self.status {
            filter.insert("status", status);
        }
        if self.errors_only {
            filter.insert("error", doc! { "$exists": true });
        }
        for (field, text) in [("user_id", &self.user_id), ("co_id", &self.request_id)] {
            if let Some(text) = text {
                // As a value, whatever it looks like.
                filter.insert(field, doc! { "$eq": text });
            }
        }
        let mut started = Document::new();
        for (operator, time) in [("$gt", self.after), ("$lte", self.until)] {
            if let Some(time) = time {
                started.insert(operator, Bson::DateTime(DateTime::from_system_time(time)));
            }
        }
        if !started.is_empty() {
            filter.insert("started", started);
        }
        filter
    }
}
