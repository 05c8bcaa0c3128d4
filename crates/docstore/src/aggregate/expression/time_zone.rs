//! Time zones: offsets from UTC, and names of the IANA database (bundled, so that results do not depend on the host).

use std::sync::LazyLock;

use bson::Bson;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::{Value, is_nullish, type_name};
use crate::error::{CommandError, CommandResult};

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A zone.
#[derive(Debug, Clone)]
pub(in crate::aggregate) enum Zone {
    /// UTC, however it was spelled.
    Utc,
    /// Seconds east of UTC.
    Offset(i64),
    /// From the database.
    Named(TimeZone),
}

impl Zone {
    /// The zone a `timezone` argument names; `None` for null, and UTC where there is no argument.
    ///
    /// Errors: 40517 for what is no string, 40485 for a name that is unknown.
    pub fn from_argument(argument: Option<&Value>) -> CommandResult<Option<Self>> {
        match argument {
            None => Ok(Some(Self::Utc)),
            Some(value) if is_nullish(value) => Ok(None),
            Some(Some(Bson::String(name))) => Self::parse(name).map(Some),
            Some(value) => {
                Err(CommandError::new(40517, format!("timezone must evaluate to a string, found {}", type_name(value))))
            }
        }
    }

    pub fn parse(name: &str) -> CommandResult<Self> {
        if matches!(name, "UTC" | "GMT" | "Z" | "Etc/UTC" | "Zulu") {
            return Ok(Self::Utc);
        }
        if let Some(offset) = parse_offset(name) {
            return Ok(Self::Offset(offset));
        }
        DATABASE
            .get(name)
            .map(Self::Named)
            .map_err(|_| CommandError::new(40485, format!("unrecognized time zone identifier: \"{name}\"")))
    }

    pub fn is_utc(&self) -> bool {
        matches!(self, Self::Utc | Self::Offset(0))
    }

    /// Seconds east of UTC at this instant (milliseconds since the epoch).
    pub fn offset_at(&self, millis: i64) -> i64 {
        match self {
            Self::Utc => 0,
            Self::Offset(seconds) => *seconds,
            Self::Named(zone) => i64::from(zone.to_offset(timestamp(millis)).seconds()),
        }
    }

    /// The instant at which clocks of the zone show these milliseconds since 1970. In a gap: by the offset before it;
    /// in an overlap: the first.
    pub fn local_to_utc(&self, local: i64) -> i64 {
        match self {
            Self::Utc => local,
            Self::Offset(seconds) => local.saturating_sub(seconds * 1000),
            Self::Named(zone) => {
                let seconds = local.div_euclid(1000);
                let civil = Timestamp::from_second(seconds)
                    .map(|timestamp| TimeZone::UTC.to_datetime(timestamp))
                    .unwrap_or(if local > 0 { DateTime::MAX } else { DateTime::MIN });
                let offset = match zone.to_ambiguous_timestamp(civil).compatible() {
                    Ok(instant) => i64::from(zone.to_offset(instant).seconds()),
                    Err(_) => 0,
                };
                // In a gap the offset after the instant is not the one before it, by which the clock is read.
                match zone.to_ambiguous_timestamp(civil).offset() {
                    jiff::tz::AmbiguousOffset::Gap { before, .. } => local - i64::from(before.seconds()) * 1000,
                    _ => local.saturating_sub(offset * 1000),
                }
            }
        }
    }
}

/// The nearest instant the zone database covers.
fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(if millis > 0 { Timestamp::MAX } else { Timestamp::MIN })
}

/// `+hh`, `+hhmm`, `+hh:mm`, in seconds.
pub(super) fn parse_offset(text: &str) -> Option<i64> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits = match digits.len() {
        5 if digits.as_bytes()[2] == b':' => digits.replacen(':', "", 1),
        1 | 2 | 4 => digits.to_owned(),
        _ => return None,
    };
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: i64 = digits.parse().ok()?;
    let (hours, minutes) = if digits.len() <= 2 { (number, 0) } else { (number / 100, number % 100) };
    Some(sign * (hours * 3600 + minutes * 60))
}
