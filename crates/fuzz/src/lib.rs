//! Fuzz targets: functions that take bytes and must neither panic nor break a promise, whatever the bytes are.
//!
//! `tests/bounded.rs` runs each on damaged examples for a bounded time in every test run. `libfuzzer/` is the same in
//! cargo-fuzz's layout: `cargo fuzz run --fuzz-dir crates/fuzz/libfuzzer app_loader`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use app::{AppSettings, HostFactory, HttpCall, NoLog, RequestId, RunContext, Runner, RunningApp};
use app_model::{App, LoadOptions};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, Method};
use isolate::{
    AppCode, Arguments, Authority, Completed, Entry, FrameAuthority, FunctionSource, Host, HostError, Invocation,
    IsolatePool, Limits, Outcome, PoolOptions, ResultFormat, ResultPolicy, ReturnValue, ServiceCall, Usage,
};
use serde_json::{Value as Json, json};

/// Takes any bytes; a panic is a finding.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const TARGETS: [(&str, Target); 6] = [
    ("app_loader", app_loader),
    ("query_string", query_string),
    ("signature_header", signature_header),
    ("ejson", ejson),
    ("docstore_message", docstore_message),
    ("docstore_document", docstore_document),
];

/// Files of the app that the loader target damages; the first byte of its input picks one.
pub const APP_FILES: [(&str, &str); 12] = [
    ("realm_config.json", r#"{"config_version":20210101,"app_id":"fuzz-abcde","name":"fuzz","environment":"qa"}"#),
    ("http_endpoints/svc/config.json", r#"{"name":"svc","type":"http","config":{}}"#),
    (
        "http_endpoints/svc/incoming_webhooks/hook/config.json",
        r#"{"name":"hook","can_evaluate":{},"respond_result":true,"run_as_user_id":"",
           "options":{"httpMethod":"POST","validationMethod":"VERIFY_PAYLOAD","secret":"12345"}}"#,
    ),
    ("http_endpoints/svc/incoming_webhooks/hook/source.js", "exports = () => require('x');"),
    (
        "http_endpoints/config.json",
        r#"[{"route":"/r","http_method":"*","function_name":"f","validation_method":"NO_VALIDATION"}]"#,
    ),
    ("functions/config.json", r#"[{"name":"f","private":false,"run_as_system":true}]"#),
    ("functions/f.js", "exports = function () { return 1; };"),
    ("values/v.json", r#"{"name":"v","value":{"a":1},"from_secret":false}"#),
    ("environments/qa.json", r#"{"values":{"u":"x"}}"#),
    ("secrets.json", r#"{"services":{"svc":{"token":"t"}}}"#),
    ("auth/providers.json", r#"{"api-key":{"name":"api-key","type":"api-key","disabled":false}}"#),
    ("data_sources/c/config.json", r#"{"name":"c","type":"mongodb-atlas","config":{"clusterName":"C"}}"#),
];

/// Reads messages as the embedded store does. Promise: no panic, and what is taken for a command can be encoded again.
pub fn docstore_message(data: &[u8]) {
    docstore::fuzzing::message(data);
}

/// Reads a document as the embedded store does. Promise: what passes its check can be read whole and comes back.
pub fn docstore_document(data: &[u8]) {
    docstore::fuzzing::document(data);
}

/// Documents of every BSON type.
fn documents() -> Vec<Vec<u8>> {
    let every = bson::doc! {
        "double": 1.5, "string": "text", "document": { "a": { "b": [] } }, "array": [1, [2, {}], null],
        "binary": bson::Binary { subtype: bson::spec::BinarySubtype::BinaryOld, bytes: vec![1, 2, 3] },
        "undefined": bson::Bson::Undefined, "id": bson::oid::ObjectId::from_bytes([7; 12]), "boolean": true,
        "date": bson::DateTime::from_millis(-1), "symbol": bson::Bson::Symbol("s".to_owned()), "int": 7, "long": 7_i64,
        "code": bson::Bson::JavaScriptCode("f()".to_owned()),
        "scoped": bson::JavaScriptCodeWithScope { code: "g()".to_owned(), scope: bson::doc! { "x": 1 } },
        "time": bson::Timestamp { time: 1, increment: 2 }, "least": bson::Bson::MinKey, "most": bson::Bson::MaxKey,
        "decimal": "1.20E+3".parse::<bson::Decimal128>().expect("a decimal"),
    };
    [every, bson::doc! {}, bson::doc! { "": { "": { "": [[[[{}]]]] } } }]
        .iter()
        .map(|document| document.to_vec().expect("it can be encoded"))
        .collect()
}

/// Messages of every form the store reads.
fn messages() -> Vec<Vec<u8>> {
    let framed = |operation: i32, payload: &[u8]| {
        let length = i32::try_from(16 + payload.len()).expect("examples are small");
        let header: Vec<u8> = [length, 7, 0, operation].iter().flat_map(|word| word.to_le_bytes()).collect();
        [&header, payload].concat()
    };
    let document = &documents()[0];
    let insert = bson::doc! { "insert": "c", "$db": "d", "documents": [{ "_id": 1 }] }.to_vec().expect("encodable");
    let body = [&[0, 0, 0, 0, 0], insert.as_slice()].concat();
    let bare = bson::doc! { "insert": "c", "$db": "d" }.to_vec().expect("it can be encoded");
    let size = u32::try_from(4 + 10 + document.len()).expect("examples are small").to_le_bytes();
    let sequence = [&[0, 0, 0, 0, 0], bare.as_slice(), &[1], &size, b"documents\0", document].concat();
    let hello = bson::doc! { "isMaster": 1, "$query": {} }.to_vec().expect("it can be encoded");
    let query = [&[0; 4], b"admin.$cmd\0".as_slice(), &[0; 8], &hello].concat();
    let two = [framed(2013, &body), framed(2013, &sequence)].concat();
    vec![framed(2013, &body), framed(2013, &sequence), framed(2004, &query), framed(2012, &body), two]
}

/// Loads an app of which one file is the input. Promise: no panic, and a damaged file never hides another.
pub fn app_loader(data: &[u8]) {
    let Some((pick, content)) = data.split_first() else { return };
    let directory = tempfile::tempdir().expect("a scratch folder can be made");
    let damaged = APP_FILES[usize::from(*pick) % APP_FILES.len()].0;
    for (name, text) in APP_FILES {
        let file = directory.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap_or(Path::new("."))).expect("scratch folders can be made");
        std::fs::write(&file, if name == damaged { content } else { text.as_bytes() }).expect("scratch is writable");
    }
    match App::load(directory.path(), &LoadOptions::default()) {
        Ok(app) => {
            let served = damaged.starts_with("http_endpoints/svc") || app.services.iter().any(|one| one.name == "svc");
            assert!(served, "damage in {damaged} hid the service: {:?}", app.problems);
            let has_function = damaged.starts_with("functions/") || app.functions.iter().any(|one| one.name == "f");
            assert!(has_function, "damage in {damaged} hid the function: {:?}", app.problems);
        }
        Err(_) => assert_eq!(damaged, "realm_config.json", "only a bad root file may refuse the whole app"),
    }
}

const SECRET: &str = "12345";
const BODY: &[u8] = br#"{"message":"MESSAGE"}"#;

/// Counts runs and answers each at once, so that the pipeline around V8 is what is tested.
#[derive(Default)]
struct CountingRunner {
    runs: AtomicUsize,
}

impl Runner for CountingRunner {
    fn run(&self, invocation: Invocation, _host: Arc<dyn Host>) -> BoxFuture<'static, Outcome> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        if let Arguments::Http(payload) = &invocation.arguments {
            let mut names: Vec<&str> = payload.query.iter().map(|(name, _)| name.as_str()).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "a query name appears once");
        }
        let result = Ok(Completed::default());
        async { Outcome { result, console: Vec::new(), usage: Usage::default() } }.boxed()
    }
}

/// Offers no service.
struct NoHost;

impl Host for NoHost {
    fn call_service(&self, _call: ServiceCall) -> BoxFuture<'static, Result<Vec<u8>, HostError>> {
        async { Err(HostError { message: "no services here".to_owned(), ..HostError::default() }) }.boxed()
    }
}

impl HostFactory for NoHost {
    fn host(&self, _context: Arc<dyn RunContext>) -> Arc<dyn Host> {
        Arc::new(NoHost)
    }
}

struct Pipeline {
    app: RunningApp,
    runner: Arc<CountingRunner>,
}

/// An app whose only hook has this validation method.
fn pipeline(method: &str) -> Pipeline {
    let directory = tempfile::tempdir().expect("a scratch folder can be made");
    for (name, text) in APP_FILES {
        let file = directory.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap_or(Path::new("."))).expect("scratch folders can be made");
        std::fs::write(&file, text.replace("VERIFY_PAYLOAD", method)).expect("scratch is writable");
    }
    let app = App::load(directory.path(), &LoadOptions::default()).expect("the undamaged app loads");
    let runner = Arc::new(CountingRunner::default());
    let app = Arc::new(app);
    let users = app::fuzzing::users_of_nowhere(&app);
    let app = RunningApp::new(
        app,
        Arc::new(AppSettings::default()),
        runner.clone(),
        Arc::new(NoHost),
        users,
        Arc::new(NoLog),
    );
    Pipeline { app, runner }
}

impl Pipeline {
    /// Sends one request; true when the handler ran.
    fn runs(&self, query: Option<String>, headers: HeaderMap) -> bool {
        let before = self.runner.runs.load(Ordering::SeqCst);
        let call = HttpCall {
            id: RequestId::generate(),
            target: app::Target::Webhook { service: "svc".to_owned(), webhook: "hook".to_owned() },
            method: Method::POST,
            path: "/x".to_owned(),
            query,
            headers,
            base_url: "http://127.0.0.1".to_owned(),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            received: SystemTime::now(),
            body: async { Ok(Bytes::from_static(BODY)) }.boxed(),
        };
        let answer = futures::executor::block_on(self.app.call(call));
        let ran = self.runner.runs.load(Ordering::SeqCst) > before;
        assert_eq!(answer.result.is_ok(), ran, "it answers well exactly when the handler ran");
        ran
    }
}

/// Sends a query string to a hook that wants a secret. Promise: no panic; the handler runs for the right secret only.
pub fn query_string(data: &[u8]) {
    static PIPELINE: OnceLock<Pipeline> = OnceLock::new();
    let pipeline = PIPELINE.get_or_init(|| pipeline("SECRET_AS_QUERY_PARAM"));
    let query = String::from_utf8_lossy(data).into_owned();
    let decoded = query.replace('+', " ");
    let ran = pipeline.runs(Some(query), HeaderMap::new());
    // Escaped or not, each digit of the secret must be there.
    let possible = SECRET.chars().all(|digit| decoded.contains(digit));
    assert!(!ran || possible, "it ran without the secret: {decoded}");
}

/// Sends a signature header to a hook that verifies payloads. Promise: no panic; the handler runs for the right digest
/// only.
pub fn signature_header(data: &[u8]) {
    static PIPELINE: OnceLock<Pipeline> = OnceLock::new();
    let pipeline = PIPELINE.get_or_init(|| pipeline("VERIFY_PAYLOAD"));
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append("x-hook-signature", value);
        }
    }
    let ran = pipeline.runs(None, headers);
    let text = String::from_utf8_lossy(data).to_lowercase();
    let holds_digest = text.contains(&right_digest());
    assert!(!ran || holds_digest, "it ran for a wrong signature: {text}");
}

/// Lower-case hex digest of the body that both signature targets send.
pub fn right_digest() -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length is a key");
    mac.update(BODY);
    hex::encode(mac.finalize().into_bytes())
}

/// Parses Extended JSON in a real run and writes it again. Promise: no panic and no crash; what was written parses to
/// the same text.
pub fn ejson(data: &[u8]) {
    static POOL: OnceLock<(tokio::runtime::Runtime, IsolatePool)> = OnceLock::new();
    let (runtime, pool) = POOL.get_or_init(|| {
        isolate::init_platform();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be started");
        let guard = runtime.enter();
        let options = PoolOptions { threads: 1, ..PoolOptions::default() };
        let pool = IsolatePool::new(options).expect("a pool can be started");
        drop(guard);
        (runtime, pool)
    });
    let text = String::from_utf8_lossy(data).into_owned();
    let arguments = Json::String(text).to_string();
    let run = |argument: String| runtime.block_on(pool.run(invocation(argument), Arc::new(NoHost)));
    let outcome = run(arguments);
    match outcome.result {
        Ok(Completed { value: Some(ReturnValue::String { text: first, .. }), .. }) => {
            let again = run(Json::String(first.clone()).to_string()).result.expect("our own text parses");
            match again.value {
                Some(ReturnValue::String { text: second, .. }) => assert_eq!(first, second, "not the same again"),
                other => panic!("our own text gave {other:?}"),
            }
        }
        Ok(other) => panic!("EJSON.stringify gave no text: {other:?}"),
        Err(error) => assert_eq!(error.error_code, "FunctionExecutionError", "{error:?}"),
    }
}

fn invocation(argument: String) -> Invocation {
    static CODE: OnceLock<Arc<AppCode>> = OnceLock::new();
    let code = CODE.get_or_init(|| {
        let source = "exports = (text) => EJSON.stringify(EJSON.parse(text));".to_owned();
        Arc::new(AppCode {
            key: "fuzz".to_owned(),
            functions: vec![FunctionSource {
                name: "f".to_owned(),
                file: "functions/f.js".to_owned(),
                source: Some(source),
                run_as: FrameAuthority::System,
                can_evaluate: None,
            }],
            values: serde_json::Map::new(),
            environment_tag: String::new(),
            environment_values: serde_json::Map::new(),
            app: json!({}),
            services: Vec::new(),
            node_modules: None,
        })
    });
    Invocation {
        code: code.clone(),
        entry: Entry::Function("f".to_owned()),
        arguments: Arguments::Ejson(vec![argument]),
        authority: Authority::System,
        user: json!({}),
        request: json!({}),
        result: ResultPolicy::Always(ResultFormat::CanonicalEjson),
        limits: Limits::default(),
    }
}

/// Texts that each target starts from.
pub fn examples(target: &str) -> Vec<Vec<u8>> {
    let texts: BTreeMap<&str, Vec<Vec<u8>>> = [
        (
            "app_loader",
            (0u8..).zip(APP_FILES).map(|(number, (_, text))| [&[number], text.as_bytes()].concat()).collect(),
        ),
        (
            "query_string",
            ["secret=12345", "a=1&secret=%31%32345&a=2", "s%65cret=12345&b=x+y", "secret=1&secret=12345", "a&=&%zz=%"]
                .map(|text| text.as_bytes().to_vec())
                .to_vec(),
        ),
        (
            "signature_header",
            [format!("sha256={}", right_digest()), format!(": sha256={}\nsha256=00", right_digest())]
                .map(String::into_bytes)
                .to_vec(),
        ),
        ("docstore_message", messages()),
        ("docstore_document", documents()),
        (
            "ejson",
            [
                r#"{"a":{"$numberInt":"1"},"b":{"$numberLong":"9007199254740993"},"c":{"$numberDouble":"-0.0"}}"#,
                r#"{"d":{"$date":{"$numberLong":"0"}},"e":{"$oid":"5e58667d902d38559c802b13"},"f":{"$numberDecimal":"1.20"}}"#,
                r#"{"g":{"$binary":{"base64":"aGk=","subType":"00"}},"h":{"$regularExpression":{"pattern":"a","options":"i"}}}"#,
                r#"{"i":{"$timestamp":{"t":1,"i":2}},"j":{"$minKey":1},"k":{"$undefined":true},"l":{"$symbol":"s"}}"#,
                r#"[1,2.5,"x",null,true,{"$date":"1970-01-01T00:00:00Z"},{"$code":"f","$scope":{}},{"$ref":"c","$id":1}]"#,
            ]
            .map(|text| text.as_bytes().to_vec())
            .to_vec(),
        ),
    ]
    .into();
    texts.get(target).cloned().unwrap_or_default()
}
