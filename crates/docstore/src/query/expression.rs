//! Expressions where the query language embeds them: `$expr` and computed fields of projections.

use bson::{Bson, Document};

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

/// An update by a pipeline of `$set`, `$unset`, `$replaceWith` and their like.
#[derive(Debug)]
pub(crate) struct UpdatePipeline(aggregate::UpdatePipeline);

impl UpdatePipeline {
    /// Reads the stages. Errors: those of the stages, and of stages an update may not have.
    pub(crate) fn parse(stages: &[Bson], context: &QueryContext) -> CommandResult<Self> {
        let context = QueryContext { defers_constants: true, ..context.clone() };
        aggregate::UpdatePipeline::parse(stages, &context).map(Self)
    }

    /// The document the stages make.
    pub(crate) fn apply(&self, document: &Document) -> CommandResult<Document> {
        self.0.apply(document)
    }
}
