//! As whom a webhook or function runs (http-surface 1.5.1, 1.7, 3.5.1).

use super::fields::{Fields, Mistyped};
use super::problems::Problems;
use crate::RunAs;

/// Whose settings are read: they differ in what "nothing set" means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nothing set means System.
    Webhook,
    /// Nothing set means the caller.
    Function,
}

/// Reads the four settings, in the order in which they win.
pub(super) fn read(fields: &Fields<'_>, owner: Owner, problems: &mut Problems) -> Result<RunAs, Mistyped> {
    let system = fields.flag("run_as_system", problems);
    // Functions have no such field.
    let authed_user = match owner {
        Owner::Webhook => fields.flag("run_as_authed_user", problems),
        Owner::Function => Ok(None),
    };
    let user_id = fields.filled_text("run_as_user_id", problems);
    let script = fields.filled_text("run_as_user_id_script_source", problems);
    let (system, authed_user, user_id, script) = (system?, authed_user?, user_id?, script?);

    let mut set = Vec::new();
    if system == Some(true) {
        set.push(("run_as_system", RunAs::System));
    }
    if authed_user == Some(true) {
        set.push(("run_as_authed_user", RunAs::Caller));
    }
    if let Some(user_id) = user_id {
        set.push(("run_as_user_id", RunAs::UserId(user_id.to_owned())));
    }
    if let Some(script) = script {
        set.push(("run_as_user_id_script_source", RunAs::Script(script.to_owned())));
    }
    let mut set = set.into_iter();
    let Some((winner, run_as)) = set.next() else {
        return Ok(match owner {
            Owner::Webhook => RunAs::System,
            Owner::Function => RunAs::Caller,
        });
    };
    for (other, _) in set {
        fields.warning(other, format!("has no effect beside {winner}, which excludes it: keep one of them"), problems);
    }
    Ok(run_as)
}
