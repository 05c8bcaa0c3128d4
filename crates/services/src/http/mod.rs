//! Outgoing HTTP: `context.http` and services of type http (function-environment 5).
//!
//! One action per method: `get`, `post`, `put`, `patch`, `delete`, `head`. Arguments are the fields of 5.2, with `body` a
//! string or Binary and `isJson` set where JavaScript made it from another value. The answer is the response of 5.3.
//!
//! Where a request may go is decided by [`AddressPolicy`], after names are resolved and again for every redirect.

mod address;
mod client;
mod connect;
mod digest;
mod form;
mod request;
mod response;

use bson::Bson;

use crate::action_rules::ActionRules;
use crate::arguments::Arguments;
use crate::error::Reply;
use crate::run_context::RulesUsers;
use crate::{Authority, ServiceError};

pub use address::{AddressPolicy, AllowedTarget, TargetError};
pub(crate) use client::RunShare;
pub use client::{HttpClient, HttpSettings};
pub use connect::{Resolve, SystemResolver};
pub(crate) use request::OutboundRequest;
pub(crate) use response::HttpAnswer;
/// A certificate in DER.
pub use rustls::pki_types::CertificateDer;

/// Redirects followed at most.
const REDIRECTS_MAX: usize = 10;

/// A service of type http, or `context.http`.
#[derive(Debug, Clone)]
pub struct HttpService {
    client: HttpClient,
    /// `None` for `context.http`, which has none and needs none.
    rules: Option<ActionRules>,
}

impl HttpService {
    /// `context.http`: open to every function.
    pub fn open(client: HttpClient) -> Self {
        Self { client, rules: None }
    }

    /// A named service, whose rules decide for rules users.
    pub fn with_rules(client: HttpClient, rules: ActionRules) -> Self {
        Self { client, rules: Some(rules) }
    }
}

/// Sends one request and reads its answer.
pub(crate) async fn call(
    service: &HttpService,
    share: &RunShare,
    users: &RulesUsers,
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
    let mut request = OutboundRequest::parse(method, arguments)?;
    let allow = async |request: &OutboundRequest| match &service.rules {
        Some(rules) if *authority != Authority::System => {
            // Made of the request that is about to be sent, so that what was judged is what happens.
            let judged = Bson::Document(request.rule_arguments(arguments)?);
            rules.check(name, action, &judged, users, authority).await
        }
        _ => Ok(()),
    };
    allow(&request).await?;
    if let Some(url) = request.auth_url.clone() {
        let answer = service.client.send(&OutboundRequest::get(url), share).await?;
        request.add_cookies(answer.cookies());
    }
    let mut answer = service.client.send(&request, share).await?;
    if answer.status() == http::StatusCode::UNAUTHORIZED
        && let Some(header) = request.answer_challenge(answer.headers())?
    {
        request.set_authorization(header);
        answer = service.client.send(&request, share).await?;
    }
    let mut redirects = 0;
    while request.follows_redirects && redirects < REDIRECTS_MAX {
        let Some(next) = request.redirected(answer.status(), answer.headers())? else { break };
        request = next;
        allow(&request).await?;
        answer = service.client.send(&request, share).await?;
        redirects += 1;
    }
    Ok(answer.reply())
}
