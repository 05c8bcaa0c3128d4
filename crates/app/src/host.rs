//! What a run may reach: the app's services, over the connections of this process.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use app_model::App;
use auth::{Accounts, Auth, AuthParts, AuthSettings};
use bson::raw::RawDocumentBuf;
use futures::FutureExt;
use futures::future::BoxFuture;
use isolate::{Authority, Host, HostError, ServiceCall};
use rules::{AppValues, DataSourceRules};
use services::aws::{AwsConfig, AwsEndpoints, AwsKind, AwsService};
use services::http::{AllowedTarget, HttpClient, HttpService, HttpSettings};
use services::mongodb_atlas::{Connection, ConnectionSettings, DataSource};
use services::twilio::{TWILIO_URL, TwilioService};
use services::{ActionRules, Registry, RunContext, Service, ServiceError, ServiceLimits};

use url::Url;

use crate::auth_outside::PolicedFetch;
use crate::running_app::service_entries;
use crate::{AppState, HostFactory};

/// Where the data of all apps lives, and what functions may reach.
#[derive(Debug, Clone)]
pub struct OutsideSettings {
    /// Connection string of every data source that has none of its own.
    pub default_uri: String,
    /// Connection strings by name of data source.
    pub data_source_uris: BTreeMap<String, String>,
    /// How connections are made.
    pub connection: ConnectionSettings,
    /// Bounds of what one run may hold open or receive.
    pub limits: ServiceLimits,
    /// Outgoing HTTP.
    pub http: HttpSettings,
    /// Where AWS and Twilio are reached.
    pub endpoints: ServiceEndpoints,
}

/// Where services that are not the app's own are reached. An operator may put others in their place.
#[derive(Debug, Clone)]
pub struct ServiceEndpoints {
    /// Base URLs of AWS.
    pub aws: Arc<AwsEndpoints>,
    /// Base URL of Twilio.
    pub twilio: Url,
}

impl Default for ServiceEndpoints {
    fn default() -> Self {
        let twilio = Url::parse(TWILIO_URL).expect("a constant that is a URL");
        Self { aws: Arc::default(), twilio }
    }
}

impl ServiceEndpoints {
    /// The operator's own choices are allowed wherever they are.
    fn allowed(&self) -> impl Iterator<Item = AllowedTarget> {
        let aws = self.aws.default.iter().chain(self.aws.by_service.values());
        aws.chain([&self.twilio]).filter_map(AllowedTarget::of_url)
    }
}

/// Everything outside of this process, shared by all apps: databases, one connection pool per connection string, and
/// outgoing HTTP.
#[derive(Debug)]
pub struct Outside {
    settings: OutsideSettings,
    connections: HashMap<String, Connection>,
    http: HttpClient,
    /// For requests to [`ServiceEndpoints`] only: user code chooses no host of theirs.
    operators_http: HttpClient,
}

impl Outside {
    /// Reads all connection strings. Does not wait for any database to answer.
    ///
    /// # Errors
    /// A connection string that cannot be used.
    pub async fn open(settings: OutsideSettings) -> Result<Self, ServiceError> {
        let mut connections = HashMap::new();
        for uri in std::iter::once(&settings.default_uri).chain(settings.data_source_uris.values()) {
            if !connections.contains_key(uri) {
                connections.insert(uri.clone(), Connection::open(uri, settings.connection).await?);
            }
        }
        let http = HttpClient::new(settings.http.clone())?;
        let mut operators = settings.http.clone();
        operators.addresses.allowed.extend(settings.endpoints.allowed());
        let operators_http = HttpClient::new(operators)?;
        Ok(Self { settings, connections, http, operators_http })
    }

    /// The services of one app, and the hosts of its runs.
    ///
    /// # Errors
    /// A data source whose config cannot be used, such as an unknown read preference.
    pub fn services_of(&self, app: &App) -> Result<ServiceHosts, ServiceError> {
        let mut registry = Registry::new(self.settings.limits).with_values(Arc::new(AppValues::new(app)));
        for source in &app.data_sources {
            let (rules, _) = DataSourceRules::compile(app, source);
            let service = DataSource::from_config(self.connection(&source.name), &source.kind, &source.config)?;
            registry.add(source.name.clone(), Service::MongoDb(service.with_rules(Arc::new(rules))));
        }
        // What is no declared data source: services of MongoDB types, the conventional name where none is declared, HTTP.
        for entry in service_entries(app) {
            if app.data_source(&entry.name).is_some() {
                continue;
            }
            let service = match entry.client.as_str() {
                "mongodb-atlas" | "datalake" => Service::MongoDb(DataSource::new(self.connection(&entry.name))),
                "http" => Service::Http(HttpService::with_rules(self.http.clone(), action_rules(app, &entry.name))),
                "twilio" => Service::Twilio(self.twilio(app, &entry.name)),
                "aws" => Service::Aws(self.aws(app, &entry.name, AwsKind::Aws)),
                "aws-s3" => Service::Aws(self.aws(app, &entry.name, AwsKind::S3)),
                "aws-ses" => Service::Aws(self.aws(app, &entry.name, AwsKind::Ses)),
                // Their actions answer that there is no such service.
                _ => continue,
            };
            registry.add(entry.name, service);
        }
        registry.add(CONTEXT_HTTP, Service::Http(HttpService::open(self.http.clone())));
        Ok(ServiceHosts { registry: Arc::new(registry) })
    }

    /// The users of one app: their state is kept on the connection of data sources without one of their own.
    pub fn auth_of(&self, app: &Arc<App>, settings: &AuthSettings) -> Auth {
        let default = self.connections.get(&self.settings.default_uri);
        let default = default.expect("every configured connection string was opened");
        let custom_data_client =
            app.custom_user_data.as_ref().map(|config| self.connection(&config.service).client().clone());
        let parts = AuthParts {
            accounts: Accounts::new(default.client(), &app.app_id, settings.clone()),
            fetch: Arc::new(PolicedFetch(self.http.clone())),
            mailer: None,
            custom_data_client,
        };
        Auth::new(app.clone(), parts)
    }

    fn twilio(&self, app: &App, name: &str) -> TwilioService {
        TwilioService::new(
            self.operators_http.clone(),
            config_text(app, name, "sid"),
            secret_text(app, name, "auth_token"),
            self.settings.endpoints.twilio.clone(),
            action_rules(app, name),
        )
    }

    fn aws(&self, app: &App, name: &str, kind: AwsKind) -> AwsService {
        let config = AwsConfig {
            access_key_id: config_text(app, name, "accessKeyId"),
            secret_access_key: secret_text(app, name, "secretAccessKey"),
            region: config_text(app, name, "region"),
        };
        let endpoints = self.settings.endpoints.aws.clone();
        AwsService::new(self.operators_http.clone(), kind, config, endpoints, action_rules(app, name))
    }

    /// What is kept about an app, on the connection of every data source that has none of its own.
    pub fn state_of(&self, client_app_id: &str) -> AppState {
        let connection = self.connections.get(&self.settings.default_uri);
        let connection = connection.expect("every configured connection string was opened").clone();
        AppState::on(connection, client_app_id)
    }

    /// Whether every database answers within `timeout`.
    ///
    /// # Errors
    /// What the first one that does not answer said; without addresses or credentials.
    pub async fn ping(&self, timeout: Duration) -> Result<(), String> {
        let pings = self.connections.values().map(|connection| async {
            match tokio::time::timeout(timeout, connection.ping()).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("the database did not answer in time".to_owned()),
            }
        });
        futures::future::try_join_all(pings).await.map(|_| ())
    }

    fn connection(&self, data_source: &str) -> Connection {
        let uri = self.settings.data_source_uris.get(data_source).unwrap_or(&self.settings.default_uri);
        self.connections.get(uri).expect("every configured connection string was opened").clone()
    }
}

fn action_rules(app: &App, service: &str) -> ActionRules {
    app.service(service).map(|service| ActionRules::new(&service.rules)).unwrap_or_default()
}

/// A filled text of a service's `config`.
fn config_text(app: &App, service: &str, field: &str) -> Option<String> {
    let text = app.service(service)?.config.get(field)?.as_str()?;
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// The text of the Secret that an option of a service's `secret_config` names.
fn secret_text(app: &App, service: &str, option: &str) -> Option<String> {
    Some(app.service_secret(app.service(service)?, option)?.expose().to_owned())
}

/// Name of `context.http` among the services.
const CONTEXT_HTTP: &str = "";

/// Makes the hosts of one app's runs.
#[derive(Debug)]
pub struct ServiceHosts {
    registry: Arc<Registry>,
}

impl HostFactory for ServiceHosts {
    fn host(&self, context: Arc<dyn RunContext>) -> Arc<dyn Host> {
        Arc::new(RunHost { run: self.registry.start_run(context) })
    }
}

/// The host of one run. Cursors and sessions end with it.
struct RunHost {
    run: Arc<services::Run>,
}

impl Host for RunHost {
    fn call_service(&self, call: ServiceCall) -> BoxFuture<'static, Result<Vec<u8>, HostError>> {
        let run = self.run.clone();
        async move {
            let arguments = RawDocumentBuf::from_bytes(call.arguments).map_err(|error| HostError {
                name: "Error".into(),
                message: format!("malformed arguments: {error}"),
                error_code: "InvalidParameter".into(),
                ..HostError::default()
            })?;
            let authority = match call.authority {
                Authority::System => services::Authority::System,
                Authority::User(id) => services::Authority::User(id),
            };
            let answer = run.call(&call.service, &call.action, arguments, &authority).await;
            answer.map(RawDocumentBuf::into_bytes).map_err(|error| host_error(&error))
        }
        .boxed()
    }
}

impl Drop for RunHost {
    fn drop(&mut self) {
        self.run.end();
    }
}

fn host_error(error: &ServiceError) -> HostError {
    HostError {
        name: error.name().to_owned(),
        message: error.to_string(),
        error_code: error.error_code().to_owned(),
        code: error.code(),
        code_name: error.code_name().map(str::to_owned),
        error_labels: error.error_labels().to_vec(),
    }
}
