//! What one run is given: the app's code, the entry, the arguments and the data behind `context`.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value as Json};

use crate::Limits;

/// Everything of one deployment that V8 needs. Immutable; isolates are keyed by `key`.
#[derive(Debug)]
pub struct AppCode {
    /// Unique per deployment: two apps, or two deployments of one app, never share an isolate.
    pub key: String,
    /// Every app function.
    pub functions: Vec<FunctionSource>,
    /// Content of `context.values`; each `get` gives a fresh copy.
    pub values: Map<String, Json>,
    /// `context.environment.tag`.
    pub environment_tag: String,
    /// `context.environment.values`.
    pub environment_values: Map<String, Json>,
    /// `context.app`.
    pub app: Json,
    /// Names that `context.services.get` knows, with the client class that serves each.
    pub services: Vec<ServiceEntry>,
    /// The app's dependency folder (`functions/node_modules`), when it has one.
    pub node_modules: Option<std::path::PathBuf>,
}

/// One source file.
#[derive(Debug, Clone)]
pub struct FunctionSource {
    /// Name in `context.functions.execute`; for webhook sources the hook's name.
    pub name: String,
    /// Path relative to the app directory, shown in stack traces.
    pub file: String,
    /// Source text as read from the file; `None` when the file is missing (FunctionNotFound).
    pub source: Option<String>,
    /// Authority of a frame of this function (function-environment 8.2).
    pub run_as: FrameAuthority,
    /// `can_evaluate` as written, for nested calls by rules users; decided by the host.
    pub can_evaluate: Option<Json>,
}

/// Configured authority of a function's frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameAuthority {
    /// The caller's authority.
    Inherit,
    /// Bypasses rules.
    System,
    /// Always this user.
    UserId(String),
    /// Source text of a function that picks the user.
    Script(String),
}

/// Authority bound to one frame; service handles capture it at `get` time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// Bypasses rules.
    System,
    /// The app user with this id; rules apply.
    User(String),
}

/// A name `context.services.get` knows.
#[derive(Debug, Clone)]
pub struct ServiceEntry {
    /// Name as user code says it.
    pub name: String,
    /// Client class: `mongodb-atlas`, `datalake`, `http`, `twilio`, `aws`, `github`, `gcm`.
    pub client: String,
}

/// One run.
#[derive(Debug)]
pub struct Invocation {
    /// The app's code.
    pub code: Arc<AppCode>,
    /// What runs first.
    pub entry: Entry,
    /// Its arguments.
    pub arguments: Arguments,
    /// Authority of the first frame.
    pub authority: Authority,
    /// `context.user`: `{id, type, data, custom_data, identities}`.
    pub user: Json,
    /// `context.request` (http-surface 6); an empty object without HTTP.
    pub request: Json,
    /// When and how the return value is serialised.
    pub result: ResultPolicy,
    /// Limits of this run.
    pub limits: Limits,
}

/// What a run starts with.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A function of the app by name.
    Function(String),
    /// A source that is not among the app's functions: a webhook's `source.js`, or a run-as script.
    Source(Arc<FunctionSource>),
}

/// Arguments of the first frame.
#[derive(Debug)]
pub enum Arguments {
    /// `(payload, response)` of an HTTP webhook or `(request, response)` of an endpoint (http-surface 4).
    Http(HttpPayload),
    /// `(event, response)`: plain JSON text, parsed with `JSON.parse` (GitHub webhooks).
    Json(Bytes),
    /// `(fields, response)`: a flat object of strings (Twilio webhooks).
    Form(Vec<(String, String)>),
    /// One Extended JSON text per argument, no response object (function calls).
    Ejson(Vec<String>),
}

/// First argument of webhooks and endpoints: `{query, headers, body}`.
#[derive(Debug, Default)]
pub struct HttpPayload {
    /// Name to value, first occurrence only, in order.
    pub query: Vec<(String, String)>,
    /// Canonical name to its values, in order.
    pub headers: Vec<(String, Vec<String>)>,
    /// Raw bytes; `None` gives `undefined`.
    pub body: Option<Bytes>,
}

/// When and how the return value of the first frame is serialised. It is settled in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultPolicy {
    /// Never (respond_result off).
    Discard,
    /// Unless any response method was called (webhooks, http-surface 5.3).
    UnlessTouched(ResultFormat),
    /// Unless `setBody` was called (endpoints, http-surface 5.4).
    UnlessBodySet(ResultFormat),
    /// Always (function calls, scripts).
    Always(ResultFormat),
}

/// Format of a serialised value (http-surface 5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultFormat {
    /// Canonical Extended JSON v2.
    CanonicalEjson,
    /// The JSON column of http-surface 5.6.
    Json,
}
