//! Index and sort keys: which key tuples a document has under a pattern of dotted paths.

use super::path::array_index;
use super::value::{ArrayRef, DocumentRef, ValueRef};
use crate::error::{CommandError, CommandResult};

/// Code of [`generate`]'s refusal.
pub const CANNOT_INDEX_PARALLEL_ARRAYS: i32 = 171;

/// One value per path of the pattern. A missing field is null; an empty array at the end of a path is undefined.
pub type KeyTuple<'a> = Vec<ValueRef<'a>>;

/// The key tuples of a document.
#[derive(Debug)]
pub struct Keys<'a> {
    /// At least one; more than one only if `multikey` (they may repeat).
    pub tuples: Vec<KeyTuple<'a>>,
    /// An array lies on at least one path.
    pub multikey: bool,
    /// None of the paths leads to a value (what a sparse index leaves out).
    pub all_missing: bool,
}

/// Every combination for the paths, as an index over them holds it.
///
/// Errors: code 171 `CannotIndexParallelArrays` when two paths lead through different arrays; 16746 when a number in a
/// path is both an offset of an array and a field of one of its elements.
pub fn generate<'a>(document: DocumentRef<'a>, paths: &[&str]) -> CommandResult<Keys<'a>> {
    let mut generator = Generator { paths, keys: Keys { tuples: Vec::new(), multikey: false, all_missing: true } };
    let fields = paths.iter().map(|path| Field { rest: Some(path), value: ValueRef::Null, offset: None }).collect();
    generator.expand(Some(document), fields, 0)?;
    Ok(generator.keys)
}

struct Generator<'p, 'a> {
    paths: &'p [&'p str],
    keys: Keys<'a>,
}

/// How far one path of the pattern has been followed.
#[derive(Clone)]
struct Field<'p, 'a> {
    /// What is left of the path; `None` once `value` is final, an empty text at an array that ends the path.
    rest: Option<&'p str>,
    value: ValueRef<'a>,
    /// Set when the rest begins with the number of an element of the array just entered.
    offset: Option<Offset<'p, 'a>>,
}

#[derive(Clone)]
struct Offset<'p, 'a> {
    element: ValueRef<'a>,
    found: Option<ValueRef<'a>>,
    rest: &'p str,
}

fn split(path: &str) -> (&str, &str) {
    path.split_once('.').unwrap_or((path, ""))
}

/// Follows the path through documents up to its end or the first array; the value and what is left of the path.
fn follow<'p, 'a>(start: DocumentRef<'a>, path: &'p str) -> Option<(ValueRef<'a>, &'p str)> {
    let (name, rest) = split(path);
    continue_with(start.get(name)?, rest)
}

fn continue_with<'p, 'a>(value: ValueRef<'a>, rest: &'p str) -> Option<(ValueRef<'a>, &'p str)> {
    match value {
        _ if rest.is_empty() => Some((value, rest)),
        ValueRef::Array(_) => Some((value, rest)),
        ValueRef::Document(inner) => follow(inner, rest),
        _ => None,
    }
}

impl<'p, 'a> Generator<'p, 'a> {
    fn expand(
        &mut self,
        document: Option<DocumentRef<'a>>,
        mut fields: Vec<Field<'p, 'a>>,
        missing: usize,
    ) -> CommandResult<()> {
        let mut missing = missing;
        let mut array: Option<(ArrayRef<'a>, &'p str)> = None;
        let mut in_array = Vec::new();
        let mut nested = false;
        for (position, field) in fields.iter_mut().enumerate() {
            let Some(path) = field.rest else {
                continue;
            };
            if path.is_empty() {
                // An array that ends the path was expanded by the caller.
                field.rest = None;
                continue;
            }
            let (name, _) = split(path);
            let own = document.filter(|document| document.get(name).is_some());
            let found = match (own, field.offset.take()) {
                (Some(_), Some(_)) => {
                    return Err(CommandError::new(
                        16746,
                        format!(
                            "Ambiguous field name found in array (do not use numeric field names in embedded elements in an array), field: '{name}' for array"
                        ),
                    ));
                }
                (Some(document), None) => follow(document, path),
                (None, Some(offset)) => {
                    nested |= matches!(offset.element, ValueRef::Array(_));
                    offset.found.map(|value| (value, offset.rest))
                }
                (None, None) => None,
            };
            match found {
                None => {
                    field.value = ValueRef::Null;
                    field.rest = None;
                    missing += 1;
                }
                Some((ValueRef::Array(items), rest)) => {
                    // The same array exactly when the same part of the paths led to it.
                    let whole = self.paths[position];
                    let consumed = whole[..whole.len() - rest.len()].trim_end_matches('.');
                    match array {
                        None => array = Some((items, consumed)),
                        Some((_, other)) if other == consumed => {}
                        Some((_, other)) => {
                            let last = |path: &'p str| path.rsplit('.').next().unwrap_or(path).to_owned();
                            return Err(CommandError::new(
                                CANNOT_INDEX_PARALLEL_ARRAYS,
                                format!("cannot index parallel arrays [{}] [{}]", last(consumed), last(other)),
                            ));
                        }
                    }
                    field.rest = Some(rest);
                    in_array.push(position);
                }
                Some((value, _)) => {
                    field.value = value;
                    field.rest = None;
                }
            }
        }
        let Some((items, _)) = array else {
            self.keys.all_missing &= missing == fields.len();
            self.keys.tuples.push(fields.iter().map(|field| field.value).collect());
            return Ok(());
        };
        self.keys.multikey = true;
        for &position in &in_array {
            let path = fields[position].rest.unwrap_or("");
            let (name, rest) = split(path);
            if let Some(element) = array_index(name).and_then(|index| items.get(index)) {
                let found = continue_with(element, rest);
                let left = found.map_or("", |(_, rest)| rest);
                fields[position].offset = Some(Offset { element, found: found.map(|(value, _)| value), rest: left });
            }
        }
        let mut entries: Vec<ValueRef<'a>> = items.iter().collect();
        if entries.is_empty() {
            entries.push(ValueRef::Undefined);
            nested = false;
        }
        for entry in entries {
            let mut next = fields.clone();
            for &position in &in_array {
                if next[position].rest == Some("") {
                    // An array inside an array reached by number is taken whole.
                    next[position].value = if nested { ValueRef::Array(items) } else { entry };
                    next[position].rest = None;
                }
            }
            let inner = match entry {
                ValueRef::Document(inner) => Some(inner),
                _ => None,
            };
            self.expand(inner, next, missing)?;
        }
        Ok(())
    }
}
