//! May this user make this call? (http-surface 3.6)

use serde_json::Value as Json;

use super::lookup::Handler;
use super::receive::CallParts;
use super::run_as::{ExecutionUser, Identified};
use crate::{CallError, RunningApp};

/// A call that may run.
pub(crate) struct Authorized<'a>(Identified<'a>);

impl<'a> Authorized<'a> {
    pub fn app(&self) -> &'a RunningApp {
        self.0.app()
    }

    pub fn parts(&self) -> CallParts<'_> {
        self.0.parts()
    }

    pub fn user(&self) -> &ExecutionUser {
        self.0.user()
    }
}

/// Evaluates `can_evaluate` of the webhook, or of the endpoint and of its handler function.
pub(crate) fn decide(identified: Identified<'_>) -> Result<Authorized<'_>, CallError> {
    let parts = identified.parts();
    let expressions = match parts.handler {
        Handler::Webhook { webhook, .. } => [webhook.can_evaluate.as_ref(), None],
        Handler::Endpoint { endpoint, function } => {
            [endpoint.can_evaluate.as_ref(), function.and_then(|function| function.can_evaluate.as_ref())]
        }
    };
    let allowed = expressions.into_iter().flatten().all(holds);
    match allowed {
        true => Ok(Authorized(identified)),
        false => Err(CallError::RuleNotMatched(parts.handler.name().to_owned())),
    }
}

/// An expression that cannot be evaluated refuses.
fn holds(expression: &Json) -> bool {
    match expression {
        Json::Null => true,
        Json::Bool(constant) => *constant,
        Json::Object(fields) => fields.is_empty(),
        Json::Number(_) | Json::String(_) | Json::Array(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn constants() {
        for expression in [json!(null), json!(true), json!({})] {
            assert!(holds(&expression), "{expression}");
        }
        for expression in [json!(false), json!({"%%user.id": "x"}), json!("true"), json!([]), json!(1)] {
            assert!(!holds(&expression), "{expression}");
        }
    }
}
