//! Signature and secret checks, in constant time (http-surface 3.4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{HandlerKind, query};

/// Whether two byte strings are equal; the time taken says nothing about where they differ, nor about their lengths.
pub(super) fn equal(left: &[u8], right: &[u8]) -> bool {
    Sha256::digest(left).ct_eq(&Sha256::digest(right)).into()
}

/// The payload signature of webhooks and endpoints: HMAC-SHA-256 over the raw body (http-surface 3.4.2).
pub(super) fn check_payload(
    headers: &HeaderMap,
    kind: HandlerKind,
    secret: &[u8],
    body: &[u8],
) -> Result<(), &'static str> {
    let names: &[&str] = match kind {
        // The second name stands on one page of the oldest documentation.
        HandlerKind::Webhook => &["x-hook-signature", "x-stitch-signature"],
        HandlerKind::Endpoint => &["endpoint-signature"],
    };
    let expected = hmac_sha256(secret, body);
    check_any(names.iter().flat_map(|name| headers.get_all(*name)), |value| {
        // A client that copied a misprint of the documentation sends a second colon.
        let text = value.trim();
        let text = text.strip_prefix(':').unwrap_or(text).trim();
        matches_hex(text, "sha256=", &expected)
    })
}

/// GitHub's delivery signature: the SHA-256 header, else the SHA-1 one (http-surface 3.4.3).
pub(super) fn check_github(headers: &HeaderMap, secret: &[u8], body: &[u8]) -> Result<(), &'static str> {
    if headers.contains_key("x-hub-signature-256") {
        let expected = hmac_sha256(secret, body);
        return check_any(headers.get_all("x-hub-signature-256").iter(), |value| {
            matches_hex(value.trim(), "sha256=", &expected)
        });
    }
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(body);
    let expected = mac.finalize().into_bytes();
    check_any(headers.get_all("x-hub-signature").iter(), |value| matches_hex(value.trim(), "sha1=", &expected))
}

/// Twilio's request signature: base64 HMAC-SHA-1 over the URL and the form's fields in name order.
pub(super) fn check_twilio(headers: &HeaderMap, token: &[u8], url: &str, form: &str) -> Result<(), &'static str> {
    let mut fields: Vec<(String, String)> =
        query::raw_pairs(form).map(|pair| (query::decode(pair.name), query::decode(pair.value))).collect();
    fields.sort();
    let mut mac = Hmac::<Sha1>::new_from_slice(token).expect("HMAC takes a key of any length");
    mac.update(url.as_bytes());
    for (name, value) in &fields {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    let expected = mac.finalize().into_bytes();
    check_any(headers.get_all("x-twilio-signature").iter(), |value| {
        BASE64.decode(value.trim()).is_ok_and(|sent| sent.ct_eq(&expected).into())
    })
}

fn hmac_sha256(secret: &[u8], body: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

/// Accepts when any one of the headers' values does.
fn check_any<'a>(
    values: impl Iterator<Item = &'a http::HeaderValue>,
    accepted: impl Fn(&str) -> bool,
) -> Result<(), &'static str> {
    let mut reason = "no signature header";
    for value in values {
        reason = "wrong signature";
        if value.to_str().is_ok_and(&accepted) {
            return Ok(());
        }
    }
    Err(reason)
}

/// `sha256=<hex>` against a digest; hex in any case, the prefix required.
fn matches_hex(text: &str, prefix: &str, expected: &[u8]) -> bool {
    text.strip_prefix(prefix)
        .and_then(|digits| hex::decode(digits).ok())
        .is_some_and(|sent| sent.ct_eq(expected).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTED: &str = "sha256=828ee180512eaf8a6229eda7eea72323f68e9c0f0093b11a578b0544c5777862";
    const LIVE: &str = "sha256=d4f0537db4e230d7a6028a6f7c3bb1b57c9d16f39176d78697e559ac333e0b36";
    const EMPTY: &str = "sha256=d70d88cd9adf9f928472cc95f58b1415a985df03f4e23841304ea1d1db05433e";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn check(kind: HandlerKind, pairs: &[(&'static str, &str)], secret: &str, body: &str, accepted: bool) {
        let result = check_payload(&headers(pairs), kind, secret.as_bytes(), body.as_bytes());
        assert_eq!(result.is_ok(), accepted, "{kind:?} {pairs:?} {body:?}: {result:?}");
    }

    /// The table of http-surface 3.4.2.
    #[test]
    fn known_answers() {
        use HandlerKind::{Endpoint, Webhook};
        let message = r#"{"message":"MESSAGE"}"#;
        check(Webhook, &[("x-hook-signature", DOCUMENTED)], "12345", message, true);
        check(Endpoint, &[("endpoint-signature", LIVE)], "Super5ecr3tPa55w0rd", r#"{ "message": "Hello!" }"#, true);
        check(Endpoint, &[("endpoint-signature", LIVE)], "Super5ecr3tPa55w0rd", r#"{"message":"Hello!"}"#, false);
        check(
            Endpoint,
            &[("endpoint-signature", "sha256=038c963c2a22696ea9e1ad98fb5aeaeb1f336c0aecf5afdec273d35cad00cf84")],
            "Super5ecr3tPa55w0rd",
            r#"{"message":"Hello!"}"#,
            true,
        );
        check(Webhook, &[("x-hook-signature", EMPTY)], "12345", "", true);
    }

    #[test]
    fn header_forms() {
        use HandlerKind::{Endpoint, Webhook};
        let message = r#"{"message":"MESSAGE"}"#;
        let check_value = |value: &str, accepted| {
            check(Webhook, &[("x-hook-signature", value)], "12345", message, accepted);
        };
        let digits = &DOCUMENTED["sha256=".len()..];
        check_value(&format!(":{DOCUMENTED}"), true);
        check_value(&format!(" : {DOCUMENTED} "), true);
        check_value(&format!("::{DOCUMENTED}"), false);
        check_value(&format!("sha256={}", digits.to_uppercase()), true);
        check_value(digits, false);
        check_value(&format!("sha1={digits}"), false);
        check_value(&DOCUMENTED.replace("828e", "828f"), false);
        check_value(&DOCUMENTED[..DOCUMENTED.len() - 1], false);
        check_value(&format!("{DOCUMENTED}00"), false);
        check_value("sha256=", false);
        check_value("", false);
        check_value("sha256=zz", false);
        check(Webhook, &[], "12345", message, false);
        // WH-21: each kind reads its own header only.
        check(Webhook, &[("endpoint-signature", DOCUMENTED)], "12345", message, false);
        check(Endpoint, &[("x-hook-signature", DOCUMENTED)], "12345", message, false);
        // Several headers: any one that matches will do.
        check(Webhook, &[("x-hook-signature", EMPTY), ("x-hook-signature", DOCUMENTED)], "12345", message, true);
    }

    #[test]
    fn github_prefers_the_longer_digest() {
        // RFC 2202 test case 2 gives the SHA-1 digest, RFC 4231 test case 2 the SHA-256 one.
        let (secret, body) = (b"Jefe", b"what do ya want for nothing?");
        let long = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let short = "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79";
        let check = |pairs: &[(&'static str, &str)]| check_github(&headers(pairs), secret, body).is_ok();
        assert!(check(&[("x-hub-signature-256", long)]));
        assert!(check(&[("x-hub-signature", short)]));
        assert!(check(&[("x-hub-signature-256", long), ("x-hub-signature", "sha1=00")]));
        assert!(!check(&[("x-hub-signature-256", "sha256=00"), ("x-hub-signature", short)]));
        assert!(!check(&[]));
        assert!(!check(&[("x-hub-signature", long)]));
    }

    #[test]
    fn twilio_signs_url_and_sorted_fields() {
        let url = "https://example.com/hook?x=1";
        let mut mac = Hmac::<Sha1>::new_from_slice(b"token").unwrap();
        mac.update(b"https://example.com/hook?x=1BodyHi thereFrom+123");
        let signature = BASE64.encode(mac.finalize().into_bytes());
        let form = "From=%2B123&Body=Hi+there";
        assert!(check_twilio(&headers(&[("x-twilio-signature", &signature)]), b"token", url, form).is_ok());
        assert!(check_twilio(&headers(&[("x-twilio-signature", &signature)]), b"other", url, form).is_err());
        assert!(check_twilio(&headers(&[("x-twilio-signature", &signature)]), b"token", url, "From=1").is_err());
        assert!(check_twilio(&headers(&[]), b"token", url, form).is_err());
    }

    #[test]
    fn equality() {
        assert!(equal(b"12345", b"12345"));
        assert!(!equal(b"12345", b"1234"));
        assert!(!equal(b"12345", b"12346"));
        assert!(!equal(b"", b"12345"));
    }
}
