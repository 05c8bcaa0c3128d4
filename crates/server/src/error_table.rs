//! The one place where our errors meet HTTP (http-surface 3.9).

use app::{AuthError, CallError, HandlerKind};
use http::StatusCode;
use isolate::{RunError, RunErrorKind};

/// Status and body of a failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ErrorAnswer {
    pub status: StatusCode,
    /// `error`
    pub text: String,
    /// `error_code`
    pub code: Option<String>,
    /// Whether the body has a `link`.
    pub link: bool,
    /// `Allow`
    pub allow: Option<String>,
}

/// What the caller is told. No arm for everything else: a new failure has to be given its row.
pub(crate) fn answer_for(error: &CallError) -> ErrorAnswer {
    match error {
        CallError::AppNotFound(id) => ErrorAnswer {
            status: StatusCode::NOT_FOUND,
            text: format!("cannot find app using Client App ID '{id}'"),
            code: None,
            link: false,
            allow: None,
        },
        CallError::ServiceNotFound(name) => {
            row(StatusCode::NOT_FOUND, format!("service not found: '{name}'"), "ServiceNotFound")
        }
        CallError::WebhookNotFound(name) => {
            row(StatusCode::NOT_FOUND, format!("incoming webhook not found: '{name}'"), "IncomingWebhookNotFound")
        }
        CallError::MethodNotAllowed { method, allow } => ErrorAnswer {
            allow: Some(allow.clone()),
            ..row(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("method {method} is not allowed for this webhook"),
                "BadRequest",
            )
        },
        CallError::OperationMethodNotAllowed { method, allow } => ErrorAnswer {
            allow: Some(allow.join(", ")),
            ..row(StatusCode::METHOD_NOT_ALLOWED, format!("method {method} is not allowed here"), "BadRequest")
        },
        CallError::EndpointNotFound { method, route } => {
            row(StatusCode::NOT_FOUND, format!("no endpoint for {method} {route}"), "EndpointNotFound")
        }
        CallError::Unservable { name } => row(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("'{name}' has a configuration error and is not served"),
            "InternalServerError",
        ),
        CallError::FunctionNotFound(name) => {
            row(StatusCode::NOT_FOUND, format!("function not found: '{name}'"), "FunctionNotFound")
        }
        CallError::OriginNotAllowed => row(StatusCode::FORBIDDEN, "origin not allowed", "DomainNotAllowed"),
        CallError::AddressNotAllowed => row(StatusCode::FORBIDDEN, "IP address not allowed", "AuthError"),
        CallError::TooManyRequests => {
            ErrorAnswer { code: None, ..row(StatusCode::TOO_MANY_REQUESTS, "too many requests", "") }
        }
        CallError::BodyTooLarge => row(StatusCode::PAYLOAD_TOO_LARGE, "request body too large", "BadRequest"),
        CallError::BodyTimedOut => row(StatusCode::REQUEST_TIMEOUT, "request body not received in time", "BadRequest"),
        CallError::BodyBroken => {
            row(StatusCode::BAD_REQUEST, "request body is incomplete or wrongly encoded", "BadRequest")
        }
        CallError::ValidationFailed { kind, reason: _ } => row(
            StatusCode::UNAUTHORIZED,
            "request validation failed",
            match kind {
                HandlerKind::Webhook => "IncomingWebhookAuthFailed",
                HandlerKind::Endpoint => "AuthError",
            },
        ),
        CallError::NoCredentials => {
            row(StatusCode::BAD_REQUEST, "no authentication methods were specified", "InvalidParameter")
        }
        CallError::IncompleteCredentials => row(
            StatusCode::BAD_REQUEST,
            "must specify some form of authentication (either email+password, api-key, or jwt) in the request header \
             or body",
            "MissingParameter",
        ),
        CallError::CredentialsInBothPlaces => row(
            StatusCode::BAD_REQUEST,
            "authentication must be given in either the headers or the body, not both",
            "InvalidParameter",
        ),
        CallError::UnknownCredentials { kind } => row(
            StatusCode::UNAUTHORIZED,
            match kind {
                HandlerKind::Webhook => "invalid session: error finding user for webhook",
                HandlerKind::Endpoint => "invalid session: error finding user for endpoint",
            },
            "InvalidSession",
        ),
        CallError::Auth(error) => ErrorAnswer {
            code: error.error_code().map(str::to_owned),
            ..row(auth_status(error), error.public_message(), "")
        },
        CallError::NoToken => ErrorAnswer {
            code: None,
            link: false,
            ..row(StatusCode::UNAUTHORIZED, "expected Authorization header with JWT (Bearer schema).", "")
        },
        CallError::RefreshTokenNotFound => {
            row(StatusCode::UNAUTHORIZED, "failed to find refresh token", "InvalidSession")
        }
        CallError::MissingParameter(name) => {
            row(StatusCode::BAD_REQUEST, format!("missing '{name}'"), "MissingParameter")
        }
        CallError::NotCallable(name) => {
            row(StatusCode::FORBIDDEN, format!("function not callable: '{name}'"), "NotCallable")
        }
        CallError::ActionNotFound { service, action } => row(
            StatusCode::BAD_REQUEST,
            format!("service '{service}' has no action '{action}' for clients"),
            "ServiceCommandNotFound",
        ),
        CallError::InvalidArgument(text) => row(StatusCode::BAD_REQUEST, text, "InvalidParameter"),
        CallError::Service(error) => row(service_status(&error.error_code), &error.message, &error.error_code),
        CallError::AnswerTooLarge => {
            row(StatusCode::BAD_REQUEST, "the result is larger than an answer may be", "ReadSizeLimitExceeded")
        }
        CallError::InvalidBearer => row(StatusCode::UNAUTHORIZED, "invalid session", "InvalidSession"),
        CallError::RunAsFailed(text) => row(StatusCode::BAD_REQUEST, text, "FunctionExecutionError"),
        // A script that fails, whatever its code, leaves the handler without a user.
        CallError::RunAsScript(error) => match error.kind {
            RunErrorKind::Overloaded | RunErrorKind::Draining | RunErrorKind::Crashed => run_error(error),
            _ => row(StatusCode::BAD_REQUEST, &error.text, "FunctionExecutionError"),
        },
        CallError::RuleNotMatched(name) => {
            row(StatusCode::BAD_REQUEST, format!("rule not matched for function \"{name}\""), "FunctionExecutionError")
        }
        CallError::PayloadInvalid(text) => row(StatusCode::BAD_REQUEST, *text, "BadRequest"),
        CallError::Run(error) => run_error(error),
        CallError::ResponseHeadersTooLarge => {
            row(StatusCode::BAD_REQUEST, "response headers too large", "FunctionExecutionError")
        }
        CallError::Internal(_) => internal(),
    }
}

/// rules-and-users 4 and http-surface 2.3.
fn auth_status(error: &AuthError) -> StatusCode {
    match error {
        AuthError::InvalidEmail
        | AuthError::PasswordLength
        | AuthError::InvalidTokenData
        | AuthError::TokenExpiredOrInvalid
        | AuthError::AlreadyConfirmed
        | AuthError::UseResetFunction
        | AuthError::NoResetFunction
        | AuthError::AutomaticConfirmation { .. }
        | AuthError::NoConfirmationFunction
        | AuthError::ConfirmationFailed { .. }
        | AuthError::ResetFailed { .. }
        | AuthError::ApiKeyName
        | AuthError::TooManyApiKeys { .. }
        | AuthError::MissingParameter(_)
        | AuthError::InvalidParameter { .. } => StatusCode::BAD_REQUEST,
        AuthError::InvalidPassword
        | AuthError::ConfirmationRequired
        | AuthError::InvalidApiKey { .. }
        | AuthError::TokenRefused { .. }
        | AuthError::FunctionRefused(_)
        | AuthError::CreationRefused(_)
        | AuthError::ProviderUnsupported(_)
        | AuthError::UserDisabled
        | AuthError::InvalidSession { .. }
        | AuthError::UnknownUser => StatusCode::UNAUTHORIZED,
        AuthError::ApiKeysForbidden { .. } | AuthError::DomainNotAllowed => StatusCode::FORBIDDEN,
        AuthError::UserNotFound | AuthError::ApiKeyNotFound => StatusCode::NOT_FOUND,
        AuthError::NameInUse | AuthError::IdentityInUse | AuthError::ApiKeyExists(_) => StatusCode::CONFLICT,
        AuthError::TooManyFailures { .. } => StatusCode::TOO_MANY_REQUESTS,
        AuthError::ProviderUnavailable { .. } | AuthError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        AuthError::MailFailed(_) | AuthError::Database(_) | AuthError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What services say, by its code (rules-and-users 2.8).
fn service_status(code: &str) -> StatusCode {
    match code {
        "NoMatchingRuleFound" => StatusCode::FORBIDDEN,
        "ServiceNotFound" => StatusCode::NOT_FOUND,
        "InternalServerError" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// A run without a value: the code is the run's own, the status depends on the cause.
fn run_error(error: &RunError) -> ErrorAnswer {
    let status = match error.kind {
        RunErrorKind::Threw
        | RunErrorKind::Syntax
        | RunErrorKind::NotCallable
        | RunErrorKind::UncaughtRejection
        | RunErrorKind::NeverSettles
        | RunErrorKind::NotSerializable
        | RunErrorKind::WallTime
        | RunErrorKind::CpuTime
        | RunErrorKind::Heap
        | RunErrorKind::PendingOperations
        | RunErrorKind::ResultTooLarge => StatusCode::BAD_REQUEST,
        RunErrorKind::NotFound => StatusCode::NOT_FOUND,
        // Ours, not the platform's: it never told its callers of these.
        RunErrorKind::Overloaded | RunErrorKind::Draining => StatusCode::SERVICE_UNAVAILABLE,
        RunErrorKind::Crashed => return internal(),
    };
    row(status, &error.text, &error.error_code)
}

fn internal() -> ErrorAnswer {
    row(StatusCode::INTERNAL_SERVER_ERROR, "internal server error", "InternalServerError")
}

fn row(status: StatusCode, text: impl Into<String>, code: &str) -> ErrorAnswer {
    ErrorAnswer { status, text: text.into(), code: Some(code.to_owned()), link: true, allow: None }
}

impl ErrorAnswer {
    /// The body: keys in the order of the platform's.
    pub fn body(&self, link: Option<&str>) -> String {
        let mut body = serde_json::Map::new();
        body.insert("error".into(), self.text.clone().into());
        if let Some(code) = &self.code {
            body.insert("error_code".into(), code.clone().into());
        }
        if let Some(link) = link.filter(|_| self.link) {
            body.insert("link".into(), link.into());
        }
        serde_json::Value::Object(body).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: CallError, expected: (u16, &str, Option<&str>)) {
        let answer = answer_for(&error);
        assert_eq!((answer.status.as_u16(), answer.text.as_str(), answer.code.as_deref()), expected, "{error:?}");
    }

    fn run(kind: RunErrorKind, code: &str, text: &str) -> CallError {
        CallError::Run(RunError { kind, error_code: code.into(), text: text.into(), stack: Some("at x.js:1:1".into()) })
    }

    /// The rows of http-surface 3.9.
    #[test]
    fn rows() {
        let webhook = HandlerKind::Webhook;
        let endpoint = HandlerKind::Endpoint;
        check(CallError::AppNotFound("x".into()), (404, "cannot find app using Client App ID 'x'", None));
        check(CallError::ServiceNotFound("x".into()), (404, "service not found: 'x'", Some("ServiceNotFound")));
        check(
            CallError::WebhookNotFound("x".into()),
            (404, "incoming webhook not found: 'x'", Some("IncomingWebhookNotFound")),
        );
        check(
            CallError::MethodNotAllowed { method: "GET".into(), allow: "POST".into() },
            (405, "method GET is not allowed for this webhook", Some("BadRequest")),
        );
        check(
            CallError::EndpointNotFound { method: "GET".into(), route: "/x".into() },
            (404, "no endpoint for GET /x", Some("EndpointNotFound")),
        );
        check(
            CallError::ValidationFailed { kind: webhook, reason: "x" },
            (401, "request validation failed", Some("IncomingWebhookAuthFailed")),
        );
        check(
            CallError::ValidationFailed { kind: endpoint, reason: "x" },
            (401, "request validation failed", Some("AuthError")),
        );
        check(CallError::AddressNotAllowed, (403, "IP address not allowed", Some("AuthError")));
        check(CallError::TooManyRequests, (429, "too many requests", None));
        check(CallError::BodyTooLarge, (413, "request body too large", Some("BadRequest")));
        check(CallError::OriginNotAllowed, (403, "origin not allowed", Some("DomainNotAllowed")));
        check(
            CallError::RuleNotMatched("hook".into()),
            (400, "rule not matched for function \"hook\"", Some("FunctionExecutionError")),
        );
        check(
            CallError::UnknownCredentials { kind: endpoint },
            (401, "invalid session: error finding user for endpoint", Some("InvalidSession")),
        );
        check(
            run(RunErrorKind::Threw, "FunctionExecutionError", "Error: boom"),
            (400, "Error: boom", Some("FunctionExecutionError")),
        );
        check(
            run(RunErrorKind::WallTime, "ExecutionTimeLimitExceeded", "execution time limit exceeded"),
            (400, "execution time limit exceeded", Some("ExecutionTimeLimitExceeded")),
        );
        check(
            run(RunErrorKind::NotFound, "FunctionNotFound", "function not found: 'f'"),
            (404, "function not found: 'f'", Some("FunctionNotFound")),
        );
        check(
            run(RunErrorKind::Crashed, "X", "details of a crash"),
            (500, "internal server error", Some("InternalServerError")),
        );
    }

    #[test]
    fn bodies() {
        let answer = answer_for(&CallError::ServiceNotFound("a\"b".into()));
        assert_eq!(
            answer.body(Some("http://x/logs?co_id=1")),
            r#"{"error":"service not found: 'a\"b'","error_code":"ServiceNotFound","link":"http://x/logs?co_id=1"}"#
        );
        let answer = answer_for(&CallError::AppNotFound("x".into()));
        assert_eq!(answer.body(Some("http://x")), r#"{"error":"cannot find app using Client App ID 'x'"}"#);
    }
}
