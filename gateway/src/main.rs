//! The gateway as a program of its own; `latchkey local` is the same.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use gateway::args::{LocalArgs, run};

/// AWS IoT Core on this machine.
#[derive(Parser)]
#[command(name = "latchkey-gateway", version)]
struct Cli {
    #[command(flatten)]
    local: LocalArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    run(Cli::parse().local, beside_this_program()).await
}

fn beside_this_program() -> PathBuf {
    let name = format!("latchkey-authorizer{}", std::env::consts::EXE_SUFFIX);
    std::env::current_exe().map_or_else(|_| PathBuf::from(&name), |program| program.with_file_name(&name))
}
