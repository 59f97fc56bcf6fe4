//! The log: JSON lines about each connection, and the lines that the authorizer's function writes.
//!
//! The gateway's own lines have the shape of AWS IoT Core's log (developer guide, `cwl-format`), with the connection's id
//! and an explanation added. The function's lines are kept as they are. A person at a terminal gets a short form, one line for
//! each attempt.
//!
//! Threads of their own write the file and the terminal, so a slow disk or a pipe that nobody reads holds up no
//! connection. When too many lines wait, further ones are dropped; the log and a metric say how many.
//! The console reads the [`recent`] records.

mod attempts;
pub mod authn_reason;
pub mod levels;
pub mod recent;
pub mod terminal;

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use cli::output::escaped;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use server::line_writer::LineWriter;
use time::{OffsetDateTime, macros::format_description};

use self::{
    levels::LogLevel,
    recent::{CallRecord, Content, Recent},
    terminal::{Terminal, TerminalOutput},
};
use crate::metrics::Metrics;

/// Lines that may wait for the file, about 10 MiB.
const FILE_QUEUE_LINES: usize = 16_384;
/// How long the end of the gateway waits for the file.
const FILE_FLUSH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end of the gateway waits for the terminal, which may be a pipe that nobody reads.
const TERMINAL_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The gateway's own name for the reason of a message that the client does not acknowledge.
pub const NOT_ACKNOWLEDGED: &str = "NOT_ACKNOWLEDGED";

/// The log. Clones write to the same file and terminal.
#[derive(Clone)]
pub struct EventLog {
    sinks: Arc<Sinks>,
    /// The function whose own lines are written by this clone.
    function: Option<Arc<str>>,
}

struct Sinks {
    file: LineWriter,
    terminal: Option<Terminal>,
    metrics: Metrics,
    /// The last records, once there is a console that shows them.
    recent: OnceLock<Arc<Recent>>,
}

/// One of the gateway's own lines. The fields are in AWS's order, and the gateway's own ones come last.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry<'a> {
    /// Another one in each line about MQTT; the request's id in a line about HTTP.
    pub trace_id: &'a str,
    /// The account.
    pub account_id: &'a str,
    /// Whether the request was carried out.
    pub status: Status,
    /// The kind of event.
    pub event_type: EventType,
    /// `MQTT` or `HTTP`.
    pub protocol: &'static str,
    /// The topic, topic filter or topic filters of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<&'a str>,
    /// The outcome for each topic filter of an MQTT 5 SUBSCRIBE.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub subscriptions: &'a [Subscription<'a>],
    /// When a PINGREQ came and was answered.
    #[serde(flatten)]
    pub ping: Option<Ping>,
    /// How the client was to authenticate, and where.
    #[serde(flatten)]
    pub attempt: Option<&'a AuthnAttempt>,
    /// The client id, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<&'a str>,
    /// The principal that the authorizer returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal_id: Option<&'a str>,
    /// The client's address.
    pub source_ip: &'a str,
    /// The client's port.
    pub source_port: u16,
    /// `True` for a message that is to be retained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retain: Option<&'static str>,
    /// The server name that the client sent (SNI), if any. AWS has it in `Connection.AuthNError` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name_indication: Option<&'a str>,
    /// What the client's CONNECT asks for, once it is read.
    #[serde(flatten)]
    pub connect: Option<&'a ConnectRequest>,
    /// The reason of a failure: AWS's name for it, or the gateway's own where AWS has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// AWS's words for the reason. Where they are not known, the gateway's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// At the end of a connection: AWS's name for the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disconnect_reason: Option<&'static str>,
    /// The connection's id, as in the function's lines. AWS does not have this field.
    pub connection_id: &'a str,
    /// Where `details` is AWS's: what exactly is wrong, and what to do about it. AWS does not have this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// How the connection came to its door, in the lines about its authentication. AWS does not have this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door: Option<&'a Door>,
    /// The authorizer that let the client in. AWS does not have this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorizer: Option<&'a str>,
    /// What the policies let the client do, by action, once it is connected. AWS does not have this field.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub allows: &'a BTreeMap<String, String>,
    /// Whether the function may have written a decision line about this, with which the terminal joins this one.
    #[serde(skip)]
    pub awaits_decision: bool,
    /// The time since the connection was accepted, or since the request came. Only the console shows it.
    #[serde(skip)]
    pub took: Option<Duration>,
}

/// A PINGREQ, and its PINGRESP if that was sent.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ping {
    /// Milliseconds between the two.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<i128>,
    request_timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_timestamp: Option<String>,
}

/// The outcome for one topic filter of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription<'a> {
    /// The topic filter.
    pub topic_name: &'a str,
    /// The code in the SUBACK.
    pub reason_code: u8,
}

/// An attempt to authenticate, in the lines of `Connection.AuthNError`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthnAttempt {
    /// `AWS_X509`, `CUSTOM_AUTH` or `CUSTOM_AUTH_X509`.
    pub authentication_type: &'static str,
    /// The gateway's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ip: Option<String>,
    /// The gateway's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_port: Option<u16>,
}

/// How a connection came to its door.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Door {
    /// The port of AWS's.
    pub port: u16,
    /// The version of TLS.
    pub tls: &'static str,
    /// The protocol that ALPN agreed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// What is spoken there: `MQTT` or `HTTP`.
    pub protocol: &'static str,
    /// `AWS_X509`, `CUSTOM_AUTH` or `CUSTOM_AUTH_X509`.
    pub authentication: &'static str,
    /// The domain configuration.
    pub domain: String,
}

/// What a CONNECT asks for, in the lines of `Connect`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectRequest {
    /// The Thing that the client's certificate is attached to and that has the client id as its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thing_name: Option<String>,
    /// The keep-alive that the client asks for, in seconds.
    pub keep_alive_duration: u16,
    /// For how long the session outlives its connection, in seconds.
    pub session_expiry: u64,
    /// Whether the client starts a new session.
    pub clean_session: bool,
}

/// The kind of event, under AWS's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    /// A client connects.
    Connect,
    /// A client is not authenticated.
    AuthNError,
    /// A client publishes a message.
    PublishIn,
    /// A client gets a message.
    PublishOut,
    /// A client subscribes.
    Subscribe,
    /// A client unsubscribes.
    Unsubscribe,
    /// A client asks for a keep-alive that is not supported.
    UnsupportedKeepAlive,
    /// A client is sent a direct message.
    SendDirectMessage,
    /// A client sends a PINGREQ.
    Ping,
    /// A client asks for a shadow over HTTPS, or for the names of a Thing's shadows.
    GetThingShadow,
    /// A client changes a shadow over HTTPS.
    UpdateThingShadow,
    /// A client deletes a shadow over HTTPS.
    DeleteThingShadow,
    /// A connection ends.
    Disconnect,
}

/// Whether a request was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was.
    Success,
    /// It was not.
    Failure,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    timestamp: String,
    log_level: &'static str,
    #[serde(flatten)]
    entry: &'a LogEntry<'a>,
}

impl Ping {
    /// A PINGREQ that came at one moment, and was answered at another one.
    #[must_use]
    pub fn new(requested_at: OffsetDateTime, answered_at: Option<OffsetDateTime>) -> Self {
        Self {
            latency: answered_at.map(|at| (at - requested_at).whole_milliseconds()),
            request_timestamp: timestamp(requested_at),
            response_timestamp: answered_at.map(timestamp),
        }
    }
}

impl LogEntry<'_> {
    /// The line's level.
    fn level(&self) -> LogLevel {
        self.event_type.level(self.status)
    }
}

impl EventType {
    /// Every kind of event.
    pub const ALL: [Self; 13] = [
        Self::Connect,
        Self::AuthNError,
        Self::PublishIn,
        Self::PublishOut,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::UnsupportedKeepAlive,
        Self::SendDirectMessage,
        Self::Ping,
        Self::GetThingShadow,
        Self::UpdateThingShadow,
        Self::DeleteThingShadow,
        Self::Disconnect,
    ];

    /// The level of a line about this event.
    #[must_use]
    pub fn level(self, status: Status) -> LogLevel {
        match status {
            Status::Success if self == Self::Ping => LogLevel::Debug,
            Status::Success => LogLevel::Info,
            Status::Failure => LogLevel::Error,
        }
    }

    /// The kind of event with this name of AWS's.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event_type| event_type.as_str() == name)
    }

    /// AWS's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "Connect",
            Self::AuthNError => "Connection.AuthNError",
            Self::PublishIn => "Publish-In",
            Self::PublishOut => "Publish-Out",
            Self::Subscribe => "Subscribe",
            Self::Unsubscribe => "Unsubscribe",
            Self::UnsupportedKeepAlive => "Unsupported keep-alive value",
            Self::SendDirectMessage => "SendDirectMessage",
            Self::Ping => "Ping",
            Self::GetThingShadow => "GetThingShadow",
            Self::UpdateThingShadow => "UpdateThingShadow",
            Self::DeleteThingShadow => "DeleteThingShadow",
            Self::Disconnect => "Disconnect",
        }
    }
}

impl Status {
    /// AWS's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Failure => "Failure",
        }
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl EventLog {
    /// Appends lines to `file`, and writes their short forms to `terminal`.
    ///
    /// # Errors
    ///
    /// When the file can't be opened.
    pub fn open(file: &Path, terminal: Option<TerminalOutput>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file: File = options.open(file)?;
        Ok(Self::new(Box::new(file), terminal))
    }

    /// Writes lines to `file`, and their short forms to `terminal`.
    #[must_use]
    pub fn new(file: Box<dyn Write + Send>, terminal: Option<TerminalOutput>) -> Self {
        let metrics = Metrics::new();
        let dropped_lines = metrics.dropped_log_lines().clone();
        let file = LineWriter::start(file, FILE_QUEUE_LINES, dropped_lines, |dropped| {
            let details =
                format!("{dropped} lines are missing here: the log could not be written fast enough");
            json!({"timestamp": now(), "logLevel": "ERROR", "droppedLines": dropped, "details": details})
                .to_string()
        });
        let terminal = terminal.map(Terminal::start);
        let sinks = Sinks { file, terminal, metrics, recent: OnceLock::new() };
        Self { sinks: Arc::new(sinks), function: None }
    }

    /// From now on the last records are kept too, for a console. Only the first call counts.
    pub fn keep_recent(&self, recent: Arc<Recent>) {
        _ = self.sinks.recent.set(recent);
    }

    /// The same log, for the own lines of this function.
    #[must_use]
    pub fn of_function(&self, name: &str) -> Self {
        Self { sinks: Arc::clone(&self.sinks), function: Some(name.into()) }
    }

    /// What a client presents to the authorizer, as JSON without its secrets. `event` is called only if there is a console.
    pub fn presented(&self, connection_id: &str, event: impl FnOnce() -> String) {
        if let Some(recent) = self.sinks.recent.get() {
            let connection_id = connection_id.to_owned();
            recent.add(Content::Presented { connection_id, event: event() });
        }
    }

    /// An authorizer was called. `record` is called only if there is a console.
    pub fn called(
        &self,
        authorizer: &str,
        result: &'static str,
        took: Duration,
        record: impl FnOnce() -> CallRecord,
    ) {
        self.sinks.metrics.call(authorizer, result, took);
        if let Some(recent) = self.sinks.recent.get() {
            let record = record();
            recent.count_call(authorizer, result, took, record.error.as_deref());
            recent.add(Content::Called(record));
        }
    }

    /// What a client sees of its refusal.
    pub fn seen(&self, connection_id: &str, text: impl FnOnce() -> String) {
        if let Some(recent) = self.sinks.recent.get() {
            recent.add(Content::Seen { connection_id: connection_id.to_owned(), text: text() });
        }
    }

    /// The gateway's metrics, which count the lines of this log.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.sinks.metrics
    }

    /// Writes one of the gateway's own lines.
    pub fn write(&self, entry: &LogEntry<'_>) {
        self.sinks.metrics.log_entry(
            entry.event_type.as_str(),
            entry.protocol,
            entry.status.as_str(),
            entry.reason,
        );
        let line = Line { timestamp: now(), log_level: entry.level().as_str(), entry };
        let Ok(json) = serde_json::to_string(&line) else { return };
        if let Some(recent) = self.sinks.recent.get() {
            let (json, event_type) = (json.clone(), entry.event_type);
            recent.add(Content::Line { json, event_type, took: entry.took });
        }
        self.sinks.write(json);
        if let Some(terminal) = &self.sinks.terminal {
            terminal.entry(entry);
        }
    }

    /// Writes a line of the function's.
    pub fn write_function_line(&self, line: &str) {
        let parsed = serde_json::from_str::<Value>(line).ok().filter(Value::is_object);
        let json = match &parsed {
            // Between its tokens, where an escape would break it, JSON may have these controls.
            Some(_) => line.replace(['\t', '\r'], " "),
            None => json!({"timestamp": now(), "function": line}).to_string(),
        };
        if let Some(recent) = self.sinks.recent.get() {
            if let Some(function) = &self.function {
                recent.add_function_line(function, line);
            }
            if parsed.as_ref().is_some_and(|line| line.get("event") == Some(&json!("decision"))) {
                recent.add(Content::Decision(json.clone()));
            }
        }
        self.sinks.write(json);
        match (&self.sinks.terminal, &parsed) {
            (Some(terminal), Some(value)) => terminal.function_line(value),
            (Some(terminal), None) => terminal.function_text(line),
            (None, _) => {}
        }
    }

    /// Waits until every line is written: for the file at most 10 seconds, for the terminal at most one.
    pub fn flush(&self) {
        self.sinks.file.flush(FILE_FLUSH_TIMEOUT);
        if let Some(terminal) = &self.sinks.terminal {
            terminal.flush(TERMINAL_FLUSH_TIMEOUT);
        }
    }
}

impl Sinks {
    /// The file too is shown on terminals, so what a client chose is escaped.
    fn write(&self, json: String) {
        self.file.write(escaped(json).into_owned());
    }
}

fn now() -> String {
    timestamp(OffsetDateTime::now_utc())
}

/// UTC, written as in AWS's own log.
fn timestamp(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");
    at.format(&format).unwrap_or_default()
}
