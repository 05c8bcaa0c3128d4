//! GeoJSON and legacy points, read from queries and from stored values.

use bson::{Bson, Document};

use super::bad;
use super::sphere::{self, Polygon, Vector, arcs, arcs_touch, on_arc, same};
use crate::error::CommandResult;
use crate::query::value::ValueRef;

/// The name by which a query asks for polygons larger than a hemisphere.
const STRICT_WINDING: &str = "urn:x-mongodb:crs:strictwinding:EPSG:4326";
/// Nested geometry collections at most.
const DEPTH_MAX: usize = 16;

/// A geometry on the sphere, as its parts.
#[derive(Debug, Clone, Default)]
pub(super) struct Geometry {
    points: Vec<Vector>,
    lines: Vec<Vec<Vector>>,
    polygons: Vec<Polygon>,
}

/// Two numbers: an array of them or the first two fields of a document.
pub(super) fn legacy_point(value: ValueRef<'_>) -> Option<(f64, f64)> {
    let (x, y) = match value {
        ValueRef::Array(items) => {
            let mut items = items.iter();
            (items.next()?, items.next()?)
        }
        ValueRef::Document(document) => {
            let mut fields = document.iter().map(|(_, value)| value);
            (fields.next()?, fields.next()?)
        }
        _ => return None,
    };
    Some((x.as_f64()?, y.as_f64()?))
}

/// The point on the sphere. Errors: `BadValue` outside of longitude and latitude.
pub(super) fn checked_point((longitude, latitude): (f64, f64)) -> CommandResult<Vector> {
    if (-180.0..=180.0).contains(&longitude) && (-90.0..=90.0).contains(&latitude) {
        return Ok(sphere::point(longitude, latitude));
    }
    bad(format!("longitude/latitude is out of bounds, lng: {longitude} lat: {latitude}"))
}

/// The coordinates of a stored point, legacy or GeoJSON, as the plane takes them.
pub(super) fn stored_flat_point(value: ValueRef<'_>) -> Option<(f64, f64)> {
    if let ValueRef::Document(document) = value
        && let Some(ValueRef::String(kind)) = document.get("type")
    {
        return if kind == "Point" { legacy_point(document.get("coordinates")?) } else { None };
    }
    legacy_point(value)
}

impl Geometry {
    /// A geometry of a query.
    pub(super) fn parse_query(document: &Document) -> CommandResult<Self> {
        let strict_winding = document
            .get_document("crs")
            .and_then(|crs| crs.get_document("properties"))
            .and_then(|properties| properties.get_str("name"))
            .is_ok_and(|name| name == STRICT_WINDING);
        let mut geometry = Self::default();
        geometry.add(document, strict_winding, 0)?;
        Ok(geometry)
    }

    /// A stored value, if it is a geometry.
    pub(super) fn stored(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Document(_) | ValueRef::Array(_) => Self::parse_stored(value).ok(),
            _ => None,
        }
    }

    /// A stored value. Errors: what is wrong with it.
    pub(super) fn parse_stored(value: ValueRef<'_>) -> CommandResult<Self> {
        let mut geometry = Self::default();
        match value {
            ValueRef::Document(document) if matches!(document.get("type"), Some(ValueRef::String(_))) => {
                geometry.add(&document.to_document(), false, 0)?;
            }
            value => match legacy_point(value) {
                Some(flat) => geometry.points.push(checked_point(flat)?),
                None => {
                    return bad(format!("Point must be an array or object, instead got type {}", value.type_name()));
                }
            },
        }
        Ok(geometry)
    }

    fn add(&mut self, document: &Document, strict_winding: bool, depth: usize) -> CommandResult<()> {
        if depth > DEPTH_MAX {
            return bad("GeometryCollection is nested too deeply");
        }
        let Ok(kind) = document.get_str("type") else {
            return bad(format!("unknown GeoJSON type: {document}"));
        };
        if kind == "GeometryCollection" {
            let Ok(members) = document.get_array("geometries") else {
                return bad(format!("GeometryCollection geometries must be an array: {document}"));
            };
            if members.is_empty() {
                return bad("GeometryCollection geometries must have at least 1 element");
            }
            for member in members {
                match member {
                    Bson::Document(member) => self.add(member, false, depth + 1)?,
                    _ => return bad("Element of a GeometryCollection is not an object"),
                }
            }
            return Ok(());
        }
        let coordinates = || match document.get("coordinates") {
            Some(Bson::Array(items)) => Ok(items.as_slice()),
            _ => bad(format!("GeoJSON coordinates must be an array of coordinates: {document}")),
        };
        match kind {
            "Point" => self.points.push(parse_point(document.get("coordinates").unwrap_or(&Bson::Null))?),
            "MultiPoint" => {
                for item in coordinates()? {
                    self.points.push(parse_point(item)?);
                }
            }
            "LineString" => self.lines.push(parse_line(coordinates()?)?),
            "MultiLineString" => {
                for item in coordinates()? {
                    self.lines.push(parse_line(as_array(item)?)?);
                }
            }
            "Polygon" => self.polygons.push(parse_polygon(coordinates()?, strict_winding)?),
            "MultiPolygon" => {
                for item in coordinates()? {
                    self.polygons.push(parse_polygon(as_array(item)?, false)?);
                }
            }
            _ => return bad(format!("unknown GeoJSON type: {document}")),
        }
        Ok(())
    }

    pub(super) fn as_point(&self) -> Option<Vector> {
        match (self.points.as_slice(), self.lines.is_empty() && self.polygons.is_empty()) {
            ([point], true) => Some(*point),
            _ => None,
        }
    }

    /// Polygons only.
    pub(super) fn is_area(&self) -> bool {
        !self.polygons.is_empty() && self.points.is_empty() && self.lines.is_empty()
    }

    pub(super) fn all_vertices(&self, mut test: impl FnMut(&Vector) -> bool) -> bool {
        self.points.iter().chain(self.lines.iter().flatten()).all(&mut test)
            && self.polygons.iter().all(|polygon| polygon.vertices().all(&mut test))
    }

    /// The angle between a point and the nearest point of the geometry.
    pub(super) fn distance(&self, from: Vector) -> f64 {
        let points = self.points.iter().map(|point| sphere::distance(*point, from));
        let lines = self.lines.iter().flat_map(|line| arcs(line)).map(|arc| sphere::distance_to_arc(from, arc));
        let polygons = self.polygons.iter().map(|polygon| polygon.distance(from));
        points.chain(lines).chain(polygons).fold(f64::INFINITY, f64::min)
    }

    /// Does every part lie in one of the region's polygons?
    pub(super) fn is_within(&self, region: &Geometry) -> bool {
        let within = |test: &dyn Fn(&Polygon) -> bool| region.polygons.iter().any(test);
        self.points.iter().all(|point| within(&|polygon| polygon.contains(*point)))
            && self.lines.iter().all(|line| within(&|polygon| polygon.contains_chain(line)))
            && self.polygons.iter().all(|inner| within(&|polygon| polygon.contains_polygon(inner)))
    }

    /// Do the geometries share a point?
    pub(super) fn intersects(&self, other: &Geometry) -> bool {
        self.touches_parts_of(other) || other.touches_parts_of(self)
    }

    /// Each kind of part against the kinds that are at least as large.
    fn touches_parts_of(&self, other: &Geometry) -> bool {
        let points = self.points.iter().any(|point| {
            other.points.iter().any(|candidate| same(*point, *candidate))
                || other.lines.iter().flat_map(|line| arcs(line)).any(|arc| on_arc(*point, arc))
                || other.polygons.iter().any(|polygon| polygon.contains(*point))
        });
        let lines = self.lines.iter().any(|line| {
            other.polygons.iter().any(|polygon| polygon.intersects_chain(line))
                || arcs(line).any(|arc| {
                    other.lines.iter().flat_map(|line| arcs(line)).any(|candidate| arcs_touch(arc, candidate))
                })
        });
        let polygons = self
            .polygons
            .iter()
            .any(|polygon| other.polygons.iter().any(|candidate| polygon.intersects_polygon(candidate)));
        points || lines || polygons
    }
}

fn as_array(value: &Bson) -> CommandResult<&[Bson]> {
    match value {
        Bson::Array(items) => Ok(items),
        _ => bad("GeoJSON coordinates must be an array"),
    }
}

fn parse_point(value: &Bson) -> CommandResult<Vector> {
    let items = as_array(value)?;
    if items.len() < 2 || items.iter().take(2).any(|item| !ValueRef::from(item).is_number()) {
        return bad("Point must only contain numeric elements");
    }
    match legacy_point(ValueRef::from(value)) {
        Some(flat) => checked_point(flat),
        None => bad("Point must only contain numeric elements"),
    }
}

fn parse_line(items: &[Bson]) -> CommandResult<Vec<Vector>> {
    let mut points: Vec<Vector> = items.iter().map(parse_point).collect::<CommandResult<_>>()?;
    points.dedup_by(|left, right| same(*left, *right));
    if points.len() < 2 {
        return bad(format!("GeoJSON LineString must have at least 2 vertices: {}", Bson::Array(items.to_vec())));
    }
    Ok(points)
}

fn parse_polygon(items: &[Bson], strict_winding: bool) -> CommandResult<Polygon> {
    if items.is_empty() {
        return bad("Polygon has no loops.");
    }
    let mut rings = Vec::with_capacity(items.len());
    for item in items {
        let mut ring: Vec<Vector> = as_array(item)?.iter().map(parse_point).collect::<CommandResult<_>>()?;
        let (Some(first), Some(last)) = (ring.first(), ring.last()) else {
            return bad(format!("Loop has no vertices: {item}"));
        };
        if !same(*first, *last) {
            return bad(format!("Loop is not closed: {item}"));
        }
        ring.dedup_by(|left, right| same(*left, *right));
        if ring.len() < 4 {
            return bad(format!("Loop must have at least 3 different vertices: {item}"));
        }
        let edges: Vec<_> = arcs(&ring).collect();
        for (index, edge) in edges.iter().enumerate() {
            if let Some(other) = edges.iter().skip(index + 2).position(|other| sphere::arcs_cross(*edge, *other)) {
                return bad(format!("Loop is not valid: {item} Edges {index} and {} cross.", index + 2 + other));
            }
        }
        rings.push(ring);
    }
    Ok(Polygon::new(rings, strict_winding))
}
