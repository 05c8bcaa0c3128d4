//! What rules need to know about a run, and who answers it.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use app_model::{CallFunction, FunctionCall, FunctionFailure, User};
use bson::Bson;
use rules::{Access, AppValues, Surroundings, ValueKey};
use serde_json::Value as Json;
use tokio::sync::OnceCell;

use crate::ServiceError;

/// What services ask about the run they serve. Implemented where users and V8 are known.
pub trait RunContext: Send + Sync {
    /// The user of the call, as `context.user` shows it. Its rules see this very user, whatever is stored about it.
    fn user(&self) -> &User;

    /// `%%request`, which equals `context.request`; an empty object without HTTP.
    fn request(&self) -> &Json;

    /// How many rules are being evaluated around this run (rules-and-users 1.6): 0 for a call from outside.
    fn depth(&self) -> usize;

    /// The user a frame's setting names, where that is not the user of the call. Asked once per run and id.
    fn find_user<'a>(&'a self, id: &'a str) -> Lookup<'a>;

    /// Runs the functions that rules name: for this user, with the run's request.
    fn functions_for(&self, user: &Arc<User>) -> Arc<dyn CallFunction>;
}

/// A user, found or not.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = Result<Arc<User>, UserRefused>> + Send + 'a>>;

/// Why nobody can act as a user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserRefused {
    /// There is no such account.
    #[error("user not found: '{id}'")]
    NotFound {
        /// As asked for.
        id: String,
    },
    /// The account is disabled.
    #[error("user disabled: '{id}'")]
    Disabled {
        /// As asked for.
        id: String,
    },
    /// The accounts could not be read just now.
    #[error("the account of user '{id}' could not be read")]
    Unavailable {
        /// As asked for.
        id: String,
    },
}

/// The context of a run that acts as the app itself only, such as an operator's command.
#[derive(Debug)]
pub struct SystemContext {
    user: User,
    request: Json,
}

impl Default for SystemContext {
    fn default() -> Self {
        Self { user: User::system(), request: Json::Object(serde_json::Map::new()) }
    }
}

impl RunContext for SystemContext {
    fn user(&self) -> &User {
        &self.user
    }

    fn request(&self) -> &Json {
        &self.request
    }

    fn depth(&self) -> usize {
        0
    }

    fn find_user<'a>(&'a self, id: &'a str) -> Lookup<'a> {
        Box::pin(async move { Err(UserRefused::NotFound { id: id.to_owned() }) })
    }

    fn functions_for(&self, _user: &Arc<User>) -> Arc<dyn CallFunction> {
        Arc::new(NoFunctions)
    }
}

struct NoFunctions;

impl CallFunction for NoFunctions {
    fn call_function<'a>(
        &'a self,
        call: FunctionCall,
    ) -> Pin<Box<dyn Future<Output = Result<Bson, FunctionFailure>> + Send + 'a>> {
        Box::pin(async move { Err(FunctionFailure { message: format!("function not found: '{}'", call.name) }) })
    }
}

/// A rules user of a run: what rules see, and the way to run functions for them.
pub(crate) struct RulesUser {
    surroundings: Surroundings,
    functions: Arc<dyn CallFunction>,
}

impl RulesUser {
    /// What rules are asked with.
    pub fn access(&self) -> Access<'_> {
        Access { surroundings: &self.surroundings, functions: &*self.functions }
    }
}

/// A rules user during one call. A function that is called again with the same arguments gives the same result without
/// being run again: a role that asks one about the user does so once per call, not once per document.
pub(crate) struct CallUser {
    user: Arc<RulesUser>,
    functions: RememberedFunctions,
}

impl CallUser {
    pub fn new(user: Arc<RulesUser>) -> Self {
        let functions = RememberedFunctions { functions: Arc::clone(&user.functions), results: Mutex::default() };
        Self { user, functions }
    }

    /// What rules are asked with.
    pub fn access(&self) -> Access<'_> {
        Access { surroundings: &self.user.surroundings, functions: &self.functions }
    }

    /// The same user with nothing remembered: after a write functions may decide otherwise.
    pub fn afresh(&self) -> Self {
        Self::new(Arc::clone(&self.user))
    }
}

/// Results that one call remembers.
const RESULTS_MAX: usize = 1_000;

struct RememberedFunctions {
    functions: Arc<dyn CallFunction>,
    results: Mutex<HashMap<(String, ValueKey), Result<Bson, FunctionFailure>>>,
}

impl CallFunction for RememberedFunctions {
    fn call_function<'a>(
        &'a self,
        call: FunctionCall,
    ) -> Pin<Box<dyn Future<Output = Result<Bson, FunctionFailure>> + Send + 'a>> {
        Box::pin(async move {
            let key = (call.name.clone(), ValueKey::of(&Bson::Array(call.arguments.clone())));
            let results = || self.results.lock().unwrap_or_else(PoisonError::into_inner);
            let known = results().get(&key).cloned();
            if let Some(result) = known {
                return result;
            }
            let result = self.functions.call_function(call).await;
            let mut results = results();
            if results.len() < RESULTS_MAX {
                results.insert(key, result.clone());
            }
            result
        })
    }
}

/// The rules users of one run, each made when first needed.
pub(crate) struct RulesUsers {
    context: Arc<dyn RunContext>,
    values: Arc<AppValues>,
    users: Mutex<HashMap<String, Arc<OnceCell<Arc<RulesUser>>>>>,
}

impl RulesUsers {
    pub fn new(context: Arc<dyn RunContext>, values: Arc<AppValues>) -> Self {
        Self { context, values, users: Mutex::default() }
    }

    /// The user with this id; asked of the accounts at most once, unless they could not be read.
    pub async fn get(&self, id: &str) -> Result<Arc<RulesUser>, ServiceError> {
        let cell = {
            let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(users.entry(id.to_owned()).or_default())
        };
        let user = cell.get_or_try_init(|| async {
            let user = self.context.user();
            let user = match user.id == id {
                true => Arc::new(user.clone()),
                false => self.context.find_user(id).await?,
            };
            let mut surroundings = Surroundings::new(Arc::clone(&self.values), &user, self.context.request());
            surroundings.depth = self.context.depth();
            let functions = self.context.functions_for(&user);
            Ok::<_, UserRefused>(Arc::new(RulesUser { surroundings, functions }))
        });
        Ok(Arc::clone(user.await?))
    }
}

impl fmt::Debug for RulesUsers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RulesUsers").finish_non_exhaustive()
    }
}
