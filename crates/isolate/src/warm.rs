//! One isolate of one app: its runtime, its contexts, its compiled sources.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Instant;

use deno_core::{JsRuntime, PollEventLoopOptions, RuntimeOptions, v8};

use crate::memory::ArrayBudget;
use crate::realm::{Realm, Realms};
use crate::source::{CodeCache, Scripts};
use crate::state::IsolateState;
use crate::watchdog::Slot;
use crate::{AppCode, IsolateError, Limits, RunErrorKind, crash, snapshot, stack};

/// Heap granted at a time, after the limit is reached, so that the built-in under way can end and the termination unwind.
const UNWIND_STEP_BYTES: usize = 32 << 20;
/// Heap granted altogether. V8 looks at a termination only every few thousand iterations of an interpreted loop, and
/// each may make kilobytes; when this is not enough it gives up the thread (`crate::crash`).
const UNWIND_BYTES_MAX: usize = 256 << 20;
/// Heap of an isolate before any user code: snapshot, spare contexts, compiled code.
const BASELINE_BYTES: usize = 8 << 20;
/// Contexts that may die before a full collection.
const CONTEXTS_PER_COLLECTION: u32 = 32;
/// Runs after which an isolate is replaced, whatever its state.
const RUNS_MAX: u32 = 2_000;
/// Heap above the first measurement at which an isolate is replaced after a collection.
const HEAP_GROWTH_BYTES_MAX: usize = 12 << 20;

/// External memory V8 believes in; beyond it, it gives up.
const PRESSURE_BYTES_MAX: usize = 32 << 30;

/// One full collection, at once: external memory is announced that is more than half of the heap limit, which V8 answers
/// by collecting, and taken back. `low_memory_notification` makes several collections and gives freed pages back to the
/// system, which the next contexts then fault in again; with one every 32 contexts that is a third of a context's cost.
pub(crate) fn collect_garbage(isolate: &mut v8::Isolate) {
    let pressure = (isolate.get_heap_statistics().heap_size_limit() / 2 + (64 << 20)).min(PRESSURE_BYTES_MAX);
    let pressure = i64::try_from(pressure).expect("bounded");
    isolate.adjust_amount_of_external_allocated_memory(pressure);
    isolate.adjust_amount_of_external_allocated_memory(-pressure);
}

/// A deno_core runtime that is entered only while it is used, so that many share a thread.
pub(crate) struct Runtime(ManuallyDrop<JsRuntime>);

impl Runtime {
    /// Needs a tokio context: V8 posts delayed tasks.
    pub(crate) fn new(
        snapshot: &'static [u8],
        params: v8::CreateParams,
        budget: &Arc<ArrayBudget>,
    ) -> Result<Self, IsolateError> {
        let options = RuntimeOptions {
            extensions: vec![snapshot::extension()],
            startup_snapshot: Some(snapshot),
            create_params: Some(params.array_buffer_allocator(budget.allocator()).allow_atomics_wait(false)),
            ..RuntimeOptions::default()
        };
        let mut runtime = JsRuntime::try_new(options).map_err(|error| IsolateError::Runtime(error.to_string()))?;
        // SAFETY: creation entered the isolate on this thread; it is entered again for every use.
        unsafe { runtime.v8_isolate().exit() };
        Ok(Self(ManuallyDrop::new(runtime)))
    }

    pub(crate) fn with<R>(&mut self, work: impl FnOnce(&mut JsRuntime) -> R) -> R {
        /// Leaves the isolate on every way out, a panic included.
        struct Exit(v8::UnsafeRawIsolatePtr);
        impl Drop for Exit {
            fn drop(&mut self) {
                // SAFETY: the isolate outlives the call to `with`, which entered it.
                unsafe { v8::Isolate::from_raw_isolate_ptr(self.0).exit() };
            }
        }
        // SAFETY: the isolate belongs to this thread and is alive as long as `self`.
        let _exit = unsafe {
            let pointer = self.0.v8_isolate().as_raw_isolate_ptr();
            self.0.v8_isolate().enter();
            Exit(pointer)
        };
        work(&mut self.0)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // SAFETY: deno_core expects the isolate to be entered when it is dropped, and leaves it.
        unsafe {
            self.0.v8_isolate().enter();
            ManuallyDrop::drop(&mut self.0);
        }
    }
}

/// What the near-heap-limit callback needs to know about the run that has the isolate.
#[derive(Default)]
struct HeapGuard {
    slot: RefCell<Option<Arc<Slot>>>,
    granted_bytes: Cell<usize>,
    denied_seen: Cell<usize>,
}

impl HeapGuard {
    fn near_limit(&self, budget: &ArrayBudget, current: usize) -> usize {
        let denied = budget.denied();
        if denied != self.denied_seen.replace(denied) {
            // A refused ArrayBuffer makes V8 call although its own heap may be small. The script gets a RangeError.
            return current;
        }
        if let Some(slot) = &*self.slot.borrow() {
            slot.stop(RunErrorKind::Heap);
        }
        let granted = self.granted_bytes.get();
        if granted >= UNWIND_BYTES_MAX {
            return current;
        }
        self.granted_bytes.set(granted + UNWIND_STEP_BYTES);
        current + UNWIND_STEP_BYTES
    }
}

/// What decides whether an isolate fits a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct IsolateKey {
    pub(crate) code: String,
    pub(crate) heap_bytes_max: usize,
}

impl IsolateKey {
    pub(crate) fn new(code: &AppCode, limits: &Limits) -> Self {
        Self { code: code.key.clone(), heap_bytes_max: limits.heap_bytes_max }
    }
}

/// An isolate of one app on one thread.
pub(crate) struct WarmIsolate {
    // Dropped in this order: what refers to the isolate before the isolate.
    realms: Realms,
    pub(crate) scripts: Rc<Scripts>,
    pub(crate) state: Rc<IsolateState>,
    guard: Rc<HeapGuard>,
    runtime: Runtime,
    pub(crate) key: IsolateKey,
    pub(crate) last_used: Instant,
    pub(crate) runs: u32,
    contexts_since_collection: u32,
    /// Whether anything has run since the last trim.
    has_garbage: bool,
    baseline_bytes: usize,
    heap_before_bytes: usize,
}

impl WarmIsolate {
    pub(crate) fn new(
        snapshot: &'static [u8],
        code: Arc<AppCode>,
        cache: Arc<CodeCache>,
        limits: &Limits,
    ) -> Result<Self, IsolateError> {
        let key = IsolateKey::new(&code, limits);
        let budget = ArrayBudget::new(limits.array_buffer_bytes_max);
        let params = v8::CreateParams::default().heap_limits(0, BASELINE_BYTES + limits.heap_bytes_max);
        let mut runtime = Runtime::new(snapshot, params, &budget)?;
        let guard = Rc::new(HeapGuard::default());
        let (state, baseline_bytes) = runtime.with(|runtime| {
            let (callback_guard, callback_budget) = (guard.clone(), budget.clone());
            runtime.add_near_heap_limit_callback(move |current, _initial| {
                callback_guard.near_limit(&callback_budget, current)
            });
            let isolate = runtime.v8_isolate();
            crash::guard_isolate(isolate);
            stack::install_callbacks(isolate);
            let state = IsolateState::install(isolate, budget);
            (state, isolate.get_heap_statistics().used_heap_size())
        });
        Ok(Self {
            realms: Realms::new(),
            scripts: Rc::new(Scripts::new(code, cache)),
            state,
            guard,
            runtime,
            key,
            last_used: Instant::now(),
            runs: 0,
            contexts_since_collection: 0,
            has_garbage: false,
            baseline_bytes,
            heap_before_bytes: baseline_bytes,
        })
    }

    /// A handle by which other threads stop this isolate.
    pub(crate) fn handle(&mut self) -> v8::IsolateHandle {
        self.runtime.with(|runtime| runtime.v8_isolate().thread_safe_handle())
    }

    /// Prepares for a run: limits, baseline, a context.
    pub(crate) fn begin(&mut self, slot: &Arc<Slot>, limits: &Limits) -> Option<Realm> {
        self.runs += 1;
        self.last_used = Instant::now();
        self.state.budget.set_limit(limits.array_buffer_bytes_max);
        self.guard.denied_seen.set(self.state.budget.denied());
        *self.guard.slot.borrow_mut() = Some(slot.clone());
        let realms = &mut self.realms;
        let (realm, before) = self.runtime.with(|runtime| {
            let isolate = runtime.v8_isolate();
            (realms.take(isolate), isolate.get_heap_statistics().used_heap_size())
        });
        self.contexts_since_collection += 1;
        self.has_garbage = true;
        self.heap_before_bytes = before;
        realm
    }

    /// Heap used now above what it was when the run began, bytes.
    pub(crate) fn heap_growth(&mut self) -> usize {
        let now = self.runtime.with(|runtime| runtime.v8_isolate().get_heap_statistics().used_heap_size());
        now.saturating_sub(self.heap_before_bytes)
    }

    /// The run is over and nothing stopped it: its context goes back.
    pub(crate) fn finish(&mut self, realm: Realm) {
        self.guard.slot.borrow_mut().take();
        self.state.set_run(None);
        let realms = &mut self.realms;
        self.runtime.with(|_| realms.give_back(realm));
    }

    /// The run was stopped: nothing of the isolate is used again.
    pub(crate) fn abandon(&mut self) {
        self.guard.slot.borrow_mut().take();
        self.state.set_run(None);
        self.runtime.with(|runtime| runtime.v8_isolate().cancel_terminate_execution());
    }

    /// Executes in the realm. The caller has opened a slice.
    pub(crate) fn execute<R>(&mut self, realm: &Realm, work: impl FnOnce(&mut v8::PinScope<'_, '_>) -> R) -> R {
        self.runtime.with(|runtime| {
            let isolate = runtime.v8_isolate();
            v8::scope_with_context!(let scope, isolate, &realm.context);
            work(scope)
        })
    }

    /// Lets V8's own tasks for this isolate run: collector steps, finalization callbacks. The caller has opened a slice.
    pub(crate) fn pump(&mut self) {
        self.runtime.with(|runtime| {
            let mut context = Context::from_waker(Waker::noop());
            // An error here is an exception of a user's finalization callback, or a termination; the slot knows.
            let _ = runtime.poll_event_loop(&mut context, PollEventLoopOptions::default());
        });
    }

    /// Nobody has used the isolate for a while: its garbage goes, and the memory back to the system. False when there is
    /// nothing to do.
    pub(crate) fn trim(&mut self) -> bool {
        let has_garbage = std::mem::take(&mut self.has_garbage);
        if has_garbage {
            self.contexts_since_collection = 0;
            self.runtime.with(|runtime| runtime.v8_isolate().low_memory_notification());
        }
        has_garbage
    }

    /// Work between runs: publish compiled code, collect garbage, make spare contexts. False when the isolate should be
    /// replaced instead of used again.
    pub(crate) fn maintain(&mut self, spares: usize) -> bool {
        if self.runs >= RUNS_MAX {
            // V8 keeps the freed pages of an isolate that is gone for others; given back now, they cannot pile up.
            self.trim();
            return false;
        }
        let collect = self.contexts_since_collection >= CONTEXTS_PER_COLLECTION;
        let (realms, scripts, baseline) = (&mut self.realms, &self.scripts, self.baseline_bytes);
        let fit = self.runtime.with(|runtime| {
            let isolate = runtime.v8_isolate();
            {
                v8::scope!(let scope, isolate);
                // Needs a context to be current; the spare's, or one made now.
                if let Some(realm) = realms.take(scope) {
                    let context = v8::Local::new(scope, &realm.context);
                    let scope = &mut v8::ContextScope::new(scope, context);
                    scripts.publish_code(scope);
                    realms.put_unused(realm);
                }
            }
            let mut fit = true;
            if collect {
                collect_garbage(isolate);
                let statistics = isolate.get_heap_statistics();
                fit = statistics.used_heap_size() <= baseline + HEAP_GROWTH_BYTES_MAX
                    && statistics.number_of_detached_contexts() == 0;
            }
            if fit {
                realms.prepare(isolate, spares);
            }
            fit
        });
        if collect {
            self.contexts_since_collection = 0;
        }
        if !fit {
            self.trim();
        }
        fit
    }
}
