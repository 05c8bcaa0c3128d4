//! Tokens that prove somebody reads the mail of an address, and the mails that carry them (rules-and-users 4.3).

use std::fmt;
use std::time::SystemTime;

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Document, doc};
use futures::TryStreamExt;
use sha2::{Digest, Sha256};

use crate::accounts::Name;
use crate::api_keys::random_text;
use crate::{Accounts, AuthError, Mail};

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EmailPurpose {
    Confirmation,
    Reset,
}

/// What a mail's link carries. `Debug` leaves out the token.
#[derive(Clone)]
pub(crate) struct TokenPair {
    pub token: String,
    pub token_id: String,
}

/// A mail that no mailer was there to send.
#[derive(Clone, PartialEq, Eq)]
pub struct UnsentMail {
    /// The mail, with its link.
    pub mail: Mail,
    /// When its link stops working, and the mail is removed.
    pub expiry: SystemTime,
}

const TOKEN_CHARACTERS: usize = 64;

impl EmailPurpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation",
            Self::Reset => "reset",
        }
    }
}

impl fmt::Debug for TokenPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TokenPair({}, …)", self.token_id)
    }
}

impl fmt::Debug for UnsentMail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "UnsentMail({:?})", self.mail)
    }
}

impl Accounts {
    /// A token for the owner of an address.
    pub(crate) async fn create_email_token(
        &self,
        account: ObjectId,
        purpose: EmailPurpose,
    ) -> Result<TokenPair, AuthError> {
        let token = random_text(TOKEN_CHARACTERS)?;
        let id = ObjectId::new();
        let document = doc! {
            "_id": id,
            "account": account,
            "purpose": purpose.as_str(),
            "hash": hash(&token),
            "expires": self.settings().clock.date_in(self.settings().email_token_lifetime),
        };
        self.collection(Name::EmailTokens).await?.insert_one(document).await?;
        Ok(TokenPair { token, token_id: id.to_hex() })
    }

    /// Whose token this is. A token for a reset works once; one for a confirmation may be shown again, and the account then
    /// is confirmed already.
    ///
    /// # Errors
    /// `InvalidTokenData`, `TokenExpiredOrInvalid`.
    pub(crate) async fn use_email_token(
        &self,
        token: &str,
        token_id: &str,
        purpose: EmailPurpose,
    ) -> Result<ObjectId, AuthError> {
        let id = ObjectId::parse_str(token_id).map_err(|_| AuthError::InvalidTokenData)?;
        if token.len() != TOKEN_CHARACTERS || !token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(AuthError::InvalidTokenData);
        }
        let query = doc! {
            "_id": id,
            "purpose": purpose.as_str(),
            "hash": hash(token),
            "expires": { "$gt": self.settings().clock.date() },
        };
        let tokens = self.collection(Name::EmailTokens).await?;
        let found = match purpose {
            EmailPurpose::Confirmation => tokens.find_one(query).await?,
            EmailPurpose::Reset => tokens.find_one_and_delete(query).await?,
        };
        let account = found.and_then(|found| found.get_object_id("account").ok());
        account.ok_or(AuthError::TokenExpiredOrInvalid)
    }

    /// Keeps a mail for the operator.
    pub(crate) async fn keep_mail(&self, mail: &Mail) -> Result<(), AuthError> {
        let document = doc! {
            "to": &mail.to,
            "subject": &mail.subject,
            "text": &mail.text,
            "expires": self.settings().clock.date_in(self.settings().email_token_lifetime),
        };
        self.collection(Name::Outbox).await?.insert_one(document).await?;
        Ok(())
    }

    /// Mails that were not sent because no mailer is set, oldest first, as long as their links work.
    pub async fn outbox(&self) -> Result<Vec<UnsentMail>, AuthError> {
        const MAILS_MAX: i64 = 1_000;
        let query = doc! { "expires": { "$gt": self.settings().clock.date() } };
        let outbox = self.collection(Name::Outbox).await?;
        let documents: Vec<Document> =
            outbox.find(query).sort(doc! { "_id": 1 }).limit(MAILS_MAX).await?.try_collect().await?;
        let read = |document: &Document| {
            let text = |name: &str| document.get_str(name).ok().map(str::to_owned);
            Some(UnsentMail {
                mail: Mail { to: text("to")?, subject: text("subject")?, text: text("text")? },
                expiry: document.get_datetime("expires").ok()?.to_system_time(),
            })
        };
        Ok(documents.iter().filter_map(read).collect())
    }
}

fn hash(token: &str) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: Sha256::digest(token.as_bytes()).to_vec() }
}
