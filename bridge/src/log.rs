//! The log: JSON lines in the shape of the gateway's, or short lines for a person.
//!
//! A thread of its own writes it, so that a pipe that nobody reads holds up no device. When too many lines wait, further ones
//! are dropped and counted. No line has a user name, a password or a payload.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cli::output::{self, escaped};
use serde::Serialize;
use serde_json::json;
use server::line_writer::LineWriter;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::metrics::Metrics;

/// Lines that may wait to be written.
const QUEUE_LINES: usize = 16_384;
/// How long the end of the bridge waits for the log.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The log. Clones write to the same place.
#[derive(Clone)]
pub struct Log {
    writer: Arc<LineWriter>,
    json: bool,
    metrics: Metrics,
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// The bridge itself.
    Bridge,
    /// A device connects.
    Connect,
    /// Something in a device's packets is changed.
    Translation,
    /// A device's message is not accepted.
    PublishIn,
    /// A connection upstream is lost or there again.
    Upstream,
    /// A connection ends.
    Disconnect,
}

impl EventType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "Bridge",
            Self::Connect => "Connect",
            Self::Translation => "Translation",
            Self::PublishIn => "Publish-In",
            Self::Upstream => "Upstream",
            Self::Disconnect => "Disconnect",
        }
    }
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// What happens anyway.
    #[default]
    Info,
    /// It works, and somebody should look at it.
    Warning,
    /// Something failed.
    Error,
}

/// What one line says besides its connection.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// A stable name of the reason.
    pub reason: &'static str,
    /// The reason in words: AWS's, where it gave any.
    pub details: Option<String>,
    /// What to do about it.
    pub explanation: Option<String>,
    /// The topic of a message.
    pub topic_name: Option<String>,
}

/// The connection that a line is about.
#[derive(Debug, Clone)]
pub struct ConnectionId {
    /// Its own id.
    pub id: String,
    /// The device's address.
    pub peer: SocketAddr,
    /// The listener: `mqtt`, `mqtts` or `websocket`.
    pub listener: &'static str,
    /// The device's client id.
    pub client_id: Option<String>,
    /// The client id upstream, if it is another.
    pub upstream_client_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    timestamp: String,
    log_level: &'static str,
    status: &'static str,
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_port: Option<u16>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<&'a str>,
}

impl Log {
    /// A log on standard output as JSON, or on standard error for a person.
    #[must_use]
    pub fn to_standard_streams(json: bool, metrics: Metrics) -> Self {
        let to: Box<dyn Write + Send> =
            if json { Box::new(output::stdout()) } else { Box::new(output::stderr()) };
        Self::start(json, metrics, to)
    }

    /// A log whose lines a thread of its own writes.
    #[must_use]
    pub fn start(json: bool, metrics: Metrics, to: Box<dyn Write + Send>) -> Self {
        let dropped_lines = metrics.dropped_log_lines().clone();
        let writer = LineWriter::start(to, QUEUE_LINES, dropped_lines, move |dropped| {
            let details =
                format!("{dropped} lines are missing here: the log could not be written fast enough");
            if json {
                let timestamp = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
                json!({"timestamp": timestamp, "logLevel": "ERROR", "droppedLines": dropped, "details": details})
                    .to_string()
            } else {
                details
            }
        });
        Self { writer: Arc::new(writer), json, metrics }
    }

    /// Writes a line about the bridge itself.
    pub fn bridge(&self, line: &Line) {
        self.write(EventType::Bridge, None, line);
    }

    /// Writes a line about a connection.
    pub fn connection(&self, event_type: EventType, connection: &ConnectionId, line: &Line) {
        self.write(event_type, Some(connection), line);
    }

    /// Waits until every line is written, but not for ever.
    pub fn flush(&self) {
        self.writer.flush(FLUSH_TIMEOUT);
    }

    fn write(&self, event_type: EventType, connection: Option<&ConnectionId>, line: &Line) {
        let status = if line.level == Level::Error { "Failure" } else { "Success" };
        self.metrics.log_entry(event_type.as_str(), status, line.reason);
        let now = OffsetDateTime::now_utc();
        let entry = Entry {
            timestamp: now.format(&Rfc3339).unwrap_or_default(),
            log_level: match line.level {
                Level::Info => "INFO",
                Level::Warning => "WARN",
                Level::Error => "ERROR",
            },
            status,
            event_type: event_type.as_str(),
            topic_name: line.topic_name.as_deref(),
            client_id: connection.and_then(|it| it.client_id.as_deref()),
            upstream_client_id: connection.and_then(|it| it.upstream_client_id.as_deref()),
            source_ip: connection.map(|it| it.peer.ip().to_canonical().to_string()),
            source_port: connection.map(|it| it.peer.port()),
            reason: line.reason,
            details: line.details.as_deref(),
            connection_id: connection.map(|it| it.id.as_str()),
            explanation: line.explanation.as_deref(),
            listener: connection.map(|it| it.listener),
        };
        let text = if self.json {
            // The types of an entry can always be serialized.
            serde_json::to_string(&entry).map(|text| escaped(text).into_owned()).unwrap_or_default()
        } else {
            escaped(short(&entry, now)).into_owned()
        };
        self.writer.write(text);
    }
}

/// A line for a person.
fn short(entry: &Entry<'_>, now: OffsetDateTime) -> String {
    let (hour, minute, second) = now.to_hms();
    let mut line = format!("{hour:02}:{minute:02}:{second:02}Z");
    let event = match (entry.event_type, entry.status) {
        ("Connect", "Success") => "connected",
        ("Connect", _) => "refused",
        ("Disconnect", _) => "ended",
        ("Translation", _) => "changed",
        ("Publish-In", _) => "rejected",
        ("Upstream", _) => "upstream",
        _ => "bridge",
    };
    let client = entry.client_id.map(str::to_owned);
    let client = client.or_else(|| entry.source_ip.clone()).unwrap_or_default();
    for part in [
        Some(event),
        Some(client.as_str()),
        entry.upstream_client_id,
        entry.topic_name,
        Some(entry.reason),
        entry.details,
        entry.explanation,
    ] {
        if let Some(part) = part.filter(|part| !part.is_empty()) {
            line.push_str("  ");
            line.push_str(part);
        }
    }
    line
}
