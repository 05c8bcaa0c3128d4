//! `$push` with its modifiers.

use std::cmp::Ordering;

use bson::{Bson, Document};

use crate::error::{CommandError, CommandResult};
use crate::query::QueryContext;
use crate::query::collation::Collation;
use crate::query::path::array_index;
use crate::query::value::{ValueRef, compare};

#[derive(Debug, Clone)]
pub(super) struct Push {
    values: Vec<Bson>,
    position: Option<i64>,
    slice: Option<i64>,
    sort: Option<ArraySort>,
}

/// How `$sort` orders the array.
#[derive(Debug, Clone)]
enum ArraySort {
    /// Whole elements.
    Whole { ascending: bool },
    /// Fields of elements.
    Fields(Vec<(String, bool)>),
}

fn bad<T>(message: impl Into<String>) -> CommandResult<T> {
    Err(CommandError::bad_value(message))
}

fn integer(value: &Bson) -> Option<i64> {
    ValueRef::from(value).as_exact_i64()
}

impl Push {
    pub(super) fn parse(value: &Bson) -> CommandResult<Self> {
        let plain = || Self { values: vec![value.clone()], position: None, slice: None, sort: None };
        let Bson::Document(clauses) = value else {
            return Ok(plain());
        };
        let Some(each) = clauses.get("$each") else {
            return Ok(plain());
        };
        let Bson::Array(values) = each else {
            return bad(format!(
                "The argument to $each in $push must be an array but it was of type: {}",
                ValueRef::from(each).type_name()
            ));
        };
        let mut push = Self { values: values.clone(), position: None, slice: None, sort: None };
        for (name, argument) in clauses {
            let kind = ValueRef::from(argument).type_name();
            match name.as_str() {
                "$each" => {}
                "$slice" => match integer(argument) {
                    Some(slice) => push.slice = Some(slice),
                    None => {
                        return bad(format!(
                            "The value for $slice must be an integer value but was given type: {kind}"
                        ));
                    }
                },
                "$position" => match integer(argument) {
                    Some(position) => push.position = Some(position),
                    None => {
                        return bad(format!("The value for $position must be an integer value, not of type: {kind}"));
                    }
                },
                "$sort" => push.sort = Some(ArraySort::parse(argument)?),
                _ => return bad(format!("Unrecognized clause in $push: {name}")),
            }
        }
        Ok(push)
    }

    pub(super) fn values(&self) -> &[Bson] {
        &self.values
    }

    /// Adds the values; true if the array counts as changed, which any sort makes it.
    pub(super) fn apply(&self, items: &mut Vec<Bson>, context: &QueryContext) -> bool {
        let mut changed = !self.values.is_empty();
        let length = items.len();
        let distance = |position: i64| usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
        let at = match self.position {
            None => length,
            Some(position) if position < 0 => length.saturating_sub(distance(position)),
            Some(position) => distance(position).min(length),
        };
        items.splice(at..at, self.values.iter().cloned());
        if let Some(sort) = &self.sort {
            changed = true;
            items.sort_by(|left, right| sort.compare(left, right, context.collation()));
        }
        if let Some(slice) = self.slice {
            let kept = distance(slice);
            if items.len() > kept {
                changed = true;
                if slice >= 0 {
                    items.truncate(kept);
                } else {
                    items.drain(..items.len() - kept);
                }
            }
        }
        changed
    }
}

impl ArraySort {
    fn parse(argument: &Bson) -> CommandResult<Self> {
        let direction = |value: &Bson| match ValueRef::from(value).as_f64() {
            Some(1.0) => Some(true),
            Some(-1.0) => Some(false),
            _ => None,
        };
        match argument {
            Bson::Document(fields) => {
                if fields.is_empty() {
                    return bad("The $sort pattern is empty when it should be a set of fields.");
                }
                let mut parts = Vec::with_capacity(fields.len());
                for (path, order) in fields {
                    let Some(ascending) = direction(order) else {
                        return bad("The $sort element value must be either 1 or -1");
                    };
                    if path.is_empty() {
                        return bad("The $sort field cannot be empty");
                    }
                    if path.split('.').any(str::is_empty) {
                        return bad(format!("The $sort field is a dotted field but has an empty part: {path}"));
                    }
                    parts.push((path.clone(), ascending));
                }
                Ok(Self::Fields(parts))
            }
            value if ValueRef::from(value).is_number() => match direction(value) {
                Some(ascending) => Ok(Self::Whole { ascending }),
                None => bad("The $sort element value must be either 1 or -1"),
            },
            _ => {
                bad("The $sort is invalid: use 1/-1 to sort the whole element, or {field:1/-1} to sort embedded fields")
            }
        }
    }

    fn compare(&self, left: &Bson, right: &Bson, collation: Option<&Collation>) -> Ordering {
        let directed = |order: Ordering, ascending: bool| if ascending { order } else { order.reverse() };
        match self {
            Self::Whole { ascending } => directed(compare(left, right, collation), *ascending),
            Self::Fields(parts) => parts
                .iter()
                .map(|(path, ascending)| {
                    let null = Bson::Null;
                    let left = field(left, path).unwrap_or(&null);
                    let right = field(right, path).unwrap_or(&null);
                    directed(compare(left, right, collation), *ascending)
                })
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal),
        }
    }
}

/// The value at a path of documents and array offsets; elements that are no documents have none.
fn field<'d>(element: &'d Bson, path: &str) -> Option<&'d Bson> {
    fn step<'d>(document: &'d Document, path: &str) -> Option<&'d Bson> {
        if let Some(whole) = document.get(path) {
            return Some(whole);
        }
        let (first, rest) = path.split_once('.')?;
        match document.get(first)? {
            Bson::Document(inner) => step(inner, rest),
            Bson::Array(items) => within(items, rest),
            _ => None,
        }
    }
    fn within<'d>(items: &'d [Bson], path: &str) -> Option<&'d Bson> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let item = items.get(array_index(first)?)?;
        match (rest, item) {
            (None, item) => Some(item),
            (Some(rest), Bson::Document(inner)) => step(inner, rest),
            (Some(rest), Bson::Array(items)) => within(items, rest),
            _ => None,
        }
    }
    match element {
        Bson::Document(document) => step(document, path),
        _ => None,
    }
}
