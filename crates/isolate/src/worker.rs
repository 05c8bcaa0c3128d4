//! A JavaScript thread: many isolates, one run at a time in each.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

use tokio::task::LocalSet;

use crate::pool::{InFlight, Job, PoolShared, WorkerShared};
use crate::warm::{IsolateKey, WarmIsolate};
use crate::watchdog::{Slot, ThreadLife};
use crate::{Outcome, RunErrorKind, Usage, crash, failure, run};

/// Idle isolates that nobody used for this long are dropped.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// How often a thread looks after its idle isolates, and how long one must have been idle to be trimmed. One is trimmed
/// at a time: it takes milliseconds, in which the thread runs nothing.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
const TRIM_AFTER: Duration = Duration::from_secs(1);

/// Isolates of this thread that no run has now, least recently used first.
struct Isolates {
    idle: Vec<WarmIsolate>,
    /// Busy and idle.
    count: usize,
}

/// The thread's whole life.
pub(crate) fn main(pool: &Arc<PoolShared>, worker: &Arc<WorkerShared>) {
    let life = {
        let (pool, worker) = (Arc::downgrade(pool), worker.clone());
        ThreadLife::adopt_current(move || {
            if let Some(pool) = pool.upgrade() {
                pool.worker_lost(&worker);
            }
        })
    };
    *worker.life.lock() = Some(life.clone());
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a JavaScript thread cannot start");
            return;
        }
    };
    let local = LocalSet::new();
    local.block_on(&runtime, serve(pool, worker, &life));
    crash::release_thread();
}

async fn serve(pool: &Arc<PoolShared>, worker: &Arc<WorkerShared>, life: &Arc<ThreadLife>) {
    let isolates = Rc::new(RefCell::new(Isolates { idle: Vec::new(), count: 0 }));
    let mut housekeeping = tokio::time::interval(LOOK_INTERVAL);
    housekeeping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        while worker.active.load(Relaxed) < pool.options.isolates_per_thread_max {
            let job = {
                let isolates = isolates.borrow();
                pool.take(|key| isolates.idle.iter().any(|isolate| isolate.key == *key))
            };
            let Some(job) = job else { break };
            pool.counters.runs_active.fetch_add(1, SeqCst);
            worker.active.fetch_add(1, SeqCst);
            let task = serve_job(pool.clone(), worker.clone(), life.clone(), isolates.clone(), job);
            tokio::task::spawn_local(task);
            // Lets the run start before the next is taken, and other threads help themselves meanwhile.
            tokio::task::yield_now().await;
        }
        if pool.is_closing() && worker.active.load(Relaxed) == 0 && !pool.has_queued() {
            break;
        }
        tokio::select! {
            () = worker.wake.notified() => {}
            _ = housekeeping.tick() => {
                let mut isolates = isolates.borrow_mut();
                let before = isolates.idle.len();
                isolates.idle.retain(|isolate| isolate.last_used.elapsed() < IDLE_MAX);
                isolates.count -= before - isolates.idle.len();
                worker.isolates.store(isolates.count, Relaxed);
                let watched = Watched { pool, worker };
                watched.enter();
                for isolate in isolates.idle.iter_mut().filter(|isolate| isolate.last_used.elapsed() >= TRIM_AFTER) {
                    if isolate.trim() {
                        break;
                    }
                }
                watched.leave();
            }
        }
    }
}

/// Takes an idle isolate for the key, or a place for a new one, evicting the least recently used when the thread is full.
fn reserve(isolates: &mut Isolates, key: &IsolateKey, isolates_max: usize) -> Option<WarmIsolate> {
    if let Some(index) = isolates.idle.iter().rposition(|isolate| isolate.key == *key) {
        return Some(isolates.idle.remove(index));
    }
    if isolates.count >= isolates_max && !isolates.idle.is_empty() {
        isolates.idle.remove(0);
        isolates.count -= 1;
    }
    isolates.count += 1;
    None
}

async fn serve_job(
    pool: Arc<PoolShared>,
    worker: Arc<WorkerShared>,
    life: Arc<ThreadLife>,
    isolates: Rc<RefCell<Isolates>>,
    job: Job,
) {
    static LAST_RUN: AtomicU64 = AtomicU64::new(0);
    let id = LAST_RUN.fetch_add(1, Relaxed);
    let Job { invocation, key, host, front, reply } = job;
    let reserved = reserve(&mut isolates.borrow_mut(), &key, pool.options.isolates_per_thread_max);
    let isolate = match reserved {
        Some(isolate) => Ok(isolate),
        None => {
            pool.counters.isolates_created.fetch_add(1, Relaxed);
            let cache = pool.cache(&invocation.code);
            WarmIsolate::new(pool.snapshot, invocation.code.clone(), cache, &invocation.limits)
        }
    };
    worker.isolates.store(isolates.borrow().count, Relaxed);
    let limits = invocation.limits.clone();
    let (outcome, kept) = match isolate {
        Ok(mut isolate) => {
            let slot = Slot::start(life, isolate.handle(), limits.wall_max, limits.cpu_max);
            worker.in_flight.lock().insert(id, InFlight { reply, slot: slot.clone(), limits: limits.clone() });
            let watched = Watched { pool: &pool, worker: &worker };
            let (outcome, clean) = run::run(&mut isolate, slot, invocation, host, front, &watched).await;
            // Gone when the thread was given up: then somebody else has answered.
            if let Some(run) = worker.in_flight.lock().remove(&id) {
                // The caller may have stopped waiting.
                let _ = run.reply.send(outcome);
            }
            let kept = clean && {
                watched.enter();
                let fit = isolate.maintain(pool.options.spare_contexts);
                watched.leave();
                fit
            };
            (
                None,
                kept.then_some(isolate).or_else(|| {
                    if !clean {
                        pool.counters.isolates_discarded.fetch_add(1, Relaxed);
                    }
                    None
                }),
            )
        }
        Err(error) => {
            tracing::error!(%error, "cannot make an isolate");
            let error = failure::stopped(RunErrorKind::Crashed, &limits);
            (Some((reply, Outcome { result: Err(error), console: Vec::new(), usage: Usage::default() })), None)
        }
    };
    if let Some((reply, outcome)) = outcome {
        let _ = reply.send(outcome);
    }
    {
        let mut isolates = isolates.borrow_mut();
        match kept {
            Some(isolate) => isolates.idle.push(isolate),
            None => isolates.count -= 1,
        }
        worker.isolates.store(isolates.count, Relaxed);
    }
    worker.active.fetch_sub(1, SeqCst);
    pool.counters.runs_total.fetch_add(1, Relaxed);
    if pool.counters.runs_active.fetch_sub(1, SeqCst) == 1 {
        pool.idle.notify_waiters();
    }
    worker.wake.notify_one();
}

/// Tells the other threads when this one executes JavaScript.
pub(crate) struct Watched<'a> {
    pool: &'a PoolShared,
    worker: &'a WorkerShared,
}

impl Watched<'_> {
    /// This thread will not look at the queue for a while; if something waits there, another thread should.
    pub(crate) fn enter(&self) {
        self.worker.executing.store(true, SeqCst);
        if self.pool.has_queued() {
            self.pool.wake_one();
        }
    }

    pub(crate) fn leave(&self) {
        self.worker.executing.store(false, SeqCst);
    }
}
