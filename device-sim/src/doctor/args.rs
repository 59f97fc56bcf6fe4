//! The command line of `latchkey doctor`.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use mqtt::TopicName;

use crate::endpoint::Address;
use crate::single::{ClientArgs, WillArgs};

/// Find out why a device can't connect: name, TCP, TLS, CONNECT, publish, step by step
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, after_long_help = LONG_HELP)]
pub struct DoctorArgs {
    /// The server, HOST or HOST:PORT [default: the deployment's, or localhost:10443]
    #[arg(value_name = "ENDPOINT", value_parser = endpoint, conflicts_with = "endpoint")]
    pub server: Option<Address>,

    /// A topic to subscribe to, publish to and receive from
    #[arg(short, long, value_name = "TOPIC")]
    pub topic: Option<TopicName>,

    /// The QoS that the device uses
    #[arg(short, long, value_name = "QOS", default_value = "1", value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,

    /// Retain the message, as the device does
    #[arg(short, long, requires = "topic")]
    pub retain: bool,

    /// The length of the message in bytes
    #[arg(long, value_name = "BYTES", default_value = "16")]
    pub payload_bytes: usize,

    /// How many seconds to stay connected, to see whether another client takes over
    #[arg(long, value_name = "SECONDS", default_value = "3")]
    pub hold: u64,

    /// Connect without a server name (SNI), as the device does
    #[arg(long)]
    pub no_sni: bool,

    /// The device's clock: `1970-01-01T00:00:00Z` [default: this machine's]
    #[arg(long, value_name = "TIME", value_parser = clock)]
    pub clock: Option<SystemTime>,

    /// A device's configuration partition, as `latchkey-configure` writes it
    #[arg(long, value_name = "FILE", conflicts_with = "kit")]
    pub partition: Option<PathBuf>,

    /// A configuration that `latchkey fleet kit` printed
    #[arg(long, value_name = "FILE")]
    pub kit: Option<PathBuf>,

    /// The server's log, for the decision [default: .latchkey/events.jsonl for the gateway]
    #[arg(long, value_name = "FILE", conflicts_with = "log_group")]
    pub log: Option<PathBuf>,

    /// The function's log group in CloudWatch, for the decision [default: the deployment's]
    #[arg(long, value_name = "GROUP")]
    pub log_group: Option<String>,

    /// The group of AWS IoT's own log
    #[arg(long, value_name = "GROUP", default_value = "AWSIotLogsV2")]
    pub iot_log_group: String,

    /// The region of both groups [default: the deployment's, or the endpoint's]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,

    /// How many seconds to wait for lines in CloudWatch
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    pub log_wait: u64,

    /// Print everything that was seen as JSON
    #[arg(long)]
    pub json: bool,

    /// The last will.
    #[command(flatten)]
    pub will: WillArgs,

    /// The device and its connection.
    #[command(flatten)]
    pub client: ClientArgs,
}

const EXAMPLES: &str = "\
Examples:
  latchkey doctor
  latchkey doctor localhost:10443 --device my-device -t my-device/hello
  latchkey doctor abc-ats.iot.eu-west-1.amazonaws.com -u my-device \\
    --password-stdin --authorizer latchkey
  latchkey doctor --kit kit.c --password-file password
  latchkey doctor --partition device.bin --clock 1970-01-01T00:00:00Z

Exit codes: 0 nothing was found; 2 no credentials, and nothing was found up to
TLS; 10 to 62 the cause, as docs/doctor.md lists them; 64 the command line or a
file is wrong; 130 Ctrl-C.";
const LONG_HELP: &str = "\
Goes the way of the device's connection step by step, says what it saw at each,
and ends with the cause and the cure of what is wrong.

It connects as the device would: switch the device off meanwhile, because its
client id can have one connection only. The password is sent only to a server
whose certificate the device would trust. A message is published only with
`--topic`.

AWS refuses a CONNECT without saying why. Where several causes look alike from
outside, the doctor names them all; with the log it knows which it is. For a
deployment it reads both log groups in CloudWatch, as `latchkey fleet logs` does.

Exit codes: 0 nothing was found; 2 no credentials, and nothing was found up to
TLS; 10 to 62 the cause, as docs/doctor.md lists them; 64 the command line or a
file is wrong; 130 Ctrl-C.";

/// AWS's port for a user name and a password.
const DEFAULT_PORT: u16 = 443;

/// `HOST:PORT`, or a host alone.
fn endpoint(text: &str) -> Result<Address, crate::endpoint::AddressError> {
    text.parse().or_else(|error| format!("{text}:{DEFAULT_PORT}").parse().map_err(|_| error))
}

/// What is wrong with a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write it like `1970-01-01T00:00:00Z`")]
struct ClockError;

fn clock(text: &str) -> Result<SystemTime, ClockError> {
    let format = &time::format_description::well_known::Rfc3339;
    let moment = time::OffsetDateTime::parse(text, format).map_err(|_| ClockError)?;
    if moment.unix_timestamp() < 0 { Err(ClockError) } else { Ok(moment.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_awss_port_unless_it_names_another() {
        for (text, address) in [
            ("localhost:10443", "localhost:10443"),
            ("x.iot.eu-west-1.amazonaws.com", "x.iot.eu-west-1.amazonaws.com:443"),
            ("[::1]", "[::1]:443"),
        ] {
            assert_eq!(endpoint(text).unwrap().to_string(), address);
        }
        for text in ["", "mqtts://x", "a b"] {
            assert!(endpoint(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_clock_begins_in_1970() {
        assert_eq!(clock("1970-01-01T00:00:00Z"), Ok(SystemTime::UNIX_EPOCH));
        assert!(clock("1969-12-31T00:00:00Z").is_err() && clock("yesterday").is_err());
    }
}
