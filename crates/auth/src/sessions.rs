//! Sessions: a refresh token is a document in the database, an access token is a signature (rules-and-users 3.4).

use std::fmt;
use std::time::SystemTime;

use app_model::{Identity, User};
use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use serde_json::{Map, Value as Json, json};

use crate::accounts::Name;
use crate::jwt::{self, UnverifiedToken};
use crate::users::{ProvenIdentity, UserRecord};
use crate::{Accounts, AuthError, Device};

/// What a login answers. `Debug` leaves out the tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionTokens {
    /// Good for 30 minutes.
    pub access_token: String,
    /// Good for 60 days or until it is revoked.
    pub refresh_token: String,
    /// Id of the user.
    pub user_id: String,
    /// The id the client sent, or a new one.
    pub device_id: String,
}

impl fmt::Debug for SessionTokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SessionTokens(user {}, …)", self.user_id)
    }
}

/// Whoever sent a good access or refresh token: the user exists and is not disabled, and its sessions have not been revoked.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveSession {
    /// The user as it is now; its custom data as it was when the access token was issued, and empty for a refresh token.
    pub user: User,
    /// Id of the session.
    pub session_id: String,
    /// Id of the device.
    pub device_id: String,
    /// Which identity the session began with; known for refresh tokens only.
    pub identity: Option<Identity>,
    /// Whether only anonymous identities are linked.
    pub is_anonymous: bool,
    pub(crate) generation: i32,
}

/// A device that somebody is logged in on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDevice {
    /// Id of the session.
    pub session_id: String,
    /// The client's word.
    pub device: Device,
    /// When the session began.
    pub creation_date: SystemTime,
}

/// Custom data beyond this is not put into tokens, where it would not fit a header; it is read when the token is used.
/// The platform asks for less than 16 KB (rules-and-users 3.4).
const USER_DATA_BYTES_MAX: usize = 16 * 1024;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Access,
    Refresh,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

fn refused(reason: &'static str) -> AuthError {
    AuthError::InvalidSession { reason }
}

impl Accounts {
    /// Begins a session of a user who has just proven an identity.
    pub(crate) async fn begin_session(
        &self,
        user: &UserRecord,
        custom_data: &Document,
        identity: &ProvenIdentity,
        device: &Device,
    ) -> Result<SessionTokens, AuthError> {
        let settings = self.settings();
        let session = ObjectId::new();
        let device_id = device.id.clone().unwrap_or_else(|| ObjectId::new().to_hex());
        let document = doc! {
            "_id": session,
            "user": user.object_id()?,
            "device": device.to_document(&device_id),
            "identity": { "id": &identity.id, "provider_type": identity.provider_type },
            "generation": user.generation,
            "creation_date": settings.clock.date(),
            "expires": settings.clock.date_in(settings.refresh_token_lifetime),
        };
        self.collection(Name::Sessions).await?.insert_one(document).await?;
        let session = session.to_hex();
        let refresh_token = self.refresh_token(user, identity, &session, &device_id).await?;
        let access_token = self.access_token(user, custom_data, &session, &device_id).await?;
        Ok(SessionTokens { access_token, refresh_token, user_id: user.user.id.clone(), device_id })
    }

    /// An access token of a session.
    pub(crate) async fn access_token(
        &self,
        user: &UserRecord,
        custom_data: &Document,
        session_id: &str,
        device_id: &str,
    ) -> Result<String, AuthError> {
        let mut claims = self.claims(Purpose::Access, user, device_id);
        claims.insert("iss".into(), session_id.into());
        let text = Bson::Document(custom_data.clone()).into_relaxed_extjson();
        if text.to_string().len() <= USER_DATA_BYTES_MAX {
            claims.insert("user_data".into(), text);
        }
        let (id, key) = self.signing_key().await?;
        Ok(jwt::sign(&claims, &id, &key))
    }

    async fn refresh_token(
        &self,
        user: &UserRecord,
        identity: &ProvenIdentity,
        session_id: &str,
        device_id: &str,
    ) -> Result<String, AuthError> {
        let mut claims = self.claims(Purpose::Refresh, user, device_id);
        let identity = json!({
            "id": identity.id,
            "provider_type": identity.provider_type,
            "provider_id": self.provider_id(identity.provider_type),
        });
        for (name, other_name, value) in [
            ("baas_id", "stitch_id", Json::from(session_id)),
            ("baas_identity", "stitch_ident", identity),
            ("baas_data", "stitch_data", Json::Null),
        ] {
            claims.insert(name.into(), value.clone());
            claims.insert(other_name.into(), value);
        }
        let (id, key) = self.signing_key().await?;
        Ok(jwt::sign(&claims, &id, &key))
    }

    fn claims(&self, purpose: Purpose, user: &UserRecord, device_id: &str) -> Map<String, Json> {
        let settings = self.settings();
        let lifetime = match purpose {
            Purpose::Access => settings.access_token_lifetime,
            Purpose::Refresh => settings.refresh_token_lifetime,
        };
        let now = settings.clock.seconds();
        let mut claims = Map::new();
        claims.insert("baas_device_id".into(), device_id.into());
        claims.insert("baas_domain_id".into(), self.domain_id().into());
        claims.insert("exp".into(), now.saturating_add_unsigned(lifetime.as_secs()).into());
        claims.insert("iat".into(), now.into());
        // Ours: how often the user's sessions had been revoked.
        claims.insert("selvedge_generation".into(), user.generation.into());
        claims.insert("stitch_devId".into(), device_id.into());
        claims.insert("stitch_domainId".into(), self.domain_id().into());
        claims.insert("sub".into(), user.user.id.as_str().into());
        claims.insert("typ".into(), purpose.as_str().into());
        claims
    }

    /// Whose access token this is. The user's custom data is that of the token, or `None` where it was too large for it.
    ///
    /// # Errors
    /// `InvalidSession`, `UserDisabled`.
    pub(crate) async fn verify_access_token(
        &self,
        token: &str,
    ) -> Result<(ActiveSession, Option<Document>), AuthError> {
        let claims = self.verified_claims(token, Purpose::Access).await?;
        let session_id = text(&claims, "iss")?;
        // A document that is no Extended JSON, such as {"$oid": "x"}, is read when the token is used, like one too large.
        let custom_data = match claims.get("user_data").cloned().map(Bson::try_from) {
            Some(Ok(Bson::Document(data))) => Some(data),
            _ => None,
        };
        let mut session = self.active_session(&claims, session_id, None).await?;
        session.user.custom_data = custom_data.clone().unwrap_or_default();
        Ok((session, custom_data))
    }

    /// Whose refresh token this is.
    ///
    /// # Errors
    /// `InvalidSession`, `UserDisabled`.
    pub(crate) async fn verify_refresh_token(&self, token: &str) -> Result<ActiveSession, AuthError> {
        let claims = self.verified_claims(token, Purpose::Refresh).await?;
        let session_id = text(&claims, "baas_id")?;
        let id = ObjectId::parse_str(&session_id).map_err(|_| refused("it names no session"))?;
        let found = self.collection(Name::Sessions).await?.find_one(doc! { "_id": id }).await?;
        let found = found.ok_or(refused("the session has ended"))?;
        let identity = found.get_document("identity").ok().and_then(|identity| {
            Some(Identity {
                id: identity.get_str("id").ok()?.to_owned(),
                provider_type: identity.get_str("provider_type").ok()?.to_owned(),
                data: Document::new(),
            })
        });
        let session = self.active_session(&claims, session_id, identity).await?;
        let owner = found.get_object_id("user").map(|id| id.to_hex());
        match owner.is_ok_and(|owner| owner == session.user.id) {
            true => Ok(session),
            false => Err(refused("the session is another user's")),
        }
    }

    async fn active_session(
        &self,
        claims: &Map<String, Json>,
        session_id: String,
        identity: Option<Identity>,
    ) -> Result<ActiveSession, AuthError> {
        let user_id = text(claims, "sub")?;
        let device_id = text(claims, "baas_device_id")?;
        let user = self.find_user(&user_id).await?.ok_or(refused("the user is gone"))?.enabled()?;
        if claims.get("selvedge_generation").and_then(Json::as_i64) != Some(user.generation.into()) {
            return Err(refused("it was revoked"));
        }
        Ok(ActiveSession {
            is_anonymous: user.is_anonymous(),
            generation: user.generation,
            user: user.user,
            session_id,
            device_id,
            identity,
        })
    }

    async fn verified_claims(&self, token: &str, purpose: Purpose) -> Result<Map<String, Json>, AuthError> {
        let token = UnverifiedToken::parse(token).map_err(refused)?;
        let id = token.key_id().ok_or(refused("it names no key"))?;
        let key = self.verifying_key(id).await?.ok_or(refused("no key of ours signed it"))?;
        let claims = token.verified_by([key].iter()).ok_or(refused("its signature is wrong"))?;
        let settings = self.settings();
        let skew = i64::try_from(settings.clock_skew_max.as_secs()).unwrap_or(0);
        jwt::check_times(&claims, settings.clock.seconds(), skew).map_err(refused)?;
        let is = |name: &str, expected: &str| claims.get(name).and_then(Json::as_str) == Some(expected);
        if !is("typ", purpose.as_str()) {
            return Err(refused("it is for another purpose"));
        }
        // Two apps have two databases and two keys; should they ever share one, this keeps them apart.
        if !is("baas_domain_id", self.domain_id()) {
            return Err(refused("it is of another app"));
        }
        Ok(claims)
    }

    /// Ends one session: its refresh token stops working, its access tokens work until they expire.
    pub(crate) async fn end_session(&self, session_id: &str) -> Result<(), AuthError> {
        let id = ObjectId::parse_str(session_id).map_err(|_| refused("it names no session"))?;
        self.collection(Name::Sessions).await?.delete_one(doc! { "_id": id }).await?;
        Ok(())
    }

    pub(crate) async fn delete_sessions(&self, user_id: &str) -> Result<(), AuthError> {
        let id = ObjectId::parse_str(user_id).map_err(|_| AuthError::UserNotFound)?;
        self.collection(Name::Sessions).await?.delete_many(doc! { "user": id }).await?;
        Ok(())
    }

    /// Devices on which a user is logged in, the latest session first.
    pub async fn devices(&self, user_id: &str) -> Result<Vec<SessionDevice>, AuthError> {
        const SESSIONS_MAX: i64 = 1_000;
        let id = ObjectId::parse_str(user_id).map_err(|_| AuthError::UserNotFound)?;
        let query = doc! { "user": id, "expires": { "$gt": self.settings().clock.date() } };
        let sessions = self.collection(Name::Sessions).await?;
        let cursor = sessions.find(query).sort(doc! { "_id": -1 }).limit(SESSIONS_MAX).await?;
        let documents: Vec<Document> = cursor.try_collect().await?;
        Ok(documents
            .iter()
            .filter_map(|document| {
                Some(SessionDevice {
                    session_id: document.get_object_id("_id").ok()?.to_hex(),
                    device: Device::from_document(document.get_document("device").ok()?),
                    creation_date: document.get_datetime("creation_date").ok()?.to_system_time(),
                })
            })
            .collect())
    }

    /// Id of a provider's configuration, as profiles and tokens have it. The platform made it up; ours stays the same over
    /// restarts.
    pub fn provider_id(&self, provider_type: &str) -> String {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(format!("provider\0{}\0{provider_type}", self.client_app_id()));
        hex::encode(&digest[..12])
    }
}

fn text(claims: &Map<String, Json>, name: &str) -> Result<String, AuthError> {
    claims.get(name).and_then(Json::as_str).map(str::to_owned).ok_or(refused("a claim is missing"))
}
