//! Compares storage engines on the docstore's own load: small durable puts by 1 and 32 threads (the latter sharing
//! fsyncs as far as the engine lets us), a batch of 10 000, point reads and a scan of 100 000 records of 300 bytes.
//!
//! `cargo run --release --manifest-path crates/docstore/benches/engines/Cargo.toml -- [DIRECTORY]`

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const RECORDS: u64 = 100_000;
const VALUE: usize = 300;
const DURABLE: u64 = 400;

fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

fn value(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..VALUE)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            b'a' + (state % 26) as u8
        })
        .collect()
}

/// One engine under test. `put` buffers in the engine's log, `sync` makes everything put before it durable.
trait Engine: Send + Sync {
    fn put_durable(&self, number: u64);
    fn put_batch(&self, from: u64, count: u64);
    fn get(&self, number: u64) -> usize;
    fn scan(&self) -> (u64, usize);
}

struct Redb(redb::Database);
const TABLE: redb::TableDefinition<&[u8], &[u8]> = redb::TableDefinition::new("records");

impl Engine for Redb {
    fn put_durable(&self, number: u64) {
        self.put_batch(number, 1);
    }
    fn put_batch(&self, from: u64, count: u64) {
        let transaction = self.0.begin_write().unwrap();
        {
            let mut table = transaction.open_table(TABLE).unwrap();
            for number in from..from + count {
                table.insert(key(number).as_slice(), value(number).as_slice()).unwrap();
            }
        }
        transaction.commit().unwrap();
    }
    fn get(&self, number: u64) -> usize {
        use redb::ReadableDatabase;
        let transaction = self.0.begin_read().unwrap();
        let table = transaction.open_table(TABLE).unwrap();
        table.get(key(number).as_slice()).unwrap().unwrap().value().len()
    }
    fn scan(&self) -> (u64, usize) {
        use redb::{ReadableDatabase, ReadableTable};
        let transaction = self.0.begin_read().unwrap();
        let table = transaction.open_table(TABLE).unwrap();
        table.iter().unwrap().fold((0, 0), |(count, bytes), row| (count + 1, bytes + row.unwrap().1.value().len()))
    }
}

struct Fjall(fjall::Database, fjall::Keyspace);

impl Engine for Fjall {
    fn put_durable(&self, number: u64) {
        self.put_batch(number, 1);
    }
    fn put_batch(&self, from: u64, count: u64) {
        let mut batch = self.0.batch();
        for number in from..from + count {
            batch.insert(&self.1, key(number), value(number));
        }
        batch.commit().unwrap();
        self.0.persist(fjall::PersistMode::SyncData).unwrap();
    }
    fn get(&self, number: u64) -> usize {
        self.1.get(key(number)).unwrap().unwrap().len()
    }
    fn scan(&self) -> (u64, usize) {
        self.1.iter().fold((0, 0), |(count, bytes), row| (count + 1, bytes + row.value().unwrap().len()))
    }
}

struct Sqlite(Mutex<rusqlite::Connection>);

impl Engine for Sqlite {
    fn put_durable(&self, number: u64) {
        self.put_batch(number, 1);
    }
    fn put_batch(&self, from: u64, count: u64) {
        let mut connection = self.0.lock().unwrap();
        let transaction = connection.transaction().unwrap();
        {
            let mut statement = transaction.prepare_cached("insert into records values (?1, ?2)").unwrap();
            for number in from..from + count {
                statement.execute((key(number).as_slice(), value(number))).unwrap();
            }
        }
        transaction.commit().unwrap();
    }
    fn get(&self, number: u64) -> usize {
        let connection = self.0.lock().unwrap();
        let mut statement = connection.prepare_cached("select value from records where key = ?1").unwrap();
        statement.query_row((key(number).as_slice(),), |row| Ok(row.get_ref(0)?.as_blob()?.len())).unwrap()
    }
    fn scan(&self) -> (u64, usize) {
        let connection = self.0.lock().unwrap();
        let mut statement = connection.prepare_cached("select key, value from records order by key").unwrap();
        let mut rows = statement.query(()).unwrap();
        let mut totals = (0, 0);
        while let Some(row) = rows.next().unwrap() {
            totals = (totals.0 + 1, totals.1 + row.get_ref(1).unwrap().as_blob().unwrap().len());
        }
        totals
    }
}

/// A queue in front of an engine: one thread at a time commits everything that waits.
struct GroupCommit {
    state: Mutex<(u64, u64, bool)>,
    done: Condvar,
}

fn grouped(engine: &Arc<dyn Engine>, threads: u64, total: u64, next: &Arc<AtomicU64>) -> Duration {
    let group = Arc::new(GroupCommit { state: Mutex::new((0, 0, false)), done: Condvar::new() });
    let started = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (engine, group, next) = (engine.clone(), group.clone(), next.clone());
            std::thread::spawn(move || {
                for _ in 0..total / threads {
                    let mut state = group.state.lock().unwrap();
                    state.0 += 1;
                    let mine = state.0;
                    loop {
                        if state.1 >= mine {
                            break;
                        }
                        if state.2 {
                            state = group.done.wait(state).unwrap();
                            continue;
                        }
                        state.2 = true;
                        let (from, to) = (state.1, state.0);
                        drop(state);
                        engine.put_batch(next.fetch_add(to - from, Ordering::SeqCst), to - from);
                        state = group.state.lock().unwrap();
                        state.1 = to;
                        state.2 = false;
                        group.done.notify_all();
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    started.elapsed()
}

fn rss_mb() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096 / 1_000_000
}

fn disk_mb(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return std::fs::metadata(path).map_or(0, |data| data.len()) };
    entries.map(|entry| disk_mb(&entry.unwrap().path())).sum()
}

fn measure(name: &str, directory: &Path, open: impl Fn() -> Arc<dyn Engine>) {
    let engine = open();
    for chunk in 0..10 {
        engine.put_batch(chunk * RECORDS / 10, RECORDS / 10);
    }
    let next = Arc::new(AtomicU64::new(RECORDS));
    let mut single: Vec<Duration> = (0..DURABLE)
        .map(|_| {
            let number = next.fetch_add(1, Ordering::SeqCst);
            let started = Instant::now();
            engine.put_durable(number);
            started.elapsed()
        })
        .collect();
    single.sort();
    let many = grouped(&engine, 32, 32 * 200, &next);
    let from = next.fetch_add(10_000, Ordering::SeqCst);
    let started = Instant::now();
    engine.put_batch(from, 10_000);
    let bulk = started.elapsed();
    let mut state = 1_u64;
    let started = Instant::now();
    for _ in 0..50_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        assert_eq!(engine.get((state >> 33) % RECORDS), VALUE);
    }
    let point = started.elapsed() / 50_000;
    let started = Instant::now();
    let (count, bytes) = engine.scan();
    let scan = started.elapsed();
    assert_eq!(bytes as u64, count * VALUE as u64);
    drop(engine);
    let started = Instant::now();
    drop(open());
    println!(
        "{name:8} durable put {:>7.0} us p50 | 32 writers {:>6.0} puts/s | batch of 10 000 {:>6.1} ms | point read {:>6.2} us | scan {:>6.0} ns/record | reopen {:>5.0} ms | disk {:>4} MB | rss {:>4} MB",
        single[single.len() / 2].as_secs_f64() * 1e6,
        6_400.0 / many.as_secs_f64(),
        bulk.as_secs_f64() * 1e3,
        point.as_secs_f64() * 1e6,
        scan.as_secs_f64() * 1e9 / count as f64,
        started.elapsed().as_secs_f64() * 1e3,
        disk_mb(directory) / 1_000_000,
        rss_mb(),
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let base = arguments.first().map_or_else(|| ".".into(), std::path::PathBuf::from);
    let only = arguments.get(1).map(String::as_str);
    let directory = tempfile::tempdir_in(&base).unwrap();
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    if wanted("redb") {
        let path = directory.path().join("redb");
        measure("redb", &path, || Arc::new(Redb(redb::Database::create(&path).unwrap())));
    }
    if wanted("fjall") {
        let path = directory.path().join("fjall");
        measure("fjall", &path, || {
            let database = fjall::Database::builder(&path).open().unwrap();
            let keyspace = database.keyspace("records", fjall::KeyspaceCreateOptions::default).unwrap();
            Arc::new(Fjall(database, keyspace))
        });
    }
    if wanted("sqlite") {
        let path = directory.path().join("sqlite");
        std::fs::create_dir(&path).unwrap();
        measure("sqlite", &path, || {
            let connection = rusqlite::Connection::open(path.join("data")).unwrap();
            connection
                .execute_batch(
                    "pragma journal_mode = wal; pragma synchronous = full;
                     create table if not exists records (key blob primary key, value blob) without rowid;",
                )
                .unwrap();
            Arc::new(Sqlite(Mutex::new(connection)))
        });
    }
}
