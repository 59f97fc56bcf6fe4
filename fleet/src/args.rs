//! The command line.

mod aws;
mod capacity;
mod examples;
mod inspect;
mod kit;
mod lint;
mod logs;
mod migration;
mod revoke;
mod source;

use std::{num::ParseIntError, path::PathBuf, time::Duration};

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use cli::format::FormatArgs;
use device_auth::{
    device_name::{DeviceName, DeviceNameError},
    grant::template::{TemplateError, TopicTemplate},
    location::StoreLocation,
    record::{ClientIdRule, ClientIdRuleError},
    scheme::Scheme,
    seal::{KeyId, KeyIdError},
    verifier::budget::{FunctionMemory, FunctionMemoryError},
};
use device_sim::{Address, DeploymentArgs};

pub use self::{
    aws::{ProvisionArgs, PushArgs, SmokeArgs},
    capacity::CapacityArgs,
    inspect::{
        AccountArgs, ExplainArgs, InspectCommand, JwtArgs, PolicyArgs, PolicyCommand, PolicyCommandLine,
        PolicyTestArgs, RequestArgs, RequestedAction,
    },
    kit::KitArgs,
    lint::{Format, LintArgs},
    logs::{LogSourceArgs, LogsArgs, StatsArgs, StatusArgs},
    migration::CheckMigrationArgs,
    revoke::{ConnectionsArgs, RevokeArgs, RevokeCommand, UndoArgs},
    source::SourceArgs,
};
use crate::store_option::{self, ConfiguredStore, Source};

const VENDORS_AND_PASSWORD: [Scheme; 3] = [Scheme::Alibaba, Scheme::Tencent, Scheme::Password];
const SCHEMES: [Scheme; 5] = [Scheme::Password, Scheme::Alibaba, Scheme::Tencent, Scheme::Jwt, Scheme::Token];

const RECORD: &str = "Record";
const STORE: &str = "Store";
const CREDENTIAL: &str = "Credential";
const OUTPUT: &str = "Output";
const DEVICES: &str = "Devices";
const GRANT: &str = "Grant";

/// Give devices their credentials and keep their records
#[derive(Args, Debug)]
#[command(subcommand_help_heading = "Commands", after_help = examples::FLEET)]
pub struct FleetArgs {
    /// The command.
    #[command(subcommand)]
    pub command: FleetCommand,

    /// Where the records are [default: the deployment's, or .latchkey/devices.json]
    ///
    /// Where the records are: a JSON file by its path or as `file:PATH`, `indexed:PATH` (read only), `dynamodb:TABLE`, or
    /// `secretsmanager:NAME`.
    /// The variable `LATCHKEY_STORE` names the store as it does for the function. Without both it is the store of the
    /// deployment that `cdk-outputs.json` in this folder describes, or else .latchkey/devices.json.
    #[arg(
        long, global = true, value_name = "STORE", value_parser = store_option::parse, help_heading = OUTPUT,
        verbatim_doc_comment
    )]
    pub store: Option<StoreLocation>,

    /// How the result is printed.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// A command.
#[derive(Subcommand, Debug)]
pub enum FleetCommand {
    /// A command on records.
    #[command(flatten)]
    Records(Box<RecordsCommand>),
    /// Refuse devices and end their connections; `revoke undo` accepts them again
    Revoke(Box<RevokeArgs>),
    /// Make devices in AWS: a Thing, a password and a record each
    ///
    /// Make devices in AWS: a Thing, a password and a record each. Run the same command again to go on after it was
    /// stopped.
    Provision(Box<ProvisionArgs>),
    /// Check a deployment: password, connection, a reading, and the decisions in the log
    Smoke(Box<SmokeArgs>),
    /// Write the records of a file to a table or a secret in AWS
    Push(Box<PushArgs>),
    /// Show connects, refusals and ends, from the function's log and AWS IoT's
    Logs(Box<LogsArgs>),
    /// Show on one screen how a fleet is: records, connects, refusals, faults
    Status(Box<StatusArgs>),
    /// Count refusals, take-overs, devices that are not seen, and connects a minute
    Stats(Box<StatsArgs>),
    /// Say what of a fleet will not work on AWS, and how each device can move
    CheckMigration(Box<CheckMigrationArgs>),
    /// Say what a fleet of this size needs of AWS, and what a month of it costs
    Capacity(Box<CapacityArgs>),
    /// A command that changes nothing.
    #[command(flatten)]
    Inspect(Box<InspectCommand>),
}

/// A command on records, wherever they are.
#[derive(Subcommand, Debug)]
pub enum RecordsCommand {
    /// Add a device, with a new password or with its secret from another cloud
    Add(AddArgs),
    /// Add the devices of a file: another cloud's export, or passwords
    Import(ImportArgs),
    /// Give a device a new password or secret; the old one stays valid for a while
    Rotate(RotateArgs),
    /// Seal every vendor's secret under the keyring's current key
    Reseal(ResealArgs),
    /// List the devices, their schemes, grants, client ids and keys
    List(ListArgs),
    /// Show a device's record, without its hashes and secrets
    Show(NameArgs),
    /// Change what a device may do
    Set(SetArgs),
    /// Accept a disabled device again
    Enable(NameArgs),
    /// Refuse a device at its next connect or refresh; `revoke` also ends its connection
    Disable(NameArgs),
    /// Remove a device's record
    Remove(RemoveArgs),
    /// List, show and set the grants of a store, or of a table's function
    Grants(GrantsArgs),
    /// Check all records: each one, and each with the others
    Check(CheckArgs),
    /// Check all records, and make an indexed file of them, which the function opens fast
    Build(BuildArgs),
    /// Make and rotate the keys that vendors' secrets are sealed under
    Keys(KeysArgs),
}

/// How a store in AWS is found and reached.
#[derive(Args, Clone, Debug, Default)]
pub struct StoreArgs {
    /// The function's own grants, for a table
    ///
    /// A records file with the function's grants besides the built-in ones, as `LATCHKEY_GRANTS` names it. A table has no
    /// grants; a file and a secret contain theirs.
    #[arg(long, value_name = "FILE", help_heading = STORE)]
    pub grants: Option<PathBuf>,

    /// AWS's region [default: the deployment's, or the profile's]
    ///
    /// AWS's region. The default is the deployment's region, or else `AWS_REGION` or the profile's region.
    #[arg(long, value_name = "REGION", help_heading = STORE)]
    pub region: Option<String>,

    /// The deployment.
    #[command(flatten, next_help_heading = STORE)]
    pub deployment: DeploymentArgs,
}

/// Make and rotate the keys that vendors' secrets (Alibaba's and Tencent's HMAC keys) are sealed under
///
/// The authorizer reads the keyring if `LATCHKEY_DATA_KEYS=file:FILE` is set, which is for development. For AWS, let KMS
/// encrypt the whole file with `aws kms encrypt --encryption-context latchkey=keyring`, write the `CiphertextBlob` of
/// the answer to a file as `{"version":1,"kms_ciphertext":"..."}`, and set `LATCHKEY_DATA_KEYS=kms:FILE`.
#[derive(Args, Debug)]
pub struct KeysArgs {
    /// The command.
    #[command(subcommand)]
    pub command: KeysCommand,

    /// The keyring.
    #[command(flatten)]
    pub keyring: KeyringArgs,
}

/// The keyring: the keys that vendors' secrets are sealed under.
#[derive(Args, Debug)]
pub struct KeyringArgs {
    /// The file of keys that secrets are sealed under
    ///
    /// The file of keys that secrets are sealed under: a path, or `file:PATH` as the authorizer reads the variable. Only
    /// its owner can read it. Without it no sealed secret can be opened.
    #[arg(
        long,
        global = true,
        env = "LATCHKEY_DATA_KEYS",
        default_value = ".latchkey/keyring.json",
        value_name = "FILE",
        help_heading = CREDENTIAL
    )]
    pub keyring: String,
}

/// How a vendor's secret is kept.
#[derive(Args, Debug)]
pub struct SealingArgs {
    /// The keyring.
    #[command(flatten)]
    pub keyring: KeyringArgs,

    /// Keep the secret in plain text, for tests
    ///
    /// Keep the secret in plain text, so that everybody who can read the records has it. The function then needs
    /// `LATCHKEY_ALLOW_PLAIN_SECRETS=true`. This is for tests, with secrets that no real device has.
    #[arg(long, help_heading = CREDENTIAL)]
    pub plain: bool,
}

/// A command on the keyring.
#[derive(Subcommand, Debug)]
pub enum KeysCommand {
    /// Make the file, with one key; an existing file is never overwritten
    New(KeyArgs),
    /// Add a key that seals new secrets; the other keys open older ones
    Rotate(KeyArgs),
    /// Show the ids of the keys, and which one seals
    Show,
}

/// A new key.
#[derive(Args, Debug)]
pub struct KeyArgs {
    /// The id of the key, `2026-11` for example: 1 to 64 of `A-Z a-z 0-9 . _ -`
    #[arg(value_parser = key_id)]
    pub id: KeyId,
}

/// Add a device, with a new password or with its secret from another cloud
#[derive(Args, Debug)]
#[command(after_help = examples::ADD, after_long_help = examples::ADD_LONG)]
pub struct AddArgs {
    /// The device's name, as it is in its MQTT user name
    ///
    /// The device's name, as it is in its MQTT user name. Alibaba's is `deviceName&productKey`, in quotes, because `&`
    /// means something else to the shell. Tencent's is the product id and the device name in one word.
    #[arg(value_parser = device_name)]
    pub name: DeviceName,

    /// What the device may do [default: own-topics, or the vendor's]
    ///
    /// What the device may do: `own-topics` (all topics under its client id), `sht20`, `shadow`, `alibaba`, `tencent`, or a grant
    /// of the store. The default is `own-topics`, or the grant of the device's vendor.
    #[arg(long, help_heading = RECORD)]
    pub grant: Option<String>,

    /// A client id that it may use, or `prefix*` [default: its name]
    ///
    /// A client id that it may use, or `prefix*`. Set it several times for several client ids. The default is the
    /// device's name.
    #[arg(long = "client-id", value_parser = client_id_rule, value_name = "ID", help_heading = RECORD)]
    pub client_ids: Vec<ClientIdRule>,

    /// How the device proves itself
    #[arg(
        long, default_value = Scheme::Password.as_str(), value_parser = one_of(&SCHEMES, Scheme::as_str), help_heading = CREDENTIAL
    )]
    pub scheme: Scheme,

    /// The vendor's product key or product id, if it is not in NAME
    #[arg(long, value_name = "KEY", help_heading = CREDENTIAL)]
    pub product: Option<String>,

    /// Read a password from standard input, and make none
    ///
    /// Read a password from standard input, as one line, and make none. The record keeps its argon2id hash.
    #[arg(long, help_heading = CREDENTIAL)]
    pub password_stdin: bool,

    /// Read the vendor's secret from standard input
    ///
    /// Read the vendor's secret from standard input, as one line: Alibaba's `DeviceSecret`, or Tencent's `psk`.
    #[arg(long, conflicts_with = "password_stdin", help_heading = CREDENTIAL)]
    pub secret_stdin: bool,

    /// The `ClientID` of an Alibaba `DeviceToken`, which is the secret
    #[arg(
        long, requires = "secret_stdin", value_parser = device_name, value_name = "ID", help_heading = CREDENTIAL
    )]
    pub device_token_id: Option<DeviceName>,

    /// How the vendor's secret is kept.
    #[command(flatten)]
    pub sealing: SealingArgs,

    /// Write the new password to a CSV file for `latchkey sim`
    ///
    /// Write the new password, in clear text, to a CSV file that `latchkey sim` reads.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub credentials: Option<PathBuf>,

    /// The server in the command that is printed [default: the deployment's]
    ///
    /// The server in the command that is printed for trying it. The default is the deployment's, or localhost:10443.
    #[arg(long, value_name = "HOST:PORT", help_heading = OUTPUT)]
    pub endpoint: Option<Address>,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Add the devices of a file: another cloud's export, or passwords
#[derive(Args, Debug)]
#[command(after_help = examples::IMPORT, after_long_help = examples::IMPORT_LONG)]
pub struct ImportArgs {
    /// The file with the users or devices; `-` is standard input
    pub file: PathBuf,

    /// What the rows, rules and hashes of the file are.
    #[command(flatten)]
    pub source: SourceArgs,

    /// How the devices prove themselves
    #[arg(
        long, value_parser = one_of(&VENDORS_AND_PASSWORD, Scheme::as_str), conflicts_with = "from", help_heading = CREDENTIAL
    )]
    pub scheme: Option<Scheme>,

    /// FILE is a password file of mosquitto or of `htpasswd -B`
    ///
    /// FILE is a password file as `mosquitto_passwd` and `htpasswd -B` write it. The hashes are imported as they are.
    #[arg(long, conflicts_with_all = ["from", "scheme", "product", "plain"], help_heading = CREDENTIAL)]
    pub mosquitto: bool,

    /// The product of all devices, if the file has no column for it
    #[arg(long, value_name = "KEY", help_heading = CREDENTIAL)]
    pub product: Option<String>,

    /// What the devices may do [default: own-topics, or the vendor's]
    ///
    /// What the devices may do, as with `latchkey fleet add`. The default is `own-topics`, or the grant of the vendor.
    #[arg(long, help_heading = RECORD)]
    pub grant: Option<String>,

    /// Skip devices that have a record, and duplicate rows
    ///
    /// Skip devices that have a record already, and use the first of several rows for one device. Otherwise both are
    /// errors.
    #[arg(long, help_heading = RECORD)]
    pub skip_existing: bool,

    /// Import the good rows of a file that has bad ones
    ///
    /// Import the good rows of a file that has bad ones. Each bad row is reported with its line, and the exit code is 1.
    /// Otherwise one bad row is an error, and nothing is written.
    #[arg(long, help_heading = RECORD)]
    pub keep_going: bool,

    /// How vendors' secrets are kept.
    #[command(flatten)]
    pub sealing: SealingArgs,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Give a device a new password or secret; the old one stays valid for a while
#[derive(Args, Debug)]
#[command(after_help = examples::ROTATE)]
pub struct RotateArgs {
    /// The device's name, as `latchkey fleet list` shows it
    #[arg(value_parser = device_name)]
    pub name: DeviceName,

    /// How long the old one stays valid: `12h`, `7d`, or `0s`
    #[arg(
        long, default_value = "7d", value_name = "TIME", value_parser = humantime::parse_duration,
        help_heading = CREDENTIAL
    )]
    pub old_for: Duration,

    /// Read the new password from standard input, and make none
    ///
    /// Read the new password from standard input, as one line, and make none. The record keeps its argon2id hash.
    #[arg(long, help_heading = CREDENTIAL)]
    pub password_stdin: bool,

    /// Read the vendor's new secret from standard input
    ///
    /// Read the new secret of an Alibaba or Tencent device from standard input, as one line.
    #[arg(long, conflicts_with = "password_stdin", help_heading = CREDENTIAL)]
    pub secret_stdin: bool,

    /// The `ClientID` of an Alibaba `DeviceToken`, which is the secret
    #[arg(
        long, requires = "secret_stdin", value_parser = device_name, value_name = "ID", help_heading = CREDENTIAL
    )]
    pub device_token_id: Option<DeviceName>,

    /// How the vendor's secret is kept.
    #[command(flatten)]
    pub sealing: SealingArgs,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Seal every vendor's secret under the keyring's current key
#[derive(Args, Debug)]
#[command(after_help = examples::RESEAL)]
pub struct ResealArgs {
    /// Open every secret and say how many would be sealed, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// The keyring.
    #[command(flatten)]
    pub keyring: KeyringArgs,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// A device's name.
#[derive(Args, Debug)]
pub struct NameArgs {
    /// The device's name
    #[arg(value_parser = device_name)]
    pub name: DeviceName,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// A device whose record is removed.
#[derive(Args, Debug)]
pub struct RemoveArgs {
    /// The device's name
    #[arg(value_parser = device_name)]
    pub name: DeviceName,

    /// Don't ask before the record is removed
    #[arg(long)]
    pub yes: bool,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// List the devices, their schemes, grants, client ids and keys
#[derive(Args, Debug, Default)]
#[command(after_help = examples::LIST)]
pub struct ListArgs {
    /// Only devices whose names begin with this
    #[arg(long, value_name = "TEXT", help_heading = DEVICES)]
    pub prefix: Option<String>,

    /// Only devices with this grant
    #[arg(long, value_name = "GRANT", help_heading = DEVICES)]
    pub grant: Option<String>,

    /// Only devices of this scheme
    #[arg(long, value_parser = one_of(&SCHEMES, Scheme::as_str), help_heading = DEVICES)]
    pub scheme: Option<Scheme>,

    /// Only disabled devices
    #[arg(long, help_heading = DEVICES)]
    pub disabled: bool,

    /// Up to N devices
    #[arg(long, value_name = "N", help_heading = OUTPUT)]
    pub limit: Option<usize>,

    /// Only devices that come after this name: the next page
    #[arg(long, value_name = "NAME", help_heading = OUTPUT)]
    pub after: Option<String>,

    /// Print only how many there are, by scheme, grant and state
    #[arg(long, conflicts_with_all = ["limit", "after"], help_heading = OUTPUT)]
    pub count: bool,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Change what a device may do
#[derive(Args, Debug)]
#[command(after_help = examples::SET)]
pub struct SetArgs {
    /// The device's name
    #[arg(value_parser = device_name)]
    pub name: DeviceName,

    /// What the device may do from now on
    #[arg(long, help_heading = RECORD, required_unless_present_any = ["client_ids", "parameters"])]
    pub grant: Option<String>,

    /// A client id that it may use, or `prefix*`; replaces all that it has
    #[arg(long = "client-id", value_parser = client_id_rule, value_name = "ID", help_heading = RECORD)]
    pub client_ids: Vec<ClientIdRule>,

    /// A value for a placeholder of the grant, as `NAME=VALUE`
    #[arg(long = "parameter", value_parser = parameter, value_name = "NAME=VALUE", help_heading = RECORD)]
    pub parameters: Vec<(String, DeviceName)>,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// List, show and set the grants of a store, or of a table's function
#[derive(Args, Debug)]
#[command(after_help = examples::GRANTS)]
pub struct GrantsArgs {
    /// The command.
    #[command(subcommand)]
    pub command: GrantsCommand,
}

/// A command on grants.
#[derive(Subcommand, Debug)]
pub enum GrantsCommand {
    /// List the grants, the built-in ones too
    List(StoreArgs),
    /// Show a grant as JSON
    Show(ShowGrantArgs),
    /// Make a grant, or replace one
    Set(Box<SetGrantArgs>),
}

/// A grant's name.
#[derive(Args, Debug)]
pub struct ShowGrantArgs {
    /// The grant's name
    pub name: String,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// A grant, as topics with placeholders.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct SetGrantArgs {
    /// The grant's name
    pub name: String,

    /// A topic that devices may publish to; `*` is any text
    #[arg(long, value_parser = topic, value_name = "TOPIC", help_heading = GRANT)]
    pub publish: Vec<TopicTemplate>,

    /// A topic filter that they may subscribe to
    #[arg(long, value_parser = topic, value_name = "FILTER", help_heading = GRANT)]
    pub subscribe: Vec<TopicTemplate>,

    /// A topic whose messages they may receive; `*` is any text
    #[arg(long, value_parser = topic, value_name = "TOPIC", help_heading = GRANT)]
    pub receive: Vec<TopicTemplate>,

    /// A topic to which they may publish retained messages
    #[arg(long, value_parser = topic, value_name = "TOPIC", help_heading = GRANT)]
    pub retain: Vec<TopicTemplate>,

    /// Let devices with this grant share topics
    #[arg(long, help_heading = GRANT)]
    pub shared: bool,

    /// Let them have a last will
    #[arg(long, help_heading = GRANT)]
    pub last_will: bool,

    /// Let them ask for a persistent session
    #[arg(long, help_heading = GRANT)]
    pub persistent_session: bool,

    /// Don't ask before another grant of this name is replaced
    #[arg(long)]
    pub yes: bool,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Check all records: each one, and each with the others
#[derive(Args, Debug)]
#[command(after_help = examples::CHECK)]
pub struct CheckArgs {
    /// Write what is missing in a table, and remove what is left over
    ///
    /// In a table, write the items that say which device owns a client id or has a value, where they are missing, and
    /// remove those of devices that have no record.
    #[arg(long, help_heading = STORE)]
    pub repair: bool,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Check all records, and make an indexed file of them
///
/// Check all records, each one and with the others, and make an indexed file of them. The function opens it in the same
/// time and memory whatever its size, and verifies each record that it reads. The digest that is printed covers the whole
/// file. Records stay in the JSON file: change them there, and make the indexed file again.
#[derive(Args, Debug)]
#[command(after_help = examples::BUILD)]
pub struct BuildArgs {
    /// The JSON file of records [default: the store]
    pub records: Option<PathBuf>,

    /// The file to write; an existing one is replaced
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub out: PathBuf,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

impl FleetCommand {
    /// Whether the command lists or shows something, so that its result has rows.
    #[must_use]
    pub fn has_rows(&self) -> bool {
        match self {
            Self::Records(command) => match &**command {
                RecordsCommand::List(_)
                | RecordsCommand::Show(_)
                | RecordsCommand::Check(_)
                | RecordsCommand::Keys(KeysArgs { command: KeysCommand::Show, .. }) => true,
                RecordsCommand::Grants(args) => !matches!(args.command, GrantsCommand::Set(_)),
                _ => false,
            },
            Self::Inspect(command) => {
                matches!(**command, InspectCommand::Lint(_) | InspectCommand::Policy(_))
            }
            Self::Capacity(args) => args.prices_template.is_none(),
            Self::CheckMigration(_) | Self::Logs(_) | Self::Smoke(_) | Self::Stats(_) | Self::Status(_) => {
                true
            }
            Self::Provision(_) | Self::Push(_) | Self::Revoke(_) => false,
        }
    }
}

impl RecordsCommand {
    /// The store that an argument of the command names, in place of `--store`.
    pub(crate) fn own_store(&self) -> Option<ConfiguredStore> {
        let Self::Build(BuildArgs { records: Some(path), .. }) = self else { return None };
        Some(ConfiguredStore { location: StoreLocation::File(path.clone()), source: Source::CommandLine })
    }

    /// How the command finds its store. The keyring is in none.
    #[must_use]
    pub fn store(&self) -> Option<&StoreArgs> {
        Some(match self {
            Self::Add(args) => &args.store,
            Self::Import(args) => &args.store,
            Self::Rotate(args) => &args.store,
            Self::Reseal(args) => &args.store,
            Self::List(args) => &args.store,
            Self::Set(args) => &args.store,
            Self::Check(args) => &args.store,
            Self::Build(args) => &args.store,
            Self::Show(args) | Self::Enable(args) | Self::Disable(args) => &args.store,
            Self::Remove(args) => &args.store,
            Self::Grants(GrantsArgs { command }) => match command {
                GrantsCommand::List(store) => store,
                GrantsCommand::Show(args) => &args.store,
                GrantsCommand::Set(args) => &args.store,
            },
            Self::Keys(_) => return None,
        })
    }
}

fn parameter(text: &str) -> Result<(String, DeviceName), String> {
    let (name, value) = text.split_once('=').ok_or("a parameter is `NAME=VALUE`")?;
    let value = DeviceName::try_from(value).map_err(|error| error.0.to_string())?;
    Ok((name.to_owned(), value))
}

fn topic(text: &str) -> Result<TopicTemplate, TemplateError> {
    text.to_owned().try_into()
}

fn device_name(text: &str) -> Result<DeviceName, DeviceNameError> {
    text.try_into()
}

fn key_id(text: &str) -> Result<KeyId, KeyIdError> {
    text.try_into()
}

fn client_id_rule(text: &str) -> Result<ClientIdRule, ClientIdRuleError> {
    text.to_owned().try_into()
}

/// Why a text is not a function's memory.
#[derive(Debug, thiserror::Error)]
enum MemoryError {
    #[error(transparent)]
    Number(#[from] ParseIntError),
    #[error(transparent)]
    Memory(#[from] FunctionMemoryError),
}

fn memory(text: &str) -> Result<FunctionMemory, MemoryError> {
    Ok(FunctionMemory::try_from(text.parse::<u32>()?)?)
}

/// Accepts the name of one of these values.
fn one_of<T: Copy + Send + Sync + 'static>(
    values: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(values.iter().map(|value| name(*value))).try_map(move |text| {
        let value = values.iter().copied().find(|value| name(*value) == text);
        value.ok_or("not one of the names")
    })
}
