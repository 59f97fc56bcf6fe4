//! Which devices the authorizer's log shows as accepted, and with which of their credentials.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
};

use anyhow::Context as _;
use serde::Deserialize;

/// A longer line is not a decision.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// The devices that were accepted, each with the indexes of the credentials that matched.
#[derive(Debug, Default)]
pub(super) struct Accepted(HashMap<String, BTreeSet<usize>>);

/// What is read of a decision line.
#[derive(Deserialize)]
struct Decision<'a> {
    event: &'a str,
    outcome: &'a str,
    device: Option<String>,
    verifier: Option<usize>,
}

impl Accepted {
    /// Reads a log. Lines that are not decisions are skipped.
    ///
    /// # Errors
    ///
    /// When it can't be read, or has no decision at all.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let unreadable = || format!("can't read `{}`", path.display());
        let mut reader = BufReader::new(File::open(path).with_context(unreadable)?);
        let (mut accepted, mut decisions, mut line) = (Self::default(), 0_u64, Vec::new());
        loop {
            line.clear();
            if reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).with_context(unreadable)?
                == 0
            {
                break;
            }
            let Ok(Decision { event: "decision", outcome, device, verifier }) = serde_json::from_slice(&line)
            else {
                continue;
            };
            decisions = decisions.saturating_add(1);
            if let ("allow", Some(device)) = (outcome, device) {
                accepted.0.entry(device).or_default().extend(verifier);
            }
        }
        anyhow::ensure!(
            decisions > 0,
            "`{}` has no decision of an authorizer: it should have one JSON object a line, as docs/logs.md describes",
            path.display()
        );
        Ok(accepted)
    }

    /// The credentials that a device was accepted with; `None` if it never was.
    pub(super) fn of(&self, device: &str) -> Option<&BTreeSet<usize>> {
        self.0.get(device)
    }
}
