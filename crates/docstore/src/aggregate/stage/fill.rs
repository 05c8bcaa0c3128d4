//! `$fill`: values for fields that are null or missing (MongoDB manual, "$fill").

use std::sync::Arc;

use bson::{Bson, Document, doc};

use super::object;
use super::window::{self, SetWindowFields};
use crate::aggregate::Rows;
use crate::aggregate::add_fields::AddFields;
use crate::aggregate::expression::{Expression, split_path};
use crate::aggregate::pipeline::Run;
use crate::error::{CommandError, CommandResult, code};
use crate::query::{QueryContext, SortSpec};

/// A parsed specification: what windows compute, then constant values.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct Fill {
    methods: Option<Arc<SetWindowFields>>,
    values: Option<Arc<AddFields>>,
}

impl Fill {
    /// Reads `{ partitionBy | partitionByFields, sortBy, output: { path: { value } | { method } } }`.
    pub fn parse(argument: &Bson, context: &QueryContext) -> CommandResult<Self> {
        let document = object(code::FAILED_TO_PARSE, "$fill", argument)?;
        let (mut partition, mut order, mut output) = (None, None, None);
        for (name, value) in document {
            match (name.as_str(), value) {
                ("partitionBy", Bson::String(_) | Bson::Document(_)) if partition.is_none() => {
                    partition = Some(Expression::parse(value, context)?);
                }
                ("partitionByFields", Bson::Array(fields)) if partition.is_none() => {
                    let mut key = Document::new();
                    for (number, field) in fields.iter().enumerate() {
                        let path = field.as_str().ok_or_else(|| {
                            CommandError::type_mismatch("'partitionByFields' of $fill must hold strings")
                        })?;
                        split_path(path)?;
                        key.insert(number.to_string(), format!("${path}"));
                    }
                    partition = Some(Expression::parse_document(&key, context)?);
                }
                ("partitionBy" | "partitionByFields", _) => {
                    return Err(CommandError::new(
                        6_050_204,
                        "Maximum one of 'partitionBy' and 'partitionByFields can be specified in '$fill'",
                    ));
                }
                ("sortBy", Bson::Document(specification)) => order = Some(SortSpec::parse(specification, context)?),
                ("output", Bson::Document(fields)) => output = Some(fields),
                _ => return Err(CommandError::new(40415, format!("BSON field '$fill.{name}' is an unknown field."))),
            }
        }
        let output = output
            .filter(|output| !output.is_empty())
            .ok_or_else(|| CommandError::new(40414, "BSON field '$fill.output' is missing but a required field"))?;
        let mut values = Document::new();
        let mut methods = Vec::new();
        for (path, how) in output {
            let Bson::Document(how) = how else {
                return Err(CommandError::new(6_050_202, format!("Each fill output must be an object, {path} is not")));
            };
            match (how.len(), how.get("value"), how.get("method")) {
                (1, Some(value), None) => {
                    values.insert(path.as_str(), doc! { "$ifNull": [format!("${path}"), value.clone()] });
                }
                (1, None, Some(Bson::String(method))) => {
                    let linear = match method.as_str() {
                        "linear" => true,
                        "locf" => false,
                        _ => {
                            return Err(CommandError::new(6_050_202, "Method must be either 'locf' or 'linear'"));
                        }
                    };
                    if order.is_none() {
                        return Err(CommandError::new(6_050_203, "$fill with a method needs a sortBy"));
                    }
                    let expression = Expression::parse(&Bson::String(format!("${path}")), context)?;
                    methods.push((split_path(path)?, expression, linear));
                }
                _ => {
                    return Err(CommandError::new(
                        6_050_200,
                        "Each fill output must have exactly one of 'value' and 'method'",
                    ));
                }
            }
        }
        Ok(Self {
            methods: if methods.is_empty() {
                None
            } else {
                Some(Arc::new(SetWindowFields::filling(partition, order, methods, context)?))
            },
            values: if values.is_empty() { None } else { Some(Arc::new(AddFields::parse(&values, context)?)) },
        })
    }
}

pub(super) fn apply(stage: Arc<Fill>, rows: Rows, run: &Arc<Run>) -> Rows {
    let rows = match &stage.methods {
        Some(methods) => window::apply(methods.clone(), rows, run),
        None => rows,
    };
    match stage.values.clone() {
        None => rows,
        Some(values) => Box::new(rows.map(move |row| {
            let row = row?;
            let document = row.as_ref().to_document();
            values.apply(row.as_ref(), document).map(super::Row::Owned)
        })),
    }
}
