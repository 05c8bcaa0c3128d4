//! Rules of services other than MongoDB: which actions a rules user may call (rules-and-users 6).

use std::sync::Arc;

use app_model::ServiceRule;
use bson::Bson;
use rules::{Bindings, Expression, Place, Verdict};

use crate::run_context::RulesUsers;
use crate::{Authority, ServiceError};

/// The rules of one service. Without any, a rules user may call nothing.
#[derive(Debug, Clone, Default)]
pub struct ActionRules {
    rules: Arc<[ActionRule]>,
}

#[derive(Debug)]
struct ActionRule {
    actions: Vec<String>,
    when: Expression,
}

impl ActionRules {
    /// Rules as they stand in files. A rule only ever allows, so one whose condition is no expression is left out; whoever
    /// loads the app reports it.
    pub fn new(rules: &[ServiceRule]) -> Self {
        let rules = rules.iter().filter_map(|rule| {
            let when = Expression::parse(&rule.when, Place::ServiceRule).ok()?;
            Some(ActionRule { actions: rule.actions.clone(), when })
        });
        Self { rules: rules.collect() }
    }

    /// Whether the call may be made. System is not bound by rules.
    ///
    /// # Errors
    /// No rule lists the action and holds.
    pub(crate) async fn check(
        &self,
        service: &str,
        action: &str,
        arguments: &Bson,
        users: &RulesUsers,
        authority: &Authority,
    ) -> Result<(), ServiceError> {
        let Authority::User(id) = authority else { return Ok(()) };
        let listed: Vec<&ActionRule> = self.rules.iter().filter(|rule| rule.lists(action)).collect();
        if !listed.is_empty() {
            let user = users.get(id).await?;
            let access = user.access();
            let bindings = Bindings { args: Some(arguments), ..Bindings::new(access.surroundings) };
            for rule in listed {
                match rule.when.decide(&bindings, access.functions).await {
                    Verdict::True => return Ok(()),
                    Verdict::False => {}
                    Verdict::Error(fault) => {
                        tracing::debug!(service, action, %fault, "a service rule cannot be decided")
                    }
                }
            }
        }
        Err(ServiceError::NoServiceRule { service: service.to_owned(), action: action.to_owned() })
    }
}

impl ActionRule {
    /// By name, or by `<service>:*`.
    fn lists(&self, action: &str) -> bool {
        self.actions.iter().any(|listed| {
            listed == action
                || match (listed.split_once(':'), action.split_once(':')) {
                    (Some((service, "*")), Some((of_action, _))) => service == of_action,
                    _ => false,
                }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_by_name_and_by_service() {
        let lists = |listed: &[&str], action: &str| {
            let actions = listed.iter().map(|action| (*action).to_owned()).collect();
            ActionRule { actions, when: Expression::always() }.lists(action)
        };
        assert!(lists(&["get", "post"], "post"));
        assert!(!lists(&["get"], "post"));
        assert!(lists(&["kinesis:*"], "kinesis:PutRecord"));
        assert!(!lists(&["kinesis:*"], "s3:PutObject"));
        assert!(!lists(&["*:*", "*", "s3"], "s3:PutObject"));
        assert!(!lists(&["kinesis:*"], "kinesis"));
    }
}
