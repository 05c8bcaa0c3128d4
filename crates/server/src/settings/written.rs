//! Settings as people write them: flags, environment variables and the settings file are one type, every field optional.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::units::{Bytes, Time};

/// What `serve` was told. A flag wins over its environment variable, which wins over the file.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct WrittenSettings {
    /// Directories of exported apps.
    #[arg(value_name = "APP_DIR")]
    pub apps: Vec<PathBuf>,

    /// Settings file (TOML); its keys are the long names of these flags without the dashes in front.
    #[arg(long, value_name = "FILE", env = "SELVEDGE_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Address and port to listen on; may be given several times. Port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = "SELVEDGE_LISTEN", value_delimiter = ',', help_heading = "Listening")]
    pub listen: Vec<String>,

    /// URL under which callers reach this server, used in `webhookUrl`, links and curl lines [default: from each request]
    #[arg(long, value_name = "URL", env = "SELVEDGE_PUBLIC_URL", help_heading = "Listening")]
    pub public_url: Option<String>,

    /// Proxy whose X-Forwarded-For is believed: address or CIDR range; may be given several times [default: none]
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "SELVEDGE_TRUSTED_PROXY",
        value_delimiter = ',',
        help_heading = "Listening"
    )]
    pub trusted_proxy: Vec<String>,

    /// Caller that is let in: address or CIDR range; may be given several times. Others get 403 [default: everybody]
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "SELVEDGE_ACCESS_LIST",
        value_delimiter = ',',
        help_heading = "Listening"
    )]
    pub access_list: Vec<String>,

    /// Directory of the embedded store, used when --mongodb is not given [default: data]
    #[arg(long, value_name = "DIR", env = "SELVEDGE_DATA_DIR", help_heading = "Data")]
    pub data_dir: Option<PathBuf>,

    /// Loopback address and port where the embedded store listens besides, for mongosh and other tools of this machine
    /// [default: none]
    ///
    /// Whoever can connect to it reads and writes everything: there are no passwords.
    #[arg(long, value_name = "ADDRESS", env = "SELVEDGE_DOCSTORE_LISTEN", help_heading = "Data")]
    pub docstore_listen: Option<String>,

    /// Connection string of your MongoDB; NAME=URI sets it for the data source NAME only; may be given several times
    #[arg(long, value_name = "[NAME=]URI", env = "SELVEDGE_MONGODB", value_delimiter = ' ', help_heading = "Data")]
    pub mongodb: Vec<String>,

    /// How long an operation waits for a usable database server [default: 5s]
    #[arg(long, value_name = "TIME", env = "SELVEDGE_DATABASE_TIMEOUT", help_heading = "Data")]
    pub database_timeout: Option<Time>,

    /// How long /readyz waits for the database [default: 2s]
    #[arg(long, value_name = "TIME", env = "SELVEDGE_READINESS_TIMEOUT", help_heading = "Data")]
    pub readiness_timeout: Option<Time>,

    /// Documents one query gives before it ends silently [default: 50000]
    #[arg(long, value_name = "COUNT", env = "SELVEDGE_DOCUMENTS_PER_QUERY_MAX", help_heading = "Data")]
    pub documents_per_query_max: Option<usize>,

    /// Let outgoing requests of functions reach this loopback, private or other special address all the same: an address,
    /// CIDR range or host name, with a port or without; may be given several times [default: none]
    ///
    /// Functions may then send whatever they like to it, and read what it answers. Services that trust their network
    /// (databases, metadata services, admin pages) must not be behind it. A host name is believed as far as its DNS is.
    #[arg(
        long,
        value_name = "TARGET",
        env = "SELVEDGE_HTTP_ALLOW",
        value_delimiter = ',',
        help_heading = "Outgoing HTTP"
    )]
    pub http_allow: Vec<String>,

    /// Let outgoing requests of functions reach every special address; --http-allow opens less [default: false]
    ///
    /// DANGEROUS outside of tests: any function, and whoever gets to choose a URL for one, can then reach this machine's
    /// own services, the network around it, and the metadata service of a cloud with the credentials it gives out.
    #[arg(
        long,
        env = "SELVEDGE_HTTP_PRIVATE_ADDRESSES",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        help_heading = "Outgoing HTTP"
    )]
    pub http_private_addresses: Option<bool>,

    /// PEM file with certificates of authorities that are believed besides those of the web, for HTTPS inside your network
    #[arg(long, value_name = "FILE", env = "SELVEDGE_HTTP_CA_FILE", help_heading = "Outgoing HTTP")]
    pub http_ca_file: Option<PathBuf>,

    /// Body of an answer to an outgoing request, decompressed [default: 32MiB]
    #[arg(long, value_name = "BYTES", env = "SELVEDGE_HTTP_RESPONSE_MAX", help_heading = "Outgoing HTTP")]
    pub http_response_max: Option<Bytes>,

    /// How long connecting for an outgoing request may take [default: 10s]
    #[arg(long, value_name = "TIME", env = "SELVEDGE_HTTP_CONNECT_TIMEOUT", help_heading = "Outgoing HTTP")]
    pub http_connect_timeout: Option<Time>,

    /// Base URL to reach AWS at, for services that speak its language; SERVICE=URL sets it for one service, such as s3; may
    /// be given several times [default: https://SERVICE.REGION.amazonaws.com]
    #[arg(
        long,
        value_name = "[SERVICE=]URL",
        env = "SELVEDGE_AWS_URL",
        value_delimiter = ' ',
        help_heading = "Outgoing HTTP"
    )]
    pub aws_url: Vec<String>,

    /// Base URL to reach Twilio at [default: https://api.twilio.com]
    #[arg(long, value_name = "URL", env = "SELVEDGE_TWILIO_URL", help_heading = "Outgoing HTTP")]
    pub twilio_url: Option<String>,

    /// Outgoing requests under way at once, per worker; more wait [default: 1000]
    #[arg(long, value_name = "COUNT", env = "SELVEDGE_HTTP_REQUESTS_MAX", help_heading = "Outgoing HTTP")]
    pub http_requests_max: Option<usize>,

    /// Outgoing requests of one run under way at once; more wait [default: 100]
    #[arg(long, value_name = "COUNT", env = "SELVEDGE_HTTP_REQUESTS_PER_RUN_MAX", help_heading = "Outgoing HTTP")]
    pub http_requests_per_run_max: Option<usize>,

    /// JSON file with the texts of the apps' Secrets: {"name": "text"}, or {"app id": {"name": "text"}} for one app
    #[arg(long, value_name = "FILE", env = "SELVEDGE_SECRETS_FILE", alias = "secrets", help_heading = "Apps")]
    pub secrets_file: Option<PathBuf>,

    /// File with the key of the Secrets set by `selvedge secrets set`; SELVEDGE_SECRETS_KEY may hold the key itself instead
    #[arg(long, value_name = "FILE", env = "SELVEDGE_SECRETS_KEY_FILE", help_heading = "Apps")]
    pub secrets_key_file: Option<PathBuf>,

    /// Client app id to use instead of the one in the directory; only with a single APP_DIR
    #[arg(long, value_name = "ID", env = "SELVEDGE_APP_ID", help_heading = "Apps")]
    pub app_id: Option<String>,

    /// Wall clock of one run [default: 120s]
    #[arg(long, value_name = "TIME", env = "SELVEDGE_WALL_TIME_MAX", help_heading = "Limits of one run")]
    pub wall_time_max: Option<Time>,

    /// CPU time of one run; waiting does not count [default: 60s]
    #[arg(long, value_name = "TIME", env = "SELVEDGE_CPU_TIME_MAX", help_heading = "Limits of one run")]
    pub cpu_time_max: Option<Time>,

    /// JavaScript heap of one run [default: 256MiB]
    #[arg(long, value_name = "BYTES", env = "SELVEDGE_HEAP_MAX", help_heading = "Limits of one run")]
    pub heap_max: Option<Bytes>,

    /// ArrayBuffer memory of one run [default: 256MiB]
    #[arg(long, value_name = "BYTES", env = "SELVEDGE_ARRAY_BUFFER_MAX", help_heading = "Limits of one run")]
    pub array_buffer_max: Option<Bytes>,

    /// Result or response body [default: 16MiB]
    #[arg(long, value_name = "BYTES", env = "SELVEDGE_RESPONSE_MAX", help_heading = "Limits of one run")]
    pub response_max: Option<Bytes>,

    /// All headers a handler sets [default: 64KiB]
    #[arg(long, value_name = "BYTES", env = "SELVEDGE_RESPONSE_HEADERS_MAX", help_heading = "Limits of one run")]
    pub response_headers_max: Option<Bytes>,

    /// Operations outstanding at once; 0 for no limit [default: 0]
    #[arg(long, value_name = "COUNT", env = "SELVEDGE_PENDING_OPERATIONS_MAX", help_heading = "Limits of one run")]
    pub pending_operations_max: Option<usize>,

    /// Timers outstanding at once [default: 10000]
    #[arg(long, value_name = "COUNT", env = "SELVEDGE_TIMERS_MAX", help_heading = "Limits of one run")]
    pub timers_max: Option<usize>,

    /// Console lines kept [default: 25]
    #[arg(long, value_name = "COUNT", env = "SELVEDGE_CONSOLE_LINES_MAX", help_heading = "Limits of one run")]
    pub console_lines_max: Option<usize>,

    /// Bytes kept of one console line [default: 512]
    #[arg(long, value_name = "BYTES", env = "SELVEDGE_CONSOLE_LINE_MAX", help_heading = "Limits of one run")]
    pub console_line_max: Option<Bytes>,

    /// Request body; larger ones get 413 [default: 18MiB]
    #[arg(long, value_name = "BYTES", env = "SELVEDGE_REQUEST_BODY_MAX", help_heading = "Limits of requests")]
    pub request_body_max: Option<Bytes>,

    /// Request line and headers; larger ones get 431 [default: 64KiB]
    #[arg(long, value_name = "BYTES", env = "SELVEDGE_REQUEST_HEADERS_MAX", help_heading = "Limits of requests")]
    pub request_headers_max: Option<Bytes>,

    /// Requests of one app answered at once, per worker; more get 429 [default: 5000]
    #[arg(long, value_name = "COUNT", env = "SELVEDGE_CONCURRENT_REQUESTS_MAX", help_heading = "Limits of requests")]
    pub concurrent_requests_max: Option<usize>,

    /// Open connections per worker; more wait to be accepted [default: 10000]
    #[arg(long, value_name = "COUNT", env = "SELVEDGE_CONNECTIONS_MAX", help_heading = "Limits of requests")]
    pub connections_max: Option<usize>,

    /// How long a client may take to send its request line and headers [default: 10s]
    #[arg(long, value_name = "TIME", env = "SELVEDGE_HEADERS_TIMEOUT", help_heading = "Limits of requests")]
    pub headers_timeout: Option<Time>,

    /// How long a client may take to send a body [default: 60s]
    #[arg(long, value_name = "TIME", env = "SELVEDGE_BODY_TIMEOUT", help_heading = "Limits of requests")]
    pub body_timeout: Option<Time>,

    /// How long a connection may be idle between requests, or stall while it receives an answer [default: 75s]
    #[arg(long, value_name = "TIME", env = "SELVEDGE_IDLE_TIMEOUT", help_heading = "Limits of requests")]
    pub idle_timeout: Option<Time>,

    /// Request header that browsers may send; may be given several times [default: Content-Type, Accept, Authorization,
    /// X-Requested-With, X-Hook-Signature, Endpoint-Signature]
    #[arg(
        long,
        value_name = "NAME",
        env = "SELVEDGE_CORS_REQUEST_HEADER",
        value_delimiter = ',',
        help_heading = "Limits of requests"
    )]
    pub cors_request_header: Vec<String>,

    /// Worker processes [default: one per two cores]
    #[arg(long, value_name = "COUNT", env = "SELVEDGE_WORKERS", help_heading = "Process")]
    pub workers: Option<usize>,

    /// JavaScript threads per worker [default: the cores divided by the workers]
    #[arg(long, value_name = "COUNT", env = "SELVEDGE_JS_THREADS", help_heading = "Process")]
    pub js_threads: Option<usize>,

    /// Serve from one process without a supervisor, for debugging
    #[arg(
        long,
        env = "SELVEDGE_SINGLE_PROCESS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        help_heading = "Process"
    )]
    pub single_process: Option<bool>,

    /// How long running calls may take to finish when the server is asked to stop [default: 30s]
    #[arg(long, value_name = "TIME", env = "SELVEDGE_SHUTDOWN_DEADLINE", help_heading = "Process")]
    pub shutdown_deadline: Option<Time>,

    /// How long an access token is good; what is said about a user in it may be as old [default: 30m]
    #[arg(long, value_name = "TIME", env = "SELVEDGE_ACCESS_TOKEN_LIFETIME", help_heading = "Users")]
    pub access_token_lifetime: Option<Time>,

    /// How long a refresh token is good: how long users stay logged in [default: 60d]
    #[arg(long, value_name = "TIME", env = "SELVEDGE_REFRESH_TOKEN_LIFETIME", help_heading = "Users")]
    pub refresh_token_lifetime: Option<Time>,

    /// Failed logins from one address within a minute before further ones are refused unseen [default: 50]
    #[arg(long, value_name = "COUNT", env = "SELVEDGE_LOGIN_FAILURES_MAX", help_heading = "Users")]
    pub login_failures_max: Option<u32>,

    /// Form of both logs: the server's own on stderr, the functions' on stdout [default: text]
    #[arg(long, value_name = "FORMAT", env = "SELVEDGE_LOG_FORMAT", help_heading = "Logs")]
    pub log_format: Option<LogFormat>,

    /// What the server's own log shows, as a tracing filter [default: info,fjall=warn,lsm_tree=warn,selvedge::call=warn]
    #[arg(long, value_name = "FILTER", env = "SELVEDGE_LOG", help_heading = "Logs")]
    pub log: Option<String>,

    /// Where the functions' log goes [default: stdout]
    #[arg(long, value_name = "WHERE", env = "SELVEDGE_FUNCTION_LOG", help_heading = "Logs")]
    pub function_log: Option<FunctionLogTarget>,

    /// How long entries of the functions' log are kept in the database, for `selvedge logs`; 0s for not at all [default: 10d]
    #[arg(long, value_name = "TIME", env = "SELVEDGE_LOG_RETENTION", help_heading = "Logs")]
    pub log_retention: Option<Time>,

    /// Bytes of a request body that a log entry shows [default: 4KiB]
    #[arg(long, value_name = "BYTES", env = "SELVEDGE_LOG_BODY_MAX", help_heading = "Logs")]
    pub log_body_max: Option<Bytes>,

    /// Send a returned string as plain text instead of as JSON [default: false]
    #[arg(
        long,
        env = "SELVEDGE_RAW_STRING_RESULTS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        help_heading = "Compatibility"
    )]
    pub raw_string_results: Option<bool>,

    /// Send application/json where an endpoint would send application/ejson [default: false]
    #[arg(
        long,
        env = "SELVEDGE_PLAIN_JSON_CONTENT_TYPE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        help_heading = "Compatibility"
    )]
    pub plain_json_content_type: Option<bool>,

    /// Check Twilio's request signature; needs --public-url [default: false]
    #[arg(
        long,
        env = "SELVEDGE_TWILIO_SIGNATURE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        help_heading = "Compatibility"
    )]
    pub twilio_signature: Option<bool>,
}

/// Form of both logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Where the functions' log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FunctionLogTarget {
    /// Standard output.
    Stdout,
    /// Nowhere.
    Off,
}

macro_rules! prefer {
    ($first:ident, $second:ident: lists $($list:ident)*; options $($option:ident)*) => {
        WrittenSettings {
            config: $first.config,
            $($list: if $first.$list.is_empty() { $second.$list } else { $first.$list },)*
            $($option: $first.$option.or($second.$option),)*
        }
    };
}

impl WrittenSettings {
    /// What `self` says, and where it says nothing, what `other` says.
    pub fn or(self, other: Self) -> Self {
        // Without `..`, so that a new field cannot be forgotten here.
        prefer!(self, other:
            lists apps listen trusted_proxy access_list mongodb http_allow aws_url cors_request_header;
            options public_url data_dir docstore_listen database_timeout readiness_timeout documents_per_query_max
                http_private_addresses http_ca_file http_response_max http_connect_timeout http_requests_max
                http_requests_per_run_max twilio_url secrets_file secrets_key_file app_id
                wall_time_max cpu_time_max heap_max array_buffer_max response_max response_headers_max
                pending_operations_max timers_max console_lines_max console_line_max request_body_max
                request_headers_max concurrent_requests_max connections_max headers_timeout body_timeout idle_timeout
                workers js_threads single_process shutdown_deadline
                access_token_lifetime refresh_token_lifetime login_failures_max log_format log function_log log_retention log_body_max
                raw_string_results plain_json_content_type twilio_signature
        )
    }
}
