//! `find`, `findOne`, `count` and `distinct` of application users.

use bson::raw::{RawDocument, RawDocumentBuf};
use bson::{Bson, Document, cstr};
use mongodb::options::FindOptions;
use rules::{DistinctValues, Guard, Permitted, Projection, ReadPlan};

use super::super::cursor::{self, RawBatches, Sight};
use super::super::filter::filter;
use super::super::{distinct, find, session};
use super::{Call, Visible, available, narrowed};
use crate::ServiceError;
use crate::arguments::append_count;
use crate::error::Reply;

/// A query as the database gets it, and what is left to do with its matches.
pub(super) struct Search {
    /// `None` when nothing can match.
    pub query: Option<Document>,
    pub guard: Guard,
    pub plan: ReadPlan,
}

impl Call<'_> {
    /// `find` → `{cursor, documents}`.
    pub(super) async fn find(&self) -> Reply {
        let search = self.search().await?;
        let Some(query) = search.query.clone() else { return Ok(cursor::nothing()) };
        let (options, sight) = self.options_and_sight(search)?;
        let collection = self.source.collection::<Document>(self.database, self.collection);
        let found = collection.find(query).with_options(options);
        match session::acquire(self.source, self.handles, self.arguments).await? {
            None => cursor::open(self.handles, found.batch().await?, sight).await,
            Some(mut session) => {
                let found = found.session(session.session()).batch().await?;
                cursor::open_in_session(self.handles, found, session, sight).await
            }
        }
    }

    /// `findOne` → `{value: document | null}`. What may not be seen is as good as absent.
    pub(super) async fn find_one(&self) -> Reply {
        let search = self.search().await?;
        let Some(query) = search.query.clone() else { return Ok(find::value_reply(None)) };
        let (mut options, mut sight) = self.options_and_sight(search)?;
        match &mut sight {
            Sight::Each(visible) => visible.limit = Some(1),
            Sight::System | Sight::Exact(_) | Sight::Derived(_) => {
                // A negative limit asks for one batch and no cursor.
                options.limit = Some(-1);
                options.batch_size = None;
            }
        }
        let collection = self.source.collection::<Document>(self.database, self.collection);
        let found = collection.find(query).with_options(options);
        let batches = match session::acquire(self.source, self.handles, self.arguments).await? {
            None => RawBatches::alone(found.batch().await?),
            Some(mut session) => {
                let found = found.session(session.session()).batch().await?;
                RawBatches::in_session(found, session)
            }
        };
        Ok(find::value_reply(cursor::first_document(batches, &mut sight).await?))
    }

    /// `count` → `{value}`: what `find` would give, without its bound.
    pub(super) async fn count(&self) -> Reply {
        let search = self.search().await?;
        let count = match search.query.clone() {
            None => 0,
            Some(query) if search.plan.is_exact() && !self.filters.may_hide(&search.guard) => {
                find::count_matching(self.source, self.handles, self.arguments, query).await?
            }
            Some(query) => {
                let mut count = 0;
                self.each_visible(query, search.guard, |_| {
                    count += 1;
                    Ok(())
                })
                .await?;
                count
            }
        };
        let mut reply = RawDocumentBuf::new();
        append_count(&mut reply, cstr!("value"), count);
        Ok(reply)
    }

    /// `distinct` → `{value: […]}`: values over what is visible.
    pub(super) async fn distinct(&self) -> Reply {
        let field = self.arguments.text("field")?;
        let search = self.search().await?;
        let values = match search.query.clone() {
            None => Permitted::none(),
            Some(query) if search.plan.is_exact() && !self.filters.projects() => {
                let values = distinct::values(self.source, self.handles, self.arguments, query).await?;
                search.plan.permit_result(values).unwrap_or_else(Permitted::none)
            }
            Some(query) => {
                let path: Vec<String> = field.split('.').map(str::to_owned).collect();
                let mut values = DistinctValues::default();
                self.each_visible(query, search.guard, |document| Ok(values.add(document, &path)?)).await?;
                values.into_values()
            }
        };
        Ok(distinct::reply(&values))
    }

    /// The caller's query, checked, with the filters and what the rules narrow it to.
    pub(super) async fn search(&self) -> Result<Search, ServiceError> {
        let query = filter(self.arguments)?;
        available::check_query(&query)?;
        let sort = self.sort()?;
        let guard = Guard::new(&query, sort.as_ref());
        let plan = self.plan_reads().await?;
        Ok(Search { query: narrowed(self.filters.narrow(query), plan.candidates()), guard, plan })
    }

    pub(super) fn sort(&self) -> Result<Option<Document>, ServiceError> {
        let sort = self.arguments.options()?.optional_raw_document("sort")?;
        sort.map(available::check_sort).transpose()?;
        Ok(sort.map(Document::try_from).transpose()?)
    }

    /// What the database does, and what is left for the process.
    fn options_and_sight(&self, search: Search) -> Result<(FindOptions, Sight), ServiceError> {
        let written = self.arguments.options()?;
        let mut options = find::find_options(written)?;
        let projection = options.projection.take().unwrap_or_default();
        available::check_expression(&Bson::Document(projection.clone()))?;
        options.let_vars = None;
        if search.plan.is_exact() && !self.filters.projects() {
            options.projection = Some(projection).filter(|projection| !projection.is_empty());
            return Ok((options, Sight::Exact(search.plan)));
        }
        // Which documents are skipped is known after the rules only.
        (options.limit, options.skip) = (None, None);
        let mut visible = self.visible(search.guard);
        visible.projection = self.projection(&projection)?;
        visible.skip = written.natural("skip")?.unwrap_or(0);
        visible.limit = written.integer("limit")?.map(i64::unsigned_abs).filter(|limit| *limit > 0);
        Ok((options, Sight::Each(Box::new(visible))))
    }

    pub(super) fn projection(&self, written: &Document) -> Result<Option<Projection>, ServiceError> {
        available::check_expression(&Bson::Document(written.clone()))?;
        Projection::parse(written).map_err(|refused| ServiceError::bad_request(refused.to_string()))
    }

    /// The view on documents one by one.
    pub(super) fn visible(&self, guard: Guard) -> Visible {
        Visible {
            user: self.user.clone(),
            rules: self.rules.rules.clone(),
            filters: self.filters.clone(),
            guard,
            projection: None,
            skip: 0,
            limit: None,
        }
    }

    /// Shows `take` every visible match, skipped and limited as the caller asked.
    async fn each_visible(
        &self,
        query: Document,
        guard: Guard,
        mut take: impl FnMut(&Permitted<RawDocumentBuf>) -> Result<(), ServiceError>,
    ) -> Result<(), ServiceError> {
        let written = self.arguments.options()?;
        let mut visible = self.visible(guard);
        visible.skip = written.natural("skip")?.unwrap_or(0);
        visible.limit = written.integer("limit")?.map(i64::unsigned_abs).filter(|limit| *limit > 0);
        let mut options = FindOptions::default();
        options.hint = written.hint()?;
        options.max_time = written.milliseconds("maxTimeMS")?;
        options.comment = written.optional_bson("comment")?;
        let collection = self.source.collection::<Document>(self.database, self.collection);
        let found = collection.find(query).with_options(options);
        let mut batches = match session::acquire(self.source, self.handles, self.arguments).await? {
            None => RawBatches::alone(found.batch().await?),
            Some(mut session) => {
                let found = found.session(session.session()).batch().await?;
                RawBatches::in_session(found, session)
            }
        };
        while let Some(batch) = batches.next().await? {
            for document in batch.doc_slices()? {
                let document: Option<&RawDocument> = document?.as_document();
                let Some(document) = document else { continue };
                if let Some(shown) = visible.view(document).await? {
                    take(&shown)?;
                }
                if visible.is_done() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// All visible matches of a query, in order; at most so many bytes.
    pub(super) async fn gather_visible(
        &self,
        query: Document,
        guard: Guard,
        bytes_max: usize,
        too_large: impl Fn() -> ServiceError,
    ) -> Result<Permitted<bson::raw::RawArrayBuf>, ServiceError> {
        let mut all = Permitted::none();
        let mut bytes = 0;
        self.each_visible(query, guard, |document| {
            bytes += document.get().as_bytes().len() + 16;
            if bytes > bytes_max {
                return Err(too_large());
            }
            all.push(document.clone());
            Ok(())
        })
        .await?;
        Ok(all)
    }
}
