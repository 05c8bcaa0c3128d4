//! Loading: one file per part of the export layouts, all of them tried on every directory whatever its version says
//! (http-surface 1.1, D5).

mod auth;
mod checks;
mod data_sources;
mod environments;
mod fields;
mod files;
mod functions;
mod http_endpoints;
mod json;
mod problems;
mod root;
mod run_as;
mod services;
mod templates;
#[cfg(test)]
mod tests;
pub(crate) mod values;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value as Json};

use crate::{App, LoadError, SecretText};
use files::{Entry, Files, Text};
use problems::Problems;
use templates::{Failure, Templates};

pub use files::LoadBounds;

/// What the operator adds to an app directory.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Texts of Secrets by name; they win over `secrets.json` (http-surface 9.6).
    pub secrets: BTreeMap<String, SecretText>,
    /// Client App ID to use instead of the one in the directory.
    pub app_id: Option<String>,
    /// Bounds of the load.
    pub bounds: LoadBounds,
}

impl App {
    /// Loads an app directory. Mistakes become [`App::problems`]; an error means that nothing can be served.
    pub fn load(directory: &Path, options: &LoadOptions) -> Result<App, LoadError> {
        let unreadable = |source| LoadError::Directory { directory: directory.to_owned(), source };
        let mut loader = Loader {
            files: Files::open(directory, options.bounds.clone()).map_err(unreadable)?,
            problems: Problems::new(options.bounds.problems_max),
            templates: Templates::default(),
            app_id: options.app_id.clone(),
            value_files: BTreeMap::new(),
        };
        let mut root = root::find(&mut loader, directory)?;
        let environment = root::environment_name(&mut loader, &root);
        let environment = environments::load(&mut loader, &root.file, &environment);
        loader.templates = Templates::new(&environment);
        let values = values::load(&mut loader);
        loader.templates.add_values(&values);
        let secrets = values::load_secrets(&mut loader, &options.secrets);

        let mut object = Json::Object(std::mem::take(&mut root.object));
        loader.expand(&root.file, &mut object);
        if let Json::Object(object) = object {
            root.object = object;
        }
        let directory = root::absolute(directory);
        let settings = root::settings(&mut loader, &root, &directory);

        let functions = functions::load(&mut loader, root.layout);
        let services = services::load(&mut loader, root.layout);
        let data_sources = data_sources::load(&mut loader, &services);
        let endpoints = http_endpoints::load(&mut loader, &secrets);
        let auth_providers = auth::load_providers(&mut loader);
        let custom_user_data = auth::load_custom_user_data(&mut loader, &root, &services);

        let mut app = App {
            name: settings.name,
            app_id: settings.app_id,
            directory,
            layout: root.layout,
            config_version: root.config_version,
            root_file: root.file,
            location: settings.location,
            deployment_model: settings.deployment_model,
            provider_region: settings.provider_region,
            environment,
            allowed_request_origins: settings.allowed_request_origins,
            functions,
            services,
            endpoints,
            values,
            secrets,
            data_sources,
            auth_providers,
            custom_user_data,
            problems: Vec::new(),
        };
        checks::run(&mut loader, &app);
        app.problems = loader.problems.finish();
        Ok(app)
    }
}

const REPEATED: &str = "is written twice in one object, and the last one counts: remove the other";

/// State of one load.
struct Loader {
    files: Files,
    problems: Problems,
    templates: Templates,
    app_id: Option<String>,
    /// Name of a value to its file.
    value_files: BTreeMap<String, String>,
}

/// A configuration file.
enum Config {
    Absent,
    /// Exists but is unreadable; already reported.
    Broken,
    Read {
        json: Json,
        /// Expansions that could not be replaced; already reported.
        failures: Vec<Failure>,
    },
}

impl Loader {
    fn list(&mut self, directory: &str) -> Vec<Entry> {
        self.files.list(directory, &mut self.problems)
    }

    fn is_file(&mut self, path: &str) -> bool {
        self.files.is_file(path, &mut self.problems)
    }

    fn is_directory(&mut self, path: &str) -> bool {
        self.files.is_directory(path, &mut self.problems)
    }

    /// A JSON file with its expansions replaced.
    fn read_config(&mut self, file: &str) -> Config {
        match self.read_plain(file) {
            Config::Read { mut json, .. } => {
                let failures = self.expand(file, &mut json);
                Config::Read { json, failures }
            }
            other => other,
        }
    }

    /// A JSON file as written.
    fn read_plain(&mut self, file: &str) -> Config {
        let text = match self.files.read(file, &mut self.problems) {
            Text::Absent => return Config::Absent,
            Text::Unreadable => return Config::Broken,
            Text::Read(text) => text,
        };
        if text.trim().is_empty() {
            self.problems.error(file, "", "is empty where JSON belongs: write it or remove the file");
            return Config::Broken;
        }
        match json::parse(&text) {
            Ok((json, repeated)) => {
                for field in repeated {
                    self.problems.warning(file, &field, REPEATED);
                }
                Config::Read { json, failures: Vec::new() }
            }
            Err(error) => {
                let position = format!("{}:{}", error.line, error.column);
                self.problems.error(file, &position, format!("is no JSON: {}: correct it there", error.message));
                Config::Broken
            }
        }
    }

    /// A file that has to hold an object; `None` when absent or unusable.
    fn read_object(&mut self, file: &str, what: &str) -> Option<(Map<String, Json>, Vec<Failure>)> {
        match self.read_config(file) {
            Config::Absent | Config::Broken => None,
            Config::Read { json: Json::Object(object), failures } => Some((object, failures)),
            Config::Read { json: other, .. } => {
                let found = json::type_name(&other);
                self.problems.error(file, "", format!("holds {found} where {what} is an object: write an object"));
                None
            }
        }
    }

    fn expand(&mut self, file: &str, json: &mut Json) -> Vec<Failure> {
        let mut failures = Vec::new();
        self.templates.expand(json, "", &mut failures);
        for failure in &failures {
            self.problems.error(file, &failure.field, failure.message.clone());
        }
        failures
    }

    /// JavaScript of a function or webhook; `None` when there is no readable file.
    fn read_source(&mut self, file: &str) -> Option<String> {
        match self.files.read(file, &mut self.problems) {
            Text::Absent | Text::Unreadable => None,
            Text::Read(text) => {
                if text.trim().is_empty() {
                    self.problems.warning(file, "", "is empty, so every call fails: assign a function to exports");
                }
                Some(text)
            }
        }
    }
}
