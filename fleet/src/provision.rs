//! Devices are provisioned: each gets a Thing, a password and a record.
//!
//! For one device the order is: its Thing, its password in the file of passwords, on the disk, and last its record.
//! So whatever stops a run, no record is ever without its password; the next run takes a password that is there, and
//! makes the record of it. What is there is left as it is.

mod device;
mod device_file;
mod passwords;
mod progress;
mod records;
mod registry;
mod report;
mod trouble;

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use anyhow::Context as _;
use device_sim::Deployment;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub(crate) use self::progress::say;
use self::{
    device::Device,
    passwords::Passwords,
    progress::Progress,
    records::Records,
    registry::Registry,
    report::{Done, Record, Report},
    trouble::Trouble,
};
use crate::{
    args::ProvisionArgs,
    aws,
    secret::Secret,
    store_place::{Named, StorePlace},
};

/// Enough for any allowed rate, each device being five calls one after the other.
const AT_ONCE: usize = 32;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every device has its Thing and its record, and its password is known.
    Complete,
    /// Some have not, and the report says why.
    Incomplete,
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

/// Provisions devices until all are done or `shutdown` completes; those that are being made then are finished first.
///
/// # Errors
///
/// What kept it from beginning. Nothing was made then.
pub async fn run(
    args: &ProvisionArgs,
    store: Option<Named>,
    json: bool,
    output: &mut impl Write,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<Ended> {
    let devices = devices(args)?;
    let deployment = args.deployment.find(Path::new("."))?;
    let place = place(store, deployment.as_ref())?;
    let passwords = passwords_file(args, &place, deployment.as_ref())?;
    if let Some(deployment) = &deployment {
        say(&format!("using {deployment}"));
        if StorePlace::of(deployment)? != place {
            say(&format!("but the records go to {place}, as `--store` says"));
        }
    }
    let region = args.region.as_deref().or(deployment.as_ref().map(|it| it.region.as_str()));
    let aws = aws::configuration(region, aws::PATIENT).await?;
    let of_deployment = |get: fn(&Deployment) -> &String| deployment.as_ref().map(|it| get(it).clone());
    let thing_type = args.thing_type.clone().or_else(|| of_deployment(|it| &it.thing_type));
    let thing_group = args.thing_group.clone().or_else(|| of_deployment(|it| &it.thing_group));
    let registry = Registry::new(&aws, thing_type, thing_group);
    registry.check_attributes(&devices)?;
    registry.check(deployment.as_ref()).await?;
    let known = Passwords::open(&passwords)?;
    let records = Records::open(&place, &aws).await?;
    records.check(&devices, args.grants.as_deref())?;
    let run = Run { registry, records, passwords: known };
    let mut report = Report::new(devices.len(), place, passwords, deployment.is_some());
    run.all(devices, args.rate.get(), &mut report, shutdown).await;
    report.print(json, output)?;
    Ok(report.ended())
}

struct Run {
    registry: Registry,
    records: Records,
    passwords: Passwords,
}

impl Run {
    async fn all(
        self,
        devices: Vec<Device>,
        rate: u32,
        report: &mut Report,
        shutdown: impl Future<Output = ()>,
    ) {
        self.each(paced(devices, rate), report, shutdown).await;
        match self.records.finish().await.context("no record was written") {
            Ok(taken) => taken.iter().for_each(|name| report.taken(name)),
            Err(error) => report.unwritten(error),
        }
    }

    /// Several at once, until there are no more, one has everybody's trouble, or somebody stops it.
    async fn each(
        &self,
        devices: impl Stream<Item = Device>,
        report: &mut Report,
        shutdown: impl Future<Output = ()>,
    ) {
        let stop = CancellationToken::new();
        let made = devices.take_until(stop.cancelled()).map(|device| async {
            let done = self.one(&device).await;
            (device.name, done)
        });
        let (mut made, mut shutdown) = (pin!(made.buffer_unordered(AT_ONCE)), pin!(shutdown));
        let mut progress = Progress::new(report.wanted());
        loop {
            let next = tokio::select! {
                next = made.next() => next,
                () = &mut shutdown, if !report.is_interrupted() => {
                    progress.say("stopping: what is being made is finished first; Ctrl-C again ends it at once");
                    report.interrupt();
                    stop.cancel();
                    continue;
                }
            };
            match next {
                Some((name, Ok(done))) => report.done(&name, done),
                Some((name, Err(Trouble::Device(why)))) => report.failed(&name, why),
                Some((_, Err(Trouble::Run(error)))) => {
                    report.stopped(error);
                    stop.cancel();
                }
                None => break,
            }
            progress.advance();
        }
    }

    async fn one(&self, device: &Device) -> Result<Done, Trouble> {
        let existing = self.records.find(&device.name).await?;
        let known = self.passwords.of(&device.name);
        let thing = self.registry.ensure(device).await?;
        let record = match (existing, known) {
            (Some(existing), Some(password)) if existing.takes(password) => Record::Present,
            (Some(_), Some(_)) => Record::OtherPassword,
            (Some(_), None) => Record::NoPassword,
            (None, known) => {
                let secret = match known {
                    Some(password) => Secret::written_down(password.expose())?,
                    None => Secret::generate()?,
                };
                if known.is_none() {
                    self.passwords.add(&device.name, &secret)?;
                }
                self.records.write(device, secret.verifier()?).await?;
                Record::Written
            }
        };
        Ok(Done { thing, record })
    }
}

/// No more than `rate` a second. After a throttled moment, what was missed is not made up for at once.
fn paced(devices: Vec<Device>, rate: u32) -> impl Stream<Item = Device> {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((ticks, devices.into_iter()), |(mut ticks, mut devices)| async move {
        let device = devices.next()?;
        ticks.tick().await;
        Some((device, (ticks, devices)))
    })
}

fn devices(args: &ProvisionArgs) -> anyhow::Result<Vec<Device>> {
    if let Some(path) = &args.from {
        return device_file::read(path, &args.grant);
    }
    let count = args.count.context("say how many with `--count N`, or which with `--from FILE`")?;
    let names = args.name.names(args.first, count).map_err(anyhow::Error::msg)?;
    let device = |name| Device { name, grant: args.grant.clone(), attributes: BTreeMap::new() };
    Ok(names.into_iter().map(device).collect())
}

/// A variable that was set for another command must not part the records from the Things.
fn place(store: Option<Named>, deployment: Option<&Deployment>) -> anyhow::Result<StorePlace> {
    match (store, deployment) {
        (Some(Named::Inherited(place)), Some(deployment)) => {
            let deployed = StorePlace::of(deployment)?;
            anyhow::ensure!(
                place == deployed,
                "LATCHKEY_DEVICES names {place}, and the records of the stage `{}` are in {deployed}: unset it, or say \
                 with `--store` that you mean it",
                deployment.stage
            );
            Ok(deployed)
        }
        (Some(named), _) => Ok(named.place()),
        (None, Some(deployment)) => Ok(StorePlace::of(deployment)?),
        (None, None) => anyhow::bail!(
            "nothing says where the records go: run it where `make deploy` left `{}`, or name a place with `--store \
             dynamodb:TABLE`, `--store secretsmanager:NAME` or `--store FILE`",
            device_sim::deployment::DEFAULT_FILE
        ),
    }
}

fn passwords_file(
    args: &ProvisionArgs,
    place: &StorePlace,
    deployment: Option<&Deployment>,
) -> anyhow::Result<PathBuf> {
    match (&args.credentials, deployment, place) {
        (Some(path), _, _) => Ok(path.clone()),
        (None, Some(deployment), _) => Ok(deployment.credentials_file()),
        (None, None, StorePlace::File(path)) => Ok(path.with_file_name("credentials.csv")),
        (None, None, _) => anyhow::bail!("say with `--credentials FILE` where the devices' passwords go"),
    }
}
