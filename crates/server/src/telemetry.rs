//! The server's own log: `tracing` on standard error.

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, SettingsError};

/// Starts the log. Later calls in one process, as tests make them, change nothing.
///
/// # Errors
/// A filter that does not parse.
pub(crate) fn start(format: LogFormat, filter: &str) -> Result<(), SettingsError> {
    let filter = EnvFilter::builder().parse(filter).map_err(|error| SettingsError::Invalid {
        setting: "log",
        value: filter.to_owned(),
        message: format!("is not a tracing filter such as info or warn,selvedge::call=info: {error}"),
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let result = match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // Another log is running already.
    drop(result);
    Ok(())
}
