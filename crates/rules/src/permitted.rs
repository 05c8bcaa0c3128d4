//! Documents that a user function may see.

use bson::raw::{RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use bson::{Bson, Document, doc};

use crate::ValueKey;
use crate::expression::values_at;

/// A value that passed the rules. Only this crate can make one, so that whatever asks for it cannot be given an
/// unchecked document by mistake.
#[derive(Debug, Clone, PartialEq)]
pub struct Permitted<T>(T);

impl<T> Permitted<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }

    /// For the system user, whom no rule binds (rules-and-users 2.2). Never for anybody else.
    pub fn granted_without_rules_to_the_system_user(value: T) -> Self {
        Self(value)
    }

    /// The value itself.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// The value itself.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// The same value in another shape, made of nothing but itself; may only ever show less of it.
    pub fn map<U>(self, narrow: fn(T) -> U) -> Permitted<U> {
        Permitted(narrow(self.0))
    }

    pub(crate) fn try_map<U, E>(self, narrow: impl FnOnce(T) -> Result<U, E>) -> Result<Permitted<U>, E> {
        narrow(self.0).map(Permitted)
    }
}

impl Permitted<RawArrayBuf> {
    /// A list without elements.
    pub fn none() -> Self {
        Self(RawArrayBuf::new())
    }

    /// Adds a document to a list.
    pub fn push(&mut self, document: Permitted<RawDocumentBuf>) {
        self.0.push(document.0);
    }
}

/// Permitted documents as the input of a pipeline: what the database computes of nothing but them is permitted.
#[derive(Debug, Clone)]
pub struct Literals {
    documents: Permitted<RawArrayBuf>,
}

impl Literals {
    /// Of these documents, in their order.
    pub fn new(documents: Permitted<RawArrayBuf>) -> Self {
        Self { documents }
    }

    /// Stages that give the documents, whatever the collection holds by now; it has to hold something.
    ///
    /// # Errors
    /// Bytes that are no document.
    pub fn stages(&self) -> Result<Vec<Document>, bson::error::Error> {
        const FIELD: &str = "document";
        let documents = self.documents.get().into_iter().map(|document| Bson::try_from(document?));
        let documents = documents.collect::<Result<Vec<Bson>, _>>()?;
        if documents.is_empty() {
            return Ok(vec![doc! { "$match": { "$nor": [{}] } }]);
        }
        Ok(vec![
            doc! { "$limit": 1 },
            doc! { "$project": { "_id": 0, FIELD: { "$literal": documents } } },
            doc! { "$unwind": format!("${FIELD}") },
            doc! { "$replaceRoot": { "newRoot": format!("${FIELD}") } },
        ])
    }

    /// What the database computed of these documents, and of others that are permitted.
    pub fn permit_result<T>(&self, result: T) -> Permitted<T> {
        Permitted(result)
    }
}

/// The values of a field over permitted documents.
#[derive(Debug, Default)]
pub struct DistinctValues {
    seen: std::collections::HashSet<ValueKey>,
    values: RawArrayBuf,
}

impl DistinctValues {
    /// Takes the values of one document in: those a path leads to, and instead of an array its elements.
    ///
    /// # Errors
    /// Bytes that are no document.
    pub fn add(&mut self, document: &Permitted<RawDocumentBuf>, path: &[String]) -> Result<(), bson::error::Error> {
        let stored: &RawDocument = document.get();
        // The rest of the document need not be decoded.
        let first = path.first().map_or("", String::as_str);
        let mut part = Document::new();
        if let Some(value) = stored.get(first)? {
            part.insert(first, Bson::try_from(value)?);
        }
        let part = Bson::Document(part);
        for value in values_at(&part, path) {
            match value {
                Bson::Array(elements) => elements.iter().try_for_each(|element| self.keep(element))?,
                value => self.keep(value)?,
            }
        }
        Ok(())
    }

    fn keep(&mut self, value: &Bson) -> Result<(), bson::error::Error> {
        if self.seen.insert(ValueKey::of(value)) {
            self.values.push(RawBson::try_from(value.clone())?);
        }
        Ok(())
    }

    /// All of them, in the order in which they were met.
    pub fn into_values(self) -> Permitted<RawArrayBuf> {
        Permitted(self.values)
    }
}

impl Permitted<RawDocumentBuf> {
    /// The document's value of a field, such as its `_id`.
    pub fn field(&self, name: &str) -> Option<RawBsonRef<'_>> {
        self.0.get(name).ok().flatten()
    }
}
