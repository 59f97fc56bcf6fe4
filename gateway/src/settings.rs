//! What a gateway can be told.

use std::{net::SocketAddr, path::PathBuf};

use iot_policy::{Scope, ScopeError};

use crate::{
    custom_auth::{name::AuthorizerName, registry::Status, signing::Signing},
    lambda::{function_arn::FunctionArn, invoke_url::InvokeUrl, program::Program},
    session::Rules,
};

/// How many calls of one function there are at a time if nobody says.
pub const DEFAULT_INSTANCES: usize = 4;

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
    pub function: FunctionSettings,
}

/// An authorizer's function.
#[derive(Clone, Debug)]
pub struct FunctionSettings {
    /// Where it comes from.
    pub source: Source,
    /// How many connects may call it at a time; one more call serves refreshes.
    pub instances: usize,
}

/// Where a function comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A program of this machine, which the gateway starts.
    Program(Program),
    /// It runs by itself, and answers Lambda's Invoke call here.
    InvokeUrl(InvokeUrl),
    /// It is in AWS.
    FunctionArn(FunctionArn),
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
