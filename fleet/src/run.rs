//! The whole command, from arguments to exit code.

use std::{
    io::{self, IsTerminal as _, Write},
    process::ExitCode,
};

#[cfg(feature = "aws")]
use tokio_util::sync::CancellationToken;

use crate::{
    args::{FleetArgs, FleetCommand},
    command::{self, Input},
    store_place::{Named, StorePlace},
};
#[cfg(feature = "aws")]
use crate::{
    provision::{self, Ended},
    smoke,
};

/// `EX_USAGE` of `sysexits.h`.
const BAD_USAGE: u8 = 64;
/// What shells give a program that Ctrl-C ended.
#[cfg(feature = "aws")]
const INTERRUPTED: u8 = 130;

/// Runs one command on this process's standard streams.
pub async fn run(args: FleetArgs) -> ExitCode {
    let mut output = Printed { to: io::stdout(), failed: false };
    let ended = run_to(args, &mut output).await;
    ended.unwrap_or_else(|error| {
        writeln!(io::stderr(), "latchkey fleet: {error:#}").unwrap_or_default();
        // What was to be done is done when it is printed.
        if output.failed { ExitCode::FAILURE } else { ExitCode::from(BAD_USAGE) }
    })
}

/// Standard output, and whether it took everything.
struct Printed<W> {
    to: W,
    failed: bool,
}

impl<W: Write> Write for Printed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes).inspect_err(|_| self.failed = true)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush().inspect_err(|_| self.failed = true)
    }
}

#[cfg_attr(not(feature = "aws"), expect(clippy::unused_async, reason = "only what calls AWS waits"))]
async fn run_to(args: FleetArgs, output: &mut impl Write) -> anyhow::Result<ExitCode> {
    let FleetArgs { command, store, json } = args;
    let store = Named::find(store)?;
    match command {
        FleetCommand::Records(command) => {
            let input = Input { terminal: io::stdin().is_terminal(), reader: io::stdin().lock() };
            let path = StorePlace::file(store.map(Named::place))?;
            command::run(*command, &path, json, input, output).map(|()| ExitCode::SUCCESS)
        }
        #[cfg(feature = "aws")]
        FleetCommand::Provision(args) => {
            until_interrupted(async |stop| {
                let ended = provision::run(&args, store, json, output, stop.cancelled()).await?;
                Ok(match ended {
                    Ended::Complete => ExitCode::SUCCESS,
                    Ended::Incomplete => ExitCode::FAILURE,
                    Ended::Interrupted => ExitCode::from(INTERRUPTED),
                })
            })
            .await
        }
        #[cfg(feature = "aws")]
        FleetCommand::Smoke(args) => {
            let passed = smoke::run(&args, json, output).await;
            passed.map(|passed| if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        #[cfg(not(feature = "aws"))]
        FleetCommand::Provision(_) => Err(not_built("provision")),
        #[cfg(not(feature = "aws"))]
        FleetCommand::Smoke(_) => Err(not_built("smoke")),
    }
}

#[cfg(not(feature = "aws"))]
fn not_built(command: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "`latchkey fleet {command}` calls AWS, and this program was built without the feature `aws`; build it with \
         `cargo install --locked --path latchkey --features aws`, or run it with `cargo run -p latchkey --features aws`"
    )
}

/// Tells the work to stop at the first Ctrl-C, and drops it at the second.
#[cfg(feature = "aws")]
async fn until_interrupted(
    work: impl AsyncFnOnce(&CancellationToken) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let stop = CancellationToken::new();
    let twice = async {
        ctrl_c().await;
        stop.cancel();
        ctrl_c().await;
    };
    tokio::select! {
        ended = work(&stop) => ended,
        () = twice => Ok(ExitCode::from(INTERRUPTED)),
    }
}

/// Never completes where Ctrl-C can't be watched.
#[cfg(feature = "aws")]
async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
