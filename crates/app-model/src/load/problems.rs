//! Collects what a load reports.

use std::path::PathBuf;

use crate::{Level, Problem};

/// Problems in the order they were found, bounded.
pub(super) struct Problems {
    list: Vec<Problem>,
    most: usize,
    left_out: usize,
}

impl Problems {
    pub fn new(most: usize) -> Self {
        Self { list: Vec::new(), most, left_out: 0 }
    }

    pub fn error(&mut self, file: &str, field: &str, message: impl Into<String>) {
        self.push(Level::Error, file, field, message.into());
    }

    pub fn warning(&mut self, file: &str, field: &str, message: impl Into<String>) {
        self.push(Level::Warning, file, field, message.into());
    }

    /// In file order, and within a file in the order found.
    pub fn finish(mut self) -> Vec<Problem> {
        self.list.sort_by(|left, right| left.file.cmp(&right.file));
        if self.left_out > 0 {
            self.list.push(Problem {
                level: Level::Error,
                file: PathBuf::from("."),
                field: String::new(),
                message: format!("{} more problems are not listed: correct those above first", self.left_out),
            });
        }
        self.list
    }

    fn push(&mut self, level: Level, file: &str, field: &str, message: String) {
        if self.list.len() >= self.most {
            self.left_out += 1;
            return;
        }
        let file = PathBuf::from(if file.is_empty() { "." } else { file });
        self.list.push(Problem { level, file, field: field.to_owned(), message });
    }
}

/// A text from the app for a message: in quotes, escaped, and not endless.
pub(super) fn quoted(text: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    let mut shown: String = text.chars().take(CHARACTERS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}
