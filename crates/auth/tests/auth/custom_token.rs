//! Custom tokens: shared keys, public keys, key sets.

use std::sync::atomic::Ordering;

use auth::{AuthError, Credentials};
use bson::doc;
use serde_json::{Value as Json, json};

use crate::fixture::{Issuer, Plan, RsaKey, SHARED_KEY, World, code, shared_token, unsigned, worlds};

fn show(token: impl Into<String>) -> Credentials {
    Credentials::CustomToken(token.into())
}

fn shared(claims: Json) -> Credentials {
    show(shared_token(SHARED_KEY.as_bytes(), json!({ "alg": "HS256", "typ": "JWT" }), claims))
}

/// RU-77.
#[tokio::test]
async fn a_stranger_becomes_a_user_only_where_that_is_wanted() {
    for world in worlds(Plan::default).await {
        let credentials = show(world.token("u1"));
        let error = world.auth.authenticate(&credentials, false, &world.caller()).await.expect_err("nobody");
        assert!(matches!(error, AuthError::UnknownUser), "{error}");
        let created = world.auth.authenticate(&credentials, true, &world.caller()).await.expect("created");
        assert!(created.is_new);
        let known = world.auth.authenticate(&credentials, false, &world.caller()).await.expect("known");
        assert_eq!((known.user.id, known.is_new), (created.user.id, false));
    }
}

/// RU-78, RU-80 and the order of rules-and-users 4.5.
#[tokio::test]
async fn what_is_wrong_with_a_token_is_not_told() {
    let plan = || Plan {
        providers: json!({ "custom-token": {
            "config": { "signingAlgorithm": "HS256", "audience": ["a", "b"] },
            "secret_config": { "signingKeys": ["shared"] },
            "metadata_fields": [
                { "required": true, "name": "profile.email" }, { "name": "x\\.y", "field_name": "xy" },
            ],
        } }),
        ..Plan::default()
    };
    for world in worlds(plan).await {
        let now = world.seconds();
        let good = json!({
            "sub": "u1", "aud": ["b", "a"], "exp": now + 60, "nbf": now, "iat": now, "x.y": 1,
            "profile": { "email": "a@b.c" }, "secret": "s",
        });
        let login = world.log_in(shared(good.clone())).await.expect("let in");
        assert_eq!(login.user.data, doc! { "email": "a@b.c", "xy": 1 });
        let told = &login.user.identities[0].data;
        assert_eq!(told.get_str("sub").expect("a claim"), "u1");
        assert!(told.contains_key("exp") && told.contains_key("aud") && !told.contains_key("secret"), "{told}");
        for (name, value) in [
            ("exp", json!(now)),
            ("exp", json!(null)),
            ("exp", json!((now + 60).to_string())),
            ("nbf", json!(now + 61)),
            ("iat", json!(now + 61)),
            ("aud", json!("a")),
            ("aud", json!(["b"])),
            ("aud", json!(null)),
            ("aud", json!({ "$in": ["a", "b"] })),
            ("sub", json!("")),
            ("sub", json!(null)),
            ("sub", json!(7)),
            ("sub", json!({ "$ne": null })),
            ("profile", json!({})),
            ("profile", json!({ "email": null })),
        ] {
            let mut claims = good.clone();
            claims[name] = value.clone();
            let error = world.log_in(shared(claims)).await.expect_err("refused");
            let seen = (error.error_code(), error.public_message());
            assert_eq!(seen, (Some("AuthError"), "unauthorized".to_owned()), "{name}: {value}");
        }
    }
}

/// RU-79.
#[tokio::test]
async fn one_audience_of_several_may_be_enough() {
    for (is_any_enough, is_let_in) in [(false, false), (true, true)] {
        let plan = || Plan {
            providers: json!({ "custom-token": {
                "config": { "signingAlgorithm": "HS256", "audience": ["a", "b"], "requireAnyAudience": is_any_enough },
                "secret_config": { "signingKeys": ["shared"] },
            } }),
            ..Plan::default()
        };
        for world in worlds(plan).await {
            let claims = json!({ "sub": "u1", "aud": "b", "exp": world.seconds() + 60 });
            assert_eq!(world.log_in(shared(claims)).await.is_ok(), is_let_in);
        }
    }
}

/// ATK-75.
#[tokio::test]
async fn algorithms_cannot_be_confused() {
    let key = RsaKey::issuer();
    let plan = || Plan {
        providers: json!({ "custom-token": {
            "config": { "signingAlgorithm": "RS256" }, "secret_config": { "signingKeys": ["public"] },
        } }),
        secrets: vec![("public", key.public_pem())],
        ..Plan::default()
    };
    for world in worlds(plan).await {
        let claims = json!({ "sub": "u1", "aud": world.client_app_id, "exp": world.seconds() + 60 });
        let header = |algorithm: &str| json!({ "alg": algorithm, "typ": "JWT" });
        world.log_in(show(key.sign(header("RS256"), claims.clone()))).await.expect("let in");
        let pem = key.public_pem();
        let refused = [
            // The public key, which anybody may have, as a shared one.
            shared_token(pem.as_bytes(), header("HS256"), claims.clone()),
            shared_token(pem.trim().as_bytes(), header("HS256"), claims.clone()),
            shared_token(pem.as_bytes(), header("RS256"), claims.clone()),
            shared_token(b"", header("HS256"), claims.clone()),
            format!("{}.", unsigned(&header("none"), &claims)),
            format!("{}.", unsigned(&header("RS256"), &claims)),
            format!("{}.AAAA", unsigned(&header("nOnE"), &claims)),
            key.sign(header("none"), claims.clone()),
            key.sign(header("HS256"), claims.clone()),
            key.sign(header("RS512"), claims.clone()),
            RsaKey::next().sign(header("RS256"), claims.clone()),
            // A key that the token brings along.
            RsaKey::next().sign(
                json!({ "alg": "RS256", "jwk": RsaKey::next().public_jwk("k"), "jku": "https://evil.example/keys" }),
                claims.clone(),
            ),
            key.sign(json!({ "alg": "RS256", "crit": ["b64"], "b64": false }), claims.clone()),
        ];
        for token in refused {
            assert_eq!(code(world.log_in(show(token.clone())).await), "AuthError", "{token}");
        }
    }
}

fn key_set_plan(issuer: &Issuer) -> Plan {
    Plan {
        providers: json!({ "custom-token": {
            "config": { "useJWKURI": true, "jwkURI": format!("{}/keys", issuer.address) },
        } }),
        ..Plan::default()
    }
}

async fn attempt(world: &World, key: &RsaKey, id: &str) -> Result<(), AuthError> {
    let claims = json!({ "sub": "u1", "aud": world.client_app_id, "exp": world.seconds() + 60 });
    world.log_in(show(key.token(id, claims))).await.map(drop)
}

#[tokio::test]
async fn key_sets_are_kept_and_renewed() {
    let issuer = Issuer::start().await;
    let (key, next) = (RsaKey::issuer(), RsaKey::next());
    for world in worlds(|| key_set_plan(&issuer)).await {
        let fetches = || world.net.fetches.load(Ordering::Relaxed);
        issuer.set("/keys", 200, json!({ "keys": [key.public_jwk("one")] }));
        // However many come at once, the issuer is asked once.
        let attempts = futures::future::join_all((0..10).map(|_| attempt(&world, &key, "one"))).await;
        assert!(attempts.iter().all(Result::is_ok), "{attempts:?}");
        assert_eq!(fetches(), 1);
        // Ids that anybody can make up do not make us ask again and again.
        for id in ["two", "../keys", "", "http://127.0.0.1/", "one "] {
            assert_eq!(code(attempt(&world, &next, id).await), "AuthError", "{id}");
        }
        assert_eq!(fetches(), 1);
        assert_eq!(code(attempt(&world, &next, "one").await), "AuthError", "the right id, another key");
        // The issuer replaces its key.
        issuer.set("/keys", 200, json!({ "keys": [key.public_jwk("one"), next.public_jwk("two")] }));
        world.pass(31);
        attempt(&world, &next, "two").await.expect("looked up");
        assert_eq!(fetches(), 2);
        issuer.set("/keys", 200, json!({ "keys": [next.public_jwk("two")] }));
        world.pass(600);
        assert_eq!(code(attempt(&world, &key, "one").await), "AuthError", "withdrawn");
        attempt(&world, &next, "two").await.expect("let in");
    }
}

#[tokio::test]
async fn an_issuer_that_cannot_be_reached_recovers_by_itself() {
    let issuer = Issuer::start().await;
    let key = RsaKey::issuer();
    for world in worlds(|| key_set_plan(&issuer)).await {
        for (status, body) in [(503, json!({})), (200, json!("no set")), (200, json!({ "keys": [] }))] {
            issuer.set("/keys", status, body);
            let error = attempt(&world, &key, "one").await.expect_err("refused");
            assert!(matches!(error, AuthError::ProviderUnavailable { .. }), "{error}");
            let before = world.net.fetches.load(Ordering::Relaxed);
            attempt(&world, &key, "one").await.expect_err("refused");
            assert_eq!(world.net.fetches.load(Ordering::Relaxed), before, "nobody waits for it for a while");
            world.pass(6);
        }
        issuer.set("/keys", 200, json!({ "keys": [key.public_jwk("one")] }));
        attempt(&world, &key, "one").await.expect("let in");
        // What is known is used for an hour while nothing newer can be had, and no longer.
        issuer.set("/keys", 500, json!({}));
        world.pass(700);
        attempt(&world, &key, "one").await.expect("let in");
        world.pass(3_600);
        assert!(attempt(&world, &key, "one").await.is_err());
    }
}

#[tokio::test]
async fn half_configured_providers_refuse() {
    for custom_token in [
        json!({ "config": { "signingAlgorithm": "HS256" } }),
        json!({ "config": { "signingAlgorithm": "HS256" }, "secret_config": { "signingKeys": ["unknown"] } }),
        json!({ "config": { "signingAlgorithm": "HS256" }, "secret_config": { "signingKeys": ["short"] } }),
        json!({ "config": { "signingAlgorithm": "RS256" }, "secret_config": { "signingKeys": ["shared"] } }),
        json!({ "config": { "signingAlgorithm": "none" }, "secret_config": { "signingKeys": ["shared"] } }),
        json!({ "config": { "useJWKURI": true } }),
        json!({ "config": { "useJWKURI": true, "jwkURI": "file:///etc/passwd" } }),
        json!({
            "config": { "signingAlgorithm": "HS256" }, "secret_config": { "signingKeys": ["shared"] },
            "metadata_fields": [{ "required": true }],
        }),
    ] {
        let plan = || Plan {
            providers: json!({ "custom-token": custom_token.clone() }),
            secrets: vec![("shared", SHARED_KEY.to_owned()), ("short", "short".to_owned())],
            ..Plan::default()
        };
        for world in worlds(plan).await {
            let error = world.log_in(show(world.token("u1"))).await.expect_err("refused");
            assert!(matches!(error, AuthError::ProviderUnavailable { .. }), "{custom_token}: {error}");
            assert_eq!(error.public_message(), "authentication via 'custom-token' is not available at present");
        }
    }
}
