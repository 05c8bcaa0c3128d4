//! ID tokens of OpenID Connect, as Google, Apple and Facebook issue them (rules-and-users 4.7).

use serde_json::{Map, Value as Json};

use super::custom_token::{audiences, check_times, key_of, subject};
use crate::jwks::KeySet;
use crate::jwt::UnverifiedToken;
use crate::{AuthError, AuthSettings};

/// What an issuer's ID tokens are checked against.
pub(super) struct Issuer {
    pub provider: &'static str,
    /// `iss` is one of these.
    pub names: &'static [&'static str],
    /// `aud` is this.
    pub client_id: String,
    pub keys: KeySet,
}

impl Issuer {
    /// The claims of a token, with its subject.
    pub async fn verify(&self, token: &str, settings: &AuthSettings) -> Result<(String, Map<String, Json>), AuthError> {
        let refused = |reason: &str| AuthError::TokenRefused { reason: reason.to_owned() };
        let token = UnverifiedToken::parse(token).map_err(refused)?;
        let key = key_of(&self.keys, &token, self.provider).await?;
        let claims = token.verified_by([key].iter()).ok_or_else(|| refused("its signature is wrong"))?;
        if !claims.get("iss").and_then(Json::as_str).is_some_and(|issuer| self.names.contains(&issuer)) {
            return Err(refused("it is of another issuer"));
        }
        // With more than one audience the token was made for somebody else, too.
        if audiences(&claims) != [self.client_id.as_str()] {
            return Err(refused("it is for another client"));
        }
        let id = subject(&claims).map_err(refused)?;
        check_times(&claims, settings)?;
        Ok((id, claims))
    }
}

/// The address in the claims, unless the issuer says that nobody has checked it.
pub(super) fn verified_email(claims: &Map<String, Json>) -> Option<&str> {
    let is_unverified = match claims.get("email_verified") {
        Some(Json::Bool(is_verified)) => !is_verified,
        Some(Json::String(text)) => text != "true",
        None => false,
        Some(_) => true,
    };
    claims.get("email").and_then(Json::as_str).filter(|email| !is_unverified && !email.is_empty())
}

/// Whether somebody with this address may come in (`domain_restrictions`).
pub(super) fn check_domain(domains: &[String], email: Option<&str>) -> Result<(), AuthError> {
    if domains.is_empty() {
        return Ok(());
    }
    let domain = email.and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain);
    match domain.is_some_and(|domain| domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain))) {
        true => Ok(()),
        false => Err(AuthError::DomainNotAllowed),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_checked_addresses_count() {
        let check = |claims: Json| verified_email(claims.as_object().unwrap()).map(str::to_owned);
        let email = Some("a@b.c".to_owned());
        assert_eq!(check(json!({ "email": "a@b.c", "email_verified": true })), email);
        assert_eq!(check(json!({ "email": "a@b.c", "email_verified": "true" })), email);
        assert_eq!(check(json!({ "email": "a@b.c" })), email);
        for claims in [
            json!({}),
            json!({ "email": "a@b.c", "email_verified": false }),
            json!({ "email": "a@b.c", "email_verified": "false" }),
            json!({ "email": "a@b.c", "email_verified": 1 }),
            json!({ "email": { "$ne": 1 } }),
            json!({ "email": "" }),
        ] {
            assert_eq!(check(claims.clone()), None, "{claims}");
        }
    }

    #[test]
    fn domains() {
        let allowed = ["example.com".to_owned()];
        assert!(check_domain(&[], None).is_ok());
        assert!(check_domain(&allowed, Some("a@example.com")).is_ok());
        assert!(check_domain(&allowed, Some("a@EXAMPLE.com")).is_ok());
        for email in [None, Some("a@example.com.evil.io"), Some("a@sub.example.com"), Some("example.com"), Some("a@")] {
            assert!(matches!(check_domain(&allowed, email), Err(AuthError::DomainNotAllowed)), "{email:?}");
        }
    }
}
