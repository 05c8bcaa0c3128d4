//! The platform's own web SDK, unchanged, against the real binary: scenarios of `realm_web/scenarios.mjs`, each in a Node
//! process of its own.
//!
//! Needs `node` and `npm` on `PATH`, and the SDK from the package registry the first time; it is kept in
//! `$XDG_CACHE_HOME/selvedge`. Where that is missing every scenario counts as ignored and the reason is printed; with
//! `SELVEDGE_REQUIRE_REALM_WEB=1` it is a failure.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::{Arguments, Trial};
use runtime_tests::server_process::{ServerOptions, ServerProcess};
use serde_json::json;

/// Both apps, served twice: with access tokens of everyday length, and with such as live a second.
struct World {
    everyday: ServerProcess,
    short_lived: ServerProcess,
    sdk: PathBuf,
    _scratch: tempfile::TempDir,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let sdk = install_sdk();
    let names = match &sdk {
        Ok(_) => scenario_names(),
        // Without Node nobody can read the list.
        Err(_) => Ok(vec!["all scenarios".to_owned()]),
    };
    let (sdk, names) = match (sdk, names) {
        (Ok(sdk), Ok(names)) => (Some(sdk), names),
        (Err(reason), Ok(names)) if std::env::var_os("SELVEDGE_REQUIRE_REALM_WEB").is_none() => {
            println!("NOT RUN: the web SDK's scenarios: {reason:#}");
            (None, names)
        }
        (Err(reason), _) | (_, Err(reason)) => {
            eprintln!("realm_web: {reason:#}");
            return ExitCode::FAILURE;
        }
    };
    let world: Arc<OnceLock<Result<World, String>>> = Arc::default();
    let is_skipped = sdk.is_none();
    let trials = names
        .into_iter()
        .map(|name| {
            let (world, sdk, scenario) = (Arc::clone(&world), sdk.clone(), name.clone());
            let test = move || {
                let sdk = sdk.ok_or("the SDK is not here")?;
                let world = world.get_or_init(|| start(sdk).map_err(|error| format!("{error:#}")));
                run(world.as_ref().map_err(String::as_str)?, &scenario).map_err(|error| format!("{error:#}").into())
            };
            Trial::test(name, test).with_ignored_flag(is_skipped)
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Servers end with it; a static would leave them behind.
    drop(world);
    conclusion.exit_code()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/realm_web")
}

/// The folder with the SDK, installed if it is not there.
fn install_sdk() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set")?;
    output(Command::new("node").arg("--version")).context("node cannot be run")?;
    let lock = std::fs::read(folder().join("package-lock.json"))?;
    let target = cache.join("selvedge").join("realm-web");
    let is_installed = std::fs::read(target.join("package-lock.json")).is_ok_and(|installed| installed == lock)
        && target.join("node_modules/realm-web/package.json").is_file();
    if !is_installed {
        // Installed elsewhere and moved, so that a broken installation is never taken for a whole one.
        std::fs::create_dir_all(&target)?;
        let scratch = tempfile::tempdir_in(cache.join("selvedge"))?;
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(folder().join(file), scratch.path().join(file))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(scratch.path());
        output(&mut npm).context("the SDK cannot be installed")?;
        std::fs::remove_dir_all(&target)?;
        std::fs::rename(scratch.keep(), &target)?;
    }
    Ok(target)
}

fn scenario_names() -> Result<Vec<String>> {
    let names = output(Command::new("node").arg(folder().join("run.mjs")).arg("--list"))?;
    let names: Vec<String> = names.lines().map(str::to_owned).collect();
    ensure!(!names.is_empty(), "there are no scenarios");
    Ok(names)
}

fn start(sdk: PathBuf) -> Result<World> {
    let scratch = tempfile::tempdir()?;
    let secrets = scratch.path().join("secrets.json");
    std::fs::write(&secrets, json!({ "tokenKey": "a key of at least thirty-two letters" }).to_string())?;
    let server = |name: &str, flags: &[&str]| {
        let options = ServerOptions {
            apps: vec![folder().join("app"), folder().join("confirm_app")],
            data_directory: scratch.path().join(name),
            secrets_file: Some(secrets.clone()),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        };
        ServerProcess::start(Path::new(env!("CARGO_BIN_EXE_selvedge")), &options)
    };
    Ok(World {
        // Two workers, so that what one of them issues has to be good for the other.
        everyday: server("everyday", &["--workers", "2"])?,
        short_lived: server("short-lived", &["--single-process", "--access-token-lifetime", "1s"])?,
        sdk,
        _scratch: scratch,
    })
}

fn run(world: &World, scenario: &str) -> Result<()> {
    let settings = json!({
        "server": format!("http://{}", world.everyday.address),
        "shortLived": format!("http://{}", world.short_lived.address),
    });
    let mut node = Command::new("node");
    node.arg(folder().join("run.mjs")).arg(&world.sdk).arg(settings.to_string()).arg(scenario);
    output(&mut node).map(drop)
}

/// Standard output of a command that succeeds.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
