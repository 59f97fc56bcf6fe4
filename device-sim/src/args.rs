//! The command line of the simulator.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use mqtt::Version;

use crate::deployment::DeploymentArgs;
use crate::endpoint::{Address, Alpn};
use crate::login::Authorizer;

/// Simulates a fleet of SHT20 devices over TLS and MQTT
#[derive(Debug, Clone, Args)]
#[command(long_about = None, after_help = AFTER_HELP)]
#[expect(clippy::struct_excessive_bools, reason = "they are switches of a command line")]
pub struct SimArgs {
    /// The server's TLS port [default: the deployment's, or else localhost:10443]
    #[arg(long, value_name = "HOST:PORT", help_heading = SERVER)]
    pub endpoint: Option<Address>,

    /// The only CA to trust, as a PEM file [default: .latchkey/ca.pem; Amazon's roots for a deployment]
    #[arg(long, value_name = "FILE", help_heading = SERVER)]
    pub ca: Option<PathBuf>,

    /// Where it is deployed.
    #[command(flatten, next_help_heading = SERVER)]
    pub deployment: DeploymentArgs,

    /// The ALPN protocol to offer, or `none`. Port 443 of AWS IoT Core takes passwords with `mqtt` only
    #[arg(long, value_name = "PROTOCOL", default_value = "mqtt", help_heading = SERVER)]
    pub alpn: Alpn,

    /// The server name to ask for and to expect in the certificate [default: the endpoint's host]
    #[arg(long, value_name = "NAME", help_heading = SERVER)]
    pub sni: Option<String>,

    /// The version of MQTT
    #[arg(long, value_name = "VERSION", default_value = "5", help_heading = SERVER)]
    pub mqtt: Mqtt,

    /// The custom authorizer to ask for, as a parameter in every user name [default: the deployment's, or else latchkey]
    #[arg(long, value_name = "NAME", help_heading = DEVICES)]
    pub authorizer: Option<Authorizer>,

    /// Name no authorizer: the server's default one decides
    #[arg(long, help_heading = DEVICES)]
    pub no_authorizer: bool,

    /// The devices' credentials: CSV with the header `device,client_id,user_name,password` [default:
    /// .latchkey/credentials.csv; .latchkey/credentials-STAGE.csv for a deployment]
    #[arg(long, value_name = "FILE", help_heading = DEVICES)]
    pub credentials: Option<PathBuf>,

    /// How many of the file's devices to run, from its top [default: all]
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = DEVICES)]
    pub devices: Option<NonZeroU32>,

    /// How many devices to start in a second
    #[arg(long, value_name = "N", default_value = "50", value_parser = at_least_one, help_heading = RUN)]
    pub ramp: NonZeroU32,

    /// The time between two readings of a device, like `500ms`, `10s` or `5m`
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration, help_heading = RUN)]
    pub interval: Duration,

    /// How long to run, like `60s` or `1h30m` [default: until Ctrl-C]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = RUN)]
    pub duration: Option<Duration>,

    /// How often a device that the server refuses tries again
    #[arg(long, value_name = "N", default_value = "0", help_heading = RUN)]
    pub retries: u32,

    /// Print every acknowledged reading as a line
    #[arg(long, help_heading = OUTPUT)]
    pub readings: bool,

    /// Print the summary as JSON, and nothing else on standard output
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,

    /// Print no progress and no warnings
    #[arg(long, short, help_heading = OUTPUT)]
    pub quiet: bool,

    /// Stop when standard input closes: for a program that starts this one and may itself be killed
    #[arg(long, hide = true)]
    pub stop_with_stdin: bool,
}

/// A version of MQTT, as it is written on a command line.
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

const AFTER_HELP: &str = "\
Every device connects with its own row of the credentials file, publishes temperature and humidity
to `sensor/CLIENT_ID/...` at QoS 1, and waits for each acknowledgement. A device that cannot reach
the server, or is cut off, comes back after 1 s at first and up to 60 s later.

Where `make deploy` left a `cdk-outputs.json` in this folder, the fleet connects to AWS, and a line
says so; `--endpoint localhost:10443` is `latchkey local` all the same.

Ctrl-C ends the run cleanly and prints the summary; a second Ctrl-C ends it at once.
Exit codes: 0 every device got through, 1 not every one, 64 the command line or a file is wrong.";
const SERVER: &str = "Server";
const DEVICES: &str = "Devices";
const RUN: &str = "Run";
const OUTPUT: &str = "Output";

fn at_least_one(text: &str) -> Result<NonZeroU32, String> {
    let number = text.parse().map_err(|error: std::num::ParseIntError| error.to_string())?;
    NonZeroU32::new(number).ok_or_else(|| "must be at least 1".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be more than nothing".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("write it with its unit, like `500ms`, `10s`, `5m` or `1h30m`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_no_number_of_devices() {
        assert_eq!(at_least_one("7").map(NonZeroU32::get), Ok(7));
        assert_eq!(at_least_one("0").unwrap_err(), "must be at least 1");
        assert!(at_least_one("-1").is_err() && at_least_one("many").is_err());
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
