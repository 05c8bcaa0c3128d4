//! `$regexFind`, `$regexFindAll`, `$regexMatch`.

use std::sync::Arc;

use bson::{Bson, Document};
use pcre2::bytes::{Regex, RegexBuilder};

use super::{Node, Scope, Value, is_nullish, some, type_name};
use crate::error::{CommandError, CommandResult};
use crate::query::collation::Collation;

/// A call of one of the three, its pattern compiled ahead where it is constant.
#[derive(Debug, Clone)]
pub(super) struct RegexNode {
    kind: Kind,
    input: Node,
    pattern: Node,
    options: Node,
    compiled: Option<Arc<Regex>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Find,
    FindAll,
    Match,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Find => "$regexFind",
            Self::FindAll => "$regexFindAll",
            Self::Match => "$regexMatch",
        }
    }
}

impl RegexNode {
    pub fn new(name: &str, input: Node, pattern: Node, options: Node) -> Self {
        let kind = match name {
            "$regexFind" => Kind::Find,
            "$regexFindAll" => Kind::FindAll,
            _ => Kind::Match,
        };
        Self { kind, input, pattern, options, compiled: None }
    }

    pub fn optimize(self, collation: Option<&Collation>) -> CommandResult<Self> {
        let mut node = Self {
            kind: self.kind,
            input: self.input.optimize(collation)?,
            pattern: self.pattern.optimize(collation)?,
            options: self.options.optimize(collation)?,
            compiled: None,
        };
        if let (Node::Constant(pattern), options @ (Node::Constant(_) | Node::Absent)) = (&node.pattern, &node.options)
        {
            let options = match options {
                Node::Constant(options) => options.clone(),
                _ => None,
            };
            node.compiled = compile(node.kind, pattern, &options)?;
        }
        Ok(node)
    }

    pub fn evaluate(&self, scope: &Scope<'_>) -> CommandResult<Value> {
        let input = self.input.evaluate(scope)?;
        let regex = match &self.compiled {
            Some(regex) => Some(regex.clone()),
            None => compile(self.kind, &self.pattern.evaluate(scope)?, &self.options.evaluate(scope)?)?,
        };
        let text = match &input {
            Some(Bson::String(text)) => Some(text.as_str()),
            value if is_nullish(value) => None,
            value => {
                return Err(CommandError::new(
                    51104,
                    format!("{} needs 'input' to be of type string, found {}", self.kind.name(), type_name(value)),
                ));
            }
        };
        let (Some(text), Some(regex)) = (text, regex) else {
            return Ok(Some(match self.kind {
                Kind::Find => Bson::Null,
                Kind::FindAll => Bson::Array(Vec::new()),
                Kind::Match => Bson::Boolean(false),
            }));
        };
        match self.kind {
            Kind::Match => some(find_at(self.kind, &regex, text, 0)?.is_some()),
            Kind::Find => {
                let mut counted = CodePoints { text, at: 0, count: 0 };
                match find_at(self.kind, &regex, text, 0)? {
                    Some(found) => some(found.describe(text, &mut counted)),
                    None => some(Bson::Null),
                }
            }
            Kind::FindAll => find_all(&regex, text),
        }
    }
}

/// Counts code points up to an offset that only grows.
struct CodePoints<'a> {
    text: &'a str,
    at: usize,
    count: i32,
}

impl CodePoints<'_> {
    fn up_to(&mut self, offset: usize) -> i32 {
        self.count += self.text.get(self.at..offset).map_or(0, |part| part.chars().count() as i32);
        self.at = offset;
        self.count
    }
}

/// Where the whole match and its groups are.
struct Found(Vec<Option<(usize, usize)>>);

impl Found {
    fn describe(&self, text: &str, counted: &mut CodePoints<'_>) -> Document {
        let part = |range: &Option<(usize, usize)>| match range {
            Some((start, end)) => text.get(*start..*end).map_or(Bson::Null, Bson::from),
            None => Bson::Null,
        };
        let mut document = Document::new();
        let whole = self.0.first().copied().flatten().unwrap_or((0, 0));
        document.insert("match", part(&Some(whole)));
        document.insert("idx", counted.up_to(whole.0));
        document.insert("captures", self.0.iter().skip(1).map(part).collect::<Vec<_>>());
        document
    }
}

fn find_at(kind: Kind, regex: &Regex, text: &str, start: usize) -> CommandResult<Option<Found>> {
    let mut locations = regex.capture_locations();
    let found = regex.captures_read_at(&mut locations, text.as_bytes(), start).map_err(|error| {
        CommandError::new(
            51156,
            format!("Error occurred while executing the regular expression in {}: {error}", kind.name()),
        )
    })?;
    Ok(found.map(|_| Found((0..locations.len()).map(|group| locations.get(group)).collect())))
}

fn find_all(regex: &Regex, text: &str) -> CommandResult<Value> {
    /// Bytes the matches may take, with what describes them.
    const BYTES_MAX: usize = 64 * 1024 * 1024;
    let mut counted = CodePoints { text, at: 0, count: 0 };
    let mut matches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    while start <= text.len() {
        let Some(found) = find_at(Kind::FindAll, regex, text, start)? else { break };
        let (begin, end) = found.0.first().copied().flatten().unwrap_or((start, start));
        let described = found.describe(text, &mut counted);
        bytes += 64 + 2 * (end - begin);
        if bytes > BYTES_MAX {
            return Err(CommandError::new(
                51151,
                "$regexFindAll: the size of buffer to store output exceeded the 64MB limit",
            ));
        }
        matches.push(Bson::Document(described));
        // After an empty match go on one character further, or it would be found for ever.
        start = if end > begin {
            end
        } else {
            end + text.get(end..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
        };
    }
    some(matches)
}

/// The compiled pattern; `None` for a nullish one.
fn compile(kind: Kind, pattern: &Value, options: &Value) -> CommandResult<Option<Arc<Regex>>> {
    let name = kind.name();
    let mut flags = match options {
        Some(Bson::String(options)) => options.clone(),
        value if is_nullish(value) => String::new(),
        value => {
            return Err(CommandError::new(
                51106,
                format!("{name} needs 'options' to be of type string, found {}", type_name(value)),
            ));
        }
    };
    let pattern = match pattern {
        Some(Bson::String(pattern)) => pattern.clone(),
        Some(Bson::RegularExpression(regex)) => {
            if !regex.options.as_str().is_empty() && !flags.is_empty() {
                return Err(CommandError::new(
                    51107,
                    format!("{name} found regex options specified in both 'regex' and 'options' fields"),
                ));
            }
            flags.push_str(regex.options.as_str());
            regex.pattern.as_str().to_owned()
        }
        value if is_nullish(value) => return Ok(None),
        value => {
            return Err(CommandError::new(
                51105,
                format!("{name} needs 'regex' to be of type string or regex, found {}", type_name(value)),
            ));
        }
    };
    if pattern.contains('\0') {
        return Err(CommandError::new(
            51109,
            format!("{name}: regular expression cannot contain an embedded null byte"),
        ));
    }
    let mut builder = RegexBuilder::new();
    builder.utf(true).ucp(false);
    for flag in flags.chars() {
        match flag {
            'i' => builder.caseless(true),
            'm' => builder.multi_line(true),
            's' => builder.dotall(true),
            'x' => builder.extended(true),
            'u' => builder.utf(true),
            _ => return Err(CommandError::new(51108, format!("{name} invalid flag in regex options: {flag}"))),
        };
    }
    builder
        .build(&pattern)
        .map(|regex| Some(Arc::new(regex)))
        .map_err(|error| CommandError::new(51111, format!("Invalid Regex in {name}: {error}")))
}
