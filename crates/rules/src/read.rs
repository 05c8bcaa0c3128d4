//! What a role shows of a document (rules-and-users 2.4, Read).

use std::future::Future;
use std::pin::Pin;

use bson::raw::{RawArrayBuf, RawDocument, RawDocumentBuf};
use bson::{Bson, Document};

use crate::access::{Access, Gates, Images, TRANSACTION_FIELD, fields};
use crate::expression::Fields;
use crate::rule_set::FieldPermissions;
use crate::{FilterSet, Guard, Permitted, Role, RuleSet};

/// What a user may see of one document.
#[derive(Debug, Clone, PartialEq)]
pub enum Readable {
    /// All of it.
    Whole(Permitted<Document>),
    /// Some fields of it.
    Trimmed(Permitted<Document>),
    /// Nothing: as if it did not exist.
    Hidden,
}

impl Readable {
    /// What may be seen.
    pub fn into_document(self) -> Option<Permitted<Document>> {
        match self {
            Readable::Whole(document) | Readable::Trimmed(document) => Some(document),
            Readable::Hidden => None,
        }
    }
}

/// What a user meets in a stored document that matches a query.
#[derive(Debug, Clone)]
pub enum Meeting<'r> {
    /// No role applies: as if it did not exist.
    Withheld,
    /// The query tells something of it that the user may not know, so it does not match.
    Unmatched,
    /// It has a role.
    Met {
        /// The role.
        role: &'r Role,
        /// What is shown of it; a user may change what they cannot see.
        shown: Option<Permitted<Document>>,
        /// Whether all of it is shown.
        whole: bool,
    },
}

type Trimming<'t> = Pin<Box<dyn Future<Output = Option<Bson>> + Send + 't>>;

impl Access<'_> {
    /// A stored document as the user sees it: after its role and the filters, before the caller's own projection. `None`
    /// when nothing of it is shown, and when the query tells more of it than that.
    ///
    /// # Errors
    /// Bytes that are no document.
    pub async fn view(
        &self,
        rules: &RuleSet,
        filters: &FilterSet,
        guard: &Guard,
        stored: &RawDocument,
    ) -> Result<Option<Permitted<RawDocumentBuf>>, bson::error::Error> {
        // Most roles look at a field or two; the rest of a document that is shown whole need not be decoded.
        let mut part = Document::new();
        for element in stored {
            let (name, value) = element?;
            let decides = match &rules.deciding_fields {
                Fields::All => true,
                Fields::Named(names) => names.contains(name.as_str()),
            };
            if decides {
                part.insert(name.as_str(), Bson::try_from(value)?);
            }
        }
        let part = Bson::Document(part);
        let Some(role) = self.role_of_stored(&rules.roles, &part).await else { return Ok(None) };
        let images = Images::stored(&part);
        let gates = self.gates(role, images).await;
        if !gates.read && !gates.write {
            return Ok(None);
        }
        if !filters.projects() && self.shows_whole(role, gates, images).await {
            return Ok(Some(Permitted::new(without_internals(stored.to_owned()))));
        }
        let all = Bson::Document(Document::try_from(stored)?);
        let Some(shown) = self.read(role, &all).await.into_document() else { return Ok(None) };
        let shown = filters.project(shown);
        if !guard.admits(&all, shown.get()) {
            return Ok(None);
        }
        shown.try_map(|shown| RawDocumentBuf::try_from(&shown)).map(Some)
    }

    /// What the user meets in a stored document that matches a query, on the way to changing it.
    pub async fn meet<'r>(&self, rules: &'r RuleSet, filters: &FilterSet, guard: &Guard, stored: &Bson) -> Meeting<'r> {
        let Some(role) = self.role_of_stored(&rules.roles, stored).await else { return Meeting::Withheld };
        let (whole, shown) = match self.read(role, stored).await {
            Readable::Whole(shown) => (!filters.projects(), Some(filters.project(shown))),
            Readable::Trimmed(shown) => (false, Some(filters.project(shown))),
            Readable::Hidden => (false, None),
        };
        if !whole {
            let nothing = Document::new();
            if !guard.admits(stored, shown.as_ref().map_or(&nothing, Permitted::get)) {
                return Meeting::Unmatched;
            }
        }
        Meeting::Met { role, shown, whole }
    }

    /// What the role shows of a stored document.
    pub async fn read(&self, role: &Role, document: &Bson) -> Readable {
        let Bson::Document(all) = document else { return Readable::Hidden };
        let images = Images::stored(document);
        let gates = self.gates(role, images).await;
        if !gates.read && !gates.write {
            return Readable::Hidden;
        }
        if self.shows_whole(role, gates, images).await {
            let visible: Document = fields(all).map(|(name, value)| (name.clone(), value.clone())).collect();
            return Readable::Whole(Permitted::new(visible));
        }
        let mut visible = Document::new();
        for (name, value) in fields(all) {
            match role.fields.iter().find(|(field, _)| field == name) {
                Some((_, permissions)) => {
                    if let Some(kept) = self.trim(permissions, gates, images, value).await {
                        visible.insert(name.clone(), kept);
                    }
                }
                None => {
                    if self.shows(&role.additional_fields, gates, images, value).await {
                        visible.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        if visible.is_empty() { Readable::Hidden } else { Readable::Trimmed(Permitted::new(visible)) }
    }

    async fn shows_whole(&self, role: &Role, gates: Gates, images: Images<'_>) -> bool {
        gates.read && self.permits(role.read.as_ref(), images).await
            || gates.write && self.permits(role.write.as_ref(), images).await
    }

    /// `count` says which kinds of permission are counted: gates, and permissions of the fields around, close them.
    async fn shows(&self, permissions: &FieldPermissions, count: Gates, images: Images<'_>, value: &Bson) -> bool {
        let field = Images::stored(value);
        count.read && self.permits_field(permissions.read.as_ref(), images, field).await
            || count.write && self.permits_field(permissions.write.as_ref(), images, field).await
    }

    fn trim<'t>(
        &'t self,
        permissions: &'t FieldPermissions,
        count: Gates,
        images: Images<'t>,
        value: &'t Bson,
    ) -> Trimming<'t> {
        Box::pin(async move {
            if self.shows(permissions, count, images, value).await {
                return Some(value.clone());
            }
            if permissions.fields.is_empty() {
                return None;
            }
            // What a field says about itself overrides what its inner fields say.
            let count = Gates {
                read: count.read && permissions.read.is_none(),
                write: count.write && permissions.write.is_none(),
            };
            match value {
                Bson::Document(document) => {
                    self.trim_document(permissions, count, images, document).await.map(Bson::Document)
                }
                Bson::Array(elements) => {
                    let mut kept = Vec::new();
                    for element in elements {
                        if let Bson::Document(document) = element {
                            kept.extend(
                                self.trim_document(permissions, count, images, document).await.map(Bson::Document),
                            );
                        }
                    }
                    (!kept.is_empty()).then_some(Bson::Array(kept))
                }
                _ => None,
            }
        })
    }

    /// Inner fields that are not listed are dropped.
    async fn trim_document(
        &self,
        permissions: &FieldPermissions,
        count: Gates,
        images: Images<'_>,
        document: &Document,
    ) -> Option<Document> {
        let mut visible = Document::new();
        for (name, value) in document {
            if let Some((_, inner)) = permissions.fields.iter().find(|(field, _)| field == name)
                && let Some(kept) = self.trim(inner, count, images, value).await
            {
                visible.insert(name.clone(), kept);
            }
        }
        (!visible.is_empty()).then_some(visible)
    }
}

/// The document without the field that the hosted platform may have left in it.
pub(crate) fn without_internals(document: RawDocumentBuf) -> RawDocumentBuf {
    let is_internal = |name: &str| name == TRANSACTION_FIELD;
    if !document.iter().flatten().any(|(name, _)| is_internal(name.as_str())) {
        return document;
    }
    let mut rest = RawDocumentBuf::new();
    for (name, value) in document.iter().flatten() {
        if !is_internal(name.as_str()) {
            rest.append(name, value);
        }
    }
    rest
}

/// The same for a list of documents; nearly always none of them has it, which takes one look at the bytes.
pub(crate) fn all_without_internals(documents: RawArrayBuf) -> RawArrayBuf {
    let needle = TRANSACTION_FIELD.as_bytes();
    if !documents.as_bytes().windows(needle.len()).any(|window| window == needle) {
        return documents;
    }
    let documents = documents.into_iter().flatten().filter_map(|document| document.as_document());
    documents.map(|document| without_internals(document.to_owned())).collect()
}
