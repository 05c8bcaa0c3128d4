//! Contexts of runs: where they come from and what Rust keeps of one.
//!
//! Every run gets a context nobody has used, copied from the start-up snapshot. [`Realms`] is the only owner of unused
//! contexts, so that another policy (reuse of a context that provably was left as it was found) fits in behind it.

use deno_core::v8;

/// Index of the users' context in the snapshot; deno_core's own is at 1.
pub(crate) const SNAPSHOT_INDEX: usize = 0;

/// Name under which the realm record hangs on V8's extras object of a context, which no script can reach.
const RECORD: &str = "selvedge";

/// Built-ins that user code must not have: shared memory, blocking waits, a second engine. Taken away from each context:
/// V8 completes `Atomics` and the like after it has restored a context, and gives up when they are missing.
const HIDDEN_GLOBALS: [&str; 3] = ["WebAssembly", "SharedArrayBuffer", "Atomics"];

/// The context of one run.
pub(crate) struct Realm {
    pub(crate) context: v8::Global<v8::Context>,
}

/// Unused contexts of one isolate.
pub(crate) struct Realms {
    spare: Vec<Realm>,
}

impl Realms {
    pub(crate) fn new() -> Self {
        Self { spare: Vec::new() }
    }

    /// A context for a run: a spare one, or one made now.
    pub(crate) fn take(&mut self, isolate: &mut v8::Isolate) -> Option<Realm> {
        self.spare.pop().or_else(|| fresh(isolate))
    }

    /// Takes back a context in which no user code has run.
    pub(crate) fn put_unused(&mut self, realm: Realm) {
        self.spare.push(realm);
    }

    /// Takes back the context of a run that has ended. This policy never hands a used context to another run.
    pub(crate) fn give_back(&mut self, realm: Realm) {
        drop(realm);
    }

    /// Makes spare contexts ahead of time, up to `count`.
    pub(crate) fn prepare(&mut self, isolate: &mut v8::Isolate, count: usize) {
        while self.spare.len() < count {
            let Some(realm) = fresh(isolate) else { return };
            self.spare.push(realm);
        }
    }
}

fn fresh(isolate: &mut v8::Isolate) -> Option<Realm> {
    v8::scope!(let scope, isolate);
    let context = v8::Context::from_snapshot(scope, SNAPSHOT_INDEX, v8::ContextOptions::default())?;
    {
        let scope = &mut v8::ContextScope::new(scope, context);
        let global = context.global(scope);
        for name in HIDDEN_GLOBALS {
            let name = v8::String::new_from_utf8(scope, name.as_bytes(), v8::NewStringType::Internalized)?;
            global.delete(scope, name.into());
        }
    }
    Some(Realm { context: v8::Global::new(scope, context) })
}

/// Makes the record of the current context; while the snapshot is built.
pub(crate) fn create_record(scope: &mut v8::PinScope) {
    let context = scope.get_current_context();
    let extras = context.get_extras_binding_object(scope);
    let null = v8::null(scope).into();
    let record = v8::Object::with_prototype_and_properties(scope, null, &[], &[]);
    let key = v8::String::new(scope, RECORD).expect("a short string");
    extras.create_data_property(scope, key.into(), record.into());
}

/// The record of the current context: entry functions by name and constructors of BSON kinds by number.
pub(crate) fn record<'s>(scope: &mut v8::PinScope<'s, '_>) -> v8::Local<'s, v8::Object> {
    let context = scope.get_current_context();
    let extras = context.get_extras_binding_object(scope);
    let key = v8::String::new(scope, RECORD).expect("a short string");
    extras
        .get(scope, key.into())
        .and_then(|record| v8::Local::<v8::Object>::try_from(record).ok())
        .expect("create_record ran when the snapshot was made")
}

/// Keeps a value under a name, for [`entry`].
pub(crate) fn set_entry(scope: &mut v8::PinScope, name: &str, value: v8::Local<v8::Value>) {
    let record = record(scope);
    let key = v8::String::new(scope, name).expect("a short string");
    record.create_data_property(scope, key.into(), value);
}

/// A function that a prelude script registered with `native.registerEntry`.
pub(crate) fn entry<'s>(scope: &mut v8::PinScope<'s, '_>, name: &str) -> Option<v8::Local<'s, v8::Function>> {
    let record = record(scope);
    let key = v8::String::new(scope, name)?;
    let value = record.get(scope, key.into())?;
    value.try_into().ok()
}

/// The value of a property made by `defineLater`. `None` with a pending exception.
pub(crate) fn later_value<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: v8::Local<v8::Value>,
) -> Option<v8::Local<'s, v8::Value>> {
    let load = entry(scope, "laterValue")?;
    let receiver = v8::undefined(scope).into();
    load.call(scope, receiver, &[name])
}

/// Keeps the constructor function by which Rust makes instances of a BSON kind.
pub(crate) fn set_kind(scope: &mut v8::PinScope, kind: u32, constructor: v8::Local<v8::Function>) -> Option<()> {
    record(scope).set_index(scope, kind, constructor.into()).map(drop)
}

fn kind_constructor<'s>(scope: &mut v8::PinScope<'s, '_>, kind: u32) -> Option<v8::Local<'s, v8::Function>> {
    record(scope).get_index(scope, kind)?.try_into().ok()
}

/// A new, unbranded instance of a BSON kind; a plain object when the classes cannot be set up for want of stack.
pub(crate) fn instance<'s>(scope: &mut v8::PinScope<'s, '_>, kind: u32) -> v8::Local<'s, v8::Object> {
    if kind_constructor(scope, kind).is_none() {
        v8::tc_scope!(let scope, scope);
        let name = v8::String::new(scope, "bson").expect("a short string");
        later_value(scope, name.into());
        if scope.has_terminated() {
            scope.terminate_execution();
        }
    }
    kind_constructor(scope, kind)
        .and_then(|constructor| constructor.new_instance(scope, &[]))
        .unwrap_or_else(|| v8::Object::new(scope))
}
