//! An app with users, the functions it would run, the mails it would send, and the issuers it would ask.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use app_model::{App, CallFunction, FunctionCall, FunctionFailure, LoadOptions, SecretText};
use auth::{
    Accounts, Auth, AuthError, AuthParts, AuthSettings, Caller, Clock, Credentials, Device, FetchAnswer, FetchHttp,
    FetchRequest, HashingCost, HashingQueue, LoggedIn, Mail, OutsideFuture, SendMail,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bson::oid::ObjectId;
use bson::{Bson, Document};
use mongodb::Client;
use parking_lot::Mutex;
use rsa::pkcs8::DecodePrivateKey;
use rsa::signature::{SignatureEncoding, Signer};
use rsa::traits::PublicKeyParts;
use serde_json::{Value as Json, json};

/// A shared key of custom tokens.
pub const SHARED_KEY: &str = "a shared key of more than thirty-two characters";

/// One deployment, an app on it, and everything around.
pub struct World {
    pub auth: Auth,
    pub client: Client,
    pub client_app_id: String,
    pub settings: AuthSettings,
    pub functions: Functions,
    pub mails: Arc<Mails>,
    pub net: Arc<Net>,
    pub app: Arc<App>,
    now: Arc<AtomicU64>,
    // Fields drop in order: the store goes after the connections.
    _store: Option<(docstore::Server, tempfile::TempDir)>,
}

/// How a world differs from the usual one.
pub struct Plan {
    pub providers: Json,
    pub custom_user_data: Json,
    pub functions: Vec<&'static str>,
    pub has_mailer: bool,
    pub failures_max: u32,
    pub secrets: Vec<(&'static str, String)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            providers: json!({
                "anon-user": {}, "api-key": {},
                "local-userpass": { "config": { "autoConfirm": true } },
                "custom-function": { "config": { "authFunctionName": "authenticate" } },
                "custom-token": {
                    "config": { "signingAlgorithm": "HS256" },
                    "secret_config": { "signingKeys": ["shared"] },
                    "metadata_fields": [{ "name": "profile.email", "field_name": "email" }],
                },
            }),
            custom_user_data: json!({ "enabled": false }),
            functions: vec!["authenticate", "confirm", "reset", "created"],
            has_mailer: true,
            failures_max: 1_000,
            secrets: vec![("shared", SHARED_KEY.to_owned())],
        }
    }
}

/// Functions of the app, by name.
#[derive(Default)]
pub struct Functions {
    bodies: Mutex<BTreeMap<String, Body>>,
    pub calls: Mutex<Vec<FunctionCall>>,
}

type Body = Arc<dyn Fn(&[Bson]) -> Result<Bson, String> + Send + Sync>;

impl Functions {
    pub fn set(&self, name: &str, body: impl Fn(&[Bson]) -> Result<Bson, String> + Send + Sync + 'static) {
        self.bodies.lock().insert(name.to_owned(), Arc::new(body));
    }

    /// First arguments of all calls of a function.
    pub fn inputs(&self, name: &str) -> Vec<Document> {
        let calls = self.calls.lock();
        calls
            .iter()
            .filter(|call| call.name == name)
            .filter_map(|call| call.arguments.first()?.as_document().cloned())
            .collect()
    }
}

impl CallFunction for Functions {
    fn call_function<'a>(
        &'a self,
        call: FunctionCall,
    ) -> Pin<Box<dyn Future<Output = Result<Bson, FunctionFailure>> + Send + 'a>> {
        let body = self.bodies.lock().get(&call.name).cloned();
        let result = match body {
            Some(body) => body(&call.arguments),
            None => Err(format!("function not found: '{}'", call.name)),
        };
        self.calls.lock().push(call);
        Box::pin(async move { result.map_err(|message| FunctionFailure { message }) })
    }
}

/// Mails that were sent.
#[derive(Default)]
pub struct Mails(pub Mutex<Vec<Mail>>);

impl SendMail for Mails {
    fn send_mail(&self, mail: Mail) -> OutsideFuture<'_, Result<(), String>> {
        self.0.lock().push(mail);
        Box::pin(async { Ok(()) })
    }
}

impl Mails {
    /// Token and token id of the last link.
    pub fn last_pair(&self) -> (String, String) {
        pair_of(&self.0.lock().last().expect("a mail").text)
    }
}

/// Token and token id of the link in a mail.
pub fn pair_of(text: &str) -> (String, String) {
    let url = text.split_whitespace().find(|word| word.starts_with("https://")).expect("a link");
    let url = url::Url::parse(url).expect("a link");
    let field = |name: &str| url.query_pairs().find(|(key, _)| key == name).expect("a field").1.into_owned();
    (field("token"), field("tokenId"))
}

/// Fetches from loopback servers, and counts.
#[derive(Default)]
pub struct Net {
    pub fetches: AtomicU64,
}

impl FetchHttp for Net {
    fn fetch(&self, request: FetchRequest) -> OutsideFuture<'_, Result<FetchAnswer, String>> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { fetch(request).await.map_err(|error| error.to_string()) })
    }
}

async fn fetch(request: FetchRequest) -> std::io::Result<FetchAnswer> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let url = url::Url::parse(&request.url).map_err(std::io::Error::other)?;
    let port = url.port().expect("loopback servers have a port");
    let mut stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let form =
        request.form.map(|form| url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish());
    let method = if form.is_some() { "POST" } else { "GET" };
    let form = form.unwrap_or_default();
    let authorization = request.authorization.map(|text| format!("Authorization: {text}\r\n")).unwrap_or_default();
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let head = format!("{method} {target} HTTP/1.0\r\n{authorization}Content-Length: {}\r\n\r\n{form}", form.len());
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let max_age = head.split("max-age=").nth(1).and_then(|text| text.lines().next()?.trim().parse().ok());
    Ok(FetchAnswer { status, max_age: max_age.map(Duration::from_secs), body: answer[end + 4..].to_vec() })
}

/// A loopback server that answers every request with what is set for the path.
pub struct Issuer {
    pub address: String,
    pub answers: Arc<Mutex<BTreeMap<String, (u16, Json)>>>,
    pub requests: Arc<Mutex<Vec<String>>>,
}

impl Issuer {
    pub async fn start() -> Self {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let answers: Arc<Mutex<BTreeMap<String, (u16, Json)>>> = Arc::default();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (given, seen) = (Arc::clone(&answers), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = vec![0; 16 * 1024];
                let mut length = 0;
                loop {
                    length += stream.read(&mut bytes[length..]).await.unwrap_or(0);
                    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let wanted = head.split("Content-Length: ").nth(1).and_then(|text| text.trim().parse().ok());
                    if body.len() >= wanted.unwrap_or(0) {
                        break;
                    }
                }
                let request = String::from_utf8_lossy(&bytes[..length]).into_owned();
                let path = request.split([' ', '?']).nth(1).unwrap_or_default().to_owned();
                seen.lock().push(request);
                let (status, body) = given.lock().get(&path).cloned().unwrap_or((404, Json::Null));
                let text = format!("HTTP/1.0 {status} X\r\nContent-Type: application/json\r\n\r\n{body}");
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        Self { address, answers, requests }
    }

    pub fn set(&self, path: &str, status: u16, body: Json) {
        self.answers.lock().insert(path.to_owned(), (status, body));
    }
}

/// An RSA key of an issuer, made for these tests.
pub struct RsaKey(rsa::PrivateKey);

impl RsaKey {
    pub fn issuer() -> Self {
        Self(rsa::PrivateKey::from_pkcs8_pem(include_str!("data/issuer.pem")).expect("a key"))
    }

    pub fn next() -> Self {
        Self(rsa::PrivateKey::from_pkcs8_pem(include_str!("data/next.pem")).expect("a key"))
    }

    pub fn public_pem(&self) -> String {
        use rsa::pkcs8::EncodePublicKey;
        self.0.to_public_key().to_public_key_pem(rsa::pkcs8::LineEnding::LF).expect("PEM")
    }

    /// A member of a key set.
    pub fn public_jwk(&self, id: &str) -> Json {
        let number = |bytes: Box<[u8]>| {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            URL_SAFE_NO_PAD.encode(&bytes[zeros..])
        };
        let public = self.0.to_public_key();
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": id,
            "n": number(public.n().as_ref().to_be_bytes()), "e": number(public.e().to_be_bytes()),
        })
    }

    pub fn sign(&self, header: Json, claims: Json) -> String {
        let signed = unsigned(&header, &claims);
        let key = rsa::pkcs1v15::SigningKey::<sha2::Sha256>::new(self.0.clone());
        let signature = key.sign(signed.as_bytes()).to_vec();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub fn token(&self, id: &str, claims: Json) -> String {
        self.sign(json!({ "alg": "RS256", "typ": "JWT", "kid": id }), claims)
    }
}

pub fn unsigned(header: &Json, claims: &Json) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// A token signed with HMAC-SHA256.
pub fn shared_token(key: &[u8], header: Json, claims: Json) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let signed = unsigned(&header, &claims);
    let code = Hmac::<sha2::Sha256>::new_from_slice(key).expect("a key").chain_update(signed.as_bytes()).finalize();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(code.into_bytes()))
}

/// Worlds to test in: one on the embedded store, and one on a real deployment if there is one.
pub async fn worlds(plan: impl Fn() -> Plan) -> Vec<World> {
    let directory = tempfile::tempdir().expect("a directory for the store");
    let store = docstore::open(directory.path(), docstore::Options::default()).expect("the store opens");
    let uri = store.uri();
    let mut worlds = vec![World::new(&uri, plan(), Some((store, directory))).await];
    match std::env::var("SELVEDGE_TEST_MONGODB") {
        Ok(uri) => worlds.push(World::new(&uri, plan(), None).await),
        Err(_) => eprintln!("SELVEDGE_TEST_MONGODB is not set: tested against the embedded store only"),
    }
    worlds
}

pub const START: u64 = 1_800_000_000;

impl World {
    async fn new(uri: &str, plan: Plan, store: Option<(docstore::Server, tempfile::TempDir)>) -> Self {
        let client = Client::with_uri_str(uri).await.expect("the connection string is good");
        let client_app_id = format!("auth-{}", ObjectId::new().to_hex());
        let now = Arc::new(AtomicU64::new(START));
        let shown = Arc::clone(&now);
        let settings = AuthSettings {
            failures_max: plan.failures_max,
            allows_plain_http: true,
            hashing: HashingQueue::new(HashingCost { memory_kib: 64, passes: 1 }, 2, 64).expect("a queue"),
            clock: Clock::new(move || SystemTime::UNIX_EPOCH + Duration::from_secs(shown.load(Ordering::Relaxed))),
            ..AuthSettings::default()
        };
        let functions = Functions::default();
        functions.set("created", |_| Ok(Bson::Undefined));
        let app = Arc::new(load_app(&client_app_id, &plan));
        let (mails, net) = (Arc::<Mails>::default(), Arc::<Net>::default());
        let mailer: Option<Arc<dyn SendMail>> = match plan.has_mailer {
            true => Some(Arc::clone(&mails) as Arc<dyn SendMail>),
            false => None,
        };
        let mut world = Self {
            auth: Self::open(&app, &client, &settings, &net, mailer),
            client,
            client_app_id,
            settings,
            functions,
            mails,
            net,
            app,
            now,
            _store: store,
        };
        world.settings.failures_max = plan.failures_max;
        world
    }

    fn open(
        app: &Arc<App>,
        client: &Client,
        settings: &AuthSettings,
        net: &Arc<Net>,
        mailer: Option<Arc<dyn SendMail>>,
    ) -> Auth {
        let parts = AuthParts {
            accounts: Accounts::new(client, &app.app_id, settings.clone()),
            fetch: Arc::clone(net) as Arc<dyn FetchHttp>,
            mailer,
            custom_data_client: Some(client.clone()),
        };
        Auth::new(Arc::clone(app), parts)
    }

    /// The same app in another process.
    pub fn other_process(&self) -> Auth {
        Self::open(&self.app, &self.client, &self.settings, &self.net, None)
    }

    /// The same users under other settings.
    pub fn with_settings(&self, change: impl FnOnce(&mut AuthSettings)) -> Auth {
        let mut settings = self.settings.clone();
        change(&mut settings);
        Self::open(&self.app, &self.client, &settings, &self.net, None)
    }

    pub fn caller(&self) -> Caller<'_> {
        self.caller_at("192.0.2.1")
    }

    pub fn caller_at(&self, address: &str) -> Caller<'_> {
        Caller { address: Some(address.parse::<IpAddr>().expect("an address")), functions: &self.functions }
    }

    pub fn seconds(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    pub fn pass(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
    }

    pub async fn log_in(&self, credentials: Credentials) -> Result<LoggedIn, AuthError> {
        self.auth.log_in(&credentials, &Device::default(), &self.caller()).await
    }

    pub async fn register(&self, email: &str, password: &str) -> Result<(), AuthError> {
        self.auth.register(email, password, &self.caller()).await
    }

    /// A custom token of the usual world.
    pub fn token(&self, sub: &str) -> String {
        let claims = json!({ "sub": sub, "aud": self.client_app_id, "exp": self.seconds() + 600 });
        shared_token(SHARED_KEY.as_bytes(), json!({ "alg": "HS256", "typ": "JWT" }), claims)
    }

    pub fn database(&self) -> mongodb::Database {
        self.client.database(&auth::database_name(&self.client_app_id))
    }

    /// Every document of the users' database, as text.
    pub async fn everything_stored(&self) -> String {
        use futures::TryStreamExt;
        let mut text = String::new();
        for name in self.database().list_collection_names().await.expect("names") {
            let cursor = self.database().collection::<Document>(&name).find(Document::new()).await.expect("a cursor");
            let documents: Vec<Document> = cursor.try_collect().await.expect("documents");
            text.push_str(&format!("{name}: {documents:?}\n"));
        }
        text
    }
}

/// The address and password.
pub fn password(email: &str, password: &str) -> Credentials {
    Credentials::EmailPassword { email: email.to_owned(), password: password.to_owned() }
}

/// Code of the failure.
pub fn code<T: std::fmt::Debug>(result: Result<T, AuthError>) -> &'static str {
    result.expect_err("it fails").error_code().expect("a code")
}

fn load_app(client_app_id: &str, plan: &Plan) -> App {
    let directory = tempfile::tempdir().expect("a directory for the app");
    let write = |name: &str, text: String| {
        let file = directory.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    };
    let root = json!({ "config_version": 20210101, "app_id": client_app_id, "name": "users" });
    write("realm_config.json", root.to_string());
    let mut providers = plan.providers.clone();
    for (name, provider) in providers.as_object_mut().expect("an object") {
        provider["name"] = name.as_str().into();
        provider["type"] = name.as_str().into();
    }
    write("auth/providers.json", providers.to_string());
    write("auth/custom_user_data.json", plan.custom_user_data.to_string());
    let functions: Vec<Json> = plan.functions.iter().map(|name| json!({ "name": name })).collect();
    write("functions/config.json", Json::from(functions).to_string());
    for name in &plan.functions {
        write(&format!("functions/{name}.js"), "exports = () => {};".to_owned());
    }
    write(
        "data_sources/mongodb-atlas/config.json",
        json!({ "name": "mongodb-atlas", "type": "mongodb-atlas", "config": { "clusterName": "C" } }).to_string(),
    );
    let secrets = plan.secrets.iter().map(|(name, text)| ((*name).to_owned(), SecretText::new(text.clone())));
    let options = LoadOptions { secrets: secrets.collect(), ..LoadOptions::default() };
    App::load(directory.path(), &options).expect("the app loads")
}
