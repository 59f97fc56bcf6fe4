//! The report at the end of a run.

use std::{fmt, path::PathBuf};

use cli::console::{Console, counted, wrapped};
use device_auth::{device_name::DeviceName, location::StoreLocation};
use indicatif::HumanCount;
use serde_json::{Value, json};

use super::registry::ThingChange;
use crate::store_option;

/// How many names of each kind a person is shown.
const SHOWN: usize = 10;
/// Where the second column begins.
const INDENT: usize = 11;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every device has its Thing and its record, and its password is known.
    Complete,
    /// Not every device has. The report says why.
    Incomplete,
    /// Ctrl-C was pressed.
    Interrupted,
}

/// What was done for a device.
pub(super) struct Done {
    pub(super) thing: ThingChange,
    pub(super) record: Record,
}

/// What was done with a device's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// It was written.
    Written,
    /// It existed, with the password of the file.
    Unchanged,
    /// It existed, with another password than the file's.
    OtherPassword,
    /// It existed, and the file has no password for it.
    NoPassword,
}

/// What a run did.
pub(super) struct Report {
    wanted: usize,
    store: StoreLocation,
    passwords: PathBuf,
    deployed: bool,
    dry_run: bool,
    made: usize,
    completed: usize,
    unchanged_things: usize,
    written: usize,
    unchanged: usize,
    other_password: Vec<DeviceName>,
    no_password: Vec<DeviceName>,
    failed: Vec<(DeviceName, String)>,
    stopped: Option<anyhow::Error>,
    interrupted: bool,
}

impl Report {
    pub(super) fn new(
        wanted: usize,
        store: StoreLocation,
        passwords: PathBuf,
        deployed: bool,
        dry_run: bool,
    ) -> Self {
        Self {
            wanted,
            store,
            passwords,
            deployed,
            dry_run,
            made: 0,
            completed: 0,
            unchanged_things: 0,
            written: 0,
            unchanged: 0,
            other_password: Vec::new(),
            no_password: Vec::new(),
            failed: Vec::new(),
            stopped: None,
            interrupted: false,
        }
    }

    pub(super) fn wanted(&self) -> u64 {
        count(self.wanted).0
    }

    pub(super) fn done(&mut self, name: &DeviceName, Done { thing, record }: Done) {
        let things = match thing {
            ThingChange::Made => &mut self.made,
            ThingChange::Completed => &mut self.completed,
            ThingChange::Unchanged => &mut self.unchanged_things,
        };
        *things = things.saturating_add(1);
        match record {
            Record::Written => self.written = self.written.saturating_add(1),
            Record::Unchanged => self.unchanged = self.unchanged.saturating_add(1),
            Record::OtherPassword => self.other_password.push(name.clone()),
            Record::NoPassword => self.no_password.push(name.clone()),
        }
    }

    pub(super) fn failed(&mut self, name: &DeviceName, why: String) {
        self.failed.push((name.clone(), why));
    }

    /// Somebody else wrote the record that was to be written at the end.
    pub(super) fn conflict(&mut self, name: &DeviceName) {
        self.written = self.written.saturating_sub(1);
        self.other_password.push(name.clone());
    }

    /// The records that were to be written at the end could not be.
    pub(super) fn unwritten(&mut self, error: anyhow::Error) {
        self.written = 0;
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
        match (self.is_complete(), self.interrupted) {
            (true, _) => Ended::Complete,
            (false, true) => Ended::Interrupted,
            (false, false) => Ended::Incomplete,
        }
    }

    pub(super) fn print(&self, console: &mut Console<'_>) -> anyhow::Result<()> {
        Ok(console.print(&self.json(), self)?)
    }

    /// How many records existed before.
    fn existing(&self) -> usize {
        self.unchanged.saturating_add(self.unknown_passwords())
    }

    /// How many records have a password that is not known here.
    fn unknown_passwords(&self) -> usize {
        self.other_password.len().saturating_add(self.no_password.len())
    }

    fn records(&self) -> usize {
        self.existing().saturating_add(self.written)
    }

    fn is_complete(&self) -> bool {
        self.stopped.is_none()
            && self.failed.is_empty()
            && self.unknown_passwords() == 0
            && self.records() == self.wanted
    }

    fn json(&self) -> Value {
        let failed = self.failed.iter().map(|(name, why)| json!({"device": name, "why": why}));
        json!({
            "devices": self.wanted, "store": store_option::value(&self.store),
            "things": {
                "made": self.made, "completed": self.completed, "present": self.unchanged_things,
            },
            "records": {"written": self.written, "present": self.existing()},
            "other_password": self.other_password, "no_password": self.no_password,
            "failed": failed.collect::<Vec<_>>(),
            "stopped": self.stopped.as_ref().map(|error| cli::error_text(error.as_ref())),
            "interrupted": self.interrupted, "complete": self.is_complete(), "credentials": self.passwords,
            "dry_run": self.dry_run,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |label: &str, text: String| {
            writeln!(f, "{}", wrapped(INDENT, &format!("{label:<INDENT$}{text}")))
        };
        let (records, wanted) = (count(self.records()), count(self.wanted));
        let file = self.passwords.display();
        line("devices", format!("{records} of {wanted}, in {}", store_option::description(&self.store)))?;
        line(
            "things",
            format!(
                "{} made, {} completed, {} unchanged",
                count(self.made),
                count(self.completed),
                count(self.unchanged_things)
            ),
        )?;
        line("records", format!("{} written, {} unchanged", count(self.written), count(self.existing())))?;
        line("passwords", format!("{file}, in clear text: protect this file as you protect the devices"))?;
        for (why, names) in [
            ("with another password than the file of passwords", &self.other_password),
            ("with a password that the file of passwords does not have", &self.no_password),
        ] {
            if !names.is_empty() {
                let shown = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>();
                let more = if names.len() > SHOWN { ", and more" } else { "" };
                line(
                    "note",
                    format!("{} {why}: {}{more}", counted(count(names.len()), "record"), shown.join(", ")),
                )?;
            }
        }
        if self.unknown_passwords() > 0 {
            line(
                "cure",
                "find the file of passwords with which the records were made, and name it with `--credentials`; or \
                 remove the records (docs/operations.md says how), and run this again to make new ones"
                    .to_owned(),
            )?;
        }
        for (name, why) in self.failed.iter().take(SHOWN) {
            line("failed", format!("{name}: {why}"))?;
        }
        if self.failed.len() > SHOWN {
            line("failed", format!("{} in all", counted(count(self.failed.len()), "device")))?;
        }
        if let Some(error) = &self.stopped {
            line("stopped", cli::error_text(error.as_ref()))?;
        }
        let next = if self.dry_run {
            "the same command without `--dry-run`: this one made and wrote nothing".to_owned()
        } else if !self.is_complete() {
            "the same command again: it goes on where this one ended".to_owned()
        } else if self.deployed {
            "`latchkey fleet smoke`, then `latchkey sim`".to_owned()
        } else {
            format!("`latchkey sim --credentials {file} --endpoint HOST:443`")
        };
        line("next", next)
    }
}

fn count(count: usize) -> HumanCount {
    HumanCount(u64::try_from(count).unwrap_or(u64::MAX))
}
