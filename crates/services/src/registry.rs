//! The services of one deployment, by the name user code says.

use std::collections::HashMap;
use std::sync::Arc;

use rules::AppValues;

use crate::aws::AwsService;
use crate::http::HttpService;
use crate::mongodb_atlas::DataSource;
use crate::run_context::RulesUsers;
use crate::twilio::TwilioService;
use crate::{Run, RunContext, ServiceError};

/// The services of one deployment. Immutable once built; shared by all its runs.
#[derive(Debug, Default)]
pub struct Registry {
    services: HashMap<String, Service>,
    limits: ServiceLimits,
    values: Arc<AppValues>,
}

/// One service.
#[derive(Debug, Clone)]
pub enum Service {
    /// `mongodb-atlas`, `mongodb`, `datalake`.
    MongoDb(DataSource),
    /// `http`, and `context.http` under the name `""`.
    Http(HttpService),
    /// `twilio`
    Twilio(TwilioService),
    /// `aws`, `aws-s3`, `aws-ses`
    Aws(AwsService),
}

/// Bounds on what one run may hold open or receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceLimits {
    /// Documents one query gives before it ends silently (function-environment 7.2, Q28).
    pub documents_per_query_max: usize,
    /// Server-side cursors open at once in one run.
    pub open_cursors_max: usize,
    /// Sessions open at once in one run.
    pub open_sessions_max: usize,
    /// Outgoing HTTP requests of one run under way at once; more wait.
    pub http_requests_max: usize,
    /// Bytes of all answers to outgoing requests that one run is receiving at once.
    pub http_bytes_max: usize,
}

impl Default for ServiceLimits {
    fn default() -> Self {
        Self {
            documents_per_query_max: 50_000,
            open_cursors_max: 1_000,
            open_sessions_max: 100,
            http_requests_max: 100,
            http_bytes_max: 64 << 20,
        }
    }
}

impl Registry {
    /// A registry without services.
    pub fn new(limits: ServiceLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The same with the values and the environment that rules name.
    pub fn with_values(self, values: Arc<AppValues>) -> Self {
        Self { values, ..self }
    }

    /// Adds a service, or replaces the one of the same name.
    pub fn add(&mut self, name: impl Into<String>, service: Service) {
        self.services.insert(name.into(), service);
    }

    /// Opens the run-owned side: cursors and sessions live behind it and end with it. `context` is asked by rules.
    pub fn start_run(self: &Arc<Self>, context: Arc<dyn RunContext>) -> Arc<Run> {
        let users = RulesUsers::new(context, Arc::clone(&self.values));
        Arc::new(Run::new(Arc::clone(self), users))
    }

    /// The bounds given at construction.
    pub fn limits(&self) -> &ServiceLimits {
        &self.limits
    }

    pub(crate) fn service(&self, name: &str) -> Result<&Service, ServiceError> {
        self.services.get(name).ok_or_else(|| ServiceError::UnknownService { name: name.to_owned() })
    }
}
