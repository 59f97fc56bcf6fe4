//! The settings of a gateway, and their defaults.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use iot_policy::{Scope, ScopeError};

use crate::{
    custom_auth::{
        admission::DefaultAuthorizer,
        authorizer::{AuthorizerName, AuthorizerStatus},
        signing::Signing,
    },
    delayed_will_limit::DelayedWills,
    door::{
        DoorRequirements,
        domain::DomainStatus,
        route::{Access, Port},
    },
    event_log::levels::LogLevels,
    lambda::{
        function::{FunctionConfiguration, FunctionSource},
        functions::NamedFunction,
        program::Program,
    },
    quotas::Quotas,
    registry::FixedRegistry,
};

/// The names that the gateway's certificate always has.
pub const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The settings of one gateway.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address on which the gateway listens.
    pub listen: IpAddr,
    /// The ports on which it listens.
    pub ports: Ports,
    /// The host names and addresses of the gateway's certificate, which are the server names that it accepts.
    pub names: Vec<String>,
    /// The folder of the CA, the log and the sessions.
    pub data: PathBuf,
    /// The settings file that was read; the greeting names it.
    pub config: Option<PathBuf>,
    /// The AWS account that the gateway stands for.
    pub account: Account,
    /// The authorizers.
    pub authorizers: Vec<AuthorizerSettings>,
    /// The authorizer of clients that name none.
    pub default_authorizer: Option<DefaultAuthorizer>,
    /// What runs in the place of functions that API calls name.
    pub functions: Vec<NamedFunction>,
    /// The domain configurations besides the default one.
    pub domains: Vec<DomainSettings>,
    /// What a client needs for a handshake where AWS's pages disagree.
    pub doors: DoorRequirements,
    /// Things, and certificates with their policies.
    pub registry: FixedRegistry,
    /// The gateway's own limits.
    pub limits: Limits,
    /// AWS's quotas on connections and messages.
    pub quotas: Quotas,
    /// Which lines the log has.
    pub logging: LogLevels,
    /// The console in the browser.
    pub console: ConsoleSettings,
    /// Whether the status port has the test API.
    pub test_api: bool,
}

/// An authorizer, with the settings of AWS's `CreateAuthorizer`.
#[derive(Clone, Debug)]
pub struct AuthorizerSettings {
    /// Its name.
    pub name: AuthorizerName,
    /// Whether clients can use it.
    pub status: AuthorizerStatus,
    /// Whether its tokens must be signed.
    pub signing: Signing,
    /// `enableCachingForHttp`.
    pub caching_for_http: bool,
    /// Its function.
    pub function: FunctionConfiguration,
}

/// The ports of this machine; 0 is any free port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The port that stands for each of AWS's; one that is absent is closed.
    pub doors: BTreeMap<Port, u16>,
    /// The port of `/healthz` and `/metrics`, if they are served.
    pub status: Option<u16>,
    /// The port of AWS's APIs, if they are served.
    pub api: Option<u16>,
}

/// The gateway's own limits, which AWS does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections; the next one waits until one ends.
    pub connections: usize,
    /// Connections that have not sent their CONNECT or first request yet; the next one ends the oldest.
    pub handshakes: usize,
    /// The time for a TLS handshake, and then for a CONNECT or the start of a first request.
    pub connect_timeout: Duration,
    /// Last wills that wait for their delay; the next one is published without its delay.
    pub delayed_wills: DelayedWills,
}

/// The settings of the console in the browser, which is on the status port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsoleSettings {
    /// The records of attempts that are kept in memory; 0 is no console.
    pub events: usize,
}

/// A domain configuration, with the settings of AWS's `CreateDomainConfiguration`.
#[derive(Clone, Debug)]
pub struct DomainSettings {
    /// `domainConfigurationName`.
    pub name: String,
    /// `domainConfigurationStatus`.
    pub status: DomainStatus,
    /// The server name (SNI) that it is for.
    pub server_name: String,
    /// The PEM files of its certificate and key; without them the gateway's own CA issues a certificate.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Which protocol its connections have, and how their clients authenticate.
    pub access: Access,
    /// The authorizer of clients that name none.
    pub default_authorizer: Option<AuthorizerName>,
    /// Whether a client may name another authorizer.
    pub allow_authorizer_override: bool,
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

impl Settings {
    /// The settings of a gateway for which nothing is set but its data folder and the program of its own authorizer.
    #[must_use]
    pub fn new(data: PathBuf, authorizer: Program) -> Self {
        let name = AuthorizerName::latchkey();
        Self {
            listen: Ipv4Addr::LOCALHOST.into(),
            ports: Ports::default(),
            names: LOCAL_NAMES.map(str::to_owned).to_vec(),
            data,
            config: None,
            account: Account::default(),
            authorizers: vec![AuthorizerSettings::new(name.clone(), authorizer)],
            default_authorizer: Some(DefaultAuthorizer::Implied(name)),
            functions: Vec::new(),
            domains: Vec::new(),
            doors: DoorRequirements::default(),
            registry: FixedRegistry::default(),
            limits: Limits::default(),
            quotas: Quotas::AWS,
            logging: LogLevels::default(),
            console: ConsoleSettings::default(),
            test_api: false,
        }
    }
}

impl AuthorizerSettings {
    /// An active authorizer whose tokens need no signature and whose function is this program.
    #[must_use]
    pub fn new(name: AuthorizerName, program: Program) -> Self {
        Self {
            name,
            status: AuthorizerStatus::Active,
            signing: Signing::Disabled(None),
            caching_for_http: false,
            function: FunctionConfiguration::new(FunctionSource::Program(program)),
        }
    }
}

/// AWS's numbers plus 10,000, which need no privileges.
impl Default for Ports {
    fn default() -> Self {
        Self {
            doors: Port::ALL.map(|port| (port, port.number() + 10_000)).into(),
            status: Some(19_090),
            api: Some(14_566),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // More than one process may have open on most systems, so that the system's own limit comes first.
            connections: 15_000,
            // Far above what a fleet needs that reconnects all at once, far below what would harm the gateway.
            handshakes: 1_000,
            connect_timeout: Duration::from_secs(10),
            // As many as there can be sessions that wait for their clients, with 3 KiB each.
            delayed_wills: DelayedWills { number: 20_000, bytes: 64 * 1024 * 1024 },
        }
    }
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        // About 1,200 connects, with 10 MiB that wait to be read, and as many that were.
        Self { events: 5_000 }
    }
}

/// The account of AWS's own examples.
impl Default for Account {
    fn default() -> Self {
        Self { partition: "aws".to_owned(), region: "us-east-1".to_owned(), id: "123456789012".to_owned() }
    }
}

impl Account {
    /// The ARN of the function with this name.
    #[must_use]
    pub fn function_arn(&self, name: &str) -> String {
        let Self { partition, region, id } = self;
        format!("arn:{partition}:lambda:{region}:{id}:function:{name}")
    }

    /// The ARN of a resource of AWS IoT, such as `thing/NAME`.
    #[must_use]
    pub fn iot_arn(&self, resource: &str, name: &str) -> String {
        let Self { partition, region, id } = self;
        format!("arn:{partition}:iot:{region}:{id}:{resource}/{name}")
    }

    /// The scope in which policies name resources.
    ///
    /// # Errors
    ///
    /// When the partition, the region or the account does not have the form that ARNs need.
    pub fn scope(&self) -> Result<Scope, ScopeError> {
        Scope::new(&self.partition, &self.region, &self.id)
    }
}
