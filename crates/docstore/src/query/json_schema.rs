use bson::Document;

use super::value::DocumentRef;
use crate::error::{CommandError, CommandResult};

#[derive(Debug, Clone)]
pub(crate) struct Schema {}

impl Schema {
    pub(crate) fn parse(_schema: &Document) -> CommandResult<Self> {
        Err(CommandError::not_supported("$jsonSchema"))
    }

    pub(crate) fn matches(&self, _document: DocumentRef<'_>) -> bool {
        false
    }
}
