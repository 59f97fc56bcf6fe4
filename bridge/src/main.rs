//! The bridge as a command of its own.

use std::process::ExitCode;

use bridge::BridgeArgs;
use clap::Parser;
use cli::console;

#[derive(Parser)]
#[command(name = "latchkey-bridge", version, max_term_width = console::COLUMNS)]
struct Command {
    #[command(flatten)]
    bridge: BridgeArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    match console::parse::<Command>() {
        Ok(command) => bridge::run(command.bridge).await,
        Err(code) => code,
    }
}
