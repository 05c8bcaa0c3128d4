//! Query strings and form bodies (http-surface 4.3).

use std::borrow::Cow;
use std::collections::HashSet;

use percent_encoding::percent_decode_str;

/// Fields a form body may have before it is no longer read as a form; bounds the work one body causes.
pub(crate) const FORM_FIELDS_MAX: usize = 100_000;

/// The raw `name[=value]` pairs of a query string or form body, in order; empty pairs are skipped.
pub(crate) fn raw_pairs(text: &str) -> impl Iterator<Item = RawPair<'_>> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        RawPair { pair, name, value }
    })
}

/// One pair as it was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawPair<'a> {
    /// The whole text between two `&`.
    pub pair: &'a str,
    /// Left of the first `=`, still escaped.
    pub name: &'a str,
    /// Right of the first `=`, still escaped; empty without one.
    pub value: &'a str,
}

/// Decodes `+` and percent escapes. A malformed escape stays as it stands, invalid UTF-8 becomes U+FFFD.
pub(crate) fn decode(text: &str) -> String {
    let spaced: Cow<'_, str> = if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// Decoded bytes, for comparisons that must not go through text.
pub(crate) fn decode_bytes(text: &str) -> Vec<u8> {
    percent_decode_str(&text.replace('+', " ")).collect()
}

/// Access token and call of a stream, by their names of before and after 2020 (http-surface 2.3).
pub(crate) const STREAM_PARAMETERS: [&str; 4] = ["baas_at", "baas_request", "stitch_at", "stitch_request"];

/// The first value of a parameter, decoded.
pub(crate) fn parameter(query: &str, name: &str) -> Option<String> {
    raw_pairs(query).find(|pair| decode(pair.name) == name).map(|pair| decode(pair.value))
}

/// The first value of `secret`, decoded to bytes (http-surface 3.4.1).
pub(crate) fn secret(query: &str) -> Option<Vec<u8>> {
    raw_pairs(query).find(|pair| is_secret(pair)).map(|pair| decode_bytes(pair.value))
}

fn is_secret(pair: &RawPair<'_>) -> bool {
    // Short names only can decode to `secret`: six characters of at most three bytes each.
    pair.name.len() <= 18 && decode(pair.name) == "secret"
}

/// `context.request.rawQueryString`: order and escapes kept, every `secret` pair removed (http-surface 6).
pub(crate) fn without_secret(query: &str) -> String {
    // The common case allocates once: nothing to remove and no empty pair to tidy.
    if !raw_pairs(query).any(|pair| is_secret(&pair)) {
        return query.to_owned();
    }
    query.split('&').filter(|text| raw_pairs(text).all(|pair| !is_secret(&pair))).collect::<Vec<_>>().join("&")
}

/// Same as the query, the text of every `secret` replaced; for logs.
///
/// So are the parameters of the client API's streams, which carry a token and the arguments.
pub(crate) fn with_masked_secret(query: &str) -> String {
    let is_masked = |pair: &RawPair<'_>| is_secret(pair) || STREAM_PARAMETERS.contains(&&*decode(pair.name));
    query
        .split('&')
        .map(|text| match raw_pairs(text).next() {
            Some(pair) if is_masked(&pair) => format!("{}=***", pair.name),
            _ => text.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("&")
}

/// `payload.query`: fields of a form body first, then those of the URL; the first of a name counts.
pub(crate) fn fields(form_body: Option<&str>, query: &str, drop_secret: bool) -> Vec<(String, String)> {
    let mut seen = HashSet::new();
    let mut fields = Vec::new();
    let mut add = |pair: RawPair<'_>| {
        let name = decode(pair.name);
        if seen.insert(name.clone()) {
            fields.push((name, decode(pair.value)));
        }
    };
    form_body.into_iter().flat_map(raw_pairs).for_each(&mut add);
    raw_pairs(query).filter(|pair| !(drop_secret && is_secret(pair))).for_each(&mut add);
    fields
}

/// The body's text when it is to be read as a form: the content type says so, it does not look like JSON or XML, and it
/// has no more than [`FORM_FIELDS_MAX`] fields.
pub(crate) fn form_body<'a>(content_type: Option<&str>, body: &'a [u8]) -> Option<Cow<'a, str>> {
    if !is_form(content_type) {
        return None;
    }
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace())?;
    if matches!(first, b'{' | b'[' | b'"' | b'<') {
        return None;
    }
    if body.iter().filter(|byte| **byte == b'&').take(FORM_FIELDS_MAX).count() == FORM_FIELDS_MAX {
        return None;
    }
    Some(String::from_utf8_lossy(body))
}

/// Whether a `Content-Type` is `application/x-www-form-urlencoded`, whatever its parameters.
pub(crate) fn is_form(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|text| {
        let essence = text.split(';').next().unwrap_or("").trim();
        essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_fields(query: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(fields(None, query, false), expected, "{query}");
    }

    #[test]
    fn query_fields() {
        check_fields("", &[]);
        check_fields("a=1&a=2&b=x%20y+z", &[("a", "1"), ("b", "x y z")]);
        check_fields("a", &[("a", "")]);
        check_fields("a=&=b&&", &[("a", ""), ("", "b")]);
        check_fields("a=1,2", &[("a", "1,2")]);
        check_fields("a=b=c", &[("a", "b=c")]);
        check_fields("a=1;b=2", &[("a", "1;b=2")]);
        check_fields("a=%zz&b=%4", &[("a", "%zz"), ("b", "%4")]);
        check_fields("a=%ff", &[("a", "\u{fffd}")]);
        check_fields("caf%C3%A9=%E2%82%AC", &[("café", "€")]);
        check_fields("__proto__=1&constructor=2", &[("__proto__", "1"), ("constructor", "2")]);
    }

    #[test]
    fn hundred_thousand_keys_take_no_time() {
        let query: String = (0..100_000).map(|index| format!("key{index}=v&")).collect();
        assert_eq!(fields(None, &query, false).len(), 100_000);
    }

    #[test]
    fn form_fields_come_first_and_win() {
        let form = form_body(Some("application/x-www-form-urlencoded"), b"command=%2Fgo&text=a+b").unwrap();
        assert_eq!(
            fields(Some(&form), "text=url&z=1", false),
            [("command", "/go"), ("text", "a b"), ("z", "1")].map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
    }

    #[test]
    fn what_is_not_a_form() {
        let form = Some("Application/X-WWW-Form-Urlencoded; charset=utf-8");
        assert!(form_body(form, b"a=1").is_some());
        for body in [&b""[..], b"  {\"a\":1}", b"[1]", b"\"x\"", b"<a/>", b" \r\n "] {
            assert!(form_body(form, body).is_none(), "{body:?}");
        }
        assert!(form_body(Some("application/json"), b"a=1").is_none());
        assert!(form_body(None, b"a=1").is_none());
        assert!(form_body(form, "a&".repeat(FORM_FIELDS_MAX).as_bytes()).is_none());
    }

    #[test]
    fn secret_is_found_and_removed() {
        assert_eq!(secret("a=1&secret=he%6Clo&secret=2"), Some(b"hello".to_vec()));
        assert_eq!(secret("s%65cret=x+y"), Some(b"x y".to_vec()));
        assert_eq!(secret("Secret=1&secrets=2"), None);
        assert_eq!(secret("secret"), Some(Vec::new()));
        assert_eq!(without_secret("secret=hello&someParam=42"), "someParam=42");
        assert_eq!(without_secret("a=%20+&s%65cret=1&b=%zz&secret"), "a=%20+&b=%zz");
        assert_eq!(without_secret("secret=1"), "");
        assert_eq!(without_secret("a=1&&b"), "a=1&&b");
        assert_eq!(with_masked_secret("a=1&secret=hello&b"), "a=1&secret=***&b");
        assert_eq!(with_masked_secret("baas_at=token&a"), "baas_at=***&a");
        let left: Vec<_> = fields(None, "secret=1&a=2", true);
        assert_eq!(left, [("a".to_owned(), "2".to_owned())]);
        assert_eq!(fields(None, "secret=1&a=2", false).len(), 2);
    }
}
