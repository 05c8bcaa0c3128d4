//! Index and sort keys: which key tuples a document has under a pattern of dotted paths.

use super::value::{DocumentRef, ValueRef};
use crate::error::CommandResult;

/// One value per path of the pattern. A missing field is null; an empty array at the end of a path is undefined.
pub type KeyTuple<'a> = Vec<ValueRef<'a>>;

/// The key tuples of a document.
#[derive(Debug)]
pub struct Keys<'a> {
    /// At least one; more than one only if `multikey` (they may repeat).
    pub tuples: Vec<KeyTuple<'a>>,
    /// An array lies on at least one path.
    pub multikey: bool,
    /// None of the paths leads to a value (what a sparse index leaves out).
    pub all_missing: bool,
}

/// Every combination for the paths, as an index over them holds it.
///
/// Errors: code 171 `CannotIndexParallelArrays` when two paths lead through different arrays.
pub fn generate<'a>(document: DocumentRef<'a>, paths: &[&str]) -> CommandResult<Keys<'a>> {
    let _ = (document, paths);
    Err(crate::error::CommandError::internal("not yet"))
}
