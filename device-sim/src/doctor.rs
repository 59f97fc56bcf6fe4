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

    /// The same from the log groups of a deployment in CloudWatch.
    fn cloud_steps(
        &self,
        groups: &LogGroups,
        client_id: &str,
        since: SystemTime,
    ) -> impl Future<Output = CloudSteps>;

    /// The values of a printed configuration, by their names in the template.
    fn kit_values(&self, text: &str) -> Option<Vec<(String, String)>>;
}

/// The log groups of a deployment, in CloudWatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroups {
    /// The function's.
    pub function: String,
    /// AWS IoT's own.
    pub iot: String,
    /// Their region, if it is not that of the environment.
    pub region: Option<String>,
    /// How long to wait for lines.
    pub limit: Duration,
}

/// What the log groups say.
#[derive(Debug, Clone, Default)]
pub struct CloudSteps {
    /// The steps of the client id's connections. Nothing if so little could be read that their absence says nothing.
    pub steps: Option<Vec<LogStep>>,
    /// Why something can't be read, and what to do.
    pub notes: Vec<String>,
}

/// Where the decision may be.
enum LogPlace {
    File(PathBuf),
    Groups(LogGroups),
    /// There is one, and it is not known where.
    Unknown,
    None,
}

/// What to do for a log on AWS.
const NO_GROUP: &str = "not read: name the function's log group with `--log-group`, or the outputs of `make deploy` with \
                        `--outputs` and `--stage`";
/// The log of `latchkey local`.
const LOCAL_LOG: &str = ".latchkey/events.jsonl";
/// How long the log may take to have a line.
const LOG_LIMIT: Duration = Duration::from_secs(2);
const LOG_PAUSE: Duration = Duration::from_millis(100);
/// How much later than AWS's clock this machine's may be.
const CLOCKS_DIFFER: Duration = Duration::from_secs(1);

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
    let written = if args.json { writeln!(out, "{}", report.json()) } else { write!(out, "{report}") };
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
    let (plan, groups) = plan(args, device.as_ref())?;
    let mut seen = Box::pin(examine(&plan, began)).await?;
    let mut findings = diagnosis::diagnose(&seen);
    if findings.is_empty() || plan.login.is_none() {
        return Ok((seen, findings));
    }
    match log_place(args, groups, &seen) {
        LogPlace::File(log) => seen.log = read_log(knowledge, &log, &seen.intent.client_id, began).await,
        LogPlace::Groups(groups) => {
            if !args.json {
                let (function, iot, seconds) = (&groups.function, &groups.iot, args.log_wait);
                console::status(&format!(
                    "looking for the decision in the log groups `{function}` and `{iot}`, for up to {seconds} s"
                ));
            }
            let since = began.checked_sub(CLOCKS_DIFFER).unwrap_or(began);
            let CloudSteps { steps, notes } =
                knowledge.cloud_steps(&groups, &seen.intent.client_id, since).await;
            (seen.log, seen.log_notes) = (steps.map_or(Log::Unread, Log::Steps), notes);
        }
        LogPlace::Unknown => seen.log_notes.push(NO_GROUP.to_owned()),
        LogPlace::None => {}
    }
    findings = diagnosis::diagnose(&seen);
    Ok((seen, findings))
}

fn log_place(args: &DoctorArgs, groups: Option<LogGroups>, seen: &Observations) -> LogPlace {
    match (&args.log, seen.intent.service, groups) {
        (Some(log), ..) => LogPlace::File(log.clone()),
        (None, Service::Gateway, _) if Path::new(LOCAL_LOG).exists() => LogPlace::File(LOCAL_LOG.into()),
        // CloudWatch is waited for, so only if the server was asked for something that it refused.
        (None, Service::Aws, _) if !diagnosis::is_logged(seen) => LogPlace::None,
        (None, Service::Aws, Some(groups)) => LogPlace::Groups(groups),
        (None, Service::Aws, None) => LogPlace::Unknown,
        (None, ..) => LogPlace::None,
    }
}

/// The region in the name of an endpoint of AWS's.
fn region_of(host: &str) -> Option<&str> {
    let (_, rest) = host.split_once(".iot.")?;
    rest.split_once(".amazonaws.com").map(|(region, _)| region)
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

fn plan(args: &DoctorArgs, device: Option<&Device>) -> Result<(Plan, Option<LogGroups>), DoctorError> {
    let mut client_args = args.client.clone();
    if let Some(server) = &args.server {
        client_args.connection.endpoint = Some(server.clone());
    }
    if let Some(device) = device {
        device.fill_in(&mut client_args);
    }
    let settings = client_args.settings(Path::new("."))?;
    let host = settings.target.address.host();
    let deployment = match &settings.deployment {
        Some(deployment) => Some(deployment.clone()),
        // A file that was not named may be anything.
        None => args.client.deployment.find(Path::new(".")).ok().flatten(),
    };
    let deployment = deployment.filter(|it| it.endpoint.host() == host);
    let function = args.log_group.clone().or(deployment.as_ref().map(|it| it.log_group.clone()));
    let groups = function.map(|function| LogGroups {
        function,
        iot: args.iot_log_group.clone(),
        region: args
            .region
            .clone()
            .or(deployment.map(|it| it.region))
            .or_else(|| region_of(host).map(str::to_owned)),
        limit: Duration::from_secs(args.log_wait),
    });
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
    let plan = Plan {
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
        is_awss: groups.is_some(),
    };
    Ok((plan, groups))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_of_awss_names_its_region() {
        assert_eq!(region_of("x-ats.iot.eu-west-1.amazonaws.com"), Some("eu-west-1"));
        assert_eq!(region_of("x.ats.iot.cn-north-1.amazonaws.com.cn"), Some("cn-north-1"));
        assert_eq!((region_of("localhost"), region_of("a.iot.example.com")), (None, None));
    }
}
