//! Which way a query takes to its documents: a choice of an index, and the rows it leads to.
//!
//! A plan may read too much, never too little: the whole filter is applied to everything it yields.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;

use bson::{Bson, Document, doc};

use crate::bytes;
use crate::catalog::{Collection, Index, IndexKind};
use crate::deadline;
use crate::documents::{self, KEY_BYTES_MAX, entry_record, write_part};
use crate::error::{CommandError, CommandResult};
use crate::query::filter::MatchDetails;
use crate::query::value::order_key;
use crate::query::{Collation, Filter, Interval, Predicate, SortSpec, ValueRef};
use crate::storage::{Slice, Space};
use crate::store::{Scan, View, record_id};

/// Ranges one index access may have; a query with more alternatives reads wider ones.
const RANGES_MAX: usize = 2_000;
/// Keys read to tell apart plans that look alike.
const TRIAL_KEYS: usize = 100;

/// What a query asks, as far as the choice of a plan is concerned.
pub struct Query<'a> {
    /// The whole filter.
    pub filter: &'a Filter,
    /// The order wanted, if any.
    pub sort: Option<&'a SortSpec>,
    /// Natural order wanted (`{ $natural: ±1 }` as sort or hint): true for forward.
    pub natural: Option<bool>,
    /// Index to use.
    pub hint: Option<&'a Hint>,
    /// How the query compares strings.
    pub collation: Option<&'a Collation>,
    /// Lower bound (inclusive) on the hinted index's key.
    pub min: Option<&'a Document>,
    /// Upper bound (exclusive) on the hinted index's key.
    pub max: Option<&'a Document>,
}

/// An index named by the client.
#[derive(Debug, Clone)]
pub enum Hint {
    /// By name.
    Name(String),
    /// By key pattern.
    Pattern(Document),
}

/// A way to the documents.
#[derive(Debug, Clone)]
pub struct Plan {
    access: Access,
    /// The rows come in the order asked for.
    pub is_sorted: bool,
}

#[derive(Debug, Clone)]
enum Access {
    Nothing,
    Natural { forward: bool },
    Id(Bson),
    Index(IndexAccess),
    Union(Vec<Access>),
}

#[derive(Debug, Clone)]
struct IndexAccess {
    index: Arc<Index>,
    /// In order, not overlapping; without the index's id.
    ranges: Vec<(Vec<u8>, Vec<u8>)>,
    reverse: bool,
    /// Leading parts bound to points, for the ranking.
    points: usize,
    /// Parts bound in any way.
    bound: usize,
    /// For explain.
    bounds: Vec<(String, Vec<Interval>)>,
    is_sorted: bool,
}

/// What was read, for explain.
#[derive(Debug, Clone, Copy, Default)]
pub struct Examined {
    /// Index entries.
    pub keys: u64,
    /// Documents.
    pub documents: u64,
}

impl Plan {
    /// The whole collection in natural order.
    pub fn natural(forward: bool) -> Self {
        Self { access: Access::Natural { forward }, is_sorted: false }
    }

    /// Chooses.
    ///
    /// Errors: `BadValue` (2) for a hint that names no index.
    pub fn choose(view: &View, collection: &Arc<Collection>, query: &Query<'_>) -> CommandResult<Self> {
        if let Some(forward) = query.natural {
            return Ok(Self { access: Access::Natural { forward }, is_sorted: query.sort.is_none() });
        }
        if let Some(hint) = query.hint {
            let index = find_hinted(collection, hint)?;
            if index.kind != IndexKind::Ordered {
                return Ok(Self::natural(true));
            }
            let mut access = bounded(index, &query.filter.predicates(), query)
                .unwrap_or_else(|| whole(index, query.sort, query.collation));
            if let Some(range) = explicit_range(index, query)? {
                access.ranges = vec![range];
            }
            let is_sorted = access.is_sorted;
            return Ok(Self { access: Access::Index(access), is_sorted });
        }
        if query.filter.is_empty() && query.sort.is_none() {
            return Ok(Self::natural(true));
        }
        let predicates = query.filter.predicates();
        if predicates.iter().any(|predicate| predicate.intervals.is_empty()) {
            return Ok(Self { access: Access::Nothing, is_sorted: true });
        }
        if let Some(id) = exact_id(collection, &predicates, query.collation) {
            // A single document is in any order, but one that cannot be sorted is an error all the same.
            return Ok(Self { access: Access::Id(id), is_sorted: query.sort.is_none() });
        }
        let mut candidates: Vec<IndexAccess> =
            usable(collection, query).filter_map(|index| bounded(index, &predicates, query)).collect();
        let best = best_of(view, &mut candidates)?;
        if best.is_none()
            && let Some(branches) = query.filter.branches()
            && let Some(access) = union(view, collection, &branches, query)?
        {
            return Ok(Self { access, is_sorted: false });
        }
        let best = match best {
            Some(best) => Some(best),
            // Nothing bounds the query, but an index may have the order.
            None if query.sort.is_some() => usable(collection, query)
                .filter(|index| !index.sparse && index.partial.is_none())
                .map(|index| whole(index, query.sort, query.collation))
                .find(|access| access.is_sorted),
            None => None,
        };
        Ok(match best {
            Some(access) => {
                let is_sorted = access.is_sorted;
                Self { access: Access::Index(access), is_sorted }
            }
            None => Self::natural(true),
        })
    }

    /// The rows: every document the access leads to, once, untested.
    pub fn rows(&self, view: &View, collection: &Arc<Collection>) -> CommandResult<Rows> {
        let mut rows = Rows {
            view: view.clone(),
            collection: Arc::clone(collection),
            steps: Vec::new(),
            current: None,
            seen: None,
            ticks: 0,
            examined: Examined::default(),
        };
        add_steps(&self.access, &mut rows.steps);
        rows.steps.reverse();
        if needs_seen(&self.access) {
            rows.seen = Some(HashSet::new());
        }
        Ok(rows)
    }

    /// Name of the index used, if one is.
    pub fn index_names(&self) -> Vec<String> {
        fn walk(access: &Access, names: &mut Vec<String>) {
            match access {
                Access::Index(access) => names.push(access.index.name.clone()),
                Access::Id(_) => names.push("_id_".to_owned()),
                Access::Union(parts) => parts.iter().for_each(|part| walk(part, names)),
                Access::Nothing | Access::Natural { .. } => {}
            }
        }
        let mut names = Vec::new();
        walk(&self.access, &mut names);
        names
    }

    /// The stages as explain shows them, innermost deepest.
    pub fn explain(&self, filter: &Document) -> Document {
        explain_access(&self.access, filter)
    }
}

fn explain_access(access: &Access, filter: &Document) -> Document {
    match access {
        Access::Nothing => doc! { "stage": "EOF" },
        Access::Natural { forward } => {
            let mut stage = doc! { "stage": "COLLSCAN" };
            if !filter.is_empty() {
                stage.insert("filter", filter.clone());
            }
            stage.insert("direction", if *forward { "forward" } else { "backward" });
            stage
        }
        Access::Id(_) => doc! { "stage": "IDHACK" },
        Access::Index(access) => {
            let mut stage = doc! { "stage": "FETCH" };
            if !filter.is_empty() {
                stage.insert("filter", filter.clone());
            }
            stage.insert("inputStage", explain_index(access));
            stage
        }
        Access::Union(parts) => {
            let inputs: Vec<Bson> = parts
                .iter()
                .map(|part| match part {
                    Access::Index(access) => explain_index(access).into(),
                    Access::Id(value) => doc! {
                        "stage": "IXSCAN", "keyPattern": { "_id": 1 }, "indexName": "_id_", "isMultiKey": false,
                        "isUnique": true, "direction": "forward",
                        "indexBounds": { "_id": [show_interval(&Interval::point(value.clone()))] },
                    }
                    .into(),
                    other => explain_access(other, &Document::new()).into(),
                })
                .collect();
            let mut fetch = doc! { "stage": "FETCH" };
            if !filter.is_empty() {
                fetch.insert("filter", filter.clone());
            }
            fetch.insert("inputStage", doc! { "stage": "OR", "inputStages": inputs });
            doc! { "stage": "SUBPLAN", "inputStage": fetch }
        }
    }
}

fn explain_index(access: &IndexAccess) -> Document {
    let index = &access.index;
    let mut bounds = Document::new();
    for (path, is_ascending) in &index.parts {
        let shown: Vec<Bson> = match access.bounds.iter().find(|(bound, _)| bound == path) {
            Some((_, intervals)) => intervals.iter().map(|interval| show_interval(interval).into()).collect(),
            None if *is_ascending => vec!["[MinKey, MaxKey]".into()],
            None => vec!["[MaxKey, MinKey]".into()],
        };
        bounds.insert(path, shown);
    }
    doc! {
        "stage": "IXSCAN",
        "keyPattern": index.key_pattern(),
        "indexName": &index.name,
        "isMultiKey": index.flags.bits() & 1 != 0,
        "isUnique": index.is_unique(),
        "isSparse": index.sparse,
        "isPartial": index.partial.is_some(),
        "indexVersion": 2,
        "direction": if access.reverse { "backward" } else { "forward" },
        "indexBounds": bounds,
    }
}

fn show_interval(interval: &Interval) -> String {
    format!(
        "{}{}, {}{}",
        if interval.start_inclusive { "[" } else { "(" },
        interval.start,
        interval.end,
        if interval.end_inclusive { "]" } else { ")" },
    )
}

fn find_hinted<'a>(collection: &'a Collection, hint: &Hint) -> CommandResult<&'a Arc<Index>> {
    let found = match hint {
        Hint::Name(name) => collection.index(name),
        Hint::Pattern(pattern) => collection.indexes.iter().find(|index| same_pattern(&index.key_pattern(), pattern)),
    };
    found.ok_or_else(|| {
        CommandError::bad_value(
            "error processing query: planner returned error :: caused by :: hint provided does not correspond to an existing index",
        )
    })
}

/// The same paths with equal directions, whatever their number types.
pub fn same_pattern(left: &Document, right: &Document) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|((a, x), (b, y))| a == b && crate::query::equal(x, y, None))
}

/// Indexes this query may use at all.
fn usable<'a>(collection: &'a Arc<Collection>, query: &'a Query<'_>) -> impl Iterator<Item = &'a Arc<Index>> {
    collection.indexes.iter().filter(move |index| {
        !index.hidden
            && index.kind == IndexKind::Ordered
            && index.partial.as_ref().is_none_or(|partial| query.filter.implies(partial))
    })
}

fn same_collation(index: &Index, collation: Option<&Collation>) -> bool {
    index.collation.as_deref() == collation
}

/// Do the intervals hold no value whose order a collation could change?
fn is_free_of_text(intervals: &[Interval]) -> bool {
    use crate::query::value::TypeBracket;
    let bracket = |value: &Bson| ValueRef::from(value).bracket();
    let is_plain =
        |value: &Bson| !matches!(value, Bson::String(_) | Bson::Symbol(_) | Bson::Document(_) | Bson::Array(_));
    // An interval across brackets may hold text between its ends.
    intervals.iter().all(|interval| {
        let (start, end): (TypeBracket, TypeBracket) = (bracket(&interval.start), bracket(&interval.end));
        is_plain(&interval.start) && is_plain(&interval.end) && start as u8 == end as u8
    })
}

fn exact_id(collection: &Collection, predicates: &[Predicate], collation: Option<&Collation>) -> Option<Bson> {
    let index = collection.id_index()?;
    let predicate = predicates.iter().find(|predicate| predicate.path == "_id" && predicate.intervals.len() == 1)?;
    let interval = predicate.intervals.first().filter(|interval| interval.is_point())?;
    if !same_collation(index, collation) && !is_free_of_text(&predicate.intervals) {
        return None;
    }
    match &interval.start {
        // An array matches by its elements as well, though no `_id` is one.
        Bson::Array(_) => None,
        value => Some(value.clone()),
    }
}

fn intersect(left: &[Interval], right: &[Interval], collation: Option<&Collation>) -> Vec<Interval> {
    use std::cmp::Ordering;
    let order = |a: &Bson, b: &Bson| crate::query::compare(a, b, collation);
    let mut found = Vec::new();
    for a in left {
        for b in right {
            let (start, start_inclusive) = match order(&a.start, &b.start) {
                Ordering::Greater => (&a.start, a.start_inclusive),
                Ordering::Less => (&b.start, b.start_inclusive),
                Ordering::Equal => (&a.start, a.start_inclusive && b.start_inclusive),
            };
            let (end, end_inclusive) = match order(&a.end, &b.end) {
                Ordering::Less => (&a.end, a.end_inclusive),
                Ordering::Greater => (&b.end, b.end_inclusive),
                Ordering::Equal => (&a.end, a.end_inclusive && b.end_inclusive),
            };
            match order(start, end) {
                Ordering::Greater => {}
                Ordering::Equal if !(start_inclusive && end_inclusive) => {}
                _ => found.push(Interval { start: start.clone(), start_inclusive, end: end.clone(), end_inclusive }),
            }
        }
    }
    found
}

/// How narrow a set of intervals looks: points first.
fn width(intervals: &[Interval]) -> usize {
    let is_points = intervals.iter().all(Interval::is_point);
    if is_points { intervals.len() } else { 1_000_000 + intervals.len() }
}

/// The access the predicates give on this index; none if they do not bound its first part.
fn bounded(index: &Arc<Index>, predicates: &[Predicate], query: &Query<'_>) -> Option<IndexAccess> {
    let is_multikey = index.flags.bits() & 1 != 0;
    let is_same_collation = same_collation(index, query.collation);
    let mut chosen: Vec<(usize, Vec<Interval>, u32)> = Vec::new();
    for (part, (path, _)) in index.parts.iter().enumerate() {
        let mut candidates = predicates.iter().filter(|predicate| {
            predicate.path == *path && (is_same_collation || is_free_of_text(&predicate.intervals))
        });
        let bound = if is_multikey {
            let best = candidates.clone().min_by_key(|predicate| width(&predicate.intervals));
            best.map(|best| {
                let mut intervals = best.intervals.clone();
                if best.element_group != 0 {
                    for other in candidates.filter(|other| other.element_group == best.element_group) {
                        intervals = intersect(&intervals, &other.intervals, query.collation);
                    }
                }
                (intervals, best.element_group)
            })
        } else {
            candidates.next().map(|first| {
                let mut intervals = first.intervals.clone();
                for other in candidates {
                    intervals = intersect(&intervals, &other.intervals, query.collation);
                }
                (intervals, first.element_group)
            })
        };
        let Some((intervals, group)) = bound else {
            if part == 0 {
                return None;
            }
            continue;
        };
        if is_multikey && part > 0 {
            // Two conditions below one array may be met by different elements.
            let root = |path: &str| path.split('.').next().unwrap_or_default().to_owned();
            let clashes = chosen.iter().any(|(other, _, other_group)| {
                index.parts.get(*other).is_some_and(|(other_path, _)| root(other_path) == root(path))
                    && (group == 0 || group != *other_group)
            });
            if clashes {
                continue;
            }
        }
        chosen.push((part, intervals, group));
    }
    if chosen.first().is_none_or(|(part, _, _)| *part != 0) {
        return None;
    }
    if index.sparse {
        // A sparse index lacks documents without any of its paths.
        let excludes_missing = predicates
            .iter()
            .any(|predicate| !predicate.matches_missing && index.parts.iter().any(|(path, _)| *path == predicate.path));
        if !excludes_missing {
            return None;
        }
    }
    let mut ranges: Vec<Prefix> = vec![Prefix::default()];
    let mut points = 0;
    let mut bound = 0;
    let mut bounds = Vec::new();
    let mut is_single = true;
    let mut fixed: Vec<usize> = Vec::new();
    for (part, (path, is_ascending)) in index.parts.iter().enumerate() {
        let Some((_, intervals, _)) = chosen.iter().find(|(chosen_part, _, _)| *chosen_part == part) else { break };
        bounds.push((path.clone(), intervals.clone()));
        bound += 1;
        let are_points = intervals.iter().all(Interval::is_point);
        if ranges.len() * intervals.len().max(1) > RANGES_MAX {
            break;
        }
        let mut ordered: Vec<&Interval> = intervals.iter().collect();
        if !is_ascending {
            ordered.reverse();
        }
        let mut longer = Vec::with_capacity(ranges.len() * ordered.len());
        for range in &ranges {
            for interval in &ordered {
                longer.push(range.extended(interval, *is_ascending, index.collation.as_deref()));
            }
        }
        ranges = longer;
        if are_points && intervals.len() == 1 {
            fixed.push(part);
        } else {
            is_single = false;
        }
        if !are_points {
            break;
        }
        points += 1;
    }
    let is_one_run = is_single || ranges.len() == 1;
    let (is_sorted, reverse) = provides_sort(index, query, &fixed, is_one_run || points == 0);
    Some(IndexAccess {
        index: Arc::clone(index),
        ranges: ranges.into_iter().map(Prefix::into_range).collect(),
        reverse,
        points,
        bound,
        bounds,
        is_sorted,
    })
}

/// The whole index.
fn whole(index: &Arc<Index>, sort: Option<&SortSpec>, collation: Option<&Collation>) -> IndexAccess {
    let query_sort = sort;
    let (is_sorted, reverse) = match query_sort {
        Some(sort) => sort_direction(index, sort, collation, &[]),
        None => None,
    }
    .map_or((false, false), |reverse| (true, reverse));
    IndexAccess {
        index: Arc::clone(index),
        ranges: vec![Prefix::default().into_range()],
        reverse,
        points: 0,
        bound: 0,
        bounds: Vec::new(),
        is_sorted,
    }
}

fn provides_sort(index: &Index, query: &Query<'_>, fixed: &[usize], is_one_run: bool) -> (bool, bool) {
    let Some(sort) = query.sort else { return (true, false) };
    // Ranges over the first part come in the index's order even if there are several; behind a fixed prefix as well.
    // Several runs over a later part do not.
    let first_sorted = sort.parts.first().and_then(|(path, _)| index.parts.iter().position(|(p, _)| p == path));
    let runs_first = first_sorted == Some(0);
    if !is_one_run && !runs_first {
        return (false, false);
    }
    match sort_direction(index, sort, query.collation, fixed) {
        Some(reverse) => (true, reverse),
        None => (false, false),
    }
}

/// Does the index give this order, and must it be read backwards? Parts in `fixed` hold one value only.
fn sort_direction(index: &Index, sort: &SortSpec, collation: Option<&Collation>, fixed: &[usize]) -> Option<bool> {
    let bits = index.flags.bits();
    if bits != 0 || !same_collation(index, collation) {
        return None;
    }
    let mut wanted = sort.parts.iter().peekable();
    let mut reverse = None;
    let fixed_path = |path: &String| {
        fixed.iter().any(|part| index.parts.get(*part).is_some_and(|(fixed_path, _)| fixed_path == path))
    };
    for (part, (path, is_ascending)) in index.parts.iter().enumerate() {
        while wanted.next_if(|(wanted_path, _)| wanted_path != path && fixed_path(wanted_path)).is_some() {}
        let Some((wanted_path, wanted_ascending)) = wanted.peek() else { break };
        if wanted_path == path {
            let is_reverse = wanted_ascending != is_ascending;
            if !fixed.contains(&part) {
                if reverse.is_some_and(|reverse| reverse != is_reverse) {
                    return None;
                }
                reverse = Some(is_reverse);
            }
            wanted.next();
        } else if !fixed.contains(&part) {
            return None;
        }
    }
    while wanted.next_if(|(path, _)| fixed_path(path)).is_some() {}
    if wanted.peek().is_some() {
        return None;
    }
    Some(reverse.unwrap_or(false))
}

fn rank(access: &IndexAccess) -> (usize, usize, bool, bool) {
    let is_exact = access.index.is_unique() && access.points == access.index.parts.len();
    (access.points, access.bound, is_exact, access.is_sorted)
}

/// The candidate that reads least, found by trying when the bounds do not tell.
fn best_of(view: &View, candidates: &mut Vec<IndexAccess>) -> CommandResult<Option<IndexAccess>> {
    if candidates.len() < 2 {
        return Ok(candidates.pop());
    }
    let mut best: Option<(usize, IndexAccess)> = None;
    for access in candidates.drain(..) {
        let keys = trial(view, &access)?;
        let is_better = match &best {
            None => true,
            Some((best_keys, best_access)) => {
                keys < *best_keys || (keys == *best_keys && rank(&access) > rank(best_access))
            }
        };
        if is_better {
            best = Some((keys, access));
        }
    }
    Ok(best.map(|(_, access)| access))
}

fn trial(view: &View, access: &IndexAccess) -> CommandResult<usize> {
    let mut keys = 0;
    for range in &access.ranges {
        for pair in scan_range(view, &access.index, range, false).take(TRIAL_KEYS - keys) {
            pair?;
            keys += 1;
        }
        if keys >= TRIAL_KEYS {
            break;
        }
    }
    Ok(keys)
}

fn union(
    view: &View,
    collection: &Arc<Collection>,
    branches: &[Vec<Predicate>],
    query: &Query<'_>,
) -> CommandResult<Option<Access>> {
    let unsorted = Query { sort: None, ..*query };
    let mut parts = Vec::new();
    for predicates in branches {
        if predicates.iter().any(|predicate| predicate.intervals.is_empty()) {
            continue;
        }
        if let Some(id) = exact_id(collection, predicates, query.collation) {
            parts.push(Access::Id(id));
            continue;
        }
        let mut candidates: Vec<IndexAccess> = usable(collection, &unsorted)
            .filter(|index| index.partial.is_none())
            .filter_map(|index| bounded(index, predicates, &unsorted))
            .collect();
        match best_of(view, &mut candidates)? {
            Some(access) => parts.push(Access::Index(access)),
            None => return Ok(None),
        }
    }
    Ok(Some(if parts.is_empty() { Access::Nothing } else { Access::Union(parts) }))
}

fn explicit_range(index: &Index, query: &Query<'_>) -> CommandResult<Option<(Vec<u8>, Vec<u8>)>> {
    if query.min.is_none() && query.max.is_none() {
        return Ok(None);
    }
    let key = |bound: &Document| -> CommandResult<Vec<u8>> {
        let mut key = Vec::new();
        for (path, is_ascending) in &index.parts {
            let value = bound.get(path).ok_or_else(|| {
                CommandError::bad_value("The given index bound does not match the hinted index's key")
            })?;
            write_part(&mut key, value.into(), *is_ascending, index.collation.as_deref());
        }
        Ok(key)
    };
    let from = query.min.map(key).transpose()?.unwrap_or_default();
    let to = query.max.map(key).transpose()?.unwrap_or_else(|| vec![0xFF; KEY_BYTES_MAX + 40]);
    Ok(Some((from, to)))
}

/// A range of keys under construction: all keys from `from` on and before `to`; equal while only points were added.
#[derive(Debug, Clone, Default)]
struct Prefix {
    from: Vec<u8>,
    /// Exclusive; none while the range is "everything that begins with `from`".
    to: Option<Vec<u8>>,
}

impl Prefix {
    fn extended(&self, interval: &Interval, is_ascending: bool, collation: Option<&Collation>) -> Self {
        let encode = |value: &Bson| {
            let mut key = self.from.clone();
            write_part(&mut key, value.into(), is_ascending, collation);
            key
        };
        if interval.is_point() {
            return Self { from: encode(&interval.start), to: None };
        }
        let (low, low_inclusive, high, high_inclusive) = if is_ascending {
            (&interval.start, interval.start_inclusive, &interval.end, interval.end_inclusive)
        } else {
            (&interval.end, interval.end_inclusive, &interval.start, interval.start_inclusive)
        };
        let low = encode(low);
        let high = encode(high);
        let from = if low_inclusive { low } else { after_prefix(low) };
        let to = if high_inclusive { after_prefix(high) } else { high };
        Self { from, to: Some(to) }
    }

    fn into_range(self) -> (Vec<u8>, Vec<u8>) {
        let to = match self.to {
            Some(to) => to,
            None => after_prefix(self.from.clone()),
        };
        (self.from, to)
    }
}

/// The least key greater than all keys that begin with this one.
fn after_prefix(mut key: Vec<u8>) -> Vec<u8> {
    while let Some(last) = key.pop() {
        if last < 0xFF {
            key.push(last + 1);
            return key;
        }
    }
    vec![0xFF; KEY_BYTES_MAX + 40]
}

fn scan_range(view: &View, index: &Index, range: &(Vec<u8>, Vec<u8>), reverse: bool) -> Scan {
    let full = |key: &[u8]| {
        let mut full = index.id.to_be_bytes().to_vec();
        full.extend_from_slice(key);
        full
    };
    let (mut from, mut to) = (full(&range.0), full(&range.1));
    // Entries' keys are cut; so are bounds, to the wide side.
    if from.len() > KEY_BYTES_MAX + 4 {
        from.truncate(KEY_BYTES_MAX + 4);
    }
    if to.len() > KEY_BYTES_MAX + 4 {
        to.truncate(KEY_BYTES_MAX + 4);
        to.extend_from_slice(&[0xFF; 41]);
    }
    view.scan(Space::Index, Bound::Included(from), Bound::Excluded(to), reverse)
}

fn needs_seen(access: &Access) -> bool {
    match access {
        Access::Index(access) => access.index.flags.bits() & 1 != 0,
        Access::Union(_) => true,
        _ => false,
    }
}

enum Step {
    Natural { forward: bool },
    Id(Bson),
    Index { index: Arc<Index>, range: (Vec<u8>, Vec<u8>), reverse: bool },
}

fn add_steps(access: &Access, steps: &mut Vec<Step>) {
    match access {
        Access::Nothing => {}
        Access::Natural { forward } => steps.push(Step::Natural { forward: *forward }),
        Access::Id(value) => steps.push(Step::Id(value.clone())),
        Access::Index(access) => {
            let step = |range: &(Vec<u8>, Vec<u8>)| Step::Index {
                index: Arc::clone(&access.index),
                range: range.clone(),
                reverse: access.reverse,
            };
            if access.reverse {
                steps.extend(access.ranges.iter().rev().map(step));
            } else {
                steps.extend(access.ranges.iter().map(step));
            }
        }
        Access::Union(parts) => parts.iter().for_each(|part| add_steps(part, steps)),
    }
}

/// Records and documents of a plan, in its order.
pub struct Rows {
    view: View,
    collection: Arc<Collection>,
    /// Last one first.
    steps: Vec<Step>,
    current: Option<Current>,
    seen: Option<HashSet<u64>>,
    ticks: u32,
    /// What was read so far.
    pub examined: Examined,
}

enum Current {
    Records(Scan),
    Entries(Arc<Index>, Scan),
}

impl Rows {
    fn first_time(&mut self, record: u64) -> bool {
        self.seen.as_mut().is_none_or(|seen| seen.insert(record))
    }

    fn advance(&mut self) -> CommandResult<Option<(u64, Slice)>> {
        loop {
            match &mut self.current {
                Some(Current::Records(scan)) => match scan.next().transpose()? {
                    Some((key, stored)) => {
                        let Some(record) = record_id(&key) else { continue };
                        self.examined.documents += 1;
                        if self.first_time(record) {
                            return Ok(Some((record, stored)));
                        }
                    }
                    None => self.current = None,
                },
                Some(Current::Entries(index, scan)) => match scan.next().transpose()? {
                    Some((key, value)) => {
                        self.examined.keys += 1;
                        let Some(record) = entry_record(index, &key, &value) else { continue };
                        if !self.first_time(record) {
                            continue;
                        }
                        if let Some(stored) = self.view.record(&self.collection, record)? {
                            self.examined.documents += 1;
                            return Ok(Some((record, stored)));
                        }
                    }
                    None => self.current = None,
                },
                None => match self.steps.pop() {
                    None => return Ok(None),
                    Some(Step::Natural { forward }) => {
                        self.current = Some(Current::Records(self.view.records(&self.collection, None, !forward)));
                    }
                    Some(Step::Id(value)) => {
                        self.examined.keys += 1;
                        let found = documents::find_by_id(&self.view, &self.collection, (&value).into())?;
                        if let Some((record, stored)) = found {
                            self.examined.documents += 1;
                            if self.first_time(record) {
                                return Ok(Some((record, stored)));
                            }
                        }
                    }
                    Some(Step::Index { index, range, reverse }) => {
                        let scan = scan_range(&self.view, &index, &range, reverse);
                        self.current = Some(Current::Entries(index, scan));
                    }
                },
            }
        }
    }
}

impl Iterator for Rows {
    type Item = CommandResult<(u64, Slice)>;

    fn next(&mut self) -> Option<Self::Item> {
        // A look at the clock is cheap, but not next to a row.
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(64)
            && let Err(error) = deadline::check()
        {
            return Some(Err(error));
        }
        self.advance().transpose()
    }
}

/// A document that matched.
pub struct Match {
    /// Its record.
    pub record: u64,
    /// As stored.
    pub stored: Slice,
    /// For the positional operator.
    pub details: MatchDetails,
}

/// Rows that match the filter.
pub struct Matches {
    rows: Rows,
    filter: Arc<Filter>,
    is_everything: bool,
}

impl Matches {
    /// Tests rows by the whole filter.
    pub fn new(rows: Rows, filter: Arc<Filter>) -> Self {
        let is_everything = filter.is_empty();
        Self { rows, filter, is_everything }
    }

    /// What was read so far.
    pub fn examined(&self) -> Examined {
        self.rows.examined
    }
}

impl Iterator for Matches {
    type Item = CommandResult<Match>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (record, stored) = match self.rows.next()? {
                Ok(row) => row,
                Err(error) => return Some(Err(error)),
            };
            if self.is_everything {
                return Some(Ok(Match { record, stored, details: MatchDetails::default() }));
            }
            let document = match bytes::to_raw(&stored) {
                Ok(document) => document,
                Err(error) => return Some(Err(error)),
            };
            match self.filter.match_details(document) {
                Ok(Some(details)) => return Some(Ok(Match { record, stored, details })),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The order key of a value, for distinct values and the like.
pub fn value_key(value: &Bson, collation: Option<&Collation>) -> Vec<u8> {
    order_key(value.into(), collation)
}
