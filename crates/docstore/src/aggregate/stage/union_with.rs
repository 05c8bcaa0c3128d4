//! `$unionWith`: these rows, then another collection's.

use std::sync::Arc;

use bson::{Bson, Document};

use super::{Place, namespace, stage_list};
use crate::aggregate::Rows;
use crate::aggregate::pipeline::{Pipeline, PipelineOptions, Run, deferred};
use crate::error::{CommandError, CommandResult};
use crate::query::QueryContext;
use crate::query::value::ValueRef;

/// A parsed specification.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct UnionWith {
    /// Database and collection; `None` when the pipeline makes its rows itself.
    from: Option<(String, String)>,
    pipeline: Pipeline,
}

impl UnionWith {
    /// Reads a collection's name or `{ coll, pipeline }`.
    pub fn parse(
        argument: &Bson,
        options: &PipelineOptions,
        context: &QueryContext,
        depth: usize,
    ) -> CommandResult<Self> {
        let (from, stages): (_, &[Bson]) = match argument {
            Bson::String(_) => (namespace(argument, options), &[]),
            Bson::Document(document) => {
                if let Some(unknown) = document.keys().find(|key| !matches!(key.as_str(), "coll" | "pipeline")) {
                    return Err(CommandError::new(
                        40415,
                        format!("BSON field '$unionWith.{unknown}' is an unknown field."),
                    ));
                }
                let stages = document.get("pipeline").map_or(Ok(&[][..]), |stages| stage_list("$unionWith", stages))?;
                let from = match document.get("coll") {
                    Some(coll @ Bson::String(_)) => namespace(coll, options),
                    Some(other) => {
                        return Err(CommandError::type_mismatch(format!(
                            "BSON field '$unionWith.coll' is the wrong type '{}', expected type 'string'",
                            ValueRef::from(other).type_name()
                        )));
                    }
                    None => None,
                };
                (from, stages)
            }
            other => {
                return Err(CommandError::failed_to_parse(format!(
                    "the $unionWith stage specification must be an object or string, but found {}",
                    ValueRef::from(other).type_name()
                )));
            }
        };
        let inner = PipelineOptions { collection: from.as_ref().map(|from| from.1.clone()), ..options.clone() };
        let pipeline = Pipeline::parse_at(stages, &inner, context, Place::UnionWith, depth + 1)?;
        if from.is_none() && !pipeline.is_source() {
            return Err(CommandError::new(40414, "BSON field '$unionWith.coll' is missing but a required field"));
        }
        Ok(Self { from, pipeline })
    }

    pub fn sources(&self, found: &mut Vec<(String, String)>) {
        found.extend(self.from.clone());
        found.extend(self.pipeline.sources());
    }
}

pub(super) fn apply(union: Arc<UnionWith>, rows: Rows, run: &Arc<Run>) -> Rows {
    let run = run.clone();
    Box::new(rows.chain(deferred(move || {
        let (database, collection) = union.from.clone().unwrap_or_default();
        union.pipeline.clone().read(&database, &collection, Document::new(), &run.access)
    })))
}
