//! `latchkey fleet revoke`: disables records, ends the devices' connections, and watches until they are out.
//!
//! [`plan`] says which devices and client ids are meant, [`records`] changes the records, and [`journal`] has what was changed,
//! for [`undo`]. [`watch`] ends connections with the calls of [`connections`]. [`worst_case`] computes how long a connection
//! can last that nobody ends.

mod connections;
mod journal;
mod plan;
mod records;
mod report;
mod undo;
mod watch;
mod worst_case;

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead as _, Read as _},
    pin::pin,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use aws_config::SdkConfig;
use cli::{
    console::{Console, ErrorList, counted, status, wrapped},
    format::OutputFormat,
};
use device_auth::{device_name::DeviceName, location::StoreLocation};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    connections::{Connected, Connections},
    journal::{Journal, Step},
    plan::Device,
    report::{Report, Revoked, number, shown},
    watch::{Client, Schedule},
    worst_case::{Times, WorstCase, default_cache},
};
use crate::{
    args::{RevokeArgs, RevokeCommand},
    aws,
    record_store::RecordStore,
    store_option::{self, Target},
};

/// How much longer than the cache's time connections are watched by default.
const WATCHED_AFTER_CACHE: Duration = Duration::from_secs(30);
/// The largest list of names.
const MAX_LIST_BYTES: u64 = 256 << 20;
/// Calls at a time, of a dry run.
const CONCURRENT_CALLS: usize = 10;
/// The variables that send calls elsewhere than to AWS.
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_IOT_DATA_PLANE", "AWS_ENDPOINT_URL"];

/// Revokes devices, or undoes a revocation, until all is done or `stop`. Returns whether it is.
///
/// # Errors
///
/// Why it could not begin. No record was changed then.
pub async fn run(
    args: &RevokeArgs,
    target: &Target,
    console: &mut Console<'_>,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    if let Some(RevokeCommand::Undo(args)) = &args.command {
        return undo::run(args, target, console, stop).await;
    }
    let store = RecordStore::open(&target.location, &target.access).await?;
    let (devices, missing) = devices(args, &store, console).await?;
    let nothing_changed = "no record was changed";
    let aws = configuration(target).await.context(nothing_changed)?;
    let connections = Connections::new(&aws, &args.connections);
    // A call that changes nothing finds out whether the others can be made.
    let probe = devices.iter().flat_map(|device| &device.client_ids).next();
    connections.get(probe.map_or("latchkey-fleet-revoke", String::as_str)).await.context(nothing_changed)?;
    let cache = args.cache.unwrap_or_else(|| default_cache(&target.location));
    let times = devices.iter().map(|device| Times::of(cache, args.refresh, device.timers));
    let worst_case = WorstCase::of(times);
    if args.dry_run {
        return dry_run(devices, missing, worst_case.as_ref(), &connections, console).await;
    }
    if (args.from_file.is_some() || args.all_of_grant.is_some() || devices.len() > 1) && !args.yes {
        confirm(devices.len(), console)?;
    }

    let mut report = Report {
        store: target.location.clone(),
        devices: Vec::new(),
        missing,
        worst_case,
        undo: None,
        stopped: None,
        is_interrupted: false,
    };
    let to_disable = devices.iter().filter(|device| device.was_enabled).map(|device| device.name.clone());
    let to_disable = to_disable.collect::<Vec<_>>();
    let mut disabled = BTreeSet::new();
    if !to_disable.is_empty() {
        let store_name = store_option::value(&target.location);
        let mut journal = Journal::create(args.undo_file.as_deref(), &store_name, SystemTime::now())?;
        report.undo = Some(journal.path.clone());
        // If this is killed, nothing else says where the file is.
        status(&format!("`latchkey fleet revoke undo {}` undoes this", journal.path.display()));
        let switched = records::switch(&store, to_disable, false, &mut journal, Step::Disabled, stop).await;
        report.stopped = switched.stopped;
        disabled.extend(switched.done);
    }
    let start = Instant::now();
    report.devices = devices
        .into_iter()
        .map(|device| Revoked {
            is_disabled: !device.was_enabled || disabled.contains(&device.name),
            clients: device.client_ids.iter().cloned().map(Client::new).collect(),
            device,
        })
        .collect();
    // Of a device whose record is still enabled, no connection is ended: it would connect again.
    let watched = report.devices.iter_mut().filter(|revoked| revoked.is_disabled);
    let mut watched = watched.flat_map(|revoked| &mut revoked.clients).collect::<Vec<_>>();
    let end = args.connections.wait.unwrap_or_else(|| cache.saturating_add(WATCHED_AFTER_CACHE));
    let schedule = Schedule { safe: cache, end };
    if let Err(error) = watch::watch(&mut watched, schedule, start, &connections, stop).await {
        report.stopped.get_or_insert(error);
    }
    report.is_interrupted = stop.is_cancelled();
    console.print(&report.json(), &report)?;
    Ok(report.is_complete())
}

/// The devices that the command line names, and the names without a record.
async fn devices(
    args: &RevokeArgs,
    store: &RecordStore,
    console: &mut Console<'_>,
) -> anyhow::Result<(Vec<Device>, Vec<DeviceName>)> {
    let mut names = args.names.iter().cloned().collect::<BTreeSet<_>>();
    if let Some(path) = &args.from_file {
        let file = path.display().to_string();
        let unreadable = || format!("can't read `{file}`; no record was changed");
        let mut text = String::new();
        if file == "-" {
            (&mut console.input.reader)
                .take(MAX_LIST_BYTES)
                .read_to_string(&mut text)
                .with_context(unreadable)?;
        } else {
            let opened = fs::File::open(path).with_context(unreadable)?;
            opened.take(MAX_LIST_BYTES).read_to_string(&mut text).with_context(unreadable)?;
        }
        names.append(&mut plan::names(&file, &text)?);
    }
    anyhow::ensure!(
        args.connections.client_ids.is_empty() || (names.len() == 1 && args.all_of_grant.is_none()),
        "`--client-id` is for one device: name that one"
    );
    let mut found = records::read(store, names.into_iter().collect()).await?;
    if let Some(grant) = &args.all_of_grant {
        let contents = store.contents().await?;
        let with_grant = contents.document.devices.into_iter().filter(|(_, record)| record.grant == *grant);
        let before = found.records.len();
        found.records.extend(with_grant);
        anyhow::ensure!(
            found.records.len() > before,
            "no device has the grant `{grant}`: `latchkey fleet list --count` shows the grants"
        );
        found.records.sort_by(|(one, _), (other, _)| one.cmp(other));
        found.records.dedup_by(|(one, _), (other, _)| one == other);
    }
    if !found.missing.is_empty() && !args.keep_going {
        let lines = found.missing.iter().take(100).map(|name| format!("`{name}`")).collect();
        let head = format!(
            "{} without a record; no record was changed. `--keep-going` goes on with the others, and `latchkey fleet list` \
             lists the devices",
            counted(number(found.missing.len()), "name")
        );
        return Err(ErrorList::new(head, lines).into());
    }
    let devices = found
        .records
        .into_iter()
        .map(|(name, record)| Device::new(name, &record, &args.connections.client_ids));
    Ok((devices.collect::<anyhow::Result<_>>()?, found.missing))
}

/// The configuration of calls to AWS, or to the gateway. It is checked before anything is changed.
async fn configuration(target: &Target) -> anyhow::Result<SdkConfig> {
    let is_elsewhere = ENDPOINTS.iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    // A record of a file on this machine must not end a connection of the same name in an account of AWS.
    let is_file = matches!(target.location, StoreLocation::File(_) | StoreLocation::Indexed(_));
    anyhow::ensure!(
        is_elsewhere || target.access.region.is_some() || !is_file,
        "it is not known where the devices of {} are connected: run `eval \"$(latchkey local env)\"` for `latchkey \
         local`, or name AWS's region with `--region`; without their connections, `latchkey fleet disable` refuses devices",
        store_option::description(&target.location)
    );
    let aws = aws::configuration(target.access.region.as_deref(), aws::PATIENT).await?;
    if let Some(deployment) = &target.deployment {
        aws::check_account(&aws, deployment).await?;
    }
    Ok(aws)
}

/// Asks before several devices are revoked.
fn confirm(devices: usize, console: &mut Console<'_>) -> anyhow::Result<()> {
    anyhow::ensure!(
        console.input.terminal && console.format == OutputFormat::Table,
        "{} would be revoked: add `--yes`, or look first with `--dry-run`; no record was changed",
        counted(number(devices), "device")
    );
    status(&format!("revoke {}? [y/N]", counted(number(devices), "device")));
    let mut answer = String::new();
    (&mut console.input.reader).take(100).read_line(&mut answer)?;
    anyhow::ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "no record was changed");
    Ok(())
}

/// Prints what would be done.
async fn dry_run(
    devices: Vec<Device>,
    missing: Vec<DeviceName>,
    worst_case: Option<&WorstCase>,
    connections: &Connections,
    console: &mut Console<'_>,
) -> anyhow::Result<bool> {
    let asked = devices.iter().flat_map(|device| device.client_ids.iter().map(move |id| (device, id)));
    let asked = stream::iter(asked).map(async |(device, client_id): (&Device, &String)| {
        let Some(Connected { since, is_persistent }) = connections.get(client_id).await? else {
            return Ok(None);
        };
        let subscriptions = connections.subscriptions(client_id).await?;
        let since = humantime::format_rfc3339_seconds(since).to_string();
        let kept = if is_persistent { ", a session that stays unless `--clean-session` is set" } else { "" };
        let text = format!(
            "`{client_id}` of `{}` since {since}, with {}{kept}",
            device.name,
            counted(subscriptions, "subscription")
        );
        let json = json!({
            "device": device.name, "client_id": client_id, "since": since, "subscriptions": subscriptions,
            "persistent_session": is_persistent,
        });
        anyhow::Ok(Some((json, text)))
    });
    let mut asked = pin!(asked.buffered(CONCURRENT_CALLS));
    let (mut connected, mut lines) = (Vec::new(), Vec::new());
    while let Some(found) = asked.try_next().await? {
        if let Some((json, text)) = found {
            connected.push(json);
            lines.push(text);
        }
    }
    let to_disable = devices.iter().filter(|device| device.was_enabled).map(|device| device.name.to_string());
    let to_disable = to_disable.collect::<Vec<_>>();
    let unknown = devices.iter().flat_map(|device| &device.unknown).cloned().collect::<Vec<_>>();
    let json = json!({
        "dry_run": true, "would_disable": to_disable, "connected": connected, "unknown": unknown, "missing": missing,
        "worst_case": worst_case.map(WorstCase::json),
    });
    let mut text = String::new();
    let mut line = |label: &str, value: &str| text += &(wrapped(13, &format!("{label:<13}{value}")) + "\n");
    let count = counted(number(to_disable.len()), "record");
    let names = if to_disable.is_empty() { String::new() } else { format!(": {}", shown(&to_disable)) };
    line("would", &format!("disable {count} of {}{names}", counted(number(devices.len()), "device")));
    line("would", &format!("end {}", counted(number(lines.len()), "connection")));
    for connection in lines.iter().take(20) {
        line("", connection);
    }
    if !unknown.is_empty() {
        line("not known", &shown(&unknown));
    }
    let worst_case = worst_case.map(|worst_case| worst_case.text(13)).unwrap_or_default();
    console.print(&json, format_args!("{text}{worst_case}"))?;
    Ok(true)
}
