//! Accumulators: what `$group`, `$bucket` and `$setWindowFields` compute over many documents
//! (MongoDB manual, "Accumulators").

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use bson::{Bson, Decimal128, Document};

use super::expression::number::{ExactSum, Width, int_or_long, to_f64, width};
use super::expression::{
    Expression, Value, count_of, merge_into, not_an_object, percentile_method, percentile_points, value_bytes,
};
use crate::error::{CommandError, CommandResult};
use crate::query::value::{self, DocumentRef, ValueRef, order_key};
use crate::query::{Collation, QueryContext, SortKey, SortSpec, decimal};

/// `$sum`: numbers only.
#[derive(Debug, Clone, Default)]
pub(super) struct Sum {
    exact: ExactSum,
    decimals: Option<Decimal128>,
    width: Option<Width>,
}

impl Sum {
    pub fn add(&mut self, value: &Bson) {
        let Some(width) = width(value) else { return };
        self.width = self.width.max(Some(width));
        match value {
            Bson::Int32(number) => self.exact.add_double(f64::from(*number)),
            Bson::Int64(number) => self.exact.add_long(*number),
            Bson::Double(number) => self.exact.add_double(*number),
            Bson::Decimal128(number) => {
                self.decimals = Some(match self.decimals {
                    Some(sum) => decimal::add(sum, *number),
                    None => *number,
                });
            }
            _ => {}
        }
    }

    fn decimal_total(&self) -> Decimal128 {
        decimal::add(self.decimals.unwrap_or_else(|| decimal::from_i64(0)), self.exact.to_decimal())
    }

    pub fn result(&self) -> Bson {
        let double = || Bson::Double(self.exact.to_double());
        match self.width {
            None | Some(Width::Int) => self.exact.to_long().map_or_else(double, int_or_long),
            Some(Width::Long) => self.exact.to_long().map_or_else(double, Bson::Int64),
            Some(Width::Double) => double(),
            Some(Width::Decimal) => Bson::Decimal128(self.decimal_total()),
        }
    }
}

/// `$avg`: numbers only.
#[derive(Debug, Clone, Default)]
pub(super) struct Average {
    sum: Sum,
    count: i64,
}

impl Average {
    pub fn add(&mut self, value: &Bson) {
        if width(value).is_some() {
            self.sum.add(value);
            self.count += 1;
        }
    }

    pub fn result(&self) -> Bson {
        if self.count == 0 {
            return Bson::Null;
        }
        if self.sum.width == Some(Width::Decimal) {
            return Bson::Decimal128(decimal::divide(self.sum.decimal_total(), decimal::from_i64(self.count)));
        }
        Bson::Double(self.sum.exact.to_double() / self.count as f64)
    }
}

/// `$stdDevPop`, `$stdDevSamp`: numbers only, as doubles (Welford's method).
#[derive(Debug, Clone, Default)]
pub(super) struct Deviation {
    count: i64,
    mean: f64,
    squares: f64,
}

impl Deviation {
    pub fn add(&mut self, value: &Bson) {
        if width(value).is_none() {
            return;
        }
        let number = to_f64(value);
        self.count += 1;
        let delta = number - self.mean;
        if delta != 0.0 {
            self.mean += delta / self.count as f64;
            self.squares += delta * (number - self.mean);
        }
    }

    pub fn result(&self, sample: bool) -> Bson {
        let count = if sample { self.count - 1 } else { self.count };
        if count <= 0 {
            return Bson::Null;
        }
        Bson::Double((self.squares / count as f64).sqrt())
    }
}

/// `$percentile`, `$median`: numbers only, as doubles.
#[derive(Debug, Clone, Default)]
pub(super) struct Percentiles {
    numbers: Vec<f64>,
}

impl Percentiles {
    pub fn add(&mut self, value: &Bson) {
        if width(value).is_some() {
            let number = to_f64(value);
            if !number.is_nan() {
                self.numbers.push(number);
            }
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.numbers.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    pub fn at(&self, point: f64, continuous: bool) -> Bson {
        at_point(&self.sorted(), point, continuous)
    }

    pub fn result(&self, points: &[f64], continuous: bool) -> Vec<Bson> {
        let sorted = self.sorted();
        points.iter().map(|point| at_point(&sorted, *point, continuous)).collect()
    }
}

/// The value at this rank; between two of them interpolated or the lower one's successor.
fn at_point(sorted: &[f64], point: f64, continuous: bool) -> Bson {
    let Some(last) = sorted.len().checked_sub(1) else { return Bson::Null };
    if continuous {
        let rank = point * last as f64;
        let (low, high) = (rank.floor() as usize, (rank.ceil() as usize).min(last));
        let share = rank - rank.floor();
        return Bson::Double(sorted[low] + (sorted[high] - sorted[low]) * share);
    }
    let rank = ((point * sorted.len() as f64).ceil() as usize).saturating_sub(1).min(last);
    Bson::Double(sorted[rank])
}

/// Which accumulator.
#[derive(Debug, Clone)]
enum Kind {
    Sum,
    Average,
    Min,
    Max,
    First,
    Last,
    Push,
    AddToSet,
    Deviation { sample: bool },
    MergeObjects,
    ConcatArrays,
    SetUnion,
    Count,
    Top { order: SortSpec, from_end: bool },
    TopN { order: SortSpec, from_end: bool },
    FirstN,
    LastN,
    MinN,
    MaxN,
    Median { continuous: bool },
    Percentile { points: Vec<f64>, continuous: bool },
}

/// One accumulator of a specification: `{ $sum: expression }`.
#[derive(Debug, Clone)]
pub(super) struct Specification {
    kind: Kind,
    name: String,
    argument: Expression,
    /// `n`, evaluated once per group against the group's key.
    count: Option<Expression>,
    collation: Option<Arc<Collation>>,
}

/// Names that accumulate.
pub(super) fn is_accumulator(name: &str) -> bool {
    matches!(
        name,
        "$sum"
            | "$avg"
            | "$min"
            | "$max"
            | "$first"
            | "$last"
            | "$push"
            | "$addToSet"
            | "$stdDevPop"
            | "$stdDevSamp"
            | "$mergeObjects"
            | "$concatArrays"
            | "$setUnion"
            | "$count"
            | "$top"
            | "$bottom"
            | "$topN"
            | "$bottomN"
            | "$firstN"
            | "$lastN"
            | "$minN"
            | "$maxN"
            | "$median"
            | "$percentile"
    )
}

impl Specification {
    /// Reads `{ $name: argument }`, as the value of the output field.
    ///
    /// Errors: 40234 if it is no such object, 40238 for more than one, 15952 for an unknown name, 40237 for a list.
    pub fn parse(field: &str, value: &Bson, context: &QueryContext) -> CommandResult<Self> {
        let Bson::Document(document) = value else {
            return Err(CommandError::new(40234, format!("The field '{field}' must be an accumulator object")));
        };
        let Some((name, argument)) = document.iter().next() else {
            return Err(CommandError::new(40234, format!("The field '{field}' must be an accumulator object")));
        };
        if document.len() != 1 {
            return Err(CommandError::new(40238, format!("The field '{field}' must specify one accumulator")));
        }
        if !name.starts_with('$') {
            return Err(CommandError::new(40234, format!("The field '{field}' must be an accumulator object")));
        }
        Self::parse_call(name, argument, context)
    }

    /// [`Specification::parse`] with name and argument apart.
    pub fn parse_call(name: &str, argument: &Bson, context: &QueryContext) -> CommandResult<Self> {
        if name == "$accumulator" {
            return Err(CommandError::not_supported("The $accumulator operator"));
        }
        if !is_accumulator(name) {
            return Err(CommandError::new(15952, format!("unknown group operator '{name}'")));
        }
        let plain = |kind: Kind| -> CommandResult<Self> {
            if matches!(argument, Bson::Array(_)) {
                return Err(CommandError::new(40237, format!("The {name} accumulator is a unary operator")));
            }
            Self::new(kind, name, argument, None, context)
        };
        match name {
            "$sum" => plain(Kind::Sum),
            "$avg" => plain(Kind::Average),
            "$min" => plain(Kind::Min),
            "$max" => plain(Kind::Max),
            "$first" => plain(Kind::First),
            "$last" => plain(Kind::Last),
            "$push" => plain(Kind::Push),
            "$addToSet" => plain(Kind::AddToSet),
            "$stdDevPop" => plain(Kind::Deviation { sample: false }),
            "$stdDevSamp" => plain(Kind::Deviation { sample: true }),
            "$mergeObjects" => plain(Kind::MergeObjects),
            "$concatArrays" => plain(Kind::ConcatArrays),
            "$setUnion" => plain(Kind::SetUnion),
            "$count" => match argument {
                Bson::Document(document) if document.is_empty() => {
                    Self::new(Kind::Count, name, &Bson::Null, None, context)
                }
                _ => Err(CommandError::type_mismatch("$count takes no arguments, i.e. $count:{}")),
            },
            "$median" => {
                let [input, method] = arguments(name, argument, ["input", "method"])?;
                let kind = Kind::Median { continuous: percentile_method(name, &Some(method.clone()))? };
                Self::new(kind, name, input, None, context)
            }
            "$percentile" => {
                let [input, points, method] = arguments(name, argument, ["input", "p", "method"])?;
                let points = Expression::parse(points, context)?.evaluate(&Document::new())?;
                let kind = Kind::Percentile {
                    points: percentile_points(&points)?,
                    continuous: percentile_method(name, &Some(method.clone()))?,
                };
                Self::new(kind, name, input, None, context)
            }
            "$top" | "$bottom" => {
                let [output, order] = arguments(name, argument, ["output", "sortBy"])?;
                let kind = Kind::Top { order: order_of(name, order, context)?, from_end: name == "$bottom" };
                Self::new(kind, name, output, None, context)
            }
            "$topN" | "$bottomN" => {
                let [count, output, order] = arguments(name, argument, ["n", "output", "sortBy"])?;
                let kind = Kind::TopN { order: order_of(name, order, context)?, from_end: name == "$bottomN" };
                Self::new(kind, name, output, Some(count), context)
            }
            _ => {
                let [input, count] = arguments(name, argument, ["input", "n"])?;
                let kind = match name {
                    "$firstN" => Kind::FirstN,
                    "$lastN" => Kind::LastN,
                    "$minN" => Kind::MinN,
                    _ => Kind::MaxN,
                };
                Self::new(kind, name, input, Some(count), context)
            }
        }
    }

    fn new(
        kind: Kind,
        name: &str,
        argument: &Bson,
        count: Option<&Bson>,
        context: &QueryContext,
    ) -> CommandResult<Self> {
        let count = count.map(|count| Expression::parse(count, context)).transpose()?;
        if let Some(constant) = count.as_ref().and_then(Expression::constant) {
            count_of(name, constant)?;
        }
        Ok(Self {
            kind,
            name: name.to_owned(),
            argument: Expression::parse(argument, context)?,
            count,
            collation: context.collation.clone(),
        })
    }

    /// An accumulator that has seen nothing. `key`: the group's `_id`.
    pub fn start(&self, key: &Bson) -> CommandResult<Accumulator> {
        let count = match &self.count {
            None => 0,
            Some(count) => {
                let empty = Document::new();
                let root = match key {
                    Bson::Document(document) => document,
                    _ => &empty,
                };
                count_of(&self.name, &count.evaluate(root)?)?
            }
        };
        Ok(match &self.kind {
            Kind::Sum => Accumulator::Sum(Sum::default()),
            Kind::Average => Accumulator::Average(Average::default()),
            Kind::Min => Accumulator::Extreme { best: None, wanted: Ordering::Less },
            Kind::Max => Accumulator::Extreme { best: None, wanted: Ordering::Greater },
            Kind::First => Accumulator::First(None),
            Kind::Last => Accumulator::Last(Bson::Null),
            Kind::Push => Accumulator::Push(Vec::new()),
            Kind::AddToSet | Kind::SetUnion => Accumulator::Set { items: Vec::new(), keys: HashSet::new() },
            Kind::Deviation { sample } => Accumulator::Deviation { state: Deviation::default(), sample: *sample },
            Kind::MergeObjects => Accumulator::Merge(Document::new()),
            Kind::ConcatArrays => Accumulator::Push(Vec::new()),
            Kind::Count => Accumulator::Count(0),
            Kind::Top { .. } => Accumulator::Top { kept: Vec::new(), count: 1, single: true },
            Kind::TopN { .. } => Accumulator::Top { kept: Vec::new(), count, single: false },
            Kind::FirstN => Accumulator::FirstN { items: Vec::new(), count },
            Kind::LastN => Accumulator::LastN { items: std::collections::VecDeque::new(), count },
            Kind::MinN => Accumulator::ExtremeN { items: Vec::new(), count, descending: false },
            Kind::MaxN => Accumulator::ExtremeN { items: Vec::new(), count, descending: true },
            Kind::Median { .. } | Kind::Percentile { .. } => Accumulator::Percentiles(Percentiles::default()),
        })
    }

    /// Feeds one document. Returns the bytes the accumulator grew by.
    pub fn feed(&self, accumulator: &mut Accumulator, row: DocumentRef<'_>) -> CommandResult<usize> {
        // The cheap ones first, without copying what they read.
        match accumulator {
            Accumulator::Count(count) => {
                *count += 1;
                return Ok(0);
            }
            Accumulator::First(Some(_)) => return Ok(0),
            Accumulator::Sum(sum) => {
                if let super::expression::Borrowed::Value(value) = self.argument.borrow(row) {
                    if let Some(value) = value.filter(|value| value.is_number()) {
                        sum.add(&value.to_bson());
                    }
                    return Ok(0);
                }
            }
            Accumulator::Average(average) => {
                if let super::expression::Borrowed::Value(value) = self.argument.borrow(row) {
                    if let Some(value) = value.filter(|value| value.is_number()) {
                        average.add(&value.to_bson());
                    }
                    return Ok(0);
                }
            }
            _ => {}
        }
        let input = self.argument.evaluate(row)?;
        self.take(accumulator, input, row)
    }

    fn take(&self, accumulator: &mut Accumulator, input: Value, row: DocumentRef<'_>) -> CommandResult<usize> {
        let collation = self.collation.as_deref();
        let nullish = matches!(input, None | Some(Bson::Null | Bson::Undefined));
        let size = |value: &Bson| value_bytes(value) + 16;
        Ok(match accumulator {
            Accumulator::Count(count) => {
                *count += 1;
                0
            }
            Accumulator::Sum(sum) => {
                input.iter().for_each(|value| sum.add(value));
                0
            }
            Accumulator::Average(average) => {
                input.iter().for_each(|value| average.add(value));
                0
            }
            Accumulator::Deviation { state, .. } => {
                input.iter().for_each(|value| state.add(value));
                0
            }
            Accumulator::Percentiles(percentiles) => {
                match &input {
                    // An array counts with its numbers.
                    Some(Bson::Array(_)) | None => {}
                    Some(value) => percentiles.add(value),
                }
                8
            }
            Accumulator::Extreme { best, wanted } => {
                if let Some(value) = input.filter(|_| !nullish)
                    && best.as_ref().is_none_or(|best| value::compare(&value, best, collation) == *wanted)
                {
                    *best = Some(value);
                }
                0
            }
            Accumulator::First(first) => {
                first.get_or_insert(input.unwrap_or(Bson::Null));
                0
            }
            Accumulator::Last(last) => {
                *last = input.unwrap_or(Bson::Null);
                0
            }
            Accumulator::Push(items) => match (&self.kind, input) {
                (Kind::ConcatArrays, Some(Bson::Array(more))) => {
                    let grown = more.iter().map(size).sum();
                    items.extend(more);
                    grown
                }
                (Kind::ConcatArrays, None | Some(Bson::Undefined)) => 0,
                (Kind::ConcatArrays, Some(other)) => {
                    return Err(CommandError::type_mismatch(format!(
                        "$concatArrays requires array inputs, but input is of type {}",
                        ValueRef::from(&other).type_name()
                    )));
                }
                (_, Some(value)) => {
                    let grown = size(&value);
                    items.push(value);
                    grown
                }
                (_, None) => 0,
            },
            Accumulator::Set { items, keys } => {
                let mut grown = 0;
                let mut insert = |value: Bson| {
                    if keys.insert(order_key(ValueRef::from(&value), collation)) {
                        grown += 2 * size(&value);
                        items.push(value);
                    }
                };
                match (&self.kind, input) {
                    (Kind::SetUnion, Some(Bson::Array(more))) => more.into_iter().for_each(&mut insert),
                    (Kind::SetUnion, None | Some(Bson::Undefined)) => {}
                    (Kind::SetUnion, Some(other)) => {
                        return Err(CommandError::type_mismatch(format!(
                            "$setUnion requires array inputs, but input is of type {}",
                            ValueRef::from(&other).type_name()
                        )));
                    }
                    (_, Some(value)) => insert(value),
                    (_, None) => {}
                }
                grown
            }
            Accumulator::Merge(merged) => match input {
                Some(Bson::Document(document)) => {
                    let grown = document.iter().map(|(name, value)| name.len() + size(value)).sum();
                    merge_into(merged, document);
                    grown
                }
                _ if nullish => 0,
                other => return Err(not_an_object(&other)),
            },
            Accumulator::Top { kept, count, .. } => {
                let (order, from_end) = match &self.kind {
                    Kind::Top { order, from_end } | Kind::TopN { order, from_end } => (order, *from_end),
                    _ => return Ok(0),
                };
                let key = order.key(row)?;
                let value = input.unwrap_or(Bson::Null);
                let grown = size(&value);
                // Equal keys keep the order they came in.
                let at = kept.partition_point(|(other, _)| order.compare(other, &key) != Ordering::Greater);
                kept.insert(at, (key, value));
                if kept.len() > *count {
                    if from_end {
                        kept.remove(0);
                    } else {
                        kept.pop();
                    }
                    0
                } else {
                    grown
                }
            }
            Accumulator::FirstN { items, count } => {
                if items.len() == *count {
                    return Ok(0);
                }
                let value = input.unwrap_or(Bson::Null);
                let grown = size(&value);
                items.push(value);
                grown
            }
            Accumulator::LastN { items, count } => {
                let value = input.unwrap_or(Bson::Null);
                let grown = size(&value);
                items.push_back(value);
                if items.len() > *count {
                    items.pop_front();
                    0
                } else {
                    grown
                }
            }
            Accumulator::ExtremeN { items, count, descending } => {
                let Some(value) = input.filter(|_| !nullish) else { return Ok(0) };
                let grown = size(&value);
                let turn = |order: Ordering| if *descending { order.reverse() } else { order };
                let at =
                    items.partition_point(|other| turn(value::compare(other, &value, collation)) != Ordering::Greater);
                items.insert(at, value);
                if items.len() > *count {
                    items.pop();
                    0
                } else {
                    grown
                }
            }
        })
    }

    /// What the accumulator came to.
    pub fn result(&self, accumulator: Accumulator) -> Bson {
        match accumulator {
            Accumulator::Sum(sum) => sum.result(),
            Accumulator::Average(average) => average.result(),
            Accumulator::Extreme { best, .. } => best.unwrap_or(Bson::Null),
            Accumulator::First(first) => first.unwrap_or(Bson::Null),
            Accumulator::Last(last) => last,
            Accumulator::Push(items) | Accumulator::Set { items, .. } => Bson::Array(items),
            Accumulator::Deviation { state, sample } => state.result(sample),
            Accumulator::Merge(merged) => Bson::Document(merged),
            Accumulator::Count(count) => int_or_long(count),
            Accumulator::Top { kept, single: true, .. } => {
                kept.into_iter().next().map_or(Bson::Null, |(_, value)| value)
            }
            Accumulator::Top { kept, .. } => Bson::Array(kept.into_iter().map(|(_, value)| value).collect()),
            Accumulator::FirstN { items, .. } | Accumulator::ExtremeN { items, .. } => Bson::Array(items),
            Accumulator::LastN { items, .. } => Bson::Array(items.into()),
            Accumulator::Percentiles(percentiles) => match &self.kind {
                Kind::Percentile { points, continuous } => Bson::Array(percentiles.result(points, *continuous)),
                Kind::Median { continuous } => percentiles.at(0.5, *continuous),
                _ => Bson::Null,
            },
        }
    }
}

/// What an accumulator remembers.
#[derive(Debug, Clone)]
pub(super) enum Accumulator {
    Sum(Sum),
    Average(Average),
    Extreme { best: Option<Bson>, wanted: Ordering },
    First(Option<Bson>),
    Last(Bson),
    Push(Vec<Bson>),
    Set { items: Vec<Bson>, keys: HashSet<Vec<u8>> },
    Deviation { state: Deviation, sample: bool },
    Merge(Document),
    Count(i64),
    Top { kept: Vec<(SortKey, Bson)>, count: usize, single: bool },
    FirstN { items: Vec<Bson>, count: usize },
    LastN { items: std::collections::VecDeque<Bson>, count: usize },
    ExtremeN { items: Vec<Bson>, count: usize, descending: bool },
    Percentiles(Percentiles),
}

/// Exactly these arguments of an object.
fn arguments<'a, const N: usize>(name: &str, argument: &'a Bson, names: [&str; N]) -> CommandResult<[&'a Bson; N]> {
    let Bson::Document(document) = argument else {
        return Err(CommandError::new(5_788_001, format!("specification must be an object; found {name}: {argument}")));
    };
    if let Some(unknown) = document.keys().find(|key| !names.contains(&key.as_str())) {
        return Err(CommandError::new(5_787_901, format!("Unknown argument to {name}: '{unknown}'")));
    }
    let mut found = [&Bson::Null; N];
    for (slot, wanted) in found.iter_mut().zip(names) {
        *slot = document
            .get(wanted)
            .ok_or_else(|| CommandError::new(5_787_906, format!("Missing value for '{wanted}' in {name}")))?;
    }
    Ok(found)
}

fn order_of(name: &str, order: &Bson, context: &QueryContext) -> CommandResult<SortSpec> {
    match order {
        Bson::Document(order) => SortSpec::parse(order, context),
        other => Err(CommandError::new(
            5_788_002,
            format!("{name}: 'sortBy' must be an object, but found {}", ValueRef::from(other).type_name()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_widen_and_lose_nothing() {
        let sum_of = |values: &[Bson]| {
            let mut sum = Sum::default();
            values.iter().for_each(|value| sum.add(value));
            sum.result()
        };
        assert_eq!(sum_of(&[Bson::Int32(i32::MAX), Bson::Int32(1)]), Bson::Int64(1 << 31));
        assert_eq!(sum_of(&[Bson::Int64(i64::MAX), Bson::Int64(1)]), Bson::Double(9_223_372_036_854_775_808.0));
        let large = 9_007_199_254_740_992.0;
        assert_eq!(sum_of(&[Bson::Double(large), Bson::Double(1.0), Bson::Double(1.0)]), Bson::Double(large + 2.0));
        assert_eq!(sum_of(&[]), Bson::Int32(0));
    }
}
