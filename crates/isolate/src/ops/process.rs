//! What `process` asks of the host.

use std::sync::OnceLock;
use std::time::Instant;

use deno_core::v8;

use super::{Native, natives};

/// The functions of this area.
pub(crate) fn natives() -> Vec<Native> {
    natives! { "monotonicNanoseconds" => monotonic_nanoseconds }
}

/// `monotonicNanoseconds()`: a BigInt that only grows. It counts from the first call in this process, so that it says
/// nothing about the host's up-time.
fn monotonic_nanoseconds<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
    result.set(v8::BigInt::new_from_u64(scope, nanoseconds).into());
}
