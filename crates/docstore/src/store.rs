//! Transactions over the storage engine: snapshots, private writes, conflicts, commits.
//!
//! Every write goes through a [`Writer`], which exists only while its thread holds the one writer lock. A command of its
//! own ([`Writes::auto`]) commits when it finishes; a statement of a multi-document transaction adds to the transaction's
//! private writes and locks the keys it wrote until commit or abort.
//!
//! Invariants: a key locked by an open transaction is changed by nobody else; a multi-document transaction never
//! overwrites a key that was committed after its snapshot; a batch is either wholly visible or not at all.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bson::Document;
use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

use crate::catalog::{Catalog, Collection, Index, Namespace};
use crate::changes::{self, Change, Entry, Origin};
use crate::error::{CommandError, CommandResult, Error, code};
use crate::storage::{self, Expected, Scan as EngineScan, Slice, Snapshot, Space, Storage};

type Key = (Space, Slice);
type Overlay = BTreeMap<Key, Option<Slice>>;

/// First bytes of the keys of the meta space.
mod prefix {
    pub const COLLECTION: u8 = b'c';
    pub const NAME: u8 = b'n';
    pub const COUNTERS: u8 = b's';
    pub const RETRYABLE: u8 = b'r';
    pub const IDS: &[u8] = b"#ids";
}

/// Bytes the log of changes may take where nobody says otherwise.
pub const LOG_BYTES: u64 = 128 * 1024 * 1024;
/// Bytes of changes kept in memory before the first change stream.
const BACKLOG_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a write waits for an open transaction that holds what it wants to change.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(70);

/// The store: engine, catalog, open transactions.
pub struct Store {
    storage: Storage,
    published: RwLock<Published>,
    state: Mutex<State>,
    /// Notified when a transaction ends.
    ended: Condvar,
    garbage: Mutex<Garbage>,
    garbage_added: Condvar,
    last_time: AtomicU64,
    /// What becomes of changes.
    log_state: AtomicU8,
    progress: Mutex<Progress>,
    progressed: Condvar,
}

/// What a waiting cursor goes by; see [`Store::wait`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Number of the last batch.
    sequence: u64,
    /// How often waiting cursors were woken for another reason.
    wakes: u64,
}

/// The log of changes behind some time, as it was at one moment.
pub struct LogScan {
    scan: EngineScan,
    /// Everything up to this time is in it.
    pub head: u64,
    /// Key of its last entry.
    pub last: u64,
}

struct Published {
    catalog: Arc<Catalog>,
    sequence: u64,
    /// The log's end.
    log: LogEnd,
}

/// The log's end.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogEnd {
    /// Key of the last entry.
    pub key: u64,
    /// Cluster time of the last change.
    pub time: u64,
}

/// What becomes of changes: none are kept; the latest are kept in memory, as long as no change stream was ever opened
/// here, which spares everybody else half of what is written; they go to the log.
mod log_state {
    pub const OFF: u8 = 0;
    pub const WAITING: u8 = 1;
    pub const ON: u8 = 2;
}

/// Changes from before the first change stream.
#[derive(Default)]
struct Backlog {
    /// Everything behind this key is here.
    from: u64,
    batches: VecDeque<Batch>,
    bytes: usize,
}

/// The changes of one batch.
struct Batch {
    key: u64,
    changes: Vec<Change>,
    wall: bson::DateTime,
    origin: Origin,
    bytes: usize,
}

impl Backlog {
    fn push(&mut self, batch: Batch) {
        self.bytes += batch.bytes;
        self.batches.push_back(batch);
        while self.bytes > BACKLOG_BYTES_MAX
            && let Some(oldest) = self.batches.pop_front()
        {
            self.bytes -= oldest.bytes;
            self.from = oldest.key;
        }
    }
}

/// What is behind the writer lock.
struct State {
    sequence: u64,
    backlog: Backlog,
    next_collection: u32,
    next_index: u32,
    next_owner: u64,
    /// Keys written by open multi-document transactions.
    locks: HashMap<Key, u64>,
    /// Keys committed while multi-document transactions were open, and the number of the batch.
    recent: HashMap<Key, u64>,
    open: HashMap<u64, HashSet<u32>>,
}

#[derive(Default)]
struct Garbage {
    collections: Vec<u32>,
    indexes: Vec<u32>,
    stopped: bool,
}

/// A view of the store at one moment, with changes of its own.
pub struct Transaction {
    view: View,
    catalog: Arc<Catalog>,
    sequence: u64,
    /// 0: a statement that commits by itself.
    owner: u64,
    /// What the current statement replaced, newest last.
    undo: Vec<(Key, Option<Option<Slice>>)>,
    deltas: HashMap<u32, Delta>,
    edits: Vec<Edit>,
    /// For the log, in order.
    changes: Vec<Change>,
    origin: Origin,
}

#[derive(Clone, Default)]
struct Delta {
    documents: i64,
    bytes: i64,
    flags: HashMap<u32, u8>,
}

#[derive(Clone)]
enum Edit {
    Put(Arc<Collection>),
    Remove(Arc<Collection>),
    DropIndex(u32),
}

/// What a transaction sees at one moment; later writes of the transaction do not show in it. Cheap to clone. Drop it
/// before the transaction writes on, or the transaction's private writes are copied.
#[derive(Clone)]
pub struct View {
    store: Arc<Store>,
    snapshot: Snapshot,
    overlay: Arc<Overlay>,
}

/// A transaction together with the writer lock.
pub struct Writer<'a> {
    transaction: &'a mut Transaction,
    state: &'a mut State,
}

impl Store {
    /// Opens the store of a directory.
    /// `log_bytes`: what the log of changes may take; 0: none is kept.
    pub fn open(directory: &std::path::Path, cache_bytes: u64, log_bytes: u64) -> Result<Arc<Self>, Error> {
        let (storage, sequence) = Storage::open(directory, cache_bytes, log_bytes.max(1))?;
        let damaged = |reason: String| Error::Damaged { path: directory.to_owned(), reason };
        let snapshot = storage.snapshot();
        let mut catalog = Catalog::default();
        let mut next_collection = 1;
        let mut next_index = 1;
        if let Some(bytes) = storage.get(&snapshot, Space::Meta, prefix::IDS).map_err(|error| damaged(error.message))? {
            let word = |from: usize| bytes.get(from..from + 4).and_then(|word| <[u8; 4]>::try_from(word).ok());
            next_collection = word(0).map_or(1, u32::from_be_bytes);
            next_index = word(4).map_or(1, u32::from_be_bytes);
        }
        let range = (Bound::Included(&[prefix::COLLECTION][..]), Bound::Excluded(&[prefix::COLLECTION + 1][..]));
        for pair in storage.scan(&snapshot, Space::Meta, range, false) {
            let (_, value) = pair.map_err(|error| damaged(error.message))?;
            let stored = crate::bytes::to_document(&value).map_err(|error| damaged(format!("catalog: {error}")))?;
            let collection =
                Collection::from_document(&stored).map_err(|error| damaged(format!("catalog: {error}")))?;
            let counters = storage
                .get(&snapshot, Space::Meta, &meta_key(prefix::COUNTERS, collection.id))
                .map_err(|error| damaged(error.message))?;
            if let Some(counters) = counters {
                read_counters(&collection, &counters);
            }
            let (from, to) = record_range(collection.id);
            let range = (Bound::Included(from.as_slice()), Bound::Excluded(to.as_slice()));
            let last = storage.scan(&snapshot, Space::Records, range, true).next().transpose();
            let last = last.map_err(|error| damaged(error.message))?.and_then(|(key, _)| record_id(&key));
            collection.counters.next_record.store(last.unwrap_or(0) + 1, Ordering::Release);
            next_collection = next_collection.max(collection.id + 1);
            for index in &collection.indexes {
                next_index = next_index.max(index.id + 1);
            }
            catalog.put(Arc::new(collection));
        }
        let garbage = find_garbage(&storage, &snapshot, &catalog).map_err(|error| damaged(error.message))?;
        let log = log_end(&storage, &snapshot).map_err(|error| damaged(error.message))?;
        drop(snapshot);
        let store = Arc::new(Self {
            storage,
            published: RwLock::new(Published { catalog: Arc::new(catalog), sequence, log: log.unwrap_or_default() }),
            state: Mutex::new(State {
                sequence,
                backlog: Backlog::default(),
                next_collection,
                next_index,
                next_owner: 1,
                locks: HashMap::new(),
                recent: HashMap::new(),
                open: HashMap::new(),
            }),
            ended: Condvar::new(),
            garbage: Mutex::new(garbage),
            garbage_added: Condvar::new(),
            // Times only grow, whatever the system's clock does between two starts.
            last_time: AtomicU64::new(log.unwrap_or_default().time),
            log_state: AtomicU8::new(match log {
                _ if log_bytes == 0 => log_state::OFF,
                None => log_state::WAITING,
                Some(_) => log_state::ON,
            }),
            progress: Mutex::new(Progress { sequence, wakes: 0 }),
            progressed: Condvar::new(),
        });
        if log.is_none() {
            // What came before is nowhere.
            let from = store.reserve_times(1);
            store.state.lock().backlog.from = from;
            store.published.write().log = LogEnd { key: from, time: from };
        }
        Ok(store)
    }

    /// Has changes logged from now on, if they are not yet, and those that are still in memory. For the first change
    /// stream of a directory.
    pub fn begin_log(&self) -> CommandResult<()> {
        if self.log_state.load(Ordering::Acquire) != log_state::WAITING {
            return Ok(());
        }
        let mut state = self.state.lock();
        if self.log_state.load(Ordering::Acquire) != log_state::WAITING {
            return Ok(());
        }
        let backlog = std::mem::take(&mut state.backlog);
        let entry = |key: u64, entry: Vec<u8>| (Space::Log, Slice::from(key.to_be_bytes()), Some(Slice::from(entry)));
        // An entry without changes: behind its time nothing is missing.
        let mut entries = vec![entry(backlog.from, changes::encode(&[], 0, bson::DateTime::now(), &None))];
        let mut previous = backlog.from;
        for batch in &backlog.batches {
            entries.push(entry(batch.key, changes::encode(&batch.changes, previous, batch.wall, &batch.origin)));
            previous = batch.key;
        }
        let sequence = state.sequence + 1;
        let mut published = self.published.write();
        self.storage.apply(sequence, entries.into_iter())?;
        state.sequence = sequence;
        published.sequence = sequence;
        self.log_state.store(log_state::ON, Ordering::Release);
        Ok(())
    }

    /// Can there be change streams?
    pub fn logs_changes(&self) -> bool {
        self.log_state.load(Ordering::Acquire) != log_state::OFF
    }

    /// Where the log ends now.
    pub fn log_end(&self) -> LogEnd {
        self.published.read().log
    }

    /// The log's entries with keys behind `after`; all of them are on disk. `None`: there are none.
    pub fn log_after(&self, after: u64) -> CommandResult<Option<LogScan>> {
        let (snapshot, end, sequence) = {
            let published = self.published.read();
            if published.log.key <= after {
                return Ok(None);
            }
            (self.storage.snapshot(), published.log, published.sequence)
        };
        // What a client was told of must not be gone after a crash.
        self.storage.sync(sequence)?;
        let key = after.to_be_bytes();
        let range = (Bound::Excluded(&key[..]), Bound::Unbounded);
        let scan = self.storage.scan(&snapshot, Space::Log, range, false);
        Ok(Some(LogScan { scan, head: end.time, last: end.key }))
    }

    /// The last entry whose key is not behind `time`, and that key.
    pub fn log_entry_at(&self, time: u64) -> CommandResult<Option<(u64, Entry)>> {
        let snapshot = self.storage.snapshot();
        let key = time.to_be_bytes();
        let range = (Bound::Unbounded, Bound::Included(&key[..]));
        match self.storage.scan(&snapshot, Space::Log, range, true).next().transpose()? {
            Some((key, value)) => Ok(Some((log_key_time(&key), Entry::new(value)?))),
            None => Ok(None),
        }
    }

    /// Where the store stands, for [`Store::wait`].
    pub fn progress(&self) -> Progress {
        *self.progress.lock()
    }

    /// Returns when something was committed after `seen`, when [`Store::wake`] was called after it, or then.
    pub fn wait(&self, seen: Progress, deadline: Instant) {
        let mut progress = self.progress.lock();
        while *progress == seen {
            if self.progressed.wait_until(&mut progress, deadline).timed_out() {
                return;
            }
        }
    }

    /// Lets waiting cursors look around: they may have been closed, or the server is shutting down.
    pub fn wake(&self) {
        self.progress.lock().wakes += 1;
        self.progressed.notify_all();
    }

    /// Opens the store of a directory that must exist already.
    pub fn open_existing(directory: &std::path::Path) -> Result<Arc<Self>, Error> {
        let path = directory.to_owned();
        let source = match directory.join(crate::storage::FORMAT_FILE).metadata() {
            Ok(_) => return Self::open(directory, 64 * 1024 * 1024, LOG_BYTES),
            Err(source) => source,
        };
        Err(Error::Directory { path, source })
    }

    /// Makes every write so far durable.
    pub fn sync_all(&self) -> CommandResult<()> {
        let sequence = self.published.read().sequence;
        self.storage.sync(sequence)
    }

    /// A view of the present state.
    pub fn read(self: &Arc<Self>) -> Transaction {
        self.read_as(0)
    }

    fn read_as(self: &Arc<Self>, owner: u64) -> Transaction {
        let published = self.published.read();
        Transaction {
            view: View { store: Arc::clone(self), snapshot: self.storage.snapshot(), overlay: Arc::default() },
            catalog: Arc::clone(&published.catalog),
            sequence: published.sequence,
            owner,
            undo: Vec::new(),
            deltas: HashMap::new(),
            edits: Vec::new(),
            changes: Vec::new(),
            origin: None,
        }
    }

    /// Begins a multi-document transaction on the present state.
    pub fn begin(self: &Arc<Self>) -> Transaction {
        let mut state = self.state.lock();
        let owner = state.next_owner;
        state.next_owner += 1;
        state.open.insert(owner, HashSet::new());
        self.read_as(owner)
    }

    /// Commits a multi-document transaction; durable on return.
    pub fn commit(&self, mut transaction: Transaction) -> CommandResult<()> {
        let expected = self.storage.expect_writer();
        let mut state = self.state.lock();
        let outcome = self.apply(&mut state, &mut transaction);
        self.release(&mut state, transaction.owner);
        drop(state);
        drop(expected);
        let sequence = outcome?;
        // Set so that dropping the transaction does not release it again.
        transaction.owner = 0;
        self.storage.sync(sequence)
    }

    fn release(&self, state: &mut State, owner: u64) {
        state.open.remove(&owner);
        state.locks.retain(|_, holder| *holder != owner);
        if state.open.is_empty() {
            state.recent.clear();
        }
        self.ended.notify_all();
    }

    /// Writes a transaction's changes as one batch and publishes the state after it. Returns the batch's number.
    fn apply(&self, state: &mut State, transaction: &mut Transaction) -> CommandResult<u64> {
        transaction.undo.clear();
        if transaction.view.overlay.is_empty() && transaction.edits.is_empty() {
            return Ok(0);
        }
        let sequence = state.sequence + 1;
        let mut catalog = None;
        if !transaction.edits.is_empty() {
            let mut changed = Catalog::clone(&self.published.read().catalog);
            for edit in &transaction.edits {
                match edit {
                    Edit::Put(collection) => changed.put(Arc::clone(collection)),
                    Edit::Remove(collection) => drop(changed.remove(&collection.namespace)),
                    Edit::DropIndex(_) => {}
                }
            }
            catalog = Some(Arc::new(changed));
        }
        let known: HashMap<u32, Arc<Collection>> = {
            let published = self.published.read();
            let catalog = catalog.as_ref().unwrap_or(&published.catalog);
            if transaction.deltas.is_empty() {
                HashMap::new()
            } else {
                catalog
                    .iter()
                    .filter(|collection| transaction.deltas.contains_key(&collection.id))
                    .map(|collection| (collection.id, Arc::clone(collection)))
                    .collect()
            }
        };
        let counters: Vec<storage::Change> = transaction
            .deltas
            .iter()
            .filter_map(|(id, delta)| {
                let collection = known.get(id)?;
                let key = Slice::from(meta_key(prefix::COUNTERS, *id));
                Some((Space::Meta, key, Some(write_counters(collection, delta).into())))
            })
            .collect();
        if !state.open.is_empty() {
            for key in transaction.view.overlay.keys() {
                state.recent.insert(key.clone(), sequence);
            }
        }
        let overlay = std::mem::take(&mut transaction.view.overlay);
        let changes = match Arc::try_unwrap(overlay) {
            Ok(overlay) => overlay.into_iter().map(|((space, key), value)| (space, key, value)).collect::<Vec<_>>(),
            Err(shared) => {
                shared.iter().map(|((space, key), value)| (*space, key.clone(), value.clone())).collect::<Vec<_>>()
            }
        };
        let ids = [state.next_collection.to_be_bytes(), state.next_index.to_be_bytes()].concat();
        let ids = catalog.is_some().then(|| (Space::Meta, Slice::from(prefix::IDS), Some(Slice::from(ids))));
        let logged = std::mem::take(&mut transaction.changes);
        let mut log = None;
        let mut kept = None;
        let mut entry = None;
        if !logged.is_empty() {
            let count = if transaction.origin.is_some() { 1 } else { logged.len() as u64 };
            let key = self.reserve_times(count);
            let previous = self.published.read().log.key;
            log = Some(LogEnd { key, time: key + count - 1 });
            let (wall, origin) = (bson::DateTime::now(), transaction.origin.take());
            if self.log_state.load(Ordering::Acquire) == log_state::ON {
                let bytes = changes::encode(&logged, previous, wall, &origin);
                entry = Some((Space::Log, Slice::from(key.to_be_bytes()), Some(Slice::from(bytes))));
            } else {
                let bytes = logged.iter().map(Change::size).sum();
                kept = Some(Batch { key, changes: logged, wall, origin, bytes });
            }
        }
        let mut published = self.published.write();
        self.storage.apply(sequence, changes.into_iter().chain(counters).chain(ids).chain(entry))?;
        state.sequence = sequence;
        published.sequence = sequence;
        published.log = log.unwrap_or(published.log);
        if let Some(batch) = kept {
            state.backlog.push(batch);
        }
        if let Some(catalog) = catalog {
            published.catalog = catalog;
        }
        for (id, delta) in &transaction.deltas {
            if let Some(collection) = known.get(id) {
                collection.counters.documents.fetch_add(delta.documents, Ordering::AcqRel);
                collection.counters.bytes.fetch_add(delta.bytes, Ordering::AcqRel);
            }
        }
        drop(published);
        self.progress.lock().sequence = sequence;
        self.progressed.notify_all();
        let mut garbage = self.garbage.lock();
        for edit in transaction.edits.drain(..) {
            match edit {
                Edit::Remove(collection) if !known_elsewhere(self, collection.id) => {
                    garbage.indexes.extend(collection.indexes.iter().map(|index| index.id));
                    garbage.collections.push(collection.id);
                }
                Edit::DropIndex(id) => garbage.indexes.push(id),
                _ => {}
            }
        }
        if !garbage.collections.is_empty() || !garbage.indexes.is_empty() {
            self.garbage_added.notify_all();
        }
        Ok(sequence)
    }

    /// Collects what dropped collections and indexes left, until [`Store::stop`]. For a thread of its own.
    pub fn collect_garbage(self: &Arc<Self>) {
        loop {
            let mut garbage = self.garbage.lock();
            while garbage.collections.is_empty() && garbage.indexes.is_empty() && !garbage.stopped {
                self.garbage_added.wait(&mut garbage);
            }
            if garbage.stopped {
                return;
            }
            let collections = std::mem::take(&mut garbage.collections);
            let indexes = std::mem::take(&mut garbage.indexes);
            drop(garbage);
            let ranges = collections
                .iter()
                .map(|id| (Space::Records, id_range(*id)))
                .chain(indexes.iter().map(|id| (Space::Index, id_range(*id))));
            for (space, (from, to)) in ranges {
                if let Err(error) = self.remove_range(space, &from, &to) {
                    tracing::warn!(%error, "cannot remove what a dropped collection left; the next start tries again");
                    return;
                }
            }
        }
    }

    fn remove_range(self: &Arc<Self>, space: Space, from: &[u8], to: &[u8]) -> CommandResult<()> {
        const CHUNK: usize = 2_000;
        loop {
            if self.garbage.lock().stopped {
                return Ok(());
            }
            let snapshot = self.storage.snapshot();
            let range = (Bound::Included(from), Bound::Excluded(to));
            let keys = self.storage.scan(&snapshot, space, range, false).take(CHUNK);
            let keys = keys.map(|pair| pair.map(|(key, _)| key)).collect::<CommandResult<Vec<_>>>()?;
            if keys.is_empty() {
                return Ok(());
            }
            let mut state = self.state.lock();
            let sequence = state.sequence + 1;
            // The number every snapshot is compared by moves with each batch.
            let mut published = self.published.write();
            self.storage.apply(sequence, keys.into_iter().map(|key| (space, key, None)))?;
            state.sequence = sequence;
            published.sequence = sequence;
        }
    }

    /// Ends [`Store::collect_garbage`].
    pub fn stop(&self) {
        self.garbage.lock().stopped = true;
        self.garbage_added.notify_all();
        self.wake();
    }

    /// The engine.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// A cluster time: seconds and a counter, never the same twice.
    pub fn next_time(&self) -> bson::Timestamp {
        timestamp(self.reserve_times(1))
    }

    /// So many cluster times in a row; the first of them, as a number.
    fn reserve_times(&self, count: u64) -> u64 {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs())
            .min(u64::from(u32::MAX))
            << 32;
        let previous = self
            .last_time
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some((last + 1).max(now | 1) + (count - 1)))
            .unwrap_or(0);
        (previous + 1).max(now | 1)
    }

    /// The last time given out, or a new one.
    pub fn current_time(&self) -> bson::Timestamp {
        match self.last_time.load(Ordering::Acquire) {
            0 => self.next_time(),
            time => timestamp(time),
        }
    }
}

/// A cluster time as BSON has it.
pub fn timestamp(time: u64) -> bson::Timestamp {
    bson::Timestamp { time: (time >> 32) as u32, increment: time as u32 }
}

impl Iterator for LogScan {
    type Item = CommandResult<(u64, Entry)>;

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.scan.next()?;
        Some(pair.and_then(|(key, value)| Ok((log_key_time(&key), Entry::new(value)?))))
    }
}

fn log_key_time(key: &[u8]) -> u64 {
    <[u8; 8]>::try_from(key).map_or(u64::MAX, u64::from_be_bytes)
}

fn known_elsewhere(store: &Store, id: u32) -> bool {
    store.published.read().catalog.iter().any(|collection| collection.id == id)
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.owner != 0 {
            let store = Arc::clone(&self.view.store);
            let mut state = store.state.lock();
            store.release(&mut state, self.owner);
        }
    }
}

impl Transaction {
    /// What exists, as this transaction sees it.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The collection of this name, as this transaction sees it.
    pub fn collection(&self, namespace: &Namespace) -> Option<Arc<Collection>> {
        self.catalog.get(namespace).map(Arc::clone)
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.view.store
    }

    /// What the transaction sees now.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Says which session's transaction it is, for the log.
    pub fn set_origin(&mut self, session: &[u8], number: i64) {
        self.origin = Some((session.to_vec(), number));
    }

    /// Takes back what the statement wrote after this many changes.
    fn undo_to(&mut self, mark: usize) {
        let overlay = Arc::make_mut(&mut self.view.overlay);
        for (key, previous) in self.undo.drain(mark..).rev() {
            match previous {
                Some(previous) => drop(overlay.insert(key, previous)),
                None => drop(overlay.remove(&key)),
            }
        }
    }

    /// Committed documents and their bytes, with the transaction's own changes.
    pub fn counts(&self, collection: &Collection) -> (i64, i64) {
        let delta = self.deltas.get(&collection.id);
        (
            collection.counters.documents.load(Ordering::Acquire) + delta.map_or(0, |delta| delta.documents),
            collection.counters.bytes.load(Ordering::Acquire) + delta.map_or(0, |delta| delta.bytes),
        )
    }
}

impl View {
    /// A key's value.
    pub fn get(&self, space: Space, key: &[u8]) -> CommandResult<Option<Slice>> {
        if !self.overlay.is_empty()
            && let Some(value) = self.overlay.get(&(space, Slice::from(key)))
        {
            return Ok(value.clone());
        }
        self.store.storage.get(&self.snapshot, space, key)
    }

    /// The pairs between two bounds, as they are now; later writes of this transaction do not show.
    pub fn scan(&self, space: Space, from: Bound<Vec<u8>>, to: Bound<Vec<u8>>, reverse: bool) -> Scan {
        let range = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
        let empty = match (&from, &to) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
            _ => false,
        };
        let base = (!empty).then(|| self.store.storage.scan(&self.snapshot, space, range, reverse));
        let overlay = (!empty && !self.overlay.is_empty()).then(|| OverlayScan {
            overlay: Arc::clone(&self.overlay),
            space,
            from,
            to,
            reverse,
        });
        Scan { base, base_next: None, overlay, reverse }
    }

    /// The stored document of a record.
    pub fn record(&self, collection: &Collection, record: u64) -> CommandResult<Option<Slice>> {
        self.get(Space::Records, &record_key(collection.id, record))
    }

    /// Record ids and documents in natural order (or its reverse), from behind a record on if one is given.
    pub fn records(&self, collection: &Collection, after: Option<u64>, reverse: bool) -> Scan {
        let (first, end) = record_range(collection.id);
        let (mut from, mut to) = (Bound::Included(first), Bound::Excluded(end));
        if let Some(after) = after {
            let key = record_key(collection.id, after);
            if reverse {
                to = Bound::Excluded(key);
            } else {
                from = Bound::Excluded(key);
            }
        }
        self.scan(Space::Records, from, to, reverse)
    }

    /// The retryable-write record of a session.
    pub fn retryable(&self, session: &[u8]) -> CommandResult<Option<Slice>> {
        self.get(Space::Meta, &retryable_key(session))
    }
}

/// Pairs of a range: the snapshot's under the transaction's own.
pub struct Scan {
    base: Option<EngineScan>,
    base_next: Option<(Slice, Slice)>,
    overlay: Option<OverlayScan>,
    reverse: bool,
}

struct OverlayScan {
    overlay: Arc<Overlay>,
    space: Space,
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
    reverse: bool,
}

impl OverlayScan {
    fn peek(&self) -> Option<(&[u8], &Option<Slice>)> {
        let lower = match &self.from {
            Bound::Included(key) => Bound::Included((self.space, Slice::from(key))),
            Bound::Excluded(key) => Bound::Excluded((self.space, Slice::from(key))),
            Bound::Unbounded => Bound::Included((self.space, Slice::from([]))),
        };
        let upper = match &self.to {
            Bound::Included(key) => Bound::Included((self.space, Slice::from(key))),
            Bound::Excluded(key) => Bound::Excluded((self.space, Slice::from(key))),
            Bound::Unbounded => Bound::Unbounded,
        };
        // A range whose ends meet panics when both are excluded.
        if let (Bound::Excluded(from), Bound::Excluded(to) | Bound::Included(to))
        | (Bound::Included(from), Bound::Excluded(to)) = (&lower, &upper)
            && from >= to
        {
            return None;
        }
        if let (Bound::Included(from), Bound::Included(to)) = (&lower, &upper)
            && from > to
        {
            return None;
        }
        let mut range = self.overlay.range((lower, upper));
        let ((space, key), value) = if self.reverse { range.next_back() } else { range.next() }?;
        (*space == self.space).then_some((key.as_ref(), value))
    }

    fn advance(&mut self, past: Vec<u8>) {
        if self.reverse {
            self.to = Bound::Excluded(past);
        } else {
            self.from = Bound::Excluded(past);
        }
    }
}

impl Iterator for Scan {
    type Item = CommandResult<(Slice, Slice)>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(overlay) = &mut self.overlay else {
            return self.base.as_mut()?.next();
        };
        loop {
            if self.base_next.is_none() {
                match self.base.as_mut().and_then(Iterator::next) {
                    Some(Ok(pair)) => self.base_next = Some(pair),
                    Some(Err(error)) => return Some(Err(error)),
                    None => self.base = None,
                }
            }
            let Some((key, value)) = overlay.peek() else {
                return self.base_next.take().map(Ok);
            };
            if let Some((base_key, _)) = &self.base_next {
                let order = base_key.as_ref().cmp(key);
                let base_first = if self.reverse { order.is_gt() } else { order.is_lt() };
                if base_first {
                    return self.base_next.take().map(Ok);
                }
                if order.is_eq() {
                    self.base_next = None;
                }
            }
            let pair = value.as_ref().map(|value| (Slice::from(key), value.clone()));
            let key = key.to_vec();
            overlay.advance(key);
            if let Some(pair) = pair {
                return Some(Ok(pair));
            }
        }
    }
}

impl Writer<'_> {
    /// The transaction, for reading.
    pub fn transaction(&self) -> &Transaction {
        self.transaction
    }

    /// What the transaction sees now.
    pub fn view(&self) -> &View {
        &self.transaction.view
    }

    /// Sets or removes a key.
    ///
    /// Errors: `WriteConflict` (112) if an open transaction holds the key, or, inside a multi-document transaction, if
    /// the key changed after the transaction's snapshot.
    pub fn put(&mut self, space: Space, key: Vec<u8>, value: Option<Slice>) -> CommandResult<()> {
        let key = (space, Slice::from(key));
        let owner = self.transaction.owner;
        match self.state.locks.get(&key) {
            Some(holder) if *holder != owner => return Err(CommandError::write_conflict()),
            _ => {}
        }
        if owner != 0 {
            if self.state.recent.get(&key).is_some_and(|sequence| *sequence > self.transaction.sequence) {
                return Err(CommandError::write_conflict());
            }
            self.state.locks.insert(key.clone(), owner);
        }
        let overlay = Arc::make_mut(&mut self.transaction.view.overlay);
        let previous = overlay.insert(key.clone(), value);
        self.transaction.undo.push((key, previous));
        Ok(())
    }

    /// Runs a part of a statement whose writes go if it fails, while those before it stay.
    pub fn attempt<T>(&mut self, run: impl FnOnce(&mut Writer<'_>) -> CommandResult<T>) -> CommandResult<T> {
        let mark = self.transaction.undo.len();
        let logged = self.transaction.changes.len();
        let deltas = self.transaction.deltas.clone();
        let outcome = run(self);
        if outcome.is_err() {
            self.transaction.undo_to(mark);
            self.transaction.changes.truncate(logged);
            self.transaction.deltas = deltas;
        }
        outcome
    }

    /// Notes a change for the log; `make` is only asked where one is kept.
    pub fn log(&mut self, make: impl FnOnce() -> CommandResult<Change>) -> CommandResult<()> {
        if self.transaction.view.store.logs_changes() {
            self.transaction.changes.push(make()?);
        }
        Ok(())
    }

    /// Notes that the transaction works on the collection, so that nobody changes the collection under it.
    ///
    /// Errors: `WriteConflict` (112) inside a multi-document transaction when the collection is not what it was at the
    /// transaction's snapshot.
    pub fn touch(&mut self, collection: &Arc<Collection>) -> CommandResult<()> {
        let owner = self.transaction.owner;
        if owner == 0 {
            return Ok(());
        }
        let is_own =
            self.transaction.edits.iter().any(|edit| matches!(edit, Edit::Put(put) if put.id == collection.id));
        if !is_own {
            let published = self.transaction.view.store.published.read();
            let same = published.catalog.get(&collection.namespace).is_some_and(|now| Arc::ptr_eq(now, collection));
            if !same {
                return Err(CommandError::write_conflict());
            }
        }
        if let Some(touched) = self.state.open.get_mut(&owner) {
            touched.insert(collection.id);
        }
        Ok(())
    }

    /// Refuses to go on while an open transaction works on the collection; the statement then waits for its end.
    pub fn exclusive(&self, collection: &Collection) -> CommandResult<()> {
        let owner = self.transaction.owner;
        let busy = self.state.open.iter().any(|(other, touched)| *other != owner && touched.contains(&collection.id));
        if busy { Err(CommandError::write_conflict()) } else { Ok(()) }
    }

    /// Adds to a collection's figures.
    pub fn count(&mut self, collection: &Collection, documents: i64, bytes: i64) {
        let delta = self.transaction.deltas.entry(collection.id).or_default();
        delta.documents += documents;
        delta.bytes += bytes;
    }

    /// Raises an index's flags, at once and for good.
    pub fn raise_flags(&mut self, collection: &Collection, index: &Index, bits: u8) {
        if index.flags.bits() & bits != bits {
            index.flags.raise(bits);
            let delta = self.transaction.deltas.entry(collection.id).or_default();
            *delta.flags.entry(index.id).or_default() |= bits;
        }
    }

    /// A record id for an insert.
    pub fn next_record(&self, collection: &Collection) -> u64 {
        collection.counters.next_record.fetch_add(1, Ordering::AcqRel)
    }

    /// An id for a new collection.
    pub fn next_collection_id(&mut self) -> u32 {
        self.state.next_collection += 1;
        self.state.next_collection - 1
    }

    /// An id for a new index.
    pub fn next_index_id(&mut self) -> u32 {
        self.state.next_index += 1;
        self.state.next_index - 1
    }

    /// Adds a collection or puts a changed one in its place.
    pub fn put_collection(&mut self, collection: Collection) -> CommandResult<Arc<Collection>> {
        let stored = crate::bytes::from_document(&collection.to_document())?;
        self.put(Space::Meta, meta_key(prefix::COLLECTION, collection.id), Some(stored.into()))?;
        let id = collection.id.to_be_bytes().to_vec();
        self.put(Space::Meta, name_key(&collection.namespace), Some(id.into()))?;
        let collection = Arc::new(collection);
        let previous = self.transaction.catalog.get(&collection.namespace).map(Arc::clone);
        if let Some(previous) = previous.filter(|previous| previous.id == collection.id) {
            for index in &previous.indexes {
                if !collection.indexes.iter().any(|kept| kept.id == index.id) {
                    self.transaction.edits.push(Edit::DropIndex(index.id));
                }
            }
        }
        self.transaction.edits.push(Edit::Put(Arc::clone(&collection)));
        self.transaction.deltas.entry(collection.id).or_default();
        Arc::make_mut(&mut self.transaction.catalog).put(Arc::clone(&collection));
        Ok(collection)
    }

    /// Removes a collection from the catalog. Its data goes in the background, unless it is put back under another name.
    pub fn remove_collection(&mut self, collection: &Arc<Collection>, keeps_data: bool) -> CommandResult<()> {
        if !keeps_data {
            self.put(Space::Meta, meta_key(prefix::COLLECTION, collection.id), None)?;
            self.put(Space::Meta, meta_key(prefix::COUNTERS, collection.id), None)?;
        }
        self.put(Space::Meta, name_key(&collection.namespace), None)?;
        self.transaction.edits.push(Edit::Remove(Arc::clone(collection)));
        self.transaction.deltas.remove(&collection.id);
        Arc::make_mut(&mut self.transaction.catalog).remove(&collection.namespace);
        Ok(())
    }

    /// Keeps what a retryable write did, to be answered again.
    pub fn put_retryable(&mut self, session: &[u8], record: &Document) -> CommandResult<()> {
        let stored = crate::bytes::from_document(record)?;
        self.put(Space::Meta, retryable_key(session), Some(stored.into()))
    }

    /// Forgets what a session's retryable writes did.
    pub fn remove_retryable(&mut self, session: &[u8]) -> CommandResult<()> {
        self.put(Space::Meta, retryable_key(session), None)
    }
}

/// The writes of one command: either committed by themselves, or added to a multi-document transaction.
pub struct Writes<'a> {
    store: &'a Arc<Store>,
    target: Target<'a>,
    deadline: Instant,
    last: u64,
}

enum Target<'a> {
    Auto(Box<Option<Open<'a>>>),
    Session(&'a mut Transaction),
}

struct Open<'a> {
    state: MutexGuard<'a, State>,
    transaction: Transaction,
    _expected: Expected<'a>,
}

impl<'a> Writes<'a> {
    /// Writes that commit by themselves.
    pub fn auto(store: &'a Arc<Store>) -> Self {
        Self { store, target: Target::Auto(Box::default()), deadline: Instant::now() + LOCK_WAIT_MAX, last: 0 }
    }

    /// Writes of a multi-document transaction.
    pub fn session(store: &'a Arc<Store>, transaction: &'a mut Transaction) -> Self {
        Self { store, target: Target::Session(transaction), deadline: Instant::now() + LOCK_WAIT_MAX, last: 0 }
    }

    /// Gives up waiting for other transactions then.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = self.deadline.min(deadline);
    }

    /// Runs one statement. What it wrote stays only if it succeeds. It may run several times: when an open transaction
    /// is in its way, it waits for that one's end and starts over.
    pub fn statement<T>(&mut self, mut run: impl FnMut(&mut Writer<'_>) -> CommandResult<T>) -> CommandResult<T> {
        loop {
            match &mut self.target {
                Target::Session(transaction) => {
                    let mut state = self.store.state.lock();
                    return attempt(transaction, &mut state, &mut run);
                }
                Target::Auto(slot) => {
                    let open = slot.get_or_insert_with(|| {
                        let expected = self.store.storage.expect_writer();
                        let state = self.store.state.lock();
                        Open { transaction: self.store.read(), state, _expected: expected }
                    });
                    match attempt(&mut open.transaction, &mut open.state, &mut run) {
                        Err(error) if error.code == code::WRITE_CONFLICT => {
                            self.pause()?;
                        }
                        outcome => return outcome,
                    }
                }
            }
        }
    }

    /// Commits what was done and waits for the end of some transaction.
    fn pause(&mut self) -> CommandResult<()> {
        let Target::Auto(slot) = &mut self.target else { return Ok(()) };
        let Some(mut open) = slot.take() else { return Ok(()) };
        self.last = self.last.max(self.store.apply(&mut open.state, &mut open.transaction)?);
        let Open { mut state, transaction, _expected: expected } = open;
        drop(expected);
        drop(transaction);
        if state.open.is_empty() {
            return Ok(());
        }
        if self.store.ended.wait_until(&mut state, self.deadline).timed_out() {
            return Err(CommandError::new(
                code::MAX_TIME_MS_EXPIRED,
                "operation exceeded time limit while waiting for an open transaction",
            ));
        }
        Ok(())
    }

    /// Commits and lets others write, before the sync; for commands that go on reading.
    pub fn flush(&mut self) -> CommandResult<()> {
        if let Target::Auto(slot) = &mut self.target
            && let Some(mut open) = slot.take()
        {
            self.last = self.last.max(self.store.apply(&mut open.state, &mut open.transaction)?);
        }
        Ok(())
    }

    /// Commits; durable on return if asked. Nothing to do inside a multi-document transaction.
    pub fn finish(mut self, durable: bool) -> CommandResult<()> {
        self.flush()?;
        if durable && self.last > 0 { self.store.storage.sync(self.last) } else { Ok(()) }
    }
}

fn attempt<T>(
    transaction: &mut Transaction,
    state: &mut State,
    run: &mut impl FnMut(&mut Writer<'_>) -> CommandResult<T>,
) -> CommandResult<T> {
    transaction.undo.clear();
    let deltas = transaction.deltas.clone();
    let edits = transaction.edits.len();
    let logged = transaction.changes.len();
    let catalog = Arc::clone(&transaction.catalog);
    let outcome = run(&mut Writer { transaction, state });
    if outcome.is_err() {
        transaction.undo_to(0);
        transaction.deltas = deltas;
        transaction.edits.truncate(edits);
        transaction.changes.truncate(logged);
        transaction.catalog = catalog;
    }
    outcome
}

fn meta_key(kind: u8, id: u32) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&id.to_be_bytes());
    key
}

fn name_key(namespace: &Namespace) -> Vec<u8> {
    let mut key = vec![prefix::NAME];
    key.extend_from_slice(namespace.to_string().as_bytes());
    key
}

fn retryable_key(session: &[u8]) -> Vec<u8> {
    let mut key = vec![prefix::RETRYABLE];
    key.extend_from_slice(session);
    key
}

/// The key of a record.
pub fn record_key(collection: u32, record: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(12);
    key.extend_from_slice(&collection.to_be_bytes());
    key.extend_from_slice(&record.to_be_bytes());
    key
}

/// The record id in a record's key.
pub fn record_id(key: &[u8]) -> Option<u64> {
    key.get(4..12).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()).map(u64::from_be_bytes)
}

fn record_range(collection: u32) -> (Vec<u8>, Vec<u8>) {
    id_range(collection)
}

/// All keys that begin with an id.
pub fn id_range(id: u32) -> (Vec<u8>, Vec<u8>) {
    (id.to_be_bytes().to_vec(), id.saturating_add(1).to_be_bytes().to_vec())
}

fn write_counters(collection: &Collection, delta: &Delta) -> Vec<u8> {
    let documents = collection.counters.documents.load(Ordering::Acquire) + delta.documents;
    let bytes = collection.counters.bytes.load(Ordering::Acquire) + delta.bytes;
    let mut stored = Vec::with_capacity(16 + collection.indexes.len() * 5);
    stored.extend_from_slice(&documents.to_be_bytes());
    stored.extend_from_slice(&bytes.to_be_bytes());
    for index in &collection.indexes {
        stored.extend_from_slice(&index.id.to_be_bytes());
        stored.push(index.flags.bits());
    }
    stored
}

fn read_counters(collection: &Collection, stored: &[u8]) {
    let word = |from: usize| stored.get(from..from + 8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    collection.counters.documents.store(word(0).map_or(0, i64::from_be_bytes), Ordering::Release);
    collection.counters.bytes.store(word(8).map_or(0, i64::from_be_bytes), Ordering::Release);
    for entry in stored.get(16..).unwrap_or_default().chunks_exact(5) {
        let (id, bits) = entry.split_at(4);
        for index in &collection.indexes {
            if index.id.to_be_bytes() == id {
                index.flags.raise(bits[0]);
            }
        }
    }
}

/// The end of the log; none before the log began.
fn log_end(storage: &Storage, snapshot: &Snapshot) -> CommandResult<Option<LogEnd>> {
    let last = storage.scan(snapshot, Space::Log, (Bound::Unbounded, Bound::Unbounded), true).next();
    let Some((key, value)) = last.transpose()? else { return Ok(None) };
    let mut entry = Entry::new(value)?;
    while entry.next(|_, _| false)?.is_some() {}
    let times = if entry.origin.is_some() { 1 } else { u64::from(entry.read.max(1)) };
    let key = log_key_time(&key);
    Ok(Some(LogEnd { key, time: key + times - 1 }))
}

/// Ids that hold data but are not in the catalog: a drop whose clean-up did not finish.
fn find_garbage(storage: &Storage, snapshot: &Snapshot, catalog: &Catalog) -> CommandResult<Garbage> {
    let mut garbage = Garbage::default();
    let collections: HashSet<u32> = catalog.iter().map(|collection| collection.id).collect();
    let indexes: HashSet<u32> =
        catalog.iter().flat_map(|collection| collection.indexes.iter().map(|index| index.id)).collect();
    for (space, known, found) in
        [(Space::Records, &collections, &mut garbage.collections), (Space::Index, &indexes, &mut garbage.indexes)]
    {
        let mut from = Vec::new();
        loop {
            let range = (Bound::Included(from.as_slice()), Bound::Unbounded);
            let Some(pair) = storage.scan(snapshot, space, range, false).next() else { break };
            let (key, _) = pair?;
            let Some(id) = key.get(..4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(u32::from_be_bytes)
            else {
                break;
            };
            if !known.contains(&id) {
                found.push(id);
            }
            let Some(next) = id.checked_add(1) else { break };
            from = next.to_be_bytes().to_vec();
        }
    }
    Ok(garbage)
}
