//! AWS Signature Version 4: of requests, of URLs, and of upload policies.
//!
//! Own code instead of the SDK's crate, which would bring a second copy of the hashing crates, an older `http` and half of
//! the SDK's runtime; the algorithm is four HMACs, and AWS publishes vectors for it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bson::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use url::Url;

/// What a signature is made with. The key never shows in `Debug`.
#[derive(Clone)]
pub(super) struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same for a path of several segments.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// A name or value of a query string.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A path, whose slashes stay.
pub(super) fn encode_path(text: &str) -> String {
    utf8_percent_encode(text, RESERVED_IN_PATH).to_string()
}

/// A query string in canonical order.
pub(super) fn query(pairs: &[(String, String)]) -> String {
    let mut encoded: Vec<(String, String)> = pairs.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    encoded.sort();
    let pairs: Vec<String> = encoded.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Time, region and service a signature is for.
#[derive(Debug, Clone)]
pub(super) struct Scope<'a> {
    pub time: SystemTime,
    pub region: &'a str,
    pub service: &'a str,
}

impl Scope<'_> {
    /// `20150830T123600Z`
    pub fn timestamp(&self) -> String {
        let text = iso_time(self.time);
        let (seconds, _) = text.split_once('.').unwrap_or((text.trim_end_matches('Z'), ""));
        format!("{}Z", seconds.replace(['-', ':'], ""))
    }

    fn date(&self) -> String {
        self.timestamp().chars().take(8).collect()
    }

    /// `20150830/us-east-1/iam/aws4_request`
    fn text(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date(), self.region, self.service)
    }

    pub fn credential(&self, credentials: &Credentials) -> String {
        format!("{}/{}", credentials.access_key_id, self.text())
    }

    /// Signature of a text in hexadecimal digits.
    pub fn sign(&self, credentials: &Credentials, text: &str) -> String {
        let key = hmac(format!("AWS4{}", credentials.secret_access_key).as_bytes(), &self.date());
        let key = hmac(&hmac(&hmac(&key, self.region), self.service), "aws4_request");
        hex::encode(hmac(&key, text))
    }

    fn sign_canonical(&self, credentials: &Credentials, canonical: &str) -> String {
        let hash = sha256_hex(canonical.as_bytes());
        self.sign(credentials, &format!("AWS4-HMAC-SHA256\n{}\n{}\n{hash}", self.timestamp(), self.text()))
    }

    /// The `Authorization` header of a request. All of `headers` are signed, and the host of `url`, whose query must be in
    /// canonical order already.
    pub fn authorization(
        &self,
        credentials: &Credentials,
        method: &str,
        url: &Url,
        headers: &HeaderMap,
        body_hash: &str,
    ) -> String {
        let mut lines: Vec<(String, String)> = vec![("host".to_owned(), host(url))];
        for name in headers.keys() {
            let values = headers.get_all(name).iter().map(|value| collapse(&String::from_utf8_lossy(value.as_bytes())));
            lines.push((name.as_str().to_owned(), values.collect::<Vec<_>>().join(",")));
        }
        lines.sort();
        let signed: Vec<&str> = lines.iter().map(|(name, _)| name.as_str()).collect();
        let signed = signed.join(";");
        let header_lines: String = lines.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let query = url.query().unwrap_or_default();
        let canonical = format!("{method}\n{}\n{query}\n{header_lines}\n{signed}\n{body_hash}", self.path(url));
        let signature = self.sign_canonical(credentials, &canonical);
        let credential = self.credential(credentials);
        format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}")
    }

    /// A URL that lets its holder make one kind of request until it expires; `url` has no query yet.
    pub fn presigned(&self, credentials: &Credentials, method: &str, url: &Url, expires: Duration) -> Url {
        let pairs = [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", self.credential(credentials)),
            ("X-Amz-Date", self.timestamp()),
            ("X-Amz-Expires", expires.as_secs().to_string()),
            ("X-Amz-SignedHeaders", "host".to_owned()),
        ];
        let query = query(&pairs.map(|(name, value)| (name.to_owned(), value)));
        let canonical = format!("{method}\n{}\n{query}\nhost:{}\n\nhost\nUNSIGNED-PAYLOAD", self.path(url), host(url));
        let signature = self.sign_canonical(credentials, &canonical);
        let mut url = url.clone();
        url.set_query(Some(&format!("{query}&X-Amz-Signature={signature}")));
        url
    }

    /// Every service but S3 has paths encoded once more.
    fn path(&self, url: &Url) -> String {
        if self.service == "s3" { url.path().to_owned() } else { encode_path(url.path()) }
    }
}

/// `2015-08-30T12:36:00Z`
pub(super) fn iso_time(time: SystemTime) -> String {
    let millis = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let time = DateTime::from_millis(i64::try_from(millis).unwrap_or(i64::MAX));
    time.try_to_rfc3339_string().unwrap_or_default()
}

/// `host` or `host:port`, as the client sends it.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Trimmed, with inner runs of spaces made one.
fn collapse(text: &str) -> String {
    text.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn credentials(access_key_id: &str, secret_access_key: &str) -> Credentials {
        Credentials { access_key_id: access_key_id.to_owned(), secret_access_key: secret_access_key.to_owned() }
    }

    /// The examples of the "Signature Version 4 test suite" of AWS: 2015-08-30T12:36:00Z, us-east-1, "service".
    #[test]
    fn test_suite() {
        let credentials = credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let scope = Scope { time: at(1_440_938_160), region: "us-east-1", service: "service" };
        assert_eq!(scope.timestamp(), "20150830T123600Z");
        let empty = sha256_hex(b"");
        let signature = |method: &str, url: &str, extra: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-date", "20150830T123600Z".parse().expect("a value"));
            for (name, value) in extra {
                headers.append(*name, value.parse().expect("a value"));
            }
            let url = Url::parse(url).expect("a URL");
            let header = scope.authorization(&credentials, method, &url, &headers, &empty);
            header.rsplit('=').next().expect("a signature").to_owned()
        };
        // get-vanilla, get-vanilla-query-order-key-case, post-vanilla, get-header-value-trim
        assert_eq!(
            signature("GET", "https://example.amazonaws.com/", &[]),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        assert_eq!(
            signature("GET", "https://example.amazonaws.com/?Param1=value1&Param2=value2", &[]),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
        );
        assert_eq!(
            signature("POST", "https://example.amazonaws.com/", &[]),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
        assert_eq!(
            signature(
                "GET",
                "https://example.amazonaws.com/",
                &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")]
            ),
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"
        );
    }

    /// The examples of the page "Authenticating Requests" of Amazon S3's API reference: 2013-05-24, bucket examplebucket.
    #[test]
    fn s3_examples() {
        let credentials = credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let scope = Scope { time: at(1_369_353_600), region: "us-east-1", service: "s3" };
        let empty = sha256_hex(b"");
        let headers = HeaderMap::from_iter([
            ("range".parse().expect("a name"), "bytes=0-9".parse().expect("a value")),
            ("x-amz-content-sha256".parse().expect("a name"), empty.parse().expect("a value")),
            ("x-amz-date".parse().expect("a name"), "20130524T000000Z".parse().expect("a value")),
        ]);
        let url = Url::parse("https://examplebucket.s3.amazonaws.com/test.txt").expect("a URL");
        let header = scope.authorization(&credentials, "GET", &url, &headers, &empty);
        assert_eq!(
            header,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let presigned = scope.presigned(&credentials, "GET", &url, Duration::from_secs(86_400));
        assert!(
            presigned
                .as_str()
                .ends_with("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"),
            "{presigned}"
        );
        assert!(!format!("{credentials:?}").contains("wJalr"));
    }

    #[test]
    fn queries_are_ordered_and_encoded() {
        let pairs = [("b", "2"), ("a", "ä/ "), ("B", "~")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(query(&pairs), "B=~&a=%C3%A4%2F%20&b=2");
    }
}
