//! The order in which V8 is looked for, on the real command.

use std::path::Path;
use std::process::{Command, Output};

fn v8(configure: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("v8").env_remove("RUSTY_V8_ARCHIVE").env_remove("RUSTY_V8_MIRROR");
    configure(&mut command);
    command.output().expect("the command starts")
}

fn locked_version() -> String {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    let text = std::fs::read_to_string(lock).expect("the workspace has a lock file");
    let line = text.lines().skip_while(|line| *line != "name = \"v8\"").nth(1).expect("v8 is locked");
    line.trim_start_matches("version = ").trim_matches('"').to_owned()
}

#[test]
fn an_archive_named_by_the_environment_is_left_alone() {
    let output = v8(|command| {
        command.env("RUSTY_V8_ARCHIVE", "some/librusty_v8.a").env("CARGO_HOME", "/nonexistent");
    });
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("RUSTY_V8_ARCHIVE is set to some/librusty_v8.a"), "{text}");
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn a_library_in_the_cargo_cache_is_left_alone() {
    let home = std::env::temp_dir().join(format!("xtask-v8-order-{}", std::process::id()));
    let version = locked_version();
    let name = format!(
        "https___github_com_denoland_rusty_v8_releases_download_v{}_librusty_v8_simdutf_release_x86_64_unknown_linux_gnu_a_gz",
        version.replace('.', "_")
    );
    std::fs::create_dir_all(home.join(".rusty_v8")).expect("a scratch folder");
    std::fs::write(home.join(".rusty_v8").join(&name), "library").expect("a scratch file");
    let output = v8(|command| {
        command.env("CARGO_HOME", &home);
    });
    std::fs::remove_dir_all(&home).expect("the scratch folder is ours");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("in the cargo cache") && text.contains(&version), "{text}");
}

#[test]
fn a_wrong_flag_is_explained() {
    let output = v8(|command| {
        command.arg("--form-source");
    });
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("unknown flag `--form-source`"));
}
