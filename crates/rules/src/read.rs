//! What a role shows of a document (rules-and-users 2.4, Read).

use std::future::Future;
use std::pin::Pin;

use bson::{Bson, Document};

use crate::access::{Access, Gates, Images, fields};
use crate::rule_set::FieldPermissions;
use crate::{Permitted, Role};

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

type Trimming<'t> = Pin<Box<dyn Future<Output = Option<Bson>> + Send + 't>>;

impl Access<'_> {
    /// What the role shows of a stored document.
    pub async fn read(&self, role: &Role, document: &Bson) -> Readable {
        let Bson::Document(all) = document else { return Readable::Hidden };
        let images = Images::stored(document);
        let gates = self.gates(role, images).await;
        if !gates.read && !gates.write {
            return Readable::Hidden;
        }
        let whole = gates.read && self.permits(role.read.as_ref(), images).await
            || gates.write && self.permits(role.write.as_ref(), images).await;
        if whole {
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
