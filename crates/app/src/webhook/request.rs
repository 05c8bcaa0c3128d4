//! The request as the later stages see it, and `context.request` (http-surface 6).

use http::HeaderMap;
use serde_json::{Map, Value as Json};

use super::headers::{canonical_headers, header_text};
use super::lookup::Handler;
use crate::AppSettings;
use crate::addresses::Caller;
use crate::query;

/// One request without its body. Immutable.
#[derive(Debug)]
pub(crate) struct Request {
    /// Upper case.
    pub method: String,
    /// As sent, before percent-decoding.
    pub path: String,
    /// As sent, without `?`; empty when there is none.
    pub query: String,
    /// As sent.
    pub headers: HeaderMap,
    /// Who calls.
    pub caller: Caller,
    /// `scheme://host[:port]` the caller used.
    pub base_url: String,
}

impl Request {
    /// `Content-Type` as sent.
    pub fn content_type(&self) -> Option<&str> {
        header_text(&self.headers, "content-type")
    }

    /// URL under which this request was sent, without its query.
    pub fn public_url(&self, settings: &AppSettings) -> String {
        format!("{}{}", settings.public_url.as_deref().unwrap_or(&self.base_url), self.path)
    }

    /// `webhookUrl`, `service` and `action`.
    fn names<'a>(&self, handler: &Handler<'a>, settings: &AppSettings) -> (String, &'a str, &'a str) {
        match handler {
            Handler::Webhook { service, webhook, .. } => {
                (self.public_url(settings), service.name.as_str(), webhook.name.as_str())
            }
            Handler::Endpoint { endpoint, .. } => (endpoint.route.clone(), "", endpoint.function_name.as_str()),
        }
    }

    /// `context.request` and `%%request`.
    pub fn to_context(&self, handler: &Handler<'_>, settings: &AppSettings) -> Json {
        let mut context = Map::new();
        context.insert("remoteIPAddress".into(), self.caller.address.to_string().into());
        let headers: Map<String, Json> = canonical_headers(&self.headers, &self.caller)
            .into_iter()
            .map(|(name, values)| (name, values.into()))
            .collect();
        context.insert("requestHeaders".into(), headers.into());
        let (url, service, action) = self.names(handler, settings);
        context.insert("webhookUrl".into(), url.into());
        context.insert("httpMethod".into(), self.method.clone().into());
        context.insert("rawQueryString".into(), query::without_secret(&self.query).into());
        for (field, header) in [("httpReferrer", "referer"), ("httpUserAgent", "user-agent")] {
            // An absent header is `undefined`, so the field is left out (WH-56).
            if let Some(text) = header_text(&self.headers, header) {
                context.insert(field.into(), text.into());
            }
        }
        context.insert("service".into(), service.into());
        context.insert("action".into(), action.into());
        Json::Object(context)
    }
}
