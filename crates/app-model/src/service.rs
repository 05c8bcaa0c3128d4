//! Services, their outgoing rules, and data sources.

use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use crate::Webhook;

/// One service directory (http-surface 1.8).
#[derive(Debug, Clone)]
pub struct Service {
    /// Machine id; v1 `mongo_service_id` refers to it.
    pub id: Option<String>,
    /// Name in URLs and in `context.services.get`.
    pub name: String,
    /// Type of the service.
    pub kind: ServiceKind,
    /// Config file relative to the app directory.
    pub config_file: PathBuf,
    /// `config` as written.
    pub config: Map<String, Json>,
    /// Option name to the name of a Secret.
    pub secret_config: Map<String, Json>,
    /// Rules that guard outgoing actions.
    pub rules: Vec<ServiceRule>,
    /// Incoming webhooks.
    pub webhooks: Vec<Webhook>,
}

/// Type of a service. Every type may carry webhooks; unknown types are treated as HTTP (Q34).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceKind {
    /// `http`
    Http,
    /// `github`
    Github,
    /// `twilio`
    Twilio,
    /// `aws`, `aws-s3`, `aws-ses`: the text as written.
    Aws(String),
    /// `gcm`
    Gcm,
    /// `mongodb-atlas`, `mongodb` and `datalake` in v1.
    MongoDb(String),
    /// Anything else, as written.
    Other(String),
}

/// One rule of a service: an action is blocked unless some rule lists it and its `when` holds.
#[derive(Debug, Clone)]
pub struct ServiceRule {
    /// Name of the rule.
    pub name: String,
    /// Actions it allows.
    pub actions: Vec<String>,
    /// The condition as written.
    pub when: Json,
    /// File relative to the app directory.
    pub file: PathBuf,
}

/// One MongoDB data source (http-surface 1.12).
#[derive(Debug, Clone)]
pub struct DataSource {
    /// Machine id.
    pub id: Option<String>,
    /// Name in `context.services.get`.
    pub name: String,
    /// `mongodb-atlas`, `mongodb` or `datalake`.
    pub kind: String,
    /// Config file relative to the app directory.
    pub config_file: PathBuf,
    /// `config` as written (`readPreference`, `readPreferenceTagSets`, …).
    pub config: Map<String, Json>,
    /// `default_rule.json` as written.
    pub default_rule: Option<Json>,
    /// Rules per collection, as written.
    pub collections: Vec<CollectionRules>,
}

/// Files of one collection.
#[derive(Debug, Clone)]
pub struct CollectionRules {
    /// Database name.
    pub database: String,
    /// Collection name.
    pub collection: String,
    /// Rule file relative to the app directory.
    pub file: PathBuf,
    /// `rules.json`, or the v1 combined file, as written.
    pub rules: Option<Json>,
    /// `schema.json` as written.
    pub schema: Option<Json>,
    /// `relationships.json` as written.
    pub relationships: Option<Json>,
    /// True when the rules could not be read: the collection denies everything.
    pub broken: bool,
}
