//! The `selvedge` program: sockets, HTTP on the wire, process life, settings, telemetry and the command line.
//!
//! Reading order: [`run_command_line`], then `serve` (what one process does), `listen` and `connection` (sockets),
//! `handle` (one request), `route`, `reply`, `error_table`; beside them `supervisor` and `worker` (process life),
//! `settings`, and `check`.
//!
//! Invariant: only this crate names a socket, a status code for our own errors, or an environment variable.

mod apps;
mod body;
mod check;
mod command_line;
mod connection;
mod error;
mod error_table;
mod function_log;
mod handle;
mod health;
mod listen;
mod operator;
mod reply;
mod route;
mod serve;
mod served_apps;
pub mod settings;
mod shutdown;
mod sockets;
mod store;
mod supervisor;
mod telemetry;
mod worker;

pub use check::{Report, check};
pub use command_line::run as run_command_line;
pub use error::ServerError;
pub use serve::{Serving, run};
