//! Benchmarks of the embedded store through the official driver, as ratios to references measured in the same run: the
//! storage engine below it, SQLite with the same durability, the driver's own `ping`, a loop over the same bytes, and a
//! MongoDB server where one is given.
//!
//! The store is a process of its own, as a MongoDB server would be. Subjects take turns in every round and the median of
//! the rounds counts, so that a noisy machine is noisy for all of them alike: believe the ratios, not the times.

mod docstore_reference;
mod process_usage;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bson::{Bson, Document, RawDocumentBuf, doc};
use docstore_reference::{Engine, Sqlite, plain_loop};
use futures::TryStreamExt;
use mongodb::{Client, Collection, IndexModel};

const HELP: &str = "\
cargo xtask bench docstore [FLAGS]

  --rounds N       measurements of each subject; the median is printed (default 7)
  --documents N    documents of the collection that is read (default 100000)
  --mongodb URI    measure this MongoDB server beside (it gets and loses a database `selvedge_bench`)
  --only TEXT      only what has this text in its name
";

struct Options {
    rounds: usize,
    documents: i64,
    mongodb: Option<String>,
    only: Option<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("serve") => serve(arguments.get(1).map_or(".", String::as_str)),
        Some("--help" | "-h" | "help") => {
            print!("{HELP}");
            Ok(())
        }
        _ => parse(&arguments).and_then(|options| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            runtime.block_on(async { tokio::spawn(run(options)).await? })
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-docstore: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options { rounds: 7, documents: 100_000, mongodb: None, only: None };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| anyhow::anyhow!("{word} needs a value\n\n{HELP}"));
        match word.as_str() {
            "--rounds" => options.rounds = value()?.parse()?,
            "--documents" => options.documents = value()?.parse()?,
            "--mongodb" => options.mongodb = Some(value()?.clone()),
            "--only" => options.only = Some(value()?.clone()),
            other => anyhow::bail!("unknown flag {other}\n\n{HELP}"),
        }
    }
    anyhow::ensure!(options.rounds > 0 && options.documents >= 1_000, "too few rounds or documents");
    Ok(options)
}

/// Serves a directory until the standard input ends; the connection string is the first line of the output.
fn serve(directory: &str) -> Result<()> {
    let server = docstore::open(directory, docstore::Options::default())?;
    println!("{}", server.uri());
    std::io::stdout().flush()?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(server.shutdown())?)
}

/// A server under test.
struct Server {
    name: &'static str,
    client: Client,
    /// Our own process, stopped when dropped.
    process: Option<Child>,
    next_id: i64,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            drop(process.stdin.take());
            if let Err(error) = process.wait() {
                eprintln!("the store's process: {error}");
            }
        }
    }
}

const DATABASE: &str = "selvedge_bench";

async fn connect(uri: &str) -> Result<Client> {
    let mut options = mongodb::options::ClientOptions::parse(uri).await?;
    options.max_pool_size = Some(64);
    Ok(Client::with_options(options)?)
}

impl Server {
    async fn docstore(directory: &Path) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut uri = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut uri)?;
        Ok(Self { name: "docstore", client: connect(uri.trim()).await?, process: Some(process), next_id: 0 })
    }

    fn read(&self) -> Collection<RawDocumentBuf> {
        self.client.database(DATABASE).collection("read")
    }

    fn written(&self) -> Collection<RawDocumentBuf> {
        self.client.database(DATABASE).collection("written")
    }

    async fn prepare(&self, documents: &[RawDocumentBuf]) -> Result<()> {
        self.client.database(DATABASE).drop().await?;
        for chunk in documents.chunks(10_000) {
            self.read().insert_many(chunk).await?;
        }
        self.read().create_index(IndexModel::builder().keys(doc! { "bucket": 1 }).build()).await?;
        self.written().insert_one(sample(-1)).await?;
        Ok(())
    }

    fn ids(&mut self, count: i64) -> std::ops::Range<i64> {
        self.next_id += count;
        self.next_id - count..self.next_id
    }
}

/// A document of some 300 bytes.
fn sample(number: i64) -> RawDocumentBuf {
    let mut noise = number.wrapping_mul(0x5851_F42D_4C95_7F2D).unsigned_abs() | 1;
    let mut letters = |count: usize| -> String {
        (0..count)
            .map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                char::from(b'a' + (noise % 26) as u8)
            })
            .collect()
    };
    let document = doc! {
        "_id": number,
        "name": letters(16),
        "bucket": number / 20,
        "kind": format!("kind {}", number % 100),
        "amount": (number % 1000) as f64 / 4.0,
        "active": number % 2 == 0,
        "visits": 0,
        "tags": [letters(6), letters(6)],
        "address": { "street": letters(20), "city": letters(10) },
        "note": letters(60),
    };
    RawDocumentBuf::try_from(&document).unwrap_or_default()
}

/// Seconds per operation, by subject and by what is measured.
#[derive(Default)]
struct Times(BTreeMap<(&'static str, &'static str), Vec<f64>>);

impl Times {
    fn note(&mut self, subject: &'static str, what: &'static str, elapsed: Duration, operations: usize) {
        self.0.entry((subject, what)).or_default().push(elapsed.as_secs_f64() / operations as f64);
    }

    fn median(&self, subject: &'static str, what: &'static str) -> Option<f64> {
        let mut times = self.0.get(&(subject, what))?.clone();
        times.sort_by(f64::total_cmp);
        Some(times[times.len() / 2])
    }
}

const PING: &str = "ping";
const INSERT: &str = "insertOne, durable";
const INSERT_32: &str = "insertOne, durable, 32 clients";
const FIND: &str = "findOne by _id";
const FIND_IN: &str = "find 20 by $in of _id";
const FIND_INDEX: &str = "find 20 by an indexed field";
const UPDATE: &str = "updateOne $inc, durable";
const GROUP: &str = "$match + $group";
const BULK: &str = "insertMany of 10,000, durable";

const SERIAL_WRITES: i64 = 200;
const SERIAL_READS: i64 = 400;
const CLIENTS: i64 = 32;
const PER_CLIENT: i64 = 40;
const BULK_DOCUMENTS: i64 = 10_000;

async fn run(options: Options) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let documents: Vec<RawDocumentBuf> = (0..options.documents).map(sample).collect();
    let mut servers = vec![Server::docstore(&scratch.path().join("docstore")).await?];
    if let Some(uri) = &options.mongodb {
        servers.push(Server { name: "MongoDB", client: connect(uri).await?, process: None, next_id: 0 });
    }
    for server in &servers {
        server.prepare(&documents).await?;
    }
    let mut engine = Engine::open(&scratch.path().join("engine"))?;
    let mut sqlite = Sqlite::open(&scratch.path().join("sqlite.db"))?;
    engine.load(&documents)?;
    let mut times = Times::default();
    println!(
        "{} rounds, subjects in turn, medians; {} documents of {} bytes",
        options.rounds,
        options.documents,
        documents.first().map_or(0, |document| document.as_bytes().len()),
    );
    let wanted = |what: &str| options.only.as_ref().is_none_or(|only| what.contains(only.as_str()));
    // The first round warms caches and is not counted.
    for round in 0..=options.rounds {
        let mut here = Times::default();
        if wanted(INSERT) {
            engine.puts(&mut here, INSERT, SERIAL_WRITES)?;
            sqlite.puts(&mut here, INSERT, SERIAL_WRITES)?;
        }
        if wanted(BULK) {
            engine.batch(&mut here, BULK, BULK_DOCUMENTS)?;
            sqlite.batch(&mut here, BULK, BULK_DOCUMENTS)?;
        }
        if wanted(GROUP) {
            let started = Instant::now();
            let groups = plain_loop(documents.iter().map(|document| &**document))?;
            here.note("loop", GROUP, started.elapsed(), 1);
            anyhow::ensure!(groups.len() == 50, "the loop found {} groups", groups.len());
            engine.group(&mut here, GROUP)?;
        }
        if wanted(FIND) {
            engine.gets(&mut here, FIND, SERIAL_READS, options.documents)?;
        }
        for server in &mut servers {
            measure(server, &mut here, &wanted, options.documents, round as i64).await?;
        }
        if round > 0 {
            for (key, mut values) in here.0 {
                times.0.entry(key).or_default().append(&mut values);
            }
        }
    }
    report(&times, &servers);
    for server in &servers {
        server.client.database(DATABASE).drop().await?;
    }
    Ok(())
}

async fn measure(
    server: &mut Server,
    times: &mut Times,
    wanted: &impl Fn(&str) -> bool,
    documents: i64,
    round: i64,
) -> Result<()> {
    let name = server.name;
    // Another place in every round, the same for every subject.
    let place = |step: i64| (step * 7_919 + round * 104_729) % (documents - 20);
    if wanted(PING) || wanted(FIND) {
        let admin = server.client.database("admin");
        let started = Instant::now();
        for _ in 0..SERIAL_READS {
            admin.run_command(doc! { "ping": 1 }).await?;
        }
        times.note(name, PING, started.elapsed(), SERIAL_READS as usize);
    }
    if wanted(FIND) {
        let collection = server.read();
        let started = Instant::now();
        for step in 0..SERIAL_READS {
            let found = collection.find_one(doc! { "_id": place(step) }).await?;
            anyhow::ensure!(found.is_some(), "document {} is not there", place(step));
        }
        times.note(name, FIND, started.elapsed(), SERIAL_READS as usize);
    }
    if wanted(FIND_IN) || wanted(FIND_INDEX) {
        for (what, by_index) in [(FIND_IN, false), (FIND_INDEX, true)] {
            let collection = server.read();
            let started = Instant::now();
            for step in 0..SERIAL_READS / 2 {
                let bucket = place(step) / 20;
                let filter = if by_index {
                    doc! { "bucket": bucket }
                } else {
                    doc! { "_id": { "$in": (bucket * 20..bucket * 20 + 20).collect::<Vec<_>>() } }
                };
                let found: Vec<RawDocumentBuf> = collection.find(filter).await?.try_collect().await?;
                anyhow::ensure!(found.len() == 20, "{} documents in bucket {bucket}", found.len());
            }
            times.note(name, what, started.elapsed(), SERIAL_READS as usize / 2);
        }
    }
    if wanted(INSERT) || wanted(UPDATE) {
        let collection = server.written();
        let new: Vec<RawDocumentBuf> = server.ids(SERIAL_WRITES).map(sample).collect();
        let started = Instant::now();
        for document in &new {
            collection.insert_one(document).await?;
        }
        times.note(name, INSERT, started.elapsed(), new.len());
    }
    if wanted(UPDATE) {
        let collection = server.read();
        let started = Instant::now();
        for step in 0..SERIAL_WRITES {
            let done = collection.update_one(doc! { "_id": place(step) }, doc! { "$inc": { "visits": 1 } }).await?;
            anyhow::ensure!(done.modified_count == 1, "document {} was not updated", place(step));
        }
        times.note(name, UPDATE, started.elapsed(), SERIAL_WRITES as usize);
    }
    if wanted(INSERT_32) {
        let parts: Vec<Vec<RawDocumentBuf>> =
            (0..CLIENTS).map(|_| server.ids(PER_CLIENT).map(sample).collect()).collect();
        let started = Instant::now();
        let clients: Vec<_> = parts
            .into_iter()
            .map(|part| {
                let collection = server.written();
                tokio::spawn(async move {
                    for document in &part {
                        collection.insert_one(document).await?;
                    }
                    Ok::<(), mongodb::error::Error>(())
                })
            })
            .collect();
        for client in clients {
            client.await??;
        }
        times.note(name, INSERT_32, started.elapsed(), (CLIENTS * PER_CLIENT) as usize);
    }
    if wanted(GROUP) {
        let collection = server.read();
        let stages = [
            doc! { "$match": { "active": true } },
            doc! { "$group": { "_id": "$kind", "total": { "$sum": "$amount" }, "count": { "$sum": 1 } } },
        ];
        let started = Instant::now();
        let groups: Vec<Document> = collection.aggregate(stages).await?.try_collect().await?;
        times.note(name, GROUP, started.elapsed(), 1);
        anyhow::ensure!(groups.len() == 50, "{} groups", groups.len());
        anyhow::ensure!(groups.iter().all(|group| matches!(group.get("total"), Some(Bson::Double(_)))), "totals");
    }
    if wanted(BULK) {
        let collection: Collection<RawDocumentBuf> = server.client.database(DATABASE).collection("bulk");
        let new: Vec<RawDocumentBuf> = server.ids(BULK_DOCUMENTS).map(sample).collect();
        let started = Instant::now();
        collection.insert_many(&new).await?;
        times.note(name, BULK, started.elapsed(), 1);
    }
    Ok(())
}

/// What is promised: name, what is measured, what it is divided by, and the bound. `Rate`: the ratio of rates.
const TARGETS: &[(&str, &str, &str, &str, f64)] = &[
    ("durable insert / the engine's durable put", INSERT, "engine", INSERT, 1.3),
    ("durable insert / SQLite's", INSERT, "SQLite", INSERT, f64::NAN),
    ("one client's insert / an insert of 32 (at least)", INSERT, "", INSERT_32, -5.0),
    ("findOne by _id / ping", FIND, "", PING, 1.5),
    ("20 by index / 20 by $in of _id", FIND_INDEX, "", FIND_IN, 2.0),
    ("updateOne / insertOne", UPDATE, "", INSERT, 1.5),
    ("match + group / loop over the same bytes in memory", GROUP, "loop", GROUP, 2.0),
    ("match + group / loop over the engine's scan", GROUP, "engine", GROUP, f64::NAN),
    ("insertMany / the engine's batch", BULK, "engine", BULK, 2.0),
    ("insertMany / SQLite's", BULK, "SQLite", BULK, f64::NAN),
];

fn report(times: &Times, servers: &[Server]) {
    println!("\n{:<10} {:<34} {:>12}", "subject", "what", "µs");
    for (subject, what) in times.0.keys() {
        if let Some(median) = times.median(subject, what) {
            println!("{subject:<10} {what:<34} {:>12.1}", median * 1e6);
        }
    }
    for server in servers {
        println!("\n{:<52} {:>7}  {:>8}", server.name, "ratio", "target");
        for (name, what, reference, divisor, target) in TARGETS {
            let reference = if reference.is_empty() { server.name } else { reference };
            let (Some(ours), Some(theirs)) = (times.median(server.name, what), times.median(reference, divisor)) else {
                continue;
            };
            let ratio = ours / theirs;
            let verdict = match target {
                target if target.is_nan() => String::new(),
                target if *target < 0.0 => {
                    format!(">= {:.1}{}", -target, if ratio >= -target { "" } else { "  missed" })
                }
                target => format!("<= {target:.1}{}", if ratio <= *target { "" } else { "  missed" }),
            };
            println!("{name:<52} {ratio:>7.2}  {verdict}");
        }
        if let Some(process) = &server.process {
            let peak = process_usage::status_bytes(process.id(), "VmHWM") as f64 / 1_048_576.0;
            let now = process_usage::status_bytes(process.id(), "VmRSS") as f64 / 1_048_576.0;
            let cpu = process_usage::cpu_time(process.id()).as_secs_f64();
            println!("resident memory: {now:.0} MB, peak {peak:.0} MB; processor time {cpu:.1} s");
        }
    }
    if let [ours, theirs] = servers {
        println!("\n{:<52} {:>7}", format!("{} / {}", ours.name, theirs.name), "ratio");
        for what in [PING, INSERT, INSERT_32, FIND, FIND_IN, FIND_INDEX, UPDATE, GROUP, BULK] {
            if let (Some(a), Some(b)) = (times.median(ours.name, what), times.median(theirs.name, what)) {
                println!("{what:<52} {:>7.2}", a / b);
            }
        }
    }
}
