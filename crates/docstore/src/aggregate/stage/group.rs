//! `$group`: one row per key, with accumulators over the rows that have it.

use std::collections::HashMap;
use std::sync::Arc;

use bson::{Bson, Document};

use super::row_bytes;
use super::spill::{Reader, Writer};
use crate::aggregate::accumulator::{Accumulator, Specification};
use crate::aggregate::ahead::read_ahead;
use crate::aggregate::expression::{Borrowed, Expression};
use crate::aggregate::pipeline::{Run, deferred};
use crate::aggregate::{Row, Rows};
use crate::error::{CommandError, CommandResult, code};
use crate::query::QueryContext;
use crate::query::value::{DocumentRef, ValueRef, order_key, write_order_key};

/// Files the rows of groups that found no room are dealt into.
const PARTITIONS: usize = 16;
/// Rounds of dealing at most; each cuts the groups by [`PARTITIONS`].
const ROUNDS_MAX: usize = 6;

/// A parsed specification.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct Group {
    key: Expression,
    fields: Vec<(String, Specification)>,
    context: QueryContext,
}

impl Group {
    /// Reads `{ _id: expression, field: { $accumulator: ... }, ... }`.
    pub fn parse(argument: &Bson, context: &QueryContext) -> CommandResult<Self> {
        let Bson::Document(document) = argument else {
            return Err(CommandError::new(15947, "a group's fields must be specified in an object"));
        };
        let mut key = None;
        let mut fields = Vec::with_capacity(document.len());
        for (name, value) in document {
            if name == "_id" {
                key = Some(parse_key(value, context)?);
                continue;
            }
            if name == "$doingMerge" {
                return Err(CommandError::new(17030, "$doingMerge should be true if present"));
            }
            if name.contains('.') {
                return Err(CommandError::new(40235, format!("The field name '{name}' cannot contain '.'")));
            }
            if name.starts_with('$') {
                return Err(CommandError::new(40236, format!("The field name '{name}' cannot be an operator name")));
            }
            fields.push((name.clone(), Specification::parse(name, value, context)?));
        }
        let key = key.ok_or_else(|| CommandError::new(15955, "a group specification must include an _id"))?;
        Ok(Self { key, fields, context: context.clone() })
    }

    /// With a key that is parsed already, and fields as in [`Group::parse`].
    pub fn with_key(key: Expression, output: &Document, context: &QueryContext) -> CommandResult<Self> {
        let fields = parse_fields(output, context)?;
        Ok(Self { key, fields, context: context.clone() })
    }
}

/// Output fields and their accumulators.
pub(super) fn parse_fields(output: &Document, context: &QueryContext) -> CommandResult<Vec<(String, Specification)>> {
    output
        .iter()
        .map(|(name, value)| {
            if name.contains('.') {
                return Err(CommandError::new(40235, format!("The field name '{name}' cannot contain '.'")));
            }
            Ok((name.clone(), Specification::parse(name, value, context)?))
        })
        .collect()
}

fn parse_key(value: &Bson, context: &QueryContext) -> CommandResult<Expression> {
    if let Bson::Document(document) = value
        && document.keys().next().is_some_and(|first| !first.starts_with('$'))
    {
        for inner in document.values() {
            if matches!(inner, Bson::Boolean(_)) || ValueRef::from(inner).is_number() {
                return Err(CommandError::new(17390, "$group does not support inclusion-style expressions"));
            }
        }
    }
    Expression::parse(value, context)
}

/// One group in the making.
struct Entry {
    key: Bson,
    accumulators: Vec<Accumulator>,
}

/// Groups so far, in the order in which they came up.
struct Table<'a> {
    group: &'a Group,
    index: HashMap<Vec<u8>, usize>,
    entries: Vec<Entry>,
    bytes: usize,
    /// The key of the row at hand, kept to spare an allocation per row.
    scratch: Vec<u8>,
}

impl<'a> Table<'a> {
    fn new(group: &'a Group) -> Self {
        Self { group, index: HashMap::new(), entries: Vec::new(), bytes: 0, scratch: Vec::new() }
    }

    /// Adds the row to its group. `Ok(false)`: its group is not there, and may not be added.
    fn take(&mut self, row: DocumentRef<'_>, may_add: bool) -> CommandResult<bool> {
        let group = self.group;
        self.scratch.clear();
        let collation = group.context.collation.as_deref();
        let key = match group.key.borrow(row) {
            Borrowed::Value(value) => {
                write_order_key(&mut self.scratch, value.unwrap_or(ValueRef::Null), collation);
                None
            }
            Borrowed::NotPossible => {
                let key = group.key.evaluate(row)?.unwrap_or(Bson::Null);
                write_order_key(&mut self.scratch, ValueRef::from(&key), collation);
                Some(key)
            }
        };
        let position = match self.index.get(self.scratch.as_slice()) {
            Some(position) => *position,
            None if !may_add => return Ok(false),
            None => {
                let key = match key {
                    Some(key) => key,
                    None => group.key.evaluate(row)?.unwrap_or(Bson::Null),
                };
                let accumulators =
                    group.fields.iter().map(|(_, field)| field.start(&key)).collect::<CommandResult<Vec<_>>>()?;
                self.bytes += 2 * self.scratch.len() + 64 + accumulators.len() * size_of::<Accumulator>();
                self.index.insert(self.scratch.clone(), self.entries.len());
                self.entries.push(Entry { key, accumulators });
                self.entries.len() - 1
            }
        };
        for ((_, field), accumulator) in group.fields.iter().zip(&mut self.entries[position].accumulators) {
            self.bytes += field.feed(accumulator, row)?;
        }
        Ok(true)
    }

    fn into_rows(self, group: Arc<Group>) -> Rows {
        Box::new(self.entries.into_iter().map(move |entry| {
            let mut document = Document::new();
            document.insert("_id", entry.key);
            for ((name, field), accumulator) in group.fields.iter().zip(entry.accumulators) {
                document.insert(name.as_str(), field.result(accumulator));
            }
            Ok(Row::Owned(document))
        }))
    }
}

pub(super) fn apply(group: Arc<Group>, rows: Rows, run: &Arc<Run>) -> Rows {
    let run = run.clone();
    deferred(move || grouped(group, read_ahead(rows), run, 0))
}

fn grouped(group: Arc<Group>, rows: Rows, run: Arc<Run>, round: usize) -> CommandResult<Rows> {
    let limit = run.options.bytes_max;
    let too_much = || {
        CommandError::new(
            code::QUERY_EXCEEDED_MEMORY_LIMIT_NO_DISK_USE_ALLOWED,
            format!(
                "$group exceeded its memory limit of {limit} bytes. Pass allowDiskUse:true to let it use temporary files."
            ),
        )
    };
    let shared = group.clone();
    let mut table = Table::new(&shared);
    let mut spilled: Vec<Option<Writer>> = Vec::new();
    for row in rows {
        let row = row?;
        let full = table.bytes > limit;
        if full && !run.options.allow_disk_use {
            return Err(too_much());
        }
        if table.bytes > limit.saturating_mul(4) {
            return Err(CommandError::new(
                code::EXCEEDED_MEMORY_LIMIT,
                format!("$group: the accumulators of single groups need more than {} bytes", limit.saturating_mul(4)),
            ));
        }
        if !table.take(row.as_ref(), !full || round >= ROUNDS_MAX)? {
            if spilled.is_empty() {
                spilled.resize_with(PARTITIONS, || None);
            }
            let partition = partition(&table.scratch, round);
            let writer = match &mut spilled[partition] {
                Some(writer) => writer,
                empty => empty.insert(Writer::create(&run)?),
            };
            writer.write(&[], row)?;
        }
    }
    let mut result = table.into_rows(group.clone());
    for writer in spilled.into_iter().flatten() {
        let reader: Reader = writer.into_reader()?;
        let rows: Rows = Box::new(reader.map(|entry| entry.map(|(_, row)| row)));
        let (group, run) = (group.clone(), run.clone());
        result = Box::new(result.chain(deferred(move || grouped(group, rows, run, round + 1))));
    }
    Ok(result)
}

/// Which file a key goes to; another one in every round.
fn partition(key: &[u8], round: usize) -> usize {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (round, key).hash(&mut hasher);
    hasher.finish() as usize % PARTITIONS
}

/// Groups rows by the value of an expression, in the order of the first row of each.
pub(super) fn partitions(
    rows: Vec<Row>,
    by: Option<&Expression>,
    context: &QueryContext,
) -> CommandResult<Vec<(Option<Bson>, Vec<Row>)>> {
    let Some(by) = by else {
        return Ok(if rows.is_empty() { Vec::new() } else { vec![(None, rows)] });
    };
    let mut index: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut parts: Vec<(Option<Bson>, Vec<Row>)> = Vec::new();
    for row in rows {
        let key = by.evaluate(row.as_ref())?;
        let bytes = order_key(key.as_ref().map_or(ValueRef::Null, ValueRef::from), context.collation());
        let position = *index.entry(bytes).or_insert_with(|| {
            parts.push((key, Vec::new()));
            parts.len() - 1
        });
        parts[position].1.push(row);
    }
    Ok(parts)
}

/// Bytes of these rows.
pub(super) fn bytes_of(rows: &[Row]) -> usize {
    rows.iter().map(row_bytes).sum()
}
