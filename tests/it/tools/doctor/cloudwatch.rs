//! The decision in CloudWatch Logs: a server that refuses without a word, and a CloudWatch that answers as a test says.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use device_sim::doctor::cause::Cause;
use integration::{
    cloud::outputs,
    connect_proxy::ConnectProxy,
    fake_aws::{Act, FakeAws},
    misbehaving::{Manner, Misbehaving, Tls},
    programs::program,
    running::{Finished, Running},
};
use serde_json::{Value, json};
use tokio::process::Command;

use super::PASSWORD;

const FUNCTION: &str = "/aws/lambda/latchkey-dev";
/// The name of a server of AWS's, as its certificate has it.
const NAME: &str = "x-ats.iot.us-east-1.amazonaws.com";

/// A page of events, a moment after now.
fn page(messages: &[Value]) -> Act {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_millis(5);
    let now = u64::try_from(now.as_millis()).unwrap();
    let events = messages.iter().enumerate().map(|(at, message)| {
        let text = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
        json!({"eventId": format!("{at} {text}"), "timestamp": now, "message": text})
    });
    Act::Answer(200, json!({"events": events.collect::<Vec<_>>()}).to_string())
}

fn decision(outcome: &str, client_id: &str, reason: &str) -> Value {
    json!({"event": "decision", "outcome": outcome, "device": client_id, "client_id": client_id, "reason": reason})
}

/// A line of AWS IoT's own log, with AWS's words.
fn line(event: &str, reason: &str) -> Value {
    json!({"eventType": event, "status": "Failure", "clientId": "hall-1", "reason": reason,
        "details": "Authorization Failure"})
}

/// The doctor in the server's folder.
async fn doctor(server: &Misbehaving, fake: Option<&FakeAws>, words: &[&str]) -> Finished {
    let folder = server.folder();
    let mut command = Command::new(program("latchkey"));
    command.args(["doctor", "-u", "hall-1", "-V", "3.1.1", "--hold", "0", "--ca", "ca.pem"]).args(words);
    command.current_dir(folder).env("LATCHKEY_PASSWORD", PASSWORD);
    for name in ["AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"] {
        command.env_remove(name);
    }
    let nothing = folder.join("no-such-file");
    command.env("AWS_CONFIG_FILE", &nothing).env("AWS_SHARED_CREDENTIALS_FILE", &nothing);
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    if let Some(fake) = fake {
        command.env("AWS_ENDPOINT_URL", fake.endpoint());
        command.envs([("AWS_ACCESS_KEY_ID", "AKIDTEST"), ("AWS_SECRET_ACCESS_KEY", "secret")]);
    }
    let finished = Running::start(command).finish().await;
    for text in [finished.out(), finished.err()] {
        assert!(!text.contains(PASSWORD), "{text}");
    }
    finished
}

/// A deployment whose endpoint is the server, in the server's folder.
fn deployed(folder: &Path) {
    let mut outputs = outputs("dev");
    outputs["latchkey-dev"]["Endpoint"] = json!("localhost");
    fs::write(folder.join("cdk-outputs.json"), outputs.to_string()).unwrap();
}

fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// It closes the connection in answer to a CONNECT, as AWS does.
async fn silent(name: &'static str) -> Misbehaving {
    Misbehaving::start(Manner::Tls(Tls { name, alpn: &["mqtt"], ..Tls::default() }, b"")).await
}

#[tokio::test]
async fn where_aws_closes_without_a_word_cloudwatch_names_the_cause() {
    let failed = "CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR";
    let timed_out = json!("2026-11-21T03:56:25Z 1-2 Task timed out after 5.00 seconds");
    let refused = |reason| vec![line("Connection.AuthNError", reason)];
    let other = decision("deny", "hall-2", "unknown_device");
    let deny = |reason| vec![other.clone(), decision("deny", "hall-1", reason)];
    let allow = || vec![decision("allow", "hall-1", "")];
    let cases = [
        (deny("wrong_password"), vec![], refused("NOT_AUTHENTICATED"), Cause::WrongPassword),
        (deny("unknown_device"), vec![], vec![], Cause::UnknownDevice),
        (deny("device_disabled"), vec![], vec![], Cause::DeviceDisabled),
        (deny("client_id_not_allowed"), vec![], vec![], Cause::ClientIdNotAllowed),
        (vec![], vec![], refused("CUSTOM_AUTHORIZER_NOT_FOUND"), Cause::AuthorizerMisspelt),
        (vec![], vec![timed_out], refused(failed), Cause::FunctionTimeout),
        (allow(), vec![], vec![line("Connect", "AUTHORIZATION_FAILURE")], Cause::ConnectDenied),
        (vec![], vec![], vec![line("Connect", "THROTTLED")], Cause::Throttled),
        // Nothing came in time; another client's decision says nothing about this one.
        (vec![other.clone()], vec![], vec![], Cause::LoggingOff),
        (allow(), vec![], vec![], Cause::LoggingOff),
    ];
    let server = silent("localhost").await;
    deployed(server.folder());
    let endpoint = server.endpoint();
    for (decisions, broken, clients, cause) in cases {
        let fake = FakeAws::start([page(&decisions), page(&broken), page(&clients)]).await;
        let finished = doctor(&server, Some(&fake), &[&endpoint, "--json", "--log-wait", "0"]).await;
        let report = serde_json::from_slice::<Value>(&finished.out).unwrap_or_default();
        assert_eq!(report["findings"][0]["cause"], cause.name(), "{}{}", finished.out(), finished.err());
        assert_eq!(
            (finished.code, &report["exit_code"]),
            (Some(cause.exit_code().into()), &json!(cause.exit_code()))
        );
        assert_eq!(report["seen"]["log_notes"], json!([]));
        let calls = fake.calls();
        let groups = calls.iter().map(|call| call["logGroupName"].as_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(groups, [FUNCTION, FUNCTION, "AWSIotLogsV2"]);
        for at in [0, 2] {
            let pattern = calls[at]["filterPattern"].as_str().unwrap();
            assert!(pattern.contains("= \"hall-1\""), "{pattern}");
        }
    }
}

#[tokio::test]
async fn a_line_that_comes_late_is_waited_for_and_a_person_reads_what_it_says() {
    let server = silent("localhost").await;
    let none = || page(&[]);
    let denied = page(&[decision("deny", "hall-1", "wrong_password")]);
    let fake = FakeAws::start([none(), none(), none(), denied, none()]).await;
    let endpoint = server.endpoint();
    let words = [endpoint.as_str(), "--log-group", "own", "--iot-log-group", "iot", "--region", "eu-west-1"];
    let finished = doctor(&server, Some(&fake), &words).await;
    assert_eq!(finished.code, Some(Cause::WrongPassword.exit_code().into()), "{}", finished.out());
    let (out, err) = (joined(&finished.out()), joined(&finished.err()));
    assert!(err.contains("in the log groups `own` and `iot`, for up to 30 s"), "{err}");
    assert!(out.contains("wrong_password the log: decision wrong_password:"), "{out}");
    assert!(out.contains("AWS IoT Core") && out.contains("cause The password is wrong."), "{out}");
    let groups = fake.calls().iter().map(|call| call["logGroupName"].clone()).collect::<Vec<_>>();
    assert_eq!(groups, ["own", "own", "iot", "own", "own", "iot"]);
}

#[tokio::test]
async fn a_log_that_cant_be_read_is_said_with_its_cure_and_the_rest_goes_on() {
    let server = silent("localhost").await;
    deployed(server.folder());
    let endpoint = server.endpoint();
    let none = || page(&[]);
    let denied = || page(&[decision("deny", "hall-1", "wrong_password")]);
    let absent = || Act::error(400, "ResourceNotFoundException");
    let no_right = || Act::error(400, "AccessDeniedException");
    let cases = [
        (
            vec![absent(), absent(), none()],
            Cause::Refused,
            "there is no log group `/aws/lambda/latchkey-dev`",
        ),
        (vec![no_right()], Cause::Refused, "the credentials may not logs:FilterLogEvents"),
        (vec![Act::error(400, "ExpiredTokenException")], Cause::Refused, "sign in again"),
        // AWS IoT's own log is off, or may not be read; the function's can be.
        (vec![none(), none(), absent()], Cause::LoggingOff, "`iotLogging` in the stage's settings turns"),
        (vec![denied(), none(), absent()], Cause::WrongPassword, "there is no log group `AWSIotLogsV2`"),
        (vec![denied(), none(), no_right()], Cause::WrongPassword, "the credentials may not"),
        (vec![none(), none(), no_right()], Cause::Refused, "docs/deploy.md has the permissions"),
    ];
    for (acts, cause, words) in cases {
        let fake = FakeAws::start(acts).await;
        let finished = doctor(&server, Some(&fake), &[&endpoint, "--log-wait", "0"]).await;
        let text = joined(&finished.out());
        assert_eq!(finished.code, Some(cause.exit_code().into()), "{words}: {text}");
        assert!(text.contains(words), "{words}: {text}");
        assert!(finished.out().lines().all(|line| line.chars().count() <= 80), "{}", finished.out());
    }
    let without = doctor(&server, None, &[&endpoint]).await;
    let text = joined(&without.out());
    assert_eq!(without.code, Some(Cause::Refused.exit_code().into()), "{text}");
    assert!(text.contains("there are no AWS credentials: set AWS_PROFILE"), "{text}");
}

#[tokio::test]
async fn without_a_group_the_doctor_says_how_to_name_one_and_asks_nothing_of_aws() {
    let server = silent(NAME).await;
    let port = server.endpoint().rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    let proxy = ConnectProxy::to(([127, 0, 0, 1], port).into()).await;
    let proxy = format!("http://127.0.0.1:{}", proxy.port);
    let fake = FakeAws::start([page(&[])]).await;
    let finished = doctor(&server, Some(&fake), &[NAME, "--proxy", &proxy]).await;
    let text = joined(&finished.out());
    assert_eq!(finished.code, Some(Cause::Refused.exit_code().into()), "{text}");
    assert!(text.contains("name the function's log group with `--log-group`"), "{text}");
    assert_eq!(fake.calls(), Vec::<Value>::new());
    // What has nothing to do with a decision is not looked for.
    let words = [NAME, "--proxy", &proxy, "--clock", "1970-01-01T00:00:00Z", "--log-group", "g"];
    let finished = doctor(&server, Some(&fake), &words).await;
    assert_eq!(finished.code, Some(Cause::ClockWrong.exit_code().into()), "{}", finished.out());
    assert_eq!(fake.calls(), Vec::<Value>::new());
}
