//! Runs functions of one app: the handler of a call, and what rules call on the way.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use app_model::{App, CallFunction, FunctionCall, FunctionFailure, RunAs, User, UserKind};
use auth::{Auth, AuthError};
use bson::Bson;
use futures::FutureExt;
use futures::future::BoxFuture;
use isolate::{
    AppCode, Arguments, Authority, Entry, FrameAuthority, FunctionSource, Host, HostError, Invocation, Outcome,
    ResultFormat, ResultPolicy, ReturnValue, ServiceCall,
};
use rules::{AppValues, Bindings, Surroundings, Verdict};
use serde_json::Value as Json;
use services::{Lookup, RunContext, UserRefused};

use crate::guard::{Guard, calls_function};
use crate::{AppSettings, CallError, HostFactory, Runner};

/// Runs functions of one app.
pub(crate) struct Functions {
    pub app: Arc<App>,
    pub code: Arc<AppCode>,
    pub settings: Arc<AppSettings>,
    pub runner: Arc<dyn Runner>,
    pub hosts: Arc<dyn HostFactory>,
    /// What expressions see of the app.
    pub values: Arc<AppValues>,
    /// The app's users.
    pub auth: Arc<Auth>,
    /// `can_evaluate` by name of the function.
    pub guards: FunctionGuards,
}

/// `can_evaluate` of every function of an app.
#[derive(Debug)]
pub(crate) struct FunctionGuards {
    by_name: HashMap<String, Guard>,
    /// Functions whose `can_evaluate` calls functions itself.
    calling: Vec<String>,
}

impl FunctionGuards {
    pub fn of(app: &App) -> Self {
        let guards = app.functions.iter();
        let by_name = guards.map(|function| (function.name.clone(), Guard::new(function.can_evaluate.as_ref())));
        let is_calling = |expression: &Option<Json>| expression.as_ref().is_some_and(calls_function);
        let calling = app.functions.iter().filter(|function| is_calling(&function.can_evaluate));
        Self { by_name: by_name.collect(), calling: calling.map(|function| function.name.clone()).collect() }
    }

    /// What is no function is nobody's to call.
    pub fn get(&self, function: &str) -> &Guard {
        self.by_name.get(function).unwrap_or(&Guard::Closed)
    }
}

/// What a run-as script chose.
#[derive(Debug, PartialEq, Eq)]
enum ScriptChoice {
    System,
    User(String),
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
        let is_rules_user = origin.user.kind != UserKind::System;
        let mut executable = HashSet::new();
        // Whether one function may call another is asked in the middle of JavaScript, where nothing can be waited for, so
        // what takes a run of its own is found out before. Inside of rules such functions stay closed: each would need all
        // others again.
        if is_rules_user && depth == 0 {
            for name in &self.guards.calling {
                if self.allows(self.guards.get(name), origin, 0).await {
                    executable.insert(name.clone());
                }
            }
        }
        let host = self.host(origin, depth);
        let host = GuardedHost { host, functions: Arc::clone(self), origin: origin.clone(), executable };
        self.runner.run(invocation, Arc::new(host)).await
    }

    /// The app's services for one run or one call of a client; what it opens ends when it is dropped.
    pub fn host(self: &Arc<Self>, origin: &Origin, depth: usize) -> Arc<dyn Host> {
        let context = Context { functions: Arc::clone(self), origin: origin.clone(), depth };
        self.hosts.host(Arc::new(context))
    }

    /// Whether a `can_evaluate` holds. What cannot be evaluated refuses.
    pub async fn allows(self: &Arc<Self>, guard: &Guard, origin: &Origin, depth: usize) -> bool {
        let expression = match guard {
            Guard::Open => return true,
            Guard::Closed => return false,
            Guard::Expression(expression) => expression,
        };
        let mut surroundings = Surroundings::new(Arc::clone(&self.values), &origin.user, &origin.request);
        surroundings.depth = depth;
        let functions = self.for_rules(origin.clone());
        match expression.decide(&Bindings::new(&surroundings), &functions).await {
            Verdict::True => true,
            Verdict::False => false,
            Verdict::Error(fault) => {
                tracing::debug!(app = self.app.app_id, %fault, "can_evaluate");
                false
            }
        }
    }

    /// The way in which authentication calls functions: as System, whoever asks (rules-and-users 3.2).
    pub fn for_authentication(self: &Arc<Self>, request: Arc<Json>) -> RuleFunctions {
        self.for_rules(Origin { user: Arc::new(User::system()), request })
    }

    /// Runs a run-as script as System with the arguments of what it decides about (http-surface 3.5.2): the user it chose.
    pub async fn run_script(
        self: &Arc<Self>,
        script: FunctionSource,
        arguments: Arguments,
        request: Arc<Json>,
    ) -> Result<Arc<User>, CallError> {
        let origin = Origin { user: Arc::new(User::system()), request };
        let invocation = Invocation {
            code: self.code.clone(),
            entry: Entry::Source(Arc::new(FunctionSource { run_as: FrameAuthority::System, ..script })),
            arguments,
            authority: Authority::System,
            user: context_user(&origin.user),
            request: (*origin.request).clone(),
            result: ResultPolicy::Always(ResultFormat::Json),
            limits: self.settings.limits.clone(),
        };
        let outcome = self.run(invocation, &origin, 0).await;
        let completed = outcome.result.map_err(CallError::RunAsScript)?;
        match choice(completed.value.as_ref()) {
            Some(ScriptChoice::System) => Ok(origin.user),
            Some(ScriptChoice::User(id)) => self.run_as_user(&id).await,
            None => Err(CallError::RunAsFailed("run-as script must return a user id or {runAsSystem: true}".into())),
        }
    }

    /// The user that a setting or a script names.
    pub async fn run_as_user(&self, id: &str) -> Result<Arc<User>, CallError> {
        self.find_user(id).await.map_err(|error| CallError::RunAsFailed(format!("run-as {error}")))
    }

    /// The way in which rules call functions during a call of `origin`.
    pub fn for_rules(self: &Arc<Self>, origin: Origin) -> RuleFunctions {
        RuleFunctions { functions: Arc::clone(self), origin }
    }

    /// The user with this id, without custom data.
    pub async fn find_user(&self, id: &str) -> Result<Arc<User>, UserRefused> {
        let id = || id.to_owned();
        match self.auth.find_user(&id()).await {
            Ok(user) => Ok(Arc::new(user)),
            Err(AuthError::UserNotFound) => Err(UserRefused::NotFound { id: id() }),
            Err(AuthError::UserDisabled) => Err(UserRefused::Disabled { id: id() }),
            Err(error) => {
                tracing::error!(app = self.app.app_id, error = &error as &dyn std::error::Error, "reading a user");
                Err(UserRefused::Unavailable { id: id() })
            }
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

fn choice(value: Option<&ReturnValue>) -> Option<ScriptChoice> {
    match value? {
        ReturnValue::Undefined => None,
        ReturnValue::String { text, .. } if text.is_empty() => None,
        ReturnValue::String { text, .. } => Some(ScriptChoice::User(text.clone())),
        ReturnValue::Other(bytes) => {
            let object: Json = serde_json::from_slice(bytes).ok()?;
            // The field's name changed in the documentation of 2022 (Q20).
            let system =
                ["runAsSystem", "runAsSystemUser"].iter().any(|name| object.get(name) == Some(&Json::Bool(true)));
            system.then_some(ScriptChoice::System)
        }
    }
}

/// The host of one run, which knows what the run's user may call.
struct GuardedHost {
    host: Arc<dyn Host>,
    functions: Arc<Functions>,
    origin: Origin,
    /// Functions whose `can_evaluate` took a run, and held.
    executable: HashSet<String>,
}

impl Host for GuardedHost {
    fn call_service(&self, call: ServiceCall) -> BoxFuture<'static, Result<Vec<u8>, HostError>> {
        self.host.call_service(call)
    }

    /// `private` keeps clients out, not functions (function-environment 8.1).
    fn may_execute(&self, function: &str, authority: &Authority) -> bool {
        let guard = self.functions.guards.get(function);
        match (guard, authority) {
            (Guard::Open, _) | (_, Authority::System) => true,
            (Guard::Closed, _) => false,
            // Of another user than the call's, whom a setting put into this frame, no more is known than the id.
            (Guard::Expression(_), Authority::User(id)) if *id != self.origin.user.id => false,
            (Guard::Expression(_), Authority::User(_)) => {
                match self.functions.guards.calling.iter().any(|name| name == function) {
                    true => self.executable.contains(function),
                    // Without functions in it an expression is decided at once.
                    false => self.functions.allows(guard, &self.origin, 0).now_or_never() == Some(true),
                }
            }
        }
    }
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
        let is_rules_user = self.origin.user.kind != UserKind::System;
        if is_rules_user && !functions.allows(functions.guards.get(&call.name), &self.origin, call.depth).await {
            return Err(failure(format!("rule not matched for function \"{}\"", call.name)));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_results() {
        let other = |text: &str| choice(Some(&ReturnValue::Other(text.to_owned().into())));
        assert_eq!(other(r#"{"runAsSystem":true}"#), Some(ScriptChoice::System));
        assert_eq!(other(r#"{"runAsSystemUser":true}"#), Some(ScriptChoice::System));
        assert_eq!(other(r#"{"runAsSystem":false}"#), None);
        assert_eq!(other(r#"{"runAsSystem":"true"}"#), None);
        assert_eq!(other("true"), None);
        assert_eq!(choice(Some(&ReturnValue::Undefined)), None);
        assert_eq!(choice(None), None);
        let string = |text: &str| ReturnValue::String { text: text.into(), serialized: Default::default() };
        assert_eq!(choice(Some(&string("5f00"))), Some(ScriptChoice::User("5f00".into())));
        assert_eq!(choice(Some(&string(""))), None);
    }
}
