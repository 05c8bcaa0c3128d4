//! What JavaScript may ask of the host, as one trait.

use futures::future::BoxFuture;

use crate::Authority;

/// The host's side of one run. One object per run: cursors and sessions that belong to the run live behind it and end
/// when it is dropped.
pub trait Host: Send + Sync + 'static {
    /// A service action, such as `find` of a MongoDB service. Starts at once; runs on the front runtime, never on a
    /// JavaScript thread.
    fn call_service(&self, call: ServiceCall) -> BoxFuture<'static, Result<Vec<u8>, HostError>>;

    /// Whether a rules user may execute this function from another function. System frames are never asked.
    fn may_execute(&self, function: &str, authority: &Authority) -> bool {
        let _ = (function, authority);
        false
    }
}

/// One service action asked for by user code.
#[derive(Debug, Clone)]
pub struct ServiceCall {
    /// Name as in `context.services.get`; `context.http` is named `""`.
    pub service: String,
    /// Action, such as `find`.
    pub action: String,
    /// Arguments: one BSON document, its shape fixed by the action (js/README.md lists them).
    pub arguments: Vec<u8>,
    /// Authority of the frame in which the service handle was obtained.
    pub authority: Authority,
}

/// A failure that becomes an `Error` of the run's realm (function-environment 7.11).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostError {
    /// `name` of the error: `MongoError`, `Error`, `TypeError`, ….
    pub name: String,
    /// `message`, in the format user code knows.
    pub message: String,
    /// Platform code that applies when it leaves the run uncaught: `MongoDBError`, `InvalidParameter`, ….
    pub error_code: String,
    /// The server's number, such as 11000.
    pub code: Option<i32>,
    /// The server's name for it.
    pub code_name: Option<String>,
    /// The driver's labels.
    pub error_labels: Vec<String>,
}
