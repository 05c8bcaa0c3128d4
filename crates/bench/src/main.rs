//! Benchmarks: ratios against named references in one run.
fn main() {}
