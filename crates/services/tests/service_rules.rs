//! Rules of services bind rules users, and nobody else (rules-and-users 6, RU-18, RU-96 to RU-99).

use std::sync::Arc;

use app_model::{CallFunction, ServiceRule, User};
use bson::raw::RawDocumentBuf;
use bson::{Document, doc};
use serde_json::{Value as Json, json};
use services::aws::{AwsConfig, AwsKind, AwsService};
use services::http::{HttpClient, HttpService, HttpSettings};
use services::twilio::{TWILIO_URL, TwilioService};
use services::{
    ActionRules, Authority, Lookup, Registry, Run, RunContext, Service, ServiceError, ServiceLimits, SystemContext,
};

const USER: &str = "5f0000000000000000000001";

/// A run of one user, who calls from 10.0.0.7.
struct UserContext {
    user: User,
    request: Json,
}

impl RunContext for UserContext {
    fn user(&self) -> &User {
        &self.user
    }

    fn request(&self) -> &Json {
        &self.request
    }

    fn depth(&self) -> usize {
        0
    }

    fn find_user<'a>(&'a self, id: &'a str) -> Lookup<'a> {
        Box::pin(async move { Err(services::UserRefused::NotFound { id: id.to_owned() }) })
    }

    fn functions_for(&self, user: &Arc<User>) -> Arc<dyn CallFunction> {
        SystemContext::default().functions_for(user)
    }
}

fn rules(rules: Json) -> ActionRules {
    let rules: Vec<ServiceRule> = rules
        .as_array()
        .expect("a list of [actions, when]")
        .iter()
        .map(|rule| ServiceRule {
            name: "rule".to_owned(),
            actions: rule[0]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|name| Some(name.as_str()?.to_owned()))
                .collect(),
            when: rule[1].clone(),
            file: "services/x/rules/rule.json".into(),
        })
        .collect();
    ActionRules::new(&rules)
}

/// Services of every kind under the same rules. Nothing outside is ever reached: each call ends at an address that is
/// restricted, or before.
fn run(given: Json) -> Arc<Run> {
    let client = HttpClient::new(HttpSettings::default()).expect("a client");
    let mut registry = Registry::new(ServiceLimits::default());
    registry.add("http", Service::Http(HttpService::with_rules(client.clone(), rules(given.clone()))));
    let endpoint = TWILIO_URL.replace("https://api.twilio.com", "http://127.0.0.1:1").parse().expect("a URL");
    let twilio =
        TwilioService::new(client.clone(), Some("AC1".into()), Some("token".into()), endpoint, rules(given.clone()));
    registry.add("twilio", Service::Twilio(twilio));
    let config = AwsConfig {
        access_key_id: Some("AKID".to_owned()),
        secret_access_key: Some("secret".to_owned()),
        region: Some("us-east-1".to_owned()),
    };
    let endpoints = services::aws::AwsEndpoints {
        default: Some("http://127.0.0.1:1".parse().expect("a URL")),
        ..Default::default()
    };
    registry.add("aws", Service::Aws(AwsService::new(client, AwsKind::Aws, config, Arc::new(endpoints), rules(given))));
    let user = User::of_id(USER);
    let request = json!({ "remoteIPAddress": "10.0.0.7", "requestHeaders": {} });
    Arc::new(registry).start_run(Arc::new(UserContext { user, request }))
}

async fn call(run: &Run, service: &str, action: &str, arguments: Document, authority: &Authority) -> ServiceError {
    let raw = RawDocumentBuf::try_from(&arguments).expect("test arguments encode");
    run.call(service, action, raw, authority).await.expect_err("nothing outside can be reached")
}

/// Whether a rules user's call got past the rules.
async fn is_allowed(given: Json, service: &str, action: &str, arguments: Document) -> bool {
    let user = Authority::User(USER.to_owned());
    let error = call(&run(given), service, action, arguments, &user).await;
    match error.error_code() {
        "NoMatchingRuleFound" => false,
        "RestrictedHost" => true,
        other => panic!("{service} {action}: {other}: {error}"),
    }
}

fn at(path: &str) -> Document {
    doc! { "url": format!("http://127.0.0.1:1{path}") }
}

#[tokio::test]
async fn everything_is_denied_without_a_rule() {
    for (service, action, arguments) in [
        ("http", "get", at("/")),
        ("twilio", "send", doc! { "message": { "to": "+1", "from": "+2", "body": "hi" } }),
        ("aws", "s3:PutObject", doc! { "input": { "Bucket": "photos", "Key": "k" } }),
    ] {
        assert!(!is_allowed(json!([]), service, action, arguments.clone()).await, "{service}");
        assert!(!is_allowed(json!([[["put"], {}]]), service, action, arguments.clone()).await, "{service}");
        assert!(is_allowed(json!([[[action], {}]]), service, action, arguments.clone()).await, "{service}");
        // System is not bound (Q14).
        let error = call(&run(json!([])), service, action, arguments, &Authority::System).await;
        assert_eq!(error.error_code(), "RestrictedHost", "{service}: {error}");
    }
}

#[tokio::test]
async fn any_rule_that_holds_allows() {
    let yes = json!({ "%%true": true });
    let no = json!({ "%%true": false });
    assert!(is_allowed(json!([[["get"], no], [["get"], yes]]), "http", "get", at("/")).await);
    assert!(!is_allowed(json!([[["get"], no], [["post"], yes]]), "http", "get", at("/")).await);
    // What is no expression never allows, and takes nothing away.
    assert!(!is_allowed(json!([[["get"], { "%%root.a": 1 }]]), "http", "get", at("/")).await);
    assert!(is_allowed(json!([[["get"], { "%%root.a": 1 }], [["get"], {}]]), "http", "get", at("/")).await);
}

#[tokio::test]
async fn wildcards_are_for_one_service_of_aws() {
    let put = doc! { "input": { "Bucket": "photos", "Key": "k", "StreamName": "s" } };
    let any_kinesis = json!([[["kinesis:*"], {}]]);
    assert!(is_allowed(any_kinesis.clone(), "aws", "kinesis:PutRecord", put.clone()).await);
    assert!(!is_allowed(any_kinesis, "aws", "s3:PutObject", put.clone()).await);
    let own_bucket = json!([[["s3:*"], { "%%args.Bucket": "photos" }]]);
    assert!(is_allowed(own_bucket.clone(), "aws", "s3:PutObject", put).await);
    let other = doc! { "input": { "Bucket": "other", "Key": "k" } };
    assert!(!is_allowed(own_bucket, "aws", "s3:PutObject", other).await);
}

#[tokio::test]
async fn rules_see_the_url_that_is_called() {
    let check = async |when: Json, arguments: Document, expected: bool| {
        let allowed = is_allowed(json!([[["post"], when]]), "http", "post", arguments.clone()).await;
        assert_eq!(allowed, expected, "{when} {arguments}");
    };
    let host = json!({ "%%args.url.host": "127.0.0.1:1" });
    check(host.clone(), at("/a"), true).await;
    check(host.clone(), doc! { "scheme": "http", "host": "127.0.0.1:1", "path": "a" }, true).await;
    // RU-98 and its like: a name that merely begins so, credentials and odd notations are seen for what they are.
    check(host.clone(), doc! { "url": "http://127.0.0.1.evil.localhost:1/" }, false).await;
    check(json!({ "%%args.url.host": "good.example" }), doc! { "url": "http://good.example@127.0.0.1:1/" }, false)
        .await;
    check(json!({ "%%args.url.host": "127.0.0.1" }), doc! { "url": "http://2130706433/" }, true).await;
    check(json!({ "%%args.url.host": "localhost" }), doc! { "url": "http://LOCALHOST/" }, true).await;
    check(json!({ "%%args.url": "http://127.0.0.1:1/a" }), at("/a"), true).await;
    check(json!({ "%%args.url": "http://127.0.0.1:1/a" }), at("/b"), false).await;
    check(json!({ "url.scheme": "http", "url.path": "/a" }), at("/a"), true).await;
    check(json!({ "%%args.url.path": "/a" }), at("/b/../a"), true).await;
    let query = json!({ "%%args.url.query.x": "1" });
    check(query.clone(), at("/?x=1"), true).await;
    let mut added = at("/");
    added.insert("query", doc! { "x": ["1"] });
    check(query.clone(), added, true).await;
    check(query, at("/?x=2"), false).await;
}

#[tokio::test]
async fn rules_see_bodies_headers_and_users() {
    let check = async |when: Json, more: Document, expected: bool| {
        let mut arguments = at("/");
        arguments.extend(more);
        let allowed = is_allowed(json!([[["post"], when]]), "http", "post", arguments.clone()).await;
        assert_eq!(allowed, expected, "{when} {arguments}");
    };
    let json_body = doc! { "body": "{\"name\":\"x\",\"n\":5}", "isJson": true };
    // RU-18
    check(json!({ "body.name": { "%exists": 1 } }), json_body.clone(), true).await;
    check(json!({ "body.name": { "%exists": 1 } }), doc! { "body": "name" }, false).await;
    check(json!({ "%%args.body.n": { "%gt": 4 }, "%%args.encodeBodyAsJSON": true }), json_body, true).await;
    check(json!({ "%%args.body": "text" }), doc! { "body": "text" }, true).await;
    let tagged = doc! { "headers": { "x-tag": ["a"] } };
    check(json!({ "%%args.headers.X-Tag": "a" }), tagged.clone(), true).await;
    check(json!({ "%%args.headers.X-Tag": "b" }), tagged, false).await;
    check(json!({ "%%user.id": USER }), doc! {}, true).await;
    check(json!({ "%%user.id": "other" }), doc! {}, false).await;
    check(json!({ "%%request.remoteIPAddress": "10.0.0.7" }), doc! {}, true).await;
    check(json!({ "followRedirects": { "%exists": false } }), doc! { "followRedirects": true }, false).await;
    let message = doc! { "message": { "TO": "+1", "from": "+2", "body": "hi" } };
    let to = json!([[["send"], { "%%args.to": "+1" }]]);
    assert!(is_allowed(to.clone(), "twilio", "send", message).await);
    // The recipient that a rule has seen is the one that is sent.
    let forged = doc! { "message": { "To": "+9", "to": "+1", "from": "+2", "body": "hi" } };
    assert!(!is_allowed(to, "twilio", "send", forged).await);
}
