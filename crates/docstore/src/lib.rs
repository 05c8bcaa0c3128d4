//! An embedded, durable document store that answers the MongoDB wire protocol.
//!
//! It depends on nothing but its storage engine and a runtime, and hides both.

pub mod aggregate;
pub mod error;
pub mod query;

pub use error::{CommandError, Error};
