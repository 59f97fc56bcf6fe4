//! `latchkey fleet check-migration`: what of a fleet will not work on AWS, and how each device can move.
//!
//! `observed` collects what is known: from the export, a list of topics, [`broker_log`] or [`capture`], whose connections
//! `flows` follows. [`problem`] has what does not work, and why.

mod broker_log;
mod capture;
mod client_hello;
mod flows;
mod observed;
mod problem;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use anyhow::Context as _;
use cli::{
    console::{Console, counted, wrapped},
    format::rows_in,
};
use indicatif::HumanCount;
use serde_json::json;

use self::{
    flows::Flows,
    observed::Observed,
    problem::{Explanation, Problem, WAYS, Way},
};
use crate::{
    args::CheckMigrationArgs,
    import::{self, Format, Source},
};

/// Where the second column begins.
const INDENT: usize = 22;

/// Prints what of a fleet will not work on AWS.
///
/// # Errors
///
/// When a file can't be read or is none of those that are known.
pub fn run(args: &CheckMigrationArgs, console: &mut Console<'_>) -> anyhow::Result<()> {
    let mut observed = Observed::default();
    let (rows, faults) =
        import::read(&args.export, Format::of(args.from, args.product.as_deref(), args.emqx_hash))?;
    for row in &rows {
        observed.device(row.name.as_str());
    }
    for (line, error) in faults.lines() {
        // The row may have no name.
        let device = format!("line {line}");
        observed.device(&device);
        observed.add(&device, Problem::NoRecord, &format!("{device}: {error}"));
    }
    if let Some(path) = &args.topics {
        let topics = import::text(path)?;
        let topics = topics.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("# "));
        topics.for_each(|topic| observed.topic(None, topic));
    }
    let mut seen = Vec::new();
    for path in &args.capture {
        let read =
            read_capture(path, &mut observed).with_context(|| format!("can't use `{}`", path.display()))?;
        seen.push(format!("{}: {read}", path.display()));
    }
    observed.conclude();
    if observed.hosts().is_empty() {
        let is_vendor = matches!(args.from, Source::Alibaba | Source::Tencent);
        let problem = if is_vendor { Problem::VendorHost } else { Problem::OwnHost };
        observed.add_to_all(problem, "every device, because no capture shows a host name");
    }
    let report = Report::of(&observed, seen);
    let json = report.json();
    let rows = rows_in(&json, "problems");
    let columns = ["problem", "way", "devices", "addresses", "reason", "cure", "examples"];
    Ok(console.print_rows(&columns, rows, &json, &report)?)
}

/// Reads captured packets or a log, and says what it was.
fn read_capture(path: &Path, observed: &mut Observed) -> anyhow::Result<String> {
    let mut file = BufReader::new(File::open(path)?);
    if capture::is_capture(file.fill_buf()?) {
        let mut flows = Flows::default();
        let packets = capture::read(file, |segment| flows.add(segment, observed))?;
        let left_out = match flows.left_out {
            0 => String::new(),
            left_out => format!(
                ", and {} left out, because there are too many at a time",
                counted(left_out, "segment")
            ),
        };
        let connections = counted(HumanCount(flows.connections), "connection");
        return Ok(format!(
            "{connections} with TLS or MQTT in {}{left_out}",
            counted(HumanCount(packets), "packet")
        ));
    }
    let lines = broker_log::read(file, observed)?;
    anyhow::ensure!(
        lines > 0,
        "it is neither pcap nor pcapng, and has no line that mosquitto writes with `log_type all`"
    );
    Ok(format!("{} of mosquitto's log", counted(HumanCount(lines), "line")))
}

/// What is printed.
struct Report {
    devices: u64,
    addresses: u64,
    others: u64,
    problems: Vec<Found>,
    ways: BTreeMap<Way, u64>,
    hosts: BTreeMap<String, u64>,
    seen: Vec<String>,
}

/// A problem, and how many have it.
struct Found {
    explanation: Explanation,
    devices: u64,
    addresses: u64,
    examples: Vec<String>,
}

impl Report {
    fn of(observed: &Observed, seen: Vec<String>) -> Self {
        let mut counts = BTreeMap::<Problem, (u64, u64)>::new();
        let (mut ways, mut devices, mut addresses) = (BTreeMap::<Way, u64>::new(), 0_u64, 0_u64);
        for problems in observed.exported() {
            devices = devices.saturating_add(1);
            let count = ways.entry(way(&problems)).or_default();
            *count = count.saturating_add(1);
            for problem in problems {
                let (devices, _) = counts.entry(problem).or_default();
                *devices = devices.saturating_add(1);
            }
        }
        for problems in observed.addresses() {
            addresses = addresses.saturating_add(1);
            for problem in problems {
                let (_, addresses) = counts.entry(*problem).or_default();
                *addresses = addresses.saturating_add(1);
            }
        }
        // A problem of a client that is not in the export is shown too.
        observed.problems().for_each(|problem| _ = counts.entry(problem).or_default());
        let problems = counts.into_iter().map(|(problem, (devices, addresses))| Found {
            explanation: problem.explanation(),
            devices,
            addresses,
            examples: observed.examples(problem).map(str::to_owned).collect(),
        });
        Self {
            devices,
            addresses,
            others: u64::try_from(observed.others()).unwrap_or(u64::MAX),
            problems: problems.collect(),
            ways,
            hosts: observed.hosts().clone(),
            seen,
        }
    }

    fn json(&self) -> serde_json::Value {
        let problems = self.problems.iter().map(|found| {
            let Explanation { name, reason, cure, way } = &found.explanation;
            json!({
                "problem": name, "reason": reason, "cure": cure, "way": way.key(), "devices": found.devices,
                "addresses": found.addresses, "examples": found.examples,
            })
        });
        let ways = WAYS.map(|way| (way.key(), self.count(way)));
        json!({
            "devices": self.devices, "addresses": self.addresses, "not_in_export": self.others,
            "problems": problems.collect::<Vec<_>>(), "ways": BTreeMap::from(ways), "hosts": self.hosts,
        })
    }

    fn count(&self, way: Way) -> u64 {
        self.ways.get(&way).copied().unwrap_or_default()
    }
}

/// The way that solves all problems.
fn way(problems: &BTreeSet<Problem>) -> Way {
    problems.iter().map(|problem| problem.explanation().way).max().unwrap_or(Way::Unchanged)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line =
            |label: &str, text: &str| writeln!(f, "{}", wrapped(INDENT, &format!("{label:<INDENT$}{text}")));
        let count = |count: u64, noun: &str| counted(HumanCount(count), noun);
        line("devices", &format!("{} in the export", HumanCount(self.devices)))?;
        for seen in &self.seen {
            line("read", seen)?;
        }
        if self.others > 0 {
            line(
                "note",
                &format!("{} connected that the export does not have", count(self.others, "other client")),
            )?;
        }
        if !self.hosts.is_empty() {
            let hosts = self.hosts.iter().map(|(name, connections)| format!("{name} ({connections})"));
            let shown = hosts.take(5).collect::<Vec<_>>().join(", ");
            line("hosts", &format!("{shown}, from {}", addresses(self.addresses)))?;
        }
        for Found {
            explanation: Explanation { name, reason, cure, way },
            devices,
            addresses: found,
            examples,
        } in &self.problems
        {
            let addresses = if *found > 0 { format!(", {}", addresses(*found)) } else { String::new() };
            line(name, &format!("{}{addresses}: {reason}", count(*devices, "device")))?;
            line("", &format!("fix: {cure} ({})", way.as_str()))?;
            if !examples.is_empty() {
                line("", &format!("for example: {}", examples.join("; ")))?;
            }
        }
        let ways = WAYS.map(|way| format!("{} {}", HumanCount(self.count(way)), way.as_str()));
        line("moves", &format!("of {}: {}", count(self.devices, "device"), ways.join(", ")))
    }
}

fn addresses(count: u64) -> String {
    if count == 1 { "1 address".to_owned() } else { format!("{} addresses", HumanCount(count)) }
}

#[cfg(test)]
mod tests;
