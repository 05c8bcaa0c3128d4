//! Retryable writes: what a session's last one did, so that sending it again changes nothing.
//!
//! The record is written in the same batch as the writes themselves and so survives what they survive.
//! Source: drivers' specification "Retryable Writes".

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Bson, Document, doc};

use super::Call;
use crate::error::CommandResult;
use crate::server::Shared;
use crate::store::{Writer, Writes};
use crate::{bytes, query::ValueRef};

/// The retryable write a command is, if it is one.
pub struct Retry {
    session: Vec<u8>,
    number: i64,
    first_statement: i32,
    statements: Vec<i32>,
    /// Statements done under this number, and what they did.
    done: BTreeMap<i32, Document>,
    added: bool,
}

impl Retry {
    /// Reads what is known about the command's number. `None`: not a retryable write.
    pub fn of(call: &Call<'_>) -> CommandResult<Option<Self>> {
        let (Some(session), Some(number), None) = (&call.session, call.number, &call.transaction) else {
            return Ok(None);
        };
        let mut done = BTreeMap::new();
        if let Some(stored) = call.shared.store.read().view().retryable(session)? {
            let record = bytes::to_document(&stored)?;
            if record.get_i64("number").is_ok_and(|known| known == number)
                && let Ok(statements) = record.get_array("statements")
            {
                for statement in statements.iter().filter_map(Bson::as_document) {
                    let id = statement.get_i32("id").unwrap_or(0);
                    let did = statement.get_document("did").cloned().unwrap_or_default();
                    // One record stands for a run of plain inserts.
                    let count = statement.get_i32("count").unwrap_or(1);
                    done.extend((id..id.saturating_add(count)).map(|id| (id, did.clone())));
                }
            }
        }
        let first_statement = super::fields::integer(call.body, "stmtId")?.and_then(|id| i32::try_from(id).ok());
        let statements = match call.body.get_array("stmtIds") {
            Ok(ids) => ids
                .iter()
                .filter_map(|id| ValueRef::from(id).as_exact_i64())
                .filter_map(|id| i32::try_from(id).ok())
                .collect(),
            Err(_) => Vec::new(),
        };
        Ok(Some(Self {
            session: session.clone(),
            number,
            first_statement: first_statement.unwrap_or(0),
            statements,
            done,
            added: false,
        }))
    }

    fn id(&self, index: usize) -> i32 {
        self.statements
            .get(index)
            .copied()
            .unwrap_or_else(|| self.first_statement.saturating_add(i32::try_from(index).unwrap_or(i32::MAX)))
    }

    /// What the statement at this offset did when it was sent before.
    pub fn earlier(&self, index: usize) -> Option<&Document> {
        let id = self.id(index);
        self.done.get(&id)
    }

    /// Notes what the statement at this offset did.
    pub fn note(&mut self, index: usize, did: Document) {
        self.done.insert(self.id(index), did);
        self.added = true;
    }

    /// Writes the record, in the batch of the command's own writes.
    pub fn save(&self, writes: &mut Writes<'_>) -> CommandResult<()> {
        if !self.added {
            return Ok(());
        }
        let record = self.to_document();
        writes.statement(|writer: &mut Writer<'_>| writer.put_retryable(&self.session, &record))
    }

    fn to_document(&self) -> Document {
        let mut statements: Vec<(i32, i32, &Document)> = Vec::new();
        for (id, did) in &self.done {
            match statements.last_mut() {
                Some((first, count, last)) if *last == did && *first + *count == *id => *count += 1,
                _ => statements.push((*id, 1, did)),
            }
        }
        let statements: Vec<Bson> = statements
            .into_iter()
            .map(|(id, count, did)| Bson::Document(doc! { "id": id, "count": count, "did": did.clone() }))
            .collect();
        doc! { "number": self.number, "statements": statements }
    }
}

/// Removes the records of sessions that ended.
pub fn forget(shared: &Arc<Shared>, sessions: &[Vec<u8>]) {
    let mut writes = Writes::auto(&shared.store);
    let outcome = writes.statement(|writer| {
        for session in sessions {
            if writer.view().retryable(session)?.is_some() {
                writer.remove_retryable(session)?;
            }
        }
        Ok(())
    });
    if let Err(error) = outcome.and_then(|()| writes.finish(false)) {
        tracing::warn!(%error, "cannot forget the retryable writes of ended sessions");
    }
}
