//! The summary that ends the demo.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use cli::output;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::outsiders::Attempts;

/// The part of the output of `latchkey sim --json` that is needed here.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct SimSummary {
    ok: bool,
    devices: Devices,
    messages: Messages,
    connect_latency_ms: Latency,
    publish_latency_ms: Latency,
}

#[derive(Debug, Deserialize, Serialize)]
struct Devices {
    expected: u64,
    connected: u64,
}

#[derive(Debug, Deserialize, Serialize)]
struct Messages {
    sent: u64,
    acknowledged: u64,
}

#[derive(Debug, Deserialize, Serialize)]
struct Latency {
    p50: f64,
    p95: f64,
    p99: f64,
}

impl SimSummary {
    /// How many messages the gateway acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.messages.acknowledged
    }
}

/// The result of the demo, with the refusals in the log.
#[derive(Serialize)]
pub(super) struct Report {
    as_expected: bool,
    #[serde(flatten)]
    summary: SimSummary,
    readings_at_the_dashboard: u64,
    refusals: BTreeMap<String, u64>,
    decision_log: PathBuf,
}

impl Report {
    /// Reads the refusals from the log, so that the report has the decisions that were made. `received` is the number of
    /// readings at the dashboard.
    pub(super) fn new(
        summary: SimSummary,
        attempts: &Attempts,
        received: u64,
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let refusals = refusals(&log)?;
        let expected = ["wrong_password", "publish_outside_its_scope"].map(|reason| (reason.to_owned(), 1));
        let as_expected = summary.ok
            && attempts.intruder.failed
            && attempts.trespasser.failed
            && received == summary.acknowledged()
            && refusals == BTreeMap::from(expected);
        Ok(Self { as_expected, summary, readings_at_the_dashboard: received, refusals, decision_log: log })
    }

    /// Whether every client was accepted or refused as it should be.
    pub(super) fn as_expected(&self) -> bool {
        self.as_expected
    }

    /// Prints the report. A failed write has no other place to go.
    pub(super) fn print(&self, json: bool) {
        _ = if json {
            writeln!(output::stdout(), "{}", serde_json::to_string(self).unwrap_or_default())
        } else {
            self.text(&mut output::stdout())
        };
    }

    fn text(&self, out: &mut impl Write) -> io::Result<()> {
        let SimSummary { devices, messages, connect_latency_ms, publish_latency_ms, .. } = &self.summary;
        writeln!(out, "\nsummary")?;
        writeln!(out, "  devices connected      {} of {}", devices.connected, devices.expected)?;
        writeln!(out, "  messages acknowledged  {} of {}", messages.acknowledged, messages.sent)?;
        writeln!(out, "  seen by the dashboard  {}", self.readings_at_the_dashboard)?;
        for (reason, count) in &self.refusals {
            writeln!(out, "  refused                {count} {reason}")?;
        }
        writeln!(out, "  latency in ms          {:>8}{:>8}{:>8}", "p50", "p95", "p99")?;
        for (what, latency) in [("connect", connect_latency_ms), ("publish", publish_latency_ms)] {
            let Latency { p50, p95, p99 } = latency;
            writeln!(out, "    {what:<21}{p50:>8.1}{p95:>8.1}{p99:>8.1}")?;
        }
        writeln!(out, "  decision log           {}", self.decision_log.display())?;
        if self.as_expected {
            writeln!(out, "\nall as expected; next: latchkey local, then latchkey fleet add my-device")
        } else {
            writeln!(out, "\nNOT as expected: the decision log says more")
        }
    }
}

/// Counts the refusals by reason: those of the authorizer, and those of the policy for connected devices.
fn refusals(log: &Path) -> anyhow::Result<BTreeMap<String, u64>> {
    let text = std::fs::read_to_string(log).with_context(|| format!("can't read `{}`", log.display()))?;
    let mut refusals = BTreeMap::new();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let field = |key: &str| line.get(key).and_then(Value::as_str);
        let reason = match (field("outcome"), field("eventType"), field("reason")) {
            (Some("deny"), _, Some(reason)) => reason,
            (_, Some("Publish-In"), Some("AUTHORIZATION_FAILURE")) => "publish_outside_its_scope",
            _ => continue,
        };
        *refusals.entry(reason.to_owned()).or_default() += 1;
    }
    Ok(refusals)
}
