//! Geometry in queries: `$geoWithin`, `$geoIntersects`, `$near` and `$nearSphere`, by looking at every document.
//!
//! GeoJSON lies on a sphere: edges are great-circle arcs ([`sphere`]). Legacy shapes (`$box`, `$polygon`, `$center`) and
//! `$near` on legacy points are plane geometry ([`plane`]). Source: MongoDB manual, "Geospatial Query Operators".

mod geometry;
mod plane;
mod sphere;

use std::ops::ControlFlow;

use bson::{Bson, Document};

use super::path::{FieldPath, LeafArrays, visit};
use super::value::{DocumentRef, ValueRef};
use crate::error::{CommandError, CommandResult};
use geometry::Geometry;
use plane::Shape;
use sphere::Vector;

/// Metres of the earth's radius, as MongoDB takes it.
pub const EARTH_RADIUS_METRES: f64 = 6_378_100.0;
/// Code of the refusal to index what is no geometry.
const CANNOT_EXTRACT_GEO_KEYS: i32 = 16_755;

fn bad<T>(message: impl Into<String>) -> CommandResult<T> {
    Err(CommandError::bad_value(message))
}

/// `$geoWithin` or `$geoIntersects`.
#[derive(Debug, Clone)]
pub(crate) struct GeoTest {
    region: Region,
}

#[derive(Debug, Clone)]
enum Region {
    /// The value lies wholly in this.
    WithinGeometry(Geometry),
    WithinCap {
        centre: Vector,
        radians: f64,
    },
    WithinShape(Shape),
    /// The value shares a point with this.
    Intersects(Geometry),
}

impl GeoTest {
    pub(crate) fn parse(operator: &str, argument: &Bson) -> CommandResult<Self> {
        let Bson::Document(argument) = argument else {
            return bad("geometry must be an object");
        };
        let within = operator != "$geoIntersects";
        let mut region = None;
        for (name, value) in argument {
            let parsed = match name.as_str() {
                "$geometry" => {
                    let Bson::Document(value) = value else {
                        return bad("geometry must be an object");
                    };
                    let geometry = Geometry::parse_query(value)?;
                    if !within {
                        Region::Intersects(geometry)
                    } else if geometry.is_area() {
                        Region::WithinGeometry(geometry)
                    } else {
                        return bad(format!("$within not supported with provided geometry: {argument}"));
                    }
                }
                "$box" | "$polygon" | "$center" if within => Region::WithinShape(Shape::parse(name, value)?),
                "$centerSphere" if within => {
                    let (centre, radians) = plane::parse_circle(value)?;
                    Region::WithinCap { centre: geometry::checked_point(centre)?, radians }
                }
                "$uniqueDocs" => continue,
                _ if within => return bad(format!("unknown geo specifier: {name}: {value}")),
                _ => return bad(format!("$geoIntersect not supported with provided geometry: {argument}")),
            };
            region = Some(parsed);
        }
        match region {
            Some(region) => Ok(Self { region }),
            None => bad(format!("{operator} requires a geometry: {argument}")),
        }
    }

    pub(crate) fn matches(&self, value: ValueRef<'_>) -> bool {
        match &self.region {
            Region::WithinShape(shape) => geometry::stored_flat_point(value).is_some_and(|point| shape.contains(point)),
            Region::WithinGeometry(region) => {
                Geometry::stored(value).is_some_and(|geometry| geometry.is_within(region))
            }
            Region::WithinCap { centre, radians } => Geometry::stored(value)
                .is_some_and(|geometry| geometry.all_vertices(|vertex| sphere::distance(*vertex, *centre) <= *radians)),
            Region::Intersects(region) => Geometry::stored(value).is_some_and(|geometry| geometry.intersects(region)),
        }
    }
}

/// Where distances are measured from, and which are accepted.
#[derive(Debug, Clone)]
pub struct Near {
    origin: Origin,
    distance_min: f64,
    distance_max: f64,
}

#[derive(Debug, Clone)]
enum Origin {
    /// In the plane; distances are in the coordinates' unit.
    Plane((f64, f64)),
    /// On the sphere; distances are angles times this.
    Sphere { point: Vector, unit: f64 },
}

impl Near {
    /// Reads `$near`, `$nearSphere` and the bounds beside or within them.
    pub(crate) fn parse(operator: &str, siblings: &Document) -> CommandResult<Self> {
        let mut near = None;
        let mut bounds = (None, None);
        let read_bound = |value: &Bson, name: &str| match ValueRef::from(value).as_f64() {
            Some(distance) if distance >= 0.0 => Ok(Some(distance)),
            Some(_) => bad(format!("{name} must be non-negative")),
            None => bad(format!("{name} must be a number")),
        };
        for (name, value) in siblings {
            match name.as_str() {
                "$maxDistance" => bounds.1 = read_bound(value, name)?,
                "$minDistance" => bounds.0 = read_bound(value, name)?,
                _ if name == operator => {
                    let mut point = value;
                    if let Bson::Document(argument) = value
                        && let Some(geometry) = argument.get("$geometry")
                    {
                        point = geometry;
                        for (name, value) in argument {
                            match name.as_str() {
                                "$geometry" => {}
                                "$maxDistance" => bounds.1 = read_bound(value, name)?,
                                "$minDistance" => bounds.0 = read_bound(value, name)?,
                                _ => {
                                    return bad(format!("invalid argument in geo near query: {name}"));
                                }
                            }
                        }
                    }
                    near = Some(Self::new(point, operator == "$nearSphere")?);
                }
                "$uniqueDocs" => {}
                _ => return bad(format!("invalid argument in geo near query: {name}")),
            }
        }
        let Some(near) = near else {
            return bad("geo near query needs a point");
        };
        Ok(near.bounded(bounds.0, bounds.1))
    }

    /// Distances from a point: metres for GeoJSON; for a legacy point radians on the sphere if `spherical`, and the
    /// coordinates' own unit in the plane if not.
    ///
    /// Errors: `BadValue` for what is no point, or lies outside longitude and latitude.
    pub fn new(point: &Bson, spherical: bool) -> CommandResult<Self> {
        let is_geojson = matches!(point, Bson::Document(document) if document.contains_key("type"));
        let origin = if is_geojson {
            let Bson::Document(document) = point else {
                return bad("geo near point must be an object");
            };
            match Geometry::parse_query(document)?.as_point() {
                Some(point) => Origin::Sphere { point, unit: EARTH_RADIUS_METRES },
                None => {
                    return bad(format!(
                        "invalid point in geo near query $geometry argument: {document}  $near requires a point, given {document}"
                    ));
                }
            }
        } else {
            let Some(flat) = geometry::legacy_point(ValueRef::from(point)) else {
                return bad(format!(
                    "geo near accepts just one argument when querying for a GeoJSON point. Extra field found: {point}"
                ));
            };
            if spherical {
                Origin::Sphere { point: geometry::checked_point(flat)?, unit: 1.0 }
            } else {
                Origin::Plane(flat)
            }
        };
        Ok(Self { origin, distance_min: 0.0, distance_max: f64::INFINITY })
    }

    /// The same with bounds on the distance, in its unit.
    pub fn bounded(mut self, least: Option<f64>, greatest: Option<f64>) -> Self {
        self.distance_min = least.unwrap_or(self.distance_min);
        self.distance_max = greatest.unwrap_or(self.distance_max);
        self
    }

    /// Is the distance measured on a sphere (which wants a `2dsphere` index, a plane one a `2d`)?
    pub fn is_spherical(&self) -> bool {
        matches!(self.origin, Origin::Sphere { .. })
    }

    /// The distance of a stored value, `None` if it is no geometry or out of bounds.
    pub fn distance(&self, value: ValueRef<'_>) -> Option<f64> {
        let distance = match &self.origin {
            Origin::Plane((x, y)) => {
                let (other_x, other_y) = geometry::stored_flat_point(value)?;
                (x - other_x).hypot(y - other_y)
            }
            Origin::Sphere { point, unit } => Geometry::stored(value)?.distance(*point) * unit,
        };
        (self.distance_min..=self.distance_max).contains(&distance).then_some(distance)
    }

    pub(crate) fn matches(&self, value: ValueRef<'_>) -> bool {
        self.distance(value).is_some()
    }
}

/// The least distance of the geometries at a path, with the geometry it belongs to.
pub fn nearest(document: DocumentRef<'_>, path: &str, near: &Near) -> Option<(f64, Bson)> {
    nearest_at(document, &FieldPath::new(path), near).map(|(distance, value)| (distance, value.to_bson()))
}

pub(crate) fn least_distance(document: DocumentRef<'_>, path: &FieldPath, near: &Near) -> Option<f64> {
    nearest_at(document, path, near).map(|(distance, _)| distance)
}

fn nearest_at<'a>(document: DocumentRef<'a>, path: &FieldPath, near: &Near) -> Option<(f64, ValueRef<'a>)> {
    let mut best: Option<(f64, ValueRef<'a>)> = None;
    let _ = visit(document, path, LeafArrays::Expand, &mut |value, _| {
        if let Some(value) = value
            && let Some(distance) = near.distance(value)
            && best.is_none_or(|(least, _)| distance < least)
        {
            best = Some((distance, value));
        }
        ControlFlow::Continue(())
    });
    best
}

/// Refuses a document whose value at this path a `2dsphere` index could not hold. Missing and null are fine.
///
/// Errors: 16755.
pub fn check_indexable(document: DocumentRef<'_>, path: &str) -> CommandResult<()> {
    let mut failure = None;
    let _ = visit(document, &FieldPath::new(path), LeafArrays::Whole, &mut |value, _| {
        let problem = match value {
            None | Some(ValueRef::Null | ValueRef::Undefined) => None,
            Some(ValueRef::Array(items)) if geometry::legacy_point(ValueRef::Array(items)).is_none() => {
                items.iter().find_map(|item| Geometry::parse_stored(item).err())
            }
            Some(value) => Geometry::parse_stored(value).err(),
        };
        match problem {
            Some(problem) => {
                failure = Some(problem);
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        }
    });
    match failure {
        None => Ok(()),
        Some(problem) => Err(CommandError::new(
            CANNOT_EXTRACT_GEO_KEYS,
            format!("Can't extract geo keys: {}  {}", document.to_document(), problem.message),
        )),
    }
}
