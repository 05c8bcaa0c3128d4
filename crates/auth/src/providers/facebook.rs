//! `oauth2-facebook`: an access token that Facebook is asked about, or Facebook's ID token (rules-and-users 4.7).

use std::sync::Arc;

use app_model::{App, AuthProvider};
use bson::Document;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value as Json};
use sha2::Sha256;

use super::config::required_text;
use super::oauth::{configured_fields, first_secret};
use super::openid::{Issuer, check_domain, verified_email};
use crate::jwks::KeySet;
use crate::users::{IDENTITY_BYTES_MAX, ProvenIdentity};
use crate::{AuthError, AuthSettings, FacebookCredentials, FetchHttp, FetchRequest};

/// `oauth2-facebook`, ready for use.
pub(crate) struct Facebook {
    issuer: Issuer,
    client_secret: Option<String>,
    fields: Vec<String>,
    domains: Vec<String>,
    graph: String,
    fetch: Arc<dyn FetchHttp>,
}

const PROVIDER: &str = "oauth2-facebook";

/// Fields that may be configured, with what the Graph API calls the field they come from.
const FIELDS: [(&str, &str); 9] = [
    ("name", "name"),
    ("first_name", "first_name"),
    ("last_name", "last_name"),
    ("picture", "picture"),
    ("gender", "gender"),
    ("birthday", "birthday"),
    ("min_age", "age_range"),
    ("max_age", "age_range"),
    ("email", "email"),
];

impl Facebook {
    pub fn read(
        app: &App,
        provider: &AuthProvider,
        fetch: &Arc<dyn FetchHttp>,
        settings: &AuthSettings,
    ) -> Result<Self, String> {
        Ok(Self {
            issuer: Issuer {
                provider: PROVIDER,
                names: &["https://www.facebook.com", "https://facebook.com"],
                client_id: required_text(provider, "clientId")?,
                keys: KeySet::new(settings.oauth.facebook_keys.clone(), Arc::clone(fetch), settings)?,
            },
            client_secret: first_secret(app, provider),
            fields: configured_fields(provider)?,
            domains: provider.domain_restrictions.clone(),
            graph: settings.oauth.facebook_graph.clone(),
            fetch: Arc::clone(fetch),
        })
    }

    /// Whose token this is.
    pub async fn prove(
        &self,
        credentials: &FacebookCredentials,
        settings: &AuthSettings,
    ) -> Result<ProvenIdentity, AuthError> {
        let (id, profile) = match credentials {
            FacebookCredentials::IdToken(token) => {
                let (id, mut claims) = self.issuer.verify(token, settings).await?;
                for (name, other) in [("given_name", "first_name"), ("family_name", "last_name")] {
                    if let Some(value) = claims.remove(name) {
                        claims.insert(other.to_owned(), value);
                    }
                }
                (id, claims)
            }
            FacebookCredentials::AccessToken(token) => {
                let id = self.inspect(token, settings).await?;
                (id, self.profile(token).await?)
            }
        };
        check_domain(&self.domains, verified_email(&profile))?;
        let data = self.data(&profile);
        Ok(ProvenIdentity { provider_type: PROVIDER, id, data, claims: Document::new(), user_id: None })
    }

    /// Asks Facebook whose an access token is. One that was made for another app is refused: whoever runs that app has it,
    /// too.
    async fn inspect(&self, token: &str, settings: &AuthSettings) -> Result<String, AuthError> {
        let refused = |reason: &str| AuthError::TokenRefused { reason: reason.to_owned() };
        let secret = self.secret()?;
        let url = format!("{}/debug_token?input_token={}", self.graph, escape(token));
        let answer = self.ask(url, format!("{}|{secret}", self.issuer.client_id)).await?;
        let empty = Map::new();
        let data = answer.get("data").and_then(Json::as_object).unwrap_or(&empty);
        if data.get("is_valid") != Some(&Json::Bool(true)) {
            return Err(refused("Facebook does not take the token"));
        }
        if text_or_number(data.get("app_id")).as_deref() != Some(self.issuer.client_id.as_str()) {
            return Err(refused("it is for another app"));
        }
        // 0 stands for a token without expiry.
        let expiry = data.get("expires_at").and_then(Json::as_i64).unwrap_or(0);
        if expiry != 0 && expiry <= settings.clock.seconds() {
            return Err(refused("it has expired"));
        }
        let id = text_or_number(data.get("user_id")).filter(|id| !id.is_empty() && id.len() <= IDENTITY_BYTES_MAX);
        id.ok_or_else(|| refused("it is nobody's"))
    }

    /// The fields that are configured, of the person whose token it is.
    async fn profile(&self, token: &str) -> Result<Map<String, Json>, AuthError> {
        let mut wanted: Vec<&str> = vec!["id"];
        for (field, source) in FIELDS {
            if self.fields.iter().any(|name| name == field) && !wanted.contains(&source) {
                wanted.push(source);
            }
        }
        if !self.domains.is_empty() && !wanted.contains(&"email") {
            wanted.push("email");
        }
        if wanted.len() == 1 {
            return Ok(Map::new());
        }
        // Apps may demand that whoever uses a token proves to know the app's secret.
        let proof = Hmac::<Sha256>::new_from_slice(self.secret()?.as_bytes())
            .expect("HMAC takes keys of every length")
            .chain_update(token.as_bytes())
            .finalize();
        let proof = hex::encode(proof.into_bytes());
        let url = format!("{}/me?fields={}&appsecret_proof={proof}", self.graph, wanted.join("%2C"));
        match self.ask(url, token.to_owned()).await? {
            Json::Object(profile) => Ok(profile),
            _ => Err(unavailable("Facebook's answer is no profile")),
        }
    }

    async fn ask(&self, url: String, bearer: String) -> Result<Json, AuthError> {
        let request = FetchRequest { url, form: None, authorization: Some(format!("Bearer {bearer}")) };
        let answer = self.fetch.fetch(request).await.map_err(|reason| unavailable(&reason))?;
        match answer.status {
            200 => serde_json::from_slice(&answer.body).map_err(|_| unavailable("Facebook's answer is not JSON")),
            400 | 401 | 403 => {
                Err(AuthError::TokenRefused { reason: format!("Facebook answered with status {}", answer.status) })
            }
            status => Err(unavailable(&format!("Facebook answered with status {status}"))),
        }
    }

    fn secret(&self) -> Result<&str, AuthError> {
        let secret = self.client_secret.as_deref();
        secret.ok_or_else(|| unavailable("secret_config.clientSecret names no Secret with a text"))
    }

    fn data(&self, profile: &Map<String, Json>) -> Document {
        let mut data = Document::new();
        for (field, source) in FIELDS.into_iter().filter(|(field, _)| self.fields.iter().any(|name| name == field)) {
            let value = match field {
                "email" => verified_email(profile).map(str::to_owned),
                "picture" => match profile.get(source) {
                    Some(Json::String(url)) => Some(url.clone()),
                    Some(picture) => picture.pointer("/data/url").and_then(Json::as_str).map(str::to_owned),
                    None => None,
                },
                "min_age" => profile.get(source).and_then(|range| text_or_number(range.get("min"))),
                "max_age" => profile.get(source).and_then(|range| text_or_number(range.get("max"))),
                _ => profile.get(source).and_then(Json::as_str).map(str::to_owned),
            };
            if let Some(value) = value {
                data.insert(field, value);
            }
        }
        data
    }
}

fn text_or_number(value: Option<&Json>) -> Option<String> {
    match value? {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn unavailable(reason: &str) -> AuthError {
    AuthError::ProviderUnavailable { provider: PROVIDER.to_owned(), reason: reason.to_owned() }
}
