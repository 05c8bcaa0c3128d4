//! `selvedge logs`: entries that the server keeps (http-surface 7).

use std::fmt::Write;
use std::time::SystemTime;

use app::{LogEntry, LogQuery};
use clap::{Subcommand, ValueEnum};
use serde_json::Value as Json;

use super::output::{plain, print};
use super::refused;
use super::state::{Missing, State, StateFlags};
use crate::error::ServerError;

#[derive(Debug, Subcommand)]
pub(crate) enum LogsCommand {
    /// List entries, oldest first
    #[command(after_help = "\
Entries are kept as long as `serve --log-retention` says. The newest that fit --limit are shown.

Examples:
  selvedge logs list --app shop-abcde
  selvedge logs list --app shop-abcde --type webhook --errors --start 2h
  selvedge logs list --app shop-abcde --request 5f0000000000000000000001     the id an error's link ends with
  selvedge logs list --app shop-abcde --json | jq 'select(.status >= 500)'")]
    List {
        /// Kinds of entries; may be given several times [default: all]
        #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
        types: Vec<LogType>,
        /// Only failed ones
        #[arg(long)]
        errors: bool,
        /// Only with this HTTP status
        #[arg(long, value_name = "CODE")]
        status: Option<i32>,
        /// Only of the user with this id
        #[arg(long, value_name = "ID")]
        user: Option<String>,
        /// Only of the request with this id
        #[arg(long, value_name = "ID")]
        request: Option<String>,
        /// Only started after this: 2026-01-31T12:00:00Z, or so long ago, as in 90m
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        start: Option<SystemTime>,
        /// Only started by then
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        end: Option<SystemTime>,
        /// Most entries to show
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: u32,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: StateFlags,
    },
}

/// Kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogType {
    /// Incoming webhooks
    Webhook,
    /// HTTPS endpoints
    Endpoint,
    /// Functions that clients call
    Function,
    /// Logins, registrations and the like
    Auth,
    /// Remote MongoDB access of clients
    Service,
}

impl LogType {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Webhook => &["WEBHOOK"],
            Self::Endpoint => &["ENDPOINT"],
            Self::Function => &["FUNCTION"],
            Self::Auth => &["AUTH", "API_KEY"],
            Self::Service => &["SERVICE_FUNCTION", "SERVICE_STREAM_FUNCTION"],
        }
    }
}

/// A moment, or how long ago it was.
fn parse_time(text: &str) -> Result<SystemTime, String> {
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return Ok(time);
    }
    humantime::parse_duration(text)
        .ok()
        .and_then(|ago| SystemTime::now().checked_sub(ago))
        .ok_or_else(|| "is neither a time such as 2026-01-31T12:00:00Z nor a duration such as 90m".to_owned())
}

pub(super) async fn run(command: LogsCommand) -> Result<(), ServerError> {
    let LogsCommand::List { types, errors, status, user, request, start, end, limit, json, state } = command;
    let query = LogQuery {
        types: types.iter().flat_map(|kind| kind.names()).map(|name| (*name).to_owned()).collect(),
        status,
        errors_only: errors,
        user_id: user,
        request_id: request,
        after: start,
        until: end,
        limit,
    };
    let state = State::open(state, Missing::Refuse).await?;
    let found = state.app.logs.list(&query).await;
    state.close().await?;
    let mut found = found.map_err(|error| refused(error.to_string()))?;
    // The newest were asked for; people read downwards.
    found.reverse();
    let mut text = String::new();
    for entry in found {
        let entry = LogEntry::stored_to_json(entry);
        match json {
            true => writeln!(text, "{entry}"),
            false => write!(text, "{}", lines(&entry)),
        }
        .expect("a string takes every character");
    }
    print(&text)
}

/// Time, duration, type, name, `OK` or the error; console lines indented below (http-surface 9.10).
fn lines(entry: &Json) -> String {
    let text = |name: &str| entry.get(name).and_then(Json::as_str).unwrap_or_default();
    let names = ["incoming_webhook_name", "endpoint_route", "function_name", "auth_event_name", "name"];
    let name = names.into_iter().map(text).find(|name| !name.is_empty()).unwrap_or_default();
    let service = entry.pointer("/function_call/service").and_then(Json::as_str);
    let name = service.map_or_else(|| name.to_owned(), |service| format!("{service}/{name}"));
    let moment = |name: &str| humantime::parse_rfc3339_weak(text(name)).ok();
    let elapsed = moment("completed").zip(moment("started")).and_then(|(end, start)| end.duration_since(start).ok());
    let mut line = format!("{} [{}ms] {}", text("started"), elapsed.unwrap_or_default().as_millis(), text("type"));
    for part in [text("request_method"), &name] {
        if !part.is_empty() {
            line.push(' ');
            line.push_str(&plain(part));
        }
    }
    if let Some(status) = entry.get("status").and_then(Json::as_i64) {
        line.push_str(&format!(" -> {status}"));
    }
    match text("error") {
        "" => line.push_str(" OK"),
        error => {
            let code = Some(text("error_code")).filter(|code| !code.is_empty()).unwrap_or("Error");
            line.push_str(&format!(" {}: {}", plain(code), plain(error)));
        }
    }
    if !text("user_id").is_empty() {
        line.push_str(&format!(" user {}", plain(text("user_id"))));
    }
    line.push_str(&format!(" ({})\n", text("co_id")));
    for message in entry.get("messages").and_then(Json::as_array).into_iter().flatten() {
        line.push_str(&format!("    {}\n", plain(message.as_str().unwrap_or_default())));
    }
    for frame in text("stack").lines() {
        line.push_str(&format!("    {}\n", plain(frame.trim())));
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_as_lines() {
        let entry = json!({
            "co_id": "5f00", "type": "WEBHOOK", "started": "2026-01-31T12:00:00.000Z", "completed": "2026-01-31T12:00:00.015Z",
            "status": 400, "error": "Error: boom\nforged", "error_code": "FunctionExecutionError", "request_method": "POST",
            "incoming_webhook_name": "boom", "function_call": { "service": "svc" }, "messages": ["a\u{1b}[31m"],
        });
        assert_eq!(
            lines(&entry),
            "2026-01-31T12:00:00.000Z [15ms] WEBHOOK POST svc/boom -> 400 FunctionExecutionError: Error: boom\\u{a}forged \
             (5f00)\n    a\\u{1b}[31m\n"
        );
        assert_eq!(lines(&json!({ "type": "AUTH", "co_id": "1" })), " [0ms] AUTH OK (1)\n");
    }

    #[test]
    fn times() {
        assert!(parse_time("2026-01-31T12:00:00Z").is_ok() && parse_time("2026-01-31 12:00:00").is_ok());
        let ago = parse_time("90m").unwrap();
        assert!(ago < SystemTime::now() && ago.elapsed().unwrap().as_secs() / 60 == 90);
        assert!(parse_time("yesterday").is_err());
    }
}
