//! May this user make this call? (http-surface 3.6)

use app_model::{CallFunction, FunctionCall, FunctionFailure};
use bson::{Bson, Document};
use futures::FutureExt;
use futures::future::BoxFuture;
use isolate::{Arguments, Entry, Invocation, ResultFormat, ResultPolicy, ReturnValue};
use rules::{Bindings, Expression, Place, Surroundings, Verdict};
use serde_json::Value as Json;

use super::lookup::Handler;
use super::receive::CallParts;
use super::run_as::{ExecutionUser, Identified};
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

    pub fn user(&self) -> &ExecutionUser {
        self.0.user()
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
            allowed = allowed && holds(guard, &parts, identified.user()).await;
        }
        allowed
    };
    match allowed {
        true => Ok(Authorized(identified)),
        false => Err(CallError::RuleNotMatched(identified.parts().handler.name().to_owned())),
    }
}

async fn holds(guard: &Guard, parts: &CallParts<'_>, user: &ExecutionUser) -> bool {
    let expression = match guard {
        Guard::Open => return true,
        Guard::Closed => return false,
        Guard::Expression(expression) => expression,
    };
    let request = parts.request.to_facts(&parts.handler, parts.app.settings()).into();
    let surroundings = Surroundings::new(parts.app.app(), user_document(user), request);
    let functions = RuleFunctions { parts: *parts, user };
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

fn user_document(user: &ExecutionUser) -> Document {
    match Bson::try_from(user.to_context()) {
        Ok(Bson::Document(document)) => document,
        // A user is always an object; a user that is none has no fields to compare.
        _ => Document::new(),
    }
}

/// Functions that an expression calls run as the request's user, under their own settings.
struct RuleFunctions<'a> {
    parts: CallParts<'a>,
    user: &'a ExecutionUser,
}

impl CallFunction for RuleFunctions<'_> {
    fn call_function<'a>(&'a self, call: FunctionCall) -> BoxFuture<'a, Result<Bson, FunctionFailure>> {
        async move {
            let failure = |message: String| FunctionFailure { message };
            let app = self.parts.app;
            let function = app.app().function(&call.name);
            let function = function.ok_or_else(|| failure(format!("function not found: '{}'", call.name)))?;
            let frame = self.user.for_function(&function.run_as).map_err(|error| failure(error.to_string()))?;
            let arguments = call.arguments.into_iter().map(|value| value.into_canonical_extjson().to_string());
            let invocation = Invocation {
                code: app.code().clone(),
                entry: Entry::Function(call.name.clone()),
                arguments: Arguments::Ejson(arguments.collect()),
                authority: frame.authority().clone(),
                user: self.user.to_context(),
                request: self.parts.request.to_context(&self.parts.handler, app.settings()),
                result: ResultPolicy::Always(ResultFormat::CanonicalEjson),
                limits: app.settings().limits.clone(),
            };
            let outcome = app.run(invocation).await;
            let completed = outcome.result.map_err(|error| failure(error.text))?;
            let text = match &completed.value {
                None | Some(ReturnValue::Undefined) => return Ok(Bson::Undefined),
                Some(ReturnValue::String { text, .. }) => return Ok(Bson::String(text.clone())),
                Some(ReturnValue::Other(text)) => text,
            };
            let json: Json = serde_json::from_slice(text).map_err(|error| failure(error.to_string()))?;
            Bson::try_from(json).map_err(|error| failure(error.to_string()))
        }
        .boxed()
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
