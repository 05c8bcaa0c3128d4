//! Moving data in and out as `mongodump` writes it: a directory per database, for each collection `<name>.bson` (its
//! documents one after the other) and `<name>.metadata.json` (options, indexes, UUID in Extended JSON).
//! Source: MongoDB Database Tools manual, "mongodump" (output) and "mongorestore".

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bson::{Bson, Document, doc};

use crate::bytes::{self, DOCUMENT_BYTES_MAX};
use crate::catalog::{Collection, Counters, Index, Namespace};
use crate::documents;
use crate::error::{CommandError, CommandResult, Error};
use crate::store::{Store, Writes};

/// Documents written in one batch by [`restore`].
const BATCH: usize = 1_000;

/// How much was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Collections and views.
    pub collections: usize,
    /// Documents.
    pub documents: u64,
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    move |source| Error::Directory { path: path.to_owned(), source }
}

fn storage_error(error: CommandError) -> Error {
    Error::Storage(error.message)
}

/// A collection's name as a file name: what a path cannot hold is escaped by percent and hexadecimal digits.
fn file_name(collection: &str) -> String {
    const ESCAPED: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
        .add(b'/')
        .add(b'\\')
        .add(b'%')
        .add(b':')
        .add(b'*')
        .add(b'?')
        .add(b'"')
        .add(b'<')
        .add(b'>')
        .add(b'|');
    percent_encoding::utf8_percent_encode(collection, ESCAPED).to_string()
}

/// Writes everything in a data directory that nobody has open to `target`, which is made if missing.
///
/// Errors: as [`crate::open`]; [`Error::Directory`] for the target; [`Error::Storage`] for a document that cannot be
/// read.
pub fn dump(directory: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<Moved, Error> {
    let store = Store::open_existing(directory.as_ref())?;
    let transaction = store.read();
    let mut moved = Moved::default();
    for collection in transaction.catalog().iter() {
        let folder = target.as_ref().join(&collection.namespace.database);
        fs::create_dir_all(&folder).map_err(file_error(&folder))?;
        let base = file_name(&collection.namespace.collection);
        let path = folder.join(format!("{base}.metadata.json"));
        fs::write(&path, metadata(collection)).map_err(file_error(&path))?;
        moved.collections += 1;
        if collection.view.is_some() {
            continue;
        }
        let path = folder.join(format!("{base}.bson"));
        let mut file = BufWriter::new(File::create(&path).map_err(file_error(&path))?);
        for pair in transaction.view().records(collection, None, false) {
            let (_, stored) = pair.map_err(storage_error)?;
            bytes::check(&stored).map_err(storage_error)?;
            file.write_all(&stored).map_err(file_error(&path))?;
            moved.documents += 1;
        }
        file.flush().map_err(file_error(&path))?;
    }
    Ok(moved)
}

fn metadata(collection: &Collection) -> String {
    let indexes: Vec<Bson> =
        collection.indexes.iter().map(|index| Bson::Document(index.specification.clone())).collect();
    let uuid: String = collection.uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    let whole = doc! {
        "options": collection.options.clone(),
        "indexes": indexes,
        "uuid": uuid,
        "collectionName": &collection.namespace.collection,
        "type": if collection.view.is_some() { "view" } else { "collection" },
    };
    Bson::Document(whole).into_canonical_extjson().to_string()
}

/// Reads what [`dump`] or `mongodump` wrote into a data directory (made if missing) that nobody has open. Collections
/// that exist already are refused, before anything is written.
///
/// Errors: as [`crate::open`]; [`Error::Damaged`] for a file that is not what `mongodump` writes.
pub fn restore(source: impl AsRef<Path>, directory: impl AsRef<Path>) -> Result<Moved, Error> {
    let directory = directory.as_ref();
    fs::create_dir_all(directory).map_err(file_error(directory))?;
    let store = Store::open(directory, 64 * 1024 * 1024, crate::store::LOG_BYTES)?;
    let found = find_collections(source.as_ref())?;
    let catalog = Arc::clone(store.read().catalog());
    for part in &found {
        if catalog.get(&part.namespace).is_some() {
            return Err(Error::Storage(format!("{} exists already; restore into an empty directory", part.namespace)));
        }
    }
    let mut moved = Moved::default();
    for part in found {
        moved.documents += part.restore(&store)?;
        moved.collections += 1;
    }
    store.storage().close().map_err(storage_error)?;
    Ok(moved)
}

struct Part {
    namespace: Namespace,
    documents: Option<PathBuf>,
    options: Document,
    indexes: Vec<Document>,
}

fn find_collections(source: &Path) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    for database in fs::read_dir(source).map_err(file_error(source))? {
        let database = database.map_err(file_error(source))?;
        let folder = database.path();
        if !folder.is_dir() {
            continue;
        }
        let database = database.file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = Vec::new();
        for file in fs::read_dir(&folder).map_err(file_error(&folder))? {
            let name = file.map_err(file_error(&folder))?.file_name().to_string_lossy().into_owned();
            if let Some(base) = name.strip_suffix(".metadata.json").or_else(|| name.strip_suffix(".bson")) {
                names.push(base.to_owned());
            }
        }
        names.sort();
        names.dedup();
        for base in names {
            parts.push(read_part(&folder, &database, &base)?);
        }
    }
    // Views last: what they show is there by then.
    parts.sort_by_key(|part| part.options.contains_key("viewOn"));
    Ok(parts)
}

fn read_part(folder: &Path, database: &str, base: &str) -> Result<Part, Error> {
    let path = folder.join(format!("{base}.metadata.json"));
    let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
    let metadata = match fs::read(&path) {
        Ok(text) => {
            let json: serde_json::Value = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
            match Bson::try_from(json) {
                Ok(Bson::Document(metadata)) => metadata,
                Ok(_) => return Err(damaged("no document".to_owned())),
                Err(error) => return Err(damaged(error.to_string())),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Document::new(),
        Err(error) => return Err(file_error(&path)(error)),
    };
    let decoded = percent_encoding::percent_decode_str(base).decode_utf8_lossy().into_owned();
    let name = metadata.get_str("collectionName").map_or(decoded, str::to_owned);
    let namespace = Namespace::new(database, &name).map_err(|error| damaged(error.message))?;
    let documents = Some(folder.join(format!("{base}.bson"))).filter(|path| path.exists());
    let indexes = metadata
        .get_array("indexes")
        .map(|indexes| indexes.iter().filter_map(Bson::as_document).cloned().collect())
        .unwrap_or_default();
    let options = metadata.get_document("options").cloned().unwrap_or_default();
    Ok(Part { namespace, documents, options, indexes })
}

impl Part {
    fn restore(&self, store: &Arc<Store>) -> Result<u64, Error> {
        let mut writes = Writes::auto(store);
        let is_view = self.options.contains_key("viewOn");
        writes
            .statement(|writer| {
                let mut indexes = Vec::new();
                if !is_view {
                    let collation = self.options.get_document("collation").ok();
                    let id = Index::id_specification(collation);
                    indexes.push(Arc::new(Index::build(writer.next_index_id(), id, Arc::default())?));
                    for specification in
                        self.indexes.iter().filter(|index| !index.get_str("name").is_ok_and(|name| name == "_id_"))
                    {
                        let index = Index::build(writer.next_index_id(), specification.clone(), Arc::default())?;
                        indexes.push(Arc::new(index));
                    }
                }
                let counters = Counters::default();
                counters.next_record.store(1, std::sync::atomic::Ordering::Release);
                let collection = Collection::build(
                    writer.next_collection_id(),
                    self.namespace.clone(),
                    crate::random_uuid(),
                    self.options.clone(),
                    indexes,
                    Arc::new(counters),
                )?;
                writer.put_collection(collection).map(drop)
            })
            .map_err(storage_error)?;
        writes.finish(false).map_err(storage_error)?;
        let Some(path) = &self.documents else { return Ok(0) };
        let mut file = BufReader::new(File::open(path).map_err(file_error(path))?);
        let mut count = 0;
        loop {
            let mut batch = Vec::new();
            while batch.len() < BATCH {
                match next_document(&mut file, path)? {
                    Some(document) => batch.push(document),
                    None => break,
                }
            }
            if batch.is_empty() {
                return Ok(count);
            }
            count += batch.len() as u64;
            self.insert(store, &batch).map_err(storage_error)?;
        }
    }

    fn insert(&self, store: &Arc<Store>, batch: &[Vec<u8>]) -> CommandResult<()> {
        let mut writes = Writes::auto(store);
        writes.statement(|writer| {
            let Some(collection) = writer.transaction().collection(&self.namespace) else {
                return Err(CommandError::internal("the collection just made is gone"));
            };
            for document in batch {
                let stored = documents::prepare_insert(bytes::to_raw(document)?, None)?;
                documents::insert(writer, &collection, stored, true)?;
            }
            Ok(())
        })?;
        writes.finish(false)
    }
}

fn next_document(file: &mut impl Read, path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let damaged = |reason: &str| Error::Damaged { path: path.to_owned(), reason: reason.to_owned() };
    let mut length = [0; 4];
    let mut have = 0;
    while have < 4 {
        match file.read(&mut length[have..]).map_err(file_error(path))? {
            0 if have == 0 => return Ok(None),
            0 => return Err(damaged("it ends inside a document")),
            more => have += more,
        }
    }
    let size = usize::try_from(i32::from_le_bytes(length)).unwrap_or(0);
    if !(5..=DOCUMENT_BYTES_MAX + 16 * 1024).contains(&size) {
        return Err(damaged("a document's length is wrong"));
    }
    let mut document = vec![0; size];
    document[..4].copy_from_slice(&length);
    file.read_exact(&mut document[4..]).map_err(|_| damaged("it ends inside a document"))?;
    bytes::check(&document).map_err(|error| damaged(&error.message))?;
    Ok(Some(document))
}
