//! What a client sees, as lines of text that can be compared and read.
//!
//! Values that differ at each run are replaced by their kind: `UUID`, `SECONDS`, `MILLISECONDS`, `IP`, `SHA256`.

use std::{fmt::Write as _, io};

use mqtt::{ConnAck, Packet, PubAck, Publish, SubAck, UnsubAck, Version};
use rustls::AlertDescription;
use serde_json::Value;

/// The longest text of a payload; of a longer one the size is shown.
const SHOWN_BYTES: usize = 2_000;

/// What a client sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The line that is compared.
    pub text: String,
    /// What is in the report besides, and compared only where a case asks for it.
    pub detail: Option<String>,
}

impl Observed {
    /// Without a detail.
    #[must_use]
    pub fn plain(text: String) -> Self {
        Self { text, detail: None }
    }

    /// With a detail.
    #[must_use]
    pub fn with_detail(text: &str, detail: String) -> Self {
        Self { text: text.to_owned(), detail: Some(detail) }
    }

    /// Whether it is what was expected. In `expected` the sign `…` stands for any text, `{1..9}` for a number in this range, and
    /// ` | ` is between alternatives. A detail in parentheses at the end counts only if it is there.
    #[must_use]
    pub fn is(&self, expected: &str) -> bool {
        expected.split(" | ").any(|expected| {
            matches(expected, &self.text) || (self.detail.is_some() && matches(expected, &self.to_string()))
        })
    }
}

impl std::fmt::Display for Observed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{} ({detail})", self.text),
            None => f.write_str(&self.text),
        }
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    if let Some((before, least, most, after)) = range(pattern) {
        let number = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        return number
            .and_then(|number| number.parse::<u64>().ok())
            .is_some_and(|number| (least..=most).contains(&number));
    }
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    true
}

/// `before {1..9} after`.
fn range(pattern: &str) -> Option<(&str, u64, u64, &str)> {
    let (before, rest) = pattern.split_once('{')?;
    let (range, after) = rest.split_once('}')?;
    let (least, most) = range.split_once("..")?;
    Some((before, least.parse().ok()?, most.parse().ok()?, after))
}

/// A handshake that the server ended.
#[must_use]
pub fn refused(error: &io::Error) -> Observed {
    Observed::with_detail("refused", cause(error))
}

/// The end of a connection that was open.
#[must_use]
pub fn end(error: &io::Error) -> Observed {
    Observed::with_detail("end", cause(error))
}

fn cause(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, error.kind()) {
        (Some(rustls::Error::AlertReceived(alert)), _) => alert_name(*alert),
        (Some(other), _) => other.to_string(),
        (None, io::ErrorKind::UnexpectedEof) => "without close_notify".to_owned(),
        (None, kind) => kind.to_string(),
    }
}

/// The name of RFC 8446: `unrecognized_name`.
fn alert_name(alert: AlertDescription) -> String {
    // rustls writes it in British English.
    let debug = format!("{alert:?}").replace("Unrecognised", "Unrecognized");
    let mut name = String::new();
    for character in debug.chars() {
        if character.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(character.to_ascii_lowercase());
    }
    name
}

/// A packet of this version.
pub fn packet(packet: &Packet, version: Version) -> Observed {
    Observed::plain(match packet {
        Packet::ConnAck(answer) => connack(answer, version),
        Packet::Publish(message) => publish(message),
        Packet::PubAck(PubAck { code, reason_string, .. }) => {
            format!("PUBACK {}", code_and_reason(u8::from(*code), reason_string.as_deref()))
        }
        Packet::SubAck(SubAck { codes, reason_string, .. }) => {
            format!(
                "SUBACK{}{}",
                hexadecimal(codes.iter().map(|code| u8::from(*code))),
                reason(reason_string.as_deref())
            )
        }
        Packet::UnsubAck(UnsubAck { codes, reason_string, .. }) => {
            format!(
                "UNSUBACK{}{}",
                hexadecimal(codes.iter().map(|code| u8::from(*code))),
                reason(reason_string.as_deref())
            )
        }
        Packet::Disconnect(disconnect) => {
            let reason_string = disconnect.reason_string.as_deref();
            format!("DISCONNECT {}", code_and_reason(u8::from(disconnect.code), reason_string))
        }
        Packet::PingResp => "PINGRESP".to_owned(),
        other => format!("packet type {}", other.packet_type()),
    })
}

fn code_and_reason(code: u8, text: Option<&str>) -> String {
    format!("0x{code:02x}{}", reason(text))
}

fn reason(text: Option<&str>) -> String {
    text.map(|text| format!(" reason=\"{}\"", normalised(text))).unwrap_or_default()
}

fn connack(answer: &ConnAck, version: Version) -> String {
    let present = if answer.session_present { " session-present" } else { "" };
    let code = match version {
        Version::V311 => answer.code.return_code(),
        Version::V5 => None,
    };
    let code = code.unwrap_or(u8::from(answer.code));
    format!("CONNACK {}{present}", code_and_reason(code, answer.properties.reason_string.as_deref()))
}

/// The properties of a CONNACK.
pub fn properties(answer: &ConnAck) -> String {
    let it = &answer.properties;
    let mut text =
        format!("PROPERTIES receive-maximum={} maximum-qos={}", it.receive_maximum, u8::from(it.maximum_qos));
    let flags = [
        ("retain", it.retain_available),
        ("wildcards", it.wildcard_subscription_available),
        ("subscription-ids", it.subscription_identifiers_available),
        ("shared", it.shared_subscription_available),
    ];
    for (name, value) in flags {
        _ = write!(text, " {name}={}", u8::from(value));
    }
    _ = write!(text, " topic-alias-maximum={}", it.topic_alias_maximum);
    let numbers = [
        ("maximum-packet-size", it.maximum_packet_size.map(u32::from)),
        ("session-expiry", it.session_expiry_interval),
        ("server-keep-alive", it.server_keep_alive.map(u32::from)),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            _ = write!(text, " {name}={value}");
        }
    }
    if let Some(id) = &it.assigned_client_id {
        _ = write!(text, " assigned={}", normalised(id));
    }
    text
}

/// ` 0x00 0x87`.
fn hexadecimal(codes: impl Iterator<Item = u8>) -> String {
    codes.fold(String::new(), |text, code| text + &format!(" 0x{code:02x}"))
}

fn publish(message: &Publish) -> String {
    let topic = message.topic.as_ref().map_or("(no topic)", |topic| topic.as_str());
    let mut text = format!("PUBLISH {topic}");
    for (is, word) in
        [(message.qos > mqtt::QoS::AtMostOnce, "qos=1"), (message.retain, "retain"), (message.dup, "dup")]
    {
        if is {
            _ = write!(text, " {word}");
        }
    }
    if let Some(properties) = &message.properties {
        if let Some(seconds) = properties.message_expiry_interval {
            _ = write!(text, " expiry={seconds}");
        }
        if let Some(kind) = &properties.content_type {
            _ = write!(text, " content-type={kind}");
        }
        if let Some(data) = &properties.correlation_data {
            _ = write!(text, " correlation={}", String::from_utf8_lossy(data));
        }
        if let Some(topic) = &properties.response_topic {
            _ = write!(text, " response={topic}");
        }
        for (name, value) in &properties.user_properties {
            _ = write!(text, " user={name}:{value}");
        }
    }
    // The order of an event's members is AWS's; of a shadow's nobody knows it.
    let payload = if topic.starts_with("$aws/events/") {
        normalised(&String::from_utf8_lossy(&message.payload))
    } else {
        content(&message.payload)
    };
    if payload.is_empty() { text + " (empty)" } else { text + " " + &payload }
}

/// A payload or a body as text: JSON with its members in order of their names.
#[must_use]
pub fn content(bytes: &[u8]) -> String {
    if bytes.len() > SHOWN_BYTES {
        return format!("({} bytes)", bytes.len());
    }
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => normalised(&value.to_string()),
        _ => normalised(&String::from_utf8_lossy(bytes)),
    }
}

/// An answer of HTTP: status, error type, whether its request id is its trace id, and the body.
pub fn http<'a>(status: u16, header: impl Fn(&str) -> Option<&'a str>, body: &[u8]) -> Observed {
    let mut text = format!("HTTP {status}");
    if let Some(kind) = header("x-amzn-errortype") {
        _ = write!(text, " error-type={kind}");
    }
    match (header("x-amzn-requestid"), trace_id(body).as_deref()) {
        (Some(id), Some(trace)) if id == trace => text += " request-id=traceId",
        (Some(_), Some(_)) => text += " request-id=another",
        (Some(_), None) => text += " request-id",
        (None, _) => {}
    }
    let body = content(body);
    Observed {
        text: if body.is_empty() { text } else { text + " " + &body },
        detail: header("content-type").map(str::to_owned),
    }
}

/// The trace id in the body of an answer.
pub fn trace_id(body: &[u8]) -> Option<String> {
    let body = serde_json::from_slice::<Value>(body).ok()?;
    body.get("traceId")?.as_str().map(str::to_owned)
}

/// A text without what differs at each run.
#[must_use]
pub fn normalised(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest
            .find(|it: char| !(it.is_ascii_alphanumeric() || it == '-' || it == '.'))
            .unwrap_or(rest.len());
        if end == 0 {
            result.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        result.push_str(kind(word).unwrap_or(word));
        rest = after;
    }
    result
}

fn kind(word: &str) -> Option<&'static str> {
    let is = |lengths: &[usize], separator: char| {
        let parts = word.split(separator).collect::<Vec<_>>();
        parts.iter().map(|part| part.len()).eq(lengths.iter().copied())
            && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    match word.len() {
        36 if is(&[8, 4, 4, 4, 12], '-') => Some("UUID"),
        64 if is(&[64], '-') => Some("SHA256"),
        10 if digits && word.starts_with(['1', '2']) => Some("SECONDS"),
        13 if digits && word.starts_with(['1', '2']) => Some("MILLISECONDS"),
        _ if word.parse::<std::net::Ipv4Addr>().is_ok() => Some("IP"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_any_text_where_it_says_so() {
        let cases = [
            ("a", "a", true),
            ("a", "ab", false),
            ("…", "", true),
            ("a…", "abc", true),
            ("a…c", "abc", true),
            ("a…c", "acb", false),
            ("…b…b", "ab", false),
            ("…b…b", "abb", true),
            ("a…a", "a", false),
        ];
        for (pattern, text, is) in cases {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
        for (pattern, text, is) in
            [("{1..9} s", "9 s", true), ("{1..9} s", "10 s", false), ("{1..9} s", "x s", false)]
        {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
        assert!(Observed::plain("b".to_owned()).is("a | b"));
        let end = Observed::with_detail("end", "close_notify".to_owned());
        assert!(end.is("end") && end.is("end (close_notify)") && !end.is("end (reset)"));
    }

    #[test]
    fn what_differs_at_each_run_is_replaced_by_its_kind() {
        let uuid = "0b0c3a3e-5b0e-4f5a-9d0a-0c1b2d3e4f50";
        assert_eq!(normalised(&format!("CONNACK:no:{uuid}")), "CONNACK:no:UUID");
        assert_eq!(
            normalised(r#"{"timestamp":1700000000,"t":1700000000123,"v":12}"#),
            r#"{"timestamp":SECONDS,"t":MILLISECONDS,"v":12}"#
        );
        assert_eq!(
            normalised(&format!("$GEN/{uuid} é 127.0.0.1 {}", "ab".repeat(32))),
            "$GEN/UUID é IP SHA256"
        );
        assert_eq!(alert_name(AlertDescription::UnrecognisedName), "unrecognized_name");
        assert_eq!(alert_name(AlertDescription::NoApplicationProtocol), "no_application_protocol");
    }
}
