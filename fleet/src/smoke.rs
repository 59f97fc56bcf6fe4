//! `latchkey fleet smoke`: checks that a deployment works, from the authorizer's answer to the decision in its log.
//!
//! [`connection`] needs a server and no more, so the local gateway passes it too. [`authorizer`] and [`log`] call AWS.

mod authorizer;
mod check;
mod connection;
mod log;

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use cli::console::{Console, status};
use device_sim::{
    Deployment, Endpoint, Login, Target,
    connection_settings::{ConnectionSettings, Overrides},
    credentials_file::Row,
};

use self::{
    authorizer::AuthorizerChecks,
    check::Check,
    connection::ConnectionChecks,
    log::{Decisions, Log},
};
use crate::{args::SmokeArgs, aws, secret::Secret};

/// The device with which the deployment is checked.
struct Device {
    row: Row,
    /// A password that no device has.
    wrong: Secret,
}

/// Makes all checks and prints them as a table. Returns whether some could be made, and all of those have passed.
///
/// # Errors
///
/// Why it could not begin.
pub async fn run(args: &SmokeArgs, console: &mut Console<'_>) -> anyhow::Result<bool> {
    let overrides = Overrides {
        endpoint: args.endpoint.as_ref(),
        ca: args.ca.as_ref(),
        authorizer: args.authorizer.as_ref(),
        no_authorizer: args.no_authorizer,
        credentials: args.credentials.as_ref(),
    };
    let settings = ConnectionSettings::find(&overrides, &args.deployment, Path::new("."))?;
    let device = device(args.device.as_deref(), &settings)?;
    if let Some(deployment) = &settings.deployment {
        status(&format!("using {deployment}"));
    }
    status(&format!(
        "connecting as the device `{}`: a client that is connected with its client id is disconnected",
        device.row.device
    ));
    let connection = connection_checks(args, &settings, &device)?;
    let checks = if let Some(deployment) = &settings.deployment {
        all_checks(args, deployment, &device, &connection).await?
    } else {
        let not_run =
            |name| Check::not_run(name, "there is no deployment to check: name one with `--outputs FILE`");
        let before = authorizer::NAMES.map(not_run);
        let after = log::NAMES.map(not_run);
        before.into_iter().chain(connection.run().await).chain(after).collect()
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
        let names = authorizer::NAMES.into_iter().chain(connection::NAMES).chain(log::NAMES);
        let why = "this stage needs signed tokens (`authorizer.signing`), and smoke has none";
        return Ok(names.map(|name| Check::not_run(name, why)).collect());
    }
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let connected = connection.run().await;
    let log = Log::new(&aws, deployment, &device.row.client_id, start);
    let [wrong_password, right_password, _] = &connected;
    let decisions = Decisions { allowed: right_password.has_passed(), refused: wrong_password.has_passed() };
    let logged = log.checks(args.wait, decisions).await;
    // Last: the log also has the decisions that are made without a connection.
    let answers = authorizer.run().await;
    Ok(answers.into_iter().chain(connected).chain(logged).collect())
}

fn connection_checks<'a>(
    args: &SmokeArgs,
    settings: &ConnectionSettings,
    device: &'a Device,
) -> anyhow::Result<ConnectionChecks<'a>> {
    let ConnectionSettings { address, ca, authorizer, .. } = settings;
    let (address, ca) = (address.clone(), ca.clone());
    let target = Target { address, sni: args.sni.clone(), alpn: args.alpn.clone(), ca };
    let user_name = &device.row.user_name;
    let user_name = authorizer.as_ref().map_or_else(|| user_name.clone(), |it| it.name_in(user_name));
    let client_id = device.row.client_id.clone();
    let login = Login { client_id, user_name, password: device.row.password.clone() };
    Ok(ConnectionChecks {
        endpoint: Endpoint::new(target)?,
        login,
        wrong: &device.wrong,
        wait: args.wait.min(MESSAGE_LIMIT),
    })
}

/// How long an acknowledged message may take.
const MESSAGE_LIMIT: Duration = Duration::from_secs(10);

fn device(wanted: Option<&str>, settings: &ConnectionSettings) -> anyhow::Result<Device> {
    let path = &settings.credentials;
    let rows = settings.rows(None).context("a device and its password are needed")?;
    let mut rows = rows.into_iter();
    let row = match wanted {
        Some(name) => rows
            .find(|row| row.device == name)
            .with_context(|| format!("`{}` has no device `{name}`", path.display()))?,
        None => rows.next().with_context(|| format!("`{}` has no device", path.display()))?,
    };
    Ok(Device { row, wrong: Secret::generate()? })
}
