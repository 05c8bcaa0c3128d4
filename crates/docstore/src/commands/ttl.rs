//! Expiry: documents of TTL indexes whose time has come.

use std::ops::Bound;
use std::sync::Arc;

use crate::catalog::{Collection, Index, IndexKind};
use crate::documents::{self, entry_record};
use crate::error::CommandResult;
use crate::query::{ValueRef, order_key};
use crate::server::Shared;
use crate::storage::Space;
use crate::store::Writes;

/// Documents removed in one batch.
const CHUNK: usize = 500;

/// One sweep over all TTL indexes.
pub fn expire_documents(shared: &Arc<Shared>) {
    let catalog = Arc::clone(shared.store.read().catalog());
    for collection in catalog.iter() {
        for index in &collection.indexes {
            if let Some(seconds) = index.expire_after_seconds
                && index.kind == IndexKind::Ordered
                && let Err(error) = expire(shared, collection, index, seconds)
            {
                tracing::warn!(%error, namespace = %collection.namespace, index = index.name, "expiry failed");
            }
        }
    }
}

fn expire(shared: &Arc<Shared>, collection: &Arc<Collection>, index: &Arc<Index>, seconds: i64) -> CommandResult<()> {
    let limit = bson::DateTime::now().timestamp_millis().saturating_sub(seconds.saturating_mul(1000));
    // All dates up to the limit, wherever the index puts them.
    let is_ascending = index.parts.first().is_none_or(|(_, is_ascending)| *is_ascending);
    let edge = |millis: i64| {
        let mut key = index.id.to_be_bytes().to_vec();
        let mut value = order_key(ValueRef::DateTime(millis), None);
        if !is_ascending {
            value.iter_mut().for_each(|byte| *byte = !*byte);
        }
        key.append(&mut value);
        key
    };
    let (from, to) = if is_ascending { (edge(i64::MIN), edge(limit)) } else { (edge(limit), edge(i64::MIN)) };
    while !shared.is_stopping() {
        let mut writes = Writes::auto(&shared.store);
        let removed = writes.statement(|writer| {
            let Some(current) = writer.transaction().collection(&collection.namespace) else { return Ok(0) };
            if current.id != collection.id {
                return Ok(0);
            }
            let mut past_to = to.clone();
            past_to.extend_from_slice(&[0xFF; 9]);
            let entries =
                writer.view().scan(Space::Index, Bound::Included(from.clone()), Bound::Included(past_to), false);
            let mut records = Vec::new();
            for entry in entries.take(CHUNK) {
                let (key, value) = entry?;
                records.extend(entry_record(index, &key, &value));
            }
            records.sort_unstable();
            records.dedup();
            let mut removed = 0;
            for record in records {
                if let Some(stored) = writer.view().record(&current, record)? {
                    documents::remove(writer, &current, record, &stored)?;
                    removed += 1;
                }
            }
            Ok(removed)
        })?;
        writes.finish(false)?;
        if removed == 0 {
            break;
        }
    }
    Ok(())
}
