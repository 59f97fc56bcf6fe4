//! Texts of arguments, files and AWS's services, in the output of the commands that people type.

use std::path::Path;

use integration::{
    canary::Writings,
    fake_aws::{Act, FakeAws},
    programs::program,
    running::Running,
};
use serde_json::json;
use tempfile::tempdir;
use tokio::process::Command;

use super::{HOSTILE, assert_escaped};

const HASH: &str = "$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po";

/// A text of this place with every kind of character.
fn all(place: &str) -> String {
    format!("{place}{}z", HOSTILE.concat())
}

/// Runs a command, in text and as JSON, and adds what it prints.
async fn run(folder: &Path, name: &str, words: &[&str], variables: &[(&str, &str)], writings: &mut Writings) {
    for more in [&["--json"][..], &[]] {
        let mut command = Command::new(program(name));
        command.args(words).args(more).current_dir(folder).envs(variables.iter().copied());
        let mut running = Running::start(command);
        running.input(b"password\n").await;
        let finished = running.finish().await;
        let words = format!("{name} {}", words.join(" ").escape_debug());
        writings.add(format!("standard output of {words}"), finished.out);
        writings.add(format!("standard error of {words}"), finished.err);
    }
}

#[tokio::test]
async fn text_of_arguments_and_files_is_escaped() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let mut writings = Writings::default();
    let of = all;
    // TOML has no DEL in a string.
    let quoted = |text: String| json!(text).to_string().replace('\u{7f}', "");
    let (grant, csv, toml) = (of("grant.json"), of("rows.csv"), of("settings.toml"));
    let record = json!({"scheme": "password", "verifiers": [{"verifier": HASH}], "grant": of("grant")});
    let store = json!({"version": 1, "devices": {"hall-1": record}});
    std::fs::write(folder.join(&grant), store.to_string()).unwrap();
    let column = format!("device,client_id,user_name,password,{}\n\"{}\",b,c,d,e\n", of("column"), of("row"));
    std::fs::write(folder.join(&csv), column).unwrap();
    std::fs::write(
        folder.join(&toml),
        format!("{} = 1\nregion = {}\n", quoted(of("tomlkey")), quoted(of("tomlvalue"))),
    )
    .unwrap();
    let (argument, path) = (of("argument"), of("path"));
    let fleet: [&[&str]; 11] = [
        &[&argument],
        &["add", &argument],
        &["add", "hall-2", "--grant", &argument],
        &["add", "hall-2", "--client-id", &argument],
        &["remove", "hall-1", "--yes", "--store", &path],
        &["list", "--store", &grant],
        &["enable", "hall-1", "--store", &grant],
        &["import", &csv],
        &["import", &path, "--mosquitto"],
        &["provision", "--from", &csv],
        &["keys", "show", "--keyring", &path],
    ];
    for words in fleet {
        run(folder, "latchkey", &[&["fleet"], words].concat(), &[], &mut writings).await;
    }
    run(folder, "latchkey-sim", &["--endpoint", &of("endpoint"), "--credentials", &csv], &[], &mut writings)
        .await;
    run(folder, "latchkey-sim", &["--ca", &path, "--credentials", &csv], &[], &mut writings).await;
    run(folder, "latchkey-gateway", &["--config", &toml], &[], &mut writings).await;
    run(folder, "latchkey-gateway", &["--config", &path], &[], &mut writings).await;
    let init = of("init");
    let mut command = Command::new(program("latchkey-gateway"));
    command.args(["init", &init]).current_dir(folder);
    let finished = Running::start(command).finish().await;
    writings.add("standard output of init", finished.out);
    run(folder, "latchkey-authorizer", &[], &[("LATCHKEY_STORE", &of("variable"))], &mut writings).await;
    let places =
        ["argument", "path", "grant", "tomlkey", "endpoint", "init", "variable", "rows.csv", "settings.toml"];
    assert_escaped(&writings, &places);
}

#[tokio::test]
async fn text_of_awss_services_is_escaped() {
    let mut writings = Writings::default();
    let folder = tempdir().unwrap();
    let record = json!({"scheme": "password", "verifiers": [{"verifier": HASH}], "grant": "own-topics"});
    let store = json!({"version": 1, "devices": {"hall-1": record}});
    std::fs::write(folder.path().join("devices.json"), store.to_string()).unwrap();
    let error = json!({"__type": "ValidationException", "message": all("awstext")});
    let aws = FakeAws::start([Act::Answer(400, error.to_string())]).await;
    let variables = [
        ("AWS_ENDPOINT_URL", aws.endpoint()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_CONFIG_FILE", "no-such-file"),
        ("AWS_SHARED_CREDENTIALS_FILE", "no-such-file"),
    ];
    let commands: [&[&str]; 3] = [
        &["push", "devices.json", "--store", "dynamodb:table"],
        &["push", "devices.json", "--store", "secretsmanager:secret"],
        &["provision", "hall-{1..2}", "--store", "dynamodb:table", "--credentials", "c.csv"],
    ];
    for words in commands {
        run(folder.path(), "latchkey", &[&["fleet"], words].concat(), &variables, &mut writings).await;
    }
    assert_escaped(&writings, &["awstext"]);
}
