//! `aggregate` of application users: every stage sees permitted documents only.
//!
//! Where the database can find what is visible, stages in front of the caller's find it. Elsewhere the visible documents
//! are found one by one, and the rest of the pipeline runs over them as literals: neither a stage nor a change of the
//! collection meanwhile can show more.

use bson::raw::RawArrayBuf;
use bson::{Bson, Document, doc};
use futures::FutureExt;
use futures::future::BoxFuture;
use mongodb::options::AggregateOptions;
use rules::{Candidates, Guard, Literals, Permitted};

use super::super::cursor::{self, RawBatches, Sight};
use super::super::session;
use super::{Call, available, filters_of, narrowed, plan_for, rules_of};
use crate::ServiceError;
use crate::error::Reply;

/// Bytes of literal documents: a command holds 16 MiB.
const LITERAL_BYTES_MAX: usize = 15 * 1024 * 1024;

type Stages = Result<Vec<Document>, ServiceError>;

impl Call<'_> {
    /// `aggregate` → `{cursor, documents}`.
    pub(super) async fn aggregate(&self) -> Reply {
        let not_stages = || self.arguments.invalid("pipeline", "an array of stages");
        let mut pipeline = self.arguments.optional_documents("pipeline")?.ok_or_else(not_stages)?;
        available::check_pipeline(&pipeline)?;
        let (mut stages, sight) = if pipeline.first().is_some_and(|stage| stage.contains_key("$search")) {
            let search = pipeline.remove(0);
            let found = Literals::new(self.found_by_search(search).await?);
            (found.stages()?, Sight::Derived(found))
        } else {
            let plan = self.plan_reads().await?;
            if plan.is_exact() {
                (self.visible_stages(plan.candidates()), Sight::Exact(plan))
            } else {
                let matching = leading_match(&mut pipeline);
                let guard = Guard::new(&matching, None);
                let found = match narrowed(self.filters.narrow(matching), plan.candidates()) {
                    None => Permitted::none(),
                    Some(query) => self.gather_visible(query, guard, LITERAL_BYTES_MAX, too_large).await?,
                };
                let found = Literals::new(found);
                (found.stages()?, Sight::Derived(found))
            }
        };
        stages.extend(self.with_visible_others(pipeline).await?);
        let options = self.arguments.options()?;
        let mut aggregate_options = AggregateOptions::default();
        aggregate_options.batch_size = options.batch_size()?;
        aggregate_options.comment = options.optional_bson("comment")?;
        aggregate_options.max_time = options.milliseconds("maxTimeMS")?;
        aggregate_options.let_vars = options.optional_document("let")?;
        if let Some(variables) = &aggregate_options.let_vars {
            available::check_expression(&Bson::Document(variables.clone()))?;
        }
        if matches!(sight, Sight::Exact(_)) {
            aggregate_options.hint = options.hint()?;
        }
        let collection = self.source.collection::<Document>(self.database, self.collection);
        let aggregate = collection.aggregate(stages).with_options(aggregate_options);
        match session::acquire(self.source, self.handles, self.arguments).await? {
            None => cursor::open(self.handles, aggregate.batch().await?, sight).await,
            Some(mut session) => {
                let found = aggregate.session(session.session()).batch().await?;
                cursor::open_in_session(self.handles, found, session, sight).await
            }
        }
    }

    /// Stages that leave what is visible of the collection, under an exact plan.
    fn visible_stages(&self, candidates: Candidates<'_>) -> Vec<Document> {
        visible_stages(&self.filters, candidates)
    }

    /// The caller's stages, in which other collections appear with their visible documents only.
    fn with_visible_others(&self, pipeline: Vec<Document>) -> BoxFuture<'_, Stages> {
        async move {
            let mut stages = Vec::with_capacity(pipeline.len());
            for mut stage in pipeline {
                for name in ["$lookup", "$unionWith"] {
                    if let Some(argument) = stage.remove(name) {
                        stage.insert(name, self.with_visible_other(name, argument).await?);
                    }
                }
                stages.push(stage);
            }
            Ok(stages)
        }
        .boxed()
    }

    async fn with_visible_other(&self, name: &str, argument: Bson) -> Result<Document, ServiceError> {
        let nameless = || ServiceError::bad_request(format!("{name} needs the name of a collection of this database"));
        let key = if name == "$lookup" { "from" } else { "coll" };
        let mut argument = match argument {
            Bson::String(other) if name == "$unionWith" => doc! { key: other },
            Bson::Document(argument) => argument,
            _ => return Err(nameless()),
        };
        let other = match argument.get(key) {
            Some(Bson::String(other)) => other.clone(),
            _ => return Err(nameless()),
        };
        let inner = match argument.remove("pipeline") {
            None => Vec::new(),
            Some(Bson::Array(stages)) => stages
                .into_iter()
                .map(|stage| match stage {
                    Bson::Document(stage) => Ok(stage),
                    _ => Err(ServiceError::invalid("aggregate: a stage must be an object")),
                })
                .collect::<Stages>()?,
            Some(_) => {
                return Err(ServiceError::invalid(format!("aggregate: the pipeline of {name} must be an array")));
            }
        };
        let mut stages = self.visible_stages_of(name, &other).await?;
        stages.extend(self.with_visible_others(inner).await?);
        if !stages.is_empty() || name == "$unionWith" || !argument.contains_key("localField") {
            argument.insert("pipeline", stages);
        }
        Ok(argument)
    }

    /// Stages that leave what is visible of another collection.
    async fn visible_stages_of(&self, stage: &str, other: &str) -> Stages {
        let rules = rules_of(self.source, self.database, other)?;
        let access = self.access();
        let filters = filters_of(&access, &rules).await?;
        let plan = access.plan_reads(&rules.rules).await;
        let plan = plan_for(self.source, self.database, other, plan).await?;
        match plan.is_exact() {
            true => Ok(visible_stages(&filters, plan.candidates())),
            false => Err(ServiceError::bad_request(format!(
                "{stage} of '{other}' is not available to this user: its rules decide about single documents or fields"
            ))),
        }
    }

    /// What `$search` finds, under roles that may use it. Its index knows no rules, so each document has to be asked for.
    async fn found_by_search(&self, search: Document) -> Result<Permitted<RawArrayBuf>, ServiceError> {
        let collection = self.source.collection::<Document>(self.database, self.collection);
        let mut stages = vec![search];
        let filter = self.filters.narrow(Document::new());
        if !filter.is_empty() {
            stages.push(doc! { "$match": filter });
        }
        let aggregate = collection.aggregate(stages);
        let mut batches = match session::acquire(self.source, self.handles, self.arguments).await? {
            None => RawBatches::alone(aggregate.batch().await?),
            Some(mut session) => {
                let found = aggregate.session(session.session()).batch().await?;
                RawBatches::in_session(found, session)
            }
        };
        let access = self.access();
        let mut visible = self.visible(Guard::default());
        let mut all = Permitted::none();
        let mut bytes = 0;
        while let Some(batch) = batches.next().await? {
            for document in batch.doc_slices()? {
                let Some(document) = document?.as_document() else { continue };
                let stored = Bson::Document(Document::try_from(document)?);
                let may_search = match access.role_of_stored(&self.rules.rules.roles, &stored).await {
                    Some(role) => access.may_search(role).await,
                    None => false,
                };
                if !may_search {
                    continue;
                }
                if let Some(shown) = visible.view(document).await? {
                    bytes += shown.get().as_bytes().len() + 16;
                    if bytes > LITERAL_BYTES_MAX {
                        return Err(too_large());
                    }
                    all.push(shown);
                }
            }
        }
        Ok(all)
    }
}

fn visible_stages(filters: &rules::FilterSet, candidates: Candidates<'_>) -> Vec<Document> {
    let mut stages = Vec::new();
    match narrowed(filters.narrow(Document::new()), candidates) {
        None => stages.push(doc! { "$match": { "$nor": [{}] } }),
        Some(query) if query.is_empty() => {}
        Some(query) => stages.push(doc! { "$match": query }),
    }
    stages.extend(filters.project_stage());
    stages
}

/// Takes the `$match` stages in front off and joins them to one query.
fn leading_match(pipeline: &mut Vec<Document>) -> Document {
    let is_match = |stage: &Document| stage.len() == 1 && matches!(stage.get("$match"), Some(Bson::Document(_)));
    let count = pipeline.iter().take_while(|stage| is_match(stage)).count();
    let mut queries: Vec<Document> = pipeline
        .drain(..count)
        .filter_map(|mut stage| match stage.remove("$match") {
            Some(Bson::Document(query)) if !query.is_empty() => Some(query),
            _ => None,
        })
        .collect();
    match queries.len() {
        0 | 1 => queries.pop().unwrap_or_default(),
        _ => doc! { "$and": queries },
    }
}

fn too_large() -> ServiceError {
    ServiceError::bad_request(
        "aggregate: the documents this user may see are too large to compute with: narrow them with $match first",
    )
}
