//! `cargo xtask`: everything a newcomer needs, in one command each. Depends on nothing, so it starts in seconds.

mod v8;
mod v8_source;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "\
cargo xtask: set up what is missing, then do the work

  cargo xtask serve [APP_DIR...] [-- SERVER FLAGS]
        build the server and serve exported apps; without APP_DIR: examples/quickstart
        for example: cargo xtask serve ../my-exported-app -- --listen 127.0.0.1:9000
  cargo xtask test [CARGO TEST FLAGS]
        run every test of the workspace, the conformance cases among them
  cargo xtask bench [BENCH FLAGS]
        run the benchmarks; prints ratios against references measured in the same run
  cargo xtask bench docstore [FLAGS]
        the same for the embedded store alone, through the MongoDB driver
  cargo xtask v8 [--from-source] [--dry-run]
        only make the V8 library available to the build
        --from-source   build it even where it could be downloaded (one to two hours on two cores)
        --dry-run       with --from-source: prepare everything, run `gn gen` and a dry run of ninja, then stop
  cargo xtask help
        this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let result = match command {
        "serve" => serve(rest),
        "test" => test(rest),
        "bench" => bench(rest),
        "v8" => v8_command(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("unknown command `{other}`\n\n{HELP}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Folder of the workspace.
fn workspace() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder).to_owned()
}

/// Tells the person at the terminal what is going on.
fn say(text: &str) {
    eprintln!("xtask: {text}");
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// Runs a command with our own standard streams; its failure is our failure.
fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown} ended with {status}")),
        Err(error) => Err(format!("{shown} could not be started: {error}")),
    }
}

fn serve(arguments: &[String]) -> Result<(), String> {
    let separator = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
    let (apps, flags) = arguments.split_at(separator);
    if let Some(flag) = apps.iter().find(|word| word.starts_with('-')) {
        return Err(format!("`{flag}`: put server flags behind `--`, as in `cargo xtask serve APP_DIR -- {flag}`"));
    }
    v8::ensure(false)?;
    say("building the server (the first build takes some minutes; cargo shows its progress)");
    run(cargo().args(["build", "--release", "--package", "server"]))?;
    let mut command = cargo();
    // The apps are named relative to where the person stands, not to the workspace.
    if let Ok(folder) = std::env::current_dir() {
        command.current_dir(folder);
    }
    command.arg("run").arg("--quiet").arg("--manifest-path").arg(workspace().join("Cargo.toml"));
    command.args(["--release", "--package", "server", "--bin", "selvedge", "--", "serve"]);
    if apps.is_empty() {
        command.arg(workspace().join("examples/quickstart"));
    }
    run(command.args(apps).args(flags.iter().skip(1)))
}

fn test(arguments: &[String]) -> Result<(), String> {
    v8::ensure(false)?;
    say("running every test (the first build takes some minutes; cargo shows its progress)");
    run(cargo().args(["test", "--workspace"]).args(arguments))
}

fn bench(arguments: &[String]) -> Result<(), String> {
    if let Some(("docstore", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        // Needs neither the server nor V8.
        say("building the store's benchmarks in release mode");
        let mut command = cargo();
        command.args(["run", "--quiet", "--release", "--package", "bench", "--bin", "bench-docstore", "--"]);
        return run(command.args(rest));
    }
    v8::ensure(false)?;
    say("building the benchmarks and the server in release mode");
    // One package at a time, so that the server is built exactly as `serve` builds it and nothing is built twice.
    run(cargo().args(["build", "--release", "--package", "server"]))?;
    run(cargo().args(["run", "--quiet", "--release", "--package", "bench", "--"]).args(arguments))?;
    say("building the benchmark of a fresh context");
    // With the server beside it, so that what both share is not built again with other features.
    run(cargo().args(["bench", "--quiet", "--package", "server", "--package", "isolate", "--bench", "context"]))
}

fn v8_command(arguments: &[String]) -> Result<(), String> {
    let mut from_source = false;
    let mut dry_run = false;
    for argument in arguments {
        match argument.as_str() {
            "--from-source" => from_source = true,
            "--dry-run" => dry_run = true,
            other => return Err(format!("unknown flag `{other}`\n\n{HELP}")),
        }
    }
    if dry_run && !from_source {
        return Err("--dry-run goes with --from-source".to_owned());
    }
    if from_source { v8_source::build(&v8::Target::detect()?, dry_run) } else { v8::ensure(true) }
}
