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
pub(crate) const URI_FILE: &str = "docstore.uri";

/// Opens the embedded store unless a MongoDB is configured.
///
/// # Errors
/// A data directory that cannot be used, or is in use.
pub(crate) fn open(settings: &Settings) -> Result<Data, ServerError> {
    if let Some(uri) = &settings.mongodb {
        return Ok(Data { uri: uri.clone(), store: None });
    }
    let directory = &settings.data_dir;
    let options = Options { listen: settings.docstore_listen, ..Options::default() };
    let store = docstore::open(directory, options).map_err(|error| failure(directory, settings, error))?;
    if let Some(address) = store.tcp_address() {
        tracing::info!(%address, "the embedded store listens for tools of this machine");
    }
    let uri = store.uri();
    write_uri(directory, &uri);
    Ok(Data { uri, store: Some(store) })
}

fn failure(directory: &Path, settings: &Settings, error: docstore::Error) -> ServerError {
    match error {
        docstore::Error::Listen { source, .. } if settings.docstore_listen.is_some() => ServerError::StoreListen {
            address: settings.docstore_listen.map(|address| address.to_string()).unwrap_or_default(),
            source,
        },
        docstore::Error::Directory { source, .. } => {
            ServerError::DataDirectory { directory: directory.to_owned(), source }
        }
        source => ServerError::Store { directory: directory.to_owned(), source },
    }
}

pub(crate) fn write_uri(directory: &Path, uri: &str) {
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
