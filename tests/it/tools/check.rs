//! `latchkey check`, the real program, in folders as `latchkey local` and `latchkey fleet` leave them.

use std::{fs, path::Path};

use integration::{
    programs::program,
    running::{Finished, Running},
    test_gateway::TestGateway,
};
use serde_json::{Value, json};
use tokio::process::Command;

async fn latchkey(folder: &Path, words: &[&str], input: &str) -> Finished {
    let mut command = Command::new(program("latchkey"));
    command.args(words).current_dir(folder).env_remove("LATCHKEY_STORE").env_remove("LATCHKEY_DATA_KEYS");
    let mut running = Running::start(command);
    running.input(input.as_bytes()).await;
    running.finish().await
}

/// The exit code, and the problems of each part.
async fn check(folder: &Path) -> (Option<i32>, Vec<(String, Vec<String>)>) {
    let finished = latchkey(folder, &["check", "--json"], "").await;
    let report = serde_json::from_slice::<Value>(&finished.out);
    let report = report.unwrap_or_else(|_| panic!("{}", finished.err()));
    let parts = report["parts"].as_array().unwrap().iter().map(|part| {
        let problems = part["problems"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned());
        (part["part"].as_str().unwrap().to_owned(), problems.collect())
    });
    (finished.code, parts.collect())
}

#[tokio::test]
async fn an_empty_folder_and_a_used_one_have_no_problem() {
    let folder = tempfile::tempdir().unwrap();
    let (code, parts) = check(folder.path()).await;
    assert_eq!(code, Some(0), "{parts:?}");
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is made");

    let gateway = TestGateway::open_to_all().await;
    fs::rename(gateway.folder.path(), folder.path().join(".latchkey")).unwrap();
    latchkey(folder.path(), &["local", "init"], "").await;
    latchkey(folder.path(), &["fleet", "keys", "new", "2026-11"], "").await;
    let add = ["fleet", "add", "d&pk", "--scheme", "alibaba", "--secret-stdin"];
    assert_eq!(latchkey(folder.path(), &add, "secret\n").await.code, Some(0));
    let (code, parts) = check(folder.path()).await;
    let names = parts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
    assert_eq!((code, names), (Some(0), vec!["settings", "records", "keyring", "certificates"]), "{parts:?}");
    fs::rename(folder.path().join(".latchkey"), gateway.folder.path()).unwrap();
}

#[tokio::test]
async fn each_part_names_its_own_problems() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("latchkey.toml", "regoin = \"eu-west-1\"\naccount = 5\n[[domain]]\nname = \"d\"\n");
    write("infra/stages/dev.json", r#"{"function": {"grants": "grants.json"}}"#);
    write("infra/stages/grants.json", r#"{"version": 1, "grants": {"g": {"publish": ["a/#"]}}}"#);
    write("infra/stages/prod.json", r#"{"vendorSecrets": {"keyring": "keyring.kms"}}"#);
    write("infra/stages/keyring.kms", r#"{"version": 1, "keys": {}}"#);
    latchkey(folder.path(), &["fleet", "keys", "new", "old"], "").await;
    let add = ["fleet", "add", "d&pk", "--scheme", "alibaba", "--secret-stdin"];
    assert_eq!(latchkey(folder.path(), &add, "secret\n").await.code, Some(0));
    fs::remove_file(folder.path().join(".latchkey/keyring.json")).unwrap();
    latchkey(folder.path(), &["fleet", "keys", "new", "new"], "").await;
    let path = folder.path().join(".latchkey/devices.json");
    let mut store = serde_json::from_str::<Value>(&fs::read_to_string(&path).unwrap()).unwrap();
    store["grants"] = json!({"line": {"receive": ["+/x"]}});
    store["devices"]["e"] = json!({"scheme": "jwt", "grant": "none"});
    fs::write(&path, store.to_string()).unwrap();
    write(".latchkey/ca.pem", "none");

    let (code, parts) = check(folder.path()).await;
    assert_eq!(code, Some(1));
    let expected: [(&str, &[&str]); 6] = [
        ("settings", &["regoin", "account"]),
        (
            "stage",
            &[
                "`function.grants`: the authorizer can't use `infra/stages/grants.json`: grant `g`: in `publish`",
            ],
        ),
        (
            "stage",
            &["`vendorSecrets.keyring`: `infra/stages/keyring.kms` is not a keyring that KMS has encrypted"],
        ),
        ("records", &["grant `line`: in `receive`", "grant `none` does not exist"]),
        ("keyring", &["sealed under `old`, which the keyring lacks"]),
        ("certificates", &["ca.pem` is there without ca.key"]),
    ];
    let names = parts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
    assert_eq!(
        names,
        ["settings", "stage", "stage", "stage", "records", "keyring", "certificates"],
        "{parts:?}"
    );
    // The file of grants is in the folder of stages too, and no stage.
    let with_problems = parts.iter().filter(|(_, problems)| !problems.is_empty()).collect::<Vec<_>>();
    assert_eq!(with_problems.len(), expected.len(), "{parts:?}");
    for ((name, problems), (part, texts)) in with_problems.into_iter().zip(expected) {
        assert_eq!(name, part);
        for text in texts {
            assert!(problems.iter().any(|problem| problem.contains(text)), "{text}: {problems:?}");
        }
    }
    let people = latchkey(folder.path(), &["check"], "").await;
    assert!(
        people.out().lines().all(|line| line.len() <= 80 || !line.trim().contains(' ')),
        "{}",
        people.out()
    );
    let csv = latchkey(folder.path(), &["check", "--output", "csv"], "").await.out();
    assert!(csv.starts_with("part,checked,problem\nsettings,"), "{csv}");
}
