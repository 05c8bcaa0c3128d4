//! Services that take flat fields and answer XML: SES, SNS, CloudWatch.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::{Bson, Document};
use http::Method;
use http::header::HeaderMap;
use url::form_urlencoded;

use super::{Call, insert, scalar_text, xml};
use crate::ServiceError;

pub(super) async fn call(version: &str, call: &Call<'_>) -> Result<Document, ServiceError> {
    let mut fields = vec![("Action".to_owned(), call.action.to_owned()), ("Version".to_owned(), version.to_owned())];
    flatten("", &Bson::Document(call.input.clone()), &mut fields)?;
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut headers = HeaderMap::new();
    insert(&mut headers, "content-type", "application/x-www-form-urlencoded; charset=utf-8")?;
    let answer = call.send(Method::POST, call.base()?, headers, body.into(), failure).await?;
    let text = String::from_utf8_lossy(answer.body());
    let parsed = roxmltree::Document::parse(&text)
        .map_err(|_| ServiceError::Aws { text: "SerializationError: the answer is not XML".to_owned() })?;
    // <XResponse><XResult>…</XResult><ResponseMetadata/></XResponse>
    let result = parsed.root_element().children().find(|node| node.tag_name().name().ends_with("Result"));
    Ok(result.map(xml::document).unwrap_or_default())
}

/// `Destination.ToAddresses.member.1=…`
fn flatten(prefix: &str, value: &Bson, fields: &mut Vec<(String, String)>) -> Result<(), ServiceError> {
    match value {
        Bson::Null | Bson::Undefined => {}
        Bson::Document(document) => {
            for (name, value) in document {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&path, value, fields)?;
            }
        }
        Bson::Array(values) if values.is_empty() => fields.push((prefix.to_owned(), String::new())),
        Bson::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                flatten(&format!("{prefix}.member.{}", index + 1), value, fields)?;
            }
        }
        Bson::Binary(binary) => fields.push((prefix.to_owned(), STANDARD.encode(&binary.bytes))),
        // The one blob of these services that people give as text.
        Bson::String(text) if prefix == "RawMessage.Data" => fields.push((prefix.to_owned(), STANDARD.encode(text))),
        value => {
            let text = scalar_text(value)
                .ok_or_else(|| ServiceError::invalid(format!("aws: '{prefix}' has a type that cannot be sent")))?;
            fields.push((prefix.to_owned(), text));
        }
    }
    Ok(())
}

/// `<ErrorResponse><Error><Code>…</Code><Message>…</Message></Error></ErrorResponse>`
fn failure(body: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(body).ok()?;
    let parsed = roxmltree::Document::parse(text).ok()?;
    let part = |tag: &str| {
        let node = parsed.descendants().find(|node| node.tag_name().name() == tag)?;
        Some(node.text().unwrap_or_default().to_owned())
    };
    Some((part("Code")?, part("Message").unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn nested_fields_become_flat() {
        let input = doc! {
            "Source": "a@b", "Destination": { "ToAddresses": ["x", "y"], "CcAddresses": [] },
            "RawMessage": { "Data": "hi" }, "Limit": 5, "Nothing": null,
        };
        let mut fields = Vec::new();
        flatten("", &Bson::Document(input), &mut fields).expect("sendable");
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            fields,
            [
                ("Source", "a@b"),
                ("Destination.ToAddresses.member.1", "x"),
                ("Destination.ToAddresses.member.2", "y"),
                ("Destination.CcAddresses", ""),
                ("RawMessage.Data", "aGk="),
                ("Limit", "5"),
            ]
        );
    }
}
