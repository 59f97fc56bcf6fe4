//! `latchkey fleet revoke`, the real program: against the gateway with clients connected, and with a table.

use std::{collections::BTreeSet, fs, path::Path};

use aws_sdk_dynamodb::types::AttributeValue;
use device_auth::record::ClientIdRule;
use gateway::api::key::ApiFile;
use integration::{
    cloud::outputs,
    dynamodb::{DynamoDb, TABLE},
    eventually::until,
    fake_aws::{Act, FakeAws},
    mqtt_client::{MqttClient, connect},
    programs::program,
    refusing::{Refusal, Refusing},
    running::{Finished, Running},
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{ConnectReasonCode, Version};
use serde_json::{Value, json};
use tokio::process::Command;

const HASH: &str = "$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po";

/// Where calls go, and the key that signs them.
struct Api {
    variables: Vec<(&'static str, String)>,
}

impl Api {
    fn of_gateway(gateway: &TestGateway) -> Self {
        let ApiFile { endpoint, region, key } = ApiFile::read(gateway.folder.path()).unwrap();
        Self {
            variables: vec![
                ("AWS_ENDPOINT_URL", endpoint),
                ("AWS_REGION", region),
                ("AWS_ACCESS_KEY_ID", key.id.clone()),
                ("AWS_SECRET_ACCESS_KEY", key.secret.to_string()),
            ],
        }
    }

    /// A table, and the data plane that `endpoint` plays.
    fn of_table(database: &DynamoDb, endpoint: &str) -> Self {
        Self {
            variables: vec![
                ("AWS_ENDPOINT_URL", database.endpoint().to_owned()),
                ("AWS_ENDPOINT_URL_IOT_DATA_PLANE", endpoint.to_owned()),
                ("AWS_REGION", "us-east-1".to_owned()),
                ("AWS_ACCESS_KEY_ID", "AKIDTEST".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ],
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn start(&self, folder: &Path, words: &[&str]) -> Running {
        let mut command = Command::new(program("latchkey"));
        command.arg("fleet").args(words).current_dir(folder);
        for name in ["AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "LATCHKEY_STORE"] {
            command.env_remove(name);
        }
        let nothing = folder.join("no-such-file");
        command.env("AWS_CONFIG_FILE", &nothing).env("AWS_SHARED_CREDENTIALS_FILE", &nothing);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Running::start(command)
    }

    async fn run(&self, folder: &Path, words: &[&str]) -> (Option<i32>, Value, Finished) {
        let finished = self.start(folder, &[&["--json"], words].concat()).finish().await;
        (finished.code, serde_json::from_slice(&finished.out).unwrap_or(Value::Null), finished)
    }
}

const STORE: [&str; 2] = ["--store", "devices.json"];

fn with_store<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [words, &STORE].concat()
}

fn records(gateway: &TestGateway) -> Value {
    serde_json::from_slice(&fs::read(gateway.folder.path().join("devices.json")).unwrap()).unwrap()
}

async fn admitted(gateway: &TestGateway, name: &str, client_id: &str, password: &str) -> bool {
    let (_, ack) = MqttClient::connect(gateway, connect(Version::V5, client_id, name, password)).await;
    ack.is_some_and(|ack| ack.code == ConnectReasonCode::Success)
}

fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_revoked_device_is_out_and_undo_accepts_it_again() {
    let gateway = Start::with_authorizer().run().await;
    let (one, other) = (gateway.add("hall-1", "own-topics"), gateway.add("hall-2", "own-topics"));
    gateway.add("hall-3", "own-topics");
    gateway.change("hall-3", |record| record.enabled = false);
    let mut client = MqttClient::connected(&gateway, connect(Version::V5, "hall-1", "hall-1", &one)).await;
    let mut bystander =
        MqttClient::connected(&gateway, connect(Version::V5, "hall-2", "hall-2", &other)).await;
    client.subscribe(&["hall-1/a"], mqtt::QoS::AtMostOnce).await.unwrap();
    let (api, folder) = (Api::of_gateway(&gateway), gateway.folder.path());

    let words = with_store(&["revoke", "hall-1", "hall-3", "--dry-run"]);
    let (code, report, finished) = api.run(folder, &words).await;
    assert_eq!((code, &report["would_disable"]), (Some(0), &json!(["hall-1"])), "{}", finished.err());
    let connected = &report["connected"];
    assert_eq!(connected.as_array().unwrap().len(), 1, "{report}");
    assert_eq!((&connected[0]["client_id"], &connected[0]["subscriptions"]), (&json!("hall-1"), &json!(1)));
    client.ping().await;

    // Several devices need a yes.
    let words = with_store(&["revoke", "hall-1", "hall-3"]);
    let (code, _, finished) = api.run(folder, &words).await;
    assert_eq!(code, Some(64));
    assert!(
        joined(&finished.err()).contains("2 devices would be revoked: add `--yes`"),
        "{}",
        finished.err()
    );
    assert!(records(&gateway)["devices"]["hall-1"]["enabled"] != json!(false));

    let (code, report, finished) = api.run(folder, &[&words[..], &["--yes"]].concat()).await;
    assert_eq!((code, &report["complete"]), (Some(0), &json!(true)), "{report}{}", finished.err());
    assert_eq!(
        report["devices"][0],
        json!({
            "device": "hall-1", "record": "disabled", "unknown": [],
            "clients": [{"client_id": "hall-1", "ended": 1, "state": "out"}],
        })
    );
    assert_eq!(report["devices"][1]["record"], "was_disabled");
    assert_eq!(report["worst_case"]["connections_seconds"], 3_900);
    assert_eq!(client.ended().await, Some(u8::from(mqtt::DisconnectReasonCode::AdministrativeAction)));
    assert!(!admitted(&gateway, "hall-1", "hall-1", &one).await);
    bystander.ping().await;

    // Again: there is nothing to change, and nothing to undo.
    let (code, report, _) = api.run(folder, &with_store(&["revoke", "hall-1"])).await;
    assert_eq!((code, &report["undo"]), (Some(0), &Value::Null), "{report}");

    let file = fs::read_dir(folder.join(".latchkey")).unwrap().next().unwrap().unwrap().path();
    let file = file.to_str().unwrap();
    let (code, _, finished) = api.run(folder, &["revoke", "undo", file, "--store", "other.json"]).await;
    assert_eq!(code, Some(64));
    assert!(joined(&finished.err()).contains("is about the store `devices.json`"), "{}", finished.err());
    let (_, report, _) = api.run(folder, &with_store(&["revoke", "undo", file, "--dry-run"])).await;
    assert_eq!(report["enabled"], json!(["hall-1"]));
    let (code, report, _) = api.run(folder, &with_store(&["revoke", "undo", file])).await;
    assert_eq!((code, &report["enabled"]), (Some(0), &json!(["hall-1"])));
    assert!(admitted(&gateway, "hall-1", "hall-1", &one).await);
    // Undone once, it is not undone again, and what was disabled before stays disabled.
    let (_, report, _) = api.run(folder, &with_store(&["revoke", "undo", file])).await;
    assert_eq!(report["enabled"], json!([]));
    assert_eq!(records(&gateway)["devices"]["hall-3"]["enabled"], json!(false));
}

#[tokio::test]
async fn client_ids_below_a_prefix_are_not_known_unless_they_are_named() {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("sdk", "own-topics");
    gateway.change("sdk", |record| {
        record.client_ids = Some(vec![ClientIdRule::try_from("sdk-*".to_owned()).unwrap()]);
    });
    let mut client = MqttClient::connected(&gateway, connect(Version::V5, "sdk-7", "sdk", &password)).await;
    let (api, folder) = (Api::of_gateway(&gateway), gateway.folder.path());
    let (code, _, finished) = api.run(folder, &with_store(&["revoke", "sdk", "--client-id", "x"])).await;
    assert!(code == Some(64) && joined(&finished.err()).contains("`x` is no client id of `sdk`"));
    client.ping().await;
    let finished = api.start(folder, &with_store(&["revoke", "sdk"])).finish().await;
    assert_eq!(finished.code, Some(0), "{}", finished.err());
    let out = finished.out();
    let text = joined(&out);
    assert!(text.contains("records 1 record disabled, in the file `devices.json`"), "{text}");
    assert!(text.contains("not known `sdk-*` of `sdk`: AWS IoT can't list such client ids."), "{text}");
    assert!(text.contains("a connection that this command does not see ends after 1h 5m"), "{text}");
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    client.ping().await;
    let (code, report, _) = api.run(folder, &with_store(&["revoke", "sdk", "--client-id", "sdk-7"])).await;
    assert_eq!((code, &report["devices"][0]["clients"][0]["state"]), (Some(0), &json!("out")), "{report}");
    client.closed().await;
}

#[tokio::test]
async fn a_device_that_comes_back_is_ended_again_and_reported() {
    // The function's cache accepts it whatever the record says.
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.run().await;
    let folder = gateway.folder.path();
    let record = json!({"scheme": "password", "verifiers": [{"verifier": HASH}], "grant": "own-topics"});
    fs::write(folder.join("devices.json"), json!({"version": 1, "devices": {"hall-1": record}}).to_string())
        .unwrap();
    let api = Api::of_gateway(&gateway);
    let coming_back = async {
        loop {
            let mut client = MqttClient::anybody(&gateway, Version::V5, "hall-1").await;
            client.closed().await;
        }
    };
    let words = with_store(&["revoke", "hall-1", "--cache", "1s", "--wait", "3s"]);
    let (code, report, finished) = tokio::select! {
        () = coming_back => unreachable!(),
        done = api.run(folder, &words) => done,
    };
    assert_eq!(code, Some(1), "{report}{}", finished.err());
    let client = &report["devices"][0]["clients"][0];
    assert!(client["ended"].as_u64().unwrap() > 1 && client["state"] == "connected", "{report}");
    assert_eq!((&report["complete"], &report["devices"][0]["record"]), (&json!(false), &json!("disabled")));
}

#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_ends_the_watch_and_says_how_to_go_on() {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("hall-1", "own-topics");
    let mut client =
        MqttClient::connected(&gateway, connect(Version::V5, "hall-1", "hall-1", &password)).await;
    let api = Api::of_gateway(&gateway);
    let running = api.start(gateway.folder.path(), &with_store(&["revoke", "hall-1", "--cache", "1h"]));
    client.closed().await;
    running.interrupt();
    let finished = running.finish().await;
    assert_eq!(finished.code, Some(130), "{}", finished.err());
    let text = joined(&finished.out());
    assert!(text.contains("not checked `hall-1`") && text.contains("next the same command again"), "{text}");
}

/// A table with this many devices, of which the last one is disabled.
async fn table(devices: usize) -> (DynamoDb, Vec<String>) {
    let database = DynamoDb::start().await;
    let names = (0..devices).map(|n| format!("hall-{n:04}")).collect::<Vec<_>>();
    for name in &names {
        let enabled = Some(name) != names.last();
        let item = json!({
            "device": {"S": name}, "schema_version": {"N": "1"}, "scheme": {"S": "password"},
            "grant": {"S": "own-topics"}, "enabled": {"BOOL": enabled},
            "verifiers": {"L": [{"M": {"verifier": {"S": HASH}}}]},
        });
        database.put(&item).await;
    }
    (database, names)
}

async fn enabled(database: &DynamoDb) -> BTreeSet<String> {
    let items = database.items().await.into_iter();
    let enabled = items.filter(|(_, item)| item.get("enabled") == Some(&AttributeValue::Bool(true)));
    enabled.map(|(name, _)| name).collect()
}

/// A data plane without any connection.
async fn nobody_connected() -> FakeAws {
    FakeAws::start([Act::error(404, "ResourceNotFoundException")]).await
}

const ON_TABLE: [&str; 2] = ["--store", "dynamodb:latchkey-devices"];

#[tokio::test]
async fn a_bulk_revocation_that_is_killed_is_completed_by_the_next_one_and_undone_by_both_files() {
    assert!(ON_TABLE[1].ends_with(TABLE));
    let (database, names) = table(150).await;
    let before = enabled(&database).await;
    assert_eq!(before.len(), 149);
    let (nobody, folder) = (nobody_connected().await, tempfile::tempdir().unwrap());
    let (api, folder) = (Api::of_table(&database, nobody.endpoint()), folder.path());
    fs::write(folder.join("list.txt"), names.join("\n")).unwrap();
    let words = ["revoke", "--from-file", "list.txt", "--yes", "--cache", "0s", ON_TABLE[0], ON_TABLE[1]];
    let running = api.start(folder, &words);
    until("the first changes", async || enabled(&database).await.len() < 149).await;
    running.kill().await;
    let left = enabled(&database).await.len();
    assert!(left > 0, "the kill came too late");

    let (code, report, finished) = api.run(folder, &words).await;
    assert_eq!((code, &report["complete"]), (Some(0), &json!(true)), "{}", finished.err());
    let disabled =
        report["devices"].as_array().unwrap().iter().filter(|it| it["record"] == "disabled").count();
    assert_eq!((disabled, enabled(&database).await.len()), (left, 0));

    let files = fs::read_dir(folder.join(".latchkey")).unwrap();
    let files = files.map(|file| file.unwrap().path().to_str().unwrap().to_owned()).collect::<Vec<_>>();
    let undo = ["revoke", "undo", &files[0], &files[1], ON_TABLE[0], ON_TABLE[1]];
    // An undo that is killed goes on too.
    let running = api.start(folder, &undo);
    until("the first changes", async || !enabled(&database).await.is_empty()).await;
    running.kill().await;
    let (code, report, finished) = api.run(folder, &undo).await;
    assert_eq!((code, &report["complete"]), (Some(0), &json!(true)), "{}", finished.err());
    assert_eq!(enabled(&database).await, before);
}

#[tokio::test]
async fn a_name_without_a_record_stops_a_list_unless_it_is_to_go_on() {
    let (database, names) = table(3).await;
    let (nobody, folder) = (nobody_connected().await, tempfile::tempdir().unwrap());
    let (api, folder) = (Api::of_table(&database, nobody.endpoint()), folder.path());
    fs::write(folder.join("list.txt"), format!("{}\nnobody\n", names[0])).unwrap();
    let words = ["revoke", "--from-file", "list.txt", "--yes", "--cache", "0s", ON_TABLE[0], ON_TABLE[1]];
    let (code, _, finished) = api.run(folder, &words).await;
    assert_eq!((code, enabled(&database).await.len()), (Some(64), 2));
    let text = joined(&finished.err());
    assert!(
        text.contains("1 name without a record; no record was changed") && text.contains("`nobody`"),
        "{text}"
    );
    let (code, report, _) = api.run(folder, &[&words[..], &["--keep-going"]].concat()).await;
    assert_eq!((code, &report["missing"]), (Some(1), &json!(["nobody"])), "{report}");
    assert_eq!(enabled(&database).await.len(), 1);

    let (code, _, finished) =
        api.run(folder, &["revoke", "--all-of-grant", "x", ON_TABLE[0], ON_TABLE[1]]).await;
    assert!(code == Some(64) && joined(&finished.err()).contains("no device has the grant `x`"));
    let words =
        ["revoke", "--all-of-grant", "own-topics", "--yes", "--cache", "0s", ON_TABLE[0], ON_TABLE[1]];
    let (code, report, _) = api.run(folder, &words).await;
    assert_eq!((code, report["devices"].as_array().unwrap().len()), (Some(0), 3), "{report}");
    assert_eq!(enabled(&database).await.len(), 0);
}

#[tokio::test]
async fn nothing_is_changed_if_connections_cant_be_ended() {
    let (database, names) = table(2).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let words = ["revoke", &names[0], "--cache", "0s", ON_TABLE[0], ON_TABLE[1]];
    for (code, part) in [
        (
            "ExpiredTokenException",
            "AWS does not accept the credentials (ExpiredTokenException): sign in again",
        ),
        (
            "ForbiddenException",
            "AWS refused iot:GetConnection (ForbiddenException: told so): the credentials lack",
        ),
    ] {
        let fake = FakeAws::start([Act::error(403, code)]).await;
        let api = Api::of_table(&database, fake.endpoint());
        let (exit, _, finished) = api.run(folder, &words).await;
        let text = joined(&finished.err());
        assert!(exit == Some(64) && text.contains(part) && text.contains("no record was changed"), "{text}");
    }
    // Another account or region than the deployment's, which its thing type shows.
    let found = |arn: &str| Act::Answer(200, json!({"thingTypeArn": arn}).to_string());
    for (answer, part) in [
        (
            found("arn:aws:iot:us-east-1:999999999999:thingtype/latchkey-dev-sht20"),
            "these credentials lead to the account 999999999999 and the region us-east-1",
        ),
        (
            found("arn:aws:iot:eu-west-1:123456789012:thingtype/latchkey-dev-sht20"),
            "these credentials lead to the account 123456789012 and the region eu-west-1",
        ),
        (
            Act::error(404, "ResourceNotFoundException"),
            "there is no thing type `latchkey-dev-sht20` of the stage `dev` in this account and region",
        ),
        (Act::error(403, "AccessDeniedException"), "the credentials may not iot:DescribeThingType"),
    ] {
        let iot = FakeAws::start([answer]).await;
        let nobody = nobody_connected().await;
        let api = Api::of_table(&database, nobody.endpoint()).with("AWS_ENDPOINT_URL_IOT", iot.endpoint());
        fs::write(folder.join("cdk-outputs.json"), outputs("dev").to_string()).unwrap();
        let (exit, _, finished) = api.run(folder, &words).await;
        let text = joined(&finished.err());
        assert!(exit == Some(64) && text.contains(part), "{text}");
        assert_eq!((enabled(&database).await.len(), nobody.calls().len()), (1, 0));
    }

    // A file's device may be anywhere.
    let alone = tempfile::tempdir().unwrap();
    fs::write(alone.path().join("devices.json"), r#"{"version":1,"devices":{}}"#).unwrap();
    let record = json!({"scheme": "password", "verifiers": [{"verifier": HASH}], "grant": "own-topics"});
    let store = json!({"version": 1, "devices": {"hall-1": record}}).to_string();
    fs::write(alone.path().join("devices.json"), &store).unwrap();
    let nowhere = Api { variables: vec![("AWS_REGION", "us-east-1".to_owned())] };
    let (exit, _, finished) = nowhere.run(alone.path(), &with_store(&["revoke", "hall-1"])).await;
    let text = joined(&finished.err());
    assert!(exit == Some(64) && text.contains("run `eval \"$(latchkey local env)\"`"), "{text}");
    assert_eq!(fs::read_to_string(alone.path().join("devices.json")).unwrap(), store);
}

#[tokio::test]
async fn a_throttled_call_is_repeated_and_a_refused_one_leaves_a_report() {
    let (database, names) = table(2).await;
    let folder = tempfile::tempdir().unwrap();
    let words = ["revoke", &names[0], "--cache", "0s", ON_TABLE[0], ON_TABLE[1]];
    let throttled = Act::error(429, "ThrottlingException");
    let fake = FakeAws::start([throttled, Act::error(404, "ResourceNotFoundException")]).await;
    let api = Api::of_table(&database, fake.endpoint());
    let (code, report, finished) = api.run(folder.path(), &words).await;
    assert_eq!((code, &report["complete"]), (Some(0), &json!(true)), "{}", finished.err());
    assert!(enabled(&database).await.is_empty());

    // The table refuses the change of the record; its connection is left alone.
    let (database, names) = table(2).await;
    let refusal = Refusal { part: "UpdateItem", times: 100, code: "AccessDeniedException" };
    let refusing = Refusing::start(database.endpoint(), refusal).await;
    let nobody = nobody_connected().await;
    let api = Api::of_table(&database, nobody.endpoint()).with("AWS_ENDPOINT_URL", refusing.endpoint());
    let words = ["revoke", &names[0], "--cache", "0s", ON_TABLE[0], ON_TABLE[1]];
    let (code, report, finished) = api.run(folder.path(), &words).await;
    assert_eq!((code, &report["complete"]), (Some(1), &json!(false)), "{}", finished.err());
    assert!(
        report["stopped"].as_str().unwrap().contains("the credentials may not dynamodb:UpdateItem"),
        "{report}"
    );
    assert_eq!(report["devices"][0]["record"], "unchanged");
    assert_eq!((enabled(&database).await.len(), nobody.calls().len()), (1, 1));
}
