//! Who asks, and what an app function is run with on their behalf.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use app_model::{CallFunction, FunctionCall, FunctionFailure};
use bson::{Bson, Document};

/// What surrounds one request for authentication.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// Where the request came from; failed attempts are counted by it. `None` for the operator, whom nothing is counted
    /// for.
    pub address: Option<IpAddr>,
    /// Runs the app's authentication, confirmation, reset and user creation functions. They run as the system user
    /// (rules-and-users 3.2), whoever asked.
    pub functions: &'a dyn CallFunction,
}

impl Caller<'static> {
    /// The operator on the command line: nothing is throttled, and app functions cannot run.
    pub fn operator() -> Self {
        Self { address: None, functions: &NoFunctions }
    }
}

/// Where no app functions can run.
#[derive(Debug, Clone, Copy)]
pub struct NoFunctions;

impl CallFunction for NoFunctions {
    fn call_function<'a>(
        &'a self,
        call: FunctionCall,
    ) -> Pin<Box<dyn Future<Output = Result<Bson, FunctionFailure>> + Send + 'a>> {
        let message = format!("the function '{}' cannot be run here", call.name);
        Box::pin(async move { Err(FunctionFailure { message }) })
    }
}

/// What a client says of the device it runs on (`options.device` of a login, rules-and-users 4.9). Every field is the
/// client's word and bounded in length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// 24 hex digits that an earlier login gave it.
    pub id: Option<String>,
    /// The client's own `appId`.
    pub app_id: Option<String>,
    /// The client's own `appVersion`.
    pub app_version: Option<String>,
    /// For example `chrome`.
    pub platform: Option<String>,
    /// Version of the platform.
    pub platform_version: Option<String>,
    /// Version of the SDK.
    pub sdk_version: Option<String>,
}

/// Longer texts of a device are cut.
const DEVICE_TEXT_CHARACTERS_MAX: usize = 256;

impl Device {
    /// Reads the body of a login. What is missing or of another type is left out.
    pub fn from_login(body: &Document) -> Self {
        let device = body.get_document("options").ok().and_then(|options| options.get_document("device").ok());
        device.map(Self::from_document).unwrap_or_default()
    }

    pub(crate) fn from_document(device: &Document) -> Self {
        let text = |name: &str| {
            device
                .get_str(name)
                .ok()
                .filter(|text| !text.is_empty())
                .map(|text| text.chars().take(DEVICE_TEXT_CHARACTERS_MAX).collect::<String>())
        };
        Self {
            // The web SDK sends it as an ObjectId, others as text.
            id: device
                .get_object_id("deviceId")
                .map(|id| id.to_hex())
                .ok()
                .or_else(|| text("deviceId").filter(|id| bson::oid::ObjectId::parse_str(id).is_ok()))
                .filter(|id| !is_zero(id)),
            app_id: text("appId"),
            app_version: text("appVersion"),
            platform: text("platform"),
            platform_version: text("platformVersion"),
            sdk_version: text("sdkVersion"),
        }
    }

    pub(crate) fn to_document(&self, id: &str) -> Document {
        let mut document = bson::doc! { "deviceId": id };
        let fields = [
            ("appId", &self.app_id),
            ("appVersion", &self.app_version),
            ("platform", &self.platform),
            ("platformVersion", &self.platform_version),
            ("sdkVersion", &self.sdk_version),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                document.insert(name, value);
            }
        }
        document
    }
}

/// Older clients send zeros for "none yet".
fn is_zero(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn devices_are_read_with_care() {
        let read = |device: Bson| Device::from_login(&doc! { "options": { "device": device } });
        assert_eq!(Device::from_login(&doc! {}), Device::default());
        assert_eq!(Device::from_login(&doc! { "options": 1 }), Device::default());
        assert_eq!(read(Bson::Null), Device::default());
        let long = "x".repeat(1000);
        let device = read(Bson::Document(
            doc! { "deviceId": "5f6aae9a82989d521a606369", "platform": &long, "sdkVersion": { "$gt": "" } },
        ));
        assert_eq!(device.id.as_deref(), Some("5f6aae9a82989d521a606369"));
        assert_eq!(device.platform.map(|text| text.len()), Some(256));
        assert_eq!(device.sdk_version, None);
        let id = bson::oid::ObjectId::parse_str("5f6aae9a82989d521a606369").unwrap();
        assert_eq!(read(Bson::Document(doc! { "deviceId": id })).id.as_deref(), Some("5f6aae9a82989d521a606369"));
        for id in ["000000000000000000000000", "x", ""] {
            assert_eq!(read(Bson::Document(doc! { "deviceId": id })).id, None, "{id}");
        }
    }
}
