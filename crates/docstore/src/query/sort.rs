//! Sort orders.

use std::cmp::Ordering;
use std::sync::Arc;

use bson::{Bson, Document};

use super::QueryContext;
use super::collation::Collation;
use super::keys;
use super::value::{DocumentRef, ValueRef, compare, compare_refs, write_order_key};
use crate::error::{CommandError, CommandResult};

/// Fields of a sort at most (MongoDB's limit of compound keys).
const PARTS_MAX: usize = 32;

/// A parsed sort order.
#[derive(Debug, Clone)]
pub struct SortSpec {
    /// Paths in order of weight, true for ascending.
    pub parts: Vec<(String, bool)>,
    collation: Option<Arc<Collation>>,
}

/// A document's place in a sort order; made by [`SortSpec::key`], compared by [`SortSpec::compare`].
#[derive(Debug, Clone, PartialEq)]
pub struct SortKey {
    /// One value per part. On arrays the least element when ascending, the greatest when descending.
    pub values: Vec<Bson>,
}

impl SortSpec {
    /// Reads `{ path: 1 | -1, ... }`. `{ $natural: ±1 }` is the caller's: it is refused here.
    ///
    /// Errors: 15975 directions other than ±1, 15974 and `BadValue` malformed parts, as MongoDB gives them.
    pub fn parse(specification: &Document, context: &QueryContext) -> CommandResult<Self> {
        if specification.len() > PARTS_MAX {
            return Err(CommandError::bad_value(format!("too many compound keys, at most {PARTS_MAX} are allowed")));
        }
        let parts = specification.iter().map(|(path, order)| parse_part(path, order)).collect::<CommandResult<_>>()?;
        Ok(Self { parts, collation: context.collation.clone() })
    }

    /// The document's key. Errors: `BadValue` `cannot sort with keys that are parallel arrays`.
    pub fn key<'a>(&self, document: impl Into<DocumentRef<'a>>) -> CommandResult<SortKey> {
        let tuple = self.tuple(document.into())?;
        Ok(SortKey { values: tuple.into_iter().map(ValueRef::to_bson).collect() })
    }

    fn tuple<'a>(&self, document: DocumentRef<'a>) -> CommandResult<keys::KeyTuple<'a>> {
        // The common case: one field, no array.
        if let [(path, _)] = self.parts.as_slice()
            && !path.contains('.')
        {
            match document.get(path) {
                None => return Ok(vec![ValueRef::Null]),
                Some(ValueRef::Array(_)) => {}
                Some(value) => return Ok(vec![value]),
            }
        }
        let paths: Vec<&str> = self.parts.iter().map(|(path, _)| path.as_str()).collect();
        let keys = keys::generate(document, &paths).map_err(|error| {
            if error.code == keys::CANNOT_INDEX_PARALLEL_ARRAYS {
                CommandError::bad_value("cannot sort with keys that are parallel arrays")
            } else {
                error
            }
        })?;
        Ok(keys
            .tuples
            .into_iter()
            .min_by(|left, right| {
                self.compare_parts(
                    |part| left[part],
                    |part| right[part],
                    |left, right| compare_refs(left, right, self.collation.as_deref()),
                )
            })
            .unwrap_or_default())
    }

    fn compare_parts<T>(
        &self,
        left: impl Fn(usize) -> T,
        right: impl Fn(usize) -> T,
        order: impl Fn(T, T) -> Ordering,
    ) -> Ordering {
        for (part, (_, ascending)) in self.parts.iter().enumerate() {
            let order = order(left(part), right(part));
            if order != Ordering::Equal {
                return if *ascending { order } else { order.reverse() };
            }
        }
        Ordering::Equal
    }

    /// The order of two keys. Sort stably by it.
    pub fn compare(&self, left: &SortKey, right: &SortKey) -> Ordering {
        self.compare_parts(
            |part| left.values.get(part).unwrap_or(&Bson::Null),
            |part| right.values.get(part).unwrap_or(&Bson::Null),
            |left, right| compare(left, right, self.collation.as_deref()),
        )
    }

    /// The key as bytes in this order (descending parts inverted), for external sorts and heaps.
    pub fn key_bytes<'a>(&self, document: impl Into<DocumentRef<'a>>) -> CommandResult<Vec<u8>> {
        let tuple = self.tuple(document.into())?;
        let mut bytes = Vec::with_capacity(16 * tuple.len());
        for ((_, ascending), value) in self.parts.iter().zip(tuple) {
            let start = bytes.len();
            write_order_key(&mut bytes, value, self.collation.as_deref());
            if !ascending {
                for byte in &mut bytes[start..] {
                    *byte = !*byte;
                }
            }
        }
        Ok(bytes)
    }
}

fn parse_part(path: &str, order: &Bson) -> CommandResult<(String, bool)> {
    if let Bson::Document(meta) = order {
        return Err(match meta.iter().next() {
            Some((name, kind)) if name == "$meta" => match kind.as_str() {
                Some(kind @ ("textScore" | "randVal" | "searchScore" | "searchHighlights")) => {
                    CommandError::not_supported(format_args!("sorting by {{$meta: \"{kind}\"}}"))
                }
                _ => CommandError::new(31138, format!("Illegal $meta sort: {{ $meta: {kind} }}")),
            },
            _ => CommandError::new(15974, format!("Illegal key in $sort specification: {path}: {meta}")),
        });
    }
    if path.is_empty() {
        return Err(CommandError::new(40352, "FieldPath cannot be constructed with empty string"));
    }
    if path.ends_with('.') {
        return Err(CommandError::new(40353, "FieldPath must not end with a '.'."));
    }
    if path.split('.').any(str::is_empty) {
        return Err(CommandError::new(15998, "FieldPath field names may not be empty strings."));
    }
    if path.split('.').any(|name| name.starts_with('$')) {
        return Err(CommandError::new(
            16410,
            format!(
                "FieldPath field names may not start with '$'. Consider using $getField or $setField. Found: '{path}'"
            ),
        ));
    }
    let number = ValueRef::from(order);
    if !number.is_number() {
        return Err(CommandError::new(15974, format!("Illegal key in $sort specification: {path}: {order}")));
    }
    match number.as_f64().map(f64::trunc) {
        Some(1.0) => Ok((path.to_owned(), true)),
        Some(-1.0) => Ok((path.to_owned(), false)),
        _ => Err(CommandError::new(15975, "$sort key ordering must be 1 (for ascending) or -1 (for descending)")),
    }
}
