//! `watch`: changes of a collection as they happen, for the client API's event stream. A cursor whose batches may be empty,
//! and which does not end by itself.
//!
//! `filter` is a query on events, such as `{"fullDocument.owner": "x"}`; `ids` are `_id`s of documents. Updates come with the
//! document as it is when the event is read.

use std::time::Duration;

use bson::raw::{RawArrayBuf, RawDocumentBuf};
use bson::{Bson, Document, doc};
use mongodb::change_stream::ChangeStream;
use mongodb::options::FullDocumentType;
use rules::Permitted;

use super::connection::DataSource;
use super::cursor::{self, OpenCursor, Sight};
use super::filter::filter;
use super::handles::OpenHandles;
use crate::ServiceError;
use crate::arguments::Arguments;
use crate::error::Reply;

/// How long one `getMore` waits for an event.
const WAIT: Duration = Duration::from_secs(1);

/// Events in one batch.
const EVENTS_MAX: usize = 100;

/// A stream of events.
pub(crate) struct Changes {
    stream: ChangeStream<Document>,
}

/// `watch {db, collection, filter?, ids?}` → `{cursor, documents}` without documents.
pub(crate) async fn watch(source: &DataSource, handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    open(source, handles, arguments, filter(arguments)?, Sight::System).await
}

pub(crate) async fn open(
    source: &DataSource,
    handles: &OpenHandles,
    arguments: Arguments<'_>,
    mut condition: Document,
    sight: Sight,
) -> Reply {
    if let Some(ids) = arguments.optional_raw_array("ids")? {
        let ids = ids.into_iter().map(|id| Bson::try_from(id?)).collect::<Result<Vec<_>, _>>()?;
        condition = doc! { "$and": [condition, { "documentKey._id": { "$in": ids } }] };
    }
    let collection = source.collection::<Document>(arguments.text("db")?, arguments.text("collection")?);
    let stages = (!condition.is_empty()).then(|| doc! { "$match": condition });
    let stream = collection
        .watch()
        .pipeline(stages)
        .full_document(FullDocumentType::UpdateLookup)
        .max_await_time(WAIT)
        .await?
        .with_type::<Document>();
    let id = handles.keep_cursor(OpenCursor::of_changes(Changes { stream }, sight))?;
    Ok(cursor::empty(id))
}

impl Changes {
    /// Events that have come, or the next one within [`WAIT`]; `None` once there will be no more.
    pub async fn next(&mut self, sight: &mut Sight) -> Result<Option<Permitted<RawArrayBuf>>, ServiceError> {
        let mut events = Permitted::none();
        for _ in 0..EVENTS_MAX {
            // The second one may not wait as long: the first is due.
            let event = match events.get().into_iter().next().is_some() {
                false => self.stream.next_if_any().await?,
                true => match tokio::time::timeout(Duration::from_millis(5), self.stream.next_if_any()).await {
                    Ok(event) => event?,
                    Err(_) => None,
                },
            };
            let Some(event) = event else { break };
            let event = match sight {
                Sight::System | Sight::Exact(_) | Sight::Derived(_) => {
                    Some(Permitted::granted_without_rules_to_the_system_user(event))
                }
                Sight::Each(visible) => visible.view_change(&event).await?,
            };
            if let Some(event) = event {
                events.push(event.map(|event| RawDocumentBuf::try_from(&event).unwrap_or_default()));
            }
        }
        match self.stream.is_alive() || events.get().into_iter().next().is_some() {
            true => Ok(Some(events)),
            false => Ok(None),
        }
    }
}
