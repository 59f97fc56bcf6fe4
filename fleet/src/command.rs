//! What the operator's commands do.

mod added;
mod keys;
mod list;

use std::{
    io::{BufRead, Write},
    path::Path,
    time::SystemTime,
};

use anyhow::Context as _;
use authorizer::{device_name::DeviceName, record::ClientIdRule, unix_time::UnixTime};
use device_sim::credentials_file::{Replacement, Row};
use serde_json::json;
use zeroize::Zeroizing;

use self::added::Added;
use crate::{
    args::{AddArgs, FleetArgs, FleetCommand, RotateArgs},
    secret::Secret,
    store_file::{NewDevice, StoreFile},
};

/// The longest password that MQTT can carry, a line end as Windows writes it, and no more.
const LONGEST_LINE: usize = 65_537;

/// Where a chosen password comes from.
pub struct Input<R> {
    /// Its first line is the password.
    pub reader: R,
    /// Whether a person is typing: then everybody could read along.
    pub terminal: bool,
}

/// Runs one command: reads a chosen password from `input`, writes what a person wants to know to `output`.
///
/// # Errors
///
/// What went wrong and what to do about it. The store is then unchanged.
pub fn run(args: FleetArgs, input: Input<impl BufRead>, output: &mut impl Write) -> anyhow::Result<()> {
    let FleetArgs { command, store, json } = args;
    match command {
        FleetCommand::Add(args) => add(&store, args, json, input, output),
        FleetCommand::Rotate(args) => rotate(&store, &args, json, output),
        FleetCommand::List => list::print(&StoreFile::read(&store)?, json, output),
        FleetCommand::Enable(args) => switch(&store, &args.name, true, json, output),
        FleetCommand::Disable(args) => switch(&store, &args.name, false, json, output),
        FleetCommand::Remove(args) => {
            let mut file = StoreFile::open_existing(&store)?;
            file.remove(&args.name)?;
            file.save()?;
            done(&args.name, "removed", json, output)
        }
        FleetCommand::Keys(args) => keys::run(args, json, output),
    }
}

fn add(
    store: &Path,
    args: AddArgs,
    json: bool,
    input: Input<impl BufRead>,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let AddArgs { name, grant, client_ids, password_stdin, credentials, endpoint } = args;
    let shown = if client_ids.is_empty() { vec![own_name(&name)?] } else { client_ids.clone() };
    let row_id = credentials.as_ref().map(|_| concrete(&shown)).transpose()?;
    let secret = if password_stdin { Secret::chosen(chosen(&name, input)?)? } else { Secret::generate()? };
    let mut file = StoreFile::open(store)?;
    file.add(NewDevice { name: name.clone(), client_ids, grant: grant.clone() }, &secret)?;
    // Written before the record is, and put in place after it, under the store's lock.
    let credentials = match credentials.zip(row_id) {
        Some((path, id)) => Some(Replacement::of(&path, &row(&name, id, &secret))?),
        None => None,
    };
    file.save()?;
    credentials.map(Replacement::commit).transpose().with_context(|| {
        format!("`{name}` was added, but not its password; take it out with `latchkey fleet remove {name}` and add it again")
    })?;
    let added =
        Added { name: &name, client_ids: &shown, grant: &grant, secret: &secret, store, endpoint: &endpoint };
    if json { added.json(output) } else { added.text(output) }
}

fn rotate(store: &Path, args: &RotateArgs, json: bool, output: &mut impl Write) -> anyhow::Result<()> {
    let RotateArgs { name, old_for } = args;
    let secret = Secret::generate()?;
    let until =
        SystemTime::now().checked_add(*old_for).context("`--old-for` is longer than time can be told")?;
    let until = UnixTime::from(until);
    let mut file = StoreFile::open_existing(store)?;
    file.rotate(name, &secret, until)?;
    file.save()?;
    if json {
        let line = json!({"device": name, "password": secret.text(), "old_password_expires_at": until});
        writeln!(output, "{line}")?;
    } else {
        let old_for = humantime::format_duration(*old_for);
        writeln!(
            output,
            "device     {name}\npassword   {}\n           shown this once: the record keeps only its hash\n\
             the old    password lets it in for another {old_for}",
            secret.text()
        )?;
    }
    Ok(())
}

/// The rule of a record that names none.
fn own_name(name: &DeviceName) -> anyhow::Result<ClientIdRule> {
    ClientIdRule::try_from(name.to_string()).map_err(anyhow::Error::msg)
}

/// The client id that a simulated device can connect with.
fn concrete(client_ids: &[ClientIdRule]) -> anyhow::Result<String> {
    match client_ids.first() {
        Some(ClientIdRule::Exact(id)) => Ok(id.to_string()),
        Some(ClientIdRule::Prefix(prefix)) => anyhow::bail!(
            "`latchkey sim` needs a whole client id, and `{prefix}*` comes first: with `--credentials`, begin with \
             one like `--client-id {prefix}1`"
        ),
        None => anyhow::bail!("the device has no client id"),
    }
}

fn row(name: &DeviceName, client_id: String, secret: &Secret) -> Row {
    let password = secret.text().into();
    Row { device: name.to_string(), client_id, user_name: name.to_string(), password }
}

fn switch(
    store: &Path,
    name: &DeviceName,
    enabled: bool,
    json: bool,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let mut file = StoreFile::open_existing(store)?;
    file.record_mut(name)?.enabled = enabled;
    file.save()?;
    done(name, if enabled { "enabled" } else { "disabled" }, json, output)
}

fn done(name: &DeviceName, what: &str, json: bool, output: &mut impl Write) -> anyhow::Result<()> {
    if json {
        writeln!(output, "{}", json!({"device": name, "done": what}))?;
    } else {
        writeln!(output, "{name} {what}")?;
    }
    Ok(())
}

/// The first line of the input. What follows is not waited for.
fn chosen(name: &DeviceName, input: Input<impl BufRead>) -> anyhow::Result<Zeroizing<String>> {
    anyhow::ensure!(
        !input.terminal,
        "pipe the password in: printf %s PASSWORD | latchkey fleet add {name} --password-stdin"
    );
    // Room for all of it: a buffer that grows leaves copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST_LINE));
    for byte in input.reader.bytes().take(LONGEST_LINE) {
        match byte.context("can't read the password from standard input")? {
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    line.pop_if(|last| *last == b'\r');
    let text = std::str::from_utf8(&line).ok().context("the password is not UTF-8")?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests;
