//! The engine's tests: one binary, started on the main thread as V8's platform wants it.

mod harness;
mod results;
mod values;

use libtest_mimic::Arguments;

fn main() {
    isolate::init_platform();
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    trials.extend(results::trials());
    trials.extend(values::trials());
    libtest_mimic::run(&arguments, trials).exit();
}
