//! `$sort`, with the best few kept when a limit follows, and runs on disk when memory does not do.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use bson::{Bson, Document};

use super::row_bytes;
use super::spill::{Reader, Writer};
use crate::aggregate::pipeline::{Run, deferred};
use crate::aggregate::{Row, Rows};
use crate::error::{CommandError, CommandResult, code};
use crate::query::value::{ValueRef, order_key};
use crate::query::{QueryContext, SortSpec};

/// A parsed order.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct Sort {
    order: Arc<SortSpec>,
    document: Document,
}

impl Sort {
    /// Reads `{ path: 1 | -1, ... }`.
    pub fn parse(argument: &Bson, context: &QueryContext) -> CommandResult<Self> {
        let Bson::Document(document) = argument else {
            return Err(CommandError::new(
                15973,
                format!(
                    "the $sort key specification must be an object, but found {}",
                    ValueRef::from(argument).type_name()
                ),
            ));
        };
        if document.is_empty() {
            return Err(CommandError::new(15976, "$sort stage must have at least one sort key"));
        }
        if let Some(Bson::Document(meta)) = document.values().find(|value| matches!(value, Bson::Document(_))) {
            if meta.contains_key("$meta") {
                return Err(CommandError::not_supported("A $sort by $meta"));
            }
            return Err(CommandError::new(17312, "$meta is the only expression supported by $sort right now"));
        }
        Ok(Self { order: Arc::new(SortSpec::parse(document, context)?), document: document.clone() })
    }

    /// The order as it was written.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The rows in order; only so many of them when a limit is given.
    pub fn apply(self, rows: Rows, limit: Option<usize>, run: &Arc<Run>) -> CommandResult<Rows> {
        let run = run.clone();
        Ok(deferred(move || sorted(rows, &self.order, limit, &run)))
    }
}

struct Keyed {
    key: Vec<u8>,
    /// Rows with equal keys stay in the order they came in.
    number: usize,
    row: Row,
}

impl Keyed {
    fn rank(&self) -> (&[u8], usize) {
        (&self.key, self.number)
    }
}

impl PartialEq for Keyed {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Keyed {}

impl PartialOrd for Keyed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// The row's key. By `_id` alone whole values are compared: an `_id` in a collection is no array, so that MongoDB does
/// not look for elements in it, nor where a `$group` made it one.
fn key_of(order: &SortSpec, row: &Row, run: &Run) -> CommandResult<Vec<u8>> {
    if let [(path, ascending)] = order.parts.as_slice()
        && path == "_id"
    {
        let value = row.as_ref().get("_id").unwrap_or(ValueRef::Null);
        let mut key = order_key(value, run.context.collation());
        if !ascending {
            key.iter_mut().for_each(|byte| *byte = !*byte);
        }
        return Ok(key);
    }
    order.key_bytes(row.as_ref())
}

/// The rows in this order.
pub(super) fn sorted(rows: Rows, order: &SortSpec, limit: Option<usize>, run: &Run) -> CommandResult<Rows> {
    match limit {
        Some(limit) => best(rows, order, limit, run),
        None => all(rows, order, run),
    }
}

fn too_much(run: &Run) -> CommandError {
    CommandError::new(
        code::QUERY_EXCEEDED_MEMORY_LIMIT_NO_DISK_USE_ALLOWED,
        format!(
            "Sort exceeded memory limit of {} bytes, but did not opt in to external sorting. Aborting operation. Pass allowDiskUse:true to opt in.",
            run.options.bytes_max
        ),
    )
}

fn best(rows: Rows, order: &SortSpec, limit: usize, run: &Run) -> CommandResult<Rows> {
    let mut heap: BinaryHeap<Keyed> = BinaryHeap::new();
    let mut bytes = 0;
    for (number, row) in rows.enumerate() {
        let row = row?;
        let keyed = Keyed { key: key_of(order, &row, run)?, number, row };
        if heap.len() == limit {
            // The greatest of the kept is on top.
            if heap.peek().is_none_or(|greatest| *greatest <= keyed) {
                continue;
            }
            if let Some(gone) = heap.pop() {
                bytes -= row_bytes(&gone.row) + gone.key.len();
            }
        }
        bytes += row_bytes(&keyed.row) + keyed.key.len();
        heap.push(keyed);
        if bytes > run.options.bytes_max && !run.options.allow_disk_use {
            return Err(too_much(run));
        }
    }
    Ok(Box::new(heap.into_sorted_vec().into_iter().map(|keyed| Ok(keyed.row))))
}

fn all(rows: Rows, order: &SortSpec, run: &Run) -> CommandResult<Rows> {
    let mut chunk: Vec<Keyed> = Vec::new();
    let mut runs: Vec<Reader> = Vec::new();
    let mut bytes = 0;
    for (number, row) in rows.enumerate() {
        let row = row?;
        let key = key_of(order, &row, run)?;
        bytes += row_bytes(&row) + key.len() + size_of::<Keyed>();
        chunk.push(Keyed { key, number, row });
        if bytes > run.options.bytes_max {
            if !run.options.allow_disk_use {
                return Err(too_much(run));
            }
            runs.push(write_run(&mut chunk, run)?);
            bytes = 0;
        }
    }
    chunk.sort_unstable();
    if runs.is_empty() {
        return Ok(Box::new(chunk.into_iter().map(|keyed| Ok(keyed.row))));
    }
    runs.push(write_run(&mut chunk, run)?);
    Merge::start(runs).map(|merge| Box::new(merge) as Rows)
}

fn write_run(chunk: &mut Vec<Keyed>, run: &Run) -> CommandResult<Reader> {
    chunk.sort_unstable();
    let mut writer = Writer::create(run)?;
    for keyed in chunk.drain(..) {
        writer.write(&keyed.key, keyed.row)?;
    }
    writer.into_reader()
}

/// Rows of several sorted runs, the least first; of equal ones that of the earliest run.
struct Merge {
    runs: Vec<Reader>,
    heads: BinaryHeap<std::cmp::Reverse<Keyed>>,
}

impl Merge {
    fn start(runs: Vec<Reader>) -> CommandResult<Self> {
        let mut merge = Self { runs, heads: BinaryHeap::new() };
        for number in 0..merge.runs.len() {
            merge.refill(number)?;
        }
        Ok(merge)
    }

    fn refill(&mut self, number: usize) -> CommandResult<()> {
        if let Some(entry) = self.runs[number].next().transpose()? {
            self.heads.push(std::cmp::Reverse(Keyed { key: entry.0, number, row: entry.1 }));
        }
        Ok(())
    }
}

impl Iterator for Merge {
    type Item = CommandResult<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        let std::cmp::Reverse(least) = self.heads.pop()?;
        match self.refill(least.number) {
            Ok(()) => Some(Ok(least.row)),
            Err(error) => Some(Err(error)),
        }
    }
}
