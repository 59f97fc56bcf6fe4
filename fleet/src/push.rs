//! `latchkey fleet push`: writes records to a table or a secret in AWS.
//!
//! A record that exists in the store is never overwritten, so the same command goes on after it was stopped.

use std::{collections::BTreeMap, fmt, path::Path, pin::pin};

use cli::console::{Console, counted, status, wrapped};
use device_auth::{
    device_name::DeviceName,
    grant::Grants,
    location::StoreLocation,
    store::document::{RecordDocument, StoreDocument},
};
use futures_util::{StreamExt as _, stream};
use indicatif::HumanCount;
use serde_json::json;

use crate::{
    args::PushArgs,
    aws,
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
    let pushed = write(records, document, &store, mode, shutdown).await;
    console.print(&pushed.json(), &pushed)?;
    Ok(pushed.is_complete())
}

/// Whether records are written, or compared with those of the store only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Compare,
}

/// Writes records to an opened store.
pub(crate) async fn write(
    records: Records,
    document: StoreDocument,
    store: &StoreLocation,
    mode: Mode,
    shutdown: impl Future<Output = ()>,
) -> Pushed {
    let own_grants = own_grants(&document);
    if matches!(store, StoreLocation::DynamoDb(_)) && !own_grants.is_empty() {
        status(&format!(
            "a table has no grants: give the function {}, with `function.grants` in the stage's settings or with \
             LATCHKEY_GRANTS",
            own_grants.join(", ")
        ));
    }
    let StoreDocument { grants, devices, .. } = document;
    let mut pushed = Pushed::new(devices.len(), store.clone(), mode);
    {
        let records = &records;
        let written = stream::iter(devices).take_until(shutdown).map(
            async |(name, record): (DeviceName, RecordDocument)| {
                let stored = one(records, &name, &record, mode).await;
                (name, stored)
            },
        );
        let mut written = pin!(written.buffer_unordered(CONCURRENT_RECORDS));
        while let Some((name, stored)) = written.next().await {
            match stored {
                Ok(Stored::Absent) => pushed.written.push(name),
                Ok(Stored::Equal) => pushed.unchanged = pushed.unchanged.saturating_add(1),
                Ok(Stored::Different) => pushed.different.push(name),
                Err(WriteError::Device(why)) => pushed.failed.push((name, why)),
                Err(WriteError::Run(error)) => {
                    pushed.stopped = Some(error);
                    break;
                }
            }
        }
    }
    if mode == Mode::Compare {
        return pushed;
    }
    match records.finish(grants).await {
        Ok(conflicts) => {
            pushed.written.retain(|name| !conflicts.contains(name));
            pushed.different.extend(conflicts);
        }
        Err(error) => {
            pushed.written.clear();
            pushed.stopped.get_or_insert(error);
        }
    }
    pushed
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

/// The grants that the records name and that are not built in, in backticks.
fn own_grants(document: &StoreDocument) -> Vec<String> {
    let built_in = Grants::new(BTreeMap::new()).ok();
    let mut names = document.devices.values().map(|record| record.grant.as_str()).collect::<Vec<_>>();
    names.sort_unstable();
    names.dedup();
    let own = names.into_iter().filter(|name| built_in.as_ref().is_none_or(|it| it.get(name).is_err()));
    own.map(|name| format!("`{name}`")).collect()
}

/// The result of a push.
pub(crate) struct Pushed {
    devices: usize,
    store: StoreLocation,
    mode: Mode,
    pub(crate) written: Vec<DeviceName>,
    unchanged: usize,
    different: Vec<DeviceName>,
    failed: Vec<(DeviceName, String)>,
    stopped: Option<anyhow::Error>,
}

impl Pushed {
    fn new(devices: usize, store: StoreLocation, mode: Mode) -> Self {
        let (written, different, failed) = (Vec::new(), Vec::new(), Vec::new());
        Self { devices, store, mode, written, unchanged: 0, different, failed, stopped: None }
    }

    /// Whether the store has every record.
    pub(crate) fn is_complete(&self) -> bool {
        self.written.len().saturating_add(self.unchanged) == self.devices && self.stopped.is_none()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let failed = self.failed.iter().map(|(name, why)| json!({"device": name, "why": why}));
        json!({
            "devices": self.devices, "store": store_option::value(&self.store), "written": self.written.len(),
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
                count(self.written.len()),
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
