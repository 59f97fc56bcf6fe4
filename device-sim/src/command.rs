//! The whole command, from arguments to exit code.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;
use cli::{console, exit, output, signal};
use humantime::format_duration;
use tokio_util::sync::CancellationToken;

use crate::args::{MergeArgs, SimArgs, SimCommand};
use crate::client::{Authorization, Options};
use crate::connection_settings::{ConnectionSettings, ProxyVariableError};
use crate::credentials_file::CredentialsError;
use crate::deployment::DeploymentError;
use crate::device::{Behavior, Device, DeviceError};
use crate::endpoint::{Endpoint, EndpointError, Transport};
use crate::fleet::{self, Plan};
use crate::login::SchemeError;
use crate::merge;
pub use crate::progress::Streams;
use crate::progress::{Lines, Progress};
use crate::report;
use crate::run_info::{Fleet, RunInfo, Shards};
use crate::summary::Summary;

/// How the command ended. Each has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: every expected device got through.
    Through,
    /// 1: not every device got through.
    NotThrough,
    /// 64: the command line, or a file that it names, is wrong.
    Usage,
    /// 130: a second Ctrl-C.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Through => Self::SUCCESS,
            Exit::NotThrough => Self::FAILURE,
            Exit::Usage => Self::from(exit::USAGE),
            Exit::Interrupted => Self::from(exit::INTERRUPTED),
        }
    }
}

/// Runs the command on this process's standard streams, until it is over, Ctrl-C is pressed, or, with
/// `--stop-with-stdin`, standard input closes.
pub async fn run(args: &SimArgs) -> Exit {
    let (mut out, mut err) = (output::stdout(), output::stderr());
    let terminal = err.is_terminal();
    let mut streams = Streams { out: &mut out, err: &mut err, terminal };
    let first = CancellationToken::new();
    let second = async {
        tokio::select! {
            () = signal::ctrl_c() => {}
            () = signal::stdin_closed(), if args.stop_with_stdin => {}
        }
        first.cancel();
        signal::ctrl_c().await;
    };
    tokio::select! {
        exit = run_with(args, &mut streams, first.cancelled()) => exit,
        () = second => Exit::Interrupted,
    }
}

/// Runs the command on any streams, until it is over or `shutdown` completes.
pub async fn run_with(args: &SimArgs, streams: &mut Streams<'_>, shutdown: impl Future<Output = ()>) -> Exit {
    if let Some(SimCommand::Merge(args)) = &args.command {
        return merge(args, streams);
    }
    let settings = ConnectionSettings::find(&args.connection, &args.deployment, Path::new("."));
    let planned = settings.map_err(PlanError::from).and_then(|settings| {
        let settings = settings.by(&args.transport, args.connection.alpn.as_ref())?;
        if let (Some(used), false) = (&settings.deployment, args.quiet) {
            let line = console::message(&format!("using {used}"), streams.terminal);
            writeln!(streams.err, "{line}").unwrap_or_default();
        }
        plan(args, &settings)
    });
    let plan = match planned {
        Ok(plan) => plan,
        Err(error) => return usage(&format!("latchkey sim: {error}"), streams),
    };
    allow_files();
    let lines = Lines { readings: args.readings, progress: !args.quiet, json: args.json };
    let mut progress = Progress::new(streams, lines, plan.devices.len());
    let summary = fleet::run(plan, &mut progress, shutdown).await;
    drop(progress);
    end(&summary, args.json, args.report.as_deref(), streams)
}

/// Makes one result of those of several shards.
fn merge(args: &MergeArgs, streams: &mut Streams<'_>) -> Exit {
    match merge::files(&args.files) {
        Ok(summary) => {
            if let Some(shards) =
                summary.run.shards.as_ref().filter(|shards| shards.missing().next().is_some())
            {
                let missing = Shards { count: shards.count, indexes: shards.missing().collect() };
                let line =
                    format!("latchkey sim merge: {missing} is missing, so not every device got through");
                writeln!(streams.err, "{}", console::message(&line, streams.terminal)).unwrap_or_default();
            }
            end(&summary, args.json, args.report.as_deref(), streams)
        }
        Err(error) => usage(&format!("latchkey sim merge: {error}"), streams),
    }
}

fn usage(message: &str, streams: &mut Streams<'_>) -> Exit {
    let line = console::message(message, streams.terminal);
    writeln!(streams.err, "{line}").unwrap_or_default();
    Exit::Usage
}

/// Prints the result, and writes the report. The result is printed also if the report can't be written.
fn end(summary: &Summary, json: bool, report: Option<&Path>, streams: &mut Streams<'_>) -> Exit {
    let printed = print(summary, json, streams.out);
    let written = report.map_or(Ok(()), |path| {
        fs::write(path, report::page(summary)).map_err(|error| {
            let line = format!("latchkey sim: can't write the report `{}`: {error}", path.display());
            writeln!(streams.err, "{}", console::message(&line, streams.terminal)).unwrap_or_default();
        })
    });
    if summary.ok && printed.is_ok() && written.is_ok() { Exit::Through } else { Exit::NotThrough }
}

/// Why a run can't begin.
#[derive(Debug, thiserror::Error)]
enum PlanError {
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Proxy(#[from] ProxyVariableError),
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(
        "the credentials file `{file}` has {}, and `--devices` is {wanted}",
        console::counted(*found, "device")
    )]
    TooFew { file: String, found: u64, wanted: u32 },
    #[error(
        "the credentials file `{file}` has {}, too few for {shards} shards",
        console::counted(*found, "device")
    )]
    TooManyShards { file: String, found: u64, shards: u32 },
    #[error("there is no folder for the report `{0}`: make it first")]
    ReportFolder(String),
}

fn plan(args: &SimArgs, settings: &ConnectionSettings) -> Result<Plan, PlanError> {
    if let Some(report) = &args.report {
        // A run can take hours: what can be known before is said before.
        let folder = report.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(PlanError::ReportFolder(report.display().to_string()));
        }
    }
    let limit = args.devices.and_then(|devices| usize::try_from(devices.get()).ok());
    let fleet = settings.fleet_rows(limit, args.shard)?;
    let file = || settings.credentials.display().to_string();
    if let Some(wanted) = args.devices.filter(|wanted| fleet.total < u64::from(wanted.get())) {
        return Err(PlanError::TooFew { file: file(), found: fleet.total, wanted: wanted.get() });
    }
    if let Some(shard) = args.shard.filter(|shard| fleet.total < u64::from(shard.count().get())) {
        let shards = shard.count().get();
        return Err(PlanError::TooManyShards { file: file(), found: fleet.total, shards });
    }
    let is_https = settings.target.transport == Transport::Https;
    let authorization = if is_https { settings.scheme.authorization()? } else { Authorization::default() };
    let devices = fleet
        .rows
        .iter()
        .enumerate()
        .map(|(index, row)| Ok(Device::new(index, &row.device, settings.login(row)?)?));
    Ok(Plan {
        endpoint: Endpoint::new(settings.target.clone())?,
        devices: devices.collect::<Result<_, PlanError>>()?,
        behavior: Behavior {
            interval: args.interval,
            retries: args.retries,
            options: Options { version: args.mqtt.into(), ..Options::default() },
            authorization,
        },
        ramp: args.ramp,
        duration: args.duration,
        shard: args.shard,
        info: RunInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_ms: 0,
            ended_at_ms: 0,
            fleet: Fleet { devices: fleet.total, fingerprint: fleet.fingerprint },
            shards: args.shard.map(Shards::from),
            settings: run_settings(args, settings),
        },
    })
}

/// The options that change what a run does, but its shard. They have no secrets.
fn run_settings(args: &SimArgs, settings: &ConnectionSettings) -> BTreeMap<String, String> {
    let duration =
        args.duration.map_or("until it is stopped".to_owned(), |it| format_duration(it).to_string());
    let pairs = [
        ("endpoint", settings.target.address.to_string()),
        ("transport", option_value(&settings.target.transport)),
        ("mqtt", option_value(&args.mqtt)),
        ("ramp", format!("{} a second", args.ramp)),
        ("interval", format_duration(args.interval).to_string()),
        ("duration", duration),
        ("retries", args.retries.to_string()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The text of a value on the command line.
fn option_value(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn print(summary: &Summary, json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, summary)?;
        writeln!(out)?;
    } else {
        write!(out, "{summary}")?;
    }
    out.flush()
}

/// Raises the limit of open files, because every device is one. If it can't be raised, the devices above it fail.
fn allow_files() {
    #[cfg(unix)]
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or_default();
}
