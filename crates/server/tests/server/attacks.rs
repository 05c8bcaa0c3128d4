//! Requests that are slow, too large, malformed or hostile (attacks 72 to 79). After each one the server answers.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::fixture::{Reply, SLOW, Server, read_all};

#[test]
fn slow_heads_are_cut_off() {
    let server = Server::start(&["--headers-timeout", "400ms"]);
    for beginning in ["", "P", "POST / HTTP/1.1\r\nHost: test\r\nX-Slow: "] {
        let started = Instant::now();
        let mut stream = server.connect();
        stream.write_all(beginning.as_bytes()).unwrap();
        assert_eq!(read_all(stream), "", "{beginning:?}");
        let elapsed = started.elapsed();
        assert!(elapsed > Duration::from_millis(350) && elapsed < Duration::from_secs(5), "{beginning:?} {elapsed:?}");
    }
    // One byte now and then does not buy more time.
    let started = Instant::now();
    let mut stream = server.connect();
    let mut text = b"GET /healthz HTTP/1.1\r\nHost: test\r\nX-Drip: ".to_vec();
    text.extend([b'a'; 200]);
    for byte in text {
        if stream.write_all(&[byte]).is_err() || started.elapsed() > Duration::from_secs(5) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    server.check_alive();
}

#[test]
fn slow_bodies_are_cut_off() {
    let server = Server::start(&["--body-timeout", "400ms"]);
    let path = Server::hook("echo");
    let mut stream = server.connect();
    let text = format!("POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 100\r\n\r\npart");
    stream.write_all(text.as_bytes()).unwrap();
    let reply = Reply::parse(&read_all(stream));
    assert_eq!(reply.status, 408, "{reply:?}");
    server.check_alive();
}

#[test]
fn idle_connections_are_closed() {
    let server = Server::start(&["--idle-timeout", "500ms", "--headers-timeout", "300ms"]);
    let mut stream = server.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let started = Instant::now();
    let text = read_all(stream);
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(5));
    // A handler that takes longer than all of these is waited for.
    let reply = server.request("POST", &Server::hook("slow"), "", "");
    assert_eq!(reply.status, 200);
    assert!(SLOW > Duration::from_millis(500));
}

#[test]
fn oversize_bodies() {
    let server = Server::start(&["--request-body-max", "1000", "--log-format", "json"]);
    let path = Server::hook("echo");
    let at_limit = "x".repeat(1000);
    assert_eq!(server.request("POST", &path, "", &at_limit).status, 200);
    let over = "x".repeat(1001);
    let reply = server.request("POST", &path, "", &over);
    assert_eq!(reply.status, 413, "{reply:?}");
    assert_eq!(reply.json()["error"], "request body too large");
    assert_eq!(reply.json()["error_code"], "BadRequest");
    let chunked = format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         3e8\r\n{at_limit}\r\n1\r\nx\r\n0\r\n\r\n"
    );
    assert_eq!(Reply::parse(&server.send(chunked.as_bytes())).status, 413);
    // A client that sends everything before it reads gets its answer, not a reset.
    let large = "x".repeat(8 << 20);
    assert_eq!(server.request("POST", &path, "", &large).status, 413);
    // A client that waits for permission is told at once.
    let waiting =
        format!("POST {path} HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 999999999\r\n\r\n");
    let started = Instant::now();
    let mut stream = server.connect();
    stream.write_all(waiting.as_bytes()).unwrap();
    let mut beginning = [0; 12];
    stream.read_exact(&mut beginning).unwrap();
    assert_eq!(&beginning, b"HTTP/1.1 413");
    assert!(started.elapsed() < Duration::from_secs(2));
    // The handler ran once only.
    let ran = server.stdout.lock().unwrap().iter().filter(|line| line.contains(r#""status":200"#)).count();
    assert!(ran <= 1, "{ran}");
    server.check_alive();
}

#[test]
fn refused_clients_get_their_answer_while_they_send() {
    let server = Server::start(&[]);
    let large = "x".repeat(8 << 20);
    for path in ["/nothing".to_owned(), Server::hook("none"), "/app/other/endpoint/x".to_owned()] {
        let reply = server.request("POST", &path, "", &large);
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
    }
    assert_eq!(server.request("GET", &Server::hook("secret"), "", &large).status, 405);
    server.check_alive();
}

#[test]
fn truncated_and_malformed_bodies() {
    let server = Server::start(&[]);
    let path = Server::hook("echo");
    let mut stream = server.connect();
    let text = format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nonly this");
    stream.write_all(text.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let reply = Reply::parse(&read_all(stream));
    assert!(matches!(reply.status, 0 | 400), "{reply:?}");
    let chunked = |body: &str| {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
        Reply::parse(&server.send(format!("{head}{body}").as_bytes())).status
    };
    assert!(matches!(chunked("zz\r\nhello\r\n0\r\n\r\n"), 0 | 400));
    assert!(matches!(chunked("ffffffffffffffffff\r\nhello"), 0 | 400));
    server.check_alive();
}

#[test]
fn no_request_is_smuggled() {
    let server = Server::start(&[]);
    let path = Server::hook("echo");
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n";
    let both = format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
        5 + smuggled.len()
    );
    let text = server.send(both.as_bytes());
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
    for head in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Transfer-Encoding: identity, gzip\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        " Folded: x\r\n",
        "Bad Name: x\r\n",
        "X: a\0b\r\n",
    ] {
        let text = format!("POST {path} HTTP/1.1\r\nHost: test\r\n{head}\r\nhello");
        let reply = Reply::parse(&server.send(text.as_bytes()));
        assert_eq!(reply.status, 400, "{head:?}: {reply:?}");
    }
    server.check_alive();
}

#[test]
fn hosts() {
    let server = Server::start(&[]);
    let check = |head: &str, status: u16| {
        let text = format!("GET /healthz HTTP/1.1\r\nConnection: close\r\n{head}\r\n");
        assert_eq!(Reply::parse(&server.send(text.as_bytes())).status, status, "{head:?}");
    };
    check("Host: a\r\n", 200);
    check("Host: a\r\nHost: a\r\n", 400);
    check("Host: a\r\nHost: b\r\n", 400);
    check("", 400);
    check("Host: a b\r\n", 400);
    check("Host: a/../b\r\n", 400);
    server.check_alive();
}

#[test]
fn huge_heads() {
    let server = Server::start(&[]);
    let with = |headers: String| {
        let text = format!("GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n");
        Reply::parse(&server.send(text.as_bytes())).status
    };
    assert_eq!(with(format!("X-Large: {}\r\n", "a".repeat(40_000))), 200);
    assert_eq!(with(format!("X-Large: {}\r\n", "a".repeat(70_000))), 431);
    assert_eq!(with((0..300).map(|index| format!("X-{index}: a\r\n")).collect()), 200);
    // 431 as soon as the bound is reached; a reset, if the rest is still on its way, tells the client as much.
    let many = with((0..100_000).map(|index| format!("X-{index}: a\r\n")).collect());
    assert!(matches!(many, 0 | 431), "{many}");
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "a".repeat(100_000));
    let status = Reply::parse(&server.send(long_target.as_bytes())).status;
    assert!(matches!(status, 0 | 414 | 431), "{status}");
    server.check_alive();
}

#[test]
fn paths_are_taken_literally() {
    let server = Server::start(&[]);
    let check = |path: &str, status: u16| {
        let reply = server.request("POST", path, "", "x");
        assert_eq!(reply.status, status, "{path}: {reply:?}");
    };
    let base = "/api/client/v2.0/app/tests-abcde/service/svc/incoming_webhook";
    check(&format!("{base}/echo"), 200);
    check(&format!("{base}/%65cho"), 200);
    check(&format!("{base}/echo%"), 400);
    check(&format!("{base}/%zz"), 400);
    check(&format!("{base}/%ff"), 400);
    check(&format!("{base}/echo%00"), 404);
    check(&format!("{base}/../echo"), 404);
    check(&format!("{base}/./echo"), 404);
    check(&format!("{base}/echo/"), 404);
    check(&format!("/{base}/echo"), 404);
    check("/api/client/v2.0/app/tests-abcde/service/svc/incoming_webhook/%2e%2e%2fecho", 404);
    check("/app/tests-abcde/endpoint/..%2f..%2fechO", 404);
    check("/app/tests-abcde/endpoint/%C0%AE", 400);
    server.check_alive();
}

#[test]
fn absolute_targets_are_no_proxy_requests() {
    let server = Server::start(&[]);
    let text = "GET http://other.example/healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    assert_eq!(Reply::parse(&server.send(text.as_bytes())).status, 200);
    let text = "CONNECT other.example:80 HTTP/1.1\r\nHost: other.example:80\r\nConnection: close\r\n\r\n";
    let reply = Reply::parse(&server.send(text.as_bytes()));
    assert!(reply.status >= 400, "{reply:?}");
    server.check_alive();
}

#[test]
fn many_idle_connections_do_not_lock_others_out() {
    let server = Server::start(&["--connections-max", "20", "--headers-timeout", "500ms", "--workers", "1"]);
    let idle: Vec<_> = (0..60).map(|_| server.connect()).collect();
    // Waits until the silent ones have been let go, batch by batch.
    server.check_alive();
    drop(idle);
}

#[test]
fn http2_rapid_reset() {
    let server = Server::start(&["--workers", "1"]);
    let mut stream = server.connect();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // :method GET, :scheme http, :path /, :authority test
    let headers = [&[0x82u8, 0x86, 0x84, 0x41, 4][..], b"test"].concat();
    for stream_id in (1u32..20_000).step_by(2) {
        bytes.extend([0, 0, u8::try_from(headers.len()).unwrap(), 1, 5]);
        bytes.extend(stream_id.to_be_bytes());
        bytes.extend(&headers);
        bytes.extend([0, 0, 4, 3, 0]);
        bytes.extend(stream_id.to_be_bytes());
        bytes.extend(8u32.to_be_bytes());
    }
    let started = Instant::now();
    let _ = stream.write_all(&bytes);
    server.check_alive();
    drop(read_all(stream));
    assert!(started.elapsed() < Duration::from_secs(20), "the connection is closed for it");
    server.check_alive();
}
