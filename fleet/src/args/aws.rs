//! The commands that call AWS.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use clap::Args;
use device_auth::scheme::Scheme;
use device_sim::{DeploymentArgs, connection_settings::ConnectionArgs};

use super::{DEVICES, OUTPUT, examples};
use crate::{name_pattern::NamePattern, vendor::default_grant};

const DEPLOYMENT: &str = "Deployment";
const CONNECTION: &str = "Connection";

/// Make devices in AWS: a Thing, a password and a record each
#[derive(Args, Debug)]
#[command(after_help = examples::PROVISION, after_long_help = examples::PROVISION_LONG)]
pub struct ProvisionArgs {
    /// How many devices, with numbered names
    #[arg(
        long, value_name = "N", required_unless_present = "from", value_parser = up_to_100_000, help_heading = DEVICES
    )]
    pub count: Option<NonZeroU32>,

    /// A CSV file of devices, with the column `device`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["count", "name", "first"], help_heading = DEVICES)]
    pub from: Option<PathBuf>,

    /// The names of numbered devices; `#` stands for a digit
    #[arg(long, value_name = "PATTERN", default_value = "device-####", help_heading = DEVICES)]
    pub name: NamePattern,

    /// The first number
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = DEVICES)]
    pub first: u32,

    /// What the devices may do, as with `latchkey fleet add`
    #[arg(long, default_value = default_grant(Scheme::Password), help_heading = DEVICES)]
    pub grant: String,

    /// A records file with the function's own grants, for a table
    ///
    /// A records file without devices, with the function's grants besides the built-in ones. It is needed for records in
    /// a table, which has no grants.
    #[arg(long, value_name = "FILE", help_heading = DEVICES)]
    pub grants: Option<PathBuf>,

    /// Say what would be made, and make nothing
    ///
    /// Say what would be made, and make nothing: the deployment, the grants and all names are checked, and each device is
    /// looked for among the records and in the file of passwords.
    #[arg(long, help_heading = OUTPUT)]
    pub dry_run: bool,

    /// How many devices a second, 1 to 100
    ///
    /// How many devices a second, 1 to 100. Each device is up to five calls, each of another kind. AWS limits calls by
    /// kind, account and region.
    #[arg(long, value_name = "N", default_value = "10", value_parser = up_to_100, help_heading = DEVICES)]
    pub rate: NonZeroU32,

    /// The type of the Things [default: the deployment's]
    #[arg(long, value_name = "NAME", help_heading = DEPLOYMENT)]
    pub thing_type: Option<String>,

    /// The group of the Things [default: the deployment's]
    #[arg(long, value_name = "NAME", help_heading = DEPLOYMENT)]
    pub thing_group: Option<String>,

    /// AWS's region [default: the deployment's, or the profile's]
    ///
    /// AWS's region. The default is the deployment's region, or else `AWS_REGION` or the profile's region.
    #[arg(long, value_name = "REGION", help_heading = DEPLOYMENT)]
    pub region: Option<String>,

    /// The deployment.
    #[command(flatten, next_help_heading = DEPLOYMENT)]
    pub deployment: DeploymentArgs,

    /// The file of passwords [default: .latchkey/credentials-STAGE.csv]
    ///
    /// The CSV file to which the devices' passwords are written, in clear text. The default is
    /// .latchkey/credentials-STAGE.csv.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub credentials: Option<PathBuf>,
}

/// Check a deployment: password, connection, a reading, and the decisions in the log
#[derive(Args, Debug)]
#[command(after_help = examples::SMOKE, after_long_help = examples::SMOKE_LONG)]
pub struct SmokeArgs {
    /// The device to connect as [default: the first one of the file]
    ///
    /// The device to connect as. The default is the first one of the file of passwords. A client that is connected with
    /// its client id is disconnected.
    #[arg(long, value_name = "NAME", help_heading = CONNECTION)]
    pub device: Option<String>,

    /// The connection.
    #[command(flatten, next_help_heading = CONNECTION)]
    pub connection: ConnectionArgs,

    /// How long a new authorizer may refuse the right password [0s: don't wait]
    ///
    /// How long a new authorizer may refuse the right password. AWS IoT refuses valid connects now and then for up to 90
    /// seconds after a deploy, so three in a row have to succeed before the checks. `0s` does not wait.
    #[arg(
        long, value_name = "TIME", default_value = "90s", value_parser = humantime::parse_duration,
        help_heading = DEPLOYMENT
    )]
    pub settle: Duration,

    /// How long to wait for the log to show a decision
    #[arg(
        long, value_name = "TIME", default_value = "90s", value_parser = humantime::parse_duration,
        help_heading = DEPLOYMENT
    )]
    pub wait: Duration,

    /// AWS's region [default: the deployment's]
    #[arg(long, value_name = "REGION", help_heading = DEPLOYMENT)]
    pub region: Option<String>,

    /// The deployment.
    #[command(flatten, next_help_heading = DEPLOYMENT)]
    pub deployment: DeploymentArgs,
}

/// Write the records of a file to a table or a secret in AWS
#[derive(Args, Debug)]
#[command(after_help = examples::PUSH)]
pub struct PushArgs {
    /// The file of records
    #[arg(value_name = "FILE", default_value = ".latchkey/devices.json")]
    pub file: PathBuf,

    /// Compare each record with the store's, and write nothing
    #[arg(long)]
    pub dry_run: bool,

    /// AWS's region [default: the deployment's, or the profile's]
    ///
    /// AWS's region. The default is the deployment's region, or else `AWS_REGION` or the profile's region.
    #[arg(long, value_name = "REGION", help_heading = DEPLOYMENT)]
    pub region: Option<String>,

    /// The deployment.
    #[command(flatten, next_help_heading = DEPLOYMENT)]
    pub deployment: DeploymentArgs,
}

/// A number that is not in a range.
#[derive(Debug, thiserror::Error)]
#[error("a number from 1 to {0} is needed")]
struct NotInRange(u32);

fn up_to_100(text: &str) -> Result<NonZeroU32, NotInRange> {
    up_to(100, text)
}

fn up_to_100_000(text: &str) -> Result<NonZeroU32, NotInRange> {
    up_to(100_000, text)
}

fn up_to(most: u32, text: &str) -> Result<NonZeroU32, NotInRange> {
    text.parse::<NonZeroU32>().ok().filter(|number| number.get() <= most).ok_or(NotInRange(most))
}
