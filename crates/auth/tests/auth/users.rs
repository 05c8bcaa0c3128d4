//! Users: creation, states, linking, custom data.

use std::collections::BTreeSet;

use app_model::UserKind;
use auth::{AuthError, Caller, Credentials, Device, KeyOwner, UserFilter};
use bson::oid::ObjectId;
use bson::{Bson, doc};
use serde_json::json;

use crate::fixture::{Plan, code, password, worlds};

#[tokio::test]
async fn anonymous_logins_are_users_of_their_own() {
    for world in worlds(Plan::default).await {
        let first = world.log_in(Credentials::Anonymous).await.expect("let in");
        let second = world.log_in(Credentials::Anonymous).await.expect("let in");
        assert!(first.is_new && second.is_new);
        assert_ne!(first.user.id, second.user.id);
        assert_eq!(first.user.kind, UserKind::Normal);
        assert_eq!(first.user.data, doc! {});
        assert_eq!(first.user.identities[0].provider_type, "anon-user");
        assert_eq!(first.tokens.user_id, first.user.id);
    }
}

/// RU-87, and the statement of http-surface 3.5.3 that creation is idempotent under concurrency.
#[tokio::test]
async fn one_identity_is_one_user_however_many_try() {
    for world in worlds(Plan::default).await {
        world.functions.set("authenticate", |_| Ok("same".into()));
        let other = world.other_process();
        let credentials = Credentials::CustomFunction(doc! {});
        let (caller, device) = (world.caller(), Device::default());
        let attempts = (0..20).map(|number| {
            let auth = if number % 2 == 0 { &world.auth } else { &other };
            auth.log_in(&credentials, &device, &caller)
        });
        let found = futures::future::join_all(attempts).await;
        let found: Vec<_> = found.into_iter().map(|result| result.expect("let in")).collect();
        let ids: BTreeSet<_> = found.iter().map(|login| login.user.id.clone()).collect();
        assert_eq!(ids.len(), 1);
        assert_eq!(found.iter().filter(|login| login.is_new).count(), 1);
        assert_eq!(world.auth.accounts().users(&UserFilter::default(), 10).await.expect("users").len(), 1);
    }
}

/// RU-86.
#[tokio::test]
async fn a_disabled_user_is_kept_out_of_everything() {
    for world in worlds(Plan::default).await {
        world.register("a@b.c", "secret1").await.expect("registered");
        let login = world.log_in(password("a@b.c", "secret1")).await.expect("let in");
        let accounts = world.auth.accounts();
        let key = accounts.create_api_key(&KeyOwner::User(login.user.id.clone()), "k").await.expect("a key").key;
        accounts.set_user_disabled(&login.user.id, true).await.expect("disabled");
        assert_eq!(code(world.log_in(password("a@b.c", "secret1")).await), "UserDisabled");
        assert_eq!(code(world.log_in(Credentials::ApiKey(key.clone())).await), "UserDisabled");
        assert_eq!(
            code(world.auth.authenticate(&Credentials::ApiKey(key), false, &world.caller()).await),
            "UserDisabled"
        );
        assert_eq!(code(world.auth.verify_access_token(&login.tokens.access_token).await), "UserDisabled");
        assert_eq!(code(world.auth.refresh(&login.tokens.refresh_token).await), "UserDisabled");
        assert_eq!(code(world.auth.find_user(&login.user.id).await), "UserDisabled");
        // A wrong password tells nothing about the user behind it.
        assert_eq!(code(world.log_in(password("a@b.c", "secret2")).await), "InvalidPassword");
        accounts.set_user_disabled(&login.user.id, false).await.expect("enabled");
        world.auth.verify_access_token(&login.tokens.access_token).await.expect("let in again");
        world.log_in(password("a@b.c", "secret1")).await.expect("let in again");
    }
}

#[tokio::test]
async fn a_deleted_user_leaves_nothing_that_opens() {
    for world in worlds(Plan::default).await {
        world.register("a@b.c", "secret1").await.expect("registered");
        let login = world.log_in(password("a@b.c", "secret1")).await.expect("let in");
        let session = world.auth.verify_refresh_token(&login.tokens.refresh_token).await.expect("a session");
        let key = world.auth.create_api_key(&session, "k").await.expect("a key").key;
        world.auth.delete_user(&session).await.expect("deleted");
        assert_eq!(code(world.log_in(password("a@b.c", "secret1")).await), "InvalidPassword");
        assert_eq!(code(world.log_in(Credentials::ApiKey(key)).await), "AuthError");
        assert_eq!(code(world.auth.verify_access_token(&login.tokens.access_token).await), "InvalidSession");
        assert_eq!(code(world.auth.refresh(&login.tokens.refresh_token).await), "InvalidSession");
        assert_eq!(code(world.auth.find_user(&login.user.id).await), "UserNotFound");
        assert_eq!(code(world.auth.accounts().delete_user(&login.user.id).await), "UserNotFound");
        // The address is free again, for another user.
        world.register("a@b.c", "secret1").await.expect("registered");
        assert_ne!(world.log_in(password("a@b.c", "secret1")).await.expect("let in").user.id, login.user.id);
    }
}

#[tokio::test]
async fn linking_gives_a_user_one_more_way_in() {
    for world in worlds(Plan::default).await {
        let anonymous = world.log_in(Credentials::Anonymous).await.expect("let in");
        world.register("a@b.c", "secret1").await.expect("registered");
        let session = world.auth.verify_access_token(&anonymous.tokens.access_token).await.expect("a session");
        assert!(session.is_anonymous);
        let link = |credentials| {
            let (auth, session, caller) = (&world.auth, session.clone(), world.caller());
            async move { auth.link(&session, &credentials, &Device::default(), &caller).await }
        };
        assert_eq!(code(link(password("a@b.c", "wrong-1")).await), "InvalidPassword");
        let linked = link(password("a@b.c", "secret1")).await.expect("linked");
        assert_eq!(linked.user.id, anonymous.user.id);
        assert_eq!(linked.user.data, doc! { "email": "a@b.c" });
        assert_eq!(linked.user.identities.len(), 2);
        let again = link(password("a@b.c", "secret1")).await.expect("linked already");
        assert_eq!(again.user.identities.len(), 2);
        let login = world.log_in(password("a@b.c", "secret1")).await.expect("let in");
        assert_eq!((login.user.id.as_str(), login.is_new), (anonymous.user.id.as_str(), false));
        assert!(!world.auth.verify_access_token(&login.tokens.access_token).await.expect("a session").is_anonymous);
        // Somebody else's identity cannot be taken.
        let other = world.log_in(Credentials::CustomToken(world.token("other"))).await.expect("let in");
        assert_ne!(other.user.id, anonymous.user.id);
        assert_eq!(code(link(Credentials::CustomToken(world.token("other"))).await), "AccountNameInUse");
        assert_eq!(code(link(Credentials::Anonymous).await), "AccountNameInUse");
    }
}

/// rules-and-users 3.3: anonymous users go after 90 days without activity, by an index on a field that nobody else has.
#[tokio::test]
async fn only_anonymous_users_are_ever_idle() {
    for world in worlds(Plan::default).await {
        let users = world.database().collection::<bson::Document>("users");
        let idle = async || users.count_documents(doc! { "idle_since": { "$exists": true } }).await.expect("counted");
        let anonymous = world.log_in(Credentials::Anonymous).await.expect("let in");
        world.log_in(Credentials::CustomToken(world.token("u1"))).await.expect("let in");
        assert_eq!(idle().await, 1);
        world.pass(3_600);
        world.auth.refresh(&anonymous.tokens.refresh_token).await.expect("a token");
        let found =
            users.find_one(doc! { "idle_since": { "$exists": true } }).await.expect("looked up").expect("a user");
        let since = found.get_datetime("idle_since").expect("a date").timestamp_millis() / 1_000;
        assert_eq!(u64::try_from(since).expect("a time"), world.seconds(), "activity counts");
        let token = world.auth.refresh(&anonymous.tokens.refresh_token).await.expect("a token");
        let session = world.auth.verify_access_token(&token).await.expect("a session");
        let credentials = Credentials::CustomToken(world.token("u2"));
        world.auth.link(&session, &credentials, &Device::default(), &world.caller()).await.expect("linked");
        assert_eq!(idle().await, 0);
        let indexes = users.list_index_names().await.expect("indexes");
        assert!(indexes.contains(&"idle_since_1".to_owned()), "{indexes:?}");
        // Another setting of that lifetime does not keep anybody out.
        let other = world.with_settings(|settings| settings.anonymous_user_idle_max *= 2);
        other.log_in(&Credentials::Anonymous, &Device::default(), &world.caller()).await.expect("let in");
    }
}

/// rules-and-users 3.6.
#[tokio::test]
async fn the_creation_function_has_a_veto() {
    let plan = || Plan {
        custom_user_data: json!({
            "enabled": true, "mongo_service_name": "mongodb-atlas", "database_name": "app", "collection_name": "people",
            "user_id_field": "owner", "on_user_creation_function_name": "created",
        }),
        ..Plan::default()
    };
    for world in worlds(plan).await {
        world.functions.set("created", |_| Err("no more users today".to_owned()));
        let error = world.log_in(Credentials::Anonymous).await.expect_err("refused");
        assert_eq!((error.error_code(), error.public_message().as_str()), (Some("AuthError"), "no more users today"));
        assert!(world.auth.accounts().users(&UserFilter::default(), 10).await.expect("users").is_empty());
        world.functions.set("created", |_| Ok(Bson::Undefined));
        let login = world.log_in(Credentials::CustomToken(world.token("u1"))).await.expect("let in");
        let input = world.functions.inputs("created").pop().expect("a call");
        assert_eq!(input.get_str("id").expect("an id"), login.user.id);
        assert_eq!(input.get_str("type").expect("a type"), "normal");
        world.log_in(Credentials::CustomToken(world.token("u1"))).await.expect("let in");
        assert_eq!(world.functions.inputs("created").len(), 2, "once for the refusal, once for the creation");
    }
}

/// RU-83, and rules-and-users 3.5.
#[tokio::test]
async fn custom_data_is_found_by_text_before_object_id() {
    let plan = || Plan {
        custom_user_data: json!({
            "enabled": true, "mongo_service_name": "mongodb-atlas", "database_name": "custom_data_test",
            "collection_name": "people", "user_id_field": "owner",
        }),
        ..Plan::default()
    };
    for world in worlds(plan).await {
        let people = world.client.database("custom_data_test").collection("people");
        let login = world.log_in(Credentials::Anonymous).await.expect("let in");
        assert_eq!(login.user.custom_data, doc! {});
        let id = ObjectId::parse_str(&login.user.id).expect("an id");
        people.insert_one(doc! { "_id": 3, "owner": id, "from": "object id" }).await.expect("inserted");
        let data = world.auth.custom_data(&login.user.id).await.expect("data");
        assert_eq!(data.get_str("from").expect("a field"), "object id");
        people.insert_one(doc! { "_id": 5, "owner": &login.user.id, "from": "second" }).await.expect("inserted");
        people.insert_one(doc! { "_id": 4, "owner": &login.user.id, "from": "first" }).await.expect("inserted");
        let data = world.auth.custom_data(&login.user.id).await.expect("data");
        assert_eq!(data, doc! { "_id": 4, "owner": &login.user.id, "from": "first" });
        // In tokens it is as old as the token.
        let old = world.auth.verify_access_token(&login.tokens.access_token).await.expect("a session");
        assert_eq!(old.user.custom_data, doc! {});
        let fresh = world.auth.refresh(&login.tokens.refresh_token).await.expect("a token");
        let fresh = world.auth.verify_access_token(&fresh).await.expect("a session");
        assert_eq!(fresh.user.custom_data, data);
        // What does not fit a token is read when the token is used.
        people.update_one(doc! { "_id": 4 }, doc! { "$set": { "much": "x".repeat(20_000) } }).await.expect("updated");
        let large = world.auth.refresh(&login.tokens.refresh_token).await.expect("a token");
        assert!(large.len() < 2_000);
        let large = world.auth.verify_access_token(&large).await.expect("a session");
        assert_eq!(large.user.custom_data.get_str("much").expect("a field").len(), 20_000);
        // Nor does what cannot be told from Extended JSON keep anybody out.
        let odd = doc! { "_id": 4, "owner": &login.user.id, "odd": { "$oid": "no id" } };
        people.delete_one(doc! { "_id": 4 }).await.expect("deleted");
        people.insert_one(&odd).await.expect("inserted");
        let token = world.auth.refresh(&login.tokens.refresh_token).await.expect("a token");
        let session = world.auth.verify_access_token(&token).await.expect("a session");
        assert_eq!(session.user.custom_data.get("odd"), odd.get("odd"));
        people.drop().await.expect("dropped");
    }
}

/// RU-87; a function that says nothing usable lets nobody in.
#[tokio::test]
async fn custom_functions() {
    for world in worlds(Plan::default).await {
        world.functions.set("authenticate", |arguments| {
            match arguments[0].as_document().and_then(|it| it.get("pin")) {
                Some(Bson::Int32(42)) => Ok(Bson::Document(doc! { "id": "ann", "name": "Ann" })),
                Some(_) => Err("wrong pin".to_owned()),
                None => Ok(Bson::Boolean(true)),
            }
        });
        let attempt = async |payload| world.log_in(Credentials::CustomFunction(payload)).await;
        let first = attempt(doc! { "pin": 42 }).await.expect("let in");
        let second = attempt(doc! { "pin": 42 }).await.expect("let in");
        assert_eq!((&first.user.id, first.is_new, second.is_new), (&second.user.id, true, false));
        assert_eq!(first.user.data, doc! { "name": "Ann" });
        let error = attempt(doc! { "pin": { "$gt": 0 } }).await.expect_err("refused");
        assert_eq!((error.error_code(), error.public_message().as_str()), (Some("AuthError"), "wrong pin"));
        assert_eq!(code(attempt(doc! {}).await), "AuthError");
        // The command line cannot run functions.
        let error = world
            .auth
            .log_in(&Credentials::CustomFunction(doc! { "pin": 42 }), &Device::default(), &Caller::operator())
            .await
            .expect_err("refused");
        assert!(matches!(error, AuthError::FunctionRefused(_)));
    }
}

#[tokio::test]
async fn operators_list_users_in_order() {
    for world in worlds(Plan::default).await {
        world.register("a@b.c", "secret1").await.expect("registered");
        let mut ids = Vec::new();
        ids.push(world.log_in(password("a@b.c", "secret1")).await.expect("let in").user.id);
        for _ in 0..3 {
            ids.push(world.log_in(Credentials::Anonymous).await.expect("let in").user.id);
        }
        ids.sort();
        let accounts = world.auth.accounts();
        let list = async |filter: UserFilter, limit| {
            let users = accounts.users(&filter, limit).await.expect("users");
            users.into_iter().map(|user| user.user.id).collect::<Vec<_>>()
        };
        assert_eq!(list(UserFilter::default(), 50).await, ids);
        assert_eq!(list(UserFilter::default(), 2).await, ids[..2]);
        assert_eq!(list(UserFilter { after: Some(ids[1].clone()), ..UserFilter::default() }, 50).await, ids[2..]);
        let by_mail = UserFilter { provider: Some("local-userpass".to_owned()), ..UserFilter::default() };
        assert_eq!(list(by_mail, 50).await.len(), 1);
        accounts.set_user_disabled(&ids[0], true).await.expect("disabled");
        let disabled = UserFilter { is_disabled: Some(true), ..UserFilter::default() };
        assert_eq!(list(disabled, 50).await, ids[..1]);
        let enabled = UserFilter { is_disabled: Some(false), ..UserFilter::default() };
        assert_eq!(list(enabled, 50).await, ids[1..]);
        assert_eq!(code(accounts.set_user_disabled("5f6aae9a82989d521a606369", true).await), "UserNotFound");
        assert_eq!(accounts.find_user("no id").await.expect("looked up"), None);
    }
}
