//! `$unwind`: a row per element of an array.

use std::sync::Arc;

use bson::Bson;

use crate::aggregate::add_fields::{get_at, set_at};
use crate::aggregate::expression::split_path;
use crate::aggregate::{Row, Rows};
use crate::error::{CommandError, CommandResult};
use crate::query::value::ValueRef;

/// A parsed specification.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct Unwind {
    path: Vec<String>,
    index: Option<Vec<String>>,
    preserve: bool,
}

impl Unwind {
    /// Reads `"$path"` or `{ path, includeArrayIndex, preserveNullAndEmptyArrays }`.
    pub fn parse(argument: &Bson) -> CommandResult<Self> {
        let mut unwind = Self { path: Vec::new(), index: None, preserve: false };
        let path = match argument {
            Bson::String(path) => path,
            Bson::Document(document) => {
                let mut path = None;
                for (name, value) in document {
                    match (name.as_str(), value) {
                        ("path", Bson::String(text)) => path = Some(text),
                        ("path", _) => {
                            return Err(CommandError::new(28808, "expected a string as the path for $unwind stage"));
                        }
                        ("preserveNullAndEmptyArrays", Bson::Boolean(flag)) => unwind.preserve = *flag,
                        ("preserveNullAndEmptyArrays", _) => {
                            return Err(CommandError::new(
                                28809,
                                "expected a boolean for the preserveNullAndEmptyArrays option to $unwind stage",
                            ));
                        }
                        ("includeArrayIndex", Bson::String(text)) if !text.is_empty() => {
                            if text.starts_with('$') {
                                return Err(CommandError::new(
                                    28822,
                                    format!(
                                        "includeArrayIndex option to $unwind stage should not be prefixed with a '$': {text}"
                                    ),
                                ));
                            }
                            unwind.index = Some(split_path(text)?);
                        }
                        ("includeArrayIndex", _) => {
                            return Err(CommandError::new(
                                28810,
                                "expected a non-empty string for the includeArrayIndex option to $unwind stage",
                            ));
                        }
                        _ => {
                            return Err(CommandError::new(
                                28811,
                                format!("unrecognized option to $unwind stage: {name}"),
                            ));
                        }
                    }
                }
                path.ok_or_else(|| CommandError::new(28812, "no path specified to $unwind stage"))?
            }
            other => {
                return Err(CommandError::new(
                    15981,
                    format!(
                        "expected either a string or an object as specification for $unwind stage, got {}",
                        ValueRef::from(other).type_name()
                    ),
                ));
            }
        };
        if path.is_empty() {
            return Err(CommandError::new(28812, "no path specified to $unwind stage"));
        }
        let Some(path) = path.strip_prefix('$') else {
            return Err(CommandError::new(
                28818,
                format!("path option to $unwind stage should be prefixed with a '$': {path}"),
            ));
        };
        unwind.path = split_path(path)?;
        Ok(unwind)
    }

    /// The paths a row leaves changed at.
    pub fn changed_paths(&self) -> Vec<Vec<String>> {
        self.index.iter().chain([&self.path]).cloned().collect()
    }

    fn rows(&self, row: Row) -> Vec<Row> {
        let with = |row: &Row, value: Option<Option<Bson>>, index: Bson| {
            let mut document = row.as_ref().to_document();
            if let Some(value) = value {
                set_at(&mut document, &self.path, value);
            }
            if let Some(path) = &self.index {
                set_at(&mut document, path, Some(index));
            }
            Row::Owned(document)
        };
        match get_at(row.as_ref(), &self.path) {
            Some(ValueRef::Array(items)) => {
                if items.is_empty() {
                    return if self.preserve { vec![with(&row, Some(None), Bson::Null)] } else { Vec::new() };
                }
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| with(&row, Some(Some(item.to_bson())), Bson::Int64(index as i64)))
                    .collect()
            }
            None | Some(ValueRef::Null | ValueRef::Undefined) if !self.preserve => Vec::new(),
            _ => {
                if self.index.is_none() {
                    vec![row]
                } else {
                    vec![with(&row, None, Bson::Null)]
                }
            }
        }
    }
}

pub(super) fn apply(unwind: Arc<Unwind>, rows: Rows) -> Rows {
    Box::new(rows.flat_map(move |row| match row {
        Ok(row) => unwind.rows(row).into_iter().map(Ok).collect::<Vec<_>>(),
        Err(error) => vec![Err(error)],
    }))
}
