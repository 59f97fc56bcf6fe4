//! `latchkey fleet provision` and its file of passwords, when a write fails or another program writes it.

use std::{fs, io::pipe, process::Stdio};

use device_sim::credentials_file;
use integration::{
    cloud::{Cloud, TABLE, outputs},
    programs::program,
    refusing::{Refusal, Refusing},
    running::{Finished, Running},
};
use serde_json::{Value, json};
use tokio::process::Command;

const PASSWORDS: &str = ".latchkey/credentials-dev.csv";

async fn provision(cloud: &Cloud, more: &[&str]) -> (Option<i32>, Value, Finished) {
    let words = [&["fleet", "--json", "provision", "--rate", "100"], more].concat();
    let finished = cloud.latchkey(&words).finish().await;
    let report = serde_json::from_slice(&finished.out).unwrap_or(Value::Null);
    (finished.code, report, finished)
}

async fn remove_record(cloud: &Cloud, device: &str) {
    let client = aws_sdk_dynamodb::Client::new(&cloud.aws);
    let key = aws_sdk_dynamodb::types::AttributeValue::S(device.to_owned());
    client.delete_item().table_name(TABLE).key("device", key).send().await.unwrap();
}

/// The simulator's crate cuts at every byte; here it is the program that goes on.
#[tokio::test]
async fn half_a_row_is_no_password() {
    let cloud = Cloud::start().await;
    let more = ["--count", "2", "--name", "hall-#"];
    // One after the other, so that the file has them in this order.
    for count in ["1", "2"] {
        assert_eq!(provision(&cloud, &["--count", count, "--name", "hall-#"]).await.0, Some(0));
    }
    let first = credentials_file::read_if_exists(&cloud.file(PASSWORDS)).unwrap()[..1].to_vec();
    let row = "hall-2,hall-2,hall-2,".len();
    for left in [1, 8, row, row + 2, row + 42, row + 43] {
        let text = fs::read_to_string(cloud.file(PASSWORDS)).unwrap();
        let start = text.find("hall-2").unwrap();
        fs::write(cloud.file(PASSWORDS), &text[..start + left]).unwrap();
        // Its password was never acknowledged, so it has no record.
        remove_record(&cloud, "hall-2").await;
        let (code, report, finished) = provision(&cloud, &more).await;
        assert_eq!((code, &report["complete"]), (Some(0), &json!(true)), "{left}: {}", finished.err());
        let was_cut = finished.err().contains("` ended in half a row, after a full disk or a kill");
        assert_eq!(was_cut, left < row + 43, "{left}: {}", finished.err());
        let rows = credentials_file::read(&cloud.file(PASSWORDS), None).unwrap();
        assert!(rows.len() == 2 && rows.starts_with(&first));
        assert_eq!(rows[1].password.expose().len(), 43, "{left}");
        assert!(format!("{:?}", cloud.records().await["hall-2"]).contains("$sha256$"), "{left}");
    }
    let text = fs::read_to_string(cloud.file(PASSWORDS)).unwrap();
    fs::write(cloud.file(PASSWORDS), format!("{text}hall-3,hall-3,hall-3,correct horse")).unwrap();
    let (code, _, finished) = provision(&cloud, &more).await;
    let refusal = "line 4 of the credentials file `.latchkey/credentials-dev.csv`: it has no line end, so it may be half";
    assert!(code == Some(64) && finished.err().contains(refusal), "{}", finished.err());
    assert!(!finished.err().contains("correct horse"));
}

/// As a full disk: no file may grow beyond what one block of the shell's limit takes.
#[cfg(unix)]
#[tokio::test]
async fn what_a_full_disk_took_half_of_is_taken_back() {
    let cloud = Cloud::start().await;
    let inner = cloud.command(
        cloud.endpoint(),
        &["fleet", "--json", "provision", "--rate", "100", "--count", "30", "--name", "hall-###"],
    );
    let inner = inner.as_std();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh"]).arg(inner.get_program());
    command.args(inner.get_args()).current_dir(&cloud.folder);
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let finished = Running::start(command).finish().await;
    let report = serde_json::from_slice::<Value>(&finished.out).unwrap();
    let why = report["stopped"].as_str().unwrap_or_default();
    assert!(finished.code == Some(1) && why.contains("cannot use the credentials file"), "{report}");
    assert_eq!(why.matches("too large").count(), 1, "{why}");
    let text = fs::read_to_string(cloud.file(PASSWORDS)).unwrap();
    assert!(text.ends_with('\n'), "half a row is left");
    let (code, report, finished) = provision(&cloud, &["--count", "30", "--name", "hall-###"]).await;
    assert_eq!((code, &report["complete"]), (Some(0), &json!(true)), "{}", finished.err());
    assert!(fs::read_to_string(cloud.file(PASSWORDS)).unwrap().starts_with(&text));
}

#[tokio::test]
async fn a_second_run_at_the_same_time_is_refused() {
    let cloud = Cloud::start().await;
    let _held = {
        let held = fs::File::create(cloud.file(".latchkey/credentials-dev.csv.lock")).unwrap();
        held.lock().unwrap();
        held
    };
    let (code, _, finished) = provision(&cloud, &["--count", "1"]).await;
    let refusal =
        "another run holds `.latchkey/credentials-dev.csv`: wait for it, then run the same command again";
    assert!(code == Some(64) && finished.err().contains(refusal), "{}", finished.err());
    assert!(cloud.things().await.is_empty());
}

#[tokio::test]
async fn a_closed_output_is_not_a_usage_error() {
    let cloud = Cloud::start().await;
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut command = cloud.command(cloud.endpoint(), &["fleet", "provision", "--count", "1"]);
    command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(cloud.records().await.len(), 1);
    let mut list = Command::new(program("latchkey"));
    list.args(["fleet", "rotate", "nobody"]).current_dir(&cloud.folder);
    assert_eq!(Running::start(list).finish().await.code, Some(64));
}

#[tokio::test]
async fn another_account_or_region_than_the_deployments_is_refused() {
    let cloud = Cloud::start().await;
    for (output, there, part) in [
        (
            "Account",
            "999999999999",
            "account 999999999999 and the region us-east-1, and these credentials lead to the account 123456789012 and the region us-east-1",
        ),
        ("Region", "eu-west-1", "there is no thing type"),
    ] {
        let mut changed = outputs("dev");
        changed["latchkey-dev"][output] = json!(there);
        fs::write(cloud.file("other.json"), changed.to_string()).unwrap();
        let (code, _, finished) = provision(&cloud, &["--count", "1", "--outputs", "other.json"]).await;
        assert!(code == Some(64) && finished.err().contains(part), "{}", finished.err());
    }
    assert!(cloud.things().await.is_empty() && cloud.records().await.is_empty());
    assert!(!cloud.file(PASSWORDS).exists());
}

#[tokio::test]
async fn more_devices_than_a_secret_holds_are_refused_before_the_first() {
    let cloud = Cloud::start().await;
    let secrets = aws_sdk_secretsmanager::Client::new(&cloud.aws);
    let empty = json!({"version": 1, "devices": {}}).to_string();
    secrets.create_secret().name("devices").secret_string(empty).send().await.unwrap();
    let more = ["--count", "1000", "--store", "secretsmanager:devices", "--credentials", "s.csv"];
    let (code, _, finished) = provision(&cloud, &more).await;
    let refusal = "bytes, and a secret has room for 65536: use a table for this number of devices";
    assert!(code == Some(64) && finished.err().contains(refusal), "{}", finished.err());
    assert!(cloud.things().await.is_empty() && !cloud.file("s.csv").exists());
}

#[tokio::test]
async fn one_devices_bad_request_does_not_stop_the_others() {
    let cloud = Cloud::start().await;
    for (code, part, name) in [
        ("InvalidRequestException", "POST /things/hall-1", "hall-#"),
        ("VersionConflictException", "POST /things/door-1", "door-#"),
    ] {
        let refusing = Refusing::start(cloud.endpoint(), Refusal { part, times: 1, code }).await;
        let words = ["fleet", "--json", "provision", "--rate", "100", "--count", "3", "--name", name];
        let finished = cloud.latchkey_at(refusing.endpoint(), &words).finish().await;
        let report = serde_json::from_slice::<Value>(&finished.out).unwrap();
        assert_eq!((finished.code, &report["records"]["written"]), (Some(1), &json!(2)), "{report}");
        assert_eq!((&report["stopped"], refusing.refused()), (&Value::Null, 1));
        let why = report["failed"][0]["why"].as_str().unwrap();
        assert!(why.contains(code) && why.ends_with(": run this again"), "{why}");
    }
}

#[tokio::test]
async fn a_thing_without_a_type_has_room_for_one_attribute_of_ones_own() {
    let cloud = Cloud::start().await;
    fs::remove_file(cloud.file("cdk-outputs.json")).unwrap();
    let more = |file| ["--from", file, "--store", "devices.json", "--region", "us-east-1"];
    fs::write(cloud.file("two.csv"), "device,attribute a,attribute b\nx,1,2\n").unwrap();
    let (code, _, finished) = provision(&cloud, &more("two.csv")).await;
    let refusal =
        "`x` would have 4 attributes with `grant` and `scheme`, and a Thing without a type has up to 3";
    assert!(code == Some(64) && finished.err().contains(refusal), "{}", finished.err());
    fs::write(cloud.file("one.csv"), "device,attribute a,attribute b\nx,1,\n").unwrap();
    assert_eq!(provision(&cloud, &more("one.csv")).await.0, Some(0));
}
