//! Request validation: secret as query parameter, payload signature, and the schemes of GitHub and Twilio
//! (http-surface 3.4). Nothing of the request is trusted before this stage has passed it.

use app_model::{SecretText, Service, ServiceKind, Validation};

use super::lookup::Handler;
use super::receive::{CallParts, Received};
use super::signature;
use crate::query;
use crate::{CallError, HandlerKind, RunningApp};

/// A call that proved it knows the secret, where one is asked for.
pub(crate) struct Validated<'a>(Received<'a>);

impl<'a> Validated<'a> {
    pub fn app(&self) -> &'a RunningApp {
        self.0.app()
    }

    pub fn parts(&self) -> CallParts<'_> {
        self.0.parts()
    }
}

/// Checks secret or signature.
pub(crate) fn validate(received: Received<'_>) -> Result<Validated<'_>, CallError> {
    let parts = received.parts();
    match parts.handler {
        Handler::Webhook { service, webhook, .. } => check_webhook(&parts, service, &webhook.validation),
        Handler::Endpoint { endpoint, .. } => check_generic(&parts, HandlerKind::Endpoint, &endpoint.validation),
    }
    .map_err(|reason| CallError::ValidationFailed { kind: parts.handler.kind(), reason })?;
    Ok(Validated(received))
}

fn check_webhook(parts: &CallParts<'_>, service: &Service, validation: &Validation) -> Result<(), &'static str> {
    match (&service.kind, validation) {
        (ServiceKind::Github, Validation::VerifyPayload(secret)) => match usable(secret) {
            Some(secret) => signature::check_github(&parts.request.headers, secret.as_bytes(), parts.body),
            // GitHub's scheme without a secret is no scheme: deliveries are unsigned.
            None => Ok(()),
        },
        (ServiceKind::Twilio, Validation::None) => check_twilio(parts, service),
        (_, validation) => check_generic(parts, HandlerKind::Webhook, validation),
    }
}

fn check_generic(parts: &CallParts<'_>, kind: HandlerKind, validation: &Validation) -> Result<(), &'static str> {
    match validation {
        Validation::None => Ok(()),
        Validation::SecretAsQueryParam(secret) => {
            let secret = usable(secret).ok_or("no secret is configured")?;
            let sent = query::secret(&parts.request.query).ok_or("no secret parameter")?;
            match signature::equal(secret.as_bytes(), &sent) {
                true => Ok(()),
                false => Err("wrong secret parameter"),
            }
        }
        Validation::VerifyPayload(secret) => {
            let secret = usable(secret).ok_or("no secret is configured")?;
            signature::check_payload(&parts.request.headers, kind, secret.as_bytes(), parts.body)
        }
    }
}

fn check_twilio(parts: &CallParts<'_>, service: &Service) -> Result<(), &'static str> {
    let settings = parts.app.settings();
    if !settings.compatibility.twilio_signature || settings.public_url.is_none() {
        return Ok(());
    }
    let secrets = &parts.app.app().secrets;
    let configured = service.secret_config.get("auth_token").and_then(|name| name.as_str());
    // An import gave secrets of services names of this form (http-surface 1.11).
    let imported = format!("__{}_auth_token", service.name);
    let token = configured.and_then(|name| secrets.get(name)).or_else(|| secrets.get(&imported));
    let Some(token) = token.map(SecretText::expose).filter(|token| !token.is_empty()) else {
        return Err("twilio signatures are checked, but the service has no auth_token");
    };
    let mut url = parts.request.public_url(settings);
    if !parts.request.query.is_empty() {
        url.push('?');
        url.push_str(&parts.request.query);
    }
    let form = match query::is_form(parts.request.content_type()) {
        true => String::from_utf8_lossy(parts.body),
        false => "".into(),
    };
    signature::check_twilio(&parts.request.headers, token.as_bytes(), &url, &form)
}

/// A secret that can validate something: never compare against an empty key.
fn usable(secret: &Option<SecretText>) -> Option<&str> {
    secret.as_ref().map(SecretText::expose).filter(|text| !text.is_empty())
}
