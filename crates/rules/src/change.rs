//! Events of change streams as a user may see them. The hosted platform's own treatment is not published; this one shows an
//! event only as far as the document after it is shown (rules-and-users 2.4, 2.6).

use bson::raw::RawDocumentBuf;
use bson::{Bson, Document};

use crate::access::Access;
use crate::same::same;
use crate::{FilterSet, Guard, Permitted, RuleSet};

impl Access<'_> {
    /// An event with its document as it is now; `None` when nothing of it is shown. `shows_everything`: whether every
    /// document of the collection is shown whole, since a document that is gone can no longer be asked for.
    ///
    /// # Errors
    /// Bytes that are no document.
    pub async fn view_change(
        &self,
        rules: &RuleSet,
        filters: &FilterSet,
        guard: &Guard,
        shows_everything: bool,
        event: &Document,
    ) -> Result<Option<Permitted<Document>>, bson::error::Error> {
        let mut shown_event = Document::new();
        let mut keep = |name: &str| {
            if let Some(value) = event.get(name) {
                shown_event.insert(name, value.clone());
            }
        };
        for name in ["_id", "operationType", "clusterTime", "ns"] {
            keep(name);
        }
        let id = event.get_document("documentKey").ok().and_then(|key| key.get("_id"));
        match event.get_str("operationType").unwrap_or_default() {
            "insert" | "update" | "replace" => {}
            "delete" if shows_everything && !filters.projects() => {
                keep("documentKey");
                return Ok(Some(Permitted::new(shown_event)));
            }
            "invalidate" => return Ok(Some(Permitted::new(shown_event))),
            _ => return Ok(None),
        }
        // Gone again meanwhile.
        let Ok(stored) = event.get_document("fullDocument") else { return Ok(None) };
        let raw = RawDocumentBuf::try_from(stored)?;
        let Some(shown) = self.view(rules, filters, guard, &raw).await? else { return Ok(None) };
        let shown = Document::try_from(shown.into_inner().as_ref())?;
        if let Some(id) = id.filter(|_| shown.contains_key("_id")) {
            shown_event.insert("documentKey", Document::from_iter([("_id".to_owned(), id.clone())]));
        }
        if let Ok(description) = event.get_document("updateDescription") {
            shown_event.insert("updateDescription", shown_changes(description, stored, &shown));
        }
        shown_event.insert("fullDocument", shown);
        Ok(Some(Permitted::new(shown_event)))
    }
}

/// Changes of fields that are shown as they are.
fn shown_changes(description: &Document, stored: &Document, shown: &Document) -> Document {
    let is_whole = stored.len() == shown.len();
    let is_shown = |path: &str| {
        let name = path.split('.').next().unwrap_or(path);
        match (stored.get(name), shown.get(name)) {
            (Some(stored), Some(shown)) => same(stored, shown),
            // What was removed is not known to have been shown.
            _ => is_whole,
        }
    };
    let mut changes = Document::new();
    for (name, value) in description {
        let value = match value {
            Bson::Document(fields) => Bson::Document(
                fields
                    .iter()
                    .filter(|(path, _)| is_shown(path))
                    .map(|(path, value)| (path.clone(), value.clone()))
                    .collect(),
            ),
            Bson::Array(paths) => Bson::Array(
                paths
                    .iter()
                    .filter(|path| match path {
                        Bson::String(path) => is_shown(path),
                        Bson::Document(array) => array.get_str("field").is_ok_and(is_shown),
                        _ => false,
                    })
                    .cloned()
                    .collect(),
            ),
            _ => continue,
        };
        changes.insert(name.clone(), value);
    }
    changes
}
