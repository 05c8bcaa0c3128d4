//! `watch` of application users.

use bson::{Bson, Document, doc};
use rules::Guard;

use super::super::cursor::Sight;
use super::super::filter::filter;
use super::super::watch;
use super::{Call, available};
use crate::ServiceError;
use crate::error::Reply;

/// The part of an event that is a document of the collection.
const DOCUMENT: &str = "fullDocument";

impl Call<'_> {
    /// `watch` → `{cursor, documents}`: events of documents that are visible after them.
    pub(super) async fn watch(&self) -> Reply {
        let condition = filter(self.arguments)?;
        available::check_query(&condition)?;
        let mut tested = Document::new();
        gather(&condition, &mut tested)?;
        let visible = self.visible(Guard::new(&tested, None));
        let narrow = of_document(self.filters.narrow(Document::new()));
        let condition = match (condition.is_empty(), narrow.is_empty()) {
            (_, true) => condition,
            (true, false) => narrow,
            (false, false) => doc! { "$and": [condition, narrow] },
        };
        let sight = Sight::Each(Box::new(visible));
        watch::open(self.source, self.handles, self.arguments, condition, sight).await
    }
}

/// Gathers the fields of documents that a condition tests. Other parts of an event could tell what is not shown.
fn gather(condition: &Document, tested: &mut Document) -> Result<(), ServiceError> {
    for (key, value) in condition {
        match (key.as_str(), value) {
            ("$and" | "$or" | "$nor", Bson::Array(branches)) => {
                for branch in branches.iter().filter_map(Bson::as_document) {
                    gather(branch, tested)?;
                }
            }
            ("operationType" | "documentKey._id" | "$comment", _) => {}
            (path, value) => match path.strip_prefix(DOCUMENT).and_then(|rest| rest.strip_prefix('.')) {
                Some(path) => {
                    tested.insert(path, value.clone());
                }
                None => {
                    return Err(ServiceError::bad_request(format!(
                        "watch: a filter on '{path}' is not available to application users: use {DOCUMENT}, documentKey._id or operationType"
                    )));
                }
            },
        }
    }
    Ok(())
}

/// A query on documents as one on events.
fn of_document(query: Document) -> Document {
    query
        .into_iter()
        .map(|(key, value)| match value {
            Bson::Array(branches) if matches!(key.as_str(), "$and" | "$or" | "$nor") => {
                let branches = branches.into_iter().map(|branch| match branch {
                    Bson::Document(branch) => Bson::Document(of_document(branch)),
                    other => other,
                });
                (key, Bson::Array(branches.collect()))
            }
            value if key.starts_with('$') => (key, value),
            value => (format!("{DOCUMENT}.{key}"), value),
        })
        .collect()
}
