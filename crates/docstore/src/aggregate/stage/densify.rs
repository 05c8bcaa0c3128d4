//! `$densify`: documents for the values of a field that are missing in a sequence (MongoDB manual, "$densify").

use std::cmp::Ordering;
use std::sync::Arc;

use bson::{Bson, DateTime, Document};

use super::object;
use crate::aggregate::add_fields::{get_at, set_at};
use crate::aggregate::expression::date::{Unit, add_units};
use crate::aggregate::expression::number::{exact_decimal, int_or_long, to_decimal, to_f64, width};
use crate::aggregate::expression::time_zone::Zone;
use crate::aggregate::expression::{Expression, split_path};
use crate::aggregate::pipeline::{Run, deferred};
use crate::aggregate::{Row, Rows};
use crate::error::{CommandError, CommandResult, code};
use crate::query::value::{self, ValueRef};
use crate::query::{QueryContext, decimal};

/// Documents one stage may make.
const GENERATED_MAX: usize = 500_000;

#[derive(Debug, Clone)]
enum Bounds {
    /// From the least to the greatest value of all documents.
    Full,
    /// From the least to the greatest of each partition.
    Partition,
    /// The upper one excluded.
    Between(Box<(Bson, Bson)>),
}

/// A parsed specification.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct Densify {
    field: Vec<String>,
    partition: Vec<Vec<String>>,
    /// The values of the partition fields, in an array.
    partition_key: Option<Expression>,
    step: Bson,
    unit: Option<Unit>,
    bounds: Bounds,
    context: QueryContext,
}

impl Densify {
    /// Reads `{ field, partitionByFields, range: { step, unit, bounds } }`.
    pub fn parse(argument: &Bson, context: &QueryContext) -> CommandResult<Self> {
        let document = object(5_733_201, "$densify", argument)?;
        let (mut field, mut range) = (None, None);
        let mut partition = Vec::new();
        for (name, value) in document {
            match (name.as_str(), value) {
                ("field", Bson::String(path)) => field = Some((path.clone(), split_path(path)?)),
                ("partitionByFields", Bson::Array(paths)) => {
                    for path in paths {
                        let path = path.as_str().ok_or_else(|| {
                            CommandError::type_mismatch("'partitionByFields' of $densify must hold strings")
                        })?;
                        partition.push((path.to_owned(), split_path(path)?));
                    }
                }
                ("range", Bson::Document(document)) => range = Some(document),
                ("field" | "partitionByFields" | "range", _) => {
                    return Err(CommandError::type_mismatch(format!("BSON field '$densify.{name}' is the wrong type")));
                }
                _ => {
                    return Err(CommandError::new(40415, format!("BSON field '$densify.{name}' is an unknown field.")));
                }
            }
        }
        let missing = |name: &str| {
            CommandError::new(40414, format!("BSON field '$densify.{name}' is missing but a required field"))
        };
        let (name, field) = field.ok_or_else(|| missing("field"))?;
        let range = range.ok_or_else(|| missing("range"))?;
        if partition.iter().any(|(path, _)| {
            *path == name
                || path.strip_prefix(&name).is_some_and(|rest| rest.starts_with('.'))
                || name.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('.'))
        }) {
            return Err(CommandError::new(8_993_000, "BSON field '$densify.partitionByFields' collides with 'field'"));
        }
        let step = range.get("step").ok_or_else(|| missing("range.step"))?.clone();
        let number = ValueRef::from(&step);
        if !number.is_number() || to_f64(&step) <= 0.0 {
            return Err(CommandError::new(
                5_733_401,
                "the step parameter in a range statement must be a strictly positive numeric value",
            ));
        }
        let unit = match range.get("unit") {
            None => None,
            Some(Bson::String(unit)) => {
                if number.as_exact_i64().is_none() {
                    return Err(CommandError::new(
                        6_586_400,
                        "The step parameter in a range statement must be a whole number when densifying a date range",
                    ));
                }
                Some(Unit::parse(unit)?)
            }
            Some(_) => return Err(CommandError::type_mismatch("BSON field '$densify.range.unit' must be a string")),
        };
        let bounds = match range.get("bounds").ok_or_else(|| missing("range.bounds"))? {
            Bson::String(text) if text == "full" => Bounds::Full,
            Bson::String(text) if text == "partition" => {
                if partition.is_empty() {
                    return Err(CommandError::new(
                        5_733_408,
                        "one may not specify the bounds as 'partition' without specifying a non-empty array of partitionByFields",
                    ));
                }
                Bounds::Partition
            }
            Bson::Array(pair) => match pair.as_slice() {
                [lower, upper] => {
                    let fits = |value: &Bson| match unit {
                        Some(_) => matches!(value, Bson::DateTime(_)),
                        None => width(value).is_some(),
                    };
                    if !fits(lower) || !fits(upper) {
                        return Err(CommandError::new(
                            5_733_402,
                            "a bounding array must contain either both dates (with a unit) or both numbers (without)",
                        ));
                    }
                    if value::compare(lower, upper, None).is_gt() {
                        return Err(CommandError::new(5_733_411, "the bounds in a range statement must be ascending"));
                    }
                    Bounds::Between(Box::new((lower.clone(), upper.clone())))
                }
                _ => {
                    return Err(CommandError::new(
                        5_733_403,
                        "a bounding array in a range statement must have exactly two elements",
                    ));
                }
            },
            _ => return Err(CommandError::new(5_733_409, "the bounds must be 'full', 'partition' or an array")),
        };
        let partition_key = if partition.is_empty() {
            None
        } else {
            let fields: Vec<Bson> = partition.iter().map(|(path, _)| Bson::String(format!("${path}"))).collect();
            Some(Expression::parse(&Bson::Array(fields), context)?)
        };
        Ok(Self {
            field,
            partition: partition.into_iter().map(|(_, path)| path).collect(),
            partition_key,
            step,
            unit,
            bounds,
            context: context.clone(),
        })
    }

    fn value(&self, row: &Row) -> CommandResult<Option<Bson>> {
        let value = match get_at(row.as_ref(), &self.field) {
            None | Some(ValueRef::Null | ValueRef::Undefined) => return Ok(None),
            Some(value) => value.to_bson(),
        };
        match (&value, self.unit) {
            (Bson::DateTime(_), Some(_)) => Ok(Some(value)),
            (number, None) if width(number).is_some() => Ok(Some(value)),
            (Bson::DateTime(_), None) => Err(CommandError::new(
                6_053_600,
                "Encountered a date value when a numeric value was expected because a date unit was not specified in range.unit.",
            )),
            (number, Some(_)) if width(number).is_some() => Err(CommandError::new(
                6_053_600,
                "Encountered a numeric value when a date value was expected because a date unit was specified in range.unit.",
            )),
            _ => Err(CommandError::new(
                5_733_201,
                format!("Densify field type must be numeric or a date, found {}", ValueRef::from(&value).type_name()),
            )),
        }
    }

    /// The value so many steps after the start.
    fn after(&self, start: &Bson, steps: i64) -> CommandResult<Bson> {
        if let (Some(unit), Bson::DateTime(date)) = (self.unit, start) {
            let step = ValueRef::from(&self.step).as_exact_i64().unwrap_or(1);
            let amount = steps
                .checked_mul(step)
                .ok_or_else(|| CommandError::new(code::OVERFLOW, "date overflow in $densify"))?;
            return Ok(Bson::DateTime(DateTime::from_millis(add_units(
                date.timestamp_millis(),
                unit,
                amount,
                &Zone::Utc,
            )?)));
        }
        Ok(match (start, &self.step) {
            (Bson::Decimal128(_), _) | (_, Bson::Decimal128(_)) => {
                let distance = decimal::multiply(to_decimal(&self.step), decimal::from_i64(steps));
                let start = match start {
                    Bson::Double(number) => exact_decimal(*number),
                    other => to_decimal(other),
                };
                Bson::Decimal128(decimal::add(start, distance))
            }
            (Bson::Double(_), _) | (_, Bson::Double(_)) => {
                Bson::Double(to_f64(start) + to_f64(&self.step) * steps as f64)
            }
            _ => {
                let exact = |value: &Bson| ValueRef::from(value).as_exact_i64().unwrap_or(0);
                let long = matches!(start, Bson::Int64(_)) || matches!(self.step, Bson::Int64(_));
                let sum = exact(&self.step)
                    .checked_mul(steps)
                    .and_then(|distance| exact(start).checked_add(distance))
                    .ok_or_else(|| CommandError::new(code::OVERFLOW, "overflow in $densify"))?;
                if long { Bson::Int64(sum) } else { int_or_long(sum) }
            }
        })
    }

    fn run(&self, rows: Vec<Row>) -> CommandResult<Vec<Row>> {
        let compare = |left: &Bson, right: &Bson| value::compare(left, right, None);
        let mut result = Vec::new();
        let mut valued = Vec::new();
        let mut total: Option<(Bson, Bson)> = None;
        // Rows without the value pass, before the others.
        for row in rows {
            match self.value(&row)? {
                None => result.push(row),
                Some(value) => {
                    total = Some(match total {
                        None => (value.clone(), value),
                        Some((least, greatest)) => (
                            if compare(&value, &least).is_lt() { value.clone() } else { least },
                            if compare(&value, &greatest).is_gt() { value } else { greatest },
                        ),
                    });
                    valued.push(row);
                }
            }
        }
        let mut parts = super::group::partitions(valued, self.partition_key.as_ref(), &self.context)?;
        let null = Bson::Null;
        parts.sort_by(|left, right| {
            value::compare(
                left.0.as_ref().unwrap_or(&null),
                right.0.as_ref().unwrap_or(&null),
                self.context.collation(),
            )
        });
        if parts.is_empty()
            && self.partition.is_empty()
            && let Bounds::Between(..) = self.bounds
        {
            parts.push((None, Vec::new()));
        }
        let mut generated = 0;
        for (_, members) in parts {
            let mut keyed = members
                .into_iter()
                .map(|row| Ok((self.value(&row)?.unwrap_or(Bson::Null), row)))
                .collect::<CommandResult<Vec<_>>>()?;
            keyed.sort_by(|left, right| compare(&left.0, &right.0));
            let template = self.template(keyed.first().map(|(_, row)| row));
            let (start, end, end_included) = match &self.bounds {
                Bounds::Full => match &total {
                    Some((least, greatest)) => (least.clone(), greatest.clone(), true),
                    None => continue,
                },
                Bounds::Partition => match (keyed.first(), keyed.last()) {
                    (Some((least, _)), Some((greatest, _))) => (least.clone(), greatest.clone(), true),
                    _ => continue,
                },
                Bounds::Between(between) => (between.0.clone(), between.1.clone(), false),
            };
            let within = |value: &Bson| match compare(value, &end) {
                Ordering::Less => true,
                Ordering::Equal => end_included,
                Ordering::Greater => false,
            };
            let mut step = 0;
            let mut next = self.after(&start, 0)?;
            let mut make = |value: &Bson, result: &mut Vec<Row>| -> CommandResult<()> {
                generated += 1;
                if generated > GENERATED_MAX {
                    return Err(CommandError::new(
                        5_897_900,
                        format!(
                            "Generated {generated} documents in $densify, which is over the limit of {GENERATED_MAX}"
                        ),
                    ));
                }
                let mut document = template.clone();
                set_at(&mut document, &self.field, Some(value.clone()));
                result.push(Row::Owned(document));
                Ok(())
            };
            for (value, row) in keyed {
                while within(&next) && compare(&next, &value).is_lt() {
                    make(&next, &mut result)?;
                    step += 1;
                    next = self.after(&start, step)?;
                }
                if compare(&next, &value).is_eq() {
                    step += 1;
                    next = self.after(&start, step)?;
                }
                result.push(row);
            }
            while within(&next) {
                make(&next, &mut result)?;
                step += 1;
                next = self.after(&start, step)?;
            }
        }
        Ok(result)
    }

    /// A document with nothing but the partition's fields.
    fn template(&self, member: Option<&Row>) -> Document {
        let mut document = Document::new();
        if let Some(row) = member {
            for path in &self.partition {
                if let Some(value) = super::owned_at(row.as_ref(), path) {
                    set_at(&mut document, path, Some(value));
                }
            }
        }
        document
    }
}

pub(super) fn apply(stage: Arc<Densify>, rows: Rows, run: &Arc<Run>) -> Rows {
    let run = run.clone();
    deferred(move || {
        let rows = super::collect(rows, &run, "$densify")?;
        Ok(Box::new(stage.run(rows)?.into_iter().map(Ok)) as Rows)
    })
}
