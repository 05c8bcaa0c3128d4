//! Errors of the engine itself. What user code does wrong is a [`crate::RunError`] instead.

/// The engine could not be started.
#[derive(Debug, thiserror::Error)]
pub enum IsolateError {
    /// [`crate::init_platform`] was not called, or not from the main thread's start.
    #[error("the V8 platform is not initialised")]
    PlatformNotInitialised,
    /// deno_core refused to make a runtime.
    #[error("cannot make a JavaScript runtime: {0}")]
    Runtime(String),
    /// A prelude script failed while the start-up snapshot was made: a fault of this program.
    #[error("prelude script {file} failed: {message}")]
    Prelude {
        /// The script, such as `30_context.js`.
        file: String,
        /// What it threw.
        message: String,
    },
    /// A thread could not be started.
    #[error("cannot start a JavaScript thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// A source that V8 does not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct SourceError {
    /// File as given by the caller.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// V8's message, such as `SyntaxError: Unexpected token '}'`.
    pub message: String,
}
