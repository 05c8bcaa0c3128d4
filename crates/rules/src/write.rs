//! What a role lets a user write (rules-and-users 2.4, Update, Insert, Delete).

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use bson::{Bson, Document};

use crate::access::{Access, Images, fields};
use crate::expression::values_at;
use crate::rule_set::FieldPermissions;
use crate::same::same;
use crate::{Role, Touched};

type Answer<'t> = Pin<Box<dyn Future<Output = bool> + Send + 't>>;

impl Access<'_> {
    /// Whether the document, `_id` included, may be inserted. Its role is that of [`Self::role_of_new`].
    pub async fn may_insert(&self, role: &Role, document: &Bson) -> bool {
        let images = Images::inserted(document);
        let inserts = match &role.insert {
            None => true,
            insert => self.permits(insert.as_ref(), images).await,
        };
        inserts && self.gates(role, images).await.write && self.may_write_all(role, images).await
    }

    /// Whether one stored document may become another. Its role is that of the document before. `shown` is what the user
    /// sees of it, and `touched` what the update names: a field that is not shown, and stays as it is, has to be writable
    /// too, or the answer would tell what is in it.
    pub async fn may_update(
        &self,
        role: &Role,
        before: &Bson,
        after: &Bson,
        touched: &Touched,
        shown: &Document,
    ) -> bool {
        let images = Images::of_both(before, after);
        if !self.gates(role, Images::stored(before)).await.write || !self.gates(role, images).await.write {
            return false;
        }
        if self.permits(role.write.as_ref(), images).await {
            return true;
        }
        let Bson::Document(stored) = before else { return false };
        let Some(hidden) = touched.hidden(stored, shown) else { return false };
        for path in hidden {
            if !self.may_write_path(role, images, &path).await {
                return false;
            }
        }
        self.may_write_fields(role, images).await
    }

    /// A permission on the way down to a path decides.
    async fn may_write_path(&self, role: &Role, images: Images<'_>, path: &[String]) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        let mut permissions = permissions_of(role, first);
        let mut depth = 1;
        let mut inner = rest.iter();
        loop {
            if permissions.write.is_some() {
                let at = |image: Option<&Bson>| {
                    let values: Vec<Bson> =
                        image.into_iter().flat_map(|image| values_at(image, &path[..depth])).cloned().collect();
                    if values.len() > 1 { Some(Bson::Array(values)) } else { values.into_iter().next() }
                };
                let (before, after) = (at(images.before), at(images.after));
                let field = Images { before: before.as_ref(), after: after.as_ref() };
                return self.permits_field(permissions.write.as_ref(), images, field).await;
            }
            // Positions in arrays have no permissions of their own.
            let next = inner.find(|segment| {
                depth += 1;
                !segment.bytes().all(|byte| byte.is_ascii_digit())
            });
            let below = next.and_then(|name| permissions.fields.iter().find(|(field, _)| field == name));
            match below {
                Some((_, below)) => permissions = below,
                None => return false,
            }
        }
    }

    /// Whether a stored document may be deleted.
    pub async fn may_delete(&self, role: &Role, document: &Bson) -> bool {
        let images = Images::stored(document);
        if !self.gates(role, images).await.write {
            return false;
        }
        if role.delete.is_some() {
            return self.permits(role.delete.as_ref(), images).await;
        }
        if self.permits(role.write.as_ref(), images).await {
            return true;
        }
        let Bson::Document(all) = document else { return false };
        let mut any = false;
        for (name, value) in fields(all) {
            any = true;
            let field = Images { before: Some(value), after: None };
            if !self.is_writable(permissions_of(role, name), images, field).await {
                return false;
            }
        }
        any
    }

    async fn may_write_all(&self, role: &Role, images: Images<'_>) -> bool {
        self.permits(role.write.as_ref(), images).await || self.may_write_fields(role, images).await
    }

    /// Every field that differs must be writable.
    async fn may_write_fields(&self, role: &Role, images: Images<'_>) -> bool {
        let (Some(Bson::Document(_)) | None, Some(Bson::Document(_))) = (images.before, images.after) else {
            return false;
        };
        let differences = differences(images);
        if images.before.is_none() && differences.is_empty() {
            return false;
        }
        for (name, field) in differences {
            if !self.is_writable(permissions_of(role, &name), images, field).await {
                return false;
            }
        }
        true
    }

    fn is_writable<'t>(
        &'t self,
        permissions: &'t FieldPermissions,
        images: Images<'t>,
        field: Images<'t>,
    ) -> Answer<'t> {
        Box::pin(async move {
            if permissions.write.is_some() {
                return self.permits_field(permissions.write.as_ref(), images, field).await;
            }
            if permissions.fields.is_empty() {
                return false;
            }
            match (field.before, field.after) {
                (Some(Bson::Document(_)) | None, Some(Bson::Document(_)) | None) => {
                    self.are_inner_writable(permissions, images, field).await
                }
                (Some(Bson::Array(before)), Some(Bson::Array(after))) if before.len() == after.len() => {
                    for (before, after) in before.iter().zip(after) {
                        if same(before, after) {
                            continue;
                        }
                        let both = matches!((before, after), (Bson::Document(_), Bson::Document(_)));
                        if !both || !self.are_inner_writable(permissions, images, Images::of_both(before, after)).await
                        {
                            return false;
                        }
                    }
                    true
                }
                _ => false,
            }
        })
    }

    async fn are_inner_writable(&self, permissions: &FieldPermissions, images: Images<'_>, field: Images<'_>) -> bool {
        for (name, inner) in differences(field) {
            let Some((_, permissions)) = permissions.fields.iter().find(|(field, _)| *field == name) else {
                return false;
            };
            if !self.is_writable(permissions, images, inner).await {
                return false;
            }
        }
        true
    }
}

/// What `additional_fields` has inside has no meaning.
fn permissions_of<'r>(role: &'r Role, name: &str) -> &'r FieldPermissions {
    role.fields.iter().find(|(field, _)| field == name).map_or(&role.additional_fields, |(_, permissions)| permissions)
}

/// Fields that were added, changed or removed.
fn differences<'a>(images: Images<'a>) -> Vec<(String, Images<'a>)> {
    let of = |image: Option<&'a Bson>| -> Option<&'a Document> { image.and_then(Bson::as_document) };
    let (before, after) = (of(images.before), of(images.after));
    let names: BTreeSet<&String> = before.into_iter().chain(after).flat_map(fields).map(|(name, _)| name).collect();
    let mut found = Vec::new();
    for name in names {
        let field = Images {
            before: before.and_then(|document| document.get(name)),
            after: after.and_then(|document| document.get(name)),
        };
        let unchanged = match (field.before, field.after) {
            (Some(before), Some(after)) => same(before, after),
            _ => false,
        };
        if !unchanged {
            found.push((name.clone(), field));
        }
    }
    found
}
