//! Stages and options that the recordings of a MongoDB 4.4 do not reach, after the examples and rules of MongoDB's
//! manual. Each case names its page (https://www.mongodb.com/docs/manual/reference/…).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bson::{Bson, Document, doc};
use docstore::{Options, Server, open};
use futures::TryStreamExt;
use mongodb::error::ErrorKind;
use mongodb::{Client, Collection, Database};

struct Store {
    server: Server,
    database: Database,
    _directory: tempfile::TempDir,
}

impl Store {
    async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = open(directory.path(), Options::default()).unwrap();
        let client = Client::with_uri_str(server.uri()).await.unwrap();
        Self { server, database: client.database("manual"), _directory: directory }
    }

    async fn fill(&self, collection: &str, documents: Vec<Document>) {
        self.database.collection(collection).insert_many(documents).await.unwrap();
    }

    async fn all(&self, collection: &str) -> Vec<Document> {
        let collection: Collection<Document> = self.database.collection(collection);
        collection.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap().try_collect().await.unwrap()
    }

    async fn aggregate(&self, collection: &str, stages: Vec<Document>) -> Result<Vec<Document>, i32> {
        let collection: Collection<Document> = self.database.collection(collection);
        let cursor = collection.aggregate(stages).await.map_err(|error| code_of(&error))?;
        cursor.try_collect().await.map_err(|error| code_of(&error))
    }

    async fn run(&self, command: Document) -> Result<Document, i32> {
        self.database.run_command(command).await.map_err(|error| code_of(&error))
    }

    async fn close(self) {
        drop(self.database);
        self.server.shutdown().await.unwrap();
    }
}

fn code_of(error: &mongodb::error::Error) -> i32 {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => command.code,
        _ => panic!("{error}"),
    }
}

/// operator/aggregation/merge: `whenMatched`, `whenNotMatched`, `on`, `let`.
#[tokio::test]
async fn merge() {
    let store = Store::open().await;
    let target = || vec![doc! { "_id": 1, "a": 1, "keep": true }, doc! { "_id": 2, "a": 2 }];
    let source = vec![doc! { "_id": 1, "a": 10 }, doc! { "_id": 3, "a": 30 }];
    store.fill("source", source).await;
    let merged = async |options: Document| {
        store.database.collection::<Document>("target").drop().await.unwrap();
        store.fill("target", target()).await;
        let mut stage = doc! { "into": "target" };
        stage.extend(options);
        let outcome = store.aggregate("source", vec![doc! { "$merge": stage }]).await;
        outcome.map(|rows| assert_eq!(rows, Vec::<Document>::new())).err().map_or(Ok(store.all("target").await), Err)
    };
    let two = doc! { "_id": 2, "a": 2 };
    let three = doc! { "_id": 3, "a": 30 };
    // The defaults: merge and insert.
    assert_eq!(merged(doc! {}).await, Ok(vec![doc! { "_id": 1, "a": 10, "keep": true }, two.clone(), three.clone()]));
    assert_eq!(
        merged(doc! { "whenMatched": "replace" }).await,
        Ok(vec![doc! { "_id": 1, "a": 10 }, two.clone(), three.clone()])
    );
    assert_eq!(
        merged(doc! { "whenMatched": "keepExisting" }).await,
        Ok(vec![doc! { "_id": 1, "a": 1, "keep": true }, two.clone(), three.clone()])
    );
    assert_eq!(
        merged(doc! { "whenNotMatched": "discard" }).await,
        Ok(vec![doc! { "_id": 1, "a": 10, "keep": true }, two.clone()])
    );
    // Not every pair of modes makes sense.
    assert_eq!(merged(doc! { "whenMatched": "keepExisting", "whenNotMatched": "discard" }).await, Err(51181));
    assert_eq!(merged(doc! { "whenMatched": "fail" }).await, Err(11000));
    assert_eq!(merged(doc! { "whenNotMatched": "fail" }).await, Err(13113));
    // A pipeline sees the new document as $$new, and variables of `let`.
    let pipeline = vec![doc! { "$set": { "a": { "$add": ["$a", "$$new.a", "$$more"] } } }];
    assert_eq!(
        merged(doc! { "whenMatched": pipeline, "let": { "new": "$$ROOT", "more": 100 } }).await,
        Ok(vec![doc! { "_id": 1, "a": 111, "keep": true }, two.clone(), three.clone()])
    );
    // `on` needs a unique index on exactly its fields.
    assert_eq!(merged(doc! { "on": "a" }).await, Err(51183));
    store
        .run(doc! { "createIndexes": "by", "indexes": [{ "key": { "a": 1 }, "name": "a", "unique": true }] })
        .await
        .unwrap();
    store.fill("by", vec![doc! { "_id": "x", "a": 10, "b": 1 }]).await;
    let stages = vec![
        doc! { "$match": { "a": 10 } },
        // Without `_id`, which stays what it is where the document is found.
        doc! { "$project": { "_id": 0, "a": 1, "c": "new" } },
        doc! { "$merge": { "into": "by", "on": "a" } },
    ];
    store.aggregate("source", stages).await.unwrap();
    assert_eq!(store.all("by").await, [doc! { "_id": "x", "a": 10, "b": 1, "c": "new" }]);
    // Into another database.
    let into = doc! { "$merge": { "into": { "db": "manual2", "coll": "copy" } } };
    store.aggregate("source", vec![into]).await.unwrap();
    let other: Collection<Document> = store.database.client().database("manual2").collection("copy");
    assert_eq!(other.count_documents(doc! {}).await.unwrap(), 2);
    store.close().await;
}

/// operator/aggregation/geoNear: order by distance, bounds, the choice of the index, where the distance goes.
#[tokio::test]
async fn geo_near() {
    let store = Store::open().await;
    let point = |longitude: f64, latitude: f64| doc! { "type": "Point", "coordinates": [longitude, latitude] };
    store
        .fill(
            "places",
            vec![
                doc! { "_id": "far", "at": point(10.0, 10.0), "kind": "park" },
                doc! { "_id": "near", "at": point(0.01, 0.0), "kind": "park" },
                doc! { "_id": "nearest", "at": point(0.0, 0.001), "kind": "shop" },
                doc! { "_id": "nowhere", "kind": "park" },
            ],
        )
        .await;
    let near = |options: Document| {
        let mut stage = doc! { "near": point(0.0, 0.0), "distanceField": "away.by", "spherical": true };
        stage.extend(options);
        vec![doc! { "$geoNear": stage }]
    };
    // Without an index there is nothing to search in.
    assert!(store.aggregate("places", near(doc! {})).await.is_err());
    store
        .run(doc! { "createIndexes": "places", "indexes": [{ "key": { "at": "2dsphere" }, "name": "at" }] })
        .await
        .unwrap();
    let ids =
        |rows: &[Document]| -> Vec<String> { rows.iter().map(|row| row.get_str("_id").unwrap().to_owned()).collect() };
    let rows = store.aggregate("places", near(doc! {})).await.unwrap();
    assert_eq!(ids(&rows), ["nearest", "near", "far"]);
    // Metres: a thousandth of a degree on a sphere of MongoDB's radius of 6378.1 km.
    let metres = rows[0].get_document("away").unwrap().get_f64("by").unwrap();
    assert!((metres - 6_378_100.0 * 0.001_f64.to_radians()).abs() < 1e-6, "{metres}");
    let rows = store.aggregate("places", near(doc! { "maxDistance": 5_000, "query": { "kind": "park" } })).await;
    assert_eq!(ids(&rows.unwrap()), ["near"]);
    let rows = store.aggregate("places", near(doc! { "minDistance": 500, "includeLocs": "loc" })).await.unwrap();
    assert_eq!(ids(&rows), ["near", "far"]);
    assert_eq!(rows[0].get_document("loc").unwrap(), &point(0.01, 0.0));
    let rows = store.aggregate("places", near(doc! { "distanceMultiplier": 0.001, "key": "at" })).await.unwrap();
    assert!(rows[0].get_document("away").unwrap().get_f64("by").unwrap() < 0.2);
    // Only as the first stage.
    let late = vec![doc! { "$match": {} }, near(doc! {}).remove(0)];
    assert_eq!(store.aggregate("places", late).await, Err(40602));
    // A document that the index cannot hold is refused.
    let bad = doc! { "insert": "places", "documents": [{ "at": { "type": "Point", "coordinates": [200, 0] } }] };
    let reply = store.run(bad).await.unwrap();
    assert_eq!(reply.get_array("writeErrors").unwrap().len(), 1);
    store.close().await;
}

/// command/update: `sort` decides which document a single update takes (8.0), and does not go with `multi`.
#[tokio::test]
async fn updates_with_sort() {
    let store = Store::open().await;
    store.fill("c", vec![doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 2 }]).await;
    let update = doc! { "q": {}, "u": { "$set": { "seen": true } }, "sort": { "n": -1 } };
    let reply = store.run(doc! { "update": "c", "updates": [update] }).await.unwrap();
    assert_eq!(reply.get_i32("nModified").unwrap(), 1);
    assert_eq!(store.all("c").await[1], doc! { "_id": 2, "n": 2, "seen": true });
    let multi = doc! { "q": {}, "u": { "$set": { "x": 1 } }, "sort": { "n": -1 }, "multi": true };
    assert_eq!(store.run(doc! { "update": "c", "updates": [multi] }).await.unwrap_err(), 9);
    store.close().await;
}

/// limits, "Aggregation Pipeline Limits": a stage that needs more than its memory ends in an error that says so.
#[tokio::test]
async fn stages_that_hold_all_rows_have_a_limit() {
    let store = Store::open().await;
    let blob = "x".repeat(1_000_000);
    for round in 0..12 {
        store.fill("c", (0..10).map(|n| doc! { "_id": round * 10 + n, "n": n, "blob": &blob }).collect()).await;
    }
    for stage in [
        doc! { "$setWindowFields": { "sortBy": { "n": 1 }, "output": { "s": { "$sum": "$n" } } } },
        doc! { "$densify": { "field": "n", "range": { "step": 1, "bounds": "full" } } },
        doc! { "$facet": { "all": [{ "$match": {} }] } },
        doc! { "$bucketAuto": { "groupBy": "$n", "buckets": 2 } },
    ] {
        let name = stage.keys().next().unwrap().clone();
        let error = store.aggregate("c", vec![stage, doc! { "$count": "n" }]).await;
        assert!(matches!(error, Err(146 | 292 | 17419 | 4_031_700)), "{name}: {error:?}");
    }
    // What can use the disk does.
    let sorted = vec![doc! { "$sort": { "blob": 1, "n": -1 } }, doc! { "$limit": 1 }, doc! { "$project": { "n": 1 } }];
    assert_eq!(store.aggregate("c", sorted).await.unwrap()[0].get("n"), Some(&Bson::Int32(9)));
    store.close().await;
}
