//! Names of databases and collections: which may be used, `getCollectionNames` and `getDBNames` (function-environment 7.1).

use app_model::STATE_DATABASE_PREFIX;
use bson::raw::{RawArrayBuf, RawDocumentBuf};
use bson::{Bson, Document, cstr};

use super::connection::DataSource;
use crate::ServiceError;
use crate::arguments::Arguments;
use crate::error::Reply;

/// Refuses an action's names. `db("")` and `collection("")` give handles; the mistake shows when they are used (7.1). The
/// databases of the server's own state are not for functions, whoever they run as.
pub(crate) fn check(arguments: Arguments<'_>) -> Result<(), ServiceError> {
    for key in ["db", "collection"] {
        if arguments.optional_text(key)? == Some("") {
            return Err(arguments.invalid(key, "a name that is not empty"));
        }
    }
    match arguments.optional_text("db")? {
        Some(name) if is_state(name) => Err(refusal(name)),
        _ => Ok(()),
    }
}

/// Refuses stages that name a database of the server's own state.
pub(crate) fn check_pipeline(pipeline: &[Document]) -> Result<(), ServiceError> {
    pipeline.iter().try_for_each(|stage| check_stage(stage, false))
}

/// Stages that may name another database than the one they run on, as `db`.
const REACHING_STAGES: [&str; 5] = ["$out", "$merge", "$lookup", "$graphLookup", "$unionWith"];

fn check_stage(document: &Document, reaching: bool) -> Result<(), ServiceError> {
    document.iter().try_for_each(|(key, value)| match value {
        Bson::String(name) if reaching && key == "db" && is_state(name) => Err(refusal(name)),
        value => check_value(value, reaching || REACHING_STAGES.contains(&key.as_str())),
    })
}

fn check_value(value: &Bson, reaching: bool) -> Result<(), ServiceError> {
    match value {
        Bson::Document(document) => check_stage(document, reaching),
        Bson::Array(items) => items.iter().try_for_each(|item| check_value(item, reaching)),
        _ => Ok(()),
    }
}

fn is_state(database: &str) -> bool {
    // MongoDB takes names that differ in case only for the same.
    database.get(..STATE_DATABASE_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(STATE_DATABASE_PREFIX))
}

fn refusal(database: &str) -> ServiceError {
    ServiceError::invalid(format!("database '{database}' holds the server's own state, which functions cannot reach"))
}

/// `getCollectionNames {db}` → `{names}`, in alphabetical order.
pub(crate) async fn collection_names(source: &DataSource, arguments: Arguments<'_>) -> Reply {
    Ok(names_reply(source.database(arguments.text("db")?).list_collection_names().await?))
}

/// `getDBNames {}` → `{names}`, in alphabetical order.
pub(crate) async fn database_names(source: &DataSource) -> Reply {
    let mut names = source.client().list_database_names().await?;
    names.retain(|name| !is_state(name));
    Ok(names_reply(names))
}

fn names_reply(mut names: Vec<String>) -> RawDocumentBuf {
    names.sort();
    let names: RawArrayBuf = names.iter().map(String::as_str).collect();
    let mut reply = RawDocumentBuf::new();
    reply.append(cstr!("names"), names);
    reply
}
