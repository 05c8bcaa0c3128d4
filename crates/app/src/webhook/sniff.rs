//! Content type of a body whose handler named none: the platform's server was written in Go, whose HTTP library applies
//! the MIME sniffing standard to the first 512 bytes (http-surface 5.5; signatures from the WHATWG standard, section 7).

/// The media type a string looks like: markup and documents are recognised, signatures that a sentence could begin with
/// (`BM`, `ID3`) are not.
pub(super) fn content_type_of_text(body: &[u8]) -> &'static str {
    match content_type(body) {
        found if found.starts_with("text/") || found == "application/pdf" || found == "application/postscript" => found,
        "image/gif" => "image/gif",
        _ => fallback(body),
    }
}

/// The media type these bytes look like. JSON looks like text.
pub(super) fn content_type(body: &[u8]) -> &'static str {
    let data = &body[..body.len().min(512)];
    let trimmed = trim_start(data);
    if HTML.iter().any(|tag| starts_with_tag(trimmed, tag)) || starts_with_comment(trimmed) {
        return "text/html; charset=utf-8";
    }
    if trimmed.starts_with(b"<?xml") {
        return "text/xml; charset=utf-8";
    }
    if let Some((_, content_type)) = SIGNATURES.iter().find(|(signature, _)| signature.matches(data)) {
        return content_type;
    }
    if is_mp4(data) {
        return "video/mp4";
    }
    fallback(body)
}

/// Text, unless a control byte says otherwise.
fn fallback(body: &[u8]) -> &'static str {
    match body.iter().take(512).any(|byte| is_binary(*byte)) {
        true => "application/octet-stream",
        false => "text/plain; charset=utf-8",
    }
}

/// Tags that begin an HTML page, in upper case.
const HTML: [&[u8]; 16] = [
    b"<!DOCTYPE HTML",
    b"<HTML",
    b"<HEAD",
    b"<SCRIPT",
    b"<IFRAME",
    b"<H1",
    b"<DIV",
    b"<FONT",
    b"<TABLE",
    b"<A",
    b"<STYLE",
    b"<TITLE",
    b"<B",
    b"<BODY",
    b"<BR",
    b"<P",
];

/// How a format is recognised.
enum Signature {
    /// It begins with these bytes.
    Prefix(&'static [u8]),
    /// It begins with the first bytes, and has the second ones at this offset.
    Container(&'static [u8], usize, &'static [u8]),
}

impl Signature {
    fn matches(&self, data: &[u8]) -> bool {
        match self {
            Self::Prefix(prefix) => data.starts_with(prefix),
            Self::Container(prefix, offset, inner) => {
                data.starts_with(prefix) && data.get(*offset..).is_some_and(|rest| rest.starts_with(inner))
            }
        }
    }
}

use Signature::{Container, Prefix};

const SIGNATURES: [(Signature, &str); 30] = [
    (Prefix(b"%PDF-"), "application/pdf"),
    (Prefix(b"%!PS-Adobe-"), "application/postscript"),
    (Prefix(b"\xFE\xFF"), "text/plain; charset=utf-16be"),
    (Prefix(b"\xFF\xFE"), "text/plain; charset=utf-16le"),
    (Prefix(b"\xEF\xBB\xBF"), "text/plain; charset=utf-8"),
    (Prefix(b"\x00\x00\x01\x00"), "image/x-icon"),
    (Prefix(b"\x00\x00\x02\x00"), "image/x-icon"),
    (Prefix(b"BM"), "image/bmp"),
    (Prefix(b"GIF87a"), "image/gif"),
    (Prefix(b"GIF89a"), "image/gif"),
    (Container(b"RIFF", 8, b"WEBPVP"), "image/webp"),
    (Prefix(b"\x89PNG\x0D\x0A\x1A\x0A"), "image/png"),
    (Prefix(b"\xFF\xD8\xFF"), "image/jpeg"),
    (Container(b"FORM", 8, b"AIFF"), "audio/aiff"),
    (Prefix(b"ID3"), "audio/mpeg"),
    (Prefix(b"OggS\x00"), "application/ogg"),
    (Prefix(b"MThd\x00\x00\x00\x06"), "audio/midi"),
    (Container(b"RIFF", 8, b"AVI "), "video/avi"),
    (Container(b"RIFF", 8, b"WAVE"), "audio/wave"),
    (Prefix(b"\x1A\x45\xDF\xA3"), "video/webm"),
    (Prefix(b"\x00\x01\x00\x00"), "font/ttf"),
    (Prefix(b"OTTO"), "font/otf"),
    (Prefix(b"ttcf"), "font/collection"),
    (Prefix(b"wOFF"), "font/woff"),
    (Prefix(b"wOF2"), "font/woff2"),
    (Prefix(b"\x1F\x8B\x08"), "application/x-gzip"),
    (Prefix(b"PK\x03\x04"), "application/zip"),
    (Prefix(b"Rar!\x1A\x07\x00"), "application/x-rar-compressed"),
    (Prefix(b"Rar!\x1A\x07\x01\x00"), "application/x-rar-compressed"),
    (Prefix(b"\x00\x61\x73\x6D"), "application/wasm"),
];

fn trim_start(data: &[u8]) -> &[u8] {
    let start = data.iter().position(|byte| !matches!(byte, b'\t' | b'\n' | b'\x0C' | b'\r' | b' '));
    start.map_or(&[], |start| &data[start..])
}

/// A tag in any case, ended by a blank or `>`.
fn starts_with_tag(data: &[u8], tag: &[u8]) -> bool {
    data.len() > tag.len() && data[..tag.len()].eq_ignore_ascii_case(tag) && ends_tag(data[tag.len()])
}

fn ends_tag(byte: u8) -> bool {
    matches!(byte, b' ' | b'>')
}

fn starts_with_comment(data: &[u8]) -> bool {
    data.strip_prefix(b"<!--").and_then(<[u8]>::first).is_some_and(|next| ends_tag(*next))
}

/// An ISO media file whose brands include one that begins with `mp4`.
fn is_mp4(data: &[u8]) -> bool {
    let Some(size) = data.get(..4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes) else {
        return false;
    };
    let size = size as usize;
    if data.len() < 12 || data.len() < size || !size.is_multiple_of(4) || &data[4..8] != b"ftyp" {
        return false;
    }
    (8..size).step_by(4).filter(|offset| *offset != 12).any(|offset| data[offset..].starts_with(b"mp4"))
}

fn is_binary(byte: u8) -> bool {
    matches!(byte, 0x00..=0x08 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sniffed_types() {
        let text = "text/plain; charset=utf-8";
        let html = "text/html; charset=utf-8";
        for (body, expected) in [
            (&b"hi"[..], text),
            (br#"{"a":1}"#, text),
            ("żółć".as_bytes(), text),
            (b"  \n<!DOCTYPE html>\n<html>", html),
            (b"<html>", html),
            (b"<HTML lang=en>", html),
            (b"<htmlx", text),
            (b"<html", text),
            (b"<p>x", html),
            (b"<pre>", text),
            (b"<!-- x", html),
            (b"<?xml version=\"1.0\"?>", "text/xml; charset=utf-8"),
            (b" <?xml", "text/xml; charset=utf-8"),
            (b"%PDF-1.4", "application/pdf"),
            (b"\x89PNG\r\n\x1a\n....", "image/png"),
            (b"GIF89a..", "image/gif"),
            (b"\xff\xd8\xff\xe0", "image/jpeg"),
            (b"RIFF....WEBPVP8 ", "image/webp"),
            (b"RIFF....WAVE", "audio/wave"),
            (b"PK\x03\x04", "application/zip"),
            (b"\x1f\x8b\x08\x00", "application/x-gzip"),
            (b"\x00\x01\x02", "application/octet-stream"),
            (b"a\x1bb", text),
            (b"a\x00b", "application/octet-stream"),
            (b"\xef\xbb\xbfx", text),
            (b"\x00\x00\x00\x10ftypmp42\x00\x00\x00\x00", "video/mp4"),
            (b"", text),
        ] {
            assert_eq!(content_type(body), expected, "{body:?}");
        }
        assert_eq!(content_type(b"BMW"), "image/bmp");
        assert_eq!(content_type_of_text(b"BMW"), text);
        assert_eq!(content_type_of_text(b"<p>x"), html);
        assert_eq!(content_type_of_text(b"a\x00b"), "application/octet-stream");
        let mut long = vec![b'a'; 512];
        long.push(0);
        assert_eq!(content_type(&long), text, "only the first 512 bytes count");
    }
}
