//! Why a server cannot start or go on. Each is one line for the person who started it.

use std::io;
use std::path::PathBuf;

use crate::settings::SettingsError;

/// Why a server cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A setting cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// An app directory cannot be served at all.
    #[error("{0}")]
    App(#[source] app_model::LoadError),
    /// Two directories claim one client app id.
    #[error("{} and {} both hold the app {app_id:?}: serve one of them, or give the apps different ids",
        first.display(), second.display())]
    SameApp {
        /// The id.
        app_id: String,
        /// One directory.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A listening address cannot be had.
    #[error("--listen {address}: {}", listen_reason(.source))]
    Listen {
        /// As written.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The embedded store cannot be opened.
    #[error("--data-dir {}: the embedded store cannot be opened: {source}", directory.display())]
    Store {
        /// The data directory.
        directory: PathBuf,
        /// What the store said.
        source: docstore::Error,
    },
    /// The embedded store cannot listen where it was told to.
    #[error("--docstore-listen {address}: {}", listen_reason(.source))]
    StoreListen {
        /// As written.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The embedded store's directory cannot be used.
    #[error("--data-dir {}: {}", directory.display(), directory_reason(.source))]
    DataDirectory {
        /// The data directory.
        directory: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A command cannot be carried out.
    #[error("{0}")]
    Command(String),
    /// A connection string cannot be used, or a data source has a config that makes no sense.
    #[error("{what}: {reason}")]
    Database {
        /// Setting or file.
        what: String,
        /// Without credentials.
        reason: String,
    },
    /// V8 cannot be started.
    #[error("the JavaScript engine cannot be started: {0}")]
    Engine(#[from] isolate::IsolateError),
    /// The operating system refused something every process needs.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// Workers die before they are ready.
    #[error("the worker process failed {0} times before it was ready; its own messages are above")]
    WorkersFail(u32),
}

impl ServerError {
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

fn directory_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "not permitted; the server's user must own it and be able to write".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".into(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full".into(),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "is no directory".into(),
        _ => error.to_string(),
    }
}

fn listen_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the port is in use by another process; stop it or choose another port".into(),
        io::ErrorKind::PermissionDenied => "not permitted; ports below 1024 need privileges".into(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".into(),
        io::ErrorKind::InvalidInput => "is not an address with a port, such as 127.0.0.1:8080".into(),
        _ => error.to_string(),
    }
}
