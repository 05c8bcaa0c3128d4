//! Replays every case of `cases/` against the real binary: on a fresh single-process server, on the same server again,
//! and on a supervised one; and all of it against a real MongoDB where one is given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::case::{Case, discover, load};
use crate::matcher::compare;
use crate::replay::{cases_directory, listed, prepare_app, replay};
use crate::server_process::{ServerOptions, ServerProcess, run_to_end, serve_command};
use crate::upstream::Upstream;
use anyhow::{Context, Result, anyhow};
use serde_json::{Value as Json, json};

/// One way of running the cases.
struct Pass {
    name: &'static str,
    single_process: bool,
    /// How many times each case is replayed on one server.
    rounds: usize,
    mongodb: Option<String>,
}

/// Failures by case: pass and difference.
type Failures = BTreeMap<String, Vec<String>>;

/// Runs all passes with this `selvedge` binary and prints the result of every case. `SELVEDGE_CASE`, or the first word of
/// the command line, chooses cases by a part of their name.
pub fn main(binary: &Path) -> ExitCode {
    match run(binary) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(binary: &Path) -> Result<bool> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut cases = discover(&cases_directory())?;
    let filter =
        std::env::var("SELVEDGE_CASE").ok().or_else(|| arguments.into_iter().find(|word| !word.starts_with('-')));
    if let Some(filter) = &filter {
        cases.retain(|case| case.name.contains(filter.as_str()));
    }
    if std::env::args().any(|word| word == "--list") {
        cases.iter().for_each(|case| println!("{}: test", case.name));
        return Ok(true);
    }
    let mut passes = vec![
        Pass { name: "single process", single_process: true, rounds: 2, mongodb: None },
        Pass { name: "supervised", single_process: false, rounds: 1, mongodb: None },
    ];
    let _real = match real_mongodb()? {
        Some((uri, guard)) => {
            passes.push(Pass { name: "MongoDB", single_process: true, rounds: 1, mongodb: Some(uri) });
            guard
        }
        None => {
            println!(
                "note: no real MongoDB: set SELVEDGE_TEST_MONGODB or put `mongod` on PATH to run the cases on one"
            );
            None
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut failures = Failures::new();
    for pass in &passes {
        runtime
            .block_on(run_pass(pass, binary, &cases, &mut failures))
            .with_context(|| format!("pass {}", pass.name))?;
    }
    report(&cases, &failures, passes.len(), filter.is_some())
}

/// Prints the result of every case; gives whether all is as expected.
fn report(cases: &[Case], failures: &Failures, passes: usize, filtered: bool) -> Result<bool> {
    let expected = listed(&Path::new(env!("CARGO_MANIFEST_DIR")).join("expected-failures.txt"))?;
    let (mut passed, mut failed) = (0, 0);
    for case in cases {
        match (failures.get(&case.name), expected.get(&case.name)) {
            (None, None) => passed += 1,
            (Some(_), Some(reason)) => {
                passed += 1;
                println!("case {} ... fails as expected ({reason})", case.name);
            }
            (None, Some(_)) => {
                failed += 1;
                println!("case {} ... FAILED: it passes now; take it out of expected-failures.txt", case.name);
            }
            (Some(differences), None) => {
                failed += 1;
                println!("case {} ... FAILED: {}", case.name, case.manifest.shows);
                println!("  {} differences, shown above", differences.len());
            }
        }
    }
    if !filtered {
        for name in expected.keys().filter(|name| !cases.iter().any(|case| &case.name == *name)) {
            failed += 1;
            println!("case {name} ... FAILED: listed in expected-failures.txt, but there is no such case");
        }
    }
    let outcome = if failed == 0 { "ok" } else { "FAILED" };
    println!("\n{} cases in {passes} passes", cases.len());
    println!("test result: {outcome}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out");
    Ok(failed == 0)
}

async fn run_pass(pass: &Pass, binary: &Path, cases: &[Case], failures: &mut Failures) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let mut played = Vec::new();
    for case in cases {
        played.push(match Played::begin(case).await {
            Ok(played) => played,
            Err(error) => {
                note(failures, case, pass.name, Err(error));
                continue;
            }
        });
    }
    let mut groups: BTreeMap<String, Vec<(&Played, String, PathBuf)>> = BTreeMap::new();
    for (index, played) in played.iter().enumerate() {
        let case = &played.case;
        let directory = scratch.path().join(format!("app-{index}"));
        let app_id = prepare_app(case, &directory).with_context(|| case.name.clone())?;
        if case.steps.is_empty() {
            if pass.single_process && pass.mongodb.is_none() {
                note(failures, case, "start", check_without_steps(binary, case, &app_id, &directory, scratch.path()));
            }
            continue;
        }
        if case.manifest.check.is_some() {
            note(failures, case, "check", check_command(binary, case, &directory));
        }
        let own_server = if case.manifest.keep_app_id { case.name.as_str() } else { "" };
        groups.entry(format!("{own_server}{:?}", case.manifest.server)).or_default().push((played, app_id, directory));
    }
    for (number, group) in groups.into_values().enumerate() {
        let secrets: BTreeMap<&String, &String> =
            group.iter().flat_map(|(played, _, _)| &played.case.manifest.secrets).collect();
        let secrets_file = scratch.path().join(format!("secrets-{number}.json"));
        std::fs::write(&secrets_file, serde_json::to_vec(&secrets)?)?;
        let mut flags = group[0].0.case.manifest.server.clone();
        if pass.single_process {
            flags.push("--single-process".to_owned());
        }
        if let Some(uri) = &pass.mongodb {
            flags.extend(["--mongodb".to_owned(), uri.clone()]);
        }
        let options = ServerOptions {
            apps: group.iter().map(|(_, _, directory)| directory.clone()).collect(),
            data_directory: scratch.path().join(format!("data-{number}")),
            secrets_file: Some(secrets_file),
            flags,
        };
        let server = match ServerProcess::start(binary, &options) {
            Ok(server) => server,
            Err(error) => {
                for (played, _, _) in &group {
                    note(failures, &played.case, pass.name, Err(anyhow!("{error:#}")));
                }
                continue;
            }
        };
        let uri = match &pass.mongodb {
            Some(uri) => uri.clone(),
            None => server.docstore_uri()?,
        };
        let database = mongodb::Client::with_uri_str(&uri).await.context("connecting to the database")?;
        for round in 1..=pass.rounds {
            for (played, app_id, _) in &group {
                let result = replay(&played.case, app_id, &server, &database, played.upstream.as_ref()).await;
                if result.is_err() {
                    eprintln!("end of the server's log:\n{}", server.log_end());
                }
                note(failures, &played.case, &format!("{}, round {round}", pass.name), result);
            }
        }
        let code = server.stop()?;
        if code != Some(0) {
            note(failures, &group[0].0.case, pass.name, Err(anyhow!("the server ended with {code:?} instead of 0")));
        }
    }
    Ok(())
}

/// A case in one pass, with the server its app calls.
struct Played {
    case: Case,
    upstream: Option<Upstream>,
}

impl Played {
    async fn begin(case: &Case) -> Result<Self> {
        let root = cases_directory();
        let Some(exchanges) = &case.upstream else {
            return Ok(Self { case: load(&root, &case.directory, &[])?, upstream: None });
        };
        let upstream = Upstream::start(exchanges).await?;
        let port = upstream.address.rsplit(':').next().unwrap_or_default();
        let replacements = [("{upstream}", upstream.address.as_str()), ("{upstream_port}", port)];
        Ok(Self { case: load(&root, &case.directory, &replacements)?, upstream: Some(upstream) })
    }
}

fn note(failures: &mut Failures, case: &Case, pass: &str, result: Result<()>) {
    if let Err(error) = result {
        eprintln!("{}, {pass}: {error:#}", case.name);
        failures.entry(case.name.clone()).or_default().push(format!("{pass}: {error:#}"));
    }
}

/// Cases that only say how `serve` refuses or what `check` prints.
fn check_without_steps(binary: &Path, case: &Case, app_id: &str, directory: &Path, scratch: &Path) -> Result<()> {
    if case.manifest.check.is_some() {
        check_command(binary, case, directory)?;
    }
    let Some(expected) = &case.manifest.start else { return Ok(()) };
    let options = ServerOptions {
        apps: vec![directory.to_owned()],
        data_directory: scratch.join(format!("data-{app_id}")),
        secrets_file: None,
        flags: case.manifest.server.clone(),
    };
    let (code, stdout, stderr) = run_to_end(serve_command(binary, &options))?;
    let actual = json!({ "exit": code, "stdout": stdout, "stderr": stderr });
    compare("start", &json!({ "$$subset": expected }), Some(&actual)).map_err(|difference| anyhow!(difference))
}

fn check_command(binary: &Path, case: &Case, directory: &Path) -> Result<()> {
    let mut command = std::process::Command::new(binary);
    command.arg("check").arg(directory).arg("--json");
    let (code, stdout, stderr) = run_to_end(command)?;
    let output: Json =
        serde_json::from_str(&stdout).with_context(|| format!("check printed no JSON: {stdout}\n{stderr}"))?;
    let actual = json!({ "exit": code, "output": output });
    let expected = case.manifest.check.as_ref().context("the case has `check`")?;
    compare("check", &json!({ "$$subset": expected }), Some(&actual)).map_err(|difference| anyhow!(difference))
}

/// A `mongod` of our own; stopped when dropped.
struct Mongod {
    process: std::process::Child,
    _directory: tempfile::TempDir,
}

impl Drop for Mongod {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection string, and the server behind it when it is ours.
type RealMongodb = Option<(String, Option<Mongod>)>;

fn real_mongodb() -> Result<RealMongodb> {
    if let Ok(uri) = std::env::var("SELVEDGE_TEST_MONGODB") {
        return Ok(Some((uri, None)));
    }
    let found = std::env::var_os("PATH")
        .is_some_and(|paths| std::env::split_paths(&paths).any(|path| path.join("mongod").is_file()));
    if !found {
        return Ok(None);
    }
    let directory = tempfile::tempdir()?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let process = std::process::Command::new("mongod")
        .args(["--bind_ip", "127.0.0.1", "--replSet", "test", "--port", &port.to_string(), "--dbpath"])
        .arg(directory.path())
        .stdout(std::process::Stdio::null())
        .spawn()?;
    let mongod = Mongod { process, _directory: directory };
    let uri = format!("mongodb://127.0.0.1:{port}/?directConnection=true");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let admin = mongodb::Client::with_uri_str(&uri).await?.database("admin");
        let member = mongodb::bson::doc! { "_id": 0, "host": format!("127.0.0.1:{port}") };
        admin
            .run_command(mongodb::bson::doc! { "replSetInitiate": { "_id": "test", "members": [member] } })
            .await
            .map(drop)
    })?;
    Ok(Some((uri, Some(mongod))))
}
