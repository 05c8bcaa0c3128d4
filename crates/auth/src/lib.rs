//! Providers, credentials, user storage and sessions.
//!
//! What this crate hides: how a password, key or token is checked, where users are kept, and how tokens are signed. Entry
//! points, in reading order: [`Auth`] is what the pipeline and the client API ask (log in, authenticate a call, refresh,
//! register, link); [`Accounts`] is the state of one app and what the operator does to it; [`Credentials`] is what somebody
//! shows, [`Caller`] who asks, and [`app_model::User`] what comes out.
//!
//! | Provider | File | What it believes |
//! | --- | --- | --- |
//! | `anon-user` | `providers/anonymous.rs` | anybody |
//! | `local-userpass` | `providers/local_userpass.rs`, `email_accounts.rs`, `email_tokens.rs` | a password, hashed with argon2id |
//! | `api-key` | `api_keys.rs` | a key, of which only the hash is kept |
//! | `custom-token` | `providers/custom_token.rs`, `jwks.rs` | a token signed with HS256 or RS256 |
//! | `custom-function` | `providers/custom_function.rs` | what a function of the app says |
//! | `oauth2-google`, `oauth2-apple`, `oauth2-facebook` | `providers/google.rs` and so on | the ID token of that provider |
//!
//! Invariants:
//! - Credentials are text by type ([`Credentials::from_login`]); nothing a caller sends becomes a query but as a value.
//! - An identity belongs to at most one user, and a unique index says so; creation is idempotent however many try.
//! - A wrong password and an unknown address are one answer after the same work.
//! - The algorithm of a signature belongs to the key, never to the token.
//! - Neither a password, key nor token is stored, logged or shown again; only hashes are.

mod accounts;
mod api_keys;
mod auth;
mod caller;
mod credentials;
mod custom_data;
mod email_accounts;
mod email_tokens;
mod error;
mod jwks;
mod jwt;
mod outside;
mod password;
mod providers;
mod sessions;
mod settings;
mod signing_keys;
mod throttle;
mod users;

pub use accounts::{Accounts, database_name};
pub use api_keys::{ApiKey, KeyOwner, NewApiKey};
pub use auth::{Auth, AuthParts, Authenticated, LoggedIn};
pub use caller::{Caller, Device, NoFunctions};
pub use credentials::{Credentials, FacebookCredentials, GoogleCredentials};
pub use email_accounts::EmailAccount;
pub use email_tokens::UnsentMail;
pub use error::AuthError;
pub use outside::{FetchAnswer, FetchHttp, FetchRequest, Mail, OutsideFuture, SendMail};
pub use password::{HashingCost, HashingQueue};
pub use sessions::{ActiveSession, SessionDevice, SessionTokens};
pub use settings::{AuthSettings, Clock, OauthEndpoints};
pub use users::{UserFilter, UserRecord};
