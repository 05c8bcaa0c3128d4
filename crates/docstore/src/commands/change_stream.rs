//! `$changeStream`: what is committed, as it is committed.
//!
//! A stream is a place in the log of changes, a choice of namespaces, and the stages behind it. Its resume token is a
//! place in the log: a cluster time, the number of the change in the batch of that time, and what the token stands for.
//! Source: MongoDB manual, "Change Streams", "Change Events", "$changeStream (aggregation)".

use std::collections::VecDeque;
use std::sync::Arc;

use bson::raw::{RawDocumentBuf, cstr};
use bson::{Bson, Timestamp};
use parking_lot::Mutex;

use super::access::Access;
use super::{Call, ReadPoint, Reply, fields};
use crate::aggregate::{Pipeline, PipelineOptions, Row, Rows};
use crate::bytes::DOCUMENT_BYTES_MAX;
use crate::catalog::Namespace;
use crate::changes::{Entry, Kind, Logged};
use crate::cursor::{Cursor, Live};
use crate::documents;
use crate::error::{CommandError, CommandResult, code};
use crate::query::ValueRef;
use crate::server::Shared;
use crate::store::{LogScan, timestamp};

/// Label of errors after which a driver does not open the stream again.
const NON_RESUMABLE: &str = "NonResumableChangeStreamError";
/// Stages a stream may have behind `$changeStream`.
const ALLOWED_STAGES: &[&str] =
    &["$match", "$project", "$addFields", "$set", "$unset", "$replaceRoot", "$replaceWith", "$redact"];
/// Databases whose changes are no events.
const INTERNAL_DATABASES: [&str; 3] = ["admin", "config", "local"];

/// What a stream watches.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    Collection(Namespace),
    Database(String),
    Deployment,
}

impl Scope {
    fn covers(&self, namespace: &Namespace) -> bool {
        match self {
            Self::Collection(collection) => collection == namespace,
            Self::Database(database) => *database == namespace.database && !is_internal(&namespace.collection),
            Self::Deployment => {
                !INTERNAL_DATABASES.contains(&namespace.database.as_str()) && !is_internal(&namespace.collection)
            }
        }
    }

    /// Is a change of this stream's business? A rename is where it comes from and where it leads to.
    fn wants(&self, change: &Logged) -> bool {
        self.covers(&change.namespace) || rename_target(change).is_some_and(|target| self.covers(&target))
    }

    /// Must entries of the namespace be decoded to decide?
    fn may_want(&self, kind: Kind, namespace: &Namespace) -> bool {
        kind == Kind::Rename || self.covers(namespace)
    }

    /// Does the change end the stream?
    fn ends_with(&self, change: &Logged) -> bool {
        match self {
            Self::Collection(_) => matches!(change.kind, Kind::Drop | Kind::Rename),
            Self::Database(_) => change.kind == Kind::DropDatabase,
            Self::Deployment => false,
        }
    }
}

fn is_internal(collection: &str) -> bool {
    collection.starts_with("system.")
}

fn rename_target(change: &Logged) -> Option<Namespace> {
    if change.kind != Kind::Rename {
        return None;
    }
    let to = change.parts.first()?.get_document("to").ok()?;
    Some(Namespace { database: to.get_str("db").ok()?.to_owned(), collection: to.get_str("coll").ok()?.to_owned() })
}

/// What a resume token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    /// Everything up to its time.
    Time = 0,
    Event = 1,
    /// The end of the stream behind an event.
    Invalidate = 2,
}

/// A place in the log, behind which a stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    time: u64,
    index: u32,
    sort: Sort,
}

impl Place {
    /// Behind everything of this time.
    fn after_time(time: u64) -> Self {
        Self { time, index: u32::MAX, sort: Sort::Time }
    }

    /// `{ _data: <hexadecimal digits> }`; tokens of later events are greater.
    fn to_token(self) -> RawDocumentBuf {
        let mut data = vec![0x82];
        data.extend_from_slice(&self.time.to_be_bytes());
        data.extend_from_slice(&self.index.to_be_bytes());
        data.push(self.sort as u8);
        let mut token = RawDocumentBuf::new();
        token.append(cstr!("_data"), hex::encode_upper(data));
        token
    }

    /// Errors: 40649 for what is no document, `FailedToParse` (9) for digits that no stream gave out.
    fn from_token(token: &Bson) -> CommandResult<Self> {
        let Bson::Document(document) = token else {
            return Err(CommandError::type_mismatch(format!(
                "BSON field '$changeStream.resumeAfter' is the wrong type '{}', expected type 'object'",
                ValueRef::from(token).type_name()
            )));
        };
        let data = match document.get("_data") {
            Some(Bson::String(data)) => data,
            _ => {
                return Err(CommandError::new(
                    40647,
                    format!("Bad resume token: _data of missing or of wrong type: {document}"),
                ));
            }
        };
        let bad = || {
            CommandError::failed_to_parse(format!("resume token string was not a valid hex string of a token: {data}"))
        };
        let digits = hex::decode(data).map_err(|_| bad())?;
        let (Some(0x82), 14) = (digits.first().copied(), digits.len()) else { return Err(bad()) };
        let (time, index) = (&digits[1..9], &digits[9..13]);
        Ok(Self {
            time: <[u8; 8]>::try_from(time).map(u64::from_be_bytes).map_err(|_| bad())?,
            index: <[u8; 4]>::try_from(index).map(u32::from_be_bytes).map_err(|_| bad())?,
            sort: match digits[13] {
                0 => Sort::Time,
                1 => Sort::Event,
                2 => Sort::Invalidate,
                _ => return Err(bad()),
            },
        })
    }
}

/// Which document beside the change an event shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Image {
    Off,
    Lookup,
    WhenAvailable,
    Required,
}

/// `$changeStream`, read.
struct Specification {
    scope: Scope,
    full_document: Image,
    before: Image,
    expanded: bool,
    start: Start,
}

enum Start {
    Now,
    /// The first event may have this time.
    At(u64),
    After(Place),
}

fn wrong_choice(name: &str, value: &Bson) -> CommandError {
    CommandError::bad_value(format!(
        "Enumeration value '{}' for field '$changeStream.{name}' is not a valid value.",
        value.as_str().unwrap_or_default()
    ))
}

impl Specification {
    fn parse(call: &Call<'_>, namespace: Option<Namespace>, given: &Bson) -> CommandResult<Self> {
        let Bson::Document(given) = given else {
            return Err(CommandError::new(
                50808,
                format!(
                    "the $changeStream stage specification must be an object, found {}",
                    ValueRef::from(given).type_name()
                ),
            ));
        };
        let mut found = Self {
            scope: Scope::Deployment,
            full_document: Image::Off,
            before: Image::Off,
            expanded: false,
            start: Start::Now,
        };
        let mut starts = 0;
        let mut all_changes = false;
        for (name, value) in given {
            match name.as_str() {
                "fullDocument" => {
                    found.full_document = match value.as_str() {
                        Some("default") => Image::Off,
                        Some("updateLookup") => Image::Lookup,
                        Some("whenAvailable") => Image::WhenAvailable,
                        Some("required") => Image::Required,
                        _ => return Err(wrong_choice(name, value)),
                    }
                }
                "fullDocumentBeforeChange" => {
                    found.before = match value.as_str() {
                        Some("off") => Image::Off,
                        Some("whenAvailable") => Image::WhenAvailable,
                        Some("required") => Image::Required,
                        _ => return Err(wrong_choice(name, value)),
                    }
                }
                "resumeAfter" | "startAfter" => {
                    starts += 1;
                    let place = Place::from_token(value)?;
                    if name == "resumeAfter" && place.sort == Sort::Invalidate {
                        return Err(CommandError::new(
                            code::INVALID_RESUME_TOKEN,
                            "Attempting to resume a change stream using 'resumeAfter' is not allowed from an invalidate notification.",
                        ));
                    }
                    found.start = Start::After(place);
                }
                "startAtOperationTime" => {
                    starts += 1;
                    let Bson::Timestamp(Timestamp { time, increment }) = value else {
                        return Err(CommandError::type_mismatch(format!(
                            "BSON field '$changeStream.startAtOperationTime' is the wrong type '{}', expected type 'timestamp'",
                            ValueRef::from(value).type_name()
                        )));
                    };
                    found.start = Start::At(u64::from(*time) << 32 | u64::from(*increment));
                }
                "allChangesForCluster" => all_changes = fields::boolean(given, name)?.unwrap_or(false),
                "showExpandedEvents" => found.expanded = fields::boolean(given, name)?.unwrap_or(false),
                // Events of sharding and of system collections, of which there are none.
                "showMigrationEvents" | "showSystemEvents" => {}
                unknown => {
                    return Err(CommandError::new(
                        40415,
                        format!("BSON field '$changeStream.{unknown}' is an unknown field."),
                    ));
                }
            }
        }
        if starts > 1 {
            return Err(CommandError::new(
                50674,
                "Only one type of resume option is allowed, but multiple were found.",
            ));
        }
        found.scope = match namespace {
            _ if all_changes && (call.database != "admin" || namespace.is_some()) => {
                return Err(CommandError::new(
                    code::INVALID_OPTIONS,
                    "A $changeStream with 'allChangesForCluster:true' may only be opened on the 'admin' database, and with no collection name",
                ));
            }
            _ if !all_changes && INTERNAL_DATABASES.contains(&call.database.as_str()) => {
                return Err(CommandError::new(
                    code::INVALID_NAMESPACE,
                    format!("$changeStream may not be opened on the internal {} database", call.database),
                ));
            }
            Some(namespace) if is_internal(&namespace.collection) => {
                return Err(CommandError::new(
                    code::INVALID_NAMESPACE,
                    format!("$changeStream may not be opened on the internal {namespace} collection"),
                ));
            }
            Some(namespace) => Scope::Collection(namespace),
            None if all_changes => Scope::Deployment,
            None => Scope::Database(call.database.clone()),
        };
        Ok(found)
    }
}

/// Is this pipeline a change stream?
pub fn is_change_stream(stages: &[Bson]) -> bool {
    let first = stages.first().and_then(Bson::as_document);
    first.is_some_and(|stage| stage.len() == 1 && stage.contains_key("$changeStream"))
}

/// Opens a change stream. `namespace`: the collection; `None` with `aggregate: 1`.
///
/// Errors: `InvalidOptions` (72), `InvalidNamespace` (73), `InvalidResumeToken` (260), `ChangeStreamHistoryLost` (286),
/// `ChangeStreamFatalError` (280), `IllegalOperation` (20) for stages a stream may not have.
pub fn open(
    call: &mut Call<'_>,
    namespace: Option<Namespace>,
    stages: &[Bson],
    batch_size: Option<usize>,
) -> CommandResult<Reply> {
    if call.transaction.is_some() {
        return Err(CommandError::new(
            code::OPERATION_NOT_SUPPORTED_IN_TRANSACTION,
            "$changeStream cannot be used in a transaction",
        ));
    }
    if !call.shared.store.logs_changes() {
        return Err(CommandError::new(
            40573,
            "The $changeStream stage needs the log of changes, which this store was told not to keep",
        ));
    }
    let level = call.body.get_document("readConcern").ok().and_then(|concern| concern.get_str("level").ok());
    if level.is_some_and(|level| level != "majority") {
        return Err(CommandError::new(
            code::INVALID_OPTIONS,
            "$changeStream cannot run with a readConcern other than 'majority', or in a multi-document transaction.",
        ));
    }
    let given = stages.first().and_then(Bson::as_document).and_then(|stage| stage.get("$changeStream"));
    let specification = Specification::parse(call, namespace, given.unwrap_or(&Bson::Null))?;
    let point = call.read_point();
    let name = match &specification.scope {
        Scope::Collection(namespace) => {
            if let Some(collection) = point.collection(namespace) {
                super::admin::refuse_view(&collection)?;
            }
            namespace.to_string()
        }
        Scope::Database(_) | Scope::Deployment => format!("{}.$cmd.aggregate", call.database),
    };
    let pipeline = parse_stages(call, stages.get(1..).unwrap_or_default(), &name)?;
    call.shared.store.begin_log()?;
    let events = Events::new(call.shared, specification)?;
    let events = Arc::new(Mutex::new(events));
    let source = Arc::clone(&events);
    let source: Rows = Box::new(std::iter::from_fn(move || source.lock().next().transpose()));
    let rows = pipeline.run(source, Arc::new(Access::new(call, &point)))?;
    drop(point);
    let stream = ChangeStream { events, rows };
    super::read::open(call, Cursor::live(name, Box::new(stream)), batch_size, false)
}

fn parse_stages(call: &Call<'_>, stages: &[Bson], namespace: &str) -> CommandResult<Pipeline> {
    for stage in stages {
        let name = stage.as_document().and_then(|stage| stage.keys().next()).map_or("", String::as_str);
        if name == "$changeStreamSplitLargeEvent" {
            return Err(CommandError::not_supported(format!("The {name} stage")));
        }
        if name.starts_with('$') && name != "$changeStream" && !ALLOWED_STAGES.contains(&name) {
            // A stage nobody knows is reported as such.
            let options = PipelineOptions::new(&call.database, Some(namespace));
            Pipeline::parse(std::slice::from_ref(stage), &options, &call.context(None)?)?;
            return Err(CommandError::new(
                code::ILLEGAL_OPERATION,
                format!("{name} is not permitted in a $changeStream pipeline"),
            ));
        }
    }
    let collation = call.collation(fields::document(call.body, "collation")?, None)?;
    let options = PipelineOptions::new(&call.database, Some(namespace));
    Pipeline::parse(stages, &options, &call.context(collation)?)
}

/// A change stream as a cursor reads it.
struct ChangeStream {
    events: Arc<Mutex<Events>>,
    /// The stages over the events. They give nothing when there is nothing, and go on later.
    rows: Rows,
}

impl Live for ChangeStream {
    fn next(&mut self) -> CommandResult<Option<RawDocumentBuf>> {
        let Some(row) = self.rows.next() else { return Ok(None) };
        let event = row?.into_raw()?;
        let token = self.events.lock().place.to_token();
        let id = event.get_document("_id").ok();
        if id.is_none_or(|id| id.as_bytes() != token.as_bytes()) {
            return Err(CommandError::new(
                code::CHANGE_STREAM_FATAL_ERROR,
                "Encountered an event whose _id field, which contains the resume token, was modified by the pipeline. Modifying the _id field of an event makes it impossible to resume the stream from that point. Only transformations that retain the unmodified _id field are allowed.",
            )
            .with_label(NON_RESUMABLE));
        }
        if event.as_bytes().len() > DOCUMENT_BYTES_MAX {
            return Err(CommandError::new(
                code::BSON_OBJECT_TOO_LARGE,
                format!(
                    "BSONObj size: {} is invalid: an event is larger than a document may be",
                    event.as_bytes().len()
                ),
            )
            .with_label(NON_RESUMABLE));
        }
        Ok(Some(event))
    }

    fn awaits(&self) -> bool {
        true
    }

    fn is_over(&self) -> bool {
        let events = self.events.lock();
        events.is_over && events.ready.is_empty()
    }

    fn pause(&mut self) {
        self.events.lock().scan = None;
    }

    fn resume_token(&self) -> Option<RawDocumentBuf> {
        Some(self.events.lock().place.to_token())
    }
}

/// The events of a stream, in order.
struct Events {
    shared: Arc<Shared>,
    scope: Scope,
    full_document: Image,
    before: Image,
    expanded: bool,
    /// Key of the last entry taken from the log.
    entry_key: u64,
    entry: Option<Entry>,
    scan: Option<LogScan>,
    /// Behind what was last returned, or looked at in vain.
    place: Place,
    /// Nothing up to and with this is returned.
    skip_to: Option<Place>,
    /// Nothing before this time is.
    not_before: u64,
    ready: VecDeque<(Place, RawDocumentBuf)>,
    is_over: bool,
}

impl Events {
    fn new(shared: &Arc<Shared>, specification: Specification) -> CommandResult<Self> {
        let store = &shared.store;
        let now = store.log_end();
        let mut events = Self {
            shared: Arc::clone(shared),
            scope: specification.scope,
            full_document: specification.full_document,
            before: specification.before,
            expanded: specification.expanded,
            entry_key: now.key,
            entry: None,
            scan: None,
            place: Place::after_time(now.time),
            skip_to: None,
            not_before: 0,
            ready: VecDeque::new(),
            is_over: false,
        };
        let from = match specification.start {
            Start::Now => return Ok(events),
            Start::At(time) => time,
            Start::After(place) => place.time,
        };
        match specification.start {
            Start::Now => {}
            Start::At(time) => {
                events.not_before = time;
                events.place = Place::after_time(time.saturating_sub(1));
            }
            Start::After(place) => {
                events.place = place;
                events.skip_to = Some(place);
            }
        }
        // The entry in which the place is comes first.
        let (key, entry) = store.log_entry_at(from)?.ok_or_else(history_lost)?;
        events.entry_key = key;
        events.entry = Some(entry);
        if let Start::After(place) = specification.start
            && place.sort != Sort::Time
        {
            events.find(place)?;
        }
        Ok(events)
    }

    /// Goes to the event of a token.
    ///
    /// Errors: `ChangeStreamFatalError` (280) when it is not one of this stream's.
    fn find(&mut self, place: Place) -> CommandResult<()> {
        let lost = || {
            CommandError::new(
                code::CHANGE_STREAM_FATAL_ERROR,
                format!("cannot resume stream; the resume token was not found. {:?}", place.to_token()),
            )
            .with_label(NON_RESUMABLE)
        };
        loop {
            let (at, change) = self.next_change()?.ok_or_else(lost)?;
            if at.time > place.time || (at.time == place.time && at.index > place.index) {
                return Err(lost());
            }
            if at.time == place.time && at.index == place.index {
                let change = change.filter(|change| self.scope.wants(change)).ok_or_else(lost)?;
                if self.scope.ends_with(&change) && place.sort == Sort::Event {
                    let wall = self.entry.as_ref().map_or(bson::DateTime::now(), |entry| entry.wall);
                    self.invalidate(at, wall);
                }
                return Ok(());
            }
        }
    }

    /// The next change of the log; `None` inside when it is of no concern. `None`: that was all for now.
    #[allow(clippy::type_complexity)]
    fn next_change(&mut self) -> CommandResult<Option<(Place, Option<Logged>)>> {
        loop {
            if let Some(entry) = &mut self.entry {
                let index = entry.read;
                let is_transaction = entry.origin.is_some();
                let scope = &self.scope;
                if let Some(change) = entry.next(|kind, namespace| scope.may_want(kind, namespace))? {
                    let time = if is_transaction { self.entry_key } else { self.entry_key + u64::from(index) };
                    let index = if is_transaction { index } else { 0 };
                    let wanted = scope.may_want(change.kind, &change.namespace) && scope.wants(&change);
                    return Ok(Some((Place { time, index, sort: Sort::Event }, wanted.then_some(change))));
                }
                self.entry = None;
            }
            if self.scan.is_none() {
                self.scan = self.shared.store.log_after(self.entry_key)?;
            }
            let Some(scan) = &mut self.scan else { return Ok(None) };
            match scan.next() {
                Some(next) => {
                    let (key, entry) = next?;
                    // Old entries go, also from under a stream that is too slow.
                    if entry.previous != self.entry_key {
                        return Err(history_lost());
                    }
                    self.entry_key = key;
                    self.entry = Some(entry);
                }
                None => {
                    if self.entry_key != scan.last {
                        return Err(history_lost());
                    }
                    self.place = later(self.place, Place::after_time(scan.head));
                    self.scan = None;
                    return Ok(None);
                }
            }
        }
    }

    /// The next event; `None`: none for now.
    fn next(&mut self) -> CommandResult<Option<Row>> {
        loop {
            if let Some((place, event)) = self.ready.pop_front() {
                self.place = place;
                return Ok(Some(Row::Raw(event)));
            }
            if self.is_over {
                return Ok(None);
            }
            let Some((at, change)) = self.next_change()? else { return Ok(None) };
            let Some(change) = change else { continue };
            if at.time < self.not_before || self.skip_to.is_some_and(|skip| !is_behind(at, skip)) {
                continue;
            }
            let ends = self.scope.ends_with(&change);
            let (wall, origin) = match &self.entry {
                Some(entry) => (entry.wall, entry.origin.clone()),
                None => (bson::DateTime::now(), None),
            };
            if self.expanded
                || !matches!(change.kind, Kind::Create | Kind::CreateIndexes | Kind::DropIndexes | Kind::Modify)
            {
                let event = self.event(at, &change, wall, &origin)?;
                self.ready.push_back((at, event));
            }
            if ends {
                self.invalidate(at, wall);
            }
        }
    }

    fn invalidate(&mut self, at: Place, wall: bson::DateTime) {
        let place = Place { sort: Sort::Invalidate, ..at };
        let mut event = RawDocumentBuf::new();
        event.append(cstr!("_id"), place.to_token());
        event.append(cstr!("operationType"), "invalidate");
        event.append(cstr!("clusterTime"), timestamp(at.time));
        event.append(cstr!("wallTime"), wall);
        self.ready.push_back((place, event));
        self.is_over = true;
    }

    /// The event of a change, its fields in MongoDB's order.
    fn event(
        &self,
        at: Place,
        change: &Logged,
        wall: bson::DateTime,
        origin: &crate::changes::Origin,
    ) -> CommandResult<RawDocumentBuf> {
        let mut event = RawDocumentBuf::new();
        event.append(cstr!("_id"), at.to_token());
        event.append(cstr!("operationType"), change.kind.name());
        event.append(cstr!("clusterTime"), timestamp(at.time));
        if self.expanded && change.kind != Kind::DropDatabase {
            event.append(cstr!("collectionUUID"), uuid(change.uuid.to_vec()));
        }
        event.append(cstr!("wallTime"), wall);
        if let Some((session, number)) = origin {
            event.append(cstr!("txnNumber"), *number);
            let mut lsid = RawDocumentBuf::new();
            lsid.append(cstr!("id"), uuid(session.clone()));
            lsid.append(cstr!("uid"), nobody());
            event.append(cstr!("lsid"), lsid);
        }
        let (first, second) = (change.parts.first(), change.parts.get(1));
        let lost = || CommandError::internal("a change in the log has no parts");
        match change.kind {
            Kind::Insert | Kind::Replace => {
                event.append(cstr!("fullDocument"), first.ok_or_else(lost)?.clone());
            }
            Kind::Update => match self.after_image(change)? {
                Some(Some(document)) => event.append(cstr!("fullDocument"), document),
                Some(None) => event.append(cstr!("fullDocument"), bson::raw::RawBson::Null),
                None => {}
            },
            _ => {}
        }
        let mut namespace = RawDocumentBuf::new();
        namespace.append(cstr!("db"), change.namespace.database.as_str());
        if change.kind != Kind::DropDatabase {
            namespace.append(cstr!("coll"), change.namespace.collection.as_str());
        }
        event.append(cstr!("ns"), namespace);
        match change.kind {
            Kind::Insert | Kind::Replace => {
                let key = crate::changes::document_key(first.ok_or_else(lost)?)?;
                event.append(cstr!("documentKey"), key);
            }
            Kind::Update => {
                event.append(cstr!("documentKey"), first.ok_or_else(lost)?.clone());
                event.append(cstr!("updateDescription"), second.ok_or_else(lost)?.clone());
            }
            Kind::Delete => event.append(cstr!("documentKey"), first.ok_or_else(lost)?.clone()),
            Kind::Rename => {
                let to = first.ok_or_else(lost)?.get_document("to").map_err(|_| lost())?;
                event.append(cstr!("to"), to.to_owned());
                if self.expanded {
                    event.append(cstr!("operationDescription"), first.ok_or_else(lost)?.clone());
                }
            }
            Kind::Create | Kind::CreateIndexes | Kind::DropIndexes | Kind::Modify => {
                event.append(cstr!("operationDescription"), first.ok_or_else(lost)?.clone());
            }
            Kind::Drop | Kind::DropDatabase => {}
        }
        if matches!(change.kind, Kind::Update | Kind::Replace | Kind::Delete) {
            match (self.before, &change.before) {
                (Image::WhenAvailable | Image::Required, Some(before)) => {
                    event.append(cstr!("fullDocumentBeforeChange"), before.clone());
                }
                (Image::WhenAvailable, None) => {
                    event.append(cstr!("fullDocumentBeforeChange"), bson::raw::RawBson::Null);
                }
                (Image::Required, None) => return Err(missing_image("pre-image")),
                (Image::Off | Image::Lookup, _) => {}
            }
        }
        Ok(event)
    }

    /// The document an update event shows; `None` inside: there is none, which is shown as null.
    fn after_image(&self, change: &Logged) -> CommandResult<Option<Option<RawDocumentBuf>>> {
        match (self.full_document, &change.after) {
            (Image::Off, _) => Ok(None),
            (Image::WhenAvailable | Image::Required, Some(after)) => Ok(Some(Some(after.clone()))),
            (Image::WhenAvailable, None) => Ok(Some(None)),
            (Image::Required, None) => Err(missing_image("post-image")),
            (Image::Lookup, _) => {
                let now = self.shared.store.read();
                let point =
                    ReadPoint { view: now.view().clone(), catalog: Arc::clone(now.catalog()), is_transaction: false };
                let collection =
                    point.collection(&change.namespace).filter(|collection| collection.uuid == change.uuid);
                let id = change.parts.first().and_then(|key| key.get("_id").ok().flatten());
                let (Some(collection), Some(id)) = (collection, id) else { return Ok(Some(None)) };
                let found = documents::find_by_id(&point.view, &collection, ValueRef::from(id))?;
                found.map(|(_, stored)| super::read::to_raw_buf(&stored)).transpose().map(Some)
            }
        }
    }
}

fn missing_image(which: &str) -> CommandError {
    CommandError::new(
        code::NO_MATCHING_DOCUMENT,
        format!(
            "Change stream was configured to require a {which} for all update, delete and replace events, but the {which} was not found"
        ),
    )
    .with_label(NON_RESUMABLE)
}

fn history_lost() -> CommandError {
    CommandError::new(
        code::CHANGE_STREAM_HISTORY_LOST,
        "Resume of change stream was not possible, as the resume point may no longer be in the oplog.",
    )
    .with_label(NON_RESUMABLE)
}

fn is_behind(at: Place, place: Place) -> bool {
    (at.time, at.index) > (place.time, place.index)
}

fn later(one: Place, other: Place) -> Place {
    if (other.time, other.index) > (one.time, one.index) { other } else { one }
}

fn uuid(bytes: Vec<u8>) -> bson::Binary {
    bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes }
}

/// The digest of no user.
fn nobody() -> bson::Binary {
    use sha2::Digest;
    bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: sha2::Sha256::digest(b"").to_vec() }
}
