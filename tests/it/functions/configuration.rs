//! Records and a keyring that change while the gateway and the real authorizer run, as the programs of an operator change
//! them: a part that can't be used refuses its own device and no other, and is used as soon as it can be.

use std::{fs, path::Path};

use integration::{
    eventually::eventually,
    fixture,
    gateway_process::{AT_ANY_RATE, GatewayProcess},
    mqtt_client::{MqttClient, connect},
    programs::program,
    running::Running,
};
use mqtt::{Connect, ConnectReasonCode, Version};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// A folder in which a person runs `latchkey local` and `latchkey fleet`.
struct Place {
    folder: TempDir,
    gateway: GatewayProcess,
    /// What the device `hall-1` presents.
    hall: Connect,
    /// What a device of Alibaba presents, which is added later.
    vendor: Connect,
}

/// The device, its client id and its secret.
fn vector() -> (String, String, String, Connect) {
    let all = fixture::json::<Vec<Value>>("../../crates/credentials/tests/vectors/alibaba.json");
    let text = |key: &str| all[0][key].as_str().unwrap().to_owned();
    let connect = connect(Version::V5, &text("client_id"), &text("user_name"), &text("password"));
    let id = text("client_id").split('|').next().unwrap().to_owned();
    (text("user_name"), id, text("device_secret"), connect)
}

async fn fleet(folder: &Path, words: &[&str], input: &str) -> Value {
    let mut command = Command::new(program("latchkey"));
    command.args(["fleet", "--json"]).args(words).current_dir(folder);
    for name in ["LATCHKEY_STORE", "LATCHKEY_DATA_KEYS"] {
        command.env_remove(name);
    }
    let mut running = Running::start(command);
    running.input(input.as_bytes()).await;
    let finished = running.finish().await;
    assert_eq!(finished.code, Some(0), "{words:?}: {}", finished.err());
    serde_json::from_slice(&finished.out).unwrap_or(Value::Null)
}

impl Place {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let added = fleet(folder.path(), &["add", "hall-1"], "").await;
        let hall = connect(Version::V5, "hall-1", "hall-1", added["password"].as_str().unwrap());
        let data = folder.path().join(".latchkey");
        fs::write(data.join("latchkey.toml"), AT_ANY_RATE).unwrap();
        let gateway = GatewayProcess::start(&data, "latchkey-authorizer", true, &[]).await;
        Self { folder, gateway, hall, vendor: vector().3 }
    }

    /// The README's flow: a keyring, and a device whose secret is sealed under it.
    async fn add_vendors_device(&self) {
        let (device, id, secret, _) = vector();
        fleet(self.folder.path(), &["keys", "new", "k1"], "").await;
        let words = ["add", &device, "--scheme", "alibaba", "--client-id", &id, "--secret-stdin"];
        fleet(self.folder.path(), &words, &secret).await;
    }

    async fn answer(&self, connect: &Connect) -> ConnectReasonCode {
        let (_, answer) = MqttClient::connect(&self.gateway, connect.clone()).await;
        answer.expect("a CONNACK").code
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(".latchkey").join(name)
    }

    /// How many lines of the log say that the records are not those of the files.
    fn stale_lines(&self) -> usize {
        let log = fs::read_to_string(self.file("events.jsonl")).unwrap_or_default();
        log.lines().filter(|line| line.contains("records_not_usable")).count()
    }
}

#[tokio::test]
async fn a_keyring_and_a_record_that_are_made_while_the_gateway_runs_let_their_device_in() {
    let place = Place::start().await;
    assert_eq!(place.answer(&place.hall).await, ConnectReasonCode::Success);
    assert_eq!(place.answer(&place.vendor).await, ConnectReasonCode::NotAuthorized);
    place.add_vendors_device().await;
    assert_eq!(place.answer(&place.hall).await, ConnectReasonCode::Success);
    assert_eq!(place.answer(&place.vendor).await, ConnectReasonCode::Success);
    assert_eq!(place.stale_lines(), 0);
}

/// Changes a file of the data folder.
type Damage = fn(&Place);

/// What can be wrong with the files as a whole: the last usable ones stay in force.
const OF_ALL: [(&str, Damage); 10] = [
    ("half a file", |place| fs::write(place.file("devices.json"), "{").unwrap()),
    ("an empty file", |place| fs::write(place.file("devices.json"), "").unwrap()),
    ("no text", |place| fs::write(place.file("devices.json"), b"\xff\xfe").unwrap()),
    ("no file", |place| fs::remove_file(place.file("devices.json")).unwrap()),
    ("another version", |place| edit(place, |store| store["version"] = 2.into())),
    ("an unknown key", |place| edit(place, |store| store["device"] = Value::Null)),
    ("two owners of a client id", |place| {
        edit(place, |store| {
            let record = store["devices"]["hall-1"].clone();
            store["devices"]["hall-2"] = record;
            store["devices"]["hall-2"]["client_ids"] = serde_json::json!(["hall-1"]);
        });
    }),
    ("a grant that is none", |place| {
        edit(place, |store| store["grants"] = serde_json::json!({"g": {"publish": "a"}}));
    }),
    ("no keyring", |place| fs::remove_file(place.file("keyring.json")).unwrap()),
    ("half a keyring", |place| fs::write(place.file("keyring.json"), "{").unwrap()),
];

/// What can be wrong with one record: it refuses its own device.
const OF_ONE: [(&str, Damage); 4] = [
    ("another key's secret", |place| edit(place, |store| vendors(store)["secrets"] = serde_json::json!([]))),
    ("an unknown field", |place| edit(place, |store| vendors(store)["nmae"] = 1.into())),
    ("an unknown grant", |place| edit(place, |store| vendors(store)["grant"] = "none".into())),
    ("no object", |place| edit(place, |store| *vendors(store) = 5.into())),
];

fn vendors(store: &mut Value) -> &mut Value {
    &mut store["devices"][vector().0.as_str()]
}

fn edit(place: &Place, change: impl FnOnce(&mut Value)) {
    let path = place.file("devices.json");
    let mut store = serde_json::from_str::<Value>(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut store);
    fs::write(path, store.to_string()).unwrap();
}

#[tokio::test]
async fn a_part_of_the_configuration_that_can_not_be_used_takes_nobody_else_down() {
    let place = Place::start().await;
    place.add_vendors_device().await;
    // The function reads the files at a look-up: now they are the last usable ones.
    assert_eq!(place.answer(&place.vendor).await, ConnectReasonCode::Success);
    let kept = ["devices.json", "keyring.json"].map(|name| (name, fs::read(place.file(name)).unwrap()));
    let cases = OF_ALL.map(|case| (case, ConnectReasonCode::Success)).into_iter();
    let cases = cases.chain(OF_ONE.map(|case| (case, ConnectReasonCode::NotAuthorized)));
    for ((what, damage), vendors) in cases {
        let before = place.stale_lines();
        damage(&place);
        assert_eq!(place.answer(&place.hall).await, ConnectReasonCode::Success, "{what}");
        assert_eq!(place.answer(&place.vendor).await, vendors, "{what}");
        if vendors == ConnectReasonCode::Success {
            // An error line at each attempt.
            eventually(what, || (place.stale_lines() >= before + 2).then_some(())).await;
        }
        for (name, bytes) in &kept {
            fs::write(place.file(name), bytes).unwrap();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                fs::set_permissions(place.file(name), fs::Permissions::from_mode(0o600)).unwrap();
            }
        }
        for connect in [&place.hall, &place.vendor] {
            assert_eq!(place.answer(connect).await, ConnectReasonCode::Success, "after {what}");
        }
    }
}
