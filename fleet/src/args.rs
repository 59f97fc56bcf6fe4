//! What a person types.

mod examples;
mod provision;
mod smoke;
mod values;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use device_auth::{device_name::DeviceName, record::ClientIdRule, scheme::Scheme, seal::KeyId};
use device_sim::Address;

use crate::store_place::StorePlace;

use self::values::{client_id_rule, device_name, key_id, movable, scheme};
pub use self::{provision::ProvisionArgs, smoke::SmokeArgs};

/// Gives devices their credentials and keeps their records.
#[derive(Args, Debug)]
pub struct FleetArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: FleetCommand,

    /// The JSON file of device records that the authorizer reads; for `provision` also `dynamodb:TABLE` or
    /// `secretsmanager:NAME` [default: the variable `LATCHKEY_DEVICES`, or .latchkey/devices.json; for `provision` the
    /// deployment's]
    #[arg(long, global = true, value_name = "FILE")]
    pub store: Option<StorePlace>,

    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub json: bool,
}

/// What can be done.
#[derive(Subcommand, Debug)]
pub enum FleetCommand {
    /// With a file of records.
    #[command(flatten)]
    Records(Box<RecordsCommand>),
    /// Make devices in AWS: a Thing, a password and a record for each; run it again and it goes on
    Provision(Box<ProvisionArgs>),
    /// Try a deployment out: password, connection, a reading, and the decision in the log
    Smoke(Box<SmokeArgs>),
}

/// What can be done with a file of records.
#[derive(Subcommand, Debug)]
pub enum RecordsCommand {
    /// Add a device: with a new password that is shown once, or with the secret that it has from another cloud
    Add(AddArgs),
    /// Add the devices of a file: another cloud's export, a table of passwords, or mosquitto's password file
    Import(ImportArgs),
    /// Give a device a new password or secret; the old one goes on for a while, so that nothing stands still
    Rotate(RotateArgs),
    /// Seal every vendor secret under the keyring's current key
    Reseal(ResealArgs),
    /// List the devices: how they prove themselves, what they may do, and which keys their secrets need
    List,
    /// Let a disabled device in again
    Enable(NameArgs),
    /// Refuse a device: at its next connect, and a connected one at its next refresh
    Disable(NameArgs),
    /// Take a device's record out
    Remove(NameArgs),
    /// Make and renew the keys that vendor secrets are sealed under
    Keys(KeysArgs),
}

/// The keys that vendor secrets (Alibaba's and Tencent's HMAC keys) are sealed under.
///
/// The authorizer reads the file if `LATCHKEY_DATA_KEYS=file:FILE`, which is for development. For AWS, have KMS
/// encrypt the whole file (`aws kms encrypt --encryption-context latchkey=keyring`), put the `CiphertextBlob` of
/// its answer into `{"version":1,"kms_ciphertext":"..."}` and set `LATCHKEY_DATA_KEYS=kms:FILE`.
#[derive(Args, Debug)]
pub struct KeysArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KeysCommand,

    /// Where the keys are.
    #[command(flatten)]
    pub keyring: KeyringArgs,
}

/// Where the keys are that vendor secrets are sealed under.
#[derive(Args, Debug)]
pub struct KeyringArgs {
    /// The file of keys, or `file:` and its path as the authorizer reads that variable; only its owner can read
    /// it, and without it no sealed secret can be opened again
    #[arg(
        long,
        global = true,
        env = "LATCHKEY_DATA_KEYS",
        default_value = ".latchkey/keyring.json",
        value_name = "FILE"
    )]
    pub keyring: String,
}

/// How a vendor's secret is kept.
#[derive(Args, Debug)]
pub struct SealingArgs {
    /// Where the keys are.
    #[command(flatten)]
    pub keyring: KeyringArgs,

    /// Keep the secret as it is, for whoever reads the records; the function then needs
    /// `LATCHKEY_ALLOW_PLAIN_SECRETS=true`. For tests, with secrets that no real device has
    #[arg(long)]
    pub plain: bool,
}

/// What can be done with the keys.
#[derive(Subcommand, Debug)]
pub enum KeysCommand {
    /// Make the file, with one key; an existing file is never overwritten
    New(KeyArgs),
    /// Add a key that seals from now on; the others still open what they sealed
    Rotate(KeyArgs),
    /// Show the keys' ids, and which one seals
    Show,
}

/// A new key.
#[derive(Args, Debug)]
pub struct KeyArgs {
    /// What the key is to be called, `2026-11` for example: 1 to 64 characters out of `A-Z a-z 0-9 . _ -`
    #[arg(value_parser = key_id)]
    pub id: KeyId,
}

/// A device to be added.
#[derive(Args, Debug)]
#[command(after_help = examples::ADD)]
pub struct AddArgs {
    /// The device's name as it stands in its MQTT user name: for alibaba `deviceName&productKey` in quotes,
    /// because the shell takes `&` for itself, for tencent the product id and the device name in one word
    #[arg(value_parser = device_name)]
    pub name: DeviceName,

    /// How the device proves itself
    #[arg(long, default_value = Scheme::Password.as_str(), value_parser = scheme())]
    pub scheme: Scheme,

    /// The vendor's product key or product id; NAME is then the device name alone
    #[arg(long, value_name = "KEY")]
    pub product: Option<String>,

    /// What the device may do: `own-topics` (all under its client id), `sht20`, `alibaba`, `tencent`, or a grant
    /// of the store [default: the vendor's, otherwise own-topics]
    #[arg(long)]
    pub grant: Option<String>,

    /// A client id that the device may use, or `prefix*`; may be given more than once
    #[arg(long = "client-id", value_parser = client_id_rule, value_name = "ID")]
    pub client_ids: Vec<ClientIdRule>,

    /// Take a chosen password, piped in as one line, instead of making one; it is kept as argon2id
    #[arg(long)]
    pub password_stdin: bool,

    /// Take the secret that the vendor gave, piped in as one line: Alibaba's `DeviceSecret`, Tencent's `psk`
    #[arg(long, conflicts_with = "password_stdin")]
    pub secret_stdin: bool,

    /// The secret is an Alibaba `DeviceToken`, and this the `ClientID` that came with it
    #[arg(long, requires = "secret_stdin", value_parser = device_name, value_name = "ID")]
    pub device_token_id: Option<DeviceName>,

    /// How the vendor's secret is kept.
    #[command(flatten)]
    pub sealing: SealingArgs,

    /// Put the new credentials into a CSV file, as `latchkey sim` reads it; it holds the password in clear
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,

    /// Where the device is told to connect, in the lines that are printed for trying it out
    #[arg(long, default_value = "localhost:10443", value_name = "HOST:PORT")]
    pub endpoint: Address,
}

/// A file of devices to be added.
#[derive(Args, Debug)]
#[command(after_help = examples::IMPORT)]
pub struct ImportArgs {
    /// The file: CSV with a header, or with --mosquitto lines of `name:hash`
    pub file: PathBuf,

    /// How its devices prove themselves
    #[arg(long, value_parser = movable(), required_unless_present = "mosquitto")]
    pub scheme: Option<Scheme>,

    /// FILE is a password file as `mosquitto_passwd` and `htpasswd -B` write it: the hashes move in as they are
    #[arg(long, conflicts_with_all = ["scheme", "product", "plain"])]
    pub mosquitto: bool,

    /// The product of all devices, where the file has no column for it
    #[arg(long, value_name = "KEY")]
    pub product: Option<String>,

    /// What the devices may do, as with `latchkey fleet add` [default: the vendor's, otherwise own-topics]
    #[arg(long)]
    pub grant: Option<String>,

    /// Leave devices alone that have a record already, and take the first of two rows for one device; otherwise
    /// both are errors
    #[arg(long)]
    pub skip_existing: bool,

    /// How vendors' secrets are kept.
    #[command(flatten)]
    pub sealing: SealingArgs,
}

/// A device that gets a new password or secret.
#[derive(Args, Debug)]
#[command(after_help = examples::ROTATE)]
pub struct RotateArgs {
    /// The device's name, as `latchkey fleet list` shows it
    #[arg(value_parser = device_name)]
    pub name: DeviceName,

    /// How long the old one still lets the device in, like `12h` or `7d`; `0s` ends it now
    #[arg(long, default_value = "7d", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub old_for: Duration,

    /// Take the new secret of an alibaba or tencent device, piped in as one line
    #[arg(long)]
    pub secret_stdin: bool,

    /// The secret is an Alibaba `DeviceToken`, and this the `ClientID` that came with it
    #[arg(long, requires = "secret_stdin", value_parser = device_name, value_name = "ID")]
    pub device_token_id: Option<DeviceName>,

    /// How the vendor's secret is kept.
    #[command(flatten)]
    pub sealing: SealingArgs,
}

/// Every vendor secret, sealed anew.
#[derive(Args, Debug)]
#[command(after_help = examples::RESEAL)]
pub struct ResealArgs {
    /// Where the keys are.
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
