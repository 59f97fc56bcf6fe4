//! The same decisions, made the plainest way: from the policy's JSON, by recursion, with everything written out.

use std::net::IpAddr;

use iot_policy::{Certificate, CertificateField, Context, NameAttribute, Party, Scope, Thing};
use serde_json::Value;

use crate::generators::{ACCOUNT, Ask, PARTITION, REGION};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Denied,
    NotAllowed,
}

/// What is known of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) client_id: Option<String>,
    pub(crate) source_ip: Option<String>,
    pub(crate) domain_name: Option<String>,
    pub(crate) persistent_session: bool,
    pub(crate) last_will_topic: Option<String>,
    pub(crate) time: Option<u64>,
    /// A thing's name and its attribute `room`.
    pub(crate) thing: Option<(String, Option<String>)>,
    pub(crate) thing_attached: Option<bool>,
    /// The common names of the certificate's subject.
    pub(crate) common_names: Vec<String>,
}

impl Connection {
    pub(crate) fn unknown() -> Self {
        Self {
            client_id: None,
            source_ip: None,
            domain_name: None,
            persistent_session: false,
            last_will_topic: None,
            time: None,
            thing: None,
            thing_attached: None,
            common_names: Vec::new(),
        }
    }

    pub(crate) fn context(&self, scope: &Scope) -> Context {
        let mut context = Context::empty();
        if let Some(client_id) = &self.client_id {
            context = context.with_client_id(client_id);
        }
        if let Some(source_ip) = self.source_ip.as_ref().and_then(|address| address.parse().ok()) {
            context = context.with_source_ip(source_ip);
        }
        if let Some(domain_name) = &self.domain_name {
            context = context.with_domain_name(domain_name);
        }
        if self.persistent_session {
            context = context.with_persistent_session();
        }
        if let Some(topic) = &self.last_will_topic {
            context = context.with_last_will(scope, topic);
        }
        if let Some(time) = self.time {
            context = context.with_time(time);
        }
        if let Some((name, room)) = &self.thing {
            let thing = room.iter().fold(Thing::new(name), |thing, room| thing.with_attribute("room", room));
            context = context.with_thing(thing);
        }
        if let Some(attached) = self.thing_attached {
            context = context.with_thing_attached(attached);
        }
        let common_name = CertificateField::Name(Party::Subject, NameAttribute::CommonName);
        let names = self.common_names.iter();
        let certificate = names.fold(Certificate::empty(), |known, name| known.with(common_name, name));
        context = context.with_certificate(certificate);
        context
    }

    fn values(&self, key: &str) -> Vec<String> {
        match key {
            "iot:ClientId" => self.client_id.clone().into_iter().collect(),
            "aws:SourceIp" => self.source_ip.clone().into_iter().collect(),
            "iot:DomainName" => self.domain_name.clone().into_iter().collect(),
            "iot:LastWillTopic" => self.last_will_topic.iter().map(|topic| arn("topic", topic)).collect(),
            "aws:CurrentTime" | "aws:EpochTime" => self.time.iter().map(ToString::to_string).collect(),
            "iot:Connection.Thing.ThingName" => self.thing.iter().map(|(name, _)| name.clone()).collect(),
            "iot:Connection.Thing.Attributes[room]" => {
                self.thing.iter().filter_map(|(_, room)| room.clone()).collect()
            }
            "iot:Connection.Thing.IsAttached" => {
                self.thing_attached.iter().map(ToString::to_string).collect()
            }
            "iot:Certificate.Subject.CommonName" => self.common_names.iter().take(1).cloned().collect(),
            "iot:Certificate.Subject.CommonName.1" => {
                self.common_names.iter().skip(1).take(1).cloned().collect()
            }
            "iot:Certificate.Subject.CommonName.List" => self.common_names.clone(),
            _ => {
                let mut attributes = Vec::new();
                if self.persistent_session {
                    attributes.push("PersistentConnect".to_owned());
                }
                if self.last_will_topic.is_some() {
                    attributes.push("LastWill".to_owned());
                }
                attributes
            }
        }
    }
}

pub(crate) fn decide(policies: &[Value], connection: &Connection, ask: &Ask) -> Verdict {
    let statements =
        || policies.iter().flat_map(|policy| policy["Statement"].as_array().into_iter().flatten());
    let applies = |effect: &str| {
        statements().any(|statement| statement["Effect"] == effect && is_about(statement, connection, ask))
    };
    match (applies("Deny"), applies("Allow")) {
        (true, _) => Verdict::Denied,
        (false, true) => Verdict::Allowed,
        (false, false) => Verdict::NotAllowed,
    }
}

fn is_about(statement: &Value, connection: &Connection, ask: &Ask) -> bool {
    let action = ask.action.as_str().to_lowercase();
    let resource = arn(ask.action.resource_kind().as_str(), &ask.name);
    let nobody = Connection::unknown();
    let is_named =
        |key| strings(&statement[key]).any(|pattern| like(&pattern.to_lowercase(), &action, true, &nobody));
    let is_matched = |key| strings(&statement[key]).any(|pattern| like(pattern, &resource, true, connection));
    let says = |key| statement.get(key).is_some();
    let is_known = |pattern: &str| signs(pattern, true, connection).is_some();
    let all_known = || strings(&statement["NotResource"]).all(is_known);
    (if says("NotAction") { !is_named("NotAction") } else { is_named("Action") })
        && (if says("NotResource") { !is_matched("NotResource") } else { is_matched("Resource") })
        && (statement["Effect"] == "Deny" || all_known())
        && statement["Condition"].as_object().into_iter().flatten().all(|(operator, block)| {
            block.as_object().into_iter().flatten().all(|(key, values)| {
                let values: Vec<&str> = strings(values).collect();
                is_met(&statement["Effect"], operator, key, &values, connection)
            })
        })
}

fn is_met(effect: &Value, operator: &str, key: &str, wanted: &[&str], connection: &Connection) -> bool {
    let unless_it_allows = effect == "Deny";
    let given = connection.values(key);
    if given.is_empty() && key.ends_with("Time") {
        return unless_it_allows;
    }
    if operator == "Null" {
        return wanted.contains(&if given.is_empty() { "true" } else { "false" });
    }
    let (set, name) = operator.split_once(':').unwrap_or(("", operator));
    if given.is_empty() && name.ends_with("IfExists") {
        return set != "ForAnyValue" || unless_it_allows;
    }
    let name = name.trim_end_matches("IfExists");
    let positive = name.replace("Not", "");
    let matches =
        |value: &String| wanted.iter().any(|pattern| compare(&positive, pattern, value, connection));
    let met = |value: &String| matches(value) == (name == positive);
    match set {
        "ForAllValues" => given.iter().all(met),
        "ForAnyValue" => given.iter().any(met),
        _ if given.is_empty() => name != positive,
        _ => given.len() == 1 && given.iter().all(met),
    }
}

fn compare(name: &str, pattern: &str, value: &str, connection: &Connection) -> bool {
    let seconds = || (seconds(value), seconds(pattern));
    match name.trim_start_matches("Date").trim_start_matches("Numeric") {
        "StringEquals" => like(pattern, value, false, connection),
        "StringEqualsIgnoreCase" => signs(pattern, false, connection).is_some_and(|signs| {
            let plain =
                signs.into_iter().filter_map(|sign| if let Sign::Plain(c) = sign { Some(c) } else { None });
            plain.collect::<String>().to_lowercase() == value.to_lowercase()
        }),
        "StringLike" => like(pattern, value, true, connection),
        "ArnEquals" | "ArnLike" => {
            let (patterns, values) = (pattern.splitn(6, ':'), value.splitn(6, ':'));
            patterns.zip(values).all(|(pattern, value)| like(pattern, value, true, connection))
        }
        "Bool" => pattern == value,
        "IpAddress" => is_in(pattern, value),
        "Equals" => seconds().0 == seconds().1,
        "LessThan" => seconds().0 < seconds().1,
        "LessThanEquals" => seconds().0 <= seconds().1,
        "GreaterThan" => seconds().0 > seconds().1,
        "GreaterThanEquals" => seconds().0 >= seconds().1,
        other => panic!("no operator `{other}`"),
    }
}

/// Seconds since 1970, given so or in 1970's first minute.
fn seconds(text: &str) -> u64 {
    text.trim_start_matches("1970-01-01T00:00:").trim_end_matches('Z').parse().unwrap()
}

fn is_in(network: &str, address: &str) -> bool {
    let (first, length) = network.split_once('/').unwrap_or((network, "32"));
    let (first, address) = (bits(first), bits(address));
    let length = length.parse().unwrap();
    first.len() == address.len() && first.chars().zip(address.chars()).take(length).all(|(a, b)| a == b)
}

/// An address as zeros and ones.
fn bits(address: &str) -> String {
    match address.parse().unwrap() {
        IpAddr::V4(address) => format!("{:032b}", address.to_bits()),
        IpAddr::V6(address) => format!("{:0128b}", address.to_bits()),
    }
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    let one = value.as_str();
    one.into_iter().chain(value.as_array().into_iter().flatten().filter_map(Value::as_str))
}

fn arn(kind: &str, name: &str) -> String {
    format!("arn:{PARTITION}:iot:{REGION}:{ACCOUNT}:{kind}/{name}")
}

/// One character of a pattern, variables written out.
#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Plain(char),
    AnyOne,
    AnyRun,
}

fn like(pattern: &str, text: &str, wild: bool, connection: &Connection) -> bool {
    let Some(signs) = signs(pattern, wild, connection) else { return false };
    signs_match(&signs, &text.chars().collect::<Vec<_>>())
}

/// The pattern with every variable written out, or nothing if one has no value.
fn signs(pattern: &str, wild: bool, connection: &Connection) -> Option<Vec<Sign>> {
    if pattern.is_empty() {
        return Some(Vec::new());
    }
    if let Some((name, rest)) = pattern.strip_prefix("${").and_then(|rest| rest.split_once('}')) {
        let value = match name {
            "*" | "?" | "$" => name.to_owned(),
            name => connection.values(name).pop()?,
        };
        if name.starts_with("iot:Certificate.") && value.contains(['*', '$', '+', '?', '#']) {
            return None;
        }
        let value = value.chars().map(Sign::Plain);
        return Some(value.chain(signs(rest, wild, connection)?).collect());
    }
    let mut chars = pattern.chars();
    let first = match chars.next()? {
        '*' if wild => Sign::AnyRun,
        '?' if wild => Sign::AnyOne,
        c => Sign::Plain(c),
    };
    Some([first].into_iter().chain(signs(chars.as_str(), wild, connection)?).collect())
}

fn signs_match(signs: &[Sign], text: &[char]) -> bool {
    match (signs, text) {
        ([], []) => true,
        ([Sign::AnyRun, signs @ ..], _) => {
            (0..=text.len()).any(|taken| text.get(taken..).is_some_and(|text| signs_match(signs, text)))
        }
        ([Sign::AnyOne, signs @ ..], [_, text @ ..]) => signs_match(signs, text),
        ([Sign::Plain(sign), signs @ ..], [c, text @ ..]) => sign == c && signs_match(signs, text),
        _ => false,
    }
}
