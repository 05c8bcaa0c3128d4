//! Actions of a MongoDB service, asked for by a client. They run as the client's user, under the rules of the collections.

use bson::raw::RawDocument;
use bson::{Bson, Document, doc};
use bytes::Bytes;
use http::StatusCode;
use isolate::{Authority, Host, ServiceCall};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::service_action::{AnswerShape, ServiceAction};
use super::{ClientCall, reply};
use crate::functions::{Origin, authority_of};
use crate::running_app::service_entries;
use crate::{CallError, CallResponse, LogRecord};

/// Answers 200 with the result in canonical Extended JSON.
pub(super) async fn call(
    call: &ClientCall<'_>,
    service: &str,
    name: &str,
    arguments: &[Box<RawValue>],
    origin: Origin,
) -> Result<CallResponse, CallError> {
    check_service(call, service, name)?;
    let action = ServiceAction::of_call(service, name, values(arguments)?)?;
    let service = Caller {
        host: call.app.functions().host(&origin, 0),
        service: service.to_owned(),
        authority: authority_of(&origin.user),
        answer_bytes_max: call.app.settings().limits.result_bytes_max,
    };
    let body = service.answer(&action).await?;
    Ok(reply::text(StatusCode::OK, body))
}

/// A stream of changes.
pub(super) async fn stream(_call: &ClientCall<'_>, _record: &mut Option<LogRecord>) -> Result<CallResponse, CallError> {
    Err(CallError::ActionNotFound { service: "mongodb-atlas".into(), action: "watch".into() })
}

fn check_service(call: &ClientCall<'_>, service: &str, action: &str) -> Result<(), CallError> {
    let entries = service_entries(call.app.app());
    match entries.iter().find(|entry| entry.name == service) {
        None => Err(CallError::ServiceNotFound(service.to_owned())),
        Some(entry) if matches!(&*entry.client, "mongodb-atlas" | "datalake") => Ok(()),
        Some(_) => Err(CallError::ActionNotFound { service: service.to_owned(), action: action.to_owned() }),
    }
}

fn values(arguments: &[Box<RawValue>]) -> Result<Vec<Bson>, CallError> {
    let value = |argument: &RawValue| {
        let json: Json = serde_json::from_str(argument.get()).ok()?;
        Bson::try_from(json).ok()
    };
    arguments
        .iter()
        .map(|argument| {
            value(argument).ok_or_else(|| CallError::InvalidArgument("an argument is no Extended JSON".into()))
        })
        .collect()
}

struct Caller {
    host: std::sync::Arc<dyn Host>,
    service: String,
    authority: Authority,
    answer_bytes_max: usize,
}

impl Caller {
    async fn answer(&self, action: &ServiceAction) -> Result<Bytes, CallError> {
        let answer = self.call(action.name, &action.arguments).await?;
        let text = match action.answer {
            AnswerShape::Documents => self.documents(answer).await?,
            AnswerShape::Value => ejson(answer.get("value").cloned().unwrap_or(Bson::Null)),
            AnswerShape::Whole => ejson(Bson::Document(answer)),
        };
        match text.len() > self.answer_bytes_max {
            true => Err(CallError::AnswerTooLarge),
            false => Ok(text.into()),
        }
    }

    /// All documents of a cursor, batch by batch.
    async fn documents(&self, mut answer: Document) -> Result<String, CallError> {
        let mut text = String::from("[");
        loop {
            for document in answer.get_array_mut("documents").map(std::mem::take).unwrap_or_default() {
                if text.len() > 1 {
                    text.push(',');
                }
                text.push_str(&ejson(document));
                if text.len() > self.answer_bytes_max {
                    return Err(CallError::AnswerTooLarge);
                }
            }
            match answer.get_i32("cursor") {
                Ok(cursor) if cursor != 0 => answer = self.call("getMore", &doc! { "cursor": cursor }).await?,
                _ => break,
            }
        }
        text.push(']');
        Ok(text)
    }

    async fn call(&self, action: &str, arguments: &Document) -> Result<Document, CallError> {
        let arguments = bson::serialize_to_vec(arguments)
            .map_err(|_| CallError::InvalidArgument("the arguments are too deep or too large".into()))?;
        let call = ServiceCall {
            service: self.service.clone(),
            action: action.to_owned(),
            arguments,
            authority: self.authority.clone(),
        };
        let answer = self.host.call_service(call).await.map_err(|error| CallError::Service(Box::new(error)))?;
        let document = RawDocument::from_bytes(&answer).and_then(Document::try_from);
        document.map_err(|error| CallError::Internal(format!("a service's answer: {error}")))
    }
}

fn ejson(value: Bson) -> String {
    value.into_canonical_extjson().to_string()
}
