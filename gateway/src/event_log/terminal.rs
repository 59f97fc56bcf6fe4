//! The log as a person reads it at a terminal: the short forms of its lines, one for each attempt.

use std::{
    io::Write,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use cli::console;
use prometheus_client::metrics::counter::Counter;
use serde_json::Value;
use server::line_writer::LineWriter;
use time::{OffsetDateTime, macros::format_description};

use super::{
    EventType, LogEntry, NOT_ACKNOWLEDGED, Status,
    attempts::{Attempt, Attempts, Half},
};

/// Lines that may wait for the terminal.
const QUEUE_LINES: usize = 1_024;
/// The columns before the event in a line: time, and the beginning of the connection's id.
const INDENT: usize = 17;
/// The columns of the event.
const EVENT_COLUMNS: usize = 12;

/// Where the short forms of lines go.
pub struct TerminalOutput {
    /// The terminal, or what is in its place.
    pub to: Box<dyn Write + Send>,
    /// The width of a line, which is asked for each line, because a window can be resized.
    pub columns: fn() -> usize,
}

/// The terminal. Its lines are written, and the thread ends, after this is dropped.
pub(super) struct Terminal(Arc<Shared>);

struct Shared {
    lines: LineWriter,
    columns: fn() -> usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    attempts: Attempts<Line, Decision>,
    closed: bool,
}

/// A line that is not laid out yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    time: String,
    connection_id: String,
    event: &'static str,
    /// The client id, or the client's address as long as it has none. A line of the function's has neither.
    client: Option<String>,
    parts: Vec<String>,
}

/// What a decision line says about a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Decision {
    time: String,
    connection_id: String,
    device: Option<String>,
    client_id: Option<String>,
    /// The reason, then the cause and the cure.
    parts: Vec<String>,
}

impl Terminal {
    pub(super) fn start(TerminalOutput { to, columns }: TerminalOutput) -> Self {
        let note = |dropped| format!("({dropped} lines are missing here; the log has them)");
        let lines = LineWriter::start(to, QUEUE_LINES, Counter::default(), note);
        let shared = Arc::new(Shared { lines, columns, state: Mutex::default(), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        thread::spawn(move || theirs.run());
        Self(shared)
    }

    /// One of the gateway's own lines.
    pub(super) fn entry(&self, entry: &LogEntry<'_>) {
        let line = Line::of_entry(entry);
        if entry.awaits_decision {
            self.0.add(Half::Refusal(line), entry.connection_id);
        } else {
            self.0.write(&line);
        }
    }

    /// A line of the function's, which is JSON. Only the decision line of a refusal or a fault has a short form: after an
    /// allowed connect comes the gateway's own line.
    pub(super) fn function_line(&self, line: &Value) {
        if let Some(decision) = Decision::of_line(line) {
            let connection_id = decision.connection_id.clone();
            self.0.add(Half::Decision(decision), &connection_id);
        }
    }

    /// A line of the function's, which is not JSON.
    pub(super) fn function_text(&self, line: &str) {
        self.0.write(&Line::new("", "authorizer", None, [Some(line)]));
    }

    /// Waits until every line is written, but no longer than `timeout`.
    pub(super) fn flush(&self, timeout: Duration) {
        let mut state = self.0.state();
        while let Some(attempt) = state.attempts.take() {
            self.0.write_attempt(attempt);
        }
        drop(state);
        self.0.lines.flush(timeout);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, half: Half<Line, Decision>, connection_id: &str) {
        let mut state = self.state();
        let attempt = state.attempts.add(connection_id, half, Instant::now());
        if let Some(attempt) = attempt {
            self.write_attempt(attempt);
        }
        self.changed.notify_all();
    }

    /// Writes the lines whose other half does not come.
    fn run(&self) {
        let mut state = self.state();
        while !state.closed {
            while let Some(attempt) = state.attempts.take_due(Instant::now()) {
                self.write_attempt(attempt);
            }
            state = match state.attempts.due() {
                Some(due) => {
                    let wait = due.saturating_duration_since(Instant::now());
                    self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        while let Some(attempt) = state.attempts.take() {
            self.write_attempt(attempt);
        }
    }

    fn write_attempt(&self, attempt: Attempt<Line, Decision>) {
        self.write(&match attempt {
            Attempt::Whole(refusal, decision) => {
                let client = decision.client().or(refusal.client);
                Line { client, parts: decision.parts, ..refusal }
            }
            Attempt::Alone(Half::Refusal(refusal)) => refusal,
            Attempt::Alone(Half::Decision(decision)) => {
                let client = decision.client();
                let Decision { time, connection_id, parts, .. } = decision;
                Line { time, connection_id, event: "decision", client, parts }
            }
        });
    }

    fn write(&self, line: &Line) {
        self.lines.write(line.layout((self.columns)()));
    }
}

impl Line {
    fn new<'a>(
        connection_id: &str,
        event: &'static str,
        client: Option<&str>,
        parts: impl IntoIterator<Item = Option<&'a str>>,
    ) -> Self {
        let parts = parts.into_iter().flatten().map(str::to_owned).collect();
        Self {
            time: time(),
            connection_id: connection_id.to_owned(),
            event,
            client: client.map(str::to_owned),
            parts,
        }
    }

    fn of_entry(entry: &LogEntry<'_>) -> Self {
        let event = event_word(entry.event_type, entry.status, entry.reason);
        let client = entry.client_id.or(Some(entry.source_ip));
        let words = entry.explanation.as_ref().or(entry.details.as_ref());
        let parts = [entry.topic_name, entry.reason, words.map(String::as_str)];
        Self::new(entry.connection_id, event, client, parts)
    }

    /// The line in this width: the time (UTC), the beginning of the connection's id, the event and its details. What does not
    /// fit is on further lines, under the event.
    fn layout(&self, columns: usize) -> String {
        let Self { time, connection_id, event, client, parts } = self;
        let connection = connection_id.chars().take(4).collect::<String>();
        let mut text = format!("{time}Z  {connection:<4}  {event:<EVENT_COLUMNS$}");
        for part in client.iter().chain(parts) {
            text.push_str("  ");
            text.push_str(part);
        }
        console::wrapped_to(columns, INDENT, &text)
    }
}

impl Decision {
    /// Reads a decision line; `None` if it is not about a refusal or a fault.
    fn of_line(line: &Value) -> Option<Self> {
        let text = |key: &str| line.get(key).and_then(Value::as_str).map(str::to_owned);
        if text("event")? != "decision" || text("outcome").is_none_or(|outcome| outcome == "allow") {
            return None;
        }
        // A record that can't be used has both.
        let words = [text("error"), text("explanation")].into_iter().flatten().collect::<Vec<_>>().join("; ");
        let reason = text("reason").or_else(|| text("error_type"));
        Some(Self {
            time: time(),
            connection_id: text("connection_id").unwrap_or_default(),
            device: text("device"),
            client_id: text("client_id"),
            parts: reason.into_iter().chain(Some(words).filter(|words| !words.is_empty())).collect(),
        })
    }

    fn client(&self) -> Option<String> {
        client_name(self.device.as_deref(), self.client_id.as_deref())
    }
}

/// What happened, in one word. It depends on the reason of a failure too.
pub(crate) fn event_word(event_type: EventType, status: Status, reason: Option<&str>) -> &'static str {
    match (event_type, status) {
        (EventType::Connect, Status::Success) => "connected",
        (EventType::Connect | EventType::AuthNError, _) => "refused",
        (EventType::PublishIn, Status::Success) => "published",
        (EventType::PublishOut, Status::Success) => "received",
        (EventType::SendDirectMessage, Status::Success) => "sent",
        (EventType::Ping, _) => "ping",
        (EventType::Subscribe, Status::Success) => "subscribed",
        (EventType::Unsubscribe, Status::Success) => "unsubscribed",
        (EventType::UnsupportedKeepAlive, _) => "keep-alive",
        (EventType::Disconnect, _) => "disconnected",
        _ if reason == Some(NOT_ACKNOWLEDGED) => "dropped",
        _ if reason == Some("THROTTLED") => "throttled",
        (
            EventType::PublishIn
            | EventType::PublishOut
            | EventType::Subscribe
            | EventType::Unsubscribe
            | EventType::GetThingShadow
            | EventType::UpdateThingShadow
            | EventType::DeleteThingShadow
            | EventType::SendDirectMessage,
            _,
        ) => "denied",
    }
}

/// A client's name: that of the device, with the client id if that is another text.
pub(crate) fn client_name(device: Option<&str>, client_id: Option<&str>) -> Option<String> {
    match (device, client_id) {
        (Some(device), Some(client_id)) if device != client_id => Some(format!("{device} as {client_id}")),
        (device, client_id) => device.or(client_id).map(str::to_owned),
    }
}

/// The time of a line, UTC.
fn time() -> String {
    let format = format_description!("[hour]:[minute]:[second]");
    OffsetDateTime::now_utc().format(&format).unwrap_or_default()
}
