//! Every line of the behaviour specification has a case, or a reason why not.

use std::collections::BTreeSet;
use std::path::Path;

use runtime_tests::case::discover;
use runtime_tests::replay::{cases_directory, listed};

#[test]
fn every_specification_line_has_a_case_or_a_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(folder.join("spec-lines.txt")).expect("the list of lines is there");
    let lines: BTreeSet<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let uncovered = listed(&folder.join("uncovered.txt")).expect("the list of uncovered lines parses");
    let cases = discover(&cases_directory()).expect("every case parses");
    let mut covered = BTreeSet::new();
    let mut problems = Vec::new();
    for case in &cases {
        for line in &case.manifest.source {
            if !lines.contains(line.as_str()) {
                problems.push(format!("{} cites {line}, which is no line of the specification", case.name));
            }
            covered.insert(line.as_str());
        }
    }
    for line in &lines {
        match (covered.contains(line), uncovered.contains_key(*line)) {
            (false, false) => problems.push(format!("{line} has no case; add one, or a reason to uncovered.txt")),
            (true, true) => problems.push(format!("{line} has a case now; take it out of uncovered.txt")),
            _ => {}
        }
    }
    for line in uncovered.keys().filter(|line| !lines.contains(line.as_str())) {
        problems.push(format!("uncovered.txt names {line}, which is no line of the specification"));
    }
    println!("{} cases cover {} of {} lines", cases.len(), covered.len(), lines.len());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
