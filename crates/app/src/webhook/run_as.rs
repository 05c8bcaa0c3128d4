//! As whom the handler runs (http-surface 3.5).

use std::sync::Arc;

use app_model::{RunAs, User, UserKind};
use isolate::{Authority, Entry, FrameAuthority, FunctionSource, Invocation, ResultFormat, ResultPolicy, ReturnValue};
use serde_json::Value as Json;

use super::credentials::{self, Credentials};
use super::lookup::Handler;
use super::payload;
use super::receive::CallParts;
use super::validate::Validated;
use crate::functions::{Origin, context_user};
use crate::{CallError, LogRecord, RunningApp};

/// A call with the user it runs as.
pub(crate) struct Identified<'a> {
    validated: Validated<'a>,
    origin: Origin,
}

impl<'a> Identified<'a> {
    pub fn app(&self) -> &'a RunningApp {
        self.validated.app()
    }

    pub fn parts(&self) -> CallParts<'_> {
        self.validated.parts()
    }

    /// The user and the request.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// Decides the user: System, a fixed id, a script's choice, or whoever the credentials prove.
pub(crate) async fn identify<'a>(
    validated: Validated<'a>,
    record: &mut Option<LogRecord>,
) -> Result<Identified<'a>, CallError> {
    let parts = validated.parts();
    let run_as = match parts.handler {
        Handler::Webhook { webhook, .. } => &webhook.run_as,
        Handler::Endpoint { endpoint, function, .. } => match function {
            Some(function) => &function.run_as,
            None => return Err(CallError::FunctionNotFound(endpoint.function_name.clone())),
        },
    };
    let user = match run_as {
        RunAs::System => Arc::new(User::system()),
        RunAs::UserId(id) => find_user(&parts, id).await?,
        RunAs::Script(source) => match run_script(&parts, source).await? {
            ScriptChoice::System => Arc::new(User::system()),
            ScriptChoice::User(id) => find_user(&parts, &id).await?,
        },
        RunAs::Caller => authenticate(&parts, credentials::find(&parts)?)?,
    };
    if let Some(record) = record {
        record.identified(Some(user.id.as_str()).filter(|_| user.kind != UserKind::System));
    }
    let request = Arc::new(parts.request.to_context(&parts.handler, parts.app.settings()));
    Ok(Identified { validated, origin: Origin { user, request } })
}

/// The user that a setting names.
async fn find_user(parts: &CallParts<'_>, id: &str) -> Result<Arc<User>, CallError> {
    let found = parts.app.functions().find_user(id).await;
    found.map_err(|error| CallError::RunAsFailed(format!("run-as {error}")))
}

/// The user these credentials prove. This server keeps no accounts yet, so they match nobody.
fn authenticate(parts: &CallParts<'_>, credentials: Credentials) -> Result<Arc<User>, CallError> {
    match credentials {
        Credentials::Bearer(_) => Err(CallError::InvalidBearer),
        Credentials::EmailPassword { .. } | Credentials::ApiKey(_) | Credentials::CustomToken(_) => {
            Err(CallError::UnknownCredentials { kind: parts.handler.kind() })
        }
    }
}

/// What a run-as script chose.
#[derive(Debug, PartialEq, Eq)]
enum ScriptChoice {
    System,
    User(String),
}

/// Runs the script as System with the handler's first argument (http-surface 3.5.2).
async fn run_script(parts: &CallParts<'_>, source: &str) -> Result<ScriptChoice, CallError> {
    let config_file = match parts.handler {
        Handler::Webhook { webhook, .. } => webhook.config_file.to_string_lossy().into_owned(),
        Handler::Endpoint { function, .. } => {
            function.map(|function| function.file.to_string_lossy().into_owned()).unwrap_or_default()
        }
    };
    let script = FunctionSource {
        name: format!("{} run_as_user_id_script_source", parts.handler.name()),
        file: format!("{config_file}#run_as_user_id_script_source"),
        source: Some(source.to_owned()),
        run_as: FrameAuthority::System,
        can_evaluate: None,
    };
    let origin = Origin {
        user: Arc::new(User::system()),
        request: Arc::new(parts.request.to_context(&parts.handler, parts.app.settings())),
    };
    let invocation = Invocation {
        code: parts.app.code().clone(),
        entry: Entry::Source(Arc::new(script)),
        arguments: payload::arguments(parts)?,
        authority: Authority::System,
        user: context_user(&origin.user),
        request: (*origin.request).clone(),
        result: ResultPolicy::Always(ResultFormat::Json),
        limits: parts.app.settings().limits.clone(),
    };
    let outcome = parts.app.functions().run(invocation, &origin, 0).await;
    let completed = outcome.result.map_err(CallError::RunAsScript)?;
    choice(completed.value.as_ref())
        .ok_or_else(|| CallError::RunAsFailed("run-as script must return a user id or {runAsSystem: true}".into()))
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
