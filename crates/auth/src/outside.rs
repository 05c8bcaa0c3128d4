//! What authentication needs from the world outside, as traits: fetching over HTTP, and sending mail.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A future of these traits.
pub type OutsideFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Fetches key sets and asks OAuth providers. The implementation decides which addresses may be reached, how long that may
/// take, and how large an answer may be; it follows no redirects.
pub trait FetchHttp: Send + Sync {
    /// Sends one request and reads the whole answer. Any status is an answer; an error is a text for the log.
    fn fetch(&self, request: FetchRequest) -> OutsideFuture<'_, Result<FetchAnswer, String>>;
}

/// A request: GET without a form, POST with one. `Debug` leaves out what may be secret.
pub struct FetchRequest {
    /// An absolute address.
    pub url: String,
    /// Fields for `application/x-www-form-urlencoded`.
    pub form: Option<Vec<(&'static str, String)>>,
    /// `Authorization`.
    pub authorization: Option<String>,
}

impl fmt::Debug for FetchRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = if self.form.is_some() { "POST" } else { "GET" };
        let address = self.url.split('?').next().unwrap_or_default();
        write!(formatter, "FetchRequest({method} {address})")
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct FetchAnswer {
    /// HTTP status.
    pub status: u16,
    /// `max-age` of `Cache-Control`.
    pub max_age: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

/// Sends the mails of `local-userpass`.
///
/// Where no mailer is set, a mail goes nowhere but into the `outbox` collection of the app's user database, where it stays
/// as long as its link is good ([`Accounts::outbox`](crate::Accounts::outbox)); the log says so, without the link.
pub trait SendMail: Send + Sync {
    /// Hands one mail over. An error is a text for the log.
    fn send_mail(&self, mail: Mail) -> OutsideFuture<'_, Result<(), String>>;
}

/// One mail. `Debug` leaves out the text, which holds a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The user's address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

impl fmt::Debug for Mail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Mail(to {:?}, {:?})", self.to, self.subject)
    }
}
