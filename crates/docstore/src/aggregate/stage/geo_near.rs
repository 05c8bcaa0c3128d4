//! `$geoNear`: documents by distance from a point.

use std::sync::Arc;

use bson::{Bson, Document, doc};

use super::{object, path_argument};
use crate::aggregate::Rows;
use crate::aggregate::add_fields::{get_at, set_at};
use crate::aggregate::expression::split_path;
use crate::aggregate::pipeline::{Run, deferred};
use crate::error::{CommandError, CommandResult, code};
use crate::query::value::{DocumentRef, ValueRef};
use crate::query::{Filter, QueryContext};

/// A parsed specification.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct GeoNear {
    near: Bson,
    distance_field: Option<Vec<String>>,
    key: Option<String>,
    spherical: bool,
    distances: Document,
    query: Document,
    multiplier: f64,
    locations: Option<Vec<String>>,
    context: QueryContext,
}

impl GeoNear {
    /// Reads `{ near, distanceField, key, spherical, minDistance, maxDistance, query, distanceMultiplier, includeLocs }`.
    pub fn parse(argument: &Bson, context: &QueryContext) -> CommandResult<Self> {
        let document = object(10065, "$geoNear", argument)?;
        let mut parsed = Self {
            near: Bson::Null,
            distance_field: None,
            key: None,
            spherical: false,
            distances: Document::new(),
            query: Document::new(),
            multiplier: 1.0,
            locations: None,
            context: context.clone(),
        };
        for (name, value) in document {
            match name.as_str() {
                "near" => match value {
                    Bson::Document(_) | Bson::Array(_) => parsed.near = value.clone(),
                    _ => {
                        return Err(CommandError::new(
                            5_860_401,
                            "$geoNear requires a constant object or array as 'near'",
                        ));
                    }
                },
                "distanceField" => {
                    parsed.distance_field = Some(path_argument(value, 16606, "$geoNear 'distanceField'")?)
                }
                "includeLocs" => parsed.locations = Some(path_argument(value, 16607, "$geoNear 'includeLocs'")?),
                "key" => {
                    path_argument(value, code::TYPE_MISMATCH, "$geoNear parameter 'key'")?;
                    parsed.key = value.as_str().map(str::to_owned);
                }
                "spherical" => parsed.spherical = ValueRef::from(value).is_truthy(),
                "minDistance" | "maxDistance" => {
                    let distance =
                        ValueRef::from(value).as_f64().filter(|distance| *distance >= 0.0).ok_or_else(|| {
                            CommandError::type_mismatch(format!("$geoNear '{name}' must be a nonnegative number"))
                        })?;
                    parsed.distances.insert(format!("${name}"), distance);
                }
                "query" => match value {
                    Bson::Document(query) => parsed.query = query.clone(),
                    _ => return Err(CommandError::type_mismatch("$geoNear 'query' must be an object")),
                },
                "distanceMultiplier" => {
                    parsed.multiplier =
                        ValueRef::from(value).as_f64().filter(|factor| *factor >= 0.0).ok_or_else(|| {
                            CommandError::type_mismatch("$geoNear 'distanceMultiplier' must be a nonnegative number")
                        })?;
                }
                // No longer mean anything.
                "limit" | "num" | "start" => {
                    return Err(CommandError::new(
                        50858,
                        format!("$geoNear no longer supports the '{name}' parameter. Use a $limit stage"),
                    ));
                }
                "uniqueDocs" => {}
                _ => {}
            }
        }
        if matches!(parsed.near, Bson::Null) {
            return Err(CommandError::new(5_860_400, "$geoNear requires a 'near' argument"));
        }
        Ok(parsed)
    }

    /// The field with the locations: the one named, else that of the only geo index.
    fn key(&self, run: &Run) -> CommandResult<String> {
        let collection = run.options.collection.as_deref().unwrap_or_default();
        let geo = |kind: &str| {
            run.access
                .geo_indexes(&run.options.database, collection)
                .iter()
                .flat_map(|index| index.iter())
                .filter(|(_, value)| value.as_str() == Some(kind))
                .map(|(path, _)| path.clone())
                .collect::<Vec<String>>()
        };
        let (flat, round) = (geo("2d"), geo("2dsphere"));
        if flat.is_empty() && round.is_empty() {
            return Err(CommandError::new(
                code::INDEX_NOT_FOUND,
                "$geoNear requires a 2d or 2dsphere index, but none were found",
            ));
        }
        if let Some(key) = &self.key {
            if !flat.contains(key) && !round.contains(key) {
                return Err(CommandError::bad_value(format!(
                    "$geoNear requires a 2d or 2dsphere index on the field '{key}'"
                )));
            }
            return Ok(key.clone());
        }
        match (flat.as_slice(), round.as_slice()) {
            ([one], _) => Ok(one.clone()),
            ([], [one]) => Ok(one.clone()),
            _ => Err(CommandError::new(
                code::INDEX_NOT_FOUND,
                "There is more than one geo index on the collection; unsure which to use for $geoNear. Use 'key'.",
            )),
        }
    }
}

pub(super) fn apply(stage: Arc<GeoNear>, run: &Arc<Run>) -> Rows {
    let run = run.clone();
    deferred(move || {
        let key = stage.key(&run)?;
        let geometry = matches!(&stage.near, Bson::Document(point) if point.contains_key("type"));
        let operator = if stage.spherical || geometry { "$nearSphere" } else { "$near" };
        let mut condition = Document::new();
        if geometry {
            let mut argument = doc! { "$geometry": stage.near.clone() };
            argument.extend(stage.distances.clone());
            condition.insert(operator, argument);
        } else {
            condition.insert(operator, stage.near.clone());
            condition.extend(stage.distances.clone());
        }
        let filter = Filter::parse(&doc! { key.as_str(): condition }, &stage.context)?;
        let collection = run.options.collection.as_deref().unwrap_or_default();
        let mut found = Vec::new();
        for row in run.access.find(&run.options.database, collection, &stage.query, &stage.context)? {
            let row = row?;
            if filter.matches(row.as_ref())?
                && let Some(distance) = filter.near_distance(row.as_ref())
            {
                found.push((distance, row));
            }
        }
        found.sort_by(|left, right| left.0.total_cmp(&right.0));
        let key = split_path(&key)?;
        Ok(Box::new(found.into_iter().map(move |(distance, row)| {
            let location = get_at(row.as_ref(), &key).map(ValueRef::to_bson);
            let mut document = DocumentRef::to_document(row.as_ref());
            if let Some(path) = &stage.distance_field {
                set_at(&mut document, path, Some(Bson::Double(distance * stage.multiplier)));
            }
            if let (Some(path), Some(location)) = (&stage.locations, location) {
                set_at(&mut document, path, Some(location));
            }
            Ok(super::Row::Owned(document))
        })) as Rows)
    })
}
