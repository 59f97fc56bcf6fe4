//! The commands that change nothing.

use std::{net::IpAddr, path::PathBuf, time::SystemTime};

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use device_auth::{
    client_id::{ClientId, ClientIdError},
    device_name::DeviceName,
};
use device_sim::{DeploymentArgs, TopicFilter, TopicName};
use iot_policy::Action;

use super::{KeyringArgs, KitArgs, LintArgs, OUTPUT, STORE, StoreArgs, device_name};

const ACCOUNT: &str = "Account";
const REQUEST: &str = "Request";
const EVENT: &str = "Event";
const DOCUMENTS: &str = "Documents";
const REQUESTS: [&str; 5] = ["connect", "publish", "retain", "subscribe", "receive"];

/// A command that changes nothing.
#[derive(Subcommand, Debug)]
pub enum InspectCommand {
    /// Say whether a device may do something, and which statement decides
    Explain(Box<ExplainArgs>),
    /// Ask policy documents whether they allow something
    Policy(PolicyArgs),
    /// Find what is wrong or risky in records, grants and policy documents
    Lint(LintArgs),
    /// Print a device's connection as a configuration for its platform
    Kit(Box<KitArgs>),
}

impl InspectCommand {
    /// How the command finds its store. A command on policy documents has none.
    #[must_use]
    pub fn store(&self) -> Option<StoreArgs> {
        match self {
            Self::Explain(args) => Some(StoreArgs {
                grants: args.grants.clone(),
                region: args.account.region.clone(),
                deployment: args.account.deployment.clone(),
            }),
            Self::Kit(args) => Some(StoreArgs {
                grants: args.grants.clone(),
                region: args.region.clone(),
                deployment: args.deployment.clone(),
            }),
            Self::Lint(args) => Some(args.store.clone()),
            Self::Policy(_) => None,
        }
    }
}

/// Say whether a device may do something, and which statement decides
#[derive(Args, Debug)]
#[command(after_help = EXPLAIN, after_long_help = EXPLAIN_LONG)]
pub struct ExplainArgs {
    /// The device, as `latchkey fleet list` shows it
    #[arg(
        long, value_parser = device_name, value_name = "NAME", required_unless_present = "event", requires = "action",
        conflicts_with = "event", help_heading = REQUEST
    )]
    pub device: Option<DeviceName>,

    /// The client id [default: the first one of the record]
    #[arg(
        long, value_parser = client_id, value_name = "ID", conflicts_with = "event", help_heading = REQUEST
    )]
    pub client_id: Option<ClientId>,

    /// What the device asks for.
    #[command(flatten)]
    pub request: RequestArgs,

    /// A captured event of the authorizer, as JSON
    ///
    /// A captured event of the authorizer, as JSON, with the password that it has. The file is read, and the password is
    /// never printed.
    #[arg(long, value_name = "FILE", help_heading = EVENT)]
    pub event: Option<PathBuf>,

    /// The moment of the decision, such as `2026-11-30T12:00:00Z` [default: now]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak, help_heading = EVENT)]
    pub at: Option<SystemTime>,

    /// The keyring that opens vendors' secrets.
    #[command(flatten)]
    pub keyring: KeyringArgs,

    /// How JSON Web Tokens are verified.
    #[command(flatten, next_help_heading = EVENT)]
    pub jwt: JwtArgs,

    /// Ask the deployed authorizer too, and show where the answers differ
    ///
    /// Ask the deployed authorizer too (`TestInvokeAuthorizer`), and show where the answers differ. With `--device` the
    /// password is that of the file of passwords. It needs a build with the feature `aws`.
    #[arg(long, help_heading = EVENT)]
    pub live: bool,

    /// The file of passwords for `--live` [default: the deployment's]
    #[arg(long, value_name = "FILE", requires = "live", help_heading = EVENT)]
    pub credentials: Option<PathBuf>,

    /// The authorizer for `--live` [default: the deployment's]
    #[arg(long, value_name = "NAME", requires = "live", help_heading = EVENT)]
    pub authorizer: Option<device_sim::Authorizer>,

    /// The function's own grants, for a table
    ///
    /// A records file with the function's grants besides the built-in ones, as `LATCHKEY_GRANTS` names it. A table has no
    /// grants; a file and a secret contain theirs.
    #[arg(long, value_name = "FILE", help_heading = STORE)]
    pub grants: Option<PathBuf>,

    /// The account whose policies are written.
    #[command(flatten)]
    pub account: AccountArgs,
}

/// What a device asks for.
#[derive(Args, Debug, Clone)]
pub struct RequestArgs {
    /// What the device does
    #[arg(long, value_enum, value_name = "ACTION", help_heading = REQUEST)]
    pub action: Option<RequestedAction>,

    /// The topic, or the topic filter of a subscription
    #[arg(
        long, value_name = "TOPIC", required_if_eq_any = [("action", "publish"), ("action", "retain"),
        ("action", "subscribe"), ("action", "receive")], help_heading = REQUEST
    )]
    pub topic: Option<String>,

    /// The CONNECT has a last will on this topic
    #[arg(long, value_name = "TOPIC", help_heading = REQUEST)]
    pub last_will: Option<TopicName>,

    /// The CONNECT asks for a persistent session
    #[arg(long, help_heading = REQUEST)]
    pub persistent_session: bool,
}

/// What a device does.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedAction {
    /// Connects with its client id
    Connect,
    /// Publishes to the topic
    Publish,
    /// Publishes a retained message to the topic, which needs `publish` too
    Retain,
    /// Subscribes to the topic filter
    Subscribe,
    /// Receives a message of the topic
    Receive,
}

impl From<RequestedAction> for Action {
    fn from(action: RequestedAction) -> Self {
        match action {
            RequestedAction::Connect => Self::Connect,
            RequestedAction::Publish => Self::Publish,
            RequestedAction::Retain => Self::RetainPublish,
            RequestedAction::Subscribe => Self::Subscribe,
            RequestedAction::Receive => Self::Receive,
        }
    }
}

/// How JSON Web Tokens are verified: the function's own variables.
#[derive(Args, Debug)]
pub struct JwtArgs {
    /// The keys of JSON Web Tokens: `pem:FILE` or `jwks:FILE`
    #[arg(long, env = "LATCHKEY_JWT_KEYS", value_name = "KEYS")]
    pub jwt_keys: Option<String>,

    /// What a token's `iss` must be
    #[arg(long, env = "LATCHKEY_JWT_ISSUER", value_name = "TEXT", requires = "jwt_keys")]
    pub jwt_issuer: Option<String>,

    /// What a token's `aud` must be or contain
    #[arg(long, env = "LATCHKEY_JWT_AUDIENCE", value_name = "TEXT", requires = "jwt_keys")]
    pub jwt_audience: Option<String>,

    /// The claim with the device's name
    #[arg(
        long, env = "LATCHKEY_JWT_DEVICE_CLAIM", value_name = "NAME", requires = "jwt_keys",
        default_value = device_auth::jwt::DEFAULT_DEVICE_CLAIM
    )]
    pub jwt_device_claim: String,

    /// The claim with the grant's name
    #[arg(long, env = "LATCHKEY_JWT_GRANT_CLAIM", value_name = "NAME", requires = "jwt_keys")]
    pub jwt_grant_claim: Option<String>,

    /// The grants of tokens without a record, between commas
    #[arg(
        long,
        env = "LATCHKEY_JWT_GRANTS",
        value_name = "NAMES",
        value_delimiter = ',',
        requires = "jwt_grant_claim"
    )]
    pub jwt_grants: Vec<String>,
}

/// The account whose policies are written.
#[derive(Args, Debug)]
pub struct AccountArgs {
    /// AWS's region [default: the deployment's, or us-east-1]
    ///
    /// AWS's region, also of a table or a secret. The default is the deployment's region, and for policies us-east-1.
    #[arg(long, value_name = "REGION", help_heading = ACCOUNT)]
    pub region: Option<String>,

    /// The account's 12 digits [default: the deployment's, or 123456789012]
    ///
    /// The account's 12 digits. The default is the deployment's, or else 123456789012, as with `latchkey local`.
    #[arg(long, value_name = "ACCOUNT", help_heading = ACCOUNT)]
    pub account: Option<String>,

    /// The deployment.
    #[command(flatten, next_help_heading = ACCOUNT)]
    pub deployment: DeploymentArgs,
}

/// Ask policy documents whether they allow something
#[derive(Args, Debug)]
pub struct PolicyArgs {
    /// The command.
    #[command(subcommand)]
    pub command: PolicyCommand,
}

/// `latchkey policy`, which has no store.
#[derive(Args, Debug)]
pub struct PolicyCommandLine {
    /// The command.
    #[command(subcommand)]
    pub command: PolicyCommand,

    /// Print JSON, for scripts
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub json: bool,
}

/// A command on policy documents.
#[derive(Subcommand, Debug)]
pub enum PolicyCommand {
    /// Say what documents allow and deny, with the statement that decides
    Test(PolicyTestArgs),
}

/// Say what documents allow and deny, with the statement that decides
#[derive(Args, Debug)]
#[command(after_help = POLICY_TEST, after_long_help = POLICY_TEST_LONG)]
#[command(group = ArgGroup::new("requests").required(true).multiple(true).args(REQUESTS))]
pub struct PolicyTestArgs {
    /// Files of a policy document each, or of an authorizer's answer
    ///
    /// Files of one policy document each, or of an authorizer's answer with its `policyDocuments`. All of them together
    /// decide, as for one connection.
    #[arg(required = true, value_name = "DOCUMENT", help_heading = DOCUMENTS)]
    pub documents: Vec<PathBuf>,

    /// The client id: what `${iot:ClientId}` and `--connect` mean
    #[arg(long, value_name = "ID", help_heading = REQUEST)]
    pub client: Option<String>,

    /// May the client connect?
    #[arg(long, requires = "client", help_heading = REQUEST)]
    pub connect: bool,

    /// May it publish to this topic?
    #[arg(long, value_name = "TOPIC", help_heading = REQUEST)]
    pub publish: Vec<TopicName>,

    /// May it publish a retained message to this topic?
    #[arg(long, value_name = "TOPIC", help_heading = REQUEST)]
    pub retain: Vec<TopicName>,

    /// May it subscribe to this topic filter?
    #[arg(long, value_name = "FILTER", help_heading = REQUEST)]
    pub subscribe: Vec<TopicFilter>,

    /// May it receive the messages of this topic?
    ///
    /// May it receive the messages of this topic? A shared subscription receives under `$share/GROUP/TOPIC`.
    #[arg(long, value_name = "TOPIC", help_heading = REQUEST)]
    pub receive: Vec<TopicName>,

    /// The CONNECT has a last will on this topic
    #[arg(long, value_name = "TOPIC", requires = "connect", help_heading = REQUEST)]
    pub last_will: Option<TopicName>,

    /// The CONNECT asks for a persistent session
    #[arg(long, requires = "connect", help_heading = REQUEST)]
    pub persistent_session: bool,

    /// The address that the client comes from, for `aws:SourceIp`
    #[arg(long, value_name = "ADDRESS", help_heading = REQUEST)]
    pub source_ip: Option<IpAddr>,

    /// The server name that the client sent, for `iot:DomainName`
    #[arg(long, value_name = "NAME", help_heading = REQUEST)]
    pub domain_name: Option<String>,

    /// AWS's region [default: that of the first ARN in the documents]
    #[arg(long, value_name = "REGION", help_heading = ACCOUNT)]
    pub region: Option<String>,

    /// The account's 12 digits [default: that of the first ARN]
    #[arg(long, value_name = "ACCOUNT", help_heading = ACCOUNT)]
    pub account: Option<String>,
}

pub(super) fn client_id(text: &str) -> Result<ClientId, ClientIdError> {
    text.try_into()
}

const EXPLAIN: &str = "\
Examples:
  latchkey fleet explain --device my-device --action publish --topic a/b
  latchkey fleet explain --event event.json

Exit codes: 0 allowed, 1 denied, 64 it can't be said. --help explains more.";

const EXPLAIN_LONG: &str = "\
The answer is made here, from the record and its grant, with the code of the
authorizer and the policy evaluator of `latchkey local`. A denial names the
statement that denies, or the one that nearly allows.

Examples:
  latchkey fleet explain --device my-device --action subscribe \\
      --topic 'my-device/#'
      may it subscribe, and why?

  latchkey fleet explain --device my-device --action connect \\
      --last-will my-device/state --persistent-session
      a CONNECT with all that the device puts into it

  latchkey fleet explain --event event.json
      each step of the decision about an event that the function received,
      from the record of the store

  latchkey fleet explain --event event.json --live
      the same, and what the deployed authorizer answers

Exit codes: 0 allowed, 1 denied, 64 it can't be said.";

const POLICY_TEST: &str = "\
Example:
  latchkey policy test policy.json --client my-device --publish a/b

Exit codes: 0 all is allowed, 1 something is denied, 64 it can't be said.
--help explains more.";

const POLICY_TEST_LONG: &str = "\
The documents are read as AWS IoT Core reads them, and anything that is not
understood is an error. They need not come from Latchkey.

Examples:
  latchkey policy test policy.json --client my-device --connect \\
      --publish a/b --subscribe 'a/#' --receive a/b
      four requests, each with the statement that decides

  latchkey policy test answer.json --client my-device --publish a/b
      the documents of an authorizer's answer

Exit codes: 0 all is allowed, 1 something is denied, 64 it can't be said.";
