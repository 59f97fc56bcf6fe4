//! The whole command, from arguments to exit code.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZeroU32;
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
use crate::faults::ways::{FaultyWays, FaultyWaysError};
use crate::faults::{AssignError, DeviceFault, assign, expectation, write_list};
use crate::fleet::{self, Plan};
use crate::fleet_time::SimulatedTime;
use crate::login::SchemeError;
use crate::merge;
use crate::open_files::{self, TooFewFiles};
pub use crate::progress::Streams;
use crate::progress::{Lines, Progress};
use crate::report;
use crate::run_info::{Fleet, RunInfo, Shards, utc};
use crate::sensor::Moment;
use crate::summary::Summary;

/// How the command ended. Each has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: every device got through that had to, and every expectation was met.
    Through,
    /// 1: that is not so.
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

/// Runs the command on this process's standard streams, until it is over, Ctrl-C is pressed, a service manager ends it, or,
/// with `--stop-with-stdin`, standard input closes.
pub async fn run(args: &SimArgs) -> Exit {
    let (mut out, mut err) = (output::stdout(), output::stderr());
    let terminal = err.is_terminal();
    let mut streams = Streams { out: &mut out, err: &mut err, terminal };
    let first = CancellationToken::new();
    let second = async {
        tokio::select! {
            () = signal::interrupted() => {}
            () = signal::stdin_closed(), if args.stop_with_stdin => {}
        }
        first.cancel();
        signal::interrupted().await;
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
    let plan = match prepare(args, streams).await {
        Ok(plan) => plan,
        Err(error) => return usage(&format!("latchkey sim: {error}"), streams),
    };
    let lines = Lines { readings: args.readings, progress: !args.quiet, json: args.json };
    let mut progress = Progress::new(streams, lines, args.duration);
    let mut summary = fleet::run(plan, &mut progress, shutdown).await;
    drop(progress);
    summary.expectations = args.expect.expectations();
    expectation::judge(&mut summary, args.shard.is_none());
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
                status(
                    &format!("latchkey sim merge: {missing} is missing, so not every device got through"),
                    streams,
                );
            }
            end(&summary, args.json, args.report.as_deref(), streams)
        }
        Err(error) => usage(&format!("latchkey sim merge: {error}"), streams),
    }
}

fn usage(message: &str, streams: &mut Streams<'_>) -> Exit {
    status(message, streams);
    Exit::Usage
}

fn status(text: &str, streams: &mut Streams<'_>) {
    let line = console::message(text, streams.terminal);
    writeln!(streams.err, "{line}").unwrap_or_default();
}

/// Prints the result, and writes the report. The result is printed also if the report can't be written.
fn end(summary: &Summary, json: bool, report: Option<&Path>, streams: &mut Streams<'_>) -> Exit {
    let printed = print(summary, json, streams.out);
    for expectation in summary.expectations.iter().filter(|expectation| expectation.met == Some(false)) {
        status(&format!("latchkey sim: {expectation}"), streams);
    }
    let written = report.map_or(Ok(()), |path| {
        fs::write(path, report::page(summary)).map_err(|error| {
            status(&format!("latchkey sim: can't write the report `{}`: {error}", path.display()), streams);
        })
    });
    if summary.ok && printed.is_ok() && written.is_ok() { Exit::Through } else { Exit::NotThrough }
}

/// Everything before the first connection.
async fn prepare(args: &SimArgs, streams: &mut Streams<'_>) -> Result<Plan, PlanError> {
    let settings = ConnectionSettings::find(&args.connection, &args.deployment, Path::new("."))?;
    let settings = settings.by(&args.transport, args.connection.alpn.as_ref())?;
    if let (Some(used), false) = (&settings.deployment, args.quiet) {
        status(&format!("using {used}"), streams);
    }
    let mut plan = plan(args, &settings)?;
    let faults: Vec<Option<DeviceFault>> = plan.devices.iter().map(Device::fault).collect();
    open_files::allow(&faults)?;
    if let Some(path) = &args.fault_list {
        let devices = plan.devices.iter().map(|device| (device.name(), device.fault()));
        let written = File::create(path).and_then(|file| write_list(file, devices));
        written.map_err(|error| PlanError::FaultList(path.display().to_string(), error))?;
    }
    if !args.quiet {
        for line in fault_lines(&plan) {
            status(&line, streams);
        }
    }
    plan.ways = FaultyWays::open(&settings.target, faults.into_iter().flatten()).await?;
    Ok(plan)
}

/// A line for each fault: how many devices have it, and which, in short.
fn fault_lines(plan: &Plan) -> Vec<String> {
    const NAMED: usize = 3;
    let lines = DeviceFault::ALL.into_iter().filter_map(|fault| {
        let faulty = || plan.devices.iter().filter(|device| device.fault() == Some(fault)).map(Device::name);
        let count = faulty().count();
        let named = faulty().take(NAMED).collect::<Vec<_>>().join(", ");
        let more = match count.saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (count > 0).then(|| format!("fault {fault}: {}: {named}{more}", console::counted(count, "device")))
    });
    lines.collect()
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
    #[error(transparent)]
    Assign(#[from] AssignError),
    #[error(transparent)]
    Ways(#[from] FaultyWaysError),
    #[error(transparent)]
    OpenFiles(#[from] TooFewFiles),
    #[error("can't write the list of faults `{0}`: {1}")]
    FaultList(String, io::Error),
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
    let keys = &fleet.keys;
    let faults = assign(args.seed, keys, &args.fault, settings.target.transport, settings.scheme.scheme)?;
    let is_own = |row: u64| args.shard.is_none_or(|shard| shard.contains(row));
    let faults = (0..).zip(faults).filter(|(row, _)| is_own(*row)).map(|(_, fault)| fault);
    let devices = fleet.rows.into_iter().zip(faults).enumerate().map(|(index, (mut row, fault))| {
        if let Some(fault) = fault {
            fault.spoil_row(&mut row);
        }
        Ok(Device::new(index, &row.device, settings.login(&row)?, args.seed, fault)?)
    });
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
        seed: args.seed,
        ways: FaultyWays::default(),
        time: simulated_time(args),
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

/// The devices' time, if it begins or runs otherwise than the machine's.
fn simulated_time(args: &SimArgs) -> Option<SimulatedTime> {
    if args.start.is_none() && args.time_scale.is_none() {
        return None;
    }
    let start = args.start.unwrap_or_else(Moment::now);
    Some(SimulatedTime { start, scale: args.time_scale.unwrap_or(NonZeroU32::MIN) })
}

/// The options that change what a run does, but its shard. They have no secrets.
fn run_settings(args: &SimArgs, settings: &ConnectionSettings) -> BTreeMap<String, String> {
    let duration =
        args.duration.map_or("until it is stopped".to_owned(), |it| format_duration(it).to_string());
    let mut pairs = vec![
        ("endpoint", settings.target.address.to_string()),
        ("transport", option_value(&settings.target.transport)),
        ("mqtt", option_value(&args.mqtt)),
        ("ramp", format!("{} a second", args.ramp)),
        ("interval", format_duration(args.interval).to_string()),
        ("duration", duration),
        ("retries", args.retries.to_string()),
        ("seed", args.seed.to_string()),
    ];
    if !args.fault.is_empty() {
        let faults = args.fault.iter().map(ToString::to_string).collect::<Vec<_>>();
        pairs.push(("faults", faults.join(", ")));
    }
    pairs.extend(args.start.map(|start| ("start", utc(start.0))));
    pairs.extend(args.time_scale.map(|scale| ("time scale", format!("{scale}x"))));
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
