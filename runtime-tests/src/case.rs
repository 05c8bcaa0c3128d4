//! Case folders as data. The format is `runtime-tests/README.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value as Json;

/// One case folder.
#[derive(Debug)]
pub struct Case {
    /// `area/what_it_shows`.
    pub name: String,
    /// The folder.
    pub directory: PathBuf,
    /// `case.json`.
    pub manifest: Manifest,
    /// Steps in order.
    pub steps: Vec<Step>,
    /// `seed.ejson`: `database.collection` to documents.
    pub seed: BTreeMap<String, Vec<Json>>,
    /// `after.ejson`, likewise.
    pub after: BTreeMap<String, Json>,
    /// `upstream.json`: what the server that the app calls answers.
    pub upstream: Option<Json>,
}

/// `case.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// One sentence.
    pub shows: String,
    /// Specification lines it covers.
    #[serde(default)]
    pub source: Vec<String>,
    /// How sure the expectation is.
    pub evidence: Evidence,
    /// App directory relative to the case.
    #[serde(default = "default_app")]
    pub app: PathBuf,
    /// Leave the app's own id in place.
    #[serde(default)]
    pub keep_app_id: bool,
    /// Secrets file of the server.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Extra flags for `selvedge serve`.
    #[serde(default)]
    pub server: Vec<String>,
    /// Expectation for an app that must not start.
    #[serde(default)]
    pub start: Option<Json>,
    /// Expectation on `selvedge check --json`.
    #[serde(default)]
    pub check: Option<Json>,
    /// Further databases emptied before the case.
    #[serde(default)]
    pub databases: Vec<String>,
    /// Expectations on log events, in order.
    #[serde(default)]
    pub log: Vec<Json>,
}

/// How sure an expectation is.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// Captured from the live platform.
    Recorded,
    /// Stated by its documentation.
    Documented,
    /// Concluded by us.
    Inferred,
}

/// One request with its expected answer.
#[derive(Debug)]
pub struct Step {
    /// `01`, `02`, ….
    pub number: String,
    /// `NN.request.json`.
    pub request: Request,
    /// `NN.response.json`.
    pub response: Response,
    /// `NN.upstream.json`: expectation on the list of requests that the upstream server received.
    pub upstream: Option<Json>,
}

/// `NN.request.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Verb; by default `POST` with a body, else `GET`.
    pub method: Option<String>,
    /// `svc/hook?query`.
    pub webhook: Option<String>,
    /// `/route?query`.
    pub endpoint: Option<String>,
    /// Whole path with query.
    pub path: Option<String>,
    /// Name to one text or several.
    #[serde(default)]
    pub headers: serde_json::Map<String, Json>,
    /// Body as text.
    pub body: Option<String>,
    /// Body as JSON, sent compact.
    pub json: Option<Json>,
    /// Body as bytes.
    pub base64: Option<String>,
    /// Bytes for the socket, as they stand.
    pub raw: Option<String>,
    /// How many times at once.
    pub repeat: Option<usize>,
    /// Milliseconds to wait before sending, for cases about expiry.
    pub wait_ms: Option<u64>,
    /// Tokens to sign before sending: variable name to token.
    #[serde(default)]
    pub sign: BTreeMap<String, TokenToSign>,
}

/// A JSON Web Token that the runner signs with HMAC-SHA-256.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenToSign {
    /// Header; `{"alg": "HS256", "typ": "JWT"}` by default. The signature is HMAC-SHA-256 whatever it says.
    pub header: Option<Json>,
    /// Claims; `{"$$now": seconds}` is the present time plus these seconds.
    pub claims: Json,
    /// The key's text.
    pub key: String,
}

/// `NN.response.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// Status code; for `raw` requests that get no answer, 0.
    pub status: Json,
    /// Header expectations.
    #[serde(default)]
    pub headers: serde_json::Map<String, Json>,
    /// Exact text.
    pub body: Option<String>,
    /// Structure.
    pub json: Option<Json>,
    /// Escape over the text.
    pub text: Option<Json>,
    /// Exact bytes.
    pub base64: Option<String>,
    /// Upper bound of the time it takes, milliseconds.
    pub within_ms: Option<u64>,
    /// Lower bound, milliseconds.
    pub at_least_ms: Option<u64>,
    /// Parts of a JSON body to keep for later steps: variable name to JSON pointer.
    #[serde(default)]
    pub capture: BTreeMap<String, String>,
}

fn default_app() -> PathBuf {
    PathBuf::from("app")
}

/// Finds every case below `root`, sorted by name.
///
/// # Errors
/// A file that does not parse, named with its path; a folder with steps but no `case.json`; an orphan expectation.
pub fn discover(root: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    visit(root, root, &mut cases)?;
    cases.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(cases)
}

fn visit(root: &Path, directory: &Path, cases: &mut Vec<Case>) -> Result<()> {
    if directory.join("case.json").is_file() {
        cases.push(load(root, directory, &[]).with_context(|| format!("case {}", directory.display()))?);
        return Ok(());
    }
    for entry in std::fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        ensure!(!name.ends_with(".request.json"), "{} has steps but no case.json", directory.display());
        if path.is_dir() && !name.starts_with('_') {
            visit(root, &path, cases)?;
        }
    }
    Ok(())
}

/// Loads one case folder. Each first text of `replacements` is replaced by the second in all of its files.
///
/// # Errors
/// As [`discover`].
pub fn load(root: &Path, directory: &Path, replacements: &[(&str, &str)]) -> Result<Case> {
    let reader = Reader { replacements };
    let manifest: Manifest = reader.json(&directory.join("case.json"))?;
    let mut upstreams = BTreeMap::new();
    let mut requests = BTreeMap::new();
    let mut responses = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(number) = name.strip_suffix(".request.json") {
            requests.insert(number.to_owned(), reader.json::<Request>(&path)?);
        } else if let Some(number) = name.strip_suffix(".response.json") {
            responses.insert(number.to_owned(), reader.json::<Response>(&path)?);
        } else if let Some(number) = name.strip_suffix(".upstream.json") {
            upstreams.insert(number.to_owned(), reader.json::<Json>(&path)?);
        } else if !matches!(name.as_str(), "case.json" | "seed.ejson" | "after.ejson" | "upstream.json" | "app") {
            bail!("{name} is not part of a case");
        }
    }
    let mut steps = Vec::new();
    for (number, request) in requests {
        let response = responses.remove(&number).with_context(|| format!("{number}.response.json is missing"))?;
        let upstream = upstreams.remove(&number);
        steps.push(Step { number, request, response, upstream });
    }
    if let Some(orphan) = upstreams.keys().next() {
        bail!("{orphan}.upstream.json has no request");
    }
    if let Some(orphan) = responses.keys().next() {
        bail!("{orphan}.response.json has no request");
    }
    ensure!(
        !steps.is_empty() || manifest.start.is_some() || manifest.check.is_some(),
        "the case has neither steps nor `start` nor `check`"
    );
    ensure!(directory.join(&manifest.app).is_dir(), "app directory {} is missing", manifest.app.display());
    let name = directory.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
    let seed = reader.optional(&directory.join("seed.ejson"))?;
    let after = reader.optional(&directory.join("after.ejson"))?;
    let upstream: Option<Json> = reader.optional(&directory.join("upstream.json"))?;
    ensure!(
        upstream.is_some() || steps.iter().all(|step| step.upstream.is_none()),
        "steps expect requests to an upstream server, but there is no upstream.json"
    );
    Ok(Case { name, directory: directory.to_owned(), manifest, steps, seed, after, upstream })
}

struct Reader<'a> {
    replacements: &'a [(&'a str, &'a str)],
}

impl Reader<'_> {
    fn optional<T: serde::de::DeserializeOwned + Default>(&self, path: &Path) -> Result<T> {
        if path.exists() { self.json(path) } else { Ok(T::default()) }
    }

    fn json<T: serde::de::DeserializeOwned>(&self, path: &Path) -> Result<T> {
        let mut text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        for (from, to) in self.replacements {
            text = text.replace(from, to);
        }
        serde_json::from_str(&text).with_context(|| format!("{}", path.display()))
    }
}
