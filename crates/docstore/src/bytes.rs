//! BSON bytes: checking what comes from outside, and the few conversions the store needs.

use bson::Document;
use bson::raw::{RawDocument, RawDocumentBuf};

use crate::error::{CommandError, CommandResult, code};

/// Levels of nesting a document may have.
pub const DEPTH_MAX: usize = 180;
/// Bytes of a stored document.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

fn invalid(reason: &str) -> CommandError {
    CommandError::new(code::INVALID_BSON, format!("invalid BSON: {reason}"))
}

/// Checks the bytes of one document from a client: lengths, types, names, UTF-8 and depth. Everything after it may
/// walk the document without fear of its stack.
pub fn check(bytes: &[u8]) -> CommandResult<()> {
    let used = check_document(bytes, 0)?;
    if used == bytes.len() { Ok(()) } else { Err(invalid("bytes follow the document")) }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> CommandResult<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count).ok_or_else(|| invalid("a value is cut short"))?;
    *bytes = rest;
    Ok(head)
}

fn take_length(bytes: &mut &[u8]) -> CommandResult<usize> {
    let head = take(bytes, 4)?;
    let length = i32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    usize::try_from(length).map_err(|_| invalid("a length is negative"))
}

fn take_cstring(bytes: &mut &[u8]) -> CommandResult<()> {
    let end = bytes.iter().position(|byte| *byte == 0).ok_or_else(|| invalid("a name is not terminated"))?;
    let name = take(bytes, end + 1)?;
    std::str::from_utf8(&name[..end]).map_err(|_| invalid("a name is not UTF-8"))?;
    Ok(())
}

fn take_string(bytes: &mut &[u8]) -> CommandResult<()> {
    let length = take_length(bytes)?;
    let text = take(bytes, length)?;
    match text.split_last() {
        Some((0, text)) => std::str::from_utf8(text).map(drop).map_err(|_| invalid("a string is not UTF-8")),
        _ => Err(invalid("a string is not terminated")),
    }
}

/// Returns the number of bytes the document takes.
fn check_document(bytes: &[u8], depth: usize) -> CommandResult<usize> {
    if depth > DEPTH_MAX {
        return Err(CommandError::new(
            code::OVERFLOW,
            format!("BSONObj exceeded maximum nested object depth: {DEPTH_MAX}"),
        ));
    }
    let mut rest = bytes;
    let length = take_length(&mut rest)?;
    if length < 5 || length > bytes.len() {
        return Err(invalid("a document's length is wrong"));
    }
    let mut rest = &bytes[4..length];
    loop {
        let kind = take(&mut rest, 1)?[0];
        if kind == 0 {
            break;
        }
        take_cstring(&mut rest)?;
        match kind {
            0x01 | 0x09 | 0x11 | 0x12 => drop(take(&mut rest, 8)?),
            0x02 | 0x0D | 0x0E => take_string(&mut rest)?,
            0x03 | 0x04 => {
                let used = check_document(rest, depth + 1)?;
                take(&mut rest, used)?;
            }
            0x05 => {
                let length = take_length(&mut rest)?;
                let subtype = take(&mut rest, 1)?[0];
                let data = take(&mut rest, length)?;
                if subtype == 2 {
                    let mut inner = data;
                    if take_length(&mut inner)? != inner.len() {
                        return Err(invalid("an old binary's lengths disagree"));
                    }
                }
            }
            0x06 | 0x0A | 0x7F | 0xFF => {}
            0x07 => drop(take(&mut rest, 12)?),
            0x08 => {
                if take(&mut rest, 1)?[0] > 1 {
                    return Err(invalid("a boolean is neither true nor false"));
                }
            }
            0x0B => {
                take_cstring(&mut rest)?;
                take_cstring(&mut rest)?;
            }
            0x0C => {
                take_string(&mut rest)?;
                take(&mut rest, 12)?;
            }
            0x0F => {
                let length = {
                    let mut peek = rest;
                    take_length(&mut peek)?
                };
                let mut inner = take(&mut rest, length)?;
                take(&mut inner, 4)?;
                take_string(&mut inner)?;
                if check_document(inner, depth + 1)? != inner.len() {
                    return Err(invalid("bytes follow a scope"));
                }
            }
            0x10 => drop(take(&mut rest, 4)?),
            0x13 => drop(take(&mut rest, 16)?),
            other => return Err(invalid(&format!("unknown type {other:#04x}"))),
        }
    }
    if rest.is_empty() { Ok(length) } else { Err(invalid("a document ends early")) }
}

/// Decodes a document that was checked when it came in.
pub fn to_document(bytes: &[u8]) -> CommandResult<Document> {
    let raw = RawDocument::from_bytes(bytes).map_err(|error| invalid(&error.to_string()))?;
    Document::try_from(raw).map_err(|error| invalid(&error.to_string()))
}

/// Borrows a stored document.
pub fn to_raw(bytes: &[u8]) -> CommandResult<&RawDocument> {
    RawDocument::from_bytes(bytes).map_err(|error| invalid(&error.to_string()))
}

/// Encodes.
pub fn from_document(document: &Document) -> CommandResult<Vec<u8>> {
    document.to_vec().map_err(|error| CommandError::bad_value(format!("cannot be encoded: {error}")))
}

/// Encodes, as the BSON library's type.
pub fn raw_from_document(document: &Document) -> CommandResult<RawDocumentBuf> {
    RawDocumentBuf::from_bytes(from_document(document)?).map_err(|error| invalid(&error.to_string()))
}
