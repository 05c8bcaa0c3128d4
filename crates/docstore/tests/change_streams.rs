//! Change streams and tailable cursors, through the official driver and by commands.
//! Source: MongoDB manual, "Change Streams", "Change Events", "Tailable Cursors".

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::{Duration, Instant};

use bson::{Bson, Document, doc};
use docstore::{Options, Server, open};
use futures::{StreamExt, TryStreamExt};
use mongodb::change_stream::event::{ChangeStreamEvent, OperationType};
use mongodb::error::ErrorKind;
use mongodb::options::{FullDocumentBeforeChangeType, FullDocumentType};
use mongodb::{Client, Collection};

async fn start(directory: &Path, options: Options) -> (Server, Client) {
    let server = open(directory, options).unwrap();
    let client = Client::with_uri_str(server.uri()).await.unwrap();
    (server, client)
}

fn code_of(error: &mongodb::error::Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

type Event = ChangeStreamEvent<Document>;

#[tokio::test]
async fn a_collection_is_watched_through_its_life() {
    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path(), Options::default()).await;
    let things: Collection<Document> = client.database("app").collection("things");
    let mut stream = things.watch().full_document(FullDocumentType::UpdateLookup).await.unwrap();
    let writer = things.clone();
    let writing = tokio::spawn(async move {
        // The stream waits already when the first write comes.
        tokio::time::sleep(Duration::from_millis(100)).await;
        writer.insert_one(doc! { "_id": 1, "a": 1, "list": [1, 2], "gone": true }).await.unwrap();
        let update = doc! { "$set": { "a": 2, "deep.er": "x" }, "$unset": { "gone": "" }, "$push": { "list": 3 } };
        writer.update_one(doc! { "_id": 1 }, update).await.unwrap();
        writer.replace_one(doc! { "_id": 1 }, doc! { "b": 1 }).await.unwrap();
        let pipeline = vec![doc! { "$set": { "c": { "$add": ["$b", 1] } } }];
        writer.update_one(doc! { "_id": 1 }, pipeline).await.unwrap();
        // What changes nothing is no event.
        writer.update_one(doc! { "_id": 1 }, doc! { "$set": { "b": 1 } }).await.unwrap();
        writer.delete_one(doc! { "_id": 1 }).await.unwrap();
        writer.drop().await.unwrap();
    });
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(event.unwrap());
    }
    writing.await.unwrap();
    let types: Vec<OperationType> = events.iter().map(|event| event.operation_type.clone()).collect();
    use OperationType as Type;
    assert_eq!(
        types,
        [Type::Insert, Type::Update, Type::Replace, Type::Update, Type::Delete, Type::Drop, Type::Invalidate]
    );
    assert_eq!(events[0].full_document, Some(doc! { "_id": 1, "a": 1, "list": [1, 2], "gone": true }));
    assert_eq!(events[0].document_key, Some(doc! { "_id": 1 }));
    let namespace = events[0].ns.as_ref().unwrap();
    assert_eq!((namespace.db.as_str(), namespace.coll.as_deref()), ("app", Some("things")));
    let description = events[1].update_description.as_ref().unwrap();
    let updated = &description.updated_fields;
    assert_eq!(updated.len(), 3, "{updated}");
    assert_eq!(updated.get("a"), Some(&Bson::Int32(2)));
    assert_eq!(updated.get("deep"), Some(&doc! { "er": "x" }.into()));
    assert_eq!(updated.get("list.2"), Some(&Bson::Int32(3)));
    assert_eq!(description.removed_fields, ["gone"]);
    assert_eq!(events[2].full_document, Some(doc! { "_id": 1, "b": 1 }));
    assert_eq!(events[3].update_description.as_ref().unwrap().updated_fields, doc! { "c": 2 });
    assert!(events.is_sorted_by_key(|event| event.cluster_time));
    assert!(events.iter().all(|event| event.wall_time.is_some()));
    // The document an update is shown with is the present one; here it may be gone by the time it is looked up.
    assert_eq!(events[4].document_key, Some(doc! { "_id": 1 }));
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_stream_resumes_where_it_ended_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path(), Options::default()).await;
    let things: Collection<Document> = client.database("app").collection("things");
    let mut stream = things.watch().await.unwrap();
    things.insert_many((0..10).map(|n| doc! { "_id": n })).await.unwrap();
    things.update_one(doc! { "_id": 0 }, doc! { "$set": { "seen": 1 } }).await.unwrap();
    let mut tokens = Vec::new();
    let mut times = Vec::new();
    for _ in 0..5 {
        let event: Event = stream.next().await.unwrap().unwrap();
        times.push(event.cluster_time.unwrap());
        tokens.push(event.id);
    }
    assert_eq!(stream.resume_token(), tokens.last().cloned());
    drop(stream);
    let rest = |events: &[Event]| -> Vec<Bson> {
        events.iter().map(|event| event.document_key.as_ref().unwrap().get("_id").unwrap().clone()).collect()
    };
    let mut resumed = things.watch().resume_after(tokens[3].clone()).await.unwrap();
    let mut events = Vec::new();
    for _ in 0..7 {
        events.push(resumed.next().await.unwrap().unwrap());
    }
    assert_eq!(rest(&events), [4, 5, 6, 7, 8, 9, 0].map(Bson::Int32));
    drop((resumed, client));
    server.shutdown().await.unwrap();

    let (server, client) = start(directory.path(), Options::default()).await;
    let things: Collection<Document> = client.database("app").collection("things");
    things.insert_one(doc! { "_id": 10 }).await.unwrap();
    let mut resumed = things.watch().start_after(tokens[4].clone()).await.unwrap();
    let mut events = Vec::new();
    for _ in 0..7 {
        events.push(resumed.next().await.unwrap().unwrap());
    }
    assert_eq!(rest(&events), [5, 6, 7, 8, 9, 0, 10].map(Bson::Int32));
    // From a time on, the change of that time included.
    let mut from = things.watch().start_at_operation_time(times[4]).await.unwrap();
    let first = from.next().await.unwrap().unwrap();
    assert_eq!(first.document_key, Some(doc! { "_id": 4 }));
    // A token of another collection is not found, one from before the log is lost, a made-up one is refused.
    let database = client.database("app");
    let watch = |collection: &str, stage: Document| {
        let command = doc! { "aggregate": collection, "pipeline": [{ "$changeStream": stage }], "cursor": {} };
        let database = database.clone();
        async move { code_of(&database.run_command(command).await.unwrap_err()) }
    };
    let token = bson::serialize_to_bson(&tokens[4]).unwrap();
    assert_eq!(watch("others", doc! { "resumeAfter": token }).await, Some(280));
    let old = bson::Timestamp { time: 1, increment: 1 };
    assert_eq!(watch("things", doc! { "startAtOperationTime": old }).await, Some(286));
    assert_eq!(watch("things", doc! { "resumeAfter": { "_data": "zz" } }).await, Some(9));
    assert_eq!(watch("things", doc! { "resumeAfter": { "x": 1 } }).await, Some(40647));
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn databases_and_the_deployment_are_watched_and_transactions_arrive_whole() {
    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path(), Options::default()).await;
    let one: Collection<Document> = client.database("one").collection("c");
    let two: Collection<Document> = client.database("two").collection("c");
    let mut database = client.database("one").watch().await.unwrap();
    let mut all = client.watch().await.unwrap();
    let mut filtered = client
        .watch()
        .pipeline([doc! { "$match": { "operationType": "delete" } }, doc! { "$project": { "documentKey": 1 } }])
        .await
        .unwrap()
        .with_type::<Document>();
    one.insert_one(doc! { "_id": 1 }).await.unwrap();
    two.insert_one(doc! { "_id": 2 }).await.unwrap();
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    one.insert_one(doc! { "_id": 3 }).session(&mut session).await.unwrap();
    two.delete_one(doc! { "_id": 2 }).session(&mut session).await.unwrap();
    // Nothing of it is visible before the commit, nothing of an aborted one ever.
    let mut aborted = client.start_session().await.unwrap();
    aborted.start_transaction().await.unwrap();
    one.insert_one(doc! { "_id": 4 }).session(&mut aborted).await.unwrap();
    aborted.abort_transaction().await.unwrap();
    session.commit_transaction().await.unwrap();
    client.database("one").drop().await.unwrap();

    let mut seen = Vec::new();
    for _ in 0..4 {
        let event = all.next().await.unwrap().unwrap();
        seen.push((event.operation_type, event.document_key.unwrap().get_i32("_id").unwrap(), event.cluster_time));
    }
    assert_eq!(seen.iter().map(|(_, id, _)| *id).collect::<Vec<_>>(), [1, 2, 3, 2]);
    assert_eq!(seen[3].0, OperationType::Delete);
    assert_eq!(seen[2].2, seen[3].2, "the changes of a transaction have one time");
    let mut types = Vec::new();
    while let Some(event) = database.next().await {
        types.push(event.unwrap().operation_type);
    }
    use OperationType as Type;
    assert_eq!(types, [Type::Insert, Type::Insert, Type::Drop, Type::DropDatabase, Type::Invalidate]);
    let event = filtered.next().await.unwrap().unwrap();
    assert_eq!(event.get_document("documentKey").unwrap(), &doc! { "_id": 2 });
    assert_eq!(event.len(), 2);
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn images_of_documents_before_and_after() {
    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path(), Options::default()).await;
    let database = client.database("app");
    database.run_command(doc! { "create": "kept", "changeStreamPreAndPostImages": { "enabled": true } }).await.unwrap();
    let kept: Collection<Document> = database.collection("kept");
    let mut stream = kept
        .watch()
        .full_document(FullDocumentType::Required)
        .full_document_before_change(FullDocumentBeforeChangeType::Required)
        .await
        .unwrap();
    kept.insert_one(doc! { "_id": 1, "v": 1 }).await.unwrap();
    kept.update_one(doc! { "_id": 1 }, doc! { "$set": { "v": 2 } }).await.unwrap();
    kept.update_one(doc! { "_id": 1 }, doc! { "$set": { "v": 3 } }).await.unwrap();
    kept.delete_one(doc! { "_id": 1 }).await.unwrap();
    let mut events = Vec::new();
    for _ in 0..4 {
        events.push(stream.next().await.unwrap().unwrap());
    }
    assert_eq!(events[0].full_document_before_change, None);
    assert_eq!(events[1].full_document_before_change, Some(doc! { "_id": 1, "v": 1 }));
    assert_eq!(events[1].full_document, Some(doc! { "_id": 1, "v": 2 }));
    assert_eq!(events[3].full_document_before_change, Some(doc! { "_id": 1, "v": 3 }));

    let plain: Collection<Document> = database.collection("plain");
    let mut available =
        plain.watch().full_document_before_change(FullDocumentBeforeChangeType::WhenAvailable).await.unwrap();
    let mut required = plain.watch().full_document_before_change(FullDocumentBeforeChangeType::Required).await.unwrap();
    plain.insert_one(doc! { "_id": 1 }).await.unwrap();
    plain.delete_one(doc! { "_id": 1 }).await.unwrap();
    assert_eq!(available.next().await.unwrap().unwrap().operation_type, OperationType::Insert);
    assert_eq!(available.next().await.unwrap().unwrap().full_document_before_change, None);
    let error = loop {
        match required.next().await.unwrap() {
            Ok(event) => assert_eq!(event.operation_type, OperationType::Insert),
            Err(error) => break error,
        }
    };
    assert_eq!(code_of(&error), Some(47));
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_a_stream_may_not_be() {
    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path(), Options::default()).await;
    let database = client.database("app");
    let run = |database: &str, target: Bson, stages: Vec<Document>| {
        let database = client.database(database);
        async move {
            let stages: Vec<Bson> = stages.into_iter().map(Bson::Document).collect();
            let command = doc! { "aggregate": target, "pipeline": stages, "cursor": {} };
            code_of(&database.run_command(command).await.unwrap_err())
        }
    };
    let stream = doc! { "$changeStream": {} };
    assert_eq!(run("app", "c".into(), vec![doc! { "$match": {} }, stream.clone()]).await, Some(40602));
    assert_eq!(run("app", "c".into(), vec![stream.clone(), doc! { "$group": { "_id": 1 } }]).await, Some(20));
    assert_eq!(run("app", "c".into(), vec![stream.clone(), doc! { "$nothing": 1 }]).await, Some(40324));
    assert_eq!(run("admin", "c".into(), vec![stream.clone()]).await, Some(73));
    assert_eq!(run("app", 1.into(), vec![doc! { "$changeStream": { "allChangesForCluster": true } }]).await, Some(72));
    assert_eq!(run("app", "c".into(), vec![doc! { "$changeStream": { "nothing": 1 } }]).await, Some(40415));
    assert_eq!(run("app", "c".into(), vec![doc! { "$changeStream": { "fullDocument": "x" } }]).await, Some(2));
    let time = bson::Timestamp { time: 1, increment: 1 };
    let both = doc! { "$changeStream": { "startAtOperationTime": time, "resumeAfter": { "_data": "8200000000000000000000000001" } } };
    assert_eq!(run("app", "c".into(), vec![both]).await, Some(50674));
    database.run_command(doc! { "create": "view", "viewOn": "c", "pipeline": [] }).await.unwrap();
    assert_eq!(run("app", "view".into(), vec![stream.clone()]).await, Some(166));

    // A pipeline that takes the token away ends the stream.
    let things: Collection<Document> = database.collection("things");
    let mut blind = things.watch().pipeline([doc! { "$unset": "_id" }]).await.unwrap().with_type::<Document>();
    things.insert_one(doc! { "_id": 1 }).await.unwrap();
    assert_eq!(code_of(&blind.next().await.unwrap().unwrap_err()), Some(280));
    server.shutdown().await.unwrap();

    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path(), Options { change_log_bytes: 0, ..Options::default() }).await;
    let error = client.database("app").watch().await.unwrap_err();
    assert_eq!(code_of(&error), Some(40573));
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn old_changes_go_when_the_log_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { change_log_bytes: 4 * 1024 * 1024, ..Options::default() };
    let (server, client) = start(directory.path(), options).await;
    let things: Collection<Document> = client.database("app").collection("things");
    let mut stream = things.watch().await.unwrap();
    things.insert_one(doc! { "_id": "first" }).await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    // Noise that no compression makes small.
    let mut noise = 0x2545_F491_4F6C_DD1D_u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise as u8
    })
    .take(1 << 20)
    .collect();
    let mut lost = false;
    for round in 0..200_u32 {
        let mut bytes = bytes.clone();
        bytes.rotate_left(round as usize * 997);
        let blob = bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes };
        things.replace_one(doc! { "_id": "first" }, doc! { "blob": blob }).await.unwrap();
        if round % 20 == 19 {
            match things.watch().resume_after(first.id.clone()).await {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(code_of(&error), Some(286), "{error}");
                    assert!(error.contains_label("NonResumableChangeStreamError"));
                    lost = true;
                    break;
                }
            }
        }
    }
    assert!(lost, "the log kept everything");
    server.shutdown().await.unwrap();
    // Nothing but the log was lost.
    for report in docstore::verify(directory.path()).unwrap() {
        assert_eq!(report.problems, Vec::<String>::new());
    }
}

#[tokio::test]
async fn waiting_ends_with_the_time_the_cursor_or_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path(), Options::default()).await;
    let database = client.database("app");
    let opened = database
        .run_command(doc! { "aggregate": 1, "pipeline": [{ "$changeStream": {} }], "cursor": {} })
        .await
        .unwrap();
    let cursor = opened.get_document("cursor").unwrap();
    assert!(cursor.get_document("postBatchResumeToken").unwrap().get_str("_data").is_ok());
    let id = cursor.get_i64("id").unwrap();
    let more = doc! { "getMore": id, "collection": "$cmd.aggregate", "maxTimeMS": 200 };
    let begun = Instant::now();
    let reply = database.run_command(more.clone()).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(190), "{:?}", begun.elapsed());
    assert!(reply.get_document("cursor").unwrap().get_array("nextBatch").unwrap().is_empty());

    let long = doc! { "getMore": id, "collection": "$cmd.aggregate", "maxTimeMS": 9_000 };
    let begun = Instant::now();
    let waiting = tokio::spawn({
        let (database, long) = (database.clone(), long.clone());
        async move { database.run_command(long).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    database.run_command(doc! { "killCursors": "$cmd.aggregate", "cursors": [id] }).await.unwrap();
    assert_eq!(code_of(&waiting.await.unwrap().unwrap_err()), Some(237));
    assert!(begun.elapsed() < Duration::from_secs(4));

    let mut stream = client.watch().max_await_time(Duration::from_secs(9)).await.unwrap();
    let waiting = tokio::spawn(async move { stream.next_if_any().await.map(|_| ()) });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    server.shutdown().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    waiting.abort();
}

#[tokio::test]
async fn capped_collections_are_tailed() {
    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path(), Options::default()).await;
    let database = client.database("app");
    database.run_command(doc! { "create": "log", "capped": true, "size": 8192, "max": 5 }).await.unwrap();
    let log: Collection<Document> = database.collection("log");
    log.insert_one(doc! { "_id": 0 }).await.unwrap();
    let tail = log.find(doc! { "skip": { "$ne": true } }).cursor_type(mongodb::options::CursorType::TailableAwait);
    let mut tail = tail.await.unwrap();
    let writer = log.clone();
    let writing = tokio::spawn(async move {
        for n in 1..4 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            writer.insert_one(doc! { "_id": n, "skip": n == 2 }).await.unwrap();
        }
    });
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.push(tail.try_next().await.unwrap().unwrap().get_i32("_id").unwrap());
    }
    assert_eq!(seen, [0, 1, 3]);
    writing.await.unwrap();
    // Pushed out of the collection, the cursor's place is lost.
    log.insert_many((10..20).map(|n| doc! { "_id": n })).await.unwrap();
    let error = tail.try_next().await.unwrap_err();
    assert_eq!(code_of(&error), Some(136));

    let find = |collection: &str, more: Document| {
        let mut command = doc! { "find": collection, "tailable": true };
        command.extend(more);
        let database = database.clone();
        async move { database.run_command(command).await.map_err(|error| code_of(&error)) }
    };
    database.run_command(doc! { "create": "plain" }).await.unwrap();
    assert_eq!(find("plain", doc! {}).await.unwrap_err(), Some(2));
    assert_eq!(find("log", doc! { "sort": { "n": 1 } }).await.unwrap_err(), Some(2));
    assert_eq!(find("log", doc! { "singleBatch": true }).await.unwrap_err(), Some(9));
    assert_eq!(find("log", doc! { "tailable": false, "awaitData": true }).await.unwrap_err(), Some(9));
    database.run_command(doc! { "create": "empty", "capped": true, "size": 4096 }).await.unwrap();
    let reply = find("empty", doc! {}).await.unwrap();
    assert_eq!(reply.get_document("cursor").unwrap().get_i64("id").unwrap(), 0);
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_first_stream_of_a_directory_reaches_back() {
    let directory = tempfile::tempdir().unwrap();
    let (server, client) = start(directory.path(), Options::default()).await;
    let things: Collection<Document> = client.database("app").collection("things");
    let started = client.database("app").run_command(doc! { "ping": 1 }).await.unwrap();
    let time = started.get_timestamp("operationTime").unwrap();
    things.insert_many((0..3).map(|n| doc! { "_id": n })).await.unwrap();
    things.delete_one(doc! { "_id": 1 }).await.unwrap();
    let mut stream = things.watch().start_at_operation_time(time).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let event = stream.next().await.unwrap().unwrap();
        seen.push((event.operation_type, event.document_key.unwrap().get_i32("_id").unwrap()));
    }
    use OperationType::{Delete, Insert};
    assert_eq!(seen, [(Insert, 0), (Insert, 1), (Insert, 2), (Delete, 1)]);
    drop((stream, client));
    server.shutdown().await.unwrap();
    // From then on the log is on disk.
    let (server, client) = start(directory.path(), Options::default()).await;
    let things: Collection<Document> = client.database("app").collection("things");
    let mut stream = things.watch().start_at_operation_time(time).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().document_key, Some(doc! { "_id": 0 }));
    server.shutdown().await.unwrap();
}
