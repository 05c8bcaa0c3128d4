//! May this user make this call? (http-surface 3.6)

use std::sync::Arc;

use rules::{Bindings, Expression, Place, Surroundings, Verdict};
use serde_json::Value as Json;

use super::lookup::Handler;
use super::receive::CallParts;
use super::run_as::Identified;
use crate::functions::Origin;
use crate::{CallError, RunningApp};

/// A `can_evaluate`, read once when the app is wired.
#[derive(Debug)]
pub(crate) enum Guard {
    /// Absent, `null`, `true` or `{}`.
    Open,
    /// `false`, or an expression that is none: `check` names it.
    Closed,
    /// Anything that has to be evaluated.
    Expression(Box<Expression>),
}

impl Guard {
    pub fn new(expression: Option<&Json>) -> Self {
        match expression {
            None | Some(Json::Null | Json::Bool(true)) => Self::Open,
            Some(Json::Object(fields)) if fields.is_empty() => Self::Open,
            Some(Json::Bool(false)) => Self::Closed,
            Some(expression) => match Expression::parse(expression, Place::CanEvaluate) {
                Ok(expression) => Self::Expression(Box::new(expression)),
                Err(_) => Self::Closed,
            },
        }
    }
}

/// A call that may run.
pub(crate) struct Authorized<'a>(Identified<'a>);

impl<'a> Authorized<'a> {
    pub fn app(&self) -> &'a RunningApp {
        self.0.app()
    }

    pub fn parts(&self) -> CallParts<'_> {
        self.0.parts()
    }

    /// The user and the request.
    pub fn origin(&self) -> &Origin {
        self.0.origin()
    }
}

/// Evaluates `can_evaluate` of the webhook, or of the endpoint and of its handler function.
pub(crate) async fn decide(identified: Identified<'_>) -> Result<Authorized<'_>, CallError> {
    let allowed = {
        let parts = identified.parts();
        let guards = match parts.handler {
            Handler::Webhook { guard, .. } => [guard, &Guard::Open],
            Handler::Endpoint { guards, .. } => guards,
        };
        let mut allowed = true;
        for guard in guards {
            allowed = allowed && holds(guard, &parts, identified.origin()).await;
        }
        allowed
    };
    match allowed {
        true => Ok(Authorized(identified)),
        false => Err(CallError::RuleNotMatched(identified.parts().handler.name().to_owned())),
    }
}

async fn holds(guard: &Guard, parts: &CallParts<'_>, origin: &Origin) -> bool {
    let expression = match guard {
        Guard::Open => return true,
        Guard::Closed => return false,
        Guard::Expression(expression) => expression,
    };
    let values = &parts.app.functions().values;
    let surroundings = Surroundings::new(Arc::clone(values), &origin.user, &origin.request);
    let functions = parts.app.functions().for_rules(origin.clone());
    match expression.decide(&Bindings::new(&surroundings), &functions).await {
        Verdict::True => true,
        Verdict::False => false,
        // An expression that cannot be evaluated refuses.
        Verdict::Error(fault) => {
            tracing::debug!(app = parts.app.client_app_id(), name = parts.handler.name(), %fault, "can_evaluate");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn constants_need_no_evaluation() {
        for expression in [json!(null), json!(true), json!({})] {
            assert!(matches!(Guard::new(Some(&expression)), Guard::Open), "{expression}");
        }
        assert!(matches!(Guard::new(None), Guard::Open));
        // What is no expression, or names what it cannot, refuses.
        for expression in [json!(false), json!("true"), json!([]), json!(1), json!({"%%nonsense": 1})] {
            assert!(matches!(Guard::new(Some(&expression)), Guard::Closed), "{expression}");
        }
        assert!(matches!(Guard::new(Some(&json!({"%%user.type": "normal"}))), Guard::Expression(_)));
    }
}
