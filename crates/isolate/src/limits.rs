//! Bounds of one run.

use std::time::Duration;

/// Every bound of one run. Sources: http-surface 8, function-environment 9.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Wall clock from entry to the end of the drain.
    pub wall_max: Duration,
    /// CPU time of the thread while this run executes JavaScript; paused while it waits.
    pub cpu_max: Duration,
    /// JavaScript heap above the isolate's baseline, bytes.
    pub heap_bytes_max: usize,
    /// ArrayBuffer memory, bytes; accounted apart from the heap.
    pub array_buffer_bytes_max: usize,
    /// Kept console lines.
    pub console_lines_max: usize,
    /// Bytes kept of one console line.
    pub console_line_bytes_max: usize,
    /// Operations outstanding at once; `usize::MAX` switches the limit off.
    pub pending_operations_max: usize,
    /// Serialised result or response body, bytes.
    pub result_bytes_max: usize,
    /// Timers outstanding at once.
    pub timers_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_max: Duration::from_secs(120),
            cpu_max: Duration::from_secs(60),
            heap_bytes_max: 256 << 20,
            array_buffer_bytes_max: 256 << 20,
            console_lines_max: 25,
            console_line_bytes_max: 512,
            pending_operations_max: usize::MAX,
            result_bytes_max: 16 << 20,
            timers_max: 10_000,
        }
    }
}
