//! Updates, replacements, deletes and bulk writes of application users.
//!
//! Where every role that may apply lets every change pass, the database makes the change in one step. Elsewhere a
//! transaction finds the documents as they are, makes the change, looks at the documents as they would be, and stays only
//! when the rules permit each of them (rules-and-users 2.4, 2.6).

use std::collections::HashMap;
use std::time::Duration;

use bson::raw::{RawBsonRef, RawDocumentBuf};
use bson::{Bson, Document, cstr, doc};
use mongodb::ClientSession;
use mongodb::options::{
    FindOneAndDeleteOptions, FindOneAndReplaceOptions, FindOneAndUpdateOptions, FindOptions, Hint, ReturnDocument,
    TransactionOptions, UpdateModifications,
};
use rules::{Access, Change as PlannedChange, Guard, Meeting, Permitted, Role, Touched, ValueKey};

use super::super::bulk_write::{Tally, no_operations};
use super::super::filter::{filter, parse_filter};
use super::super::find::value_reply;
use super::super::insert::{id_of, with_id};
use super::super::session::{self, SessionUse};
use super::super::update::{Change, counts_reply, replacement};
use super::visible::project;
use super::{Call, available, narrowed};
use crate::ServiceError;
use crate::arguments::{Arguments, append_count};
use crate::error::Reply;

const UPDATE: &str = "update";
const DELETE: &str = "delete";

/// Label of a transaction that lost against another one.
const TRANSIENT: &str = "TransientTransactionError";

/// A transaction that lost against another one is tried again this often.
const ATTEMPTS_MAX: u32 = 12;

/// Documents that one checked write may change.
const DOCUMENTS_MAX: usize = 50_000;

/// Bytes of them.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// One write.
enum Operation {
    Insert(RawDocumentBuf),
    Update(Update),
    Delete(Delete),
}

struct Update {
    selection: Selection,
    change: Change,
    upsert: bool,
    array_filters: Option<Vec<Document>>,
}

struct Delete {
    selection: Selection,
}

/// Which documents a write is about.
struct Selection {
    query: Document,
    many: bool,
    sort: Option<Document>,
    hint: Option<Hint>,
}

/// What a write did.
#[derive(Default)]
struct Outcome {
    matched: u64,
    modified: u64,
    deleted: u64,
    upserted: Option<Bson>,
    image: Option<Permitted<RawDocumentBuf>>,
}

/// A document that a write is about to change.
struct Found<'r> {
    stored: Bson,
    role: &'r Role,
    shown: Option<Permitted<Document>>,
    whole: bool,
}

/// Which image of the document an action answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Image {
    None,
    Before,
    After,
}

/// The transaction a checked write happens in.
enum Transaction {
    /// In a session of its own.
    Own(Box<ClientSession>),
    /// In the caller's session, which is in no transaction.
    InSession(SessionUse),
    /// The caller's.
    Callers(SessionUse),
}

impl Transaction {
    async fn begin(call: &Call<'_>) -> Result<Self, ServiceError> {
        let primary = mongodb::options::SelectionCriteria::ReadPreference(mongodb::options::ReadPreference::Primary);
        let options = TransactionOptions::builder().selection_criteria(primary).build();
        Ok(match session::acquire(call.source, call.handles, call.arguments).await? {
            None => {
                let mut session = call.source.client().start_session().await?;
                session.start_transaction().with_options(options).await?;
                Self::Own(Box::new(session))
            }
            Some(held) if held.in_transaction() => Self::Callers(held),
            Some(mut held) => {
                held.session().start_transaction().with_options(options).await?;
                Self::InSession(held)
            }
        })
    }

    fn session(&mut self) -> &mut ClientSession {
        match self {
            Self::Own(session) => session,
            Self::InSession(held) | Self::Callers(held) => held.session(),
        }
    }

    async fn commit(mut self) -> Result<(), ServiceError> {
        if matches!(self, Self::Callers(_)) {
            return Ok(());
        }
        let session = self.session();
        let mut attempts = 0;
        loop {
            match session.commit_transaction().await.map_err(ServiceError::from) {
                Err(error) if has_label(&error, "UnknownTransactionCommitResult") && attempts < 3 => attempts += 1,
                result => return result,
            }
        }
    }

    /// Whether it may be tried again from the start.
    async fn abort(mut self) -> bool {
        if let Self::Callers(held) = &mut self {
            held.deny().await;
            return false;
        }
        if let Err(error) = self.session().abort_transaction().await {
            tracing::debug!(%error, "a transaction was left to its timeout");
        }
        true
    }
}

impl Call<'_> {
    /// Any action that changes documents, inserts apart.
    pub(super) async fn write(&self) -> Reply {
        let options = self.arguments.options()?;
        let one = |many: bool| self.selection(self.arguments, filter(self.arguments)?, many);
        let returned = match options.flag("returnNewDocument")? {
            Some(true) => Image::After,
            _ => Image::Before,
        };
        match self.action {
            "updateOne" | "updateMany" | "findOneAndUpdate" => {
                let selection = one(self.action == "updateMany")?;
                let update =
                    self.update(self.arguments, options, selection, Change::parse(self.arguments, "update")?)?;
                match self.action {
                    "findOneAndUpdate" => self.answer_image(Operation::Update(update), returned).await,
                    _ => update_reply(self.run(Operation::Update(update), Image::None).await?),
                }
            }
            "replaceOne" | "findOneAndReplace" => {
                let change = Change::Replace(replacement(self.arguments, "replacement")?.to_owned());
                let update = self.update(self.arguments, options, one(false)?, change)?;
                match self.action {
                    "findOneAndReplace" => self.answer_image(Operation::Update(update), returned).await,
                    _ => update_reply(self.run(Operation::Update(update), Image::None).await?),
                }
            }
            "deleteOne" | "deleteMany" => {
                let delete = Operation::Delete(Delete { selection: one(self.action == "deleteMany")? });
                let outcome = self.run(delete, Image::None).await?;
                let mut reply = RawDocumentBuf::new();
                append_count(&mut reply, cstr!("deletedCount"), outcome.deleted);
                Ok(reply)
            }
            "findOneAndDelete" => {
                let delete = Operation::Delete(Delete { selection: one(false)? });
                self.answer_image(delete, Image::Before).await
            }
            "bulkWrite" => self.bulk_write().await,
            action => Err(ServiceError::bad_request(format!("{action} is not available to application users"))),
        }
    }

    fn selection(&self, arguments: Arguments<'_>, query: Document, many: bool) -> Result<Selection, ServiceError> {
        available::check_query(&query)?;
        // Operations of a bulk write have their hints themselves, and no order.
        let is_single = self.action != "bulkWrite";
        let options = if is_single { arguments.options()? } else { arguments };
        Ok(Selection { query, many, sort: if is_single { self.sort()? } else { None }, hint: options.hint()? })
    }

    fn update(
        &self,
        arguments: Arguments<'_>,
        options: Arguments<'_>,
        selection: Selection,
        change: Change,
    ) -> Result<Update, ServiceError> {
        match &change {
            Change::Modify(UpdateModifications::Document(update)) => available::check_update(update)?,
            Change::Modify(UpdateModifications::Pipeline(stages)) => available::check_update_pipeline(stages)?,
            Change::Modify(_) => return Err(arguments.invalid("update", "an object or an array of stages")),
            Change::Replace(_) if selection.many => {
                return Err(ServiceError::Command {
                    code: 9,
                    code_name: "FailedToParse".to_owned(),
                    text: "multi update is not supported for replacement-style update".to_owned(),
                    labels: Vec::new(),
                });
            }
            Change::Replace(_) => {}
        }
        let array_filters = options.optional_documents("arrayFilters")?;
        for filter in array_filters.iter().flatten() {
            available::check_query(filter)?;
        }
        Ok(Update { selection, change, upsert: options.flag("upsert")?.unwrap_or(false), array_filters })
    }

    /// Runs a find-and-modify and answers the document.
    async fn answer_image(&self, operation: Operation, image: Image) -> Reply {
        let written = self.arguments.options()?.optional_document("projection")?.unwrap_or_default();
        let projection = self.projection(&written)?;
        let found = self.run(operation, image).await?.image;
        Ok(value_reply(match (found, projection) {
            (Some(found), Some(projection)) => Some(project(&projection, found)?),
            (found, _) => found,
        }))
    }

    async fn run(&self, operation: Operation, image: Image) -> Result<Outcome, ServiceError> {
        if let Some(outcome) = self.run_directly(&operation, image).await? {
            return Ok(outcome);
        }
        let mut outcomes = self.run_checked(std::slice::from_ref(&operation), image).await?;
        Ok(outcomes.pop().unwrap_or_default())
    }

    async fn bulk_write(&self) -> Reply {
        let operations = self.parse_operations()?;
        if operations.is_empty() {
            return Err(no_operations());
        }
        let outcomes = self.run_checked(&operations, Image::None).await?;
        let mut tally = Tally::default();
        for (index, (operation, outcome)) in operations.iter().zip(outcomes).enumerate() {
            if let Operation::Insert(document) = operation {
                tally.inserted += 1;
                tally.inserted_ids.push((index, id_of(document)?));
            }
            tally.matched += outcome.matched;
            tally.modified += outcome.modified;
            tally.deleted += outcome.deleted;
            tally.upserted_ids.extend(outcome.upserted.map(|id| (index, id)));
        }
        tally.reply()
    }

    fn parse_operations(&self) -> Result<Vec<Operation>, ServiceError> {
        let mut filters = Vec::new();
        for filter in self.arguments.optional_raw_array("filter")?.into_iter().flatten() {
            match filter? {
                RawBsonRef::Document(filter) => filters.push(parse_filter(filter)?),
                _ => return Err(self.arguments.invalid("filter", "an object")),
            }
        }
        let mut operations = Vec::new();
        for operation in self.arguments.raw_array("operations")? {
            let RawBsonRef::Document(operation) = operation? else {
                return Err(self.arguments.invalid("operations", "an array of operations"));
            };
            let operation = self.arguments.nested(operation);
            if operation.value("collation")?.is_some() {
                return Err(ServiceError::bad_request("the option 'collation' is not available to application users"));
            }
            let kind = operation.text("kind")?;
            if kind == "insertOne" {
                operations.push(Operation::Insert(with_id(operation.raw_document("document")?)?));
                continue;
            }
            let query = operation.natural("filter")?.and_then(|index| filters.get(usize::try_from(index).ok()?));
            let query = query.cloned().ok_or_else(|| operation.invalid("filter", "an object"))?;
            let selection = self.selection(operation, query, matches!(kind, "updateMany" | "deleteMany"))?;
            operations.push(match kind {
                "updateOne" | "updateMany" => {
                    let change = Change::parse(operation, "update")?;
                    Operation::Update(self.update(operation, operation, selection, change)?)
                }
                "replaceOne" => {
                    let change = Change::Replace(replacement(operation, "replacement")?.to_owned());
                    Operation::Update(self.update(operation, operation, selection, change)?)
                }
                "deleteOne" | "deleteMany" => Operation::Delete(Delete { selection }),
                _ => return Err(operation.invalid("kind", "a kind of write")),
            });
        }
        Ok(operations)
    }

    /// One step of the database's, where nothing is left to check.
    async fn run_directly(&self, operation: &Operation, image: Image) -> Result<Option<Outcome>, ServiceError> {
        let (selection, planned) = match operation {
            Operation::Update(update) if !update.upsert && self.rules.schema.is_none() => {
                (&update.selection, PlannedChange::Update)
            }
            Operation::Delete(delete) if self.rules.schema.as_ref().is_none_or(|schema| !schema.guards_deletes()) => {
                (&delete.selection, PlannedChange::Delete)
            }
            Operation::Insert(_) | Operation::Update(_) | Operation::Delete(_) => return Ok(None),
        };
        // What filters hide an update by stages could copy, and a predicate could tell.
        if self.filters.projects() {
            return Ok(None);
        }
        let plan = self.plan_writes(planned).await?;
        let Some(candidates) = plan.candidates() else { return Ok(None) };
        let Some(query) = narrowed(self.filters.narrow(selection.query.clone()), candidates) else {
            return Ok(Some(Outcome::default()));
        };
        let mut held = session::acquire(self.source, self.handles, self.arguments).await?;
        let session = held.as_mut().map(SessionUse::session);
        let mut outcome = Outcome::default();
        match (operation, image) {
            (Operation::Insert(_), _) => return Ok(None),
            (operation, Image::Before | Image::After) => {
                let found = self.find_and_modify(operation, query, image, session).await?;
                if let Some(found) = found {
                    // The change may have taken the document out of the user's sight.
                    let access = self.access();
                    outcome.image = access.view(&self.rules.rules, &self.filters, &Guard::default(), &found).await?;
                }
            }
            (Operation::Update(update), Image::None) => {
                (outcome.matched, outcome.modified, _) = self.send_update(update, query, false, session).await?;
            }
            (Operation::Delete(_), Image::None) => {
                outcome.deleted = self.send_delete(selection, query, session).await?;
            }
        }
        Ok(Some(outcome))
    }

    async fn find_and_modify(
        &self,
        operation: &Operation,
        query: Document,
        image: Image,
        session: Option<&mut ClientSession>,
    ) -> Result<Option<RawDocumentBuf>, ServiceError> {
        let collection = self.source.collection::<RawDocumentBuf>(self.database, self.collection);
        let returned = if image == Image::After { ReturnDocument::After } else { ReturnDocument::Before };
        Ok(match operation {
            Operation::Insert(_) => None,
            Operation::Delete(Delete { selection }) => {
                let mut options = FindOneAndDeleteOptions::default();
                options.sort = selection.sort.clone();
                options.hint = selection.hint.clone();
                let delete = collection.find_one_and_delete(query).with_options(options);
                match session {
                    None => delete.await?,
                    Some(session) => delete.session(session).await?,
                }
            }
            Operation::Update(Update { selection, change: Change::Replace(document), .. }) => {
                let mut options = FindOneAndReplaceOptions::default();
                options.sort = selection.sort.clone();
                options.hint = selection.hint.clone();
                options.return_document = Some(returned);
                let replace = collection.find_one_and_replace(query, document).with_options(options);
                match session {
                    None => replace.await?,
                    Some(session) => replace.session(session).await?,
                }
            }
            Operation::Update(Update { selection, change: Change::Modify(modifications), array_filters, .. }) => {
                let mut options = FindOneAndUpdateOptions::default();
                options.sort = selection.sort.clone();
                options.hint = selection.hint.clone();
                options.return_document = Some(returned);
                options.array_filters = array_filters.clone();
                let update = collection.find_one_and_update(query, modifications.clone()).with_options(options);
                match session {
                    None => update.await?,
                    Some(session) => update.session(session).await?,
                }
            }
        })
    }

    /// Sends an update for the matches of a query: matched, modified, id of an upsert.
    async fn send_update(
        &self,
        update: &Update,
        query: Document,
        upsert: bool,
        session: Option<&mut ClientSession>,
    ) -> Result<(u64, u64, Option<Bson>), ServiceError> {
        let result = match &update.change {
            Change::Replace(document) => {
                let collection = self.source.collection::<RawDocumentBuf>(self.database, self.collection);
                let replace = collection.replace_one(query, document).upsert(upsert);
                match session {
                    None => replace.await?,
                    Some(session) => replace.session(session).await?,
                }
            }
            Change::Modify(modifications) => {
                let collection = self.source.collection::<Document>(self.database, self.collection);
                let sent = match update.selection.many {
                    true => collection.update_many(query, modifications.clone()),
                    false => collection.update_one(query, modifications.clone()),
                };
                let mut options = mongodb::options::UpdateOptions::default();
                options.upsert = Some(upsert);
                options.array_filters = update.array_filters.clone();
                let sent = sent.with_options(options);
                match session {
                    None => sent.await?,
                    Some(session) => sent.session(session).await?,
                }
            }
        };
        Ok((result.matched_count, result.modified_count, result.upserted_id))
    }

    async fn send_delete(
        &self,
        selection: &Selection,
        query: Document,
        session: Option<&mut ClientSession>,
    ) -> Result<u64, ServiceError> {
        let collection = self.source.collection::<Document>(self.database, self.collection);
        let delete = match selection.many {
            true => collection.delete_many(query),
            false => collection.delete_one(query),
        };
        let result = match session {
            None => delete.await?,
            Some(session) => delete.session(session).await?,
        };
        Ok(result.deleted_count)
    }

    /// All operations in one transaction: the first that is denied or fails leaves nothing of any.
    async fn run_checked(&self, operations: &[Operation], image: Image) -> Result<Vec<Outcome>, ServiceError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut transaction = Transaction::begin(self).await?;
            let result = self.apply_all(operations, image, transaction.session()).await;
            let error = match result {
                Ok(outcomes) => match transaction.commit().await {
                    Ok(()) => return Ok(outcomes),
                    Err(error) => error,
                },
                Err(error) => match transaction.abort().await {
                    true => error,
                    false => return Err(error),
                },
            };
            if !has_label(&error, TRANSIENT) || attempt >= ATTEMPTS_MAX {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(2 << attempt.min(8))).await;
        }
    }

    async fn apply_all(
        &self,
        operations: &[Operation],
        image: Image,
        session: &mut ClientSession,
    ) -> Result<Vec<Outcome>, ServiceError> {
        let mut outcomes = Vec::with_capacity(operations.len());
        for operation in operations {
            outcomes.push(match operation {
                Operation::Insert(document) => {
                    self.insert_in(document, session).await?;
                    Outcome::default()
                }
                Operation::Update(update) => self.apply_update(update, image, session).await?,
                Operation::Delete(delete) => self.apply_delete(delete, session).await?,
            });
        }
        Ok(outcomes)
    }

    async fn apply_update(
        &self,
        update: &Update,
        image: Image,
        session: &mut ClientSession,
    ) -> Result<Outcome, ServiceError> {
        let denied = || ServiceError::NotPermitted { action: UPDATE };
        let before = self.user.afresh();
        let (found, withheld) = self.matches(&update.selection, update.upsert, &before.access(), session).await?;
        if found.is_empty() {
            return match (update.upsert, withheld) {
                (false, _) => Ok(Outcome::default()),
                // Inserting would tell that there is no such document.
                (true, true) => Err(denied()),
                (true, false) => self.apply_upsert(update, image, session).await,
            };
        }
        // Stages may copy what is not shown into what is.
        let by_stages = matches!(&update.change, Change::Modify(UpdateModifications::Pipeline(_)));
        if by_stages && found.iter().any(|found| !found.whole) {
            return Err(denied());
        }
        let touched = match &update.change {
            Change::Replace(_) => Touched::Everything,
            Change::Modify(UpdateModifications::Document(operators)) => {
                Touched::by_operators(operators, update.array_filters.as_deref().unwrap_or_default())
            }
            Change::Modify(_) => Touched::nothing(),
        };
        let ids: Vec<Bson> = found.iter().map(|found| id_in(&found.stored)).collect();
        let query = selecting(&update.selection.query, &update.change, &ids);
        let sent = self.send_update(update, query, false, Some(&mut *session)).await;
        let (matched, modified, _) = sent.map_err(|error| match error {
            // The database's words may quote what is not shown.
            ServiceError::Write { .. } | ServiceError::Command { .. }
                if found.iter().any(|found| !found.whole) && !has_label(&error, TRANSIENT) =>
            {
                tracing::debug!(%error, "an update of documents that are not shown whole failed");
                denied()
            }
            error => error,
        })?;
        if usize::try_from(matched).ok() != Some(found.len()) {
            return Err(denied());
        }
        let images = self.read_all(&ids, session).await?;
        let user = self.user.afresh();
        let access = user.access();
        let nothing = Document::new();
        let mut outcome = Outcome { matched, modified, ..Outcome::default() };
        for found in found {
            let after = images.get(&ValueKey::of(&id_in(&found.stored))).ok_or_else(denied)?;
            let shown = found.shown.as_ref().map_or(&nothing, Permitted::get);
            if !access.may_update(found.role, &found.stored, after, &touched, shown).await {
                return Err(denied());
            }
            if let Some(schema) = &self.rules.schema {
                let fits = access.validate(schema, Some(&found.stored), after).await;
                fits.map_err(|violation| self.violated(UPDATE, after, &violation))?;
            }
            outcome.image = match image {
                Image::None => None,
                Image::Before => found.shown.map(encoded),
                Image::After => self.shown_of(&access, after).await,
            };
        }
        Ok(outcome)
    }

    /// The document is made by the database, then checked like any new one.
    async fn apply_upsert(
        &self,
        update: &Update,
        image: Image,
        session: &mut ClientSession,
    ) -> Result<Outcome, ServiceError> {
        // It gives fields to the new document and matches none: what the rules kept apart must not be changed after all.
        let nothing = doc! { "$nor": [{}] };
        let query = match update.selection.query.is_empty() {
            true => nothing,
            false => doc! { "$and": [update.selection.query.clone(), nothing] },
        };
        let (_, _, id) = self.send_update(update, query, true, Some(&mut *session)).await?;
        let id = id.ok_or(ServiceError::NotPermitted { action: UPDATE })?;
        let images = self.read_all(std::slice::from_ref(&id), session).await?;
        let after = images.get(&ValueKey::of(&id)).ok_or(ServiceError::NotPermitted { action: UPDATE })?;
        self.check_new(after).await?;
        let image = match image {
            Image::None | Image::Before => None,
            Image::After => self.shown_of(&self.user.afresh().access(), after).await,
        };
        Ok(Outcome { upserted: Some(id), image, ..Outcome::default() })
    }

    async fn apply_delete(&self, delete: &Delete, session: &mut ClientSession) -> Result<Outcome, ServiceError> {
        let user = self.user.afresh();
        let access = user.access();
        let (found, _) = self.matches(&delete.selection, false, &access, session).await?;
        for found in &found {
            if !access.may_delete(found.role, &found.stored).await {
                return Err(ServiceError::NotPermitted { action: DELETE });
            }
            if let Some(schema) = &self.rules.schema {
                let fits = access.validate_delete(schema, &found.stored).await;
                fits.map_err(|violation| self.violated(DELETE, &found.stored, &violation))?;
            }
        }
        if found.is_empty() {
            return Ok(Outcome::default());
        }
        let ids: Vec<Bson> = found.iter().map(|found| id_in(&found.stored)).collect();
        let deleted = self.send_delete(&delete.selection, doc! { "_id": { "$in": ids } }, Some(session)).await?;
        let image = found.into_iter().next().and_then(|found| found.shown).map(encoded);
        Ok(Outcome { deleted, image, ..Outcome::default() })
    }

    /// The stored documents that a write is about, with their roles, and whether others were withheld. `everything`: also
    /// looks at documents that cannot have a role.
    async fn matches(
        &self,
        selection: &Selection,
        everything: bool,
        access: &Access<'_>,
        session: &mut ClientSession,
    ) -> Result<(Vec<Found<'_>>, bool), ServiceError> {
        let query = self.filters.narrow(selection.query.clone());
        let plan = self.plan_matches().await?;
        let query = match everything {
            true => Some(query),
            false => narrowed(query, plan.candidates()),
        };
        let Some(query) = query else { return Ok((Vec::new(), false)) };
        let guard = Guard::new(&selection.query, selection.sort.as_ref());
        let mut options = FindOptions::default();
        options.sort = selection.sort.clone();
        options.hint = selection.hint.clone();
        let collection = self.source.collection::<RawDocumentBuf>(self.database, self.collection);
        let mut cursor = collection.find(query).with_options(options).session(&mut *session).await?;
        let mut found = Vec::new();
        let mut withheld = false;
        let mut bytes = 0;
        while let Some(document) = cursor.next(&mut *session).await {
            let document = document?;
            let stored = Bson::Document(Document::try_from(&*document)?);
            match access.meet(&self.rules.rules, &self.filters, &guard, &stored).await {
                Meeting::Withheld => withheld = true,
                Meeting::Unmatched => {}
                Meeting::Met { role, shown, whole } => {
                    bytes += document.as_bytes().len();
                    found.push(Found { stored, role, shown, whole });
                    if !selection.many {
                        break;
                    }
                }
            }
            if found.len() > DOCUMENTS_MAX || bytes > BYTES_MAX {
                return Err(ServiceError::LimitReached {
                    text: format!(
                        "too many documents: under rules that decide about single documents one write may change {DOCUMENTS_MAX} documents of {} MiB together",
                        BYTES_MAX / 1024 / 1024
                    ),
                });
            }
        }
        Ok((found, withheld))
    }

    /// The documents with these ids as the transaction sees them.
    async fn read_all(
        &self,
        ids: &[Bson],
        session: &mut ClientSession,
    ) -> Result<HashMap<ValueKey, Bson>, ServiceError> {
        let collection = self.source.collection::<Document>(self.database, self.collection);
        let mut cursor = collection.find(doc! { "_id": { "$in": ids } }).session(&mut *session).await?;
        let mut images = HashMap::with_capacity(ids.len());
        while let Some(document) = cursor.next(&mut *session).await {
            let document = Bson::Document(document?);
            images.insert(ValueKey::of(&id_in(&document)), document);
        }
        Ok(images)
    }

    async fn shown_of(&self, access: &Access<'_>, stored: &Bson) -> Option<Permitted<RawDocumentBuf>> {
        match access.meet(&self.rules.rules, &self.filters, &Guard::default(), stored).await {
            Meeting::Met { shown, .. } => shown.map(encoded),
            Meeting::Withheld | Meeting::Unmatched => None,
        }
    }
}

fn update_reply(outcome: Outcome) -> Reply {
    counts_reply(outcome.matched, outcome.modified, outcome.upserted)
}

fn encoded(document: Permitted<Document>) -> Permitted<RawDocumentBuf> {
    document.map(|document| RawDocumentBuf::try_from(&document).unwrap_or_default())
}

fn id_in(document: &Bson) -> Bson {
    document.as_document().and_then(|document| document.get("_id")).cloned().unwrap_or(Bson::Null)
}

/// A query for these documents. The positional operator needs the caller's own beside it.
fn selecting(query: &Document, change: &Change, ids: &[Bson]) -> Document {
    let by_id = doc! { "_id": { "$in": ids } };
    let Change::Modify(UpdateModifications::Document(update)) = change else { return by_id };
    let paths = update.values().filter_map(Bson::as_document).flat_map(Document::keys);
    if !paths.into_iter().any(|path| path.split('.').any(|segment| segment == "$")) {
        return by_id;
    }
    if query.contains_key("_id") {
        return doc! { "$and": [query.clone(), by_id] };
    }
    let mut selecting = query.clone();
    selecting.extend(by_id);
    selecting
}

fn has_label(error: &ServiceError, label: &str) -> bool {
    error.error_labels().iter().any(|one| one == label)
}
