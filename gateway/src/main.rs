//! The gateway as a program of its own; `latchkey local` is the same.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use cli::console;
use gateway::args::{LocalArgs, run};

#[derive(Parser)]
#[command(name = "latchkey-gateway", version, max_term_width = console::COLUMNS)]
struct Cli {
    #[command(flatten)]
    local: LocalArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    let local = match console::parse::<Cli>() {
        Ok(cli) => cli.local,
        Err(exit) => return exit,
    };
    // The authorizer is next to this program.
    let authorizer = format!("latchkey-authorizer{}", std::env::consts::EXE_SUFFIX);
    let authorizer = match std::env::current_exe() {
        Ok(program) => program.with_file_name(authorizer),
        Err(_) => PathBuf::from(authorizer),
    };
    run(local, authorizer).await
}
