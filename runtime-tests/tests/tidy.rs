//! House rules that a machine can check: the order of layers, names in documents, fixtures without owner, the root.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// Files git would track: everything except what the ignore file names.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let ignored = matches!(name.as_str(), ".git" | "target" | "node_modules" | "data") || name.ends_with(".tmp");
        let path = entry.path();
        if ignored {
            continue;
        }
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Crate to layer, as `crates/README.md` draws them; a crate depends on lower numbers only.
const LAYERS: [(&str, u32); 8] = [
    ("app-model", 1),
    ("rules", 2),
    ("isolate", 3),
    ("services", 3),
    ("auth", 3),
    ("app", 4),
    ("docstore", 4),
    ("server", 5),
];

#[test]
fn dependencies_point_down_only() {
    let layers: BTreeMap<&str, u32> = LAYERS.into();
    let mut problems = Vec::new();
    for (name, layer) in LAYERS {
        let manifest = std::fs::read_to_string(root().join("crates").join(name).join("Cargo.toml"))
            .unwrap_or_else(|error| panic!("crates/{name}: {error}"));
        let dependencies: Vec<&str> = manifest
            .split("\n[")
            .find_map(|section| section.strip_prefix("dependencies]"))
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .filter(|word| layers.contains_key(word))
            .collect();
        for dependency in dependencies {
            let isolate_stands_alone = name == "isolate" || name == "docstore";
            if layers[dependency] >= layer || isolate_stands_alone || (dependency == "docstore" && name != "server") {
                problems.push(format!("{name} (layer {layer}) depends on {dependency} (layer {})", layers[dependency]));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn outside_systems_have_one_owner() {
    let owners: [(&str, &[&str]); 3] = [
        ("deno_core::", &["isolate"]),
        ("mongodb::", &["services", "auth", "docstore", "bench"]),
        ("std::env::var", &["server", "xtask", "bench", "docstore"]),
    ];
    let mut problems = Vec::new();
    let mut sources = Vec::new();
    files(&root().join("crates"), &mut sources);
    for source in sources.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let relative = source.strip_prefix(root().join("crates")).expect("it lies below crates");
        let mut parts = relative.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
        let (crate_name, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if kind != "src" {
            continue;
        }
        let text = std::fs::read_to_string(source).expect("sources are text");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for (number, line) in code.enumerate() {
            for (name, allowed) in owners {
                if line.contains(name) && !allowed.contains(&crate_name.as_str()) {
                    problems.push(format!("{}, code line {}: {name}", relative.display(), number + 1));
                }
            }
        }
    }
    assert!(problems.is_empty(), "outside their crate:\n{}", problems.join("\n"));
}

#[test]
fn the_root_holds_only_what_it_should() {
    let allowed: BTreeSet<&str> = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "LICENSE",
        "crates",
        "js",
        "runtime-tests",
        "examples",
        "target",
        "data",
    ]
    .into();
    let entries = std::fs::read_dir(root()).expect("the root is readable");
    let strangers: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !allowed.contains(name.as_str()))
        .collect();
    assert!(strangers.is_empty(), "does not belong into the root: {strangers:?}");
}

#[test]
fn files_named_in_documents_exist() {
    let mut documents = Vec::new();
    files(&root(), &mut documents);
    documents.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    let mut problems = Vec::new();
    for document in &documents {
        let text = std::fs::read_to_string(document).expect("documents are text");
        let folder = document.parent().expect("a file has a folder");
        for name in text.split('`').skip(1).step_by(2).filter(|name| names_a_file(name)) {
            let places = [root(), folder.to_owned(), root().join("crates"), root().join("runtime-tests")];
            if !places.iter().any(|place| place.join(name).exists()) {
                problems.push(format!("{}: {name}", document.strip_prefix(root()).unwrap_or(document).display()));
            }
        }
    }
    assert!(problems.is_empty(), "documents name files that are not there:\n{}", problems.join("\n"));
}

/// A path of this repository: it begins with one of its folders and has neither placeholder nor blank.
fn names_a_file(name: &str) -> bool {
    let begins =
        ["crates/", "js/", "runtime-tests/", "examples/", "isolate/src", "server/src", "app/src", "services/src"];
    begins.iter().any(|start| name.starts_with(start))
        && !name.contains(['*', '<', '{', '…', ' ', '\n'])
        && !name.contains("NN")
}

#[test]
fn every_shared_app_is_used_and_no_file_is_a_blob() {
    let cases = runtime_tests::replay::cases_directory();
    let used: BTreeSet<PathBuf> = runtime_tests::case::discover(&cases)
        .expect("every case parses")
        .iter()
        .filter_map(|case| case.directory.join(&case.manifest.app).canonicalize().ok())
        .collect();
    let shared = std::fs::read_dir(cases.join("_apps")).expect("shared apps are there");
    let mut problems: Vec<String> = shared
        .filter_map(Result::ok)
        .filter(|entry| entry.path().canonicalize().is_ok_and(|path| !used.contains(&path)))
        .map(|entry| format!("no case uses {}", entry.path().display()))
        .collect();
    let mut all = Vec::new();
    files(&root(), &mut all);
    for file in all {
        let size = std::fs::metadata(&file).map(|data| data.len()).unwrap_or_default();
        let is_test_data = file.components().any(|part| part.as_os_str() == "tests");
        if size > if is_test_data { 4 << 20 } else { 1 << 20 } {
            problems.push(format!("{} has {size} bytes", file.display()));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
