//! `tools/rust-src` with a mirror that has no sources, with scripts in place of `rustc` and `apt-get`.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools");
const MIRROR: &str = "http://reader:s3cret@mirror.test/debian";

/// Runs one of the tools with a `rustc` of this version and an `apt-get` that runs this script.
fn run(tool: &str, version: &str, apt_get: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let rustc = format!("[ \"$1\" = --print ] && echo /nowhere || echo 'rustc {version} (0 0)'");
    for (name, does) in [("rustc", rustc.as_str()), ("apt-get", apt_get), ("apt-cache", "exit 0")] {
        let file = folder.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{does}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", folder.path().display(), env::var("PATH").unwrap());
    let output = Command::new(Path::new(TOOLS).join(tool))
        .arg("the image")
        .env("PATH", path)
        .env("RUST_SRC_MIRROR", MIRROR)
        .env("CI", "true")
        .output()
        .unwrap();
    _ = fs::remove_dir_all(Path::new(TOOLS).join(format!("../target/tools/rust-src-{version}")));
    output
}

/// An `apt-get update` that writes a list of packages.
const WRITES_LIST: &str =
    "for word; do case $word in Dir::State::lists=*) echo x >\"${word#*=}/mirror_Packages\";; esac; done";

#[test]
fn mirror_without_a_list_is_unreachable_and_one_without_the_version_has_none() {
    for (number, (apt_get, code, line)) in [
        ("exit 0", 1, "rust-src: `http://mirror.test/debian` can't be reached"),
        ("exit 100", 1, "rust-src: `http://mirror.test/debian` can't be reached"),
        (WRITES_LIST, 2, "rust-src: `http://mirror.test/debian` has none for rustc 0.0.1"),
    ]
    .into_iter()
    .enumerate()
    {
        let output = run("rust-src", &format!("0.0.1{number}"), apt_get);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(message.starts_with(line), "{message}");
    }
}

#[test]
fn unreachable_mirror_fails_in_ci() {
    for (number, (apt_get, code)) in [("exit 0", 1), (WRITES_LIST, 3)].into_iter().enumerate() {
        let output = run("can-build-riscv", &format!("0.0.2{number}"), apt_get);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(message.starts_with("not built") && !message.contains("s3cret"), "{message}");
    }
}
