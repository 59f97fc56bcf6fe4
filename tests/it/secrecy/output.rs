//! No program writes a password, a token, a signature or a query string: on success, refusal, fault and crash, with all logs
//! at the most detailed level.

mod doors;
mod planted;

use std::{fs, path::Path, time::Duration};

use device_sim::{
    Password,
    credentials_file::{self, Row},
};
use gateway::{
    clock::Clock,
    event_log::EventLog,
    lambda::{
        Call,
        pool::{LocalFunction, Pool},
        program::Program,
    },
};
use integration::{
    bridge_process::{self, BridgeProcess},
    canary::{Canary, Writings},
    captured_log::CapturedLog,
    eventually::{LIMIT, eventually, within},
    gateway_process::GatewayProcess,
    http_client::plain_get,
    mqtt_client::{MqttClient, connect},
    programs::program,
    running::Running,
    script::{self, Script, Step},
    test_gateway::Start,
};
use mqtt::{ConnectReasonCode, QoS, Version};
use serde_json::{Value, json};
use tempfile::tempdir;
use tokio::process::Command;

use self::planted::{Planted, connect_in_every_way, folder_with_devices};

const BOTH: [Version; 2] = [Version::V311, Version::V5];
/// The most detailed log.
const LOUD: [(&str, &str); 2] = [("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full")];

/// The output of the gateway and of its authorizer.
async fn written(gateway: GatewayProcess, folder: &Path) -> Writings {
    let finished = gateway.stop().await;
    let mut writings = Writings::default();
    writings.add("the gateway's standard output", finished.out);
    writings.add("the gateway's standard error", finished.err);
    writings.add_folder(folder);
    writings
}

#[tokio::test]
async fn success_and_refusal_show_no_secret() {
    for json in [true, false] {
        let planted = Planted::new();
        let folder = folder_with_devices(&planted);
        let gateway = GatewayProcess::start(folder.path(), "latchkey-authorizer", json, &LOUD).await;
        for version in BOTH {
            let outcomes = connect_in_every_way(&gateway, &planted, version).await;
            assert_eq!(outcomes.iter().filter(|got_in| **got_in).count(), 2, "{outcomes:?}");
            assert_eq!(outcomes[..2], [true, true]);
        }
        let writings = written(gateway, folder.path()).await;
        for reason in [
            "\"outcome\":\"allow\"",
            "wrong_password",
            "no_password",
            "unknown_device",
            "device_disabled",
            "client_id_not_allowed",
            "client_id_invalid",
            "user_name_invalid",
            "no_user_name",
            "AUTHORIZATION_FAILURE",
            "CUSTOM_AUTHORIZER_NOT_FOUND",
        ] {
            writings.assert_says(reason);
        }
        writings.assert_free_of(&planted.all());
    }
}

#[tokio::test]
async fn malformed_store_shows_no_secret() {
    let planted = Planted::new();
    let secret = planted.password.secret();
    let device = |changes: Value| {
        let mut device = json!({"scheme": "password", "verifiers": [], "grant": "own-topics"});
        device.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({"version": 1, "devices": {"hall-1": device}}).to_string()
    };
    // A password in the place of a verifier, in every form of that mistake.
    let records = [
        device(json!({"verifiers": [{"verifier": secret}]})),
        device(json!({"verifiers": [{"verifier": format!("$sha256$!{secret}$!{secret}")}]})),
        device(
            json!({"verifiers": [{"verifier": format!("$argon2id$v=19$m={secret},t=1,p=1${secret}${secret}")}]}),
        ),
        device(json!({"verifiers": [{"verifier": {"password": secret}}]})),
        device(json!({"verifiers": [{"verifier": [secret]}]})),
        device(json!({"verifiers": [secret]})),
        device(json!({"verifiers": secret})),
        device(json!({"verifiers": {"verifier": secret}})),
        device(json!({"password": secret})),
    ];
    let files = [
        format!("{{\"version\":1,\"devices\":{{\"hall-1\":{{\"password\":\"{secret}"),
        format!("hall-1:{secret}\n"),
    ];
    let folder = folder_with_devices(&planted);
    let gateway = GatewayProcess::start(folder.path(), "latchkey-authorizer", true, &LOUD).await;
    let path = folder.path().join("devices.json");
    let user_name = planted.user_name("hall-1");
    let mut output = String::new();
    for file in &files {
        fs::write(&path, file).unwrap();
        // The last usable records stay in force.
        assert!(gateway.connect(Version::V5, "hall-1", &user_name, secret.as_bytes()).await.is_ok());
        output.push_str(&refused_to_start(folder.path()).await);
    }
    fs::remove_file(&path).unwrap();
    assert!(gateway.connect(Version::V5, "hall-1", &user_name, secret.as_bytes()).await.is_ok());
    for record in &records {
        fs::write(&path, record).unwrap();
        assert!(gateway.connect(Version::V5, "hall-1", &user_name, secret.as_bytes()).await.is_err());
    }
    fs::remove_file(&path).unwrap();
    let mut writings = written(gateway, folder.path()).await;
    writings.assert_says("records_not_usable");
    writings.assert_says("record_not_usable");
    writings.add("the output of a gateway that does not start", output);
    writings.assert_free_of(&planted.all());
}

/// The output of a gateway that can't start with this folder's devices.
async fn refused_to_start(folder: &Path) -> String {
    let mut command = Command::new(program("latchkey-gateway"));
    command.args(["--json", "--port", "0", "--data"]).arg(folder).envs(LOUD);
    let finished = Running::start(command).finish().await;
    assert_eq!(finished.code, Some(64), "{}", finished.err());
    finished.out() + &finished.err()
}

#[tokio::test]
async fn failing_function_shows_no_secret() {
    let steps = [
        Step::Error,
        Step::Crash,
        Step::Answer(json!({"isAuthenticated": false})),
        Step::Answer(json!({"isAuthenticated": "yes"})),
        Step::Answer(script::allow(&[("Allow", "iot:Connect", "client/another")])),
    ];
    for step in &steps {
        let planted = Planted::new();
        let (folder, scripts) = (tempdir().unwrap(), tempdir().unwrap());
        let gateway = scripted(folder.path(), scripts.path(), step, true).await;
        for version in BOTH {
            let outcomes = connect_in_every_way(&gateway, &planted, version).await;
            assert!(outcomes.iter().all(|got_in| !got_in), "{outcomes:?}");
        }
        let writings = written(gateway, folder.path()).await;
        writings.assert_says("\"status\":\"Failure\"");
        writings.assert_free_of(&planted.all());
    }
}

#[tokio::test]
async fn silent_function_shows_no_secret() {
    let planted = Planted::new();
    let (start, script) = Start::with_script(&Step::Hang);
    let gateway = start.on_manual_clock().run().await;
    let connecting = connect(Version::V5, "hall-1", &planted.user_name("hall-1"), planted.password.secret());
    let connecting = async { MqttClient::connect(&gateway, connecting).await.1.unwrap().code };
    let timing_out = async {
        eventually("the call", || (script.calls() > 0).then_some(())).await;
        gateway.advance(Duration::from_secs(5));
    };
    let (code, ()) = tokio::join!(connecting, timing_out);
    assert_eq!(code, ConnectReasonCode::NotAuthorized);
    let mut writings = Writings::default();
    writings.add("the log", gateway.log.text());
    writings.assert_says("the authorizer did not answer within 5s");
    writings.assert_free_of(&planted.all());
}

/// A check of the tests above: a function prints its events, and every secret in them is found.
#[tokio::test]
async fn function_that_prints_its_events_is_noticed() {
    for json in [true, false] {
        let planted = Planted::new();
        let (folder, scripts) = (tempdir().unwrap(), tempdir().unwrap());
        let answer = script::allow(&[("Allow", "iot:*", "*")]);
        let gateway = scripted(folder.path(), scripts.path(), &Step::Print(answer), json).await;
        connect_in_every_way(&gateway, &planted, Version::V5).await;
        let writings = written(gateway, folder.path()).await;
        for canary in planted.all() {
            let places = writings.places_of(canary);
            assert!(places.iter().any(|(place, _)| place.ends_with("events.jsonl")), "{places:?}");
        }
        let (_, form) = writings.places_of(&planted.password).remove(0);
        assert!(form.contains("base64"), "as the event carries it: {form}");
    }
}

/// A gateway with a function that follows the step. The function's own files are not in the gateway's folder.
async fn scripted(folder: &Path, scripts: &Path, step: &Step, json: bool) -> GatewayProcess {
    let script = Script::new(scripts, step);
    let path = script.path().to_str().unwrap();
    let variables = [&LOUD[..], &[(script::VARIABLE, path)]].concat();
    GatewayProcess::start(folder, "scripted-function", json, &variables).await
}

#[tokio::test]
async fn malformed_event_shows_no_secret() {
    let planted = Planted::new();
    let (password, token) = (planted.password.secret(), planted.token.secret());
    let folder = folder_with_devices(&planted);
    let mqtt = |mqtt: Value| json!({"protocolData": {"mqtt": mqtt}}).to_string().into_bytes();
    let events = [
        mqtt(json!({"username": [token], "password": password, "clientId": "hall-1"})),
        mqtt(json!({"username": token, "password": password, "clientId": token})),
        mqtt(json!({"username": "hall-1", "password": {"plain": password}, "clientId": "hall-1"})),
        mqtt(json!({"username": "hall-1", "password": password, "clientId": {"id": token}})),
        mqtt(json!({"username": "hall-1", "password": 7, password: token})),
        json!({"protocolData": password, "connectionMetadata": {"id": token}}).to_string().into_bytes(),
        json!({"token": token, "protocolData": {"http": {"queryString": token}}, "connectionMetadata": {"id": token}})
            .to_string()
            .into_bytes(),
        json!(password).to_string().into_bytes(),
        format!("{{\"protocolData\":{{\"mqtt\":{{\"password\":\"{password}").into_bytes(),
        format!("{password} {token}").into_bytes(),
        [password.as_bytes(), &[0xff, 0xfe], token.as_bytes()].concat(),
        Vec::new(),
    ];
    let (event_log, log) = CapturedLog::of_gateway();
    let pool = real_authorizer(folder.path(), event_log);
    let mut writings = Writings::default();
    for event in events {
        let answer = within("the answer", pool.invoke(Call::Connect, || event.into())).await;
        match &answer {
            Ok(answer) => {
                let answer = serde_json::from_slice::<Value>(answer).unwrap();
                assert_eq!(answer, crate::functions::golden::refusal());
            }
            Err(error) => writings.add("an error", format!("{error} {error:?}")),
        }
    }
    drop(pool);
    writings.add("the log", log.text());
    writings.assert_says("not_an_event");
    writings.assert_says("deserialization");
    writings.assert_free_of(&[&planted.password, &planted.token]);
}

/// The authorizer's process without a gateway.
fn real_authorizer(folder: &Path, log: EventLog) -> Pool {
    let store = ("LATCHKEY_STORE", format!("file:{}", folder.join("devices.json").display()));
    let loud = LOUD.map(|(name, value)| (name, value.to_owned()));
    let variables = loud.into_iter().chain([store]).map(|(name, value)| (name.to_owned(), value)).collect();
    let function = LocalFunction {
        program: Program::new(program("latchkey-authorizer"), variables),
        arn: "arn:aws:lambda:us-east-1:123456789012:function:latchkey-authorizer".to_owned(),
        limit: LIMIT,
        instances: 1,
    };
    Pool::new(function, Clock::system(), log)
}

#[tokio::test]
async fn simulator_shows_no_secret() {
    let planted = Planted::new();
    let (folder, private) = (folder_with_devices(&planted), tempdir().unwrap());
    let gateway = GatewayProcess::start(folder.path(), "latchkey-authorizer", true, &LOUD).await;
    let credentials = private.path().join("credentials.csv");
    let row = |client_id: &str, password: &Canary| Row {
        device: client_id.to_owned(),
        client_id: client_id.to_owned(),
        user_name: planted.user_name("hall-1"),
        password: Password::from(password.secret()),
    };
    let rows =
        [row("hall-1", &planted.password), row("hall-2", &planted.password), row("hall-3", &planted.wrong)];
    credentials_file::append(&credentials, &rows).unwrap();
    let ca = gateway.ca().to_owned();
    let mut writings = Writings::default();
    for more in [&["--json", "--readings"][..], &["--readings"], &["--quiet"], &["--mqtt", "3.1.1"]] {
        let args = [more, &["--duration", "1s", "--interval", "100ms"]].concat();
        let code = simulate(&gateway, &ca, &credentials, &args, &mut writings).await;
        assert_eq!(code, Some(1), "two of the devices are refused");
    }
    // A malformed row is reported by its line and never quoted.
    let table = fs::read_to_string(&credentials).unwrap();
    for (from, to) in
        [("hall-3,", "hall-1,"), ("hall-3,hall-3,", "hall-3,"), ("hall-2,", "a/b,"), ("device,", "x,")]
    {
        fs::write(&credentials, table.replace(from, to)).unwrap();
        let code = simulate(&gateway, &ca, &credentials, &["--json"], &mut writings).await;
        assert_eq!(code, Some(64), "{from} {to}");
    }
    fs::write(&credentials, &table).unwrap();
    let code = simulate(&gateway, &credentials, &credentials, &[], &mut writings).await;
    assert_eq!(code, Some(64), "the credentials are not a CA");
    writings.assert_says("not_authorized");
    writings.add_folder(folder.path());
    writings.assert_free_of(&planted.all());
}

/// Also while messages wait on the disk because AWS can't be reached.
#[tokio::test]
async fn bridge_shows_no_secret() {
    let planted = Planted::new();
    let (data, folder) = (folder_with_devices(&planted), tempdir().unwrap());
    let gateway = GatewayProcess::start(data.path(), "latchkey-authorizer", true, &LOUD).await;
    let settings = bridge_process::settings(&gateway, "[spool]\ndevice = \"1MB\"");
    let bridge = BridgeProcess::start_with(folder.path(), &settings, &LOUD).await;
    let mut writings = Writings::default();
    let named = |name: &str| planted.user_name(name);
    for version in BOTH {
        for (id, user_name, password) in [
            ("hall-1", "hall-1".to_owned(), planted.password.secret()),
            ("hall-1", named("hall-1"), planted.password.secret()),
            ("hall-1", "hall-1".to_owned(), planted.wrong.secret()),
            ("hall-2", planted.wrong.secret().to_owned(), planted.wrong.secret()),
        ] {
            let (client, _) =
                MqttClient::plain(bridge.mqtt(), connect(version, id, &user_name, password)).await;
            drop(client);
        }
    }
    let login = connect(Version::V5, "hall-1", "hall-1", planted.password.secret());
    let (mut device, ack) = MqttClient::plain(bridge.mqtt(), login).await;
    assert_eq!(ack.map(|ack| ack.code), Some(ConnectReasonCode::Success));
    drop(gateway.stop().await);
    let stored = device.publish("hall-1/t", "x", QoS::AtLeastOnce).await;
    assert!(stored.is_some(), "it is acknowledged by the spool");
    let (_, metrics) = plain_get(bridge.address("status"), "/metrics").await;
    writings.add("the bridge's metrics", metrics);
    writings.add("the bridge's output", bridge.written());
    let finished = bridge.stop().await;
    writings.add("the bridge's standard output", finished.out);
    writings.add("the bridge's standard error", finished.err);
    writings.add_folder(folder.path());
    writings.assert_says("hall-1/t");
    writings.assert_free_of(&planted.all());
}

async fn simulate(
    gateway: &GatewayProcess,
    ca: &Path,
    credentials: &Path,
    more: &[&str],
    writings: &mut Writings,
) -> Option<i32> {
    let mut command = Command::new(program("latchkey-sim"));
    command.args(["--endpoint", &format!("localhost:{}", gateway.address.port())]).args(more).envs(LOUD);
    command.arg("--ca").arg(ca).arg("--credentials").arg(credentials);
    let finished = Running::start(command).finish().await;
    writings.add("the simulator's standard output", finished.out);
    writings.add("the simulator's standard error", finished.err);
    finished.code
}
