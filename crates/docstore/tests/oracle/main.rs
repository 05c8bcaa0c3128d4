//! Replays recorded commands over a real connection with the official driver and compares the answers with a real
//! MongoDB's.
//!
//! `cargo test -p docstore --test oracle` replays the part kept in `tests/data`, and all recordings where they are:
//! in the directory `DOCSTORE_ORACLE` names, or in `../shared/oracle` beside the repository.
//! `DOCSTORE_ORACLE_SHOW=5` prints so many failures in full, `DOCSTORE_ORACLE_ONLY='$pull'` replays only scenes whose
//! commands hold that text (and counts only those steps), `DOCSTORE_ORACLE_FILE=cases` only that file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::result_large_err, reason = "a failure ends the comparison of its step")]

mod commands;
mod compare;
mod scenes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bson::{Bson, Document};

/// How the replay of one file went.
#[derive(Default)]
pub struct Tally {
    /// Steps replayed.
    pub steps: usize,
    /// Steps that disagree.
    pub failed: usize,
    /// Steps on the list of exceptions.
    pub excepted: usize,
    /// By operator or stage: failed and all steps that hold it.
    pub operators: BTreeMap<String, (usize, usize)>,
    shown: usize,
}

impl Tally {
    /// Counts one step under every operator its command holds.
    pub fn count(&mut self, command: &Document, problem: Option<String>, place: &str) {
        self.steps += 1;
        let mut names = Vec::new();
        if let Some(name) = command.keys().next() {
            names.push(name.clone());
        }
        operators(&Bson::Document(command.clone()), &mut names);
        names.sort();
        names.dedup();
        for name in names {
            let entry = self.operators.entry(name).or_default();
            entry.1 += 1;
            entry.0 += usize::from(problem.is_some());
        }
        let Some(problem) = problem else { return };
        self.failed += 1;
        if self.shown < setting("DOCSTORE_ORACLE_SHOW").and_then(|n| n.parse().ok()).unwrap_or(0) {
            self.shown += 1;
            println!("--- {place}\n{command}\n{problem}\n");
        }
    }

    fn report(&self, name: &str) {
        println!(
            "{name}: {} of {} steps agree, {} excepted",
            self.steps - self.failed - self.excepted,
            self.steps,
            self.excepted
        );
        let mut failing: Vec<_> = self.operators.iter().filter(|(_, (failed, _))| *failed > 0).collect();
        failing.sort_by_key(|(_, (failed, all))| std::cmp::Reverse((failed * 1000 / all, *failed)));
        for chunk in failing.chunks(6) {
            let row: Vec<String> = chunk.iter().map(|(name, (failed, all))| format!("{name} {failed}/{all}")).collect();
            println!("    {}", row.join(", "));
        }
    }
}

fn operators(value: &Bson, names: &mut Vec<String>) {
    match value {
        Bson::Document(document) => {
            for (name, value) in document {
                if name.starts_with('$') && !name.starts_with("$$") {
                    names.push(name.clone());
                }
                operators(value, names);
            }
        }
        Bson::Array(items) => items.iter().for_each(|item| operators(item, names)),
        _ => {}
    }
}

/// A setting from the environment, when it is not empty.
pub fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The lines of a recording, unpacked if need be.
pub fn lines(path: &Path) -> Vec<Document> {
    let bytes = std::fs::read(path).unwrap();
    let text = if path.extension().is_some_and(|extension| extension == "xz") {
        let mut unpacked = Vec::new();
        lzma_rs::xz_decompress(&mut bytes.as_slice(), &mut unpacked).unwrap();
        String::from_utf8(unpacked).unwrap()
    } else {
        String::from_utf8(bytes).unwrap()
    };
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let json: serde_json::Value = serde_json::from_str(line).unwrap();
            match Bson::try_from(json).unwrap() {
                Bson::Document(document) => document,
                other => panic!("not a document: {other}"),
            }
        })
        .collect()
}

fn recordings() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let given = setting("DOCSTORE_ORACLE").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oracle");
    let full = given.unwrap_or(beside);
    let directory = if full.join("cases.jsonl.xz").exists() {
        full
    } else {
        println!("!!! {} is not here: only the part of the recordings in tests/data is replayed", full.display());
        own
    };
    let names = ["cases.jsonl.xz", "expressions.jsonl.xz", "commands.jsonl"];
    names
        .iter()
        .filter(|name| setting("DOCSTORE_ORACLE_FILE").is_none_or(|only| name.starts_with(&only)))
        .map(|name| directory.join(name))
        .filter(|path| path.exists())
        .collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // The harness's own flags mean nothing here, but listing must not run anything.
    if std::env::args().any(|argument| argument == "--list") {
        println!("oracle: test");
        return ExitCode::SUCCESS;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = docstore::open(directory.path(), docstore::Options::default()).unwrap();
    let client = mongodb::Client::with_uri_str(server.uri()).await.unwrap();
    let mut failed = 0;
    for path in recordings() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let started = std::time::Instant::now();
        let tally = if name.starts_with("commands") {
            commands::replay(&client, &lines(&path)).await
        } else {
            scenes::replay(&client, &lines(&path)).await
        };
        tally.report(&format!("{name} ({:.1} s)", started.elapsed().as_secs_f64()));
        failed += tally.failed;
    }
    drop(client);
    server.shutdown().await.unwrap();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
