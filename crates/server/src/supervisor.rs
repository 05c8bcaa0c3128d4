//! The parent process: owns the listening sockets and the embedded store, and keeps workers running.
//!
//! A worker that dies is replaced at once; the sockets stay open meanwhile, so new connections wait instead of failing.
//! A worker that lost threads inside of V8 is replaced first and let go afterwards. The parent never runs JavaScript.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command as StdCommand, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::error::ServerError;
use crate::settings::Settings;
use crate::shutdown::{StopSignals, exit_now};
use crate::worker::{Orders, READY, WOUNDED};

/// Failures before a worker was ever ready that end the supervisor.
const FAILED_STARTS_MAX: u32 = 3;
/// Pause after the first failed start; doubled by each further one.
const BACK_OFF: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// How much longer than their own deadline workers get before they are killed.
const GRACE: Duration = Duration::from_secs(2);

/// What is known of a worker process.
struct Worker {
    process_id: u32,
    state: State,
    /// The wounded worker this one stands in for.
    replaces: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Serving,
    /// Asked to be replaced; serves until its replacement does.
    Wounded,
    /// Told to finish.
    Draining,
}

enum Event {
    Ready(u64),
    Wounded(u64),
    Exited(u64, io::Result<ExitStatus>),
    /// A pause after a failed start is over.
    StartAnother,
}

struct Supervisor {
    settings: Settings,
    mongodb: String,
    listeners: Vec<TcpListener>,
    workers: HashMap<u64, Worker>,
    next_number: u64,
    failed_starts: u32,
    ever_ready: bool,
    events: mpsc::Sender<Event>,
}

/// Keeps workers running until the process is told to stop. `announce` is called once requests are answered.
///
/// # Errors
/// When no worker can be started.
pub(crate) async fn run(
    settings: Settings,
    mongodb: String,
    listeners: Vec<TcpListener>,
    mut signals: StopSignals,
    announce: impl FnOnce(),
) -> Result<(), ServerError> {
    // Bounded by the number of workers, each of which has at most three things to say.
    let (events, mut inbox) = mpsc::channel(64);
    let mut supervisor = Supervisor {
        mongodb,
        listeners,
        workers: HashMap::new(),
        next_number: 1,
        failed_starts: 0,
        ever_ready: false,
        events,
        settings,
    };
    for _ in 0..supervisor.settings.workers {
        supervisor.start_worker(None)?;
    }
    let mut announce = Some(announce);
    loop {
        tokio::select! {
            event = inbox.recv() => {
                let event = event.expect("the supervisor itself holds a sender");
                supervisor.handle(event)?;
                if supervisor.ever_ready && let Some(announce) = announce.take() {
                    announce();
                }
            }
            signal = signals.next() => {
                tracing::info!(?signal, "stopping: running calls may finish");
                break;
            }
        }
    }
    supervisor.stop(inbox, signals).await;
    Ok(())
}

impl Supervisor {
    fn handle(&mut self, event: Event) -> Result<(), ServerError> {
        match event {
            Event::Ready(number) => {
                self.ever_ready = true;
                self.failed_starts = 0;
                let Some(worker) = self.workers.get_mut(&number) else { return Ok(()) };
                worker.state = State::Serving;
                let (process_id, replaces) = (worker.process_id, worker.replaces);
                tracing::info!(worker = number, process_id, "worker ready");
                if let Some(wounded) = replaces {
                    self.drain(wounded);
                }
            }
            Event::Wounded(number) => {
                let Some(worker) = self.workers.get_mut(&number) else { return Ok(()) };
                if worker.state == State::Serving {
                    worker.state = State::Wounded;
                    self.end_oldest_draining();
                    self.start_worker(Some(number))?;
                }
            }
            Event::Exited(number, status) => self.exited(number, status)?,
            Event::StartAnother => self.start_worker(None)?,
        }
        Ok(())
    }

    fn exited(&mut self, number: u64, status: io::Result<ExitStatus>) -> Result<(), ServerError> {
        let Some(worker) = self.workers.remove(&number) else { return Ok(()) };
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let process_id = worker.process_id;
        match worker.state {
            State::Draining => tracing::info!(worker = number, process_id, status, "worker let go"),
            // Its replacement is on the way.
            State::Wounded => tracing::warn!(worker = number, process_id, status, "wounded worker ended"),
            State::Serving => {
                tracing::error!(worker = number, process_id, status, "worker died; starting another");
                self.start_worker(None)?;
            }
            State::Starting => {
                self.failed_starts += 1;
                tracing::error!(worker = number, process_id, status, "worker died before it was ready");
                if !self.ever_ready && self.failed_starts >= FAILED_STARTS_MAX {
                    return Err(ServerError::WorkersFail(self.failed_starts));
                }
                let pause = (BACK_OFF * 2u32.saturating_pow(self.failed_starts - 1)).min(BACK_OFF_MAX);
                let events = self.events.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    // A closed inbox means that the server is stopping.
                    let _ = events.send(Event::StartAnother).await;
                });
            }
        }
        Ok(())
    }

    /// Workers that were let go and do not end must not pile up when an attack wounds one after the other.
    fn end_oldest_draining(&self) {
        let mut draining: Vec<(&u64, &Worker)> =
            self.workers.iter().filter(|(_, worker)| worker.state == State::Draining).collect();
        draining.sort_by_key(|(number, _)| **number);
        let surplus = (draining.len() + 1).saturating_sub(self.settings.workers.max(2));
        for (number, worker) in draining.into_iter().take(surplus) {
            tracing::warn!(
                worker = number,
                process_id = worker.process_id,
                "too many workers let go; ending the oldest"
            );
            send_signal(worker.process_id, libc::SIGKILL);
        }
    }

    fn drain(&mut self, number: u64) {
        if let Some(worker) = self.workers.get_mut(&number) {
            worker.state = State::Draining;
            send_signal(worker.process_id, libc::SIGTERM);
        }
    }

    fn start_worker(&mut self, replaces: Option<u64>) -> Result<(), ServerError> {
        let number = self.next_number;
        self.next_number += 1;
        let orders = Orders { settings: self.settings.clone(), mongodb: self.mongodb.clone(), worker: number };
        let (child, control) = spawn(&self.listeners)?;
        // A child that was never waited for has an id.
        let process_id = child.id().unwrap_or_default();
        self.workers.insert(number, Worker { process_id, state: State::Starting, replaces });
        tokio::spawn(attend(number, orders, child, control, self.events.clone()));
        Ok(())
    }

    /// Tells all workers to finish and waits for them, up to their deadline. A second signal ends everything at once.
    async fn stop(mut self, mut inbox: mpsc::Receiver<Event>, mut signals: StopSignals) {
        // New connections are refused from here on.
        self.listeners.clear();
        let numbers: Vec<u64> = self.workers.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.drain(number));
        let deadline = Instant::now() + self.settings.shutdown_deadline.0 + GRACE;
        while !self.workers.is_empty() {
            tokio::select! {
                event = inbox.recv() => match event {
                    Some(Event::Exited(number, _)) => drop(self.workers.remove(&number)),
                    // A worker that was still starting when it was told to stop.
                    Some(Event::Ready(number)) => self.drain(number),
                    Some(Event::Wounded(_) | Event::StartAnother) | None => {}
                },
                signal = signals.next() => {
                    self.kill_all();
                    exit_now(signal.exit_code());
                }
                () = tokio::time::sleep_until(deadline) => {
                    tracing::error!("workers do not end; killing them");
                    self.kill_all();
                    return;
                }
            }
        }
    }

    fn kill_all(&self) {
        self.workers.values().for_each(|worker| send_signal(worker.process_id, libc::SIGKILL));
    }
}

/// Gives a worker its orders, then passes on what it says until it ends.
async fn attend(number: u64, orders: Orders, mut child: Child, control: UnixStream, events: mpsc::Sender<Event>) {
    let (reading, mut writing) = control.into_split();
    let mut line = serde_json::to_vec(&orders).expect("orders are plain data");
    line.push(b'\n');
    // A worker that died early is noticed below.
    let _ = writing.write_all(&line).await;
    let mut lines = BufReader::new(reading).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let event = match line.as_str() {
            READY => Event::Ready(number),
            WOUNDED => Event::Wounded(number),
            _ => continue,
        };
        if events.send(event).await.is_err() {
            break;
        }
    }
    let status = child.wait().await;
    // The worker ends when this end of the socket is closed: it is kept until here.
    drop(writing);
    let _ = events.send(Event::Exited(number, status)).await;
}

/// Starts this program as a worker that inherits the listening sockets and one end of a control socket.
fn spawn(listeners: &[TcpListener]) -> Result<(Child, UnixStream), ServerError> {
    let (ours, theirs) = StdUnixStream::pair().map_err(ServerError::system("making a control socket"))?;
    ours.set_nonblocking(true).map_err(ServerError::system("making a control socket"))?;
    let ours = UnixStream::from_std(ours).map_err(ServerError::system("making a control socket"))?;
    let executable = std::env::current_exe().map_err(ServerError::system("finding this program"))?;
    let mut command = StdCommand::new(executable);
    command.arg("worker").arg("--control-fd").arg(theirs.as_raw_fd().to_string());
    let mut inherited: Vec<RawFd> = vec![theirs.as_raw_fd()];
    for listener in listeners {
        command.arg("--listener-fd").arg(listener.as_raw_fd().to_string());
        inherited.push(listener.as_raw_fd());
    }
    command.stdin(Stdio::null());
    // SAFETY: between fork and exec only fcntl is called, which is async-signal-safe; nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            for descriptor in &inherited {
                if libc::fcntl(*descriptor, libc::F_SETFD, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    let child = command.spawn().map_err(ServerError::system("starting a worker process"))?;
    Ok((child, ours))
}

fn send_signal(process_id: u32, signal: libc::c_int) {
    let Ok(process_id) = libc::pid_t::try_from(process_id) else { return };
    if process_id > 0 {
        // SAFETY: a plain system call. The child has not been waited for while we know it, so the id is still its own.
        unsafe { libc::kill(process_id, signal) };
    }
}
