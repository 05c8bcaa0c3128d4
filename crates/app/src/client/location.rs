//! Where clients find the app: here.

use serde_json::json;

use super::reply;
use crate::request::Request;
use crate::{CallResponse, RunningApp};

/// `{deployment_model, location, hostname, ws_hostname}`; the host names are base URLs.
pub(super) fn location(app: &RunningApp, request: &Request) -> CallResponse {
    let hostname = app.settings().public_url.as_deref().unwrap_or(&request.base_url);
    // `http` becomes `ws`, `https` becomes `wss`.
    let ws_hostname = hostname.replacen("http", "ws", 1);
    reply::json(&json!({
        "deployment_model": app.app().deployment_model,
        "location": app.app().location,
        "hostname": hostname,
        "ws_hostname": ws_hostname,
    }))
}
