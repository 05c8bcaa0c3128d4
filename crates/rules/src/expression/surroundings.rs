//! What is the same for every expression of one request.

use std::sync::Arc;

use app_model::{App, User, ValueContent};
use bson::{Bson, Document, doc};
use serde_json::Value as Json;

use super::literal;

/// `%%values` and `%%environment`: what is the same for all requests of one app.
#[derive(Debug, Clone)]
pub struct AppValues {
    values: Bson,
    environment: Bson,
}

impl AppValues {
    /// Values made from Secrets stand for their texts; those without text are missing.
    pub fn new(app: &App) -> Self {
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
        Self { values: values.into(), environment: doc! { "tag": &app.environment.tag, "values": environment }.into() }
    }
}

impl Default for AppValues {
    fn default() -> Self {
        Self { values: Document::new().into(), environment: doc! { "tag": "", "values": {} }.into() }
    }
}

/// `%%user`, `%%request`, `%%values` and `%%environment` of one request.
#[derive(Debug, Clone)]
pub struct Surroundings {
    user: Bson,
    request: Bson,
    app: Arc<AppValues>,
    /// How many rules are being evaluated around this one (rules-and-users 1.6); 0 for a request from outside.
    pub depth: usize,
}

impl Surroundings {
    /// For a request to an app. `request` is `context.request` (http-surface 6).
    pub fn new(app: Arc<AppValues>, user: &User, request: &Json) -> Self {
        Self { user: user.to_expansion().into(), request: literal::plain(request), app, depth: 0 }
    }

    /// For what is no app, such as a test.
    pub fn from_parts(user: Document, request: Document, values: Document, environment: Document) -> Self {
        Self {
            user: user.into(),
            request: request.into(),
            app: Arc::new(AppValues { values: values.into(), environment: environment.into() }),
            depth: 0,
        }
    }

    pub(super) fn user(&self) -> &Bson {
        &self.user
    }

    pub(super) fn request(&self) -> &Bson {
        &self.request
    }

    pub(super) fn values(&self) -> &Bson {
        &self.app.values
    }

    pub(super) fn environment(&self) -> &Bson {
        &self.app.environment
    }

    #[cfg(test)]
    pub(super) fn with_user(self, user: Document) -> Self {
        Self { user: user.into(), ..self }
    }

    #[cfg(test)]
    pub(super) fn with_request(self, request: Bson) -> Self {
        Self { request, ..self }
    }

    #[cfg(test)]
    pub(super) fn with_environment(self, environment: Bson) -> Self {
        Self { app: Arc::new(AppValues { values: self.app.values.clone(), environment }), ..self }
    }
}
