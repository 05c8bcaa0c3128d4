//! `$setWindowFields`: fields computed over the neighbours of a document (MongoDB manual, "$setWindowFields").

use std::cmp::Ordering;
use std::sync::Arc;

use bson::{Bson, Document};

use super::group::{bytes_of, partitions};
use super::object;
use crate::aggregate::accumulator::{Accumulator, Specification, is_accumulator};
use crate::aggregate::add_fields::set_at;
use crate::aggregate::expression::date::{Unit, add_units};
use crate::aggregate::expression::number::{int_or_long, to_decimal, to_exact_i32, to_f64, width};
use crate::aggregate::expression::time_zone::Zone;
use crate::aggregate::expression::{Expression, split_path, value_bytes};
use crate::aggregate::pipeline::{Run, deferred};
use crate::aggregate::{Row, Rows};
use crate::error::{CommandError, CommandResult, code};
use crate::query::value::{self, ValueRef};
use crate::query::{QueryContext, SortSpec, decimal};

/// Bytes the values of one output field may take in one partition.
const RESULT_BYTES_MAX: usize = 4 * crate::aggregate::STAGE_BYTES_MAX;

/// One end of a window.
#[derive(Debug, Clone, PartialEq)]
enum Bound<T> {
    Unbounded,
    Current,
    At(T),
}

/// Which neighbours.
#[derive(Debug, Clone)]
enum Window {
    /// All of the partition.
    All,
    /// By position.
    Documents(Bound<i64>, Bound<i64>),
    /// By the distance of sort values.
    Range(Bound<Bson>, Bound<Bson>, Option<Unit>),
}

/// What is computed.
#[derive(Debug, Clone)]
enum Function {
    Accumulate(Box<Specification>, Window),
    DocumentNumber,
    Rank { dense: bool },
    Shift { output: Expression, by: i64, default: Bson },
    ExponentialAverage { input: Expression, alpha: Bson },
    Derivative { input: Expression, unit: Option<Unit>, window: Window },
    Integral { input: Expression, unit: Option<Unit>, window: Window },
    Covariance { left: Expression, right: Expression, sample: bool, window: Window },
    LinearFill(Expression),
    LastObserved(Expression),
}

/// A parsed specification.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct SetWindowFields {
    partition: Option<Expression>,
    order: Option<SortSpec>,
    output: Vec<(Vec<String>, Function)>,
    context: QueryContext,
}

fn bad(message: impl Into<String>) -> CommandError {
    CommandError::failed_to_parse(message)
}

impl SetWindowFields {
    /// Reads `{ partitionBy, sortBy, output: { path: { $function: ..., window: ... } } }`.
    pub fn parse(argument: &Bson, context: &QueryContext) -> CommandResult<Self> {
        let document = object(code::FAILED_TO_PARSE, "$setWindowFields", argument)?;
        let mut parsed = Self { partition: None, order: None, output: Vec::new(), context: context.clone() };
        let mut output = None;
        for (name, value) in document {
            match name.as_str() {
                "partitionBy" => parsed.partition = Some(Expression::parse(value, context)?),
                "sortBy" => {
                    let Bson::Document(order) = value else {
                        return Err(CommandError::type_mismatch(
                            "BSON field '$setWindowFields.sortBy' must be an object",
                        ));
                    };
                    parsed.order = Some(SortSpec::parse(order, context)?);
                }
                "output" => output = Some(value),
                _ => {
                    return Err(CommandError::new(
                        40415,
                        format!("BSON field '$setWindowFields.{name}' is an unknown field."),
                    ));
                }
            }
        }
        let Some(Bson::Document(output)) = output else {
            return Err(CommandError::new(
                40414,
                "BSON field '$setWindowFields.output' is missing but a required field",
            ));
        };
        let mut paths: Vec<&String> = Vec::new();
        for (path, function) in output {
            if paths.iter().any(|known| {
                path.strip_prefix(known.as_str()).is_some_and(|rest| rest.starts_with('.'))
                    || known.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('.'))
            }) {
                return Err(CommandError::new(
                    6_307_900,
                    format!("$setWindowFields 'output' specification contains conflicting paths at {path}"),
                ));
            }
            paths.push(path);
            let Bson::Document(function) = function else {
                return Err(bad(format!("The field '{path}' must be an object")));
            };
            let function = parsed.function(function)?;
            parsed.output.push((split_path(path)?, function));
        }
        Ok(parsed)
    }

    /// For `$fill`: these paths, by linear interpolation or from the last document that has them.
    pub fn filling(
        partition: Option<Expression>,
        order: Option<SortSpec>,
        methods: Vec<(Vec<String>, Expression, bool)>,
        context: &QueryContext,
    ) -> CommandResult<Self> {
        let one_part = order.as_ref().is_some_and(|order| order.parts.len() == 1);
        let mut output = Vec::with_capacity(methods.len());
        for (path, expression, linear) in methods {
            if linear && !one_part {
                return Err(CommandError::new(
                    605_001,
                    "$linearFill must be specified with a top level sortBy expression with exactly one element",
                ));
            }
            let function = if linear { Function::LinearFill(expression) } else { Function::LastObserved(expression) };
            output.push((path, function));
        }
        Ok(Self { partition, order, output, context: context.clone() })
    }

    fn function(&self, document: &Document) -> CommandResult<Function> {
        let context = &self.context;
        let mut call = None;
        let mut window = None;
        for (name, value) in document {
            if name == "window" {
                window = Some(self.window(value)?);
            } else if name.starts_with('$') && call.is_none() {
                call = Some((name.as_str(), value));
            } else {
                return Err(bad(format!("Window function found an unknown argument: {name}")));
            }
        }
        let (name, argument) = call.ok_or_else(|| bad("Expected a $-prefixed window function"))?;
        let sorted = |code: i32| match &self.order {
            Some(_) => Ok(()),
            None => Err(CommandError::new(code, format!("{name} requires a sortBy"))),
        };
        let one_part = || match &self.order {
            Some(order) if order.parts.len() == 1 => Ok(()),
            _ => Err(CommandError::new(
                5_371_602,
                format!("{name} must be specified with a top level sortBy expression with exactly one element"),
            )),
        };
        let no_window = || match window {
            None => Ok(()),
            Some(_) => Err(CommandError::new(5_371_601, format!("{name} does not accept a 'window' field"))),
        };
        let empty = || match argument {
            Bson::Document(document) if document.is_empty() => Ok(()),
            _ => Err(CommandError::new(5_371_603, format!("{name} must be specified with '{{}}' as the value"))),
        };
        let part = |key: &str| {
            argument
                .as_document()
                .and_then(|document| document.get(key))
                .ok_or_else(|| bad(format!("{name} requires '{key}'")))
        };
        Ok(match name {
            "$documentNumber" => {
                sorted(5_371_602)?;
                no_window()?;
                empty()?;
                Function::DocumentNumber
            }
            "$rank" | "$denseRank" => {
                one_part()?;
                no_window()?;
                empty()?;
                Function::Rank { dense: name == "$denseRank" }
            }
            "$shift" => {
                sorted(5_371_600)?;
                no_window()?;
                let by = ValueRef::from(part("by")?)
                    .as_exact_i64()
                    .ok_or_else(|| bad("'$shift:by' field must be an integer"))?;
                let default = match part("default") {
                    Ok(default) => {
                        let expression = Expression::parse(default, context)?;
                        expression
                            .constant()
                            .cloned()
                            .ok_or_else(|| bad("'$shift:default' expression must yield a constant value."))?
                            .unwrap_or(Bson::Null)
                    }
                    Err(_) => Bson::Null,
                };
                Function::Shift { output: Expression::parse(part("output")?, context)?, by, default }
            }
            "$expMovingAvg" => {
                sorted(5_371_600)?;
                no_window()?;
                let input = Expression::parse(part("input")?, context)?;
                let alpha = match (part("N"), part("alpha")) {
                    (Ok(number), Err(_)) => {
                        let number = ValueRef::from(number)
                            .as_exact_i64()
                            .filter(|number| *number > 0)
                            .ok_or_else(|| bad("'N' field must be an integer greater than zero"))?;
                        Bson::Double(2.0 / (number as f64 + 1.0))
                    }
                    (Err(_), Ok(alpha)) => {
                        let number = ValueRef::from(alpha).as_f64().unwrap_or(0.0);
                        if !(number > 0.0 && number < 1.0) {
                            return Err(bad("'alpha' must be between 0 and 1 (exclusive)"));
                        }
                        alpha.clone()
                    }
                    _ => return Err(bad("$expMovingAvg sub object must have exactly one of 'N' and 'alpha'")),
                };
                Function::ExponentialAverage { input, alpha }
            }
            "$derivative" | "$integral" => {
                one_part()?;
                let input = Expression::parse(part("input")?, context)?;
                let unit = match argument.as_document().and_then(|document| document.get("unit")) {
                    None => None,
                    Some(Bson::String(unit)) => {
                        let unit = Unit::parse(unit)?;
                        if unit.fixed_millis().is_none() {
                            return Err(CommandError::new(5_490_710, "unit must be 'week' or smaller"));
                        }
                        Some(unit)
                    }
                    Some(_) => return Err(bad("'unit' must be a string")),
                };
                if name == "$derivative" {
                    let window = window.ok_or_else(|| bad("$derivative requires explicit window bounds"))?;
                    Function::Derivative { input, unit, window }
                } else {
                    Function::Integral { input, unit, window: window.unwrap_or(Window::All) }
                }
            }
            "$covariancePop" | "$covarianceSamp" => {
                let Bson::Array(pair) = argument else {
                    return Err(bad(format!("{name} needs a list of two expressions")));
                };
                let [left, right] = pair.as_slice() else {
                    return Err(bad(format!("{name} needs a list of two expressions")));
                };
                Function::Covariance {
                    left: Expression::parse(left, context)?,
                    right: Expression::parse(right, context)?,
                    sample: name == "$covarianceSamp",
                    window: window.unwrap_or(Window::All),
                }
            }
            "$linearFill" => {
                one_part()?;
                no_window()?;
                Function::LinearFill(Expression::parse(argument, context)?)
            }
            "$locf" => {
                no_window()?;
                Function::LastObserved(Expression::parse(argument, context)?)
            }
            "$minMaxScaler" => return Err(CommandError::not_supported("The $minMaxScaler window function")),
            _ if is_accumulator(name) => Function::Accumulate(
                Box::new(Specification::parse_call(name, argument, context)?),
                window.unwrap_or(Window::All),
            ),
            _ => return Err(bad(format!("Unrecognized window function, {name}"))),
        })
    }

    fn window(&self, value: &Bson) -> CommandResult<Window> {
        let Bson::Document(document) = value else { return Err(bad("'window' field must be an object")) };
        let mut unit = None;
        let (mut documents, mut range) = (None, None);
        for (name, value) in document {
            match (name.as_str(), value) {
                ("documents", value) => documents = Some(bounds(value)?),
                ("range", value) => range = Some(bounds(value)?),
                ("unit", Bson::String(name)) => unit = Some(Unit::parse(name)?),
                _ => return Err(bad(format!("'window' field that isn't valid: {name}"))),
            }
        }
        match (documents, range) {
            (Some(_), Some(_)) => Err(bad("Window bounds can specify either 'documents' or 'range', not both.")),
            (None, None) if unit.is_some() => {
                Err(bad("Window bounds can only specify 'unit' with range-based bounds."))
            }
            (None, None) => Ok(Window::All),
            (Some((lower, upper)), None) => {
                if unit.is_some() {
                    return Err(bad("Window bounds can only specify 'unit' with range-based bounds."));
                }
                let integer = |bound: Bound<Bson>| match bound {
                    Bound::Unbounded => Ok(Bound::Unbounded),
                    Bound::Current => Ok(Bound::Current),
                    Bound::At(value) => to_exact_i32(&value)
                        .map(|number| Bound::At(i64::from(number)))
                        .ok_or_else(|| bad("Numeric document-based bounds must be an integer")),
                };
                let (lower, upper) = (integer(lower)?, integer(upper)?);
                let number = |bound: &Bound<i64>| match bound {
                    Bound::At(number) => Some(*number),
                    Bound::Current => Some(0),
                    Bound::Unbounded => None,
                };
                if let (Some(lower), Some(upper)) = (number(&lower), number(&upper))
                    && lower > upper
                {
                    return Err(CommandError::new(5_339_900, "Lower bound must not exceed upper bound"));
                }
                if self.order.is_none() && (lower != Bound::Unbounded || upper != Bound::Unbounded) {
                    return Err(CommandError::new(5_339_901, "Document-based bounds require a sortBy"));
                }
                Ok(Window::Documents(lower, upper))
            }
            (None, Some((lower, upper))) => {
                for bound in [&lower, &upper] {
                    if let Bound::At(value) = bound {
                        let number = ValueRef::from(value);
                        if !number.is_number() {
                            return Err(bad("Range-based bounds expression must be a number"));
                        }
                        if unit.is_some() && number.as_exact_i64().is_none() {
                            return Err(bad("With 'unit', range-based bounds must be an integer"));
                        }
                    }
                }
                match &self.order {
                    Some(order) if order.parts.len() == 1 && order.parts[0].1 => {}
                    _ => {
                        return Err(CommandError::new(
                            5_339_902,
                            "Range-based bounds require sortBy a single field, ascending",
                        ));
                    }
                }
                Ok(Window::Range(lower, upper, unit))
            }
        }
    }

    fn run(&self, rows: Vec<Row>) -> CommandResult<Vec<Row>> {
        let mut parts = partitions(rows, self.partition.as_ref(), &self.context)?;
        if let Some((Some(Bson::Array(_)), _)) = parts.iter().find(|(key, _)| matches!(key, Some(Bson::Array(_)))) {
            return Err(CommandError::type_mismatch(
                "An expression used to partition cannot evaluate to value of type array",
            ));
        }
        let null = Bson::Null;
        parts.sort_by(|left, right| {
            value::compare(
                left.0.as_ref().unwrap_or(&null),
                right.0.as_ref().unwrap_or(&null),
                self.context.collation(),
            )
        });
        let mut result = Vec::new();
        for (_, rows) in parts {
            result.extend(self.run_partition(rows)?);
        }
        Ok(result)
    }

    fn run_partition(&self, mut rows: Vec<Row>) -> CommandResult<Vec<Row>> {
        let mut values = Vec::new();
        if let Some(order) = &self.order {
            let mut keyed =
                rows.into_iter().map(|row| Ok((order.key(row.as_ref())?, row))).collect::<CommandResult<Vec<_>>>()?;
            keyed.sort_by(|left, right| order.compare(&left.0, &right.0));
            (values, rows) = keyed.into_iter().unzip();
        }
        let partition = Partition {
            rows: &rows,
            // Positions with equal keys are peers.
            values: values.iter().map(|key| key.values.clone()).collect(),
            context: &self.context,
        };
        let mut columns = Vec::with_capacity(self.output.len());
        for (_, function) in &self.output {
            columns.push(partition.compute(function)?.into_iter());
        }
        Ok(rows
            .into_iter()
            .map(|row| {
                let mut document = row.into_document();
                for ((path, _), column) in self.output.iter().zip(&mut columns) {
                    set_at(&mut document, path, Some(column.next().unwrap_or(Bson::Null)));
                }
                Row::Owned(document)
            })
            .collect())
    }
}

fn bounds(value: &Bson) -> CommandResult<(Bound<Bson>, Bound<Bson>)> {
    let Bson::Array(pair) = value else { return Err(bad("Window bounds must be a 2-element array")) };
    let [lower, upper] = pair.as_slice() else { return Err(bad("Window bounds must be a 2-element array")) };
    let bound = |value: &Bson| match value {
        Bson::String(text) if text == "unbounded" => Ok(Bound::Unbounded),
        Bson::String(text) if text == "current" => Ok(Bound::Current),
        Bson::String(_) => Err(bad("Window bounds must be 'unbounded', 'current', or a number.")),
        other => Ok(Bound::At(other.clone())),
    };
    Ok((bound(lower)?, bound(upper)?))
}

/// Sorted rows that share a partition.
struct Partition<'a> {
    rows: &'a [Row],
    values: Vec<Vec<Bson>>,
    context: &'a QueryContext,
}

fn is_nullish(value: &Bson) -> bool {
    matches!(value, Bson::Null | Bson::Undefined)
}

/// Arithmetic of doubles, or of decimals where one takes part.
fn combine(
    left: &Bson,
    right: &Bson,
    doubles: fn(f64, f64) -> f64,
    decimals: fn(bson::Decimal128, bson::Decimal128) -> bson::Decimal128,
) -> Bson {
    if matches!(left, Bson::Decimal128(_)) || matches!(right, Bson::Decimal128(_)) {
        Bson::Decimal128(decimals(to_decimal(left), to_decimal(right)))
    } else {
        Bson::Double(doubles(to_f64(left), to_f64(right)))
    }
}

fn plus(left: &Bson, right: &Bson) -> Bson {
    combine(left, right, |left, right| left + right, decimal::add)
}

fn minus(left: &Bson, right: &Bson) -> Bson {
    combine(left, right, |left, right| left - right, decimal::subtract)
}

fn times(left: &Bson, right: &Bson) -> Bson {
    combine(left, right, |left, right| left * right, decimal::multiply)
}

fn over(left: &Bson, right: &Bson) -> Bson {
    combine(left, right, |left, right| left / right, decimal::divide)
}

impl Partition<'_> {
    fn evaluate(&self, expression: &Expression) -> CommandResult<Vec<Bson>> {
        self.rows.iter().map(|row| Ok(expression.evaluate(row.as_ref())?.unwrap_or(Bson::Null))).collect()
    }

    fn compute(&self, function: &Function) -> CommandResult<Vec<Bson>> {
        let count = self.rows.len();
        Ok(match function {
            Function::Accumulate(specification, window) => self.accumulate(specification, window)?,
            Function::DocumentNumber => (1..=count as i64).map(int_or_long).collect(),
            Function::Rank { dense } => {
                let mut ranks = Vec::with_capacity(count);
                let mut rank = 0;
                for position in 0..count {
                    if position == 0 || !self.peers(position - 1, position) {
                        rank = if *dense { rank + 1 } else { position as i64 + 1 };
                    }
                    ranks.push(int_or_long(rank));
                }
                ranks
            }
            Function::Shift { output, by, default } => {
                let values = self.evaluate(output)?;
                (0..count as i64)
                    .map(|position| {
                        position
                            .checked_add(*by)
                            .and_then(|position| usize::try_from(position).ok())
                            .and_then(|position| values.get(position))
                            .unwrap_or(default)
                            .clone()
                    })
                    .collect()
            }
            Function::ExponentialAverage { input, alpha } => {
                let rest = minus(&Bson::Double(1.0), alpha);
                let mut average: Option<Bson> = None;
                let mut averages = Vec::with_capacity(count);
                for value in self.evaluate(input)? {
                    if width(&value).is_some() {
                        average = Some(match &average {
                            None => value,
                            Some(average) => plus(&times(&value, alpha), &times(average, &rest)),
                        });
                    }
                    averages.push(average.clone().unwrap_or(Bson::Null));
                }
                averages
            }
            Function::Derivative { input, unit, window } => {
                let values = self.evaluate(input)?;
                let times = self.time_values("$derivative", *unit)?;
                let mut results = Vec::with_capacity(count);
                for position in 0..count {
                    let (from, to) = self.range(window, position)?;
                    results.push(if to <= from + 1 {
                        Bson::Null
                    } else {
                        let run = minus(&times[to - 1], &times[from]);
                        let numeric = width(&values[from]).is_some() && width(&values[to - 1]).is_some();
                        if !numeric || to_f64(&run) == 0.0 {
                            Bson::Null
                        } else {
                            over(&minus(&values[to - 1], &values[from]), &run)
                        }
                    });
                }
                results
            }
            Function::Integral { input, unit, window } => {
                let values = self.evaluate(input)?;
                let at = self.time_values("$integral", *unit)?;
                let mut results = Vec::with_capacity(count);
                for position in 0..count {
                    let (from, to) = self.range(window, position)?;
                    let mut area = Bson::Int32(0);
                    for next in from + 1..to {
                        if width(&values[next - 1]).is_none() || width(&values[next]).is_none() {
                            continue;
                        }
                        let height = plus(&values[next - 1], &values[next]);
                        let slice = times(&height, &minus(&at[next], &at[next - 1]));
                        area = plus(&area, &over(&slice, &Bson::Double(2.0)));
                    }
                    results.push(if from >= to { Bson::Null } else { area });
                }
                results
            }
            Function::Covariance { left, right, sample, window } => {
                let (left, right) = (self.evaluate(left)?, self.evaluate(right)?);
                let mut results = Vec::with_capacity(count);
                for position in 0..count {
                    let (from, to) = self.range(window, position)?;
                    results.push(covariance(&left[from..to], &right[from..to], *sample));
                }
                results
            }
            Function::LinearFill(expression) => self.linear_fill(self.evaluate(expression)?)?,
            Function::LastObserved(expression) => {
                let mut last = Bson::Null;
                self.evaluate(expression)?
                    .into_iter()
                    .map(|value| {
                        if !is_nullish(&value) {
                            last = value;
                        }
                        last.clone()
                    })
                    .collect()
            }
        })
    }

    fn peers(&self, left: usize, right: usize) -> bool {
        self.values[left]
            .iter()
            .zip(&self.values[right])
            .all(|(left, right)| value::equal(left, right, self.context.collation()))
    }

    fn accumulate(&self, specification: &Specification, window: &Window) -> CommandResult<Vec<Bson>> {
        let mut results = Vec::with_capacity(self.rows.len());
        // While only the end of the window moves on, what was accumulated is kept.
        let mut state: Option<(usize, usize, Accumulator)> = None;
        let mut bytes = 0;
        for position in 0..self.rows.len() {
            let (from, to) = self.range(window, position)?;
            let (mut reached, mut accumulator) = match state.take() {
                Some((start, end, accumulator)) if start == from && end <= to => (end, accumulator),
                _ => (from, specification.start(&Bson::Null)?),
            };
            while reached < to {
                specification.feed(&mut accumulator, self.rows[reached].as_ref())?;
                reached += 1;
            }
            let result = specification.result(accumulator.clone());
            bytes += value_bytes(&result);
            if bytes > RESULT_BYTES_MAX {
                return Err(CommandError::new(
                    code::EXCEEDED_MEMORY_LIMIT,
                    format!("$setWindowFields: the values of one field need more than {RESULT_BYTES_MAX} bytes"),
                ));
            }
            results.push(result);
            state = Some((from, reached, accumulator));
        }
        Ok(results)
    }

    /// The window of a row as positions, the end excluded.
    fn range(&self, window: &Window, position: usize) -> CommandResult<(usize, usize)> {
        let count = self.rows.len();
        match window {
            Window::All => Ok((0, count)),
            Window::Documents(lower, upper) => {
                let at = |offset: i64| (position as i64).saturating_add(offset).clamp(0, count as i64) as usize;
                let from = match lower {
                    Bound::Unbounded => 0,
                    Bound::Current => position,
                    Bound::At(offset) => at(*offset),
                };
                let to = match upper {
                    Bound::Unbounded => count,
                    Bound::Current => position + 1,
                    Bound::At(offset) => at(offset.saturating_add(1)),
                };
                Ok((from, to.max(from)))
            }
            Window::Range(lower, upper, unit) => {
                let current = &self.values[position][0];
                let bound = |offset: &Bson| shifted(current, offset, *unit);
                let collation = self.context.collation();
                let key = |values: &Vec<Bson>| values[0].clone();
                let from = match lower {
                    Bound::Unbounded => 0,
                    lower => {
                        let limit = match lower {
                            Bound::At(offset) => bound(offset)?,
                            _ => current.clone(),
                        };
                        self.values.partition_point(|values| value::compare(&key(values), &limit, collation).is_lt())
                    }
                };
                let to = match upper {
                    Bound::Unbounded => count,
                    upper => {
                        let limit = match upper {
                            Bound::At(offset) => bound(offset)?,
                            _ => current.clone(),
                        };
                        self.values.partition_point(|values| value::compare(&key(values), &limit, collation).is_le())
                    }
                };
                Ok((from, to.max(from)))
            }
        }
    }

    /// Sort values as numbers: dates in the unit.
    fn time_values(&self, name: &str, unit: Option<Unit>) -> CommandResult<Vec<Bson>> {
        self.values
            .iter()
            .map(|values| match (&values[0], unit.and_then(Unit::fixed_millis)) {
                (Bson::DateTime(date), Some(length)) => {
                    Ok(Bson::Double(date.timestamp_millis() as f64 / length as f64))
                }
                (Bson::DateTime(_), None) => {
                    Err(CommandError::new(5_624_901, format!("{name} where the sortBy is a Date requires an 'unit'")))
                }
                (_, Some(_)) => Err(CommandError::new(
                    5_624_900,
                    format!("{name} with 'unit' expects the sortBy field to be a Date"),
                )),
                (number, None) if width(number).is_some() => Ok(number.clone()),
                (_, None) => {
                    Err(CommandError::new(5_624_902, format!("{name} expects the sortBy field to be numeric")))
                }
            })
            .collect()
    }

    fn linear_fill(&self, mut values: Vec<Bson>) -> CommandResult<Vec<Bson>> {
        let at: Vec<Bson> = self
            .values
            .iter()
            .map(|values| match &values[0] {
                Bson::DateTime(date) => Ok(Bson::Int64(date.timestamp_millis())),
                number if width(number).is_some() => Ok(number.clone()),
                _ => Err(CommandError::type_mismatch("The sortBy field of $linearFill must be numeric or a date")),
            })
            .collect::<CommandResult<_>>()?;
        for (left, right) in at.iter().zip(at.iter().skip(1)) {
            if value::compare(left, right, None) == Ordering::Equal {
                return Err(CommandError::new(
                    6_050_106,
                    "There can be no repeated values in the sort field of $linearFill",
                ));
            }
        }
        let mut known: Option<usize> = None;
        for position in 0..values.len() {
            if is_nullish(&values[position]) {
                values[position] = Bson::Null;
                continue;
            }
            if width(&values[position]).is_none() {
                return Err(CommandError::type_mismatch(
                    "Value to be filled by $linearFill must be numeric or nullish",
                ));
            }
            if let Some(from) = known {
                let rise = minus(&values[position], &values[from]);
                let run = minus(&at[position], &at[from]);
                for between in from + 1..position {
                    let share = over(&minus(&at[between], &at[from]), &run);
                    values[between] = plus(&values[from], &times(&rise, &share));
                }
            }
            known = Some(position);
        }
        Ok(values)
    }
}

/// A sort value moved by a bound.
fn shifted(current: &Bson, offset: &Bson, unit: Option<Unit>) -> CommandResult<Bson> {
    match (current, unit) {
        (Bson::DateTime(date), Some(unit)) => {
            let amount = ValueRef::from(offset).as_exact_i64().unwrap_or(0);
            let millis = add_units(date.timestamp_millis(), unit, amount, &Zone::Utc)?;
            Ok(Bson::DateTime(bson::DateTime::from_millis(millis)))
        }
        (_, Some(_)) => Err(CommandError::new(
            5_429_513,
            format!(
                "Invalid range: Expected the sortBy field to be a Date, but it was {}",
                ValueRef::from(current).type_name()
            ),
        )),
        (number, None) if width(number).is_some() => Ok(match (number, offset) {
            (Bson::Int32(number), Bson::Int32(offset)) => Bson::Int64(i64::from(*number) + i64::from(*offset)),
            _ => plus(number, offset),
        }),
        _ => Err(CommandError::new(
            5_429_413,
            format!(
                "Invalid range: Expected the sortBy field to be a number, but it was {}",
                ValueRef::from(current).type_name()
            ),
        )),
    }
}

fn covariance(left: &[Bson], right: &[Bson], sample: bool) -> Bson {
    let pairs: Vec<(&Bson, &Bson)> =
        left.iter().zip(right).filter(|(left, right)| width(left).is_some() && width(right).is_some()).collect();
    let count = pairs.len();
    let divisor = if sample { count.saturating_sub(1) } else { count };
    if divisor == 0 {
        return Bson::Null;
    }
    let length = Bson::Double(count as f64);
    let mean = |side: fn(&(&Bson, &Bson)) -> Bson| {
        let sum = pairs.iter().map(side).reduce(|sum, value| plus(&sum, &value)).unwrap_or(Bson::Double(0.0));
        over(&sum, &length)
    };
    let left_mean = mean(|pair| pair.0.clone());
    let right_mean = mean(|pair| pair.1.clone());
    let sum = pairs
        .iter()
        .map(|(left, right)| times(&minus(left, &left_mean), &minus(right, &right_mean)))
        .reduce(|sum, value| plus(&sum, &value))
        .unwrap_or(Bson::Double(0.0));
    over(&sum, &Bson::Double(divisor as f64))
}

pub(super) fn apply(stage: Arc<SetWindowFields>, rows: Rows, run: &Arc<Run>) -> Rows {
    let run = run.clone();
    deferred(move || {
        let rows = rows.collect::<CommandResult<Vec<_>>>()?;
        if bytes_of(&rows) > run.options.bytes_max {
            return Err(CommandError::new(
                code::EXCEEDED_MEMORY_LIMIT,
                format!("$setWindowFields exceeded its memory limit of {} bytes", run.options.bytes_max),
            ));
        }
        Ok(Box::new(stage.run(rows)?.into_iter().map(Ok)) as Rows)
    })
}
