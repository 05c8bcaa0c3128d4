//! `$bucket`, `$bucketAuto`, `$sortByCount`: groups by ranges and by number.

use std::cmp::Ordering;
use std::sync::Arc;

use bson::{Bson, Document, doc};

use super::group::{Group, parse_fields};
use super::{collect, object};
use crate::aggregate::accumulator::Specification;
use crate::aggregate::expression::Expression;
use crate::aggregate::expression::number::to_f64;
use crate::aggregate::pipeline::{Run, deferred};
use crate::aggregate::{Row, Rows};
use crate::error::{CommandError, CommandResult};
use crate::query::QueryContext;
use crate::query::value::{self, ValueRef};

/// `$sortByCount` as the `$group` it begins with.
pub(super) fn sort_by_count(argument: &Bson, context: &QueryContext) -> CommandResult<Group> {
    match argument {
        Bson::Document(document) if document.keys().next().is_none_or(|first| !first.starts_with('$')) => {
            return Err(CommandError::new(
                40147,
                format!(
                    "the sortByCount field must be defined as a $-prefixed path or an expression, found {argument}"
                ),
            ));
        }
        Bson::Document(_) => {}
        Bson::String(path) if path.starts_with('$') => {}
        Bson::String(_) => {
            return Err(CommandError::new(
                40148,
                format!(
                    "the sortByCount field must be defined as a $-prefixed path or an expression, found {argument}"
                ),
            ));
        }
        other => {
            return Err(CommandError::new(
                40149,
                format!(
                    "the sortByCount field must be specified as a string or as an object, found {}",
                    ValueRef::from(other).type_name()
                ),
            ));
        }
    }
    let key = Expression::parse(argument, context)?;
    Group::with_key(key, &doc! { "count": { "$sum": 1 } }, context)
}

/// `$bucket` as the `$group` it is; a sort by `_id` follows.
pub(super) fn parse(argument: &Bson, context: &QueryContext) -> CommandResult<Group> {
    let document = object(40201, "$bucket", argument)?;
    let (mut by, mut boundaries, mut default, mut output) = (None, None, None, None);
    for (name, value) in document {
        match name.as_str() {
            "groupBy" => {
                let is_path = value.as_str().is_some_and(|path| path.starts_with('$'));
                let is_expression = value
                    .as_document()
                    .is_some_and(|inner| inner.keys().next().is_some_and(|key| key.starts_with('$')));
                if !(is_path || is_expression) {
                    return Err(CommandError::new(
                        40202,
                        format!(
                            "The $bucket 'groupBy' field must be defined as a $-prefixed path or an expression, but found: {value}"
                        ),
                    ));
                }
                by = Some(value);
            }
            "boundaries" => boundaries = Some(parse_boundaries(value, context)?),
            "default" => {
                let constant = Expression::parse(value, context)?;
                let constant = constant.constant().cloned().ok_or_else(|| {
                    CommandError::new(
                        40195,
                        format!("The $bucket 'default' field must be a constant expression, but found: {value}"),
                    )
                })?;
                default = Some(constant.unwrap_or(Bson::Null));
            }
            "output" => {
                output = Some(
                    value
                        .as_document()
                        .ok_or_else(|| CommandError::new(40196, "The $bucket 'output' field must be an object"))?,
                );
            }
            _ => return Err(CommandError::new(40197, format!("Unrecognized option to $bucket: {name}."))),
        }
    }
    let (Some(by), Some(boundaries)) = (by, boundaries) else {
        return Err(CommandError::new(40198, "$bucket requires 'groupBy' and 'boundaries' to be specified."));
    };
    let compare = |left: &Bson, right: &Bson| value::compare(left, right, context.collation());
    if let (Some(default), Some(first), Some(last)) = (&default, boundaries.first(), boundaries.last())
        && compare(default, first).is_ge()
        && compare(default, last).is_lt()
    {
        return Err(CommandError::new(
            40199,
            "The $bucket 'default' field must be less than the lowest boundary or greater than or equal to the highest boundary.",
        ));
    }
    // A row goes to the last boundary not above its value.
    let branches: Vec<Bson> = boundaries
        .windows(2)
        .map(|pair| {
            Bson::Document(doc! {
                "case": { "$and": [
                    { "$gte": [by.clone(), { "$literal": pair[0].clone() }] },
                    { "$lt": [by.clone(), { "$literal": pair[1].clone() }] },
                ] },
                "then": { "$literal": pair[0].clone() },
            })
        })
        .collect();
    let mut switch = doc! { "branches": branches };
    if let Some(default) = default {
        switch.insert("default", doc! { "$literal": default });
    }
    let key = Expression::parse_document(&doc! { "$switch": switch }, context)?;
    let counted = doc! { "count": { "$sum": 1 } };
    Group::with_key(key, output.unwrap_or(&counted), context)
}

fn parse_boundaries(value: &Bson, context: &QueryContext) -> CommandResult<Vec<Bson>> {
    let Bson::Array(items) = value else {
        return Err(CommandError::new(
            40200,
            format!(
                "The $bucket 'boundaries' field must be an array, but found type: {}",
                ValueRef::from(value).type_name()
            ),
        ));
    };
    let boundaries = items
        .iter()
        .map(|item| {
            let expression = Expression::parse(item, context)?;
            match expression.constant() {
                Some(value) => Ok(value.clone().unwrap_or(Bson::Null)),
                None => Err(CommandError::new(
                    40191,
                    format!(
                        "The $bucket 'boundaries' field must be an array of constant values, but found value: {item}"
                    ),
                )),
            }
        })
        .collect::<CommandResult<Vec<_>>>()?;
    if boundaries.len() < 2 {
        return Err(CommandError::new(
            40192,
            format!(
                "The $bucket 'boundaries' field must have at least 2 values, but found {} value(s).",
                boundaries.len()
            ),
        ));
    }
    for pair in boundaries.windows(2) {
        if ValueRef::from(&pair[0]).bracket() != ValueRef::from(&pair[1]).bracket() {
            return Err(CommandError::new(
                40193,
                "All values in the the 'boundaries' option to $bucket must have the same type.",
            ));
        }
        if value::compare(&pair[0], &pair[1], context.collation()) != Ordering::Less {
            return Err(CommandError::new(
                40194,
                "The 'boundaries' option to $bucket must be sorted, without equal values.",
            ));
        }
    }
    Ok(boundaries)
}

/// A parsed `$bucketAuto`.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct BucketAuto {
    by: Expression,
    buckets: usize,
    fields: Vec<(String, Specification)>,
    granularity: Option<Granularity>,
    context: QueryContext,
}

impl BucketAuto {
    /// Reads `{ groupBy, buckets, output, granularity }`.
    pub fn parse(argument: &Bson, context: &QueryContext) -> CommandResult<Self> {
        let document = object(40240, "$bucketAuto", argument)?;
        let (mut by, mut buckets, mut output, mut granularity) = (None, None, None, None);
        for (name, value) in document {
            match name.as_str() {
                "groupBy" => {
                    let is_path = value.as_str().is_some_and(|path| path.starts_with('$'));
                    let is_expression = value
                        .as_document()
                        .is_some_and(|inner| inner.keys().next().is_some_and(|key| key.starts_with('$')));
                    if !(is_path || is_expression) {
                        return Err(CommandError::new(
                            40239,
                            format!(
                                "The $bucketAuto 'groupBy' field must be defined as a $-prefixed path or an expression, but found: {value}"
                            ),
                        ));
                    }
                    by = Some(Expression::parse(value, context)?);
                }
                "buckets" => {
                    let number = ValueRef::from(value);
                    if !number.is_number() {
                        return Err(CommandError::new(
                            40241,
                            "The $bucketAuto 'buckets' field must be a numeric value",
                        ));
                    }
                    let count = number.as_exact_i64().and_then(|count| i32::try_from(count).ok()).ok_or_else(|| {
                        CommandError::new(
                            40242,
                            "The $bucketAuto 'buckets' field must be representable as a 32-bit integer",
                        )
                    })?;
                    if count <= 0 {
                        return Err(CommandError::new(
                            40243,
                            format!("The $bucketAuto 'buckets' field must be greater than 0, but found: {count}"),
                        ));
                    }
                    buckets = Some(count as usize);
                }
                "output" => {
                    output =
                        Some(value.as_document().ok_or_else(|| {
                            CommandError::new(40244, "The $bucketAuto 'output' field must be an object")
                        })?);
                }
                "granularity" => {
                    let name = value.as_str().ok_or_else(|| {
                        CommandError::new(40261, "The $bucketAuto 'granularity' field must be a string")
                    })?;
                    granularity = Some(Granularity::parse(name)?);
                }
                _ => return Err(CommandError::new(40245, format!("Unrecognized option to $bucketAuto: {name}."))),
            }
        }
        let (Some(by), Some(buckets)) = (by, buckets) else {
            return Err(CommandError::new(40246, "$bucketAuto requires 'groupBy' and 'buckets' to be specified."));
        };
        let counted = doc! { "count": { "$sum": 1 } };
        let fields = parse_fields(output.unwrap_or(&counted), context)?;
        Ok(Self { by, buckets, fields, granularity, context: context.clone() })
    }

    fn run(&self, rows: Vec<Row>) -> CommandResult<Vec<Document>> {
        let mut keyed = Vec::with_capacity(rows.len());
        for row in rows {
            let key = self.by.evaluate(row.as_ref())?.unwrap_or(Bson::Null);
            if self.granularity.is_some() {
                let number = ValueRef::from(&key);
                if !number.is_number() || number.is_nan() {
                    return Err(CommandError::new(
                        40258,
                        format!(
                            "$bucketAuto can specify a 'granularity' with numeric boundaries only, but found a value with type: {}",
                            number.type_name()
                        ),
                    ));
                }
                if to_f64(&key) < 0.0 {
                    return Err(CommandError::new(
                        40260,
                        "$bucketAuto can specify a 'granularity' with non-negative numbers only, but found a negative number",
                    ));
                }
            }
            keyed.push((key, row));
        }
        let compare = |left: &Bson, right: &Bson| value::compare(left, right, self.context.collation());
        keyed.sort_by(|left, right| compare(&left.0, &right.0));
        let size = ((keyed.len() as f64 / self.buckets as f64).round() as usize).max(1);
        let mut ranges: Vec<(Bson, Bson, Vec<Row>)> = Vec::new();
        let mut rest = keyed.into_iter().peekable();
        while let Some((key, row)) = rest.next() {
            let least = match (&self.granularity, ranges.last_mut()) {
                (Some(granularity), None) => granularity.below(&key),
                (Some(_), Some(previous)) => previous.1.clone(),
                (None, None) => key.clone(),
                (None, Some(previous)) => {
                    // The end of a range is where the next one begins.
                    previous.1 = key.clone();
                    key.clone()
                }
            };
            let wanted = if ranges.len() + 1 == self.buckets { usize::MAX } else { size };
            let mut greatest = key;
            let mut members = vec![row];
            while members.len() < wanted
                && let Some((key, row)) = rest.next()
            {
                greatest = key;
                members.push(row);
            }
            if let Some(granularity) = &self.granularity {
                let boundary = granularity.above(&greatest);
                while let Some((_, row)) = rest.next_if(|(key, _)| compare(key, &boundary).is_lt()) {
                    members.push(row);
                }
                greatest = boundary;
            } else {
                while let Some((_, row)) = rest.next_if(|(key, _)| compare(key, &greatest).is_eq()) {
                    members.push(row);
                }
            }
            ranges.push((least, greatest, members));
        }
        ranges.into_iter().map(|(least, greatest, members)| self.bucket(least, greatest, &members)).collect()
    }

    fn bucket(&self, least: Bson, greatest: Bson, members: &[Row]) -> CommandResult<Document> {
        let key = Bson::Document(doc! { "min": least, "max": greatest });
        let mut document = Document::new();
        let mut accumulators =
            self.fields.iter().map(|(_, field)| field.start(&key)).collect::<CommandResult<Vec<_>>>()?;
        for row in members {
            for ((_, field), accumulator) in self.fields.iter().zip(&mut accumulators) {
                field.feed(accumulator, row.as_ref())?;
            }
        }
        document.insert("_id", key);
        for ((name, field), accumulator) in self.fields.iter().zip(accumulators) {
            document.insert(name.as_str(), field.result(accumulator));
        }
        Ok(document)
    }
}

pub(super) fn apply(stage: Arc<BucketAuto>, rows: Rows, run: &Arc<Run>) -> Rows {
    let run = run.clone();
    deferred(move || {
        let rows = collect(rows, &run, "$bucketAuto")?;
        Ok(super::rows_of(stage.run(rows)?))
    })
}

/// Preferred numbers to which boundaries are rounded (MongoDB manual, "$bucketAuto", "Granularity").
#[derive(Debug, Clone, PartialEq)]
enum Granularity {
    /// Numbers from 1 up to 10, repeated in every decade.
    Decade(Vec<f64>),
    PowersOfTwo,
}

/// The Renard series R80; the coarser ones are every second, fourth, ... number of it.
const R80: [f64; 80] = [
    1.00, 1.03, 1.06, 1.09, 1.12, 1.15, 1.18, 1.22, 1.25, 1.28, 1.32, 1.36, 1.40, 1.45, 1.50, 1.55, 1.60, 1.65, 1.70,
    1.75, 1.80, 1.85, 1.90, 1.95, 2.00, 2.06, 2.12, 2.18, 2.24, 2.30, 2.36, 2.43, 2.50, 2.58, 2.65, 2.72, 2.80, 2.90,
    3.00, 3.07, 3.15, 3.25, 3.35, 3.45, 3.55, 3.65, 3.75, 3.87, 4.00, 4.12, 4.25, 4.37, 4.50, 4.62, 4.75, 4.87, 5.00,
    5.15, 5.30, 5.45, 5.60, 5.80, 6.00, 6.15, 6.30, 6.50, 6.70, 6.90, 7.10, 7.30, 7.50, 7.75, 8.00, 8.25, 8.50, 8.75,
    9.00, 9.25, 9.50, 9.75,
];

/// The E24 series; E12 and E6 are every second and fourth number of it.
const E24: [f64; 24] = [
    1.0, 1.1, 1.2, 1.3, 1.5, 1.6, 1.8, 2.0, 2.2, 2.4, 2.7, 3.0, 3.3, 3.6, 3.9, 4.3, 4.7, 5.1, 5.6, 6.2, 6.8, 7.5, 8.2,
    9.1,
];

/// E48, E96 and E192 (IEC 60063): geometric, rounded to three digits.
fn e_series(count: u32) -> Vec<f64> {
    (0..count)
        .map(|index| {
            let exact = 10_f64.powf(f64::from(index) / f64::from(count));
            let rounded = (exact * 100.0).round() / 100.0;
            // The one number the standard rounds otherwise.
            if rounded == 9.19 { 9.20 } else { rounded }
        })
        .collect()
}

impl Granularity {
    fn parse(name: &str) -> CommandResult<Self> {
        let every = |series: &[f64], step: usize| Self::Decade(series.iter().copied().step_by(step).collect());
        Ok(match name {
            "R5" => every(&R80, 16),
            "R10" => every(&R80, 8),
            "R20" => every(&R80, 4),
            "R40" => every(&R80, 2),
            "R80" => every(&R80, 1),
            "1-2-5" => Self::Decade(vec![1.0, 2.0, 5.0]),
            "E6" => every(&E24, 4),
            "E12" => every(&E24, 2),
            "E24" => every(&E24, 1),
            "E48" => Self::Decade(e_series(48)),
            "E96" => Self::Decade(e_series(96)),
            "E192" => Self::Decade(e_series(192)),
            "POWERSOF2" => Self::PowersOfTwo,
            _ => return Err(CommandError::new(40257, format!("Unknown rounding granularity '{name}'"))),
        })
    }

    /// The least number of the series above the value; 0 for 0.
    fn above(&self, value: &Bson) -> Bson {
        self.neighbour(value, |candidate, number| candidate > number, |left, right| left < right)
    }

    /// The greatest number of the series below the value; 0 for 0.
    fn below(&self, value: &Bson) -> Bson {
        self.neighbour(value, |candidate, number| candidate < number, |left, right| left > right)
    }

    fn neighbour(&self, value: &Bson, fits: fn(f64, f64) -> bool, better: fn(f64, f64) -> bool) -> Bson {
        let number = to_f64(value);
        if number == 0.0 || !number.is_finite() {
            return value.clone();
        }
        let candidates: Vec<f64> = match self {
            Self::PowersOfTwo => {
                let exponent = number.log2().floor() as i32;
                (exponent - 1..=exponent + 1).map(|exponent| 2_f64.powi(exponent)).collect()
            }
            Self::Decade(series) => {
                let decade = number.log10().floor() as i32;
                (decade - 1..=decade + 1)
                    .flat_map(|decade| {
                        series.iter().map(move |base| {
                            // Dividing by a power of ten keeps 0.3 from becoming 0.30000000000000004.
                            if decade < 0 { base / 10_f64.powi(-decade) } else { base * 10_f64.powi(decade) }
                        })
                    })
                    .collect()
            }
        };
        let mut best: Option<f64> = None;
        for candidate in candidates.into_iter().filter(|candidate| fits(*candidate, number)) {
            if best.is_none_or(|best| better(candidate, best)) {
                best = Some(candidate);
            }
        }
        let result = best.unwrap_or(number);
        match (value, self) {
            (Bson::Decimal128(_), _) => Bson::Decimal128(crate::aggregate::expression::number::exact_decimal(result)),
            (Bson::Int32(_) | Bson::Int64(_), Self::PowersOfTwo) if (1.0..9.2e18).contains(&result) => {
                crate::aggregate::expression::number::int_or_long(result as i64)
            }
            _ => Bson::Double(result),
        }
    }
}
