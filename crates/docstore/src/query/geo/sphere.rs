//! Points, arcs and polygons on the unit sphere.

use std::f64::consts::PI;

/// A point of the unit sphere.
pub(super) type Vector = [f64; 3];

/// Angles below this are no distance: about a tenth of a millimetre on the earth.
const EPSILON: f64 = 2e-11;

/// The point at these degrees.
pub(super) fn point(longitude: f64, latitude: f64) -> Vector {
    let (longitude, latitude) = (longitude.to_radians(), latitude.to_radians());
    [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()]
}

fn dot(left: Vector, right: Vector) -> f64 {
    left[0] * right[0] + left[1] * right[1] + left[2] * right[2]
}

fn cross(left: Vector, right: Vector) -> Vector {
    [
        left[1] * right[2] - left[2] * right[1],
        left[2] * right[0] - left[0] * right[2],
        left[0] * right[1] - left[1] * right[0],
    ]
}

fn norm(vector: Vector) -> f64 {
    dot(vector, vector).sqrt()
}

/// The angle between two points.
pub(super) fn distance(left: Vector, right: Vector) -> f64 {
    norm(cross(left, right)).atan2(dot(left, right))
}

/// The angle between a point and the nearest point of an arc shorter than a half circle.
pub(super) fn distance_to_arc(point: Vector, (start, end): (Vector, Vector)) -> f64 {
    let normal = cross(start, end);
    let length = norm(normal);
    let at_ends = distance(point, start).min(distance(point, end));
    if length < EPSILON {
        return at_ends;
    }
    let beside = dot(cross(start, point), normal) >= 0.0 && dot(cross(point, end), normal) >= 0.0;
    if beside { (dot(point, normal) / length).clamp(-1.0, 1.0).asin().abs() } else { at_ends }
}

pub(super) fn same(left: Vector, right: Vector) -> bool {
    distance(left, right) < EPSILON
}

pub(super) fn on_arc(point: Vector, arc: (Vector, Vector)) -> bool {
    distance_to_arc(point, arc) < EPSILON
}

/// Do the arcs cross, each point of the crossing inside both?
pub(super) fn arcs_cross(first: (Vector, Vector), second: (Vector, Vector)) -> bool {
    let (a, b) = first;
    let (c, d) = second;
    if on_arc(a, second) || on_arc(b, second) || on_arc(c, first) || on_arc(d, first) {
        return false;
    }
    let ab = cross(a, b);
    let cd = cross(c, d);
    let (acb, bda) = (-dot(ab, c), dot(ab, d));
    let (cbd, dac) = (-dot(cd, b), dot(cd, a));
    acb * bda > 0.0 && bda * cbd > 0.0 && cbd * dac > 0.0
}

/// Do the arcs share a point?
pub(super) fn arcs_touch(first: (Vector, Vector), second: (Vector, Vector)) -> bool {
    on_arc(first.0, second)
        || on_arc(first.1, second)
        || on_arc(second.0, first)
        || on_arc(second.1, first)
        || arcs_cross(first, second)
}

/// The arcs along a chain of points.
pub(super) fn arcs(points: &[Vector]) -> impl Iterator<Item = (Vector, Vector)> + Clone + '_ {
    points.windows(2).map(|pair| (pair[0], pair[1]))
}

/// A polygon: the first ring is its border, the others holes. Rings are closed (the last point is the first).
#[derive(Debug, Clone)]
pub(super) struct Polygon {
    rings: Vec<Vec<Vector>>,
    /// The border runs clockwise around what it bounds: with strict winding everything outside is meant.
    complement: bool,
}

impl Polygon {
    /// `strict_winding`: the area lies to the left of the border even if that is the larger part of the sphere; otherwise
    /// the smaller part is meant whatever the direction.
    pub(super) fn new(rings: Vec<Vec<Vector>>, strict_winding: bool) -> Self {
        let complement = strict_winding && rings.first().is_some_and(|ring| signed_area(ring) < 0.0);
        Self { rings, complement }
    }

    pub(super) fn arcs(&self) -> impl Iterator<Item = (Vector, Vector)> + Clone + '_ {
        self.rings.iter().flat_map(|ring| arcs(ring))
    }

    pub(super) fn vertices(&self) -> impl Iterator<Item = &Vector> {
        self.rings.iter().flatten()
    }

    pub(super) fn on_border(&self, point: Vector) -> bool {
        self.arcs().any(|arc| on_arc(point, arc))
    }

    /// Inside or on the border.
    pub(super) fn contains(&self, point: Vector) -> bool {
        self.on_border(point) || self.contains_strictly(point)
    }

    fn contains_strictly(&self, point: Vector) -> bool {
        let Some((border, holes)) = self.rings.split_first() else {
            return false;
        };
        let inside = ring_contains(border, point) != self.complement;
        inside && !holes.iter().any(|hole| ring_contains(hole, point))
    }

    /// Zero inside.
    pub(super) fn distance(&self, point: Vector) -> f64 {
        if self.contains(point) {
            return 0.0;
        }
        self.arcs().map(|arc| distance_to_arc(point, arc)).fold(PI, f64::min)
    }

    /// Does the chain of points lie inside, borders included?
    pub(super) fn contains_chain(&self, points: &[Vector]) -> bool {
        points.iter().all(|point| self.contains(*point))
            && !arcs(points).any(|arc| self.arcs().any(|other| arcs_cross(arc, other)))
    }

    pub(super) fn contains_polygon(&self, other: &Polygon) -> bool {
        other.rings.iter().all(|ring| self.contains_chain(ring))
            && !other.complement
            // None of our holes lies within the other.
            && !self.rings.iter().skip(1).flatten().any(|point| {
                other.contains_strictly(*point) && !other.on_border(*point)
            })
    }

    pub(super) fn intersects_chain(&self, points: &[Vector]) -> bool {
        points.iter().any(|point| self.contains(*point))
            || arcs(points).any(|arc| self.arcs().any(|other| arcs_touch(arc, other)))
    }

    pub(super) fn intersects_polygon(&self, other: &Polygon) -> bool {
        other.rings.iter().any(|ring| self.intersects_chain(ring))
            || self.rings.iter().any(|ring| other.intersects_chain(ring))
    }
}

/// The area of the smaller part a ring bounds, negative if the ring runs clockwise around it.
fn signed_area(ring: &[Vector]) -> f64 {
    let Some((&origin, rest)) = ring.split_first() else {
        return 0.0;
    };
    rest.windows(2)
        .map(|pair| {
            let (a, b, c) = (origin, pair[0], pair[1]);
            2.0 * dot(a, cross(b, c)).atan2(1.0 + dot(a, b) + dot(b, c) + dot(c, a))
        })
        .sum()
}

/// Is the point inside the smaller part the ring bounds? By how often the ring winds around the point: a ring around
/// the point's antipode winds the other way.
fn ring_contains(ring: &[Vector], point: Vector) -> bool {
    let winding: f64 =
        arcs(ring).map(|(a, b)| dot(point, cross(a, b)).atan2(dot(a, b) - dot(a, point) * dot(b, point))).sum();
    winding * signed_area(ring).signum() > PI
}
