//! Settings: as written ([`WrittenSettings`]) and as resolved ([`Settings`]).

mod resolved;
mod units;
mod written;

pub(crate) use resolved::read_secrets;
pub use resolved::{Settings, SettingsError};
pub use units::{Bytes, Time};
pub use written::{FunctionLogTarget, LogFormat, WrittenSettings};
