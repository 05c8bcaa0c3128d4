//! The functions' log on standard output.

use crate::fixture::Server;

#[test]
fn entries_have_the_platforms_fields() {
    let server = Server::start(&["--log-format", "json"]);
    let path = format!("{}?secret=open-sesame&a=1", Server::hook("secret"));
    let headers = "Authorization: Bearer hunter2\r\nX-Tag: t\r\nContent-Type: application/json\r\n";
    server.request("POST", &path, headers, r#"{"password":"hunter2","b":1}"#);
    let entry = server.log_entry(|entry| entry["incoming_webhook_name"] == "secret");
    assert_eq!(entry["type"], "WEBHOOK");
    assert_eq!(entry["status"], 200);
    assert_eq!(entry["request_method"], "POST");
    assert_eq!(entry["request_url"], format!("{}?secret=***&a=1", Server::hook("secret")));
    assert_eq!(entry["messages"], serde_json::json!(["in"]));
    assert_eq!(entry["remote_ip_address"], "127.0.0.1");
    assert_eq!(entry["function_call"]["name"], "secret");
    assert_eq!(entry["function_call"]["service"], "svc");
    for field in ["_id", "co_id", "app_id", "group_id", "domain_id"] {
        assert_eq!(entry[field].as_str().map(str::len), Some(24), "{field}");
    }
    for field in ["started", "completed"] {
        let text = entry[field].as_str().unwrap();
        assert!(text.len() == 24 && text.ends_with('Z'), "{field}: {text}");
    }
    let arguments = &entry["function_call"]["arguments"][0];
    assert_eq!(arguments["headers"]["X-Tag"], serde_json::json!(["t"]));
    assert_eq!(arguments["headers"]["Authorization"], serde_json::json!(["***"]));
    assert_eq!(arguments["query"]["secret"], "***");
    let everything = server.stdout.lock().unwrap().join("\n");
    assert!(!everything.contains("hunter2") && !everything.contains("open-sesame"), "{everything}");
    let errors = server.stderr.lock().unwrap().join("\n");
    assert!(!errors.contains("hunter2") && !errors.contains("open-sesame"), "{errors}");
}

#[test]
fn refused_requests_are_logged_and_arguments_can_be_hidden() {
    let server = Server::start(&["--log-format", "json"]);
    let reply = server.request("POST", &format!("{}?secret=guess", Server::hook("secret")), "", "");
    let entry = server.log_entry(|entry| entry["status"] == 401);
    assert_eq!(entry["error_code"], "IncomingWebhookAuthFailed");
    assert_eq!(entry["error"], "request validation failed");
    let link = reply.json()["link"].as_str().unwrap().to_owned();
    assert!(link.ends_with(entry["co_id"].as_str().unwrap()), "{link}");
    assert!(!entry.to_string().contains("guess"));
    server.request("POST", &Server::hook("quiet"), "X-Tag: hidden-header\r\n", "hidden-body");
    let entry = server.log_entry(|entry| entry["incoming_webhook_name"] == "quiet");
    assert!(entry["function_call"]["arguments"].is_null(), "{entry}");
    assert!(!entry.to_string().contains("hidden"));
    server.request("GET", "/app/tests-abcde/endpoint/echo?a=1", "", "");
    let entry = server.log_entry(|entry| entry["type"] == "ENDPOINT");
    assert_eq!(entry["endpoint_route"], "/echo");
    assert_eq!(entry["function_name"], "echo");
    assert!(entry["endpoint_args"].as_str().unwrap().contains(r#""a":"1""#));
}

#[test]
fn text_lines() {
    let server = Server::start(&[]);
    server.request("POST", &format!("{}?secret=open-sesame", Server::hook("secret")), "", "");
    let line = server.wait_for_output(|line| line.contains("svc/secret -> ").then(|| line.to_owned()));
    assert!(line.contains("WEBHOOK tests-abcde POST svc/secret -> 200 OK"), "{line}");
    server.wait_for_output(|line| (line == "    in").then_some(()));
}
