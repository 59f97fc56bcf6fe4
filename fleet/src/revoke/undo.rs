//! `latchkey fleet revoke undo`: enables again what a revocation disabled.

use std::fmt;

use cli::console::{Console, counted, wrapped};
use device_auth::device_name::DeviceName;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    journal::{self, Journal, Step},
    records,
    report::{number, shown},
};
use crate::{args::UndoArgs, record_store::RecordStore, store_option, store_option::Target};

const INDENT: usize = 13;

/// What was done with the records of the files.
struct Undone {
    enabled: Vec<DeviceName>,
    missing: Vec<DeviceName>,
    left: usize,
    stopped: Option<anyhow::Error>,
    dry_run: bool,
}

/// Enables the records that the revocations of these files disabled. Returns whether all are.
///
/// # Errors
///
/// When a file can't be read, or is about another store. No record was changed then.
pub(super) async fn run(
    args: &UndoArgs,
    target: &Target,
    console: &mut Console<'_>,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let store_name = store_option::value(&target.location);
    let mut files = Vec::new();
    for path in &args.files {
        let (of, steps) = journal::read(path)?;
        anyhow::ensure!(
            of == store_name,
            "`{}` is about the store `{of}`, and this command is on `{store_name}`: add `--store '{of}'`",
            path.display()
        );
        let names = steps.into_iter().filter(|(_, step)| step.is_to_be_undone()).map(|(name, _)| name);
        files.push((path, names.collect::<Vec<_>>()));
    }
    let store = RecordStore::open(&target.location, &target.access).await?;
    let mut undone =
        Undone { enabled: Vec::new(), missing: Vec::new(), left: 0, stopped: None, dry_run: args.dry_run };
    for (path, names) in files {
        let found = records::read(&store, names).await?;
        undone.missing.extend(found.missing);
        let names = found.records.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        if args.dry_run {
            undone.enabled.extend(names);
            continue;
        }
        if undone.stopped.is_some() || stop.is_cancelled() {
            undone.left += names.len();
            continue;
        }
        let mut journal = Journal::open(path)?;
        let wanted = names.len();
        let switched = records::switch(&store, names, true, &mut journal, Step::Enabled, stop).await;
        undone.left += wanted.saturating_sub(switched.done.len());
        undone.enabled.extend(switched.done);
        undone.stopped = switched.stopped;
    }
    let is_complete = undone.left == 0 && undone.stopped.is_none();
    let json = json!({
        "enabled": undone.enabled, "missing": undone.missing, "left": undone.left, "dry_run": undone.dry_run,
        "stopped": undone.stopped.as_ref().map(|error| cli::error_text(error.as_ref())), "complete": is_complete,
    });
    console.print(&json, &undone)?;
    Ok(is_complete)
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line =
            |label: &str, text: &str| writeln!(f, "{}", wrapped(INDENT, &format!("{label:<INDENT$}{text}")));
        let verb = if self.dry_run { "would be enabled" } else { "enabled" };
        line("records", &format!("{} {verb}", counted(number(self.enabled.len()), "record")))?;
        if !self.missing.is_empty() {
            let names = self.missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
            line("no record", &shown(&names))?;
        }
        if let Some(error) = &self.stopped {
            line("stopped", &cli::error_text(error.as_ref()))?;
        }
        if self.left > 0 {
            line("next", "the same command again: it goes on where this one ended")?;
        }
        Ok(())
    }
}
