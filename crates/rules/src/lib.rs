//! The expression language, roles and permissions; no input or output of its own.
