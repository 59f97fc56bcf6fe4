//! How a deployment is tried out.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use device_sim::{Address, Alpn, Authorizer, DeploymentArgs};

use super::examples;

/// A deployment, or a gateway, to be tried out.
#[derive(Args, Debug)]
#[command(after_help = examples::SMOKE)]
pub struct SmokeArgs {
    /// The device of the file of passwords to try it with; a real one that is connected is cut off [default: the first]
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,

    /// The CSV file with its password [default: .latchkey/credentials-STAGE.csv, or else .latchkey/credentials.csv]
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,

    /// The server's TLS port [default: the deployment's, or else localhost:10443]
    #[arg(long, value_name = "HOST:PORT")]
    pub endpoint: Option<Address>,

    /// The only CA to trust, as a PEM file [default: .latchkey/ca.pem; Amazon's roots for a deployment]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// The ALPN protocol to offer, or `none`
    #[arg(long, value_name = "PROTOCOL", default_value = "mqtt")]
    pub alpn: Alpn,

    /// The server name to ask for and to expect in the certificate [default: the endpoint's host]
    #[arg(long, value_name = "NAME")]
    pub sni: Option<String>,

    /// The authorizer to name in the user name [default: the deployment's, or else latchkey]
    #[arg(long, value_name = "NAME")]
    pub authorizer: Option<Authorizer>,

    /// Name no authorizer: the server's default one decides
    #[arg(long)]
    pub no_authorizer: bool,

    /// How long the log may take to show a decision
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = humantime::parse_duration)]
    pub wait: Duration,

    /// AWS's region [default: the deployment's]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,

    /// Where it is deployed.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}
