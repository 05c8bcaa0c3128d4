//! One outgoing request, from the fields of function-environment 5.2.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::raw::{RawBsonRef, RawDocument};
use bson::{Bson, Document, doc};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use url::Url;

use super::digest::Challenge;
use super::form;
use crate::ServiceError;
use crate::arguments::Arguments;

/// Headers that belong to the connection: a caller's values would let one request look like two. `Host` is that of the
/// URL, which rules and the address policy have seen.
const OWN_HEADERS: [HeaderName; 10] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::HOST,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Headers that tell who is asking; they stay with the host they were meant for.
const CREDENTIAL_HEADERS: [HeaderName; 2] = [header::AUTHORIZATION, header::COOKIE];

/// One outgoing request.
#[derive(Debug, Clone)]
pub(crate) struct OutboundRequest {
    pub method: Method,
    /// Without credentials and fragment.
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Fetched first, for its cookies.
    pub auth_url: Option<Url>,
    pub follows_redirects: bool,
    /// User name and password for digest authentication.
    digest: Option<(String, String)>,
}

impl OutboundRequest {
    /// A plain GET.
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            auth_url: None,
            follows_redirects: false,
            digest: None,
        }
    }

    /// A request whose parts are all known.
    pub fn new(method: Method, url: Url, headers: HeaderMap, body: Bytes) -> Self {
        Self { method, headers, body, ..Self::get(url) }
    }

    pub fn parse(method: Method, arguments: Arguments<'_>) -> Result<Self, ServiceError> {
        let mut url = target(arguments)?;
        let credentials = credentials(arguments, &mut url)?;
        let auth_url =
            arguments.optional_text("authUrl")?.map(|text| parse_url(arguments, "authUrl", text)).transpose()?;
        let mut request = Self {
            method,
            url,
            headers: headers(arguments)?,
            body: Bytes::new(),
            auth_url,
            follows_redirects: arguments.flag("followRedirects")?.unwrap_or(false),
            digest: None,
        };
        request.add_cookies(named_texts(arguments, "cookies")?);
        request.take_body(arguments)?;
        match credentials {
            Some(credentials) if arguments.flag("digestAuth")?.unwrap_or(false) => request.digest = Some(credentials),
            Some((username, password)) if !request.headers.contains_key(header::AUTHORIZATION) => {
                request.set_authorization(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))));
            }
            _ => {}
        }
        Ok(request)
    }

    fn take_body(&mut self, arguments: Arguments<'_>) -> Result<(), ServiceError> {
        let body = arguments.value("body")?;
        if arguments.value("form")?.is_some() {
            if body.is_some() {
                return Err(ServiceError::invalid("http: 'form' and 'body' exclude each other"));
            }
            let fields = named_texts(arguments, "form")?;
            let is_multipart = self
                .headers
                .get(header::CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .is_some_and(|value| value.trim().to_ascii_lowercase().starts_with("multipart/form-data"));
            if is_multipart {
                let (content_type, body) = form::multipart(&fields);
                self.headers.remove(header::CONTENT_TYPE);
                self.set_content_type(&content_type);
                self.body = body;
            } else {
                self.body = form::url_encoded(&fields);
                self.set_content_type("application/x-www-form-urlencoded");
            }
            return Ok(());
        }
        match body {
            None => {}
            Some(RawBsonRef::String(text)) => {
                self.body = Bytes::copy_from_slice(text.as_bytes());
                let is_json = arguments.flag("isJson")?.unwrap_or(false);
                self.set_content_type(if is_json { "application/json" } else { "text/plain; charset=utf-8" });
            }
            Some(RawBsonRef::Binary(binary)) => self.body = Bytes::copy_from_slice(binary.bytes),
            Some(_) => return Err(arguments.invalid("body", "a string or Binary; encodeBodyAsJSON sends other values")),
        }
        Ok(())
    }

    /// Unless the caller chose one.
    fn set_content_type(&mut self, content_type: &str) {
        if let Ok(value) = HeaderValue::from_str(content_type) {
            self.headers.entry(header::CONTENT_TYPE).or_insert(value);
        }
    }

    /// Adds to the cookies the request carries already.
    pub fn add_cookies(&mut self, cookies: Vec<(String, String)>) {
        let mut pairs: Vec<String> = Vec::new();
        if let Some(before) = self.headers.get(header::COOKIE).and_then(|value| value.to_str().ok()) {
            pairs.push(before.to_owned());
        }
        let is_clean = |text: &str| !text.contains([';', '\r', '\n', '\0']);
        pairs.extend(
            cookies
                .iter()
                .filter(|(name, value)| is_clean(name) && is_clean(value))
                .map(|(name, value)| format!("{name}={value}")),
        );
        if let Ok(value) = HeaderValue::from_bytes(pairs.join("; ").as_bytes())
            && !value.is_empty()
        {
            self.headers.insert(header::COOKIE, value);
        }
    }

    pub fn set_authorization(&mut self, text: String) {
        if let Ok(mut value) = HeaderValue::from_bytes(text.as_bytes()) {
            value.set_sensitive(true);
            self.headers.insert(header::AUTHORIZATION, value);
        }
    }

    /// The `Authorization` header that answers a 401, once, when digest authentication was asked for.
    pub fn answer_challenge(&mut self, headers: &HeaderMap) -> Result<Option<String>, ServiceError> {
        let Some((username, password)) = &self.digest else { return Ok(None) };
        let challenge = headers
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find_map(Challenge::parse);
        let uri = match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        };
        Ok(challenge.map(|challenge| challenge.answer(username, password, self.method.as_str(), &uri)))
    }

    /// `%%args` of a rule (rules-and-users 6.3): the caller's fields, with what is sent in place of what was written.
    pub fn rule_arguments(&self, arguments: Arguments<'_>) -> Result<Document, ServiceError> {
        let mut judged = Document::new();
        for field in ["cookies", "form", "username", "password", "digestAuth", "authUrl", "followRedirects"] {
            if let Some(value) = arguments.optional_bson(field)? {
                judged.insert(field, value);
            }
        }
        judged.insert("url", rule_url(&self.url));
        let mut headers = Document::new();
        for name in self.headers.keys().filter(|name| !CREDENTIAL_HEADERS.contains(*name)) {
            let values = self.headers.get_all(name).iter();
            let values: Vec<String> = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into()).collect();
            headers.insert(super::response::canonical(name.as_str()), values);
        }
        judged.insert("headers", headers);
        let is_json = arguments.flag("isJson")?.unwrap_or(false);
        judged.insert("encodeBodyAsJSON", is_json);
        let body = match arguments.optional_bson("body")? {
            Some(Bson::String(text)) if is_json => serde_json::from_str::<serde_json::Value>(&text)
                .ok()
                .and_then(|json| Bson::try_from(json).ok())
                .unwrap_or(Bson::String(text)),
            Some(body) => body,
            None => return Ok(judged),
        };
        judged.insert("body", body);
        Ok(judged)
    }

    /// The request a redirect asks for; `None` when the answer is no redirect.
    pub fn redirected(&self, status: StatusCode, headers: &HeaderMap) -> Result<Option<Self>, ServiceError> {
        let Some(location) = headers.get(header::LOCATION) else { return Ok(None) };
        let switches_to_get = match status {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
            _ => return Ok(None),
        };
        let failed = |reason: &str| ServiceError::Http { text: format!("{} {}: {reason}", self.method, self.url) };
        let location = std::str::from_utf8(location.as_bytes()).map_err(|_| failed("the redirect cannot be read"))?;
        let mut url = self.url.join(location).map_err(|_| failed("the redirect cannot be read"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(failed("the redirect leaves http"));
        }
        strip(&mut url);
        let mut next = self.clone();
        if url.origin() != self.url.origin() {
            for name in CREDENTIAL_HEADERS {
                next.headers.remove(name);
            }
            next.digest = None;
        }
        if switches_to_get {
            next.method = Method::GET;
            next.body = Bytes::new();
            next.headers.remove(header::CONTENT_TYPE);
        }
        next.url = url;
        Ok(Some(next))
    }
}

/// The URL of `url`, or of `scheme`, `host` and `path`; with `query` added.
fn target(arguments: Arguments<'_>) -> Result<Url, ServiceError> {
    let mut url = match arguments.optional_text("url")? {
        Some(text) => parse_url(arguments, "url", text)?,
        None => {
            let host = match arguments.optional_text("host")? {
                Some(host) => Some(host),
                None => arguments.optional_text("domain")?,
            };
            let host = host.ok_or_else(|| ServiceError::invalid("http: one of 'url' and 'host' is needed"))?;
            let scheme = arguments.optional_text("scheme")?.unwrap_or("http");
            if !["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
                return Err(ServiceError::invalid(format!("http: unsupported scheme '{scheme}'")));
            }
            let path = arguments.optional_text("path")?.unwrap_or_default();
            let path = path.strip_prefix('/').unwrap_or(path);
            parse_url(arguments, "host", &format!("{scheme}://{host}/{path}"))?
        }
    };
    if let Some(query) = arguments.optional_raw_document("query")? {
        let pairs = multiple_texts(arguments, "query", query)?;
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
    }
    url.set_fragment(None);
    Ok(url)
}

/// A URL as rules see it: its parts, and its text under the empty name, which `%%args.url` by itself stands for.
fn rule_url(url: &Url) -> Document {
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut query = Document::new();
    for (name, value) in url.query_pairs() {
        match query.get_mut(&*name) {
            Some(Bson::Array(values)) => values.push(value.into_owned().into()),
            _ => drop(query.insert(name.into_owned(), vec![value.into_owned()])),
        }
    }
    doc! { "": url.as_str(), "scheme": url.scheme(), "host": host, "path": url.path(), "query": query }
}

fn parse_url(arguments: Arguments<'_>, key: &str, text: &str) -> Result<Url, ServiceError> {
    let url = Url::parse(text).map_err(|_| arguments.invalid(key, "part of an absolute URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ServiceError::invalid(format!("http: unsupported scheme '{}'", url.scheme())));
    }
    if url.host().is_none() {
        return Err(arguments.invalid(key, "part of a URL with a host"));
    }
    Ok(url)
}

/// `username` and `password`, or those of the URL, which loses them.
fn credentials(arguments: Arguments<'_>, url: &mut Url) -> Result<Option<(String, String)>, ServiceError> {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let of_url = (!url.username().is_empty() || url.password().is_some())
        .then(|| (decode(url.username()), decode(url.password().unwrap_or_default())));
    strip(url);
    Ok(match arguments.optional_text("username")? {
        Some(username) => {
            Some((username.to_owned(), arguments.optional_text("password")?.unwrap_or_default().to_owned()))
        }
        None => of_url,
    })
}

fn strip(url: &mut Url) {
    // Both fail only for URLs without a host, which parse_url refuses.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
}

fn headers(arguments: Arguments<'_>) -> Result<HeaderMap, ServiceError> {
    let mut headers = HeaderMap::new();
    let Some(given) = arguments.optional_raw_document("headers")? else { return Ok(headers) };
    for (name, value) in multiple_texts(arguments, "headers", given)? {
        let invalid = || ServiceError::invalid(format!("http: header {name:?} cannot be sent"));
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| invalid())?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| invalid())?;
        if !OWN_HEADERS.contains(&name) {
            headers.try_append(name, value).map_err(|_| ServiceError::invalid("http: too many headers"))?;
        }
    }
    Ok(headers)
}

/// An object of names to texts.
fn named_texts(arguments: Arguments<'_>, key: &str) -> Result<Vec<(String, String)>, ServiceError> {
    match arguments.optional_raw_document(key)? {
        None => Ok(Vec::new()),
        Some(document) => multiple_texts(arguments, key, document),
    }
}

/// Names to texts, where a value may be an array of texts.
fn multiple_texts(
    arguments: Arguments<'_>,
    key: &str,
    document: &RawDocument,
) -> Result<Vec<(String, String)>, ServiceError> {
    let mut pairs = Vec::new();
    for element in document {
        let (name, value) = element?;
        match value {
            RawBsonRef::Array(values) => {
                for value in values {
                    let value = value?;
                    pairs.push((name.as_str().to_owned(), scalar_text(arguments, key, value)?));
                }
            }
            RawBsonRef::Null | RawBsonRef::Undefined => {}
            value => pairs.push((name.as_str().to_owned(), scalar_text(arguments, key, value)?)),
        }
    }
    Ok(pairs)
}

fn scalar_text(arguments: Arguments<'_>, key: &str, value: RawBsonRef<'_>) -> Result<String, ServiceError> {
    Ok(match value {
        RawBsonRef::String(text) => text.to_owned(),
        RawBsonRef::Int32(number) => number.to_string(),
        RawBsonRef::Int64(number) => number.to_string(),
        RawBsonRef::Double(number) => number.to_string(),
        RawBsonRef::Boolean(flag) => flag.to_string(),
        RawBsonRef::ObjectId(id) => id.to_hex(),
        _ => return Err(arguments.invalid(key, "an object of strings or arrays of strings")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: Document) -> Result<OutboundRequest, String> {
        let raw = bson::raw::RawDocumentBuf::try_from(&arguments).expect("a small document encodes");
        let arguments = Arguments::parse("get", &raw).expect("shallow");
        OutboundRequest::parse(Method::POST, arguments).map_err(|error| error.to_string())
    }

    fn url(arguments: Document) -> Result<String, String> {
        parse(arguments).map(|request| request.url.to_string())
    }

    #[test]
    fn targets() {
        for (arguments, expected) in [
            (doc! { "url": "http://a.b/c?d=e#f" }, Ok("http://a.b/c?d=e")),
            (doc! { "url": "http://a.b", "query": { "x": ["1", "2"], "y": "a b" } }, Ok("http://a.b/?x=1&x=2&y=a+b")),
            (doc! { "host": "a.b:81", "path": "c" }, Ok("http://a.b:81/c")),
            (doc! { "scheme": "https", "domain": "a.b", "path": "/c?d=e" }, Ok("https://a.b/c?d=e")),
            (doc! { "url": "http://u:p@a.b/" }, Ok("http://a.b/")),
            (doc! { "url": "http://2130706433/" }, Ok("http://127.0.0.1/")),
            (doc! { "url": "http://0x7f.1/" }, Ok("http://127.0.0.1/")),
            (doc! {}, Err("http: one of 'url' and 'host' is needed")),
            (doc! { "url": "file:///etc/passwd" }, Err("http: unsupported scheme 'file'")),
            (
                doc! { "scheme": "http://evil.example/?", "host": "a.b" },
                Err("http: unsupported scheme 'http://evil.example/?'"),
            ),
            (doc! { "host": "a.b", "path": "@evil.example" }, Ok("http://a.b/@evil.example")),
            (doc! { "url": "http://a.b/c\r\nX: y" }, Ok("http://a.b/cX:%20y")),
            (doc! { "url": "/a" }, Err("get: 'url' must be part of an absolute URL")),
        ] {
            assert_eq!(url(arguments.clone()), expected.map(str::to_owned).map_err(str::to_owned), "{arguments}");
        }
    }

    #[test]
    fn headers_bodies_and_credentials() {
        let request = parse(doc! {
            "url": "http://u:p%40@a.b/", "body": "text", "headers": { "X-A": ["1", "2"], "Content-Length": "999", "Host": "evil" },
            "cookies": { "c": "d", "e": "f" },
        })
        .expect("well-formed");
        let all: Vec<_> = request.headers.get_all("x-a").iter().collect();
        assert_eq!(all, ["1", "2"]);
        assert_eq!((request.headers.get("content-length"), request.headers.get("host")), (None, None));
        assert_eq!(request.headers["cookie"], "c=d; e=f");
        assert_eq!(request.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(request.headers["authorization"], format!("Basic {}", STANDARD.encode("u:p@")));

        let json = parse(doc! { "url": "http://a.b/", "body": "{}", "isJson": true }).expect("well-formed");
        assert_eq!(json.headers["content-type"], "application/json");
        let form = parse(doc! { "url": "http://a.b/", "form": { "a": "1 2" } }).expect("well-formed");
        assert_eq!(
            (&form.body[..], &form.headers["content-type"]),
            (&b"a=1+2"[..], &HeaderValue::from_static("application/x-www-form-urlencoded"))
        );
        assert!(parse(doc! { "url": "http://a.b/", "form": {}, "body": "" }).is_err());
        assert!(parse(doc! { "url": "http://a.b/", "body": 5 }).is_err());
        assert!(parse(doc! { "url": "http://a.b/", "headers": { "X": "a\r\nY: b" } }).is_err());
        assert!(parse(doc! { "url": "http://a.b/", "headers": { "X Y": "a" } }).is_err());
    }

    #[test]
    fn redirects() {
        let request =
            parse(doc! { "url": "http://u:p@a.b/c", "body": "x", "headers": { "X-A": "1" } }).expect("well-formed");
        let location =
            |text: &str| HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_str(text).expect("a value"))]);
        let follow = |status: u16, to: &str| {
            let status = StatusCode::from_u16(status).expect("a status");
            request.redirected(status, &location(to)).expect("a readable redirect")
        };
        let same = follow(302, "/d").expect("a redirect");
        assert_eq!((same.method, same.url.as_str(), same.body.is_empty()), (Method::GET, "http://a.b/d", true));
        assert!(same.headers.contains_key("authorization"));
        let other = follow(307, "http://e.f/").expect("a redirect");
        assert_eq!((&other.method, &other.body[..]), (&Method::POST, &b"x"[..]));
        assert!(!other.headers.contains_key("authorization") && other.headers.contains_key("x-a"));
        assert!(follow(200, "/d").is_none() && follow(304, "/d").is_none());
        assert!(request.redirected(StatusCode::FOUND, &location("file:///etc/passwd")).is_err());
    }
}
