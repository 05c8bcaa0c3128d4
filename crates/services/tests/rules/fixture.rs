//! An app with rules, and users who call services.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use app_model::{App, CallFunction, FunctionCall, FunctionFailure, LoadOptions, User};
use bson::raw::RawDocumentBuf;
use bson::{Bson, Document, doc};
use rules::{AppValues, DataSourceRules};
use serde_json::{Value as Json, json};
use services::mongodb_atlas::{Connection, ConnectionSettings, DataSource};
use services::{Authority, Lookup, Registry, Run, RunContext, Service, ServiceError, ServiceLimits, UserRefused};

const SERVICE: &str = "mongodb-atlas";

/// Functions of the app: each name gives this value.
const FUNCTIONS: [(&str, bool); 2] = [("yes", true), ("no", false)];

/// One deployment with an empty database, and an app whose rules bind its collections.
pub struct Fixture {
    registry: Arc<Registry>,
    uri: String,
    pub database: String,
    // Fields drop in order: the store goes after the registry's connection.
    _store: Option<(docstore::Server, tempfile::TempDir)>,
}

/// One run as one user, or as the system.
pub struct Caller<'f> {
    run: Arc<Run>,
    authority: Authority,
    fixture: &'f Fixture,
}

struct TestContext {
    user: User,
    request: Json,
}

pub struct TestFunctions(BTreeMap<&'static str, bool>);

impl Default for TestFunctions {
    fn default() -> Self {
        Self(BTreeMap::from(FUNCTIONS))
    }
}

impl CallFunction for TestFunctions {
    fn call_function<'a>(
        &'a self,
        call: FunctionCall,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Bson, FunctionFailure>> + Send + 'a>> {
        let result = self.0.get(call.name.as_str()).copied().map(Bson::Boolean);
        Box::pin(async move { result.ok_or(FunctionFailure { message: "thrown".to_owned() }) })
    }
}

impl RunContext for TestContext {
    fn user(&self) -> &User {
        &self.user
    }

    fn request(&self) -> &Json {
        &self.request
    }

    fn depth(&self) -> usize {
        0
    }

    fn find_user<'a>(&'a self, id: &'a str) -> Lookup<'a> {
        Box::pin(async move {
            match id {
                "disabled" => Err(UserRefused::Disabled { id: id.to_owned() }),
                "unknown" => Err(UserRefused::NotFound { id: id.to_owned() }),
                id => Ok(Arc::new(user(id))),
            }
        })
    }

    fn functions_for(&self, _user: &Arc<User>) -> Arc<dyn CallFunction> {
        Arc::new(TestFunctions::default())
    }
}

/// `custom_data` of every test user: `{team: "red"}`.
pub fn user(id: &str) -> User {
    User { custom_data: doc! { "team": "red" }, ..User::of_id(id) }
}

/// Fixtures on every deployment there is. `collections`: name to `{roles, filters, schema?}`; `default`, where given, is
/// the default rule.
pub async fn fixtures(collections: Json, default: Option<Json>) -> Vec<Fixture> {
    fixtures_with(collections, default, ServiceLimits::default()).await
}

pub async fn fixtures_with(collections: Json, default: Option<Json>, limits: ServiceLimits) -> Vec<Fixture> {
    let directory = tempfile::tempdir().expect("a directory for the store");
    let store = docstore::open(directory.path(), docstore::Options::default()).expect("the store opens");
    let mut fixtures = vec![Fixture::new(&store.uri(), &collections, default.as_ref(), limits, None).await];
    fixtures[0]._store = Some((store, directory));
    match std::env::var("SELVEDGE_TEST_MONGODB") {
        Ok(uri) => fixtures.push(Fixture::new(&uri, &collections, default.as_ref(), limits, None).await),
        Err(_) => eprintln!("SELVEDGE_TEST_MONGODB is not set: tested against the embedded store only"),
    }
    fixtures
}

fn write(file: &Path, json: &Json) {
    std::fs::create_dir_all(file.parent().expect("a file in a directory")).expect("a folder");
    std::fs::write(file, json.to_string()).expect("a file");
}

impl Fixture {
    async fn new(
        uri: &str,
        collections: &Json,
        default: Option<&Json>,
        limits: ServiceLimits,
        store: Option<(docstore::Server, tempfile::TempDir)>,
    ) -> Self {
        let database = format!("rules_{}", bson::oid::ObjectId::new().to_hex());
        let directory = tempfile::tempdir().expect("a directory for the app");
        let at = |path: &str| directory.path().join(path);
        write(&at("realm_config.json"), &json!({"config_version": 20210101, "app_id": "rules", "name": "rules"}));
        write(&at("data_sources/mongodb-atlas/config.json"), &json!({"name": SERVICE, "type": SERVICE, "config": {}}));
        for (name, _) in FUNCTIONS.into_iter().chain([("throws", true)]) {
            let file = at(&format!("functions/{name}.js"));
            std::fs::create_dir_all(at("functions")).expect("a folder");
            std::fs::write(file, "exports = () => true").expect("a file");
        }
        if let Some(default) = default {
            write(&at("data_sources/mongodb-atlas/default_rule.json"), default);
        }
        for (name, rules) in collections.as_object().expect("collections") {
            let folder = format!("data_sources/mongodb-atlas/{database}/{name}");
            let mut rules = rules.clone();
            let schema = rules.as_object_mut().and_then(|rules| rules.remove("schema"));
            rules["database"] = json!(database);
            rules["collection"] = json!(name);
            write(&at(&format!("{folder}/rules.json")), &rules);
            if let Some(schema) = schema {
                write(&at(&format!("{folder}/schema.json")), &schema);
            }
        }
        let app = App::load(directory.path(), &LoadOptions::default()).expect("the app loads");
        let (rules, problems) = DataSourceRules::compile(&app, &app.data_sources[0]);
        for problem in app.problems.iter().chain(&problems) {
            eprintln!("{problem}");
        }
        let rules = Arc::new(rules);
        let connection =
            Connection::open(uri, ConnectionSettings::default()).await.expect("the connection string is good");
        let mut registry = Registry::new(limits).with_values(Arc::new(AppValues::new(&app)));
        registry.add(SERVICE, Service::MongoDb(DataSource::new(connection).with_rules(rules.clone())));
        Self { registry: Arc::new(registry), uri: uri.to_owned(), database, _store: store }
    }

    pub fn system(&self) -> Caller<'_> {
        self.caller(User::system(), Authority::System)
    }

    /// A run of this user's.
    pub fn user(&self, id: &str) -> Caller<'_> {
        self.caller(user(id), Authority::User(id.to_owned()))
    }

    /// A frame of this user's in a run of the system.
    pub fn frame(&self, id: &str) -> Caller<'_> {
        self.caller(User::system(), Authority::User(id.to_owned()))
    }

    fn caller(&self, user: User, authority: Authority) -> Caller<'_> {
        let context = TestContext { user, request: json!({}) };
        Caller { run: self.registry.start_run(Arc::new(context)), authority, fixture: self }
    }

    /// Makes a collection that compares strings without case; false when the deployment does not keep that.
    pub async fn create_case_insensitive(&self, collection: &str) -> bool {
        let client = mongodb::Client::with_uri_str(&self.uri).await.expect("a client");
        let collation = mongodb::options::Collation::builder()
            .locale("en")
            .strength(mongodb::options::CollationStrength::Secondary);
        let database = client.database(&self.database);
        if database.create_collection(collection).collation(collation.build()).await.is_err() {
            return false;
        }
        let probe = database.collection::<Document>(collection);
        probe.insert_one(doc! { "owner": "probe" }).await.expect("an insert");
        let found = probe.delete_many(doc! { "owner": "PROBE" }).await.expect("a delete").deleted_count == 1;
        if !found {
            probe.drop().await.expect("a drop");
        }
        found
    }

    /// All documents of a collection, by `_id`.
    pub async fn stored(&self, collection: &str) -> Vec<Document> {
        self.system().find_with(collection, doc! {}, doc! { "sort": { "_id": 1 } }).await.expect("the system reads")
    }

    /// Replaces all documents of a collection.
    pub async fn store(&self, collection: &str, documents: impl IntoIterator<Item = Document>) {
        let system = self.system();
        system.call("deleteMany", collection, doc! {}).await.expect("the system deletes");
        let documents: Vec<Document> = documents.into_iter().collect();
        if !documents.is_empty() {
            system.call("insertMany", collection, doc! { "documents": documents }).await.expect("the system inserts");
        }
    }
}

impl Caller<'_> {
    pub async fn call(&self, action: &str, collection: &str, arguments: Document) -> Result<Document, ServiceError> {
        let mut all = doc! { "db": &self.fixture.database, "collection": collection };
        all.extend(arguments);
        let raw = RawDocumentBuf::try_from(&all).expect("test arguments encode");
        let reply = self.run.call(SERVICE, action, raw, &self.authority).await?;
        Ok(Document::try_from(&*reply).expect("replies are well-formed"))
    }

    /// What an action answers, or the text of its error and the code in parentheses.
    pub async fn tries(&self, action: &str, collection: &str, arguments: Document) -> Result<Document, String> {
        let result = self.call(action, collection, arguments).await;
        result.map_err(|error| format!("{error} ({})", error.error_code()))
    }

    pub async fn find(&self, collection: &str, filter: Document) -> Result<Vec<Document>, String> {
        self.find_with(collection, filter, doc! {}).await
    }

    /// Every document of every batch.
    pub async fn find_with(
        &self,
        collection: &str,
        filter: Document,
        options: Document,
    ) -> Result<Vec<Document>, String> {
        let first = self.tries("find", collection, doc! { "filter": filter, "options": options }).await?;
        self.rest(collection, first).await
    }

    pub async fn aggregate(&self, collection: &str, pipeline: Vec<Document>) -> Result<Vec<Document>, String> {
        let first = self.tries("aggregate", collection, doc! { "pipeline": pipeline }).await?;
        self.rest(collection, first).await
    }

    async fn rest(&self, collection: &str, mut reply: Document) -> Result<Vec<Document>, String> {
        let mut all = Vec::new();
        loop {
            let documents = reply.get_array("documents").expect("a batch");
            all.extend(documents.iter().filter_map(Bson::as_document).cloned());
            let cursor = reply.get_i32("cursor").expect("a number");
            if cursor == 0 {
                return Ok(all);
            }
            reply = self.tries("getMore", collection, doc! { "cursor": cursor }).await?;
        }
    }

    pub async fn count(&self, collection: &str, filter: Document) -> Result<i32, String> {
        let reply = self.tries("count", collection, doc! { "filter": filter }).await?;
        Ok(reply.get_i32("value").expect("a small count"))
    }

    pub async fn update(&self, collection: &str, filter: Document, update: Document) -> Result<Document, String> {
        self.tries("updateOne", collection, doc! { "filter": filter, "update": update }).await
    }

    pub async fn insert(&self, collection: &str, document: Document) -> Result<Document, String> {
        self.tries("insertOne", collection, doc! { "document": document }).await
    }
}

pub fn ids(documents: &[Document]) -> Vec<i32> {
    documents.iter().map(|document| document.get_i32("_id").expect("an int _id")).collect()
}
