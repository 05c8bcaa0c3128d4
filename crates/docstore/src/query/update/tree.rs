//! The tree of update operators by path, and its application.

use std::collections::BTreeMap;

use bson::{Bson, Document};

use super::Updated;
use super::modifier::{Environment, Modifier};
use crate::changes::Touched;
use crate::error::{CommandError, CommandResult, code};
use crate::query::QueryContext;
use crate::query::filter::Filter;
use crate::query::path::array_index;

/// What happens at one place of the document.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Object(ObjectNode),
    Array(ArrayNode),
    Leaf(Box<Modifier>),
    /// The source of a `$rename`: nothing else may touch it.
    Reserved,
}

/// Updates of fields of a document, or of elements of an array by number.
#[derive(Debug, Clone, Default)]
pub(super) struct ObjectNode {
    children: BTreeMap<FieldName, Node>,
    /// Under `$`: the element the query matched.
    positional: Option<Box<Node>>,
}

/// Updates of the elements of an array that a filter selects; the empty identifier selects all.
#[derive(Debug, Clone, Default)]
pub(super) struct ArrayNode {
    children: BTreeMap<String, Node>,
}

/// A field name, in the order updates are applied: by bytes, numbers by value (MongoDB manual, "Update Operators
/// Behavior").
#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldName(String);

impl Ord for FieldName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match (array_index(&self.0), array_index(&other.0)) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => self.0.as_bytes().cmp(other.0.as_bytes()),
        }
    }
}

impl PartialOrd for FieldName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// `arrayFilters`: identifier to condition.
#[derive(Debug, Clone, Default)]
pub(super) struct ArrayFilters {
    filters: BTreeMap<String, Filter>,
}

impl ArrayFilters {
    pub(super) fn parse(filters: &[Document], context: &QueryContext) -> CommandResult<Self> {
        let mut parsed = BTreeMap::new();
        for filter in filters {
            let lead = "Error parsing array filter :: caused by :: ";
            let mut identifier = None;
            find_identifier(filter, &mut identifier).map_err(|error| error.with_prefix(lead))?;
            let condition = Filter::parse_inner(filter, context).map_err(|error| error.with_prefix(lead))?;
            let Some(identifier) = identifier else {
                return Err(CommandError::failed_to_parse(
                    "Cannot use an expression without a top-level field name in arrayFilters",
                ));
            };
            let mut letters = identifier.chars();
            let valid = letters.next().is_some_and(|first| first.is_ascii_lowercase())
                && letters.all(|letter| letter.is_ascii_alphanumeric());
            if !valid {
                return Err(CommandError::bad_value(format!(
                    "Error parsing array filter :: caused by :: The top-level field name must be an alphanumeric string beginning with a lowercase letter, found '{identifier}'"
                )));
            }
            if parsed.insert(identifier.clone(), condition).is_some() {
                return Err(CommandError::failed_to_parse(format!(
                    "Found multiple array filters with the same top-level field name {identifier}"
                )));
            }
        }
        Ok(Self { filters: parsed })
    }

    pub(super) fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.filters.keys().map(String::as_str)
    }

    pub(super) fn contains(&self, identifier: &str) -> bool {
        self.filters.contains_key(identifier)
    }

    fn selects(&self, identifier: &str, element: &Bson) -> CommandResult<bool> {
        let Some(filter) = self.filters.get(identifier) else {
            return Ok(false);
        };
        let mut wrapped = Document::new();
        wrapped.insert(identifier, element.clone());
        filter.matches(&wrapped)
    }
}

/// The one top-level field name all conditions of an array filter are about.
fn find_identifier(filter: &Document, found: &mut Option<String>) -> CommandResult<()> {
    for (name, value) in filter {
        if matches!(name.as_str(), "$and" | "$or" | "$nor") {
            if let Bson::Array(branches) = value {
                for branch in branches {
                    if let Bson::Document(branch) = branch {
                        find_identifier(branch, found)?;
                    }
                }
            }
            continue;
        }
        if name.starts_with('$') {
            continue;
        }
        let first = name.split('.').next().unwrap_or(name);
        match found {
            None => *found = Some(first.to_owned()),
            Some(other) if other == first => {}
            Some(other) => {
                return Err(CommandError::failed_to_parse(format!(
                    "Expected a single top-level field name, found '{other}' and '{first}'"
                )));
            }
        }
    }
    Ok(())
}

/// The identifier in `$[identifier]`.
pub(super) fn filter_identifier(part: &str) -> Option<&str> {
    part.strip_prefix("$[")?.strip_suffix(']')
}

fn conflict<T>(path: &str, at: &str) -> CommandResult<T> {
    Err(CommandError::new(
        code::CONFLICTING_UPDATE_OPERATORS,
        format!("Updating the path '{path}' would create a conflict at '{at}'"),
    ))
}

impl ObjectNode {
    /// Adds a leaf at a path. Errors: `ConflictingUpdateOperators` (40).
    pub(super) fn insert(&mut self, path: &[&str], leaf: Node) -> CommandResult<()> {
        self.insert_below(path, 0, leaf)
    }

    fn insert_below(&mut self, path: &[&str], depth: usize, leaf: Node) -> CommandResult<()> {
        let part = path[depth];
        let slot = if part == "$" {
            self.positional.as_deref_mut()
        } else {
            self.children.get_mut(&FieldName(part.to_owned()))
        };
        match slot {
            Some(existing) => existing.extend(path, depth, leaf),
            None => {
                let node = Node::chain(path, depth, leaf)?;
                if part == "$" {
                    self.positional = Some(Box::new(node));
                } else {
                    self.children.insert(FieldName(part.to_owned()), node);
                }
                Ok(())
            }
        }
    }

    pub(super) fn has_positional(&self) -> bool {
        self.positional.is_some() || self.children.values().any(Node::has_positional)
    }
}

impl Node {
    /// The nodes from one below `path[depth]` to the leaf.
    fn chain(path: &[&str], depth: usize, leaf: Node) -> CommandResult<Node> {
        let Some(next) = path.get(depth + 1) else {
            return Ok(leaf);
        };
        match filter_identifier(next) {
            Some(identifier) => {
                let mut node = ArrayNode::default();
                node.children.insert(identifier.to_owned(), Self::chain(path, depth + 1, leaf)?);
                Ok(Node::Array(node))
            }
            None => {
                let mut node = ObjectNode::default();
                node.insert_below(path, depth + 1, leaf)?;
                Ok(Node::Object(node))
            }
        }
    }

    /// Adds a leaf below this node, which stands at `path[depth]`.
    fn extend(&mut self, path: &[&str], depth: usize, leaf: Node) -> CommandResult<()> {
        let here = || path[..=depth].join(".");
        let Some(next) = path.get(depth + 1) else {
            return conflict(&path.join("."), &here());
        };
        match (self, filter_identifier(next)) {
            (Node::Object(node), None) => node.insert_below(path, depth + 1, leaf),
            (Node::Array(node), Some(identifier)) => match node.children.get_mut(identifier) {
                Some(existing) => existing.extend(path, depth + 1, leaf),
                None => {
                    node.children.insert(identifier.to_owned(), Self::chain(path, depth + 1, leaf)?);
                    Ok(())
                }
            },
            _ => conflict(&path.join("."), &here()),
        }
    }

    fn has_positional(&self) -> bool {
        match self {
            Node::Object(node) => node.has_positional(),
            Node::Array(node) => node.children.values().any(Node::has_positional),
            Node::Leaf(_) | Node::Reserved => false,
        }
    }

    /// Both updates in one, for an element that two parts of the path select.
    fn merged(&self, other: &Node, path: &mut Vec<String>) -> CommandResult<Node> {
        match (self, other) {
            (Node::Object(left), Node::Object(right)) => {
                let mut merged = left.clone();
                for (name, node) in &right.children {
                    let combined = match left.children.get(name) {
                        Some(existing) => {
                            path.push(name.0.clone());
                            let combined = existing.merged(node, path)?;
                            path.pop();
                            combined
                        }
                        None => node.clone(),
                    };
                    merged.children.insert(name.clone(), combined);
                }
                merged.positional = match (&left.positional, &right.positional) {
                    (Some(left), Some(right)) => {
                        path.push("$".to_owned());
                        let combined = left.merged(right, path)?;
                        path.pop();
                        Some(Box::new(combined))
                    }
                    (left, right) => left.clone().or_else(|| right.clone()),
                };
                Ok(Node::Object(merged))
            }
            (Node::Array(left), Node::Array(right)) => {
                let mut merged = left.clone();
                for (identifier, node) in &right.children {
                    let combined = match left.children.get(identifier) {
                        Some(existing) => {
                            path.push(format!("$[{identifier}]"));
                            let combined = existing.merged(node, path)?;
                            path.pop();
                            combined
                        }
                        None => node.clone(),
                    };
                    merged.children.insert(identifier.clone(), combined);
                }
                Ok(Node::Array(merged))
            }
            _ => {
                let path = path.join(".");
                conflict(&path, &path)
            }
        }
    }
}

/// Applies a tree to a document.
pub(super) fn apply(
    root: &ObjectNode,
    filters: &ArrayFilters,
    document: &Document,
    array_index: Option<usize>,
    insert: bool,
    context: &QueryContext,
) -> CommandResult<Updated> {
    let mut application = Application {
        filters,
        matched: array_index.map(|index| index.to_string()),
        environment: Environment { context, insert },
        document: Bson::Document(document.clone()),
        modified: false,
        touched: Vec::new(),
    };
    application.object(root, &mut Vec::new())?;
    let Bson::Document(document) = application.document else {
        return Err(CommandError::internal("an update lost the document"));
    };
    Ok(Updated { document, modified: application.modified, touched: Touched::Paths(application.touched) })
}

struct Application<'u> {
    filters: &'u ArrayFilters,
    /// What `$` stands for.
    matched: Option<String>,
    environment: Environment<'u>,
    document: Bson,
    modified: bool,
    /// As in [`Touched::Paths`].
    touched: Vec<(Vec<String>, bool)>,
}

impl Application<'_> {
    fn node(&mut self, node: &Node, path: &mut Vec<String>) -> CommandResult<()> {
        match node {
            Node::Object(node) => self.object(node, path),
            Node::Array(node) => self.array(node, path),
            Node::Leaf(modifier) => {
                if modifier.apply(&mut self.document, path, &self.environment)? {
                    self.modified = true;
                    if let Modifier::Rename(source) = &**modifier {
                        self.touched.push((source.clone(), false));
                    }
                    self.touched.push((path.clone(), matches!(&**modifier, Modifier::Push(_))));
                }
                Ok(())
            }
            Node::Reserved => Ok(()),
        }
    }

    fn child(&mut self, node: &Node, name: &str, path: &mut Vec<String>) -> CommandResult<()> {
        path.push(name.to_owned());
        self.node(node, path)?;
        path.pop();
        Ok(())
    }

    fn object(&mut self, object: &ObjectNode, path: &mut Vec<String>) -> CommandResult<()> {
        let mut positional = match &object.positional {
            None => None,
            Some(node) => match self.matched.clone() {
                Some(matched) => Some((FieldName(matched), node)),
                None => {
                    return Err(CommandError::bad_value(
                        "The positional operator did not find the match needed from the query.",
                    ));
                }
            },
        };
        for (name, child) in &object.children {
            match positional.take() {
                Some((matched, node)) if matched == *name => {
                    path.push(name.0.clone());
                    let merged = node.merged(child, path)?;
                    self.node(&merged, path)?;
                    path.pop();
                    continue;
                }
                Some((matched, node)) if matched < *name => self.child(node, &matched.0, path)?,
                other => positional = other,
            }
            self.child(child, &name.0, path)?;
        }
        if let Some((matched, node)) = positional {
            self.child(node, &matched.0, path)?;
        }
        Ok(())
    }

    fn array(&mut self, array: &ArrayNode, path: &mut Vec<String>) -> CommandResult<()> {
        let element = find(&self.document, path);
        let items = match element {
            Some(Bson::Array(items)) => items,
            Some(other) => {
                let name = path.last().map_or("", String::as_str);
                return Err(CommandError::bad_value(format!(
                    "Cannot apply array updates to non-array element {name}: {other}"
                )));
            }
            None => {
                return Err(CommandError::bad_value(format!(
                    "The path '{}' must exist in the document in order to apply array updates.",
                    path.join(".")
                )));
            }
        };
        // Which elements are meant is decided before any is changed.
        let mut selected = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let mut nodes = Vec::new();
            for (identifier, node) in &array.children {
                if identifier.is_empty() || self.filters.selects(identifier, item)? {
                    nodes.push(node);
                }
            }
            if !nodes.is_empty() {
                selected.push((index, nodes));
            }
        }
        for (index, nodes) in selected {
            path.push(index.to_string());
            match nodes.as_slice() {
                [node] => self.node(node, path)?,
                [first, rest @ ..] => {
                    let mut merged = (*first).clone();
                    for node in rest {
                        merged = merged.merged(node, path)?;
                    }
                    self.node(&merged, path)?;
                }
                [] => {}
            }
            path.pop();
        }
        Ok(())
    }
}

/// The value of a field of a document or of an element of an array.
fn child<'d>(value: &'d Bson, name: &str) -> Option<&'d Bson> {
    match value {
        Bson::Document(document) => document.get(name),
        Bson::Array(items) => items.get(array_index(name)?),
        _ => None,
    }
}

/// [`child`], to change it.
pub(super) fn child_mut<'d>(value: &'d mut Bson, name: &str) -> Option<&'d mut Bson> {
    match value {
        Bson::Document(document) => document.get_mut(name),
        Bson::Array(items) => items.get_mut(array_index(name)?),
        _ => None,
    }
}

/// The value at a path.
pub(super) fn find<'d>(document: &'d Bson, path: &[String]) -> Option<&'d Bson> {
    path.iter().try_fold(document, |value, name| child(value, name))
}

/// How many parts of the path exist.
pub(super) fn existing_depth(document: &Bson, path: &[String]) -> usize {
    let mut value = document;
    for (depth, name) in path.iter().enumerate() {
        match child(value, name) {
            Some(inner) => value = inner,
            None => return depth,
        }
    }
    path.len()
}

/// The value at a path that exists.
pub(super) fn find_mut<'d>(document: &'d mut Bson, path: &[String]) -> Option<&'d mut Bson> {
    path.iter().try_fold(document, |value, name| child_mut(value, name))
}
