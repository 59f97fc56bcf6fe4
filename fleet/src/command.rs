//! The operator's commands on records, wherever they are.

mod add;
mod added;
mod build;
pub mod check;
mod grants;
mod import;
mod list;
mod reseal;
mod rotate;
mod show;

use cli::{
    console::{Console, wrapped},
    output::escaped,
};
use device_auth::device_name::DeviceName;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    args::{KeysArgs, KeysCommand, NameArgs, RecordsCommand, RemoveArgs, SetArgs},
    keyring_file,
    record_store::RecordStore,
    sealing::keyring_path,
    store_option::Target,
};

/// Runs one command on the records of a store. It reads a chosen password or a vendor's secret from the console's input,
/// and prints its result to the console's output. `import` and `reseal` end early when `stop` is cancelled. Returns whether
/// everything was done that was asked for.
///
/// # Errors
///
/// What went wrong and what to do about it. The records are then unchanged, but those that `reseal` reports.
pub async fn run(
    command: RecordsCommand,
    target: &Target,
    console: &mut Console<'_>,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    // It reads the file of a table's grants and no record.
    if let RecordsCommand::Grants(args) = command {
        return grants::run(args.command, target, console).await.map(|()| true);
    }
    let mut access = target.access.clone();
    if let RecordsCommand::Import(args) = &command
        && args.source.acl.is_some()
    {
        // The import makes the file of a table's grants, if there is none.
        access.grants = access.grants.filter(|path| path.exists());
    }
    let store = RecordStore::open(&target.location, &access).await?;
    match command {
        RecordsCommand::Import(args) => return import::run(&store, target, &args, console, stop).await,
        RecordsCommand::Check(args) => return check::run(&store, args.repair, console).await,
        RecordsCommand::Build(args) => build::run(&store, &args, console).await?,
        RecordsCommand::Add(args) => add::run(&store, target, args, console).await?,
        RecordsCommand::Rotate(args) => rotate::run(&store, args, console).await?,
        RecordsCommand::Reseal(args) => return reseal::run(&store, &args, console, stop).await,
        RecordsCommand::List(args) => list::run(&store.contents().await?, &args, console)?,
        RecordsCommand::Show(args) => show::run(&args.name, &store.get(&args.name).await?, console)?,
        RecordsCommand::Set(args) => set(&store, args, console).await?,
        RecordsCommand::Enable(NameArgs { name, .. }) => {
            set_enabled(&store, &name, true).await?;
            done(&name, "enabled", None, console)?;
        }
        RecordsCommand::Disable(NameArgs { name, .. }) => {
            set_enabled(&store, &name, false).await?;
            let note = format!(
                "If it is connected, it stays until AWS IoT asks the function again, at the latest after the record's \
                 `refresh_after_seconds`. To end its connection now: latchkey fleet revoke '{name}'"
            );
            done(&name, "disabled", Some(&note), console)?;
        }
        RecordsCommand::Remove(RemoveArgs { name, yes, .. }) => {
            console.confirm(yes, &format!("the record of `{name}` with its credentials will be removed"))?;
            store.remove(&name).await?;
            done(&name, "removed", Some(STAYS), console)?;
        }
        RecordsCommand::Grants(_) | RecordsCommand::Keys(_) => {}
    }
    Ok(true)
}

/// What to know after a device's record was removed.
const STAYS: &str = "If it is connected, it stays until AWS IoT asks the function again, at the latest after the record's \
                     `refresh_after_seconds`. `latchkey fleet revoke` ends connections, and needs the record: use it before \
                     `remove`.";

async fn set_enabled(store: &RecordStore, name: &DeviceName, enabled: bool) -> anyhow::Result<()> {
    store
        .change(name, |record| {
            record.enabled = enabled;
            Ok(())
        })
        .await
}

/// Changes what a device may do.
async fn set(store: &RecordStore, args: SetArgs, console: &mut Console<'_>) -> anyhow::Result<()> {
    let SetArgs { name, grant, client_ids, parameters, .. } = args;
    store
        .change(&name, |record| {
            if let Some(grant) = &grant {
                record.grant.clone_from(grant);
            }
            if !client_ids.is_empty() {
                record.client_ids = Some(client_ids.clone());
            }
            record.parameters.extend(parameters.iter().cloned());
            Ok(())
        })
        .await?;
    let note = "A connected device keeps its present rights until AWS IoT asks the function again.";
    done(&name, "changed", Some(note), console)
}

fn done(name: &DeviceName, what: &str, note: Option<&str>, console: &mut Console<'_>) -> anyhow::Result<()> {
    let note = note.map(|note| wrapped(0, note) + "\n").unwrap_or_default();
    Ok(console.print(&json!({"device": name, "done": what}), format_args!("{name} {what}\n{note}"))?)
}

/// Runs a command on the keys that vendors' secrets are sealed under, and prints the ids of the keys: never a key.
///
/// # Errors
///
/// When the keyring can't be read or written.
pub fn keys(args: KeysArgs, console: &mut Console<'_>) -> anyhow::Result<()> {
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
    let rows = keyring.ids().map(|id| json!({"key": id, "seals": keyring.current() == Some(id)}));
    let text = format_args!("keyring  {}\n{keys}", escaped(path.display().to_string()));
    Ok(console.print_rows(&["key", "seals"], rows, &json, text)?)
}

#[cfg(test)]
mod tests;
