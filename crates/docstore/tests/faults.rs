//! What goes wrong outside: a full disk, a directory that cannot be written, a second process. Each ends in an error that
//! says what is the matter; nothing acknowledged is lost.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bson::{Document, doc};
use docstore::{Error, Options, open};
use mongodb::error::ErrorKind;
use mongodb::{Client, Collection};

const DIRECTORY: &str = "DOCSTORE_FAULT_DIRECTORY";
/// Bytes a file of the process may have.
const FILE_BYTES: &str = "DOCSTORE_FAULT_FILE_BYTES";
/// The user the process becomes.
const USER: &str = "DOCSTORE_FAULT_USER";
const SMALL_DISK: &str = "DOCSTORE_FAULT_SMALL_DISK";

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Not a test of its own: a process with a trouble of its own, which opens the directory and says how that went.
#[tokio::test]
async fn child_process() {
    let Some(directory) = setting(DIRECTORY) else { return };
    if let Some(bytes) = setting(FILE_BYTES).and_then(|bytes| bytes.parse().ok()) {
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
        // SAFETY: plain calls of the system; without the signal a write beyond the limit is an error.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
        }
    }
    if let Some(user) = setting(USER).and_then(|user| user.parse().ok()) {
        // SAFETY: a plain call of the system.
        assert_eq!(unsafe { libc::setuid(user) }, 0);
    }
    match open(directory, Options::default()) {
        Ok(server) => {
            println!("URI {}", server.uri());
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
            drop(server);
        }
        Err(error) => println!("ERROR {error:?}"),
    }
}

/// Starts a process with this trouble; returns the first thing it says: `URI …` or `ERROR …`.
fn spawn(directory: &Path, trouble: &[(&str, &str)]) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_process", "--exact", "--nocapture"])
        .env(DIRECTORY, directory)
        .envs(trouble.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = loop {
        let line = lines.next().expect("the child ended early").unwrap();
        if let Some(at) = line.find("URI ").or_else(|| line.find("ERROR ")) {
            break line[at..].to_owned();
        }
    };
    (child, said)
}

fn code_of(error: &mongodb::error::Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(mongodb::error::WriteFailure::WriteError(write)) => Some(write.code),
        _ => None,
    }
}

/// Not a test of its own: fills the small file system of the directory, makes it larger, and looks at what is left.
#[tokio::test(flavor = "multi_thread")]
async fn child_on_a_small_disk() {
    let Some(directory) = setting(SMALL_DISK) else { return };
    let server = open(&directory, Options::default()).unwrap();
    let client = Client::with_uri_str(server.uri()).await.unwrap();
    let collection: Collection<Document> = client.database("d").collection("c");
    let mut acknowledged = 0;
    let mut noise = 0x2545_F491_4F6C_DD1D_u64;
    let error = loop {
        // Noise that no compression makes small.
        let blob: Vec<u8> = std::iter::repeat_with(|| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise as u8
        })
        .take(200_000)
        .collect();
        let blob = bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: blob };
        match collection.insert_one(doc! { "_id": acknowledged, "blob": blob }).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 5_000, "the disk was never full");
    };
    assert!(acknowledged > 20, "{acknowledged}");
    // The write itself meets the full disk, or the engine's background work did just before; then every write is refused.
    let refused = code_of(&error) == Some(1) && error.to_string().contains("takes no writes since an earlier");
    assert!(code_of(&error) == Some(14031) || refused, "{error}");
    // Every further write is refused; reads go on.
    let error = collection.insert_one(doc! { "_id": "more" }).await.unwrap_err();
    assert!(code_of(&error).is_some(), "{error}");
    let there = collection.count_documents(doc! { "_id": { "$gte": 0, "$lt": acknowledged } }).await.unwrap();
    assert_eq!(there, acknowledged as u64);
    drop(client);
    drop(server.shutdown().await);

    let grown = Command::new("mount").args(["-o", "remount,size=1g", &directory]).status().unwrap();
    assert!(grown.success());
    for report in docstore::verify(&directory).unwrap() {
        assert_eq!(report.problems, Vec::<String>::new());
    }
    let server = open(&directory, Options::default()).unwrap();
    let client = Client::with_uri_str(server.uri()).await.unwrap();
    let collection: Collection<Document> = client.database("d").collection("c");
    for number in 0..acknowledged {
        assert!(collection.find_one(doc! { "_id": number }).await.unwrap().is_some(), "{number} is lost");
    }
    collection.insert_one(doc! { "_id": "after" }).await.unwrap();
    server.shutdown().await.unwrap();
    println!("SURVIVED {acknowledged}");
}

#[test]
fn a_full_disk_refuses_writes_and_keeps_what_was_acknowledged() {
    if setting(DIRECTORY).is_some() || setting(SMALL_DISK).is_some() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    // A file system of its own, seen by this process only.
    let script = r#"mount -t tmpfs -o size=100m none "$1" && shift && exec "$@""#;
    let binary = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh", path])
        .arg(&binary)
        .args(["child_on_a_small_disk", "--exact", "--nocapture"])
        .env(SMALL_DISK, path)
        .output();
    let said = match &output {
        Ok(output) => [&output.stdout[..], &output.stderr].concat(),
        Err(error) => error.to_string().into_bytes(),
    };
    let said = String::from_utf8_lossy(&said);
    if !said.contains("running 1 test") {
        println!("!!! left out: no small file system can be mounted here: {said}");
        return;
    }
    assert!(said.contains("SURVIVED"), "{said}");
}

#[test]
fn a_file_that_cannot_grow_is_an_error_of_the_directory() {
    if setting(DIRECTORY).is_some() || setting(SMALL_DISK).is_some() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (mut child, said) = spawn(directory.path(), &[(FILE_BYTES, "3000000")]);
    child.wait().unwrap();
    assert!(said.starts_with("ERROR Directory"), "{said}");
    // Nothing is in the way of the next one.
    assert!(docstore::verify(directory.path()).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_told_that_the_directory_is_in_use() {
    if setting(DIRECTORY).is_some() || setting(SMALL_DISK).is_some() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (mut child, said) = spawn(directory.path(), &[]);
    assert!(matches!(open(directory.path(), Options::default()), Err(Error::InUse { .. })));
    assert!(matches!(docstore::verify(directory.path()), Err(Error::InUse { .. })));
    assert!(matches!(docstore::dump(directory.path(), directory.path().join("dump")), Err(Error::InUse { .. })));
    // The first one never noticed.
    let client = Client::with_uri_str(said.strip_prefix("URI ").unwrap()).await.unwrap();
    client.database("d").collection::<Document>("c").insert_one(doc! { "_id": 1 }).await.unwrap();
    drop(child.stdin.take());
    child.wait().unwrap();
    // And once it is gone, the directory is free.
    open(directory.path(), Options::default()).unwrap().shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_used_is_named() {
    if setting(DIRECTORY).is_some() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    // A file where the directory should be.
    let file = directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = open(&file, Options::default()).err().unwrap();
    assert!(matches!(&error, Error::Directory { path, .. } if *path == file), "{error:?}");
    // A directory that may only be read; to the superuser everything is open, so the process becomes nobody.
    let readable = directory.path().join("readable");
    open(&readable, Options::default()).unwrap().shutdown().await.unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&readable, std::fs::Permissions::from_mode(0o555)).unwrap();
    // SAFETY: a plain call of the system.
    let is_superuser = unsafe { libc::geteuid() } == 0;
    let trouble: &[(&str, &str)] = if is_superuser { &[(USER, "65534")] } else { &[] };
    let (mut child, said) = spawn(&readable, trouble);
    child.wait().unwrap();
    assert!(said.starts_with("ERROR Directory"), "{said}");
    assert!(said.contains("readable"), "{said}");
}
