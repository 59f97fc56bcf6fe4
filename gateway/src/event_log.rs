//! One stream of JSON lines: what happened to each connection, and what the function wrote about it.
//!
//! The gateway's own lines have the shape of AWS IoT Core's log (developer guide, `cwl-format`), with the
//! connection's id beside; the function's lines are kept as they are. A person at a terminal gets a short
//! form of both.

mod terminal;

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;
use time::{OffsetDateTime, macros::format_description};

use self::terminal::Terminal;
use crate::metrics::Metrics;

/// How long the end waits for a terminal.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The log. Clones write to the same places.
#[derive(Clone)]
pub struct EventLog {
    sinks: Arc<Mutex<Sinks>>,
    metrics: Metrics,
}

struct Sinks {
    file: Box<dyn Write + Send>,
    terminal: Option<Terminal>,
}

/// One line of the gateway's own.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event<'a> {
    /// AWS's name for what happened, `Connect` for example.
    pub event_type: &'static str,
    /// AWS's name for what belongs together; here the connection's id.
    pub trace_id: &'a str,
    /// The account.
    pub account_id: &'a str,
    /// `MQTT` or `HTTP`.
    pub protocol: &'static str,
    /// `Success` or `Failure`.
    pub status: &'static str,
    /// The connection's id, the same as in the function's lines; AWS's own lines have it in some events only.
    pub connection_id: &'a str,
    /// The client id; absent before it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<&'a str>,
    /// The principal that the authorizer named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal_id: Option<&'a str>,
    /// The topic or topic filter in question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<&'a str>,
    /// Where the client is.
    pub source_ip: &'a str,
    /// The port there.
    pub source_port: u16,
    /// The server name that the client asked for (SNI), if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_name: Option<&'a str>,
    /// At the end of a connection: why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disconnect_reason: Option<&'static str>,
    /// AWS's name for why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The same in words, with what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    timestamp: String,
    log_level: &'static str,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

impl EventLog {
    /// Writes lines to the end of `file`, and for a person to `terminal`.
    ///
    /// # Errors
    ///
    /// When the file can't be opened.
    pub fn open(file: &Path, terminal: Option<Box<dyn Write + Send>>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file: File = options.open(file)?;
        Ok(Self::new(Box::new(file), terminal))
    }

    /// Writes lines to `file`, and for a person to `terminal`.
    #[must_use]
    pub fn new(file: Box<dyn Write + Send>, terminal: Option<Box<dyn Write + Send>>) -> Self {
        let terminal = terminal.map(Terminal::start);
        Self { sinks: Arc::new(Mutex::new(Sinks { file, terminal })), metrics: Metrics::new() }
    }

    /// What is counted, of these lines among others.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Writes a line of the gateway's own.
    pub fn event(&self, event: &Event<'_>) {
        self.metrics.event(event.event_type, event.protocol, event.status, event.reason);
        let level = if event.status == "Success" { "INFO" } else { "ERROR" };
        let line = Line { timestamp: timestamp(), log_level: level, event };
        let Ok(json) = serde_json::to_string(&line) else { return };
        self.sinks().write(&json, || Some(short_event(event)));
    }

    /// Writes a line that the function wrote.
    pub fn function_line(&self, line: &str) {
        let parsed = serde_json::from_str::<Value>(line).ok().filter(Value::is_object);
        if let Some(value) = parsed {
            return self.sinks().write(line, || short_decision(&value));
        }
        let wrapped = serde_json::json!({"timestamp": timestamp(), "function": line});
        self.sinks().write(&wrapped.to_string(), || Some(short("", "authorizer", std::iter::once(line))));
    }

    /// Waits until the terminal has every line, but not for one that nobody reads.
    pub fn flush(&self) {
        let flushed = self.sinks().terminal.as_ref().and_then(Terminal::flush);
        _ = flushed.map(|flushed| flushed.recv_timeout(FLUSH_LIMIT));
    }

    fn sinks(&self) -> MutexGuard<'_, Sinks> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sinks {
    /// A log that can't be written must not stop the connections. The short form is made for a terminal only.
    fn write(&mut self, json: &str, short: impl FnOnce() -> Option<String>) {
        _ = self.file.write_all(format!("{json}\n").as_bytes());
        if let Some(terminal) = &mut self.terminal
            && let Some(short) = short()
        {
            terminal.write(&short);
        }
    }
}

/// UTC, written as in AWS's own log.
fn timestamp() -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");
    OffsetDateTime::now_utc().format(&format).unwrap_or_default()
}

fn short_event(event: &Event<'_>) -> String {
    let what = match (event.event_type, event.status) {
        ("Connect", "Success") => "connected",
        ("Connect" | "Connection.AuthNError", _) => "refused",
        ("Publish-In", "Success") => "published",
        ("Disconnect", _) => "disconnected",
        _ => "denied",
    };
    let who = event.client_id.or(Some(event.source_ip));
    let parts = [who, event.topic_name, event.reason, event.details.as_deref()];
    short(event.connection_id, what, parts.into_iter().flatten())
}

/// A line for a person: the time (UTC), the beginning of the connection's id, what happened. What a client sent
/// can't draw on the terminal.
fn short<'a>(connection_id: &str, what: &str, parts: impl Iterator<Item = &'a str>) -> String {
    let format = format_description!("[hour]:[minute]:[second]");
    let time = OffsetDateTime::now_utc().format(&format).unwrap_or_default();
    let connection = connection_id.chars().take(4).collect::<String>();
    let mut line = format!("{time}Z  {connection:<4}  {what:<12}");
    for part in parts {
        line.push_str("  ");
        line.extend(part.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }));
    }
    line
}

/// Only a refusal needs a person's eye; an allowed connect has its own line.
fn short_decision(line: &Value) -> Option<String> {
    let text = |key: &str| line.get(key).and_then(Value::as_str);
    if text("event") != Some("decision") || text("outcome") == Some("allow") {
        return None;
    }
    let why = text("reason").or_else(|| text("error")).unwrap_or("?");
    let who = text("device").or(text("client_id"));
    let parts = [who, text("outcome"), Some(why)];
    Some(short(text("connection_id").unwrap_or_default(), "decision", parts.into_iter().flatten()))
}
