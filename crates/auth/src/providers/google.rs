//! `oauth2-google`: Google's ID token, or an authorization code that Google exchanges for one (rules-and-users 4.7).

use std::sync::Arc;

use app_model::{App, AuthProvider};
use bson::Document;
use serde_json::{Map, Value as Json};

use super::config::{flag, required_text};
use super::oauth::{configured_fields, first_secret};
use super::openid::{Issuer, check_domain, verified_email};
use crate::jwks::KeySet;
use crate::users::ProvenIdentity;
use crate::{AuthError, AuthSettings, FetchHttp, FetchRequest, GoogleCredentials};

/// `oauth2-google`, ready for use.
pub(crate) struct Google {
    issuer: Issuer,
    /// Needed to exchange codes only.
    client_secret: Option<String>,
    /// Names of fields of `user.data`.
    fields: Vec<String>,
    domains: Vec<String>,
    token_url: String,
    fetch: Arc<dyn FetchHttp>,
}

const PROVIDER: &str = "oauth2-google";

/// Fields that may be configured, with Google's names for them.
const FIELDS: [(&str, &str); 5] = [
    ("name", "name"),
    ("first_name", "given_name"),
    ("last_name", "family_name"),
    ("picture", "picture"),
    ("email", "email"),
];

impl Google {
    pub fn read(
        app: &App,
        provider: &AuthProvider,
        fetch: &Arc<dyn FetchHttp>,
        settings: &AuthSettings,
    ) -> Result<Self, String> {
        // With OpenID Connect nothing of a profile is taken over.
        let fields = match flag(provider, "openId")? {
            true => Vec::new(),
            false => configured_fields(provider)?,
        };
        Ok(Self {
            issuer: Issuer {
                provider: PROVIDER,
                names: &["https://accounts.google.com", "accounts.google.com"],
                client_id: required_text(provider, "clientId")?,
                keys: KeySet::new(settings.oauth.google_keys.clone(), Arc::clone(fetch), settings)?,
            },
            client_secret: first_secret(app, provider),
            fields,
            domains: provider.domain_restrictions.clone(),
            token_url: settings.oauth.google_token.clone(),
            fetch: Arc::clone(fetch),
        })
    }

    /// Who has the token or code.
    pub async fn prove(
        &self,
        credentials: &GoogleCredentials,
        settings: &AuthSettings,
    ) -> Result<ProvenIdentity, AuthError> {
        let (id, claims) = match credentials {
            GoogleCredentials::IdToken(token) => self.issuer.verify(token, settings).await?,
            GoogleCredentials::AuthCode(code) => {
                let token = self.exchange(code).await?;
                self.issuer.verify(&token, settings).await?
            }
        };
        check_domain(&self.domains, verified_email(&claims))?;
        Ok(ProvenIdentity {
            provider_type: PROVIDER,
            id,
            data: self.data(&claims),
            claims: Document::new(),
            user_id: None,
        })
    }

    fn data(&self, claims: &Map<String, Json>) -> Document {
        let mut data = Document::new();
        for (field, claim) in FIELDS.into_iter().filter(|(field, _)| self.fields.iter().any(|name| name == field)) {
            let value = match field {
                "email" => verified_email(claims),
                _ => claims.get(claim).and_then(Json::as_str),
            };
            if let Some(value) = value {
                data.insert(field, value);
            }
        }
        data
    }

    /// An ID token for a code. Codes of mobile libraries belong to no address, those of the web library to `postmessage`.
    async fn exchange(&self, code: &str) -> Result<String, AuthError> {
        let Some(secret) = &self.client_secret else {
            return Err(unavailable("secret_config.clientSecret names no Secret with a text"));
        };
        for redirect in ["", "postmessage"] {
            let form = vec![
                ("code", code.to_owned()),
                ("client_id", self.issuer.client_id.clone()),
                ("client_secret", secret.clone()),
                ("grant_type", "authorization_code".to_owned()),
                ("redirect_uri", redirect.to_owned()),
            ];
            let request = FetchRequest { url: self.token_url.clone(), form: Some(form), authorization: None };
            let answer = self.fetch.fetch(request).await.map_err(|reason| unavailable(&reason))?;
            let body: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
            let text = |name: &str| body.get(name).and_then(Json::as_str);
            match (answer.status, text("error")) {
                (200, _) => {
                    let token = text("id_token").ok_or_else(|| unavailable("Google's answer has no ID token"))?;
                    return Ok(token.to_owned());
                }
                (_, Some("redirect_uri_mismatch")) => {}
                (_, Some("invalid_client" | "unauthorized_client")) => {
                    return Err(unavailable("Google does not know the client id and its secret"));
                }
                (500.., _) => return Err(unavailable("Google's token endpoint has failed")),
                _ => break,
            }
        }
        Err(AuthError::TokenRefused { reason: "Google does not take the authorization code".to_owned() })
    }
}

fn unavailable(reason: &str) -> AuthError {
    AuthError::ProviderUnavailable { provider: PROVIDER.to_owned(), reason: reason.to_owned() }
}
