//! Outgoing HTTP: `context.http` and services of type http (function-environment 5).
//!
//! One action per method: `get`, `post`, `put`, `patch`, `delete`, `head`. Arguments are the fields of 5.2, with `body` a
//! string or Binary and `isJson` set where JavaScript made it from another value. The answer is the response of 5.3.
//!
//! Where a request may go is decided by [`AddressPolicy`], after names are resolved and again for every redirect.

mod address;
mod client;
mod digest;
mod form;
mod request;
mod response;

use crate::arguments::Arguments;
use crate::error::Reply;
use crate::{Authority, ServiceError};

pub use address::AddressPolicy;
pub use client::{HttpClient, HttpSettings};
use request::OutboundRequest;

/// Redirects followed at most.
const REDIRECTS_MAX: usize = 10;

/// A service of type http, or `context.http`.
#[derive(Debug, Clone)]
pub struct HttpService {
    client: HttpClient,
    has_rules: bool,
}

impl HttpService {
    /// `context.http`: open to every function.
    pub fn open(client: HttpClient) -> Self {
        Self { client, has_rules: false }
    }

    /// A named service, whose rules decide for rules users.
    pub fn with_rules(client: HttpClient) -> Self {
        Self { client, has_rules: true }
    }
}

/// Sends one request and reads its answer.
pub(crate) async fn call(
    service: &HttpService,
    name: &str,
    action: &str,
    arguments: Arguments<'_>,
    authority: &Authority,
) -> Reply {
    let method = match action {
        "get" => http::Method::GET,
        "post" => http::Method::POST,
        "put" => http::Method::PUT,
        "patch" => http::Method::PATCH,
        "delete" => http::Method::DELETE,
        "head" => http::Method::HEAD,
        _ => return Err(ServiceError::UnknownAction { service: name.to_owned(), action: action.to_owned() }),
    };
    if service.has_rules && *authority != Authority::System {
        // Until the rules engine decides, no rule of a service holds for a rules user.
        return Err(ServiceError::NoServiceRule { service: name.to_owned(), action: action.to_owned() });
    }
    let mut request = OutboundRequest::parse(method, arguments)?;
    if let Some(url) = request.auth_url.clone() {
        let answer = service.client.send(&OutboundRequest::get(url)).await?;
        request.add_cookies(answer.cookies());
    }
    let mut answer = service.client.send(&request).await?;
    if answer.status() == http::StatusCode::UNAUTHORIZED
        && let Some(header) = request.answer_challenge(answer.headers())?
    {
        request.set_authorization(header);
        answer = service.client.send(&request).await?;
    }
    let mut redirects = 0;
    while request.follows_redirects && redirects < REDIRECTS_MAX {
        let Some(next) = request.redirected(answer.status(), answer.headers())? else { break };
        request = next;
        answer = service.client.send(&request).await?;
        redirects += 1;
    }
    Ok(answer.reply())
}
