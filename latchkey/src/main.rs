//! `latchkey`: the one command that people type. It only calls what the parts themselves offer.

#[cfg(feature = "demo")]
mod demo;
mod programs;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use device_sim::SimArgs;
use fleet::args::FleetArgs;
use gateway::args::LocalArgs;

/// `EX_USAGE` of `sysexits.h`.
const BAD_USAGE: u8 = 64;

/// Devices with a user name and a password on AWS IoT Core: build, test and watch the whole path on this machine
#[derive(Parser)]
#[command(name = "latchkey", version, after_help = FIRST_STEPS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const FIRST_STEPS: &str = "First steps:
  latchkey demo                   see everything work, in ten seconds once built
  latchkey local                  run AWS IoT Core's side, and leave it running
  latchkey fleet add my-device    give a device of yours its password";

#[derive(Subcommand)]
enum Command {
    /// Show the whole system at work: gateway, authorizer, a small fleet, and what is refused
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    /// Show the whole system at work; this program was built without the feature `demo`
    #[cfg(not(feature = "demo"))]
    Demo,
    /// Run AWS IoT Core on this machine, with the real authorizer
    Local(Box<LocalArgs>),
    /// Simulate a fleet of SHT20 devices, here or against AWS
    Sim(SimArgs),
    /// Give devices their credentials and keep their records
    Fleet(FleetArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output and is no error; a failed write has no other place to go.
            _ = error.print();
            return if error.use_stderr() { ExitCode::from(BAD_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args).await,
        #[cfg(not(feature = "demo"))]
        Command::Demo => fail(
            "demo",
            &anyhow::anyhow!(
                "this program was built without the feature `demo`; build it with \
                 `cargo install --locked --path latchkey --features demo`"
            ),
        ),
        Command::Local(args) => local(*args).await,
        Command::Sim(args) => device_sim::run(&args).await.into(),
        Command::Fleet(args) => fleet::run(args).await,
    }
}

async fn local(args: LocalArgs) -> ExitCode {
    let authorizer = if args.function.may_need_own() {
        programs::find(programs::AUTHORIZER).await
    } else {
        // Another function decides.
        Ok(PathBuf::new())
    };
    match authorizer {
        Ok(program) => gateway::args::run(args, program).await,
        Err(error) => fail("local", &error),
    }
}

fn fail(command: &str, error: &anyhow::Error) -> ExitCode {
    _ = writeln!(io::stderr(), "latchkey {command}: {error:#}");
    ExitCode::from(BAD_USAGE)
}
