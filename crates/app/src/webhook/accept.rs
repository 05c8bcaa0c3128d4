//! Which format the caller asks for (http-surface 5.6).

use http::HeaderMap;
use isolate::ResultFormat;

/// The first of the two exact media types in `Accept`; anything else selects nothing.
pub(super) fn selected(headers: &HeaderMap) -> Option<ResultFormat> {
    headers
        .get_all(http::header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|item| match item.trim() {
            item if item.eq_ignore_ascii_case("application/json") => Some(ResultFormat::Json),
            item if item.eq_ignore_ascii_case("application/ejson") => Some(ResultFormat::CanonicalEjson),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_headers() {
        let check = |values: &[&str], expected| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("accept", value.parse().unwrap());
            }
            assert_eq!(selected(&headers), expected, "{values:?}");
        };
        check(&[], None);
        check(&["*/*"], None);
        check(&["application/json"], Some(ResultFormat::Json));
        check(&["Application/EJSON"], Some(ResultFormat::CanonicalEjson));
        check(&["text/html, application/ejson, application/json"], Some(ResultFormat::CanonicalEjson));
        check(&["application/json;q=0.9"], None);
        check(&["text/plain", "application/json"], Some(ResultFormat::Json));
    }
}
