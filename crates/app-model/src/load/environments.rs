//! `environments/<env>.json` (http-surface 1.11, rules-and-users 5.3).

use serde_json::Value as Json;

use super::Loader;
use super::fields::Fields;
use super::problems::quoted;
use super::{Config, json};
use crate::Environment;

const TAGS: [&str; 4] = ["development", "testing", "qa", "production"];

/// The environment that the root file names.
pub(super) fn load(loader: &mut Loader, root_file: &str, name: &str) -> Environment {
    // Exports of 2020 write "none".
    let tag = if matches!(name, "none" | "no-environment") { "" } else { name };
    if !tag.is_empty() && !TAGS.contains(&tag) {
        loader.problems.error(
            root_file,
            "environment",
            format!("{} is no environment: write \"\", development, testing, qa or production", quoted(tag)),
        );
    }
    let mut environment = Environment { tag: tag.to_owned(), ..Environment::default() };
    if tag.contains(['/', '\\']) {
        return environment;
    }
    let file = format!("environments/{}.json", if tag.is_empty() { "no-environment" } else { tag });
    match loader.read_plain(&file) {
        Config::Absent | Config::Broken => {}
        Config::Read { json: Json::Object(object), .. } => {
            let fields = Fields::new(&file, &object);
            if let Ok(Some(values)) = fields.object("values", &mut loader.problems) {
                environment.values = values.clone();
            }
        }
        Config::Read { json: other, .. } => {
            let found = json::type_name(&other);
            loader.problems.error(
                &file,
                "",
                format!("holds {found} where an environment is an object: write {{\"values\": {{}}}}"),
            );
        }
    }
    environment
}
