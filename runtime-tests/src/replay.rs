//! Replays cases against a server and compares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine;
use bytes::Bytes;
use futures::TryStreamExt;
use mongodb::Client;
use mongodb::bson::{Bson, Document};
use serde_json::{Value as Json, json};

use crate::case::{Case, Request, Response};
use crate::client::{Answer, exchange, exchange_raw};
use crate::matcher::compare;
use crate::server_process::ServerProcess;
use crate::upstream::Upstream;
use crate::variables::Variables;

/// Root files, in the order in which the server looks for them.
const ROOT_FILES: [&str; 4] = ["root_config.json", "realm_config.json", "config.json", "stitch.json"];

/// Copies the case's app to `target` and gives the copy its own Client App ID, which is returned.
///
/// # Errors
/// File errors.
pub fn prepare_app(case: &Case, target: &Path) -> Result<String> {
    copy_directory(&case.directory.join(&case.manifest.app), target)?;
    let own_id: String =
        case.name.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '-' }).collect();
    for name in ROOT_FILES {
        let file = target.join(name);
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let Ok(Json::Object(mut root)) = serde_json::from_str::<Json>(&text) else { continue };
        if case.manifest.keep_app_id {
            let id = root.get("app_id").or_else(|| root.get("name")).and_then(Json::as_str).unwrap_or_default();
            return Ok(id.to_owned());
        }
        root.insert("app_id".to_owned(), Json::String(own_id.clone()));
        std::fs::write(&file, serde_json::to_string_pretty(&root)?)?;
        return Ok(own_id);
    }
    Ok(own_id)
}

fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Replays every step of a case.
///
/// # Errors
/// The first difference, with the step's number.
pub async fn replay(
    case: &Case,
    app_id: &str,
    server: &ServerProcess,
    database: &Client,
    upstream: Option<&Upstream>,
) -> Result<()> {
    let mut variables = Variables::of_replay(app_id);
    seed(case, &variables, database).await.context("seeding the database")?;
    let log_start = server.entries().len();
    for step in &case.steps {
        if let Some(upstream) = upstream {
            upstream.take_received();
        }
        if let Some(wait) = step.request.wait_ms {
            tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        }
        for (name, token) in &step.request.sign {
            variables.sign(name, token).with_context(|| format!("step {}", step.number))?;
        }
        let copies = step.request.repeat.unwrap_or(1);
        let sends = (0..copies).map(|_| send(&step.request, &variables, app_id, &server.address));
        for answer in futures::future::join_all(sends).await {
            let answer = answer.with_context(|| format!("step {}", step.number))?;
            let checked = check_answer(&step.response, &answer, &variables)
                .and_then(|()| variables.capture(&step.response.capture, &answer.body));
            checked.map_err(|difference| {
                anyhow!(
                    "step {}: {difference}\n    answer was {} {:?}\n    {}",
                    step.number,
                    answer.status,
                    answer.headers,
                    String::from_utf8_lossy(&answer.body).chars().take(2000).collect::<String>()
                )
            })?;
        }
        if let (Some(expected), Some(upstream)) = (&step.upstream, upstream) {
            check_upstream(expected, upstream).map_err(|difference| anyhow!("step {}: {difference}", step.number))?;
        }
    }
    check_after(case, &variables, database).await?;
    check_log(case, app_id, server, log_start).await
}

/// Compares what the upstream server received during a step, each request by the fields that are named.
fn check_upstream(expected: &Json, upstream: &Upstream) -> Result<(), String> {
    let subsets = |expected: &Json| match expected {
        Json::Array(requests) => Json::Array(requests.iter().map(|request| json!({ "$$subset": request })).collect()),
        other => other.clone(),
    };
    let expected = match expected.get("$$unordered") {
        Some(requests) => json!({ "$$unordered": subsets(requests) }),
        None => subsets(expected),
    };
    // The case's own texts carry the address; what was received has it taken out.
    let text = expected.to_string().replace(&upstream.address, "{upstream}");
    let expected: Json = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    compare("upstream", &expected, Some(&Json::Array(upstream.take_received())))
}

async fn send(request: &Request, variables: &Variables, app_id: &str, address: &str) -> Result<Answer> {
    if let Some(raw) = &request.raw {
        return exchange_raw(address, variables.fill(raw).as_bytes()).await;
    }
    let path = match (&request.webhook, &request.endpoint, &request.path) {
        (Some(webhook), None, None) => {
            let (service, hook) = webhook.split_once('/').context("`webhook` is `service/hook`")?;
            format!("/api/client/v2.0/app/{app_id}/service/{service}/incoming_webhook/{hook}")
        }
        (None, Some(endpoint), None) => format!("/app/{app_id}/endpoint{endpoint}"),
        (None, None, Some(path)) => path.clone(),
        _ => bail!("a request names exactly one of `webhook`, `endpoint`, `path` or `raw`"),
    };
    let path = variables.fill(&path);
    let body = match (&request.body, &request.json, &request.base64) {
        (Some(text), None, None) => Some(Bytes::from(variables.fill(text))),
        (None, Some(json), None) => Some(Bytes::from(serde_json::to_vec(&variables.fill_json(json))?)),
        (None, None, Some(text)) => Some(base64::engine::general_purpose::STANDARD.decode(text)?.into()),
        (None, None, None) => None,
        _ => bail!("a request has at most one of `body`, `json` and `base64`"),
    };
    let method = request.method.as_deref().unwrap_or(if body.is_some() { "POST" } else { "GET" });
    let mut headers = Vec::new();
    for (name, value) in &request.headers {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            headers.push((name.clone(), variables.fill(value.as_str().context("header values are strings")?)));
        }
    }
    exchange(address, method, &path, &headers, body).await
}

fn check_answer(expected: &Response, answer: &Answer, variables: &Variables) -> Result<(), String> {
    compare("status", &expected.status, Some(&Json::from(answer.status)))?;
    for (name, expected) in &expected.headers {
        let values: Vec<Json> = answer
            .headers
            .iter()
            .filter(|(actual, _)| actual.eq_ignore_ascii_case(name))
            .map(|(_, value)| Json::String(value.clone()))
            .collect();
        let actual = match (expected, values.as_slice()) {
            (_, []) => None,
            (Json::Array(_), _) => Some(Json::Array(values)),
            (_, [one]) => Some(one.clone()),
            _ => Some(Json::Array(values)),
        };
        compare(&format!("header {name}"), &variables.fill_json(expected), actual.as_ref())?;
    }
    let text = String::from_utf8_lossy(&answer.body);
    if let Some(expected) = &expected.body {
        let expected = variables.fill(expected);
        if *expected != *text {
            return Err(format!("body: expected {expected:?}, got {text:?}"));
        }
    }
    if let Some(expected) = &expected.text {
        compare("body", &variables.fill_json(expected), Some(&Json::String(text.clone().into_owned())))?;
    }
    if let Some(expected) = &expected.json {
        let actual = serde_json::from_str(&text).map_err(|error| format!("body is not JSON ({error}): {text}"))?;
        compare("body", &variables.fill_json(expected), Some(&actual))?;
    }
    if let Some(expected) = &expected.base64 {
        let actual = base64::engine::general_purpose::STANDARD.encode(&answer.body);
        if *expected != actual {
            return Err(format!("body: expected {expected}, got {actual} (base64)"));
        }
    }
    let elapsed = u64::try_from(answer.elapsed.as_millis()).unwrap_or(u64::MAX);
    if expected.within_ms.is_some_and(|bound| elapsed > bound)
        || expected.at_least_ms.is_some_and(|bound| elapsed < bound)
    {
        return Err(format!("took {elapsed} ms"));
    }
    Ok(())
}

fn namespace(name: &str) -> Result<(&str, &str)> {
    name.split_once('.').with_context(|| format!("{name} is not `database.collection`"))
}

/// Databases of the server's own state: a running server relies on their indexes, so they are never dropped.
const STATE_PREFIX: &str = "selvedge_";

async fn seed(case: &Case, variables: &Variables, database: &Client) -> Result<()> {
    let mut names: BTreeSet<&str> = case.manifest.databases.iter().map(String::as_str).collect();
    for name in case.seed.keys().chain(case.after.keys()) {
        names.insert(namespace(name)?.0);
    }
    for name in names.into_iter().filter(|name| !name.starts_with(STATE_PREFIX)) {
        database.database(name).drop().await?;
    }
    for (name, documents) in &case.seed {
        let name = variables.fill(name);
        let (database_name, collection) = namespace(&name)?;
        let documents = documents
            .iter()
            .map(|document| match Bson::try_from(document.clone())? {
                Bson::Document(document) => anyhow::Ok(document),
                other => bail!("{name}: {other} is not a document"),
            })
            .collect::<Result<Vec<Document>>>()?;
        let collection = database.database(database_name).collection::<Document>(collection);
        if database_name.starts_with(STATE_PREFIX) {
            for document in documents {
                let query = mongodb::bson::doc! { "_id": document.get("_id").context("state has an _id")? };
                collection.replace_one(query, document).upsert(true).await?;
            }
        } else if !documents.is_empty() {
            collection.insert_many(documents).await?;
        }
    }
    Ok(())
}

async fn check_after(case: &Case, variables: &Variables, database: &Client) -> Result<()> {
    for (name, expected) in &case.after {
        let (database_name, collection) = namespace(name)?;
        let collection = database.database(database_name).collection::<Document>(collection);
        let documents: Vec<Document> =
            collection.find(Document::new()).sort(mongodb::bson::doc! {"_id": 1}).await?.try_collect().await?;
        let actual = Json::Array(
            documents.into_iter().map(|document| Bson::Document(document).into_canonical_extjson()).collect(),
        );
        compare(name, &variables.fill_json(expected), Some(&actual))
            .map_err(|difference| anyhow!("after: {difference}"))?;
    }
    Ok(())
}

/// Log events arrive a moment after the answer: poll until they are there.
async fn check_log(case: &Case, app_id: &str, server: &ServerProcess, start: usize) -> Result<()> {
    if case.manifest.log.is_empty() {
        return Ok(());
    }
    let mut difference = String::new();
    for _ in 0..100 {
        let mut entries = server.entries().split_off(start);
        // A late entry of the case before belongs to another app.
        entries.retain(|entry| entry["client_app_id"] == app_id);
        let expected = Json::Array(case.manifest.log.clone());
        match compare("log", &expected, Some(&Json::Array(entries))) {
            Ok(()) => return Ok(()),
            Err(text) => difference = text,
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    bail!("{difference}")
}

/// Names of cases that fail today, with the reason, from `expected-failures.txt` (`name: reason` per line).
///
/// # Errors
/// A line without a reason.
pub fn listed(file: &Path) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let mut names = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, reason) = line.split_once(": ").with_context(|| format!("{line}: a reason is missing"))?;
        ensure!(!reason.trim().is_empty(), "{line}: a reason is missing");
        names.insert(name.to_owned(), reason.to_owned());
    }
    Ok(names)
}

/// Where the cases are.
pub fn cases_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}
