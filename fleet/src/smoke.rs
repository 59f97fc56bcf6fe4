//! Smoke: whether what was deployed works, from the authorizer's answer to the decision in its log.
//!
//! [`connection`] needs nothing but a server, so it is also what the local gateway is held to; [`authorizer`] and
//! [`log`] ask AWS.

mod authorizer;
mod check;
mod connection;
mod log;

use std::{
    io::Write,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use device_sim::{
    Deployment, Endpoint, Login, Target,
    credentials_file::Row,
    place::{Place, Said},
};

use self::{
    authorizer::Asked,
    check::Check,
    connection::Connecting,
    log::{Log, Wanted},
};
use crate::{args::SmokeArgs, aws, provision::say, secret::Secret};

/// What is asked for with and without its password.
struct Device {
    row: Row,
    /// A password that is nobody's.
    wrong: Secret,
}

/// Makes all checks and prints them as a table; whether some could be made, and all of those have passed.
///
/// # Errors
///
/// What kept it from beginning.
pub async fn run(args: &SmokeArgs, json: bool, output: &mut impl Write) -> anyhow::Result<bool> {
    let said = Said {
        endpoint: args.endpoint.as_ref(),
        ca: args.ca.as_ref(),
        authorizer: args.authorizer.as_ref(),
        no_authorizer: args.no_authorizer,
        credentials: args.credentials.as_ref(),
    };
    let place = Place::find(&said, &args.deployment, Path::new("."))?;
    let device = device(args.device.as_deref(), &place)?;
    if let Some(deployment) = &place.deployment {
        say(&format!("using {deployment}"));
    }
    say(&format!(
        "as the device `{}`: one that is connected under the client id is cut off",
        device.row.device
    ));
    let connecting = connecting(args, &place, &device)?;
    let checks = match &place.deployment {
        Some(deployment) => deployed(args, deployment, &device, &connecting).await?,
        None => alone(&connecting).await,
    };
    check::print(&checks, json, output)?;
    Ok(check::all_well(&checks))
}

async fn deployed(
    args: &SmokeArgs,
    deployment: &Deployment,
    device: &Device,
    connecting: &Connecting<'_>,
) -> anyhow::Result<Vec<Check>> {
    let region = args.region.as_deref().unwrap_or(&deployment.region);
    let aws = aws::configuration(Some(region), aws::BRIEF).await?;
    let asked = Asked::new(&aws, deployment, device);
    if asked.wants_tokens().await? {
        let names = authorizer::NAMES.into_iter().chain(connection::NAMES).chain(log::NAMES);
        return Ok(names.map(|name| Check::not_run(name, SIGNED)).collect());
    }
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let connected = connecting.checks().await;
    let log = Log::new(&aws, deployment, &device.row.client_id, start);
    let [outside, inside, _] = &connected;
    let logged =
        log.checks(args.wait, Wanted { allowed: inside.has_passed(), refused: outside.has_passed() });
    let logged = logged.await;
    // Last, so that what is decided without a connection is not taken for a connection's decision in the log.
    let asked = asked.checks().await;
    Ok(asked.into_iter().chain(connected).chain(logged).collect())
}

const SIGNED: &str = "this stage asks for signed tokens (`authorizer.signing`), and smoke has none";

async fn alone(connecting: &Connecting<'_>) -> Vec<Check> {
    let not_run = |name| Check::not_run(name, "there is no deployment to ask: `--outputs FILE` names one");
    let before = authorizer::NAMES.map(not_run);
    let after = log::NAMES.map(not_run);
    before.into_iter().chain(connecting.checks().await).chain(after).collect()
}

fn connecting<'a>(args: &SmokeArgs, place: &Place, device: &'a Device) -> anyhow::Result<Connecting<'a>> {
    let Place { address, ca, authorizer, .. } = place;
    let (address, ca) = (address.clone(), ca.clone());
    let target = Target { address, sni: args.sni.clone(), alpn: args.alpn.clone(), ca };
    let user_name = &device.row.user_name;
    let user_name = authorizer.as_ref().map_or_else(|| user_name.clone(), |it| it.name_in(user_name));
    let client_id = device.row.client_id.clone();
    let login = Login { client_id, user_name, password: device.row.password.clone() };
    Ok(Connecting {
        endpoint: Endpoint::new(target)?,
        login,
        wrong: &device.wrong,
        wait: args.wait.min(ANSWER),
    })
}

/// How long a message may take that was acknowledged.
const ANSWER: Duration = Duration::from_secs(10);

fn device(wanted: Option<&str>, place: &Place) -> anyhow::Result<Device> {
    let path = &place.credentials;
    let rows = place.rows(None).context("a device and its password are needed")?;
    let mut rows = rows.into_iter();
    let row = match wanted {
        Some(name) => rows
            .find(|row| row.device == name)
            .with_context(|| format!("`{}` has no device `{name}`", path.display()))?,
        None => rows.next().with_context(|| format!("`{}` has no device", path.display()))?,
    };
    Ok(Device { row, wrong: Secret::generate()? })
}
