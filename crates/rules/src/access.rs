//! Which role a document has for the user of one request (rules-and-users 2.3).

use app_model::CallFunction;
use bson::{Bson, Document};

use crate::rule_set::DocumentFilters;
use crate::{Bindings, Expression, Role, Surroundings};

/// The user of one request, as rules see them, and the way to call functions for them.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// User, request, values and environment.
    pub surroundings: &'a Surroundings,
    /// Calls the functions that rules name.
    pub functions: &'a dyn CallFunction,
}

/// A document as rules see it: `None` where there is none, before an insert and after a delete.
pub(crate) type Image<'a> = Option<&'a Bson>;

/// A document and what became of it. Both are the stored document for reads and deletes.
#[derive(Clone, Copy)]
pub(crate) struct Images<'a> {
    pub before: Image<'a>,
    pub after: Image<'a>,
}

impl<'a> Images<'a> {
    pub fn stored(document: &'a Bson) -> Self {
        Self { before: Some(document), after: Some(document) }
    }

    pub fn inserted(document: &'a Bson) -> Self {
        Self { before: None, after: Some(document) }
    }

    pub fn of_both(before: &'a Bson, after: &'a Bson) -> Self {
        Self { before: Some(before), after: Some(after) }
    }
}

/// Whether the gates of a role are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gates {
    pub read: bool,
    pub write: bool,
}

/// Field that the hosted platform adds to documents for the time of an update.
pub(crate) const TRANSACTION_FIELD: &str = "_id__baas_transaction";

impl Access<'_> {
    /// The role of a stored document, for reads, updates and deletes; `None` withholds it.
    ///
    /// The document is whole, not projected.
    pub async fn role_of_stored<'r>(&self, roles: &'r [Role], document: &Bson) -> Option<&'r Role> {
        self.role(roles, Images::stored(document)).await
    }

    /// The role of a document about to be inserted.
    pub async fn role_of_new<'r>(&self, roles: &'r [Role], document: &Bson) -> Option<&'r Role> {
        self.role(roles, Images::inserted(document)).await
    }

    /// Whether a role may use Atlas Search.
    pub async fn may_search(&self, role: &Role) -> bool {
        match &role.search {
            None => true,
            Some(search) => self.holds(search, Images { before: None, after: None }).await,
        }
    }

    async fn role<'r>(&self, roles: &'r [Role], images: Images<'_>) -> Option<&'r Role> {
        for role in roles {
            if self.permits(role.apply_when.as_ref(), images).await {
                return Some(role);
            }
        }
        None
    }

    /// A permission that is absent permits nothing.
    pub(crate) async fn permits(&self, permission: Option<&Expression>, images: Images<'_>) -> bool {
        match permission {
            Some(permission) => self.holds(permission, images).await,
            None => false,
        }
    }

    async fn holds(&self, expression: &Expression, images: Images<'_>) -> bool {
        let bindings = Bindings { root: images.after, prev_root: images.before, ..Bindings::new(self.surroundings) };
        expression.decide(&bindings, self.functions).await.is_true()
    }

    /// A permission of one field, with the field before and after.
    pub(crate) async fn permits_field(
        &self,
        permission: Option<&Expression>,
        images: Images<'_>,
        field: Images<'_>,
    ) -> bool {
        let Some(permission) = permission else { return false };
        let bindings = Bindings {
            root: images.after,
            prev_root: images.before,
            this: field.after,
            prev: field.before,
            ..Bindings::new(self.surroundings)
        };
        permission.decide(&bindings, self.functions).await.is_true()
    }

    pub(crate) async fn gates(&self, role: &Role, images: Images<'_>) -> Gates {
        match &role.document_filters {
            None => Gates { read: true, write: true },
            Some(DocumentFilters { read, write }) => Gates {
                read: self.permits(read.as_ref(), images).await,
                write: self.permits(write.as_ref(), images).await,
            },
        }
    }
}

/// Fields of a document that rules know about.
pub(crate) fn fields(document: &Document) -> impl Iterator<Item = (&String, &Bson)> {
    document.iter().filter(|(name, _)| *name != TRANSACTION_FIELD)
}
