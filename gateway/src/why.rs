//! `latchkey why`: the story of a device's last connections, from the gateway's log.
//!
//! [`reader`] reads the log's lines, [`search`] finds the connections that are meant, and [`story`] makes steps of their
//! lines. The log is read twice, line by line, so it may be larger than the memory.

pub(crate) mod reader;
mod search;
pub(crate) mod story;

use std::{
    num::NonZeroU16,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use clap::Args;
use cli::{console, output};
use serde_json::json;
use time::OffsetDateTime;

use self::{
    search::{Found, Search},
    story::Attempt,
};

const LOG_FILE: &str = ".latchkey/events.jsonl";
/// The exit code if something was refused, denied or broken.
const REFUSED: u8 = 1;
/// The exit code if the log has no such connection.
const NOT_FOUND: u8 = 2;

/// Tell why a device can't connect, from the log of `latchkey local`
///
/// It shows the last connection of the device step by step: TLS, the authorizer's decision, what the policies allow, what
/// was denied, and how it ended, each with its cause and what to do about it.
#[derive(Args)]
#[command(after_long_help = "Exit codes:
  0   the connections that are shown had no problem
  1   something was refused or denied, or a connection broke
  2   the log has no such connection
  64  the log can't be read, or the command line is wrong")]
pub struct WhyArgs {
    /// A device, a client id, an address, or the beginning of a connection id
    ///
    /// The terminal of `latchkey local` shows the first four digits of the connection id. A connection that failed before
    /// its CONNECT has no client id yet: look for its address.
    #[arg(value_name = "DEVICE|CONNECTION")]
    pub subject: String,

    /// How many connections to show, the last ones [at most 100]
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub last: u16,

    /// Only what happened in the last `30s`, `15m`, `2h` or `1d`
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<Duration>,

    /// The log
    #[arg(long, value_name = "FILE", default_value = LOG_FILE)]
    pub log: PathBuf,

    /// Print one line of JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

/// A number of seconds, minutes, hours or days.
fn parse_time(text: &str) -> Result<Duration, String> {
    let seconds = match text.strip_suffix(['s', 'm', 'h', 'd']).and_then(|number| number.parse::<u32>().ok())
    {
        Some(number) if text.ends_with('s') => u64::from(number),
        Some(number) if text.ends_with('m') => u64::from(number) * 60,
        Some(number) if text.ends_with('h') => u64::from(number) * 3_600,
        Some(number) => u64::from(number) * 86_400,
        None => return Err("write a number and `s`, `m`, `h` or `d`, such as `15m`".to_owned()),
    };
    Ok(Duration::from_secs(seconds))
}

/// Prints the story.
#[must_use]
pub fn run(args: &WhyArgs) -> ExitCode {
    match tell(args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => console::usage_error("latchkey why", &error),
    }
}

fn tell(args: &WhyArgs) -> anyhow::Result<u8> {
    let since = args.since.map(|since| OffsetDateTime::now_utc() - since);
    let last = NonZeroU16::new(args.last).unwrap_or(NonZeroU16::MIN);
    let search = Search { subject: &args.subject, last, since };
    let attempts = read(&args.log, &search)?;
    let text = match &attempts {
        Ok(attempts) if args.json => json!({"subject": args.subject, "attempts": attempts}).to_string(),
        Ok(attempts) => attempts.iter().map(Attempt::to_string).collect::<Vec<_>>().join("\n"),
        Err(hint) => {
            if args.json {
                print(&json!({"subject": args.subject, "attempts": []}).to_string());
            }
            let within = if since.is_some() { " in this time" } else { "" };
            let (log, subject) = (args.log.display(), &args.subject);
            console::status(&format!("latchkey why: `{log}` has no connection of `{subject}`{within}{hint}"));
            return Ok(NOT_FOUND);
        }
    };
    print(&text);
    let attempts = attempts.unwrap_or_default();
    Ok(if attempts.iter().any(Attempt::has_problem) { REFUSED } else { 0 })
}

/// The last connections of a device, a client id or an address that began after a moment, each as [`run`] prints it for
/// scripts.
///
/// # Errors
///
/// When the log can't be read.
pub fn attempts(
    log: &Path,
    subject: &str,
    last: NonZeroU16,
    since: SystemTime,
) -> anyhow::Result<Vec<serde_json::Value>> {
    let since = OffsetDateTime::from(since);
    let attempts = read(log, &Search { subject, last, since: Some(since) })?.unwrap_or_default();
    // One that began earlier may have a line of its end since then.
    let attempts = attempts.iter().filter(|attempt| attempt.began().is_some_and(|began| began >= since));
    Ok(attempts.map(|attempt| json!(attempt)).collect())
}

/// The connections that are meant, the earliest first, or else what to look for in their place.
fn read(log: &Path, search: &Search<'_>) -> anyhow::Result<Result<Vec<Attempt>, String>> {
    let unreadable = || {
        format!(
            "can't read the log `{}`; run this in the folder of `latchkey local`, or name the log that its start prints \
             with `--log`",
            log.display()
        )
    };
    match search.find(log).with_context(unreadable)? {
        Found::Connections(ids) => Ok(Ok(story::read(log, ids).with_context(unreadable)?)),
        Found::Nothing { hint } => Ok(Err(hint)),
    }
}

/// A reader that has closed standard output needs nothing.
fn print(text: &str) {
    use std::io::Write as _;
    writeln!(output::stdout(), "{text}").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_has_a_unit() {
        for (text, seconds) in
            [("30s", Some(30)), ("15m", Some(900)), ("2h", Some(7_200)), ("1d", Some(86_400))]
        {
            assert_eq!(parse_time(text).ok().map(|time| time.as_secs()), seconds, "{text}");
        }
        for text in ["", "s", "15", "-1m", "1w", "1.5h", "99999999999d"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
