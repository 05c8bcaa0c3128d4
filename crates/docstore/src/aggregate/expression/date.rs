//! Date operators (MongoDB manual, "Date Expression Operators"). The calendar is the proleptic Gregorian one.

use bson::{Bson, DateTime, Document};

use super::number::{to_i64, width};
use super::time_zone::Zone;
use super::{NULL, Node, Scope, Value, is_nullish, some, type_name};
use crate::error::{CommandError, CommandResult, code};
use crate::query::value::ValueRef;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Days from 1970-01-01 to this day. Months beyond 1 to 12 and days beyond the month's carry over.
pub(in crate::aggregate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year + (month - 1).div_euclid(12);
    let month = (month - 1).rem_euclid(12) + 1;
    // Years that begin in March put the leap day last.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468 + (day - 1)
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

pub(super) fn days_in_month(year: i64, month: i64) -> i64 {
    days_from_civil(year, month + 1, 1) - days_from_civil(year, month, 1)
}

/// An instant as a calendar shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::aggregate) struct Parts {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub millisecond: i64,
    /// Days since 1970-01-01.
    pub days: i64,
}

impl Parts {
    /// Of milliseconds since 1970, as local clocks count them.
    pub fn from_millis(millis: i64) -> Self {
        let days = millis.div_euclid(DAY);
        let rest = millis.rem_euclid(DAY);
        let (year, month, day) = civil_from_days(days);
        Self {
            year,
            month,
            day,
            hour: rest / HOUR,
            minute: rest / MINUTE % 60,
            second: rest / SECOND % 60,
            millisecond: rest % SECOND,
            days,
        }
    }

    pub fn in_zone(millis: i64, zone: &Zone) -> Self {
        Self::from_millis(millis.saturating_add(zone.offset_at(millis) * 1000))
    }

    /// Milliseconds since midnight.
    fn millis_of_day(&self) -> i64 {
        self.hour * HOUR + self.minute * MINUTE + self.second * SECOND + self.millisecond
    }

    /// 1 is Sunday, 7 Saturday.
    pub fn day_of_week(&self) -> i64 {
        (self.days + 4).rem_euclid(7) + 1
    }

    /// 1 is Monday, 7 Sunday.
    pub fn iso_day_of_week(&self) -> i64 {
        (self.days + 3).rem_euclid(7) + 1
    }

    pub fn day_of_year(&self) -> i64 {
        self.days - days_from_civil(self.year, 1, 1) + 1
    }

    /// Weeks begin on Sunday; days before the first Sunday are in week 0.
    pub fn week(&self) -> i64 {
        (self.day_of_year() - 1 + 7 - (self.day_of_week() - 1)) / 7
    }

    /// ISO 8601 year and week: a week belongs to the year of its Thursday.
    pub fn iso_week(&self) -> (i64, i64) {
        let thursday = self.days - (self.iso_day_of_week() - 1) + 3;
        let (year, ..) = civil_from_days(thursday);
        (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
    }
}

/// Milliseconds since the epoch of a date, a timestamp or an ObjectId.
pub(super) fn instant(value: &Value) -> Option<i64> {
    match value.as_ref()? {
        Bson::DateTime(date) => Some(date.timestamp_millis()),
        Bson::Timestamp(timestamp) => Some(i64::from(timestamp.time) * 1000),
        Bson::ObjectId(id) => Some(id.timestamp().timestamp_millis()),
        _ => None,
    }
}

pub(super) fn coerce(value: &Value) -> CommandResult<i64> {
    instant(value)
        .ok_or_else(|| CommandError::new(16006, format!("can't convert from BSON type {} to Date", type_name(value))))
}

/// The zone of an optional argument: `Absent` is UTC, null is `None`.
pub(super) fn zone_of(node: &Node, scope: &Scope<'_>) -> CommandResult<Option<Zone>> {
    match node {
        Node::Absent => Ok(Some(Zone::Utc)),
        node => Zone::from_argument(Some(&node.evaluate(scope)?)),
    }
}

fn part(nodes: &[Node], scope: &Scope<'_>, read: impl FnOnce(&Parts) -> Bson) -> CommandResult<Value> {
    let value = nodes[0].evaluate(scope)?;
    if is_nullish(&value) {
        return NULL;
    }
    let Some(zone) = zone_of(&nodes[1], scope)? else { return NULL };
    let millis = coerce(&value)?;
    Ok(Some(read(&Parts::in_zone(millis, &zone))))
}

macro_rules! date_parts {
    ($($name:ident => $read:expr;)*) => {
        $(pub(super) fn $name(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
            part(nodes, scope, $read)
        })*
    };
}

fn int(number: i64) -> Bson {
    Bson::Int32(number as i32)
}

date_parts! {
    year => |parts| int(parts.year);
    month => |parts| int(parts.month);
    week => |parts| int(parts.week());
    day_of_month => |parts| int(parts.day);
    day_of_week => |parts| int(parts.day_of_week());
    day_of_year => |parts| int(parts.day_of_year());
    hour => |parts| int(parts.hour);
    minute => |parts| int(parts.minute);
    second => |parts| int(parts.second);
    millisecond => |parts| int(parts.millisecond);
    iso_day_of_week => |parts| int(parts.iso_day_of_week());
    iso_week => |parts| int(parts.iso_week().1);
    iso_week_year => |parts| Bson::Int64(parts.iso_week().0);
}

fn timestamp_part(name: &str, code: i32, values: &[Value], read: fn(bson::Timestamp) -> u32) -> CommandResult<Value> {
    match &values[0] {
        Some(Bson::Timestamp(timestamp)) => some(i64::from(read(*timestamp))),
        value if is_nullish(value) => NULL,
        value => {
            Err(CommandError::new(code, format!("Argument to {name} must be a timestamp, but is {}", type_name(value))))
        }
    }
}

pub(super) fn timestamp_second(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    timestamp_part("$tsSecond", 5_687_301, values, |timestamp| timestamp.time)
}

pub(super) fn timestamp_increment(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    timestamp_part("$tsIncrement", 5_687_302, values, |timestamp| timestamp.increment)
}

/// Checks between arguments that can be made without evaluating them.
pub(super) fn check_arguments(name: &str, arguments: &[Node]) -> CommandResult<()> {
    if name != "$dateFromParts" {
        return Ok(());
    }
    let given = |position: usize| !matches!(arguments[position], Node::Absent);
    if !given(0) && !given(8) {
        return Err(CommandError::new(40516, "$dateFromParts requires either 'year' or 'isoWeekYear' to be present"));
    }
    if given(0) && (given(8) || given(9) || given(10)) {
        return Err(CommandError::new(40489, "$dateFromParts does not allow mixing natural dates with ISO dates"));
    }
    if given(8) && (given(1) || given(2)) {
        return Err(CommandError::new(40525, "$dateFromParts does not allow mixing ISO dates with natural dates"));
    }
    Ok(())
}

pub(super) fn date_from_parts(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let number = |position: usize, name: &str, default: i64| -> CommandResult<Option<i64>> {
        if matches!(nodes[position], Node::Absent) {
            return Ok(Some(default));
        }
        let value = nodes[position].evaluate(scope)?;
        if is_nullish(&value) {
            return Ok(None);
        }
        value.as_ref().and_then(|value| ValueRef::from(value).as_exact_i64()).map(Some).ok_or_else(|| {
            CommandError::new(
                40515,
                format!("'{name}' must evaluate to an integer, found a value of type {}", type_name(&value)),
            )
        })
    };
    let bounded = |position: usize, name: &str, default: i64| -> CommandResult<Option<i64>> {
        let value = number(position, name, default)?;
        match value {
            Some(value) if !(-32768..=32767).contains(&value) => Err(CommandError::new(
                31034,
                format!(
                    "'{name}' must evaluate to a value in the range [-32768, 32767]; value {value} is not in range"
                ),
            )),
            value => Ok(value),
        }
    };
    let year_in_range = |year: Option<i64>, name: &str, code: i32| match year {
        Some(year) if !(0..=9999).contains(&year) => Err(CommandError::new(
            code,
            format!("'{name}' must evaluate to an integer in the range 0 to 9999, found {year}"),
        )),
        year => Ok(year),
    };
    let (Some(hour), Some(minute), Some(second), Some(millisecond)) =
        (bounded(3, "hour", 0)?, bounded(4, "minute", 0)?, number(5, "second", 0)?, number(6, "millisecond", 0)?)
    else {
        return NULL;
    };
    let Some(zone) = zone_of(&nodes[7], scope)? else { return NULL };
    let days = if matches!(nodes[0], Node::Absent) {
        let (Some(year), Some(week), Some(day)) = (
            year_in_range(number(8, "isoWeekYear", 1970)?, "isoWeekYear", 31095)?,
            bounded(9, "isoWeek", 1)?,
            bounded(10, "isoDayOfWeek", 1)?,
        ) else {
            return NULL;
        };
        // January 4th is always in week 1.
        let fourth = days_from_civil(year, 1, 4);
        fourth - (fourth + 3).rem_euclid(7) + (week - 1) * 7 + (day - 1)
    } else {
        let (Some(year), Some(month), Some(day)) =
            (year_in_range(number(0, "year", 1970)?, "year", 40523)?, bounded(1, "month", 1)?, bounded(2, "day", 1)?)
        else {
            return NULL;
        };
        days_from_civil(year, month, 1) + (day - 1)
    };
    let millis = second
        .checked_mul(SECOND)
        .and_then(|millis| millis.checked_add(millisecond))
        .and_then(|millis| millis.checked_add(days * DAY + hour * HOUR + minute * MINUTE));
    match millis {
        Some(millis) => some(DateTime::from_millis(zone.local_to_utc(millis))),
        None => Err(CommandError::new(code::OVERFLOW, "date overflow in $dateFromParts")),
    }
}

pub(super) fn date_to_parts(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let date = nodes[0].evaluate(scope)?;
    let Some(zone) = zone_of(&nodes[1], scope)? else { return NULL };
    let iso = match &nodes[2] {
        Node::Absent => false,
        node => match node.evaluate(scope)? {
            Some(Bson::Boolean(iso)) => iso,
            value if is_nullish(&value) => return NULL,
            value => {
                return Err(CommandError::new(
                    40521,
                    format!("iso8601 must evaluate to a bool, found {}", type_name(&value)),
                ));
            }
        },
    };
    if is_nullish(&date) {
        return NULL;
    }
    let parts = Parts::in_zone(coerce(&date)?, &zone);
    let mut document = Document::new();
    if iso {
        let (year, week) = parts.iso_week();
        document.insert("isoWeekYear", int(year));
        document.insert("isoWeek", int(week));
        document.insert("isoDayOfWeek", int(parts.iso_day_of_week()));
    } else {
        document.insert("year", int(parts.year));
        document.insert("month", int(parts.month));
        document.insert("day", int(parts.day));
    }
    document.insert("hour", int(parts.hour));
    document.insert("minute", int(parts.minute));
    document.insert("second", int(parts.second));
    document.insert("millisecond", int(parts.millisecond));
    some(document)
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::aggregate) enum Unit {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
}

impl Unit {
    pub fn parse(name: &str) -> CommandResult<Self> {
        Ok(match name {
            "year" => Self::Year,
            "quarter" => Self::Quarter,
            "month" => Self::Month,
            "week" => Self::Week,
            "day" => Self::Day,
            "hour" => Self::Hour,
            "minute" => Self::Minute,
            "second" => Self::Second,
            "millisecond" => Self::Millisecond,
            _ => return Err(CommandError::failed_to_parse(format!("unknown time unit value: {name}"))),
        })
    }

    /// Milliseconds, of units whose length does not change.
    pub fn fixed_millis(self) -> Option<i64> {
        match self {
            Self::Week => Some(7 * DAY),
            Self::Day => Some(DAY),
            Self::Hour => Some(HOUR),
            Self::Minute => Some(MINUTE),
            Self::Second => Some(SECOND),
            Self::Millisecond => Some(1),
            Self::Year | Self::Quarter | Self::Month => None,
        }
    }

    fn months(self) -> Option<i64> {
        match self {
            Self::Year => Some(12),
            Self::Quarter => Some(3),
            Self::Month => Some(1),
            _ => None,
        }
    }
}

fn unit_of(name: &str, value: &Value) -> CommandResult<Option<Unit>> {
    match value {
        Some(Bson::String(unit)) => Unit::parse(unit).map(Some),
        value if is_nullish(value) => Ok(None),
        value => Err(CommandError::new(
            5_439_013,
            format!("{name} requires 'unit' to be a string, but got {}", type_name(value)),
        )),
    }
}

/// The date so many units later, by the zone's calendar. Months that are too short give their last day.
pub(in crate::aggregate) fn add_units(millis: i64, unit: Unit, amount: i64, zone: &Zone) -> CommandResult<i64> {
    let overflow = || CommandError::new(5_166_406, "date overflow: the result is out of range");
    let result = if let Some(months) = unit.months() {
        let local = Parts::in_zone(millis, zone);
        let months =
            amount.checked_mul(months).filter(|months| months.abs() < 12 * 600_000_000).ok_or_else(overflow)?;
        let index = local.year * 12 + (local.month - 1) + months;
        let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
        let day = local.day.min(days_in_month(year, month));
        days_from_civil(year, month, day)
            .checked_mul(DAY)
            .and_then(|days| days.checked_add(local.millis_of_day()))
            .map(|local| zone.local_to_utc(local))
    } else {
        let span = unit.fixed_millis().and_then(|length| amount.checked_mul(length)).ok_or_else(overflow)?;
        if matches!(unit, Unit::Day | Unit::Week) {
            // By the calendar: the same time of day, however long the days between are.
            millis
                .checked_add(zone.offset_at(millis) * 1000)
                .and_then(|local| local.checked_add(span))
                .map(|local| zone.local_to_utc(local))
        } else {
            millis.checked_add(span)
        }
    };
    result.ok_or_else(overflow)
}

pub(super) fn date_add(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    date_arithmetic("$dateAdd", 1, nodes, scope)
}

pub(super) fn date_subtract(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    date_arithmetic("$dateSubtract", -1, nodes, scope)
}

fn date_arithmetic(name: &str, sign: i64, nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let start = nodes[0].evaluate(scope)?;
    if is_nullish(&start) {
        return NULL;
    }
    let Some(unit) = unit_of(name, &nodes[1].evaluate(scope)?)? else { return NULL };
    let amount = nodes[2].evaluate(scope)?;
    if is_nullish(&amount) {
        return NULL;
    }
    let Some(zone) = zone_of(&nodes[3], scope)? else { return NULL };
    let millis = instant(&start).ok_or_else(|| {
        CommandError::new(5_166_403, format!("{name} requires startDate to be convertible to a date"))
    })?;
    let amount = amount
        .as_ref()
        .and_then(|amount| ValueRef::from(amount).as_exact_i64())
        .ok_or_else(|| CommandError::new(5_166_405, format!("{name} expects integer amount of time units")))?;
    let amount = amount
        .checked_mul(sign)
        .ok_or_else(|| CommandError::new(6_045_000, format!("invalid {name} 'amount' argument value: {amount}")))?;
    some(DateTime::from_millis(add_units(millis, unit, amount, &zone)?))
}

/// A day of the week by its English name or first three letters; 1 is Monday.
fn start_of_week(name: &str, node: &Node, unit: Unit, scope: &Scope<'_>) -> CommandResult<Option<i64>> {
    if matches!(node, Node::Absent) {
        return Ok(Some(7));
    }
    let value = node.evaluate(scope)?;
    if unit != Unit::Week {
        // Ignored, whatever it is.
        return Ok(Some(7));
    }
    match &value {
        Some(Bson::String(day)) => match day.to_ascii_lowercase().as_str() {
            "monday" | "mon" => Ok(Some(1)),
            "tuesday" | "tue" => Ok(Some(2)),
            "wednesday" | "wed" => Ok(Some(3)),
            "thursday" | "thu" => Ok(Some(4)),
            "friday" | "fri" => Ok(Some(5)),
            "saturday" | "sat" => Ok(Some(6)),
            "sunday" | "sun" => Ok(Some(7)),
            _ => Err(CommandError::failed_to_parse(format!(
                "{name} parameter 'startOfWeek' value cannot be recognized as a day of a week: {day}"
            ))),
        },
        value if is_nullish(value) => Ok(None),
        value => Err(CommandError::new(
            5_439_015,
            format!("{name} requires 'startOfWeek' to be a string, but got {}", type_name(value)),
        )),
    }
}

/// Weeks from one fixed week to the one that holds the day.
fn week_number(days: i64, first_day: i64) -> i64 {
    // 1970-01-05, day 4, was a Monday.
    (days - 4 - (first_day - 1)).div_euclid(7)
}

pub(super) fn date_diff(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let start = nodes[0].evaluate(scope)?;
    let end = nodes[1].evaluate(scope)?;
    if is_nullish(&start) || is_nullish(&end) {
        return NULL;
    }
    let Some(unit) = unit_of("$dateDiff", &nodes[2].evaluate(scope)?)? else { return NULL };
    let Some(zone) = zone_of(&nodes[3], scope)? else { return NULL };
    let Some(first_day) = start_of_week("$dateDiff", &nodes[4], unit, scope)? else { return NULL };
    let instant_of = |value: &Value, what: &str| {
        instant(value).ok_or_else(|| {
            CommandError::new(
                5_166_307,
                format!("$dateDiff requires '{what}' to be a date, but got {}", type_name(value)),
            )
        })
    };
    let (start, end) = (instant_of(&start, "startDate")?, instant_of(&end, "endDate")?);
    let from = Parts::in_zone(start, &zone);
    let to = Parts::in_zone(end, &zone);
    let months = |parts: &Parts| parts.year * 12 + parts.month - 1;
    // Boundaries between hours and less lie where the clock shows a whole one; days that change their offset do not
    // add or take any.
    let fixed = |length: i64| {
        let clock =
            |millis: i64| millis.saturating_add((zone.offset_at(millis) * 1000).rem_euclid(length)).div_euclid(length);
        clock(end).checked_sub(clock(start))
    };
    let difference = match unit {
        Unit::Year => Some(to.year - from.year),
        Unit::Quarter => Some(months(&to).div_euclid(3) - months(&from).div_euclid(3)),
        Unit::Month => Some(months(&to) - months(&from)),
        Unit::Week => Some(week_number(to.days, first_day) - week_number(from.days, first_day)),
        Unit::Day => Some(to.days - from.days),
        Unit::Hour => fixed(HOUR),
        Unit::Minute => fixed(MINUTE),
        Unit::Second => fixed(SECOND),
        Unit::Millisecond => end.checked_sub(start),
    };
    match difference {
        Some(difference) => some(difference),
        None => Err(CommandError::new(5_166_308, "$dateDiff overflowed")),
    }
}

pub(super) fn date_trunc(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let date = nodes[0].evaluate(scope)?;
    if is_nullish(&date) {
        return NULL;
    }
    let Some(unit) = unit_of("$dateTrunc", &nodes[1].evaluate(scope)?)? else { return NULL };
    let size = match &nodes[2] {
        Node::Absent => 1,
        node => {
            let value = node.evaluate(scope)?;
            if is_nullish(&value) {
                return NULL;
            }
            let size = value
                .as_ref()
                .filter(|value| width(value).is_some())
                .and_then(|value| ValueRef::from(value).as_exact_i64());
            match size {
                Some(size) if size > 0 => size,
                Some(size) => {
                    return Err(CommandError::new(
                        5_439_018,
                        format!("$dateTrunc requires 'binSize' to be greater than 0, but got value {size}"),
                    ));
                }
                None => {
                    return Err(CommandError::new(
                        5_439_017,
                        format!(
                            "$dateTrunc requires 'binSize' to be a 64-bit integer, but got value of type {}",
                            type_name(&value)
                        ),
                    ));
                }
            }
        }
    };
    let Some(zone) = zone_of(&nodes[3], scope)? else { return NULL };
    let Some(first_day) = start_of_week("$dateTrunc", &nodes[4], unit, scope)? else { return NULL };
    let millis = instant(&date).ok_or_else(|| {
        CommandError::new(5_439_012, format!("$dateTrunc requires 'date' to be a date, but got {}", type_name(&date)))
    })?;
    some(DateTime::from_millis(truncate(millis, unit, size, &zone, first_day)?))
}

/// The start of the bin the instant is in. Bins are counted from 2000-01-01 (weeks: from the first start of a week on
/// or after it) by the zone's clock (MongoDB manual, "$dateTrunc").
fn truncate(millis: i64, unit: Unit, size: i64, zone: &Zone, first_day: i64) -> CommandResult<i64> {
    let overflow = || CommandError::new(5_439_019, "$dateTrunc overflowed");
    let reference = days_from_civil(2000, 1, 1);
    let floor = |distance: i64| distance.div_euclid(size).checked_mul(size);
    let local = Parts::in_zone(millis, zone);
    let days = match unit {
        Unit::Year | Unit::Quarter | Unit::Month => {
            let length = unit.months().and_then(|months| months.checked_mul(size)).ok_or_else(overflow)?;
            let months = (local.year - 2000) * 12 + local.month - 1;
            let start = months.div_euclid(length).checked_mul(length).ok_or_else(overflow)?;
            days_from_civil(2000 + start.div_euclid(12), start.rem_euclid(12) + 1, 1)
        }
        Unit::Week => {
            // 2000-01-01 was a Saturday, day 6.
            let first = reference + (first_day - 6).rem_euclid(7);
            let length = size.checked_mul(7).ok_or_else(overflow)?;
            first + (local.days - first).div_euclid(length).checked_mul(length).ok_or_else(overflow)?
        }
        Unit::Day => reference + floor(local.days - reference).ok_or_else(overflow)?,
        Unit::Hour | Unit::Minute | Unit::Second | Unit::Millisecond => {
            let length = unit.fixed_millis().and_then(|length| length.checked_mul(size)).ok_or_else(overflow)?;
            let origin = zone.local_to_utc(reference * DAY);
            // Clocks of a zone whose offset is no whole number of hours show whole hours at other instants.
            let shift = match unit {
                Unit::Hour => (zone.offset_at(origin) - zone.offset_at(millis)).rem_euclid(3600) * 1000,
                _ => 0,
            };
            let origin = origin + shift;
            let distance = millis.checked_sub(origin).ok_or_else(overflow)?;
            return distance
                .div_euclid(length)
                .checked_mul(length)
                .and_then(|distance| origin.checked_add(distance))
                .ok_or_else(overflow);
        }
    };
    days.checked_mul(DAY).map(|local| zone.local_to_utc(local)).ok_or_else(overflow)
}

/// A number of milliseconds as a date, as conversions take it.
pub(super) fn from_number(value: &Bson) -> DateTime {
    DateTime::from_millis(to_i64(value))
}
