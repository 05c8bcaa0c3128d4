//! Accounts with e-mail address and password: registering, confirming, resetting (rules-and-users 4.3).

use bson::Bson;
use http::StatusCode;

use super::{ClientCall, EmailPasswordOperation, reply, text};
use crate::{CallError, CallResponse};

/// 201 without a body for a registration, 200 without a body for the others.
pub(super) async fn answer(
    call: &mut ClientCall<'_>,
    operation: EmailPasswordOperation,
) -> Result<CallResponse, CallError> {
    let body = call.read_document().await?;
    let functions = call.functions(operation.path());
    let caller = call.caller(&functions);
    let auth = call.auth();
    let field = |name: &str| text(&body, name);
    match operation {
        EmailPasswordOperation::Register => {
            auth.register(&field("email")?, &field("password")?, &caller).await?;
            return Ok(reply::empty(StatusCode::CREATED));
        }
        EmailPasswordOperation::Confirm => auth.confirm(&field("token")?, &field("tokenId")?, &caller).await?,
        EmailPasswordOperation::SendConfirmation => auth.send_confirmation(&field("email")?, &caller).await?,
        EmailPasswordOperation::CallConfirmation => auth.call_confirmation(&field("email")?, &caller).await?,
        EmailPasswordOperation::Reset => {
            auth.reset(&field("token")?, &field("tokenId")?, &field("password")?, &caller).await?;
        }
        EmailPasswordOperation::SendReset => auth.send_reset(&field("email")?, &caller).await?,
        EmailPasswordOperation::CallReset => {
            let arguments = match body.get("arguments") {
                None | Some(Bson::Null) => Vec::new(),
                Some(Bson::Array(arguments)) => arguments.clone(),
                Some(_) => return Err(CallError::InvalidArgument("'arguments' must be an array".into())),
            };
            auth.call_reset(&field("email")?, &field("password")?, arguments, &caller).await?;
        }
    }
    Ok(reply::empty(StatusCode::OK))
}
