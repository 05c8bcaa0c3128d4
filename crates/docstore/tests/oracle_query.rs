//! Replays recorded commands against the query library alone: documents in memory, no storage, no server.
//!
//! `DOCSTORE_ORACLE` names a file of scenes, one a line (`cases.jsonl`, unpacked); without it the test is skipped.
//! `DOCSTORE_ORACLE_SHOW=20` prints that many disagreements, `DOCSTORE_ORACLE_ONLY='"$push"'` replays only steps whose
//! command contains the text, `DOCSTORE_ORACLE_MIN=0.99` is the share that must agree (1 if not given).

use std::collections::BTreeMap;

use bson::{Bson, Document, doc};
use docstore::CommandError;
use docstore::query::update::{check_upsert, complete_insert};
use docstore::query::value::{self, identical};
use docstore::query::{Collation, Filter, Predicate, Projection, QueryContext, SortSpec, Update, keys, path};

type Outcome = Result<Document, CommandError>;

struct Scene {
    documents: Vec<Document>,
}

fn context(command: &Document) -> Result<QueryContext, CommandError> {
    let collation = match command.get("collation") {
        Some(Bson::Document(specification)) => Collation::parse(specification)?,
        _ => None,
    };
    Ok(QueryContext { collation: collation.map(Into::into), ..QueryContext::default() })
}

fn document<'d>(command: &'d Document, name: &str) -> &'d Document {
    static EMPTY: std::sync::LazyLock<Document> = std::sync::LazyLock::new(Document::new);
    match command.get(name) {
        Some(Bson::Document(found)) => found,
        _ => &EMPTY,
    }
}

fn number(command: &Document, name: &str) -> usize {
    match command.get(name) {
        Some(Bson::Int32(number)) => *number as usize,
        Some(Bson::Int64(number)) => *number as usize,
        Some(Bson::Double(number)) => *number as usize,
        _ => 0,
    }
}

fn flag(command: &Document, name: &str) -> bool {
    matches!(command.get(name), Some(Bson::Boolean(true)))
}

fn array_filters(command: &Document) -> Vec<Document> {
    match command.get("arrayFilters") {
        Some(Bson::Array(items)) => items.iter().filter_map(|item| item.as_document().cloned()).collect(),
        _ => Vec::new(),
    }
}

/// Every document that matches has a key within the bounds the filter states.
fn check_bounds(filter: &Filter, document: &Document) {
    let inside = |predicates: &[Predicate]| {
        predicates.iter().all(|predicate| {
            // Names that are both offsets and fields have no index keys.
            let Ok(keys) = keys::generate(document.into(), &[&predicate.path]) else {
                return true;
            };
            keys.tuples.iter().any(|tuple| {
                let key = tuple[0].to_bson();
                predicate.intervals.iter().any(|interval| {
                    let start = value::compare(&interval.start, &key, None);
                    let end = value::compare(&key, &interval.end, None);
                    (start.is_lt() || start.is_eq() && interval.start_inclusive)
                        && (end.is_lt() || end.is_eq() && interval.end_inclusive)
                })
            }) && (predicate.matches_missing || !keys.all_missing)
        })
    };
    let all = filter.predicates();
    assert!(inside(&all), "outside of the bounds {all:?}: {document}");
    if let Some(branches) = filter.branches() {
        assert!(branches.iter().any(|branch| inside(branch)), "outside of the branches {branches:?}: {document}");
    }
}

impl Scene {
    /// Positions of the documents that match, in the sort order.
    fn select(&self, filter: &Filter, sort: &Document, context: &QueryContext) -> Result<Vec<usize>, CommandError> {
        let spec = SortSpec::parse(sort, context)?;
        let mut matched = Vec::new();
        for (index, document) in self.documents.iter().enumerate() {
            let raw = bson::RawDocumentBuf::try_from(document).expect("encodable");
            let on_bytes = filter.matches(&*raw);
            let decoded = filter.matches(document);
            assert_eq!(on_bytes, decoded, "bytes and values differ for {document}");
            if decoded? {
                if context.collation.is_none() {
                    check_bounds(filter, document);
                }
                matched.push((spec.key(document)?, index));
            }
        }
        matched.sort_by(|(left, _), (right, _)| spec.compare(left, right));
        let by_bytes = |index: &usize| spec.key_bytes(&self.documents[*index]).expect("sortable");
        let order: Vec<usize> = matched.into_iter().map(|(_, index)| index).collect();
        assert!(order.windows(2).all(|pair| by_bytes(&pair[0]) <= by_bytes(&pair[1])), "key bytes out of order");
        Ok(order)
    }

    fn find(&self, command: &Document) -> Outcome {
        let context = context(command)?;
        let filter = Filter::parse(document(command, "filter"), &context)?;
        let projection = Projection::parse(
            document(command, "projection"),
            docstore::query::projection::ProjectionPolicy::Find,
            &context,
        )?;
        projection.check_positional(&filter)?;
        let limit = match number(command, "limit") {
            0 => usize::MAX,
            limit => limit,
        };
        let mut documents = Vec::new();
        for index in self
            .select(&filter, document(command, "sort"), &context)?
            .into_iter()
            .skip(number(command, "skip"))
            .take(limit)
        {
            let details = filter.match_details(&self.documents[index])?;
            documents.push(Bson::Document(projection.apply(&self.documents[index], details)?));
        }
        Ok(doc! { "documents": documents })
    }

    fn count(&self, command: &Document) -> Outcome {
        let context = context(command)?;
        let filter = Filter::parse(document(command, "query"), &context)?;
        let matched = self.select(&filter, &Document::new(), &context)?.len();
        Ok(doc! { "n": matched as i32 })
    }

    fn distinct(&self, command: &Document) -> Outcome {
        let context = context(command)?;
        let filter = Filter::parse(document(command, "query"), &context)?;
        let key = command.get_str("key").expect("a key");
        let mut seen = std::collections::BTreeSet::new();
        let mut values = Vec::new();
        for index in self.select(&filter, &Document::new(), &context)? {
            for value in path::distinct_values((&self.documents[index]).into(), key) {
                if seen.insert(value::order_key(value, context.collation())) {
                    values.push(value.to_bson());
                }
            }
        }
        Ok(doc! { "values": values })
    }

    fn add(&mut self, document: Document, context: &QueryContext) -> Result<Bson, CommandError> {
        let document = complete_insert(document, context)?;
        let id = document.get("_id").expect("completed").clone();
        if self.documents.iter().any(|other| value::equal(other.get("_id").expect("stored"), &id, None)) {
            return Err(CommandError::duplicate_key("c", "_id_", doc! { "_id": 1 }, doc! { "_id": id }));
        }
        self.documents.push(document);
        Ok(id)
    }

    fn insert(&mut self, command: &Document) -> Outcome {
        let mut inserted = 0;
        let mut errors = Vec::new();
        for (index, document) in command.get_array("documents").expect("documents").iter().enumerate() {
            let document = document.as_document().expect("a document").clone();
            match self.add(document, &QueryContext::default()) {
                Ok(_) => inserted += 1,
                Err(error) => {
                    errors.push(error.to_write_error(index));
                    if command.get("ordered") != Some(&Bson::Boolean(false)) {
                        break;
                    }
                }
            }
        }
        let mut reply = doc! { "n": inserted };
        if !errors.is_empty() {
            reply.insert("writeErrors", errors);
        }
        Ok(reply)
    }

    fn update(&mut self, command: &Document) -> Outcome {
        let (mut matched, mut modified) = (0, 0);
        let (mut upserted, mut errors) = (Vec::new(), Vec::new());
        for (index, entry) in command.get_array("updates").expect("updates").iter().enumerate() {
            let entry = entry.as_document().expect("an update");
            match self.update_one(entry, &mut matched, &mut modified) {
                Ok(Some(id)) => upserted.push(doc! { "index": index as i32, "_id": id }),
                Ok(None) => {}
                Err(error) => {
                    errors.push(error.to_write_error(index));
                    break;
                }
            }
        }
        let mut reply = doc! { "n": matched, "nModified": modified };
        if !upserted.is_empty() {
            reply.insert("upserted", upserted);
        }
        if !errors.is_empty() {
            reply.insert("writeErrors", errors);
        }
        Ok(reply)
    }

    fn update_one(
        &mut self,
        entry: &Document,
        matched: &mut i32,
        modified: &mut i32,
    ) -> Result<Option<Bson>, CommandError> {
        let context = context(entry)?;
        // What is wrong with the update is reported first.
        let update = Update::parse(entry.get("u").expect("an update"), &array_filters(entry), &context)?;
        let filter = Filter::parse(document(entry, "q"), &context)?;
        let upsert = flag(entry, "upsert");
        if upsert {
            check_upsert(&filter)?;
        }
        // Documents are matched and changed one by one; what was done before a failure stays, but is not counted.
        let (mut here, mut changed) = (0, 0);
        for index in 0..self.documents.len() {
            let Some(details) = filter.match_details(&self.documents[index])? else {
                continue;
            };
            let updated = update.apply(&self.documents[index], Some(details))?;
            here += 1;
            changed += i32::from(updated.modified);
            self.documents[index] = updated.document;
            if !flag(entry, "multi") {
                break;
            }
        }
        if here == 0 && upsert {
            let id = self.add(update.upsert(&filter)?, &context)?;
            *matched += 1;
            return Ok(Some(id));
        }
        *matched += here;
        *modified += changed;
        Ok(None)
    }

    fn delete(&mut self, command: &Document) -> Outcome {
        let mut removed = 0;
        let mut errors = Vec::new();
        for (index, entry) in command.get_array("deletes").expect("deletes").iter().enumerate() {
            let entry = entry.as_document().expect("a delete");
            match self.delete_some(entry) {
                Ok(count) => removed += count,
                Err(error) => {
                    errors.push(error.to_write_error(index));
                    break;
                }
            }
        }
        let mut reply = doc! { "n": removed };
        if !errors.is_empty() {
            reply.insert("writeErrors", errors);
        }
        Ok(reply)
    }

    fn delete_some(&mut self, entry: &Document) -> Result<i32, CommandError> {
        let context = context(entry)?;
        let filter = Filter::parse(document(entry, "q"), &context)?;
        let (mut index, mut removed) = (0, 0);
        while index < self.documents.len() {
            if !filter.matches(&self.documents[index])? {
                index += 1;
                continue;
            }
            self.documents.remove(index);
            removed += 1;
            if number(entry, "limit") == 1 {
                break;
            }
        }
        Ok(removed)
    }

    fn find_and_modify(&mut self, command: &Document) -> Outcome {
        let context = context(command)?;
        let update = match command.get("update") {
            Some(update) => Some(Update::parse(update, &array_filters(command), &context)?),
            None => None,
        };
        let filter = Filter::parse(document(command, "query"), &context)?;
        let projection = Projection::parse(
            document(command, "fields"),
            docstore::query::projection::ProjectionPolicy::Find,
            &context,
        )?;
        let new = flag(command, "new");
        let found = self.select(&filter, document(command, "sort"), &context)?.into_iter().next();
        let Some(update) = update else {
            let value = match found {
                Some(index) => Bson::Document(projection.apply(&self.documents[index], None)?),
                None => Bson::Null,
            };
            if let Some(index) = found {
                self.documents.remove(index);
            }
            return Ok(doc! { "value": value, "lastErrorObject": { "n": i32::from(found.is_some()) } });
        };
        let Some(index) = found else {
            if !flag(command, "upsert") {
                return Ok(doc! { "value": Bson::Null, "lastErrorObject": { "n": 0, "updatedExisting": false } });
            }
            check_upsert(&filter)?;
            let inserted = update.upsert(&filter)?;
            let id = self.add(inserted.clone(), &context)?;
            let value = if new { Bson::Document(projection.apply(&inserted, None)?) } else { Bson::Null };
            let report = doc! { "n": 1, "updatedExisting": false, "upserted": id };
            return Ok(doc! { "value": value, "lastErrorObject": report });
        };
        let details = filter.match_details(&self.documents[index])?;
        let updated = update.apply(&self.documents[index], details)?;
        let old = std::mem::replace(&mut self.documents[index], updated.document);
        // The write stays even if the projection of the reply fails.
        let value = projection.apply(if new { &self.documents[index] } else { &old }, details)?;
        Ok(doc! { "value": value, "lastErrorObject": { "n": 1, "updatedExisting": true } })
    }
}

/// Without what is for people only. The answers were recorded by JavaScript, whose objects put names that are numbers
/// first; both sides are brought to that order.
fn strip(value: &Bson) -> Bson {
    match value {
        Bson::Document(document) => {
            let mut fields: Vec<_> = document
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "errmsg"))
                .map(|(name, value)| (name.clone(), strip(value)))
                .collect();
            fields.sort_by_key(|(name, _)| path::array_index(name).unwrap_or(usize::MAX));
            Bson::Document(fields.into_iter().collect())
        }
        Bson::Array(items) => Bson::Array(items.iter().map(strip).collect()),
        Bson::Double(number) if number.is_nan() => Bson::Double(f64::NAN),
        other => other.clone(),
    }
}

fn agree(step: &Document, outcome: &Outcome) -> Result<(), String> {
    match (step.get_document("error"), outcome) {
        (Ok(expected), Err(error)) => {
            let name = expected.get_str("codeName").unwrap_or("");
            if name.starts_with("Location") || expected.get_i32("code").ok() == Some(error.code) {
                return Ok(());
            }
            Err(format!("expected error {expected}, got {error}"))
        }
        (Ok(expected), Ok(result)) => Err(format!("expected error {expected}, got {result}")),
        (Err(_), Err(error)) => Err(format!("expected {:?}, got {error}", step.get_document("result"))),
        (Err(_), Ok(result)) => {
            let expected = step.get_document("result").expect("a result");
            if flag(step, "unordered") {
                let sorted = |reply: &Document| -> Vec<Vec<u8>> {
                    let stripped = strip(&Bson::Document(reply.clone()));
                    let mut items: Vec<Vec<u8>> = stripped
                        .as_document()
                        .expect("stripped")
                        .values()
                        .flat_map(|value| value.as_array().cloned().unwrap_or_default())
                        .map(|item| bson::serialize_to_vec(&doc! { "": item }).expect("encodable"))
                        .collect();
                    items.sort();
                    items
                };
                if sorted(expected) == sorted(result) {
                    return Ok(());
                }
            } else {
                let mut expected = strip(&Bson::Document(expected.clone()));
                let mut result = strip(&Bson::Document(result.clone()));
                // Internal numbers of errors may differ; duplicate keys are compared by code and key.
                for reply in [&mut expected, &mut result] {
                    if let Bson::Document(reply) = reply
                        && let Ok(errors) = reply.get_array_mut("writeErrors")
                    {
                        for error in errors {
                            if let Bson::Document(error) = error {
                                if let Ok(code) = error.get_i32("code")
                                    && docstore::error::code::name(code).starts_with("Location")
                                {
                                    error.insert("code", "any");
                                }
                                let sorted: BTreeMap<_, _> = std::mem::take(error).into_iter().collect();
                                error.extend(sorted);
                            }
                        }
                    }
                }
                if let (Bson::Document(expected), Bson::Document(result)) = (&expected, &result) {
                    let same = expected.len() == result.len()
                        && expected
                            .iter()
                            .all(|(name, value)| result.get(name).is_some_and(|other| identical(value, other)));
                    if same {
                        return Ok(());
                    }
                }
            }
            Err(format!("expected {expected}\n     got {result}"))
        }
    }
}

fn operators(value: &Bson, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Bson::Document(document) => {
            for (name, value) in document {
                if name.starts_with('$') {
                    found.insert(name.clone());
                }
                operators(value, found);
            }
        }
        Bson::Array(items) => items.iter().for_each(|item| operators(item, found)),
        _ => {}
    }
}

#[test]
fn recorded_commands_agree() {
    let Ok(file) = std::env::var("DOCSTORE_ORACLE") else {
        eprintln!("skipped: DOCSTORE_ORACLE names no file of recorded commands");
        return;
    };
    let setting = |name: &str| std::env::var(name).ok();
    let mut show: usize = setting("DOCSTORE_ORACLE_SHOW").and_then(|text| text.parse().ok()).unwrap_or(10);
    let only = setting("DOCSTORE_ORACLE_ONLY");
    let least: f64 = setting("DOCSTORE_ORACLE_MIN").and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let text = std::fs::read_to_string(file).expect("a readable file of scenes");
    let (mut passed, mut total) = (0_usize, 0_usize);
    let mut per_operator: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for line in text.lines() {
        let json: serde_json::Value = serde_json::from_str(line).expect("a scene in JSON");
        let Ok(Bson::Document(scene)) = Bson::try_from(json) else {
            panic!("a scene is a document");
        };
        let documents = scene.get_array("docs").expect("docs");
        let mut state = Scene { documents: documents.iter().filter_map(|item| item.as_document().cloned()).collect() };
        for step in scene.get_array("steps").expect("steps") {
            let step = step.as_document().expect("a step");
            let command = step.get_document("command").expect("a command");
            let name = command.keys().next().expect("a command's name").as_str();
            let outcome = match name {
                "find" => state.find(command),
                "count" => state.count(command),
                "distinct" => state.distinct(command),
                "insert" => state.insert(command),
                "update" => state.update(command),
                "delete" => state.delete(command),
                "findAndModify" => state.find_and_modify(command),
                _ => {
                    if let Ok(after) = step.get_array("after") {
                        state.documents = after.iter().filter_map(|item| item.as_document().cloned()).collect();
                    }
                    continue;
                }
            };
            let mut verdict = agree(step, &outcome);
            if let Ok(after) = step.get_array("after") {
                let after: Vec<Document> = after.iter().filter_map(|item| item.as_document().cloned()).collect();
                let alike = |left: &Document, right: &Document| {
                    identical(&strip(&Bson::Document(left.clone())), &strip(&Bson::Document(right.clone())))
                };
                let same = after.len() == state.documents.len()
                    && after.iter().zip(&state.documents).all(|(left, right)| alike(left, right));
                if !same && verdict.is_ok() {
                    let differing: Vec<String> = after
                        .iter()
                        .zip(&state.documents)
                        .filter(|(left, right)| !alike(left, right))
                        .map(|(left, right)| format!("expected {left}\n     got {right}"))
                        .collect();
                    verdict = Err(format!("documents after differ\n{}", differing.join("\n")));
                }
                state.documents = after;
            }
            let rendered = format!("{command}");
            if only.as_ref().is_some_and(|only| !rendered.contains(only.as_str())) {
                continue;
            }
            total += 1;
            passed += usize::from(verdict.is_ok());
            let mut found = std::collections::BTreeSet::new();
            found.insert(format!("({name})"));
            operators(&Bson::Document(command.clone()), &mut found);
            for operator in found {
                let counts = per_operator.entry(operator).or_default();
                counts.0 += usize::from(verdict.is_ok());
                counts.1 += 1;
            }
            if let Err(difference) = verdict
                && show > 0
            {
                show -= 1;
                eprintln!("seed {} {rendered}\n{difference}\n", scene.get("seed").expect("a seed"));
            }
        }
    }
    let mut rates: Vec<_> = per_operator.into_iter().filter(|(_, (passed, total))| passed < total).collect();
    rates.sort_by_key(|(_, (passed, total))| std::cmp::Reverse(total - passed));
    for (operator, (passed, total)) in rates.into_iter().take(40) {
        eprintln!("{operator:24} {passed}/{total}");
    }
    eprintln!("{passed} of {total} agree");
    assert!(passed as f64 >= least * total as f64, "{passed} of {total} agree");
}
