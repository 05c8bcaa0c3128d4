//! Settings: as written ([`WrittenSettings`]) and as resolved ([`Settings`]).

mod resolved;
mod secrets;
mod units;
mod written;

pub use resolved::{Settings, SettingsError};
pub use secrets::Secrets;
pub(crate) use secrets::read_secret_key;
pub use units::{Bytes, Time};
pub use written::{FunctionLogTarget, LogFormat, WrittenSettings};
