//! Tailable cursors: a find on a capped collection that goes on where it ended.
//! Source: MongoDB manual, "Tailable Cursors".

use std::sync::Arc;

use bson::raw::RawDocumentBuf;

use super::read::to_raw_buf;
use crate::bytes;
use crate::catalog::{Collection, Namespace};
use crate::cursor::Live;
use crate::deadline;
use crate::error::{CommandError, CommandResult, code};
use crate::query::{Filter, Projection};
use crate::store::{Scan, Store, record_id};

/// A find that never ends by itself.
pub struct Tailable {
    store: Arc<Store>,
    namespace: Namespace,
    collection: u32,
    filter: Arc<Filter>,
    projection: Option<Projection>,
    /// Still to skip.
    skip: usize,
    /// Still to return.
    limit: Option<usize>,
    awaits: bool,
    /// Record last looked at.
    after: Option<u64>,
    scan: Option<Scan>,
    is_over: bool,
}

/// What of a find a tailable cursor needs.
pub struct Query {
    /// The filter.
    pub filter: Arc<Filter>,
    /// The projection.
    pub projection: Option<Projection>,
    /// Documents to leave out at the beginning.
    pub skip: usize,
    /// Documents to return at most.
    pub limit: Option<usize>,
    /// `awaitData`.
    pub awaits: bool,
}

impl Tailable {
    /// A cursor on a capped collection.
    ///
    /// Errors: `BadValue` (2) for any other.
    pub fn new(store: &Arc<Store>, collection: &Arc<Collection>, query: Query) -> CommandResult<Self> {
        if collection.capped.is_none() {
            return Err(CommandError::bad_value(format!(
                "error processing query: ns={}: tailable cursor requested on non capped collection",
                collection.namespace
            )));
        }
        let now = store.read();
        let is_empty = now.view().records(collection, None, false).next().transpose()?.is_none();
        Ok(Self {
            store: Arc::clone(store),
            namespace: collection.namespace.clone(),
            collection: collection.id,
            filter: query.filter,
            projection: query.projection,
            skip: query.skip,
            limit: query.limit,
            awaits: query.awaits,
            after: None,
            scan: None,
            // As in MongoDB, there is no end of an empty collection to wait at.
            is_over: is_empty,
        })
    }

    /// The documents behind the last one looked at.
    fn open_scan(&self) -> CommandResult<Scan> {
        let now = self.store.read();
        let collection = now.collection(&self.namespace).filter(|collection| collection.id == self.collection);
        let Some(collection) = collection else {
            return Err(CommandError::new(
                code::QUERY_PLAN_KILLED,
                format!("collection dropped or renamed: {}", self.namespace),
            ));
        };
        if let Some(after) = self.after
            && now.view().record(&collection, after)?.is_none()
        {
            return Err(CommandError::new(
                code::CAPPED_POSITION_LOST,
                format!(
                    "CollectionScan died due to position in capped collection being deleted. Last seen record id: RecordId({after})"
                ),
            ));
        }
        Ok(now.view().records(&collection, self.after, false))
    }
}

impl Live for Tailable {
    fn next(&mut self) -> CommandResult<Option<RawDocumentBuf>> {
        if self.is_over {
            return Ok(None);
        }
        let mut scan = match self.scan.take() {
            Some(scan) => scan,
            None => self.open_scan()?,
        };
        while let Some(pair) = scan.next().transpose()? {
            deadline::check()?;
            let (key, stored) = pair;
            self.after = record_id(&key);
            let document = bytes::to_raw(&stored)?;
            let Some(details) = self.filter.match_details(document)? else { continue };
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            if let Some(left) = &mut self.limit {
                *left = left.saturating_sub(1);
                self.is_over = *left == 0;
            }
            self.scan = Some(scan);
            return match &self.projection {
                Some(projection) => bytes::raw_from_document(&projection.apply(document, Some(details))?).map(Some),
                None => to_raw_buf(&stored).map(Some),
            };
        }
        Ok(None)
    }

    fn awaits(&self) -> bool {
        self.awaits
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn pause(&mut self) {
        self.scan = None;
    }

    fn resume_token(&self) -> Option<RawDocumentBuf> {
        None
    }
}
