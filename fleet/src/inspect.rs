//! The commands that change nothing, and how they read records.

use std::{fs, io::ErrorKind, path::Path, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use cli::console::{self, Console, Input};
use device_auth::{
    record::{FunctionSettings, Unsealing},
    seal::Keyring,
    store::{document::StoreDocument, snapshot::Snapshot},
};

use crate::{
    args::{InspectCommand, KeyringArgs, PolicyCommand, PolicyCommandLine},
    explain, keyring_file, policy_test,
    sealing::keyring_path,
    store_file::any_function,
    store_option::{self, ConfiguredStore},
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
    let store = store.map(|store| store.location);
    let is_good = match command {
        InspectCommand::Explain(args) => {
            let document = read(&store_option::file(store)?)?;
            explain::run(&args, snapshot(document, &args.keyring)?, console).await?
        }
        InspectCommand::Policy(args) => policy(args.command, console)?,
    };
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs `latchkey policy` on this process's standard streams.
#[must_use]
pub fn run_policy(args: PolicyCommandLine) -> ExitCode {
    let PolicyCommandLine { command, json } = args;
    let input = Input { terminal: false, reader: &mut std::io::empty() };
    let mut output = std::io::stdout();
    let mut console = Console { json, input, output: &mut output };
    match policy(command, &mut console) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => console::usage_error("latchkey policy", &error),
    }
}

fn policy(command: PolicyCommand, console: &mut Console<'_>) -> anyhow::Result<bool> {
    match command {
        PolicyCommand::Test(args) => policy_test::run(&args, console),
    }
}

/// Reads a file of records, whatever is wrong with single ones.
pub(crate) fn read(path: &Path) -> anyhow::Result<StoreDocument> {
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!(
            "there is no file of device records `{}`; `latchkey fleet add NAME` makes it, or name another file with \
             `--store`",
            path.display()
        ),
        _ => anyhow::Error::new(error).context(format!("can't read `{}`", path.display())),
    })?;
    StoreDocument::parse(&text)
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("`{}` is not a store", path.display()))
}

/// The records as the function holds them. Without a keyring, sealed secrets can't be opened, and their records can't be
/// used; one in plain text is read, because nothing is decided here.
fn snapshot(document: StoreDocument, keyring: &KeyringArgs) -> anyhow::Result<Snapshot> {
    let path = keyring_path(keyring)?;
    let keyring = if path.exists() { keyring_file::read(&path)? } else { Keyring::empty() };
    let unsealing = Unsealing::With(Arc::new(keyring.allow_plain()));
    let records = document.usable_records(FunctionSettings { unsealing, ..any_function()? });
    Ok(Snapshot::new(records.context("the authorizer can't use these records")?))
}
