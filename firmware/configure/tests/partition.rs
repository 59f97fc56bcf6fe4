//! From `cfg.toml` and the file of credentials to a partition that the application takes.

#![cfg(test)]

use std::fs;

use app::Configuration;
use app::configuration::Identity;
use app::configuration::partition::Key;
use configure::{Entries, credentials, partition, settings};
use tempfile::TempDir;

const CREDENTIALS: &str = "device,client_id,user_name,password\nhall,hall,hall,s3cret\nattic,a,b,\"p,w\"\n";
const SETTINGS: &str = "host = \"iot.test\"\nport = 8443\nca = \"ca.pem\"\nssid = \"net\"\n";
const CA: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

fn folder(settings: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("cfg.toml", settings), ("credentials.csv", CREDENTIALS), ("ca.pem", CA)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn entries(folder: &TempDir, device: &str) -> anyhow::Result<Entries> {
    let mut entries = settings::read(&folder.path().join("cfg.toml"))?;
    credentials::take(&folder.path().join("credentials.csv"), device, &mut entries)?;
    Ok(entries)
}

#[test]
fn settings_and_credentials_make_a_partition() {
    let bytes = partition(&entries(&folder(SETTINGS), "attic").unwrap()).unwrap();
    let configuration = Configuration::parse(&bytes).unwrap();
    assert_eq!((configuration.endpoint.name, configuration.endpoint.port), ("iot.test", 8_443));
    assert_eq!(configuration.ca.to_str(), Ok(CA));
    assert!(configuration.wifi.is_some_and(|wifi| wifi.ssid == "net" && wifi.password.is_empty()));
    let Identity::Password { client_id, user_name, password } = configuration.identity else { panic!() };
    assert_eq!((client_id.as_str(), user_name.as_str(), password), ("a", "b", "p,w"));
}

#[test]
fn what_is_wrong_is_named_and_no_secret_shown() {
    let cases = [
        ("hosst = \"x\"", "hall", "the unknown key `hosst`"),
        ("host = 1.5", "hall", "`host` in"),
        ("secret = \"s3cret", "hall", "is no TOML"),
        ("ca = \"credentials.csv\"", "hall", "is no PEM file"),
        ("ca = \"none.pem\"", "hall", "none.pem`"),
        (SETTINGS, "cellar", "has no device `cellar`"),
    ];
    for (settings, device, message) in cases {
        let error = format!("{:#}", entries(&folder(settings), device).err().unwrap());
        assert!(error.contains(message), "{error} without {message}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn what_the_device_would_refuse_is_not_written() {
    let mut entries = entries(&folder(SETTINGS), "hall").unwrap();
    entries.set(Key::ClientId, "x".repeat(65));
    assert!(partition(&entries).unwrap_err().to_string().contains("the client id has 65 bytes"));
    entries.set(Key::ClientId, "hall");
    entries.set(Key::Ca, CA.repeat(300));
    assert!(partition(&entries).unwrap_err().to_string().contains("trust fewer roots"));
}

#[cfg(unix)]
#[test]
fn only_the_owner_reads_the_partition_also_where_an_older_one_was_open_to_all() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder(SETTINGS);
    let out = folder.path().join("configuration.bin");
    fs::write(&out, "an older one").unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o644)).unwrap();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_latchkey-configure"))
        .current_dir(folder.path())
        .args(["--credentials", "credentials.csv", "--device", "hall"])
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(Configuration::parse(&fs::read(&out).unwrap()).is_ok());
}
