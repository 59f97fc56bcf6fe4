//! The steps of a connection, from its lines in the log.

use std::{
    collections::{HashMap, VecDeque},
    fmt::{self, Display, Formatter},
    io,
    path::Path,
};

use cli::{console, output::escaped};
use serde::Serialize;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

use super::reader::{Line, Lines};
use crate::event_log::{
    EventType, Status,
    terminal::{client_name, event_word},
};

/// The steps of one connection that are kept: the first ones, which have the connect, and the last ones.
const FIRST_STEPS: usize = 50;
const LAST_STEPS: usize = 50;
/// The columns before a step's text.
const INDENT: usize = 16;

/// One connection, with everything that the log says about it.
#[derive(Serialize)]
pub(super) struct Attempt {
    connection_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    steps: Vec<Step>,
    /// How many steps between the first and the last ones are left out.
    omitted: usize,
    #[serde(skip)]
    latest: VecDeque<Step>,
}

/// A step of a connection.
#[derive(Serialize)]
pub(crate) struct Step {
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rfc3339")]
    pub(crate) time: Option<OffsetDateTime>,
    #[serde(rename = "step")]
    pub(crate) name: &'static str,
    /// Whether something was refused, denied or broken.
    pub(crate) problem: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) text: String,
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn rfc3339<S: serde::Serializer>(time: &Option<OffsetDateTime>, serializer: S) -> Result<S::Ok, S::Error> {
    time.and_then(|time| time.format(&Rfc3339).ok()).serialize(serializer)
}

/// Reads the connections with these ids.
pub(super) fn read(log: &Path, ids: Vec<String>) -> io::Result<Vec<Attempt>> {
    let positions = ids.iter().cloned().zip(0..).collect::<HashMap<_, usize>>();
    let mut attempts = ids.into_iter().map(Attempt::new).collect::<Vec<_>>();
    for text in Lines::open(log)? {
        let text = text?;
        if !positions.keys().any(|id| text.contains(&**id)) {
            continue;
        }
        let Some(line) = Line::parse(&text) else { continue };
        let position = line.connection_id().and_then(|id| positions.get(id));
        if let Some(attempt) = position.and_then(|at| attempts.get_mut(*at)) {
            attempt.add(&line);
        }
    }
    for attempt in &mut attempts {
        attempt.steps.extend(std::mem::take(&mut attempt.latest));
        // The function's line and the gateway's are written in either order. The steps of a connect come at one time.
        attempt.steps.sort_by_key(|step| step.time);
    }
    Ok(attempts)
}

impl Attempt {
    fn new(connection_id: String) -> Self {
        let (steps, latest) = (Vec::new(), VecDeque::new());
        Self { connection_id, device: None, client_id: None, address: None, steps, omitted: 0, latest }
    }

    /// Whether something was refused, denied or broken.
    pub(super) fn has_problem(&self) -> bool {
        self.steps.iter().any(|step| step.problem)
    }

    /// The time of its first line.
    pub(super) fn began(&self) -> Option<OffsetDateTime> {
        self.steps.iter().find_map(|step| step.time)
    }

    fn add(&mut self, line: &Line) {
        let set = |field: &mut Option<String>, value: Option<&str>| {
            if field.is_none() {
                *field = value.map(str::to_owned);
            }
        };
        set(&mut self.device, line.text("device"));
        set(&mut self.client_id, line.text("clientId").or_else(|| line.text("client_id")));
        set(&mut self.address, line.text("sourceIp"));
        for step in steps(line) {
            if self.steps.len() < FIRST_STEPS {
                self.steps.push(step);
            } else {
                self.latest.push_back(step);
                if self.latest.len() > LAST_STEPS {
                    self.latest.pop_front();
                    self.omitted += 1;
                }
            }
        }
    }
}

/// The steps that a line reports.
pub(crate) fn steps(line: &Line) -> Vec<Step> {
    let time = line.time();
    let step = |name, problem, reason: Option<&str>, text: String| Step {
        time,
        name,
        problem,
        reason: reason.map(str::to_owned),
        text,
    };
    if line.is_decision() {
        let outcome = line.text("outcome").unwrap_or_default();
        let reason = line.text("reason").or_else(|| line.text("error_type"));
        return vec![step("decision", outcome != "allow", reason, decision(line, outcome))];
    }
    let Some(event_type) = line.text("eventType").and_then(EventType::from_name) else { return Vec::new() };
    let is_success = line.text("status") == Some(Status::Success.as_str());
    let status = if is_success { Status::Success } else { Status::Failure };
    let mut steps = Vec::new();
    if let Some(door) = line.value("door") {
        // They came before everything else, at a time that the log does not have.
        let steps_before = [("tls", tls(door, line.text("serverNameIndication"))), ("door", door_text(door))];
        steps.extend(steps_before.map(|(name, text)| Step { time: None, ..step(name, false, None, text) }));
    }
    if let Some(authorizer) = line.text("authorizer") {
        steps.push(step("authorizer", false, None, format!("`{authorizer}` let the client in")));
    }
    if let Some(allows) = line.value("allows").and_then(Value::as_object) {
        let allowed = allows.iter().filter_map(|(action, on)| Some(format!("{action} on {}", on.as_str()?)));
        steps.push(step("policies", false, None, allowed.collect::<Vec<_>>().join("; ")));
    }
    let name = event_word(event_type, status, line.text("reason"));
    let words = line.text("explanation").or_else(|| line.text("details"));
    let (about, separator) = match name {
        "connected" => (Some(session(line)), "; "),
        _ => (line.text("topicName").map(str::to_owned), ": "),
    };
    let text = about.into_iter().chain(words.map(str::to_owned)).collect::<Vec<_>>().join(separator);
    steps.push(step(name, !is_success, line.text("reason"), text));
    steps
}

/// What the function decided, with the cause and the cure of a refusal.
fn decision(line: &Line, outcome: &str) -> String {
    if outcome != "allow" {
        let words = [line.text("error"), line.text("explanation")];
        return words.into_iter().flatten().collect::<Vec<_>>().join("; ");
    }
    let grant = line.text("grant").map(|grant| format!(", grant `{grant}`"));
    let documents = line.value("documents").and_then(Value::as_u64);
    let documents = documents.map(|count| format!(", {}", console::counted(count, "policy document")));
    format!("allow{}{}", grant.unwrap_or_default(), documents.unwrap_or_default())
}

fn tls(door: &Value, server_name: Option<&str>) -> String {
    let text = |field: &str| door.get(field).and_then(Value::as_str);
    let name = |value: Option<&str>| value.map_or("none".to_owned(), |value| format!("`{value}`"));
    format!(
        "{}, server name (SNI) {}, ALPN {}",
        text("tls").unwrap_or("TLS"),
        name(server_name),
        name(text("alpn"))
    )
}

fn door_text(door: &Value) -> String {
    let text = |field: &str| door.get(field).and_then(Value::as_str).unwrap_or("?");
    let port = door.get("port").and_then(Value::as_u64).unwrap_or_default();
    format!(
        "AWS's port {port}: {}, {}, domain `{}`",
        text("protocol"),
        text("authentication"),
        text("domain")
    )
}

fn session(line: &Line) -> String {
    let number = |field: &str| line.value(field).and_then(Value::as_u64).unwrap_or_default();
    let kept = match (number("sessionExpiry"), line.value("cleanSession").and_then(Value::as_bool)) {
        (0, _) => "the session ends with the connection".to_owned(),
        (seconds, Some(true)) => format!("a new session is kept for {seconds} s"),
        (seconds, _) => format!("the session is resumed, and kept for {seconds} s"),
    };
    format!("keep-alive {} s, {kept}", number("keepAliveDuration"))
}

/// For a person. Each part that a client may have chosen is escaped.
impl Display for Attempt {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = client_name(self.device.as_deref(), self.client_id.as_deref());
        let name = name.as_deref().unwrap_or("no client id");
        let time = self.began();
        let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
        let time = time.and_then(|time| time.format(&format).ok()).unwrap_or_default();
        let address = self.address.as_deref().unwrap_or("an unknown address");
        let head = format!("{name}  from {address}  {time}");
        f.write_str(&console::wrapped_to(console::COLUMNS, 2, &head))?;
        let id = escaped(&*self.connection_id);
        write!(f, "\n  {:<12}  {id}", "connection")?;
        for (at, step) in self.steps.iter().enumerate() {
            if at == FIRST_STEPS && self.omitted > 0 {
                write!(f, "\n  … {} are left out", console::counted(self.omitted, "step"))?;
            }
            let reason = step.reason.as_ref().map_or(String::new(), |reason| format!("{reason}  "));
            let text = format!("  {:<12}  {reason}{}", step.name, step.text);
            write!(f, "\n{}", console::wrapped_to(console::COLUMNS, INDENT, text.trim_end()))?;
        }
        writeln!(f)
    }
}
