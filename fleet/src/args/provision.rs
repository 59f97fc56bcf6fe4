//! How devices are provisioned.

use std::{num::NonZeroU32, path::PathBuf};

use clap::Args;
use device_sim::DeploymentArgs;

use super::examples;
use crate::name_pattern::NamePattern;

/// Devices to be provisioned in AWS.
#[derive(Args, Debug)]
#[command(after_help = examples::PROVISION)]
pub struct ProvisionArgs {
    /// So many devices, with counted names
    #[arg(long, value_name = "N", required_unless_present = "from", value_parser = up_to_100_000)]
    pub count: Option<NonZeroU32>,

    /// The devices of a CSV file with the column `device`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["count", "name", "first"])]
    pub from: Option<PathBuf>,

    /// What counted devices are called; `#` is where the digits of the number go
    #[arg(long, value_name = "PATTERN", default_value = "device-####")]
    pub name: NamePattern,

    /// The first number
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub first: u32,

    /// What the devices may do
    #[arg(long, default_value = "sht20")]
    pub grant: String,

    /// A records file without devices: the function's grants beside the built-in ones, where records are in a table
    #[arg(long, value_name = "FILE")]
    pub grants: Option<PathBuf>,

    /// The CSV file that the devices' passwords are kept in, in clear [default: .latchkey/credentials-STAGE.csv]
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,

    /// How many devices a second, 1 to 100. Each is up to five calls, each of another kind; AWS's own limits are by
    /// kind, account and region
    #[arg(long, value_name = "N", default_value = "10", value_parser = up_to_100)]
    pub rate: NonZeroU32,

    /// The type of the Things [default: the deployment's]
    #[arg(long, value_name = "NAME")]
    pub thing_type: Option<String>,

    /// The group of the Things [default: the deployment's]
    #[arg(long, value_name = "NAME")]
    pub thing_group: Option<String>,

    /// AWS's region [default: the deployment's, or else `AWS_REGION` or the profile's]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,

    /// Where it is deployed.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

fn up_to_100(text: &str) -> Result<NonZeroU32, String> {
    up_to(100, text)
}

fn up_to_100_000(text: &str) -> Result<NonZeroU32, String> {
    up_to(100_000, text)
}

fn up_to(most: u32, text: &str) -> Result<NonZeroU32, String> {
    let number = text.parse::<NonZeroU32>().ok().filter(|number| number.get() <= most);
    number.ok_or_else(|| format!("a number from 1 to {most} is needed"))
}
