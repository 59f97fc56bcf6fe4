//! The simulator as a command of its own.

use std::process::ExitCode;

use clap::Parser;
use device_sim::{Exit, SimArgs};

#[derive(Parser)]
#[command(name = "latchkey-sim", version)]
struct Command {
    #[command(flatten)]
    sim: SimArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    match Command::try_parse() {
        Ok(command) => device_sim::run(&command.sim).await.into(),
        Err(error) => {
            let wrong = error.use_stderr();
            error.print().unwrap_or_default();
            if wrong { Exit::Usage.into() } else { ExitCode::SUCCESS }
        }
    }
}
