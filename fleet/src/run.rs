//! The whole command, from arguments to exit code.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use tokio_util::sync::CancellationToken;

use crate::{
    args::{FleetArgs, FleetCommand},
    command::{self, Input},
    provision::{self, Ended},
    smoke,
    store_place::StorePlace,
};

/// `EX_USAGE` of `sysexits.h`.
const BAD_USAGE: u8 = 64;
/// What shells give a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Runs one command on this process's standard streams.
pub async fn run(args: FleetArgs) -> ExitCode {
    let FleetArgs { command, store, json } = args;
    let ended = match command {
        FleetCommand::Records(command) => {
            let input = Input { terminal: io::stdin().is_terminal(), reader: io::stdin().lock() };
            let path = StorePlace::file(store);
            let ran = path.and_then(|path| command::run(*command, &path, json, input, &mut io::stdout()));
            ran.map(|()| ExitCode::SUCCESS)
        }
        FleetCommand::Provision(args) => {
            until_interrupted(async |stop| {
                let ended = provision::run(&args, store, json, &mut io::stdout(), stop.cancelled()).await?;
                Ok(match ended {
                    Ended::Complete => ExitCode::SUCCESS,
                    Ended::Incomplete => ExitCode::FAILURE,
                    Ended::Interrupted => ExitCode::from(INTERRUPTED),
                })
            })
            .await
        }
        FleetCommand::Smoke(args) => {
            let passed = smoke::run(&args, json, &mut io::stdout()).await;
            passed.map(|passed| if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    };
    ended.unwrap_or_else(|error| {
        writeln!(io::stderr(), "latchkey fleet: {error:#}").unwrap_or_default();
        ExitCode::from(BAD_USAGE)
    })
}

/// Tells the work to stop at the first Ctrl-C, and drops it at the second.
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
async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
