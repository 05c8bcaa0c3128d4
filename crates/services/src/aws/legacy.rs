//! The actions of the older types aws-s3 and aws-ses, in terms of the newer ones.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::{Bson, Document, doc};
use serde_json::json;

use super::{Call, query, required, s3, sign};
use crate::ServiceError;

/// `put({bucket, key, acl, contentType, body})` → `{location}`.
pub(super) async fn put(mut call: Call<'_>) -> Result<Document, ServiceError> {
    let mut input = Document::new();
    for (old, new) in
        [("bucket", "Bucket"), ("key", "Key"), ("acl", "ACL"), ("contentType", "ContentType"), ("body", "Body")]
    {
        if let Some(value) = call.input.get(old) {
            input.insert(new, value.clone());
        }
    }
    call.action = "PutObject";
    call.input = input;
    let location = s3::location(&call)?;
    s3::call(call).await?;
    Ok(doc! { "location": location })
}

/// How long a signed policy lets its holder upload.
const POLICY_LIFE: Duration = Duration::from_secs(300);

/// `signPolicy({bucket, key, acl, contentType})` → `{policy, signature, credential, algorithm, date}`.
pub(super) fn sign_policy(call: Call<'_>) -> Result<Document, ServiceError> {
    let scope = call.scope();
    let credential = scope.credential(call.credentials);
    let date = scope.timestamp();
    let mut conditions = vec![
        json!({ "bucket": required(&call.input, "bucket")? }),
        json!({ "key": required(&call.input, "key")? }),
        json!({ "x-amz-algorithm": "AWS4-HMAC-SHA256" }),
        json!({ "x-amz-credential": credential }),
        json!({ "x-amz-date": date }),
    ];
    for (field, name) in [("acl", "acl"), ("contentType", "Content-Type")] {
        if let Some(Bson::String(text)) = call.input.get(field) {
            conditions.push(json!({ name: text }));
        }
    }
    let expiration = sign::iso_time(scope.time + POLICY_LIFE);
    let policy = STANDARD.encode(json!({ "expiration": expiration, "conditions": conditions }).to_string());
    let signature = scope.sign(call.credentials, &policy);
    Ok(doc! {
        "policy": policy, "signature": signature, "credential": credential, "algorithm": "AWS4-HMAC-SHA256", "date": date,
    })
}

/// `send({toAddress, fromAddress, subject, body})` → `{messageId}`.
pub(super) async fn send(mut call: Call<'_>) -> Result<Document, ServiceError> {
    let text = |field: &str| required(&call.input, field).map(str::to_owned);
    let input = doc! {
        "Source": text("fromAddress")?,
        "Destination": { "ToAddresses": [text("toAddress")?] },
        "Message": {
            "Subject": { "Data": text("subject")?, "Charset": "UTF-8" },
            "Body": { "Text": { "Data": text("body")?, "Charset": "UTF-8" } },
        },
    };
    call.action = "SendEmail";
    call.input = input;
    let output = query::call("2010-12-01", &call).await?;
    Ok(doc! { "messageId": output.get_str("MessageId").unwrap_or_default() })
}
