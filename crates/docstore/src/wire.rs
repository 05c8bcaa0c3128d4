//! Messages of the MongoDB wire protocol: OP_MSG both ways, the legacy OP_QUERY handshake and its OP_REPLY.
//!
//! Source: MongoDB manual, "MongoDB Wire Protocol"; drivers' specifications "OP_MSG".

use std::io::{self, Read, Write};

use bson::raw::{RawDocument, RawDocumentBuf};
use bson::{Bson, Document};

use crate::bytes;
use crate::error::{CommandError, CommandResult, code};

/// Bytes of a message, as `hello` tells.
pub const MESSAGE_BYTES_MAX: usize = 48_000_000;

const HEADER_BYTES: usize = 16;
const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_COMPRESSED: i32 = 2012;
const OP_MSG: i32 = 2013;

const CHECKSUM_PRESENT: u32 = 1;
const MORE_TO_COME: u32 = 1 << 1;
/// Bits a reader must know.
const REQUIRED_BITS: u32 = 0xFFFF;

/// Why no further message can be read from a connection.
#[derive(Debug)]
pub enum Broken {
    /// The client is gone, or the socket failed.
    Closed,
    /// What came is no message.
    Garbage(&'static str),
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// How the client sent a command, and so how to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// OP_MSG.
    Message,
    /// OP_QUERY on `$cmd`.
    Query,
}

/// A command as it came.
#[derive(Debug)]
pub struct Message {
    /// The request's number.
    pub id: i32,
    /// How it came.
    pub form: Form,
    /// False: the client does not want a reply (`moreToCome`).
    pub wants_reply: bool,
    /// The command document, checked; sequences are not in it.
    pub body: CommandResult<Document>,
    /// Document sequences by field name, checked.
    pub sequences: Vec<(String, Vec<RawDocumentBuf>)>,
}

impl Message {
    /// The documents of a field, whether they came as a sequence or in an array of the command document `body`.
    pub fn take_documents(&mut self, body: &Document, name: &str) -> Option<CommandResult<Vec<RawDocumentBuf>>> {
        if let Some(position) = self.sequences.iter().position(|(sequence, _)| sequence == name) {
            return Some(Ok(self.sequences.swap_remove(position).1));
        }
        match body.get(name)? {
            Bson::Array(items) => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| match item {
                        Bson::Document(document) => bytes::raw_from_document(document),
                        other => Err(CommandError::type_mismatch(format!(
                            "BSON field '{name}.{index}' is the wrong type '{}', expected type 'object'",
                            crate::query::ValueRef::from(other).type_name()
                        ))),
                    })
                    .collect(),
            ),
            _ => Some(Err(CommandError::new(10065, format!("invalid parameter: expected an object ({name})")))),
        }
    }
}

/// Reads the next message. `Err` ends the connection.
pub fn read(stream: &mut impl Read) -> Result<Message, Broken> {
    let mut header = [0_u8; HEADER_BYTES];
    stream.read_exact(&mut header)?;
    let word = |at: usize| i32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let length = usize::try_from(word(0)).map_err(|_| Broken::Garbage("negative length"))?;
    if !(HEADER_BYTES..=MESSAGE_BYTES_MAX).contains(&length) {
        return Err(Broken::Garbage("length out of bounds"));
    }
    let opcode = word(12);
    if ![OP_MSG, OP_QUERY, OP_COMPRESSED].contains(&opcode) {
        return Err(Broken::Garbage("unknown operation"));
    }
    // Grows with what arrives: a header alone costs no memory.
    let mut payload = Vec::new();
    stream.take((length - HEADER_BYTES) as u64).read_to_end(&mut payload)?;
    if payload.len() != length - HEADER_BYTES {
        return Err(Broken::Closed);
    }
    let id = word(4);
    match opcode {
        OP_QUERY => parse_query(id, &payload),
        // No compressor was offered in the handshake.
        OP_COMPRESSED => Ok(Message {
            id,
            form: Form::Message,
            wants_reply: true,
            body: Err(CommandError::new(
                code::PROTOCOL_ERROR,
                "OP_COMPRESSED is not supported: the handshake agreed on no compressor; MongoDB itself supports it",
            )),
            sequences: Vec::new(),
        }),
        _ => parse_message(id, &header, &payload),
    }
}

fn split<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Broken> {
    let (head, rest) = bytes.split_at_checked(count).ok_or(Broken::Garbage("a message is cut short"))?;
    *bytes = rest;
    Ok(head)
}

fn split_u32(bytes: &mut &[u8]) -> Result<u32, Broken> {
    let head = split(bytes, 4)?;
    Ok(u32::from_le_bytes([head[0], head[1], head[2], head[3]]))
}

fn split_name(bytes: &mut &[u8]) -> Result<String, Broken> {
    let end = bytes.iter().position(|byte| *byte == 0).ok_or(Broken::Garbage("a name is not terminated"))?;
    let name = split(bytes, end + 1)?;
    String::from_utf8(name[..end].to_vec()).map_err(|_| Broken::Garbage("a name is not UTF-8"))
}

/// The bytes of the document at the front; its inside is not checked yet.
fn split_document<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Broken> {
    let mut peek = *bytes;
    let length = split_u32(&mut peek)? as usize;
    if length < 5 {
        return Err(Broken::Garbage("a document is too short"));
    }
    split(bytes, length)
}

fn decode(raw: &[u8]) -> CommandResult<Document> {
    bytes::check(raw)?;
    bytes::to_document(raw)
}

fn parse_message(id: i32, header: &[u8], payload: &[u8]) -> Result<Message, Broken> {
    let mut rest = payload;
    let flags = split_u32(&mut rest)?;
    if flags & REQUIRED_BITS & !(CHECKSUM_PRESENT | MORE_TO_COME) != 0 {
        return Err(Broken::Garbage("unknown flags"));
    }
    if flags & CHECKSUM_PRESENT != 0 {
        let covered = payload.len().checked_sub(4).ok_or(Broken::Garbage("no room for a checksum"))?;
        let (body, mut checksum) = payload.split_at(covered);
        if split_u32(&mut checksum)? != crc32c(&[header, body]) {
            return Err(Broken::Garbage("the checksum is wrong"));
        }
        rest = &body[4..];
    }
    let mut body = None;
    let mut sequences: Vec<(String, Vec<RawDocumentBuf>)> = Vec::new();
    let mut trouble = None;
    while !rest.is_empty() {
        match split(&mut rest, 1)?[0] {
            0 => {
                if body.is_some() {
                    return Err(Broken::Garbage("two bodies"));
                }
                body = Some(decode(split_document(&mut rest)?));
            }
            1 => {
                let mut peek = rest;
                let size = split_u32(&mut peek)? as usize;
                let mut section = split(&mut rest, size)?;
                split(&mut section, 4)?;
                let name = split_name(&mut section)?;
                if sequences.iter().any(|(other, _)| *other == name) {
                    return Err(Broken::Garbage("two sequences of one name"));
                }
                let mut documents = Vec::new();
                while !section.is_empty() {
                    let raw = split_document(&mut section)?;
                    match bytes::check(raw).and_then(|()| {
                        RawDocumentBuf::from_bytes(raw.to_vec())
                            .map_err(|error| CommandError::new(code::INVALID_BSON, error.to_string()))
                    }) {
                        Ok(document) => documents.push(document),
                        Err(error) => trouble = Some(error),
                    }
                }
                sequences.push((name, documents));
            }
            _ => return Err(Broken::Garbage("unknown section")),
        }
    }
    let mut body = body.ok_or(Broken::Garbage("no body"))?;
    if let Some(error) = trouble {
        body = Err(error);
    }
    if let Ok(body) = &body
        && sequences.iter().any(|(name, _)| body.contains_key(name))
    {
        return Err(Broken::Garbage("a field and a sequence of one name"));
    }
    Ok(Message { id, form: Form::Message, wants_reply: flags & MORE_TO_COME == 0, body, sequences })
}

fn parse_query(id: i32, payload: &[u8]) -> Result<Message, Broken> {
    let mut rest = payload;
    split(&mut rest, 4)?;
    let full_name = split_name(&mut rest)?;
    split(&mut rest, 8)?;
    let mut body = decode(split_document(&mut rest)?);
    let database = full_name.strip_suffix(".$cmd").map(str::to_owned);
    if let Ok(document) = &mut body {
        // Old clients wrap the command.
        let wrapped = document.get("$query").or_else(|| document.get("query")).and_then(Bson::as_document).cloned();
        if let Some(inner) = wrapped {
            *document = inner;
        }
        let name = document.keys().next().map(String::as_str).unwrap_or_default().to_ascii_lowercase();
        let is_handshake = matches!(name.as_str(), "hello" | "ismaster");
        match database {
            Some(database) if is_handshake => drop(document.insert("$db", database)),
            _ => {
                body = Err(CommandError::new(
                    352,
                    format!("Unsupported OP_QUERY command: {name}. The client driver may require an upgrade."),
                ));
            }
        }
    }
    Ok(Message { id, form: Form::Query, wants_reply: true, body, sequences: Vec::new() })
}

/// Writes a reply.
pub fn write(
    stream: &mut impl Write,
    form: Form,
    reply_id: i32,
    request_id: i32,
    reply: &RawDocument,
) -> io::Result<()> {
    let body = reply.as_bytes();
    let mut message = Vec::with_capacity(HEADER_BYTES + 24 + body.len());
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&reply_id.to_le_bytes());
    message.extend_from_slice(&request_id.to_le_bytes());
    match form {
        Form::Message => {
            message.extend_from_slice(&OP_MSG.to_le_bytes());
            message.extend_from_slice(&0_u32.to_le_bytes());
            message.push(0);
        }
        Form::Query => {
            message.extend_from_slice(&OP_REPLY.to_le_bytes());
            // AwaitCapable, cursor 0, from 0, one document.
            message.extend_from_slice(&8_i32.to_le_bytes());
            message.extend_from_slice(&0_i64.to_le_bytes());
            message.extend_from_slice(&0_i32.to_le_bytes());
            message.extend_from_slice(&1_i32.to_le_bytes());
        }
    }
    message.extend_from_slice(body);
    let length = i32::try_from(message.len()).map_err(|_| io::Error::other("a reply is too long"))?;
    message[..4].copy_from_slice(&length.to_le_bytes());
    stream.write_all(&message)
}

/// CRC-32C (Castagnoli), as OP_MSG's optional checksum.
fn crc32c(parts: &[&[u8]]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0_u32; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { (value >> 1) ^ 0x82F6_3B78 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    let mut crc = !0_u32;
    for byte in parts.iter().flat_map(|part| part.iter()) {
        crc = (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)];
    }
    !crc
}

#[cfg(test)]
mod test {
    use super::*;

    fn message(flags: u32, sections: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let length = 16 + 4 + sections.len();
        for word in [length as i32, 7, 0, OP_MSG] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(sections);
        bytes
    }

    fn body(document: Document) -> Vec<u8> {
        let mut section = vec![0];
        section.extend_from_slice(&document.to_vec().unwrap());
        section
    }

    #[test]
    fn reads_a_body_and_a_sequence() {
        let mut sections = body(bson::doc! { "insert": "c", "$db": "d" });
        let inner = bson::doc! { "_id": 1 }.to_vec().unwrap();
        sections.push(1);
        sections.extend_from_slice(&((4 + 10 + inner.len()) as u32).to_le_bytes());
        sections.extend_from_slice(b"documents\0");
        sections.extend_from_slice(&inner);
        let mut parsed = read(&mut message(0, &sections).as_slice()).unwrap();
        assert!(parsed.wants_reply);
        assert_eq!(parsed.take_documents(&Document::new(), "documents").unwrap().unwrap().len(), 1);
        assert_eq!(parsed.body.unwrap().get_str("insert").unwrap(), "c");
    }

    #[test]
    fn checks_the_checksum() {
        assert_eq!(crc32c(&[b"123456789"]), 0xE306_9283);
        let mut bytes = message(CHECKSUM_PRESENT, &body(bson::doc! { "ping": 1, "$db": "d" }));
        let length = bytes.len() as i32 + 4;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        let checksum = crc32c(&[&bytes]);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        assert!(read(&mut bytes.as_slice()).is_ok());
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert!(matches!(read(&mut bytes.as_slice()), Err(Broken::Garbage(_))));
    }

    #[test]
    fn garbage_is_an_error_never_a_panic() {
        let good = message(0, &body(bson::doc! { "ping": 1, "deep": { "a": [1, "x", { "b": null }] }, "$db": "d" }));
        for length in 0..good.len() {
            assert!(read(&mut &good[..length]).is_err());
        }
        for position in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[position] ^= 1 << bit;
                drop(read(&mut bytes.as_slice()));
            }
        }
    }

    #[test]
    fn compression_is_refused_politely() {
        let mut bytes = message(0, &body(bson::doc! { "ping": 1 }));
        bytes[12..16].copy_from_slice(&OP_COMPRESSED.to_le_bytes());
        let parsed = read(&mut bytes.as_slice()).unwrap();
        assert_eq!((parsed.id, parsed.body.unwrap_err().code), (7, code::PROTOCOL_ERROR));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let mut inner = bson::doc! {};
        for _ in 0..bytes::DEPTH_MAX + 5 {
            inner = bson::doc! { "a": inner };
        }
        let raw = inner.to_vec().unwrap();
        assert_eq!(bytes::check(&raw).unwrap_err().code, code::OVERFLOW);
    }
}
