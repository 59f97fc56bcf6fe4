//! `latchkey demo`: the whole system at work on real connections, in ten seconds.
//!
//! The gateway and the simulator are processes, started with the commands that a person types. The demo provisions the
//! fleet, subscribes to the readings as an operator's dashboard would, and connects the two clients that are refused.

mod folder;
mod outsiders;
mod processes;
mod provision;
mod report;
mod table;

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use cli::{console, exit, output, signal};
use device_sim::Endpoint;
use tokio::task::JoinHandle;

use self::{
    folder::Folder,
    outsiders::{Attempts, Dashboard},
    processes::{Local, Sim},
    provision::Fleet,
    report::Report,
    table::Table,
};
use crate::programs;

/// Readings that are shown one by one. Later ones are counted.
const SHOWN_READINGS: u64 = 12;
/// How long a reading may take from its acknowledgement to the dashboard.
const READING_LIMIT: Duration = Duration::from_secs(2);

/// How long the gateway may take to write its log.
const LOG_TIME: Duration = Duration::from_millis(500);

/// The command line.
#[derive(Args, Clone, Debug)]
pub(crate) struct DemoArgs {
    /// How many devices the fleet has
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=2_000))]
    devices: u16,

    /// How many seconds the fleet publishes, two times a second
    #[arg(long, default_value_t = 8, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,

    /// The folder of the CA, the grants and the log
    #[arg(long, default_value = ".latchkey/demo", value_name = "FOLDER")]
    data: PathBuf,

    /// Leave the gateway and the fleet running after the summary, until Ctrl-C
    ///
    /// It prints the link of the console, where you see each attempt and reading in the browser. The devices' day takes four
    /// minutes.
    #[arg(long)]
    keep: bool,

    /// Print the summary as JSON, and no other line on standard output
    #[arg(long)]
    json: bool,
}

/// What goes on after the summary.
struct Kept {
    _local: Local,
    _sim: Sim,
    /// The records, without which the authorizer refuses everybody.
    _table: Table,
    /// The link of the console.
    console: String,
    dashboard: JoinHandle<anyhow::Result<()>>,
}

/// Runs the demo. The exit code is 0 if every client was accepted or refused as it should be.
pub(crate) async fn run(args: DemoArgs) -> ExitCode {
    let output = DemoOutput::new(args.json);
    tokio::select! {
        report = play(&args, &output) => match report {
            Ok((report, kept)) => {
                report.print(args.json);
                if let Some(kept) = kept {
                    kept.until_stopped(&output).await;
                }
                ExitCode::from(u8::from(!report.as_expected()))
            }
            Err(error) => console::usage_error("latchkey demo", &error),
        },
        () = stopped() => {
            output.line("\ninterrupted; the gateway and the fleet have stopped");
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

async fn play(args: &DemoArgs, output: &DemoOutput) -> anyhow::Result<(Report, Option<Kept>)> {
    output.line("Latchkey demo: AWS IoT Core on this machine, for devices with a password\n");
    let authorizer = programs::find(programs::AUTHORIZER).await?;
    let folder = Folder::lock(&args.data)?;
    let fleet = Fleet::provision(&folder, args.devices)?;
    let table = Table::with(&fleet.records).await?;
    output.step(
        "records",
        &format!(
            "{} devices, each with its own secret; a DynamoDB table has only hashes",
            fleet.records.len()
        ),
    );

    let local = Local::start(&args.data, &authorizer, &table.variables(&fleet.grants)).await?;
    output.step(
        "gateway",
        &format!("TLS on {}, ALPN mqtt, its own CA in {}", local.address, fleet.ca.display()),
    );
    output.step(
        "authorizer",
        "the real Lambda binary, on a Lambda Runtime API; it reads the table with AWS's SDK",
    );

    let endpoint = local.endpoint(&fleet)?;
    let mut dashboard = Dashboard::connect(&endpoint, &fleet).await?;
    let sim = Sim::start(&local, &fleet, Some(Duration::from_secs(args.seconds)))?;
    output.step(
        "fleet",
        &format!(
            "{}; a dashboard watches",
            match args.devices {
                1 => "1 simulated SHT20 device connects and publishes at QoS 1".to_owned(),
                many => format!("{many} simulated SHT20 devices connect and publish at QoS 1"),
            }
        ),
    );
    output.line("");
    let mut readings = Readings { output, fleet: &fleet, endpoint: &endpoint, received: 0, attempts: None };
    let summary = readings.show_until(&mut dashboard, sim.finish()).await?;
    readings.show_rest(&mut dashboard, summary.acknowledged()).await?;
    let Readings { received, attempts, .. } = readings;
    let attempts = match attempts {
        Some(task) => task.await??,
        None => outsiders::try_both(endpoint, fleet.outsiders()).await?,
    };
    output.step("intruder", &attempts.intruder.description);
    output.step("trespasser", &attempts.trespasser.description);
    let log = local.log.clone();
    if !args.keep {
        local.stop().await?;
        return Ok((Report::new(summary, &attempts, received, log)?, None));
    }
    // The gateway writes its log within milliseconds, and goes on.
    tokio::time::sleep(LOG_TIME).await;
    let report = Report::new(summary, &attempts, received, log)?;
    Ok((report, Some(Kept::start(local, fleet, table, dashboard)?)))
}

impl Kept {
    /// Starts the fleet again, without an end.
    fn start(local: Local, fleet: Fleet, table: Table, mut dashboard: Dashboard) -> anyhow::Result<Self> {
        fleet.write_credentials()?;
        let sim = Sim::start(&local, &fleet, None)?;
        let console = local.console_link()?;
        let dashboard = tokio::spawn(async move {
            dashboard.reading().await?;
            fleet.forget_credentials();
            loop {
                dashboard.reading().await?;
            }
        });
        Ok(Self { _local: local, _sim: sim, _table: table, console, dashboard })
    }

    /// Waits for Ctrl-C. Dropping the processes ends them.
    async fn until_stopped(self, output: &DemoOutput) {
        output.line("");
        // In one piece, so that it can be clicked.
        output.line(&format!("{:<12}{}", "console", self.console));
        output.step("stop", "Ctrl-C; until then the gateway and the fleet go on");
        tokio::select! {
            () = stopped() => {}
            _ = self.dashboard => console::status("latchkey demo: the gateway has ended"),
        }
    }
}

/// The readings at the dashboard. After the first few, the two outsiders make their attempts while the fleet publishes.
struct Readings<'a> {
    output: &'a DemoOutput,
    fleet: &'a Fleet,
    endpoint: &'a Endpoint,
    received: u64,
    attempts: Option<JoinHandle<anyhow::Result<Attempts>>>,
}

impl Readings<'_> {
    /// Shows readings until the fleet is done.
    async fn show_until<T>(
        &mut self,
        dashboard: &mut Dashboard,
        fleet: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::pin!(fleet);
        loop {
            tokio::select! {
                done = &mut fleet => return done,
                reading = dashboard.reading() => self.show(&reading?),
            }
        }
    }

    /// Shows the readings that have not reached the dashboard yet.
    async fn show_rest(&mut self, dashboard: &mut Dashboard, published: u64) -> anyhow::Result<()> {
        while self.received < published {
            let Ok(reading) = tokio::time::timeout(READING_LIMIT, dashboard.reading()).await else { break };
            self.show(&reading?);
        }
        self.output.end_progress(self.received > SHOWN_READINGS);
        Ok(())
    }

    fn show(&mut self, reading: &str) {
        self.received += 1;
        if self.received == 1 {
            self.fleet.forget_credentials();
        }
        if self.received <= SHOWN_READINGS {
            self.output.line(&format!("  {reading}"));
        } else {
            self.output.progress(&format!("  … {} readings", self.received));
        }
        if self.received == SHOWN_READINGS {
            let (endpoint, outsiders) = (self.endpoint.clone(), self.fleet.outsiders());
            self.attempts = Some(tokio::spawn(outsiders::try_both(endpoint, outsiders)));
        }
    }
}

/// The demo's lines on standard output. There are none if standard output is for JSON.
struct DemoOutput {
    quiet: bool,
}

impl DemoOutput {
    fn new(json: bool) -> Self {
        Self { quiet: json }
    }

    fn step(&self, name: &str, text: &str) {
        let line = console::wrapped(12, &format!("{name:<12}{text}"));
        let rest = line.strip_prefix(name).unwrap_or(&line);
        if !self.quiet {
            let mut stdout = output::stdout();
            // If standard output is closed, the exit code still has the result.
            _ = stdout.write_bold(name).and_then(|()| writeln!(stdout, "{rest}"));
        }
    }

    /// Prints a line that the next one overwrites, on a terminal only.
    fn progress(&self, text: &str) {
        if !self.quiet {
            _ = output::stdout().overwrite_line(text);
        }
    }

    /// Prints an empty line. On a terminal it ends the line of progress first.
    fn end_progress(&self, shown: bool) {
        self.line(if shown && output::stdout().is_terminal() { "\n" } else { "" });
    }

    fn line(&self, text: &str) {
        if !self.quiet {
            // If standard output is closed, the exit code still has the result.
            _ = writeln!(output::stdout(), "{text}");
        }
    }
}
