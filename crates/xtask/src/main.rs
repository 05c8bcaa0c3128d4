//! Set-up, run and test commands for a fresh machine.
fn main() {}
