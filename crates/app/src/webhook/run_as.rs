//! As whom the handler runs (http-surface 3.5).

use std::sync::Arc;

use app_model::{RunAs, User, UserKind};
use auth::{Auth, AuthError, Caller};
use bson::Document;
use isolate::{FrameAuthority, FunctionSource};

use super::credentials::{self, bearer};
use super::lookup::Handler;
use super::payload;
use super::receive::CallParts;
use super::validate::Validated;
use crate::functions::Origin;
use crate::{CallError, HandlerKind, LogRecord, RunningApp};

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
        RunAs::UserId(id) => parts.app.functions().run_as_user(id).await?,
        RunAs::Script(source) => run_script(&parts, source).await?,
        RunAs::Caller => authenticate(&parts).await?,
    };
    if let Some(record) = record {
        record.identified(Some(user.id.as_str()).filter(|_| user.kind != UserKind::System));
    }
    let request = Arc::new(parts.request_context());
    Ok(Identified { validated, origin: Origin { user, request } })
}

/// The user whom the credentials of this call prove (http-surface 3.5.3).
async fn authenticate(parts: &CallParts<'_>) -> Result<Arc<User>, CallError> {
    let auth = &parts.app.functions().auth;
    let kind = parts.handler.kind();
    let (creates_user, fetches_custom_data) = match parts.handler {
        Handler::Webhook { webhook, .. } => (webhook.create_user_on_auth, webhook.fetch_custom_user_data),
        Handler::Endpoint { endpoint, .. } => (endpoint.create_user_on_auth, endpoint.fetch_custom_user_data),
    };
    let mut user = match by_token(parts, auth).await? {
        Some(user) => user,
        None => {
            let credentials = credentials::find(parts)?;
            let functions = parts.app.functions().for_authentication(Arc::new(parts.request_context()));
            let caller = Caller { address: Some(parts.request.caller.address), functions: &functions };
            let authenticated = auth.authenticate(&credentials, creates_user, &caller).await;
            authenticated.map_err(|error| refused(error, kind))?.user
        }
    };
    user.custom_data = match fetches_custom_data {
        true => auth.custom_data(&user.id).await?,
        false => Document::new(),
    };
    Ok(Arc::new(user))
}

/// The user of an access token. A webhook written before it could have one may carry a token of its own, so there only a
/// good one counts (Q18).
async fn by_token(parts: &CallParts<'_>, auth: &Auth) -> Result<Option<User>, CallError> {
    let Some(token) = bearer(&parts.request.headers) else { return Ok(None) };
    match (auth.verify_access_token(token).await, parts.handler.kind()) {
        (Ok(session), _) => Ok(Some(session.user)),
        (Err(AuthError::InvalidSession { .. }), HandlerKind::Webhook) => Ok(None),
        (Err(AuthError::InvalidSession { .. }), HandlerKind::Endpoint) => Err(CallError::InvalidBearer),
        (Err(error), _) => Err(error.into()),
    }
}

/// Which of the credentials was wrong, and how, is nobody's business; the log knows.
fn refused(error: AuthError, kind: HandlerKind) -> CallError {
    match error {
        AuthError::InvalidPassword
        | AuthError::InvalidApiKey { .. }
        | AuthError::TokenRefused { .. }
        | AuthError::ProviderUnsupported(_)
        | AuthError::UnknownUser
        | AuthError::UserNotFound => {
            tracing::debug!(%error, "credentials refused");
            CallError::UnknownCredentials { kind }
        }
        error => error.into(),
    }
}

/// The script that chooses the user, with the handler's first argument.
async fn run_script(parts: &CallParts<'_>, source: &str) -> Result<Arc<User>, CallError> {
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
    let request = Arc::new(parts.request_context());
    parts.app.functions().run_script(script, payload::arguments(parts)?, request).await
}
