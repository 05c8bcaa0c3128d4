//! Authentication providers and custom user data: `auth/`, and `auth_providers/` and the root file of v1
//! (http-surface 1.9, 1.10).

use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::fields::{Fields, Mistyped};
use super::files::{Kind, join};
use super::functions::below;
use super::problems::{Problems, quoted};
use super::root::Root;
use super::{Config, Loader, json};
use crate::{AuthProvider, CustomUserData, Service};

pub(super) const PROVIDERS: &str = "auth/providers.json";
const OLD_DIRECTORY: &str = "auth_providers";
pub(super) const CUSTOM_USER_DATA: &str = "auth/custom_user_data.json";

const KINDS: [&str; 8] = [
    "anon-user",
    "local-userpass",
    "api-key",
    "custom-token",
    "custom-function",
    "oauth2-google",
    "oauth2-facebook",
    "oauth2-apple",
];

/// All providers, in file order.
pub(super) fn load_providers(loader: &mut Loader) -> Vec<AuthProvider> {
    let mut providers: Vec<AuthProvider> = Vec::new();
    match loader.read_config(PROVIDERS) {
        Config::Absent | Config::Broken => {}
        Config::Read { json: Json::Object(object), failures } => {
            let fields = Fields::new(PROVIDERS, &object);
            for name in object.keys() {
                let Ok(Some(object)) = fields.object(name, &mut loader.problems) else { continue };
                let mut inner = Fields::new(PROVIDERS, object);
                inner.path = name.clone();
                let failed = failures.iter().any(|failure| below(&failure.field, name));
                let provider = read_provider(&inner, name, failed, &mut loader.problems);
                add(&mut providers, provider, &mut loader.problems);
            }
        }
        Config::Read { json: other, .. } => {
            let found = json::type_name(&other);
            loader.problems.error(
                PROVIDERS,
                "",
                format!(
                    "holds {found} where the providers are an object: write an object with a member for each provider"
                ),
            );
        }
    }
    for entry in loader.list(OLD_DIRECTORY) {
        let Some(stem) = entry.name.strip_suffix(".json").filter(|stem| !stem.is_empty() && !stem.starts_with('.'))
        else {
            continue;
        };
        if entry.kind != Kind::File {
            continue;
        }
        let file = join(OLD_DIRECTORY, &entry.name);
        let Some((object, failures)) = loader.read_object(&file, "a provider") else { continue };
        let provider = read_provider(&Fields::new(&file, &object), stem, !failures.is_empty(), &mut loader.problems);
        add(&mut providers, provider, &mut loader.problems);
    }
    providers
}

fn add(providers: &mut Vec<AuthProvider>, provider: AuthProvider, problems: &mut Problems) {
    match providers.iter().find(|other| other.kind == provider.kind) {
        None => providers.push(provider),
        Some(first) => {
            let file = provider.file.to_string_lossy().into_owned();
            problems.error(
                &file,
                "type",
                format!(
                    "the provider {} is defined twice, here and in {}, which counts: remove one of them",
                    quoted(&provider.kind),
                    first.file.display()
                ),
            );
        }
    }
}

/// A provider that cannot be read as a whole authenticates nobody.
fn read_provider(fields: &Fields<'_>, key: &str, failed: bool, problems: &mut Problems) -> AuthProvider {
    let mut provider = AuthProvider {
        kind: key.to_owned(),
        file: PathBuf::from(fields.file),
        disabled: true,
        config: Map::new(),
        secret_config: Map::new(),
        metadata_fields: Vec::new(),
        redirect_uris: Vec::new(),
        domain_restrictions: Vec::new(),
    };
    let name = fields.filled_text("name", problems);
    let kind = fields.filled_text("type", problems);
    if let Some(kind) = kind.ok().flatten().or(name.ok().flatten()) {
        provider.kind = kind.to_owned();
    }
    if let (Ok(Some(name)), Ok(Some(kind))) = (name, kind)
        && name != kind
    {
        fields.warning(
            "name",
            format!("{} differs from the type {}, and the type counts: make them equal", quoted(name), quoted(kind)),
            problems,
        );
    }
    if !KINDS.contains(&provider.kind.as_str()) {
        fields.warning(
            "type",
            format!(
                "{} is no provider, so nobody can log in with it: write one of {}",
                quoted(&provider.kind),
                KINDS.join(", ")
            ),
            problems,
        );
    }
    let disabled = fields.flag("disabled", problems);
    let config = fields.object("config", problems);
    let secret_config = fields.object("secret_config", problems);
    let metadata_fields = fields.array("metadata_fields", problems);
    let redirect_uris = fields.texts("redirect_uris", problems);
    let domain_restrictions = fields.texts("domain_restrictions", problems);
    let complete = !failed
        && config.is_ok()
        && secret_config.is_ok()
        && metadata_fields.is_ok()
        && redirect_uris.is_ok()
        && domain_restrictions.is_ok();
    provider.disabled = disabled.map(Option::unwrap_or_default).unwrap_or(true) || !complete;
    provider.config = config.ok().flatten().cloned().unwrap_or_default();
    provider.secret_config = secret_config.ok().flatten().cloned().unwrap_or_default();
    provider.metadata_fields = metadata_fields.ok().flatten().unwrap_or_default().to_vec();
    provider.redirect_uris = redirect_uris.unwrap_or_default();
    provider.domain_restrictions = domain_restrictions.unwrap_or_default();
    provider
}

/// `auth/custom_user_data.json`, else `custom_user_data_config` of the root file; `None` unless enabled and complete.
pub(super) fn load_custom_user_data(loader: &mut Loader, root: &Root, services: &[Service]) -> Option<CustomUserData> {
    match loader.read_config(CUSTOM_USER_DATA) {
        Config::Absent => {}
        Config::Broken => return None,
        Config::Read { json: Json::Object(object), failures } => {
            let data = read_custom_user_data(&Fields::new(CUSTOM_USER_DATA, &object), services, &mut loader.problems);
            return data.ok().flatten().filter(|_| failures.is_empty());
        }
        Config::Read { json: other, .. } => {
            let found = json::type_name(&other);
            loader.problems.error(
                CUSTOM_USER_DATA,
                "",
                format!("holds {found} where an object belongs: write {{\"enabled\": false}}"),
            );
            return None;
        }
    }
    const KEY: &str = "custom_user_data_config";
    let object = Fields::new(&root.file, &root.object).object(KEY, &mut loader.problems).ok().flatten()?;
    let mut fields = Fields::new(&root.file, object);
    fields.path = KEY.to_owned();
    read_custom_user_data(&fields, services, &mut loader.problems).ok().flatten()
}

fn read_custom_user_data(
    fields: &Fields<'_>,
    services: &[Service],
    problems: &mut Problems,
) -> Result<Option<CustomUserData>, Mistyped> {
    if !fields.flag("enabled", problems)?.unwrap_or(false) {
        return Ok(None);
    }
    let mut required = |key: &str| match fields.filled_text(key, problems) {
        Ok(Some(text)) => Ok(text.to_owned()),
        Ok(None) => {
            fields.error(key, "is missing although custom user data is enabled, so nobody has any: write it", problems);
            Err(Mistyped)
        }
        Err(mistyped) => Err(mistyped),
    };
    let database = required("database_name");
    let collection = required("collection_name");
    let user_id_field = required("user_id_field");
    let name = fields.filled_text("mongo_service_name", problems)?;
    let id = fields.filled_text("mongo_service_id", problems)?;
    let service = match (name, id) {
        (Some(name), _) => name.to_owned(),
        (None, Some(id)) => {
            match services.iter().find(|service| service.id.as_deref() == Some(id)) {
                Some(service) => service.name.clone(),
                None => {
                    fields.error("mongo_service_id", format!("no service has the id {}, so nobody has custom user data: write mongo_service_name instead", quoted(id)), problems);
                    return Err(Mistyped);
                }
            }
        }
        (None, None) => {
            fields.error(
                "mongo_service_name",
                "is missing although custom user data is enabled, so nobody has any: write it",
                problems,
            );
            return Err(Mistyped);
        }
    };
    let on_user_creation_function_name =
        fields.filled_text("on_user_creation_function_name", problems)?.map(str::to_owned);
    Ok(Some(CustomUserData {
        service,
        database: database?,
        collection: collection?,
        user_id_field: user_id_field?,
        on_user_creation_function_name,
    }))
}
