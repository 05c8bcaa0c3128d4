//! V8, limits, and the conversion of values at the JavaScript border.
//!
//! Interface: `IsolatePool::run(invocation, host) -> Outcome`. This crate knows nothing of MongoDB, HTTP or export
//! layouts; everything a run may reach comes through [`Host`].

mod check;
mod crash;
mod error;
mod failure;
mod host;
mod invocation;
mod limits;
pub mod measure;
mod memory;
pub(crate) mod ops;
mod outcome;
mod platform;
mod pool;
mod prelude;
mod realm;
mod run;
mod snapshot;
mod source;
mod stack;
mod state;
mod value;
mod warm;
mod watchdog;
mod worker;

pub use check::check_source;
pub use error::{IsolateError, SourceError};
pub use host::{Host, HostError, ServiceCall};
pub use invocation::{
    AppCode, Arguments, Authority, Entry, FrameAuthority, FunctionSource, HttpPayload, Invocation, ResultFormat,
    ResultPolicy, ServiceEntry,
};
pub use limits::Limits;
pub use outcome::{
    Completed, ConsoleLevel, ConsoleLine, Outcome, ResponseBody, ResponseParts, ReturnValue, RunError, RunErrorKind,
    Usage,
};
pub use platform::{engine_version, init_platform};
pub use pool::{IsolatePool, PoolOptions, PoolStatus};
