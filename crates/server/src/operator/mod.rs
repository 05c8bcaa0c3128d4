//! Commands of the operator beside `serve`: Secrets, users, API keys, logs, and the embedded store's files.
//!
//! They work on the state that `serve` works on, while it runs or while it does not: on the MongoDB of `--mongodb`, else on the
//! embedded store of `--data-dir`, through the running server where there is one.

mod api_keys;
mod docstore;
mod logs;
mod output;
mod secrets;
mod state;
mod users;

pub(crate) use api_keys::ApiKeysCommand;
pub(crate) use docstore::DocstoreCommand;
pub(crate) use logs::LogsCommand;
pub(crate) use secrets::SecretsCommand;
pub(crate) use users::UsersCommand;

use crate::error::ServerError;

/// What an operator asked for.
#[derive(Debug)]
pub(crate) enum OperatorCommand {
    Secrets(SecretsCommand),
    Users(UsersCommand),
    ApiKeys(ApiKeysCommand),
    Logs(LogsCommand),
    Docstore(DocstoreCommand),
}

/// Does it, and prints what it was asked to print.
///
/// # Errors
/// One line for the operator.
pub(crate) fn run(command: OperatorCommand) -> Result<(), ServerError> {
    if let OperatorCommand::Docstore(command) = command {
        return docstore::run(command);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(ServerError::system("starting the runtime"))?;
    let result = runtime.block_on(async {
        match command {
            OperatorCommand::Secrets(command) => secrets::run(command).await,
            OperatorCommand::Users(command) => users::run(command).await,
            OperatorCommand::ApiKeys(command) => api_keys::run(command).await,
            OperatorCommand::Logs(command) => logs::run(command).await,
            OperatorCommand::Docstore(_) => Ok(()),
        }
    });
    // The driver's own tasks watch the database for ever.
    runtime.shutdown_background();
    result
}

fn refused(text: impl Into<String>) -> ServerError {
    ServerError::Command(text.into())
}
