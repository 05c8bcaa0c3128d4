//! `values/<name>.json` and `secrets.json` (http-surface 1.11, rules-and-users 5.1 and 5.2).

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::fields::Fields;
use super::files::Kind;
use super::problems::quoted;
use super::{Config, Loader, json};
use crate::{SecretText, Value, ValueContent};

/// A Secret's text may be this long.
const SECRET_CHARACTERS_MAX: usize = 500;

/// Values in file order. Expansions of `%%environment` are replaced in them, those of `%%values` are not.
pub(super) fn load(loader: &mut Loader) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::new();
    for entry in loader.list("values") {
        let Some(stem) = entry.name.strip_suffix(".json").filter(|stem| !stem.is_empty() && !stem.starts_with('.'))
        else {
            continue;
        };
        if entry.kind != Kind::File {
            continue;
        }
        let file = format!("values/{}", entry.name);
        let Some((object, failures)) = loader.read_object(&file, "a value") else { continue };
        let problems = &mut loader.problems;
        let fields = Fields::new(&file, &object);
        let name = match fields.filled_text("name", problems) {
            Ok(Some(name)) => name,
            Ok(None) => {
                fields.warning(
                    "name",
                    format!("is missing, the file's name {} is used: write the value's name", quoted(stem)),
                    problems,
                );
                stem
            }
            Err(_) => continue,
        };
        if name != stem {
            fields.warning(
                "name",
                format!("{} differs from the file's name {}, and counts: make them equal", quoted(name), quoted(stem)),
                problems,
            );
        }
        if name.len() > 64 || !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            fields.warning(
                "name",
                format!("{} is not a letter or digit and up to 63 more characters: rename the value", quoted(name)),
                problems,
            );
        }
        if let Some(first) = loader.value_files.get(name) {
            fields.error(
                "name",
                format!(
                    "the value {} is defined twice, here and in {first}, which counts: remove one of them",
                    quoted(name)
                ),
                problems,
            );
            continue;
        }
        if !failures.is_empty() {
            continue;
        }
        let from_secret = match fields.flag("from_secret", problems) {
            Ok(flag) => flag.unwrap_or(false),
            Err(_) => continue,
        };
        let content = if from_secret {
            match fields.filled_text("value", problems) {
                Ok(Some(secret)) => ValueContent::FromSecret(secret.to_owned()),
                Ok(None) => {
                    fields.error("value", "is missing: write the name of the Secret", problems);
                    continue;
                }
                Err(_) => continue,
            }
        } else {
            match object.get("value") {
                Some(value) => ValueContent::Plain(value.clone()),
                None => {
                    fields.error("value", "is missing: write the value, any JSON", problems);
                    continue;
                }
            }
        };
        loader.value_files.insert(name.to_owned(), file.clone());
        values.push(Value { name: name.to_owned(), content });
    }
    values
}

/// Texts of `secrets.json`, under the names that importing it would have given them, joined by the operator's, which
/// win.
pub(super) fn load_secrets(
    loader: &mut Loader,
    operator: &BTreeMap<String, SecretText>,
) -> BTreeMap<String, SecretText> {
    const FILE: &str = "secrets.json";
    let mut secrets = BTreeMap::new();
    match loader.read_plain(FILE) {
        Config::Absent | Config::Broken => {}
        Config::Read { json: Json::Object(object), .. } => {
            let fields = Fields::new(FILE, &object);
            for group in ["auth_providers", "services"] {
                let Ok(Some(owners)) = fields.object(group, &mut loader.problems) else { continue };
                let mut inner = Fields::new(FILE, owners);
                inner.path = group.to_owned();
                for owner in owners.keys() {
                    let Ok(Some(options)) = inner.object(owner, &mut loader.problems) else { continue };
                    let mut texts = Fields::new(FILE, options);
                    texts.path = json::member(group, owner);
                    for option in options.keys() {
                        let Ok(Some(text)) = texts.text(option, &mut loader.problems) else { continue };
                        if text.chars().count() > SECRET_CHARACTERS_MAX {
                            texts.warning(option, format!("is longer than {SECRET_CHARACTERS_MAX} characters, more than a Secret of the platform may have: shorten it"), &mut loader.problems);
                        }
                        secrets.insert(imported_name(owner, option), SecretText::new(text));
                    }
                }
            }
        }
        Config::Read { json: other, .. } => {
            loader.problems.error(
                FILE,
                "",
                format!("holds {} where an object belongs: write {{\"services\": {{}}}}", json::type_name(&other)),
            );
        }
    }
    secrets.extend(operator.iter().map(|(name, text)| (name.clone(), text.clone())));
    secrets
}

/// Name of the Secret that importing `secrets.json` made of one option.
pub(crate) fn imported_name(owner: &str, option: &str) -> String {
    format!("__{owner}_{option}")
}
