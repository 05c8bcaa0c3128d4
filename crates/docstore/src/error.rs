//! The two kinds of failure: [`CommandError`], which a client reads in a reply, and [`Error`], which whoever opens or
//! shuts the store down reads.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use bson::{Bson, Document, doc};

/// Label of errors after which a driver runs the whole transaction again.
pub const TRANSIENT_TRANSACTION_ERROR: &str = "TransientTransactionError";
/// Label of errors after which a driver sends a retryable write again.
pub const RETRYABLE_WRITE_ERROR: &str = "RetryableWriteError";

/// Label of errors after which a driver opens a change stream again where it ended.
pub const RESUMABLE_CHANGE_STREAM_ERROR: &str = "ResumableChangeStreamError";

/// MongoDB's error codes by name; the subset this crate can answer, and the names are MongoDB's own
/// (MongoDB manual, "Error Codes").
pub mod code {
    /// One row per code: constant, number, name on the wire.
    macro_rules! codes {
        ($($(#[$note:meta])* $constant:ident = $number:literal, $name:literal;)*) => {
            $(#[doc = concat!("`", $name, "` (", $number, ")")] pub const $constant: i32 = $number;)*

            /// The code's name on the wire: MongoDB's own, or `Location<number>` for internal numbers without one.
            pub fn name(code: i32) -> std::borrow::Cow<'static, str> {
                match code {
                    $($number => std::borrow::Cow::Borrowed($name),)*
                    other => std::borrow::Cow::Owned(format!("Location{other}")),
                }
            }
        };
    }
    codes! {
        INTERNAL_ERROR = 1, "InternalError";
        BAD_VALUE = 2, "BadValue";
        NO_SUCH_KEY = 4, "NoSuchKey";
        GRAPH_CONTAINS_CYCLE = 5, "GraphContainsCycle";
        HOST_UNREACHABLE = 6, "HostUnreachable";
        UNKNOWN_ERROR = 8, "UnknownError";
        FAILED_TO_PARSE = 9, "FailedToParse";
        CANNOT_MUTATE_OBJECT = 10, "CannotMutateObject";
        USER_NOT_FOUND = 11, "UserNotFound";
        UNSUPPORTED_FORMAT = 12, "UnsupportedFormat";
        UNAUTHORIZED = 13, "Unauthorized";
        TYPE_MISMATCH = 14, "TypeMismatch";
        OVERFLOW = 15, "Overflow";
        INVALID_LENGTH = 16, "InvalidLength";
        PROTOCOL_ERROR = 17, "ProtocolError";
        AUTHENTICATION_FAILED = 18, "AuthenticationFailed";
        ILLEGAL_OPERATION = 20, "IllegalOperation";
        INVALID_BSON = 22, "InvalidBSON";
        ALREADY_INITIALIZED = 23, "AlreadyInitialized";
        LOCK_TIMEOUT = 24, "LockTimeout";
        NAMESPACE_NOT_FOUND = 26, "NamespaceNotFound";
        INDEX_NOT_FOUND = 27, "IndexNotFound";
        PATH_NOT_VIABLE = 28, "PathNotViable";
        NON_EXISTENT_PATH = 29, "NonExistentPath";
        CONFLICTING_UPDATE_OPERATORS = 40, "ConflictingUpdateOperators";
        NO_MATCHING_DOCUMENT = 47, "NoMatchingDocument";
        CURSOR_KILLED = 237, "CursorKilled";
        INVALID_RESUME_TOKEN = 260, "InvalidResumeToken";
        CURSOR_NOT_FOUND = 43, "CursorNotFound";
        NAMESPACE_EXISTS = 48, "NamespaceExists";
        MAX_TIME_MS_EXPIRED = 50, "MaxTimeMSExpired";
        DOLLAR_PREFIXED_FIELD_NAME = 52, "DollarPrefixedFieldName";
        INVALID_ID_FIELD = 53, "InvalidIdField";
        NOT_SINGLE_VALUE_FIELD = 54, "NotSingleValueField";
        EMPTY_FIELD_NAME = 56, "EmptyFieldName";
        DOTTED_FIELD_NAME = 57, "DottedFieldName";
        COMMAND_NOT_FOUND = 59, "CommandNotFound";
        IMMUTABLE_FIELD = 66, "ImmutableField";
        CANNOT_CREATE_INDEX = 67, "CannotCreateIndex";
        INDEX_ALREADY_EXISTS = 68, "IndexAlreadyExists";
        INVALID_OPTIONS = 72, "InvalidOptions";
        INVALID_NAMESPACE = 73, "InvalidNamespace";
        WRITE_CONCERN_FAILED = 64, "WriteConcernFailed";
        MULTIPLE_ERRORS_OCCURRED = 65, "MultipleErrorsOccurred";
        NETWORK_TIMEOUT = 89, "NetworkTimeout";
        SHUTDOWN_IN_PROGRESS = 91, "ShutdownInProgress";
        OPERATION_FAILED = 96, "OperationFailed";
        WRITE_CONFLICT = 112, "WriteConflict";
        COMMAND_NOT_SUPPORTED = 115, "CommandNotSupported";
        DOCUMENT_VALIDATION_FAILURE = 121, "DocumentValidationFailure";
        NOT_A_REPLICA_SET = 123, "NotAReplicaSet";
        CAPPED_POSITION_LOST = 136, "CappedPositionLost";
        EXCEEDED_MEMORY_LIMIT = 146, "ExceededMemoryLimit";
        QUERY_PLAN_KILLED = 175, "QueryPlanKilled";
        INDEX_OPTIONS_CONFLICT = 85, "IndexOptionsConflict";
        INDEX_KEY_SPECS_CONFLICT = 86, "IndexKeySpecsConflict";
        OPERATION_NOT_SUPPORTED_IN_TRANSACTION = 263, "OperationNotSupportedInTransaction";
        COMMAND_NOT_SUPPORTED_ON_VIEW = 166, "CommandNotSupportedOnView";
        OPTION_NOT_SUPPORTED_ON_VIEW = 167, "OptionNotSupportedOnView";
        INVALID_PIPELINE_OPERATOR = 168, "InvalidPipelineOperator";
        COMMAND_ON_SHARDED_VIEW_NOT_SUPPORTED_ON_MONGOD = 169, "CommandOnShardedViewNotSupportedOnMongod";
        VIEW_DEPTH_LIMIT_EXCEEDED = 165, "ViewDepthLimitExceeded";
        INVALID_VIEW_DEFINITION = 182, "InvalidViewDefinition";
        CANNOT_DROP_ID_INDEX = 203, "CannotDropIdIndex";
        NO_SUCH_SESSION = 206, "NoSuchSession";
        TRANSACTION_TOO_OLD = 225, "TransactionTooOld";
        INVALID_UUID = 207, "InvalidUUID";
        TOO_MANY_LOGICAL_SESSIONS = 261, "TooManyLogicalSessions";
        EXCEEDED_TIME_LIMIT = 262, "ExceededTimeLimit";
        CONVERSION_FAILURE = 241, "ConversionFailure";
        NO_SUCH_TRANSACTION = 251, "NoSuchTransaction";
        TRANSACTION_COMMITTED = 256, "TransactionCommitted";
        TRANSACTION_TOO_LARGE = 257, "TransactionTooLarge";
        CHANGE_STREAM_HISTORY_LOST = 286, "ChangeStreamHistoryLost";
        CHANGE_STREAM_FATAL_ERROR = 280, "ChangeStreamFatalError";
        NO_QUERY_EXECUTION_PLANS = 291, "NoQueryExecutionPlans";
        QUERY_EXCEEDED_MEMORY_LIMIT_NO_DISK_USE_ALLOWED = 292, "QueryExceededMemoryLimitNoDiskUseAllowed";
        API_VERSION_ERROR = 322, "APIVersionError";
        API_STRICT_ERROR = 323, "APIStrictError";
        BSON_OBJECT_TOO_LARGE = 10334, "BSONObjectTooLarge";
        DUPLICATE_KEY = 11000, "DuplicateKey";
        INTERRUPTED_AT_SHUTDOWN = 11600, "InterruptedAtShutdown";
        INTERRUPTED = 11601, "Interrupted";
        OUT_OF_DISK_SPACE = 14031, "OutOfDiskSpace";
        NO_SUCH_LOCATION_KEY_TOO_LONG = 17280, "KeyTooLong";
    }
}

/// A command that failed, as the client reads it.
///
/// On the wire: `{ ok: 0, errmsg, code, codeName, errorLabels?, ...extra }`; inside `writeErrors`:
/// `{ index, code, errmsg, ...extra }`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code_name} ({code}): {message}")]
pub struct CommandError {
    /// MongoDB's number.
    pub code: i32,
    /// MongoDB's name of the number; `Location<number>` where it has none.
    pub code_name: Cow<'static, str>,
    /// For people; MongoDB's wording where a program could depend on it.
    pub message: String,
    /// Error labels (`TransientTransactionError`, `RetryableWriteError`).
    pub labels: Vec<&'static str>,
    /// Further fields of the reply, e.g. `keyPattern` and `keyValue` of a duplicate key, `errInfo` of a failed validation.
    pub extra: Box<Document>,
}

/// What a command's parts return.
pub type CommandResult<T> = Result<T, CommandError>;

impl CommandError {
    /// An error with this code; the name follows from it.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, code_name: code::name(code), message: message.into(), labels: Vec::new(), extra: Box::default() }
    }

    /// `BadValue` (2).
    pub fn bad_value(message: impl Into<String>) -> Self {
        Self::new(code::BAD_VALUE, message)
    }

    /// `FailedToParse` (9).
    pub fn failed_to_parse(message: impl Into<String>) -> Self {
        Self::new(code::FAILED_TO_PARSE, message)
    }

    /// `TypeMismatch` (14).
    pub fn type_mismatch(message: impl Into<String>) -> Self {
        Self::new(code::TYPE_MISMATCH, message)
    }

    /// `InternalError` (1): our mistake or the disk's.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(code::INTERNAL_ERROR, message)
    }

    /// `WriteConflict` (112), labelled so that the driver runs the transaction again.
    pub fn write_conflict() -> Self {
        Self::new(
            code::WRITE_CONFLICT,
            "WriteConflict error: this operation conflicted with another operation. Please retry your operation or multi-document transaction.",
        )
        .with_label(TRANSIENT_TRANSACTION_ERROR)
    }

    /// `CommandNotSupported` (115): MongoDB has it, this store does not. `what` names it, e.g. "the $where operator".
    pub fn not_supported(what: impl std::fmt::Display) -> Self {
        Self::new(
            code::COMMAND_NOT_SUPPORTED,
            format!("{what} is not supported by the embedded docstore; MongoDB itself supports it"),
        )
    }

    /// `DuplicateKey` (11000) with `keyPattern` and `keyValue`.
    pub fn duplicate_key(namespace: &str, index: &str, key_pattern: Document, key_value: Document) -> Self {
        let message = format!("E11000 duplicate key error collection: {namespace} index: {index} dup key: {key_value}");
        Self::new(code::DUPLICATE_KEY, message).with_field("keyPattern", key_pattern).with_field("keyValue", key_value)
    }

    /// The same error with one more label.
    pub fn with_label(mut self, label: &'static str) -> Self {
        if !self.labels.contains(&label) {
            self.labels.push(label);
        }
        self
    }

    /// The same error with one more field in the reply.
    pub fn with_field(mut self, name: &str, value: impl Into<Bson>) -> Self {
        self.extra.insert(name, value);
        self
    }

    /// The same error, its message led by `lead`, as MongoDB does when it passes an error on.
    pub fn with_prefix(mut self, lead: &str) -> Self {
        self.message = format!("{lead}{}", self.message);
        self
    }

    /// The whole reply: `{ ok: 0.0, errmsg, code, codeName, errorLabels?, ... }`.
    pub fn to_reply(&self) -> Document {
        let mut reply = doc! {
            "ok": 0.0,
            "errmsg": &self.message,
            "code": self.code,
            "codeName": self.code_name.as_ref(),
        };
        if !self.labels.is_empty() {
            reply.insert("errorLabels", self.labels.iter().map(|label| Bson::from(*label)).collect::<Vec<_>>());
        }
        for (name, value) in self.extra.iter() {
            reply.insert(name, value.clone());
        }
        reply
    }

    /// One entry of `writeErrors`: `{ index, code, errmsg, ... }`.
    pub fn to_write_error(&self, index: usize) -> Document {
        let mut entry = doc! { "index": i32::try_from(index).unwrap_or(i32::MAX), "code": self.code };
        for (name, value) in self.extra.iter() {
            entry.insert(name, value.clone());
        }
        entry.insert("errmsg", &self.message);
        entry
    }
}

/// Why the store could not be opened, or not be shut down cleanly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory cannot be made, read or written.
    #[error("data directory {}: cannot be used", path.display())]
    Directory {
        /// The data directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process has the directory open.
    #[error("data directory {} is in use by another process", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The files are not what this version wrote: truncated, overwritten or damaged.
    #[error("data file {} is damaged: {reason}", path.display())]
    Damaged {
        /// The file concerned.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The directory was written by another version of this crate.
    #[error("data directory {} has format {found}; this version reads format {expected}", path.display())]
    Format {
        /// The data directory.
        path: PathBuf,
        /// The format found.
        found: String,
        /// The format this version writes.
        expected: String,
    },
    /// The storage engine failed.
    #[error("storage: {0}")]
    Storage(String),
    /// The socket cannot be opened.
    #[error("cannot listen on {address}")]
    Listen {
        /// Socket path or TCP address.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An option that cannot be.
    #[error("option {option}: {reason}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}
