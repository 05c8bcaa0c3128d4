//! Why an app directory cannot be served at all.

use std::io;
use std::path::PathBuf;

use crate::Problem;

/// Nothing of the directory can be served. Everything milder is a [`Problem`] of the loaded app.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The directory does not exist, is no directory, or may not be read.
    #[error("{}: cannot be read as an app directory", directory.display())]
    Directory {
        /// As given.
        directory: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// No root file (http-surface 1.1, D2).
    #[error(
        "{}: holds no app: none of root_config.json, realm_config.json, config.json and stitch.json is a root file{}: \
         give the directory that the platform's tool exported, or write a root file",
        directory.display(),
        reasons(.candidates)
    )]
    NoRootFile {
        /// As given.
        directory: PathBuf,
        /// Why each file that has the right name is no root file.
        candidates: Vec<Problem>,
    },
    /// A root file of a version that we do not know (http-surface 1.1, D3).
    #[error(
        "{}: config_version: {found} is not a version this server can load: export the app as 20180301, 20200603 or 20210101",
        file.display()
    )]
    Version {
        /// The root file, below the directory as given.
        file: PathBuf,
        /// The value found, as JSON.
        found: String,
    },
}

fn reasons(candidates: &[Problem]) -> String {
    candidates.iter().map(|problem| format!("; {problem}")).collect()
}
