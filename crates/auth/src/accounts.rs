//! The state of one app's users, in a database of its own.

use std::sync::Arc;
use std::time::Duration;

use app_model::AppIdentity;
use bson::{Document, doc};
use mongodb::options::{DatabaseOptions, IndexOptions, ReadPreference, SelectionCriteria, WriteConcern};
use mongodb::{Client, Collection, Database, IndexModel};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::signing_keys::SigningKeys;
use crate::throttle::Throttle;
use crate::{AuthError, AuthSettings};

/// Users, identities, e-mail accounts, API keys and sessions of one app, shared by every process that opens them on the same
/// deployment. Cheap to clone.
///
/// What the operator does to users is here; who may log in how is in [`Auth`](crate::Auth). Nothing is read or written before
/// the first call, so a database that cannot be reached makes calls fail and nothing else. Every method gives
/// [`AuthError::Database`] when the database does not do what it was asked to.
#[derive(Clone)]
pub struct Accounts(Arc<Shared>);

struct Shared {
    database: Database,
    client_app_id: String,
    domain_id: String,
    settings: AuthSettings,
    is_ready: OnceCell<()>,
    keys: SigningKeys,
    throttle: Throttle,
}

/// Collections of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// One document per user, with its identities.
    Users,
    /// Addresses and password hashes of `local-userpass`.
    EmailAccounts,
    /// Tokens of confirmation and reset, hashed.
    EmailTokens,
    /// Mails that nobody sent.
    Outbox,
    /// API keys, hashed.
    ApiKeys,
    /// One document per refresh token.
    Sessions,
    /// Keys that access and refresh tokens are signed with.
    SigningKeys,
    /// Failed attempts by address.
    LoginFailures,
}

impl Name {
    const ALL: [Self; 8] = [
        Self::Users,
        Self::EmailAccounts,
        Self::EmailTokens,
        Self::Outbox,
        Self::ApiKeys,
        Self::Sessions,
        Self::SigningKeys,
        Self::LoginFailures,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::EmailAccounts => "email_accounts",
            Self::EmailTokens => "email_tokens",
            Self::Outbox => "outbox",
            Self::ApiKeys => "api_keys",
            Self::Sessions => "sessions",
            Self::SigningKeys => "signing_keys",
            Self::LoginFailures => "login_failures",
        }
    }

    /// Unique ones make creation idempotent; those with a lifetime remove what nobody needs any more.
    fn indexes(self, settings: &AuthSettings) -> Vec<IndexModel> {
        let unique = |keys: Document| index(keys, true, None);
        let plain = |keys: Document| index(keys, false, None);
        let expiring = |field: &str| index(doc! { field: 1 }, false, Some(Duration::ZERO));
        match self {
            Self::Users => vec![
                unique(doc! { "identities.key": 1 }),
                // Only anonymous users have the field.
                index(doc! { "idle_since": 1 }, false, Some(settings.anonymous_user_idle_max)),
            ],
            Self::EmailAccounts => vec![unique(doc! { "email": 1 })],
            Self::EmailTokens => vec![expiring("expires"), plain(doc! { "account": 1 })],
            Self::Outbox | Self::LoginFailures => vec![expiring("expires")],
            Self::ApiKeys => vec![
                unique(doc! { "hash": 1 }),
                unique(doc! { "owner": 1, "name": 1 }),
                // The number of a place among the keys that one owner may have.
                unique(doc! { "owner": 1, "place": 1 }),
            ],
            Self::Sessions => vec![expiring("expires"), plain(doc! { "user": 1 })],
            Self::SigningKeys => Vec::new(),
        }
    }
}

fn index(keys: Document, is_unique: bool, lifetime: Option<Duration>) -> IndexModel {
    let mut options = IndexOptions::default();
    options.unique = is_unique.then_some(true);
    options.expire_after = lifetime;
    IndexModel::builder().keys(keys).options(options).build()
}

impl Accounts {
    /// Opens the state of the app on a deployment.
    pub fn new(client: &Client, client_app_id: &str, settings: AuthSettings) -> Self {
        let mut options = DatabaseOptions::default();
        // A session that has just been revoked must not be good on a member that has not heard of it.
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        options.write_concern = Some(WriteConcern::majority());
        let database = client.database_with_options(&database_name(client_app_id), options);
        Self(Arc::new(Shared {
            database,
            client_app_id: client_app_id.to_owned(),
            domain_id: AppIdentity::of(client_app_id).domain,
            throttle: Throttle::new(settings.failures_max, settings.failure_window),
            settings,
            is_ready: OnceCell::new(),
            keys: SigningKeys::default(),
        }))
    }

    /// Client app id.
    pub fn client_app_id(&self) -> &str {
        &self.0.client_app_id
    }

    /// As given to [`Self::new`].
    pub fn settings(&self) -> &AuthSettings {
        &self.0.settings
    }

    /// `domain_id` of tokens and profiles.
    pub fn domain_id(&self) -> &str {
        &self.0.domain_id
    }

    pub(crate) fn keys(&self) -> &SigningKeys {
        &self.0.keys
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.0.throttle
    }

    /// A collection, with its indexes in place.
    pub(crate) async fn collection(&self, name: Name) -> Result<Collection<Document>, AuthError> {
        let shared = &self.0;
        shared.is_ready.get_or_try_init(|| self.prepare()).await?;
        Ok(shared.database.collection(name.as_str()))
    }

    /// Any number of processes may do this at once.
    async fn prepare(&self) -> Result<(), AuthError> {
        for name in Name::ALL {
            let indexes = name.indexes(&self.0.settings);
            if !indexes.is_empty() {
                let collection = self.0.database.collection::<Document>(name.as_str());
                match collection.create_indexes(indexes).await {
                    // Made under another setting of a lifetime, which goes on to count.
                    Err(error) if has_code(&error, INDEX_OPTIONS_CONFLICT) => {
                        tracing::warn!(app = self.0.client_app_id, collection = name.as_str(), %error, "an index differs");
                    }
                    other => drop(other?),
                }
            }
        }
        Ok(())
    }
}

/// The database in which an app's users, logs and the like are kept: `selvedge_<client app id>`. An id that makes no good name
/// for a database, because of its length, its letters or another id that differs in case only, is told by a hash.
pub fn database_name(client_app_id: &str) -> String {
    const BYTES_MAX: usize = 63;
    const PREFIX: &str = app_model::STATE_DATABASE_PREFIX;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if client_app_id.bytes().all(is_plain)
        && PREFIX.len() + client_app_id.len() <= BYTES_MAX
        && !client_app_id.is_empty()
    {
        return format!("{PREFIX}{client_app_id}");
    }
    let hash = hex::encode(&Sha256::digest(client_app_id.as_bytes())[..8]);
    let readable: String = client_app_id
        .chars()
        .map(|letter| letter.to_ascii_lowercase())
        .map(|letter| if letter.is_ascii() && is_plain(letter as u8) { letter } else { '-' })
        .take(BYTES_MAX - PREFIX.len() - hash.len() - 1)
        .collect();
    format!("{PREFIX}{readable}~{hash}")
}

const INDEX_OPTIONS_CONFLICT: i32 = 85;
const DUPLICATE_KEY: i32 = 11_000;

fn has_code(error: &mongodb::error::Error, code: i32) -> bool {
    matches!(error.kind.as_ref(), mongodb::error::ErrorKind::Command(error) if error.code == code)
}

/// Whether a write failed because a unique index has the value already.
pub(crate) fn is_duplicate(error: &mongodb::error::Error) -> bool {
    use mongodb::error::{ErrorKind, WriteFailure};
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
        _ => has_code(error, DUPLICATE_KEY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_names() {
        assert_eq!(database_name("myapp-abcde"), "selvedge_myapp-abcde");
        let odd = ["My-App", "my-app", "a/b", "a.b", "a b", "ä", "", &"x".repeat(60), &"x".repeat(61)];
        let names: std::collections::BTreeSet<String> = odd.iter().map(|id| database_name(id)).collect();
        assert_eq!(names.len(), odd.len());
        for name in names {
            assert!(name.len() <= 63 && name.starts_with("selvedge_"), "{name}");
            assert!(!name.contains(['/', '\\', '.', ' ', '"', '$', '*', '<', '>', ':', '|', '?', '\0']), "{name}");
            assert_eq!(name, name.to_lowercase());
        }
    }
}
