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
    pieces(&["a", "b", "/", "+", "#", "*", "?", "$", "é", ":", "${iot:ClientId}"], 5)
}

pub(crate) fn connection() -> impl Strategy<Value = Connection> {
    let address = prop::option::of(prop::sample::select(&["192.0.2.1", "2001:db8::1"][..]));
    let domain_name = prop::option::of(pieces(&["a", "b", "."], 2));
    let basic = (prop::option::of(name()), address, domain_name, any::<bool>(), prop::option::of(name()));
    (basic, registered()).prop_map(|(basic, (thing, thing_attached, common_names))| {
        let (client_id, source_ip, domain_name, persistent_session, last_will_topic) = basic;
        Connection {
            client_id,
            source_ip: source_ip.map(str::to_owned),
            domain_name,
            persistent_session,
            last_will_topic,
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
    let key =
        prop::sample::select(&["Version", "Statement", "Effect", "Action", "Resource", "Condition"][..]);
    leaf.prop_recursive(40, 64, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..4).prop_map(|members| Value::Object(
                members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
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
    (actions, resources, conditions).prop_map(move |(actions, resources, condition)| {
        let mut statement = json!({"Effect": effect, "Action": actions, "Resource": resources});
        if let Some(condition) = condition {
            statement["Condition"] = condition;
        }
        statement
    })
}

fn condition(effect: &'static str) -> impl Strategy<Value = Value> {
    let quantifier = prop::sample::select(&["", "ForAllValues:", "ForAnyValue:"][..]);
    (quantifier, comparison()).prop_map(move |(quantifier, (operator, key, values))| {
        let refused = effect == "Deny" && SETS.contains(&key) && quantifier.is_empty();
        let quantifier = if refused { "ForAnyValue:" } else { quantifier };
        let mut block = Map::new();
        block.insert(key.to_owned(), json!(values));
        let mut condition = Map::new();
        condition.insert(format!("{quantifier}{operator}"), Value::Object(block));
        Value::Object(condition)
    })
}

/// The keys that can have several values.
const SETS: [&str; 2] = ["iot:ConnectAttributes", "iot:Certificate.Subject.CommonName.List"];

/// An operator, a key that it can compare, and values.
fn comparison() -> impl Strategy<Value = (&'static str, &'static str, Vec<String>)> {
    let keys = [
        &["iot:ClientId", "aws:SourceIp", "iot:DomainName", "iot:LastWillTopic"][..],
        &["iot:Connection.Thing.ThingName", "iot:Connection.Thing.Attributes[room]"],
        &["iot:Connection.Thing.IsAttached", "iot:Certificate.Subject.CommonName"],
        &SETS,
    ];
    let text = prop_oneof![
        4 => pattern(),
        1 => prop::sample::select(&["PersistentConnect", "LastWill", "true"][..]).prop_map(Into::into)
    ];
    let texts = (
        prop::sample::select(&["StringEquals", "StringLike"][..]),
        prop::sample::select(keys.concat()),
        prop::collection::vec(text, 1..3),
    );
    let truth = prop::sample::select(&["true", "false"][..]).prop_map(str::to_owned);
    let truths = (Just("Bool"), Just("iot:Connection.Thing.IsAttached"), prop::collection::vec(truth, 1..3));
    prop_oneof![4 => texts, 1 => truths]
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
    let plain = ["a", "b", "/", "+", "#", "$", "é", ":", "*", "*", "*", "?", "?"];
    pieces(&[&basic[..], &registered, &plain, &plain].concat(), 5)
}

fn pieces(from: &[&'static str], most: usize) -> impl Strategy<Value = String> + use<> {
    prop::collection::vec(prop::sample::select(from.to_vec()), 0..=most).prop_map(|pieces| pieces.concat())
}
