//! The log of committed changes, which change streams read: what happened to which document, in the order of commits.
//!
//! One entry is one committed batch, under the cluster time of its first change; changes that commit by themselves have
//! a time each, those of a multi-document transaction share one. The entry is part of the batch itself, so the log tells
//! neither more nor less than what survives. An entry holds what cannot be found out later: the documents of inserts and
//! replacements, the difference an update made, the `_id` of what is gone.

use std::sync::Arc;

use bson::raw::{RawArrayBuf, RawDocument, RawDocumentBuf, cstr};
use bson::{Bson, Document};

use crate::bytes;
use crate::catalog::{Collection, Namespace};
use crate::error::{CommandError, CommandResult};
use crate::query::value::{identical, identical_documents};
use crate::storage::Slice;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Part: the document.
    Insert = 1,
    /// Parts: `{ _id }`, what changed.
    Update = 2,
    /// Part: the new document.
    Replace = 3,
    /// Part: `{ _id }`.
    Delete = 4,
    /// A collection is gone.
    Drop = 5,
    /// Part: `{ to: { db, coll }, dropTarget?: uuid }`.
    Rename = 6,
    /// A database is gone; its collections were reported before.
    DropDatabase = 7,
    /// Part: how the collection was made.
    Create = 8,
    /// Part: `{ indexes: [ ... ] }`.
    CreateIndexes = 9,
    /// Part: `{ indexes: [ ... ] }`.
    DropIndexes = 10,
    /// Part: what was asked for.
    Modify = 11,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        const ALL: [Kind; 11] = [
            Kind::Insert,
            Kind::Update,
            Kind::Replace,
            Kind::Delete,
            Kind::Drop,
            Kind::Rename,
            Kind::DropDatabase,
            Kind::Create,
            Kind::CreateIndexes,
            Kind::DropIndexes,
            Kind::Modify,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// `operationType` of the event.
    pub fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Drop => "drop",
            Self::Rename => "rename",
            Self::DropDatabase => "dropDatabase",
            Self::Create => "create",
            Self::CreateIndexes => "createIndexes",
            Self::DropIndexes => "dropIndexes",
            Self::Modify => "modify",
        }
    }

    /// How many parts a change of this kind has, images not counted.
    fn parts(self) -> usize {
        match self {
            Self::Drop | Self::DropDatabase => 0,
            Self::Update => 2,
            _ => 1,
        }
    }
}

/// What a change is about.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A collection, or a document in it.
    Collection(Arc<Collection>),
    /// A database.
    Database(String),
}

/// One change, before it is committed.
#[derive(Debug, Clone)]
pub struct Change {
    /// What happened.
    pub kind: Kind,
    /// To what.
    pub subject: Subject,
    /// Documents, as [`Kind`] says.
    pub parts: Vec<Slice>,
    /// The document before the change, where the collection keeps images.
    pub before: Option<Slice>,
    /// The document after an update, where the collection keeps images.
    pub after: Option<Slice>,
}

impl Change {
    /// A change of a collection or of one of its documents.
    pub fn of(kind: Kind, collection: &Arc<Collection>, parts: Vec<Slice>) -> Self {
        Self { kind, subject: Subject::Collection(Arc::clone(collection)), parts, before: None, after: None }
    }

    /// Bytes it takes in memory, about.
    pub fn size(&self) -> usize {
        let parts = self.parts.iter().chain(&self.before).chain(&self.after);
        size_of::<Self>() + parts.map(|part| part.len() + size_of::<Slice>()).sum::<usize>()
    }
}

/// The transaction a batch is, if it is one: the session's UUID and the transaction's number.
pub type Origin = Option<(Vec<u8>, i64)>;

const HAS_BEFORE: u8 = 1;
const HAS_AFTER: u8 = 2;
const SAME_SUBJECT: u8 = 4;

/// The entry of a batch. `previous`: key of the entry before, by which a reader notices that some are gone.
pub fn encode(changes: &[Change], previous: u64, wall: bson::DateTime, origin: &Origin) -> Vec<u8> {
    let size: usize = changes.iter().flat_map(|change| &change.parts).map(|part| part.len()).sum();
    let mut entry = Vec::with_capacity(size + 64 + changes.len() * 2);
    let mut header = RawDocumentBuf::new();
    header.append(cstr!("previous"), previous.cast_signed());
    header.append(cstr!("wall"), wall);
    if let Some((session, number)) = origin {
        header.append(
            cstr!("session"),
            bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: session.clone() },
        );
        header.append(cstr!("number"), *number);
    }
    entry.extend_from_slice(header.as_bytes());
    let mut previous: Option<&Arc<Collection>> = None;
    for change in changes {
        let same =
            matches!((&change.subject, previous), (Subject::Collection(now), Some(last)) if Arc::ptr_eq(now, last));
        let mut flags = if same { SAME_SUBJECT } else { 0 };
        flags |= if change.before.is_some() { HAS_BEFORE } else { 0 };
        flags |= if change.after.is_some() { HAS_AFTER } else { 0 };
        entry.push(change.kind as u8);
        entry.push(flags);
        if !same {
            let (database, collection, uuid) = match &change.subject {
                Subject::Collection(collection) => {
                    (&collection.namespace.database, collection.namespace.collection.as_str(), collection.uuid)
                }
                Subject::Database(database) => (database, "", [0; 16]),
            };
            for name in [database.as_str(), collection] {
                entry.extend_from_slice(name.as_bytes());
                entry.push(0);
            }
            entry.extend_from_slice(&uuid);
            previous = match &change.subject {
                Subject::Collection(collection) => Some(collection),
                Subject::Database(_) => None,
            };
        }
        for part in change.parts.iter().chain(&change.before).chain(&change.after) {
            entry.extend_from_slice(part);
        }
    }
    entry
}

/// A change as the log has it.
#[derive(Debug)]
pub struct Logged {
    /// What happened.
    pub kind: Kind,
    /// To what; the collection's name is empty for a database.
    pub namespace: Namespace,
    /// The collection's UUID.
    pub uuid: [u8; 16],
    /// Documents, as [`Kind`] says.
    pub parts: Vec<RawDocumentBuf>,
    /// The document before.
    pub before: Option<RawDocumentBuf>,
    /// The document after an update.
    pub after: Option<RawDocumentBuf>,
}

/// Reads an entry, change by change.
pub struct Entry {
    bytes: Slice,
    offset: usize,
    subject: Option<(Namespace, [u8; 16])>,
    /// Key of the entry before.
    pub previous: u64,
    /// When the batch was committed.
    pub wall: bson::DateTime,
    /// The transaction it is.
    pub origin: Origin,
    /// Changes read so far.
    pub read: u32,
}

fn damaged() -> CommandError {
    CommandError::internal("an entry of the log of changes cannot be read")
}

impl Entry {
    /// Reads the entry's beginning.
    pub fn new(entry: Slice) -> CommandResult<Self> {
        let mut offset = 0;
        let header = take_document(&entry, &mut offset)?;
        let previous = header.get_i64("previous").map_err(|_| damaged())?.cast_unsigned();
        let wall = header.get_datetime("wall").map_err(|_| damaged())?;
        let origin = match (header.get_binary("session"), header.get_i64("number")) {
            (Ok(session), Ok(number)) => Some((session.bytes.to_vec(), number)),
            _ => None,
        };
        Ok(Self { bytes: entry, offset, subject: None, previous, wall, origin, read: 0 })
    }

    /// The next change; those `wanted` does not want come back without their parts.
    pub fn next(&mut self, wanted: impl Fn(Kind, &Namespace) -> bool) -> CommandResult<Option<Logged>> {
        if self.offset >= self.bytes.len() {
            return Ok(None);
        }
        let bytes = self.bytes.clone();
        let byte = |offset: usize| bytes.get(offset).copied().ok_or_else(damaged);
        let kind = Kind::from_byte(byte(self.offset)?).ok_or_else(damaged)?;
        let flags = byte(self.offset + 1)?;
        self.offset += 2;
        if flags & SAME_SUBJECT == 0 {
            let database = take_name(&bytes, &mut self.offset)?;
            let collection = take_name(&bytes, &mut self.offset)?;
            let uuid = bytes.get(self.offset..self.offset + 16).and_then(|uuid| <[u8; 16]>::try_from(uuid).ok());
            self.offset += 16;
            self.subject = Some((Namespace { database, collection }, uuid.ok_or_else(damaged)?));
        }
        let (namespace, uuid) = self.subject.clone().ok_or_else(damaged)?;
        let is_wanted = wanted(kind, &namespace);
        let mut part = || -> CommandResult<Option<RawDocumentBuf>> {
            let document = take_document(&bytes, &mut self.offset)?;
            Ok(is_wanted.then(|| document.to_owned()))
        };
        let mut logged = Logged { kind, namespace, uuid, parts: Vec::new(), before: None, after: None };
        for _ in 0..kind.parts() {
            logged.parts.extend(part()?);
        }
        if flags & HAS_BEFORE != 0 {
            logged.before = part()?;
        }
        if flags & HAS_AFTER != 0 {
            logged.after = part()?;
        }
        self.read += 1;
        Ok(Some(logged))
    }
}

fn take_document<'a>(bytes: &'a [u8], offset: &mut usize) -> CommandResult<&'a RawDocument> {
    let length = bytes.get(*offset..*offset + 4).and_then(|length| <[u8; 4]>::try_from(length).ok());
    let length = length.and_then(|length| usize::try_from(i32::from_le_bytes(length)).ok()).ok_or_else(damaged)?;
    let document = offset.checked_add(length).and_then(|end| bytes.get(*offset..end)).ok_or_else(damaged)?;
    *offset += length;
    bytes::to_raw(document)
}

fn take_name(bytes: &[u8], offset: &mut usize) -> CommandResult<String> {
    let rest = bytes.get(*offset..).ok_or_else(damaged)?;
    let end = rest.iter().position(|byte| *byte == 0).ok_or_else(damaged)?;
    *offset += end + 1;
    String::from_utf8(rest[..end].to_vec()).map_err(|_| damaged())
}

/// `{ _id }` of a stored document.
pub fn document_key(stored: &RawDocument) -> CommandResult<RawDocumentBuf> {
    let mut key = RawDocumentBuf::new();
    let id = stored.get("_id").map_err(|_| damaged())?;
    if let Some(id) = id {
        key.append(cstr!("_id"), id);
    }
    Ok(key)
}

/// Which places of a document an update's operators touched.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Touched {
    /// The update was a whole document.
    #[default]
    Whole,
    /// The update was a pipeline: what it changed has to be found out.
    Anything,
    /// These paths; the flag says that elements may only have been added at the end of the array there.
    Paths(Vec<(Vec<String>, bool)>),
}

/// What an update changed, as change streams tell: `{ updatedFields, removedFields, truncatedArrays }`. `None`: it is
/// told as a replacement, because it was one or because the difference is larger than the document.
/// Source: MongoDB manual, "Change Events", "update Event".
pub fn describe(before: &Document, after: &Document, touched: &Touched) -> CommandResult<Option<RawDocumentBuf>> {
    let mut description = Description::default();
    match touched {
        Touched::Whole => return Ok(None),
        Touched::Anything => {
            if !description.difference("", before, after) {
                return Ok(None);
            }
        }
        Touched::Paths(paths) => {
            for (path, appends) in paths {
                description.touched(before, after, path, *appends);
            }
        }
    }
    description.to_raw().map(Some)
}

#[derive(Default)]
struct Description {
    updated: Document,
    removed: Vec<String>,
    /// Path and new length.
    truncated: Vec<(String, i32)>,
    /// Bytes of what was put into it, about.
    size: usize,
}

fn child<'d>(value: &'d Bson, name: &str) -> Option<&'d Bson> {
    match value {
        Bson::Document(document) => document.get(name),
        Bson::Array(items) => items.get(crate::query::path::array_index(name)?),
        _ => None,
    }
}

fn at<'d>(document: &'d Document, path: &[String]) -> Option<&'d Bson> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(document.get(first)?, |value, name| child(value, name))
}

fn joined(lead: &str, name: &str) -> String {
    if lead.is_empty() { name.to_owned() } else { format!("{lead}.{name}") }
}

fn is_removed(description: &Description, name: &str) -> bool {
    description.removed.iter().any(|removed| removed == name)
}

impl Description {
    /// Notes what became of a path an operator named.
    fn touched(&mut self, before: &Document, after: &Document, path: &[String], appends: bool) {
        // What an operator made on its way to the path is told as a whole.
        let mut known = path;
        for length in 1..=path.len() {
            if at(before, &path[..length]).is_none() {
                known = &path[..length];
                break;
            }
        }
        let name = known.join(".");
        match (at(before, known), at(after, known)) {
            (Some(Bson::Array(old)), Some(Bson::Array(new)))
                if appends && new.len() > old.len() && old.iter().zip(new).all(|(old, new)| identical(old, new)) =>
            {
                for (index, item) in new.iter().enumerate().skip(old.len()) {
                    self.updated.insert(format!("{name}.{index}"), item.clone());
                }
            }
            (Some(old), Some(new)) if identical(old, new) => {}
            (_, Some(new)) => drop(self.updated.insert(name, new.clone())),
            (Some(_), None) if !is_removed(self, &name) => self.removed.push(name),
            _ => {}
        }
    }

    fn set(&mut self, path: String, value: &Bson) {
        self.size += path.len() + crate::aggregate::value_bytes(value);
        self.updated.insert(path, value.clone());
    }

    /// Notes how two documents differ. False: telling the second whole is shorter.
    fn difference(&mut self, lead: &str, before: &Document, after: &Document) -> bool {
        let start = self.size;
        for name in before.keys() {
            if !after.contains_key(name) {
                self.size += name.len();
                self.removed.push(joined(lead, name));
            }
        }
        for (name, new) in after {
            let path = joined(lead, name);
            match before.get(name) {
                Some(old) => self.value_difference(path, old, new),
                None => self.set(path, new),
            }
        }
        self.size - start <= crate::aggregate::document_bytes(after)
    }

    fn value_difference(&mut self, path: String, old: &Bson, new: &Bson) {
        if identical(old, new) {
            return;
        }
        let mark = (self.updated.len(), self.removed.len(), self.truncated.len(), self.size);
        let is_shorter = match (old, new) {
            (Bson::Document(old), Bson::Document(new)) => {
                !identical_documents(old, new) && !new.is_empty() && self.difference(&path, old, new)
            }
            (Bson::Array(old), Bson::Array(new)) => {
                for (index, (old, new)) in old.iter().zip(new).enumerate() {
                    self.value_difference(format!("{path}.{index}"), old, new);
                }
                for (index, item) in new.iter().enumerate().skip(old.len()) {
                    self.set(format!("{path}.{index}"), item);
                }
                if new.len() < old.len() {
                    self.truncated.push((path.clone(), i32::try_from(new.len()).unwrap_or(i32::MAX)));
                }
                self.size - mark.3 <= new.iter().map(crate::aggregate::value_bytes).sum()
            }
            _ => false,
        };
        if !is_shorter {
            if self.updated.len() > mark.0 {
                self.updated = std::mem::take(&mut self.updated).into_iter().take(mark.0).collect();
            }
            self.removed.truncate(mark.1);
            self.truncated.truncate(mark.2);
            self.size = mark.3;
            self.set(path, new);
        }
    }

    fn to_raw(&self) -> CommandResult<RawDocumentBuf> {
        let mut raw = RawDocumentBuf::new();
        raw.append(cstr!("updatedFields"), bytes::raw_from_document(&self.updated)?);
        let mut removed = RawArrayBuf::new();
        for path in &self.removed {
            removed.push(path.as_str());
        }
        raw.append(cstr!("removedFields"), removed);
        let mut truncated = RawArrayBuf::new();
        for (path, length) in &self.truncated {
            let mut entry = RawDocumentBuf::new();
            entry.append(cstr!("field"), path.as_str());
            entry.append(cstr!("newSize"), *length);
            truncated.push(entry);
        }
        raw.append(cstr!("truncatedArrays"), truncated);
        Ok(raw)
    }
}
