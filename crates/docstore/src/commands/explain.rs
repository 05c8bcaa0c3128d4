//! `explain`: which plan a command takes, and what it reads.

use std::sync::Arc;

use bson::{Bson, Document, doc};

use super::read::{Find, resolve};
use super::{Call, Reply, fields};
use crate::catalog::Namespace;
use crate::error::{CommandError, CommandResult, code};

pub fn explain(call: &mut Call<'_>) -> CommandResult<Reply> {
    let body = call.body;
    let Some(Bson::Document(inner)) = body.get("explain") else {
        return Err(fields::missing("explain", "explain"));
    };
    let verbosity = fields::text(body, "verbosity")?.unwrap_or("allPlansExecution").to_owned();
    if !["queryPlanner", "executionStats", "allPlansExecution"].contains(&verbosity.as_str()) {
        return Err(CommandError::failed_to_parse(
            "verbosity string must be one of {'queryPlanner', 'executionStats', 'allPlansExecution'}",
        ));
    }
    let Some((name, target)) = inner.iter().next() else {
        return Err(CommandError::new(code::COMMAND_NOT_FOUND, "Explain failed due to unknown command: "));
    };
    let query = |from: &str| inner.get(from).cloned().unwrap_or_else(|| Bson::Document(Document::new()));
    let mut find = doc! { "find": target.clone() };
    let mut copy = |names: &[(&str, &str)]| {
        for (from, to) in names {
            if let Some(value) = inner.get(from) {
                find.insert(*to, value.clone());
            }
        }
    };
    match name.as_str() {
        "find" => {
            copy(
                &["filter", "projection", "sort", "hint", "skip", "limit", "min", "max", "collation", "let"]
                    .map(|n| (n, n)),
            );
        }
        "count" | "distinct" => {
            copy(&[("query", "filter"), ("hint", "hint"), ("skip", "skip"), ("collation", "collation")]);
        }
        "findAndModify" | "findandmodify" => {
            copy(&[("query", "filter"), ("sort", "sort"), ("hint", "hint"), ("collation", "collation")]);
            find.insert("limit", 1);
        }
        "update" | "delete" => {
            let list = if name == "update" { "updates" } else { "deletes" };
            let first = inner.get_array(list).ok().and_then(|items| items.first()).and_then(Bson::as_document);
            let Some(first) = first else { return Err(fields::missing(name, list)) };
            find.insert("filter", first.get("q").cloned().unwrap_or_else(|| query("q")));
            for option in ["hint", "collation"] {
                if let Some(value) = first.get(option) {
                    find.insert(option, value.clone());
                }
            }
        }
        "aggregate" => {
            let stages = inner.get_array("pipeline").cloned().unwrap_or_default();
            return explain_aggregate(call, inner, &stages, &verbosity);
        }
        other => {
            return Err(CommandError::new(
                code::COMMAND_NOT_FOUND,
                format!("Explain failed due to unknown command: {other}"),
            ));
        }
    }
    let Bson::String(collection) = target else {
        return Err(CommandError::new(code::INVALID_NAMESPACE, "collection name has invalid type"));
    };
    let namespace = Namespace::new(&call.database, collection)?;
    explain_find(call, &namespace, &find, &verbosity).map(Reply::Document)
}

fn explain_find(call: &Call<'_>, namespace: &Namespace, find: &Document, verbosity: &str) -> CommandResult<Document> {
    let point = call.read_point();
    let (target, stages, collection) = resolve(&point, namespace)?;
    if !stages.is_empty() {
        return explain_target(call, &target, &stages);
    }
    let parsed = Find::parse(call, find, collection.as_deref())?;
    let mut planner = doc! {
        "namespace": namespace.to_string(),
        "indexFilterSet": false,
        "parsedQuery": parsed.filter_document.clone(),
        "maxIndexedOrSolutionsReached": false,
        "maxIndexedAndSolutionsReached": false,
        "maxScansToExplodeReached": false,
    };
    let mut reply = doc! { "explainVersion": "1" };
    let (mut plan_document, statistics) = match &collection {
        None => (doc! { "stage": "EOF" }, None),
        Some(collection) => {
            let plan = parsed.plan(&point, collection)?;
            let mut shown = plan.explain(&parsed.filter_document);
            if parsed.sorts(&plan)
                && let Some(sort) = fields::document(find, "sort")?
            {
                shown = doc! { "stage": "SORT", "sortPattern": sort.clone(), "memLimit": 104_857_600, "type": "simple", "inputStage": shown };
            }
            let statistics = if verbosity == "queryPlanner" {
                None
            } else {
                let mut matches =
                    crate::plan::Matches::new(plan.rows(&point.view, collection)?, Arc::clone(parsed.filter()));
                let mut returned = 0_i64;
                let most = if parsed.sorts(&plan) { None } else { parsed.most() };
                while most.is_none_or(|most| returned < most as i64) {
                    match matches.next().transpose()? {
                        Some(_) => returned += 1,
                        None => break,
                    }
                }
                Some((matches.examined(), parsed.shown(returned)))
            };
            (shown, statistics)
        }
    };
    if let Some(limit) = fields::integer(find, "limit")?.filter(|limit| *limit != 0) {
        plan_document = doc! { "stage": "LIMIT", "limitAmount": limit, "inputStage": plan_document };
    }
    if fields::document(find, "projection")?.is_some_and(|projection| !projection.is_empty()) {
        plan_document = doc! { "stage": "PROJECTION_DEFAULT", "transformBy": find.get("projection").cloned(), "inputStage": plan_document };
    }
    planner.insert("winningPlan", plan_document.clone());
    planner.insert("rejectedPlans", Bson::Array(Vec::new()));
    reply.insert("queryPlanner", planner);
    if let Some((examined, returned)) = statistics {
        reply.insert(
            "executionStats",
            doc! {
                "executionSuccess": true,
                "nReturned": returned as i32,
                "executionTimeMillis": 0,
                "totalKeysExamined": examined.keys as i32,
                "totalDocsExamined": examined.documents as i32,
                "executionStages": plan_document,
            },
        );
    } else if collection.is_none() && verbosity != "queryPlanner" {
        reply.insert(
            "executionStats",
            doc! {
                "executionSuccess": true, "nReturned": 0, "executionTimeMillis": 0, "totalKeysExamined": 0,
                "totalDocsExamined": 0, "executionStages": plan_document,
            },
        );
    }
    finish(call, reply, find)
}

fn finish(call: &Call<'_>, mut reply: Document, command: &Document) -> CommandResult<Document> {
    let mut shown = command.clone();
    shown.insert("$db", &call.database);
    reply.insert("command", shown);
    reply.insert(
        "serverInfo",
        doc! { "host": &call.shared.host, "port": 0, "version": "8.0.0", "gitVersion": "docstore" },
    );
    Ok(reply)
}

/// Explains an aggregate: the plan of its leading `$match` and `$sort`, then its stages.
pub fn explain_aggregate(call: &Call<'_>, body: &Document, stages: &[Bson], verbosity: &str) -> CommandResult<Reply> {
    super::read::check_pipeline(call, stages)?;
    let Some(Bson::String(collection)) = body.iter().next().map(|(_, target)| target) else {
        return Ok(doc! { "stages": stages.to_vec() }.into());
    };
    let namespace = Namespace::new(&call.database, collection)?;
    let point = call.read_point();
    let (target, mut all, _) = resolve(&point, &namespace)?;
    all.extend(stages.iter().cloned());
    let mut find = doc! { "find": &target.collection };
    let mut rest = all.as_slice();
    if let Some(Bson::Document(first)) = rest.first()
        && let Some(Bson::Document(filter)) = first.get("$match")
    {
        find.insert("filter", filter.clone());
        rest = &rest[1..];
    }
    if let Some(Bson::Document(first)) = rest.first()
        && let Some(Bson::Document(sort)) = first.get("$sort")
    {
        find.insert("sort", sort.clone());
        rest = &rest[1..];
    }
    for option in ["hint", "collation", "let"] {
        if let Some(value) = body.get(option) {
            find.insert(option, value.clone());
        }
    }
    let inner = explain_find(call, &target, &find, verbosity)?;
    if rest.is_empty() {
        return Ok(inner.into());
    }
    let mut cursor = Document::new();
    for part in ["queryPlanner", "executionStats"] {
        if let Some(value) = inner.get(part) {
            cursor.insert(part, value.clone());
        }
    }
    let mut shown = vec![Bson::Document(doc! { "$cursor": cursor })];
    shown.extend(rest.iter().cloned());
    let reply = doc! { "explainVersion": "1", "stages": shown };
    finish(call, reply, &doc! { "aggregate": collection, "pipeline": stages.to_vec() }).map(Reply::Document)
}

fn explain_target(call: &Call<'_>, target: &Namespace, stages: &[Bson]) -> CommandResult<Document> {
    let body = doc! { "aggregate": &target.collection };
    match explain_aggregate(call, &body, stages, "queryPlanner")? {
        Reply::Document(document) => Ok(document),
        Reply::Raw(raw) => crate::bytes::to_document(raw.as_bytes()),
    }
}
