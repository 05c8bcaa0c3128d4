//! Runs the handler.

use isolate::Completed;

use super::payload::{PreparedCall, ResponseStyle};
use crate::{AppSettings, CallError, LogRecord};

/// A run that ended normally.
pub(crate) struct Finished<'a> {
    settings: &'a AppSettings,
    completed: Completed,
    style: ResponseStyle,
}

impl<'a> Finished<'a> {
    pub fn into_parts(self) -> (&'a AppSettings, Completed, ResponseStyle) {
        (self.settings, self.completed, self.style)
    }
}

/// Runs it, and notes what it wrote and consumed.
pub(crate) async fn run<'a>(
    prepared: PreparedCall<'a>,
    record: &mut Option<LogRecord>,
) -> Result<Finished<'a>, CallError> {
    let (app, invocation, origin, style) = prepared.into_parts();
    let outcome = app.functions().run(invocation, &origin, 0).await;
    if let Some(record) = record {
        record.ran(&outcome);
    }
    let completed = outcome.result.map_err(CallError::Run)?;
    Ok(Finished { settings: app.settings(), completed, style })
}
