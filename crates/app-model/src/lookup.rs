//! Finding things in a loaded app, and the problems that belong to them.

use std::path::Path;

use crate::load::values::imported_name;
use crate::{App, AuthProvider, DataSource, Endpoint, Function, Method, Problem, SecretText, Service, Value, Webhook};

impl App {
    /// A function by name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }

    /// A service by name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    /// A data source by name.
    pub fn data_source(&self, name: &str) -> Option<&DataSource> {
        self.data_sources.iter().find(|source| source.name == name)
    }

    /// A value by name.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|value| value.name == name)
    }

    /// An authentication provider by kind, also when it is disabled.
    pub fn auth_provider(&self, kind: &str) -> Option<&AuthProvider> {
        self.auth_providers.iter().find(|provider| provider.kind == kind)
    }

    /// The endpoint that answers a verb on a route: the one for that verb, else the one for any (http-surface 3.2).
    ///
    /// `HEAD` and `OPTIONS` only ever match the one for any. The result may be disabled or not servable.
    pub fn endpoint(&self, route: &str, verb: &str) -> Option<&Endpoint> {
        let find = |wanted: fn(&Method, &str) -> bool| {
            self.endpoints.iter().find(|endpoint| endpoint.route == route && wanted(&endpoint.method, verb))
        };
        find(|method, verb| matches!(method, Method::One(one) if one == verb))
            .or_else(|| find(|method, _| *method == Method::Any))
    }

    /// Text of a Secret; an empty text is as good as none.
    pub fn secret(&self, name: &str) -> Option<&SecretText> {
        self.secrets.get(name).filter(|text| !text.expose().is_empty())
    }

    /// Text of one option of a service's `secret_config`, such as `auth_token`: by the name of the Secret, else from
    /// `secrets.json`.
    pub fn service_secret(&self, service: &Service, option: &str) -> Option<&SecretText> {
        let named =
            service.secret_config.get(option).and_then(serde_json::Value::as_str).and_then(|name| self.secret(name));
        named.or_else(|| self.secret(&imported_name(&service.name, option)))
    }

    /// Texts of one option of a provider's `secret_config`, such as `signingKeys`; names without text are left out.
    pub fn provider_secrets(&self, provider: &AuthProvider, option: &str) -> Vec<&SecretText> {
        let named: Vec<&SecretText> = match provider.secret_config.get(option) {
            Some(serde_json::Value::String(name)) => self.secret(name).into_iter().collect(),
            Some(serde_json::Value::Array(names)) => {
                names.iter().filter_map(|name| self.secret(name.as_str()?)).collect()
            }
            _ => Vec::new(),
        };
        if !named.is_empty() {
            return named;
        }
        self.secret(&imported_name(&provider.kind, option)).into_iter().collect()
    }

    /// Problems of one webhook: those of its config file and its source.
    pub fn webhook_problems(&self, webhook: &Webhook) -> Vec<&Problem> {
        self.problems
            .iter()
            .filter(|problem| problem.file == webhook.config_file || problem.file == webhook.source_file)
            .collect()
    }

    /// Problems of one endpoint: those of its entry and those of the list as a whole. The function has its own.
    pub fn endpoint_problems(&self, endpoint: &Endpoint) -> Vec<&Problem> {
        self.entry_problems(&endpoint.config_file, endpoint.config_entry)
    }

    /// Problems of one function: those of its entry or config file and those of its source.
    pub fn function_problems(&self, function: &Function) -> Vec<&Problem> {
        let mut problems = match (&function.config_file, function.config_entry) {
            (Some(file), Some(entry)) => self.entry_problems(file, entry),
            (Some(file), None) => self.problems.iter().filter(|problem| problem.file == *file).collect(),
            (None, _) => Vec::new(),
        };
        problems.extend(self.problems.iter().filter(|problem| problem.file == function.file));
        problems
    }

    /// Problems of a service itself: its config file and its rules.
    pub fn service_problems(&self, service: &Service) -> Vec<&Problem> {
        self.problems
            .iter()
            .filter(|problem| {
                problem.file == service.config_file || service.rules.iter().any(|rule| rule.file == problem.file)
            })
            .collect()
    }

    fn entry_problems(&self, file: &Path, entry: usize) -> Vec<&Problem> {
        let path = format!("[{entry}]");
        let is_of_entry = |field: &str| match field.strip_prefix(&path) {
            Some(rest) => rest.is_empty() || rest.starts_with(['.', '[']),
            None => !field.starts_with('['),
        };
        self.problems.iter().filter(|problem| problem.file == file && is_of_entry(&problem.field)).collect()
    }
}
