//! `latchkey doctor`: why a device can't connect.
//!
//! [`examination`] goes step by step, and [`probe`] does what is done on the network; both fill in [`observation`].
//! [`diagnosis`] reads nothing but that, and finds the [`cause`]s. [`report`] shows all of it to a person.

mod args;
pub mod bridge;
pub mod cause;
pub mod diagnosis;
mod examination;
pub mod observation;
mod probe;
mod report;
mod source;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use cli::{console, exit, output, signal};

pub use self::args::DoctorArgs;
use self::diagnosis::Finding;
use self::examination::{Plan, examine};
use self::observation::{Log, LogStep, Observations, Service};
use self::report::Report;
use self::source::Device;
pub use self::source::SourceError;
use crate::client::Authorization;
use crate::credentials_file::CredentialsError;
use crate::endpoint::EndpointError;
use crate::single::{ClientError, SingleClient};

/// What other parts of the program know: the log of `latchkey local`, and the configurations that `latchkey fleet kit`
/// prints.
pub trait Knowledge {
    /// The steps of the client id's connections since a moment, from a log; nothing if the log can't be read.
    fn log_steps(&self, log: &Path, client_id: &str, since: SystemTime) -> Option<Vec<LogStep>>;

    /// The values of a printed configuration, by their names in the template.
    fn kit_values(&self, text: &str) -> Option<Vec<(String, String)>>;
}

/// The log of `latchkey local`.
const LOCAL_LOG: &str = ".latchkey/events.jsonl";
/// How long the log may take to have a line.
const LOG_LIMIT: Duration = Duration::from_secs(2);
const LOG_PAUSE: Duration = Duration::from_millis(100);

/// Why the doctor can't begin.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The device can't be read from the command line and its files.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The partition or the kit can't be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The endpoint can't be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

/// Runs the command on this process's standard streams.
pub async fn run(args: &DoctorArgs, knowledge: &impl Knowledge) -> ExitCode {
    if !args.json {
        console::status("examining the device's connection step by step");
    }
    let examined = tokio::select! {
        examined = findings(args, knowledge) => examined,
        () = signal::ctrl_c() => return ExitCode::from(exit::INTERRUPTED),
    };
    let (seen, findings) = match examined {
        Ok(examined) => examined,
        Err(error) => {
            console::status(&format!("latchkey doctor: {error}"));
            return ExitCode::from(exit::USAGE);
        }
    };
    let report = Report { seen: &seen, findings: &findings };
    let mut out = output::stdout();
    let written = if args.json {
        let json = findings.iter().map(|finding| {
            serde_json::json!({
                "cause": finding.cause, "exit_code": finding.cause.exit_code(), "evidence": finding.evidence,
                "sentence": finding.cause.sentence(), "cure": finding.cause.cure(), "alike": finding.alike,
            })
        });
        let json = json.collect::<Vec<_>>();
        let line = serde_json::json!({"findings": json, "exit_code": report.exit_code(), "seen": seen});
        writeln!(out, "{line}")
    } else {
        write!(out, "{report}")
    };
    // A reader that has closed standard output needs nothing.
    written.unwrap_or_default();
    ExitCode::from(report.exit_code())
}

/// Goes all the steps. The findings have the cause that has to be cured first at their beginning; a healthy path has none.
///
/// # Errors
///
/// [`DoctorError`].
pub async fn findings(
    args: &DoctorArgs,
    knowledge: &impl Knowledge,
) -> Result<(Observations, Vec<Finding>), DoctorError> {
    let began = SystemTime::now();
    let device = Device::of(args, knowledge)?;
    let plan = plan(args, device.as_ref())?;
    let mut seen = examine(&plan, began).await?;
    let log = match (&args.log, seen.intent.service) {
        (Some(log), _) => Some(log.clone()),
        (None, Service::Gateway) => Some(PathBuf::from(LOCAL_LOG)).filter(|log| log.exists()),
        (None, _) => None,
    };
    let mut findings = diagnosis::diagnose(&seen);
    if let (Some(log), Some(_), false) = (log, &plan.login, findings.is_empty()) {
        seen.log = read_log(knowledge, &log, &seen.intent.client_id, began).await;
        findings = diagnosis::diagnose(&seen);
    }
    Ok((seen, findings))
}

/// The log is written by another process, which may be a moment late.
async fn read_log(knowledge: &impl Knowledge, log: &Path, client_id: &str, began: SystemTime) -> Log {
    let deadline = tokio::time::Instant::now() + LOG_LIMIT;
    loop {
        let Some(steps) = knowledge.log_steps(log, client_id, began) else { return Log::Unread };
        let is_late = tokio::time::Instant::now() >= deadline;
        if steps.iter().any(|step| step.problem) || is_late {
            return Log::Steps(steps);
        }
        tokio::time::sleep(LOG_PAUSE).await;
    }
}

fn plan(args: &DoctorArgs, device: Option<&Device>) -> Result<Plan, DoctorError> {
    let mut client_args = args.client.clone();
    if let Some(server) = &args.server {
        client_args.connection.endpoint = Some(server.clone());
    }
    if let Some(device) = device {
        device.fill_in(&mut client_args);
    }
    let settings = client_args.settings(Path::new("."))?;
    let sends_sni = !args.no_sni;
    let client = match device.map(|device| device.client(&client_args, &settings)) {
        Some(client) => Some(client?),
        None => match client_args.client_of(settings.clone()) {
            Ok(client) => Some(client),
            // Everything up to TLS can be seen without credentials.
            Err(ClientError::Credentials(CredentialsError::Missing { .. })) => None,
            Err(error) => return Err(error.into()),
        },
    };
    let mut options = client.as_ref().map(|client| client.options.clone()).unwrap_or_default();
    options.time_limit = Duration::from_secs(10);
    let authorization = client.as_ref().map_or(Authorization::default(), |client| client.authorization);
    Ok(Plan {
        target: settings.target.clone(),
        sends_sni,
        device_clock: args.clock,
        login: client.map(|SingleClient { login, .. }| login),
        authorization,
        options,
        will: args.will.last_will(),
        topic: args.topic.clone().or_else(|| device.and_then(Device::topic)),
        qos: args.qos,
        retain: args.retain,
        payload_bytes: args.payload_bytes,
        hold: Duration::from_secs(args.hold),
    })
}
