//! Commands of the operator, beside a running server and without one.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::fixture::{Server, binary, run, wait_for, write_app};

/// Runs `selvedge` with these words: exit code, stdout, stderr.
fn selvedge(words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = binary();
    command.args(words);
    run(command)
}

/// The same with standard input.
fn selvedge_with_input(words: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child =
        binary().args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn succeed(words: &[&str]) -> String {
    let (code, stdout, stderr) = selvedge(words);
    assert_eq!(code, Some(0), "{words:?}\n{stdout}\n{stderr}");
    stdout
}

/// Exit code 1, and one line that says all of this.
fn fail(words: &[&str], expected: &[&str]) {
    let (code, stdout, stderr) = selvedge(words);
    assert_eq!(code, Some(1), "{words:?}\n{stdout}\n{stderr}");
    let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("selvedge: ")).collect();
    assert_eq!(lines.len(), 1, "{words:?}\n{stderr}");
    for text in expected {
        assert!(lines[0].contains(text), "{words:?}: {:?} should contain {text:?}", lines[0]);
    }
}

/// Whether some file below a directory contains these bytes.
fn is_written_anywhere(directory: &Path, needle: &str) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_written_anywhere(&path, needle);
        }
        let bytes = if path.is_file() { std::fs::read(&path).unwrap_or_default() } else { Vec::new() };
        bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    })
}

/// An app whose webhook shows a value that stands for a Secret.
fn write_app_with_secret(directory: &Path) {
    write_app(directory);
    let write = |file: &str, text: &str| {
        let path = directory.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("values/shown.json", r#"{"name": "shown", "from_secret": true, "value": "stripe_key"}"#);
    let hook = "http_endpoints/svc/incoming_webhooks/shown";
    write(
        &format!("{hook}/config.json"),
        r#"{"name": "shown", "run_as_system": true, "respond_result": true, "options": {"httpMethod": "ANY", "validationMethod": "NO_VALIDATION"}}"#,
    );
    write(&format!("{hook}/source.js"), "exports = function () {\n  return String(context.values.get('shown'));\n};\n");
}

#[test]
fn secrets_are_kept_encrypted_and_served() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    write_app_with_secret(&path.join("app"));
    let (key, data) = (path.join("secrets.key"), path.join("data"));
    let (key, data) = (key.to_str().unwrap(), data.to_str().unwrap());
    let flags = ["--app", "tests-abcde", "--data-dir", data];
    let with_key = |words: &[&'static str]| {
        let words: Vec<&str> = words.iter().copied().chain(flags).chain(["--secrets-key-file", key]).collect();
        words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>()
    };
    let set = |name: &'static str, text: &str| {
        let words = with_key(&["secrets", "set", name]);
        selvedge_with_input(&words.iter().map(String::as_str).collect::<Vec<_>>(), text)
    };

    // Nothing works without a key, and a key is never overwritten.
    let (code, _, stderr) = selvedge_with_input(&["secrets", "set", "x", "--app", "a", "--data-dir", data], "text");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("selvedge secrets new-key"), "{stderr}");
    succeed(&["secrets", "new-key", key]);
    fail(&["secrets", "new-key", key], &[key, "exists"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    }

    // Set before the server has ever run.
    let (code, stdout, stderr) = set("stripe_key", "hunter2-first\n");
    assert_eq!((code, stdout.as_str()), (Some(0), "set stripe_key"), "{stderr}");
    let (code, _, stderr) = set("a b", "text");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("\"a b\""), "{stderr}");
    let (code, _, stderr) = set("empty", "");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("empty"), "{stderr}");
    let list = ["secrets", "list", flags[0], flags[1], flags[2], flags[3]];
    let listed = succeed(&list);
    assert!(listed.contains("stripe_key") && !listed.contains("hunter2"), "{listed}");

    let mut server = Server::start_at(&path, &["--secrets-key-file", key, "--workers", "1"]);
    let shown = |server: &Server| server.request("POST", &Server::hook("shown"), "", "").body;
    assert_eq!(shown(&server), "\"hunter2-first\"");

    // While it runs, through its store; it takes the text up.
    let (code, stdout, stderr) = set("stripe_key", "hunter2-second");
    assert_eq!((code, stdout.as_str()), (Some(0), "replaced stripe_key"), "{stderr}");
    wait_for("the new text", || (shown(&server) == "\"hunter2-second\"").then_some(()));
    let deleted = ["secrets", "delete", "stripe_key", flags[0], flags[1], flags[2], flags[3]];
    succeed(&deleted);
    fail(&deleted, &["stripe_key"]);
    wait_for("no text", || (shown(&server) == "\"undefined\"").then_some(()));
    let (_, stdout, _) = set("stripe_key", "hunter2-third");
    assert_eq!(stdout, "set stripe_key");

    server.signal(libc::SIGTERM);
    server.wait();
    let stderr = server.stderr.lock().unwrap().join("\n");
    assert!(!stderr.contains("hunter2"), "{stderr}");
    assert!(!is_written_anywhere(Path::new(data), "hunter2"));

    // Another key opens nothing: the app is served without the text, and the log says why.
    let other = path.join("other.key");
    succeed(&["secrets", "new-key", other.to_str().unwrap()]);
    let server = Server::start_at(&path, &["--secrets-key-file", other.to_str().unwrap(), "--single-process"]);
    assert_eq!(shown(&server), "\"undefined\"");
    wait_for("the reason", || {
        server.stderr.lock().unwrap().iter().find(|line| line.contains("cannot be decrypted with this key")).cloned()
    });
    drop(server);
    let server = Server::start_at(&path, &["--single-process"]);
    wait_for("a hint", || {
        server.stderr.lock().unwrap().iter().find(|line| line.contains("without --secrets-key-file")).cloned()
    });
    let listed: Json = serde_json::from_str(&succeed(&[&list[..], &["--json"]].concat())).unwrap();
    assert_eq!(listed[0]["name"], "stripe_key");
}

#[test]
fn logs_are_kept_and_listed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    write_app(&path.join("app"));
    let data = path.join("data");
    let data = data.to_str().unwrap();
    let mut server = Server::start_in(directory, &["--workers", "1"]);
    assert_eq!(server.request("POST", &Server::hook("echo"), "", "a=hunter2").status, 200);
    let path = format!("{}?secret=open-sesame", Server::hook("secret"));
    let headers = "Authorization: Bearer hunter3\r\nX-$where.x: odd\r\n";
    assert_eq!(server.request("POST", &path, headers, r#"{"password":"hunter3"}"#).status, 200);
    assert_eq!(server.request("POST", &Server::hook("broken"), "", "").status, 400);
    assert_eq!(server.request("POST", &Server::hook("quiet"), "", "hunter4").status, 200);
    let endpoint = "/app/tests-abcde/endpoint/echo?a=1";
    assert_eq!(server.request("GET", endpoint, "", "").status, 200);

    let list = |words: &[&str]| -> Vec<Json> {
        let base = ["logs", "list", "--json", "--app", "tests-abcde", "--data-dir", data];
        let text = succeed(&[&base[..], words].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    // Off the request's path, so a moment later.
    let entries = wait_for("five entries", || Some(list(&[])).filter(|entries| entries.len() == 5));
    let names: Vec<&str> = entries.iter().map(|entry| entry["function_call"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["echo", "secret", "broken", "quiet", "echo"]);
    let secret = &entries[1];
    assert_eq!(secret["messages"], serde_json::json!(["in"]));
    assert_eq!(secret["function_call"]["arguments"][0]["headers"]["X-$where.x"], serde_json::json!(["odd"]));
    assert_eq!(secret["started"].as_str().map(str::len), Some(24));
    assert_eq!(entries[3]["function_call"]["arguments"], Json::Null);
    let everything = serde_json::to_string(&entries).unwrap();
    for hidden in ["open-sesame", "hunter3", "hunter4"] {
        assert!(!everything.contains(hidden), "{hidden}: {everything}");
    }

    let count = |words: &[&str]| list(words).len();
    assert_eq!(count(&["--type", "webhook"]), 4);
    assert_eq!(count(&["--type", "endpoint"]), 1);
    assert_eq!(count(&["--type", "auth,function"]), 0);
    assert_eq!(count(&["--errors"]), 1);
    assert_eq!(count(&["--status", "200"]), 4);
    assert_eq!(count(&["--limit", "2"]), 2);
    assert_eq!(count(&["--start", "1h"]), 5);
    assert_eq!(count(&["--end", "1h"]), 0);
    assert_eq!(count(&["--user", "5f0000000000000000000001"]), 0);
    let request = entries[2]["co_id"].as_str().unwrap();
    let found = list(&["--request", request]);
    assert_eq!((found.len(), found[0]["error_code"].as_str()), (1, Some("FunctionSyntaxError")));

    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
    // Without a server the command opens the store itself.
    let text = succeed(&["logs", "list", "--app", "tests-abcde", "--data-dir", data]);
    assert!(text.contains("WEBHOOK POST svc/echo -> 200 OK") && text.contains("\n    in"), "{text}");
    fail(&["logs", "list", "--app", "tests-abcde", "--data-dir", "/nonexistent"], &["/nonexistent", "holds no data"]);
    let (code, _, stderr) = selvedge(&["logs", "list", "--app", "x", "--start", "yesterday"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("yesterday"), "{stderr}");
}

#[test]
fn entries_of_the_last_moments_are_kept_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    write_app(&directory.path().join("app"));
    let mut server = Server::start_in(directory, &["--single-process"]);
    server.request("POST", &Server::hook("echo"), "", "last");
    server.signal(libc::SIGTERM);
    // Copied away before the directory goes with the server's handle.
    let kept = tempfile::tempdir().unwrap();
    assert_eq!(server.wait().code(), Some(0));
    let target = kept.path().join("dump");
    succeed(&["docstore", "dump", data.to_str().unwrap(), target.to_str().unwrap()]);
    let file = target.join("selvedge_tests-abcde/logs.bson");
    assert!(std::fs::metadata(file).unwrap().len() > 0);
}

#[test]
fn a_database_that_is_away_harms_no_request() {
    let directory = tempfile::tempdir().unwrap();
    write_app(&directory.path().join("app"));
    let flags = ["--mongodb", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300", "--single-process"];
    let mut server = Server::start_in(directory, &flags);
    let started = Instant::now();
    for _ in 0..50 {
        assert_eq!(server.request("POST", &Server::hook("echo"), "", "x").status, 200);
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    wait_for("a warning", || {
        server.stderr.lock().unwrap().iter().find(|line| line.contains("log entries cannot be stored")).cloned()
    });
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn the_stores_files_are_checked_and_moved() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    write_app(&path.join("app"));
    let data = path.join("data");
    let data = data.to_str().unwrap();
    let mut server = Server::start_in(directory, &["--single-process"]);
    for _ in 0..20 {
        server.request("POST", &Server::hook("echo"), "", "x");
    }
    fail(&["docstore", "verify", data], &["in use", "stop the server"]);
    fail(&["docstore", "dump", data, path.join("dump").to_str().unwrap()], &["in use"]);
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));

    let report: Json = serde_json::from_str(&succeed(&["docstore", "verify", data, "--json"])).unwrap();
    let logs = |report: &Json| {
        let collections = report["collections"].as_array().unwrap();
        let logs = collections.iter().find(|entry| entry["namespace"] == "selvedge_tests-abcde.logs").unwrap();
        assert_eq!(logs["problems"], serde_json::json!([]));
        logs["documents"].as_i64().unwrap()
    };
    assert_eq!(logs(&report), 20);
    let (dump, copy) = (path.join("dump"), path.join("copy"));
    let (dump, copy) = (dump.to_str().unwrap(), copy.to_str().unwrap());
    let wrote = succeed(&["docstore", "dump", data, dump]);
    fail(&["docstore", "dump", data, dump], &[dump, "not empty"]);
    assert_eq!(succeed(&["docstore", "restore", dump, copy]), wrote.replace("wrote", "read"));
    fail(&["docstore", "restore", dump, copy], &["exists already"]);
    let report: Json = serde_json::from_str(&succeed(&["docstore", "verify", copy, "--json"])).unwrap();
    assert_eq!(logs(&report), 20);
    fail(&["docstore", "verify", "/nonexistent"], &["/nonexistent"]);
    fail(&["docstore", "restore", "/nonexistent", copy], &["/nonexistent"]);
}

#[test]
fn help_teaches() {
    for words in [
        &["secrets", "--help"][..],
        &["secrets", "set", "--help"],
        &["secrets", "new-key", "--help"],
        &["logs", "list", "--help"],
        &["docstore", "--help"],
        &["docstore", "verify", "--help"],
        &["docstore", "dump", "--help"],
        &["docstore", "restore", "--help"],
    ] {
        let text = succeed(words);
        assert!(text.contains("Usage: selvedge"), "{words:?}: {text}");
    }
    let text = succeed(&["serve", "--help"]);
    for flag in ["--http-allow", "--http-private-addresses", "--docstore-listen", "--log-retention", "--access-list"] {
        assert!(text.contains(flag), "{flag}");
    }
    assert!(text.contains("DANGEROUS"), "{text}");
}

#[test]
fn users_and_keys_are_kept_by_commands() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let data = data.to_str().unwrap();
    let words = |words: &[&'static str]| -> Vec<&str> {
        words.iter().copied().chain(["--app", "tests-abcde", "--data-dir", data]).collect()
    };
    let create = words(&["users", "create", "--email", "someone@example.com"]);
    let (code, stdout, stderr) = selvedge_with_input(&create, "hunter2-password\n");
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stdout.contains("hunter2"), "{stdout}");
    let created: Json = serde_json::from_str(&stdout).unwrap();
    assert_eq!(created["email"], "someone@example.com");
    let (code, _, stderr) = selvedge_with_input(&create, "hunter2-password\n");
    assert_eq!((code, stderr.as_str()), (Some(1), "selvedge: name already in use"));
    let (code, _, stderr) = selvedge_with_input(&words(&["users", "create", "--email", "other@example.com"]), "short");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("between 6 and 128"), "{stderr}");
    fail(&words(&["users", "confirm", "--email", "someone@example.com"]), &["already confirmed"]);
    fail(&words(&["users", "disable", "5f0000000000000000000001"]), &["user not found"]);
    let pending: Json = serde_json::from_str(&succeed(&words(&["users", "list", "--pending", "--json"]))).unwrap();
    assert_eq!(pending[0]["email"], "someone@example.com");

    let key: Json = serde_json::from_str(&succeed(&words(&["api-keys", "create", "nightly", "--json"]))).unwrap();
    let text = key["key"].as_str().unwrap();
    assert!(text.len() >= 32, "{key}");
    fail(&words(&["api-keys", "create", "nightly"]), &["already exists"]);
    let listed = succeed(&words(&["api-keys", "list"]));
    assert!(listed.contains("nightly") && listed.contains("enabled") && !listed.contains(text), "{listed}");
    // The key's own user can be listed, kept out and deleted.
    let users: Json = serde_json::from_str(&succeed(&words(&["users", "list", "--json"]))).unwrap();
    assert_eq!(users[0]["id"], key["userId"]);
    let with_id = |first: &[&'static str], id: &str| {
        let words: Vec<String> = words(first).into_iter().map(str::to_owned).chain([id.to_owned()]).collect();
        succeed(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    with_id(&["api-keys", "disable"], key["id"].as_str().unwrap());
    assert!(succeed(&words(&["api-keys", "list"])).contains("disabled"));
    with_id(&["users", "disable"], key["userId"].as_str().unwrap());
    assert!(succeed(&words(&["users", "list"])).contains("disabled"));
    assert!(!is_written_anywhere(Path::new(data), text) && !is_written_anywhere(Path::new(data), "hunter2"));
}
