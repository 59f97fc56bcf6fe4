//! Attempts, made of the log's last records: a row for each TLS handshake, CONNECT, HTTP request, refresh and refused request of
//! a client, and the story of the connection behind it.
//!
//! Records are read when somebody asks. Their number and bytes are bounded; the oldest ones leave, and a row leaves with the last
//! record of its connection.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use crate::{
    event_log::{
        EventType, Status,
        recent::{CallRecord, Content, Recent, Record},
        terminal::event_word,
    },
    lambda::Call,
    why::{
        reader::Line,
        story::{Step, steps},
    },
};

/// Reasons of a TLS handshake that failed.
const HANDSHAKE_REASONS: [&str; 3] = ["TLS_HANDSHAKE_FAILED", "ALPN_NOT_SUPPORTED", "SNI_MISUSED"];
/// Rows that a connection may have: one that repeats what is denied must not fill the list.
const ROWS_EACH: usize = 50;
/// Records of a connection that its story shows.
const STORY_RECORDS: usize = 200;
/// The rows that pages show, the last ones that streams have sent.
const MAX_SHOWN: usize = 1_000;
/// The part of the memory that the records of those rows may have besides.
const SHOWN_PART: usize = 4;

/// All rows and the records behind them.
#[derive(Default)]
pub struct Attempts {
    rows: BTreeMap<u64, Row>,
    /// The rows by the time of their last change.
    by_change: BTreeMap<u64, u64>,
    stories: HashMap<Arc<str>, Story>,
    /// The connections of all records, the oldest first.
    order: VecDeque<Arc<str>>,
    bytes: usize,
    last_row: u64,
    last_change: u64,
    /// Records that left because newer ones came.
    forgotten: u64,
    /// The connections of the rows that streams have sent last. Their records stay for longer: with a thousand attempts a second a
    /// row would leave before a person can open it.
    shown: VecDeque<Arc<str>>,
    /// The bytes of records that stay for this reason alone.
    kept_bytes: usize,
    /// When a stream has read last.
    read_at: Option<Instant>,
    /// The last summary, and the change that it was made after.
    summary: Option<((u64, u64), Value)>,
}

/// One attempt in the list.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its number. A later attempt has a higher one.
    pub id: u64,
    #[serde(skip)]
    change: u64,
    /// The connection's id, or that of an HTTP request.
    pub connection_id: Arc<str>,
    /// When it began, in milliseconds since 1970.
    pub at: i64,
    /// `handshake`, `connect`, `refresh`, `http`, or what was refused: `publish`, `subscribe` and so on.
    pub kind: &'static str,
    /// The device's name, once the function knows it.
    pub device: Option<String>,
    /// The client id.
    pub client_id: Option<String>,
    /// The client's address.
    pub address: Option<String>,
    /// The port of AWS's, and the protocol on it.
    pub door: Option<String>,
    /// In one word: `connected`, `refused` and so on; `pending` until it is known.
    pub outcome: &'static str,
    /// Whether something was refused, denied or broken.
    pub problem: bool,
    /// The reason of a failure: the function's, or else the gateway's.
    pub reason: Option<String>,
    /// The topic or topic filter of a refused request.
    pub topic: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: Option<f64>,
    /// The authorizer that was called.
    pub authorizer: Option<String>,
    /// How the connection ended.
    pub ended: Option<String>,
}

/// Which rows are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// A part of the device's name, the client id, the address, the topic or the connection's id.
    pub text: String,
    /// A reason.
    pub reason: String,
    /// An outcome, or `problem` for every one that is a problem.
    pub outcome: String,
}

/// A connection's records and rows.
#[derive(Default)]
struct Story {
    records: VecDeque<Record>,
    /// Its connect or request, and then its refreshes.
    calls: Vec<u64>,
    /// What was refused on it.
    others: Vec<u64>,
    /// The calls whose record has come, and those whose decision line has.
    called: usize,
    decided: usize,
    connected: bool,
    /// How many rows of it are among those that streams have sent last.
    shown: usize,
    /// How many of its records, the first ones, stay for this reason alone.
    kept: usize,
}

/// What a row needs of a line of the log: reading no more than this costs a fraction of reading all of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow)]
    connection_id: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    reason: Option<&'a RawValue>,
    #[serde(borrow)]
    protocol: Option<&'a RawValue>,
    #[serde(borrow)]
    client_id: Option<&'a RawValue>,
    #[serde(borrow)]
    source_ip: Option<&'a RawValue>,
    #[serde(borrow)]
    topic_name: Option<&'a RawValue>,
    #[serde(borrow)]
    door: Option<&'a RawValue>,
    #[serde(borrow)]
    authorizer: Option<&'a RawValue>,
    #[serde(borrow)]
    disconnect_reason: Option<&'a RawValue>,
    // The function's lines have other names.
    #[serde(borrow, rename = "connection_id")]
    connection_id_of_function: Option<&'a RawValue>,
    #[serde(borrow, rename = "client_id")]
    client_id_of_function: Option<&'a RawValue>,
    #[serde(borrow)]
    device: Option<&'a RawValue>,
    #[serde(borrow)]
    outcome: Option<&'a RawValue>,
    #[serde(borrow, rename = "error_type")]
    error_type: Option<&'a RawValue>,
}

/// The door that a row shows.
#[derive(Deserialize)]
struct RowDoor<'a> {
    port: u16,
    protocol: &'a str,
}

impl Fields<'_> {
    fn connection_id(&self) -> Option<Cow<'_, str>> {
        text(self.connection_id).or_else(|| text(self.connection_id_of_function))
    }
}

/// A text that is not empty; `None` for any other value.
fn text(value: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let json = value?.get();
    let plain = serde_json::from_str::<&str>(json).ok().map(Cow::Borrowed);
    // One with an escape can't be borrowed.
    let text = plain.or_else(|| serde_json::from_str::<String>(json).ok().map(Cow::Owned));
    text.filter(|text| !text.is_empty())
}

impl Filter {
    fn accepts(&self, row: &Row) -> bool {
        let has_outcome = match &*self.outcome {
            "" => true,
            "problem" => row.problem,
            outcome => row.outcome == outcome,
        };
        let text = self.text.to_lowercase();
        let texts = [&row.device, &row.client_id, &row.address, &row.topic];
        has_outcome
            && (self.reason.is_empty() || row.reason.as_deref() == Some(&*self.reason))
            && (text.is_empty()
                || row.connection_id.starts_with(&text)
                || texts.into_iter().flatten().any(|found| found.to_lowercase().contains(&text)))
    }
}

impl Attempts {
    /// Reads up to `max` of the records that wait. Returns whether more of them wait.
    pub fn read(&mut self, recent: &Recent, max: usize) -> bool {
        let records = recent.take(max);
        let is_full = records.len() == max;
        for record in records {
            self.add(record);
        }
        while self.order.len() > recent.capacity() || self.bytes > recent.max_bytes() {
            self.forget_oldest();
        }
        is_full
    }

    /// Reads up to `max` records for a stream, unless another one has read within `pause`: ten open pages cost what one does.
    pub fn read_in_turn(&mut self, recent: &Recent, max: usize, pause: Duration, now: Instant) {
        if self.read_at.is_none_or(|read_at| now.saturating_duration_since(read_at) >= pause) {
            self.read_at = Some(now);
            self.read(recent, max);
        }
    }

    /// Rows of these connections are sent to a page.
    pub fn keep_shown(&mut self, recent: &Recent, connections: impl IntoIterator<Item = Arc<str>>) {
        for connection in connections {
            if let Some(story) = self.stories.get_mut(&connection) {
                story.shown += 1;
                self.shown.push_back(connection);
            }
        }
        while self.shown.len() > MAX_SHOWN || self.kept_bytes > recent.max_bytes() / SHOWN_PART {
            self.release_oldest();
        }
    }

    /// The row that was sent first is not kept any more.
    fn release_oldest(&mut self) {
        let Some(connection) = self.shown.pop_front() else { return };
        let Some(story) = self.stories.get_mut(&connection) else { return };
        story.shown -= 1;
        if story.shown > 0 {
            return;
        }
        let kept = std::mem::take(&mut story.kept);
        self.kept_bytes -= story.records.drain(..kept).map(|record| record.bytes()).sum::<usize>();
        self.remove_if_empty(&connection);
    }

    /// Up to `limit` rows that the filter accepts and that came before this one, the newest first.
    #[must_use]
    pub fn list(&self, filter: &Filter, before: Option<u64>, limit: usize) -> Vec<&Row> {
        let rows = self.rows.range(..before.unwrap_or(u64::MAX)).rev().map(|(_, row)| row);
        rows.filter(|row| filter.accepts(row)).take(limit).collect()
    }

    /// The last change so far.
    #[must_use]
    pub fn last_change(&self) -> u64 {
        self.last_change
    }

    /// The rows that have changed since this change, the newest first, and how many more there are than `limit`.
    #[must_use]
    pub fn changed_since(&self, change: u64, limit: usize) -> (Vec<&Row>, usize) {
        let all = self.by_change.range(change + 1..).rev();
        let skipped = all.clone().count().saturating_sub(limit);
        let rows = all.take(limit).filter_map(|(_, id)| self.rows.get(id));
        (rows.collect(), skipped)
    }

    /// What the list says besides its rows: how many there are by outcome and by reason.
    #[must_use]
    pub fn summary(&mut self) -> Value {
        let now = (self.last_change, self.forgotten);
        if let Some((_, summary)) = self.summary.as_ref().filter(|(made_at, _)| *made_at == now) {
            return summary.clone();
        }
        let summary = self.counts();
        self.summary = Some((now, summary.clone()));
        summary
    }

    fn counts(&self) -> Value {
        let (mut outcomes, mut reasons) = (BTreeMap::<_, u64>::new(), BTreeMap::<_, u64>::new());
        for row in self.rows.values() {
            *outcomes.entry(row.outcome).or_default() += 1;
            if let Some(reason) = &row.reason {
                *reasons.entry(reason.as_str()).or_default() += 1;
            }
        }
        json!({"total": self.rows.len(), "outcomes": outcomes, "reasons": reasons, "forgotten": self.forgotten})
    }

    /// The last policy documents of each client id that are still known, the newest first.
    #[must_use]
    pub fn documents(&self, client_id: Option<&str>, limit: usize) -> Vec<(String, Vec<String>)> {
        let mut found = Vec::<(String, Vec<String>)>::new();
        for row in self.rows.values().rev() {
            let Some(name) = row.client_id.as_ref().filter(|name| client_id.is_none_or(|it| it == *name))
            else {
                continue;
            };
            if found.len() >= limit {
                break;
            }
            if found.iter().any(|(known, _)| known == name) {
                continue;
            }
            let answer = self.stories.get(&row.connection_id).and_then(Story::last_answer);
            let documents = answer.map(|answer| documents_of(&answer)).unwrap_or_default();
            if !documents.is_empty() {
                found.push((name.clone(), documents));
            }
        }
        found
    }

    /// The story of a row.
    #[must_use]
    pub fn story(&self, id: u64) -> Option<Value> {
        let row = self.rows.get(&id)?;
        let story = self.stories.get(&row.connection_id)?;
        let shown = story.records.iter().take(STORY_RECORDS);
        let (mut handshake, mut all, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        let (mut event, mut answer, mut seen, mut cause) = (None, None, None, None);
        for record in shown {
            match &record.content {
                Content::Line { json, .. } | Content::Decision(json) => {
                    let Some(line) = Line::parse(json) else { continue };
                    let of_line = steps(&line);
                    // The function's words come before the gateway's, which only send a person to them.
                    if let Some(problem) = of_line.iter().find(|step| step.problem) {
                        let is_better = cause.is_none() || matches!(record.content, Content::Decision(_));
                        let is_end = problem.name == "disconnected";
                        if is_better && !(is_end && cause.is_some()) {
                            cause = Some(
                                json!({"reason": problem.reason, "text": problem.text, "step": problem.name}),
                            );
                        }
                    }
                    // The handshake came before everything else, at a time that the log does not have.
                    let (before, after): (Vec<_>, Vec<_>) =
                        of_line.iter().partition(|step| step.time.is_none());
                    handshake.extend(before.iter().map(|step| step_json(row.at, step)));
                    all.extend(after.iter().map(|step| step_json(record.at, step)));
                    lines.push(serde_json::from_str::<Value>(json).unwrap_or_default());
                }
                Content::Presented { event: json, .. } => {
                    let mut shown = serde_json::from_str::<Value>(json).unwrap_or_default();
                    mask_unknown_name(&mut shown, row);
                    all.push(plain_step(
                        record.at,
                        "event",
                        false,
                        "what the client presented, as the function reads it",
                    ));
                    event.get_or_insert(shown);
                }
                Content::Called(call) => {
                    all.push(plain_step(record.at, "authorizer", call.result != "allow", &called_text(call)));
                    if let Some(json) = &call.answer {
                        answer = serde_json::from_str::<Value>(json).ok();
                    }
                }
                Content::Seen { text, .. } => {
                    all.push(plain_step(record.at, "client saw", true, text));
                    seen = Some(text.clone());
                }
            }
        }
        if row.kind != "connect" && row.problem && story.calls.first() != Some(&id) {
            // The story is about another request than the connection's first one.
            let own = all.iter().find(|step| step["at"] == row.at && step["problem"] == true);
            if let Some(step) = own {
                cause = Some(json!({"reason": step["reason"], "text": step["text"], "step": step["step"]}));
            }
        }
        handshake.extend(all);
        Some(json!({
            "attempt": row, "steps": handshake, "event": event, "answer": answer, "clientSaw": seen,
            "cause": cause.filter(|_| row.problem), "lines": lines,
            "omitted": story.records.len().saturating_sub(STORY_RECORDS),
        }))
    }

    fn add(&mut self, record: Record) {
        let normal;
        let line = match &record.content {
            Content::Line { json, .. } | Content::Decision(json) => {
                let mut line = serde_json::from_str::<Fields<'_>>(json).ok();
                if line.is_none() {
                    // A function may write a key twice. Then its last value counts.
                    normal = serde_json::from_str::<Value>(json).unwrap_or_default().to_string();
                    line = serde_json::from_str(&normal).ok();
                }
                line
            }
            _ => None,
        };
        let connection = match &record.content {
            Content::Line { .. } | Content::Decision(_) => line.as_ref().and_then(Fields::connection_id),
            Content::Presented { connection_id, .. } | Content::Seen { connection_id, .. } => {
                Some(connection_id.into())
            }
            Content::Called(call) => Some((&call.connection_id).into()),
        };
        let Some(connection) = connection else { return };
        // One text for all records of a connection.
        let known = self.stories.get_key_value(&*connection).map(|(known, _)| Arc::clone(known));
        let connection = known.unwrap_or_else(|| (*connection).into());
        match (&record.content, &line) {
            (Content::Line { event_type, took, .. }, Some(line)) => {
                let took = took.map(|took| took.as_secs_f64() * 1_000.0);
                self.add_line(&connection, record.at, line, *event_type, took);
            }
            (Content::Decision(_), Some(line)) => self.add_decision(&connection, record.at, line),
            (Content::Presented { event, .. }, _) => {
                let is_http = !event.contains("\"mqtt\":{");
                let id = self.first(&connection, record.at, if is_http { "http" } else { "connect" });
                self.change(id, |_| {});
            }
            (Content::Called(call), _) => self.add_call(&connection, record.at, call),
            _ => {}
        }
        self.bytes += record.bytes();
        self.order.push_back(Arc::clone(&connection));
        self.stories.entry(connection).or_default().records.push_back(record);
    }

    fn add_line(
        &mut self,
        connection: &Arc<str>,
        at: i64,
        line: &Fields<'_>,
        event_type: EventType,
        took: Option<f64>,
    ) {
        let is_success = text(line.status).as_deref() == Some(Status::Success.as_str());
        let status = if is_success { Status::Success } else { Status::Failure };
        let reason = text(line.reason).map(Cow::into_owned);
        let outcome = event_word(event_type, status, reason.as_deref());
        let (is_http, connected) = (
            text(line.protocol).as_deref() == Some("HTTP"),
            self.stories.get(connection).is_some_and(|story| story.connected),
        );
        let is_connect = matches!(event_type, EventType::Connect | EventType::AuthNError);
        let id = match event_type {
            EventType::Disconnect => {
                let id = self.first(connection, at, "connect");
                let ended = text(line.disconnect_reason).map(Cow::into_owned);
                return self.change(id, |row| row.ended = ended);
            }
            EventType::UnsupportedKeepAlive => return,
            _ if is_http => self.first(connection, at, "http"),
            _ if is_connect && connected && !is_success => self.call(connection, at, usize::MAX),
            _ if is_connect => {
                let is_handshake = text(line.client_id).is_none()
                    && (event_type == EventType::AuthNError
                        || reason.as_deref().is_some_and(|reason| HANDSHAKE_REASONS.contains(&reason)));
                let id = self.first(connection, at, "connect");
                if is_handshake {
                    self.change(id, |row| row.kind = "handshake");
                }
                id
            }
            _ if is_success => return,
            _ => match self.other(connection, at, request_word(event_type)) {
                Some(id) => id,
                None => return,
            },
        };
        if is_connect && is_success {
            self.stories.entry(Arc::clone(connection)).or_default().connected = true;
        }
        let texts = [line.client_id, line.source_ip, line.topic_name];
        let texts = texts.map(|value| text(value).map(Cow::into_owned));
        let door = line.door.and_then(|door| serde_json::from_str::<RowDoor<'_>>(door.get()).ok());
        let door = door.map(|door| format!("{} {}", door.port, door.protocol));
        let authorizer = text(line.authorizer).map(Cow::into_owned);
        let is_request = !is_connect && !is_http;
        self.change(id, |row| {
            let [client_id, address, topic] = texts;
            row.client_id = client_id.or(row.client_id.take());
            row.address = address.or(row.address.take());
            row.topic = topic.or(row.topic.take());
            row.door = door.or(row.door.take());
            row.authorizer = authorizer.or(row.authorizer.take());
            row.outcome = outcome;
            row.problem = !is_success;
            // A decision line has said more.
            if row.reason.is_none() || is_request {
                row.reason = reason;
            }
            if row.kind != "refresh" && !is_request {
                row.took_ms = took;
            }
        });
    }

    fn add_decision(&mut self, connection: &Arc<str>, at: i64, line: &Fields<'_>) {
        let story = self.stories.entry(Arc::clone(connection)).or_default();
        let number = story.decided;
        story.decided += 1;
        let id = self.call(connection, at, number);
        let is_allowed = text(line.outcome).as_deref() == Some("allow");
        let reason = text(line.reason).or_else(|| text(line.error_type)).filter(|_| !is_allowed);
        let texts = [text(line.device), text(line.client_id_of_function), reason];
        let texts = texts.map(|text| text.map(Cow::into_owned));
        self.change(id, |row| {
            let [device, client_id, reason] = texts;
            row.device = device.or(row.device.take());
            row.client_id = row.client_id.take().or(client_id);
            row.reason = reason.or(row.reason.take());
        });
    }

    fn add_call(&mut self, connection: &Arc<str>, at: i64, call: &CallRecord) {
        let story = self.stories.entry(Arc::clone(connection)).or_default();
        let number = story.called;
        story.called += 1;
        let id = self.call(connection, at, number);
        let took = call.took.as_secs_f64() * 1_000.0;
        let is_refresh = call.call == Call::Refresh;
        let outcome = match call.result {
            "allow" if is_refresh => Some("refreshed"),
            "allow" => None,
            "deny" => Some("refused"),
            _ => Some("fault"),
        };
        self.change(id, |row| {
            row.authorizer = Some(call.authorizer.clone());
            row.took_ms = row.took_ms.or(Some(took));
            // The gateway's own line follows a connect, and may have come already.
            if let Some(outcome) = outcome.filter(|_| row.outcome == "pending") {
                row.outcome = outcome;
                row.problem = call.result != "allow";
            }
        });
    }

    /// The row of a connection's connect or request.
    fn first(&mut self, connection: &Arc<str>, at: i64, kind: &'static str) -> u64 {
        if let Some(id) = self.stories.get(connection).and_then(|story| story.calls.first()) {
            return *id;
        }
        let id = self.new_row(connection, at, kind);
        self.stories.entry(Arc::clone(connection)).or_default().calls.push(id);
        id
    }

    /// The row of this call of a connection, or the last one. The first one is the connect, and the others are refreshes.
    fn call(&mut self, connection: &Arc<str>, at: i64, number: usize) -> u64 {
        let first = self.first(connection, at, "connect");
        let calls = self.stories.get(connection).map(|story| story.calls.clone()).unwrap_or_default();
        let known = if number == usize::MAX && calls.len() > 1 { calls.last() } else { calls.get(number) };
        if let Some(id) = known.filter(|id| self.rows.contains_key(id)) {
            return *id;
        }
        if calls.len() > ROWS_EACH {
            return calls.last().copied().unwrap_or(first);
        }
        let id = self.new_row(connection, at, "refresh");
        self.stories.entry(Arc::clone(connection)).or_default().calls.push(id);
        id
    }

    /// A new row for what was refused on a connection, unless it has many.
    fn other(&mut self, connection: &Arc<str>, at: i64, kind: &'static str) -> Option<u64> {
        let story = self.stories.entry(Arc::clone(connection)).or_default();
        if story.others.len() >= ROWS_EACH {
            return None;
        }
        let id = self.new_row(connection, at, kind);
        self.stories.entry(Arc::clone(connection)).or_default().others.push(id);
        Some(id)
    }

    /// A new row. It knows what the connection's first one does.
    fn new_row(&mut self, connection: &Arc<str>, at: i64, kind: &'static str) -> u64 {
        self.last_row += 1;
        self.last_change += 1;
        let (id, change) = (self.last_row, self.last_change);
        let first = self.stories.get(connection).and_then(|story| self.rows.get(story.calls.first()?));
        let known = |field: fn(&Row) -> &Option<String>| first.and_then(|row| field(row).clone());
        let row = Row {
            id,
            change,
            connection_id: Arc::clone(connection),
            at,
            kind,
            device: known(|row| &row.device),
            client_id: known(|row| &row.client_id),
            address: known(|row| &row.address),
            door: known(|row| &row.door),
            outcome: "pending",
            problem: false,
            reason: None,
            topic: None,
            took_ms: None,
            authorizer: known(|row| &row.authorizer),
            ended: None,
        };
        self.rows.insert(id, row);
        self.by_change.insert(change, id);
        id
    }

    fn change(&mut self, id: u64, change: impl FnOnce(&mut Row)) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        change(row);
        self.by_change.remove(&row.change);
        self.last_change += 1;
        row.change = self.last_change;
        self.by_change.insert(row.change, id);
    }

    fn forget_oldest(&mut self) {
        let Some(connection) = self.order.pop_front() else { return };
        let Some(story) = self.stories.get_mut(&connection) else { return };
        if story.shown > 0 {
            if let Some(record) = story.records.get(story.kept) {
                story.kept += 1;
                self.bytes -= record.bytes();
                self.kept_bytes += record.bytes();
                self.forgotten += 1;
            }
            return;
        }
        if let Some(record) = story.records.pop_front() {
            self.bytes -= record.bytes();
            self.forgotten += 1;
        }
        self.remove_if_empty(&connection);
    }

    fn remove_if_empty(&mut self, connection: &str) {
        if self.stories.get(connection).is_some_and(|story| story.records.is_empty())
            && let Some(story) = self.stories.remove(connection)
        {
            for row in story.calls.iter().chain(&story.others).filter_map(|id| self.rows.remove(id)) {
                self.by_change.remove(&row.change);
            }
        }
    }
}

impl Story {
    fn last_answer(&self) -> Option<Value> {
        self.records.iter().rev().find_map(|record| match &record.content {
            Content::Called(CallRecord { answer: Some(json), .. }) => serde_json::from_str(json).ok(),
            _ => None,
        })
    }
}

/// The policy documents of an answer.
fn documents_of(answer: &Value) -> Vec<String> {
    let documents = answer.get("policyDocuments").and_then(Value::as_array);
    documents.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn step_json(at: i64, step: &Step) -> Value {
    json!({"at": at, "step": step.name, "problem": step.problem, "reason": step.reason, "text": step.text})
}

fn plain_step(at: i64, name: &str, problem: bool, text: &str) -> Value {
    json!({"at": at, "step": name, "problem": problem, "reason": null, "text": text})
}

fn called_text(call: &CallRecord) -> String {
    let why = match call.call {
        Call::Connect => "",
        Call::Refresh => ", as its time was over or somebody asked for it",
    };
    let answered = match (call.result, &call.error) {
        ("allow", _) => "answered and lets the client in".to_owned(),
        ("deny", _) => "answered `isAuthenticated: false`".to_owned(),
        (_, Some(error)) => format!("gave no answer that can be used: {error}"),
        (_, None) => "gave no answer that can be used".to_owned(),
    };
    format!(
        "`{}` was called{why}: it {answered}, after {:.1} ms",
        call.authorizer,
        call.took.as_secs_f64() * 1_000.0
    )
}

/// A user name that is no device's may be a password in the wrong field, so it is not shown.
fn mask_unknown_name(event: &mut Value, row: &Row) {
    let Some(name) = event.pointer_mut("/protocolData/mqtt/username").filter(|name| name.is_string()) else {
        return;
    };
    let text = name.as_str().unwrap_or_default().to_owned();
    let (own, query) = text.split_once('?').map_or((&*text, ""), |(own, query)| (own, query));
    if row.device.is_none() && row.client_id.as_deref() != Some(own) && row.outcome != "connected" {
        let separator = if query.is_empty() { "" } else { "?" };
        let characters = own.chars().count();
        *name = format!("••• ({characters} characters of no known device){separator}{query}").into();
    }
}

/// What a client asked for, in one word.
fn request_word(event_type: EventType) -> &'static str {
    match event_type {
        EventType::PublishIn => "publish",
        EventType::PublishOut => "receive",
        EventType::Subscribe => "subscribe",
        EventType::Unsubscribe => "unsubscribe",
        EventType::SendDirectMessage => "message",
        EventType::GetThingShadow | EventType::UpdateThingShadow | EventType::DeleteThingShadow => "shadow",
        EventType::Ping => "ping",
        EventType::Connect
        | EventType::AuthNError
        | EventType::UnsupportedKeepAlive
        | EventType::Disconnect => "connect",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(connection: &str, event_type: EventType, fields: &Value) -> Content {
        let mut json = json!({
            "timestamp": "2026-11-21 03:56:25.326", "eventType": event_type.as_str(), "protocol": "MQTT",
            "sourceIp": "127.0.0.1", "connectionId": connection,
        });
        for (name, value) in fields.as_object().unwrap() {
            json[name] = value.clone();
        }
        Content::Line { json: json.to_string(), event_type, took: Some(Duration::from_millis(7)) }
    }

    fn decision(connection: &str, outcome: &str, reason: Option<&str>) -> Content {
        let line = json!({
            "event": "decision", "outcome": outcome, "reason": reason, "explanation": "the cause; the cure",
            "device": "d", "client_id": "c", "connection_id": connection, "timestamp": "2026-11-21T03:56:25.326177Z",
        });
        Content::Decision(line.to_string())
    }

    fn called(connection: &str, call: Call, result: &'static str) -> Content {
        let answer = json!({"isAuthenticated": result == "allow", "policyDocuments": ["{}"]}).to_string();
        Content::Called(CallRecord {
            connection_id: connection.to_owned(),
            authorizer: "latchkey".to_owned(),
            call,
            result,
            took: Duration::from_millis(2),
            answer: Some(answer),
            error: None,
        })
    }

    fn presented(connection: &str, user_name: &str) -> Content {
        let event = json!({"protocolData": {"mqtt": {"username": user_name}}}).to_string();
        Content::Presented { connection_id: connection.to_owned(), event }
    }

    fn of(contents: Vec<Content>) -> Attempts {
        let recent = Recent::new(100);
        for content in contents {
            recent.add(content);
        }
        let mut attempts = Attempts::default();
        while attempts.read(&recent, 3) {}
        attempts
    }

    fn rows(attempts: &Attempts) -> Vec<(&str, &str, Option<&str>)> {
        let rows = attempts.list(&Filter::default(), None, 100);
        rows.into_iter().map(|row| (row.kind, row.outcome, row.reason.as_deref())).collect()
    }

    #[test]
    fn connection_has_a_row_for_its_connect_each_refresh_and_what_was_denied() {
        let connected =
            json!({"status": "Success", "clientId": "c", "door": {"port": 443, "protocol": "MQTT"}});
        let denied = json!({"status": "Failure", "clientId": "c", "reason": "AUTHORIZATION_FAILURE", "topicName": "t",
            "explanation": "iot:Publish denied"});
        let refused = json!({"status": "Failure", "clientId": "c", "reason": "NOT_AUTHENTICATED"});
        let attempts = of(vec![
            presented("1", "d"),
            // Its decision line comes late.
            called("1", Call::Connect, "allow"),
            line("1", EventType::Connect, &connected),
            decision("1", "allow", None),
            line("1", EventType::PublishIn, &denied),
            decision("1", "allow", None),
            called("1", Call::Refresh, "allow"),
            called("1", Call::Refresh, "deny"),
            line("1", EventType::AuthNError, &refused),
            decision("1", "deny", Some("device_disabled")),
            line(
                "1",
                EventType::Disconnect,
                &json!({"status": "Failure", "disconnectReason": "CONNECTION_LOST"}),
            ),
        ]);
        let expected = [
            ("refresh", "refused", Some("device_disabled")),
            ("refresh", "refreshed", None),
            ("publish", "denied", Some("AUTHORIZATION_FAILURE")),
            ("connect", "connected", None),
        ];
        assert_eq!(rows(&attempts), expected);
        let connect =
            attempts.list(&Filter { outcome: "connected".to_owned(), ..Filter::default() }, None, 9)[0];
        assert_eq!((connect.device.as_deref(), connect.door.as_deref()), (Some("d"), Some("443 MQTT")));
        assert_eq!((connect.ended.as_deref(), connect.took_ms), (Some("CONNECTION_LOST"), Some(7.0)));
        let filter = Filter { outcome: "problem".to_owned(), text: "T".to_owned(), ..Filter::default() };
        assert_eq!(attempts.list(&filter, None, 9).len(), 1);
        assert_eq!(attempts.documents(Some("c"), 1), [("c".to_owned(), vec!["{}".to_owned()])]);
    }

    #[test]
    fn story_of_a_refusal_has_the_functions_words_and_hides_an_unknown_name() {
        let refused =
            json!({"status": "Failure", "clientId": "c", "reason": "NOT_AUTHENTICATED", "details": "see it"});
        let seen = Content::Seen { connection_id: "1".to_owned(), text: "CONNACK".to_owned() };
        let mut attempts = of(vec![
            presented("1", "hunter2?x-amz-customauthorizer-name=a"),
            called("1", Call::Connect, "deny"),
            line("1", EventType::AuthNError, &refused),
            seen,
        ]);
        let story = attempts.story(1).unwrap();
        assert_eq!(story["cause"]["text"], "see it");
        assert!(!story.to_string().contains("hunter2"), "{story}");
        let recent = Recent::new(100);
        recent.add(decision("1", "deny", Some("wrong_password")));
        attempts.read(&recent, 10);
        let story = attempts.story(1).unwrap();
        assert_eq!(
            story["cause"],
            json!({"reason": "wrong_password", "text": "the cause; the cure", "step": "decision"})
        );
        assert_eq!(
            (&story["clientSaw"], &story["attempt"]["reason"]),
            (&json!("CONNACK"), &json!("wrong_password"))
        );
        assert!(story.to_string().contains("hunter2"), "the device is known now");
        assert_eq!(rows(&attempts), [("connect", "refused", Some("wrong_password"))]);
    }

    #[test]
    fn oldest_records_leave_and_their_rows_with_them() {
        let recent = Recent::new(10);
        let mut attempts = Attempts::default();
        let failed = json!({"status": "Failure", "reason": "TLS_HANDSHAKE_FAILED"});
        for n in 0..25 {
            recent.add(line(&n.to_string(), EventType::Connect, &failed));
            attempts.read(&recent, 100);
        }
        assert_eq!(rows(&attempts), [("handshake", "refused", Some("TLS_HANDSHAKE_FAILED")); 10]);
        assert_eq!((attempts.stories.len(), attempts.order.len(), attempts.by_change.len()), (10, 10, 10));
        assert_eq!(attempts.summary()["forgotten"], 15);
        assert!(attempts.story(1).is_none() && attempts.story(25).is_some());
    }

    #[test]
    fn changes_are_sampled_and_the_newest_come_first() {
        let failed = json!({"status": "Failure", "reason": "SNI_MISUSED"});
        let lines = (0..20).map(|n| line(&n.to_string(), EventType::Connect, &failed));
        let attempts = of(lines.collect());
        let (changed, skipped) = attempts.changed_since(0, 5);
        assert_eq!(
            (changed.iter().map(|row| row.id).collect::<Vec<_>>(), skipped),
            (vec![20, 19, 18, 17, 16], 15)
        );
        assert!(attempts.changed_since(attempts.last_change(), 5).0.is_empty());
    }

    #[test]
    fn what_a_page_shows_stays_longer_and_within_a_bound() {
        let (recent, mut attempts) = (Recent::new(10), Attempts::default());
        let failed = json!({"status": "Failure", "reason": "TLS_HANDSHAKE_FAILED"});
        let mut number = 0;
        let mut more = |attempts: &mut Attempts, count: usize| {
            for _ in 0..count {
                recent.add(line(&number.to_string(), EventType::Connect, &failed));
                attempts.read(&recent, 100);
                number += 1;
            }
        };
        more(&mut attempts, 2);
        attempts.keep_shown(&recent, ["0".into(), "0".into(), "none".into()]);
        more(&mut attempts, 30);
        assert!(attempts.story(1).is_some() && attempts.story(2).is_none());
        assert_eq!((attempts.rows.len(), attempts.order.len(), attempts.shown.len()), (11, 10, 2));
        assert_eq!(attempts.summary()["forgotten"], 22);
        // Many that are shown after it.
        for _ in 0..=MAX_SHOWN {
            more(&mut attempts, 1);
            let last = attempts.order.back().cloned();
            attempts.keep_shown(&recent, last);
        }
        assert!(attempts.story(1).is_none());
        let sizes = [attempts.stories.len(), attempts.rows.len(), attempts.by_change.len()];
        assert_eq!(sizes, [attempts.stories.len(); 3]);
        assert!(attempts.kept_bytes <= recent.max_bytes() / SHOWN_PART && sizes[0] < 40, "{sizes:?}");
    }

    #[test]
    fn streams_read_in_turn_and_the_summary_follows() {
        let (recent, mut attempts) = (Recent::new(100), Attempts::default());
        let failed = json!({"status": "Failure", "reason": "SNI_MISUSED"});
        let (begin, pause) = (Instant::now(), Duration::from_millis(200));
        for (number, after, total) in [(0, 0, 1), (1, 199, 1), (2, 200, 3), (3, 201, 3)] {
            recent.add(line(&number.to_string(), EventType::Connect, &failed));
            attempts.read_in_turn(&recent, 10, pause, begin + Duration::from_millis(after));
            assert_eq!(attempts.summary()["total"], total);
        }
    }

    #[test]
    fn function_may_write_a_key_twice_and_other_types() {
        let line = r#"{"event":"decision","connection_id":"1","device":"a","device":"b\u0021","client_id":7,"outcome":"deny","reason":"x"}"#;
        let attempts = of(vec![Content::Decision(line.to_owned()), Content::Decision("[".to_owned())]);
        let row = attempts.list(&Filter::default(), None, 9)[0];
        assert_eq!(
            (row.device.as_deref(), row.client_id.as_deref(), row.reason.as_deref()),
            (Some("b!"), None, Some("x"))
        );
    }

    #[test]
    fn rows_of_one_connection_are_bounded() {
        let denied = json!({"status": "Failure", "reason": "AUTHORIZATION_FAILURE"});
        let lines = (0..ROWS_EACH + 20).map(|_| line("1", EventType::PublishIn, &denied));
        assert_eq!(of(lines.collect()).rows.len(), ROWS_EACH);
    }
}
