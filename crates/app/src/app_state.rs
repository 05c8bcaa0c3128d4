//! What is kept about one app on the deployment: for the operator's commands, and for the server itself.

use services::ServiceError;
use services::mongodb_atlas::{Connection, ConnectionSettings};
use services::state::{LogStore, SecretStore};
use sha2::{Digest, Sha256};

/// The state of one app, shared by every process that opens it on the same deployment. Nothing is read or written before
/// something is asked of it.
pub struct AppState {
    /// Log entries.
    pub logs: LogStore,
    /// Texts of Secrets.
    pub secrets: SecretStore,
    connection: Connection,
}

impl AppState {
    /// Opens the state of an app by a connection of its own, as an operator's command does.
    ///
    /// # Errors
    /// A connection string that cannot be used.
    pub async fn open(uri: &str, client_app_id: &str, settings: ConnectionSettings) -> Result<Self, ServiceError> {
        Ok(Self::on(Connection::open(uri, settings).await?, client_app_id))
    }

    /// Opens it on a connection that is there.
    pub(crate) fn on(connection: Connection, client_app_id: &str) -> Self {
        let database = database_name(client_app_id);
        Self {
            logs: LogStore::new(&connection, &database),
            secrets: SecretStore::new(&connection, &database, client_app_id),
            connection,
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// What it said, or that it did not answer in time.
    pub async fn ping(&self) -> Result<(), ServiceError> {
        self.connection.ping().await
    }
}

/// The database in which an app's users, logs and the like are kept: `selvedge_<client app id>`. An id that makes no good name
/// for a database, because of its length, its letters or another id that differs in case only, is told by a hash.
fn database_name(client_app_id: &str) -> String {
    const BYTES_MAX: usize = 63;
    const PREFIX: &str = "selvedge_";
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
