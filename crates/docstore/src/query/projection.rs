//! Projections: which fields of a document a reply holds.

use bson::Document;

use super::QueryContext;
use super::filter::MatchDetails;
use super::value::DocumentRef;
use crate::error::{CommandError, CommandResult};

/// A parsed projection.
#[derive(Debug, Clone)]
pub struct Projection {}

/// Which dialect to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectionPolicy {
    /// `find` and `findAndModify`: with `$slice`, `$elemMatch` and the positional `$`; may be empty.
    Find,
    /// `$project`: none of those, not empty.
    Aggregate,
    /// `$addFields` and `$set`: every value is an expression, other fields stay.
    AddFields,
}

impl Projection {
    /// Reads a projection. `{}` keeps everything (not under [`ProjectionPolicy::Aggregate`]).
    ///
    /// Errors: 31249 path collision, 31253/31254 inclusion mixed with exclusion, and the others of MongoDB.
    pub fn parse(specification: &Document, policy: ProjectionPolicy, context: &QueryContext) -> CommandResult<Self> {
        let _ = (specification, policy, context);
        Err(CommandError::internal("not yet"))
    }

    /// Keeps everything?
    pub fn is_identity(&self) -> bool {
        false
    }

    /// Has it a positional `$`, so that [`Projection::apply`] wants the filter's match details?
    pub fn needs_match_details(&self) -> bool {
        false
    }

    /// The projected document. `details`: of the match, for the positional `$`.
    pub fn apply<'a>(
        &self,
        document: impl Into<DocumentRef<'a>>,
        details: Option<MatchDetails>,
    ) -> CommandResult<Document> {
        let _ = (document.into(), details);
        Err(CommandError::internal("not yet"))
    }
}
