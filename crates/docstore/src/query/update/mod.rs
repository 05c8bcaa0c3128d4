//! Updates: replacement, operators, pipelines, and the document an upsert inserts.

use bson::{Bson, Document};

use super::QueryContext;
use super::filter::{Filter, MatchDetails};
use crate::error::{CommandError, CommandResult};

/// A parsed update.
#[derive(Debug, Clone)]
pub struct Update {}

/// What an update made of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Updated {
    /// The document after the update.
    pub document: Document,
    /// False when nothing changed: the document counts as matched, not as modified.
    pub modified: bool,
}

impl Update {
    /// Reads an update: a document of operators, a replacement document, or a pipeline (array).
    ///
    /// Errors: `FailedToParse` (9) for unknown operators and malformed arguments, `ConflictingUpdateOperators` (40),
    /// `BadValue` (2), ... as MongoDB gives them.
    pub fn parse(update: &Bson, array_filters: &[Document], context: &QueryContext) -> CommandResult<Self> {
        let _ = (update, array_filters, context);
        Err(CommandError::internal("not yet"))
    }

    /// A whole document takes the place of the old one (`multi: true` is then an error of the caller's:
    /// `FailedToParse` "multi update is not supported for replacement-style update").
    pub fn is_replacement(&self) -> bool {
        false
    }

    /// The filter's match details are wanted (positional `$`).
    pub fn needs_match_details(&self) -> bool {
        false
    }

    /// Applies the update to a stored document.
    ///
    /// Errors: `ImmutableField` (66) if `_id` would change, `PathNotViable` (28), `TypeMismatch` (14), ...
    pub fn apply(&self, document: &Document, details: Option<MatchDetails>) -> CommandResult<Updated> {
        let _ = (document, details);
        Err(CommandError::internal("not yet"))
    }

    /// The document an upsert inserts when nothing matched: the filter's equalities, then the update with
    /// `$setOnInsert`. `_id` comes first and is made up if neither gives one.
    ///
    /// Errors: `NotSingleValueField` (54) when the filter fixes a path twice, code 224 for `$expr` in the filter.
    pub fn upsert(&self, filter: &Filter, context: &QueryContext) -> CommandResult<Document> {
        let _ = (filter, context);
        Err(CommandError::internal("not yet"))
    }
}
