//! Whoever tries what is not theirs: guessing, telling users apart, reading secrets, taking up all the time.

use std::time::{Duration, Instant};

use auth::{AuthError, Credentials, Device, HashingCost, HashingQueue, KeyOwner};
use bson::{Bson, doc};
use serde_json::json;

use crate::fixture::{Plan, code, password, worlds};

/// RU-88.
#[tokio::test]
async fn providers_that_are_off_let_nobody_in() {
    let off = json!({ "disabled": true, "config": { "autoConfirm": true } });
    for providers in
        [json!({}), json!({ "local-userpass": off, "anon-user": off, "api-key": off, "custom-function": off })]
    {
        for world in worlds(|| Plan { providers: providers.clone(), ..Plan::default() }).await {
            let accounts = world.auth.accounts();
            accounts.create_email_account("a@b.c", "secret1").await.expect("created");
            let key = accounts.create_api_key(&KeyOwner::App, "k").await.expect("a key").key;
            for credentials in [
                Credentials::Anonymous,
                password("a@b.c", "secret1"),
                Credentials::ApiKey(key),
                Credentials::CustomFunction(doc! {}),
                Credentials::CustomToken(world.token("u1")),
                Credentials::Apple("t".to_owned()),
            ] {
                let error = world.log_in(credentials.clone()).await.expect_err("refused");
                let expected = format!("authentication via '{}' is unsupported", credentials.provider());
                assert_eq!(error.public_message(), expected);
            }
            assert!(matches!(world.register("d@e.f", "secret1").await, Err(AuthError::ProviderUnsupported(_))));
        }
    }
}

#[tokio::test]
async fn guessing_from_one_address_ends() {
    for world in worlds(|| Plan { failures_max: 5, ..Plan::default() }).await {
        world.register("a@b.c", "secret1").await.expect("registered");
        let attempt = async |address: &str, text: &str| {
            let caller = world.caller_at(address);
            world.auth.log_in(&password("a@b.c", text), &Device::default(), &caller).await.map(drop)
        };
        for number in 0..5 {
            assert_eq!(code(attempt("198.51.100.1", &format!("guess-{number}")).await), "InvalidPassword");
        }
        // Not even the right one is looked at now.
        let error = attempt("198.51.100.1", "secret1").await.expect_err("refused");
        let AuthError::TooManyFailures { retry_after } = error else { panic!("{error}") };
        assert!(retry_after <= Duration::from_secs(60));
        let key = Credentials::ApiKey("k".to_owned());
        let caller = world.caller_at("198.51.100.1");
        assert!(matches!(world.auth.authenticate(&key, false, &caller).await, Err(AuthError::TooManyFailures { .. })));
        assert!(matches!(world.auth.confirm("t", "i", &caller).await, Err(AuthError::TooManyFailures { .. })));
        // Others are not held back.
        attempt("198.51.100.2", "secret1").await.expect("let in");
        world.pass(60);
        attempt("198.51.100.1", "secret1").await.expect("let in again");
    }
}

#[tokio::test]
async fn processes_share_the_count_of_failures() {
    for world in worlds(|| Plan { failures_max: 6, ..Plan::default() }).await {
        let other = world.other_process();
        let caller = world.caller();
        let guess = Credentials::ApiKey("guess".to_owned());
        let mut looked_at = 0;
        for number in 0..20 {
            let auth = if number % 2 == 0 { &world.auth } else { &other };
            match auth.authenticate(&guess, false, &caller).await.expect_err("refused") {
                AuthError::InvalidApiKey { .. } => looked_at += 1,
                AuthError::TooManyFailures { .. } => {}
                error => panic!("{error}"),
            }
        }
        // Each process may look at one more than it has heard of.
        assert!((6..=7).contains(&looked_at), "{looked_at}");
    }
}

/// Of many guesses sent at once, those past the limit learn nothing.
#[tokio::test]
async fn a_volley_of_guesses_ends_as_well() {
    for world in worlds(|| Plan { failures_max: 5, ..Plan::default() }).await {
        world.register("a@b.c", "secret1").await.expect("registered");
        let guesses: Vec<_> = (0..60).map(|number| password("a@b.c", &format!("guess-{number}"))).collect();
        let (caller, device) = (world.caller(), Device::default());
        let attempts = guesses.iter().map(|guess| world.auth.log_in(guess, &device, &caller));
        let results = futures::future::join_all(attempts).await;
        let told = results.iter().filter(|result| matches!(result, Err(AuthError::InvalidPassword))).count();
        assert!(told < 20, "{told} of 60 were told");
    }
}

/// Unknown address and wrong password: one answer, after the same work.
#[tokio::test]
async fn addresses_cannot_be_told_apart() {
    for world in worlds(Plan::default).await {
        let slow = HashingCost { memory_kib: 8 * 1024, passes: 2 };
        let auth = world.with_settings(|settings| {
            settings.hashing = HashingQueue::new(slow, 1, 64).expect("a queue");
        });
        auth.register("known@b.c", "secret1", &world.caller()).await.expect("registered");
        let time = async |email: &str| {
            let start = Instant::now();
            let result = auth.log_in(&password(email, "secret2"), &Device::default(), &world.caller()).await;
            let time = start.elapsed();
            let error = result.expect_err("refused");
            let seen = (error.error_code(), error.public_message());
            assert_eq!(seen, (Some("InvalidPassword"), "invalid username/password".to_owned()));
            time
        };
        // The least of many, in turns: what else the machine does only ever adds.
        let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
        for _ in 0..25 {
            known = known.min(time("known@b.c").await);
            unknown = unknown.min(time("unknown@b.c").await);
        }
        let ratio = known.as_secs_f64() / unknown.as_secs_f64();
        assert!((0.5..2.0).contains(&ratio), "known {known:?}, unknown {unknown:?}");
    }
}

/// Hashing does not hold up calls that hash nothing.
#[tokio::test]
async fn mass_logins_hold_up_nobody_else() {
    for world in worlds(Plan::default).await {
        let slow = HashingCost { memory_kib: 32 * 1024, passes: 4 };
        let auth = world.with_settings(|settings| {
            settings.hashing = HashingQueue::new(slow, 1, 8).expect("a queue");
        });
        let key = auth.accounts().create_api_key(&KeyOwner::App, "k").await.expect("a key").key;
        let key = Credentials::ApiKey(key);
        let (caller, device) = (world.caller(), Device::default());
        let guess = password("a@b.c", "secret1");
        let flood = futures::future::join_all((0..40).map(|_| auth.log_in(&guess, &device, &caller)));
        let calls = async {
            let start = Instant::now();
            for _ in 0..20 {
                auth.authenticate(&key, false, &caller).await.expect("let in");
            }
            start.elapsed()
        };
        let start = Instant::now();
        let (results, calls) = futures::future::join(flood, calls).await;
        let flood = start.elapsed();
        assert!(calls < flood, "20 calls took {calls:?} where the flood took {flood:?}");
        let busy = results.iter().filter(|result| matches!(result, Err(AuthError::Busy))).count();
        assert!(busy >= 30, "{busy} of 40 were sent away");
    }
}

/// ATK-87: what a caller sends is a value, never a query.
#[tokio::test]
async fn nothing_a_caller_sends_becomes_a_query() {
    for world in worlds(Plan::default).await {
        world.register("a@b.c", "secret1").await.expect("registered");
        world.log_in(password("a@b.c", "secret1")).await.expect("let in");
        for text in ["{\"$gt\":\"\"}", "$where", "' || '1'=='1", "a@b.c\0", "%%user.id", "a@b.c' }); //", ".*"] {
            assert_eq!(code(world.log_in(password(text, "secret1")).await), "InvalidPassword", "{text}");
            assert_eq!(code(world.log_in(password("a@b.c", text)).await), "InvalidPassword", "{text}");
            assert_eq!(code(world.log_in(Credentials::ApiKey(text.to_owned())).await), "AuthError", "{text}");
            assert_eq!(code(world.auth.find_user(text).await), "UserNotFound", "{text}");
            assert_eq!(code(world.auth.confirm(text, text, &world.caller()).await), "BadRequest", "{text}");
        }
        // What a function is given is its own affair, but its result has to be text.
        world.functions.set("authenticate", |arguments| Ok(arguments[0].clone()));
        for payload in [doc! { "id": { "$ne": null } }, doc! { "id": ["a"] }, doc! { "id": Bson::Null }] {
            assert_eq!(code(world.log_in(Credentials::CustomFunction(payload)).await), "AuthError");
        }
    }
}

/// Neither what is stored nor what is said holds anything that opens a door.
#[tokio::test]
async fn secrets_are_neither_stored_nor_told() {
    let plan = || {
        let mut plan = Plan::default();
        plan.providers["local-userpass"] =
            json!({ "config": { "emailConfirmationUrl": "https://app.example/confirm" } });
        plan
    };
    for world in worlds(plan).await {
        world.register("a@b.c", "my password").await.expect("registered");
        let (token, id) = world.mails.last_pair();
        let stored = world.everything_stored().await;
        assert!(stored.contains(&id) && stored.contains("a@b.c"), "{stored}");
        assert!(!stored.contains(&token) && !stored.contains("my password"), "{stored}");
        world.auth.confirm(&token, &id, &world.caller()).await.expect("confirmed");
        let login = world.log_in(password("a@b.c", "my password")).await.expect("let in");
        let made = world.auth.accounts().create_api_key(&KeyOwner::App, "k").await.expect("a key");
        let stored = world.everything_stored().await;
        let secrets = [&made.key, &login.tokens.access_token, &login.tokens.refresh_token];
        for secret in secrets {
            assert!(!stored.contains(secret.as_str()));
        }
        let said = format!("{login:?} {made:?} {:?} {:?}", login.tokens, world.mails.0.lock());
        for secret in secrets.into_iter().chain([&token]) {
            assert!(!said.contains(secret.as_str()), "{said}");
        }
    }
}
