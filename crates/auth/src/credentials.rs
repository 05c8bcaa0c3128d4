//! What somebody shows to be let in, in types that leave no room for anything but text.

use std::fmt;

use bson::{Bson, Document};

use crate::AuthError;

/// One complete set of credentials. `Debug` never shows it.
///
/// Every variant but the custom function's holds text only, so that no operator of the database can be smuggled in where
/// text belongs. A custom function gets what the client sent, and what it makes of that is its own affair.
#[derive(Clone, PartialEq)]
pub enum Credentials {
    /// A new anonymous user (rules-and-users 4.2).
    Anonymous,
    /// `local-userpass` (4.3).
    EmailPassword {
        /// Compared case-sensitively.
        email: String,
        /// 6 to 128 characters.
        password: String,
    },
    /// `api-key` (4.4).
    ApiKey(String),
    /// `custom-token` (4.5): the token.
    CustomToken(String),
    /// `custom-function` (4.6): what the function is given.
    CustomFunction(Document),
    /// `oauth2-google` (4.7).
    Google(GoogleCredentials),
    /// `oauth2-facebook`.
    Facebook(FacebookCredentials),
    /// `oauth2-apple`: the ID token.
    Apple(String),
}

/// What Google gave the client.
#[derive(Clone, PartialEq, Eq)]
pub enum GoogleCredentials {
    /// To be exchanged for an ID token.
    AuthCode(String),
    /// OpenID Connect.
    IdToken(String),
}

/// What Facebook gave the client.
#[derive(Clone, PartialEq, Eq)]
pub enum FacebookCredentials {
    /// To be inspected through the Graph API.
    AccessToken(String),
    /// OpenID Connect (Limited Login).
    IdToken(String),
}

impl Credentials {
    /// Reads the body of `POST …/auth/providers/<provider>/login`, parsed as Extended JSON (rules-and-users 4.9).
    ///
    /// # Errors
    /// `ProviderUnsupported` for a provider that does not exist, `MissingParameter`, `InvalidParameter`.
    pub fn from_login(provider: &str, body: &Document) -> Result<Self, AuthError> {
        Ok(match provider {
            "anon-user" => Self::Anonymous,
            "local-userpass" => {
                Self::EmailPassword { email: text(body, "username")?, password: text(body, "password")? }
            }
            "api-key" => Self::ApiKey(text(body, "key")?),
            // Some callers write the token where an API key goes.
            "custom-token" => Self::CustomToken(match body.contains_key("token") {
                false if body.contains_key("key") => text(body, "key")?,
                _ => text(body, "token")?,
            }),
            "custom-function" => {
                let mut payload = body.clone();
                payload.remove("options");
                Self::CustomFunction(payload)
            }
            "oauth2-google" => Self::Google(match () {
                () if body.contains_key("id_token") => GoogleCredentials::IdToken(text(body, "id_token")?),
                () if body.contains_key("authCode") => GoogleCredentials::AuthCode(text(body, "authCode")?),
                () => return Err(no_oauth_token(body, "id_token")),
            }),
            "oauth2-facebook" => Self::Facebook(match () {
                () if body.contains_key("accessToken") => FacebookCredentials::AccessToken(text(body, "accessToken")?),
                () if body.contains_key("id_token") => FacebookCredentials::IdToken(text(body, "id_token")?),
                () => return Err(no_oauth_token(body, "accessToken")),
            }),
            "oauth2-apple" => Self::Apple(match body.contains_key("id_token") {
                true => text(body, "id_token")?,
                false => return Err(no_oauth_token(body, "id_token")),
            }),
            other => return Err(AuthError::ProviderUnsupported(other.chars().take(64).collect())),
        })
    }

    /// The provider that looks at them, such as `local-userpass`.
    pub fn provider(&self) -> &'static str {
        match self {
            Self::Anonymous => "anon-user",
            Self::EmailPassword { .. } => "local-userpass",
            Self::ApiKey(_) => "api-key",
            Self::CustomToken(_) => "custom-token",
            Self::CustomFunction(_) => "custom-function",
            Self::Google(_) => "oauth2-google",
            Self::Facebook(_) => "oauth2-facebook",
            Self::Apple(_) => "oauth2-apple",
        }
    }
}

/// A login through the provider's own pages, which this server does not lead anybody to.
fn no_oauth_token(body: &Document, token: &'static str) -> AuthError {
    match body.contains_key("redirectUrl") {
        true => AuthError::InvalidParameter {
            name: "redirectUrl",
            expected: "left out: this server takes the token that the provider's own library gives the client",
        },
        false => AuthError::MissingParameter(token),
    }
}

/// A field that has to be text. A document in its place, `{"$gt": ""}` for one, is refused as any other wrong type is.
pub(crate) fn text(body: &Document, name: &'static str) -> Result<String, AuthError> {
    match body.get(name) {
        None | Some(Bson::Null | Bson::Undefined) => Err(AuthError::MissingParameter(name)),
        Some(Bson::String(text)) => Ok(text.clone()),
        Some(_) => Err(AuthError::InvalidParameter { name, expected: "a string" }),
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credentials({}, …)", self.provider())
    }
}

impl fmt::Debug for GoogleCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("GoogleCredentials(…)")
    }
}

impl fmt::Debug for FacebookCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("FacebookCredentials(…)")
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn bodies_of_logins() {
        let read = |provider: &str, body: Document| Credentials::from_login(provider, &body).expect("credentials");
        assert_eq!(
            read("local-userpass", doc! { "username": "a@b.c", "password": "secret1" }),
            Credentials::EmailPassword { email: "a@b.c".into(), password: "secret1".into() }
        );
        assert_eq!(read("anon-user", doc! {}), Credentials::Anonymous);
        assert_eq!(read("api-key", doc! { "key": "k" }), Credentials::ApiKey("k".into()));
        assert_eq!(read("custom-token", doc! { "token": "t" }), Credentials::CustomToken("t".into()));
        assert_eq!(read("custom-token", doc! { "key": "t" }), Credentials::CustomToken("t".into()));
        assert_eq!(
            read("custom-function", doc! { "pin": 42, "options": { "device": {} } }),
            Credentials::CustomFunction(doc! { "pin": 42 })
        );
        assert_eq!(
            read("oauth2-google", doc! { "id_token": "t" }),
            Credentials::Google(GoogleCredentials::IdToken("t".into()))
        );
        assert_eq!(
            read("oauth2-google", doc! { "authCode": "t" }),
            Credentials::Google(GoogleCredentials::AuthCode("t".into()))
        );
        assert_eq!(
            read("oauth2-facebook", doc! { "accessToken": "t" }),
            Credentials::Facebook(FacebookCredentials::AccessToken("t".into()))
        );
        assert_eq!(read("oauth2-apple", doc! { "id_token": "t" }), Credentials::Apple("t".into()));
    }

    #[test]
    fn operators_in_the_place_of_text_are_refused() {
        for (provider, field) in [
            ("local-userpass", "username"),
            ("local-userpass", "password"),
            ("api-key", "key"),
            ("custom-token", "token"),
            ("oauth2-google", "id_token"),
            ("oauth2-google", "authCode"),
            ("oauth2-facebook", "accessToken"),
            ("oauth2-apple", "id_token"),
        ] {
            for value in [
                Bson::Document(doc! { "$gt": "" }),
                Bson::Document(doc! { "$ne": null }),
                Bson::Array(vec!["a".into()]),
                Bson::Int32(1),
                Bson::Boolean(true),
                Bson::ObjectId(bson::oid::ObjectId::new()),
            ] {
                let mut body = doc! { "username": "a@b.c", "password": "secret1" };
                body.insert(field, value.clone());
                let error = Credentials::from_login(provider, &body).expect_err("refused");
                assert!(matches!(error, AuthError::InvalidParameter { .. }), "{provider} {field} {value}: {error}");
            }
            let error = Credentials::from_login(provider, &doc! {}).expect_err("refused");
            assert!(matches!(error, AuthError::MissingParameter(_)), "{provider}: {error}");
        }
        assert!(matches!(
            Credentials::from_login("ldap", &doc! {}),
            Err(AuthError::ProviderUnsupported(provider)) if provider == "ldap"
        ));
    }

    #[test]
    fn debug_hides_credentials() {
        let credentials = Credentials::EmailPassword { email: "a@b.c".into(), password: "secret1".into() };
        assert_eq!(format!("{credentials:?}"), "Credentials(local-userpass, …)");
        assert!(!format!("{:?}", Credentials::Google(GoogleCredentials::IdToken("abc".into()))).contains("abc"));
    }
}
