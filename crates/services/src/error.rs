//! Why a service call failed, in the words user code knows (function-environment 7.11).

use crate::UserRefused;
use bson::raw::RawDocumentBuf;
use mongodb::error::{Error as DriverError, ErrorKind, WriteFailure as DriverWriteFailure};

/// Why a service call failed.
///
/// `Display` is the `message` of the `Error` that user code gets; it never holds addresses, file paths or credentials of
/// the host. The chain of `source`s is for the log.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The app has no such service.
    #[error("service not found: '{name}'")]
    UnknownService {
        /// Name as asked for.
        name: String,
    },

    /// The service has no such action.
    #[error("service '{service}' has no action '{action}'")]
    UnknownAction {
        /// Service name.
        service: String,
        /// Action as asked for.
        action: String,
    },

    /// An argument has the wrong shape; the text names it.
    #[error("{text}")]
    InvalidParameter {
        /// What is wrong and what is accepted.
        text: String,
    },

    /// A rules user has no rule for this collection (rules-and-users 2.8).
    #[error("no rule exists for namespace '{database}.{collection}'")]
    NoMatchingRule {
        /// Database name.
        database: String,
        /// Collection name.
        collection: String,
    },

    /// A role denies a change (rules-and-users 2.8).
    #[error("{action} not permitted")]
    NotPermitted {
        /// `insert`, `update` or `delete`.
        action: &'static str,
    },

    /// A document does not fit its schema; what it violates is in the log.
    #[error("{action} not permitted")]
    SchemaViolation {
        /// `insert`, `update` or `delete`.
        action: &'static str,
    },

    /// Something that application users may not use (rules-and-users 2.7).
    #[error("{text}")]
    BadRequest {
        /// Names it.
        text: String,
    },

    /// The user as whom a frame runs is unknown or disabled.
    #[error(transparent)]
    UserRefused(#[from] UserRefused),

    /// No rule of a service lets a rules user call this action.
    #[error("no matching rule found for action '{action}' of service '{service}'")]
    NoServiceRule {
        /// Service name.
        service: String,
        /// Action as asked for.
        action: String,
    },

    /// An HTTP request got no answer, or one that cannot be used.
    #[error("{text}")]
    Http {
        /// Method, URL without credentials, and cause.
        text: String,
    },

    /// AWS refused an action, or could not be reached.
    #[error("{text}")]
    Aws {
        /// The code and message of AWS.
        text: String,
    },

    /// Twilio refused a message, or could not be reached.
    #[error("{text}")]
    Twilio {
        /// Twilio's own text, or the cause.
        text: String,
    },

    /// A service lacks what it needs to be called, such as the text of a Secret.
    #[error("service '{service}' is not configured: {reason}")]
    NotConfigured {
        /// Service name.
        service: String,
        /// What is missing.
        reason: String,
    },

    /// The operator does not let functions reach this host.
    #[error("restricted host: '{host}'")]
    RestrictedHost {
        /// Name or address as asked for.
        host: String,
    },

    /// The database refused a command as a whole.
    #[error("{}", command_text(.code_name, .text))]
    Command {
        /// The server's number.
        code: i32,
        /// The server's name for it; may be empty.
        code_name: String,
        /// The server's text.
        text: String,
        /// Labels of the server and the driver.
        labels: Vec<String>,
    },

    /// The database refused some statements of a write, or could not acknowledge it as asked.
    #[error("{}", write_text(.errors, .concern))]
    Write {
        /// One per refused statement, in order of the statements.
        errors: Vec<WriteFailure>,
        /// The failed acknowledgement, if any.
        concern: Option<WriteFailure>,
        /// Labels of the server and the driver.
        labels: Vec<String>,
    },

    /// No server of the data source answered in time, or the connection broke.
    #[error("{text}")]
    Unreachable {
        /// What user code may know.
        text: String,
        /// Labels of the driver.
        labels: Vec<String>,
        /// The driver's own error, with addresses: for the log.
        #[source]
        source: Box<DriverError>,
    },

    /// Anything else the driver reports.
    #[error("{text}")]
    Driver {
        /// What user code may know.
        text: String,
        /// Labels of the driver.
        labels: Vec<String>,
        /// The driver's own error: for the log.
        #[source]
        source: Box<DriverError>,
    },

    /// A bound of [`crate::ServiceLimits`] was reached.
    #[error("{text}")]
    LimitReached {
        /// Which one, with its value.
        text: String,
    },

    /// A bound of the process, such as the server's address or a certificate, is configured wrongly.
    #[error("{text}")]
    Configuration {
        /// What is wrong.
        text: String,
        /// The driver's own error.
        #[source]
        source: Option<Box<DriverError>>,
    },

    /// The run is over; its cursors and sessions are gone.
    #[error("the run has ended")]
    RunEnded,
}

/// One refused statement of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteFailure {
    /// Index of the statement in the call; 0 for single writes.
    pub index: usize,
    /// The server's number.
    pub code: i32,
    /// The server's name for it, where it sends one.
    pub code_name: Option<String>,
    /// The server's text.
    pub text: String,
}

impl ServiceError {
    /// An argument of the wrong shape.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::InvalidParameter { text: text.into() }
    }

    /// Something that application users may not use.
    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::BadRequest { text: text.into() }
    }

    /// `name` of the JavaScript error.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UnknownService { .. }
            | Self::UnknownAction { .. }
            | Self::NoServiceRule { .. }
            | Self::Http { .. }
            | Self::Aws { .. }
            | Self::Twilio { .. }
            | Self::NotConfigured { .. }
            | Self::RestrictedHost { .. }
            | Self::UserRefused(_)
            | Self::RunEnded => "Error",
            Self::InvalidParameter { .. }
            | Self::NoMatchingRule { .. }
            | Self::NotPermitted { .. }
            | Self::SchemaViolation { .. }
            | Self::BadRequest { .. }
            | Self::Command { .. }
            | Self::Write { .. }
            | Self::Unreachable { .. }
            | Self::Driver { .. }
            | Self::LimitReached { .. }
            | Self::Configuration { .. } => "MongoError",
        }
    }

    /// The platform's code, which applies when the error leaves the run uncaught.
    pub fn error_code(&self) -> &'static str {
        match self {
            Self::UnknownService { .. } => "ServiceNotFound",
            Self::UnknownAction { .. } => "ServiceCommandNotFound",
            Self::InvalidParameter { .. } => "InvalidParameter",
            Self::NoMatchingRule { .. } | Self::NoServiceRule { .. } | Self::NotPermitted { .. } => {
                "NoMatchingRuleFound"
            }
            Self::SchemaViolation { .. } => "SchemaValidationFailedWrite",
            Self::BadRequest { .. } => "BadRequest",
            Self::Http { .. } => "HTTPError",
            Self::Aws { .. } => "AWSError",
            Self::Twilio { .. } => "TwilioError",
            Self::NotConfigured { .. } => "SecretNotFound",
            Self::RestrictedHost { .. } => "RestrictedHost",
            Self::UserRefused(UserRefused::NotFound { .. }) => "UserNotFound",
            Self::UserRefused(UserRefused::Disabled { .. }) => "UserDisabled",
            Self::UserRefused(UserRefused::Unavailable { .. }) => "InternalServerError",
            Self::Command { .. } | Self::Write { .. } | Self::Unreachable { .. } | Self::Driver { .. } => {
                "MongoDBError"
            }
            Self::LimitReached { .. } | Self::RunEnded => "FunctionExecutionError",
            Self::Configuration { .. } => "InternalServerError",
        }
    }

    /// The server's number, such as 11000.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Command { code, .. } => Some(*code),
            Self::Write { errors, concern, .. } => errors.first().or(concern.as_ref()).map(|failure| failure.code),
            _ => None,
        }
    }

    /// The server's name for it, such as `DuplicateKey`.
    pub fn code_name(&self) -> Option<&str> {
        match self {
            Self::Command { code_name, .. } => Some(code_name.as_str()).filter(|name| !name.is_empty()),
            Self::Write { errors, concern, .. } => {
                let failure = errors.first().or(concern.as_ref())?;
                failure.code_name.as_deref().or_else(|| well_known_code_name(failure.code))
            }
            _ => None,
        }
    }

    /// Labels such as `TransientTransactionError`, sorted.
    pub fn error_labels(&self) -> &[String] {
        match self {
            Self::Command { labels, .. }
            | Self::Write { labels, .. }
            | Self::Unreachable { labels, .. }
            | Self::Driver { labels, .. } => labels,
            _ => &[],
        }
    }

    /// Whether a read may be sent once more: the connection broke or the server is changing its state.
    pub(crate) fn is_retryable_read(&self) -> bool {
        /// Codes of the retryable-reads specification of the drivers.
        const CODES: [i32; 13] = [11600, 11602, 10107, 13435, 13436, 189, 91, 7, 6, 89, 9001, 134, 262];
        match self {
            Self::Command { code, .. } => CODES.contains(code),
            Self::Unreachable { source, .. } => {
                matches!(source.kind.as_ref(), ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. })
            }
            _ => false,
        }
    }
}

/// The name the server's other replies give a code that write errors carry without a name.
fn well_known_code_name(code: i32) -> Option<&'static str> {
    match code {
        2 => Some("BadValue"),
        9 => Some("FailedToParse"),
        11000 => Some("DuplicateKey"),
        66 => Some("ImmutableField"),
        112 => Some("WriteConflict"),
        121 => Some("DocumentValidationFailure"),
        _ => None,
    }
}

fn command_text(code_name: &str, text: &str) -> String {
    if code_name.is_empty() { text.to_owned() } else { format!("({code_name}) {text}") }
}

fn write_text(errors: &[WriteFailure], concern: &Option<WriteFailure>) -> String {
    let mut causes = Vec::with_capacity(2);
    if let Some(concern) = concern {
        let name = concern.code_name.as_deref().unwrap_or_default();
        causes.push(format!("write concern error: {}", command_text(name, &concern.text)));
    }
    if !errors.is_empty() {
        let texts: Vec<&str> = errors.iter().map(|failure| failure.text.as_str()).collect();
        causes.push(format!("write errors: [{}]", texts.join(", ")));
    }
    format!("write exception: {}", causes.join(", "))
}

impl From<DriverError> for ServiceError {
    fn from(error: DriverError) -> Self {
        let mut labels: Vec<String> = error.labels().iter().cloned().collect();
        labels.sort();
        match error.kind.as_ref() {
            ErrorKind::Command(command) => Self::Command {
                code: command.code,
                code_name: command.code_name.clone(),
                text: command.message.clone(),
                labels,
            },
            ErrorKind::Write(DriverWriteFailure::WriteError(failure)) => Self::Write {
                errors: vec![WriteFailure {
                    index: 0,
                    code: failure.code,
                    code_name: failure.code_name.clone(),
                    text: failure.message.clone(),
                }],
                concern: None,
                labels,
            },
            ErrorKind::Write(DriverWriteFailure::WriteConcernError(failure)) => Self::Write {
                errors: Vec::new(),
                concern: Some(WriteFailure {
                    index: 0,
                    code: failure.code,
                    code_name: Some(failure.code_name.clone()).filter(|name| !name.is_empty()),
                    text: failure.message.clone(),
                }),
                labels,
            },
            ErrorKind::InsertMany(failure) => Self::Write {
                errors: failure
                    .write_errors
                    .iter()
                    .flatten()
                    .map(|failure| WriteFailure {
                        index: failure.index,
                        code: failure.code,
                        code_name: failure.code_name.clone(),
                        text: failure.message.clone(),
                    })
                    .collect(),
                concern: failure.write_concern_error.as_ref().map(|failure| WriteFailure {
                    index: 0,
                    code: failure.code,
                    code_name: Some(failure.code_name.clone()).filter(|name| !name.is_empty()),
                    text: failure.message.clone(),
                }),
                labels,
            },
            ErrorKind::InvalidArgument { message, .. } => Self::InvalidParameter { text: message.clone() },
            ErrorKind::ServerSelection { .. } => Self::Unreachable {
                text: "server selection error: no suitable server of the data source answered in time".to_owned(),
                labels,
                source: Box::new(error),
            },
            ErrorKind::Io(cause) => Self::Unreachable {
                text: format!("the connection to the database failed: {}", cause.kind()),
                labels,
                source: Box::new(error),
            },
            ErrorKind::ConnectionPoolCleared { .. } => Self::Unreachable {
                text: "the connection to the database failed: another operation found the server unreachable"
                    .to_owned(),
                labels,
                source: Box::new(error),
            },
            ErrorKind::DnsResolve { .. } => Self::Unreachable {
                text: "the connection to the database failed: its name does not resolve".to_owned(),
                labels,
                source: Box::new(error),
            },
            ErrorKind::Authentication { .. } => Self::Unreachable {
                text: "the database refused the credentials of the data source".to_owned(),
                labels,
                source: Box::new(error),
            },
            ErrorKind::Transaction { message, .. } | ErrorKind::IncompatibleServer { message, .. } => {
                Self::Driver { text: message.clone(), labels, source: Box::new(error) }
            }
            ErrorKind::SessionsNotSupported => Self::Driver {
                text: "the database does not support sessions".to_owned(),
                labels,
                source: Box::new(error),
            },
            ErrorKind::Shutdown => Self::RunEnded,
            _ => Self::Driver {
                text: "the database gave an answer that could not be read".to_owned(),
                labels,
                source: Box::new(error),
            },
        }
    }
}

/// Reads the failures of a write reply that a raw command gave. `offset` is the index of the command's first statement.
pub(crate) fn write_failures(reply: &bson::Document, offset: usize) -> (Vec<WriteFailure>, Option<WriteFailure>) {
    let errors = reply.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    let errors =
        errors.iter().filter_map(bson::Bson::as_document).map(|failure| write_failure(failure, offset)).collect();
    let concern = reply.get_document("writeConcernError").ok().map(|failure| write_failure(failure, offset));
    (errors, concern)
}

fn write_failure(failure: &bson::Document, offset: usize) -> WriteFailure {
    let number = |key: &str| match failure.get(key) {
        Some(bson::Bson::Int32(value)) => i64::from(*value),
        Some(bson::Bson::Int64(value)) => *value,
        Some(bson::Bson::Double(value)) => *value as i64,
        _ => 0,
    };
    WriteFailure {
        index: offset + usize::try_from(number("index")).unwrap_or(0),
        code: i32::try_from(number("code")).unwrap_or(0),
        code_name: failure.get_str("codeName").ok().map(str::to_owned),
        text: failure.get_str("errmsg").unwrap_or_default().to_owned(),
    }
}

/// Bytes that are no BSON document, although the caller promised one.
impl From<bson::error::Error> for ServiceError {
    fn from(error: bson::error::Error) -> Self {
        Self::InvalidParameter { text: format!("malformed value: {error}") }
    }
}

/// A call's answer.
pub(crate) type Reply = Result<RawDocumentBuf, ServiceError>;
