//! Actions of application users: the same as everybody's, under the rules of the collection (rules-and-users 2).
//!
//! The order is that of 2.6: the rules are looked up, what nobody but the system may use is refused, the filters are
//! decided; then documents are found, each has its role chosen, and reads give what the role shows while writes are checked
//! before they stay. What of this the database can do exactly is left to it ([`rules::ReadPlan`]).

mod aggregate;
mod available;
mod insert;
mod read;
mod visible;
mod watch;
mod write;

use std::sync::Arc;

use bson::{Document, doc};
use rules::{Access, Candidates, Change, FilterSet, NamespaceRules, ReadPlan, WritePlan};

use super::connection::DataSource;
use super::handles::OpenHandles;
use crate::ServiceError;
use crate::arguments::Arguments;
use crate::error::Reply;
use crate::run_context::{CallUser, RulesUsers};

pub(crate) use visible::Visible;

/// One action of an application user on one collection.
struct Call<'a> {
    source: &'a DataSource,
    handles: &'a OpenHandles,
    action: &'a str,
    arguments: Arguments<'a>,
    database: &'a str,
    collection: &'a str,
    user: Arc<CallUser>,
    rules: NamespaceRules,
    filters: FilterSet,
}

/// Calls one action that names a collection.
pub(super) async fn call(
    source: &DataSource,
    handles: &OpenHandles,
    users: &RulesUsers,
    id: &str,
    action: &str,
    arguments: Arguments<'_>,
) -> Reply {
    let unavailable =
        |what: &str| Err(ServiceError::bad_request(format!("{what} is not available to application users")));
    if matches!(action, "getCollectionNames" | "getDBNames") {
        return unavailable(action);
    }
    let database = arguments.text("db")?;
    let Some(collection) = arguments.optional_text("collection")? else {
        return unavailable("aggregate of a database");
    };
    if source.is_read_only() {
        return unavailable("a data lake");
    }
    let rules = rules_of(source, database, collection)?;
    let user = Arc::new(CallUser::new(users.get(id).await?));
    available::check_options(arguments.options()?)?;
    let filters = filters_of(&user.access(), &rules).await?;
    let call = Call { source, handles, action, arguments, database, collection, user, rules, filters };
    match action {
        "find" => call.find().await,
        "findOne" => call.find_one().await,
        "count" => call.count().await,
        "distinct" => call.distinct().await,
        "aggregate" => call.aggregate().await,
        "watch" => call.watch().await,
        "insertOne" => call.insert_one().await,
        "insertMany" => call.insert_many().await,
        _ => call.write().await,
    }
}

fn rules_of(source: &DataSource, database: &str, collection: &str) -> Result<NamespaceRules, ServiceError> {
    source.rules().of(database, collection).ok_or_else(|| ServiceError::NoMatchingRule {
        database: database.to_owned(),
        collection: collection.to_owned(),
    })
}

async fn filters_of(access: &Access<'_>, rules: &NamespaceRules) -> Result<FilterSet, ServiceError> {
    access.filters(&rules.rules.filters).await.map_err(|conflict| ServiceError::bad_request(conflict.to_string()))
}

impl Call<'_> {
    fn access(&self) -> Access<'_> {
        self.user.access()
    }

    /// How visible documents are found.
    async fn plan_reads(&self) -> Result<ReadPlan, ServiceError> {
        let plan = self.access().plan_reads(&self.rules.rules).await;
        plan_for(self.source, self.database, self.collection, plan).await
    }

    /// How the documents are found that a change may be made to without asking for each.
    async fn plan_writes(&self, change: Change) -> Result<WritePlan, ServiceError> {
        let plan = self.access().plan_writes(&self.rules.rules, change).await;
        match plan.candidates() {
            Some(Candidates::Matching(_)) if self.compares_its_own_way().await? => Ok(WritePlan::asking_each()),
            _ => Ok(plan),
        }
    }

    /// How documents are found that may have a role.
    async fn plan_matches(&self) -> Result<ReadPlan, ServiceError> {
        let plan = self.access().plan_matches(&self.rules.rules).await;
        plan_for(self.source, self.database, self.collection, plan).await
    }

    async fn compares_its_own_way(&self) -> Result<bool, ServiceError> {
        self.source.has_default_collation(self.database, self.collection).await
    }
}

/// Queries of plans assume that strings are compared byte by byte.
async fn plan_for(
    source: &DataSource,
    database: &str,
    collection: &str,
    plan: ReadPlan,
) -> Result<ReadPlan, ServiceError> {
    match plan.candidates() {
        Candidates::Matching(_) if source.has_default_collation(database, collection).await? => {
            Ok(ReadPlan::asking_each())
        }
        _ => Ok(plan),
    }
}

/// A query that is narrowed to candidates; `None` when nothing comes into question.
fn narrowed(query: Document, candidates: Candidates<'_>) -> Option<Document> {
    match candidates {
        Candidates::Nothing => None,
        Candidates::Everything => Some(query),
        Candidates::Matching(narrow) if query.is_empty() => Some(narrow.clone()),
        Candidates::Matching(narrow) => Some(doc! { "$and": [query, narrow.clone()] }),
    }
}
