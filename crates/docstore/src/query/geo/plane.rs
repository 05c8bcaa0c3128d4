//! Shapes of the plane.

use bson::Bson;

use super::{bad, geometry};
use crate::error::CommandResult;
use crate::query::value::ValueRef;

/// A legacy shape of `$geoWithin`. Borders belong to it.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    Box { least: (f64, f64), greatest: (f64, f64) },
    Polygon(Vec<(f64, f64)>),
    Circle { centre: (f64, f64), radius: f64 },
}

impl Shape {
    pub(super) fn parse(operator: &str, value: &Bson) -> CommandResult<Self> {
        if operator == "$center" {
            let (centre, radius) = parse_circle(value)?;
            return Ok(Self::Circle { centre, radius });
        }
        let points: Option<Vec<_>> = match value {
            Bson::Array(items) => items.iter().map(|item| geometry::legacy_point(ValueRef::from(item))).collect(),
            Bson::Document(items) => items.values().map(|item| geometry::legacy_point(ValueRef::from(item))).collect(),
            _ => None,
        };
        let Some(points) = points else {
            return bad("Point must be an array or object");
        };
        if operator == "$box" {
            let [(x1, y1), (x2, y2)] = points.as_slice() else {
                return bad("$box needs two points");
            };
            return Ok(Self::Box { least: (x1.min(*x2), y1.min(*y2)), greatest: (x1.max(*x2), y1.max(*y2)) });
        }
        if points.len() < 3 {
            return bad("Polygon must have at least 3 points");
        }
        Ok(Self::Polygon(points))
    }

    pub(super) fn contains(&self, (x, y): (f64, f64)) -> bool {
        match self {
            Self::Box { least, greatest } => (least.0..=greatest.0).contains(&x) && (least.1..=greatest.1).contains(&y),
            Self::Circle { centre, radius } => (x - centre.0).hypot(y - centre.1) <= *radius,
            Self::Polygon(points) => {
                let mut inside = false;
                let mut previous = points[points.len() - 1];
                for &current in points {
                    let ((x1, y1), (x2, y2)) = (previous, current);
                    let cross = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1);
                    let between = (x1.min(x2)..=x1.max(x2)).contains(&x) && (y1.min(y2)..=y1.max(y2)).contains(&y);
                    if cross == 0.0 && between {
                        return true;
                    }
                    if (y1 > y) != (y2 > y) && x < (x2 - x1) * (y - y1) / (y2 - y1) + x1 {
                        inside = !inside;
                    }
                    previous = current;
                }
                inside
            }
        }
    }
}

/// `[centre, radius]`.
pub(super) fn parse_circle(value: &Bson) -> CommandResult<((f64, f64), f64)> {
    let Bson::Array(items) = value else {
        return bad("circle must be an array of a centre and a radius");
    };
    let [centre, radius] = items.as_slice() else {
        return bad("Only 2 fields allowed for circular region");
    };
    let Some(centre) = geometry::legacy_point(ValueRef::from(centre)) else {
        return bad("Point must be an array or object");
    };
    match ValueRef::from(radius).as_f64() {
        Some(radius) if radius >= 0.0 => Ok((centre, radius)),
        _ => bad("radius must be a non-negative number"),
    }
}
