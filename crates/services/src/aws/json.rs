//! Services that speak JSON: those with the action in `X-Amz-Target`, Lambda's Invoke and Polly's SynthesizeSpeech.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::{Bson, Document};
use bytes::Bytes;
use http::Method;
use http::header::HeaderMap;
use serde_json::{Map, Value as Json};

use super::{Call, binary, blob, insert, integer, required, scalar_text, sign};
use crate::ServiceError;

/// Blobs by name, wherever they stand; JSON carries them in base64.
const BLOBS: [&str; 2] = ["Data", "Bytes"];

pub(super) async fn call(prefix: &str, version: &str, call: &Call<'_>) -> Result<Document, ServiceError> {
    let has_blobs = matches!(call.api.host, "kinesis" | "firehose" | "rekognition" | "textract");
    let body = to_json(&Bson::Document(call.input.clone()), "", has_blobs)?;
    let mut headers = HeaderMap::new();
    insert(&mut headers, "content-type", &format!("application/x-amz-json-{version}"))?;
    insert(&mut headers, "x-amz-target", &format!("{prefix}.{}", call.action))?;
    let answer = call.send(Method::POST, call.base()?, headers, body.to_string().into(), failure).await?;
    if answer.body().is_empty() {
        return Ok(Document::new());
    }
    let json: Json = serde_json::from_slice(answer.body())
        .map_err(|_| ServiceError::Aws { text: "SerializationError: the answer is not JSON".to_owned() })?;
    match from_json(json, "", has_blobs) {
        Bson::Document(document) => Ok(document),
        _ => Ok(Document::new()),
    }
}

/// `POST /2015-03-31/functions/NAME/invocations`
pub(super) async fn invoke_lambda(call: &Call<'_>) -> Result<Option<Document>, ServiceError> {
    if call.action != "Invoke" {
        return Ok(None);
    }
    let input = &call.input;
    let mut url = call.base()?;
    let prefix = url.path().trim_end_matches('/').to_owned();
    let name = required(input, "FunctionName")?;
    let path = format!("{prefix}/2015-03-31/functions/{}/invocations", sign::encode(name));
    url.set_path(&path);
    if url.path() != path {
        return Err(ServiceError::invalid("aws: 'FunctionName' is no name of a function"));
    }
    if let Some(qualifier) = input.get("Qualifier").and_then(scalar_text) {
        url.set_query(Some(&sign::query(&[("Qualifier".to_owned(), qualifier)])));
    }
    let mut headers = HeaderMap::new();
    for (field, header) in [
        ("InvocationType", "x-amz-invocation-type"),
        ("LogType", "x-amz-log-type"),
        ("ClientContext", "x-amz-client-context"),
    ] {
        if let Some(value) = input.get(field).and_then(scalar_text) {
            insert(&mut headers, header, &value)?;
        }
    }
    let answer = call.send(Method::POST, url, headers, blob(input, "Payload")?, failure).await?;
    let mut output = Document::new();
    output.insert("StatusCode", integer(i64::from(answer.status().as_u16())));
    output.insert("Payload", binary(answer.body()));
    for (header, field) in [
        ("x-amz-function-error", "FunctionError"),
        ("x-amz-log-result", "LogResult"),
        ("x-amz-executed-version", "ExecutedVersion"),
    ] {
        if let Some(value) = answer.headers().get(header) {
            output.insert(field, String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
    }
    Ok(Some(output))
}

/// `POST /v1/speech`
pub(super) async fn synthesize_speech(call: &Call<'_>) -> Result<Option<Document>, ServiceError> {
    if call.action != "SynthesizeSpeech" {
        return Ok(None);
    }
    let mut url = call.base()?;
    let path = format!("{}/v1/speech", url.path().trim_end_matches('/'));
    url.set_path(&path);
    let body: Bytes = to_json(&Bson::Document(call.input.clone()), "", false)?.to_string().into();
    let mut headers = HeaderMap::new();
    insert(&mut headers, "content-type", "application/json")?;
    let answer = call.send(Method::POST, url, headers, body, failure).await?;
    let mut output = Document::new();
    output.insert("AudioStream", binary(answer.body()));
    if let Some(value) = answer.headers().get("content-type") {
        output.insert("ContentType", String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    if let Some(value) = answer.headers().get("x-amzn-requestcharacters")
        && let Ok(count) = String::from_utf8_lossy(value.as_bytes()).parse()
    {
        output.insert("RequestCharacters", integer(count));
    }
    Ok(Some(output))
}

fn to_json(value: &Bson, name: &str, has_blobs: bool) -> Result<Json, ServiceError> {
    Ok(match value {
        Bson::Null | Bson::Undefined => Json::Null,
        Bson::String(text) if has_blobs && BLOBS.contains(&name) => STANDARD.encode(text).into(),
        Bson::String(text) => text.as_str().into(),
        Bson::Boolean(flag) => (*flag).into(),
        Bson::Int32(number) => (*number).into(),
        Bson::Int64(number) => (*number).into(),
        Bson::Double(number) => (*number).into(),
        Bson::Binary(bytes) => STANDARD.encode(&bytes.bytes).into(),
        Bson::ObjectId(id) => id.to_hex().into(),
        // Seconds since 1970.
        Bson::DateTime(date) => (date.timestamp_millis() as f64 / 1000.0).into(),
        Bson::Array(values) => {
            values.iter().map(|value| to_json(value, name, has_blobs)).collect::<Result<Vec<_>, _>>()?.into()
        }
        Bson::Document(document) => {
            let mut fields = Map::new();
            for (name, value) in document {
                if !matches!(value, Bson::Null | Bson::Undefined) {
                    fields.insert(name.clone(), to_json(value, name, has_blobs)?);
                }
            }
            Json::Object(fields)
        }
        _ => return Err(ServiceError::invalid(format!("aws: '{name}' has a type that cannot be sent"))),
    })
}

fn from_json(value: Json, name: &str, has_blobs: bool) -> Bson {
    match value {
        Json::Null => Bson::Null,
        Json::Bool(flag) => flag.into(),
        Json::Number(number) => match number.as_i64() {
            Some(number) => integer(number),
            None => Bson::Double(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => match STANDARD.decode(&text) {
            Ok(bytes) if has_blobs && BLOBS.contains(&name) => binary(&bytes),
            _ => text.into(),
        },
        Json::Array(values) => Bson::Array(values.into_iter().map(|value| from_json(value, name, has_blobs)).collect()),
        Json::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| {
                let value = from_json(value, &name, has_blobs);
                (name, value)
            })
            .collect::<Document>()
            .into(),
    }
}

/// `{"__type": "namespace#Code", "message": "…"}`
fn failure(body: &[u8]) -> Option<(String, String)> {
    let json: Json = serde_json::from_slice(body).ok()?;
    let text = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
    let code = text("__type").or_else(|| text("code")).or_else(|| text("Type"))?;
    let code = code.rsplit('#').next().unwrap_or_default().to_owned();
    Some((code, text("message").or_else(|| text("Message")).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use bson::doc;
    use serde_json::json;

    use super::*;

    #[test]
    fn blobs_travel_in_base64() {
        let input = doc! { "Records": [{ "Data": "hi", "PartitionKey": "p" }], "Skipped": null };
        assert_eq!(
            to_json(&Bson::Document(input), "", true).ok(),
            Some(json!({ "Records": [{ "Data": "aGk=", "PartitionKey": "p" }] }))
        );
        let output = from_json(json!({ "Data": "aGk=", "N": 5, "F": 1.5 }), "", true);
        assert_eq!(output, Bson::Document(doc! { "Data": binary(b"hi"), "N": 5, "F": 1.5 }));
        assert_eq!(from_json(json!("aGk="), "Data", false), Bson::String("aGk=".to_owned()));
    }

    #[test]
    fn failures() {
        let read = |text: &str| failure(text.as_bytes());
        let expected = Some(("NotFound".to_owned(), "no".to_owned()));
        assert_eq!(read(r#"{"__type":"com.amazon#NotFound","message":"no"}"#), expected);
        assert_eq!(read(r#"{"__type":"NotFound","Message":"no"}"#), expected);
        assert_eq!(read("<html>"), None);
    }
}
