//! An embedded, durable document store that answers the MongoDB wire protocol.
//!
//! It hides its storage engine, the files of its data directory and the whole of MongoDB's command and query language
//! behind a connection string: open a directory with [`open`], give [`Server::uri`] to any MongoDB driver, end with
//! [`Server::shutdown`]. [`verify`], [`dump`] and [`restore`] work on a directory that nobody has open.
//!
//! Reading order: `server` (sockets and life), `wire` (messages), `commands` (one function per command), `plan` (which
//! index), `documents` (documents and their index entries), `store` (transactions), `storage` (the engine);
//! [`query`] and [`aggregate`] are the query language, without any I/O.
//!
//! Invariants: an acknowledged write is on disk; a transaction is visible wholly or not at all; index entries change in
//! the batch of their document; nothing a client sends can harm another connection; only `storage` names the engine.

pub mod aggregate;
mod bytes;
mod catalog;
mod changes;
mod commands;
mod cursor;
mod deadline;
mod documents;
mod dump;
pub mod error;
mod plan;
pub mod query;
mod server;
mod session;
mod storage;
mod store;
mod verify;
mod wire;

pub use dump::{Moved, dump, restore};
pub use error::{CommandError, Error};
pub use server::{Options, Server, open};
pub use verify::{CollectionReport, verify};

/// Random bytes for ids; nothing secret hangs on them.
fn random_bytes<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    if getrandom::fill(&mut bytes).is_err() {
        // Unheard of on the systems we run on; ids then come from the ObjectId generator.
        for chunk in bytes.chunks_mut(12) {
            let id = bson::oid::ObjectId::new().bytes();
            chunk.copy_from_slice(&id[..chunk.len()]);
        }
    }
    bytes
}

fn random_u64() -> u64 {
    u64::from_le_bytes(random_bytes())
}

/// A UUID of version 4.
fn random_uuid() -> [u8; 16] {
    let mut uuid: [u8; 16] = random_bytes();
    uuid[6] = uuid[6] & 0x0F | 0x40;
    uuid[8] = uuid[8] & 0x3F | 0x80;
    uuid
}
