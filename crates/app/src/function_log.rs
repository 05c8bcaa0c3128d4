//! The function log: one entry per request, in the shape the platform's own log had (http-surface 7).
//!
//! The record of a call is opened when the app is found, filled by the stages, and closed by the server with the status
//! it sends. Formatting and redaction happen in [`LogEntry::to_json`], so a sink may do them on a thread of its own.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use app_model::AppIdentity;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document};
use bytes::Bytes;
use http::HeaderMap;
use isolate::{Outcome, Usage};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};

use crate::addresses::Caller;
use crate::headers::canonical_headers;
use crate::query;
use crate::webhook::Handler;
use crate::{AppSettings, ClientOperation, HttpCall, Target};

/// Takes finished entries. Called on the path of a request: it must not block.
pub trait LogSink: Send + Sync + 'static {
    /// Keeps one entry.
    fn append(&self, entry: Arc<LogEntry>);
}

/// Keeps nothing.
#[derive(Debug, Default)]
pub struct NoLog;

impl LogSink for NoLog {
    fn append(&self, _entry: Arc<LogEntry>) {}
}

/// What every entry of one app says.
#[derive(Debug)]
pub(crate) struct AppLabels {
    pub identity: AppIdentity,
    pub client_app_id: String,
    pub location: String,
    pub provider_region: Option<String>,
}

/// An entry being filled.
pub struct LogRecord {
    entry: LogEntry,
    headers: HeaderMap,
    query: String,
    body: LoggedBody,
    log_arguments: bool,
    body_bytes_max: usize,
    sink: Arc<dyn LogSink>,
}

/// One finished entry.
#[derive(Debug)]
pub struct LogEntry {
    id: String,
    request_id: String,
    labels: Arc<AppLabels>,
    kind: LogKind,
    /// Path and query as received, `secret` masked.
    request_url: String,
    request_method: String,
    started: SystemTime,
    completed: SystemTime,
    status: u16,
    error: Option<String>,
    error_code: Option<String>,
    stack: Option<String>,
    messages: Vec<String>,
    usage: Usage,
    /// Service of a webhook, or of an action.
    service: Option<String>,
    /// Webhook, route of an endpoint, function, action, or operation on accounts.
    name: String,
    /// Handler function of an endpoint.
    function: Option<String>,
    user_id: Option<String>,
    caller: Caller,
    arguments: Option<LoggedArguments>,
}

/// What an entry is about (http-surface 7.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogKind {
    Webhook,
    Endpoint,
    /// Logging in and out, and accounts.
    Auth,
    ApiKey,
    /// A function, called by a client.
    Function,
    /// An action of a service, asked for by a client.
    ServiceFunction,
    /// A stream, asked for by a client.
    ServiceStreamFunction,
}

/// The arguments as logged.
#[derive(Debug)]
enum LoggedArguments {
    /// `{query, headers, body}`
    Http(LoggedRequest),
    /// What a client called a function with; without the values when they are too long to be shown.
    Call { values: Option<Json>, bytes: usize },
}

#[derive(Debug)]
struct LoggedRequest {
    query: Vec<(String, String)>,
    headers: Vec<(String, Vec<String>)>,
    body: LoggedBody,
}

/// The first bytes of a body.
#[derive(Debug, Default)]
struct LoggedBody {
    bytes: Bytes,
    length: usize,
}

/// How a call ended on the wire.
#[derive(Debug)]
pub struct Closing {
    /// Status sent.
    pub status: u16,
    /// `error` of the answer.
    pub error: Option<String>,
    /// `error_code` of the answer.
    pub error_code: Option<String>,
    /// Stack trace, shown in the log only.
    pub stack: Option<String>,
}

impl LogRecord {
    pub(crate) fn open(
        labels: Arc<AppLabels>,
        sink: Arc<dyn LogSink>,
        call: &HttpCall,
        settings: &AppSettings,
    ) -> Self {
        let (kind, name, service) = match &call.target {
            Target::Webhook { service, webhook } => (LogKind::Webhook, webhook.clone(), Some(service.clone())),
            Target::Endpoint { route } => (LogKind::Endpoint, route.clone(), None),
            Target::Client(operation) => (operation.log_kind(), operation.log_name(), None),
        };
        let query = call.query.clone().unwrap_or_default();
        let request_url = match query.is_empty() {
            true => call.path.clone(),
            false => format!("{}?{}", call.path, query::with_masked_secret(&query)),
        };
        Self {
            entry: LogEntry {
                id: bson::oid::ObjectId::new().to_hex(),
                request_id: call.id.to_string(),
                labels,
                kind,
                request_url,
                request_method: call.method.as_str().to_owned(),
                started: call.received,
                completed: call.received,
                status: 0,
                error: None,
                error_code: None,
                stack: None,
                messages: Vec::new(),
                usage: Usage::default(),
                service,
                name,
                function: None,
                user_id: None,
                caller: Caller::determine(call.peer, &call.headers, &settings.trusted_proxies),
                arguments: None,
            },
            headers: call.headers.clone(),
            query,
            body: LoggedBody::default(),
            // Until the handler is known, nobody has agreed to have arguments logged.
            log_arguments: false,
            body_bytes_max: settings.log_body_bytes_max,
            sink,
        }
    }

    pub(crate) fn handler_found(&mut self, handler: &Handler<'_>) {
        self.log_arguments = match handler {
            Handler::Webhook { webhook, .. } => !webhook.disable_arg_logs,
            Handler::Endpoint { endpoint, function, .. } => {
                self.entry.function = Some(endpoint.function_name.clone());
                function.is_some_and(|function| !function.disable_arg_logs)
            }
        };
    }

    /// A client calls this function, or this action of a service; its arguments unless they are not to be logged.
    pub(crate) fn called(&mut self, name: &str, service: Option<&str>, arguments: Option<&[Box<RawValue>]>) {
        name.clone_into(&mut self.entry.name);
        if let Some(service) = service {
            self.entry.service = Some(service.to_owned());
            self.entry.kind = match self.entry.request_method.as_str() {
                "GET" => LogKind::ServiceStreamFunction,
                _ => LogKind::ServiceFunction,
            };
        }
        self.entry.arguments = arguments.map(|arguments| {
            let bytes: usize = arguments.iter().map(|argument| argument.get().len()).sum();
            let shown = (bytes <= self.body_bytes_max).then(|| {
                let mut shown: Json = arguments
                    .iter()
                    .map(|argument| serde_json::from_str(argument.get()).unwrap_or(Json::Null))
                    .collect();
                mask_json(&mut shown);
                shown
            });
            LoggedArguments::Call { values: shown, bytes }
        });
    }

    pub(crate) fn body_received(&mut self, body: &Bytes) {
        if self.log_arguments {
            // A copy of the beginning, so that a log queue cannot keep large bodies alive.
            let bytes = Bytes::copy_from_slice(&body[..body.len().min(self.body_bytes_max)]);
            self.body = LoggedBody { bytes, length: body.len() };
        }
    }

    pub(crate) fn identified(&mut self, user_id: Option<&str>) {
        self.entry.user_id = user_id.map(str::to_owned);
    }

    pub(crate) fn ran(&mut self, outcome: &Outcome) {
        self.entry.messages = outcome.console.iter().map(|line| line.text.clone()).collect();
        self.entry.usage = outcome.usage;
    }

    /// Finishes the entry and hands it to the sink.
    pub fn close(mut self, closing: Closing) {
        let mut entry = self.entry;
        entry.completed = SystemTime::now();
        entry.status = closing.status;
        entry.error = closing.error;
        entry.error_code = closing.error_code;
        entry.stack = closing.stack;
        if self.log_arguments {
            entry.arguments = Some(LoggedArguments::Http(LoggedRequest {
                query: query::fields(None, &self.query, false),
                headers: canonical_headers(&self.headers, &entry.caller),
                body: std::mem::take(&mut self.body),
            }));
        }
        entry.trace();
        self.sink.append(Arc::new(entry));
    }
}

/// Target of the closing event of each call in the server's own log.
const TARGET: &str = "selvedge::call";

impl LogEntry {
    /// The closing event of the call, for operators; the function log proper goes to the sink.
    fn trace(&self) {
        tracing::info!(
            target: TARGET,
            request_id = self.request_id,
            app = self.labels.client_app_id,
            kind = self.kind.log_type(),
            name = self.name,
            user = self.user_id.as_deref().unwrap_or("system"),
            status = self.status,
            error_code = self.error_code.as_deref().unwrap_or(""),
            wall_ms = milliseconds(self.usage.wall),
            js_ms = milliseconds(self.usage.cpu),
            heap_bytes = self.usage.heap_bytes,
            service_calls = self.usage.service_calls,
            isolate_reused = self.usage.isolate_reused,
            "call"
        );
    }

    /// Client app id of the app.
    pub fn client_app_id(&self) -> &str {
        &self.labels.client_app_id
    }

    /// Status sent.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The entry as the platform's Admin API gave it (http-surface 7.1), credentials masked (7.4).
    pub fn to_json(&self) -> Json {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Json| {
            if !value.is_null() {
                fields.insert(name.to_owned(), value);
            }
        };
        let identity = &self.labels.identity;
        put("_id", self.id.clone().into());
        put("co_id", self.request_id.clone().into());
        put("domain_id", identity.domain.clone().into());
        put("app_id", identity.app.clone().into());
        put("group_id", identity.group.clone().into());
        put("client_app_id", self.labels.client_app_id.clone().into());
        put("type", self.kind.log_type().into());
        put("request_url", self.request_url.clone().into());
        put("request_method", self.request_method.clone().into());
        put("started", timestamp(self.started).into());
        put("completed", timestamp(self.completed).into());
        put("status", self.status.into());
        put("error", self.error.clone().into());
        put("error_code", self.error_code.clone().into());
        put("stack", self.stack.clone().into());
        put("messages", self.messages.clone().into());
        put("mem_time_usage", self.memory_time().into());
        put("function_call_location", self.labels.location.clone().into());
        put("function_call_provider_region", self.labels.provider_region.clone().into());
        let arguments = match &self.arguments {
            None | Some(LoggedArguments::Call { values: None, .. }) => Json::Null,
            Some(LoggedArguments::Http(request)) => json!([request.to_json()]),
            Some(LoggedArguments::Call { values: Some(values), .. }) => values.clone(),
        };
        if self.kind.is_call() {
            let mut function_call = json!({"name": self.function.as_deref().unwrap_or(&self.name)});
            function_call["arguments"] = arguments.clone();
            if let Some(service) = &self.service {
                function_call["service"] = service.clone().into();
            }
            put("function_call", function_call);
        }
        match self.kind {
            LogKind::Webhook => put("incoming_webhook_name", self.name.clone().into()),
            LogKind::Endpoint => {
                put("function_name", self.function.clone().into());
                put("endpoint_route", self.name.clone().into());
                put("endpoint_args", arguments.get(0).map_or(Json::Null, |arguments| arguments.to_string().into()));
            }
            LogKind::Function => put("function_name", self.name.clone().into()),
            LogKind::Auth | LogKind::ApiKey | LogKind::ServiceFunction | LogKind::ServiceStreamFunction => {}
        }
        put("user_id", self.user_id.clone().into());
        put("remote_ip_address", self.caller.address.to_string().into());
        Json::Object(fields)
    }

    /// The entry as it is kept in a database: as [`LogEntry::to_json`] with dates as dates, and the arguments as text,
    /// because names that callers choose must not become names of fields.
    pub fn to_document(&self) -> Document {
        let mut json = self.to_json();
        if let Some(arguments) = json.pointer_mut("/function_call/arguments").filter(|arguments| !arguments.is_null()) {
            *arguments = arguments.to_string().into();
        }
        let mut document = match bson::serialize_to_bson(&json) {
            Ok(Bson::Document(document)) => document,
            // Every field is a text, a number of 63 bits, or a list or object of such.
            _ => Document::new(),
        };
        if let Ok(id) = ObjectId::parse_str(&self.id) {
            document.insert("_id", id);
        }
        document.insert("started", DateTime::from_system_time(self.started));
        document.insert("completed", DateTime::from_system_time(self.completed));
        document
    }

    /// An entry back from a database, as [`LogEntry::to_json`] gives it.
    pub fn stored_to_json(mut document: Document) -> Json {
        document.remove("expires_at");
        let text = |value: Option<&Bson>| match value {
            Some(Bson::DateTime(date)) => timestamp(date.to_system_time()).into(),
            Some(Bson::ObjectId(id)) => id.to_hex().into(),
            _ => Json::Null,
        };
        let dates = ["_id", "started", "completed"].map(|name| (name, text(document.get(name))));
        let mut json = Bson::Document(document).into_relaxed_extjson();
        for (name, value) in dates {
            json[name] = value;
        }
        if let Some(arguments) = json.pointer_mut("/function_call/arguments")
            && let Some(parsed) = arguments.as_str().and_then(|text| serde_json::from_str(text).ok())
        {
            *arguments = parsed;
        }
        json
    }

    /// Bytes it takes, roughly.
    pub fn size(&self) -> usize {
        let texts = [&self.error, &self.error_code, &self.stack, &self.user_id, &self.function, &self.service];
        let texts: usize = texts.iter().filter_map(|text| text.as_ref().map(String::len)).sum();
        let messages: usize = self.messages.iter().map(String::len).sum();
        let arguments = match &self.arguments {
            None => 0,
            Some(LoggedArguments::Call { bytes, .. }) => *bytes,
            Some(LoggedArguments::Http(request)) => {
                let query: usize = request.query.iter().map(|(name, value)| name.len() + value.len()).sum();
                let values = request.headers.iter().flat_map(|(name, values)| std::iter::once(name).chain(values));
                query + values.map(String::len).sum::<usize>() + request.body.bytes.len()
            }
        };
        1_024 + self.request_url.len() + self.name.len() + texts + messages + arguments
    }

    /// Byte·milliseconds.
    fn memory_time(&self) -> u64 {
        let product = i64::try_from(self.usage.wall.as_millis() * self.usage.heap_bytes as u128).unwrap_or(i64::MAX);
        product.unsigned_abs()
    }
}

/// Lines for people: time, duration, type and name, `OK` or the error; console lines indented below (http-surface 9.10).
impl fmt::Display for LogEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = self.completed.duration_since(self.started).unwrap_or_default();
        write!(
            formatter,
            "{} [{}ms] {} {} {}",
            timestamp(self.started),
            milliseconds(elapsed),
            self.kind.log_type(),
            self.labels.client_app_id,
            Plain(&self.request_method),
        )?;
        match &self.service {
            Some(service) => write!(formatter, " {}/{}", Plain(service), Plain(&self.name))?,
            None => write!(formatter, " {}", Plain(&self.name))?,
        }
        match &self.error {
            None => write!(formatter, " -> {} OK", self.status)?,
            Some(error) => write!(
                formatter,
                " -> {} {}: {}",
                self.status,
                self.error_code.as_deref().unwrap_or("Error"),
                Plain(error)
            )?,
        }
        write!(formatter, " ({})", self.request_id)?;
        for message in &self.messages {
            write!(formatter, "\n    {}", Plain(message))?;
        }
        for line in self.stack.iter().flat_map(|stack| stack.lines()) {
            write!(formatter, "\n    {}", Plain(line.trim()))?;
        }
        Ok(())
    }
}

/// Text of strangers in a line for people: control characters cannot forge lines or colours.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\t' => formatter.write_char(character),
            character if character.is_control() => write!(formatter, "{}", character.escape_unicode()),
            character => formatter.write_char(character),
        })
    }
}

impl LogKind {
    /// `type` of a log entry.
    fn log_type(self) -> &'static str {
        match self {
            Self::Webhook => "WEBHOOK",
            Self::Endpoint => "ENDPOINT",
            Self::Auth => "AUTH",
            Self::ApiKey => "API_KEY",
            Self::Function => "FUNCTION",
            Self::ServiceFunction => "SERVICE_FUNCTION",
            Self::ServiceStreamFunction => "SERVICE_STREAM_FUNCTION",
        }
    }

    /// Whether code of the app or of a service was called.
    fn is_call(self) -> bool {
        match self {
            Self::Webhook | Self::Endpoint | Self::Function | Self::ServiceFunction | Self::ServiceStreamFunction => {
                true
            }
            Self::Auth | Self::ApiKey => false,
        }
    }
}

impl ClientOperation {
    fn log_kind(&self) -> LogKind {
        match self {
            Self::Location
            | Self::Login { .. }
            | Self::EmailPassword(_)
            | Self::Session
            | Self::Profile
            | Self::DeleteUser => LogKind::Auth,
            Self::CallFunction => LogKind::Function,
            Self::ApiKeys | Self::ApiKey { .. } | Self::SwitchApiKey { .. } => LogKind::ApiKey,
        }
    }

    fn log_name(&self) -> String {
        match self {
            Self::Location => "location",
            Self::Login { provider } => return format!("{provider}/login"),
            Self::EmailPassword(operation) => return format!("local-userpass/{}", operation.path()),
            Self::CallFunction => "functions/call",
            Self::Session => "session",
            Self::Profile => "profile",
            Self::DeleteUser => "delete",
            Self::ApiKeys | Self::ApiKey { .. } | Self::SwitchApiKey { .. } => "api_keys",
        }
        .to_owned()
    }
}

fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Names whose values are masked, in headers, fields and bodies (http-surface 7.4).
const MASKED: [&str; 7] =
    ["password", "api-key", "apikey", "jwttokenstring", "authorization", "proxy-authorization", "cookie"];

const MASK: &str = "***";

fn is_masked(name: &str) -> bool {
    MASKED.iter().any(|masked| masked.eq_ignore_ascii_case(name))
}

impl LoggedRequest {
    fn to_json(&self) -> Json {
        let query: Map<String, Json> = self
            .query
            .iter()
            .map(|(name, value)| {
                let hidden = name == "secret" || is_masked(name);
                (name.clone(), if hidden { MASK } else { value.as_str() }.into())
            })
            .collect();
        let headers: Map<String, Json> = self
            .headers
            .iter()
            .map(|(name, values)| {
                let hidden = is_masked(name);
                let shown = values.iter().map(|value| if hidden { MASK } else { value.as_str() });
                (name.clone(), shown.collect::<Vec<_>>().into())
            })
            .collect();
        let mut arguments = json!({"query": query, "headers": headers});
        if self.body.length > 0 {
            arguments["body"] = self.body.to_json();
        }
        arguments
    }
}

impl LoggedBody {
    /// Binary in Extended JSON. A body that is cut off, or hidden because it holds credentials we cannot mask one by
    /// one, says so beside it.
    fn to_json(&self) -> Json {
        let (bytes, note) = match self.masked() {
            Some(bytes) if self.bytes.len() < self.length => (bytes, Some(format!("first bytes of {}", self.length))),
            Some(bytes) => (bytes, None),
            None => (Vec::new(), Some("hidden: it holds credentials".to_owned())),
        };
        let mut body = json!({"$binary": {"base64": BASE64.encode(bytes), "subType": "00"}});
        if let Some(note) = note {
            body["note"] = note.into();
        }
        body
    }

    /// The bytes with credentials masked; `None` when they cannot be told from the rest.
    fn masked(&self) -> Option<Vec<u8>> {
        let text = String::from_utf8_lossy(&self.bytes).to_ascii_lowercase();
        if !MASKED.iter().any(|name| text.contains(name)) && !text.contains("secret") {
            return Some(self.bytes.to_vec());
        }
        if self.bytes.len() < self.length {
            return None;
        }
        if let Ok(mut json) = serde_json::from_slice::<Json>(&self.bytes) {
            mask_json(&mut json);
            return Some(json.to_string().into_bytes());
        }
        let text = std::str::from_utf8(&self.bytes).ok()?;
        if !text.contains('=') || text.contains(['\n', '<', '{', '"']) {
            return None;
        }
        let fields: Vec<String> = query::raw_pairs(text)
            .map(|pair| match query::decode(pair.name) {
                name if is_masked(&name) || name == "secret" => format!("{}={MASK}", pair.name),
                _ => pair.pair.to_owned(),
            })
            .collect();
        Some(fields.join("&").into_bytes())
    }
}

/// Masks by name at every depth; the parser bounds the depth.
fn mask_json(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            for (name, value) in fields {
                match is_masked(name) || name == "secret" {
                    true => *value = MASK.into(),
                    false => mask_json(value),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(mask_json),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str, length: usize) -> LoggedBody {
        LoggedBody { bytes: Bytes::copy_from_slice(text.as_bytes()), length }
    }

    fn check_masked(text: &str, expected: Option<&str>) {
        let masked = body(text, text.len()).masked().map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(masked.as_deref(), expected, "{text}");
    }

    #[test]
    fn bodies_are_masked() {
        check_masked(r#"{"a":1}"#, Some(r#"{"a":1}"#));
        check_masked(r#"{"email":"a","password":"b"}"#, Some(r#"{"email":"a","password":"***"}"#));
        check_masked(r#"{"a":[{"api-key":{"x":1}}]}"#, Some(r#"{"a":[{"api-key":"***"}]}"#));
        check_masked("email=a&password=b", Some("email=a&password=***"));
        check_masked("email=a&p%61ssword=b&password=", Some("email=a&p%61ssword=***&password=***"));
        check_masked("<password>b</password>", None);
        assert_eq!(body(r#"{"password":"b"#, 99).masked(), None, "cut off");
        assert_eq!(body("abc", 99).to_json()["note"], "first bytes of 99");
    }

    #[test]
    fn control_characters_cannot_forge_lines() {
        assert_eq!(Plain("a\nb\x1b[31mc").to_string(), "a\\u{a}b\\u{1b}[31mc");
    }
}
