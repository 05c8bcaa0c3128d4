//! Filters: which documents a query matches.
//!
//! A filter document is read into a tree ([`parse`](self::parse)) of logical nodes over tests of values at paths
//! ([`test`](self::test)). Matching visits the values a path leads to ([`super::path::visit`]) until one passes.

pub mod bounds;
mod parse;
pub(crate) mod test;

use std::ops::ControlFlow;
use std::sync::Arc;

use bson::{Bson, Document};

use super::QueryContext;
use super::collation::Collation;
use super::expression::Expression;
use super::geo;
use super::json_schema::Schema;
use super::path::{FieldPath, LeafArrays, visit};
use super::value::{ArrayRef, DocumentRef, ValueRef};
use crate::error::{CommandError, CommandResult};
pub(crate) use parse::type_number;
use test::Test;

/// A parsed filter. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Filter {
    root: Arc<Node>,
    collation: Option<Arc<Collation>>,
}

/// What a match tells the positional operator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MatchDetails {
    /// Offset of the array element that matched, for the positional `$` of updates and projections.
    pub array_index: Option<usize>,
}

/// A node of the tree.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Nor(Vec<Node>),
    Not(Box<Node>),
    AlwaysTrue,
    AlwaysFalse,
    Expression(Box<Expression>),
    Schema(Box<Schema>),
    Path(FieldPath, Test),
}

impl Filter {
    /// Reads a filter document.
    ///
    /// Errors: `BadValue` (2), `FailedToParse` (9), `TypeMismatch` (14) as MongoDB gives them; `CommandNotSupported`
    /// (115) for `$where` and `$text`.
    pub fn parse(filter: &Document, context: &QueryContext) -> CommandResult<Self> {
        let root = parse::parse(filter, context, parse::Level::Top)?;
        Ok(Self { root: Arc::new(root.canonical()), collation: context.collation.clone() })
    }

    /// A filter on single values, for `$pull` and the elements `arrayFilters` select: the condition is on the field with
    /// the empty name.
    pub(crate) fn parse_condition(path: &str, condition: &Bson, context: &QueryContext) -> CommandResult<Self> {
        let mut filter = Document::new();
        filter.insert(path, condition.clone());
        let root = parse::parse(&filter, context, parse::Level::Inner)?;
        Ok(Self { root: Arc::new(root.canonical()), collation: context.collation.clone() })
    }

    /// [`Filter::parse`] where operators of whole documents (`$expr`) have no place.
    pub(crate) fn parse_inner(filter: &Document, context: &QueryContext) -> CommandResult<Self> {
        let root = parse::parse(filter, context, parse::Level::Inner)?;
        Ok(Self { root: Arc::new(root.canonical()), collation: context.collation.clone() })
    }

    /// Does the document match? Fails only where an expression of `$expr` fails.
    pub fn matches<'a>(&self, document: impl Into<DocumentRef<'a>>) -> CommandResult<bool> {
        self.root.matches(document.into(), self.collation.as_deref(), None)
    }

    /// [`Filter::matches`], and for the positional operator the array element that did.
    pub fn match_details<'a>(&self, document: impl Into<DocumentRef<'a>>) -> CommandResult<Option<MatchDetails>> {
        let mut details = MatchDetails::default();
        let matched = self.root.matches(document.into(), self.collation.as_deref(), Some(&mut details))?;
        Ok(matched.then_some(details))
    }

    /// True for `{}`.
    pub fn is_empty(&self) -> bool {
        matches!(&*self.root, Node::AlwaysTrue) || matches!(&*self.root, Node::And(children) if children.is_empty())
    }

    /// The distance by which `$near` or `$nearSphere` orders results (metres on a sphere of GeoJSON points, radians for
    /// `$nearSphere` on legacy points, plain units otherwise); `None` without such an operator or without a point. The
    /// caller sorts what matched by it, unless the command has its own sort.
    pub fn near_distance<'a>(&self, document: impl Into<DocumentRef<'a>>) -> Option<f64> {
        let (path, near) = self.root.find_near()?;
        geo::least_distance(document.into(), path, near)
    }

    /// True with `$near` or `$nearSphere`.
    pub fn has_near(&self) -> bool {
        self.root.find_near().is_some()
    }

    /// The path of `$near` or `$nearSphere`, and whether it measures on a sphere: MongoDB answers such a query only with a
    /// `2dsphere` (or, in the plane, `2d`) index on the path, and with error 291 `NoQueryExecutionPlans` without one.
    pub fn near_path(&self) -> Option<(&str, bool)> {
        self.root.find_near().map(|(path, near)| (path.as_str(), near.is_spherical()))
    }

    /// The values the filter fixes by equality, for the document an upsert makes: path and value in the order of the
    /// filter. `only_id`: of `_id` alone (replacements).
    ///
    /// Errors: `NotSingleValueField` (54) when a path is fixed twice, or a path and a part of it.
    pub(crate) fn equalities(&self, only_id: bool) -> CommandResult<Vec<(String, Bson)>> {
        let mut equalities = Vec::new();
        self.root.collect_equalities(only_id, &mut equalities)?;
        Ok(equalities)
    }

    /// Is there an `$expr`?
    pub fn has_expression(&self) -> bool {
        self.root.has_expression()
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }
}

impl Node {
    fn matches(
        &self,
        document: DocumentRef<'_>,
        collation: Option<&Collation>,
        mut details: Option<&mut MatchDetails>,
    ) -> CommandResult<bool> {
        match self {
            Self::AlwaysTrue => Ok(true),
            Self::AlwaysFalse => Ok(false),
            Self::And(children) => {
                for child in children {
                    if !child.matches(document, collation, details.as_deref_mut())? {
                        if let Some(details) = details {
                            details.array_index = None;
                        }
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Or(children) => {
                for child in children {
                    if child.matches(document, collation, details.as_deref_mut())? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Nor(children) => {
                for child in children {
                    if child.matches(document, collation, None)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Not(child) => Ok(!child.matches(document, collation, None)?),
            Self::Expression(expression) => expression.is_true(document),
            Self::Schema(schema) => Ok(schema.matches(document)),
            Self::Path(path, test) => Ok(matches_path(path, test, document, collation, details)),
        }
    }

    /// Does one value match, taken by itself? For `$elemMatch` on values and `$not` inside it, where paths are empty.
    pub(crate) fn matches_value(&self, value: Option<ValueRef<'_>>, collation: Option<&Collation>) -> bool {
        match self {
            Self::AlwaysTrue => true,
            Self::AlwaysFalse | Self::Expression(_) | Self::Schema(_) => false,
            Self::And(children) => children.iter().all(|child| child.matches_value(value, collation)),
            Self::Or(children) => children.iter().any(|child| child.matches_value(value, collation)),
            Self::Nor(children) => !children.iter().any(|child| child.matches_value(value, collation)),
            Self::Not(child) => !child.matches_value(value, collation),
            Self::Path(_, test) => test.matches(value, collation, &mut None),
        }
    }

    /// The place of the node in MongoDB's canonical order, in which the children of `$and` are evaluated; it decides
    /// which array element the positional operator means.
    fn rank(&self) -> u8 {
        match self {
            Self::And(_) => 0,
            Self::Or(_) => 1,
            Self::Path(_, test) => test.rank(),
            Self::Not(_) => 30,
            Self::Nor(_) => 31,
            Self::Expression(_) | Self::Schema(_) => 40,
            Self::AlwaysFalse => 41,
            Self::AlwaysTrue => 42,
        }
    }

    fn path(&self) -> &str {
        match self {
            Self::Path(path, _) => path.as_str(),
            _ => "",
        }
    }

    fn children(&self) -> &[Node] {
        match self {
            Self::And(children) | Self::Or(children) | Self::Nor(children) => children,
            Self::Not(child) => std::slice::from_ref(child),
            _ => &[],
        }
    }

    fn canonical_order(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank()).then_with(|| self.path().as_bytes().cmp(other.path().as_bytes())).then_with(
            || {
                let (left, right) = (self.children(), other.children());
                left.iter()
                    .zip(right)
                    .map(|(left, right)| left.canonical_order(right))
                    .find(|order| order.is_ne())
                    .unwrap_or_else(|| left.len().cmp(&right.len()))
            },
        )
    }

    /// The same condition, nested conjunctions flattened and children in canonical order.
    fn canonical(self) -> Self {
        match self {
            Self::And(children) => {
                let mut flat = Vec::with_capacity(children.len());
                for child in children {
                    match child.canonical() {
                        Self::And(inner) => flat.extend(inner),
                        Self::AlwaysTrue => {}
                        other => flat.push(other),
                    }
                }
                flat.sort_by(Self::canonical_order);
                match flat.len() {
                    0 => Self::AlwaysTrue,
                    1 => flat.pop().unwrap_or(Self::AlwaysTrue),
                    _ => Self::And(flat),
                }
            }
            Self::Or(children) => {
                let mut flat = Vec::with_capacity(children.len());
                for child in children {
                    match child.canonical() {
                        Self::Or(inner) => flat.extend(inner),
                        Self::AlwaysFalse => {}
                        other => flat.push(other),
                    }
                }
                flat.sort_by(Self::canonical_order);
                match flat.len() {
                    0 => Self::AlwaysFalse,
                    1 => flat.pop().unwrap_or(Self::AlwaysFalse),
                    _ => Self::Or(flat),
                }
            }
            Self::Nor(children) => {
                let mut children: Vec<_> = children.into_iter().map(Self::canonical).collect();
                children.sort_by(Self::canonical_order);
                Self::Nor(children)
            }
            Self::Not(child) => Self::Not(Box::new(child.canonical())),
            Self::Path(path, Test::In(membership)) => match membership.single() {
                Some(value) => Self::Path(path, Test::equality(value)),
                None => Self::Path(path, Test::In(membership)),
            },
            Self::Path(path, Test::ElementObject(inner)) => {
                Self::Path(path, Test::ElementObject(Box::new(inner.canonical())))
            }
            other => other,
        }
    }

    fn find_near(&self) -> Option<(&FieldPath, &geo::Near)> {
        match self {
            Self::Path(path, Test::Near(near)) => Some((path, near)),
            Self::And(children) => children.iter().find_map(Self::find_near),
            _ => None,
        }
    }

    fn has_expression(&self) -> bool {
        match self {
            Self::Expression(_) => true,
            other => other.children().iter().any(Self::has_expression),
        }
    }

    fn collect_equalities(&self, only_id: bool, found: &mut Vec<(String, Bson)>) -> CommandResult<()> {
        match self {
            Self::And(children) => {
                for child in children {
                    child.collect_equalities(only_id, found)?;
                }
                Ok(())
            }
            Self::Path(path, test) => {
                let (Some(value), path) = (test.equality_value(), path.as_str()) else {
                    return Ok(());
                };
                if only_id && path != "_id" && !path.starts_with("_id.") {
                    return Ok(());
                }
                if only_id && path != "_id" {
                    // A replacement cannot be told a part of its _id.
                    return Err(CommandError::new(
                        crate::error::code::NOT_SINGLE_VALUE_FIELD,
                        format!("cannot infer query fields to set, path '{path}' is matched twice"),
                    ));
                }
                for (other, _) in found.iter() {
                    let nested = |inner: &str, outer: &str| {
                        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                    };
                    if other == path {
                        return Err(CommandError::new(
                            crate::error::code::NOT_SINGLE_VALUE_FIELD,
                            format!("cannot infer query fields to set, path '{path}' is matched twice"),
                        ));
                    }
                    if nested(path, other) || nested(other, path) {
                        return Err(CommandError::new(
                            crate::error::code::NOT_SINGLE_VALUE_FIELD,
                            format!("cannot infer query fields to set, both paths '{path}' and '{other}' are matched"),
                        ));
                    }
                }
                found.push((path.to_owned(), value.clone()));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn matches_path(
    path: &FieldPath,
    test: &Test,
    document: DocumentRef<'_>,
    collation: Option<&Collation>,
    details: Option<&mut MatchDetails>,
) -> bool {
    let leaf = if test.takes_whole_arrays() { LeafArrays::Whole } else { LeafArrays::Expand };
    let mut index = None;
    let outcome = visit(document, path, leaf, &mut |value, outer| {
        let mut element = None;
        if !test.matches(value, collation, &mut element) {
            return ControlFlow::Continue(());
        }
        index = outer.or(element);
        ControlFlow::Break(())
    });
    let matched = outcome.is_break();
    if let (true, Some(details), Some(index)) = (matched, details, index) {
        details.array_index = Some(index);
    }
    matched
}

/// Does any element of an array, taken as a document, match? The offset of the first that does.
pub(crate) fn first_matching_document(
    items: ArrayRef<'_>,
    node: &Node,
    collation: Option<&Collation>,
) -> Option<usize> {
    items.iter().position(|item| match item {
        ValueRef::Document(inner) => node.matches(inner, collation, None).unwrap_or(false),
        // An inner array counts as a document whose fields are the offsets.
        ValueRef::Array(inner) => {
            let numbered: Document =
                inner.iter().enumerate().map(|(index, value)| (index.to_string(), value.to_bson())).collect();
            node.matches(DocumentRef::Owned(&numbered), collation, None).unwrap_or(false)
        }
        _ => false,
    })
}
