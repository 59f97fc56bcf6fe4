//! The command over files, with every rule.

use std::{collections::BTreeSet, fs, path::PathBuf};

use clap::Parser;
use cli::console::{COLUMNS, Input};
use serde_json::{Value, json};

use super::*;
use crate::record_store::{Access, RecordStore};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    lint: LintArgs,
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(store: &Value) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("devices.json", &format!("{store:#}"));
        folder
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Whether it is good, and what was printed.
    fn lint(&self, words: &[&str]) -> anyhow::Result<(bool, String)> {
        let args = Cli::try_parse_from([&["lint"], words].concat())?.lint;
        let (mut input, mut output) = (std::io::empty(), Vec::new());
        let input = Input { terminal: false, reader: &mut input };
        let mut console = Console { format: cli::format::OutputFormat::Table, input, output: &mut output };
        let location = StoreLocation::File(self.0.path().join("devices.json"));
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let records = runtime
            .block_on(async { RecordStore::open(&location, &Access::default()).await?.text(None).await })?;
        let is_good = run(&args, records, &location, &mut console)?;
        Ok((is_good, String::from_utf8(output)?))
    }

    /// The subject and the rule of each finding.
    fn found(&self, words: &[&str]) -> Vec<(String, String)> {
        let (_, text) = self.lint(&[words, &["--format", "json"]].concat()).unwrap();
        let report = serde_json::from_str::<Value>(&text).unwrap();
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
        let findings = report["findings"].as_array().unwrap().iter();
        findings.map(|finding| (text(finding, "subject"), text(finding, "rule"))).collect()
    }
}

/// Of a generated password.
const STRONG: &str = "$sha256$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const BCRYPT_4: &str = "$2b$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
const BCRYPT_12: &str = "$2b$12$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";

fn device(verifiers: &[(&str, Option<u64>)]) -> Value {
    let verifiers = verifiers.iter().map(|(verifier, end)| match end {
        Some(end) => json!({"verifier": verifier, "expires_at": end}),
        None => json!({"verifier": verifier}),
    });
    json!({"scheme": "password", "grant": "own-topics", "verifiers": verifiers.collect::<Vec<_>>()})
}

/// A store that breaks each rule about records and grants.
fn broken() -> Value {
    let taken = |id: &str| {
        let mut device = device(&[(STRONG, None)]);
        device["client_ids"] = json!([id]);
        device
    };
    let with = |key: &str, value: Value| {
        let mut device = device(&[(STRONG, None)]);
        device[key] = value;
        device
    };
    let plain = json!({"scheme": "tencent", "grant": "tencent", "secrets": [{"psk": "$plain$c2VjcmV0"}]});
    let topics = (0..92).map(|n| format!("site/{n:0>90}")).collect::<Vec<_>>();
    json!({
        "version": 1,
        "grants": {
            "wide": {"publish": ["*"], "subscribe": ["dash/{client_id}"], "shared": true},
            "large": {"publish": topics},
            "nobody": {"publish": ["x/{client_id}"]},
        },
        "devices": {
            "good": device(&[(STRONG, None)]),
            "expired": device(&[(STRONG, Some(1))]),
            "left-over": device(&[(STRONG, Some(1)), (STRONG, None)]),
            "over": with("not_after", 1.into()),
            "weak": device(&[(BCRYPT_4, None)]),
            "slow": device(&[(BCRYPT_12, None)]),
            "unusable": with("grant", "none".into()),
            "first": taken("shared-id"),
            "second": taken("shared-id"),
            "third": taken("shared-id"),
            "wide": with("grant", "wide".into()),
            "large": with("grant", "large".into()),
            "AB12CD34EFplain": plain,
        },
    })
}

#[test]
fn every_rule_about_records_finds_its_kind_and_nothing_else() {
    let folder = Folder::new(&broken());
    let expected = [
        ("device unusable", "record-unusable"),
        ("STORE", "records-conflict"),
        ("STORE", "records-conflict"),
        ("grant wide", "broad-access"),
        ("device AB12CD34EFplain", "plain-secret"),
        ("device weak", "verifier-weak"),
        ("device slow", "verifier-slow"),
        ("device expired", "credential-expired"),
        ("device over", "credential-expired"),
        ("device left-over", "credential-left-over"),
        ("grant nobody", "grant-unused"),
        ("grant large", "documents-near-limit"),
    ];
    let store = folder.0.path().join("devices.json").display().to_string();
    let found = folder.found(&["--memory", "512"]).into_iter();
    let found = found.map(|(subject, rule)| (subject.replace(&store, "STORE"), rule)).collect::<Vec<_>>();
    assert_eq!(found, expected.map(|(subject, rule)| (subject.to_owned(), rule.to_owned())));
    // A function with a whole CPU is fast enough.
    assert!(!folder.found(&["--memory", "1769"]).iter().any(|(_, rule)| rule == "verifier-slow"));
}

#[test]
fn the_log_shows_what_nobody_uses() {
    let store = json!({"version": 1, "devices": {
        "used": device(&[(STRONG, None)]),
        "unused": device(&[(STRONG, None)]),
        "rotated": device(&[(STRONG, None), (STRONG, None)]),
        "not-yet": device(&[(STRONG, None), (STRONG, None)]),
    }});
    let folder = Folder::new(&store);
    let line = |device: &str, outcome: &str, verifier: usize| json!({"event": "decision", "outcome": outcome, "device": device, "verifier": verifier, "total_us": 9});
    let lines = [
        line("used", "allow", 0),
        line("unused", "deny", 0),
        line("rotated", "allow", 0),
        line("rotated", "allow", 1),
        line("not-yet", "allow", 0),
        json!({"event": "records_not_usable", "outcome": "allow", "device": "unused"}),
    ];
    let text = lines.map(|line| line.to_string()).join("\n");
    let log = folder.write("log.jsonl", &format!("not JSON\n{text}\n"));
    let expected = ["device not-yet", "device unused"].map(|it| (it.to_owned(), "never-used".to_owned()));
    assert_eq!(folder.found(&["--log", log.to_str().unwrap()]), expected);
    let log = folder.write("log.jsonl", "{\"event\":\"Connect\"}\n");
    let error = folder.lint(&["--log", log.to_str().unwrap()]).unwrap_err();
    assert!(error.to_string().contains("has no decision of an authorizer"), "{error}");
}

#[test]
fn the_level_decides_on_the_exit_code() {
    let only = |device: Value| Folder::new(&json!({"version": 1, "devices": {"d": device}}));
    let good = only(device(&[(STRONG, None)]));
    let note = only(device(&[(STRONG, Some(1)), (STRONG, None)]));
    let warning = only(device(&[(BCRYPT_4, None)]));
    for (folder, level, is_good) in [
        (&good, "note", true),
        (&note, "note", false),
        (&note, "warning", true),
        (&warning, "warning", false),
        (&warning, "error", true),
    ] {
        assert_eq!(folder.lint(&["--fail-on", level]).unwrap().0, is_good, "{level}");
    }
    assert!(good.lint(&["--fail-on", "never"]).is_err() && good.lint(&["--memory", "0"]).is_err());
}

#[test]
fn documents_of_anybody_are_checked_too() {
    let folder = Folder::new(&json!({"version": 1, "devices": {}}));
    let statement = json!({"Effect": "Allow", "Action": "iot:PublishRetain", "Resource": "*"});
    let document = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    let good = folder.write("good.json", &document);
    let broken = folder.write("broken.json", &document.replace("Allow", "allow"));
    let words = ["--document", good.to_str().unwrap(), "--document", broken.to_str().unwrap()];
    let name = |path: &PathBuf| path.display().to_string();
    assert_eq!(
        folder.found(&words),
        [(name(&broken), "document-invalid".to_owned()), (name(&good), "publish-retain".to_owned())]
    );
    assert!(folder.lint(&["--document", "none.json"]).is_err());
}

#[test]
fn text_has_ten_findings_of_a_rule_and_fits_the_columns() {
    let devices = (0..12).map(|n| (format!("d{n:02}"), device(&[(BCRYPT_4, None)])));
    let store = json!({"version": 1, "devices": devices.collect::<serde_json::Map<_, _>>()});
    let (_, text) = Folder::new(&store).lint(&[]).unwrap();
    let begin = "\
warning  verifier-weak: A chosen password with this verifier can be guessed by
  anyone who gets the records.
  device d00: bcrypt with a cost below 10; a random password of 20 characters is
    safe all the same
";
    assert!(text.starts_with(begin), "{text}");
    assert!(text.contains("  device d09: ") && !text.contains("  device d10: "), "{text}");
    assert!(text.contains("  and 2 more: `--format json` has all\n\n12 devices in "), "{text}");
    let long = text
        .lines()
        .find(|line| line.len() > COLUMNS && line.contains(' ') && !line.contains("devices.json"));
    assert_eq!(long, None);
}

#[test]
fn sarif_names_each_rule_and_the_line_of_each_device() {
    let folder = Folder::new(&broken());
    let (_, text) = folder.lint(&["--format", "sarif"]).unwrap();
    let sarif = serde_json::from_str::<Value>(&text).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let ids = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect::<BTreeSet<_>>();
    assert_eq!(ids.len(), Rule::ALL.len(), "each rule has a name of its own");
    let store = fs::read_to_string(folder.0.path().join("devices.json")).unwrap();
    let mut with_line = 0;
    for result in run["results"].as_array().unwrap() {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        let place = &result["locations"][0];
        let line = place["physicalLocation"]["region"]["startLine"].as_u64().unwrap();
        let name = place["logicalLocations"][0]["fullyQualifiedName"].as_str().unwrap();
        if let Some(name) = name.strip_prefix("device ") {
            let text = store.lines().nth(usize::try_from(line - 1).unwrap()).unwrap();
            assert!(text.contains(&format!("\"{name}\": {{")), "{name}: {text}");
            with_line += 1;
        }
    }
    assert!(with_line > 5, "{with_line}");
}
