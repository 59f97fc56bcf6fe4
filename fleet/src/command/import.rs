//! `latchkey fleet import`: adds the devices of a file, all of them or none.
//!
//! The file is read several times, a row at a time: [`check`](mod@check) reads all of it before the first record is written,
//! and [`users`] makes the records. So a file of any size needs little memory.

mod check;
mod users;

#[cfg(feature = "aws")]
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use cli::console::{Console, counted, status, wrapped};
#[cfg(feature = "aws")]
use device_auth::{location::StoreLocation, store::document::StoreDocument};
#[cfg(feature = "aws")]
use futures_util::stream;
use indicatif::HumanCount;
use serde_json::json;
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

use self::{
    check::{Before, Checked, Interrupted, RulesReport, check},
    users::Users,
};
use crate::{
    args::ImportArgs,
    progress::Progress,
    record_store::{RecordStore, indexed, whole::WholeStore},
    sealing::Sealing,
    store_file::{self, StoreFile, sorted::SortedRecords},
    store_option::Target,
};
#[cfg(feature = "aws")]
use crate::{
    aws,
    provision::records::Records,
    push::{self, Mode, Pushed},
    record_store::{self, table::Table, whole::Missing},
};

/// How many grants are shown by name.
const GRANTS_SHOWN: usize = 10;
/// Where the second column begins.
const INDENT: usize = 11;

/// Adds the devices to a store, and prints how many there are. A file and a secret get all or none; a table gets those that
/// the report names, and the same command goes on. Returns whether the store has all of them.
#[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "only a table is opened a second time"))]
pub(super) async fn run(
    store: &RecordStore,
    target: &Target,
    args: &ImportArgs,
    console: &mut Console<'_>,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let users = Users::open(args, &mut console.input.reader)?;
    let imported = match store {
        RecordStore::Whole(WholeStore::File(path)) => to_file(&users, path, console, stop).await,
        RecordStore::Whole(WholeStore::Indexed(path)) => Err(indexed::read_only(path)),
        #[cfg(feature = "aws")]
        RecordStore::Whole(whole) => to_secret(&users, whole, console, stop).await,
        #[cfg(feature = "aws")]
        RecordStore::Table(table) => to_table(&users, table, target, console, stop).await,
    };
    match imported {
        Err(error) if error.is::<Interrupted>() => {
            status(&error.to_string());
            Ok(false)
        }
        imported => imported,
    }
}

async fn to_file(
    users: &Users<'_>,
    path: &Path,
    console: &mut Console<'_>,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    // A dry run makes no folder and no lock.
    let mut file = if users.args.source.dry_run { None } else { Some(StoreFile::open(path)?) };
    let read;
    let document = if let Some(file) = &file {
        file.document()
    } else {
        read = store_file::read(path)?;
        &read
    };
    let checked = check(users, Before::of(document), stop).await?;
    let mut all = document.clone();
    all.grants.extend(checked.new_grants());
    store_file::check(&all).context(if file.is_some() {
        "nothing was imported"
    } else {
        "nothing would be imported"
    })?;
    drop(all);
    if let Some(file) = file.as_mut().filter(|_| checked.devices > 0) {
        file.document_mut().grants.extend(checked.new_grants());
        let mut sorted = SortedRecords::new(file.folder());
        let mut progress = Progress::of_things("records made", checked.devices);
        for (record, number) in users.records(&checked)?.zip(0_u32..) {
            let (name, record) = record?;
            sorted.add(name, record)?;
            progress.advance();
            if number.is_multiple_of(256) {
                yield_now().await;
                anyhow::ensure!(!stop.is_cancelled(), Interrupted);
            }
        }
        drop(progress);
        file.save_with(sorted).context("nothing was imported")?;
    }
    print(users, &checked, checked.devices, None, console)
}

#[cfg(feature = "aws")]
async fn to_secret(
    users: &Users<'_>,
    whole: &WholeStore,
    console: &mut Console<'_>,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let mut document = whole.read(Missing::IsEmpty).await?;
    let checked = check(users, Before::of(&document), stop).await?;
    whole.check_count(checked.devices).context("nothing was imported")?;
    let records = users.records(&checked)?.collect::<anyhow::Result<Vec<_>>>()?;
    let add = |document: &mut StoreDocument| {
        document.grants.extend(checked.new_grants());
        for (name, record) in &records {
            anyhow::ensure!(!document.devices.contains_key(name), record_store::exists(name));
            document.devices.insert(name.clone(), record.clone());
        }
        Ok(())
    };
    if users.args.source.dry_run {
        add(&mut document)?;
        store_file::check(&document).context("nothing would be imported")?;
        whole.check_room(&document).context("nothing would be imported")?;
    } else if checked.devices > 0 {
        whole.update(Missing::IsEmpty, add).await.context("nothing was imported")?;
    }
    print(users, &checked, checked.devices, None, console)
}

#[cfg(feature = "aws")]
async fn to_table(
    users: &Users<'_>,
    table: &Table,
    target: &Target,
    console: &mut Console<'_>,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let store = &target.location;
    let document = StoreDocument { grants: table.own_grants().clone(), ..StoreDocument::empty() };
    let checked = check(users, Before { document: &document, table: Some(table) }, stop).await?;
    let grants = checked.new_grants();
    let mut all = document.clone();
    all.grants.extend(grants.clone());
    store_file::check(&all).context("nothing was imported")?;
    if users.args.source.dry_run {
        return print(users, &checked, checked.devices, None, console);
    }
    // The grants of access rules are added to the file, which need not exist before.
    let mut grants_file = target.access.grants.as_deref().filter(|path| path.exists());
    if matches!(store, StoreLocation::DynamoDb(_)) && !grants.is_empty() {
        let path = target.access.grants.as_deref().context(
            "a table has no grants: name a file for those of the access rules with `--grants FILE`, and give it to the \
             function with `function.grants` in the stage's settings or with LATCHKEY_GRANTS",
        )?;
        let mut file = StoreFile::open(path)?;
        file.document_mut().grants.extend(grants.clone());
        file.save().context("nothing was imported")?;
        grants_file = Some(path);
    }
    let aws = aws::configuration(target.access.region.as_deref(), aws::PATIENT).await?;
    let stored = Records::open(store, &aws, grants_file).await?;
    let used =
        checked.rules.as_ref().map(|rules| rules.devices.keys().map(String::as_str).collect::<Vec<_>>());
    push::say_grants(store, used.unwrap_or_else(|| vec![users.grant]));
    let devices = push::Devices {
        count: usize::try_from(checked.devices)?,
        records: stream::iter(users.records(&checked)?),
        grants: BTreeMap::new(),
    };
    let pushed = push::write(stored, devices, store, Mode::Write, stop.cancelled()).await;
    let written = u64::try_from(pushed.written)?;
    print(users, &checked, written, Some(&pushed), console)
}

impl<'a> Before<'a> {
    /// A file or a secret.
    fn of(document: &'a device_auth::store::document::StoreDocument) -> Self {
        Self {
            document,
            #[cfg(feature = "aws")]
            table: None,
        }
    }
}

/// There is no table to push to.
#[cfg(not(feature = "aws"))]
enum Pushed {}

/// Prints the result. Returns whether everything is in the store.
fn print(
    users: &Users<'_>,
    checked: &Checked,
    devices: u64,
    pushed: Option<&Pushed>,
    console: &mut Console<'_>,
) -> anyhow::Result<bool> {
    let key = users.sealing.as_ref().and_then(Sealing::key);
    let mut json = json!({"imported": devices, "skipped": checked.skipped, "key": key});
    if let Some(json) = json.as_object_mut() {
        if let Some(rules) = &checked.rules {
            let notes = rules.notes.iter().map(|(line, text)| json!({"line": line, "note": text}));
            json.insert("grants".to_owned(), json!(rules.devices));
            json.insert("notes".to_owned(), notes.collect());
            json.insert("rules_left_out".to_owned(), json!(rules.lost));
        }
        if users.args.keep_going {
            let rows = checked.faults.lines().map(|(line, error)| json!({"line": line, "error": error}));
            json.insert("bad_rows".to_owned(), rows.collect());
            json.insert("bad".to_owned(), json!(checked.faults.count()));
        }
        #[cfg(feature = "aws")]
        if let Some(pushed) = pushed {
            json.insert("records".to_owned(), pushed.json());
        }
    }
    #[cfg(feature = "aws")]
    let (pushed, is_complete) =
        (pushed.map(ToString::to_string).unwrap_or_default(), pushed.is_none_or(Pushed::is_complete));
    #[cfg(not(feature = "aws"))]
    let (pushed, is_complete) = match pushed {
        None => (String::new(), true),
        Some(never) => match *never {},
    };
    console.print(&json, text(users, checked, devices) + &pushed)?;
    Ok(is_complete && checked.faults.is_empty())
}

fn text(users: &Users<'_>, checked: &Checked, devices: u64) -> String {
    let mut text = format!(
        "{} {}, skipped {}\n",
        if users.args.source.dry_run { "would import" } else { "imported" },
        counted(HumanCount(devices), "device"),
        HumanCount(checked.skipped)
    );
    if !checked.faults.is_empty() {
        text.extend(["left out   ", &checked.faults.to_string(), "\n"]);
    }
    if let Some(rules) = &checked.rules {
        text += &rules.text();
    }
    if let Some(sealing) = &users.sealing {
        text += &wrapped(INDENT, &format!("secrets    {}", sealing.description()));
        text.push('\n');
    }
    let file = users.input.shown();
    if users.args.file.exists() {
        let note = format!(
            "file       {file} still has the devices' credentials: delete it when all devices connect"
        );
        text += &wrapped(INDENT, &note);
        text.push('\n');
    }
    text
}

impl RulesReport {
    fn text(&self) -> String {
        let grants = self
            .devices
            .iter()
            .take(GRANTS_SHOWN)
            .map(|(name, devices)| format!("`{name}` for {}", counted(HumanCount(*devices), "device")));
        let more = if self.devices.len() > GRANTS_SHOWN { ", and more" } else { "" };
        let grants = grants.collect::<Vec<_>>().join(", ");
        let mut text = wrapped(11, &format!("grants     {grants}{more}")) + "\n";
        if let Some(losses) = &self.losses {
            text.extend(["left out   ", losses, "\n"]);
        }
        for (line, note) in &self.notes {
            text += &wrapped(11, &format!("note       line {line}: {note}"));
            text.push('\n');
        }
        text
    }
}
