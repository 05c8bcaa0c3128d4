//! Cursors: batches as the server sends them, bytes untouched.

use std::sync::Arc;

use bson::cstr;
use bson::raw::{RawArrayBuf, RawDocumentBuf};
use futures::StreamExt;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor, SessionRawBatchCursor};
use tokio::sync::Mutex as AsyncMutex;

use rules::{Literals, Permitted, ReadPlan};

use super::as_user::Visible;
use super::handles::OpenHandles;
use super::session::{OpenSession, SessionUse};
use super::watch::Changes;
use crate::ServiceError;
use crate::arguments::Arguments;
use crate::error::Reply;

/// A cursor with batches left to fetch.
pub(crate) struct OpenCursor {
    batches: Source,
    sight: Sight,
    /// Documents it may still give before it ends silently.
    documents_left: usize,
}

/// Where documents come from.
enum Source {
    Batches(Box<RawBatches>),
    Changes(Box<Changes>),
}

/// What makes documents of the database permitted ones.
pub(crate) enum Sight {
    /// Nothing has to: the system user asked.
    System,
    /// Every match of the query is visible as a whole.
    Exact(ReadPlan),
    /// The database computes with permitted documents only.
    Derived(Literals),
    /// Each has to be asked for.
    Each(Box<Visible>),
}

/// Batches as the server sends them.
pub(crate) enum RawBatches {
    /// Of a cursor that belongs to no session.
    Alone(RawBatchCursor),
    /// Of a session's cursor, while nothing else uses the session.
    Held(SessionRawBatchCursor, SessionUse),
    /// Of a session's cursor between calls.
    InSession(SessionRawBatchCursor, Arc<AsyncMutex<OpenSession>>),
}

/// One batch, ready to send.
struct Batch {
    documents: Permitted<RawArrayBuf>,
    is_last: bool,
}

impl RawBatches {
    pub fn alone(cursor: RawBatchCursor) -> Self {
        Self::Alone(cursor)
    }

    pub fn in_session(cursor: SessionRawBatchCursor, session: SessionUse) -> Self {
        Self::Held(cursor, session)
    }

    pub async fn next(&mut self) -> Result<Option<RawBatch>, ServiceError> {
        Ok(match self {
            Self::Alone(cursor) => cursor.next().await.transpose()?,
            Self::Held(cursor, session) => cursor.stream(session.session()).next().await.transpose()?,
            Self::InSession(cursor, session) => {
                let mut session = session.lock().await;
                cursor.stream(session.client_session()).next().await.transpose()?
            }
        })
    }

    /// Lets others use the session until the next batch is asked for.
    fn release(self) -> Self {
        match self {
            Self::Held(cursor, session) => Self::InSession(cursor, Arc::clone(&session.shared)),
            other => other,
        }
    }
}

/// Answers with the first batch of a cursor that belongs to no session: `{cursor, documents}`. `cursor` is 0 when that was
/// all, else the number to ask `getMore` with.
pub(crate) async fn open(handles: &OpenHandles, cursor: RawBatchCursor, sight: Sight) -> Reply {
    first_batch(handles, RawBatches::alone(cursor), sight).await
}

/// The same for a cursor of a session, which the operation still holds.
pub(crate) async fn open_in_session(
    handles: &OpenHandles,
    cursor: SessionRawBatchCursor,
    session: SessionUse,
    sight: Sight,
) -> Reply {
    first_batch(handles, RawBatches::in_session(cursor, session), sight).await
}

/// The answer of a query that has given nothing yet.
pub(crate) fn empty(id: i32) -> RawDocumentBuf {
    reply(id, &Batch { documents: Permitted::none(), is_last: false })
}

/// The answer of a query that cannot match anything.
pub(crate) fn nothing() -> RawDocumentBuf {
    reply(0, &Batch { documents: Permitted::none(), is_last: true })
}

async fn first_batch(handles: &OpenHandles, batches: RawBatches, sight: Sight) -> Reply {
    let mut cursor = OpenCursor {
        batches: Source::Batches(Box::new(batches)),
        sight,
        documents_left: handles.limits().documents_per_query_max,
    };
    let batch = cursor.next().await?;
    if let Source::Batches(batches) = cursor.batches {
        cursor.batches = Source::Batches(Box::new(batches.release()));
    }
    let id = if batch.is_last { 0 } else { handles.keep_cursor(cursor)? };
    Ok(reply(id, &batch))
}

/// `getMore {cursor}` → `{cursor, documents}`. The number of a cursor that has ended answers an empty last batch.
pub(crate) async fn get_more(handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let id = cursor_id(arguments)?;
    let Some(shared) = handles.cursor(id) else { return Ok(nothing()) };
    let mut cursor = shared.lock().await;
    match cursor.next().await {
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

/// The first document of a query that may be seen.
pub(crate) async fn first_document(
    mut batches: RawBatches,
    sight: &mut Sight,
) -> Result<Option<Permitted<RawDocumentBuf>>, ServiceError> {
    while let Some(batch) = batches.next().await? {
        for document in batch.doc_slices()? {
            let Some(document) = document?.as_document() else { continue };
            let shown = match sight {
                Sight::System => Some(Permitted::granted_without_rules_to_the_system_user(document.to_owned())),
                Sight::Exact(plan) => plan.permit(document.to_owned()),
                Sight::Derived(literals) => Some(literals.permit_result(document.to_owned())),
                Sight::Each(visible) => visible.view(document).await?,
            };
            if shown.is_some() {
                return Ok(shown);
            }
        }
    }
    Ok(None)
}

/// Documents looked at before other work of the thread gets its turn.
const DOCUMENTS_AT_ONCE: usize = 500;

impl OpenCursor {
    /// The next batch that holds something, or the last one.
    async fn next(&mut self) -> Result<Batch, ServiceError> {
        let batches = match &mut self.batches {
            Source::Batches(batches) => batches,
            Source::Changes(changes) => {
                return Ok(match changes.next(&mut self.sight).await? {
                    Some(documents) => Batch { documents, is_last: false },
                    None => Batch { documents: Permitted::none(), is_last: true },
                });
            }
        };
        loop {
            let Some(raw) = batches.next().await? else {
                return Ok(Batch { documents: Permitted::none(), is_last: true });
            };
            let batch = match &mut self.sight {
                Sight::Each(visible) => view(visible, &mut self.documents_left, &raw).await?,
                Sight::System | Sight::Exact(_) | Sight::Derived(_) => {
                    take(&self.sight, &mut self.documents_left, &raw)?
                }
            };
            if batch.is_last || batch.documents.get().into_iter().next().is_some() {
                return Ok(batch);
            }
        }
    }

    /// A cursor over changes.
    pub fn of_changes(changes: Changes, sight: Sight) -> Self {
        Self { batches: Source::Changes(Box::new(changes)), sight, documents_left: usize::MAX }
    }
}

/// A batch that nothing has to be taken out of.
fn take(sight: &Sight, documents_left: &mut usize, batch: &RawBatch) -> Result<Batch, ServiceError> {
    let documents = batch.doc_slices()?;
    let mut count = 0;
    for document in documents {
        document?;
        count += 1;
    }
    let (kept, is_last) = if count >= *documents_left {
        let kept = documents.into_iter().take(*documents_left).filter_map(Result::ok).collect();
        *documents_left = 0;
        (kept, true)
    } else {
        *documents_left -= count;
        (documents.to_owned(), is_last(batch))
    };
    let documents = match sight {
        Sight::System => Permitted::granted_without_rules_to_the_system_user(kept),
        Sight::Exact(plan) => plan.permit_all(kept).unwrap_or_else(Permitted::none),
        Sight::Derived(literals) => literals.permit_result(kept),
        Sight::Each(_) => Permitted::none(),
    };
    Ok(Batch { documents, is_last })
}

async fn view(visible: &mut Visible, documents_left: &mut usize, batch: &RawBatch) -> Result<Batch, ServiceError> {
    let mut documents = Permitted::none();
    for (index, document) in batch.doc_slices()?.into_iter().enumerate() {
        let Some(document) = document?.as_document() else { continue };
        if index % DOCUMENTS_AT_ONCE == DOCUMENTS_AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        if let Some(shown) = visible.view(document).await? {
            documents.push(shown);
            *documents_left = documents_left.saturating_sub(1);
        }
        if *documents_left == 0 || visible.is_done() {
            return Ok(Batch { documents, is_last: true });
        }
    }
    Ok(Batch { documents, is_last: is_last(batch) })
}

/// Whether the server has closed its side.
fn is_last(batch: &RawBatch) -> bool {
    let id = batch.as_raw_document().get_document("cursor").and_then(|cursor| cursor.get_i64("id"));
    id.map_or(true, |id| id == 0)
}

fn reply(id: i32, batch: &Batch) -> RawDocumentBuf {
    let mut reply = RawDocumentBuf::new();
    reply.append(cstr!("cursor"), id);
    reply.append(cstr!("documents"), batch.documents.get());
    reply
}

fn cursor_id(arguments: Arguments<'_>) -> Result<i32, ServiceError> {
    let id = arguments.integer("cursor")?.and_then(|id| i32::try_from(id).ok());
    id.ok_or_else(|| arguments.invalid("cursor", "an integer"))
}
