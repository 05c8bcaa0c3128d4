//! What is measured: a server in a process of its own, killed when dropped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::process_usage::{cpu_time, status_bytes};

/// The Node server: a context of its own for each request, as our functions get one.
const NODE_SERVER: &str = r#"
const http = require("http"), vm = require("vm");
const script = new vm.Script("(function () { return { hello: 'world' }; })");
http.createServer((request, response) => {
  const handler = script.runInContext(vm.createContext({ console: {} }));
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(handler()));
}).listen(0, "127.0.0.1", function () { console.log("listening on http://127.0.0.1:" + this.address().port); });
"#;

const WORKERD_SCRIPT: &str = r#"export default { fetch() { return Response.json({ hello: "world" }); } };"#;

/// A running server.
pub struct Subject {
    process: Child,
    /// `127.0.0.1:port`.
    pub address: String,
}

impl Drop for Subject {
    fn drop(&mut self) {
        // SAFETY: a plain system call on a child that has not been waited for.
        unsafe { libc::kill(self.process.id().cast_signed(), libc::SIGTERM) };
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(5) && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Subject {
    /// A reference server out of this binary.
    pub fn reference(kind: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["reference", kind]);
        Self::start(command)
    }

    /// Selvedge with the benchmark's app and an empty data directory.
    pub fn selvedge(binary: &Path, scratch: &Path, flags: &[String]) -> Result<Self> {
        let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps/bench");
        let data = tempfile::tempdir_in(scratch)?.keep();
        let mut command = Command::new(binary);
        command.arg("serve").arg(app).args(["--listen", "127.0.0.1:0"]).arg("--data-dir").arg(data).args(flags);
        Self::start(command)
    }

    /// A Node server that makes a new `vm` context for each request.
    pub fn node_vm() -> Result<Self> {
        let mut command = Command::new("node");
        command.args(["-e", NODE_SERVER]);
        Self::start(command).context("Node")
    }

    /// workerd from its npm package; one global shared by all requests.
    pub fn workerd(scratch: &Path) -> Result<Self> {
        let folder = scratch.join("workerd");
        let binary = folder.join("node_modules/.bin/workerd");
        if !binary.exists() {
            std::fs::create_dir_all(&folder)?;
            let installed = Command::new("npm")
                .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
                .arg(&folder)
                .arg("workerd")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .context("npm")?;
            ensure!(installed.success(), "npm could not install the package");
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        std::fs::write(folder.join("hello.js"), WORKERD_SCRIPT)?;
        let config = format!(
            "using Workerd = import \"/workerd/workerd.capnp\";\n\
             const config :Workerd.Config = (\n\
               services = [(name = \"main\", worker = (modules = [(name = \"hello.js\", esModule = embed \"hello.js\")],\n\
               compatibilityDate = \"2024-01-01\"))],\n\
               sockets = [(name = \"http\", address = \"127.0.0.1:{port}\", http = (), service = \"main\")]);\n"
        );
        std::fs::write(folder.join("config.capnp"), config)?;
        let mut command = Command::new(binary);
        command.arg("serve").arg(folder.join("config.capnp"));
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let subject = Self { process, address: format!("127.0.0.1:{port}") };
        let started = Instant::now();
        while std::net::TcpStream::connect(&subject.address).is_err() {
            ensure!(started.elapsed() < Duration::from_secs(20), "it does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(subject)
    }

    fn start(mut command: Command) -> Result<Self> {
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = process.stdout.take().context("stdout is piped")?;
        let mut subject = Self { process, address: String::new() };
        for line in BufReader::new(stdout).lines() {
            if let Some(address) = line?.trim().strip_prefix("listening on http://") {
                subject.address = address.to_owned();
                return Ok(subject);
            }
        }
        let status = subject.process.wait()?;
        bail!("{command:?} ended with {status} before it listened")
    }

    /// CPU time of the process and its children so far.
    pub fn cpu_time(&self) -> Duration {
        cpu_time(self.process.id())
    }

    /// Peak resident memory, summed over the processes.
    pub fn peak_bytes(&self) -> u64 {
        status_bytes(self.process.id(), "VmHWM")
    }

    /// Resident memory now, summed over the processes.
    pub fn resident_bytes(&self) -> u64 {
        status_bytes(self.process.id(), "VmRSS")
    }
}
