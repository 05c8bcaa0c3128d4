//! Every export layout, its defaults and cross-checks, and the nouns the other crates share.
//!
//! Entry point: [`App::load`]. It reads a directory once, never panics on bad content, and reports every mistake as a
//! [`Problem`] while keeping whatever can be served. No file outside the directory is read, nothing is written.

mod app;
mod auth_provider;
mod call_function;
mod function;
mod identity;
mod problem;
mod service;
mod user;
mod value;
mod webhook;

mod error;
mod load;
mod lookup;
mod require_calls;

/// Names of databases that begin like this belong to the server: it keeps the users, logs and Secrets of its apps in them.
/// Functions and clients never reach them.
pub const STATE_DATABASE_PREFIX: &str = "selvedge_";

pub use app::{App, Environment, Layout};
pub use auth_provider::{AuthProvider, CustomUserData};
pub use call_function::{CallFunction, FunctionCall, FunctionFailure};
pub use error::LoadError;
pub use function::{Function, RunAs};
pub use identity::AppIdentity;
pub use load::{LoadBounds, LoadOptions};
pub use problem::{Level, Problem};
pub use require_calls::require_calls;
pub use service::{CollectionRules, DataSource, Service, ServiceKind, ServiceRule};
pub use user::{Identity, User, UserKind};
pub use value::{SecretText, Value, ValueContent};
pub use webhook::{Endpoint, Method, ReturnType, Validation, Webhook};
