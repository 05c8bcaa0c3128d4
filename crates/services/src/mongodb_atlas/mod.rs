//! The `mongodb-atlas` service: linked clusters and data lakes (function-environment 7).
//!
//! Actions, their arguments and answers. Every action that names a collection takes `db` and `collection`; those marked S
//! take `session` as well (see `session.rs`). `options` holds option names as user code writes them; names not listed in
//! the action's file are ignored. A missing, null or undefined argument is the same thing.
//!
//! | Action | Arguments | Answer |
//! | --- | --- | --- |
//! | `find` S | `filter`, `options` | `{cursor, documents}` |
//! | `findOne` S | `filter`, `options` | `{value}` |
//! | `aggregate` S | `pipeline`, `options`; without `collection` on the database | `{cursor, documents}` |
//! | `watch` | `filter`, `ids` | `{cursor, documents}`; for the client API, not offered to functions |
//! | `getMore` | `cursor` | `{cursor, documents}` |
//! | `killCursor` | `cursor` | `{}` |
//! | `count` S | `filter`, `options` | `{value}` |
//! | `distinct` S | `field`, `filter`, `options` | `{value}` |
//! | `insertOne` S | `document`, `options` | `{insertedId}` |
//! | `insertMany` S | `documents`, `options` | `{insertedIds}` |
//! | `updateOne`, `updateMany` S | `filter`, `update`, `options` | `{matchedCount, modifiedCount, upsertedId?}` |
//! | `replaceOne` S | `filter`, `replacement`, `options` | the same |
//! | `deleteOne`, `deleteMany` S | `filter`, `options` | `{deletedCount}` |
//! | `findOneAndUpdate` S | `filter`, `update`, `options` | `{value}` |
//! | `findOneAndReplace` S | `filter`, `replacement`, `options` | `{value}` |
//! | `findOneAndDelete` S | `filter`, `options` | `{value}` |
//! | `bulkWrite` S | see `bulk_write.rs` | counts and ids |
//! | `getCollectionNames` | `db` | `{names}` |
//! | `getDBNames` | | `{names}` |
//! | `commitTransaction`, `abortTransaction`, `endSession` | `session` | `{}` |

mod aggregate;
mod as_user;
mod bulk_write;
mod connection;
mod cursor;
mod delete;
mod distinct;
mod filter;
mod find;
mod find_and_modify;
mod handles;
mod insert;
mod names;
mod session;
mod update;
mod watch;

use crate::arguments::Arguments;
use crate::error::Reply;
use crate::run_context::RulesUsers;
use crate::{Authority, ServiceError};

pub use connection::{Connection, ConnectionSettings, DataSource};
pub(crate) use handles::OpenHandles;

/// What an action does to data; decides what a read-only data source allows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    /// Names no collection.
    Handle,
}

/// Calls one action.
pub(crate) async fn call(
    source: &DataSource,
    handles: &OpenHandles,
    users: &RulesUsers,
    service: &str,
    action: &str,
    arguments: Arguments<'_>,
    authority: &Authority,
) -> Reply {
    let access = access(action)
        .ok_or_else(|| ServiceError::UnknownAction { service: service.to_owned(), action: action.to_owned() })?;
    if access != Access::Handle {
        names::check(arguments)?;
        if let Authority::User(id) = authority {
            return as_user::call(source, handles, users, id, action, arguments).await;
        }
        if source.is_read_only() && access == Access::Write {
            return Err(ServiceError::invalid(format!(
                "{action}: service '{service}' is a data lake, which is read only"
            )));
        }
    }
    match action {
        "find" => find::find(source, handles, arguments).await,
        "findOne" => find::find_one(source, handles, arguments).await,
        "aggregate" => aggregate::aggregate(source, handles, arguments).await,
        "watch" => watch::watch(source, handles, arguments).await,
        "getMore" => cursor::get_more(handles, arguments).await,
        "killCursor" => cursor::kill(handles, arguments),
        "count" => find::count(source, handles, arguments).await,
        "distinct" => distinct::distinct(source, handles, arguments).await,
        "insertOne" => insert::insert_one(source, handles, arguments).await,
        "insertMany" => insert::insert_many(source, handles, arguments).await,
        "updateOne" => update::update(source, handles, arguments, update::Extent::One).await,
        "updateMany" => update::update(source, handles, arguments, update::Extent::Many).await,
        "replaceOne" => update::replace_one(source, handles, arguments).await,
        "deleteOne" => delete::delete(source, handles, arguments, delete::Extent::One).await,
        "deleteMany" => delete::delete(source, handles, arguments, delete::Extent::Many).await,
        "findOneAndUpdate" => find_and_modify::find_one_and_update(source, handles, arguments).await,
        "findOneAndReplace" => find_and_modify::find_one_and_replace(source, handles, arguments).await,
        "findOneAndDelete" => find_and_modify::find_one_and_delete(source, handles, arguments).await,
        "bulkWrite" => bulk_write::bulk_write(source, handles, arguments).await,
        "getCollectionNames" => names::collection_names(source, arguments).await,
        "getDBNames" => names::database_names(source).await,
        "commitTransaction" => session::commit(handles, arguments).await,
        "abortTransaction" => session::abort(handles, arguments).await,
        "endSession" => session::end(handles, arguments).await,
        _ => Err(ServiceError::UnknownAction { service: service.to_owned(), action: action.to_owned() }),
    }
}

fn access(action: &str) -> Option<Access> {
    Some(match action {
        "find" | "findOne" | "aggregate" | "count" | "distinct" | "watch" | "getCollectionNames" | "getDBNames" => {
            Access::Read
        }
        "insertOne" | "insertMany" | "updateOne" | "updateMany" | "replaceOne" | "deleteOne" | "deleteMany"
        | "findOneAndUpdate" | "findOneAndReplace" | "findOneAndDelete" | "bulkWrite" => Access::Write,
        "getMore" | "killCursor" | "commitTransaction" | "abortTransaction" | "endSession" => Access::Handle,
        _ => return None,
    })
}
