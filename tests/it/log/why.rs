//! `latchkey why`: the story of a connection from the log of a real gateway, and what it says if there is none.

use std::path::Path;

use integration::{
    devices,
    eventually::eventually,
    gateway_process::GatewayProcess,
    mqtt_client::{MqttClient, tls},
    programs::program,
    running::{Finished, Running},
};
use mqtt::{Disconnect, DisconnectReasonCode, Packet, QoS};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{refused, v5};

/// A topic filter that would turn the line around on a terminal.
const TURNED: &str = "\u{202e}a/\u{200b}b";

async fn why(folder: &Path, arguments: &[&str]) -> Finished {
    let mut command = Command::new(program("latchkey"));
    command.arg("why").args(arguments).arg("--log").arg(folder.join("events.jsonl")).current_dir(folder);
    Running::start(command).finish().await
}

/// The text with single spaces, whose lines have to fit 80 columns.
fn words(text: &str) -> String {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Waits until the log has this many lines with this text.
async fn logged(folder: &Path, text: &str, count: usize) {
    eventually(text, || {
        let log = std::fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
        (log.lines().filter(|line| line.contains(text)).count() >= count).then_some(())
    })
    .await;
}

/// A gateway with the devices `d1` and `d2`. Of `d1` it has seen a wrong password, and then a whole connection; of `d2` a
/// connect without a problem.
async fn gateway(folder: &Path) -> GatewayProcess {
    let gateway = GatewayProcess::start(folder, "latchkey-authorizer", true, &[]).await;
    for name in ["d1", "d2"] {
        devices::add(folder, name, "sht20", b"right");
    }
    refused(&gateway, v5("d1", "d1", "wrong")).await;
    let (mut client, _) = MqttClient::connect(&gateway, v5("d1", "d1", "right")).await;
    client.subscribe(&["sensor/d1/temperature", TURNED], QoS::AtMostOnce).await.unwrap();
    client.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
    client.closed().await;
    let (mut client, _) = MqttClient::connect(&gateway, v5("d2", "d2", "right")).await;
    client.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
    client.closed().await;
    drop(tls(&gateway, "elsewhere", &["mqtt"]).await.unwrap_err());
    logged(folder, "\"Disconnect\"", 2).await;
    logged(folder, "SNI_MISUSED", 1).await;
    logged(folder, "wrong_password", 1).await;
    gateway
}

#[tokio::test]
async fn story_has_each_step_with_its_cause_and_its_cure_and_the_exit_code_says_whether_there_was_a_problem()
{
    let folder = tempfile::tempdir().unwrap();
    let _gateway = gateway(folder.path()).await;

    let told = why(folder.path(), &["d1", "--last", "2"]).await;
    assert_eq!(told.code, Some(1), "{}", told.err());
    let text = words(&told.out());
    let steps = [
        "d1 from 127.0.0.1",
        "tls TLSv1_3, server name (SNI) `localhost`, ALPN `mqtt`",
        "door AWS's port 443: MQTT, CUSTOM_AUTH, domain `iot:Data-ATS`",
        "decision wrong_password",
        "refused NOT_AUTHENTICATED",
        "d1 from 127.0.0.1",
        "decision allow, grant `sht20`, 1 policy document",
        "authorizer `latchkey` let the client in",
        "policies iot:Publish on `topic/sensor/d1/temperature`",
        "connected keep-alive 60 s, the session ends with the connection",
        "denied AUTHORIZATION_FAILURE",
        "subscribed sensor/d1/temperature",
        "disconnected CLIENT_INITIATED_DISCONNECT",
    ];
    let mut rest = &*text;
    for step in steps {
        let at = rest.find(step).unwrap_or_else(|| panic!("no `{step}` in {rest}\n{}", told.out()));
        rest = &rest[at + step.len()..];
    }
    assert!(
        text.contains(
            "decision wrong_password no verifier that is not expired matches the password; check the"
        )
    );
    assert!(text.contains("\\u202ea/\\u200bb") && !told.out().contains(['\u{202e}', '\u{200b}']));

    let told = why(folder.path(), &["d2"]).await;
    assert_eq!((told.code, told.out().matches("  connection  ").count()), (Some(0), 1), "{}", told.out());

    let told = why(folder.path(), &["d1", "--json", "--last", "9"]).await;
    let json = serde_json::from_str::<Value>(&told.out()).unwrap();
    let reasons = json["attempts"].as_array().unwrap().iter().map(|attempt| {
        let steps = attempt["steps"].as_array().unwrap();
        let problem = steps.iter().find(|step| step["problem"] == true && step["step"] != "refused");
        problem.map(|step| step["reason"].as_str().unwrap().to_owned())
    });
    let expected = ["wrong_password", "AUTHORIZATION_FAILURE"].map(|reason| Some(reason.to_owned()));
    assert_eq!(reasons.collect::<Vec<_>>(), expected, "{json}");
    assert!(!told.out().contains(['\u{202e}', '\u{200b}']));

    // The terminal shows the beginning of the id, and a connection without a client id has an address only.
    let id = json["attempts"][0]["connection_id"].as_str().unwrap();
    let told = why(folder.path(), &[&id[..13].to_uppercase()]).await;
    assert!(told.code == Some(1) && told.out().contains(id), "{}", told.out());
    let told = why(folder.path(), &["127.0.0.1"]).await;
    assert!(told.code == Some(1) && words(&told.out()).contains("refused SNI_MISUSED"), "{}", told.out());
}

#[tokio::test]
async fn subject_that_is_not_there_has_a_code_of_its_own_and_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path()).await;
    for (arguments, hint) in [
        (&["d3"][..], "similar names are `d1`, `d2`; a connection from 127.0.0.1 ended before its CONNECT"),
        (&["\u{202e}x"], "has no connection of `\\u202ex`"),
        (&["ffffffff"], "has no connection of `ffffffff`"),
        (&["d1", "--since", "0s"], "has no connection of `d1` in this time"),
    ] {
        let told = why(folder.path(), arguments).await;
        assert_eq!((told.code, told.out()), (Some(2), String::new()), "{arguments:?}");
        assert!(told.err().contains(hint) && !told.err().contains('\u{202e}'), "{}", told.err());
    }
    let told = why(folder.path(), &["d3", "--json"]).await;
    assert_eq!((told.code, told.out().trim()), (Some(2), r#"{"attempts":[],"subject":"d3"}"#));
    drop(gateway);
    let elsewhere = tempfile::tempdir().unwrap();
    let told = why(elsewhere.path(), &["d1"]).await;
    assert_eq!(told.code, Some(64));
    assert!(told.err().contains("run this in the folder of `latchkey local`"), "{}", told.err());
}

#[tokio::test]
async fn steps_have_the_words_of_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let events = [
        ("SendDirectMessage", "Success", None, "sent"),
        ("SendDirectMessage", "Failure", Some("CLIENT_ERROR"), "denied"),
        ("Publish-In", "Failure", Some("THROTTLED"), "throttled"),
        ("Publish-Out", "Failure", Some("NOT_ACKNOWLEDGED"), "dropped"),
    ];
    let log = events.map(|(event_type, status, reason, _)| {
        let id = "9c1d3f5e-0000-4000-8000-000000000000";
        let line = json!({
            "eventType": event_type, "status": status, "reason": reason, "clientId": "d1", "connectionId": id,
        });
        format!("{line}\n")
    });
    std::fs::write(folder.path().join("events.jsonl"), log.concat()).unwrap();
    let told = why(folder.path(), &["d1", "--json"]).await;
    let json = serde_json::from_str::<Value>(&told.out()).unwrap();
    let steps = json["attempts"][0]["steps"].as_array().unwrap().iter().map(|step| step["step"].clone());
    assert_eq!(steps.collect::<Vec<_>>(), events.map(|(.., word)| word), "{json}");
}

/// Lines that are cut, too long, or not JSON are passed over, and a connection with thousands of lines keeps its first and
/// its last ones.
#[tokio::test]
async fn large_log_and_lines_that_can_not_be_used_are_read_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let line = |n: usize| {
        format!(
            "{{\"timestamp\":\"2026-11-30 01:00:{:02}.000\",\"eventType\":\"Subscribe\",\"status\":\"Success\",\
             \"topicName\":\"t{n}\",\"clientId\":\"d1\",\"connectionId\":\"9c1d3f5e-0000-4000-8000-000000000000\"}}\n",
            n / 100
        )
    };
    let mut log = (0..5_000).map(line).collect::<String>();
    log.extend(["{\"clientId\":\"d1\",\"connectionId\":\"", &"x".repeat(100_000), "\"}\n"]);
    log += "not JSON of d1\n\u{0}\n{\"clientId\":\"d1\",\"conn";
    std::fs::write(folder.path().join("events.jsonl"), log).unwrap();
    let told = why(folder.path(), &["d1", "--last", "100"]).await;
    let text = words(&told.out());
    assert_eq!(told.code, Some(0), "{}", told.err());
    for part in ["subscribed t49 ", "… 4900 steps are left out", "subscribed t4950 ", "subscribed t4999"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("subscribed t50 ") && told.out().lines().count() < 110, "{text}");
}
