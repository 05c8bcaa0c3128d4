//! The list of custom HTTPS endpoints: `http_endpoints/config.json`, and `https_endpoints/config.json` of the newer
//! tool (http-surface 1.6).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::fields::{Fields, Mistyped};
use super::files::join;
use super::functions::below;
use super::json::element;
use super::problems::{Problems, quoted};
use super::services::{ValidationMethod, validation_method};
use super::{Config, Loader, json};
use crate::{Endpoint, Method, ReturnType, SecretText, Validation};

/// Directories that hold a list of endpoints, and HTTP services.
pub(super) const DIRECTORIES: [&str; 2] = ["http_endpoints", "https_endpoints"];

type Secrets = BTreeMap<String, SecretText>;

/// All endpoints in the order of the lists.
pub(super) fn load(loader: &mut Loader, secrets: &Secrets) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for directory in DIRECTORIES {
        let file = join(directory, "config.json");
        let (entries, failures) = match loader.read_config(&file) {
            Config::Absent | Config::Broken => continue,
            Config::Read { json: Json::Array(entries), failures } => (entries, failures),
            Config::Read { json: other, .. } => {
                let found = json::type_name(&other);
                loader.problems.error(
                    &file,
                    "",
                    format!("holds {found} where the list of endpoints is an array: write an array"),
                );
                continue;
            }
        };
        for (index, entry) in entries.iter().enumerate() {
            let path = element("", index);
            let Json::Object(object) = entry else {
                let found = json::type_name(entry);
                loader.problems.error(
                    &file,
                    &path,
                    format!("is {found} where an endpoint is an object: write an object"),
                );
                continue;
            };
            let failed = failures.iter().any(|failure| below(&failure.field, &path));
            if let Some(mut endpoint) = read_endpoint(&file, index, object, secrets, &mut loader.problems) {
                endpoint.servable &= !failed;
                add(&mut endpoints, endpoint, &mut loader.problems);
            }
        }
    }
    endpoints
}

/// `(route, http_method)` is unique; of two the first counts.
fn add(endpoints: &mut Vec<Endpoint>, endpoint: Endpoint, problems: &mut Problems) {
    if let Some(first) = endpoints.iter().find(|other| other.route == endpoint.route && other.method == endpoint.method)
    {
        let file = endpoint.config_file.to_string_lossy().into_owned();
        let message = format!(
            "{} {} is defined twice, here and in {} [{}], which counts: remove one of them",
            endpoint.method,
            quoted(&endpoint.route),
            first.config_file.display(),
            first.config_entry
        );
        problems.error(&file, &json::member(&element("", endpoint.config_entry), "route"), message);
        return;
    }
    endpoints.push(endpoint);
}

fn read_endpoint(
    file: &str,
    index: usize,
    object: &Map<String, Json>,
    secrets: &Secrets,
    problems: &mut Problems,
) -> Option<Endpoint> {
    let mut fields = Fields { file, path: element("", index), subject: String::new(), object };
    let route = match fields.filled_text("route", problems) {
        Ok(Some(route)) => route,
        Ok(None) => {
            fields.error("route", "is missing, so nothing can call it: write a route such as /orders", problems);
            return None;
        }
        Err(_) => return None,
    };
    fields.subject = format!("endpoint {}: ", quoted(route));
    let mut endpoint = Endpoint {
        route: route.to_owned(),
        config_file: PathBuf::from(file),
        config_entry: index,
        method: Method::Any,
        function_name: String::new(),
        validation: Validation::VerifyPayload(None),
        secret_name: None,
        can_evaluate: None,
        respond_result: false,
        fetch_custom_user_data: false,
        create_user_on_auth: false,
        disabled: false,
        return_type: ReturnType::Ejson,
        servable: true,
    };
    let sound = read_fields(&fields, secrets, &mut endpoint, problems);
    endpoint.servable = sound.is_ok();
    Some(endpoint)
}

fn read_fields(
    fields: &Fields<'_>,
    secrets: &Secrets,
    endpoint: &mut Endpoint,
    problems: &mut Problems,
) -> Result<(), Mistyped> {
    let routed = if endpoint.route.starts_with('/') {
        Ok(())
    } else {
        fields.error("route", "does not start with /, so no URL reaches it: write / in front", problems);
        Err(Mistyped)
    };
    let method = read_method(fields, problems);
    let function_name = match fields.filled_text("function_name", problems) {
        Ok(Some(name)) => Ok(name.to_owned()),
        Ok(None) => {
            fields.error(
                "function_name",
                "is missing, so every call is refused: write the name of the function to run",
                problems,
            );
            Err(Mistyped)
        }
        Err(mistyped) => Err(mistyped),
    };
    let secret_name = fields.filled_text("secret_name", problems);
    let can_evaluate = fields.expression("can_evaluate", problems);
    let disabled = fields.flag("disabled", problems);
    endpoint.respond_result = fields.flag("respond_result", problems).ok().flatten().unwrap_or(false);
    endpoint.fetch_custom_user_data = fields.flag("fetch_custom_user_data", problems).ok().flatten().unwrap_or(false);
    endpoint.create_user_on_auth = fields.flag("create_user_on_auth", problems).ok().flatten().unwrap_or(false);
    endpoint.return_type = match fields.filled_text("return_type", problems).ok().flatten() {
        Some("JSON") => ReturnType::Json,
        None | Some("EJSON") => ReturnType::Ejson,
        Some(other) => {
            fields.error(
                "return_type",
                format!("{} is no return type, EJSON is used: write JSON or EJSON", quoted(other)),
                problems,
            );
            ReturnType::Ejson
        }
    };
    endpoint.secret_name = secret_name.ok().flatten().map(str::to_owned);
    let disabled = disabled.map(Option::unwrap_or_default);
    endpoint.disabled = disabled.unwrap_or(true);
    let validation = read_validation(fields, endpoint, secrets, problems);

    routed?;
    secret_name?;
    disabled?;
    endpoint.method = method?;
    endpoint.function_name = function_name?;
    endpoint.can_evaluate = can_evaluate?;
    endpoint.validation = validation?;
    Ok(())
}

fn read_method(fields: &Fields<'_>, problems: &mut Problems) -> Result<Method, Mistyped> {
    let Some(written) = fields.filled_text("http_method", problems)? else {
        fields.error(
            "http_method",
            "is missing, so every call is refused: write GET, POST, PUT, PATCH, DELETE or *",
            problems,
        );
        return Err(Mistyped);
    };
    match written.to_ascii_uppercase().as_str() {
        "ANY" | "*" => Ok(Method::Any),
        verb @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE") => Ok(Method::One(verb.to_owned())),
        _ => {
            fields.error("http_method", format!("{} is no HTTP method of an endpoint, so every call is refused: write GET, POST, PUT, PATCH, DELETE or *", quoted(written)), problems);
            Err(Mistyped)
        }
    }
}

/// `validation_method`, in later exports also called `verification_method`, with the text of the Secret it names.
fn read_validation(
    fields: &Fields<'_>,
    endpoint: &Endpoint,
    secrets: &Secrets,
    problems: &mut Problems,
) -> Result<Validation, Mistyped> {
    let mut key = "validation_method";
    let mut written = fields.filled_text(key, problems)?;
    if written.is_none() {
        key = "verification_method";
        written = fields.filled_text(key, problems)?;
    }
    let Some(written) = written else {
        if endpoint.secret_name.is_none() {
            return Ok(Validation::None);
        }
        fields.error("validation_method", "is missing although secret_name names a Secret, so every call is refused: write SECRET_AS_QUERY_PARAM, VERIFY_PAYLOAD or NO_VALIDATION", problems);
        return Err(Mistyped);
    };
    let Some(method) = validation_method(written) else {
        fields.error(key, format!("{} is no validation method, so every call is refused: write NO_VALIDATION, SECRET_AS_QUERY_PARAM or VERIFY_PAYLOAD", quoted(written)), problems);
        return Err(Mistyped);
    };
    if matches!(method, ValidationMethod::None) {
        return Ok(Validation::None);
    }
    let text = match &endpoint.secret_name {
        None => {
            if !endpoint.disabled {
                fields.error("secret_name", "is missing, so every call is refused: write the name of a Secret, or NO_VALIDATION as validation_method", problems);
            }
            None
        }
        Some(name) => {
            let text = secrets.get(name).filter(|text| !text.expose().is_empty());
            if text.is_none() && !endpoint.disabled {
                fields.error(
                    "secret_name",
                    format!(
                        "the Secret {} has no text, so every call is refused: give the server its text",
                        quoted(name)
                    ),
                    problems,
                );
            }
            text.cloned()
        }
    };
    Ok(match method {
        ValidationMethod::None => Validation::None,
        ValidationMethod::SecretAsQueryParam => Validation::SecretAsQueryParam(text),
        ValidationMethod::VerifyPayload => Validation::VerifyPayload(text),
    })
}
