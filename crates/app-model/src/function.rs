//! App functions and the settings that decide as whom they run.

use std::path::PathBuf;

use serde_json::Value as Json;

/// One app function (http-surface 1.7).
#[derive(Debug, Clone)]
pub struct Function {
    /// Name, slashes allowed: `a/b`.
    pub name: String,
    /// Source file relative to the app directory, with `/` separators; used in stack traces.
    pub file: PathBuf,
    /// Manifest or config file that has its entry; `None` for a source file without one.
    pub config_file: Option<PathBuf>,
    /// Position in the manifest's list, from 0; `None` for a config file of its own and for a file without an entry.
    pub config_entry: Option<usize>,
    /// Source text; `None` when the manifest names a function that has no readable file.
    pub source: Option<String>,
    /// Not callable by clients; still callable from functions, webhooks and endpoints.
    pub private: bool,
    /// The expression as written; `None` means always allowed.
    pub can_evaluate: Option<Json>,
    /// Leave the arguments out of the log entry.
    pub disable_arg_logs: bool,
    /// As whom it runs. [`RunAs::Caller`] for a function without settings.
    pub run_as: RunAs,
}

/// As whom a webhook or function runs (http-surface 3.5.1, function-environment 8.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunAs {
    /// Bypasses rules.
    System,
    /// Always this user id.
    UserId(String),
    /// Source text of a function that picks the user.
    Script(String),
    /// Application Authentication, or, when called by a function, the caller's identity.
    Caller,
}
