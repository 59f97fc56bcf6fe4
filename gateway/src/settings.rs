//! What a gateway can be told.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use iot_policy::{Scope, ScopeError, limits::AUTHORIZER_TIMEOUT_SECONDS};

use crate::{lambda::Function, session::Rules};

/// The name of the function in its ARN.
const FUNCTION_NAME: &str = "latchkey-authorizer";

/// The settings of one gateway.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Host names and addresses for the certificate, and the names that a client may ask for.
    pub names: Vec<String>,
    /// Where the CA, the log and the devices are.
    pub data: PathBuf,
    /// The account that it plays.
    pub account: Account,
    /// The authorizer's name, as user names ask for it; it serves those that ask for none too.
    pub authorizer_name: String,
    /// The authorizer's program.
    pub authorizer: PathBuf,
    /// Environment variables for it.
    pub variables: Vec<(String, String)>,
    /// How many instances of it may run.
    pub instances: usize,
    /// How many connections there may be.
    pub max_connections: usize,
    /// Whether a refused CONNECT is answered with a CONNACK before the end *(unverified)*.
    pub answer_refused_connects: bool,
    /// What else AWS's documents leave open.
    pub rules: Rules,
}

/// Partition, region and account: the first half of every ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// The region.
    pub region: String,
    /// The account's 12 digits.
    pub id: String,
}

impl Account {
    /// What policies name resources with.
    ///
    /// # Errors
    ///
    /// When a part has not the shape that ARNs need.
    pub fn scope(&self) -> Result<Scope, ScopeError> {
        Scope::new(&self.partition, &self.region, &self.id)
    }
}

impl Settings {
    /// The authorizer's function.
    #[must_use]
    pub fn function(&self) -> Function {
        let Account { partition, region, id } = &self.account;
        Function {
            program: self.authorizer.clone(),
            arn: format!("arn:{partition}:lambda:{region}:{id}:function:{FUNCTION_NAME}"),
            variables: self.variables.clone(),
            limit: Duration::from_secs(AUTHORIZER_TIMEOUT_SECONDS.into()),
            instances: self.instances,
        }
    }
}
