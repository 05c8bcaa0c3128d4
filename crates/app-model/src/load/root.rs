//! The root file: which one counts, and what it says (http-surface 1.1, 1.4).

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use super::fields::Fields;
use super::files::Text;
use super::json;
use super::problems::{Problems, quoted};
use super::{Loader, REPEATED};
use crate::{Layout, LoadError};

const CANDIDATES: [&str; 4] = ["root_config.json", "realm_config.json", "config.json", "stitch.json"];

/// The root file in use.
pub(super) struct Root {
    pub file: String,
    pub layout: Layout,
    pub config_version: Option<i64>,
    pub object: Map<String, Json>,
    /// `app_id` of the other valid candidates, for a root file without one.
    pub other_app_id: Option<String>,
}

/// Settings of the root file.
pub(super) struct Settings {
    pub name: String,
    pub app_id: String,
    pub location: String,
    pub deployment_model: String,
    pub provider_region: Option<String>,
    pub allowed_request_origins: Vec<String>,
}

/// Chooses the root file (D2 to D4).
pub(super) fn find(loader: &mut Loader, directory: &Path) -> Result<Root, LoadError> {
    let mut accepted: Option<(String, Map<String, Json>)> = None;
    let mut others = Vec::new();
    let mut other_app_id = None;
    loader.list("");
    // Kept apart, because a file that only shares a root file's name is no mistake once there is a real one.
    let mut reasons = Problems::new(CANDIDATES.len() * 4);
    for file in CANDIDATES {
        match read_candidate(loader, file, &mut reasons) {
            None => {}
            Some(object) if accepted.is_none() => accepted = Some((file.to_owned(), object)),
            Some(object) => {
                let app_id = object.get("app_id").and_then(Json::as_str).filter(|id| !id.is_empty());
                other_app_id = other_app_id.or_else(|| app_id.map(str::to_owned));
                others.push(file);
            }
        }
    }
    let Some((file, object)) = accepted else {
        return Err(LoadError::NoRootFile { directory: directory.to_owned(), candidates: reasons.finish() });
    };
    let config_version = match object.get("config_version") {
        None | Some(Json::Null) => None,
        Some(value) => whole_number(value),
    };
    let layout = match config_version {
        Some(20180301 | 20200603) => Layout::V1,
        // Only `root_config.json` is accepted without a version.
        None | Some(20210101) => Layout::V2,
        Some(_) => {
            let found = object.get("config_version").map(Json::to_string).unwrap_or_default();
            return Err(LoadError::Version { file: directory.join(file), found });
        }
    };
    for problem in reasons.finish() {
        // `config.json` is a common name; any other broken candidate was surely meant as a root file.
        let name = problem.file.to_string_lossy().into_owned();
        let message = format!("{} ({file} is used)", problem.message);
        if name == "config.json" {
            loader.problems.warning(&name, &problem.field, message);
        } else {
            loader.problems.error(&name, &problem.field, message);
        }
    }
    for other in others {
        loader.problems.warning(
            other,
            "",
            format!("is a second root file and has no effect, because {file} is used: remove one of them"),
        );
    }
    Ok(Root { file, layout, config_version, object, other_app_id })
}

/// The object of a file that has a root file's name, when it is one.
fn read_candidate(loader: &mut Loader, file: &str, reasons: &mut Problems) -> Option<Map<String, Json>> {
    let text = match loader.files.read(file, reasons) {
        Text::Absent | Text::Unreadable => return None,
        Text::Read(text) => text,
    };
    let parsed = match json::parse(&text) {
        Ok((parsed, repeated)) => {
            for field in repeated {
                loader.problems.warning(file, &field, REPEATED);
            }
            parsed
        }
        Err(error) => {
            reasons.error(
                file,
                &format!("{}:{}", error.line, error.column),
                format!("is no JSON: {}: correct it there", error.message),
            );
            return None;
        }
    };
    let Json::Object(object) = parsed else {
        reasons.error(
            file,
            "",
            format!("holds {} where a root file is an object: write an object", json::type_name(&parsed)),
        );
        return None;
    };
    match object.get("config_version") {
        None | Some(Json::Null) => {
            if file == "root_config.json" && object.get("name").is_some_and(Json::is_string) {
                return Some(object);
            }
            // Any tool may keep a `config.json`.
            if file != "config.json" {
                reasons.error(file, "config_version", "is missing: write the version of the export, such as 20210101");
            }
            None
        }
        Some(version) => {
            match whole_number(version) {
                Some(number) if number != 0 => Some(object),
                _ => {
                    let shown = quoted(&version.to_string());
                    reasons.error(file, "config_version", format!("is {shown}, not a whole number other than 0: write the version of the export, such as 20210101"));
                    None
                }
            }
        }
    }
}

fn whole_number(value: &Json) -> Option<i64> {
    value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
    })
}

/// Reads the fields of the chosen root file. Runs before the environment is known, so expansions of this file are
/// replaced by the caller and the settings read again.
pub(super) fn environment_name(loader: &mut Loader, root: &Root) -> String {
    let fields = Fields::new(&root.file, &root.object);
    fields.text("environment", &mut loader.problems).ok().flatten().unwrap_or_default().to_owned()
}

pub(super) fn settings(loader: &mut Loader, root: &Root, directory: &Path) -> Settings {
    let problems = &mut loader.problems;
    let fields = Fields::new(&root.file, &root.object);
    let directory_name = || {
        let name = directory.file_name().map(|name| name.to_string_lossy().into_owned());
        name.filter(|name| !name.is_empty()).unwrap_or_else(|| "app".to_owned())
    };
    let name = match fields.filled_text("name", problems) {
        Ok(Some(name)) => {
            if name.len() > 57 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
                fields.warning(
                    "name",
                    format!("{} is not 1 to 57 ASCII letters, digits, _ and -: rename the app", quoted(name)),
                    problems,
                );
            }
            name.to_owned()
        }
        Ok(None) => {
            let name = directory_name();
            fields.warning(
                "name",
                format!("is missing, the directory's name {} is used: write the app's name", quoted(&name)),
                problems,
            );
            name
        }
        Err(_) => directory_name(),
    };
    let written_app_id = fields.filled_text("app_id", problems).ok().flatten().map(str::to_owned);
    let location = fields.filled_text("location", problems).ok().flatten().unwrap_or("US-VA").to_owned();
    let deployment_model =
        fields.filled_text("deployment_model", problems).ok().flatten().unwrap_or("GLOBAL").to_owned();
    let provider_region = fields.filled_text("provider_region", problems).ok().flatten().map(str::to_owned);

    let mut allowed_request_origins = origins(&fields, problems);
    if let Ok(Some(security)) = fields.object("security", problems) {
        let mut inner = Fields::new(&root.file, security);
        inner.path = "security".to_owned();
        allowed_request_origins.extend(origins(&inner, problems));
    }

    let app_id = loader
        .app_id
        .clone()
        .or(written_app_id)
        .or_else(|| root.other_app_id.clone())
        .or_else(|| client_app_id(loader))
        .unwrap_or_else(|| name.clone());
    if app_id.contains(['/', '?', '#']) || app_id == "." || app_id == ".." {
        loader.problems.warning(
            &root.file,
            "app_id",
            format!(
                "{} cannot be a URL path segment, so no URL reaches the app: use letters, digits and -",
                quoted(&app_id)
            ),
        );
    }
    Settings { name, app_id, location, deployment_model, provider_region, allowed_request_origins }
}

/// `allowed_request_origins`. What cannot be read stays as a text that no `Origin` equals: an empty list would allow
/// every origin.
fn origins(fields: &Fields<'_>, problems: &mut Problems) -> Vec<String> {
    const KEY: &str = "allowed_request_origins";
    let origins = match fields.texts(KEY, problems) {
        Ok(origins) => origins,
        Err(_) => return vec!["(unreadable)".to_owned()],
    };
    for (index, origin) in origins.iter().enumerate() {
        let host = origin.split_once("://").map(|(_, host)| host);
        if !host.is_some_and(|host| !host.is_empty() && !host.contains('/')) {
            let key = format!("{KEY}[{index}]");
            fields.warning(
                &key,
                format!("{} matches no Origin header: write scheme://host or scheme://host:port", quoted(origin)),
                problems,
            );
        }
    }
    origins
}

/// The newer tool leaves `app_id` out of the root file and keeps it in its own folder.
fn client_app_id(loader: &mut Loader) -> Option<String> {
    // What that file holds is the tool's business: nothing about it is reported.
    let mut unreported = Problems::new(0);
    let Text::Read(text) = loader.files.read(".mdb/meta.json", &mut unreported) else { return None };
    let (meta, _) = json::parse(&text).ok()?;
    meta.get("client_app_id").and_then(Json::as_str).filter(|id| !id.is_empty()).map(str::to_owned)
}

/// The directory as an absolute path where that is possible.
pub(super) fn absolute(directory: &Path) -> PathBuf {
    directory.canonicalize().unwrap_or_else(|_| directory.to_owned())
}
