//! What exists: databases, collections, views and their indexes, as one immutable value per state.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, doc};

use crate::error::{CommandError, CommandResult, code};
use crate::query::{Collation, Filter, QueryContext, ValueRef};

/// `database.collection`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace {
    /// Database name.
    pub database: String,
    /// Collection name; may hold dots.
    pub collection: String,
}

impl fmt::Display for Namespace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.database, self.collection)
    }
}

impl Namespace {
    /// Checks a name as MongoDB does. Errors: `InvalidNamespace` (73).
    pub fn new(database: &str, collection: &str) -> CommandResult<Self> {
        check_database_name(database)?;
        let namespace = Self { database: database.to_owned(), collection: collection.to_owned() };
        if collection.is_empty() {
            return Err(CommandError::new(
                code::INVALID_NAMESPACE,
                format!("Invalid namespace specified '{namespace}'"),
            ));
        }
        if collection.contains('\0') {
            return Err(CommandError::new(code::INVALID_NAMESPACE, "namespaces cannot have embedded null characters"));
        }
        if collection.starts_with('.') || collection.contains('$') {
            return Err(CommandError::new(
                code::INVALID_NAMESPACE,
                format!("Invalid collection name specified '{namespace}'"),
            ));
        }
        Ok(namespace)
    }

    /// Checks a full name `database.collection`.
    pub fn parse(full: &str) -> CommandResult<Self> {
        let (database, collection) = full.split_once('.').unwrap_or((full, ""));
        Self::new(database, collection)
    }
}

/// MongoDB's rules for database names, with 63 bytes at most.
pub fn check_database_name(name: &str) -> CommandResult<()> {
    let forbidden = |character: char| matches!(character, '/' | '\\' | '.' | ' ' | '"' | '$' | '\0');
    if name.is_empty() || name.len() > 63 || name.contains(forbidden) {
        return Err(CommandError::new(code::INVALID_NAMESPACE, format!("Invalid database name: '{name}'")));
    }
    Ok(())
}

/// Figures of a collection that change with every write; shared by all states of the catalog that know it.
#[derive(Debug, Default)]
pub struct Counters {
    /// Committed documents.
    pub documents: AtomicI64,
    /// Bytes of the committed documents.
    pub bytes: AtomicI64,
    /// Record id the next insert takes.
    pub next_record: AtomicU64,
}

/// A collection or view.
#[derive(Debug)]
pub struct Collection {
    /// Never used again once the collection is dropped.
    pub id: u32,
    /// Where it is.
    pub namespace: Namespace,
    /// As `listCollections` shows it.
    pub uuid: [u8; 16],
    /// As `listCollections` shows them.
    pub options: Document,
    /// Set for views.
    pub view: Option<View>,
    /// Set for capped collections.
    pub capped: Option<Capped>,
    /// Documents must match, if any.
    pub validator: Option<Validator>,
    /// Order of strings where a command names none.
    pub collation: Option<Arc<Collation>>,
    /// Are the documents before and after a change kept in the log (`changeStreamPreAndPostImages`)?
    pub keeps_images: bool,
    /// The `_id` index first; empty for views.
    pub indexes: Vec<Arc<Index>>,
    /// See [`Counters`].
    pub counters: Arc<Counters>,
}

/// A stored pipeline on another collection.
#[derive(Debug, Clone)]
pub struct View {
    /// Collection or view of the same database.
    pub on: String,
    /// Stages.
    pub pipeline: Vec<Bson>,
}

/// Bounds of a capped collection.
#[derive(Debug, Clone, Copy)]
pub struct Capped {
    /// Bytes of documents.
    pub bytes_max: i64,
    /// Number of documents; 0 is unbounded.
    pub documents_max: i64,
}

/// What documents of a collection must match.
#[derive(Debug)]
pub struct Validator {
    /// As given.
    pub source: Document,
    /// Parsed.
    pub filter: Filter,
    /// False: violations are logged only (`validationAction: "warn"`).
    pub is_error: bool,
    /// False: documents that violate it already may be updated freely (`validationLevel: "moderate"`).
    pub is_strict: bool,
}

/// How the entries of an index are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexKind {
    /// Keys in order.
    Ordered,
    /// 2d or 2dsphere: kept for what depends on its existence; answers no queries itself.
    Geo,
    /// Text: kept so that applications can create it; `$text` is not supported.
    Inert,
}

/// An index of a collection.
#[derive(Debug)]
pub struct Index {
    /// Never used again once the index is dropped.
    pub id: u32,
    /// As `listIndexes` shows it.
    pub specification: Document,
    /// Unique within the collection.
    pub name: String,
    /// Path and true for ascending, in order of weight.
    pub parts: Vec<(String, bool)>,
    /// How entries are made.
    pub kind: IndexKind,
    /// No two documents share a key.
    pub unique: bool,
    /// Leaves out documents without any of the paths.
    pub sparse: bool,
    /// Not used by plans.
    pub hidden: bool,
    /// Holds only documents that match.
    pub partial: Option<Filter>,
    /// Documents go so many seconds after the date at the (single) path.
    pub expire_after_seconds: Option<i64>,
    /// Order of strings.
    pub collation: Option<Arc<Collation>>,
    /// See [`IndexFlags`].
    pub flags: Arc<IndexFlags>,
}

/// Facts about an index that only ever become true.
#[derive(Debug, Default)]
pub struct IndexFlags {
    /// Some document has more than one entry, or an array on a path.
    pub multikey: AtomicBool,
    /// Some entry's key was too long and is cut, so that entries beyond the cut are not in order.
    pub cut: AtomicBool,
    /// No entry of a unique index, committed or not, has a key above this one; `None`: not known. Ids mostly grow, and a
    /// key above all others needs no look whether it is taken.
    pub highest: Mutex<Option<Vec<u8>>>,
}

impl IndexFlags {
    /// As one byte.
    pub fn bits(&self) -> u8 {
        u8::from(self.multikey.load(Ordering::Acquire)) | u8::from(self.cut.load(Ordering::Acquire)) << 1
    }

    /// Sets what is set in `bits`.
    pub fn raise(&self, bits: u8) {
        if bits & 1 != 0 {
            self.multikey.store(true, Ordering::Release);
        }
        if bits & 2 != 0 {
            self.cut.store(true, Ordering::Release);
        }
    }
}

/// All collections of one state. Cloning is cheap where few exist; a change of the catalog is rare.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    collections: BTreeMap<Namespace, Arc<Collection>>,
}

impl Catalog {
    /// The collection or view of this name.
    pub fn get(&self, namespace: &Namespace) -> Option<&Arc<Collection>> {
        self.collections.get(namespace)
    }

    /// Adds or replaces.
    pub fn put(&mut self, collection: Arc<Collection>) {
        self.collections.insert(collection.namespace.clone(), collection);
    }

    /// Removes.
    pub fn remove(&mut self, namespace: &Namespace) -> Option<Arc<Collection>> {
        self.collections.remove(namespace)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Collection>> {
        self.collections.values()
    }

    /// Those of one database, by name.
    pub fn of_database<'a>(&'a self, database: &'a str) -> impl Iterator<Item = &'a Arc<Collection>> {
        let start = Namespace { database: database.to_owned(), collection: String::new() };
        self.collections
            .range(start..)
            .map(|(_, collection)| collection)
            .take_while(move |collection| collection.namespace.database == database)
    }

    /// Names of databases that hold anything, in order.
    pub fn databases(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.collections.keys().map(|namespace| namespace.database.as_str()).collect();
        names.dedup();
        names
    }
}

fn context() -> QueryContext {
    QueryContext::default()
}

fn with_collation(collation: &Option<Arc<Collation>>) -> QueryContext {
    QueryContext { collation: collation.clone(), ..context() }
}

impl Collection {
    /// Builds a collection from its parts. `options` as of the `create` command, already checked for unknown fields.
    pub fn build(
        id: u32,
        namespace: Namespace,
        uuid: [u8; 16],
        options: Document,
        indexes: Vec<Arc<Index>>,
        counters: Arc<Counters>,
    ) -> CommandResult<Self> {
        let collation = match options.get_document("collation") {
            Ok(specification) => Collation::parse(specification)?.map(Arc::new),
            Err(_) => None,
        };
        let view = match options.get("viewOn") {
            Some(Bson::String(on)) => {
                let pipeline = options.get_array("pipeline").cloned().unwrap_or_default();
                Some(View { on: on.clone(), pipeline })
            }
            _ => None,
        };
        let number = |name: &str| options.get(name).and_then(|value| ValueRef::from(value).as_f64()).map(|n| n as i64);
        let capped = if options.get_bool("capped").unwrap_or(false) {
            Some(Capped {
                bytes_max: number("size").unwrap_or(4096).max(1),
                documents_max: number("max").unwrap_or(0).max(0),
            })
        } else {
            None
        };
        let validator = match options.get_document("validator") {
            Ok(source) if !source.is_empty() => Some(Validator {
                source: source.clone(),
                filter: Filter::parse(source, &with_collation(&collation))?,
                is_error: options.get_str("validationAction").unwrap_or("error") == "error",
                is_strict: options.get_str("validationLevel").unwrap_or("strict") == "strict",
            }),
            _ => None,
        };
        let off = options.get_str("validationLevel").is_ok_and(|level| level == "off");
        let validator = validator.filter(|_| !off);
        let images = options.get_document("changeStreamPreAndPostImages");
        let keeps_images = images.is_ok_and(|images| images.get_bool("enabled").unwrap_or(false));
        Ok(Self { id, namespace, uuid, options, keeps_images, view, capped, validator, collation, indexes, counters })
    }

    /// The same collection with other options or indexes.
    pub fn with(&self, options: Document, indexes: Vec<Arc<Index>>) -> CommandResult<Self> {
        Self::build(self.id, self.namespace.clone(), self.uuid, options, indexes, Arc::clone(&self.counters))
    }

    /// As stored.
    pub fn to_document(&self) -> Document {
        let indexes: Vec<Bson> = self
            .indexes
            .iter()
            .map(|index| {
                Bson::Document(doc! { "id": i64::from(index.id), "specification": index.specification.clone() })
            })
            .collect();
        doc! {
            "id": i64::from(self.id),
            "database": &self.namespace.database,
            "collection": &self.namespace.collection,
            "uuid": self.uuid_bson(),
            "options": self.options.clone(),
            "indexes": indexes,
        }
    }

    /// Reads what [`Collection::to_document`] wrote.
    pub fn from_document(stored: &Document) -> Result<Self, String> {
        let text = |name: &str| stored.get_str(name).map(str::to_owned).map_err(|error| error.to_string());
        let number = |stored: &Document| {
            stored.get_i64("id").ok().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| "no id".to_owned())
        };
        let namespace = Namespace { database: text("database")?, collection: text("collection")? };
        let uuid = match stored.get("uuid") {
            Some(Bson::Binary(uuid)) => {
                <[u8; 16]>::try_from(uuid.bytes.as_slice()).map_err(|_| "a uuid of another length")?
            }
            _ => return Err("no uuid".to_owned()),
        };
        let options = stored.get_document("options").map_err(|error| error.to_string())?.clone();
        let mut indexes = Vec::new();
        for entry in stored.get_array("indexes").map_err(|error| error.to_string())? {
            let entry = entry.as_document().ok_or("an index is no document")?;
            let specification = entry.get_document("specification").map_err(|error| error.to_string())?.clone();
            let index = Index::build(number(entry)?, specification, Arc::default()).map_err(|error| error.message)?;
            indexes.push(Arc::new(index));
        }
        Self::build(number(stored)?, namespace, uuid, options, indexes, Arc::default()).map_err(|error| error.message)
    }

    /// The UUID as BSON.
    pub fn uuid_bson(&self) -> Bson {
        Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: self.uuid.to_vec() })
    }

    /// The index of this name.
    pub fn index(&self, name: &str) -> Option<&Arc<Index>> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// The `_id` index; none for views.
    pub fn id_index(&self) -> Option<&Arc<Index>> {
        self.indexes.first()
    }
}

impl Index {
    /// Builds an index from its specification (as `listIndexes` shows it, `name` and `key` present).
    pub fn build(id: u32, specification: Document, flags: Arc<IndexFlags>) -> CommandResult<Self> {
        let name = specification.get_str("name").unwrap_or_default().to_owned();
        let key = specification.get_document("key").cloned().unwrap_or_default();
        let mut kind = IndexKind::Ordered;
        let mut parts = Vec::with_capacity(key.len());
        for (path, direction) in &key {
            match direction {
                Bson::String(plugin) => {
                    match plugin.as_str() {
                        "2d" | "2dsphere" => kind = IndexKind::Geo,
                        // A hashed index answers equalities; an ordered one does so as well.
                        "hashed" => {}
                        _ => kind = IndexKind::Inert,
                    }
                    parts.push((path.clone(), true));
                }
                number => parts.push((path.clone(), ValueRef::from(number).as_f64().unwrap_or(1.0) >= 0.0)),
            }
        }
        if key.keys().any(|path| path == "$**" || path.ends_with(".$**")) {
            kind = IndexKind::Inert;
        }
        let collation = match specification.get_document("collation") {
            Ok(collation) => Collation::parse(collation)?.map(Arc::new),
            Err(_) => None,
        };
        let partial = match specification.get_document("partialFilterExpression") {
            Ok(filter) => Some(Filter::parse(filter, &with_collation(&collation))?),
            Err(_) => None,
        };
        let expire_after_seconds = specification
            .get("expireAfterSeconds")
            .and_then(|value| ValueRef::from(value).as_f64())
            .map(|seconds| seconds as i64);
        Ok(Self {
            id,
            name,
            parts,
            kind,
            unique: specification.get_bool("unique").unwrap_or(false),
            sparse: specification.get_bool("sparse").unwrap_or(false),
            hidden: specification.get_bool("hidden").unwrap_or(false),
            partial,
            expire_after_seconds,
            collation,
            flags,
            specification,
        })
    }

    /// The specification of every collection's first index.
    pub fn id_specification(collation: Option<&Document>) -> Document {
        let mut specification = doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" };
        if let Some(collation) = collation {
            specification.insert("collation", collation.clone());
        }
        specification
    }

    /// `{ path: 1, ... }` as created.
    pub fn key_pattern(&self) -> Document {
        self.specification.get_document("key").cloned().unwrap_or_default()
    }

    /// The `_id` index?
    pub fn is_id(&self) -> bool {
        self.name == "_id_"
    }

    /// Unique in effect.
    pub fn is_unique(&self) -> bool {
        self.unique || self.is_id()
    }
}
