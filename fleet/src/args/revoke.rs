//! The options of `revoke`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use device_auth::{client_id::ClientId, device_name::DeviceName};

use super::{DEVICES, OUTPUT, StoreArgs, device_name, examples};

const CONNECTIONS: &str = "Connections";
const FUNCTION: &str = "Function";

/// Refuse devices and end their connections
///
/// Disable the records of devices, end the connections that they have, and watch until they are out. Records that are
/// disabled already stay so; their connections are ended too. So the same command goes on after it was stopped.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = examples::REVOKE,
    after_long_help = examples::REVOKE_LONG
)]
pub struct RevokeArgs {
    /// The command.
    #[command(subcommand)]
    pub command: Option<RevokeCommand>,

    /// The devices
    #[arg(
        value_name = "DEVICE", value_parser = device_name,
        required_unless_present_any = ["from_file", "all_of_grant"]
    )]
    pub names: Vec<DeviceName>,

    /// A file with the devices' names, one a line; `-` is standard input
    #[arg(long, value_name = "FILE", help_heading = DEVICES)]
    pub from_file: Option<PathBuf>,

    /// Every device with this grant
    #[arg(long, value_name = "GRANT", help_heading = DEVICES)]
    pub all_of_grant: Option<String>,

    /// Go on without names that have no record
    #[arg(long, help_heading = DEVICES)]
    pub keep_going: bool,

    /// What is done with connections.
    #[command(flatten)]
    pub connections: ConnectionsArgs,

    /// The function's `LATCHKEY_CACHE_SECONDS` [default: 60s; 5m for a secret]
    ///
    /// How long the function uses a record that it has read, as `LATCHKEY_CACHE_SECONDS` sets it. The default is the
    /// function's own: 60s for a table, 5m for a secret, and 0s for a file, which the function reads again when it changes.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, help_heading = FUNCTION)]
    pub cache: Option<Duration>,

    /// The function's `LATCHKEY_REFRESH_AFTER_SECONDS`
    #[arg(
        long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration,
        help_heading = FUNCTION
    )]
    pub refresh: Duration,

    /// The file that `revoke undo` reads [default: .latchkey/revoked-TIME.jsonl]
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub undo_file: Option<PathBuf>,

    /// Show what would be done, and change nothing
    #[arg(long, help_heading = OUTPUT)]
    pub dry_run: bool,

    /// Don't ask before several devices are revoked
    #[arg(long, help_heading = OUTPUT)]
    pub yes: bool,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// What is done with the connections of a revoked device.
#[derive(Args, Clone, Debug)]
pub struct ConnectionsArgs {
    /// A client id that the record does not name in full
    ///
    /// A client id that one DEVICE may be connected with and that its record does not name in full: below `prefix*`, or with
    /// the parameters that an Alibaba device appends.
    #[arg(long = "client-id", value_name = "ID", value_parser = client_id, help_heading = CONNECTIONS)]
    pub client_ids: Vec<ClientId>,

    /// End the devices' sessions too: subscriptions and waiting messages
    #[arg(long, help_heading = CONNECTIONS)]
    pub clean_session: bool,

    /// Publish no last will of theirs
    #[arg(long, help_heading = CONNECTIONS)]
    pub prevent_will: bool,

    /// How long to watch; `0s`: end connections once [default: the cache's time and 30s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, help_heading = CONNECTIONS)]
    pub wait: Option<Duration>,
}

/// A command on earlier revocations.
#[derive(Subcommand, Debug)]
pub enum RevokeCommand {
    /// Accept the devices again that a revocation disabled
    Undo(UndoArgs),
}

/// Accept the devices again that a revocation disabled
///
/// Enable the records that a revocation disabled, as its file says, and no others. Connections that were ended are not
/// restored: the devices connect again by themselves.
#[derive(Args, Debug)]
#[command(after_help = examples::UNDO)]
pub struct UndoArgs {
    /// The files that revocations wrote
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Show what would be done, and change nothing
    #[arg(long, help_heading = OUTPUT)]
    pub dry_run: bool,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

impl RevokeArgs {
    /// How the command finds its store.
    #[must_use]
    pub fn store(&self) -> &StoreArgs {
        match &self.command {
            Some(RevokeCommand::Undo(args)) => &args.store,
            None => &self.store,
        }
    }
}

fn client_id(text: &str) -> Result<ClientId, device_auth::client_id::ClientIdError> {
    ClientId::try_from(text)
}
