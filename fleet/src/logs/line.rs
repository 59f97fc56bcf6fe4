//! One line of a log: the function's decision, or a line of AWS IoT's own log (`AWSIotLogsV2`), which the gateway writes too.
//!
//! Source: AWS IoT Core developer guide, `cwl-format`; docs/logs.md for the function's lines.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Deserialize;

/// How CloudWatch shows that the function broke: parts of lines that Lambda writes.
const BROKEN: [(&str, &str); 3] = [
    ("Task timed out", "timed_out"),
    ("Runtime exited", "runtime_exited"),
    ("Runtime.ExitError", "runtime_exited"),
];

/// A line about a client, or about the function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Milliseconds since 1970.
    pub time: u64,
    /// The connection. AWS's own lines don't have it.
    pub connection: Option<String>,
    /// The client id.
    pub client_id: Option<String>,
    /// The record's name, in the function's lines.
    pub device: Option<String>,
    /// The client's address, in AWS IoT's lines.
    pub address: Option<String>,
    /// The topic or the topic filters.
    pub topic: Option<String>,
    /// The stable name of why something was refused or ended.
    pub reason: Option<String>,
    /// What the line itself says about the reason.
    pub text: Option<String>,
    /// What it is about.
    pub kind: Kind,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The function decided.
    Decision(Outcome),
    /// A client connected, or was refused, by AWS IoT's own log.
    Connect {
        /// Whether it is connected.
        is_success: bool,
    },
    /// A request of a connected client was refused.
    Request(Request),
    /// A connection ended.
    Disconnect,
    /// The function did not finish.
    Broken,
}

/// What the function decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client may connect.
    Allow,
    /// It may not.
    Deny,
    /// Something is broken.
    Fault,
}

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To publish.
    Publish,
    /// To get a message.
    Receive,
    /// To subscribe.
    Subscribe,
    /// Anything else.
    Other,
}

/// The fields of both kinds of line that are read here.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    outcome: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow)]
    explanation: Option<Cow<'a, str>>,
    #[serde(borrow)]
    device: Option<Cow<'a, str>>,
    #[serde(borrow)]
    device_digest: Option<Cow<'a, str>>,
    #[serde(borrow)]
    client_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    connection_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    grant: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "eventType")]
    event_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "clientId")]
    aws_client_id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "connectionId")]
    aws_connection_id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "sourceIp")]
    source_ip: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "topicName")]
    topic_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    details: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "disconnectReason")]
    disconnect_reason: Option<Cow<'a, str>>,
}

impl Line {
    /// Reads a line. `received` is its time by CloudWatch, for a line without one of its own. `None` if it is about something
    /// else.
    #[must_use]
    pub fn parse(text: &str, received: Option<u64>) -> Option<Self> {
        let Ok(fields) = serde_json::from_str::<Fields<'_>>(text) else {
            let (_, reason) = BROKEN.iter().find(|(part, _)| text.contains(part))?;
            return Some(Self { reason: Some((*reason).to_owned()), ..Self::at(received?, Kind::Broken) });
        };
        let time = fields.timestamp.as_deref().and_then(millis).or(received)?;
        if fields.event.as_deref() == Some("decision") {
            fields.decision(time)
        } else {
            fields.of_aws_iot(time)
        }
    }

    fn at(time: u64, kind: Kind) -> Self {
        Self {
            time,
            connection: None,
            client_id: None,
            device: None,
            address: None,
            topic: None,
            reason: None,
            text: None,
            kind,
        }
    }
}

impl Fields<'_> {
    fn decision(self, time: u64) -> Option<Line> {
        let outcome = match self.outcome.as_deref()? {
            "allow" => Outcome::Allow,
            "deny" => Outcome::Deny,
            "fault" => Outcome::Fault,
            _ => return None,
        };
        let text = match outcome {
            Outcome::Allow => self.grant.map(|grant| format!("grant `{grant}`")),
            Outcome::Deny | Outcome::Fault => {
                let digest = self.device_digest.map(|digest| format!("unknown name, digest {digest}"));
                let parts = [self.error.map(Cow::into_owned), self.explanation.map(Cow::into_owned), digest];
                let parts = parts.into_iter().flatten().collect::<Vec<_>>();
                Some(parts.join("; ")).filter(|text| !text.is_empty())
            }
        };
        Some(Line {
            connection: owned(self.connection_id),
            client_id: owned(self.client_id),
            device: owned(self.device),
            reason: owned(self.reason).or(owned(self.error_type)),
            text,
            ..Line::at(time, Kind::Decision(outcome))
        })
    }

    fn of_aws_iot(self, time: u64) -> Option<Line> {
        let is_success = self.status.as_deref() == Some("Success");
        let kind = match self.event_type.as_deref()? {
            "Connect" | "Connection.AuthNError" => Kind::Connect { is_success },
            "Disconnect" => Kind::Disconnect,
            _ if is_success => return None,
            "Publish-In" => Kind::Request(Request::Publish),
            "Publish-Out" => Kind::Request(Request::Receive),
            "Subscribe" => Kind::Request(Request::Subscribe),
            // A keep-alive that is not supported is replaced, and nothing is refused.
            "Unsupported keep-alive value" | "Ping" => return None,
            _ => Kind::Request(Request::Other),
        };
        // `Disconnect` has the reason in two fields, of which the first one has another word for one of them.
        let reason = match kind {
            Kind::Disconnect => self.disconnect_reason.or(self.reason),
            _ => self.reason,
        };
        // The gateway explains what AWS's words do not say.
        let text = self.explanation.or(self.details);
        Some(Line {
            connection: owned(self.aws_connection_id),
            client_id: owned(self.aws_client_id).filter(|id| id != "N/A"),
            address: owned(self.source_ip),
            topic: owned(self.topic_name),
            reason: owned(reason),
            text: owned(text),
            ..Line::at(time, kind)
        })
    }
}

fn owned(text: Option<Cow<'_, str>>) -> Option<String> {
    text.map(Cow::into_owned).filter(|text| !text.is_empty())
}

/// A time as the function writes it (RFC 3339), or as AWS IoT does (`2017-08-10 15:37:23.476`, UTC).
fn millis(text: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339_weak(text).ok()?;
    u64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// The time that these milliseconds since 1970 are.
pub(crate) fn time_of(millis: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: &str = "2026-11-21 03:56:25.326";
    const MILLIS: u64 = 1_795_233_385_326;

    #[test]
    fn the_functions_lines_are_read() {
        let line = json!({"timestamp": "2026-11-21T03:56:25.326177Z", "level": "INFO", "event": "decision",
            "outcome": "allow", "device": "d", "client_id": "c", "grant": "sht20", "documents": 1,
            "cold_start": false, "connection_id": "x", "target": "authorizer::decision"});
        let read = Line::parse(&line.to_string(), None).unwrap();
        assert_eq!((read.time, read.kind), (MILLIS, Kind::Decision(Outcome::Allow)));
        assert_eq!((read.device.as_deref(), read.client_id.as_deref()), (Some("d"), Some("c")));
        assert_eq!((read.connection.as_deref(), read.text.as_deref()), (Some("x"), Some("grant `sht20`")));
        for (outcome, more, reason, text) in [
            (
                "deny",
                json!({"reason": "wrong_password", "explanation": "a; b"}),
                "wrong_password",
                Some("a; b"),
            ),
            (
                "deny",
                json!({"reason": "unknown_device", "device_digest": "0f"}),
                "unknown_device",
                Some("unknown name, digest 0f"),
            ),
            ("fault", json!({"error_type": "store_fault", "error": "down"}), "store_fault", Some("down")),
            ("deny", json!({"reason": "no_password"}), "no_password", None),
        ] {
            let mut line = json!({"timestamp": AT, "event": "decision", "outcome": outcome});
            line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let read = Line::parse(&line.to_string(), None).unwrap();
            assert_eq!((read.reason.as_deref(), read.text.as_deref()), (Some(reason), text), "{line}");
        }
    }

    #[test]
    fn lines_of_aws_iot_are_read_and_others_are_not() {
        for (event, status, kind) in [
            ("Connect", "Success", Some(Kind::Connect { is_success: true })),
            ("Connect", "Failure", Some(Kind::Connect { is_success: false })),
            ("Connection.AuthNError", "Failure", Some(Kind::Connect { is_success: false })),
            ("Publish-In", "Failure", Some(Kind::Request(Request::Publish))),
            ("Publish-In", "Success", None),
            ("Subscribe", "Failure", Some(Kind::Request(Request::Subscribe))),
            ("DeleteConnection", "Success", None),
            ("Unsupported keep-alive value", "Failure", None),
            ("Disconnect", "Success", Some(Kind::Disconnect)),
        ] {
            let line = json!({"timestamp": AT, "logLevel": "INFO", "traceId": "t", "accountId": "1", "status": status,
                "eventType": event, "protocol": "MQTT", "clientId": "c", "sourceIp": "192.0.2.1", "sourcePort": 1});
            let read = Line::parse(&line.to_string(), None);
            assert_eq!(read.as_ref().map(|read| read.kind), kind, "{line}");
            if let Some(read) = read {
                assert_eq!((read.time, read.address.as_deref()), (MILLIS, Some("192.0.2.1")));
            }
        }
        let line = json!({"timestamp": AT, "status": "Failure", "eventType": "Disconnect", "clientId": "c",
            "reason": "DUPLICATE_CLIENT_ID", "disconnectReason": "DUPLICATE_CLIENTID",
            "details": "A new connection was established with the same client ID", "explanation": "mine"});
        let read = Line::parse(&line.to_string(), None).unwrap();
        assert_eq!(
            (read.reason.as_deref(), read.text.as_deref()),
            (Some("DUPLICATE_CLIENTID"), Some("mine"))
        );
    }

    #[test]
    fn what_is_neither_is_no_line() {
        let timed_out = "2026-11-21T03:56:25.326Z 1-2 Task timed out after 5.00 seconds";
        let read = Line::parse(timed_out, Some(5)).unwrap();
        assert_eq!((read.kind, read.time, read.reason.as_deref()), (Kind::Broken, 5, Some("timed_out")));
        for text in [
            "",
            "START RequestId: 1",
            "[]",
            "null",
            "{\"event\":\"decision\"}",
            "{\"event\":\"decision\",\"outcome\":\"maybe\",\"timestamp\":\"2026-11-21 03:56:25.326\"}",
            "{\"eventType\":7,\"timestamp\":\"2026-11-21 03:56:25.326\"}",
            "{\"timestamp\":\"2026-11-21 03:56:25.326\",\"function\":\"hello\"}",
        ] {
            assert_eq!(Line::parse(text, Some(5)), None, "{text}");
        }
    }
}
