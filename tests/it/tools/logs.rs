//! `latchkey fleet logs`, `stats` and `status`, the real program: on the gateway's log, and on CloudWatch's answers.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::Stdio,
    time::{Duration, SystemTime},
};

use integration::{
    cloud::outputs,
    eventually::eventually,
    fake_aws::{Act, FakeAws},
    mqtt_client::{MqttClient, connect},
    programs::program,
    running::{Finished, Running},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Packet, QoS, Version};
use serde_json::{Value, json};
use tokio::process::Command;

const HASH: &str = "$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po";

fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program("latchkey"));
    command.arg("fleet").args(words).current_dir(folder);
    for name in ["AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "LATCHKEY_STORE"] {
        command.env_remove(name);
    }
    let nothing = folder.join("no-such-file");
    command.env("AWS_CONFIG_FILE", &nothing).env("AWS_SHARED_CREDENTIALS_FILE", &nothing);
    command
}

async fn run(folder: &Path, words: &[&str]) -> Finished {
    Running::start(command(folder, words)).finish().await
}

/// What a command prints with `--json`, a value a line.
async fn json_lines(folder: &Path, words: &[&str]) -> Vec<Value> {
    let finished = run(folder, &[&["--json"], words].concat()).await;
    assert_eq!(finished.code, Some(0), "{words:?}: {}", finished.err());
    finished.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn refused(gateway: &TestGateway, client_id: &str, user_name: &str, password: &str) {
    let (mut client, _) =
        MqttClient::connect(gateway, connect(Version::V5, client_id, user_name, password)).await;
    client.closed().await;
}

/// A gateway on which much has happened, and its log in the file `events.jsonl`.
async fn eventful() -> TestGateway {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("hall-1", "sht20");
    gateway.add("hall-2", "sht20");
    gateway.change("hall-2", |record| record.enabled = false);
    gateway.add("hall-3", "sht20");
    let mut first =
        MqttClient::connected(&gateway, connect(Version::V5, "hall-1", "hall-1", &password)).await;
    let mut second =
        MqttClient::connected(&gateway, connect(Version::V5, "hall-1", "hall-1", &password)).await;
    first.closed().await;
    second.publish("sensor/other/temperature", "{}", QoS::AtLeastOnce).await;
    refused(&gateway, "hall-1", "hall-1", "wrong").await;
    refused(&gateway, "hall-1", "hall-1?x-amz-customauthorizer-name=nobody", &password).await;
    second
        .send(Packet::Disconnect(mqtt::Disconnect::new(mqtt::DisconnectReasonCode::NormalDisconnection)))
        .await;
    gateway.logged_with(&[("disconnectReason", "CLIENT_INITIATED_DISCONNECT")]).await;
    fs::write(gateway.folder.path().join("events.jsonl"), gateway.log.text()).unwrap();
    gateway
}

const LOG: [&str; 2] = ["--log", "events.jsonl"];

#[tokio::test]
async fn decisions_and_refusals_without_the_function_are_one_list() {
    let gateway = eventful().await;
    let folder = gateway.folder.path();
    let events = json_lines(folder, &["logs", LOG[0], LOG[1]]).await;
    let part = |event: &Value| {
        let text = |field: &str| event[field].as_str().unwrap_or("-").to_owned();
        [text("event"), text("outcome"), text("reason"), text("decided_by"), text("function")].join(" ")
    };
    let parts = events.iter().map(part).collect::<Vec<_>>();
    let mut expected = vec![
        "connect allow - function has_line",
        "connect allow - function has_line",
        "disconnect end DUPLICATE_CLIENTID aws_iot -",
        "publish deny AUTHORIZATION_FAILURE aws_iot -",
        "connect deny wrong_password function has_line",
        "connect deny CUSTOM_AUTHORIZER_NOT_FOUND aws_iot no_line",
        "disconnect end CLIENT_INITIATED_DISCONNECT aws_iot -",
    ];
    let mut sorted = parts.clone();
    sorted.sort();
    expected.sort_unstable();
    assert_eq!(sorted, expected, "{parts:?}");
    for event in events.iter().filter(|event| event["outcome"] == "deny") {
        let explanation = event["explanation"].as_str().unwrap();
        assert!(explanation.contains("; "), "a cause and a cure: {event}");
        assert!(event["connection_id"].is_string() && event["client_id"] == "hall-1", "{event}");
    }
    let times = events.iter().map(|event| event["time"].as_str().unwrap()).collect::<Vec<_>>();
    assert!(times.is_sorted(), "{times:?}");

    let denied =
        json_lines(folder, &["logs", "--outcome", "deny", "--device", "hall-1", LOG[0], LOG[1]]).await;
    assert_eq!(denied.len(), 3);
    assert!(json_lines(folder, &["logs", "--device", "hall-2", LOG[0], LOG[1]]).await.is_empty());
    let finished = run(folder, &["logs", "--since", "0s", LOG[0], LOG[1]]).await;
    assert!(finished.out.is_empty() && joined(&finished.err()).contains("`--since 7d` goes further back"));

    let finished = run(folder, &["logs", LOG[0], LOG[1]]).await;
    let text = finished.out();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let text = joined(&text);
    assert!(text.contains("CUSTOM_AUTHORIZER_NOT_FOUND (the function has no line)"), "{text}");
    assert!(
        text.contains("deny hall-1 from 127.0.0.1 publish sensor/other/temperature AUTHORIZATION_FAILURE"),
        "{text}"
    );
}

#[tokio::test]
async fn statistics_and_the_status_count_the_log_and_the_records() {
    let gateway = eventful().await;
    let folder = gateway.folder.path();
    let with = ["--store", "devices.json", LOG[0], LOG[1]];
    let [counts] = &json_lines(folder, &[&["stats"], &with[..]].concat()).await[..] else {
        panic!("one line")
    };
    assert_eq!((&counts["connects"], &counts["with_refreshes"]), (&json!(2), &json!(false)), "{counts}");
    let refusals = counts["refusals"].as_array().unwrap();
    let reasons = refusals.iter().map(|it| (it["reason"].as_str().unwrap(), &it["function_has_line"]));
    let mut reasons = reasons.collect::<Vec<_>>();
    reasons.sort_by_key(|(reason, _)| *reason);
    assert_eq!(
        reasons,
        [
            ("AUTHORIZATION_FAILURE", &json!(true)),
            ("CUSTOM_AUTHORIZER_NOT_FOUND", &json!(false)),
            ("wrong_password", &json!(true)),
        ]
    );
    assert_eq!(counts["takeovers"], json!([{"client_id": "hall-1", "count": 1}]));
    assert_eq!(counts["not_seen"], json!(["hall-3"]));

    let [state] = &json_lines(folder, &[&["status"], &with[..]].concat()).await[..] else {
        panic!("one line")
    };
    assert_eq!(state["records"], json!({"total": 3, "enabled": 2, "disabled": 1, "not_records": 0}));
    assert_eq!((&state["log"]["live"], &state["log"]["connects"]), (&json!(0), &json!(2)), "{state}");
    for words in ["status", "stats"] {
        let finished = run(folder, &[&[words], &with[..]].concat()).await;
        let text = finished.out();
        assert!(text.lines().all(|line| line.chars().count() <= 80) && text.lines().count() <= 24, "{text}");
        assert!(joined(&text).contains("1 CUSTOM_AUTHORIZER_NOT_FOUND (the function has no line)"), "{text}");
    }
    // Without a log that anybody named, the records are shown.
    let finished = run(folder, &["status", "--store", "devices.json"]).await;
    let text = joined(&finished.out());
    assert_eq!(finished.code, Some(0), "{}", finished.err());
    assert!(
        text.contains("records 3: 2 enabled, 1 disabled log can't read the log `.latchkey/events.jsonl`"),
        "{text}"
    );
    let finished = run(folder, &["stats", "--store", "devices.json"]).await;
    assert!(finished.code == Some(64) && joined(&finished.err()).contains("name a log with `--log FILE`"));
    let finished = run(folder, &["stats", LOG[0], LOG[1], "--store", "nothing.json"]).await;
    assert!(
        finished.code == Some(0)
            && joined(&finished.err()).contains("devices that are not seen can't be counted")
    );
}

/// A line of AWS IoT's log, of now.
fn disconnected(client_id: &str) -> String {
    let now =
        humantime::format_rfc3339_millis(SystemTime::now()).to_string().replace('T', " ").replace('Z', "");
    let line = json!({"timestamp": now, "status": "Success", "eventType": "Disconnect", "clientId": client_id,
        "disconnectReason": "CONNECTION_LOST"});
    format!("{line}\n")
}

#[cfg(unix)]
#[tokio::test]
async fn a_log_is_followed_over_its_end_and_its_rotation_until_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    fs::write(&path, disconnected("a") + &disconnected("b")).unwrap();
    let running = Running::start(command(folder.path(), &["--json", "logs", "--follow", LOG[0], LOG[1]]));
    let has = |client: &'static str| {
        let running = &running;
        async move {
            eventually(client, || {
                running.out().contains(&format!("\"client_id\":\"{client}\"")).then_some(())
            })
            .await;
        }
    };
    has("b").await;
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    let line = disconnected("c");
    file.write_all(&line.as_bytes()[..20]).unwrap();
    file.write_all(&line.as_bytes()[20..]).unwrap();
    has("c").await;
    fs::write(&path, disconnected("d")).unwrap();
    has("d").await;
    running.interrupt();
    let finished = running.finish().await;
    assert_eq!((finished.code, finished.out().lines().count()), (Some(0), 4), "{}", finished.out());
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_command_without_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let lines = (0..20_000).map(|n| disconnected(&format!("client-{n}"))).collect::<String>();
    fs::write(folder.path().join("events.jsonl"), lines).unwrap();
    let mut command = command(folder.path(), &["--json", "logs", LOG[0], LOG[1]]).into_std();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("client-0"), "{first}");
    let finished = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&finished.stderr);
    assert!(finished.status.success() && !err.contains("Broken pipe"), "{err}");
}

fn page(events: &[(&str, Duration, Value)], next: Option<&str>) -> Act {
    let events = events.iter().map(|(id, ago, message)| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let time = now.checked_sub(*ago).unwrap();
        let message = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
        json!({"eventId": id, "timestamp": u64::try_from(time.as_millis()).unwrap(), "message": message})
    });
    Act::Answer(200, json!({"events": events.collect::<Vec<_>>(), "nextToken": next}).to_string())
}

fn cloud(folder: &Path) {
    fs::write(folder.join("cdk-outputs.json"), outputs("dev").to_string()).unwrap();
}

fn on_aws(folder: &Path, fake: &FakeAws, words: &[&str]) -> Running {
    let mut command = command(folder, words);
    command.env("AWS_ENDPOINT_URL", fake.endpoint());
    command.envs([("AWS_ACCESS_KEY_ID", "AKIDTEST"), ("AWS_SECRET_ACCESS_KEY", "secret")]);
    Running::start(command)
}

#[tokio::test]
async fn cloudwatchs_logs_of_the_function_and_of_aws_iot_are_joined() {
    let minutes = |n| Duration::from_mins(n);
    let decision = |outcome: &str, id: &str, reason: &str| {
        json!({"event": "decision", "outcome": outcome, "device": id, "client_id": id, "reason": reason,
            "connection_id": "of the function"})
    };
    let aws = |event: &str, status: &str, id: &str, reason: &str| {
        json!({"eventType": event, "status": status, "clientId": id, "traceId": "t", "reason": reason,
            "sourceIp": "192.0.2.7", "details": "Authorization Failure"})
    };
    // The function's decisions in two pages, of which the second one is asked for when the first one is read.
    let fake = FakeAws::start([
        page(&[("1", minutes(50), decision("deny", "hall-1", "wrong_password"))], Some("more")),
        page(
            &[("2", minutes(40), json!("2026-11-21T03:56:25Z 1-2 Task timed out after 5.00 seconds"))],
            None,
        ),
        page(
            &[
                ("3", minutes(50), aws("Connect", "Failure", "hall-1", "NOT_AUTHENTICATED")),
                ("4", minutes(30), aws("Connection.AuthNError", "Failure", "hall-2", "SNI_MISUSED")),
                ("5", minutes(10), aws("Connect", "Success", "hall-3", "")),
            ],
            None,
        ),
        page(&[], Some("still more")),
        page(&[("6", minutes(10), decision("allow", "hall-3", ""))], None),
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    cloud(folder.path());
    let finished = on_aws(folder.path(), &fake, &["--json", "logs"]).finish().await;
    assert_eq!(finished.code, Some(0), "{}", finished.err());
    let events =
        finished.out().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
    let parts = events.iter().map(|it| json!([it["outcome"], it["client_id"], it["reason"], it["function"]]));
    assert_eq!(
        parts.collect::<Vec<_>>(),
        [
            json!(["deny", "hall-1", "wrong_password", "has_line"]),
            json!(["fault", null, "timed_out", null]),
            json!(["deny", "hall-2", "SNI_MISUSED", "no_line"]),
            json!(["allow", "hall-3", null, "has_line"]),
        ]
    );
    assert_eq!(events[0]["address"], "192.0.2.7", "the function's line has no address");
    assert!(
        events[2]["explanation"].as_str().unwrap().contains("set SNI to the endpoint's name"),
        "{}",
        events[2]
    );
    let calls = fake.calls();
    let groups =
        calls.iter().map(|call| (call["logGroupName"].as_str().unwrap(), call["nextToken"].as_str()));
    let function = "/aws/lambda/latchkey-dev";
    assert_eq!(
        groups.collect::<Vec<_>>(),
        [
            (function, None),
            (function, None),
            ("AWSIotLogsV2", None),
            (function, Some("more")),
            (function, Some("still more")),
        ]
    );
    assert!(calls[0]["startTime"].as_u64().unwrap() > 0 && calls[0]["filterPattern"].is_string());
}

#[tokio::test]
async fn a_log_in_cloudwatch_that_cant_be_read_has_a_cause_and_a_cure() {
    let folder = tempfile::tempdir().unwrap();
    cloud(folder.path());
    for (status, code, part) in [
        (
            400,
            "ResourceNotFoundException",
            "there is no log group `/aws/lambda/latchkey-dev` in this account and region",
        ),
        (
            400,
            "ExpiredTokenException",
            "AWS does not accept the credentials (ExpiredTokenException): sign in again",
        ),
        (400, "AccessDeniedException", "the credentials may not logs:FilterLogEvents"),
    ] {
        let fake = FakeAws::start([Act::error(status, code)]).await;
        let finished = on_aws(folder.path(), &fake, &["logs"]).finish().await;
        let text = joined(&finished.err());
        assert!(finished.code == Some(64) && text.contains(part), "{text}");
    }
    // AWS IoT's own log may be off.
    let none = || page(&[], None);
    let fake = FakeAws::start([none(), none(), Act::error(400, "ResourceNotFoundException")]).await;
    let finished = on_aws(folder.path(), &fake, &["logs"]).finish().await;
    let text = joined(&finished.err());
    assert!(
        finished.code == Some(0)
            && text.contains("`iotLogging` in the stage's settings turns AWS IoT's own log on")
    );
}

#[cfg(unix)]
#[tokio::test]
async fn cloudwatch_is_followed_and_an_event_is_shown_once() {
    let line =
        |id: &str| json!({"event": "decision", "outcome": "deny", "client_id": id, "reason": "no_password"});
    let none = || page(&[], None);
    let recent = Duration::from_secs(1);
    let later = Duration::ZERO;
    let fake = FakeAws::start([
        page(&[("1", recent, line("hall-1"))], None),
        none(),
        none(),
        page(&[("1", recent, line("hall-1")), ("2", later, line("hall-2"))], None),
        none(),
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    cloud(folder.path());
    let running = on_aws(folder.path(), &fake, &["--json", "logs", "--follow"]);
    eventually("the second event", || running.out().contains("hall-2").then_some(())).await;
    running.interrupt();
    let finished = running.finish().await;
    assert_eq!((finished.code, finished.out().lines().count()), (Some(0), 2), "{}", finished.out());
}

#[tokio::test]
async fn the_records_of_the_status_are_those_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let record = |enabled: bool| json!({"scheme": "password", "verifiers": [{"verifier": HASH}], "grant": "own-topics", "enabled": enabled});
    let devices = (0..5).map(|n| (format!("d-{n}"), record(n > 0))).collect::<serde_json::Map<_, _>>();
    fs::create_dir(folder.path().join(".latchkey")).unwrap();
    fs::write(
        folder.path().join(".latchkey/devices.json"),
        json!({"version": 1, "devices": devices}).to_string(),
    )
    .unwrap();
    fs::write(folder.path().join(".latchkey/events.jsonl"), disconnected("d-1")).unwrap();
    let [state] = &json_lines(folder.path(), &["status"]).await[..] else { panic!("one line") };
    assert_eq!(state["records"], json!({"total": 5, "enabled": 4, "disabled": 1, "not_records": 0}));
    assert_eq!(state["store"], ".latchkey/devices.json");
}
