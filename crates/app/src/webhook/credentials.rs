//! Credentials of Application Authentication, in headers or body (http-surface 3.5.3). Fields are text by their type: an
//! operator of the database in their place is no credential.

use auth::Credentials;
use http::HeaderMap;
use serde_json::Value as Json;

use super::receive::CallParts;
use crate::headers::header_text;
use crate::{CallError, query};

/// What one place holds.
#[derive(Debug, Default, PartialEq)]
struct Place {
    /// The first complete set, in the order email and password, API key, token.
    complete: Option<Credentials>,
    /// Half of a pair.
    incomplete: bool,
}

/// Finds the one set of credentials a request carries.
pub(crate) fn find(parts: &CallParts<'_>) -> Result<Credentials, CallError> {
    let headers = &parts.request.headers;
    let in_headers = place(|name| {
        let value = header_text(headers, name).filter(|text| !text.is_empty());
        let other = if name == "api-key" { header_text(headers, "apiKey") } else { None };
        value.or(other).map(str::to_owned)
    });
    let fields = body_fields(parts);
    let mut in_body = place(|name| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone()));
    // A password alone may be anything the handler wants in its body.
    in_body.incomplete &= fields.iter().any(|(name, value)| name == "email" && !value.is_empty());
    match (in_headers.complete, in_body.complete) {
        (Some(_), Some(_)) => Err(CallError::CredentialsInBothPlaces),
        (Some(credentials), None) | (None, Some(credentials)) => Ok(credentials),
        (None, None) if in_headers.incomplete || in_body.incomplete => Err(CallError::IncompleteCredentials),
        (None, None) => Err(CallError::NoCredentials),
    }
}

/// The token of `Authorization: Bearer …`; other schemes are not ours.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = header_text(headers, "authorization")?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn place(field: impl Fn(&str) -> Option<String>) -> Place {
    let field = |name| field(name).filter(|text| !text.is_empty());
    let (email, password) = (field("email"), field("password"));
    let incomplete = email.is_some() != password.is_some();
    let complete = match (email, password) {
        (Some(email), Some(password)) => Some(Credentials::EmailPassword { email, password }),
        _ => {
            field("api-key").map(Credentials::ApiKey).or_else(|| field("jwtTokenString").map(Credentials::CustomToken))
        }
    };
    Place { complete, incomplete }
}

/// Top-level string fields of a JSON object, or the fields of a form.
fn body_fields(parts: &CallParts<'_>) -> Vec<(String, String)> {
    if parts.body.is_empty() {
        return Vec::new();
    }
    if let Some(form) = query::form_body(parts.request.content_type(), parts.body) {
        return query::fields(Some(&form), "", false);
    }
    match serde_json::from_slice(parts.body) {
        Ok(Json::Object(fields)) => fields
            .into_iter()
            .filter_map(|(name, value)| match value {
                Json::String(text) => Some((name, text)),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(pairs: &[(&str, &str)]) -> Place {
        place(|name| pairs.iter().find(|(field, _)| *field == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn sets_in_one_place() {
        let both = [("email", "a@b.c"), ("password", "secret1"), ("api-key", "k")];
        assert!(matches!(complete(&both).complete, Some(Credentials::EmailPassword { .. })));
        assert!(matches!(complete(&both[1..]).complete, Some(Credentials::ApiKey(_))));
        assert!(complete(&both[1..]).incomplete);
        assert_eq!(complete(&[]), Place::default());
        assert_eq!(complete(&[("api-key", "")]), Place::default());
        assert!(matches!(complete(&[("jwtTokenString", "t")]).complete, Some(Credentials::CustomToken(_))));
    }

    #[test]
    fn bearer_tokens() {
        let check = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(check("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(check("bearer  abc ").as_deref(), Some("abc"));
        assert_eq!(check("Basic abc"), None);
        assert_eq!(check("Bearer"), None);
    }
}
