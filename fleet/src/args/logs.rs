//! The options of the commands that read a log.

use std::{path::PathBuf, time::Duration};

use clap::{Args, builder::TypedValueParser};
use device_sim::DeploymentArgs;

use super::{DEVICES, OUTPUT, StoreArgs, examples, one_of};
use crate::logs::event::Outcome;

const LOG: &str = "Log";

/// Which log is read.
#[derive(Args, Clone, Debug)]
pub struct LogSourceArgs {
    /// Only what happened in the last `15m`, `1h` or `7d`
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration, help_heading = LOG)]
    pub since: Duration,

    /// A log of `latchkey local` [default: .latchkey/events.jsonl without a deployment]
    #[arg(long, value_name = "FILE", conflicts_with = "log_group", help_heading = LOG)]
    pub log: Option<PathBuf>,

    /// The function's log group in CloudWatch [default: the deployment's]
    #[arg(long, value_name = "GROUP", help_heading = LOG)]
    pub log_group: Option<String>,

    /// The group of AWS IoT's own log
    #[arg(long, value_name = "GROUP", default_value = "AWSIotLogsV2", help_heading = LOG)]
    pub iot_log_group: String,
}

/// Show connects, refusals and ends, from the function's log and AWS IoT's
///
/// Show connects, refusals and ends of connections: the function's decisions, joined with AWS IoT's own log, from CloudWatch
/// or from the log of `latchkey local`. A refusal about which the function has no line was decided before it, or it failed.
#[derive(Args, Debug)]
#[command(after_help = examples::LOGS)]
pub struct LogsArgs {
    /// Only this device, by its record's name or a client id
    #[arg(long, value_name = "NAME", help_heading = DEVICES)]
    pub device: Option<String>,

    /// Only this outcome; several times for several
    #[arg(long, value_parser = outcome(), value_name = "OUTCOME", help_heading = OUTPUT)]
    pub outcome: Vec<Outcome>,

    /// Go on with what is written from now on, until Ctrl-C
    #[arg(long, short, help_heading = OUTPUT)]
    pub follow: bool,

    /// The log.
    #[command(flatten)]
    pub source: LogSourceArgs,

    /// AWS's region [default: the deployment's, or the profile's]
    #[arg(long, value_name = "REGION", help_heading = LOG)]
    pub region: Option<String>,

    /// The deployment.
    #[command(flatten, next_help_heading = LOG)]
    pub deployment: DeploymentArgs,
}

/// Show on one screen how a fleet is: records, connects, refusals, faults
#[derive(Args, Debug)]
#[command(after_help = examples::STATUS)]
pub struct StatusArgs {
    /// The log.
    #[command(flatten)]
    pub source: LogSourceArgs,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Count refusals, take-overs, devices that are not seen, and connects a minute
#[derive(Args, Debug)]
#[command(after_help = examples::STATS)]
pub struct StatsArgs {
    /// How many of each kind are shown
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = OUTPUT)]
    pub top: usize,

    /// The log.
    #[command(flatten)]
    pub source: LogSourceArgs,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

fn outcome() -> impl TypedValueParser<Value = Outcome> {
    one_of(&Outcome::ALL, Outcome::as_str)
}
