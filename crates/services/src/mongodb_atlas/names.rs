//! `getCollectionNames` and `getDBNames` (function-environment 7.1).

use bson::cstr;
use bson::raw::{RawArrayBuf, RawDocumentBuf};

use super::connection::DataSource;
use crate::arguments::Arguments;
use crate::error::Reply;

/// `getCollectionNames {db}` → `{names}`, in alphabetical order.
pub(crate) async fn collection_names(source: &DataSource, arguments: Arguments<'_>) -> Reply {
    Ok(names_reply(source.database(arguments.text("db")?).list_collection_names().await?))
}

/// `getDBNames {}` → `{names}`, in alphabetical order.
pub(crate) async fn database_names(source: &DataSource) -> Reply {
    Ok(names_reply(source.client().list_database_names().await?))
}

fn names_reply(mut names: Vec<String>) -> RawDocumentBuf {
    names.sort();
    let names: RawArrayBuf = names.iter().map(String::as_str).collect();
    let mut reply = RawDocumentBuf::new();
    reply.append(cstr!("names"), names);
    reply
}
