//! Makes the V8 static library available to the `v8` crate's build script, in the order: named by the environment, in
//! the cargo cache, downloadable, built from source.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{cargo, run, say, v8_source, workspace};

/// What the `v8` crate's build script will look for.
pub struct Target {
    /// Version of the `v8` crate in `Cargo.lock`.
    pub version: String,
    /// Host triple, for example `x86_64-unknown-linux-gnu`.
    pub triple: String,
    /// Address on the release page.
    pub url: String,
    /// Place in the cargo cache where the build script looks before it downloads.
    pub cached: PathBuf,
}

impl Target {
    /// Reads version and triple from the workspace and the compiler.
    pub fn detect() -> Result<Self, String> {
        let lock = workspace().join("Cargo.lock");
        let text = std::fs::read_to_string(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
        let version = locked_version(&text, "v8").ok_or("Cargo.lock names no `v8` crate")?;
        let triple = host_triple()?;
        let library = if triple.contains("windows") { "rusty_v8" } else { "librusty_v8" };
        let extension = if triple.contains("windows") { "lib" } else { "a" };
        let base = std::env::var("RUSTY_V8_MIRROR")
            .unwrap_or_else(|_| "https://github.com/denoland/rusty_v8/releases/download".to_owned());
        // The workspace switches on the crate's `simdutf` feature (through deno_core), which is part of the name.
        let url = format!("{base}/v{version}/{library}_simdutf_release_{triple}.{extension}.gz");
        let cached = cargo_home()?.join(".rusty_v8").join(escaped(&url));
        Ok(Self { version, triple, url, cached })
    }
}

/// Version of a package in the text of a lock file.
fn locked_version(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let after = lock.lines().skip_while(|line| *line != name).nth(1)?;
    after.strip_prefix("version = \"")?.strip_suffix('"').map(str::to_owned)
}

/// The build script's own escaping: everything that is not alphanumeric becomes `_`.
fn escaped(url: &str) -> String {
    url.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '_' }).collect()
}

/// Cargo's home folder.
pub fn cargo_home() -> Result<PathBuf, String> {
    if let Some(folder) = std::env::var_os("CARGO_HOME") {
        return Ok(folder.into());
    }
    let home = std::env::var_os("HOME").or_else(|| std::env::var_os("USERPROFILE"));
    home.map(|home| Path::new(&home).join(".cargo")).ok_or_else(|| "neither CARGO_HOME nor HOME is set".to_owned())
}

fn host_triple() -> Result<String, String> {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler).arg("-vV").output().map_err(|error| format!("rustc -vV: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let triple = text.lines().find_map(|line| line.strip_prefix("host: "));
    triple.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}

/// Sees to it that the next `cargo build` finds V8. `talkative` also says so when nothing had to be done.
pub fn ensure(talkative: bool) -> Result<(), String> {
    if let Some(archive) = std::env::var_os("RUSTY_V8_ARCHIVE") {
        if talkative {
            say(&format!("V8: RUSTY_V8_ARCHIVE is set to {}; leaving it", Path::new(&archive).display()));
        }
        return Ok(());
    }
    let target = Target::detect()?;
    if std::fs::metadata(&target.cached).is_ok_and(|file| file.len() > 0) {
        if talkative {
            say(&format!("V8 {}: in the cargo cache ({})", target.version, target.cached.display()));
        }
        return Ok(());
    }
    if already_built(&target.version) {
        if talkative {
            say(&format!("V8 {}: the build folder has it", target.version));
        }
        return Ok(());
    }
    say(&format!("V8 {}: asking the release page of the v8 crate", target.version));
    if reachable(&target.url) {
        say("V8: the build will download it (some 40 MB)");
        return Ok(());
    }
    say(&format!("V8: {} cannot be reached.", target.url));
    say("V8 will be built from source with this machine's compiler. That takes one to two hours on two cores, needs");
    say("10 GB of disk, and happens once: the result goes into the cargo cache. To use a library that you have,");
    say("stop this and set RUSTY_V8_ARCHIVE to its path.");
    v8_source::build(&target, false)
}

/// True when an earlier build downloaded the library into the target folder, so that it need not be reachable now.
fn already_built(version: &str) -> bool {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    ["debug", "release"].iter().all(|profile| {
        let objects = folder.join(profile).join("gn_out/obj");
        let note = std::fs::read_to_string(objects.join("librusty_v8.sum")).unwrap_or_default();
        objects.join("librusty_v8.a").is_file() && note.contains(version)
    })
}

/// Asks for the headers only, with the tools that the build script itself would use.
fn reachable(url: &str) -> bool {
    let script = "import sys,urllib.request as r; \
                  r.urlopen(r.Request(sys.argv[1], method='HEAD'), timeout=20)";
    let attempts: [(&str, Vec<&str>); 2] = [
        ("curl", vec!["--silent", "--fail", "--location", "--head", "--max-time", "20", "--output", "/dev/null", url]),
        ("python3", vec!["-c", script, url]),
    ];
    attempts.iter().any(|(program, arguments)| {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

/// Folder of the unpacked `v8` crate in the cargo registry.
pub fn crate_folder(version: &str) -> Result<PathBuf, String> {
    run(cargo().args(["fetch", "--quiet", "--locked"]))?;
    let sources = cargo_home()?.join("registry/src");
    let registries = std::fs::read_dir(&sources).map_err(|error| format!("{}: {error}", sources.display()))?;
    registries
        .filter_map(Result::ok)
        .map(|registry| registry.path().join(format!("v8-{version}")))
        .find(|folder| folder.is_dir())
        .ok_or_else(|| format!("no folder v8-{version} below {}", sources.display()))
}

#[cfg(test)]
mod tests {
    use super::{escaped, locked_version};

    #[test]
    fn the_lock_file_is_read() {
        let lock =
            "[[package]]\nname = \"v8x\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"v8\"\nversion = \"150.4.0\"\n";
        assert_eq!(locked_version(lock, "v8").as_deref(), Some("150.4.0"));
        assert_eq!(locked_version(lock, "deno_core"), None);
    }

    #[test]
    fn addresses_are_escaped_as_the_build_script_does() {
        assert_eq!(escaped("https://x.y/v1.0/lib_a.gz"), "https___x_y_v1_0_lib_a_gz");
    }
}
