//! MongoDB data sources with the rules of their collections: `data_sources/`, and the MongoDB services of v1
//! (http-surface 1.12, rules-and-users 2.1).

use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::fields::Fields;
use super::files::{Kind, join};
use super::problems::{Problems, quoted};
use super::{Config, Loader, json};
use crate::{CollectionRules, DataSource, Service, ServiceKind};

const DIRECTORY: &str = "data_sources";
const READ_PREFERENCES: [&str; 5] = ["primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest"];

/// All data sources, those of `data_sources/` first.
pub(super) fn load(loader: &mut Loader, services: &[Service]) -> Vec<DataSource> {
    let mut sources: Vec<DataSource> = Vec::new();
    for entry in loader.list(DIRECTORY) {
        if entry.kind != Kind::Directory || entry.name.starts_with('.') {
            continue;
        }
        let directory = join(DIRECTORY, &entry.name);
        if let Some(source) = read_source(loader, &directory, &entry.name) {
            add(&mut sources, source, &mut loader.problems);
        }
    }
    for service in services {
        if let ServiceKind::MongoDb(kind) = &service.kind {
            let source = read_service(loader, service, kind);
            add(&mut sources, source, &mut loader.problems);
        } else if let Some(source) = sources.iter().find(|source| source.name == service.name) {
            let file = service.config_file.to_string_lossy().into_owned();
            let message = format!(
                "{} is defined twice, here and as a data source in {}: rename one of them",
                quoted(&service.name),
                source.config_file.display()
            );
            loader.problems.error(&file, "name", message);
        }
    }
    sources
}

fn add(sources: &mut Vec<DataSource>, source: DataSource, problems: &mut Problems) {
    match sources.iter().find(|other| other.name == source.name) {
        None => sources.push(source),
        Some(first) => {
            let file = source.config_file.to_string_lossy().into_owned();
            let message = format!(
                "the data source {} is defined twice, here and in {}, which counts: remove one of them",
                quoted(&source.name),
                first.config_file.display()
            );
            problems.error(&file, "name", message);
        }
    }
}

/// `data_sources/<folder>/`.
fn read_source(loader: &mut Loader, directory: &str, folder: &str) -> Option<DataSource> {
    let config_file = join(directory, "config.json");
    let mut source = DataSource {
        id: None,
        name: folder.to_owned(),
        kind: "mongodb-atlas".to_owned(),
        config_file: PathBuf::from(&config_file),
        config: Map::new(),
        default_rule: None,
        collections: Vec::new(),
    };
    if !loader.is_file(&config_file) {
        loader.problems.warning(
            &config_file,
            "",
            format!(
                "is missing, so the directory counts as a mongodb-atlas data source {}: add the file",
                quoted(folder)
            ),
        );
    } else if let Some((object, _)) = loader.read_object(&config_file, "a data source") {
        let problems = &mut loader.problems;
        let fields = Fields::new(&config_file, &object);
        source.id = object.get("id").or_else(|| object.get("_id")).and_then(Json::as_str).map(str::to_owned);
        match fields.filled_text("name", problems) {
            Ok(Some(name)) => {
                if name != folder {
                    fields.warning(
                        "name",
                        format!(
                            "{} differs from the directory's name {}, and counts: make them equal",
                            quoted(name),
                            quoted(folder)
                        ),
                        problems,
                    );
                }
                source.name = name.to_owned();
            }
            Ok(None) => fields.warning(
                "name",
                format!("is missing, the directory's name {} is used: write the data source's name", quoted(folder)),
                problems,
            ),
            Err(_) => {}
        }
        match fields.filled_text("type", problems) {
            Ok(Some(kind)) => {
                if !matches!(kind, "mongodb-atlas" | "mongodb" | "datalake") {
                    fields.warning("type", format!("{} is no type of a data source, so it is treated as mongodb-atlas: write mongodb-atlas or datalake", quoted(kind)), problems);
                }
                source.kind = kind.to_owned();
            }
            Ok(None) => fields.warning("type", "is missing, mongodb-atlas is used: write it", problems),
            Err(_) => {}
        }
        if let Ok(Some(config)) = fields.object("config", problems) {
            source.config = config.clone();
            check_config(&fields, config, problems);
        }
    }
    source.default_rule = read_default_rule(loader, directory);
    for database in loader.list(directory) {
        if database.kind != Kind::Directory || database.name.starts_with('.') {
            continue;
        }
        let database_directory = join(directory, &database.name);
        for collection in loader.list(&database_directory) {
            if collection.kind != Kind::Directory || collection.name.starts_with('.') {
                continue;
            }
            let directory = join(&database_directory, &collection.name);
            read_collection(loader, &directory, &database.name, &collection.name, &mut source.collections);
        }
    }
    Some(source)
}

fn check_config(fields: &Fields<'_>, config: &Map<String, Json>, problems: &mut Problems) {
    let mut inner = Fields::new(fields.file, config);
    inner.path = "config".to_owned();
    if let Ok(Some(preference)) = inner.filled_text("readPreference", problems)
        && !READ_PREFERENCES.contains(&preference)
    {
        inner.warning(
            "readPreference",
            format!(
                "{} is no read preference, primary is used: write one of {}",
                quoted(preference),
                READ_PREFERENCES.join(", ")
            ),
            problems,
        );
    }
    let _ = inner.array("readPreferenceTagSets", problems);
}

/// `services/<service>/` of a MongoDB type, read as a service already.
fn read_service(loader: &mut Loader, service: &Service, kind: &str) -> DataSource {
    let config_file = service.config_file.to_string_lossy().into_owned();
    let directory = config_file.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned();
    check_config(&Fields::new(&config_file, &Map::new()), &service.config, &mut loader.problems);
    let mut source = DataSource {
        id: service.id.clone(),
        name: service.name.clone(),
        kind: kind.to_owned(),
        config_file: service.config_file.clone(),
        config: service.config.clone(),
        default_rule: read_default_rule(loader, &directory),
        collections: Vec::new(),
    };
    let rules_directory = join(&directory, "rules");
    for entry in loader.list(&rules_directory) {
        let Some(stem) = entry.name.strip_suffix(".json").filter(|stem| !stem.is_empty() && !stem.starts_with('.'))
        else {
            continue;
        };
        if entry.kind == Kind::File {
            let file = join(&rules_directory, &entry.name);
            read_combined_file(loader, &file, stem, &mut source.collections);
        }
    }
    source
}

/// A default rule that cannot be read is as good as none: a collection without rules of its own denies then.
fn read_default_rule(loader: &mut Loader, directory: &str) -> Option<Json> {
    let file = join(directory, "default_rule.json");
    let (object, failures) = loader.read_object(&file, "a rule")?;
    let sound = check_rules(&file, &object, &mut loader.problems);
    (sound && failures.is_empty()).then_some(Json::Object(object))
}

/// Shape of a rule file, as far as a mistake in it means that nothing of it can be trusted.
fn check_rules(file: &str, object: &Map<String, Json>, problems: &mut Problems) -> bool {
    let fields = Fields::new(file, object);
    let mut sound = true;
    for key in ["roles", "filters"] {
        match fields.array(key, problems) {
            Err(_) => sound = false,
            Ok(None) => {}
            Ok(Some(elements)) => {
                for (index, value) in elements.iter().enumerate() {
                    if !value.is_object() {
                        fields.error(
                            &format!("{key}[{index}]"),
                            format!(
                                "is {} where an object belongs, so the collection denies everything: write an object",
                                json::type_name(value)
                            ),
                            problems,
                        );
                        sound = false;
                    }
                }
            }
        }
    }
    sound
}

/// One directory with up to three files.
fn read_collection(
    loader: &mut Loader,
    directory: &str,
    database: &str,
    collection: &str,
    collections: &mut Vec<CollectionRules>,
) {
    let file = join(directory, "rules.json");
    let schema_file = join(directory, "schema.json");
    let relationships_file = join(directory, "relationships.json");
    if ![&file, &schema_file, &relationships_file].into_iter().any(|file| loader.is_file(file)) {
        loader.problems.warning(&file, "", "is missing, and schema.json and relationships.json too, so the directory has no effect: add rules.json or remove the directory");
        return;
    }
    let mut rules = CollectionRules {
        database: database.to_owned(),
        collection: collection.to_owned(),
        file: PathBuf::from(&file),
        rules: None,
        schema: None,
        relationships: None,
        broken: false,
    };
    let mut elsewhere = None;
    if loader.is_file(&file) {
        match loader.read_object(&file, "a rule file") {
            None => rules.broken = true,
            Some((object, failures)) => {
                rules.broken = !failures.is_empty() || !check_rules(&file, &object, &mut loader.problems);
                let fields = Fields::new(&file, &object);
                let written_database = fields.filled_text("database", &mut loader.problems);
                let written_collection = fields.filled_text("collection", &mut loader.problems);
                match (written_database, written_collection) {
                    (Ok(written_database), Ok(written_collection)) => {
                        let written = (written_database.unwrap_or(database), written_collection.unwrap_or(collection));
                        if written != (database, collection) {
                            loader.problems.error(
                                &file,
                                "collection",
                                format!(
                                    "names {} where the directories say {}, so both deny everything: make them equal",
                                    quoted(&format!("{}.{}", written.0, written.1)),
                                    quoted(&format!("{database}.{collection}"))
                                ),
                            );
                            rules.broken = true;
                            elsewhere = Some((written.0.to_owned(), written.1.to_owned()));
                        }
                    }
                    _ => rules.broken = true,
                }
                rules.rules = Some(Json::Object(object));
            }
        }
    }
    // Without its schema a collection would accept writes that the schema forbids.
    rules.schema = read_beside(loader, &schema_file, "a schema", &mut rules.broken);
    let mut unused = false;
    rules.relationships = read_beside(loader, &relationships_file, "relationships", &mut unused);
    if let Some((database, collection)) = elsewhere {
        add_collection(collections, CollectionRules { database, collection, ..rules.clone() }, &mut loader.problems);
    }
    add_collection(collections, rules, &mut loader.problems);
}

fn read_beside(loader: &mut Loader, file: &str, what: &str, broken: &mut bool) -> Option<Json> {
    if !loader.is_file(file) {
        return None;
    }
    match loader.read_object(file, what) {
        Some((object, failures)) => {
            *broken |= !failures.is_empty();
            Some(Json::Object(object))
        }
        None => {
            *broken = true;
            None
        }
    }
}

/// `rules/<database>.<collection>.json` of v1, which holds all three.
fn read_combined_file(loader: &mut Loader, file: &str, stem: &str, collections: &mut Vec<CollectionRules>) {
    let from_name = stem.split_once('.').map(|(database, collection)| (database.to_owned(), collection.to_owned()));
    let mut rules = CollectionRules {
        database: String::new(),
        collection: String::new(),
        file: PathBuf::from(file),
        rules: None,
        schema: None,
        relationships: None,
        broken: true,
    };
    match loader.read_config(file) {
        Config::Absent => return,
        Config::Read { json: Json::Object(object), failures } => {
            let problems = &mut loader.problems;
            let fields = Fields::new(file, &object);
            let mut sound = failures.is_empty() && check_rules(file, &object, problems);
            let database = fields.filled_text("database", problems);
            let collection = fields.filled_text("collection", problems);
            if let (Ok(Some(database)), Ok(Some(collection))) = (database, collection) {
                (rules.database, rules.collection) = (database.to_owned(), collection.to_owned());
                let namespace = format!("{database}.{collection}");
                if namespace != stem {
                    fields.warning(
                        "collection",
                        format!(
                            "{} differs from the file's name {}, and counts: make them equal",
                            quoted(&namespace),
                            quoted(stem)
                        ),
                        problems,
                    );
                }
            } else if database.is_err() || collection.is_err() {
                sound = false;
            } else if from_name.is_some() {
                fields.warning(
                    "collection",
                    "database or collection is missing, the file's name is used: write both",
                    problems,
                );
            }
            for key in ["schema", "relationships"] {
                match fields.object(key, problems) {
                    Err(_) => sound &= key != "schema",
                    Ok(value) => {
                        let value = value.map(|value| Json::Object(value.clone()));
                        if key == "schema" { rules.schema = value } else { rules.relationships = value }
                    }
                }
            }
            rules.broken = !sound;
            rules.rules = Some(Json::Object(object));
        }
        Config::Broken => {}
        Config::Read { json: other, .. } => {
            let found = json::type_name(&other);
            loader.problems.error(file, "", format!("holds {found} where a rule file is an object: write an object"));
        }
    }
    if rules.database.is_empty() {
        let Some((database, collection)) = from_name else {
            loader.problems.error(
                file,
                "",
                "names no database and collection, so it has no effect: name it <database>.<collection>.json",
            );
            return;
        };
        (rules.database, rules.collection) = (database, collection);
    }
    add_collection(collections, rules, &mut loader.problems);
}

/// Of two files for one collection the one whose name says so counts; without such a name the collection denies
/// everything.
fn add_collection(collections: &mut Vec<CollectionRules>, rules: CollectionRules, problems: &mut Problems) {
    let same = |other: &&mut CollectionRules| other.database == rules.database && other.collection == rules.collection;
    let Some(first) = collections.iter_mut().find(same) else {
        collections.push(rules);
        return;
    };
    let namespace = format!("{}.{}", rules.database, rules.collection);
    let is_named = |rules: &CollectionRules| rules.file.file_stem().is_some_and(|stem| *stem == *namespace);
    let keep_first = is_named(first);
    let keep_second = is_named(&rules);
    let outcome = match (keep_first, keep_second) {
        (true, false) => format!("{} counts", first.file.display()),
        (false, true) => format!("{} counts", rules.file.display()),
        _ => "the collection denies everything".to_owned(),
    };
    let message = format!(
        "the rules of {} are defined twice, in {} and in {}, and {outcome}: remove one of them",
        quoted(&namespace),
        first.file.display(),
        rules.file.display()
    );
    let other_file = if keep_second { first.file.clone() } else { rules.file.clone() };
    if keep_second && !keep_first {
        *first = rules;
    } else if !keep_first {
        first.broken = true;
    }
    problems.error(&other_file.to_string_lossy(), "collection", message);
}
