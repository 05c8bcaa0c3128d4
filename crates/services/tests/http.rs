//! Outgoing HTTP against a server of this test.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bson::raw::RawDocumentBuf;
use bson::{Bson, Document, doc};
use futures::FutureExt;
use futures::future::BoxFuture;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use services::http::{AddressPolicy, HttpClient, HttpService, HttpSettings, Resolve};
use services::{ActionRules, Authority, Registry, Run, Service, ServiceError, ServiceLimits, SystemContext};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A request as it arrived.
#[derive(Debug, Clone)]
struct Received {
    line: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// Answers each request by its path, and keeps what it received.
struct Server {
    address: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    async fn start(answers: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let answers: Arc<BTreeMap<&str, Vec<u8>>> = Arc::new(answers.into_iter().collect());
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answers, kept) = (Arc::clone(&answers), Arc::clone(&kept));
                tokio::spawn(async move {
                    let Some(request) = read(&mut stream).await else { return };
                    let path = request.line.split(' ').nth(1).unwrap_or_default();
                    let path = path.split('?').next().unwrap_or_default().to_owned();
                    let authorized = !request.header("authorization").is_empty();
                    kept.lock().expect("no test panics with the lock").push(request);
                    let key = if path == "/digest" && authorized { "/digest/ok" } else { path.as_str() };
                    let answer = answers.get(key).cloned().unwrap_or_else(|| response("404 Not Found", &[], b"no"));
                    // The client may have gone.
                    let _ = stream.write_all(&answer).await;
                });
            }
        });
        Self { address, received }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn last(&self) -> Received {
        self.received.lock().expect("no test panics with the lock").last().expect("a request").clone()
    }
}

async fn read(stream: &mut tokio::net::TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(chunk.get(..count)?);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let mut lines = head.split("\r\n");
        let line = lines.next()?.to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        if body.len() >= length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0) {
            return Some(Received { line, headers, body: body.to_owned() });
        }
    }
}

fn response(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len()).into_bytes();
    for header in headers {
        answer.extend_from_slice(format!("{header}\r\n").as_bytes());
    }
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(body);
    answer
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).expect("memory takes bytes");
    encoder.finish().expect("memory takes bytes")
}

fn start_run(settings: HttpSettings) -> Arc<Run> {
    start_run_of(HttpClient::new(settings).expect("a client"))
}

fn start_run_of(client: HttpClient) -> Arc<Run> {
    let mut registry = Registry::new(ServiceLimits::default());
    registry.add("", Service::Http(HttpService::open(client.clone())));
    registry.add("named", Service::Http(HttpService::with_rules(client, ActionRules::default())));
    Arc::new(registry).start_run(Arc::new(SystemContext::default()))
}

fn anywhere() -> HttpSettings {
    let addresses = AddressPolicy { allows_special_addresses: true, allowed: Vec::new() };
    HttpSettings { addresses, response_bytes_max: 100_000, ..HttpSettings::default() }
}

async fn call(run: &Run, method: &str, arguments: Document) -> Result<Document, ServiceError> {
    let raw = RawDocumentBuf::try_from(&arguments).expect("test arguments encode");
    let reply = run.call("", method, raw, &Authority::System).await?;
    Ok(Document::try_from(&*reply).expect("replies are well-formed"))
}

fn body(reply: &Document) -> String {
    match reply.get("body") {
        Some(Bson::Binary(binary)) => String::from_utf8_lossy(&binary.bytes).into_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn any_status_is_an_answer() {
    let server = Server::start([
        ("/", response("200 Fine", &["content-type: text/x", "set-cookie: a=b; Path=/"], b"hello")),
        ("/error", response("500 Internal Server Error", &[], b"broken")),
        ("/empty", response("204 No Content", &[], b"")),
    ])
    .await;
    let run = start_run(anywhere());
    let fine = call(&run, "get", doc! { "url": server.url("/") }).await.expect("an answer");
    assert_eq!(fine.get_str("status").ok(), Some("200 Fine"));
    assert_eq!(fine.get_i32("statusCode").ok(), Some(200));
    assert_eq!(fine.get_i32("contentLength").ok(), Some(5));
    assert_eq!(fine.get_document("headers").expect("headers").get("Content-Type"), Some(&Bson::from(vec!["text/x"])));
    assert_eq!(fine.get_document("cookies").ok(), Some(&doc! { "a": "b" }));
    assert_eq!(body(&fine), "hello");
    let error = call(&run, "get", doc! { "url": server.url("/error") }).await.expect("an answer");
    assert_eq!((error.get_i32("statusCode").ok(), body(&error).as_str()), (Some(500), "broken"));
    let empty = call(&run, "delete", doc! { "url": server.url("/empty") }).await.expect("an answer");
    assert_eq!(body(&empty), "");
    assert!(server.last().line.starts_with("DELETE /empty "));
    call(&run, "head", doc! { "url": server.url("/") }).await.expect("an answer");
    assert!(server.last().line.starts_with("HEAD / "));
}

#[tokio::test]
async fn what_is_sent() {
    let server = Server::start([("/a", response("200 OK", &[], b""))]).await;
    let run = start_run(anywhere());
    let parts = doc! { "scheme": "http", "host": &server.address, "path": "a", "query": { "x": ["1", "2"] } };
    call(&run, "get", parts).await.expect("an answer");
    assert_eq!(server.last().line, "GET /a?x=1&x=2 HTTP/1.1");
    let json = doc! { "url": server.url("/a"), "body": "{\"a\":1}", "isJson": true, "headers": { "X-A": ["1", "2"] } };
    call(&run, "post", json).await.expect("an answer");
    let received = server.last();
    assert_eq!((received.body.as_str(), received.header("content-type")), ("{\"a\":1}", vec!["application/json"]));
    assert_eq!(received.header("x-a"), ["1", "2"]);
    let basic = doc! { "url": server.url("/a"), "username": "u", "password": "p" };
    call(&run, "get", basic).await.expect("an answer");
    assert_eq!(server.last().header("authorization"), ["Basic dTpw"]);
    let form =
        doc! { "url": server.url("/a"), "form": { "a": "1 2" }, "headers": { "Content-Type": "multipart/form-data" } };
    call(&run, "post", form).await.expect("an answer");
    let received = server.last();
    assert!(received.header("content-type")[0].starts_with("multipart/form-data; boundary="), "{received:?}");
    assert!(received.body.contains("name=\"a\"\r\n\r\n1 2\r\n"), "{received:?}");
}

#[tokio::test]
async fn redirects_are_followed_only_when_asked() {
    let server = Server::start([
        ("/from", response("302 Found", &["location: /to"], b"")),
        ("/to", response("200 OK", &[], b"there")),
        ("/loop", response("302 Found", &["location: /loop"], b"")),
    ])
    .await;
    let run = start_run(anywhere());
    let stay = call(&run, "get", doc! { "url": server.url("/from") }).await.expect("an answer");
    assert_eq!(stay.get_i32("statusCode").ok(), Some(302));
    let follow = doc! { "url": server.url("/from"), "followRedirects": true };
    assert_eq!(body(&call(&run, "post", follow).await.expect("an answer")), "there");
    assert_eq!(server.last().line, "GET /to HTTP/1.1");
    let around = doc! { "url": server.url("/loop"), "followRedirects": true };
    let last = call(&run, "get", around).await.expect("an answer");
    assert_eq!(last.get_i32("statusCode").ok(), Some(302));
}

#[tokio::test]
async fn digest_and_cookie_authentication() {
    let challenge = "www-authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256";
    let server = Server::start([
        ("/digest", response("401 Unauthorized", &[challenge], b"")),
        ("/digest/ok", response("200 OK", &[], b"in")),
        ("/login", response("200 OK", &["set-cookie: sid=7; HttpOnly"], b"")),
        ("/page", response("200 OK", &[], b"page")),
    ])
    .await;
    let run = start_run(anywhere());
    let digest = doc! { "url": server.url("/digest"), "username": "u", "password": "p", "digestAuth": true };
    assert_eq!(body(&call(&run, "get", digest).await.expect("an answer")), "in");
    assert!(server.last().header("authorization")[0].starts_with("Digest username=\"u\", realm=\"r\""));
    let cookies = doc! { "url": server.url("/page"), "authUrl": server.url("/login"), "cookies": { "a": "b" } };
    call(&run, "get", cookies).await.expect("an answer");
    assert_eq!(server.last().header("cookie"), ["a=b; sid=7"]);
}

#[tokio::test]
async fn compression_is_transparent_unless_the_caller_speaks_of_it() {
    let packed = gzip(b"plain text");
    let bomb = gzip(&vec![0; 1_000_000]);
    let server = Server::start([
        ("/", response("200 OK", &["content-encoding: gzip"], &packed)),
        ("/bomb", response("200 OK", &["content-encoding: gzip"], &bomb)),
        ("/large", response("200 OK", &[], &vec![b'x'; 200_000])),
    ])
    .await;
    let run = start_run(anywhere());
    let plain = call(&run, "get", doc! { "url": server.url("/") }).await.expect("an answer");
    assert_eq!((body(&plain).as_str(), plain.get_i32("contentLength").ok()), ("plain text", Some(-1)));
    let raw = doc! { "url": server.url("/"), "headers": { "Accept-Encoding": "gzip" } };
    let raw = call(&run, "get", raw).await.expect("an answer");
    assert!(matches!(raw.get("body"), Some(Bson::Binary(binary)) if binary.bytes == packed));
    for path in ["/bomb", "/large"] {
        let error = call(&run, "get", doc! { "url": server.url(path) }).await.expect_err(path);
        assert!(error.to_string().contains("larger than 100000 bytes"), "{error}");
        assert_eq!(error.error_code(), "HTTPError");
    }
}

#[tokio::test]
async fn the_network_of_the_operator_is_out_of_reach() {
    let server = Server::start([("/", response("200 OK", &[], b"secret"))]).await;
    let port = server.address.rsplit(':').next().expect("a port").to_owned();
    let run = start_run(HttpSettings::default());
    for host in
        ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "0.0.0.0"]
    {
        let error = call(&run, "get", doc! { "url": format!("http://{host}:{port}/") }).await.expect_err(host);
        assert_eq!(error.error_code(), "RestrictedHost", "{host}: {error}");
    }
    let error =
        call(&run, "get", doc! { "url": "http://169.254.169.254/latest/meta-data/" }).await.expect_err("metadata");
    assert_eq!(error.error_code(), "RestrictedHost", "{error}");
    assert!(server.received.lock().expect("no test panics with the lock").is_empty());
}

/// A name server under an attacker's control: the first answer is harmless, the next ones are not.
#[derive(Debug, Default)]
struct RebindingResolver {
    asked: AtomicUsize,
}

impl Resolve for RebindingResolver {
    fn resolve(&self, name: &str) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        assert_eq!(name, "rebind.example");
        let first = self.asked.fetch_add(1, Ordering::Relaxed) == 0;
        // Nothing listens on the loopback address that stands for a public one.
        let address = if first { Ipv4Addr::new(127, 66, 66, 66) } else { Ipv4Addr::LOCALHOST };
        async move { Ok(vec![IpAddr::V4(address)]) }.boxed()
    }
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_checked_every_time() {
    let server = Server::start([("/", response("200 OK", &[], b"secret"))]).await;
    let port = server.address.rsplit(':').next().expect("a port").to_owned();
    let addresses =
        AddressPolicy { allows_special_addresses: false, allowed: vec!["127.66.66.66".parse().expect("a target")] };
    let resolver = Arc::new(RebindingResolver::default());
    let settings = HttpSettings { addresses, ..HttpSettings::default() };
    let run = start_run_of(HttpClient::with_resolver(settings, resolver.clone()).expect("a client"));
    let url = format!("http://rebind.example:{port}/");
    let error = call(&run, "get", doc! { "url": &url }).await.expect_err("nothing listens there");
    assert_eq!(error.error_code(), "HTTPError", "{error}");
    for _ in 0..3 {
        let error = call(&run, "get", doc! { "url": &url }).await.expect_err("now it is the server's own machine");
        assert_eq!(error.error_code(), "RestrictedHost", "{error}");
    }
    assert_eq!(resolver.asked.load(Ordering::Relaxed), 4);
    assert!(server.received.lock().expect("no test panics with the lock").is_empty());
}

/// What is connected to is what was checked: of several addresses only the allowed ones are tried.
#[derive(Debug)]
struct MixedResolver;

impl Resolve for MixedResolver {
    fn resolve(&self, _name: &str) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::new(127, 66, 66, 66))]) }.boxed()
    }
}

#[tokio::test]
async fn forbidden_addresses_among_others_are_left_out() {
    let server = Server::start([("/", response("200 OK", &[], b"secret"))]).await;
    let port = server.address.rsplit(':').next().expect("a port").to_owned();
    let allowed = vec!["127.66.66.66".parse().expect("a target")];
    let settings = HttpSettings {
        addresses: AddressPolicy { allows_special_addresses: false, allowed },
        ..HttpSettings::default()
    };
    let run = start_run_of(HttpClient::with_resolver(settings, Arc::new(MixedResolver)).expect("a client"));
    let error = call(&run, "get", doc! { "url": format!("http://mixed.example:{port}/") }).await.expect_err("closed");
    assert_eq!(error.error_code(), "HTTPError", "{error}");
    assert!(server.received.lock().expect("no test panics with the lock").is_empty());
}

#[tokio::test]
async fn failures_reject_and_named_services_need_rules() {
    let settings = HttpSettings { connect_timeout: Duration::from_secs(2), ..anywhere() };
    let run = start_run(settings);
    let error = call(&run, "get", doc! { "url": "http://user:secret@127.0.0.1:1/x" }).await.expect_err("a closed port");
    assert_eq!(error.error_code(), "HTTPError");
    assert!(error.to_string().starts_with("GET http://127.0.0.1:1/x: "), "{error}");
    for arguments in
        [doc! {}, doc! { "url": "ftp://a/" }, doc! { "url": 5 }, doc! { "url": "http://a/", "body": { "a": 1 } }]
    {
        let error = call(&run, "get", arguments.clone()).await.expect_err("a mistake");
        assert_eq!(error.error_code(), "InvalidParameter", "{arguments}: {error}");
    }
    let user = Authority::User("5f0000000000000000000001".to_owned());
    let raw = RawDocumentBuf::try_from(&doc! { "url": "http://127.0.0.1:1/" }).expect("test arguments encode");
    let error = run.call("named", "get", raw.clone(), &user).await.expect_err("no rule");
    assert_eq!(error.error_code(), "NoMatchingRuleFound");
    let error = run.call("", "get", raw, &user).await.expect_err("a closed port");
    assert_eq!(error.error_code(), "HTTPError");
}

/// Serves HTTPS as `localhost`, with a certificate of an authority of these tests.
async fn start_tls() -> u16 {
    let read = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name);
        std::fs::read(path).expect("a file of this test")
    };
    let certificate = CertificateDer::from_pem_slice(&read("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(&read("server.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("known versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a usable certificate");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not believe the certificate goes away.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut bytes = [0; 4096];
                let _ = stream.read(&mut bytes).await;
                let _ = stream.write_all(&response("200 OK", &[], b"private")).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

#[tokio::test]
async fn servers_have_to_prove_who_they_are() {
    let port = start_tls().await;
    let authority = include_bytes!("tls/ca.pem");
    let authority = CertificateDer::from_pem_slice(authority).expect("a certificate");
    let strangers = start_run(anywhere());
    let friends = start_run(HttpSettings { extra_authorities: vec![authority], ..anywhere() });
    let named = doc! { "url": format!("https://localhost:{port}/") };
    let reply = call(&friends, "get", named.clone()).await.expect("a certificate that is believed");
    assert_eq!(body(&reply), "private");
    // An unknown authority, and a certificate for another name.
    let error = call(&strangers, "get", named).await.expect_err("an unknown authority");
    assert_eq!(error.error_code(), "HTTPError", "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    for host in ["127.0.0.1", "other.localhost"] {
        let error = call(&friends, "get", doc! { "url": format!("https://{host}:{port}/") }).await.expect_err(host);
        assert_eq!(error.error_code(), "HTTPError", "{host}: {error}");
        assert!(error.to_string().contains("certificate"), "{host}: {error}");
    }
}

#[tokio::test]
async fn an_abandoned_request_closes_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let run = start_run(anywhere());
    let request = tokio::spawn(async move { call(&run, "get", doc! { "url": url }).await });
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut bytes = [0; 4096];
    assert!(stream.read(&mut bytes).await.expect("a request") > 0);
    // As when the run's time is over.
    request.abort();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut bytes)).await.expect("soon");
    assert_eq!(end.unwrap_or(0), 0);
}
