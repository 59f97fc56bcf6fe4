//! Where the real authorizer binary is.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use tokio::process::Command;

/// The authorizer that belongs to this program: beside it, and under `cargo run` built first, so that it is
/// never older than the sources.
///
/// # Errors
///
/// When it does not build, or is not there.
pub(crate) async fn find() -> anyhow::Result<PathBuf> {
    let this = env::current_exe().context("this program does not know where it is")?;
    let program = this.with_file_name(format!("latchkey-authorizer{}", env::consts::EXE_SUFFIX));
    if let (Some(cargo), Some(manifest)) = (env::var_os("CARGO"), env::var_os("CARGO_MANIFEST_DIR")) {
        // Not when another project's cargo started this program.
        if Path::new(&manifest) == Path::new(env!("CARGO_MANIFEST_DIR")) {
            build(Path::new(&cargo), Path::new(&manifest), &this).await?;
        }
    }
    anyhow::ensure!(
        program.exists(),
        "the authorizer is not at `{}`; build it with `cargo build -p authorizer`, or name it with `--authorizer`",
        program.display()
    );
    Ok(program)
}

/// Asking for both packages gives the features that this program was built with, so nothing is built twice.
async fn build(cargo: &Path, manifest: &Path, this: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(cargo);
    command.args(["build", "-p", "latchkey", "-p", "authorizer", "--bin", "latchkey-authorizer"]);
    match this.parent().and_then(Path::file_name).and_then(|name| name.to_str()) {
        Some("debug") | None => command.arg("--quiet"),
        Some(profile) => command.args(["--quiet", "--profile", profile]),
    };
    let status = command.current_dir(manifest).stdin(Stdio::null()).stdout(Stdio::null()).status().await;
    let status = status.context("can't run cargo to build the authorizer")?;
    anyhow::ensure!(status.success(), "the authorizer does not build");
    Ok(())
}
