//! Set operators. Unions and intersections come sorted; which of several equal elements stays follows MongoDB 4.4.

use std::collections::BTreeMap;

use bson::Bson;

use super::{NULL, Node, Scope, Value, is_nullish, some, type_name};
use crate::error::{CommandError, CommandResult};
use crate::query::collation::Collation;
use crate::query::value::{ValueRef, order_key};

/// Elements by order key; the first of equals stays.
type Set = BTreeMap<Vec<u8>, Bson>;

fn insert_all(set: &mut Set, items: Vec<Bson>, collation: Option<&Collation>) {
    for item in items {
        set.entry(order_key(ValueRef::from(&item), collation)).or_insert(item);
    }
}

fn wrong(code: i32, lead: &str, value: &Value) -> CommandError {
    CommandError::new(code, format!("{lead} is of type: {}", type_name(value)))
}

pub(super) fn union(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let mut set = Set::new();
    for node in nodes {
        match node.evaluate(scope)? {
            Some(Bson::Array(items)) => insert_all(&mut set, items, scope.collation),
            value if is_nullish(&value) => return NULL,
            value => return Err(wrong(17043, "All operands of $setUnion must be arrays. One argument", &value)),
        }
    }
    some(set.into_values().collect::<Vec<_>>())
}

pub(super) fn intersection(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let mut current = Set::new();
    for (position, node) in nodes.iter().enumerate() {
        match node.evaluate(scope)? {
            Some(Bson::Array(items)) => {
                if position == 0 {
                    insert_all(&mut current, items, scope.collation);
                } else if !current.is_empty() {
                    let mut next = Set::new();
                    insert_all(&mut next, items, scope.collation);
                    if current.len() > next.len() {
                        std::mem::swap(&mut current, &mut next);
                    }
                    current.retain(|key, _| next.contains_key(key));
                }
            }
            value if is_nullish(&value) => return NULL,
            value => {
                return Err(wrong(17047, "All operands of $setIntersection must be arrays. One argument", &value));
            }
        }
        // MongoDB looks at the second set even if the first is empty.
        if position > 0 && current.is_empty() {
            break;
        }
    }
    some(current.into_values().collect::<Vec<_>>())
}

pub(super) fn difference(values: &[Value], scope: &Scope<'_>) -> CommandResult<Value> {
    if is_nullish(&values[0]) || is_nullish(&values[1]) {
        return NULL;
    }
    let Some(Bson::Array(left)) = &values[0] else {
        return Err(wrong(17048, "both operands of $setDifference must be arrays. First argument", &values[0]));
    };
    let Some(Bson::Array(right)) = &values[1] else {
        return Err(wrong(17049, "both operands of $setDifference must be arrays. Second argument", &values[1]));
    };
    let key = |item: &Bson| order_key(ValueRef::from(item), scope.collation);
    let mut seen: std::collections::HashSet<Vec<u8>> = right.iter().map(key).collect();
    some(left.iter().filter(|item| seen.insert(key(item))).cloned().collect::<Vec<_>>())
}

pub(super) fn equals(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let mut first: Option<Set> = None;
    for node in nodes {
        let value = node.evaluate(scope)?;
        let Some(Bson::Array(items)) = value else {
            return Err(wrong(17044, "All operands of $setEquals must be arrays. One argument", &value));
        };
        let mut set = Set::new();
        insert_all(&mut set, items, scope.collation);
        match &first {
            None => first = Some(set),
            Some(first) => {
                if !first.keys().eq(set.keys()) {
                    return some(false);
                }
            }
        }
    }
    some(true)
}

pub(super) fn is_subset(values: &[Value], scope: &Scope<'_>) -> CommandResult<Value> {
    let Some(Bson::Array(left)) = &values[0] else {
        return Err(wrong(17046, "both operands of $setIsSubset must be arrays. First argument", &values[0]));
    };
    let Some(Bson::Array(right)) = &values[1] else {
        return Err(wrong(17042, "both operands of $setIsSubset must be arrays. Second argument", &values[1]));
    };
    let key = |item: &Bson| order_key(ValueRef::from(item), scope.collation);
    let right: std::collections::HashSet<Vec<u8>> = right.iter().map(key).collect();
    some(left.iter().all(|item| right.contains(&key(item))))
}

pub(super) fn all_elements_true(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    match &values[0] {
        Some(Bson::Array(items)) => some(items.iter().all(|item| ValueRef::from(item).is_truthy())),
        value => Err(CommandError::new(
            17040,
            format!("$allElementsTrue's argument must be an array, but is {}", type_name(value)),
        )),
    }
}

pub(super) fn any_element_true(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    match &values[0] {
        Some(Bson::Array(items)) => some(items.iter().any(|item| ValueRef::from(item).is_truthy())),
        value => Err(CommandError::new(
            17041,
            format!("$anyElementTrue's argument must be an array, but is {}", type_name(value)),
        )),
    }
}
