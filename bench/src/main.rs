//! Compares gateway and bridge with their peers on this machine: memory for each connection, connects, QoS 1 throughput; and measures
//! what has no peer: Things by API calls, device shadows, and the console.
//!
//! Every comparison runs both sides in turns, with one client program and one certificate, so that other load on the
//! machine slows both down.

mod api;
mod api_calls;
mod authorizer;
mod bare;
mod bridge;
mod bridged;
mod connect;
mod console;
mod devices;
mod dialler;
mod dynamodb;
mod fixture;
mod gateway;
mod mosquitto;
mod process;
mod report;
mod runtime_api;
mod shadows;
mod throughput;

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use cli::{console::status, output};

use self::{
    fixture::Fixture,
    report::{Report, Section},
};

/// Compare gateway and bridge with their peers; the exit code is 1 if a target is missed
#[derive(Parser)]
#[command(name = "latchkey-bench", version)]
struct Cli {
    #[command(subcommand)]
    comparison: Comparison,

    /// Print JSON, and no other line on standard output
    #[arg(long, global = true)]
    json: bool,

    /// Run everything as briefly as possible, and judge nothing
    #[arg(long, global = true)]
    smoke: bool,
}

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
enum Comparison {
    /// All measurements, one after the other: eight to ten minutes
    All,
    /// 10,000 devices at once, each publishing every 10 seconds: errors, and the gateway's memory
    Devices,
    /// Connects a second, against a bare rustls accept loop
    Connect,
    /// QoS 1 messages a second, against mosquitto
    Throughput,
    /// Signed API calls: Things created and listed a second, memory, and `TestInvokeAuthorizer`
    ApiCalls,
    /// The authorizer's start, memory, answers and size, against an empty function
    Authorizer,
    /// Updates of device shadows at QoS 1 with their three answers, a second
    Shadows,
    /// What the console costs for a connect and a message: off, without a page, with one
    Console,
    /// 5,000 devices without TLS over the bridge: memory, idle processor time, added latency, and messages against mosquitto's bridge
    Bridge,
    /// The bare accept loop
    #[command(hide = true)]
    Bare {
        /// The certificate's file
        certificate: PathBuf,
        /// The key's file
        key: PathBuf,
    },
}

/// The sizes of the comparisons.
pub(crate) struct Size {
    /// Devices that are connected at once.
    pub(crate) devices: usize,
    /// The time between two messages of a device.
    pub(crate) interval: Duration,
    /// Messages of each device.
    pub(crate) messages: u32,
    /// Turns of each side of a comparison.
    pub(crate) rounds: u32,
    /// Connects in one turn.
    pub(crate) connects: usize,
    /// How long a turn of publishing takes.
    pub(crate) turn: Duration,
    /// Things that API calls create.
    pub(crate) things: usize,
    /// Calls and messages of which the time is measured.
    pub(crate) timed_calls: usize,
    /// Devices that are connected over the bridge.
    pub(crate) bridged_devices: usize,
    /// How long they do nothing while processor time is measured.
    pub(crate) idle: Duration,
    /// Numbers of records with which the authorizer is started.
    pub(crate) records: &'static [usize],
    /// Starts of each function.
    pub(crate) starts: u32,
    /// Answers after the first one.
    pub(crate) warm: usize,
}

impl Size {
    /// The sizes of a run that is judged.
    pub(crate) const FULL: Self = Self {
        devices: 10_000,
        interval: Duration::from_secs(10),
        messages: 3,
        rounds: 7,
        connects: 2_000,
        turn: Duration::from_secs(3),
        things: 100_000,
        timed_calls: 1_000,
        bridged_devices: 5_000,
        idle: Duration::from_secs(10),
        records: &[10, 1_000, 100_000, 1_000_000],
        starts: 21,
        warm: 2_000,
    };
    /// The sizes of a run that shows only that everything works.
    pub(crate) const SMOKE: Self = Self {
        devices: 30,
        interval: Duration::from_millis(500),
        messages: 2,
        rounds: 1,
        connects: 30,
        turn: Duration::from_millis(300),
        things: 200,
        timed_calls: 5,
        bridged_devices: 20,
        idle: Duration::from_millis(200),
        records: &[10, 300],
        starts: 1,
        warm: 5,
    };
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { comparison, json, smoke } = Cli::parse();
    let done = match &comparison {
        Comparison::Bare { certificate, key } => bare::serve(certificate, key).await.map(|()| true),
        comparison => measure(comparison, json, smoke).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            status(&format!("latchkey-bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the comparisons and prints the report. Returns whether every target was met.
async fn measure(comparison: &Comparison, json: bool, smoke: bool) -> anyhow::Result<bool> {
    let size = if smoke { Size::SMOKE } else { Size::FULL };
    allow_many_connections();
    process::build().await?;
    let fixture = Fixture::make(size.devices)?;
    let wanted = |one: Comparison| *comparison == Comparison::All || *comparison == one;
    let mut sections: Vec<Section> = Vec::new();
    if wanted(Comparison::Devices) {
        status("devices: connecting and publishing");
        sections.push(devices::measure(&fixture, &size).await?);
    }
    if wanted(Comparison::Connect) {
        status("connect: the gateway and a bare accept loop in turns");
        sections.push(connect::measure(&fixture, &size).await?);
    }
    if wanted(Comparison::Throughput) {
        status("throughput: the gateway and mosquitto in turns");
        sections.push(throughput::measure(&fixture, &size).await?);
    }
    if wanted(Comparison::ApiCalls) {
        status("api-calls: creating things, listing them, testing the authorizer");
        sections.push(api_calls::measure(&fixture, &size).await?);
    }
    if wanted(Comparison::Shadows) {
        status("shadows: updating");
        sections.push(shadows::measure(&fixture, &size).await?);
    }
    if wanted(Comparison::Console) {
        status("console: gateways without a console, without a page and with one, in turns");
        sections.push(console::measure(&fixture, &size).await?);
    }
    if wanted(Comparison::Bridge) {
        status("bridge: connecting, publishing, mosquitto's bridge in turns");
        sections.push(bridged::measure(&fixture, &size).await?);
    }
    if wanted(Comparison::Authorizer) {
        status("authorizer: ours, an empty function and Python in turns");
        sections.push(authorizer::measure(&fixture, &size).await?);
    }
    let report = Report { machine: report::machine(), judged: !smoke, sections };
    let text = if json { report.json()? } else { report.text() };
    output::stdout().write_all(text.as_bytes())?;
    Ok(report.is_met())
}

/// Raises the limit of open files, which the processes inherit. If it is too low, the connection that fails says so.
#[cfg(unix)]
fn allow_many_connections() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or_default();
}

#[cfg(not(unix))]
fn allow_many_connections() {}
