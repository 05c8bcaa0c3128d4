//! The start-up snapshot: deno_core's context and the users' context, made in this process at start.
//!
//! Made here and not by a build script, so that the list of native functions in it is this binary's and its hash seed
//! this process's. Nothing random, dated or counted may run while it is made.

use std::borrow::Cow;

use deno_core::{Extension, JsRuntimeForSnapshot, RuntimeOptions, v8};

use crate::memory::ArrayBudget;
use crate::state::IsolateState;
use crate::{IsolateError, ops, prelude, realm, stack};

/// The extension that tells deno_core the addresses of our native functions. The same for the snapshot and for every
/// isolate made from it.
pub(crate) fn extension() -> Extension {
    Extension { name: "selvedge", external_references: Cow::Owned(ops::external_references()), ..Default::default() }
}

/// Builds the snapshot. Not on a thread that is inside an async runtime.
pub(crate) fn build() -> Result<Box<[u8]>, IsolateError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _context = runtime.enter();
    let mut runtime =
        JsRuntimeForSnapshot::try_new(RuntimeOptions { extensions: vec![extension()], ..Default::default() })
            .map_err(|error| IsolateError::Runtime(error.to_string()))?;
    let isolate = runtime.v8_isolate();
    stack::install_callbacks(isolate);
    // The budget bounds only what natives allocate while the prelude runs; nothing does.
    IsolateState::install(isolate, ArrayBudget::new(64 << 20));
    let installed = {
        v8::scope!(let scope, isolate);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        let scope = &mut v8::ContextScope::new(scope, context);
        realm::create_record(scope);
        let installed = prelude::install(scope);
        scope.perform_microtask_checkpoint();
        context.clear_all_slots();
        let index = scope.add_context(context);
        debug_assert_eq!(index, realm::SNAPSHOT_INDEX);
        installed
    };
    IsolateState::remove(runtime.v8_isolate());
    installed.map_err(|(file, message)| IsolateError::Prelude { file, message })?;
    Ok(runtime.snapshot())
}
