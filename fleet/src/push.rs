//! `latchkey fleet push`: writes records to a table or a secret in AWS.
//!
//! A record that exists in the store is never overwritten, so the same command goes on after it was stopped.

use std::{collections::BTreeMap, fmt, path::Path, pin::pin};

use cli::console::{Console, counted, status, wrapped};
use device_auth::{
    device_name::DeviceName,
    grant::{GrantDefinition, Grants},
    location::StoreLocation,
    store::document::{RecordDocument, StoreDocument},
};
use futures_util::{Stream, StreamExt as _, stream};
use indicatif::HumanCount;
use serde_json::json;

use crate::{
    args::PushArgs,
    aws,
    progress::Progress,
    provision::{records::Records, store_location},
    record_store::{Stored, WriteError},
    store_file::StoreFile,
    store_option::{self, ConfiguredStore},
};

/// Records that are written at a time.
const CONCURRENT_RECORDS: usize = 32;
/// How many names of each kind a person is shown.
const SHOWN: usize = 10;
/// Where the second column begins.
const INDENT: usize = 11;

/// Writes the records of a file, until all are written or `shutdown` completes. Returns whether the store has all of
/// them.
///
/// # Errors
///
/// Why it could not begin. Nothing was written then.
pub async fn run(
    args: &PushArgs,
    store: Option<ConfiguredStore>,
    console: &mut Console<'_>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<bool> {
    let document = StoreFile::read(&args.file)?;
    let deployment = args.deployment.find(Path::new("."))?;
    let store = store_location(store, deployment.as_ref())?;
    anyhow::ensure!(
        !matches!(store, StoreLocation::File(_) | StoreLocation::Indexed(_)),
        "`push` writes to a table or a secret, and the store is {}: name one with `--store dynamodb:TABLE` or \
         `--store secretsmanager:NAME`",
        store_option::description(&store)
    );
    if let Some(deployment) = &deployment {
        status(&format!("using {deployment}"));
    }
    let region = args.region.as_deref().or(deployment.as_ref().map(|it| it.region.as_str()));
    let aws = aws::configuration(region, aws::PATIENT).await?;
    let records = Records::open(&store, &aws, Some(&args.file)).await?;
    let mode = if args.dry_run { Mode::Compare } else { Mode::Write };
    say_grants(&store, document.devices.values().map(|record| record.grant.as_str()));
    let StoreDocument { grants, devices, .. } = document;
    let devices =
        Devices { count: devices.len(), records: stream::iter(devices.into_iter().map(Ok)), grants };
    let pushed = write(records, devices, &store, mode, shutdown).await;
    console.print(&pushed.json(), &pushed)?;
    Ok(pushed.is_complete())
}

/// Whether records are written, or compared with those of the store only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Compare,
}

/// Records to be written.
pub(crate) struct Devices<R> {
    /// How many there are.
    pub(crate) count: usize,
    /// The records. An error ends the run.
    pub(crate) records: R,
    /// The grants of a file or a secret.
    pub(crate) grants: BTreeMap<String, GrantDefinition>,
}

/// Writes records to an opened store.
pub(crate) async fn write(
    records: Records,
    devices: Devices<impl Stream<Item = anyhow::Result<(DeviceName, RecordDocument)>>>,
    store: &StoreLocation,
    mode: Mode,
    shutdown: impl Future<Output = ()>,
) -> Pushed {
    let mut pushed = Pushed::new(devices.count, store.clone(), mode);
    {
        let records = &records;
        let what = if mode == Mode::Write { "records written" } else { "records compared" };
        let mut progress = Progress::of_things(what, u64::try_from(devices.count).unwrap_or(u64::MAX));
        let written = devices.records.take_until(shutdown).map(async |record| {
            let (name, record) = record.map_err(|error| (None, WriteError::Run(error)))?;
            let stored = one(records, &name, &record, mode).await;
            stored.map(|stored| (name.clone(), stored)).map_err(|error| (Some(name), error))
        });
        let mut written = pin!(written.buffer_unordered(CONCURRENT_RECORDS));
        while let Some(stored) = written.next().await {
            match stored {
                Ok((_, Stored::Absent)) => pushed.written = pushed.written.saturating_add(1),
                Ok((_, Stored::Equal)) => pushed.unchanged = pushed.unchanged.saturating_add(1),
                Ok((name, Stored::Different)) => pushed.different.push(name),
                Err((Some(name), WriteError::Device(why))) => pushed.failed.push((name, why)),
                Err((_, error)) => {
                    pushed.stopped = Some(error.into_cause());
                    break;
                }
            }
            progress.advance();
        }
    }
    if mode == Mode::Compare {
        return pushed;
    }
    match records.finish(devices.grants).await {
        Ok(conflicts) => {
            pushed.written = pushed.written.saturating_sub(conflicts.len());
            pushed.different.extend(conflicts);
        }
        Err(error) => {
            pushed.written = 0;
            pushed.stopped.get_or_insert(error);
        }
    }
    pushed
}

/// Says that a table has no grants, if these names are not all built-in ones.
pub(crate) fn say_grants<'g>(store: &StoreLocation, names: impl IntoIterator<Item = &'g str>) {
    let built_in = Grants::new(BTreeMap::new()).ok();
    let mut names = names.into_iter().collect::<Vec<_>>();
    names.sort_unstable();
    names.dedup();
    let own = names.into_iter().filter(|name| built_in.as_ref().is_none_or(|it| it.get(name).is_err()));
    let own = own.map(|name| format!("`{name}`")).collect::<Vec<_>>();
    if matches!(store, StoreLocation::DynamoDb(_)) && !own.is_empty() {
        status(&format!(
            "a table has no grants: give the function {}, with `function.grants` in the stage's settings or with \
             LATCHKEY_GRANTS",
            own.join(", ")
        ));
    }
}

async fn one(
    records: &Records,
    name: &DeviceName,
    record: &RecordDocument,
    mode: Mode,
) -> Result<Stored, WriteError> {
    let stored = records.compare(name, record).await?;
    if matches!(stored, Stored::Absent) && mode == Mode::Write {
        records.put(name, record).await?;
    }
    Ok(stored)
}

/// The result of a push.
pub(crate) struct Pushed {
    devices: usize,
    store: StoreLocation,
    mode: Mode,
    pub(crate) written: usize,
    unchanged: usize,
    different: Vec<DeviceName>,
    failed: Vec<(DeviceName, String)>,
    stopped: Option<anyhow::Error>,
}

impl Pushed {
    fn new(devices: usize, store: StoreLocation, mode: Mode) -> Self {
        let (different, failed) = (Vec::new(), Vec::new());
        Self { devices, store, mode, written: 0, unchanged: 0, different, failed, stopped: None }
    }

    /// Whether the store has every record.
    pub(crate) fn is_complete(&self) -> bool {
        self.written.saturating_add(self.unchanged) == self.devices && self.stopped.is_none()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let failed = self.failed.iter().map(|(name, why)| json!({"device": name, "why": why}));
        json!({
            "devices": self.devices, "store": store_option::value(&self.store), "written": self.written,
            "unchanged": self.unchanged, "different": self.different, "failed": failed.collect::<Vec<_>>(),
            "stopped": self.stopped.as_ref().map(|error| cli::error_text(error.as_ref())), "complete": self.is_complete(),
            "dry_run": self.mode == Mode::Compare,
        })
    }
}

impl fmt::Display for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |label: &str, text: String| {
            writeln!(f, "{}", wrapped(INDENT, &format!("{label:<INDENT$}{text}")))
        };
        let count = |count: usize| HumanCount(u64::try_from(count).unwrap_or(u64::MAX));
        line(
            "records",
            format!(
                "{} {}, {} unchanged of {}, in {}",
                count(self.written),
                if self.mode == Mode::Write { "written" } else { "would be written" },
                count(self.unchanged),
                count(self.devices),
                store_option::description(&self.store)
            ),
        )?;
        if !self.different.is_empty() {
            let shown = self.different.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>();
            let more = if self.different.len() > SHOWN { ", and more" } else { "" };
            line(
                "note",
                format!(
                    "{} of the store {} different, and unchanged: {}{more}",
                    counted(count(self.different.len()), "record"),
                    if self.different.len() == 1 { "is" } else { "are" },
                    shown.join(", ")
                ),
            )?;
        }
        for (name, why) in self.failed.iter().take(SHOWN) {
            line("failed", format!("{name}: {why}"))?;
        }
        if let Some(error) = &self.stopped {
            line("stopped", cli::error_text(error.as_ref()))?;
        }
        if self.is_complete() {
            return Ok(());
        }
        line("next", "the same command again: it goes on where this one ended".to_owned())
    }
}
