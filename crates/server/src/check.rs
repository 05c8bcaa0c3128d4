//! `selvedge check`: what would be served, and everything that is wrong with it.

use std::path::Path;

use app_model::{App, Level, Problem, RunAs, Validation};
use serde_json::{Value as Json, json};

use crate::apps::{endpoint_url, method_text, webhook_url};
use crate::settings::Secrets;

/// Where the URLs of the report begin.
const BASE: &str = "http://127.0.0.1:8080";

/// What was found in one directory.
#[derive(Debug)]
pub struct Report {
    app: Json,
    webhooks: Vec<Json>,
    endpoints: Vec<Json>,
    functions: Vec<Json>,
    problems: Vec<Problem>,
    /// Whether anything can be served.
    pub servable: bool,
}

/// Checks a directory. [`isolate::init_platform`] must have been called: each source is compiled.
pub fn check(directory: &Path, secrets: &Secrets) -> Report {
    match secrets.load_app(directory, None) {
        Ok(app) => report(app),
        Err(error) => Report {
            app: Json::Null,
            webhooks: Vec::new(),
            endpoints: Vec::new(),
            functions: Vec::new(),
            problems: vec![Problem {
                level: Level::Error,
                file: directory.to_owned(),
                field: String::new(),
                message: chain(&error),
            }],
            servable: false,
        },
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

fn report(mut app: App) -> Report {
    let found = compile_all(&app);
    app.problems.extend(found);
    app.problems.extend(app::expression_problems(&app));
    let webhooks: Vec<Json> = app
        .services
        .iter()
        .flat_map(|service| service.webhooks.iter().map(move |webhook| (service, webhook)))
        .map(|(service, webhook)| {
            let problems = app.webhook_problems(webhook);
            json!({
                "service": service.name,
                "name": webhook.name,
                "url": webhook_url(BASE, &app, &service.name, &webhook.name),
                "method": method_text(&webhook.method),
                "validation": validation_text(&webhook.validation),
                "runs_as": runs_as(&webhook.run_as),
                "status": status(&problems, webhook.servable && webhook.source.is_some()),
                "problems": problems_json(&problems),
            })
        })
        .collect();
    let endpoints: Vec<Json> = app
        .endpoints
        .iter()
        .map(|endpoint| {
            let mut problems = app.endpoint_problems(endpoint);
            let function = app.function(&endpoint.function_name);
            problems.extend(function.into_iter().flat_map(|function| app.function_problems(function)));
            let usable = endpoint.servable && function.is_some_and(|function| function.source.is_some());
            json!({
                "route": endpoint.route,
                "url": endpoint_url(BASE, &app, &endpoint.route),
                "method": method_text(&endpoint.method),
                "function": endpoint.function_name,
                "validation": validation_text(&endpoint.validation),
                "runs_as": function.map_or("nobody: the function is missing".into(), |function| runs_as(&function.run_as)),
                "disabled": endpoint.disabled,
                "status": status(&problems, usable),
                "problems": problems_json(&problems),
            })
        })
        .collect();
    let functions: Vec<Json> = app
        .functions
        .iter()
        .map(|function| {
            let problems = app.function_problems(function);
            json!({
                "name": function.name,
                "file": slashes(&function.file),
                "status": status(&problems, function.source.is_some()),
                "problems": problems_json(&problems),
            })
        })
        .collect();
    let mut handlers = webhooks.iter().chain(&endpoints).peekable();
    let servable = handlers.peek().is_none() || handlers.any(|handler| handler["status"] != "error");
    Report {
        app: json!({
            "name": app.name,
            "app_id": app.app_id,
            "layout": match app.layout {
                app_model::Layout::V1 => "v1",
                app_model::Layout::V2 => "v2",
            },
            "config_version": app.config_version,
        }),
        webhooks,
        endpoints,
        functions,
        servable,
        problems: app.problems,
    }
}

/// Compiles every source, as a run would.
fn compile_all(app: &App) -> Vec<Problem> {
    let functions = app.functions.iter().map(|function| (&function.file, &function.source));
    let webhooks = app.services.iter().flat_map(|service| &service.webhooks);
    let webhooks = webhooks.map(|webhook| (&webhook.source_file, &webhook.source));
    functions
        .chain(webhooks)
        .filter_map(|(file, source)| {
            let error = isolate::check_source(&slashes(file), source.as_ref()?).err()?;
            Some(Problem {
                level: Level::Error,
                file: file.clone(),
                field: format!("{}:{}", error.line, error.column),
                message: format!("{}: calls answer FunctionSyntaxError until it is corrected", error.message),
            })
        })
        .chain(module_calls(app))
        .collect()
}

/// Calls of `require`, which this server does not serve yet.
fn module_calls(app: &App) -> Vec<Problem> {
    let functions = app.functions.iter().map(|function| (&function.file, &function.source));
    let webhooks = app.services.iter().flat_map(|service| &service.webhooks);
    let webhooks = webhooks.map(|webhook| (&webhook.source_file, &webhook.source));
    let mut problems = Vec::new();
    for (file, source) in functions.chain(webhooks) {
        for (line, column, module) in app_model::require_calls(source.as_deref().unwrap_or("")) {
            problems.push(Problem {
                level: Level::Warning,
                file: file.clone(),
                field: format!("{line}:{column}"),
                message: match module.is_empty() {
                    true => "require of a computed name: modules are not served yet, the call will throw".into(),
                    false => format!("require('{module}'): modules are not served yet, the call will throw"),
                },
            });
        }
    }
    problems
}

fn validation_text(validation: &Validation) -> &'static str {
    match validation {
        Validation::None => "NO_VALIDATION",
        Validation::SecretAsQueryParam(_) => "SECRET_AS_QUERY_PARAM",
        Validation::VerifyPayload(_) => "VERIFY_PAYLOAD",
    }
}

fn runs_as(run_as: &RunAs) -> String {
    match run_as {
        RunAs::System => "system".into(),
        RunAs::UserId(id) => format!("user {id}"),
        RunAs::Script(_) => "script".into(),
        RunAs::Caller => "application authentication".into(),
    }
}

fn status(problems: &[&Problem], usable: bool) -> &'static str {
    match problems.iter().map(|problem| problem.level).max() {
        _ if !usable => "error",
        Some(Level::Error) => "error",
        Some(Level::Warning) => "warning",
        None => "ok",
    }
}

fn problems_json(problems: &[&Problem]) -> Vec<Json> {
    problems.iter().map(|problem| problem_json(problem)).collect()
}

fn problem_json(problem: &Problem) -> Json {
    json!({
        "level": match problem.level {
            Level::Error => "error",
            Level::Warning => "warning",
        },
        "file": slashes(&problem.file),
        "field": problem.field,
        "message": problem.message,
    })
}

fn slashes(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Report {
    /// The report for programs.
    pub fn to_json(&self) -> Json {
        json!({
            "app": self.app,
            "webhooks": self.webhooks,
            "endpoints": self.endpoints,
            "functions": self.functions,
            "problems": self.problems.iter().map(problem_json).collect::<Vec<_>>(),
        })
    }

    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let field = |item: &Json, name: &str| item[name].as_str().unwrap_or("").to_owned();
        if !self.app.is_null() {
            let version = self.app["config_version"].as_i64().map_or("none".into(), |version| version.to_string());
            text.push_str(&format!(
                "app {} ({}), layout {}, config_version {version}\n",
                field(&self.app, "app_id"),
                field(&self.app, "name"),
                field(&self.app, "layout"),
            ));
        }
        for (title, items, what) in [("webhooks", &self.webhooks, "name"), ("endpoints", &self.endpoints, "route")] {
            if !items.is_empty() {
                text.push_str(&format!("{title}:\n"));
            }
            for item in items {
                text.push_str(&format!(
                    "  {:<7} {:<6} {}\n          {}; {}; runs as {}\n",
                    field(item, "status"),
                    field(item, "method"),
                    field(item, "url"),
                    field(item, what),
                    field(item, "validation"),
                    field(item, "runs_as"),
                ));
            }
        }
        if !self.functions.is_empty() {
            text.push_str("functions:\n");
        }
        for item in &self.functions {
            text.push_str(&format!(
                "  {:<7} {} ({})\n",
                field(item, "status"),
                field(item, "name"),
                field(item, "file")
            ));
        }
        match self.problems.len() {
            0 => text.push_str("no problems\n"),
            count => text.push_str(&format!("problems ({count}):\n")),
        }
        for problem in &self.problems {
            text.push_str(&format!("  {problem}\n"));
        }
        text
    }
}
