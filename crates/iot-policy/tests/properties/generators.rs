//! Small policies, connections and requests that meet often.

use iot_policy::Action;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::twin::Connection;

pub(crate) const PARTITION: &str = "aws";
pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const ACCOUNT: &str = "123456789012";

/// What a connection asks for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) action: Action,
    pub(crate) name: String,
}

pub(crate) fn ask() -> impl Strategy<Value = Ask> {
    (prop::sample::select(&Action::ALL[..]), name()).prop_map(|(action, name)| Ask { action, name })
}

/// A client id, topic or topic filter that looks like a pattern more often than not.
pub(crate) fn name() -> impl Strategy<Value = String> {
    pieces(&["a", "b", "A", "/", "+", "#", "*", "?", "$", "é", ":", "${iot:ClientId}"], 5)
}

pub(crate) fn connection() -> impl Strategy<Value = Connection> {
    let addresses = ["192.0.2.1", "192.0.2.77", "198.51.100.1", "2001:db8::1", "2001:db8:1::"];
    let address = prop::option::of(prop::sample::select(addresses.to_vec()));
    let domain_name = prop::option::of(pieces(&["a", "b", "."], 2));
    let basic = (prop::option::of(name()), address, domain_name, any::<bool>(), prop::option::of(name()));
    let time = prop::option::of(0_u64..6);
    (basic, time, registered()).prop_map(|(basic, time, (thing, thing_attached, common_names))| {
        let (client_id, source_ip, domain_name, persistent_session, last_will_topic) = basic;
        Connection {
            client_id,
            source_ip: source_ip.map(str::to_owned),
            domain_name,
            persistent_session,
            last_will_topic,
            time,
            thing,
            thing_attached,
            common_names,
        }
    })
}

/// A thing with its attribute, whether it is attached, and a certificate's common names.
type Registered = (Option<(String, Option<String>)>, Option<bool>, Vec<String>);

fn registered() -> impl Strategy<Value = Registered> {
    let thing = prop::option::of((name(), prop::option::of(name())));
    (thing, any::<Option<bool>>(), prop::collection::vec(name(), 0..3))
}

pub(crate) fn policies() -> impl Strategy<Value = Vec<Value>> {
    let effect = prop_oneof![3 => Just("Allow"), 1 => Just("Deny")];
    let policy = prop::collection::vec(effect.prop_flat_map(statement), 1..4).prop_map(|list| policy(&list));
    prop::collection::vec(policy, 0..3)
}

pub(crate) fn policy_of(effect: &'static str) -> impl Strategy<Value = Value> {
    prop::collection::vec(statement(effect), 1..3).prop_map(|list| policy(&list))
}

/// A policy that allows everything on one resource.
pub(crate) fn allow(resource: &str) -> Value {
    policy(&[json!({"Effect": "Allow", "Action": "*", "Resource": resource})])
}

pub(crate) fn resource() -> impl Strategy<Value = String> {
    let scope = prop::sample::select(&["arn:aws:iot:eu-west-1:123456789012:", "arn:aws:iot:*:*:"][..]);
    let kind = prop::sample::select(&["client/", "topic/", "topicfilter/", "topic", "*"][..]);
    let named = (scope, kind, pattern()).prop_map(|(scope, kind, pattern)| format!("{scope}{kind}{pattern}"));
    prop_oneof![1 => Just("*".to_owned()), 12 => named]
}

/// Text to break a policy with.
pub(crate) fn patch() -> impl Strategy<Value = String> {
    pieces(&["\"", "{", "}", "[", "]", ",", ":", "$", "${", "*", "é", "\\", "\\u0045", "null", " ", "\0"], 4)
}

/// A condition with any text in its value's place, or near to what its operator takes.
pub(crate) fn odd_condition() -> impl Strategy<Value = Value> {
    let odd = prop_oneof![
        any::<String>(),
        "[0-9a-f:./]{0,20}",
        "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})",
        "[0-9TZé:+.-]{0,24}",
        "\\$\\{iot:(Certificate|Connection\\.Thing)\\.[A-Za-zé.\\[\\]0-9]{0,20}\\}",
    ];
    (comparison(), odd).prop_map(|((operator, key, _), value)| json!({operator: {key: value}}))
}

/// JSON of any shape, with keys that policies have.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        name().prop_map(Value::String),
        Just(json!("2012-10-17")),
    ];
    let keys = [
        "Version",
        "Statement",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
        "Null",
        "ForAllValues:DateLessThanIfExists",
        "aws:EpochTime",
    ];
    leaf.prop_recursive(40, 64, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec((one_of(&keys), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn policy(statements: &[Value]) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn statement(effect: &'static str) -> impl Strategy<Value = Value> {
    let action = prop::sample::select(
        &["*", "iot:*", "iot:Connect", "iot:*Publish", "iot:re*", "iot:Subscribe", "iot:Pub?ish"][..],
    );
    let actions = prop::collection::vec(action, 1..3);
    let resources = prop::collection::vec(resource(), 1..3);
    let conditions = prop::option::weighted(0.4, condition(effect));
    let which = || prop_oneof![4 => Just(""), 1 => Just("Not")];
    let keys = (which(), which());
    (keys, actions, resources, conditions).prop_map(move |(keys, actions, resources, condition)| {
        let (action, resource) = (format!("{}Action", keys.0), format!("{}Resource", keys.1));
        let mut statement = json!({"Effect": effect, action: actions, resource: resources});
        if let Some(condition) = condition {
            statement["Condition"] = condition;
        }
        statement
    })
}

fn condition(effect: &'static str) -> impl Strategy<Value = Value> {
    let quantifier = prop::sample::select(&["", "ForAllValues:", "ForAnyValue:"][..]);
    let suffix = prop_oneof![3 => Just(""), 1 => Just("IfExists")];
    (quantifier, comparison(), suffix).prop_map(move |(quantifier, (operator, key, values), suffix)| {
        let (quantifier, suffix) = if operator == "Null" { ("", "") } else { (quantifier, suffix) };
        let refused = effect == "Deny" && SETS.contains(&key) && quantifier.is_empty() && operator != "Null";
        let quantifier = if refused { "ForAnyValue:" } else { quantifier };
        let mut block = Map::new();
        block.insert(key.to_owned(), json!(values));
        let mut condition = Map::new();
        condition.insert(format!("{quantifier}{operator}{suffix}"), Value::Object(block));
        Value::Object(condition)
    })
}

/// The keys that can have several values.
const SETS: [&str; 2] = ["iot:ConnectAttributes", "iot:Certificate.Subject.CommonName.List"];

/// An operator, a key that it can compare, and values.
fn comparison() -> impl Strategy<Value = (String, &'static str, Vec<String>)> {
    let text = prop_oneof![
        4 => pattern(),
        1 => one_of(&["PersistentConnect", "lastwill", "LastWill", "TRUE"]),
    ];
    let scope =
        one_of(&["arn:aws:iot:eu-west-1:123456789012:topic/", "arn:*:iot:*-1:*:topic/", "*:*:*:*:*:t*/"]);
    let arn = (scope, pattern()).prop_map(|(scope, pattern)| format!("{scope}{pattern}"));
    let networks = ["192.0.2.0/24", "192.0.2.1", "192.0.2.64/26", "0.0.0.0/0", "::/0", "2001:db8::/47"];
    let moment = prop_oneof!["[0-5]", "1970-01-01T00:00:0[0-5]Z"];
    let truth = || one_of(&["true", "false"]);
    prop_oneof![
        6 => compared("String", STRINGS, TEXTS, text),
        1 => compared("Arn", &["Equals", "Like", "NotEquals", "NotLike"], &["iot:LastWillTopic"], arn),
        1 => compared("", &["Bool"], &["iot:Connection.Thing.IsAttached"], truth()),
        1 => compared("", &["Null"], TEXTS, truth()),
        1 => compared("", &["IpAddress", "NotIpAddress"], &["aws:SourceIp"], one_of(&networks)),
        1 => compared("Date", ORDERS, &["aws:CurrentTime", "aws:EpochTime"], moment),
        1 => compared("Numeric", ORDERS, &["aws:EpochTime"], "[0-5]"),
    ]
}

const STRINGS: &[&str] =
    &["Equals", "NotEquals", "Like", "NotLike", "EqualsIgnoreCase", "NotEqualsIgnoreCase"];

const ORDERS: &[&str] =
    &["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"];

const TEXTS: &[&str] = &[
    "iot:ClientId",
    "aws:SourceIp",
    "iot:DomainName",
    "iot:LastWillTopic",
    "iot:ConnectAttributes",
    "iot:Connection.Thing.ThingName",
    "iot:Connection.Thing.Attributes[room]",
    "iot:Connection.Thing.IsAttached",
    "iot:Certificate.Subject.CommonName",
    "iot:Certificate.Subject.CommonName.List",
];

fn compared(
    family: &'static str,
    names: &'static [&'static str],
    keys: &'static [&'static str],
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = (String, &'static str, Vec<String>)> {
    let operator = prop::sample::select(names).prop_map(move |name| format!("{family}{name}"));
    (operator, prop::sample::select(keys), prop::collection::vec(value, 1..3))
}

fn one_of(texts: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    prop::sample::select(texts.to_vec()).prop_map(str::to_owned)
}

fn pattern() -> impl Strategy<Value = String> {
    let basic = ["${iot:ClientId}", "${aws:SourceIp}", "${iot:DomainName}", "${*}", "${?}", "${$}"];
    let registered = [
        "${iot:Connection.Thing.ThingName}",
        "${iot:Connection.Thing.Attributes[room]}",
        "${iot:Connection.Thing.IsAttached}",
        "${iot:Certificate.Subject.CommonName}",
        "${iot:Certificate.Subject.CommonName.1}",
    ];
    let plain = ["a", "b", "A", "/", "+", "#", "$", "é", ":", "*", "*", "*", "?", "?"];
    pieces(&[&basic[..], &registered, &plain, &plain].concat(), 5)
}

fn pieces(from: &[&'static str], most: usize) -> impl Strategy<Value = String> + use<> {
    prop::collection::vec(prop::sample::select(from.to_vec()), 0..=most).prop_map(|pieces| pieces.concat())
}
