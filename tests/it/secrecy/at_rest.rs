//! The operator's tool and `Debug` show no secrets.

use std::{fmt::Debug, fs, marker::PhantomData, path::Path};

use device_auth::verifier::{LiveVerifier, Verifier};
use integration::{
    canary::{Canary, Writings},
    programs::program,
    running::{Finished, Running},
};
use mqtt::{Connect, LastWill, Packet, Version};
use serde_json::Value;
use tempfile::tempdir;
use tokio::process::Command;

async fn fleet(folder: &Path, words: &[&str], input: &str) -> Finished {
    let mut command = Command::new(program("latchkey"));
    command.arg("fleet").args(words).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
    command.arg("--store").arg(folder.join("devices.json"));
    let mut running = Running::start(command);
    running.input(input.as_bytes()).await;
    running.finish().await
}

#[tokio::test]
async fn chosen_password_is_never_shown() {
    let folder = tempdir().unwrap();
    let (chosen, second) = (Canary::new("the chosen password"), Canary::new("a refused password"));
    let added = fleet(folder.path(), &["add", "hall-1", "--password-stdin"], chosen.secret()).await;
    assert_eq!(added.code, Some(0), "{}", added.err());
    let other = added.out();
    let mut writings = Writings::default();
    writings.add("what it printed", other);
    writings.add("standard error", added.err);
    let commands: [&[&str]; 9] = [
        &["add", "hall-1", "--password-stdin"],
        &["add", "no/name", "--password-stdin"],
        &["add", "hall-2", "--grant", "none", "--password-stdin"],
        &["list"],
        &["list", "--json"],
        &["disable", "hall-1"],
        &["enable", "hall-1", "--json"],
        &["remove", "nobody", "--yes"],
        &["--password", second.secret()],
    ];
    for words in commands {
        let finished = fleet(folder.path(), words, second.secret()).await;
        let words = words.join(" ");
        writings.add(format!("standard output of {words}"), finished.out);
        // A mistake on the command line is quoted.
        if !words.starts_with("--password") {
            writings.add(format!("standard error of {words}"), finished.err);
        }
    }
    writings.add_folder(folder.path());
    writings.assert_says("has a record already");
    writings.assert_says("grant `none` does not exist");
    writings.assert_free_of(&[&chosen, &second]);
}

#[tokio::test]
async fn generated_password_is_shown_once() {
    let folder = tempdir().unwrap();
    let added = fleet(folder.path(), &["add", "hall-1", "--json"], "").await;
    let out = added.out();
    let line = serde_json::from_str::<Value>(&out).unwrap();
    let password = line["password"].as_str().unwrap();
    assert_eq!(out.matches(password).count(), 1);
    let mut writings = Writings::default();
    writings.add("the rest of the line", out.replace(password, ""));
    writings.add("standard error", added.err);
    writings.add_folder(folder.path());
    writings.assert_free_of(&[&Canary::of("the generated password", password)]);
}

#[tokio::test]
async fn demo_leaves_no_clear_passwords() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("demo");
    let mut command = Command::new(program("latchkey"));
    command.args(["demo", "--json", "--seconds", "2", "--data"]).arg(&data).env_remove("CARGO");
    let finished = Running::start(command).finish().await;
    assert_eq!(finished.code, Some(0), "{}{}", finished.out(), finished.err());
    let report = serde_json::from_slice::<Value>(&finished.out).unwrap();
    let refusals = serde_json::json!({"publish_outside_its_scope": 1, "wrong_password": 1});
    assert_eq!(report["refusals"], refusals);
    assert!(data.join("devices.json").exists() && !data.join("credentials.csv").exists());
}

#[tokio::test]
async fn malformed_store_is_never_quoted() {
    let folder = tempdir().unwrap();
    let secret = Canary::new("a password in the wrong place");
    let mut writings = Writings::default();
    for verifiers in ["\"X\"", "[\"X\"]", "[{\"verifier\":\"X\"}]", "[{\"verifier\":[\"X\"]}]", "\"X"] {
        let record = format!(r#"{{"scheme":"password","grant":"own-topics","verifiers":{verifiers}}}"#);
        let store = format!(r#"{{"version":1,"devices":{{"hall-1":{record}}}}}"#);
        fs::write(folder.path().join("devices.json"), store.replace('X', secret.secret())).unwrap();
        let finished = fleet(folder.path(), &["list"], "").await;
        assert_ne!(finished.code, Some(0));
        writings.add(format!("{verifiers} on standard error"), finished.err);
        writings.add(format!("{verifiers} on standard output"), finished.out);
    }
    writings.assert_says("is not a store");
    writings.assert_free_of(&[&secret]);
}

#[test]
fn debug_shows_no_secret() {
    let secret = Canary::new("secret");
    let text = secret.secret();
    let mut connect = Connect::new(Version::V5, "client");
    connect.username = Some(text.into());
    connect.password = Some(text.to_owned().into());
    connect.properties.authentication_data = Some(text.to_owned().into());
    connect.properties.user_properties.push((text.into(), text.into()));
    connect.last_will = Some(LastWill::new("topic".parse().unwrap(), text.to_owned().into()));
    let verifier = Verifier::of_generated(text.as_bytes(), [7; 16]);
    let live = LiveVerifier { verifier, expires_at: None };
    let unknown = Verifier::try_from(text.to_owned()).unwrap_err();
    let no_digest = Verifier::try_from(format!("$sha256$!{text}$!{text}")).unwrap_err();
    let mut writings = Writings::default();
    for (place, debug) in [
        ("CONNECT", both(&connect)),
        ("a packet", both(&Packet::Connect(Box::new(connect.clone())))),
        ("a verifier's error", both(&unknown) + &unknown.to_string()),
        ("another error of a verifier", both(&no_digest) + &no_digest.to_string()),
        ("a verifier", both(&live)),
    ] {
        writings.add(place, debug);
    }
    writings.assert_says("client");
    writings.assert_free_of(&[&secret]);
    assert!(!both(&live).contains('$'), "salt and digest would allow off-line guesses: {live:?}");
}

fn both(value: &impl Debug) -> String {
    format!("{value:?}\n{value:#?}")
}

/// Whether a type has `Debug`. An associated constant of the type itself has precedence over that of a trait.
macro_rules! has_debug {
    ($type:ty) => {{
        struct Probe<T: ?Sized>(PhantomData<T>);
        trait Otherwise {
            const DEBUG: bool = false;
        }
        impl<T: ?Sized> Otherwise for Probe<T> {}
        #[expect(dead_code, reason = "it applies only to a type with `Debug`")]
        impl<T: ?Sized + Debug> Probe<T> {
            const DEBUG: bool = true;
        }
        Probe::<$type>::DEBUG
    }};
}

#[test]
fn types_with_secrets_have_no_debug() {
    let with_debug = [
        ("gateway's AuthorizerEvent", has_debug!(gateway::custom_auth::event::AuthorizerEvent)),
        ("device-auth's Event", has_debug!(device_auth::event::Event)),
        ("device-auth's MqttData", has_debug!(device_auth::event::MqttData)),
        ("device-auth's ConnectRequest", has_debug!(device_auth::request::ConnectRequest)),
        ("device-auth's Password", has_debug!(device_auth::claim::Password)),
        ("simulator's Login", has_debug!(device_sim::Login)),
        ("simulator's Password", has_debug!(device_sim::Password)),
        ("simulator's Row", has_debug!(device_sim::credentials_file::Row)),
        ("fleet's Secret", has_debug!(fleet::secret::Secret)),
    ];
    for (name, debug) in with_debug {
        assert!(!debug, "{name}");
    }
    assert!(finds_debug(), "`str` has `Debug`");
}

fn finds_debug() -> bool {
    struct Probe<T: ?Sized>(PhantomData<T>);
    impl<T: ?Sized + Debug> Probe<T> {
        const DEBUG: bool = true;
    }
    Probe::<str>::DEBUG
}
