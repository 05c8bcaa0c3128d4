//! `cargo bench -p isolate`: what the fresh context of a run costs, against V8's own.

use std::process::ExitCode;

/// Contexts per measurement, and between two collections.
const COUNT: u32 = 2_000;
const PER_COLLECTION: u32 = 32;
/// Idle isolates held at once to learn what one takes.
const ISOLATES: usize = 30;
/// Measurements; the median is printed.
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    isolate::init_platform();
    match isolate::measure::idle_isolate_bytes(ISOLATES) {
        Ok(bytes) => println!("idle isolate with a spare context: {:.2} MB resident", bytes as f64 / 1_048_576.0),
        Err(error) => {
            eprintln!("context: {error}");
            return ExitCode::FAILURE;
        }
    }
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        match isolate::measure::context_cost(COUNT, PER_COLLECTION) {
            Ok(cost) => rounds.push(cost),
            Err(error) => {
                eprintln!("context: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    rounds.sort_by_key(|cost| cost.fresh);
    let cost = rounds[ROUNDS / 2];
    println!(
        "fresh context {:.0} us, V8's own {:.0} us, ratio {:.2}; {:.0} kB of heap each; snapshot {:.0} kB",
        cost.fresh.as_secs_f64() * 1e6,
        cost.bare.as_secs_f64() * 1e6,
        cost.fresh.as_secs_f64() / cost.bare.as_secs_f64(),
        cost.heap_bytes as f64 / 1024.0,
        cost.snapshot_bytes as f64 / 1024.0,
    );
    ExitCode::SUCCESS
}
