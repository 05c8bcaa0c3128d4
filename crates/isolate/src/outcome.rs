//! What one run gives back.

use std::time::Duration;

use bytes::Bytes;

/// The end of a run, good or bad.
#[derive(Debug)]
pub struct Outcome {
    /// The value and response, or why there is none.
    pub result: Result<Completed, RunError>,
    /// Console lines kept, in call order.
    pub console: Vec<ConsoleLine>,
    /// What the run consumed.
    pub usage: Usage,
}

/// A run that ended normally.
#[derive(Debug, Default)]
pub struct Completed {
    /// The settled return value, when the policy asked for it.
    pub value: Option<ReturnValue>,
    /// The response object, when the arguments included one.
    pub response: ResponseParts,
}

/// A serialised return value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReturnValue {
    /// `undefined`, or the response object itself.
    Undefined,
    /// A string: its text, and its serialised form.
    String {
        /// The string itself.
        text: String,
        /// As JSON text, quoted.
        serialized: Bytes,
    },
    /// Anything else, serialised.
    Other(Bytes),
}

/// State of the response object after the drain (http-surface 5.1, 5.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseParts {
    /// Any of the four methods was called.
    pub touched: bool,
    /// `setStatusCode`.
    pub status: Option<u16>,
    /// Name and value pairs in order; names as the handler wrote them.
    pub headers: Vec<(String, String)>,
    /// `setBody`; an empty body counts as set.
    pub body: Option<ResponseBody>,
}

/// What `setBody` was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseBody {
    /// The bytes to send.
    pub bytes: Bytes,
    /// True when it was a string; decides the default content type (http-surface 5.5).
    pub is_text: bool,
}

/// One console line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleLine {
    /// `error` and `warn` lines are reported apart by the debug API.
    pub level: ConsoleLevel,
    /// The line, cut on a character boundary.
    pub text: String,
}

/// Console method family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleLevel {
    /// `log`, `info`, `debug` and the like.
    Log,
    /// `warn`.
    Warn,
    /// `error`.
    Error,
}

/// What a run consumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entry to end of drain.
    pub wall: Duration,
    /// CPU time while executing JavaScript.
    pub cpu: Duration,
    /// JavaScript heap used at the end, bytes above the baseline.
    pub heap_bytes: usize,
    /// Service calls made.
    pub service_calls: u32,
    /// True when a warm isolate served it.
    pub isolate_reused: bool,
}

/// Why a run has no value. Texts follow function-environment 1.4, 1.6, 1.7 and 1.8.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct RunError {
    /// The cause, for status, fault and metrics.
    pub kind: RunErrorKind,
    /// Platform code: `FunctionExecutionError`, `MongoDBError`, ….
    pub error_code: String,
    /// Text for the caller; never a stack trace.
    pub text: String,
    /// Stack trace for the log, with user files only.
    pub stack: Option<String>,
}

/// Cause of a [`RunError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunErrorKind {
    /// The function threw, or its promise rejected.
    Threw,
    /// The source does not compile.
    Syntax,
    /// `exports` is not callable after evaluation.
    NotCallable,
    /// No such function, or its source file is missing.
    NotFound,
    /// A floating promise rejected with nobody handling it.
    UncaughtRejection,
    /// The returned promise can never settle.
    NeverSettles,
    /// The value cannot be serialised.
    NotSerializable,
    /// Wall clock limit.
    WallTime,
    /// CPU limit.
    CpuTime,
    /// JavaScript heap limit.
    Heap,
    /// Too many operations or timers outstanding.
    PendingOperations,
    /// Result or body over the limit.
    ResultTooLarge,
    /// V8 aborted the isolate; only its own runs are lost.
    Crashed,
    /// No isolate could be had: too many runs wait.
    Overloaded,
    /// The process is shutting down.
    Draining,
}
