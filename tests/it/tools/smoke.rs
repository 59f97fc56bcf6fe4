//! `latchkey fleet smoke`, the real program: against the real gateway and authorizer, with AWS's answers played.

use std::{fs, path::Path};

use aws_sdk_iot::{Client, types::AuthorizerStatus};
use device_sim::credentials_file::{self, Row};
use gateway::api::key::ApiFile;
use integration::{
    aws_api,
    cloud::outputs,
    eventually::eventually,
    fake_aws::{Act, FakeAws},
    programs::program,
    running::{Finished, Running},
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use serde_json::{Value, json};
use tokio::process::Command;

/// The result of a check, and its texts.
type Reported = (String, String);

async fn gateway() -> TestGateway {
    Start::with_authorizer().run().await
}

fn credentials(folder: &Path, password: &str) {
    let row = |device: &str, password: &str| Row {
        device: device.to_owned(),
        client_id: device.to_owned(),
        user_name: device.to_owned(),
        password: password.into(),
    };
    let rows = [row("hall-1", password), row("hall-2", "nobody's")];
    credentials_file::append(&folder.join("credentials.csv"), &rows).unwrap();
}

async fn smoke(gateway: &TestGateway, fake: Option<&FakeAws>, more: &[&str]) -> (Vec<Reported>, Finished) {
    let folder = gateway.folder.path();
    let mut command = Command::new(program("latchkey"));
    command.args(["fleet", "--json", "smoke", "--credentials", "credentials.csv", "--endpoint"]);
    command.arg(format!("localhost:{}", gateway.address.port())).arg("--ca").arg(gateway.ca());
    if let Some(fake) = fake {
        if !more.contains(&"--settle") {
            command.args(["--settle", "0s"]);
        }
        fs::write(folder.join("cdk-outputs.json"), outputs("dev").to_string()).unwrap();
        command.args(["--authorizer", "latchkey", "--outputs", "cdk-outputs.json"]);
        command.env("AWS_ENDPOINT_URL", fake.endpoint()).env("AWS_ACCESS_KEY_ID", "AKIDTEST");
        command.env("AWS_SECRET_ACCESS_KEY", "secret");
    }
    let finished = Running::start({
        command.args(more).current_dir(folder);
        command
    });
    let finished = finished.finish().await;
    let report = serde_json::from_slice::<Value>(&finished.out).unwrap_or_default();
    let reported = |check: &Value| {
        let parts = ["seen", "why", "cause", "cure"].map(|part| check[part].as_str().unwrap_or_default());
        (check["result"].as_str().unwrap().to_owned(), parts.concat())
    };
    let checks = report["checks"].as_array().map(|checks| checks.iter().map(reported).collect());
    (checks.unwrap_or_default(), finished)
}

fn results(checks: &[Reported]) -> Vec<&str> {
    checks.iter().map(|(result, _)| result.as_str()).collect()
}

/// The authorizer, as IoT Core describes it.
fn described() -> Act {
    description("123456789012", true)
}

fn description(account: &str, signing_disabled: bool) -> Act {
    let arn = format!("arn:aws:iot:us-east-1:{account}:authorizer/latchkey-dev");
    let answer =
        json!({"authorizerDescription": {"authorizerArn": arn, "signingDisabled": signing_disabled}});
    Act::Answer(200, answer.to_string())
}

fn invoked(is_authenticated: bool, client_id: &str) -> Act {
    let resource = format!("arn:aws:iot:us-east-1:123456789012:client/{client_id}");
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": resource},
    ]});
    let allowed = json!({"isAuthenticated": true, "principalId": "p", "policyDocuments": [document.to_string()],
        "refreshAfterInSeconds": 300, "disconnectAfterInSeconds": 300});
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Action": ["iot:*"], "Resource": ["*"]},
    ]});
    let refused = json!({"isAuthenticated": false, "principalId": "refused", "policyDocuments": [document.to_string()]});
    let answer = if is_authenticated { allowed } else { refused };
    Act::Answer(200, answer.to_string())
}

/// The refusal of a function that answers `isAuthenticated` alone, as IoT Core reports it.
fn bare_refusal() -> Act {
    let message =
        "null at principalId failed to satisfy constraint: Member must satisfy ([a-zA-Z0-9]){1,128}";
    Act::Answer(400, json!({"__type": "InvalidResponseException", "message": message}).to_string())
}

fn logged(lines: &[Value]) -> Act {
    let events = lines.iter().map(|line| json!({"message": line.to_string(), "timestamp": 1}));
    Act::Answer(200, json!({"events": events.collect::<Vec<_>>()}).to_string())
}

fn decisions() -> [Value; 2] {
    [
        json!({"event": "decision", "client_id": "hall-1", "outcome": "deny", "reason": "wrong_password",
            "connection_id": "c1"}),
        json!({"event": "decision", "client_id": "hall-1", "outcome": "allow", "connection_id": "c2"}),
    ]
}

#[tokio::test]
async fn the_gateway_passes_the_checks_that_need_only_a_server() {
    let gateway = gateway().await;
    credentials(gateway.folder.path(), &gateway.add("hall-1", "sht20"));
    let (checks, finished) = smoke(&gateway, None, &[]).await;
    assert_eq!(finished.code, Some(0), "{}{}", finished.out(), finished.err());
    assert_eq!(
        results(&checks),
        ["not_run", "not_run", "not_run", "pass", "pass", "pass", "not_run", "not_run"]
    );
    assert!(checks[0].1.contains("there is no deployment to check: name one with `--outputs FILE`"));
    assert!(checks[3].1.contains("the server refused the connection: not authorized (0x87)"), "{checks:?}");
    assert!(checks[5].1.starts_with("sensor/hall-1/temperature  {"), "{checks:?}");
    assert!(
        finished.err().contains("as the device `hall-1`: a client that is connected"),
        "{}",
        finished.err()
    );
}

#[tokio::test]
async fn a_refused_device_fails_with_a_cure() {
    let gateway = gateway().await;
    let password = gateway.add("hall-1", "own-topics");
    credentials(gateway.folder.path(), &password);
    let (checks, finished) = smoke(&gateway, None, &["--device", "hall-2"]).await;
    assert_eq!(finished.code, Some(1), "{}", finished.err());
    assert_eq!(results(&checks)[2..], ["not_run", "pass", "fail", "not_run", "not_run", "not_run"]);
    let reason = &checks[4].1;
    assert!(
        reason.contains("not authorized (0x87)") && reason.contains("the authorizer's log says why"),
        "{checks:?}"
    );
    // It may connect, but its grant has other topics.
    let (checks, _) = smoke(&gateway, None, &[]).await;
    assert_eq!(results(&checks)[3..6], ["pass", "pass", "fail"]);
    assert!(checks[5].1.contains("can't subscribe to `sensor/hall-1/temperature`"), "{checks:?}");
    assert!(
        checks[5].1.ends_with("the device's grant must allow the topic: `sht20`, or a similar one"),
        "{checks:?}"
    );
    // No server accepts this protocol.
    let (checks, finished) = smoke(&gateway, None, &["--alpn", "x-amzn-mqtt-ca"]).await;
    assert_eq!((finished.code, &results(&checks)[3..6]), (Some(1), &["fail", "fail", "not_run"][..]));
    assert!(checks[3].1.contains("the server was not reached: "), "{checks:?}");
    for written in [finished.out(), finished.err()] {
        assert!(!written.contains(&password) && !written.contains("nobody's"));
    }
    let (_, finished) = smoke(&gateway, None, &["--device", "hall-3"]).await;
    assert_eq!(finished.code, Some(64));
    assert!(finished.err().ends_with("`credentials.csv` has no device `hall-3`\n"), "{}", finished.err());
}

#[tokio::test]
async fn a_server_that_accepts_every_password_fails() {
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.run().await;
    credentials(gateway.folder.path(), "x");
    let (checks, finished) = smoke(&gateway, None, &[]).await;
    assert_eq!(finished.code, Some(1));
    assert_eq!(results(&checks)[3], "fail");
    assert!(checks[3].1.starts_with("it was accepted"), "{checks:?}");
}

#[tokio::test]
async fn a_deployment_passes_every_check() {
    let gateway = gateway().await;
    let password = gateway.add("hall-1", "sht20");
    credentials(gateway.folder.path(), &password);
    // The first answer has other decisions only.
    let others = [
        json!({"event": "decision", "client_id": "hall-1", "outcome": "fault"}),
        json!({"event": "decision", "client_id": "hall-2", "outcome": "allow"}),
        json!({"event": "decision", "client_id": "hall-1", "outcome": "deny", "reason": "unknown_device"}),
    ];
    let all = [others.to_vec(), decisions().to_vec()].concat();
    let acts = [described(), logged(&others), logged(&all), invoked(true, "hall-1"), invoked(false, "")];
    let fake = FakeAws::start(acts).await;
    let (checks, finished) = smoke(&gateway, Some(&fake), &["--wait", "20s", "--settle", "20s"]).await;
    assert_eq!(finished.code, Some(0), "{}{}", finished.out(), finished.err());
    assert_eq!(results(&checks), ["pass"; 8]);
    assert_eq!(checks[2].1, "none was refused");
    assert!(finished.err().contains("s  accepted, 3 of 3 in a row\n"), "{}", finished.err());
    assert_eq!(checks[6].1, "allow, connection c2");
    assert_eq!(checks[7].1, "deny, wrong_password, connection c1");
    let calls = fake.calls();
    let presented = |call: &Value| call["mqttContext"]["password"].as_str().unwrap().to_owned();
    assert_ne!(presented(&calls[3]), presented(&calls[4]));
    assert_eq!(calls[3]["mqttContext"]["clientId"], "hall-1");
    assert_eq!(calls[1]["logGroupName"], "/aws/lambda/latchkey-dev");
    assert_eq!(calls[1]["filterPattern"], r#"{ $.event = "decision" && $.client_id = "hall-1" }"#);
    assert!(!finished.out().contains(&password) && !finished.err().contains(&password));
}

/// The authorizer is described and invoked by the gateway's own API. Only CloudWatch Logs is played.
#[tokio::test]
async fn the_gateways_api_passes_the_checks_with_only_the_endpoint_changed() {
    let gateway = gateway().await;
    let folder = gateway.folder.path();
    credentials(folder, &gateway.add("hall-1", "sht20"));
    let api = Client::new(&aws_api::configuration(folder));
    let create = api.create_authorizer().authorizer_name("latchkey-dev").signing_disabled(true);
    let function = "arn:aws:lambda:us-east-1:123456789012:function:latchkey-authorizer";
    create.authorizer_function_arn(function).status(AuthorizerStatus::Active).send().await.unwrap();
    let fake = FakeAws::start([logged(&decisions())]).await;
    let ApiFile { endpoint, key, .. } = ApiFile::read(folder).unwrap();
    fs::write(folder.join("cdk-outputs.json"), outputs("dev").to_string()).unwrap();
    let mut command = Command::new(program("latchkey"));
    command.args([
        "fleet",
        "--json",
        "smoke",
        "--credentials",
        "credentials.csv",
        "--settle",
        "0s",
        "--endpoint",
    ]);
    command.arg(format!("localhost:{}", gateway.address.port())).arg("--ca").arg(gateway.ca());
    command.args(["--authorizer", "latchkey", "--outputs", "cdk-outputs.json"]).current_dir(folder);
    command.env("AWS_ENDPOINT_URL", fake.endpoint()).env("AWS_ENDPOINT_URL_IOT", endpoint);
    command.env("AWS_ACCESS_KEY_ID", &key.id).env("AWS_SECRET_ACCESS_KEY", key.secret.as_str());
    let finished = Running::start(command).finish().await;
    assert_eq!(finished.code, Some(0), "{}{}", finished.out(), finished.err());
    let report = serde_json::from_slice::<Value>(&finished.out).unwrap();
    let checks = report["checks"].as_array().unwrap().iter().map(|check| check["result"].as_str().unwrap());
    let checks = checks.collect::<Vec<_>>();
    assert_eq!((&checks[..2], &checks[3..]), (&["pass"; 2][..], &["pass"; 5][..]), "{report}");
}

#[tokio::test]
async fn each_fault_of_a_deployment_fails_with_its_cure() {
    let gateway = gateway().await;
    credentials(gateway.folder.path(), &gateway.add("hall-1", "sht20"));
    let [denied, _] = decisions();
    let cases = [
        (vec![logged(&decisions()), invoked(false, "")], 0, "it refuses `hall-1`"),
        (
            vec![logged(&decisions()), invoked(true, "hall-2"), invoked(false, "")],
            0,
            "names the client id `hall-1`",
        ),
        (
            vec![logged(&decisions()), invoked(true, "hall-1"), invoked(true, "hall-1")],
            1,
            "--status INACTIVE",
        ),
        (vec![Act::error(404, "ResourceNotFoundException")], 0, "there is no authorizer `latchkey-dev`"),
        (vec![Act::error(403, "AccessDeniedException")], 0, "may not iot:TestInvokeAuthorizer"),
        (vec![Act::error(400, "InvalidResponseException")], 0, "the function failed"),
        (vec![bare_refusal()], 0, "it refuses `hall-1` with the password of the file"),
        (
            vec![logged(&[denied]), invoked(true, "hall-1"), invoked(false, "")],
            6,
            "no such line in `/aws/lambda/",
        ),
        (
            vec![Act::error(400, "ResourceNotFoundException"), invoked(true, "hall-1"), invoked(false, "")],
            7,
            "there is no log group `/aws/lambda/latchkey-dev`",
        ),
    ];
    for (acts, check, part) in cases {
        let fake = FakeAws::start([vec![described()], acts].concat()).await;
        let (checks, finished) = smoke(&gateway, Some(&fake), &["--wait", "1s"]).await;
        assert_eq!(finished.code, Some(1), "{part}: {}{}", finished.out(), finished.err());
        let (result, text) = &checks[check];
        assert!(result == "fail" && text.contains(part), "{part}: {checks:?}");
    }
}

#[tokio::test]
async fn an_authorizer_of_another_account_is_refused() {
    let gateway = gateway().await;
    credentials(gateway.folder.path(), &gateway.add("hall-1", "sht20"));
    let fake = FakeAws::start([description("999999999999", true)]).await;
    let (checks, finished) = smoke(&gateway, Some(&fake), &[]).await;
    assert_eq!((finished.code, checks.len()), (Some(64), 0), "{}", finished.out());
    let place = "is in the account 123456789012 and the region us-east-1, and these credentials lead to the account \
                999999999999 and";
    assert!(finished.err().contains(place), "{}", finished.err());
}

#[tokio::test]
async fn a_stage_with_signed_tokens_is_not_checked_and_does_not_pass() {
    let gateway = gateway().await;
    credentials(gateway.folder.path(), &gateway.add("hall-1", "sht20"));
    let fake = FakeAws::start([description("123456789012", false)]).await;
    let (checks, finished) = smoke(&gateway, Some(&fake), &[]).await;
    assert_eq!((finished.code, results(&checks)), (Some(1), vec!["not_run"; 8]), "{}", finished.err());
    assert!(checks[0].1.starts_with("this stage needs signed tokens"), "{checks:?}");
    assert_eq!(fake.calls().len(), 1);
}

#[tokio::test]
async fn the_refusals_of_a_new_authorizer_are_waited_for() {
    let (start, script) = Start::with_script(&Step::Answer(json!({"isAuthenticated": false})));
    let gateway = start.run().await;
    credentials(gateway.folder.path(), "x");
    let acts = [described(), logged(&decisions()), invoked(true, "hall-1"), invoked(false, "")];
    let fake = FakeAws::start(acts).await;
    let becomes_steady = async {
        eventually("a call", || (script.calls() > 0).then_some(())).await;
        script.set(&Step::Answer(allow_all()));
    };
    let more = ["--wait", "1s", "--settle", "20s"];
    let ((checks, finished), ()) = tokio::join!(smoke(&gateway, Some(&fake), &more), becomes_steady);
    let (result, text) = &checks[2];
    assert!(result == "pass" && text.ends_with("s; refused before: 1"), "{checks:?}");
    let refused =
        "s  the server refused the connection: not authorized (0x87), `CONNACK:Client is not authenticated";
    assert!(finished.err().contains(refused), "{}", finished.err());
}

/// The log has both decisions, but those of another client: a decision that was not made is not searched for.
#[tokio::test]
async fn the_log_is_not_searched_for_a_decision_that_was_not_made() {
    let gateway = gateway().await;
    gateway.add("hall-1", "sht20");
    credentials(gateway.folder.path(), "not its password");
    let acts = [described(), logged(&decisions()), invoked(true, "hall-1"), invoked(false, "")];
    let fake = FakeAws::start(acts).await;
    let (checks, _) = smoke(&gateway, Some(&fake), &["--wait", "1s"]).await;
    let [settled, others @ ..] = &results(&checks)[2..] else { panic!("{checks:?}") };
    assert_eq!((*settled, others), ("not_run", &["pass", "fail", "not_run", "not_run", "pass"][..]));
}

#[tokio::test]
async fn the_checks_are_a_table_for_people() {
    let gateway = gateway().await;
    credentials(gateway.folder.path(), &gateway.add("hall-1", "sht20"));
    let mut command = Command::new(program("latchkey"));
    command
        .args(["fleet", "smoke", "--credentials", "credentials.csv", "--endpoint"])
        .current_dir(&gateway.folder);
    command.arg(format!("localhost:{}", gateway.address.port())).arg("--ca").arg(gateway.ca());
    let finished = Running::start(command).finish().await;
    let out = finished.out();
    assert!(out.contains("pass     the device connects\n         localhost:"), "{out}");
    assert!(out.contains("not run  its decision is in the log\n         there is no deployment"), "{out}");
    assert!(out.ends_with("3 passed, 0 failed, 5 not run\n"), "{out}");
}
