//! `oauth2-apple`: Apple's ID token (rules-and-users 4.7).

use std::sync::Arc;

use app_model::AuthProvider;
use bson::{Document, doc};

use super::config::required_text;
use super::openid::{Issuer, verified_email};
use crate::jwks::KeySet;
use crate::users::ProvenIdentity;
use crate::{AuthError, AuthSettings, FetchHttp};

/// `oauth2-apple`, ready for use.
pub(crate) struct Apple {
    issuer: Issuer,
}

const PROVIDER: &str = "oauth2-apple";

impl Apple {
    pub fn read(provider: &AuthProvider, fetch: &Arc<dyn FetchHttp>, settings: &AuthSettings) -> Result<Self, String> {
        Ok(Self {
            issuer: Issuer {
                provider: PROVIDER,
                names: &["https://appleid.apple.com"],
                client_id: required_text(provider, "clientId")?,
                keys: KeySet::new(settings.oauth.apple_keys.clone(), Arc::clone(fetch), settings)?,
            },
        })
    }

    /// Whose token this is.
    pub async fn prove(&self, token: &str, settings: &AuthSettings) -> Result<ProvenIdentity, AuthError> {
        let (id, claims) = self.issuer.verify(token, settings).await?;
        let data = verified_email(&claims).map(|email| doc! { "email": email }).unwrap_or_default();
        Ok(ProvenIdentity { provider_type: PROVIDER, id, data, claims: Document::new(), user_id: None })
    }
}
