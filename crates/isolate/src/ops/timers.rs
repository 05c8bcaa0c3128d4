//! Timers of user code. They fire in the driver of the run, in order of their due time.

use std::time::{Duration, Instant};

use deno_core::v8;

use super::{Native, current_run, natives, throw_type_error};
use crate::RunErrorKind;
use crate::state::Timer;

/// The functions of this area.
pub(crate) fn natives() -> Vec<Native> {
    natives! { "startTimer" => start_timer, "clearTimer" => clear_timer }
}

/// The longest delay, as in browsers and Node; longer ones and NaN count as 1 ms.
const DELAY_MS_MAX: f64 = 2_147_483_647.0;

/// `startTimer(callback, ms, repeat)`: a positive id. More timers than the run may have end the run.
fn start_timer(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, mut result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    let Ok(callback) = v8::Local::<v8::Function>::try_from(arguments.get(0)) else {
        return throw_type_error(scope, "The callback must be a function");
    };
    let delay = arguments.get(1).try_cast::<v8::Number>().map_or(0.0, |delay| delay.value());
    let delay = if (1.0..=DELAY_MS_MAX).contains(&delay) { delay.trunc() } else { 1.0 };
    let delay = Duration::from_secs_f64(delay / 1000.0);
    let mut timers = run.timers.borrow_mut();
    if timers.by_id.len() >= run.limits().timers_max {
        drop(timers);
        return run.slot.stop(RunErrorKind::PendingOperations);
    }
    timers.last_id = timers.last_id.wrapping_add(1).max(1);
    timers.last_sequence += 1;
    let (id, sequence) = (timers.last_id, timers.last_sequence);
    let due = Instant::now() + delay;
    let period = arguments.get(2).is_true().then_some(delay);
    timers.order.insert((due, sequence), id);
    timers.by_id.insert(id, Timer { due, sequence, period, callback: v8::Global::new(scope, callback) });
    result.set_uint32(id);
}

/// `clearTimer(id)`: forgets a timer; anything that is not a live id is ignored.
fn clear_timer(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, _result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    let Ok(id) = arguments.get(0).try_cast::<v8::Number>() else { return };
    let id = id.value();
    if !(1.0..=f64::from(u32::MAX)).contains(&id) || id.fract() != 0.0 {
        return;
    }
    let mut timers = run.timers.borrow_mut();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    if let Some(timer) = timers.by_id.remove(&(id as u32)) {
        timers.order.remove(&(timer.due, timer.sequence));
    }
}
