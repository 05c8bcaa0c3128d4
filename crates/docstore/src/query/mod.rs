//! Values, filters, projections, sort orders and updates: MongoDB's query language as a library.
//!
//! Everything here is computed from its arguments: no storage, no clock, no async. In reading order: [`value`] (order
//! and equality), [`path`] (dotted paths), [`filter`], [`keys`] (index and sort keys), [`sort`], [`projection`],
//! [`update`].
//!
//! Invariants: nothing panics whatever the input; errors carry MongoDB's codes; a filter decides the same on decoded
//! documents and on raw bytes.

pub mod collation;
pub mod decimal;
mod expression;
pub mod filter;
pub mod geo;
mod json_schema;
pub mod keys;
pub mod path;
pub mod projection;
pub mod regex;
pub mod sort;
pub mod update;
pub mod value;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bson::{Document, Timestamp};

pub use collation::Collation;
pub use filter::bounds::{Interval, Predicate};
pub use filter::{Filter, MatchDetails};
pub use projection::Projection;
pub use sort::{SortKey, SortSpec};
pub use update::{Update, Updated};
pub use value::{DocumentRef, ValueRef, compare, compare_refs, equal, order_key};

/// What a command fixes for all its parts.
#[derive(Debug, Clone)]
pub struct QueryContext {
    /// How strings compare; `None` is by bytes.
    pub collation: Option<Arc<Collation>>,
    /// The command's `let`, already evaluated: name without `$$` to value.
    pub variables: Document,
    /// `$$NOW` and `$currentDate`.
    pub now: bson::DateTime,
    /// `$$CLUSTER_TIME` and timestamps made by `$currentDate`.
    pub cluster_time: Timestamp,
    /// Constant parts of expressions are computed with the rest, not when the expression is read: an update by pipeline
    /// fails on documents only, a query also without any.
    pub defers_constants: bool,
}

impl Default for QueryContext {
    /// No collation, no variables, time 0: for tests and for specifications that need none of them.
    fn default() -> Self {
        Self {
            collation: None,
            variables: Document::new(),
            now: bson::DateTime::from_millis(0),
            cluster_time: Timestamp { time: 0, increment: 0 },
            defers_constants: false,
        }
    }
}

impl QueryContext {
    /// The collation as the value functions take it.
    pub fn collation(&self) -> Option<&Collation> {
        self.collation.as_deref()
    }
}
