//! Dates to text and back: `$dateToString`, `$dateFromString`.

use bson::{Bson, DateTime};

use super::date::{Parts, coerce, days_from_civil, days_in_month, zone_of};
use super::time_zone::{Zone, parse_offset};
use super::{NULL, Node, Scope, Value, is_nullish, some, type_name};
use crate::error::{CommandError, CommandResult, code};

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const DEFAULT_UTC: &str = "%Y-%m-%dT%H:%M:%S.%LZ";
const DEFAULT_LOCAL: &str = "%Y-%m-%dT%H:%M:%S.%L";

/// `2020-01-02T03:04:05.678Z`
pub(super) fn iso_text(millis: i64) -> CommandResult<String> {
    format_date(millis, DEFAULT_UTC, &Zone::Utc)
}

pub(super) fn date_to_string(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let date = nodes[0].evaluate(scope)?;
    let format = match &nodes[1] {
        Node::Absent => None,
        node => match node.evaluate(scope)? {
            Some(Bson::String(format)) => {
                check_format(&format)?;
                Some(format)
            }
            value if is_nullish(&value) => return NULL,
            value => {
                return Err(CommandError::new(
                    18533,
                    format!("$dateToString requires that 'format' be a string, found: {}", type_name(&value)),
                ));
            }
        },
    };
    let Some(zone) = zone_of(&nodes[2], scope)? else { return NULL };
    if is_nullish(&date) {
        return match &nodes[3] {
            Node::Absent => NULL,
            node => node.evaluate(scope),
        };
    }
    let millis = coerce(&date)?;
    let format = match &format {
        Some(format) => format.as_str(),
        None if zone.is_utc() => DEFAULT_UTC,
        None => DEFAULT_LOCAL,
    };
    some(format_date(millis, format, &zone)?)
}

fn check_format(format: &str) -> CommandResult<()> {
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            continue;
        }
        match chars.next() {
            Some(
                'd' | 'G' | 'H' | 'j' | 'L' | 'm' | 'M' | 'S' | 'u' | 'U' | 'V' | 'w' | 'Y' | 'z' | 'Z' | '%' | 'b'
                | 'B',
            ) => {}
            Some(other) => {
                return Err(CommandError::new(18536, format!("Invalid format character '%{other}' in format string")));
            }
            None => return Err(CommandError::new(18535, "Unmatched '%' at end of format string")),
        }
    }
    Ok(())
}

pub(super) fn format_date(millis: i64, format: &str, zone: &Zone) -> CommandResult<String> {
    let parts = Parts::in_zone(millis, zone);
    let offset = zone.offset_at(millis) / 60;
    let mut text = String::with_capacity(format.len() + 12);
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            text.push(char);
            continue;
        }
        let four_digits = |year: i64| {
            if (0..=9999).contains(&year) {
                Ok(format!("{year:04}"))
            } else {
                Err(CommandError::new(
                    18537,
                    format!(
                        "Could not convert date to string: date component was outside the supported range of 0-9999: {year}"
                    ),
                ))
            }
        };
        let sign = if offset < 0 { '-' } else { '+' };
        text.push_str(&match chars.next() {
            Some('Y') => four_digits(parts.year)?,
            Some('G') => four_digits(parts.iso_week().0)?,
            Some('m') => format!("{:02}", parts.month),
            Some('d') => format!("{:02}", parts.day),
            Some('H') => format!("{:02}", parts.hour),
            Some('M') => format!("{:02}", parts.minute),
            Some('S') => format!("{:02}", parts.second),
            Some('L') => format!("{:03}", parts.millisecond),
            Some('j') => format!("{:03}", parts.day_of_year()),
            Some('w') => parts.day_of_week().to_string(),
            Some('u') => parts.iso_day_of_week().to_string(),
            Some('U') => format!("{:02}", parts.week()),
            Some('V') => format!("{:02}", parts.iso_week().1),
            Some('b') => MONTHS[(parts.month - 1) as usize][..3].to_owned(),
            Some('B') => MONTHS[(parts.month - 1) as usize].to_owned(),
            Some('z') => format!("{sign}{:02}{:02}", offset.abs() / 60, offset.abs() % 60),
            Some('Z') => offset.to_string(),
            Some('%') => "%".to_owned(),
            // `check_format` came before.
            Some(other) => other.to_string(),
            None => String::new(),
        });
    }
    Ok(text)
}

pub(super) fn date_from_string(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let result = date_from_string_or_fail(nodes, scope);
    match (&nodes[3], result) {
        (Node::Absent, result) => result,
        (on_error, Err(error)) if error.code == code::CONVERSION_FAILURE => on_error.evaluate(scope),
        (_, result) => result,
    }
}

fn date_from_string_or_fail(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    let text = nodes[0].evaluate(scope)?;
    let format = match &nodes[1] {
        Node::Absent => None,
        node => match node.evaluate(scope)? {
            Some(Bson::String(format)) => {
                check_parse_format(&format)?;
                Some(format)
            }
            value if is_nullish(&value) => return NULL,
            value => {
                return Err(CommandError::new(
                    40684,
                    format!("$dateFromString requires that 'format' be a string, found: {}", type_name(&value)),
                ));
            }
        },
    };
    let zone = match &nodes[2] {
        Node::Absent => None,
        node => match zone_of(node, scope)? {
            Some(zone) => Some(zone),
            None => return NULL,
        },
    };
    if is_nullish(&text) {
        return match &nodes[4] {
            Node::Absent => NULL,
            node => node.evaluate(scope),
        };
    }
    let Some(Bson::String(text)) = &text else {
        return Err(CommandError::new(
            code::CONVERSION_FAILURE,
            format!("$dateFromString requires that 'dateString' be a string, found: {}", type_name(&text)),
        ));
    };
    let parsed = match &format {
        Some(format) => by_format(text, format)?,
        None => free_form(text)?,
    };
    some(DateTime::from_millis(parsed.to_millis(text, zone.as_ref())?))
}

/// The date in a string without a given format; local times are UTC.
pub(super) fn parse_date(text: &str) -> CommandResult<DateTime> {
    Ok(DateTime::from_millis(free_form(text)?.to_millis(text, None)?))
}

fn failure(text: &str, reason: &str) -> CommandError {
    CommandError::new(code::CONVERSION_FAILURE, format!("Error parsing date string '{text}'; {reason}"))
}

/// What a date string told.
#[derive(Debug, Default)]
struct Parsed {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    hour: Option<i64>,
    minute: Option<i64>,
    second: Option<i64>,
    millisecond: Option<i64>,
    zone: Option<Zone>,
    day_of_year: Option<i64>,
    iso_year: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    /// Seconds since the epoch, complete in themselves.
    epoch: Option<i64>,
}

impl Parsed {
    fn to_millis(&self, text: &str, zone: Option<&Zone>) -> CommandResult<i64> {
        if let Some(seconds) = self.epoch {
            return seconds.checked_mul(1000).ok_or_else(|| failure(text, "the date is out of range"));
        }
        if zone.is_some() && self.zone.is_some() {
            return Err(CommandError::new(
                code::CONVERSION_FAILURE,
                format!(
                    "you cannot pass in a date/time string with time zone information ('{text}') together with a timezone argument"
                ),
            ));
        }
        let incomplete = || {
            CommandError::new(
                code::CONVERSION_FAILURE,
                format!("an incomplete date/time string has been found, with elements missing: \"{text}\""),
            )
        };
        let invalid = || failure(text, "The parsed date was invalid");
        let days = if let Some(year) = self.iso_year {
            let week = self.iso_week.ok_or_else(incomplete)?;
            let day = self.iso_day.unwrap_or(1);
            if !(1..=53).contains(&week) || !(1..=7).contains(&day) {
                return Err(invalid());
            }
            let fourth = days_from_civil(year, 1, 4);
            fourth - (fourth + 3).rem_euclid(7) + (week - 1) * 7 + (day - 1)
        } else {
            let year = self.year.ok_or_else(incomplete)?;
            if let Some(day) = self.day_of_year {
                let length = days_from_civil(year + 1, 1, 1) - days_from_civil(year, 1, 1);
                if !(1..=length).contains(&day) {
                    return Err(invalid());
                }
                days_from_civil(year, 1, 1) + day - 1
            } else {
                let month = self.month.ok_or_else(incomplete)?;
                let day = self.day.ok_or_else(incomplete)?;
                if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
                    return Err(invalid());
                }
                days_from_civil(year, month, day)
            }
        };
        let (hour, minute, second) = (self.hour.unwrap_or(0), self.minute.unwrap_or(0), self.second.unwrap_or(0));
        if hour > 24 || (hour == 24 && (minute > 0 || second > 0)) || minute > 59 || second > 60 {
            return Err(invalid());
        }
        let local = ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + self.millisecond.unwrap_or(0);
        Ok(self.zone.as_ref().or(zone).map_or(local, |zone| zone.local_to_utc(local)))
    }
}

fn check_parse_format(format: &str) -> CommandResult<()> {
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            continue;
        }
        match chars.next() {
            Some('d' | 'G' | 'H' | 'j' | 'L' | 'm' | 'M' | 'S' | 'u' | 'V' | 'Y' | 'z' | 'Z' | '%' | 'b' | 'B') => {}
            Some(other) => {
                return Err(CommandError::new(18536, format!("Invalid format character '%{other}' in format string")));
            }
            None => return Err(CommandError::new(18535, "Unmatched '%' at end of format string")),
        }
    }
    Ok(())
}

/// What is left of a string being read.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// `least` to `most` digits.
    fn digits(&mut self, least: usize, most: usize) -> Option<i64> {
        let length = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if length < least {
            return None;
        }
        let (digits, rest) = self.rest.split_at(length);
        let number = digits.parse().ok()?;
        self.rest = rest;
        Some(number)
    }

    fn letters(&mut self) -> &'a str {
        let length = self.rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (letters, rest) = self.rest.split_at(length);
        self.rest = rest;
        letters
    }

    fn spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
    }

    /// Digits of a fraction, as milliseconds.
    fn fraction(&mut self, most: usize) -> Option<i64> {
        let length = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return None;
        }
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        let millis = digits.bytes().chain(std::iter::repeat(b'0')).take(3);
        Some(millis.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    }

    fn zone(&mut self) -> Option<Zone> {
        if self.rest.starts_with(['+', '-']) {
            let length = 1 + self.rest[1..].bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b':').count();
            let (offset, rest) = self.rest.split_at(length);
            let zone = Zone::Offset(parse_offset(offset)?);
            self.rest = rest;
            return Some(zone);
        }
        let length =
            self.rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"/_-+".contains(byte)).count();
        let (name, rest) = self.rest.split_at(length);
        let zone = match name.to_ascii_uppercase().as_str() {
            "" => return None,
            "Z" | "UTC" | "GMT" => {
                self.rest = rest;
                return Some(Zone::Utc);
            }
            "EST" => Zone::Offset(-5 * 3600),
            "EDT" => Zone::Offset(-4 * 3600),
            "CST" => Zone::Offset(-6 * 3600),
            "CDT" => Zone::Offset(-5 * 3600),
            "MST" => Zone::Offset(-7 * 3600),
            "MDT" => Zone::Offset(-6 * 3600),
            "PST" => Zone::Offset(-8 * 3600),
            "PDT" => Zone::Offset(-7 * 3600),
            "CET" => Zone::Offset(3600),
            "CEST" => Zone::Offset(2 * 3600),
            "BST" => Zone::Offset(3600),
            _ => Zone::parse(name).ok()?,
        };
        self.rest = rest;
        Some(zone)
    }
}

fn month_by_name(name: &str) -> Option<i64> {
    let lower = name.to_ascii_lowercase();
    if lower.len() < 3 {
        return None;
    }
    MONTHS
        .iter()
        .position(|month| {
            let month = month.to_ascii_lowercase();
            month == lower || month[..3] == *lower || (lower == "sept" && month == "september")
        })
        .map(|index| index as i64 + 1)
}

fn is_day_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    DAYS.iter().any(|day| {
        let day = day.to_ascii_lowercase();
        day == lower || day[..3] == *lower
    })
}

fn by_format(text: &str, format: &str) -> CommandResult<Parsed> {
    let wrong = |reason: &str| failure(text, reason);
    let mut cursor = Cursor { rest: text };
    let mut parsed = Parsed::default();
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            let mut buffer = [0; 4];
            if !cursor.eat(char.encode_utf8(&mut buffer)) {
                return Err(wrong(&format!("expected '{char}' at \"{}\"", cursor.rest)));
            }
            continue;
        }
        let field = chars.next().unwrap_or('%');
        let done = match field {
            'Y' => {
                parsed.year = cursor.digits(4, 4);
                parsed.year.is_some()
            }
            'G' => {
                parsed.iso_year = cursor.digits(4, 4);
                parsed.iso_year.is_some()
            }
            'm' => {
                parsed.month = cursor.digits(1, 2);
                parsed.month.is_some()
            }
            'b' | 'B' => {
                parsed.month = month_by_name(cursor.letters());
                parsed.month.is_some()
            }
            'd' => {
                parsed.day = cursor.digits(1, 2);
                parsed.day.is_some()
            }
            'H' => {
                parsed.hour = cursor.digits(1, 2);
                parsed.hour.is_some()
            }
            'M' => {
                parsed.minute = cursor.digits(2, 2);
                parsed.minute.is_some()
            }
            'S' => {
                parsed.second = cursor.digits(2, 2);
                parsed.second.is_some()
            }
            'L' => {
                parsed.millisecond = cursor.fraction(3);
                parsed.millisecond.is_some()
            }
            'j' => {
                parsed.day_of_year = cursor.digits(3, 3);
                parsed.day_of_year.is_some()
            }
            'u' => {
                parsed.iso_day = cursor.digits(1, 1);
                parsed.iso_day.is_some()
            }
            'V' => {
                parsed.iso_week = cursor.digits(1, 2);
                parsed.iso_week.is_some()
            }
            'z' => {
                parsed.zone = cursor.zone();
                parsed.zone.is_some()
            }
            'Z' => {
                let sign = if cursor.eat("-") { -1 } else { i64::from(cursor.eat("+")) };
                let minutes = if sign == 0 { None } else { cursor.digits(1, 4) };
                parsed.zone = minutes.map(|minutes| Zone::Offset(sign * minutes * 60));
                parsed.zone.is_some()
            }
            _ => cursor.eat("%"),
        };
        if !done {
            return Err(wrong(&format!("cannot read %{field} at \"{}\"", cursor.rest)));
        }
    }
    if !cursor.rest.is_empty() {
        return Err(wrong("Trailing data"));
    }
    Ok(parsed)
}

/// Dates as people and programs write them: ISO 8601 in its forms, American and European day orders, month names.
fn free_form(text: &str) -> CommandResult<Parsed> {
    let wrong = || failure(text, "The string is not in a known date format");
    let mut cursor = Cursor { rest: text.trim() };
    let mut parsed = Parsed::default();
    if cursor.eat("@") {
        let negative = cursor.eat("-");
        let seconds = cursor.digits(1, 18).ok_or_else(wrong)?;
        parsed.epoch = Some(if negative { -seconds } else { seconds });
        return if cursor.rest.is_empty() { Ok(parsed) } else { Err(wrong()) };
    }
    while !cursor.rest.is_empty() {
        let before = cursor.rest.len();
        cursor.spaces();
        if cursor.rest.is_empty() {
            break;
        }
        let next = cursor.rest.as_bytes()[0];
        if next.is_ascii_digit() {
            if parsed.year.is_some() && parsed.hour.is_none() {
                time(&mut cursor, &mut parsed).ok_or_else(wrong)?;
            } else {
                date_or_time(&mut cursor, &mut parsed).ok_or_else(wrong)?;
            }
        } else if (next == b'T' || next == b't')
            && parsed.hour.is_none()
            && cursor.rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
        {
            cursor.rest = &cursor.rest[1..];
            time(&mut cursor, &mut parsed).ok_or_else(wrong)?;
        } else if next.is_ascii_alphabetic() {
            word(&mut cursor, &mut parsed).ok_or_else(wrong)?;
        } else if (next == b'+' || next == b'-') && parsed.hour.is_some() && parsed.zone.is_none() {
            parsed.zone = Some(cursor.zone().ok_or_else(wrong)?);
        } else {
            return Err(wrong());
        }
        if cursor.rest.len() == before {
            return Err(wrong());
        }
    }
    Ok(parsed)
}

fn word(cursor: &mut Cursor<'_>, parsed: &mut Parsed) -> Option<()> {
    let start = cursor.rest;
    let letters = cursor.letters();
    if is_day_name(letters) {
        cursor.eat(".");
        return Some(());
    }
    if let Some(month) = month_by_name(letters)
        && parsed.month.is_none()
    {
        parsed.month = Some(month);
        cursor.eat(".");
        cursor.spaces();
        cursor.eat("-");
        // "July 4, 2019", "July 2019".
        if parsed.day.is_none() && cursor.rest.starts_with(|char: char| char.is_ascii_digit()) {
            let length = cursor.rest.bytes().take_while(u8::is_ascii_digit).count();
            if length <= 2 {
                parsed.day = cursor.digits(1, 2);
                for suffix in ["st", "nd", "rd", "th"] {
                    cursor.eat(suffix);
                }
                cursor.spaces();
            }
        }
        if parsed.year.is_none() {
            let length = cursor.rest.bytes().take_while(u8::is_ascii_digit).count();
            if length == 4 && cursor.rest.as_bytes().get(4) != Some(&b':') {
                parsed.year = cursor.digits(4, 4);
            }
        }
        return Some(());
    }
    if matches!(letters.to_ascii_lowercase().as_str(), "am" | "pm") {
        let hour = parsed.hour.filter(|hour| (1..=12).contains(hour))?;
        let afternoon = letters.eq_ignore_ascii_case("pm");
        parsed.hour = Some(hour % 12 + if afternoon { 12 } else { 0 });
        return Some(());
    }
    cursor.rest = start;
    if parsed.zone.is_some() {
        return None;
    }
    parsed.zone = Some(cursor.zone()?);
    Some(())
}

fn date_or_time(cursor: &mut Cursor<'_>, parsed: &mut Parsed) -> Option<()> {
    let length = cursor.rest.bytes().take_while(u8::is_ascii_digit).count();
    let after = cursor.rest.as_bytes().get(length).copied();
    match (length, after) {
        (1 | 2, Some(b':')) if parsed.hour.is_none() => time(cursor, parsed),
        (4, Some(b'-')) => {
            parsed.year = cursor.digits(4, 4);
            cursor.eat("-");
            if cursor.eat("W") {
                parsed.iso_year = parsed.year;
                parsed.iso_week = Some(cursor.digits(2, 2)?);
                if cursor.eat("-") {
                    parsed.iso_day = Some(cursor.digits(1, 1)?);
                }
                return Some(());
            }
            let digits = cursor.rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 3 {
                parsed.day_of_year = cursor.digits(3, 3);
                return Some(());
            }
            if digits == 0 {
                parsed.month = Some(month_by_name(cursor.letters())?);
            } else {
                parsed.month = Some(cursor.digits(1, 2)?);
            }
            if cursor.eat("-") {
                parsed.day = Some(cursor.digits(1, 2)?);
            } else {
                // A year and a month are the first day of the month.
                parsed.day = Some(1);
            }
            Some(())
        }
        (4, Some(b'/')) => {
            parsed.year = cursor.digits(4, 4);
            cursor.eat("/");
            parsed.month = Some(cursor.digits(1, 2)?);
            if cursor.eat("/") {
                parsed.day = Some(cursor.digits(1, 2)?);
            } else {
                parsed.day = Some(1);
            }
            Some(())
        }
        (4, _) if parsed.month.is_some() && parsed.year.is_none() => {
            parsed.year = cursor.digits(4, 4);
            Some(())
        }
        (8, _) => {
            parsed.year = cursor.digits(4, 4);
            parsed.month = cursor.digits(2, 2);
            parsed.day = cursor.digits(2, 2);
            Some(())
        }
        (7, _) => {
            parsed.year = cursor.digits(4, 4);
            parsed.day_of_year = cursor.digits(3, 3);
            Some(())
        }
        (14, _) => {
            parsed.year = cursor.digits(4, 4);
            parsed.month = cursor.digits(2, 2);
            parsed.day = cursor.digits(2, 2);
            parsed.hour = cursor.digits(2, 2);
            parsed.minute = cursor.digits(2, 2);
            parsed.second = cursor.digits(2, 2);
            Some(())
        }
        (1 | 2, Some(b'/')) => {
            // American: the month first.
            parsed.month = cursor.digits(1, 2);
            cursor.eat("/");
            parsed.day = Some(cursor.digits(1, 2)?);
            if cursor.eat("/") {
                parsed.year = Some(cursor.digits(4, 4)?);
            }
            Some(())
        }
        (1 | 2, Some(b'-' | b'.')) => {
            // European: the day first.
            let separator = if after == Some(b'-') { "-" } else { "." };
            parsed.day = cursor.digits(1, 2);
            cursor.eat(separator);
            if cursor.rest.starts_with(|char: char| char.is_ascii_alphabetic()) {
                parsed.month = Some(month_by_name(cursor.letters())?);
            } else {
                parsed.month = Some(cursor.digits(1, 2)?);
            }
            if !cursor.eat(separator) {
                return None;
            }
            parsed.year = Some(cursor.digits(4, 4)?);
            Some(())
        }
        (1 | 2, _) if parsed.day.is_none() => {
            // "4 July 2019": the word follows.
            parsed.day = cursor.digits(1, 2);
            for suffix in ["st", "nd", "rd", "th"] {
                cursor.eat(suffix);
            }
            Some(())
        }
        (4, _) if parsed.year.is_none() && parsed.day.is_some() => {
            parsed.year = cursor.digits(4, 4);
            Some(())
        }
        _ => None,
    }
}

fn time(cursor: &mut Cursor<'_>, parsed: &mut Parsed) -> Option<()> {
    let length = cursor.rest.bytes().take_while(u8::is_ascii_digit).count();
    let colon = cursor.rest.as_bytes().get(length) == Some(&b':');
    parsed.hour = Some(cursor.digits(1, 2)?);
    if colon {
        cursor.eat(":");
        parsed.minute = Some(cursor.digits(2, 2)?);
        if cursor.eat(":") {
            parsed.second = Some(cursor.digits(2, 2)?);
        }
    } else if length == 4 || length == 6 {
        parsed.minute = Some(cursor.digits(2, 2)?);
        if length == 6 {
            parsed.second = Some(cursor.digits(2, 2)?);
        }
    } else if length > 2 {
        return None;
    }
    if parsed.second.is_some() && (cursor.eat(".") || cursor.eat(",")) {
        parsed.millisecond = Some(cursor.fraction(9)?);
    }
    if cursor.rest.starts_with(['+', '-']) {
        parsed.zone = Some(cursor.zone()?);
    }
    Some(())
}
