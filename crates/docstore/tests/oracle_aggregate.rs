//! Replays recorded aggregate commands against the aggregation library alone: collections in memory, no server.
//!
//! `DOCSTORE_ORACLE` names a directory with `cases.jsonl.xz` and `expressions.jsonl.xz`; without it the directory
//! `shared/oracle` beside the repository is taken, and without that the part in `tests/data`.
//! `DOCSTORE_ORACLE_FILE=expressions` replays one file, `DOCSTORE_ORACLE_SHOW=20` prints that many disagreements,
//! `DOCSTORE_ORACLE_ONLY='"$push"'` replays only steps whose command contains the text.

#![expect(clippy::unwrap_used, reason = "a test ends where its own data is not what it has to be")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bson::{Bson, Document};
use docstore::CommandError;
use docstore::aggregate::{CollectionAccess, Pipeline, PipelineOptions, Row, Rows};
use docstore::query::{Filter, QueryContext, ValueRef, decimal};

/// Relative tolerance of doubles in `approximate` steps.
const TOLERANCE: f64 = 1e-12;
/// Relative tolerance of decimals in `approximate` steps: the last two of 34 digits are those of the recorded server's
/// library, which computes in binary with an error of its own.
const DECIMAL_TOLERANCE: f64 = 1e-32;

struct Memory {
    collections: BTreeMap<String, Vec<Document>>,
}

type Result<T> = std::result::Result<T, CommandError>;

impl CollectionAccess for Memory {
    fn find(&self, _: &str, collection: &str, filter: &Document, context: &QueryContext) -> Result<Rows> {
        let filter = Filter::parse(filter, context)?;
        let mut found = Vec::new();
        for document in self.collections.get(collection).into_iter().flatten() {
            if filter.matches(document)? {
                found.push(Ok(Row::Raw(bson::raw::RawDocumentBuf::try_from(document).unwrap())));
            }
        }
        Ok(Box::new(found.into_iter()))
    }

    fn has_index_on(&self, _: &str, _: &str, path: &str) -> bool {
        // Both ways of joining are to be seen.
        path == "_id"
    }

    fn has_unique_index(&self, _: &str, _: &str, fields: &[String]) -> bool {
        fields == ["_id"]
    }

    fn geo_indexes(&self, _: &str, _: &str) -> Vec<Document> {
        Vec::new()
    }

    fn insert(&self, _: &str, _: &str, _: Document) -> Result<()> {
        Err(CommandError::internal("the replay reads only"))
    }

    fn update(&self, _: &str, _: &str, _: &Document, _: &Bson, _: &QueryContext) -> Result<bool> {
        Err(CommandError::internal("the replay reads only"))
    }

    fn replace_collection(&self, _: &str, _: &str, _: Vec<Document>) -> Result<()> {
        Err(CommandError::internal("the replay reads only"))
    }

    fn collection_stats(&self, _: &str, _: &str, _: &Document) -> Result<Document> {
        Err(CommandError::internal("the replay reads only"))
    }

    fn index_stats(&self, _: &str, _: &str) -> Result<Vec<Document>> {
        Ok(Vec::new())
    }

    fn current_operations(&self, _: &Document) -> Result<Vec<Document>> {
        Ok(Vec::new())
    }
}

fn run(memory: &Arc<Memory>, command: &Document) -> Result<Vec<Bson>> {
    let context = QueryContext::default();
    let stages = command.get_array("pipeline").unwrap();
    let collection = command.get_str("aggregate").unwrap();
    let options = PipelineOptions::new("test", Some(collection));
    let pipeline = Pipeline::parse(stages, &options, &context)?;
    let source = memory.find("test", collection, &Document::new(), &context)?;
    pipeline.run(source, memory.clone())?.map(|row| row.map(|row| Bson::Document(row.into_document()))).collect()
}

fn same(expected: &Bson, found: &Bson, approximate: bool) -> bool {
    match (expected, found) {
        (Bson::Double(a), Bson::Double(b)) => {
            a.to_bits() == b.to_bits()
                || (a.is_nan() && b.is_nan())
                || (approximate && (a == b || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())))
        }
        (Bson::Decimal128(a), Bson::Decimal128(b)) => a == b || (approximate && near(*a, *b)),
        (Bson::Document(a), Bson::Document(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((a, x), (b, y))| a == b && same(x, y, approximate))
        }
        (Bson::Array(a), Bson::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, approximate)),
        (a, b) => a == b,
    }
}

fn near(left: bson::Decimal128, right: bson::Decimal128) -> bool {
    let difference = decimal::to_f64(decimal::subtract(left, right)).abs();
    difference <= DECIMAL_TOLERANCE * decimal::to_f64(left).abs()
}

fn same_list(expected: &[Bson], found: &[Bson], unordered: bool, approximate: bool) -> bool {
    if expected.len() != found.len() {
        return false;
    }
    if !unordered {
        return expected.iter().zip(found).all(|(a, b)| same(a, b, approximate));
    }
    let mut left: Vec<&Bson> = found.iter().collect();
    expected.iter().all(|wanted| match left.iter().position(|found| same(wanted, found, approximate)) {
        Some(position) => {
            left.swap_remove(position);
            true
        }
        None => false,
    })
}

/// What is wrong with the outcome, if anything.
fn problem(step: &Document, outcome: &Result<Vec<Bson>>) -> Option<String> {
    let flag = |name: &str| step.get_bool(name).unwrap_or(false);
    match (step.get_document("error"), outcome) {
        (Ok(error), Err(got)) => {
            let code = error.get("code").and_then(|code| ValueRef::from(code).as_exact_i64());
            let location = error.get_str("codeName").is_ok_and(|name| name.starts_with("Location"));
            (!location && code != Some(i64::from(got.code))).then(|| format!("wanted {error}\n   got {got}"))
        }
        (Ok(error), Ok(got)) => Some(format!("wanted error {error}\n   got {}", Bson::Array(got.clone()))),
        (Err(_), Err(got)) => Some(format!("wanted {}\n   got error {got}", step.get("result").unwrap())),
        (Err(_), Ok(got)) => {
            let wanted = step.get_document("result").unwrap().get_array("documents").unwrap();
            if same_list(wanted, got, flag("unordered"), flag("approximate")) {
                return None;
            }
            let first = wanted.iter().zip(got).find(|(a, b)| !same(a, b, flag("approximate")));
            Some(match first {
                Some((wanted, found)) if wanted.as_document().is_some() => {
                    format!(
                        "{} rows, got {}; first difference\nwanted {wanted}\n   got {found}",
                        step.get_document("result").unwrap().get_array("documents").unwrap().len(),
                        got.len()
                    )
                }
                _ => format!("wanted {} rows\n   got {}", wanted.len(), got.len()),
            })
        }
    }
}

fn operators(value: &Bson, names: &mut Vec<String>) {
    match value {
        Bson::Document(document) => {
            for (name, value) in document {
                if name.starts_with('$') && !names.contains(name) {
                    names.push(name.clone());
                }
                operators(value, names);
            }
        }
        Bson::Array(items) => items.iter().for_each(|item| operators(item, names)),
        _ => {}
    }
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn lines(path: &Path) -> Vec<Document> {
    let mut unpacked = Vec::new();
    lzma_rs::xz_decompress(&mut std::fs::read(path).unwrap().as_slice(), &mut unpacked).unwrap();
    String::from_utf8(unpacked)
        .unwrap()
        .lines()
        .map(|line| {
            let json: serde_json::Value = serde_json::from_str(line).unwrap();
            match Bson::try_from(json).unwrap() {
                Bson::Document(document) => document,
                other => panic!("not a document: {other}"),
            }
        })
        .collect()
}

fn directory() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let full = setting("DOCSTORE_ORACLE").map_or_else(|| manifest.join("../../../shared/oracle"), PathBuf::from);
    if full.join("cases.jsonl.xz").exists() { full } else { manifest.join("tests/data") }
}

/// Recorded aggregations that differ on purpose: seed of the scene, a part of the command, why.
const EXCEPTIONS: [(i64, &str, &str); 7] = [
    // MongoDB 4.4 reads only the fields a pipeline with `$facet` needs, and takes the number in a path for a field's name
    // then, so that it misses elements of arrays. The manual ("Query an Array", "Query for an Element by the Array Index
    // Position") says that such a path means the element; later versions do that here too.
    (823, "\"b.1\"", "a number in a path means an element of an array"),
    (1380, "\"c.1\"", "a number in a path means an element of an array"),
    (2052, "\"b.1\"", "a number in a path means an element of an array"),
    (4132, "\"b.0\"", "a number in a path means an element of an array"),
    (4910, "\"b.0\"", "a number in a path means an element of an array"),
    // "$sort", "Sort Consistency": documents with equal sort keys may come in any order; here both have the `_id` 4.
    (3561, "\"$unionWith\"", "equal sort keys"),
    // A field that was computed as missing and is computed again three stages later is put where it would have been.
    // The manual gives new fields no place.
    (3641, "\"$unionWith\"", "place of a field that was missing before"),
];

fn is_exception(scene: &Document, command: &Document) -> bool {
    let seed = scene.get("seed").and_then(|seed| ValueRef::from(seed).as_exact_i64());
    let text = command.to_string();
    EXCEPTIONS.iter().any(|(known, part, _)| Some(*known) == seed && text.contains(part))
}

fn documents(scene: &Document, name: &str) -> Vec<Document> {
    scene
        .get_array(name)
        .map(|items| items.iter().filter_map(|item| item.as_document().cloned()).collect())
        .unwrap_or_default()
}

fn replay(file: &str) {
    let path = directory().join(format!("{file}.jsonl.xz"));
    if !path.exists() || setting("DOCSTORE_ORACLE_FILE").is_some_and(|only| only != file) {
        println!("{file}: not replayed, {} is not here or not asked for", path.display());
        return;
    }
    let only = setting("DOCSTORE_ORACLE_ONLY");
    let mut show: usize = setting("DOCSTORE_ORACLE_SHOW").and_then(|show| show.parse().ok()).unwrap_or(5);
    let mut tally: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let (mut steps, mut failed) = (0, 0);
    for scene in lines(&path) {
        let mut memory = Arc::new(Memory {
            collections: [("c", "docs"), ("other", "other")]
                .into_iter()
                .map(|(collection, field)| (collection.to_owned(), documents(&scene, field)))
                .collect(),
        });
        for step in documents(&scene, "steps") {
            let command = step.get_document("command").unwrap();
            if command.contains_key("aggregate")
                && only.as_ref().is_none_or(|only| command.to_string().contains(only.as_str()))
            {
                steps += 1;
                let outcome = run(&memory, command);
                let problem = problem(&step, &outcome).filter(|_| !is_exception(&scene, command));
                let mut names = Vec::new();
                operators(command.get("pipeline").unwrap(), &mut names);
                for name in names {
                    let entry = tally.entry(name).or_default();
                    entry.0 += 1;
                    entry.1 += usize::from(problem.is_some());
                }
                if let Some(problem) = problem {
                    failed += 1;
                    if show > 0 {
                        show -= 1;
                        println!("scene {}: {command}\n{problem}\n", scene.get("seed").unwrap());
                    }
                }
            }
            if step.contains_key("after") {
                let mut collections = memory.collections.clone();
                collections.insert("c".to_owned(), documents(&step, "after"));
                memory = Arc::new(Memory { collections });
            }
        }
    }
    for (name, (steps, failed)) in tally.iter().filter(|(_, (_, failed))| *failed > 0) {
        println!("{name}: {failed} of {steps} disagree");
    }
    println!("{file}: {steps} aggregate commands, {failed} disagree");
    assert!(steps > 0 || only.is_some(), "nothing was replayed");
    assert_eq!(failed, 0, "{file}");
}

#[test]
fn recorded_expressions() {
    replay("expressions");
}

#[test]
fn recorded_pipelines() {
    replay("cases");
}
