//! Every fuzz target on a bounded number of damaged examples. The seed is fixed, so a failure comes back.

use fuzz::{TARGETS, examples};

/// A small generator whose numbers are the same on every machine (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or_default() % bound.max(1)
    }
}

const PIECES: [&str; 14] =
    ["{", "}", "[", "]", "\"", "\\u0000", "$", "null", "1e999", "-", "%", "&", "\u{feff}", "\"$oid\":\"\""];

fn damaged(example: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = example.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap_or_default(),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            3 => {
                let from = random.below(bytes.len() + 1).min(at);
                let copy = bytes[from..at].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {
                let piece = PIECES[random.below(PIECES.len())].bytes();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

fn run(name: &str, rounds: usize) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).expect("the target exists");
    let examples = examples(name);
    assert!(!examples.is_empty(), "{name} has examples");
    let mut random = Random(0x5e1f_ed6e);
    examples.iter().for_each(|example| target(example));
    for round in 0..rounds {
        let input = damaged(&examples[round % examples.len()], &mut random);
        let shown = String::from_utf8_lossy(&input).into_owned();
        if std::panic::catch_unwind(|| target(&input)).is_err() {
            panic!("{name}, round {round}: {shown:?}");
        }
    }
}

#[test]
fn app_loader() {
    run("app_loader", 1_500);
}

#[test]
fn query_string() {
    run("query_string", 5_000);
}

#[test]
fn signature_header() {
    run("signature_header", 5_000);
}

#[test]
fn docstore_message() {
    run("docstore_message", 50_000);
}

#[test]
fn docstore_document() {
    run("docstore_document", 50_000);
}

#[test]
fn ejson() {
    run("ejson", 1_500);
}
