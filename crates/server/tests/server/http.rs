//! Ordinary requests.

use std::io::{Read, Write};

use crate::fixture::{Reply, SLOW, Server, read_all, wait_for};

#[test]
fn answers_and_default_headers() {
    let server = Server::start(&[]);
    let reply = server.request("POST", &Server::hook("echo"), "", "hello");
    assert_eq!((reply.status, reply.body.as_str()), (200, "hello"));
    assert_eq!(reply.header("vary"), Some("Origin"));
    assert_eq!(reply.header("x-frame-options"), Some("DENY"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.header("content-length"), Some("5"));
    assert_eq!(reply.header("access-control-allow-origin"), None);

    let reply = server.request("GET", "/app/tests-abcde/endpoint/echo?a=1&a=2&b=x%20y+z", "", "");
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.body, r#"{"a":"1","b":"x y z"}"#);
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

#[test]
fn documented_failures() {
    let server = Server::start(&["--public-url", "https://apps.example/base/"]);
    let check = |method: &str, path: &str, status: u16, error: &str, code: Option<&str>| {
        let reply = server.request(method, path, "", "");
        let body = reply.json();
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        assert_eq!(body["error"], error, "{method} {path}");
        assert_eq!(body["error_code"].as_str(), code, "{method} {path}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
        body["link"].as_str().map(str::to_owned)
    };
    let link = check(
        "POST",
        "/api/client/v2.0/app/other/service/svc/incoming_webhook/echo",
        404,
        "cannot find app using Client App ID 'other'",
        None,
    );
    assert_eq!(link, None);
    check("GET", "/app/other/endpoint/x", 404, "cannot find app using Client App ID 'other'", None);
    let link = check(
        "POST",
        "/api/client/v2.0/app/tests-abcde/service/none/incoming_webhook/echo",
        404,
        "service not found: 'none'",
        Some("ServiceNotFound"),
    );
    let link = link.unwrap();
    assert!(link.starts_with("https://apps.example/base/groups/"), "{link}");
    let (_, id) = link.split_once("/logs?co_id=").unwrap();
    assert!(id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{link}");
    let not_found = Some("IncomingWebhookNotFound");
    check("POST", &Server::hook("none"), 404, "incoming webhook not found: 'none'", not_found);
    check("POST", &Server::hook("a%2Fc"), 404, "incoming webhook not found: 'a/c'", not_found);
    check("GET", "/app/tests-abcde/endpoint/none", 404, "no endpoint for GET /none", Some("EndpointNotFound"));
    check("PUT", "/app/tests-abcde/endpoint/echo", 404, "no endpoint for PUT /echo", Some("EndpointNotFound"));
    check("GET", "/app/tests-abcde/endpoint/echo/", 404, "no endpoint for GET /echo/", Some("EndpointNotFound"));
    check("GET", "/nothing", 404, "nothing is served under this path", None);
    let failed = Some("IncomingWebhookAuthFailed");
    check("POST", &Server::hook("secret"), 401, "request validation failed", failed);
    check("POST", &format!("{}?secret=x", Server::hook("secret")), 401, "request validation failed", failed);
    check(
        "POST",
        "/app/tests-abcde/endpoint/users",
        400,
        "no authentication methods were specified",
        Some("InvalidParameter"),
    );
    let reply = server.request("GET", &Server::hook("secret"), "", "");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    let reply = server.request("POST", &Server::hook("broken"), "", "");
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["error_code"], "FunctionSyntaxError");
    server.check_alive();
}

#[test]
fn credentials() {
    let server = Server::start(&[]);
    let path = "/app/tests-abcde/endpoint/users";
    let check = |headers: &str, body: &str, status: u16, code: &str| {
        let reply = server.request("POST", path, headers, body);
        assert_eq!((reply.status, reply.json()["error_code"].as_str()), (status, Some(code)), "{headers:?} {body:?}");
    };
    check("email: a@b.c\r\n", "", 400, "MissingParameter");
    check("email: a@b.c\r\npassword: secret1\r\n", "", 401, "InvalidSession");
    check("", r#"{"email": "a@b.c", "password": "secret1"}"#, 401, "InvalidSession");
    check("api-key: k\r\n", r#"{"api-key": "k"}"#, 400, "InvalidParameter");
    check("api-key: k\r\n", r#"{"email": "a@b.c"}"#, 401, "InvalidSession");
    check("", r#"{"password": "only"}"#, 400, "InvalidParameter");
    check("apiKey: k\r\n", "", 401, "InvalidSession");
    check("Authorization: Bearer x\r\n", "", 401, "InvalidSession");
}

#[test]
fn secret_as_query_parameter() {
    let server = Server::start(&[]);
    let reply = server.request("POST", &format!("{}?secret=open%2Dsesame&a=1", Server::hook("secret")), "", "");
    assert_eq!((reply.status, reply.body.as_str()), (200, r#"{"a":"1"}"#));
}

#[test]
fn health() {
    let server = Server::start(&[]);
    let reply = server.request("GET", "/healthz", "", "");
    assert_eq!((reply.status, reply.body.as_str()), (200, r#"{"status":"ok"}"#));
    let reply = server.request("GET", "/readyz", "", "");
    assert_eq!((reply.status, reply.body.as_str()), (200, r#"{"status":"ready"}"#));
    assert_eq!(server.request("POST", "/healthz", "", "").status, 405);

    let server = Server::start(&["--mongodb", "mongodb://127.0.0.1:9/", "--readiness-timeout", "300ms"]);
    let reply = server.request("GET", "/readyz", "", "");
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(reply.json()["status"], "unavailable");
    assert!(!reply.body.contains("127.0.0.1"), "no addresses for strangers: {reply:?}");
    assert_eq!(server.request("GET", "/healthz", "", "").status, 200);
    server.check_alive();
}

#[test]
fn browsers() {
    let directory = tempfile::tempdir().unwrap();
    crate::fixture::write_app(&directory.path().join("app"));
    std::fs::write(
        directory.path().join("app/realm_config.json"),
        r#"{"config_version": 20210101, "app_id": "tests-abcde", "name": "tests", "allowed_request_origins": ["https://a.example"]}"#,
    )
    .unwrap();
    let server = Server::start_in(directory, &[]);
    let allowed = "Origin: https://a.example\r\n";
    let reply = server.request("POST", &Server::hook("echo"), allowed, "x");
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, Some("https://a.example")));
    let reply = server.request("POST", &Server::hook("none"), allowed, "x");
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (404, Some("https://a.example")));
    let reply = server.request("POST", &Server::hook("echo"), "Origin: https://b.example\r\n", "x");
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (403, None));
    assert_eq!(reply.json()["error_code"], "DomainNotAllowed");

    let preflight = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type, x-evil\r\n";
    let reply = server.request("OPTIONS", &Server::hook("echo"), &format!("{allowed}{preflight}"), "");
    assert_eq!(reply.status, 204, "{reply:?}");
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(reply.header("access-control-allow-methods"), Some("POST"));
    assert_eq!(reply.header("access-control-allow-headers"), Some("content-type"));
    let reply = server.request("OPTIONS", &Server::hook("none"), &format!("{allowed}{preflight}"), "");
    assert_eq!(reply.status, 404);
}

#[test]
fn one_connection_carries_many_requests() {
    let server = Server::start(&[]);
    let mut stream = server.connect();
    for index in 0..20 {
        let body = format!("number {index}");
        let path = Server::hook("echo");
        let text = format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).unwrap();
        let mut received = String::new();
        let mut buffer = [0; 4096];
        while !received.ends_with(&body) {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "{received}");
            received.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
    }
}

#[test]
fn chunked_bodies() {
    let server = Server::start(&[]);
    let path = Server::hook("echo");
    let text = format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\nTrailer: x\r\n\r\n"
    );
    let reply = Reply::parse(&server.send(text.as_bytes()));
    assert_eq!((reply.status, reply.body.as_str()), (200, "hello, world"));
}

#[test]
fn a_handler_finishes_although_its_client_left() {
    let server = Server::start(&["--log-format", "json"]);
    let mut stream = server.connect();
    let path = Server::hook("slow");
    stream.write_all(format!("POST {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    drop(stream);
    let entry = server.log_entry(|entry| entry["incoming_webhook_name"] == "slow");
    assert_eq!(entry["status"], 200);
    assert_eq!(entry["messages"], serde_json::json!(["slow is done"]));
}

#[test]
fn too_many_requests_at_once() {
    let server = Server::start(&["--concurrent-requests-max", "1", "--workers", "1"]);
    let mut slow = server.connect();
    let path = Server::hook("slow");
    slow.write_all(format!("POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    std::thread::sleep(SLOW / 3);
    let refused = wait_for("a refusal", || {
        let reply = server.request("POST", &Server::hook("echo"), "", "x");
        (reply.status == 429).then_some(reply)
    });
    assert_eq!(
        refused.body,
        r#"{"error":"too many requests","link":"#.to_owned() + &refused.json()["link"].to_string() + "}"
    );
    assert_eq!(Reply::parse(&read_all(slow)).status, 200);
    server.check_alive();
}

#[test]
fn http2_without_tls() {
    let server = Server::start(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (version, status, body) = runtime.block_on(async {
        use http_body_util::{BodyExt, Full};
        let stream = tokio::net::TcpStream::connect(&server.address).await.unwrap();
        let executor = hyper_util::rt::TokioExecutor::new();
        let stream = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::post(format!("http://{}{}", server.address, Server::hook("echo")))
            .body(Full::new(bytes::Bytes::from("over two")))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.version, parts.status.as_u16(), body.collect().await.unwrap().to_bytes())
    });
    assert_eq!((version, status, &body[..]), (hyper::Version::HTTP_2, 200, &b"over two"[..]));
}
