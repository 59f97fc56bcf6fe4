//! The simulator as a command of its own.

use std::process::ExitCode;

use clap::Parser;
use cli::console;
use device_sim::SimArgs;

#[derive(Parser)]
#[command(name = "latchkey-sim", version, max_term_width = console::COLUMNS)]
struct Command {
    #[command(flatten)]
    sim: SimArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    match console::parse::<Command>() {
        Ok(command) => device_sim::run(&command.sim).await.into(),
        Err(code) => code,
    }
}
