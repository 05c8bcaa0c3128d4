//! The rules of all collections of one data source (rules-and-users 2.2).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use app_model::{App, CollectionRules, DataSource, Level, Problem};
use serde_json::Value as Json;

use crate::rule_set::join;
use crate::{Expression, RuleError, RuleSet, Schema};

/// The rules of one data source, read once when its app is loaded.
#[derive(Debug, Default)]
pub struct DataSourceRules {
    /// Database to collection.
    collections: HashMap<String, HashMap<String, Collection>>,
    /// For collections without roles of their own.
    default: Option<Arc<RuleSet>>,
}

/// The rules that decide about one collection.
#[derive(Debug, Clone)]
pub struct NamespaceRules {
    /// Roles, of which there is at least one, and filters.
    pub rules: Arc<RuleSet>,
    /// What its documents have to look like.
    pub schema: Option<Arc<Schema>>,
}

#[derive(Debug)]
enum Collection {
    /// Could not be read: everything is denied.
    Broken,
    /// Without roles the default ones decide.
    Read { rules: Arc<RuleSet>, schema: Option<Arc<Schema>> },
}

impl DataSourceRules {
    /// Reads the rules of a data source. What is wrong comes as problems; the collection concerned denies everything.
    pub fn compile(app: &App, source: &DataSource) -> (Self, Vec<Problem>) {
        let mut compiler = Compiler { app, problems: Vec::new() };
        let mut rules = Self::default();
        if let Some(json) = &source.default_rule {
            let file = source.config_file.with_file_name("default_rule.json");
            rules.default = compiler.rule_set(json, &file).map(Arc::new);
        }
        for written in &source.collections {
            let set = match &written.rules {
                Some(json) => compiler.rule_set(json, &written.file),
                None => Some(RuleSet::default()),
            };
            let schema = match &written.schema {
                Some(json) => compiler.schema(json, written),
                None => Some(None),
            };
            let collection = match (set, schema) {
                (Some(set), Some(schema)) if !written.broken => {
                    Collection::Read { rules: Arc::new(set), schema: schema.map(Arc::new) }
                }
                _ => Collection::Broken,
            };
            rules
                .collections
                .entry(written.database.clone())
                .or_default()
                .insert(written.collection.clone(), collection);
        }
        (rules, compiler.problems)
    }

    /// The rules of a collection; `None` when none exist, which denies everything.
    pub fn of(&self, database: &str, collection: &str) -> Option<NamespaceRules> {
        let own = self.collections.get(database).and_then(|collections| collections.get(collection));
        let default = || self.default.as_ref().filter(|set| !set.roles.is_empty());
        let (rules, schema) = match own {
            Some(Collection::Broken) => return None,
            Some(Collection::Read { rules, schema }) if !rules.roles.is_empty() => (rules, schema.clone()),
            // A schema alone is no rule, but it binds whoever the default rule lets in.
            Some(Collection::Read { schema, .. }) => (default()?, schema.clone()),
            None => (default()?, None),
        };
        Some(NamespaceRules { rules: Arc::clone(rules), schema })
    }
}

struct Compiler<'a> {
    app: &'a App,
    problems: Vec<Problem>,
}

impl Compiler<'_> {
    /// `None` when something is wrong with it.
    fn rule_set(&mut self, json: &Json, file: &Path) -> Option<RuleSet> {
        match RuleSet::parse(json) {
            Ok(set) => {
                for warning in &set.warnings {
                    self.problem(Level::Warning, file, warning.path(), warning.message());
                }
                for expression in set.expressions() {
                    self.check_functions(file, expression);
                }
                Some(set)
            }
            Err(errors) => {
                for error in errors {
                    let message =
                        format!("{}: the collection denies everything until it is corrected", error.message());
                    self.problem(Level::Error, file, error.path(), message);
                }
                None
            }
        }
    }

    /// `None` when something is wrong with it.
    fn schema(&mut self, json: &Json, written: &CollectionRules) -> Option<Option<Schema>> {
        // In the old layout everything is in one file.
        let is_apart = written.file.file_name().is_some_and(|name| name == "rules.json");
        let (file, prefix) = match is_apart {
            true => (written.file.with_file_name("schema.json"), ""),
            false => (written.file.clone(), "schema"),
        };
        match Schema::parse(json) {
            Ok(schema) => {
                let mut expressions = Vec::new();
                if let Some(schema) = &schema {
                    schema.gather(&mut expressions);
                }
                for expression in expressions {
                    self.check_functions(&file, expression);
                }
                Some(schema)
            }
            Err(errors) => {
                for error in errors {
                    let message =
                        format!("{}: the collection denies everything until it is corrected", error.message());
                    let path = join(prefix, error.path());
                    self.problem(Level::Error, &file, path.trim_end_matches('.'), message);
                }
                None
            }
        }
    }

    fn check_functions(&mut self, file: &Path, expression: &Expression) {
        for name in expression.functions().filter(|name| self.app.function(name).is_none()) {
            let message = format!(
                "an expression calls the function '{name}', which the app does not have: add it, or the expression never holds"
            );
            self.problems.push(Problem { level: Level::Error, file: file.to_owned(), field: String::new(), message });
        }
    }

    fn problem(&mut self, level: Level, file: &Path, path: &str, message: String) {
        self.problems.push(Problem { level, file: PathBuf::from(file), field: path.to_owned(), message });
    }
}

impl RuleError {
    /// Without the path, which a problem names apart.
    fn message(&self) -> String {
        let text = self.to_string();
        match text.strip_prefix(self.path()) {
            Some(rest) if !self.path().is_empty() => rest.trim_start_matches(": ").to_owned(),
            _ => text,
        }
    }
}
