//! API keys: of the app, each with a user of its own, and of users (rules-and-users 4.4).

use std::fmt;
use std::time::SystemTime;

use app_model::UserKind;
use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Document, doc};
use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::accounts::{Name, is_duplicate};
use crate::users::{ProvenIdentity, UserRecord};
use crate::{Accounts, AuthError};

/// Whose keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOwner {
    /// The app: up to 100 keys, each of which is a user of type `server`.
    App,
    /// A user, by id: up to 20 keys, which log in as that user.
    User(String),
}

/// A key, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// 24 hex digits.
    pub id: String,
    /// Unique among its owner's keys.
    pub name: String,
    /// Whether it is refused.
    pub is_disabled: bool,
    /// Who logs in with it.
    pub user_id: String,
    /// When it was created.
    pub creation_date: SystemTime,
}

/// A key that has just been made: the only time its text can be seen. `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// The record.
    pub record: ApiKey,
    /// 64 letters and digits.
    pub key: String,
}

impl fmt::Debug for NewApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "NewApiKey({:?}, …)", self.record)
    }
}

/// Characters of a key: far more than could be guessed.
const KEY_CHARACTERS: usize = 64;
const NAME_BYTES_MAX: usize = 100;

impl KeyOwner {
    fn keys_max(&self) -> u32 {
        match self {
            Self::App => 100,
            Self::User(_) => 20,
        }
    }

    /// Value of the field `owner`.
    fn to_text(&self) -> String {
        match self {
            Self::App => "app".to_owned(),
            Self::User(id) => format!("user {id}"),
        }
    }
}

impl ApiKey {
    fn from_document(document: &Document) -> Result<Self, AuthError> {
        let read = || {
            Some(Self {
                id: document.get_object_id("_id").ok()?.to_hex(),
                name: document.get_str("name").ok()?.to_owned(),
                is_disabled: document.get_bool("disabled").ok()?,
                user_id: document.get_object_id("user").ok()?.to_hex(),
                creation_date: document.get_datetime("creation_date").ok()?.to_system_time(),
            })
        };
        read().ok_or_else(|| AuthError::Internal(format!("API key is broken: {:?}", document.get("_id"))))
    }
}

impl Accounts {
    /// Makes a key. A key of the app makes its user as well.
    ///
    /// # Errors
    /// `ApiKeyName`, `ApiKeyExists`, `TooManyApiKeys`, `UserNotFound`.
    pub async fn create_api_key(&self, owner: &KeyOwner, name: &str) -> Result<NewApiKey, AuthError> {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_letter) {
            return Err(AuthError::ApiKeyName);
        }
        let id = ObjectId::new();
        let user = match owner {
            // The user of a key of the app has the key's own id.
            KeyOwner::App => id,
            KeyOwner::User(user_id) => {
                self.find_user(user_id).await?.ok_or(AuthError::UserNotFound)?.enabled()?.object_id()?
            }
        };
        let key = new_key()?;
        let mut document = doc! {
            "_id": id,
            "owner": owner.to_text(),
            "user": user,
            "name": name,
            "hash": Binary { subtype: BinarySubtype::Generic, bytes: hash(&key).to_vec() },
            "disabled": false,
            "creation_date": self.settings().clock.date(),
        };
        self.take_place(owner, &mut document).await?;
        if *owner == KeyOwner::App {
            let inserted = self.insert_user(&key_identity(id, name), id, UserKind::Server).await;
            if let Err(error) = inserted {
                self.collection(Name::ApiKeys).await?.delete_one(doc! { "_id": id }).await?;
                return Err(error);
            }
        }
        Ok(NewApiKey { record: ApiKey::from_document(&document)?, key })
    }

    /// Inserts a key under the lowest number that is free. The number is unique, so two at a time never exceed the limit.
    async fn take_place(&self, owner: &KeyOwner, document: &mut Document) -> Result<(), AuthError> {
        let max = owner.keys_max();
        let keys = self.collection(Name::ApiKeys).await?;
        for _ in 0..=max {
            let others: Vec<Document> = keys.find(doc! { "owner": owner.to_text() }).await?.try_collect().await?;
            if others.iter().any(|other| other.get("name") == document.get("name")) {
                return Err(AuthError::ApiKeyExists(document.get_str("name").unwrap_or_default().to_owned()));
            }
            let taken: Vec<i64> = others.iter().filter_map(|other| other.get_i64("place").ok()).collect();
            let Some(place) = (0..i64::from(max)).find(|place| !taken.contains(place)) else {
                return Err(AuthError::TooManyApiKeys { max });
            };
            document.insert("place", place);
            match keys.insert_one(&*document).await {
                Ok(_) => return Ok(()),
                Err(error) if is_duplicate(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AuthError::Busy)
    }

    /// Keys of an owner in the order of their creation.
    pub async fn api_keys(&self, owner: &KeyOwner) -> Result<Vec<ApiKey>, AuthError> {
        let keys = self.collection(Name::ApiKeys).await?;
        let documents: Vec<Document> =
            keys.find(doc! { "owner": owner.to_text() }).sort(doc! { "_id": 1 }).await?.try_collect().await?;
        documents.iter().map(ApiKey::from_document).collect()
    }

    /// One key of an owner.
    ///
    /// # Errors
    /// `ApiKeyNotFound`.
    pub async fn api_key(&self, owner: &KeyOwner, id: &str) -> Result<ApiKey, AuthError> {
        let found = self.collection(Name::ApiKeys).await?.find_one(of_owner(owner, id)?).await?;
        ApiKey::from_document(&found.ok_or(AuthError::ApiKeyNotFound)?)
    }

    /// Refuses a key from now on, or lets it in again.
    ///
    /// # Errors
    /// `ApiKeyNotFound`.
    pub async fn set_api_key_disabled(&self, owner: &KeyOwner, id: &str, is_disabled: bool) -> Result<(), AuthError> {
        let keys = self.collection(Name::ApiKeys).await?;
        let update = doc! { "$set": { "disabled": is_disabled } };
        match keys.update_one(of_owner(owner, id)?, update).await?.matched_count {
            0 => Err(AuthError::ApiKeyNotFound),
            _ => Ok(()),
        }
    }

    /// Removes a key; with a key of the app goes its user.
    ///
    /// # Errors
    /// `ApiKeyNotFound`.
    pub async fn delete_api_key(&self, owner: &KeyOwner, id: &str) -> Result<(), AuthError> {
        let query = of_owner(owner, id)?;
        let removed = self.collection(Name::ApiKeys).await?.delete_one(query).await?;
        if removed.deleted_count == 0 {
            return Err(AuthError::ApiKeyNotFound);
        }
        match owner {
            KeyOwner::App => match self.delete_user(id).await {
                Err(AuthError::UserNotFound) => Ok(()),
                other => other,
            },
            KeyOwner::User(_) => Ok(()),
        }
    }

    /// Whose key this is.
    ///
    /// # Errors
    /// `InvalidApiKey`, `UserDisabled`.
    pub(crate) async fn verify_api_key(&self, key: &str) -> Result<(UserRecord, ProvenIdentity), AuthError> {
        let refused = |reason| Err(AuthError::InvalidApiKey { reason });
        if key.is_empty() || key.len() > 4 * KEY_CHARACTERS {
            return refused("it cannot be one");
        }
        let hash = hash(key);
        // What is looked up is a hash, so how long it takes tells nothing about the key.
        let wanted = Binary { subtype: BinarySubtype::Generic, bytes: hash.to_vec() };
        let found = self.collection(Name::ApiKeys).await?.find_one(doc! { "hash": wanted }).await?;
        let Some(found) = found else { return refused("there is no such key") };
        let stored = found.get_binary_generic("hash").map_or(&[][..], |bytes| bytes.as_slice());
        if !bool::from(stored.ct_eq(&hash)) {
            return refused("there is no such key");
        }
        let record = ApiKey::from_document(&found)?;
        if record.is_disabled {
            return refused("it is disabled");
        }
        let Some(user) = self.find_user(&record.user_id).await? else { return refused("its user is gone") };
        let user = user.enabled()?;
        let id = ObjectId::parse_str(&record.id).map_err(|_| AuthError::Internal("API key without id".into()))?;
        Ok((user, key_identity(id, &record.name)))
    }
}

/// A key that may be this owner's; what is no id is nobody's.
fn of_owner(owner: &KeyOwner, id: &str) -> Result<Document, AuthError> {
    let id = ObjectId::parse_str(id).map_err(|_| AuthError::ApiKeyNotFound)?;
    Ok(doc! { "_id": id, "owner": owner.to_text() })
}

fn key_identity(id: ObjectId, name: &str) -> ProvenIdentity {
    ProvenIdentity {
        provider_type: "api-key",
        id: id.to_hex(),
        data: doc! { "name": name },
        claims: Document::new(),
        user_id: Some(id),
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

fn new_key() -> Result<String, AuthError> {
    random_text(KEY_CHARACTERS)
}

/// Letters and digits, each as likely as any other.
pub(crate) fn random_text(characters: usize) -> Result<String, AuthError> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(characters);
    while text.len() < characters {
        let mut bytes = [0; 128];
        getrandom::fill(&mut bytes).map_err(|error| AuthError::Internal(error.to_string()))?;
        // The last bytes are left out: 256 is no multiple of 62.
        let letters =
            bytes.iter().filter(|byte| **byte < 248).map(|byte| char::from(ALPHABET[usize::from(*byte % 62)]));
        text.extend(letters.take(characters - text.len()));
    }
    Ok(text)
}
