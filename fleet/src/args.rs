//! What a person types.

use std::{path::PathBuf, time::Duration};

use authorizer::{device_name::DeviceName, record::ClientIdRule, seal::KeyId};
use clap::{Args, Subcommand};
use device_sim::Address;

/// Gives devices their credentials and keeps their records.
#[derive(Args, Debug)]
pub struct FleetArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: FleetCommand,

    /// The JSON file of device records that the authorizer reads
    #[arg(
        long,
        global = true,
        env = "LATCHKEY_DEVICES",
        default_value = ".latchkey/devices.json",
        value_name = "FILE"
    )]
    pub store: PathBuf,

    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub json: bool,
}

/// What can be done.
#[derive(Subcommand, Debug)]
pub enum FleetCommand {
    /// Add a device and show its new password, once
    Add(AddArgs),
    /// Give a device a new password; the old one goes on for a while, so that nothing stands still
    Rotate(RotateArgs),
    /// List the devices
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

    /// The file of keys; only its owner can read it, and without it no sealed secret can be opened again
    #[arg(long, global = true, default_value = ".latchkey/keyring.json", value_name = "FILE")]
    pub keyring: PathBuf,
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
pub struct AddArgs {
    /// The device's name: its MQTT user name and, unless --client-id says otherwise, its client id
    #[arg(value_parser = device_name)]
    pub name: DeviceName,

    /// What the device may do: `own-topics` (all under its client id), `sht20`, or a grant of the store
    #[arg(long, default_value = "own-topics")]
    pub grant: String,

    /// A client id that the device may use, or `prefix*`; may be given more than once
    #[arg(long = "client-id", value_parser = client_id_rule, value_name = "ID")]
    pub client_ids: Vec<ClientIdRule>,

    /// Take a chosen password, piped in as one line, instead of making one; it is kept as argon2id
    #[arg(long)]
    pub password_stdin: bool,

    /// Put the new credentials into a CSV file, as `latchkey sim` reads it; it holds the password in clear
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,

    /// Where the device is told to connect, in the lines that are printed for trying it out
    #[arg(long, default_value = "localhost:10443", value_name = "HOST:PORT")]
    pub endpoint: Address,
}

/// A device that gets a new password.
#[derive(Args, Debug)]
pub struct RotateArgs {
    /// The device's name
    #[arg(value_parser = device_name)]
    pub name: DeviceName,

    /// How long the old password still lets the device in, like `12h` or `7d`; `0s` ends it now
    #[arg(long, default_value = "7d", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub old_for: Duration,
}

/// A device's name.
#[derive(Args, Debug)]
pub struct NameArgs {
    /// The device's name
    #[arg(value_parser = device_name)]
    pub name: DeviceName,
}

fn device_name(text: &str) -> Result<DeviceName, String> {
    DeviceName::try_from(text).map_err(|error| error.to_string())
}

fn key_id(text: &str) -> Result<KeyId, String> {
    KeyId::try_from(text).map_err(|error| error.to_string())
}

fn client_id_rule(text: &str) -> Result<ClientIdRule, String> {
    ClientIdRule::try_from(text.to_owned())
}
