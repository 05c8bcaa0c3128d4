//! Mistakes of operators get one clear line and a non-zero exit.

use std::net::TcpListener;

use crate::fixture::{binary, run, serve_command, write_app};

/// Runs and expects one line on stderr that contains all of `expected`.
fn check(command: std::process::Command, code: i32, expected: &[&str]) {
    let description = format!("{command:?}");
    let (exit, stdout, stderr) = run(command);
    assert_eq!(exit, Some(code), "{description}\n{stdout}\n{stderr}");
    let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("selvedge: ")).collect();
    assert_eq!(lines.len(), 1, "{description}\n{stderr}");
    for text in expected {
        assert!(lines[0].contains(text), "{description}: {:?} should contain {text:?}", lines[0]);
    }
}

#[test]
fn mistakes_get_one_line() {
    let directory = tempfile::tempdir().unwrap();
    write_app(&directory.path().join("app"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let serve = |flags: &[&str]| {
        let mut command = binary();
        command.arg("serve").arg(directory.path().join("app")).arg("--data-dir").arg(directory.path().join("data"));
        command.args(flags);
        command
    };
    check(serve(&["--listen", &address]), 1, &[&address, "in use"]);
    check(serve(&["--listen", "nonsense"]), 1, &["--listen nonsense"]);
    check(serve(&["--workers", "0"]), 1, &["--workers 0"]);
    check(serve(&["--mongodb", "localhost"]), 1, &["--mongodb"]);
    check(serve(&["--config", "/nonexistent.toml"]), 1, &["/nonexistent.toml"]);
    check(serve(&["--secrets-file", "/nonexistent.json"]), 1, &["/nonexistent.json"]);
    check(serve(&["--log", "=="]), 1, &["--log"]);
    let mut command = binary();
    command.args(["serve", "/nonexistent/app"]);
    check(command, 1, &["/nonexistent/app"]);
    let empty = tempfile::tempdir().unwrap();
    let mut command = binary();
    command.arg("serve").arg(empty.path());
    check(command, 1, &["realm_config.json"]);
    let mut command = binary();
    command.arg("serve");
    check(command, 1, &["APP_DIR"]);
    let app = directory.path().join("app");
    let mut command = binary();
    command.arg("serve").arg(&app).arg(&app);
    check(command, 1, &["tests-abcde"]);
    let mut command = serve_command(directory.path(), &[]);
    command.env("SELVEDGE_WALL_TIME_MAX", "1 fortnight");
    let (code, _, stderr) = run(command);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("fortnight"), "{stderr}");
    let mut command = binary();
    command.args(["serve", "--no-such-flag"]);
    let (code, _, stderr) = run(command);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--no-such-flag"), "{stderr}");
}

#[test]
fn help_and_version() {
    let run_with = |arguments: &[&str]| {
        let mut command = binary();
        command.args(arguments);
        run(command)
    };
    let (code, stdout, _) = run_with(&["--version"]);
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with("selvedge "), "{stdout}");
    assert!(stdout.contains("V8 "), "{stdout}");
    let (code, stdout, _) = run_with(&["serve", "--help"]);
    assert_eq!(code, Some(0));
    for text in ["--listen", "127.0.0.1:8080", "SELVEDGE_SECRETS_FILE", "Examples:", "--wall-time-max", "120s"] {
        assert!(stdout.contains(text), "{text}");
    }
    assert!(!stdout.contains("worker of a supervisor"));
}

#[test]
fn check_reports_what_would_be_served() {
    let directory = tempfile::tempdir().unwrap();
    write_app(directory.path());
    let mut command = binary();
    command.arg("check").arg(directory.path()).arg("--json");
    let (code, stdout, stderr) = run(command);
    assert_eq!(code, Some(0), "{stderr}");
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        report["app"],
        serde_json::json!({"name": "tests", "app_id": "tests-abcde", "layout": "v2", "config_version": 20210101})
    );
    let webhook = |name: &str| {
        let webhooks = report["webhooks"].as_array().unwrap();
        webhooks.iter().find(|webhook| webhook["name"] == name).unwrap_or_else(|| panic!("{name}: {report:#}")).clone()
    };
    let secret = webhook("secret");
    assert_eq!(secret["service"], "svc");
    assert_eq!(secret["method"], "POST");
    assert_eq!(secret["validation"], "SECRET_AS_QUERY_PARAM");
    assert_eq!(secret["runs_as"], "system");
    assert_eq!(secret["status"], "ok", "{secret:#}");
    assert!(secret["url"].as_str().unwrap().ends_with("/app/tests-abcde/service/svc/incoming_webhook/secret"));
    let broken = webhook("broken");
    assert_eq!(broken["status"], "error");
    let problem = &broken["problems"][0];
    assert_eq!(problem["level"], "error");
    assert_eq!(problem["file"], "http_endpoints/svc/incoming_webhooks/broken/source.js");
    assert_eq!(problem["field"], "2:1", "{problem}");
    assert_eq!(report["endpoints"][0]["runs_as"], "system");
    assert_eq!(report["endpoints"][1]["runs_as"], "application authentication");
    assert!(!stdout.contains("open-sesame"));

    let empty = tempfile::tempdir().unwrap();
    let mut command = binary();
    command.arg("check").arg(empty.path()).arg("--json");
    let (code, stdout, _) = run(command);
    assert_eq!(code, Some(1));
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["problems"][0]["level"], "error");
}
