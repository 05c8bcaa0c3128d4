//! One served app: its files, its code for V8, and what its calls need.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use app_model::{App, AppIdentity, RunAs, ServiceKind, ValueContent};
use auth::Auth;
use futures::future::BoxFuture;
use isolate::{AppCode, FrameAuthority, FunctionSource, Host, Invocation, Outcome, ServiceEntry};
use rules::AppValues;
use serde_json::{Map, Value as Json, json};
use services::RunContext;

use crate::addresses::Caller;
use crate::cors::Origins;
use crate::function_log::AppLabels;
use crate::functions::{FunctionGuards, Functions};
use crate::webhook::{self, Handlers};
use crate::{Answer, AppSettings, CallError, HttpCall, LogRecord, LogSink, Target, client};

/// Runs JavaScript; the isolate pool, or a double in tests.
pub trait Runner: Send + Sync + 'static {
    /// Runs one invocation to its end.
    fn run(&self, invocation: Invocation, host: Arc<dyn Host>) -> BoxFuture<'static, Outcome>;
}

/// Makes the host object of each run.
pub trait HostFactory: Send + Sync + 'static {
    /// A host for one run; what the run opens ends when it is dropped. Rules ask `context`.
    fn host(&self, context: Arc<dyn RunContext>) -> Arc<dyn Host>;
}

/// One app being served. Immutable; a new deployment is a new one of these.
pub struct RunningApp {
    functions: Arc<Functions>,
    handlers: Handlers,
    origins: Origins,
    log: Arc<dyn LogSink>,
    labels: Arc<AppLabels>,
    calls_in_flight: AtomicUsize,
}

/// Tells deployments of one process apart.
static DEPLOYMENTS: AtomicU64 = AtomicU64::new(0);

impl Runner for isolate::IsolatePool {
    fn run(&self, invocation: Invocation, host: Arc<dyn Host>) -> BoxFuture<'static, Outcome> {
        let pool = self.clone();
        Box::pin(async move { isolate::IsolatePool::run(&pool, invocation, host).await })
    }
}

impl RunningApp {
    /// Wires an app. Nothing is started and nothing can fail.
    pub fn new(
        app: Arc<App>,
        settings: Arc<AppSettings>,
        runner: Arc<dyn Runner>,
        hosts: Arc<dyn HostFactory>,
        auth: Arc<Auth>,
        log: Arc<dyn LogSink>,
    ) -> Self {
        let identity = AppIdentity::of(&app.app_id);
        let code = Arc::new(app_code(&app, &identity));
        let labels = Arc::new(AppLabels {
            identity,
            client_app_id: app.app_id.clone(),
            location: app.location.clone(),
            provider_region: app.provider_region.clone(),
        });
        Self {
            handlers: Handlers::of(&app),
            origins: Origins::new(&app.allowed_request_origins),
            functions: Arc::new(Functions {
                values: Arc::new(AppValues::new(&app)),
                guards: FunctionGuards::of(&app),
                auth,
                app,
                code,
                settings,
                runner,
                hosts,
            }),
            log,
            labels,
            calls_in_flight: AtomicUsize::new(0),
        }
    }

    /// Answers one request. Always yields an answer; the server closes its log record with the status it sends.
    pub async fn call(&self, call: HttpCall) -> Answer {
        let allow_origin = self.origins.allow_origin(&call.headers);
        let link = Some(self.link(&call));
        let mut record = Some(LogRecord::open(self.labels.clone(), self.log.clone(), &call, self.settings()));
        let result = match call.target {
            Target::Webhook { .. } | Target::Endpoint { .. } => webhook::call(self, call, &mut record).await,
            Target::Client(_) => client::call(self, call, &mut record).await,
        };
        Answer { result, allow_origin, link, record }
    }

    /// Client app id, as in URLs.
    pub fn client_app_id(&self) -> &str {
        &self.functions.app.app_id
    }

    /// `domain_id` of the tokens of this app's users.
    pub fn domain_id(&self) -> &str {
        &self.labels.identity.domain
    }

    /// `Access-Control-Allow-Origin` for an answer about this app that is not the app's.
    pub fn allow_origin(&self, headers: &http::HeaderMap) -> Option<http::HeaderValue> {
        self.origins.allow_origin(headers)
    }

    /// The app as loaded.
    pub fn app(&self) -> &App {
        &self.functions.app
    }

    /// Calls being answered.
    pub fn calls_in_flight(&self) -> usize {
        self.calls_in_flight.load(Ordering::Relaxed)
    }

    /// Where the log entry of a request is shown (http-surface 3.9).
    fn link(&self, call: &HttpCall) -> String {
        let base = self.settings().public_url.as_deref().unwrap_or(&call.base_url);
        let identity = &self.labels.identity;
        format!("{base}/groups/{}/apps/{}/logs?co_id={}", identity.group, identity.app, call.id)
    }

    pub(crate) fn code(&self) -> &Arc<AppCode> {
        &self.functions.code
    }

    pub(crate) fn handlers(&self) -> &Handlers {
        &self.handlers
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }

    pub(crate) fn settings(&self) -> &AppSettings {
        &self.functions.settings
    }

    /// Runs functions, with what rules need to know about the call.
    pub(crate) fn functions(&self) -> &Arc<Functions> {
        &self.functions
    }

    /// Whether the operator lets this caller in at all.
    pub(crate) fn admit_address(&self, call: &HttpCall) -> Result<(), CallError> {
        let settings = self.settings();
        let caller = || Caller::determine(call.peer, &call.headers, &settings.trusted_proxies).address;
        match settings.access_list.is_empty() || settings.access_list.contains(caller()) {
            true => Ok(()),
            false => Err(CallError::AddressNotAllowed),
        }
    }

    /// One of the app's places for concurrent requests, given back when dropped.
    pub(crate) fn take_slot(&self) -> Result<Slot<'_>, CallError> {
        let before = self.calls_in_flight.fetch_add(1, Ordering::Relaxed);
        let slot = Slot(&self.calls_in_flight);
        match before < self.settings().concurrent_requests_max {
            true => Ok(slot),
            false => Err(CallError::TooManyRequests),
        }
    }
}

/// A place among the concurrent requests of an app.
pub(crate) struct Slot<'a>(&'a AtomicUsize);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What V8 needs to know of an app.
fn app_code(app: &App, identity: &AppIdentity) -> AppCode {
    let deployment = DEPLOYMENTS.fetch_add(1, Ordering::Relaxed);
    AppCode {
        key: format!("{}#{deployment}", app.app_id),
        functions: app
            .functions
            .iter()
            .map(|function| FunctionSource {
                name: function.name.clone(),
                file: function.file.to_string_lossy().into_owned(),
                source: function.source.clone(),
                run_as: frame_authority(&function.run_as),
                can_evaluate: function.can_evaluate.clone(),
            })
            .collect(),
        values: values(app),
        environment_tag: app.environment.tag.clone(),
        environment_values: app.environment.values.clone(),
        app: json!({
            "id": identity.app,
            "clientAppId": app.app_id,
            "name": app.name,
            "projectId": identity.group,
            "deployment": {
                "model": app.deployment_model,
                "providerRegion": app.provider_region.clone().unwrap_or_default(),
            },
            "lastDeployed": humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            "hostingUri": "",
        }),
        services: service_entries(app),
        node_modules: Some(app.directory.join("functions/node_modules")).filter(|path| Path::is_dir(path)),
    }
}

fn frame_authority(run_as: &RunAs) -> FrameAuthority {
    match run_as {
        RunAs::System => FrameAuthority::System,
        RunAs::UserId(id) => FrameAuthority::UserId(id.clone()),
        RunAs::Script(source) => FrameAuthority::Script(source.clone()),
        RunAs::Caller => FrameAuthority::Inherit,
    }
}

/// `context.values`: a value linked to a secret without text is `undefined` (http-surface 1.11).
fn values(app: &App) -> Map<String, Json> {
    app.values
        .iter()
        .filter_map(|value| {
            let content = match &value.content {
                ValueContent::Plain(json) => json.clone(),
                ValueContent::FromSecret(name) => app.secrets.get(name)?.expose().into(),
            };
            Some((value.name.clone(), content))
        })
        .collect()
}

/// The name under which nearly all code asks for its database.
const DEFAULT_DATA_SOURCE: &str = "mongodb-atlas";

pub(crate) fn service_entries(app: &App) -> Vec<ServiceEntry> {
    let mut entries: Vec<ServiceEntry> = Vec::new();
    let mut add = |name: &str, client: &str| {
        if !entries.iter().any(|entry| entry.name == name) {
            entries.push(ServiceEntry { name: name.to_owned(), client: client.to_owned() });
        }
    };
    let mongodb_client = |kind: &str| if kind == "datalake" { "datalake" } else { "mongodb-atlas" };
    for source in &app.data_sources {
        add(&source.name, mongodb_client(&source.kind));
    }
    for service in &app.services {
        match &service.kind {
            ServiceKind::Http => add(&service.name, "http"),
            ServiceKind::Github => add(&service.name, "github"),
            ServiceKind::Twilio => add(&service.name, "twilio"),
            ServiceKind::Aws(kind) => add(&service.name, kind),
            ServiceKind::Gcm => add(&service.name, "gcm"),
            ServiceKind::MongoDb(kind) => add(&service.name, mongodb_client(kind)),
            ServiceKind::Other(_) => add(&service.name, "http"),
        }
    }
    // Exports without their data sources are common; their code still asks for the conventional name.
    if app.data_sources.is_empty() {
        add(DEFAULT_DATA_SOURCE, DEFAULT_DATA_SOURCE);
    }
    entries
}
