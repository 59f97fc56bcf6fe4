//! `latchkey fleet stats` and `latchkey fleet status`: counts over a log and the records.
//!
//! [`counts`] counts, without IO; this reads the log and the records, and prints.

pub mod counts;

use std::fmt::Write as _;

use cli::{
    console::{Console, counted, status, wrapped},
    format::{row_with, rows_in},
};
use device_auth::device_name::DeviceName;
use indicatif::HumanCount;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::counts::{Counts, Refusal};
use crate::{
    args::{LogSourceArgs, StatsArgs, StatusArgs},
    logs::{Read, Source, event::Decider, line::time_of, reason},
    record_store::RecordStore,
    store_option::{self, Target},
};

/// Where the second column begins.
const INDENT: usize = 13;
/// How many reasons the one screen of `status` has.
const REASONS_OF_STATUS: usize = 8;

/// The columns of CSV: a count of a kind, or a device that was not seen.
const COLUMNS_OF_CSV: [&str; 7] =
    ["kind", "name", "count", "decided_by", "function_has_line", "example", "last"];

/// The records of a store.
struct Records {
    enabled: Vec<DeviceName>,
    disabled: usize,
    /// Items of a table that are not records.
    malformed: usize,
}

/// Prints how a fleet is. Returns whether the log was read to its end.
///
/// # Errors
///
/// When the store can't be read, or a log that the command line names.
pub async fn status_of(
    args: &StatusArgs,
    target: &Target,
    console: &mut Console<'_>,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let records = records(target).await?;
    // Without a log, one that nobody named, the records are shown alone.
    let log = count(&args.source, target, &records.enabled, stop).await;
    let is_named = args.source.log.is_some() || args.source.log_group.is_some();
    let log = match log {
        Err(error) if !is_named => Err(error),
        log => Ok(log?),
    };
    let store = store_option::description(&target.location);
    let (total, enabled) = (records.enabled.len() + records.disabled, records.enabled.len());
    let json = json!({
        "store": store_option::value(&target.location),
        "records": {
            "total": total, "enabled": enabled, "disabled": records.disabled, "not_records": records.malformed,
        },
        "log": log.as_ref().map_or_else(
            |error| json!({"error": cli::error_text(error.as_ref())}),
            |(counts, read, description)| {
                let mut json = counts.json(usize::MAX);
                if let Some(members) = json.as_object_mut() {
                    members.remove("not_seen");
                    members.extend([
                        ("source".to_owned(), json!(description)),
                        ("whole".to_owned(), json!(*read == Read::Whole)),
                        ("live".to_owned(), json!(counts.live())),
                    ]);
                }
                json
            },
        ),
    });
    let mut text = Lines::default();
    text.line("store", &store);
    let malformed = if records.malformed == 0 {
        String::new()
    } else {
        format!(", {} that are not records", records.malformed)
    };
    text.line(
        "records",
        &format!(
            "{}: {} enabled, {} disabled{malformed}",
            HumanCount(u64_of(total)),
            HumanCount(u64_of(enabled)),
            HumanCount(u64_of(records.disabled))
        ),
    );
    match &log {
        Err(error) => text.line("log", &cli::error_text(error.as_ref())),
        Ok((counts, _, description)) => {
            text.line("log", description);
            text.line("live", &format!(
                "{} of {} enabled devices: connected or refreshed in this time, and not disconnected since",
                HumanCount(counts.live()),
                HumanCount(u64_of(enabled))
            ));
            text.line("connects", &connects(counts));
            let refusals = counts.refusals();
            let shown = refusals.iter().take(REASONS_OF_STATUS);
            let shown = shown.map(|refusal| format!("{} {}", HumanCount(refusal.count), named(refusal)));
            text.line("refusals", &listed(&shown.collect::<Vec<_>>(), refusals.len()));
            let faults = counts.faults();
            let shown = faults.iter().take(REASONS_OF_STATUS);
            let shown = shown.map(|refusal| format!("{} {}", HumanCount(refusal.count), refusal.reason));
            text.line("faults", &listed(&shown.collect::<Vec<_>>(), faults.len()));
        }
    }
    let records = json.get("records").and_then(Value::as_object).into_iter().flatten();
    let records = records.map(|(name, count)| json!({"kind": "records", "name": name, "count": count}));
    let log_rows = json.get("log").map(rows_of).unwrap_or_default();
    let rows = records.chain(log_rows).collect::<Vec<_>>();
    console.print_rows(&COLUMNS_OF_CSV, rows, &json, &text.0)?;
    Ok(!matches!(log, Ok((_, Read::Stopped, _))))
}

/// Prints counts over a log. Returns whether it was read to its end.
///
/// # Errors
///
/// When the log can't be read.
pub async fn stats(
    args: &StatsArgs,
    target: &Target,
    console: &mut Console<'_>,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let records = records(target).await;
    if let Err(error) = &records {
        status(&format!(
            "without records, devices that are not seen can't be counted: {}",
            cli::error_text(error.as_ref())
        ));
    }
    let enabled = records.as_ref().map(|records| &*records.enabled).unwrap_or_default();
    let (counts, read, description) = count(&args.source, target, enabled, stop).await?;
    let mut json = counts.json(args.top);
    if let Some(members) = json.as_object_mut() {
        members.insert("source".to_owned(), json!(description));
        members.insert("whole".to_owned(), json!(read == Read::Whole));
        if records.is_err() {
            members.insert("not_seen".to_owned(), Value::Null);
        }
    }
    let mut text = Lines::default();
    text.line("log", &description);
    text.line("connects", &connects(&counts));
    for (label, list) in [("refusals", counts.refusals()), ("faults", counts.faults())] {
        let total = list.iter().map(|refusal| refusal.count).sum::<u64>();
        text.line(label, &HumanCount(total).to_string());
        for refusal in list.iter().take(args.top) {
            let example =
                refusal.example.as_ref().map(|name| format!(", `{name}` for example")).unwrap_or_default();
            let cause =
                reason::explanation(&refusal.reason).map(|text| format!(": {text}")).unwrap_or_default();
            let last = humantime::format_rfc3339_seconds(time_of(refusal.last));
            text.line(
                "",
                &format!("{} {}{example}, last {last}{cause}", HumanCount(refusal.count), named(refusal)),
            );
        }
    }
    let takeovers = counts.takeovers();
    let shown = takeovers
        .iter()
        .take(args.top)
        .map(|(id, count)| format!("`{id}` {}", counted(HumanCount(*count), "time")));
    let cure = if takeovers.is_empty() { "" } else { "; each device needs a client id of its own" };
    text.line("take-overs", &(listed(&shown.collect::<Vec<_>>(), takeovers.len()) + cure));
    if records.is_ok() {
        let not_seen = counts.not_seen();
        let shown = not_seen.iter().take(args.top).map(|name| format!("`{name}`"));
        let all = HumanCount(u64_of(enabled.len()));
        text.line(
            "not seen",
            &format!(
                "{} of {all} enabled devices{}{}",
                HumanCount(u64_of(not_seen.len())),
                if not_seen.is_empty() { "" } else { ": " },
                if not_seen.is_empty() {
                    String::new()
                } else {
                    listed(&shown.collect::<Vec<_>>(), not_seen.len())
                }
            ),
        );
    }
    if counts.left_out() > 0 {
        text.line(
            "left out",
            &format!(
                "{} beyond the first kinds of which counts are kept",
                counted(HumanCount(counts.left_out()), "event")
            ),
        );
    }
    console.print_rows(&COLUMNS_OF_CSV, rows_of(&json), &json, &text.0)?;
    Ok(read == Read::Whole)
}

/// The counts of a log as rows of CSV, from their JSON.
fn rows_of(log: &Value) -> Vec<Value> {
    let mut rows = Vec::new();
    for (kind, key) in [("connects", "connects"), ("live", "live"), ("left out", "left_out")] {
        rows.extend(log.get(key).map(|count| json!({"kind": kind, "count": count})));
    }
    rows.extend(log.get("error").map(|error| json!({"kind": "log not read", "name": error})));
    let minutes = log.get("connects_by_minute").and_then(Value::as_object).into_iter().flatten();
    rows.extend(
        minutes.map(|(time, count)| json!({"kind": "connects of a minute", "name": time, "count": count})),
    );
    for (kind, key, name) in [
        ("refusal", "refusals", "reason"),
        ("fault", "faults", "reason"),
        ("take-over", "takeovers", "client_id"),
    ] {
        rows.extend(rows_in(log, key).into_iter().map(|counted| {
            let name = counted.get(name).cloned().unwrap_or_default();
            row_with(row_with(counted, "kind", json!(kind)), "name", name)
        }));
    }
    let not_seen = rows_in(log, "not_seen").into_iter();
    rows.extend(not_seen.map(|device| json!({"kind": "not seen", "name": device})));
    rows
}

/// Counts the events of a log.
async fn count(
    args: &LogSourceArgs,
    target: &Target,
    enabled: &[DeviceName],
    stop: &CancellationToken,
) -> anyhow::Result<(Counts, Read, String)> {
    let source = Source::open(args, target.deployment.as_ref(), target.access.region.as_deref()).await?;
    status(&source.announcement());
    let description = source.description.clone();
    let mut counts = Counts::new(enabled.iter().map(ToString::to_string), source.since);
    let read = source
        .read(false, stop, |event| {
            counts.add(&event);
            Ok(())
        })
        .await?;
    Ok((counts, read, description))
}

async fn records(target: &Target) -> anyhow::Result<Records> {
    let contents = RecordStore::open(&target.location, &target.access).await?.contents().await?;
    let total = contents.document.devices.len();
    let enabled = contents.document.devices.into_iter().filter(|(_, record)| record.enabled);
    let enabled = enabled.map(|(name, _)| name).collect::<Vec<_>>();
    Ok(Records { disabled: total - enabled.len(), enabled, malformed: contents.malformed.len() })
}

/// Lines with a label each.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, label: &str, text: &str) {
        let line = wrapped(INDENT, &format!("{label:<INDENT$}{text}"));
        _ = writeln!(self.0, "{}", line.trim_end());
    }
}

fn connects(counts: &Counts) -> String {
    let what =
        if counts.has_connects() { "" } else { " with refreshes, because AWS IoT's own log is not there" };
    let most = counts.busiest_minute().map(|(minute, count)| {
        let time = humantime::format_rfc3339_seconds(time_of(minute * 60_000));
        format!("; at most {} in a minute, at {time}", HumanCount(count))
    });
    format!("{}{what}{}", HumanCount(counts.connects()), most.unwrap_or_default())
}

fn named(refusal: &Refusal) -> String {
    match refusal.by {
        Decider::Function => refusal.reason.clone(),
        Decider::AwsIot if refusal.is_without_function => {
            format!("{} (the function has no line)", refusal.reason)
        }
        Decider::AwsIot => format!("{} (by AWS IoT)", refusal.reason),
    }
}

fn listed(shown: &[String], of: usize) -> String {
    let more = of.saturating_sub(shown.len());
    match (shown.len(), more) {
        (0, 0) => "none".to_owned(),
        (_, 0) => shown.join(", "),
        _ => format!("{}, and {} more", shown.join(", "), HumanCount(u64_of(more))),
    }
}

fn u64_of(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
