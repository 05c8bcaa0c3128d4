//! The request as the later stages see it, and `context.request` (http-surface 6).

use http::HeaderMap;
use serde_json::{Map, Value as Json};

use crate::addresses::Caller;
use crate::headers::{canonical_headers, header_text};
use crate::http_call::BodyFuture;
use crate::query;
use crate::{AppSettings, HttpCall, Target};

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

/// What a request is for, as `context.request` names it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestNames<'a> {
    /// URL of a webhook, route of an endpoint; `None` for calls of the client API.
    pub webhook_url: Option<String>,
    /// Name of the service; empty where there is none.
    pub service: &'a str,
    /// Name of the webhook, function or action.
    pub action: &'a str,
}

impl Request {
    /// Takes a call apart: what it asks for, itself, and the way to its body.
    pub fn of_call(call: HttpCall, settings: &AppSettings) -> (Target, Self, BodyFuture) {
        let request = Self {
            method: call.method.as_str().to_ascii_uppercase(),
            path: call.path,
            query: call.query.unwrap_or_default(),
            caller: Caller::determine(call.peer, &call.headers, &settings.trusted_proxies),
            headers: call.headers,
            base_url: call.base_url,
        };
        (call.target, request, call.body)
    }

    /// `Content-Type` as sent.
    pub fn content_type(&self) -> Option<&str> {
        header_text(&self.headers, "content-type")
    }

    /// URL under which this request was sent, without its query.
    pub fn public_url(&self, settings: &AppSettings) -> String {
        format!("{}{}", settings.public_url.as_deref().unwrap_or(&self.base_url), self.path)
    }

    /// Calls of the client API have none, though their URL may have.
    fn raw_query_string(&self, names: &RequestNames<'_>) -> String {
        match names.webhook_url {
            Some(_) => query::without_secret(&self.query),
            None => String::new(),
        }
    }

    /// `context.request` and `%%request`.
    pub fn to_context(&self, names: &RequestNames<'_>) -> Json {
        let mut context = Map::new();
        context.insert("remoteIPAddress".into(), self.caller.address.to_string().into());
        let headers: Map<String, Json> = canonical_headers(&self.headers, &self.caller)
            .into_iter()
            .map(|(name, values)| (name, values.into()))
            .collect();
        context.insert("requestHeaders".into(), headers.into());
        if let Some(url) = &names.webhook_url {
            context.insert("webhookUrl".into(), url.clone().into());
            context.insert("httpMethod".into(), self.method.clone().into());
        }
        context.insert("rawQueryString".into(), self.raw_query_string(names).into());
        for (field, header) in [("httpReferrer", "referer"), ("httpUserAgent", "user-agent")] {
            // An absent header is `undefined`, so the field is left out (WH-56).
            if let Some(text) = header_text(&self.headers, header) {
                context.insert(field.into(), text.into());
            }
        }
        context.insert("service".into(), names.service.into());
        context.insert("action".into(), names.action.into());
        Json::Object(context)
    }
}
