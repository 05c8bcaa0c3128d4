//! What must hold for any bytes a stranger sends. Each function panics when it does not; fuzz targets and the tests below
//! call them.

use std::collections::HashSet;
use std::sync::Arc;

use app_model::App;
use auth::{Accounts, Auth, AuthParts, AuthSettings, FetchAnswer, FetchHttp, FetchRequest, OutsideFuture};
use http::{HeaderMap, HeaderValue};
use services::mongodb_atlas::{Connection, ConnectionSettings};

use crate::{HandlerKind, query, webhook};

/// Query strings and form bodies: fields are unique, `secret` is gone where it has to be, nothing else is lost.
pub fn query_string(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let all = query::fields(None, &text, false);
    let names: HashSet<&String> = all.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), all.len(), "a name comes twice");
    let without = query::fields(None, &text, true);
    let expected: Vec<_> = all.iter().filter(|(name, _)| name != "secret").cloned().collect();
    assert_eq!(without, expected, "dropping the secret drops nothing else");
    let raw = query::without_secret(&text);
    assert_eq!(query::secret(&raw), None, "the raw query string still holds the secret");
    assert_eq!(query::fields(None, &raw, false), expected, "the raw query string lost a field");
    let masked = query::with_masked_secret(&text);
    assert!(query::secret(&masked).is_none_or(|secret| secret == b"***"), "a log would show the secret");
    if let Some(form) = query::form_body(Some("application/x-www-form-urlencoded"), data) {
        let fields = query::fields(Some(&form), "", false);
        assert!(fields.len() <= query::FORM_FIELDS_MAX, "a form has too many fields");
    }
}

/// Values of a signature header: accepted only when they hold the right digest.
pub fn signature_header(data: &[u8]) {
    let (secret, body) = (b"12345", br#"{"message":"MESSAGE"}"#);
    let digest = "828ee180512eaf8a6229eda7eea72323f68e9c0f0093b11a578b0544c5777862";
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let mut headers = HeaderMap::new();
    headers.insert("x-hook-signature", value);
    let accepted = webhook::check_payload_signature(&headers, HandlerKind::Webhook, secret, body);
    let right = String::from_utf8_lossy(data).to_ascii_lowercase().contains(digest);
    assert!(!accepted || right, "a wrong signature was accepted");
    // The right one beside it is still found.
    headers.append(
        "x-hook-signature",
        HeaderValue::from_static("sha256=828ee180512eaf8a6229eda7eea72323f68e9c0f0093b11a578b0544c5777862"),
    );
    assert!(webhook::check_payload_signature(&headers, HandlerKind::Webhook, secret, body));
}

/// The users of an app whose database is nowhere; for pipelines that ask for none.
pub fn users_of_nowhere(app: &Arc<App>) -> Arc<Auth> {
    struct NoFetch;

    impl FetchHttp for NoFetch {
        fn fetch(&self, _request: FetchRequest) -> OutsideFuture<'_, Result<FetchAnswer, String>> {
            Box::pin(async { Err("nothing is fetched here".to_owned()) })
        }
    }

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    // Leaked: the driver's background tasks belong to it for as long as the process lives.
    let runtime = Box::leak(Box::new(runtime.expect("a runtime can be had")));
    let connection = runtime.block_on(Connection::open("mongodb://127.0.0.1:1", ConnectionSettings::default()));
    let connection = connection.expect("the connection string is well-formed");
    let parts = AuthParts {
        accounts: Accounts::new(connection.client(), &app.app_id, AuthSettings::default()),
        fetch: Arc::new(NoFetch),
        mailer: None,
        custom_data_client: None,
    };
    Arc::new(Auth::new(Arc::clone(app), parts))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn query_strings_of_any_bytes(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            super::query_string(&data);
        }

        #[test]
        fn query_strings_of_likely_bytes(text in "([a-c]|secret|s%65cret|%|%2|%zz|%00|&|=|\\+|;|,|é){0,40}") {
            super::query_string(text.as_bytes());
        }

        #[test]
        fn signature_headers_of_any_bytes(data in proptest::collection::vec(any::<u8>(), 0..120)) {
            super::signature_header(&data);
        }

        #[test]
        fn signature_headers_of_likely_bytes(
            text in "[: ]{0,3}(sha256=|sha1=|SHA256=)?(828ee180512eaf8a6229eda7eea72323f68e9c0f0093b11a578b0544c5777862)?[0-9a-fA-F]{0,66}"
        ) {
            super::signature_header(text.as_bytes());
        }
    }
}
