//! Checks of what is stored: documents readable, indexes in agreement with them, figures right.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use crate::bytes;
use crate::catalog::{Collection, IndexKind};
use crate::documents::expected_entries;
use crate::error::{CommandError, CommandResult, Error};
use crate::storage::Space;
use crate::store::{Store, View, id_range, record_id};

/// What a check of one collection found.
#[derive(Debug, Default)]
pub struct CollectionReport {
    /// `database.collection`.
    pub namespace: String,
    /// Documents read.
    pub documents: i64,
    /// Entries of each index, by name.
    pub index_entries: Vec<(String, i64)>,
    /// What is wrong, for people; empty when all is well.
    pub problems: Vec<String>,
}

/// Problems told per collection; more are only counted.
const PROBLEMS_MAX: usize = 100;

/// Checks a collection as a view has it.
pub fn check_collection(view: &View, collection: &Arc<Collection>) -> CommandResult<CollectionReport> {
    let mut report = CollectionReport { namespace: collection.namespace.to_string(), ..CollectionReport::default() };
    let mut expected: Vec<BTreeSet<Vec<u8>>> = vec![BTreeSet::new(); collection.indexes.len()];
    let mut size = 0_i64;
    for pair in view.records(collection, None, false) {
        let (key, stored) = pair?;
        let Some(record) = record_id(&key) else {
            report.tell("a record's key is malformed".to_owned());
            continue;
        };
        report.documents += 1;
        size += stored.len() as i64;
        if let Err(error) = bytes::check(&stored) {
            report.tell(format!("record {record}: {}", error.message));
            continue;
        }
        let document = bytes::to_raw(&stored)?;
        for (index, expected) in collection.indexes.iter().zip(&mut expected) {
            match expected_entries(index, document, record) {
                Ok(entries) => expected.extend(entries),
                Err(error) => report.tell(format!("record {record}, index {}: {}", index.name, error.message)),
            }
        }
    }
    for (index, mut expected) in collection.indexes.iter().zip(expected) {
        let (from, to) = id_range(index.id);
        let mut count = 0;
        for pair in view.scan(Space::Index, Bound::Included(from), Bound::Excluded(to), false) {
            let (key, _) = pair?;
            count += 1;
            if !expected.remove(key.as_ref()) {
                report.tell(format!("index {}: an entry leads to no such document", index.name));
            }
        }
        if !expected.is_empty() && index.kind == IndexKind::Ordered {
            report.tell(format!("index {}: {} entries are missing", index.name, expected.len()));
        }
        report.index_entries.push((index.name.clone(), count));
    }
    let counted = collection.counters.documents.load(std::sync::atomic::Ordering::Acquire);
    let counted_size = collection.counters.bytes.load(std::sync::atomic::Ordering::Acquire);
    if (counted, counted_size) != (report.documents, size) {
        report.tell(format!(
            "{} documents of {size} bytes are stored, but the figures say {counted} of {counted_size}",
            report.documents
        ));
    }
    Ok(report)
}

impl CollectionReport {
    fn tell(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }
}

/// Opens a directory nobody else has open and checks everything in it. The engine's own checksums are checked by
/// reading every block.
///
/// Errors: as [`crate::open`]; damage inside collections stands in the reports.
pub fn verify(directory: impl AsRef<Path>) -> Result<Vec<CollectionReport>, Error> {
    let directory = directory.as_ref();
    let store = Store::open_existing(directory)?;
    let transaction = store.read();
    let mut reports = Vec::new();
    for collection in transaction.catalog().iter() {
        if collection.view.is_some() {
            continue;
        }
        let report =
            check_collection(transaction.view(), collection).unwrap_or_else(|error: CommandError| CollectionReport {
                namespace: collection.namespace.to_string(),
                problems: vec![error.message],
                ..CollectionReport::default()
            });
        reports.push(report);
    }
    Ok(reports)
}
