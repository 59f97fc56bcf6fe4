//! What a gateway can be told.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use iot_policy::{Scope, ScopeError, limits::AUTHORIZER_TIMEOUT_SECONDS};

use crate::{
    custom_auth::{name::AuthorizerName, registry::Status, signing::Signing},
    lambda::Function,
    session::Rules,
};

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
    /// The authorizers.
    pub authorizers: Vec<AuthorizerSettings>,
    /// Which of them serves connections that name none.
    pub default_authorizer: Option<AuthorizerName>,
    /// How many connections there may be.
    pub max_connections: usize,
    /// Whether a refused CONNECT is answered with a CONNACK before the end *(unverified)*.
    pub answer_refused_connects: bool,
    /// What else AWS's documents leave open.
    pub rules: Rules,
}

/// One authorizer.
#[derive(Clone, Debug)]
pub struct AuthorizerSettings {
    /// Its name, as clients ask for it.
    pub name: AuthorizerName,
    /// Whether it may be used.
    pub status: Status,
    /// Whether tokens must be signed.
    pub signing: Signing,
    /// Its function.
    pub program: Program,
}

/// A function that is a program on this machine.
#[derive(Clone, Debug)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// Environment variables for it.
    pub variables: Vec<(String, String)>,
    /// How many instances of it may run.
    pub instances: usize,
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

impl Program {
    /// What Lambda is told of it.
    #[must_use]
    pub fn function(&self, account: &Account) -> Function {
        let Account { partition, region, id } = account;
        Function {
            program: self.path.clone(),
            arn: format!("arn:{partition}:lambda:{region}:{id}:function:{FUNCTION_NAME}"),
            variables: self.variables.clone(),
            limit: Duration::from_secs(AUTHORIZER_TIMEOUT_SECONDS.into()),
            instances: self.instances,
        }
    }
}
