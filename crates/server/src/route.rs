//! From a raw path to what it asks for (http-surface 2.1, 2.2). Works on the path as sent: a name may contain `%2F`.

use app::{ClientOperation, EmailPasswordOperation, Target};
use percent_encoding::percent_decode_str;

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/healthz`
    Health,
    /// `/readyz`
    Readiness,
    /// A webhook, an endpoint or an operation of the client API, of the app with this client app id.
    App { app_id: String, target: Target },
    /// An operation of the client API for whoever has a token; the token tells the app.
    Account(ClientOperation),
    /// Something of the client API of an app that we do not serve; unknown apps are still told apart.
    Unserved { app_id: String },
    /// Nothing we know.
    Unknown,
}

/// A segment with a malformed escape, or one that is not UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Parses a path. Nothing is normalised: `..`, empty segments and a trailing slash are names like any other, and no
/// handler has them.
pub(crate) fn parse(path: &str) -> Result<Route, Malformed> {
    match path {
        "/healthz" => return Ok(Route::Health),
        "/readyz" => return Ok(Route::Readiness),
        _ => {}
    }
    if let Some(rest) = path.strip_prefix("/api/client/v2.0/app/") {
        let mut segments = rest.split('/');
        let app_id = decode(segments.next().unwrap_or(""))?;
        let rest: Vec<&str> = segments.take(6).collect();
        return Ok(match rest[..] {
            ["service", service, "incoming_webhook", webhook] => {
                Route::App { app_id, target: Target::Webhook { service: decode(service)?, webhook: decode(webhook)? } }
            }
            ref rest => match client_operation(rest)? {
                Some(operation) => Route::App { app_id, target: Target::Client(operation) },
                None => Route::Unserved { app_id },
            },
        });
    }
    if let Some(rest) = path.strip_prefix("/api/client/v2.0/auth/") {
        let segments: Vec<&str> = rest.splitn(4, '/').collect();
        return Ok(account_operation(&segments)?.map_or(Route::Unknown, Route::Account));
    }
    if let Some(rest) = path.strip_prefix("/app/") {
        let (app_id, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let app_id = decode(app_id)?;
        return Ok(match rest.strip_prefix("endpoint") {
            Some(route) if route.is_empty() || route.starts_with('/') => {
                Route::App { app_id, target: Target::Endpoint { route: decode(route)? } }
            }
            _ => Route::Unserved { app_id },
        });
    }
    Ok(Route::Unknown)
}

/// What follows the client app id (http-surface 2.3).
fn client_operation(segments: &[&str]) -> Result<Option<ClientOperation>, Malformed> {
    Ok(Some(match segments {
        ["location"] => ClientOperation::Location,
        ["functions", "call"] => ClientOperation::CallFunction,
        ["auth", "providers", provider, "login"] => ClientOperation::Login { provider: decode(provider)? },
        ["auth", "providers", "local-userpass", rest @ ..] => {
            let path = rest.join("/");
            match EmailPasswordOperation::ALL.into_iter().find(|operation| operation.path() == path) {
                Some(operation) => ClientOperation::EmailPassword(operation),
                None => return Ok(None),
            }
        }
        _ => return Ok(None),
    }))
}

/// What follows `/auth/` where no app is named.
fn account_operation(segments: &[&str]) -> Result<Option<ClientOperation>, Malformed> {
    Ok(Some(match segments {
        ["session"] => ClientOperation::Session,
        ["profile"] => ClientOperation::Profile,
        ["delete"] => ClientOperation::DeleteUser,
        ["api_keys"] => ClientOperation::ApiKeys,
        ["api_keys", id] => ClientOperation::ApiKey { id: decode(id)? },
        ["api_keys", id, "enable"] => ClientOperation::SwitchApiKey { id: decode(id)?, disabled: false },
        ["api_keys", id, "disable"] => ClientOperation::SwitchApiKey { id: decode(id)?, disabled: true },
        _ => return Ok(None),
    }))
}

fn decode(segment: &str) -> Result<String, Malformed> {
    let bytes = segment.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        if bytes[index] == b'%' {
            match bytes.get(index + 1..index + 3) {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => index += 3,
                _ => return Err(Malformed),
            }
        } else {
            index += 1;
        }
    }
    percent_decode_str(segment).decode_utf8().map(|text| text.into_owned()).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(app_id: &str, service: &str, webhook: &str) -> Result<Route, Malformed> {
        let target = Target::Webhook { service: service.into(), webhook: webhook.into() };
        Ok(Route::App { app_id: app_id.into(), target })
    }

    fn endpoint(app_id: &str, route: &str) -> Result<Route, Malformed> {
        Ok(Route::App { app_id: app_id.into(), target: Target::Endpoint { route: route.into() } })
    }

    fn unserved(app_id: &str) -> Result<Route, Malformed> {
        Ok(Route::Unserved { app_id: app_id.into() })
    }

    #[test]
    fn paths() {
        let base = "/api/client/v2.0/app";
        assert_eq!(parse("/healthz"), Ok(Route::Health));
        assert_eq!(parse("/readyz"), Ok(Route::Readiness));
        assert_eq!(parse("/healthz/"), Ok(Route::Unknown));
        assert_eq!(parse("/"), Ok(Route::Unknown));
        assert_eq!(parse("*"), Ok(Route::Unknown));
        assert_eq!(parse("//api/client/v2.0/app/a/service/s/incoming_webhook/h"), Ok(Route::Unknown));
        assert_eq!(parse(&format!("{base}/a/service/s/incoming_webhook/h")), webhook("a", "s", "h"));
        assert_eq!(parse(&format!("{base}/a/service/s%20t/incoming_webhook/h%2Fi")), webhook("a", "s t", "h/i"));
        assert_eq!(parse(&format!("{base}/a/service/s/incoming_webhook/h/")), unserved("a"));
        assert_eq!(parse(&format!("{base}/a/service/s/incoming_webhook/h/x")), unserved("a"));
        assert_eq!(parse(&format!("{base}/a/services/s/incoming_webhook/h")), unserved("a"));
        assert_eq!(parse(&format!("{base}/a/../b/service/s/incoming_webhook/h")), unserved("a"));
        assert_eq!(parse(&format!("{base}/a/service/%zz/incoming_webhook/h")), Err(Malformed));
        assert_eq!(parse(&format!("{base}/a/service/s/incoming_webhook/%ff")), Err(Malformed));
        assert_eq!(parse(&format!("{base}/a/service/s/incoming_webhook/h%")), Err(Malformed));
        assert_eq!(parse(&format!("{base}/a/service/s/incoming_webhook/h%2")), Err(Malformed));
        assert_eq!(parse(&format!("{base}/a/service/s/incoming_webhook/%00")), webhook("a", "s", "\0"));
        let client = |operation| Ok(Route::App { app_id: "a".into(), target: Target::Client(operation) });
        assert_eq!(parse(&format!("{base}/a/location")), client(ClientOperation::Location));
        assert_eq!(parse(&format!("{base}/a/location/")), unserved("a"));
        assert_eq!(parse(&format!("{base}/a/functions/call")), client(ClientOperation::CallFunction));
        let login = |provider: &str| client(ClientOperation::Login { provider: provider.into() });
        assert_eq!(parse(&format!("{base}/a/auth/providers/anon-user/login")), login("anon-user"));
        assert_eq!(parse(&format!("{base}/a/auth/providers/a%2Fb/login")), login("a/b"));
        assert_eq!(parse(&format!("{base}/a/auth/providers/anon-user/register")), unserved("a"));
        for operation in EmailPasswordOperation::ALL {
            let path = format!("{base}/a/auth/providers/local-userpass/{}", operation.path());
            assert_eq!(parse(&path), client(ClientOperation::EmailPassword(operation)));
            assert_eq!(parse(&format!("{path}/")), unserved("a"));
        }
        let account = |path: &str| parse(&format!("/api/client/v2.0/auth/{path}"));
        assert_eq!(account("session"), Ok(Route::Account(ClientOperation::Session)));
        assert_eq!(account("profile"), Ok(Route::Account(ClientOperation::Profile)));
        assert_eq!(account("delete"), Ok(Route::Account(ClientOperation::DeleteUser)));
        assert_eq!(account("api_keys"), Ok(Route::Account(ClientOperation::ApiKeys)));
        let key = |id: &str| Ok(Route::Account(ClientOperation::ApiKey { id: id.into() }));
        assert_eq!(account("api_keys/k"), key("k"));
        assert_eq!(account("api_keys/k/enable/x"), Ok(Route::Unknown));
        let switch = |disabled| Ok(Route::Account(ClientOperation::SwitchApiKey { id: "k".into(), disabled }));
        assert_eq!(account("api_keys/k/enable"), switch(false));
        assert_eq!(account("api_keys/k/disable"), switch(true));
        assert_eq!(account(""), Ok(Route::Unknown));
        assert_eq!(parse("/app/a/endpoint/x/y"), endpoint("a", "/x/y"));
        assert_eq!(parse("/app/a/endpoint/x/"), endpoint("a", "/x/"));
        assert_eq!(parse("/app/a/endpoint/x%2Fy"), endpoint("a", "/x/y"));
        assert_eq!(parse("/app/a/endpoint/../x"), endpoint("a", "/../x"));
        assert_eq!(parse("/app/a/endpoint"), endpoint("a", ""));
        assert_eq!(parse("/app/a/endpoints"), unserved("a"));
        assert_eq!(parse("/app/a"), unserved("a"));
        assert_eq!(parse("/app/%E2%82%AC/endpoint/x"), endpoint("€", "/x"));
        assert_eq!(parse("/application/a"), Ok(Route::Unknown));
    }
}
