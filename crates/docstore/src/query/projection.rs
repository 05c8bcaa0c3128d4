//! Projections: which fields of a document a reply holds (MongoDB manual, "Project Fields to Return from Query").

use bson::{Bson, Document};

use super::QueryContext;
use super::expression::Expression;
use super::filter::{Filter, MatchDetails, Node as FilterNode};
use super::value::{ArrayRef, DocumentRef, ValueRef};
use crate::error::{CommandError, CommandResult};

/// A parsed projection.
#[derive(Debug, Clone)]
pub struct Projection {
    inclusion: bool,
    root: Node,
    slices: Vec<(Vec<String>, Slice)>,
    positional: Option<Vec<String>>,
}

/// Which dialect to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectionPolicy {
    /// `find` and `findAndModify`: with `$slice`, `$elemMatch` and the positional `$`; may be empty.
    Find,
    /// `$project`: none of those, not empty.
    Aggregate,
}

/// What happens to the fields of one document.
#[derive(Debug, Clone, Default)]
struct Node {
    children: Vec<(String, Child)>,
}

#[derive(Debug, Clone)]
enum Child {
    /// Included or excluded, as the projection is.
    Leaf,
    Computed(Computed),
    Node(Node),
}

#[derive(Debug, Clone)]
enum Computed {
    Expression(Box<Expression>),
    /// The first element of the array in this field that matches.
    ElementMatch(String, Box<Filter>),
}

#[derive(Debug, Clone, Copy)]
struct Slice {
    skip: Option<i64>,
    limit: i64,
}

/// Deepest nesting of a projection.
const DEPTH_MAX: usize = 100;

struct Parser<'c> {
    policy: ProjectionPolicy,
    context: &'c QueryContext,
    /// Decided by the first field that says so.
    inclusion: Option<bool>,
    id: Option<bool>,
    element_match: bool,
    /// Fields of the other kind than the first one, to be refused once the kind is known.
    root: Node,
    slices: Vec<(Vec<String>, Slice)>,
    positional: Option<Vec<String>>,
}

fn location<T>(code: i32, message: impl Into<String>) -> CommandResult<T> {
    Err(CommandError::new(code, message))
}

impl Projection {
    /// Reads a projection. `{}` keeps everything (not under [`ProjectionPolicy::Aggregate`]).
    ///
    /// Errors: 31249 and 31250 path collision, 31253 and 31254 inclusion mixed with exclusion, and the others of MongoDB.
    pub fn parse(specification: &Document, policy: ProjectionPolicy, context: &QueryContext) -> CommandResult<Self> {
        if specification.is_empty() && policy == ProjectionPolicy::Aggregate {
            return location(51272, "projection specification must have at least one field");
        }
        let mut parser = Parser {
            policy,
            context,
            inclusion: None,
            id: None,
            element_match: false,
            root: Node::default(),
            slices: Vec::new(),
            positional: None,
        };
        for (name, value) in specification {
            parser.field(&[], name, value)?;
        }
        parser.finish()
    }

    /// Keeps everything?
    pub fn is_identity(&self) -> bool {
        !self.inclusion && self.root.children.is_empty() && self.slices.is_empty() && self.positional.is_none()
    }

    /// Has it a positional `$`, so that [`Projection::apply`] wants the filter's match details?
    pub fn needs_match_details(&self) -> bool {
        self.positional.is_some()
    }

    /// Refuses a positional `$` on a path the filter does not test.
    ///
    /// Errors: 51050.
    pub fn check_positional(&self, filter: &Filter) -> CommandResult<()> {
        let Some(path) = &self.positional else {
            return Ok(());
        };
        if tests_below(filter.root(), &path[0]) {
            return Ok(());
        }
        location(51050, format!("Positional projection '{}.$' does not match the query document.", path.join(".")))
    }

    /// The projected document. `details`: of the match, for the positional `$`.
    ///
    /// Errors: 51246 and 51247 no element for the positional `$`, and those of expressions.
    pub fn apply<'a>(
        &self,
        document: impl Into<DocumentRef<'a>>,
        details: Option<MatchDetails>,
    ) -> CommandResult<Document> {
        let input = document.into();
        if self.is_identity() {
            return Ok(input.to_document());
        }
        let mut output = self.root.select(input, self.inclusion);
        if self.root.has_computed() {
            self.root.compute(input, &mut output)?;
        }
        if let Some(path) = &self.positional {
            let index = details.unwrap_or_default().array_index;
            apply_positional(&mut output, path, index)?;
        }
        for (path, slice) in &self.slices {
            apply_slice(&mut output, path, *slice);
        }
        Ok(output)
    }
}

/// Does the filter test this field or one within it?
fn tests_below(node: &FilterNode, field: &str) -> bool {
    match node {
        FilterNode::Path(path, _) => path.parts().first().is_some_and(|part| part.name == field),
        FilterNode::And(children) | FilterNode::Or(children) | FilterNode::Nor(children) => {
            children.iter().any(|child| tests_below(child, field))
        }
        FilterNode::Not(child) => tests_below(child, field),
        _ => false,
    }
}

impl Parser<'_> {
    fn field(&mut self, parents: &[String], name: &str, value: &Bson) -> CommandResult<()> {
        let mut path = parents.to_vec();
        path.extend(name.split('.').map(str::to_owned));
        if path.len() > DEPTH_MAX {
            return location(31032, "FieldPath is too long");
        }
        if self.policy == ProjectionPolicy::Find && path.last().is_some_and(|last| last == "$") {
            path.pop();
            return self.positional(path, value);
        }
        check_path(&path, name)?;
        match value {
            Bson::Document(document) => self.document(path, document),
            Bson::Boolean(_) | Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => {
                self.switch(path, ValueRef::from(value).is_truthy())
            }
            value => self.computed(path, value),
        }
    }

    fn positional(&mut self, path: Vec<String>, value: &Bson) -> CommandResult<()> {
        if path.is_empty() || path.iter().any(|part| part == "$") {
            return location(31394, "As of 4.4, it's illegal to specify positional operator in the middle of a path.");
        }
        check_path(&path, &path.join("."))?;
        if !matches!(value, Bson::Boolean(_)) && !ValueRef::from(value).is_number() {
            return location(31271, "positional projection cannot be used with a literal");
        }
        if !ValueRef::from(value).is_truthy() {
            return location(31395, "positional projection cannot be used with exclusion");
        }
        if self.positional.is_some() {
            return location(31276, "Cannot specify more than one positional projection per query.");
        }
        if self.element_match {
            return location(31256, "Cannot specify positional operator and $elemMatch.");
        }
        self.kind(&path, true)?;
        insert(&mut self.root, &path, Child::Leaf)?;
        self.positional = Some(path);
        Ok(())
    }

    fn document(&mut self, path: Vec<String>, document: &Document) -> CommandResult<()> {
        let Some((first, argument)) = document.iter().next() else {
            return location(
                51270,
                format!("An empty sub-projection is not a valid value. Found empty object at path {}", path.join(".")),
            );
        };
        if !first.starts_with('$') {
            for (name, value) in document {
                self.field(&path, name, value)?;
            }
            return Ok(());
        }
        match first.as_str() {
            "$slice" if self.policy == ProjectionPolicy::Find => {
                if let Some(slice) = find_slice(argument)? {
                    insert(&mut self.root, &path, Child::Leaf)?;
                    self.slices.push((path, slice));
                    return Ok(());
                }
            }
            "$elemMatch" if self.policy == ProjectionPolicy::Find => {
                return self.element_match(path, argument);
            }
            "$meta" => return Err(CommandError::not_supported("a projection of $meta")),
            _ => {}
        }
        self.computed(path, &Bson::Document(document.clone()))
    }

    fn element_match(&mut self, path: Vec<String>, condition: &Bson) -> CommandResult<()> {
        if !matches!(condition, Bson::Document(_)) {
            return location(31274, "elemMatch: Invalid argument, object required");
        }
        if self.positional.is_some() {
            return location(31255, "Cannot specify positional operator and $elemMatch.");
        }
        let [field] = path.as_slice() else {
            return location(31275, "Cannot use $elemMatch projection on a nested field.");
        };
        let operator = bson::doc! { "$elemMatch": condition.clone() };
        let filter = Filter::parse_condition(field, &Bson::Document(operator), self.context)?;
        self.element_match = true;
        insert(&mut self.root, &path, Child::Computed(Computed::ElementMatch(field.clone(), Box::new(filter))))
    }

    fn computed(&mut self, path: Vec<String>, value: &Bson) -> CommandResult<()> {
        if self.inclusion == Some(false) {
            return location(31252, "Cannot use an expression other than $meta in exclusion projection");
        }
        let expression = Expression::parse(value, self.context)?;
        self.inclusion = Some(true);
        insert(&mut self.root, &path, Child::Computed(Computed::Expression(Box::new(expression))))
    }

    fn switch(&mut self, path: Vec<String>, include: bool) -> CommandResult<()> {
        if path.len() == 1 && path[0] == "_id" {
            if self.id.is_some() {
                return location(31250, "Path collision at _id");
            }
            self.id = Some(include);
            return Ok(());
        }
        self.kind(&path, include)?;
        insert(&mut self.root, &path, Child::Leaf)
    }

    fn kind(&mut self, path: &[String], include: bool) -> CommandResult<()> {
        match (self.inclusion, include) {
            (Some(true), false) => {
                location(31254, format!("Cannot do exclusion on field {} in inclusion projection", path.join(".")))
            }
            (Some(false), true) => {
                location(31253, format!("Cannot do inclusion on field {} in exclusion projection", path.join(".")))
            }
            _ => {
                self.inclusion = Some(include);
                Ok(())
            }
        }
    }

    fn finish(mut self) -> CommandResult<Projection> {
        let inclusion = self.inclusion.unwrap_or(match self.id {
            _ if self.element_match => true,
            Some(include) => include,
            None => false,
        });
        if !inclusion {
            // A slice alone excludes nothing.
            for (path, _) in &self.slices {
                remove(&mut self.root, path);
            }
        }
        let id_given = self.root.children.iter().any(|(name, _)| name == "_id");
        match (inclusion, self.id) {
            (true, Some(true) | None) if !id_given => {
                self.root.children.insert(0, ("_id".to_owned(), Child::Leaf));
            }
            (false, Some(false)) => insert(&mut self.root, &["_id".to_owned()], Child::Leaf)?,
            (true, Some(_)) if id_given => return location(31250, "Path collision at _id"),
            _ => {}
        }
        Ok(Projection { inclusion, root: self.root, slices: self.slices, positional: self.positional })
    }
}

fn check_path(path: &[String], name: &str) -> CommandResult<()> {
    if name.is_empty() {
        return location(40352, "FieldPath cannot be constructed with empty string");
    }
    if path.iter().any(String::is_empty) {
        return location(15998, "FieldPath field names may not be empty strings.");
    }
    if path.iter().any(|part| part.starts_with('$')) {
        return location(16410, "FieldPath field names may not start with '$'. Consider using $getField or $setField.");
    }
    Ok(())
}

/// The argument of `$slice` where it is the operator of `find`; `None`: the expression of the same name.
fn find_slice(argument: &Bson) -> CommandResult<Option<Slice>> {
    let number = |value: &Bson| -> Option<i64> {
        let value = ValueRef::from(value);
        // Fractions are cut off, what is out of range is brought to its end.
        value.as_exact_i64().or_else(|| value.as_f64().map(|number| number.trunc() as i64))
    };
    match argument {
        Bson::Array(items) => {
            let Some(skip) = items.first().filter(|first| ValueRef::from(*first).is_number()).and_then(number) else {
                return Ok(None);
            };
            let [_, limit] = items.as_slice() else {
                return location(31272, "$slice array argument should be of form [skip, limit]");
            };
            match number(limit) {
                Some(limit) if limit > 0 => Ok(Some(Slice { skip: Some(skip), limit })),
                Some(_) => location(28729, "Third argument to $slice must be positive"),
                None => location(31273, "$slice only supports numbers and [skip, limit] arrays"),
            }
        }
        value if ValueRef::from(value).is_number() => Ok(number(value).map(|limit| Slice { skip: None, limit })),
        _ => location(31273, "$slice only supports numbers and [skip, limit] arrays"),
    }
}

fn insert(root: &mut Node, path: &[String], child: Child) -> CommandResult<()> {
    let mut node = root;
    let Some((last, parents)) = path.split_last() else {
        return Ok(());
    };
    for (depth, part) in parents.iter().enumerate() {
        let position = match node.children.iter().position(|(name, _)| name == part) {
            Some(position) => position,
            None => {
                node.children.push((part.clone(), Child::Node(Node::default())));
                node.children.len() - 1
            }
        };
        match &mut node.children[position].1 {
            Child::Node(inner) => node = inner,
            _ => {
                return location(
                    31249,
                    format!("Path collision at {} remaining portion {}", path.join("."), path[depth + 1..].join(".")),
                );
            }
        }
    }
    if node.children.iter().any(|(name, _)| name == last) {
        return location(31250, format!("Path collision at {}", path.join(".")));
    }
    node.children.push((last.clone(), child));
    Ok(())
}

fn remove(node: &mut Node, path: &[String]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let Some(position) = node.children.iter().position(|(name, _)| name == first) else {
        return;
    };
    let empty = match &mut node.children[position].1 {
        Child::Node(inner) if !rest.is_empty() => {
            remove(inner, rest);
            inner.children.is_empty()
        }
        _ => true,
    };
    if empty {
        node.children.remove(position);
    }
}

impl Node {
    fn child(&self, name: &str) -> Option<&Child> {
        self.children.iter().find(|(child, _)| child == name).map(|(_, child)| child)
    }

    fn has_computed(&self) -> bool {
        self.children.iter().any(|(_, child)| match child {
            Child::Computed(_) => true,
            Child::Node(inner) => inner.has_computed(),
            Child::Leaf => false,
        })
    }

    /// Fields in the order of the document, those kept.
    fn select(&self, document: DocumentRef<'_>, inclusion: bool) -> Document {
        let mut output = Document::new();
        for (name, value) in document.iter() {
            match self.child(name) {
                Some(Child::Leaf) if inclusion => drop(output.insert(name, value.to_bson())),
                Some(Child::Leaf) => {}
                Some(Child::Node(inner)) => {
                    if let Some(value) = inner.select_value(value, inclusion) {
                        output.insert(name, value);
                    }
                }
                // Computed from the whole document afterwards; where the other fields stay it keeps its place.
                Some(Child::Computed(_)) | None => {
                    if !inclusion {
                        output.insert(name, value.to_bson());
                    }
                }
            }
        }
        output
    }

    fn select_value(&self, value: ValueRef<'_>, inclusion: bool) -> Option<Bson> {
        match value {
            ValueRef::Document(inner) => Some(Bson::Document(self.select(inner, inclusion))),
            ValueRef::Array(items) => {
                // A scalar element makes way for a document of the computed fields, so that it keeps its place.
                let place = (inclusion && self.has_computed()).then_some(Bson::Null);
                let select = |item| self.select_value(item, inclusion).or_else(|| place.clone());
                Some(Bson::Array(items.iter().filter_map(select).collect()))
            }
            other if inclusion => {
                let _ = other;
                None
            }
            other => Some(other.to_bson()),
        }
    }

    fn compute(&self, root: DocumentRef<'_>, output: &mut Document) -> CommandResult<()> {
        for (name, child) in &self.children {
            let value = match child {
                Child::Leaf => continue,
                Child::Node(inner) if !inner.has_computed() => continue,
                Child::Node(inner) => Some(inner.compute_value(root, output.get_mut(name).map(std::mem::take))?),
                Child::Computed(Computed::Expression(expression)) => expression.evaluate(root)?,
                Child::Computed(Computed::ElementMatch(field, filter)) => first_element(root, field, filter)?,
            };
            match value {
                Some(value) => drop(output.insert(name, value)),
                None => drop(output.remove(name)),
            }
        }
        Ok(())
    }

    fn compute_value(&self, root: DocumentRef<'_>, value: Option<Bson>) -> CommandResult<Bson> {
        match value {
            Some(Bson::Document(mut inner)) => {
                self.compute(root, &mut inner)?;
                Ok(Bson::Document(inner))
            }
            Some(Bson::Array(items)) => {
                let items = items.into_iter().map(|item| self.compute_value(root, Some(item)));
                Ok(Bson::Array(items.collect::<CommandResult<_>>()?))
            }
            // A scalar makes way for a document of the computed fields.
            _ => {
                let mut inner = Document::new();
                self.compute(root, &mut inner)?;
                Ok(Bson::Document(inner))
            }
        }
    }
}

fn first_element(root: DocumentRef<'_>, field: &str, filter: &Filter) -> CommandResult<Option<Bson>> {
    let Some(ValueRef::Array(items)) = root.get(field) else {
        return Ok(None);
    };
    let index = filter.match_details(root)?.and_then(|details| details.array_index);
    Ok(index.and_then(|index| ArrayRef::get(items, index)).map(|item| Bson::Array(vec![item.to_bson()])))
}

fn apply_positional(output: &mut Document, path: &[String], index: Option<usize>) -> CommandResult<()> {
    let Some((first, rest)) = path.split_first() else {
        return Ok(());
    };
    match output.get_mut(first) {
        // The first array on the way is the one meant.
        Some(Bson::Array(items)) => {
            let Some(index) = index else {
                return location(
                    51246,
                    "Executor error during find command :: caused by :: positional operator '.$' couldn't find a matching element in the array",
                );
            };
            if index >= items.len() {
                return location(
                    51247,
                    "Executor error during find command :: caused by :: positional operator '.$' element mismatch",
                );
            }
            let element = items.swap_remove(index);
            *items = vec![element];
            Ok(())
        }
        Some(Bson::Document(inner)) => apply_positional(inner, rest, index),
        _ => Ok(()),
    }
}

fn apply_slice(output: &mut Document, path: &[String], slice: Slice) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    match output.get_mut(first) {
        Some(Bson::Array(items)) if rest.is_empty() => cut(items, slice),
        Some(Bson::Array(items)) => {
            for item in items {
                if let Bson::Document(inner) = item {
                    apply_slice(inner, rest, slice);
                }
            }
        }
        Some(Bson::Document(inner)) => apply_slice(inner, rest, slice),
        _ => {}
    }
}

fn cut(items: &mut Vec<Bson>, slice: Slice) {
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let (start, end) = match slice.skip {
        None if slice.limit >= 0 => (0, slice.limit.min(length)),
        None => (length.saturating_add(slice.limit).max(0), length),
        Some(skip) => {
            let start = if skip < 0 { length.saturating_add(skip).max(0) } else { skip.min(length) };
            (start, start.saturating_add(slice.limit).min(length))
        }
    };
    items.truncate(end as usize);
    items.drain(..start as usize);
}
