//! Why a rule cannot be loaded.

/// An expression that may not be used. Whatever it guards is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Unknown, or not offered in this place.
    #[error("{}do not know how to expand '{expansion}'{}", at(.path), in_parentheses(.hint))]
    UnknownExpansion {
        /// Dotted path inside of the expression.
        path: String,
        /// As written.
        expansion: String,
        /// Where it would be known; may be empty.
        hint: String,
    },
    /// No operator of the language, or one that rules do not offer.
    #[error("{}the operator '{operator}' is not available here", at(.path))]
    UnknownOperator {
        /// Dotted path inside of the expression.
        path: String,
        /// As written.
        operator: String,
    },
    /// Something else stands where an expression belongs.
    #[error("{}{found} is no expression: write true, false or an object", at(.path))]
    NotAnExpression {
        /// Dotted path inside of the expression.
        path: String,
        /// What stands there.
        found: &'static str,
    },
    /// A field name where there is neither a document nor arguments to look it up in.
    #[error("{}the key '{key}' names a field, but there is no document here: write an expansion such as %%user.id", at(.path))]
    BareKey {
        /// Dotted path inside of the expression.
        path: String,
        /// As written.
        key: String,
    },
    /// Operators and other keys in one operand.
    #[error("{}operators and other keys stand in one object: separate them", at(.path))]
    MixedKeys {
        /// Dotted path inside of the expression.
        path: String,
    },
    /// The operand of an operator has no meaning.
    #[error("{}'{operator}' takes {expected}", at(.path))]
    Operand {
        /// Dotted path inside of the expression.
        path: String,
        /// As written.
        operator: String,
        /// What it takes.
        expected: &'static str,
    },
    /// An Extended JSON value that is none.
    #[error("{}this is no Extended JSON value: {reason}", at(.path))]
    Literal {
        /// Dotted path inside of the expression.
        path: String,
        /// From the decoder.
        reason: String,
    },
    /// A part of a rule file has the wrong type.
    #[error("{}is {found} here: write {expected}", at(.path))]
    Shape {
        /// Dotted path inside of the file.
        path: String,
        /// What stands there.
        found: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// Nested too deeply or too long.
    #[error("{}the expression is too large: shorten it", at(.path))]
    TooLarge {
        /// Dotted path inside of the expression.
        path: String,
    },
}

impl RuleError {
    /// Dotted path inside of the expression; empty for the expression as a whole.
    pub fn path(&self) -> &str {
        match self {
            RuleError::UnknownExpansion { path, .. }
            | RuleError::UnknownOperator { path, .. }
            | RuleError::NotAnExpression { path, .. }
            | RuleError::BareKey { path, .. }
            | RuleError::MixedKeys { path }
            | RuleError::Operand { path, .. }
            | RuleError::Literal { path, .. }
            | RuleError::Shape { path, .. }
            | RuleError::TooLarge { path } => path,
        }
    }
}

impl RuleError {
    /// The same error, seen from what holds the expression.
    pub(crate) fn within(mut self, outer: &str) -> Self {
        let path = match &mut self {
            RuleError::UnknownExpansion { path, .. }
            | RuleError::UnknownOperator { path, .. }
            | RuleError::NotAnExpression { path, .. }
            | RuleError::BareKey { path, .. }
            | RuleError::MixedKeys { path }
            | RuleError::Operand { path, .. }
            | RuleError::Literal { path, .. }
            | RuleError::Shape { path, .. }
            | RuleError::TooLarge { path } => path,
        };
        *path = if path.is_empty() { outer.to_owned() } else { format!("{outer}.{path}") };
        self
    }
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

fn in_parentheses(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!(" ({hint})") }
}
