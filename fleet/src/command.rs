//! What the operator's commands do with a file of records.

mod add;
mod added;
mod import;
mod input;
mod keys;
mod list;
mod reseal;
mod rotate;

use std::{
    io::{BufRead, Write},
    path::Path,
};

use device_auth::device_name::DeviceName;
use serde_json::json;

pub use self::input::Input;
use crate::{args::RecordsCommand, store_file::StoreFile};

/// Runs one command on a file of records: reads a chosen password or a vendor's secret from `input`, writes what a person wants to know to `output`.
///
/// # Errors
///
/// What went wrong and what to do about it. The store is then unchanged.
pub fn run(
    command: RecordsCommand,
    store: &Path,
    json: bool,
    input: Input<impl BufRead>,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    match command {
        RecordsCommand::Add(args) => add::run(store, args, json, input, output),
        RecordsCommand::Import(args) => import::run(store, &args, json, output),
        RecordsCommand::Rotate(args) => rotate::run(store, args, json, input, output),
        RecordsCommand::Reseal(args) => reseal::run(store, &args, json, output),
        RecordsCommand::List => list::print(&StoreFile::read(store)?, json, output),
        RecordsCommand::Enable(args) => switch(store, &args.name, true, json, output),
        RecordsCommand::Disable(args) => switch(store, &args.name, false, json, output),
        RecordsCommand::Remove(args) => {
            let mut file = StoreFile::open_existing(store)?;
            file.remove(&args.name)?;
            file.save()?;
            done(&args.name, "removed", json, output)
        }
        RecordsCommand::Keys(args) => keys::run(args, json, output),
    }
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

#[cfg(test)]
mod tests;
