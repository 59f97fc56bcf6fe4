//! `latchkey fleet smoke`: checks that a deployment works, from the authorizer's answer to the decision in its log.
//!
//! [`connection`] needs a server and no more, so the local gateway passes it too. [`authorizer`] and [`log`] call AWS.

mod authorizer;
mod check;
mod connection;
mod device;
mod log;
mod settling;

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cli::console::{Console, status};
use device_sim::{Deployment, Endpoint, connection_settings::ConnectionSettings};

use self::{
    authorizer::AuthorizerChecks,
    check::Check,
    connection::ConnectionChecks,
    device::Device,
    log::{Decisions, Log},
};
use crate::{args::SmokeArgs, aws};

/// Makes all checks and prints them as a table. Returns whether some could be made, and all of those have passed.
///
/// # Errors
///
/// Why it could not begin.
pub async fn run(args: &SmokeArgs, console: &mut Console<'_>) -> anyhow::Result<bool> {
    let settings = ConnectionSettings::find(&args.connection, &args.deployment, Path::new("."))?;
    let device = Device::find(args.device.as_deref(), &settings)?;
    if let Some(deployment) = &settings.deployment {
        status(&format!("using {deployment}"));
    }
    status(&format!(
        "connecting as the device `{}`: a client that is connected with its client id is disconnected",
        device.row.device
    ));
    let connection = connection_checks(args.wait, &settings, &device)?;
    let checks = if let Some(deployment) = &settings.deployment {
        all_checks(args, deployment, &device, &connection).await?
    } else {
        let not_run =
            |name| Check::not_run(name, "there is no deployment to check: name one with `--outputs FILE`");
        let before = authorizer::NAMES.into_iter().chain([connection::SETTLED]).map(not_run);
        let after = log::NAMES.map(not_run);
        before.chain(connection.run().await).chain(after).collect()
    };
    check::print(&checks, console)?;
    Ok(check::have_passed(&checks))
}

async fn all_checks(
    args: &SmokeArgs,
    deployment: &Deployment,
    device: &Device,
    connection: &ConnectionChecks<'_>,
) -> anyhow::Result<Vec<Check>> {
    let region = args.region.as_deref().unwrap_or(&deployment.region);
    let aws = aws::configuration(Some(region), aws::BRIEF).await?;
    let authorizer = AuthorizerChecks::new(&aws, deployment, device);
    if authorizer.needs_tokens().await? {
        let names = authorizer::NAMES.into_iter().chain([connection::SETTLED]).chain(connection::NAMES);
        let names = names.chain(log::NAMES);
        let why = "this stage needs signed tokens (`authorizer.signing`), and smoke has none";
        return Ok(names.map(|name| Check::not_run(name, why)).collect());
    }
    let settled = settled(args.settle, connection).await;
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let connected = connection.run().await;
    let log = Log::new(&aws, deployment, &device.row.client_id, start);
    let [wrong_password, right_password, _] = &connected;
    let decisions = Decisions { allowed: right_password.has_passed(), refused: wrong_password.has_passed() };
    let logged = log.checks(args.wait, decisions).await;
    // Last: the log also has the decisions that are made without a connection.
    let answers = authorizer.run().await;
    Ok(answers.into_iter().chain([settled]).chain(connected).chain(logged).collect())
}

/// Waits for an authorizer that has just been deployed. The lines of progress go to standard error.
async fn settled(limit: Duration, connection: &ConnectionChecks<'_>) -> Check {
    if limit.is_zero() {
        return Check::not_run(connection::SETTLED, "it was switched off with `--settle 0s`");
    }
    status(&format!(
        "a new authorizer refuses valid connects now and then: connecting until three in a row succeed, for up to \
         {limit:?}"
    ));
    connection.settle(limit, status).await
}

fn connection_checks<'a>(
    wait: Duration,
    settings: &ConnectionSettings,
    device: &'a Device,
) -> anyhow::Result<ConnectionChecks<'a>> {
    Ok(ConnectionChecks {
        endpoint: Endpoint::new(settings.target.clone())?,
        login: settings.login(&device.row)?,
        wrong: &device.wrong,
        wait: wait.min(MESSAGE_LIMIT),
    })
}

/// How long an acknowledged message may take.
const MESSAGE_LIMIT: Duration = Duration::from_secs(10);
