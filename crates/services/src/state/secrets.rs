//! Texts of Secrets, encrypted at rest (rules-and-users 5.2).
//!
//! Each text is encrypted by itself with AES-256-GCM under a fresh nonce; the app and the name are authenticated with it, so
//! that a text cannot be moved to another name. The key is the operator's and is never stored.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aes::cipher::consts::U12;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};
use app_model::SecretText;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::spec::BinarySubtype;
use bson::{Binary, DateTime, Document, doc};
use futures::TryStreamExt;
use mongodb::Collection;
use sha2::{Digest, Sha256};

use crate::ServiceError;
use crate::mongodb_atlas::Connection;

/// The texts of one app, in the collection `secrets` of its database.
#[derive(Debug)]
pub struct SecretStore {
    collection: Collection<Document>,
    client_app_id: String,
}

/// What may be told about a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretInfo {
    /// Its name.
    pub name: String,
    /// When its text was last set.
    pub modified: SystemTime,
}

/// 32 bytes that encrypt all texts. Never shown.
#[derive(Clone)]
pub struct SecretKey([u8; 32]);

/// Why a Secret cannot be kept or read. Never holds a text or a key.
#[derive(Debug, thiserror::Error)]
pub enum SecretStoreError {
    /// A key that is none.
    #[error("the key is not 32 bytes in base64")]
    MalformedKey,
    /// A text encrypted with another key, or damaged.
    #[error("the Secret {name:?} cannot be decrypted with this key: it was set with another one, or is damaged")]
    WrongKey {
        /// Name of the Secret.
        name: String,
    },
    /// A name the platform would not take (http-surface 1.11).
    #[error("{name:?} is no name of a Secret: use 1 to 64 letters, digits, _ and -")]
    MalformedName {
        /// As given.
        name: String,
    },
    /// A text the platform would not take.
    #[error("the text is {problem}; a Secret has 1 to 500 characters")]
    MalformedText {
        /// What is wrong.
        problem: &'static str,
    },
    /// The database does not do what it was asked to.
    #[error(transparent)]
    Database(#[from] ServiceError),
}

/// Longest text of a Secret, in characters (http-surface 8).
const TEXT_CHARACTERS_MAX: usize = 500;
const NONCE_BYTES: usize = 12;

impl SecretKey {
    /// A key of random bytes.
    pub fn generate() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the operating system gives random bytes");
        Self(key)
    }

    /// Reads a key as [`SecretKey::to_base64`] writes it.
    ///
    /// # Errors
    /// [`SecretStoreError::MalformedKey`]
    pub fn from_base64(text: &str) -> Result<Self, SecretStoreError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| SecretStoreError::MalformedKey)?;
        bytes.try_into().map(Self).map_err(|_| SecretStoreError::MalformedKey)
    }

    /// For the operator to keep.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Tells keys apart without telling anything about them.
    fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(b"selvedge secret key fingerprint\0");
        digest.update(self.0);
        hex::encode(&digest.finalize()[..8])
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new_from_slice(&self.0).expect("the key has 32 bytes")
    }

    fn encrypt(&self, text: &str, context: &str) -> ([u8; NONCE_BYTES], Vec<u8>) {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).expect("the operating system gives random bytes");
        let mut sealed = text.as_bytes().to_vec();
        let buffer = InOutBuf::from(sealed.as_mut_slice());
        let tag = self.cipher().encrypt_inout_detached(&Nonce::<U12>::from(nonce), context.as_bytes(), buffer);
        sealed.extend_from_slice(&tag.expect("a text of some bytes is short enough for the cipher"));
        (nonce, sealed)
    }

    fn decrypt(&self, nonce: &[u8], sealed: &[u8], context: &str) -> Option<String> {
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
        let (sealed, tag) = sealed.split_last_chunk::<16>()?;
        let mut text = sealed.to_vec();
        let buffer = InOutBuf::from(text.as_mut_slice());
        let nonce = &Nonce::<U12>::from(nonce);
        self.cipher().decrypt_inout_detached(nonce, context.as_bytes(), buffer, &Tag::from(*tag)).ok()?;
        String::from_utf8(text).ok()
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SecretKey(…)")
    }
}

impl SecretStore {
    /// The texts kept for an app in `database`. Nothing is read or written before the first call.
    pub fn new(connection: &Connection, database: &str, client_app_id: &str) -> Self {
        let collection = connection.client().database(database).collection("secrets");
        Self { collection, client_app_id: client_app_id.to_owned() }
    }

    /// What is authenticated beside a text.
    fn context(&self, name: &str) -> String {
        format!("selvedge\0{}\0{name}", self.client_app_id)
    }

    /// Keeps a text; gives whether the name is new.
    ///
    /// # Errors
    /// A name or text the platform would not take; the database.
    pub async fn set(&self, key: &SecretKey, name: &str, text: &str) -> Result<bool, SecretStoreError> {
        check_name(name)?;
        check_text(text)?;
        let (nonce, sealed) = key.encrypt(text, &self.context(name));
        let binary = |bytes: Vec<u8>| Binary { subtype: BinarySubtype::Generic, bytes };
        let fields = doc! {
            "key": key.fingerprint(), "nonce": binary(nonce.to_vec()), "sealed": binary(sealed), "modified": DateTime::now(),
        };
        let written = self.collection.update_one(doc! { "_id": name }, doc! { "$set": fields }).upsert(true).await;
        Ok(written.map_err(ServiceError::from)?.upserted_id.is_some())
    }

    /// Names, in order.
    ///
    /// # Errors
    /// The database.
    pub async fn list(&self) -> Result<Vec<SecretInfo>, SecretStoreError> {
        let found = self.collection.find(Document::new()).sort(doc! { "_id": 1 }).projection(doc! { "modified": 1 });
        let found: Vec<Document> =
            found.await.map_err(ServiceError::from)?.try_collect().await.map_err(ServiceError::from)?;
        let info = |document: Document| {
            let name = document.get_str("_id").ok()?.to_owned();
            let modified = document.get_datetime("modified").ok()?.to_system_time();
            Some(SecretInfo { name, modified })
        };
        Ok(found.into_iter().filter_map(info).collect())
    }

    /// Forgets a text; gives whether there was one.
    ///
    /// # Errors
    /// The database.
    pub async fn delete(&self, name: &str) -> Result<bool, SecretStoreError> {
        let deleted = self.collection.delete_one(doc! { "_id": name }).await.map_err(ServiceError::from)?;
        Ok(deleted.deleted_count > 0)
    }

    /// All texts by name.
    ///
    /// # Errors
    /// A text that the key does not open; the database.
    pub async fn texts(&self, key: &SecretKey) -> Result<BTreeMap<String, SecretText>, SecretStoreError> {
        let found = self.collection.find(Document::new()).await.map_err(ServiceError::from)?;
        let found: Vec<Document> = found.try_collect().await.map_err(ServiceError::from)?;
        let mut texts = BTreeMap::new();
        for document in found {
            let name = document.get_str("_id").unwrap_or_default().to_owned();
            let bytes = |field: &str| document.get_binary_generic(field).map(Vec::as_slice).unwrap_or_default();
            match key.decrypt(bytes("nonce"), bytes("sealed"), &self.context(&name)) {
                Some(text) => drop(texts.insert(name, SecretText::new(text))),
                None => return Err(SecretStoreError::WrongKey { name }),
            }
        }
        Ok(texts)
    }

    /// Changes whenever a text does; the same for every process.
    ///
    /// # Errors
    /// The database.
    pub async fn version(&self) -> Result<String, SecretStoreError> {
        let found = self.collection.find(Document::new()).sort(doc! { "_id": 1 }).projection(doc! { "nonce": 1 });
        let found: Vec<Document> =
            found.await.map_err(ServiceError::from)?.try_collect().await.map_err(ServiceError::from)?;
        let mut digest = Sha256::new();
        for document in found {
            digest.update(document.to_vec().map_err(ServiceError::from)?);
        }
        Ok(hex::encode(digest.finalize()))
    }
}

fn check_name(name: &str) -> Result<(), SecretStoreError> {
    let is_name = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if is_name { Ok(()) } else { Err(SecretStoreError::MalformedName { name: name.to_owned() }) }
}

fn check_text(text: &str) -> Result<(), SecretStoreError> {
    match text.chars().count() {
        0 => Err(SecretStoreError::MalformedText { problem: "empty" }),
        count if count > TEXT_CHARACTERS_MAX => Err(SecretStoreError::MalformedText { problem: "too long" }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_open_with_their_key_and_name_only() {
        let key = SecretKey::generate();
        let (nonce, sealed) = key.encrypt("hunter2", "selvedge\0app\0name");
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_eq!(key.decrypt(&nonce, &sealed, "selvedge\0app\0name").as_deref(), Some("hunter2"));
        assert_eq!(key.decrypt(&nonce, &sealed, "selvedge\0app\0other"), None);
        assert_eq!(key.decrypt(&nonce, &sealed, "selvedge\0other\0name"), None);
        assert_eq!(SecretKey::generate().decrypt(&nonce, &sealed, "selvedge\0app\0name"), None);
        assert_eq!(key.decrypt(&[], &[], ""), None);
        let (other_nonce, other) = key.encrypt("hunter2", "selvedge\0app\0name");
        assert!(nonce != other_nonce && sealed != other);
    }

    #[test]
    fn keys_are_written_down_and_never_shown() {
        let key = SecretKey::generate();
        let text = key.to_base64();
        assert_eq!(SecretKey::from_base64(&format!("{text}\n")).map(|key| key.0).ok(), Some(key.0));
        assert!(!format!("{key:?}").contains(&text));
        for text in ["", "hunter2", "aGk=", "!"] {
            let message = SecretKey::from_base64(text).expect_err(text).to_string();
            assert!(text.is_empty() || !message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn names_and_texts() {
        for name in ["", "a b", "a.b", &"x".repeat(65), "$where"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name("__texting_auth-token").is_ok());
        assert!(
            check_text(&"ä".repeat(500)).is_ok() && check_text(&"a".repeat(501)).is_err() && check_text("").is_err()
        );
    }
}
