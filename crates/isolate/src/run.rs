//! One run from its arguments to its outcome (function-environment 1.5 to 1.9).
//!
//! The run is a sequence of slices. Each enters the isolate once, delivers what has happened outside, lets the
//! microtasks run and looks how far the run is; between slices the thread serves other runs.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use deno_core::v8;
use tokio::sync::mpsc;

use crate::ops::brand::{self, kind};
use crate::ops::{functions, services, text};
use crate::realm::{self, Realm};
use crate::source::ScriptKey;
use crate::state::{Completion, IsolateState, Rejections, Run, Timers};
use crate::warm::WarmIsolate;
use crate::watchdog::Slot;
use crate::worker::Watched;
use crate::{
    Arguments, Completed, Entry, Host, HttpPayload, Invocation, Outcome, ResponseParts, ResultPolicy, RunError,
    RunErrorKind, Usage, failure, value,
};

/// Bound on how often a returned graph is searched for promises again: a getter may give a new one every time.
const SETTLE_ROUNDS_MAX: u32 = 100;

/// How far a run is.
enum Phase {
    /// Nothing has executed.
    Start,
    /// The handler has returned; its value is being settled.
    Settle(Settling),
    /// Everything the run started is awaited before the answer is built. How often its value was looked at before.
    Drain(Ending, u32),
}

struct Settling {
    value: v8::Global<v8::Value>,
    /// The promise whose result takes the value's place.
    adopting: Option<v8::Global<v8::Promise>>,
    /// Promises found inside the value.
    waiting: Vec<v8::Global<v8::Promise>>,
    rounds: u32,
}

enum Ending {
    Returned(v8::Global<v8::Value>),
    Failed(RunError),
}

/// What a slice ends with.
enum Step {
    Wait,
    Done(Result<Completed, RunError>),
    /// V8 was told to stop; the slot knows why.
    Stopped,
}

/// Runs one invocation. The flag says whether the isolate may be used again.
pub(crate) async fn run(
    isolate: &mut WarmIsolate,
    slot: Arc<Slot>,
    invocation: Invocation,
    host: Arc<dyn Host>,
    front: tokio::runtime::Handle,
    watched: &Watched<'_>,
) -> (Outcome, bool) {
    let reused = isolate.runs > 0;
    let Some(realm) = isolate.begin(&slot, &invocation.limits) else {
        isolate.abandon();
        slot.end();
        let error = failure::stopped(RunErrorKind::Crashed, &invocation.limits);
        return (Outcome { result: Err(error), console: Vec::new(), usage: Usage::default() }, false);
    };
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let run = Rc::new(Run {
        invocation,
        host,
        front,
        slot: slot.clone(),
        completions: sender,
        pending: RefCell::default(),
        last_call_id: Cell::new(0),
        timers: RefCell::new(Timers::default()),
        console: RefCell::default(),
        service_calls: Cell::new(0),
        rejections: RefCell::new(Rejections::default()),
        responses: RefCell::default(),
        closed: Cell::new(false),
        resizable_bytes: Cell::new(0),
        context: realm.context.clone(),
        uncaught: RefCell::new(None),
        scripts: isolate.scripts.clone(),
    });
    isolate.state.set_run(Some(run.clone()));
    let result = drive(isolate, &realm, &run, &mut receiver, watched).await;
    run.abandon();
    slot.end();
    let clean = slot.verdict().is_none();
    let usage = Usage {
        wall: slot.wall(),
        cpu: slot.cpu(),
        heap_bytes: isolate.heap_growth(),
        service_calls: run.service_calls.get(),
        isolate_reused: reused,
    };
    let console = std::mem::take(&mut *run.console.borrow_mut());
    if clean {
        isolate.finish(realm);
    } else {
        isolate.abandon();
    }
    (Outcome { result, console, usage }, clean)
}

async fn drive(
    isolate: &mut WarmIsolate,
    realm: &Realm,
    run: &Rc<Run>,
    events: &mut mpsc::UnboundedReceiver<Completion>,
    watched: &Watched<'_>,
) -> Result<Completed, RunError> {
    let mut phase = Phase::Start;
    let mut batch = Vec::new();
    let stopped = |kind| Err(failure::stopped(kind, run.limits()));
    loop {
        if !run.slot.open_slice() {
            return stopped(run.slot.verdict().unwrap_or(RunErrorKind::Crashed));
        }
        watched.enter();
        let step = isolate.execute(realm, |scope| turn(scope, run, &mut phase, &mut batch));
        if matches!(step, Step::Wait) {
            isolate.pump();
        }
        watched.leave();
        if let Some(kind) = run.slot.close_slice() {
            return stopped(kind);
        }
        match step {
            Step::Done(result) => return result,
            Step::Stopped => {
                // V8 unwound without a verdict of ours: out of stack in its own code, at worst. Not to be trusted.
                run.slot.stop(RunErrorKind::Crashed);
                return stopped(RunErrorKind::Crashed);
            }
            Step::Wait => {}
        }
        let due = run.timers.borrow().order.keys().next().map(|(due, _)| *due);
        tokio::select! {
            biased;
            () = run.slot.stopped.notified() => {}
            Some(completion) = events.recv() => {
                batch.push(completion);
                while let Ok(completion) = events.try_recv() {
                    batch.push(completion);
                }
            }
            () = sleep_until(due), if due.is_some() => {}
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due.into()).await;
    }
}

/// One slice.
fn turn(scope: &mut v8::PinScope<'_, '_>, run: &Rc<Run>, phase: &mut Phase, batch: &mut Vec<Completion>) -> Step {
    v8::tc_scope!(let scope, scope);
    for completion in batch.drain(..) {
        deliver(scope, run, completion);
        scope.perform_microtask_checkpoint();
        if scope.has_terminated() || run.slot.verdict().is_some() {
            return Step::Stopped;
        }
        scope.reset();
    }
    fire_timers(scope, run);
    loop {
        if scope.has_terminated() || run.slot.verdict().is_some() {
            return Step::Stopped;
        }
        match phase {
            Phase::Start => {
                let started = start(scope, run);
                let exception = scope.exception();
                if scope.has_terminated() {
                    return Step::Stopped;
                }
                scope.reset();
                scope.perform_microtask_checkpoint();
                *phase = match started {
                    Started::Returned(value) => Phase::Settle(Settling {
                        value: v8::Global::new(scope, value),
                        adopting: None,
                        waiting: Vec::new(),
                        rounds: 0,
                    }),
                    Started::Failed(error) => Phase::Drain(Ending::Failed(error), 0),
                    Started::Threw => {
                        let exception = exception.unwrap_or_else(|| v8::undefined(scope).into());
                        Phase::Drain(Ending::Failed(failure::thrown(scope, run, exception)), 0)
                    }
                };
            }
            Phase::Settle(settling) => match settle(scope, run, settling) {
                Settled::Ready => {
                    let (value, rounds) = (settling.value.clone(), settling.rounds);
                    *phase = Phase::Drain(Ending::Returned(value), rounds);
                }
                Settled::Pending => {
                    if !is_waiting(run) {
                        let error = failure::plain(
                            RunErrorKind::NeverSettles,
                            "FunctionExecutionError",
                            "pending promise returned that will never resolve/reject",
                        );
                        *phase = Phase::Drain(Ending::Failed(error), 0);
                        continue;
                    }
                    return Step::Wait;
                }
                Settled::Failed(reason) => {
                    let reason = v8::Local::new(scope, reason);
                    *phase = Phase::Drain(Ending::Failed(failure::thrown(scope, run, reason)), 0);
                }
                Settled::Stopped => return Step::Stopped,
            },
            Phase::Drain(ending, rounds) => {
                if !run.pending.borrow().is_empty() {
                    return Step::Wait;
                }
                let result = match finish(scope, run, ending, *rounds) {
                    Finished::Done(result) => *result,
                    Finished::Unsettled(value, promises) => {
                        scope.reset();
                        for promise in &promises {
                            let promise = v8::Local::new(scope, promise);
                            take_over(scope, run, promise);
                        }
                        // A cursor has begun to read.
                        scope.perform_microtask_checkpoint();
                        let rounds = *rounds + 1;
                        *phase = Phase::Settle(Settling { value, adopting: None, waiting: promises, rounds });
                        continue;
                    }
                };
                scope.reset();
                run.closed.set(true);
                // Whatever serialising started must not be left for the next run.
                scope.perform_microtask_checkpoint();
                if scope.has_terminated() {
                    return Step::Stopped;
                }
                return Step::Done(result);
            }
        }
    }
}

/// Whether anything outside can still make the run go on.
fn is_waiting(run: &Run) -> bool {
    !run.pending.borrow().is_empty() || !run.timers.borrow().by_id.is_empty()
}

/// Settles the promise of a host operation.
fn deliver(scope: &mut v8::PinScope<'_, '_>, run: &Run, completion: Completion) {
    let Some(call) = run.pending.borrow_mut().remove(&completion.id) else { return };
    v8::tc_scope!(let scope, scope);
    let resolver = v8::Local::new(scope, call.resolver);
    match completion.result {
        Ok(document) => match value::bson::decode(scope, &document) {
            Some(value) => {
                resolver.resolve(scope, value);
            }
            None => {
                let error = scope.exception().unwrap_or_else(|| v8::undefined(scope).into());
                scope.reset();
                resolver.reject(scope, error);
            }
        },
        Err(error) => {
            let error = services::error_value(scope, &error);
            resolver.reject(scope, error);
        }
    }
    if scope.has_terminated() {
        scope.terminate_execution();
    }
}

/// Calls the callbacks of the timers that are due, with a microtask checkpoint after each.
fn fire_timers(scope: &mut v8::PinScope<'_, '_>, run: &Run) {
    let now = Instant::now();
    let mut due: Vec<u32> = Vec::new();
    for ((moment, _), id) in &run.timers.borrow().order {
        if *moment > now {
            break;
        }
        due.push(*id);
    }
    for id in due {
        // Looked up one by one: an earlier callback may have cleared a later timer.
        let callback = {
            let mut timers = run.timers.borrow_mut();
            let timers = &mut *timers;
            let Some(timer) = timers.by_id.get_mut(&id) else { continue };
            timers.order.remove(&(timer.due, timer.sequence));
            let callback = timer.callback.clone();
            match timer.period {
                Some(period) => {
                    timers.last_sequence += 1;
                    timer.due = now + period;
                    timer.sequence = timers.last_sequence;
                    timers.order.insert((timer.due, timer.sequence), id);
                }
                None => {
                    timers.by_id.remove(&id);
                }
            }
            callback
        };
        v8::tc_scope!(let scope, scope);
        let callback = v8::Local::new(scope, callback);
        let receiver = v8::undefined(scope).into();
        if callback.call(scope, receiver, &[]).is_none()
            && !scope.has_terminated()
            && let Some(exception) = scope.exception()
        {
            run.uncaught.borrow_mut().get_or_insert(v8::Global::new(scope, exception));
        }
        if scope.has_terminated() {
            scope.terminate_execution();
            return;
        }
        scope.reset();
        scope.perform_microtask_checkpoint();
        if run.slot.verdict().is_some() {
            return;
        }
    }
}

enum Started<'s> {
    Returned(v8::Local<'s, v8::Value>),
    Failed(RunError),
    /// With a pending exception.
    Threw,
}

/// Compiles the entry, makes its arguments and calls it.
fn start<'s>(scope: &mut v8::PinScope<'s, '_>, run: &Rc<Run>) -> Started<'s> {
    let (key, name, file, source) = match &run.invocation.entry {
        Entry::Function(name) => match run.scripts.function(name) {
            Some((key, function)) => (key, &function.name, &function.file, function.source.as_deref().unwrap_or("")),
            None => return Started::Failed(failure::not_found(name)),
        },
        Entry::Source(function) => match &function.source {
            Some(source) => {
                let key = ScriptKey::Source(function.file.clone(), source.clone());
                (key, &function.name, &function.file, source.as_str())
            }
            None => return Started::Failed(failure::not_found(&function.name)),
        },
    };
    let wrapper = match run.scripts.wrapper(scope, &key, file, source) {
        Some(Ok(wrapper)) => wrapper,
        Some(Err(problem)) => return Started::Failed(failure::syntax(file, &problem)),
        None => return Started::Threw,
    };
    let Some(invoke) = realm::entry(scope, "invoke") else {
        return Started::Failed(failure::stopped(RunErrorKind::Crashed, run.limits()));
    };
    let name = text(scope, name);
    let authority = functions::authority_value(scope, &run.invocation.authority);
    let mut call = vec![wrapper.into(), name.into(), authority];
    if arguments(scope, run, &mut call).is_none() {
        return Started::Threw;
    }
    let receiver = v8::undefined(scope).into();
    match invoke.call(scope, receiver, &call) {
        Some(value) => Started::Returned(value),
        None => Started::Threw,
    }
}

/// Appends the handler's arguments. `None` with a pending exception.
fn arguments<'s>(scope: &mut v8::PinScope<'s, '_>, run: &Run, call: &mut Vec<v8::Local<'s, v8::Value>>) -> Option<()> {
    match &run.invocation.arguments {
        Arguments::Http(payload) => call.push(http_payload(scope, payload)?),
        Arguments::Json(json) => {
            let json = v8::String::new_from_utf8(scope, json, v8::NewStringType::Normal)?;
            call.push(v8::json::parse(scope, json)?);
        }
        Arguments::Form(fields) => {
            let object = v8::Object::new(scope);
            for (name, value) in fields {
                let (name, value) = (text(scope, name), text(scope, value));
                object.create_data_property(scope, name.into(), value.into());
            }
            call.push(object.into());
        }
        Arguments::Ejson(texts) => {
            for ejson in texts {
                call.push(value::ejson::parse(scope, ejson)?);
            }
            return Some(());
        }
    }
    let make = realm::entry(scope, "makeResponse")?;
    let receiver = v8::undefined(scope).into();
    call.push(make.call(scope, receiver, &[])?);
    Some(())
}

/// `{query, headers, body}` (http-surface 4).
fn http_payload<'s>(scope: &mut v8::PinScope<'s, '_>, payload: &HttpPayload) -> Option<v8::Local<'s, v8::Value>> {
    let object = v8::Object::new(scope);
    let query = v8::Object::new(scope);
    for (name, value) in &payload.query {
        let (name, value) = (text(scope, name), text(scope, value));
        // Defines, never assigns: a field named `__proto__` is a field.
        query.create_data_property(scope, name.into(), value.into());
    }
    let headers = v8::Object::new(scope);
    for (name, values) in &payload.headers {
        let values: Vec<v8::Local<v8::Value>> = values.iter().map(|value| text(scope, value).into()).collect();
        let values = v8::Array::new_with_elements(scope, &values);
        let name = text(scope, name);
        headers.create_data_property(scope, name.into(), values.into());
    }
    let body = match &payload.body {
        Some(bytes) => value::bson::binary(scope, bytes, 0)?.into(),
        None => v8::undefined(scope).into(),
    };
    for (name, value) in [("query", query.into()), ("headers", headers.into()), ("body", body)] {
        let name = text(scope, name);
        object.create_data_property(scope, name.into(), value);
    }
    Some(object.into())
}

enum Settled {
    Ready,
    Pending,
    /// A promise in the value rejected, or looking at the value threw.
    Failed(v8::Global<v8::Value>),
    Stopped,
}

/// One step of function-environment 1.6.
fn settle(scope: &mut v8::PinScope<'_, '_>, run: &Run, settling: &mut Settling) -> Settled {
    v8::tc_scope!(let scope, scope);
    loop {
        if let Some(promise) = &settling.adopting {
            let promise = v8::Local::new(scope, promise);
            match promise.state() {
                v8::PromiseState::Pending => return Settled::Pending,
                v8::PromiseState::Rejected => {
                    let reason = promise.result(scope);
                    return Settled::Failed(v8::Global::new(scope, reason));
                }
                v8::PromiseState::Fulfilled => {
                    let value = promise.result(scope);
                    settling.value = v8::Global::new(scope, value);
                    settling.adopting = None;
                }
            }
        }
        for promise in &settling.waiting {
            let promise = v8::Local::new(scope, promise);
            match promise.state() {
                v8::PromiseState::Pending => return Settled::Pending,
                v8::PromiseState::Rejected => {
                    let reason = promise.result(scope);
                    return Settled::Failed(v8::Global::new(scope, reason));
                }
                v8::PromiseState::Fulfilled => {}
            }
        }
        settling.waiting.clear();
        let value = v8::Local::new(scope, &settling.value);
        match adopt(scope, value) {
            Some(None) => return Settled::Ready,
            Some(Some(promise)) => {
                take_over(scope, run, promise);
                settling.adopting = Some(v8::Global::new(scope, promise));
                scope.perform_microtask_checkpoint();
            }
            None => {
                if scope.has_terminated() {
                    scope.terminate_execution();
                    return Settled::Stopped;
                }
                let reason = scope.exception().unwrap_or_else(|| v8::undefined(scope).into());
                return Settled::Failed(v8::Global::new(scope, reason));
            }
        }
        if run.slot.verdict().is_some() {
            return Settled::Stopped;
        }
    }
}

/// The run itself looks at the promise: its rejection is handled.
fn take_over(scope: &mut v8::PinScope<'_, '_>, run: &Run, promise: v8::Local<v8::Promise>) {
    promise.mark_as_handled();
    let hash = promise.get_identity_hash();
    let promise = v8::Global::new(scope, promise);
    run.rejections.borrow_mut().handled(hash, &promise);
}

/// The promise whose result is to replace a value: the value itself, what a thenable gives, or a cursor's documents.
/// `None` with a pending exception.
#[expect(clippy::option_option, reason = "outside: an exception is pending; inside: nothing to adopt")]
fn adopt<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
) -> Option<Option<v8::Local<'s, v8::Promise>>> {
    if let Ok(promise) = v8::Local::<v8::Promise>::try_from(value) {
        return Some(Some(promise));
    }
    let Ok(object) = v8::Local::<v8::Object>::try_from(value) else { return Some(None) };
    let state = IsolateState::of(scope);
    match brand::kind_of(scope, &state, value) {
        kind::CURSOR => return Some(Some(materialize(scope, object)?)),
        0 => {}
        _ => return Some(None),
    }
    let key = text(scope, "then");
    let then = object.get(scope, key.into())?;
    if !then.is_function() {
        return Some(None);
    }
    let resolver = v8::PromiseResolver::new(scope)?;
    resolver.resolve(scope, value)?;
    Some(Some(resolver.get_promise(scope)))
}

/// The promise of a cursor's remaining documents. Noted on the cursor, where the serialiser finds it.
pub(crate) fn materialize<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    cursor: v8::Local<'s, v8::Object>,
) -> Option<v8::Local<'s, v8::Promise>> {
    let state = IsolateState::of(scope);
    let key = v8::Local::new(scope, &state.privates.materialized);
    if let Some(known) = cursor.get_private(scope, key)
        && let Ok(known) = v8::Local::<v8::Promise>::try_from(known)
    {
        return Some(known);
    }
    let resolver = v8::PromiseResolver::new(scope)?;
    let documents = match realm::entry(scope, "materializeCursor") {
        Some(materialize) => {
            let receiver = v8::undefined(scope).into();
            materialize.call(scope, receiver, &[cursor.into()])?
        }
        None => v8::Array::new(scope, 0).into(),
    };
    resolver.resolve(scope, documents)?;
    let promise = resolver.get_promise(scope);
    cursor.set_private(scope, key, promise.into());
    Some(promise)
}

/// Promises inside plain objects and arrays that are not fulfilled, and those of cursors there. Safe against cycles and
/// any depth. `None` with a pending exception.
fn promises_inside<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
) -> Option<Vec<v8::Local<'s, v8::Promise>>> {
    let state = IsolateState::of(scope);
    let mut found = Vec::new();
    let mut seen: HashMap<std::num::NonZeroI32, Vec<v8::Local<v8::Object>>> = HashMap::new();
    let mut stack = vec![value];
    while let Some(value) = stack.pop() {
        if let Ok(promise) = v8::Local::<v8::Promise>::try_from(value) {
            match promise.state() {
                v8::PromiseState::Fulfilled => stack.push(promise.result(scope)),
                v8::PromiseState::Pending | v8::PromiseState::Rejected => found.push(promise),
            }
            continue;
        }
        let Ok(object) = v8::Local::<v8::Object>::try_from(value) else { continue };
        match brand::kind_of(scope, &state, value) {
            kind::CURSOR => {
                let promise = materialize(scope, object)?;
                if promise.state() != v8::PromiseState::Fulfilled {
                    found.push(promise);
                }
                continue;
            }
            0 => {}
            _ => continue,
        }
        if !value::is_plain_container(scope, object) {
            continue;
        }
        let same_hash = seen.entry(object.get_identity_hash()).or_default();
        if same_hash.contains(&object) {
            continue;
        }
        same_hash.push(object);
        value::members(scope, object, |member| {
            if member.is_object() {
                stack.push(member);
            }
        })?;
    }
    Some(found)
}

enum Finished {
    Done(Box<Result<Completed, RunError>>),
    /// The value has promises inside that have to settle first.
    Unsettled(v8::Global<v8::Value>, Vec<v8::Global<v8::Promise>>),
}

/// Builds the result once nothing is outstanding.
fn finish(scope: &mut v8::PinScope<'_, '_>, run: &Rc<Run>, ending: &Ending, rounds: u32) -> Finished {
    let failed = |error| Finished::Done(Box::new(Err(error)));
    let global = match ending {
        Ending::Failed(error) => return failed(error.clone()),
        Ending::Returned(value) => value,
    };
    let value = v8::Local::new(scope, global);
    if let Some(exception) = run.uncaught.borrow_mut().take() {
        let exception = v8::Local::new(scope, exception);
        return failed(failure::thrown(scope, run, exception));
    }
    let (touched, body_set) =
        run.responses.borrow().first().map_or((false, false), |response| (response.touched, response.body.is_some()));
    let format = match run.invocation.result {
        ResultPolicy::Discard => None,
        ResultPolicy::UnlessTouched(format) => (!touched).then_some(format),
        ResultPolicy::UnlessBodySet(format) => (!body_set).then_some(format),
        ResultPolicy::Always(format) => Some(format),
    };
    let written = match format {
        Some(format) => value::return_value(scope, run, value, format).map(Some),
        // Nobody sees the value; it is settled all the same.
        None => match promises_inside(scope, value) {
            Some(promises) if !promises.is_empty() => {
                let promises = promises.into_iter().map(|promise| v8::Global::new(scope, promise)).collect();
                Err(value::NotReady::Unsettled(promises))
            }
            Some(_) | None => Ok(None),
        },
    };
    let value = match written {
        Ok(value) => value,
        Err(value::NotReady::Failed(error)) => return failed(error),
        Err(value::NotReady::Unsettled(promises)) if rounds < SETTLE_ROUNDS_MAX => {
            return Finished::Unsettled(global.clone(), promises);
        }
        Err(value::NotReady::Unsettled(_)) => {
            return failed(failure::plain(
                RunErrorKind::NotSerializable,
                "FunctionExecutionError",
                "the returned value gives new promises every time it is read",
            ));
        }
    };
    let rejected = run.rejections.borrow().first();
    if let Some(reason) = rejected {
        let reason = v8::Local::new(scope, reason);
        return failed(failure::uncaught_rejection(scope, run, reason));
    }
    // Read last: what serialising does to the response still counts.
    let has_response = !matches!(run.invocation.arguments, Arguments::Ejson(_));
    let mut responses = run.responses.borrow_mut();
    let response = match responses.first_mut().filter(|_| has_response) {
        Some(response) => ResponseParts {
            touched: response.touched,
            status: response.status,
            headers: std::mem::take(&mut response.headers),
            body: response.body.take(),
        },
        None => ResponseParts::default(),
    };
    Finished::Done(Box::new(Ok(Completed { value, response })))
}
