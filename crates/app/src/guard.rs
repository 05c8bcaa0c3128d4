//! `can_evaluate` of webhooks, endpoints and functions (http-surface 3.6).

use rules::{Expression, Place};
use serde_json::Value as Json;

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

/// Whether an expression calls a function anywhere, so that it takes a run to evaluate it.
pub(crate) fn calls_function(expression: &Json) -> bool {
    match expression {
        Json::Object(members) => {
            members.iter().any(|(name, value)| matches!(&**name, "%function" | "$function") || calls_function(value))
        }
        Json::Array(values) => values.iter().any(calls_function),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
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
