//! What native functions find behind the isolate they run in.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroI32;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deno_core::v8;
use tokio::sync::mpsc;

use crate::memory::ArrayBudget;
use crate::source::Scripts;
use crate::watchdog::Slot;
use crate::{AppCode, ConsoleLine, Host, HostError, Invocation, Limits, ResponseBody};

/// State of one isolate. Lives in an isolate slot; natives reach it with [`IsolateState::of`].
pub(crate) struct IsolateState {
    /// Keys of what the engine notes on objects; user code can neither see nor forge them.
    pub(crate) privates: Privates,
    /// ArrayBuffer account of the isolate.
    pub(crate) budget: Arc<ArrayBudget>,
    /// The run that has the isolate now.
    run: RefCell<Option<Rc<Run>>>,
}

/// Private symbols, the same in every realm of an isolate and in the snapshot.
pub(crate) struct Privates {
    /// Kind of a branded object, a number.
    pub(crate) kind: v8::Global<v8::Private>,
    /// Payload of a branded object.
    pub(crate) payload: v8::Global<v8::Private>,
    /// Platform code of a host error, a string.
    pub(crate) error_code: v8::Global<v8::Private>,
    /// Number types of a container's members (function-environment 1.10).
    pub(crate) type_memory: v8::Global<v8::Private>,
    /// Array that took a returned cursor's place (function-environment 1.6).
    pub(crate) materialized: v8::Global<v8::Private>,
}

impl Privates {
    fn new(scope: &mut v8::PinScope<'_, '_, ()>) -> Self {
        let private = |name: &str| {
            let name = v8::String::new(scope, name);
            let private = v8::Private::for_api(scope, name);
            v8::Global::new(scope, private)
        };
        Self {
            kind: private("selvedge.kind"),
            payload: private("selvedge.payload"),
            error_code: private("selvedge.errorCode"),
            type_memory: private("selvedge.typeMemory"),
            materialized: private("selvedge.materialized"),
        }
    }
}

impl IsolateState {
    /// Puts fresh state into the isolate's slot.
    pub(crate) fn install(isolate: &mut v8::Isolate, budget: Arc<ArrayBudget>) -> Rc<Self> {
        let privates = {
            v8::scope!(let scope, isolate);
            Privates::new(scope)
        };
        let state = Rc::new(Self { privates, budget, run: RefCell::new(None) });
        isolate.set_slot(state.clone());
        state
    }

    /// Takes the state out again; before a snapshot nothing of it may be alive.
    pub(crate) fn remove(isolate: &mut v8::Isolate) {
        isolate.remove_slot::<Rc<Self>>();
    }

    /// The state of the current isolate.
    pub(crate) fn of(isolate: &v8::Isolate) -> Rc<Self> {
        isolate.get_slot::<Rc<Self>>().expect("every isolate of this crate has it installed at birth").clone()
    }

    /// The run that has the isolate; `None` while the snapshot is made and between runs.
    pub(crate) fn run(&self) -> Option<Rc<Run>> {
        self.run.borrow().clone()
    }

    /// Hands the isolate to a run, or takes it away.
    pub(crate) fn set_run(&self, run: Option<Rc<Run>>) {
        *self.run.borrow_mut() = run;
    }
}

/// Something that happened outside the JavaScript thread.
pub(crate) struct Completion {
    pub(crate) id: u64,
    pub(crate) result: Result<Vec<u8>, HostError>,
}

/// A host operation under way.
pub(crate) struct PendingCall {
    pub(crate) resolver: v8::Global<v8::PromiseResolver>,
    pub(crate) task: tokio::task::AbortHandle,
}

/// A timer of user code.
pub(crate) struct Timer {
    pub(crate) due: Instant,
    /// Order among timers that are due at the same moment.
    pub(crate) sequence: u64,
    pub(crate) period: Option<Duration>,
    pub(crate) callback: v8::Global<v8::Function>,
}

/// Timers by id, and in the order in which they fire.
#[derive(Default)]
pub(crate) struct Timers {
    pub(crate) by_id: HashMap<u32, Timer>,
    pub(crate) order: BTreeMap<(Instant, u64), u32>,
    pub(crate) last_id: u32,
    pub(crate) last_sequence: u64,
}

/// State of one `HTTPResponse` object (http-surface 5.1).
#[derive(Default)]
pub(crate) struct ResponseState {
    pub(crate) touched: bool,
    pub(crate) status: Option<u16>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<ResponseBody>,
}

/// Promises that rejected with nobody handling them yet (function-environment 1.7).
#[derive(Default)]
pub(crate) struct Rejections {
    in_order: BTreeMap<u64, Rejection>,
    by_hash: HashMap<NonZeroI32, Vec<u64>>,
    last: u64,
}

struct Rejection {
    promise: v8::Global<v8::Promise>,
    reason: v8::Global<v8::Value>,
}

impl Rejections {
    pub(crate) fn add(&mut self, hash: NonZeroI32, promise: v8::Global<v8::Promise>, reason: v8::Global<v8::Value>) {
        self.last += 1;
        self.in_order.insert(self.last, Rejection { promise, reason });
        self.by_hash.entry(hash).or_default().push(self.last);
    }

    pub(crate) fn handled(&mut self, hash: NonZeroI32, promise: &v8::Global<v8::Promise>) {
        let Some(numbers) = self.by_hash.get_mut(&hash) else { return };
        numbers.retain(|number| match self.in_order.get(number) {
            Some(rejection) if rejection.promise == *promise => {
                self.in_order.remove(number);
                false
            }
            _ => true,
        });
        if numbers.is_empty() {
            self.by_hash.remove(&hash);
        }
    }

    /// The reason of the earliest one.
    pub(crate) fn first(&self) -> Option<v8::Global<v8::Value>> {
        self.in_order.values().next().map(|rejection| rejection.reason.clone())
    }
}

/// State of one run. Dropped with everything it started when the run ends.
pub(crate) struct Run {
    pub(crate) invocation: Invocation,
    pub(crate) host: Arc<dyn Host>,
    /// Where host operations execute.
    pub(crate) front: tokio::runtime::Handle,
    pub(crate) slot: Arc<Slot>,
    pub(crate) completions: mpsc::UnboundedSender<Completion>,
    pub(crate) pending: RefCell<HashMap<u64, PendingCall>>,
    pub(crate) last_call_id: Cell<u64>,
    pub(crate) timers: RefCell<Timers>,
    pub(crate) console: RefCell<Vec<ConsoleLine>>,
    pub(crate) service_calls: Cell<u32>,
    pub(crate) rejections: RefCell<Rejections>,
    /// Every response object made in the run; payloads of brand 21 are indices into it.
    pub(crate) responses: RefCell<Vec<ResponseState>>,
    /// Set when the response has been read; later calls of its methods change nothing.
    pub(crate) closed: Cell<bool>,
    /// Bytes the run's resizable buffers may grow to, together; V8 gets their memory past the allocator.
    pub(crate) resizable_bytes: Cell<usize>,
    /// The run's own context: natives called from any other one, such as that of a run that has ended, get nothing.
    pub(crate) context: v8::Global<v8::Context>,
    /// What the first uncaught exception of a timer callback was.
    pub(crate) uncaught: RefCell<Option<v8::Global<v8::Value>>>,
    /// Compiled sources of the isolate.
    pub(crate) scripts: Rc<Scripts>,
}

impl Run {
    pub(crate) fn code(&self) -> &Arc<AppCode> {
        &self.invocation.code
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.invocation.limits
    }

    /// Ends everything the run still has under way.
    pub(crate) fn abandon(&self) {
        self.closed.set(true);
        for (_, call) in self.pending.borrow_mut().drain() {
            call.task.abort();
        }
        *self.timers.borrow_mut() = Timers::default();
        *self.rejections.borrow_mut() = Rejections::default();
    }
}
