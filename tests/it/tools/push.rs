//! `latchkey fleet push` and `import --store dynamodb:…`, the real program, with an embedded DynamoDB.

use std::{collections::HashMap, fs, path::Path};

use aws_sdk_dynamodb::types::AttributeValue;
use device_auth::verifier::Verifier;
use integration::{
    dynamodb::{DynamoDb, TABLE},
    programs::program,
    refusing::{Refusal, Refusing},
    running::{Finished, Running},
};
use serde_json::{Value, json};
use tokio::process::Command;

const HASH: &str = "$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po";

async fn fleet(database: &DynamoDb, folder: &Path, words: &[&str]) -> (Option<i32>, Value, Finished) {
    fleet_at(database.endpoint(), folder, words).await
}

async fn fleet_at(endpoint: &str, folder: &Path, words: &[&str]) -> (Option<i32>, Value, Finished) {
    let mut command = Command::new(program("latchkey"));
    command.arg("fleet").arg("--json").args(words).args(["--store", &format!("dynamodb:{TABLE}")]);
    command.current_dir(folder).env("AWS_ENDPOINT_URL", endpoint).env("AWS_REGION", "us-east-1");
    command.envs([("AWS_ACCESS_KEY_ID", "AKIDTEST"), ("AWS_SECRET_ACCESS_KEY", "secret")]);
    for name in ["AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "LATCHKEY_STORE"] {
        command.env_remove(name);
    }
    let nothing = folder.join("no-such-file");
    command.env("AWS_CONFIG_FILE", &nothing).env("AWS_SHARED_CREDENTIALS_FILE", &nothing);
    let finished = Running::start(command).finish().await;
    (finished.code, serde_json::from_slice(&finished.out).unwrap_or(Value::Null), finished)
}

fn verifier(item: &HashMap<String, AttributeValue>) -> &str {
    item["verifiers"].as_l().unwrap()[0].as_m().unwrap()["verifier"].as_s().unwrap()
}

fn records(devices: &[&str]) -> String {
    let record = json!({"scheme": "password", "verifiers": [{"verifier": HASH}], "grant": "own"});
    let devices = devices.iter().map(|name| ((*name).to_owned(), record.clone()));
    let devices = devices.collect::<serde_json::Map<_, _>>();
    json!({"version": 1, "grants": {"own": {"publish": ["{client_id}/x"]}}, "devices": devices}).to_string()
}

#[tokio::test]
async fn push_writes_the_records_that_a_table_does_not_have() {
    let (database, folder) = (DynamoDb::start().await, tempfile::tempdir().unwrap());
    let folder = folder.path();
    fs::write(folder.join("devices.json"), records(&["a", "b"])).unwrap();
    let (code, report, finished) = fleet(&database, folder, &["push", "devices.json"]).await;
    assert_eq!((code, &report["written"]), (Some(0), &json!(2)), "{}", finished.err());
    assert!(finished.err().contains("a table has no grants: give the function `own`"), "{}", finished.err());
    let items = database.items().await;
    assert!(items.len() == 2 && verifier(&items["a"]) == HASH, "{items:?}");

    // The same command changes nothing, and a record that somebody changed stays.
    database
        .put(&json!({"device": {"S": "b"}, "schema_version": {"N": "1"}, "scheme": {"S": "password"},
        "grant": {"S": "own"}, "enabled": {"BOOL": false}}))
        .await;
    fs::write(folder.join("devices.json"), records(&["a", "b", "c"])).unwrap();
    let (code, report, _) = fleet(&database, folder, &["push", "devices.json"]).await;
    let expected = json!({"written": 1, "unchanged": 1, "different": ["b"], "complete": false});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&report[field], value, "{report}");
    }
    assert_eq!(code, Some(1));
    assert_eq!(database.items().await["b"]["enabled"], AttributeValue::Bool(false));
}

#[tokio::test]
async fn three_hundred_mosquitto_users_are_imported_to_a_table() {
    let (database, folder) = (DynamoDb::start().await, tempfile::tempdir().unwrap());
    let folder = folder.path();
    let hash = format!("$7$101$AAECAwQFBgcICQoL${}AA==", "A".repeat(84));
    let passwords = (0..300).map(|n| format!("user-{n}:{hash}")).collect::<Vec<_>>();
    fs::write(folder.join("passwd"), passwords.join("\n")).unwrap();
    let import = ["import", "passwd", "--mosquitto", "--grant", "sht20"];
    let (code, report, finished) = fleet(&database, folder, &import).await;
    assert_eq!((code, &report["imported"]), (Some(0), &json!(300)), "{}", finished.err());
    let items = database.items().await;
    assert!(items.len() == 300 && verifier(&items["user-299"]) == hash);
    assert!(Verifier::try_from(verifier(&items["user-0"]).to_owned()).is_ok());

    // Again, with one user more and one whose hash is another.
    let other = hash.replacen("AAEC", "BBEC", 1);
    fs::write(folder.join("passwd"), format!("user-0:{hash}\nuser-1:{other}\nuser-300:{hash}\n")).unwrap();
    let (code, _, finished) = fleet(&database, folder, &import).await;
    let refusal = "line 2: the device has another record already; `--skip-existing` leaves it unchanged";
    assert!(code == Some(64) && finished.err().contains(refusal), "{}", finished.err());
    assert_eq!(database.items().await.len(), 300);
    let (code, report, _) = fleet(&database, folder, &[&import[..], &["--skip-existing"]].concat()).await;
    assert_eq!((code, &report["imported"], &report["skipped"]), (Some(0), &json!(1), &json!(1)), "{report}");
    assert_eq!(database.items().await.len(), 301);

    // A bad line, and a grant that no file names.
    fs::write(folder.join("passwd"), "user-400:hunter2\n").unwrap();
    let (code, _, finished) = fleet(&database, folder, &import).await;
    assert!(code == Some(64) && finished.err().contains("line 1: it is not a hash"), "{}", finished.err());
    let (code, _, finished) =
        fleet(&database, folder, &["import", "passwd", "--mosquitto", "--grant", "x"]).await;
    assert!(code == Some(64) && !finished.err().contains("hunter2"), "{}", finished.err());
    assert_eq!(database.items().await.len(), 301);
}

/// What AWS refuses, and a table that is another one: each has its reason and its cure, and nothing is written.
#[tokio::test]
async fn what_aws_refuses_is_named_with_its_cure_and_nothing_is_written() {
    let (database, folder) = (DynamoDb::start().await, tempfile::tempdir().unwrap());
    let folder = folder.path();
    let hash = format!("$7$101$AAECAwQFBgcICQoL${}AA==", "A".repeat(84));
    fs::write(folder.join("passwd"), format!("a:{hash}\nb:{hash}\n")).unwrap();
    let import = ["import", "passwd", "--from", "mosquitto"];
    for (code, part) in [
        (
            "ExpiredTokenException",
            "AWS does not accept the credentials (ExpiredTokenException): sign in again",
        ),
        ("UnrecognizedClientException", "AWS does not accept the credentials (UnrecognizedClientException)"),
        ("AccessDeniedException", "may not dynamodb:GetItem (AccessDeniedException)"),
        ("ResourceNotFoundException", "there is no table `latchkey-devices` in this account and region"),
    ] {
        let refusal = Refusal { part: "DynamoDB_20120810.", times: usize::MAX, code };
        let refusing = Refusing::start(database.endpoint(), refusal).await;
        let (code, _, finished) = fleet_at(refusing.endpoint(), folder, &import).await;
        assert!(code == Some(64) && finished.err().contains(part), "{part}: {}", finished.err());
    }
    assert!(database.items().await.is_empty());

    // A throttled account is waited for.
    let code = "ProvisionedThroughputExceededException";
    let refusal = Refusal { part: "DynamoDB_20120810.PutItem", times: 3, code };
    let throttled = Refusing::start(database.endpoint(), refusal).await;
    let (code, report, finished) = fleet_at(throttled.endpoint(), folder, &import).await;
    assert_eq!((code, &report["imported"]), (Some(0), &json!(2)), "{}", finished.err());
    assert_eq!(throttled.refused(), 3);

    // A record of a later version may be right.
    database
        .put(&json!({"device": {"S": "c"}, "schema_version": {"N": "2"}, "scheme": {"S": "password"},
        "grant": {"S": "own-topics"}}))
        .await;
    fs::write(folder.join("passwd"), format!("c:{hash}\nd:{hash}\n")).unwrap();
    for more in [&[][..], &["--skip-existing"], &["--keep-going"]] {
        let (code, _, finished) = fleet(&database, folder, &[&import[..], more].concat()).await;
        let part = "the record of `c` in the table `latchkey-devices`: attribute `schema_version` is not the number 1; deploy the \
                    function";
        assert!(code == Some(64) && finished.err().contains(part), "{}", finished.err());
    }
    assert_eq!(database.items().await.len(), 3);
}

#[tokio::test]
async fn keep_going_writes_the_good_rows_to_a_table_and_the_exit_code_says_so() {
    let (database, folder) = (DynamoDb::start().await, tempfile::tempdir().unwrap());
    let folder = folder.path();
    let hash = format!("$7$101$AAECAwQFBgcICQoL${}AA==", "A".repeat(84));
    fs::write(folder.join("passwd"), format!("a:{hash}\nb:hunter2\nc:{hash}\n")).unwrap();
    let import = ["import", "passwd", "--from", "mosquitto"];
    let (code, _, _) = fleet(&database, folder, &import).await;
    assert!(code == Some(64) && database.items().await.is_empty());
    let (code, report, finished) = fleet(&database, folder, &[&import[..], &["--keep-going"]].concat()).await;
    assert_eq!(
        (code, &report["imported"], &report["bad"]),
        (Some(1), &json!(2), &json!(1)),
        "{}",
        finished.err()
    );
    assert_eq!(report["bad_rows"][0]["line"], 2);
    assert!(!report.to_string().contains("hunter2"), "{report}");
    let mut names = database.items().await.into_keys().collect::<Vec<_>>();
    names.sort();
    assert_eq!(names, ["a", "c"]);
}
