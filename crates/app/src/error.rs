//! Why a call has no answer of its own.

use auth::AuthError;
use isolate::{HostError, RunError, RunErrorKind};

/// Every way a call can fail. Status and body are in the server's error table (http-surface 3.9).
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No app with this client app id is served.
    #[error("no app with client app id {0:?}")]
    AppNotFound(String),
    /// The app has no such service.
    #[error("no service {0:?}")]
    ServiceNotFound(String),
    /// The service has no such webhook.
    #[error("no webhook {0:?}")]
    WebhookNotFound(String),
    /// The webhook does not take this method.
    #[error("the webhook does not accept {method}")]
    MethodNotAllowed {
        /// Method of the request.
        method: String,
        /// Methods it takes, for `Allow`.
        allow: String,
    },
    /// The operation of the client API does not take this method.
    #[error("the operation does not accept {method}")]
    OperationMethodNotAllowed {
        /// Method of the request.
        method: String,
        /// Methods it takes, for `Allow`.
        allow: &'static [&'static str],
    },
    /// No endpoint for this route and method, or it is disabled.
    #[error("no endpoint for {method} {route:?}")]
    EndpointNotFound {
        /// Method of the request.
        method: String,
        /// Decoded route.
        route: String,
    },
    /// A load error makes the webhook or endpoint unservable.
    #[error("{name:?} has a configuration error and is not served")]
    Unservable {
        /// Webhook or route.
        name: String,
    },
    /// The endpoint names a function that the app does not have.
    #[error("no function {0:?}")]
    FunctionNotFound(String),
    /// `Origin` is not in `allowed_request_origins`.
    #[error("origin not allowed")]
    OriginNotAllowed,
    /// The caller's address is not in the operator's access list.
    #[error("IP address not allowed")]
    AddressNotAllowed,
    /// Too many requests of this app are being answered.
    #[error("too many concurrent requests")]
    TooManyRequests,
    /// The body is larger than the limit.
    #[error("request body over the limit")]
    BodyTooLarge,
    /// The body did not arrive in time.
    #[error("request body not received in time")]
    BodyTimedOut,
    /// The body ended early or is wrongly encoded.
    #[error("request body broken off or malformed")]
    BodyBroken,
    /// Secret or signature missing or wrong.
    #[error("request validation failed: {reason}")]
    ValidationFailed {
        /// Decides the error code.
        kind: HandlerKind,
        /// What was wrong, for the log only.
        reason: &'static str,
    },
    /// Application Authentication, and no credentials at all.
    #[error("no credentials")]
    NoCredentials,
    /// Application Authentication, and an incomplete set.
    #[error("incomplete credentials")]
    IncompleteCredentials,
    /// Credentials in headers and in the body.
    #[error("credentials in headers and in the body")]
    CredentialsInBothPlaces,
    /// The credentials match no user.
    #[error("credentials match no user")]
    UnknownCredentials {
        /// Decides the text.
        kind: HandlerKind,
    },
    /// Authentication refused, and may say why.
    #[error("authentication")]
    Auth(#[from] AuthError),
    /// The client API without `Authorization: Bearer …`.
    #[error("no token")]
    NoToken,
    /// Logging out of a session that is over.
    #[error("no such session")]
    RefreshTokenNotFound,
    /// A field of a body is missing.
    #[error("missing parameter {0:?}")]
    MissingParameter(String),
    /// A private function, asked for by a client.
    #[error("function {0:?} is private")]
    NotCallable(String),
    /// Clients have no such action.
    #[error("service {service:?} has no action {action:?} for clients")]
    ActionNotFound {
        /// The service.
        service: String,
        /// As asked for.
        action: String,
    },
    /// What a client sent is not what the operation takes.
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    /// An action of a service, asked for by a client, failed.
    #[error("service: {}", .0.message)]
    Service(Box<HostError>),
    /// An action gives more than an answer may hold.
    #[error("more than an answer may hold")]
    AnswerTooLarge,
    /// A bearer token that is not one of ours, or no longer valid.
    #[error("bearer token not accepted")]
    InvalidBearer,
    /// The run-as user does not exist, or the run-as script misbehaved.
    #[error("run-as failed: {0}")]
    RunAsFailed(String),
    /// The run-as script ended with an error of its own.
    #[error("run-as script failed")]
    RunAsScript(#[source] RunError),
    /// `can_evaluate` did not hold.
    #[error("can_evaluate refused {0:?}")]
    RuleNotMatched(String),
    /// A GitHub delivery that is not JSON.
    #[error("unusable payload: {0}")]
    PayloadInvalid(&'static str),
    /// The run ended without a value.
    #[error("run failed")]
    Run(#[source] RunError),
    /// The handler set more header bytes than a response may have.
    #[error("response headers over the limit")]
    ResponseHeadersTooLarge,
    /// Our fault.
    #[error("internal error: {0}")]
    Internal(String),
}

/// What kind of handler a failure belongs to; some codes and texts differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandlerKind {
    /// An incoming webhook of a service.
    Webhook,
    /// A custom HTTPS endpoint.
    Endpoint,
}

/// Who must act on a failure; decides the level of its log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Whoever sent the request.
    Caller,
    /// Whoever wrote the app.
    Author,
    /// Whoever runs the server.
    Operator,
    /// The makers of this server.
    Us,
}

impl Fault {
    /// For logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Author => "author",
            Self::Operator => "operator",
            Self::Us => "us",
        }
    }
}

impl CallError {
    /// Who must act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::AppNotFound(_)
            | Self::ServiceNotFound(_)
            | Self::WebhookNotFound(_)
            | Self::MethodNotAllowed { .. }
            | Self::OperationMethodNotAllowed { .. }
            | Self::EndpointNotFound { .. }
            | Self::OriginNotAllowed
            | Self::AddressNotAllowed
            | Self::BodyTooLarge
            | Self::BodyTimedOut
            | Self::BodyBroken
            | Self::ValidationFailed { .. }
            | Self::NoCredentials
            | Self::IncompleteCredentials
            | Self::CredentialsInBothPlaces
            | Self::UnknownCredentials { .. }
            | Self::InvalidBearer
            | Self::NoToken
            | Self::RefreshTokenNotFound
            | Self::MissingParameter(_)
            | Self::NotCallable(_)
            | Self::ActionNotFound { .. }
            | Self::InvalidArgument(_)
            | Self::Service(_)
            | Self::AnswerTooLarge
            | Self::RuleNotMatched(_)
            | Self::PayloadInvalid(_) => Fault::Caller,
            Self::Unservable { .. }
            | Self::FunctionNotFound(_)
            | Self::RunAsFailed(_)
            | Self::ResponseHeadersTooLarge => Fault::Author,
            Self::TooManyRequests => Fault::Operator,
            Self::Run(error) | Self::RunAsScript(error) => run_fault(error.kind),
            Self::Auth(error) => auth_fault(error),
            Self::Internal(_) => Fault::Us,
        }
    }

    /// Stack trace for the log, when a run left one.
    pub fn stack(&self) -> Option<&str> {
        match self {
            Self::Run(error) | Self::RunAsScript(error) => error.stack.as_deref(),
            _ => None,
        }
    }
}

fn auth_fault(error: &AuthError) -> Fault {
    match error {
        AuthError::ProviderUnavailable { .. }
        | AuthError::ConfirmationFailed { .. }
        | AuthError::ResetFailed { .. }
        | AuthError::FunctionRefused(_)
        | AuthError::CreationRefused(_) => Fault::Author,
        AuthError::Busy | AuthError::MailFailed(_) | AuthError::Database(_) => Fault::Operator,
        AuthError::Internal(_) => Fault::Us,
        _ => Fault::Caller,
    }
}

fn run_fault(kind: RunErrorKind) -> Fault {
    match kind {
        RunErrorKind::Threw
        | RunErrorKind::Syntax
        | RunErrorKind::NotCallable
        | RunErrorKind::NotFound
        | RunErrorKind::UncaughtRejection
        | RunErrorKind::NeverSettles
        | RunErrorKind::NotSerializable
        | RunErrorKind::WallTime
        | RunErrorKind::CpuTime
        | RunErrorKind::Heap
        | RunErrorKind::PendingOperations
        | RunErrorKind::ResultTooLarge => Fault::Author,
        RunErrorKind::Overloaded | RunErrorKind::Draining => Fault::Operator,
        RunErrorKind::Crashed => Fault::Us,
    }
}
