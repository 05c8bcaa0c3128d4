//! The apps a process serves, and how one takes the place of another when its Secrets change.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use app::{AppSettings, AuthSettings, LogSink, Outside, Runner, RunningApp, SecretKey};
use app_model::{App, SecretText};

use crate::apps;
use crate::error::ServerError;
use crate::settings::Settings;

/// Apps by client app id. Requests under way finish on the app they began with.
pub(crate) struct ServedApps(RwLock<HashMap<String, Arc<RunningApp>>>);

impl ServedApps {
    /// The app with this id.
    pub fn get(&self, client_app_id: &str) -> Option<Arc<RunningApp>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(client_app_id).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<RunningApp>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Whether there is such an app.
    pub fn contains_key(&self, client_app_id: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(client_app_id)
    }

    fn put(&self, app: RunningApp) {
        let mut apps = self.0.write().unwrap_or_else(PoisonError::into_inner);
        apps.insert(app.client_app_id().to_owned(), Arc::new(app));
    }
}

/// Makes running apps of loaded ones.
pub(crate) struct Deployment {
    pub settings: Settings,
    pub app_settings: Arc<AppSettings>,
    pub auth_settings: AuthSettings,
    pub outside: Arc<Outside>,
    pub runner: Arc<dyn Runner>,
    pub log: Arc<dyn LogSink>,
    /// Opens the Secrets kept in the database; without it they are left alone.
    pub secret_key: Option<SecretKey>,
}

/// How often the database is asked whether Secrets have changed.
const SECRETS_INTERVAL: Duration = Duration::from_secs(5);
/// How long a start waits for Secrets of the database.
const SECRETS_PATIENCE: Duration = Duration::from_secs(5);

impl Deployment {
    /// Makes all apps ready, each with the Secrets that are kept for it.
    ///
    /// # Errors
    /// An app whose data sources cannot be used.
    pub async fn start(self, loaded: Vec<Arc<App>>) -> Result<Arc<ServedApps>, ServerError> {
        let apps = Arc::new(ServedApps(RwLock::default()));
        let mut versions = HashMap::new();
        for app in loaded {
            let app_id = app.app_id.clone();
            let (version, texts) = match tokio::time::timeout(SECRETS_PATIENCE, self.stored_secrets(&app_id)).await {
                Ok(Ok(found)) => found,
                Ok(Err(reason)) => {
                    tracing::error!(app = app_id, reason, "the stored Secrets cannot be used");
                    Default::default()
                }
                Err(_) => {
                    tracing::warn!(app = app_id, "the stored Secrets could not be read yet; trying again");
                    Default::default()
                }
            };
            let app = match texts.is_empty() {
                true => app,
                false => self.reload(&app, texts)?,
            };
            apps.put(self.running(app)?);
            versions.insert(app_id, version);
        }
        match self.secret_key {
            Some(_) => drop(tokio::spawn(self.follow_secrets(apps.clone(), versions))),
            None => drop(tokio::spawn(self.tell_of_unused_secrets(versions))),
        }
        Ok(apps)
    }

    fn running(&self, app: Arc<App>) -> Result<RunningApp, ServerError> {
        let hosts = self.outside.services_of(&app).map_err(|error| ServerError::Database {
            what: app.directory.display().to_string(),
            reason: error.to_string(),
        })?;
        let (settings, runner, log) = (self.app_settings.clone(), self.runner.clone(), self.log.clone());
        let auth = Arc::new(self.outside.auth_of(&app, &self.auth_settings));
        Ok(RunningApp::new(app, settings, runner, Arc::new(hosts), auth, log))
    }

    /// The app from its directory once more, now that more texts are known: they decide how much of it can be used.
    fn reload(&self, app: &App, texts: BTreeMap<String, SecretText>) -> Result<Arc<App>, ServerError> {
        let secrets = self.settings.secrets()?.with_stored(&app.app_id, texts);
        let app = secrets.load_app(&app.directory, self.settings.app_id.as_deref()).map_err(ServerError::App)?;
        apps::log_problems(&app);
        Ok(Arc::new(app))
    }

    /// Version and texts of the Secrets kept for an app.
    async fn stored_secrets(&self, app_id: &str) -> Result<(String, BTreeMap<String, SecretText>), String> {
        let Some(key) = &self.secret_key else { return Ok(Default::default()) };
        let secrets = self.outside.state_of(app_id).secrets;
        // The version first: a text set in between is then seen the next time.
        let version = secrets.version().await.map_err(|error| error.to_string())?;
        let texts = secrets.texts(key).await.map_err(|error| error.to_string())?;
        Ok((version, texts))
    }

    /// Somebody has set Secrets, and this server has no key to read them with.
    async fn tell_of_unused_secrets(self, versions: HashMap<String, String>) {
        for app_id in versions.into_keys() {
            // A database that is away is told of elsewhere.
            let found = self.outside.state_of(&app_id).secrets.list().await.unwrap_or_default();
            if !found.is_empty() {
                let count = found.len();
                tracing::warn!(
                    app = app_id,
                    count,
                    "Secrets are stored for the app, but without --secrets-key-file they are not used"
                );
            }
        }
    }

    /// Replaces an app when its Secrets have changed. An app that cannot be loaded any more stays as it is.
    async fn follow_secrets(self, apps: Arc<ServedApps>, mut versions: HashMap<String, String>) {
        let mut is_failing = false;
        loop {
            tokio::time::sleep(SECRETS_INTERVAL).await;
            for (app_id, version) in &mut versions {
                let asked = self.outside.state_of(app_id).secrets.version().await;
                match asked {
                    Ok(now) if now == *version => is_failing = false,
                    Ok(now) => match self.replace(&apps, app_id).await {
                        Ok(()) => {
                            tracing::info!(app = app_id, "loaded anew: its Secrets have changed");
                            *version = now;
                        }
                        Err(reason) => {
                            tracing::error!(app = app_id, reason, "its Secrets have changed and cannot be used");
                            // Said once; the next change is tried again.
                            *version = now;
                        }
                    },
                    Err(error) if !is_failing => {
                        is_failing = true;
                        tracing::warn!(app = app_id, %error, "changed Secrets are not noticed while the database is away");
                    }
                    Err(_) => {}
                }
            }
        }
    }

    async fn replace(&self, apps: &ServedApps, app_id: &str) -> Result<(), String> {
        let Some(before) = apps.get(app_id) else { return Ok(()) };
        let (_, texts) = self.stored_secrets(app_id).await?;
        let app = self.reload(before.app(), texts).map_err(|error| error.to_string())?;
        // Another id would be another app, which was not asked for.
        if app.app_id != app_id {
            return Err("its directory holds another app now".to_owned());
        }
        apps.put(self.running(app).map_err(|error| error.to_string())?);
        Ok(())
    }
}
