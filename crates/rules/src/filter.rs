//! Filters: what they add to a query and take from its results (rules-and-users 2.5).

use std::collections::BTreeMap;

use bson::{Document, doc};
use serde_json::{Map, Value as Json};

use crate::access::Access;
use crate::expression::{Filled, Query, match_nothing};
use crate::projection::Projection;
use crate::rule_set::type_name;
use crate::{Bindings, Expression, Guard, Permitted, Place, RuleError, Verdict};

/// One filter.
#[derive(Debug, Clone)]
pub struct Filter {
    /// For logs.
    pub name: String,
    /// Absent: applies to everybody.
    apply_when: Option<Expression>,
    query: Option<Query>,
    /// Dotted path to shown or hidden.
    projection: BTreeMap<String, bool>,
}

/// All filters that apply to one request.
#[derive(Debug, Clone, Default)]
pub struct FilterSet {
    queries: Vec<Document>,
    projection: Option<Projection>,
}

/// One filter shows some fields and another hides some: the query fails (rules-and-users 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the projections of the filters that apply conflict: some include fields and some exclude fields")]
pub struct ProjectionConflict;

impl Filter {
    pub(crate) fn parse(object: &Map<String, Json>) -> Result<Self, Vec<RuleError>> {
        let mut errors = Vec::new();
        let get = |key: &str| object.get(key).filter(|json| !json.is_null());
        let apply_when = get("apply_when").and_then(|json| {
            let parsed = Expression::parse(json, Place::FilterApplyWhen);
            parsed.map_err(|error| errors.push(error.within("apply_when"))).ok()
        });
        let query = get("query").and_then(|json| {
            let parsed = match json {
                Json::Object(_) => Query::parse(json),
                other => Err(RuleError::Shape { path: String::new(), found: type_name(other), expected: "an object" }),
            };
            parsed.map_err(|error| errors.push(error.within("query"))).ok()
        });
        let mut projection = BTreeMap::new();
        let (key, json) = match get("projection") {
            Some(json) => ("projection", Some(json)),
            None => ("project", get("project")),
        };
        match json {
            None => {}
            Some(Json::Object(members)) => {
                for (path, shown) in members {
                    let shown = match shown {
                        Json::Bool(shown) => Some(*shown),
                        Json::Number(number) => number.as_f64().map(|number| number != 0.0),
                        _ => None,
                    };
                    match shown {
                        Some(shown) => {
                            projection.insert(path.clone(), shown);
                        }
                        None => errors.push(RuleError::Shape {
                            path: format!("{key}.{path}"),
                            found: "no projection",
                            expected: "1 or 0",
                        }),
                    }
                }
            }
            Some(other) => {
                errors.push(RuleError::Shape { path: key.to_owned(), found: type_name(other), expected: "an object" })
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            name: object.get("name").and_then(Json::as_str).unwrap_or_default().to_owned(),
            apply_when,
            query,
            projection,
        })
    }
}

impl Filter {
    pub(crate) fn warnings(&self) -> impl Iterator<Item = &RuleError> {
        self.apply_when.iter().flat_map(Expression::warnings)
    }
}

impl Access<'_> {
    /// What the filters do to this request's queries; decided once, before the query.
    ///
    /// # Errors
    /// When the projections of those that apply cannot be combined.
    pub async fn filters(&self, filters: &[Filter]) -> Result<FilterSet, ProjectionConflict> {
        let bindings = Bindings::new(self.surroundings);
        let mut set = FilterSet::default();
        let mut projection: BTreeMap<String, bool> = BTreeMap::new();
        for filter in filters {
            let applies = match &filter.apply_when {
                None => Verdict::True,
                Some(apply_when) => apply_when.decide(&bindings, self.functions).await,
            };
            match applies {
                Verdict::False => continue,
                // A filter restricts, so one that cannot be decided lets nothing through.
                Verdict::Error(_) => set.queries.push(match_nothing()),
                Verdict::True => {
                    if let Some(query) = &filter.query {
                        match query.fill(&bindings, self.functions).await {
                            Filled::Query(query) if query.is_empty() => {}
                            Filled::Query(query) => set.queries.push(query),
                            Filled::Nothing => set.queries.push(match_nothing()),
                        }
                    }
                }
            }
            for (path, shown) in &filter.projection {
                let entry = projection.entry(path.clone()).or_insert(*shown);
                if path == "_id" {
                    *entry &= *shown;
                } else if entry != shown {
                    return Err(ProjectionConflict);
                }
            }
        }
        set.projection = Projection::of_paths(projection).map_err(|_| ProjectionConflict)?;
        Ok(set)
    }
}

impl FilterSet {
    /// The caller's query narrowed by all filters.
    pub fn narrow(&self, query: Document) -> Document {
        let mut all: Vec<Document> = Vec::with_capacity(self.queries.len() + 1);
        if !query.is_empty() {
            all.push(query);
        }
        all.extend(self.queries.iter().cloned());
        if all.len() > 1 {
            doc! { "$and": all }
        } else {
            all.pop().unwrap_or_default()
        }
    }

    /// A document that a role shows, without what the filters hide. Comes before the caller's own projection.
    pub fn project(&self, document: Permitted<Document>) -> Permitted<Document> {
        match &self.projection {
            None => document,
            Some(projection) => projection.apply(document),
        }
    }

    /// What they take from every document, as a stage of a pipeline.
    pub fn project_stage(&self) -> Option<Document> {
        self.projection.as_ref().map(|projection| doc! { "$project": projection.to_document() })
    }

    /// Whether they may hide what one of these paths leads to.
    pub fn may_hide(&self, guard: &Guard) -> bool {
        self.projection.as_ref().is_some_and(|projection| guard.paths().any(|path| projection.may_hide(path)))
    }

    /// The filters alone, as a condition that gives an upsert no fields: equality inside of negations is not copied.
    pub fn opaque(&self) -> Option<Document> {
        let all = self.narrow(Document::new());
        (!all.is_empty()).then(|| doc! { "$nor": [{ "$nor": [all] }] })
    }

    /// Whether they hide fields.
    pub fn projects(&self) -> bool {
        self.projection.is_some()
    }

    /// Whether no filter does anything.
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty() && self.projection.is_none()
    }
}
