//! Incoming webhooks and HTTPS endpoints.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value as Json;

use crate::{RunAs, SecretText};

/// One incoming webhook of a service (http-surface 1.5).
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Name in the URL: the `name` of its config, else the directory's name.
    pub name: String,
    /// Config file relative to the app directory.
    pub config_file: PathBuf,
    /// Source file relative to the app directory.
    pub source_file: PathBuf,
    /// Source text; `None` when the file is missing (answers FunctionNotFound).
    pub source: Option<String>,
    /// The expression as written; `None` means always allowed.
    pub can_evaluate: Option<Json>,
    /// Leave the arguments out of the log entry.
    pub disable_arg_logs: bool,
    /// As whom it runs. [`RunAs::Caller`] is Application Authentication.
    pub run_as: RunAs,
    /// Send the return value (http-surface 5.3).
    pub respond_result: bool,
    /// Load custom user data into `context.user`.
    pub fetch_custom_user_data: bool,
    /// Create unknown users on authentication.
    pub create_user_on_auth: bool,
    /// Accepted HTTP method.
    pub method: Method,
    /// How requests are validated.
    pub validation: Validation,
    /// False when a load error makes it unservable (for example an unknown method); it then answers an error.
    pub servable: bool,
}

/// One custom HTTPS endpoint (http-surface 1.6).
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Route with its leading slash.
    pub route: String,
    /// File that declares it, relative to the app directory.
    pub config_file: PathBuf,
    /// Position in that file's list, from 0; problems of this endpoint name fields below `[entry]`.
    pub config_entry: usize,
    /// Accepted HTTP method.
    pub method: Method,
    /// Name of the handler function.
    pub function_name: String,
    /// How requests are validated; the secret is already looked up by name.
    pub validation: Validation,
    /// Name of the Secret, for messages.
    pub secret_name: Option<String>,
    /// The endpoint's own expression (later exports); both it and the function's must hold.
    pub can_evaluate: Option<Json>,
    /// Send the return value (http-surface 5.4).
    pub respond_result: bool,
    /// Load custom user data into `context.user`.
    pub fetch_custom_user_data: bool,
    /// Create unknown users on authentication.
    pub create_user_on_auth: bool,
    /// Answers 404 when set.
    pub disabled: bool,
    /// Format of serialised results when the request's `Accept` does not decide.
    pub return_type: ReturnType,
    /// False when a load error makes it unservable.
    pub servable: bool,
}

/// Accepted HTTP method of a webhook or endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// `ANY`, `*` or absent.
    Any,
    /// One upper-case verb.
    One(String),
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::Any => formatter.write_str("ANY"),
            Method::One(verb) => formatter.write_str(verb),
        }
    }
}

/// Request validation (http-surface 3.4). A secret of `None` refuses every request.
///
/// On a webhook of a GitHub service `VerifyPayload` stands for GitHub's own delivery signature (http-surface 3.4.3), and
/// `None` for a hook without a secret. Twilio hooks have `None`: their key is the service's `auth_token`.
#[derive(Debug, Clone)]
pub enum Validation {
    /// `NO_VALIDATION`.
    None,
    /// `SECRET_AS_QUERY_PARAM`.
    SecretAsQueryParam(Option<SecretText>),
    /// `VERIFY_PAYLOAD`.
    VerifyPayload(Option<SecretText>),
}

/// `return_type` of an endpoint (http-surface 5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnType {
    /// Plain JSON.
    Json,
    /// Canonical Extended JSON; also the default when the field is absent.
    Ejson,
}
