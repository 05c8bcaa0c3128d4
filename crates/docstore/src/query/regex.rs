//! Regular expressions with MongoDB's syntax: PCRE's, in UTF mode without Unicode classes (`\w` is ASCII).

use std::fmt;
use std::sync::Arc;

use crate::error::{CommandError, CommandResult};

/// Byte ranges of a match: the whole, then its groups, `None` for groups that took no part.
pub type Groups = Vec<Option<(usize, usize)>>;

/// A compiled regular expression. Cheap to clone.
#[derive(Clone)]
pub struct Regex {
    pattern: String,
    options: String,
    compiled: Arc<pcre2::bytes::Regex>,
}

impl fmt::Debug for Regex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "/{}/{}", self.pattern, self.options)
    }
}

impl Regex {
    /// Compiles a pattern. Options: `i` `m` `s` `x`, and `u`, which changes nothing.
    ///
    /// Errors: 51108 unknown option, `BadValue` a NUL in the pattern, 51091 a pattern PCRE refuses.
    pub fn new(pattern: &str, options: &str) -> CommandResult<Self> {
        let mut builder = pcre2::bytes::RegexBuilder::new();
        builder.utf(true).jit_if_available(true);
        for option in options.chars() {
            match option {
                'i' => builder.caseless(true),
                'm' => builder.multi_line(true),
                's' => builder.dotall(true),
                'x' => builder.extended(true),
                'u' => &mut builder,
                other => {
                    return Err(CommandError::new(51108, format!("invalid flag in regex options: {other}")));
                }
            };
        }
        if pattern.contains('\0') {
            return Err(CommandError::bad_value("Regular expression cannot contain an embedded null byte"));
        }
        let compiled = builder
            .build(pattern)
            .map_err(|error| CommandError::new(51091, format!("Regular expression is invalid: {error}")))?;
        Ok(Self { pattern: pattern.to_owned(), options: options.to_owned(), compiled: Arc::new(compiled) })
    }

    /// The pattern as given.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The options as given.
    pub fn options(&self) -> &str {
        &self.options
    }

    /// Does it match anywhere in the text? A search that exceeds PCRE's limits does not match.
    pub fn is_match(&self, text: &str) -> bool {
        self.compiled.is_match(text.as_bytes()).unwrap_or(false)
    }

    /// The first match at or after this byte offset: byte ranges of the whole match and of its groups.
    ///
    /// Errors: 51156 when the search exceeds PCRE's limits.
    pub fn captures_at(&self, text: &str, start: usize) -> CommandResult<Option<Groups>> {
        let mut locations = self.compiled.capture_locations();
        let found = self.compiled.captures_read_at(&mut locations, text.as_bytes(), start).map_err(|error| {
            CommandError::new(51156, format!("Error occurred while executing the regular expression: {error}"))
        })?;
        Ok(found.map(|_| (0..locations.len()).map(|group| locations.get(group)).collect()))
    }

    /// The text every match begins with, when the pattern is an anchored literal (`^abc`): what an index range can use.
    /// The flag says that the prefix is the whole pattern.
    pub fn literal_prefix(&self) -> Option<(String, bool)> {
        if self.options.chars().any(|option| option != 's' && option != 'u') {
            return None;
        }
        let body = self.pattern.strip_prefix('^').or_else(|| self.pattern.strip_prefix("\\A"))?;
        let mut prefix = String::new();
        let mut chars = body.chars().peekable();
        let mut whole = true;
        while let Some(next) = chars.next() {
            let literal = match next {
                // An alternative may lack the anchor.
                '|' => return None,
                '\\' => match chars.peek() {
                    Some(escaped) if escaped.is_ascii_punctuation() => {
                        let escaped = *escaped;
                        chars.next();
                        escaped
                    }
                    _ => {
                        whole = false;
                        break;
                    }
                },
                '.' | '[' | '(' | '$' | '^' | '*' | '+' | '?' | '{' | ')' => {
                    whole = false;
                    break;
                }
                other => other,
            };
            // A quantifier makes the character before it optional or repeated.
            if matches!(chars.peek(), Some('*' | '+' | '?' | '{')) {
                whole = false;
                break;
            }
            prefix.push(literal);
        }
        if !whole && body.contains('|') {
            return None;
        }
        (!prefix.is_empty()).then_some((prefix, whole))
    }
}
