use bson::{Bson, Document};

use super::path::FieldPath;
use super::value::{DocumentRef, ValueRef};
use crate::error::{CommandError, CommandResult};

#[derive(Debug, Clone)]
pub(crate) struct GeoTest {}

impl GeoTest {
    pub(crate) fn parse(name: &str, _value: &Bson) -> CommandResult<Self> {
        Err(CommandError::not_supported(name))
    }

    pub(crate) fn matches(&self, _value: ValueRef<'_>) -> bool {
        false
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Near {}

impl Near {
    pub(crate) fn parse(name: &str, _siblings: &Document) -> CommandResult<Self> {
        Err(CommandError::not_supported(name))
    }

    pub(crate) fn matches(&self, _value: ValueRef<'_>) -> bool {
        false
    }
}

pub(crate) fn least_distance(_document: DocumentRef<'_>, _path: &FieldPath, _near: &Near) -> Option<f64> {
    None
}
