//! The records of many devices: read, and enabled or disabled.

use std::{cell::RefCell, pin::pin};

use cli::{console::status, output};
use device_auth::{device_name::DeviceName, store::document::RecordDocument};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::journal::{Journal, Step};
use crate::record_store::{RecordStore, whole::Missing};

/// Records of a table that are read or changed at a time.
const CONCURRENT_RECORDS: usize = 32;
/// Without a terminal, one line is printed for this many records.
const RECORDS_PER_LINE: u64 = 1_000;

/// The records of names.
pub(super) struct Found {
    pub(super) records: Vec<(DeviceName, RecordDocument)>,
    /// The names without a record.
    pub(super) missing: Vec<DeviceName>,
}

/// What was changed.
pub(super) struct Switched {
    /// The devices whose records are as wanted now.
    pub(super) done: Vec<DeviceName>,
    /// Why the others are not.
    pub(super) stopped: Option<anyhow::Error>,
}

/// Reads the records of these devices.
pub(super) async fn read(store: &RecordStore, names: Vec<DeviceName>) -> anyhow::Result<Found> {
    let mut found = Found { records: Vec::new(), missing: Vec::new() };
    let mut add = |name: DeviceName, record: Option<RecordDocument>| match record {
        Some(record) => found.records.push((name, record)),
        None => found.missing.push(name),
    };
    match store {
        RecordStore::Whole(_) => {
            let mut devices = store.contents().await?.document.devices;
            for name in names {
                let record = devices.remove(&name);
                add(name, record);
            }
        }
        RecordStore::Table(table) => {
            let read = stream::iter(names).map(async |name: DeviceName| {
                let record = table.find_record(&name).await?;
                anyhow::Ok((name, record))
            });
            let mut read = pin!(read.buffered(CONCURRENT_RECORDS));
            while let Some((name, record)) = read.try_next().await? {
                add(name, record);
            }
        }
    }
    Ok(found)
}

/// Enables or disables records until all are done, one fails, or `stop`. Each that is changed gets its lines in the journal:
/// before it is disabled and after it is changed, which is `after`.
pub(super) async fn switch(
    store: &RecordStore,
    names: Vec<DeviceName>,
    enabled: bool,
    journal: &mut Journal,
    after: Step,
    stop: &CancellationToken,
) -> Switched {
    let mut switched = Switched { done: Vec::with_capacity(names.len()), stopped: None };
    let ended = match store {
        RecordStore::Whole(_) => at_once(store, names, enabled, journal, after, &mut switched).await,
        RecordStore::Table(_) => each(store, names, enabled, journal, after, stop, &mut switched).await,
    };
    switched.stopped = ended.and_then(|()| journal.sync()).err();
    switched
}

/// A file or a secret, which is written once for all.
async fn at_once(
    store: &RecordStore,
    names: Vec<DeviceName>,
    enabled: bool,
    journal: &mut Journal,
    after: Step,
    switched: &mut Switched,
) -> anyhow::Result<()> {
    if !enabled {
        for name in &names {
            journal.note(name, Step::Disabling)?;
        }
    }
    let RecordStore::Whole(whole) = store else { return Ok(()) };
    let changed = whole
        .update(Missing::IsAnError, |document| {
            let devices = &mut document.devices;
            let mut changed = Vec::new();
            for name in &names {
                let record = devices.get_mut(name).ok_or_else(|| whole.no_such_device(name))?;
                changed.push(std::mem::replace(&mut record.enabled, enabled) != enabled);
            }
            Ok(changed)
        })
        .await?;
    for (name, changed) in names.into_iter().zip(changed) {
        journal.note(&name, if changed { after } else { unchanged(after) })?;
        switched.done.push(name);
    }
    Ok(())
}

/// The records of a table, several at a time.
async fn each(
    store: &RecordStore,
    names: Vec<DeviceName>,
    enabled: bool,
    journal: &mut Journal,
    after: Step,
    stop: &CancellationToken,
    switched: &mut Switched,
) -> anyhow::Result<()> {
    let progress = Progress::new(names.len());
    let journal = RefCell::new(journal);
    let changes = stream::iter(names).take_until(stop.cancelled()).map(async |name: DeviceName| {
        if !enabled {
            journal.borrow_mut().note(&name, Step::Disabling)?;
        }
        let change =
            |record: &mut RecordDocument| Ok(std::mem::replace(&mut record.enabled, enabled) != enabled);
        let changed = store.change(&name, change).await?;
        journal.borrow_mut().note(&name, if changed { after } else { unchanged(after) })?;
        anyhow::Ok(name)
    });
    let mut changes = pin!(changes.buffer_unordered(CONCURRENT_RECORDS));
    // After an error the changes that were begun are dropped. The journal has them: each may have been made.
    while let Some(changed) = changes.next().await {
        switched.done.push(changed?);
        progress.show(switched.done.len());
    }
    Ok(())
}

/// What a record was already that somebody else has changed meanwhile.
fn unchanged(after: Step) -> Step {
    if after == Step::Disabled { Step::Unchanged } else { after }
}

/// The progress on standard error: a bar on a terminal, otherwise a line now and then.
struct Progress {
    bar: Option<ProgressBar>,
    of: u64,
}

impl Progress {
    fn new(of: usize) -> Self {
        let of = u64::try_from(of).unwrap_or(u64::MAX);
        let template = "{bar:30}  {human_pos} of {human_len} records, {eta} left";
        let style = ProgressStyle::with_template(template).ok().filter(|_| output::stderr().is_terminal());
        Self { bar: style.map(|style| ProgressBar::new(of).with_style(style)), of }
    }

    fn show(&self, done: usize) {
        let done = u64::try_from(done).unwrap_or(u64::MAX);
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None if done.is_multiple_of(RECORDS_PER_LINE) => {
                status(&format!("{} of {} records", HumanCount(done), HumanCount(self.of)));
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
