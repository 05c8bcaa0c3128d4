//! The same generated commands against this store and against a real MongoDB server, for whoever has one:
//!
//! `cargo test -p docstore --test differential -- --against mongodb://localhost --seed 7 --cases 1000`
//!
//! A case that differs is shrunk before it is printed. The server gets and loses a database `docstore_differential`.
//! Without `--against`, a few cases are run against a second store, to see that the comparison itself works, and one
//! against a store that answers wrongly, to see that it can fail.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "oracle/compare.rs"]
#[allow(dead_code, reason = "the replay of recordings needs more of it")]
mod compare;
mod generate;

use std::process::ExitCode;

use bson::{Bson, Document, doc};
use compare::{as_recorded, same, same_list};
use generate::{document, dotted, filter, modification, timeless};
use mongodb::error::ErrorKind;
use mongodb::{Client, Database};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

const DATABASE: &str = "docstore_differential";

#[derive(Debug, Clone)]
struct Case {
    documents: Vec<Document>,
    commands: Vec<Document>,
}

fn command() -> impl Strategy<Value = Document> {
    let sort = prop::collection::vec((dotted(), prop::sample::select(vec![1, -1])), 0..2).prop_map(|parts| {
        let mut sort: Document = parts.into_iter().map(|(path, way)| (path, Bson::Int32(way))).collect();
        sort.insert("_id", 1);
        sort
    });
    prop_oneof![
        3 => (filter(), sort).prop_map(|(filter, sort)| doc! { "find": "c", "filter": filter, "sort": sort }),
        1 => filter().prop_map(|query| doc! { "count": "c", "query": query }),
        1 => (dotted(), filter()).prop_map(|(key, query)| doc! { "distinct": "c", "key": key, "query": query }),
        3 => (filter(), modification()).prop_map(|(filter, mut update)| {
            update.remove("$currentDate");
            doc! { "update": "c", "updates": [{ "q": filter, "u": timeless(&update), "multi": true }] }
        }),
        1 => filter().prop_map(|filter| doc! { "delete": "c", "deletes": [{ "q": filter, "limit": 0 }] }),
        1 => (filter(), dotted()).prop_map(|(filter, path)| {
            let path = format!("${path}");
            doc! { "aggregate": "c", "cursor": {}, "pipeline": [
                { "$match": filter }, { "$group": { "_id": path, "n": { "$sum": 1 } } },
            ] }
        }),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    (prop::collection::vec(document(), 0..10), prop::collection::vec(command(), 1..5))
        .prop_map(|(documents, commands)| Case { documents: documents.iter().map(timeless).collect(), commands })
}

/// What a command answered, as far as it is compared: fields of the reply, or code and name of the error.
type Answer = Result<Document, (i32, String)>;

async fn run(database: &Database, command: &Document) -> Answer {
    let failed = |error: mongodb::error::Error| match error.kind.as_ref() {
        ErrorKind::Command(command) => (command.code, command.code_name.clone()),
        _ => panic!("{error}"),
    };
    if matches!(command.keys().next().map(String::as_str), Some("find" | "aggregate")) {
        use futures::TryStreamExt;
        let cursor = database.run_cursor_command(command.clone()).await.map_err(failed)?;
        let documents: Vec<Document> = cursor.try_collect().await.map_err(failed)?;
        return Ok(doc! { "documents": documents });
    }
    let reply = database.run_command(command.clone()).await.map_err(failed)?;
    let mut kept = Document::new();
    for name in ["n", "nModified", "values"] {
        if let Some(value) = reply.get(name) {
            kept.insert(name, value.clone());
        }
    }
    // Of a write error, its code; MongoDB names internal ones only by numbers.
    if let Ok([Bson::Document(first), ..]) = reply.get_array("writeErrors").map(Vec::as_slice) {
        let code = first.get_i32("code").unwrap_or(0);
        return Err((code, docstore::error::code::name(code).into_owned()));
    }
    Ok(kept)
}

fn agree(command: &Document, theirs: &Answer, ours: &Answer) -> bool {
    match (theirs, ours) {
        (Ok(theirs), Ok(ours)) => {
            let unordered = !command.contains_key("sort");
            theirs.len() == ours.len()
                && theirs.iter().all(|(name, theirs)| match (theirs, ours.get(name)) {
                    // The list's comparison puts numbered fields of what was found first.
                    (Bson::Array(theirs), Some(Bson::Array(ours))) => {
                        let theirs: Vec<Bson> = theirs.iter().map(as_recorded).collect();
                        same_list(&theirs, ours, unordered, true)
                    }
                    (theirs, Some(ours)) => same(theirs, ours, true),
                    (_, None) => false,
                })
        }
        (Err((code, name)), Err((our_code, _))) => name.starts_with("Location") || code == our_code,
        _ => false,
    }
}

async fn check(theirs: &Database, ours: &Database, case: &Case) -> Result<(), TestCaseError> {
    for database in [theirs, ours] {
        database.collection::<Document>("c").drop().await.unwrap();
        database.run_command(doc! { "create": "c" }).await.unwrap();
        for (number, document) in case.documents.iter().enumerate() {
            let mut document = document.clone();
            document.insert("_id", number as i32);
            database.run_command(doc! { "insert": "c", "documents": [document] }).await.unwrap();
        }
    }
    for command in &case.commands {
        let (expected, found) = (run(theirs, command).await, run(ours, command).await);
        prop_assert!(agree(command, &expected, &found), "{command}\nexpected {expected:?}\nfound    {found:?}");
        let all = doc! { "find": "c", "sort": { "_id": 1 } };
        let (expected, found) = (run(theirs, &all).await, run(ours, &all).await);
        // A write that fails half way leaves what its plan came to first.
        if matches!(command.keys().next().map(String::as_str), Some("update" | "delete")) {
            prop_assert!(agree(&all, &expected, &found), "left by {command}\n{expected:?}\nfound    {found:?}");
        }
    }
    Ok(())
}

struct Arguments {
    against: Option<String>,
    seed: u64,
    cases: u32,
}

fn arguments() -> Option<Arguments> {
    let mut parsed = Arguments { against: None, seed: 1, cases: 1_000 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--against" => parsed.against = words.next(),
            "--seed" => parsed.seed = words.next()?.parse().ok()?,
            "--cases" => parsed.cases = words.next()?.parse().ok()?,
            "--list" => return None,
            // The harness's own flags mean nothing here.
            _ => {}
        }
    }
    Some(parsed)
}

async fn store() -> (tempfile::TempDir, docstore::Server, Database) {
    let directory = tempfile::tempdir().unwrap();
    let server = docstore::open(directory.path(), docstore::Options::default()).unwrap();
    let client = Client::with_uri_str(server.uri()).await.unwrap();
    (directory, server, client.database(DATABASE))
}

fn compare(runtime: &tokio::runtime::Runtime, seed: u64, cases: u32, theirs: &Database, ours: &Database) -> ExitCode {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    match runner.run(&case(), |case| runtime.block_on(check(theirs, ours, &case))) {
        Ok(()) => {
            println!("{cases} cases of seed {seed} agree");
            ExitCode::SUCCESS
        }
        Err(TestError::Fail(reason, case)) => {
            println!("seed {seed}: {reason}\ndocuments: {:#?}\ncommands: {:#?}", case.documents, case.commands);
            ExitCode::FAILURE
        }
        Err(TestError::Abort(reason)) => {
            println!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        println!("differential: test");
        return ExitCode::SUCCESS;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_directory, server, ours) = runtime.block_on(store());
    let outcome = match &arguments.against {
        Some(uri) => {
            let theirs = runtime.block_on(Client::with_uri_str(uri)).unwrap().database(DATABASE);
            let outcome = compare(&runtime, arguments.seed, arguments.cases, &theirs, &ours);
            runtime.block_on(async { theirs.drop().await }).unwrap();
            outcome
        }
        None => {
            println!("!!! no --against: only the comparison itself is tried, on two stores of our own");
            let (_directory, other, theirs) = runtime.block_on(store());
            let outcome = compare(&runtime, arguments.seed, 60, &theirs, &ours);
            // A difference has to be found.
            runtime.block_on(async {
                let wrong: Answer = Ok(doc! { "n": 1 });
                let right = run(&ours, &doc! { "count": "nothing" }).await;
                assert!(!agree(&doc! { "count": "nothing" }, &wrong, &right));
            });
            drop(theirs);
            runtime.block_on(other.shutdown()).unwrap();
            outcome
        }
    };
    drop(ours);
    runtime.block_on(server.shutdown()).unwrap();
    outcome
}
