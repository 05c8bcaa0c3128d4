//! What the client API can be asked for (http-surface 2.3, rules-and-users 4.9).

/// One operation of the client API, told by its path alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientOperation {
    /// `GET app/APP/location`
    Location,
    /// `POST app/APP/auth/providers/PROVIDER/login`
    Login {
        /// Name of the provider.
        provider: String,
    },
    /// `POST app/APP/auth/providers/local-userpass/…`
    EmailPassword(EmailPasswordOperation),
    /// `POST app/APP/functions/call`, and `GET` for a stream
    CallFunction,
    /// `POST auth/session` for an access token, `DELETE auth/session` to log out
    Session,
    /// `GET auth/profile`
    Profile,
    /// `DELETE auth/delete`
    DeleteUser,
    /// `POST` and `GET auth/api_keys`
    ApiKeys,
    /// `GET` and `DELETE auth/api_keys/ID`
    ApiKey {
        /// Id of the key.
        id: String,
    },
    /// `PUT auth/api_keys/ID/enable`, `PUT auth/api_keys/ID/disable`
    SwitchApiKey {
        /// Id of the key.
        id: String,
        /// What it becomes.
        disabled: bool,
    },
}

/// What can be asked about accounts with e-mail address and password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailPasswordOperation {
    /// `register`
    Register,
    /// `confirm`
    Confirm,
    /// `confirm/send`
    SendConfirmation,
    /// `confirm/call`
    CallConfirmation,
    /// `reset`
    Reset,
    /// `reset/send`
    SendReset,
    /// `reset/call`
    CallReset,
}

impl EmailPasswordOperation {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Register,
        Self::Confirm,
        Self::SendConfirmation,
        Self::CallConfirmation,
        Self::Reset,
        Self::SendReset,
        Self::CallReset,
    ];

    /// Path below `auth/providers/local-userpass/`.
    pub fn path(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Confirm => "confirm",
            Self::SendConfirmation => "confirm/send",
            Self::CallConfirmation => "confirm/call",
            Self::Reset => "reset",
            Self::SendReset => "reset/send",
            Self::CallReset => "reset/call",
        }
    }
}

impl ClientOperation {
    /// The methods it answers to.
    pub fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Location | Self::Profile => &["GET"],
            Self::Login { .. } | Self::EmailPassword(_) => &["POST"],
            Self::CallFunction | Self::ApiKeys => &["POST", "GET"],
            Self::Session => &["POST", "DELETE"],
            Self::DeleteUser => &["DELETE"],
            Self::ApiKey { .. } => &["GET", "DELETE"],
            Self::SwitchApiKey { .. } => &["PUT"],
        }
    }
}
