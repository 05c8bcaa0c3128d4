//! What is wrong with the expressions of an app, for `selvedge check` and for the log at start.

use std::path::Path;

use app_model::{App, Level, Problem, ServiceRule};
use rules::{DataSourceRules, Expression, Place};
use serde_json::Value as Json;

/// One problem for each `can_evaluate` that is no expression, for whatever is wrong in rules of collections, and for rules of services. What it
/// guards is refused.
pub fn expression_problems(app: &App) -> Vec<Problem> {
    let webhooks = app.services.iter().flat_map(|service| &service.webhooks);
    let webhooks = webhooks.map(|webhook| (webhook.config_file.as_path(), None, &webhook.can_evaluate));
    let endpoints = app
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.config_file.as_path(), Some(endpoint.config_entry), &endpoint.can_evaluate));
    let functions = app
        .functions
        .iter()
        .filter_map(|function| Some((function.config_file.as_deref()?, function.config_entry, &function.can_evaluate)));
    webhooks
        .chain(endpoints)
        .chain(functions)
        .filter_map(|(file, entry, expression)| problem(app, file, entry, expression.as_ref()?))
        .chain(
            app.services.iter().flat_map(|service| &service.rules).filter_map(|rule| service_rule_problem(app, rule)),
        )
        .chain(app.data_sources.iter().flat_map(|source| DataSourceRules::compile(app, source).1))
        .collect()
}

/// A rule that is no expression, or calls what is not there: it never allows.
fn service_rule_problem(app: &App, rule: &ServiceRule) -> Option<Problem> {
    let message = match Expression::parse(&rule.when, Place::ServiceRule) {
        Err(error) => format!("{error}: the rule allows nothing until it is corrected"),
        Ok(parsed) => {
            let missing = parsed.functions().find(|name| app.function(name).is_none())?;
            format!("calls the function '{missing}', which the app does not have: add it, or the rule allows nothing")
        }
    };
    Some(Problem { level: Level::Error, file: rule.file.clone(), field: "when".into(), message })
}

fn problem(app: &App, file: &Path, entry: Option<usize>, expression: &Json) -> Option<Problem> {
    if expression.is_null() {
        return None;
    }
    let field = match entry {
        Some(entry) => format!("[{entry}].can_evaluate"),
        None => "can_evaluate".to_owned(),
    };
    let message = match Expression::parse(expression, Place::CanEvaluate) {
        Err(error) => format!("{error}: every call is refused until it is corrected"),
        Ok(parsed) => {
            let missing = parsed.functions().find(|name| app.function(name).is_none())?;
            format!("calls the function '{missing}', which the app does not have: add it, or every call is refused")
        }
    };
    Some(Problem { level: Level::Error, file: file.to_owned(), field, message })
}
