//! Accumulators as expressions: over the elements of an array, or over their arguments.

use std::cmp::Ordering;

use bson::Bson;

use super::{NULL, Scope, Value, is_nullish, some, type_name};
use crate::aggregate::accumulator::{Average, Deviation, Percentiles, Sum};
use crate::error::{CommandError, CommandResult};
use crate::query::value;

/// The elements of the only argument if it is an array, else the arguments.
fn inputs(values: &[Value]) -> impl Iterator<Item = &Bson> {
    let items: &[Bson] = match values {
        [Some(Bson::Array(items))] => items,
        _ => &[],
    };
    let single = matches!(values, [Some(Bson::Array(_))]);
    items.iter().chain(if single { &[] } else { values }.iter().flatten())
}

pub(super) fn sum(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let mut sum = Sum::default();
    inputs(values).for_each(|value| sum.add(value));
    some(sum.result())
}

pub(super) fn avg(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let mut average = Average::default();
    inputs(values).for_each(|value| average.add(value));
    some(average.result())
}

fn extreme(values: &[Value], scope: &Scope<'_>, wanted: Ordering) -> CommandResult<Value> {
    let mut best: Option<&Bson> = None;
    for value in inputs(values).filter(|value| !matches!(value, Bson::Null | Bson::Undefined)) {
        if best.is_none_or(|best| value::compare(value, best, scope.collation) == wanted) {
            best = Some(value);
        }
    }
    some(best.cloned().unwrap_or(Bson::Null))
}

pub(super) fn max(values: &[Value], scope: &Scope<'_>) -> CommandResult<Value> {
    extreme(values, scope, Ordering::Greater)
}

pub(super) fn min(values: &[Value], scope: &Scope<'_>) -> CommandResult<Value> {
    extreme(values, scope, Ordering::Less)
}

fn deviation(values: &[Value], sample: bool) -> CommandResult<Value> {
    let mut deviation = Deviation::default();
    inputs(values).for_each(|value| deviation.add(value));
    some(deviation.result(sample))
}

pub(super) fn std_dev_pop(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    deviation(values, false)
}

pub(super) fn std_dev_samp(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    deviation(values, true)
}

/// `n`, a positive integer.
pub(in crate::aggregate) fn count_of(name: &str, value: &Value) -> CommandResult<usize> {
    let number = value.as_ref().and_then(|value| crate::query::value::ValueRef::from(value).as_exact_i64());
    match number.map(usize::try_from) {
        Some(Ok(count)) if count > 0 => Ok(count),
        Some(_) => Err(CommandError::new(5_787_908, format!("'n' of {name} must be greater than 0"))),
        None => Err(CommandError::new(
            5_787_902,
            format!("Value for 'n' of {name} must be of integral type, but found {}", type_name(value)),
        )),
    }
}

fn array_and_count<'a>(name: &str, values: &'a [Value]) -> CommandResult<(&'a [Bson], usize)> {
    let count = count_of(name, &values[1])?;
    match &values[0] {
        Some(Bson::Array(items)) => Ok((items, count)),
        value => Err(CommandError::new(
            5_788_200,
            format!("Input to {name} must be an array, but found {}", type_name(value)),
        )),
    }
}

pub(super) fn first_n(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let (items, count) = array_and_count("$firstN", values)?;
    some(items[..count.min(items.len())].to_vec())
}

pub(super) fn last_n(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let (items, count) = array_and_count("$lastN", values)?;
    some(items[items.len() - count.min(items.len())..].to_vec())
}

fn extreme_n(name: &str, values: &[Value], scope: &Scope<'_>, descending: bool) -> CommandResult<Value> {
    let (items, count) = array_and_count(name, values)?;
    let mut kept: Vec<Bson> =
        items.iter().filter(|item| !matches!(item, Bson::Null | Bson::Undefined)).cloned().collect();
    kept.sort_by(|left, right| {
        let order = value::compare(left, right, scope.collation);
        if descending { order.reverse() } else { order }
    });
    kept.truncate(count);
    some(kept)
}

pub(super) fn max_n(values: &[Value], scope: &Scope<'_>) -> CommandResult<Value> {
    extreme_n("$maxN", values, scope, true)
}

pub(super) fn min_n(values: &[Value], scope: &Scope<'_>) -> CommandResult<Value> {
    extreme_n("$minN", values, scope, false)
}

/// `method`, checked; true: interpolates between neighbours.
pub(in crate::aggregate) fn percentile_method(name: &str, method: &Value) -> CommandResult<bool> {
    match method {
        Some(Bson::String(method)) => match method.as_str() {
            "approximate" | "discrete" => Ok(false),
            "continuous" => Ok(true),
            _ => Err(CommandError::bad_value(format!(
                "{name}: 'method' must be one of 'approximate', 'discrete', 'continuous', found '{method}'"
            ))),
        },
        other => {
            Err(CommandError::type_mismatch(format!("{name}: 'method' must be a string, found {}", type_name(other))))
        }
    }
}

/// `p`, checked: numbers from 0 to 1.
pub(in crate::aggregate) fn percentile_points(value: &Value) -> CommandResult<Vec<f64>> {
    let wrong = || {
        CommandError::bad_value(
            "The $percentile 'p' field must be an array of numbers from [0.0, 1.0], but found another value",
        )
    };
    let Some(Bson::Array(items)) = value else { return Err(wrong()) };
    if items.is_empty() {
        return Err(wrong());
    }
    items
        .iter()
        .map(|item| {
            crate::query::value::ValueRef::from(item)
                .as_f64()
                .filter(|point| (0.0..=1.0).contains(point))
                .ok_or_else(wrong)
        })
        .collect()
}

fn percentiles_of(input: &Value) -> Percentiles {
    let mut percentiles = Percentiles::default();
    match input {
        Some(Bson::Array(items)) => items.iter().for_each(|item| percentiles.add(item)),
        Some(number) => percentiles.add(number),
        None => {}
    }
    percentiles
}

pub(super) fn percentile(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let points = percentile_points(&values[1])?;
    let continuous = percentile_method("$percentile", &values[2])?;
    some(percentiles_of(&values[0]).result(&points, continuous))
}

pub(super) fn median(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let continuous = percentile_method("$median", &values[1])?;
    if is_nullish(&values[0]) {
        return NULL;
    }
    some(percentiles_of(&values[0]).at(0.5, continuous))
}
