//! What the server keeps about an app beside its accounts: log entries and the texts of Secrets, in the app's own database.
//! User code reaches none of it.

mod logs;
mod secrets;

pub use logs::{LogQuery, LogStore};
pub use secrets::{SecretInfo, SecretKey, SecretStore, SecretStoreError};
