//! Dotted paths through documents and arrays.
//!
//! A path component names a field of a document; between two components an array is entered implicitly, element by
//! element, but not an array inside an array; a component that is a decimal number also names an element of an array
//! (MongoDB manual, "Query an Array of Embedded Documents").

use std::ops::ControlFlow;

use super::value::{ArrayRef, DocumentRef, ValueRef};

/// One component of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPart {
    /// The component as written.
    pub name: String,
    /// The array offset it also means: digits without leading zeros.
    pub index: Option<usize>,
}

/// A dotted path, split once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    parts: Vec<PathPart>,
    text: String,
}

impl FieldPath {
    /// Splits at the dots; the empty path is one component with an empty name.
    pub fn new(path: &str) -> Self {
        let parts = path.split('.').map(|name| PathPart { name: name.to_owned(), index: array_index(name) }).collect();
        Self { parts, text: path.to_owned() }
    }

    /// The path as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its components; at least one.
    pub fn parts(&self) -> &[PathPart] {
        &self.parts
    }
}

/// The array offset a component means: decimal digits without leading zeros.
pub fn array_index(name: &str) -> Option<usize> {
    let canonical = !name.is_empty()
        && name.len() <= 9
        && name.bytes().all(|byte| byte.is_ascii_digit())
        && (name.len() == 1 || !name.starts_with('0'));
    if canonical { name.parse().ok() } else { None }
}

/// What becomes of an array at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafArrays {
    /// Its elements are visited, then the array itself.
    Expand,
    /// Only the array itself is visited.
    Whole,
}

/// Called with a value at the path (`None`: missing) and the offset in the outermost array entered implicitly.
pub type Visitor<'v, 'a> = &'v mut dyn FnMut(Option<ValueRef<'a>>, Option<usize>) -> ControlFlow<()>;

/// Visits every value the path leads to, in the order MongoDB's matcher does. In a document (also an element of an
/// array) without the field, the missing value is visited; array elements that are no documents are passed over.
pub fn visit<'a>(
    document: DocumentRef<'a>,
    path: &FieldPath,
    leaf: LeafArrays,
    visitor: Visitor<'_, 'a>,
) -> ControlFlow<()> {
    visit_document(document, &path.parts, leaf, None, visitor)
}

fn visit_document<'a>(
    document: DocumentRef<'a>,
    parts: &[PathPart],
    leaf: LeafArrays,
    outer: Option<usize>,
    visitor: Visitor<'_, 'a>,
) -> ControlFlow<()> {
    let mut current = document;
    for (depth, part) in parts.iter().enumerate() {
        let rest = &parts[depth + 1..];
        match current.get(&part.name) {
            Some(ValueRef::Array(items)) => return visit_array(items, rest, leaf, outer, visitor),
            Some(ValueRef::Document(inner)) if !rest.is_empty() => current = inner,
            found if rest.is_empty() => return visitor(found, outer),
            _ => return visitor(None, outer),
        }
    }
    ControlFlow::Continue(())
}

fn visit_array<'a>(
    items: ArrayRef<'a>,
    rest: &[PathPart],
    leaf: LeafArrays,
    outer: Option<usize>,
    visitor: Visitor<'_, 'a>,
) -> ControlFlow<()> {
    let Some(next) = rest.first() else {
        if leaf == LeafArrays::Expand {
            for (index, item) in items.iter().enumerate() {
                visitor(Some(item), outer.or(Some(index)))?;
            }
        }
        return visitor(Some(ValueRef::Array(items)), outer);
    };
    for (index, item) in items.iter().enumerate() {
        let named = next.index == Some(index);
        let offset = outer.or(Some(index));
        if let ValueRef::Document(inner) = item {
            visit_document(inner, rest, leaf, offset, visitor)?;
        }
        if !named {
            continue;
        }
        let beyond = &rest[1..];
        // Entered by its number, so the element is not one that the positional operator would mean.
        match item {
            _ if beyond.is_empty() => visitor(Some(item), outer)?,
            ValueRef::Document(inner) => visit_document(inner, beyond, leaf, outer, visitor)?,
            ValueRef::Array(inner) => visit_array(inner, beyond, leaf, outer, visitor)?,
            _ => {}
        }
    }
    ControlFlow::Continue(())
}

/// The values `distinct` takes from a document: arrays on the way and at the end contribute their elements, and a number
/// after an array only ever means an offset.
pub fn distinct_values<'a>(document: DocumentRef<'a>, path: &str) -> Vec<ValueRef<'a>> {
    let mut values = Vec::new();
    let parts: Vec<&str> = path.split('.').collect();
    collect_distinct(Container::Document(document), &parts, &mut values);
    values
}

#[derive(Clone, Copy)]
enum Container<'a> {
    Document(DocumentRef<'a>),
    Array(ArrayRef<'a>),
}

impl<'a> Container<'a> {
    fn get(self, name: &str) -> Option<ValueRef<'a>> {
        match self {
            Self::Document(document) => document.get(name),
            Self::Array(items) => items.get(array_index(name)?),
        }
    }
}

fn collect_distinct<'a>(container: Container<'a>, parts: &[&str], values: &mut Vec<ValueRef<'a>>) {
    let Some((first, rest)) = parts.split_first() else {
        return;
    };
    let found = container.get(first);
    let Some(next) = rest.first() else {
        match found {
            Some(ValueRef::Array(items)) => values.extend(items.iter()),
            Some(value) => values.push(value),
            None => {}
        }
        return;
    };
    match found {
        Some(ValueRef::Document(inner)) => collect_distinct(Container::Document(inner), rest, values),
        Some(ValueRef::Array(items)) => {
            if next.bytes().all(|byte| byte.is_ascii_digit()) {
                collect_distinct(Container::Array(items), rest, values);
            } else {
                for item in items.iter() {
                    match item {
                        ValueRef::Document(inner) => collect_distinct(Container::Document(inner), rest, values),
                        ValueRef::Array(inner) => collect_distinct(Container::Array(inner), rest, values),
                        _ => {}
                    }
                }
            }
        }
        _ => {}
    }
}
