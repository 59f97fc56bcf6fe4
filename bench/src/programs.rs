//! The programs of this workspace that are measured.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use tokio::process::Command;

/// The gateway.
pub(crate) const GATEWAY: &str = "latchkey-gateway";
/// The authorizer.
pub(crate) const AUTHORIZER: &str = "authorizer";

/// One of the programs, which lie beside this one.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let this = env::current_exe().context("this program does not know where it is")?;
    let program = this.with_file_name(format!("{name}{}", env::consts::EXE_SUFFIX));
    anyhow::ensure!(
        program.exists(),
        "`{}` is not there: build it with `cargo build --release --workspace --bins`",
        program.display()
    );
    Ok(program)
}

/// Under `cargo run` they are built first, so that they are never older than the sources.
pub(crate) async fn build() -> anyhow::Result<()> {
    let (Some(cargo), Some(manifest)) = (env::var_os("CARGO"), env::var_os("CARGO_MANIFEST_DIR")) else {
        return Ok(());
    };
    // Not when another project's cargo started this program.
    if Path::new(&manifest) != Path::new(env!("CARGO_MANIFEST_DIR")) {
        return Ok(());
    }
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "bench", "-p", "gateway", "-p", "authorizer"]);
    command.args(["--bin", GATEWAY, "--bin", AUTHORIZER]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.current_dir(manifest).stdin(Stdio::null()).stdout(Stdio::null()).status().await;
    let status = status.context("can't run cargo")?;
    anyhow::ensure!(status.success(), "the gateway does not build");
    Ok(())
}
