//! The whole command, from arguments to exit code.

use std::{
    io::{self, IsTerminal as _, Stdout, Write},
    process::ExitCode,
};

use cli::{
    console::{self, Console, Input, status},
    format::OutputFormat,
    output,
};
use cli::{exit, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    args::{FleetArgs, FleetCommand, PolicyCommandLine, RecordsCommand, StoreArgs},
    capacity, command, inspect, logs, migration, statistics,
    store_option::{ConfiguredStore, Target},
};
#[cfg(feature = "aws")]
use crate::{
    provision::{self, Ended},
    push, revoke, smoke,
};

/// Runs one command on this process's standard streams.
pub async fn run(args: FleetArgs) -> ExitCode {
    let mut output = Output { stdout: output::stdout(), failed: false };
    let ended = Box::pin(run_with(args, &mut output)).await;
    ended.unwrap_or_else(|error| output.exit_code("latchkey fleet", &error))
}

/// Runs `latchkey policy` on this process's standard streams.
#[must_use]
pub fn run_policy(args: PolicyCommandLine) -> ExitCode {
    let PolicyCommandLine { command, json } = args;
    let mut output = Output { stdout: output::stdout(), failed: false };
    let input = Input { terminal: false, reader: &mut io::empty() };
    let format = if json { OutputFormat::Json } else { OutputFormat::Table };
    let ended = inspect::policy(command, &mut Console { format, input, output: &mut output });
    ended.unwrap_or_else(|error| output.exit_code("latchkey policy", &error))
}

/// Standard output, and whether a write failed.
struct Output {
    stdout: output::Output<Stdout>,
    failed: bool,
}

impl Output {
    /// Prints an error, and returns the exit code for it.
    fn exit_code(&self, program: &str, error: &anyhow::Error) -> ExitCode {
        let code = console::usage_error(program, error);
        // A command prints its result last: it has done its work when standard output fails.
        if self.failed { ExitCode::FAILURE } else { code }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stdout.write(bytes).inspect_err(|_| self.failed = true)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush().inspect_err(|_| self.failed = true)
    }
}

async fn run_with(args: FleetArgs, output: &mut Output) -> anyhow::Result<ExitCode> {
    let FleetArgs { command, store, format } = args;
    let format = format.format()?;
    anyhow::ensure!(
        format != OutputFormat::Csv || command.has_rows(),
        "`--output csv` is for the commands that list or show something: `list`, `show`, `grants`, `logs`, \
         `stats`, `lint` and the like; `--output json` is for every command"
    );
    let store = ConfiguredStore::find(store)?;
    let input = Input { terminal: io::stdin().is_terminal(), reader: &mut io::stdin().lock() };
    let mut console = Console { format, input, output };
    match command {
        FleetCommand::Capacity(args) => capacity::run(&args, &mut console).map(|()| ExitCode::SUCCESS),
        FleetCommand::CheckMigration(args) => migration::run(&args, &mut console).map(|()| ExitCode::SUCCESS),
        FleetCommand::Inspect(command) => inspect::run(*command, store, &mut console).await,
        FleetCommand::Records(command) => Box::pin(records(*command, store, &mut console)).await,
        FleetCommand::Logs(args) => {
            until_interrupted(async |stop| Ok(read(logs::run(&args, &mut console, stop).await?))).await
        }
        FleetCommand::Status(args) => {
            let target = Target::find(store, &args.store)?;
            until_interrupted(async |stop| {
                Ok(read(statistics::status_of(&args, &target, &mut console, stop).await?))
            })
            .await
        }
        FleetCommand::Stats(args) => {
            let target = Target::find(store, &args.store)?;
            until_interrupted(async |stop| {
                Ok(read(statistics::stats(&args, &target, &mut console, stop).await?))
            })
            .await
        }
        #[cfg(feature = "aws")]
        FleetCommand::Provision(args) => {
            until_interrupted(async |stop| {
                let ended = provision::run(&args, store, &mut console, stop.cancelled()).await?;
                Ok(match ended {
                    Ended::Complete => ExitCode::SUCCESS,
                    Ended::Incomplete => ExitCode::FAILURE,
                    Ended::Interrupted => ExitCode::from(exit::INTERRUPTED),
                })
            })
            .await
        }
        #[cfg(feature = "aws")]
        FleetCommand::Smoke(args) => {
            let passed = smoke::run(&args, &mut console).await;
            passed.map(|passed| if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        #[cfg(feature = "aws")]
        FleetCommand::Push(args) => {
            until_stopped(async |stop| {
                let pushed = push::run(&args, store, &mut console, stop.cancelled()).await?;
                Ok(match (pushed, stop.is_cancelled()) {
                    (true, _) => ExitCode::SUCCESS,
                    (false, true) => ExitCode::from(exit::INTERRUPTED),
                    (false, false) => ExitCode::FAILURE,
                })
            })
            .await
        }
        #[cfg(feature = "aws")]
        FleetCommand::Revoke(args) => {
            let target = Target::find(store, args.store())?;
            status(&target.description());
            until_stopped(async |stop| {
                let complete = revoke::run(&args, &target, &mut console, stop).await?;
                Ok(match (complete, stop.is_cancelled()) {
                    (true, _) => ExitCode::SUCCESS,
                    (false, true) => ExitCode::from(exit::INTERRUPTED),
                    (false, false) => ExitCode::FAILURE,
                })
            })
            .await
        }
        #[cfg(not(feature = "aws"))]
        FleetCommand::Push(_) => Err(not_built("push")),
        #[cfg(not(feature = "aws"))]
        FleetCommand::Revoke(_) => Err(not_built("revoke")),
        #[cfg(not(feature = "aws"))]
        FleetCommand::Provision(_) => Err(not_built("provision")),
        #[cfg(not(feature = "aws"))]
        FleetCommand::Smoke(_) => Err(not_built("smoke")),
    }
}

/// Runs a command on records.
async fn records(
    command: RecordsCommand,
    store: Option<ConfiguredStore>,
    console: &mut Console<'_>,
) -> anyhow::Result<ExitCode> {
    if let RecordsCommand::Keys(args) = command {
        return command::keys(args, console).map(|()| ExitCode::SUCCESS);
    }
    let store = command.own_store().or(store);
    let target = match command.store() {
        Some(args) => Target::find(store, args)?,
        None => Target::find(store, &StoreArgs::default())?,
    };
    status(&target.description());
    // The others end at once at Ctrl-C.
    if !matches!(command, RecordsCommand::Import(_) | RecordsCommand::Reseal(_)) {
        let never = CancellationToken::new();
        let complete = command::run(command, &target, console, &never).await?;
        return Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    until_stopped(async |stop| {
        let complete = command::run(command, &target, console, stop).await?;
        Ok(match (complete, stop.is_cancelled()) {
            (true, _) => ExitCode::SUCCESS,
            (false, true) => ExitCode::from(exit::INTERRUPTED),
            (false, false) => ExitCode::FAILURE,
        })
    })
    .await
}

/// The exit code after a log, which was read to its end or until Ctrl-C.
fn read(is_whole: bool) -> ExitCode {
    if is_whole { ExitCode::SUCCESS } else { ExitCode::from(exit::INTERRUPTED) }
}

#[cfg(not(feature = "aws"))]
pub(crate) fn not_built(command: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "`latchkey fleet {command}` calls AWS, and this program was built without the feature `aws`; build it with \
         `cargo install --locked --path latchkey --features aws`, or run it with `cargo run -p latchkey --features aws`"
    )
}

/// As [`until_interrupted`], for work on records that is not broken off in the middle of one.
async fn until_stopped(
    work: impl AsyncFnOnce(&CancellationToken) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let say =
        || status("stopping after the records that are being changed; press Ctrl-C again to stop at once");
    interruptible(work, say).await
}

/// Tells the work to stop at the first Ctrl-C, and drops it at the second.
async fn until_interrupted(
    work: impl AsyncFnOnce(&CancellationToken) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    interruptible(work, || {}).await
}

async fn interruptible(
    work: impl AsyncFnOnce(&CancellationToken) -> anyhow::Result<ExitCode>,
    at_first: impl Fn(),
) -> anyhow::Result<ExitCode> {
    let stop = CancellationToken::new();
    let second = async {
        signal::ctrl_c().await;
        stop.cancel();
        at_first();
        signal::ctrl_c().await;
    };
    tokio::select! {
        ended = work(&stop) => ended,
        () = second => Ok(ExitCode::from(exit::INTERRUPTED)),
    }
}
