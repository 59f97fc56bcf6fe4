//! The programs of this workspace, built from the sources as they are.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The path of one of the workspace's programs, `latchkey-authorizer` for example.
pub fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        build();
        // target/debug/deps/it-… → target/debug
        let test = std::env::current_exe().unwrap();
        test.parent().unwrap().parent().unwrap().to_owned()
    });
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "`{}` was not built", path.display());
    path
}

/// `cargo test` builds no other package's programs, and an old one would prove nothing.
fn build() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // With a test too, so that every dependency has the features that `cargo test --workspace` gave it: without, all of
    // them would be built a second time. The tests `it` are the ones that run.
    command
        .args(["build", "--quiet", "--workspace", "--bins", "--test", "it"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    assert!(command.stdin(Stdio::null()).status().unwrap().success(), "the workspace does not build");
}
