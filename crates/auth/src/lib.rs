//! Providers, credentials, user storage and sessions.
