//! Runs functions of one app: the handler of a call, and what rules call on the way.

use std::sync::Arc;

use app_model::{App, CallFunction, FunctionCall, FunctionFailure, RunAs, User, UserKind};
use bson::Bson;
use futures::FutureExt;
use futures::future::BoxFuture;
use isolate::{AppCode, Arguments, Authority, Entry, Invocation, Outcome, ResultFormat, ResultPolicy, ReturnValue};
use rules::AppValues;
use serde_json::Value as Json;
use services::{Lookup, RunContext, UserRefused};

use crate::{AppSettings, HostFactory, Runner};

/// Runs functions of one app.
pub(crate) struct Functions {
    pub app: Arc<App>,
    pub code: Arc<AppCode>,
    pub settings: Arc<AppSettings>,
    pub runner: Arc<dyn Runner>,
    pub hosts: Arc<dyn HostFactory>,
    /// What expressions see of the app.
    pub values: Arc<AppValues>,
}

/// Who calls, and by which request: what stays the same for all that one call sets off.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// `context.user` and `%%user`.
    pub user: Arc<User>,
    /// `context.request` and `%%request`.
    pub request: Arc<Json>,
}

impl Functions {
    /// Runs one invocation to its end. `depth`: how many rules are being evaluated around it.
    pub async fn run(self: &Arc<Self>, invocation: Invocation, origin: &Origin, depth: usize) -> Outcome {
        let context = Context { functions: Arc::clone(self), origin: origin.clone(), depth };
        self.runner.run(invocation, self.hosts.host(Arc::new(context))).await
    }

    /// The way in which rules call functions during a call of `origin`.
    pub fn for_rules(self: &Arc<Self>, origin: Origin) -> RuleFunctions {
        RuleFunctions { functions: Arc::clone(self), origin }
    }

    /// The user with this id. No accounts are kept yet, so an account is its id.
    pub async fn find_user(&self, id: &str) -> Result<Arc<User>, UserRefused> {
        match id.is_empty() {
            true => Err(UserRefused::NotFound { id: id.to_owned() }),
            false => Ok(Arc::new(User::of_id(id))),
        }
    }
}

/// Authority of a frame that runs as this user.
pub(crate) fn authority_of(user: &User) -> Authority {
    match user.kind {
        UserKind::System => Authority::System,
        UserKind::Normal | UserKind::Server => Authority::User(user.id.clone()),
    }
}

/// `context.user`.
pub(crate) fn context_user(user: &User) -> Json {
    Bson::from(user.to_context()).into_relaxed_extjson()
}

/// What services ask about one run.
struct Context {
    functions: Arc<Functions>,
    origin: Origin,
    depth: usize,
}

impl RunContext for Context {
    fn user(&self) -> &User {
        &self.origin.user
    }

    fn request(&self) -> &Json {
        &self.origin.request
    }

    fn depth(&self) -> usize {
        self.depth
    }

    fn find_user<'a>(&'a self, id: &'a str) -> Lookup<'a> {
        Box::pin(self.functions.find_user(id))
    }

    fn functions_for(&self, user: &Arc<User>) -> Arc<dyn CallFunction> {
        Arc::new(self.functions.for_rules(Origin { user: Arc::clone(user), ..self.origin.clone() }))
    }
}

/// Functions that rules call run as the rule's user, under their own settings (rules-and-users 1.6).
pub(crate) struct RuleFunctions {
    functions: Arc<Functions>,
    origin: Origin,
}

impl RuleFunctions {
    async fn call(&self, call: FunctionCall) -> Result<Bson, FunctionFailure> {
        let failure = |message: String| FunctionFailure { message };
        let functions = &self.functions;
        let function = functions.app.function(&call.name);
        let function = function.ok_or_else(|| failure(format!("function not found: '{}'", call.name)))?;
        let authority = match &function.run_as {
            RunAs::Caller => authority_of(&self.origin.user),
            RunAs::System => Authority::System,
            RunAs::UserId(id) => {
                authority_of(&*functions.find_user(id).await.map_err(|error| failure(error.to_string()))?)
            }
            RunAs::Script(_) => return Err(failure("a rule cannot call a function with a run-as script".to_owned())),
        };
        let arguments = call.arguments.into_iter().map(|value| value.into_canonical_extjson().to_string());
        let invocation = Invocation {
            code: functions.code.clone(),
            entry: Entry::Function(call.name.clone()),
            arguments: Arguments::Ejson(arguments.collect()),
            authority,
            user: context_user(&self.origin.user),
            request: (*self.origin.request).clone(),
            result: ResultPolicy::Always(ResultFormat::CanonicalEjson),
            limits: functions.settings.limits.clone(),
        };
        let outcome = functions.run(invocation, &self.origin, call.depth).await;
        let completed = outcome.result.map_err(|error| failure(error.text))?;
        let text = match &completed.value {
            None | Some(ReturnValue::Undefined) => return Ok(Bson::Undefined),
            Some(ReturnValue::String { text, .. }) => return Ok(Bson::String(text.clone())),
            Some(ReturnValue::Other(text)) => text,
        };
        let json: Json = serde_json::from_slice(text).map_err(|error| failure(error.to_string()))?;
        Bson::try_from(json).map_err(|error| failure(error.to_string()))
    }
}

impl CallFunction for RuleFunctions {
    fn call_function<'a>(&'a self, call: FunctionCall) -> BoxFuture<'a, Result<Bson, FunctionFailure>> {
        async move {
            let name = call.name.clone();
            let result = self.call(call).await;
            if let Err(FunctionFailure { message }) = &result {
                tracing::debug!(app = self.functions.app.app_id, function = name, message, "a rule's function failed");
            }
            result
        }
        .boxed()
    }
}
