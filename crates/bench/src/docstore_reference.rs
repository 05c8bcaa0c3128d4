//! What the store is measured against: the engine below it, SQLite, and a loop over the same bytes.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use bson::{RawDocument, RawDocumentBuf};
use fjall::config::CompressionPolicy;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Times, sample};

/// The storage engine, with the store's own settings.
pub struct Engine {
    database: Database,
    written: Keyspace,
    read: Keyspace,
    next: i64,
}

impl Engine {
    pub fn open(directory: &Path) -> Result<Self> {
        let database = Database::builder(directory).cache_size(64 * 1024 * 1024).worker_threads(2).open()?;
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(16 * 1024 * 1024)
                .expect_point_read_hits(true)
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
        };
        let written = database.keyspace("written", options)?;
        let read = database.keyspace("read", options)?;
        Ok(Self { database, written, read, next: 0 })
    }

    pub fn load(&mut self, documents: &[RawDocumentBuf]) -> Result<()> {
        for (number, document) in documents.iter().enumerate() {
            self.read.insert((number as u64).to_be_bytes(), document.as_bytes())?;
        }
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    fn records(&mut self, count: i64) -> Vec<([u8; 8], RawDocumentBuf)> {
        self.next += count;
        (self.next - count..self.next).map(|number| (number.to_be_bytes(), sample(number))).collect()
    }

    pub fn puts(&mut self, times: &mut Times, what: &'static str, count: i64) -> Result<()> {
        let records = self.records(count);
        let started = Instant::now();
        for (key, document) in &records {
            self.written.insert(key, document.as_bytes())?;
            self.database.persist(PersistMode::SyncData)?;
        }
        times.note("engine", what, started.elapsed(), records.len());
        Ok(())
    }

    pub fn batch(&mut self, times: &mut Times, what: &'static str, count: i64) -> Result<()> {
        let records = self.records(count);
        let started = Instant::now();
        let mut batch = self.database.batch();
        for (key, document) in &records {
            batch.insert(&self.written, key, document.as_bytes());
        }
        batch.commit()?;
        self.database.persist(PersistMode::SyncData)?;
        times.note("engine", what, started.elapsed(), 1);
        Ok(())
    }

    pub fn gets(&mut self, times: &mut Times, what: &'static str, count: i64, documents: i64) -> Result<()> {
        let started = Instant::now();
        for step in 0..count {
            let key = (step * 7_919 % documents).to_be_bytes();
            std::hint::black_box(self.read.get(key)?.context("a record is missing")?);
        }
        times.note("engine", what, started.elapsed(), count as usize);
        Ok(())
    }

    pub fn group(&mut self, times: &mut Times, what: &'static str) -> Result<()> {
        let started = Instant::now();
        let mut groups = HashMap::new();
        for guard in self.read.iter() {
            let value = guard.value()?;
            add(&mut groups, RawDocument::from_bytes(&value)?)?;
        }
        times.note("engine", what, started.elapsed(), 1);
        std::hint::black_box(groups);
        Ok(())
    }
}

/// Documents as blobs in SQLite, every commit durable.
pub struct Sqlite {
    connection: rusqlite::Connection,
    next: i64,
}

impl Sqlite {
    pub fn open(path: &Path) -> Result<Self> {
        let connection = rusqlite::Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.execute("create table documents (id integer primary key, document blob not null)", ())?;
        Ok(Self { connection, next: 0 })
    }

    pub fn puts(&mut self, times: &mut Times, what: &'static str, count: i64) -> Result<()> {
        let records: Vec<RawDocumentBuf> = (0..count).map(|number| sample(self.next + number)).collect();
        let mut statement = self.connection.prepare("insert into documents values (?1, ?2)")?;
        let started = Instant::now();
        for document in &records {
            statement.execute((self.next, document.as_bytes()))?;
            self.next += 1;
        }
        times.note("SQLite", what, started.elapsed(), records.len());
        Ok(())
    }

    pub fn batch(&mut self, times: &mut Times, what: &'static str, count: i64) -> Result<()> {
        let records: Vec<RawDocumentBuf> = (0..count).map(|number| sample(self.next + number)).collect();
        let started = Instant::now();
        let transaction = self.connection.transaction()?;
        {
            let mut statement = transaction.prepare("insert into documents values (?1, ?2)")?;
            for document in &records {
                statement.execute((self.next, document.as_bytes()))?;
                self.next += 1;
            }
        }
        transaction.commit()?;
        times.note("SQLite", what, started.elapsed(), 1);
        Ok(())
    }
}

/// Sum and count by kind.
type Groups = HashMap<String, (f64, i64)>;

/// The pipeline that is measured, written by hand.
pub fn plain_loop<'a>(documents: impl Iterator<Item = &'a RawDocument>) -> Result<Groups> {
    let mut groups = HashMap::new();
    for document in documents {
        add(&mut groups, document)?;
    }
    Ok(groups)
}

fn add(groups: &mut Groups, document: &RawDocument) -> Result<()> {
    if document.get_bool("active")? {
        let kind = document.get_str("kind")?;
        let amount = document.get_f64("amount")?;
        match groups.get_mut(kind) {
            Some(group) => *group = (group.0 + amount, group.1 + 1),
            None => drop(groups.insert(kind.to_owned(), (amount, 1))),
        }
    }
    Ok(())
}
