//! What happens to a JavaScript thread that V8 gives up on: it is parked for ever, and the process lives on.
//!
//! V8 aborts the process on some allocation failures whatever an embedder does, and a few of its C++ loops never look
//! at a termination request. Both are answered by never returning to V8 on that thread: the thread sleeps, the
//! watchdog notices its flag, fails the runs it held and starts a replacement. A parked thread may hold an allocator
//! lock, so the server drains and is replaced by its supervisor soon after ([`crate::PoolStatus::threads_parked`]).

use std::cell::Cell;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use deno_core::v8;

thread_local! {
    // Points to the `lost` flag of this JavaScript thread; null on every other thread. Constant initialisation and no
    // destructor, so that a signal handler may read it.
    static LOST_FLAG: Cell<*const AtomicBool> = const { Cell::new(std::ptr::null()) };
}

/// Marks the current thread as a JavaScript thread whose loss is reported through `flag`.
pub(crate) fn adopt_thread(flag: &'static AtomicBool) {
    LOST_FLAG.with(|cell| cell.set(flag));
}

/// The current thread is an ordinary thread again.
pub(crate) fn release_thread() {
    LOST_FLAG.with(|cell| cell.set(std::ptr::null()));
}

/// Parks a JavaScript thread for ever; returns at once on any other thread. Async-signal-safe.
fn park_if_javascript_thread() {
    let flag = LOST_FLAG.with(Cell::get);
    if flag.is_null() {
        return;
    }
    // SAFETY: `adopt_thread` takes a `'static` flag.
    unsafe { &*flag }.store(true, SeqCst);
    loop {
        // SAFETY: pause is async-signal-safe and has no preconditions.
        unsafe { libc::pause() };
    }
}

/// The signal by which the watchdog parks a thread that ignores termination.
fn park_signal() -> libc::c_int {
    libc::SIGRTMIN() + 3
}

/// Parks `thread`, which must be a live JavaScript thread.
pub(crate) fn park_thread(thread: libc::pthread_t) {
    // SAFETY: the caller vouches that the thread has not been joined.
    unsafe { libc::pthread_kill(thread, park_signal()) };
}

extern "C" fn on_park_signal(_signal: libc::c_int) {
    park_if_javascript_thread();
}

extern "C" fn on_abort_signal(signal: libc::c_int) {
    park_if_javascript_thread();
    // Another thread: die of the same signal, as without us.
    // SAFETY: signal and raise are async-signal-safe.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

unsafe extern "C" fn on_out_of_memory(_location: *const std::ffi::c_char, _details: &v8::OomDetails) {
    park_if_javascript_thread();
}

/// Makes heap exhaustion that V8 cannot survive park the thread instead of ending the process.
pub(crate) fn guard_isolate(isolate: &mut v8::Isolate) {
    isolate.set_oom_error_handler(on_out_of_memory);
}

/// Installs V8's fatal-error handler and the signal handlers, once per process.
pub(crate) fn install_process_handlers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        v8::V8::set_fatal_error_handler(|_file: &str, _line: i32, _message: &str| park_if_javascript_thread());
        for signal in [libc::SIGTRAP, libc::SIGILL, libc::SIGABRT] {
            install(signal, on_abort_signal);
        }
        install(park_signal(), on_park_signal);
    });
}

fn install(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: a zeroed sigaction is a valid one; the handlers only do what is async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}
