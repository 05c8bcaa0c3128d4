//! ArrayBuffer memory of one isolate, counted and bounded.
//!
//! V8 asks this allocator for the memory of every ArrayBuffer. A refusal becomes a `RangeError` in the script, after V8
//! has collected garbage and asked again, so dead buffers never count against a run.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use deno_core::v8;

/// Bytes held by ArrayBuffers of one isolate. Buffers may be freed on V8's helper threads, hence atomics.
#[derive(Debug, Default)]
pub(crate) struct ArrayBudget {
    used: AtomicUsize,
    limit: AtomicUsize,
    denied: AtomicUsize,
}

impl ArrayBudget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: AtomicUsize::new(limit), ..Self::default() })
    }

    /// Sets the bound for the run that starts now.
    pub(crate) fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Relaxed);
    }

    /// Bytes held now, garbage that V8 has not freed yet included.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Whether `bytes` more would be granted now.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.used().checked_add(bytes).is_some_and(|total| total <= self.limit.load(Relaxed))
    }

    /// How often memory was refused. V8 calls the near-heap-limit callback after a refusal although its heap may be
    /// small; a changed count tells the two cases apart.
    pub(crate) fn denied(&self) -> usize {
        self.denied.load(Relaxed)
    }

    fn reserve(&self, bytes: usize) -> bool {
        let limit = self.limit.load(Relaxed);
        let granted = self
            .used
            .fetch_update(Relaxed, Relaxed, |used| used.checked_add(bytes).filter(|total| *total <= limit))
            .is_ok();
        if !granted {
            self.denied.fetch_add(1, Relaxed);
        }
        granted
    }

    /// The allocator to give to an isolate; it shares this account.
    pub(crate) fn allocator(self: &Arc<Self>) -> v8::UniqueRef<v8::Allocator> {
        // SAFETY: the vtable's `drop` takes back the reference that `into_raw` gives away.
        unsafe { v8::new_rust_allocator(Arc::into_raw(self.clone()), &VTABLE) }
    }
}

static VTABLE: v8::RustAllocatorVtable<ArrayBudget> =
    v8::RustAllocatorVtable { allocate, allocate_uninitialized, free, drop: drop_budget };

unsafe extern "C" fn allocate(budget: &ArrayBudget, length: usize) -> *mut c_void {
    if !budget.reserve(length) {
        return null_mut();
    }
    // SAFETY: plain C allocation; V8 gives the pointer back to `free` with the same length.
    let data = unsafe { libc::calloc(1, length.max(1)) };
    if data.is_null() {
        budget.used.fetch_sub(length, Relaxed);
    }
    data
}

unsafe extern "C" fn allocate_uninitialized(budget: &ArrayBudget, length: usize) -> *mut c_void {
    if !budget.reserve(length) {
        return null_mut();
    }
    // SAFETY: as above.
    let data = unsafe { libc::malloc(length.max(1)) };
    if data.is_null() {
        budget.used.fetch_sub(length, Relaxed);
    }
    data
}

unsafe extern "C" fn free(budget: &ArrayBudget, data: *mut c_void, length: usize) {
    // SAFETY: `data` came from one of the two functions above.
    unsafe { libc::free(data) };
    budget.used.fetch_sub(length, Relaxed);
}

unsafe extern "C" fn drop_budget(budget: *const ArrayBudget) {
    // SAFETY: the pointer came from `Arc::into_raw` in `allocator`.
    drop(unsafe { Arc::from_raw(budget) });
}
