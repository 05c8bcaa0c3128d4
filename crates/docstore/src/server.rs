//! Sockets, connections and the life of the server.
//!
//! A connection is a thread: reads block, a slow client holds nothing but its own stack, and a command runs where its
//! bytes arrived. Invariant: whatever a client sends, other connections are unaffected.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bson::raw::{RawDocumentBuf, cstr};
use parking_lot::{Condvar, Mutex};

use crate::commands;
use crate::cursor::Cursors;
use crate::error::{CommandError, Error};
use crate::session::Sessions;
use crate::store::Store;
use crate::wire::{self, Broken};

/// Stack of a connection's thread: BSON of the greatest depth is walked by recursion.
const STACK_BYTES: usize = 16 * 1024 * 1024;
/// Longest path a unix socket can have on Linux, with its terminator.
const SOCKET_PATH_MAX: usize = 107;
const SOCKET_NAME: &str = "docstore.sock";

/// How to open a store. Every field has a default.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen besides the unix socket; loopback addresses only.
    pub listen: Option<SocketAddr>,
    /// The unix socket; by default `docstore.sock` in the data directory, or in a private directory below the system's
    /// temporary one when the data directory's path is too long for a socket.
    pub socket: Option<PathBuf>,
    /// Connections at a time; further ones are closed at once.
    pub connections_max: usize,
    /// Bytes of the engine's cache.
    pub cache_bytes: u64,
    /// Bytes the log of changes may take, which change streams read and resume in; the oldest changes go first. Set when
    /// the directory is first opened. 0: no log is kept, and there are no change streams.
    pub change_log_bytes: u64,
    /// Idle cursors are closed after this time.
    pub cursor_timeout: Duration,
    /// Idle sessions end after this time.
    pub session_timeout: Duration,
    /// Open transactions are aborted after this time.
    pub transaction_time_max: Duration,
    /// How often documents of TTL indexes are looked at.
    pub ttl_interval: Duration,
    /// How long [`Server::shutdown`] waits for running commands.
    pub shutdown_grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: None,
            socket: None,
            connections_max: 4_000,
            cache_bytes: 64 * 1024 * 1024,
            change_log_bytes: crate::store::LOG_BYTES,
            cursor_timeout: Duration::from_secs(600),
            session_timeout: Duration::from_secs(1_800),
            transaction_time_max: Duration::from_secs(60),
            ttl_interval: Duration::from_secs(60),
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

/// An open store that answers on its sockets. Dropping it is an unclean shutdown: safe, but running commands are cut.
pub struct Server {
    shared: Arc<Shared>,
    socket: PathBuf,
    /// Removed at shutdown when we made it.
    socket_directory: Option<PathBuf>,
    address: Option<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
    /// The listening sockets, to wake who waits at them.
    listening: Vec<UnixStream>,
}

/// What connections and background threads share.
pub struct Shared {
    /// The data.
    pub store: Arc<Store>,
    /// Open cursors.
    pub cursors: Cursors,
    /// Sessions.
    pub sessions: Sessions,
    /// Settings.
    pub options: Options,
    /// When the server started.
    pub started: Instant,
    /// Name of this member in `hello`.
    pub host: String,
    /// Commands answered so far.
    pub commands: AtomicU64,
    /// Connections accepted so far.
    pub accepted: AtomicU64,
    stopping: AtomicBool,
    connections: Mutex<Vec<(u64, Stream)>>,
    busy: AtomicUsize,
    changed: Condvar,
    changed_lock: Mutex<()>,
}

impl Shared {
    /// Connections open now.
    pub fn connection_count(&self) -> usize {
        self.connections.lock().len()
    }

    /// Is the server shutting down?
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn wait(&self, time: Duration) {
        let mut guard = self.changed_lock.lock();
        if !self.is_stopping() {
            self.changed.wait_for(&mut guard, time);
        }
    }
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
        })
    }

    fn close(&self) {
        // Closing what is closed already is fine.
        drop(match self {
            Self::Unix(stream) => stream.shutdown(std::net::Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(std::net::Shutdown::Both),
        });
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(buffer),
            Self::Tcp(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.flush(),
            Self::Tcp(stream) => stream.flush(),
        }
    }
}

/// Opens the store in a directory (made if missing, mode 0700) and listens.
///
/// Errors: [`Error::InUse`] while another process has it open; [`Error::Damaged`] when its files are not what was
/// written; [`Error::Directory`], [`Error::Listen`] with the system's reason.
pub fn open(directory: impl AsRef<Path>, options: Options) -> Result<Server, Error> {
    let directory = directory.as_ref();
    let trouble = |source| Error::Directory { path: directory.to_owned(), source };
    if let Some(address) = options.listen
        && !address.ip().is_loopback()
    {
        return Err(Error::Option {
            option: "listen",
            reason: format!("{address} is not a loopback address; the store has no access control of its own"),
        });
    }
    std::fs::create_dir_all(directory).map_err(trouble)?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).map_err(trouble)?;
    let directory = directory.canonicalize().map_err(trouble)?;
    let store = Store::open(&directory, options.cache_bytes, options.change_log_bytes)?;

    // The engine's lock is ours: a socket that is there now was left behind.
    let (socket, socket_directory) = socket_path(&directory, &options)?;
    let listen_error = |source| Error::Listen { address: socket.display().to_string(), source };
    match std::fs::remove_file(&socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(listen_error(error)),
        _ => {}
    }
    let unix = UnixListener::bind(&socket).map_err(listen_error)?;
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).map_err(listen_error)?;
    let tcp = match options.listen {
        Some(address) => {
            Some(TcpListener::bind(address).map_err(|source| Error::Listen { address: address.to_string(), source })?)
        }
        None => None,
    };
    let address = tcp.as_ref().and_then(|listener| listener.local_addr().ok());
    let host = address.map_or_else(|| socket.display().to_string(), |address| address.to_string());
    let shared = Arc::new(Shared {
        store,
        cursors: Cursors::new(options.cursor_timeout),
        sessions: Sessions::new(options.session_timeout, options.transaction_time_max),
        started: Instant::now(),
        host,
        commands: AtomicU64::new(0),
        accepted: AtomicU64::new(0),
        stopping: AtomicBool::new(false),
        connections: Mutex::new(Vec::new()),
        busy: AtomicUsize::new(0),
        changed: Condvar::new(),
        changed_lock: Mutex::new(()),
        options,
    });
    let mut threads = Vec::new();
    let mut spawn = |name: &str, run: Box<dyn FnOnce() + Send>| -> Result<(), Error> {
        let thread = std::thread::Builder::new()
            .name(format!("docstore-{name}"))
            .stack_size(STACK_BYTES)
            .spawn(run)
            .map_err(|error| Error::Storage(format!("cannot start a thread: {error}")))?;
        threads.push(thread);
        Ok(())
    };
    // Shutting a listening socket down ends the wait at it, also when its file is gone.
    let mut listening = vec![UnixStream::from(OwnedFd::from(unix.try_clone().map_err(listen_error)?))];
    if let Some(listener) = &tcp {
        listening.push(UnixStream::from(OwnedFd::from(listener.try_clone().map_err(listen_error)?)));
    }
    let accepting = Arc::clone(&shared);
    spawn("unix", Box::new(move || accept(&accepting, || unix.accept().map(|(stream, _)| Stream::Unix(stream)))))?;
    if let Some(listener) = tcp {
        let accepting = Arc::clone(&shared);
        spawn(
            "tcp",
            Box::new(move || {
                accept(&accepting, || {
                    let (stream, _) = listener.accept()?;
                    stream.set_nodelay(true)?;
                    Ok(Stream::Tcp(stream))
                });
            }),
        )?;
    }
    let store = Arc::clone(&shared.store);
    spawn("garbage", Box::new(move || store.collect_garbage()))?;
    let reaping = Arc::clone(&shared);
    spawn("reaper", Box::new(move || reap(&reaping)))?;
    let expiring = Arc::clone(&shared);
    spawn("ttl", Box::new(move || expire(&expiring)))?;
    Ok(Server { shared, socket, socket_directory, address, threads, listening })
}

fn socket_path(directory: &Path, options: &Options) -> Result<(PathBuf, Option<PathBuf>), Error> {
    if let Some(socket) = &options.socket {
        // Drivers know a unix socket by this ending.
        if socket.extension().is_none_or(|extension| extension != "sock") {
            return Err(Error::Option { option: "socket", reason: "its name must end in .sock".to_owned() });
        }
        return Ok((socket.clone(), None));
    }
    let path = directory.join(SOCKET_NAME);
    if path.as_os_str().len() <= SOCKET_PATH_MAX {
        return Ok((path, None));
    }
    let private = std::env::temp_dir().join(format!("docstore-{:016x}", crate::random_u64()));
    let trouble = |source| Error::Directory { path: private.clone(), source };
    std::fs::create_dir(&private).map_err(trouble)?;
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).map_err(trouble)?;
    Ok((private.join(SOCKET_NAME), Some(private)))
}

impl Server {
    /// The connection string for any MongoDB driver.
    pub fn uri(&self) -> String {
        let path = self.socket.display().to_string();
        // Drivers know a socket by the plain `.sock` at its end.
        const ENCODED: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC.remove(b'.');
        let host = percent_encoding::utf8_percent_encode(&path, ENCODED);
        format!("mongodb://{host}/?directConnection=true")
    }

    /// The TCP address, if it listens on one.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Stops accepting, lets running commands finish (up to [`Options::shutdown_grace`]), makes everything durable and
    /// closes the files.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        let (sender, receiver) = futures::channel::oneshot::channel();
        let thread = std::thread::Builder::new().name("docstore-shutdown".to_owned()).spawn(move || {
            let outcome = self.stop();
            let store = Arc::downgrade(&self.shared.store);
            drop(self);
            // The engine closes its files when the last connection's thread lets go of it.
            let deadline = Instant::now() + Duration::from_secs(5);
            while store.strong_count() > 0 && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            drop(sender.send(outcome));
        });
        match thread {
            Ok(_) => receiver.await.unwrap_or_else(|_| Err(Error::Storage("shutdown was interrupted".to_owned()))),
            Err(error) => Err(Error::Storage(format!("cannot start a thread: {error}"))),
        }
    }

    fn stop(&mut self) -> Result<(), Error> {
        if self.shared.stopping.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        drop(self.shared.changed_lock.lock());
        self.shared.changed.notify_all();
        for socket in &self.listening {
            // It fails only for a socket that is shut down already.
            drop(socket.shutdown(std::net::Shutdown::Both));
        }
        self.shared.store.stop();
        let deadline = Instant::now() + self.shared.options.shutdown_grace;
        while self.shared.busy.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        for (_, stream) in self.shared.connections.lock().iter() {
            stream.close();
        }
        while self.shared.connection_count() > 0 && Instant::now() < deadline + Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.shared.cursors.kill_where(|_| true);
        self.shared.sessions.abort_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
        drop(std::fs::remove_file(&self.socket));
        if let Some(directory) = &self.socket_directory {
            drop(std::fs::remove_dir(directory));
        }
        self.shared.store.storage().close().map_err(|error| Error::Storage(error.message))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.threads.is_empty()
            && let Err(error) = self.stop()
        {
            tracing::error!(%error, "the store did not close cleanly");
        }
    }
}

fn accept(shared: &Arc<Shared>, mut next: impl FnMut() -> io::Result<Stream>) {
    loop {
        let stream = next();
        if shared.is_stopping() {
            return;
        }
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: others may be closed soon.
                tracing::warn!(%error, "cannot accept a connection");
                shared.wait(Duration::from_millis(50));
                continue;
            }
        };
        let id = shared.accepted.fetch_add(1, Ordering::AcqRel) + 1;
        let Ok(handle) = stream.try_clone() else { continue };
        {
            let mut connections = shared.connections.lock();
            if connections.len() >= shared.options.connections_max {
                tracing::warn!(limit = shared.options.connections_max, "too many connections; closing a new one");
                continue;
            }
            connections.push((id, handle));
        }
        let serving = Arc::clone(shared);
        let spawned =
            std::thread::Builder::new().name(format!("docstore-{id}")).stack_size(STACK_BYTES).spawn(move || {
                serve(&serving, id, stream);
                forget(&serving, id);
            });
        if let Err(error) = spawned {
            tracing::warn!(%error, "cannot start a thread for a connection");
            forget(shared, id);
        }
    }
}

fn forget(shared: &Shared, id: u64) {
    shared.connections.lock().retain(|(other, _)| *other != id);
}

/// Counts a running command, so that shutdown can wait for it.
struct Busy<'a>(&'a Shared);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

fn serve(shared: &Arc<Shared>, id: u64, stream: Stream) {
    static REPLY_ID: AtomicI32 = AtomicI32::new(1);
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::with_capacity(16 * 1024, stream);
    let mut connection = commands::Connection::new(id);
    loop {
        let mut message = match wire::read(&mut reader) {
            Ok(message) => message,
            Err(Broken::Closed) => return,
            Err(Broken::Garbage(reason)) => {
                tracing::warn!(connection = id, reason, "closing a connection that does not speak the protocol");
                writer.close();
                return;
            }
        };
        shared.busy.fetch_add(1, Ordering::AcqRel);
        let busy = Busy(shared);
        if shared.is_stopping() {
            return;
        }
        shared.commands.fetch_add(1, Ordering::Relaxed);
        let (form, request, wants_reply) = (message.form, message.id, message.wants_reply);
        let reply = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            commands::run(shared, &mut connection, &mut message)
        }))
        .unwrap_or_else(|_| {
            tracing::error!(connection = id, "a command panicked");
            let error = CommandError::internal("the command failed by a mistake of the store; see its log");
            crate::bytes::raw_from_document(&error.to_reply()).unwrap_or_default()
        });
        if wants_reply {
            let reply_id = REPLY_ID.fetch_add(1, Ordering::Relaxed);
            if wire::write(&mut writer, form, reply_id, request, &reply).is_err() {
                return;
            }
        }
        drop(busy);
    }
}

fn reap(shared: &Arc<Shared>) {
    while !shared.is_stopping() {
        shared.wait(Duration::from_secs(1));
        shared.cursors.reap();
        let ended = shared.sessions.reap();
        if !ended.is_empty() {
            shared.cursors.kill_where(|cursor| cursor.owner.0.as_ref().is_some_and(|owner| ended.contains(owner)));
            commands::forget_retryable(shared, &ended);
        }
    }
}

fn expire(shared: &Arc<Shared>) {
    while !shared.is_stopping() {
        shared.wait(shared.options.ttl_interval);
        if !shared.is_stopping() {
            commands::expire_documents(shared);
        }
    }
}

/// `{ ok: 1 }` and further fields, as raw bytes.
pub fn with_cluster_time(mut reply: RawDocumentBuf, time: bson::Timestamp) -> RawDocumentBuf {
    reply.append(cstr!("$clusterTime"), {
        let mut cluster = RawDocumentBuf::new();
        cluster.append(cstr!("clusterTime"), time);
        let mut signature = RawDocumentBuf::new();
        signature
            .append(cstr!("hash"), bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![0; 20] });
        signature.append(cstr!("keyId"), 0_i64);
        cluster.append(cstr!("signature"), signature);
        cluster
    });
    reply.append(cstr!("operationTime"), time);
    reply
}
