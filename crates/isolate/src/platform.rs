//! Process-wide V8 set-up: flags, entropy, platform, fatal-error handlers, snapshot and anchor isolate.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use deno_core::{JsRuntime, RuntimeOptions, v8};

use crate::{IsolateError, crash, snapshot};

static INITIALISED: AtomicBool = AtomicBool::new(false);

/// V8 flags of this process. Frozen by [`init_platform`].
const FLAGS: &[&str] = &[
    "selvedge",
    // Room for deep but honest recursion inside the 8 MB stack of a worker; the limit is a RangeError, not a crash.
    "--stack-size=984",
    // A regular expression that backtracks without end continues on the linear-time engine where that is possible.
    "--enable-experimental-regexp-engine-on-excessive-backtracks",
    "--regexp-backtracks-before-fallback=10000",
    // The top compiler tier leaves the interrupt check out of a loop that calls a built-in, and built-ins have none, so
    // `for (;;) [0].fill(1)` could never be stopped. The tier below it (Maglev) checks in every iteration.
    "--no-turbofan",
    // SharedArrayBuffer is then defined only in contexts that ask for it, and none does.
    "--enable-sharedarraybuffer-per-context",
];

/// Sets V8 up for the process: once, on the main thread, before any other thread that enters an isolate exists
/// (memory protection keys of V8's code pages are inherited from it). Later calls do nothing.
pub fn init_platform() {
    if INITIALISED.swap(true, Relaxed) {
        return;
    }
    deno_core::v8_set_flags(FLAGS.iter().map(|flag| (*flag).to_owned()).collect());
    v8::V8::set_entropy_source(|bytes: &mut [u8]| getrandom::fill(bytes).is_ok());
    JsRuntime::init_platform(None);
    crash::install_process_handlers();
}

/// The start-up snapshot, made at the first call. It needs [`init_platform`] before.
pub(crate) fn start_up_snapshot() -> Result<&'static [u8], IsolateError> {
    static SNAPSHOT: OnceLock<Result<&'static [u8], String>> = OnceLock::new();
    if !INITIALISED.load(Relaxed) {
        return Err(IsolateError::PlatformNotInitialised);
    }
    SNAPSHOT
        .get_or_init(|| {
            // Always on a thread of its own with a generous stack: the caller may be a small test thread or be inside
            // an async runtime, where blocking is refused.
            std::thread::Builder::new()
                .name("snapshot".to_owned())
                .stack_size(8 << 20)
                .spawn(|| snapshot::build().map(|bytes| &*Box::leak(bytes)).map_err(|error| error.to_string()))
                .map_err(|error| error.to_string())?
                .join()
                .unwrap_or_else(|_| Err("the thread that makes the snapshot panicked".to_owned()))
        })
        .clone()
        .map_err(IsolateError::Runtime)
}

/// Keeps one isolate alive for the life of the process: the first isolate of a process and the last to go set up and
/// tear down V8's shared read-only heap, which costs more than the rest of an isolate.
pub(crate) fn keep_anchor_isolate(snapshot: &'static [u8]) -> Result<(), IsolateError> {
    static ANCHOR: OnceLock<Result<(), String>> = OnceLock::new();
    ANCHOR
        .get_or_init(|| {
            let (ready, is_ready) = std::sync::mpsc::channel();
            std::thread::Builder::new()
                .name("anchor".to_owned())
                .spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    let made = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
                        let context = runtime.enter();
                        let isolate = JsRuntime::try_new(RuntimeOptions {
                            extensions: vec![snapshot::extension()],
                            startup_snapshot: Some(snapshot),
                            ..RuntimeOptions::default()
                        })
                        .map_err(|error| error.to_string())?;
                        drop(context);
                        Ok((runtime, isolate))
                    });
                    // The receiver waits just below.
                    let _ = ready.send(made.as_ref().map(|_| ()).map_err(Clone::clone));
                    while made.is_ok() {
                        std::thread::park();
                    }
                })
                .map_err(|error| error.to_string())?;
            is_ready.recv().unwrap_or_else(|_| Err("the anchor's thread ended".to_owned()))
        })
        .clone()
        .map_err(IsolateError::Runtime)
}

/// Version of the JavaScript engine, such as `15.0.245.1`.
pub fn engine_version() -> &'static str {
    v8::V8::get_version()
}
