//! The apps to serve, as loaded, and what is printed about them.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use app_model::{App, Level, Method, Validation};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::ServerError;
use crate::settings::Settings;

/// Loads every app directory.
///
/// # Errors
/// A directory that cannot be served at all, or an app that is there twice.
pub(crate) fn load(settings: &Settings) -> Result<Vec<Arc<App>>, ServerError> {
    let secrets = settings.secrets()?;
    let mut apps: Vec<Arc<App>> = Vec::new();
    let mut by_id: HashMap<String, usize> = HashMap::new();
    for directory in &settings.apps {
        let app = secrets.load_app(directory, settings.app_id.as_deref()).map_err(ServerError::App)?;
        if let Some(index) = by_id.insert(app.app_id.clone(), apps.len()) {
            return Err(ServerError::SameApp {
                app_id: app.app_id,
                first: apps[index].directory.clone(),
                second: app.directory,
            });
        }
        apps.push(Arc::new(app));
    }
    Ok(apps)
}

/// Logs what is wrong with an app directory.
pub(crate) fn log_problems(app: &App) {
    for problem in app.problems.iter().chain(&app::expression_problems(app)) {
        let (file, field, message) = (problem.file.display(), &problem.field, &problem.message);
        match problem.level {
            Level::Error => tracing::error!(app = app.app_id, %file, %field, "{message}"),
            Level::Warning => tracing::warn!(app = app.app_id, %file, %field, "{message}"),
        }
    }
}

/// Everything but what a path segment may hold as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same for a whole path, whose slashes stay.
const PATH: &AsciiSet = &SEGMENT.remove(b'/');
/// Nothing a terminal could take for an order.
const PRINTABLE: &AsciiSet = CONTROLS;

fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// URL of a webhook.
pub(crate) fn webhook_url(base: &str, app: &App, service: &str, webhook: &str) -> String {
    format!(
        "{base}/api/client/v2.0/app/{}/service/{}/incoming_webhook/{}",
        segment(&app.app_id),
        segment(service),
        segment(webhook)
    )
}

/// URL of an endpoint.
pub(crate) fn endpoint_url(base: &str, app: &App, route: &str) -> String {
    format!("{base}/app/{}/endpoint{}", segment(&app.app_id), utf8_percent_encode(route, PATH))
}

/// `POST`, or `ANY`.
pub(crate) fn method_text(method: &Method) -> &str {
    match method {
        Method::Any => "ANY",
        Method::One(verb) => verb,
    }
}

/// What an operator wants to see at start: URLs, and a curl line to try.
pub(crate) fn describe(app: &App, base: &str) -> String {
    let mut text = format!("app {} ({})\n", printable(&app.app_id), app.directory.display());
    let mut example = None;
    for service in &app.services {
        for webhook in service.webhooks.iter().filter(|webhook| webhook.servable) {
            let url = webhook_url(base, app, &service.name, &webhook.name);
            push_line(&mut text, method_text(&webhook.method), &url);
            example.get_or_insert_with(|| curl(&webhook.method, &webhook.validation, "X-Hook-Signature", &url));
        }
    }
    for endpoint in app.endpoints.iter().filter(|endpoint| endpoint.servable && !endpoint.disabled) {
        let url = endpoint_url(base, app, &endpoint.route);
        push_line(&mut text, method_text(&endpoint.method), &url);
        example.get_or_insert_with(|| curl(&endpoint.method, &endpoint.validation, "Endpoint-Signature", &url));
    }
    match example {
        Some(example) => text.push_str(&format!("  try: {example}\n")),
        None => text.push_str("  no webhooks and no endpoints\n"),
    }
    text
}

fn push_line(text: &mut String, method: &str, url: &str) {
    writeln!(text, "  {method:<6} {url}").expect("a string takes every character");
}

fn printable(text: &str) -> String {
    utf8_percent_encode(text, PRINTABLE).to_string()
}

/// A command to try; secrets are named, never shown.
fn curl(method: &Method, validation: &Validation, signature_header: &str, url: &str) -> String {
    let verb = match method {
        Method::Any => "POST",
        Method::One(verb) => verb,
    };
    let mut command = match verb {
        "GET" => "curl".to_owned(),
        "HEAD" => "curl -I".to_owned(),
        "DELETE" => "curl -X DELETE".to_owned(),
        verb => format!("curl -X {verb} -H 'Content-Type: application/json' -d '{{}}'"),
    };
    match validation {
        Validation::None => write!(command, " '{url}'"),
        Validation::SecretAsQueryParam(_) => write!(command, " '{url}?secret=YOUR_SECRET'"),
        Validation::VerifyPayload(_) => write!(command, " -H '{signature_header}: sha256=HMAC_OF_THE_BODY' '{url}'"),
    }
    .expect("a string takes every character");
    command
}
