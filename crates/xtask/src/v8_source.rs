//! Builds the V8 static library from the sources in the `v8` crate, for machines that cannot reach its release page.
//!
//! Works on Debian 12 and newer (and relatives with `apt-get`) on x86_64. Every step is skipped when its result is
//! there, so an interrupted build goes on where it stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::v8::{Target, cargo_home, crate_folder};
use crate::{cargo, run, say};

/// The compiler generation whose packages the recipe installs.
const CLANG: &str = "22";

/// The crate that carries V8's ICU data file, which the `v8` crate leaves out.
const ICU_DATA_CRATE: (&str, &str) = ("deno_core_icudata", "0.77.0");

/// First build number of `gn` (`gn --version`) that knows module substitutions; early 2025.
const GN_MIN: u32 = 2200;

/// Flags newer than the compiler above, with the build file that passes each.
const UNKNOWN_FLAGS: [(&str, &str); 3] = [
    ("build/config/compiler/BUILD.gn", "-fdiagnostics-show-inlining-chain"),
    ("build/config/compiler/BUILD.gn", "-fno-lifetime-dse"),
    ("build/config/sanitizers/sanitizers.gni", "-fsanitize-ignore-for-ubsan-feature="),
];

/// Builds the library and puts it into the cargo cache; `dry_run` stops after a dry run of ninja.
pub fn build(target: &Target, dry_run: bool) -> Result<(), String> {
    if target.triple != "x86_64-unknown-linux-gnu" || !on_path("apt-get") {
        return Err(format!(
            "building V8 from source is prepared for Debian and its relatives on x86_64, not for {}.\n\
             Set RUSTY_V8_ARCHIVE to a library built elsewhere, or follow the v8 crate's README with V8_FROM_SOURCE=1.",
            target.triple
        ));
    }
    let folder = cargo_home()?.join(".rusty_v8").join(format!("source-{}", target.version));
    say(&format!("V8 from source, step 1 of 5: compiler and tools (clang {CLANG}, lld, ninja, gn)"));
    install_packages()?;
    let gn = find_gn(&folder.with_file_name("gn"))?;
    say(&format!("V8 from source, step 2 of 5: sources into {}", folder.display()));
    prepare_sources(target, &folder)?;
    say("V8 from source, step 3 of 5: gn gen");
    let output = folder.join("out");
    generate(&gn, &folder, &output)?;
    say("V8 from source, step 4 of 5: ninja, some 2,200 steps");
    let mut ninja = Command::new("ninja");
    ninja.arg("-C").arg(&output);
    if dry_run {
        run(ninja
            .args(["-n", "-d", "explain", "--quiet", "rusty_v8"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null()))?;
        say("V8 from source: dry run is fine; nothing was compiled");
        return Ok(());
    }
    run(ninja.arg("rusty_v8"))?;
    say("V8 from source, step 5 of 5: into the cargo cache");
    let partial = target.cached.with_extension("partial");
    fs::copy(output.join("obj/librusty_v8.a"), &partial).map_err(describe(&partial))?;
    fs::rename(&partial, &target.cached).map_err(describe(&target.cached))?;
    say(&format!("V8 {} is in {}", target.version, target.cached.display()));
    say(&format!("the sources may be deleted now: {}", folder.display()));
    Ok(())
}

fn describe(path: &Path) -> impl Fn(std::io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|folders| std::env::split_paths(&folders).any(|folder| folder.join(program).is_file()))
}

/// `apt-get` with root's rights: directly as root, else through sudo.
fn apt_get() -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0"));
    let mut command = Command::new(if is_root { "apt-get" } else { "sudo" });
    if !is_root {
        command.arg("apt-get");
    }
    command
}

fn install_packages() -> Result<(), String> {
    let compiler = format!("/usr/lib/llvm-{CLANG}/bin/clang");
    let runtime = format!("/usr/lib/llvm-{CLANG}/lib/clang/{CLANG}/lib/linux/libclang_rt.builtins-x86_64.a");
    if [compiler.as_str(), &runtime].iter().all(|file| Path::new(file).is_file())
        && ["ninja", "python3", "pkg-config"].iter().all(|program| on_path(program))
        && Path::new(&format!("/usr/lib/llvm-{CLANG}/bin/ld.lld")).exists()
    {
        return Ok(());
    }
    let packages = ["clang", "lld", "llvm"].map(|name| format!("{name}-{CLANG}"));
    run(apt_get().args(["update", "-qq"]))?;
    run(apt_get()
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(packages)
        .args([format!("libclang-{CLANG}-dev"), format!("libclang-rt-{CLANG}-dev")])
        .args(["ninja-build", "python3", "pkg-config"]))
}

/// Version number that a `gn` prints.
fn gn_version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    String::from_utf8_lossy(&output.stdout).split_whitespace().next()?.parse().ok()
}

/// A `gn` that is new enough: the machine's own, else the one of Debian testing, unpacked beside the libraries of that
/// release and started through their dynamic loader, so that nothing of the machine changes.
fn find_gn(folder: &Path) -> Result<PathBuf, String> {
    let own = Path::new("gn");
    if gn_version(own).is_some_and(|version| version >= GN_MIN) {
        return Ok(own.to_owned());
    }
    let wrapper = folder.join("gn");
    // Debian's builds all say version 0, so the one unpacked here is trusted when it starts.
    if gn_version(&wrapper).is_some() {
        return Ok(wrapper);
    }
    let state = folder.join("apt");
    for part in ["lists/partial", "archives/partial", "packages"] {
        fs::create_dir_all(state.join(part)).map_err(describe(&state))?;
    }
    let sources = state.join("sources.list");
    let mirror = debian_mirror();
    let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
    fs::write(&sources, format!("deb [signed-by={keys}] {mirror} testing main\n")).map_err(describe(&sources))?;
    let options = [
        format!("Dir::Etc::sourcelist={}", sources.display()),
        "Dir::Etc::sourceparts=/dev/null".to_owned(),
        "Dir::Etc::preferencesparts=/dev/null".to_owned(),
        format!("Dir::State::lists={}", state.join("lists").display()),
        format!("Dir::Cache={}", state.display()),
        format!("Dir::Cache::archives={}", state.join("archives").display()),
        "APT::Sandbox::User=root".to_owned(),
    ];
    let private_apt = || {
        let mut command = Command::new("apt-get");
        command.arg("-qq");
        for option in &options {
            command.arg("-o").arg(option);
        }
        command
    };
    run(private_apt().arg("update"))?;
    let packages = state.join("packages");
    run(private_apt().current_dir(&packages).args(["download", "generate-ninja", "libc6", "libstdc++6", "libgcc-s1"]))?;
    let root = folder.join("root");
    for entry in fs::read_dir(&packages).map_err(describe(&packages))?.filter_map(Result::ok) {
        run(Command::new("dpkg-deb").arg("--extract").arg(entry.path()).arg(&root))?;
    }
    let loader = find_below(&root, "ld-linux-x86-64.so.2").ok_or("the C library of Debian testing has no loader")?;
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let script = format!(
        "#!/bin/sh\nexec {} --library-path {} {} \"$@\"\n",
        loader.display(),
        libraries.display(),
        root.join("usr/bin/gn").display()
    );
    fs::write(&wrapper, script).map_err(describe(&wrapper))?;
    run(Command::new("chmod").arg("+x").arg(&wrapper))?;
    match gn_version(&wrapper) {
        Some(_) => Ok(wrapper),
        None => Err(format!("{} does not run", wrapper.display())),
    }
}

/// The mirror that the machine uses, so that a private one keeps being used.
fn debian_mirror() -> String {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(folder) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(folder.filter_map(Result::ok).map(|entry| entry.path()));
    }
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .find_map(|text| mirror_in(&text))
        .unwrap_or_else(|| "http://deb.debian.org/debian".to_owned())
}

/// First address of a Debian archive in a sources file of either format.
fn mirror_in(text: &str) -> Option<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words = lines.flat_map(str::split_whitespace);
    let mut addresses = words.filter(|word| word.starts_with("http") && !word.contains("security"));
    addresses.find(|word| word.trim_end_matches('/').ends_with("/debian")).map(str::to_owned)
}

fn find_below(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).ok()?.filter_map(Result::ok) {
            let kind = entry.file_type().ok()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && entry.file_name() == *name {
                return Some(entry.path());
            }
        }
    }
    None
}

fn prepare_sources(target: &Target, folder: &Path) -> Result<(), String> {
    let ready = folder.join("prepared");
    if ready.is_file() {
        return Ok(());
    }
    let original = crate_folder(&target.version)?;
    fs::create_dir_all(folder).map_err(describe(folder))?;
    run(Command::new("cp").arg("-a").arg(original.join(".")).arg(folder))?;
    // It would make rustup fetch a toolchain of its own.
    let _ = fs::remove_file(folder.join("rust-toolchain.toml"));
    let data = folder.join("third_party/icu/common/icudtl.dat");
    fs::create_dir_all(folder.join("third_party/icu/common")).map_err(describe(&data))?;
    fs::copy(icu_data(folder)?, &data).map_err(describe(&data))?;
    link_compiler_runtime()?;
    for (file, flag) in UNKNOWN_FLAGS {
        let file = folder.join(file);
        let text = fs::read_to_string(&file).map_err(describe(&file))?;
        fs::write(&file, without_flag(&text, flag)).map_err(describe(&file))?;
    }
    fs::write(&ready, "").map_err(describe(&ready))
}

/// Drops the list elements that hold a flag from a build file, keeping its assignments well-formed.
fn without_flag(text: &str, flag: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for line in text.lines() {
        let is_element = line.trim_start().starts_with('"') && line.trim_end().ends_with(',');
        if !line.contains(flag) || line.trim_start().starts_with('#') {
            kept.push_str(line);
        } else if !is_element {
            kept.push_str(&without_element(line, flag));
        }
        kept.push('\n');
    }
    kept
}

/// Takes the quoted element that begins with `flag` out of a one-line list.
fn without_element(line: &str, flag: &str) -> String {
    let Some(start) = line.find(&format!("\"{flag}")) else { return line.to_owned() };
    let Some(length) = line[start + 1..].find('"') else { return line.to_owned() };
    let end = start + length + 2;
    let rest = line[end..].trim_start_matches([',', ' ']);
    let space = if rest.starts_with(']') && line[..start].ends_with("[ ") { " " } else { "" };
    format!("{}{}{rest}", line[..start].trim_end_matches(' '), if space.is_empty() { " " } else { space })
}

/// Fetches the crate with the ICU data file through cargo and gives the file's path.
fn icu_data(folder: &Path) -> Result<PathBuf, String> {
    let (name, version) = ICU_DATA_CRATE;
    let project = folder.join("icu-data");
    fs::create_dir_all(project.join("src")).map_err(describe(&project))?;
    let manifest = format!(
        "[package]\nname = \"icu-data\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n\
         [dependencies]\n{name} = \"={version}\"\n\n[workspace]\n"
    );
    fs::write(project.join("Cargo.toml"), manifest).map_err(describe(&project))?;
    fs::write(project.join("src/lib.rs"), "").map_err(describe(&project))?;
    run(cargo().current_dir(&project).arg("fetch").arg("--quiet"))?;
    let sources = cargo_home()?.join("registry/src");
    let registries = fs::read_dir(&sources).map_err(describe(&sources))?.filter_map(Result::ok);
    registries
        .map(|registry| registry.path().join(format!("{name}-{version}")))
        .find(|candidate| candidate.is_dir())
        .and_then(|candidate| find_below(&candidate, "icudtl.dat"))
        .ok_or_else(|| format!("the crate {name} {version} holds no icudtl.dat"))
}

/// The build files look for the runtime library under the target's full name; Debian names it by architecture.
fn link_compiler_runtime() -> Result<(), String> {
    let library = PathBuf::from(format!("/usr/lib/llvm-{CLANG}/lib/clang/{CLANG}/lib"));
    let folder = library.join("x86_64-unknown-linux-gnu");
    if folder.join("libclang_rt.builtins.a").exists() {
        return Ok(());
    }
    let script = format!(
        "mkdir -p {folder} && cd {folder} && for f in ../linux/libclang_rt.*-x86_64.a; do \
         n=$(basename \"$f\" -x86_64.a); ln -sf \"$f\" \"$n.a\"; done",
        folder = folder.display()
    );
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0"));
    let mut command = Command::new(if is_root { "sh" } else { "sudo" });
    if !is_root {
        command.arg("sh");
    }
    run(command.arg("-c").arg(script))
}

fn generate(gn: &Path, folder: &Path, output: &Path) -> Result<(), String> {
    let text_of = |arguments: &[&str]| -> Result<String, String> {
        let output = Command::new("rustc").args(arguments).output().map_err(|error| format!("rustc: {error}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let arguments = [
        "is_debug=false".to_owned(),
        "use_custom_libcxx=true".to_owned(),
        "v8_enable_sandbox=false".to_owned(),
        "v8_enable_pointer_compression=false".to_owned(),
        "v8_enable_v8_checks=false".to_owned(),
        "rusty_v8_enable_simdutf=true".to_owned(),
        format!("clang_base_path=\"/usr/lib/llvm-{CLANG}\""),
        format!("clang_version=\"{CLANG}\""),
        "treat_warnings_as_errors=false".to_owned(),
        "v8_monolithic_for_shared_library=true".to_owned(),
        "symbol_level=0".to_owned(),
        "use_glib=false".to_owned(),
        // The vendored Rust sources that Temporal needs are not in the crate.
        "v8_enable_temporal_support=false".to_owned(),
        "enable_rust=false".to_owned(),
        "enable_rust_cxx=false".to_owned(),
        format!("rust_sysroot_absolute=\"{}\"", text_of(&["--print", "sysroot"])?),
        format!("rustc_version=\"{}\"", text_of(&["-V"])?),
    ];
    run(Command::new(gn)
        .arg(format!("--root={}", folder.display()))
        .arg("--script-executable=python3")
        .arg("gen")
        .arg(output)
        .arg(format!("--args={}", arguments.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::{mirror_in, without_flag};

    #[test]
    fn flags_are_dropped_and_lists_stay_well_formed() {
        let text = "cflags += [\n  \"-fa\",\n  \"-fno-lifetime-dse\",\n]\nx = [ \"-fno-lifetime-dse\" ]\ny = [ \"-fb\", \"-fno-lifetime-dse\" ]\n";
        let expected = "cflags += [\n  \"-fa\",\n\n]\nx = [ ]\ny = [ \"-fb\", ]\n";
        assert_eq!(without_flag(text, "-fno-lifetime-dse"), expected);
    }

    #[test]
    fn the_machines_mirror_is_used() {
        let new = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n";
        let old = "# deb http://no.example/debian x\ndeb https://b.example/debian-security s main\ndeb https://a.example/debian bookworm main\n";
        assert_eq!(mirror_in(new).as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(mirror_in(old).as_deref(), Some("https://a.example/debian"));
        assert_eq!(mirror_in("deb cdrom:x y"), None);
    }
}
