//! Stops runs that exceed their time, from a thread of its own.
//!
//! One [`Slot`] per run. The JavaScript thread opens a slice while it executes JavaScript of the run; CPU time counts
//! only then, wall time always. The watchdog sleeps until the earliest moment at which any limit can be exceeded. It
//! terminates while it holds the slot's lock and only if the run has not ended, so it can never stop the next run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use deno_core::v8;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::{RunErrorKind, crash};

/// How long V8 may ignore a termination before its thread is given up.
const TERMINATION_GRACE: Duration = Duration::from_millis(500);
/// While anything executes, lost threads are looked for this often.
const LOST_CHECK: Duration = Duration::from_millis(50);

/// A JavaScript thread as the watchdog sees it.
pub(crate) struct ThreadLife {
    /// Set, possibly inside a signal handler, when the thread has been parked.
    pub(crate) lost: &'static AtomicBool,
    thread: libc::pthread_t,
    clock: libc::clockid_t,
    on_lost: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl ThreadLife {
    /// Describes the current thread and adopts it; `on_lost` runs on the watchdog's thread, at most once.
    pub(crate) fn adopt_current(on_lost: impl FnOnce() + Send + 'static) -> Arc<Self> {
        // Leaked: the flag is written from signal handlers, also when everything else of the thread is gone. One byte
        // per JavaScript thread of the process.
        let lost: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        crash::adopt_thread(lost);
        // SAFETY: pthread_self has no preconditions, and the clock of a live thread always exists.
        let (thread, clock) = unsafe {
            let thread = libc::pthread_self();
            let mut clock = 0;
            libc::pthread_getcpuclockid(thread, &mut clock);
            (thread, clock)
        };
        Arc::new(Self { lost, thread, clock, on_lost: Mutex::new(Some(Box::new(on_lost))) })
    }

    fn report_lost(&self) {
        let handler = self.on_lost.lock().take();
        if let Some(handler) = handler {
            handler();
        }
    }
}

/// CPU time of a thread so far.
fn cpu_time(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid out pointer; an unknown clock leaves it at zero.
    unsafe { libc::clock_gettime(clock, &mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Time and verdict of one run.
pub(crate) struct Slot {
    inner: Mutex<SlotState>,
    /// Woken when the run is stopped while it waits.
    pub(crate) stopped: Notify,
    life: Arc<ThreadLife>,
    handle: v8::IsolateHandle,
    started: Instant,
}

struct SlotState {
    wall_deadline: Instant,
    cpu_left: Duration,
    cpu_used: Duration,
    /// CPU time of the thread when the open slice began.
    slice: Option<Duration>,
    verdict: Option<RunErrorKind>,
    terminated_at: Option<Instant>,
    parking: bool,
    ended: bool,
}

impl Slot {
    /// A slot for a run that starts now; the watchdog looks after it until [`Slot::end`].
    pub(crate) fn start(
        life: Arc<ThreadLife>,
        handle: v8::IsolateHandle,
        wall_max: Duration,
        cpu_max: Duration,
    ) -> Arc<Self> {
        let started = Instant::now();
        let slot = Arc::new(Self {
            inner: Mutex::new(SlotState {
                wall_deadline: started + wall_max,
                cpu_left: cpu_max,
                cpu_used: Duration::ZERO,
                slice: None,
                verdict: None,
                terminated_at: None,
                parking: false,
                ended: false,
            }),
            stopped: Notify::new(),
            life,
            handle,
            started,
        });
        Watchdog::get().add(slot.clone());
        slot
    }

    /// JavaScript of the run is about to execute on the current thread. False when the run has been stopped.
    pub(crate) fn open_slice(&self) -> bool {
        let now = cpu_time(self.life.clock);
        let mut state = self.inner.lock();
        if state.verdict.is_some() {
            return false;
        }
        state.slice = Some(now);
        let earliest = (Instant::now() + state.cpu_left).min(state.wall_deadline);
        drop(state);
        Watchdog::get().wake_by(earliest);
        true
    }

    /// The JavaScript has returned. Gives the verdict, when there is one.
    pub(crate) fn close_slice(&self) -> Option<RunErrorKind> {
        let now = cpu_time(self.life.clock);
        let mut state = self.inner.lock();
        if let Some(begin) = state.slice.take() {
            let used = now.saturating_sub(begin);
            state.cpu_used += used;
            state.cpu_left = state.cpu_left.saturating_sub(used);
        }
        state.verdict
    }

    /// Stops the run for `kind`, from any thread. The first cause stays.
    pub(crate) fn stop(&self, kind: RunErrorKind) {
        let mut state = self.inner.lock();
        self.stop_locked(&mut state, kind);
    }

    fn stop_locked(&self, state: &mut SlotState, kind: RunErrorKind) {
        if state.ended || state.verdict.is_some() {
            return;
        }
        state.verdict = Some(kind);
        if state.slice.is_some() {
            state.terminated_at = Some(Instant::now());
            self.handle.terminate_execution();
        }
        self.stopped.notify_one();
    }

    /// Why the run was stopped, if it was.
    pub(crate) fn verdict(&self) -> Option<RunErrorKind> {
        self.inner.lock().verdict
    }

    /// Wall clock since the start.
    pub(crate) fn wall(&self) -> Duration {
        self.started.elapsed()
    }

    /// CPU time of the closed slices.
    pub(crate) fn cpu(&self) -> Duration {
        self.inner.lock().cpu_used
    }

    /// Whether JavaScript of this run executes now, or did when its thread was lost.
    pub(crate) fn is_executing(&self) -> bool {
        self.inner.lock().slice.is_some()
    }

    /// The run is over; the watchdog forgets it and never touches its isolate again.
    pub(crate) fn end(&self) {
        self.inner.lock().ended = true;
    }
}

/// The thread that looks after every slot of the process.
struct Watchdog {
    slots: Mutex<Vec<Arc<Slot>>>,
    wake: Condvar,
    /// Nanoseconds after `epoch` until which the thread sleeps; `u64::MAX` without a limit.
    sleeping_until: AtomicU64,
    epoch: Instant,
}

impl Watchdog {
    fn get() -> &'static Self {
        static WATCHDOG: OnceLock<&'static Watchdog> = OnceLock::new();
        WATCHDOG.get_or_init(|| {
            let watchdog: &'static Self = Box::leak(Box::new(Self {
                slots: Mutex::new(Vec::new()),
                wake: Condvar::new(),
                sleeping_until: AtomicU64::new(u64::MAX),
                epoch: Instant::now(),
            }));
            std::thread::Builder::new()
                .name("watchdog".to_owned())
                .spawn(|| watchdog.watch())
                .expect("without its watchdog the process must not run user code");
            watchdog
        })
    }

    fn add(&self, slot: Arc<Slot>) {
        self.slots.lock().push(slot);
        // Ends an endless sleep only: while runs come and go the thread looks around every LOST_CHECK anyway, so that
        // an ordinary run costs no wake-up of it.
        self.wake_by(Instant::now() + LOST_CHECK);
    }

    /// Makes sure that the thread looks again at `moment` or before.
    fn wake_by(&self, moment: Instant) {
        let nanos = u64::try_from(moment.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX - 1);
        if nanos < self.sleeping_until.load(SeqCst) {
            let _slots = self.slots.lock();
            self.sleeping_until.fetch_min(nanos, SeqCst);
            self.wake.notify_one();
        }
    }

    fn watch(&self) {
        let mut slots = self.slots.lock();
        loop {
            // Cleared first: a slice that opens from here on lowers it again and is not lost.
            self.sleeping_until.store(u64::MAX, SeqCst);
            let now = Instant::now();
            let mut next: Option<Instant> = (!slots.is_empty()).then(|| now + LOST_CHECK);
            let mut lost = Vec::new();
            slots.retain(|slot| {
                let moment = slot.check(now);
                if slot.life.lost.load(SeqCst) {
                    lost.push(slot.life.clone());
                    return false;
                }
                match moment {
                    Some(moment) => {
                        next = Some(next.map_or(moment, |next| next.min(moment)));
                        true
                    }
                    None => false,
                }
            });
            if !lost.is_empty() {
                // Outside the lock: the handler fails runs and starts a thread.
                parking_lot::MutexGuard::unlocked(&mut slots, || lost.iter().for_each(|life| life.report_lost()));
                continue;
            }
            match next {
                None => self.wake.wait(&mut slots),
                Some(moment) => {
                    let nanos = u64::try_from(moment.saturating_duration_since(self.epoch).as_nanos());
                    let earlier = self.sleeping_until.fetch_min(nanos.unwrap_or(u64::MAX - 1), SeqCst);
                    if earlier == u64::MAX {
                        self.wake.wait_until(&mut slots, moment);
                    }
                }
            }
        }
    }
}

impl Slot {
    /// Applies the limits; gives the moment to look again, or `None` when the run has ended.
    fn check(&self, now: Instant) -> Option<Instant> {
        let mut state = self.inner.lock();
        if state.ended {
            return None;
        }
        let mut next = state.wall_deadline;
        if let Some(begin) = state.slice {
            next = next.min(now + LOST_CHECK);
            let used = cpu_time(self.life.clock).saturating_sub(begin);
            match state.cpu_left.checked_sub(used).filter(|left| !left.is_zero()) {
                Some(left) => next = next.min(now + left),
                None => self.stop_locked(&mut state, RunErrorKind::CpuTime),
            }
        }
        if now >= state.wall_deadline {
            self.stop_locked(&mut state, RunErrorKind::WallTime);
            next = now + LOST_CHECK;
        }
        if state.slice.is_some()
            && let Some(terminated_at) = state.terminated_at
        {
            if now >= terminated_at + TERMINATION_GRACE && !state.parking {
                state.parking = true;
                crash::park_thread(self.life.thread);
            }
            next = now + LOST_CHECK / 5;
        }
        Some(next)
    }
}
