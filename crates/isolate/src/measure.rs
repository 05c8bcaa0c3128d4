//! What a context costs, for `cargo bench -p isolate`. Not part of serving.

use std::time::Duration;

use deno_core::v8;

use crate::memory::ArrayBudget;
use crate::realm::Realms;
use crate::warm::{Runtime, collect_garbage};
use crate::{IsolateError, platform};

/// Cost of contexts, each with its share of the collections that reclaim them.
#[derive(Debug, Clone, Copy)]
pub struct ContextCost {
    /// CPU time of one context of a run: copied from the start-up snapshot.
    pub fresh: Duration,
    /// CPU time of one context of V8 alone, without anything of ours.
    pub bare: Duration,
    /// Heap that one unused context of a run takes, bytes.
    pub heap_bytes: usize,
    /// Size of the start-up snapshot, bytes.
    pub snapshot_bytes: usize,
}

/// Makes `count` contexts of each kind, one after the other, on this thread, with a full collection after every
/// `per_collection`. Needs [`crate::init_platform`] before.
///
/// # Errors
/// No snapshot or isolate can be made.
pub fn context_cost(count: u32, per_collection: u32) -> Result<ContextCost, IsolateError> {
    let snapshot = platform::start_up_snapshot()?;
    platform::keep_anchor_isolate(snapshot)?;
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _context = tokio.enter();
    let budget = ArrayBudget::new(64 << 20);
    let mut runtime = Runtime::new(snapshot, v8::CreateParams::default().heap_limits(0, 256 << 20), &budget)?;
    Ok(runtime.with(|runtime| {
        let isolate = runtime.v8_isolate();
        let mut realms = Realms::new();
        let timed = |isolate: &mut v8::Isolate, make: &mut dyn FnMut(&mut v8::Isolate)| {
            make(isolate);
            collect_garbage(isolate);
            let started = cpu();
            for number in 1..=count {
                make(isolate);
                if number % per_collection == 0 {
                    collect_garbage(isolate);
                }
            }
            (cpu() - started) / count
        };
        let fresh = timed(isolate, &mut |isolate| drop(realms.take(isolate)));
        let bare = timed(isolate, &mut |isolate| {
            v8::scope!(let scope, isolate);
            v8::Context::new(scope, v8::ContextOptions::default());
        });
        collect_garbage(isolate);
        let before = isolate.get_heap_statistics().used_heap_size();
        let mut held = Realms::new();
        held.prepare(isolate, 8);
        collect_garbage(isolate);
        let heap_bytes = isolate.get_heap_statistics().used_heap_size().saturating_sub(before) / 8;
        drop(held);
        ContextCost { fresh, bare, heap_bytes, snapshot_bytes: snapshot.len() }
    }))
}

/// Resident memory that one idle isolate with one unused context takes, bytes: the growth by `count` of them, shared out.
/// Needs [`crate::init_platform`] before.
///
/// # Errors
/// No snapshot or isolate can be made.
pub fn idle_isolate_bytes(count: usize) -> Result<usize, IsolateError> {
    let snapshot = platform::start_up_snapshot()?;
    platform::keep_anchor_isolate(snapshot)?;
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _context = tokio.enter();
    let make = || {
        let budget = ArrayBudget::new(64 << 20);
        let mut runtime = Runtime::new(snapshot, v8::CreateParams::default().heap_limits(0, 256 << 20), &budget)?;
        let mut realms = Realms::new();
        runtime.with(|runtime| realms.prepare(runtime.v8_isolate(), 1));
        // Dropped in this order.
        Ok::<_, IsolateError>((realms, runtime))
    };
    let _first = make()?;
    let before = resident_bytes()?;
    let isolates = (0..count).map(|_| make()).collect::<Result<Vec<_>, _>>()?;
    Ok(resident_bytes()?.saturating_sub(before) / isolates.len().max(1))
}

fn resident_bytes() -> Result<usize, IsolateError> {
    const PAGE_BYTES: usize = 4096;
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    Ok(pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * PAGE_BYTES)
}

/// CPU time of all threads of this process so far.
fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid out pointer; the clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
