//! The operator's commands on a file of records.

mod add;
mod added;
mod import;
mod list;
mod reseal;
mod rotate;

use std::path::Path;

use cli::{console::Console, output::escaped};
use device_auth::{device_name::DeviceName, location::StoreLocation};
use serde_json::json;

use crate::{
    args::{KeysArgs, KeysCommand, RecordsCommand},
    keyring_file,
    sealing::keyring_path,
    store_file::StoreFile,
    store_option::ConfiguredStore,
};

/// Runs one command on a file of records. It reads a chosen password or a vendor's secret from the console's input, and
/// prints its result to the console's output.
///
/// # Errors
///
/// What went wrong and what to do about it. The file is then unchanged.
pub fn run(command: RecordsCommand, store: &Path, console: &mut Console<'_>) -> anyhow::Result<()> {
    match command {
        RecordsCommand::Add(args) => add::run(store, args, console),
        RecordsCommand::Import(args) => import::run(store, &args, console),
        RecordsCommand::Rotate(args) => rotate::run(store, args, console),
        RecordsCommand::Reseal(args) => reseal::run(store, &args, console),
        RecordsCommand::List => list::run(&StoreFile::read(store)?, console),
        RecordsCommand::Enable(args) => set_enabled(store, &args.name, true, console),
        RecordsCommand::Disable(args) => set_enabled(store, &args.name, false, console),
        RecordsCommand::Remove(args) => {
            let mut file = StoreFile::open_existing(store)?;
            file.remove(&args.name)?;
            file.save()?;
            done(&args.name, "removed", console)
        }
        RecordsCommand::Keys(args) => keys(args, console),
    }
}

#[cfg(feature = "aws")]
pub(crate) use self::import::run_in_aws as import_to_aws;

impl RecordsCommand {
    /// Whether it is an import to a table or a secret. Every other command is on a file.
    pub(crate) fn is_import_to_aws(&self, store: Option<&ConfiguredStore>) -> bool {
        let is_in_aws = store.is_some_and(|store| !matches!(store.location, StoreLocation::File(_)));
        matches!(self, Self::Import(_)) && is_in_aws
    }
}

fn set_enabled(
    store: &Path,
    name: &DeviceName,
    enabled: bool,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    let mut file = StoreFile::open_existing(store)?;
    file.record_mut(name)?.enabled = enabled;
    file.save()?;
    done(name, if enabled { "enabled" } else { "disabled" }, console)
}

fn done(name: &DeviceName, what: &str, console: &mut Console<'_>) -> anyhow::Result<()> {
    Ok(console.print(&json!({"device": name, "done": what}), format_args!("{name} {what}\n"))?)
}

/// Runs a command on the keys that vendors' secrets are sealed under, and prints the ids of the keys: never a key.
fn keys(args: KeysArgs, console: &mut Console<'_>) -> anyhow::Result<()> {
    let KeysArgs { command, keyring } = args;
    let path = keyring_path(&keyring)?;
    let keyring = match command {
        KeysCommand::New(args) => keyring_file::make(&path, args.id)?,
        KeysCommand::Rotate(args) => keyring_file::rotate(&path, args.id)?,
        KeysCommand::Show => keyring_file::read(&path)?,
    };
    let json =
        json!({"keyring": path, "current": keyring.current(), "keys": keyring.ids().collect::<Vec<_>>()});
    let keys = keyring.ids().map(|id| {
        let current = if keyring.current() == Some(id) { "  (seals new secrets)" } else { "" };
        format!("key      {id}{current}\n")
    });
    let keys = keys.collect::<String>();
    Ok(console.print(&json, format_args!("keyring  {}\n{keys}", escaped(path.display().to_string())))?)
}

#[cfg(test)]
mod tests;
