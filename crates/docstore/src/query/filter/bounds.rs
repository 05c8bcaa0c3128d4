//! What a filter tells the choice of an index.
//!
//! Bounds are necessary conditions: every matching document has an index key inside them, and documents with such keys
//! are still to be tested by the whole filter. They are in terms of index keys as [`super::super::keys`] makes them: a
//! missing field is null, an empty array undefined, arrays contribute their elements.

use std::cmp::Ordering;

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, Timestamp};

use super::test::{ComparisonOperator, Membership, Test, TypeSet};
use super::{Filter, Node};
use crate::query::collation::Collation;
use crate::query::path::array_index;
use crate::query::regex::Regex;
use crate::query::value::{TypeBracket, ValueRef, compare};

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

    /// Every value.
    pub fn all() -> Self {
        Self { start: Bson::MinKey, start_inclusive: true, end: Bson::MaxKey, end_inclusive: true }
    }

    /// True when the interval holds one value only.
    pub fn is_point(&self) -> bool {
        self.start_inclusive && self.end_inclusive && compare(&self.start, &self.end, None).is_eq()
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
    /// compound index, and those on the same path may be intersected. 0: no such group; on a multikey path two such
    /// conditions (and conditions of different groups) may be met by different elements, and only one of them may bound
    /// the index.
    pub element_group: u32,
}

/// Branches of a disjunction worth planning at most.
const BRANCHES_MAX: usize = 64;

impl Filter {
    /// The conditions all of which must hold. Without any, no index helps (see also [`Filter::branches`]).
    ///
    /// Strings in bounds are compared by the filter's collation: only an index with the same collation (or a filter whose
    /// bounds hold no string, document or array) may be used.
    pub fn predicates(&self) -> Vec<Predicate> {
        let mut collector = Collector::new(self.collation.as_deref());
        collector.node(&self.root, "", 0);
        collector.predicates
    }

    /// If the filter requires one of several alternatives (`$or`), each of them with all other conditions, so that a
    /// plan may take one index per alternative. Results may repeat across alternatives. `None` if there is no such
    /// requirement, or one of the alternatives has no condition an index could use.
    pub fn branches(&self) -> Option<Vec<Vec<Predicate>>> {
        let (alternatives, others) = match &*self.root {
            Node::Or(alternatives) => (alternatives, &[][..]),
            Node::And(children) => {
                let alternatives = children.iter().find_map(|child| match child {
                    Node::Or(alternatives) => Some(alternatives),
                    _ => None,
                })?;
                (alternatives, children.as_slice())
            }
            _ => return None,
        };
        if alternatives.len() > BRANCHES_MAX {
            return None;
        }
        alternatives
            .iter()
            .map(|alternative| {
                let mut collector = Collector::new(self.collation.as_deref());
                collector.node(alternative, "", 0);
                if collector.predicates.is_empty() {
                    return None;
                }
                for other in others {
                    collector.node(other, "", 0);
                }
                Some(collector.predicates)
            })
            .collect()
    }

    /// Is every document this filter matches also matched by `partial`, the filter of a partial index? May say no
    /// where it could be yes.
    pub fn implies(&self, partial: &Filter) -> bool {
        if self.collation != partial.collation && partial.root.compares_text() {
            return false;
        }
        implies(&self.root, &partial.root, self.collation.as_deref())
    }

    /// Do bounds of the filter hold strings (also inside documents and arrays), so that an index with another collation
    /// cannot serve it?
    pub fn bounds_text(&self) -> bool {
        self.root.compares_text()
    }
}

impl Node {
    fn compares_text(&self) -> bool {
        match self {
            Self::Path(_, test) => match test {
                Test::Compare(_, value) => holds_text(value),
                Test::In(membership) => !membership.regexes.is_empty() || membership.values.iter().any(holds_text),
                Test::Regex(_) => true,
                Test::ElementObject(node) => node.compares_text(),
                Test::ElementValue(nodes) => nodes.iter().any(Self::compares_text),
                _ => false,
            },
            other => other.children().iter().any(Self::compares_text),
        }
    }
}

fn holds_text(value: &Bson) -> bool {
    match value {
        Bson::String(_) | Bson::Symbol(_) => true,
        Bson::Document(document) => document.values().any(holds_text),
        Bson::Array(items) => items.iter().any(holds_text),
        _ => false,
    }
}

struct Collector<'c> {
    collation: Option<&'c Collation>,
    predicates: Vec<Predicate>,
    groups: u32,
}

impl<'c> Collector<'c> {
    fn new(collation: Option<&'c Collation>) -> Self {
        Self { collation, predicates: Vec::new(), groups: 0 }
    }

    fn node(&mut self, node: &Node, prefix: &str, group: u32) {
        match node {
            Node::And(children) => {
                for child in children {
                    self.node(child, prefix, group);
                }
            }
            Node::AlwaysFalse => self.predicates.push(Predicate {
                path: "_id".to_owned(),
                intervals: Vec::new(),
                matches_missing: false,
                element_group: 0,
            }),
            Node::Path(path, test) => {
                let path = match (prefix, path.as_str()) {
                    ("", path) => path.to_owned(),
                    (prefix, "") => prefix.to_owned(),
                    (prefix, path) => format!("{prefix}.{path}"),
                };
                self.test(&path, test, group);
            }
            // Alternatives on one path are one condition with more intervals.
            Node::Or(children) if group == 0 => {
                let mut merged: Option<Predicate> = None;
                for child in children {
                    let mut collector = Collector::new(self.collation);
                    collector.node(child, prefix, 0);
                    let [predicate] = collector.predicates.as_slice() else {
                        return;
                    };
                    if predicate.element_group != 0 {
                        return;
                    }
                    match &mut merged {
                        None => merged = Some(predicate.clone()),
                        Some(merged) if merged.path == predicate.path => {
                            merged.intervals.extend(predicate.intervals.iter().cloned());
                            merged.matches_missing |= predicate.matches_missing;
                        }
                        Some(_) => return,
                    }
                }
                if let Some(mut merged) = merged {
                    merged.intervals = union(merged.intervals, self.collation);
                    self.predicates.push(merged);
                }
            }
            _ => {}
        }
    }

    fn test(&mut self, path: &str, test: &Test, group: u32) {
        let intervals = match test {
            Test::Compare(operator, value) => comparison_intervals(*operator, value),
            Test::In(membership) => self.membership_intervals(membership),
            Test::Regex(regex) => self.regex_intervals(regex),
            Test::Mod { .. } => Some(vec![bracket_interval(TypeBracket::Number)]),
            Test::Bits(_) => Some(vec![bracket_interval(TypeBracket::Number), bracket_interval(TypeBracket::Binary)]),
            Test::Type(types) => type_intervals(types),
            Test::Exists => Some(vec![Interval::all()]),
            Test::ElementValue(nodes) if group == 0 => {
                let group = self.next_group();
                for node in nodes {
                    self.node(node, path, group);
                }
                return;
            }
            Test::ElementObject(node) if group == 0 => {
                // An inner array counts as a document with numbers for names, which index keys do not show.
                if !node.starts_with_number() {
                    let first = self.predicates.len();
                    let group = self.next_group();
                    self.node(node, path, group);
                    // Two conditions on one field of the element are not one: the field may hold an array itself.
                    for position in first..self.predicates.len() {
                        let (earlier, later) = self.predicates.split_at_mut(position);
                        if earlier[first..].iter().any(|other| other.path == later[0].path) {
                            self.groups += 1;
                            later[0].element_group = self.groups;
                        }
                    }
                }
                return;
            }
            _ => return,
        };
        let matches_missing = test.matches(None, self.collation, &mut None);
        // A number in a path is also a field that the elements of an array may lack, which keys of the element with that
        // number do not show.
        if matches_missing && path.split('.').any(|part| array_index(part).is_some()) {
            return;
        }
        if let Some(intervals) = intervals {
            let intervals = union(intervals, self.collation);
            self.predicates.push(Predicate { path: path.to_owned(), intervals, matches_missing, element_group: group });
        }
    }

    fn next_group(&mut self) -> u32 {
        self.groups += 1;
        self.groups
    }

    fn membership_intervals(&self, membership: &Membership) -> Option<Vec<Interval>> {
        let mut intervals = Vec::with_capacity(membership.values.len());
        for value in &membership.values {
            intervals.extend(comparison_intervals(ComparisonOperator::Equal, value)?);
        }
        for regex in &membership.regexes {
            intervals.extend(self.regex_intervals(regex)?);
        }
        Some(intervals)
    }

    fn regex_intervals(&self, regex: &Regex) -> Option<Vec<Interval>> {
        if self.collation.is_some() {
            // Keys of an index with a collation are not in the order of the texts' bytes.
            return None;
        }
        let texts = match regex.literal_prefix() {
            Some((prefix, _)) => match successor(&prefix) {
                Some(end) => Interval {
                    start: Bson::String(prefix),
                    start_inclusive: true,
                    end: Bson::String(end),
                    end_inclusive: false,
                },
                None => Interval { start: Bson::String(prefix), ..bracket_interval(TypeBracket::String) },
            },
            None => bracket_interval(TypeBracket::String),
        };
        Some(vec![texts, bracket_interval(TypeBracket::Regex)])
    }
}

impl Node {
    fn starts_with_number(&self) -> bool {
        match self {
            Self::Path(path, _) => path.parts().first().is_some_and(|part| part.index.is_some()),
            other => other.children().iter().any(Self::starts_with_number),
        }
    }
}

/// The least text greater than every text with this prefix.
fn successor(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // Surrogates are no characters; the next one after them is.
        let next = if last == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(last as u32 + 1) };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

fn null_intervals() -> Vec<Interval> {
    vec![Interval::point(Bson::Undefined), Interval::point(Bson::Null)]
}

fn comparison_intervals(operator: ComparisonOperator, value: &Bson) -> Option<Vec<Interval>> {
    use ComparisonOperator as C;
    match (operator, value) {
        (C::Equal | C::LessOrEqual | C::GreaterOrEqual, Bson::Null) => return Some(null_intervals()),
        (_, Bson::Null) => return Some(Vec::new()),
        (C::Equal, Bson::Array(items)) => {
            // An array equal to this one has its first element among its keys; one nested in another array is a key.
            let first = items.first().cloned().unwrap_or(Bson::Undefined);
            return Some(vec![Interval::point(first), Interval::point(value.clone())]);
        }
        // The order of whole arrays does not show in the keys of their elements.
        (_, Bson::Array(_)) => return None,
        (C::Equal, value) => return Some(vec![Interval::point(value.clone())]),
        (_, Bson::MinKey | Bson::MaxKey) => {
            // These two also compare with values of other types; arrays as wholes and their elements agree here.
            return None;
        }
        _ => {}
    }
    let reference = ValueRef::from(value);
    if reference.is_nan() {
        return Some(match operator {
            C::LessOrEqual | C::GreaterOrEqual => vec![Interval::point(value.clone())],
            _ => Vec::new(),
        });
    }
    let bracket = bracket_interval(reference.bracket());
    Some(vec![match operator {
        C::Less | C::LessOrEqual => {
            Interval { end: value.clone(), end_inclusive: operator == C::LessOrEqual, ..bracket }
        }
        _ => Interval { start: value.clone(), start_inclusive: operator == C::GreaterOrEqual, ..bracket },
    }])
}

fn type_intervals(types: &TypeSet) -> Option<Vec<Interval>> {
    let mut intervals = Vec::new();
    if types.any_number {
        intervals.push(bracket_interval(TypeBracket::Number));
    }
    for number in &types.numbers {
        let bracket = match number {
            -1 => TypeBracket::MinKey,
            1 | 16 | 18 | 19 => TypeBracket::Number,
            2 | 14 => TypeBracket::String,
            3 => TypeBracket::Document,
            5 => TypeBracket::Binary,
            7 => TypeBracket::ObjectId,
            8 => TypeBracket::Boolean,
            9 => TypeBracket::DateTime,
            11 => TypeBracket::Regex,
            12 => TypeBracket::DbPointer,
            13 => TypeBracket::Code,
            15 => TypeBracket::CodeWithScope,
            17 => TypeBracket::Timestamp,
            10 => TypeBracket::Null,
            127 => TypeBracket::MaxKey,
            // Arrays do not show as such, and undefined also stands for empty ones.
            _ => return None,
        };
        intervals.push(bracket_interval(bracket));
    }
    Some(intervals)
}

/// All values of a bracket, or slightly more.
fn bracket_interval(bracket: TypeBracket) -> Interval {
    let empty_binary = || Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: Vec::new() });
    let code = || Bson::JavaScriptCode(String::new());
    let scoped =
        || Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code: String::new(), scope: Document::new() });
    let (start, end, end_inclusive) = match bracket {
        TypeBracket::MinKey => (Bson::MinKey, Bson::MinKey, true),
        TypeBracket::Undefined => (Bson::Undefined, Bson::Undefined, true),
        TypeBracket::Null => (Bson::Null, Bson::Null, true),
        TypeBracket::Number => (Bson::Double(f64::NAN), Bson::Double(f64::INFINITY), true),
        TypeBracket::String => (Bson::String(String::new()), Bson::Document(Document::new()), false),
        TypeBracket::Document => (Bson::Document(Document::new()), Bson::Array(Vec::new()), false),
        TypeBracket::Array => (Bson::Array(Vec::new()), empty_binary(), false),
        TypeBracket::Binary => (empty_binary(), Bson::ObjectId(ObjectId::from_bytes([0; 12])), false),
        TypeBracket::ObjectId => {
            (Bson::ObjectId(ObjectId::from_bytes([0; 12])), Bson::ObjectId(ObjectId::from_bytes([0xFF; 12])), true)
        }
        TypeBracket::Boolean => (Bson::Boolean(false), Bson::Boolean(true), true),
        TypeBracket::DateTime => {
            (Bson::DateTime(DateTime::from_millis(i64::MIN)), Bson::DateTime(DateTime::from_millis(i64::MAX)), true)
        }
        TypeBracket::Timestamp => (
            Bson::Timestamp(Timestamp { time: 0, increment: 0 }),
            Bson::Timestamp(Timestamp { time: u32::MAX, increment: u32::MAX }),
            true,
        ),
        // Pointers, which cannot be made here, lie between patterns and code.
        TypeBracket::Regex | TypeBracket::DbPointer => (crate::query::value::regex_value("", ""), code(), false),
        TypeBracket::Code => (code(), scoped(), false),
        TypeBracket::CodeWithScope => (scoped(), Bson::MaxKey, false),
        TypeBracket::MaxKey => (Bson::MaxKey, Bson::MaxKey, true),
    };
    Interval { start, start_inclusive: true, end, end_inclusive }
}

/// The same values in intervals that are sorted and apart.
fn union(mut intervals: Vec<Interval>, collation: Option<&Collation>) -> Vec<Interval> {
    intervals.sort_by(|left, right| {
        compare(&left.start, &right.start, collation).then_with(|| right.start_inclusive.cmp(&left.start_inclusive))
    });
    let mut merged: Vec<Interval> = Vec::with_capacity(intervals.len());
    for next in intervals {
        let Some(last) = merged.last_mut() else {
            merged.push(next);
            continue;
        };
        let apart = match compare(&last.end, &next.start, collation) {
            Ordering::Less => true,
            Ordering::Equal => !last.end_inclusive && !next.start_inclusive,
            Ordering::Greater => false,
        };
        if apart {
            merged.push(next);
            continue;
        }
        match compare(&last.end, &next.end, collation) {
            Ordering::Less => {
                last.end = next.end;
                last.end_inclusive = next.end_inclusive;
            }
            Ordering::Equal => last.end_inclusive |= next.end_inclusive,
            Ordering::Greater => {}
        }
    }
    merged
}

/// Does every match of `condition` match `target`?
fn implies(condition: &Node, target: &Node, collation: Option<&Collation>) -> bool {
    match target {
        Node::AlwaysTrue => return true,
        Node::And(targets) => return targets.iter().all(|target| implies(condition, target, collation)),
        _ => {}
    }
    match condition {
        Node::AlwaysFalse => true,
        Node::Or(alternatives) => alternatives.iter().all(|alternative| implies(alternative, target, collation)),
        Node::And(conditions) => {
            conditions.iter().any(|condition| implies(condition, target, collation))
                || implied_by_alternative(condition, target, collation)
        }
        Node::Path(path, test) => match target {
            Node::Path(target_path, target_test) if path == target_path => test_implies(test, target_test, collation),
            _ => implied_by_alternative(condition, target, collation),
        },
        _ => false,
    }
}

fn implied_by_alternative(condition: &Node, target: &Node, collation: Option<&Collation>) -> bool {
    match target {
        Node::Or(targets) => targets.iter().any(|target| implies(condition, target, collation)),
        _ => false,
    }
}

fn test_implies(test: &Test, target: &Test, collation: Option<&Collation>) -> bool {
    use ComparisonOperator as C;
    if let Test::Exists = target {
        return !test.matches(None, collation, &mut None) && !matches!(test, Test::Near(_));
    }
    match test {
        // Equality with an array is met by the array or by one inside it; its elements are another matter.
        Test::Compare(C::Equal, Bson::Array(_)) => {
            matches!((test, target), (Test::Compare(_, left), Test::Compare(C::Equal, right)) if left == right)
        }
        Test::Compare(C::Equal, Bson::Null) => {
            target.matches(None, collation, &mut None) && target.matches(Some(ValueRef::Null), collation, &mut None)
        }
        Test::Compare(C::Equal, value) => target.matches(Some(ValueRef::from(value)), collation, &mut None),
        Test::In(membership) if membership.regexes.is_empty() => {
            membership.values.iter().all(|value| test_implies(&Test::equality(value.clone()), target, collation))
        }
        Test::Compare(operator, value) => match target {
            Test::Compare(other, bound) => {
                let same_bracket = ValueRef::from(value).bracket() == ValueRef::from(bound).bracket();
                let order = compare(value, bound, collation);
                same_bracket
                    && !matches!(value, Bson::Array(_) | Bson::MinKey | Bson::MaxKey)
                    && !ValueRef::from(value).is_nan()
                    && !ValueRef::from(bound).is_nan()
                    && match (operator, other) {
                        (C::Less, C::Less | C::LessOrEqual) | (C::LessOrEqual, C::LessOrEqual) => order.is_le(),
                        (C::LessOrEqual, C::Less) => order.is_lt(),
                        (C::Greater, C::Greater | C::GreaterOrEqual) | (C::GreaterOrEqual, C::GreaterOrEqual) => {
                            order.is_ge()
                        }
                        (C::GreaterOrEqual, C::Greater) => order.is_gt(),
                        _ => false,
                    }
            }
            Test::Type(types) => {
                let bracket = ValueRef::from(value).bracket();
                (bracket == TypeBracket::Number && types.any_number)
                    || (!matches!(bracket, TypeBracket::Number | TypeBracket::String | TypeBracket::Null)
                        && !matches!(value, Bson::MinKey | Bson::MaxKey)
                        && types.contains(ValueRef::from(value)))
            }
            _ => false,
        },
        Test::Type(types) => match target {
            Test::Type(others) => {
                (!types.any_number || others.any_number)
                    && types.numbers.iter().all(|number| {
                        others.numbers.contains(number) || (others.any_number && matches!(number, 1 | 16 | 18 | 19))
                    })
            }
            _ => false,
        },
        _ => false,
    }
}
