//! A server's process.

use std::{path::Path, process::Stdio};

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// A running server. Dropping it ends it.
pub(crate) struct Server {
    name: String,
    child: Child,
    output: BufReader<ChildStdout>,
    /// Its end is that of a server which waits for it.
    _stdin: Option<ChildStdin>,
}

impl Server {
    /// Starts it.
    pub(crate) fn start(mut command: Command) -> anyhow::Result<Self> {
        let name = Path::new(command.as_std().get_program()).display().to_string();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("can't start `{name}`"))?;
        let output = BufReader::new(child.stdout.take().context("it has no standard output")?);
        Ok(Self { name, _stdin: child.stdin.take(), child, output })
    }

    /// The next line of its standard output.
    pub(crate) async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line).await? == 0 {
            let status = self.child.wait().await?;
            anyhow::bail!("`{}` ended with {status}", self.name);
        }
        Ok(line)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().with_context(|| format!("`{}` has ended", self.name))
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}
