//! The programs that belong to this one.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use tokio::process::Command;

/// The authorizer of `latchkey local`.
pub(crate) const AUTHORIZER: &str = "latchkey-authorizer";
/// The demo's DynamoDB.
#[cfg(feature = "demo")]
pub(crate) const DYNAMODB: &str = "latchkey-dynamodb";

/// Finds a program, which is next to this one. Under `cargo run` it is built first, so that it is never older than the
/// sources.
///
/// # Errors
///
/// When it does not build, or does not exist.
pub(crate) async fn find(name: &str) -> anyhow::Result<PathBuf> {
    let this = env::current_exe().context("this program's path is unknown")?;
    let program = this.with_file_name(format!("{name}{}", env::consts::EXE_SUFFIX));
    if let (Some(cargo), Some(manifest)) = (env::var_os("CARGO"), env::var_os("CARGO_MANIFEST_DIR")) {
        // Another project's cargo may have started this program.
        if Path::new(&manifest) == Path::new(env!("CARGO_MANIFEST_DIR")) {
            build(Path::new(&cargo), Path::new(&manifest), &this, name).await?;
        }
    }
    anyhow::ensure!(
        program.exists(),
        "`{name}` is not at `{}`; `cargo install --locked --path latchkey` installs it with this program",
        program.display()
    );
    Ok(program)
}

/// Builds a program with the features of this one, so that no dependency is built again.
async fn build(cargo: &Path, manifest: &Path, this: &Path, name: &str) -> anyhow::Result<()> {
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "latchkey", "--bin", name]);
    if !cfg!(feature = "demo") {
        command.arg("--no-default-features");
    }
    if cfg!(feature = "aws") {
        command.args(["--features", "aws"]);
    }
    if let Some(profile) = this.parent().and_then(Path::file_name).and_then(|name| name.to_str())
        && profile != "debug"
    {
        command.args(["--profile", profile]);
    }
    let status = command.current_dir(manifest).stdin(Stdio::null()).stdout(Stdio::null()).status().await;
    let status = status.with_context(|| format!("can't run `{}` to build `{name}`", cargo.display()))?;
    anyhow::ensure!(status.success(), "`{name}` does not build; the compiler's lines above say why");
    Ok(())
}
