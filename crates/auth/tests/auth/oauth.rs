//! Google, Apple and Facebook, played by a loopback server.

use auth::{AuthError, Credentials, FacebookCredentials, GoogleCredentials, OauthEndpoints};
use bson::doc;
use serde_json::{Value as Json, json};

use crate::fixture::{Issuer, Plan, RsaKey, World, code, worlds};

fn plan() -> Plan {
    Plan {
        providers: json!({
            "oauth2-google": {
                "config": { "clientId": "client" }, "secret_config": { "clientSecret": "google" },
                "metadata_fields": [
                    { "required": false, "name": "email" }, { "required": false, "name": "first_name" },
                ],
                "domain_restrictions": ["example.com"],
            },
            "oauth2-apple": { "config": { "clientId": "client" }, "secret_config": { "clientSecret": "google" } },
            "oauth2-facebook": {
                "config": { "clientId": "1234" }, "secret_config": { "clientSecret": "facebook" },
                "metadata_fields": [{ "required": false, "name": "name" }, { "required": false, "name": "picture" }],
            },
        }),
        secrets: vec![("google", "google secret".to_owned()), ("facebook", "facebook secret".to_owned())],
        ..Plan::default()
    }
}

/// The world, with its OAuth providers at the issuer's.
async fn log_in(world: &World, issuer: &Issuer, credentials: Credentials) -> Result<auth::LoggedIn, AuthError> {
    let at = |path: &str| format!("{}{path}", issuer.address);
    let auth = world.with_settings(|settings| {
        settings.oauth = OauthEndpoints {
            google_keys: at("/keys"),
            google_token: at("/token"),
            apple_keys: at("/keys"),
            facebook_keys: at("/keys"),
            facebook_graph: at("/graph"),
        };
    });
    auth.log_in(&credentials, &auth::Device::default(), &world.caller()).await
}

async fn issuer(key: &RsaKey) -> Issuer {
    let issuer = Issuer::start().await;
    issuer.set("/keys", 200, json!({ "keys": [key.public_jwk("one")] }));
    issuer
}

fn google_claims(world: &World) -> Json {
    json!({
        "iss": "https://accounts.google.com", "aud": "client", "sub": "g1", "exp": world.seconds() + 60,
        "email": "a@example.com", "email_verified": true, "given_name": "Ann", "name": "Ann Other",
    })
}

#[tokio::test]
async fn google_id_tokens() {
    let key = RsaKey::issuer();
    let issuer = issuer(&key).await;
    for world in worlds(plan).await {
        let show = |claims| Credentials::Google(GoogleCredentials::IdToken(key.token("one", claims)));
        let login = log_in(&world, &issuer, show(google_claims(&world))).await.expect("let in");
        assert_eq!(login.user.data, doc! { "first_name": "Ann", "email": "a@example.com" });
        assert_eq!(login.user.identities[0].id, "g1");
        for (name, value, expected) in [
            ("iss", json!("https://accounts.google.com.evil.io"), "AuthError"),
            ("iss", json!(null), "AuthError"),
            ("aud", json!("another client"), "AuthError"),
            ("aud", json!(["client", "another"]), "AuthError"),
            ("exp", json!(world.seconds()), "AuthError"),
            ("sub", json!(null), "AuthError"),
            ("email", json!("a@evil.io"), "DomainNotAllowed"),
            ("email", json!(null), "DomainNotAllowed"),
            ("email_verified", json!(false), "DomainNotAllowed"),
        ] {
            let mut claims = google_claims(&world);
            claims[name] = value.clone();
            assert_eq!(code(log_in(&world, &issuer, show(claims)).await), expected, "{name}: {value}");
        }
        let forged = RsaKey::next().token("one", google_claims(&world));
        let forged = Credentials::Google(GoogleCredentials::IdToken(forged));
        assert_eq!(code(log_in(&world, &issuer, forged).await), "AuthError");
    }
}

#[tokio::test]
async fn google_codes_are_exchanged() {
    let key = RsaKey::issuer();
    let issuer = issuer(&key).await;
    for world in worlds(plan).await {
        let show = || Credentials::Google(GoogleCredentials::AuthCode("4/code".to_owned()));
        issuer.set("/token", 200, json!({ "id_token": key.token("one", google_claims(&world)) }));
        let login = log_in(&world, &issuer, show()).await.expect("let in");
        assert_eq!(login.user.identities[0].id, "g1");
        let request = issuer.requests.lock().iter().rfind(|text| text.starts_with("POST /token")).cloned();
        let request = request.expect("a request");
        assert!(request.contains("code=4%2Fcode") && request.contains("client_secret=google+secret"), "{request}");
        issuer.set("/token", 400, json!({ "error": "invalid_grant" }));
        assert_eq!(code(log_in(&world, &issuer, show()).await), "AuthError");
        for (status, body) in [(401, json!({ "error": "invalid_client" })), (500, json!({})), (200, json!({}))] {
            issuer.set("/token", status, body);
            let error = log_in(&world, &issuer, show()).await.expect_err("refused");
            assert!(matches!(error, AuthError::ProviderUnavailable { .. }), "{error}");
        }
    }
}

#[tokio::test]
async fn apple_id_tokens() {
    let key = RsaKey::issuer();
    let issuer = issuer(&key).await;
    for world in worlds(plan).await {
        let claims = json!({
            "iss": "https://appleid.apple.com", "aud": "client", "sub": "a1", "exp": world.seconds() + 60,
            "email": "a@privaterelay.example", "email_verified": "true",
        });
        let show = |claims: &Json| Credentials::Apple(key.token("one", claims.clone()));
        let login = log_in(&world, &issuer, show(&claims)).await.expect("let in");
        assert_eq!(login.user.data, doc! { "email": "a@privaterelay.example" });
        // A token of Google's is not one of Apple's.
        assert_eq!(code(log_in(&world, &issuer, show(&google_claims(&world))).await), "AuthError");
    }
}

#[tokio::test]
async fn facebook_tokens_have_to_be_ours() {
    let key = RsaKey::issuer();
    let issuer = issuer(&key).await;
    for world in worlds(plan).await {
        let show = || Credentials::Facebook(FacebookCredentials::AccessToken("EAA&x=1".to_owned()));
        let good = json!({ "is_valid": true, "app_id": "1234", "user_id": "f1", "expires_at": 0 });
        issuer.set("/graph/debug_token", 200, json!({ "data": good }));
        let picture = json!({ "data": { "url": "https://x.io/p.jpg" } });
        issuer.set("/graph/me", 200, json!({ "id": "f1", "name": "Ann", "picture": picture, "gender": "f" }));
        let login = log_in(&world, &issuer, show()).await.expect("let in");
        assert_eq!(login.user.data, doc! { "name": "Ann", "picture": "https://x.io/p.jpg" });
        assert_eq!(login.user.identities[0].id, "f1");
        let asked = issuer.requests.lock().iter().rfind(|text| text.contains("/debug_token")).cloned();
        let asked = asked.expect("a request");
        assert!(asked.contains("input_token=EAA%26x%3D1 "), "{asked}");
        assert!(asked.contains("Authorization: Bearer 1234|facebook secret"), "{asked}");
        for (name, value) in [
            ("is_valid", json!(false)),
            ("is_valid", json!("true")),
            ("app_id", json!("4321")),
            ("expires_at", json!(world.seconds())),
            ("user_id", json!(null)),
        ] {
            let mut answer = good.clone();
            answer[name] = value.clone();
            issuer.set("/graph/debug_token", 200, json!({ "data": answer }));
            assert_eq!(code(log_in(&world, &issuer, show()).await), "AuthError", "{name}: {value}");
        }
        let claims = json!({
            "iss": "https://www.facebook.com", "aud": "1234", "sub": "f1", "exp": world.seconds() + 60, "name": "Ann",
        });
        let limited = Credentials::Facebook(FacebookCredentials::IdToken(key.token("one", claims)));
        assert_eq!(log_in(&world, &issuer, limited).await.expect("let in").user.id, login.user.id);
    }
}
