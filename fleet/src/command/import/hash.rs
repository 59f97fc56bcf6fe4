//! Passwords that people chose, hashed: some 40 ms each, on every core.

use std::{num::NonZero, thread};

use anyhow::Context as _;
use device_auth::{
    device_name::DeviceName,
    store::document::RecordDocument,
    verifier::{LiveVerifier, Verifier},
};
use indicatif::{ProgressBar, ProgressStyle};

use super::Draft;
use crate::secret::Secret;

/// Below this many there is nothing to wait for.
const WORTH_A_BAR: usize = 50;

/// The records, complete. On a terminal a bar shows how far it is.
pub(super) fn all(drafts: Vec<Draft>) -> anyhow::Result<Vec<(DeviceName, RecordDocument)>> {
    let passwords = drafts.iter().filter(|draft| draft.password.is_some()).count();
    let bar = if passwords < WORTH_A_BAR { ProgressBar::hidden() } else { bar(passwords)? };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = drafts.len().div_ceil(threads).max(1);
    let mut drafts = drafts;
    let mut shares = Vec::new();
    while !drafts.is_empty() {
        shares.push(drafts.split_off(drafts.len().saturating_sub(share)));
    }
    let done = thread::scope(|scope| {
        let workers = shares.into_iter().map(|share| {
            scope.spawn(|| {
                share.into_iter().map(|draft| complete(draft, &bar)).collect::<anyhow::Result<Vec<_>>>()
            })
        });
        let workers = workers.collect::<Vec<_>>();
        workers
            .into_iter()
            .map(|worker| worker.join().ok().context("a thread has failed")?)
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    bar.finish_and_clear();
    Ok(done.into_iter().flatten().collect())
}

/// A verifier that doesn't expire.
pub(super) fn live(verifier: Verifier) -> LiveVerifier {
    LiveVerifier { verifier, expires_at: None }
}

fn complete(draft: Draft, bar: &ProgressBar) -> anyhow::Result<(DeviceName, RecordDocument)> {
    let Draft { name, mut record, password } = draft;
    if let Some(password) = password {
        record.verifiers.push(live(Secret::chosen(password)?.verifier()?));
        bar.inc(1);
    }
    Ok((name, record))
}

/// On standard error, and only if that is a terminal.
fn bar(passwords: usize) -> anyhow::Result<ProgressBar> {
    let style =
        ProgressStyle::with_template("hashing passwords  {bar:30}  {human_pos} of {human_len}, {eta} left")?;
    Ok(ProgressBar::new(u64::try_from(passwords)?).with_style(style))
}
