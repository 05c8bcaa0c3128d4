//! What one run holds open, and the one door through which it calls services.

use std::sync::Arc;

use bson::raw::RawDocumentBuf;

use crate::arguments::Arguments;
use crate::mongodb_atlas::{self, OpenHandles};
use crate::run_context::RulesUsers;
use crate::{Registry, Service, ServiceError, aws, http, twilio};

/// Whose authority a call carries: that of the frame in which user code obtained the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// Bypasses rules.
    System,
    /// The app user with this id; rules apply.
    User(String),
}

/// The service side of one run.
///
/// Owns the run's cursors and sessions. [`Run::end`] closes them: cursors are killed, open transactions aborted, sessions
/// returned. Dropping the last reference does the same. A call that is still under way when the run ends finishes on its
/// own, but leaves nothing open.
#[derive(Debug)]
pub struct Run {
    registry: Arc<Registry>,
    handles: OpenHandles,
    users: RulesUsers,
    http: http::RunShare,
}

impl Run {
    pub(crate) fn new(registry: Arc<Registry>, users: RulesUsers) -> Self {
        let handles = OpenHandles::new(*registry.limits());
        let http = http::RunShare::new(registry.limits());
        Self { registry, handles, users, http }
    }

    /// Calls an action of a service.
    ///
    /// `arguments` is one BSON document; [`mongodb_atlas`] lists the fields of each action and of its answer. The call
    /// acts once polled; dropping the future abandons it, which may leave a write done.
    pub async fn call(
        &self,
        service: &str,
        action: &str,
        arguments: RawDocumentBuf,
        authority: &Authority,
    ) -> Result<RawDocumentBuf, ServiceError> {
        if self.handles.is_ended() {
            return Err(ServiceError::RunEnded);
        }
        let target = self.registry.service(service)?;
        let arguments = Arguments::parse(action, &arguments)?;
        let answer = match target {
            Service::MongoDb(source) => {
                mongodb_atlas::call(source, &self.handles, &self.users, service, action, arguments, authority).await
            }
            Service::Http(target) => {
                http::call(target, &self.http, &self.users, service, action, arguments, authority).await
            }
            Service::Twilio(target) => {
                twilio::call(target, &self.http, &self.users, service, action, arguments, authority).await
            }
            Service::Aws(target) => {
                aws::call(target, &self.http, &self.users, service, action, arguments, authority).await
            }
        };
        if let Err(error) = &answer {
            log_operator_error(service, action, error);
        }
        answer
    }

    /// Ends the run: kills its cursors, aborts its transactions. Further calls answer [`ServiceError::RunEnded`].
    pub fn end(&self) {
        self.handles.end();
    }
}

/// User code may swallow these, but the operator has to know.
fn log_operator_error(service: &str, action: &str, error: &ServiceError) {
    match error {
        ServiceError::Unreachable { source, .. } => {
            tracing::warn!(service, action, error = %source, "the database cannot be reached");
        }
        ServiceError::Driver { source, .. } => {
            tracing::warn!(service, action, error = %source, "the database driver reports a failure");
        }
        _ => {}
    }
}
