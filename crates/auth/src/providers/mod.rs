//! One file per provider: its configuration in types, and how it finds out who somebody is.

mod anonymous;
mod config;
mod custom_function;
pub(crate) mod local_userpass;

use app_model::App;

use self::config::Setup;
use self::custom_function::CustomFunction;
use self::local_userpass::LocalUserpass;
use crate::users::{ProvenIdentity, UserRecord};
use crate::{Accounts, AuthError, Caller, Credentials};

/// The providers of one deployment, read once.
pub(crate) struct Providers {
    anonymous: Setup<()>,
    local_userpass: Setup<LocalUserpass>,
    api_key: Setup<()>,
    custom_function: Setup<CustomFunction>,
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
    pub fn new(app: &App) -> Self {
        Self {
            anonymous: Setup::read(app, "anon-user", |_| Ok(())),
            local_userpass: Setup::read(app, "local-userpass", |provider| LocalUserpass::read(app, provider)),
            api_key: Setup::read(app, "api-key", |_| Ok(())),
            custom_function: Setup::read(app, "custom-function", CustomFunction::read),
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
            Credentials::CustomToken(_) | Credentials::Google(_) | Credentials::Facebook(_) | Credentials::Apple(_) => {
                Err(AuthError::ProviderUnavailable {
                    provider: provider.to_owned(),
                    reason: "this build does not check its tokens yet".to_owned(),
                })
            }
        }
    }
}
