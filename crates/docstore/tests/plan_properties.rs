//! Plans under random documents and queries: whatever indexes a collection has, and whichever is used, the same command
//! gives the same documents and leaves the same documents behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod generate;

use bson::{Bson, Document, doc};
use docstore::query::order_key;
use futures::TryStreamExt;
use generate::{document, dotted, filter, modification, timeless};
use mongodb::error::ErrorKind;
use mongodb::{Client, Database};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// A collection that has only its `_id` index, and one with others.
const PLAIN: &str = "plain";
const INDEXED: &str = "indexed";

#[derive(Debug, Clone)]
struct Case {
    documents: Vec<Document>,
    indexes: Vec<Document>,
    filter: Document,
    sort: Vec<(String, bool)>,
    update: Document,
    collation: Option<Document>,
}

fn index() -> impl Strategy<Value = Document> {
    let paths = prop::collection::vec((dotted(), any::<bool>()), 1..3);
    (paths, 0..8_u8).prop_map(|(paths, kind)| {
        let mut key = Document::new();
        for (path, ascending) in paths {
            key.insert(path, if ascending { 1 } else { -1 });
        }
        let mut specification = doc! { "key": key };
        match kind {
            0 => drop(specification.insert("sparse", true)),
            1 => drop(specification.insert("partialFilterExpression", doc! { "a": { "$gt": 0 } })),
            2 => drop(specification.insert("partialFilterExpression", doc! { "b": { "$exists": true } })),
            3 => drop(specification.insert("collation", doc! { "locale": "en", "strength": 2 })),
            _ => {}
        }
        specification
    })
}

fn case() -> impl Strategy<Value = Case> {
    let collation = prop_oneof![
        3 => Just(None),
        1 => Just(Some(doc! { "locale": "en", "strength": 2 })),
    ];
    (
        prop::collection::vec(document(), 1..16),
        prop::collection::vec(index(), 1..4),
        filter(),
        prop::collection::vec((dotted(), any::<bool>()), 0..3),
        modification(),
        collation,
    )
        .prop_map(|(documents, indexes, filter, sort, mut update, collation)| {
            update.remove("$currentDate");
            Case {
                documents: documents.iter().map(timeless).collect(),
                indexes,
                filter,
                sort,
                update: timeless(&update),
                collation,
            }
        })
}

type Outcome = Result<Vec<Document>, i32>;

fn code_of(error: &mongodb::error::Error) -> i32 {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => command.code,
        _ => panic!("{error}"),
    }
}

/// Documents of a find, or the code of its error.
async fn find(database: &Database, command: Document) -> Outcome {
    let cursor = database.run_cursor_command(command).await.map_err(|error| code_of(&error))?;
    cursor.try_collect().await.map_err(|error| code_of(&error))
}

fn sorted(mut documents: Vec<Document>) -> Vec<Document> {
    documents.sort_by_cached_key(|document| order_key(document.get("_id").unwrap().into(), None));
    documents
}

/// Equal to the last bit, so that NaN equals itself. Of two documents that cannot be sorted, the first that is read is
/// told, so that the code is the plan's.
fn bytes(outcome: &Outcome) -> Result<Vec<Vec<u8>>, ()> {
    outcome.as_ref().map(|documents| documents.iter().map(|one| one.to_vec().unwrap()).collect()).map_err(|_| ())
}

async fn prepare(database: &Database, case: &Case) -> Vec<String> {
    for collection in [PLAIN, INDEXED] {
        database.collection::<Document>(collection).drop().await.unwrap();
        let mut documents = case.documents.clone();
        for (number, document) in documents.iter_mut().enumerate() {
            document.insert("_id", number as i32);
        }
        database.run_command(doc! { "insert": collection, "documents": documents }).await.unwrap();
    }
    let mut names = Vec::new();
    for (number, specification) in case.indexes.iter().enumerate() {
        let name = format!("index{number}");
        let mut specification = specification.clone();
        specification.insert("name", &name);
        // Two arrays in one compound key cannot be indexed: then the index is not there.
        let created = database.run_command(doc! { "createIndexes": INDEXED, "indexes": [specification.clone()] }).await;
        let is_whole = !specification.contains_key("sparse") && !specification.contains_key("partialFilterExpression");
        if created.is_ok() && is_whole {
            names.push(name);
        }
    }
    names
}

async fn check(database: &Database, case: &Case) -> Result<(), TestCaseError> {
    let names = prepare(database, case).await;
    let command = |collection: &str, sort: &Document, hint: Option<Bson>| {
        let mut command = doc! { "find": collection, "filter": case.filter.clone() };
        if !sort.is_empty() {
            command.insert("sort", sort.clone());
        }
        if let Some(collation) = &case.collation {
            command.insert("collation", collation.clone());
        }
        if let Some(hint) = hint {
            command.insert("hint", hint);
        }
        command
    };
    let mut order: Document = case
        .sort
        .iter()
        .map(|(path, ascending)| (path.clone(), Bson::Int32(if *ascending { 1 } else { -1 })))
        .collect();
    if !order.is_empty() {
        // The last word makes the order one.
        order.insert("_id", 1);
    }
    for order in [Document::new(), order] {
        let finish = |outcome: Outcome| if order.is_empty() { outcome.map(sorted) } else { outcome };
        let scan = finish(find(database, command(PLAIN, &order, Some(doc! { "$natural": 1 }.into()))).await);
        let chosen = finish(find(database, command(INDEXED, &order, None)).await);
        prop_assert_eq!(bytes(&scan), bytes(&chosen), "by the planner's choice, sort {}", order);
        for name in &names {
            let hinted = finish(find(database, command(INDEXED, &order, Some(name.as_str().into()))).await);
            prop_assert_eq!(bytes(&scan), bytes(&hinted), "by {}, sort {}", name, order);
        }
    }
    let count = async |collection: &str| {
        let reply = database.run_command(doc! { "count": collection, "query": case.filter.clone() }).await;
        reply.map(|reply| reply.get_i32("n").unwrap()).map_err(|error| code_of(&error))
    };
    prop_assert_eq!(count(PLAIN).await, count(INDEXED).await);

    // Writes: all documents that match are changed, then some are removed; what is left is the same, and every index
    // agrees with it. Updates that fail half way are left out: which documents come first is the plan's choice.
    let mut left = Vec::new();
    for collection in [PLAIN, INDEXED] {
        let update = doc! { "q": case.filter.clone(), "u": case.update.clone(), "multi": true };
        let reply = database.run_command(doc! { "update": collection, "updates": [update] }).await;
        let failed = reply.as_ref().map_or(true, |reply| reply.contains_key("writeErrors"));
        let modified = reply.ok().and_then(|reply| reply.get_i32("nModified").ok());
        let delete = doc! { "q": case.filter.clone(), "limit": 0 };
        let removed = database.run_command(doc! { "delete": collection, "deletes": [delete] }).await;
        let removed = removed.ok().and_then(|reply| reply.get_i32("n").ok());
        let after = find(database, doc! { "find": collection, "filter": {}, "hint": { "$natural": 1 } }).await;
        left.push((failed, modified, removed, bytes(&after.map(sorted))));
    }
    let [plain, indexed] = <[_; 2]>::try_from(left).unwrap();
    if !plain.0 && !indexed.0 {
        prop_assert_eq!(plain, indexed, "after an update and a removal");
    }
    let report = database.run_command(doc! { "validate": INDEXED }).await.unwrap();
    prop_assert_eq!(report.get_bool("valid").unwrap(), true, "{}", report);
    Ok(())
}

#[test]
fn the_plan_changes_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (server, database) = runtime.block_on(async {
        let server = docstore::open(directory.path(), docstore::Options::default()).unwrap();
        let client = Client::with_uri_str(server.uri()).await.unwrap();
        (server, client.database("plans"))
    });
    let cases = std::env::var("DOCSTORE_PLAN_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    TestRunner::new(config)
        .run(&case(), |case| runtime.block_on(check(&database, &case)))
        .unwrap_or_else(|failure| panic!("{failure}"));
    drop(database);
    runtime.block_on(server.shutdown()).unwrap();
}
