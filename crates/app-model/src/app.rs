//! The whole of one exported app, as loaded from its directory.

use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use crate::{AuthProvider, CustomUserData, DataSource, Endpoint, Function, Problem, SecretText, Service, Value};

/// One exported app. Immutable once loaded; a deployment is one of these behind an `Arc`.
#[derive(Debug, Clone)]
pub struct App {
    /// The root file's `name`, or the directory's name where it has none.
    pub name: String,
    /// Client App ID, a URL path segment: the root file's `app_id`, else `name` (http-surface 1.4).
    pub app_id: String,
    /// The directory the app was loaded from.
    pub directory: PathBuf,
    /// The generation of the export layout.
    pub layout: Layout,
    /// `config_version` of the root file; `None` for a `root_config.json` without one.
    pub config_version: Option<i64>,
    /// File name of the root file that was used, such as `realm_config.json`.
    pub root_file: String,
    /// `US-VA` and the like; only echoed in logs.
    pub location: String,
    /// `GLOBAL` or `LOCAL`.
    pub deployment_model: String,
    /// For example `aws-us-east-1`.
    pub provider_region: Option<String>,
    /// The active environment with its values (http-surface 1.11).
    pub environment: Environment,
    /// Each `scheme://host[:port]`; empty means no check (http-surface 3.3).
    pub allowed_request_origins: Vec<String>,
    /// All functions of the manifest and all source files without an entry.
    pub functions: Vec<Function>,
    /// Services with their webhooks and outgoing rules.
    pub services: Vec<Service>,
    /// Custom HTTPS endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Named values.
    pub values: Vec<Value>,
    /// Texts of secrets by name, from `secrets.json` and from the operator.
    pub secrets: std::collections::BTreeMap<String, SecretText>,
    /// MongoDB data sources; in v1 the services of a MongoDB type.
    pub data_sources: Vec<DataSource>,
    /// Authentication providers.
    pub auth_providers: Vec<AuthProvider>,
    /// Custom user data, when enabled.
    pub custom_user_data: Option<CustomUserData>,
    /// Everything that was wrong or worth a warning, in file order.
    pub problems: Vec<Problem>,
}

/// Generation of the export layout (http-surface 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `stitch.json` and `config.json`: 20180301, 20200603.
    V1,
    /// `realm_config.json` and `root_config.json`: 20210101.
    V2,
}

/// The active environment.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `""`, `development`, `testing`, `qa` or `production`.
    pub tag: String,
    /// Values of `environments/<tag>.json`.
    pub values: Map<String, Json>,
}
