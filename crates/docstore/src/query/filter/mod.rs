//! Filters: which documents a query matches.

pub mod bounds;

use bson::Document;

use super::QueryContext;
use super::value::DocumentRef;
use crate::error::{CommandError, CommandResult};

/// A parsed filter.
#[derive(Debug, Clone)]
pub struct Filter {}

/// What a match tells the positional operator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MatchDetails {
    /// Offset of the array element that matched, for the positional `$` of updates and projections.
    pub array_index: Option<usize>,
}

impl Filter {
    /// Reads a filter document.
    ///
    /// Errors: `BadValue` (2), `FailedToParse` (9), `TypeMismatch` (14) as MongoDB gives them; `CommandNotSupported`
    /// (115) for `$where` and `$text`.
    pub fn parse(filter: &Document, context: &QueryContext) -> CommandResult<Self> {
        let _ = (filter, context);
        Err(CommandError::internal("not yet"))
    }

    /// Does the document match? Fails only where an expression of `$expr` fails.
    pub fn matches<'a>(&self, document: impl Into<DocumentRef<'a>>) -> CommandResult<bool> {
        Ok(self.match_details(document)?.is_some())
    }

    /// [`Filter::matches`], and for the positional operator the array element that did.
    pub fn match_details<'a>(&self, document: impl Into<DocumentRef<'a>>) -> CommandResult<Option<MatchDetails>> {
        let _ = document.into();
        Err(CommandError::internal("not yet"))
    }

    /// True for `{}`.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The distance by which `$near` or `$nearSphere` orders results (metres, or radians and units for legacy points);
    /// `None` without such an operator. The caller sorts what matched by it, unless the command has its own sort.
    pub fn near_distance<'a>(&self, document: impl Into<DocumentRef<'a>>) -> Option<f64> {
        let _ = document.into();
        None
    }

    /// True with `$near` or `$nearSphere`.
    pub fn has_near(&self) -> bool {
        false
    }
}
