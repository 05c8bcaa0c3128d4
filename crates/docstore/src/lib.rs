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

/// Doors for the fuzz targets: parsers of what clients send. Not part of the crate's promises.
#[doc(hidden)]
pub mod fuzzing {
    use crate::{bytes, wire};

    /// Reads a message as a connection does. What is taken for a command can be encoded again.
    pub fn message(mut data: &[u8]) {
        while let Ok(message) = wire::read(&mut data) {
            if let Ok(body) = &message.body {
                bytes::from_document(body).expect("what was decoded can be encoded");
            }
            for (_, documents) in &message.sequences {
                documents.iter().for_each(|document| self::document(document.as_bytes()));
            }
        }
    }

    /// Checks bytes as a document from a client. What passes can be read in full, and comes back as it was.
    pub fn document(data: &[u8]) {
        if bytes::check(data).is_err() {
            return;
        }
        let decoded = bytes::to_document(data).expect("what was checked can be decoded");
        let encoded = bytes::from_document(&decoded).expect("what was decoded can be encoded");
        bytes::check(&encoded).expect("what was encoded is right");
        let again = bytes::to_document(&encoded).expect("what was encoded can be decoded");
        assert!(crate::query::value::identical_documents(&decoded, &again), "{decoded} became {again}");
        let key =
            |document: &bson::Document| crate::query::order_key((&bson::Bson::Document(document.clone())).into(), None);
        assert_eq!(key(&decoded), key(&again));
    }
}
