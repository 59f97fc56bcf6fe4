//! The simulator's process against the gateway: what it does, counts and ends with.

use std::path::{Path, PathBuf};

use device_sim::{
    Password,
    credentials_file::{self, Row},
};
use integration::{
    devices,
    eventually::within,
    mqtt_client::{MqttClient, connect},
    programs::program,
    running::Running,
    test_gateway::{Start, TestGateway},
};
use mqtt::{QoS, Version};
use serde_json::{Value, json};
use tokio::process::Command;

async fn gateway() -> TestGateway {
    Start::with_authorizer().run().await
}

/// Adds SHT20 devices and the file of their credentials.
fn fleet(gateway: &TestGateway, names: &[&str]) -> PathBuf {
    let rows = names.iter().map(|name| row(name, &gateway.add(name, "sht20"))).collect::<Vec<_>>();
    credentials(gateway.folder.path(), &rows)
}

fn credentials(folder: &Path, rows: &[Row]) -> PathBuf {
    let path = folder.join("credentials.csv");
    credentials_file::append(&path, rows).unwrap();
    path
}

fn row(name: &str, password: &str) -> Row {
    Row {
        device: name.to_owned(),
        client_id: name.to_owned(),
        user_name: name.to_owned(),
        password: Password::from(password),
    }
}

fn simulator(gateway: &TestGateway, credentials: &Path, more: &[&str]) -> Running {
    let mut command = Command::new(program("latchkey-sim"));
    command.args(["--json", "--interval", "100ms", "--endpoint"]);
    command.arg(format!("localhost:{}", gateway.address.port())).arg("--ca").arg(gateway.ca());
    command.arg("--credentials").arg(credentials).args(more);
    Running::start(command)
}

/// Runs it for a second, to its end: its exit code and its summary.
async fn run(gateway: &TestGateway, credentials: &Path, more: &[&str]) -> (Option<i32>, Value) {
    let running = simulator(gateway, credentials, &[&["--duration", "1s"], more].concat());
    let finished = running.finish().await;
    let summary = serde_json::from_slice(&finished.out);
    (finished.code, summary.unwrap_or_else(|error| panic!("{error}: {}{}", finished.out(), finished.err())))
}

#[tokio::test]
async fn a_fleet_gets_through() {
    let gateway = gateway().await;
    let names = ["sht20-1", "sht20-2", "sht20-3", "sht20-4", "sht20-5"];
    let credentials = fleet(&gateway, &names);
    for version in ["3.1.1", "5"] {
        let (code, summary) = run(&gateway, &credentials, &["--mqtt", version]).await;
        assert_eq!((code, &summary["ok"]), (Some(0), &json!(true)), "{summary}");
        let devices = &summary["devices"];
        assert_eq!((&devices["expected"], &devices["got_through"]), (&json!(5), &json!(5)), "{summary}");
        assert_eq!((&devices["refused"], &devices["lost"]), (&json!(0), &json!(0)), "{summary}");
        let messages = &summary["messages"];
        assert_eq!(
            (&messages["sent"], &messages["failed"]),
            (&messages["acknowledged"], &json!(0)),
            "{summary}"
        );
        assert!(messages["acknowledged"].as_u64().unwrap() >= 10, "two readings of each device: {summary}");
    }
    for name in names {
        gateway.logged_with(&[("eventType", "Connect"), ("status", "Success"), ("clientId", name)]).await;
        gateway.logged_with(&[("outcome", "allow"), ("device", name), ("grant", "sht20")]).await;
    }
    assert!(gateway.log.lines().iter().all(|line| line["status"] != "Failure"), "{}", gateway.log.text());
}

#[tokio::test]
async fn a_device_with_a_wrong_password_is_counted() {
    let gateway = gateway().await;
    fleet(&gateway, &["sht20-1", "sht20-2"]);
    gateway.add("sht20-3", "sht20");
    let credentials = credentials(gateway.folder.path(), &[row("sht20-3", "wrong")]);
    for (version, reason) in [("3.1.1", "closed_before_connack"), ("5", "not_authorized")] {
        let (code, summary) = run(&gateway, &credentials, &["--mqtt", version]).await;
        assert_eq!((code, &summary["ok"]), (Some(1), &json!(false)), "{summary}");
        let devices = &summary["devices"];
        assert_eq!((&devices["got_through"], &devices["refused"]), (&json!(2), &json!(1)), "{summary}");
        assert_eq!(summary["refused"], json!({reason: 1}), "{summary}");
        assert_eq!(summary["messages"]["failed"], 0, "{summary}");
    }
    let line = gateway.logged_with(&[("outcome", "deny"), ("device", "sht20-3")]).await;
    assert_eq!(line["reason"], "wrong_password");
}

#[tokio::test]
async fn a_fleet_that_may_not_publish_is_not_through() {
    let gateway = gateway().await;
    let password = gateway.add("hall-1", "own-topics");
    let credentials = credentials(gateway.folder.path(), &[row("hall-1", &password)]);
    let (code, summary) = run(&gateway, &credentials, &[]).await;
    assert_eq!((code, &summary["devices"]["got_through"]), (Some(1), &json!(0)), "{summary}");
    assert_eq!(summary["messages"]["acknowledged"], 0, "{summary}");
    assert_eq!(summary["failed"].as_object().unwrap().keys().collect::<Vec<_>>(), ["not_authorized"]);
}

#[tokio::test]
async fn a_file_that_is_missing_or_empty_ends_with_64() {
    let gateway = gateway().await;
    let missing = gateway.folder.path().join("missing.csv");
    let empty = gateway.folder.path().join("empty.csv");
    std::fs::write(&empty, "device,client_id,user_name,password\n").unwrap();
    for file in [&missing, &empty] {
        let finished = simulator(&gateway, file, &[]).finish().await;
        assert_eq!((finished.code, &*finished.out()), (Some(64), ""));
        assert!(finished.err().contains(&file.display().to_string()), "{}", finished.err());
    }
    assert!(gateway.log.lines().is_empty(), "{}", gateway.log.text());
}

#[tokio::test]
async fn options_that_can_not_be_end_with_64_and_the_cure() {
    let gateway = gateway().await;
    let credentials = fleet(&gateway, &["sht20-1"]);
    let cases: [(&[&str], &[&str]); 8] = [
        (&["--cert", "cert.pem"], &["--key <FILE>"]),
        (&["--key", "key.pem"], &["--cert <FILE>"]),
        (
            &["--cert", "/nowhere/cert.pem", "--key", "/nowhere/key.pem"],
            &["cannot use the certificate `/nowhere/cert.pem`"],
        ),
        (&["--scheme", "azure"], &["'azure'", "password, alibaba, tencent, jwt, token, certificate"]),
        (&["--fault", "wrong-pasword=3%"], &["there is no fault `wrong-pasword`", "wrong-password"]),
        (&["--fault", "twin=101%"], &["`101%` is not a share"]),
        (&["--fault", "twin=2"], &["the shares of `--fault` are 2 devices together, and the fleet has 1"]),
        (&["--fault-list", "/nowhere/list.csv"], &["can't write the list of faults `/nowhere/list.csv`"]),
    ];
    for (flags, texts) in cases {
        let finished = simulator(&gateway, &credentials, flags).finish().await;
        assert_eq!((finished.code, &*finished.out()), (Some(64), ""), "{flags:?} {}", finished.err());
        // Long messages are wrapped.
        let said = finished.err().split_whitespace().collect::<Vec<_>>().join(" ");
        for text in texts {
            assert!(said.contains(text), "{flags:?}: {said}");
        }
    }
    assert!(gateway.log.lines().is_empty(), "{}", gateway.log.text());
}

#[cfg(unix)]
#[tokio::test]
async fn too_few_open_files_are_noticed_before_the_run_and_fewer_devices_are_offered() {
    let gateway = gateway().await;
    let names = (1..=20).map(|number| format!("sht20-{number}")).collect::<Vec<_>>();
    let credentials = fleet(&gateway, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let limited = |flags: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 40 && exec \"$0\" \"$@\""]).arg(program("latchkey-sim"));
        command.args(["--json", "--interval", "100ms", "--endpoint"]);
        command.arg(format!("localhost:{}", gateway.address.port())).arg("--ca").arg(gateway.ca());
        command.arg("--credentials").arg(&credentials).args(flags);
        Running::start(command)
    };
    let finished = limited(&[]).finish().await;
    assert_eq!((finished.code, &*finished.out()), (Some(64), ""));
    let said = "20 devices need 52 open files, and this process may open 40: raise the limit with `ulimit -n 52`, or run \
                fewer devices with `--devices 8`\n";
    assert!(finished.err().ends_with(said), "{}", finished.err());
    assert!(gateway.log.lines().is_empty(), "{}", gateway.log.text());

    // What is offered does it.
    let mut running = limited(&["--devices", "8", "--readings", "--stop-with-stdin"]);
    for name in &names[..8] {
        let humidity = format!("{name}  humidity ");
        running.err_line("a reading", |line| line.starts_with(&humidity).then_some(())).await;
    }
    let finished = running.finish().await;
    assert_eq!(finished.code, Some(0), "{}{}", finished.out(), finished.err());
}

#[tokio::test]
async fn readings_arrive_at_a_subscriber() {
    let gateway = gateway().await;
    devices::add_viewer(gateway.folder.path(), "viewer", b"a password for the viewer");
    let credentials = fleet(&gateway, &["sht20-1"]);
    let viewer = connect(Version::V5, "viewer", "viewer", "a password for the viewer");
    let mut viewer = MqttClient::connected(&gateway, viewer).await;
    viewer.subscribe(&["sensor/+/temperature"], QoS::AtMostOnce).await.unwrap();
    let _running = simulator(&gateway, &credentials, &[]);
    let mut times = Vec::new();
    for _ in 0..3 {
        let message = within("a reading", viewer.message()).await;
        assert_eq!(message.topic.as_ref().unwrap().as_str(), "sensor/sht20-1/temperature");
        let reading = serde_json::from_slice::<Value>(&message.payload).unwrap();
        assert_eq!(reading.as_object().unwrap().keys().collect::<Vec<_>>(), ["ts", "unit", "value"]);
        assert_eq!(reading["unit"], "Cel");
        let value = reading["value"].as_f64().unwrap();
        assert!((-46.85..=128.86).contains(&value), "what an SHT20 can measure: {value}");
        times.push(reading["ts"].as_u64().unwrap());
    }
    assert!(times.is_sorted() && times[0] > 1_700_000_000, "seconds since 1970: {times:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_ends_the_run_with_its_summary() {
    let gateway = gateway().await;
    let credentials = fleet(&gateway, &["sht20-1", "sht20-2"]);
    let mut command = Command::new(program("latchkey-sim"));
    command.args(["--readings", "--quiet", "--interval", "100ms", "--endpoint"]);
    command.arg(format!("localhost:{}", gateway.address.port())).arg("--ca").arg(gateway.ca());
    command.arg("--credentials").arg(&credentials);
    let mut running = Running::start(command);
    for name in ["sht20-1", "sht20-2"] {
        running.line("a reading", |line| line.starts_with(name).then_some(())).await;
    }
    running.interrupt();
    let finished = running.finish().await;
    assert_eq!(finished.code, Some(0), "{}{}", finished.out(), finished.err());
    assert!(finished.out().contains("2 of 2 devices got through in "), "{}", finished.out());
    for name in ["sht20-1", "sht20-2"] {
        let goodbye =
            [("eventType", "Disconnect"), ("clientId", name), ("reason", "CLIENT_INITIATED_DISCONNECT")];
        gateway.logged_with(&goodbye).await;
    }
}

#[tokio::test]
async fn the_end_of_standard_input_ends_the_run_if_it_is_told_so() {
    let gateway = gateway().await;
    let credentials = fleet(&gateway, &["sht20-1"]);
    let running = simulator(&gateway, &credentials, &["--quiet", "--stop-with-stdin"]);
    gateway.logged_with(&[("eventType", "Connect"), ("status", "Success"), ("clientId", "sht20-1")]).await;
    let finished = running.finish().await;
    let summary = serde_json::from_slice::<Value>(&finished.out).unwrap();
    assert_eq!(summary["devices"]["connected"], 1, "{summary}");
}

#[tokio::test]
async fn a_refusal_says_where_to_look_and_a_name_that_is_none_is_counted_as_that() {
    let gateway = gateway().await;
    let password = gateway.add("hall-1", "own-topics");
    let rows = [row("hall-1", &password), row("nobody", "wrong")];
    let credentials = credentials(gateway.folder.path(), &rows);
    let finished = simulator(&gateway, &credentials, &["--duration", "1s"]).finish().await;
    let said = finished.err();
    let text = "Client is not authenticated/authorized to send the message";
    let line = gateway.logged_with(&[("eventType", "Connection.AuthNError"), ("clientId", "nobody")]).await;
    let id = line["connectionId"].as_str().unwrap();
    let refused = format!(
        "nobody: the server refused the connection: not authorized (0x87), `CONNACK:{text}:{id}`; the log of \
         `latchkey local`"
    );
    let denied =
        format!("a reading failed: the server refused the message: not authorized (0x87), `PUBACK:{text}:");
    let cure = "; its grant must allow `sensor/{client_id}/…`: `--grant sht20`";
    assert!(said.contains(&refused) && said.contains(&denied) && said.contains(cure), "{said}");
    let old = simulator(&gateway, &credentials, &["--duration", "1s", "--mqtt", "3.1.1"]).finish().await;
    let refused = "nobody: the server closed the connection without an answer to CONNECT, as AWS IoT Core does to \
                   refuse MQTT 3.1.1; the log of `latchkey local`";
    assert!(old.err().contains(refused), "{}", old.err());
    let nowhere = ["--duration", "1s", "--sni", "localhost", "--endpoint", "nowhere.invalid:1"];
    let mut command = Command::new(program("latchkey-sim"));
    command.arg("--json").arg("--ca").arg(gateway.ca()).arg("--credentials").arg(&credentials).args(nowhere);
    let summary = serde_json::from_slice::<Value>(&Running::start(command).finish().await.out).unwrap();
    assert_eq!(summary["unreachable"].as_object().unwrap().keys().collect::<Vec<_>>(), ["name_not_found"]);
}

#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_gives_a_script_its_json() {
    let gateway = gateway().await;
    let credentials = fleet(&gateway, &["sht20-1"]);
    let running = simulator(&gateway, &credentials, &["--quiet"]);
    gateway.logged_with(&[("eventType", "Connect"), ("status", "Success"), ("clientId", "sht20-1")]).await;
    running.interrupt();
    let finished = running.finish().await;
    let summary = serde_json::from_slice::<Value>(&finished.out).unwrap();
    // It may have been too soon for a reading; the code says what the summary says.
    assert_eq!(finished.code, Some(i32::from(summary["ok"] != true)), "{summary}");
    assert_eq!(summary["messages"]["failed"], 0, "what was being sent is finished first: {summary}");
}
