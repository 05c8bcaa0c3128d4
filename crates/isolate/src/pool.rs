//! The pool: a bounded queue, JavaScript threads that take from it, and what replaces a lost thread.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::source::CodeCache;
use crate::warm::IsolateKey;
use crate::watchdog::{Slot, ThreadLife};
use crate::{AppCode, Host, Invocation, IsolateError, Limits, Outcome, RunErrorKind, Usage, failure, platform, worker};

/// Sizes of a pool.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// JavaScript threads. An isolate belongs to one of them for life.
    pub threads: usize,
    /// Isolates a thread may hold, busy and idle; about 2.5 MB each when idle. Also its runs at once.
    pub isolates_per_thread_max: usize,
    /// Unused contexts kept ready per idle isolate, about 0.3 MB each.
    pub spare_contexts: usize,
    /// Runs that may wait for a thread; more are refused as overloaded.
    pub queue_max: usize,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get),
            isolates_per_thread_max: 128,
            spare_contexts: 1,
            queue_max: 4096,
        }
    }
}

/// Counters of a pool. All but the first three only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// Isolates alive on live threads, busy and idle.
    pub isolates: usize,
    /// Runs under way.
    pub runs_active: usize,
    /// Runs waiting for a thread.
    pub runs_queued: usize,
    /// Runs ended, good or bad.
    pub runs_total: u64,
    /// Isolates made.
    pub isolates_created: u64,
    /// Isolates thrown away because a run in them was stopped.
    pub isolates_discarded: u64,
    /// Threads given up because V8 did not come back. They may hold locks and memory: after the first, drain this
    /// process and let its supervisor replace it.
    pub threads_parked: usize,
}

/// Runs invocations on JavaScript threads of its own.
#[derive(Clone)]
pub struct IsolatePool {
    shared: Arc<PoolShared>,
}

/// A run on its way to a thread.
pub(crate) struct Job {
    pub(crate) invocation: Invocation,
    pub(crate) key: IsolateKey,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) front: tokio::runtime::Handle,
    pub(crate) reply: oneshot::Sender<Outcome>,
}

pub(crate) struct PoolShared {
    pub(crate) options: PoolOptions,
    pub(crate) snapshot: &'static [u8],
    queue: Mutex<VecDeque<Job>>,
    queued: AtomicUsize,
    workers: Mutex<Vec<Arc<WorkerShared>>>,
    caches: Mutex<HashMap<String, DeploymentCache>>,
    draining: AtomicBool,
    /// The pool's owner is gone: threads end.
    closing: AtomicBool,
    pub(crate) idle: Notify,
    pub(crate) counters: Counters,
}

/// Compiled code of a deployment, kept as long as somebody holds the deployment.
type DeploymentCache = (Weak<AppCode>, Arc<CodeCache>);

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) runs_active: AtomicUsize,
    pub(crate) runs_total: AtomicU64,
    pub(crate) isolates_created: AtomicU64,
    pub(crate) isolates_discarded: AtomicU64,
    pub(crate) threads_parked: AtomicUsize,
}

/// What other threads know of a JavaScript thread.
pub(crate) struct WorkerShared {
    pub(crate) wake: Notify,
    /// True while it executes JavaScript and so takes no new run.
    pub(crate) executing: AtomicBool,
    pub(crate) active: AtomicUsize,
    pub(crate) isolates: AtomicUsize,
    /// Runs it holds, so that somebody can answer for it when it is lost.
    pub(crate) in_flight: Mutex<HashMap<u64, InFlight>>,
    pub(crate) life: Mutex<Option<Arc<ThreadLife>>>,
}

pub(crate) struct InFlight {
    pub(crate) reply: oneshot::Sender<Outcome>,
    pub(crate) slot: Arc<Slot>,
    pub(crate) limits: Limits,
}

impl IsolatePool {
    /// Starts the threads. [`crate::init_platform`] must have run on the main thread. The first call in a process makes
    /// the start-up snapshot (about 60 ms).
    pub fn new(options: PoolOptions) -> Result<Self, IsolateError> {
        let snapshot = platform::start_up_snapshot()?;
        platform::keep_anchor_isolate(snapshot)?;
        let threads = options.threads.max(1);
        let shared = Arc::new(PoolShared {
            options,
            snapshot,
            queue: Mutex::default(),
            queued: AtomicUsize::new(0),
            workers: Mutex::default(),
            caches: Mutex::default(),
            draining: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            idle: Notify::new(),
            counters: Counters::default(),
        });
        for _ in 0..threads {
            shared.start_worker()?;
        }
        Ok(Self { shared })
    }

    /// Runs one invocation to its end, whether or not the caller goes on waiting. Must be called inside a tokio runtime:
    /// the host's operations run there.
    pub async fn run(&self, invocation: Invocation, host: Arc<dyn Host>) -> Outcome {
        let refused = |kind| Outcome {
            result: Err(failure::stopped(kind, &invocation.limits)),
            console: Vec::new(),
            usage: Usage::default(),
        };
        if self.shared.draining.load(SeqCst) {
            return refused(RunErrorKind::Draining);
        }
        if self.shared.queued.load(Relaxed) >= self.shared.options.queue_max {
            return refused(RunErrorKind::Overloaded);
        }
        let crashed = refused(RunErrorKind::Crashed);
        let (reply, outcome) = oneshot::channel();
        let key = IsolateKey::new(&invocation.code, &invocation.limits);
        self.shared.push(Job { invocation, key, host, front: tokio::runtime::Handle::current(), reply });
        outcome.await.unwrap_or(crashed)
    }

    /// Counters as of now.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        let counters = &self.shared.counters;
        PoolStatus {
            isolates: self.shared.workers.lock().iter().map(|worker| worker.isolates.load(Relaxed)).sum(),
            runs_active: counters.runs_active.load(Relaxed),
            runs_queued: self.shared.queued.load(Relaxed),
            runs_total: counters.runs_total.load(Relaxed),
            isolates_created: counters.isolates_created.load(Relaxed),
            isolates_discarded: counters.isolates_discarded.load(Relaxed),
            threads_parked: counters.threads_parked.load(Relaxed),
        }
    }

    /// Refuses new runs from now on and waits until the ones under way and waiting have ended.
    pub async fn drain(&self) {
        self.shared.draining.store(true, SeqCst);
        loop {
            let idle = self.shared.idle.notified();
            if self.shared.queued.load(SeqCst) == 0 && self.shared.counters.runs_active.load(SeqCst) == 0 {
                return;
            }
            tokio::select! {
                () = idle => {}
                // A thread may be lost between the two looks above.
                () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {}
            }
        }
    }
}

impl Drop for IsolatePool {
    fn drop(&mut self) {
        // The threads hold the other references; the last handle of the owner ends them.
        if Arc::strong_count(&self.shared) <= 1 + self.shared.workers.lock().len() {
            self.shared.closing.store(true, SeqCst);
            self.shared.wake_all();
        }
    }
}

impl PoolShared {
    fn start_worker(self: &Arc<Self>) -> Result<(), IsolateError> {
        let worker = Arc::new(WorkerShared {
            wake: Notify::new(),
            executing: AtomicBool::new(false),
            active: AtomicUsize::new(0),
            isolates: AtomicUsize::new(0),
            in_flight: Mutex::default(),
            life: Mutex::new(None),
        });
        self.workers.lock().push(worker.clone());
        let shared = self.clone();
        std::thread::Builder::new()
            .name("javascript".to_owned())
            // V8 takes about 1 MB of it; natives that recurse have the rest.
            .stack_size(8 << 20)
            .spawn(move || worker::main(&shared, &worker))?;
        Ok(())
    }

    fn push(&self, job: Job) {
        {
            let mut queue = self.queue.lock();
            queue.push_back(job);
            self.queued.store(queue.len(), SeqCst);
        }
        self.wake_one();
    }

    /// Wakes the least busy thread that is not executing JavaScript now; all of them when every one is.
    pub(crate) fn wake_one(&self) {
        let workers = self.workers.lock();
        let free = workers.iter().filter(|worker| !worker.executing.load(SeqCst));
        match free.min_by_key(|worker| worker.active.load(Relaxed)) {
            Some(worker) => worker.wake.notify_one(),
            None => workers.iter().for_each(|worker| worker.wake.notify_one()),
        }
    }

    fn wake_all(&self) {
        self.workers.lock().iter().for_each(|worker| worker.wake.notify_one());
    }

    /// The next run for a thread: among the oldest few the first for which it has an idle isolate, else the oldest.
    pub(crate) fn take(&self, has_isolate: impl Fn(&IsolateKey) -> bool) -> Option<Job> {
        let mut queue = self.queue.lock();
        let index = queue.iter().take(16).position(|job| has_isolate(&job.key)).unwrap_or(0);
        let job = queue.remove(index);
        self.queued.store(queue.len(), SeqCst);
        job
    }

    pub(crate) fn has_queued(&self) -> bool {
        self.queued.load(SeqCst) > 0
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(SeqCst)
    }

    /// Code caches of a deployment. Those of deployments that nobody holds any more are dropped on the way.
    pub(crate) fn cache(&self, code: &Arc<AppCode>) -> Arc<CodeCache> {
        let mut caches = self.caches.lock();
        if let Some((_, cache)) = caches.get(&code.key) {
            return cache.clone();
        }
        caches.retain(|_, (code, _)| code.strong_count() > 0);
        let cache = Arc::new(CodeCache::default());
        caches.insert(code.key.clone(), (Arc::downgrade(code), cache.clone()));
        cache
    }

    /// A thread was parked: answers for its runs and puts another in its place. Runs on the watchdog's thread.
    pub(crate) fn worker_lost(self: &Arc<Self>, lost: &Arc<WorkerShared>) {
        self.counters.threads_parked.fetch_add(1, Relaxed);
        self.workers.lock().retain(|worker| !Arc::ptr_eq(worker, lost));
        let runs: Vec<InFlight> = lost.in_flight.lock().drain().map(|(_, run)| run).collect();
        tracing::error!(runs = runs.len(), "a JavaScript thread did not come back from V8 and was parked");
        for run in runs {
            let kind = if run.slot.is_executing() { run.slot.verdict() } else { None }.unwrap_or(RunErrorKind::Crashed);
            let usage = Usage { wall: run.slot.wall(), cpu: run.slot.cpu(), ..Usage::default() };
            run.slot.end();
            self.counters.runs_active.fetch_sub(1, SeqCst);
            self.counters.runs_total.fetch_add(1, Relaxed);
            // The caller may have stopped waiting.
            let _ = run.reply.send(Outcome {
                result: Err(failure::stopped(kind, &run.limits)),
                console: Vec::new(),
                usage,
            });
        }
        self.idle.notify_waiters();
        if let Err(error) = self.start_worker() {
            tracing::error!(%error, "cannot replace a lost JavaScript thread");
        }
        self.wake_all();
    }
}
