//! `latchkey fleet capacity`: what a fleet needs of AWS, and what a month of it costs.

pub mod model;
mod prices;

use std::{fmt::Write as _, fs::OpenOptions, io::Write as _, path::Path, time::Duration};

use anyhow::Context as _;
use cli::{
    console::{Console, wrapped},
    format::{row_with, rows_in},
};
use indicatif::HumanFloatCount;
use serde_json::{Value, json};

use self::{
    model::{Account, ColdStart, Fleet, Function, Month, Quota, Steady},
    prices::Prices,
};
use crate::args::CapacityArgs;

const COLUMNS_OF_CSV: [&str; 8] = ["section", "name", "value", "allowed", "cost", "price", "date", "page"];
/// Where the second column begins.
const INDENT: usize = 17;

/// Prints what the fleet needs, or writes the file of prices.
///
/// # Errors
///
/// When an option is out of its range, or a file can't be read or written.
pub fn run(args: &CapacityArgs, console: &mut Console<'_>) -> anyhow::Result<()> {
    if let Some(path) = &args.prices_template {
        write_template(path)?;
        let text = format!("wrote `{}`: fill in each price with its date and page", path.display());
        return Ok(console.print(&json!({"prices": path}), wrapped(0, &text) + "\n")?);
    }
    let devices = args.devices.context("name the number of devices with `--devices N`")?;
    anyhow::ensure!(
        !args.refresh.is_zero() && !args.disconnect.is_zero(),
        "`--refresh` and `--disconnect` are above 0s"
    );
    let prices = args.prices.as_deref().map(Prices::read).transpose()?;
    let fleet = Fleet {
        devices: f64::from(devices.get()),
        spread: args.spread.as_secs_f64(),
        reconnects_a_day: f64::from(args.reconnects_a_day),
        publish_every: args.publish_every.as_secs_f64(),
        messages: f64::from(args.messages),
        deliveries: f64::from(args.deliveries),
        message_bytes: f64::from(args.message_bytes),
    };
    let on_cpu = |micros: u32| args.memory.time(Duration::from_micros(u64::from(micros))).as_secs_f64();
    let store = Duration::from_micros(u64::from(args.store_us)).as_secs_f64();
    let function = Function {
        answer: on_cpu(args.answer_us) + on_cpu(args.check_us) + store,
        start: on_cpu(args.start_us),
        refresh: args.refresh.as_secs_f64(),
        disconnect: args.disconnect.as_secs_f64(),
        memory_mb: f64::from(args.memory.mb()),
        units: if args.consistent_read { 1.0 } else { 0.5 },
    };
    let account = Account {
        connects: f64::from(args.connect_quota),
        connections: f64::from(args.connection_quota),
        concurrency: f64::from(args.concurrency_quota),
        published: f64::from(args.publish_quota),
        delivered: f64::from(args.delivery_quota),
    };
    let report = Report {
        cold: model::cold_start(&fleet, &function, &account),
        steady: model::steady(&fleet, &function),
        quotas: model::quotas(&fleet, &function, &account),
        month: model::month(&fleet, &function),
        strangers: model::strangers(&function, &account),
        answer: function.answer,
        prices,
    };
    Ok(console.print_rows(&COLUMNS_OF_CSV, report.rows(), &report.json(), report.text()?)?)
}

fn write_template(path: &Path) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(prices::template().as_bytes()));
    written.with_context(|| format!("can't make the file `{}`", path.display()))
}

struct Report {
    cold: ColdStart,
    steady: Steady,
    quotas: Vec<Quota>,
    month: Month,
    strangers: Month,
    /// Seconds of one answer.
    answer: f64,
    prices: Option<Prices>,
}

impl Report {
    fn text(&self) -> anyhow::Result<String> {
        let Self { cold, steady, month, strangers, .. } = self;
        let mut text = String::new();
        let mut line = |label: &str, value: String| {
            writeln!(text, "{}", wrapped(INDENT, &format!("{label:<INDENT$}{value}")))
        };
        line(
            "cold start",
            format!(
                "{} CONNECTs a second, all devices after {} s; {} executions at a time if all are new, {} read units a second",
                shown(cold.connects),
                shown(cold.seconds),
                shown(cold.concurrency),
                shown(cold.units)
            ),
        )?;
        if cold.wanted > cold.connects {
            let wanted = shown(cold.wanted);
            line(
                "",
                format!(
                    "the devices try {wanted} a second, and the account refuses the rest until they try again"
                ),
            )?;
        }
        line(
            "steady state",
            format!(
                "{} CONNECTs and {} refreshes a second; {} executions at a time of {} ms, {} read units a second",
                shown(steady.connects),
                shown(steady.refreshes),
                shown(steady.concurrency),
                shown(self.answer * 1_000.0),
                shown(steady.units)
            ),
        )?;
        line(
            "messages",
            format!("{} a second published, {} delivered", shown(steady.published), shown(steady.delivered)),
        )?;
        for Quota { name, needed, allowed, page } in &self.quotas {
            let share = shown(needed / allowed * 100.0);
            line("quota", format!("{share} % of {} {name} ({page})", shown(*allowed)))?;
        }
        line("month", amounts(month))?;
        line(
            "strangers",
            format!(
                "who try as often as the account lets them, for a month: {} calls, {} GB-seconds, {} read units",
                shown(strangers.calls),
                shown(strangers.gb_seconds),
                shown(strangers.units)
            ),
        )?;
        let Some(prices) = &self.prices else {
            line("bill", "needs prices: `--prices-template FILE` writes a file to fill in".to_owned())?;
            return Ok(text);
        };
        let currency = &prices.currency;
        for (label, month) in [("bill", month), ("strangers' bill", strangers)] {
            let lines = prices.bill(month);
            let total = prices::total(&lines);
            line(
                label,
                format!("{total:.2} {currency} a month, without free tiers, logs, data transfer and taxes"),
            )?;
            for prices::Line { name, amount, cost, price } in lines.iter().filter(|line| line.amount > 0.0) {
                let (amount, date, page) = (shown(*amount), &price.date, &price.page);
                line("", format!("{cost:.2} for {amount} {}, {page} of {date}", name.replace('_', " ")))?;
            }
        }
        Ok(text)
    }

    /// The members of the JSON as rows of CSV.
    fn rows(&self) -> Vec<Value> {
        let json = self.json();
        let mut rows = Vec::new();
        for section in ["cold_start", "steady", "month", "strangers"] {
            let values = json.get(section).and_then(Value::as_object).into_iter().flatten();
            rows.extend(
                values.map(|(name, value)| json!({"section": section, "name": name, "value": value})),
            );
        }
        rows.extend(self.quotas.iter().map(|Quota { name, needed, allowed, page }| {
            json!({"section": "quota", "name": name, "value": needed, "allowed": allowed, "page": page})
        }));
        for section in ["bill", "strangers_bill"] {
            let Some(bill) = json.get(section).filter(|bill| bill.is_object()) else { continue };
            rows.extend(rows_in(bill, "lines").into_iter().map(|line| {
                let amount = line.get("amount").cloned().unwrap_or_default();
                row_with(row_with(line, "section", json!(section)), "value", amount)
            }));
            let total = bill.get("total");
            rows.extend(total.map(|total| json!({"section": section, "name": "total", "cost": total})));
        }
        rows
    }

    fn json(&self) -> Value {
        let Self { cold, steady, month, strangers, .. } = self;
        let quotas = self.quotas.iter().map(|quota| {
            json!({"name": quota.name, "needed": quota.needed, "allowed": quota.allowed, "page": quota.page})
        });
        let amounts = |month: &Month| {
            json!({
                "connection_minutes": month.minutes, "messages": month.messages, "function_requests": month.calls,
                "function_gb_seconds": month.gb_seconds, "read_units": month.units,
            })
        };
        let bill = |month: &Month| {
            self.prices.as_ref().map(|prices| {
                let lines = prices.bill(month);
                let total = prices::total(&lines);
                let lines = lines.into_iter().map(|line| {
                    json!({
                        "name": line.name, "amount": line.amount, "cost": line.cost, "price": line.price.value,
                        "date": line.price.date, "page": line.price.page,
                    })
                });
                json!({"currency": prices.currency, "total": total, "lines": lines.collect::<Value>()})
            })
        };
        json!({
            "cold_start": {
                "wanted_connects_per_second": cold.wanted, "connects_per_second": cold.connects,
                "seconds": cold.seconds, "concurrency": cold.concurrency, "read_units_per_second": cold.units,
            },
            "steady": {
                "connects_per_second": steady.connects, "refreshes_per_second": steady.refreshes,
                "calls_per_second": steady.calls, "concurrency": steady.concurrency,
                "read_units_per_second": steady.units, "published_per_second": steady.published,
                "delivered_per_second": steady.delivered, "answer_seconds": self.answer,
            },
            "quotas": quotas.collect::<Value>(), "month": amounts(month), "strangers": amounts(strangers),
            "bill": bill(month), "strangers_bill": bill(strangers),
        })
    }
}

fn amounts(month: &Month) -> String {
    format!(
        "{} connection minutes, {} messages, {} calls, {} GB-seconds, {} read units",
        shown(month.minutes),
        shown(month.messages),
        shown(month.calls),
        shown(month.gb_seconds),
        shown(month.units)
    )
}

/// A number for a person: with separators, and with decimals only if it is small.
fn shown(number: f64) -> String {
    let rounded = match number {
        number if number >= 100.0 => number.round(),
        number if number >= 1.0 => (number * 10.0).round() / 10.0,
        number => (number * 1_000.0).round() / 1_000.0,
    };
    HumanFloatCount(rounded).to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use cli::{
        console::{COLUMNS, Input},
        format::OutputFormat,
    };

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: CapacityArgs,
    }

    fn capacity(words: &[&str], format: OutputFormat) -> anyhow::Result<String> {
        let args = Cli::try_parse_from([&["capacity"], words].concat())?.args;
        let (mut input, mut output) = (std::io::empty(), Vec::new());
        let input = Input { terminal: false, reader: &mut input };
        run(&args, &mut Console { format, input, output: &mut output })?;
        Ok(String::from_utf8(output)?)
    }

    #[test]
    fn without_prices_everything_but_the_bill_is_printed() {
        let text = capacity(&["--devices", "36000", "--connect-quota", "500"], OutputFormat::Table).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        for part in [
            "cold start       500 CONNECTs a second, all devices after 72 s;",
            "the devices try 600 a second",
            "steady state     0.833 CONNECTs and 10 refreshes a second;",
            "messages         1,200 a second published, 0 delivered\n",
            "quota            120 % of 500 CONNECTs a second, at a cold start",
            "month            1,555,200,000 connection minutes,",
            "bill             needs prices: `--prices-template FILE` writes a file to fill in\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let json = capacity(&["--devices", "36000"], OutputFormat::Json).unwrap();
        let json = serde_json::from_str::<Value>(&json).unwrap();
        assert_eq!(
            (&json["bill"], &json["cold_start"]["connects_per_second"]),
            (&Value::Null, &json!(600.0))
        );
        // 115 µs on a whole vCPU are 398 on 512 MB, and the read needs 10 ms.
        let answer = json["steady"]["answer_seconds"].as_f64().unwrap();
        assert!((answer - 0.010_397).abs() < 0.000_001, "{answer}");
    }

    #[test]
    fn the_template_is_filled_in_and_makes_a_bill() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prices.toml");
        let file = path.to_str().unwrap();
        capacity(&["--prices-template", file], OutputFormat::Table).unwrap();
        let again = capacity(&["--prices-template", file], OutputFormat::Table).unwrap_err();
        assert!(again.to_string().starts_with("can't make the file"), "{again}");
        for more in [&["--devices", "1"][..], &["--spread", "5s"], &["--connect-quota", "5"]] {
            let other = folder.path().join("other.toml");
            let words = [&["--prices-template", other.to_str().unwrap()], more].concat();
            let error = capacity(&words, OutputFormat::Json).unwrap_err();
            assert!(error.to_string().contains("cannot be used with"), "{error}");
            assert!(!other.exists());
        }
        let error = capacity(&["--devices", "1", "--prices", file], OutputFormat::Table).unwrap_err();
        assert!(format!("{error:#}").contains("`currency` is empty"), "{error:#}");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("currency = \"\"", "currency = \"EUR\"").replace("price = \"\"", "price = 1");
        let text =
            text.replace("date = \"\"", "date = \"2026-11-30\"").replace("page = \"\"", "page = \"page\"");
        std::fs::write(&path, text).unwrap();
        let printed = capacity(&["--devices", "36000", "--prices", file], OutputFormat::Table).unwrap();
        let joined = printed.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = "1555.20 for 1,555,200,000 connection minutes, page of 2026-11-30";
        assert!(joined.contains(line), "{printed}");
        assert!(printed.lines().all(|line| line.chars().count() <= COLUMNS), "{printed}");
        let json = capacity(&["--devices", "36000", "--prices", file], OutputFormat::Json).unwrap();
        // A label never pushes its value to the right.
        let is_column =
            |line: &str| line.chars().nth(INDENT - 1) == Some(' ') && line.chars().nth(INDENT) != Some(' ');
        assert!(printed.lines().all(is_column), "{printed}");
        let json = serde_json::from_str::<Value>(&json).unwrap();
        for bill in [&json["bill"], &json["strangers_bill"]] {
            let costs = bill["lines"].as_array().unwrap().iter().map(|line| line["cost"].as_f64().unwrap());
            assert_eq!(bill["total"].as_f64(), Some(costs.sum::<f64>()), "{bill}");
        }
        assert_eq!(json["bill"]["lines"].as_array().unwrap().len(), 5, "{json}");
        assert_eq!(json["strangers_bill"]["lines"][0]["cost"], json!(0.0));
    }
}
