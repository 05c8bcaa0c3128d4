//! App directories as tables: files in, app and problems out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    App, Layout, Level, LoadBounds, LoadError, LoadOptions, Method, ReturnType, RunAs, SecretText, ServiceKind,
    Validation, ValueContent,
};

const V2: (&str, &str) =
    ("realm_config.json", r#"{"config_version": 20210101, "app_id": "myapp-abcde", "name": "myapp"}"#);
const V1: (&str, &str) =
    ("stitch.json", r#"{"config_version": 20180301, "app_id": "old-abcde", "name": "old", "security": {}}"#);

fn write(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

fn load_with(files: &[(&str, &str)], options: &LoadOptions) -> App {
    App::load(write(files).path(), options).unwrap()
}

fn load(files: &[(&str, &str)]) -> App {
    load_with(files, &LoadOptions::default())
}

fn with<'a>(root: (&'a str, &'a str), files: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![root];
    all.extend_from_slice(files);
    all
}

fn problems(app: &App) -> Vec<String> {
    app.problems.iter().map(ToString::to_string).collect()
}

/// The problems of an app are exactly these, compared up to the advice after the last colon when `expected` has none.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) -> App {
    let app = load(files);
    assert_problems(&app, expected);
    app
}

#[track_caller]
fn assert_problems(app: &App, expected: &[&str]) {
    let found = problems(app);
    let matches = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected));
    assert!(matches, "found {found:#?}\nexpected {expected:#?}");
    for problem in &found {
        let parts: Vec<&str> = problem.split(": ").collect();
        assert!(parts.len() >= 4, "no advice in {problem:?}");
    }
}

fn operator(secrets: &[(&str, &str)]) -> LoadOptions {
    let secrets = secrets.iter().map(|(name, text)| ((*name).to_owned(), SecretText::new(*text))).collect();
    LoadOptions { secrets, ..LoadOptions::default() }
}

#[test]
fn v2_with_everything() {
    let app = load_with(
        &[
            V2,
            (
                "auth/providers.json",
                r#"{"local-userpass": {"name": "local-userpass", "type": "local-userpass", "config": {"autoConfirm": true}, "disabled": false}, "api-key": {"name": "api-key", "type": "api-key", "disabled": true}}"#,
            ),
            (
                "auth/custom_user_data.json",
                r#"{"enabled": true, "mongo_service_name": "mongodb-atlas", "database_name": "db", "collection_name": "users", "user_id_field": "uid"}"#,
            ),
            (
                "data_sources/mongodb-atlas/config.json",
                r#"{"name": "mongodb-atlas", "type": "mongodb-atlas", "config": {"clusterName": "Cluster0", "readPreference": "primary"}, "version": 1}"#,
            ),
            ("data_sources/mongodb-atlas/default_rule.json", r#"{"roles": []}"#),
            (
                "data_sources/mongodb-atlas/db/users/rules.json",
                r#"{"database": "db", "collection": "users", "roles": []}"#,
            ),
            ("data_sources/mongodb-atlas/db/users/schema.json", r#"{}"#),
            ("data_sources/mongodb-atlas/db/users/relationships.json", r#"{}"#),
            ("environments/no-environment.json", r#"{"values": {"base": "https://a.example"}}"#),
            (
                "functions/config.json",
                r#"[{"name": "echo", "private": false, "run_as_system": true}, {"name": "a/b", "can_evaluate": {"%%user.id": "x"}, "run_as_user_id": "u1"}]"#,
            ),
            ("functions/echo.js", "exports = () => 1;"),
            ("functions/a/b.js", "exports = () => 2;"),
            ("functions/unlisted.js", "exports = () => 3;"),
            ("functions/node_modules/x/index.js", "no"),
            ("functions/.DS_Store", "\u{0}"),
            (
                "http_endpoints/config.json",
                r#"[{"route": "/echo", "http_method": "GET", "function_name": "echo", "validation_method": "SECRET_AS_QUERY_PARAM", "secret_name": "s", "respond_result": true, "return_type": "JSON"},
                {"route": "/echo", "http_method": "*", "function_name": "a/b", "validation_method": "NO_VALIDATION", "disabled": true}]"#,
            ),
            ("http_endpoints/svc/config.json", r#"{"name": "svc", "type": "http", "config": {}, "version": 1}"#),
            ("http_endpoints/svc/rules/r.json", r#"{"name": "r", "actions": ["get"], "when": {}}"#),
            (
                "http_endpoints/svc/incoming_webhooks/hook/config.json",
                r#"{"name": "hook", "respond_result": true, "options": {"httpMethod": "POST", "validationMethod": "VERIFY_PAYLOAD", "secret": "12345"}}"#,
            ),
            ("http_endpoints/svc/incoming_webhooks/hook/source.js", "exports = () => 4;"),
            (
                "services/texting/config.json",
                r#"{"name": "texting", "type": "twilio", "config": {"sid": "AC"}, "secret_config": {"auth_token": "tw"}}"#,
            ),
            ("values/v.json", r#"{"name": "v", "value": [1]}"#),
            ("values/w.json", r#"{"name": "w", "value": "s", "from_secret": true}"#),
        ],
        &operator(&[("s", "text"), ("tw", "token")]),
    );
    assert_problems(&app, &[]);
    assert_eq!(
        (app.name.as_str(), app.app_id.as_str(), app.layout, app.config_version),
        ("myapp", "myapp-abcde", Layout::V2, Some(20_210_101))
    );
    assert_eq!((app.location.as_str(), app.deployment_model.as_str()), ("US-VA", "GLOBAL"));
    let names: Vec<&str> = app.functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!(names, ["echo", "a/b", "unlisted"]);
    assert_eq!(app.function("echo").unwrap().run_as, RunAs::System);
    assert_eq!(app.function("a/b").unwrap().run_as, RunAs::UserId("u1".to_owned()));
    assert_eq!(app.function("a/b").unwrap().file, Path::new("functions/a/b.js"));
    assert_eq!(app.function("unlisted").unwrap().run_as, RunAs::Caller);
    let get = app.endpoint("/echo", "GET").unwrap();
    assert!(matches!(&get.validation, Validation::SecretAsQueryParam(Some(text)) if text.expose() == "text"));
    assert_eq!((get.return_type, get.respond_result, get.servable), (ReturnType::Json, true, true));
    assert!(app.endpoint("/echo", "PUT").unwrap().disabled);
    assert!(app.endpoint("/ech", "GET").is_none());
    let service = app.service("svc").unwrap();
    let hook = &service.webhooks[0];
    assert_eq!(
        (hook.method.clone(), hook.run_as.clone(), hook.servable),
        (Method::One("POST".to_owned()), RunAs::System, true)
    );
    assert!(matches!(&hook.validation, Validation::VerifyPayload(Some(text)) if text.expose() == "12345"));
    assert_eq!(service.rules[0].when, json!(true));
    assert_eq!(app.service_secret(app.service("texting").unwrap(), "auth_token").unwrap().expose(), "token");
    assert_eq!(app.environment.values["base"], "https://a.example");
    assert_eq!(app.data_sources[0].collections.len(), 1);
    assert!(!app.data_sources[0].collections[0].broken);
    assert_eq!(app.custom_user_data.as_ref().unwrap().user_id_field, "uid");
    assert!(matches!(&app.value("w").unwrap().content, ValueContent::FromSecret(name) if name == "s"));
    assert!(!app.auth_provider("local-userpass").unwrap().disabled);
}

#[test]
fn v1_with_everything() {
    let app = check(
        &[
            (
                "config.json",
                r#"{"config_version": 20200603, "app_id": "old-abcde", "name": "old", "environment": "none", "location": "DE-FF",
                "security": {"allowed_request_origins": ["https://a.example"]},
                "custom_user_data_config": {"enabled": true, "mongo_service_id": "5f", "database_name": "db", "collection_name": "c", "user_id_field": "u"}}"#,
            ),
            (
                "secrets.json",
                r#"{"auth_providers": {"custom-token": {"signingKeys": "0123456789012345678901234567890123"}}, "services": {"texting": {"auth_token": "t"}}}"#,
            ),
            (
                "auth_providers/custom-token.json",
                r#"{"id": "1", "name": "custom-token", "type": "custom-token", "disabled": false}"#,
            ),
            ("auth_providers/anon-user.json", r#"{"name": "anon-user", "type": "anon-user", "disabled": true}"#),
            ("functions/f/config.json", r#"{"id": "1", "name": "f", "private": true, "can_evaluate": {}}"#),
            ("functions/f/source.js", "exports = () => 1;"),
            ("functions/f/source.test.js", "test"),
            (
                "services/mongodb-atlas/config.json",
                r#"{"id": "5f", "name": "mongodb-atlas", "type": "mongodb-atlas", "config": {"clusterName": "c"}}"#,
            ),
            (
                "services/mongodb-atlas/rules/db.c.d.json",
                r#"{"id": "1", "database": "db", "collection": "c.d", "roles": [], "schema": {"properties": {}}}"#,
            ),
            ("services/texting/config.json", r#"{"name": "texting", "type": "twilio", "config": {"sid": "AC"}}"#),
            (
                "services/texting/incoming_webhooks/in/config.json",
                r#"{"name": "in", "run_as_user_id": "", "respond_result": false}"#,
            ),
            ("services/texting/incoming_webhooks/in/source.js", "exports = () => 1;"),
            ("triggers/.keep", ""),
        ],
        &[],
    );
    assert_eq!(
        (app.layout, app.root_file.as_str(), app.location.as_str(), app.environment.tag.as_str()),
        (Layout::V1, "config.json", "DE-FF", "")
    );
    assert_eq!(app.allowed_request_origins, ["https://a.example"]);
    assert_eq!(app.functions.len(), 1);
    assert!(app.function("f").unwrap().private);
    assert_eq!(app.function("f").unwrap().can_evaluate, None);
    assert_eq!(app.data_sources[0].name, "mongodb-atlas");
    assert_eq!(app.data_sources[0].collections[0].collection, "c.d");
    assert!(app.data_sources[0].collections[0].schema.is_some());
    assert_eq!(app.custom_user_data.as_ref().unwrap().service, "mongodb-atlas");
    let hook = &app.service("texting").unwrap().webhooks[0];
    assert_eq!((hook.run_as.clone(), hook.method.clone(), hook.servable), (RunAs::System, Method::Any, true));
    assert!(matches!(hook.validation, Validation::None));
    assert_eq!(app.service_secret(app.service("texting").unwrap(), "auth_token").unwrap().expose(), "t");
    assert_eq!(app.provider_secrets(app.auth_provider("custom-token").unwrap(), "signingKeys").len(), 1);
}

#[test]
fn both_layouts_in_one_directory() {
    let hook = r#"{"name": "hook"}"#;
    let service = r#"{"name": "svc", "type": "http"}"#;
    let app = check(
        &with(
            V2,
            &[
                ("functions/old/config.json", r#"{"name": "old"}"#),
                ("functions/old/source.js", "1"),
                ("functions/new.js", "1"),
                ("services/plain/config.json", r#"{"name": "plain", "type": "http"}"#),
                ("services/plain/incoming_webhooks/hook/config.json", hook),
                ("services/plain/incoming_webhooks/hook/source.js", "1"),
                ("http_endpoints/svc/config.json", service),
                ("http_endpoints/svc/hook/config.json", hook),
                ("http_endpoints/svc/hook/source.js", "1"),
                ("services/svc/config.json", service),
                (
                    "https_endpoints/config.json",
                    r#"[{"route": "/a", "http_method": "any", "function_name": "old", "validation_method": "NO_VALIDATION"}]"#,
                ),
                ("auth_providers/api-key.json", r#"{"name": "api-key", "type": "api-key", "disabled": false}"#),
                ("auth/providers.json", r#"{"api-key": {"name": "api-key", "type": "api-key", "disabled": true}}"#),
            ],
        ),
        &[
            r#"error: auth_providers/api-key.json: type: the provider "api-key" is defined twice, here and in auth/providers.json, which counts"#,
            r#"error: services/svc/config.json: name: the service "svc" is defined twice, here and in http_endpoints/svc/config.json, which counts"#,
        ],
    );
    assert_eq!(app.functions.len(), 2);
    assert_eq!(app.services.len(), 2);
    assert!(app.services.iter().all(|service| service.webhooks.len() == 1));
    assert_eq!(app.endpoints[0].method, Method::Any);
    assert!(app.auth_provider("api-key").unwrap().disabled);
}

#[test]
fn root_files() {
    // D2: the first valid one in our order; D4: the others are named.
    let app = check(
        &[
            ("stitch.json", V1.1),
            ("realm_config.json", V2.1),
            ("root_config.json", r#"{"name": "newer"}"#),
            ("config.json", r#"{"some": "tool's own"}"#),
        ],
        &[
            "warning: realm_config.json: is a second root file and has no effect, because root_config.json is used",
            "warning: stitch.json: is a second root file and has no effect, because root_config.json is used",
        ],
    );
    assert_eq!((app.name.as_str(), app.app_id.as_str(), app.config_version), ("newer", "myapp-abcde", None));

    let app =
        check(&[("root_config.json", r#"{"name": "n"}"#), (".mdb/meta.json", r#"{"client_app_id": "n-12345"}"#)], &[]);
    assert_eq!(app.app_id, "n-12345");
    let app = check(&[("root_config.json", r#"{"name": "n"}"#), (".mdb/meta.json", "broken")], &[]);
    assert_eq!(app.app_id, "n");
    let options = LoadOptions { app_id: Some("mine".to_owned()), ..LoadOptions::default() };
    assert_eq!(load_with(&[V2], &options).app_id, "mine");

    check(
        &[V2, ("root_config.json", "{\n  \"name\": }")],
        &["error: root_config.json: 2:11: is no JSON: expected value: correct it there (realm_config.json is used)"],
    );
    let app = check(
        &[(
            "realm_config.json",
            r#"{"config_version": 20210101, "name": "a b", "location": 7, "allowed_request_origins": ["a.example", 1, "https://b.example/"], "environment": "live"}"#,
        )],
        &[
            r#"error: realm_config.json: environment: "live" is no environment"#,
            r#"warning: realm_config.json: name: "a b" is not 1 to 57"#,
            "error: realm_config.json: location: is a number here, which has no meaning",
            "error: realm_config.json: allowed_request_origins[1]: is a number here",
            r#"warning: realm_config.json: allowed_request_origins[0]: "a.example" matches no Origin header"#,
            r#"warning: realm_config.json: allowed_request_origins[1]: "https://b.example/" matches no Origin header"#,
        ],
    );
    assert_eq!(app.location, "US-VA");
    let app = load(&[(
        "realm_config.json",
        r#"{"config_version": 20210101, "name": "a", "allowed_request_origins": "https://a.example"}"#,
    )]);
    assert_eq!(app.allowed_request_origins.len(), 1, "a list that cannot be read must not allow every origin");
}

#[test]
fn what_cannot_be_served_at_all() {
    let fails = |files: &[(&str, &str)]| App::load(write(files).path(), &LoadOptions::default()).unwrap_err();
    // WH-05
    let error = fails(&[("stitch.json", r#"{"config_version": 19990101, "name": "x"}"#)]);
    assert!(
        matches!(&error, LoadError::Version { file, found } if file.ends_with("stitch.json") && found == "19990101")
    );
    assert!(error.to_string().contains("stitch.json: config_version: 19990101"), "{error}");
    let error = fails(&[("readme.md", "")]);
    assert!(
        error.to_string().contains("none of root_config.json, realm_config.json, config.json and stitch.json"),
        "{error}"
    );
    let error = fails(&[
        ("stitch.json", "{\"config_version\": 20180301,\n}"),
        ("realm_config.json", "[]"),
        ("root_config.json", r#"{"name": 1}"#),
    ]);
    for reason in [
        "stitch.json: 2:1: is no JSON: trailing comma",
        "realm_config.json: holds an array",
        "root_config.json: config_version: is missing",
    ] {
        assert!(error.to_string().contains(reason), "{error}");
    }
    for version in ["0", "\"20210101\"", "1.5", "{}"] {
        let text = format!(r#"{{"config_version": {version}, "name": "x"}}"#);
        assert!(matches!(fails(&[("realm_config.json", &text)]), LoadError::NoRootFile { .. }), "{version}");
    }
    let directory = write(&[("file", "")]);
    for path in [directory.path().join("absent"), directory.path().join("file")] {
        assert!(matches!(App::load(&path, &LoadOptions::default()), Err(LoadError::Directory { .. })));
    }
}

#[test]
fn webhook_configs() {
    // config.json of the hook, expected problems after the file name, and what is known about the hook then.
    let hook = |config: &str| {
        load(&with(
            V2,
            &[
                ("http_endpoints/svc/config.json", r#"{"name": "svc", "type": "http"}"#),
                ("http_endpoints/svc/incoming_webhooks/hook/config.json", config),
                ("http_endpoints/svc/incoming_webhooks/hook/source.js", "exports = () => 1;"),
            ],
        ))
    };
    let cases: &[(&str, &str, bool, &[&str])] = &[
        (r#"{"name": "hook"}"#, "ANY none System", true, &[]),
        (r#"{"name": "hook", "options": null, "can_evaluate": null, "unknown": 1}"#, "ANY none System", true, &[]),
        (r#"{"name": "hook", "options": {"httpMethod": "head"}}"#, "HEAD none System", true, &[]),
        (
            r#"{"name": "hook", "options": {"httpMethod": "*", "validationMethod": "REQUIRE_SECRET", "secret": "x"}}"#,
            "ANY query(set) System",
            true,
            &[],
        ),
        (
            r#"{"name": "hook", "options": {"validationMethod": "VERIFY_PAYLOAD_SIGNATURE", "secret": "x"}}"#,
            "ANY signature(set) System",
            true,
            &[],
        ),
        (
            r#"{"name": "hook", "options": {"secret": "x", "secretAsQueryParam": true}}"#,
            "ANY query(set) System",
            true,
            &[],
        ),
        (
            r#"{"name": "hook", "options": {"secret": "x", "secretAsQueryParam": false}}"#,
            "ANY signature(set) System",
            true,
            &[],
        ),
        (r#"{"name": "hook", "options": {"secret": "x"}}"#, "ANY signature(set) System", true, &[]),
        (
            r#"{"name": "hook", "options": {"secret": "x", "validationMethod": "NO_VALIDATION"}}"#,
            "ANY none System",
            true,
            &[],
        ),
        (r#"{"name": "hook", "options": {"secret": ""}}"#, "ANY none System", true, &[]),
        (
            r#"{"name": "hook", "options": {"secretAsQueryParam": true}}"#,
            "ANY query(unset) System",
            true,
            &["error: options.secret: is missing or empty, so every call is refused"],
        ),
        (
            r#"{"name": "hook", "options": {"validationMethod": "VERIFY_PAYLOAD", "secret": ""}}"#,
            "ANY signature(unset) System",
            true,
            &["error: options.secret: is missing or empty"],
        ),
        (
            r#"{"name": "hook", "options": {"validationMethod": "NONE"}}"#,
            "",
            false,
            &[r#"error: options.validationMethod: "NONE" is no validation method"#],
        ),
        (
            r#"{"name": "hook", "options": {"httpMethod": "FETCH", "validationMethod": 1}}"#,
            "",
            false,
            &[
                r#"error: options.httpMethod: "FETCH" is no HTTP method"#,
                "error: options.validationMethod: is a number",
            ],
        ),
        (r#"{"name": "hook", "options": []}"#, "", false, &["error: options: is an array"]),
        (r#"{"name": "hook", "can_evaluate": "yes"}"#, "", false, &["error: can_evaluate: is a string"]),
        (r#"{"name": "hook", "run_as_authed_user": "true"}"#, "", false, &["error: run_as_authed_user: is a string"]),
        (r#"{"name": "hook", "run_as_authed_user": true}"#, "ANY none Caller", true, &[]),
        (r#"{"name": "hook", "run_as_user_id": "u"}"#, r#"ANY none UserId("u")"#, true, &[]),
        (
            r#"{"name": "hook", "run_as_user_id_script_source": "exports = 1"}"#,
            r#"ANY none Script("exports = 1")"#,
            true,
            &[],
        ),
        (
            r#"{"name": "hook", "run_as_system": true, "run_as_authed_user": true, "run_as_user_id": "u", "run_as_user_id_script_source": "s"}"#,
            "ANY none System",
            true,
            &[
                "warning: run_as_authed_user: has no effect beside run_as_system",
                "warning: run_as_user_id: has no effect beside run_as_system",
                "warning: run_as_user_id_script_source: has no effect beside run_as_system",
            ],
        ),
        (
            r#"{"name": "hook", "run_as_user_id": "u", "run_as_user_id_script_source": "s"}"#,
            r#"ANY none UserId("u")"#,
            true,
            &["warning: run_as_user_id_script_source: has no effect beside run_as_user_id"],
        ),
        (r#"{"respond_result": 1, "name": "hook"}"#, "ANY none System", true, &["error: respond_result: is a number"]),
        (r#"{}"#, "ANY none System", true, &[r#"warning: name: is missing, the directory's name "hook" is used"#]),
        (r#"[]"#, "", false, &["error: holds an array where a webhook is an object"]),
        ("", "", false, &["error: is empty where JSON belongs"]),
        ("{", "", false, &["error: 1:1: is no JSON"]),
        (
            r#"{"name": "hook", "respond_result": true, "respond_result": false}"#,
            "ANY none System",
            true,
            &["warning: respond_result: is written twice in one object"],
        ),
        (
            r#"{"name": "hook", "options": {"secret": "%(%%environment.values.none)", "validationMethod": "VERIFY_PAYLOAD"}}"#,
            "",
            false,
            &[r#"error: options.secret: the active environment has no value "none""#],
        ),
    ];
    for (config, expected, servable, expected_problems) in cases {
        let app = hook(config);
        let file = "http_endpoints/svc/incoming_webhooks/hook/config.json";
        let expected_problems: Vec<String> = expected_problems
            .iter()
            .map(|problem| {
                let (level, rest) = problem.split_once(": ").unwrap();
                format!("{level}: {file}: {rest}")
            })
            .collect();
        let expected_problems: Vec<&str> = expected_problems.iter().map(String::as_str).collect();
        assert_problems(&app, &expected_problems);
        let hook = &app.services[0].webhooks[0];
        assert_eq!(hook.servable, *servable, "{config}");
        assert_eq!(app.webhook_problems(hook).len(), app.problems.len(), "{config}");
        if *servable {
            let of = |secret: &Option<SecretText>| if secret.is_some() { "set" } else { "unset" };
            let validation = match &hook.validation {
                Validation::None => "none".to_owned(),
                Validation::SecretAsQueryParam(secret) => format!("query({})", of(secret)),
                Validation::VerifyPayload(secret) => format!("signature({})", of(secret)),
            };
            assert_eq!(format!("{} {validation} {:?}", hook.method, hook.run_as), *expected, "{config}");
        }
    }
}

#[test]
fn webhooks_of_other_services() {
    let app = check(
        &with(
            V2,
            &[
                ("services/gh/config.json", r#"{"name": "gh", "type": "github"}"#),
                ("services/gh/incoming_webhooks/none/config.json", r#"{"name": "none"}"#),
                ("services/gh/incoming_webhooks/none/source.js", "1"),
                (
                    "services/gh/incoming_webhooks/secret/config.json",
                    r#"{"name": "secret", "options": {"secret": "x"}}"#,
                ),
                ("services/gh/incoming_webhooks/secret/source.js", "1"),
                (
                    "services/gh/incoming_webhooks/claims/config.json",
                    r#"{"name": "claims", "options": {"secret": "x", "validationMethod": "NO_VALIDATION"}}"#,
                ),
                ("services/gh/incoming_webhooks/claims/source.js", "1"),
                ("services/odd/config.json", r#"{"name": "odd", "type": "fax"}"#),
                ("services/odd/incoming_webhooks/hook/config.json", r#"{"name": "hook"}"#),
                ("services/odd/incoming_webhooks/hook/source.js", "1"),
                ("services/unknown/incoming_webhooks/hook/config.json", r#"{"name": "hook"}"#),
                ("services/unknown/incoming_webhooks/hook/source.js", "1"),
                ("services/bare/notes.txt", ""),
                ("services/broken/config.json", "{"),
                ("services/broken/incoming_webhooks/hook/config.json", r#"{"name": "hook"}"#),
                ("services/broken/incoming_webhooks/hook/source.js", "1"),
            ],
        ),
        &[
            "warning: services/bare/config.json: is missing, and the directory holds no service without it",
            "error: services/broken/config.json: 1:1: is no JSON",
            "warning: services/gh/incoming_webhooks/claims/config.json: options.validationMethod: has no effect on a GitHub webhook",
            r#"warning: services/odd/config.json: type: "fax" is no known type"#,
            r#"warning: services/unknown/config.json: is missing, so the directory counts as an HTTP service "unknown""#,
        ],
    );
    let validation = |name: &str| {
        let hooks = &app.service("gh").unwrap().webhooks;
        format!("{:?}", hooks.iter().find(|hook| hook.name == name).unwrap().validation)
    };
    assert_eq!(validation("none"), "None");
    assert_eq!(validation("secret"), "VerifyPayload(Some(SecretText(…)))");
    assert_eq!(validation("claims"), "VerifyPayload(Some(SecretText(…)))");
    assert_eq!(app.service("odd").unwrap().kind, ServiceKind::Other("fax".to_owned()));
    assert!(app.services.iter().flat_map(|service| &service.webhooks).all(|hook| hook.servable));
    assert_eq!(app.services.len(), 4);
}

#[test]
fn names_files_and_folders_that_disagree() {
    // WH-84, WH-89
    let app = check(
        &with(
            V2,
            &[
                ("http_endpoints/folder/config.json", r#"{"name": "svc", "type": "http"}"#),
                ("http_endpoints/folder/incoming_webhooks/webhook0/config.json", r#"{"name": "sendCsv"}"#),
                ("http_endpoints/folder/incoming_webhooks/webhook0/source.js", "1"),
                ("http_endpoints/folder/incoming_webhooks/zz/config.json", r#"{"name": "sendCsv"}"#),
                ("http_endpoints/folder/incoming_webhooks/zz/source.js", "1"),
                ("http_endpoints/folder/incoming_webhooks/nosource/config.json", r#"{"name": "nosource"}"#),
                ("http_endpoints/folder/incoming_webhooks/noconfig/source.js", "1"),
                ("http_endpoints/folder/incoming_webhooks/nothing/x", "1"),
                ("http_endpoints/folder/incoming_webhooks/.DS_Store", ""),
                ("http_endpoints/config.json~", "backup"),
                ("values/v.json", r#"{"name": "other", "value": true}"#),
                ("values/.v.json.swp", ""),
                ("data_sources/d/config.json", r#"{"name": "Cluster0", "type": "mongodb-atlas"}"#),
            ],
        ),
        &[
            r#"warning: data_sources/d/config.json: name: "Cluster0" differs from the directory's name "d", and counts"#,
            r#"warning: http_endpoints/folder/config.json: name: "svc" differs from the directory's name "folder", and counts"#,
            "error: http_endpoints/folder/incoming_webhooks/noconfig/config.json: is missing, so it is unknown who may call the webhook, and every call is refused",
            "warning: http_endpoints/folder/incoming_webhooks/nosource/source.js: is missing, so calling the webhook fails with FunctionNotFound",
            "warning: http_endpoints/folder/incoming_webhooks/nothing/config.json: is missing, and source.js too",
            r#"warning: http_endpoints/folder/incoming_webhooks/webhook0/config.json: name: "sendCsv" differs from the directory's name "webhook0", and is the one in the URL"#,
            r#"warning: http_endpoints/folder/incoming_webhooks/zz/config.json: name: "sendCsv" differs"#,
            r#"error: http_endpoints/folder/incoming_webhooks/zz/config.json: name: the webhook "sendCsv" is defined twice, here and in http_endpoints/folder/incoming_webhooks/webhook0/config.json, which counts"#,
            r#"warning: values/v.json: name: "other" differs from the file's name "v", and counts"#,
        ],
    );
    let hooks = &app.service("svc").unwrap().webhooks;
    let servable: BTreeMap<&str, (bool, bool)> =
        hooks.iter().map(|hook| (hook.name.as_str(), (hook.servable, hook.source.is_some()))).collect();
    assert_eq!(
        servable,
        BTreeMap::from([("noconfig", (false, true)), ("nosource", (true, false)), ("sendCsv", (true, true))])
    );
    assert!(app.value("other").is_some());
    assert!(app.data_source("Cluster0").is_some());
}

#[test]
fn endpoint_lists() {
    let app = check(
        &with(
            V2,
            &[
                ("functions/config.json", r#"[{"name": "f"}, {"name": "gone"}]"#),
                ("functions/f.js", "1"),
                (
                    "http_endpoints/config.json",
                    r#"[{"route": "/ok", "http_method": "GET", "function_name": "f", "verification_method": "NO_VALIDATION"},
                        {"route": "/ok", "http_method": "GET", "function_name": "f"},
                        {"route": "bad", "http_method": "GET", "function_name": "f"},
                        {"route": "/a", "http_method": "HEAD", "function_name": "f"},
                        {"route": "/b", "function_name": "f"},
                        {"route": "/c", "http_method": "*"},
                        {"route": "/d", "http_method": "*", "function_name": "none"},
                        {"route": "/e", "http_method": "*", "function_name": "gone"},
                        {"route": "/f", "http_method": "*", "function_name": "f", "validation_method": "CHECK"},
                        {"route": "/g", "http_method": "*", "function_name": "f", "validation_method": "VERIFY_PAYLOAD"},
                        {"route": "/h", "http_method": "*", "function_name": "f", "validation_method": "VERIFY_PAYLOAD", "secret_name": "s"},
                        {"route": "/i", "http_method": "*", "function_name": "f", "secret_name": "s"},
                        {"route": "/j", "http_method": "*", "function_name": "f", "return_type": "XML", "can_evaluate": {"%%user.id": "1"}},
                        {"route": "/k", "http_method": "*", "function_name": "none", "disabled": true, "validation_method": "VERIFY_PAYLOAD", "secret_name": "s"},
                        {"route": "/l", "http_method": "*", "function_name": "f", "disabled": "no"},
                        7,
                        {"http_method": "GET"}]"#,
                ),
                ("https_endpoints/config.json", r#"{"route": "/x"}"#),
            ],
        ),
        &[
            r#"warning: functions/config.json: [1].name: function "gone": there is no readable functions/gone.js"#,
            r#"error: http_endpoints/config.json: [1].route: GET "/ok" is defined twice, here and in http_endpoints/config.json [0], which counts"#,
            r#"error: http_endpoints/config.json: [2].route: endpoint "bad": does not start with /"#,
            r#"error: http_endpoints/config.json: [3].http_method: endpoint "/a": "HEAD" is no HTTP method of an endpoint"#,
            r#"error: http_endpoints/config.json: [4].http_method: endpoint "/b": is missing"#,
            r#"error: http_endpoints/config.json: [5].function_name: endpoint "/c": is missing"#,
            r#"error: http_endpoints/config.json: [8].validation_method: endpoint "/f": "CHECK" is no validation method"#,
            r#"error: http_endpoints/config.json: [9].secret_name: endpoint "/g": is missing, so every call is refused"#,
            r#"error: http_endpoints/config.json: [10].secret_name: endpoint "/h": the Secret "s" has no text, so every call is refused"#,
            r#"error: http_endpoints/config.json: [11].validation_method: endpoint "/i": is missing although secret_name names a Secret"#,
            r#"error: http_endpoints/config.json: [12].return_type: endpoint "/j": "XML" is no return type"#,
            r#"error: http_endpoints/config.json: [14].disabled: endpoint "/l": is a string"#,
            "error: http_endpoints/config.json: [15]: is a number where an endpoint is an object",
            "error: http_endpoints/config.json: [16].route: is missing",
            r#"error: http_endpoints/config.json: [6].function_name: endpoint "/d": there is no function "none""#,
            r#"error: http_endpoints/config.json: [7].function_name: endpoint "/e": the function "gone" has no readable source"#,
            "error: https_endpoints/config.json: holds an object where the list of endpoints is an array",
        ],
    );
    let servable: Vec<&str> =
        app.endpoints.iter().filter(|endpoint| endpoint.servable).map(|endpoint| endpoint.route.as_str()).collect();
    assert_eq!(servable, ["/ok", "/d", "/e", "/g", "/h", "/j", "/k"]);
    let find = |route: &str| app.endpoints.iter().find(|endpoint| endpoint.route == route).unwrap();
    assert!(matches!(find("/g").validation, Validation::VerifyPayload(None)));
    assert!(find("/j").can_evaluate.is_some());
    let fields: Vec<&str> = app.endpoint_problems(find("/h")).iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["[10].secret_name"]);
    // `[1]` is no beginning of `[10]`.
    assert_eq!(app.endpoint_problems(find("/ok")).len(), 0);
}

#[test]
fn function_settings() {
    let app = check(
        &with(
            V2,
            &[
                (
                    "functions/config.json",
                    r#"[{"name": "both", "run_as_user_id": "u", "run_as_user_id_script_source": "s"},
                        {"name": "system", "run_as_system": true, "run_as_user_id": "u"},
                        {"name": "refused", "can_evaluate": 1},
                        {"name": "quiet", "disable_arg_logs": 1, "private": null},
                        {"name": "../../etc/passwd"},
                        {"private": true},
                        "x",
                        {"name": "both"}]"#,
                ),
                ("functions/both.js", "1"),
                ("functions/system.js", "1"),
                ("functions/refused.js", "1"),
                ("functions/quiet.js", "1"),
                ("functions/empty.js", ""),
                ("functions/data/config.json", "[1, 2]"),
                ("functions/package.json", "{}"),
            ],
        ),
        &[
            r#"warning: functions/config.json: [0].run_as_user_id_script_source: function "both": has no effect beside run_as_user_id"#,
            r#"warning: functions/config.json: [1].run_as_user_id: function "system": has no effect beside run_as_system"#,
            r#"error: functions/config.json: [2].can_evaluate: function "refused": is a number"#,
            r#"error: functions/config.json: [3].disable_arg_logs: function "quiet": is a number"#,
            r#"warning: functions/config.json: [4].name: function "../../etc/passwd": there is no readable functions/../../etc/passwd.js"#,
            "error: functions/config.json: [5].name: is missing",
            "error: functions/config.json: [6]: is a string where a function is an object",
            r#"error: functions/config.json: [7].name: function "both": "both" is defined twice, in functions/config.json [7] and in functions/config.json [0], which counts"#,
            "warning: functions/empty.js: is empty, so every call fails",
        ],
    );
    assert_eq!(app.function("both").unwrap().run_as, RunAs::UserId("u".to_owned()));
    assert_eq!(app.function("refused").unwrap().can_evaluate, Some(json!(false)));
    assert!(app.function("quiet").unwrap().disable_arg_logs);
    assert_eq!(app.function("../../etc/passwd").unwrap().source, None);
    assert_eq!(app.function_problems(app.function("both").unwrap()).len(), 1);
    assert_eq!(app.function_problems(app.function("empty").unwrap()).len(), 1);
}

#[test]
fn a_broken_manifest_refuses_instead_of_guessing() {
    for manifest in ["[", "{}", "", "\"x\""] {
        let app = load(&with(V2, &[("functions/config.json", manifest), ("functions/f.js", "1")]));
        let function = app.function("f").unwrap();
        assert_eq!((function.can_evaluate.clone(), function.private), (Some(json!(false)), true), "{manifest}");
        assert_eq!(app.problems.len(), 1, "{manifest}");
        assert_eq!(app.function_problems(function).len(), 1, "{manifest}");
    }
    let app = load(&with(
        V1,
        &[("functions/f/config.json", "nope"), ("functions/f/source.js", "1"), ("functions/g/source.js", "1")],
    ));
    assert_eq!(app.function("f").unwrap().can_evaluate, Some(json!(false)));
    assert_eq!(app.function("g").unwrap().can_evaluate, None);
}

#[test]
fn environments_and_templates() {
    let app = check(
        &[
            (
                "realm_config.json",
                r#"{"config_version": 20210101, "name": "a", "environment": "qa", "app_id": "a-%(%%environment.tag)"}"#,
            ),
            ("environments/no-environment.json", r#"{"values": {"cluster": "wrong"}}"#),
            (
                "environments/qa.json",
                r#"{"values": {"cluster": "QA", "port": 8, "nested": {"a.b": 1, "c": {"d": "deep"}}, "list": [1]}}"#,
            ),
            ("values/v.json", r#"{"name": "v", "value": "%(%%environment.values.cluster)!"}"#),
            ("values/w.json", r#"{"name": "w", "value": "%(%%values.v)"}"#),
            ("values/s.json", r#"{"name": "s", "value": "secret", "from_secret": true}"#),
            (
                "data_sources/m/config.json",
                r#"{"name": "m", "type": "mongodb-atlas", "config": {"clusterName": "%(%%environment.values.cluster)",
                    "text": "x-%(%%environment.values.port)-%(%%values.v)-50%(net)", "whole": "%( %%environment.values.list )", "deep": "%(%%environment.values.nested.c.d)",
                    "missing": "%(%%environment.values.none)", "object": "x%(%%environment.values.list)", "user": "%(%%user.id)", "secret": "%(%%values.s)"}}"#,
            ),
        ],
        &[
            r#"error: data_sources/m/config.json: config.missing: the active environment has no value "none""#,
            r#"error: data_sources/m/config.json: config.object: "%%environment.values.list" is no text"#,
            r#"error: data_sources/m/config.json: config.user: "%%user.id" is not known at load"#,
            r#"error: data_sources/m/config.json: config.secret: the value "s" is made from a Secret"#,
            r#"warning: values/s.json: value: the Secret "secret" has no text, so the value is undefined"#,
            // `%%values` is not expanded inside of values.
            r#"error: values/w.json: value: the app has no value "v""#,
        ],
    );
    assert_eq!((app.app_id.as_str(), app.environment.tag.as_str()), ("a-qa", "qa"));
    let config = &app.data_sources[0].config;
    assert_eq!(config["clusterName"], "QA");
    assert_eq!(config["text"], "x-8-QA!-50%(net)");
    assert_eq!(config["whole"], json!([1]));
    assert_eq!(config["deep"], "deep");
    assert_eq!(config["missing"], "%(%%environment.values.none)");
    assert!(app.value("w").is_none());
}

#[test]
fn broken_rules_deny() {
    let app = check(
        &with(
            V2,
            &[
                (
                    "data_sources/m/config.json",
                    r#"{"name": "m", "type": "mongodb-atlas", "config": {"readPreference": "first"}}"#,
                ),
                ("data_sources/m/default_rule.json", r#"{"roles": {}}"#),
                ("data_sources/m/db/empty/rules.json", ""),
                ("data_sources/m/db/moved/rules.json", r#"{"database": "db", "collection": "elsewhere", "roles": []}"#),
                ("data_sources/m/db/roles/rules.json", r#"{"roles": [1]}"#),
                ("data_sources/m/db/schema/schema.json", "{"),
                ("data_sources/m/db/nothing/x.json", "{}"),
            ],
        ),
        &[
            r#"warning: data_sources/m/config.json: config.readPreference: "first" is no read preference"#,
            "error: data_sources/m/db/empty/rules.json: is empty",
            r#"error: data_sources/m/db/moved/rules.json: collection: names "db.elsewhere" where the directories say "db.moved", so both deny everything"#,
            "warning: data_sources/m/db/nothing/rules.json: is missing",
            "error: data_sources/m/db/roles/rules.json: roles[0]: is a number where an object belongs",
            "error: data_sources/m/db/schema/schema.json: 1:1: is no JSON",
            "error: data_sources/m/default_rule.json: roles: is an object",
        ],
    );
    let source = &app.data_sources[0];
    assert!(source.default_rule.is_none());
    let names: Vec<&str> = source.collections.iter().map(|rules| rules.collection.as_str()).collect();
    assert_eq!(names, ["empty", "elsewhere", "moved", "roles", "schema"]);
    assert!(source.collections.iter().all(|rules| rules.broken));

    let app = check(
        &with(
            V1,
            &[
                ("services/m/config.json", r#"{"name": "m", "type": "mongodb-atlas", "config": {}}"#),
                ("services/m/rules/db.a.json", r#"{"database": "db", "collection": "a", "roles": [{"name": "kept"}]}"#),
                ("services/m/rules/db.old.json", r#"{"database": "db", "collection": "a", "roles": []}"#),
                ("services/m/rules/x.json", r#"{"database": "db", "collection": "b"}"#),
                ("services/m/rules/y.json", r#"{"database": "db", "collection": "b"}"#),
                ("services/m/rules/db.c.json", "broken"),
                ("services/m/rules/nameless.json", "{}"),
            ],
        ),
        &[
            "error: services/m/rules/db.c.json: 1:1: is no JSON",
            r#"warning: services/m/rules/db.old.json: collection: "db.a" differs from the file's name "db.old""#,
            r#"error: services/m/rules/db.old.json: collection: the rules of "db.a" are defined twice, in services/m/rules/db.a.json and in services/m/rules/db.old.json, and services/m/rules/db.a.json counts"#,
            "error: services/m/rules/nameless.json: names no database and collection",
            r#"warning: services/m/rules/x.json: collection: "db.b" differs"#,
            r#"warning: services/m/rules/y.json: collection: "db.b" differs"#,
            r#"error: services/m/rules/y.json: collection: the rules of "db.b" are defined twice, in services/m/rules/x.json and in services/m/rules/y.json, and the collection denies everything"#,
        ],
    );
    let collections: BTreeMap<&str, bool> =
        app.data_sources[0].collections.iter().map(|rules| (rules.collection.as_str(), rules.broken)).collect();
    assert_eq!(collections, BTreeMap::from([("a", false), ("b", true), ("c", true)]));
    assert_eq!(app.data_sources[0].collections[0].rules.as_ref().unwrap()["roles"][0]["name"], "kept");
}

#[test]
fn providers_half_configured() {
    let providers = r#"{
        "local-userpass": {"name": "local-userpass", "type": "local-userpass", "config": {"autoConfirm": false, "runConfirmationFunction": true, "runResetFunction": true, "resetFunctionName": "none"}},
        "custom-token": {"name": "custom-token", "type": "custom-token", "config": {"signingAlgorithm": "none"}, "secret_config": {"signingKeys": ["short", "absent", "good"]}},
        "custom-function": {"name": "custom-function", "type": "custom-function"},
        "oauth2-google": {"name": "oauth2-google", "type": "oauth2-google", "config": {"clientId": "x"}, "secret_config": {"clientSecret": "gone"}},
        "oauth2-apple": {"name": "oauth2-apple", "type": "oauth2-apple", "disabled": true},
        "ldap": {"name": "ldap", "type": "ldap"},
        "api-key": {"name": "api-key", "type": "api-key", "disabled": "no"}
    }"#;
    let long = "k".repeat(32);
    let app =
        load_with(&with(V2, &[("auth/providers.json", providers)]), &operator(&[("short", "k"), ("good", &long)]));
    assert_problems(
        &app,
        &[
            r#"warning: auth/providers.json: ldap.type: "ldap" is no provider"#,
            "error: auth/providers.json: api-key.disabled: is a string",
            "error: auth/providers.json: local-userpass.config.confirmationFunctionName: is missing",
            r#"error: auth/providers.json: local-userpass.config.resetFunctionName: there is no function "none""#,
            r#"error: auth/providers.json: custom-token.config.signingAlgorithm: "none" is not accepted"#,
            r#"error: auth/providers.json: custom-token.secret_config.signingKeys: the text of the Secret "short" is not 32 to 512 characters long"#,
            r#"error: auth/providers.json: custom-token.secret_config.signingKeys: the Secret "absent" has no text"#,
            "error: auth/providers.json: custom-function.config.authFunctionName: is missing",
            r#"error: auth/providers.json: oauth2-google.secret_config.clientSecret: the Secret "gone" has no text"#,
        ],
    );
    assert!(app.auth_provider("api-key").unwrap().disabled);
    assert_eq!(app.provider_secrets(app.auth_provider("custom-token").unwrap(), "signingKeys").len(), 2);
    check(
        &with(
            V2,
            &[(
                "auth/providers.json",
                r#"{"local-userpass": {"type": "local-userpass", "config": {"autoConfirm": true, "runResetFunction": ""}},
        "custom-token": {"type": "custom-token", "config": {"useJWKURI": true, "jwkURI": "https://a.example", "signingAlgorithm": ""}, "secret_config": {"signingKeys": ["unused"]}}}"#,
            )],
        ),
        &[],
    );
    check(
        &with(
            V2,
            &[(
                "auth/custom_user_data.json",
                r#"{"enabled": true, "mongo_service_name": "m", "database_name": "d", "collection_name": "c"}"#,
            )],
        ),
        &["error: auth/custom_user_data.json: user_id_field: is missing although custom user data is enabled"],
    );
}

#[test]
fn values_and_secrets() {
    let long = "x".repeat(501);
    let app = load_with(
        &with(
            V2,
            &[
                ("values/a.json", r#"{"name": "a", "value": null}"#),
                ("values/b.json", r#"{"name": "b"}"#),
                ("values/c.json", r#"{"name": "c", "from_secret": true}"#),
                ("values/d.json", r#"{"name": "d", "from_secret": true, "value": {"a": 1}}"#),
                ("values/e.json", "\u{feff}{\"name\": \"e\", \"value\": 1}"),
                ("values/f.json", r#"{"name": "e", "value": 2}"#),
                ("secrets.json", r#"{"services": {"x": {"y": 1, "z": "zz"}}, "auth_providers": []}"#),
            ],
        ),
        &operator(&[("long", &long), ("__x_z", "operator")]),
    );
    assert_problems(
        &app,
        &[
            r#"warning: .: the text of the Secret "long" is longer than the 500 characters"#,
            "error: secrets.json: auth_providers: is an array",
            "error: secrets.json: services.x.y: is a number",
            "error: values/b.json: value: is missing",
            "error: values/c.json: value: is missing",
            "error: values/d.json: value: is an object",
            r#"warning: values/f.json: name: "e" differs"#,
            r#"error: values/f.json: name: the value "e" is defined twice, here and in values/e.json, which counts"#,
        ],
    );
    assert_eq!(app.values.len(), 2);
    assert_eq!(app.secret("__x_z").unwrap().expose(), "operator");
    assert!(!format!("{app:?}").contains("operator"), "Debug must not show secret texts");
}

#[test]
fn ignored_parts_are_named_once() {
    check(
        &with(
            V2,
            &[
                ("sync/config.json", "{}"),
                ("hosting/files/index.html", ""),
                ("triggers/t.json", "not read"),
                ("graphql/config.json", "{}"),
                ("http_endpoints/data_api_config.json", "{}"),
            ],
        ),
        &[
            "warning: graphql/: is not served by this server and has no effect, nor have hosting/, sync/, triggers/, http_endpoints/data_api_config.json",
        ],
    );
}

#[cfg(unix)]
#[test]
fn links_devices_and_names() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    let outside = write(&[("secret.js", "stolen"), ("deep/config.json", "{}")]);
    let directory = write(&[V2, ("functions/real.js", "1"), ("shared/inner.js", "2"), ("values/keep", "")]);
    let root = directory.path();
    symlink(outside.path().join("secret.js"), root.join("functions/stolen.js")).unwrap();
    symlink(outside.path().join("deep"), root.join("services")).unwrap();
    symlink(root.join("shared/inner.js"), root.join("functions/inner.js")).unwrap();
    symlink("../functions", root.join("functions/loop")).unwrap();
    symlink("nowhere", root.join("functions/dangling.js")).unwrap();
    let _socket = UnixListener::bind(root.join("values/socket.json")).unwrap();
    fs::write(root.join("functions").join(OsStr::from_bytes(b"bad\xff.js")), "1").unwrap();
    fs::write(root.join("functions/latin.js"), b"// caf\xe9").unwrap();
    let app = App::load(root, &LoadOptions::default()).unwrap();
    assert_problems(
        &app,
        &[
            "warning: functions/bad\u{fffd}.js: has a name that is not UTF-8",
            "warning: functions/dangling.js: is a symbolic link to nothing",
            "error: functions/latin.js: is not UTF-8 text, from byte 6 (line 1) on",
            "warning: functions/loop: is a symbolic link to a directory that contains it",
            "warning: functions/stolen.js: is a symbolic link that leads out of the app directory",
            "warning: services: is a symbolic link that leads out of the app directory",
            "warning: values/socket.json: is neither a file nor a directory",
        ],
    );
    let names: Vec<(&str, bool)> =
        app.functions.iter().map(|function| (function.name.as_str(), function.source.is_some())).collect();
    assert_eq!(names, [("inner", true), ("latin", false), ("real", true)]);
}

#[test]
fn bounds_hold() {
    let bounds =
        LoadBounds { file_bytes_max: 200, total_bytes_max: 400, entries_max: 12, depth_max: 4, problems_max: 3 };
    let options = LoadOptions { bounds, ..LoadOptions::default() };
    let large = format!(r#"{{"name": "large", "value": "{}"}}"#, "x".repeat(200));
    let app = load_with(&with(V2, &[("values/large.json", &large)]), &options);
    assert_problems(&app, &["error: values/large.json: is larger than 200 bytes"]);

    let text = "x".repeat(150);
    let app = load_with(
        &with(V2, &[("functions/a.js", &text), ("functions/b.js", &text), ("functions/c.js", &text)]),
        &options,
    );
    assert_problems(
        &app,
        &["error: functions/c.js: was not read, because the files before it have used up the 400 bytes"],
    );

    let files: Vec<(String, String)> =
        (0..20).map(|index| (format!("values/v{index:02}.json"), "{".to_owned())).collect();
    let mut files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(V2);
    let app = load_with(&files, &options);
    assert_eq!(app.problems.len(), 4);
    assert!(
        app.problems[0].to_string().contains("more than 12 files and directories")
            || app.problems[0].to_string().contains("is no JSON")
    );
    assert!(app.problems[3].message.contains("more problems are not listed"));

    let app = load_with(&with(V2, &[("functions/1/2/3/4/5/f.js", "1")]), &options);
    assert_problems(&app, &["error: functions/1/2/3/4: lies more than 4 directories deep"]);
}

/// Every file of it is valid and has an effect.
const WHOLE: &[(&str, &str)] = &[
    (
        "realm_config.json",
        r#"{"config_version": 20210101, "app_id": "a-b", "name": "a", "environment": "qa", "allowed_request_origins": ["https://a.example"]}"#,
    ),
    ("environments/qa.json", r#"{"values": {"k": "v"}}"#),
    (
        "auth/providers.json",
        r#"{"custom-token": {"type": "custom-token", "config": {"signingAlgorithm": "HS256", "audience": ["x"]}, "secret_config": {"signingKeys": ["s"]}, "metadata_fields": [{"name": "a", "required": true}]}}"#,
    ),
    (
        "auth/custom_user_data.json",
        r#"{"enabled": true, "mongo_service_name": "m", "database_name": "d", "collection_name": "c", "user_id_field": "u"}"#,
    ),
    ("auth_providers/api-key.json", r#"{"name": "api-key", "type": "api-key", "disabled": false}"#),
    (
        "data_sources/m/config.json",
        r#"{"name": "m", "type": "mongodb-atlas", "config": {"clusterName": "%(%%environment.values.k)"}}"#,
    ),
    (
        "data_sources/m/d/c/rules.json",
        r#"{"database": "d", "collection": "c", "roles": [{"name": "r", "apply_when": {"%%user.id": "x"}}], "filters": []}"#,
    ),
    ("functions/config.json", r#"[{"name": "f", "private": false, "can_evaluate": {}, "run_as_system": true}]"#),
    ("functions/f.js", "exports = () => require('x');"),
    ("functions/old/config.json", r#"{"name": "old"}"#),
    ("functions/old/source.js", "exports = () => 1;"),
    (
        "http_endpoints/config.json",
        r#"[{"route": "/r", "http_method": "GET", "function_name": "f", "validation_method": "VERIFY_PAYLOAD", "secret_name": "s"}]"#,
    ),
    ("http_endpoints/svc/config.json", r#"{"name": "svc", "type": "http", "config": {}}"#),
    ("http_endpoints/svc/rules/r.json", r#"{"name": "r", "actions": ["get"], "when": {"%%args.url.host": "x"}}"#),
    (
        "http_endpoints/svc/incoming_webhooks/h/config.json",
        r#"{"name": "h", "options": {"httpMethod": "POST", "validationMethod": "SECRET_AS_QUERY_PARAM", "secret": "x"}}"#,
    ),
    ("http_endpoints/svc/incoming_webhooks/h/source.js", "exports = () => 1;"),
    ("services/other/config.json", r#"{"name": "other", "type": "github"}"#),
    ("services/other/incoming_webhooks/g/config.json", r#"{"name": "g", "options": {"secret": "x"}}"#),
    ("services/other/incoming_webhooks/g/source.js", "exports = () => 1;"),
    ("values/v.json", r#"{"name": "v", "value": {"a": [1, 2.5, null]}}"#),
    ("secrets.json", r#"{"services": {"other": {"x": "y"}}}"#),
];

fn whole_options() -> LoadOptions {
    operator(&[("s", "0123456789012345678901234567890123456789")])
}

#[test]
fn one_broken_file_never_hides_another() {
    assert_problems(&load_with(WHOLE, &whole_options()), &[]);
    for (broken, _) in WHOLE.iter().filter(|(name, _)| *name != "realm_config.json" && name.ends_with(".json")) {
        for (other, _) in WHOLE.iter().filter(|(name, _)| *name != "realm_config.json" && name.ends_with(".json")) {
            let files: Vec<(&str, &str)> = WHOLE
                .iter()
                .map(|(name, text)| (*name, if name == broken || name == other { "{\"a\": ,}" } else { *text }))
                .collect();
            let app = load_with(&files, &whole_options());
            for name in [broken, other] {
                let found: Vec<_> = app
                    .problems
                    .iter()
                    .filter(|problem| problem.file == Path::new(name) && problem.field == "1:7")
                    .collect();
                assert_eq!(found.len(), 1, "{name} beside {broken} and {other}: {:#?}", problems(&app));
                assert_eq!(found[0].level, Level::Error);
            }
            // What does not depend on the two is there.
            if !broken.starts_with("services/") && !other.starts_with("services/") {
                assert!(app.service("other").unwrap().webhooks[0].servable);
            }
            assert!(app.function("f").unwrap().source.is_some());
        }
    }
}

/// Pieces that turn valid configuration into invalid or unusual configuration.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "true",
    "\"\"",
    "1e999",
    "-",
    "%(%%environment.values.k)",
    "%(%%",
    "%(",
    "\u{feff}",
    "\u{0}",
    "//",
    "\"name\"",
    "\"name\": 7,",
    "\"options\": {},",
    "\"run_as_system\": true,",
    "{\"$oid\": 1}",
    "99999999999999999999",
    "\u{1f600}",
    "\n",
];

fn mutation() -> impl Strategy<Value = (usize, Vec<(prop::sample::Index, usize, usize)>, Vec<u8>)> {
    let edit = (any::<prop::sample::Index>(), 0..PIECES.len(), 0..12usize);
    (0..WHOLE.len(), prop::collection::vec(edit, 1..6), prop::collection::vec(any::<u8>(), 0..6))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic((file, edits, noise) in mutation()) {
        let directory = write(WHOLE);
        let (name, text) = WHOLE[file];
        let mut bytes = text.as_bytes().to_vec();
        for (at, piece, cut) in edits {
            let at = at.index(bytes.len() + 1);
            let end = bytes.len().min(at + cut);
            bytes.splice(at..end, PIECES[piece].bytes());
        }
        let middle = bytes.len() / 2;
        bytes.splice(middle..middle, noise);
        fs::write(directory.path().join(name), &bytes).unwrap();
        match App::load(directory.path(), &whole_options()) {
            Err(error) => {
                prop_assert_eq!(name, "realm_config.json");
                prop_assert!(!error.to_string().is_empty());
            }
            Ok(app) => {
                for problem in &app.problems {
                    prop_assert!(problem.to_string().split(": ").count() >= 3, "{}", problem);
                }
                // What cannot be parsed is never silently taken as something else.
                if name.ends_with(".json") && serde_json::from_slice::<serde_json::Value>(bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes)).is_err() {
                    prop_assert!(app.problems.iter().any(|problem| problem.file == Path::new(name)), "nothing said about {}", name);
                }
            }
        }
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = super::json::parse(&text);
        for (line, column, _) in crate::require_calls(&text) {
            prop_assert!(line >= 1 && column >= 1);
        }
    }

    #[test]
    fn the_parser_agrees_with_serde_json(text in "[\\[\\]{}:,\"a0-9.eE \\\\ntrufals-]{0,24}") {
        let ours = super::json::parse(&text).map(|(value, _)| value).ok();
        let theirs = serde_json::from_str::<serde_json::Value>(&text).ok();
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn deep_json_is_refused_not_followed(depth in 100..5000usize) {
        let text = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        prop_assert_eq!(super::json::parse(&text).is_ok(), serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }
}
