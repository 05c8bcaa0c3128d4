//! Sort orders.

use std::cmp::Ordering;

use bson::{Bson, Document};

use super::QueryContext;
use super::value::DocumentRef;
use crate::error::{CommandError, CommandResult};

/// A parsed sort order.
#[derive(Debug, Clone)]
pub struct SortSpec {
    /// Paths in order of weight, true for ascending.
    pub parts: Vec<(String, bool)>,
}

/// A document's place in a sort order; made by [`SortSpec::key`], compared by [`SortSpec::compare`].
#[derive(Debug, Clone, PartialEq)]
pub struct SortKey {
    /// One value per part. On arrays the least element when ascending, the greatest when descending.
    pub values: Vec<Bson>,
}

impl SortSpec {
    /// Reads `{ path: 1 | -1, ... }`. `{ $natural: ±1 }` is the caller's: it is refused here.
    pub fn parse(specification: &Document, context: &QueryContext) -> CommandResult<Self> {
        let _ = (specification, context);
        Err(CommandError::internal("not yet"))
    }

    /// The document's key. Errors: `BadValue` `cannot sort with keys that are parallel arrays`.
    pub fn key<'a>(&self, document: impl Into<DocumentRef<'a>>) -> CommandResult<SortKey> {
        let _ = document.into();
        Err(CommandError::internal("not yet"))
    }

    /// The order of two keys. Sort stably by it.
    pub fn compare(&self, left: &SortKey, right: &SortKey) -> Ordering {
        let _ = (left, right);
        Ordering::Equal
    }

    /// The key as bytes in this order (descending parts inverted), for external sorts and heaps.
    pub fn key_bytes<'a>(&self, document: impl Into<DocumentRef<'a>>) -> CommandResult<Vec<u8>> {
        let _ = document.into();
        Err(CommandError::internal("not yet"))
    }
}
