//! Text and binary encodings for the prelude.
//!
//! JavaScript allocates the memory (`new Uint8Array(n)` fails with a RangeError when the run's limit is reached) and
//! these functions fill it or read it.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use deno_core::v8;

use super::{Native, natives, throw_range_error, throw_type_error};

/// The functions of this area.
pub(crate) fn natives() -> Vec<Native> {
    natives! {
        "textByteLength" => text_byte_length,
        "writeText" => write_text,
        "readText" => read_text,
        "encodeInto" => encode_into,
        "atob" => atob,
        "btoa" => btoa,
        "bytesCompare" => bytes_compare,
        "bytesIndexOf" => bytes_index_of,
    }
}

/// How text and bytes stand for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// Malformed input becomes U+FFFD, both ways.
    Utf8,
    /// Reading only: malformed bytes give `undefined`.
    Utf8Strict,
    Utf16Le,
    /// Writing keeps the low byte of each code unit.
    Latin1,
    /// Writing only: a code unit above 0xFF is refused.
    Latin1Strict,
    /// Reading drops the high bit; writing is as Latin-1.
    Ascii,
    /// Reading only, as the Encoding standard has it.
    Windows1252,
    /// Writing stops at the first pair that is not hexadecimal.
    Hex,
    /// Writing skips what is not in either alphabet, up to the first `=`.
    Base64,
    Base64Url,
    /// Writing only: standard alphabet, padded, nothing else.
    Base64Strict,
    /// Writing only: URL alphabet, not padded, nothing else.
    Base64UrlStrict,
}

impl Encoding {
    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"utf8" => Self::Utf8,
            b"utf8strict" => Self::Utf8Strict,
            b"utf16le" => Self::Utf16Le,
            b"latin1" => Self::Latin1,
            b"latin1strict" => Self::Latin1Strict,
            b"ascii" => Self::Ascii,
            b"windows1252" => Self::Windows1252,
            b"hex" => Self::Hex,
            b"base64" => Self::Base64,
            b"base64url" => Self::Base64Url,
            b"base64strict" => Self::Base64Strict,
            b"base64urlstrict" => Self::Base64UrlStrict,
            _ => return None,
        })
    }
}

/// Argument `index` as a string; `None` with a pending TypeError.
fn text_argument<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: &v8::FunctionCallbackArguments<'s>,
    index: i32,
) -> Option<v8::Local<'s, v8::String>> {
    let text = v8::Local::<v8::String>::try_from(arguments.get(index)).ok();
    if text.is_none() {
        throw_type_error(scope, &format!("argument {} must be a string", index + 1));
    }
    text
}

/// Argument `index` as a view of bytes; `None` with a pending TypeError.
fn view_argument<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: &v8::FunctionCallbackArguments<'s>,
    index: i32,
) -> Option<v8::Local<'s, v8::ArrayBufferView>> {
    let view = v8::Local::<v8::ArrayBufferView>::try_from(arguments.get(index)).ok();
    if view.is_none() {
        throw_type_error(scope, &format!("argument {} must be bytes", index + 1));
    }
    view
}

fn encoding_argument(
    scope: &mut v8::PinScope,
    arguments: &v8::FunctionCallbackArguments,
    index: i32,
) -> Option<Encoding> {
    let mut name = [0u8; 16];
    let encoding = v8::Local::<v8::String>::try_from(arguments.get(index)).ok().and_then(|text| {
        let length = text.length();
        if length > name.len() {
            return None;
        }
        text.write_one_byte_v2(scope, 0, &mut name[..length], v8::WriteFlags::empty());
        Encoding::named(&name[..length])
    });
    if encoding.is_none() {
        throw_type_error(scope, &format!("argument {} must name an encoding", index + 1));
    }
    encoding
}

/// Argument `index` as a whole number from 0 to 2^53; anything else counts as 0.
fn index_argument(arguments: &v8::FunctionCallbackArguments, index: i32) -> usize {
    match v8::Local::<v8::Number>::try_from(arguments.get(index)) {
        // The conversion saturates, and gives 0 for NaN.
        Ok(number) => number.value() as usize,
        Err(_) => 0,
    }
}

/// The bytes of a view, copied into `storage` when V8 keeps them inside its heap.
///
/// The slice is valid until JavaScript runs again: nobody else can resize or detach the buffer.
pub(super) fn view_bytes<'a>(
    view: &'a v8::ArrayBufferView,
    storage: &'a mut [u8; v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP],
) -> &'a [u8] {
    if view.byte_length() == 0 {
        return &[];
    }
    view.get_contents(storage)
}

/// The memory of a view, for writing; empty when the buffer is detached. The same validity as [`view_bytes`].
#[expect(
    clippy::mut_from_ref,
    reason = "V8 hands out shared handles to mutable memory; the comment below says why it holds"
)]
pub(super) fn view_bytes_mut(view: &v8::ArrayBufferView) -> &mut [u8] {
    let length = view.byte_length();
    // Asking for the store moves a small array out of V8's heap, so that its memory stays where it is.
    let Some(data) = view.get_backing_store().and_then(|store| store.data()) else { return &mut [] };
    // SAFETY: `length` bytes from the view's offset belong to the buffer, which the handle keeps alive and nobody can
    // resize or detach until JavaScript runs again. This thread alone sees it, and each native takes it once.
    unsafe { std::slice::from_raw_parts_mut(data.as_ptr().cast::<u8>().add(view.byte_offset()), length) }
}

/// The code units of a text, borrowed from V8's heap: nothing may be allocated there meanwhile.
enum Units<'a> {
    One(&'a [u8]),
    Two(&'a [u16]),
}

impl Units<'_> {
    fn len(&self) -> usize {
        match self {
            Self::One(units) => units.len(),
            Self::Two(units) => units.len(),
        }
    }

    fn get(&self, index: usize) -> u16 {
        match self {
            Self::One(units) => u16::from(units[index]),
            Self::Two(units) => units[index],
        }
    }
}

fn with_units<R>(isolate: &mut v8::Isolate, text: v8::Local<v8::String>, read: impl FnOnce(Units) -> R) -> R {
    let view = v8::ValueView::new(isolate, text);
    match view.data() {
        v8::ValueViewData::OneByte(units) => read(Units::One(units)),
        v8::ValueViewData::TwoByte(units) => read(Units::Two(units)),
    }
}

/// `textByteLength(text, encoding)`: how many bytes `writeText` writes; for hex and base64 at most.
fn text_byte_length<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(text) = text_argument(scope, &arguments, 0) else { return };
    let Some(encoding) = encoding_argument(scope, &arguments, 1) else { return };
    let units = text.length();
    let length = match encoding {
        Encoding::Utf8 | Encoding::Utf8Strict => text.utf8_length(scope),
        Encoding::Utf16Le => units * 2,
        Encoding::Latin1 | Encoding::Latin1Strict | Encoding::Ascii | Encoding::Windows1252 => units,
        Encoding::Hex => units / 2,
        Encoding::Base64 | Encoding::Base64Url | Encoding::Base64Strict | Encoding::Base64UrlStrict => {
            (units * 3).div_ceil(4)
        }
    };
    result.set_double(length as f64);
}

/// `writeText(text, encoding, bytes, offset, length)`: writes at most `length` bytes at `offset` and gives how many it
/// wrote, -1 when a strict encoding refuses the text. UTF-8 is never cut inside a character.
fn write_text<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(text) = text_argument(scope, &arguments, 0) else { return };
    let Some(encoding) = encoding_argument(scope, &arguments, 1) else { return };
    let Some(view) = view_argument(scope, &arguments, 2) else { return };
    let memory = view_bytes_mut(&view);
    let start = index_argument(&arguments, 3).min(memory.len());
    let end = start.saturating_add(index_argument(&arguments, 4)).min(memory.len());
    let to = &mut memory[start..end];
    let written = match encoding {
        Encoding::Utf8 | Encoding::Utf8Strict => {
            Some(text.write_utf8_v2(scope, to, v8::WriteFlags::kReplaceInvalidUtf8, None))
        }
        Encoding::Utf16Le => with_units(scope, text, |units| {
            let count = units.len().min(to.len() / 2);
            for index in 0..count {
                to[index * 2..index * 2 + 2].copy_from_slice(&units.get(index).to_le_bytes());
            }
            Some(count * 2)
        }),
        Encoding::Latin1 | Encoding::Latin1Strict | Encoding::Ascii | Encoding::Windows1252 => {
            with_units(scope, text, |units| write_latin1(units, to, encoding == Encoding::Latin1Strict))
        }
        Encoding::Hex => with_units(scope, text, |units| Some(write_hex(units, to))),
        Encoding::Base64 | Encoding::Base64Url => {
            with_units(scope, text, |units| write_base64(units, to, Strictness::None))
        }
        Encoding::Base64Strict => with_units(scope, text, |units| write_base64(units, to, Strictness::Padded)),
        Encoding::Base64UrlStrict => with_units(scope, text, |units| write_base64(units, to, Strictness::UrlUnpadded)),
    };
    result.set_double(written.map_or(-1.0, |count| count as f64));
}

fn write_latin1(units: Units, to: &mut [u8], strict: bool) -> Option<usize> {
    let count = units.len().min(to.len());
    match units {
        Units::One(units) => to[..count].copy_from_slice(&units[..count]),
        Units::Two(units) => {
            if strict && units.iter().any(|unit| *unit > 0xff) {
                return None;
            }
            for (byte, unit) in to.iter_mut().zip(units) {
                *byte = *unit as u8;
            }
        }
    }
    Some(count)
}

fn hex_digit(unit: u16) -> Option<u8> {
    char::from_u32(u32::from(unit))?.to_digit(16).map(|digit| digit as u8)
}

fn write_hex(units: Units, to: &mut [u8]) -> usize {
    let count = (units.len() / 2).min(to.len());
    for (index, byte) in to[..count].iter_mut().enumerate() {
        match (hex_digit(units.get(index * 2)), hex_digit(units.get(index * 2 + 1))) {
            (Some(high), Some(low)) => *byte = high << 4 | low,
            _ => return index,
        }
    }
    count
}

/// What [`write_base64`] takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strictness {
    /// Both alphabets; everything else is skipped, and `=` ends the text.
    None,
    /// The standard alphabet, correctly padded.
    Padded,
    /// The URL alphabet without padding.
    UrlUnpadded,
}

/// Value of a base64 digit by strictness, 64 for any other character.
fn base64_digit(unit: u16, strictness: Strictness) -> u8 {
    match u8::try_from(unit).unwrap_or(0) {
        byte @ b'A'..=b'Z' => byte - b'A',
        byte @ b'a'..=b'z' => byte - b'a' + 26,
        byte @ b'0'..=b'9' => byte - b'0' + 52,
        b'+' if strictness != Strictness::UrlUnpadded => 62,
        b'/' if strictness != Strictness::UrlUnpadded => 63,
        b'-' if strictness != Strictness::Padded => 62,
        b'_' if strictness != Strictness::Padded => 63,
        _ => 64,
    }
}

fn write_base64(units: Units, to: &mut [u8], strictness: Strictness) -> Option<usize> {
    let mut length = units.len();
    match strictness {
        Strictness::None => {}
        Strictness::Padded => {
            if !length.is_multiple_of(4) {
                return None;
            }
            let padding = (1..=2.min(length)).take_while(|back| units.get(length - back) == u16::from(b'=')).count();
            length -= padding;
        }
        Strictness::UrlUnpadded => {
            if length % 4 == 1 {
                return None;
            }
        }
    }
    let mut written = 0;
    let mut bits = 0u32;
    let mut digits = 0;
    for index in 0..length {
        let digit = base64_digit(units.get(index), strictness);
        if digit == 64 {
            match strictness {
                // Padding ends the text, as in Node.
                Strictness::None if units.get(index) == u16::from(b'=') => break,
                Strictness::None => continue,
                Strictness::Padded | Strictness::UrlUnpadded => return None,
            }
        }
        bits = bits << 6 | u32::from(digit);
        digits += 1;
        if digits == 4 {
            if written + 3 > to.len() {
                let room = to.len() - written;
                to[written..].copy_from_slice(&bits.to_be_bytes()[1..1 + room]);
                return Some(to.len());
            }
            to[written..written + 3].copy_from_slice(&bits.to_be_bytes()[1..]);
            written += 3;
            bits = 0;
            digits = 0;
        }
    }
    // Two digits hold one byte, three hold two; a single digit holds none.
    let rest = (bits << (6 * (4 - digits).min(4))).to_be_bytes();
    let count = (digits as usize).saturating_sub(1).min(to.len() - written);
    to[written..written + count].copy_from_slice(&rest[1..1 + count]);
    Some(written + count)
}

/// `readText(bytes, encoding, start, end)`: the text, `undefined` when a strict encoding refuses the bytes.
fn read_text<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(view) = view_argument(scope, &arguments, 0) else { return };
    let Some(encoding) = encoding_argument(scope, &arguments, 1) else { return };
    let mut storage = [0; v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP];
    let bytes = view_bytes(&view, &mut storage);
    let end = index_argument(&arguments, 3).min(bytes.len());
    let start = index_argument(&arguments, 2).min(end);
    let bytes = &bytes[start..end];
    // Characters of the result, and bytes of each, at most.
    let (length, width) = match encoding {
        Encoding::Utf8 | Encoding::Utf8Strict => (bytes.len(), if bytes.is_ascii() { 1 } else { 2 }),
        Encoding::Utf16Le => (bytes.len() / 2, 2),
        Encoding::Windows1252 => (bytes.len(), 2),
        Encoding::Hex => (bytes.len() * 2, 1),
        Encoding::Base64 | Encoding::Base64Url | Encoding::Base64Strict | Encoding::Base64UrlStrict => {
            (bytes.len().div_ceil(3) * 4, 1)
        }
        Encoding::Latin1 | Encoding::Latin1Strict | Encoding::Ascii => (bytes.len(), 1),
    };
    if !reserve_text(scope, length, width) {
        return;
    }
    if encoding == Encoding::Utf8Strict && std::str::from_utf8(bytes).is_err() {
        return;
    }
    let text = match encoding {
        Encoding::Utf8 | Encoding::Utf8Strict => v8::String::new_from_utf8(scope, bytes, v8::NewStringType::Normal),
        Encoding::Utf16Le => {
            let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            v8::String::new_from_two_byte(scope, &units, v8::NewStringType::Normal)
        }
        Encoding::Latin1 | Encoding::Latin1Strict => one_byte_text(scope, bytes),
        Encoding::Ascii => {
            let units: Vec<u8> = bytes.iter().map(|byte| byte & 0x7f).collect();
            one_byte_text(scope, &units)
        }
        Encoding::Windows1252 => {
            let units: Vec<u16> = bytes.iter().map(|byte| windows_1252(*byte)).collect();
            v8::String::new_from_two_byte(scope, &units, v8::NewStringType::Normal)
        }
        Encoding::Hex => one_byte_text(scope, hex::encode(bytes).as_bytes()),
        Encoding::Base64 | Encoding::Base64Strict => one_byte_text(scope, STANDARD.encode(bytes).as_bytes()),
        Encoding::Base64Url | Encoding::Base64UrlStrict => {
            one_byte_text(scope, URL_SAFE_NO_PAD.encode(bytes).as_bytes())
        }
    };
    match text {
        Some(text) => result.set(text.into()),
        None => throw_range_error(scope, "Invalid string length"),
    }
}

fn one_byte_text<'s>(scope: &mut v8::PinScope<'s, '_>, units: &[u8]) -> Option<v8::Local<'s, v8::String>> {
    v8::String::new_from_one_byte(scope, units, v8::NewStringType::Normal)
}

/// Texts shorter than this are made without asking: V8's own limits handle them.
const RESERVE_FROM_BYTES: usize = 1 << 20;

/// Whether a text of `length` characters of `width` bytes fits V8 and the heap; throws a RangeError when it does not.
/// V8 itself would end the process over a text that its heap cannot hold.
pub(crate) fn reserve_text(scope: &mut v8::PinScope, length: usize, width: usize) -> bool {
    let bytes = length.saturating_mul(width);
    if length <= v8::String::MAX_LENGTH {
        if bytes < RESERVE_FROM_BYTES || has_heap_room(scope, bytes) {
            return true;
        }
        // A run that is being stopped already gets no second chance: its limit was raised only to let it unwind.
        if scope.is_execution_terminating() {
            return false;
        }
        scope.low_memory_notification();
        if has_heap_room(scope, bytes) {
            return true;
        }
    }
    throw_range_error(scope, "Invalid string length");
    false
}

/// Whether V8 can make an object of so many bytes without coming near its limit. A part of the limit is the young
/// generation's, and pages count, not objects.
fn has_heap_room(scope: &mut v8::PinScope, bytes: usize) -> bool {
    let statistics = scope.get_heap_statistics();
    let limit = statistics.heap_size_limit();
    !scope.is_execution_terminating()
        && statistics.total_heap_size().saturating_add(bytes).saturating_add(limit / 8) <= limit
}

/// Characters of windows-1252 from 0x80 to 0x9F; the rest is as in Latin-1.
const WINDOWS_1252_HIGH: [u16; 32] = [
    0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x008d,
    0x017d, 0x008f, 0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a,
    0x0153, 0x009d, 0x017e, 0x0178,
];

fn windows_1252(byte: u8) -> u16 {
    match byte {
        0x80..=0x9f => WINDOWS_1252_HIGH[usize::from(byte - 0x80)],
        _ => u16::from(byte),
    }
}

/// `encodeInto(text, bytes)`: writes UTF-8 and gives `[code units read, bytes written]`.
fn encode_into<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(text) = text_argument(scope, &arguments, 0) else { return };
    let Some(view) = view_argument(scope, &arguments, 1) else { return };
    let mut read = 0;
    let written =
        text.write_utf8_v2(scope, view_bytes_mut(&view), v8::WriteFlags::kReplaceInvalidUtf8, Some(&mut read));
    let counts = [v8::Number::new(scope, read as f64).into(), v8::Number::new(scope, written as f64).into()];
    result.set(v8::Array::new_with_elements(scope, &counts).into());
}

/// `atob(text)`: forgiving base64 of the Infra standard; `undefined` when the text is malformed.
fn atob<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(text) = text_argument(scope, &arguments, 0) else { return };
    if !reserve_text(scope, text.length(), 1) {
        return;
    }
    let Some(bytes) = with_units(scope, text, forgiving_base64) else { return };
    if let Some(text) = one_byte_text(scope, &bytes) {
        result.set(text.into());
    }
}

fn forgiving_base64(units: Units) -> Option<Vec<u8>> {
    let mut digits = Vec::with_capacity(units.len());
    for index in 0..units.len() {
        match u8::try_from(units.get(index)).ok()? {
            b' ' | b'\t' | b'\n' | 0x0c | b'\r' => {}
            byte => digits.push(byte),
        }
    }
    if digits.len().is_multiple_of(4) {
        let padding = digits.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
        digits.truncate(digits.len() - padding);
    }
    if digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = vec![0; digits.len() / 4 * 3 + (digits.len() % 4).saturating_sub(1)];
    // Only its alphabet counts here: the length was settled above.
    let padded = digits.iter().all(|byte| base64_digit(u16::from(*byte), Strictness::Padded) != 64);
    if !padded {
        return None;
    }
    write_base64(Units::One(&digits), &mut bytes, Strictness::None)?;
    Some(bytes)
}

/// `btoa(text)`: base64 of a text of bytes; `undefined` when a character is above U+00FF.
fn btoa<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(text) = text_argument(scope, &arguments, 0) else { return };
    if !reserve_text(scope, text.length().div_ceil(3).saturating_mul(4), 1) {
        return;
    }
    let encoded = with_units(scope, text, |units| {
        let bytes = match units {
            Units::One(units) => Cow::Borrowed(units),
            Units::Two(units) => {
                Cow::Owned(units.iter().map(|unit| u8::try_from(*unit)).collect::<Result<Vec<u8>, _>>().ok()?)
            }
        };
        Some(STANDARD.encode(bytes))
    });
    let Some(encoded) = encoded else { return };
    if let Some(text) = one_byte_text(scope, encoded.as_bytes()) {
        result.set(text.into());
    }
}

/// `bytesCompare(left, right)`: -1, 0 or 1, in lexicographic order.
fn bytes_compare<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(left) = view_argument(scope, &arguments, 0) else { return };
    let Some(right) = view_argument(scope, &arguments, 1) else { return };
    let (mut left_storage, mut right_storage) =
        ([0; v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP], [0; v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP]);
    let order = view_bytes(&left, &mut left_storage).cmp(view_bytes(&right, &mut right_storage));
    result.set_int32(order as i32);
}

/// `bytesIndexOf(bytes, needle, start, isForward, step)`: where `needle` is at or after (`isForward`), or at or before
/// `start`, at a multiple of `step`; -1 when it is not.
fn bytes_index_of<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(view) = view_argument(scope, &arguments, 0) else { return };
    let Some(needle) = view_argument(scope, &arguments, 1) else { return };
    let (mut storage, mut needle_storage) =
        ([0; v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP], [0; v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP]);
    let bytes = view_bytes(&view, &mut storage);
    let needle = view_bytes(&needle, &mut needle_storage);
    let start = index_argument(&arguments, 2);
    let step = index_argument(&arguments, 4).max(1);
    let found = if arguments.get(3).is_true() {
        find_forward(bytes, needle, start, step)
    } else {
        find_backward(bytes, needle, start, step)
    };
    result.set_double(found.map_or(-1.0, |index| index as f64));
}

fn find_forward(bytes: &[u8], needle: &[u8], start: usize, step: usize) -> Option<usize> {
    if needle.is_empty() {
        return None;
    }
    let finder = memchr::memmem::Finder::new(needle);
    let mut from = start;
    // A match at a wrong place is followed by a search from the next place: each byte is passed once, but for needles
    // that overlap themselves.
    while from < bytes.len() {
        let index = from + finder.find(&bytes[from..])?;
        if index.is_multiple_of(step) {
            return Some(index);
        }
        from = index + 1;
    }
    None
}

fn find_backward(bytes: &[u8], needle: &[u8], start: usize, step: usize) -> Option<usize> {
    if needle.is_empty() {
        return None;
    }
    let finder = memchr::memmem::FinderRev::new(needle);
    let mut end = start.saturating_add(needle.len()).min(bytes.len());
    loop {
        let index = finder.rfind(&bytes[..end])?;
        if index.is_multiple_of(step) {
            return Some(index);
        }
        end = index + needle.len() - 1;
    }
}
