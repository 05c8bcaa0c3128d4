//! Programs of others against the store: the official Node driver and mongosh. Left out, visibly, where they are not
//! installed: `npm install mongodb mongosh` somewhere, and name that directory in `DOCSTORE_NODE_MODULES`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use docstore::{Options, open};

/// The directory, if the package is installed there.
fn installed(package: &str) -> Option<PathBuf> {
    let directory = std::env::var_os("DOCSTORE_NODE_MODULES").map(PathBuf::from);
    let found = directory.filter(|directory| directory.join("node_modules").join(package).is_dir());
    if found.is_none() {
        println!("!!! left out: DOCSTORE_NODE_MODULES names no directory with node_modules/{package}");
    }
    found
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside").join(name)
}

fn check(mut command: Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("AGREES"), "{said}\n{complained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_driver_agrees() {
    let Some(modules) = installed("mongodb") else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = open(directory.path(), Options::default()).unwrap();
    let mut command = Command::new("node");
    command.arg(script("driver.mjs")).arg(server.uri()).env("DOCSTORE_NODE_MODULES", modules);
    tokio::task::spawn_blocking(move || check(command)).await.unwrap();
    server.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_agrees() {
    let Some(modules) = installed("mongosh") else { return };
    let directory = tempfile::tempdir().unwrap();
    let listen = Some("127.0.0.1:0".parse().unwrap());
    let server = open(directory.path(), Options { listen, ..Options::default() }).unwrap();
    let mut command = Command::new(modules.join("node_modules/.bin/mongosh"));
    let address = server.tcp_address().unwrap();
    command.args(["--quiet", "--norc", &format!("mongodb://{address}/?directConnection=true")]);
    // Its settings go where nobody misses them.
    command.arg("--file").arg(script("shell.js")).env("HOME", directory.path());
    tokio::task::spawn_blocking(move || check(command)).await.unwrap();
    server.shutdown().await.unwrap();
}
