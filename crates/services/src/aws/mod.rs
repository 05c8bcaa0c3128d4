//! Services of type aws (function-environment 6.2), and the older types aws-s3 and aws-ses.
//!
//! An action is `<service>:<Action>`, such as `s3:PutObject`; its arguments are `{region, input}`, `input` with the field
//! names of the AWS API, and its answer is the output with the same names. Which actions there are depends on what can be
//! said without the service's model: [`s3`] has a table of its own, [`query`] and [`json`] serve every action of services
//! that take flat fields or JSON. The older types have the actions `put` and `signPolicy`, and `send`.

mod json;
mod legacy;
mod query;
mod s3;
mod sign;
mod xml;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use bson::raw::RawDocumentBuf;
use bson::{Binary, Bson, Document};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use url::Url;

use crate::action_rules::ActionRules;
use crate::arguments::Arguments;
use crate::error::Reply;
use crate::http::{HttpAnswer, HttpClient, OutboundRequest, RunShare};
use crate::run_context::RulesUsers;
use crate::{Authority, ServiceError};
use sign::{Credentials, Scope};

/// Where AWS is reached. By default `https://<service>.<region>.amazonaws.com`.
#[derive(Debug, Clone, Default)]
pub struct AwsEndpoints {
    /// Base URL of every service without one of its own.
    pub default: Option<Url>,
    /// Base URLs by service name, such as `s3`.
    pub by_service: BTreeMap<String, Url>,
}

/// Which set of actions a service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AwsKind {
    /// `aws`: `<service>:<Action>`.
    Aws,
    /// `aws-s3`: `put`, `signPolicy`.
    S3,
    /// `aws-ses`: `send`.
    Ses,
}

/// A service of type aws, aws-s3 or aws-ses.
#[derive(Debug, Clone)]
pub struct AwsService {
    client: HttpClient,
    kind: AwsKind,
    /// Or what is missing of them.
    credentials: Result<Credentials, String>,
    region: Option<String>,
    endpoints: Arc<AwsEndpoints>,
    rules: ActionRules,
}

/// Where a service of AWS is, and how it is spoken to.
struct Api {
    /// First part of the host's name.
    host: &'static str,
    /// Name in signatures.
    signing: &'static str,
    protocol: Protocol,
}

enum Protocol {
    S3,
    /// Flat fields out, XML back.
    Query {
        version: &'static str,
    },
    /// JSON both ways, the action in `X-Amz-Target`.
    Json {
        prefix: &'static str,
        version: &'static str,
    },
    Lambda,
    Polly,
}

/// The services whose actions can be called without a model.
fn api(service: &str) -> Option<Api> {
    let same = |name: &'static str, protocol| Api { host: name, signing: name, protocol };
    let json = |name, prefix, version| same(name, Protocol::Json { prefix, version });
    Some(match service {
        "s3" => same("s3", Protocol::S3),
        "ses" => Api { host: "email", signing: "ses", protocol: Protocol::Query { version: "2010-12-01" } },
        "sns" => same("sns", Protocol::Query { version: "2010-03-31" }),
        "cloudwatch" => {
            Api { host: "monitoring", signing: "monitoring", protocol: Protocol::Query { version: "2010-08-01" } }
        }
        "sqs" => json("sqs", "AmazonSQS", "1.0"),
        "kinesis" => json("kinesis", "Kinesis_20131202", "1.1"),
        "firehose" => json("firehose", "Firehose_20150804", "1.1"),
        "athena" => json("athena", "AmazonAthena", "1.1"),
        "comprehend" => json("comprehend", "Comprehend_20171127", "1.1"),
        "machinelearning" => json("machinelearning", "AmazonML_20141212", "1.1"),
        "rekognition" => json("rekognition", "RekognitionService", "1.1"),
        "textract" => json("textract", "Textract", "1.1"),
        "sfn" => Api {
            host: "states",
            signing: "states",
            protocol: Protocol::Json { prefix: "AWSStepFunctions", version: "1.0" },
        },
        "lambda" => same("lambda", Protocol::Lambda),
        "polly" => same("polly", Protocol::Polly),
        _ => return None,
    })
}

/// What a service's configuration gives.
#[derive(Debug, Default)]
pub struct AwsConfig {
    /// `config.accessKeyId`
    pub access_key_id: Option<String>,
    /// Text of the Secret that `secret_config.secretAccessKey` names.
    pub secret_access_key: Option<String>,
    /// `config.region`
    pub region: Option<String>,
}

impl AwsService {
    /// A service as configured. Without its credentials every call fails and says what is missing.
    pub fn new(
        client: HttpClient,
        kind: AwsKind,
        config: AwsConfig,
        endpoints: Arc<AwsEndpoints>,
        rules: ActionRules,
    ) -> Self {
        let credentials = match (config.access_key_id, config.secret_access_key) {
            (Some(access_key_id), Some(secret_access_key)) => Ok(Credentials { access_key_id, secret_access_key }),
            (None, _) => Err("its config has no accessKeyId".to_owned()),
            (_, None) => Err("the Secret behind its secretAccessKey has no text".to_owned()),
        };
        Self { client, kind, credentials, region: config.region, endpoints, rules }
    }
}

/// One call: the service of AWS, where it is, and with what it is signed.
struct Call<'a> {
    client: &'a HttpClient,
    share: &'a RunShare,
    credentials: &'a Credentials,
    api: Api,
    region: String,
    action: &'a str,
    /// Overrides the host, with path-style addressing.
    base: Option<&'a Url>,
    input: Document,
}

/// Calls an action.
pub(crate) async fn call(
    service: &AwsService,
    share: &RunShare,
    users: &RulesUsers,
    name: &str,
    action: &str,
    arguments: Arguments<'_>,
    authority: &Authority,
) -> Reply {
    let unknown = || ServiceError::UnknownAction { service: name.to_owned(), action: action.to_owned() };
    let input = arguments.optional_document("input")?.unwrap_or_default();
    service.rules.check(name, action, &Bson::Document(input.clone()), users, authority).await?;
    let (aws_service, aws_action) = match service.kind {
        AwsKind::Aws => action.split_once(':').ok_or_else(unknown)?,
        AwsKind::S3 => ("s3", action),
        AwsKind::Ses => ("ses", action),
    };
    let api = api(aws_service).ok_or_else(unknown)?;
    let credentials = service
        .credentials
        .as_ref()
        .map_err(|reason| ServiceError::NotConfigured { service: name.to_owned(), reason: reason.clone() })?;
    let region = arguments.optional_text("region")?.or(service.region.as_deref()).unwrap_or("us-east-1");
    // The region becomes part of a host name.
    if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(ServiceError::invalid(format!("aws: {region:?} is no region")));
    }
    let base = service.endpoints.by_service.get(aws_service).or(service.endpoints.default.as_ref());
    let call = Call {
        client: &service.client,
        share,
        credentials,
        api,
        region: region.to_owned(),
        action: aws_action,
        base,
        input,
    };
    let output = match (service.kind, &call.api.protocol) {
        (AwsKind::S3, _) if action == "put" => legacy::put(call).await?,
        (AwsKind::S3, _) if action == "signPolicy" => legacy::sign_policy(call)?,
        (AwsKind::Ses, _) if action == "send" => legacy::send(call).await?,
        (AwsKind::S3 | AwsKind::Ses, _) => return Err(unknown()),
        (AwsKind::Aws, Protocol::S3) => s3::call(call).await?.ok_or_else(unknown)?,
        (AwsKind::Aws, Protocol::Query { version }) => query::call(version, &call).await?,
        (AwsKind::Aws, Protocol::Json { prefix, version }) => json::call(prefix, version, &call).await?,
        (AwsKind::Aws, Protocol::Lambda) => json::invoke_lambda(&call).await?.ok_or_else(unknown)?,
        (AwsKind::Aws, Protocol::Polly) => json::synthesize_speech(&call).await?.ok_or_else(unknown)?,
    };
    Ok(RawDocumentBuf::try_from(&output)?)
}

impl Call<'_> {
    /// Base URL without a path.
    fn base(&self) -> Result<Url, ServiceError> {
        match self.base {
            Some(base) => Ok(base.clone()),
            None => parse_url(&format!("https://{}.{}.amazonaws.com/", self.api.host, self.region)),
        }
    }

    fn scope(&self) -> Scope<'_> {
        Scope { time: SystemTime::now(), region: &self.region, service: self.api.signing }
    }

    /// Signs and sends. An answer of 300 and above is an error, read by `failure`.
    async fn send(
        &self,
        method: Method,
        url: Url,
        mut headers: HeaderMap,
        body: Bytes,
        failure: fn(&[u8]) -> Option<(String, String)>,
    ) -> Result<HttpAnswer, ServiceError> {
        let scope = self.scope();
        let body_hash = sign::sha256_hex(&body);
        insert(&mut headers, "x-amz-date", &scope.timestamp())?;
        if self.api.signing == "s3" {
            insert(&mut headers, "x-amz-content-sha256", &body_hash)?;
        }
        let authorization = scope.authorization(self.credentials, method.as_str(), &url, &headers, &body_hash);
        let mut value = HeaderValue::from_str(&authorization)
            .map_err(|_| ServiceError::invalid("aws: accessKeyId cannot be sent in a header"))?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
        // Not signed: answers are wanted as they are stored.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let request = OutboundRequest::new(method, url, headers, body);
        let answer = match self.client.send(&request, self.share).await {
            Err(ServiceError::Http { text }) => Err(ServiceError::Aws { text: format!("RequestError: {text}") }),
            other => other,
        }?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let (code, message) = failure(answer.body()).unwrap_or_else(|| default_failure(status));
        Err(ServiceError::Aws { text: format!("{code}: {message} (status code: {})", status.as_u16()) })
    }
}

/// For answers without a body, such as those to HEAD.
fn default_failure(status: StatusCode) -> (String, String) {
    let reason = status.canonical_reason().unwrap_or("Unknown");
    (reason.replace(' ', ""), reason.to_owned())
}

fn parse_url(text: &str) -> Result<Url, ServiceError> {
    Url::parse(text).map_err(|_| ServiceError::invalid(format!("aws: {text:?} is no URL")))
}

/// Sets a header whose value comes from the caller.
fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), ServiceError> {
    let invalid = || ServiceError::invalid(format!("aws: header {name:?} cannot be sent"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
    headers.insert(name, HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| invalid())?);
    Ok(())
}

/// A field that has to be a filled text.
fn required<'a>(input: &'a Document, field: &str) -> Result<&'a str, ServiceError> {
    match input.get(field) {
        Some(Bson::String(text)) if !text.is_empty() => Ok(text),
        Some(Bson::String(_) | Bson::Null | Bson::Undefined) | None => {
            Err(ServiceError::invalid(format!("aws: missing required field, {field}")))
        }
        Some(_) => Err(ServiceError::invalid(format!("aws: '{field}' must be a string"))),
    }
}

/// Text or Binary as bytes.
fn blob(input: &Document, field: &str) -> Result<Bytes, ServiceError> {
    match input.get(field) {
        None | Some(Bson::Null | Bson::Undefined) => Ok(Bytes::new()),
        Some(Bson::String(text)) => Ok(Bytes::copy_from_slice(text.as_bytes())),
        Some(Bson::Binary(binary)) => Ok(Bytes::copy_from_slice(&binary.bytes)),
        Some(_) => Err(ServiceError::invalid(format!("aws: '{field}' must be a string or Binary"))),
    }
}

fn binary(bytes: &[u8]) -> Bson {
    Bson::Binary(Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: bytes.to_vec() })
}

fn integer(number: i64) -> Bson {
    i32::try_from(number).map_or(Bson::Int64(number), Bson::Int32)
}

/// A scalar as it stands in headers, queries and forms; `None` for documents, arrays and what has no text.
fn scalar_text(value: &Bson) -> Option<String> {
    Some(match value {
        Bson::String(text) => text.clone(),
        Bson::Int32(number) => number.to_string(),
        Bson::Int64(number) => number.to_string(),
        Bson::Double(number) => number.to_string(),
        Bson::Boolean(flag) => flag.to_string(),
        Bson::ObjectId(id) => id.to_hex(),
        Bson::DateTime(date) => date.try_to_rfc3339_string().ok()?,
        _ => return None,
    })
}
