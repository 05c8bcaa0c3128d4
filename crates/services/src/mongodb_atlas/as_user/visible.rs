//! Stored documents on their way to an application user, where each has to be asked for.

use std::sync::Arc;

use bson::Document;
use bson::raw::{RawDocument, RawDocumentBuf};
use rules::{FilterSet, Guard, Permitted, Projection, RuleSet};

use crate::ServiceError;
use crate::run_context::CallUser;

/// Gives of each stored document what the user may see, then skips, limits and projects as the caller asked.
pub(crate) struct Visible {
    pub user: Arc<CallUser>,
    pub rules: Arc<RuleSet>,
    pub filters: FilterSet,
    pub guard: Guard,
    pub projection: Option<Projection>,
    /// Visible documents still to be passed over.
    pub skip: u64,
    /// Visible documents still to be given; `None` for all.
    pub limit: Option<u64>,
}

impl Visible {
    /// What the user gets of a stored document.
    pub async fn view(&mut self, stored: &RawDocument) -> Result<Option<Permitted<RawDocumentBuf>>, ServiceError> {
        if self.is_done() {
            return Ok(None);
        }
        let access = self.user.access();
        let Some(shown) = access.view(&self.rules, &self.filters, &self.guard, stored).await? else { return Ok(None) };
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(None);
        }
        if let Some(limit) = &mut self.limit {
            *limit -= 1;
        }
        match &self.projection {
            None => Ok(Some(shown)),
            Some(projection) => project(projection, shown).map(Some),
        }
    }

    /// What the user gets of an event of a change stream.
    pub async fn view_change(&self, event: &Document) -> Result<Option<Permitted<Document>>, ServiceError> {
        // Functions may decide otherwise by now.
        let user = self.user.afresh();
        let access = user.access();
        let plan = access.plan_reads(&self.rules).await;
        let everything = plan.is_exact() && plan.candidates() == rules::Candidates::Everything;
        Ok(access.view_change(&self.rules, &self.filters, &self.guard, everything, event).await?)
    }

    /// Whether everything that was asked for has been given.
    pub fn is_done(&self) -> bool {
        self.limit == Some(0)
    }
}

/// A projection of the caller's, after the rules.
pub(super) fn project(
    projection: &Projection,
    shown: Permitted<RawDocumentBuf>,
) -> Result<Permitted<RawDocumentBuf>, ServiceError> {
    // Bytes that came through the rules are well-formed, and a projection takes away only.
    let shown = shown.map(|shown| Document::try_from(&*shown).unwrap_or_default());
    Ok(projection.apply(shown).map(|shown| RawDocumentBuf::try_from(&shown).unwrap_or_default()))
}
