//! What a filter tells the choice of an index.
//!
//! Bounds are necessary conditions: every matching document has an index key inside them, and documents with such keys
//! are still to be tested by the whole filter. They are in terms of index keys as [`super::super::keys`] makes them: a
//! missing field is null, an empty array undefined, arrays contribute their elements.

use bson::Bson;

use super::Filter;

/// A range of values in the order of [`super::super::value::compare`].
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// Least value.
    pub start: Bson,
    /// Is `start` itself inside?
    pub start_inclusive: bool,
    /// Greatest value.
    pub end: Bson,
    /// Is `end` itself inside?
    pub end_inclusive: bool,
}

impl Interval {
    /// One value.
    pub fn point(value: Bson) -> Self {
        Self { start: value.clone(), start_inclusive: true, end: value, end_inclusive: true }
    }

    /// True when the interval holds one value only.
    pub fn is_point(&self) -> bool {
        self.start_inclusive && self.end_inclusive && self.start == self.end
    }
}

/// One condition on one path that every matching document meets.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate {
    /// Dotted path, as an index names it.
    pub path: String,
    /// Sorted, not overlapping; empty: nothing can match.
    pub intervals: Vec<Interval>,
    /// A document without the field can match (so that a sparse index on the path must not be used).
    pub matches_missing: bool,
    /// Conditions with the same number must hold for the same array element (`$elemMatch`), so both may bound a
    /// compound index. 0: no such group; on a multikey path two such conditions may be met by different elements, and
    /// only one of them may bound the index.
    pub element_group: u32,
}

impl Filter {
    /// The conditions all of which must hold. Without any, no index helps (see also [`Filter::branches`]).
    pub fn predicates(&self) -> Vec<Predicate> {
        Vec::new()
    }

    /// If the filter requires one of several alternatives (`$or`), each of them with all other conditions, so that a
    /// plan may take one index per alternative. Results may repeat across alternatives.
    pub fn branches(&self) -> Option<Vec<Vec<Predicate>>> {
        None
    }

    /// Is every document this filter matches also matched by `partial`, the filter of a partial index? May say no
    /// where it could be yes.
    pub fn implies(&self, partial: &Filter) -> bool {
        let _ = partial;
        false
    }
}
