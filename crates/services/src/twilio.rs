//! Services of type twilio: `send` (function-environment 6.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::raw::RawDocumentBuf;
use bson::{Bson, Document};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use serde_json::Value as Json;
use url::{Url, form_urlencoded};

use crate::action_rules::ActionRules;
use crate::arguments::Arguments;
use crate::error::Reply;
use crate::http::{HttpClient, OutboundRequest, RunShare};
use crate::run_context::RulesUsers;
use crate::{Authority, ServiceError};

/// A service of type twilio.
#[derive(Debug, Clone)]
pub struct TwilioService {
    client: HttpClient,
    /// Account and token, or what is missing of them.
    account: Result<Account, String>,
    endpoint: Url,
    rules: ActionRules,
}

#[derive(Clone)]
struct Account {
    sid: String,
    auth_token: String,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Account").field("sid", &self.sid).finish_non_exhaustive()
    }
}

/// Base URL of Twilio's own interface.
pub const TWILIO_URL: &str = "https://api.twilio.com/";

/// Fields of a message by their lower-case names, and as Twilio calls them.
const FIELDS: [(&str, &str); 6] = [
    ("to", "To"),
    ("from", "From"),
    ("body", "Body"),
    ("mediaurl", "MediaUrl"),
    ("messagingservicesid", "MessagingServiceSid"),
    ("statuscallback", "StatusCallback"),
];

impl TwilioService {
    /// A service with `config.sid` and the text of the Secret behind `secret_config.auth_token`. Without them every call
    /// fails and says what is missing.
    pub fn new(
        client: HttpClient,
        sid: Option<String>,
        auth_token: Option<String>,
        endpoint: Url,
        rules: ActionRules,
    ) -> Self {
        let account = match (sid, auth_token) {
            (Some(sid), Some(auth_token)) => Ok(Account { sid, auth_token }),
            (None, _) => Err("its config has no sid".to_owned()),
            (_, None) => Err("the Secret behind its auth_token has no text".to_owned()),
        };
        Self { client, account, endpoint, rules }
    }
}

/// Calls an action; `send` is the only one. Gives an empty document.
pub(crate) async fn call(
    service: &TwilioService,
    share: &RunShare,
    users: &RulesUsers,
    name: &str,
    action: &str,
    arguments: Arguments<'_>,
    authority: &Authority,
) -> Reply {
    if action != "send" {
        return Err(ServiceError::UnknownAction { service: name.to_owned(), action: action.to_owned() });
    }
    let message = Message::read(&arguments.optional_document("message")?.unwrap_or_default())?;
    service.rules.check(name, action, &message.arguments().into(), users, authority).await?;
    let account = service
        .account
        .as_ref()
        .map_err(|reason| ServiceError::NotConfigured { service: name.to_owned(), reason: reason.clone() })?;
    let request = message.request(account, &service.endpoint)?;
    let answer = match service.client.send(&request, share).await {
        Err(ServiceError::Http { text }) => Err(ServiceError::Twilio { text }),
        other => other,
    }?;
    if answer.status().is_success() {
        return Ok(RawDocumentBuf::new());
    }
    Err(ServiceError::Twilio { text: failure(answer.status(), answer.body()) })
}

/// The fields of one message, under Twilio's names.
struct Message(Vec<(&'static str, String)>);

impl Message {
    /// Names are taken without regard to case, because documentation and code use both; the first one counts.
    fn read(given: &Document) -> Result<Self, ServiceError> {
        let mut fields: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in given {
            let lower = name.to_ascii_lowercase();
            let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == lower) else { continue };
            if fields.iter().any(|(known, _)| known == field) {
                continue;
            }
            let mut add = |value: &Bson| match value {
                Bson::String(text) => {
                    fields.push((*field, text.clone()));
                    Ok(())
                }
                Bson::Null | Bson::Undefined => Ok(()),
                _ => Err(ServiceError::invalid(format!("twilio: '{name}' must be a string"))),
            };
            match value {
                Bson::Array(values) if *field == "MediaUrl" => values.iter().try_for_each(&mut add)?,
                value => add(value)?,
            }
        }
        let has = |name: &str| fields.iter().any(|(field, text)| *field == name && !text.is_empty());
        let missing = [
            ("to", has("To")),
            ("from", has("From") || has("MessagingServiceSid")),
            ("body", has("Body") || has("MediaUrl")),
        ];
        match missing.iter().find(|(_, is_there)| !is_there) {
            Some((field, _)) => Err(ServiceError::invalid(format!("twilio: missing required field, '{field}'"))),
            None => Ok(Self(fields)),
        }
    }

    /// `%%args`: under the names of the documentation.
    fn arguments(&self) -> Document {
        let mut arguments = Document::new();
        for (field, text) in &self.0 {
            let name = match *field {
                "To" => "to",
                "From" => "from",
                "Body" => "body",
                "MediaUrl" => "mediaUrl",
                "MessagingServiceSid" => "messagingServiceSid",
                _ => "statusCallback",
            };
            match arguments.get_mut(name) {
                Some(Bson::Array(values)) => values.push(text.as_str().into()),
                Some(first) => *first = Bson::Array(vec![first.clone(), text.as_str().into()]),
                None => drop(arguments.insert(name, text.as_str())),
            }
        }
        arguments
    }

    /// `POST /2010-04-01/Accounts/SID/Messages.json`
    fn request(&self, account: &Account, endpoint: &Url) -> Result<OutboundRequest, ServiceError> {
        let mut url = endpoint.clone();
        let sid = percent_encoding::utf8_percent_encode(&account.sid, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("{}/2010-04-01/Accounts/{sid}/Messages.json", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let login = STANDARD.encode(format!("{}:{}", account.sid, account.auth_token));
        let mut login = HeaderValue::from_str(&format!("Basic {login}"))
            .map_err(|_| ServiceError::invalid("twilio: the account cannot be sent in a header"))?;
        login.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, login);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish();
        Ok(OutboundRequest::new(Method::POST, url, headers, body.into()))
    }
}

/// Twilio's own text, `{"code": 21211, "message": "…"}`.
fn failure(status: StatusCode, body: &[u8]) -> String {
    let json: Option<Json> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| json.get("message")?.as_str());
    match (message, json.as_ref().and_then(|json| json.get("code")?.as_i64())) {
        (Some(message), Some(code)) => format!("{message} (code {code})"),
        (Some(message), None) => message.to_owned(),
        (None, _) => format!("Twilio answered {status}"),
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn read(given: Document) -> Result<Document, String> {
        Message::read(&given).map(|message| message.arguments()).map_err(|error| error.to_string())
    }

    #[test]
    fn names_in_any_case() {
        let expected = doc! { "to": "+1", "from": "+2", "body": "hi" };
        assert_eq!(read(doc! { "to": "+1", "from": "+2", "body": "hi" }), Ok(expected.clone()));
        assert_eq!(read(doc! { "To": "+1", "From": "+2", "Body": "hi", "other": 5 }), Ok(expected.clone()));
        // What a rule has seen is what is sent.
        assert_eq!(read(doc! { "to": "+1", "TO": "+9", "from": "+2", "body": "hi" }), Ok(expected));
        assert_eq!(
            read(doc! { "to": "+1", "from": "+2", "mediaUrl": ["a", "b"] }),
            Ok(doc! { "to": "+1", "from": "+2", "mediaUrl": ["a", "b"] })
        );
        assert_eq!(read(doc! { "to": "+1", "from": "+2" }), Err("twilio: missing required field, 'body'".to_owned()));
        assert_eq!(read(doc! { "to": 1, "from": "+2" }), Err("twilio: 'to' must be a string".to_owned()));
    }

    #[test]
    fn failures() {
        let text = |body: &str| failure(StatusCode::BAD_REQUEST, body.as_bytes());
        assert_eq!(text(r#"{"code":21211,"message":"Invalid 'To'"}"#), "Invalid 'To' (code 21211)");
        assert_eq!(text("<html>"), "Twilio answered 400 Bad Request");
    }
}
