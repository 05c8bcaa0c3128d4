//! `selvedge users`: the users of an app (http-surface 9.4).

use std::io::Read;

use app::auth::{AuthError, EmailAccount, UserFilter, UserRecord};
use clap::Subcommand;
use serde_json::{Value as Json, json};

use super::output::{print, print_json, table, time};
use super::refused;
use super::state::{Missing, State, StateFlags};
use crate::error::ServerError;

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// List users in the order of their creation
    #[command(after_help = "\
A pending user has registered and not confirmed, or not logged in yet.

Examples:
  selvedge users list --app shop-abcde
  selvedge users list --app shop-abcde --provider local-userpass --pending
  selvedge users list --app shop-abcde --after 5f0000000000000000000001      the next page")]
    List {
        /// Only users of this provider, such as anon-user or local-userpass
        #[arg(long, value_name = "PROVIDER")]
        provider: Option<String>,
        /// Only enabled or only disabled users
        #[arg(long, value_name = "STATE", value_parser = ["enabled", "disabled"])]
        state_is: Option<String>,
        /// Accounts with an e-mail address that no user has come of yet, instead of users
        #[arg(long)]
        pending: bool,
        /// Only users created after the one with this id
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// Most users to show
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        limit: u32,
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: StateFlags,
    },
    /// Create a confirmed user with an e-mail address; the password is read from standard input
    #[command(after_help = "\
Example:
  selvedge users create --app shop-abcde --email someone@example.com < password.txt")]
    Create {
        /// E-mail address
        #[arg(long, value_name = "ADDRESS")]
        email: String,
        #[command(flatten)]
        state: StateFlags,
    },
    /// Confirm a pending user
    Confirm {
        /// E-mail address the user registered with
        #[arg(long, value_name = "ADDRESS")]
        email: String,
        #[command(flatten)]
        state: StateFlags,
    },
    /// Keep a user out and end all of its sessions
    Disable {
        /// User id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        state: StateFlags,
    },
    /// Let a disabled user in again
    Enable {
        /// User id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        state: StateFlags,
    },
    /// End all sessions of a user
    Revoke {
        /// User id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        state: StateFlags,
    },
    /// Delete a user, or a pending one by its address
    Delete {
        /// User id
        #[arg(value_name = "ID", required_unless_present = "email")]
        id: Option<String>,
        /// E-mail address of a pending user
        #[arg(long, value_name = "ADDRESS", conflicts_with = "id")]
        email: Option<String>,
        #[command(flatten)]
        state: StateFlags,
    },
}

pub(super) async fn run(command: UsersCommand) -> Result<(), ServerError> {
    match command {
        UsersCommand::List { provider, state_is, pending, after, limit, json, state } => {
            let filter = UserFilter { after, provider, is_disabled: state_is.map(|state| state == "disabled") };
            let state = State::open(state, Missing::Refuse).await?;
            let text = match pending {
                true => state.app.accounts.pending_email_accounts(limit).await.map(|found| pending_text(&found, json)),
                false => state.app.accounts.users(&filter, limit).await.map(|found| users_text(&found, json)),
            };
            state.close().await?;
            print(&text.map_err(failure)?)
        }
        UsersCommand::Create { email, state } => {
            let password = read_password()?;
            let state = State::open(state, Missing::Make).await?;
            let created = state.app.accounts.create_email_account(&email, &password).await;
            state.close().await?;
            let created = created.map_err(failure)?;
            print_json(&json!({ "id": created.id, "email": created.email }))
        }
        UsersCommand::Confirm { email, state } => {
            let state = State::open(state, Missing::Refuse).await?;
            let result = state.app.accounts.confirm_email_account(&email).await;
            state.close().await?;
            result.map_err(failure)?;
            print(&format!("confirmed {email}\n"))
        }
        UsersCommand::Disable { id, state } => {
            let state = State::open(state, Missing::Refuse).await?;
            let result = state.app.accounts.set_user_disabled(&id, true).await;
            state.close().await?;
            result.map_err(failure)?;
            print(&format!("disabled {id}\n"))
        }
        UsersCommand::Enable { id, state } => {
            let state = State::open(state, Missing::Refuse).await?;
            let result = state.app.accounts.set_user_disabled(&id, false).await;
            state.close().await?;
            result.map_err(failure)?;
            print(&format!("enabled {id}\n"))
        }
        UsersCommand::Revoke { id, state } => {
            let state = State::open(state, Missing::Refuse).await?;
            let result = state.app.accounts.revoke_sessions(&id).await;
            state.close().await?;
            result.map_err(failure)?;
            print(&format!("revoked the sessions of {id}\n"))
        }
        UsersCommand::Delete { id, email, state } => {
            let state = State::open(state, Missing::Refuse).await?;
            let accounts = &state.app.accounts;
            let (what, result) = match (id, email) {
                (Some(id), _) => (id.clone(), accounts.delete_user(&id).await),
                (None, Some(email)) => (email.clone(), accounts.delete_pending_email_account(&email).await),
                (None, None) => return Err(refused("name a user by its id or by --email")),
            };
            state.close().await?;
            result.map_err(failure)?;
            print(&format!("deleted {what}\n"))
        }
    }
}

pub(super) fn failure(error: AuthError) -> ServerError {
    refused(error.to_string())
}

fn users_text(users: &[UserRecord], json: bool) -> String {
    if json {
        let list: Vec<Json> = users.iter().map(user_json).collect();
        return format!("{:#}\n", Json::Array(list));
    }
    let mut rows =
        vec![["ID", "STATE", "PROVIDERS", "CREATED", "LAST LOGIN", "E-MAIL OR NAME"].map(str::to_owned).to_vec()];
    for record in users {
        let user = &record.user;
        let providers: Vec<&str> = user.identities.iter().map(|identity| identity.provider_type.as_str()).collect();
        let name = ["email", "name"].iter().find_map(|field| user.data.get_str(field).ok()).unwrap_or_default();
        rows.push(vec![
            user.id.clone(),
            if record.is_disabled { "disabled" } else { "enabled" }.to_owned(),
            providers.join(","),
            time(record.creation_date),
            time(record.last_authentication_date),
            name.to_owned(),
        ]);
    }
    table(&rows)
}

fn user_json(record: &UserRecord) -> Json {
    let user = &record.user;
    let identities: Vec<Json> = user
        .identities
        .iter()
        .map(|identity| json!({ "id": identity.id, "provider_type": identity.provider_type }))
        .collect();
    let data: serde_json::Map<String, Json> =
        user.data.iter().map(|(name, value)| (name.clone(), value.clone().into_relaxed_extjson())).collect();
    json!({
        "id": user.id, "disabled": record.is_disabled, "identities": identities, "data": data,
        "created": time(record.creation_date), "lastAuthentication": time(record.last_authentication_date),
    })
}

fn pending_text(accounts: &[EmailAccount], json: bool) -> String {
    if json {
        let list: Vec<Json> = accounts
            .iter()
            .map(|account| {
                json!({
                    "id": account.id, "email": account.email, "confirmed": account.is_confirmed,
                    "created": time(account.creation_date),
                })
            })
            .collect();
        return format!("{:#}\n", Json::Array(list));
    }
    let mut rows = vec![["ID", "STATE", "CREATED", "E-MAIL"].map(str::to_owned).to_vec()];
    for account in accounts {
        let state = if account.is_confirmed { "confirmed" } else { "pending" };
        rows.push(vec![account.id.clone(), state.to_owned(), time(account.creation_date), account.email.clone()]);
    }
    table(&rows)
}

/// The first line: a password is not an argument, because those are visible to every process of the machine.
fn read_password() -> Result<String, ServerError> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(4 << 10)
        .read_to_string(&mut text)
        .map_err(|error| refused(format!("standard input cannot be read: {error}")))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(refused("no password on standard input")),
    }
}
