//! What keeps `serve` from starting is one line that names the setting.

use std::net::{TcpListener, TcpStream};

use crate::fixture::{Server, binary, run, serve_command, wait_for, write_app};

fn check(command: std::process::Command, expected: &[&str]) {
    let description = format!("{command:?}");
    let (exit, stdout, stderr) = run(command);
    assert_eq!(exit, Some(1), "{description}\n{stdout}\n{stderr}");
    assert!(!stdout.contains("listening"), "{stdout}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("selvedge: ")).collect();
    assert_eq!(lines.len(), 1, "{description}\n{stderr}");
    for text in expected {
        assert!(lines[0].contains(text), "{description}: {:?} should contain {text:?}", lines[0]);
    }
}

#[test]
fn data_directories_that_cannot_be_used() {
    let directory = tempfile::tempdir().unwrap();
    write_app(&directory.path().join("app"));
    let serve = |data: &str| {
        let mut command = binary();
        command.arg("serve").arg(directory.path().join("app")).args(["--listen", "127.0.0.1:0", "--data-dir", data]);
        command
    };
    // Where not even root may write.
    check(serve("/sys/selvedge"), &["--data-dir", "/sys/selvedge", "permitted"]);
    let file = directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    check(serve(file.to_str().unwrap()), &["--data-dir", "is no directory"]);
}

#[test]
fn a_second_server_on_the_same_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    write_app(&path.join("app"));
    let server = Server::start_in(directory, &["--single-process"]);
    check(serve_command(&path, &["--single-process"]), &["--data-dir", "in use by another process"]);
    check(serve_command(&path, &[]), &["--data-dir", "in use by another process"]);
    server.check_alive();
}

#[test]
fn the_store_listens_for_tools_when_asked() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    write_app(&directory.path().join("app"));
    check(
        serve_command(directory.path(), &["--docstore-listen", &address]),
        &["--docstore-listen", &address, "in use"],
    );
    check(serve_command(directory.path(), &["--docstore-listen", "0.0.0.0:1"]), &["--docstore-listen", "loopback"]);
    drop(free);
    let server = Server::start_in(directory, &["--docstore-listen", &address]);
    wait_for("the store's port", || TcpStream::connect(&address).ok());
    server.check_alive();
}

#[test]
fn keys_of_secrets_that_cannot_be_used() {
    let directory = tempfile::tempdir().unwrap();
    write_app(&directory.path().join("app"));
    let key = directory.path().join("secrets.key");
    std::fs::write(&key, "hunter2").unwrap();
    let flags = ["--secrets-key-file", key.to_str().unwrap(), "--single-process"];
    check(serve_command(directory.path(), &flags), &["--secrets-key-file", "32 bytes"]);
    let (_, _, stderr) = run(serve_command(directory.path(), &flags));
    assert!(!stderr.contains("hunter2"), "{stderr}");
}
