//! The command as a program of its own; `latchkey conform` is the same.

use std::process::ExitCode;

use clap::Parser;
use cli::console;
use conform::{ConformArgs, host::GatewayProgram, run};

#[derive(Parser)]
#[command(name = "latchkey-conform", version, max_term_width = console::COLUMNS)]
struct Cli {
    #[command(flatten)]
    conform: ConformArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    let conform = match console::parse::<Cli>() {
        Ok(cli) => cli.conform,
        Err(exit) => return exit,
    };
    // The gateway is next to this program.
    let name = format!("latchkey-gateway{}", std::env::consts::EXE_SUFFIX);
    let program = match std::env::current_exe() {
        Ok(program) => program.with_file_name(name),
        Err(_) => name.into(),
    };
    run(conform, GatewayProgram { program, arguments: Vec::new() }).await
}
