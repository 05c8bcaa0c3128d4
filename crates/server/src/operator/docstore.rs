//! `selvedge docstore`: the files of the embedded store, while no server has them open.

use std::path::PathBuf;

use clap::Subcommand;
use docstore::CollectionReport;
use serde_json::{Value as Json, json};

use super::output::{plain, print, print_json};
use super::refused;
use crate::error::ServerError;

#[derive(Debug, Subcommand)]
pub(crate) enum DocstoreCommand {
    /// Check every document and every index of a data directory
    #[command(after_help = "\
Exit code: 0 when all is well, 1 when something is damaged or cannot be read. The server must be stopped.

Example:
  selvedge docstore verify data")]
    Verify {
        /// Data directory, as given to `serve --data-dir`
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write everything in a data directory as mongodump does
    #[command(after_help = "\
The result is read by `selvedge docstore restore` and by `mongorestore --dir TARGET`. The server must be stopped.

Example:
  selvedge docstore dump data backup-2026-01-31")]
    Dump {
        /// Data directory
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Directory to write to; made if missing
        #[arg(value_name = "TARGET")]
        target: PathBuf,
    },
    /// Read what `dump` or mongodump wrote into a data directory
    #[command(after_help = "\
Nothing is written when one of the collections exists already. The server must be stopped.

Example:
  selvedge docstore restore backup-2026-01-31 data")]
    Restore {
        /// Directory that `dump` or mongodump wrote
        #[arg(value_name = "SOURCE")]
        source: PathBuf,
        /// Data directory; made if missing
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

pub(super) fn run(command: DocstoreCommand) -> Result<(), ServerError> {
    match command {
        DocstoreCommand::Verify { directory, json } => {
            let reports = docstore::verify(&directory).map_err(failure)?;
            match json {
                true => print_json(&to_json(&reports))?,
                false => print(&to_text(&reports))?,
            }
            let problems: usize = reports.iter().map(|report| report.problems.len()).sum();
            match problems {
                0 => Ok(()),
                count => Err(refused(format!("{}: {count} problems", directory.display()))),
            }
        }
        DocstoreCommand::Dump { directory, target } => {
            let is_filled = target.read_dir().is_ok_and(|mut entries| entries.next().is_some());
            if is_filled {
                return Err(refused(format!("{}: is not empty; name a new directory", target.display())));
            }
            let moved = docstore::dump(&directory, &target).map_err(failure)?;
            print(&format!("wrote {} documents of {} collections\n", moved.documents, moved.collections))
        }
        DocstoreCommand::Restore { source, directory } => {
            if !source.is_dir() {
                return Err(refused(format!("{}: is no directory", source.display())));
            }
            let moved = docstore::restore(&source, &directory).map_err(failure)?;
            print(&format!("read {} documents of {} collections\n", moved.documents, moved.collections))
        }
    }
}

fn failure(error: docstore::Error) -> ServerError {
    match &error {
        docstore::Error::InUse { .. } => refused(format!("{error}; stop the server first")),
        docstore::Error::Directory { source, .. } | docstore::Error::Listen { source, .. } => {
            refused(format!("{error}: {source}"))
        }
        docstore::Error::Damaged { .. }
        | docstore::Error::Format { .. }
        | docstore::Error::Storage(_)
        | docstore::Error::Option { .. } => refused(error.to_string()),
    }
}

fn to_json(reports: &[CollectionReport]) -> Json {
    let collections: Vec<Json> = reports
        .iter()
        .map(|report| {
            let indexes: serde_json::Map<String, Json> =
                report.index_entries.iter().map(|(name, count)| (name.clone(), (*count).into())).collect();
            json!({
                "namespace": report.namespace, "documents": report.documents, "indexEntries": indexes,
                "problems": report.problems,
            })
        })
        .collect();
    json!({ "collections": collections })
}

fn to_text(reports: &[CollectionReport]) -> String {
    let mut text = String::new();
    for report in reports {
        let state = if report.problems.is_empty() { "ok" } else { "DAMAGED" };
        let indexes = report.index_entries.len();
        text.push_str(&format!(
            "{state:<8}{}  {} documents, {indexes} indexes\n",
            plain(&report.namespace),
            report.documents
        ));
        for problem in &report.problems {
            text.push_str(&format!("        {}\n", plain(problem)));
        }
    }
    let documents: i64 = reports.iter().map(|report| report.documents).sum();
    text.push_str(&format!("{} collections, {documents} documents\n", reports.len()));
    text
}
