//! Settings with every default in place and every text checked. A supervisor sends them to its workers as JSON.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use app::{
    AddressPolicy, AddressRanges, AllowedTarget, AppSettings, AuthSettings, AwsEndpoints, CertificateDer,
    Compatibility, ConnectionSettings, HttpSettings, Limits, ServiceEndpoints, ServiceLimits, TrustedProxies,
};
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use url::Url;

use super::secrets::Secrets;
use super::units::{Bytes, Time};
use super::written::{FunctionLogTarget, LogFormat, WrittenSettings};

/// Every setting of a running server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Absolute directories of exported apps; at least one.
    pub apps: Vec<PathBuf>,
    /// `address:port` pairs; at least one.
    pub listen: Vec<String>,
    /// Without a trailing slash.
    pub public_url: Option<String>,
    /// Addresses and CIDR ranges.
    pub trusted_proxies: Vec<String>,
    /// Addresses and CIDR ranges of callers that are let in; everybody when empty.
    pub access_list: Vec<String>,
    /// Where the embedded store listens besides its socket.
    pub docstore_listen: Option<SocketAddr>,
    /// Absolute directory of the embedded store.
    pub data_dir: PathBuf,
    /// Connection string of a MongoDB; `None` for the embedded store.
    pub mongodb: Option<String>,
    /// Connection strings by data source.
    pub mongodb_by_data_source: BTreeMap<String, String>,
    /// Server selection timeout.
    pub database_timeout: Time,
    /// Timeout of the ping behind `/readyz`.
    pub readiness_timeout: Time,
    /// Documents one query gives.
    pub documents_per_query_max: usize,
    /// Special addresses that outgoing requests may reach.
    pub http_allow: Vec<String>,
    /// Outgoing requests may reach all special addresses.
    pub http_private_addresses: bool,
    /// Certificates of further authorities.
    pub http_ca_file: Option<PathBuf>,
    /// Body of an answer to an outgoing request.
    pub http_response_max: Bytes,
    /// Connecting for an outgoing request.
    pub http_connect_timeout: Time,
    /// Outgoing requests at once in a worker.
    pub http_requests_max: usize,
    /// Outgoing requests at once in a run.
    pub http_requests_per_run_max: usize,
    /// `[SERVICE=]URL` of AWS.
    pub aws_urls: Vec<String>,
    /// Base URL of Twilio.
    pub twilio_url: Option<String>,
    /// Texts of Secrets.
    pub secrets_file: Option<PathBuf>,
    /// File with the key of stored Secrets.
    pub secrets_key_file: Option<PathBuf>,
    /// Client app id of the only app.
    pub app_id: Option<String>,
    /// Wall clock of a run.
    pub wall_time_max: Time,
    /// CPU time of a run.
    pub cpu_time_max: Time,
    /// JavaScript heap of a run.
    pub heap_max: Bytes,
    /// ArrayBuffer memory of a run.
    pub array_buffer_max: Bytes,
    /// Result or response body.
    pub response_max: Bytes,
    /// Headers a handler sets.
    pub response_headers_max: Bytes,
    /// Operations outstanding; 0 for no limit.
    pub pending_operations_max: usize,
    /// Timers outstanding.
    pub timers_max: usize,
    /// Console lines kept.
    pub console_lines_max: usize,
    /// Bytes kept of a console line.
    pub console_line_max: Bytes,
    /// Request body.
    pub request_body_max: Bytes,
    /// Request line and headers.
    pub request_headers_max: Bytes,
    /// Requests of an app answered at once.
    pub concurrent_requests_max: usize,
    /// Open connections.
    pub connections_max: usize,
    /// Time for request line and headers.
    pub headers_timeout: Time,
    /// Time for a body.
    pub body_timeout: Time,
    /// Time between requests, and of a stalled answer.
    pub idle_timeout: Time,
    /// Request headers browsers may send.
    pub cors_request_headers: Vec<String>,
    /// Worker processes; at least 1.
    pub workers: usize,
    /// JavaScript threads per worker; at least 1.
    pub js_threads: usize,
    /// No supervisor.
    pub single_process: bool,
    /// Time for running calls to finish at the end.
    pub shutdown_deadline: Time,
    /// Lifetime of access tokens.
    pub access_token_lifetime: Time,
    /// Lifetime of refresh tokens.
    pub refresh_token_lifetime: Time,
    /// Failed logins from one address within a minute.
    pub login_failures_max: u32,
    /// Form of both logs.
    pub log_format: LogFormat,
    /// Filter of the server's own log.
    pub log: String,
    /// Where the functions' log goes.
    pub function_log: FunctionLogTarget,
    /// Lifetime of stored log entries; zero for none.
    pub log_retention: Time,
    /// Bytes of a body in a log entry.
    pub log_body_max: Bytes,
    /// Q2 of http-surface 11.
    pub raw_string_results: bool,
    /// Q12 of http-surface 11.
    pub plain_json_content_type: bool,
    /// Q25 of http-surface 11.
    pub twilio_signature: bool,
}

/// A setting that cannot be used. One line, naming it and what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The settings file cannot be read.
    #[error("--config {}: cannot be read: {source}", file.display())]
    FileUnreadable {
        /// As given.
        file: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The settings file is not what it should be.
    #[error("--config {}: {message}", file.display())]
    FileInvalid {
        /// As given.
        file: PathBuf,
        /// Position and reason, in one line.
        message: String,
    },
    /// No app directory was named.
    #[error("no APP_DIR given: name at least one directory with an exported app, as in `selvedge serve path/to/app`")]
    NoApps,
    /// A value that cannot be used.
    #[error("--{setting} {value}: {message}")]
    Invalid {
        /// Long name of the flag.
        setting: &'static str,
        /// As written; never a secret.
        value: String,
        /// What is wrong and what to write.
        message: String,
    },
    /// The key of stored Secrets cannot be used.
    #[error("{source_name}: {message}")]
    SecretKey {
        /// Flag with its file, or variable.
        source_name: String,
        /// What is wrong, without anything of the key.
        message: String,
    },
    /// The secrets file is not what it should be.
    #[error("--secrets-file {}: {message}", file.display())]
    Secrets {
        /// As given.
        file: PathBuf,
        /// What is wrong, without any text of a secret.
        message: String,
    },
}

impl Settings {
    /// Flags and environment over the settings file over the defaults.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn resolve(flags: WrittenSettings) -> Result<Self, SettingsError> {
        let file = match &flags.config {
            Some(file) => read_file(file)?,
            None => WrittenSettings::default(),
        };
        let written = flags.or(file);
        if written.apps.is_empty() {
            return Err(SettingsError::NoApps);
        }
        if let (Some(id), true) = (&written.app_id, written.apps.len() > 1) {
            return Err(invalid("app-id", id, "works with a single APP_DIR only; leave it out, or serve one app"));
        }
        let (mongodb, mongodb_by_data_source) = mongodb_uris(written.mongodb)?;
        let cores = available_parallelism().map_or(1, usize::from);
        let workers = at_least_one("workers", written.workers.unwrap_or_else(|| (cores / 2).max(1)))?;
        let js_threads = at_least_one("js-threads", written.js_threads.unwrap_or_else(|| (cores / workers).max(1)))?;
        let single_process = written.single_process.unwrap_or(false);
        let public_url = written.public_url.map(|url| public_url(&url)).transpose()?;
        let twilio_signature = written.twilio_signature.unwrap_or(false);
        if twilio_signature && public_url.is_none() {
            return Err(invalid("twilio-signature", "true", "needs --public-url: Twilio signs the URL it calls"));
        }
        let limits = Limits::default();
        let auth = AuthSettings::default();
        let app = AppSettings::default();
        let http = HttpSettings::default();
        let or_default = |list: Vec<String>, default: Vec<String>| if list.is_empty() { default } else { list };
        let settings = Self {
            apps: written.apps.iter().map(|path| absolute(path)).collect(),
            listen: or_default(written.listen, vec!["127.0.0.1:8080".into()]),
            public_url,
            trusted_proxies: written.trusted_proxy,
            access_list: written.access_list,
            docstore_listen: written.docstore_listen.map(|text| loopback(&text)).transpose()?,
            data_dir: absolute(&written.data_dir.unwrap_or_else(|| "data".into())),
            mongodb,
            mongodb_by_data_source,
            database_timeout: written.database_timeout.unwrap_or(seconds(5)),
            readiness_timeout: written.readiness_timeout.unwrap_or(seconds(2)),
            documents_per_query_max: written
                .documents_per_query_max
                .unwrap_or(ServiceLimits::default().documents_per_query_max),
            http_allow: written.http_allow,
            http_private_addresses: written.http_private_addresses.unwrap_or(false),
            http_ca_file: written.http_ca_file.map(|path| absolute(&path)),
            http_response_max: written.http_response_max.unwrap_or(Bytes(http.response_bytes_max)),
            http_connect_timeout: written.http_connect_timeout.unwrap_or(Time(http.connect_timeout)),
            http_requests_max: at_least_one(
                "http-requests-max",
                written.http_requests_max.unwrap_or(http.requests_max),
            )?,
            http_requests_per_run_max: at_least_one(
                "http-requests-per-run-max",
                written.http_requests_per_run_max.unwrap_or(ServiceLimits::default().http_requests_max),
            )?,
            aws_urls: written.aws_url,
            twilio_url: written.twilio_url,
            secrets_file: written.secrets_file.map(|path| absolute(&path)),
            secrets_key_file: written.secrets_key_file.map(|path| absolute(&path)),
            app_id: written.app_id,
            wall_time_max: written.wall_time_max.unwrap_or(Time(limits.wall_max)),
            cpu_time_max: written.cpu_time_max.unwrap_or(Time(limits.cpu_max)),
            heap_max: written.heap_max.unwrap_or(Bytes(limits.heap_bytes_max)),
            array_buffer_max: written.array_buffer_max.unwrap_or(Bytes(limits.array_buffer_bytes_max)),
            response_max: written.response_max.unwrap_or(Bytes(limits.result_bytes_max)),
            response_headers_max: written.response_headers_max.unwrap_or(Bytes(app.response_header_bytes_max)),
            pending_operations_max: written.pending_operations_max.unwrap_or(0),
            timers_max: written.timers_max.unwrap_or(limits.timers_max),
            console_lines_max: written.console_lines_max.unwrap_or(limits.console_lines_max),
            console_line_max: written.console_line_max.unwrap_or(Bytes(limits.console_line_bytes_max)),
            request_body_max: written.request_body_max.unwrap_or(Bytes(18 << 20)),
            request_headers_max: at_least_8_kib(written.request_headers_max.unwrap_or(Bytes(64 << 10)))?,
            concurrent_requests_max: at_least_one(
                "concurrent-requests-max",
                written.concurrent_requests_max.unwrap_or(app.concurrent_requests_max),
            )?,
            connections_max: at_least_one("connections-max", written.connections_max.unwrap_or(10_000))?,
            headers_timeout: written.headers_timeout.unwrap_or(seconds(10)),
            body_timeout: written.body_timeout.unwrap_or(seconds(60)),
            idle_timeout: written.idle_timeout.unwrap_or(seconds(75)),
            cors_request_headers: or_default(written.cors_request_header, app.cors_request_headers),
            workers,
            js_threads,
            single_process,
            shutdown_deadline: written.shutdown_deadline.unwrap_or(seconds(30)),
            log_format: written.log_format.unwrap_or(LogFormat::Text),
            log: written.log.unwrap_or_else(|| "info,fjall=warn,lsm_tree=warn,selvedge::call=warn".into()),
            function_log: written.function_log.unwrap_or(FunctionLogTarget::Stdout),
            access_token_lifetime: written.access_token_lifetime.unwrap_or(Time(auth.access_token_lifetime)),
            refresh_token_lifetime: written.refresh_token_lifetime.unwrap_or(Time(auth.refresh_token_lifetime)),
            login_failures_max: written.login_failures_max.unwrap_or(auth.failures_max),
            log_retention: written.log_retention.unwrap_or(seconds(10 * 24 * 3600)),
            log_body_max: written.log_body_max.unwrap_or(Bytes(app.log_body_bytes_max)),
            raw_string_results: written.raw_string_results.unwrap_or(false),
            plain_json_content_type: written.plain_json_content_type.unwrap_or(false),
            twilio_signature,
        };
        settings.proxies()?;
        settings.access_list()?;
        settings.http()?;
        settings.endpoints()?;
        Ok(settings)
    }

    /// What the apps need to know.
    ///
    /// # Errors
    /// A trusted proxy that is no address; [`Settings::resolve`] has already refused it.
    pub fn for_apps(&self) -> Result<AppSettings, SettingsError> {
        Ok(AppSettings {
            limits: Limits {
                wall_max: self.wall_time_max.0,
                cpu_max: self.cpu_time_max.0,
                heap_bytes_max: self.heap_max.0,
                array_buffer_bytes_max: self.array_buffer_max.0,
                console_lines_max: self.console_lines_max,
                console_line_bytes_max: self.console_line_max.0,
                pending_operations_max: match self.pending_operations_max {
                    0 => usize::MAX,
                    limit => limit,
                },
                result_bytes_max: self.response_max.0,
                timers_max: self.timers_max,
            },
            public_url: self.public_url.clone(),
            trusted_proxies: self.proxies()?,
            access_list: self.access_list()?,
            concurrent_requests_max: self.concurrent_requests_max,
            response_header_bytes_max: self.response_headers_max.0,
            log_body_bytes_max: self.log_body_max.0,
            cors_request_headers: self.cors_request_headers.clone(),
            compatibility: Compatibility {
                raw_string_results: self.raw_string_results,
                plain_json_content_type: self.plain_json_content_type,
                twilio_signature: self.twilio_signature,
            },
        })
    }

    /// How connections to databases are made.
    pub fn connection(&self) -> ConnectionSettings {
        ConnectionSettings {
            server_selection_timeout: self.database_timeout.0,
            connect_timeout: self.database_timeout.0,
            ..ConnectionSettings::default()
        }
    }

    /// Users and sessions, for all apps of the process: they share one queue in which passwords are hashed.
    pub fn auth(&self) -> AuthSettings {
        AuthSettings {
            access_token_lifetime: self.access_token_lifetime.0,
            refresh_token_lifetime: self.refresh_token_lifetime.0,
            failures_max: self.login_failures_max,
            ..AuthSettings::default()
        }
    }

    /// Bounds of services.
    pub fn service_limits(&self) -> ServiceLimits {
        ServiceLimits {
            documents_per_query_max: self.documents_per_query_max,
            http_requests_max: self.http_requests_per_run_max,
            // Room for two of the largest answers at once.
            http_bytes_max: self.http_response_max.0.saturating_mul(2),
            ..ServiceLimits::default()
        }
    }

    /// Bounds and permissions of outgoing HTTP.
    ///
    /// # Errors
    /// A target that is none; [`Settings::resolve`] has already refused it.
    pub fn http(&self) -> Result<HttpSettings, SettingsError> {
        let allowed = self
            .http_allow
            .iter()
            .map(|text| text.parse::<AllowedTarget>().map_err(|error| invalid("http-allow", text, &error.to_string())))
            .collect::<Result<_, _>>()?;
        Ok(HttpSettings {
            connect_timeout: self.http_connect_timeout.0,
            response_bytes_max: self.http_response_max.0,
            requests_max: self.http_requests_max,
            addresses: AddressPolicy { allows_special_addresses: self.http_private_addresses, allowed },
            extra_authorities: self.http_ca_file.as_deref().map(certificates).transpose()?.unwrap_or_default(),
        })
    }

    /// Where AWS and Twilio are reached.
    ///
    /// # Errors
    /// A URL that is none; [`Settings::resolve`] has already refused it.
    pub fn endpoints(&self) -> Result<ServiceEndpoints, SettingsError> {
        let mut aws = AwsEndpoints::default();
        for text in &self.aws_urls {
            match text.split_once('=').filter(|(service, _)| service.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
                Some((service, url)) => drop(aws.by_service.insert(service.to_owned(), base_url("aws-url", url)?)),
                None => aws.default = Some(base_url("aws-url", text)?),
            }
        }
        let mut endpoints = ServiceEndpoints { aws: Arc::new(aws), ..ServiceEndpoints::default() };
        if let Some(url) = &self.twilio_url {
            endpoints.twilio = base_url("twilio-url", url)?;
        }
        Ok(endpoints)
    }

    /// Texts of Secrets; none without a secrets file.
    ///
    /// # Errors
    /// A file that cannot be read or is no JSON object of texts.
    pub fn secrets(&self) -> Result<Secrets, SettingsError> {
        match &self.secrets_file {
            Some(file) => Secrets::read(file),
            None => Ok(Secrets::default()),
        }
    }

    fn access_list(&self) -> Result<AddressRanges, SettingsError> {
        AddressRanges::parse(self.access_list.iter().map(String::as_str))
            .map_err(|error| invalid("access-list", &self.access_list.join(","), &error.to_string()))
    }

    fn proxies(&self) -> Result<TrustedProxies, SettingsError> {
        TrustedProxies::parse(self.trusted_proxies.iter().map(String::as_str))
            .map_err(|error| invalid("trusted-proxy", &self.trusted_proxies.join(","), &error.to_string()))
    }
}

fn read_file(file: &Path) -> Result<WrittenSettings, SettingsError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| SettingsError::FileUnreadable { file: file.to_owned(), source })?;
    let mut written: WrittenSettings = toml::from_str(&text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
        let position = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        SettingsError::FileInvalid {
            file: file.to_owned(),
            message: format!("{position}{}", error.message().replace('\n', " ")),
        }
    })?;
    // Paths in the file are relative to the file.
    let base = file.parent().unwrap_or(Path::new(""));
    written.apps.iter_mut().for_each(|path| *path = base.join(&path));
    written.data_dir = written.data_dir.map(|path| base.join(path));
    written.secrets_file = written.secrets_file.map(|path| base.join(path));
    written.http_ca_file = written.http_ca_file.map(|path| base.join(path));
    written.secrets_key_file = written.secrets_key_file.map(|path| base.join(path));
    Ok(written)
}

/// `URI` for all data sources, `NAME=URI` for one.
fn mongodb_uris(written: Vec<String>) -> Result<(Option<String>, BTreeMap<String, String>), SettingsError> {
    let is_uri = |text: &str| text.starts_with("mongodb://") || text.starts_with("mongodb+srv://");
    let mut default = None;
    let mut by_name = BTreeMap::new();
    for text in written {
        if is_uri(&text) {
            if default.replace(text).is_some() {
                return Err(invalid("mongodb", "…", "is given twice without a name; write NAME=URI for one of them"));
            }
            continue;
        }
        // The text may hold a password: it is not repeated.
        match text.split_once('=') {
            Some((name, uri)) if is_uri(uri) && !name.is_empty() => by_name.insert(name.to_owned(), uri.to_owned()),
            _ => return Err(invalid("mongodb", "…", "must begin with mongodb:// or mongodb+srv://, or with NAME=")),
        };
    }
    Ok((default, by_name))
}

fn public_url(text: &str) -> Result<String, SettingsError> {
    let usable = text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some() && uri.query().is_none()
    });
    match usable {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err(invalid("public-url", text, "must look like https://apps.example.com")),
    }
}

/// Certificates of a PEM file; at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let refused = |message: &str| invalid("http-ca-file", &file.display().to_string(), message);
    let text = std::fs::read(file).map_err(|error| refused(&format!("cannot be read: {error}")))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|_| refused("is not a PEM file with certificates"))?;
    if found.is_empty() { Err(refused("holds no certificate")) } else { Ok(found) }
}

/// Nothing guards the store, so nobody else's machine may reach it.
fn loopback(text: &str) -> Result<SocketAddr, SettingsError> {
    let address = text.parse::<SocketAddr>().ok().filter(|address| address.ip().is_loopback());
    address
        .ok_or_else(|| invalid("docstore-listen", text, "must be a loopback address with a port, as 127.0.0.1:27018"))
}

fn base_url(setting: &'static str, text: &str) -> Result<Url, SettingsError> {
    let usable = |url: &Url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.username().is_empty()
    };
    let url = text.parse::<Url>().ok().filter(usable);
    url.ok_or_else(|| invalid(setting, text, "must look like https://aws.example.com"))
}

fn at_least_one(setting: &'static str, value: usize) -> Result<usize, SettingsError> {
    match value {
        0 => Err(invalid(setting, "0", "must be at least 1")),
        value => Ok(value),
    }
}

/// The smallest buffer the HTTP library takes.
fn at_least_8_kib(value: Bytes) -> Result<Bytes, SettingsError> {
    match value.0 < 8 << 10 {
        true => Err(invalid("request-headers-max", &value.to_string(), "must be at least 8KiB")),
        false => Ok(value),
    }
}

fn invalid(setting: &'static str, value: &str, message: &str) -> SettingsError {
    SettingsError::Invalid { setting, value: value.to_owned(), message: message.to_owned() }
}

fn seconds(count: u64) -> Time {
    Time(Duration::from_secs(count))
}

/// Workers may be started in another directory later on.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(file: &str, flags: WrittenSettings) -> Result<Settings, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("selvedge.toml");
        std::fs::write(&path, file).unwrap();
        let flags = WrittenSettings { config: Some(path), ..flags };
        Settings::resolve(flags).map_err(|error| error.to_string())
    }

    fn one_app() -> WrittenSettings {
        WrittenSettings { apps: vec!["app".into()], ..WrittenSettings::default() }
    }

    #[test]
    fn flags_win_over_the_file() {
        let flags = WrittenSettings { wall_time_max: Some(seconds(1)), ..one_app() };
        let settings = resolve("wall-time-max = \"2s\"\nheap-max = \"64MiB\"\n", flags).unwrap();
        assert_eq!(settings.wall_time_max, seconds(1));
        assert_eq!(settings.heap_max, Bytes(64 << 20));
        assert_eq!(settings.request_body_max, Bytes(18 << 20));
        assert_eq!(settings.listen, ["127.0.0.1:8080"]);
    }

    #[test]
    fn paths_of_the_file_are_relative_to_it() {
        let settings = resolve("apps = [\"one\"]\ndata-dir = \"data\"", WrittenSettings::default()).unwrap();
        assert!(settings.apps[0].is_absolute() && settings.apps[0].ends_with("one"));
        assert_eq!(settings.apps[0].parent(), settings.data_dir.parent());
    }

    #[test]
    fn mistakes_are_one_line_that_names_the_setting() {
        let check = |file: &str, flags: WrittenSettings, expected: &str| {
            let message = resolve(file, flags).expect_err(expected);
            assert!(message.contains(expected), "{message:?} should contain {expected:?}");
            assert!(!message.contains('\n'), "{message:?}");
        };
        check("", WrittenSettings::default(), "no APP_DIR");
        check("wal-time-max = \"2s\"", one_app(), "line 1: unknown field `wal-time-max`");
        check("\nwall-time-max = \"2\"", one_app(), "line 2: \"2\" is not a duration");
        check("heap-max = 5 5", one_app(), "line 1");
        check("", WrittenSettings { workers: Some(0), ..one_app() }, "--workers 0");
        check("", WrittenSettings { trusted_proxy: vec!["x".into()], ..one_app() }, "--trusted-proxy x");
        check("", WrittenSettings { access_list: vec!["x".into()], ..one_app() }, "--access-list x");
        check(
            "",
            WrittenSettings { docstore_listen: Some("0.0.0.0:1".into()), ..one_app() },
            "--docstore-listen 0.0.0.0:1",
        );
        let nothing = Some("/nonexistent.pem".into());
        check("", WrittenSettings { http_ca_file: nothing, ..one_app() }, "--http-ca-file /nonexistent.pem");
        check("", WrittenSettings { http_allow: vec!["10.0.0.0/99".into()], ..one_app() }, "--http-allow 10.0.0.0/99");
        check("", WrittenSettings { aws_url: vec!["s3=minio".into()], ..one_app() }, "--aws-url minio");
        check("", WrittenSettings { public_url: Some("apps".into()), ..one_app() }, "--public-url apps");
        check("", WrittenSettings { twilio_signature: Some(true), ..one_app() }, "--public-url");
        check("", WrittenSettings { mongodb: vec!["localhost".into()], ..one_app() }, "--mongodb …");
    }

    #[test]
    fn connection_strings() {
        let (default, named) =
            mongodb_uris(vec!["mongodb://a/?x=y".into(), "Cluster0=mongodb+srv://b".into()]).unwrap();
        assert_eq!(default.as_deref(), Some("mongodb://a/?x=y"));
        assert_eq!(named["Cluster0"], "mongodb+srv://b");
        let secret = mongodb_uris(vec!["user:password@host".into()]).unwrap_err().to_string();
        assert!(!secret.contains("password"));
    }

    #[test]
    fn settings_survive_the_way_to_a_worker() {
        let settings = resolve("", one_app()).unwrap();
        let text = serde_json::to_string(&settings).unwrap();
        let back: Settings = serde_json::from_str(&text).unwrap();
        assert_eq!(format!("{settings:?}"), format!("{back:?}"));
    }
}
