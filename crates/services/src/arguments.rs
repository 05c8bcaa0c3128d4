//! Typed reading of a call's arguments. Every mistake names the action and the argument.

use std::time::Duration;

use bson::raw::{RawArray, RawBsonRef, RawDocument, RawDocumentBuf};
use bson::{Bson, Document};
use mongodb::options::{Acknowledgment, Collation, Hint, ReadConcern, WriteConcern};

use crate::ServiceError;

/// Deepest nesting a document may have. The server stops at 180 to 200; our own converters recurse, so deeper input is
/// refused before any of them sees it.
const NESTING_MAX: usize = 200;

/// Arguments of one call, or one document among them.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a> {
    action: &'a str,
    document: &'a RawDocument,
}

impl<'a> Arguments<'a> {
    /// Checks the whole document once: well-formed, and not nested too deeply.
    pub fn parse(action: &'a str, document: &'a RawDocument) -> Result<Self, ServiceError> {
        check_nesting(document, NESTING_MAX + 4)?;
        Ok(Self { action, document })
    }

    /// The same action's view of a document found among its arguments.
    pub fn nested(&self, document: &'a RawDocument) -> Self {
        Self { action: self.action, document }
    }

    /// The `options` argument, empty when absent.
    pub fn options(&self) -> Result<Self, ServiceError> {
        Ok(self.nested(self.optional_raw_document("options")?.unwrap_or(empty_document())))
    }

    /// The value at `key`; null, undefined and absent are one.
    pub fn value(&self, key: &str) -> Result<Option<RawBsonRef<'a>>, ServiceError> {
        let value = self.document.get(key)?;
        Ok(value.filter(|value| !matches!(value, RawBsonRef::Null | RawBsonRef::Undefined)))
    }

    pub fn invalid(&self, key: &str, expected: &str) -> ServiceError {
        ServiceError::invalid(format!("{}: '{key}' must be {expected}", self.action))
    }

    pub fn text(&self, key: &str) -> Result<&'a str, ServiceError> {
        self.optional_text(key)?.ok_or_else(|| self.invalid(key, "a string"))
    }

    pub fn optional_text(&self, key: &str) -> Result<Option<&'a str>, ServiceError> {
        match self.value(key)? {
            None => Ok(None),
            Some(RawBsonRef::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid(key, "a string")),
        }
    }

    pub fn optional_raw_document(&self, key: &str) -> Result<Option<&'a RawDocument>, ServiceError> {
        match self.value(key)? {
            None => Ok(None),
            Some(RawBsonRef::Document(document)) => Ok(Some(document)),
            Some(_) => Err(self.invalid(key, "an object")),
        }
    }

    pub fn raw_document(&self, key: &str) -> Result<&'a RawDocument, ServiceError> {
        self.optional_raw_document(key)?.ok_or_else(|| self.invalid(key, "an object"))
    }

    pub fn optional_document(&self, key: &str) -> Result<Option<Document>, ServiceError> {
        Ok(self.optional_raw_document(key)?.map(Document::try_from).transpose()?)
    }

    pub fn optional_raw_array(&self, key: &str) -> Result<Option<&'a RawArray>, ServiceError> {
        match self.value(key)? {
            None => Ok(None),
            Some(RawBsonRef::Array(array)) => Ok(Some(array)),
            Some(_) => Err(self.invalid(key, "an array")),
        }
    }

    pub fn raw_array(&self, key: &str) -> Result<&'a RawArray, ServiceError> {
        self.optional_raw_array(key)?.ok_or_else(|| self.invalid(key, "an array"))
    }

    /// An array whose elements are all documents, such as a pipeline or `arrayFilters`.
    pub fn optional_documents(&self, key: &str) -> Result<Option<Vec<Document>>, ServiceError> {
        let Some(array) = self.optional_raw_array(key)? else { return Ok(None) };
        let mut documents = Vec::new();
        for element in array {
            match element? {
                RawBsonRef::Document(document) => documents.push(Document::try_from(document)?),
                _ => return Err(self.invalid(key, "an array of objects")),
            }
        }
        Ok(Some(documents))
    }

    pub fn optional_bson(&self, key: &str) -> Result<Option<Bson>, ServiceError> {
        Ok(self.value(key)?.map(Bson::try_from).transpose()?)
    }

    /// A boolean; numbers count as in JavaScript.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, ServiceError> {
        match self.value(key)? {
            None => Ok(None),
            Some(RawBsonRef::Boolean(value)) => Ok(Some(value)),
            Some(RawBsonRef::Int32(value)) => Ok(Some(value != 0)),
            Some(RawBsonRef::Int64(value)) => Ok(Some(value != 0)),
            Some(RawBsonRef::Double(value)) => Ok(Some(value != 0.0 && !value.is_nan())),
            Some(_) => Err(self.invalid(key, "a boolean")),
        }
    }

    pub fn integer(&self, key: &str) -> Result<Option<i64>, ServiceError> {
        match self.value(key)? {
            None => Ok(None),
            Some(RawBsonRef::Int32(value)) => Ok(Some(i64::from(value))),
            Some(RawBsonRef::Int64(value)) => Ok(Some(value)),
            Some(RawBsonRef::Double(value)) if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 => {
                Ok(Some(value as i64))
            }
            Some(_) => Err(self.invalid(key, "an integer")),
        }
    }

    pub fn natural(&self, key: &str) -> Result<Option<u64>, ServiceError> {
        self.integer(key)?
            .map(|value| u64::try_from(value).map_err(|_| self.invalid(key, "an integer of at least 0")))
            .transpose()
    }

    pub fn milliseconds(&self, key: &str) -> Result<Option<Duration>, ServiceError> {
        // 0 means "no limit", which is also what an absent value means.
        Ok(self.natural(key)?.filter(|value| *value > 0).map(Duration::from_millis))
    }

    pub fn batch_size(&self) -> Result<Option<u32>, ServiceError> {
        self.natural("batchSize")?
            .map(|value| u32::try_from(value).map_err(|_| self.invalid("batchSize", "an integer below 2^32")))
            .transpose()
    }

    pub fn hint(&self) -> Result<Option<Hint>, ServiceError> {
        match self.value("hint")? {
            None => Ok(None),
            Some(RawBsonRef::String(name)) => Ok(Some(Hint::Name(name.to_owned()))),
            Some(RawBsonRef::Document(keys)) => Ok(Some(Hint::Keys(Document::try_from(keys)?))),
            Some(_) => Err(self.invalid("hint", "an index name or an object")),
        }
    }

    pub fn collation(&self) -> Result<Option<Collation>, ServiceError> {
        self.optional_document("collation")?
            .map(|collation| {
                bson::deserialize_from_document(collation).map_err(|error| {
                    ServiceError::invalid(format!("{}: 'collation' is not a collation: {error}", self.action))
                })
            })
            .transpose()
    }

    /// `{level}`, or the level itself.
    pub fn read_concern(&self) -> Result<Option<ReadConcern>, ServiceError> {
        let level = match self.value("readConcern")? {
            None => None,
            Some(RawBsonRef::String(level)) => Some(level),
            Some(RawBsonRef::Document(concern)) => self.nested(concern).optional_text("level")?,
            Some(_) => return Err(self.invalid("readConcern", "an object with 'level'")),
        };
        Ok(level.map(ReadConcern::custom))
    }

    /// `{w, j, wtimeout}`.
    pub fn write_concern(&self) -> Result<Option<WriteConcern>, ServiceError> {
        let Some(concern) = self.optional_raw_document("writeConcern")? else { return Ok(None) };
        let concern = self.nested(concern);
        let acknowledgment = match concern.value("w")? {
            None => None,
            Some(RawBsonRef::String(tag)) => Some(Acknowledgment::from(tag)),
            Some(_) => {
                let nodes = concern.natural("w")?.and_then(|nodes| u32::try_from(nodes).ok());
                Some(Acknowledgment::from(nodes.ok_or_else(|| concern.invalid("w", "a number or a string"))?))
            }
        };
        let mut write_concern = WriteConcern::default();
        write_concern.w = acknowledgment;
        write_concern.journal = concern.flag("j")?;
        write_concern.w_timeout = match concern.milliseconds("wtimeout")? {
            Some(timeout) => Some(timeout),
            None => concern.milliseconds("wtimeoutMS")?,
        };
        Ok(Some(write_concern))
    }
}

/// A document without fields, for arguments left out.
pub(crate) fn empty_document() -> &'static RawDocument {
    const BYTES: [u8; 5] = [5, 0, 0, 0, 0];
    RawDocument::from_bytes(&BYTES).expect("five bytes make the empty BSON document")
}

fn check_nesting(document: &RawDocument, left: usize) -> Result<(), ServiceError> {
    let Some(left) = left.checked_sub(1) else {
        return Err(ServiceError::Command {
            code: 15,
            code_name: "Overflow".to_owned(),
            text: format!("BSONObj exceeded maximum nested object depth: {NESTING_MAX}"),
            labels: Vec::new(),
        });
    };
    for element in document {
        match element?.1 {
            RawBsonRef::Document(nested) => check_nesting(nested, left)?,
            RawBsonRef::Array(nested) => {
                // An array is a document whose keys are its indexes.
                check_nesting(RawDocument::from_bytes(nested.as_bytes())?, left)?;
            }
            RawBsonRef::JavaScriptCodeWithScope(code) => check_nesting(code.scope, left)?,
            _ => {}
        }
    }
    Ok(())
}

/// Appends a count in the smallest integer type that holds it, as the platform shows counts.
pub(crate) fn append_count(reply: &mut RawDocumentBuf, key: &bson::raw::CStr, count: u64) {
    match i32::try_from(count) {
        Ok(count) => reply.append(key, count),
        Err(_) => reply.append(key, i64::try_from(count).unwrap_or(i64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use bson::{doc, rawdoc};

    use super::*;

    #[test]
    fn nesting_beyond_the_bound_is_refused_without_recursing_further() {
        let mut nested = Document::new();
        for _ in 0..250 {
            nested = doc! { "a": [nested] };
        }
        let raw = RawDocumentBuf::try_from(&nested).expect("a document of 500 levels still encodes");
        let error = Arguments::parse("insertOne", &raw).map(|_| ()).expect_err("500 levels are too many");
        assert_eq!(error.to_string(), "(Overflow) BSONObj exceeded maximum nested object depth: 200");
        assert_eq!(error.code(), Some(15));
    }

    #[test]
    fn null_and_absent_are_one_and_wrong_types_are_named() {
        let raw = rawdoc! { "limit": null, "skip": 2.0, "sort": 5, "half": 2.5 };
        let arguments = Arguments::parse("find", &raw).expect("a flat document");
        assert_eq!(arguments.integer("limit").expect("null is absent"), None);
        assert_eq!(arguments.natural("skip").expect("a whole double is an integer"), Some(2));
        let text = |error: ServiceError| error.to_string();
        assert_eq!(arguments.optional_document("sort").map_err(text), Err("find: 'sort' must be an object".to_owned()));
        assert_eq!(arguments.integer("half").map_err(text), Err("find: 'half' must be an integer".to_owned()));
    }

    #[test]
    fn write_concern_takes_numbers_and_tags() {
        let raw = rawdoc! { "writeConcern": { "w": "majority", "j": true, "wtimeout": 500 } };
        let arguments = Arguments::parse("updateOne", &raw).expect("a flat document");
        let concern = arguments.write_concern().expect("well-formed").expect("present");
        assert_eq!(concern.w, Some(Acknowledgment::Majority));
        assert_eq!(concern.journal, Some(true));
        assert_eq!(concern.w_timeout, Some(Duration::from_millis(500)));
    }
}
