//! Hand-written sessions with whole replies.

use std::collections::HashMap;

use bson::{Bson, Document, doc};
use mongodb::Client;

use crate::compare::{same, same_list};
use crate::scenes::{Failure, run, same_write_errors};
use crate::{Tally, setting};

/// Steps that must differ, and why: session, offset of the step.
const EXCEPTIONS: &[(&str, usize, &str)] = &[(
    "collections",
    21,
    "keyValue holds ICU's collation key, whose bytes depend on the version of the collation data \
     (MongoDB manual, \"Collation\": version); ours is the value itself",
)];

/// Fields of replies that are for reading, or figures of the storage engine.
const IGNORED: &[&str] = &[
    "errmsg",
    "message",
    "note",
    "commitQuorum",
    "msg",
    "storageSize",
    "totalSize",
    "totalIndexSize",
    "indexSizes",
    "indexDetails",
    "avgObjSize",
    "freeStorageSize",
    "wiredTiger",
    "indexBuilds",
    "size",
    "scaleFactor",
    "info",
    "idIndex",
];

pub async fn replay(client: &Client, sessions: &[Document]) -> Tally {
    let mut tally = Tally::default();
    let only = setting("DOCSTORE_ORACLE_ONLY");
    for recorded in sessions {
        let name = recorded.get_str("session").unwrap();
        let mut plain = client.start_session().await.unwrap();
        let mut transaction = client.start_session().await.unwrap();
        let database = client.database("commands");
        let admin = client.database("admin");
        drop(run(&database, &mut plain, doc! { "dropDatabase": 1 }).await);
        let mut cursors: HashMap<String, (i64, String)> = HashMap::new();
        for (offset, step) in recorded.get_array("steps").unwrap().iter().enumerate() {
            let step = step.as_document().unwrap();
            let original = step.get_document("command").unwrap();
            let mut command = original.clone();
            let remembered = command.remove("$$cursor");
            command.remove("$$plan");
            let in_transaction = command.remove("$$txn");
            let outcome = if let Some(Bson::Document(inner)) = command.get("$$admin") {
                run(&admin, &mut plain, inner.clone()).await
            } else if let Some(Bson::String(cursor)) = command.remove("$$getMore") {
                let (id, collection) = cursors.get(&cursor).cloned().unwrap();
                let mut more = doc! { "getMore": id, "collection": collection };
                more.extend(command.clone());
                run(&database, &mut plain, more).await
            } else if let Some(Bson::String(cursor)) = command.remove("$$kill") {
                let (id, collection) = cursors.get(&cursor).cloned().unwrap();
                outside(database.run_command(doc! { "killCursors": collection, "cursors": [id] }).await)
            } else if command.contains_key("killCursors") {
                // The driver takes no session for it.
                outside(database.run_command(command.clone()).await)
            } else {
                match in_transaction.as_ref().and_then(Bson::as_str) {
                    Some("start") => {
                        transaction.start_transaction().await.unwrap();
                        run(&database, &mut transaction, command.clone()).await
                    }
                    Some("commit") => finish(transaction.commit_transaction().await),
                    Some("abort") => finish(transaction.abort_transaction().await),
                    Some(_) => run(&database, &mut transaction, command.clone()).await,
                    None => run(&database, &mut plain, command.clone()).await,
                }
            };
            if let (Some(Bson::String(remembered)), Ok(reply)) = (remembered, &outcome) {
                let cursor = reply.get_document("cursor").unwrap();
                let namespace = cursor.get_str("ns").unwrap();
                let collection = namespace.split_once('.').unwrap().1.to_owned();
                cursors.insert(remembered, (cursor.get_i64("id").unwrap(), collection));
            }
            let problem = check(step, &outcome);
            let problem = match EXCEPTIONS.iter().find(|(s, o, _)| *s == name && *o == offset) {
                Some(_) => {
                    tally.excepted += 1;
                    None
                }
                None => problem,
            };
            if only.as_ref().is_none_or(|only| original.to_string().contains(only.as_str()) || name == only) {
                tally.count(original, problem, &format!("{name} step {offset}"));
            }
        }
    }
    tally
}

fn finish(outcome: mongodb::error::Result<()>) -> Result<Document, Failure> {
    outside(outcome.map(|()| doc! { "ok": 1.0 }))
}

fn outside(outcome: mongodb::error::Result<Document>) -> Result<Document, Failure> {
    match outcome {
        Ok(reply) => Ok(reply),
        Err(error) => match error.kind.as_ref() {
            mongodb::error::ErrorKind::Command(command) => Err(Failure {
                code: command.code,
                name: command.code_name.clone(),
                text: command.message.clone(),
                reply: Document::new(),
            }),
            _ => Err(Failure { code: -1, name: "driver".to_owned(), text: error.to_string(), reply: Document::new() }),
        },
    }
}

fn check(step: &Document, outcome: &Result<Document, Failure>) -> Option<String> {
    if let Ok(examined) = step.get_document("examined") {
        return check_plan(step, examined, outcome);
    }
    match (step.get_document("reply"), step.get_document("error"), outcome) {
        (Ok(expected), _, Ok(found)) => {
            if same_reply(expected, found) {
                None
            } else {
                Some(format!("expected {expected}\nfound    {found}"))
            }
        }
        (_, Ok(expected), Err(failure)) => {
            let is_internal = expected.get_str("codeName").is_ok_and(|name| name.starts_with("Location"));
            let is_same = failure.code != -1
                && (is_internal || expected.get_i32("code").is_ok_and(|code| code == failure.code))
                && ["keyPattern", "keyValue"].iter().all(|name| {
                    expected
                        .get(name)
                        .is_none_or(|wanted| failure.reply.get(name).is_some_and(|got| same(wanted, got, false)))
                });
            if is_same {
                None
            } else {
                Some(format!(
                    "expected error {expected}\nfound error {} {}: {}",
                    failure.code, failure.name, failure.text
                ))
            }
        }
        (Ok(expected), _, Err(failure)) => {
            Some(format!("expected {expected}\nfound error {} {}: {}", failure.code, failure.name, failure.text))
        }
        (_, Ok(expected), Ok(found)) => Some(format!("expected error {expected}\nfound {found}")),
        _ => Some("a step without reply and error".to_owned()),
    }
}

/// Uses an index where MongoDB does, and examines not many more documents and keys.
fn check_plan(step: &Document, examined: &Document, outcome: &Result<Document, Failure>) -> Option<String> {
    let reply = match outcome {
        Ok(reply) => reply,
        Err(failure) => return Some(format!("found error {}: {}", failure.code, failure.text)),
    };
    let statistics = reply.get_document("executionStats").ok()?;
    let planner = reply.get_document("queryPlanner").map(ToString::to_string).unwrap_or_default();
    let number = |document: &Document, name: &str| document.get_i32(name).unwrap_or(i32::MAX);
    let scans = step.get_array("plan").is_ok_and(|plan| plan.iter().any(|stage| stage.as_str() == Some("COLLSCAN")));
    let is_good = number(statistics, "totalDocsExamined") <= number(examined, "documents")
        && number(statistics, "totalKeysExamined") <= number(examined, "keys") + 3
        && number(statistics, "nReturned") == number(examined, "returned")
        && (scans || !planner.contains("COLLSCAN"));
    if is_good { None } else { Some(format!("expected {examined}\nfound {statistics}")) }
}

fn same_reply(expected: &Document, found: &Document) -> bool {
    let clean = |document: &Document| -> Document {
        document
            .iter()
            .filter(|(name, _)| !IGNORED.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let (expected, found) = (clean(expected), clean(found));
    expected.keys().all(|name| found.contains_key(name))
        && expected.iter().all(|(name, wanted)| {
            let Some(got) = found.get(name) else { return false };
            match (name.as_str(), wanted, got) {
                ("writeErrors", Bson::Array(wanted), Bson::Array(got)) => same_write_errors(wanted, got),
                ("ok", _, _) => crate::compare::same(&Bson::Double(1.0), got, false),
                ("cursor", Bson::Document(wanted), Bson::Document(got)) => same_cursor(wanted, got),
                _ => same(wanted, got, false),
            }
        })
}

fn same_cursor(wanted: &Document, got: &Document) -> bool {
    // Collections are listed in no particular order.
    let is_listing = wanted.get_str("ns").is_ok_and(|ns| ns.ends_with("listCollections"));
    wanted.iter().all(|(name, wanted)| match (wanted, got.get(name)) {
        (Bson::Array(wanted), Some(Bson::Array(got))) => {
            let loosened: Vec<Bson> = if is_listing { got.iter().map(without_ids).collect() } else { got.clone() };
            let wanted: Vec<Bson> = if is_listing { wanted.iter().map(without_ids).collect() } else { wanted.clone() };
            same_list(&wanted, &loosened, is_listing, false)
        }
        (wanted, Some(got)) => same(wanted, got, false),
        (_, None) => false,
    })
}

fn without_ids(row: &Bson) -> Bson {
    let mut row = row.clone();
    if let Bson::Document(row) = &mut row
        && let Some(Bson::Document(info)) = row.get_mut("info")
    {
        info.remove("uuid");
    }
    row
}
