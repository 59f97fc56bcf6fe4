//! The summary that ends the demo.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::outsiders::Refused;

/// What `latchkey sim --json` prints, as far as it is needed here.
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
    /// Messages that the gateway acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.messages.acknowledged
    }
}

/// What happened.
pub(super) struct Outcome {
    pub(super) summary: SimSummary,
    pub(super) refused: Refused,
    pub(super) received: u64,
    pub(super) log: PathBuf,
}

/// What happened, with what the log says about it.
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
    /// Reads the refusals from the log: what is shown is what was decided, not what was meant to happen.
    pub(super) fn new(outcome: Outcome) -> anyhow::Result<Self> {
        let Outcome { summary, refused, received, log } = outcome;
        let refusals = refusals(&log)?;
        let expected = ["wrong_password", "publish_outside_its_scope"].map(|reason| (reason.to_owned(), 1));
        let as_expected = summary.ok
            && refused.intruder.failed
            && refused.trespasser.failed
            && received == summary.acknowledged()
            && refusals == BTreeMap::from(expected);
        Ok(Self { as_expected, summary, readings_at_the_dashboard: received, refusals, decision_log: log })
    }

    /// Whether all that should be let in was, and nothing else.
    pub(super) fn as_expected(&self) -> bool {
        self.as_expected
    }

    /// Prints it; a failed write has no other place to go.
    pub(super) fn print(&self, json: bool) {
        _ = if json {
            writeln!(io::stdout(), "{}", serde_json::to_string(self).unwrap_or_default())
        } else {
            self.text(&mut io::stdout())
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
            writeln!(out, "\nall as it should be; next: latchkey local, then latchkey fleet add my-device")
        } else {
            writeln!(out, "\nNOT as it should be: the decision log tells more")
        }
    }
}

/// Refusals by reason: the authorizer's own lines, and the policy's on what connected devices tried.
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
