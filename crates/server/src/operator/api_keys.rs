//! `selvedge api-keys`: keys of the app, and of its users (http-surface 9.4).

use app::auth::{ApiKey, KeyOwner};
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::output::{print, print_json, table, time};
use super::state::{Missing, State, StateFlags};
use super::users::failure;
use crate::error::ServerError;

/// Whose keys.
#[derive(Debug, Clone, Args)]
pub(crate) struct OwnerFlags {
    /// Keys of the user with this id instead of the app's own
    #[arg(long, value_name = "ID")]
    user: Option<String>,
}

impl OwnerFlags {
    fn owner(self) -> KeyOwner {
        self.user.map_or(KeyOwner::App, KeyOwner::User)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApiKeysCommand {
    /// Create a key; it is shown this once
    #[command(after_help = "\
The key goes to standard output, for a file or a pipe; the server keeps its hash only.

Example:
  selvedge api-keys create nightly-import --app shop-abcde > import.key")]
    Create {
        /// Name, unique among the owner's keys: letters, digits, _ and -
        #[arg(value_name = "NAME")]
        name: String,
        /// Print as JSON, with the key's id
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        owner: OwnerFlags,
        #[command(flatten)]
        state: StateFlags,
    },
    /// List keys by name, without the keys
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        owner: OwnerFlags,
        #[command(flatten)]
        state: StateFlags,
    },
    /// Refuse a key from now on
    Disable {
        /// Id of the key
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        owner: OwnerFlags,
        #[command(flatten)]
        state: StateFlags,
    },
    /// Accept a disabled key again
    Enable {
        /// Id of the key
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        owner: OwnerFlags,
        #[command(flatten)]
        state: StateFlags,
    },
    /// Delete a key
    Delete {
        /// Id of the key
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        owner: OwnerFlags,
        #[command(flatten)]
        state: StateFlags,
    },
}

pub(super) async fn run(command: ApiKeysCommand) -> Result<(), ServerError> {
    match command {
        ApiKeysCommand::Create { name, json, owner, state } => {
            let state = State::open(state, Missing::Make).await?;
            let created = state.app.accounts.create_api_key(&owner.owner(), &name).await;
            state.close().await?;
            let created = created.map_err(failure)?;
            match json {
                true => {
                    let mut record = key_json(&created.record);
                    record["key"] = created.key.into();
                    print_json(&record)
                }
                false => print(&format!("{}\n", created.key)),
            }
        }
        ApiKeysCommand::List { json, owner, state } => {
            let state = State::open(state, Missing::Refuse).await?;
            let found = state.app.accounts.api_keys(&owner.owner()).await;
            state.close().await?;
            let found = found.map_err(failure)?;
            if json {
                return print_json(&found.iter().map(key_json).collect::<Vec<_>>().into());
            }
            let mut rows = vec![["ID", "STATE", "CREATED", "NAME"].map(str::to_owned).to_vec()];
            rows.extend(found.iter().map(|key| {
                let state = if key.is_disabled { "disabled" } else { "enabled" };
                vec![key.id.clone(), state.to_owned(), time(key.creation_date), key.name.clone()]
            }));
            print(&table(&rows))
        }
        ApiKeysCommand::Disable { id, owner, state } => set_disabled(&id, owner, state, true).await,
        ApiKeysCommand::Enable { id, owner, state } => set_disabled(&id, owner, state, false).await,
        ApiKeysCommand::Delete { id, owner, state } => {
            let state = State::open(state, Missing::Refuse).await?;
            let result = state.app.accounts.delete_api_key(&owner.owner(), &id).await;
            state.close().await?;
            result.map_err(failure)?;
            print(&format!("deleted {id}\n"))
        }
    }
}

async fn set_disabled(id: &str, owner: OwnerFlags, state: StateFlags, is_disabled: bool) -> Result<(), ServerError> {
    let state = State::open(state, Missing::Refuse).await?;
    let result = state.app.accounts.set_api_key_disabled(&owner.owner(), id, is_disabled).await;
    state.close().await?;
    result.map_err(failure)?;
    print(&format!("{} {id}\n", if is_disabled { "disabled" } else { "enabled" }))
}

fn key_json(key: &ApiKey) -> Json {
    json!({
        "id": key.id, "name": key.name, "disabled": key.is_disabled, "userId": key.user_id,
        "created": time(key.creation_date),
    })
}
