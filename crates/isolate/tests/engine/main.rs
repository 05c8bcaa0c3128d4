//! The engine's tests: one binary, started on the main thread as V8's platform wants it.

mod attacks;
mod frames;
mod harness;
mod isolation;
mod results;
mod values;

use libtest_mimic::Arguments;

fn main() {
    isolate::init_platform();
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    trials.extend(results::trials());
    trials.extend(frames::trials());
    trials.extend(isolation::trials());
    trials.extend(attacks::trials());
    trials.extend(values::trials());
    libtest_mimic::run(&arguments, trials).exit();
}
