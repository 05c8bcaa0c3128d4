//! What the pipeline and the client API ask of authentication, for one deployment of an app.

use std::sync::Arc;

use app_model::{App, FunctionCall, User, UserKind};
use bson::oid::ObjectId;
use bson::{Bson, Document};
use mongodb::Client;

use crate::custom_data::CustomData;
use crate::providers::{Proven, Providers};
use crate::users::{ProvenIdentity, UserRecord};
use crate::{
    Accounts, ActiveSession, ApiKey, AuthError, Caller, Credentials, Device, FetchHttp, KeyOwner, NewApiKey, SendMail,
    SessionTokens,
};

/// Users and providers of one deployment of an app.
///
/// Every method gives [`AuthError::Database`] when the database does not do what it was asked to; other errors are named
/// with each. A provider that is absent or disabled gives `ProviderUnsupported`, one that is not configured as it should be
/// `ProviderUnavailable`. Methods that take a [`Caller`] give `TooManyFailures` to an address that has guessed wrong too often.
pub struct Auth {
    app: Arc<App>,
    accounts: Accounts,
    providers: Providers,
    custom_data: CustomData,
    mailer: Option<Arc<dyn SendMail>>,
}

/// What authentication is put together from.
pub struct AuthParts {
    /// The app's users.
    pub accounts: Accounts,
    /// Fetches key sets, and asks OAuth providers.
    pub fetch: Arc<dyn FetchHttp>,
    /// Sends mails; see [`SendMail`] for what happens without.
    pub mailer: Option<Arc<dyn SendMail>>,
    /// A connection to the data source that [`app_model::CustomUserData::service`] names. Without it nobody has custom data.
    pub custom_data_client: Option<Client>,
}

/// A user whom credentials have proven, for one call and without a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Authenticated {
    /// The user, without custom data.
    pub user: User,
    /// Whether this call created the user.
    pub is_new: bool,
}

/// A user with a new session.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedIn {
    /// The user, with custom data.
    pub user: User,
    /// What the client is given.
    pub tokens: SessionTokens,
    /// Whether this login created the user.
    pub is_new: bool,
}

impl Auth {
    /// Reads the configuration of the providers; what is wrong in it is logged, and refuses everybody.
    pub fn new(app: Arc<App>, parts: AuthParts) -> Self {
        Self {
            providers: Providers::new(&app, &parts.fetch, parts.accounts.settings()),
            custom_data: CustomData::new(app.custom_user_data.as_ref(), parts.custom_data_client.as_ref()),
            accounts: parts.accounts,
            mailer: parts.mailer,
            app,
        }
    }

    /// The app's users.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    // --- Calls --------------------------------------------------------------------------------------------------------

    /// The user whom credentials of a webhook or endpoint prove (rules-and-users 4.8). With `creates_user`, whoever has good
    /// credentials and is no user yet becomes one; an unknown address with a password is registered, and let in if that
    /// confirms it.
    ///
    /// # Errors
    /// `UnknownUser`, `UserDisabled`, `CreationRefused`, and whatever the provider refuses: `InvalidPassword`,
    /// `ConfirmationRequired`, `InvalidApiKey`, `TokenRefused`, `FunctionRefused`, `DomainNotAllowed`, `Busy`.
    pub async fn authenticate(
        &self,
        credentials: &Credentials,
        creates_user: bool,
        caller: &Caller<'_>,
    ) -> Result<Authenticated, AuthError> {
        let proven = match credentials {
            Credentials::EmailPassword { email, password } if creates_user && self.is_unknown(email).await? => {
                self.register_unknown(email, password, caller).await?
            }
            _ => self.prove(credentials, caller).await?,
        };
        let (user, _, is_new) = self.user_of(proven, creates_user, caller).await?;
        Ok(Authenticated { user: user.user, is_new })
    }

    /// The user a call always runs as (`run_as_user_id`, and what a run-as script returns).
    ///
    /// # Errors
    /// `UserNotFound`, `UserDisabled`.
    pub async fn find_user(&self, id: &str) -> Result<User, AuthError> {
        let user = self.accounts.find_user(id).await?.ok_or(AuthError::UserNotFound)?;
        Ok(user.enabled()?.user)
    }

    /// Whose access token this is. Custom data is as it was when the token was issued.
    ///
    /// # Errors
    /// `InvalidSession` for whatever is wrong with the token, `UserDisabled`.
    pub async fn verify_access_token(&self, token: &str) -> Result<ActiveSession, AuthError> {
        let (mut session, custom_data) = self.accounts.verify_access_token(token).await?;
        if custom_data.is_none() {
            session.user.custom_data = self.custom_data.of(&session.user.id).await?;
        }
        Ok(session)
    }

    /// The custom user data of a user as it is now; empty when there is none or it is disabled (rules-and-users 3.5).
    pub async fn custom_data(&self, user_id: &str) -> Result<Document, AuthError> {
        self.custom_data.of(user_id).await
    }

    // --- Sessions -----------------------------------------------------------------------------------------------------

    /// Logs somebody in; the first login makes the user.
    ///
    /// # Errors
    /// As [`Self::authenticate`], without `UnknownUser`.
    pub async fn log_in(
        &self,
        credentials: &Credentials,
        device: &Device,
        caller: &Caller<'_>,
    ) -> Result<LoggedIn, AuthError> {
        let proven = self.prove(credentials, caller).await?;
        let (user, identity, is_new) = self.user_of(proven, true, caller).await?;
        self.begin_session(user, &identity, device, is_new).await
    }

    /// Gives the user of an access token one more identity, and a new session (rules-and-users 4.9).
    ///
    /// # Errors
    /// `IdentityInUse` when the identity is another user's, and as [`Self::log_in`].
    pub async fn link(
        &self,
        session: &ActiveSession,
        credentials: &Credentials,
        device: &Device,
        caller: &Caller<'_>,
    ) -> Result<LoggedIn, AuthError> {
        let identity = match (credentials, self.prove(credentials, caller).await?) {
            (Credentials::Anonymous | Credentials::ApiKey(_), _) | (_, Proven::User(..)) => {
                return Err(AuthError::IdentityInUse);
            }
            (_, Proven::Identity(identity)) => identity,
        };
        let user = self.accounts.link_identity(&session.user.id, &identity).await?.enabled()?;
        self.note_user(&identity).await?;
        self.begin_session(user, &identity, device, false).await
    }

    /// Whose refresh token this is.
    ///
    /// # Errors
    /// `InvalidSession` for whatever is wrong with the token, `UserDisabled`.
    pub async fn verify_refresh_token(&self, token: &str) -> Result<ActiveSession, AuthError> {
        self.accounts.verify_refresh_token(token).await
    }

    /// A new access token for a refresh token, with custom data as it is now.
    ///
    /// # Errors
    /// As [`Self::verify_refresh_token`].
    pub async fn refresh(&self, refresh_token: &str) -> Result<String, AuthError> {
        let session = self.accounts.verify_refresh_token(refresh_token).await?;
        let user = self.accounts.find_user(&session.user.id).await?.ok_or(AuthError::UserNotFound)?.enabled()?;
        if session.is_anonymous {
            self.accounts.note_activity(&user).await?;
        }
        let custom_data = self.custom_data.of(&user.user.id).await?;
        self.accounts.access_token(&user, &custom_data, &session.session_id, &session.device_id).await
    }

    /// Ends the session of a refresh token; access tokens of it work until they expire.
    ///
    /// # Errors
    /// `InvalidSession`.
    pub async fn log_out(&self, refresh_token: &str) -> Result<(), AuthError> {
        let session = self.accounts.verify_refresh_token(refresh_token).await?;
        self.accounts.end_session(&session.session_id).await
    }

    /// Removes the user of an access token, at its own request.
    pub async fn delete_user(&self, session: &ActiveSession) -> Result<(), AuthError> {
        self.accounts.delete_user(&session.user.id).await
    }

    // --- local-userpass -----------------------------------------------------------------------------------------------

    /// Makes an account, and has it confirmed as configured. The user is made by its first login.
    ///
    /// # Errors
    /// `InvalidEmail`, `PasswordLength`, `NameInUse`, `ConfirmationFailed`, `Busy`.
    pub async fn register(&self, email: &str, password: &str, caller: &Caller<'_>) -> Result<(), AuthError> {
        let provider = self.providers.local_userpass()?;
        self.accounts.check_throttle(caller)?;
        let result = provider.register(&self.accounts, self.mailer(), email, password, caller).await;
        self.accounts.counted(caller, result).await.map(drop)
    }

    /// Confirms the account that the mail with this token went to, or whose confirmation function was given it.
    ///
    /// # Errors
    /// `InvalidTokenData`, `TokenExpiredOrInvalid`, `AlreadyConfirmed`.
    pub async fn confirm(&self, token: &str, token_id: &str, caller: &Caller<'_>) -> Result<(), AuthError> {
        let provider = self.providers.local_userpass()?;
        self.accounts.check_throttle(caller)?;
        let result = provider.confirm(&self.accounts, token, token_id).await;
        self.accounts.counted(caller, result).await
    }

    /// Sends the confirmation mail again.
    ///
    /// # Errors
    /// `AutomaticConfirmation`, `UserNotFound`, `AlreadyConfirmed`, `InvalidEmail`, `MailFailed`; where a function confirms,
    /// as [`Self::call_confirmation`].
    pub async fn send_confirmation(&self, email: &str, caller: &Caller<'_>) -> Result<(), AuthError> {
        let provider = self.providers.local_userpass()?;
        self.accounts.check_throttle(caller)?;
        let result = provider.send_confirmation(&self.accounts, self.mailer(), email, caller).await;
        self.accounts.counted(caller, result).await
    }

    /// Runs the confirmation function again.
    ///
    /// # Errors
    /// `AutomaticConfirmation`, `NoConfirmationFunction`, `UserNotFound`, `AlreadyConfirmed`, `InvalidEmail`,
    /// `ConfirmationFailed`.
    pub async fn call_confirmation(&self, email: &str, caller: &Caller<'_>) -> Result<(), AuthError> {
        let provider = self.providers.local_userpass()?;
        self.accounts.check_throttle(caller)?;
        let result = provider.call_confirmation(&self.accounts, email, caller).await;
        self.accounts.counted(caller, result).await
    }

    /// Sends the mail with which a password is reset.
    ///
    /// # Errors
    /// `UseResetFunction`, `UserNotFound`, `InvalidEmail`, `MailFailed`.
    pub async fn send_reset(&self, email: &str, caller: &Caller<'_>) -> Result<(), AuthError> {
        let provider = self.providers.local_userpass()?;
        self.accounts.check_throttle(caller)?;
        let result = provider.send_reset(&self.accounts, self.mailer(), email).await;
        self.accounts.counted(caller, result).await
    }

    /// Has the reset function decide about a new password; `arguments` are passed on to it.
    ///
    /// # Errors
    /// `NoResetFunction`, `PasswordLength`, `UserNotFound`, `InvalidEmail`, `ResetFailed`, `Busy`.
    pub async fn call_reset(
        &self,
        email: &str,
        password: &str,
        arguments: Vec<Bson>,
        caller: &Caller<'_>,
    ) -> Result<(), AuthError> {
        let provider = self.providers.local_userpass()?;
        self.accounts.check_throttle(caller)?;
        let result = provider.call_reset(&self.accounts, email, password, arguments, caller).await;
        self.accounts.counted(caller, result).await
    }

    /// Sets a new password by the token of a reset. All sessions of the user end.
    ///
    /// # Errors
    /// `PasswordLength`, `InvalidTokenData`, `TokenExpiredOrInvalid`, `Busy`.
    pub async fn reset(
        &self,
        token: &str,
        token_id: &str,
        password: &str,
        caller: &Caller<'_>,
    ) -> Result<(), AuthError> {
        let provider = self.providers.local_userpass()?;
        self.accounts.check_throttle(caller)?;
        let result = provider.reset(&self.accounts, token, token_id, password).await;
        self.accounts.counted(caller, result).await
    }

    // --- API keys of users (rules-and-users 4.9: by refresh token) ----------------------------------------------------

    /// Makes a key that logs in as the user.
    ///
    /// # Errors
    /// `ApiKeysForbidden` for anonymous users and users of server keys, `ApiKeyName`, `ApiKeyExists`, `TooManyApiKeys`.
    pub async fn create_api_key(&self, session: &ActiveSession, name: &str) -> Result<NewApiKey, AuthError> {
        let owner = self.key_owner(session)?;
        self.accounts.create_api_key(&owner, name).await
    }

    /// The user's keys.
    ///
    /// # Errors
    /// `ApiKeysForbidden`.
    pub async fn api_keys(&self, session: &ActiveSession) -> Result<Vec<ApiKey>, AuthError> {
        self.accounts.api_keys(&self.key_owner(session)?).await
    }

    /// One of the user's keys.
    ///
    /// # Errors
    /// `ApiKeysForbidden`, `ApiKeyNotFound`.
    pub async fn api_key(&self, session: &ActiveSession, id: &str) -> Result<ApiKey, AuthError> {
        self.accounts.api_key(&self.key_owner(session)?, id).await
    }

    /// Refuses one of the user's keys from now on, or lets it in again.
    ///
    /// # Errors
    /// `ApiKeysForbidden`, also for the key the session began with; `ApiKeyNotFound`.
    pub async fn set_api_key_disabled(
        &self,
        session: &ActiveSession,
        id: &str,
        is_disabled: bool,
    ) -> Result<(), AuthError> {
        let owner = self.key_owner(session)?;
        check_not_itself(session, id)?;
        self.accounts.set_api_key_disabled(&owner, id, is_disabled).await
    }

    /// Removes one of the user's keys.
    ///
    /// # Errors
    /// As [`Self::set_api_key_disabled`].
    pub async fn delete_api_key(&self, session: &ActiveSession, id: &str) -> Result<(), AuthError> {
        let owner = self.key_owner(session)?;
        check_not_itself(session, id)?;
        self.accounts.delete_api_key(&owner, id).await
    }

    fn key_owner(&self, session: &ActiveSession) -> Result<KeyOwner, AuthError> {
        self.providers.check_api_keys()?;
        if session.is_anonymous {
            return Err(AuthError::ApiKeysForbidden { reason: "anonymous users cannot have API keys" });
        }
        match session.user.kind {
            UserKind::Normal => Ok(KeyOwner::User(session.user.id.clone())),
            UserKind::Server | UserKind::System => {
                Err(AuthError::ApiKeysForbidden { reason: "server users cannot have API keys" })
            }
        }
    }

    // --- Inside -------------------------------------------------------------------------------------------------------

    fn mailer(&self) -> Option<&dyn SendMail> {
        self.mailer.as_deref()
    }

    async fn prove(&self, credentials: &Credentials, caller: &Caller<'_>) -> Result<Proven, AuthError> {
        self.accounts.check_throttle(caller)?;
        let result = self.providers.prove(&self.accounts, credentials, caller).await;
        // Of many attempts sent at once, those past the limit learn nothing.
        self.accounts.check_throttle(caller)?;
        self.accounts.counted(caller, result).await
    }

    async fn is_unknown(&self, email: &str) -> Result<bool, AuthError> {
        self.providers.local_userpass()?;
        Ok(self.accounts.email_account(email).await?.is_none())
    }

    /// Somebody with an address that nobody has registered yet (rules-and-users 4.8, step 7).
    async fn register_unknown(&self, email: &str, password: &str, caller: &Caller<'_>) -> Result<Proven, AuthError> {
        let provider = self.providers.local_userpass()?;
        self.accounts.check_throttle(caller)?;
        let stored = match provider.register(&self.accounts, self.mailer(), email, password, caller).await {
            // Another call was quicker: it may have been for the same person.
            Err(AuthError::NameInUse) => {
                let credentials = Credentials::EmailPassword { email: email.to_owned(), password: password.to_owned() };
                return self.prove(&credentials, caller).await;
            }
            other => other?,
        };
        match stored.account.is_confirmed {
            true => Ok(Proven::Identity(stored.identity())),
            false => Err(AuthError::ConfirmationRequired),
        }
    }

    /// The user of a proven identity, who is made if need be; and whether it was.
    async fn user_of(
        &self,
        proven: Proven,
        creates_user: bool,
        caller: &Caller<'_>,
    ) -> Result<(UserRecord, ProvenIdentity, bool), AuthError> {
        let identity = match proven {
            Proven::User(user, identity) => return Ok((user.enabled()?, identity, false)),
            Proven::Identity(identity) => identity,
        };
        if let Some(user) = self.accounts.find_user_of(&identity).await? {
            return Ok((user.enabled()?, identity, false));
        }
        // An account was registered, so its owner is no stranger; the user is only still to be made.
        let is_account = identity.user_id.is_some();
        if !creates_user && !is_account {
            return Err(AuthError::UnknownUser);
        }
        let id = identity.user_id.unwrap_or_else(ObjectId::new);
        self.run_creation_function(&identity, id, caller).await?;
        let (user, is_new) = self.accounts.insert_user(&identity, id, UserKind::Normal).await?;
        self.note_user(&identity).await?;
        Ok((user.enabled()?, identity, is_new))
    }

    async fn note_user(&self, identity: &ProvenIdentity) -> Result<(), AuthError> {
        match identity.user_id {
            Some(account) => self.accounts.note_user_of(account).await,
            None => Ok(()),
        }
    }

    /// A function that throws keeps the user from being made (rules-and-users 3.6).
    async fn run_creation_function(
        &self,
        identity: &ProvenIdentity,
        id: ObjectId,
        caller: &Caller<'_>,
    ) -> Result<(), AuthError> {
        let config = self.app.custom_user_data.as_ref();
        let Some(name) = config.and_then(|config| config.on_user_creation_function_name.clone()) else {
            return Ok(());
        };
        let user = identity.to_new_user(id, UserKind::Normal).to_context();
        let call = FunctionCall { name, arguments: vec![Bson::Document(user)], depth: 1 };
        match caller.functions.call_function(call).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(AuthError::CreationRefused(failure.message)),
        }
    }

    async fn begin_session(
        &self,
        user: UserRecord,
        identity: &ProvenIdentity,
        device: &Device,
        is_new: bool,
    ) -> Result<LoggedIn, AuthError> {
        if !is_new {
            self.accounts.note_activity(&user).await?;
        }
        let custom_data = self.custom_data.of(&user.user.id).await?;
        let tokens = self.accounts.begin_session(&user, &custom_data, identity, device).await?;
        let mut user = user.user;
        user.custom_data = custom_data;
        Ok(LoggedIn { user, tokens, is_new })
    }
}

/// A key must not saw off the branch it sits on (rules-and-users 4.4).
fn check_not_itself(session: &ActiveSession, id: &str) -> Result<(), AuthError> {
    let is_itself = session
        .identity
        .as_ref()
        .is_some_and(|identity| identity.provider_type == "api-key" && identity.id.eq_ignore_ascii_case(id));
    match is_itself {
        true => Err(AuthError::ApiKeysForbidden { reason: "an API key cannot change itself" }),
        false => Ok(()),
    }
}
