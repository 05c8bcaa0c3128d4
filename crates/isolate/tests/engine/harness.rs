//! A fake host, a pool, and short ways to run sources.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bson::doc;
use bson::oid::ObjectId;
use futures::future::BoxFuture;
use isolate::{
    AppCode, Arguments, Authority, Entry, FrameAuthority, FunctionSource, Host, HostError, HttpPayload, Invocation,
    IsolatePool, Limits, Outcome, PoolOptions, ResultFormat, ResultPolicy, ReturnValue, ServiceCall, ServiceEntry,
};
use serde_json::{Map, Value as Json, json};

/// `trials![module; name, …]` as a list of libtest-mimic trials named `module::name`.
#[macro_export]
macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        vec![$(libtest_mimic::Trial::test(
            concat!(module_path!(), "::", stringify!($name)).trim_start_matches("engine::").to_owned(),
            || { $name(); Ok(()) },
        )),*]
    };
}

/// The async runtime of the front, shared by all tests.
pub fn front() -> &'static tokio::runtime::Runtime {
    static FRONT: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    FRONT.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    })
}

/// A pool shared by the tests that do not hurt it.
pub fn pool() -> &'static IsolatePool {
    static POOL: OnceLock<IsolatePool> = OnceLock::new();
    POOL.get_or_init(|| new_pool(2))
}

pub fn new_pool(threads: usize) -> IsolatePool {
    IsolatePool::new(PoolOptions { threads, ..PoolOptions::default() }).expect("a pool")
}

/// Host with one MongoDB service that holds one document and counts what is inserted. Fields of a filter or document
/// tell it to misbehave: `sleep` (ms), `fail`, `hang`, `panic`.
#[derive(Default)]
pub struct FakeHost {
    pub calls: Mutex<Vec<ServiceCall>>,
    pub inserted: Arc<AtomicUsize>,
    pub may_execute: bool,
}

/// The document every read finds: one number of each type.
pub fn stored() -> bson::Document {
    doc! { "a": 1_i32, "b": 2_i64, "c": 3.0, "id": ObjectId::parse_str("5e58667d902d38559c802b13").expect("an id") }
}

impl Host for FakeHost {
    fn call_service(&self, call: ServiceCall) -> BoxFuture<'static, Result<Vec<u8>, HostError>> {
        let arguments: bson::Document = bson::deserialize_from_slice(&call.arguments).expect("well-formed arguments");
        let action = call.action.clone();
        self.calls.lock().expect("not poisoned").push(call);
        let inserted = self.inserted.clone();
        Box::pin(async move {
            let told = ["filter", "query", "document"].iter().find_map(|key| arguments.get_document(key).ok());
            let told = told.cloned().unwrap_or_default();
            if told.contains_key("fail") {
                return Err(HostError {
                    name: "MongoError".into(),
                    message: "(DuplicateKey) E11000".into(),
                    error_code: "MongoDBError".into(),
                    code: Some(11000),
                    code_name: Some("DuplicateKey".into()),
                    error_labels: vec!["Label".into()],
                });
            }
            if told.contains_key("hang") {
                std::future::pending::<()>().await;
            }
            assert!(!told.contains_key("panic"), "a host that panics");
            if let Ok(ms) = told.get_i32("sleep") {
                tokio::time::sleep(Duration::from_millis(u64::from(ms.unsigned_abs()))).await;
            }
            let reply = match action.as_str() {
                "find" | "aggregate" => doc! { "cursor": 0, "documents": [stored()] },
                "count" => doc! { "value": 7_i64 },
                "insertOne" => {
                    inserted.fetch_add(1, SeqCst);
                    doc! { "value": { "insertedId": ObjectId::new() } }
                }
                _ => doc! { "value": stored() },
            };
            Ok(bson::serialize_to_vec(&reply).expect("a plain document"))
        })
    }

    fn may_execute(&self, _function: &str, _authority: &Authority) -> bool {
        self.may_execute
    }
}

/// One run to be described by the test.
pub struct Case {
    pub functions: Vec<FunctionSource>,
    pub values: Map<String, Json>,
    pub arguments: Arguments,
    pub limits: Limits,
    pub authority: Authority,
    pub user: Json,
    pub result: ResultPolicy,
    pub key: String,
    pub may_execute: bool,
}

pub fn function(name: &str, source: &str) -> FunctionSource {
    FunctionSource {
        name: name.to_owned(),
        file: format!("functions/{name}.js"),
        source: Some(source.to_owned()),
        run_as: FrameAuthority::Inherit,
        can_evaluate: None,
    }
}

/// Function `main` with a source; the answer is canonical Extended JSON.
pub fn case(source: &str) -> Case {
    Case {
        functions: vec![function("main", source)],
        values: Map::new(),
        arguments: Arguments::Ejson(Vec::new()),
        limits: Limits { wall_max: Duration::from_secs(20), cpu_max: Duration::from_secs(20), ..Limits::default() },
        authority: Authority::System,
        user: json!({"id": "", "type": "system", "data": {}, "custom_data": {}, "identities": []}),
        result: ResultPolicy::Always(ResultFormat::CanonicalEjson),
        key: format!("test {}", next_number()),
        may_execute: false,
    }
}

fn next_number() -> u64 {
    static LAST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

impl Case {
    pub fn with(mut self, name: &str, source: &str) -> Self {
        self.functions.push(function(name, source));
        self
    }

    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = Arguments::Ejson(arguments.iter().map(|text| (*text).to_owned()).collect());
        self
    }

    pub fn http(mut self, payload: HttpPayload) -> Self {
        self.arguments = Arguments::Http(payload);
        self.result = ResultPolicy::UnlessTouched(ResultFormat::CanonicalEjson);
        self
    }

    pub fn code(&self) -> Arc<AppCode> {
        Arc::new(AppCode {
            key: self.key.clone(),
            functions: self.functions.clone(),
            values: self.values.clone(),
            environment_tag: "production".into(),
            environment_values: json!({"u": "v"}).as_object().cloned().unwrap_or_default(),
            app: json!({"id": "app", "clientAppId": "app-abcde", "name": "app"}),
            services: vec![ServiceEntry { name: "mongodb-atlas".into(), client: "mongodb-atlas".into() }],
            node_modules: None,
        })
    }

    pub fn invocation(self) -> Invocation {
        Invocation {
            code: self.code(),
            entry: Entry::Function("main".into()),
            arguments: self.arguments,
            authority: self.authority,
            user: self.user,
            request: json!({"remoteIPAddress": "127.0.0.1"}),
            result: self.result,
            limits: self.limits,
        }
    }

    pub fn run_on(self, pool: &IsolatePool, host: &Arc<FakeHost>) -> Outcome {
        let host: Arc<dyn Host> = host.clone();
        let pool = pool.clone();
        front().block_on(async move { pool.run(self.invocation(), host).await })
    }

    pub fn run(self) -> Outcome {
        let host = Arc::new(FakeHost { may_execute: self.may_execute, ..FakeHost::default() });
        self.run_on(pool(), &host)
    }

    /// The answer as text; panics with the error otherwise.
    #[track_caller]
    pub fn answer(self) -> String {
        let outcome = self.run();
        answer_of(&outcome)
    }

    /// `(error_code, text)`.
    #[track_caller]
    pub fn failure(self) -> (String, String) {
        let outcome = self.run();
        match outcome.result {
            Ok(completed) => panic!("the run succeeded: {completed:?}"),
            Err(error) => (error.error_code, error.text),
        }
    }
}

#[track_caller]
pub fn answer_of(outcome: &Outcome) -> String {
    match &outcome.result {
        Ok(completed) => match &completed.value {
            Some(ReturnValue::Undefined) => "undefined".to_owned(),
            Some(ReturnValue::String { serialized, .. } | ReturnValue::Other(serialized)) => {
                String::from_utf8(serialized.to_vec()).expect("UTF-8")
            }
            None => "none".to_owned(),
        },
        Err(error) => panic!("the run failed: {} {}\n{:?}", error.error_code, error.text, error.stack),
    }
}

/// Runs `body` as the body of the handler and compares the answer.
#[track_caller]
pub fn check(body: &str, expected: &str) {
    assert_eq!(case(&format!("exports = async function () {{ {body} }};")).answer(), expected, "{body}");
}

/// Documents of the database as JavaScript sees them: what `document` holds after a trip through the fake host.
pub fn payload(body: &str) -> HttpPayload {
    HttpPayload {
        query: vec![("a".into(), "1".into()), ("__proto__".into(), "2".into())],
        headers: vec![("X-Many".into(), vec!["a".into(), "b".into()])],
        body: (!body.is_empty()).then(|| body.to_owned().into()),
    }
}
