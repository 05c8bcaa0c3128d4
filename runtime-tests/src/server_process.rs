//! The real `selvedge` binary as a child process.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;

/// Lines of the server's log that a failure shows.
const LOG_END_LINES: usize = 20;
/// Longest wait for the server to listen.
const START_MAX: Duration = Duration::from_secs(60);

/// A running server; killed when dropped.
pub struct ServerProcess {
    child: Child,
    /// `127.0.0.1:port`.
    pub address: String,
    /// The data directory it was given.
    pub data_directory: PathBuf,
    log: Arc<Mutex<String>>,
    entries: Arc<Mutex<Vec<Json>>>,
}

/// How to start a server.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// App directories.
    pub apps: Vec<PathBuf>,
    /// Data directory.
    pub data_directory: PathBuf,
    /// Secrets file.
    pub secrets_file: Option<PathBuf>,
    /// Further flags.
    pub flags: Vec<String>,
}

impl ServerProcess {
    /// Starts a server on a free loopback port and waits until it listens.
    ///
    /// # Errors
    /// A server that ends or stays silent; the message carries its log.
    pub fn start(binary: &Path, options: &ServerOptions) -> Result<Self> {
        let mut command = serve_command(binary, options);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        let log = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stderr);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
                sink.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push_str(&line);
                line.clear();
            }
        });
        let (sender, receiver) = mpsc::channel();
        let entries = Arc::new(Mutex::new(Vec::new()));
        let entry_sink = Arc::clone(&entries);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(entry @ Json::Object(_)) = serde_json::from_str(&line) {
                    entry_sink.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(entry);
                } else if let Some(address) = line.trim().strip_prefix("listening on http://") {
                    let _ = sender.send(address.trim_end_matches('/').to_owned());
                }
            }
        });
        let data_directory = options.data_directory.clone();
        match receiver.recv_timeout(START_MAX) {
            Ok(address) => Ok(Self { child, address, data_directory, log, entries }),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                let log = log.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
                bail!("the server did not come up; its log:\n{log}")
            }
        }
    }

    /// Connection string of the embedded store, once the server has written it.
    ///
    /// # Errors
    /// Nothing written within ten seconds.
    pub fn docstore_uri(&self) -> Result<String> {
        let file = self.data_directory.join("docstore.uri");
        let started = Instant::now();
        loop {
            match std::fs::read_to_string(&file) {
                Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
                _ if started.elapsed() < Duration::from_secs(10) => std::thread::sleep(Duration::from_millis(20)),
                _ => bail!("the server wrote no {}", file.display()),
            }
        }
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// The last lines logged, for a failure's report.
    pub fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_END_LINES)..].join("\n")
    }

    /// Entries of the functions' log so far: one JSON object per request on standard output.
    pub fn entries(&self) -> Vec<Json> {
        self.entries.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Process id of the server (of the supervisor, where there is one).
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop and waits for its exit code.
    ///
    /// # Errors
    /// A server that is still there after thirty seconds.
    pub fn stop(mut self) -> Result<Option<i32>> {
        terminate(self.child.id());
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server did not stop; its log:\n{}", self.log())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            terminate(self.child.id());
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(5) && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs a server that is expected to end by itself; gives exit code and what it wrote to stderr.
///
/// # Errors
/// A server that does not end within a minute.
pub fn run_to_end(mut command: Command) -> Result<(Option<i32>, String, String)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn()?;
    let mut stdout = child.stdout.take().context("stdout is piped")?;
    let mut stderr = child.stderr.take().context("stderr is piped")?;
    let out = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > START_MAX {
            let _ = child.kill();
            bail!("still running after {START_MAX:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let collect = |reader: std::thread::JoinHandle<std::io::Result<String>>| {
        reader.join().ok().and_then(Result::ok).unwrap_or_default()
    };
    Ok((status.code(), collect(out), collect(errors)))
}

/// The `selvedge serve` command for these options.
pub fn serve_command(binary: &Path, options: &ServerOptions) -> Command {
    let mut command = Command::new(binary);
    command.arg("serve").args(&options.apps).args(["--listen", "127.0.0.1:0", "--log-format", "json"]);
    command.arg("--data-dir").arg(&options.data_directory);
    if let Some(file) = &options.secrets_file {
        command.arg("--secrets-file").arg(file);
    }
    command.args(&options.flags);
    command
}

fn terminate(id: u32) {
    // SAFETY: plain system call; the child is ours and not yet reaped, so the id cannot belong to another process.
    unsafe { libc::kill(id.cast_signed(), libc::SIGTERM) };
}
