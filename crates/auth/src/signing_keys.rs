//! The keys that access and refresh tokens are signed with: made once, by whichever process comes first, and kept with the
//! users, so that every process on the same deployment signs and reads the same tokens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::spec::BinarySubtype;
use bson::{Binary, Document, doc};
use futures::TryStreamExt;
use parking_lot::Mutex;

use crate::accounts::{Name, is_duplicate};
use crate::jwt::Key;
use crate::{Accounts, AuthError};

/// Bytes of a key: as many as the hash has.
const KEY_BYTES: usize = 32;

/// How long a process may not have heard of a newer key, or of one that was removed.
const AGE_MAX: Duration = Duration::from_secs(60);

/// Tokens with a key id nobody has heard of make a process look for it no more often than this.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);

/// What this process knows of the keys.
#[derive(Default)]
pub(crate) struct SigningKeys {
    known: Mutex<Option<Known>>,
}

#[derive(Clone)]
struct Known {
    keys: Arc<BTreeMap<i64, Vec<u8>>>,
    loaded: Instant,
}

impl Accounts {
    /// Id and bytes of the key to sign with: the newest.
    pub(crate) async fn signing_key(&self) -> Result<(String, Vec<u8>), AuthError> {
        let keys = self.signing_keys(AGE_MAX).await?;
        let (id, key) = keys.last_key_value().ok_or_else(|| AuthError::Internal("there is no signing key".into()))?;
        Ok((id.to_string(), key.clone()))
    }

    /// The key a token says it was signed with, if it is one of ours.
    pub(crate) async fn verifying_key(&self, id: &str) -> Result<Option<Key>, AuthError> {
        let Ok(id) = id.parse::<i64>() else { return Ok(None) };
        if let Some(key) = self.signing_keys(AGE_MAX).await?.get(&id) {
            return Ok(Some(Key::Shared(key.clone())));
        }
        Ok(self.signing_keys(RELOAD_PAUSE).await?.get(&id).map(|key| Key::Shared(key.clone())))
    }

    /// Adds a key that signs from now on; other processes follow within a minute. Tokens signed with older keys stay good
    /// until they expire, unless `revokes_older`: then nobody's session lives on.
    pub async fn rotate_signing_key(&self, revokes_older: bool) -> Result<(), AuthError> {
        let newest = loop {
            let newest = self.load_signing_keys().await?.last_key_value().map_or(0, |(id, _)| *id) + 1;
            if self.insert_signing_key(newest).await? {
                break newest;
            }
        };
        if revokes_older {
            self.collection(Name::SigningKeys).await?.delete_many(doc! { "_id": { "$lt": newest } }).await?;
        }
        self.load_signing_keys().await.map(drop)
    }

    async fn signing_keys(&self, age_max: Duration) -> Result<Arc<BTreeMap<i64, Vec<u8>>>, AuthError> {
        let known = self.keys().known.lock().clone();
        if let Some(known) = known
            && known.loaded.elapsed() < age_max
        {
            return Ok(known.keys);
        }
        let keys = self.load_signing_keys().await?;
        if !keys.is_empty() {
            return Ok(keys);
        }
        self.insert_signing_key(1).await?;
        self.load_signing_keys().await
    }

    async fn load_signing_keys(&self) -> Result<Arc<BTreeMap<i64, Vec<u8>>>, AuthError> {
        let documents: Vec<Document> =
            self.collection(Name::SigningKeys).await?.find(doc! {}).await?.try_collect().await?;
        let broken = || AuthError::Internal("a signing key in the database is broken".to_owned());
        let mut keys = BTreeMap::new();
        for document in documents {
            let id = document.get_i64("_id").map_err(|_| broken())?;
            let key = document.get_binary_generic("key").map_err(|_| broken())?;
            if key.len() < KEY_BYTES {
                return Err(broken());
            }
            keys.insert(id, key.clone());
        }
        let keys = Arc::new(keys);
        // That there is none is not worth remembering: another call is just making the first.
        if !keys.is_empty() {
            *self.keys().known.lock() = Some(Known { keys: Arc::clone(&keys), loaded: Instant::now() });
        }
        Ok(keys)
    }

    /// False when there is a key with this id already.
    async fn insert_signing_key(&self, id: i64) -> Result<bool, AuthError> {
        let mut bytes = vec![0; KEY_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| AuthError::Internal(error.to_string()))?;
        let key = Binary { subtype: BinarySubtype::Generic, bytes };
        let document = doc! { "_id": id, "key": key, "creation_date": self.settings().clock.date() };
        match self.collection(Name::SigningKeys).await?.insert_one(document).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
