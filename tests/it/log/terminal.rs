//! The lines on the terminal of `latchkey local`: one for each attempt, with its cause and its cure.

use std::path::Path;

use integration::{
    devices,
    eventually::eventually,
    gateway_process::GatewayProcess,
    mqtt_client::{MqttClient, tls},
    script::{self, Script, Step, allow},
};
use mqtt::{Packet, Publish, QoS};
use serde_json::json;

use super::{refused, v5};

/// The columns of a line where there is no terminal.
const COLUMNS: usize = 80;
/// A further line of an event begins with this.
const CONTINUED: &str = "                 ";

/// The terminal's lines so far: each event as its words with single spaces, without time and connection.
fn events(gateway: &GatewayProcess) -> Vec<String> {
    let text = gateway.terminal();
    let mut events = Vec::<String>::new();
    for line in text.lines() {
        assert!(line.chars().count() <= COLUMNS, "{line}");
        match line.strip_prefix(CONTINUED) {
            Some(rest) => events.last_mut().unwrap().extend([" ", rest]),
            None => events.push(line.get(CONTINUED.len()..).unwrap_or_default().to_owned()),
        }
    }
    events.iter().map(|event| event.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Waits for the event that comes after `before` others.
async fn event(gateway: &GatewayProcess, what: &str, before: usize) -> String {
    eventually(what, || events(gateway).get(before).cloned()).await
}

#[tokio::test]
async fn refusal_is_one_event_with_the_device_the_reason_the_cause_and_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = GatewayProcess::start(folder.path(), "latchkey-authorizer", false, &[]).await;
    for name in ["d1", "gone"] {
        devices::add(folder.path(), name, "own-topics", b"right");
    }
    devices::disable(folder.path(), "gone");
    let cases = [
        (
            v5("d1", "d1", "wrong"),
            "refused d1 wrong_password no verifier that is not expired matches the password; check",
        ),
        (
            v5("d2", "d2", "right"),
            "refused d2 unknown_device no record has this name; `latchkey fleet add NAME` adds one",
        ),
        (
            v5("gone", "gone", "right"),
            "refused gone device_disabled the record is disabled; `latchkey fleet enable NAME`",
        ),
        (
            v5("other", "d1", "right"),
            "refused d1 as other client_id_not_allowed no rule of the record allows the client id",
        ),
        (v5("other", "d1", "right"), "; the record allows `d1`"),
        (v5("d1", "", "right"), "refused d1 no_user_name the user name is missing"),
        (
            v5("d1", "d1?x-amz-customauthorizer-name=nobody", "right"),
            "should read `?x-amz-customauthorizer-name=latchkey`",
        ),
        (
            v5("$GEN/1", "d1", "right"),
            "refused 127.0.0.1 CLIENT_ERROR a client id that begins with `$GEN/` is assigned",
        ),
    ];
    for (before, (connect, expected)) in cases.into_iter().enumerate() {
        refused(&gateway, connect).await;
        let event = event(&gateway, expected, before).await;
        assert!(event.contains(expected), "{event}\n{expected}");
    }
    // A connection that is refused before the function is asked has its line at once, so nothing else is held back now.
    drop(tls(&gateway, "elsewhere", &["mqtt"]).await.unwrap_err());
    let last = event(&gateway, "the name that the certificate does not have", 8).await;
    assert!(last.starts_with("refused 127.0.0.1 SNI_MISUSED"), "{last}");
    assert_eq!(events(&gateway).len(), 9, "{}", gateway.terminal());
}

fn scripted(folder: &Path, step: &Step) -> (Script, String) {
    let script = Script::new(folder, step);
    let path = script.path().display().to_string();
    (script, path)
}

#[tokio::test]
async fn function_that_writes_no_decision_line_has_one_event_that_points_to_none() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = json!({"isAuthenticated": false});
    let (script, path) = scripted(folder.path(), &Step::Answer(refusal.clone()));
    let variables = [(script::VARIABLE, path.as_str())];
    let gateway = GatewayProcess::start(folder.path(), "scripted-function", false, &variables).await;
    let steps = [
        (
            Step::Answer(refusal),
            "refused c NOT_AUTHENTICATED the function answered `isAuthenticated: false`;",
        ),
        (
            Step::Answer(json!({"isAuthorized": true})),
            "`isAuthenticated` is absent; the answer has `isAuthorized`",
        ),
        (
            Step::Answer(json!({"isAuthenticated": "true"})),
            "`isAuthenticated` is the string `\"true\"`, and AWS wants",
        ),
        (
            Step::Crash,
            "the authorizer ended during the call with exit status: 3; its own lines before this one",
        ),
        (
            Step::Answer(allow(&[("Allow", "iot:Connect", "client/x")])),
            "iot:Connect denied: no statement allows",
        ),
    ];
    for (before, (step, expected)) in steps.into_iter().enumerate() {
        script.set(&step);
        refused(&gateway, v5("c", "u", "p")).await;
        let event = event(&gateway, expected, before).await;
        assert!(event.contains(expected) && !event.contains("decision"), "{event}\n{expected}");
    }
}

#[tokio::test]
async fn denied_topic_is_one_event_with_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = GatewayProcess::start(folder.path(), "latchkey-authorizer", false, &[]).await;
    for name in ["d1", "d2"] {
        devices::add(folder.path(), name, "sht20", b"right");
    }
    let (mut client, _) = MqttClient::connect(&gateway, v5("d1", "d1", "right")).await;
    client.send(Packet::Publish(Publish::new("sensor/d9/temperature".parse().unwrap(), "1"))).await;
    // A message that is not allowed ends the connection.
    client.closed().await;
    let (mut client, _) = MqttClient::connect(&gateway, v5("d2", "d2", "right")).await;
    client.subscribe(&["#"], QoS::AtMostOnce).await.unwrap();
    for (before, expected) in [
        "connected d1",
        "denied d1 sensor/d9/temperature AUTHORIZATION_FAILURE iot:Publish denied: no statement allows: it is allowed on \
         `topic/sensor/d1/temperature`",
        "disconnected d1 AUTH_ERROR",
        "connected d2",
        "denied d2 # AUTHORIZATION_FAILURE iot:Subscribe denied: no statement allows: it is allowed on \
         `topicfilter/sensor/d2/temperature`",
    ]
    .into_iter()
    .enumerate()
    {
        let event = event(&gateway, expected, before).await;
        assert!(event.starts_with(expected), "{event}\n{expected}");
    }
}
