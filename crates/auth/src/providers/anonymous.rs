//! `anon-user`: every login is a new user (rules-and-users 4.2).

use bson::Document;
use bson::oid::ObjectId;

use crate::AuthError;
use crate::api_keys::random_text;
use crate::users::ProvenIdentity;

/// An identity that nobody had before.
pub(super) fn new_identity() -> Result<ProvenIdentity, AuthError> {
    let letters = random_text(24)?.to_ascii_lowercase();
    Ok(ProvenIdentity {
        provider_type: "anon-user",
        id: format!("{}-{letters}", ObjectId::new().to_hex()),
        data: Document::new(),
        claims: Document::new(),
        user_id: None,
    })
}
