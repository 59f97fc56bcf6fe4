//! What happened with a client, as both logs together say it.

use std::fmt;

use cli::console::wrapped;
use serde_json::{Value, json};

use super::{
    line::{self, Kind, time_of},
    reason,
};

/// The columns before the text of an event: time and outcome.
const INDENT: usize = 17;

/// Something that happened with a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since 1970.
    pub time: u64,
    /// What was asked for, or happened.
    pub what: What,
    /// How it ended.
    pub outcome: Outcome,
    /// Who decided that.
    pub by: Decider,
    /// The connection's id.
    pub connection: Option<String>,
    /// The client id.
    pub client_id: Option<String>,
    /// The record's name, if the function knew it.
    pub device: Option<String>,
    /// The client's address.
    pub address: Option<String>,
    /// The topic, or the topic filters.
    pub topic: Option<String>,
    /// The stable name of the reason.
    pub reason: Option<String>,
    /// What the line says about the reason.
    pub text: Option<String>,
    /// Whether the function has a line about it.
    pub has_decision: bool,
    /// Whether AWS IoT has a line about the connect.
    pub has_connect: bool,
    /// What the first line was.
    pub(super) decided: Kind,
}

/// What was asked for, or happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A connect, a refresh, or an HTTPS publish.
    Connect,
    /// A message that a client sent.
    Publish,
    /// A message for a client.
    Receive,
    /// A subscription.
    Subscribe,
    /// Any other request.
    Request,
    /// The end of a connection.
    Disconnect,
    /// The function itself.
    Function,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was allowed.
    Allow,
    /// It was refused.
    Deny,
    /// Something is broken, and it was refused.
    Fault,
    /// A connection ended.
    End,
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decider {
    /// The function.
    Function,
    /// AWS IoT Core, or the gateway.
    AwsIot,
}

impl From<line::Outcome> for Outcome {
    fn from(outcome: line::Outcome) -> Self {
        match outcome {
            line::Outcome::Allow => Self::Allow,
            line::Outcome::Deny => Self::Deny,
            line::Outcome::Fault => Self::Fault,
        }
    }
}

impl What {
    fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Publish => "publish",
            Self::Receive => "receive",
            Self::Subscribe => "subscribe",
            Self::Request => "request",
            Self::Disconnect => "disconnect",
            Self::Function => "function",
        }
    }
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Allow, Self::Deny, Self::Fault, Self::End];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Fault => "fault",
            Self::End => "end",
        }
    }
}

impl Event {
    /// Whether it is a refusal, or a fault, about which the function has no line.
    #[must_use]
    pub fn is_without_function(&self) -> bool {
        self.what == What::Connect && self.outcome == Outcome::Deny && !self.has_decision
    }

    /// The cause and the cure: the line's own words, with the cure that is known for the reason if they have none.
    #[must_use]
    pub fn explanation(&self) -> Option<String> {
        let known = self.reason.as_deref().and_then(reason::explanation);
        let cure = known.and_then(|text| text.split_once("; ")).map(|(_, cure)| cure);
        match (&self.text, cure) {
            (Some(text), Some(cure)) if !text.contains("; ") => Some(format!("{text}; {cure}")),
            (Some(text), _) => Some(text.clone()),
            (None, _) => known.map(str::to_owned),
        }
    }

    /// One line of JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let time = humantime::format_rfc3339_millis(time_of(self.time)).to_string();
        let function = match (self.what, self.has_decision) {
            (What::Connect, true) => Some("has_line"),
            (What::Connect, false) => Some("no_line"),
            _ => None,
        };
        json!({
            "time": time, "event": self.what.as_str(), "outcome": self.outcome.as_str(), "device": self.device,
            "client_id": self.client_id, "address": self.address, "topic": self.topic, "reason": self.reason,
            "decided_by": match self.by { Decider::Function => "function", Decider::AwsIot => "aws_iot" },
            "function": function, "explanation": self.explanation(), "connection_id": self.connection,
        })
    }

    /// A line for a person, wrapped between words. What a client chose is escaped, and begins no line.
    #[must_use]
    pub fn text(&self) -> String {
        wrapped(INDENT, &self.to_string())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = humantime::format_rfc3339_seconds(time_of(self.time)).to_string();
        let time = time.split_once('T').map_or("", |(_, time)| time);
        write!(f, "{time:<9}  {:<5} ", self.outcome.as_str())?;
        match (&self.device, &self.client_id) {
            (Some(device), Some(id)) if device != id => write!(f, " {device} as {id}")?,
            (Some(name), _) | (None, Some(name)) => write!(f, " {name}")?,
            (None, None) => {}
        }
        if let (None, Some(address)) = (&self.device, &self.address) {
            write!(f, " from {address}")?;
        }
        match self.what {
            What::Connect | What::Disconnect => {}
            What::Function => write!(f, " the function")?,
            what => write!(f, "  {}", what.as_str())?,
        }
        if let Some(topic) = &self.topic {
            write!(f, " {topic}")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, "  {reason}")?;
        }
        if self.is_without_function() {
            write!(f, " (the function has no line)")?;
        }
        self.explanation().map_or(Ok(()), |text| write!(f, "  {text}"))
    }
}
