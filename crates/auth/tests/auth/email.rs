//! Registration, confirmation and reset: automatic, by function, by mail.

use auth::{AuthError, Credentials};
use bson::{Bson, doc};
use serde_json::json;

use crate::fixture::{Plan, code, pair_of, password, worlds};

/// RU-90 and the table of rules-and-users 4.3.
#[tokio::test]
async fn registration_has_its_rules() {
    for world in worlds(Plan::default).await {
        assert_eq!(code(world.register("a@b.c", "12345").await), "BadRequest");
        assert_eq!(code(world.register("a@b.c", &"x".repeat(129)).await), "BadRequest");
        assert_eq!(code(world.register("nobody", "secret1").await), "BadRequest");
        world.register("a@b.c", "secret1").await.expect("registered");
        assert_eq!(code(world.register("a@b.c", "secret2").await), "AccountNameInUse");
        // Addresses are told apart by case.
        world.register("A@b.c", "secret2").await.expect("registered");
        assert_eq!(code(world.log_in(password("A@b.c", "secret1")).await), "InvalidPassword");
        let login = world.log_in(password("a@b.c", "secret1")).await.expect("let in");
        assert_eq!(login.user.data, doc! { "email": "a@b.c" });
        assert_eq!(login.user.identities[0].provider_type, "local-userpass");
        let error = world.auth.call_confirmation("a@b.c", &world.caller()).await.expect_err("automatic");
        assert_eq!(error.public_message(), "cannot run confirmation for a@b.c: automatic confirmation is enabled");
    }
}

#[tokio::test]
async fn one_address_is_one_account_however_many_register() {
    for world in worlds(Plan::default).await {
        let attempts = (0..10).map(|_| world.register("a@b.c", "secret1"));
        let results = futures::future::join_all(attempts).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        let login = futures::future::join_all((0..10).map(|_| world.log_in(password("a@b.c", "secret1")))).await;
        let login: Vec<_> = login.into_iter().map(|result| result.expect("let in")).collect();
        assert!(login.iter().all(|other| other.user.id == login[0].user.id));
    }
}

fn by_mail() -> Plan {
    Plan {
        providers: json!({ "local-userpass": { "config": {
            "autoConfirm": false, "emailConfirmationUrl": "https://app.example/confirm",
            "resetPasswordUrl": "https://app.example/reset?lang=en", "resetPasswordSubject": "New password",
        } } }),
        ..Plan::default()
    }
}

/// RU-76.
#[tokio::test]
async fn by_mail_a_link_confirms() {
    for world in worlds(by_mail).await {
        world.register("a@b.c", "secret1").await.expect("registered");
        let error = world.log_in(password("a@b.c", "secret1")).await.expect_err("pending");
        assert_eq!((error.error_code(), error.public_message().as_str()), (Some("AuthError"), "confirmation required"));
        assert_eq!(code(world.log_in(password("a@b.c", "secret2")).await), "InvalidPassword");
        let (token, id) = world.mails.last_pair();
        let confirm = |token: &str, id: &str| {
            let (token, id) = (token.to_owned(), id.to_owned());
            let (auth, caller) = (&world.auth, world.caller());
            async move { auth.confirm(&token, &id, &caller).await }
        };
        assert_eq!(code(confirm("x", &id).await), "BadRequest");
        assert_eq!(code(confirm(&token, "x").await), "BadRequest");
        assert_eq!(code(confirm(&"x".repeat(64), &id).await), "UserpassTokenInvalid");
        assert_eq!(code(confirm(&token, "5f6aae9a82989d521a606369").await), "UserpassTokenInvalid");
        confirm(&token, &id).await.expect("confirmed");
        assert_eq!(code(confirm(&token, &id).await), "UserAlreadyConfirmed");
        world.log_in(password("a@b.c", "secret1")).await.expect("let in");
        // A token of one purpose is not one of the other.
        let reset = world.auth.reset(&token, &id, "secret3", &world.caller()).await;
        assert_eq!(code(reset), "UserpassTokenInvalid");
    }
}

#[tokio::test]
async fn links_expire_and_can_be_sent_again() {
    for world in worlds(by_mail).await {
        world.register("a@b.c", "secret1").await.expect("registered");
        let (token, id) = world.mails.last_pair();
        world.pass(30 * 60);
        assert_eq!(code(world.auth.confirm(&token, &id, &world.caller()).await), "UserpassTokenInvalid");
        world.auth.send_confirmation("a@b.c", &world.caller()).await.expect("sent");
        let (token, id) = world.mails.last_pair();
        world.auth.confirm(&token, &id, &world.caller()).await.expect("confirmed");
        assert_eq!(code(world.auth.send_confirmation("a@b.c", &world.caller()).await), "UserAlreadyConfirmed");
        assert_eq!(code(world.auth.send_confirmation("d@e.f", &world.caller()).await), "UserNotFound");
    }
}

#[tokio::test]
async fn a_reset_by_mail_ends_all_sessions() {
    for world in worlds(by_mail).await {
        world.register("a@b.c", "secret1").await.expect("registered");
        world.auth.accounts().confirm_email_account("a@b.c").await.expect("confirmed");
        let login = world.log_in(password("a@b.c", "secret1")).await.expect("let in");
        world.auth.send_reset("a@b.c", &world.caller()).await.expect("sent");
        assert_eq!(world.mails.0.lock().last().expect("a mail").subject, "New password");
        let (token, id) = world.mails.last_pair();
        // A password that may not be one leaves the token as it is.
        assert_eq!(code(world.auth.reset(&token, &id, "short", &world.caller()).await), "BadRequest");
        world.auth.reset(&token, &id, "secret2", &world.caller()).await.expect("reset");
        assert_eq!(code(world.auth.reset(&token, &id, "secret3", &world.caller()).await), "UserpassTokenInvalid");
        assert_eq!(code(world.log_in(password("a@b.c", "secret1")).await), "InvalidPassword");
        world.log_in(password("a@b.c", "secret2")).await.expect("let in");
        assert_eq!(code(world.auth.refresh(&login.tokens.refresh_token).await), "InvalidSession");
        assert_eq!(code(world.auth.verify_access_token(&login.tokens.access_token).await), "InvalidSession");
        assert_eq!(code(world.auth.send_reset("d@e.f", &world.caller()).await), "UserNotFound");
        let call = world.auth.call_reset("a@b.c", "secret3", Vec::new(), &world.caller()).await;
        assert_eq!(code(call), "BadRequest");
    }
}

#[tokio::test]
async fn without_a_mailer_mails_wait_in_the_outbox() {
    for world in worlds(|| Plan { has_mailer: false, ..by_mail() }).await {
        world.register("a@b.c", "secret1").await.expect("registered");
        let outbox = world.auth.accounts().outbox().await.expect("mails");
        assert_eq!((outbox.len(), outbox[0].mail.to.as_str()), (1, "a@b.c"));
        let (token, id) = pair_of(&outbox[0].mail.text);
        world.auth.confirm(&token, &id, &world.caller()).await.expect("confirmed");
        world.pass(30 * 60);
        assert!(world.auth.accounts().outbox().await.expect("mails").is_empty());
    }
}

#[tokio::test]
async fn without_an_address_for_links_the_operator_confirms() {
    for world in worlds(|| Plan { providers: json!({ "local-userpass": {} }), ..Plan::default() }).await {
        world.register("a@b.c", "secret1").await.expect("registered");
        let accounts = world.auth.accounts();
        assert_eq!(accounts.pending_email_accounts(10).await.expect("accounts").len(), 1);
        let error = world.auth.send_confirmation("a@b.c", &world.caller()).await.expect_err("no address");
        assert!(matches!(error, AuthError::ProviderUnavailable { .. }), "{error}");
        accounts.confirm_email_account("a@b.c").await.expect("confirmed");
        assert_eq!(code(accounts.confirm_email_account("a@b.c").await), "UserAlreadyConfirmed");
        world.log_in(password("a@b.c", "secret1")).await.expect("let in");
        assert!(accounts.pending_email_accounts(10).await.expect("accounts").is_empty());
        // Users that an operator makes skip all that.
        accounts.create_email_account("d@e.f", "secret1").await.expect("created");
        world.log_in(password("d@e.f", "secret1")).await.expect("let in");
    }
}

fn by_function() -> Plan {
    Plan {
        providers: json!({ "local-userpass": { "config": {
            "runConfirmationFunction": true, "confirmationFunctionName": "confirm",
            "runResetFunction": true, "resetFunctionName": "reset",
        } } }),
        ..Plan::default()
    }
}

#[tokio::test]
async fn a_function_confirms_or_not() {
    for world in worlds(by_function).await {
        world.functions.set("confirm", |_| Ok(Bson::Document(doc! { "status": "success" })));
        world.register("a@b.c", "secret1").await.expect("registered");
        world.log_in(password("a@b.c", "secret1")).await.expect("let in");
        world.functions.set("confirm", |_| Ok(Bson::Document(doc! { "status": "pending" })));
        world.register("d@e.f", "secret1").await.expect("registered");
        assert_eq!(code(world.log_in(password("d@e.f", "secret1")).await), "AuthError");
        let input = world.functions.inputs("confirm").pop().expect("a call");
        assert_eq!(input.get_str("username").expect("a name"), "d@e.f");
        let (token, id) = (input.get_str("token").expect("a token"), input.get_str("tokenId").expect("an id"));
        world.auth.confirm(token, id, &world.caller()).await.expect("confirmed");
        world.log_in(password("d@e.f", "secret1")).await.expect("let in");
        for result in [Ok(Bson::Document(doc! { "status": "fail" })), Ok(Bson::Undefined), Err("oops".to_owned())] {
            world.functions.set("confirm", move |_| result.clone());
            let error = world.register("g@h.i", "secret1").await.expect_err("refused");
            let seen = (error.error_code(), error.public_message());
            assert_eq!(seen, (Some("BadRequest"), "failed to confirm user \"g@h.i\"".to_owned()));
            assert_eq!(world.auth.accounts().email_account("g@h.i").await.expect("looked up"), None);
        }
    }
}

#[tokio::test]
async fn a_function_resets_or_not() {
    for world in worlds(by_function).await {
        let accounts = world.auth.accounts();
        accounts.create_email_account("a@b.c", "secret1").await.expect("created");
        let reset = |email: &'static str, new: &'static str| {
            let (auth, caller) = (&world.auth, world.caller());
            async move { auth.call_reset(email, new, vec!["extra".into(), Bson::Int32(7)], &caller).await }
        };
        world.functions.set("reset", |_| Ok(Bson::Document(doc! { "status": "success" })));
        reset("a@b.c", "secret2").await.expect("reset");
        let input = world.functions.inputs("reset").pop().expect("a call");
        assert_eq!(input.get_str("username").expect("a name"), "a@b.c");
        assert_eq!(input.get_str("password").expect("a password"), "secret2");
        assert!(!input.get_bool("currentPasswordValid").expect("a truth value"));
        let arguments = world.functions.calls.lock().last().expect("a call").arguments.clone();
        assert_eq!(arguments[1..], ["extra".into(), Bson::Int32(7)]);
        world.log_in(password("a@b.c", "secret2")).await.expect("let in");
        reset("a@b.c", "secret2").await.expect("reset");
        let input = world.functions.inputs("reset").pop().expect("a call");
        assert!(input.get_bool("currentPasswordValid").expect("a truth value"));
        // The function may give the token to its user by other means.
        world.functions.set("reset", |_| Ok(Bson::Document(doc! { "status": "pending" })));
        reset("a@b.c", "secret3").await.expect("pending");
        world.log_in(password("a@b.c", "secret2")).await.expect("nothing has changed");
        let input = world.functions.inputs("reset").pop().expect("a call");
        let (token, id) = (input.get_str("token").expect("a token"), input.get_str("tokenId").expect("an id"));
        world.auth.reset(token, id, "secret3", &world.caller()).await.expect("reset");
        world.log_in(password("a@b.c", "secret3")).await.expect("let in");
        for result in [Ok(Bson::Document(doc! { "status": "fail" })), Ok("success".into()), Err("oops".to_owned())] {
            world.functions.set("reset", move |_| result.clone());
            let error = reset("a@b.c", "secret4").await.expect_err("refused");
            let seen = (error.error_code(), error.public_message());
            assert_eq!(seen, (Some("BadRequest"), "failed to reset password for user \"a@b.c\"".to_owned()));
        }
        assert_eq!(code(reset("d@e.f", "secret4").await), "UserNotFound");
        assert_eq!(code(reset("a@b.c", "short").await), "BadRequest");
        let error = world.auth.send_reset("a@b.c", &world.caller()).await.expect_err("a function resets");
        assert_eq!(error.public_message(), "please use reset password via function");
    }
}

/// rules-and-users 4.8, step 7: where confirmation is not automatic, an unknown address does not get in.
#[tokio::test]
async fn unknown_addresses_are_registered_by_calls_that_create_users() {
    for (plan, is_let_in) in [(Plan::default as fn() -> Plan, true), (by_mail as fn() -> Plan, false)] {
        for world in worlds(plan).await {
            let attempt = async |credentials: Credentials, creates_user| {
                world.auth.authenticate(&credentials, creates_user, &world.caller()).await
            };
            assert_eq!(code(attempt(password("a@b.c", "secret1"), false).await), "InvalidPassword");
            assert_eq!(attempt(password("a@b.c", "secret1"), true).await.is_ok(), is_let_in);
            // Somebody who registered is nobody else's to take over.
            assert_eq!(code(attempt(password("a@b.c", "secret2"), true).await), "InvalidPassword");
            assert_eq!(attempt(password("a@b.c", "secret1"), false).await.is_ok(), is_let_in);
        }
    }
}
