//! The user of a call: one noun for `context.user`, `%%user` and whoever authenticates.

use bson::{Bson, Document, doc};

/// A user as functions and rules see it (rules-and-users 3.1).
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Account id, a hex ObjectId; empty for the system user.
    pub id: String,
    /// How the account came to be.
    pub kind: UserKind,
    /// Metadata of all identities, merged.
    pub data: Document,
    /// Custom user data; empty when there is none, or when it is not fetched.
    pub custom_data: Document,
    /// One per linked provider.
    pub identities: Vec<Identity>,
}

/// `type` of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserKind {
    /// Whoever logged in.
    Normal,
    /// The user of a server API key.
    Server,
    /// Nobody: the app itself.
    System,
}

/// A user's account with one provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The provider's own id of the user.
    pub id: String,
    /// `anon-user`, `local-userpass`, `api-key`, …
    pub provider_type: String,
    /// Metadata of this identity.
    pub data: Document,
}

impl User {
    /// The app itself. Its id matches nothing in any database.
    pub fn system() -> Self {
        Self { kind: UserKind::System, ..Self::of_id(String::new()) }
    }

    /// A normal user of whom nothing but the id is known.
    pub fn of_id(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            kind: UserKind::Normal,
            data: Document::new(),
            custom_data: Document::new(),
            identities: Vec::new(),
        }
    }

    /// `context.user`: `{id, type, data, custom_data, identities: [{id, provider_type, data}]}`.
    pub fn to_context(&self) -> Document {
        self.to_document(|identity| {
            doc! { "id": &identity.id, "provider_type": &identity.provider_type, "data": identity.data.clone() }
        })
    }

    /// `%%user`: as [`Self::to_context`] with `identities: [{id, providerType, provider_type}]`.
    pub fn to_expansion(&self) -> Document {
        self.to_document(|identity| {
            let provider = &identity.provider_type;
            doc! { "id": &identity.id, "providerType": provider, "provider_type": provider }
        })
    }

    fn to_document(&self, identity: impl Fn(&Identity) -> Document) -> Document {
        let identities: Vec<Bson> = self.identities.iter().map(|one| identity(one).into()).collect();
        doc! {
            "id": &self.id,
            "type": self.kind.as_str(),
            "data": self.data.clone(),
            "custom_data": self.custom_data.clone(),
            "identities": identities,
        }
    }
}

impl UserKind {
    /// As functions and rules read it.
    pub fn as_str(self) -> &'static str {
        match self {
            UserKind::Normal => "normal",
            UserKind::Server => "server",
            UserKind::System => "system",
        }
    }
}
