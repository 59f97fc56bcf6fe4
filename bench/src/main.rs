//! The gateway beside its peers on this machine: memory a connection, connects, QoS 1 throughput.
//!
//! Every comparison runs both sides in turns, with one client program and one certificate, so that what else the machine
//! does weighs on both.

mod bare;
mod connect;
mod devices;
mod dialler;
mod fixture;
mod gateway;
mod machine;
mod memory;
mod mosquitto;
mod process;
mod programs;
mod report;
mod size;
mod throughput;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use self::{
    fixture::Fixture,
    report::{Report, Section},
    size::Size,
};

/// Compare the gateway with its peers; the exit code is 1 if a target is missed
#[derive(Parser)]
#[command(name = "latchkey-bench", version)]
struct Cli {
    #[command(subcommand)]
    what: What,

    /// Print JSON, and nothing else on standard output
    #[arg(long, global = true)]
    json: bool,

    /// As little of everything as shows that it works; nothing is judged
    #[arg(long, global = true)]
    smoke: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
enum What {
    /// Everything below, one after the other: two to three minutes
    All,
    /// 10,000 devices at once, each publishing every 10 seconds: errors, and the gateway's memory
    Devices,
    /// Connects a second, against a bare rustls accept loop
    Connect,
    /// QoS 1 messages a second, against mosquitto
    Throughput,
    /// The bare accept loop
    #[command(hide = true)]
    Bare {
        /// The certificate's file
        certificate: PathBuf,
        /// The key's file
        key: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { what, json, smoke } = Cli::parse();
    let done = match &what {
        What::Bare { certificate, key } => bare::serve(certificate, key).await.map(|()| true),
        what => measure(what, json, smoke).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            _ = writeln!(io::stderr(), "latchkey-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every target was met.
async fn measure(what: &What, json: bool, smoke: bool) -> anyhow::Result<bool> {
    let size = if smoke { Size::SMOKE } else { Size::FULL };
    allow_many_connections();
    programs::build().await?;
    let fixture = Fixture::make(size.devices)?;
    let wanted = |part: What| *what == What::All || *what == part;
    let mut sections: Vec<Section> = Vec::new();
    if wanted(What::Devices) {
        tell("devices: connecting and publishing");
        sections.push(devices::measure(&fixture, &size).await?);
    }
    if wanted(What::Connect) {
        tell("connect: the gateway and a bare accept loop in turns");
        sections.push(connect::measure(&fixture, &size).await?);
    }
    if wanted(What::Throughput) {
        tell("throughput: the gateway and mosquitto in turns");
        sections.push(throughput::measure(&fixture, &size).await?);
    }
    let report = Report { machine: machine::describe(), judged: !smoke, sections };
    let text = if json { report.json()? } else { report.text() };
    io::stdout().write_all(text.as_bytes())?;
    Ok(report.is_met())
}

/// Processes that are started inherit the limit. Should it not be enough, the connection that fails says so.
#[cfg(unix)]
fn allow_many_connections() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or_default();
}

#[cfg(not(unix))]
fn allow_many_connections() {}

/// What goes on, for whoever waits.
fn tell(text: &str) {
    _ = writeln!(io::stderr(), "{text}");
}
