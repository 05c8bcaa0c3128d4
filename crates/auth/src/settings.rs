//! What the operator may choose, with the platform's values as defaults.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::HashingQueue;

/// Settings of users and sessions, for all apps of a process.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// Lifetime of an access token (rules-and-users 3.4).
    pub access_token_lifetime: Duration,
    /// Lifetime of a refresh token.
    pub refresh_token_lifetime: Duration,
    /// Lifetime of the token in a confirmation or reset mail (rules-and-users 4.3).
    pub email_token_lifetime: Duration,
    /// How long an anonymous user is kept without logging in or refreshing (rules-and-users 3.3).
    pub anonymous_user_idle_max: Duration,
    /// Failed attempts that one address may make within `failure_window`; further ones are refused unseen.
    pub failures_max: u32,
    /// See `failures_max`.
    pub failure_window: Duration,
    /// How far the clocks of token issuers may differ from ours.
    pub clock_skew_max: Duration,
    /// Whether key sets and OAuth endpoints may be asked over plain HTTP; for tests and closed networks.
    pub allows_plain_http: bool,
    /// Where the OAuth providers answer.
    pub oauth: OauthEndpoints,
    /// Hashing of passwords. Clones share one queue, so that a process has one however many apps it serves.
    pub hashing: HashingQueue,
    /// The time.
    pub clock: Clock,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            access_token_lifetime: Duration::from_secs(30 * 60),
            refresh_token_lifetime: Duration::from_secs(60 * 24 * 3600),
            email_token_lifetime: Duration::from_secs(30 * 60),
            anonymous_user_idle_max: Duration::from_secs(90 * 24 * 3600),
            failures_max: 50,
            failure_window: Duration::from_secs(60),
            clock_skew_max: Duration::from_secs(60),
            allows_plain_http: false,
            oauth: OauthEndpoints::default(),
            hashing: HashingQueue::default(),
            clock: Clock::default(),
        }
    }
}

/// Addresses of the OAuth providers (their own documentation of OpenID Connect).
#[derive(Debug, Clone)]
pub struct OauthEndpoints {
    /// Key set of Google's ID tokens.
    pub google_keys: String,
    /// Where Google exchanges an authorization code.
    pub google_token: String,
    /// Key set of Apple's ID tokens.
    pub apple_keys: String,
    /// Key set of Facebook's ID tokens.
    pub facebook_keys: String,
    /// Facebook's Graph API, without a slash at its end.
    pub facebook_graph: String,
}

impl Default for OauthEndpoints {
    fn default() -> Self {
        Self {
            google_keys: "https://www.googleapis.com/oauth2/v3/certs".to_owned(),
            google_token: "https://oauth2.googleapis.com/token".to_owned(),
            apple_keys: "https://appleid.apple.com/auth/keys".to_owned(),
            facebook_keys: "https://www.facebook.com/.well-known/oauth/openid/jwks/".to_owned(),
            facebook_graph: "https://graph.facebook.com".to_owned(),
        }
    }
}

/// The time; tests set it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// A clock that shows what the function says.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Now.
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }

    /// Seconds since 1970, as tokens count them.
    pub(crate) fn seconds(&self) -> i64 {
        let since = self.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }

    /// Now, as the database has it.
    pub(crate) fn date(&self) -> bson::DateTime {
        bson::DateTime::from_system_time(self.now())
    }

    /// A date in the future, as the database has it.
    pub(crate) fn date_in(&self, time: Duration) -> bson::DateTime {
        bson::DateTime::from_system_time(self.now() + time)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(SystemTime::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clock")
    }
}
