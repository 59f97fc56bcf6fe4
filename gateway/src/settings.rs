//! What a gateway can be told.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use iot_policy::{Scope, ScopeError};

use crate::{
    custom_auth::{
        authorizer::{AuthorizerName, AuthorizerStatus},
        signing::Signing,
    },
    door::route::{Access, Port},
    lambda::function::FunctionConfiguration,
    quotas::Quotas,
    registry::FixedRegistry,
};

/// The settings of one gateway.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address on which it listens.
    pub listen: IpAddr,
    /// The ports on which it listens.
    pub ports: Ports,
    /// Host names and addresses for the certificate, and the names that a client may ask for.
    pub names: Vec<String>,
    /// Where the CA, the log and the devices are.
    pub data: PathBuf,
    /// The settings file that was read, for the greeting.
    pub config: Option<PathBuf>,
    /// The account that it plays.
    pub account: Account,
    /// The authorizers.
    pub authorizers: Vec<AuthorizerSettings>,
    /// Which of them serves connections that name none.
    pub default_authorizer: Option<AuthorizerName>,
    /// Domain configurations beside the default one.
    pub domains: Vec<DomainSettings>,
    /// Things, certificates and their policies.
    pub registry: FixedRegistry,
    /// How much there may be at a time.
    pub limits: Limits,
    /// Whether a refused CONNECT closes the connection without a CONNACK *(unverified: which of the two AWS does)*.
    pub close_refused: bool,
    /// Whether a denied QoS 1 PUBLISH of MQTT 5 ends the connection, besides PUBACK 0x87 *(unverified)*.
    pub denied_publish_disconnects: bool,
    /// The quotas on connections and messages.
    pub quotas: Quotas,
}

/// One authorizer.
#[derive(Clone, Debug)]
pub struct AuthorizerSettings {
    /// Its name, as clients ask for it.
    pub name: AuthorizerName,
    /// Whether it may be used.
    pub status: AuthorizerStatus,
    /// Whether tokens must be signed.
    pub signing: Signing,
    /// `enableCachingForHttp`.
    pub caching_for_http: bool,
    /// Its function.
    pub function: FunctionConfiguration,
}

/// The ports of this machine; 0 takes a free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// By AWS's ports; one that is not there has no door.
    pub doors: BTreeMap<Port, u16>,
    /// `/healthz` and `/metrics`, if they are wanted.
    pub status: Option<u16>,
}

/// How much there may be at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections; the next one waits until one ends.
    pub connections: usize,
    /// Connections that have not come as far as their CONNECT or first request; the next one ends the oldest.
    pub handshakes: usize,
    /// How long a client may take for its TLS handshake, and then for its CONNECT or the begin of its first request.
    pub connect_timeout: Duration,
}

/// A domain configuration.
#[derive(Clone, Debug)]
pub struct DomainSettings {
    /// `domainConfigurationName`.
    pub name: String,
    /// The server name (SNI) that it is for.
    pub server_name: String,
    /// PEM files of its certificate and key; without, the gateway's own CA makes them.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Who may come in, and how.
    pub access: Access,
    /// The authorizer of those who name none.
    pub default_authorizer: Option<AuthorizerName>,
    /// Whether a client may name another authorizer.
    pub allow_authorizer_override: bool,
}

/// Whether a text can be a server name (SNI), or an address in its place.
#[must_use]
pub fn is_server_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:_".contains(&byte))
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
    /// The ARN of the function with this name.
    #[must_use]
    pub fn function_arn(&self, name: &str) -> String {
        let Self { partition, region, id } = self;
        format!("arn:{partition}:lambda:{region}:{id}:function:{name}")
    }

    /// What policies name resources with.
    ///
    /// # Errors
    ///
    /// When a part has not the shape that ARNs need.
    pub fn scope(&self) -> Result<Scope, ScopeError> {
        Scope::new(&self.partition, &self.region, &self.id)
    }
}
