//! Generated scenes: documents, indexes, steps.

use bson::{Bson, Document, doc};
use mongodb::error::ErrorKind;
use mongodb::{Client, ClientSession, Database};

use crate::compare::{as_recorded, same, same_list};
use crate::{Tally, setting};

/// What differs: seed, offset of the step, reason. The replay fails when one of these agrees, so that the list stays true.
const EXCEPTIONS: &[(i64, usize, &str)] = &[
    // MongoDB 4.4 reads only the fields a pipeline with `$facet` needs, and takes the number in a path for a field's name
    // then. The manual ("Query an Array", by array index position) says that such a path means the element.
    (823, 3, "a number in a path means an element of an array"),
    (1380, 13, "a number in a path means an element of an array"),
    (2052, 9, "a number in a path means an element of an array"),
    (4132, 1, "a number in a path means an element of an array"),
    (4910, 3, "a number in a path means an element of an array"),
    // "$sort", "Sort Consistency": documents with equal sort keys may come in any order.
    (3561, 8, "equal sort keys"),
    (3641, 7, "the place of a field that was missing before; the manual gives new fields no place"),
    // "$convert": from 8.0 on it takes binary data.
    (3628, 15, "binary data converts to a number"),
    // Limits of the recorded server that ours does not have.
    (4289, 4, "the recorded server ran out of sort memory"),
    (4701, 7, "the recorded server cannot negate an array inequality by index"),
];

pub struct Failure {
    pub code: i32,
    pub name: String,
    pub text: String,
    pub reply: Document,
}

/// Runs a command; the reply without what belongs to the cluster.
pub async fn run(database: &Database, session: &mut ClientSession, command: Document) -> Result<Document, Failure> {
    match database.run_command(command).session(session).await {
        Ok(mut reply) => {
            reply.remove("$clusterTime");
            reply.remove("operationTime");
            Ok(reply)
        }
        Err(error) => match error.kind.as_ref() {
            ErrorKind::Command(command) => Err(Failure {
                code: command.code,
                name: command.code_name.clone(),
                text: command.message.clone(),
                reply: error.server_response().and_then(|raw| Document::try_from(raw).ok()).unwrap_or_default(),
            }),
            _ => Err(Failure { code: -1, name: "driver".to_owned(), text: error.to_string(), reply: Document::new() }),
        },
    }
}

/// All documents of a cursor the reply opened.
pub async fn drain(database: &Database, session: &mut ClientSession, reply: &Document) -> Result<Vec<Bson>, Failure> {
    let cursor = reply.get_document("cursor").unwrap();
    let mut documents = cursor.get_array("firstBatch").unwrap().clone();
    let mut id = cursor.get_i64("id").unwrap();
    let namespace = cursor.get_str("ns").unwrap().to_owned();
    let collection = namespace.split_once('.').unwrap().1.to_owned();
    while id != 0 {
        let reply = run(database, session, doc! { "getMore": id, "collection": &collection }).await?;
        let cursor = reply.get_document("cursor").unwrap();
        documents.extend(cursor.get_array("nextBatch").unwrap().iter().cloned());
        id = cursor.get_i64("id").unwrap();
    }
    Ok(documents)
}

pub async fn replay(client: &Client, scenes: &[Document]) -> Tally {
    let mut tally = Tally::default();
    let only = setting("DOCSTORE_ORACLE_ONLY");
    let mut session = client.start_session().await.unwrap();
    let database = client.database("oracle");
    for scene in scenes {
        let steps = scene.get_array("steps").unwrap();
        let wanted = |step: &Document| {
            let command = step.get_document("command").unwrap();
            only.as_ref().is_none_or(|only| command.to_string().contains(only.as_str()))
        };
        if !steps.iter().any(|step| wanted(step.as_document().unwrap())) {
            continue;
        }
        let seed = match scene.get("seed") {
            Some(Bson::Int32(seed)) => i64::from(*seed),
            Some(Bson::Int64(seed)) => *seed,
            _ => 0,
        };
        prepare(&database, &mut session, scene).await;
        for (offset, step) in steps.iter().enumerate() {
            let step = step.as_document().unwrap();
            let problem = replay_step(&database, &mut session, step).await;
            if !wanted(step) {
                continue;
            }
            let is_excepted = EXCEPTIONS.iter().any(|(s, o, _)| *s == seed && *o == offset);
            if is_excepted {
                tally.excepted += 1;
            }
            let problem = match (is_excepted, problem) {
                (true, Some(_)) => None,
                (true, None) => Some("it agrees now: take it off the list of exceptions".to_owned()),
                (false, problem) => problem,
            };
            tally.count(step.get_document("command").unwrap(), problem, &format!("seed {seed} step {offset}"));
        }
    }
    tally
}

async fn prepare(database: &Database, session: &mut ClientSession, scene: &Document) {
    for (collection, field) in [("c", "docs"), ("other", "other")] {
        drop(run(database, session, doc! { "drop": collection }).await);
        let documents = match scene.get_array(field) {
            Ok(documents) => documents.clone(),
            Err(_) => Vec::new(),
        };
        if collection == "c" {
            drop(run(database, session, doc! { "create": "c" }).await);
        }
        if !documents.is_empty() {
            let reply = run(database, session, doc! { "insert": collection, "documents": documents }).await;
            match reply {
                Ok(reply) if !reply.contains_key("writeErrors") => {}
                Ok(reply) => panic!("{reply}"),
                Err(failure) => panic!("{}", failure.text),
            }
        }
    }
    let Ok(indexes) = scene.get_array("indexes") else { return };
    for (number, index) in indexes.iter().enumerate() {
        let mut specification = index.as_document().unwrap().clone();
        if !specification.contains_key("name") {
            specification.insert("name", format!("index{number}"));
        }
        if let Err(failure) = run(database, session, doc! { "createIndexes": "c", "indexes": [specification] }).await {
            println!("an index of a scene cannot be made: {}", failure.text);
        }
    }
}

async fn replay_step(database: &Database, session: &mut ClientSession, step: &Document) -> Option<String> {
    let command = step.get_document("command").unwrap().clone();
    let unordered = step.get_bool("unordered").unwrap_or(false);
    let approximate = step.get_bool("approximate").unwrap_or(false);
    let outcome = run(database, session, command.clone()).await;
    let outcome = match outcome {
        Ok(reply) if reply.contains_key("cursor") => match drain(database, session, &reply).await {
            Ok(documents) => Ok(doc! { "documents": documents }),
            Err(failure) => Err(failure),
        },
        other => other,
    };
    let mut problem = match (step.get_document("result"), step.get_document("error"), &outcome) {
        (Ok(expected), _, Ok(found)) => compare_reply(expected, found, unordered, approximate),
        (_, Ok(expected), Err(failure)) => compare_error(expected, failure),
        (Ok(expected), _, Err(failure)) => {
            Some(format!("expected {expected}\nfound error {} {}: {}", failure.code, failure.name, failure.text))
        }
        (_, Ok(expected), Ok(found)) => Some(format!("expected error {expected}\nfound {found}")),
        _ => Some("a step without result and error".to_owned()),
    };
    if let Ok(after) = step.get_array("after") {
        let found = match run(database, session, doc! { "find": "c" }).await {
            Ok(reply) => drain(database, session, &reply).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        if problem.is_none() && !same_list(after, &found, false, approximate) {
            problem = Some(format!(
                "documents left behind: expected\n{}\nfound\n{}",
                Bson::Array(after.clone()),
                Bson::Array(found)
            ));
        }
    }
    problem
}

fn compare_error(expected: &Document, failure: &Failure) -> Option<String> {
    let code = match expected.get("code") {
        Some(Bson::Int32(code)) => *code,
        _ => 0,
    };
    let is_internal = expected.get_str("codeName").is_ok_and(|name| name.starts_with("Location"));
    let same_extra = ["keyPattern", "keyValue"].iter().all(|name| match expected.get(name) {
        Some(wanted) => failure.reply.get(name).is_some_and(|found| same(wanted, found, false)),
        None => true,
    });
    if failure.code != -1 && (is_internal || code == failure.code) && (is_internal || same_extra) {
        None
    } else {
        Some(format!(
            "expected error {expected}\nfound error {} {}: {}\n{}",
            failure.code, failure.name, failure.text, failure.reply
        ))
    }
}

/// The fields of a reply that are compared.
const COMPARED: &[&str] =
    &["documents", "n", "nModified", "upserted", "writeErrors", "values", "value", "lastErrorObject"];

fn compare_reply(expected: &Document, found: &Document, unordered: bool, approximate: bool) -> Option<String> {
    let mut is_same = true;
    for name in COMPARED {
        is_same &= match (expected.get(name), found.get(name)) {
            (None, None) => true,
            (Some(Bson::Array(wanted)), Some(Bson::Array(got))) if matches!(*name, "documents" | "values") => {
                same_list(wanted, got, unordered, approximate)
            }
            (Some(Bson::Array(wanted)), Some(Bson::Array(got))) if *name == "writeErrors" => {
                same_write_errors(wanted, got)
            }
            (Some(wanted), Some(got)) => same(wanted, &as_recorded(got), approximate),
            _ => false,
        };
    }
    if is_same {
        return None;
    }
    let mut shown = Document::new();
    for name in COMPARED {
        if let Some(value) = found.get(name) {
            shown.insert(*name, value.clone());
        }
    }
    Some(format!("expected {expected}\nfound    {shown}"))
}

pub fn same_write_errors(wanted: &[Bson], got: &[Bson]) -> bool {
    wanted.len() == got.len()
        && wanted.iter().zip(got).all(|(wanted, got)| {
            let (Bson::Document(wanted), Bson::Document(got)) = (wanted, got) else { return false };
            let names: &[&str] = match wanted.get("code") {
                Some(Bson::Int32(11000)) => &["index", "code", "keyPattern", "keyValue"],
                _ => &["index", "code"],
            };
            // Internal numbers only have to be errors.
            let is_internal =
                wanted.get_i32("code").is_ok_and(|code| docstore::error::code::name(code).starts_with("Location"));
            names.iter().all(|name| {
                (is_internal && *name == "code")
                    || match (wanted.get(name), got.get(name)) {
                        (Some(wanted), Some(got)) => same(wanted, got, false),
                        (None, None) => true,
                        _ => false,
                    }
            })
        })
}
