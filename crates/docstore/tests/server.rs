//! The server as an official driver sees it: writes, cursors, transactions, retries, hostile clients.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bson::{Bson, Document, doc};
use docstore::{Error, Options, Server, open};
use futures::TryStreamExt;
use mongodb::error::ErrorKind;
use mongodb::{Client, Collection};

async fn start(directory: &Path) -> (Server, Client) {
    let server = open(directory, Options::default()).unwrap();
    let client = Client::with_uri_str(server.uri()).await.unwrap();
    (server, client)
}

fn code_of(error: &mongodb::error::Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(mongodb::error::WriteFailure::WriteError(write)) => Some(write.code),
        _ => None,
    }
}

#[tokio::test]
async fn the_driver_reads_what_it_wrote_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path()).await;
    let things: Collection<Document> = client.database("app").collection("things");
    things.insert_many((0..500).map(|n| doc! { "_id": n, "n": n % 7, "text": "x".repeat(200) })).await.unwrap();
    things.update_many(doc! { "n": 3 }, doc! { "$set": { "seen": true } }).await.unwrap();
    things.delete_one(doc! { "_id": 10 }).await.unwrap();
    let found: Vec<Document> = things.find(doc! {}).batch_size(50).await.unwrap().try_collect().await.unwrap();
    assert_eq!(found.len(), 499);
    assert_eq!(things.count_documents(doc! { "seen": true }).await.unwrap(), 70);
    drop(client);
    server.shutdown().await.unwrap();

    let (server, client) = start(directory.path()).await;
    let things: Collection<Document> = client.database("app").collection("things");
    assert_eq!(things.estimated_document_count().await.unwrap(), 499);
    assert_eq!(things.count_documents(doc! { "seen": true }).await.unwrap(), 70);
    server.shutdown().await.unwrap();
    for report in docstore::verify(directory.path()).unwrap() {
        assert_eq!(report.problems, Vec::<String>::new());
    }
}

#[tokio::test]
async fn transactions_are_isolated_and_atomic() {
    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path()).await;
    let accounts: Collection<Document> = client.database("app").collection("accounts");
    accounts.insert_many([doc! { "_id": "a", "v": 10 }, doc! { "_id": "b", "v": 0 }]).await.unwrap();

    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    accounts.update_one(doc! { "_id": "a" }, doc! { "$inc": { "v": -5 } }).session(&mut session).await.unwrap();
    accounts.update_one(doc! { "_id": "b" }, doc! { "$inc": { "v": 5 } }).session(&mut session).await.unwrap();
    accounts.insert_one(doc! { "_id": "c" }).session(&mut session).await.unwrap();
    let inside = accounts.find_one(doc! { "_id": "a" }).session(&mut session).await.unwrap().unwrap();
    assert_eq!(inside.get_i32("v").unwrap(), 5);
    let outside = accounts.find_one(doc! { "_id": "a" }).await.unwrap().unwrap();
    assert_eq!(outside.get_i32("v").unwrap(), 10);

    // Another transaction that wants the same document loses at once.
    let mut other = client.start_session().await.unwrap();
    other.start_transaction().await.unwrap();
    let error =
        accounts.update_one(doc! { "_id": "a" }, doc! { "$set": { "v": 0 } }).session(&mut other).await.unwrap_err();
    assert_eq!(code_of(&error), Some(112));
    assert!(error.contains_label(mongodb::error::TRANSIENT_TRANSACTION_ERROR));
    other.abort_transaction().await.unwrap();

    // A plain write waits for the transaction's end.
    let waiting = {
        let accounts = accounts.clone();
        tokio::spawn(async move { accounts.update_one(doc! { "_id": "a" }, doc! { "$inc": { "v": 100 } }).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    session.commit_transaction().await.unwrap();
    waiting.await.unwrap().unwrap();
    let after = accounts.find_one(doc! { "_id": "a" }).await.unwrap().unwrap();
    assert_eq!(after.get_i32("v").unwrap(), 105);

    // A snapshot does not move, and what changed after it cannot be overwritten.
    let mut late = client.start_session().await.unwrap();
    late.start_transaction().await.unwrap();
    accounts.find_one(doc! { "_id": "b" }).session(&mut late).await.unwrap();
    accounts.update_one(doc! { "_id": "b" }, doc! { "$inc": { "v": 1 } }).await.unwrap();
    let seen = accounts.find_one(doc! { "_id": "b" }).session(&mut late).await.unwrap().unwrap();
    assert_eq!(seen.get_i32("v").unwrap(), 5);
    let error =
        accounts.update_one(doc! { "_id": "b" }, doc! { "$inc": { "v": 1 } }).session(&mut late).await.unwrap_err();
    assert_eq!(code_of(&error), Some(112));

    // Nothing of an aborted one is left.
    let mut aborted = client.start_session().await.unwrap();
    aborted.start_transaction().await.unwrap();
    accounts.insert_one(doc! { "_id": "d" }).session(&mut aborted).await.unwrap();
    accounts.delete_many(doc! {}).session(&mut aborted).await.unwrap();
    aborted.abort_transaction().await.unwrap();
    assert_eq!(accounts.count_documents(doc! {}).await.unwrap(), 3);
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_retried_write_is_done_once() {
    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path()).await;
    let admin = client.database("admin");
    let started = admin.run_command(doc! { "startSession": 1 }).await.unwrap();
    let lsid = started.get_document("id").unwrap().clone();
    drop(client);
    // The driver numbers retries itself, so this speaks the protocol by hand.
    let mut raw = Raw::connect(&server);
    let command = doc! {
        "update": "c", "updates": [{ "q": { "_id": 1 }, "u": { "$inc": { "n": 1 } }, "upsert": true }],
        "lsid": lsid.clone(), "txnNumber": 1_i64, "$db": "app",
    };
    for _ in 0..2 {
        let reply = raw.run(&command);
        assert_eq!(reply.get_i32("n").unwrap(), 1, "{reply}");
        assert!(reply.contains_key("upserted"));
    }
    let many = doc! {
        "insert": "c", "documents": [{ "_id": 2 }, { "_id": 3 }], "lsid": lsid, "txnNumber": 2_i64, "$db": "app",
    };
    for _ in 0..2 {
        assert_eq!(raw.run(&many).get_i32("n").unwrap(), 2);
    }
    let found = raw.run(&doc! { "find": "c", "$db": "app" });
    let batch = found.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    assert_eq!(batch.first(), Some(&Bson::Document(doc! { "_id": 1, "n": 1 })));
    assert_eq!(batch.len(), 3);
    assert_eq!(raw.run(&command).get_i32("code").unwrap(), 225);
    drop(raw);
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn expired_documents_go() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { ttl_interval: Duration::from_millis(50), ..Options::default() };
    let server = open(directory.path(), options).unwrap();
    let client = Client::with_uri_str(server.uri()).await.unwrap();
    let database = client.database("app");
    database
        .run_command(doc! { "createIndexes": "c", "indexes": [{ "key": { "at": 1 }, "name": "at_1", "expireAfterSeconds": 60 }] })
        .await
        .unwrap();
    let now = bson::DateTime::now();
    let old = bson::DateTime::from_millis(now.timestamp_millis() - 120_000);
    let collection: Collection<Document> = database.collection("c");
    let all = [
        doc! { "_id": 1, "at": old },
        doc! { "_id": 2, "at": now },
        doc! { "_id": 3 },
        doc! { "_id": 4, "at": "text" },
    ];
    collection.insert_many(all).await.unwrap();
    let mut left = 4;
    for _ in 0..100 {
        left = collection.count_documents(doc! {}).await.unwrap();
        if left == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(left, 3);
    assert!(collection.find_one(doc! { "_id": 1 }).await.unwrap().is_none());
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_directory_is_open_once() {
    let directory = tempfile::tempdir().unwrap();
    let server = open(directory.path(), Options::default()).unwrap();
    match open(directory.path(), Options::default()) {
        Err(Error::InUse { .. }) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened twice"),
    }
    server.shutdown().await.unwrap();
    open(directory.path(), Options::default()).unwrap().shutdown().await.unwrap();
}

#[tokio::test]
async fn a_long_path_gets_a_socket_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("d".repeat(120));
    let (server, client) = start(&deep).await;
    client.database("app").run_command(doc! { "ping": 1 }).await.unwrap();
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_command_ends_with_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path()).await;
    let database = client.database("app");
    let things: Collection<Document> = database.collection("things");
    things.insert_many((0..3_000).map(|n| doc! { "_id": n })).await.unwrap();
    // Every document with every other.
    let join = doc! { "$lookup": { "from": "things", "let": { "id": "$_id" }, "as": "others", "pipeline": [
        { "$match": { "$expr": { "$gt": ["$_id", "$$id"] } } }, { "$count": "n" },
    ] } };
    let begun = std::time::Instant::now();
    let command = doc! { "aggregate": "things", "pipeline": [join, { "$group": { "_id": { "$size": "$others" } } }],
    "cursor": {}, "maxTimeMS": 200 };
    let error = database.run_command(command).await.unwrap_err();
    assert_eq!(code_of(&error), Some(50), "{error}");
    let find = doc! { "find": "things", "filter": { "$expr": { "$lt": ["$_id", -1] } }, "maxTimeMS": 1 };
    // Fast or late: never anything else.
    if let Err(error) = database.run_command(find).await {
        assert_eq!(code_of(&error), Some(50), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_server_stops_although_its_socket_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path()).await;
    client.database("app").run_command(doc! { "ping": 1 }).await.unwrap();
    std::fs::remove_file(directory.path().join("docstore.sock")).unwrap();
    tokio::time::timeout(Duration::from_secs(20), server.shutdown()).await.unwrap().unwrap();
}

#[tokio::test]
async fn broken_clients_harm_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path()).await;
    let socket = directory.path().join("docstore.sock");
    let things: Collection<Document> = client.database("app").collection("things");
    things.insert_one(doc! { "_id": 1 }).await.unwrap();
    let mut held = Vec::new();
    let mut state = 88_172_645_463_325_252_u64;
    for round in 0..200_usize {
        let mut stream = UnixStream::connect(&socket).unwrap();
        let length = [3, 16, 17, 64, 500][round % 5];
        let mut bytes: Vec<u8> = (0..length)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        if round % 2 == 0 && length >= 16 {
            // A fitting header in front of garbage, sometimes longer than what follows.
            let claimed = [length, length + 1000, i32::MAX, -1][round / 2 % 4];
            bytes[..4].copy_from_slice(&claimed.to_le_bytes());
            bytes[12..16].copy_from_slice(&2013_i32.to_le_bytes());
        }
        drop(stream.write_all(&bytes));
        held.push(stream);
    }
    for _ in 0..1_000 {
        held.push(UnixStream::connect(&socket).unwrap());
    }
    assert_eq!(things.count_documents(doc! {}).await.unwrap(), 1);
    drop(held);
    // Nesting beyond the limit is an error, not the end of a stack.
    let mut deep = doc! {};
    for _ in 0..190 {
        deep = doc! { "a": deep };
    }
    assert!(things.insert_one(deep).await.is_err());
    assert_eq!(things.count_documents(doc! {}).await.unwrap(), 1);
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_index_reads_only_what_it_returns() {
    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path()).await;
    let database = client.database("app");
    let collection: Collection<Document> = database.collection("c");
    collection
        .insert_many((0..20_000).map(|n| doc! { "_id": n, "g": n % 1000, "s": format!("{:05}", 19_999 - n) }))
        .await
        .unwrap();
    database
        .run_command(doc! { "createIndexes": "c", "indexes": [
            { "key": { "g": 1, "s": -1 }, "name": "g_s" }, { "key": { "s": 1 }, "name": "s" },
        ] })
        .await
        .unwrap();
    let examined = async |find: Document| {
        let reply = database.run_command(doc! { "explain": find, "verbosity": "executionStats" }).await.unwrap();
        let stats = reply.get_document("executionStats").unwrap().clone();
        (stats.get_i32("totalDocsExamined").unwrap(), stats.get_i32("nReturned").unwrap())
    };
    assert_eq!(examined(doc! { "find": "c", "filter": { "g": 7 } }).await, (20, 20));
    assert_eq!(examined(doc! { "find": "c", "filter": { "g": { "$in": [7, 9] } } }).await, (40, 40));
    assert_eq!(examined(doc! { "find": "c", "filter": { "g": 7 }, "sort": { "s": 1 }, "limit": 3 }).await, (3, 3));
    assert_eq!(examined(doc! { "find": "c", "sort": { "s": -1 }, "limit": 5 }).await, (5, 5));
    assert_eq!(examined(doc! { "find": "c", "filter": { "s": { "$gte": "00010", "$lt": "00020" } } }).await, (10, 10));
    let sorted: Vec<Document> =
        collection.find(doc! { "g": 7 }).sort(doc! { "s": 1 }).await.unwrap().try_collect().await.unwrap();
    assert!(sorted.windows(2).all(|pair| pair[0].get_str("s").unwrap() < pair[1].get_str("s").unwrap()));
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn dumps_are_restored() {
    let directory = tempfile::tempdir().unwrap();
    let (data, dumped, copy) =
        (directory.path().join("data"), directory.path().join("dump"), directory.path().join("copy"));
    let (server, client) = start(&data).await;
    let collection: Collection<Document> = client.database("app").collection("a/b");
    collection.insert_many((0..50).map(|n| doc! { "_id": n, "u": n })).await.unwrap();
    client
        .database("app")
        .run_command(doc! { "createIndexes": "a/b", "indexes": [{ "key": { "u": 1 }, "name": "u", "unique": true }] })
        .await
        .unwrap();
    drop(client);
    server.shutdown().await.unwrap();
    assert_eq!(docstore::dump(&data, &dumped).unwrap().documents, 50);
    assert_eq!(docstore::restore(&dumped, &copy).unwrap().documents, 50);
    let (server, client) = start(&copy).await;
    let collection: Collection<Document> = client.database("app").collection("a/b");
    let error = collection.insert_one(doc! { "_id": 99, "u": 5 }).await.unwrap_err();
    assert_eq!(code_of(&error), Some(11000));
    assert_eq!(collection.count_documents(doc! {}).await.unwrap(), 50);
    server.shutdown().await.unwrap();
}

/// A connection without a driver.
struct Raw(UnixStream);

impl Raw {
    fn connect(server: &Server) -> Self {
        let uri = server.uri();
        let host = uri.trim_start_matches("mongodb://").split("/?").next().unwrap().to_owned();
        let path = percent_encoding::percent_decode_str(&host).decode_utf8().unwrap().into_owned();
        Self(UnixStream::connect(path).unwrap())
    }

    fn run(&mut self, command: &Document) -> Document {
        let body = command.to_vec().unwrap();
        let mut message = Vec::new();
        for word in [21 + body.len() as i32, 1, 0, 2013, 0] {
            message.extend_from_slice(&word.to_le_bytes());
        }
        message.push(0);
        message.extend_from_slice(&body);
        self.0.write_all(&message).unwrap();
        let mut header = [0; 16];
        self.0.read_exact(&mut header).unwrap();
        let length = i32::from_le_bytes(header[..4].try_into().unwrap()) as usize;
        let mut payload = vec![0; length - 16];
        self.0.read_exact(&mut payload).unwrap();
        Document::from_reader(&payload[5..]).unwrap()
    }
}
