//! Bulk commands that end in the middle, killed or with Ctrl-C: what is written is whole, and the same command does the rest.

use std::{collections::HashMap, fmt::Write as _, fs, path::Path};

use aws_sdk_dynamodb::types::AttributeValue;
use integration::{
    dynamodb::{DynamoDb, TABLE},
    eventually::until,
    pausing::Pausing,
    programs::program,
    running::Running,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

const DEVICES: usize = 120;
/// How many requests of a kind are let through.
const LET_THROUGH: usize = 50;

type Item = HashMap<String, AttributeValue>;

/// How a command ends in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Kill,
    CtrlC,
}

fn latchkey(folder: &Path, endpoint: &str, words: &[&str]) -> Running {
    let mut command = Command::new(program("latchkey"));
    command.arg("fleet").args(words).current_dir(folder).env("AWS_ENDPOINT_URL", endpoint);
    command.env("AWS_REGION", "us-east-1");
    command.envs([("AWS_ACCESS_KEY_ID", "AKIDTEST"), ("AWS_SECRET_ACCESS_KEY", "secret")]);
    for name in
        ["AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "LATCHKEY_STORE", "LATCHKEY_GRANTS"]
    {
        command.env_remove(name);
    }
    let nothing = folder.join("no-such-file");
    command.env("AWS_CONFIG_FILE", &nothing).env("AWS_SHARED_CREDENTIALS_FILE", &nothing);
    Running::start(command)
}

/// Runs a command to its end, which must be a good one.
async fn done(folder: &Path, endpoint: &str, words: &[&str]) -> Value {
    let finished = latchkey(folder, endpoint, words).finish().await;
    assert_eq!(finished.code, Some(0), "{words:?}: {}{}", finished.out(), finished.err());
    serde_json::from_slice(&finished.out).unwrap_or(Value::Null)
}

/// Runs a command that writes to the table, and ends it while its writes are held.
async fn end_in_the_middle(folder: &Path, database: &DynamoDb, words: &[&str], held: &'static str, end: End) {
    let pausing = Pausing::start(database.endpoint(), held, LET_THROUGH).await;
    let running = latchkey(folder, pausing.endpoint(), words);
    pausing.paused().await;
    if end == End::Kill {
        running.kill().await;
        return;
    }
    running.interrupt();
    let mut running = running;
    running
        .err_line("the answer to Ctrl-C", |line| line.starts_with("stopping after the records").then_some(()))
        .await;
    pausing.release();
    let finished = running.finish().await;
    assert_eq!(finished.code, Some(130), "{words:?}: {}{}", finished.out(), finished.err());
}

fn hash() -> String {
    format!("$7$101$AAECAwQFBgcICQoL${}AA==", "A".repeat(84))
}

fn users(count: usize) -> String {
    (0..count).fold(String::new(), |mut users, number| {
        writeln!(users, "user-{number}:{}", hash()).unwrap();
        users
    })
}

fn records(items: &HashMap<String, Item>) -> usize {
    items.values().filter(|item| item.contains_key("scheme")).count()
}

/// Every item is a record as a whole, or says only whose its key is.
fn assert_whole(items: &HashMap<String, Item>) {
    for (name, item) in items {
        let is_record =
            item.contains_key("scheme") && item.contains_key("grant") && item.contains_key("schema_version");
        assert!(is_record || (item.contains_key("owner") && item.len() == 2), "{name}: {item:?}");
    }
}

/// Ends a command that makes records, runs it again, and looks at the table each time.
async fn makes_records(folder: &TempDir, words: &[&str], end: End) {
    let (database, folder) = (DynamoDb::start().await, folder.path());
    end_in_the_middle(folder, &database, words, "DynamoDB_20120810.PutItem", end).await;
    let items = database.items().await;
    assert_whole(&items);
    assert!((LET_THROUGH..DEVICES).contains(&records(&items)), "{end:?}: {}", records(&items));
    done(folder, database.endpoint(), words).await;
    let items = database.items().await;
    assert_eq!((records(&items), items.len()), (DEVICES, DEVICES), "{end:?}");
    let store = format!("dynamodb:{TABLE}");
    let checked = done(folder, database.endpoint(), &["--json", "check", "--store", &store]).await;
    assert_eq!(checked["problems"], json!([]), "{checked}");
}

#[cfg(unix)]
#[tokio::test]
async fn import_to_a_table_that_ends_in_the_middle_is_finished_by_the_same_command() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("passwd"), users(DEVICES)).unwrap();
    let store = format!("dynamodb:{TABLE}");
    for end in [End::Kill, End::CtrlC] {
        makes_records(&folder, &["import", "passwd", "--from", "mosquitto", "--store", &store], end).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn push_that_ends_in_the_middle_is_finished_by_the_same_command() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("passwd"), users(DEVICES)).unwrap();
    done(folder.path(), "", &["import", "passwd", "--from", "mosquitto", "--store", "devices.json"]).await;
    let store = format!("dynamodb:{TABLE}");
    for end in [End::Kill, End::CtrlC] {
        makes_records(&folder, &["push", "devices.json", "--store", &store], end).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn reseal_of_a_table_that_ends_in_the_middle_is_finished_by_the_same_command() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("dynamodb:{TABLE}");
    let rows = (0..DEVICES).map(|number| format!("d{number},secret{number},pk{number}"));
    let rows = rows.collect::<Vec<_>>().join("\n");
    fs::write(folder.path().join("devices.csv"), format!("DeviceName,DeviceSecret,ProductKey\n{rows}"))
        .unwrap();
    let path = folder.path();
    for (end, old, new) in [(End::Kill, "k1", "k2"), (End::CtrlC, "k2", "k3")] {
        let database = DynamoDb::start().await;
        let endpoint = database.endpoint();
        let keys = if end == End::Kill { "new" } else { "show" };
        let id = (end == End::Kill).then_some(old);
        done(path, endpoint, &[&["keys", keys][..], id.as_slice()].concat()).await;
        done(path, endpoint, &["import", "devices.csv", "--from", "alibaba", "--store", &store]).await;
        done(path, endpoint, &["keys", "rotate", new]).await;
        let words = ["reseal", "--store", &store];
        end_in_the_middle(path, &database, &words, "DynamoDB_20120810.UpdateItem", end).await;
        let under = |items: &HashMap<String, Item>, key: &str| {
            let start = format!("$aes256gcm${key}$");
            items.values().filter(|item| format!("{item:?}").contains(&start)).count()
        };
        let items = database.items().await;
        let [before, after] = [old, new].map(|key| under(&items, key));
        assert!(after >= LET_THROUGH && before > 0, "{end:?}: {before} {after} {:?}", items.values().next());
        assert_eq!(before + after, DEVICES, "each record has one secret, the old one or the new one");
        done(path, endpoint, &words).await;
        assert_eq!(under(&database.items().await, new), DEVICES);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn import_to_a_file_that_ends_in_the_middle_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("first"), format!("first:{}\n", hash())).unwrap();
    done(folder, "", &["import", "first", "--from", "mosquitto", "--store", "devices.json"]).await;
    let before = fs::read(folder.join("devices.json")).unwrap();
    fs::write(folder.join("passwd"), users(20_000)).unwrap();
    let words = ["import", "passwd", "--from", "mosquitto", "--store", "devices.json"];
    for end in [End::Kill, End::CtrlC] {
        // It waits for the lock, and then for the end of its input: it never has all of it.
        let mut running =
            latchkey(folder, "", &["import", "-", "--from", "mosquitto", "--store", "devices.json"]);
        running.err_line("its store", |line| line.contains("devices.json").then_some(())).await;
        match end {
            End::Kill => running.kill().await,
            End::CtrlC => {
                running.interrupt();
                running.kill().await;
            }
        }
        assert_eq!(fs::read(folder.join("devices.json")).unwrap(), before, "{end:?}");
    }
    // While the new file is written, the old one is there.
    let running = latchkey(folder, "", &words);
    until("the new file", async || folder.join("devices.json.new").exists()).await;
    running.kill().await;
    let after = fs::read(folder.join("devices.json")).unwrap();
    let devices = serde_json::from_slice::<Value>(&after).unwrap()["devices"].as_object().unwrap().len();
    assert!(after == before || devices == 20_001, "{devices}");
    if after == before {
        done(folder, "", &words).await;
    }
    let store = serde_json::from_slice::<Value>(&fs::read(folder.join("devices.json")).unwrap()).unwrap();
    assert_eq!(store["devices"].as_object().unwrap().len(), 20_001);
    let mut files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name()).collect::<Vec<_>>();
    files.sort();
    assert_eq!(
        files,
        ["devices.json", "devices.json.lock", "first", "passwd"],
        "nothing is left of the killed one"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_while_a_file_is_checked_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("passwd"), users(200_000)).unwrap();
    let words = ["import", "passwd", "--from", "mosquitto", "--store", "devices.json"];
    let running = latchkey(folder, "", &words);
    until("the lock", async || folder.join("devices.json.lock").exists()).await;
    running.interrupt();
    let finished = running.finish().await;
    assert_eq!(finished.code, Some(130), "{}{}", finished.out(), finished.err());
    assert!(finished.err().contains("interrupted: nothing was imported"), "{}", finished.err());
    assert!(!folder.join("devices.json").exists() && !folder.join("devices.json.new").exists());
}
