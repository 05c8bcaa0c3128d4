//! The storage engine and what is promised about it: ordered keys in four spaces, snapshots, atomic batches, and
//! group commit.
//!
//! Nothing outside this file names the engine. A batch is visible to snapshots taken after it and durable once
//! [`Storage::sync`] returned for its number; concurrent callers share one sync. After every sync the number is noted
//! in a small file beside the engine's, so that an engine which recovers to an earlier state than was acknowledged
//! (a damaged journal) is found out at the next open.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fjall::compaction::Fifo;
use fjall::config::CompressionPolicy;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use parking_lot::{Condvar, Mutex};

use crate::error::{CommandError, CommandResult, Error, code};

/// Bytes of a stored key or value; cheap to clone.
pub use fjall::Slice;

/// Format of the directory; changes when an older version could not read what a newer one wrote.
const FORMAT: &str = "selvedge docstore 1\n";
/// Present in every data directory.
pub const FORMAT_FILE: &str = "FORMAT";
/// Present until the engine's files were made.
const CREATING_FILE: &str = "creating";
const LOCK_FILE: &str = "lock";
const MARK_FILE: &str = "acknowledged";
const ENGINE_DIRECTORY: &str = "store";
/// How long the leader of a group waits for writers that are on their way.
const GROUP_WAIT_MAX: Duration = Duration::from_millis(2);
/// Meta key of the number of the last batch.
const SEQUENCE_KEY: &[u8] = b"#sequence";

/// The key spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Catalog, counters, retryable writes.
    Meta,
    /// Documents by collection and record id.
    Records,
    /// Index entries by index and key.
    Index,
    /// Committed changes by cluster time; keys only grow, the oldest entries go by themselves.
    Log,
}

/// One change of a batch: the new value, or none to remove the key. Short keys cost no allocation.
pub type Change = (Space, Slice, Option<Slice>);

/// An open engine.
pub struct Storage {
    database: Database,
    meta: Keyspace,
    records: Keyspace,
    index: Keyspace,
    log: Keyspace,
    group: Mutex<Group>,
    synced: Condvar,
    /// Writers that will ask for a sync soon.
    expected: AtomicU64,
    mark: Mutex<File>,
    /// Held until the engine is closed; the last field, so dropped last.
    _lock: File,
}

#[derive(Default)]
struct Group {
    written: u64,
    synced: u64,
    syncing: bool,
    /// Why no further write can become durable.
    failed: Option<String>,
}

/// A consistent, unchanging view of all spaces.
#[derive(Clone)]
pub struct Snapshot(fjall::Snapshot);

/// Key-value pairs of a range, in either direction.
pub struct Scan {
    iter: fjall::Iter,
    reverse: bool,
}

fn engine_error(error: fjall::Error) -> CommandError {
    match &error {
        fjall::Error::Io(io) if is_out_of_space(io) => {
            CommandError::new(code::OUT_OF_DISK_SPACE, format!("no space left on the data directory's device: {io}"))
        }
        fjall::Error::Poisoned => CommandError::internal(
            "the data directory takes no writes since an earlier write to it failed; restart once the cause is gone",
        ),
        other => CommandError::internal(format!("storage engine: {other:?}")),
    }
}

impl Storage {
    /// Opens or creates the directory's engine. Returns the number of the last batch as well.
    pub fn open(directory: &Path, cache_bytes: u64, log_bytes: u64) -> Result<(Self, u64), Error> {
        // Before anything is looked at: another process may be making the directory just now.
        let lock = lock(directory)?;
        let path = directory.join(ENGINE_DIRECTORY);
        let creating = check_format(directory)?;
        let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
        let open = || -> fjall::Result<(Database, Keyspace, Keyspace, Keyspace, Keyspace)> {
            let database = Database::builder(&path).cache_size(cache_bytes).worker_threads(2).open()?;
            let options = || KeyspaceCreateOptions::default().max_memtable_size(16 * 1024 * 1024);
            let meta = database.keyspace("meta", || options().expect_point_read_hits(true))?;
            let records = database.keyspace("records", || {
                options()
                    .expect_point_read_hits(true)
                    .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
            })?;
            let index = database.keyspace("index", options)?;
            let log = database.keyspace("log", || {
                options()
                    .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
                    .compaction_strategy(Arc::new(Fifo::new(log_bytes, None)))
            })?;
            Ok((database, meta, records, index, log))
        };
        // The engine asserts on some forms of damage where it could return an error.
        let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(open))
            .map_err(|_| damaged("the engine gave up on its files".to_owned()))?;
        let (database, meta, records, index, log) = opened.map_err(|error| match error {
            fjall::Error::Locked => Error::InUse { path: directory.to_owned() },
            fjall::Error::Io(source) if is_system_trouble(&source) => {
                Error::Directory { path: directory.to_owned(), source }
            }
            other => damaged(format!("{other:?}")),
        })?;
        if let Some(creating) = creating {
            std::fs::remove_file(&creating)
                .map_err(|source| Error::Directory { path: directory.to_owned(), source })?;
        }
        let sequence = match meta.get(SEQUENCE_KEY) {
            Ok(Some(bytes)) => <[u8; 8]>::try_from(bytes.as_ref())
                .map(u64::from_be_bytes)
                .map_err(|_| damaged("the batch number is not one".to_owned()))?,
            Ok(None) => 0,
            Err(error) => return Err(damaged(format!("{error:?}"))),
        };
        let (mark, acknowledged) = open_mark(&directory.join(MARK_FILE))
            .map_err(|source| Error::Directory { path: directory.to_owned(), source })?;
        if acknowledged > sequence {
            return Err(damaged(format!(
                "writes were acknowledged up to number {acknowledged}, but only {sequence} can be read back"
            )));
        }
        let group = Group { written: sequence, synced: sequence, ..Group::default() };
        let storage = Self {
            database,
            meta,
            records,
            index,
            log,
            group: Mutex::new(group),
            synced: Condvar::new(),
            expected: AtomicU64::new(0),
            mark: Mutex::new(mark),
            _lock: lock,
        };
        Ok((storage, sequence))
    }

    fn space(&self, space: Space) -> &Keyspace {
        match space {
            Space::Meta => &self.meta,
            Space::Records => &self.records,
            Space::Index => &self.index,
            Space::Log => &self.log,
        }
    }

    /// The state after the last batch.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.database.snapshot())
    }

    /// The value of a key as the snapshot has it.
    pub fn get(&self, snapshot: &Snapshot, space: Space, key: &[u8]) -> CommandResult<Option<Slice>> {
        snapshot.0.get(self.space(space), key).map_err(engine_error)
    }

    /// The pairs between two bounds.
    pub fn scan(&self, snapshot: &Snapshot, space: Space, range: (Bound<&[u8]>, Bound<&[u8]>), reverse: bool) -> Scan {
        Scan { iter: snapshot.0.range::<&[u8], _>(self.space(space), range), reverse }
    }

    /// Applies the changes at once. Not durable before [`Storage::sync`] of the same number. Keys must not repeat.
    /// Callers take turns: numbers must come in order.
    pub fn apply(&self, sequence: u64, changes: impl Iterator<Item = Change>) -> CommandResult<()> {
        let mut batch = self.database.batch();
        for (space, key, value) in changes {
            match value {
                Some(value) => batch.insert(self.space(space), key, value),
                None => batch.remove(self.space(space), key),
            }
        }
        batch.insert(&self.meta, SEQUENCE_KEY, sequence.to_be_bytes());
        batch.commit().map_err(engine_error)?;
        self.group.lock().written = sequence;
        Ok(())
    }

    /// Says that a writer is coming; see [`Expected`].
    pub fn expect_writer(&self) -> Expected<'_> {
        self.expected.fetch_add(1, Ordering::SeqCst);
        Expected { storage: self }
    }

    /// Returns when everything up to this number is on disk. One of the waiting threads does it for all.
    pub fn sync(&self, sequence: u64) -> CommandResult<()> {
        let mut group = self.group.lock();
        loop {
            if let Some(reason) = &group.failed {
                return Err(CommandError::internal(reason.clone()));
            }
            if group.synced >= sequence {
                return Ok(());
            }
            if group.syncing {
                self.synced.wait(&mut group);
                continue;
            }
            group.syncing = true;
            // Writers that are already on their way join this group: their batch costs microseconds, a sync of
            // their own would cost them two.
            let deadline = Instant::now() + GROUP_WAIT_MAX;
            while self.expected.load(Ordering::SeqCst) > 0 {
                if self.synced.wait_until(&mut group, deadline).timed_out() {
                    break;
                }
            }
            let target = group.written;
            drop(group);
            let outcome = self.database.persist(PersistMode::SyncData);
            if outcome.is_ok() {
                self.note_acknowledged(target);
            }
            group = self.group.lock();
            group.syncing = false;
            match outcome {
                Ok(()) => group.synced = group.synced.max(target),
                Err(error) => group.failed = Some(engine_error(error).message),
            }
            self.synced.notify_all();
        }
    }

    fn note_acknowledged(&self, sequence: u64) {
        let mut record = [0_u8; 16];
        record[..8].copy_from_slice(&sequence.to_be_bytes());
        record[8..].copy_from_slice(&(!sequence).to_be_bytes());
        let file = self.mark.lock();
        // A mark that cannot be written only makes the check at the next open weaker.
        if let Err(error) = file.write_all_at(&record, 0) {
            tracing::warn!(%error, "cannot note the last acknowledged write");
        }
    }

    /// Bytes of the engine's files.
    pub fn disk_bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }

    /// Makes everything durable and moves it out of the journal, so that the next open is quick.
    pub fn close(&self) -> CommandResult<()> {
        let written = self.group.lock().written;
        self.sync(written)
    }
}

/// A writer on its way to [`Storage::sync`]; the leader of a group waits a little for it. Drop it as soon as the
/// batch is applied (or will not be).
pub struct Expected<'a> {
    storage: &'a Storage,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        if self.storage.expected.fetch_sub(1, Ordering::SeqCst) == 1 {
            // Taking the lock orders this against a leader that is about to wait.
            let _group = self.storage.group.lock();
            self.storage.synced.notify_all();
        }
    }
}

impl Iterator for Scan {
    type Item = CommandResult<(Slice, Slice)>;

    fn next(&mut self) -> Option<Self::Item> {
        let guard = if self.reverse { self.iter.next_back() } else { self.iter.next() }?;
        Some(guard.into_inner().map_err(engine_error))
    }
}

fn is_out_of_space(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    matches!(error.kind(), Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge)
}

fn is_system_trouble(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::PermissionDenied
            | Kind::ReadOnlyFilesystem
            | Kind::StorageFull
            | Kind::NotADirectory
            | Kind::QuotaExceeded
            | Kind::FileTooLarge
    )
}

/// Takes the directory for this process. The system lets go of it when the process ends, however it ends.
fn lock(directory: &Path) -> Result<File, Error> {
    let trouble = |source| Error::Directory { path: directory.to_owned(), source };
    let path = directory.join(LOCK_FILE);
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(trouble)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::InUse { path: directory.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(trouble(source)),
    }
}

/// Makes sure that the directory is ours, and writes what says so into a new one. Returns the file that stands for an
/// unfinished creation, to be removed when the engine's files are there.
fn check_format(directory: &Path) -> Result<Option<PathBuf>, Error> {
    let path = directory.join(FORMAT_FILE);
    let trouble = |source| Error::Directory { path: directory.to_owned(), source };
    match std::fs::read(&path) {
        Ok(found) if found == FORMAT.as_bytes() => {
            let creating = directory.join(CREATING_FILE);
            if !creating.exists() {
                return Ok(None);
            }
            // The first start ended half way; nothing can have been written yet.
            match std::fs::remove_dir_all(directory.join(ENGINE_DIRECTORY)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(trouble(error)),
                _ => Ok(Some(creating)),
            }
        }
        Ok(found) => Err(Error::Format {
            path: directory.to_owned(),
            found: String::from_utf8_lossy(&found).trim().chars().take(80).collect(),
            expected: FORMAT.trim().to_owned(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if directory.join(ENGINE_DIRECTORY).exists() {
                return Err(Error::Damaged { path, reason: "the file is missing".to_owned() });
            }
            let creating = directory.join(CREATING_FILE);
            std::fs::write(&creating, "").map_err(trouble)?;
            std::fs::write(&path, FORMAT).map_err(trouble)?;
            Ok(Some(creating))
        }
        Err(error) => Err(trouble(error)),
    }
}

/// The mark file and the number in it; 0 when there is none or it was torn.
fn open_mark(path: &PathBuf) -> std::io::Result<(File, u64)> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut record = Vec::new();
    Read::by_ref(&mut file).take(16).read_to_end(&mut record)?;
    let word = |from: usize| record.get(from..from + 8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    let number = match (word(0).map(u64::from_be_bytes), word(8).map(u64::from_be_bytes)) {
        (Some(number), Some(check)) if check == !number => number,
        _ => 0,
    };
    Ok((file, number))
}
