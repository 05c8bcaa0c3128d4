//! V8, limits, and the conversion of values at the JavaScript border.
//!
//! Interface: `IsolatePool::run(invocation, host) -> Outcome`. This crate knows nothing of MongoDB, HTTP or export
//! layouts; everything a run may reach comes through [`Host`].

mod host;
mod invocation;
mod limits;
mod outcome;
pub(crate) mod ops;

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
