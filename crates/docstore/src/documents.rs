//! Documents of a collection and the index entries that follow them: insert, replace, remove, index builds.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use bson::oid::ObjectId;
use bson::raw::{RawBsonRef, RawDocument, RawDocumentBuf};
use bson::{Bson, Document};
use sha2::{Digest, Sha256};

use crate::bytes::{self, DOCUMENT_BYTES_MAX};
use crate::catalog::{Collection, Index, IndexKind};
use crate::changes::{self, Change, Kind};
use crate::error::{CommandError, CommandResult, code};
use crate::query::value::write_order_key;
use crate::query::{DocumentRef, ValueRef, geo, keys};
use crate::storage::{Slice, Space};
use crate::store::{View, Writer, id_range, record_id, record_key};

/// Bytes of an index key kept in order; longer keys are cut there and end in a hash of the whole.
pub const KEY_BYTES_MAX: usize = 4096;

/// One key a document has in an index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    key: Vec<u8>,
    is_cut: bool,
}

/// The keys a document has in an index, without the index's id in front and the record behind; empty if the index
/// leaves the document out. The second value: is the index multikey by this document?
fn entries(index: &Index, document: DocumentRef<'_>) -> CommandResult<(BTreeSet<Entry>, bool)> {
    let mut found = BTreeSet::new();
    if let Some(partial) = &index.partial
        && !partial.matches(document)?
    {
        return Ok((found, false));
    }
    if index.kind != IndexKind::Ordered {
        for (path, plugin) in index.specification.get_document("key").into_iter().flatten() {
            if plugin.as_str() == Some("2dsphere") {
                geo::check_indexable(document, path)?;
            }
        }
        return Ok((found, false));
    }
    let collation = index.collation.as_deref();
    if index.is_id() {
        let value = document.get("_id").unwrap_or(ValueRef::Null);
        let mut key = Vec::with_capacity(16);
        write_order_key(&mut key, value, collation);
        found.insert(cut(key));
        return Ok((found, false));
    }
    let paths: Vec<&str> = index.parts.iter().map(|(path, _)| path.as_str()).collect();
    let keys = keys::generate(document, &paths)?;
    if index.sparse && keys.all_missing {
        return Ok((found, false));
    }
    for tuple in &keys.tuples {
        let mut key = Vec::with_capacity(16 * tuple.len());
        for (value, (_, is_ascending)) in tuple.iter().zip(&index.parts) {
            write_part(&mut key, *value, *is_ascending, collation);
        }
        found.insert(cut(key));
    }
    Ok((found, keys.multikey))
}

/// One value of an index key; descending parts are inverted.
pub fn write_part(
    key: &mut Vec<u8>,
    value: ValueRef<'_>,
    is_ascending: bool,
    collation: Option<&crate::query::Collation>,
) {
    let start = key.len();
    write_order_key(key, value, collation);
    if !is_ascending {
        for byte in &mut key[start..] {
            *byte = !*byte;
        }
    }
}

fn cut(mut key: Vec<u8>) -> Entry {
    if key.len() <= KEY_BYTES_MAX {
        return Entry { key, is_cut: false };
    }
    let hash = Sha256::digest(&key);
    key.truncate(KEY_BYTES_MAX);
    key.extend_from_slice(&hash);
    Entry { key, is_cut: true }
}

fn unique_key(index: &Index, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(4 + key.len());
    full.extend_from_slice(&index.id.to_be_bytes());
    full.extend_from_slice(key);
    full
}

fn shared_key(index: &Index, key: &[u8], record: u64) -> Vec<u8> {
    let mut full = Vec::with_capacity(12 + key.len());
    full.extend_from_slice(&index.id.to_be_bytes());
    full.extend_from_slice(key);
    full.extend_from_slice(&record.to_be_bytes());
    full
}

/// The record an index entry leads to.
pub fn entry_record(index: &Index, key: &[u8], value: &[u8]) -> Option<u64> {
    let bytes = if index.is_unique() { value } else { key.get(key.len().checked_sub(8)?..)? };
    <[u8; 8]>::try_from(bytes).ok().map(u64::from_be_bytes)
}

fn add_entries(
    writer: &mut Writer<'_>,
    collection: &Collection,
    index: &Index,
    added: impl Iterator<Item = Entry>,
    record: u64,
    document: DocumentRef<'_>,
) -> CommandResult<()> {
    for entry in added {
        if entry.is_cut {
            writer.raise_flags(collection, index, 2);
        }
        if index.is_unique() {
            let key = unique_key(index, &entry.key);
            if !is_above_all(writer.view(), index, &key)?
                && let Some(holder) = writer.view().get(Space::Index, &key)?
                && holder.as_ref() != record.to_be_bytes()
            {
                return Err(duplicate(collection, index, &entry.key, document));
            }
            writer.put(Space::Index, key, Some(Slice::from(record.to_be_bytes())))?;
        } else {
            writer.put(Space::Index, shared_key(index, &entry.key, record), Some(Slice::from([])))?;
        }
    }
    Ok(())
}

/// Is the key of a unique index, which is about to be added, above all others? Called under the writer lock only, so that
/// nobody adds one meanwhile.
fn is_above_all(view: &View, index: &Index, key: &[u8]) -> CommandResult<bool> {
    let mut highest = index.flags.highest.lock();
    let known = match highest.as_deref() {
        Some(known) => known,
        None => {
            let (from, to) = id_range(index.id);
            let last = view.scan(Space::Index, Bound::Included(from), Bound::Excluded(to), true).next().transpose()?;
            highest.insert(last.map_or_else(|| index.id.to_be_bytes().to_vec(), |(key, _)| key.to_vec()))
        }
    };
    let is_above = key > known;
    if is_above && let Some(known) = highest.as_mut() {
        known.clear();
        known.extend_from_slice(key);
    }
    Ok(is_above)
}

/// The error for a key that is taken, with the values of the document's key that collides.
fn duplicate(collection: &Collection, index: &Index, key: &[u8], document: DocumentRef<'_>) -> CommandError {
    let mut value = Document::new();
    let collation = index.collation.as_deref();
    let paths: Vec<&str> = index.parts.iter().map(|(path, _)| path.as_str()).collect();
    if let Ok(keys) = keys::generate(document, &paths) {
        for tuple in &keys.tuples {
            let mut candidate = Vec::new();
            for (part, (_, is_ascending)) in tuple.iter().zip(&index.parts) {
                write_part(&mut candidate, *part, *is_ascending, collation);
            }
            if cut(candidate).key == key {
                for (part, path) in tuple.iter().zip(&paths) {
                    value.insert(*path, part.to_bson());
                }
                break;
            }
        }
    }
    let mut error =
        CommandError::duplicate_key(&collection.namespace.to_string(), &index.name, index.key_pattern(), value);
    if let Some(collation) = collation {
        error = error.with_field("collation", collation.specification().clone());
    }
    error
}

/// Makes a client's document fit to be stored: `_id` first (made up if there is none), no `$` names at the top, zero
/// timestamps filled in with `now` (an upsert gives none: it stores them as they are).
///
/// Errors: `BadValue` (2) for sizes, `_id` of a forbidden type and `$` names; `DollarPrefixedFieldName` (52) inside
/// `_id`.
pub fn prepare_insert(document: &RawDocument, now: Option<bson::Timestamp>) -> CommandResult<Slice> {
    let raw = document.as_bytes();
    if raw.len() > DOCUMENT_BYTES_MAX {
        return Err(CommandError::bad_value(format!(
            "object to insert too large. size in bytes: {}, max size: {DOCUMENT_BYTES_MAX}",
            raw.len()
        )));
    }
    let mut is_plain = true;
    let mut has_id = false;
    for (position, element) in document.iter_elements().enumerate() {
        let element = element.map_err(|error| CommandError::new(code::INVALID_BSON, error.to_string()))?;
        let name = element.key().as_str();
        let value = element.value().map_err(|error| CommandError::new(code::INVALID_BSON, error.to_string()))?;
        if name == "_id" {
            if has_id {
                return Err(CommandError::bad_value("can't have multiple _id fields in one document"));
            }
            has_id = true;
            is_plain &= position == 0;
            check_id(ValueRef::from(value))?;
        } else if name.starts_with('$') {
            return Err(CommandError::bad_value(format!("Document can't have $ prefixed field names: {name}")));
        } else if now.is_some() && matches!(value, RawBsonRef::Timestamp(bson::Timestamp { time: 0, increment: 0 })) {
            is_plain = false;
        }
    }
    if is_plain && has_id {
        return Ok(Slice::from(raw));
    }
    let mut decoded = bytes::to_document(raw)?;
    let id = decoded.remove("_id").unwrap_or_else(|| Bson::ObjectId(ObjectId::new()));
    let mut whole = Document::new();
    whole.insert("_id", id);
    for (name, value) in decoded {
        let value = match (value, now) {
            (Bson::Timestamp(bson::Timestamp { time: 0, increment: 0 }), Some(now)) => Bson::Timestamp(now),
            (other, _) => other,
        };
        whole.insert(name, value);
    }
    bytes::from_document(&whole).map(Slice::from)
}

/// Can this be an `_id`?
pub fn check_id(value: ValueRef<'_>) -> CommandResult<()> {
    match value {
        ValueRef::Array(_) => Err(CommandError::bad_value("can't use an array for _id")),
        ValueRef::Regex { .. } => Err(CommandError::bad_value("can't use a regex for _id")),
        ValueRef::Undefined => Err(CommandError::bad_value("can't use a undefined for _id")),
        ValueRef::Document(document) => check_names(document),
        _ => Ok(()),
    }
}

/// No `$` names inside `_id`, except those of a reference.
fn check_names(document: DocumentRef<'_>) -> CommandResult<()> {
    for (name, value) in document.iter() {
        if name.starts_with('$') && !matches!(name, "$ref" | "$id" | "$db") {
            return Err(CommandError::new(
                code::DOLLAR_PREFIXED_FIELD_NAME,
                format!("The dollar ($) prefixed field '{name}' in '{name}' is not valid for storage."),
            ));
        }
        match value {
            ValueRef::Document(inner) => check_names(inner)?,
            ValueRef::Array(items) => {
                for item in items.iter() {
                    if let ValueRef::Document(inner) = item {
                        check_names(inner)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_size(stored: &[u8]) -> CommandResult<()> {
    if stored.len() > DOCUMENT_BYTES_MAX {
        return Err(CommandError::new(
            code::BSON_OBJECT_TOO_LARGE,
            format!("BSONObj size: {} is invalid. Size must be between 0 and {DOCUMENT_BYTES_MAX}", stored.len()),
        ));
    }
    Ok(())
}

/// What the validator says: `Ok`, or `DocumentValidationFailure` (121).
fn validate(collection: &Collection, document: &RawDocument, old: Option<&RawDocument>) -> CommandResult<()> {
    let Some(validator) = &collection.validator else { return Ok(()) };
    if validator.filter.matches(document)? {
        return Ok(());
    }
    if !validator.is_strict
        && let Some(old) = old
        && !validator.filter.matches(old)?
    {
        return Ok(());
    }
    if !validator.is_error {
        tracing::warn!(namespace = %collection.namespace, "document would fail validation");
        return Ok(());
    }
    let id = DocumentRef::Raw(document).get("_id").map_or(Bson::Null, ValueRef::to_bson);
    let details = bson::doc! {
        "failingDocumentId": id,
        "details": { "operatorName": "validator", "specifiedAs": validator.source.clone() },
    };
    Err(CommandError::new(code::DOCUMENT_VALIDATION_FAILURE, "Document failed validation")
        .with_field("errInfo", details))
}

/// Inserts a document that [`prepare_insert`] made. Returns its record id.
///
/// Errors: `DuplicateKey` (11000), `DocumentValidationFailure` (121) unless `bypass_validation`.
pub fn insert(
    writer: &mut Writer<'_>,
    collection: &Arc<Collection>,
    stored: Slice,
    bypass_validation: bool,
) -> CommandResult<u64> {
    check_size(&stored)?;
    writer.touch(collection)?;
    let document = bytes::to_raw(&stored)?;
    if !bypass_validation {
        validate(collection, document, None)?;
    }
    let record = writer.next_record(collection);
    for index in &collection.indexes {
        let (entries, is_multikey) = entries(index, document.into())?;
        if is_multikey {
            writer.raise_flags(collection, index, 1);
        }
        add_entries(writer, collection, index, entries.into_iter(), record, document.into())?;
    }
    let bytes = stored.len() as i64;
    writer.put(Space::Records, record_key(collection.id, record), Some(stored.clone()))?;
    writer.log(|| Ok(Change::of(Kind::Insert, collection, vec![stored])))?;
    writer.count(collection, 1, bytes);
    trim_capped(writer, collection)?;
    Ok(record)
}

/// Removes the oldest documents of a capped collection that is beyond its bounds.
fn trim_capped(writer: &mut Writer<'_>, collection: &Arc<Collection>) -> CommandResult<()> {
    let Some(capped) = collection.capped else { return Ok(()) };
    loop {
        let (documents, bytes) = writer.transaction().counts(collection);
        let is_over = bytes > capped.bytes_max || (capped.documents_max > 0 && documents > capped.documents_max);
        if !is_over || documents <= 1 {
            return Ok(());
        }
        let oldest = writer.view().records(collection, None, false).next();
        let Some((key, stored)) = oldest.transpose()? else { return Ok(()) };
        let Some(record) = record_id(&key) else { return Ok(()) };
        take_out(writer, collection, record, &stored)?;
    }
}

/// Puts a document in the place of another one of the same record and `_id`. `description`: as [`changes::describe`]
/// makes it.
pub fn replace(
    writer: &mut Writer<'_>,
    collection: &Arc<Collection>,
    record: u64,
    old: &[u8],
    new: Vec<u8>,
    description: Option<RawDocumentBuf>,
    bypass_validation: bool,
) -> CommandResult<()> {
    check_size(&new)?;
    writer.touch(collection)?;
    let old_document = bytes::to_raw(old)?;
    let new_document = bytes::to_raw(&new)?;
    if !bypass_validation {
        validate(collection, new_document, Some(old_document))?;
    }
    if collection.capped.is_some() && new.len() > old.len() {
        return Err(CommandError::new(
            10003,
            format!("Cannot change the size of a document in a capped collection: {} != {}", old.len(), new.len()),
        ));
    }
    for index in &collection.indexes {
        if index.is_id() {
            continue;
        }
        let (before, _) = entries(index, old_document.into())?;
        let (after, is_multikey) = entries(index, new_document.into())?;
        if is_multikey {
            writer.raise_flags(collection, index, 1);
        }
        for entry in before.difference(&after) {
            remove_entry(writer, index, &entry.key, record)?;
        }
        let added: Vec<Entry> = after.difference(&before).cloned().collect();
        add_entries(writer, collection, index, added.into_iter(), record, new_document.into())?;
    }
    let grown = new.len() as i64 - old.len() as i64;
    let new = Slice::from(new);
    writer.put(Space::Records, record_key(collection.id, record), Some(new.clone()))?;
    writer.log(|| {
        let mut change = match description {
            Some(description) => {
                let key = changes::document_key(old_document)?;
                let parts = vec![Slice::from(key.as_bytes()), Slice::from(description.as_bytes())];
                Change { after: collection.keeps_images.then_some(new), ..Change::of(Kind::Update, collection, parts) }
            }
            None => Change::of(Kind::Replace, collection, vec![new]),
        };
        change.before = collection.keeps_images.then(|| Slice::from(old));
        Ok(change)
    })?;
    writer.count(collection, 0, grown);
    Ok(())
}

fn remove_entry(writer: &mut Writer<'_>, index: &Index, key: &[u8], record: u64) -> CommandResult<()> {
    let key = if index.is_unique() { unique_key(index, key) } else { shared_key(index, key, record) };
    writer.put(Space::Index, key, None)
}

/// Removes a document.
pub fn remove(writer: &mut Writer<'_>, collection: &Arc<Collection>, record: u64, stored: &[u8]) -> CommandResult<()> {
    take_out(writer, collection, record, stored)?;
    writer.log(|| {
        let key = changes::document_key(bytes::to_raw(stored)?)?;
        let before = collection.keeps_images.then(|| Slice::from(stored));
        Ok(Change { before, ..Change::of(Kind::Delete, collection, vec![Slice::from(key.as_bytes())]) })
    })
}

/// [`remove`] without telling the log: what a capped collection loses at its end is no event.
fn take_out(writer: &mut Writer<'_>, collection: &Arc<Collection>, record: u64, stored: &[u8]) -> CommandResult<()> {
    writer.touch(collection)?;
    let document = bytes::to_raw(stored)?;
    for index in &collection.indexes {
        let (entries, _) = entries(index, document.into())?;
        for entry in &entries {
            remove_entry(writer, index, &entry.key, record)?;
        }
    }
    writer.put(Space::Records, record_key(collection.id, record), None)?;
    writer.count(collection, -1, -(stored.len() as i64));
    Ok(())
}

/// Makes the entries of a new index for all documents of its collection.
///
/// Errors: as of inserting each of them.
pub fn build_index(writer: &mut Writer<'_>, collection: &Arc<Collection>, index: &Index) -> CommandResult<()> {
    let records = writer.view().records(collection, None, false);
    for pair in records {
        let (key, stored) = pair?;
        let Some(record) = record_id(&key) else { continue };
        let document = bytes::to_raw(&stored)?;
        let (entries, is_multikey) = entries(index, document.into())?;
        if is_multikey {
            writer.raise_flags(collection, index, 1);
        }
        add_entries(writer, collection, index, entries.into_iter(), record, document.into())?;
    }
    Ok(())
}

/// The record with this `_id` (already encoded by [`id_key`]).
pub fn find_by_id(view: &View, collection: &Collection, id: ValueRef<'_>) -> CommandResult<Option<(u64, Slice)>> {
    let Some(index) = collection.id_index() else { return Ok(None) };
    let mut key = Vec::with_capacity(16);
    write_order_key(&mut key, id, index.collation.as_deref());
    let Some(holder) = view.get(Space::Index, &unique_key(index, &cut(key).key))? else { return Ok(None) };
    let Ok(record) = <[u8; 8]>::try_from(holder.as_ref()).map(u64::from_be_bytes) else { return Ok(None) };
    Ok(view.record(collection, record)?.map(|stored| (record, stored)))
}

/// Index keys (in the form scans give them) of one document, for checks: key, and value where the index is unique.
pub fn expected_entries(index: &Index, document: &RawDocument, record: u64) -> CommandResult<Vec<Vec<u8>>> {
    let (entries, _) = entries(index, document.into())?;
    Ok(entries
        .iter()
        .map(
            |entry| {
                if index.is_unique() { unique_key(index, &entry.key) } else { shared_key(index, &entry.key, record) }
            },
        )
        .collect())
}
