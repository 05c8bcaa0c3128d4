//! What commands print: for people, or as JSON for programs.

use std::io::{self, Write};
use std::time::SystemTime;

use serde_json::Value as Json;

use crate::error::ServerError;

/// Writes to standard output. Somebody who has read enough, such as `head`, is no failure.
pub(super) fn print(text: &str) -> Result<(), ServerError> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(ServerError::system("writing to standard output")),
    }
}

/// One JSON value, readable.
pub(super) fn print_json(value: &Json) -> Result<(), ServerError> {
    print(&format!("{value:#}\n"))
}

/// Columns as wide as their widest cell; the last one is left as it is.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{:<width$}", plain(cell))).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Text of strangers: control characters cannot forge lines or colours.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { character.escape_unicode().to_string() } else { character.into() })
        .collect()
}

/// `2026-01-31T12:00:00Z`
pub(super) fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let rows =
            [vec!["NAME".into(), "AGE".into()], vec!["someone".into(), "5".into()], vec!["a\nb".into(), "".into()]];
        assert_eq!(table(&rows), "NAME     AGE\nsomeone  5\na\\u{a}b\n");
    }
}
