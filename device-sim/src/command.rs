//! The whole command, from arguments to exit code.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use crate::args::SimArgs;
use crate::client::Options;
use crate::credentials_file::{CredentialsError, Row};
use crate::deployment::DeploymentError;
use crate::device::{Device, DeviceError, Habits};
use crate::endpoint::{Endpoint, EndpointError, Target};
use crate::fleet::{self, Plan};
use crate::login::{Authorizer, Login};
use crate::place::Place;
use crate::progress::{Progress, Wanted};
use crate::summary::{Summary, counted};

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Every expected device got through: 0.
    Through,
    /// Not every device got through: 1.
    NotThrough,
    /// The command line, or a file that it names, is wrong: 64.
    Usage,
    /// A second Ctrl-C: 130.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Through => Self::SUCCESS,
            Exit::NotThrough => Self::FAILURE,
            Exit::Usage => Self::from(64),
            Exit::Interrupted => Self::from(130),
        }
    }
}

/// Where the command writes.
pub struct Streams<'a> {
    /// Readings and the summary.
    pub out: &'a mut (dyn Write + Send),
    /// Progress, warnings and errors.
    pub err: &'a mut (dyn Write + Send),
    /// Whether a progress bar may be drawn on standard error.
    pub terminal: bool,
}

/// Runs the command on this process's standard streams, until it is over, Ctrl-C is pressed, or standard input
/// closes if it is told to stop then.
pub async fn run(args: &SimArgs) -> Exit {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let terminal = err.is_terminal();
    let mut streams = Streams { out: &mut out, err: &mut err, terminal };
    let first = CancellationToken::new();
    let second = async {
        tokio::select! {
            () = ctrl_c() => {}
            () = stdin_closed(), if args.stop_with_stdin => {}
        }
        first.cancel();
        ctrl_c().await;
    };
    tokio::select! {
        exit = run_with(args, &mut streams, first.cancelled()) => exit,
        () = second => Exit::Interrupted,
    }
}

/// Runs the command on any streams, until it is over or `shutdown` completes.
pub async fn run_with(args: &SimArgs, streams: &mut Streams<'_>, shutdown: impl Future<Output = ()>) -> Exit {
    let place = Place::of(args, Path::new("."));
    let planned = place.map_err(PlanError::from).and_then(|place| {
        if let (Some(used), false) = (&place.deployment, args.quiet) {
            writeln!(streams.err, "using {used}").unwrap_or_default();
        }
        plan(args, place)
    });
    let plan = match planned {
        Ok(plan) => plan,
        Err(error) => {
            writeln!(streams.err, "error: {error}").unwrap_or_default();
            return Exit::Usage;
        }
    };
    allow_files();
    let wanted = Wanted { readings: args.readings, progress: !args.quiet, json: args.json };
    let mut progress = Progress::new(streams, wanted, plan.devices.len());
    let summary = fleet::run(plan, &mut progress, shutdown).await;
    drop(progress);
    match print(&summary, args.json, streams.out) {
        Ok(()) if summary.ok => Exit::Through,
        _ => Exit::NotThrough,
    }
}

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
enum PlanError {
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(
        "the credentials file `{file}` has {}, `--devices` asks for {wanted}",
        counted(u64::try_from(*found).unwrap_or(u64::MAX), "device")
    )]
    TooFew { file: String, found: usize, wanted: usize },
}

fn plan(args: &SimArgs, place: Place) -> Result<Plan, PlanError> {
    let wanted = args.devices.and_then(|devices| usize::try_from(devices.get()).ok());
    let rows = place.rows(wanted)?;
    if let Some(wanted) = wanted.filter(|wanted| rows.len() < *wanted) {
        let file = place.credentials.display().to_string();
        return Err(PlanError::TooFew { file, found: rows.len(), wanted });
    }
    let Place { address, ca, authorizer, .. } = place;
    let target = Target { address, sni: args.sni.clone(), alpn: args.alpn.clone(), ca };
    let device = |(index, row)| device(index, row, authorizer.as_ref());
    Ok(Plan {
        endpoint: Endpoint::new(target)?,
        devices: rows.into_iter().enumerate().map(device).collect::<Result<_, _>>()?,
        habits: Habits {
            interval: args.interval,
            retries: args.retries,
            options: Options { version: args.mqtt.into(), ..Options::default() },
        },
        ramp: args.ramp,
        duration: args.duration,
    })
}

fn device(index: usize, row: Row, authorizer: Option<&Authorizer>) -> Result<Device, DeviceError> {
    let user_name = match authorizer {
        Some(authorizer) => authorizer.name_in(&row.user_name),
        None => row.user_name,
    };
    Device::new(index, &row.device, Login { client_id: row.client_id, user_name, password: row.password })
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

/// Every device is an open file. Where the limit can't be raised, the devices above it say so.
fn allow_files() {
    #[cfg(unix)]
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or_default();
}

/// On a thread of its own: a read of standard input can't be called off, and must not keep the process alive.
async fn stdin_closed() {
    let (closed, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        io::copy(&mut io::stdin().lock(), &mut io::sink()).unwrap_or_default();
        // The run may be over for another reason.
        closed.send(()).unwrap_or_default();
    });
    wait.await.unwrap_or_default();
}

/// Never completes where Ctrl-C can't be watched.
async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
