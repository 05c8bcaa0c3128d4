//! Machine ids that the platform gave apps and groups, made up so that they stay the same over restarts.

use sha2::{Digest, Sha256};

/// 24-hex ids of one app, derived from its client app id.
#[derive(Debug, Clone)]
pub struct AppIdentity {
    /// `app_id` of log entries, `context.app.id`.
    pub app: String,
    /// `group_id` of log entries, `context.app.projectId`.
    pub group: String,
    /// `domain_id` of log entries, tokens and profiles.
    pub domain: String,
}

impl AppIdentity {
    /// The ids of an app.
    pub fn of(client_app_id: &str) -> Self {
        let derive = |purpose: &str| {
            let mut digest = Sha256::new();
            digest.update(purpose.as_bytes());
            digest.update([0]);
            digest.update(client_app_id.as_bytes());
            hex::encode(&digest.finalize()[..12])
        };
        Self { app: derive("app"), group: derive("group"), domain: derive("domain") }
    }
}
