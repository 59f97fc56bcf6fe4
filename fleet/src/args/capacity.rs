//! `capacity`.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use clap::{Args, value_parser};
use device_auth::verifier::budget::FunctionMemory;
use iot_policy::limits::MAX_CONNECTS_PER_SECOND;

use super::{DEVICES, OUTPUT, memory};

const FUNCTION: &str = "Function";
const ACCOUNT: &str = "Account";
/// The options that have no meaning where only the template is written.
const ALL_BUT_THE_TEMPLATE: [&str; 21] = [
    "prices",
    "devices",
    "spread",
    "reconnects_a_day",
    "publish_every",
    "messages",
    "deliveries",
    "message_bytes",
    "memory",
    "check_us",
    "answer_us",
    "start_us",
    "store_us",
    "refresh",
    "disconnect",
    "consistent_read",
    "connect_quota",
    "connection_quota",
    "concurrency_quota",
    "publish_quota",
    "delivery_quota",
];

/// Say what a fleet of this size needs of AWS, and what a month of it costs
#[derive(Args, Debug)]
#[command(after_help = CAPACITY)]
pub struct CapacityArgs {
    /// How many devices
    #[arg(long, value_name = "N", required_unless_present = "prices_template", help_heading = DEVICES)]
    pub devices: Option<NonZeroU32>,

    /// Over which time devices connect after a cold start of the fleet
    ///
    /// Over which time the devices connect when all of them start again: after a power cut, or when AWS ends all
    /// connections. It is the spread of the firmware's backoff.
    #[arg(
        long, value_name = "TIME", default_value = "60s", value_parser = longer_than_zero, help_heading = DEVICES
    )]
    pub spread: Duration,

    /// How often a device connects again in a day, besides the authorizer's disconnects
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = DEVICES)]
    pub reconnects_a_day: u32,

    /// How often a device publishes
    #[arg(
        long, value_name = "TIME", default_value = "60s", value_parser = longer_than_zero, help_heading = DEVICES
    )]
    pub publish_every: Duration,

    /// How many messages it publishes then
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = DEVICES)]
    pub messages: u32,

    /// How many subscribers get each message
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = DEVICES)]
    pub deliveries: u32,

    /// The bytes of a message
    #[arg(long, value_name = "BYTES", default_value_t = 128, help_heading = DEVICES)]
    pub message_bytes: u32,

    /// The function's memory in MB
    #[arg(long, value_name = "MB", default_value = "512", value_parser = memory, help_heading = FUNCTION)]
    pub memory: FunctionMemory,

    /// The time of a check on a whole vCPU, in microseconds; 0 of a generated password
    ///
    /// The time that the check of a credential takes on a whole vCPU, in microseconds: 0 of a generated password, whose
    /// check is in `--answer-us`. `latchkey fleet import` says what other hashes cost.
    #[arg(long, value_name = "US", default_value_t = 0, help_heading = FUNCTION)]
    pub check_us: u32,

    /// The time of an answer on a whole vCPU without the check and the store
    ///
    /// The time of an answer on a whole vCPU, in microseconds, without a slow check and without the store. The default was
    /// measured with a file of records, through a Runtime API on the same machine; docs/capacity.md has the machine.
    #[arg(long, value_name = "US", default_value_t = 115, help_heading = FUNCTION)]
    pub answer_us: u32,

    /// The time of the function's own start on a whole vCPU
    ///
    /// The time of the function's own start on a whole vCPU, in microseconds, as it was measured on the same machine. Lambda
    /// needs time of its own besides it, which was not measured: add it.
    #[arg(long, value_name = "US", default_value_t = 9_800, help_heading = FUNCTION)]
    pub start_us: u32,

    /// The time of a read from the table: AWS says single-digit milliseconds
    #[arg(long, value_name = "US", default_value_t = 10_000, help_heading = FUNCTION)]
    pub store_us: u32,

    /// The function's `LATCHKEY_REFRESH_AFTER_SECONDS`
    #[arg(
        long, value_name = "TIME", default_value = "1h", value_parser = longer_than_zero, help_heading = FUNCTION
    )]
    pub refresh: Duration,

    /// The function's `LATCHKEY_DISCONNECT_AFTER_SECONDS`
    #[arg(
        long, value_name = "TIME", default_value = "24h", value_parser = longer_than_zero,
        help_heading = FUNCTION
    )]
    pub disconnect: Duration,

    /// Reads are strongly consistent, and need a whole unit each
    #[arg(long, help_heading = FUNCTION)]
    pub consistent_read: bool,

    /// The account's CONNECTs a second; small regions have fewer
    #[arg(long, value_name = "N", default_value_t = MAX_CONNECTS_PER_SECOND, value_parser = value_parser!(u32).range(1..), help_heading = ACCOUNT)]
    pub connect_quota: u32,

    /// The account's connections at a time
    #[arg(long, value_name = "N", default_value_t = 500_000, value_parser = value_parser!(u32).range(1..), help_heading = ACCOUNT)]
    pub connection_quota: u32,

    /// The account's concurrent executions of Lambda; new accounts have fewer
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = value_parser!(u32).range(1..), help_heading = ACCOUNT)]
    pub concurrency_quota: u32,

    /// The account's messages a second from all clients; small regions have fewer
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = value_parser!(u32).range(1..), help_heading = ACCOUNT)]
    pub publish_quota: u32,

    /// The account's messages a second to all clients; small regions have fewer
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = value_parser!(u32).range(1..), help_heading = ACCOUNT)]
    pub delivery_quota: u32,

    /// A file of prices, for the month's bill
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub prices: Option<PathBuf>,

    /// Write a file of prices without values, to fill in
    #[arg(long, value_name = "FILE", conflicts_with_all = ALL_BUT_THE_TEMPLATE, help_heading = OUTPUT)]
    pub prices_template: Option<PathBuf>,
}

const CAPACITY: &str = "\
Examples:
  latchkey fleet capacity --devices 100000
      connects, concurrency, reads, and the quotas that are hit first

  latchkey fleet capacity --prices-template prices.toml
  latchkey fleet capacity --devices 100000 --prices prices.toml
      also the month's bill; the file needs each price with its date and page

docs/capacity.md has the formulas and their sources.
Exit codes: 0 printed, 64 a file or an option can't be used.";

/// The computation divides by these times.
fn longer_than_zero(text: &str) -> anyhow::Result<Duration> {
    let time = humantime::parse_duration(text)?;
    anyhow::ensure!(!time.is_zero(), "a time is longer than 0");
    Ok(time)
}
