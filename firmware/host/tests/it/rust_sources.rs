//! `tools/rust-src` where the mirror gives nothing, with programs that stand for Rust's and Debian's.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools");
const MIRROR: &str = "http://reader:s3cret@mirror.test/debian";

/// Runs one of the tools, for something called the image, with an `apt-get` that does this, for a Rust of this version.
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

/// What lists of packages `apt-get update` would leave behind.
const FETCHES: &str =
    "for word; do case $word in Dir::State::lists=*) echo x >\"${word#*=}/mirror_Packages\";; esac; done";

#[test]
fn a_mirror_that_gives_no_list_is_unreachable_and_one_without_the_version_has_none() {
    for (number, (apt_get, code, line)) in [
        ("exit 0", 1, "rust-src: `http://mirror.test/debian` can't be reached"),
        ("exit 100", 1, "rust-src: `http://mirror.test/debian` can't be reached"),
        (FETCHES, 2, "rust-src: `http://mirror.test/debian` has none for rustc 0.0.1"),
    ]
    .into_iter()
    .enumerate()
    {
        let output = run("rust-src", &format!("0.0.1{number}"), apt_get);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.starts_with(line), "{said}");
    }
}

#[test]
fn in_ci_an_unreachable_mirror_is_a_failure() {
    for (number, (apt_get, code)) in [("exit 0", 1), (FETCHES, 3)].into_iter().enumerate() {
        let output = run("can-build-for-the-chip", &format!("0.0.2{number}"), apt_get);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.starts_with("not built") && !said.contains("s3cret"), "{said}");
    }
}
