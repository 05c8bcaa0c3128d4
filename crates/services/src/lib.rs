//! Every outside system that user code can reach.
//!
//! What this crate hides: drivers, wire protocols, connection pools, and the shapes in which those answer. What is left is
//! one question, asked by name: [`Run::call`] takes a service, an action and one BSON document of arguments, and gives one
//! BSON document or a [`ServiceError`] that already has the text user code knows.
//!
//! Reading order: [`Registry`] (the services of one deployment), [`RunContext`] (what rules
//! ask about a run), [`Run`] (what one run holds open), then one folder per
//! type of service: [`mongodb_atlas`], [`mod@http`], [`twilio`], [`aws`]. [`ActionRules`] guards all but the first.
//!
//! Invariants:
//! - Cursors and sessions belong to one run; none outlives it, and no other run can name it.
//! - A call with [`Authority::User`] reaches no document until the rules engine has a say.
//! - No document passes through a lossy format: arguments and results are BSON bytes.

mod action_rules;
mod arguments;
pub mod aws;
mod error;
pub mod http;
pub mod mongodb_atlas;
mod registry;
mod run;
mod run_context;
pub mod state;
pub mod twilio;

pub use action_rules::ActionRules;
pub use error::{ServiceError, WriteFailure};
pub use registry::{Registry, Service, ServiceLimits};
pub use run::{Authority, Run};
pub use run_context::{Lookup, RunContext, SystemContext, UserRefused};
