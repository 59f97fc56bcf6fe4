//! What `make deploy` made in an AWS account, as `cdk-outputs.json` tells it: endpoint, authorizer, records, registry.
//!
//! It stands here because both the simulator and the operator's tool, which depends on this crate, read it.

mod error;
mod outputs;

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;

pub use self::error::DeploymentError;
use crate::endpoint::Address;
use crate::login::Authorizer;

/// Where `make deploy` writes its outputs, and where they are looked for.
pub const DEFAULT_FILE: &str = "cdk-outputs.json";

/// One deployed stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The file that told of it.
    pub file: PathBuf,
    /// The stage's name.
    pub stage: String,
    /// Its region.
    pub region: String,
    /// The account's number.
    pub account: String,
    /// Where devices connect to: AWS's port for MQTT with custom authentication is 443 (AWS IoT Core developer guide,
    /// "Device communication protocols").
    pub endpoint: Address,
    /// The authorizer that they name.
    pub authorizer: Authorizer,
    /// The authorizer's log group.
    pub log_group: String,
    /// Where the records are.
    pub records: Records,
    /// The type of the fleet's Things.
    pub thing_type: String,
    /// Their group.
    pub thing_group: String,
}

/// Where a deployment keeps its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    /// In this table of DynamoDB.
    Table(String),
    /// In this secret of Secrets Manager, by its ARN.
    Secret(String),
}

/// Which deployment is meant.
#[derive(Debug, Clone, Default, Args)]
pub struct DeploymentArgs {
    /// What `make deploy` wrote about the deployment [default: `cdk-outputs.json` in this folder, if it is there]
    #[arg(long, value_name = "FILE")]
    pub outputs: Option<PathBuf>,

    /// Which stage of that file [default: the only one]
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
}

impl DeploymentArgs {
    /// Whether somebody asked for a deployment.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.outputs.is_some() || self.stage.is_some()
    }

    /// The deployment that is meant, with `folder` for the current one; none if nobody asked for one and there is no
    /// file.
    ///
    /// # Errors
    ///
    /// If the file is not there although it is asked for, can't be read, is something else, or has several stages
    /// and none is named.
    pub fn find(&self, folder: &Path) -> Result<Option<Deployment>, DeploymentError> {
        let file = self.outputs.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        match outputs::read(&folder.join(&file), &file, self.stage.as_deref()) {
            Err(DeploymentError::Missing(_)) if !self.is_given() => Ok(None),
            found => found.map(Some),
        }
    }
}

impl Deployment {
    /// The file that its devices' passwords are kept in. Each stage has its own, so that no password of one is ever
    /// taken for another's.
    #[must_use]
    pub fn credentials_file(&self) -> PathBuf {
        Path::new(".latchkey").join(format!("credentials-{}.csv", self.stage))
    }
}

/// What a person is told when it is used unasked.
impl fmt::Display for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, stage, region, account, endpoint, authorizer, .. } = self;
        let file = file.display();
        write!(f, "the stage `{stage}` of `{file}`: {endpoint}, authorizer `{authorizer}`, ")?;
        write!(f, "account {account}, region {region}")
    }
}

#[cfg(test)]
mod tests;
