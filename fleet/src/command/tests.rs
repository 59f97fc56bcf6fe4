//! The commands as they are typed, and the files that they write.

use std::{
    fs,
    io::{BufRead, Read},
    path::{Path, PathBuf},
};

use clap::Parser;
use cli::console::Input;
use serde_json::Value;

use super::*;
use crate::{
    args::{FleetArgs, FleetCommand},
    record_store::Access,
    store_file::StoreFile,
};

mod build;
mod examples;
mod import;
mod sources;
mod vendors;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    fleet: FleetArgs,
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, words: &[&str], reader: impl BufRead, terminal: bool) -> anyhow::Result<String> {
        Self::run_on(self.file("devices.json").to_str().unwrap(), words, reader, terminal)
    }

    fn run_on(
        store: &str,
        words: &[&str],
        mut reader: impl BufRead,
        terminal: bool,
    ) -> anyhow::Result<String> {
        let args = [&["fleet", "--store", store], words].concat();
        let FleetArgs { command, store, format } = Cli::try_parse_from(args)?.fleet;
        let FleetCommand::Records(command) = command else { panic!("not a command on records") };
        let mut output = Vec::new();
        let input = Input { reader: &mut reader, terminal };
        let mut console = Console { format: format.format()?, input, output: &mut output };
        let command = *command;
        if let RecordsCommand::Keys(args) = command {
            keys(args, &mut console)?;
        } else {
            let target = Target { location: store.unwrap(), access: Access::default(), deployment: None };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(run(command, &target, &mut console, &CancellationToken::new()))?;
        }
        Ok(String::from_utf8(output)?)
    }

    fn fleet(&self, words: &[&str], input: &str) -> anyhow::Result<String> {
        self.run(words, input.as_bytes(), false)
    }

    fn refusal(&self, words: &[&str], input: &str) -> String {
        format!("{:#}", self.fleet(words, input).unwrap_err())
    }

    /// With a keyring in this folder.
    fn sealing(&self, words: &[&str], input: &str) -> anyhow::Result<String> {
        let keyring = self.file("keyring.json");
        self.fleet(&[words, &["--keyring", keyring.to_str().unwrap()]].concat(), input)
    }

    fn sealing_refusal(&self, words: &[&str], input: &str) -> String {
        format!("{:#}", self.sealing(words, input).unwrap_err())
    }

    fn store(&self) -> String {
        fs::read_to_string(self.file("devices.json")).unwrap()
    }

    /// Whether the function can use the store with the folder's keyring.
    fn is_used(&self) -> bool {
        let keyring = crate::keyring_file::read(&self.file("keyring.json")).unwrap();
        let unsealing = device_auth::record::Unsealing::With(std::sync::Arc::new(keyring));
        let function =
            device_auth::record::FunctionSettings { unsealing, ..crate::store_file::any_function().unwrap() };
        StoreFile::read(&self.file("devices.json")).unwrap().records(function).is_ok()
    }

    /// What the secrets of a record are, opened with the folder's keyring.
    fn opened(&self, name: &str) -> Vec<String> {
        let keyring = crate::keyring_file::read(&self.file("keyring.json")).unwrap();
        let store = StoreFile::read(&self.file("devices.json")).unwrap();
        let (name, record) = store.devices.get_key_value(name).unwrap();
        let open = |sealed| String::from_utf8(keyring.open(sealed, name).unwrap().to_vec()).unwrap();
        record.sealed_secrets().map(open).collect()
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.0.path()).unwrap().next().is_none()
    }
}

#[test]
fn add_list_disable_and_remove_work() {
    let folder = Folder::new();
    let added = folder.fleet(&["add", "dev-1", "--json"], "").unwrap();
    let added = serde_json::from_str::<Value>(&added).unwrap();
    assert_eq!((&added["device"], &added["client_id"]), (&json!("dev-1"), &json!("dev-1")));
    let list = |row: &str| format!("device  scheme    grant       state{row}");
    assert_eq!(
        folder.fleet(&["list"], "").unwrap(),
        list("    keys  client ids\ndev-1   password  own-topics  enabled  -     dev-1\n")
    );
    let disabled = folder.fleet(&["disable", "dev-1"], "").unwrap();
    assert!(
        disabled.starts_with("dev-1 disabled\n") && disabled.contains("latchkey fleet revoke 'dev-1'"),
        "{disabled}"
    );
    assert_eq!(
        folder.fleet(&["list"], "").unwrap(),
        list("     keys  client ids\ndev-1   password  own-topics  disabled  -     dev-1\n")
    );
    assert!(folder.fleet(&["remove", "dev-1", "--yes"], "").unwrap().starts_with("dev-1 removed\n"));
    assert!(folder.refusal(&["enable", "dev-1"], "").contains("no device `dev-1`"));
    assert!(folder.fleet(&["list"], "").unwrap().starts_with("no devices yet"));
}

#[test]
fn a_rotation_keeps_the_newest_password_until_it_expires() {
    let folder = Folder::new();
    folder.fleet(&["add", "a"], "").unwrap();
    let rotate = |old_for| {
        let text = folder.fleet(&["rotate", "a", "--old-for", old_for, "--json"], "").unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let (first, second) = (rotate("2h"), rotate("1h"));
    let verifiers = StoreFile::read(&folder.file("devices.json")).unwrap().devices["a"].verifiers.clone();
    let fits = |n: usize, made: &Value| {
        bool::from(verifiers[n].verifier.matches(made["password"].as_str().unwrap().as_bytes()))
    };
    assert!(verifiers.len() == 2 && fits(0, &first) && fits(1, &second));
    let expiry = serde_json::to_value(verifiers[0].expires_at).unwrap();
    assert_eq!((expiry, verifiers[1].expires_at), (second["old_password_expires_at"].clone(), None));
    let chosen = folder.fleet(&["rotate", "a", "--password-stdin"], "correct horse\n").unwrap();
    assert!(chosen.contains("the one that you chose") && !chosen.contains("horse"), "{chosen}");
    assert!(folder.refusal(&["rotate", "b"], "").contains("has no device `b`"));
    let again = folder.refusal(&["add", "a"], "");
    assert!(again.contains("`a` has a record already: `latchkey fleet rotate 'a'`"), "{again}");
}

#[test]
fn a_record_is_shown_without_hash_and_changed_without_an_editor() {
    let folder = Folder::new();
    folder.fleet(&["add", "a"], "").unwrap();
    folder
        .fleet(&["grants", "set", "panel", "--subscribe", "{site}/+", "--receive", "{site}/*"], "")
        .unwrap();
    assert!(folder.refusal(&["set", "a", "--grant", "panel"], "").contains("`{site}`"));
    folder.fleet(&["set", "a", "--grant", "panel", "--parameter", "site=hall"], "").unwrap();
    let shown = folder.fleet(&["show", "a"], "").unwrap();
    for part in ["grant        panel\n", "parameter    site=hall\n", "password     a hash, SaltedSha2\n"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let json = folder.fleet(&["show", "a", "--json"], "").unwrap();
    assert!(!shown.contains("$sha256$") && !json.contains("$sha256$"), "{json}");
    assert!(folder.fleet(&["grants", "list"], "").unwrap().contains("panel\n  subscribe   {site}/+\n"));
    for (list, topic, written) in [
        ("--publish", "a/+/b", "write `a/*/b`"),
        ("--receive", "a/#", "write `a/*`"),
        ("--retain", "#", "write `*`"),
    ] {
        let message = folder.refusal(&["grants", "set", "bad", list, topic], "");
        assert!(message.contains(written), "{message}");
    }
    assert!(folder.refusal(&["grants", "set", "none"], "").contains("the grant allows nothing"));
    assert!(folder.refusal(&["grants", "set", "sht20", "--publish", "x"], "").contains("built in"));
}

#[test]
fn a_long_list_has_pages_filters_and_counts() {
    let folder = Folder::new();
    for name in ["a-1", "a-2", "a-3", "b-1"] {
        folder
            .fleet(&["add", name, "--grant", if name == "a-2" { "sht20" } else { "own-topics" }], "")
            .unwrap();
    }
    folder.fleet(&["disable", "a-3"], "").unwrap();
    let names = |words: &[&str]| {
        let text = folder.fleet(&[&["list", "--json"], words].concat(), "").unwrap();
        let list = serde_json::from_str::<Vec<Value>>(&text).unwrap();
        list.iter().map(|device| device["device"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    for (words, expected) in [
        (&["--limit", "2"][..], "a-1 a-2"),
        (&["--limit", "2", "--after", "a-2"], "a-3 b-1"),
        (&["--prefix", "a-", "--grant", "own-topics"], "a-1 a-3"),
        (&["--disabled"], "a-3"),
        (&["--scheme", "jwt"], ""),
    ] {
        assert_eq!(names(words), expected, "{words:?}");
    }
    let page = folder.fleet(&["list", "--limit", "2"], "").unwrap();
    assert!(page.ends_with("more: the same command with `--after 'a-2'`\n"), "{page}");
    let counts = folder.fleet(&["list", "--count"], "").unwrap();
    assert!(
        counts.contains("2  password, own-topics, enabled\n") && counts.ends_with("4 devices\n"),
        "{counts}"
    );
}

#[test]
fn every_contradiction_is_named_by_a_check() {
    let folder = Folder::new();
    folder.fleet(&["add", "a"], "").unwrap();
    assert!(folder.fleet(&["check"], "").unwrap().ends_with("nothing is wrong\n"));
    let record = |ids: Value| json!({"scheme": "jwt", "grant": "own-topics", "client_ids": ids});
    let store = json!({
        "version": 1, "grants": {"odd": {"publish": ["z/+"]}},
        "devices": {"a": record(json!(["x"])), "b": record(json!(["x"])), "c": record(json!(["a"])),
            "d": {"scheme": "jwt", "grant": "none"}},
    });
    fs::write(folder.file("devices.json"), store.to_string()).unwrap();
    let found = folder.fleet(&["check"], "").unwrap();
    let found = found.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["`a` and `b`", "`a` and `c`", "grant `none` does not exist", "write `z/*`"] {
        assert!(found.contains(part), "{part} in {found}");
    }
}

#[test]
fn the_list_has_columns_and_client_ids() {
    let folder = Folder::new();
    folder.fleet(&["add", "a-long-name", "--grant", "sht20"], "").unwrap();
    folder.fleet(&["add", "b", "--client-id", "b-*", "--client-id", "c"], "").unwrap();
    folder.fleet(&["disable", "b"], "").unwrap();
    assert_eq!(
        folder.fleet(&["list"], "").unwrap(),
        "device       scheme    grant       state     keys  client ids\n\
         a-long-name  password  sht20       enabled   -     a-long-name\n\
         b            password  own-topics  disabled  -     b-*, c\n"
    );
    let list = serde_json::from_str::<Value>(&folder.fleet(&["list", "--json"], "").unwrap()).unwrap();
    assert_eq!(list[0]["client_ids"], json!(["a-long-name"]));
    assert_eq!(list[1]["client_ids"], json!(["b-*", "c"]));
}

#[test]
fn a_missing_file_is_named_and_not_made() {
    let folder = Folder::new();
    let path = folder.file("devices.json").display().to_string();
    for words in [&["list"][..], &["enable", "a"], &["disable", "a"], &["remove", "a", "--yes"]] {
        let message = folder.refusal(words, "");
        assert!(message.starts_with(&format!("there is no file of device records `{path}`")), "{message}");
    }
    assert!(folder.is_empty());
}

#[test]
fn list_refuses_records_that_the_authorizer_refuses() {
    let folder = Folder::new();
    folder.fleet(&["add", "a"], "").unwrap();
    let store = fs::read_to_string(folder.file("devices.json")).unwrap();
    fs::write(folder.file("devices.json"), store.replace("own-topics", "none")).unwrap();
    fs::remove_file(folder.file("devices.json.lock")).unwrap();
    let message = folder.refusal(&["list"], "");
    assert!(message.contains("can't use `") && message.contains("grant `none` does not exist"), "{message}");
    assert!(!folder.file("devices.json.lock").exists());
    assert!(folder.fleet(&["remove", "a", "--yes"], "").is_ok(), "which fixes it");
}

#[test]
fn only_a_generated_password_is_shown_and_no_password_is_stored() {
    let folder = Folder::new();
    let made = folder.fleet(&["add", "dev-0", "--json"], "").unwrap();
    let made = serde_json::from_str::<Value>(&made).unwrap()["password"].clone();
    for json in [&["--json"][..], &[]] {
        let words = [&["add", "dev-1", "--password-stdin"], json].concat();
        let text = folder.fleet(&words, "correct horse\n").unwrap();
        assert!(!text.contains("correct horse"), "{text}");
        folder.fleet(&["remove", "dev-1", "--yes"], "").unwrap();
    }
    folder.fleet(&["add", "dev-1", "--password-stdin"], "correct horse\n").unwrap();
    let kept = fs::read_to_string(folder.file("devices.json")).unwrap();
    assert!(!kept.contains("correct horse") && kept.contains("$argon2id$"), "{kept}");
    assert!(!kept.contains(made.as_str().unwrap()), "{kept}");
    assert!(folder.fleet(&["add", "dev-2", "--password-stdin"], "\n").is_err());
}

/// A pipe that stays open after one line.
struct OneLine(&'static [u8]);

impl Read for OneLine {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        assert!(!self.0.is_empty(), "it would wait forever");
        self.0.read(buffer)
    }
}

#[test]
fn a_chosen_password_is_the_first_line_and_is_not_typed() {
    let folder = Folder::new();
    let words = ["add", "dev-1", "--password-stdin", "--credentials"];
    let credentials = folder.file("credentials.csv");
    let words = [&words[..], &[credentials.to_str().unwrap()]].concat();
    assert_eq!(
        folder.run(&words, &b"secret\n"[..], true).unwrap_err().to_string(),
        "pipe the password in: printf %s PASSWORD | latchkey fleet add dev-1 --password-stdin"
    );
    assert!(folder.is_empty());
    let reader = std::io::BufReader::new(OneLine(b"correct horse\r\n"));
    folder.run(&words, reader, false).unwrap();
    let rows = device_sim::credentials_file::read(&credentials, None).unwrap();
    assert_eq!(rows[0].password.expose(), b"correct horse");
    let too_long = "x".repeat(70_000);
    assert!(folder.refusal(&["add", "dev-2", "--password-stdin"], &too_long).contains("65535"));
}

#[test]
fn bad_options_are_refused_before_the_record_is_written() {
    let folder = Folder::new();
    folder.fleet(&["add", "a"], "").unwrap();
    let before = fs::read_to_string(folder.file("devices.json")).unwrap();
    let (credentials, nowhere) = (folder.file("c.csv"), folder.file("no/c.csv"));
    let (credentials, nowhere) = (credentials.to_str().unwrap(), nowhere.to_str().unwrap());
    let cases: [(&[&str], &str); 3] = [
        (&["--endpoint", "foo"], "`foo` is not an endpoint"),
        (&["--credentials", credentials, "--client-id", "fleet4-*"], "one like `--client-id fleet4-1`"),
        (&["--credentials", nowhere], "there is no folder `"),
    ];
    for (more, part) in cases {
        let message = folder.refusal(&[&["add", "b"], more].concat(), "");
        assert!(message.contains(part), "{message}");
        assert_eq!(fs::read_to_string(folder.file("devices.json")).unwrap(), before);
    }
    assert!(!Path::new(credentials).exists());
}

#[test]
fn a_device_that_is_added_again_has_one_row() {
    let folder = Folder::new();
    let credentials = folder.file("credentials.csv");
    let add = ["add", "a", "--credentials", credentials.to_str().unwrap()];
    folder.fleet(&add, "").unwrap();
    let first = device_sim::credentials_file::read(&credentials, None).unwrap();
    folder.fleet(&["remove", "a", "--yes"], "").unwrap();
    folder.fleet(&add, "").unwrap();
    let second = device_sim::credentials_file::read(&credentials, None).unwrap();
    assert_eq!((first.len(), second.len()), (1, 1));
    assert!(first != second);
}

#[test]
fn the_printed_example_is_for_the_device() {
    let folder = Folder::new();
    let grants = r#"{"version":1,"grants":{"dash":{"subscribe":["sensor/+/x"]}},"devices":{}}"#;
    fs::write(folder.file("devices.json"), grants).unwrap();
    let ca = folder.file("ca.pem").display().to_string();
    let record = folder.file("devices.json").display().to_string();
    let cases: [(&[&str], &[&str]); 3] = [
        (&["a", "--endpoint", "h.example:443"], &["-h h.example -p 443 ", "-i 'a' ", "-t 'a/hello' "]),
        (
            &["b", "--client-id", "fleet4-*", "--grant", "sht20"],
            &["client id  fleet4-*\n", "-i 'fleet4-1' ", "-t 'sensor/fleet4-1/temperature' "],
        ),
        (&["c", "--grant", "dash"], &["The grant `dash` says which topics", "-t \"$TOPIC\" "]),
    ];
    for (words, parts) in cases {
        let text = folder.fleet(&[&["add"], words].concat(), "").unwrap();
        for part in
            parts.iter().copied().chain([&*format!("--cafile {ca} "), &*format!("record     {record}\n")])
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

#[test]
fn keys_are_made_and_rotated_and_never_shown_or_overwritten() {
    let folder = Folder::new();
    let file = folder.file("new/keyring.json");
    let path = file.to_str().unwrap();
    let keys = |words: &[&'static str]| [&["keys", "--keyring", path], words].concat();
    assert!(folder.refusal(&keys(&["show"]), "").contains("`latchkey fleet keys new ID` makes it"));
    assert!(folder.refusal(&keys(&["rotate", "a"]), "").contains("there is no keyring"));
    let made = folder.fleet(&keys(&["new", "2025-01"]), "").unwrap();
    assert_eq!(made, format!("keyring  {path}\nkey      2025-01  (seals new secrets)\n"));
    let before = fs::read_to_string(&file).unwrap();
    assert!(folder.refusal(&keys(&["new", "2026-11"]), "").contains("if it exists already"));
    assert!(folder.refusal(&keys(&["rotate", "2025-01"]), "").contains("already has a key `2025-01`"));
    assert!(folder.refusal(&keys(&["rotate", "a b"]), "").contains("1 to 64 characters"));
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    let rotated = folder.fleet(&keys(&["rotate", "2026-11", "--json"]), "").unwrap();
    let rotated = serde_json::from_str::<Value>(&rotated).unwrap();
    assert_eq!(rotated, json!({"keyring": path, "current": "2026-11", "keys": ["2025-01", "2026-11"]}));
    assert!(folder.fleet(&keys(&["show"]), "").unwrap().contains("2026-11  (seals"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(folder.refusal(&keys(&["show"]), "").contains("chmod 600"));
    }
}
