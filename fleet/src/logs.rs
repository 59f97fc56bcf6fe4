//! `latchkey fleet logs`: what happened with clients, from the function's log and AWS IoT's own.
//!
//! [`file`] and [`cloudwatch`] read [`line`]s, [`merge`] joins the two lines about a connect to an [`event`], and [`reason`] has
//! the causes and cures that a line does not have. [`recent`] reads one client's lines for the doctor.

#[cfg(feature = "aws")]
mod cloudwatch;
pub mod event;
mod file;
pub mod line;
pub mod merge;
pub mod reason;
pub mod recent;

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cli::{
    console::{Console, status},
    format::OutputFormat,
};
use device_sim::Deployment;
use indicatif::HumanCount;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

#[cfg(feature = "aws")]
use self::cloudwatch::CloudWatchLog;
use self::{
    event::{Event, Outcome},
    file::FileLog,
    line::{Line, time_of},
    merge::Merger,
};
use crate::args::{LogSourceArgs, LogsArgs};

const DEFAULT_FILE: &str = ".latchkey/events.jsonl";
/// Between two looks at a log that grows.
const BETWEEN_READS_OF_FILE: Duration = Duration::from_millis(300);
#[cfg(feature = "aws")]
const BETWEEN_READS_OF_CLOUDWATCH: Duration = Duration::from_secs(3);
/// Between two lines that say how far a long log is read.
const BETWEEN_LINES: Duration = Duration::from_secs(10);
/// The keys of an event's JSON, as columns.
const COLUMNS_OF_CSV: [&str; 12] = [
    "time",
    "event",
    "outcome",
    "device",
    "client_id",
    "address",
    "topic",
    "reason",
    "decided_by",
    "function",
    "explanation",
    "connection_id",
];
/// After so many lines, Ctrl-C is looked for.
const LINES_PER_LOOK: u64 = 1_000;
/// Client ids of one device that are remembered.
const MAX_CLIENT_IDS: usize = 1_000;

/// A log that is read.
pub(crate) struct Source {
    reader: Reader,
    /// The time of the oldest line that counts.
    pub(crate) since: u64,
    /// What is read, as in a sentence.
    pub(crate) description: String,
}

enum Reader {
    File(FileLog),
    #[cfg(feature = "aws")]
    CloudWatch(Box<CloudWatchLog>),
}

/// Prints the events of a log, until its end, or until `stop` if it is followed. Returns whether it was read as asked.
///
/// # Errors
///
/// When the log can't be read.
pub async fn run(
    args: &LogsArgs,
    console: &mut Console<'_>,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let deployment = args.deployment.find(Path::new("."))?;
    let source = Source::open(&args.source, deployment.as_ref(), args.region.as_deref()).await?;
    status(&source.announcement());
    if console.format == OutputFormat::Csv {
        match console.print_rows(&COLUMNS_OF_CSV, [], &Value::Null, "") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(true),
            printed => printed?,
        }
    }
    let mut filter = Filter { args, client_ids: HashSet::new() };
    // A line has the time only, so a line with the day comes before the first event of each other day than today.
    let mut day = day_of(now());
    let mut shown = 0_u64;
    let read = source
        .read(args.follow, stop, |event| {
            if !filter.admits(&event) {
                return Ok(());
            }
            shown += 1;
            match console.format {
                OutputFormat::Json => writeln!(console.output, "{}", event.json())?,
                OutputFormat::Csv => console.print_csv_row(&COLUMNS_OF_CSV, &event.json())?,
                OutputFormat::Table => {
                    let of_event = day_of(event.time);
                    if of_event != day {
                        writeln!(console.output, "{of_event}")?;
                        day = of_event;
                    }
                    writeln!(console.output, "{}", event.text())?;
                }
            }
            if args.follow { console.output.flush() } else { Ok(()) }
        })
        .await?;
    if shown == 0 && !args.follow && read == Read::Whole {
        status("there is no such event in this time; `--since 7d` goes further back");
    }
    Ok(args.follow || read == Read::Whole)
}

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// At the end of the log, or because nobody reads the result.
    Whole,
    /// By Ctrl-C.
    Stopped,
}

/// Which events are shown.
struct Filter<'a> {
    args: &'a LogsArgs,
    /// The client ids with which the device was seen, for lines that don't have its name.
    client_ids: HashSet<String>,
}

impl Filter<'_> {
    fn admits(&mut self, event: &Event) -> bool {
        let is_of_device = self.args.device.as_ref().is_none_or(|name| {
            if event.device.as_ref() == Some(name) {
                if self.client_ids.len() < MAX_CLIENT_IDS && event.outcome == Outcome::Allow {
                    self.client_ids.extend(event.client_id.clone());
                }
                return true;
            }
            let id = event.client_id.as_ref();
            id.is_some_and(|id| id == name || (event.device.is_none() && self.client_ids.contains(id)))
        });
        is_of_device && (self.args.outcome.is_empty() || self.args.outcome.contains(&event.outcome))
    }
}

impl Source {
    /// Opens the log that is named, or the deployment's, or that of `latchkey local` in this folder.
    ///
    /// # Errors
    ///
    /// When it can't be read.
    #[cfg_attr(not(feature = "aws"), expect(clippy::unused_async, reason = "only CloudWatch is waited for"))]
    pub(crate) async fn open(
        args: &LogSourceArgs,
        deployment: Option<&Deployment>,
        region: Option<&str>,
    ) -> anyhow::Result<Self> {
        let since = now().saturating_sub(u64::try_from(args.since.as_millis()).unwrap_or(u64::MAX));
        let group =
            args.log_group.as_ref().or(deployment.map(|it| &it.log_group)).filter(|_| args.log.is_none());
        let (reader, description) = match group {
            #[cfg(feature = "aws")]
            Some(group) => {
                let region = region.or(deployment.map(|it| it.region.as_str()));
                let aws = crate::aws::configuration(region, crate::aws::PATIENT).await?;
                let log = CloudWatchLog::new(&aws, group, &args.iot_log_group, since, now());
                let description = format!("the log groups `{group}` and `{}`", args.iot_log_group);
                (Reader::CloudWatch(Box::new(log)), description)
            }
            #[cfg(not(feature = "aws"))]
            Some(_) => {
                _ = region;
                return Err(crate::run::not_built("logs"));
            }
            None => {
                let path = args.log.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
                (Reader::File(FileLog::open(&path, since)?), format!("the log `{}`", path.display()))
            }
        };
        let description = format!("{description}, the last {}", humantime::format_duration(args.since));
        Ok(Self { reader, since, description })
    }

    /// One line that says what is read.
    pub(crate) fn announcement(&self) -> String {
        format!("reading {}", self.description)
    }

    /// Gives each event to `each`, until the end of the log, or until `stop`. A reader of the output that went away ends it
    /// too.
    ///
    /// # Errors
    ///
    /// When the log can't be read, or `each` fails.
    pub(crate) async fn read(
        mut self,
        follow: bool,
        stop: &CancellationToken,
        mut each: impl FnMut(Event) -> io::Result<()>,
    ) -> anyhow::Result<Read> {
        let mut merger = Merger::new(self.window());
        let (mut lines, mut last_line) = (0_u64, Instant::now());
        let mut give = |events: Vec<Event>| -> io::Result<bool> {
            for event in events {
                match each(event) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
                    given => given?,
                }
            }
            Ok(true)
        };
        loop {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => None,
                next = self.next() => Some(next?),
            };
            match next {
                Some(Some(line)) => {
                    lines += 1;
                    let time = line.time;
                    if !give(merger.add(line))? {
                        return Ok(Read::Whole);
                    }
                    if lines.is_multiple_of(LINES_PER_LOOK) {
                        // A file is read without a pause, in which a signal would be seen.
                        tokio::task::yield_now().await;
                        if !follow && last_line.elapsed() >= BETWEEN_LINES {
                            last_line = Instant::now();
                            let time = humantime::format_rfc3339_seconds(time_of(time));
                            status(&format!("{} lines read, up to {time}", HumanCount(lines)));
                        }
                    }
                }
                Some(None) if follow => {
                    if !give(merger.advance(now()))? {
                        return Ok(Read::Whole);
                    }
                    self.wait(stop).await?;
                }
                Some(None) => {
                    give(merger.finish())?;
                    return Ok(Read::Whole);
                }
                None => {
                    give(merger.finish())?;
                    return Ok(Read::Stopped);
                }
            }
        }
    }

    fn window(&self) -> u64 {
        match self.reader {
            Reader::File(_) => merge::OF_GATEWAY,
            #[cfg(feature = "aws")]
            Reader::CloudWatch(_) => merge::OF_AWS,
        }
    }

    #[cfg_attr(not(feature = "aws"), expect(clippy::unused_async, reason = "only CloudWatch is waited for"))]
    async fn next(&mut self) -> anyhow::Result<Option<Line>> {
        match &mut self.reader {
            Reader::File(file) => file.next(),
            #[cfg(feature = "aws")]
            Reader::CloudWatch(log) => log.next().await,
        }
    }

    /// Waits until there may be more lines.
    async fn wait(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let pause = match self.reader {
            Reader::File(_) => BETWEEN_READS_OF_FILE,
            #[cfg(feature = "aws")]
            Reader::CloudWatch(_) => BETWEEN_READS_OF_CLOUDWATCH,
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => return Ok(()),
        }
        match &mut self.reader {
            Reader::File(file) => file.reopen_if_new()?,
            #[cfg(feature = "aws")]
            Reader::CloudWatch(log) => log.restart(now()),
        }
        Ok(())
    }
}

/// The day of a time, as `2026-11-30`.
fn day_of(millis: u64) -> String {
    let time = humantime::format_rfc3339_seconds(time_of(millis)).to_string();
    time.split_once('T').map_or_else(String::new, |(day, _)| day.to_owned())
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
