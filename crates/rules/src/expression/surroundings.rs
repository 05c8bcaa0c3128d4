//! What is the same for every expression of one request.

use app_model::{App, ValueContent};
use bson::{Bson, Document, doc};

use super::literal;

/// `%%user`, `%%request`, `%%values` and `%%environment` of one request.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub(super) user: Bson,
    pub(super) request: Bson,
    pub(super) values: Bson,
    pub(super) environment: Bson,
    /// How many rules are being evaluated around this one (rules-and-users 1.6); 0 for a request from outside.
    pub depth: usize,
}

impl Surroundings {
    /// For a request to an app.
    ///
    /// `user` is `{id, type, data, custom_data, identities: [{id, provider_type, providerType}]}`, `request` as in
    /// [`RequestFacts`]. Values made from Secrets stand for their texts; those without text are missing.
    pub fn new(app: &App, user: Document, request: Document) -> Self {
        let mut values = Document::new();
        for value in &app.values {
            match &value.content {
                ValueContent::Plain(json) => {
                    values.insert(value.name.clone(), literal::from_json(json));
                }
                ValueContent::FromSecret(secret) => {
                    if let Some(text) = app.secret(secret) {
                        values.insert(value.name.clone(), text.expose());
                    }
                }
            }
        }
        let environment: Document =
            app.environment.values.iter().map(|(name, json)| (name.clone(), literal::from_json(json))).collect();
        Self::from_parts(user, request, values, doc! { "tag": &app.environment.tag, "values": environment })
    }

    /// For what is no app, such as a test.
    pub fn from_parts(user: Document, request: Document, values: Document, environment: Document) -> Self {
        Self {
            user: user.into(),
            request: request.into(),
            values: values.into(),
            environment: environment.into(),
            depth: 0,
        }
    }

    /// The same request with another user, such as the one a script chose.
    pub fn with_user(mut self, user: Document) -> Self {
        self.user = user.into();
        self
    }
}

/// `%%request`, which equals `context.request` (http-surface 6).
#[derive(Debug, Clone, Default)]
pub struct RequestFacts {
    /// Upper case.
    pub http_method: Option<String>,
    /// `Referer` header.
    pub http_referrer: Option<String>,
    /// `User-Agent` header.
    pub http_user_agent: Option<String>,
    /// Without the `secret` parameter.
    pub raw_query_string: String,
    /// Without brackets and zone.
    pub remote_ip_address: String,
    /// Each header line; lines of one name are gathered. Looked up without regard to case.
    pub request_headers: Vec<(String, String)>,
    /// URL of a webhook, route of an endpoint.
    pub webhook_url: Option<String>,
    /// Name of the service; empty for endpoints.
    pub service: String,
    /// Name of the webhook, function or action.
    pub action: String,
}

impl From<RequestFacts> for Document {
    fn from(facts: RequestFacts) -> Self {
        let mut headers = Document::new();
        for (name, value) in facts.request_headers {
            match headers.get_mut(&name) {
                Some(Bson::Array(values)) => values.push(value.into()),
                _ => {
                    headers.insert(name, vec![value]);
                }
            }
        }
        let mut request = doc! {
            "remoteIPAddress": facts.remote_ip_address,
            "requestHeaders": headers,
            "rawQueryString": facts.raw_query_string,
            "service": facts.service,
            "action": facts.action,
        };
        let optional = [
            ("httpMethod", facts.http_method),
            ("httpReferrer", facts.http_referrer),
            ("httpUserAgent", facts.http_user_agent),
            ("webhookUrl", facts.webhook_url),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                request.insert(name, value);
            }
        }
        request
    }
}
