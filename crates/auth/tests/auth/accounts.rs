//! API keys of the app and of users.

use app_model::UserKind;
use auth::{Credentials, KeyOwner};
use bson::doc;

use crate::fixture::{Plan, code, password, worlds};

/// RU-74, RU-75.
#[tokio::test]
async fn keys_of_the_app_are_server_users() {
    for world in worlds(Plan::default).await {
        let accounts = world.auth.accounts();
        let made = accounts.create_api_key(&KeyOwner::App, "back-end").await.expect("a key");
        assert_eq!(made.key.len(), 64);
        let credentials = Credentials::ApiKey(made.key.clone());
        let show = async || world.auth.authenticate(&credentials, true, &world.caller()).await;
        let found = show().await.expect("let in");
        assert_eq!(found.user.kind, UserKind::Server);
        assert_eq!(found.user.id, made.record.user_id);
        assert_eq!(found.user.data, doc! { "name": "back-end" });
        assert!(!found.is_new);
        accounts.set_api_key_disabled(&KeyOwner::App, &made.record.id, true).await.expect("disabled");
        assert_eq!(code(show().await), "AuthError");
        accounts.set_api_key_disabled(&KeyOwner::App, &made.record.id, false).await.expect("enabled");
        show().await.expect("let in again");
        let other = accounts.create_api_key(&KeyOwner::App, "other").await.expect("a key");
        assert_ne!(other.record.user_id, made.record.user_id);
        accounts.delete_api_key(&KeyOwner::App, &made.record.id).await.expect("deleted");
        assert_eq!(code(show().await), "AuthError");
        assert_eq!(accounts.find_user(&made.record.user_id).await.expect("looked up"), None);
        assert_eq!(code(accounts.delete_api_key(&KeyOwner::App, &made.record.id).await), "APIKeyNotFound");
    }
}

/// rules-and-users 4.4.
#[tokio::test]
async fn keys_of_users_are_the_user() {
    for world in worlds(Plan::default).await {
        world.register("a@b.c", "secret1").await.expect("registered");
        let login = world.log_in(password("a@b.c", "secret1")).await.expect("let in");
        let session = world.auth.verify_refresh_token(&login.tokens.refresh_token).await.expect("a session");
        let made = world.auth.create_api_key(&session, "laptop").await.expect("a key");
        let with_key = world.log_in(Credentials::ApiKey(made.key.clone())).await.expect("let in");
        assert_eq!((&with_key.user.id, with_key.user.kind), (&login.user.id, UserKind::Normal));
        // The key of a session cannot saw off the branch it sits on.
        let own = world.auth.verify_refresh_token(&with_key.tokens.refresh_token).await.expect("a session");
        assert_eq!(code(world.auth.delete_api_key(&own, &made.record.id).await), "AuthError");
        assert_eq!(code(world.auth.set_api_key_disabled(&own, &made.record.id, true).await), "AuthError");
        // Names, and what is not there.
        for name in ["", "a b", "a.b", "ä", "a/b", &"x".repeat(101)] {
            assert_eq!(code(world.auth.create_api_key(&session, name).await), "InvalidParameter", "{name}");
        }
        assert_eq!(code(world.auth.create_api_key(&session, "laptop").await), "APIKeyAlreadyExists");
        assert_eq!(code(world.auth.api_key(&session, "5f6aae9a82989d521a606369").await), "APIKeyNotFound");
        assert_eq!(code(world.auth.api_key(&session, "no id").await), "APIKeyNotFound");
        // Nobody reaches another user's key.
        world.register("d@e.f", "secret1").await.expect("registered");
        let other = world.log_in(password("d@e.f", "secret1")).await.expect("let in");
        let other = world.auth.verify_refresh_token(&other.tokens.refresh_token).await.expect("a session");
        assert_eq!(code(world.auth.delete_api_key(&other, &made.record.id).await), "APIKeyNotFound");
        assert_eq!(world.auth.api_keys(&other).await.expect("keys"), []);
        assert_eq!(world.auth.api_keys(&session).await.expect("keys"), std::slice::from_ref(&made.record));
        world.auth.delete_api_key(&session, &made.record.id).await.expect("deleted");
        assert_eq!(code(world.log_in(Credentials::ApiKey(made.key)).await), "AuthError");
        // The user stays.
        world.log_in(password("a@b.c", "secret1")).await.expect("let in");
    }
}

#[tokio::test]
async fn who_may_not_have_keys() {
    for world in worlds(Plan::default).await {
        let anonymous = world.log_in(Credentials::Anonymous).await.expect("let in");
        let session = world.auth.verify_refresh_token(&anonymous.tokens.refresh_token).await.expect("a session");
        assert_eq!(code(world.auth.create_api_key(&session, "k").await), "AuthError");
        let server = world.auth.accounts().create_api_key(&KeyOwner::App, "k").await.expect("a key").key;
        let server = world.log_in(Credentials::ApiKey(server)).await.expect("let in");
        let session = world.auth.verify_refresh_token(&server.tokens.refresh_token).await.expect("a session");
        assert_eq!(code(world.auth.create_api_key(&session, "k").await), "AuthError");
    }
}

/// The limit holds however many ask at once.
#[tokio::test]
async fn nobody_has_more_than_twenty_keys() {
    for world in worlds(Plan::default).await {
        let login = world.log_in(Credentials::CustomToken(world.token("u1"))).await.expect("let in");
        let owner = KeyOwner::User(login.user.id.clone());
        let accounts = world.auth.accounts();
        let names: Vec<String> = (0..30).map(|number| format!("k{number}")).collect();
        let made = futures::future::join_all(names.iter().map(|name| accounts.create_api_key(&owner, name))).await;
        assert!(made.iter().filter(|result| result.is_ok()).count() <= 20);
        for name in &names {
            let _ = accounts.create_api_key(&owner, &format!("{name}-again")).await;
        }
        assert_eq!(accounts.api_keys(&owner).await.expect("keys").len(), 20);
        assert_eq!(code(accounts.create_api_key(&owner, "one-more").await), "InvalidParameter");
    }
}
