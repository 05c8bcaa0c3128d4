//! Checks that need the whole app: what is named must exist.

use serde_json::Value as Json;

use super::Loader;
use super::auth::{CUSTOM_USER_DATA, PROVIDERS};
use super::fields::Fields;
use super::files::Kind;
use super::json::{element, member};
use super::problems::{Problems, quoted};
use super::values::imported_name;
use crate::{App, AuthProvider, Endpoint, Service, ServiceKind, ValueContent};

/// Directories that belong to an export but have no effect here.
const IGNORED_DIRECTORIES: [&str; 5] = ["graphql", "hosting", "log_forwarders", "sync", "triggers"];
const IGNORED_FILES: [&str; 3] =
    ["data_api_config.json", "http_endpoints/data_api_config.json", "https_endpoints/data_api_config.json"];

/// Secret texts may be this long on the platform.
const SECRET_CHARACTERS_MAX: usize = 500;

pub(super) fn run(loader: &mut Loader, app: &App) {
    for endpoint in &app.endpoints {
        check_endpoint(app, endpoint, &mut loader.problems);
    }
    for service in &app.services {
        check_service(app, service, &mut loader.problems);
    }
    for provider in &app.auth_providers {
        if !provider.disabled {
            Provider { app, provider }.check(&mut loader.problems);
        }
    }
    check_values(loader, app);
    check_custom_user_data(loader, app);
    report_ignored(loader);
}

fn check_endpoint(app: &App, endpoint: &Endpoint, problems: &mut Problems) {
    if endpoint.disabled || endpoint.function_name.is_empty() {
        return;
    }
    let file = endpoint.config_file.to_string_lossy();
    let field = member(&element("", endpoint.config_entry), "function_name");
    let name = quoted(&endpoint.function_name);
    let route = quoted(&endpoint.route);
    match app.function(&endpoint.function_name) {
        None => problems.error(&file, &field, format!("endpoint {route}: there is no function {name}, so every call fails with FunctionNotFound: add it or name another")),
        Some(function) if function.source.is_none() => {
            problems.error(&file, &field, format!("endpoint {route}: the function {name} has no readable source, so every call fails with FunctionNotFound: add {}", function.file.display()));
        }
        Some(_) => {}
    }
}

fn check_service(app: &App, service: &Service, problems: &mut Problems) {
    let file = service.config_file.to_string_lossy();
    for (option, value) in &service.secret_config {
        let field = member("secret_config", option);
        let names = secret_names(&file, &field, value, problems);
        for name in names {
            if app.secret(&name).is_none() && app.secret(&imported_name(&service.name, option)).is_none() {
                problems.error(
                    &file,
                    &field,
                    format!(
                        "the Secret {} has no text, so the service's actions fail: give the server its text",
                        quoted(&name)
                    ),
                );
            }
        }
    }
    let (options, secret_option): (&[&str], &str) = match &service.kind {
        ServiceKind::Twilio => (&["sid"], "auth_token"),
        ServiceKind::Aws(_) => (&["accessKeyId"], "secretAccessKey"),
        ServiceKind::Http
        | ServiceKind::Github
        | ServiceKind::Gcm
        | ServiceKind::MongoDb(_)
        | ServiceKind::Other(_) => return,
    };
    for option in options {
        if service.config.get(*option).and_then(Json::as_str).is_none_or(str::is_empty) {
            problems.warning(&file, &member("config", option), "is missing, so the service's actions fail: write it");
        }
    }
    if !service.secret_config.contains_key(secret_option)
        && app.secret(&imported_name(&service.name, secret_option)).is_none()
    {
        problems.warning(
            &file,
            &member("secret_config", secret_option),
            "is missing, so the service's actions fail: write the name of a Secret",
        );
    }
}

/// Name or names of Secrets, as `secret_config` holds them.
fn secret_names(file: &str, field: &str, value: &Json, problems: &mut Problems) -> Vec<String> {
    let mut names = Vec::new();
    let values = match value {
        Json::Array(values) => values.as_slice(),
        other => std::slice::from_ref(other),
    };
    for value in values {
        match value {
            Json::Null => {}
            Json::String(name) if name.is_empty() => {}
            Json::String(name) => names.push(name.clone()),
            other => problems.error(
                file,
                field,
                format!("is {} where the name of a Secret belongs: write a string", super::json::type_name(other)),
            ),
        }
    }
    names
}

struct Provider<'a> {
    app: &'a App,
    provider: &'a AuthProvider,
}

impl Provider<'_> {
    fn check(&self, problems: &mut Problems) {
        let file = self.provider.file.to_string_lossy().into_owned();
        // In the newer layout all providers share one file.
        let path = if file == PROVIDERS { self.provider.kind.clone() } else { String::new() };
        let mut config = Fields::new(&file, &self.provider.config);
        config.path = member(&path, "config");
        let secrets_path = member(&path, "secret_config");
        match self.provider.kind.as_str() {
            "local-userpass" => self.check_local_userpass(&config, problems),
            "custom-token" => self.check_custom_token(&config, &secrets_path, problems),
            "custom-function" => match config.filled_text("authFunctionName", problems) {
                Ok(Some(name)) => self.check_function(&config, "authFunctionName", name, problems),
                Ok(None) => config.error(
                    "authFunctionName",
                    "is missing, so nobody can log in with custom-function: write the name of a function",
                    problems,
                ),
                Err(_) => {}
            },
            "oauth2-google" | "oauth2-facebook" | "oauth2-apple" => {
                if let Ok(None) = config.filled_text("clientId", problems) {
                    config.error(
                        "clientId",
                        format!("is missing, so nobody can log in with {}: write it", self.provider.kind),
                        problems,
                    );
                }
                self.check_secret(&file, &secrets_path, "clientSecret", problems);
            }
            _ => {}
        }
    }

    fn check_local_userpass(&self, config: &Fields<'_>, problems: &mut Problems) {
        // Old exports write "" where a truth value belongs.
        let is_on = |key: &str, problems: &mut Problems| match config.get(key) {
            Some(Json::String(text)) if text.is_empty() => false,
            _ => config.flag(key, problems).ok().flatten().unwrap_or(false),
        };
        let automatic = is_on("autoConfirm", problems);
        let by_function = is_on("runConfirmationFunction", problems);
        let reset_by_function = is_on("runResetFunction", problems);
        let function_of = |name_key: &str, id_key: &str, problems: &mut Problems| match config
            .filled_text(name_key, problems)
        {
            Ok(Some(name)) => self.check_function(config, name_key, name, problems),
            // An id cannot be resolved without the platform; it counts as written.
            Ok(None) if config.get(id_key).is_some() => {}
            Ok(None) => {
                config.error(name_key, "is missing although it is switched on: write the name of a function", problems)
            }
            Err(_) => {}
        };
        if by_function && !automatic {
            function_of("confirmationFunctionName", "confirmationFunctionId", problems);
        }
        if reset_by_function {
            function_of("resetFunctionName", "resetFunctionId", problems);
        }
        let url = config.filled_text("emailConfirmationUrl", problems);
        if !automatic && !by_function && matches!(url, Ok(None)) {
            config.warning("emailConfirmationUrl", "is missing, and neither autoConfirm nor runConfirmationFunction is set, so new users stay unconfirmed: write one of the three", problems);
        }
    }

    fn check_custom_token(&self, config: &Fields<'_>, secrets_path: &str, problems: &mut Problems) {
        const KEYS_MAX: usize = 3;
        let file = config.file;
        let by_uri = config.flag("useJWKURI", problems).ok().flatten().unwrap_or(false);
        let algorithm = config.filled_text("signingAlgorithm", problems).ok().flatten();
        if let Some(other) = algorithm.filter(|name| !matches!(*name, "HS256" | "RS256")) {
            config.error(
                "signingAlgorithm",
                format!(
                    "{} is not accepted, so nobody can log in with custom-token: write HS256 or RS256",
                    quoted(other)
                ),
                problems,
            );
        }
        if by_uri {
            match config.filled_text("jwkURI", problems) {
                Ok(None) => config.error(
                    "jwkURI",
                    "is missing although useJWKURI is set, so nobody can log in with custom-token: write it",
                    problems,
                ),
                Ok(Some(uri)) if !uri.starts_with("https://") => config.error(
                    "jwkURI",
                    "does not start with https://, so nobody can log in with custom-token: write an HTTPS address",
                    problems,
                ),
                _ => {}
            }
            return;
        }
        let field = member(secrets_path, "signingKeys");
        let names = match self.provider.secret_config.get("signingKeys") {
            Some(value) => secret_names(file, &field, value, problems),
            None => Vec::new(),
        };
        let imported = self.app.secret(&imported_name(&self.provider.kind, "signingKeys"));
        if names.is_empty() && imported.is_none() {
            problems.error(
                file,
                &field,
                "is missing, so nobody can log in with custom-token: write the names of 1 to 3 Secrets",
            );
        }
        if names.len() > KEYS_MAX {
            problems.warning(
                file,
                &field,
                format!("names {} Secrets where the platform takes {KEYS_MAX}: remove some", names.len()),
            );
        }
        for name in names {
            match self.app.secret(&name).or(imported) {
                None => problems.error(
                    file,
                    &field,
                    format!(
                        "the Secret {} has no text, so its key accepts no token: give the server its text",
                        quoted(&name)
                    ),
                ),
                Some(text) => {
                    let length = text.expose().chars().count();
                    if algorithm != Some("RS256") && !(32..=512).contains(&length) {
                        problems.error(file, &field, format!("the text of the Secret {} is not 32 to 512 characters long, so its key accepts no token: use a longer key", quoted(&name)));
                    }
                }
            }
        }
    }

    fn check_function(&self, config: &Fields<'_>, key: &str, name: &str, problems: &mut Problems) {
        if self.app.function(name).is_none() {
            config.error(key, format!("there is no function {}: add it or name another", quoted(name)), problems);
        }
    }

    fn check_secret(&self, file: &str, path: &str, option: &str, problems: &mut Problems) {
        let field = member(path, option);
        let names = self
            .provider
            .secret_config
            .get(option)
            .map(|value| secret_names(file, &field, value, problems))
            .unwrap_or_default();
        let imported = self.app.secret(&imported_name(&self.provider.kind, option)).is_some();
        if names.is_empty() && !imported {
            problems.error(
                file,
                &field,
                format!("is missing, so nobody can log in with {}: write the name of a Secret", self.provider.kind),
            );
        }
        for name in names {
            if self.app.secret(&name).is_none() && !imported {
                problems.error(
                    file,
                    &field,
                    format!(
                        "the Secret {} has no text, so nobody can log in with {}: give the server its text",
                        quoted(&name),
                        self.provider.kind
                    ),
                );
            }
        }
    }
}

fn check_values(loader: &mut Loader, app: &App) {
    for value in &app.values {
        if let ValueContent::FromSecret(secret) = &value.content
            && app.secret(secret).is_none()
        {
            let file = loader.value_files.get(&value.name).cloned().unwrap_or_default();
            loader.problems.warning(
                &file,
                "value",
                format!(
                    "the Secret {} has no text, so the value is undefined: give the server its text",
                    quoted(secret)
                ),
            );
        }
    }
    for (name, text) in &app.secrets {
        if text.expose().chars().count() > SECRET_CHARACTERS_MAX && !name.starts_with("__") {
            loader.problems.warning("", "", format!("the text of the Secret {} is longer than the {SECRET_CHARACTERS_MAX} characters of the platform: shorten it", quoted(name)));
        }
    }
}

fn check_custom_user_data(loader: &mut Loader, app: &App) {
    let Some(data) = &app.custom_user_data else { return };
    let known = app.data_sources.iter().any(|source| source.name == data.service);
    let (file, field) = if loader.is_file(CUSTOM_USER_DATA) {
        (CUSTOM_USER_DATA, "mongo_service_name")
    } else {
        (app.root_file.as_str(), "custom_user_data_config.mongo_service_name")
    };
    let problems = &mut loader.problems;
    if !known {
        problems.warning(
            file,
            field,
            format!("there is no data source {}, so nobody has custom user data: name another", quoted(&data.service)),
        );
    }
    if let Some(name) = &data.on_user_creation_function_name
        && app.function(name).is_none()
    {
        let field = field.replace("mongo_service_name", "on_user_creation_function_name");
        problems.error(
            file,
            &field,
            format!("there is no function {}, so no user can be created: add it or name another", quoted(name)),
        );
    }
}

/// Says once what belongs to the export and is not served.
fn report_ignored(loader: &mut Loader) {
    let mut found = Vec::new();
    for directory in IGNORED_DIRECTORIES {
        if !loader.is_directory(directory) {
            continue;
        }
        let entries = loader.list(directory);
        let files = entries
            .iter()
            .filter(|entry| entry.kind == Kind::File && entry.name.ends_with(".json") && !entry.name.starts_with('.'))
            .count();
        let inner = entries.iter().any(|entry| entry.kind == Kind::Directory);
        if files > 0 || inner {
            found.push(format!("{directory}/"));
        }
    }
    for file in IGNORED_FILES {
        if loader.is_file(file) {
            found.push(file.to_owned());
        }
    }
    let Some(first) = found.first().cloned() else { return };
    let others = &found[1..];
    let message = if others.is_empty() {
        "is not served by this server and has no effect: nothing to do".to_owned()
    } else {
        format!("is not served by this server and has no effect, nor have {}: nothing to do", others.join(", "))
    };
    loader.problems.warning(&first, "", message);
}
