//! Cursors: batches as the server sends them, bytes untouched.

use std::sync::Arc;

use bson::cstr;
use bson::raw::{RawArrayBuf, RawDocumentBuf};
use futures::StreamExt;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor, SessionRawBatchCursor};
use tokio::sync::Mutex as AsyncMutex;

use super::handles::OpenHandles;
use super::session::{OpenSession, SessionUse};
use crate::ServiceError;
use crate::arguments::Arguments;
use crate::error::Reply;

/// A cursor with batches left to fetch.
pub(crate) struct OpenCursor {
    batches: Batches,
    /// Documents it may still give before it ends silently.
    documents_left: usize,
}

enum Batches {
    Alone(RawBatchCursor),
    InSession(SessionRawBatchCursor, Arc<AsyncMutex<OpenSession>>),
}

/// One batch, ready to send.
struct Batch {
    documents: RawArrayBuf,
    is_last: bool,
}

/// Answers with the first batch of a cursor that belongs to no session: `{cursor, documents}`. `cursor` is 0 when that was
/// all, else the number to ask `getMore` with.
pub(crate) async fn open(handles: &OpenHandles, cursor: RawBatchCursor) -> Reply {
    let mut cursor =
        OpenCursor { batches: Batches::Alone(cursor), documents_left: handles.limits().documents_per_query_max };
    let Batches::Alone(batches) = &mut cursor.batches else { return Err(ServiceError::RunEnded) };
    let first = batches.next().await.transpose()?;
    first_batch(handles, cursor, first)
}

/// The same for a cursor of a session, which the operation still holds.
pub(crate) async fn open_in_session(
    handles: &OpenHandles,
    mut cursor: SessionRawBatchCursor,
    mut session: SessionUse,
) -> Reply {
    let first = cursor.stream(session.session()).next().await.transpose()?;
    let cursor = OpenCursor {
        batches: Batches::InSession(cursor, Arc::clone(&session.shared)),
        documents_left: handles.limits().documents_per_query_max,
    };
    first_batch(handles, cursor, first)
}

fn first_batch(handles: &OpenHandles, mut cursor: OpenCursor, first: Option<RawBatch>) -> Reply {
    let batch = cursor.take(first)?;
    let id = if batch.is_last { 0 } else { handles.keep_cursor(cursor)? };
    Ok(reply(id, &batch))
}

/// `getMore {cursor}` → `{cursor, documents}`. The number of a cursor that has ended answers an empty last batch.
pub(crate) async fn get_more(handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let id = cursor_id(arguments)?;
    let Some(shared) = handles.cursor(id) else {
        return Ok(reply(0, &Batch { documents: RawArrayBuf::new(), is_last: true }));
    };
    let mut cursor = shared.lock().await;
    let next = cursor.next().await;
    let batch = next.and_then(|next| cursor.take(next));
    match batch {
        Ok(batch) if batch.is_last => {
            handles.forget_cursor(id);
            Ok(reply(0, &batch))
        }
        Ok(batch) => Ok(reply(id, &batch)),
        Err(error) => {
            handles.forget_cursor(id);
            Err(error)
        }
    }
}

/// `killCursor {cursor}` → `{}`. The server is told in the background.
pub(crate) fn kill(handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    drop(handles.forget_cursor(cursor_id(arguments)?));
    Ok(RawDocumentBuf::new())
}

/// The first document of a query that asked for one batch with one document.
pub(crate) async fn only_document(cursor: RawBatchCursor) -> Result<Option<RawDocumentBuf>, ServiceError> {
    let mut cursor = cursor;
    first_document(cursor.next().await.transpose()?)
}

/// The same for a cursor of a session.
pub(crate) async fn only_document_in_session(
    mut cursor: SessionRawBatchCursor,
    session: &mut SessionUse,
) -> Result<Option<RawDocumentBuf>, ServiceError> {
    let first = cursor.stream(session.session()).next().await.transpose()?;
    first_document(first)
}

fn first_document(batch: Option<RawBatch>) -> Result<Option<RawDocumentBuf>, ServiceError> {
    let Some(batch) = batch else { return Ok(None) };
    let first = batch.doc_slices()?.into_iter().next().transpose()?;
    Ok(first.and_then(|first| first.as_document()).map(ToOwned::to_owned))
}

impl OpenCursor {
    async fn next(&mut self) -> Result<Option<RawBatch>, ServiceError> {
        Ok(match &mut self.batches {
            Batches::Alone(cursor) => cursor.next().await.transpose()?,
            Batches::InSession(cursor, session) => {
                let mut session = session.lock().await;
                cursor.stream(session.client_session()).next().await.transpose()?
            }
        })
    }

    fn take(&mut self, batch: Option<RawBatch>) -> Result<Batch, ServiceError> {
        let Some(batch) = batch else {
            return Ok(Batch { documents: RawArrayBuf::new(), is_last: true });
        };
        let documents = batch.doc_slices()?;
        let mut count = 0;
        for document in documents {
            document?;
            count += 1;
        }
        if count >= self.documents_left {
            let kept = documents.into_iter().take(self.documents_left).filter_map(Result::ok).collect();
            self.documents_left = 0;
            return Ok(Batch { documents: kept, is_last: true });
        }
        self.documents_left -= count;
        Ok(Batch { documents: documents.to_owned(), is_last: is_last(&batch) })
    }
}

/// Whether the server has closed its side.
fn is_last(batch: &RawBatch) -> bool {
    let id = batch.as_raw_document().get_document("cursor").and_then(|cursor| cursor.get_i64("id"));
    id.map_or(true, |id| id == 0)
}

fn reply(id: i32, batch: &Batch) -> RawDocumentBuf {
    let mut reply = RawDocumentBuf::new();
    reply.append(cstr!("cursor"), id);
    reply.append(cstr!("documents"), &batch.documents);
    reply
}

fn cursor_id(arguments: Arguments<'_>) -> Result<i32, ServiceError> {
    let id = arguments.integer("cursor")?.and_then(|id| i32::try_from(id).ok());
    id.ok_or_else(|| arguments.invalid("cursor", "an integer"))
}
