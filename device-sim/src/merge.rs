//! One result of the results of a fleet's shards.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::faults::expectation;
use crate::latencies::{DecodeLatenciesError, EncodedLatencies, Latencies, Precision};
use crate::readings::{MAX_DEVICES, MAX_POINTS};
use crate::run_info::{RunInfo, Shards};
use crate::shard::MAX_SHARDS;
use crate::summary::{Devices, Example, Histograms, Messages, Summary};
use crate::timeline::{Timeline, TimelineError, add_counts};

/// Why results can't be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// There is nothing to merge.
    #[error("name the files to merge")]
    NoFiles,
    /// A file can't be read.
    #[error("can't read `{file}`: {error}", file = .0.display(), error = .1)]
    Io(PathBuf, io::Error),
    /// A file is larger than a result can be.
    #[error("`{}` has more than {MAX_FILE_BYTES} bytes, and a result never has", .0.display())]
    TooLarge(PathBuf),
    /// A file is empty, as that of a machine that was ended before its run.
    #[error("`{}` is empty: its run did not end, or ran without `--json`", .0.display())]
    Empty(PathBuf),
    /// A file has something else.
    #[error("`{file}` is not what `latchkey sim --json` prints: {error}", file = .0.display(), error = .1)]
    Json(PathBuf, serde_json::Error),
    /// A histogram can't be read.
    #[error("`{file}`: {error}", file = .0.display(), error = .1)]
    Latencies(PathBuf, DecodeLatenciesError),
    /// The timeline can't be read.
    #[error("the timeline of `{file}`: {error}", file = .0.display(), error = .1)]
    Timeline(PathBuf, TimelineError),
    /// A list is longer than that of any run.
    #[error("`{file}` has more {what} than a run ever has", file = .0.display(), what = .1)]
    TooMany(PathBuf, &'static str),
    /// It is the result of a whole fleet.
    #[error("`{}` is a run without `--shard`, and has nothing to be merged with", .0.display())]
    NoShard(PathBuf),
    /// Its shards can't be.
    #[error("`{}` names shards that can't exist", .0.display())]
    Shards(PathBuf),
    /// Two files differ in what all shards have in common.
    #[error(
        "`{one}` and `{other}` are not shards of one run: {what} is `{one_value}` in the first and `{other_value}` in the \
         second",
        one = one.display(),
        other = other.display()
    )]
    Different {
        /// The first file.
        one: PathBuf,
        /// The other file.
        other: PathBuf,
        /// What differs.
        what: String,
        /// Its value in the first file.
        one_value: String,
        /// Its value in the other file.
        other_value: String,
    },
    /// Two files have the same shard.
    #[error(
        "`{one}` and `{other}` overlap: both have shard {index}/{count}",
        one = one.display(),
        other = other.display()
    )]
    Overlap {
        /// The first file.
        one: PathBuf,
        /// The other file.
        other: PathBuf,
        /// The shard.
        index: u32,
        /// How many shards there are.
        count: u32,
    },
}

/// Reads and merges the results of shards.
///
/// # Errors
///
/// If a file can't be read or is not a result, or if the files are not different shards of one run.
pub fn files(paths: &[PathBuf]) -> Result<Summary, MergeError> {
    let mut parts = Vec::new();
    for path in paths {
        parts.push((path.as_path(), read(path)?));
    }
    check_together(&parts)?;
    parts
        .sort_by_key(|(_, part)| part.run.shards.as_ref().and_then(|shards| shards.indexes.first().copied()));
    let mut parts = parts.into_iter().map(|(_, part)| part);
    let first = parts.next().ok_or(MergeError::NoFiles)?;
    Ok(merged(first, parts.collect()))
}

/// Reads a result, which may follow other lines, as in the log of a container.
fn read(path: &Path) -> Result<Summary, MergeError> {
    let failed = |error| MergeError::Io(path.to_owned(), error);
    let mut text = String::new();
    File::open(path).map_err(failed)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > MAX_FILE_BYTES) {
        return Err(MergeError::TooLarge(path.to_owned()));
    }
    let Some(last) = text.lines().rfind(|line| !line.trim().is_empty()) else {
        return Err(MergeError::Empty(path.to_owned()));
    };
    let parsed = serde_json::from_str::<Summary>(&text).or_else(|error| {
        if error.is_syntax() && last.starts_with('{') { serde_json::from_str(last) } else { Err(error) }
    });
    let summary = parsed.map_err(|error| MergeError::Json(path.to_owned(), error))?;
    check(&summary, path)?;
    Ok(summary)
}

/// Checks a result by itself.
fn check(summary: &Summary, path: &Path) -> Result<(), MergeError> {
    for encoded in [&summary.histograms.connect, &summary.histograms.publish] {
        encoded.decode(Precision::Run).map_err(|error| MergeError::Latencies(path.to_owned(), error))?;
    }
    summary.timeline.check().map_err(|error| MergeError::Timeline(path.to_owned(), error))?;
    let too_many = |what| MergeError::TooMany(path.to_owned(), what);
    let points = summary.readings.iter().flat_map(|it| [it.temperature.len(), it.humidity.len()]);
    if summary.readings.len() > MAX_DEVICES || points.max().is_some_and(|points| points > MAX_POINTS) {
        return Err(too_many("readings"));
    }
    let shards = summary.run.shards.as_ref().ok_or_else(|| MergeError::NoShard(path.to_owned()))?;
    let is_ordered = shards.indexes.is_sorted_by(|one, next| one < next);
    let is_inside = shards.indexes.last().is_some_and(|last| *last < shards.count);
    if is_ordered && is_inside && shards.count <= MAX_SHARDS {
        Ok(())
    } else {
        Err(MergeError::Shards(path.to_owned()))
    }
}

/// Checks that the files are different shards of one run.
fn check_together(parts: &[(&Path, Summary)]) -> Result<(), MergeError> {
    let Some((first, rest)) = parts.split_first() else { return Ok(()) };
    for part in rest {
        same(first, part)?;
    }
    let mut owners = BTreeMap::new();
    for (path, part) in parts {
        let Some(Shards { count, indexes }) = &part.run.shards else { continue };
        for index in indexes {
            if let Some(one) = owners.insert(*index, *path) {
                let (one, other) = (one.to_owned(), (*path).to_owned());
                return Err(MergeError::Overlap { one, other, index: *index, count: *count });
            }
        }
    }
    Ok(())
}

/// Checks that two results have everything in common that shards of one run have.
fn same((one, first): &(&Path, Summary), (other, second): &(&Path, Summary)) -> Result<(), MergeError> {
    let different = |what: &str, one_value: String, other_value: String| {
        let (one, other) = ((*one).to_owned(), (*other).to_owned());
        Err(MergeError::Different { one, other, what: what.to_owned(), one_value, other_value })
    };
    let facts = |run: &RunInfo| {
        [
            ("the version", run.version.clone()),
            ("the number of shards", run.shards.as_ref().map_or(0, |shards| shards.count).to_string()),
            ("the fleet's number of devices", run.fleet.devices.to_string()),
            ("the fleet file's fingerprint", run.fleet.fingerprint.clone()),
        ]
    };
    for ((what, one_value), (_, other_value)) in facts(&first.run).into_iter().zip(facts(&second.run)) {
        if one_value != other_value {
            return different(what, one_value, other_value);
        }
    }
    let names = first.run.settings.keys().chain(second.run.settings.keys());
    for name in names {
        let value = |run: &RunInfo| run.settings.get(name).cloned().unwrap_or_else(|| "not set".to_owned());
        let (one_value, other_value) = (value(&first.run), value(&second.run));
        if one_value != other_value {
            return different(&format!("the option {name}"), one_value, other_value);
        }
    }
    Ok(())
}

/// Adds up the results of different shards of one run, in the order of their numbers.
fn merged(mut sum: Summary, rest: Vec<Summary>) -> Summary {
    let mut timelines = vec![sum.timeline.clone()];
    let (mut connect, mut publish) = (Latencies::new(Precision::Run), Latencies::new(Precision::Run));
    add_latencies(&mut connect, &sum.histograms.connect);
    add_latencies(&mut publish, &sum.histograms.publish);
    for part in rest {
        add_latencies(&mut connect, &part.histograms.connect);
        add_latencies(&mut publish, &part.histograms.publish);
        timelines.push(part.timeline.clone());
        add(&mut sum, part);
    }
    sum.timeline = Timeline::merged(&timelines);
    sum.connect_latency_ms = connect.percentiles();
    sum.publish_latency_ms = publish.percentiles();
    sum.histograms = Histograms { connect: connect.encode(), publish: publish.encode() };
    sum.wall_time_ms = sum.run.ended_at_ms.saturating_sub(sum.run.started_at_ms);
    let is_complete = sum.run.shards.as_ref().is_some_and(|shards| shards.missing().next().is_none());
    expectation::judge(&mut sum, is_complete);
    sum.ok &= is_complete;
    sum
}

/// The texts were checked when they were read.
fn add_latencies(sum: &mut Latencies, encoded: &EncodedLatencies) {
    if let Ok(latencies) = encoded.decode(Precision::Run) {
        sum.add(&latencies);
    }
}

/// Adds everything but latencies and timelines.
fn add(sum: &mut Summary, part: Summary) {
    sum.devices = Devices {
        expected: sum.devices.expected.saturating_add(part.devices.expected),
        started: sum.devices.started.saturating_add(part.devices.started),
        connected: sum.devices.connected.saturating_add(part.devices.connected),
        online: sum.devices.online.saturating_add(part.devices.online),
        got_through: sum.devices.got_through.saturating_add(part.devices.got_through),
        refused: sum.devices.refused.saturating_add(part.devices.refused),
        unreachable: sum.devices.unreachable.saturating_add(part.devices.unreachable),
        lost: sum.devices.lost.saturating_add(part.devices.lost),
    };
    sum.messages = Messages {
        sent: sum.messages.sent.saturating_add(part.messages.sent),
        acknowledged: sum.messages.acknowledged.saturating_add(part.messages.acknowledged),
        failed: sum.messages.failed.saturating_add(part.messages.failed),
    };
    for (sum, part) in [
        (&mut sum.refused, &part.refused),
        (&mut sum.unreachable, &part.unreachable),
        (&mut sum.lost, &part.lost),
        (&mut sum.failed, &part.failed),
    ] {
        add_counts(sum, part);
    }
    sum.sensor_failures = sum.sensor_failures.saturating_add(part.sensor_failures);
    sum.faults.add(part.faults);
    sum.run.started_at_ms = sum.run.started_at_ms.min(part.run.started_at_ms);
    sum.run.ended_at_ms = sum.run.ended_at_ms.max(part.run.ended_at_ms);
    if let (Some(shards), Some(more)) = (&mut sum.run.shards, part.run.shards) {
        shards.indexes.extend(more.indexes);
        shards.indexes.sort_unstable();
    }
    sum.readings.extend(part.readings);
    sum.readings.truncate(MAX_DEVICES);
    for example in part.examples {
        let is_known = |it: &&Example| (it.outcome, &it.reason) == (example.outcome, &example.reason);
        if sum.examples.iter().find(is_known).is_none() {
            sum.examples.push(example);
        }
    }
}

/// A result has up to a megabyte; a merge reads the logs of containers too.
const MAX_FILE_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::client::ConnectError;
    use crate::device::{Event, EventKind};
    use crate::run_info::Fleet;
    use crate::tally::Tally;

    const START: Duration = Duration::from_secs(1_796_053_268);

    fn info(shards: Option<Shards>) -> RunInfo {
        RunInfo {
            version: "0.1.0".to_owned(),
            started_at_ms: 1_796_053_268_000,
            ended_at_ms: 1_796_053_298_000,
            fleet: Fleet { devices: 40, fingerprint: "00ff".to_owned() },
            shards,
            settings: BTreeMap::from([("interval".to_owned(), "5s".to_owned())]),
        }
    }

    /// Plays the events of a fleet of 40 devices in half a minute, those of one shard or all.
    fn run(shard: Option<(u32, u32)>) -> Summary {
        let own = |row: u32| shard.is_none_or(|(index, count)| row % count == index);
        let rows = (0..40).filter(|row| own(*row)).collect::<Vec<u32>>();
        let mut tally = Tally::new(rows.len(), START);
        for step in 0..3_000_u32 {
            let row = step % 40;
            let Some(index) = rows.iter().position(|own| *own == row) else { continue };
            let latency = Duration::from_micros(u64::from(step * step % 90_001) * 11 + 1);
            let kind = match (step / 40, row) {
                (0, _) => EventKind::Started,
                (1, 7) => EventKind::NotConnected { error: ConnectError::ClosedBeforeConnAck, again: false },
                (_, 7) => continue,
                (1, _) => EventKind::Connected(latency),
                _ => EventKind::Acknowledged(device_core::Reading::temperature(21_000), latency),
            };
            let event = Event { index, device: format!("d{row}").into(), kind };
            tally.count(&event, START + Duration::from_millis(u64::from(step) * 10));
        }
        tally.advance(START + Duration::from_secs(30));
        let shards = shard.map(|(index, count)| Shards { count, indexes: vec![index] });
        tally.summary(info(shards))
    }

    /// Writes each result to a file, and merges them.
    fn merge(results: &[Value]) -> Result<Summary, String> {
        let folder = tempfile::tempdir().unwrap();
        let paths = (0..results.len()).map(|number| folder.path().join(format!("{number}.json")));
        let paths = paths.collect::<Vec<_>>();
        for (path, result) in paths.iter().zip(results) {
            fs::write(path, result.to_string()).unwrap();
        }
        let folder = format!("{}/", folder.path().display());
        files(&paths).map_err(|error| error.to_string().replace(&folder, ""))
    }

    fn shard(index: u32, count: u32) -> Value {
        serde_json::to_value(run(Some((index, count)))).unwrap()
    }

    #[test]
    fn merged_shards_are_one_run() {
        let whole = run(None);
        for count in [1, 2, 3, 7] {
            let mut shards = (0..count).map(|index| shard(index, count)).collect::<Vec<_>>();
            shards.reverse();
            let merged = merge(&shards).unwrap();
            assert_eq!(merged.run.shards, Some(Shards { count, indexes: (0..count).collect() }));
            assert_eq!(merged.readings.len(), 4);
            let (run, readings) = (whole.run.clone(), whole.readings.clone());
            assert_eq!(Summary { run, readings, ..merged }, whole, "{count} shards");
        }
    }

    #[test]
    fn a_merge_can_be_merged_and_knows_what_is_missing() {
        let half = merge(&[shard(0, 4), shard(2, 4)]).unwrap();
        assert_eq!(half.run.shards.as_ref().unwrap().missing().collect::<Vec<_>>(), [1, 3]);
        let half = serde_json::to_value(half).unwrap();
        let whole = merge(&[shard(3, 4), half.clone(), shard(1, 4)]).unwrap();
        assert_eq!((whole.devices, whole.messages), (run(None).devices, run(None).messages));
        let overlap = merge(&[shard(0, 4), shard(1, 4), half]).unwrap_err();
        assert_eq!(overlap, "`0.json` and `2.json` overlap: both have shard 0/4");
    }

    #[test]
    fn a_run_without_a_shard_of_it_did_not_get_through() {
        let through = |part: &mut Value| {
            part["faults"]["missing"] = json!({"refused": 0, "unreachable": 0, "other": 0});
        };
        let mut parts = [0, 2].map(|index| shard(index, 3));
        parts.iter_mut().for_each(through);
        assert!(!merge(&parts).unwrap().ok);
        let mut parts = [0, 1, 2].map(|index| shard(index, 3));
        // The device of row 7 is refused.
        assert!(!merge(&parts).unwrap().ok);
        parts.iter_mut().for_each(through);
        assert!(merge(&parts).unwrap().ok);
    }

    #[test]
    fn an_expectation_is_one_of_the_whole_fleet() {
        let share = |text: &str| json!([{"of": "refused", "share": text, "tolerance": "0", "expected": 0, "seen": 0, "met": null}]);
        let merged = |text: &str| {
            let mut parts = [0, 1, 2, 3].map(|index| shard(index, 4));
            for part in &mut parts {
                part["expectations"] = share(text);
            }
            merge(&parts).unwrap()
        };
        // One of 40 devices is refused, and none of the ten of most shards.
        let met = merged("2.5%");
        assert!(met.ok, "{met}");
        let expectation = &met.expectations[0];
        assert_eq!((expectation.expected, expectation.seen, expectation.met), (1, 1, Some(true)));
        let not_met = merged("10%");
        assert_eq!((not_met.ok, not_met.expectations[0].met), (false, Some(false)));
        let text = "expected 4 devices (10%) to be refused; seen: 1";
        assert_eq!(not_met.expectations[0].to_string(), text);
    }

    #[test]
    fn what_is_not_of_one_run_is_named() {
        let changed = |path: &str, value: Value| {
            let mut other = shard(1, 2);
            *other.pointer_mut(path).unwrap() = value;
            merge(&[shard(0, 2), other]).unwrap_err()
        };
        let cases = [
            ("/run/version", json!("9.9.9"), "the version is `0.1.0` in the first and `9.9.9` in the second"),
            ("/run/fleet/devices", json!(41), "the fleet's number of devices is `40`"),
            ("/run/fleet/fingerprint", json!("beef"), "the fleet file's fingerprint is `00ff`"),
            (
                "/run/settings/interval",
                json!("9s"),
                "the option interval is `5s` in the first and `9s` in the second",
            ),
            (
                "/run/settings",
                json!({}),
                "the option interval is `5s` in the first and `not set` in the second",
            ),
            ("/run/shards/count", json!(3), "the number of shards is `2` in the first and `3` in the second"),
            ("/run/shards/indexes", json!([0]), "`0.json` and `1.json` overlap: both have shard 0/2"),
            ("/run/shards/indexes", json!([2]), "`1.json` names shards that can't exist"),
            ("/run/shards/indexes", json!([]), "`1.json` names shards that can't exist"),
            (
                "/run/shards",
                json!({"count": u32::MAX, "indexes": [1]}),
                "`1.json` names shards that can't exist",
            ),
            ("/run/shards", json!(null), "`1.json` is a run without `--shard`"),
            ("/histograms/connect", json!("????"), "`1.json`: a histogram is not one of `latchkey sim`"),
            (
                "/timeline/interval_ms",
                json!(0),
                "the timeline of `1.json`: the length of its intervals, 0 ms",
            ),
            ("/devices", json!(1), "`1.json` is not what `latchkey sim --json` prints: "),
        ];
        for (path, value, message) in cases {
            let error = changed(path, value);
            assert!(error.contains(message), "{path}: {error}");
        }
    }

    #[test]
    fn counts_that_no_machine_can_have_do_not_overflow() {
        let mut parts = [shard(0, 2), shard(1, 2)];
        for part in &mut parts {
            part["messages"]["sent"] = json!(u64::MAX);
            part["devices"]["expected"] = json!(usize::MAX);
            part["refused"] = json!({"closed_before_connack": u64::MAX});
            part["timeline"]["intervals"][0]["online"] = json!(u64::MAX);
            part["timeline"]["intervals"][0]["connected"] = json!(u64::MAX);
        }
        assert_eq!(merge(&parts).unwrap().messages.sent, u64::MAX);
    }

    #[test]
    fn a_file_that_is_no_result_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        for (text, message) in [
            ("", "is empty: its run did not end"),
            ("\n \n", "is empty"),
            ("{", "is not what `latchkey sim --json` prints: EOF"),
            ("{}", "missing field"),
            ("null", "is not what"),
            ("a line\n{}\n", "missing field"),
        ] {
            fs::write(&path, text).unwrap();
            let error = files(std::slice::from_ref(&path)).unwrap_err().to_string();
            assert!(error.contains(message), "{text:?}: {error}");
        }
        let error = files(&[folder.path().join("none.json")]).unwrap_err().to_string();
        assert!(error.contains("can't read") && error.contains("none.json"), "{error}");
        // The log of a container has what went to standard error too.
        fs::write(&path, format!("using something\n{}\n\n", shard(0, 1))).unwrap();
        assert!(files(&[path]).is_ok());
    }
}
