//! Services with their rules and incoming webhooks: `services/`, and the HTTP services below `http_endpoints/` and
//! `https_endpoints/` (http-surface 1.2, 1.3, 1.5, 1.8).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::fields::{Fields, Mistyped};
use super::files::{Kind, join};
use super::problems::{Problems, quoted};
use super::run_as::{self, Owner};
use super::{Loader, http_endpoints};
use crate::{Layout, Method, RunAs, SecretText, Service, ServiceKind, ServiceRule, Validation, Webhook};

const SERVICES: &str = "services";

/// All services, those of the layout's own directory first.
pub(super) fn load(loader: &mut Loader, layout: Layout) -> Vec<Service> {
    let mut roots = vec![SERVICES];
    roots.extend(http_endpoints::DIRECTORIES);
    if layout == Layout::V2 {
        // Where both have a service of one name, the layout's own directory counts.
        roots.rotate_left(1);
    }
    let mut services: Vec<Service> = Vec::new();
    for root in roots {
        for entry in loader.list(root) {
            if entry.kind != Kind::Directory || entry.name.starts_with('.') {
                continue;
            }
            let directory = join(root, &entry.name);
            let Some(service) = read_service(loader, &directory, &entry.name) else { continue };
            match services.iter().find(|other| other.name == service.name) {
                None => services.push(service),
                Some(first) => loader.problems.error(
                    &join(&directory, "config.json"),
                    "name",
                    format!(
                        "the service {} is defined twice, here and in {}, which counts: remove one of them",
                        quoted(&service.name),
                        first.config_file.display()
                    ),
                ),
            }
        }
    }
    services
}

fn read_service(loader: &mut Loader, directory: &str, folder: &str) -> Option<Service> {
    let config_file = join(directory, "config.json");
    let mut service = Service {
        id: None,
        name: folder.to_owned(),
        kind: ServiceKind::Other(String::new()),
        config_file: PathBuf::from(&config_file),
        config: Map::new(),
        secret_config: Map::new(),
        rules: Vec::new(),
        webhooks: Vec::new(),
    };
    if !loader.is_file(&config_file) {
        let hooks = loader.is_directory(&join(directory, "incoming_webhooks"));
        let rules = loader.is_directory(&join(directory, "rules"));
        if !hooks && !rules {
            loader.problems.warning(
                &config_file,
                "",
                "is missing, and the directory holds no service without it: add the file or remove the directory",
            );
            return None;
        }
        loader.problems.warning(
            &config_file,
            "",
            format!("is missing, so the directory counts as an HTTP service {}: add the file", quoted(folder)),
        );
    } else if let Some((object, failures)) = loader.read_object(&config_file, "a service") {
        let complete = failures.is_empty();
        read_service_fields(&config_file, &object, folder, complete, &mut service, &mut loader.problems);
    }
    read_rules(loader, directory, &mut service);
    read_webhooks(loader, directory, &mut service);
    Some(service)
}

fn read_service_fields(
    file: &str,
    object: &Map<String, Json>,
    folder: &str,
    complete: bool,
    service: &mut Service,
    problems: &mut Problems,
) {
    let fields = Fields::new(file, object);
    service.id = object.get("id").or_else(|| object.get("_id")).and_then(Json::as_str).map(str::to_owned);
    match fields.filled_text("name", problems) {
        Ok(Some(name)) => {
            if name != folder {
                fields.warning(
                    "name",
                    format!(
                        "{} differs from the directory's name {}, and counts: make them equal",
                        quoted(name),
                        quoted(folder)
                    ),
                    problems,
                );
            }
            service.name = name.to_owned();
        }
        Ok(None) => fields.warning(
            "name",
            format!("is missing, the directory's name {} is used: write the service's name", quoted(folder)),
            problems,
        ),
        Err(_) => {}
    }
    check_name(&fields, &service.name, problems);
    match fields.filled_text("type", problems) {
        Ok(Some(kind)) => {
            service.kind = kind_of(kind);
            if matches!(service.kind, ServiceKind::Other(_)) {
                fields.warning("type", format!("{} is no known type, so its webhooks are treated as those of an HTTP service and its actions are missing: write http, github, twilio, aws, gcm or a MongoDB type", quoted(kind)), problems);
            }
        }
        Ok(None) => {
            fields.warning("type", "is missing, so the service counts as an HTTP service: write its type", problems)
        }
        Err(_) => {}
    }
    if let Ok(Some(config)) = fields.object("config", problems) {
        service.config = config.clone();
    }
    if let Ok(Some(secret_config)) = fields.object("secret_config", problems)
        && complete
    {
        service.secret_config = secret_config.clone();
    }
}

fn kind_of(text: &str) -> ServiceKind {
    match text {
        "http" => ServiceKind::Http,
        "github" => ServiceKind::Github,
        "twilio" => ServiceKind::Twilio,
        "aws" | "aws-s3" | "aws-ses" => ServiceKind::Aws(text.to_owned()),
        "gcm" => ServiceKind::Gcm,
        "mongodb-atlas" | "mongodb" | "datalake" => ServiceKind::MongoDb(text.to_owned()),
        _ => ServiceKind::Other(text.to_owned()),
    }
}

fn check_name(fields: &Fields<'_>, name: &str, problems: &mut Problems) {
    if name.len() > 64 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
        fields.warning(
            "name",
            format!("{} is not 1 to 64 ASCII letters, digits, _ and -: rename it", quoted(name)),
            problems,
        );
    }
}

/// Rules of actions. Those of a MongoDB service are collection rules and read with the data sources.
fn read_rules(loader: &mut Loader, directory: &str, service: &mut Service) {
    if matches!(service.kind, ServiceKind::MongoDb(_)) {
        return;
    }
    let directory = join(directory, "rules");
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for entry in loader.list(&directory) {
        let Some(stem) = entry.name.strip_suffix(".json").filter(|stem| !stem.is_empty() && !stem.starts_with('.'))
        else {
            continue;
        };
        if entry.kind != Kind::File {
            continue;
        }
        let file = join(&directory, &entry.name);
        let Some((object, failures)) = loader.read_object(&file, "a rule") else { continue };
        let problems = &mut loader.problems;
        let fields = Fields::new(&file, &object);
        let name = fields.filled_text("name", problems).ok().flatten().unwrap_or(stem).to_owned();
        if let Some(first) = names.insert(name.clone(), file.clone()) {
            fields.error(
                "name",
                format!("the rule {} is defined twice, here and in {first}: rename one of them", quoted(&name)),
                problems,
            );
        }
        let actions = fields.texts("actions", problems);
        let when = fields.expression("when", problems);
        // A rule only ever allows, so one that cannot be read is left out.
        let (Ok(actions), Ok(when), true) = (actions, when, failures.is_empty()) else { continue };
        let (wild, actions): (Vec<String>, Vec<String>) = actions.into_iter().partition(|action| action == "*");
        if !wild.is_empty() {
            fields.error(
                "actions",
                "\"*\" alone allows nothing: name the actions, or write <service>:* for AWS",
                problems,
            );
        }
        service.rules.push(ServiceRule {
            name,
            actions,
            when: when.unwrap_or(Json::Bool(true)),
            file: PathBuf::from(&file),
        });
    }
}

fn read_webhooks(loader: &mut Loader, directory: &str, service: &mut Service) {
    const HOOKS: &str = "incoming_webhooks";
    let mut folders: Vec<(String, String)> = Vec::new();
    let hooks_directory = join(directory, HOOKS);
    for entry in loader.list(&hooks_directory) {
        if entry.kind == Kind::Directory && !entry.name.starts_with('.') {
            folders.push((join(&hooks_directory, &entry.name), entry.name));
        }
    }
    // An older page of the documentation leaves the level of `incoming_webhooks` out.
    for entry in loader.list(directory) {
        let path = join(directory, &entry.name);
        if entry.kind == Kind::Directory
            && !matches!(entry.name.as_str(), HOOKS | "rules")
            && loader.is_file(&join(&path, "config.json"))
            && loader.is_file(&join(&path, "source.js"))
        {
            folders.push((path, entry.name));
        }
    }
    for (path, folder) in folders {
        let Some(webhook) = read_webhook(loader, &path, &folder, &service.kind) else { continue };
        match service.webhooks.iter().find(|other| other.name == webhook.name) {
            None => service.webhooks.push(webhook),
            Some(first) => loader.problems.error(
                &join(&path, "config.json"),
                "name",
                format!(
                    "the webhook {} is defined twice, here and in {}, which counts: remove one of them",
                    quoted(&webhook.name),
                    first.config_file.display()
                ),
            ),
        }
    }
    if let (ServiceKind::Aws(kind) | ServiceKind::MongoDb(kind), Some(first)) =
        (&service.kind, service.webhooks.first())
    {
        let file = first.config_file.to_string_lossy().into_owned();
        loader.problems.warning(&file, "", format!("a service of type {kind} has no webhooks on the platform, so it is treated as one of an HTTP service: move it to an HTTP service"));
    } else if let (ServiceKind::Gcm, Some(first)) = (&service.kind, service.webhooks.first()) {
        let file = first.config_file.to_string_lossy().into_owned();
        loader.problems.warning(&file, "", "a service of type gcm has no webhooks on the platform, so it is treated as one of an HTTP service: move it to an HTTP service");
    }
}

fn read_webhook(loader: &mut Loader, directory: &str, folder: &str, kind: &ServiceKind) -> Option<Webhook> {
    let config_file = join(directory, "config.json");
    let source_file = join(directory, "source.js");
    let has_config = loader.is_file(&config_file);
    let has_source = loader.is_file(&source_file);
    if !has_config && !has_source {
        loader.problems.warning(
            &config_file,
            "",
            "is missing, and source.js too, so the directory holds no webhook: add both or remove the directory",
        );
        return None;
    }
    if !has_source {
        loader.problems.warning(
            &source_file,
            "",
            "is missing, so calling the webhook fails with FunctionNotFound: add the file or remove the directory",
        );
    }
    let source = if has_source { loader.read_source(&source_file) } else { None };
    let mut webhook = Webhook {
        name: folder.to_owned(),
        config_file: PathBuf::from(&config_file),
        source_file: PathBuf::from(&source_file),
        source,
        can_evaluate: None,
        disable_arg_logs: false,
        run_as: RunAs::Caller,
        respond_result: false,
        fetch_custom_user_data: false,
        create_user_on_auth: false,
        method: Method::Any,
        validation: Validation::VerifyPayload(None),
        servable: false,
    };
    if !has_config {
        loader.problems.error(
            &config_file,
            "",
            "is missing, so it is unknown who may call the webhook, and every call is refused: add the file",
        );
        return Some(webhook);
    }
    // Everything about a broken config is unknown: the hook exists but refuses.
    let Some((object, failures)) = loader.read_object(&config_file, "a webhook") else { return Some(webhook) };
    let fields = Fields::new(&config_file, &object);
    let sound = read_webhook_fields(&fields, folder, kind, &mut webhook, &mut loader.problems);
    webhook.servable = failures.is_empty() && sound.is_ok();
    Some(webhook)
}

fn read_webhook_fields(
    fields: &Fields<'_>,
    folder: &str,
    kind: &ServiceKind,
    webhook: &mut Webhook,
    problems: &mut Problems,
) -> Result<(), Mistyped> {
    let name = fields.filled_text("name", problems);
    match name {
        Ok(Some(name)) => {
            if name != folder {
                fields.warning(
                    "name",
                    format!(
                        "{} differs from the directory's name {}, and is the one in the URL: make them equal",
                        quoted(name),
                        quoted(folder)
                    ),
                    problems,
                );
            }
            webhook.name = name.to_owned();
        }
        Ok(None) => fields.warning(
            "name",
            format!("is missing, the directory's name {} is used: write the webhook's name", quoted(folder)),
            problems,
        ),
        Err(_) => {}
    }
    // Read everything before giving up, so that every mistake is reported at once.
    let can_evaluate = fields.expression("can_evaluate", problems);
    let run_as = run_as::read(fields, Owner::Webhook, problems);
    webhook.disable_arg_logs = fields.flag("disable_arg_logs", problems).unwrap_or(Some(true)).unwrap_or(false);
    webhook.respond_result = fields.flag("respond_result", problems).ok().flatten().unwrap_or(false);
    webhook.fetch_custom_user_data = fields.flag("fetch_custom_user_data", problems).ok().flatten().unwrap_or(false);
    webhook.create_user_on_auth = fields.flag("create_user_on_auth", problems).ok().flatten().unwrap_or(false);
    let empty = Map::new();
    let options = fields.object("options", problems).map(|options| options.unwrap_or(&empty));
    let options = options.and_then(|options| {
        let mut inner = Fields::new(fields.file, options);
        inner.path = "options".to_owned();
        let method = read_method(&inner, problems);
        let validation = read_validation(&inner, kind, problems);
        Ok((method?, validation?))
    });
    name?;
    webhook.can_evaluate = can_evaluate?;
    webhook.run_as = run_as?;
    (webhook.method, webhook.validation) = options?;
    Ok(())
}

fn read_method(options: &Fields<'_>, problems: &mut Problems) -> Result<Method, Mistyped> {
    let Some(written) = options.filled_text("httpMethod", problems)? else { return Ok(Method::Any) };
    match written.to_ascii_uppercase().as_str() {
        "ANY" | "*" => Ok(Method::Any),
        verb @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD") => Ok(Method::One(verb.to_owned())),
        _ => {
            options.error("httpMethod", format!("{} is no HTTP method of a webhook, so every call is refused: write GET, POST, PUT, PATCH, DELETE, HEAD or ANY", quoted(written)), problems);
            Err(Mistyped)
        }
    }
}

/// How a validation method is written.
pub(super) enum ValidationMethod {
    None,
    SecretAsQueryParam,
    VerifyPayload,
}

/// Also takes the names that an admin client of the platform uses.
pub(super) fn validation_method(text: &str) -> Option<ValidationMethod> {
    match text {
        "NO_VALIDATION" => Some(ValidationMethod::None),
        "SECRET_AS_QUERY_PARAM" | "REQUIRE_SECRET" => Some(ValidationMethod::SecretAsQueryParam),
        "VERIFY_PAYLOAD" | "VERIFY_PAYLOAD_SIGNATURE" => Some(ValidationMethod::VerifyPayload),
        _ => None,
    }
}

/// `validationMethod` and `secret` (http-surface 1.5.2). The secret is the text itself.
fn read_validation(options: &Fields<'_>, kind: &ServiceKind, problems: &mut Problems) -> Result<Validation, Mistyped> {
    let written = options.filled_text("validationMethod", problems);
    let secret = options.filled_text("secret", problems);
    let as_query_param = options.flag("secretAsQueryParam", problems);
    let (written, secret, as_query_param) = (written?, secret?, as_query_param?);
    let method = match written {
        Some(text) => match validation_method(text) {
            Some(method) => Some(method),
            None => {
                options.error("validationMethod", format!("{} is no validation method, so every call is refused: write NO_VALIDATION, SECRET_AS_QUERY_PARAM or VERIFY_PAYLOAD", quoted(text)), problems);
                return Err(Mistyped);
            }
        },
        None => None,
    };
    let text = secret.map(SecretText::new);
    if *kind == ServiceKind::Github {
        match method {
            None | Some(ValidationMethod::VerifyPayload) => {}
            Some(ValidationMethod::None) if text.is_none() => {}
            Some(ValidationMethod::None | ValidationMethod::SecretAsQueryParam) => {
                options.warning(
                    "validationMethod",
                    "has no effect on a GitHub webhook, whose secret verifies GitHub's signature: remove it",
                    problems,
                );
            }
        }
        if text.is_some() || matches!(method, None | Some(ValidationMethod::None)) {
            return Ok(if text.is_some() { Validation::VerifyPayload(text) } else { Validation::None });
        }
    }
    let validation = match method {
        Some(ValidationMethod::None) => Validation::None,
        Some(ValidationMethod::SecretAsQueryParam) => Validation::SecretAsQueryParam(text),
        Some(ValidationMethod::VerifyPayload) => Validation::VerifyPayload(text),
        None if as_query_param == Some(true) => Validation::SecretAsQueryParam(text),
        None if text.is_some() => Validation::VerifyPayload(text),
        None => Validation::None,
    };
    if matches!(validation, Validation::SecretAsQueryParam(None) | Validation::VerifyPayload(None)) {
        options.error("secret", "is missing or empty, so every call is refused: write the secret's text, or NO_VALIDATION as validationMethod", problems);
    }
    Ok(validation)
}
