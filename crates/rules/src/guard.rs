//! What queries and updates tell about fields that are not shown (rules-and-users 2.6).

use bson::{Bson, Document};

use crate::expression::values_at;
use crate::same::same;

/// Paths that a query tests or sorts by. A document in which one of them leads to something that is not shown does not
/// match: otherwise matching or not, and the order of matches, would tell it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Guard {
    paths: Vec<Vec<String>>,
}

/// Paths that an update may change. An update that leaves a field as it is would tell what is in it, when the field is
/// not shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Touched {
    /// Every field: a replacement.
    Everything,
    /// These.
    Paths {
        /// Paths it writes to.
        written: Vec<Vec<String>>,
        /// Paths its array filters test.
        tested: Vec<Vec<String>>,
    },
}

impl Guard {
    /// For a query and an order.
    pub fn new(query: &Document, sort: Option<&Document>) -> Self {
        let mut guard = Self::default();
        guard.gather(query);
        for path in sort.into_iter().flat_map(Document::keys) {
            guard.add(path);
        }
        guard
    }

    fn gather(&mut self, query: &Document) {
        for (key, value) in query {
            match (key.as_str(), value) {
                ("$and" | "$or" | "$nor", Bson::Array(branches)) => {
                    for branch in branches.iter().filter_map(Bson::as_document) {
                        self.gather(branch);
                    }
                }
                (operator, _) if operator.starts_with('$') => {}
                (path, _) => self.add(path),
            }
        }
    }

    fn add(&mut self, path: &str) {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.first().is_some_and(|first| first != "_id") && !self.paths.contains(&path) {
            self.paths.push(path);
        }
    }

    /// The paths, `_id` excepted.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &[String]> {
        self.paths.iter().map(Vec::as_slice)
    }

    /// Whether every path leads to the same values in what is stored and in what is shown.
    pub fn admits(&self, stored: &Bson, shown: &Document) -> bool {
        if self.paths.is_empty() {
            return true;
        }
        // The path needs a value to start at; the clone is of what is already known to be cut down.
        let shown = Bson::Document(shown.clone());
        self.paths.iter().all(|path| same_at(stored, &shown, path))
    }
}

impl Touched {
    /// No path at all.
    pub fn nothing() -> Self {
        Self::Paths { written: Vec::new(), tested: Vec::new() }
    }

    /// Of an update with operators.
    pub fn by_operators(update: &Document, array_filters: &[Document]) -> Self {
        let mut raw: Vec<Vec<&str>> = Vec::new();
        for (operator, fields) in update {
            for (path, value) in fields.as_document().into_iter().flatten() {
                raw.push(path.split('.').collect());
                if operator == "$rename"
                    && let Bson::String(target) = value
                {
                    raw.push(target.split('.').collect());
                }
            }
        }
        // Which elements of an array are meant is no part of a path.
        let fields_of = |path: &[&str]| -> Vec<String> {
            path.iter().filter(|segment| !segment.starts_with('$')).map(|segment| (*segment).to_owned()).collect()
        };
        let mut tested = Vec::new();
        let mut guard = Guard::default();
        array_filters.iter().for_each(|filter| guard.gather(filter));
        for test in guard.paths {
            let Some((identifier, rest)) = test.split_first() else { continue };
            let position = format!("$[{identifier}]");
            for path in &raw {
                if let Some(at) = path.iter().position(|segment| *segment == position) {
                    tested.push(fields_of(&path[..at]).into_iter().chain(rest.iter().cloned()).collect());
                }
            }
        }
        Self::Paths { written: raw.iter().map(|path| fields_of(path)).collect(), tested }
    }

    /// Written paths that lead to what is not shown; `None` when a tested one does.
    pub(crate) fn hidden(&self, stored: &Document, shown: &Document) -> Option<Vec<Vec<String>>> {
        let all;
        let (written, tested): (&[Vec<String>], &[Vec<String>]) = match self {
            Touched::Everything => {
                all = stored.keys().map(|name| vec![name.clone()]).collect::<Vec<_>>();
                (&all, &[])
            }
            Touched::Paths { written, tested } => (written, tested),
        };
        let (stored, shown) = (Bson::Document(stored.clone()), Bson::Document(shown.clone()));
        if !tested.iter().all(|path| same_at(&stored, &shown, path)) {
            return None;
        }
        Some(written.iter().filter(|path| !same_at(&stored, &shown, path)).cloned().collect())
    }
}

fn same_at(left: &Bson, right: &Bson, path: &[String]) -> bool {
    let (left, right) = (values_at(left, path), values_at(right, path));
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn check(query: Document, shown: Document, admitted: bool) {
        let stored = doc! { "_id": 1, "a": 1, "p": { "x": 1, "y": [{ "z": 1 }, { "z": 2, "w": 3 }] } };
        assert_eq!(Guard::new(&query, None).admits(&Bson::Document(stored), &shown), admitted, "{query}");
    }

    #[test]
    fn a_predicate_on_what_is_not_shown_matches_nothing() {
        let shown = || doc! { "p": { "y": [{ "z": 1 }, { "z": 2 }] } };
        check(doc! {}, shown(), true);
        check(doc! { "_id": 1 }, shown(), true);
        check(doc! { "a": 1 }, shown(), false);
        check(doc! { "a": { "$ne": 7 } }, shown(), false);
        check(doc! { "none": { "$exists": false } }, shown(), true);
        check(doc! { "p": { "$exists": true } }, shown(), false);
        check(doc! { "p.x": 1 }, shown(), false);
        check(doc! { "p.y.z": 2 }, shown(), true);
        check(doc! { "p.y.w": 3 }, shown(), false);
        check(doc! { "p.y": { "$elemMatch": { "w": 3 } } }, shown(), false);
        check(doc! { "p.y.1.w": { "$gt": 1 } }, shown(), false);
        check(doc! { "$or": [{ "p.y.z": 1 }, { "$nor": [{ "$and": [{ "a": 1 }] }] }] }, shown(), false);
    }

    #[test]
    fn an_order_is_a_predicate() {
        let stored = Bson::Document(doc! { "a": 1, "b": 2 });
        let guard = |sort: Document| Guard::new(&doc! {}, Some(&sort));
        assert!(guard(doc! { "a": -1 }).admits(&stored, &doc! { "a": 1 }));
        assert!(!guard(doc! { "a": 1, "b": 1 }).admits(&stored, &doc! { "a": 1 }));
    }
}
