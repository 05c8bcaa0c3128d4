//! Amazon S3: a table of actions over its REST interface.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::{Bson, DateTime, Document};
use bytes::Bytes;
use http::Method;
use http::header::HeaderMap;
use md5::{Digest, Md5};
use url::Url;

use super::{Call, blob, insert, integer, required, scalar_text, sign, xml};
use crate::ServiceError;
use crate::http::HttpAnswer;

/// How one action maps to a request.
struct Operation {
    name: &'static str,
    method: Method,
    scope: Level,
    /// Parameters with fixed values, such as `list-type=2`.
    fixed: &'static [(&'static str, &'static str)],
    /// Fields that become query parameters.
    query: &'static [(&'static str, &'static str)],
    sends: Sends,
    gives: Gives,
}

/// What the path names.
#[derive(PartialEq, Eq)]
enum Level {
    Account,
    Bucket,
    Object,
}

enum Sends {
    Nothing,
    /// `Body`.
    Blob,
    /// `Delete: {Objects, Quiet}` as XML.
    Deletion,
}

enum Gives {
    Headers,
    /// `Body` beside the headers.
    Blob,
    Xml,
}

const LISTING: &[(&str, &str)] = &[
    ("Delimiter", "delimiter"),
    ("EncodingType", "encoding-type"),
    ("Marker", "marker"),
    ("MaxKeys", "max-keys"),
    ("Prefix", "prefix"),
    ("ContinuationToken", "continuation-token"),
    ("FetchOwner", "fetch-owner"),
    ("StartAfter", "start-after"),
];
const VERSIONED: &[(&str, &str)] = &[
    ("VersionId", "versionId"),
    ("ResponseCacheControl", "response-cache-control"),
    ("ResponseContentDisposition", "response-content-disposition"),
    ("ResponseContentEncoding", "response-content-encoding"),
    ("ResponseContentLanguage", "response-content-language"),
    ("ResponseContentType", "response-content-type"),
    ("ResponseExpires", "response-expires"),
];

fn operation(action: &str) -> Option<Operation> {
    let base = |name, method, scope| Operation {
        name,
        method,
        scope,
        fixed: &[],
        query: &[],
        sends: Sends::Nothing,
        gives: Gives::Headers,
    };
    use Level::{Account, Bucket, Object};
    Some(match action {
        "PutObject" => Operation { sends: Sends::Blob, ..base("PutObject", Method::PUT, Object) },
        "GetObject" => Operation { query: VERSIONED, gives: Gives::Blob, ..base("GetObject", Method::GET, Object) },
        "HeadObject" => Operation { query: VERSIONED, ..base("HeadObject", Method::HEAD, Object) },
        "DeleteObject" => Operation { query: VERSIONED, ..base("DeleteObject", Method::DELETE, Object) },
        "CopyObject" => Operation { gives: Gives::Xml, ..base("CopyObject", Method::PUT, Object) },
        "PutObjectAcl" => Operation { fixed: &[("acl", "")], ..base("PutObjectAcl", Method::PUT, Object) },
        "GetObjectAcl" => {
            Operation { fixed: &[("acl", "")], gives: Gives::Xml, ..base("GetObjectAcl", Method::GET, Object) }
        }
        "ListObjects" => Operation { query: LISTING, gives: Gives::Xml, ..base("ListObjects", Method::GET, Bucket) },
        "ListObjectsV2" => Operation {
            fixed: &[("list-type", "2")],
            query: LISTING,
            gives: Gives::Xml,
            ..base("ListObjectsV2", Method::GET, Bucket)
        },
        "DeleteObjects" => Operation {
            fixed: &[("delete", "")],
            sends: Sends::Deletion,
            gives: Gives::Xml,
            ..base("DeleteObjects", Method::POST, Bucket)
        },
        "HeadBucket" => base("HeadBucket", Method::HEAD, Bucket),
        "CreateBucket" => base("CreateBucket", Method::PUT, Bucket),
        "DeleteBucket" => base("DeleteBucket", Method::DELETE, Bucket),
        "ListBuckets" => Operation { gives: Gives::Xml, ..base("ListBuckets", Method::GET, Account) },
        _ => return None,
    })
}

/// Fields of every input that are sent as headers.
const SENT_HEADERS: [(&str, &str); 28] = [
    ("ACL", "x-amz-acl"),
    ("CacheControl", "cache-control"),
    ("ContentDisposition", "content-disposition"),
    ("ContentEncoding", "content-encoding"),
    ("ContentLanguage", "content-language"),
    ("ContentMD5", "content-md5"),
    ("ContentType", "content-type"),
    ("CopySource", "x-amz-copy-source"),
    ("CopySourceIfMatch", "x-amz-copy-source-if-match"),
    ("CopySourceIfNoneMatch", "x-amz-copy-source-if-none-match"),
    ("Expires", "expires"),
    ("GrantFullControl", "x-amz-grant-full-control"),
    ("GrantRead", "x-amz-grant-read"),
    ("GrantReadACP", "x-amz-grant-read-acp"),
    ("GrantWriteACP", "x-amz-grant-write-acp"),
    ("IfMatch", "if-match"),
    ("IfModifiedSince", "if-modified-since"),
    ("IfNoneMatch", "if-none-match"),
    ("IfUnmodifiedSince", "if-unmodified-since"),
    ("MetadataDirective", "x-amz-metadata-directive"),
    ("Range", "range"),
    ("RequestPayer", "x-amz-request-payer"),
    ("SSEKMSKeyId", "x-amz-server-side-encryption-aws-kms-key-id"),
    ("ServerSideEncryption", "x-amz-server-side-encryption"),
    ("StorageClass", "x-amz-storage-class"),
    ("Tagging", "x-amz-tagging"),
    ("TaggingDirective", "x-amz-tagging-directive"),
    ("WebsiteRedirectLocation", "x-amz-website-redirect-location"),
];

/// Headers of answers, and the fields they become.
const RECEIVED_HEADERS: [(&str, &str); 17] = [
    ("accept-ranges", "AcceptRanges"),
    ("cache-control", "CacheControl"),
    ("content-disposition", "ContentDisposition"),
    ("content-encoding", "ContentEncoding"),
    ("content-language", "ContentLanguage"),
    ("content-range", "ContentRange"),
    ("content-type", "ContentType"),
    ("etag", "ETag"),
    ("expires", "Expires"),
    ("x-amz-bucket-region", "BucketRegion"),
    ("x-amz-expiration", "Expiration"),
    ("x-amz-request-charged", "RequestCharged"),
    ("x-amz-server-side-encryption", "ServerSideEncryption"),
    ("x-amz-server-side-encryption-aws-kms-key-id", "SSEKMSKeyId"),
    ("x-amz-storage-class", "StorageClass"),
    ("x-amz-version-id", "VersionId"),
    ("x-amz-copy-source-version-id", "CopySourceVersionId"),
];

/// Longest life of a presigned URL that AWS takes.
const PRESIGNED_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Calls an action; `None` when it is not in the table.
pub(super) async fn call(call: Call<'_>) -> Result<Option<Document>, ServiceError> {
    if call.action == "PresignURL" {
        return presign(&call).map(Some);
    }
    let Some(operation) = operation(call.action) else { return Ok(None) };
    let (url, headers, body) = request(&operation, &call)?;
    let answer = call.send(operation.method.clone(), url, headers, body, failure).await?;
    let has_length = matches!(operation.name, "GetObject" | "HeadObject");
    let mut output = received(&answer, has_length);
    match operation.gives {
        Gives::Headers => {}
        Gives::Blob => {
            output.insert("Body", super::binary(answer.body()));
        }
        Gives::Xml => {
            let text = String::from_utf8_lossy(answer.body());
            let parsed = roxmltree::Document::parse(&text)
                .map_err(|_| ServiceError::Aws { text: "SerializationError: the answer is not XML".to_owned() })?;
            let fields = xml::document(parsed.root_element());
            match operation.name {
                "CopyObject" => drop(output.insert("CopyObjectResult", fields)),
                _ => output.extend(fields),
            }
        }
    }
    Ok(Some(output))
}

fn request(operation: &Operation, call: &Call<'_>) -> Result<(Url, HeaderMap, Bytes), ServiceError> {
    let input = &call.input;
    let mut url = match operation.scope {
        Level::Account => call.base()?,
        Level::Bucket => target(call, required(input, "Bucket")?, "")?,
        Level::Object => target(call, required(input, "Bucket")?, required(input, "Key")?)?,
    };
    let mut pairs: Vec<(String, String)> =
        operation.fixed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for (field, parameter) in operation.query {
        if let Some(value) = text_field(input, field)? {
            pairs.push(((*parameter).to_owned(), value));
        }
    }
    if !pairs.is_empty() {
        url.set_query(Some(&sign::query(&pairs)));
    }
    let mut headers = HeaderMap::new();
    for (field, name) in SENT_HEADERS {
        if let Some(value) = text_field(input, field)? {
            let is_date = field.starts_with("If") && field.ends_with("Since") || field == "Expires";
            let value = match input.get(field) {
                Some(Bson::DateTime(date)) if is_date => http_date(*date),
                _ => value,
            };
            insert(&mut headers, name, &value)?;
        }
    }
    if let Some(Bson::Document(metadata)) = input.get("Metadata") {
        for (name, value) in metadata {
            let value = scalar_text(value)
                .ok_or_else(|| ServiceError::invalid("aws: 'Metadata' must be an object of strings"))?;
            insert(&mut headers, &format!("x-amz-meta-{}", name.to_ascii_lowercase()), &value)?;
        }
    }
    let body = match operation.sends {
        Sends::Nothing => Bytes::new(),
        Sends::Blob => blob(input, "Body")?,
        Sends::Deletion => {
            let body = deletion(input)?;
            insert(&mut headers, "content-md5", &STANDARD.encode(Md5::digest(&body)))?;
            insert(&mut headers, "content-type", "application/xml")?;
            body.into()
        }
    };
    Ok((url, headers, body))
}

fn text_field(input: &Document, field: &str) -> Result<Option<String>, ServiceError> {
    match input.get(field) {
        None | Some(Bson::Null | Bson::Undefined) => Ok(None),
        Some(value) => scalar_text(value)
            .map(Some)
            .ok_or_else(|| ServiceError::invalid(format!("aws: '{field}' must be a string, number or boolean"))),
    }
}

/// URL of a bucket or object: the bucket in the host's name where that is possible, else in the path.
fn target(call: &Call<'_>, bucket: &str, key: &str) -> Result<Url, ServiceError> {
    let is_bucket = (3..=63).contains(&bucket.len())
        && bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        && !bucket.contains("..")
        && !bucket.starts_with('.');
    if !is_bucket {
        return Err(ServiceError::invalid(format!("aws: {bucket:?} is no bucket name")));
    }
    let base = call.base()?;
    let is_label = bucket.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && bucket.bytes().next().is_some_and(|byte| byte != b'-');
    let (mut url, path) = if call.base.is_none() && is_label {
        let host = format!("{bucket}.{}", base.host_str().unwrap_or_default());
        (super::parse_url(&format!("https://{host}/"))?, format!("/{}", sign::encode_path(key)))
    } else {
        let prefix = base.path().trim_end_matches('/').to_owned();
        let path = match key {
            "" => format!("{prefix}/{bucket}"),
            key => format!("{prefix}/{bucket}/{}", sign::encode_path(key)),
        };
        (base, path)
    };
    url.set_path(&path);
    // A URL has no way to say such a path: its dots would lead to another object, past the rule that allowed this one.
    if url.path() != path {
        return Err(ServiceError::invalid("aws: 'Key' must not have '.' or '..' as a segment"));
    }
    Ok(url)
}

/// URL of the object that `Bucket` and `Key` name.
pub(super) fn location(call: &Call<'_>) -> Result<String, ServiceError> {
    Ok(target(call, required(&call.input, "Bucket")?, required(&call.input, "Key")?)?.to_string())
}

fn presign(call: &Call<'_>) -> Result<Document, ServiceError> {
    let input = &call.input;
    let url = target(call, required(input, "Bucket")?, required(input, "Key")?)?;
    let method = text_field(input, "Method")?.unwrap_or_else(|| "GET".to_owned()).to_ascii_uppercase();
    if !matches!(method.as_str(), "GET" | "PUT" | "HEAD" | "DELETE" | "POST") {
        return Err(ServiceError::invalid("aws: 'Method' must be GET, PUT, HEAD, POST or DELETE"));
    }
    let milliseconds = match text_field(input, "ExpirationMS")? {
        None => 900_000.0,
        Some(text) => text.parse::<f64>().unwrap_or(0.0),
    };
    if !(1_000.0..=PRESIGNED_MAX.as_millis() as f64).contains(&milliseconds) {
        return Err(ServiceError::invalid("aws: 'ExpirationMS' must be from 1000 to 604800000"));
    }
    let expires = Duration::from_millis(milliseconds as u64);
    let url = call.scope().presigned(call.credentials, &method, &url, expires);
    Ok(bson::doc! { "url": url.as_str() })
}

/// `<Delete>` with the objects of `Delete`.
fn deletion(input: &Document) -> Result<String, ServiceError> {
    let malformed = || ServiceError::invalid("aws: 'Delete' must be an object with 'Objects', a list of {Key}");
    let delete = input.get_document("Delete").map_err(|_| malformed())?;
    let objects = delete.get_array("Objects").map_err(|_| malformed())?;
    let mut body = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">".to_owned();
    for object in objects {
        let object = object.as_document().ok_or_else(malformed)?;
        body.push_str(&format!("<Object><Key>{}</Key>", escape(required(object, "Key")?)));
        if let Some(version) = text_field(object, "VersionId")? {
            body.push_str(&format!("<VersionId>{}</VersionId>", escape(&version)));
        }
        body.push_str("</Object>");
    }
    if delete.get_bool("Quiet").unwrap_or(false) {
        body.push_str("<Quiet>true</Quiet>");
    }
    body.push_str("</Delete>");
    Ok(body)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn http_date(date: DateTime) -> String {
    let time: SystemTime = date.to_system_time();
    httpdate::fmt_http_date(time)
}

/// Fields that an answer's headers hold.
fn received(answer: &HttpAnswer, has_length: bool) -> Document {
    let mut output = Document::new();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    for (name, field) in RECEIVED_HEADERS {
        if let Some(value) = answer.headers().get(name) {
            output.insert(field, text(value));
        }
    }
    if let Some(value) = answer.headers().get("last-modified").map(text) {
        let date = httpdate::parse_http_date(&value).ok().map(|time| Bson::DateTime(DateTime::from_system_time(time)));
        output.insert("LastModified", date.unwrap_or(Bson::String(value)));
    }
    let length = answer.headers().get("content-length").filter(|_| has_length);
    if let Some(length) = length.and_then(|value| text(value).parse().ok()) {
        output.insert("ContentLength", integer(length));
    }
    for (name, field) in [("x-amz-delete-marker", "DeleteMarker")] {
        if let Some(value) = answer.headers().get(name) {
            output.insert(field, value.as_bytes() == b"true");
        }
    }
    let mut metadata = Document::new();
    for (name, value) in answer.headers() {
        if let Some(name) = name.as_str().strip_prefix("x-amz-meta-") {
            metadata.insert(capitalised(name), text(value));
        }
    }
    if !metadata.is_empty() {
        output.insert("Metadata", metadata);
    }
    output
}

/// `color-name` as `Color-Name`, as the SDK shows names of metadata.
fn capitalised(name: &str) -> String {
    let parts = name.split('-').map(|part| {
        let mut characters = part.chars();
        characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
    });
    parts.collect::<Vec<_>>().join("-")
}

/// Code and message of an error answer.
fn failure(body: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(body).ok()?;
    let parsed = roxmltree::Document::parse(text).ok()?;
    let part = |tag: &str| {
        let node = parsed.descendants().find(|node| node.tag_name().name() == tag)?;
        Some(node.text().unwrap_or_default().to_owned())
    };
    Some((part("Code")?, part("Message").unwrap_or_default()))
}
