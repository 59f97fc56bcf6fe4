//! `latchkey fleet provision`: makes devices in AWS, each with a Thing, a password and a record.
//!
//! Each device gets its Thing first, then its password in the file of passwords, on the disk, and its record last. So a
//! record always has its password in the file, whatever stops a run. The next run makes a record for a password that is
//! in the file, and changes nothing that exists.

mod device;
mod device_file;
mod passwords;
pub(crate) mod records;
mod registry;
mod report;

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use anyhow::Context as _;
use cli::console::{Console, status};
use device_auth::location::StoreLocation;
use device_sim::Deployment;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use self::report::Ended;
use self::{
    device::Device,
    passwords::Passwords,
    records::Records,
    registry::Registry,
    report::{Done, Record, Report},
};
use crate::{
    args::ProvisionArgs,
    aws,
    progress::Progress,
    record_store::WriteError,
    secret::Secret,
    store_option::{self, ConfiguredStore},
};

/// Devices that are made at a time: enough for any allowed rate, as each is five calls one after the other.
const CONCURRENT_DEVICES: usize = 32;

/// Provisions devices until all are done or `shutdown` completes. Devices that are being made then are finished first.
///
/// # Errors
///
/// Why it could not begin. Nothing was made then.
pub async fn run(
    args: &ProvisionArgs,
    store: Option<ConfiguredStore>,
    console: &mut Console<'_>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<Ended> {
    let devices = Devices::of(args)?;
    let deployment = args.deployment.find(Path::new("."))?;
    let store = store_location(store, deployment.as_ref())?;
    let passwords = passwords_file(args, &store, deployment.as_ref())?;
    if let Some(deployment) = &deployment {
        status(&format!("using {deployment}"));
        if store_option::of_deployment(deployment).is_ok_and(|it| it != store) {
            let store = store_option::description(&store);
            status(&format!("but the records go to {store}, as `--store` says"));
        }
    }
    let region = args.region.as_deref().or(deployment.as_ref().map(|it| it.region.as_str()));
    let aws = aws::configuration(region, aws::PATIENT).await?;
    let deployed = deployment.as_ref();
    let thing_type = args.thing_type.clone().or_else(|| deployed.map(|it| it.thing_type.clone()));
    let thing_group = args.thing_group.clone().or_else(|| deployed.map(|it| it.thing_group.clone()));
    let registry = Registry::new(&aws, thing_type, thing_group, args.dry_run);
    for device in devices.all()? {
        registry.check_attributes(&device?)?;
    }
    registry.check(deployment.as_ref()).await?;
    let known = if args.dry_run { Passwords::read(&passwords)? } else { Passwords::open(&passwords)? };
    let grants = args.grants.as_deref().filter(|_| matches!(store, StoreLocation::DynamoDb(_)));
    let records = Records::open(&store, &aws, grants).await?;
    records.check(|| devices.all())?;
    let run = Run { registry, records, passwords: known, is_dry: args.dry_run };
    let mut report = Report::new(devices.count()?, store, passwords, deployment.is_some(), args.dry_run);
    // They are known to be devices.
    let devices = devices.all()?.filter_map(Result::ok);
    run.all(devices, args.rate.get(), &mut report, shutdown).await;
    report.print(console)?;
    Ok(report.ended())
}

struct Run {
    registry: Registry,
    records: Records,
    passwords: Passwords,
    is_dry: bool,
}

impl Run {
    async fn all(
        self,
        devices: impl Iterator<Item = Device>,
        rate: u32,
        report: &mut Report,
        shutdown: impl Future<Output = ()>,
    ) {
        self.each(paced(devices, rate), report, shutdown).await;
        if self.is_dry {
            return;
        }
        match self.records.finish(BTreeMap::new()).await.context("no record was written") {
            Ok(conflicts) => conflicts.iter().for_each(|name| report.conflict(name)),
            Err(error) => report.unwritten(error),
        }
    }

    /// Provisions several devices at a time, until there are no more, an error concerns all of them, or `shutdown`
    /// completes.
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
        let (mut made, mut shutdown) = (pin!(made.buffer_unordered(CONCURRENT_DEVICES)), pin!(shutdown));
        let of = report.wanted();
        let what = if of == 1 { "device tried" } else { "devices tried" };
        let mut progress = Progress::of_things(what, of).with_end();
        loop {
            let next = tokio::select! {
                next = made.next() => next,
                () = &mut shutdown, if !report.is_interrupted() => {
                    progress.status(
                        "stopping after the devices that are being made; press Ctrl-C again to stop at once",
                    );
                    report.interrupt();
                    stop.cancel();
                    continue;
                }
            };
            match next {
                Some((name, Ok(done))) => report.done(&name, done),
                Some((name, Err(WriteError::Device(why)))) => report.failed(&name, why),
                Some((_, Err(WriteError::Run(error)))) => {
                    report.stopped(error);
                    stop.cancel();
                }
                None => break,
            }
            progress.advance();
        }
    }

    async fn one(&self, device: &Device) -> Result<Done, WriteError> {
        let existing = self.records.find(&device.name).await?;
        let known = self.passwords.of(&device.name);
        let thing = self.registry.ensure(device).await?;
        let record = match (existing, known) {
            (Some(existing), Some(password)) if existing.accepts(password) => Record::Unchanged,
            (Some(_), Some(_)) => Record::OtherPassword,
            (Some(_), None) => Record::NoPassword,
            (None, _) if self.is_dry => Record::Written,
            (None, known) => {
                let secret = match known {
                    Some(password) => Secret::from_file(password.expose()).map_err(anyhow::Error::new)?,
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

/// Yields up to `rate` devices a second. A delay is not made up for afterwards.
fn paced(devices: impl Iterator<Item = Device>, rate: u32) -> impl Stream<Item = Device> {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((ticks, devices), |(mut ticks, mut devices)| async move {
        let device = devices.next()?;
        ticks.tick().await;
        Some((device, (ticks, devices)))
    })
}

/// The devices of the command line.
enum Devices<'a> {
    /// Those of a file.
    Listed(Vec<Device>),
    /// Numbered ones, of which each is made when it is needed.
    Numbered(&'a ProvisionArgs, NonZeroU32),
}

impl<'a> Devices<'a> {
    fn of(args: &'a ProvisionArgs) -> anyhow::Result<Self> {
        if let Some(path) = &args.from {
            return device_file::read(path, &args.grant).map(Self::Listed);
        }
        let count = args
            .count
            .context("set the number of devices with `--count N`, or name them with `--from FILE`")?;
        Ok(Self::Numbered(args, count))
    }

    fn count(&self) -> anyhow::Result<usize> {
        Ok(match self {
            Self::Listed(devices) => devices.len(),
            Self::Numbered(_, count) => usize::try_from(count.get())?,
        })
    }

    fn all(&self) -> anyhow::Result<Box<dyn Iterator<Item = anyhow::Result<Device>> + '_>> {
        Ok(match self {
            Self::Listed(devices) => Box::new(devices.iter().cloned().map(Ok)),
            Self::Numbered(args, count) => Box::new(args.name.names(args.first, *count)?.map(|name| {
                Ok(Device { name: name?, grant: args.grant.clone(), attributes: BTreeMap::new() })
            })),
        })
    }
}

/// The store for the records of new devices, which must be named.
pub(crate) fn store_location(
    store: Option<ConfiguredStore>,
    deployment: Option<&Deployment>,
) -> anyhow::Result<StoreLocation> {
    store_option::choose(store, deployment)?.with_context(|| {
        format!(
            "no store is named for the records: run it where `make deploy` wrote `{}`, or name one with `--store \
             dynamodb:TABLE`, `--store secretsmanager:NAME` or `--store FILE`",
            device_sim::deployment::DEFAULT_FILE
        )
    })
}

fn passwords_file(
    args: &ProvisionArgs,
    store: &StoreLocation,
    deployment: Option<&Deployment>,
) -> anyhow::Result<PathBuf> {
    match (&args.credentials, deployment, store) {
        (Some(path), _, _) => Ok(path.clone()),
        (None, Some(deployment), _) => Ok(deployment.credentials_file()),
        (None, None, StoreLocation::File(path)) => Ok(path.with_file_name("credentials.csv")),
        (None, None, _) => {
            anyhow::bail!("name the file for the devices' passwords with `--credentials FILE`")
        }
    }
}
