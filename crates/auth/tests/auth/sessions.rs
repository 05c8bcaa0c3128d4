//! Sessions: lifetimes, revocation, keys shared by processes.

use auth::{Credentials, Device};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bson::doc;
use serde_json::{Value as Json, json};

use crate::fixture::{Plan, START, World, code, shared_token, unsigned, worlds};

fn claims(token: &str) -> Json {
    let part = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

/// rules-and-users 3.4.
#[tokio::test]
async fn tokens_have_the_claims_that_clients_read() {
    for world in worlds(Plan::default).await {
        let login = world.log_in(Credentials::Anonymous).await.expect("let in");
        let access = claims(&login.tokens.access_token);
        assert_eq!(access["sub"], login.user.id.as_str());
        assert_eq!((access["iat"].as_u64(), access["exp"].as_u64()), (Some(START), Some(START + 1_800)));
        assert_eq!(access["typ"], "access");
        assert_eq!(access["user_data"], json!({}));
        for (name, other) in [("baas_device_id", "stitch_devId"), ("baas_domain_id", "stitch_domainId")] {
            assert!(access[name].is_string() && access[name] == access[other], "{name}");
        }
        let refresh = claims(&login.tokens.refresh_token);
        assert_eq!(refresh["exp"].as_u64(), Some(START + 5_184_000));
        assert_eq!(refresh["typ"], "refresh");
        assert_eq!(refresh["baas_id"], access["iss"]);
        assert_eq!(refresh["baas_identity"]["provider_type"], "anon-user");
        assert_eq!(refresh["baas_device_id"], login.tokens.device_id.as_str());
    }
}

#[tokio::test]
async fn tokens_end() {
    for world in worlds(Plan::default).await {
        let login = world.log_in(Credentials::Anonymous).await.expect("let in");
        let (access, refresh) = (&login.tokens.access_token, &login.tokens.refresh_token);
        world.pass(1_799);
        world.auth.verify_access_token(access).await.expect("still good");
        world.pass(1);
        assert_eq!(code(world.auth.verify_access_token(access).await), "InvalidSession");
        let fresh = world.auth.refresh(refresh).await.expect("a token");
        world.auth.verify_access_token(&fresh).await.expect("good");
        world.pass(5_184_000);
        assert_eq!(code(world.auth.refresh(refresh).await), "InvalidSession");
    }
}

#[tokio::test]
async fn one_kind_of_token_is_not_the_other() {
    for world in worlds(Plan::default).await {
        let tokens = world.log_in(Credentials::Anonymous).await.expect("let in").tokens;
        assert_eq!(code(world.auth.verify_access_token(&tokens.refresh_token).await), "InvalidSession");
        assert_eq!(code(world.auth.refresh(&tokens.access_token).await), "InvalidSession");
        assert_eq!(code(world.auth.log_out(&tokens.access_token).await), "InvalidSession");
    }
}

/// rules-and-users 3.4: an access token outlives the logout, a refresh token does not.
#[tokio::test]
async fn logging_out_ends_one_session() {
    for world in worlds(Plan::default).await {
        world.register("a@b.c", "secret1").await.expect("registered");
        let log_in = async || world.log_in(crate::fixture::password("a@b.c", "secret1")).await;
        let (here, there) = (log_in().await.expect("let in").tokens, log_in().await.expect("let in").tokens);
        world.auth.log_out(&here.refresh_token).await.expect("logged out");
        assert_eq!(code(world.auth.refresh(&here.refresh_token).await), "InvalidSession");
        assert_eq!(code(world.auth.log_out(&here.refresh_token).await), "InvalidSession");
        world.auth.verify_access_token(&here.access_token).await.expect("good until it expires");
        world.auth.refresh(&there.refresh_token).await.expect("another session");
    }
}

/// rules-and-users 3.3.
#[tokio::test]
async fn revoking_ends_every_token_at_once() {
    for world in worlds(Plan::default).await {
        world.register("a@b.c", "secret1").await.expect("registered");
        let log_in = async || world.log_in(crate::fixture::password("a@b.c", "secret1")).await;
        let before = log_in().await.expect("let in");
        world.auth.accounts().revoke_sessions(&before.user.id).await.expect("revoked");
        // Even within the same second, what comes later is good.
        let after = log_in().await.expect("let in");
        assert_eq!(code(world.auth.verify_access_token(&before.tokens.access_token).await), "InvalidSession");
        assert_eq!(code(world.auth.refresh(&before.tokens.refresh_token).await), "InvalidSession");
        world.auth.verify_access_token(&after.tokens.access_token).await.expect("good");
        world.auth.refresh(&after.tokens.refresh_token).await.expect("good");
    }
}

#[tokio::test]
async fn processes_read_each_others_tokens() {
    for world in worlds(Plan::default).await {
        let others: Vec<_> = (0..4).map(|_| world.other_process()).collect();
        let (caller, device) = (world.caller(), Device::default());
        // All of them come first, and want a signing key.
        let logins = others.iter().map(|auth| auth.log_in(&Credentials::Anonymous, &device, &caller));
        let logins = futures::future::join_all(logins).await;
        for login in &logins {
            let tokens = &login.as_ref().expect("let in").tokens;
            for auth in &others {
                auth.verify_access_token(&tokens.access_token).await.expect("good everywhere");
            }
        }
        let keys = world.database().collection::<bson::Document>("signing_keys");
        assert_eq!(keys.count_documents(doc! {}).await.expect("counted"), 1);
    }
}

#[tokio::test]
async fn signing_keys_can_be_replaced() {
    for world in worlds(Plan::default).await {
        let other = world.other_process();
        let old = world.log_in(Credentials::Anonymous).await.expect("let in").tokens;
        other.verify_access_token(&old.access_token).await.expect("good");
        world.auth.accounts().rotate_signing_key(false).await.expect("a new key");
        let new = world.log_in(Credentials::Anonymous).await.expect("let in").tokens;
        assert_ne!(old.access_token.split('.').next(), new.access_token.split('.').next());
        world.auth.verify_access_token(&old.access_token).await.expect("good until it expires");
        tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
        other.verify_access_token(&new.access_token).await.expect("the other process looks the key up");
        world.auth.accounts().rotate_signing_key(true).await.expect("a new key");
        for token in [&old.access_token, &new.access_token] {
            assert_eq!(code(world.auth.verify_access_token(token).await), "InvalidSession");
        }
    }
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    for world in worlds(Plan::default).await {
        let login = world.log_in(Credentials::Anonymous).await.expect("let in");
        let token = &login.tokens.access_token;
        let good = claims(token);
        let header = json!({ "alg": "HS256", "kid": "1", "typ": "JWT" });
        let refuse = async |world: &World, what: &str, token: String| {
            assert_eq!(code(world.auth.verify_access_token(&token).await), "InvalidSession", "{what}");
        };
        refuse(&world, "no signature", format!("{}.", unsigned(&json!({ "alg": "none", "kid": "1" }), &good))).await;
        refuse(&world, "none, signed", shared_token(b"", json!({ "alg": "none", "kid": "1" }), good.clone())).await;
        refuse(&world, "another key", shared_token(b"guess", header.clone(), good.clone())).await;
        refuse(&world, "empty key", shared_token(b"", header.clone(), good.clone())).await;
        for id in ["2", "0", "-1", "", "../../dev/null", "1 ", "99999999999999999999", "' or 1=1"] {
            let header = json!({ "alg": "HS256", "kid": id, "typ": "JWT" });
            refuse(&world, id, shared_token(b"", header, good.clone())).await;
        }
        refuse(&world, "no key id", shared_token(b"", json!({ "alg": "HS256" }), good.clone())).await;
        let mut other = good.clone();
        other["sub"] = "5f6aae9a82989d521a606369".into();
        let (head, signature) =
            (token.split('.').next().expect("a header"), token.rsplit('.').next().expect("a signature"));
        let payload = URL_SAFE_NO_PAD.encode(other.to_string());
        refuse(&world, "other claims", format!("{head}.{payload}.{signature}")).await;
        for text in ["", "Bearer", "a.b.c", "null", "{}", "\0", &"x".repeat(100_000)] {
            refuse(&world, text.get(..8).unwrap_or(text), text.to_owned()).await;
        }
        // A token of another app.
        for elsewhere in worlds(Plan::default).await {
            refuse(&elsewhere, "another app", token.clone()).await;
        }
        world.auth.verify_access_token(token).await.expect("the one that started it all");
    }
}

#[tokio::test]
async fn devices_are_remembered() {
    for world in worlds(Plan::default).await {
        let device = Device {
            id: Some("5f6aae9a82989d521a606369".to_owned()),
            platform: Some("chrome".to_owned()),
            ..Device::default()
        };
        let login = world.auth.log_in(&Credentials::Anonymous, &device, &world.caller()).await.expect("let in");
        assert_eq!(login.tokens.device_id, "5f6aae9a82989d521a606369");
        let devices = world.auth.accounts().devices(&login.user.id).await.expect("devices");
        assert_eq!(devices.len(), 1);
        assert_eq!(devices[0].device, device);
    }
}
