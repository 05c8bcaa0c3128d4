//! What came back, as user code sees it (function-environment 5.3).

use bson::Binary;
use bson::cstr;
use bson::raw::{CString, RawArrayBuf, RawDocumentBuf};
use bson::spec::BinarySubtype;
use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{StatusCode, response};

/// An answer with its body read.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    parts: response::Parts,
    body: Bytes,
    /// -1 when unknown.
    content_length: i64,
}

impl HttpAnswer {
    pub fn new(parts: response::Parts, body: Bytes, content_length: i64) -> Self {
        Self { parts, body, content_length }
    }

    pub fn status(&self) -> StatusCode {
        self.parts.status
    }

    pub fn body(&self) -> &Bytes {
        &self.body
    }

    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Names and values of `Set-Cookie`.
    pub fn cookies(&self) -> Vec<(String, String)> {
        self.parts
            .headers
            .get_all(header::SET_COOKIE)
            .iter()
            .filter_map(|value| {
                let text = String::from_utf8_lossy(value.as_bytes());
                let (name, value) = text.split(';').next()?.split_once('=')?;
                Some((name.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
            })
            .filter(|(name, _)| !name.is_empty())
            .collect()
    }

    /// `{status, statusCode, contentLength, headers, cookies, body}`.
    pub fn reply(&self) -> RawDocumentBuf {
        let mut reply = RawDocumentBuf::new();
        let reason = match self.parts.extensions.get::<hyper::ext::ReasonPhrase>() {
            Some(reason) => String::from_utf8_lossy(reason.as_bytes()).into_owned(),
            None => self.parts.status.canonical_reason().unwrap_or_default().to_owned(),
        };
        let code = self.parts.status.as_u16();
        reply.append(cstr!("status"), format!("{code} {reason}").trim_end());
        reply.append(cstr!("statusCode"), i32::from(code));
        match i32::try_from(self.content_length) {
            Ok(length) => reply.append(cstr!("contentLength"), length),
            Err(_) => reply.append(cstr!("contentLength"), self.content_length),
        }
        let mut headers = RawDocumentBuf::new();
        for name in self.parts.headers.keys() {
            let values: RawArrayBuf = self
                .parts
                .headers
                .get_all(name)
                .iter()
                .map(|value| bson::raw::RawBson::String(String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect();
            headers.append(key(canonical(name.as_str())), values);
        }
        reply.append(cstr!("headers"), headers);
        let mut cookies = RawDocumentBuf::new();
        for (name, value) in self.cookies() {
            cookies.append(key(name), value.as_str());
        }
        reply.append(cstr!("cookies"), cookies);
        reply.append(cstr!("body"), Binary { subtype: BinarySubtype::Generic, bytes: self.body.to_vec() });
        reply
    }
}

/// Header and cookie names; a NUL byte, which no server may send in them, ends the name.
fn key(name: String) -> CString {
    let text = name.split('\0').next().unwrap_or_default().to_owned();
    CString::try_from(text).expect("the text before the first NUL holds none")
}

/// `content-type` as `Content-Type`.
pub(super) fn canonical(name: &str) -> String {
    let mut canonical = String::with_capacity(name.len());
    let mut is_start = true;
    for character in name.chars() {
        canonical.push(if is_start { character.to_ascii_uppercase() } else { character.to_ascii_lowercase() });
        is_start = character == '-';
    }
    canonical
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc};

    use super::*;

    #[test]
    fn shape_of_an_answer() {
        let response = http::Response::builder()
            .status(404)
            .header("content-type", "text/x")
            .header("set-cookie", "a=b; Path=/")
            .header("x-rate-LIMIT", "1")
            .header("x-rate-LIMIT", "2")
            .body(())
            .expect("a response");
        let answer = HttpAnswer::new(response.into_parts().0, Bytes::from_static(b"hi"), 2);
        let reply = Document::try_from(&*answer.reply()).expect("well-formed");
        let binary = Binary { subtype: BinarySubtype::Generic, bytes: b"hi".to_vec() };
        assert_eq!(
            reply,
            doc! {
                "status": "404 Not Found", "statusCode": 404, "contentLength": 2,
                "headers": { "Content-Type": ["text/x"], "Set-Cookie": ["a=b; Path=/"], "X-Rate-Limit": ["1", "2"] },
                "cookies": { "a": "b" }, "body": binary,
            }
        );
    }
}
