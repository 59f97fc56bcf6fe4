//! The whole system at work on real connections, in ten seconds.
//!
//! Gateway and simulator are processes of their own, the same commands that a person types. The demo itself
//! provisions the fleet, watches the readings as an operator's dashboard would, and plays the two that are
//! refused.

mod folder;
mod outsiders;
mod processes;
mod provision;
mod report;
mod table;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use cli::{console, exit, signal};
use device_sim::Endpoint;
use tokio::task::JoinHandle;

use self::{
    folder::Folder,
    outsiders::{Refused, Watcher},
    processes::{Local, Sim},
    provision::Fleet,
    report::{Outcome, Report},
    table::Table,
};
use crate::programs;

/// Readings that are shown one by one.
const SHOWN_READINGS: u64 = 12;
/// How long a reading may take from its acknowledgement to the dashboard.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the demo can be told.
#[derive(Args, Clone, Debug)]
pub(crate) struct DemoArgs {
    /// How many devices the fleet has
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=2_000))]
    devices: u16,

    /// How many seconds the fleet publishes, twice a second
    #[arg(long, default_value_t = 8, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,

    /// Where the CA, the records and the log are kept
    #[arg(long, default_value = ".latchkey/demo", value_name = "FOLDER")]
    data: PathBuf,

    /// Print the summary as JSON, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

/// Runs the demo. The exit code is 0 if everything that should be let in was, and nothing else.
pub(crate) async fn run(args: DemoArgs) -> ExitCode {
    let stage = Stage::new(args.json);
    tokio::select! {
        outcome = play(&args, &stage) => match outcome {
            Ok(report) => {
                report.print(args.json);
                ExitCode::from(u8::from(!report.as_expected()))
            }
            Err(error) => console::usage_error("latchkey demo", &error),
        },
        () = stopped() => {
            stage.say("\ninterrupted; the gateway and the fleet have stopped");
            ExitCode::from(exit::INTERRUPTED)
        }
    }
}

/// Waits for Ctrl-C, for the signal that ends a service, or until the terminal is closed.
async fn stopped() {
    tokio::select! {
        () = signal::interrupted() => {}
        () = signal::hung_up() => {}
    }
}

async fn play(args: &DemoArgs, stage: &Stage) -> anyhow::Result<Report> {
    stage.say(
        "Latchkey demo: devices with a user name and a password on AWS IoT Core's rules, on this machine\n",
    );
    let authorizer = programs::find(programs::AUTHORIZER).await?;
    let folder = Folder::take(&args.data)?;
    let fleet = Fleet::provision(&folder, args.devices)?;
    let table = Table::with(&fleet.records).await?;
    stage.step(
        "records",
        &format!(
            "{} devices, each with its own secret; a DynamoDB table keeps only hashes",
            fleet.records.len()
        ),
    );

    let local = Local::start(&args.data, &authorizer, &table.variables(&fleet.grants)).await?;
    stage.step(
        "gateway",
        &format!("TLS on {}, ALPN mqtt, its own CA in {}", local.address, fleet.ca.display()),
    );
    stage.step(
        "authorizer",
        "the real Lambda binary, behind a Lambda Runtime API; it reads the table by AWS's SDK",
    );

    let endpoint = local.endpoint(&fleet)?;
    let mut watcher = Watcher::connect(&endpoint, &fleet).await?;
    let sim = Sim::start(&local, &fleet, Duration::from_secs(args.seconds))?;
    stage.step(
        "fleet",
        &format!(
            "{}; a dashboard watches\n",
            match args.devices {
                1 => "1 simulated SHT20 device connects and publishes at QoS 1".to_owned(),
                many => format!("{many} simulated SHT20 devices connect and publish at QoS 1"),
            }
        ),
    );
    let mut show = Show::new(stage, endpoint.clone(), &fleet);
    let summary = show.until(&mut watcher, sim.finish()).await?;
    show.rest(&mut watcher, summary.acknowledged()).await?;
    let Show { received, refused, .. } = show;
    let refused = match refused {
        Some(task) => task.await??,
        None => outsiders::try_both(endpoint, fleet.outsiders()).await?,
    };
    stage.step("intruder", &refused.intruder.story);
    stage.step("trespasser", &refused.trespasser.story);
    let log = local.log.clone();
    local.stop().await?;
    Report::new(Outcome { summary, refused, received, log })
}

/// The readings as the dashboard sees them, and after the first few the two outsiders, while the fleet goes on.
struct Show<'a> {
    stage: &'a Stage,
    fleet: &'a Fleet,
    endpoint: Endpoint,
    received: u64,
    refused: Option<JoinHandle<anyhow::Result<Refused>>>,
}

impl<'a> Show<'a> {
    fn new(stage: &'a Stage, endpoint: Endpoint, fleet: &'a Fleet) -> Self {
        Self { stage, fleet, endpoint, received: 0, refused: None }
    }

    /// Shows readings until the fleet is done.
    async fn until<T>(
        &mut self,
        watcher: &mut Watcher,
        fleet: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::pin!(fleet);
        loop {
            tokio::select! {
                done = &mut fleet => return done,
                reading = watcher.reading() => self.reading(&reading?),
            }
        }
    }

    /// Takes the readings that are still on their way to the dashboard.
    async fn rest(&mut self, watcher: &mut Watcher, published: u64) -> anyhow::Result<()> {
        while self.received < published {
            let Ok(reading) = tokio::time::timeout(PATIENCE, watcher.reading()).await else { break };
            self.reading(&reading?);
        }
        self.stage.progress_ends(self.received > SHOWN_READINGS);
        Ok(())
    }

    fn reading(&mut self, reading: &str) {
        self.received += 1;
        if self.received == 1 {
            self.fleet.forget_credentials();
        }
        if self.received <= SHOWN_READINGS {
            self.stage.say(&format!("  {reading}"));
        } else {
            self.stage.progress(&format!("  … {} readings", self.received));
        }
        if self.received == SHOWN_READINGS {
            let (endpoint, outsiders) = (self.endpoint.clone(), self.fleet.outsiders());
            self.refused = Some(tokio::spawn(outsiders::try_both(endpoint, outsiders)));
        }
    }
}

/// Where the demo tells what it does: standard output, or nowhere if that is for JSON.
struct Stage {
    quiet: bool,
    terminal: bool,
}

impl Stage {
    fn new(json: bool) -> Self {
        Self { quiet: json, terminal: io::stdout().is_terminal() }
    }

    fn step(&self, name: &str, text: &str) {
        let (bold, plain) = if self.terminal { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        self.say(&format!("{bold}{name:<12}{plain}{text}"));
    }

    /// A line that the next one overwrites; on a terminal only.
    fn progress(&self, text: &str) {
        if self.terminal && !self.quiet {
            _ = write!(io::stdout(), "\r{text}").and_then(|()| io::stdout().flush());
        }
    }

    /// An empty line, which on a terminal comes after the end of the line that was overwritten.
    fn progress_ends(&self, shown: bool) {
        self.say(if shown && self.terminal { "\n" } else { "" });
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            // Nobody may be reading any more; the exit code still tells.
            _ = writeln!(io::stdout(), "{text}");
        }
    }
}
