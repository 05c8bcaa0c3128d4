//! What is kept about one app on the deployment: for the operator's commands, and for the server itself.

use auth::{Accounts, AuthSettings};
use services::ServiceError;
use services::mongodb_atlas::{Connection, ConnectionSettings};
use services::state::{LogStore, SecretStore};

/// The state of one app, shared by every process that opens it on the same deployment. Nothing is read or written before
/// something is asked of it.
pub struct AppState {
    /// Log entries.
    pub logs: LogStore,
    /// Texts of Secrets.
    pub secrets: SecretStore,
    /// Users, API keys and sessions.
    pub accounts: Accounts,
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
        let database = auth::database_name(client_app_id);
        Self {
            logs: LogStore::new(&connection, &database),
            secrets: SecretStore::new(&connection, &database, client_app_id),
            accounts: Accounts::new(connection.client(), client_app_id, AuthSettings::default()),
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
