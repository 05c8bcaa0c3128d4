//! The mongodb-atlas service against the embedded store, and against a real deployment where `SELVEDGE_TEST_MONGODB` names
//! one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::raw::RawDocumentBuf;
use bson::{Bson, Document, doc};
use services::mongodb_atlas::{Connection, ConnectionSettings, DataSource};
use services::{Authority, Registry, Run, Service, ServiceError, ServiceLimits, SystemContext};

const SERVICE: &str = "mongodb-atlas";

/// One deployment to test against, with an empty database of its own.
struct Deployment {
    connection: Connection,
    database: String,
    // Fields drop in order: the store goes after the connection.
    _store: Option<(docstore::Server, tempfile::TempDir)>,
}

async fn deployments() -> Vec<Deployment> {
    let directory = tempfile::tempdir().expect("a directory for the store");
    let store = docstore::open(directory.path(), docstore::Options::default()).expect("the store opens");
    let mut deployments = vec![Deployment {
        connection: connect(&store.uri()).await,
        database: database_name(),
        _store: Some((store, directory)),
    }];
    match std::env::var("SELVEDGE_TEST_MONGODB") {
        Ok(uri) => {
            deployments.push(Deployment { connection: connect(&uri).await, database: database_name(), _store: None })
        }
        Err(_) => eprintln!("SELVEDGE_TEST_MONGODB is not set: tested against the embedded store only"),
    }
    deployments
}

async fn connect(uri: &str) -> Connection {
    Connection::open(uri, ConnectionSettings::default()).await.expect("the connection string is good")
}

fn database_name() -> String {
    format!("services_{}", bson::oid::ObjectId::new().to_hex())
}

/// A run of an app with one data source.
struct TestRun {
    run: Arc<Run>,
    database: String,
}

impl Deployment {
    fn start_run(&self, limits: ServiceLimits) -> TestRun {
        let mut registry = Registry::new(limits);
        registry.add(SERVICE, Service::MongoDb(DataSource::new(self.connection.clone())));
        TestRun {
            run: Arc::new(registry).start_run(Arc::new(SystemContext::default())),
            database: self.database.clone(),
        }
    }

    async fn clear(&self) {
        let run = self.start_run(ServiceLimits::default());
        run.call("deleteMany", doc! {}).await.expect("deleteMany");
    }
}

impl TestRun {
    async fn call(&self, action: &str, arguments: Document) -> Result<Document, ServiceError> {
        self.call_as(&Authority::System, action, arguments).await
    }

    async fn call_as(
        &self,
        authority: &Authority,
        action: &str,
        arguments: Document,
    ) -> Result<Document, ServiceError> {
        let mut all = doc! { "db": &self.database, "collection": "things" };
        all.extend(arguments);
        let raw = RawDocumentBuf::try_from(&all).expect("test arguments encode");
        let reply = self.run.call(SERVICE, action, raw, authority).await?;
        Ok(Document::try_from(&*reply).expect("replies are well-formed"))
    }

    async fn insert(&self, documents: impl IntoIterator<Item = Document>) {
        let documents: Vec<Document> = documents.into_iter().collect();
        self.call("insertMany", doc! { "documents": documents }).await.expect("insertMany");
    }

    async fn count(&self) -> i32 {
        let reply = self.call("count", doc! {}).await.expect("count");
        reply.get_i32("value").expect("a small count is an int")
    }
}

fn ids(reply: &Document) -> Vec<i32> {
    let documents = reply.get_array("documents").expect("a batch");
    documents
        .iter()
        .map(|document| document.as_document().and_then(|document| document.get_i32("_id").ok()).expect("an int _id"))
        .collect()
}

#[tokio::test]
async fn a_cursor_gives_batches_until_it_ends() {
    for deployment in deployments().await {
        let run = deployment.start_run(ServiceLimits::default());
        run.insert((0..25).map(|id| doc! { "_id": id })).await;
        let options = doc! { "sort": { "_id": 1 }, "batchSize": 10 };
        let first = run.call("find", doc! { "options": options }).await.expect("find");
        let cursor = first.get_i32("cursor").expect("a number");
        assert_ne!(cursor, 0);
        let mut seen = ids(&first);
        assert_eq!(seen.len(), 10);
        loop {
            let next = run.call("getMore", doc! { "cursor": cursor }).await.expect("getMore");
            seen.extend(ids(&next));
            if next.get_i32("cursor").expect("a number") == 0 {
                break;
            }
        }
        assert_eq!(seen, (0..25).collect::<Vec<_>>());
        let after = run.call("getMore", doc! { "cursor": cursor }).await.expect("a cursor that ended gives nothing");
        assert_eq!(after, doc! { "cursor": 0, "documents": [] });
        deployment.clear().await;
    }
}

#[tokio::test]
async fn a_query_ends_silently_at_the_bound_and_cursors_are_counted() {
    let limits = ServiceLimits { documents_per_query_max: 7, open_cursors_max: 2, ..ServiceLimits::default() };
    for deployment in deployments().await {
        let run = deployment.start_run(limits);
        run.insert((0..25).map(|id| doc! { "_id": id })).await;
        let options = || doc! { "sort": { "_id": 1 }, "batchSize": 5 };
        let first = run.call("find", doc! { "options": options() }).await.expect("find");
        let cursor = first.get_i32("cursor").expect("a number");
        let last = run.call("getMore", doc! { "cursor": cursor }).await.expect("getMore");
        assert_eq!((ids(&first), ids(&last)), ((0..5).collect(), vec![5, 6]));
        assert_eq!(last.get_i32("cursor").ok(), Some(0));

        for _ in 0..2 {
            run.call("find", doc! { "options": options() }).await.expect("two may be open");
        }
        let error = run.call("find", doc! { "options": options() }).await.expect_err("a third may not");
        assert!(error.to_string().starts_with("too many open cursors"), "{error}");
        run.call("killCursor", doc! { "cursor": 3 }).await.expect("killCursor");
        run.call("find", doc! { "options": options() }).await.expect("now there is room again");
        deployment.clear().await;
    }
}

#[tokio::test]
async fn results_have_the_documented_shapes() {
    for deployment in deployments().await {
        let run = deployment.start_run(ServiceLimits::default());
        let reply = run.call("insertOne", doc! { "document": { "a": 1 } }).await.expect("insertOne");
        assert_eq!(reply.keys().collect::<Vec<_>>(), ["insertedId"]);
        assert!(matches!(reply.get("insertedId"), Some(Bson::ObjectId(_))));
        let reply = run.call("insertMany", doc! { "documents": [{ "_id": "k" }, { "_id": 5_i64 }] }).await;
        assert_eq!(reply.expect("insertMany"), doc! { "insertedIds": ["k", 5_i64] });

        let update =
            |options: Document| doc! { "filter": { "a": 1 }, "update": { "$set": { "b": 1 } }, "options": options };
        let changed = run.call("updateOne", update(doc! {})).await.expect("updateOne");
        assert_eq!(changed, doc! { "matchedCount": 1, "modifiedCount": 1 });
        let same = run.call("updateOne", update(doc! { "upsert": true })).await.expect("updateOne");
        assert_eq!(same, doc! { "matchedCount": 1, "modifiedCount": 0 });
        let upsert = doc! { "filter": { "_id": 7 }, "update": { "$set": { "b": 1 } }, "options": { "upsert": true } };
        let upserted = run.call("updateOne", upsert).await.expect("updateOne");
        assert_eq!(upserted, doc! { "matchedCount": 0, "modifiedCount": 0, "upsertedId": 7 });

        let found = run.call("findOne", doc! { "filter": { "_id": 7 } }).await.expect("findOne");
        assert_eq!(found, doc! { "value": { "_id": 7, "b": 1 } });
        let missed = run.call("findOne", doc! { "filter": { "_id": 8 } }).await.expect("findOne");
        assert_eq!(missed, doc! { "value": null });
        let distinct = run.call("distinct", doc! { "field": "b" }).await.expect("distinct");
        assert_eq!(distinct, doc! { "value": [1] });
        let deleted = run.call("deleteMany", doc! { "filter": {} }).await.expect("deleteMany");
        assert_eq!(deleted, doc! { "deletedCount": 4 });
    }
}

#[tokio::test]
async fn a_bulk_write_tells_what_it_did() {
    for deployment in deployments().await {
        let run = deployment.start_run(ServiceLimits::default());
        let reply = run
            .call(
                "bulkWrite",
                doc! {
                    "operations": [
                        { "kind": "insertOne", "document": { "_id": 1 } },
                        { "kind": "insertOne", "document": { "_id": 2 } },
                        { "kind": "updateOne", "filter": 0, "update": { "$set": { "a": 1 } } },
                        { "kind": "updateMany", "filter": 1, "update": { "$set": { "b": 1 } }, "upsert": true },
                        { "kind": "replaceOne", "filter": 2, "replacement": { "c": 1 } },
                        { "kind": "deleteOne", "filter": 0 },
                    ],
                    "filter": [{ "_id": 1 }, { "_id": 9 }, { "_id": 2 }],
                },
            )
            .await
            .expect("bulkWrite");
        assert_eq!(
            reply,
            doc! {
                "insertedCount": 2, "matchedCount": 2, "modifiedCount": 2, "deletedCount": 1, "upsertedCount": 1,
                "insertedIds": { "0": 1, "1": 2 }, "upsertedIds": { "3": 9 },
            }
        );
        deployment.clear().await;
    }
}

#[tokio::test]
async fn a_failing_bulk_write_lists_every_error() {
    for deployment in deployments().await {
        let run = deployment.start_run(ServiceLimits::default());
        run.insert([doc! { "_id": 1 }]).await;
        let operations = || -> Vec<Document> {
            [1, 10, 1].iter().map(|id| doc! { "kind": "insertOne", "document": { "_id": id } }).collect()
        };
        let ordered = run.call("bulkWrite", doc! { "operations": operations() }).await.expect_err("a duplicate");
        let ServiceError::Write { errors, .. } = &ordered else { panic!("{ordered:?}") };
        assert_eq!(errors.iter().map(|failure| (failure.index, failure.code)).collect::<Vec<_>>(), [(0, 11000)]);
        assert_eq!(run.count().await, 1);

        let arguments = doc! { "operations": operations(), "options": { "ordered": false } };
        let unordered = run.call("bulkWrite", arguments).await.expect_err("two duplicates");
        let ServiceError::Write { errors, .. } = &unordered else { panic!("{unordered:?}") };
        assert_eq!(errors.iter().map(|failure| failure.index).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(unordered.code(), Some(11000));
        assert_eq!(unordered.code_name(), Some("DuplicateKey"));
        assert!(
            unordered.to_string().starts_with("write exception: write errors: [E11000 duplicate key"),
            "{unordered}"
        );
        assert_eq!(run.count().await, 2);
        deployment.clear().await;
    }
}

#[tokio::test]
async fn mistakes_are_named() {
    for deployment in deployments().await {
        let run = deployment.start_run(ServiceLimits::default());
        run.insert([doc! { "_id": 1, "a": 1 }]).await;
        let replace_many = doc! { "filter": {}, "update": { "a": 2 } };
        for (action, arguments, code, text) in [
            ("insertOne", doc! { "document": 5 }, "InvalidParameter", "insertOne: 'document' must be an object"),
            (
                "insertMany",
                doc! { "documents": [] },
                "InvalidParameter",
                "insertMany: 'documents' must hold at least one",
            ),
            ("find", doc! { "filter": 5 }, "InvalidParameter", "find: 'filter' must be an object"),
            (
                "find",
                doc! { "filter": { "a": Bson::Undefined } },
                "MongoDBError",
                "(BadValue) cannot compare to undefined",
            ),
            ("find", doc! { "filter": { "a": { "$foo": 1 } } }, "MongoDBError", "(BadValue) unknown operator: $foo"),
            ("find", doc! { "collection": "" }, "InvalidParameter", "find: 'collection' must be a name"),
            (
                "updateOne",
                doc! { "update": {} },
                "InvalidParameter",
                "updateOne: 'update' must be an update that is not empty",
            ),
            (
                "updateMany",
                replace_many,
                "MongoDBError",
                "write exception: write errors: [multi update is not supported",
            ),
            (
                "replaceOne",
                doc! { "replacement": { "$set": {} } },
                "InvalidParameter",
                "replaceOne: 'replacement' must be",
            ),
            ("aggregate", doc! { "pipeline": {} }, "InvalidParameter", "aggregate: 'pipeline' must be an array"),
            (
                "aggregate",
                doc! { "pipeline": [{ "$indexStats": {} }] },
                "InvalidParameter",
                "aggregate: stage $indexStats",
            ),
            (
                "bulkWrite",
                doc! { "operations": [] },
                "InvalidParameter",
                "Failed to execute bulk writes: no operations specified",
            ),
            ("dropDatabase", doc! {}, "ServiceCommandNotFound", "service 'mongodb-atlas' has no action 'dropDatabase'"),
        ] {
            let error = run.call(action, arguments.clone()).await.expect_err(&format!("{action} {arguments}"));
            assert!(error.to_string().starts_with(text), "{action} {arguments}: {error}");
            assert_eq!(error.error_code(), code, "{action} {arguments}: {error}");
        }
        assert_eq!(run.count().await, 1);
        deployment.clear().await;
    }
}

#[tokio::test]
async fn transactions_commit_abort_and_end_with_the_run() {
    for deployment in deployments().await {
        let run = deployment.start_run(ServiceLimits::default());
        run.insert([doc! { "_id": 1, "a": 1 }]).await;
        let session = |number: i32| doc! { "id": 1, "transaction": { "number": number, "options": { "readConcern": { "level": "snapshot" } } } };
        let insert = |id: i32, number: i32| doc! { "document": { "_id": id }, "session": session(number) };

        run.call("insertOne", insert(2, 1)).await.expect("insertOne");
        assert_eq!(run.count().await, 1, "nothing shows before the commit");
        let inside = run.call("count", doc! { "session": session(1) }).await.expect("count");
        assert_eq!(inside, doc! { "value": 2 });
        run.call("commitTransaction", doc! { "session": session(1) }).await.expect("commit");
        run.call("commitTransaction", doc! { "session": session(1) }).await.expect("a commit may be sent again");
        assert_eq!(run.count().await, 2);

        run.call("insertOne", insert(3, 2)).await.expect("insertOne");
        let bulk = doc! {
            "operations": [{ "kind": "updateOne", "filter": 0, "update": { "$set": { "a": 5 } } }],
            "filter": [{ "_id": 1 }],
            "session": session(2),
        };
        run.call("bulkWrite", bulk).await.expect("bulkWrite in a transaction");
        run.call("abortTransaction", doc! { "session": session(2) }).await.expect("abort");
        run.call("abortTransaction", doc! { "session": session(2) }).await.expect("nothing to abort is fine");
        assert_eq!(run.count().await, 2);

        let never = run.call("commitTransaction", doc! { "session": session(3) }).await.expect_err("it never started");
        assert_eq!(never.code_name(), Some("NoSuchTransaction"));

        let change = doc! { "filter": { "_id": 1 }, "update": { "$set": { "a": 9 } }, "session": session(4) };
        run.call("updateOne", change).await.expect("updateOne");
        run.run.end();
        let over = run.call("count", doc! {}).await.expect_err("the run is over");
        assert_eq!(over.to_string(), "the run has ended");

        let next = deployment.start_run(ServiceLimits::default());
        let change = doc! { "filter": { "_id": 1, "a": 1 }, "update": { "$set": { "a": 2 } } };
        let started = Instant::now();
        let changed = next.call("updateOne", change).await.expect("the open transaction blocks nobody");
        assert_eq!(changed, doc! { "matchedCount": 1, "modifiedCount": 1 });
        assert!(started.elapsed() < Duration::from_secs(5));
        deployment.clear().await;
    }
}

#[tokio::test]
async fn operations_of_one_session_wait_for_each_other() {
    for deployment in deployments().await {
        let run = deployment.start_run(ServiceLimits::default());
        let session = || doc! { "id": 1, "transaction": { "number": 1 } };
        let insert = |id: i32| run.call("insertOne", doc! { "document": { "_id": id }, "session": session() });
        let results = futures::future::join_all((0..10).map(insert)).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        run.call("commitTransaction", doc! { "session": session() }).await.expect("commit");
        assert_eq!(run.count().await, 10);
        deployment.clear().await;
    }
}

#[tokio::test]
async fn names_are_listed() {
    for deployment in deployments().await {
        let run = deployment.start_run(ServiceLimits::default());
        run.insert([doc! { "_id": 1 }]).await;
        run.call("insertOne", doc! { "collection": "others", "document": {} }).await.expect("insertOne");
        let names = run.call("getCollectionNames", doc! {}).await.expect("getCollectionNames");
        assert_eq!(names, doc! { "names": ["others", "things"] });
        let names = run.call("getDBNames", doc! {}).await.expect("getDBNames");
        assert!(names.get_array("names").expect("names").contains(&Bson::from(&deployment.database)));
        run.call("deleteMany", doc! { "collection": "others" }).await.expect("deleteMany");
        deployment.clear().await;
    }
}

#[tokio::test]
async fn rules_users_and_data_lakes_are_kept_out() {
    for deployment in deployments().await {
        let user = Authority::User("5f0000000000000000000001".to_owned());
        let run = deployment.start_run(ServiceLimits::default());
        for action in ["find", "insertOne", "deleteMany", "bulkWrite"] {
            let error = run.call_as(&user, action, doc! {}).await.expect_err(action);
            let expected = format!("no rule exists for namespace '{}.things'", deployment.database);
            assert_eq!((error.to_string(), error.error_code()), (expected, "NoMatchingRuleFound"), "{action}");
        }

        let config = serde_json::Map::new();
        let lake = DataSource::from_config(deployment.connection.clone(), "datalake", &config).expect("a plain config");
        let mut registry = Registry::new(ServiceLimits::default());
        registry.add(SERVICE, Service::MongoDb(lake));
        let run = TestRun {
            run: Arc::new(registry).start_run(Arc::new(SystemContext::default())),
            database: deployment.database.clone(),
        };
        assert_eq!(run.count().await, 0);
        run.call("insertOne", doc! { "document": {} }).await.expect_err("a data lake is read only");
        let out = doc! { "pipeline": [{ "$out": "elsewhere" }] };
        run.call("aggregate", out).await.expect_err("a data lake is read only");
    }
}

#[tokio::test]
async fn an_absent_database_is_noticed_in_time_and_named_without_its_address() {
    let settings =
        ConnectionSettings { server_selection_timeout: Duration::from_millis(300), ..ConnectionSettings::default() };
    let connection = Connection::open("mongodb://user:secret@127.0.0.1:1/", settings).await.expect("a good string");
    let deployment = Deployment { connection, database: database_name(), _store: None };
    let run = deployment.start_run(ServiceLimits::default());
    let started = Instant::now();
    let error = run.call("findOne", doc! {}).await.expect_err("nobody listens there");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let text = error.to_string();
    assert!(text.starts_with("server selection error"), "{text}");
    assert!(!text.contains("127.0.0.1") && !text.contains("secret"), "{text}");
    assert_eq!((error.name(), error.error_code()), ("MongoError", "MongoDBError"));
    deployment.connection.ping().await.expect_err("nobody listens there");

    let error = Connection::open("mongodb://user:secret@/x:y", settings).await.expect_err("no connection string");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn unknown_services_are_refused() {
    let run = Arc::new(Registry::new(ServiceLimits::default())).start_run(Arc::new(SystemContext::default()));
    let error = run.call("nope", "find", RawDocumentBuf::new(), &Authority::System).await.expect_err("no such service");
    assert_eq!((error.to_string(), error.error_code()), ("service not found: 'nope'".to_owned(), "ServiceNotFound"));
}
