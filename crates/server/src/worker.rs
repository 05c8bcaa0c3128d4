//! A worker process: takes its orders and listening sockets from the supervisor, and serves.
//!
//! Invariant: a worker never outlives its supervisor. The control socket ends when the supervisor does, however it ends.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use isolate::IsolatePool;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::error::ServerError;
use crate::serve::{self, Serving};
use crate::settings::Settings;
use crate::shutdown::{StopSignal, StopSignals, exit_now};
use crate::{apps, sockets, telemetry};

/// First line a worker reads: everything it has to know.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub settings: Settings,
    /// Connection string for data sources without one of their own.
    pub mongodb: String,
    /// Number of the worker, for the log.
    pub worker: u64,
}

/// What a worker says, one line each.
pub(crate) const READY: &str = "ready";
/// It has lost threads to V8 and should be replaced.
pub(crate) const WOUNDED: &str = "wounded";

/// How often a worker looks for lost threads.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Runs a worker; the descriptors are those the supervisor handed over.
///
/// # Errors
/// What keeps it from serving.
pub(crate) fn run(control: RawFd, listeners: &[RawFd]) -> Result<(), ServerError> {
    isolate::init_platform();
    // SAFETY: the supervisor opened these descriptors for this process alone and named them on the command line.
    let control = unsafe { UnixStream::from_raw_fd(control) };
    // SAFETY: as above.
    let listeners = listeners.iter().map(|fd| unsafe { TcpListener::from_raw_fd(*fd) }).collect();
    let mut reader = BufReader::new(control.try_clone().map_err(ServerError::system("reading orders"))?);
    let mut line = String::new();
    reader.read_line(&mut line).map_err(ServerError::system("reading orders"))?;
    let orders: Orders = serde_json::from_str(&line)
        .map_err(|error| ServerError::System { what: "reading orders", source: io::Error::other(error) })?;
    telemetry::start(orders.settings.log_format, &orders.settings.log)?;
    sockets::raise_open_files_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(orders.settings.js_threads.max(1))
        .enable_all()
        .build()
        .map_err(ServerError::system("starting the runtime"))?;
    let result = runtime.block_on(serve(orders, listeners, control, reader));
    match result {
        // Threads of V8 may be lost in it; the process must end all the same.
        Ok(()) => exit_now(0),
        Err(error) => Err(error),
    }
}

async fn serve(
    orders: Orders,
    listeners: Vec<TcpListener>,
    control: UnixStream,
    reader: BufReader<UnixStream>,
) -> Result<(), ServerError> {
    let mut signals = StopSignals::listen().map_err(ServerError::system("listening for signals"))?;
    let apps = apps::load(&orders.settings)?;
    let deadline = orders.settings.shutdown_deadline.0;
    let supervisor_gone = Arc::new(Notify::new());
    watch_supervisor(reader, supervisor_gone.clone(), deadline).map_err(ServerError::system("starting a thread"))?;
    let worker = orders.worker;
    let stop = async {
        loop {
            tokio::select! {
                // A terminal sends SIGINT to all processes of the group; the supervisor decides what it means.
                signal = signals.next() => if signal == StopSignal::Terminate { return },
                () = supervisor_gone.notified() => return,
            }
        }
    };
    let serving = Serving { settings: orders.settings, apps, listeners, mongodb: orders.mongodb };
    let ready = |pool: &IsolatePool| {
        say(&control, READY);
        tokio::spawn(watch_pool(pool.clone(), control, worker));
    };
    serve::run(serving, ready, stop).await
}

/// Ends the worker with its supervisor: gracefully at once, by force after the deadline.
fn watch_supervisor(mut reader: BufReader<UnixStream>, gone: Arc<Notify>, deadline: Duration) -> io::Result<()> {
    std::thread::Builder::new().name("supervisor".into()).spawn(move || {
        // Nothing more is ever said on this socket: reading ends when the other end is closed.
        let _ = io::copy(&mut reader, &mut io::sink());
        gone.notify_one();
        std::thread::sleep(deadline + Duration::from_secs(5));
        exit_now(1);
    })?;
    Ok(())
}

/// Tells the supervisor when threads are lost.
async fn watch_pool(pool: IsolatePool, control: UnixStream, worker: u64) {
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let threads = pool.status().threads_parked;
        if threads > 0 {
            tracing::error!(worker, threads, "threads are lost inside of the JavaScript engine; asking to be replaced");
            say(&control, WOUNDED);
            return;
        }
    }
}

fn say(mut control: &UnixStream, line: &str) {
    // A supervisor that is gone is noticed elsewhere.
    let _ = control.write_all(format!("{line}\n").as_bytes());
}
