//! What `latchkey fleet` writes to a terminal of 80 columns, to a pipe that closes early, and without a terminal.

use std::{fs, path::Path};

use integration::{
    foreign::script::{Events, attempts, in_python},
    programs::program,
    running::{Finished, Running},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

const HASH: &str = "$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let record = |more: Value| {
        let mut record =
            json!({"scheme": "password", "verifiers": [{"verifier": HASH}], "grant": "own-topics"});
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        record
    };
    let ids = (1..=6).map(|n| format!("panel-of-the-north-hall-{n}")).collect::<Vec<_>>();
    let store = json!({"version": 1, "grants": {"line": {"publish": ["line/{client_id}", "log"]}}, "devices": {
        "hall-1": record(json!({})),
        "hall-2": record(json!({"client_ids": ids, "enabled": false})),
        "hall-3": record(json!({"grant": "line"})),
    }});
    fs::write(folder.path().join("devices.json"), format!("{store:#}")).unwrap();
    folder
}

async fn plain(folder: &Path, words: &[&str]) -> Finished {
    let mut command = Command::new(program("latchkey"));
    command.arg("fleet").args(words).args(["--store", "devices.json"]).current_dir(folder);
    command.env_remove("LATCHKEY_STORE");
    Running::start(command).finish().await
}

/// Attempts for the script: each is a command with more of what the script reads.
async fn scripted(folder: &Path, list: &[(&[&str], Value)]) -> Vec<Events> {
    let latchkey = program("latchkey");
    let list = list.iter().map(|(words, more)| {
        let command = [&[latchkey.to_str().unwrap(), "fleet"], *words, &["--store", "devices.json"]].concat();
        let mut attempt = json!({"command": command, "folder": folder});
        attempt.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        attempt
    });
    attempts(in_python("terminal.py"), &list.collect::<Vec<_>>()).await
}

const LIST: &str = "\
device  scheme    grant       state     keys  client ids
hall-1  password  own-topics  enabled   -     hall-1
hall-2  password  own-topics  disabled  -     panel-of-the-north-hall-1,
                                              panel-of-the-north-hall-2,
                                              panel-of-the-north-hall-3,
                                              panel-of-the-north-hall-4,
                                              panel-of-the-north-hall-5,
                                              panel-of-the-north-hall-6
hall-3  password  line        enabled   -     hall-3
";
const SHOW: &str = "\
device       hall-3
scheme       password
state        enabled
grant        line
client ids   hall-3
password     a hash, SaltedSha2
";
const COUNTS: &str = "        1  password, line, enabled
        1  password, own-topics, disabled
        1  password, own-topics, enabled
3 devices
";

#[tokio::test]
async fn the_same_lines_reach_a_terminal_and_a_file() {
    let folder = folder();
    let cases: [(&[&str], &str); 3] =
        [(&["list"], LIST), (&["show", "hall-3"], SHOW), (&["list", "--count"], COUNTS)];
    let on_terminal = cases.map(|(words, _)| (words, json!({})));
    let written = scripted(folder.path(), &on_terminal).await;
    for ((words, expected), on_terminal) in cases.into_iter().zip(written) {
        let finished = plain(folder.path(), words).await;
        assert_eq!((finished.out().as_str(), finished.code), (expected, Some(0)), "{words:?}");
        assert_eq!(finished.err(), "using the file `devices.json`\n");
        assert!(finished.out().lines().all(|line| line.len() <= 80) && !finished.out().contains('\u{1b}'));
        let text = on_terminal[0]["text"].as_str().unwrap();
        assert_eq!(text, format!("using the file `devices.json`\n{expected}"), "{words:?}");
        assert_eq!(on_terminal[0]["code"], 0);
    }
}

#[tokio::test]
async fn json_and_csv_have_the_same_rows() {
    let folder = folder();
    let csv = plain(folder.path(), &["list", "--output", "csv"]).await;
    let ids = (1..=6).map(|n| format!("panel-of-the-north-hall-{n}")).collect::<Vec<_>>().join(" ");
    let expected = format!(
        "device,scheme,enabled,grant,keys,client_ids\nhall-1,password,true,own-topics,,hall-1\n\
         hall-2,password,false,own-topics,,{ids}\nhall-3,password,true,line,,hall-3\n"
    );
    assert_eq!((csv.out(), csv.code), (expected, Some(0)), "{}", csv.err());
    for words in [
        &["list"][..],
        &["list", "--count"],
        &["show", "hall-1"],
        &["grants", "list"],
        &["grants", "show", "line"],
        &["check"],
        &["lint"],
    ] {
        let csv = plain(folder.path(), &[words, &["--output", "csv"]].concat()).await;
        let json = plain(folder.path(), &[words, &["--output", "json"]].concat()).await;
        let short = plain(folder.path(), &[words, &["--json"]].concat()).await;
        assert_eq!(json.out(), short.out(), "{words:?}");
        assert!(serde_json::from_slice::<Value>(&json.out).is_ok(), "{words:?}");
        let (header, _) =
            csv.out().split_once('\n').map(|(it, rest)| (it.to_owned(), rest.to_owned())).unwrap();
        assert!(
            header.split(',').all(|it| it.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')),
            "{header}"
        );
        assert_eq!(csv.code, json.code, "{words:?}");
    }
    let grants = plain(folder.path(), &["grants", "list", "--output", "csv"]).await.out();
    assert!(grants.contains("\nline,false,line/{client_id} log,,,,,false,false\n"), "{grants}");

    for (words, part) in [
        (
            &["disable", "hall-1", "--output", "csv"][..],
            "`--output csv` is for the commands that list or show",
        ),
        (&["list", "--output", "csv", "--json"], "`--json` and `--output` ask for two forms"),
        (&["lint", "--format", "sarif", "--json"], "ask for two forms"),
        (&["list", "--output", "xml"], "possible values: table, json, csv"),
    ] {
        let finished = plain(folder.path(), words).await;
        assert!(finished.code == Some(64) && finished.err().contains(part), "{words:?}: {}", finished.err());
    }
    let store = fs::read_to_string(folder.path().join("devices.json")).unwrap();
    assert!(
        store.contains("hall-1") && store.matches("\"enabled\": false").count() == 1,
        "nothing was disabled"
    );
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_command_without_a_panic() {
    let folder = folder();
    let before = fs::read_to_string(folder.path().join("devices.json")).unwrap();
    let words: [&[&str]; 7] = [
        &["list"],
        &["list", "--output", "csv"],
        &["show", "hall-1"],
        &["grants", "list"],
        &["check"],
        &["lint", "--format", "sarif"],
        &["explain", "--device", "hall-1", "--action", "connect"],
    ];
    let closed = words.map(|words| (words, json!({"closed": true})));
    for (words, events) in words.into_iter().zip(scripted(folder.path(), &closed).await) {
        let (text, code) = (events[0]["text"].as_str().unwrap(), &events[0]["code"]);
        assert_eq!(code, 1, "{words:?}: {text}");
        assert!(text.lines().last().unwrap().contains("Broken pipe") && !text.contains("panicked"), "{text}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("devices.json")).unwrap(), before);
}

#[tokio::test]
async fn what_destroys_asks_on_a_terminal_and_needs_yes_without_one() {
    let folder = folder();
    let devices = || {
        let text = fs::read_to_string(folder.path().join("devices.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["devices"].as_object().unwrap().len()
    };
    let refused = plain(folder.path(), &["remove", "hall-1"]).await;
    assert!(refused.code == Some(64) && refused.err().contains("so add `--yes`"), "{}", refused.err());
    let refused = plain(folder.path(), &["grants", "set", "line", "--publish", "x/{client_id}"]).await;
    assert!(
        refused.code == Some(64) && refused.err().contains("`line` of 1 device will be replaced"),
        "{}",
        refused.err()
    );
    let typed = |answer: &str| json!({"typed": answer});
    let remove = ["remove", "hall-1"];
    let list = [(&remove[..], typed("no\n")), (&remove[..], typed("\n")), (&remove[..], typed("yes\n"))];
    let mut codes = Vec::new();
    for events in scripted(folder.path(), &list).await {
        let text = events[0]["text"].as_str().unwrap();
        let question = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(question.contains("which can't be undone. Type `yes` to go on:"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        codes.push(events[0]["code"].as_i64().unwrap());
    }
    assert_eq!((codes.as_slice(), devices()), (&[64, 64, 0][..], 2));
    let removed = plain(folder.path(), &["remove", "hall-2", "--yes"]).await;
    assert_eq!((removed.code, devices()), (Some(0), 1), "{}", removed.err());
}
