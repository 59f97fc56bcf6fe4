//! The records of many devices: read, and enabled or disabled.

use std::{cell::RefCell, pin::pin};

use device_auth::{device_name::DeviceName, store::document::RecordDocument};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use super::journal::{Journal, Step};
use crate::{
    progress::Progress,
    record_store::{RecordStore, whole::Missing},
};

/// Records of a table that are read or changed at a time.
const CONCURRENT_RECORDS: usize = 32;

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
    let what = if enabled { "records enabled" } else { "records disabled" };
    let mut progress = Progress::of_things(what, u64::try_from(names.len())?);
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
        progress.advance();
    }
    Ok(())
}

/// What a record was already that somebody else has changed meanwhile.
fn unchanged(after: Step) -> Step {
    if after == Step::Disabled { Step::Unchanged } else { after }
}
