//! From a path to a handler: service and webhook, or route and method (http-surface 3.2).

use std::collections::HashMap;
use std::sync::Arc;

use app_model::{App, Endpoint, Function, Method, Service, Webhook};
use isolate::{FrameAuthority, FunctionSource};

use crate::cors::Admitted;
use crate::guard::Guard;
use crate::http_call::BodyFuture;
use crate::request::Request;
use crate::{CallError, HandlerKind, LogRecord, RunningApp, Target};

/// Handlers of one app by name.
#[derive(Debug)]
pub(crate) struct Handlers {
    /// Service to webhook to positions in `App::services` and its `webhooks`.
    webhooks: HashMap<String, HashMap<String, WebhookEntry>>,
    /// Route to positions in `App::endpoints`.
    endpoints: HashMap<String, Vec<usize>>,
    /// Function name to position in `App::functions`.
    functions: HashMap<String, usize>,
    /// Of `App::endpoints`, by position.
    endpoint_guards: Vec<Guard>,
    /// Of `App::functions`, by position.
    function_guards: Vec<Guard>,
}

#[derive(Debug)]
struct WebhookEntry {
    service: usize,
    webhook: usize,
    source: Arc<FunctionSource>,
    guard: Guard,
}

impl Handlers {
    pub fn of(app: &App) -> Self {
        let mut webhooks: HashMap<String, HashMap<String, WebhookEntry>> = HashMap::new();
        for (service_index, service) in app.services.iter().enumerate() {
            let hooks = webhooks.entry(service.name.clone()).or_default();
            for (webhook_index, webhook) in service.webhooks.iter().enumerate() {
                let source = Arc::new(FunctionSource {
                    name: webhook.name.clone(),
                    file: webhook.source_file.to_string_lossy().into_owned(),
                    source: webhook.source.clone(),
                    // Its user is decided before the run; the frame takes it from the invocation.
                    run_as: FrameAuthority::Inherit,
                    can_evaluate: None,
                });
                hooks.entry(webhook.name.clone()).or_insert(WebhookEntry {
                    service: service_index,
                    webhook: webhook_index,
                    source,
                    guard: Guard::new(webhook.can_evaluate.as_ref()),
                });
            }
        }
        let mut endpoints: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, endpoint) in app.endpoints.iter().enumerate() {
            endpoints.entry(endpoint.route.clone()).or_default().push(index);
        }
        let functions =
            app.functions.iter().enumerate().map(|(index, function)| (function.name.clone(), index)).collect();
        let endpoint_guards = app.endpoints.iter().map(|endpoint| Guard::new(endpoint.can_evaluate.as_ref())).collect();
        let function_guards = app.functions.iter().map(|function| Guard::new(function.can_evaluate.as_ref())).collect();
        Self { webhooks, endpoints, functions, endpoint_guards, function_guards }
    }

    fn webhook<'a>(&'a self, app: &'a App, service: &str, name: &str) -> Result<Handler<'a>, CallError> {
        let hooks = self.webhooks.get(service).ok_or_else(|| CallError::ServiceNotFound(service.to_owned()))?;
        let entry = hooks.get(name).ok_or_else(|| CallError::WebhookNotFound(name.to_owned()))?;
        let service = &app.services[entry.service];
        Ok(Handler::Webhook {
            service,
            webhook: &service.webhooks[entry.webhook],
            source: &entry.source,
            guard: &entry.guard,
        })
    }

    /// The entry for this very method wins over `*` (WH-10); a disabled one is not there (WH-11).
    fn endpoint<'a>(&'a self, app: &'a App, route: &str, method: &str) -> Option<Handler<'a>> {
        let candidates = self.endpoints.get(route)?;
        let matching = |wanted: fn(&Method, &str) -> bool| {
            candidates.iter().copied().find(|index| wanted(&app.endpoints[*index].method, method))
        };
        let index = matching(|configured, method| matches!(configured, Method::One(verb) if verb == method))
            .or_else(|| matching(|configured, _| *configured == Method::Any))
            .filter(|index| !app.endpoints[*index].disabled)?;
        let endpoint = &app.endpoints[index];
        let function = self.functions.get(&endpoint.function_name).copied();
        let function_guard = function.map_or(&Guard::Closed, |index| &self.function_guards[index]);
        Some(Handler::Endpoint {
            endpoint,
            function: function.map(|index| &app.functions[index]),
            guards: [&self.endpoint_guards[index], function_guard],
        })
    }
}

/// What answers a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Handler<'a> {
    /// An incoming webhook.
    Webhook {
        /// Its service.
        service: &'a Service,
        /// Itself.
        webhook: &'a Webhook,
        /// Its `source.js`.
        source: &'a Arc<FunctionSource>,
        /// Its `can_evaluate`.
        guard: &'a Guard,
    },
    /// An HTTPS endpoint.
    Endpoint {
        /// The route.
        endpoint: &'a Endpoint,
        /// Its handler function, when the app has it.
        function: Option<&'a Function>,
        /// `can_evaluate` of the endpoint and of the function.
        guards: [&'a Guard; 2],
    },
}

impl Handler<'_> {
    pub fn kind(&self) -> HandlerKind {
        match self {
            Self::Webhook { .. } => HandlerKind::Webhook,
            Self::Endpoint { .. } => HandlerKind::Endpoint,
        }
    }

    /// Name in messages: of the webhook, or of the handler function.
    pub fn name(&self) -> &str {
        match self {
            Self::Webhook { webhook, .. } => &webhook.name,
            Self::Endpoint { endpoint, .. } => &endpoint.function_name,
        }
    }
}

/// A call whose handler is known and takes its method.
pub(crate) struct Found<'a> {
    app: &'a RunningApp,
    handler: Handler<'a>,
    request: Request,
    body: BodyFuture,
}

impl<'a> Found<'a> {
    pub fn into_parts(self) -> (&'a RunningApp, Handler<'a>, Request, BodyFuture) {
        (self.app, self.handler, self.request, self.body)
    }
}

/// Finds the handler, and checks method, `disabled` and load errors.
pub(crate) fn find<'a>(admitted: Admitted<'a>, record: &mut Option<LogRecord>) -> Result<Found<'a>, CallError> {
    let (app, call) = admitted.into_parts();
    let (target, request, body) = Request::of_call(call, app.settings());
    let method = &request.method;
    let not_found = |route: &str| CallError::EndpointNotFound { method: method.clone(), route: route.to_owned() };
    let handler = match &target {
        Target::Webhook { service, webhook } => app.handlers().webhook(app.app(), service, webhook)?,
        Target::Endpoint { route } => {
            app.handlers().endpoint(app.app(), route, method).ok_or_else(|| not_found(route))?
        }
        Target::Client(_) => return Err(CallError::Internal("an operation of the client API is no handler".into())),
    };
    if let Some(record) = record {
        record.handler_found(&handler);
    }
    match handler {
        Handler::Webhook { webhook, .. } => {
            if !webhook.servable {
                return Err(CallError::Unservable { name: webhook.name.clone() });
            }
            if let Method::One(verb) = &webhook.method
                && *verb != request.method
            {
                return Err(CallError::MethodNotAllowed { method: request.method, allow: verb.clone() });
            }
        }
        Handler::Endpoint { endpoint, .. } => {
            if !endpoint.servable {
                return Err(CallError::Unservable { name: endpoint.route.clone() });
            }
        }
    }
    Ok(Found { app, handler, request, body })
}

/// Whether the webhook takes the method; an error when there is no such webhook at all.
pub(crate) fn accepts_webhook(app: &RunningApp, service: &str, webhook: &str, method: &str) -> Result<bool, CallError> {
    match app.handlers().webhook(app.app(), service, webhook)? {
        Handler::Webhook { webhook, .. } => {
            Ok(matches!(&webhook.method, Method::Any) || webhook.method == Method::One(method.to_owned()))
        }
        Handler::Endpoint { .. } => Ok(false),
    }
}

/// Whether an endpoint of this route takes the method; an error when there is no such route at all.
pub(crate) fn accepts_endpoint(app: &RunningApp, route: &str, method: &str) -> Result<bool, CallError> {
    match app.handlers().endpoint(app.app(), route, method) {
        Some(_) => Ok(true),
        None if app.handlers().endpoints.contains_key(route) => Ok(false),
        None => Err(CallError::EndpointNotFound { method: "OPTIONS".into(), route: route.to_owned() }),
    }
}
