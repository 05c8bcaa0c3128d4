//! `aggregate` of collections and databases (function-environment 7.4, 7.10).

use bson::Document;
use mongodb::options::{AggregateOptions, ReadPreference, SelectionCriteria};

use super::connection::DataSource;
use super::cursor::{self, Sight};
use super::handles::OpenHandles;
use super::{names, session};
use crate::ServiceError;
use crate::arguments::Arguments;
use crate::error::Reply;

/// `aggregate {db, collection?, pipeline, options}` → `{cursor, documents}`; without `collection` on the database itself.
pub(crate) async fn aggregate(source: &DataSource, handles: &OpenHandles, arguments: Arguments<'_>) -> Reply {
    let pipeline =
        arguments.optional_documents("pipeline")?.ok_or_else(|| arguments.invalid("pipeline", "an array of stages"))?;
    names::check_pipeline(&pipeline)?;
    let writes = check_stages(&pipeline)?;
    if writes && source.is_read_only() {
        return Err(ServiceError::invalid("aggregate: a data lake is read only"));
    }
    let options = arguments.options()?;
    let mut aggregate_options = AggregateOptions::default();
    aggregate_options.allow_disk_use = options.flag("allowDiskUse")?;
    aggregate_options.batch_size = options.batch_size()?;
    aggregate_options.bypass_document_validation = options.flag("bypassDocumentValidation")?;
    aggregate_options.collation = options.collation()?;
    aggregate_options.comment = options.optional_bson("comment")?;
    aggregate_options.hint = options.hint()?;
    aggregate_options.max_time = options.milliseconds("maxTimeMS")?;
    aggregate_options.read_concern = options.read_concern()?;
    aggregate_options.let_vars = options.optional_document("let")?;
    if writes {
        aggregate_options.write_concern = options.write_concern()?;
        if options.flag("enforceReadPref")? != Some(true) {
            aggregate_options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        }
    }

    let database = source.database(arguments.text("db")?);
    let collection = arguments
        .optional_text("collection")?
        .map(|name| Ok::<_, ServiceError>(source.collection::<Document>(arguments.text("db")?, name)))
        .transpose()?;
    let aggregate = match &collection {
        Some(collection) => collection.aggregate(pipeline),
        None => database.aggregate(pipeline),
    };
    let aggregate = aggregate.with_options(aggregate_options);
    match session::acquire(source, handles, arguments).await? {
        None => cursor::open(handles, aggregate.batch().await?, Sight::System).await,
        Some(mut session) => {
            let found = aggregate.session(session.session()).batch().await?;
            cursor::open_in_session(handles, found, session, Sight::System).await
        }
    }
}

/// Whether the pipeline writes. Refuses stages that are no use inside a function (7.1, 7.10).
fn check_stages(pipeline: &[Document]) -> Result<bool, ServiceError> {
    let mut writes = false;
    for stage in pipeline {
        for name in stage.keys() {
            match name.as_str() {
                "$indexStats" | "$changeStream" => {
                    return Err(ServiceError::invalid(format!(
                        "aggregate: stage {name} is not available in functions"
                    )));
                }
                "$out" | "$merge" => writes = true,
                _ => {}
            }
        }
    }
    Ok(writes)
}
