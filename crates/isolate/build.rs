//! Lists the prelude scripts of `js/` in load order, so that a new file there needs no second list here.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let js = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../js");
    println!("cargo::rerun-if-changed={}", js.display());
    let mut files: Vec<_> = fs::read_dir(&js)
        .unwrap_or_else(|error| panic!("{}: {error}", js.display()))
        .map(|entry| entry.expect("readable directory").path())
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
            name.ends_with(".js") && name.len() > 3 && name.as_bytes()[..2].iter().all(u8::is_ascii_digit)
        })
        .collect();
    files.sort();
    let mut list = String::from("pub(crate) static SCRIPTS: &[(&str, &str)] = &[\n");
    for path in files {
        println!("cargo::rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if text.trim().is_empty() {
            continue;
        }
        if let Some((line, _)) = text.lines().enumerate().find(|(_, line)| !line.is_ascii()) {
            panic!("{}:{}: prelude scripts are ASCII", path.display(), line + 1);
        }
        let name = path.file_name().and_then(|name| name.to_str()).expect("filtered above");
        writeln!(list, "    ({name:?}, include_str!({:?})),", path.display().to_string()).expect("to a String");
    }
    list.push_str("];\n");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("prelude.rs");
    fs::write(&out, list).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}
