//! Expressions where the query language embeds them: `$expr` and computed fields of projections.

use bson::Bson;

use super::QueryContext;
use super::value::{DocumentRef, ValueRef};
use crate::aggregate;
use crate::error::CommandResult;

/// A parsed expression of the aggregation language.
#[derive(Debug, Clone)]
pub(crate) struct Expression(aggregate::Expression);

impl Expression {
    /// Reads an expression; the context's variables are known by name.
    pub(crate) fn parse(value: &Bson, context: &QueryContext) -> CommandResult<Self> {
        aggregate::Expression::parse(value, context).map(Self)
    }

    /// The value for a document; `None` is a missing value.
    pub(crate) fn evaluate(&self, document: DocumentRef<'_>) -> CommandResult<Option<Bson>> {
        self.0.evaluate(document)
    }

    /// The value taken as a condition.
    pub(crate) fn is_true(&self, document: DocumentRef<'_>) -> CommandResult<bool> {
        Ok(self.evaluate(document)?.is_some_and(|value| ValueRef::from(&value).is_truthy()))
    }
}

/// An update by a pipeline of `$set`, `$unset` and `$replaceWith`.
#[derive(Debug)]
pub(crate) struct UpdatePipeline(Vec<Bson>);

impl UpdatePipeline {
    pub(crate) fn parse(stages: &[Bson], _context: &QueryContext) -> CommandResult<Self> {
        Ok(Self(stages.to_vec()))
    }

    pub(crate) fn apply(&self, _document: &bson::Document) -> CommandResult<bson::Document> {
        Err(crate::error::CommandError::not_supported("pipeline updates"))
    }
}
