//! Connections to MongoDB deployments, and the data sources that use them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bson::doc;
use futures::TryStreamExt;

use mongodb::options::{
    ClientOptions, CollectionOptions, DatabaseOptions, ReadPreference, ReadPreferenceOptions, SelectionCriteria,
    WriteConcern,
};
use mongodb::{Client, Collection, Database};
use rules::DataSourceRules;
use serde_json::{Map, Value as Json};

use crate::ServiceError;

/// A pool of connections to one deployment. Cheap to clone; data sources of several apps may share one.
#[derive(Debug, Clone)]
pub struct Connection {
    client: Client,
}

/// How connections are made. Options written in the connection string win.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionSettings {
    /// How long an operation waits for a usable server.
    pub server_selection_timeout: Duration,
    /// How long one TCP connect may take.
    pub connect_timeout: Duration,
    /// Connections to one server at once.
    pub pool_size_max: u32,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            server_selection_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            pool_size_max: 100,
        }
    }
}

impl Connection {
    /// Reads a connection string and starts watching the deployment; does not wait for it to answer.
    pub async fn open(uri: &str, settings: ConnectionSettings) -> Result<Self, ServiceError> {
        let configuration = |error: mongodb::error::Error| ServiceError::Configuration {
            // The driver's text may quote the connection string, which holds a password.
            text: "the MongoDB connection string cannot be used".to_owned(),
            source: Some(Box::new(error)),
        };
        let mut options = ClientOptions::parse(uri).await.map_err(configuration)?;
        options.server_selection_timeout.get_or_insert(settings.server_selection_timeout);
        options.connect_timeout.get_or_insert(settings.connect_timeout);
        options.max_pool_size.get_or_insert(settings.pool_size_max);
        options.write_concern.get_or_insert(WriteConcern::majority());
        options.app_name.get_or_insert_with(|| "selvedge".to_owned());
        let client = Client::with_options(options).map_err(configuration)?;
        Ok(Self { client })
    }

    /// Whether a server answers, within the server selection timeout.
    pub async fn ping(&self) -> Result<(), ServiceError> {
        self.client.database("admin").run_command(bson::doc! { "ping": 1 }).await?;
        Ok(())
    }

    /// Closes the pool. Operations that follow fail.
    pub async fn close(self) {
        self.client.shutdown().await;
    }

    /// The pool, for what keeps state of its own on the deployment: users and logs.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// Database and collection to when it was asked, and whether it has a collation of its own.
type Collations = Mutex<HashMap<(String, String), (Instant, bool)>>;

const COLLATION_KNOWN_FOR: Duration = Duration::from_secs(60);

const COLLATIONS_MAX: usize = 10_000;

/// A data source: a connection with the reading habits its config asks for.
#[derive(Debug, Clone)]
pub struct DataSource {
    connection: Connection,
    read_preference: Option<ReadPreference>,
    read_only: bool,
    rules: Arc<DataSourceRules>,
    collations: Arc<Collations>,
}

impl DataSource {
    /// A data source with the connection's own read preference, and without rules: closed to rules users.
    pub fn new(connection: Connection) -> Self {
        Self { connection, read_preference: None, read_only: false, rules: Arc::default(), collations: Arc::default() }
    }

    /// A data source as an export declares it: `readPreference`, `readPreferenceTagSets`, and the kind `datalake`, which
    /// cannot be written to (function-environment 7.2, 7.10).
    pub fn from_config(connection: Connection, kind: &str, config: &Map<String, Json>) -> Result<Self, ServiceError> {
        Ok(Self {
            connection,
            read_preference: read_preference(config)?,
            read_only: kind.eq_ignore_ascii_case("datalake"),
            rules: Arc::default(),
            collations: Arc::default(),
        })
    }

    /// The same with the rules that bind rules users.
    pub fn with_rules(self, rules: Arc<DataSourceRules>) -> Self {
        Self { rules, ..self }
    }

    /// Whether a collection compares strings in a way of its own. Known for a while once asked: a collection keeps its
    /// collation until it is dropped.
    pub(crate) async fn has_default_collation(&self, database: &str, collection: &str) -> Result<bool, ServiceError> {
        let key = (database.to_owned(), collection.to_owned());
        let lock = || self.collations.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(&key).copied();
        if let Some((asked, found)) = known
            && asked.elapsed() < COLLATION_KNOWN_FOR
        {
            return Ok(found);
        }
        let mut listed =
            self.client().database(database).list_collections().filter(doc! { "name": collection }).await?;
        let mut found = false;
        while let Some(specification) = listed.try_next().await? {
            found |= specification.options.collation.is_some();
        }
        let mut collations = lock();
        if collations.len() >= COLLATIONS_MAX {
            collations.clear();
        }
        collations.insert(key, (Instant::now(), found));
        Ok(found)
    }

    pub(crate) fn rules(&self) -> &DataSourceRules {
        &self.rules
    }

    pub(crate) fn client(&self) -> &Client {
        self.connection.client()
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Criteria of reads outside transactions; `None` leaves the connection's own.
    pub(crate) fn selection_criteria(&self) -> Option<SelectionCriteria> {
        self.read_preference.clone().map(SelectionCriteria::ReadPreference)
    }

    pub(crate) fn database(&self, name: &str) -> Database {
        let mut options = DatabaseOptions::default();
        options.selection_criteria = self.selection_criteria();
        self.client().database_with_options(name, options)
    }

    pub(crate) fn collection<T: Send + Sync>(&self, database: &str, collection: &str) -> Collection<T> {
        let mut options = CollectionOptions::default();
        options.selection_criteria = self.selection_criteria();
        self.client().database(database).collection_with_options(collection, options)
    }
}

/// The read preference of a mode written as the platform writes it.
pub(crate) fn parse_read_preference(
    mode: &str,
    tag_sets: Option<Vec<HashMap<String, String>>>,
) -> Option<ReadPreference> {
    let options = tag_sets.filter(|tag_sets| !tag_sets.is_empty()).map(|tag_sets| {
        let mut options = ReadPreferenceOptions::default();
        options.tag_sets = Some(tag_sets);
        options
    });
    Some(match mode.to_ascii_lowercase().as_str() {
        "primary" => ReadPreference::Primary,
        "primarypreferred" => ReadPreference::PrimaryPreferred { options },
        "secondary" => ReadPreference::Secondary { options },
        "secondarypreferred" => ReadPreference::SecondaryPreferred { options },
        "nearest" => ReadPreference::Nearest { options },
        _ => return None,
    })
}

fn read_preference(config: &Map<String, Json>) -> Result<Option<ReadPreference>, ServiceError> {
    let invalid = |text: String| ServiceError::Configuration { text, source: None };
    let mode = match config.get("readPreference") {
        None | Some(Json::Null) => return Ok(None),
        Some(Json::String(mode)) if mode.is_empty() => return Ok(None),
        Some(Json::String(mode)) => mode,
        Some(_) => return Err(invalid("readPreference must be a string".to_owned())),
    };
    let tag_sets = match config.get("readPreferenceTagSets") {
        None | Some(Json::Null) => None,
        Some(Json::Array(sets)) => Some(
            sets.iter()
                .map(tag_set)
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| invalid("readPreferenceTagSets must hold tags".to_owned()))?,
        ),
        Some(_) => return Err(invalid("readPreferenceTagSets must be an array".to_owned())),
    };
    parse_read_preference(mode, tag_sets).map(Some).ok_or_else(|| invalid(format!("'{mode}' is no read preference")))
}

/// A tag set as exports write it: `[{"name", "value"}]`, `{"tags": […]}`, or an object of tags.
fn tag_set(set: &Json) -> Option<HashMap<String, String>> {
    let named = |tags: &Vec<Json>| {
        tags.iter()
            .map(|tag| Some((tag.get("name")?.as_str()?.to_owned(), tag.get("value")?.as_str()?.to_owned())))
            .collect()
    };
    match set {
        Json::Array(tags) => named(tags),
        Json::Object(fields) => match fields.get("tags") {
            Some(Json::Array(tags)) => named(tags),
            _ => fields.iter().map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect(),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(config: Json, expected: Result<Option<&str>, &str>) {
        let Json::Object(config) = config else { panic!("a config is an object") };
        let found = match read_preference(&config) {
            Ok(preference) => Ok(preference.map(|preference| preference.to_string())),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(found, expected.map(|text| text.map(str::to_owned)).map_err(str::to_owned));
    }

    #[test]
    fn read_preference_of_a_config() {
        check(json!({}), Ok(None));
        check(json!({ "readPreference": "secondaryPreferred" }), Ok(Some("{ Mode: SecondaryPreferred }")));
        check(json!({ "readPreference": "fastest" }), Err("'fastest' is no read preference"));
        check(json!({ "readPreference": 5 }), Err("readPreference must be a string"));
        check(
            json!({ "readPreference": "nearest", "readPreferenceTagSets": [[{ "name": "dc", "value": "east" }]] }),
            Ok(Some(r#"{ Mode: Nearest, Tag Sets: [{"dc": "east"}] }"#)),
        );
        check(
            json!({ "readPreference": "nearest", "readPreferenceTagSets": [{ "dc": "east" }] }),
            Ok(Some(r#"{ Mode: Nearest, Tag Sets: [{"dc": "east"}] }"#)),
        );
    }
}
