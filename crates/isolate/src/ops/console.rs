//! Console lines: counting and cutting (function-environment 2.4, http-surface 7.3).

use deno_core::v8;

use super::{Native, current_run, natives};
use crate::{ConsoleLevel, ConsoleLine};

/// The functions of this area.
pub(crate) fn natives() -> Vec<Native> {
    natives! { "consoleLine" => console_line }
}

/// `consoleLine(level, text)`: keeps one line, level 0 log, 1 warn, 2 error. Lines over the limit are dropped.
fn console_line(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, _result: v8::ReturnValue) {
    let Some(run) = current_run(scope) else { return };
    if run.console.borrow().len() >= run.limits().console_lines_max {
        return;
    }
    let level = match arguments.get(0).uint32_value(scope) {
        Some(2) => ConsoleLevel::Error,
        Some(1) => ConsoleLevel::Warn,
        _ => ConsoleLevel::Log,
    };
    let Ok(text) = v8::Local::<v8::String>::try_from(arguments.get(1)) else { return };
    let text = cut(scope, text, run.limits().console_line_bytes_max);
    run.console.borrow_mut().push(ConsoleLine { level, text });
}

/// At most `bytes_max` bytes of the text, whole characters. A 100 MB line costs no more than a short one.
fn cut(scope: &mut v8::PinScope, text: v8::Local<v8::String>, bytes_max: usize) -> String {
    let units = text.length().min(bytes_max);
    let mut buffer = vec![0_u16; units];
    text.write_v2(scope, 0, &mut buffer, v8::WriteFlags::default());
    let mut line = String::with_capacity(units);
    for character in char::decode_utf16(buffer) {
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        if line.len() + character.len_utf8() > bytes_max {
            break;
        }
        line.push(character);
    }
    line
}
