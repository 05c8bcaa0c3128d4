//! One file per provider: its configuration in types, and how it finds out who somebody is.

mod anonymous;
mod apple;
mod config;
mod custom_function;
mod custom_token;
mod facebook;
mod google;
mod local_userpass;
mod metadata;
mod oauth;
mod openid;

use std::sync::Arc;

use app_model::App;

use self::apple::Apple;
use self::config::Setup;
use self::custom_function::CustomFunction;
use self::custom_token::CustomToken;
use self::facebook::Facebook;
use self::google::Google;
use self::local_userpass::LocalUserpass;
use crate::users::{ProvenIdentity, UserRecord};
use crate::{Accounts, AuthError, AuthSettings, Caller, Credentials, FetchHttp};

/// The providers of one deployment, read once.
pub(crate) struct Providers {
    anonymous: Setup<()>,
    local_userpass: Setup<LocalUserpass>,
    api_key: Setup<()>,
    custom_token: Setup<CustomToken>,
    custom_function: Setup<CustomFunction>,
    google: Setup<Google>,
    facebook: Setup<Facebook>,
    apple: Setup<Apple>,
}

/// What a provider found out.
pub(crate) enum Proven {
    /// Somebody who may or may not be a user yet.
    Identity(ProvenIdentity),
    /// A user, by something that cannot make one.
    User(Box<UserRecord>, ProvenIdentity),
}

impl Providers {
    /// What is not configured as it should be refuses everybody, and the log says why.
    pub fn new(app: &App, fetch: &Arc<dyn FetchHttp>, settings: &AuthSettings) -> Self {
        Self {
            anonymous: Setup::read(app, "anon-user", |_| Ok(())),
            local_userpass: Setup::read(app, "local-userpass", |provider| LocalUserpass::read(app, provider)),
            api_key: Setup::read(app, "api-key", |_| Ok(())),
            custom_token: Setup::read(app, "custom-token", |provider| {
                CustomToken::read(app, provider, fetch, settings)
            }),
            custom_function: Setup::read(app, "custom-function", CustomFunction::read),
            google: Setup::read(app, "oauth2-google", |provider| Google::read(app, provider, fetch, settings)),
            facebook: Setup::read(app, "oauth2-facebook", |provider| Facebook::read(app, provider, fetch, settings)),
            apple: Setup::read(app, "oauth2-apple", |provider| Apple::read(provider, fetch, settings)),
        }
    }

    /// `local-userpass`, where it may be used.
    pub fn local_userpass(&self) -> Result<&LocalUserpass, AuthError> {
        self.local_userpass.ready("local-userpass")
    }

    /// Whether user API keys are there to be made.
    pub fn check_api_keys(&self) -> Result<(), AuthError> {
        self.api_key.ready("api-key").copied()
    }

    /// Who somebody is.
    pub async fn prove(
        &self,
        accounts: &Accounts,
        credentials: &Credentials,
        caller: &Caller<'_>,
    ) -> Result<Proven, AuthError> {
        let provider = credentials.provider();
        let settings = accounts.settings();
        match credentials {
            Credentials::Anonymous => {
                self.anonymous.ready(provider)?;
                anonymous::new_identity().map(Proven::Identity)
            }
            Credentials::EmailPassword { email, password } => {
                self.local_userpass.ready(provider)?;
                let account = accounts.verify_password(email, password).await?;
                Ok(Proven::Identity(account.identity()))
            }
            Credentials::ApiKey(key) => {
                self.api_key.ready(provider)?;
                let (user, identity) = accounts.verify_api_key(key).await?;
                Ok(Proven::User(Box::new(user), identity))
            }
            Credentials::CustomFunction(payload) => {
                let function = self.custom_function.ready(provider)?;
                function.prove(payload, caller).await.map(Proven::Identity)
            }
            Credentials::CustomToken(token) => {
                self.custom_token.ready(provider)?.prove(token, settings).await.map(Proven::Identity)
            }
            Credentials::Google(shown) => {
                self.google.ready(provider)?.prove(shown, settings).await.map(Proven::Identity)
            }
            Credentials::Facebook(shown) => {
                self.facebook.ready(provider)?.prove(shown, settings).await.map(Proven::Identity)
            }
            Credentials::Apple(token) => self.apple.ready(provider)?.prove(token, settings).await.map(Proven::Identity),
        }
    }
}
