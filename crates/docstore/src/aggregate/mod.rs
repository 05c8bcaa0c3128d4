//! Aggregation: expressions, accumulators, stages.
//!
//! A library over BSON values: no sockets, no storage. What other collections hold comes in, and what `$out` and
//! `$merge` write goes out, through [`CollectionAccess`].
//!
//! Reading order: [`Expression`] (what computes a value from a document), [`Pipeline`] (what turns rows into rows),
//! `accumulator`, `projection`, then the stages.

pub mod expression;
mod pipeline;

mod accumulator;
mod add_fields;
mod ahead;
mod random;
mod stage;

pub use expression::Expression;
pub(crate) use expression::{document_bytes, value_bytes};
pub use pipeline::{Leading, Pipeline, PipelineOptions, STAGE_BYTES_MAX, UpdatePipeline};

use std::sync::LazyLock;

use bson::raw::{RawDocument, RawDocumentBuf};
use bson::{Bson, Document};

use crate::error::CommandResult;
use crate::query::QueryContext;
use crate::query::value::DocumentRef;
use crate::storage::Slice;

static EMPTY: LazyLock<Document> = LazyLock::new(Document::new);

/// A document on its way through a pipeline: stored bytes until a stage has to change it.
#[derive(Debug, Clone)]
pub enum Row {
    /// As stored, shared with the store's cache.
    Stored(Slice),
    /// Encoded.
    Raw(RawDocumentBuf),
    /// Decoded.
    Owned(Document),
}

impl Row {
    /// Borrowed, for reading fields.
    pub fn as_ref(&self) -> DocumentRef<'_> {
        match self {
            Self::Stored(bytes) => match RawDocument::from_bytes(bytes) {
                Ok(document) => DocumentRef::Raw(document),
                // Checked when it was written, and by the engine's checksum when it was read.
                Err(_) => DocumentRef::Owned(&EMPTY),
            },
            Self::Raw(bytes) => DocumentRef::Raw(bytes),
            Self::Owned(document) => DocumentRef::Owned(document),
        }
    }

    /// Encoded.
    ///
    /// Errors: `BadValue` (2) for what BSON cannot hold.
    pub fn into_raw(self) -> CommandResult<RawDocumentBuf> {
        match self {
            Self::Stored(bytes) => crate::bytes::to_raw(&bytes).map(ToOwned::to_owned),
            Self::Raw(raw) => Ok(raw),
            Self::Owned(document) => crate::bytes::raw_from_document(&document),
        }
    }

    /// Bytes it takes in memory, about.
    pub fn size(&self) -> usize {
        match self {
            Self::Stored(bytes) => bytes.len(),
            Self::Raw(bytes) => bytes.as_bytes().len(),
            Self::Owned(document) => document_bytes(document),
        }
    }

    /// Decoded.
    pub fn into_document(self) -> Document {
        match self {
            Self::Stored(bytes) => crate::bytes::to_document(&bytes).unwrap_or_default(),
            Self::Raw(bytes) => Document::try_from(bytes.as_ref()).unwrap_or_default(),
            Self::Owned(document) => document,
        }
    }
}

/// Rows of a running pipeline. Holds everything it needs, so that a cursor can keep it between two commands.
pub type Rows = Box<dyn Iterator<Item = CommandResult<Row>> + Send>;

/// How a pipeline reaches collections. Names are given as database and collection.
///
/// Reads of one pipeline see one snapshot if the implementor has one.
pub trait CollectionAccess: Send + Sync {
    /// Documents that match the filter, in natural order; views are resolved. A missing collection is empty.
    fn find(&self, database: &str, collection: &str, filter: &Document, context: &QueryContext) -> CommandResult<Rows>;

    /// True if an equality on this path reads few documents.
    fn has_index_on(&self, database: &str, collection: &str, path: &str) -> bool;

    /// True if a unique, non-sparse, non-partial index has exactly these fields, in any order; always for `_id` alone.
    fn has_unique_index(&self, database: &str, collection: &str, fields: &[String]) -> bool;

    /// Key patterns of the geo indexes (`{ location: "2dsphere" }`).
    fn geo_indexes(&self, database: &str, collection: &str) -> Vec<Document>;

    /// Inserts one document, validated as an insert command's; creates the collection.
    fn insert(&self, database: &str, collection: &str, document: Document) -> CommandResult<()>;

    /// Updates at most one document. `update` is what an update command takes: operators, replacement or pipeline.
    /// `Ok(false)`: nothing matched. Never inserts.
    fn update(
        &self,
        database: &str,
        collection: &str,
        filter: &Document,
        update: &Bson,
        context: &QueryContext,
    ) -> CommandResult<bool>;

    /// Puts these documents in the place of the collection's in one step, keeping its options and indexes.
    fn replace_collection(&self, database: &str, collection: &str, documents: Vec<Document>) -> CommandResult<()>;

    /// The row of `$collStats` with these options; `NamespaceNotFound` if there is no such collection.
    fn collection_stats(&self, database: &str, collection: &str, options: &Document) -> CommandResult<Document>;

    /// The rows of `$indexStats`.
    fn index_stats(&self, database: &str, collection: &str) -> CommandResult<Vec<Document>>;

    /// The rows of `$currentOp`.
    fn current_operations(&self, options: &Document) -> CommandResult<Vec<Document>>;

    /// The rows of `$listLocalSessions` and `$listSessions`.
    fn local_sessions(&self) -> CommandResult<Vec<Document>> {
        Ok(Vec::new())
    }
}
