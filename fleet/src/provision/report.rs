//! What a run did.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::PathBuf,
};

use device_auth::device_name::DeviceName;
use serde_json::json;

use super::{Ended, registry::Thing};
use crate::{count::grouped, store_place::StorePlace};

/// How many names a person is shown of a kind.
const SHOWN: usize = 10;

/// What became of a device.
pub(super) struct Done {
    pub(super) thing: Thing,
    pub(super) record: Record,
}

/// What became of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// It was written.
    Written,
    /// It was there, with the password of the file.
    Present,
    /// It was there, with another password than the file's.
    OtherPassword,
    /// It was there, and the file has no password for it.
    NoPassword,
}

/// All of it.
pub(super) struct Report {
    wanted: usize,
    place: StorePlace,
    passwords: PathBuf,
    deployed: bool,
    things: BTreeMap<&'static str, usize>,
    written: BTreeSet<DeviceName>,
    present: usize,
    other_password: Vec<DeviceName>,
    no_password: Vec<DeviceName>,
    failed: Vec<(DeviceName, String)>,
    stopped: Option<anyhow::Error>,
    interrupted: bool,
}

impl Report {
    pub(super) fn new(wanted: usize, place: StorePlace, passwords: PathBuf, deployed: bool) -> Self {
        Self {
            wanted,
            place,
            passwords,
            deployed,
            things: BTreeMap::new(),
            written: BTreeSet::new(),
            present: 0,
            other_password: Vec::new(),
            no_password: Vec::new(),
            failed: Vec::new(),
            stopped: None,
            interrupted: false,
        }
    }

    pub(super) fn wanted(&self) -> usize {
        self.wanted
    }

    pub(super) fn done(&mut self, name: &DeviceName, Done { thing, record }: Done) {
        let kind = match thing {
            Thing::Made => "made",
            Thing::Completed => "completed",
            Thing::Present => "present",
        };
        let count = self.things.entry(kind).or_default();
        *count = count.saturating_add(1);
        match record {
            Record::Written => _ = self.written.insert(name.clone()),
            Record::Present => self.present = self.present.saturating_add(1),
            Record::OtherPassword => self.other_password.push(name.clone()),
            Record::NoPassword => self.no_password.push(name.clone()),
        }
    }

    pub(super) fn failed(&mut self, name: &DeviceName, why: String) {
        self.failed.push((name.clone(), why));
    }

    /// Somebody else has written the record that was to be written in the end.
    pub(super) fn taken(&mut self, name: &DeviceName) {
        self.written.remove(name);
        self.other_password.push(name.clone());
    }

    /// The records that were to be written in the end were not.
    pub(super) fn unwritten(&mut self, error: anyhow::Error) {
        self.written.clear();
        self.stopped(error);
    }

    pub(super) fn stopped(&mut self, error: anyhow::Error) {
        self.stopped.get_or_insert(error);
    }

    pub(super) fn interrupt(&mut self) {
        self.interrupted = true;
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    pub(super) fn ended(&self) -> Ended {
        match (self.has_all(), self.interrupted) {
            (true, _) => Ended::Complete,
            (false, true) => Ended::Interrupted,
            (false, false) => Ended::Incomplete,
        }
    }

    pub(super) fn print(&self, json: bool, output: &mut impl Write) -> anyhow::Result<()> {
        if json { self.json(output) } else { self.text(output) }
    }

    fn records(&self) -> usize {
        let there =
            self.present.saturating_add(self.other_password.len()).saturating_add(self.no_password.len());
        there.saturating_add(self.written.len())
    }

    fn has_all(&self) -> bool {
        let lost = self.other_password.len().saturating_add(self.no_password.len());
        self.stopped.is_none() && self.failed.is_empty() && lost == 0 && self.records() == self.wanted
    }

    fn things(&self, kind: &str) -> usize {
        self.things.get(kind).copied().unwrap_or_default()
    }

    /// One line.
    fn json(&self, output: &mut impl Write) -> anyhow::Result<()> {
        let failed = self.failed.iter().map(|(name, why)| json!({"device": name, "why": why}));
        let line = json!({
            "devices": self.wanted, "store": self.place.setting(),
            "things": {
                "made": self.things("made"), "completed": self.things("completed"), "present": self.things("present"),
            },
            "records": {
                "written": self.written.len(), "present": self.records().saturating_sub(self.written.len()),
            },
            "other_password": self.other_password, "no_password": self.no_password,
            "failed": failed.collect::<Vec<_>>(),
            "stopped": self.stopped.as_ref().map(|error| format!("{error:#}")),
            "interrupted": self.interrupted, "complete": self.has_all(), "credentials": self.passwords,
        });
        Ok(writeln!(output, "{line}")?)
    }

    fn text(&self, output: &mut impl Write) -> anyhow::Result<()> {
        let count = |kind| grouped(self.things(kind));
        let (written, all) = (self.written.len(), self.records());
        let present = grouped(all.saturating_sub(written));
        let file = self.passwords.display();
        writeln!(output, "devices    {} of {}, in {}", grouped(all), grouped(self.wanted), self.place)?;
        let (made, completed, there) = (count("made"), count("completed"), count("present"));
        writeln!(output, "things     {made} made, {completed} completed, {there} there already")?;
        writeln!(output, "records    {} written, {present} there already and unchanged", grouped(written))?;
        writeln!(output, "passwords  {file}, in clear: keep it as you would keep the devices")?;
        self.lost(output)?;
        for (name, why) in self.failed.iter().take(SHOWN) {
            writeln!(output, "failed     {name}: {why}")?;
        }
        if self.failed.len() > SHOWN {
            writeln!(output, "failed     {} devices in all", grouped(self.failed.len()))?;
        }
        if let Some(error) = &self.stopped {
            writeln!(output, "stopped    {error:#}")?;
        }
        writeln!(output, "{}", self.next())?;
        Ok(())
    }

    /// The passwords that nobody has here, and what can be done.
    fn lost(&self, output: &mut impl Write) -> anyhow::Result<()> {
        let other = "the record that is there has another password than the file of passwords";
        told(other, &self.other_password, output)?;
        let none = "the record that is there has a password that nobody wrote down here";
        told(none, &self.no_password, output)?;
        if !self.other_password.is_empty() || !self.no_password.is_empty() {
            let find =
                "find the file of passwords that the record was made with, and name it with `--credentials`";
            let remove = "or remove the record (docs/operations.md says how): the next run makes another";
            writeln!(output, "cure       {find}; {remove}")?;
        }
        Ok(())
    }

    fn next(&self) -> String {
        if !self.has_all() {
            return "next       the same command again: it goes on where this one ended".to_owned();
        }
        let file = self.passwords.display();
        if self.deployed {
            return "next       `latchkey fleet smoke`, then `latchkey sim`".to_owned();
        }
        format!("next       `latchkey sim --credentials {file} --endpoint HOST:443`")
    }
}

fn told(what: &str, names: &[DeviceName], output: &mut impl Write) -> std::io::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let shown = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let more = if names.len() > SHOWN { ", and more" } else { "" };
    writeln!(output, "note       {what} ({}): {shown}{more}", grouped(names.len()))
}
