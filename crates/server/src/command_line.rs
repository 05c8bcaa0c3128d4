//! The command line: what can be asked for, and who does it.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use app_model::App;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::error::ServerError;
use crate::operator::{ApiKeysCommand, DocstoreCommand, LogsCommand, OperatorCommand, SecretsCommand, UsersCommand};
use crate::serve::{self, Serving};
use crate::settings::{LogFormat, Secrets, Settings, WrittenSettings};
use crate::shutdown::{StopSignals, exit_now};
use crate::{apps, check, operator, sockets, store, supervisor, telemetry, worker};

/// Serves exported MongoDB Realm and Atlas App Services apps unchanged.
#[derive(Debug, Parser)]
#[command(
    name = "selvedge",
    disable_help_subcommand = true,
    after_help = "\
Examples:
  selvedge check path/to/app                  what would be served, and every problem
  selvedge serve path/to/app                  serve it on http://127.0.0.1:8080, data in ./data
  selvedge serve one two --listen 0.0.0.0:80  two apps, reachable from other machines
  selvedge serve path/to/app --mongodb 'mongodb://db.example:27017/?replicaSet=rs0'"
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve exported apps over HTTP
    #[command(after_help = "\
Every flag has an environment variable (shown beside it) and a key in the settings file: its long name.
A flag wins over the variable, which wins over the file. Times need a unit (120s, 500ms), sizes may have one (256MiB).

Examples:
  selvedge serve path/to/app
  selvedge serve path/to/app --secrets-file secrets.json       texts of the Secrets the app names
  selvedge serve path/to/app --mongodb 'mongodb://localhost'   your MongoDB instead of the embedded store
  selvedge serve path/to/app --mongodb 'Cluster0=mongodb://a' --mongodb 'mongodb://b'
                                                               a MongoDB of its own for the data source Cluster0
  selvedge serve --config selvedge.toml                        where selvedge.toml holds, for example:

      apps = [\"shop\", \"billing\"]
      listen = [\"0.0.0.0:8080\"]
      public-url = \"https://apps.example.com\"
      trusted-proxy = [\"10.0.0.0/8\"]
      wall-time-max = \"60s\"
      heap-max = \"128MiB\"")]
    Serve(Box<WrittenSettings>),
    /// Report what an app directory would serve, and everything that is wrong with it
    #[command(after_help = "\
Exit code: 0 when it can be served, 1 when it cannot.

Examples:
  selvedge check path/to/app
  selvedge check path/to/app --json | jq '.problems[]'")]
    Check {
        /// Directory of an exported app
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
        /// JSON file with the texts of the app's Secrets: {"name": "text"}, or {"app id": {"name": "text"}}
        #[arg(long, value_name = "FILE", env = "SELVEDGE_SECRETS_FILE", alias = "secrets")]
        secrets_file: Option<PathBuf>,
    },
    /// Keep the texts of Secrets, encrypted, in the database
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// List, create, confirm, disable and delete users
    #[command(subcommand)]
    Users(UsersCommand),
    /// Create, list and disable API keys
    #[command(subcommand)]
    ApiKeys(ApiKeysCommand),
    /// Look at what webhooks, endpoints, functions and logins have done
    #[command(subcommand)]
    Logs(LogsCommand),
    /// Check, dump and restore the files of the embedded store
    #[command(subcommand)]
    Docstore(DocstoreCommand),
    /// A worker of a supervisor; started by it only
    #[command(hide = true)]
    Worker {
        #[arg(long)]
        control_fd: i32,
        #[arg(long)]
        listener_fd: Vec<i32>,
    },
}

/// Parses the command line of this process and does what it asks. Must be called on the main thread, before any other
/// thread exists.
pub fn run() -> ExitCode {
    // Lives as long as the process.
    let version = format!("{} (V8 {})", env!("CARGO_PKG_VERSION"), isolate::engine_version()).leak();
    let matches = CommandLine::command().version(&*version).try_get_matches();
    let command_line = match matches.and_then(|matches| CommandLine::from_arg_matches(&matches)) {
        Ok(command_line) => command_line,
        Err(error) => {
            // Help and version go to stdout with code 0, mistakes to stderr with code 2.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let result = match command_line.command {
        Command::Serve(written) => serve(*written),
        Command::Check { directory, json, secrets_file } => return run_check(directory, json, secrets_file),
        Command::Secrets(command) => operator::run(OperatorCommand::Secrets(command)),
        Command::Users(command) => operator::run(OperatorCommand::Users(command)),
        Command::ApiKeys(command) => operator::run(OperatorCommand::ApiKeys(command)),
        Command::Logs(command) => operator::run(OperatorCommand::Logs(command)),
        Command::Docstore(command) => operator::run(OperatorCommand::Docstore(command)),
        Command::Worker { control_fd, listener_fd } => worker::run(control_fd, &listener_fd),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// One line for the person who asked.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut text = error.to_string();
    // Messages of other crates leave their cause to be added.
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    eprintln!("selvedge: {}", text.replace('\n', " "));
    ExitCode::FAILURE
}

fn run_check(directory: PathBuf, json: bool, secrets_file: Option<PathBuf>) -> ExitCode {
    isolate::init_platform();
    let secrets = match secrets_file.map(|file| Secrets::read(&file)).transpose() {
        Ok(secrets) => secrets.unwrap_or_default(),
        Err(error) => return fail(&error),
    };
    let report = check::check(&directory, &secrets);
    print(&match json {
        true => format!("{:#}\n", report.to_json()),
        false => report.to_text(),
    });
    // V8's own threads are still there; nothing of theirs may run on the way out.
    exit_now(if report.servable { 0 } else { 1 })
}

fn serve(written: WrittenSettings) -> Result<(), ServerError> {
    let settings = Settings::resolve(written)?;
    telemetry::start(settings.log_format, &settings.log)?;
    let apps = apps::load(&settings)?;
    apps.iter().for_each(|app| apps::log_problems(app));
    sockets::raise_open_files_limit();
    let listeners = sockets::bind(&settings.listen)?;
    let announcement = announcement(&settings, &apps, &listeners);
    if settings.single_process {
        isolate::init_platform();
    }
    let data = store::open(&settings)?;
    let mut builder = match settings.single_process {
        true => tokio::runtime::Builder::new_multi_thread(),
        false => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build().map_err(ServerError::system("starting the runtime"))?;
    let single_process = settings.single_process;
    let result = runtime.block_on(async {
        let signals = StopSignals::listen().map_err(ServerError::system("listening for signals"))?;
        let announce = move || print(&announcement);
        let mongodb = data.uri.clone();
        let result = match single_process {
            true => {
                let serving = Serving { settings, apps, listeners, mongodb };
                serve_alone(serving, signals, announce).await
            }
            false => {
                // The workers load the apps themselves.
                drop(apps);
                supervisor::run(settings, mongodb, listeners, signals, announce).await
            }
        };
        data.close().await;
        result
    });
    if single_process && result.is_ok() {
        exit_now(0);
    }
    result
}

async fn serve_alone(serving: Serving, mut signals: StopSignals, announce: impl FnOnce()) -> Result<(), ServerError> {
    let stop = async move {
        let signal = signals.next().await;
        tracing::info!(?signal, "stopping: running calls may finish");
        tokio::spawn(async move {
            let second = signals.next().await;
            exit_now(second.exit_code());
        });
    };
    serve::run(serving, |_| announce(), stop).await
}

/// Writes to standard output; somebody who has stopped reading must not end the server.
fn print(text: &str) {
    let mut output = std::io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

/// What is printed once requests are answered: where, and in text form what to try.
fn announcement(settings: &Settings, apps: &[Arc<App>], listeners: &[TcpListener]) -> String {
    let urls = sockets::urls(listeners);
    let base = settings.public_url.as_ref().or(urls.first()).cloned().unwrap_or_default();
    let mut text: String = urls.iter().map(|url| format!("listening on {url}\n")).collect();
    for app in apps {
        let description = apps::describe(app, &base);
        match settings.log_format {
            LogFormat::Text => text.push_str(&description),
            // Standard output then holds one JSON object per request, for programs.
            LogFormat::Json => tracing::info!(app = app.app_id, "{}", description.trim_end()),
        }
    }
    text
}
