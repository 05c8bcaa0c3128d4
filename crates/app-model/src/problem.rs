//! What a load reports to the person who owns the app directory.

use std::fmt;
use std::path::PathBuf;

/// One mistake or oddity in an app directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Error: something is not served. Warning: everything is served, perhaps not as meant.
    pub level: Level,
    /// File relative to the app directory, with `/` separators.
    pub file: PathBuf,
    /// Dotted field inside the file, `line:column` for a source, or empty for the file as a whole.
    pub field: String,
    /// What is wrong and what to do, in one sentence each.
    pub message: String,
}

/// Weight of a [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything is served, perhaps not as meant.
    Warning,
    /// Something is not served.
    Error,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Warning => "warning",
            Level::Error => "error",
        };
        write!(formatter, "{level}: {}", self.file.display())?;
        if !self.field.is_empty() {
            write!(formatter, ": {}", self.field)?;
        }
        write!(formatter, ": {}", self.message)
    }
}
