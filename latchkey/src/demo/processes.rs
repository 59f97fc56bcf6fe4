//! The processes of the gateway and of the simulator, started with the commands that a person types.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use device_sim::{Address, Endpoint, Target};
use gateway::console::access::ConsoleFile;
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
};

use super::{provision::Fleet, report::SimSummary};

/// The process of `latchkey local`.
pub(super) struct Local {
    process: Child,
    /// The address on which it listens.
    pub(super) address: String,
    /// The path of its log.
    pub(super) log: PathBuf,
    port: u16,
    /// The file with the console's link.
    console: Option<PathBuf>,
}

/// The process of `latchkey sim`.
pub(super) struct Sim {
    process: Child,
    /// The simulator stops when this is dropped.
    stdin: Option<ChildStdin>,
}

/// The line that `latchkey local --json` prints when it is ready.
#[derive(Deserialize)]
struct Ready {
    address: std::net::SocketAddr,
    log: PathBuf,
    console: Option<PathBuf>,
}

impl Local {
    /// Starts it on a free port and waits until it is ready. It ends when this process does.
    pub(super) async fn start(
        folder: &Path,
        authorizer: &Path,
        variables: &[String],
    ) -> anyhow::Result<Self> {
        let mut command = this_program()?;
        command.args(["local", "--json", "--stop-with-stdin", "--port", "0", "--data"]).arg(folder);
        command.arg("--authorizer").arg(authorizer);
        command.args(variables.iter().flat_map(|variable| ["--function-env", variable]));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("can't start `latchkey local`")?;
        let output = process.stdout.take().context("`latchkey local` has no output")?;
        let line = BufReader::new(output).lines().next_line().await?;
        let Some(line) = line else {
            let status = process.wait().await?;
            anyhow::bail!("`latchkey local` ended with {status}; its own lines above say why");
        };
        let Ready { address, log, console } =
            serde_json::from_str(&line).context("`latchkey local` is not ready")?;
        Ok(Self { process, address: address.to_string(), log, port: address.port(), console })
    }

    /// The endpoint for devices.
    pub(super) fn endpoint(&self, fleet: &Fleet) -> anyhow::Result<Endpoint> {
        let address = self.host_and_port().parse::<Address>().map_err(anyhow::Error::msg)?;
        let target = Target { ca: Some(fleet.ca.clone()), ..Target::new(address) };
        Ok(Endpoint::new(target)?)
    }

    /// The link that opens its console.
    pub(super) fn console_link(&self) -> anyhow::Result<String> {
        let folder = self.console.as_deref().and_then(Path::parent);
        let folder =
            folder.context("there is no console: `latchkey.toml` turns it or the status port off")?;
        Ok(ConsoleFile::read(folder)?.link.to_string())
    }

    /// Stops it, and waits until its log is complete.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.process.stdin.take());
        self.process.wait().await.context("`latchkey local` does not end")?;
        Ok(())
    }

    fn host_and_port(&self) -> String {
        format!("localhost:{}", self.port)
    }
}

impl Sim {
    /// Starts the fleet, for a duration or until it is dropped. It ends when this process does.
    pub(super) fn start(local: &Local, fleet: &Fleet, duration: Option<Duration>) -> anyhow::Result<Self> {
        let mut command = this_program()?;
        command.args([
            "sim",
            "--json",
            "--quiet",
            "--stop-with-stdin",
            "--interval",
            "500ms",
            "--ramp",
            "100",
            // A day takes four minutes, so the readings are worth watching.
            "--time-scale",
            "360x",
        ]);
        command.args(["--endpoint", &local.host_and_port()]);
        if let Some(duration) = duration {
            command.args(["--duration", &format!("{}s", duration.as_secs())]);
        }
        command.arg("--ca").arg(&fleet.ca).arg("--credentials").arg(&fleet.credentials.0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("can't start `latchkey sim`")?;
        Ok(Self { stdin: process.stdin.take(), process })
    }

    /// Waits for the summary.
    pub(super) async fn finish(self) -> anyhow::Result<SimSummary> {
        let Self { process, stdin } = self;
        let output = process
            .wait_with_output()
            .await
            .context("`latchkey sim` gave no summary; its own lines above may say why")?;
        drop(stdin);
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!("`latchkey sim` ended with {} and no summary; its own lines above say why", output.status)
        })
    }
}

fn this_program() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("this program's path is unknown")?);
    command.kill_on_drop(true);
    Ok(command)
}
