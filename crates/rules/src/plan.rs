//! What the database can do of the rules' work: which documents to look at, and when nothing is left to decide
//! (rules-and-users 2.3, 2.6).

use bson::Document;
use bson::raw::{RawArrayBuf, RawDocumentBuf};

use crate::access::Access;
use crate::expression::{Narrowing, Set};
use crate::rule_set::FieldPermissions;
use crate::{Expression, Permitted, Role, RuleSet};

/// How the visible documents of a collection are found in one request.
#[derive(Debug, Clone)]
pub struct ReadPlan {
    narrowing: Narrowing,
}

/// How the documents that a request may change are found, where that needs no look at them.
#[derive(Debug, Clone)]
pub struct WritePlan {
    direct: Option<Narrowing>,
}

/// A change of documents that may be planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Updates and replacements.
    Update,
    /// Deletes.
    Delete,
}

/// What the database has to be asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Candidates<'p> {
    /// No document comes into question.
    Nothing,
    /// All of them.
    Everything,
    /// Those that match this query.
    Matching(&'p Document),
}

/// What one role means for all documents of a collection.
struct RoleOutline {
    applies: Narrowing,
    /// Documents of this role that are shown whole.
    whole: Narrowing,
    /// Documents of this role that are shown at all; not exact when some are shown in parts.
    shown: Narrowing,
}

impl ReadPlan {
    /// Documents that come into question: no other one is visible.
    pub fn candidates(&self) -> Candidates<'_> {
        candidates(&self.narrowing)
    }

    /// Whether every candidate is visible as a whole, so that none has to be asked for.
    pub fn is_exact(&self) -> bool {
        self.narrowing.exact
    }

    /// A document that the database found among the candidates of an exact plan; `None` for any other plan.
    pub fn permit(&self, document: RawDocumentBuf) -> Option<Permitted<RawDocumentBuf>> {
        self.narrowing.exact.then(|| Permitted::new(crate::read::without_internals(document)))
    }

    /// As [`Self::permit`] for a list of such documents.
    pub fn permit_all(&self, documents: RawArrayBuf) -> Option<Permitted<RawArrayBuf>> {
        self.narrowing.exact.then(|| Permitted::new(crate::read::all_without_internals(documents)))
    }

    /// As [`Self::permit`] for what the database made of such documents.
    pub fn permit_result<T>(&self, result: T) -> Option<Permitted<T>> {
        self.narrowing.exact.then(|| Permitted::new(result))
    }
}

impl ReadPlan {
    /// The same user and collection, where the database compares in ways of its own: every document is asked for.
    pub fn asking_each() -> Self {
        Self { narrowing: Narrowing::unknown() }
    }
}

impl WritePlan {
    /// As [`ReadPlan::asking_each`].
    pub fn asking_each() -> Self {
        Self { direct: None }
    }

    /// Documents that may be changed and nothing is left to decide; `None` where each has to be asked for.
    pub fn candidates(&self) -> Option<Candidates<'_>> {
        self.direct.as_ref().map(candidates)
    }
}

fn candidates(narrowing: &Narrowing) -> Candidates<'_> {
    match &narrowing.set {
        Set::Nothing => Candidates::Nothing,
        Set::Everything => Candidates::Everything,
        Set::Matching(query) => Candidates::Matching(query),
    }
}

impl Access<'_> {
    /// How the documents this user may read are found.
    pub async fn plan_reads(&self, rules: &RuleSet) -> ReadPlan {
        let mut visible = Vec::new();
        let mut earlier: Vec<Narrowing> = Vec::new();
        for role in &rules.roles {
            let RoleOutline { applies, whole, shown } = self.outline(role).await;
            if applies.is_nothing() {
                continue;
            }
            let others = earlier.iter().cloned().map(Narrowing::complement);
            visible.push(Narrowing::and([applies.clone(), shown].into_iter().chain(others)));
            if applies.is_everything() {
                break;
            }
            // What an earlier role shows whole stays so, whatever the later ones say.
            if !whole.is_everything() {
                earlier.push(applies);
            }
        }
        ReadPlan { narrowing: Narrowing::or(visible) }
    }

    /// How the documents this user may change are found, when the database alone can tell: every role that may apply
    /// lets every such change pass, and shows its documents whole, so that no predicate tells more than it may.
    pub async fn plan_writes(&self, rules: &RuleSet, change: Change) -> WritePlan {
        let mut direct = Vec::new();
        for role in &rules.roles {
            let outline = self.outline(role).await;
            if outline.applies.is_nothing() {
                continue;
            }
            let gate = match &role.document_filters {
                None => Narrowing::everything(),
                Some(filters) => self.narrow(filters.write.as_ref()).await,
            };
            let permission = match change {
                Change::Delete if role.delete.is_some() => &role.delete,
                Change::Delete | Change::Update => &role.write,
            };
            let allowed = gate.is_everything() && self.narrow(permission.as_ref()).await.is_everything();
            if !allowed || !outline.applies.exact || !outline.whole.is_everything() {
                return WritePlan { direct: None };
            }
            let is_last = outline.applies.is_everything();
            direct.push(outline.applies);
            if is_last {
                break;
            }
        }
        WritePlan { direct: Some(Narrowing::or(direct)) }
    }

    /// Documents that may have a role at all; each has to be asked for.
    pub async fn plan_matches(&self, rules: &RuleSet) -> ReadPlan {
        let mut matches = Vec::new();
        for role in &rules.roles {
            matches.push(self.narrow(role.apply_when.as_ref()).await);
        }
        ReadPlan { narrowing: Narrowing { exact: false, ..Narrowing::or(matches) } }
    }

    async fn outline(&self, role: &Role) -> RoleOutline {
        let applies = self.narrow(role.apply_when.as_ref()).await;
        let (read_gate, write_gate) = match &role.document_filters {
            None => (Narrowing::everything(), Narrowing::everything()),
            Some(gates) => (self.narrow(gates.read.as_ref()).await, self.narrow(gates.write.as_ref()).await),
        };
        let reads = Narrowing::and([read_gate.clone(), self.narrow(role.read.as_ref()).await]);
        let writes = Narrowing::and([write_gate.clone(), self.narrow(role.write.as_ref()).await]);
        let whole = Narrowing::or([reads, writes]);
        let shown = match role.shows_fields() && !whole.is_everything() {
            true => Narrowing { exact: false, ..Narrowing::or([read_gate, write_gate]) },
            false => whole.clone(),
        };
        RoleOutline { applies, whole, shown }
    }

    /// A permission that is absent permits nothing.
    async fn narrow(&self, permission: Option<&Expression>) -> Narrowing {
        match permission {
            Some(permission) => permission.narrow(self.surroundings, self.functions).await,
            None => Narrowing::nothing(),
        }
    }
}

impl Role {
    /// Whether it may show single fields of documents.
    fn shows_fields(&self) -> bool {
        self.additional_fields.shows_anything()
            || self.fields.iter().any(|(_, permissions)| permissions.shows_anything())
    }
}

impl FieldPermissions {
    fn shows_anything(&self) -> bool {
        let may_hold = |permission: &Option<Expression>| permission.as_ref().is_some_and(|one| !one.is_never());
        may_hold(&self.read)
            || may_hold(&self.write)
            || self.fields.iter().any(|(_, permissions)| permissions.shows_anything())
    }
}
