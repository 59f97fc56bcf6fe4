//! The command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use device_sim::DeploymentArgs;

const EXAMPLES: &str = "Examples:
  latchkey conform --list                    the cases, with their rows
  latchkey conform --local                   all cases, on a gateway of its own
  latchkey conform --local --only mqtt-443-custom
  latchkey conform --local --config latchkey.toml
  latchkey conform --stage dev               all cases, on AWS; it asks first

`latchkey conform --help` explains every option.";

const LONG: &str = "Examples:
  latchkey conform --list                    the cases, with their rows
  latchkey conform --local                   all cases, on a gateway of its own
  latchkey conform --local --only mqtt-443-custom
  latchkey conform --local --config latchkey.toml
                                             what your settings change
  latchkey conform --stage dev               all cases, on AWS; it asks first
  latchkey conform --stage dev --resume      what an interrupted run left open
  latchkey conform --stage dev --clean       remove what killed runs left

A run has a folder in .latchkey/conform with its journal, its results and its
reports, one in JSON and one in Markdown. Ctrl-C ends a run and removes what it
made; a second Ctrl-C ends the removal too, and --clean goes on with it.

The exit code is 0 if every case agrees with docs/fidelity.md, 1 if one differs
or something could not be removed, 64 if the command line can't be used, 130
after Ctrl-C. docs/conform.md has the costs and the permissions.";

/// Try every row of docs/fidelity.md on a gateway, or on AWS
///
/// Each row of docs/fidelity.md that a client can see is a case: clients connect, publish and subscribe, and what they see is
/// compared with the page.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, after_long_help = LONG)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct ConformArgs {
    /// Run the cases on a gateway that this command starts
    #[arg(long, conflicts_with_all = ["stage", "outputs"])]
    pub local: bool,

    /// The deployed stage whose account the cases run in.
    #[command(flatten)]
    pub deployment: DeploymentArgs,

    /// List the cases, and run none
    #[arg(long)]
    pub list: bool,

    /// Run this case only; repeat for more. A subject, such as `doors`, is all of its cases
    #[arg(long, value_name = "ID")]
    pub only: Vec<String>,

    /// Also run the cases that wait for AWS's timers: ten minutes more
    #[arg(long)]
    pub slow: bool,

    /// Go on with the last run that was interrupted, with the cases that it did not finish
    #[arg(long, conflicts_with_all = ["list", "only", "slow"])]
    pub resume: bool,

    /// Remove what earlier runs left, and run nothing
    #[arg(long, conflicts_with_all = ["list", "only", "slow", "resume"])]
    pub clean: bool,

    /// Don't ask before the run begins on an account
    #[arg(long)]
    pub yes: bool,

    /// With --local: a settings file of the gateway, to see what its settings change
    #[arg(long, value_name = "FILE", requires = "local")]
    pub config: Option<PathBuf>,

    /// With --stage: an address in the place of one of the endpoint's ports; repeat for more
    ///
    /// For a service that plays AWS's on this machine, together with `AWS_ENDPOINT_URL`, and for a forwarded port.
    #[arg(long, value_name = "PORT=ADDRESS", conflicts_with = "local", value_parser = port_and_address, hide_short_help = true)]
    pub connect: Vec<(u16, SocketAddr)>,

    /// With --stage: trust this CA in the place of Amazon's
    #[arg(long, value_name = "FILE", conflicts_with = "local", hide_short_help = true)]
    pub ca: Option<PathBuf>,

    /// The folder of the runs
    #[arg(long, value_name = "FOLDER", default_value = ".latchkey/conform")]
    pub data: PathBuf,

    /// Where the reports go [default: the folder of the run]
    #[arg(long, value_name = "FOLDER")]
    pub report: Option<PathBuf>,

    /// How many cases run at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=100), hide_short_help = true)]
    pub parallel: u16,

    /// How long to wait for a new authorizer to answer
    #[arg(long, value_name = "TIME", default_value = "3m", value_parser = humantime_or_error, hide_short_help = true)]
    pub settle: Duration,

    /// With --local: Python, which runs the function
    #[arg(long, value_name = "PROGRAM", default_value = "python3", hide_short_help = true)]
    pub python: PathBuf,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

fn humantime_or_error(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

fn port_and_address(text: &str) -> Result<(u16, SocketAddr), String> {
    let parsed =
        text.split_once('=').and_then(|(port, address)| Some((port.parse().ok()?, address.parse().ok()?)));
    parsed.ok_or_else(|| "it should read `443=127.0.0.1:10443`".to_owned())
}
