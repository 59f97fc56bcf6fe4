//! Kits as texts; `tests/it/clients/kits.rs` runs those that can be run.

use std::fs;

use clap::{Parser, ValueEnum as _};
use cli::console::Input;
use device_auth::store::text::StoreText;

use super::*;
use crate::store_file::any_function;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    kit: KitArgs,
}

const STORE: &str = r#"{"version": 1, "devices": {
    "hall-1": {"scheme": "password", "grant": "sht20", "verifiers": [
        {"verifier": "$sha256$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]},
    "many": {"scheme": "token", "grant": "own-topics"}}}"#;

fn kit(words: &[&str]) -> anyhow::Result<String> {
    let args = Cli::try_parse_from([&["kit"], words].concat())?.kit;
    let records = StoreText::parse(STORE).unwrap().records(any_function()?)?;
    let (mut input, mut output) = (std::io::empty(), Vec::new());
    let input = Input { terminal: false, reader: &mut input };
    run(
        &args,
        &Snapshot::new(records),
        &mut Console { format: cli::format::OutputFormat::Table, input, output: &mut output },
    )?;
    Ok(String::from_utf8(output)?)
}

/// The kit with a CA and an endpoint.
fn with_ca(platform: Platform, more: &[&str]) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, "a comment\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")?;
    let platform = clap_name(platform).unwrap();
    let words = ["hall-1", "--for", &platform, "--endpoint", "mqtt.example.com:443", "--ca"];
    kit(&[&words[..], &[ca.to_str().unwrap()], more].concat())
}

#[test]
fn every_kit_has_the_values_of_the_connection() {
    for &platform in Platform::value_variants() {
        let text = with_ca(platform, &[]).unwrap();
        let user_name = match platform {
            Platform::Awsiotsdk => "auth_authorizer_name=\"latchkey\"",
            _ => "hall-1?x-amz-customauthorizer-name=latchkey",
        };
        let topic = match platform {
            Platform::Esphome | Platform::Zigbee2mqtt => "sensor/hall-1",
            _ => "sensor/hall-1/temperature",
        };
        for part in ["mqtt.example.com", "443", user_name, topic, platform.password().0] {
            // A test is not a device.
            assert!(text.contains(part) || part == "PASSWORD", "{platform:?} lacks `{part}`: {text}");
        }
        assert!(!text.contains("a comment") && !text.contains("@\"") && !text.contains("@'"), "{text}");
        let has_alpn = platform.template().to_ascii_lowercase().contains("alpn");
        let is_mentioned = |text: &str| text.to_ascii_lowercase().contains("alpn");
        assert_eq!(is_mentioned(&text), has_alpn, "{text}");
        assert_eq!(has_alpn, platform.has_alpn() && platform != Platform::Tasmota, "{platform:?}");
        assert!(!is_mentioned(&with_ca(platform, &["--alpn", "none"]).unwrap()), "{platform:?}");
    }
}

#[test]
fn a_password_is_quoted_as_the_platform_reads_it() {
    let password = "it's a \"pass\\word\"";
    for (quoting, expected) in [
        (Quoting::Json, r#""it's a \"pass\\word\"""#),
        (Quoting::PythonBytes, r#"b"it's a \"pass\\word\"""#),
        (Quoting::Shell, r#"'it'\''s a "pass\word"'"#),
    ] {
        assert_eq!(*quoted(password, quoting).unwrap(), expected);
    }
    for bad in ["a b", "a\"b", "a;b", "a\nb", "a\\b"] {
        assert!(quoted(bad, Quoting::Plain).is_err(), "{bad}");
    }
    assert!(quoted("pässword", Quoting::PythonBytes).is_err());
}

#[test]
fn a_device_that_needs_no_kit_is_refused() {
    for (words, part) in [
        (["many", "--for", "paho"], "has the scheme `token`"),
        (["none", "--for", "paho"], "the store has no device `none`"),
        (["hall-1", "--for", "fax"], "invalid value"),
    ] {
        let error = format!("{:#}", kit(&[&words[..], &["--alpn", "none"]].concat()).unwrap_err());
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn secret_goes_to_a_new_file_that_only_its_owner_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("c.csv"), "device,client_id,user_name,password\nhall-1,hall-1,hall-1,s3cret\n").unwrap();
    let (passwords, kit) = (path("c.csv"), path("kit.conf"));
    let words = ["--credentials", &passwords, "--with-secret", &kit];
    assert_eq!(with_ca(Platform::MosquittoBridge, &words).unwrap(), "");
    assert!(fs::read_to_string(&kit).unwrap().contains("remote_password s3cret\n"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&kit).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let again = with_ca(Platform::MosquittoBridge, &words).unwrap_err();
    assert!(format!("{again:#}").contains("name a file that does not exist"), "{again:#}");
}
