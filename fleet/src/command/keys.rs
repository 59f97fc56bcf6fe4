//! The keys that vendor secrets are sealed under.

use std::{io::Write, path::Path};

use device_auth::seal::Keyring;
use serde_json::json;

use crate::{
    args::{KeysArgs, KeysCommand},
    keyring_file,
    sealing::keyring_path,
};

/// Runs one command and prints the keys' ids: never a key.
pub(super) fn run(args: KeysArgs, json: bool, output: &mut impl Write) -> anyhow::Result<()> {
    let KeysArgs { command, keyring } = args;
    let path = keyring_path(&keyring)?;
    let keyring = match command {
        KeysCommand::New(args) => keyring_file::make(&path, args.id)?,
        KeysCommand::Rotate(args) => keyring_file::rotate(&path, args.id)?,
        KeysCommand::Show => keyring_file::read(&path)?,
    };
    if json { print_json(&path, &keyring, output) } else { print(&path, &keyring, output) }
}

fn print_json(path: &Path, keyring: &Keyring, output: &mut impl Write) -> anyhow::Result<()> {
    let ids = keyring.ids().collect::<Vec<_>>();
    let line = json!({"keyring": path, "current": keyring.current(), "keys": ids});
    Ok(writeln!(output, "{line}")?)
}

fn print(path: &Path, keyring: &Keyring, output: &mut impl Write) -> anyhow::Result<()> {
    writeln!(output, "keyring  {}", path.display())?;
    for id in keyring.ids() {
        let current = if keyring.current() == Some(id) { "  (seals new secrets)" } else { "" };
        writeln!(output, "key      {id}{current}")?;
    }
    Ok(())
}
