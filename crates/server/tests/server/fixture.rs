//! Starts the binary on an app made for these tests, and speaks to it byte by byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Longest wait for anything that should happen soon.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long the slow handler takes.
pub const SLOW: Duration = Duration::from_millis(1500);

/// The app: webhooks of the service `svc` and endpoints, as an export has them.
pub fn write_app(directory: &Path) {
    let write = |file: &str, text: &str| {
        let path = directory.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("realm_config.json", r#"{"config_version": 20210101, "app_id": "tests-abcde", "name": "tests"}"#);
    write("http_endpoints/svc/config.json", r#"{"name": "svc", "type": "http", "config": {}}"#);
    let hook = |name: &str, config: &str, source: &str| {
        let folder = format!("http_endpoints/svc/incoming_webhooks/{name}");
        write(&format!("{folder}/config.json"), config);
        write(&format!("{folder}/source.js"), source);
    };
    let open = |name: &str| {
        format!(
            r#"{{"name": "{name}", "run_as_system": true, "respond_result": true, "options": {{"httpMethod": "ANY", "validationMethod": "NO_VALIDATION"}}}}"#
        )
    };
    hook(
        "echo",
        &open("echo"),
        "exports = function (payload, response) {\n  response.setBody(payload.body ? payload.body.text() : '');\n};\n",
    );
    hook(
        "slow",
        &open("slow"),
        "exports = async function () {\n  await new Promise((resolve) => setTimeout(resolve, 1500));\n  console.log('slow is done');\n  return 'slow';\n};\n",
    );
    hook(
        "endless",
        &open("endless"),
        "exports = async function () {\n  await new Promise((resolve) => setTimeout(resolve, 60000));\n};\n",
    );
    hook(
        "secret",
        r#"{"name": "secret", "run_as_system": true, "respond_result": true, "options": {"httpMethod": "POST", "validationMethod": "SECRET_AS_QUERY_PARAM", "secret": "open-sesame"}}"#,
        "exports = function (payload) {\n  console.log('in');\n  return payload.query;\n};\n",
    );
    hook(
        "quiet",
        r#"{"name": "quiet", "run_as_system": true, "disable_arg_logs": true, "respond_result": true, "options": {"httpMethod": "POST"}}"#,
        "exports = function () {\n  return 1;\n};\n",
    );
    hook(
        "stuck",
        &open("stuck"),
        // The parser of JSON looks at no termination request: this costs a thread.
        "exports = function () {\n  JSON.parse('['.repeat(9000000) + ']'.repeat(9000000));\n};\n",
    );
    hook("broken", &open("broken"), "exports = function ( {\n");
    hook("a%2Fb", &open("a/b").replace("a/b", "a%2Fb"), "exports = function () { return 'never'; };\n");
    write(
        "functions/config.json",
        r#"[{"name": "echo", "run_as_system": true, "private": false}, {"name": "users", "private": false}]"#,
    );
    write("functions/echo.js", "exports = function (request) {\n  return request.query;\n};\n");
    write("functions/users.js", "exports = function () {\n  return 'somebody';\n};\n");
    write(
        "http_endpoints/config.json",
        r#"[
            {"route": "/echo", "http_method": "GET", "function_name": "echo", "validation_method": "NO_VALIDATION", "respond_result": true, "return_type": "JSON"},
            {"route": "/users", "http_method": "POST", "function_name": "users", "validation_method": "NO_VALIDATION", "respond_result": true}
        ]"#,
    );
}

/// A running server; stopped when dropped.
pub struct Server {
    pub child: Child,
    /// `127.0.0.1:port`
    pub address: String,
    pub stdout: Arc<Mutex<Vec<String>>>,
    pub stderr: Arc<Mutex<Vec<String>>>,
    _directory: Option<tempfile::TempDir>,
}

impl Server {
    /// Serves the test app with these flags.
    pub fn start(flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write_app(&directory.path().join("app"));
        Self::start_in(directory, flags)
    }

    /// Serves `directory/app`; the directory goes with the server.
    pub fn start_in(directory: tempfile::TempDir, flags: &[&str]) -> Self {
        let mut server = Self::start_at(directory.path(), flags);
        server._directory = Some(directory);
        server
    }

    /// Serves `directory/app`; the directory stays.
    pub fn start_at(directory: &Path, flags: &[&str]) -> Self {
        let mut child = serve_command(directory, flags).spawn().unwrap();
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        let started = Instant::now();
        let address = loop {
            let line = stdout.lock().unwrap().iter().find_map(|line| {
                line.strip_prefix("listening on http://").map(|address| address.trim_end_matches('/').to_owned())
            });
            if let Some(address) = line {
                break address;
            }
            let ended = child.try_wait().unwrap();
            if ended.is_some() || started.elapsed() > PATIENCE {
                panic!("the server did not start ({ended:?}):\n{}", stderr.lock().unwrap().join("\n"));
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        Self { child, address, stdout, stderr, _directory: None }
    }

    /// Path of a webhook of the test app.
    pub fn hook(name: &str) -> String {
        format!("/api/client/v2.0/app/tests-abcde/service/svc/incoming_webhook/{name}")
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes, reads until the server closes.
    pub fn send(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        // A server that refuses early may close before it has read everything.
        let _ = stream.write_all(request);
        read_all(stream)
    }

    /// One request on a connection of its own.
    pub fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let text =
            format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{length}{headers}\r\n{body}");
        Reply::parse(&self.send(text.as_bytes()))
    }

    /// Checks that an ordinary request is answered.
    pub fn check_alive(&self) {
        let reply = self.request("POST", &Self::hook("echo"), "", "alive");
        assert_eq!((reply.status, reply.body.as_str()), (200, "alive"));
    }

    /// Process ids of the workers.
    pub fn workers(&self) -> Vec<u32> {
        children(self.child.id())
    }

    pub fn signal(&self, signal: i32) {
        send_signal(self.child.id(), signal);
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }

    /// Waits until `found` gives something for the lines written to stdout.
    pub fn wait_for_output<T>(&self, found: impl Fn(&str) -> Option<T>) -> T {
        wait_for("a line on standard output", || self.stdout.lock().unwrap().iter().find_map(|line| found(line)))
    }

    /// Entries of the function log so far; needs `--log-format json`.
    pub fn log_entry(&self, found: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        self.wait_for_output(|line| serde_json::from_str(line).ok().filter(|entry| found(entry)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            let workers = self.workers();
            self.signal(libc::SIGKILL);
            let _ = self.child.wait();
            // They end by themselves; this test run must not leave any behind if they do not.
            std::thread::sleep(Duration::from_millis(50));
            for worker in workers.into_iter().filter(|worker| is_worker(*worker)) {
                send_signal(worker, libc::SIGKILL);
            }
        }
    }
}

/// The command that serves `directory/app` with data beside it.
pub fn serve_command(directory: &Path, flags: &[&str]) -> Command {
    let mut command = binary();
    command.arg("serve").arg(directory.join("app")).args(["--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(directory.join("data")).args(flags);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn binary() -> Command {
    Command::new(PathBuf::from(env!("CARGO_BIN_EXE_selvedge")))
}

/// Runs a command to its end: exit code, stdout, stderr.
pub fn run(mut command: Command) -> (Option<i32>, String, String) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let status = wait(&mut child);
    std::thread::sleep(Duration::from_millis(50));
    let text = |lines: Arc<Mutex<Vec<String>>>| lines.lock().unwrap().join("\n");
    (status.code(), text(stdout), text(stderr))
}

fn wait(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if started.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("the process does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Asks again and again until there is an answer.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn send_signal(process_id: u32, signal: i32) {
    let process_id = i32::try_from(process_id).unwrap();
    assert!(process_id > 1);
    // SAFETY: a plain system call on a process of this test.
    unsafe { libc::kill(process_id, signal) };
}

/// Direct children of a process that run this program's worker.
pub fn children(process_id: u32) -> Vec<u32> {
    let file = format!("/proc/{process_id}/task/{process_id}/children");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(|id| id.parse().unwrap()).filter(|id| is_worker(*id)).collect()
}

/// Whether the process lives and is a worker.
pub fn is_worker(process_id: u32) -> bool {
    let command = std::fs::read(format!("/proc/{process_id}/cmdline")).unwrap_or_default();
    command.split(|byte| *byte == 0).nth(1) == Some(b"worker")
}

fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            sink.lock().unwrap().push(line);
        }
    });
    lines
}

/// Everything until the other side closes, or resets.
pub fn read_all(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads in the background, so that a test can do something meanwhile.
pub fn read_later(stream: TcpStream) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(read_all(stream)));
    receiver
}

/// A response.
#[derive(Debug)]
pub struct Reply {
    /// 0 when there was none.
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (header, value) = line.split_once(':')?;
            header.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
