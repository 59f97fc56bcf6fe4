//! `latchkey fleet kit`.

use std::path::PathBuf;

use clap::Args;
use device_auth::{client_id::ClientId, device_name::DeviceName};
use device_sim::{DeploymentArgs, connection_settings::ConnectionArgs};

use super::{OUTPUT, STORE, device_name};
use crate::kit::platform::Platform;

const CONNECTION: &str = "Connection";

/// Print a device's connection as a configuration for its platform
#[derive(Args, Debug)]
#[command(after_help = KIT)]
pub struct KitArgs {
    /// The device, as `latchkey fleet list` shows it
    #[arg(value_parser = device_name)]
    pub name: DeviceName,

    /// The platform
    #[arg(long = "for", value_enum, value_name = "PLATFORM")]
    pub platform: Platform,

    /// The client id [default: the first one of the record]
    #[arg(long, value_parser = super::inspect::client_id, value_name = "ID", help_heading = CONNECTION)]
    pub client_id: Option<ClientId>,

    /// The connection.
    #[command(flatten, next_help_heading = CONNECTION)]
    pub connection: ConnectionArgs,

    /// The deployment.
    #[command(flatten, next_help_heading = CONNECTION)]
    pub deployment: DeploymentArgs,

    /// The function's own grants, for a table
    #[arg(long, value_name = "FILE", help_heading = STORE)]
    pub grants: Option<PathBuf>,

    /// The region of a table or a secret [default: the deployment's, or the profile's]
    #[arg(long, value_name = "REGION", help_heading = STORE)]
    pub region: Option<String>,

    /// Write the configuration with the password to this new file
    ///
    /// Write the configuration with the password, from the file of passwords, to this new file, which only its owner can
    /// read. Without it the configuration has a reference to the password, and is printed.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub with_secret: Option<PathBuf>,

    /// Write the trusted CA to this file, as PEM
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub write_ca: Option<PathBuf>,
}

const KIT: &str = "\
Examples:
  latchkey fleet kit my-device --for esp-idf
  latchkey fleet kit my-device --for mosquitto-bridge --with-secret bridge.conf
  latchkey fleet kit my-device --for bg96 --endpoint mqtt.example.com:443 \\
      --alpn none

The endpoint is that of cdk-outputs.json in this folder, or of `latchkey local`.
Exit codes: 0 done, 64 there is no kit for this device.";
