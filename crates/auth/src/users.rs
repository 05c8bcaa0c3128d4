//! Users: one document each, which holds all of its identities, so that a unique index decides who an identity belongs to.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use app_model::{Identity, User, UserKind};
use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use mongodb::options::ReturnDocument;

use crate::accounts::{Name, is_duplicate};
use crate::{Accounts, AuthError};

/// A user as the operator sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct UserRecord {
    /// As functions and rules see it, without custom data.
    pub user: User,
    /// Whether the user is kept out.
    pub is_disabled: bool,
    /// When the user was created.
    pub creation_date: SystemTime,
    /// When the user was last let in; to within some minutes where it was without a session.
    pub last_authentication_date: SystemTime,
    /// Counts the times that all sessions were revoked; tokens with an older count are no good.
    pub(crate) generation: i32,
}

/// Which users to list, in the order of their creation.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Only users created after the one with this id.
    pub after: Option<String>,
    /// Only users with an identity of this provider.
    pub provider: Option<String>,
    /// Only users who are disabled, or who are not.
    pub is_disabled: Option<bool>,
}

/// What a provider has found out about somebody.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ProvenIdentity {
    pub provider_type: &'static str,
    pub id: String,
    /// What becomes part of `user.data`.
    pub data: Document,
    /// What else the identity tells: the claims that a custom token has to have.
    pub claims: Document,
    /// For identities of ours, so that the first user of one has its id.
    pub user_id: Option<ObjectId>,
}

/// Longer ids of other parties are refused: they would not fit an index.
pub(crate) const IDENTITY_BYTES_MAX: usize = 1024;

/// Dates of a user are not written anew within this time.
const DATE_STEP: Duration = Duration::from_secs(5 * 60);

impl ProvenIdentity {
    /// What the unique index holds.
    pub fn key(&self) -> String {
        format!("{}:{}", self.provider_type, self.id)
    }

    /// `data` of the identity, as functions see it.
    fn told(&self) -> Document {
        told(self.claims.clone(), &self.data)
    }

    fn to_document(&self) -> Document {
        doc! { "key": self.key(), "id": &self.id, "provider_type": self.provider_type, "data": &self.data, "claims": &self.claims }
    }

    /// The user this identity would make.
    pub fn to_new_user(&self, id: ObjectId, user_type: UserKind) -> User {
        User {
            id: id.to_hex(),
            kind: user_type,
            data: self.data.clone(),
            custom_data: Document::new(),
            identities: vec![Identity {
                id: self.id.clone(),
                provider_type: self.provider_type.to_owned(),
                data: self.told(),
            }],
        }
    }
}

impl UserRecord {
    pub(crate) fn from_document(document: &Document) -> Result<Self, AuthError> {
        read(document).ok_or_else(|| AuthError::Internal(format!("user document is broken: {:?}", document.get("_id"))))
    }

    pub(crate) fn object_id(&self) -> Result<ObjectId, AuthError> {
        ObjectId::from_str(&self.user.id).map_err(|_| AuthError::UserNotFound)
    }

    /// Whether the user has no way back in.
    pub fn is_anonymous(&self) -> bool {
        self.user.identities.iter().all(|identity| identity.provider_type == "anon-user")
    }

    /// The user, unless disabled.
    pub(crate) fn enabled(self) -> Result<Self, AuthError> {
        match self.is_disabled {
            true => Err(AuthError::UserDisabled),
            false => Ok(self),
        }
    }
}

fn told(mut claims: Document, data: &Document) -> Document {
    claims.extend(data.clone());
    claims
}

fn read(document: &Document) -> Option<UserRecord> {
    let mut data = Document::new();
    let mut identities = Vec::new();
    for identity in document.get_array("identities").ok()? {
        let identity = identity.as_document()?;
        let of_identity = identity.get_document("data").cloned().unwrap_or_default();
        let claims = identity.get_document("claims").cloned().unwrap_or_default();
        let told = told(claims, &of_identity);
        data.extend(of_identity);
        identities.push(Identity {
            id: identity.get_str("id").ok()?.to_owned(),
            provider_type: identity.get_str("provider_type").ok()?.to_owned(),
            data: told,
        });
    }
    Some(UserRecord {
        user: User {
            id: document.get_object_id("_id").ok()?.to_hex(),
            kind: match document.get_str("type").ok()? {
                "server" => UserKind::Server,
                _ => UserKind::Normal,
            },
            data,
            custom_data: Document::new(),
            identities,
        },
        is_disabled: document.get_bool("disabled").ok()?,
        creation_date: document.get_datetime("creation_date").ok()?.to_system_time(),
        last_authentication_date: document.get_datetime("last_authentication_date").ok()?.to_system_time(),
        generation: document.get_i32("generation").ok()?,
    })
}

impl Accounts {
    /// A user by id, also when disabled; `None` for an id of nobody, and for what is no id.
    pub async fn find_user(&self, id: &str) -> Result<Option<UserRecord>, AuthError> {
        let Ok(id) = ObjectId::parse_str(id) else { return Ok(None) };
        self.find_user_by(doc! { "_id": id }).await
    }

    /// Users in the order of their creation, at most `limit`; for the next ones give the last id as `after`.
    pub async fn users(&self, filter: &UserFilter, limit: u32) -> Result<Vec<UserRecord>, AuthError> {
        let mut query = Document::new();
        if let Some(after) = &filter.after {
            let id = ObjectId::parse_str(after).map_err(|_| AuthError::UserNotFound)?;
            query.insert("_id", doc! { "$gt": id });
        }
        if let Some(provider) = &filter.provider {
            query.insert("identities.provider_type", provider);
        }
        if let Some(is_disabled) = filter.is_disabled {
            query.insert("disabled", is_disabled);
        }
        let cursor =
            self.collection(Name::Users).await?.find(query).sort(doc! { "_id": 1 }).limit(limit.into()).await?;
        let documents: Vec<Document> = cursor.try_collect().await?;
        documents.iter().map(UserRecord::from_document).collect()
    }

    /// Keeps a user out, or lets the user in again. Sessions of a disabled user stop working at once and work again when the
    /// user is enabled (rules-and-users 3.3).
    ///
    /// # Errors
    /// `UserNotFound`.
    pub async fn set_user_disabled(&self, id: &str, is_disabled: bool) -> Result<(), AuthError> {
        self.update_user(id, doc! { "$set": { "disabled": is_disabled } }).await
    }

    /// Ends every session of a user; access tokens that are out stop working at once (rules-and-users 3.3).
    ///
    /// # Errors
    /// `UserNotFound`.
    pub async fn revoke_sessions(&self, id: &str) -> Result<(), AuthError> {
        self.update_user(id, doc! { "$inc": { "generation": 1 } }).await?;
        self.delete_sessions(id).await
    }

    /// Removes a user with its sessions, API keys and e-mail account. The app's own documents stay (rules-and-users 3.3).
    ///
    /// # Errors
    /// `UserNotFound`.
    pub async fn delete_user(&self, id: &str) -> Result<(), AuthError> {
        let object_id = ObjectId::parse_str(id).map_err(|_| AuthError::UserNotFound)?;
        let users = self.collection(Name::Users).await?;
        let removed = users.find_one_and_delete(doc! { "_id": object_id }).await?;
        let Some(removed) = removed else { return Err(AuthError::UserNotFound) };
        // The user is gone from here on: what is left of it opens nothing, whether or not it is removed as well.
        let removed = UserRecord::from_document(&removed)?;
        for identity in &removed.user.identities {
            if identity.provider_type == "local-userpass"
                && let Ok(account) = ObjectId::parse_str(&identity.id)
            {
                self.collection(Name::EmailTokens).await?.delete_many(doc! { "account": account }).await?;
                self.collection(Name::EmailAccounts).await?.delete_one(doc! { "_id": account }).await?;
            }
        }
        self.collection(Name::ApiKeys).await?.delete_many(doc! { "user": object_id }).await?;
        self.delete_sessions(id).await
    }

    async fn update_user(&self, id: &str, update: Document) -> Result<(), AuthError> {
        let id = ObjectId::parse_str(id).map_err(|_| AuthError::UserNotFound)?;
        let result = self.collection(Name::Users).await?.update_one(doc! { "_id": id }, update).await?;
        match result.matched_count {
            0 => Err(AuthError::UserNotFound),
            _ => Ok(()),
        }
    }

    pub(crate) async fn find_user_by(&self, query: Document) -> Result<Option<UserRecord>, AuthError> {
        let document = self.collection(Name::Users).await?.find_one(query).await?;
        document.as_ref().map(UserRecord::from_document).transpose()
    }

    /// The user of an identity, with what the provider says now.
    pub(crate) async fn find_user_of(&self, identity: &ProvenIdentity) -> Result<Option<UserRecord>, AuthError> {
        let found = self.find_user_by(doc! { "identities.key": identity.key() }).await?;
        let Some(mut found) = found else { return Ok(None) };
        let told = identity.told();
        let is_this = |known: &&mut Identity| known.provider_type == identity.provider_type && known.id == identity.id;
        let Some(known) = found.user.identities.iter_mut().find(is_this) else { return Ok(Some(found)) };
        // Claims such as the expiry change with every token and are not worth a write of their own.
        let without_claims = |data: &Document| -> Document {
            let is_data = |name: &String| identity.data.contains_key(name) || !identity.claims.contains_key(name);
            data.iter().filter(|(name, _)| is_data(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let is_changed = without_claims(&known.data) != without_claims(&told);
        known.data = told;
        if found.is_disabled || !(is_changed || self.is_due(&found)) {
            return Ok(Some(found));
        }
        let mut set = self.activity(&found);
        set.insert("identities.$.data", &identity.data);
        set.insert("identities.$.claims", &identity.claims);
        let users = self.collection(Name::Users).await?;
        let document = users
            .find_one_and_update(doc! { "identities.key": identity.key() }, doc! { "$set": set })
            .return_document(ReturnDocument::After)
            .await?;
        document.as_ref().map(UserRecord::from_document).transpose()
    }

    /// Writes down that somebody was let in, unless that was done a moment ago.
    pub(crate) async fn note_activity(&self, user: &UserRecord) -> Result<(), AuthError> {
        if !self.is_due(user) {
            return Ok(());
        }
        let users = self.collection(Name::Users).await?;
        users.update_one(doc! { "_id": user.object_id()? }, doc! { "$set": self.activity(user) }).await?;
        Ok(())
    }

    fn is_due(&self, user: &UserRecord) -> bool {
        let now = self.settings().clock.now();
        now.duration_since(user.last_authentication_date).is_ok_and(|since| since >= DATE_STEP)
    }

    fn activity(&self, user: &UserRecord) -> Document {
        let now = self.settings().clock.date();
        let mut fields = doc! { "last_authentication_date": now };
        if user.is_anonymous() {
            fields.insert("idle_since", now);
        }
        fields
    }

    /// Stores the first user of an identity. Where another process was quicker, its user is the one.
    pub(crate) async fn insert_user(
        &self,
        identity: &ProvenIdentity,
        id: ObjectId,
        user_type: UserKind,
    ) -> Result<(UserRecord, bool), AuthError> {
        let now = self.settings().clock.date();
        let mut document = doc! {
            "_id": id,
            "type": user_type.as_str(),
            "disabled": false,
            "creation_date": now,
            "last_authentication_date": now,
            "generation": 0,
            "identities": [identity.to_document()],
        };
        if identity.provider_type == "anon-user" {
            document.insert("idle_since", now);
        }
        match self.collection(Name::Users).await?.insert_one(&document).await {
            Ok(_) => Ok((UserRecord::from_document(&document)?, true)),
            Err(error) if is_duplicate(&error) => {
                let found = self.find_user_by(doc! { "identities.key": identity.key() }).await?;
                Ok((found.ok_or(AuthError::Database(error))?, false))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a user one more identity (rules-and-users 4.9, `link`). One that the user has already changes nothing.
    ///
    /// # Errors
    /// `IdentityInUse` when it is another user's, `UserNotFound`.
    pub(crate) async fn link_identity(
        &self,
        user_id: &str,
        identity: &ProvenIdentity,
    ) -> Result<UserRecord, AuthError> {
        let id = ObjectId::parse_str(user_id).map_err(|_| AuthError::UserNotFound)?;
        let users = self.collection(Name::Users).await?;
        let pushed = users
            .find_one_and_update(
                doc! { "_id": id, "identities.key": { "$ne": identity.key() } },
                doc! { "$push": { "identities": identity.to_document() }, "$unset": { "idle_since": "" } },
            )
            .return_document(ReturnDocument::After)
            .await;
        match pushed {
            Ok(Some(document)) => UserRecord::from_document(&document),
            Ok(None) => self.find_user(user_id).await?.ok_or(AuthError::UserNotFound),
            Err(error) if is_duplicate(&error) => Err(AuthError::IdentityInUse),
            Err(error) => Err(error.into()),
        }
    }
}

/// Ids that the caller gave are text; everything else is refused before it gets near a query.
pub(crate) fn id_text(value: &Bson) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty() && text.len() <= IDENTITY_BYTES_MAX)
}
