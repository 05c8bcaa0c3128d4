//! `custom-function`: a function of the app says who somebody is (rules-and-users 4.6).

use app_model::{AuthProvider, FunctionCall};
use bson::{Bson, Document, doc};

use super::config::required_text;
use crate::users::{ProvenIdentity, id_text};
use crate::{AuthError, Caller};

/// `custom-function`, ready for use.
pub(crate) struct CustomFunction {
    function: String,
}

impl CustomFunction {
    pub fn read(provider: &AuthProvider) -> Result<Self, String> {
        Ok(Self { function: required_text(provider, "authFunctionName")? })
    }

    /// Asks the function. It has to give an id, or `{id, name}`.
    pub async fn prove(&self, payload: &Document, caller: &Caller<'_>) -> Result<ProvenIdentity, AuthError> {
        let call =
            FunctionCall { name: self.function.clone(), arguments: vec![Bson::Document(payload.clone())], depth: 1 };
        let result = caller.functions.call_function(call).await;
        let result = result.map_err(|failure| AuthError::FunctionRefused(failure.message))?;
        read_result(&result).ok_or_else(|| {
            AuthError::FunctionRefused("the authentication function must return an id or { id, name }".to_owned())
        })
    }
}

fn read_result(result: &Bson) -> Option<ProvenIdentity> {
    let (id, data) = match result {
        Bson::String(_) => (id_text(result)?.to_owned(), Document::new()),
        Bson::Document(fields) => {
            let data = match fields.get("name") {
                None | Some(Bson::Null | Bson::Undefined) => Document::new(),
                Some(Bson::String(name)) => doc! { "name": name },
                Some(_) => return None,
            };
            (id_text(fields.get("id")?)?.to_owned(), data)
        }
        _ => return None,
    };
    Some(ProvenIdentity { provider_type: "custom-function", id, data, claims: Document::new(), user_id: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results() {
        let check = |result: Bson, expected: Option<(&str, Document)>| {
            let found = read_result(&result).map(|identity| (identity.id, identity.data));
            assert_eq!(found, expected.map(|(id, data)| (id.to_owned(), data)), "{result}");
        };
        check("u1".into(), Some(("u1", doc! {})));
        check(Bson::Document(doc! { "id": "u1" }), Some(("u1", doc! {})));
        check(Bson::Document(doc! { "id": "u1", "name": "n", "admin": true }), Some(("u1", doc! { "name": "n" })));
        for result in [
            Bson::Undefined,
            Bson::Null,
            "".into(),
            Bson::Int32(1),
            Bson::Boolean(true),
            Bson::Array(vec!["u1".into()]),
            Bson::Document(doc! {}),
            Bson::Document(doc! { "id": 1 }),
            Bson::Document(doc! { "id": { "$ne": 1 } }),
            Bson::Document(doc! { "id": "u1", "name": { "$ne": 1 } }),
            "x".repeat(2000).into(),
        ] {
            check(result, None);
        }
    }
}
