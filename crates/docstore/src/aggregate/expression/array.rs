//! Array operators (MongoDB manual, "Array Expression Operators").

use std::cmp::Ordering;

use bson::{Bson, Document, doc};

use super::number::to_exact_i32;
use super::{Budget, Frame, NULL, Node, Scope, Value, is_nullish, path_in_value, some, type_name};
use crate::error::{CommandError, CommandResult};
use crate::query::QueryContext;
use crate::query::collation::Collation;
use crate::query::value::{self, ValueRef};

fn wrong_array(code: i32, lead: &str, found: &Value) -> CommandError {
    CommandError::new(code, format!("{lead} must be an array, but is {}", type_name(found)))
}

pub(super) fn element_at(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let (array, index) = (&values[0], &values[1]);
    if is_nullish(array) || is_nullish(index) {
        return NULL;
    }
    let Some(Bson::Array(items)) = array else {
        return Err(wrong_array(28689, "$arrayElemAt's first argument", array));
    };
    let number = index.as_ref().filter(|index| ValueRef::from(*index).is_number());
    let Some(number) = number else {
        return Err(CommandError::new(
            28690,
            format!("$arrayElemAt's second argument must be a numeric value, but is {}", type_name(index)),
        ));
    };
    let Some(index) = to_exact_i32(number) else {
        return Err(CommandError::new(
            28691,
            format!("$arrayElemAt's second argument must be representable as a 32-bit integer: {number}"),
        ));
    };
    Ok(at(items, index).cloned())
}

fn at(items: &[Bson], index: i32) -> Option<&Bson> {
    let offset = index.unsigned_abs() as usize;
    if index >= 0 { items.get(offset) } else { items.len().checked_sub(offset).and_then(|index| items.get(index)) }
}

fn end_of(name: &str, values: &[Value], index: i32) -> CommandResult<Value> {
    match &values[0] {
        Some(Bson::Array(items)) => Ok(at(items, index).cloned()),
        value if is_nullish(value) => NULL,
        value => Err(wrong_array(28689, &format!("{name}'s argument"), value)),
    }
}

pub(super) fn first(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    end_of("$first", values, 0)
}

pub(super) fn last(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    end_of("$last", values, -1)
}

pub(super) fn array_to_object(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let value = &values[0];
    if is_nullish(value) {
        return NULL;
    }
    let Some(Bson::Array(items)) = value else {
        return Err(CommandError::new(
            40386,
            format!("$arrayToObject requires an array input, found: {}", type_name(value)),
        ));
    };
    let key_of = |key: &Bson, code: i32| match key {
        Bson::String(key) if key.contains('\0') => {
            Err(CommandError::new(4_940_400, "Key field cannot contain an embedded null byte"))
        }
        Bson::String(key) => Ok(key.clone()),
        other => Err(CommandError::new(
            code,
            format!(
                "$arrayToObject requires an array of key-value pairs, where the key must be of type string. Found key type: {}",
                ValueRef::from(other).type_name()
            ),
        )),
    };
    let mut result = Document::new();
    // All pairs are written alike, as the first.
    let as_arrays = matches!(items.first(), Some(Bson::Array(_)));
    for item in items {
        match item {
            Bson::Array(pair) if as_arrays => match pair.as_slice() {
                [key, value] => {
                    result.insert(key_of(key, 40395)?, value.clone());
                }
                _ => {
                    return Err(CommandError::new(
                        40397,
                        format!(
                            "$arrayToObject requires an array of size 2 arrays,found array of size: {}",
                            pair.len()
                        ),
                    ));
                }
            },
            Bson::Document(pair) if !as_arrays => {
                if pair.len() != 2 {
                    return Err(CommandError::new(
                        40392,
                        format!(
                            "$arrayToObject requires an object keys of 'k' and 'v'. Found incorrect number of keys:{}",
                            pair.len()
                        ),
                    ));
                }
                let (Some(key), Some(value)) = (pair.get("k"), pair.get("v")) else {
                    return Err(CommandError::new(
                        40393,
                        "$arrayToObject requires an object with keys 'k' and 'v'. Missing either or both keys",
                    ));
                };
                result.insert(key_of(key, 40394)?, value.clone());
            }
            other => {
                return Err(CommandError::new(
                    if as_arrays { 40396 } else { 40391 },
                    format!("Unrecognised input type format for $arrayToObject: {}", ValueRef::from(other).type_name()),
                ));
            }
        }
    }
    some(result)
}

pub(super) fn object_to_array(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    match &values[0] {
        Some(Bson::Document(document)) => some(
            document
                .iter()
                .map(|(key, value)| Bson::Document(doc! { "k": key, "v": value.clone() }))
                .collect::<Vec<_>>(),
        ),
        value if is_nullish(value) => NULL,
        value => Err(CommandError::new(
            40390,
            format!("$objectToArray requires a document input, found: {}", type_name(value)),
        )),
    }
}

pub(super) fn concat_arrays(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let mut all = Vec::new();
    let mut budget = Budget::default();
    for node in nodes {
        match node.evaluate(scope)? {
            Some(Bson::Array(items)) => {
                items.iter().try_for_each(|item| budget.take(item))?;
                all.extend(items);
            }
            value if is_nullish(&value) => return NULL,
            value => {
                return Err(CommandError::new(
                    28664,
                    format!("$concatArrays only supports arrays, not {}", type_name(&value)),
                ));
            }
        }
    }
    some(all)
}

pub(super) fn is_in(values: &[Value], scope: &Scope<'_>) -> CommandResult<Value> {
    let Some(Bson::Array(items)) = &values[1] else {
        return Err(CommandError::new(
            40081,
            format!("$in requires an array as a second argument, found: {}", type_name(&values[1])),
        ));
    };
    let searched = values[0].as_ref().unwrap_or(&Bson::Undefined);
    some(items.iter().any(|item| value::equal(item, searched, scope.collation)))
}

fn array_offset(number: i32, name: &str, value: &Value) -> CommandResult<usize> {
    let integer = value.as_ref().and_then(to_exact_i32).ok_or_else(|| {
        CommandError::new(
            number,
            format!("{name} requires an integral index, found a value of type: {}", type_name(value)),
        )
    })?;
    usize::try_from(integer)
        .map_err(|_| CommandError::new(40097, format!("{name} requires a nonnegative index, found: {integer}")))
}

/// The start and end a search was given, checked; `None` where there is none.
pub(super) fn search_range(name: &str, values: &[Value]) -> CommandResult<(usize, Option<usize>)> {
    let start = values.get(2).map_or(Ok(0), |start| array_offset(40096, name, start))?;
    let end = values.get(3).map(|end| array_offset(40096, name, end)).transpose()?;
    Ok((start, end))
}

pub(super) fn index_of_array(values: &[Value], scope: &Scope<'_>) -> CommandResult<Value> {
    let array = &values[0];
    if is_nullish(array) {
        return NULL;
    }
    let Some(Bson::Array(items)) = array else {
        return Err(CommandError::new(
            40090,
            format!("$indexOfArray requires an array as a first argument, found: {}", type_name(array)),
        ));
    };
    let searched = values[1].as_ref().unwrap_or(&Bson::Undefined);
    let (start, end) = search_range("$indexOfArray", values)?;
    let end = end.unwrap_or(items.len()).min(items.len());
    let found = items
        .iter()
        .enumerate()
        .take(end)
        .skip(start)
        .find(|(_, item)| value::equal(item, searched, scope.collation))
        .map_or(-1, |(index, _)| index as i32);
    some(found)
}

pub(super) fn is_array(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    some(matches!(values[0], Some(Bson::Array(_))))
}

pub(super) fn range(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let integer = |value: &Value, what: &str, not_number: i32, not_integer: i32| {
        let number = value.as_ref().filter(|number| ValueRef::from(*number).is_number());
        let Some(number) = number else {
            return Err(CommandError::new(
                not_number,
                format!("$range requires a numeric {what} value, found value of type: {}", type_name(value)),
            ));
        };
        to_exact_i32(number).map(i64::from).ok_or_else(|| {
            CommandError::new(
                not_integer,
                format!(
                    "$range requires a {what} value that can be represented as a 32-bit integer, found value: {number}"
                ),
            )
        })
    };
    let mut current = integer(&values[0], "starting", 34443, 34444)?;
    let end = integer(&values[1], "ending", 34445, 34446)?;
    let step = values.get(2).map_or(Ok(1), |step| integer(step, "step", 34447, 34448))?;
    if step == 0 {
        return Err(CommandError::new(34449, "$range requires a non-zero step value"));
    }
    let length = ((end - current) / step).max(0) as usize;
    Budget::default().take_bytes(length.saturating_mul(size_of::<Bson>()))?;
    let mut numbers = Vec::with_capacity(length + 1);
    while if step > 0 { current < end } else { current > end } {
        numbers.push(Bson::Int32(current as i32));
        current += step;
    }
    some(numbers)
}

pub(super) fn reverse_array(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    match &values[0] {
        Some(Bson::Array(items)) => some(items.iter().rev().cloned().collect::<Vec<_>>()),
        value if is_nullish(value) => NULL,
        value => Err(CommandError::new(
            34435,
            format!("The argument to $reverseArray must be an array, but was of type: {}", type_name(value)),
        )),
    }
}

pub(super) fn size(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    match &values[0] {
        Some(Bson::Array(items)) => some(items.len() as i32),
        value => Err(CommandError::new(
            17124,
            format!("The argument to $size must be an array, but was of type: {}", type_name(value)),
        )),
    }
}

pub(super) fn slice(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let (array, second) = (&values[0], &values[1]);
    if is_nullish(array) || is_nullish(second) {
        return NULL;
    }
    let Some(Bson::Array(items)) = array else {
        return Err(CommandError::new(
            28724,
            format!("First argument to $slice must be an array, but is of type: {}", type_name(array)),
        ));
    };
    let integer = |value: &Value, what: &str, not_number: i32, not_integer: i32| {
        let number = value.as_ref().filter(|number| ValueRef::from(*number).is_number());
        let Some(number) = number else {
            return Err(CommandError::new(
                not_number,
                format!("{what} argument to $slice must be numeric, but is of type: {}", type_name(value)),
            ));
        };
        to_exact_i32(number).ok_or_else(|| {
            CommandError::new(
                not_integer,
                format!("{what} argument to $slice can't be represented as a 32-bit integer: {number}"),
            )
        })
    };
    let length = items.len();
    let second = integer(second, "Second", 28725, 28726)?;
    let from_end = |count: i32| length.saturating_sub(count.unsigned_abs() as usize);
    let Some(third) = values.get(2) else {
        let part = if second >= 0 { &items[..length.min(second as usize)] } else { &items[from_end(second)..] };
        return some(part.to_vec());
    };
    if is_nullish(third) {
        return NULL;
    }
    let start = if second >= 0 { length.min(second as usize) } else { from_end(second) };
    let count = integer(third, "Third", 28727, 28728)?;
    if count <= 0 {
        return Err(CommandError::new(28729, format!("Third argument to $slice must be positive: {count}")));
    }
    some(items[start..length.min(start + count as usize)].to_vec())
}

pub(super) fn map(input: &Node, slot: usize, body: &Node, scope: &Scope<'_>) -> CommandResult<Value> {
    let input = input.evaluate(scope)?;
    if is_nullish(&input) {
        return NULL;
    }
    let Some(Bson::Array(items)) = input else {
        return Err(CommandError::new(16883, format!("input to $map must be an array not {}", type_name(&input))));
    };
    let mut mapped = Vec::with_capacity(items.len());
    let mut budget = Budget::default();
    for item in items {
        let frame = Frame { slot, value: Some(item), parent: scope.frame };
        let value = body.evaluate(&scope.with(&frame))?.unwrap_or(Bson::Null);
        budget.take(&value)?;
        mapped.push(value);
    }
    some(mapped)
}

pub(super) fn filter(
    input: &Node,
    slot: usize,
    condition: &Node,
    limit: Option<&Node>,
    scope: &Scope<'_>,
) -> CommandResult<Value> {
    let input = input.evaluate(scope)?;
    if is_nullish(&input) {
        return NULL;
    }
    let Some(Bson::Array(items)) = input else {
        return Err(CommandError::new(28651, format!("input to $filter must be an array not {}", type_name(&input))));
    };
    let mut most = usize::MAX;
    if let Some(limit) = limit {
        let limit = limit.evaluate(scope)?;
        if !is_nullish(&limit) {
            let number = limit.as_ref().and_then(to_exact_i32).ok_or_else(|| {
                CommandError::new(327_391, "$filter: limit must be represented as a 32-bit integral value")
            })?;
            most = usize::try_from(number).ok().filter(|number| *number > 0).ok_or_else(|| {
                CommandError::new(327_392, format!("$filter: limit must be greater than 0: {number}"))
            })?;
        }
    }
    let mut kept = Vec::new();
    for item in items {
        if kept.len() == most {
            break;
        }
        let frame = Frame { slot, value: Some(item), parent: scope.frame };
        if condition.is_true(&scope.with(&frame))?
            && let Some(item) = frame.value
        {
            kept.push(item);
        }
    }
    some(kept)
}

pub(super) fn reduce(
    input: &Node,
    initial: &Node,
    slots: (usize, usize),
    body: &Node,
    scope: &Scope<'_>,
) -> CommandResult<Value> {
    let input = input.evaluate(scope)?;
    if is_nullish(&input) {
        return NULL;
    }
    let Some(Bson::Array(items)) = input else {
        return Err(CommandError::new(
            40080,
            format!("$reduce requires that 'input' be an array, found: {}", type_name(&input)),
        ));
    };
    let mut accumulated = initial.evaluate(scope)?;
    for item in items {
        let value = Frame { slot: slots.0, value: accumulated, parent: scope.frame };
        let this = Frame { slot: slots.1, value: Some(item), parent: Some(&value) };
        accumulated = body.evaluate(&scope.with(&this))?;
    }
    Ok(accumulated)
}

pub(super) fn zip(inputs: &[Node], longest: bool, defaults: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let mut arrays = Vec::with_capacity(inputs.len());
    for input in inputs {
        match input.evaluate(scope)? {
            Some(Bson::Array(items)) => arrays.push(items),
            value if is_nullish(&value) => return NULL,
            value => {
                return Err(CommandError::new(
                    34468,
                    format!("$zip found a non-array expression in input: {}", type_name(&value)),
                ));
            }
        }
    }
    let lengths = arrays.iter().map(Vec::len);
    let length = if longest { lengths.max() } else { lengths.min() }.unwrap_or(0);
    let mut fill = Vec::with_capacity(defaults.len());
    for default in defaults {
        fill.push(default.evaluate(scope)?.unwrap_or(Bson::Null));
    }
    let mut rows = Vec::with_capacity(length);
    let mut budget = Budget::default();
    for row in 0..length {
        let mut cells = Vec::with_capacity(arrays.len());
        for (column, items) in arrays.iter().enumerate() {
            let cell = items.get(row).or_else(|| fill.get(column)).cloned().unwrap_or(Bson::Null);
            budget.take(&cell)?;
            cells.push(cell);
        }
        rows.push(Bson::Array(cells));
    }
    some(rows)
}

/// `sortBy` of `$sortArray`, and the order of `$top`, `$bottom` and their kin over values.
#[derive(Debug, Clone)]
pub(super) enum ArrayOrder {
    /// Whole elements; true: ascending.
    Elements(bool),
    /// Paths inside the elements; true: ascending.
    Paths(Vec<(Vec<String>, bool)>),
}

impl ArrayOrder {
    pub fn parse(value: &Bson, _: &QueryContext) -> CommandResult<Self> {
        let direction = |value: &Bson| match to_exact_i32(value) {
            Some(1) => Ok(true),
            Some(-1) => Ok(false),
            _ => Err(CommandError::new(15975, "$sort key ordering must be 1 (for ascending) or -1 (for descending)")),
        };
        match value {
            Bson::Document(paths) if paths.is_empty() => {
                Err(CommandError::bad_value("The $sortArray specification may not be empty"))
            }
            Bson::Document(paths) => paths
                .iter()
                .map(|(path, order)| Ok((super::parse::split_path(path)?, direction(order)?)))
                .collect::<CommandResult<Vec<_>>>()
                .map(Self::Paths),
            other => direction(other).map(Self::Elements),
        }
    }

    fn compare(&self, left: &Bson, right: &Bson, collation: Option<&Collation>) -> Ordering {
        let turn = |order: Ordering, ascending: bool| if ascending { order } else { order.reverse() };
        match self {
            Self::Elements(ascending) => turn(value::compare(left, right, collation), *ascending),
            Self::Paths(paths) => {
                for (path, ascending) in paths {
                    let left = path_in_value(left, path).unwrap_or(Bson::Null);
                    let right = path_in_value(right, path).unwrap_or(Bson::Null);
                    let order = turn(value::compare(&left, &right, collation), *ascending);
                    if order != Ordering::Equal {
                        return order;
                    }
                }
                Ordering::Equal
            }
        }
    }
}

pub(super) fn sort_array(input: &Node, order: &ArrayOrder, scope: &Scope<'_>) -> CommandResult<Value> {
    let input = input.evaluate(scope)?;
    if is_nullish(&input) {
        return NULL;
    }
    let Some(Bson::Array(mut items)) = input else {
        return Err(CommandError::new(
            2_942_504,
            format!("The input argument to $sortArray must be an array, but was of type: {}", type_name(&input)),
        ));
    };
    items.sort_by(|left, right| order.compare(left, right, scope.collation));
    some(items)
}
