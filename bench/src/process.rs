//! The processes that are measured: the programs of this workspace, and their memory.

use std::{
    env,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// The gateway's program.
pub(crate) const GATEWAY: &str = "latchkey-gateway";
/// The bridge's program.
pub(crate) const BRIDGE: &str = "latchkey-bridge";
/// The authorizer's program.
pub(crate) const AUTHORIZER: &str = "authorizer";

/// The program of an empty function.
pub(crate) const EMPTY_FUNCTION: &str = "empty-function";

/// The clock ticks in which Linux counts processor time, a second: the same on every machine.
const TICKS_A_SECOND: u64 = 100;

/// A server's process. Dropping this ends it.
pub(crate) struct Server {
    name: String,
    child: Child,
    output: BufReader<ChildStdout>,
    /// A server that waits for the end of its standard input ends with it.
    _stdin: Option<ChildStdin>,
}

/// The memory of a process, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// All pages that are in memory.
    pub(crate) resident: u64,
    /// The pages that no other process shares.
    pub(crate) private: u64,
}

impl Server {
    /// Starts a server.
    pub(crate) fn start(mut command: Command) -> anyhow::Result<Self> {
        let name = Path::new(command.as_std().get_program()).display().to_string();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("can't start `{name}`"))?;
        let output = BufReader::new(child.stdout.take().context("it has no standard output")?);
        Ok(Self { name, _stdin: child.stdin.take(), child, output })
    }

    /// Reads the next line of its standard output.
    pub(crate) async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line).await? == 0 {
            let status = self.child.wait().await?;
            anyhow::bail!("`{}` ended with {status}", self.name);
        }
        Ok(line)
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Reads the processor time that it has used, in user mode and in the kernel, on Linux.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let pid = self.child.id().with_context(|| format!("`{}` has ended", self.name))?;
        let path = format!("/proc/{pid}/stat");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("can't read `{path}`: processor time is measured on Linux only"))?;
        // The name in the parentheses can have spaces. The times are the 14th and the 15th field, see proc(5).
        let fields =
            text.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace().skip(11).take(2);
        let ticks = fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 1_000 / TICKS_A_SECOND))
    }

    /// Reads the processor time that its threads have used, to the nanosecond, on Linux. Threads that have ended are not in it.
    pub(crate) fn threads_cpu(&self) -> anyhow::Result<Duration> {
        let pid = self.child.id().with_context(|| format!("`{}` has ended", self.name))?;
        let path = format!("/proc/{pid}/task");
        let tasks = std::fs::read_dir(&path)
            .with_context(|| format!("can't read `{path}`: processor time is measured on Linux only"))?;
        let mut all = Duration::ZERO;
        for task in tasks {
            // A thread may end meanwhile. The first figure is the time, in nanoseconds: see sched-stats.
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let time = text.split_whitespace().next().map(str::parse::<u64>).transpose()?;
            all += Duration::from_nanos(time.unwrap_or_default());
        }
        Ok(all)
    }

    /// Reads its memory, on Linux.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let pid = self.child.id().with_context(|| format!("`{}` has ended", self.name))?;
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("can't read `{path}`: memory is measured on Linux only"))?;
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib = value.and_then(|value| value.trim().strip_suffix(" kB"));
            let kib = kib.with_context(|| format!("`{path}` has no {name}"))?;
            anyhow::Ok(kib.parse::<u64>()? * 1024)
        };
        Ok(Memory { resident: field("Rss")?, private: field("Private_Clean")? + field("Private_Dirty")? })
    }
}

/// The path of a program of this workspace, which is next to this one.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let this = env::current_exe().context("this program's path is unknown")?;
    let program = this.with_file_name(format!("{name}{}", env::consts::EXE_SUFFIX));
    anyhow::ensure!(
        program.exists(),
        "`{}` does not exist: build it with `cargo build --release --workspace --bins`",
        program.display()
    );
    Ok(program)
}

/// A free port, for a server that can't choose one itself or does not say which it is.
pub(crate) async fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    Ok(listener.local_addr()?)
}

/// Builds the programs, under `cargo run` only, so that they are never older than the sources.
pub(crate) async fn build() -> anyhow::Result<()> {
    let (Some(cargo), Some(manifest)) = (env::var_os("CARGO"), env::var_os("CARGO_MANIFEST_DIR")) else {
        return Ok(());
    };
    // Another project's cargo may have started this program.
    if Path::new(&manifest) != Path::new(env!("CARGO_MANIFEST_DIR")) {
        return Ok(());
    }
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "bench", "-p", "bridge", "-p", "gateway", "-p", "authorizer"]);
    command.args(["--bin", BRIDGE, "--bin", GATEWAY, "--bin", AUTHORIZER, "--bin", EMPTY_FUNCTION]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.current_dir(manifest).stdin(Stdio::null()).stdout(Stdio::null()).status().await;
    let status = status.context("can't run cargo")?;
    anyhow::ensure!(status.success(), "gateway and bridge do not build");
    Ok(())
}
