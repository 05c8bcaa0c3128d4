//! Opens the state that a server works on.

use std::path::PathBuf;

use app::{AppState, ConnectionSettings};
use clap::Args;
use docstore::Options;

use super::refused;
use crate::error::ServerError;
use crate::store::{URI_FILE, write_uri};

/// Where the state is: as `serve` was told.
#[derive(Debug, Clone, Args)]
pub(crate) struct StateFlags {
    /// Client app id of the app, as in its URLs
    #[arg(long, value_name = "APP_ID", env = "SELVEDGE_APP_ID")]
    app: String,

    /// Directory of the embedded store, as given to `serve`
    #[arg(long, value_name = "DIR", env = "SELVEDGE_DATA_DIR", default_value = "data")]
    data_dir: PathBuf,

    /// Connection string of your MongoDB, as given to `serve`; without it the embedded store is used
    #[arg(long, value_name = "URI", env = "SELVEDGE_MONGODB", hide_env_values = true, value_delimiter = ' ')]
    mongodb: Vec<String>,
}

/// The state of one app, and the embedded store when this process had to open it.
pub(super) struct State {
    pub app: AppState,
    store: Option<docstore::Server>,
}

/// Whether a command may begin with an empty store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Make,
    Refuse,
}

impl State {
    /// Opens it.
    ///
    /// # Errors
    /// No store in the directory, or a database that does not answer.
    pub async fn open(flags: StateFlags, missing: Missing) -> Result<Self, ServerError> {
        // Data sources with databases of their own hold no state of the server's.
        let own = flags.mongodb.iter().find(|text| text.starts_with("mongodb"));
        let (uri, store) = match own {
            Some(uri) => (uri.clone(), None),
            None => open_store(&flags.data_dir, missing)?,
        };
        let app = AppState::open(&uri, &flags.app, ConnectionSettings::default()).await.map_err(|error| {
            // The driver's reason is about the form of the connection string and does not repeat it.
            ServerError::Database { what: "--mongodb".into(), reason: error.to_string() }
        })?;
        app.ping().await.map_err(|error| refused(format!("the database does not answer: {error}")))?;
        Ok(Self { app, store })
    }

    /// Makes everything durable, when this process had the store open.
    pub async fn close(self) -> Result<(), ServerError> {
        let Some(store) = self.store else { return Ok(()) };
        store
            .shutdown()
            .await
            .map_err(|error| refused(format!("the embedded store did not shut down cleanly: {error}")))
    }
}

/// The store's own process is asked when there is one.
fn open_store(directory: &PathBuf, missing: Missing) -> Result<(String, Option<docstore::Server>), ServerError> {
    let uri_file = directory.join(URI_FILE);
    if missing == Missing::Refuse && !uri_file.is_file() {
        return Err(refused(format!(
            "--data-dir {}: holds no data of a server; name the directory `selvedge serve` was given",
            directory.display()
        )));
    }
    match docstore::open(directory, Options::default()) {
        Ok(store) => {
            write_uri(directory, &store.uri());
            Ok((store.uri(), Some(store)))
        }
        Err(docstore::Error::InUse { .. }) => match std::fs::read_to_string(&uri_file) {
            Ok(uri) if !uri.trim().is_empty() => Ok((uri.trim().to_owned(), None)),
            _ => Err(refused(format!(
                "--data-dir {}: is in use by another process, which has not written {URI_FILE}",
                directory.display()
            ))),
        },
        Err(source) => Err(ServerError::Store { directory: directory.clone(), source }),
    }
}
