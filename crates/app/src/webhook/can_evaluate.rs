//! May this user make this call? (http-surface 3.6)

use super::lookup::Handler;
use super::receive::CallParts;
use super::run_as::Identified;
use crate::functions::Origin;
use crate::guard::Guard;
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
            allowed = allowed && parts.app.functions().allows(guard, identified.origin(), 0).await;
        }
        allowed
    };
    match allowed {
        true => Ok(Authorized(identified)),
        false => Err(CallError::RuleNotMatched(identified.parts().handler.name().to_owned())),
    }
}
