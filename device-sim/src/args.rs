//! The command line.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Args, Subcommand, ValueEnum};
use mqtt::Version;

use crate::connection_settings::{ConnectionArgs, TransportArgs};
use crate::deployment::DeploymentArgs;
use crate::faults::FaultShare;
use crate::faults::expectation::ExpectArgs;
use crate::sensor::Moment;
use crate::shard::Shard;

/// Simulate a fleet of SHT20 devices over TLS and MQTT
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES, after_long_help = LONG_HELP)]
#[expect(clippy::struct_excessive_bools, reason = "they are switches of a command line")]
pub struct SimArgs {
    /// What to do instead of a run.
    #[command(subcommand)]
    pub command: Option<SimCommand>,

    /// The connection.
    #[command(flatten, next_help_heading = CONNECTION)]
    pub connection: ConnectionArgs,

    /// The deployment.
    #[command(flatten, next_help_heading = CONNECTION)]
    pub deployment: DeploymentArgs,

    /// The way in.
    #[command(flatten, next_help_heading = CONNECTION)]
    pub transport: TransportArgs,

    /// The version of MQTT
    #[arg(long, value_name = "VERSION", default_value = "5", help_heading = CONNECTION)]
    pub mqtt: Mqtt,

    /// Run only the first N devices of the file [default: all]
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = RUN)]
    pub devices: Option<NonZeroU32>,

    /// Run only this part of the file's devices: `0/4`, `1/4`, `2/4` or `3/4`
    ///
    /// Run only this part of the file's devices, for several machines with one file: `0/4`, `1/4`, `2/4` and `3/4` are the
    /// whole fleet. `latchkey sim merge` makes one report of theirs. All other options are those of the whole fleet.
    #[arg(long, value_name = "I/N", help_heading = RUN)]
    pub shard: Option<Shard>,

    /// How many devices to start each second
    #[arg(long, value_name = "N", default_value = "50", value_parser = at_least_one, help_heading = RUN)]
    pub ramp: NonZeroU32,

    /// The time between two readings of a device: `500ms`, `10s`, `5m`
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration, help_heading = RUN)]
    pub interval: Duration,

    /// How long to run: `60s`, `1h30m` [default: until Ctrl-C]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = RUN)]
    pub duration: Option<Duration>,

    /// How many times a device that is refused tries again
    #[arg(long, value_name = "N", default_value = "0", help_heading = RUN)]
    pub retries: u32,

    /// How many times as fast the devices' time runs: `60x`
    ///
    /// How many times as fast the devices' time runs: with `60x` a day takes 24 minutes. Readings and their `ts` follow this
    /// time; connections and the interval don't.
    #[arg(long, value_name = "N", value_parser = time_scale, help_heading = RUN)]
    pub time_scale: Option<NonZeroU32>,

    /// When the devices' time begins: `2026-06-21T06:00:00Z` [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = RUN)]
    pub start: Option<Moment>,

    /// What readings and faults follow from: the same seed repeats them
    ///
    /// What readings and faults follow from: the same seed gives the same devices the same faults, and the same readings at
    /// the same times. `--start` repeats the times too.
    #[arg(long, value_name = "N", default_value = "0", help_heading = RUN)]
    pub seed: u64,

    /// Give devices a fault: `wrong-password=3%`, or `twin=2` for a number
    ///
    /// Give devices a fault: `wrong-password=3%`, or `twin=2` for a number of devices. It can be repeated; a device has one
    /// fault at most. The faults are listed below.
    #[arg(long, value_name = "FAULT=SHARE", help_heading = FAULTS)]
    pub fault: Vec<FaultShare>,

    /// Write the faulty devices to this file, as CSV
    #[arg(long, value_name = "FILE", help_heading = FAULTS)]
    pub fault_list: Option<PathBuf>,

    /// What the run has to end with.
    #[command(flatten, next_help_heading = FAULTS)]
    pub expect: ExpectArgs,

    /// Print every acknowledged reading as a line
    #[arg(long, help_heading = OUTPUT)]
    pub readings: bool,

    /// Print the summary as JSON, and no other line on standard output
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,

    /// Write a report for people to this file: one HTML page with charts
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub report: Option<PathBuf>,

    /// Print no progress and no warnings
    #[arg(long, short, help_heading = OUTPUT)]
    pub quiet: bool,

    /// Stop when standard input closes, for a program that starts this one and may be killed
    #[arg(long, hide = true)]
    pub stop_with_stdin: bool,
}

/// What `latchkey sim` can do with runs that are over.
#[derive(Debug, Clone, Subcommand)]
pub enum SimCommand {
    /// Make one result of the results of a fleet's shards
    #[command(after_help = MERGE_HELP)]
    Merge(MergeArgs),
}

/// Make one result of the results of a fleet's shards
#[derive(Debug, Clone, Args)]
pub struct MergeArgs {
    /// What each shard printed with `--json`, or what another merge did
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,

    /// Write a report for people to this file: one HTML page with charts
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// A version of MQTT on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mqtt {
    /// MQTT 3.1.1.
    #[value(name = "3.1.1", help = None::<&str>)]
    V311,
    /// MQTT 5.
    #[value(name = "5", help = None::<&str>)]
    V5,
}

impl From<Mqtt> for Version {
    fn from(mqtt: Mqtt) -> Self {
        match mqtt {
            Mqtt::V311 => Self::V311,
            Mqtt::V5 => Self::V5,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  latchkey sim
  latchkey sim --endpoint localhost:10443 --devices 5 --readings
  latchkey sim --transport websocket --mqtt 3.1.1
  latchkey sim --duration 60s --report report.html
  latchkey sim --time-scale 60x --readings
  latchkey sim --fault wrong-password=3% --expect-refused 3% --duration 1m

Ctrl-C ends the run and prints the summary, a second Ctrl-C ends it at once.
Exit codes: 0 every device got through that has no fault, and what was
expected happened, 1 not so, 64 the command line or a file is wrong. --help
explains more.";
const MERGE_HELP: &str = "\
Examples:
  latchkey sim --shard 0/2 --duration 60s --json > shard-0.json
  latchkey sim merge shard-*.json --report report.html

Counts are added, and latencies are merged exactly: percentiles are those of
one run. Charts are aligned by the machines' clocks. Shards of different
versions, fleets or options, and a shard that is there twice, are refused.
Exit codes: 0 every device got through that has no fault, and what was
expected happened, 1 not so, or a shard is missing, 64 a file can't be merged.";
const LONG_HELP: &str = "\
Each device connects with its own row of the credentials file, publishes
temperature and humidity to `sensor/CLIENT_ID/...` at QoS 1, and waits for
each acknowledgement. A device that can't reach the server, or is
disconnected, tries again after 1 s, and after up to 60 s later on. If none
ever reaches it, the run ends after four attempts of a device.

If `make deploy` wrote a `cdk-outputs.json` in this folder, the fleet connects
to AWS, and a line says so. With `--endpoint localhost:10443` it connects to
`latchkey local`.

With `--transport https` a device is accepted or refused at each message: it
counts as connected when it has a TLS session.

A fleet that is too large for one machine runs as shards, each with the same
command line but for `--shard`; docs/simulator.md has a Kubernetes Job.

Faults, each on a real connection; docs/simulator.md has more about them:
  wrong-password   presents a wrong password or signature
  wrong-client-id  connects with a client id that is not its own
  wrong-topic      publishes to the topics of another client id
  wrong-clock      its clock shows the year 2000: no certificate is valid
  dropped-link     loses its link every 1 to 5 intervals, without DISCONNECT
  slow-link        200 ms of delay and 8,000 bytes a second
  herd             all of them start, lose their link every 10 intervals and
                   return at the same moments, without backoff
  twin             a second device connects with the same client id
  oversize         publishes messages above AWS's limit of 128 KB
  sensor-crc       a quarter of the measurements has a wrong checksum
  sensor-nack      a quarter of the measurements is not acknowledged
  sensor-stuck     repeats its first reading
  sensor-drift     drifts by 0.25 degrees and 0.5 %RH an hour

A run is through if every device is online at the end and had a reading
acknowledged, except those whose fault keeps them from it: all but slow-link
and the sensors'. With --expect-refused devices may be refused instead, in
that number.

Ctrl-C ends the run and prints the summary, a second Ctrl-C ends it at once.
Exit codes: 0 every device got through that has no fault, and what was
expected happened, 1 not so, 64 the command line or a file is wrong.";
const CONNECTION: &str = "Connection";
const RUN: &str = "Run";
const FAULTS: &str = "Faults and expectations";
const OUTPUT: &str = "Output";

/// What is wrong with a number of devices.
#[derive(Debug, thiserror::Error)]
enum NumberError {
    #[error(transparent)]
    Form(#[from] std::num::ParseIntError),
    #[error("must be at least 1")]
    Zero,
}

/// What is wrong with a duration.
#[derive(Debug, thiserror::Error)]
enum DurationError {
    #[error("must be longer than 0")]
    Zero,
    #[error("write it with its unit: `500ms`, `10s`, `5m` or `1h30m`")]
    Form,
}

fn at_least_one(text: &str) -> Result<NonZeroU32, NumberError> {
    NonZeroU32::new(text.parse()?).ok_or(NumberError::Zero)
}

/// What is wrong with a time scale or a moment.
#[derive(Debug, thiserror::Error)]
enum TimeError {
    #[error("write how many times as fast, as a whole number from `1x` to `86400x`")]
    Scale,
    #[error("write it in UTC, as `2026-06-21T06:00:00Z`")]
    Moment,
}

/// A day in a second.
const MAX_TIME_SCALE: u32 = 86_400;

fn time_scale(text: &str) -> Result<NonZeroU32, TimeError> {
    let scale = text.strip_suffix('x').unwrap_or(text).parse::<NonZeroU32>().ok();
    scale.filter(|scale| scale.get() <= MAX_TIME_SCALE).ok_or(TimeError::Scale)
}

fn moment(text: &str) -> Result<Moment, TimeError> {
    let time = humantime::parse_rfc3339_weak(text).map_err(|_| TimeError::Moment)?;
    let since = time.duration_since(UNIX_EPOCH).map_err(|_| TimeError::Moment)?;
    Ok(Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

fn duration(text: &str) -> Result<Duration, DurationError> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err(DurationError::Zero),
        Ok(duration) => Ok(duration),
        Err(_) => Err(DurationError::Form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_at_1() {
        assert_eq!(at_least_one("7").unwrap().get(), 7);
        assert_eq!(at_least_one("0").unwrap_err().to_string(), "must be at least 1");
        assert!(at_least_one("-1").is_err() && at_least_one("many").is_err());
    }

    #[test]
    fn times_and_their_scale_are_read() {
        for (text, scale) in
            [("60x", Some(60)), ("1", Some(1)), ("86400x", Some(86_400)), ("0x", None), ("86401", None)]
        {
            assert_eq!(time_scale(text).ok().map(NonZeroU32::get), scale, "{text}");
        }
        for text in ["", "x", "fast", "1.5x", "-2x", "60xx"] {
            assert_eq!(time_scale(text).unwrap_err().to_string(), TimeError::Scale.to_string(), "{text}");
        }
        assert_eq!(moment("2026-01-01T00:00:00Z").unwrap().seconds(), 1_767_225_600);
        for text in ["", "now", "2026", "1969-12-31T23:59:59Z", "2026-13-01T00:00:00Z"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_fault_is_in_the_help() {
        for fault in crate::faults::DeviceFault::ALL {
            assert!(LONG_HELP.contains(&format!("\n  {:<15}  ", fault.name())), "{fault}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        let cases = [
            ("500ms", Some(500)),
            ("10s", Some(10_000)),
            ("1h30m", Some(5_400_000)),
            ("10", None),
            ("0s", None),
            ("", None),
            ("-1s", None),
            ("soon", None),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(duration(text).ok(), milliseconds.map(Duration::from_millis), "{text}");
        }
    }
}
