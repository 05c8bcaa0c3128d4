//! Why somebody is not logged in, or a user, key or session is not what was asked for.

use std::time::Duration;

/// Every way authentication can fail. Two readers: [`AuthError::public_message`] and [`AuthError::error_code`] are for the
/// caller, `Display` and the sources for the log. Statuses in the comments are those of rules-and-users 4 and
/// http-surface 2.3; the server's error table is where they meet HTTP.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Unknown address or wrong password; nothing tells which (401).
    #[error("invalid username/password")]
    InvalidPassword,
    /// The right password of an account that nobody has confirmed (401).
    #[error("confirmation required")]
    ConfirmationRequired,
    /// Not an e-mail address (400).
    #[error("email invalid")]
    InvalidEmail,
    /// Not 6 to 128 characters (400).
    #[error("password must be between 6 and 128 characters")]
    PasswordLength,
    /// An account with this address exists (409).
    #[error("name already in use")]
    NameInUse,
    /// A token pair that cannot be one (400).
    #[error("invalid token data")]
    InvalidTokenData,
    /// A token pair that does not exist, was used, or is older than 30 minutes (400).
    #[error("userpass token is expired or invalid")]
    TokenExpiredOrInvalid,
    /// The account is confirmed already (400).
    #[error("already confirmed")]
    AlreadyConfirmed,
    /// No such account, or no such user (404).
    #[error("user not found")]
    UserNotFound,
    /// Reset by e-mail is asked for where a function resets (400).
    #[error("please use reset password via function")]
    UseResetFunction,
    /// Reset by function is asked for where none is configured (400).
    #[error("no reset function is configured")]
    NoResetFunction,
    /// Confirmation is asked for again where it is automatic (400).
    #[error("cannot run confirmation for {email}: automatic confirmation is enabled")]
    AutomaticConfirmation {
        /// The account.
        email: String,
    },
    /// Confirmation by function is asked for where none is configured (400).
    #[error("no confirmation function is configured")]
    NoConfirmationFunction,
    /// The confirmation function said `fail`, or did not run to its end (400).
    #[error("failed to confirm user \"{email}\": {cause}")]
    ConfirmationFailed {
        /// The account.
        email: String,
        /// For the log.
        cause: String,
    },
    /// The reset function said `fail`, or did not run to its end (400).
    #[error("failed to reset password for user \"{email}\": {cause}")]
    ResetFailed {
        /// The account.
        email: String,
        /// For the log.
        cause: String,
    },
    /// The mail could not be handed over; what it was for stands and may be asked for again (500).
    #[error("mail could not be sent: {0}")]
    MailFailed(String),
    /// No such key, or it is disabled (401).
    #[error("invalid API key: {reason}")]
    InvalidApiKey {
        /// For the log.
        reason: &'static str,
    },
    /// No key with this id belongs to the user (404).
    #[error("API key not found")]
    ApiKeyNotFound,
    /// The owner has a key of this name (409).
    #[error("API key already exists: {0:?}")]
    ApiKeyExists(String),
    /// A name with other characters than letters, digits, `_` and `-`, or none (400).
    #[error("invalid API key name")]
    ApiKeyName,
    /// The owner has as many keys as anybody may have (400).
    #[error("at most {max} API keys")]
    TooManyApiKeys {
        /// How many.
        max: u32,
    },
    /// Anonymous users have no keys, and a key does not manage keys (403).
    #[error("API keys are not for this session: {reason}")]
    ApiKeysForbidden {
        /// For the caller.
        reason: &'static str,
    },
    /// A token of another party that is not accepted (401).
    #[error("token not accepted: {reason}")]
    TokenRefused {
        /// For the log.
        reason: String,
    },
    /// The authentication function threw, or gave neither an id nor `{id, name}` (401).
    #[error("authentication function: {0}")]
    FunctionRefused(String),
    /// The user creation function threw (401).
    #[error("user creation function: {0}")]
    CreationRefused(String),
    /// The app has no such provider, or it is disabled (401).
    #[error("provider {0:?} is absent or disabled")]
    ProviderUnsupported(String),
    /// The provider is not configured as it should be, or what it depends on cannot be reached; it works again as soon as
    /// that is mended (503).
    #[error("provider {provider:?} cannot be used: {reason}")]
    ProviderUnavailable {
        /// Which one.
        provider: String,
        /// What the operator or the author should mend, for the log.
        reason: String,
    },
    /// The address is of a domain that is not let in (403).
    #[error("domain not allowed")]
    DomainNotAllowed,
    /// The user is disabled (401).
    #[error("user disabled")]
    UserDisabled,
    /// An access or refresh token that is not ours, has expired, or was revoked (401).
    #[error("invalid session: {reason}")]
    InvalidSession {
        /// For the log; the caller is not told.
        reason: &'static str,
    },
    /// The credentials are good but nobody has them yet, and nobody is to be created (401).
    #[error("credentials of no user")]
    UnknownUser,
    /// The identity belongs to another user, or the user has another one of this provider (409).
    #[error("identity is linked already")]
    IdentityInUse,
    /// A field is missing (400).
    #[error("missing field {0:?}")]
    MissingParameter(&'static str),
    /// A field is of the wrong type or shape (400).
    #[error("invalid field {name:?}: {expected}")]
    InvalidParameter {
        /// Its name.
        name: &'static str,
        /// What it should have been, as in "a string".
        expected: &'static str,
    },
    /// Too many failed attempts from this address (429).
    #[error("too many failed attempts from this address; next in {} s", .retry_after.as_secs())]
    TooManyFailures {
        /// How long until the next attempt is looked at.
        retry_after: Duration,
    },
    /// More passwords are waiting to be hashed than is sensible (503).
    #[error("too many passwords are being checked")]
    Busy,
    /// The database did not do what it was asked to (500).
    #[error("user database")]
    Database(#[from] mongodb::error::Error),
    /// What the database holds, or the system gives, is not what it should be (500).
    #[error("internal: {0}")]
    Internal(String),
}

impl AuthError {
    /// The platform's name for the failure; `None` where it has none.
    pub fn error_code(&self) -> Option<&'static str> {
        Some(match self {
            Self::InvalidPassword => "InvalidPassword",
            Self::ConfirmationRequired
            | Self::InvalidApiKey { .. }
            | Self::TokenRefused { .. }
            | Self::FunctionRefused(_)
            | Self::CreationRefused(_)
            | Self::ProviderUnavailable { .. }
            | Self::ApiKeysForbidden { .. }
            | Self::TooManyFailures { .. } => "AuthError",
            Self::InvalidEmail
            | Self::PasswordLength
            | Self::InvalidTokenData
            | Self::UseResetFunction
            | Self::NoResetFunction
            | Self::AutomaticConfirmation { .. }
            | Self::NoConfirmationFunction
            | Self::ConfirmationFailed { .. }
            | Self::ResetFailed { .. } => "BadRequest",
            Self::NameInUse | Self::IdentityInUse => "AccountNameInUse",
            Self::TokenExpiredOrInvalid => "UserpassTokenInvalid",
            Self::AlreadyConfirmed => "UserAlreadyConfirmed",
            Self::UserNotFound => "UserNotFound",
            Self::ApiKeyNotFound => "APIKeyNotFound",
            Self::ApiKeyExists(_) => "APIKeyAlreadyExists",
            Self::ApiKeyName | Self::TooManyApiKeys { .. } | Self::InvalidParameter { .. } => "InvalidParameter",
            Self::MissingParameter(_) => "MissingParameter",
            Self::ProviderUnsupported(_) | Self::InvalidSession { .. } | Self::UnknownUser => "InvalidSession",
            Self::DomainNotAllowed => "DomainNotAllowed",
            Self::UserDisabled => "UserDisabled",
            Self::Busy => return None,
            Self::MailFailed(_) | Self::Database(_) | Self::Internal(_) => "InternalServerError",
        })
    }

    /// What the caller is told: nothing of what lies behind a refusal.
    pub fn public_message(&self) -> String {
        match self {
            Self::ConfirmationFailed { email, .. } => format!("failed to confirm user \"{email}\""),
            Self::ResetFailed { email, .. } => format!("failed to reset password for user \"{email}\""),
            Self::InvalidApiKey { .. } => "invalid API key".to_owned(),
            Self::ApiKeyExists(name) => format!("API key already exists: '{name}'"),
            Self::ApiKeysForbidden { reason } => (*reason).to_owned(),
            Self::TokenRefused { .. } => "unauthorized".to_owned(),
            Self::FunctionRefused(message) | Self::CreationRefused(message) => message.clone(),
            Self::ProviderUnsupported(provider) => format!("authentication via '{provider}' is unsupported"),
            Self::ProviderUnavailable { provider, .. } => {
                format!("authentication via '{provider}' is not available at present")
            }
            Self::InvalidSession { .. } => "invalid session".to_owned(),
            Self::UnknownUser => "invalid session: error finding user".to_owned(),
            Self::IdentityInUse => "a user already exists with the specified provider".to_owned(),
            Self::MissingParameter(name) => format!("missing '{name}'"),
            Self::InvalidParameter { name, expected } => format!("'{name}' must be {expected}"),
            Self::TooManyFailures { .. } => "too many failed attempts".to_owned(),
            Self::Busy => "too many requests".to_owned(),
            Self::MailFailed(_) | Self::Database(_) | Self::Internal(_) => "internal server error".to_owned(),
            Self::InvalidPassword
            | Self::ConfirmationRequired
            | Self::InvalidEmail
            | Self::PasswordLength
            | Self::NameInUse
            | Self::InvalidTokenData
            | Self::TokenExpiredOrInvalid
            | Self::AlreadyConfirmed
            | Self::UserNotFound
            | Self::UseResetFunction
            | Self::NoResetFunction
            | Self::AutomaticConfirmation { .. }
            | Self::NoConfirmationFunction
            | Self::ApiKeyNotFound
            | Self::ApiKeyName
            | Self::TooManyApiKeys { .. }
            | Self::DomainNotAllowed
            | Self::UserDisabled => self.to_string(),
        }
    }

    /// Whether the same call could be answered differently a moment later without anybody changing it.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::ProviderUnavailable { .. } | Self::TooManyFailures { .. } | Self::Busy | Self::Database(_))
    }
}
