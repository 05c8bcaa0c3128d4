//! The conformance cases of `runtime-tests/cases`, against the binary of this crate.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    runtime_tests::conformance::main(Path::new(env!("CARGO_BIN_EXE_selvedge")))
}
