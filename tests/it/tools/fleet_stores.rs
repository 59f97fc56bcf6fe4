//! `latchkey fleet` on a table and on a secret, the real program: an embedded DynamoDB, and moto's Secrets Manager.

use std::{collections::HashMap, fs, path::Path};

use aws_sdk_dynamodb::types::AttributeValue;
use integration::{
    aws,
    dynamodb::{DynamoDb, TABLE},
    emulator::Emulator,
    eventually::until,
    programs::program,
    running::{Finished, Running},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

const SECRET: &str = "latchkey/devices";

/// A store in AWS, as commands name it, and the folder in which they run.
struct Store<'a> {
    endpoint: &'a str,
    name: String,
    folder: TempDir,
}

impl<'a> Store<'a> {
    fn table(database: &'a DynamoDb) -> Self {
        let (name, folder) = (format!("dynamodb:{TABLE}"), tempfile::tempdir().unwrap());
        Self { endpoint: database.endpoint(), name, folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn start(&self, words: &[&str]) -> Running {
        let mut command = Command::new(program("latchkey"));
        command.arg("fleet").arg("--json").args(words).args(["--store", &self.name]);
        command
            .current_dir(&self.folder)
            .env("AWS_ENDPOINT_URL", self.endpoint)
            .env("AWS_REGION", "us-east-1");
        command.envs([("AWS_ACCESS_KEY_ID", "AKIDTEST"), ("AWS_SECRET_ACCESS_KEY", "secret")]);
        for name in
            ["AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "LATCHKEY_STORE", "LATCHKEY_GRANTS"]
        {
            command.env_remove(name);
        }
        let nothing = self.folder.path().join("no-such-file");
        command.env("AWS_CONFIG_FILE", &nothing).env("AWS_SHARED_CREDENTIALS_FILE", &nothing);
        Running::start(command)
    }

    async fn run(&self, words: &[&str]) -> (Option<i32>, Value, Finished) {
        let finished = self.start(words).finish().await;
        (finished.code, serde_json::from_slice(&finished.out).unwrap_or(Value::Null), finished)
    }

    async fn done(&self, words: &[&str]) -> Value {
        let (code, json, finished) = self.run(words).await;
        assert_eq!(code, Some(0), "{words:?}: {}", finished.err());
        json
    }

    async fn refusal(&self, words: &[&str]) -> String {
        let (code, _, finished) = self.run(words).await;
        assert_eq!(code, Some(64), "{words:?}: {}", finished.out());
        finished.err().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What an operator does with a device, from its first day to its last.
    async fn check_a_devices_life(&self) {
        let added = self.done(&["add", "hall-1"]).await;
        assert!(added["password"].as_str().unwrap().len() == 43, "{added}");
        let again = self.refusal(&["add", "hall-1"]).await;
        assert!(again.contains("`hall-1` has a record already: `latchkey fleet rotate 'hall-1'`"), "{again}");
        self.done(&["add", "hall-2", "--grant", "sht20", "--client-id", "panel-1"]).await;
        let taken = self.refusal(&["add", "hall-3", "--client-id", "panel-1"]).await;
        assert!(taken.contains("panel-1") && taken.contains("`hall-2`"), "{taken}");
        self.done(&["rotate", "hall-1", "--old-for", "1h"]).await;
        let shown = self.done(&["show", "hall-1"]).await;
        assert_eq!(shown["verifiers"].as_array().unwrap().len(), 2, "{shown}");
        assert!(!shown.to_string().contains("$sha256$"), "{shown}");
        self.done(&["disable", "hall-1"]).await;
        let disabled = self.done(&["list", "--disabled"]).await;
        assert_eq!((disabled.as_array().unwrap().len(), &disabled[0]["device"]), (1, &json!("hall-1")));
        self.done(&["enable", "hall-1"]).await;
        self.done(&["set", "hall-1", "--grant", "sht20"]).await;
        assert_eq!(self.done(&["list", "--count"]).await["devices"], 2);
        assert_eq!(self.done(&["check"]).await["problems"], json!([]));
        self.done(&["remove", "hall-2", "--yes"]).await;
        self.done(&["add", "panel-1"]).await;
        for words in [
            &["show", "hall-2"][..],
            &["remove", "hall-2", "--yes"],
            &["rotate", "hall-2"],
            &["enable", "hall-2"],
        ] {
            let refusal = self.refusal(words).await;
            assert!(refusal.contains("has no device `hall-2`"), "{refusal}");
        }
    }

    /// Several commands at once on one device, of which each changes another part.
    async fn check_operators_at_once(&self) {
        self.done(&["add", "busy"]).await;
        let commands: [&[&str]; 4] = [
            &["rotate", "busy", "--old-for", "1h"],
            &["disable", "busy"],
            &["set", "busy", "--grant", "sht20"],
            &["set", "busy", "--parameter", "site=hall"],
        ];
        let running = commands.map(|words| self.start(words));
        for (running, words) in running.into_iter().zip(commands) {
            let finished = running.finish().await;
            assert_eq!(finished.code, Some(0), "{words:?}: {}", finished.err());
        }
        let shown = self.done(&["show", "busy"]).await;
        assert_eq!((&shown["enabled"], &shown["grant"]), (&json!(false), &json!("sht20")), "{shown}");
        assert_eq!(
            (&shown["parameters"]["site"], shown["verifiers"].as_array().unwrap().len()),
            (&json!("hall"), 2)
        );

        // A client id has one owner, however many want it.
        let names = ["w-1", "w-2", "w-3", "w-4"];
        let running = names.map(|name| self.start(&["add", name, "--client-id", "wanted"]));
        let mut added = 0;
        for running in running {
            added += usize::from(running.finish().await.code == Some(0));
        }
        assert_eq!(added, 1);
        assert_eq!(self.done(&["check"]).await["problems"], json!([]));
    }
}

#[tokio::test]
async fn every_command_works_on_a_table() {
    let database = DynamoDb::start().await;
    Store::table(&database).check_a_devices_life().await;
}

impl Store<'_> {
    /// `explain`, `lint` and `kit` on this store, whose device `hall-1` has the grant `line` of `more`.
    async fn check_inspections(&self, more: &[&str]) {
        let explain = ["explain", "--device", "hall-1", "--action", "publish", "--topic"];
        let allowed = self.done(&[&explain[..], &["line/hall-1"], more].concat()).await;
        assert_eq!((&allowed["outcome"], &allowed["grant"]), (&json!("allow"), &json!("line")), "{allowed}");
        let (code, denied, _) = self.run(&[&explain[..], &["line/hall-2"], more].concat()).await;
        assert_eq!((code, &denied["outcome"]), (Some(1), &json!("deny")), "{denied}");
        let none = ["explain", "--device", "hall-9", "--action", "connect"];
        let refusal = self.refusal(&[&none[..], more].concat()).await;
        assert!(refusal.contains("has no device `hall-9`"), "{refusal}");
        fs::write(
            self.path().join("event.json"),
            r#"{"protocolData": {"mqtt": {"username": "hall-1", "password": "eA==", "clientId": "hall-1"}}}"#,
        )
        .unwrap();
        let (code, event, _) = self.run(&[&["explain", "--event", "event.json"][..], more].concat()).await;
        assert_eq!((code, &event["reason"]), (Some(1), &json!("wrong_password")), "{event}");

        let (code, found, _) = self.run(&[&["lint", "--fail-on", "note"][..], more].concat()).await;
        let rules = found["findings"].as_array().unwrap().iter().map(|it| (&it["subject"], &it["rule"]));
        let rules = rules.map(|(subject, rule)| format!("{subject} {rule}")).collect::<Vec<_>>();
        assert_eq!(rules, ["\"grant spare\" \"grant-unused\""], "{found}");
        assert_eq!((code, &found["devices"]), (Some(1), &json!(1)));
        fs::write(self.path().join("roots.pem"), device_sim::endpoint::AMAZON_ROOTS).unwrap();
        let kit = ["kit", "hall-1", "--for", "paho", "--ca", "roots.pem"];
        let kit = self.done(&[&kit[..], more].concat()).await;
        assert!(kit["configuration"].as_str().unwrap().contains("hall-1"), "{kit}");
    }
}

const LINE: &str = r#"{"version": 1, "grants": {"line": {"publish": ["line/{client_id}"]}, "spare": {"publish": ["s/{device}"]}}}"#;

#[tokio::test]
async fn explain_lint_and_kit_read_a_table() {
    let database = DynamoDb::start().await;
    let store = Store::table(&database);
    fs::write(store.path().join("grants.json"), LINE).unwrap();
    let grants = ["--grants", "grants.json"];
    store.done(&[&["add", "hall-1", "--grant", "line"][..], &grants].concat()).await;
    store.check_inspections(&grants).await;

    // Without the function's grants the record can't be used, and the message says what is missing.
    let (code, found, _) = store.run(&["lint"]).await;
    assert_eq!((code, &found["findings"][0]["rule"]), (Some(1), &json!("record-unusable")), "{found}");
    database
        .put(&json!({"device": {"S": "broken"}, "scheme": {"S": "password"}, "verifiers": {"S": "x"}}))
        .await;
    let (_, found, _) = store.run(&[&["lint"][..], &grants].concat()).await;
    let finding = &found["findings"][0];
    assert_eq!((&finding["subject"], &finding["rule"]), (&json!("device broken"), &json!("record-unusable")));
    assert!(finding["text"].as_str().unwrap().starts_with("the item `broken`: "), "{finding}");
}

#[tokio::test]
async fn explain_lint_and_kit_read_a_secret() {
    let moto = Emulator::moto().await;
    let client = aws_sdk_secretsmanager::Client::new(&aws::configuration(moto.endpoint()));
    client.create_secret().name(SECRET).secret_string(LINE).send().await.unwrap();
    let (name, folder) = (format!("secretsmanager:{SECRET}"), tempfile::tempdir().unwrap());
    let store = Store { endpoint: moto.endpoint(), name, folder };
    store.done(&["add", "hall-1", "--grant", "line"]).await;
    store.check_inspections(&[]).await;
}

#[tokio::test]
async fn a_dry_run_writes_nothing_to_a_table() {
    let database = DynamoDb::start().await;
    let store = Store::table(&database);
    let record = json!({"scheme": "jwt", "grant": "own-topics"});
    let file = json!({"version": 1, "devices": {"a": record, "b": record}});
    fs::write(store.path().join("devices.json"), file.to_string()).unwrap();
    let (code, report, _) = store.run(&["push", "devices.json", "--dry-run"]).await;
    assert_eq!(
        (code, &report["written"], &report["dry_run"]),
        (Some(0), &json!(2), &json!(true)),
        "{report}"
    );
    assert!(database.items().await.is_empty());
    store.done(&["push", "devices.json"]).await;
    let before = database.items().await;
    let report = store.done(&["push", "devices.json", "--dry-run"]).await;
    assert_eq!((&report["written"], &report["unchanged"]), (&json!(0), &json!(2)), "{report}");
    assert_eq!(database.items().await, before);
}

#[tokio::test]
async fn operators_who_change_a_table_at_once_lose_nothing() {
    let database = DynamoDb::start().await;
    Store::table(&database).check_operators_at_once().await;
}

#[tokio::test]
async fn every_command_works_on_a_secret_and_nothing_is_lost() {
    let moto = Emulator::moto().await;
    let client = aws_sdk_secretsmanager::Client::new(&aws::configuration(moto.endpoint()));
    let empty = json!({"version": 1, "devices": {}}).to_string();
    client.create_secret().name(SECRET).secret_string(empty).send().await.unwrap();
    let (name, folder) = (format!("secretsmanager:{SECRET}"), tempfile::tempdir().unwrap());
    let store = Store { endpoint: moto.endpoint(), name, folder };
    store.check_a_devices_life().await;
    store.check_operators_at_once().await;
    store.done(&["grants", "set", "panel", "--subscribe", "sensor/+/temperature"]).await;
    assert!(store.done(&["grants", "show", "panel"]).await["panel"]["subscribe"].is_array());
}

const GRANTS: &str = r#"{"version": 1, "grants": {
    "site": {"publish": ["{site}/data"]},
    "panel": {"subscribe": ["{site}/data"]},
    "line": {"publish": ["{device}/{product}/data"]}
}}"#;

/// A device as `add` makes it, and its parameter if it has one.
type Wanted<'a> = (&'a [&'a str], Option<&'a str>);

/// The later of two devices that a file would refuse together is refused, in either order.
#[tokio::test]
async fn devices_that_would_share_an_id_or_a_topic_are_refused_whichever_comes_first() {
    let prefix: Wanted<'_> = (&["fleet4", "--client-id", "fleet4-*"], None);
    let pairs: [(Wanted<'_>, Wanted<'_>); 5] = [
        (prefix, (&["fleet4-7"], None)),
        (prefix, (&["b", "--client-id", "fleet4-1-*"], None)),
        ((&["b", "--client-id", "fleet4"], None), (&["fleet4"], None)),
        ((&["a", "--grant", "site"], Some("hall")), (&["b", "--grant", "panel"], Some("hall"))),
        ((&["a", "--grant", "site"], Some("hall")), (&["hall"], None)),
    ];
    for (one, other) in pairs {
        for (first, second) in [(one, other), (other, one)] {
            let database = DynamoDb::start().await;
            let store = Store::table(&database);
            fs::write(store.path().join("grants.json"), GRANTS).unwrap();
            import(&store, first).await.unwrap();
            let refusal = import(&store, second).await.unwrap_err();
            assert!(refusal.contains(&format!("`{}`", first.0[0])), "{first:?} {second:?}: {refusal}");
            let items = database.items().await;
            let records = items.values().filter(|item| item.contains_key("scheme")).count();
            assert_eq!(records, 1, "{items:?}");
            let check = store.done(&["check", "--grants", "grants.json"]).await;
            assert_eq!(
                (&check["problems"], &check["left_over_claims"]),
                (&json!([]), &json!(0)),
                "{second:?}"
            );
        }
    }
}

/// Adds a device by `push`, which can give it a parameter.
async fn import(store: &Store<'_>, (words, site): Wanted<'_>) -> Result<(), String> {
    let option = |name: &str| words.iter().position(|word| *word == name).map(|at| words[at + 1]);
    let mut record = json!({"scheme": "jwt", "grant": option("--grant").unwrap_or("own-topics")});
    if let Some(id) = option("--client-id") {
        record["client_ids"] = json!([id]);
    }
    if let Some(site) = site {
        record["parameters"] = json!({"site": site});
    }
    let mut file = serde_json::from_str::<Value>(GRANTS).unwrap();
    file["devices"] = json!({words[0]: record});
    fs::write(store.path().join("device.json"), file.to_string()).unwrap();
    let (code, report, finished) = store.run(&["push", "device.json"]).await;
    match code {
        Some(0) => Ok(()),
        _ => Err(format!("{report} {}", finished.err())),
    }
}

#[tokio::test]
async fn import_that_was_killed_goes_on_and_leaves_nothing_half_done() {
    let database = DynamoDb::start().await;
    let store = Store::table(&database);
    let hash = format!("$7$101$AAECAwQFBgcICQoL${}AA==", "A".repeat(84));
    let users = (0..400).map(|n| format!("user-{n}:{hash}")).collect::<Vec<_>>().join("\n");
    fs::write(store.path().join("passwd"), users).unwrap();
    let words = ["import", "passwd", "--mosquitto", "--grant", "sht20"];
    let running = store.start(&words);
    until("a record", async || !database.items().await.is_empty()).await;
    drop(running);
    let before = database.items().await.len();
    assert!(before < 400, "it was over before it was killed");
    store.done(&words).await;
    let items = database.items().await;
    assert!(items.len() == 400 && items.values().all(|item| item.contains_key("scheme")), "{}", items.len());
    assert_eq!(store.done(&["check"]).await["problems"], json!([]));
}

#[tokio::test]
async fn table_of_an_earlier_version_is_checked_and_repaired() {
    let database = DynamoDb::start().await;
    let store = Store::table(&database);
    let record = |name: &str, ids: &[&str]| {
        let ids = ids.iter().map(|id| json!({"S": id})).collect::<Vec<_>>();
        json!({"device": {"S": name}, "schema_version": {"N": "1"}, "scheme": {"S": "jwt"},
            "grant": {"S": "own-topics"}, "client_ids": {"L": ids}})
    };
    database.put(&record("a", &["x", "a-*"])).await;
    database.put(&record("b", &["b"])).await;
    database.put(&json!({"device": {"S": "gone-1"}, "owner": {"S": "gone"}})).await;
    let (code, report, _) = store.run(&["check"]).await;
    let counts = |report: &Value| (report["missing_claims"].clone(), report["left_over_claims"].clone());
    assert_eq!((code, counts(&report)), (Some(1), (json!(1), json!(1))), "{report}");
    let repaired = store.done(&["check", "--repair"]).await;
    assert_eq!(counts(&repaired), (json!(1), json!(1)), "{repaired}");
    assert_eq!(counts(&store.done(&["check"]).await), (json!(0), json!(0)));
    let items = database.items().await;
    assert_eq!(owner(&items, "x"), Some("a"));
    assert!(!items.contains_key("gone-1"));
    for words in [&["add", "x"][..], &["add", "a-1"]] {
        assert!(store.refusal(words).await.contains("`a`"), "{words:?}");
    }

    // Two records that some other program wrote, and an item that is not a record.
    database.put(&record("c", &["b-2"])).await;
    database.put(&record("d", &["b-2"])).await;
    database.put(&json!({"device": {"S": "e"}, "schema_version": {"N": "1"}, "scheme": {"S": "jwt"}})).await;
    let (code, report, _) = store.run(&["check", "--repair"]).await;
    let problems = report["problems"].to_string();
    assert!(code == Some(1) && problems.contains("`c` and `d`"), "{problems}");
    assert!(problems.contains("device `e`: missing field `grant`"), "{problems}");
}

fn owner<'a>(items: &'a HashMap<String, HashMap<String, AttributeValue>>, key: &str) -> Option<&'a str> {
    items.get(key)?.get("owner")?.as_s().ok().map(String::as_str)
}
