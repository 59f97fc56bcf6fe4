//! `latchkey fleet lint --format sarif`, the real program, against the JSON schema of SARIF 2.1.0.

use std::fs;

use integration::{
    foreign::script::{in_python, node_modules},
    programs::program,
    running::Running,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

async fn lint(folder: &TempDir, words: &[&str]) -> Value {
    let mut command = Command::new(program("latchkey"));
    command.args(["fleet", "lint", "--format", "sarif", "--store", "devices.json"]).args(words);
    command.current_dir(folder).env_remove("LATCHKEY_STORE");
    let finished = Running::start(command).finish().await;
    serde_json::from_slice(&finished.out).unwrap_or_else(|_| panic!("{}", finished.err()))
}

/// What the schema finds wrong with each document.
async fn errors(documents: &[Value]) -> Vec<Vec<Value>> {
    // The schema of OASIS is in this package of npm, which `make setup` installs.
    let schema = node_modules().join("@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json");
    let mut running = Running::start(in_python("validate.py"));
    running.input(json!({"schema": schema, "documents": documents}).to_string().as_bytes()).await;
    let finished = running.finish().await;
    assert_eq!(finished.code, Some(0), "{}", finished.err());
    let mut all = vec![Vec::new(); documents.len()];
    for line in finished.out().lines() {
        let error = serde_json::from_str::<Value>(line).unwrap();
        all[usize::try_from(error["document"].as_u64().unwrap()).unwrap()].push(error);
    }
    all
}

#[tokio::test]
async fn every_report_has_the_form_of_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    let write =
        |name: &str, value: &Value| fs::write(folder.path().join(name), format!("{value:#}")).unwrap();
    write("devices.json", &json!({"version": 1, "devices": {}}));
    let empty = lint(&folder, &[]).await;
    let hash = "$2b$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    write(
        "devices.json",
        &json!({"version": 1, "grants": {"unused": {"publish": ["a/{device}"]}}, "devices": {
            "weak": {"scheme": "password", "grant": "own-topics", "verifiers": [{"verifier": hash}]},
            "broken": {"scheme": "password", "grant": "none"},
            "x-1": {"scheme": "jwt", "grant": "own-topics"},
            "x-2": {"scheme": "jwt", "grant": "own-topics", "client_ids": ["x-1"]},
        }}),
    );
    write("a b#.json", &json!({"Version": "2012-10-17"}));
    let full = lint(&folder, &["--document", "a b#.json"]).await;
    let results = full["runs"][0]["results"].as_array().unwrap();
    let rules = results.iter().map(|result| result["ruleId"].as_str().unwrap()).collect::<Vec<_>>();
    for rule in ["record-unusable", "records-conflict", "document-invalid", "verifier-weak", "grant-unused"] {
        assert!(rules.contains(&rule), "{rule}: {rules:?}");
    }
    // The validator finds mistakes: an unknown level, an unknown key, and a tool without a name.
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut report = full.clone();
        change(&mut report);
        report
    };
    let level = broken(&|report| report["runs"][0]["results"][0]["level"] = json!("grave"));
    let unknown = broken(&|report| report["runs"][0]["results"][0]["color"] = json!("red"));
    let nameless = broken(&|report| report["runs"][0]["tool"]["driver"]["name"] = Value::Null);
    let found = errors(&[empty, full.clone(), level, unknown, nameless]).await;
    assert_eq!(found[0], Vec::<Value>::new());
    assert_eq!(found[1], Vec::<Value>::new());
    assert!(found[2..].iter().all(|errors| !errors.is_empty()), "{found:?}");
}
