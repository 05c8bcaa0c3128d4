//! The expression language, roles and permissions; no input or output of its own.
//!
//! Entry points, in reading order: [`Expression::parse`] reads one expression of a configuration file for the
//! [`Place`] it stands in, [`Expression::evaluate`] decides it for one set of [`Bindings`], and [`Expression::decide`]
//! does so where the expression calls functions. [`DataSourceRules::compile`] reads the rules of a whole data source, [`RuleSet::parse`] those of one
//! collection; [`Access`] chooses a document's role and asks it what may be read and written, and [`FilterSet`] is what the filters add to a
//! query.
//!
//! Invariants: only [`Verdict::True`] allows anything, and no failure inside of an expression becomes an allow, however
//! it is negated. Evaluation has a bound and never panics. Values are BSON, because rules tell an ObjectId from its
//! text and compare dates and numbers of every width (rules-and-users 1.5, 1.7).

mod access;
mod change;
mod data_source_rules;
mod error;
pub mod expression;
mod filter;
mod guard;
mod key;
mod permitted;
mod plan;
mod projection;
mod read;
mod rule_set;
mod same;
mod schema;
#[cfg(test)]
pub(crate) mod tests;
mod write;

pub use access::Access;
pub use data_source_rules::{DataSourceRules, NamespaceRules};
pub use error::RuleError;
pub use expression::{AppValues, Bindings, Expression, Fault, Place, Surroundings, Verdict};
pub use filter::{Filter, FilterSet, ProjectionConflict};
pub use guard::{Guard, Touched};
pub use key::ValueKey;
pub use permitted::{DistinctValues, Literals, Permitted};
pub use plan::{Candidates, Change, ReadPlan, WritePlan};
pub use projection::{Projection, ProjectionRefused};
pub use read::{Meeting, Readable};
pub use rule_set::{DocumentFilters, FieldPermissions, Role, RuleSet};
pub use schema::{Schema, Violation};
