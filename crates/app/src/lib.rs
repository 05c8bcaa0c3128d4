//! The order of steps of one call, and how the parts are wired.
//!
//! Entry points, in reading order: [`RunningApp::new`] builds one served app from its loaded files, [`RunningApp::call`]
//! answers one request, [`Answer`] is what the server sends and logs. The stages live in `webhook/`, one file each, in
//! the order of http-surface 3.1, the API of the platform's SDKs in `client/`; the type a stage gives can be built by that stage alone, so a stage cannot be skipped.
//!
//! Invariants: this crate opens no socket, reads no environment variable and names no status code for our own errors.
//! Everything a run may reach goes through [`isolate::Host`].

mod addresses;
mod answer;
mod app_state;
mod auth_outside;
mod client;
mod cors;
mod error;
mod expression_problems;
mod function_log;
mod functions;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod headers;
mod host;
mod http_call;
mod query;
mod request;
mod running_app;
mod settings;
mod stored_log;
mod webhook;

pub use addresses::{AddressError, AddressRanges, TrustedProxies};
pub use answer::{Answer, CallResponse};
pub use app_state::AppState;
pub use auth;
pub use auth::{AuthError, AuthSettings};
pub use client::{ClientOperation, EmailPasswordOperation, claimed_domain};
pub use error::{CallError, Fault, HandlerKind};
pub use expression_problems::expression_problems;
pub use function_log::{Closing, LogEntry, LogRecord, LogSink, NoLog};
pub use host::{Outside, OutsideSettings, ServiceEndpoints, ServiceHosts};
pub use http_call::{BodyError, BodyFuture, HttpCall, RequestId, Target};
pub use isolate::Limits;
pub use running_app::{HostFactory, Runner, RunningApp};
pub use services::aws::AwsEndpoints;
pub use services::http::{AddressPolicy, AllowedTarget, CertificateDer, HttpSettings};
pub use services::mongodb_atlas::ConnectionSettings;
pub use services::state::{LogQuery, LogStore, SecretInfo, SecretKey, SecretStore, SecretStoreError};
pub use services::{RunContext, ServiceLimits};
pub use settings::{AppSettings, Compatibility};
pub use stored_log::{LogSinks, StoredLog};
