//! The `selvedge` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    server::run_command_line()
}
