//! The authorizer's decision lines in CloudWatch Logs, as `latchkey fleet smoke` finds them: against moto or LocalStack.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_cloudwatchlogs::{Client, types::InputLogEvent};
use device_sim::credentials_file::{self, Row};
use integration::{
    aws,
    cloud::outputs,
    emulator::Emulator,
    fake_aws::{Act, FakeAws},
    programs::program,
    running::Running,
    test_gateway::{Start, TestGateway},
};
use serde_json::Value;
use tokio::process::Command;

const GROUP: &str = "/aws/lambda/latchkey-dev";

#[tokio::test]
async fn the_decisions_that_the_authorizer_wrote_are_found() {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("hall-1", "sht20");
    let emulator = Emulator::start().await;
    let client = Client::new(&aws::configuration(emulator.endpoint()));
    client.create_log_group().log_group_name(GROUP).send().await.unwrap();
    client.create_log_stream().log_group_name(GROUP).log_stream_name("1").send().await.unwrap();

    // What a first run makes the authorizer write is what the second one finds in the log.
    assert_eq!(in_the_log(&gateway, &emulator, &password).await, ["fail", "fail"]);
    let lines = ["allow", "deny"].map(|outcome| decision(&gateway, outcome));
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_mins(10);
    let event = |line: String| {
        let event = InputLogEvent::builder().message(line).timestamp(soon.as_millis().try_into().unwrap());
        event.build().unwrap()
    };
    let put = client.put_log_events().log_group_name(GROUP).log_stream_name("1");
    put.set_log_events(Some(lines.map(event).to_vec())).send().await.unwrap();
    assert_eq!(in_the_log(&gateway, &emulator, &password).await, ["pass", "pass"]);
}

/// The results of the last two checks.
async fn in_the_log(gateway: &TestGateway, emulator: &Emulator, password: &str) -> Vec<String> {
    let folder = gateway.folder.path();
    let (credentials, deployed) = (folder.join("credentials.csv"), folder.join("cdk-outputs.json"));
    fs::write(&deployed, outputs("dev").to_string()).unwrap();
    let name = || "hall-1".to_owned();
    let row = Row { device: name(), client_id: name(), user_name: name(), password: password.into() };
    if !credentials.exists() {
        credentials_file::append(&credentials, &[row]).unwrap();
    }
    // Neither emulator knows authorizers: here there is none.
    let no_authorizer = FakeAws::start([Act::error(404, "ResourceNotFoundException")]).await;
    let mut command = Command::new(program("latchkey"));
    command.args([
        "fleet",
        "--json",
        "smoke",
        "--wait",
        "1s",
        "--settle",
        "0s",
        "--authorizer",
        "latchkey",
        "--credentials",
    ]);
    command.arg(credentials).arg("--outputs").arg(deployed).arg("--ca").arg(gateway.ca()).arg("--endpoint");
    command.arg(format!("localhost:{}", gateway.address.port())).env("AWS_ENDPOINT_URL", emulator.endpoint());
    command.env("AWS_ENDPOINT_URL_IOT", no_authorizer.endpoint());
    command.env("AWS_ACCESS_KEY_ID", "AKIDTEST").env("AWS_SECRET_ACCESS_KEY", "secret");
    let finished = Running::start(command).finish().await;
    let report = serde_json::from_slice::<Value>(&finished.out);
    let report = report.unwrap_or_else(|error| panic!("{error}: {}{}", finished.out(), finished.err()));
    let checks = report["checks"].as_array().unwrap();
    checks[6..].iter().map(|check| check["result"].as_str().unwrap().to_owned()).collect()
}

/// The line of the last decision with this outcome.
fn decision(gateway: &TestGateway, outcome: &str) -> String {
    let lines = gateway.log.lines();
    let is = |line: &&Value| line["event"] == "decision" && line["outcome"] == outcome;
    lines.iter().rfind(is).unwrap_or_else(|| panic!("no {outcome} in {lines:?}")).to_string()
}
