//! The command line.

mod aws;
mod examples;
mod inspect;
mod kit;
mod lint;
mod migration;
mod source;

use std::{path::PathBuf, time::Duration};

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use device_auth::{
    device_name::{DeviceName, DeviceNameError},
    location::StoreLocation,
    record::{ClientIdRule, ClientIdRuleError},
    scheme::Scheme,
    seal::{KeyId, KeyIdError},
};
use device_sim::Address;

pub use self::{
    aws::{ProvisionArgs, PushArgs, SmokeArgs},
    inspect::{
        AccountArgs, ExplainArgs, InspectCommand, JwtArgs, PolicyArgs, PolicyCommand, PolicyCommandLine,
        PolicyTestArgs, RequestArgs, RequestedAction,
    },
    kit::KitArgs,
    lint::{Format, LintArgs},
    migration::CheckMigrationArgs,
    source::SourceArgs,
};
use crate::store_option;

const VENDORS_AND_PASSWORD: [Scheme; 3] = [Scheme::Alibaba, Scheme::Tencent, Scheme::Password];
const SCHEMES: [Scheme; 5] = [Scheme::Password, Scheme::Alibaba, Scheme::Tencent, Scheme::Jwt, Scheme::Token];

const RECORD: &str = "Record";
const STORE: &str = "Store";
const CREDENTIAL: &str = "Credential";
const OUTPUT: &str = "Output";

/// Give devices their credentials and keep their records
#[derive(Args, Debug)]
#[command(subcommand_help_heading = "Commands", after_help = examples::FLEET)]
pub struct FleetArgs {
    /// The command.
    #[command(subcommand)]
    pub command: FleetCommand,

    /// Where the records are [default: `LATCHKEY_STORE`, or else .latchkey/devices.json]
    ///
    /// Where the records are: a JSON file by its path or as `file:PATH`. `provision`, `push` and `import` also accept
    /// `dynamodb:TABLE` and `secretsmanager:NAME`. The variable `LATCHKEY_STORE` names the store as it does for the function. Without both,
    /// `provision` uses the deployment's store, and every other command uses .latchkey/devices.json.
    #[arg(
        long, global = true, value_name = "STORE", value_parser = store_option::parse, help_heading = OUTPUT,
        verbatim_doc_comment
    )]
    pub store: Option<StoreLocation>,

    /// Print JSON, for scripts
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub json: bool,
}

/// A command.
#[derive(Subcommand, Debug)]
pub enum FleetCommand {
    /// A command on a file of records.
    #[command(flatten)]
    Records(Box<RecordsCommand>),
    /// Make devices in AWS: a Thing, a password and a record each
    ///
    /// Make devices in AWS: a Thing, a password and a record each. Run the same command again to go on after it was
    /// stopped.
    Provision(Box<ProvisionArgs>),
    /// Check a deployment: password, connection, a reading, and the decisions in the log
    Smoke(Box<SmokeArgs>),
    /// Write the records of a file to a table or a secret in AWS
    Push(Box<PushArgs>),
    /// Say what of a fleet will not work on AWS, and how each device can move
    CheckMigration(Box<CheckMigrationArgs>),
    /// A command that changes nothing.
    #[command(flatten)]
    Inspect(Box<InspectCommand>),
}

/// A command on a file of records.
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
    List,
    /// Accept a disabled device again
    Enable(NameArgs),
    /// Refuse a device: when it connects, and at the next refresh of its connection
    Disable(NameArgs),
    /// Remove a device's record
    Remove(NameArgs),
    /// Make and rotate the keys that vendors' secrets are sealed under
    Keys(KeysArgs),
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
        long, default_value = Scheme::Password.as_str(), value_parser = one_of(&SCHEMES), help_heading = CREDENTIAL
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

    /// The server in the command that is printed for trying it
    #[arg(long, default_value = "localhost:10443", value_name = "HOST:PORT", help_heading = OUTPUT)]
    pub endpoint: Address,
}

/// Add the devices of a file: another cloud's export, or passwords
#[derive(Args, Debug)]
#[command(after_help = examples::IMPORT, after_long_help = examples::IMPORT_LONG)]
pub struct ImportArgs {
    /// The file with the users or devices
    pub file: PathBuf,

    /// What the rows, rules and hashes of the file are.
    #[command(flatten)]
    pub source: SourceArgs,

    /// How the devices prove themselves
    #[arg(
        long, value_parser = one_of(&VENDORS_AND_PASSWORD), conflicts_with = "from", help_heading = CREDENTIAL
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

    /// A records file with the function's own grants, for a table
    ///
    /// A records file with the function's grants besides the built-in ones. It is needed for `--grant` with one of them
    /// if the records go to a table, which has no grants.
    #[arg(long, value_name = "FILE", help_heading = STORE)]
    pub grants: Option<PathBuf>,

    /// AWS's region [default: `AWS_REGION`, or the profile's]
    ///
    /// AWS's region, for records in a table or a secret. The default is `AWS_REGION`, or else the profile's region.
    #[arg(long, value_name = "REGION", help_heading = STORE)]
    pub region: Option<String>,

    /// Skip devices that have a record, and duplicate rows
    ///
    /// Skip devices that have a record already, and use the first of several rows for one device. Otherwise both are
    /// errors.
    #[arg(long, help_heading = RECORD)]
    pub skip_existing: bool,

    /// How vendors' secrets are kept.
    #[command(flatten)]
    pub sealing: SealingArgs,
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

    /// Read the vendor's new secret from standard input
    ///
    /// Read the new secret of an Alibaba or Tencent device from standard input, as one line.
    #[arg(long, help_heading = CREDENTIAL)]
    pub secret_stdin: bool,

    /// The `ClientID` of an Alibaba `DeviceToken`, which is the secret
    #[arg(
        long, requires = "secret_stdin", value_parser = device_name, value_name = "ID", help_heading = CREDENTIAL
    )]
    pub device_token_id: Option<DeviceName>,

    /// How the vendor's secret is kept.
    #[command(flatten)]
    pub sealing: SealingArgs,
}

/// Seal every vendor's secret under the keyring's current key
#[derive(Args, Debug)]
#[command(after_help = examples::RESEAL)]
pub struct ResealArgs {
    /// The keyring.
    #[command(flatten)]
    pub keyring: KeyringArgs,
}

/// A device's name.
#[derive(Args, Debug)]
pub struct NameArgs {
    /// The device's name
    #[arg(value_parser = device_name)]
    pub name: DeviceName,
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

fn one_of(schemes: &'static [Scheme]) -> impl TypedValueParser<Value = Scheme> {
    PossibleValuesParser::new(schemes.iter().map(|scheme| scheme.as_str())).try_map(|name| {
        let scheme = schemes.iter().copied().find(|scheme| scheme.as_str() == name);
        scheme.ok_or("not a scheme")
    })
}
