//! The whole command, from arguments to exit code.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use cli::{console, exit, output, signal};
use tokio_util::sync::CancellationToken;

use crate::args::SimArgs;
use crate::client::{Authorization, Options};
use crate::connection_settings::{ConnectionSettings, ProxyVariableError};
use crate::credentials_file::CredentialsError;
use crate::deployment::DeploymentError;
use crate::device::{Behavior, Device, DeviceError};
use crate::endpoint::{Endpoint, EndpointError, Transport};
use crate::fleet::{self, Plan};
use crate::login::SchemeError;
pub use crate::progress::Streams;
use crate::progress::{Lines, Progress};
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
        Err(error) => {
            let line = console::message(&format!("latchkey sim: {error}"), streams.terminal);
            writeln!(streams.err, "{line}").unwrap_or_default();
            return Exit::Usage;
        }
    };
    allow_files();
    let lines = Lines { readings: args.readings, progress: !args.quiet, json: args.json };
    let mut progress = Progress::new(streams, lines, plan.devices.len());
    let summary = fleet::run(plan, &mut progress, shutdown).await;
    drop(progress);
    match print(&summary, args.json, streams.out) {
        Ok(()) if summary.ok => Exit::Through,
        _ => Exit::NotThrough,
    }
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
    TooFew { file: String, found: usize, wanted: usize },
}

fn plan(args: &SimArgs, settings: &ConnectionSettings) -> Result<Plan, PlanError> {
    let wanted = args.devices.and_then(|devices| usize::try_from(devices.get()).ok());
    let rows = settings.rows(wanted)?;
    if let Some(wanted) = wanted.filter(|wanted| rows.len() < *wanted) {
        let file = settings.credentials.display().to_string();
        return Err(PlanError::TooFew { file, found: rows.len(), wanted });
    }
    let is_https = settings.target.transport == Transport::Https;
    let authorization = if is_https { settings.scheme.authorization()? } else { Authorization::default() };
    let devices = rows
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
    })
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
