//! The commands that change nothing, and how they read records.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use cli::console::{Console, status};
use device_auth::{
    client_id::ClientId,
    device_name::DeviceName,
    record::{ClientIdRule, FunctionSettings, Record, Unsealing},
    seal::Keyring,
    store::{Lookup, snapshot::Snapshot, text::StoreText},
    time::{TimerSeconds, Timers},
    verifier::budget::FunctionMemory,
};

use crate::{
    args::{InspectCommand, KeyringArgs, PolicyCommand},
    explain, keyring_file, kit, lint, policy_test,
    record_store::{RecordStore, no_such_device},
    sealing::keyring_path,
    store_file::any_function,
    store_option::{ConfiguredStore, Target},
};

/// Runs a command. Its exit code is 0 if the answer is good, and 1 if not: a denial, or a finding.
///
/// # Errors
///
/// When there is no answer. The message says what to do.
pub(crate) async fn run(
    command: InspectCommand,
    store: Option<ConfiguredStore>,
    console: &mut Console<'_>,
) -> anyhow::Result<ExitCode> {
    let Some(store_args) = command.store() else {
        let InspectCommand::Policy(args) = command else { bail!("the command has no store") };
        return policy(args.command, console);
    };
    let target = Target::find(store, &store_args)?;
    status(&target.description());
    let store = RecordStore::open(&target.location, &target.access).await?;
    match command {
        InspectCommand::Explain(args) => {
            let records = store.text(args.device.as_ref()).await?;
            explain::run(&args, snapshot(records.text, &args.keyring)?, console).await.map(exit_code)
        }
        InspectCommand::Kit(args) => {
            let records = store.text(Some(&args.name)).await?.text.records(any_function()?)?;
            kit::run(&args, &Snapshot::new(records), console).map(exit_code)
        }
        InspectCommand::Policy(args) => policy(args.command, console),
        InspectCommand::Lint(args) => {
            lint::run(&args, store.text(None).await?, &target.location, console).map(exit_code)
        }
    }
}

/// Runs a command on policy documents, which needs no store.
pub(crate) fn policy(command: PolicyCommand, console: &mut Console<'_>) -> anyhow::Result<ExitCode> {
    let PolicyCommand::Test(args) = command;
    policy_test::run(&args, console).map(exit_code)
}

fn exit_code(is_good: bool) -> ExitCode {
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The record of a device.
///
/// # Errors
///
/// When the device has none, or has one that can't be used.
pub(crate) fn record(records: &Snapshot, name: &DeviceName) -> anyhow::Result<Arc<Record>> {
    match records.look_up(name, None) {
        Lookup::Found(record) => Ok(record),
        Lookup::Unusable { error, .. } => Err(anyhow::Error::msg(error))
            .context("the authorizer refuses this device, because its record can't be used"),
        Lookup::UnusableGrant { .. } | Lookup::Unknown { .. } => Err(no_such_device(&"the store", name)),
    }
}

/// The client id of the command line, or the first one that the record allows.
///
/// # Errors
///
/// When the record allows many and the command line names none.
pub(crate) fn client_id(named: Option<&ClientId>, record: &Record) -> anyhow::Result<ClientId> {
    match (named, record.client_ids.first()) {
        (Some(id), _) | (None, Some(ClientIdRule::Exact(id))) => Ok(id.clone()),
        (None, _) => {
            anyhow::bail!("the record allows every client id with a prefix: name one with `--client-id`")
        }
    }
}

/// The records as the function holds them. Without a keyring, sealed secrets can't be opened, and their records can't be
/// used; one in plain text is read, because nothing is decided here.
fn snapshot(text: StoreText, keyring: &KeyringArgs) -> anyhow::Result<Snapshot> {
    let path = keyring_path(keyring)?;
    let keyring = if path.exists() { keyring_file::read(&path)? } else { Keyring::empty() };
    let unsealing = Unsealing::With(Arc::new(keyring.allow_plain()));
    let records = text.records(FunctionSettings { unsealing, timers: timers()?, ..any_function()? });
    Ok(Snapshot::new(records.context("the authorizer can't use these records")?))
}

/// The settings of a function with this memory, which opens no secrets.
pub(crate) fn settings(memory: FunctionMemory) -> anyhow::Result<FunctionSettings> {
    Ok(FunctionSettings { memory, ..any_function()? })
}

/// The function's timers for records without their own, as its default settings have them: docs/authorizer.md.
fn timers() -> anyhow::Result<Timers> {
    Ok(Timers {
        refresh_after: TimerSeconds::try_from(3_600)?,
        disconnect_after: TimerSeconds::try_from(86_400)?,
    })
}
