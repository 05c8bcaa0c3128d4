//! Request headers as user code sees them (http-surface 4.4).

use http::HeaderMap;

use crate::addresses::Caller;

/// Not part of `headers`: `Host`, and what belongs to one hop.
const HIDDEN: [&str; 8] =
    ["host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// Set from what we know of the caller, never from what it claims.
const FORWARDING: [&str; 2] = ["x-forwarded-for", "x-cluster-client-ip"];

/// Canonical name to its values, in the order of first occurrence; the two forwarding headers are always there.
pub(crate) fn canonical_headers(headers: &HeaderMap, caller: &Caller) -> Vec<(String, Vec<String>)> {
    let mut result = Vec::with_capacity(headers.keys_len() + 2);
    for name in headers.keys() {
        let name = name.as_str();
        if HIDDEN.contains(&name) || FORWARDING.contains(&name) {
            continue;
        }
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        // HTTP/2 clients may split one cookie header into several; it is one value.
        let values = if name == "cookie" { vec![values.collect::<Vec<_>>().join("; ")] } else { values.collect() };
        result.push((canonical_name(name), values));
    }
    result.push(("X-Cluster-Client-Ip".into(), vec![caller.address.to_string()]));
    result.push(("X-Forwarded-For".into(), vec![caller.forwarded_for.clone()]));
    result
}

/// `content-type` to `Content-Type`, `apikey` to `Apikey`.
fn canonical_name(name: &str) -> String {
    let mut start = true;
    name.chars()
        .map(|character| {
            let next = if start { character.to_ascii_uppercase() } else { character.to_ascii_lowercase() };
            start = character == '-';
            next
        })
        .collect()
}

/// First value of a header, when it is text.
pub(crate) fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_canonical() {
        for (name, expected) in [
            ("content-type", "Content-Type"),
            ("x-amz-firehose-access-key", "X-Amz-Firehose-Access-Key"),
            ("apikey", "Apikey"),
            ("etag", "Etag"),
            ("x--y", "X--Y"),
            ("www-authenticate", "Www-Authenticate"),
        ] {
            assert_eq!(canonical_name(name), expected);
        }
    }

    #[test]
    fn headers_seen_by_user_code() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "example.com"),
            ("x-tag", "1"),
            ("content-type", "application/json"),
            ("x-tag", "2"),
            ("connection", "keep-alive"),
            ("x-forwarded-for", "8.8.8.8"),
            ("x-cluster-client-ip", "8.8.8.8"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        let caller = Caller { address: "10.0.0.9".parse().unwrap(), forwarded_for: "10.0.0.9".into() };
        let seen = canonical_headers(&headers, &caller);
        let value = |name: &str| seen.iter().find(|(header, _)| header == name).map(|(_, values)| values.clone());
        assert_eq!(value("X-Tag").unwrap(), ["1", "2"]);
        assert_eq!(value("Content-Type").unwrap(), ["application/json"]);
        assert_eq!(value("Cookie").unwrap(), ["a=1; b=2"]);
        assert_eq!(value("X-Forwarded-For").unwrap(), ["10.0.0.9"]);
        assert_eq!(value("X-Cluster-Client-Ip").unwrap(), ["10.0.0.9"]);
        assert_eq!(value("Host"), None);
        assert_eq!(value("Connection"), None);
        assert_eq!(seen.len(), 5);
    }
}
