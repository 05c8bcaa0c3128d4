//! Kills a process of its own at random moments under concurrent writers, reopens the directory, and checks that every
//! acknowledged write is there, no transaction is half there, and indexes agree with documents.
//!
//! `DOCSTORE_CRASH_ROUNDS=200` for the long run; a few rounds otherwise.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use mongodb::change_stream::event::OperationType;
use mongodb::{Client, Collection};

const WRITERS: u64 = 6;

/// Not a test of its own: the process that is killed. Opens the directory of the environment and waits.
#[tokio::test]
async fn child_process() {
    let Ok(directory) = std::env::var("DOCSTORE_CRASH_CHILD") else { return };
    let server = docstore::open(directory, docstore::Options::default()).unwrap();
    println!("URI {}", server.uri());
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}

fn spawn(directory: &Path) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_process", "--exact", "--nocapture"])
        .env("DOCSTORE_CRASH_CHILD", directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let uri = loop {
        let line = lines.next().expect("the child ended early").unwrap();
        if let Some((_, uri)) = line.split_once("URI ") {
            break uri.to_owned();
        }
    };
    (child, uri)
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_kill() {
    if std::env::var("DOCSTORE_CRASH_CHILD").is_ok() {
        return;
    }
    let rounds: u64 = std::env::var("DOCSTORE_CRASH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let directory = tempfile::tempdir().unwrap();
    // Per writer: the highest number acknowledged.
    let plain: Arc<Vec<AtomicU64>> = Arc::new((0..WRITERS).map(|_| AtomicU64::new(0)).collect());
    let paired: Arc<Vec<AtomicU64>> = Arc::new((0..WRITERS).map(|_| AtomicU64::new(0)).collect());
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut begun = None;
    for round in 0..rounds {
        let (mut child, uri) = spawn(directory.path());
        let client = Client::with_uri_str(format!("{uri}&serverSelectionTimeoutMS=300")).await.unwrap();
        if round == 0 {
            // From the first change stream on, changes are logged.
            let mut stream = client.database("crash").watch().await.unwrap();
            drop(stream.next_if_any().await.unwrap());
            begun = stream.resume_token();
            drop(stream);
            client
                .database("crash")
                .run_command(doc! { "createIndexes": "plain", "indexes": [
                    { "key": { "w": 1, "n": 1 }, "name": "w_n", "unique": true }, { "key": { "tags": 1 }, "name": "tags" },
                ] })
                .await
                .unwrap();
        }
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let (client, plain, paired) = (client.clone(), Arc::clone(&plain), Arc::clone(&paired));
            writers.push(tokio::spawn(async move {
                let collection: Collection<Document> = client.database("crash").collection("plain");
                let left: Collection<Document> = client.database("crash").collection("left");
                let right: Collection<Document> = client.database("crash").collection("right");
                // A base per round: what was sent when the process died may or may not be there.
                for number in round * 1_000_000 + 1.. {
                    let n = number as i64;
                    let document = doc! { "w": writer as i64, "n": n, "tags": [n % 5, n % 7, "x"] };
                    if collection.insert_one(document).await.is_err() {
                        return;
                    }
                    plain[writer as usize].store(number, Ordering::SeqCst);
                    if number % 3 == 0 {
                        let change = doc! { "$set": { "tags": [n % 11] }, "$inc": { "u": 1 } };
                        if collection.update_one(doc! { "w": writer as i64, "n": n }, change).await.is_err() {
                            return;
                        }
                    }
                    if number % 4 == 0 {
                        let Ok(mut session) = client.start_session().await else { return };
                        let key = doc! { "_id": format!("{writer}-{number}") };
                        let done = async {
                            session.start_transaction().await?;
                            left.insert_one(key.clone()).session(&mut session).await?;
                            right.insert_one(key).session(&mut session).await?;
                            session.commit_transaction().await
                        };
                        let done: mongodb::error::Result<()> = done.await;
                        if done.is_err() {
                            return;
                        }
                        paired[writer as usize].store(number, Ordering::SeqCst);
                    }
                }
            }));
        }
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        tokio::time::sleep(Duration::from_millis(30 + state % 300)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        for writer in writers {
            writer.await.unwrap();
        }
        drop(client);

        for report in docstore::verify(directory.path()).unwrap() {
            assert_eq!(report.problems, Vec::<String>::new(), "round {round}: {}", report.namespace);
        }
        let server = docstore::open(directory.path(), docstore::Options::default()).unwrap();
        let client = Client::with_uri_str(server.uri()).await.unwrap();
        let database = client.database("crash");
        let (collection, left, right): (Collection<Document>, Collection<Document>, Collection<Document>) =
            (database.collection("plain"), database.collection("left"), database.collection("right"));
        for writer in 0..WRITERS as usize {
            let last = plain[writer].load(Ordering::SeqCst);
            if last > 0 {
                let found = collection.find_one(doc! { "w": writer as i64, "n": last as i64 }).await.unwrap();
                assert!(found.is_some(), "round {round}: writer {writer} lost {last}");
                // Numbers of a round are gapless up to the acknowledged one.
                let first = round * 1_000_000;
                let acknowledged = doc! { "w": writer as i64, "n": { "$gt": first as i64, "$lte": last as i64 } };
                let there = collection.count_documents(acknowledged).await.unwrap();
                assert_eq!(there, last.saturating_sub(first), "round {round}: writer {writer} has gaps");
            }
            let last = paired[writer].load(Ordering::SeqCst);
            if last > 0 {
                let key = doc! { "_id": format!("{writer}-{last}") };
                assert!(left.find_one(key).await.unwrap().is_some(), "round {round}: writer {writer} lost a pair");
            }
        }
        let (lefts, rights) =
            (left.count_documents(doc! {}).await.unwrap(), right.count_documents(doc! {}).await.unwrap());
        assert_eq!(lefts, rights, "round {round}: half a transaction");
        // The log tells of every document that is there, and of no other. (Later its beginning may be gone.)
        if round < 8 {
            let mut stream = database.watch().resume_after(begun.clone()).await.unwrap();
            let inserts = collection.count_documents(doc! {}).await.unwrap() + lefts + rights;
            let mut told = 0;
            while let Some(event) = stream.next_if_any().await.unwrap() {
                told += u64::from(event.operation_type == OperationType::Insert);
            }
            assert_eq!(told, inserts, "round {round}: the log and the documents differ");
        }
        drop(client);
        server.shutdown().await.unwrap();
    }
}

/// The engine's files by name, largest first.
fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.metadata().unwrap().is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(path, target).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_told_and_loses_nothing_silently() {
    if std::env::var("DOCSTORE_CRASH_CHILD").is_ok() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let original = directory.path().join("original");
    let server = docstore::open(&original, docstore::Options::default()).unwrap();
    let client = Client::with_uri_str(server.uri()).await.unwrap();
    let collection: Collection<Document> = client.database("d").collection("c");
    for n in 0..300 {
        collection.insert_one(doc! { "_id": n, "text": format!("{n}").repeat(50) }).await.unwrap();
    }
    drop(client);
    server.shutdown().await.unwrap();
    let mut told = 0;
    let names: Vec<_> = files(&original).iter().map(|path| path.strip_prefix(&original).unwrap().to_owned()).collect();
    for (case, name) in names.iter().flat_map(|name| (0..6).map(move |case| (case, name))) {
        let damaged = directory.path().join("damaged");
        drop(std::fs::remove_dir_all(&damaged));
        copy(&original, &damaged);
        let path = damaged.join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        if bytes.is_empty() {
            continue;
        }
        let length = bytes.len();
        match case {
            0 => bytes.truncate(length / 2),
            1 => bytes.truncate(0),
            2 => bytes[length / 2] ^= 0x10,
            3 => bytes[0] ^= 1,
            4 => bytes[length - 1] ^= 0x80,
            _ => bytes[length / 3] ^= 0xFF,
        }
        std::fs::write(&path, &bytes).unwrap();
        // Nothing panics; either an error says what is wrong, or everything is there.
        match docstore::verify(&damaged) {
            Err(error) => {
                assert!(!error.to_string().is_empty());
                told += 1;
            }
            Ok(reports) => {
                let documents: i64 = reports.iter().map(|report| report.documents).sum();
                let is_told = reports.iter().any(|report| !report.problems.is_empty());
                assert!(
                    is_told || documents == 300,
                    "{} case {case}: {documents} documents, nothing told",
                    name.display()
                );
                told += usize::from(is_told);
            }
        }
    }
    assert!(told > 0);
}
