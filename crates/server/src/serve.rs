//! Serving inside of one process: a worker's whole work, and all of it with `--single-process`.

use std::future::Future;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use app::{LogSink, LogSinks, Outside, OutsideSettings, StoredLog};
use app_model::App;
use isolate::{IsolatePool, PoolOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::body::BodyLimits;
use crate::connection::Patience;
use crate::error::ServerError;
use crate::function_log::FunctionLog;
use crate::handle::{Calls, Front};
use crate::health::Health;
use crate::listen::{self, ListenLimits};
use crate::served_apps::Deployment;
use crate::settings::{FunctionLogTarget, Settings, read_secret_key};

/// What a process serves, and with what.
pub struct Serving {
    /// Every setting.
    pub settings: Settings,
    /// Apps, loaded.
    pub apps: Vec<Arc<App>>,
    /// Bound sockets.
    pub listeners: Vec<StdListener>,
    /// Connection string for data sources without one of their own.
    pub mongodb: String,
}

/// Serves until `shutdown` ends, then lets running calls finish up to the deadline. `ready` is called once requests are
/// answered. Must run inside a multi-threaded tokio runtime; [`isolate::init_platform`] must have been called.
///
/// # Errors
/// What keeps it from serving; nothing after `ready`.
pub async fn run(
    serving: Serving,
    ready: impl FnOnce(&IsolatePool),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let settings = &serving.settings;
    let pool = IsolatePool::new(PoolOptions { threads: settings.js_threads, ..PoolOptions::default() })?;
    let outside = open_outside(settings, serving.mongodb).await?;
    let function_log = match settings.function_log {
        FunctionLogTarget::Off => None,
        FunctionLogTarget::Stdout => Some(Arc::new(
            FunctionLog::start(settings.log_format).map_err(ServerError::system("starting the log's thread"))?,
        )),
    };
    let stored_log = (!settings.log_retention.0.is_zero()).then(|| {
        let stores = serving.apps.iter().map(|app| (app.app_id.clone(), outside.state_of(&app.app_id).logs));
        Arc::new(StoredLog::start(stores.collect(), settings.log_retention.0))
    });
    let app_settings = Arc::new(settings.for_apps()?);
    let deployment = Deployment {
        settings: settings.clone(),
        app_settings: app_settings.clone(),
        auth_settings: settings.auth(),
        outside: outside.clone(),
        runner: Arc::new(pool.clone()),
        log: log_sinks(function_log.clone(), stored_log.clone()),
        secret_key: read_secret_key(settings.secrets_key_file.as_deref())?,
    };
    let apps = deployment.start(serving.apps).await?;
    let listeners = serving
        .listeners
        .into_iter()
        .map(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(ServerError::system("using the listening sockets"))?;
    let front = Arc::new(Front {
        apps,
        body_limits: BodyLimits { bytes_max: settings.request_body_max.0, time_max: settings.body_timeout.0 },
        trusted_proxies: app_settings.trusted_proxies.clone(),
        health: Health::new(outside, settings.readiness_timeout.0),
        calls: Calls::default(),
    });
    let limits = ListenLimits {
        connections_max: settings.connections_max,
        request_header_bytes_max: settings.request_headers_max.0,
        patience: Patience { headers: settings.headers_timeout.0, idle: settings.idle_timeout.0 },
    };
    let (stop, stopping) = watch::channel(false);
    let accepting = tokio::spawn(listen::accept_all(listeners, front.clone(), limits, stopping));
    ready(&pool);

    shutdown.await;

    front.calls.draining.store(true, Relaxed);
    // The listeners are closed and idle connections let go at once.
    stop.send_replace(true);
    let drain = async {
        let _ = accepting.await;
        front.calls.wait_for_none().await;
        pool.drain().await;
    };
    if tokio::time::timeout(settings.shutdown_deadline.0, drain).await.is_err() {
        tracing::warn!(calls = front.calls.running(), "stopping although calls are still running");
    }
    if let Some(log) = stored_log {
        log.flush(Duration::from_secs(2)).await;
    }
    if let Some(log) = function_log {
        let flushed = tokio::task::spawn_blocking(move || log.flush(Duration::from_secs(2)));
        let _ = flushed.await;
    }
    Ok(())
}

fn log_sinks(function_log: Option<Arc<FunctionLog>>, stored_log: Option<Arc<StoredLog>>) -> Arc<dyn LogSink> {
    let function_log = function_log.map(|log| log as Arc<dyn LogSink>);
    let stored_log = stored_log.map(|log| log as Arc<dyn LogSink>);
    Arc::new(LogSinks(function_log.into_iter().chain(stored_log).collect()))
}

async fn open_outside(settings: &Settings, default_uri: String) -> Result<Arc<Outside>, ServerError> {
    let outside = Outside::open(OutsideSettings {
        default_uri,
        data_source_uris: settings.mongodb_by_data_source.clone(),
        connection: settings.connection(),
        limits: settings.service_limits(),
        http: settings.http()?,
        endpoints: settings.endpoints()?,
    });
    outside.await.map(Arc::new).map_err(|error| ServerError::Database {
        what: "--mongodb".into(),
        // The driver's reason does not repeat the connection string's password: it is about its form.
        reason: error.to_string(),
    })
}
