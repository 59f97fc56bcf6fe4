//! Faults on demand: what the gateway and the real authorizer decide about each, and that healthy devices next to faulty ones
//! have no error.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use device_sim::{
    Password,
    credentials_file::{self, Row},
};
use integration::{
    devices,
    eventually::{eventually, within},
    mqtt_client::{MqttClient, connect},
    programs::program,
    running::{Finished, Running},
    test_gateway::{Start, TestGateway},
};
use mqtt::{QoS, Version};
use serde_json::{Value, json};
use tokio::process::Command;

const DEVICES: usize = 6;
const FAULTY: usize = 2;

/// A gateway with the real authorizer, and a fleet.
struct Fleet {
    gateway: TestGateway,
    credentials: PathBuf,
}

/// A run that is over.
struct Run {
    finished: Finished,
    summary: Value,
    faulty: BTreeSet<String>,
    healthy: BTreeSet<String>,
}

impl Fleet {
    async fn new() -> Self {
        Self::on(Start::with_authorizer()).await
    }

    async fn on(start: Start) -> Self {
        let gateway = start.run().await;
        let credentials = gateway.folder.path().join("credentials.csv");
        let rows: Vec<Row> = (1..=DEVICES).map(|number| row(&gateway, &format!("sht20-{number}"))).collect();
        credentials_file::append(&credentials, &rows).unwrap();
        Self { gateway, credentials }
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(program("latchkey-sim"));
        command.args(["--json", "--interval", "100ms", "--endpoint"]);
        command.arg(format!("localhost:{}", self.gateway.address.port())).arg("--ca").arg(self.gateway.ca());
        command.arg("--credentials").arg(&self.credentials).args(flags);
        command
    }

    /// Runs the fleet until every healthy device had both readings acknowledged and `over` says so, which is given the lines of
    /// the gateway's log about a faulty device.
    async fn run(&self, flags: &[&str], over: impl Fn(&[&Value]) -> bool) -> Run {
        let list = self.gateway.folder.path().join("faults.csv");
        let mut command = self.command(flags);
        command.args(["--readings", "--stop-with-stdin", "--seed", "7", "--fault-list"]).arg(&list);
        let running = Running::start(command);
        let (faulty, healthy) = eventually("the run", || {
            let list = listed(&list)?;
            let faulty = list.keys().cloned().collect::<BTreeSet<_>>();
            let all = (1..=DEVICES).map(|number| format!("sht20-{number}"));
            let healthy = all.filter(|name| !faulty.contains(name)).collect::<BTreeSet<_>>();
            let slow = list.iter().filter(|(_, fault)| *fault == "slow-link").map(|(name, _)| name);
            let (said, lines) = (running.err(), self.gateway.log.lines());
            let has_read = |name: &String| {
                ["temperature", "humidity"]
                    .iter()
                    .all(|quantity| said.contains(&format!("{name}  {quantity} ")))
            };
            let is_over = |name: &String| {
                let about =
                    |line: &&Value| line["clientId"] == name.as_str() || line["device"] == name.as_str();
                over(&lines.iter().filter(about).collect::<Vec<_>>())
            };
            (healthy.iter().chain(slow).all(has_read) && faulty.iter().all(is_over))
                .then_some((faulty, healthy))
        })
        .await;
        let finished = running.finish().await;
        let summary = serde_json::from_slice(&finished.out);
        let summary = summary.unwrap_or_else(|error| panic!("{error}: {}{}", finished.out(), finished.err()));
        Run { finished, summary, faulty, healthy }
    }

    /// Runs the fleet with two devices that have a fault, and checks that nothing went wrong at the others: neither by what
    /// they saw nor by what the gateway and the authorizer logged.
    async fn with(&self, fault: &str, flags: &[&str], over: impl Fn(&[&Value]) -> bool) -> Run {
        let share = format!("{fault}={FAULTY}");
        let flags = [&["--fault", &share, "--expect-errors", "0"], flags].concat();
        let run = self.run(&flags, over).await;
        assert_eq!((run.faulty.len(), run.healthy.len()), (FAULTY, DEVICES - FAULTY), "{}", run.summary);
        assert_eq!(run.summary["faults"]["errors_without_fault"], 0, "{}{}", run.summary, run.finished.err());
        assert_eq!(run.summary["faults"]["missing"], json!({"refused": 0, "unreachable": 0, "other": 0}));
        assert_eq!((run.finished.code, &run.summary["ok"]), (Some(0), &json!(true)), "{}", run.summary);
        for name in &run.healthy {
            self.gateway.logged_with(&[("outcome", "allow"), ("device", name)]).await;
            let failed = |line: &Value| {
                let it_is = line["clientId"] == name.as_str() || line["device"] == name.as_str();
                it_is && (line["status"] == "Failure" || line["outcome"] == "deny")
            };
            assert!(!self.gateway.log.lines().iter().any(failed), "{name}: {}", self.gateway.log.text());
        }
        let named = run.faulty.iter().cloned().collect::<Vec<_>>().join(", ");
        let said = format!("fault {fault}: 2 devices: {named}\n");
        assert!(run.finished.err().contains(&said), "{said}{}", run.finished.err());
        run
    }
}

/// Whether a line has these values.
fn has(line: &Value, values: &[(&str, &str)]) -> bool {
    values.iter().all(|(name, value)| line[*name] == *value)
}

fn count(lines: &[&Value], values: &[(&str, &str)]) -> usize {
    lines.iter().filter(|line| has(line, values)).count()
}

const CONNECTED: [(&str, &str); 2] = [("eventType", "Connect"), ("status", "Success")];
const LINK_LOST: [(&str, &str); 2] = [("eventType", "Disconnect"), ("disconnectReason", "CONNECTION_LOST")];

impl Run {
    /// The outcomes of the devices with a fault.
    fn outcomes(&self, fault: &str) -> &Value {
        let outcomes = &self.summary["faults"]["by_fault"][fault];
        assert_eq!(outcomes["devices"], FAULTY, "{}", self.summary);
        outcomes
    }

    fn count(&self, fault: &str, kind: &str, reason: &str) -> u64 {
        let counts = &self.outcomes(fault)[kind];
        assert_eq!(counts.as_object().unwrap().keys().collect::<Vec<_>>(), [reason], "{}", self.summary);
        counts[reason].as_u64().unwrap()
    }
}

fn row(gateway: &TestGateway, name: &str) -> Row {
    Row {
        device: name.to_owned(),
        client_id: name.to_owned(),
        user_name: name.to_owned(),
        password: Password::from(gateway.add(name, "sht20").as_str()),
    }
}

/// The devices of a list with their faults, once there is one.
fn listed(list: &Path) -> Option<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(list).ok()?;
    let rows = text.strip_prefix("device,fault\n")?;
    let pair = |row: &str| row.split_once(',').map(|(device, fault)| (device.to_owned(), fault.to_owned()));
    rows.lines().map(pair).collect()
}

#[tokio::test]
async fn a_wrong_password_is_refused_by_the_authorizer() {
    let fleet = Fleet::new().await;
    let denied = [("outcome", "deny"), ("reason", "wrong_password")];
    let refused = [("eventType", "Connection.AuthNError"), ("status", "Failure")];
    let run = fleet
        .with("wrong-password", &["--expect-refused", "33.333%"], |lines| {
            count(lines, &denied) == 1 && count(lines, &refused) == 1
        })
        .await;
    assert_eq!(run.count("wrong_password", "refused", "not_authorized"), 2);
}

#[tokio::test]
async fn a_wrong_client_id_is_refused_by_the_authorizer() {
    let fleet = Fleet::new().await;
    let denied = [("outcome", "deny"), ("reason", "client_id_not_allowed")];
    let run = fleet.with("wrong-client-id", &["--mqtt", "3.1.1"], |lines| count(lines, &denied) == 1).await;
    assert_eq!(run.count("wrong_client_id", "refused", "closed_before_connack"), 2);
}

#[tokio::test]
async fn a_wrong_topic_is_denied_by_the_policy() {
    let fleet = Fleet::new().await;
    let denied = [("eventType", "Publish-In"), ("status", "Failure"), ("reason", "AUTHORIZATION_FAILURE")];
    let run = fleet
        .with("wrong-topic", &[], |lines| {
            count(lines, &[("outcome", "allow")]) == 1 && count(lines, &denied) >= 2
        })
        .await;
    assert!(run.count("wrong_topic", "failed", "not_authorized") >= 4);
    assert_eq!(run.outcomes("wrong_topic")["got_through"], 0);
    for name in &run.faulty {
        let topic = format!("sensor/{name}-wrong/temperature");
        fleet.gateway.logged_with(&[denied[0], denied[1], ("clientId", name), ("topicName", &topic)]).await;
    }
}

#[tokio::test]
async fn a_wrong_topic_ends_a_connection_of_mqtt_3_1_1() {
    let fleet = Fleet::new().await;
    let denied = [("eventType", "Publish-In"), ("status", "Failure"), ("reason", "AUTHORIZATION_FAILURE")];
    let over =
        |lines: &[&Value]| count(lines, &denied) >= 1 && count(lines, &[("eventType", "Disconnect")]) >= 1;
    let run = fleet.with("wrong-topic", &["--mqtt", "3.1.1", "--expect-lost", "2"], over).await;
    assert!(run.count("wrong_topic", "lost", "closed_by_server") >= 2);
}

#[tokio::test]
async fn a_clock_of_2000_ends_the_handshake() {
    let fleet = Fleet::new().await;
    let gateway = &fleet.gateway;
    let alerts = || {
        let alert = |line: &Value| {
            line["details"].as_str().is_some_and(|details| details.contains("CertificateExpired"))
        };
        gateway.log.lines().iter().filter(|line| alert(line)).count()
    };
    let run = fleet.with("wrong-clock", &["--expect-unreachable", "2"], |_| alerts() == 2).await;
    assert_eq!(run.count("wrong_clock", "unreachable", "tls_wrong_time"), 2);
    for name in &run.faulty {
        let lines = gateway.log.lines();
        assert!(lines.iter().all(|line| line["device"] != name.as_str()), "the function was not called");
    }
}

#[tokio::test]
async fn a_dropped_link_is_a_lost_connection_and_the_device_comes_back() {
    let fleet = Fleet::new().await;
    let over = |lines: &[&Value]| count(lines, &LINK_LOST) >= 2 && count(lines, &CONNECTED) >= 2;
    let run = fleet.with("dropped-link", &[], over).await;
    assert!(run.count("dropped_link", "lost", "link_cut") >= 4);
}

#[tokio::test]
async fn a_slow_link_is_slow_from_the_handshake_on_and_gets_through() {
    let fleet = Fleet::new().await;
    let gateway = &fleet.gateway;
    // Both readings of a slow device are acknowledged.
    let run = fleet.with("slow-link", &[], |lines| count(lines, &CONNECTED) == 1).await;
    let outcomes = run.outcomes("slow_link");
    assert_eq!(outcomes["lost"], json!({}), "{}", run.summary);
    // ClientHello, the server's answer, CONNECT and CONNACK each take 200 ms at least.
    let slowest = run.summary["connect_latency_ms"]["max"].as_f64().unwrap();
    assert!(slowest >= 800.0, "{}", run.summary);
    assert!(gateway.log.lines().iter().all(|line| line["status"] != "Failure"), "{}", gateway.log.text());
}

/// The rate of a client id would refuse a device that returns within a second.
fn at_any_rate() -> Start {
    Start::with_authorizer().with(|settings| settings.quotas.connects_per_second_per_client_id = None)
}

#[tokio::test]
async fn a_herd_starts_and_returns_at_once() {
    let fleet = Fleet::on(at_any_rate()).await;
    // One device after the other would take five seconds.
    let over = |lines: &[&Value]| count(lines, &LINK_LOST) >= 2 && count(lines, &CONNECTED) >= 3;
    let run = fleet.run(&["--fault", "herd=4", "--ramp", "1"], over).await;
    let herd = &run.summary["faults"]["by_fault"]["herd"];
    assert!(
        herd["lost"]["link_cut"].as_u64().unwrap() >= 8,
        "each of 4 lost its link 2 times: {}",
        run.summary
    );
    assert_eq!(run.summary["faults"]["errors_without_fault"], 0, "{}", run.summary);
    let lines = fleet.gateway.log.lines();
    let connected = lines.iter().filter(|line| has(line, &CONNECTED));
    let first = connected.map(|line| line["clientId"].as_str().unwrap().to_owned()).take(5);
    // The first device of the file starts at once too.
    assert!(run.faulty.is_subset(&first.collect()), "{}", fleet.gateway.log.text());
}

#[tokio::test]
async fn a_herd_meets_the_rate_of_connects_and_goes_on() {
    let limited = at_any_rate().with(|settings| settings.quotas.connects_per_second = NonZeroU32::new(2));
    let fleet = Fleet::on(limited).await;
    let throttled = [("eventType", "Connect"), ("status", "Failure"), ("reason", "THROTTLED")];
    let refused = || fleet.gateway.log.lines().iter().filter(|line| has(line, &throttled)).count();
    let over = |lines: &[&Value]| refused() >= 4 && count(lines, &CONNECTED) >= 1;
    let run = fleet.run(&["--fault", "herd=100%"], over).await;
    let refused = run.summary["faults"]["by_fault"]["herd"]["refused"].as_object().unwrap();
    assert_eq!(refused.keys().collect::<Vec<_>>(), ["quota_exceeded"], "{}", run.summary);
}

#[tokio::test]
async fn a_twin_takes_the_connection_over_and_the_device_takes_it_back() {
    let fleet = Fleet::new().await;
    let taken = [("eventType", "Disconnect"), ("disconnectReason", "DUPLICATE_CLIENTID")];
    let run = fleet.with("twin", &[], |lines| count(lines, &taken) >= 2).await;
    let lost = run.outcomes("twin")["lost"]["session_taken_over"].as_u64();
    assert!(lost.is_some_and(|lost| lost >= 2), "{}", run.summary);
}

#[tokio::test]
async fn an_oversize_message_ends_the_connection() {
    let fleet = Fleet::new().await;
    let ended = [("eventType", "Disconnect"), ("status", "Failure"), ("disconnectReason", "CLIENT_ERROR")];
    let over = |lines: &[&Value]| {
        let too_large = |line: &&&Value| {
            has(line, &ended) && line["details"] == "the payload is larger than 131072 bytes"
        };
        lines.iter().filter(too_large).count() >= 1
    };
    let run = fleet.with("oversize", &["--expect-lost", "2"], over).await;
    assert!(run.count("oversize", "lost", "packet_too_large") >= 2);
    assert_eq!(run.outcomes("oversize")["got_through"], 0);
}

#[tokio::test]
async fn a_sensors_faults_are_counted_and_publish_nothing_wrong() {
    for (fault, reason) in [("sensor_crc", "crc"), ("sensor_nack", "no_acknowledge")] {
        let fleet = Fleet::new().await;
        let share = format!("{}=100%", fault.replace('_', "-"));
        let flags = ["--fault", &share, "--expect-errors", "0", "--time-scale", "60x", "--duration", "4s"];
        let finished = Running::start(fleet.command(&flags)).finish().await;
        let summary = serde_json::from_slice::<Value>(&finished.out).unwrap();
        let outcomes = &summary["faults"]["by_fault"][fault];
        let failed = outcomes["sensor_errors"][reason].as_u64().unwrap_or_default();
        assert!(failed >= 1, "{summary}");
        assert_eq!(outcomes["sensor_errors"], json!({reason: failed}), "{summary}");
        assert_eq!(summary["sensor_failures"], failed, "{summary}");
        assert_eq!(summary["messages"]["failed"], 0, "{summary}");
    }
}

/// The temperatures that a viewer of a run receives: by topic, the values by time.
async fn readings(fleet: &Fleet, flags: &[&str]) -> BTreeMap<String, BTreeMap<u64, f64>> {
    let viewer = connect(Version::V5, "viewer", "viewer", "a password for the viewer");
    let mut viewer = MqttClient::connected(&fleet.gateway, viewer).await;
    viewer.subscribe(&["sensor/+/temperature"], QoS::AtMostOnce).await.unwrap();
    let running = Running::start(fleet.command(flags));
    let mut received = BTreeMap::<String, BTreeMap<u64, f64>>::new();
    while received.len() < DEVICES || received.values().any(|series| series.len() < 8) {
        let message = within("a reading", viewer.message()).await;
        let reading = serde_json::from_slice::<Value>(&message.payload).unwrap();
        let series = received.entry(message.topic.as_ref().unwrap().as_str().to_owned()).or_default();
        series.insert(reading["ts"].as_u64().unwrap(), reading["value"].as_f64().unwrap());
    }
    running.kill().await;
    received
}

#[tokio::test]
async fn the_same_seed_gives_the_same_faults_and_the_same_readings() {
    let fleet = Fleet::on(at_any_rate()).await;
    devices::add_viewer(fleet.gateway.folder.path(), "viewer", b"a password for the viewer");
    let list = |seed: &'static str| {
        let path = fleet.gateway.folder.path().join(format!("faults-{seed}.csv"));
        let text = path.display().to_string();
        let mut command = fleet.command(&["--seed", seed, "--fault-list", &text, "--duration", "100ms"]);
        command.args(["--fault", "sensor-stuck=2", "--fault", "slow-link=1"]);
        async move {
            Running::start(command).finish().await;
            std::fs::read_to_string(path).unwrap()
        }
    };
    let first = list("7").await;
    assert_eq!(first.lines().count(), 1 + 3, "{first}");
    assert_eq!(list("7").await, first);
    let mut others = Vec::new();
    for seed in ["8", "9", "10", "11"] {
        others.push(list(seed).await);
    }
    assert!(others.iter().any(|other| *other != first), "{others:?}");

    let flags = ["--ramp", "100", "--start", "2026-06-21T06:00:00Z", "--time-scale", "3600x", "--seed"];
    let mut runs = Vec::new();
    for seed in ["7", "7", "8"] {
        runs.push(readings(&fleet, &[&flags[..], &[seed]].concat()).await);
    }
    let [one, again, other] = &runs[..] else { panic!() };
    let mut common = 0;
    for (topic, series) in one {
        for (ts, value) in series {
            assert!(*ts >= 1_782_021_600, "the time begins when it was told to: {ts}");
            if let Some(repeated) = again[topic].get(ts) {
                assert!((value - repeated).abs() < 1e-9, "{topic} at {ts}: {value} and {repeated}");
                common += 1;
            }
        }
    }
    assert!(common >= 2 * DEVICES, "{common} readings in common");
    assert_ne!(one, other, "another seed has other weather");
}

#[tokio::test]
async fn an_expectation_that_is_not_met_says_what_was_expected_and_seen() {
    let fleet = Fleet::on(at_any_rate()).await;
    // The log has the lines of both runs.
    let denied = |times| move |lines: &[&Value]| count(lines, &[("outcome", "deny")]) >= times;
    let flags = ["--fault", "wrong-password=2", "--expect-refused", "50%", "--expect-lost", "0"];
    let run = fleet.run(&flags, denied(1)).await;
    assert_eq!((run.finished.code, &run.summary["ok"]), (Some(1), &json!(false)), "{}", run.summary);
    let said = run.finished.err();
    assert!(said.contains("latchkey sim: expected 3 devices (50%) to be refused; seen: 2\n"), "{said}");
    assert!(!said.contains("to lose a connection"), "{said}");
    let lost = &run.summary["expectations"][1];
    assert_eq!((&lost["of"], &lost["seen"], &lost["met"]), (&json!("lost"), &json!(0), &json!(true)));
    let tolerated = fleet.run(&[&flags[..], &["--tolerance", "1"]].concat(), denied(2)).await;
    assert_eq!(tolerated.finished.code, Some(0), "{}", tolerated.finished.err());

    // Devices without a fault have to get through, unless they are expected not to.
    std::fs::write(&fleet.credentials, "device,client_id,user_name,password\nx,x,x,x\n").unwrap();
    for (flag, share, code) in
        [("--expect-errors", "0", 1), ("--expect-refused", "100%", 0), ("--expect-lost", "0", 1)]
    {
        let finished = Running::start(fleet.command(&[flag, share])).finish().await;
        assert_eq!(finished.code, Some(code), "{flag} {}", finished.err());
        let text = "expected at most 0 errors at devices without a fault; seen: 1\n";
        assert_eq!(finished.err().contains(text), flag == "--expect-errors", "{}", finished.err());
    }
}
