//! The embedded store, when no MongoDB is named.

use std::path::Path;

use docstore::{Options, Server};

use crate::error::ServerError;
use crate::settings::Settings;

/// Where data goes: the operator's MongoDB, or a store of our own that has to be shut down.
pub(crate) struct Data {
    /// Connection string.
    pub uri: String,
    store: Option<Server>,
}

/// Connection string of the embedded store, for tools beside the server.
const URI_FILE: &str = "docstore.uri";

/// Opens the embedded store unless a MongoDB is configured.
///
/// # Errors
/// A data directory that cannot be used, or is in use.
pub(crate) fn open(settings: &Settings) -> Result<Data, ServerError> {
    if let Some(uri) = &settings.mongodb {
        return Ok(Data { uri: uri.clone(), store: None });
    }
    let directory = &settings.data_dir;
    let store = docstore::open(directory, Options::default())
        .map_err(|source| ServerError::Store { directory: directory.clone(), source })?;
    let uri = store.uri();
    write_uri(directory, &uri);
    Ok(Data { uri, store: Some(store) })
}

fn write_uri(directory: &Path, uri: &str) {
    let file = directory.join(URI_FILE);
    if let Err(error) = std::fs::write(&file, format!("{uri}\n")) {
        tracing::warn!(file = %file.display(), %error, "the store's connection string could not be written down");
    }
}

impl Data {
    /// Makes everything durable and closes the files.
    pub async fn close(self) {
        if let Some(store) = self.store
            && let Err(error) = store.shutdown().await
        {
            tracing::error!(%error, "the embedded store did not shut down cleanly");
        }
    }
}
