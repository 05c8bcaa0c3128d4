//! `selvedge secrets`: texts of Secrets, which exports name but never hold.

use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use app::SecretKey;
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::output::{print, print_json, table, time};
use super::refused;
use super::state::{Missing, State, StateFlags};
use crate::error::ServerError;
use crate::settings::read_secret_key;

#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Make a key file; do this first
    #[command(after_help = "\
The key encrypts every text at rest. Whoever has the key and the database can read all of them; without the key nobody can.
Keep a copy where the database's backups are not.

Example:
  selvedge secrets new-key /etc/selvedge/secrets.key")]
    NewKey {
        /// File to write; it must not exist
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Give a Secret its text, read from standard input or a file
    #[command(after_help = "\
A running server takes the text up within some seconds. Texts set here win over those of --secrets-file.

Examples:
  selvedge secrets set stripe_key --app shop-abcde --secrets-key-file secrets.key < stripe_key.txt
  pass show stripe | selvedge secrets set stripe_key --app shop-abcde     with SELVEDGE_SECRETS_KEY_FILE set")]
    Set {
        /// Name of the Secret, as the app's files say it
        #[arg(value_name = "NAME")]
        name: String,
        /// File that holds the text [default: standard input]
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
        #[command(flatten)]
        key: KeyFlags,
        #[command(flatten)]
        state: StateFlags,
    },
    /// List names; texts are never shown
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: StateFlags,
    },
    /// Forget the text of a Secret
    Delete {
        /// Name of the Secret
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        state: StateFlags,
    },
}

/// The key, which is never an argument: those are visible to every process of the machine.
#[derive(Debug, Clone, Args)]
pub(crate) struct KeyFlags {
    /// File with the key of the stored Secrets; the variable SELVEDGE_SECRETS_KEY may hold the key itself instead
    #[arg(long, value_name = "FILE", env = "SELVEDGE_SECRETS_KEY_FILE")]
    secrets_key_file: Option<PathBuf>,
}

pub(super) async fn run(command: SecretsCommand) -> Result<(), ServerError> {
    match command {
        SecretsCommand::NewKey { file } => new_key(&file),
        SecretsCommand::Set { name, from_file, key, state } => {
            let key = read_secret_key(key.secrets_key_file.as_deref())?.ok_or_else(|| {
                refused(
                    "no key to encrypt with: make one with `selvedge secrets new-key FILE`, and name it with \
                     --secrets-key-file",
                )
            })?;
            let text = read_text(from_file.as_deref())?;
            let state = State::open(state, Missing::Make).await?;
            let result = state.app.secrets.set(&key, &name, &text).await;
            state.close().await?;
            let is_new = result.map_err(|error| refused(error.to_string()))?;
            print(&format!("{} {name}\n", if is_new { "set" } else { "replaced" }))
        }
        SecretsCommand::List { json, state } => {
            let state = State::open(state, Missing::Refuse).await?;
            let found = state.app.secrets.list().await;
            state.close().await?;
            let found = found.map_err(|error| refused(error.to_string()))?;
            if json {
                let list: Vec<Json> = found
                    .iter()
                    .map(|secret| json!({ "name": secret.name, "modified": time(secret.modified) }))
                    .collect();
                return print_json(&list.into());
            }
            let mut rows = vec![vec!["NAME".to_owned(), "MODIFIED".to_owned()]];
            rows.extend(found.iter().map(|secret| vec![secret.name.clone(), time(secret.modified)]));
            print(&table(&rows))
        }
        SecretsCommand::Delete { name, state } => {
            let state = State::open(state, Missing::Refuse).await?;
            let result = state.app.secrets.delete(&name).await;
            state.close().await?;
            match result.map_err(|error| refused(error.to_string()))? {
                true => print(&format!("deleted {name}\n")),
                false => Err(refused(format!("there is no Secret {name:?}"))),
            }
        }
    }
}

fn new_key(file: &Path) -> Result<(), ServerError> {
    let failed = |error: std::io::Error| refused(format!("{}: cannot be written: {error}", file.display()));
    // For the owner's eyes only, and never in place of a key that texts are encrypted with.
    let mut opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
    opened.write_all(format!("{}\n", SecretKey::generate().to_base64()).as_bytes()).map_err(failed)?;
    opened.sync_all().map_err(failed)?;
    print(&format!("wrote {}\n", file.display()))
}

/// The text without the line end that editors and `echo` add.
fn read_text(file: Option<&Path>) -> Result<String, ServerError> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| refused(format!("--from-file {}: cannot be read: {error}", file.display())))?,
        None => {
            let mut input = std::io::stdin().lock();
            if input.is_terminal() {
                eprintln!("Type the text, then a line end and Ctrl-D:");
            }
            let mut text = String::new();
            // Longer than any Secret may be.
            input
                .by_ref()
                .take(64 << 10)
                .read_to_string(&mut text)
                .map_err(|error| refused(format!("standard input cannot be read: {error}")))?;
            text
        }
    };
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}
