//! `$facet`: several pipelines over the same rows, their results in one document.

use std::sync::Arc;

use bson::{Bson, Document};

use super::{Place, collect, object, row_bytes, stage_list};
use crate::aggregate::pipeline::{Pipeline, PipelineOptions, Run, deferred, rows_of};
use crate::aggregate::{Row, Rows};
use crate::error::{CommandError, CommandResult};
use crate::query::QueryContext;

/// A parsed specification.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct Facet {
    facets: Vec<(String, Pipeline)>,
}

impl Facet {
    /// Reads `{ name: [stages], ... }`.
    pub fn parse(
        argument: &Bson,
        options: &PipelineOptions,
        context: &QueryContext,
        depth: usize,
    ) -> CommandResult<Self> {
        let document = object(40169, "$facet", argument)?;
        if document.is_empty() {
            return Err(CommandError::new(40169, "the $facet specification must be a non-empty object"));
        }
        let mut facets = Vec::with_capacity(document.len());
        for (name, stages) in document {
            if name.starts_with('$') || name.contains('.') || name.is_empty() {
                return Err(CommandError::failed_to_parse(format!("'{name}' is no name for a facet")));
            }
            if !matches!(stages, Bson::Array(_)) {
                return Err(CommandError::new(40170, format!("arguments to $facet must be arrays, {name} is not")));
            }
            let stages = stage_list("$facet", stages)?;
            facets.push((name.clone(), Pipeline::parse_at(stages, options, context, Place::Facet, depth + 1)?));
        }
        Ok(Self { facets })
    }

    pub fn sources(&self, found: &mut Vec<(String, String)>) {
        for (_, pipeline) in &self.facets {
            found.extend(pipeline.sources());
        }
    }
}

pub(super) fn apply(facet: Arc<Facet>, rows: Rows, run: &Arc<Run>) -> Rows {
    let run = run.clone();
    deferred(move || {
        let rows: Arc<[Row]> = collect(rows, &run, "$facet")?.into();
        let mut result = Document::new();
        let mut bytes = 0;
        for (name, pipeline) in &facet.facets {
            let shared = rows.clone();
            let source: Rows = Box::new((0..shared.len()).map(move |index| Ok(shared[index].clone())));
            let mut documents = Vec::new();
            for row in pipeline.clone().run(source, run.access.clone())? {
                let row = row?;
                bytes += row_bytes(&row);
                if bytes > run.options.bytes_max {
                    return Err(CommandError::new(
                        4_031_700,
                        format!(
                            "document constructed by $facet is {bytes} bytes, which exceeds the limit of {} bytes",
                            run.options.bytes_max
                        ),
                    ));
                }
                documents.push(Bson::Document(row.into_document()));
            }
            result.insert(name.as_str(), documents);
        }
        Ok(rows_of([result]))
    })
}
