//! Queries of filters: not expressions, but MongoDB's own with expansions in them (rules-and-users 1.9).

use app_model::CallFunction;
use bson::{Bson, Document, doc};
use serde_json::Value as Json;

use super::evaluate::Evaluation;
use super::{Bindings, Expression, Fault, Operand, call_function, parse};
use crate::RuleError;

/// The query of one filter.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    clauses: Vec<Clause>,
    /// Holds the functions that values name.
    functions: Expression,
}

/// One member of a query document.
#[derive(Debug, Clone)]
pub(super) enum Clause {
    /// `$and`, `$or`, `$nor`
    Logical { operator: String, inner: Vec<Vec<Clause>> },
    /// A field, or an operator such as `$comment`.
    Predicate { key: String, operand: Operand, negated: bool },
}

/// A query for one request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filled {
    Query(Document),
    /// Something that it names is missing where a negation would turn that into a match.
    Nothing,
}

impl Query {
    pub fn parse(json: &Json) -> Result<Self, RuleError> {
        let (clauses, functions) = parse::parse_query(json)?;
        Ok(Self { clauses, functions })
    }

    pub async fn fill(&self, bindings: &Bindings<'_>, functions: &dyn CallFunction) -> Filled {
        let mut results: Vec<Option<Result<Bson, Fault>>> = vec![None; self.functions.functions.len()];
        for (index, function) in self.functions.functions.iter().enumerate() {
            let call = Evaluation::new(&self.functions, bindings, &results).function_call(function);
            results[index] = Some(call_function(call, bindings, functions).await);
        }
        let evaluation = Evaluation::new(&self.functions, bindings, &results);
        fill(&self.clauses, &evaluation, false).map_or(Filled::Nothing, Filled::Query)
    }
}

/// A query that no document matches.
pub(crate) fn match_nothing() -> Document {
    doc! { "$nor": [{}] }
}

/// `None` when the whole must match nothing.
fn fill<'a>(clauses: &'a [Clause], evaluation: &Evaluation<'a>, below_nor: bool) -> Option<Document> {
    let mut filled = Vec::with_capacity(clauses.len());
    for clause in clauses {
        match clause {
            Clause::Logical { operator, inner } => {
                let below_nor = below_nor || operator == "$nor";
                let inner: Option<Vec<Document>> =
                    inner.iter().map(|clauses| fill(clauses, evaluation, below_nor)).collect();
                filled.push(doc! { operator: inner? });
            }
            Clause::Predicate { key, operand, negated } => match evaluation.single(operand) {
                Ok(Some(value)) => filled.push(doc! { key: value }),
                Ok(None) | Err(_) if *negated || below_nor => return None,
                Ok(None) | Err(_) => filled.push(match_nothing()),
            },
        }
    }
    Some(if filled.len() > 1 {
        doc! { "$and": filled }
    } else {
        filled.pop().unwrap_or_default()
    })
}
