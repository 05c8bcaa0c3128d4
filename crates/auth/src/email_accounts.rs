//! Addresses and passwords of `local-userpass`. An account is not a user: that is made by the first login
//! (rules-and-users 3.3).

use std::time::SystemTime;

use bson::oid::ObjectId;
use bson::{Document, doc};
use futures::TryStreamExt;

use crate::accounts::{Name, is_duplicate};
use crate::password::{check_new_password, may_be_password};
use crate::users::ProvenIdentity;
use crate::{Accounts, AuthError};

/// An account as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailAccount {
    /// 24 hex digits; the id of the identity, and of the user that its first login makes.
    pub id: String,
    /// As registered.
    pub email: String,
    /// Whether its owner may log in.
    pub is_confirmed: bool,
    /// When it was registered.
    pub creation_date: SystemTime,
}

/// An account with what proves its password.
pub(crate) struct StoredAccount {
    pub id: ObjectId,
    pub account: EmailAccount,
    pub password_hash: String,
}

/// RFC 5321: no address is longer.
const EMAIL_BYTES_MAX: usize = 254;

/// Whether a text may be an address: one `@` with something on both sides, and nothing that a mail header could be broken
/// with. The platform's own rule is not known; this one refuses nothing that could be delivered.
pub(crate) fn check_email(email: &str) -> Result<(), AuthError> {
    let is_text =
        !email.chars().any(|letter| letter.is_whitespace() || letter.is_control() || "<>,;()[]\\\"".contains(letter));
    let parts = email.rsplit_once('@');
    let has_parts = parts.is_some_and(|(local, domain)| {
        let is_domain =
            !domain.is_empty() && !domain.starts_with('.') && !domain.ends_with('.') && !domain.contains("..");
        !local.is_empty() && !local.contains('@') && is_domain
    });
    match is_text && has_parts && email.len() <= EMAIL_BYTES_MAX {
        true => Ok(()),
        false => Err(AuthError::InvalidEmail),
    }
}

impl StoredAccount {
    fn from_document(document: &Document) -> Result<Self, AuthError> {
        let read = || {
            let id = document.get_object_id("_id").ok()?;
            Some(Self {
                id,
                account: EmailAccount {
                    id: id.to_hex(),
                    email: document.get_str("email").ok()?.to_owned(),
                    is_confirmed: document.get_bool("confirmed").ok()?,
                    creation_date: document.get_datetime("creation_date").ok()?.to_system_time(),
                },
                password_hash: document.get_str("password").ok()?.to_owned(),
            })
        };
        read().ok_or_else(|| AuthError::Internal(format!("e-mail account is broken: {:?}", document.get("_id"))))
    }

    /// What the account proves.
    pub fn identity(&self) -> ProvenIdentity {
        ProvenIdentity {
            provider_type: "local-userpass",
            id: self.account.id.clone(),
            data: doc! { "email": &self.account.email },
            claims: Document::new(),
            user_id: Some(self.id),
        }
    }
}

impl Accounts {
    /// An account that is confirmed from the start (rules-and-users 4.3: users made by an administrator).
    ///
    /// # Errors
    /// `InvalidEmail`, `PasswordLength`, `NameInUse`, `Busy`.
    pub async fn create_email_account(&self, email: &str, password: &str) -> Result<EmailAccount, AuthError> {
        self.insert_email_account(email, password, true).await.map(|stored| stored.account)
    }

    /// Confirms an account (rules-and-users 3.3).
    ///
    /// # Errors
    /// `UserNotFound`, `AlreadyConfirmed`.
    pub async fn confirm_email_account(&self, email: &str) -> Result<(), AuthError> {
        let stored = self.find_email_account(email).await?.ok_or(AuthError::UserNotFound)?;
        self.confirm(stored.id).await
    }

    /// An account by its address.
    pub async fn email_account(&self, email: &str) -> Result<Option<EmailAccount>, AuthError> {
        Ok(self.find_email_account(email).await?.map(|stored| stored.account))
    }

    /// Removes an account that no user has come of; one that has is removed with its user.
    ///
    /// # Errors
    /// `UserNotFound`.
    pub async fn delete_pending_email_account(&self, email: &str) -> Result<(), AuthError> {
        let stored = self.find_email_account(email).await?.ok_or(AuthError::UserNotFound)?;
        if self.find_user_by(doc! { "identities.key": stored.identity().key() }).await?.is_some() {
            return Err(AuthError::UserNotFound);
        }
        self.remove_email_account(stored.id).await
    }

    /// Accounts that no user has come of yet, in the order of their registration.
    pub async fn pending_email_accounts(&self, limit: u32) -> Result<Vec<EmailAccount>, AuthError> {
        let accounts = self.collection(Name::EmailAccounts).await?;
        let query = doc! { "has_user": { "$ne": true } };
        let documents: Vec<Document> =
            accounts.find(query).sort(doc! { "_id": 1 }).limit(limit.into()).await?.try_collect().await?;
        documents.iter().map(|document| StoredAccount::from_document(document).map(|stored| stored.account)).collect()
    }

    pub(crate) async fn find_email_account(&self, email: &str) -> Result<Option<StoredAccount>, AuthError> {
        if email.len() > EMAIL_BYTES_MAX {
            return Ok(None);
        }
        let document = self.collection(Name::EmailAccounts).await?.find_one(doc! { "email": email }).await?;
        document.as_ref().map(StoredAccount::from_document).transpose()
    }

    pub(crate) async fn find_email_account_by_id(&self, id: ObjectId) -> Result<Option<StoredAccount>, AuthError> {
        let document = self.collection(Name::EmailAccounts).await?.find_one(doc! { "_id": id }).await?;
        document.as_ref().map(StoredAccount::from_document).transpose()
    }

    pub(crate) async fn insert_email_account(
        &self,
        email: &str,
        password: &str,
        is_confirmed: bool,
    ) -> Result<StoredAccount, AuthError> {
        check_email(email)?;
        check_new_password(password)?;
        // Hashing is dear, so it is not done for an address that is taken.
        if self.find_email_account(email).await?.is_some() {
            return Err(AuthError::NameInUse);
        }
        let document = doc! {
            "_id": ObjectId::new(),
            "email": email,
            "password": self.settings().hashing.hash(password).await?,
            "confirmed": is_confirmed,
            "creation_date": self.settings().clock.date(),
        };
        match self.collection(Name::EmailAccounts).await?.insert_one(&document).await {
            Ok(_) => StoredAccount::from_document(&document),
            Err(error) if is_duplicate(&error) => Err(AuthError::NameInUse),
            Err(error) => Err(error.into()),
        }
    }

    /// The account whose address and password these are. Whether the address or the password is wrong can be told neither
    /// from the answer nor from the time it takes.
    ///
    /// # Errors
    /// `InvalidPassword`, `ConfirmationRequired`, `Busy`.
    pub(crate) async fn verify_password(&self, email: &str, password: &str) -> Result<StoredAccount, AuthError> {
        if !may_be_password(password) {
            return Err(AuthError::InvalidPassword);
        }
        let stored = self.find_email_account(email).await?;
        let hash = stored.as_ref().map(|stored| stored.password_hash.as_str());
        let is_right = self.settings().hashing.verify(password, hash).await?;
        match stored {
            Some(stored) if is_right && stored.account.is_confirmed => Ok(stored),
            Some(_) if is_right => Err(AuthError::ConfirmationRequired),
            _ => Err(AuthError::InvalidPassword),
        }
    }

    pub(crate) async fn confirm(&self, id: ObjectId) -> Result<(), AuthError> {
        let accounts = self.collection(Name::EmailAccounts).await?;
        let result = accounts.update_one(doc! { "_id": id }, doc! { "$set": { "confirmed": true } }).await?;
        match (result.matched_count, result.modified_count) {
            (0, _) => Err(AuthError::UserNotFound),
            (_, 0) => Err(AuthError::AlreadyConfirmed),
            _ => Ok(()),
        }
    }

    /// Writes down that a user has come of the account.
    pub(crate) async fn note_user_of(&self, id: ObjectId) -> Result<(), AuthError> {
        let accounts = self.collection(Name::EmailAccounts).await?;
        accounts.update_one(doc! { "_id": id }, doc! { "$set": { "has_user": true } }).await?;
        Ok(())
    }

    pub(crate) async fn set_password(&self, id: ObjectId, password: &str) -> Result<(), AuthError> {
        check_new_password(password)?;
        let hash = self.settings().hashing.hash(password).await?;
        let accounts = self.collection(Name::EmailAccounts).await?;
        let result = accounts.update_one(doc! { "_id": id }, doc! { "$set": { "password": hash } }).await?;
        match result.matched_count {
            0 => Err(AuthError::UserNotFound),
            _ => Ok(()),
        }
    }

    pub(crate) async fn remove_email_account(&self, id: ObjectId) -> Result<(), AuthError> {
        self.collection(Name::EmailTokens).await?.delete_many(doc! { "account": id }).await?;
        self.collection(Name::EmailAccounts).await?.delete_one(doc! { "_id": id }).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for email in ["a@b.c", "first.last+tag@example.com", "A@B.C", "ü@example.com", "a@localhost", "o'brien@x.io"] {
            assert!(check_email(email).is_ok(), "{email}");
        }
        let long = format!("{}@b.c", "a".repeat(254));
        for email in [
            "",
            "a",
            "@",
            "a@",
            "@b.c",
            "a@b@c",
            "a b@c.d",
            "a@b.c\r\nBcc: x@y.z",
            "<a@b.c>",
            "a@.c",
            "a@b.",
            "a@b..c",
            "a\0@b.c",
            "\"a\"@b.c",
            "a,b@c.d",
            &long,
        ] {
            assert!(matches!(check_email(email), Err(AuthError::InvalidEmail)), "{email}");
        }
    }
}
